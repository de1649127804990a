// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The automaton as an image holds it: states with one way on become chains, the rows of the
 * others share one table of edges (a comb: rows interleaved, each edge says whose it is). Where
 * a state's most frequent way on leads to a state that itself mostly stays where it is, as under
 * a wildcard, only what differs from that state's row is written.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy_dfa.h"

#define NONE UINT32_MAX
#define COMB_TRIES 64 /* places tried for a row before it goes to the end */
#define COMB_WORDS (256 / 64)

/* What becomes of a state. */
struct plan {
	uint32_t base;	/* the state whose row it patches, or whom all other bytes lead to */
	bool patched;	/* the former */
	bool root;	/* others patch it */
	uint16_t edges; /* that are left */
	uint32_t chain; /* of a chain: the next state */
	uint8_t byte;	/* by this byte */
	bool taken;	/* it is in a chain, behind another state */
	uint32_t follow; /* next in the same chain, or NONE */
	uint32_t place; /* the state in the image, NONE: not yet */
};

struct packer {
	const struct dfa *d;
	struct plan *plan;
	uint16_t bytes_of[256]; /* by class: how many bytes */
	uint8_t byte_of[256];	/* by class: one of them */
	struct warder_node *node;
	size_t nodes, nodes_cap;
	uint32_t *state_of; /* by node: its first state; NONE: all bytes lead to `next` */
	size_t state_of_cap;
	uint32_t *constant; /* by state: node from which every byte leads to it */
	char *chars;
	size_t chars_used, chars_cap;
	uint32_t *chars_table; /* hash: node + 1 whose chars they are */
	size_t chars_table_size;
	struct warder_edge *edge;
	size_t edges, edges_cap;
	uint64_t *used; /* by edge: a bit */
	size_t first_free;
};

/* --------------------------------------------------------------------- plan */

/* Edges by which state s differs from the row of state base, or, if `base` itself has none
 * but `other`, from it. Returns their number, at most 256; ret may be NULL. */
static uint32_t row_difference(const struct dfa *d, uint32_t s, uint32_t base, bool patched,
			       struct dfa_edge *ret)
{
	const struct dfa_row *r = &d->row[s], *b = &d->row[base];
	/* A DFA that knows no name has no edges at all. */
	const struct dfa_edge *e = d->edge ? d->edge + r->at : NULL;
	const struct dfa_edge *f = d->edge ? d->edge + b->at : NULL;
	uint32_t i = 0, k = 0, n = 0, fs = patched ? b->count : 0;

	while (i < r->count || k < fs) {
		struct dfa_edge x;

		if (k == fs || (i < r->count && e[i].class_ < f[k].class_)) {
			x = e[i++];
		} else if (i == r->count || f[k].class_ < e[i].class_) {
			x = (struct dfa_edge) { .to = r->other, .class_ = f[k++].class_ };
		} else {
			x = e[i++];
			if (x.to == f[k++].to)
				continue;
		}
		if (ret)
			ret[n] = x;
		n++;
	}
	return n;
}

static void packer_plan(struct packer *k)
{
	const struct dfa *d = k->d;

	for (uint32_t s = 0; s < d->states; s++) {
		struct plan *p = &k->plan[s];
		uint32_t base = d->row[s].other, n;

		*p = (struct plan) { .base = base,
				     .edges = (uint16_t)d->row[s].count,
				     .root = p->root,
				     .chain = NONE,
				     .follow = NONE,
				     .place = NONE };
		if (base == s || d->row[base].other != base)
			continue;
		n = row_difference(d, s, base, true, NULL);
		if (n > p->edges)
			continue;
		p->patched = true;
		p->edges = (uint16_t)n;
		k->plan[base].root = true;
	}
	for (uint32_t s = 0; s < d->states; s++) {
		struct plan *p = &k->plan[s];
		struct dfa_edge only[256];

		if (p->root) {
			p->patched = false;
			p->edges = (uint16_t)d->row[s].count;
			continue;
		}
		if (p->edges != 1)
			continue;
		row_difference(d, s, p->base, p->patched, only);
		if (k->bytes_of[only[0].class_] == 1) {
			p->chain = only[0].to;
			p->byte = k->byte_of[only[0].class_];
		}
	}
}

/* Which chain each state is in: the first that leads to it, of those that agree in all else. */
static void packer_link(struct packer *k)
{
	for (uint32_t s = 0; s < k->d->states; s++) {
		struct plan *p = &k->plan[s], *t;

		if (p->chain == NONE || p->chain == s)
			continue;
		t = &k->plan[p->chain];
		if (t->chain == NONE || t->taken || t->base != p->base ||
		    t->patched != p->patched || k->d->accept_of[s] != k->d->accept_of[p->chain])
			continue;
		p->follow = p->chain;
		t->taken = true;
	}
}

/* -------------------------------------------------------------------- nodes */

static int packer_node(struct packer *k, uint32_t state, enum warder_node_kind kind, uint32_t *ret)
{
	uint32_t accept = state == NONE ? 0 : k->d->accept_of[state];

	if (k->nodes >= WARDER_NODES_MAX || accept > WARDER_NODE_ACCEPT)
		return -E2BIG;
	if (vector_grow(&k->node, k->nodes, &k->nodes_cap, sizeof(*k->node)) ||
	    vector_grow(&k->state_of, k->nodes, &k->state_of_cap, sizeof(*k->state_of)))
		return -ENOMEM;
	k->node[k->nodes] = (struct warder_node) { .accept = (__u32)kind << 24 | accept };
	k->state_of[k->nodes] = state;
	*ret = (uint32_t)k->nodes++;
	return 0;
}

static uint32_t chars_hash(const char *s, uint32_t len)
{
	uint32_t h = 2166136261u;

	for (uint32_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)s[i]) * 16777619u;
	return h ^ h >> 15;
}

/* Chars that another chain has are not written again. */
static int packer_chars(struct packer *k, const char *s, uint32_t len, uint32_t node)
{
	size_t slot = chars_hash(s, len) & (k->chars_table_size - 1);

	for (; k->chars_table[slot]; slot = (slot + 1) & (k->chars_table_size - 1)) {
		uint32_t data = k->node[k->chars_table[slot] - 1].data;

		if ((data & 0xff) == len && !memcmp(k->chars + (data >> 8), s, len)) {
			k->node[node].data = data;
			return 0;
		}
	}
	if (k->chars_used + len > WARDER_IMAGE_SIZE)
		return -E2BIG;
	while (k->chars_used + len > k->chars_cap)
		if (vector_grow(&k->chars, k->chars_cap, &k->chars_cap, 1))
			return -ENOMEM;
	memcpy(k->chars + k->chars_used, s, len);
	k->node[node].data = (__u32)k->chars_used << 8 | len;
	k->chars_used += len;
	k->chars_table[slot] = node + 1;
	return 0;
}

/* The chain from `state` on, in as many nodes as its length needs. */
static int packer_chain(struct packer *k, uint32_t state)
{
	char s[WARDER_CHAIN_MAX];
	int err = 0;

	while (!err && state != NONE && k->plan[state].place == NONE) {
		uint32_t node, len = 0;

		err = packer_node(k, state, WARDER_NODE_CHAIN, &node);
		if (err)
			break;
		while (state != NONE && k->plan[state].place == NONE && len < WARDER_CHAIN_MAX) {
			struct plan *p = &k->plan[state];

			p->place = WARDER_STATE(node, len);
			s[len++] = (char)p->byte;
			/* Its `next` becomes a place when all have theirs. */
			k->node[node].next = p->chain;
			state = p->follow;
		}
		err = packer_chars(k, s, len, node);
	}
	return err;
}

/* The two bytes that lead elsewhere, if that is all that does. */
static bool packer_span(const struct packer *k, uint32_t s, uint32_t *ret)
{
	const struct dfa_row *r = &k->d->row[s];
	const struct dfa_edge *e = k->d->edge + r->at;

	if (r->other != s || k->plan[s].patched || r->count > 2 || !r->count)
		return false;
	for (uint32_t i = 0; i < r->count; i++)
		if (k->bytes_of[e[i].class_] != 1)
			return false;
	*ret = (uint32_t)k->byte_of[e[0].class_] | (uint32_t)k->byte_of[e[r->count - 1].class_]
							   << 8;
	return true;
}

static int packer_table(struct packer *k, uint32_t s)
{
	const struct dfa_row *r = &k->d->row[s];
	enum warder_node_kind kind = WARDER_NODE_TABLE;
	uint32_t node, bytes = 0;
	int err;

	if (r->other == s && !r->count)
		kind = WARDER_NODE_STOP;
	else if (k->plan[s].patched && k->d->row[k->plan[s].base].count)
		kind = WARDER_NODE_PATCH; /* else its target is quicker than its row */
	else if (packer_span(k, s, &bytes))
		kind = WARDER_NODE_SPAN;
	err = packer_node(k, s, kind, &node);
	if (err)
		return err;
	k->node[node].other = bytes;
	k->plan[s].place = WARDER_STATE(node, 0);
	return 0;
}

static int packer_nodes(struct packer *k)
{
	uint32_t states = k->d->states;
	int err = 0;

	for (uint32_t s = 0; !err && s < states; s++)
		if (k->plan[s].chain == NONE)
			err = packer_table(k, s);
		else if (!k->plan[s].taken)
			err = packer_chain(k, s);
	/* What is left are rings of chains. */
	for (uint32_t s = 0; !err && s < states; s++)
		if (k->plan[s].place == NONE)
			err = packer_chain(k, s);
	return err;
}

/* -------------------------------------------------------------------- edges */

/* Room for `count` edges; the bits reach one row further, so that a window needs no check. */
static int comb_reserve(struct packer *k, size_t count)
{
	size_t old = k->edges_cap, words;
	uint64_t *used;

	while (k->edges_cap < count)
		if (vector_grow(&k->edge, k->edges_cap, &k->edges_cap, sizeof(*k->edge)))
			return -ENOMEM;
	if (k->edges_cap == old && k->used)
		return 0;
	memset(k->edge + old, 0, (k->edges_cap - old) * sizeof(*k->edge));
	words = k->edges_cap / 64 + COMB_WORDS + 2;
	used = realloc(k->used, words * sizeof(*used));
	if (!used)
		return -ENOMEM;
	if (k->used)
		old = old / 64 + COMB_WORDS + 2;
	memset(used + old, 0, (words - old) * sizeof(*used));
	k->used = used;
	return 0;
}

/* The first free place from `at` on; all beyond `edges` are. */
static size_t comb_free(const struct packer *k, size_t at)
{
	while (at < k->edges) {
		uint64_t free_here = ~k->used[at / 64] >> at % 64;

		if (free_here)
			return at + (size_t)__builtin_ctzll(free_here);
		at = (at / 64 + 1) * 64;
	}
	return at;
}

static bool comb_fits(const struct packer *k, size_t base, const uint64_t row[COMB_WORDS])
{
	const uint64_t *u = k->used + base / 64;
	unsigned shift = base % 64;

	for (uint32_t i = 0; i * 64 < k->d->classes; i++) {
		uint64_t window = u[i] >> shift;

		if (shift)
			window |= u[i + 1] << (64 - shift);
		if (window & row[i])
			return false;
	}
	return true;
}

/* The row's place: the first of some free ones where it fits, else behind everything. */
static int packer_edges(struct packer *k, uint32_t node, const struct dfa_edge *e, uint32_t n)
{
	uint64_t row[COMB_WORDS] = { 0 };
	size_t at = k->first_free, base;
	uint32_t tries = 0;
	int err;

	if (!n)
		return 0;
	for (uint32_t i = 0; i < n; i++)
		row[e[i].class_ / 64] |= 1ull << e[i].class_ % 64;
	if (at < e[0].class_)
		at = e[0].class_;
	for (;; at++) {
		at = comb_free(k, at);
		base = at - e[0].class_;
		if (at >= k->edges || comb_fits(k, base, row))
			break;
		if (++tries == COMB_TRIES)
			at = k->edges;
	}
	if (base + 256 > WARDER_IMAGE_SIZE / sizeof(*k->edge))
		return -E2BIG;
	err = comb_reserve(k, base + 256);
	if (err)
		return err;
	for (uint32_t i = 0; i < n; i++) {
		size_t to = base + e[i].class_;

		k->edge[to] = (struct warder_edge) { .node = node, .next = k->plan[e[i].to].place };
		k->used[to / 64] |= 1ull << to % 64;
	}
	if (base + k->d->classes > k->edges)
		k->edges = base + k->d->classes;
	k->first_free = comb_free(k, k->first_free);
	/* Holes that many rows did not fit into are given up. */
	if (tries == COMB_TRIES)
		k->first_free += COMB_TRIES / 4;
	k->node[node].data = (__u32)base;
	return 0;
}

/* The node from which every byte leads to `state`. */
static int packer_constant(struct packer *k, uint32_t state, uint32_t *ret)
{
	const struct dfa_row *r = &k->d->row[state];
	int err = 0;

	if (r->other == state && !r->count) {
		*ret = k->plan[state].place >> 8;
		return 0;
	}
	if (!k->constant[state]) {
		err = packer_node(k, NONE, WARDER_NODE_TABLE, &k->constant[state]);
		if (!err)
			k->node[k->constant[state]].next = k->plan[state].place;
	}
	*ret = k->constant[state];
	return err;
}

/* Fills what refers to other nodes. */
static int packer_finish(struct packer *k, uint32_t node)
{
	uint32_t s = k->state_of[node], n, other;
	const struct plan *p;
	struct dfa_edge e[256];
	int err = 0;

	if (s == NONE)
		return 0;
	p = &k->plan[s];
	switch (k->node[node].accept >> 24) {
	case WARDER_NODE_CHAIN:
		k->node[node].next = k->plan[k->node[node].next].place;
		other = k->plan[p->base].place >> 8;
		if (!p->patched)
			err = packer_constant(k, p->base, &other);
		if (!err)
			k->node[node].other = other;
		return err;
	case WARDER_NODE_PATCH:
		k->node[node].other = k->plan[p->base].place >> 8;
		break;
	default:
		k->node[node].next = k->plan[p->base].place;
	}
	n = row_difference(k->d, s, p->base, p->patched, e);
	return packer_edges(k, node, e, n);
}

static void packer_done(struct packer *k)
{
	free(k->plan);
	free(k->node);
	free(k->state_of);
	free(k->constant);
	free(k->chars);
	free(k->chars_table);
	free(k->edge);
	free(k->used);
}

static int packer_init(struct packer *k, const struct dfa *d)
{
	k->d = d;
	k->chars_table_size = 1024;
	while (k->chars_table_size < (size_t)d->states * 2)
		k->chars_table_size *= 2;
	k->plan = calloc(d->states, sizeof(*k->plan));
	k->constant = calloc(d->states, sizeof(*k->constant));
	k->chars_table = calloc(k->chars_table_size, sizeof(*k->chars_table));
	if (!k->plan || !k->constant || !k->chars_table)
		return -ENOMEM;
	for (unsigned c = 256; c-- > 0;) {
		k->bytes_of[d->class_of[c]]++;
		k->byte_of[d->class_of[c]] = (uint8_t)c;
	}
	return comb_reserve(k, 256);
}

static int packer_run(struct packer *k)
{
	size_t nodes;
	int err;

	packer_plan(k);
	packer_link(k);
	err = packer_nodes(k);
	nodes = k->nodes;
	k->edges = k->d->classes; /* a row without edges is at 0 */
	for (uint32_t i = 0; !err && i < nodes; i++)
		err = packer_finish(k, i);
	return err;
}

/* ------------------------------------------------------------------ sections */

void *writer_section(struct writer *w, struct warder_section *s, size_t count, size_t size)
{
	uint64_t end = (uint64_t)w->at + count * size;

	if (end > WARDER_IMAGE_SIZE)
		return NULL;
	s->offset = w->at;
	s->count = (uint32_t)count;
	w->at = (uint32_t)(end + 7) & ~7u;
	return w->img->b + s->offset;
}

static int write_accept(struct writer *w, struct warder_image_header *h,
			const struct accept_table *t)
{
	struct warder_accept *accept;
	struct warder_accept_rule *entry;

	accept = writer_section(w, &h->accept, t->records, sizeof(*accept));
	entry = writer_section(w, &h->accept_rule, t->entries, sizeof(*entry));
	if (!accept || !entry)
		return -E2BIG;
	memcpy(accept, t->record, t->records * sizeof(*accept));
	for (size_t i = 0; i < t->records; i++)
		if (accept[i].count)
			accept[i].rules =
				h->accept_rule.offset + accept[i].rules * (__u32)sizeof(*entry);
	if (t->entries)
		memcpy(entry, t->entry, t->entries * sizeof(*entry));
	return 0;
}

static int write_nodes(struct writer *w, struct warder_image_header *h, const struct packer *k)
{
	void *class_of, *edge, *chars;
	struct warder_node *node;

	h->states = k->d->states;
	h->classes = k->d->classes;
	class_of = writer_section(w, &h->class_of, 256, 1);
	node = writer_section(w, &h->node, k->nodes, sizeof(*node));
	edge = writer_section(w, &h->edge, k->edges, sizeof(*k->edge));
	chars = writer_section(w, &h->chars, k->chars_used, 1);
	if (!class_of || !node || !edge || !chars)
		return -E2BIG;
	memcpy(class_of, k->d->class_of, 256);
	memcpy(node, k->node, k->nodes * sizeof(*node));
	for (size_t i = 0; i < k->nodes; i++)
		if (node[i].accept >> 24 == WARDER_NODE_CHAIN)
			node[i].data += h->chars.offset << 8;
	memcpy(edge, k->edge, k->edges * sizeof(*k->edge));
	if (k->chars_used)
		memcpy(chars, k->chars, k->chars_used);
	return 0;
}

int dfa_write(struct writer *w, struct warder_image_header *h, const struct dfa *d,
	      size_t n_starts, const struct accept_table *t, uint32_t *ret_start)
{
	struct packer k = { 0 };
	int err = packer_init(&k, d);

	if (!err)
		err = packer_run(&k);
	if (!err)
		err = write_nodes(w, h, &k);
	for (size_t i = 0; !err && i < n_starts; i++)
		ret_start[i] = k.plan[d->start[i]].place;
	packer_done(&k);
	return err ? err : write_accept(w, h, t);
}
