// SPDX-License-Identifier: LGPL-2.1-or-later
/* AppArmor profiles: the first profile of a file, statement by statement. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy_import_apparmor.h"

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

/* At the end of a line: what needs no comma. */
static bool ends_with_line(const struct reader *r)
{
	return (r->statement[0] == '@' && !r->depth) || !strncmp(r->statement, "#include", 8) ||
	       !strncmp(r->statement, "include", 7) || !strncmp(r->statement, "abi ", 4) ||
	       !strncmp(r->statement, "alias ", 6);
}

/* The next statement without comments, and what ends it: ',', '{', '}', '\n' (include, variables)
 * or 0 at the end. -errno; -ENODATA when the text ends within it. */
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
		if (!quoted && c == '\n' && ends_with_line(r)) {
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
	if (r->used && (quoted || !ends_with_line(r)))
		return -ENODATA;
	return r->used ? '\n' : 0;
}

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
bool apparmor_expand(const struct reader *r, const char *glob, char *buf, size_t size,
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
		if (!value || depth > 4 || !apparmor_expand(r, value, buf + n, size - n, depth + 1))
			return false;
		if (n && buf[n - 1] == '/' && buf[n] == '/')
			memmove(buf + n, buf + n + 1, strlen(buf + n));
		n += strlen(buf + n);
		glob = end + 1;
	}
	buf[n] = 0;
	return true;
}

/* @{NAME} = a b; @{NAME} += c */
static void read_variable(struct reader *r)
{
	char *end = strchr(r->statement, '}'), *eq = strchr(r->statement, '='), *word[WORDS_MAX];
	char value[WARDER_PATH_MAX] = "";
	size_t n, used = 0, at = 0;
	bool more;

	if (r->statement[1] != '{' || !end || !eq || eq < end) {
		FAIL(r, "this variable is not understood");
		return;
	}
	*end = 0;
	more = eq[-1] == '+';
	n = split(eq + 1, word);
	while (at < r->vars && strcmp(r->var[at].name, r->statement + 2))
		at++;
	if (more && at < r->vars)
		used = (size_t)snprintf(value, sizeof(value), "{%s%s", r->var[at].value, n ? "," : "}");
	else if (n > 1)
		used = (size_t)snprintf(value, sizeof(value), "{");
	for (size_t i = 0; i < n && used < sizeof(value); i++)
		used += (size_t)snprintf(value + used, sizeof(value) - used, "%s%s%s", i ? "," : "",
					 word[i], i == n - 1 && *value == '{' ? "}" : "");
	if (used >= sizeof(value) || n == WORDS_MAX || at == VARS_MAX) {
		FAIL(r, "this variable is too long, or one of more than %d", VARS_MAX);
		return;
	}
	if (at < r->vars) {
		free(r->var[at].value);
	} else {
		r->var[at].name = strdup(r->statement + 2);
		r->vars++;
	}
	r->var[at].value = strdup(value);
	if (!r->var[at].name || !r->var[at].value)
		r->im.err = -ENOMEM;
}

static bool is_permissions(const char *s)
{
	return *s && s[strspn(s, "rwamklxipuPUCc")] == 0;
}

/* A glob as a pattern; of a deny rule a wider one where it cannot be one. */
static bool read_pattern(struct reader *r, const char *glob, bool deny, char *pattern, size_t size)
{
	char path[WARDER_PATH_MAX];

	if (apparmor_expand(r, glob, path, sizeof(path), 0) && import_pattern(path, pattern, size))
		return true;
	if (!deny)
		LOST(r, "the pattern %.100s holds a variable that is not known, or is none: the rule is "
			"left out", glob);
	else if (import_wider(glob, pattern, size))
		LOST(r, "the pattern %.100s holds a variable that is not known, or is none: all of %.100s "
			"is denied", glob, pattern);
	else
		FAIL(r, "the pattern %.100s of a deny rule holds a variable that is not known, or is "
			"none: write what it stands for", glob);
	return deny && !r->im.err;
}

/* PATH PERMS or PERMS PATH. */
static void read_file_rule(struct reader *r, char **word, size_t n, bool deny, bool audit)
{
	char pattern[2 * WARDER_PATH_MAX], access[256] = "";
	const char *verb = deny ? "deny" : "allow", *more = audit ? ", audit: true" : "";
	const char *glob = word[0], *perms = n > 1 ? word[1] : "";

	if (n > 1 && is_permissions(word[0])) {
		glob = word[1];
		perms = word[0];
	}
	if (n < 2 || !is_permissions(perms)) {
		if (deny)
			FAIL(r, "this deny rule is not understood");
		else
			LOST(r, "this rule is not understood: it is left out");
		return;
	}
	if (!read_pattern(r, glob, deny, pattern, sizeof(pattern)))
		return;
	if (n > 2)
		LOST(r, "%.40s %.60s is not carried over: %s", word[2], n > 3 ? word[3] : "",
		     deny ? "it is denied whatever stands there" : "the program stays in its profile");
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
	if (!deny && strpbrk(perms, "pPcCuU"))
		LOST(r, "the program %.100s would change its profile (%s): it stays", glob, perms);
}

/* Classes whose rules are not read. What they allow is left out; what they deny, all of it is, as
 * far as there is a class for it. */
static bool read_other(struct reader *r, char **word, size_t n, bool deny)
{
	static const struct {
		const char *word;
		enum warder_class class_;
		const char *rule, *what;
	} others[] = {
		{ "signal", WARDER_CLASS_SIGNAL, "{deny: [\"*\"]}", "every signal is denied" },
		{ "ptrace", WARDER_CLASS_PTRACE, "{deny: [\"*\"]}", "all of ptrace is denied" },
		{ "unix", WARDER_CLASS_NETWORK, "{deny: [\"*\"], family: unix}",
		  "every unix socket is denied" },
		{ "dbus", WARDER_CLASS_NETWORK,
		  "{deny: [connect, send], unix: [\"/{,var/}run/dbus/**\", \"/{,var/}run/user/*/bus\", "
		  "\"/tmp/dbus-*\"]}", "the usual sockets of the bus are denied" },
		{ "mqueue", WARDER_CLASS_IPC, "{deny: [mq]}", "every message queue is denied" },
		{ "io_uring", WARDER_CLASS_KERNEL, "{deny: [io_uring]}", "all of io_uring is denied" },
		{ "link", WARDER_CLASS_FILE, "{deny: [link], path: \"/**\"}", "every link is denied" },
		{ "change_profile", WARDER_CLASS_NONE, NULL, "nothing changes its profile anyway" },
		{ "change_hat", WARDER_CLASS_NONE, NULL, "nothing changes its profile anyway" },
		{ "set", WARDER_CLASS_NONE, NULL, "limits are the runtime's" },
		{ "rlimit", WARDER_CLASS_NONE, NULL, "limits are the runtime's" },
		{ "all", WARDER_CLASS_NONE, NULL, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		if (strcmp(word[0], others[i].word))
			continue;
		if (deny && !others[i].what)
			FAIL(r, "deny all: then nothing is left to carry over");
		else if (deny)
			LOST(r, "%s rules are not carried over%s: %s", word[0],
			     n > 1 ? " with their conditions" : "", others[i].what);
		else
			LOST(r, "%s rules are not carried over", word[0]);
		if (deny && others[i].rule)
			RULE(r, others[i].class_, "%s", others[i].rule);
		return true;
	}
	return false;
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

static void read_rule(struct reader *r)
{
	char *word[WORDS_MAX];
	size_t n = split(r->statement, word), first = 0;
	bool deny = false, audit = false, file = false;

	if (n == WORDS_MAX) {
		FAIL(r, "a rule of more than %d words", WORDS_MAX - 1);
		return;
	}
	for (; first < n; first++) {
		if (!strcmp(word[first], "deny"))
			deny = true;
		else if (!strcmp(word[first], "audit"))
			audit = true;
		else if (!strcmp(word[first], "file"))
			file = true;
		else if (!strcmp(word[first], "owner"))
			LOST(r, "owner is not carried over: the rule holds for every user");
		else if (!strncmp(word[first], "priority=", 9) || !strcmp(word[first], "quiet"))
			LOST(r, "%.40s is not carried over", word[first]);
		else if (strcmp(word[first], "allow"))
			break;
	}
	if (first == n) {
		const char *verb = deny ? "deny" : "allow", *more = audit ? ", audit: true" : "";

		/* All that can be done with files, execution included. */
		if (file) {
			RULE(r, WARDER_CLASS_FILE, "{%s: [\"*\"], path: [\"/\", \"/**\"]%s}", verb, more);
			RULE(r, WARDER_CLASS_EXEC, "{%s: \"/**\"%s}", verb, more);
		} else if (n) {
			LOST(r, "this rule is not understood");
		}
		return;
	}
	n -= first;
	if (!strcmp(word[first], "userns")) {
		RULE(r, WARDER_CLASS_NAMESPACE, "{%s: [user]%s}", deny ? "deny" : "allow",
		     audit ? ", audit: true" : "");
		return;
	}
	if (read_other(r, word + first, n, deny))
		return;
	if (!strcmp(word[first], "capability"))
		read_capability(r, word + first, n, deny, audit);
	else if (!strcmp(word[first], "network"))
		apparmor_network(r, word + first, n, deny, audit);
	else if (!strcmp(word[first], "mount") || !strcmp(word[first], "umount") ||
		 !strcmp(word[first], "remount") || !strcmp(word[first], "pivot_root"))
		apparmor_mount(r, word + first, n, deny, audit);
	else
		read_file_rule(r, word + first, n, deny, audit);
}

static void read_head(struct reader *r)
{
	char *word[WORDS_MAX], *slash;
	size_t n;

	const char *flags = strstr(r->statement, "flags");

	flags = flags ? flags : strchr(r->statement, '(');
	r->im.audit = flags && strstr(flags, "complain") != NULL;
	if (flags && strstr(flags, "unconfined"))
		LOST(r, "unconfined is not carried over: the rules are enforced");
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

static bool is_prefix(const char *statement)
{
	static const char *const words[] = { "deny", "audit", "owner", "allow", "quiet" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (!strncmp(statement, words[i], strlen(words[i])) &&
		    strchr(" ", statement[strlen(words[i])]))
			return true;
	return false;
}

static int read_all(struct reader *r)
{
	unsigned profiles = 0, skip = 0;
	int end;

	while ((end = read_statement(r)) > 0 && !r->im.err) {
		if (end == '{') {
			r->depth++;
			/* "deny { ... }" is no profile of its own. */
			if (!skip && r->depth > 1 && is_prefix(r->statement))
				FAIL(r, "a block with a prefix: write it before each of its rules");
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
				LOST(r, "%.80s is not carried over, nor what it denies (base/libc and "
					"base/tls hold what most programs need)",
				     r->statement);
			else if (!strncmp(r->statement, "alias", 5))
				LOST(r, "%.80s is not carried over: rules hold for the names that they "
					"are written with", r->statement);
		} else {
			read_rule(r);
		}
	}
	if (r->im.err)
		return r->im.err;
	if (end < 0 && end != -ENODATA)
		return end;
	if (profiles && (end < 0 || r->depth)) {
		if (!end)
			r->line = r->now;
		FAIL(r, "the text ends within %s: it is not whole", end ? "a rule" : "a profile");
		return -EINVAL;
	}
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
