// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which states of an automaton a name can end in. The subset construction makes some that nothing leads
 * to, and others are reached only by what no name is: "/a//b", "/a/.", a NUL. What is said of rules
 * that never decide must not count those.
 */
#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "policy_dfa.h"

/* Where in a path a name ends so far; bits of seen[]. */
enum place {
	PLACE_BEGIN = 0,
	PLACE_ROOT,   /* "/" */
	PLACE_SLASH,  /* behind another slash: no end of a name */
	PLACE_DOT,
	PLACE_DOTDOT,
	PLACE_OTHER,
	PLACE_PLAIN,  /* of a name that is no path */
	PLACE_NONE,
};

enum kind { KIND_SLASH = 0, KIND_DOT, KIND_OTHER, KINDS };

static const uint8_t steps[PLACE_NONE][KINDS] = {
	[PLACE_BEGIN] = { PLACE_ROOT, PLACE_NONE, PLACE_NONE },
	[PLACE_ROOT] = { PLACE_NONE, PLACE_DOT, PLACE_OTHER },
	[PLACE_SLASH] = { PLACE_NONE, PLACE_DOT, PLACE_OTHER },
	[PLACE_DOT] = { PLACE_NONE, PLACE_DOTDOT, PLACE_OTHER },
	[PLACE_DOTDOT] = { PLACE_NONE, PLACE_OTHER, PLACE_OTHER },
	[PLACE_OTHER] = { PLACE_SLASH, PLACE_OTHER, PLACE_OTHER },
	[PLACE_PLAIN] = { PLACE_PLAIN, PLACE_PLAIN, PLACE_PLAIN },
};

struct reach {
	uint8_t *seen; /* by state: places */
	struct {
		uint32_t state, place;
	} *todo;
	size_t count, cap;
	uint64_t kind[KINDS][4]; /* classes with a byte of that kind */
};

static int reach_add(struct reach *r, uint32_t state, uint32_t place)
{
	if (!state || place == PLACE_NONE || (r->seen[state] >> place & 1))
		return 0;
	if (vector_grow(&r->todo, r->count, &r->cap, sizeof(*r->todo)))
		return -ENOMEM;
	r->seen[state] |= (uint8_t)(1u << place);
	r->todo[r->count].state = state;
	r->todo[r->count++].place = place;
	return 0;
}

static void reach_kinds(struct reach *r, const uint8_t class_of[256])
{
	for (unsigned b = 1; b < 256; b++) {
		unsigned kind = b == '/' ? KIND_SLASH : b == '.' ? KIND_DOT : KIND_OTHER;

		r->kind[kind][class_of[b] >> 6] |= 1ull << (class_of[b] & 63);
	}
}

/* By a class with bytes of these kinds. */
static int reach_step(struct reach *r, const uint64_t classes[4], uint32_t place, uint32_t to)
{
	int err = 0;

	for (unsigned kind = 0; kind < KINDS && !err; kind++)
		for (unsigned w = 0; w < 4; w++)
			if (classes[w] & r->kind[kind][w]) {
				err = reach_add(r, to, steps[place][kind]);
				break;
			}
	return err;
}

static int reach_from(struct reach *r, const struct dfa *d, uint32_t state, uint32_t place)
{
	const struct dfa_row *row = &d->row[state];
	uint64_t other[4] = { ~0ull, ~0ull, ~0ull, ~0ull };
	int err = 0;

	for (uint32_t i = 0; i < row->count && !err; i++) {
		const struct dfa_edge *e = &d->edge[row->at + i];
		uint64_t one[4] = { 0 };

		one[e->class_ >> 6] = 1ull << (e->class_ & 63);
		other[e->class_ >> 6] &= ~one[e->class_ >> 6];
		err = reach_step(r, one, place, e->to);
	}
	return err ? err : reach_step(r, other, place, row->other);
}

int dfa_named(const struct dfa *d, size_t n_starts, const bool *path, bool *ret_named)
{
	struct reach r = { .seen = calloc(d->states + 1, 1) };
	int err = r.seen ? 0 : -ENOMEM;

	reach_kinds(&r, d->class_of);
	for (size_t i = 0; i < n_starts && !err; i++)
		err = reach_add(&r, d->start[i], path && path[i] ? PLACE_BEGIN : PLACE_PLAIN);
	while (r.count && !err) {
		uint32_t state = r.todo[--r.count].state, place = r.todo[r.count].place;

		err = reach_from(&r, d, state, place);
	}
	for (uint32_t i = 0; i < d->states && !err; i++)
		ret_named[i] = r.seen[i] & (1u << PLACE_ROOT | 1u << PLACE_OTHER | 1u << PLACE_PLAIN);
	free(r.seen);
	free(r.todo);
	return err;
}
