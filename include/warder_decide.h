/* SPDX-License-Identifier: LGPL-2.1-or-later OR GPL-2.0-only */
/*
 * The decision engine: decide(image, request) -> verdict. Pure C without helpers, maps
 * or kernel types, compiled into the BPF programs and into user space, so that the
 * simulator, the tests and the kernel cannot disagree.
 *
 * Every loop is bounded by a constant of warder_abi.h and every access to an image is
 * masked to its size. The image must have passed image_verify(); the masks only keep
 * a damaged one from reaching beyond itself.
 *
 * Precedence: deny > allow > class default. In audit mode a refusal becomes
 * WARDER_AUDIT in warder_verdict_finish(), for implicit refusals too; the baseline and
 * faults are refused in every mode.
 *
 * An image of several policies, a stack, is decided by each layer, and all must allow: of a class
 * X, warder_layer_X() is one layer's verdict, warder_join_X() joins it into that of the layers
 * before, and warder_decide_X() is what callers ask. A single policy pays one load for it.
 *
 * Thread-safety: everything is a function of its arguments.
 */
#ifndef WARDER_DECIDE_H
#define WARDER_DECIDE_H

#include "warder_abi.h"
#include "warder_dfa.h"

/* -------------------------------------------------------------- attribution */

struct warder_attribution {
	__u32 rule;
	__u32 err;
};

/*
 * What goes through the rules of a table keeps one number: the byte offset of the entry that decides
 * so far, 0 for none, with WARDER_FOUND_DENY when that is a deny rule. Those go before allow rules;
 * of several of one kind the first in the text. Each rule is tried by a global function, which BPF's
 * verifier walks once and not for each rule; no branch in the loops around it depends on what was
 * found, or there would be two of everything that follows.
 */
#define WARDER_FOUND_DENY (1u << 31)

WARDER_ENGINE __u32 warder_found(__u32 best, __u32 at, __u32 deny)
{
	return deny ? at | WARDER_FOUND_DENY : best ? best : at;
}

/* The first rule that decides one of `bits` in the accept record at `at`.
 * Returns rule << 8 | errno, 0 when no rule does. */
WARDER_ENGINE_GLOBAL int warder_attribute(const struct warder_image *img, __u32 at, __u32 bits,
					  __u32 deny)
{
	__u32 rules, count;

	if (!img)
		return 0;
	rules = WARDER_ACCEPT_FIELD(img, at, rules);
	count = WARDER_ACCEPT_FIELD(img, at, count);
	for (__u32 i = 0; i < WARDER_ACCEPT_RULES_MAX; i++) {
		__u32 entry = rules + i * (__u32)sizeof(struct warder_accept_rule);

		if (i >= count)
			break;
		if ((image_u32(img, entry) & bits) && image_u8(img, entry + 6) == deny)
			return (int)((__u32)image_u16(img, entry + 4) << 8 |
				     image_u8(img, entry + 7));
	}
	return 0;
}

/* ------------------------------------------------------------------ verdict */

WARDER_ENGINE void warder_verdict_allow(struct warder_verdict *v)
{
	__builtin_memset(v, 0, sizeof(*v)); /* WARDER_ALLOW, WARDER_WHY_DEFAULT */
}

WARDER_ENGINE void warder_verdict_deny(struct warder_verdict *v, __u32 why, __u32 err)
{
	v->action = WARDER_DENY;
	v->err = err;
	v->why = why;
	v->report = 1;
}

/* Refused by the baseline, whatever the policy and its mode. */
WARDER_ENGINE void warder_verdict_baseline(struct warder_verdict *v)
{
	warder_verdict_allow(v);
	warder_verdict_deny(v, WARDER_WHY_BASELINE, WARDER_EPERM);
}

/* The only place that turns a fault into a verdict: refused, whatever the mode. */
WARDER_ENGINE void warder_verdict_fault(struct warder_verdict *v, __u32 fault, __u32 err)
{
	warder_verdict_allow(v);
	warder_verdict_deny(v, WARDER_WHY_FAULT, err);
	v->fault = fault;
}

/* ---------------------------------------------------------------- profiles */

/* Byte offset of profile number `n`, the top profile's when there is no such number: callers
 * make sure of the number, see profile_find() in bpf/core.bpf.h. */
WARDER_ENGINE __u32 warder_profile_at(const struct warder_image *img, __u32 n)
{
	if (n >= img->h.profile.count || n >= WARDER_PROFILES_MAX)
		n = 0;
	return img->h.profile.offset + n * (__u32)sizeof(struct warder_profile);
}

/* Fields of the profile at byte offset `pr`: every engine function that takes `pr` means the
 * result of warder_profile_at(). */
#define WARDER_PROFILE_U32(img, pr, field) \
	image_u32(img, (pr) + (__u32)__builtin_offsetof(struct warder_profile, field))
#define WARDER_PROFILE_U64(img, pr, field) \
	image_u64(img, (pr) + (__u32)__builtin_offsetof(struct warder_profile, field))

/* The mode's part: audit and learn let pass what the policy refuses, and say so. */
WARDER_ENGINE void warder_verdict_finish(const struct warder_image *img, __u32 pr,
					 struct warder_verdict *v)
{
	if (v->action == WARDER_DENY && WARDER_PROFILE_U32(img, pr, mode) != WARDER_MODE_ENFORCE &&
	    v->why != WARDER_WHY_BASELINE && v->why != WARDER_WHY_FAULT)
		v->action = WARDER_AUDIT;
}

/* The DFA's start state for names of kind `start` (enum warder_start) in a profile. */
WARDER_ENGINE __u32 warder_start(const struct warder_image *img, __u32 pr, __u32 start)
{
	return image_u32(img, pr + (__u32)__builtin_offsetof(struct warder_profile, start) +
				      4 * (start & (WARDER_START__MAX - 1)));
}

/* Fields of the entry of rule number `rule`, 0 for no rule. */
#define WARDER_RULE_AT(img, rule)                                                              \
	((img)->h.rule.offset + ((rule) - 1) * (__u32)sizeof(struct warder_rule))

WARDER_ENGINE __u32 warder_rule_errno(const struct warder_image *img, __u32 rule)
{
	return image_u8(img, WARDER_RULE_AT(img, rule) +
				     (__u32)__builtin_offsetof(struct warder_rule, err));
}

/* Number of the profile that an exec rule leads to, 0: stay. */
WARDER_ENGINE __u32 warder_rule_profile(const struct warder_image *img, __u32 rule)
{
	return rule ? image_u16(img, WARDER_RULE_AT(img, rule) +
					     (__u32)__builtin_offsetof(struct warder_rule, profile))
		    : 0;
}

/* ------------------------------------------------------------------ layers */

/* Where a name lies in a text, and other small numbers, in one register: functions of their own
 * have five arguments at most. */
#define WARDER_PAIR(high, low) ((__u64)(high) << 32 | (__u32)(low))

/* The next layer's entry in the chain of the profile at `pr`; 0: there is none. */
WARDER_ENGINE __u32 warder_layer_next(const struct warder_image *img, __u32 pr)
{
	return WARDER_PROFILE_U32(img, pr, next);
}

/* 1 if x is not 0. Without a branch, of which the verifier would follow both ways. */
WARDER_ENGINE __u32 warder_nonzero(__u32 x)
{
	WARDER_OPAQUE(x);
	return (x | -x) >> 31;
}

/*
 * Which of two layers' verdicts stands, by the greater number: a refusal, then what would be one,
 * then what is to be reported, then a rule; of refusals an explicit deny goes before a default,
 * because it is never overridden.
 */
WARDER_ENGINE __u32 warder_verdict_weight(const struct warder_verdict *v)
{
	/* By enum warder_why, from below: default 4, rule 5, baseline 6, unreachable 4, fault 7. */
	__u32 refused = (0x74654u >> (4 * (v->why & 7)) & 7) + ((v->action & 1u) << 3);
	__u32 allowed = warder_nonzero(v->report) << 1 | warder_nonzero(v->rule);
	__u32 refuses = warder_nonzero(v->action);

	return refused * refuses + allowed * (1 - refuses);
}
_Static_assert(WARDER_DENY == 1 && WARDER_AUDIT == 2 && WARDER_WHY_RULE == 1 &&
		       WARDER_WHY_BASELINE == 2 && WARDER_WHY_UNREACHABLE == 3 &&
		       WARDER_WHY_FAULT == 4,
	       "warder_verdict_weight() goes by these numbers");

/* Of layer 0's verdict, that of a stack so far. */
WARDER_ENGINE void warder_verdict_begin(const struct warder_image *img, __u32 pr,
					struct warder_verdict *v)
{
	v->by[0] = v->rule;
	v->against = warder_nonzero(v->action);
	v->profile += warder_nonzero(v->profile) * (WARDER_PROFILE_U32(img, pr, number) -
						    WARDER_PROFILE_U32(img, pr, part));
}

/*
 * Joins the verdict `w` of the layer at `pr` into that of those before: all must allow. Each layer
 * goes its own way from profile to profile, so that a stack's next one may be named by several.
 */
WARDER_ENGINE_GLOBAL int warder_verdict_join(const struct warder_image *img, __u32 pr,
					     struct warder_verdict *v,
					     const struct warder_verdict *w)
{
	__u32 layer, number;

	if (!img || !v || !w)
		return 0;
	layer = WARDER_PROFILE_U32(img, pr, layer) & (WARDER_LAYERS_MAX - 1);
	number = WARDER_PROFILE_U32(img, pr, number) * (1 - warder_nonzero(v->profile));
	v->profile += warder_nonzero(w->profile) *
		      (number + w->profile - WARDER_PROFILE_U32(img, pr, part));
	v->against |= warder_nonzero(w->action) << layer;
	if (w->rule)
		v->by[layer] = w->rule;
	if (warder_verdict_weight(w) <= warder_verdict_weight(v))
		return 0;
	v->action = w->action;
	v->err = w->err;
	v->rule = w->rule;
	v->why = w->why;
	v->fault = w->fault;
	v->access = w->access;
	v->report = w->report;
	v->layer = layer;
	return 0;
}

/* `join`, with `pr`, a variable, at each further layer's entry; `v` is layer 0's verdict. Each is
 * joined by a global function: BPF's verifier walks that once, and not for each layer. Those of 7.x
 * look at it for each place of a call: the loop stays one. */
#define WARDER_JOIN_LAYERS(img, pr, v, join)                                                  \
	do {                                                                                  \
		if (!warder_layer_next(img, pr))                                              \
			break;                                                                \
		warder_verdict_begin(img, pr, v);                                             \
		WARDER_NO_UNROLL                                                              \
		for (__u32 layer_ = 1; layer_ < WARDER_LAYERS_MAX; layer_++) {                \
			(pr) = warder_layer_next(img, pr);                                    \
			if (!(pr))                                                            \
				break;                                                        \
			join;                                                                 \
		}                                                                             \
	} while (0)

/* Bit n: layer n is in the same profile of its own in the chains at `a` and `b`. */
WARDER_ENGINE_GLOBAL int warder_profile_common(const struct warder_image *img, __u32 a, __u32 b)
{
	__u32 common = 0;

	if (!img)
		return 0;
	for (__u32 i = 0; i < WARDER_LAYERS_MAX; i++) {
		if (WARDER_PROFILE_U32(img, a, part) == WARDER_PROFILE_U32(img, b, part))
			common |= 1u << i;
		a = warder_layer_next(img, a);
		b = warder_layer_next(img, b);
		if (!a || !b)
			break;
	}
	return (int)common;
}

/* A task in the profile at `now` has earned the one at `first`, and then the one at `then`, both of
 * a stack: of each layer the first step counts. The number of the profile that it enters. */
WARDER_ENGINE_GLOBAL int warder_profile_merge(const struct warder_image *img, __u32 now,
					      __u32 first, __u32 then)
{
	__u32 number = 0;

	if (!img)
		return 0;
	for (__u32 i = 0; i < WARDER_LAYERS_MAX; i++) {
		__u32 part = WARDER_PROFILE_U32(img, first, part);

		number += part == WARDER_PROFILE_U32(img, now, part) ?
				  WARDER_PROFILE_U32(img, then, part) :
				  part;
		now = warder_layer_next(img, now);
		first = warder_layer_next(img, first);
		then = warder_layer_next(img, then);
		if (!now || !first || !then)
			break;
	}
	return (int)number;
}

/* -------------------------------------------------------------- file, exec */

/* No rule of the layer can refuse or report a file access. */
WARDER_ENGINE int warder_file_is_trivial(const struct warder_image *img, __u32 pr)
{
	return WARDER_PROFILE_U32(img, pr, file_trivial) == 1;
}

/* Nor any rule of another layer: no name is needed. Of the profile's first entry. */
WARDER_ENGINE int warder_file_needs_names(const struct warder_image *img, __u32 pr)
{
	return WARDER_PROFILE_U32(img, pr, names) != 0;
}

WARDER_ENGINE __u32 warder_file_errno(const struct warder_image *img, __u32 pr, __u32 bits)
{
	return bits == WARDER_ACC_EXEC ? WARDER_PROFILE_U32(img, pr, exec_err)
				       : WARDER_PROFILE_U32(img, pr, file_err);
}

/* One layer's verdict on `access` (WARDER_ACC_*, all of them wanted) to an object at the end of
 * whose name its DFA is in `state`. */
WARDER_ENGINE void warder_layer_state(const struct warder_image *img, __u32 pr, __u32 state,
				       __u32 access, struct warder_verdict *v)
{
	__u32 at, allow, deny, audit, refused;

	warder_verdict_allow(v);
	at = warder_accept_at(img, state);
	allow = WARDER_ACCEPT_FIELD(img, at, allow);
	deny = WARDER_ACCEPT_FIELD(img, at, deny);
	audit = WARDER_ACCEPT_FIELD(img, at, audit);

	refused = access & deny;
	if (refused) {
		__u32 by = (__u32)warder_attribute(img, at, refused, 1);

		warder_verdict_deny(v, WARDER_WHY_RULE, by & 0xff);
		v->rule = by >> 8;
		v->access = refused;
	} else {
		refused = access & ~(allow | WARDER_PROFILE_U32(img, pr, file_default));
		if (refused) {
			warder_verdict_deny(v, WARDER_WHY_DEFAULT,
					    warder_file_errno(img, pr, refused));
			v->access = refused;
		} else if (access & allow) {
			v->why = WARDER_WHY_RULE;
			v->rule = (__u32)warder_attribute(img, at, access & allow, 0) >> 8;
			v->report = (access & audit) != 0;
			if (access == WARDER_ACC_EXEC)
				v->profile = warder_rule_profile(img, v->rule);
		}
	}
	warder_verdict_finish(img, pr, v);
}

WARDER_ENGINE_GLOBAL int warder_join_file(const struct warder_image *img,
					  const struct warder_text *text, __u64 off_len,
					  __u64 pr_access, struct warder_verdict *v)
{
	__u32 pr = pr_access >> 32, state;
	struct warder_verdict w;

	if (!img || !text || !v)
		return 0;
	state = warder_walk(img, text, warder_start(img, pr, WARDER_START_FILE), off_len >> 32,
			    (__u32)off_len);
	warder_layer_state(img, pr, state, (__u32)pr_access, &w);
	return warder_verdict_join(img, pr, v, &w);
}

/* The verdict on the object named text[off, off+len), a name as seen from the container's root. */
WARDER_ENGINE void warder_decide_file(const struct warder_image *img, __u32 pr,
				      const struct warder_text *text, __u32 off, __u32 len,
				      __u32 access, struct warder_verdict *v)
{
	__u32 state = warder_walk(img, text, warder_start(img, pr, WARDER_START_FILE), off, len);

	warder_layer_state(img, pr, state, access, v);
	WARDER_JOIN_LAYERS(img, pr, v,
			   warder_join_file(img, text, WARDER_PAIR(off, len),
					    WARDER_PAIR(pr, access), v));
}

WARDER_ENGINE void warder_layer_unreachable(const struct warder_image *img, __u32 pr, __u32 access,
					    struct warder_verdict *v)
{
	warder_verdict_allow(v);
	if (warder_file_is_trivial(img, pr))
		return;
	warder_verdict_deny(v, WARDER_WHY_UNREACHABLE, warder_file_errno(img, pr, access));
	v->access = access;
	warder_verdict_finish(img, pr, v);
}

WARDER_ENGINE_GLOBAL int warder_join_unreachable(const struct warder_image *img, __u32 pr,
						 __u32 access, struct warder_verdict *v)
{
	struct warder_verdict w;

	if (!img || !v)
		return 0;
	warder_layer_unreachable(img, pr, access, &w);
	return warder_verdict_join(img, pr, v, &w);
}

/* An object without a name in this container: detached, deleted, on a superblock that is
 * not in the container's table. Refused unless no file rule could have refused it. */
WARDER_ENGINE void warder_decide_unreachable(const struct warder_image *img, __u32 pr, __u32 access,
					     struct warder_verdict *v)
{
	warder_layer_unreachable(img, pr, access, v);
	WARDER_JOIN_LAYERS(img, pr, v, warder_join_unreachable(img, pr, access, v));
}

/* -------------------------------------------------------------- rename, link */

#define WARDER_EXDEV 18

#define WARDER_MOVE_FOLDER 1u   /* all names below change too */
#define WARDER_MOVE_EXCHANGE 2u /* both ends change places */
#define WARDER_MOVE_LINK 4u     /* the old name stays */

/*
 * Refuses when a deny rule at accept record `from` holds for an access that `to` grants, or when
 * one at `to` forbids to put anything there. `from_to` are both, `default_flags` the profile's
 * file_default and WARDER_MOVE_*. Returns 1 if it refused.
 */
WARDER_ENGINE_GLOBAL int warder_decide_carry(const struct warder_image *img, __u64 from_to,
					     __u64 default_flags, struct warder_verdict *v)
{
	__u32 at = from_to >> 32, to = (__u32)from_to, by;
	__u32 old_deny, new_deny, refused;

	if (!img || !v)
		return 0;
	old_deny = WARDER_ACCEPT_FIELD(img, at, deny);
	new_deny = WARDER_ACCEPT_FIELD(img, to, deny);
	refused = old_deny & (WARDER_ACCEPT_FIELD(img, to, allow) | (__u32)(default_flags >> 32)) &
		  ~new_deny;
	if (!(default_flags & WARDER_MOVE_LINK))
		refused |= old_deny & WARDER_ACC_DELETE;
	if (!refused) {
		refused = new_deny & (WARDER_ACC_CREATE | WARDER_ACC_WRITE);
		at = to;
	}
	if (!refused)
		return 0;
	by = (__u32)warder_attribute(img, at, refused, 1);
	warder_verdict_deny(v, WARDER_WHY_RULE, by & 0xff);
	v->rule = by >> 8;
	v->access = refused;
	return 1;
}

/*
 * A rename or link that both ends allow: does it carry an object out of a deny rule? An explicit
 * deny follows the object: it must not be got around by giving the object another name. A folder
 * may move only where every name below keeps the same rights, that is, where the (minimised) DFA
 * is in the same state below both names; else EXDEV, upon which programs copy file by file.
 * Rename and link need their own right at each end besides, see warder_decide_file(). One layer's
 * verdict; `v` holds one already.
 */
WARDER_ENGINE void warder_layer_move_state(const struct warder_image *img, __u32 pr,
					    __u32 old_state, __u32 new_state, __u32 flags,
					    struct warder_verdict *v)
{
	__u64 ends, default_flags;

	/* Within one pattern, which is what most renames are: nothing is denied that could be carried. */
	if (old_state == new_state &&
	    !WARDER_ACCEPT_FIELD(img, warder_accept_at(img, old_state), deny))
		return;
	if ((flags & WARDER_MOVE_FOLDER) &&
	    warder_state_below(img, old_state) != warder_state_below(img, new_state)) {
		warder_verdict_deny(v, WARDER_WHY_DEFAULT, WARDER_EXDEV);
		v->rule = 0;
		v->access = WARDER_ACC_RENAME;
	} else {
		ends = WARDER_PAIR(warder_accept_at(img, old_state),
				   warder_accept_at(img, new_state));
		default_flags = WARDER_PAIR(WARDER_PROFILE_U32(img, pr, file_default), flags);
		if (!warder_decide_carry(img, ends, default_flags, v) &&
		    (flags & WARDER_MOVE_EXCHANGE))
			warder_decide_carry(img, ends << 32 | ends >> 32, default_flags, v);
	}
	warder_verdict_finish(img, pr, v);
}

/* Joins the verdict of the layer at `pr` into `v`; `states` are those of both names. */
WARDER_ENGINE_GLOBAL int warder_join_move(const struct warder_image *img, __u64 pr_flags,
					  __u64 states, struct warder_verdict *v)
{
	struct warder_verdict w;

	if (!img || !v)
		return 0;
	warder_verdict_allow(&w);
	warder_layer_move_state(img, pr_flags >> 32, states >> 32, (__u32)states, (__u32)pr_flags,
				&w);
	return warder_verdict_join(img, pr_flags >> 32, v, &w);
}

/* The same by names, of all layers: `v` holds what was said of the ends. */
WARDER_ENGINE void warder_decide_move(const struct warder_image *img, __u32 pr,
				      const struct warder_text *text, __u32 off, __u32 len,
				      const struct warder_text *second, __u32 second_off,
				      __u32 second_len, __u32 flags, struct warder_verdict *v)
{
	__u32 start, old_state, new_state;

	for (__u32 i = 0; i < WARDER_LAYERS_MAX && pr; i++) {
		start = warder_start(img, pr, WARDER_START_FILE);
		old_state = warder_walk(img, text, start, off, len);
		new_state = warder_walk(img, second, start, second_off, second_len);
		warder_join_move(img, WARDER_PAIR(pr, flags), WARDER_PAIR(old_state, new_state), v);
		pr = warder_layer_next(img, pr);
	}
}

/* ----------------------------------------------------------------- switches */

WARDER_ENGINE void warder_layer_bit(const struct warder_image *img, __u32 pr, __u32 which,
				     __u32 bit, struct warder_verdict *v)
{
	__u32 at = pr + (__u32)__builtin_offsetof(struct warder_profile, bits) +
		   (which & (WARDER_BITS__MAX - 1)) * (__u32)sizeof(struct warder_bits);
	__u64 mask;

	warder_verdict_allow(v);
	bit &= 63;
	mask = 1ull << bit;
	v->rule = image_u16(img, at + (__u32)__builtin_offsetof(struct warder_bits, rule) + 2 * bit);
	v->why = v->rule ? WARDER_WHY_RULE : WARDER_WHY_DEFAULT;
	if (!(image_u64(img, at) & mask))
		warder_verdict_deny(v, v->why,
				    v->rule ? warder_rule_errno(img, v->rule)
					    : image_u32(img, at + (__u32)__builtin_offsetof(
								     struct warder_bits, err)));
	else if (image_u64(img, at + (__u32)__builtin_offsetof(struct warder_bits, audit)) & mask)
		v->report = 1;
	warder_verdict_finish(img, pr, v);
}

WARDER_ENGINE_GLOBAL int warder_join_bit(const struct warder_image *img, __u32 pr, __u32 which,
					 __u32 bit, struct warder_verdict *v)
{
	struct warder_verdict w;

	if (!img || !v)
		return 0;
	warder_layer_bit(img, pr, which, bit, &w);
	return warder_verdict_join(img, pr, v, &w);
}

/*
 * Capabilities (`bit` is the number of one that the kernel would grant), memory, namespaces,
 * kernel surfaces: `which` is an enum warder_bits_class, `bit` the number within it.
 */
WARDER_ENGINE void warder_decide_bit(const struct warder_image *img, __u32 pr, __u32 which,
				     __u32 bit, struct warder_verdict *v)
{
	warder_layer_bit(img, pr, which, bit, v);
	WARDER_JOIN_LAYERS(img, pr, v, warder_join_bit(img, pr, which, bit, v));
}

WARDER_ENGINE void warder_decide_capability(const struct warder_image *img, __u32 pr, __u32 cap,
					    struct warder_verdict *v)
{
	warder_decide_bit(img, pr, WARDER_BITS_CAPABILITY, cap, v);
}

#include "warder_decide_mount.h"
#include "warder_decide_network.h"
#include "warder_decide_peer.h"
#include "warder_decide_unix.h"
#include "warder_decide_baseline.h"
#include "warder_decide_device.h"
#include "warder_decide_keyring.h"
#include "warder_decide_signed.h"

#endif
