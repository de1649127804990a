// SPDX-License-Identifier: LGPL-2.1-or-later
/* AppArmor profiles: the first profile of a file, statement by statement. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy_import.h"

#define VARS_MAX 64
#define WORDS_MAX 64

struct reader {
	struct import im;
	const char *text;
	size_t len, at;
	unsigned line, column; /* of the statement */
	unsigned now;	       /* line being read */
	size_t line_start;
	char *statement;
	size_t used, cap;
	unsigned depth; /* of blocks */
	struct {
		char *name, *value;
	} var[VARS_MAX];
	size_t vars;
};

/* What the tunables of a distribution say, as far as a container has them. */
static const char *const known_vars[][2] = {
	{ "PROC", "/proc" },   { "sys", "/sys" },     { "run", "/{run,var/run}" },
	{ "HOME", "/{root,home/*}" }, { "HOMEDIRS", "/home" }, { "pid", "[0-9]*" },
	{ "pids", "[0-9]*" },  { "tid", "[0-9]*" },   { "uid", "[0-9]*" },
	{ "multiarch", "*-linux-gnu*" }, { "bin", "/{,usr/}{,s}bin" }, { "lib", "/{,usr/}lib*" },
	{ "etc_ro", "/{usr/,}etc" }, { "etc_rw", "/etc" },
};

static int statement_put(struct reader *r, char c)
{
	if (vector_grow(&r->statement, r->used + 1, &r->cap, 1))
		return -ENOMEM;
	r->statement[r->used++] = c;
	r->statement[r->used] = 0;
	return 0;
}

static void next_byte(struct reader *r)
{
	if (r->text[r->at++] == '\n') {
		r->now++;
		r->line_start = r->at;
	}
}

static bool at_line_end(const struct reader *r, size_t at)
{
	return at >= r->len || r->text[at] == '\n';
}

/* The next statement without comments, and what ends it: ',', '{', '}', '\n' (include, variables)
 * or 0 at the end. -errno. */
static int read_statement(struct reader *r)
{
	unsigned braces = 0, parens = 0;
	bool quoted = false;

	r->used = 0;
	if (statement_put(r, 0))
		return -ENOMEM;
	r->used = 0;
	while (r->at < r->len) {
		char c = r->text[r->at], before = r->at ? r->text[r->at - 1] : '\n';
		bool include = c == '#' && !strncmp(r->text + r->at, "#include", 8);

		if (c == '#' && !quoted && !include && strchr(" \t\n,", before)) {
			while (!at_line_end(r, r->at))
				next_byte(r);
			continue;
		}
		if (!r->used && strchr(" \t\r\n,", c)) {
			next_byte(r);
			continue;
		}
		if (!r->used) {
			r->line = r->now;
			r->column = (unsigned)(r->at - r->line_start) + 1;
		}
		if (c == '"')
			quoted = !quoted;
		if (!quoted && c == '\n' &&
		    ((r->statement[0] == '@' && !r->depth) || !strncmp(r->statement, "#include", 8) ||
		     !strncmp(r->statement, "include", 7) || !strncmp(r->statement, "abi ", 4) ||
		     !strncmp(r->statement, "alias ", 6))) {
			next_byte(r);
			return '\n';
		}
		if (!quoted && c == '(')
			parens++;
		if (!quoted && c == ')' && parens)
			parens--;
		/* A block begins behind a blank; an alternative within a path does not. */
		if (!quoted && c == '{' && !parens && (!r->used || strchr(" \t\n)", before)) &&
		    (r->statement[0] != '@' || r->depth)) {
			next_byte(r);
			return '{';
		}
		if (!quoted && c == '{')
			braces++;
		if (!quoted && c == '}' && !braces && !r->used) {
			next_byte(r);
			return '}';
		}
		if (!quoted && c == '}' && braces)
			braces--;
		if (!quoted && c == ',' && !braces && !parens) {
			next_byte(r);
			return ',';
		}
		if (statement_put(r, c == '\n' || c == '\t' ? ' ' : c))
			return -ENOMEM;
		next_byte(r);
	}
	return r->used ? '\n' : 0;
}

#define LOST(r, ...) import_lost(&(r)->im, (r)->line, (r)->column, __VA_ARGS__)
#define RULE(r, class_, ...) import_rule(&(r)->im, (r)->line, (r)->column, class_, __VA_ARGS__)

/* Words of the statement; a quoted one loses its quotes. */
static size_t split(char *s, char *word[WORDS_MAX])
{
	size_t n = 0;

	while (n < WORDS_MAX) {
		s += strspn(s, " ");
		if (!*s)
			break;
		if (*s == '"') {
			word[n++] = ++s;
			s += strcspn(s, "\"");
		} else {
			word[n++] = s;
			s += strcspn(s, " ");
		}
		if (!*s)
			break;
		*s++ = 0;
	}
	return n;
}

static const char *variable(const struct reader *r, const char *name, size_t len)
{
	for (size_t i = 0; i < r->vars; i++)
		if (strlen(r->var[i].name) == len && !strncmp(r->var[i].name, name, len))
			return r->var[i].value;
	for (size_t i = 0; i < ARRAY_SIZE(known_vars); i++)
		if (strlen(known_vars[i][0]) == len && !strncmp(known_vars[i][0], name, len))
			return known_vars[i][1];
	return NULL;
}

/* Variables replaced; doubled slashes, which they leave, made one. */
static bool expand(const struct reader *r, const char *glob, char *buf, size_t size,
		   unsigned depth)
{
	size_t n = 0;

	while (*glob) {
		const char *end = glob[0] == '@' && glob[1] == '{' ? strchr(glob, '}') : NULL;
		const char *value;

		if (n + 1 >= size)
			return false;
		if (!end) {
			if (*glob != '/' || !n || buf[n - 1] != '/')
				buf[n++] = *glob;
			glob++;
			continue;
		}
		value = variable(r, glob + 2, (size_t)(end - glob) - 2);
		if (!value || depth > 4 || !expand(r, value, buf + n, size - n, depth + 1))
			return false;
		if (n && buf[n - 1] == '/' && buf[n] == '/')
			memmove(buf + n, buf + n + 1, strlen(buf + n));
		n += strlen(buf + n);
		glob = end + 1;
	}
	buf[n] = 0;
	return true;
}

/* @{NAME} = a b */
static void read_variable(struct reader *r)
{
	char *end = strchr(r->statement, '}'), *eq = strchr(r->statement, '='), *word[WORDS_MAX];
	size_t n, used = 0;
	char value[WARDER_PATH_MAX] = "";

	if (r->statement[1] != '{' || !end || !eq || eq < end || r->vars == VARS_MAX) {
		LOST(r, "this variable is not understood");
		return;
	}
	*end = 0;
	n = split(eq + 1, word);
	for (size_t i = 0; i < n && used < sizeof(value); i++)
		used += (size_t)snprintf(value + used, sizeof(value) - used, "%s%s%s",
					 i ? "," : n > 1 ? "{" : "", word[i],
					 n > 1 && i == n - 1 ? "}" : "");
	r->var[r->vars].name = strdup(r->statement + 2);
	r->var[r->vars].value = strdup(value);
	if (!r->var[r->vars].name || !r->var[r->vars].value)
		r->im.err = -ENOMEM;
	r->vars++;
}

static bool is_permissions(const char *s)
{
	return *s && s[strspn(s, "rwamklxipuPUCc")] == 0;
}

/* PATH PERMS or PERMS PATH. */
static void read_file_rule(struct reader *r, char **word, size_t n, bool deny, bool audit)
{
	char path[WARDER_PATH_MAX], pattern[2 * WARDER_PATH_MAX], access[256] = "";
	const char *verb = deny ? "deny" : "allow", *more = audit ? ", audit: true" : "";
	const char *glob = word[0], *perms = n > 1 ? word[1] : "";

	if (n > 1 && is_permissions(word[0])) {
		glob = word[1];
		perms = word[0];
	}
	if (n < 2 || !is_permissions(perms)) {
		LOST(r, "this rule is not understood");
		return;
	}
	if (!expand(r, glob, path, sizeof(path), 0) ||
	    !import_pattern(path, pattern, sizeof(pattern))) {
		LOST(r, "the pattern %.100s holds a variable that is not known, or is none", glob);
		return;
	}
	if (n > 2)
		LOST(r, "%.40s %.60s is not carried over: the program stays in its profile", word[2],
		     n > 3 ? word[3] : "");
	for (const char *p = perms; *p; p++) {
		const char *name = *p == 'r' ? "read" : *p == 'w' ? IMPORT_CHANGES :
				   *p == 'a' ? "append" : *p == 'm' ? "map_exec" :
				   *p == 'k' ? "lock" : *p == 'l' ? "link" : NULL;

		if (name && !strstr(access, name) && strlen(access) + strlen(name) + 3 < sizeof(access))
			sprintf(access + strlen(access), "%s%s", *access ? ", " : "", name);
	}
	if (*access)
		RULE(r, WARDER_CLASS_FILE, "{%s: [%s], path: %s%s}", verb, access, pattern, more);
	if (!strchr(perms, 'x'))
		return;
	RULE(r, WARDER_CLASS_EXEC, "{%s: %s%s}", verb, pattern, more);
	if (strpbrk(perms, "pPcCuU"))
		LOST(r, "the program %.100s would change its profile (%s): it stays", glob, perms);
}

static void read_capability(struct reader *r, char **word, size_t n, bool deny, bool audit)
{
	const char *verb = deny ? "deny" : "allow", *more = audit ? ", audit: true" : "";

	if (n == 1)
		RULE(r, WARDER_CLASS_CAPABILITY, "{%s: [\"*\"]%s}", verb, more);
	for (size_t i = 1; i < n; i++)
		if (capability_from_name(word[i]) < 0)
			LOST(r, "no capability is called %.40s", word[i]);
		else
			RULE(r, WARDER_CLASS_CAPABILITY, "{%s: [%s]%s}", verb, word[i], more);
}

static void read_network(struct reader *r, char **word, size_t n, bool deny, bool audit)
{
	static const char *const known[] = { "inet", "inet6", "unix", "netlink", "packet", "vsock" };
	const char *verb = deny ? "deny" : "allow", *more = audit ? ", audit: true" : "";
	const char *protocol = NULL, *family[2] = { NULL, NULL };

	for (size_t i = 1; i < n; i++) {
		bool is_family = false;

		for (size_t k = 0; k < ARRAY_SIZE(known); k++)
			is_family |= !strcmp(known[k], word[i]);
		if (is_family)
			family[0] = word[i];
		else if (!strcmp(word[i], "stream") || !strcmp(word[i], "tcp"))
			protocol = "tcp";
		else if (!strcmp(word[i], "dgram") || !strcmp(word[i], "udp"))
			protocol = "udp";
		else if (!strcmp(word[i], "raw"))
			protocol = "raw";
		else {
			LOST(r, "network: %.40s is not carried over", word[i]);
			return;
		}
	}
	if (!family[0]) {
		family[0] = "inet";
		family[1] = "inet6";
	}
	for (unsigned i = 0; i < 2 && family[i]; i++)
		if (protocol && !strncmp(family[i], "inet", 4))
			RULE(r, WARDER_CLASS_NETWORK, "{%s: [\"*\"], family: %s, protocol: %s%s}", verb,
			     family[i], protocol, more);
		else
			RULE(r, WARDER_CLASS_NETWORK, "{%s: [\"*\"], family: %s%s}", verb, family[i],
			     more);
}

/* mount [options=(a,b)] [fstype=T] [SOURCE] -> TARGET; umount TARGET; pivot_root. */
static void read_mount(struct reader *r, char **word, size_t n, bool deny, bool audit)
{
	const char *verb = deny ? "deny" : "allow", *more = audit ? ", audit: true" : "";
	char type[64] = "", target[2 * WARDER_PATH_MAX] = "", path[WARDER_PATH_MAX];
	const char *op = !strcmp(word[0], "remount") ? "remount" :
			 !strcmp(word[0], "umount") ? "umount" :
			 !strcmp(word[0], "pivot_root") ? "pivot_root" : "mount";

	for (size_t i = 1; i < n; i++) {
		if (!strncmp(word[i], "fstype=", 7) && strlen(word[i]) < 39 &&
		    !strpbrk(word[i], "(,*?[{")) {
			snprintf(type, sizeof(type), ", type: %.31s", word[i] + 7);
		} else if (!strcmp(word[i], "->") && i + 1 < n) {
			target[0] = 0;
			if (!expand(r, word[++i], path, sizeof(path), 0) ||
			    !import_pattern(path, target, sizeof(target)))
				goto lost;
		} else if (word[i][0] == '/' || word[i][0] == '@') {
			if (strcmp(op, "mount") && (!expand(r, word[i], path, sizeof(path), 0) ||
						    !import_pattern(path, target, sizeof(target))))
				goto lost;
		} else if (!strncmp(word[i], "options", 7) && strstr(word[i], "bind")) {
			op = "bind";
		} else {
			goto lost;
		}
	}
	RULE(r, WARDER_CLASS_MOUNT, "{%s: [%s]%s%s%s%s}", verb, op, type, *target ? ", target: " : "",
	     target, more);
	return;
lost:
	LOST(r, "this mount rule says more than can be carried over");
}

static void read_rule(struct reader *r)
{
	static const char *const lost[] = { "dbus", "signal", "ptrace", "unix", "change_profile",
					    "change_hat", "set", "rlimit", "mqueue",
					    "io_uring", "link", "all" };
	char *word[WORDS_MAX];
	size_t n = split(r->statement, word), first = 0;
	bool deny = false, audit = false;

	for (; first < n; first++) {
		if (!strcmp(word[first], "deny"))
			deny = true;
		else if (!strcmp(word[first], "audit"))
			audit = true;
		else if (!strcmp(word[first], "owner"))
			LOST(r, "owner is not carried over: the rule holds for every user");
		else if (strcmp(word[first], "allow") && strcmp(word[first], "file"))
			break;
	}
	if (first == n) {
		if (n && !strcmp(word[n - 1], "file"))
			RULE(r, WARDER_CLASS_FILE, "{%s: [\"*\"], path: \"/**\"}",
			     deny ? "deny" : "allow");
		return;
	}
	n -= first;
	if (!strcmp(word[first], "userns")) {
		RULE(r, WARDER_CLASS_NAMESPACE, "{%s: [user]%s}", deny ? "deny" : "allow",
		     audit ? ", audit: true" : "");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(lost); i++)
		if (!strcmp(word[first], lost[i])) {
			LOST(r, "%s rules are not carried over", lost[i]);
			return;
		}
	if (!strcmp(word[first], "capability"))
		read_capability(r, word + first, n, deny, audit);
	else if (!strcmp(word[first], "network"))
		read_network(r, word + first, n, deny, audit);
	else if (!strcmp(word[first], "mount") || !strcmp(word[first], "umount") ||
		 !strcmp(word[first], "remount") || !strcmp(word[first], "pivot_root"))
		read_mount(r, word + first, n, deny, audit);
	else
		read_file_rule(r, word + first, n, deny, audit);
}

static void read_head(struct reader *r)
{
	char *word[WORDS_MAX], *slash;
	size_t n;

	r->im.audit = strstr(r->statement, "complain") != NULL;
	n = split(r->statement, word);
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(word[i], "profile"))
			continue;
		slash = strrchr(word[i], '/');
		import_name(&r->im, slash ? slash + 1 : word[i]);
		return;
	}
	import_name(&r->im, "imported");
}

static int read_all(struct reader *r)
{
	unsigned profiles = 0, skip = 0;
	int end;

	while ((end = read_statement(r)) > 0 && !r->im.err) {
		if (end == '{') {
			r->depth++;
			if (skip || r->depth > 1 || profiles) {
				if (!skip)
					LOST(r, "only the first profile is carried over, not %.60s",
					     r->statement);
				skip = skip ? skip : r->depth;
			} else {
				profiles++;
				read_head(r);
			}
		} else if (end == '}') {
			if (skip == r->depth)
				skip = 0;
			r->depth -= r->depth > 0;
		} else if (skip) {
			continue;
		} else if (r->statement[0] == '@' && !r->depth) {
			read_variable(r);
		} else if (end == '\n') {
			if (r->depth && strstr(r->statement, "include"))
				LOST(r, "%.80s is not carried over (base/libc and base/tls hold what "
					"most programs need)",
				     r->statement);
		} else {
			read_rule(r);
		}
	}
	if (end < 0)
		return end;
	if (r->im.err && r->im.err != -E2BIG)
		return r->im.err;
	if (profiles)
		return 0;
	diag_add(r->im.diags, r->im.name, 1, 1, 0, "no profile: expected  profile NAME { ... }");
	return -EINVAL;
}

int policy_import_apparmor(const char *name, const char *text, size_t len, char **ret_text,
			   struct policy_diags *diags)
{
	struct reader *r = calloc(1, sizeof(*r));
	int err;

	*ret_text = NULL;
	if (!r)
		return -ENOMEM;
	r->im = (struct import) { .name = name, .from = "an AppArmor profile", .diags = diags };
	r->im.deny[WARDER_CLASS_FILE] = r->im.deny[WARDER_CLASS_EXEC] = true;
	r->im.deny[WARDER_CLASS_CAPABILITY] = r->im.deny[WARDER_CLASS_NETWORK] = true;
	r->text = text;
	r->len = strlen(text) < len ? strlen(text) : len;
	r->now = 1;
	err = read_all(r);
	if (err)
		r->im.err = err;
	err = import_finish(&r->im, ret_text);
	for (size_t i = 0; i < r->vars; i++) {
		free(r->var[i].name);
		free(r->var[i].value);
	}
	free(r->statement);
	free(r);
	return err;
}
