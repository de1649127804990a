// SPDX-License-Identifier: LGPL-2.1-or-later
/* The product of two automata, walked breadth first: what names tell two policies apart. States
 * are opaque numbers; only one step of the engine's own walk is used. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy_diff.h"
#include "warder_decide.h"

/* Where in a component the name ends so far. */
enum place { PLACE_SLASH = 0, PLACE_DOT, PLACE_DOTDOT, PLACE_OTHER };

#define STATES 3 /* of both policies, and of the image that tells names apart besides */

struct pair {
	__u32 state[STATES];
	__u32 parent;
	__u8 byte;
	__u8 place;
};

struct product {
	const struct warder_image *img[STATES]; /* the last may be NULL */
	struct pair *pair;
	size_t count, cap;
	__u32 *table; /* hash: index + 1 */
	size_t size;
	size_t now; /* the one being visited */
	__u8 byte[256];
	unsigned bytes; /* one byte of each group that neither automaton tells apart */
	bool path;
	struct warder_text text;
};

static __u32 product_step(struct product *p, unsigned i, __u32 state, __u8 byte)
{
	p->text.b[0] = (char)byte;
	return warder_walk(p->img[i], &p->text, state, 0, 1);
}

/* Letters first, so that a witness is a name that people can read. */
static unsigned rank(unsigned b)
{
	if (b >= 'a' && b <= 'z')
		return 0;
	if ((b >= '0' && b <= '9') || (b >= 'A' && b <= 'Z'))
		return 1;
	return b == '/' || b == '.' || b == '-' || b == '_' ? 2 : b > 0x20 && b < 0x7f ? 3 :
	       b >= 0x80 ? 4 : 5;
}

static void product_groups(struct product *p)
{
	for (unsigned r = 0; r <= 5; r++)
		for (unsigned b = 1; b < 256; b++) {
			bool known = false;

			if (rank(b) != r)
				continue;
			for (unsigned i = 0; i < p->bytes && !known && b != '/' && b != '.'; i++) {
				known = p->byte[i] != '/' && p->byte[i] != '.';
				for (unsigned k = 0; k < STATES && p->img[k]; k++)
					known &= image_u8(p->img[k], p->img[k]->h.class_of.offset + b) ==
						 image_u8(p->img[k], p->img[k]->h.class_of.offset +
									     p->byte[i]);
			}
			if (!known)
				p->byte[p->bytes++] = (__u8)b;
		}
}

static size_t product_hash(const __u32 state[STATES], __u8 place)
{
	__u64 h = ((__u64)state[0] << 32 | state[1]) * 0x9e3779b97f4a7c15ull + place +
		  ((__u64)state[2] << 8);

	h ^= h >> 29;
	h *= 0xbf58476d1ce4e5b9ull;
	return (size_t)(h ^ h >> 32);
}

static int product_rehash(struct product *p)
{
	size_t size = p->size ? 2 * p->size : 4096;
	__u32 *table = calloc(size, sizeof(*table));

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < p->count; i++) {
		size_t at = product_hash(p->pair[i].state, p->pair[i].place) & (size - 1);

		while (table[at])
			at = (at + 1) & (size - 1);
		table[at] = (__u32)i + 1;
	}
	free(p->table);
	p->table = table;
	p->size = size;
	return 0;
}

/* 1: added; 0: known; -errno. */
static int product_put(struct product *p, const struct pair *q)
{
	size_t at;

	if (2 * (p->count + 1) > p->size && product_rehash(p))
		return -ENOMEM;
	at = product_hash(q->state, q->place) & (p->size - 1);
	for (; p->table[at]; at = (at + 1) & (p->size - 1)) {
		const struct pair *k = &p->pair[p->table[at] - 1];

		if (!memcmp(k->state, q->state, sizeof(k->state)) && k->place == q->place)
			return 0;
	}
	if (p->count >= DIFF_PAIRS_MAX)
		return -E2BIG;
	if (p->count == p->cap) {
		size_t cap = p->cap ? 2 * p->cap : 1024;
		void *grown = reallocarray(p->pair, cap, sizeof(*p->pair));

		if (!grown)
			return -ENOMEM;
		p->pair = grown;
		p->cap = cap;
	}
	p->pair[p->count++] = *q;
	p->table[at] = (__u32)p->count;
	return 1;
}

/* Is this byte possible here, and where does it lead? */
static bool place_step(bool path, __u8 place, __u8 byte, __u8 *ret)
{
	if (!path) {
		*ret = PLACE_OTHER;
		return true;
	}
	if (byte == '/') {
		*ret = PLACE_SLASH;
		return place == PLACE_OTHER;
	}
	*ret = byte != '.' || place >= PLACE_DOTDOT ? PLACE_OTHER :
	       place == PLACE_SLASH ? PLACE_DOT : PLACE_DOTDOT;
	return true;
}

static int product_expand(struct product *p, size_t index)
{
	for (unsigned i = 0; i < p->bytes; i++) {
		struct pair from = p->pair[index], q = { .parent = (__u32)index,
							 .byte = p->byte[i] };
		int err;

		if (!place_step(p->path, from.place, q.byte, &q.place))
			continue;
		for (unsigned k = 0; k < STATES && p->img[k]; k++)
			q.state[k] = product_step(p, k, from.state[k], q.byte);
		err = product_put(p, &q);
		if (err < 0)
			return err;
	}
	return 0;
}

const char *product_name(const struct product *p, char *buf, size_t size)
{
	size_t len = 0, at = p->now;

	for (; at != 0; at = p->pair[at].parent)
		len++;
	len += p->path;
	if (len >= size)
		return NULL;
	buf[len] = 0;
	for (at = p->now; at != 0; at = p->pair[at].parent)
		buf[--len] = (char)p->pair[at].byte;
	if (p->path)
		buf[0] = '/';
	return buf;
}

__u32 product_apart(const struct product *p)
{
	return p->pair[p->now].state[2];
}

static int walk(const struct warder_image *const img[STATES], const __u32 start[STATES], bool path,
		product_fn visit, void *arg, bool *ret_incomplete)
{
	struct product *p = calloc(1, sizeof(*p));
	struct pair first = { .place = path ? PLACE_SLASH : PLACE_OTHER };
	int err;

	if (!p)
		return -ENOMEM;
	memcpy(p->img, img, sizeof(p->img));
	p->path = path;
	product_groups(p);
	for (unsigned k = 0; k < STATES && img[k]; k++)
		first.state[k] = path ? product_step(p, k, start[k], '/') : start[k];
	err = product_put(p, &first);
	for (size_t i = 0; err >= 0 && i < p->count; i++) {
		struct pair q = p->pair[i];

		p->now = i;
		err = 0;
		/* "/" is a name, "/dir/" and "/dir/.." are not. */
		if (q.place == PLACE_OTHER || (path && i == 0))
			err = visit(p, q.state[0], q.state[1], arg);
		/* Behind a dead pair nothing changes any more. */
		if (!err && (q.state[0] != WARDER_STATE_DEAD || q.state[1] != WARDER_STATE_DEAD ||
			     (img[2] && q.state[2] != WARDER_STATE_DEAD) || q.place != PLACE_OTHER))
			err = product_expand(p, i);
		if (err > 0)
			break;
	}
	free(p->pair);
	free(p->table);
	free(p);
	if (err == -E2BIG) {
		*ret_incomplete = true;
		return 0;
	}
	return err < 0 ? err : 0;
}

int product_walk_apart(const struct warder_image *old, const struct warder_image *new_, __u32 old_start,
		       __u32 new_start, const struct warder_image *apart, product_fn visit, void *arg,
		       bool *ret_incomplete)
{
	const struct warder_image *const img[STATES] = { old, new_, apart };
	const __u32 start[STATES] = { old_start, new_start,
				      warder_start(apart, warder_profile_at(apart, 0), WARDER_START_FILE) };

	return walk(img, start, true, visit, arg, ret_incomplete);
}

int product_walk(const struct warder_image *old, const struct warder_image *new_, __u32 old_start,
		 __u32 new_start, bool path, product_fn visit, void *arg, bool *ret_incomplete)
{
	const struct warder_image *const img[STATES] = { old, new_, NULL };
	const __u32 start[STATES] = { old_start, new_start, 0 };

	return walk(img, start, path, visit, arg, ret_incomplete);
}
