// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Mount and override rules that can never decide anything, by their targets' patterns: found by one
 * walk over the automata of both. At each name that an entry matches, others that come before it must
 * match as well.
 */
#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "policy_diff.h"
#include "policy_internal.h"
#include "warder_decide.h"

#define MOUNT_OPS WARDER_MNT_BITS

struct cover {
	const struct policy *p;
	const struct warder_image *img;
	/* Mount entries that decide before that entry, by operation, wherever their targets match. */
	uint64_t before[64][MOUNT_OPS];
	uint64_t denies[64];    /* mount entries that deny all of that override entry there */
	uint64_t overrides[64]; /* override entries before that one */
	/* Operations of which some name is left to the entry; of an override entry any. */
	uint32_t left[64];
	uint64_t not_denied, not_reached;
	/* Names were met, and by which entries they are covered. */
	uint64_t mounts_met, overrides_met;
	struct shadows by[64], denied_by[64], reached_by[64];
};

/* The first of the entries that come before; entries in `any` match every target. */
static size_t first_of(uint64_t before, uint64_t set)
{
	return before & set ? (size_t)__builtin_ctzll(before & set) : 64;
}

static void visit_mount(struct cover *c, size_t k, uint64_t set)
{
	for (unsigned op = 0; op < MOUNT_OPS; op++) {
		size_t i;

		if (!(c->p->mount[k].m.ops >> op & 1))
			continue;
		i = first_of(c->before[k][op], set);
		if (i == 64)
			c->left[k] |= 1u << op;
		else
			shadows_add(&c->by[k], c->p->mount[i].m.rule);
	}
}

static void visit_override(struct cover *c, size_t k, uint64_t mounts, uint64_t overrides)
{
	size_t i = first_of(c->denies[k], mounts), j = first_of(c->overrides[k], overrides);

	if (i == 64)
		c->not_denied |= 1ull << k;
	else
		shadows_add(&c->denied_by[k], c->p->mount[i].m.rule);
	if (j == 64)
		c->not_reached |= 1ull << k;
	else
		shadows_add(&c->reached_by[k], c->p->override[j].o.rule);
}

/* Entries without a target match every name. */
static uint64_t any_mounts(const struct policy *p)
{
	uint64_t any = 0;

	for (size_t i = 0; i < p->mounts; i++)
		any |= p->mount[i].m.any_target ? 1ull << i : 0;
	return any;
}

static uint64_t any_overrides(const struct policy *p)
{
	uint64_t any = 0;

	for (size_t i = 0; i < p->overrides; i++)
		any |= p->override[i].o.any_target ? 1ull << i : 0;
	return any;
}

static int cover_visit(struct product *product, __u32 mount_state, __u32 override_state, void *arg)
{
	struct cover *c = arg;
	uint64_t mounts = image_state_set(c->img, mount_state) | any_mounts(c->p);
	uint64_t overrides = image_state_set(c->img, override_state) | any_overrides(c->p);

	(void)product;
	c->mounts_met |= mounts;
	c->overrides_met |= overrides;
	for (size_t k = 0; k < c->p->mounts; k++)
		if (mounts >> k & 1)
			visit_mount(c, k, mounts);
	for (size_t k = 0; k < c->p->overrides; k++)
		if (overrides >> k & 1)
			visit_override(c, k, mounts, overrides);
	return 0;
}

/* Does mount entry i, where both targets match, decide `op` before entry k does? */
static bool mount_before(const struct policy *p, size_t i, size_t k, unsigned op)
{
	const struct policy_mount *a = &p->mount[i], *b = &p->mount[k];
	const struct policy_rule *r = &p->rule[a->m.rule - 1], *s = &p->rule[b->m.rule - 1];

	if (r == s || !(a->m.deny > b->m.deny || (a->m.deny == b->m.deny && i < k)) ||
	    (r->in != s->in && (r->in || !r->deny)))
		return false;
	return (a->m.ops >> op & 1) &&
	       mount_conditions_cover(a->m.require, a->m.forbid, a->m.type, b->m.require,
				      b->m.forbid, b->m.type) &&
	       (a->m.any_source || (!b->m.any_source && !strcmp(a->sources, b->sources)));
}

/* Is what override entry k matches denied by mount entry i, explicitly, where both targets match? */
static bool mount_denies(const struct policy *p, size_t i, size_t k)
{
	const struct policy_mount *a = &p->mount[i];
	const struct warder_override *o = &p->override[k].o;

	return a->m.deny && !p->rule[a->m.rule - 1].in && !a->m.require && !a->m.forbid &&
	       a->m.any_source && !(o->ops & ~a->m.ops) &&
	       (!a->m.type[0] || !strcmp(a->m.type, o->type));
}

static void cover_prepare(struct cover *c)
{
	const struct policy *p = c->p;

	for (size_t k = 0; k < p->mounts; k++)
		for (size_t i = 0; i < p->mounts; i++)
			for (unsigned op = 0; op < MOUNT_OPS; op++)
				if (mount_before(p, i, k, op))
					c->before[k][op] |= 1ull << i;
	for (size_t k = 0; k < p->overrides; k++) {
		for (size_t i = 0; i < p->mounts; i++)
			if (mount_denies(p, i, k))
				c->denies[k] |= 1ull << i;
		for (size_t i = 0; i < k; i++)
			if (override_covers(&p->override[i], &p->override[k]))
				c->overrides[k] |= 1ull << i;
	}
}

/* Each rule has entries that follow each other: all must be covered. What equal texts tell was said
 * when the rule was read, and left it broken. */
static void report_mounts(struct cover *c, struct policy_diags *diags)
{
	const struct policy *p = c->p;

	for (size_t k = 0, end; k < p->mounts; k = end) {
		const struct policy_rule *r = &p->rule[p->mount[k].m.rule - 1];
		bool all = !r->included && !r->broken;
		struct shadows by = { { 0 } };

		for (end = k; end < p->mounts && p->mount[end].m.rule == p->mount[k].m.rule; end++) {
			all &= (c->mounts_met >> end & 1) && !c->left[end];
			for (size_t i = 0; i <= SHADOWS_MAX; i++)
				shadows_add(&by, c->by[end].rule[i]);
		}
		if (all && by.rule[0])
			report_shadow(diags, p, r, &by);
	}
}

static bool override_acts(const struct warder_override *o)
{
	return o->do_ != WARDER_DO_REPORT && o->do_ != WARDER_DO_DENY;
}

static void report_overrides(struct cover *c, struct policy_diags *diags)
{
	const struct policy *p = c->p;

	for (size_t k = 0, end; k < p->overrides; k = end) {
		const struct policy_rule *r = &p->rule[p->override[k].o.rule - 1];
		bool all = !r->included && !r->broken;
		struct shadows by = { { 0 } };

		for (end = k; end < p->overrides && p->override[end].o.rule == p->override[k].o.rule; end++) {
			const struct warder_override *o = &p->override[end].o;
			bool met = c->overrides_met >> end & 1;

			all &= met && !(c->not_reached >> end & 1);
			for (size_t i = 0; i <= SHADOWS_MAX; i++)
				shadows_add(&by, c->reached_by[end].rule[i]);
			if (r->broken || o->op != WARDER_OP_MOUNT || !override_acts(o) || !met ||
			    (c->not_denied >> end & 1))
				continue;
			diag_add(diags, r->file, r->line, r->column, 1,
				 "this override rule can never act: the mount rule at %s:%u denies %s that "
				 "it matches, and an explicit deny is never overridden",
				 p->rule[c->denied_by[end].rule[0] - 1].file,
				 p->rule[c->denied_by[end].rule[0] - 1].line,
				 c->denied_by[end].rule[1] ? "with others all" : "all");
		}
		if (all && by.rule[0])
			report_shadow(diags, p, r, &by);
	}
}

int report_target_shadows(const struct policy *p, const struct warder_image *img,
			  struct policy_diags *diags)
{
	cleanup_free struct cover *c = calloc(1, sizeof(*c));
	__u32 pr = warder_profile_at(img, 0);
	bool incomplete = false;
	int err;

	if (!c)
		return -ENOMEM;
	if (p->mounts + p->overrides < 2)
		return 0;
	c->p = p;
	c->img = img;
	cover_prepare(c);
	/* Profiles share the automata: their masks say whose entries hold. */
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
