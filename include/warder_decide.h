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
	v->action = WARDER_ALLOW;
	v->err = 0;
	v->rule = 0;
	v->why = WARDER_WHY_DEFAULT;
	v->fault = WARDER_FAULT_NONE;
	v->access = 0;
	v->report = 0;
	v->profile = 0;
}

WARDER_ENGINE void warder_verdict_deny(struct warder_verdict *v, __u32 why, __u32 err)
{
	v->action = WARDER_DENY;
	v->err = err;
	v->why = why;
	v->report = 1;
}

/* The only place that turns a fault into a verdict: refused, whatever the mode. */
WARDER_ENGINE void warder_verdict_fault(struct warder_verdict *v, __u32 fault, __u32 err)
{
	warder_verdict_allow(v);
	warder_verdict_deny(v, WARDER_WHY_FAULT, err);
	v->fault = fault;
}

/* The mode's part: audit and learn let pass what the policy refuses, and say so. */
WARDER_ENGINE void warder_verdict_finish(const struct warder_image *img, struct warder_verdict *v)
{
	if (v->action == WARDER_DENY && img->h.mode != WARDER_MODE_ENFORCE &&
	    v->why != WARDER_WHY_BASELINE && v->why != WARDER_WHY_FAULT)
		v->action = WARDER_AUDIT;
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

/* -------------------------------------------------------------- file, exec */

/* No rule of the image can refuse or report a file access: no name is needed. */
WARDER_ENGINE int warder_file_is_trivial(const struct warder_image *img, __u32 pr)
{
	return WARDER_PROFILE_U32(img, pr, file_trivial) == 1;
}

WARDER_ENGINE __u32 warder_file_errno(const struct warder_image *img, __u32 pr, __u32 bits)
{
	return bits == WARDER_ACC_EXEC ? WARDER_PROFILE_U32(img, pr, exec_err)
				       : WARDER_PROFILE_U32(img, pr, file_err);
}

/* Decides `access` (WARDER_ACC_*, all of them wanted) on an object at the end of whose name the
 * DFA is in `state`. */
WARDER_ENGINE void warder_decide_state(const struct warder_image *img, __u32 pr, __u32 state,
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
	warder_verdict_finish(img, v);
}

/* The same on the object named text[off, off+len), a name as seen from the container's root. */
WARDER_ENGINE void warder_decide_file(const struct warder_image *img, __u32 pr,
				      const struct warder_text *text, __u32 off, __u32 len,
				      __u32 access, struct warder_verdict *v)
{
	__u32 state = warder_walk(img, text, warder_start(img, pr, WARDER_START_FILE), off, len);

	warder_decide_state(img, pr, state, access, v);
}

/* An object without a name in this container: detached, deleted, on a superblock that is
 * not in the container's table. Refused unless no file rule could have refused it. */
WARDER_ENGINE void warder_decide_unreachable(const struct warder_image *img, __u32 pr, __u32 access,
					     struct warder_verdict *v)
{
	warder_verdict_allow(v);
	if (warder_file_is_trivial(img, pr))
		return;
	warder_verdict_deny(v, WARDER_WHY_UNREACHABLE, warder_file_errno(img, pr, access));
	v->access = access;
	warder_verdict_finish(img, v);
}

/* -------------------------------------------------------------- rename, link */

#define WARDER_EXDEV 18

#define WARDER_MOVE_FOLDER 1u   /* all names below change too */
#define WARDER_MOVE_EXCHANGE 2u /* both ends change places */
#define WARDER_MOVE_LINK 4u     /* the old name stays */

/* Refuses when a deny rule at accept record `from` holds for an access that `to` grants, or
 * when one at `to` forbids to put anything there. Returns 1 if it refused. */
WARDER_ENGINE int warder_decide_carry(const struct warder_image *img, __u32 pr, __u32 from,
				      __u32 to, __u32 flags, struct warder_verdict *v)
{
	__u32 old_deny = WARDER_ACCEPT_FIELD(img, from, deny);
	__u32 new_deny = WARDER_ACCEPT_FIELD(img, to, deny);
	__u32 granted = (WARDER_ACCEPT_FIELD(img, to, allow) | WARDER_PROFILE_U32(img, pr, file_default)) & ~new_deny;
	__u32 refused = old_deny & granted, at = from, by;

	if (!(flags & WARDER_MOVE_LINK))
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
 * Rename and link need their own right at each end besides, see warder_decide_file().
 */
WARDER_ENGINE void warder_decide_move_state(const struct warder_image *img, __u32 pr,
					    __u32 old_state, __u32 new_state, __u32 flags,
					    struct warder_verdict *v)
{
	__u32 old_at = warder_accept_at(img, old_state);
	__u32 new_at = warder_accept_at(img, new_state);

	if ((flags & WARDER_MOVE_FOLDER) &&
	    warder_state_below(img, old_state) != warder_state_below(img, new_state)) {
		warder_verdict_deny(v, WARDER_WHY_DEFAULT, WARDER_EXDEV);
		v->rule = 0;
		v->access = WARDER_ACC_RENAME;
	} else if (!warder_decide_carry(img, pr, old_at, new_at, flags, v) &&
		   (flags & WARDER_MOVE_EXCHANGE)) {
		warder_decide_carry(img, pr, new_at, old_at, flags, v);
	}
	warder_verdict_finish(img, v);
}

/* The same by names. */
WARDER_ENGINE void warder_decide_move(const struct warder_image *img, __u32 pr,
				      const struct warder_text *text, __u32 off, __u32 len,
				      const struct warder_text *second, __u32 second_off,
				      __u32 second_len, __u32 flags, struct warder_verdict *v)
{
	__u32 start = warder_start(img, pr, WARDER_START_FILE);
	__u32 old_state = warder_walk(img, text, start, off, len);
	__u32 new_state = warder_walk(img, second, start, second_off, second_len);

	warder_decide_move_state(img, pr, old_state, new_state, flags, v);
}

/* ----------------------------------------------------------------- switches */

/*
 * Capabilities (`bit` is the number of one that the kernel would grant), memory, namespaces,
 * kernel surfaces: `which` is an enum warder_bits_class, `bit` the number within it.
 */
WARDER_ENGINE void warder_decide_bit(const struct warder_image *img, __u32 pr, __u32 which,
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
	warder_verdict_finish(img, v);
}

WARDER_ENGINE void warder_decide_capability(const struct warder_image *img, __u32 pr, __u32 cap,
					    struct warder_verdict *v)
{
	warder_decide_bit(img, pr, WARDER_BITS_CAPABILITY, cap, v);
}

#include "warder_decide_mount.h"
#include "warder_decide_network.h"
#include "warder_decide_peer.h"
#include "warder_decide_baseline.h"
#include "warder_decide_device.h"
#include "warder_decide_keyring.h"

#endif
