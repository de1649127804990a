// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Names that become patterns, and those that never do. A pattern that could match a path of the
 * list is not made; names of the list that may lie in any folder are refused by a guard beside
 * the pattern.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cleanup.h"
#include "policy_learn.h"

/* '*' is any run here, in paths slashes included. Case does not matter. Without a slash: the name
 * of a file or a folder, wherever it lies. */
const char *const learn_never[] = {
	"*secret*", "*token*", "*passw*", "*passphrase*", "*credential*", "*apikey*", "*api_key*",
	"*api-key*", "*private*", "*.key", "*.pem", "*.p12", "*.pfx", "*.p8", "*.jks", "*.keystore",
	"*.keytab", "*.kdbx", "*.kdb", "*.ppk", "*.gpg", "*.ovpn", "*.sock", "*_history",
	"id_*", "*id_rsa*", "*id_ed25519*", "ssh_host_*", "shadow*", "gshadow*", "kubeconfig*",
	"authorized_keys*", ".env*", ".netrc*", "_netrc*", ".pgpass*", ".my.cnf*", ".npmrc*", ".pypirc*",
	/* Paths. */
	"/etc/shadow*", "/etc/gshadow*", "/etc/sudoers*", "/etc/ssh/*", "/etc/ssl/private/*",
	"/etc/krb5*", "/etc/security/*", "*/.ssh/*", "*/.gnupg/*", "*/.aws/*", "*/.azure/*",
	"*/.kube/*", "*/.docker/*", "*/.config/gcloud/*", "/run/secrets/*", "/var/run/secrets/*",
	"/proc/sys*", "/proc/kcore", "/proc/kallsyms", "/proc/kmsg", "/proc/kpage*", "/proc/*/mem",
	"/proc/*/environ", "/proc/*/auxv", "/proc/*/pagemap", "/proc/*/syscall", "/proc/*/stack",
	"/proc/*/root*", "/proc/*/cwd*", "/proc/*/map_files*", "/proc/*/attr/*", "/proc/*/?id_map",
	"/proc/*/clear_refs", "/sys/*", "/dev/*", "/boot/*", "/root/*", NULL,
};

static unsigned char lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c - 'A' + 'a') : c;
}

/* Of names that anybody may write: `len` bytes of s. '?' is one byte. Linear in both. */
static bool wild_matches(const char *wild, const char *s, size_t len)
{
	const char *star = NULL, *end = s + len, *again = s;

	while (s < end) {
		if (*wild == '*') {
			star = wild++;
			again = s;
		} else if (*wild && (*wild == '?' || lower((unsigned char)*wild) ==
							       lower((unsigned char)*s))) {
			wild++;
			s++;
		} else if (star) {
			wild = star + 1;
			s = ++again;
		} else {
			return false;
		}
	}
	return !wild[strspn(wild, "*")];
}

static bool component_is_never(const char *s, size_t len)
{
	for (size_t i = 0; learn_never[i]; i++)
		if (!strchr(learn_never[i], '/') && wild_matches(learn_never[i], s, len))
			return true;
	return false;
}

bool learn_is_never(const char *path)
{
	size_t len = strlen(path), n;

	for (size_t i = 0; learn_never[i]; i++)
		if (strchr(learn_never[i], '/') && wild_matches(learn_never[i], path, len))
			return true;
	for (const char *p = path; *p; p += n) {
		p += strspn(p, "/");
		n = strcspn(p, "/");
		if (n && component_is_never(p, n))
			return true;
	}
	return false;
}

/* ------------------------------------------------------------------- patterns */

bool learn_is_pattern(const char *path)
{
	return path[strcspn(path, "\1\2")] != 0;
}

/* Both end at a slash or the end of the text. */
static bool component_matches(const char *p, const char *s)
{
	const char *star = NULL, *again = s;

	while (*s && *s != '/') {
		if (*p == LEARN_ANY) {
			star = p++;
			again = s;
		} else if (*p == LEARN_NUMBER && *s >= '0' && *s <= '9') {
			star = p++;
			again = ++s;
		} else if (*p == *s && *p != LEARN_NUMBER) {
			p++;
			s++;
		} else if (star) {
			p = star + 1;
			s = ++again;
		} else {
			return false;
		}
	}
	while (*p == LEARN_ANY)
		p++;
	return !*p || *p == '/';
}

static bool components_match(const char *p, const char *s)
{
	while (*p == '/' && *s == '/') {
		size_t n = strcspn(++s, "/");

		p++;
		if (*p == LEARN_SECRET ? !component_is_never(s, n) : !component_matches(p, s))
			return false;
		p += strcspn(p, "/");
		s += n;
	}
	return !*p && !*s;
}

bool learn_pattern_matches(const char *pattern, const char *name)
{
	return components_match(pattern, name);
}

void learn_guards(const char *pattern, void (*fn)(void *arg, const char *guard), void *arg)
{
	char guard[WARDER_PATH_MAX];

	/* What lies in /proc is called by the kernel. */
	if (!strncmp(pattern, "/proc/", 6))
		return;
	for (const char *p = pattern, *end; *p; p = end) {
		end = p + 1 + strcspn(p + 1, "/");
		if (strcspn(p + 1, "\1\2") >= (size_t)(end - p - 1) ||
		    snprintf(guard, sizeof(guard), "%.*s/%c%s", (int)(p - pattern), pattern,
			     LEARN_SECRET, end) >= (int)sizeof(guard))
			continue;
		fn(arg, guard);
	}
}

struct guard_match {
	const char *name;
	bool found;
};

static void guard_match(void *arg, const char *guard)
{
	struct guard_match *m = arg;

	m->found |= components_match(guard, m->name);
}

bool learn_guard_matches(const char *pattern, const char *name)
{
	struct guard_match m = { .name = name };

	learn_guards(pattern, guard_match, &m);
	return m.found;
}

/* One alternative of the variable: of the names of one kind only one pattern, for the automaton's
 * sake. Kinds: '*' at both ends, in front, behind, at none. */
static void put_kind(FILE *f, unsigned kind, const char *separator)
{
	bool first = true;

	fprintf(f, "%s\"%s{", separator, kind & 1 ? "*" : "");
	for (size_t i = 0; learn_never[i]; i++) {
		const char *p = learn_never[i];
		size_t len = strlen(p);

		if (strchr(p, '/') || ((p[0] == '*') | (p[len - 1] == '*') << 1) != (int)kind)
			continue;
		fputs(first ? "" : ",", f);
		first = false;
		for (p += kind & 1; *p && *p != '*'; p++) {
			unsigned char c = (unsigned char)*p;

			if (c >= 'a' && c <= 'z')
				fprintf(f, "[%c%c]", c, c - 'a' + 'A');
			else
				fputc(c, f);
		}
	}
	fprintf(f, "}%s\"", kind & 2 ? "*" : "");
}

void learn_put_secrets(FILE *f)
{
	for (unsigned kind = 3; kind > 0; kind--)
		put_kind(f, kind, kind == 3 ? "" : ", ");
}

/* Do a pattern and an entry that is a path have a name in common? Both are walked together; a state
 * is a place in each. */
static bool patterns_meet(const char *pattern, const char *wild)
{
	size_t n = strlen(pattern) + 1, m = strlen(wild) + 1;
	cleanup_free bool *now = calloc(2 * n * m, sizeof(*now));
	cleanup_free size_t *todo = calloc(2 * n * m + 1, sizeof(*todo));
	size_t count = 0;

	if (!now || !todo)
		return true;
	/* A NUMBER is a digit, and behind it (the second half) as ANY. */
#define MEET_PUT(half, i, j)                                                                       \
	do {                                                                                       \
		size_t at_ = ((half) * n + (i)) * m + (j);                                         \
		if (!now[at_]) {                                                                   \
			now[at_] = true;                                                           \
			todo[count++] = at_;                                                       \
		}                                                                                  \
	} while (0)
	MEET_PUT(0u, 0u, 0u);
	for (size_t k = 0; k < count; k++) {
		size_t half = todo[k] / (n * m), i = todo[k] / m % n, j = todo[k] % m;
		char p = pattern[i], w = wild[j];
		bool any = p == LEARN_ANY || (p == LEARN_NUMBER && half);

		if (!p && !w)
			return true;
		if (any)
			MEET_PUT(0u, i + 1, j);
		if (w == '*')
			MEET_PUT(half, i, j + 1);
		if (!p || !w)
			continue;
		/* One byte that both take. */
		if (any && w != '/')
			MEET_PUT(half, i, w == '*' ? j : j + 1);
		else if (p == LEARN_NUMBER && !half &&
			 (w == '*' || w == '?' || (w >= '0' && w <= '9')))
			MEET_PUT(1u, i, w == '*' ? j : j + 1);
		else if (p != LEARN_NUMBER && !any &&
			 (w == '*' || w == '?' || lower((unsigned char)p) == lower((unsigned char)w)))
			MEET_PUT(0u, i + 1, w == '*' ? j : j + 1);
	}
#undef MEET_PUT
	return false;
}

/* Would the pattern match a path that is never generalised, or nothing but names that are not? */
static bool pattern_is_forbidden(const char *pattern)
{
	char plain[WARDER_PATH_MAX];
	size_t n = 0;

	for (const char *p = pattern; *p && n < sizeof(plain) - 1; p++)
		plain[n++] = *p == LEARN_ANY ? 'x' : *p == LEARN_NUMBER ? '1' : *p;
	plain[n] = 0;
	if (learn_is_never(plain))
		return true;
	for (size_t i = 0; learn_never[i]; i++)
		if (strchr(learn_never[i], '/') && patterns_meet(pattern, learn_never[i]))
			return true;
	return false;
}

/* Bytes that YAML takes as they are and that end no line: well-formed UTF-8 without control
 * characters, line separators and what is no character. */
bool learn_is_text(const char *name)
{
	const unsigned char *s = (const unsigned char *)name;

	while (*s) {
		unsigned more = *s < 0x80 ? 0 : *s < 0xc2 ? 4 : *s < 0xe0 ? 1 : *s < 0xf0 ? 2 : 3;
		__u32 c = more ? *s & (0x3fu >> more) : *s;

		if (more == 4 || *s > 0xf4)
			return false;
		for (unsigned i = 1; i <= more; i++) {
			if ((s[i] & 0xc0) != 0x80)
				return false;
			c = c << 6 | (s[i] & 0x3f);
		}
		if ((more == 2 && c < 0x800) || (more == 3 && (c < 0x10000 || c > 0x10ffff)) ||
		    (c >= 0x80 && c < 0xa0) || (c >= 0xd800 && c < 0xe000) || c == 0x2028 ||
		    c == 0x2029 || c == 0xfeff || (c & 0xfffe) == 0xfffe)
			return false;
		s += more + 1;
	}
	return true;
}

/* ----------------------------------------------------------------- taken back */

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

bool learn_is_banned(const struct learn_profile *l, const char *key)
{
	return l->bans && bsearch(&key, l->banned, l->bans, sizeof(*l->banned), compare_texts);
}

int learn_ban(struct learn_profile *l, const char *key)
{
	size_t at = l->bans;
	char *copy;

	if (learn_is_banned(l, key))
		return 0;
	copy = strdup(key);
	if (!copy || vector_grow(&l->banned, l->bans, &l->bans_cap, sizeof(*l->banned))) {
		free(copy);
		return -ENOMEM;
	}
	while (at > 0 && strcmp(l->banned[at - 1], copy) > 0) {
		l->banned[at] = l->banned[at - 1];
		at--;
	}
	l->banned[at] = copy;
	l->bans++;
	return 1;
}

/* --------------------------------------------------------------- generalising */

static bool all_digits(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] < '0' || s[i] > '9')
			return false;
	return len > 0;
}

/* /proc/PID: a number that is another one each time, however often it was seen. */
static char *key_proc(const struct learn_item *i)
{
	size_t len = !strncmp(i->path, "/proc/", 6) ? strspn(i->path + 6, "0123456789") : 0;
	char *key;

	if (!len || (i->path[6 + len] && i->path[6 + len] != '/') ||
	    asprintf(&key, "/proc/%c%s", LEARN_NUMBER, i->path + 6 + len) < 0)
		return NULL;
	/* Threads and descriptors, too. */
	for (char *p = strchr(key + 7, '/'); p; p = strchr(p + 1, '/')) {
		size_t n = strcspn(p + 1, "/");

		if (all_digits(p + 1, n)) {
			p[1] = LEARN_NUMBER;
			memmove(p + 2, p + 1 + n, strlen(p + 1 + n) + 1);
		}
	}
	return key;
}

/* One event is enough only for what every program may know of another one. */
static char *key_proc_once(const struct learn_item *i)
{
	static const char *const harmless[] = { "stat",	    "statm",	  "status", "comm",
						"cmdline",  "cgroup",	  "fd",	    "fdinfo",
						"task",	    "mountinfo",  "mounts", "limits",
						"maps",	    "oom_score",  "ns",	    "io",
						"schedstat", "wchan",	  "net",    "loginuid" };
	size_t digits = !strncmp(i->path, "/proc/", 6) ? strspn(i->path + 6, "0123456789") : 0;
	const char *base = strrchr(i->path, '/') + 1;

	if (!digits || (i->mask & ~(WARDER_ACC_READ | WARDER_ACC_LOCK)))
		return NULL;
	for (size_t k = 0; k < ARRAY_SIZE(harmless); k++)
		if (!strcmp(base, harmless[k]) || !i->path[6 + digits])
			return key_proc(i);
	return NULL;
}

static char *key_numbers(const struct learn_item *i)
{
	char *key = strdup(i->path), *out = key;
	bool found = false;

	if (!key)
		return NULL;
	for (const char *p = i->path; *p;) {
		size_t n;

		if (*p == '/') {
			*out++ = *p++;
			continue;
		}
		n = strcspn(p, "/");
		if (all_digits(p, n)) {
			*out++ = LEARN_NUMBER;
			found = true;
		} else {
			memcpy(out, p, n);
			out += n;
		}
		p += n;
	}
	*out = 0;
	if (!found) {
		free(key);
		return NULL;
	}
	return key;
}

/* "upload-x7Kq2Z.tmp": what follows the last separator is six letters and digits or more, not all
 * of them letters of one case. */
static char *key_temporary(const struct learn_item *i)
{
	const char *base = strrchr(i->path, '/') + 1, *mark = NULL, *end;
	bool digit = false, upper = false, lower = false;
	char *key;
	size_t n;

	for (const char *p = base; *p; p++)
		if (strchr(".-_", *p) && strspn(p + 1, "0123456789abcdefghijklmnopqrstuvwxyz"
						       "ABCDEFGHIJKLMNOPQRSTUVWXYZ") >= 6)
			mark = p + 1;
	if (!mark)
		return NULL;
	n = strcspn(mark, ".-_");
	end = mark + n;
	for (size_t k = 0; k < n; k++) {
		digit |= mark[k] >= '0' && mark[k] <= '9';
		upper |= mark[k] >= 'A' && mark[k] <= 'Z';
		lower |= mark[k] >= 'a' && mark[k] <= 'z';
	}
	if (digit + upper + lower < 2 && !digit)
		return NULL;
	if (asprintf(&key, "%.*s%c%s", (int)(mark - i->path), i->path, LEARN_ANY, end) < 0)
		return NULL;
	return key;
}

static char *key_extension(const struct learn_item *i)
{
	const char *base = strrchr(i->path, '/') + 1, *dot = strrchr(base, '.');
	char *key;

	if (!dot || dot == base || base == i->path + 1 ||
	    asprintf(&key, "%.*s%c%s", (int)(base - i->path), i->path, LEARN_ANY, dot) < 0)
		return NULL;
	return key;
}

static char *key_folder(const struct learn_item *i)
{
	const char *base = strrchr(i->path, '/') + 1;
	char *key;

	/* Everything in the root folder is no pattern. */
	if (base == i->path + 1 || !*base ||
	    asprintf(&key, "%.*s%c", (int)(base - i->path), i->path, LEARN_ANY) < 0)
		return NULL;
	return key;
}

static int compare_keys(const void *a, const void *b)
{
	const struct learn_item *x = a, *y = b;
	int by = !x->key - !y->key;

	if (!by && x->key)
		by = strcmp(x->key, y->key);
	return by ? by : x->mask != y->mask ? (x->mask < y->mask ? -1 : 1) :
			 strcmp(x->path, y->path);
}

/* Names with one key and one mask become the key where there are enough of them. */
static void generalise(struct learn_profile *l, char *(*key)(const struct learn_item *),
		       unsigned threshold)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->items; i++) {
		struct learn_item *it = &l->item[i];

		/* Programs are named one by one. */
		it->key = it->never || (it->mask & WARDER_ACC_EXEC) ? NULL : key(it);
	}
	if (l->items)
		qsort(l->item, l->items, sizeof(*l->item), compare_keys);
	for (size_t i = 0, end; i < l->items; i = end) {
		struct learn_item *it = &l->item[i];
		unsigned names = 0;

		for (end = i; end < l->items && it->key && l->item[end].key &&
			      !strcmp(it->key, l->item[end].key) && it->mask == l->item[end].mask;
		     end++)
			names += l->item[end].names;
		end += end == i;
		/* A pattern of an earlier pass counts as one name. */
		if (!it->key || end - i < threshold || pattern_is_forbidden(it->key) ||
		    learn_is_banned(l, it->key))
			continue;
		free(it->path);
		it->path = strdup(it->key);
		if (!it->path) {
			l->err = -ENOMEM;
			it->dropped = true;
			it->path = strdup("");
		}
		for (size_t k = i + 1; k < end; k++) {
			it->count += l->item[k].count;
			learn_add_program(it->programs, l->item[k].programs);
			l->item[k].dropped = true;
		}
		it->names = names;
	}
	for (size_t i = 0; i < l->items; i++) {
		free(l->item[i].key);
		l->item[i].key = NULL;
		if (l->item[i].dropped)
			free(l->item[i].path);
		else
			l->item[kept++] = l->item[i];
	}
	l->items = kept;
}

/* What patterns allow already, together as well, needs no rule of its own: it would never decide. */
static void drop_covered(struct learn_profile *l)
{
	cleanup_free size_t *pattern = malloc((l->items + 1) * sizeof(*pattern));
	size_t patterns = 0, kept = 0;

	if (!pattern) {
		l->err = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < l->items; i++)
		if (!l->item[i].never && learn_is_pattern(l->item[i].path))
			pattern[patterns++] = i;
	for (size_t i = 0; i < l->items; i++) {
		struct learn_item *it = &l->item[i];
		__u32 covered = 0;

		for (size_t k = 0; k < patterns; k++) {
			const struct learn_item *p = &l->item[pattern[k]];

			/* Of two that match each other the first one stays. */
			if (pattern[k] != i && !p->dropped && learn_pattern_matches(p->path, it->path))
				covered |= p->mask;
		}
		it->dropped = !it->never && !(it->mask & ~covered);
		/* A program is named for its exec rule. */
		if (!it->never && (it->mask & WARDER_ACC_EXEC))
			it->mask &= ~covered;
	}
	for (size_t i = 0; i < l->items; i++)
		if (l->item[i].dropped)
			free(l->item[i].path);
		else
			l->item[kept++] = l->item[i];
	l->items = kept;
}

void learn_generalise(struct learn_profile *l, unsigned threshold)
{
	generalise(l, key_proc_once, 1);
	generalise(l, key_proc, threshold);
	generalise(l, key_numbers, threshold);
	generalise(l, key_temporary, threshold);
	generalise(l, key_extension, threshold);
	generalise(l, key_folder, threshold);
	drop_covered(l);
}
