/* SPDX-License-Identifier: LGPL-2.1-or-later OR GPL-2.0-only */
/*
 * Decisions on device nodes, and on kernel surfaces with what the baseline says of them. Included
 * by warder_decide.h, whose rules hold here too.
 */
#ifndef WARDER_DECIDE_DEVICE_H
#define WARDER_DECIDE_DEVICE_H

#ifndef WARDER_DECIDE_H
#include "warder_decide.h"
#endif

#define WARDER_DEVICE_FIELD(field) ((__u32)__builtin_offsetof(struct warder_device_rule, field))

/* What is asked of a node: numbers in one word, as functions take no more than five arguments. */
#define WARDER_DEVICE_KEY(type, major, minor) \
	((__u64)(type) << 48 | (__u64)((major) & 0xfffu) << 20 | ((minor) & 0xfffffu))
#define WARDER_DEVICE_KEY_TYPE(key) ((__u32)((key) >> 48))
#define WARDER_DEVICE_KEY_MAJOR(key) ((__u32)((key) >> 20 & 0xfffu))
#define WARDER_DEVICE_KEY_MINOR(key) ((__u32)((key) & 0xfffffu))

/* `best`, or device rule number `i` if it speaks of `op` on the device and goes before it. */
WARDER_ENGINE_GLOBAL __u32 warder_device_try(const struct warder_image *img, __u32 op, __u64 key,
					     __u32 i, __u32 best)
{
	__u32 at, type, major, minor;

	if (!img || i >= WARDER_DEVICE_RULES_MAX || best & WARDER_FOUND_DENY)
		return best;
	at = img->h.device.offset + i * (__u32)sizeof(struct warder_device_rule);
	if (!(image_u32(img, at + WARDER_DEVICE_FIELD(ops)) & op))
		return best;
	type = image_u32(img, at + WARDER_DEVICE_FIELD(type));
	major = image_u32(img, at + WARDER_DEVICE_FIELD(major));
	minor = image_u32(img, at + WARDER_DEVICE_FIELD(minor));
	if ((type && type != WARDER_DEVICE_KEY_TYPE(key)) ||
	    (major != WARDER_DEVICE_ANY && major != WARDER_DEVICE_KEY_MAJOR(key)) ||
	    (minor != WARDER_DEVICE_ANY && minor != WARDER_DEVICE_KEY_MINOR(key)))
		return best;
	return warder_found(best, at, image_u8(img, at + WARDER_DEVICE_FIELD(deny)));
}

/* The rule that decides `op` on the device, as a byte offset; 0: none. */
WARDER_ENGINE_GLOBAL int warder_device_find(const struct warder_image *img, __u32 pr, __u32 op,
					    __u64 key)
{
	__u32 found = 0;
	__u64 rules;

	if (!img)
		return 0;
	rules = WARDER_PROFILE_U64(img, pr, device_rules);
	for (__u32 i = 0; i < WARDER_DEVICE_RULES_MAX; i++) {
		if (i >= img->h.device.count)
			break;
		if (rules >> i & 1)
			found = warder_device_try(img, op, key, i, found);
	}
	return (int)(found & ~WARDER_FOUND_DENY);
}

/* `key` names the device; `below_dev` as below. */
WARDER_ENGINE void warder_layer_device(const struct warder_image *img, __u32 pr, __u32 op,
				       __u64 key, __u32 below_dev, struct warder_verdict *v)
{
	__u32 at = (__u32)warder_device_find(img, pr, op, key);

	warder_verdict_allow(v);
	if (at) {
		v->why = WARDER_WHY_RULE;
		v->rule = image_u16(img, at + WARDER_DEVICE_FIELD(rule));
		if (image_u8(img, at + WARDER_DEVICE_FIELD(deny)))
			warder_verdict_deny(v, WARDER_WHY_RULE,
					    image_u8(img, at + WARDER_DEVICE_FIELD(err)));
		else
			v->report = image_u8(img, at + WARDER_DEVICE_FIELD(audit));
	} else if (!below_dev || !(WARDER_PROFILE_U32(img, pr, device_default) & op)) {
		warder_verdict_deny(v, WARDER_WHY_DEFAULT,
				    WARDER_PROFILE_U32(img, pr, device_err));
	}
	warder_verdict_finish(img, pr, v);
}

#define WARDER_DEVICE_BELOW_DEV (1u << 31) /* beside `op` */

WARDER_ENGINE_GLOBAL int warder_join_device(const struct warder_image *img, __u32 pr, __u32 op,
					    __u64 key, struct warder_verdict *v)
{
	struct warder_verdict w;

	if (!img || !v)
		return 0;
	warder_layer_device(img, pr, op & ~WARDER_DEVICE_BELOW_DEV, key,
			    op & WARDER_DEVICE_BELOW_DEV, &w);
	return warder_verdict_join(img, pr, v, &w);
}

/*
 * Decides `op`, one WARDER_DEV_* bit, the baseline first, on the device `major`:`minor` of `type` (WARDER_DEVICE_CHAR,
 * WARDER_DEVICE_BLOCK). `below_dev`: the node is one that the runtime made; where no rule
 * speaks only those are granted. A node that does not exist yet is none of them.
 */
WARDER_ENGINE void warder_decide_device(const struct warder_image *img, __u32 pr, __u32 op,
					__u32 type, __u32 major, __u32 minor, __u32 below_dev,
					struct warder_verdict *v)
{
	__u64 key = WARDER_DEVICE_KEY(type, major, minor);

	if (!(img->h.unsafe & WARDER_UNSAFE_MEMORY_DEVICES) &&
	    warder_baseline_device(type, major, minor)) {
		warder_verdict_baseline(v);
		return;
	}
	warder_layer_device(img, pr, op, key, below_dev, v);
	op |= below_dev ? WARDER_DEVICE_BELOW_DEV : 0;
	WARDER_JOIN_LAYERS(img, pr, v, warder_join_device(img, pr, op, key, v));
}

/* ----------------------------------------------------------- kernel surfaces */

/* The bit of `unsafe` that a surface needs before a rule is asked; 0: it is no baseline. */
WARDER_ENGINE __u64 warder_surface_unsafe(__u32 surface)
{
	return surface == WARDER_SURFACE_BPF	 ? WARDER_UNSAFE_BPF :
	       surface == WARDER_SURFACE_MODULES ? WARDER_UNSAFE_MODULES :
	       surface == WARDER_SURFACE_KEXEC	 ? WARDER_UNSAFE_KEXEC :
						   0;
}

/* Decides one of the switches `which` (enum warder_bits_class), the baseline first where it has
 * a say: what hooks ask for memory, namespaces and kernel surfaces. */
WARDER_ENGINE void warder_decide_switch(const struct warder_image *img, __u32 pr, __u32 which,
					__u32 bit, struct warder_verdict *v)
{
	__u64 needs = which == WARDER_BITS_KERNEL ? warder_surface_unsafe(bit) : 0;

	if (needs && !(img->h.unsafe & needs)) {
		warder_verdict_baseline(v);
		return;
	}
	warder_decide_bit(img, pr, which, bit, v);
}

#endif
