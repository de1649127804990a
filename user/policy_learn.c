// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Recorded requests -> a policy for a person to review: what was seen, how often and by whom, and
 * names made into patterns only where enough different ones were seen, never those of secrets.
 * The text is compiled and put to every request it was learned from before anybody gets it.
 */
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy_internal.h"
#include "policy_tools.h"

/* A path of one of these stays as it is, and no pattern is made that a name of theirs matches.
 * '*' is any run here, slashes included. */
const char *const learn_never[] = {
	"/etc/shadow*",	   "/etc/gshadow*",   "/etc/sudoers*", "/etc/ssh/*",  "/etc/ssl/private/*",
	"/etc/krb5*",	   "/etc/security/*", "*/.ssh/*",      "*/.gnupg/*",  "*/.aws/*",
	"*/.kube/*",	   "*/.docker/*",     "*/.netrc",      "*/.pgpass",   "*/.bash_history",
	"/run/secrets/*",  "/var/run/secrets/*", "*.key",      "*.pem",	      "*.p12",
	"*.sock",	   "*id_rsa*",	      "*id_ed25519*",  "*secret*",    "*token*",
	"*passw*",	   "*credential*",    "/proc/sys/*",   "/proc/sys*",  "/proc/kcore",
	"/proc/kallsyms",  "/sys/*",	      "/dev/*",	       "/boot/*",     "/root/*",
	NULL,
};

/* In a path: what was generalised. Names with these bytes are left as they are. */
#define ANY '\x01'    /* * */
#define NUMBER '\x02' /* [0-9]* */

struct item {
	char *path;
	__u32 mask;
	unsigned long count;
	unsigned names;
	bool never, dropped;
	char programs[48];
	char *key; /* of the pass under way */
};

struct line {
	enum warder_class class_;
	char *text; /* the rule */
	unsigned long count;
	char programs[48];
};

struct learner {
	const struct observations *o;
	const struct learn_options *options;
	struct item *item;
	size_t items, items_cap;
	struct line *line;
	size_t lines, lines_cap;
	unsigned long requests, denied;
	int err;
};

bool learn_is_never(const char *path)
{
	for (size_t i = 0; learn_never[i]; i++)
		if (!fnmatch(learn_never[i], path, 0))
			return true;
	return false;
}

/* ------------------------------------------------------------------- patterns */

static bool pattern_matches(const char *p, const char *s)
{
	for (; *p; p++, s++) {
		if (*p == NUMBER) {
			if (*s < '0' || *s > '9')
				return false;
		} else if (*p != ANY) {
			if (*p != *s)
				return false;
			continue;
		}
		for (size_t n = 0;; n++) {
			if (pattern_matches(p + 1, s + n))
				return true;
			if (!s[n] || s[n] == '/')
				return false;
		}
	}
	return !*s;
}

/* Would the pattern also match a name that is never generalised? Each entry stands for itself,
 * and for itself with something in place of its stars. */
static bool pattern_is_forbidden(const char *pattern)
{
	char sample[2 * WARDER_PATH_MAX], plain[WARDER_PATH_MAX];
	const char *slash = strrchr(pattern, '/');
	size_t n = 0;

	for (const char *p = pattern; *p && n < sizeof(plain) - 1; p++)
		plain[n++] = *p == ANY ? 'x' : *p == NUMBER ? '1' : *p;
	plain[n] = 0;
	if (learn_is_never(plain))
		return true;
	for (size_t i = 0; learn_never[i]; i++) {
		const char *never = learn_never[i];

		/* "*.key" may lie in any folder: such a name is kept apart when it is seen. */
		if (never[0] != '/' || !slash)
			continue;
		for (unsigned with = 0; with < 2; with++) {
			n = 0;
			for (const char *p = never; *p && n < sizeof(sample) - 2; p++) {
				if (*p != '*')
					sample[n++] = *p;
				else if (with)
					sample[n++] = 'x';
			}
			sample[n] = 0;
			if (pattern_matches(pattern, sample))
				return true;
		}
	}
	return false;
}

/* As a YAML scalar. */
static void put_pattern(FILE *f, const char *path)
{
	char buf[4 * WARDER_PATH_MAX];

	if (!strchr(path, ANY) && !strchr(path, NUMBER)) {
		fputs(request_quote(path, true, buf, sizeof(buf)), f);
		return;
	}
	fputc('"', f);
	for (; *path; path++) {
		unsigned char c = (unsigned char)*path;

		if (c == ANY)
			fputc('*', f);
		else if (c == NUMBER)
			fputs("[0-9]*", f);
		else if (strchr("?*[]{},", c))
			fprintf(f, "\\\\%c", c);
		else if (c == '\\')
			fputs("\\\\\\\\", f);
		else if (c == '"')
			fputs("\\\"", f);
		else if (c < 0x20 || c == 0x7f)
			fprintf(f, "\\x%02x", c);
		else
			fputc(c, f);
	}
	fputc('"', f);
}

/* ------------------------------------------------------------------- evidence */

static void add_program(char programs[48], const char *program)
{
	char clean[20];
	size_t n = 0, used = strlen(programs);

	for (; program && *program && n < sizeof(clean) - 1; program++)
		clean[n++] = (unsigned char)*program > 0x20 && *program != 0x7f && *program != '#' ?
				     *program : '?';
	clean[n] = 0;
	if (!n || strstr(programs, clean))
		return;
	if (used + n + 3 < 44)
		sprintf(programs + used, "%s%s", used ? ", " : "", clean);
	else if (used + 6 < 48 && !strstr(programs, "..."))
		strcat(programs, ", ...");
}

/* Paths come sorted: an equal one is the last. */
static void add_item(struct learner *l, const struct observation *o)
{
	const struct policy_request *r = &o->event.request;
	struct item *it = l->items ? &l->item[l->items - 1] : NULL;

	if (it && !strcmp(it->path, r->path)) {
		it->mask |= r->access;
		it->count += o->count;
		add_program(it->programs, o->event.program);
		return;
	}
	if (vector_grow(&l->item, l->items, &l->items_cap, sizeof(*l->item))) {
		l->err = -ENOMEM;
		return;
	}
	it = &l->item[l->items];
	*it = (struct item) { .path = strdup(r->path), .mask = r->access, .count = o->count,
			      .names = 1,
			      .never = learn_is_never(r->path) || strchr(r->path, ANY) ||
				       strchr(r->path, NUMBER) };
	if (!it->path) {
		l->err = -ENOMEM;
		return;
	}
	add_program(it->programs, o->event.program);
	l->items++;
}

static void add_line(struct learner *l, enum warder_class class_, const char *text,
		     unsigned long count, const char *program)
{
	for (size_t k = 0; k < l->lines; k++)
		if (l->line[k].class_ == class_ && !strcmp(l->line[k].text, text)) {
			l->line[k].count += count;
			add_program(l->line[k].programs, program);
			return;
		}
	if (vector_grow(&l->line, l->lines, &l->lines_cap, sizeof(*l->line))) {
		l->err = -ENOMEM;
		return;
	}
	l->line[l->lines] = (struct line) { .class_ = class_, .text = strdup(text), .count = count };
	if (!l->line[l->lines].text) {
		l->err = -ENOMEM;
		return;
	}
	add_program(l->line[l->lines++].programs, program);
}

/* Is this something that a policy should allow? What was refused was not needed. */
static bool is_evidence(const struct learner *l, const struct observation *o)
{
	const char *container = l->options->container;

	if (container && (!o->event.container || strcmp(o->event.container, container)))
		return false;
	return o->event.learn || o->event.action != WARDER_DENY;
}

static int compare_observations(const void *a, const void *b)
{
	const struct observation *x = *(const struct observation *const *)a;
	const struct observation *y = *(const struct observation *const *)b;
	int by = strcmp(x->event.request.path ? x->event.request.path : "",
			y->event.request.path ? y->event.request.path : "");

	return by ? by : x->first_line < y->first_line ? -1 : x->first_line > y->first_line;
}

static void gather(struct learner *l)
{
	cleanup_free struct observation **sorted = NULL;
	char rule[4 * WARDER_PATH_MAX];
	size_t n = l->o->count;

	/* By path, so that equal ones follow each other and are found at once from the end. */
	sorted = malloc((n + 1) * sizeof(*sorted));
	if (!sorted) {
		l->err = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < n; i++)
		sorted[i] = l->o->item[i];
	qsort(sorted, n, sizeof(*sorted), compare_observations);
	for (size_t i = 0; i < n && !l->err; i++) {
		const struct observation *o = sorted[i];
		const struct policy_request *r = &o->event.request;

		if (!is_evidence(l, o)) {
			l->denied += o->count;
			continue;
		}
		l->requests += o->count;
		if (r->class_ != WARDER_CLASS_FILE && r->class_ != WARDER_CLASS_EXEC) {
			if (request_rule(r, 0, rule, sizeof(rule)))
				add_line(l, r->class_, rule, o->count, o->event.program);
			continue;
		}
		add_item(l, o);
	}
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
static char *key_proc(const struct item *i)
{
	size_t len = !strncmp(i->path, "/proc/", 6) ? strspn(i->path + 6, "0123456789") : 0;
	char *key;

	if (!len || (i->path[6 + len] && i->path[6 + len] != '/') ||
	    asprintf(&key, "/proc/%c%s", NUMBER, i->path + 6 + len) < 0)
		return NULL;
	/* Threads and descriptors, too. */
	for (char *p = strchr(key + 7, '/'); p; p = strchr(p + 1, '/')) {
		size_t n = strcspn(p + 1, "/");

		if (all_digits(p + 1, n)) {
			p[1] = NUMBER;
			memmove(p + 2, p + 1 + n, strlen(p + 1 + n) + 1);
		}
	}
	return key;
}

static char *key_numbers(const struct item *i)
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
			*out++ = NUMBER;
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
static char *key_temporary(const struct item *i)
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
	if (asprintf(&key, "%.*s%c%s", (int)(mark - i->path), i->path, ANY, end) < 0)
		return NULL;
	return key;
}

static char *key_extension(const struct item *i)
{
	const char *base = strrchr(i->path, '/') + 1, *dot = strrchr(base, '.');
	char *key;

	if (!dot || dot == base || base == i->path + 1 ||
	    asprintf(&key, "%.*s%c%s", (int)(base - i->path), i->path, ANY, dot) < 0)
		return NULL;
	return key;
}

static char *key_folder(const struct item *i)
{
	const char *base = strrchr(i->path, '/') + 1;
	char *key;

	/* Everything in the root folder is no pattern. */
	if (base == i->path + 1 || !*base ||
	    asprintf(&key, "%.*s%c", (int)(base - i->path), i->path, ANY) < 0)
		return NULL;
	return key;
}

static int compare_keys(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	int by = !x->key - !y->key;

	if (!by && x->key)
		by = strcmp(x->key, y->key);
	return by ? by : x->mask != y->mask ? (x->mask < y->mask ? -1 : 1) :
			 strcmp(x->path, y->path);
}

/* Names with one key and one mask become the key where there are enough of them. */
static void generalise(struct learner *l, char *(*key)(const struct item *), unsigned threshold)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->items; i++) {
		struct item *it = &l->item[i];

		/* Programs are named one by one. */
		it->key = it->never || (it->mask & WARDER_ACC_EXEC) ? NULL : key(it);
	}
	if (l->items)
		qsort(l->item, l->items, sizeof(*l->item), compare_keys);
	for (size_t i = 0, end; i < l->items; i = end) {
		struct item *it = &l->item[i];
		unsigned names = 0;

		for (end = i; end < l->items && it->key && l->item[end].key &&
			      !strcmp(it->key, l->item[end].key) && it->mask == l->item[end].mask;
		     end++)
			names += l->item[end].names;
		end += end == i;
		/* A pattern of an earlier pass counts as one name. */
		if (!it->key || end - i < threshold || pattern_is_forbidden(it->key))
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
			add_program(it->programs, l->item[k].programs);
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

/* What patterns allow already needs no rule of its own. */
static void drop_covered(struct learner *l)
{
	cleanup_free size_t *pattern = malloc((l->items + 1) * sizeof(*pattern));
	size_t patterns = 0, kept = 0;

	if (!pattern) {
		l->err = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < l->items; i++)
		if (!l->item[i].never && l->item[i].path[strcspn(l->item[i].path, "\1\2")])
			pattern[patterns++] = i;
	for (size_t i = 0; i < l->items; i++) {
		struct item *it = &l->item[i];
		__u32 covered = 0;

		for (size_t k = 0; k < patterns && !(it->mask & WARDER_ACC_EXEC); k++) {
			const struct item *p = &l->item[pattern[k]];

			/* Of two that match each other the first one stays. */
			if (pattern[k] != i && !p->dropped && pattern_matches(p->path, it->path))
				covered |= p->mask;
		}
		it->dropped = !(it->mask & ~covered);
	}
	for (size_t i = 0; i < l->items; i++)
		if (l->item[i].dropped)
			free(l->item[i].path);
		else
			l->item[kept++] = l->item[i];
	l->items = kept;
}

static int compare_items(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	int by = strcmp(x->programs, y->programs);

	return by ? by : x->mask != y->mask ? (x->mask < y->mask ? -1 : 1) :
			 strcmp(x->path, y->path);
}

/* -------------------------------------------------------------------- writing */

static void put_evidence(FILE *f, unsigned long count, unsigned names, bool never,
			 const char *programs)
{
	fputs("  # ", f);
	if (count == 1)
		fputs("seen once", f);
	else
		fprintf(f, "%lu times", count);
	if (names > 1)
		fprintf(f, ", %u names", names);
	if (never)
		fputs(", never generalised", f);
	if (programs)
		fprintf(f, ", by %s", *programs ? programs : "?");
	fputc('\n', f);
}

static void put_files(struct learner *l, FILE *f)
{
	char words[256];
	bool head = false;

	for (size_t i = 0, end; i < l->items; i = end) {
		const struct item *it = &l->item[i];
		__u32 mask = it->mask & ~WARDER_ACC_EXEC;

		for (end = i; end < l->items && l->item[end].mask == it->mask &&
			      !strcmp(l->item[end].programs, it->programs);
		     end++)
			;
		/* The exec rule of a program lets it be mapped. */
		if (it->mask & WARDER_ACC_EXEC)
			mask &= ~WARDER_ACC_MAP_EXEC;
		if (mask & WARDER_ACC_WRITE)
			mask &= ~(WARDER_ACC_APPEND | WARDER_ACC_TRUNCATE);
		if (!mask)
			continue;
		if (!head)
			fputs("file:\n", f);
		head = true;
		fprintf(f, "  # by %s\n  - allow: [%s]\n    path:\n",
			*it->programs ? it->programs : "unknown programs",
			policy_words(WARDER_CLASS_FILE, mask, ", ", words, sizeof(words)));
		for (size_t k = i; k < end; k++) {
			fputs("      - ", f);
			put_pattern(f, l->item[k].path);
			put_evidence(f, l->item[k].count, l->item[k].names, l->item[k].never, NULL);
		}
	}
}

static void put_programs(struct learner *l, FILE *f)
{
	bool head = false;

	for (size_t i = 0; i < l->items; i++) {
		if (!(l->item[i].mask & WARDER_ACC_EXEC))
			continue;
		if (!head)
			fputs("exec:\n", f);
		head = true;
		fputs("  - allow: ", f);
		put_pattern(f, l->item[i].path);
		put_evidence(f, l->item[i].count, 1, false, l->item[i].programs);
	}
}

static void put_lines(struct learner *l, FILE *f)
{
	for (__u32 c = WARDER_CLASS_CAPABILITY; c < WARDER_CLASS__MAX; c++) {
		bool head = false;

		for (size_t i = 0; i < l->lines; i++) {
			if (l->line[i].class_ != c)
				continue;
			if (!head)
				fprintf(f, "%s:\n", class_name(c));
			head = true;
			fprintf(f, c == WARDER_CLASS_MEMORY ? "  %s" : "  - %s", l->line[i].text);
			put_evidence(f, l->line[i].count, 1, false, l->line[i].programs);
		}
	}
}

static bool has_class(const struct learner *l, __u32 class_)
{
	for (size_t i = 0; i < l->lines; i++)
		if (l->line[i].class_ == class_)
			return true;
	return false;
}

static int write_policy(struct learner *l, char **ret_text)
{
	size_t size;
	FILE *f = open_memstream(ret_text, &size);

	if (!f)
		return -ENOMEM;
	if (l->items)
		qsort(l->item, l->items, sizeof(*l->item), compare_items);
	fprintf(f, "# Learned from %lu recorded requests%s%s%s. Review it: everything here was done\n"
		   "# once at least, and nobody has said that it should be.\n"
		   "# A pattern stands where at least %u different names were seen in one place",
		l->requests, l->options->container ? " of container " : "",
		l->options->container ? l->options->container : "",
		l->denied ? " (and without what was refused)" : "", l->options->threshold);
	fprintf(f, ";\n# secrets, sockets and kernel settings are never generalised.\n");
	fprintf(f, "policy: %s\nmode: enforce\n", l->options->name);
	fprintf(f, "defaults: {file: deny, exec: deny, capability: deny%s}\n",
		has_class(l, WARDER_CLASS_NETWORK) ? ", network: deny" : "");
	put_files(l, f);
	put_programs(l, f);
	put_lines(l, f);
	return fclose(f) ? -ENOMEM : 0;
}

/* It must be accepted, and allow all that it was learned from. */
static int verify(struct learner *l, const char *text, struct warder_error *e)
{
	cleanup_free struct warder_image *img = NULL;
	struct policy_diags diags = { 0 };
	struct policy *p = NULL;
	char request[3 * WARDER_PATH_MAX];
	int err = policy_parse("learned", text, strlen(text), NULL, &p, &diags);

	if (!err)
		err = policy_compile(p, &img, &diags);
	policy_free(p);
	for (size_t i = 0; err && i < diags.count; i++)
		if (!diags.item[i].warning) {
			error_set(e, err, "what was learned is no policy, line %u: %s",
				  diags.item[i].line, diags.item[i].text);
			break;
		}
	policy_diags_done(&diags);
	for (size_t i = 0; !err && i < l->o->count; i++) {
		const struct observation *o = l->o->item[i];
		struct warder_verdict v;

		if (!is_evidence(l, o))
			continue;
		err = policy_decide(img, &o->event.request, &v);
		if (!err && v.action != WARDER_ALLOW && v.why != WARDER_WHY_BASELINE)
			err = error_set(e, -EINVAL,
					"line %zu cannot be allowed by what was learned: %.200s",
					o->first_line,
					request_text(&o->event.request, request, sizeof(request)));
	}
	return err;
}

int policy_learn(const struct observations *o, const struct learn_options *options,
		 char **ret_text, struct warder_error *reterr)
{
	struct learner l = { .o = o, .options = options };
	int err;

	*ret_text = NULL;
	gather(&l);
	if (!l.err && !l.requests)
		l.err = error_set(reterr, -EINVAL,
				  "no request to learn from: record some with a policy in mode "
				  "learn or audit");
	if (!l.err) {
		generalise(&l, key_proc, 1);
		generalise(&l, key_numbers, options->threshold);
		generalise(&l, key_temporary, options->threshold);
		generalise(&l, key_extension, options->threshold);
		generalise(&l, key_folder, options->threshold);
		drop_covered(&l);
	}
	err = l.err ? l.err : write_policy(&l, ret_text);
	if (!err)
		err = verify(&l, *ret_text, reterr);
	if (err) {
		free(*ret_text);
		*ret_text = NULL;
	}
	for (size_t i = 0; i < l.items; i++)
		free(l.item[i].path);
	for (size_t i = 0; i < l.lines; i++)
		free(l.line[i].text);
	free(l.item);
	free(l.line);
	return err;
}
