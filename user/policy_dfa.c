// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Prefix NFA -> DFA by subset construction, with rows that hold only what differs from the
 * most frequent way on. Everything is bounded: a set of patterns that explodes ends with
 * -E2BIG after about a second, not with the memory. The numbering of states follows from the
 * input alone: same policy, same bytes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy_dfa.h"

#define DFA_STATES_MAX (1u << 20)
#define DFA_EDGES_MAX (8u << 20)  /* of all rows together, before minimisation */
#define DFA_POOL_MAX (24u << 20)  /* members of all subsets together */
#define DFA_WORK_MAX 300000000ull /* members looked at */
#define COMBOS_MAX 1024u

/* One DFA state under construction: a sorted set of prefix NFA states. */
struct subset {
	uint32_t at; /* in the pool */
	uint32_t count;
	uint32_t hash;
};

/* How wide sets (`*`, `?`, classes) that occur together divide the byte classes. Few such
 * combinations occur, each in many states. */
struct combo {
	uint32_t at, count; /* sets, in combo_sets[] */
	uint32_t groups;
	uint8_t group_of[256];	   /* by class */
	uint8_t representative[256]; /* by group: its first class */
	uint64_t minor[4];	   /* classes that are not in the largest group */
	uint8_t largest;
};

struct builder {
	const struct nfa *n;
	const struct dfa_options *o;
	struct prefix_nfa p;
	uint32_t classes;
	uint8_t class_of[256];
	uint8_t representative[256]; /* a byte of each class */
	uint16_t *set_single;	     /* by set: its only class + 1, or 0 if it has several */

	uint32_t *pool;
	size_t pool_used, pool_cap;
	struct subset *subset;
	size_t subsets, subsets_cap;
	uint32_t *single; /* by prefix state: the subset of it alone */
	uint32_t *table;  /* hash: subset number, 0 free (subset 0 is the dead one) */
	size_t table_size;
	uint64_t work;

	uint32_t *mark; /* by prefix state: generation in which it was met */
	uint32_t generation;
	uint32_t *stack;
	uint32_t *list; /* the set being put together */
	size_t list_count;

	struct dfa_row *row;
	size_t rows_cap;
	struct dfa_edge *edge;
	size_t edges, edges_cap;

	struct combo *combo;
	size_t combos, combos_cap;
	uint16_t *combo_sets;
	size_t combo_sets_used, combo_sets_cap;
	uint32_t combo_table[COMBOS_MAX * 2];
};

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
		const struct prefix_state *s;

		state = b->stack[--top];
		s = &b->p.state[state];
		b->work++;
		if (s->edges || s->accepts)
			b->list[b->list_count++] = state;
		for (uint32_t k = 0; k < s->epses; k++) {
			uint32_t e = b->p.eps[s->eps + k];

			if (b->mark[e] != b->generation) {
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

static int subset_add(struct builder *b, uint32_t hash, uint32_t *ret)
{
	if (b->subsets >= DFA_STATES_MAX || b->pool_used + b->list_count > DFA_POOL_MAX)
		return -E2BIG;
	if (vector_grow(&b->subset, b->subsets, &b->subsets_cap, sizeof(*b->subset)))
		return -ENOMEM;
	if (b->pool_used + b->list_count > b->pool_cap) {
		size_t cap = (b->pool_used + b->list_count) * 2 + 1024;
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
	*ret = (uint32_t)b->subsets++;
	return 0;
}

static int table_grow(struct builder *b)
{
	size_t size = b->table_size * 2;
	uint32_t *t = calloc(size, sizeof(*t));

	if (!t)
		return -ENOMEM;
	for (size_t i = 0; i < b->table_size; i++) {
		size_t slot;

		if (!b->table[i])
			continue;
		slot = b->subset[b->table[i]].hash & (size - 1);
		while (t[slot])
			slot = (slot + 1) & (size - 1);
		t[slot] = b->table[i];
	}
	free(b->table);
	b->table = t;
	b->table_size = size;
	return 0;
}

/* The list so far as a subset: an old one's number, or a new one. */
static int list_intern(struct builder *b, uint32_t *ret)
{
	uint32_t hash = 2166136261u;
	size_t slot;
	int err;

	*ret = 0;
	if (!b->list_count)
		return 0;
	if (b->list_count == 1) {
		uint32_t *known = &b->single[b->list[0]];

		err = *known ? 0 : subset_add(b, 0, known);
		*ret = *known;
		return err;
	}
	list_sort(b);
	for (size_t i = 0; i < b->list_count; i++)
		hash = (hash ^ b->list[i]) * 16777619u;
	hash ^= hash >> 15;
	b->work += b->list_count;
	for (slot = hash & (b->table_size - 1); b->table[slot];
	     slot = (slot + 1) & (b->table_size - 1)) {
		const struct subset *s = &b->subset[b->table[slot]];

		if (s->hash == hash && s->count == b->list_count &&
		    !memcmp(b->pool + s->at, b->list, s->count * sizeof(*b->list))) {
			*ret = b->table[slot];
			return 0;
		}
	}
	err = subset_add(b, hash, ret);
	if (err)
		return err;
	b->table[slot] = *ret;
	/* Those of one member are not in the table: it is never more than half full. */
	return b->subsets * 2 > b->table_size ? table_grow(b) : 0;
}

/* ------------------------------------------------------------------- combos */

/* Divides the classes; few enough that it need not be quick. */
static void combo_divide(const struct builder *b, struct combo *c, const uint16_t *set)
{
	uint32_t size[256] = { 0 };

	c->groups = 1;
	memset(c->group_of, 0, sizeof(c->group_of));
	for (uint32_t i = 0; i < c->count && c->groups < b->classes; i++) {
		int16_t inside[256], other[256];
		uint32_t groups = c->groups;

		memset(inside, -1, sizeof(inside));
		memset(other, -1, sizeof(other));
		for (unsigned k = 0; k < b->classes; k++) {
			unsigned g = c->group_of[k];
			int16_t has = byteset_has(&b->n->set[set[i]], b->representative[k]);

			if (inside[g] < 0)
				inside[g] = has;
			if (inside[g] == has)
				continue;
			if (other[g] < 0)
				other[g] = (int16_t)groups++;
			c->group_of[k] = (uint8_t)other[g];
		}
		c->groups = groups;
	}
	for (unsigned k = b->classes; k-- > 0;) {
		c->representative[c->group_of[k]] = (uint8_t)k;
		size[c->group_of[k]]++;
	}
	c->largest = 0;
	for (unsigned g = 1; g < c->groups; g++)
		if (size[g] > size[c->largest])
			c->largest = (uint8_t)g;
	memset(c->minor, 0, sizeof(c->minor));
	for (unsigned k = 0; k < b->classes; k++)
		if (c->group_of[k] != c->largest)
			c->minor[k >> 6] |= 1ull << (k & 63);
}

/* The combo of sets set[0..count), sorted. `spare` is used when there are too many to keep. */
static int combo_find(struct builder *b, const uint16_t *set, uint32_t count, struct combo *spare,
		      const struct combo **ret)
{
	uint32_t hash = 2166136261u, slot;
	struct combo *c;

	for (uint32_t i = 0; i < count; i++)
		hash = (hash ^ set[i]) * 16777619u;
	hash ^= hash >> 15;
	for (slot = hash % ARRAY_SIZE(b->combo_table); b->combo_table[slot];
	     slot = (slot + 1) % ARRAY_SIZE(b->combo_table)) {
		c = &b->combo[b->combo_table[slot] - 1];
		if (c->count == count &&
		    !memcmp(b->combo_sets + c->at, set, count * sizeof(*set))) {
			*ret = c;
			return 0;
		}
	}
	b->work += (uint64_t)count * 256;
	spare->count = count;
	combo_divide(b, spare, set);
	*ret = spare;
	if (b->combos == COMBOS_MAX)
		return 0;
	if (vector_grow(&b->combo, b->combos, &b->combos_cap, sizeof(*b->combo)))
		return -ENOMEM;
	spare->at = (uint32_t)b->combo_sets_used;
	for (uint32_t i = 0; i < count; i++) {
		if (vector_grow(&b->combo_sets, b->combo_sets_used, &b->combo_sets_cap,
				sizeof(*b->combo_sets)))
			return -ENOMEM;
		b->combo_sets[b->combo_sets_used++] = set[i];
	}
	b->combo[b->combos++] = *spare;
	b->combo_table[slot] = (uint32_t)b->combos;
	return 0;
}

/* ----------------------------------------------------------- transitions */

/* What one state does, sorted by how much of the alphabet it is about: few sets are wide, most
 * are one byte. */
struct step {
	uint32_t single_head[256]; /* by class: index + 1 into single[] */
	uint64_t seen[4];	   /* classes with a single */
	struct {
		uint32_t target, next;
	} *single;
	size_t singles, single_cap;
	struct prefix_edge *wide;
	size_t wides, wide_cap;
	uint16_t *set; /* of the wides, each once, sorted */
	size_t sets, set_cap;
	uint32_t *set_mark, generation; /* by set */
	uint32_t target[256];		/* by group of the combo */
	struct combo spare;
};

static int u16_compare(const void *a, const void *b)
{
	return *(const uint16_t *)a - *(const uint16_t *)b;
}

static int step_wide(struct step *st, const struct prefix_edge *e)
{
	if (vector_grow(&st->wide, st->wides, &st->wide_cap, sizeof(*st->wide)))
		return -ENOMEM;
	st->wide[st->wides++] = *e;
	if (st->set_mark[e->set] == st->generation)
		return 0;
	st->set_mark[e->set] = st->generation;
	if (vector_grow(&st->set, st->sets, &st->set_cap, sizeof(*st->set)))
		return -ENOMEM;
	st->set[st->sets++] = e->set;
	return 0;
}

static int step_single(struct step *st, unsigned class_, uint32_t to)
{
	if (vector_grow(&st->single, st->singles, &st->single_cap, sizeof(*st->single)))
		return -ENOMEM;
	st->single[st->singles].target = to;
	st->single[st->singles].next = st->single_head[class_];
	st->single_head[class_] = (uint32_t)++st->singles;
	st->seen[class_ >> 6] |= 1ull << (class_ & 63);
	return 0;
}

static int step_sort(struct builder *b, struct step *st, struct subset s)
{
	int err = 0;

	st->singles = st->wides = st->sets = 0;
	st->generation++;
	memset(st->seen, 0, sizeof(st->seen));
	for (uint32_t i = 0; i < s.count; i++) {
		const struct prefix_state *p = &b->p.state[b->pool[s.at + i]];

		b->o->cost[p->owner]++;
		b->work += p->edges;
		for (uint32_t k = 0; !err && k < p->edges; k++) {
			const struct prefix_edge *e = &b->p.edge[p->edge + k];
			uint16_t single = b->set_single[e->set];

			err = single ? step_single(st, single - 1u, e->to) : step_wide(st, e);
		}
	}
	if (st->sets > 1)
		qsort(st->set, st->sets, sizeof(*st->set), u16_compare);
	b->work += s.count;
	return err;
}

/* Where class `class_` leads, its singles included. */
static int step_target(struct builder *b, struct step *st, unsigned class_, uint32_t *ret)
{
	list_start(b);
	for (size_t i = 0; i < st->wides; i++)
		if (byteset_has(&b->n->set[st->wide[i].set], b->representative[class_]))
			list_close(b, st->wide[i].to);
	b->work += st->wides;
	for (uint32_t k = st->single_head[class_]; k; k = st->single[k - 1].next)
		list_close(b, st->single[k - 1].target);
	return list_intern(b, ret);
}

/* The targets of the groups of wide sets, singles left out; group 0 is all when there is no
 * wide set. */
static int step_groups(struct builder *b, struct step *st, const struct combo *c)
{
	int err = 0;

	for (unsigned g = 0; !err && g < c->groups; g++) {
		list_start(b);
		for (size_t i = 0; i < st->wides; i++)
			if (byteset_has(&b->n->set[st->wide[i].set],
					b->representative[c->representative[g]]))
				list_close(b, st->wide[i].to);
		b->work += st->wides;
		err = list_intern(b, &st->target[g]);
	}
	return err;
}

static int builder_edge(struct builder *b, unsigned class_, uint32_t to)
{
	if (b->edges >= DFA_EDGES_MAX)
		return -E2BIG;
	if (vector_grow(&b->edge, b->edges, &b->edges_cap, sizeof(*b->edge)))
		return -ENOMEM;
	b->edge[b->edges++] = (struct dfa_edge) { .to = to, .class_ = class_ };
	return 0;
}

/* Fills the row of one state. Interning moves the arrays: hold numbers, not pointers. */
static int builder_row(struct builder *b, struct step *st, uint32_t number)
{
	static const struct combo none = { .groups = 1 };
	const struct combo *c = &none;
	struct dfa_row row = { .at = (uint32_t)b->edges };
	int err = step_sort(b, st, b->subset[number]);

	if (!err && st->sets)
		err = combo_find(b, st->set, (uint32_t)st->sets, &st->spare, &c);
	st->target[0] = 0;
	if (!err && st->sets)
		err = step_groups(b, st, c);
	row.other = st->target[c->largest];
	for (unsigned w = 0; w < 4; w++) {
		uint64_t bits = st->seen[w] | c->minor[w];

		for (; !err && bits; bits &= bits - 1) {
			unsigned class_ = w * 64 + (unsigned)__builtin_ctzll(bits);
			uint32_t to = st->target[c->group_of[class_]];

			if (st->single_head[class_])
				err = step_target(b, st, class_, &to);
			st->single_head[class_] = 0;
			if (!err && to != row.other)
				err = builder_edge(b, class_, to);
		}
	}
	row.count = (uint32_t)b->edges - row.at;
	b->row[number] = row;
	return !err && b->work > DFA_WORK_MAX ? -E2BIG : err;
}

static int builder_run(struct builder *b, uint32_t *start)
{
	struct step *st = calloc(1, sizeof(*st));
	int err = 0;

	if (!st)
		return -ENOMEM;
	st->set_mark = calloc(b->n->sets + 1, sizeof(*st->set_mark));
	if (!st->set_mark)
		err = -ENOMEM;
	b->subsets = 1; /* the dead one: no members */
	b->subset[0] = (struct subset) { 0 };
	for (size_t k = 0; !err && k < b->o->n_starts; k++) {
		list_start(b);
		if (b->p.start[k])
			list_close(b, b->p.start[k]);
		err = list_intern(b, &start[k]);
	}
	for (uint32_t i = 0; !err && i < b->subsets; i++) {
		if (vector_grow(&b->row, i, &b->rows_cap, sizeof(*b->row)))
			err = -ENOMEM;
		else if (i)
			err = builder_row(b, st, i);
		else
			b->row[0] = (struct dfa_row) { 0 };
	}
	free(st->single);
	free(st->wide);
	free(st->set);
	free(st->set_mark);
	free(st);
	return err;
}

/* ------------------------------------------------------------------- accept */

/* Many states accept for the same patterns: the record of each list of patterns is made once. */
struct accept_memo {
	struct {
		uint32_t at, count, hash, record;
		bool named; /* was told */
	} *seen;
	size_t count, cap;
	uint32_t *pattern; /* the lists */
	size_t patterns, patterns_cap;
	uint32_t *table; /* hash: index + 1 */
	size_t table_size;
};

static int memo_pattern(struct accept_memo *m, uint32_t pattern)
{
	if (m->patterns >= DFA_POOL_MAX)
		return -E2BIG;
	if (vector_grow(&m->pattern, m->patterns, &m->patterns_cap, sizeof(*m->pattern)))
		return -ENOMEM;
	m->pattern[m->patterns++] = pattern;
	return 0;
}

static void memo_name(struct builder *b, struct accept_memo *m, size_t k)
{
	if (b->o->named && !m->seen[k].named)
		b->o->named(b->o->arg, m->pattern + m->seen[k].at, m->seen[k].count);
	m->seen[k].named = true;
}

/* Record of the list pattern[at..], which is dropped when it is not new. */
static int memo_record(struct builder *b, struct accept_memo *m, size_t at, bool named, uint32_t *ret)
{
	uint32_t hash = 2166136261u;
	size_t count = m->patterns - at, slot;
	int err;

	qsort(m->pattern + at, count, sizeof(*m->pattern), u32_compare);
	for (size_t i = at; i < m->patterns; i++)
		hash = (hash ^ m->pattern[i]) * 16777619u;
	hash ^= hash >> 15;
	for (slot = hash & (m->table_size - 1); m->table[slot];
	     slot = (slot + 1) & (m->table_size - 1)) {
		size_t k = m->table[slot] - 1;

		if (m->seen[k].hash == hash && m->seen[k].count == count &&
		    !memcmp(m->pattern + m->seen[k].at, m->pattern + at,
			    count * sizeof(*m->pattern))) {
			m->patterns = at;
			*ret = m->seen[k].record;
			if (named)
				memo_name(b, m, k);
			return 0;
		}
	}
	err = b->o->accept(b->o->arg, m->pattern + at, count, ret);
	if (err)
		return err;
	if (vector_grow(&m->seen, m->count, &m->cap, sizeof(*m->seen)))
		return -ENOMEM;
	m->seen[m->count].at = (uint32_t)at;
	m->seen[m->count].count = (uint32_t)count;
	m->seen[m->count].hash = hash;
	m->seen[m->count].record = *ret;
	m->seen[m->count].named = false;
	if (named)
		memo_name(b, m, m->count);
	m->table[slot] = (uint32_t)++m->count;
	return 0;
}

/* The accept record of each subset. */
static int builder_accept(struct builder *b, const bool *named, uint32_t *accept_of)
{
	struct accept_memo m = { .table_size = 1024 };
	int err = 0;

	while (m.table_size < b->subsets * 2)
		m.table_size *= 2;
	m.table = calloc(m.table_size, sizeof(*m.table));
	if (!m.table)
		err = -ENOMEM;
	accept_of[0] = 0;
	for (size_t i = 1; !err && i < b->subsets; i++) {
		size_t at = m.patterns;

		for (uint32_t k = 0; !err && k < b->subset[i].count; k++) {
			const struct prefix_state *s =
				&b->p.state[b->pool[b->subset[i].at + k]];

			for (uint32_t a = 0; !err && a < s->accepts; a++)
				err = memo_pattern(&m, b->p.accept[s->accept + a]);
		}
		accept_of[i] = 0;
		if (!err && m.patterns > at)
			err = memo_record(b, &m, at, named && named[i], &accept_of[i]);
	}
	free(m.seen);
	free(m.pattern);
	free(m.table);
	return err;
}

static int builder_init(struct builder *b)
{
	size_t states;
	int err = prefix_build(b->n, b->o, &b->p);

	if (err)
		return err;
	states = b->p.states + 1;
	b->table_size = 1u << 12;
	b->set_single = calloc(b->n->sets + 1, sizeof(*b->set_single));
	b->table = calloc(b->table_size, sizeof(*b->table));
	b->single = calloc(states, sizeof(*b->single));
	b->mark = calloc(states, sizeof(*b->mark));
	b->stack = calloc(states, sizeof(*b->stack));
	b->list = calloc(states, sizeof(*b->list));
	if (!b->set_single || !b->table || !b->single || !b->mark || !b->stack || !b->list ||
	    vector_grow(&b->subset, 0, &b->subsets_cap, sizeof(*b->subset)))
		return -ENOMEM;
	builder_classes(b);
	builder_singles(b);
	return 0;
}

static void builder_done(struct builder *b)
{
	prefix_done(&b->p);
	free(b->set_single);
	free(b->pool);
	free(b->subset);
	free(b->single);
	free(b->table);
	free(b->mark);
	free(b->stack);
	free(b->list);
	free(b->row);
	free(b->edge);
	free(b->combo);
	free(b->combo_sets);
}

int dfa_build(const struct nfa *n, const struct dfa_options *o, struct dfa *ret)
{
	cleanup_free struct builder *b = calloc(1, sizeof(*b));
	cleanup_free bool *named = NULL;
	int err;

	memset(ret, 0, sizeof(*ret));
	if (!b)
		return -ENOMEM;
	b->n = n;
	b->o = o;
	ret->start = calloc(o->n_starts + 1, sizeof(*ret->start));
	err = ret->start ? builder_init(b) : -ENOMEM;
	if (!err)
		err = builder_run(b, ret->start);
	if (!err) {
		ret->states = (uint32_t)b->subsets;
		ret->classes = b->classes;
		memcpy(ret->class_of, b->class_of, sizeof(ret->class_of));
		ret->row = take_ptr(b->row);
		ret->edge = take_ptr(b->edge);
		ret->edges = b->edges;
	}
	if (!err && o->named) {
		named = calloc(b->subsets, sizeof(*named));
		err = named ? dfa_named(ret, o->n_starts, o->path, named) : -ENOMEM;
	}
	if (!err) {
		ret->accept_of = calloc(b->subsets, sizeof(*ret->accept_of));
		err = ret->accept_of ? builder_accept(b, named, ret->accept_of) : -ENOMEM;
	}
	builder_done(b);
	if (!err)
		err = dfa_minimise(ret, o->n_starts);
	if (err)
		dfa_done(ret);
	return err;
}

void dfa_done(struct dfa *d)
{
	free(d->start);
	free(d->row);
	free(d->edge);
	free(d->accept_of);
	memset(d, 0, sizeof(*d));
}
