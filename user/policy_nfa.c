// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What patterns have in common at their beginning becomes one: NFA -> prefix NFA. States that
 * the same names lead to are merged, so thousands of literal paths become a tree and thousands
 * of patterns that begin with the same wildcard share its loop; the subsets of the DFA stay
 * small. Merging goes up to where alternatives join again: the join is kept as it is, because
 * a copy for each way that leads to it would multiply.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy_dfa.h"

#define PREFIX_STATES_MAX (1u << 22)
#define PREFIX_POOL_MAX (32u << 20) /* members of all prefix states together */

struct merger {
	const struct nfa *n;
	struct prefix_nfa *p;
	uint8_t *ways;	    /* by NFA state: ways that lead there, at most 2 are counted */
	uint32_t *join_of;  /* by NFA state: its prefix state, if several ways join there */
	uint32_t *pool;	    /* members of prefix states */
	size_t pool_used, pool_cap;
	struct members {
		uint32_t at, count;
		uint16_t loop; /* these are loops of this set */
	} *members;
	size_t members_cap;
	uint32_t *mark, generation, *stack;
	/* What the members of one state lead to. */
	struct way {
		uint32_t to;
		uint16_t set;
	} *out, *loop;
	size_t outs, outs_cap, loops, loops_cap;
	uint32_t *by_set; /* by set: ways of it, then where in the pool the next goes */
	uint32_t *state_by_set;
};

static int merger_state(struct merger *m, uint32_t owner, uint16_t loop, uint32_t *ret)
{
	struct prefix_nfa *p = m->p;

	if (p->states >= PREFIX_STATES_MAX)
		return -E2BIG;
	if (vector_grow(&p->state, p->states, &p->states_cap, sizeof(*p->state)) ||
	    vector_grow(&m->members, p->states, &m->members_cap, sizeof(*m->members)))
		return -ENOMEM;
	p->state[p->states] = (struct prefix_state) { .owner = owner };
	m->members[p->states] = (struct members) { .loop = loop };
	*ret = (uint32_t)p->states++;
	return 0;
}

/* Room for `count` members of a state. */
static int merger_members(struct merger *m, uint32_t state, size_t count)
{
	if (m->pool_used + count > PREFIX_POOL_MAX)
		return -E2BIG;
	if (m->pool_used + count > m->pool_cap) {
		size_t cap = (m->pool_used + count) * 2 + 1024;
		uint32_t *pool = realloc(m->pool, cap * sizeof(*pool));

		if (!pool)
			return -ENOMEM;
		m->pool = pool;
		m->pool_cap = cap;
	}
	m->members[state].at = (uint32_t)m->pool_used;
	m->members[state].count = (uint32_t)count;
	m->pool_used += count;
	return 0;
}

static int merger_edge(struct merger *m, uint16_t set, uint32_t to)
{
	struct prefix_nfa *p = m->p;

	if (vector_grow(&p->edge, p->edges, &p->edges_cap, sizeof(*p->edge)))
		return -ENOMEM;
	p->edge[p->edges++] = (struct prefix_edge) { .to = to, .set = set };
	return 0;
}

static int merger_eps(struct merger *m, uint32_t to)
{
	struct prefix_nfa *p = m->p;

	if (vector_grow(&p->eps, p->epses, &p->epses_cap, sizeof(*p->eps)))
		return -ENOMEM;
	p->eps[p->epses++] = to;
	return 0;
}

static int merger_accept(struct merger *m, uint32_t pattern)
{
	struct prefix_nfa *p = m->p;

	if (vector_grow(&p->accept, p->accepts, &p->accepts_cap, sizeof(*p->accept)))
		return -ENOMEM;
	p->accept[p->accepts++] = pattern;
	return 0;
}

static int merger_join(struct merger *m, uint32_t state, uint32_t *ret)
{
	uint32_t j = m->join_of[state];
	int err = 0;

	if (!j) {
		err = merger_state(m, m->n->state[state].owner, 0, &j);
		if (!err)
			err = merger_members(m, j, 1);
		if (err)
			return err;
		m->pool[m->members[j].at] = state;
		m->join_of[state] = j;
	}
	*ret = j;
	return 0;
}

static bool state_is_loop(const struct nfa *n, uint32_t s)
{
	return n->state[s].set && n->state[s].to == s;
}

static int way_add(struct way **v, size_t *count, size_t *cap, uint16_t set, uint32_t to)
{
	if (vector_grow(v, *count, cap, sizeof(**v)))
		return -ENOMEM;
	(*v)[(*count)++] = (struct way) { .to = to, .set = set };
	return 0;
}

/* Follows the steps without a byte from the members of `state`, and takes down what is met. */
static int merger_close(struct merger *m, uint32_t state)
{
	struct members mem = m->members[state];
	int err = 0;

	m->generation++;
	m->outs = m->loops = 0;
	for (uint32_t i = 0; !err && i < mem.count; i++) {
		uint32_t first = m->pool[mem.at + i];
		size_t top = 0;

		m->stack[top++] = first;
		while (!err && top) {
			uint32_t at = m->stack[--top], join;
			const struct nfa_state *s = &m->n->state[at];

			if (m->mark[at] == m->generation)
				continue;
			m->mark[at] = m->generation;
			if (state_is_loop(m->n, at) && !(at == first && mem.loop)) {
				err = way_add(&m->loop, &m->loops, &m->loops_cap, s->set, at);
				continue;
			}
			if (at != first && m->ways[at] > 1) {
				err = merger_join(m, at, &join);
				if (!err)
					err = merger_eps(m, join);
				continue;
			}
			if (s->accept)
				err = merger_accept(m, s->accept - 1);
			if (!err && s->set && s->to != at)
				err = way_add(&m->out, &m->outs, &m->outs_cap, s->set, s->to);
			for (int k = 0; k < 2; k++)
				if (s->eps[k])
					m->stack[top++] = s->eps[k];
		}
	}
	return err;
}

/* Ways of the same set lead to one state. `loop`: by no byte, to a loop of that set. */
static int merger_group(struct merger *m, const struct way *way, size_t count, bool loop)
{
	int err = 0;

	for (size_t i = 0; i < count; i++)
		m->by_set[way[i].set]++;
	for (size_t i = 0; !err && i < count; i++) {
		uint16_t set = way[i].set;
		uint32_t to, members = m->by_set[set];

		if (!members)
			continue; /* done with the first of this set */
		m->by_set[set] = 0;
		err = merger_state(m, m->n->state[way[i].to].owner, loop ? set : 0, &to);
		if (!err)
			err = merger_members(m, to, members);
		if (!err)
			err = loop ? merger_eps(m, to) : merger_edge(m, set, to);
		if (!err)
			m->state_by_set[set] = to;
	}
	for (size_t i = 0; !err && i < count; i++) {
		uint16_t set = way[i].set;
		const struct members *mem = &m->members[m->state_by_set[set]];

		m->pool[mem->at + m->by_set[set]++] = way[i].to;
	}
	for (size_t i = 0; i < count; i++)
		m->by_set[way[i].set] = 0;
	return err;
}

/* One member from which only a byte leads on, the rule in trees of names: what
 * merger_run_group() would do. */
static int merger_run_single(struct merger *m, uint32_t at)
{
	const struct nfa_state *s = &m->n->state[at];
	uint32_t to;
	int err = s->accept ? merger_accept(m, s->accept - 1) : 0;

	if (err || !s->set)
		return err;
	err = merger_state(m, m->n->state[s->to].owner, 0, &to);
	if (!err)
		err = merger_members(m, to, 1);
	if (err)
		return err;
	m->pool[m->members[to].at] = s->to;
	return merger_edge(m, s->set, to);
}

static int merger_run_group(struct merger *m, uint32_t state)
{
	int err = merger_close(m, state);

	if (!err && m->members[state].loop)
		err = merger_edge(m, m->members[state].loop, state);
	if (!err)
		err = merger_group(m, m->out, m->outs, false);
	return err ? err : merger_group(m, m->loop, m->loops, true);
}

static int merger_run_state(struct merger *m, uint32_t state)
{
	struct prefix_nfa *p = m->p;
	size_t edges = p->edges, epses = p->epses, accepts = p->accepts;
	const struct members mem = m->members[state];
	uint32_t first = m->pool[mem.at];
	const struct nfa_state *s = &m->n->state[first];
	int err;

	if (mem.count == 1 && !mem.loop && !s->eps[0] && !s->eps[1] && !state_is_loop(m->n, first))
		err = merger_run_single(m, first);
	else
		err = merger_run_group(m, state);
	if (err)
		return err;
	p->state[state].edge = (uint32_t)edges;
	p->state[state].edges = (uint32_t)(p->edges - edges);
	p->state[state].eps = (uint32_t)epses;
	p->state[state].epses = (uint32_t)(p->epses - epses);
	p->state[state].accept = (uint32_t)accepts;
	p->state[state].accepts = (uint32_t)(p->accepts - accepts);
	return 0;
}

static int merger_starts(struct merger *m, const struct dfa_options *o)
{
	int err = 0;

	for (size_t k = 0; !err && k < o->n_starts; k++) {
		size_t same = 0, bytes = o->counts[k] * sizeof(**o->start);

		if (!o->counts[k])
			continue;
		while (same < k && (o->counts[same] != o->counts[k] ||
				    memcmp(o->start[same], o->start[k], bytes)))
			same++;
		if (same < k) {
			m->p->start[k] = m->p->start[same];
			continue;
		}
		err = merger_state(m, m->n->state[o->start[k][0]].owner, 0, &m->p->start[k]);
		if (!err)
			err = merger_members(m, m->p->start[k], o->counts[k]);
		if (!err)
			memcpy(m->pool + m->members[m->p->start[k]].at, o->start[k], bytes);
	}
	return err;
}

static void merger_ways(struct merger *m)
{
	for (size_t i = 1; i < m->n->states; i++) {
		const struct nfa_state *s = &m->n->state[i];
		const uint32_t to[] = { s->eps[0], s->eps[1], s->set && s->to != i ? s->to : 0 };

		for (size_t k = 0; k < ARRAY_SIZE(to); k++)
			if (to[k] && m->ways[to[k]] < 2)
				m->ways[to[k]]++;
	}
}

int prefix_build(const struct nfa *n, const struct dfa_options *o, struct prefix_nfa *ret)
{
	struct merger m = { .n = n, .p = ret };
	size_t states = n->states + 1, sets = n->sets + 1;
	uint32_t none;
	int err = -ENOMEM;

	memset(ret, 0, sizeof(*ret));
	m.ways = calloc(states, 1);
	m.join_of = calloc(states, sizeof(*m.join_of));
	m.mark = calloc(states, sizeof(*m.mark));
	m.stack = calloc(states * 2, sizeof(*m.stack));
	m.by_set = calloc(sets, sizeof(*m.by_set));
	m.state_by_set = calloc(sets, sizeof(*m.state_by_set));
	ret->start = calloc(o->n_starts + 1, sizeof(*ret->start));
	if (m.ways && m.join_of && m.mark && m.stack && m.by_set && m.state_by_set && ret->start) {
		err = merger_state(&m, 0, 0, &none); /* number 0 is none */
		merger_ways(&m);
	}
	if (!err)
		err = merger_starts(&m, o);
	for (uint32_t i = 1; !err && i < ret->states; i++)
		err = merger_run_state(&m, i);
	free(m.ways);
	free(m.join_of);
	free(m.mark);
	free(m.stack);
	free(m.by_set);
	free(m.state_by_set);
	free(m.pool);
	free(m.members);
	free(m.out);
	free(m.loop);
	return err;
}

void prefix_done(struct prefix_nfa *p)
{
	free(p->state);
	free(p->edge);
	free(p->eps);
	free(p->accept);
	free(p->start);
	memset(p, 0, sizeof(*p));
}
