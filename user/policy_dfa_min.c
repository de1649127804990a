// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Minimisation by refining a partition of the states. A block is divided by what its members'
 * rows say in terms of blocks; the largest part keeps its number, and only states that lead to
 * one of the others are looked at again. So each state changes its block a logarithmic number
 * of times, and rows are never spread out to all byte classes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy_dfa.h"

/* Members of a block are contiguous, those to be looked at again first. */
struct block {
	uint32_t first, past;
	uint32_t dirty;
};

/* Members of the block in hand with the same row. */
struct group {
	uint64_t hash;
	uint32_t member; /* one of them */
	uint32_t count;
	uint32_t at; /* where the next one goes */
};

/* A row in terms of blocks, in its normal form. */
struct image_row {
	uint32_t other, count;
	struct dfa_edge edge[256];
};

struct minimiser {
	const struct dfa *d;
	uint32_t *block_of, *member, *where; /* by state, by position, by state */
	struct block *block;
	uint32_t blocks;
	uint32_t *pred_at, *pred; /* who leads to a state */
	uint32_t *queue, head, queued;
	uint32_t *tally; /* by block, zero between uses */
	struct group *group;
	uint32_t groups;
	uint32_t *group_of, *moved; /* by dirty member */
	struct slot {
		uint32_t stamp, group;
	} *table;
	uint32_t stamp;
	struct image_row a, b;
};

/* -------------------------------------------------------------------- rows */

/* The target with most classes; of equals the one of the lowest class. */
static uint32_t row_majority(struct minimiser *m, const uint32_t *to, uint32_t classes)
{
	uint32_t best = to[0];

	for (uint32_t c = 0; c < classes; c++)
		m->tally[to[c]]++;
	for (uint32_t c = 0; c < classes; c++)
		if (m->tally[to[c]] > m->tally[best])
			best = to[c];
	for (uint32_t c = 0; c < classes; c++)
		m->tally[to[c]] = 0;
	return best;
}

static void row_image_wide(struct minimiser *m, const struct dfa_row *r, const struct dfa_edge *e,
			   struct image_row *ret)
{
	uint32_t classes = m->d->classes, to[256] = { 0 };

	for (uint32_t c = 0; c < classes; c++)
		to[c] = ret->other;
	for (uint32_t i = 0; i < r->count; i++)
		to[e[i].class_] = m->block_of[e[i].to];
	ret->other = row_majority(m, to, classes);
	for (uint32_t c = 0; c < classes; c++)
		if (to[c] != ret->other)
			ret->edge[ret->count++] = (struct dfa_edge) { .to = to[c], .class_ = c };
}

static void row_image(struct minimiser *m, uint32_t state, struct image_row *ret)
{
	const struct dfa_row *r = &m->d->row[state];
	const struct dfa_edge *e = m->d->edge + r->at;

	ret->other = m->block_of[r->other];
	ret->count = 0;
	if (r->count * 2 >= m->d->classes) {
		row_image_wide(m, r, e, ret);
		return;
	}
	for (uint32_t i = 0; i < r->count; i++) {
		uint32_t b = m->block_of[e[i].to];

		if (b != ret->other)
			ret->edge[ret->count++] = (struct dfa_edge) { .to = b, .class_ = e[i].class_ };
	}
}

static uint64_t row_hash(const struct image_row *r)
{
	uint64_t h = r->other * 0x9e3779b97f4a7c15ull;

	for (uint32_t i = 0; i < r->count; i++) {
		h ^= (uint64_t)r->edge[i].to << 8 | r->edge[i].class_;
		h *= 0xff51afd7ed558ccdull;
		h ^= h >> 32;
	}
	return h ^ h >> 29;
}

static bool row_equals(const struct image_row *a, const struct image_row *b)
{
	return a->other == b->other && a->count == b->count &&
	       !memcmp(a->edge, b->edge, a->count * sizeof(a->edge[0]));
}

/* --------------------------------------------------------------- refinement */

static void mark_dirty(struct minimiser *m, uint32_t state)
{
	uint32_t number = m->block_of[state], to, other;
	struct block *b = &m->block[number];

	if (b->past - b->first == 1 || m->where[state] < b->first + b->dirty)
		return;
	to = b->first + b->dirty;
	other = m->member[to];
	m->member[m->where[state]] = other;
	m->where[other] = m->where[state];
	m->member[to] = state;
	m->where[state] = to;
	if (!b->dirty++)
		m->queue[(m->head + m->queued++) % m->d->states] = number;
}

static uint32_t group_new(struct minimiser *m, uint64_t hash, uint32_t member, uint32_t count)
{
	m->group[m->groups] = (struct group) { .hash = hash, .member = member, .count = count };
	return m->groups++;
}

/* The group of the row in m->a. */
static uint32_t group_find(struct minimiser *m, uint32_t state, uint32_t mask)
{
	uint64_t hash = row_hash(&m->a);
	uint32_t slot = (uint32_t)hash & mask;

	for (; m->table[slot].stamp == m->stamp; slot = (slot + 1) & mask) {
		struct group *g = &m->group[m->table[slot].group];

		if (g->hash != hash)
			continue;
		row_image(m, g->member, &m->b);
		if (!row_equals(&m->a, &m->b))
			continue;
		g->count++;
		return m->table[slot].group;
	}
	m->table[slot].stamp = m->stamp;
	m->table[slot].group = group_new(m, hash, state, 1);
	return m->table[slot].group;
}

/* Group 0 is for the members that are not dirty: they all have the same row. */
static void block_group(struct minimiser *m, const struct block *b)
{
	uint32_t mask = 1, rest = b->past - b->first - b->dirty;

	while (mask < b->dirty * 2 + 4)
		mask *= 2;
	mask--;
	m->stamp++;
	m->groups = 0;
	if (rest) {
		row_image(m, m->member[b->past - 1], &m->a);
		group_find(m, m->member[b->past - 1], mask);
		m->group[0].count = rest;
	} else {
		group_new(m, 0, 0, 0);
	}
	for (uint32_t i = 0; i < b->dirty; i++) {
		uint32_t s = m->member[b->first + i];

		row_image(m, s, &m->a);
		m->group_of[i] = group_find(m, s, mask);
	}
}

/* Gives each group a block of its own; the largest keeps the number. */
static void block_split(struct minimiser *m, uint32_t number)
{
	struct block b = m->block[number];
	uint32_t at = b.first, keep = 0, rest = b.past - b.first - b.dirty, blocks = m->blocks;

	/* Group 0 last, next to those that were not dirty. */
	for (uint32_t g = 1; g < m->groups; g++) {
		m->group[g].at = at;
		at += m->group[g].count;
		if (m->group[g].count > m->group[keep].count)
			keep = g;
	}
	m->group[0].at = at;
	memcpy(m->moved, m->member + b.first, b.dirty * sizeof(*m->moved));
	for (uint32_t i = 0; i < b.dirty; i++) {
		uint32_t to = m->group[m->group_of[i]].at++;

		m->member[to] = m->moved[i];
		m->where[m->moved[i]] = to;
	}
	m->group[0].at += rest;
	for (uint32_t g = 0; g < m->groups; g++) {
		uint32_t to = g == keep ? number : m->blocks;

		if (!m->group[g].count)
			continue;
		if (g != keep)
			m->blocks++;
		m->block[to] = (struct block) { .first = m->group[g].at - m->group[g].count,
						.past = m->group[g].at };
		for (uint32_t i = m->block[to].first; g != keep && i < m->block[to].past; i++)
			m->block_of[m->member[i]] = to;
	}
	for (uint32_t k = blocks; k < m->blocks; k++) {
		uint32_t count = m->block[k].past - m->block[k].first;

		/* Marking moves members about, of this block too. */
		memcpy(m->moved, m->member + m->block[k].first, count * sizeof(*m->moved));
		for (uint32_t i = 0; i < count; i++) {
			uint32_t s = m->moved[i];

			for (uint32_t p = m->pred_at[s]; p < m->pred_at[s + 1]; p++)
				mark_dirty(m, m->pred[p]);
		}
	}
}

static void minimiser_run(struct minimiser *m)
{
	while (m->queued) {
		uint32_t number = m->queue[m->head];
		struct block *b = &m->block[number];

		m->head = (m->head + 1) % m->d->states;
		m->queued--;
		if (b->past - b->first > 1) {
			block_group(m, b);
			if (m->groups - !m->group[0].count > 1) {
				block_split(m, number);
				continue;
			}
		}
		b->dirty = 0;
	}
}

/* -------------------------------------------------------------------- start */

/* Blocks by accept record, everything dirty. */
static int minimiser_start(struct minimiser *m)
{
	const struct dfa *d = m->d;
	uint32_t accepts = 0, sum = 0;
	cleanup_free uint32_t *at = NULL;

	for (uint32_t s = 0; s < d->states; s++)
		if (d->accept_of[s] >= accepts)
			accepts = d->accept_of[s] + 1;
	at = calloc((size_t)accepts + 1, sizeof(*at));
	if (!at)
		return -ENOMEM;
	for (uint32_t s = 0; s < d->states; s++)
		at[d->accept_of[s]]++;
	for (uint32_t a = 0; a < accepts; a++) {
		uint32_t n = at[a];

		at[a] = sum;
		sum += n;
		if (!n)
			continue;
		m->block[m->blocks] =
			(struct block) { .first = sum - n, .past = sum, .dirty = n };
		m->queue[m->queued++] = m->blocks++;
	}
	for (uint32_t s = 0; s < d->states; s++) {
		uint32_t to = at[d->accept_of[s]]++;

		m->member[to] = s;
		m->where[s] = to;
	}
	for (uint32_t k = 0; k < m->blocks; k++)
		for (uint32_t i = m->block[k].first; i < m->block[k].past; i++)
			m->block_of[m->member[i]] = k;
	return 0;
}

static void minimiser_preds(struct minimiser *m)
{
	const struct dfa *d = m->d;

	for (uint32_t s = 0; s < d->states; s++) {
		m->pred_at[d->row[s].other]++;
		for (uint32_t k = 0; k < d->row[s].count; k++)
			m->pred_at[d->edge[d->row[s].at + k].to]++;
	}
	for (uint32_t s = 0; s < d->states; s++)
		m->pred_at[s + 1] += m->pred_at[s];
	for (uint32_t s = 0; s < d->states; s++) {
		m->pred[--m->pred_at[d->row[s].other]] = s;
		for (uint32_t k = 0; k < d->row[s].count; k++)
			m->pred[--m->pred_at[d->edge[d->row[s].at + k].to]] = s;
	}
}

static void minimiser_done(struct minimiser *m)
{
	free(m->block_of);
	free(m->member);
	free(m->where);
	free(m->block);
	free(m->pred_at);
	free(m->pred);
	free(m->queue);
	free(m->tally);
	free(m->group);
	free(m->group_of);
	free(m->moved);
	free(m->table);
}

static int minimiser_init(struct minimiser *m, const struct dfa *d)
{
	size_t n = (size_t)d->states + 2, table = 4;

	while (table < n * 2 + 4)
		table *= 2;
	m->d = d;
	m->block_of = calloc(n, sizeof(*m->block_of));
	m->member = calloc(n, sizeof(*m->member));
	m->where = calloc(n, sizeof(*m->where));
	m->block = calloc(n, sizeof(*m->block));
	m->pred_at = calloc(n, sizeof(*m->pred_at));
	m->pred = calloc(n + d->edges, sizeof(*m->pred));
	m->queue = calloc(n, sizeof(*m->queue));
	m->tally = calloc(n, sizeof(*m->tally));
	m->group = calloc(n, sizeof(*m->group));
	m->group_of = calloc(n, sizeof(*m->group_of));
	m->moved = calloc(n, sizeof(*m->moved));
	m->table = calloc(table, sizeof(*m->table));
	if (!m->block_of || !m->member || !m->where || !m->block || !m->pred_at || !m->pred ||
	    !m->queue || !m->tally || !m->group || !m->group_of || !m->moved || !m->table)
		return -ENOMEM;
	minimiser_preds(m);
	return minimiser_start(m);
}

/* --------------------------------------------------------------------- emit */

struct emitter {
	struct minimiser *m;
	uint32_t *number, *order, count; /* by block; by number */
};

static uint32_t emitter_number(struct emitter *e, uint32_t block)
{
	if (!e->number[block]) {
		e->number[block] = e->count;
		e->order[e->count++] = block;
	}
	return e->number[block];
}

static int emitter_row(struct emitter *e, uint32_t i, struct dfa *ret, size_t *cap)
{
	struct minimiser *m = e->m;
	uint32_t s = m->member[m->block[e->order[i]].first]; /* any of them */
	struct image_row *r = &m->a;

	row_image(m, s, r);
	ret->accept_of[i] = m->d->accept_of[s];
	ret->row[i].at = (uint32_t)ret->edges;
	ret->row[i].count = r->count;
	for (uint32_t k = 0; k < r->count; k++) {
		if (vector_grow(&ret->edge, ret->edges, cap, sizeof(*ret->edge)))
			return -ENOMEM;
		ret->edge[ret->edges++] =
			(struct dfa_edge) { .to = emitter_number(e, r->edge[k].to),
					    .class_ = r->edge[k].class_ };
	}
	ret->row[i].other = emitter_number(e, r->other);
	return 0;
}

static int minimiser_emit(struct minimiser *m, size_t n_starts, struct dfa *ret)
{
	struct emitter e = { .m = m, .count = 1 };
	uint32_t dead = m->block_of[0];
	size_t cap = 0;
	int err = 0;

	e.number = calloc((size_t)m->blocks + 1, sizeof(*e.number));
	e.order = calloc((size_t)m->blocks + 2, sizeof(*e.order));
	ret->row = calloc((size_t)m->blocks + 1, sizeof(*ret->row));
	ret->accept_of = calloc((size_t)m->blocks + 1, sizeof(*ret->accept_of));
	ret->start = calloc(n_starts + 1, sizeof(*ret->start));
	if (!e.number || !e.order || !ret->row || !ret->accept_of || !ret->start)
		err = -ENOMEM;
	/* Dead becomes number 0, which here still means not met. */
	if (!err) {
		e.number[dead] = UINT32_MAX;
		for (size_t k = 0; k < n_starts; k++)
			ret->start[k] = emitter_number(&e, m->block_of[m->d->start[k]]);
	}
	for (uint32_t i = 1; !err && i < e.count; i++)
		err = emitter_row(&e, i, ret, &cap);
	if (!err) {
		ret->states = e.count;
		for (size_t k = 0; k < n_starts; k++)
			ret->start[k] += ret->start[k] == UINT32_MAX;
		for (size_t k = 0; k < ret->edges; k++)
			ret->edge[k].to += ret->edge[k].to == UINT32_MAX;
		for (uint32_t i = 0; i < ret->states; i++)
			ret->row[i].other += ret->row[i].other == UINT32_MAX;
	}
	free(e.number);
	free(e.order);
	return err;
}

int dfa_minimise(struct dfa *d, size_t n_starts)
{
	cleanup_free struct minimiser *m = calloc(1, sizeof(*m));
	struct dfa out = { .classes = d->classes };
	int err = m ? minimiser_init(m, d) : -ENOMEM;

	memcpy(out.class_of, d->class_of, sizeof(out.class_of));
	if (!err) {
		minimiser_run(m);
		err = minimiser_emit(m, n_starts, &out);
	}
	if (m)
		minimiser_done(m);
	if (err) {
		dfa_done(&out);
		return err;
	}
	dfa_done(d);
	*d = out;
	return 0;
}
