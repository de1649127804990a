/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the automaton share: policy_nfa.c, policy_dfa.c, policy_dfa_min.c,
 * policy_pack.c. */
#ifndef WARDER_POLICY_DFA_H
#define WARDER_POLICY_DFA_H

#include "policy_internal.h"

/* ------------------------------------------------- prefix NFA (policy_nfa.c) */

/* Number 0 of states is none. */
struct prefix_edge {
	uint32_t to;
	uint16_t set;
};

struct prefix_state {
	uint32_t edge, edges;
	uint32_t eps, epses;
	uint32_t accept, accepts; /* patterns that end here */
	uint32_t owner;		  /* a pattern that it is part of */
};

struct prefix_nfa {
	struct prefix_state *state;
	size_t states, states_cap;
	struct prefix_edge *edge;
	size_t edges, edges_cap;
	uint32_t *eps;
	size_t epses, epses_cap;
	uint32_t *accept;
	size_t accepts, accepts_cap;
	uint32_t *start; /* by start list */
};

/* 0, -E2BIG, -ENOMEM; prefix_done() in any case. */
int prefix_build(const struct nfa *n, const struct dfa_options *o, struct prefix_nfa *ret);
void prefix_done(struct prefix_nfa *p);

/* ------------------------------------------------------ names (policy_dfa_names.c) */

/* Which states (ret_named[0..states)) a name ends in, of the automaton as far as it is built: accept_of
 * is not looked at. With path[k] the names of start list k are paths as the kernel gives them:
 * absolute, without "//", "." and "..", and without a slash at the end. 0, -ENOMEM. */
int dfa_named(const struct dfa *d, size_t n_starts, const bool *path, bool *ret_named);

/* ---------------------------------------------- minimisation (policy_dfa_min.c) */

/* Replaces the automaton by the smallest one that accepts the same, each row in its normal
 * form, states numbered as they are met from the starts. */
int dfa_minimise(struct dfa *d, size_t n_starts);

#endif
