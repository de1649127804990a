/* SPDX-License-Identifier: LGPL-2.1-or-later OR GPL-2.0-only */
/*
 * Reading an image: masked access to its bytes, and the walk of a name through its DFA.
 * Included by warder_decide.h, whose rules hold here too.
 */
#ifndef WARDER_DFA_H
#define WARDER_DFA_H

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

/* Reads text[off, off+len) from `state`; len is at most WARDER_PATH_MAX - 1, more is dead. */
WARDER_ENGINE_GLOBAL __u32 warder_walk(const struct warder_image *img, const struct warder_text *text,
				__u32 state, __u32 off, __u32 len)
{
	if (!img || !text || len >= WARDER_PATH_MAX)
		return WARDER_STATE_DEAD;
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

#endif
