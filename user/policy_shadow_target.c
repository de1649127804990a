// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Mount and override rules that can never decide anything, by their targets' patterns: found by one
 * walk over the automata of both, in the top profile. Rules of other profiles, and what only several
 * rules together cover, are not looked at.
 */
#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "policy_diff.h"
#include "policy_internal.h"
#include "warder_decide.h"

struct cover {
	const struct policy *p;
	const struct warder_image *img;
	/* Mount entries whose targets hold all of that mount or override entry's. */
	uint64_t mount[64], override[64];
	uint64_t mounts, overrides; /* entries that some name of the top profile reaches */
};

static uint64_t set_at(const struct warder_image *img, __u32 state)
{
	return image_u64(img, warder_accept_at(img, state) +
				      (__u32)offsetof(struct warder_accept, set));
}

static int cover_visit(struct product *product, __u32 mount_state, __u32 override_state, void *arg)
{
	struct cover *c = arg;
	uint64_t mount = set_at(c->img, mount_state), override = set_at(c->img, override_state);

	(void)product;
	c->mounts |= mount;
	c->overrides |= override;
	for (unsigned k = 0; k < 64; k++) {
		c->mount[k] &= mount >> k & 1 ? mount : ~0ull;
		c->override[k] &= override >> k & 1 ? mount : ~0ull;
	}
	return 0;
}

/* Does mount entry i decide all that entry k would, and before it? */
static bool mount_covers(const struct cover *c, size_t i, size_t k)
{
	const struct policy_mount *a = &c->p->mount[i], *b = &c->p->mount[k];

	if (a->m.rule == b->m.rule || c->p->rule[a->m.rule - 1].in ||
	    !(a->m.deny > b->m.deny || (a->m.deny == b->m.deny && i < k)))
		return false;
	/* Equal texts were compared when the rule was read. */
	if (i < k && (a->m.any_target || (!b->m.any_target && !strcmp(a->targets, b->targets))))
		return false;
	return !(b->m.ops & ~a->m.ops) &&
	       mount_conditions_cover(a->m.require, a->m.forbid, a->m.type, true, "", b->m.require,
				      b->m.forbid, b->m.type, true, "") &&
	       (a->m.any_source || (!b->m.any_source && !strcmp(a->sources, b->sources))) &&
	       (a->m.any_target || (!b->m.any_target && c->mounts >> k & c->mount[k] >> i & 1));
}

/* Is all that override entry k matches denied by mount entry i, explicitly? */
static bool mount_denies(const struct cover *c, size_t i, size_t k)
{
	const struct policy_mount *a = &c->p->mount[i];
	const struct warder_override *o = &c->p->override[k].o;

	return a->m.deny && !c->p->rule[a->m.rule - 1].in && !a->m.require && !a->m.forbid &&
	       a->m.any_source && !(o->ops & ~a->m.ops) &&
	       (!a->m.type[0] || !strcmp(a->m.type, o->type)) &&
	       (a->m.any_target || (!o->any_target && c->overrides >> k & c->override[k] >> i & 1));
}

/* Each rule has entries that follow each other: all must be covered. */
static void report_mounts(const struct cover *c, struct policy_diags *diags)
{
	const struct policy *p = c->p;

	for (size_t k = 0, end; k < p->mounts; k = end) {
		const struct policy_rule *r = &p->rule[p->mount[k].m.rule - 1], *by = NULL;
		bool all = !r->included && !r->broken && !r->in;

		for (end = k; end < p->mounts && p->mount[end].m.rule == p->mount[k].m.rule; end++) {
			size_t i = 0;

			while (i < p->mounts && !mount_covers(c, i, end))
				i++;
			all &= i < p->mounts;
			if (all)
				by = &p->rule[p->mount[i].m.rule - 1];
		}
		if (all)
			report_shadow(diags, r, by);
	}
}

static void report_overrides(const struct cover *c, struct policy_diags *diags)
{
	const struct policy *p = c->p;

	for (size_t k = 0; k < p->overrides; k++) {
		const struct warder_override *o = &p->override[k].o;
		const struct policy_rule *r = &p->rule[o->rule - 1], *by;

		if (o->op != WARDER_OP_MOUNT || o->do_ == WARDER_DO_REPORT ||
		    o->do_ == WARDER_DO_DENY || r->broken)
			continue;
		for (size_t i = 0; i < p->mounts; i++) {
			if (!mount_denies(c, i, k))
				continue;
			by = &p->rule[p->mount[i].m.rule - 1];
			diag_add(diags, r->file, r->line, r->column, 1,
				 "this override rule can never act: the mount rule at %s:%u denies all "
				 "that it matches, and an explicit deny is never overridden",
				 by->file, by->line);
			break;
		}
	}
}

int report_target_shadows(const struct policy *p, const struct warder_image *img,
			  struct policy_diags *diags)
{
	cleanup_free struct cover *c = malloc(sizeof(*c));
	__u32 pr = warder_profile_at(img, 0);
	bool incomplete = false;
	int err;

	if (!c)
		return -ENOMEM;
	if (p->mounts + (p->overrides > 0) < 2)
		return 0;
	c->p = p;
	c->img = img;
	c->mounts = c->overrides = 0;
	memset(c->mount, 0xff, sizeof(c->mount));
	memset(c->override, 0xff, sizeof(c->override));
	err = product_walk(img, img, warder_start(img, pr, WARDER_START_MOUNT_TARGET),
			   warder_start(img, pr, WARDER_START_OVERRIDE_TARGET), true, cover_visit, c,
			   &incomplete);
	/* Not all was seen: nothing is known. */
	if (err || incomplete)
		return err;
	report_mounts(c, diags);
	report_overrides(c, diags);
	return 0;
}
