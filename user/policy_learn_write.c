// SPDX-License-Identifier: LGPL-2.1-or-later
/* What was learned as the text of a policy. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy_learn.h"

#define TOLD_MAX 20 /* patterns that were taken back, in the head */

/* As a YAML scalar. */
static void put_pattern(FILE *f, const char *path)
{
	char buf[4 * WARDER_PATH_MAX];

	if (!strchr(path, LEARN_ANY) && !strchr(path, LEARN_NUMBER) && !strchr(path, LEARN_SECRET)) {
		fputs(request_quote(path, true, buf, sizeof(buf)), f);
		return;
	}
	fputc('"', f);
	for (; *path; path++) {
		unsigned char c = (unsigned char)*path;

		if (c == LEARN_ANY)
			fputc('*', f);
		else if (c == LEARN_NUMBER)
			fputs("[0-9]*", f);
		else if (c == LEARN_SECRET)
			fputs("{SECRETS}", f);
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

/* A name that is never generalised may hold the bytes that stand for patterns. */
static void put_path(FILE *f, const struct learn_item *it)
{
	char buf[4 * WARDER_PATH_MAX];

	if (it->never)
		fputs(request_quote(it->path, true, buf, sizeof(buf)), f);
	else
		put_pattern(f, it->path);
}

static int compare_items(const void *a, const void *b)
{
	const struct learn_item *x = a, *y = b;
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

static void put_indent(FILE *f, const struct learn_profile *p, const char *text)
{
	fprintf(f, "%s%s", *p->name ? "    " : "", text);
}

struct guards {
	char **text;
	size_t count, cap;
	int err;
};

static void guard_add(void *arg, const char *guard)
{
	struct guards *g = arg;

	if (g->err)
		return;
	if (vector_grow(&g->text, g->count, &g->cap, sizeof(*g->text)) ||
	    !(g->text[g->count] = strdup(guard)))
		g->err = -ENOMEM;
	else
		g->count++;
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Of each pattern. Only the count of them, sorted and once each. */
static int collect_guards(const struct learn_profile *p, struct guards *g)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->items; i++)
		if (!p->item[i].never && learn_is_pattern(p->item[i].path))
			learn_guards(p->item[i].path, guard_add, g);
	if (g->count)
		qsort(g->text, g->count, sizeof(*g->text), compare_texts);
	for (size_t i = 0; i < g->count; i++) {
		if (kept && !strcmp(g->text[kept - 1], g->text[i]))
			free(g->text[i]);
		else
			g->text[kept++] = g->text[i];
	}
	g->count = kept;
	return g->err;
}

static void guards_done(struct guards *g)
{
	for (size_t i = 0; i < g->count; i++)
		free(g->text[i]);
	free(g->text);
}

static int put_guards(const struct learn_profile *p, FILE *f)
{
	struct guards g = { 0 };
	int err = collect_guards(p, &g);

	if (!err && g.count) {
		put_indent(f, p, "  # names of secrets where there are patterns\n");
		put_indent(f, p, "  - deny: [\"*\"]\n");
		put_indent(f, p, "    path:\n");
	}
	for (size_t i = 0; !err && i < g.count; i++) {
		put_indent(f, p, "      - ");
		put_pattern(f, g.text[i]);
		fputc('\n', f);
	}
	guards_done(&g);
	return err;
}

/* What file rules say of an item: the exec rule of a program lets it be mapped. */
static __u32 file_mask(const struct learn_item *it)
{
	__u32 mask = it->mask & ~WARDER_ACC_EXEC;

	if (it->mask & WARDER_ACC_EXEC)
		mask &= ~WARDER_ACC_MAP_EXEC;
	if (mask & WARDER_ACC_WRITE)
		mask &= ~(WARDER_ACC_APPEND | WARDER_ACC_TRUNCATE);
	return mask;
}

static int put_files(const struct learn_profile *p, FILE *f)
{
	char words[256];
	bool head = false;

	for (size_t i = 0, end; i < p->items; i = end) {
		const struct learn_item *it = &p->item[i];
		__u32 mask = file_mask(it);

		for (end = i; end < p->items && p->item[end].mask == it->mask &&
			      !strcmp(p->item[end].programs, it->programs);
		     end++)
			;
		if (!mask)
			continue;
		if (!head)
			put_indent(f, p, "file:\n");
		head = true;
		put_indent(f, p, "  # by ");
		fprintf(f, "%s\n", *it->programs ? it->programs : "unknown programs");
		put_indent(f, p, "  - allow: [");
		fprintf(f, "%s]\n", policy_words(WARDER_CLASS_FILE, mask, ", ", words, sizeof(words)));
		put_indent(f, p, "    path:\n");
		for (size_t k = i; k < end; k++) {
			put_indent(f, p, "      - ");
			put_path(f, &p->item[k]);
			put_evidence(f, p->item[k].count, p->item[k].names, p->item[k].never, NULL);
		}
	}
	return head ? put_guards(p, f) : 0;
}

static void put_programs(const struct learn_profile *p, FILE *f)
{
	bool head = false;

	for (size_t i = 0; i < p->items; i++) {
		const struct learn_item *it = &p->item[i];
		char quoted[80];

		if (!(it->mask & WARDER_ACC_EXEC))
			continue;
		if (!head)
			put_indent(f, p, "exec:\n");
		head = true;
		put_indent(f, p, "  - allow: ");
		put_path(f, it);
		put_evidence(f, it->count, 1, false, it->programs);
		if (!it->to)
			continue;
		put_indent(f, p, "    profile: ");
		fputs(request_quote(it->to, false, quoted, sizeof(quoted)), f);
		put_evidence(f, it->to_count, 1, false, NULL);
	}
}

static void put_lines(const struct learn_profile *p, FILE *f)
{
	for (__u32 c = WARDER_CLASS_CAPABILITY; c < WARDER_CLASS__MAX; c++) {
		bool head = false;

		for (size_t i = 0; i < p->lines; i++) {
			if (p->line[i].class_ != c)
				continue;
			if (!head) {
				put_indent(f, p, class_name(c));
				fputs(":\n", f);
			}
			head = true;
			put_indent(f, p, c == WARDER_CLASS_MEMORY ? "  " : "  - ");
			fputs(p->line[i].text, f);
			put_evidence(f, p->line[i].count, 1, false, p->line[i].programs);
		}
	}
}

static bool has_class(const struct learn_profile *l, __u32 class_)
{
	for (size_t i = 0; i < l->lines; i++)
		if (l->line[i].class_ == class_)
			return true;
	return false;
}

/* `top`: NULL for the top profile itself. A profile has the top's rules of a class of which it says
 * nothing, so it says so. */
static int put_profile(const struct learn_profile *p, const struct learn_profile *top, FILE *f)
{
	int err;

	if (p->items)
		qsort(p->item, p->items, sizeof(*p->item), compare_items);
	put_indent(f, p, "defaults: {file: deny, exec: deny, capability: deny");
	for (__u32 c = WARDER_CLASS_CAPABILITY + 1; c < WARDER_CLASS__MAX; c++)
		if (class_name(c) &&
		    ((c == WARDER_CLASS_NETWORK && has_class(p, c)) || (top && has_class(top, c))))
			fprintf(f, ", %s: deny", class_name(c));
	fputs("}\n", f);
	err = put_files(p, f);
	put_programs(p, f);
	put_lines(p, f);
	return err;
}

/* Patterns that were taken back, as people write them. */
static void put_bans(const struct learner *l, FILE *f)
{
	size_t told = 0, all = 0;

	for (size_t k = 0; k < l->profiles; k++)
		all += l->profile[k].bans;
	if (!all)
		return;
	fputs("# Not made patterns, as something there was refused or has the name of a secret, or as\n"
	      "# there would be more of them than a policy can hold:\n", f);
	for (size_t k = 0; k < l->profiles; k++)
		for (size_t i = 0; i < l->profile[k].bans && told < TOLD_MAX; i++, told++) {
			fputs("#   ", f);
			put_pattern(f, l->profile[k].banned[i]);
			fputs(*l->profile[k].name ? "  in profile " : "\n", f);
			if (*l->profile[k].name)
				fprintf(f, "%s\n", l->profile[k].name);
		}
	if (all > told)
		fprintf(f, "#   and %zu more\n", all - told);
}

static void put_head(const struct learner *l, FILE *f)
{
	const struct learn_report *r = &l->report;

	fprintf(f, "# Learned from %lu recorded requests%s%s%s. Review it: everything here was done\n"
		   "# once at least, and nobody has said that it should be.\n"
		   "# A pattern stands where at least %u different names were seen in one place",
		r->requests, l->options->container ? " of container " : "",
		l->options->container ? l->options->container : "",
		r->refused ? " (and without what was refused)" : "", l->options->threshold);
	fprintf(f, ";\n# secrets, sockets and kernel settings are never generalised.\n");
	if (r->not_text)
		fprintf(f, "# Left out: %lu requests with names that are not UTF-8, or that no policy can "
			   "hold.\n", r->not_text);
	if (r->odd_profiles)
		fprintf(f, "# Left out: %lu requests of profiles that are called like none.\n",
			r->odd_profiles);
	if (r->contradictions)
		fprintf(f, "# %lu recorded refusals are allowed here, as the same was allowed at another "
			   "time.\n", r->contradictions);
	if (r->forks)
		fprintf(f, "# %lu programs led to several profiles: the first one seen stands here.\n",
			r->forks);
	put_bans(l, f);
}

static bool has_pattern(const struct learner *l)
{
	for (size_t k = 0; k < l->profiles; k++)
		for (size_t i = 0; i < l->profile[k].items; i++)
			if (!l->profile[k].item[i].never &&
			    learn_is_pattern(l->profile[k].item[i].path))
				return true;
	return false;
}

int learn_write(const struct learner *l, char **ret_text)
{
	char quoted[80];
	size_t size;
	FILE *f = open_memstream(ret_text, &size);
	int err;

	if (!f)
		return -ENOMEM;
	put_head(l, f);
	fprintf(f, "policy: %s\nmode: enforce\n", l->options->name);
	if (has_pattern(l)) {
		fputs("# see warder policy learn --list-never\nvars: {SECRETS: [", f);
		learn_put_secrets(f);
		fputs("]}\n", f);
	}
	err = put_profile(&l->profile[0], NULL, f);
	if (l->profiles > 1)
		fputs("profiles:\n", f);
	for (size_t k = 1; !err && k < l->profiles; k++) {
		const struct learn_profile *p = &l->profile[k];

		fprintf(f, "  %s:",
			request_quote(p->name, false, quoted, sizeof(quoted)));
		if (p->requests == 1)
			fputs("  # 1 request\n", f);
		else
			fprintf(f, "  # %lu requests\n", p->requests);
		err = put_profile(p, &l->profile[0], f);
	}
	if (fclose(f) && !err)
		err = -ENOMEM;
	return err;
}
