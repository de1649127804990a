// SPDX-License-Identifier: LGPL-2.1-or-later
/* Differences in mounts. */
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
	const __u64 set[2] = { image_state_set(w->d->img[0], old_state),
			       image_state_set(w->d->img[1], new_state) };
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
