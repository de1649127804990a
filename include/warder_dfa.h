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
#define WARDER_NO_UNROLL _Pragma("clang loop unroll(disable)")
#else
#define WARDER_ENGINE_GLOBAL static inline
#define WARDER_ENGINE static inline
#define WARDER_OPAQUE(x) ((void)0)
#define WARDER_NO_UNROLL
#endif

/* errno values by their kernel ABI numbers: BPF has no errno.h. */
#define WARDER_EPERM 1
#define WARDER_EACCES 13

/* ------------------------------------------------------------ image access */

/*
 * Loads go through a pointer to void: of a cast that is applied to a member of a struct, clang
 * knows that it may be unaligned, and takes the load apart for BPF. The masks make it aligned.
 */
WARDER_ENGINE __u8 image_u8(const struct warder_image *img, __u32 offset)
{
	WARDER_OPAQUE(offset);
	return img->b[offset & WARDER_IMAGE_MASK];
}

WARDER_ENGINE __u16 image_u16(const struct warder_image *img, __u32 offset)
{
	const void *at;

	WARDER_OPAQUE(offset);
	at = &img->b[offset & WARDER_IMAGE_MASK & ~1u];
	return *(const __u16 *)at;
}

WARDER_ENGINE __u32 image_u32(const struct warder_image *img, __u32 offset)
{
	const void *at;

	WARDER_OPAQUE(offset);
	at = &img->b[offset & WARDER_IMAGE_MASK & ~3u];
	return *(const __u32 *)at;
}

WARDER_ENGINE __u64 image_u64(const struct warder_image *img, __u32 offset)
{
	const void *at;

	WARDER_OPAQUE(offset);
	at = &img->b[offset & WARDER_IMAGE_MASK & ~7u];
	return *(const __u64 *)at;
}

/* Eight bytes at any address. */
WARDER_ENGINE __u64 warder_load8(const void *at)
{
#ifdef __bpf__
	return *(const __u64 *)at;
#else
	__u64 v;

	__builtin_memcpy(&v, at, sizeof(v));
	return v;
#endif
}

/* --------------------------------------------------------------------- DFA */

/* Rounds of warder_walk_rounds(), calls of it by warder_walk_part(), and of that by warder_walk():
 * the verifier walks each of them once, in every program anew. In one loop it took half of what it
 * took for a file's hook. */
#define WARDER_WALK_ROUNDS 4u
#define WARDER_WALK_CALLS 32u
#define WARDER_WALK_PARTS (WARDER_PATH_MAX / WARDER_WALK_ROUNDS / WARDER_WALK_CALLS)

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "bytes are compared eight at a time");
#define WARDER_BYTES(x) ((x) * 0x0101010101010101ull)

/* A node in two registers. */
struct warder_node_words {
	__u64 way;  /* data | next << 32 */
	__u64 more; /* other | accept << 32 */
};

WARDER_ENGINE struct warder_node_words warder_node(const struct warder_image *img,
						   __u32 node)
{
	__u32 at = img->h.node.offset + node * (__u32)sizeof(struct warder_node);
	struct warder_node_words n;

	WARDER_OPAQUE(at);
	at &= WARDER_IMAGE_MASK & ~15u;
	n.way = warder_load8(&img->b[at]);
	n.more = warder_load8(&img->b[at + 8]);
	return n;
}

/* Where `byte` leads from a SPAN, TABLE or PATCH, or from a STOP that a chain refers to. A walk
 * stays in the layer of its state. */
WARDER_ENGINE __u32 warder_row(const struct warder_image *img, __u32 layer, __u32 node, __u64 way,
			       __u32 patched, __u32 byte)
{
	__u32 class_ = image_u8(img, img->h.class_of.offset + (layer << 8) + byte);
	__u64 edge = image_u64(img, img->h.edge.offset + 8 * ((__u32)way + class_));

	if ((__u32)edge == node)
		return edge >> 32;
	if (!patched)
		return way >> 32;
	way = warder_node(img, patched).way;
	edge = image_u64(img, img->h.edge.offset + 8 * ((__u32)way + class_));
	return ((__u32)edge == patched ? edge : way) >> 32;
}

#define WARDER_WALKED(off, state) ((__u64)(state) << 32 | (off))

/* How many of the low bytes of x are zero: 0 to 8. */
WARDER_ENGINE __u32 warder_zero_bytes(__u64 x)
{
	__u64 below = (x & -x) - 1; /* all bits below the lowest one that is set */

	return WARDER_BYTES((below & WARDER_BYTES(0x80ull)) >> 7) >> 56;
}

/* Zero up to the first byte of `text` that is `a` or `b`, and nonzero there. */
WARDER_ENGINE __u64 warder_find_bytes(__u64 text, __u64 a, __u64 b)
{
	a = text ^ WARDER_BYTES(a);
	b = text ^ WARDER_BYTES(b);
	return (((a - WARDER_BYTES(1ull)) & ~a) | ((b - WARDER_BYTES(1ull)) & ~b)) &
	       WARDER_BYTES(0x80ull);
}

/*
 * Reads on from `off` to `end` for a number of rounds. Returns where it came to, and the state
 * reached in the upper half; at `end` no later round would change that state. Every round reads
 * one byte at least: up to eight along a chain or over a span, one by a table.
 */
WARDER_ENGINE_GLOBAL __u64 warder_walk_rounds(const struct warder_image *img,
					      const struct warder_text *text, __u32 off, __u32 end,
					      __u32 state)
{
	if (!img || !text)
		return WARDER_WALKED(end, WARDER_STATE_DEAD);
	for (__u32 i = 0; i < WARDER_WALK_ROUNDS; i++) {
		struct warder_node_words n;
		__u32 at = off, kind, node = state >> 8, patched = 0;

		/* The header's fields are not to be kept on the stack, of which there is too little. */
		WARDER_OPAQUE(img);
		if (off >= end)
			break;
		n = warder_node(img, node);
		kind = n.more >> 56;
		if (kind == WARDER_NODE_STOP)
			return WARDER_WALKED(end, state);
		WARDER_OPAQUE(at);
		at &= WARDER_TEXT_MASK;
		if (kind <= WARDER_NODE_SPAN) {
			__u32 left = end - off, same;
			__u64 x = warder_load8(&text->b[at]);

			if (kind == WARDER_NODE_CHAIN) {
				__u32 position = state & 0xff;
				__u32 rest = ((__u32)n.way & 0xff) - position;
				__u32 from = ((__u32)n.way >> 8) + position;

				WARDER_OPAQUE(from);
				if (from > WARDER_IMAGE_SIZE - 8)
					return WARDER_WALKED(end, WARDER_STATE_DEAD);
				same = warder_zero_bytes(x ^ warder_load8(&img->b[from]));
				if (same >= rest && rest <= left) {
					off += rest;
					state = n.way >> 32;
					continue;
				}
				if (same >= left || same == 8) {
					same = same < left ? same : left;
					off += same;
					state += same;
					continue;
				}
				node = (__u32)n.more;
				n = warder_node(img, node);
			} else {
				same = warder_zero_bytes(warder_find_bytes(
					x, n.more & 0xff, n.more >> 8 & 0xff));
				if (same >= left || same == 8) {
					off += same < left ? same : left;
					continue;
				}
			}
			off += same;
			at = off;
			WARDER_OPAQUE(at);
			at &= WARDER_TEXT_MASK;
		} else if (kind == WARDER_NODE_PATCH) {
			patched = (__u32)n.more;
		}
		state = warder_row(img, WARDER_STATE_LAYER(state), node, n.way, patched,
				   (__u8)text->b[at]);
		off++;
	}
	return WARDER_WALKED(off, state);
}

/* The same for a number of calls. */
WARDER_ENGINE_GLOBAL __u64 warder_walk_part(const struct warder_image *img,
					    const struct warder_text *text, __u32 off, __u32 end,
					    __u32 state)
{
	__u64 walked = WARDER_WALKED(off, state);

	if (!img || !text)
		return WARDER_WALKED(end, WARDER_STATE_DEAD);
	for (__u32 i = 0; i < WARDER_WALK_CALLS; i++) {
		if ((__u32)walked >= end)
			break;
		walked = warder_walk_rounds(img, text, (__u32)walked, end, walked >> 32);
	}
	return walked;
}

/* Reads text[off, off+len) from `state`; len is at most WARDER_PATH_MAX - 1, more is dead. */
WARDER_ENGINE_GLOBAL __u32 warder_walk(const struct warder_image *img, const struct warder_text *text,
				__u32 state, __u32 off, __u32 len)
{
	__u64 walked = WARDER_WALKED(off, state);
	__u32 end = off + len;

	if (!img || !text || len >= WARDER_PATH_MAX)
		return WARDER_STATE_DEAD;
	for (__u32 i = 0; i < WARDER_WALK_PARTS; i++) {
		if ((__u32)walked >= end)
			break;
		walked = warder_walk_part(img, text, (__u32)walked, end, walked >> 32);
	}
	return walked >> 32;
}

/* Where the DFA is after `name` and a slash: what it says of names below. */
WARDER_ENGINE_GLOBAL __u32 warder_state_below(const struct warder_image *img, __u32 state)
{
	__u32 node = state >> 8, position = state & 0xff, kind;
	struct warder_node_words n;

	if (!img)
		return WARDER_STATE_DEAD;
	n = warder_node(img, node);
	kind = n.more >> 56;
	if (kind == WARDER_NODE_STOP)
		return state;
	if (kind == WARDER_NODE_CHAIN) {
		if (image_u8(img, ((__u32)n.way >> 8) + position) == '/')
			return position + 1 == ((__u32)n.way & 0xff) ? n.way >> 32 : state + 1;
		node = (__u32)n.more;
		n = warder_node(img, node);
	}
	return warder_row(img, WARDER_STATE_LAYER(state), node, n.way,
			  kind == WARDER_NODE_PATCH ? (__u32)n.more : 0, '/');
}

/* Byte offset of the accept record of a state. Record 0 is the empty one. */
WARDER_ENGINE __u32 warder_accept_at(const struct warder_image *img, __u32 state)
{
	__u32 accept = image_u32(img, img->h.node.offset +
					      (state >> 8) * (__u32)sizeof(struct warder_node) +
					      (__u32)__builtin_offsetof(struct warder_node, accept));

	return img->h.accept.offset +
	       (__u32)sizeof(struct warder_accept) * (accept & WARDER_NODE_ACCEPT);
}

#define WARDER_ACCEPT_FIELD(img, at, field) \
	image_u32(img, (at) + (__u32)__builtin_offsetof(struct warder_accept, field))

#endif
