// SPDX-License-Identifier: LGPL-2.1-or-later
/* Differences in what is done about refused calls. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy_diff.h"
#include "policy_internal.h"
#include "warder_decide.h"

struct override_walk {
	struct diff *d;
	bool sources; /* the walk under way is over sources */
	bool differ[WARDER_OVERRIDES_MAX][WARDER_OVERRIDES_MAX]; /* their targets or sources */
	/* The first target on which a pair differs, and names that each of both policies' rules match. */
	char *apart[WARDER_OVERRIDES_MAX][WARDER_OVERRIDES_MAX];
	char *target[2][WARDER_OVERRIDES_MAX], *source[2][WARDER_OVERRIDES_MAX];
};

static const struct warder_override *override_at(const struct warder_image *img, __u32 i)
{
	return (const struct warder_override *)&img
		->b[img->h.override_.offset + i * sizeof(struct warder_override)];
}

/* Profiles are numbered as the text has them: compare their names. */
static const char *caller_profile(const struct warder_image *img, __u32 number)
{
	const struct warder_profile *p = image_profile(img, number);

	return number == WARDER_BY_ANY_PROFILE ? "*" : p ? image_string(img, p->name) : "";
}

/* All but targets and what belongs to the image. */
static bool same_override(const struct diff *d, __u32 i, __u32 j)
{
	struct warder_override a = *override_at(d->img[0], i), b = *override_at(d->img[1], j);

	if (strcmp(image_string(d->img[0], a.bind), image_string(d->img[1], b.bind)) ||
	    strcmp(image_string(d->img[0], a.handler), image_string(d->img[1], b.handler)) ||
	    strcmp(image_string(d->img[0], a.fuse), image_string(d->img[1], b.fuse)) ||
	    strcmp(caller_profile(d->img[0], a.by_profile), caller_profile(d->img[1], b.by_profile)))
		return false;
	for (unsigned n = 0; n < WARDER_OPTIONS_MAX; n++) {
		if (strcmp(image_string(d->img[0], a.option[n].text),
			   image_string(d->img[1], b.option[n].text)))
			return false;
		a.option[n].text = b.option[n].text = 0;
	}
	a.bind = !!a.bind;
	b.bind = !!b.bind;
	a.rule = b.rule = a.by_profile = b.by_profile = a.handler = b.handler = 0;
	a.fuse = b.fuse = 0;
	return !memcmp(&a, &b, sizeof(a));
}

static void keep_name(struct override_walk *w, char **to, const char *name)
{
	if (*to || !name)
		return;
	*to = strdup(name);
	if (!*to)
		w->d->err = -ENOMEM;
}

static int override_visit(struct product *p, __u32 old_state, __u32 new_state, void *arg)
{
	struct override_walk *w = arg;
	const __u64 set[2] = { image_state_set(w->d->img[0], old_state),
			       image_state_set(w->d->img[1], new_state) };
	char buf[WARDER_PATH_MAX];
	const char *name = set[0] | set[1] ? product_name(p, buf, sizeof(buf)) : NULL;

	for (unsigned k = 0; k < 2; k++)
		for (__u64 left = set[k]; left; left &= left - 1)
			keep_name(w, &(w->sources ? w->source : w->target)[k][__builtin_ctzll(left)], name);
	for (__u32 i = 0; i < w->d->img[0]->h.override_.count && i < WARDER_OVERRIDES_MAX; i++)
		for (__u32 j = 0; j < w->d->img[1]->h.override_.count && j < WARDER_OVERRIDES_MAX; j++) {
			if ((set[0] >> i & 1) == (set[1] >> j & 1))
				continue;
			w->differ[i][j] = true;
			if (!w->sources)
				keep_name(w, &w->apart[i][j], name);
		}
	return w->d->err;
}

/* "size=1048576,mode=x": options that the rule takes. */
static void options_text(const struct warder_image *img, const struct warder_override *o, char *buf,
			 size_t size)
{
	size_t used = 0;

	buf[0] = 0;
	for (__u32 i = 0; i < o->options && i < WARDER_OPTIONS_MAX && used < size; i++) {
		const struct warder_option *op = &o->option[i];

		used += (size_t)snprintf(buf + used, size - used, "%s%.16s=", i ? "," : "", op->name);
		if (op->compare == WARDER_CMP_LE && used < size)
			used += (size_t)snprintf(buf + used, size - used, "%llu",
						 (unsigned long long)op->bound);
		else if (used < size)
			used += (size_t)snprintf(buf + used, size - used, "%s",
						 op->compare == WARDER_CMP_EQ ? image_string(img, op->text) :
										"1");
	}
}

/* ----------------------------------------------------------------- witnesses */

#define CALLERS_MAX (WARDER_OVERRIDES_MAX + WARDER_PROFILES_MAX + 2)
#define NAMES_MAX (2 * WARDER_OVERRIDES_MAX + 4)
#define TRIES_MAX 1000 /* of one rule */

/* What can be put to both of the calls that a rule is for. */
struct candidates {
	__u32 uid[2 * WARDER_OVERRIDES_MAX + 2], userns[2];
	const char *profile[WARDER_PROFILES_MAX];
	const char *target[NAMES_MAX];
	size_t uids, usernss, profiles, targets, own_targets, values;
	char options[1024], type[WARDER_FSTYPE_SIZE + 1];
	char attribute[256]; /* of the value that is asked about */
};

static void add_uid(struct candidates *c, __u32 uid)
{
	for (size_t i = 0; i < c->uids; i++)
		if (c->uid[i] == uid)
			return;
	c->uid[c->uids++] = uid;
}

static void add_target(struct candidates *c, const char *name)
{
	if (name && c->targets < NAMES_MAX)
		c->target[c->targets++] = name;
}

/* Root of the container in its top profile first, if the rule is for that. */
static void fill_callers(const struct diff *d, unsigned k, const struct warder_override *o,
			 struct candidates *c)
{
	__u32 other = 1;

	if (o->by_uid != WARDER_BY_ANY_UID) {
		add_uid(c, o->by_uid);
	} else {
		add_uid(c, 0);
		for (unsigned n = 0; n < 2; n++)
			for (__u32 i = 0; i < d->img[n]->h.override_.count && i < WARDER_OVERRIDES_MAX; i++)
				if (override_at(d->img[n], i)->by_uid != WARDER_BY_ANY_UID)
					add_uid(c, override_at(d->img[n], i)->by_uid);
		/* And one that no rule names. */
		for (size_t i = 0; i < c->uids; i++)
			if (c->uid[i] == other) {
				other++;
				i = (size_t)-1;
			}
		add_uid(c, other);
	}
	if (o->by_userns & WARDER_BY_USERNS_CONTAINER)
		c->userns[c->usernss++] = WARDER_BY_USERNS_CONTAINER;
	if (o->by_userns & WARDER_BY_USERNS_NESTED)
		c->userns[c->usernss++] = WARDER_BY_USERNS_NESTED;
	/* Who is in a profile that the other policy has not cannot be asked about. */
	for (__u32 i = 0; i < d->img[k]->h.profile.count && i < WARDER_PROFILES_MAX; i++) {
		const char *name = caller_profile(d->img[k], i);

		if ((o->by_profile == WARDER_BY_ANY_PROFILE || o->by_profile == i) &&
		    (!i || image_find_profile(d->img[!k], name) > 0))
			c->profile[c->profiles++] = i ? name : NULL;
	}
}

static void fill_calls(const struct override_walk *w, unsigned k, __u32 at, const char *apart,
		       struct candidates *c)
{
	const struct warder_override *o = override_at(w->d->img[k], at);

	add_target(c, apart);
	add_target(c, o->any_target ? "/mnt" : w->target[k][at]);
	c->own_targets = c->targets;
	/* Another rule may have its own: names that others tell apart. */
	for (unsigned n = 0; n < 2; n++)
		for (__u32 i = 0; i < w->d->img[n]->h.override_.count && i < WARDER_OVERRIDES_MAX; i++)
			add_target(c, w->target[n][i]);
	if (!c->targets)
		add_target(c, "/mnt");
	memcpy(c->type, o->type, sizeof(o->type));
	options_text(w->d->img[k], o, c->options, sizeof(c->options));
	c->values = o->op != WARDER_OP_MOUNT && o->options ? o->options : 1;
}

/* Entry `n` of the values that the rule lists, or some value where it lists none. */
static void ask_value(const struct warder_image *img, const struct warder_override *o, size_t n,
		      struct candidates *c, struct policy_test *t)
{
	const struct warder_option *op = o->options ? &o->option[n] : NULL;
	char *value;

	switch (o->op) {
	case WARDER_OP_MKNOD:
		t->device_type = op ? WARDER_DEVICE_KEY_TYPE(op->bound) : WARDER_DEVICE_CHAR;
		t->device_major = op ? WARDER_DEVICE_KEY_MAJOR(op->bound) : 1;
		t->device_minor = op ? WARDER_DEVICE_KEY_MINOR(op->bound) : 3;
		break;
	case WARDER_OP_SETXATTR:
		snprintf(c->attribute, sizeof(c->attribute), "%s",
			 op ? image_string(img, op->text) : "trusted.overlay.opaque=y");
		value = strchr(c->attribute, '=');
		if (value)
			*value++ = 0;
		t->attribute = c->attribute;
		t->value = value;
		break;
	case WARDER_OP_SCHED_SETSCHEDULER:
	case WARDER_OP_SETPRIORITY:
		if (op ? !strcmp(op->name, WARDER_OPTION_NICE) : o->op == WARDER_OP_SETPRIORITY) {
			t->nice = op ? (int)(__s64)op->bound : -1;
			t->sets_nice = 1;
		} else {
			t->realtime = op ? (int)op->bound : 1;
		}
		break;
	default:
		break;
	}
}

static void ask_call(const struct override_walk *w, unsigned k, __u32 at, const char *target,
		     size_t value, struct candidates *c, struct policy_test *t)
{
	const struct warder_image *img = w->d->img[k];
	const struct warder_override *o = override_at(img, at);

	if (o->op == WARDER_OP_MOUNT) {
		t->request = (struct policy_request){
			.class_ = WARDER_CLASS_MOUNT, .access = o->ops, .path = target, .flags = o->require,
			.fstype = c->type[0] ? c->type : NULL,
			.source = o->bind ? image_string(img, o->bind) : w->source[k][at],
			.options = c->options[0] ? c->options : NULL };
		return;
	}
	t->op = o->op;
	t->request.class_ = WARDER_CLASS_OVERRIDE;
	if (OVERRIDE_OPS_WITH_TARGET >> o->op & 1)
		t->path = target;
	ask_value(img, o, value, c, t);
}

/* Puts it to both; 1 if they do another thing, and policy `k` by that rule or `any`. */
static int ask_both(struct diff *d, unsigned k, const struct warder_override *o, bool any,
		    const struct policy_test *t, struct diff_item *item)
{
	struct policy_test_result *r = calloc(2, sizeof(*r));
	int differ = 0;

	if (!r)
		d->err = -ENOMEM;
	for (unsigned n = 0; n < 2 && !d->err; n++)
		d->err = policy_test_override(d->img[n], t, &r[n]);
	if (!d->err && strcmp(r[0].effect, r[1].effect) &&
	    (any || (r[k].override != TEST_OVERRIDE_NONE && r[k].override_rule == o->rule))) {
		item->old_override = r[0].override;
		item->new_override = r[1].override;
		snprintf(item->old_effect, sizeof(item->old_effect), "%s", r[0].effect);
		snprintf(item->new_effect, sizeof(item->new_effect), "%s", r[1].effect);
		differ = 1;
	}
	free(r);
	return differ;
}

/* A call that rule `at` of policy `k` is for, and about which the policies do another thing. Callers
 * change first, then values, then names. 1: it is in `text`. */
static int find_witness(const struct override_walk *w, unsigned k, __u32 at, const char *apart,
			struct diff_item *item, char *text, size_t size)
{
	const struct warder_override *o = override_at(w->d->img[k], at);
	cleanup_free struct candidates *c = calloc(1, sizeof(*c));
	size_t callers, points;

	if (!c) {
		w->d->err = -ENOMEM;
		return 0;
	}
	fill_callers(w->d, k, o, c);
	fill_calls(w, k, at, apart, c);
	callers = c->uids * c->usernss * c->profiles;
	points = callers * c->values * c->targets;
	for (size_t i = 0; i < points && i < TRIES_MAX && !w->d->err; i++) {
		size_t who = i % callers, n = i / callers / c->values;
		struct policy_test t = { .uid = c->uid[who % c->uids],
					 .userns = c->userns[who / c->uids % c->usernss],
					 .profile = c->profile[who / c->uids / c->usernss] };

		ask_call(w, k, at, c->target[n], i / callers % c->values, c, &t);
		if (ask_both(w->d, k, o, n < c->own_targets, &t, item))
			return policy_test_arguments(&t, text, size) != NULL;
	}
	return 0;
}

/* A call that one of the policies handles by the rule, and the other in another way. */
static void override_note(struct override_walk *w, enum diff_kind kind, int old, int new_, const char *what)
{
	struct diff *d = w->d;
	struct diff_item item = { .kind = kind, .class_ = WARDER_CLASS_OVERRIDE };
	const int at[2] = { old, new_ };
	char text[4096];
	bool shown = false;

	item.old_rule = old < 0 ? 0 : override_at(d->img[0], (__u32)old)->rule;
	item.new_rule = new_ < 0 ? 0 : override_at(d->img[1], (__u32)new_)->rule;
	for (unsigned k = 0; k < 2 && !shown && !d->err; k++)
		if (at[k] >= 0)
			shown = find_witness(w, k, (__u32)at[k], old >= 0 && new_ >= 0 ? w->apart[old][new_] : NULL,
					     &item, text, sizeof(text));
	diff_add(d, &item, what, true, shown ? text : NULL);
}

void diff_overrides(struct diff *d)
{
	struct override_walk *w = calloc(1, sizeof(*w));
	__u32 n[2] = { d->img[0]->h.override_.count, d->img[1]->h.override_.count };
	int match[WARDER_OVERRIDES_MAX], last = -1;
	__u64 taken = 0;

	if (!w) {
		d->err = -ENOMEM;
		return;
	}
	w->d = d;
	if (n[0] || n[1])
		d->err = product_walk(d->img[0], d->img[1],
				      warder_start(d->img[0], d->pr[0], WARDER_START_OVERRIDE_TARGET),
				      warder_start(d->img[1], d->pr[1], WARDER_START_OVERRIDE_TARGET),
				      true, override_visit, w, &d->out->incomplete);
	w->sources = true;
	if ((n[0] || n[1]) && !d->err)
		d->err = product_walk(d->img[0], d->img[1],
				      warder_start(d->img[0], d->pr[0], WARDER_START_OVERRIDE_SOURCE),
				      warder_start(d->img[1], d->pr[1], WARDER_START_OVERRIDE_SOURCE),
				      true, override_visit, w, &d->out->incomplete);
	/* First those that are the same, then those whose targets changed. */
	for (__u32 i = 0; i < n[0]; i++)
		match[i] = -1;
	for (unsigned pass = 0; pass < 2; pass++)
		for (__u32 i = 0; i < n[0]; i++)
			for (__u32 j = 0; j < n[1] && match[i] < 0; j++) {
				if ((taken >> j & 1) || !same_override(d, i, j) ||
				    (!pass && w->differ[i][j]))
					continue;
				match[i] = (int)j;
				taken |= 1ull << j;
				if (pass)
					override_note(w, DIFF_CHANGED, (int)i, (int)j,
						      "the targets of this rule");
			}
	for (__u32 i = 0; i < n[0]; i++) {
		if (match[i] < 0)
			override_note(w, DIFF_REMOVED, (int)i, -1, "this rule");
		else if (match[i] < last)
			override_note(w, DIFF_CHANGED, (int)i, -1, "the order: the first match decides");
		last = match[i] > last ? match[i] : last;
	}
	for (__u32 j = 0; j < n[1]; j++)
		if (!(taken >> j & 1))
			override_note(w, DIFF_ADDED, -1, (int)j, "this rule");
	for (unsigned i = 0; i < WARDER_OVERRIDES_MAX; i++) {
		for (unsigned k = 0; k < 2; k++) {
			free(w->target[k][i]);
			free(w->source[k][i]);
		}
		for (unsigned j = 0; j < WARDER_OVERRIDES_MAX; j++)
			free(w->apart[i][j]);
	}
	free(w);
}
