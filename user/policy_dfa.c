// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * NFA -> DFA (subset construction) -> minimal DFA (partition refinement after Valmari,
 * "Fast brief practical DFA minimization", 2012) -> byte classes. Everything is bounded: a
 * set of patterns that explodes ends with -E2BIG after about a second, not with the memory.
 * The numbering of states follows from the input alone: same policy, same bytes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy_internal.h"

#define DFA_STATES_MAX 65535u	  /* a state is a __u16 */
#define DFA_CELLS_MAX (4u << 20)  /* states * classes before minimisation */
#define DFA_POOL_MAX (24u << 20)  /* members of all subsets together */
#define DFA_WORK_MAX 400000000ull /* members looked at */
#define WIDE_SETS_MAX 64	  /* so that a signature is one word */

/* One DFA state under construction: a sorted set of NFA states. */
struct subset {
	uint32_t at; /* in the pool */
	uint32_t count;
	uint32_t hash;
};

struct builder {
	const struct nfa *n;
	const struct dfa_options *o;
	uint32_t classes;
	uint8_t class_of[256];
	uint8_t representative[256]; /* a byte of each class */
	uint16_t *set_single;	     /* by set: its only class + 1, or 0 if it has several */

	uint32_t *pool;
	size_t pool_used, pool_cap;
	struct subset *subset;
	size_t subsets, subsets_cap;
	uint32_t *table; /* hash: subset number, 0 free (subset 0 is the dead one) */
	uint16_t *trans;
	size_t trans_cap;
	uint64_t work;

	uint32_t *mark; /* by NFA state: generation in which it was met */
	uint32_t generation;
	uint32_t *stack;
	uint32_t *list; /* the set being put together */
	size_t list_count;
};

#define TABLE_SIZE (1u << 18)

/* ------------------------------------------------------------- byte classes */

/* Bytes that no set tells apart share a class. Classes are numbered by their first byte. */
static void builder_classes(struct builder *b)
{
	uint32_t classes = 1;

	memset(b->class_of, 0, sizeof(b->class_of));
	for (size_t s = 1; s < b->n->sets && classes < 256; s++) {
		int inside[256];

		/* Each old class splits in those in the set and those not. */
		memset(inside, -1, sizeof(inside));
		for (unsigned c = 0; c < 256; c++) {
			unsigned old = b->class_of[c];
			bool has = byteset_has(&b->n->set[s], c);

			if (inside[old] < 0)
				inside[old] = has; /* the side of its first byte keeps the number */
		}
		for (unsigned old = 0, end = classes; old < end; old++) {
			bool split = false;

			for (unsigned c = 0; c < 256; c++)
				if (b->class_of[c] == old &&
				    byteset_has(&b->n->set[s], c) != (inside[old] == 1)) {
					b->class_of[c] = (uint8_t)classes;
					split = true;
				}
			classes += split;
		}
	}
	b->classes = classes;
	for (unsigned c = 256; c-- > 0;)
		b->representative[b->class_of[c]] = (uint8_t)c;
}

static void builder_singles(struct builder *b)
{
	for (size_t s = 1; s < b->n->sets; s++) {
		unsigned found = 0, class_ = 0;

		for (unsigned c = 0; c < b->classes; c++)
			if (byteset_has(&b->n->set[s], b->representative[c])) {
				found++;
				class_ = c;
			}
		b->set_single[s] = found == 1 ? (uint16_t)(class_ + 1) : 0;
	}
}

/* ------------------------------------------------------------------ subsets */

static void list_start(struct builder *b)
{
	b->generation++;
	b->list_count = 0;
}

/* Adds what `state` reaches without a byte; only states that read or accept are kept. */
static void list_close(struct builder *b, uint32_t state)
{
	size_t top = 0;

	if (b->mark[state] == b->generation)
		return;
	b->mark[state] = b->generation;
	b->stack[top++] = state;
	while (top) {
		const struct nfa_state *s;

		state = b->stack[--top];
		s = &b->n->state[state];
		b->work++;
		if (s->set || s->accept)
			b->list[b->list_count++] = state;
		for (int k = 0; k < 2; k++) {
			uint32_t e = s->eps[k];

			if (e && b->mark[e] != b->generation) {
				b->mark[e] = b->generation;
				b->stack[top++] = e;
			}
		}
	}
}

static int u32_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Most of a list comes in order, from a subset that was sorted: sort what follows the first
 * step down, and merge. */
static void list_sort(struct builder *b)
{
	size_t head = 1, n = b->list_count, i, k, out;

	while (head < n && b->list[head - 1] < b->list[head])
		head++;
	if (head == n)
		return;
	qsort(b->list + head, n - head, sizeof(*b->list), u32_compare);
	/* The tail goes to the stack, which is free now and as long; then from the back. */
	memcpy(b->stack, b->list + head, (n - head) * sizeof(*b->list));
	for (i = head, k = n - head, out = n; k;) {
		if (i && b->list[i - 1] > b->stack[k - 1])
			b->list[--out] = b->list[--i];
		else
			b->list[--out] = b->stack[--k];
	}
}

/* The list so far as a subset: an old one's number, or a new one. */
static int list_intern(struct builder *b, uint32_t *ret)
{
	uint32_t hash = 2166136261u, slot;
	struct subset *s;

	if (!b->list_count) {
		*ret = 0;
		return 0;
	}
	list_sort(b);
	for (size_t i = 0; i < b->list_count; i++)
		hash = (hash ^ b->list[i]) * 16777619u;
	hash ^= hash >> 15;
	b->work += b->list_count;
	for (slot = hash & (TABLE_SIZE - 1); b->table[slot]; slot = (slot + 1) & (TABLE_SIZE - 1)) {
		s = &b->subset[b->table[slot]];
		if (s->hash == hash && s->count == b->list_count &&
		    !memcmp(b->pool + s->at, b->list, s->count * sizeof(*b->list))) {
			*ret = b->table[slot];
			return 0;
		}
	}
	if (b->subsets >= DFA_STATES_MAX || (b->subsets + 1) * b->classes > DFA_CELLS_MAX ||
	    b->pool_used + b->list_count > DFA_POOL_MAX)
		return -E2BIG;
	if (vector_grow(&b->subset, b->subsets, &b->subsets_cap, sizeof(*b->subset)))
		return -ENOMEM;
	if (b->pool_used + b->list_count > b->pool_cap) {
		size_t cap = (b->pool_used + b->list_count) * 2;
		uint32_t *p = realloc(b->pool, cap * sizeof(*p));

		if (!p)
			return -ENOMEM;
		b->pool = p;
		b->pool_cap = cap;
	}
	memcpy(b->pool + b->pool_used, b->list, b->list_count * sizeof(*b->list));
	b->subset[b->subsets] = (struct subset) { .at = (uint32_t)b->pool_used,
						  .count = (uint32_t)b->list_count,
						  .hash = hash };
	b->pool_used += b->list_count;
	b->table[slot] = (uint32_t)b->subsets;
	*ret = (uint32_t)b->subsets++;
	return 0;
}

/* ----------------------------------------------------------- transitions */

/* What one state does, sorted by how much of the alphabet it is about: few sets are wide
 * (`*`, `?`, classes), most are one byte. Classes in the same wide sets share their base. */
struct step {
	uint32_t single_head[256]; /* by class: index + 1 into single[] */
	struct {
		uint32_t target, next;
	} * single;
	size_t singles, single_cap;
	uint16_t wide_set[WIDE_SETS_MAX];
	size_t wides;
	bool many; /* more wide sets than a signature holds */
};

static int step_sort(struct builder *b, struct step *st, const struct subset *s)
{
	st->singles = 0;
	st->wides = 0;
	st->many = false;
	memset(st->single_head, 0, sizeof(st->single_head));
	for (uint32_t i = 0; i < s->count; i++) {
		const struct nfa_state *n = &b->n->state[b->pool[s->at + i]];
		size_t k;

		b->o->cost[n->owner]++;
		if (!n->set)
			continue;
		if (b->set_single[n->set]) {
			unsigned c = b->set_single[n->set] - 1u;

			if (vector_grow(&st->single, st->singles, &st->single_cap,
					sizeof(*st->single)))
				return -ENOMEM;
			st->single[st->singles].target = n->to;
			st->single[st->singles].next = st->single_head[c];
			st->single_head[c] = (uint32_t)++st->singles;
			continue;
		}
		for (k = 0; k < st->wides && st->wide_set[k] != n->set; k++)
			;
		b->work += k / 8;
		if (k == WIDE_SETS_MAX)
			st->many = true;
		else if (k == st->wides)
			st->wide_set[st->wides++] = n->set;
	}
	b->work += s->count;
	return 0;
}

static void list_add_wide(struct builder *b, const struct subset *s, unsigned class_)
{
	for (uint32_t i = 0; i < s->count; i++) {
		const struct nfa_state *n = &b->n->state[b->pool[s->at + i]];

		if (n->set && !b->set_single[n->set] &&
		    byteset_has(&b->n->set[n->set], b->representative[class_]))
			list_close(b, n->to);
	}
	b->work += s->count;
}

/* Fills the row of one state. Interning moves the arrays: hold numbers, not pointers. */
static int builder_row(struct builder *b, struct step *st, uint32_t number)
{
	uint64_t seen[256];
	uint32_t result[256], found = 0;
	struct subset s = b->subset[number];
	int err = step_sort(b, st, &s);

	for (unsigned c = 0; !err && c < b->classes; c++) {
		uint64_t signature = 0;
		uint32_t to, k;

		if (b->work > DFA_WORK_MAX)
			return -E2BIG;
		for (size_t w = 0; w < st->wides; w++)
			if (byteset_has(&b->n->set[st->wide_set[w]], b->representative[c]))
				signature |= 1ull << w;
		if (!st->single_head[c] && !st->many) {
			for (k = 0; k < found && seen[k] != signature; k++)
				;
			if (k < found) {
				b->trans[(size_t)number * b->classes + c] = (uint16_t)result[k];
				continue;
			}
		}
		list_start(b);
		if (signature || st->many)
			list_add_wide(b, &s, c);
		for (k = st->single_head[c]; k; k = st->single[k - 1].next)
			list_close(b, st->single[k - 1].target);
		err = list_intern(b, &to);
		if (err)
			break;
		if (!st->single_head[c] && !st->many) {
			seen[found] = signature;
			result[found++] = to;
		}
		b->trans[(size_t)number * b->classes + c] = (uint16_t)to;
	}
	return err;
}

static int builder_grow_trans(struct builder *b)
{
	size_t need = b->subsets * b->classes;
	uint16_t *t;

	if (need <= b->trans_cap)
		return 0;
	need = need * 2 + 4096;
	t = realloc(b->trans, need * sizeof(*t));
	if (!t)
		return -ENOMEM;
	b->trans = t;
	b->trans_cap = need;
	return 0;
}

static int builder_run(struct builder *b, uint32_t *start)
{
	struct step st = { 0 };
	int err = 0;

	b->subsets = 1; /* the dead one: no members */
	b->subset[0] = (struct subset) { 0 };
	for (size_t k = 0; !err && k < b->o->n_starts; k++) {
		list_start(b);
		for (size_t i = 0; i < b->o->counts[k]; i++)
			list_close(b, b->o->start[k][i]);
		err = list_intern(b, &start[k]);
	}
	for (uint32_t i = 0; !err && i < b->subsets; i++) {
		err = builder_grow_trans(b);
		if (!err && i)
			err = builder_row(b, &st, i);
		else if (!err)
			memset(b->trans, 0, b->classes * sizeof(*b->trans));
	}
	free(st.single);
	return err;
}

/* The accept record of each subset. */
static int builder_accept(struct builder *b, uint32_t *accept_of)
{
	cleanup_free uint32_t *patterns = malloc((b->n->states + 1) * sizeof(*patterns));

	if (!patterns)
		return -ENOMEM;
	accept_of[0] = 0;
	for (size_t i = 1; i < b->subsets; i++) {
		size_t count = 0;
		int err;

		for (uint32_t k = 0; k < b->subset[i].count; k++) {
			const struct nfa_state *s = &b->n->state[b->pool[b->subset[i].at + k]];

			if (s->accept)
				patterns[count++] = s->accept - 1;
		}
		accept_of[i] = 0;
		if (!count)
			continue;
		qsort(patterns, count, sizeof(*patterns), u32_compare);
		err = b->o->accept(b->o->arg, patterns, count, &accept_of[i]);
		if (err)
			return err;
	}
	return 0;
}

/* ------------------------------------------------------------- minimisation */

/* A partition of 0..count-1 that can be refined by marking members. */
struct partition {
	uint32_t sets;
	uint32_t *member, *where, *set_of, *first, *past; /* E L S F P of the paper */
};

struct minimiser {
	struct partition blocks, cords;
	uint32_t *marked, *touched, touched_count;
	uint32_t *tail, *label, *head; /* transitions */
	uint32_t *adjacent, *offset;
};

static int partition_init(struct partition *p, uint32_t count)
{
	uint32_t *m = calloc((size_t)count * 5 + 5, sizeof(*m));

	if (!m)
		return -ENOMEM;
	p->member = m;
	p->where = m + (count + 1);
	p->set_of = m + 2 * ((size_t)count + 1);
	p->first = m + 3 * ((size_t)count + 1);
	p->past = m + 4 * ((size_t)count + 1);
	p->sets = count ? 1 : 0;
	for (uint32_t i = 0; i < count; i++)
		p->member[i] = p->where[i] = i;
	if (count)
		p->past[0] = count;
	return 0;
}

static void partition_mark(struct minimiser *m, struct partition *p, uint32_t e)
{
	uint32_t s = p->set_of[e], i = p->where[e], j = p->first[s] + m->marked[s];

	p->member[i] = p->member[j];
	p->where[p->member[i]] = i;
	p->member[j] = e;
	p->where[e] = j;
	if (!m->marked[s]++)
		m->touched[m->touched_count++] = s;
}

static void partition_split(struct minimiser *m, struct partition *p)
{
	while (m->touched_count) {
		uint32_t s = m->touched[--m->touched_count], z = p->sets;
		uint32_t j = p->first[s] + m->marked[s];

		if (j == p->past[s]) {
			m->marked[s] = 0;
			continue;
		}
		if (m->marked[s] <= p->past[s] - j) {
			p->first[z] = p->first[s];
			p->past[z] = p->first[s] = j;
		} else {
			p->past[z] = p->past[s];
			p->first[z] = p->past[s] = j;
		}
		for (uint32_t i = p->first[z]; i < p->past[z]; i++)
			p->set_of[p->member[i]] = z;
		m->marked[s] = m->marked[z] = 0;
		p->sets++;
	}
}

/* Puts the members into sets by key[], which has `keys` values: a counting sort. */
static int partition_by_key(struct partition *p, uint32_t count, const uint32_t *key, uint32_t keys)
{
	cleanup_free uint32_t *at = calloc((size_t)keys + 1, sizeof(*at));
	uint32_t sum = 0;

	if (!at)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		at[key[i]]++;
	p->sets = 0;
	for (uint32_t k = 0; k < keys; k++) {
		uint32_t n = at[k];

		at[k] = sum;
		if (n) {
			p->first[p->sets] = sum;
			p->past[p->sets++] = sum + n;
		}
		sum += n;
	}
	for (uint32_t i = 0; i < count; i++) {
		uint32_t w = at[key[i]]++;

		p->member[w] = i;
		p->where[i] = w;
	}
	for (uint32_t s = 0; s < p->sets; s++)
		for (uint32_t i = p->first[s]; i < p->past[s]; i++)
			p->set_of[p->member[i]] = s;
	return 0;
}

static void minimiser_done(struct minimiser *m)
{
	free(m->blocks.member);
	free(m->cords.member);
	free(m->marked);
	free(m->tail);
	free(m->adjacent);
}

/* Refines blocks (states 1.. of the builder, numbered from 0) until stable. */
static int minimise(struct minimiser *m, const struct builder *b, const uint32_t *accept_of,
		    uint32_t accepts)
{
	uint32_t states = (uint32_t)b->subsets - 1, edges = 0, e = 0, done_blocks = 1, cord = 0;
	cleanup_free uint32_t *key = malloc(((size_t)states + 1) * sizeof(*key));
	size_t cells = b->subsets * b->classes;
	int err;

	if (!key)
		return -ENOMEM;
	for (size_t i = b->classes; i < cells; i++)
		edges += b->trans[i] != 0;
	m->tail = malloc(((size_t)edges + 1) * 3 * sizeof(*m->tail));
	m->adjacent = calloc((size_t)edges + states + 2, sizeof(*m->adjacent));
	m->marked = calloc(((size_t)edges + states + 2) * 2, sizeof(*m->marked));
	if (!m->tail || !m->adjacent || !m->marked)
		return -ENOMEM;
	m->label = m->tail + (edges + 1);
	m->head = m->tail + 2 * ((size_t)edges + 1);
	m->offset = m->adjacent + edges;
	m->touched = m->marked + ((size_t)edges + states + 2);
	for (uint32_t s = 0; s < states; s++)
		for (uint32_t c = 0; c < b->classes; c++) {
			uint16_t to = b->trans[(size_t)(s + 1) * b->classes + c];

			if (!to)
				continue;
			m->tail[e] = s;
			m->label[e] = c;
			m->head[e++] = to - 1u;
		}
	err = partition_init(&m->blocks, states);
	if (!err)
		err = partition_init(&m->cords, edges);
	if (err)
		return err;
	for (uint32_t s = 0; s < states; s++)
		key[s] = accept_of[s + 1];
	err = partition_by_key(&m->blocks, states, key, accepts);
	if (!err)
		err = partition_by_key(&m->cords, edges, m->label, b->classes);
	if (err)
		return err;
	/* Transitions by head. */
	for (e = 0; e < edges; e++)
		m->offset[m->head[e]]++;
	for (uint32_t s = 0; s < states; s++)
		m->offset[s + 1] += m->offset[s];
	for (e = edges; e-- > 0;)
		m->adjacent[--m->offset[m->head[e]]] = e;

	for (; cord < m->cords.sets; cord++) {
		for (uint32_t i = m->cords.first[cord]; i < m->cords.past[cord]; i++)
			partition_mark(m, &m->blocks, m->tail[m->cords.member[i]]);
		partition_split(m, &m->blocks);
		for (; done_blocks < m->blocks.sets; done_blocks++) {
			for (uint32_t i = m->blocks.first[done_blocks];
			     i < m->blocks.past[done_blocks]; i++) {
				uint32_t s = m->blocks.member[i];

				for (uint32_t k = m->offset[s]; k < m->offset[s + 1]; k++)
					partition_mark(m, &m->cords, m->adjacent[k]);
			}
			partition_split(m, &m->cords);
		}
	}
	return 0;
}

/* Columns that are the same in every row become one class. Works on the finished table. */
static int dfa_merge_columns(struct dfa *d)
{
	uint8_t same[256], first[256];
	uint32_t classes = 0;
	uint16_t *t;

	for (uint32_t c = 0; c < d->classes; c++) {
		uint32_t k;

		for (k = 0; k < classes; k++) {
			uint32_t s = 0;

			while (s < d->states && d->trans[(size_t)s * d->classes + c] ==
							d->trans[(size_t)s * d->classes + first[k]])
				s++;
			if (s == d->states)
				break;
		}
		if (k == classes)
			first[classes++] = (uint8_t)c;
		same[c] = (uint8_t)k;
	}
	t = malloc((size_t)d->states * classes * sizeof(*t));
	if (!t)
		return -ENOMEM;
	for (uint32_t s = 0; s < d->states; s++)
		for (uint32_t k = 0; k < classes; k++)
			t[(size_t)s * classes + k] = d->trans[(size_t)s * d->classes + first[k]];
	free(d->trans);
	d->trans = t;
	d->classes = classes;
	for (unsigned c = 0; c < 256; c++)
		d->class_of[c] = same[d->class_of[c]];
	return 0;
}

/* Numbers the blocks as they are met from the start states, row by row. */
static int dfa_emit(const struct builder *b, const struct minimiser *m, const uint32_t *accept_of,
		    const uint32_t *start, struct dfa *d)
{
	uint32_t blocks = m->blocks.sets, count = 1;
	cleanup_free uint32_t *number = calloc((size_t)blocks + 1, sizeof(*number));
	cleanup_free uint32_t *order = calloc((size_t)blocks + 2, sizeof(*order));

	d->states = blocks + 1;
	d->classes = b->classes;
	memcpy(d->class_of, b->class_of, sizeof(d->class_of));
	d->trans = calloc((size_t)d->states * d->classes, sizeof(*d->trans));
	d->accept_of = calloc(d->states, sizeof(*d->accept_of));
	d->start = calloc(b->o->n_starts + 1, sizeof(*d->start));
	if (!number || !order || !d->trans || !d->accept_of || !d->start)
		return -ENOMEM;
	for (size_t k = 0; k < b->o->n_starts; k++) {
		uint32_t block;

		if (!start[k])
			continue;
		block = m->blocks.set_of[start[k] - 1];
		if (!number[block]) {
			number[block] = count;
			order[count++] = block;
		}
		d->start[k] = number[block];
	}
	for (uint32_t i = 1; i < count; i++) {
		/* Any member stands for the block. */
		uint32_t s = m->blocks.member[m->blocks.first[order[i]]];

		d->accept_of[i] = accept_of[s + 1];
		for (uint32_t c = 0; c < b->classes; c++) {
			uint16_t to = b->trans[(size_t)(s + 1) * b->classes + c];
			uint32_t block;

			if (!to)
				continue;
			block = m->blocks.set_of[to - 1];
			if (!number[block]) {
				number[block] = count;
				order[count++] = block;
			}
			d->trans[(size_t)i * b->classes + c] = (uint16_t)number[block];
		}
	}
	return dfa_merge_columns(d);
}

static int builder_init(struct builder *b, const struct nfa *n, const struct dfa_options *o)
{
	b->n = n;
	b->o = o;
	b->set_single = calloc(n->sets + 1, sizeof(*b->set_single));
	b->table = calloc(TABLE_SIZE, sizeof(*b->table));
	b->mark = calloc(n->states + 1, sizeof(*b->mark));
	b->stack = calloc(n->states + 1, sizeof(*b->stack));
	b->list = calloc(n->states + 1, sizeof(*b->list));
	if (!b->set_single || !b->table || !b->mark || !b->stack || !b->list ||
	    vector_grow(&b->subset, 0, &b->subsets_cap, sizeof(*b->subset)))
		return -ENOMEM;
	builder_classes(b);
	builder_singles(b);
	return 0;
}

static void builder_done(struct builder *b)
{
	free(b->set_single);
	free(b->pool);
	free(b->subset);
	free(b->table);
	free(b->trans);
	free(b->mark);
	free(b->stack);
	free(b->list);
}

int dfa_build(const struct nfa *n, const struct dfa_options *o, struct dfa *ret)
{
	struct builder b = { 0 };
	struct minimiser m = { 0 };
	cleanup_free uint32_t *start = calloc(o->n_starts + 1, sizeof(*start));
	cleanup_free uint32_t *accept_of = NULL;
	uint32_t accepts = 0;
	int err;

	memset(ret, 0, sizeof(*ret));
	if (!start)
		return -ENOMEM;
	err = builder_init(&b, n, o);
	if (!err)
		err = builder_run(&b, start);
	if (!err) {
		accept_of = calloc(b.subsets, sizeof(*accept_of));
		err = accept_of ? builder_accept(&b, accept_of) : -ENOMEM;
	}
	for (size_t i = 0; !err && i < b.subsets; i++)
		if (accept_of[i] >= accepts)
			accepts = accept_of[i] + 1u;
	if (!err)
		err = minimise(&m, &b, accept_of, accepts);
	if (!err)
		err = dfa_emit(&b, &m, accept_of, start, ret);
	if (err)
		dfa_done(ret);
	minimiser_done(&m);
	builder_done(&b);
	return err;
}

void dfa_done(struct dfa *d)
{
	free(d->trans);
	free(d->accept_of);
	free(d->start);
	memset(d, 0, sizeof(*d));
}
