// SPDX-License-Identifier: LGPL-2.1-or-later
/* Differences in mounts, and in what is done about refused calls. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy_diff.h"
#include "policy_internal.h"
#include "warder_decide.h"

/* -------------------------------------------------------------------- mounts */

#define MOUNT_TYPES_MAX (2 * WARDER_MOUNT_RULES_MAX + 1)
#define MOUNT_FLAGS_MAX 256

/* Names that either policy tells apart, one of each kind. */
struct mount_names {
	struct mount_name {
		__u64 set[2];
		char *name; /* NULL: the hooks do not know it */
	} *item;
	size_t count, cap;
};

struct mount_walk {
	struct diff *d;
	char type[MOUNT_TYPES_MAX][WARDER_FSTYPE_SIZE];
	size_t types;
	__u32 flags[MOUNT_FLAGS_MAX];
	size_t flag_sets;
	struct mount_names targets, sources;
	struct mount_names *names; /* the one that is being filled */
};

static const struct warder_mount_rule *mount_rule(const struct warder_image *img, __u32 i)
{
	return (const struct warder_mount_rule *)&img
		->b[img->h.mount.offset + i * sizeof(struct warder_mount_rule)];
}

static void mount_points(struct mount_walk *w)
{
	__u32 used = 0;
	unsigned bits;

	strcpy(w->type[w->types++], "otherfs");
	for (unsigned k = 0; k < 2; k++)
		for (__u32 i = 0; i < w->d->img[k]->h.mount.count; i++) {
			const struct warder_mount_rule *r = mount_rule(w->d->img[k], i);
			size_t j = 0;

			used |= r->require | r->forbid;
			while (j < w->types && memcmp(w->type[j], r->type, sizeof(r->type)))
				j++;
			if (j == w->types && r->type[0])
				memcpy(w->type[w->types++], r->type, sizeof(r->type));
		}
	bits = (unsigned)__builtin_popcount(used);
	if (bits <= 8) {
		/* Every subset of the flags that rules speak of. */
		__u32 set = 0;

		do {
			w->flags[w->flag_sets++] = set;
			set = (set - used) & used;
		} while (set);
		return;
	}
	w->d->out->incomplete = true;
	w->flags[w->flag_sets++] = 0;
	w->flags[w->flag_sets++] = used;
	for (__u32 left = used; left; left &= left - 1)
		w->flags[w->flag_sets++] = left & -left;
}

static int mount_add(struct mount_names *n, const __u64 set[2], const char *name)
{
	struct mount_name *item;

	if (vector_grow(&n->item, n->count, &n->cap, sizeof(*n->item)))
		return -ENOMEM;
	item = &n->item[n->count];
	memcpy(item->set, set, sizeof(item->set));
	item->name = name ? strdup(name) : NULL;
	if (name && !item->name)
		return -ENOMEM;
	n->count++;
	return 0;
}

static int mount_visit(struct product *p, __u32 old_state, __u32 new_state, void *arg)
{
	struct mount_walk *w = arg;
	const __u32 offset = (__u32)offsetof(struct warder_accept, set);
	const __u64 set[2] = {
		image_u64(w->d->img[0], warder_accept_at(w->d->img[0], old_state) + offset),
		image_u64(w->d->img[1], warder_accept_at(w->d->img[1], new_state) + offset),
	};
	char name[WARDER_PATH_MAX];

	for (size_t i = 0; i < w->names->count; i++)
		if (w->names->item[i].name && !memcmp(w->names->item[i].set, set, sizeof(set)))
			return 0;
	return product_name(p, name, sizeof(name)) ? mount_add(w->names, set, name) : 0;
}

static void mount_point(struct mount_walk *w, const struct mount_name *target,
			const struct mount_name *source, __u32 op, const char *type, __u32 flags)
{
	struct policy_request r = { .class_ = WARDER_CLASS_MOUNT, .access = op, .path = target->name,
				    .source = source->name, .fstype = type, .flags = flags };
	struct warder_verdict v[2];

	for (unsigned k = 0; k < 2; k++) {
		struct warder_mount_request m = { .op = op, .flags = flags, .targets = target->set[k],
						  .sources = source->set[k],
						  .source_known = source->name != NULL };

		if (type)
			memcpy(m.type.w, type, strlen(type));
		warder_decide_mount(w->d->img[k], w->d->pr[k], &m, &v[k]);
	}
	if (v[0].action != v[1].action || v[0].err != v[1].err || v[0].report != v[1].report)
		diff_request(w->d, &r, mount_op_name(op));
}

/* Where the hooks know the source it may be any, else none. */
static void mount_compare(struct mount_walk *w, __u32 op)
{
	bool typed = op == WARDER_MNT_NEW, known = typed || op == WARDER_MNT_ATTACH;
	size_t sources = known ? w->sources.count : 1, types = typed ? w->types : 1;
	size_t points = sources * w->targets.count * w->flag_sets * types;

	for (size_t i = 0; i < points && !w->d->err; i++) {
		size_t at = i;
		const char *type = typed ? w->type[at % types] : NULL;
		__u32 flags = w->flags[(at /= types) % w->flag_sets];
		const struct mount_name *target = &w->targets.item[(at /= w->flag_sets) % w->targets.count];
		const struct mount_name *source = &w->sources.item[at / w->targets.count];

		if (w->d->evaluations++ > DIFF_EVALUATIONS_MAX) {
			w->d->out->incomplete = true;
			return;
		}
		mount_point(w, target, source, op, type, flags);
	}
}

static int mount_names_fill(struct mount_walk *w, struct mount_names *names, __u32 start)
{
	w->names = names;
	return product_walk(w->d->img[0], w->d->img[1], warder_start(w->d->img[0], w->d->pr[0], start),
			    warder_start(w->d->img[1], w->d->pr[1], start), true, mount_visit, w,
			    &w->d->out->incomplete);
}

static void mount_names_done(struct mount_names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->item[i].name);
	free(n->item);
}

void diff_mounts(struct diff *d)
{
	struct mount_walk *w = calloc(1, sizeof(*w));
	static const __u64 unknown[2] = { 0, 0 };
	int err;

	if (!w) {
		d->err = -ENOMEM;
		return;
	}
	w->d = d;
	d->evaluations = 0;
	mount_points(w);
	err = mount_names_fill(w, &w->targets, WARDER_START_MOUNT_TARGET);
	if (!err)
		err = mount_add(&w->sources, unknown, NULL);
	if (!err)
		err = mount_names_fill(w, &w->sources, WARDER_START_MOUNT_SOURCE);
	for (unsigned op = 0; op < WARDER_MNT_BITS && !err; op++)
		mount_compare(w, 1u << op);
	mount_names_done(&w->targets);
	mount_names_done(&w->sources);
	free(w);
	if (!d->err)
		d->err = err;
}

/* ----------------------------------------------------------------- overrides */

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
	const __u32 offset = (__u32)offsetof(struct warder_accept, set);
	const __u64 set[2] = {
		image_u64(w->d->img[0], warder_accept_at(w->d->img[0], old_state) + offset),
		image_u64(w->d->img[1], warder_accept_at(w->d->img[1], new_state) + offset),
	};
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

/* Asks both what they do about a mount that a rule of policy `k` is for; 1 if that differs. */
static int override_differs(struct diff *d, unsigned k, const struct warder_override *o, const char *target,
			    const char *source, struct diff_item *item, char *text, size_t size)
{
	struct policy_test t = { .userns = WARDER_BY_USERNS_CONTAINER };
	char type[WARDER_FSTYPE_SIZE + 1] = "", options[1024];
	struct policy_test_result *r = calloc(2, sizeof(*r));
	int differ = 0;

	if (!r) {
		d->err = -ENOMEM;
		return 0;
	}
	memcpy(type, o->type, sizeof(o->type));
	options_text(d->img[k], o, options, sizeof(options));
	t.request = (struct policy_request){ .class_ = WARDER_CLASS_MOUNT, .access = o->ops, .path = target,
					     .flags = o->require, .fstype = type[0] ? type : NULL,
					     .source = o->bind ? image_string(d->img[k], o->bind) : source,
					     .options = options[0] ? options : NULL };
	for (unsigned n = 0; n < 2 && !d->err; n++)
		d->err = policy_test_override(d->img[n], &t, &r[n]);
	if (!d->err && r[0].override != r[1].override) {
		item->old_override = r[0].override;
		item->new_override = r[1].override;
		differ = request_arguments(&t.request, text, size) != NULL;
	}
	free(r);
	return differ;
}

/* A mount that one of the policies handles by the rule, and the other in another way. */
static void override_note(struct override_walk *w, enum diff_kind kind, int old, int new_, const char *what)
{
	struct diff *d = w->d;
	struct diff_item item = { .kind = kind, .class_ = WARDER_CLASS_OVERRIDE };
	const int at[2] = { old, new_ };
	char text[2048];
	bool shown = false;

	item.old_rule = old < 0 ? 0 : override_at(d->img[0], (__u32)old)->rule;
	item.new_rule = new_ < 0 ? 0 : override_at(d->img[1], (__u32)new_)->rule;
	for (unsigned k = 0; k < 2 && !shown && !d->err; k++) {
		const struct warder_override *o = at[k] < 0 ? NULL : override_at(d->img[k], (__u32)at[k]);
		const char *target;

		/* Who asks is root of the container, in its top profile. */
		if (!o || o->op != WARDER_OP_MOUNT || (o->by_uid && o->by_uid != WARDER_BY_ANY_UID) ||
		    (o->by_profile && o->by_profile != WARDER_BY_ANY_PROFILE))
			continue;
		target = old >= 0 && new_ >= 0 && w->apart[old][new_] ? w->apart[old][new_] :
			 o->any_target ? "/mnt" : w->target[k][at[k]];
		if (target)
			shown = override_differs(d, k, o, target, w->source[k][at[k]], &item, text,
						 sizeof(text));
	}
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
