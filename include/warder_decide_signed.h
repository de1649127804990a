/* SPDX-License-Identifier: LGPL-2.1-or-later OR GPL-2.0-only */
/* Decisions on signed exec. Included by warder_decide.h, whose rules hold here too. */
#ifndef WARDER_DECIDE_SIGNED_H
#define WARDER_DECIDE_SIGNED_H

#ifndef WARDER_DECIDE_H
#include "warder_decide.h"
#endif

/* What the kernel said of one file, for each layer: 16 bits, 0 when one of the layer's signers has
 * signed it, else the errno. */
#define WARDER_SIGNED_ERR(errs, layer) ((__u32)((errs) >> (16 * (layer))) & 0xffff)
#define WARDER_SIGNED_ERRS_ALL(err) ((__u64)(err) * 0x0001000100010001ull)
_Static_assert(WARDER_LAYERS_MAX == 4, "16 bits for each layer");

/*
 * Decides whether a file may be executed or mapped for execution. Every layer that requires
 * signatures has to be content; the errno is the one that the kernel gave. Of several refusals the
 * first one stands, but one that is enforced before one that is only reported.
 */
WARDER_ENGINE void warder_decide_signed(const struct warder_image *img, __u64 errs,
					struct warder_verdict *v)
{
	warder_verdict_allow(v);
	for (__u32 i = 0; i < WARDER_LAYERS_MAX; i++) {
		const struct warder_layer *l = &img->h.layer[i];
		__u32 action = l->mode == WARDER_MODE_ENFORCE ? WARDER_DENY : WARDER_AUDIT;
		__u32 err = WARDER_SIGNED_ERR(errs, i);

		if (!l->signed_rule || !err)
			continue;
		if (img->h.layers > 1) {
			v->against |= 1u << i;
			v->by[i] = (__u16)l->signed_rule;
		}
		if (v->action == WARDER_DENY || v->action == action)
			continue;
		warder_verdict_deny(v, WARDER_WHY_RULE, err);
		v->action = action;
		v->rule = l->signed_rule;
		v->layer = i;
		v->access = WARDER_ACC_EXEC;
	}
}

/*
 * The signature of a file with this digest among those of the layer; byte offset of its struct
 * warder_signature, 0: there is none. A binary search of a fixed number of steps, each of which
 * keeps the first entry that can still be it.
 */
WARDER_ENGINE_GLOBAL int warder_signature_find(const struct warder_image *img, __u32 layer,
					       const struct warder_signed_content *c)
{
	const __u32 size = sizeof(struct warder_signature);
	const __u32 digest = (__u32)__builtin_offsetof(struct warder_signature, content.word);
	__u32 first, left, at;

	if (!img || !c || layer >= WARDER_LAYERS_MAX)
		return 0;
	layer &= WARDER_LAYERS_MAX - 1;
	first = img->h.layer[layer].signature;
	left = img->h.layer[layer].signatures;
	WARDER_NO_UNROLL
	for (__u32 i = 0; i < WARDER_SIGNATURES_BITS + 1; i++) {
		__u32 half = left / 2, below = 0, equal = 1;

		if (!left)
			break;
		at = img->h.signature.offset + (first + half) * size + digest;
		for (__u32 k = 0; k < WARDER_DIGEST_SIZE / 8; k++) {
			__u64 x = __builtin_bswap64(image_u64(img, at + 8 * k));
			__u64 y = __builtin_bswap64(c->word[k]);

			if (x == y)
				continue;
			below = x < y;
			equal = 0;
			break;
		}
		if (equal)
			return (int)(at - digest);
		if (below) {
			first += half + 1;
			left -= half + 1;
		} else {
			left = half;
		}
	}
	return 0;
}

#endif
