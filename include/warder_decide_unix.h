/* SPDX-License-Identifier: LGPL-2.1-or-later OR GPL-2.0-only */
/*
 * Decisions on connecting and sending to a unix socket: what ipc rules say of who made it, what
 * network rules say of its name, and what the baseline makes of both. Included by warder_decide.h,
 * whose rules hold here too.
 */
#ifndef WARDER_DECIDE_UNIX_H
#define WARDER_DECIDE_UNIX_H

#ifndef WARDER_DECIDE_H
#include "warder_decide.h"
#endif

/* Has a rule of any layer refused? One of the host's is the baseline's too, which of a stack's
 * verdicts goes first: the layers' own rules tell. Without branches, for the verifier's sake. */
WARDER_ENGINE __u32 warder_unix_rule_refused(const struct warder_verdict *v)
{
	__u32 against = v->against;

	_Static_assert(WARDER_LAYERS_MAX == 4, "every layer is looked at");
	return (v->why == WARDER_WHY_RULE) | ((against & warder_nonzero(v->by[0])) |
					      (against >> 1 & warder_nonzero(v->by[1])) |
					      (against >> 2 & warder_nonzero(v->by[2])) |
					      (against >> 3 & warder_nonzero(v->by[3])));
}

/* Is the verdict `v` of ipc rules the last word, so that the name is not asked for? Of the host only
 * what a network rule names is open, so there a rule's refusal alone is one. `stacked`: several
 * policies, of which one may refuse by the name what another only reports. */
WARDER_ENGINE int warder_unix_border_ends(const struct warder_verdict *v, __u32 host, __u32 stacked)
{
	return (v->action == WARDER_DENY || (v->action != WARDER_ALLOW && !stacked)) &&
	       (!host || warder_unix_rule_refused(v));
}

/* After the name was asked for: a socket of the host that no rule names (`named` 0) is closed,
 * whatever else was found. 1: the baseline has refused. */
WARDER_ENGINE int warder_unix_close(struct warder_verdict *v, __u32 host, __u32 named)
{
	if (!host || named)
		return 0;
	warder_verdict_baseline(v);
	return 1;
}

/*
 * The whole of it, for who has the name beforehand: `r` asks ipc rules of the socket's maker;
 * text[off, off+len), `start`, `a` and `op` are those of warder_decide_unix(). With `start`
 * WARDER_START__MAX the socket has no name.
 */
WARDER_ENGINE void warder_decide_unix_peer(const struct warder_image *img, __u32 pr,
					   const struct warder_peer_request *r,
					   const struct warder_text *text, __u64 off_len,
					   __u32 start, const struct warder_address *a, __u32 op,
					   struct warder_verdict *v)
{
	__u32 host = r->relation == WARDER_RELATION_HOST, named = 0, report;

	warder_decide_peer(img, pr, r, v);
	if (warder_unix_border_ends(v, host, warder_layer_next(img, pr) != 0))
		return;
	/* Hooks tell it in an event of its own. */
	report = v->action != WARDER_DENY && v->report;
	if (start < WARDER_START__MAX)
		named = (__u32)warder_decide_unix(img, pr, text, off_len >> 32, (__u32)off_len,
						  start, a, op, v);
	else
		warder_decide_network(img, pr, a, op, v);
	warder_unix_close(v, host, named);
	v->report |= report;
}

#endif
