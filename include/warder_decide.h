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

#ifdef __bpf__
/* Verified once for each program instead of once for each call: the loops are too long to
 * be walked by the verifier along every path that leads to them. */
#define WARDER_ENGINE_GLOBAL __attribute__((noinline, weak))
#define WARDER_ENGINE static __attribute__((always_inline)) inline
/* Keeps the compiler from proving a mask redundant and dropping it: the verifier may not
 * have the same proof. */
#define WARDER_OPAQUE(x) asm volatile("" : "+r"(x))
#else
#define WARDER_ENGINE_GLOBAL static inline
#define WARDER_ENGINE static inline
#define WARDER_OPAQUE(x) ((void)0)
#endif

/* errno values by their kernel ABI numbers: BPF has no errno.h. */
#define WARDER_EPERM 1
#define WARDER_EACCES 13

/* ------------------------------------------------------------ image access */

WARDER_ENGINE __u8 image_u8(const struct warder_image *img, __u32 offset)
{
	offset &= WARDER_IMAGE_MASK;
	WARDER_OPAQUE(offset);
	return img->b[offset & WARDER_IMAGE_MASK];
}

WARDER_ENGINE __u16 image_u16(const struct warder_image *img, __u32 offset)
{
	offset &= WARDER_IMAGE_MASK & ~1u;
	WARDER_OPAQUE(offset);
	return *(const __u16 *)&img->b[offset & WARDER_IMAGE_MASK & ~1u];
}

WARDER_ENGINE __u32 image_u32(const struct warder_image *img, __u32 offset)
{
	offset &= WARDER_IMAGE_MASK & ~3u;
	WARDER_OPAQUE(offset);
	return *(const __u32 *)&img->b[offset & WARDER_IMAGE_MASK & ~3u];
}

WARDER_ENGINE __u64 image_u64(const struct warder_image *img, __u32 offset)
{
	offset &= WARDER_IMAGE_MASK & ~7u;
	WARDER_OPAQUE(offset);
	return *(const __u64 *)&img->b[offset & WARDER_IMAGE_MASK & ~7u];
}

/* --------------------------------------------------------------------- DFA */

#define WARDER_WALK_CHUNK 64u
#define WARDER_WALK_CHUNKS (WARDER_PATH_MAX / WARDER_WALK_CHUNK)

/* Up to WARDER_WALK_CHUNK bytes from `off`. Returns the state reached. */
WARDER_ENGINE_GLOBAL int warder_walk_chunk(const struct warder_image *img,
					   const struct warder_text *text, __u32 off, __u32 len,
					   __u32 state)
{
	__u32 trans, classes, class_of;

	if (!img || !text)
		return WARDER_STATE_DEAD;
	trans = img->h.trans.offset;
	classes = img->h.classes;
	class_of = img->h.class_of.offset;
	for (__u32 i = 0; i < WARDER_WALK_CHUNK; i++) {
		__u32 at, class_;

		if (i >= len || state == WARDER_STATE_DEAD)
			break;
		at = (off + i) & WARDER_TEXT_MASK;
		WARDER_OPAQUE(at);
		class_ = image_u8(img, class_of + (__u8)text->b[at & WARDER_TEXT_MASK]);
		state = image_u16(img, trans + 2 * (state * classes + class_));
	}
	return state;
}

/* Reads text[off, off+len) from `start`; len is at most WARDER_PATH_MAX - 1, more is dead. */
WARDER_ENGINE_GLOBAL __u32 warder_walk(const struct warder_image *img, const struct warder_text *text,
				__u32 start, __u32 off, __u32 len)
{
	__u32 state;

	if (!img || !text || start >= WARDER_START__MAX || len >= WARDER_PATH_MAX)
		return WARDER_STATE_DEAD;
	state = img->h.start[start];
	for (__u32 i = 0; i < WARDER_WALK_CHUNKS; i++) {
		__u32 done = i * WARDER_WALK_CHUNK;

		if (done >= len || state == WARDER_STATE_DEAD)
			break;
		state = (__u32)warder_walk_chunk(img, text, off + done, len - done, state) &
			0xffff;
	}
	return state;
}

/* Byte offset of the accept record of a state. Record 0 is the empty one. */
WARDER_ENGINE __u32 warder_accept_at(const struct warder_image *img, __u32 state)
{
	return img->h.accept.offset + (__u32)sizeof(struct warder_accept) *
	       image_u16(img, img->h.accept_of.offset + 2 * state);
}

#define WARDER_ACCEPT_FIELD(img, at, field) \
	image_u32(img, (at) + (__u32)__builtin_offsetof(struct warder_accept, field))

/* -------------------------------------------------------------- attribution */

struct warder_attribution {
	__u32 rule;
	__u32 err;
};

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
	v->pad = 0;
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

/* The mode's part: audit lets pass what the policy refuses, and says so. */
WARDER_ENGINE void warder_verdict_finish(const struct warder_image *img, struct warder_verdict *v)
{
	if (v->action == WARDER_DENY && img->h.mode == WARDER_MODE_AUDIT &&
	    v->why != WARDER_WHY_BASELINE && v->why != WARDER_WHY_FAULT)
		v->action = WARDER_AUDIT;
}

/* -------------------------------------------------------------- file, exec */

/* No rule of the image can refuse or report a file access: no name is needed. */
WARDER_ENGINE int warder_file_is_trivial(const struct warder_image *img)
{
	return img->h.file_trivial == 1;
}

WARDER_ENGINE __u32 warder_file_errno(const struct warder_image *img, __u32 bits)
{
	return bits == WARDER_ACC_EXEC ? img->h.exec_err : img->h.file_err;
}

/* Decides `access` (WARDER_ACC_*, all of them wanted) on the object named
 * text[off, off+len), a name as seen from the container's root. */
WARDER_ENGINE void warder_decide_file(const struct warder_image *img,
				      const struct warder_text *text, __u32 off, __u32 len,
				      __u32 access, struct warder_verdict *v)
{
	__u32 at, allow, deny, audit, refused;

	warder_verdict_allow(v);
	at = warder_accept_at(img, warder_walk(img, text, WARDER_START_FILE, off, len));
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
		refused = access & ~(allow | img->h.file_default);
		if (refused) {
			warder_verdict_deny(v, WARDER_WHY_DEFAULT,
					    warder_file_errno(img, refused));
			v->access = refused;
		} else if (access & allow) {
			v->why = WARDER_WHY_RULE;
			v->rule = (__u32)warder_attribute(img, at, access & allow, 0) >> 8;
			v->report = (access & audit) != 0;
		}
	}
	warder_verdict_finish(img, v);
}

/* An object without a name in this container: detached, deleted, on a superblock that is
 * not in the container's table. Refused unless no file rule could have refused it. */
WARDER_ENGINE void warder_decide_unreachable(const struct warder_image *img, __u32 access,
					     struct warder_verdict *v)
{
	warder_verdict_allow(v);
	if (warder_file_is_trivial(img))
		return;
	warder_verdict_deny(v, WARDER_WHY_UNREACHABLE, warder_file_errno(img, access));
	v->access = access;
	warder_verdict_finish(img, v);
}

/* -------------------------------------------------------------- rename, link */

#define WARDER_EXDEV 18

#define WARDER_MOVE_FOLDER 1u   /* all names below change too */
#define WARDER_MOVE_EXCHANGE 2u /* both ends change places */
#define WARDER_MOVE_LINK 4u     /* the old name stays */

/* Where the DFA is after `name` and a slash: what it says of names below. */
WARDER_ENGINE __u32 warder_state_below(const struct warder_image *img, __u32 state)
{
	__u32 class_ = image_u8(img, img->h.class_of.offset + '/');

	return image_u16(img, img->h.trans.offset + 2 * (state * img->h.classes + class_));
}

/* Refuses when a deny rule at accept record `from` holds for an access that `to` grants, or
 * when one at `to` forbids to put anything there. Returns 1 if it refused. */
WARDER_ENGINE int warder_decide_carry(const struct warder_image *img, __u32 from, __u32 to,
				      __u32 flags, struct warder_verdict *v)
{
	__u32 old_deny = WARDER_ACCEPT_FIELD(img, from, deny);
	__u32 new_deny = WARDER_ACCEPT_FIELD(img, to, deny);
	__u32 granted = (WARDER_ACCEPT_FIELD(img, to, allow) | img->h.file_default) & ~new_deny;
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
WARDER_ENGINE void warder_decide_move(const struct warder_image *img,
				      const struct warder_text *text, __u32 off, __u32 len,
				      const struct warder_text *second, __u32 second_off,
				      __u32 second_len, __u32 flags, struct warder_verdict *v)
{
	__u32 old_state = warder_walk(img, text, WARDER_START_FILE, off, len);
	__u32 new_state = warder_walk(img, second, WARDER_START_FILE, second_off, second_len);
	__u32 old_at = warder_accept_at(img, old_state);
	__u32 new_at = warder_accept_at(img, new_state);

	if ((flags & WARDER_MOVE_FOLDER) &&
	    warder_state_below(img, old_state) != warder_state_below(img, new_state)) {
		warder_verdict_deny(v, WARDER_WHY_DEFAULT, WARDER_EXDEV);
		v->rule = 0;
		v->access = WARDER_ACC_RENAME;
	} else if (!warder_decide_carry(img, old_at, new_at, flags, v) &&
		   (flags & WARDER_MOVE_EXCHANGE)) {
		warder_decide_carry(img, new_at, old_at, flags, v);
	}
	warder_verdict_finish(img, v);
}

/* -------------------------------------------------------------- capability */

/* `cap` is a capability number that the kernel would grant. */
WARDER_ENGINE void warder_decide_capability(const struct warder_image *img, __u32 cap,
					    struct warder_verdict *v)
{
	__u64 bit;

	warder_verdict_allow(v);
	cap &= 63;
	bit = 1ull << cap;
	v->rule = img->h.cap_rule[cap & 63];
	v->why = v->rule ? WARDER_WHY_RULE : WARDER_WHY_DEFAULT;
	if (!(img->h.cap_allow & bit))
		warder_verdict_deny(v, v->why,
				    v->rule ? image_u8(img, img->h.rule.offset +
							    (v->rule - 1) * (__u32)sizeof(struct warder_rule) +
							    18)
					    : img->h.cap_err);
	else if (img->h.cap_audit & bit)
		v->report = 1;
	warder_verdict_finish(img, v);
}

/* ------------------------------------------------------------------- mount */

/* File-system types are compared as four words: both sides pad with NUL. */
struct warder_fstype {
	__u64 w[WARDER_FSTYPE_SIZE / 8];
};

/* Does the padded type at image offset `at` equal `type`, or is it empty (any)? */
WARDER_ENGINE int warder_type_matches(const struct warder_image *img, __u32 at,
				      const struct warder_fstype *type)
{
	__u64 w0 = image_u64(img, at), w1 = image_u64(img, at + 8);
	__u64 w2 = image_u64(img, at + 16), w3 = image_u64(img, at + 24);

	if (!(w0 | w1 | w2 | w3))
		return 1;
	return w0 == type->w[0] && w1 == type->w[1] && w2 == type->w[2] && w3 == type->w[3];
}

/* The set of rules whose target pattern matches the name (start: WARDER_START_*_TARGET). */
WARDER_ENGINE __u64 warder_target_set(const struct warder_image *img,
				      const struct warder_text *text, __u32 start, __u32 off,
				      __u32 len)
{
	__u32 at = warder_accept_at(img, warder_walk(img, text, start, off, len));

	return image_u64(img, at + (__u32)__builtin_offsetof(struct warder_accept, set));
}

/* Flags of mount(2): the kernel's ABI numbers, because BPF has no sys/mount.h. */
#define WARDER_MS_REMOUNT 0x20u
#define WARDER_MS_BIND 0x1000u
#define WARDER_MS_MOVE 0x2000u
#define WARDER_MS_PROPAGATION 0x1e0000u /* UNBINDABLE, PRIVATE, SLAVE, SHARED */
#define WARDER_MS_MAGIC 0xc0ed0000u
#define WARDER_MS_MAGIC_MASK 0xffff0000u

/* The MS_* that count: old programs put a magic number into the upper half, the kernel
 * takes it off before it looks. */
WARDER_ENGINE __u32 warder_mount_flags(__u64 flags)
{
	__u32 f = (__u32)flags;

	return (f & WARDER_MS_MAGIC_MASK) == WARDER_MS_MAGIC ? f & ~WARDER_MS_MAGIC_MASK : f;
}

/* What mount(2) with these flags does: the WARDER_MNT_* bit, in the order of path_mount(). */
WARDER_ENGINE __u32 warder_mount_op(__u32 flags)
{
	if (flags & WARDER_MS_REMOUNT)
		return WARDER_MNT_REMOUNT;
	if (flags & WARDER_MS_BIND)
		return WARDER_MNT_BIND;
	if (flags & WARDER_MS_PROPAGATION)
		return WARDER_MNT_PROPAGATION;
	if (flags & WARDER_MS_MOVE)
		return WARDER_MNT_MOVE;
	return WARDER_MNT_NEW;
}

/* "fuse.sshfs" is of type "fuse": cuts from the first dot on, as get_fs_type() does. */
WARDER_ENGINE void warder_fstype_trim(struct warder_fstype *type)
{
	char *b = (char *)type->w;
	int cut = 0;

	for (__u32 i = 0; i < WARDER_FSTYPE_SIZE; i++) {
		if (b[i] == '.')
			cut = 1;
		if (cut)
			b[i] = 0;
	}
}

struct warder_mount_request {
	struct warder_fstype type; /* zero where the operation has none */
	__u64 targets;             /* warder_target_set(), 0 when the target has no name */
	__u32 op;                  /* one WARDER_MNT_* bit */
	__u32 flags;               /* MS_* */
	__u32 unnamed;             /* 1: the target has no name in this container */
	__u32 pad;
};

/* Does mount rule number `i` speak of this request? */
WARDER_ENGINE int warder_mount_rule_matches(const struct warder_image *img, __u32 at, __u32 i,
					    const struct warder_mount_request *r)
{
	__u32 require = image_u32(img, at + 4), forbid = image_u32(img, at + 8);

	if (!(image_u32(img, at) & r->op))
		return 0;
	if ((r->flags & require) != require || (r->flags & forbid))
		return 0;
	/* Nobody knows whether a target without a name is the one that a rule names: it gets
	 * what that rule refuses and nothing of what it allows. */
	if (!image_u8(img, at + 17) && !(r->targets >> (i & 63) & 1) &&
	    !(r->unnamed && image_u8(img, at + 14)))
		return 0;
	return warder_type_matches(img, at + 24, &r->type);
}

/* The entry of mount rule number `i` as a byte offset if it speaks of this request, else 0. A
 * function of its own so that BPF's verifier walks the rule once and not for each number. */
WARDER_ENGINE_GLOBAL int warder_mount_try(const struct warder_image *img,
					  const struct warder_mount_request *r, __u32 i)
{
	__u32 at;

	if (!img || !r || i >= WARDER_MOUNT_RULES_MAX)
		return 0;
	at = img->h.mount.offset + i * (__u32)sizeof(struct warder_mount_rule);
	return warder_mount_rule_matches(img, at, i, r) ? (int)at : 0;
}

/* Returns the matching rule's entry as a byte offset, a deny before an allow; 0: none. */
WARDER_ENGINE_GLOBAL int warder_mount_find(const struct warder_image *img,
					   const struct warder_mount_request *r)
{
	__u32 found = 0;

	if (!img || !r)
		return 0;
	for (__u32 i = 0; i < WARDER_MOUNT_RULES_MAX; i++) {
		__u32 at;

		if (i >= img->h.mount.count)
			break;
		at = (__u32)warder_mount_try(img, r, i);
		if (!at)
			continue;
		if (image_u8(img, at + 14))
			return (int)at;
		if (!found)
			found = at;
	}
	return (int)found;
}

WARDER_ENGINE void warder_decide_mount(const struct warder_image *img,
				       const struct warder_mount_request *r,
				       struct warder_verdict *v)
{
	__u32 at = (__u32)warder_mount_find(img, r);

	warder_verdict_allow(v);
	if (at) {
		v->why = WARDER_WHY_RULE;
		v->rule = image_u16(img, at + 12);
		v->report = image_u8(img, at + 16);
		if (image_u8(img, at + 14))
			warder_verdict_deny(v, WARDER_WHY_RULE, image_u8(img, at + 15));
	} else if (!(img->h.mount_default & r->op)) {
		warder_verdict_deny(v, WARDER_WHY_DEFAULT, img->h.mount_err);
	}
	if (v->action == WARDER_DENY)
		v->access = r->op;
	warder_verdict_finish(img, v);
}

/* ---------------------------------------------------------------- override */

/* What is known of a refused call inside the kernel, before any path is resolved. */
struct warder_override_request {
	struct warder_fstype type;
	__u32 op;     /* enum warder_op */
	__u32 ops;    /* one WARDER_MNT_* bit */
	__u32 flags;  /* MS_* */
	__u32 euid;   /* in the container's user namespace */
	__u32 fsuid;
	__u32 userns; /* WARDER_BY_USERNS_* */
	__u32 cause;  /* WARDER_CAUSE_* */
	__u32 uid_open; /* 1: euid and fsuid are not known yet, and exclude no rule */
};

/* Does override rule number `i` speak of this call, its target and source aside? */
WARDER_ENGINE int warder_override_matches(const struct warder_image *img, __u32 i,
					  const struct warder_override_request *r)
{
	__u32 at = img->h.override_.offset + i * (__u32)sizeof(struct warder_override);
	__u32 require = image_u32(img, at + 8), by_uid = image_u32(img, at + 36);

	if (image_u32(img, at) != r->op || !(image_u32(img, at + 4) & r->ops))
		return 0;
	if ((r->flags & require) != require || (r->flags & image_u32(img, at + 12)))
		return 0;
	if (by_uid != WARDER_BY_ANY_UID && !r->uid_open &&
	    (by_uid != r->euid || by_uid != r->fsuid))
		return 0;
	if (!(image_u32(img, at + 40) & r->userns) || !(image_u32(img, at + 32) & r->cause))
		return 0;
	return warder_type_matches(img, at + 72, &r->type);
}

/* Sets bit i of the result for each override rule that can still match. The result comes in
 * two halves because a global BPF function returns an int. */
WARDER_ENGINE_GLOBAL int warder_override_half(const struct warder_image *img,
					      const struct warder_override_request *r, __u32 half)
{
	__u32 set = 0;

	if (!img || !r)
		return 0;
	for (__u32 i = 0; i < 32; i++) {
		__u32 n = (half & 1) * 32 + i;

		if (n >= img->h.override_.count)
			break;
		if (warder_override_matches(img, n, r))
			set |= 1u << i;
	}
	return (int)set;
}

WARDER_ENGINE __u64 warder_override_candidates(const struct warder_image *img,
					       const struct warder_override_request *r)
{
	if (!(img->h.override_ops >> (r->op & 63) & 1))
		return 0;
	return (__u32)warder_override_half(img, r, 0) |
	       (__u64)(__u32)warder_override_half(img, r, 1) << 32;
}

/* ---------------------------------------------------------------- baseline */

/*
 * Files through which the kernel is made to act as an untagged task, or which show all of
 * memory. Judged by superblock and the name below its root, which no mount can change;
 * `path` is that name with a leading slash.
 */
#define WARDER_MAGIC_PROC 0x9fa0u
#define WARDER_MAGIC_SYSFS 0x62656572u
#define WARDER_MAGIC_CGROUP 0x27e0ebu
#define WARDER_MAGIC_BINFMT 0x42494e4du
#define WARDER_MAGIC_BPF 0xcafe4a11u
#define WARDER_MAGIC_DEBUGFS 0x64626720u
#define WARDER_MAGIC_TRACEFS 0x74726163u
#define WARDER_MAGIC_SECURITYFS 0x73636673u
#define WARDER_MAGIC_EFIVARFS 0xde5e81e4u

/* Accesses that change an object. */
#define WARDER_ACC_CHANGES                                                                    \
	(WARDER_ACC_WRITE | WARDER_ACC_APPEND | WARDER_ACC_CREATE | WARDER_ACC_DELETE |       \
	 WARDER_ACC_RENAME | WARDER_ACC_LINK | WARDER_ACC_SYMLINK | WARDER_ACC_CHMOD |        \
	 WARDER_ACC_CHOWN | WARDER_ACC_TRUNCATE | WARDER_ACC_SETATTR | WARDER_ACC_XATTR |     \
	 WARDER_ACC_MKNOD)

#define WARDER_MAGIC_CONFIGFS 0x62656570u

/* Does the superblock need warder_baseline_file() at all? Cheap, for the hook's early way out. */
WARDER_ENGINE int warder_baseline_concerns(__u32 magic)
{
	return magic == WARDER_MAGIC_PROC || magic == WARDER_MAGIC_SYSFS ||
	       magic == WARDER_MAGIC_CGROUP || magic == WARDER_MAGIC_BINFMT ||
	       magic == WARDER_MAGIC_BPF || magic == WARDER_MAGIC_DEBUGFS ||
	       magic == WARDER_MAGIC_TRACEFS || magic == WARDER_MAGIC_SECURITYFS ||
	       magic == WARDER_MAGIC_EFIVARFS || magic == WARDER_MAGIC_CONFIGFS;
}

/* The first 32 bytes of a name and the last 8, NUL-padded: what the baseline compares. */
struct warder_ends {
	__u64 head[4];
	__u64 tail;
	__u32 len;
	__u32 pad;
};

WARDER_ENGINE_GLOBAL __u64 warder_text_word(const struct warder_text *text, __u32 off, __u32 len)
{
	__u64 w = 0;

	if (!text)
		return 0;
	for (__u32 i = 0; i < 8; i++) {
		__u32 at = (off + i) & WARDER_TEXT_MASK;

		WARDER_OPAQUE(at);
		if (i < len)
			w |= (__u64)(__u8)text->b[at & WARDER_TEXT_MASK] << (8 * i);
	}
	return w;
}

WARDER_ENGINE void warder_ends_read(const struct warder_text *text, __u32 off, __u32 len,
				    struct warder_ends *e)
{
	for (__u32 i = 0; i < 4; i++)
		e->head[i] = warder_text_word(text, off + 8 * i, len > 8 * i ? len - 8 * i : 0);
	e->tail = len >= 8 ? warder_text_word(text, off + len - 8, 8) : 0;
	e->len = len;
	e->pad = 0;
}

/* Eight characters of a literal as text_word() reads them; the compiler folds it. */
#define WARDER_CH(s, n, i) ((i) < (n) ? (__u64)(__u8)(s)[(i) < (n) ? (i) : 0] << (8 * ((i) % 8)) : 0)
#define WARDER_WORD(s, n, k)                                                              \
	(WARDER_CH(s, n, 8 * (k)) | WARDER_CH(s, n, 8 * (k) + 1) |                        \
	 WARDER_CH(s, n, 8 * (k) + 2) | WARDER_CH(s, n, 8 * (k) + 3) |                    \
	 WARDER_CH(s, n, 8 * (k) + 4) | WARDER_CH(s, n, 8 * (k) + 5) |                    \
	 WARDER_CH(s, n, 8 * (k) + 6) | WARDER_CH(s, n, 8 * (k) + 7))
/* Which bits of word k a prefix of n bytes fixes. */
#define WARDER_WORD_MASK(n, k)                                                            \
	((n) >= 8 * (k) + 8 ? ~0ull : (n) > 8 * (k) ? (1ull << (8 * ((n) % 8))) - 1 : 0)
#define WARDER_HEAD_IS(e, s, n)                                                           \
	((((e)->head[0] ^ WARDER_WORD(s, n, 0)) & WARDER_WORD_MASK(n, 0)) == 0 &&         \
	 (((e)->head[1] ^ WARDER_WORD(s, n, 1)) & WARDER_WORD_MASK(n, 1)) == 0 &&         \
	 (((e)->head[2] ^ WARDER_WORD(s, n, 2)) & WARDER_WORD_MASK(n, 2)) == 0 &&         \
	 (((e)->head[3] ^ WARDER_WORD(s, n, 3)) & WARDER_WORD_MASK(n, 3)) == 0)
/* The name begins with the literal; the name is the literal; it is the literal or below it.
 * Literals have at most 31 bytes. */
#define WARDER_BEGINS(e, s) WARDER_HEAD_IS(e, s, sizeof(s) - 1)
#define WARDER_IS(e, s) ((e)->len == sizeof(s) - 1 && WARDER_HEAD_IS(e, s, sizeof(s) - 1))
#define WARDER_UNDER(e, s) (WARDER_IS(e, s) || WARDER_HEAD_IS(e, s "/", sizeof(s)))

/*
 * proc. What a task changes about tasks (/PID/...) and about its own namespaces (the sysctls
 * listed) is not the kernel's business; everything else that can be written acts on the host
 * or lets the kernel act for the task: core_pattern, modprobe, sysrq-trigger, sysctls of
 * memory and devices, mtrr, irq, bus, fs, ... So changes are refused unless listed, and
 * images of memory are refused altogether. Pressure files take triggers, which only inform.
 */
WARDER_ENGINE int warder_baseline_proc(const struct warder_ends *e, __u32 access)
{
	__u8 first = (__u8)(e->head[0] >> 8);

	if (WARDER_IS(e, "/kcore") || WARDER_IS(e, "/kmem") || WARDER_IS(e, "/vmcore"))
		return 1;
	if (!(access & WARDER_ACC_CHANGES))
		return 0;
	if (first >= '0' && first <= '9')
		return 0;
	if (WARDER_UNDER(e, "/pressure") || WARDER_UNDER(e, "/sys/net") ||
	    WARDER_UNDER(e, "/sys/user") || WARDER_UNDER(e, "/sys/fs/mqueue"))
		return 0;
	if (WARDER_BEGINS(e, "/sys/kernel/shm") || WARDER_BEGINS(e, "/sys/kernel/msg") ||
	    WARDER_IS(e, "/sys/kernel/sem") || WARDER_IS(e, "/sys/kernel/sem_next_id") ||
	    WARDER_IS(e, "/sys/kernel/auto_msgmni") || WARDER_IS(e, "/sys/kernel/hostname") ||
	    WARDER_IS(e, "/sys/kernel/domainname") || WARDER_IS(e, "/sys/kernel/ns_last_pid"))
		return 0;
	return 1;
}

/*
 * sysfs. Programs that the kernel starts, firmware that it loads, modules' parameters, drivers'
 * binding, power: changes refused; and synthetic uevents, on which the host's udev acts.
 * Attributes of devices are left to the policy and to the device's own permission.
 */
WARDER_ENGINE int warder_baseline_sysfs(const struct warder_ends *e, __u32 access)
{
	if (!(access & WARDER_ACC_CHANGES))
		return 0;
	return WARDER_UNDER(e, "/kernel") || WARDER_UNDER(e, "/power") ||
	       WARDER_UNDER(e, "/firmware") || WARDER_UNDER(e, "/module") ||
	       WARDER_UNDER(e, "/bus") || WARDER_UNDER(e, "/hypervisor") ||
	       e->tail >> 8 == WARDER_WORD("/uevent", 7, 0);
}

/*
 * Does the baseline refuse `access` to the object whose name below its superblock's root is
 * text[off, off+len)? `access` WARDER_ACC_*. 1: refused, in every mode.
 */
WARDER_ENGINE_GLOBAL int warder_baseline_file(__u32 magic, const struct warder_text *text,
					      __u32 off, __u32 len, __u32 access)
{
	struct warder_ends e;

	if (!text)
		return 1;
	/* Objects of these change nothing but the host, or enforcement itself. */
	if (magic == WARDER_MAGIC_BPF)
		return 1;
	if (magic == WARDER_MAGIC_BINFMT || magic == WARDER_MAGIC_DEBUGFS ||
	    magic == WARDER_MAGIC_TRACEFS || magic == WARDER_MAGIC_SECURITYFS ||
	    magic == WARDER_MAGIC_EFIVARFS || magic == WARDER_MAGIC_CONFIGFS)
		return (access & WARDER_ACC_CHANGES) != 0;
	if (magic != WARDER_MAGIC_PROC && magic != WARDER_MAGIC_SYSFS &&
	    magic != WARDER_MAGIC_CGROUP)
		return 0;
	if (len >= WARDER_PATH_MAX)
		return 1;
	warder_ends_read(text, off, len, &e);
	if (magic == WARDER_MAGIC_PROC)
		return warder_baseline_proc(&e, access);
	if (magic == WARDER_MAGIC_SYSFS)
		return warder_baseline_sysfs(&e, access);
	/* cgroup v1: the program that the kernel starts when a cgroup becomes empty. */
	return (access & WARDER_ACC_CHANGES) && WARDER_IS(&e, "/release_agent");
}

/* Types of device nodes, as in a mode. */
#define WARDER_DEVICE_CHAR 0020000u
#define WARDER_DEVICE_BLOCK 0060000u

/* Devices that are all of memory, every port, or every register of the CPU: mem, kmem, port,
 * /dev/cpu/N/msr. 1: refused, by whatever node. */
WARDER_ENGINE int warder_baseline_device(__u32 type, __u32 major, __u32 minor)
{
	if (type != WARDER_DEVICE_CHAR)
		return 0;
	if (major == 1)
		return minor == 1 || minor == 2 || minor == 4;
	return major == 202;
}

#endif
