/* SPDX-License-Identifier: LGPL-2.1-or-later OR GPL-2.0-only */
/* Decisions on the mount family, and which override rules can match a refused call. Included by
 * warder_decide.h, whose rules hold here too. */
#ifndef WARDER_DECIDE_MOUNT_H
#define WARDER_DECIDE_MOUNT_H

#ifndef WARDER_DECIDE_H
#include "warder_decide.h"
#endif

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

WARDER_ENGINE __u64 warder_layer_target_set(const struct warder_image *img, __u32 pr,
				      const struct warder_text *text, __u32 start, __u32 off,
				      __u32 len)
{
	__u32 at = warder_accept_at(img, warder_walk(img, text, warder_start(img, pr, start), off,
							 len));

	return image_u64(img, at + (__u32)__builtin_offsetof(struct warder_accept, set));
}

/* Sets are words of 64 bits, functions of their own return 32: by way of memory. */
WARDER_ENGINE_GLOBAL int warder_join_target_set(const struct warder_image *img, __u64 pr_start,
						const struct warder_text *text, __u64 off_len,
						__u64 *set)
{
	if (!img || !text || !set)
		return 0;
	*set |= warder_layer_target_set(img, pr_start >> 32, text, (__u32)pr_start, off_len >> 32,
					(__u32)off_len);
	return 0;
}

/* The set of rules whose target or source pattern matches the name (start: WARDER_START_*_TARGET,
 * _SOURCE). Layers of
 * a stack have numbers of their own in the tables. */
WARDER_ENGINE __u64 warder_target_set(const struct warder_image *img, __u32 pr,
				      const struct warder_text *text, __u32 start, __u32 off,
				      __u32 len)
{
	__u64 set = warder_layer_target_set(img, pr, text, start, off, len);

	for (__u32 i = 1; i < WARDER_LAYERS_MAX; i++) {
		pr = warder_layer_next(img, pr);
		if (!pr)
			break;
		warder_join_target_set(img, WARDER_PAIR(pr, start), text, WARDER_PAIR(off, len),
				       &set);
	}
	return set;
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
	__u64 sources;             /* the same of the source */
	__u32 op;                  /* one WARDER_MNT_* bit */
	__u32 flags;               /* MS_* */
	__u32 unnamed;             /* 1: the target has no name in this container */
	__u32 source_known;        /* 0: the kernel looks for the source after it has asked */
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
	/* The same of a source that nobody knows. */
	if (!image_u8(img, at + 18) &&
	    (r->source_known ? !(r->sources >> (i & 63) & 1) : !image_u8(img, at + 14)))
		return 0;
	return warder_type_matches(img, at + 24, &r->type);
}

/* `best`, or mount rule number `i` if it speaks of this request and goes before it. */
WARDER_ENGINE_GLOBAL __u32 warder_mount_try(const struct warder_image *img,
					    const struct warder_mount_request *r, __u32 i,
					    __u32 best)
{
	__u32 at;

	if (!img || !r || i >= WARDER_MOUNT_RULES_MAX || best & WARDER_FOUND_DENY)
		return best;
	at = img->h.mount.offset + i * (__u32)sizeof(struct warder_mount_rule);
	if (!warder_mount_rule_matches(img, at, i, r))
		return best;
	return warder_found(best, at, image_u8(img, at + 14));
}

/* Returns the matching rule's entry as a byte offset, a deny before an allow; 0: none. */
WARDER_ENGINE_GLOBAL int warder_mount_find(const struct warder_image *img, __u32 pr,
					   const struct warder_mount_request *r)
{
	__u32 found = 0;
	__u64 rules;

	if (!img || !r)
		return 0;
	rules = WARDER_PROFILE_U64(img, pr, mount_rules);
	for (__u32 i = 0; i < WARDER_MOUNT_RULES_MAX; i++) {
		if (i >= img->h.mount.count)
			break;
		if (rules >> i & 1)
			found = warder_mount_try(img, r, i, found);
	}
	return (int)(found & ~WARDER_FOUND_DENY);
}

WARDER_ENGINE void warder_layer_mount(const struct warder_image *img, __u32 pr,
				       const struct warder_mount_request *r,
				       struct warder_verdict *v)
{
	__u32 at = (__u32)warder_mount_find(img, pr, r);

	warder_verdict_allow(v);
	if (at) {
		v->why = WARDER_WHY_RULE;
		v->rule = image_u16(img, at + 12);
		v->report = image_u8(img, at + 16);
		if (image_u8(img, at + 14))
			warder_verdict_deny(v, WARDER_WHY_RULE, image_u8(img, at + 15));
	} else if (!(WARDER_PROFILE_U32(img, pr, mount_default) & r->op)) {
		warder_verdict_deny(v, WARDER_WHY_DEFAULT, WARDER_PROFILE_U32(img, pr, mount_err));
	}
	if (v->action == WARDER_DENY)
		v->access = r->op;
	warder_verdict_finish(img, pr, v);
}

WARDER_ENGINE_GLOBAL int warder_join_mount(const struct warder_image *img, __u32 pr,
					   const struct warder_mount_request *r,
					   struct warder_verdict *v)
{
	struct warder_verdict w;

	if (!img || !r || !v)
		return 0;
	warder_layer_mount(img, pr, r, &w);
	return warder_verdict_join(img, pr, v, &w);
}

WARDER_ENGINE void warder_decide_mount(const struct warder_image *img, __u32 pr,
				       const struct warder_mount_request *r,
				       struct warder_verdict *v)
{
	warder_layer_mount(img, pr, r, v);
	WARDER_JOIN_LAYERS(img, pr, v, warder_join_mount(img, pr, r, v));
}

/* ---------------------------------------------------------------- override */

/* What is known of a refused call inside the kernel, before any path is resolved. */
struct warder_override_request {
	struct warder_fstype type;
	__u32 op;     /* enum warder_op */
	__u32 ops;    /* mount: one WARDER_MNT_* bit; else WARDER_OVERRIDE_CALL */
	__u32 flags;  /* MS_* */
	__u32 euid;   /* in the container's user namespace */
	__u32 fsuid;
	__u32 userns; /* WARDER_BY_USERNS_* */
	__u32 cause;  /* WARDER_CAUSE_* */
	__u32 uid_open; /* 1: euid and fsuid are not known yet, and exclude no rule */
	__u32 type_open; /* 1: the type is not known yet, and excludes no rule */
	__u32 pad;
};
/* `ops` of a call that is not mount(2). */
#define WARDER_OVERRIDE_CALL 1u

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
	if (image_u32(img, at + 20) == WARDER_DO_REPORT)
		return 0;
	return r->type_open || warder_type_matches(img, at + 72, &r->type);
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

/* Of a caller in the profile at `pr`. */
WARDER_ENGINE __u64 warder_override_candidates(const struct warder_image *img, __u32 pr,
					       const struct warder_override_request *r)
{
	__u64 mine = WARDER_PROFILE_U64(img, pr, override_rules);

	if (!(img->h.override_ops >> (r->op & 63) & 1))
		return 0;
	return mine & ((__u32)warder_override_half(img, r, 0) |
		       (__u64)(__u32)warder_override_half(img, r, 1) << 32);
}

#endif
