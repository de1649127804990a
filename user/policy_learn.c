// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Recorded requests -> a policy for a person to review: what was seen, how often and by whom, in
 * which profile, and names made into patterns only where enough different ones were seen, never
 * those of secrets. The text is compiled; all that it was learned from must be allowed by it, and
 * what the recording says was refused must not be allowed by a pattern: else that is taken back.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy_learn.h"

/* ------------------------------------------------------------------- evidence */

void learn_add_program(char programs[48], const char *program)
{
	char clean[20];
	size_t n = 0, used = strlen(programs);

	for (; program && *program && n < sizeof(clean) - 1; program++)
		clean[n++] = (unsigned char)*program > 0x20 && (unsigned char)*program < 0x7f &&
					     *program != '#' ? *program : '?';
	clean[n] = 0;
	if (!n || strstr(programs, clean))
		return;
	if (used + n + 3 < 44)
		sprintf(programs + used, "%s%s", used ? ", " : "", clean);
	else if (used + 6 < 48 && !strstr(programs, "..."))
		strcat(programs, ", ...");
}

/* The profile that an exec led to. */
static void add_transition(struct learner *all, struct learn_item *it, const char *to,
			   unsigned long count)
{
	if (!to)
		return;
	if (it->to && strcmp(it->to, to)) {
		all->report.forks++;
		return;
	}
	it->to = to;
	it->to_count += count;
}

/* Paths come sorted: an equal one is the last. */
static void add_item(struct learner *all, struct learn_profile *l, const struct observation *o,
		     const char *to)
{
	const struct policy_request *r = &o->event.request;
	struct learn_item *it = l->items ? &l->item[l->items - 1] : NULL;

	if (!it || strcmp(it->path, r->path)) {
		if (vector_grow(&l->item, l->items, &l->items_cap, sizeof(*l->item))) {
			all->err = -ENOMEM;
			return;
		}
		it = &l->item[l->items];
		*it = (struct learn_item) { .path = strdup(r->path), .names = 1,
					    .never = learn_is_never(r->path) ||
						     r->path[strcspn(r->path, "\1\2\3")] };
		if (!it->path) {
			all->err = -ENOMEM;
			return;
		}
		l->items++;
	}
	it->mask |= r->access;
	it->count += o->count;
	learn_add_program(it->programs, o->event.program);
	add_transition(all, it, to, o->count);
}

static void add_line(struct learner *all, struct learn_profile *l, enum warder_class class_,
		     const char *text, unsigned long count, const char *program)
{
	for (size_t k = 0; k < l->lines; k++)
		if (l->line[k].class_ == class_ && !strcmp(l->line[k].text, text)) {
			l->line[k].count += count;
			learn_add_program(l->line[k].programs, program);
			return;
		}
	if (vector_grow(&l->line, l->lines, &l->lines_cap, sizeof(*l->line))) {
		all->err = -ENOMEM;
		return;
	}
	l->line[l->lines] = (struct learn_line) { .class_ = class_, .text = strdup(text),
						  .count = count };
	if (!l->line[l->lines].text) {
		all->err = -ENOMEM;
		return;
	}
	learn_add_program(l->line[l->lines++].programs, program);
}

/* Those of another list. */
static void add_programs(char programs[48], const char *more)
{
	char list[48], *save = NULL;

	snprintf(list, sizeof(list), "%s", more);
	for (char *one = strtok_r(list, ", ", &save); one; one = strtok_r(NULL, ", ", &save))
		learn_add_program(programs, one);
}

/* What may be done to all of the container may be done to the same profile: a rule of its own for that would
 * never match. */
static void merge_peers(struct learn_profile *l)
{
	static const char same[] = ", peer: same}", container[] = ", peer: container}";

	for (size_t i = 0; i < l->lines; i++) {
		size_t len = strlen(l->line[i].text), head = len - (sizeof(same) - 1);

		if (len < sizeof(same) - 1 || strcmp(l->line[i].text + head, same))
			continue;
		for (size_t k = 0; k < l->lines; k++) {
			struct learn_line *to = &l->line[k];

			if (to->class_ != l->line[i].class_ || strncmp(to->text, l->line[i].text, head) ||
			    strcmp(to->text + head, container))
				continue;
			to->count += l->line[i].count;
			add_programs(to->programs, l->line[i].programs);
			free(l->line[i].text);
			memmove(&l->line[i], &l->line[i + 1], (l->lines - i - 1) * sizeof(l->line[i]));
			l->lines--;
			i--;
			break;
		}
	}
}

static bool is_of_container(const struct learner *l, const struct observation *o)
{
	const char *container = l->options->container;

	return !container || (o->event.container && !strcmp(o->event.container, container));
}

/* What was refused was not needed, and must stay refused. */
static bool is_refused(const struct observation *o)
{
	return !o->event.learn && o->event.action == WARDER_DENY;
}

/* Can a policy speak of it? A name that is no path, not UTF-8, or one of a peer or file system that
 * is none, would make all of the text unusable. */
static bool is_expressible(const struct policy_request *r)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t n;

	if (r->peer_name && (r->peer_name[0] == '.' || r->peer_name[0] == '-' ||
			     r->peer_name[strspn(r->peer_name, letters)]))
		return false;
	if (r->fstype && r->fstype[strspn(r->fstype, letters)])
		return false;
	if (!r->path || r->unreachable)
		return true;
	if (!learn_is_text(r->path))
		return false;
	if (r->abstract || !strcmp(r->path, "/"))
		return true;
	for (const char *p = r->path; *p; p += n) {
		if (*p++ != '/')
			return false;
		n = strcspn(p, "/");
		if (!n || n > 255 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
			return false;
	}
	return true;
}

/* Of a container with several policies the profiles are written as "shop+-"; here they become
 * one policy's, and their combination a profile of its own. False: none can be called so. */
static bool profile_name(const char *name, char buf[WARDER_NAME_SIZE])
{
	size_t n = 0;

	for (const char *p = name ? name : ""; *p; p++) {
		const char *put = p[0] == '-' && (p == name || p[-1] == '+') && (!p[1] || p[1] == '+') ?
					  "top" : NULL;

		if (n + 4 >= WARDER_NAME_SIZE)
			return false;
		if (put)
			n += (size_t)sprintf(buf + n, "%s", put);
		else
			buf[n++] = *p == '+' ? '.' : *p;
	}
	buf[n] = 0;
	return buf[0] != '.' && buf[0] != '-' &&
	       !buf[strspn(buf, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")];
}

static struct learn_profile *find_profile(struct learner *l, const char *name)
{
	for (size_t i = 0; i < l->profiles; i++)
		if (!strcmp(l->profile[i].name, name))
			return &l->profile[i];
	return NULL;
}

static struct learn_profile *get_profile(struct learner *l, const char *name)
{
	struct learn_profile *p = find_profile(l, name);

	if (p)
		return p;
	if (vector_grow(&l->profile, l->profiles, &l->profiles_cap, sizeof(*l->profile))) {
		l->err = -ENOMEM;
		return NULL;
	}
	p = &l->profile[l->profiles];
	*p = (struct learn_profile) { .name = strdup(name) };
	if (!p->name) {
		l->err = -ENOMEM;
		return NULL;
	}
	l->profiles++;
	return p;
}

/* The rule with more conditions has to come first: behind one with fewer it decides nothing. */
static int conditions(const struct policy_request *r)
{
	return r->class_ == WARDER_CLASS_MOUNT ? !!r->fstype + __builtin_popcount(r->flags) : 0;
}

static int compare_observations(const void *a, const void *b)
{
	const struct observation *x = *(const struct observation *const *)a;
	const struct observation *y = *(const struct observation *const *)b;
	int by = strcmp(x->event.request.path ? x->event.request.path : "",
			y->event.request.path ? y->event.request.path : "");

	by = by ? by : conditions(&y->event.request) - conditions(&x->event.request);
	return by ? by : x->first_line < y->first_line ? -1 : x->first_line > y->first_line;
}

/* NULL: it is left out. */
static struct learn_profile *profile_of(struct learner *l, const struct observation *o)
{
	char name[WARDER_NAME_SIZE];

	if (!is_expressible(&o->event.request)) {
		l->report.not_text += o->count;
		return NULL;
	}
	if (!profile_name(o->event.profile, name)) {
		l->report.odd_profiles += o->count;
		return NULL;
	}
	return get_profile(l, name);
}

static void gather_one(struct learner *l, const struct observation *o)
{
	cleanup_free char *rule = NULL;
	const struct policy_request *r = &o->event.request;
	struct learn_profile *p, *to = NULL;
	const char *led_to = NULL;
	char name[WARDER_NAME_SIZE];

	if (!is_of_container(l, o))
		return;
	if (is_refused(o)) {
		l->report.refused += o->count;
		return;
	}
	/* A profile that a program leads to is there, also if nothing was done in it. */
	if (o->event.transition && is_expressible(r) && profile_name(o->event.transition, name) && *name)
		to = get_profile(l, name);
	if (to)
		led_to = to->name;
	p = profile_of(l, o); /* profiles may move in memory, their names do not */
	if (!p)
		return;
	l->report.requests += o->count;
	p->requests += o->count;
	if (r->class_ == WARDER_CLASS_FILE || r->class_ == WARDER_CLASS_EXEC) {
		add_item(l, p, o, led_to);
		return;
	}
	rule = malloc(8 * WARDER_PATH_MAX);
	if (!rule)
		l->err = -ENOMEM;
	else if (request_rule(r, 0, rule, 8 * WARDER_PATH_MAX))
		add_line(l, p, r->class_, rule, o->count, o->event.program);
}

static void gather(struct learner *l)
{
	cleanup_free struct observation **sorted = malloc((l->o->count + 1) * sizeof(*sorted));

	/* By path, so that equal ones follow each other and are found at once from the end. */
	if (!sorted || !get_profile(l, "")) {
		l->err = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < l->o->count; i++)
		sorted[i] = l->o->item[i];
	qsort(sorted, l->o->count, sizeof(*sorted), compare_observations);
	for (size_t i = 0; i < l->o->count && !l->err; i++)
		gather_one(l, sorted[i]);
	for (size_t k = 0; k < l->profiles; k++)
		merge_peers(&l->profile[k]);
}

/* Of the round before; the patterns that were taken back stay. */
static void forget(struct learner *l)
{
	for (size_t k = 0; k < l->profiles; k++) {
		struct learn_profile *p = &l->profile[k];

		for (size_t i = 0; i < p->items; i++)
			free(p->item[i].path);
		for (size_t i = 0; i < p->lines; i++)
			free(p->line[i].text);
		p->items = p->lines = 0;
		p->requests = 0;
	}
	l->report = (struct learn_report) { .taken_back = l->report.taken_back };
}

static void learner_done(struct learner *l)
{
	forget(l);
	for (size_t k = 0; k < l->profiles; k++) {
		struct learn_profile *p = &l->profile[k];

		for (size_t i = 0; i < p->bans; i++)
			free(p->banned[i]);
		free(p->banned);
		free(p->item);
		free(p->line);
		free(p->name);
	}
	free(l->profile);
}

/* ------------------------------------------------------------------- checking */

static int compile(struct learner *l, const char *text, struct warder_image **ret,
		   struct warder_error *e)
{
	struct policy_diags diags = { 0 };
	struct policy *p = NULL;
	int err = policy_parse("learned", text, strlen(text), NULL, &p, &diags);

	if (!err)
		err = policy_compile(p, ret, &diags);
	policy_free(p);
	for (size_t i = 0; err && i < diags.count; i++)
		if (!diags.item[i].warning) {
			error_set(e, err, "what was learned is no policy, line %u: %s",
				  diags.item[i].line, diags.item[i].text);
			break;
		}
	policy_diags_done(&diags);
	for (size_t k = 0; !err && k < l->profiles; k++) {
		int number = image_find_profile(*ret, l->profile[k].name);

		if (number < 0)
			return error_set(e, -EINVAL, "what was learned has no profile %s",
					 l->profile[k].name);
		l->profile[k].number = (__u32)number;
	}
	return err;
}

/* Takes back the patterns of a profile by which a name is allowed one of `bits`. */
static int ban_allowing(struct learn_profile *p, const char *path, __u32 bits)
{
	int banned = 0;

	for (size_t i = 0; i < p->items; i++) {
		const struct learn_item *it = &p->item[i];
		int n = it->never || !(it->mask & bits) || !learn_is_pattern(it->path) ||
					!learn_pattern_matches(it->path, path) ?
				0 : learn_ban(p, it->path);

		if (n < 0)
			return n;
		banned += n;
	}
	return banned;
}

/* Takes back the patterns whose guards a name falls under. */
static int ban_guarding(struct learn_profile *p, const char *path)
{
	int banned = 0;

	for (size_t i = 0; i < p->items; i++) {
		const struct learn_item *it = &p->item[i];
		int n = it->never || !learn_is_pattern(it->path) ||
					!learn_guard_matches(it->path, path) ?
				0 : learn_ban(p, it->path);

		if (n < 0)
			return n;
		banned += n;
	}
	return banned;
}

/* How many patterns were taken back, or -errno. */
static int check_allowed(struct learner *l, const struct warder_image *img,
			 struct learn_profile *p, const struct observation *o,
			 struct warder_error *e)
{
	struct policy_request r = o->event.request;
	char request[3 * WARDER_PATH_MAX];
	struct warder_verdict v;
	int n = 0, top = 0, err;

	r.profile = p->number;
	err = policy_decide(img, &r, &v);
	if (err)
		return err;
	if (v.action == WARDER_ALLOW || v.why == WARDER_WHY_BASELINE)
		return 0;
	if (v.why == WARDER_WHY_RULE && r.path &&
	    (r.class_ == WARDER_CLASS_FILE || r.class_ == WARDER_CLASS_EXEC)) {
		/* A guard of the top profile holds in all. */
		n = ban_guarding(p, r.path);
		top = n < 0 || p == l->profile ? 0 : ban_guarding(l->profile, r.path);
	}
	if (n < 0 || top < 0)
		return n < 0 ? n : top;
	if (n + top)
		return n + top;
	return error_set(e, -EINVAL, "line %zu cannot be allowed by what was learned: %.200s",
			 o->first_line, request_text(&r, request, sizeof(request)));
}

static int compare_names(const void *a, const void *b)
{
	const struct learn_item *x = *(const struct learn_item *const *)a;
	const struct learn_item *y = *(const struct learn_item *const *)b;

	return x->names != y->names ? (x->names < y->names ? -1 : 1) : strcmp(x->path, y->path);
}

/* The guards of some thousand patterns are more than a policy may cost: takes back the half of the
 * patterns that stands for the fewest names. How many, or -errno. */
static int ban_half(struct learn_profile *p)
{
	cleanup_free const struct learn_item **pattern = malloc((p->items + 1) * sizeof(*pattern));
	size_t count = 0;
	int banned = 0;

	if (!pattern)
		return -ENOMEM;
	for (size_t i = 0; i < p->items; i++)
		if (!p->item[i].never && learn_is_pattern(p->item[i].path) &&
		    strncmp(p->item[i].path, "/proc/", 6))
			pattern[count++] = &p->item[i];
	if (count)
		qsort(pattern, count, sizeof(*pattern), compare_names);
	for (size_t i = 0; i < (count + 1) / 2; i++) {
		int n = learn_ban(p, pattern[i]->path);

		if (n < 0)
			return n;
		banned += n;
	}
	return banned;
}

static int ban_what_is_too_big(struct learner *l)
{
	int banned = 0;

	for (size_t k = 0; k < l->profiles; k++) {
		int n = ban_half(&l->profile[k]);

		if (n < 0)
			return n;
		banned += n;
	}
	return banned;
}

/* The same for what was refused. Which of several accesses it was is not recorded: a pattern may
 * allow none of them. */
static int check_refused(struct learner *l, const struct warder_image *img,
			 struct learn_profile *p, const struct observation *o)
{
	struct policy_request r = o->event.request;
	bool file = r.class_ == WARDER_CLASS_FILE;
	struct warder_verdict v;
	__u32 allowed = 0;
	int err, n;

	r.profile = p->number;
	err = policy_decide(img, &r, &v);
	if (err)
		return err;
	l->report.contradictions += v.action == WARDER_ALLOW ? o->count : 0;
	for (unsigned bit = 0; file && bit < 32; bit++) {
		r.access = o->event.request.access & 1u << bit;
		if (!r.access)
			continue;
		err = policy_decide(img, &r, &v);
		if (err)
			return err;
		allowed |= v.action == WARDER_ALLOW ? r.access : 0;
	}
	n = allowed ? ban_allowing(p, r.path, allowed) : 0;
	return n;
}

/* 0: all is well; else how many patterns were taken back, or -errno. */
static int check(struct learner *l, const char *text, struct warder_error *e)
{
	cleanup_free struct warder_image *img = NULL;
	int banned = 0, err = compile(l, text, &img, e);

	if (err && err != -ENOMEM && strstr(e->text, "too big"))
		banned = ban_what_is_too_big(l);
	if (banned)
		return banned;
	for (size_t i = 0; !err && i < l->o->count; i++) {
		const struct observation *o = l->o->item[i];
		struct learn_profile *p;
		char name[WARDER_NAME_SIZE];
		int n = 0;

		if (!is_of_container(l, o) || !profile_name(o->event.profile, name))
			continue;
		p = find_profile(l, name);
		if (p && is_refused(o))
			n = check_refused(l, img, p, o);
		else if (p && is_expressible(&o->event.request))
			n = check_allowed(l, img, p, o, e);
		if (n < 0)
			err = n;
		else
			banned += n;
	}
	return err ? err : banned;
}

/* One try. 1: patterns were taken back, try again. */
static int learn_once(struct learner *l, char **ret_text, struct warder_error *e)
{
	int n;

	gather(l);
	if (!l->err && !l->report.requests)
		return error_set(e, -EINVAL, "no request to learn from: record some with a policy in "
					     "mode learn or audit");
	for (size_t k = 0; !l->err && k < l->profiles; k++) {
		learn_generalise(&l->profile[k], l->options->threshold);
		l->err = l->profile[k].err;
	}
	if (l->err)
		return l->err;
	n = learn_write(l, ret_text);
	if (!n)
		n = check(l, *ret_text, e);
	if (n <= 0)
		return n;
	l->report.taken_back += (unsigned long)n;
	return 1;
}

int policy_learn(const struct observations *o, const struct learn_options *options,
		 char **ret_text, struct warder_error *reterr)
{
	struct learner l = { .o = o, .options = options };
	int err;

	*ret_text = NULL;
	while ((err = learn_once(&l, ret_text, reterr)) > 0) {
		/* Each round takes one more back, at least. */
		free(*ret_text);
		*ret_text = NULL;
		forget(&l);
	}
	/* How many contradictions there are is known once it has been checked. */
	if (!err && l.report.contradictions) {
		free(*ret_text);
		*ret_text = NULL;
		err = learn_write(&l, ret_text);
	}
	if (err) {
		free(*ret_text);
		*ret_text = NULL;
	}
	if (options->report)
		*options->report = l.report;
	learner_done(&l);
	return err;
}
