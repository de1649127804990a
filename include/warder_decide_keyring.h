/* SPDX-License-Identifier: LGPL-2.1-or-later OR GPL-2.0-only */
/* Decisions on key upcalls. Included by warder_decide.h, whose rules hold here too. */
#ifndef WARDER_DECIDE_KEYRING_H
#define WARDER_DECIDE_KEYRING_H

#ifndef WARDER_DECIDE_H
#include "warder_decide.h"
#endif

#define WARDER_ENOKEY 126

/* A key type as rules compare it. */
struct warder_upcall_type {
	union {
		char name[WARDER_UPCALL_TYPE_SIZE]; /* NUL-padded */
		__u64 word[2];
	};
	__u32 route; /* decided: WARDER_UPCALL_ROUTE(), of several layers what all of them allow */
};

/* Who answers, in one number: a BPF function has one result. */
#define WARDER_UPCALL_ROUTE(to, otherwise, deadline) \
	((__u32)(to) | (__u32)(otherwise) << 8 | (__u32)(deadline) << 16)
#define WARDER_ROUTE_TO(route) ((route)&0xff)
#define WARDER_ROUTE_OTHERWISE(route) ((route) >> 8 & 0xff)
#define WARDER_ROUTE_DEADLINE(route) ((route) >> 16) /* ms, 0: the built-in */

/* What two layers allow together: a queue where one says so, the host only where both do. */
WARDER_ENGINE __u32 warder_route_join(__u32 a, __u32 b)
{
	__u32 to = WARDER_UPCALL_QUEUE, otherwise = WARDER_UPCALL_DENY, ms, other;

	if (WARDER_ROUTE_TO(a) == WARDER_UPCALL_DENY || WARDER_ROUTE_TO(b) == WARDER_UPCALL_DENY)
		return WARDER_UPCALL_ROUTE(WARDER_UPCALL_DENY, 0, 0);
	if (WARDER_ROUTE_TO(a) == WARDER_UPCALL_HOST && WARDER_ROUTE_TO(b) == WARDER_UPCALL_HOST)
		to = WARDER_UPCALL_HOST;
	else if ((WARDER_ROUTE_TO(a) == WARDER_UPCALL_HOST ||
		  WARDER_ROUTE_OTHERWISE(a) == WARDER_UPCALL_HOST) &&
		 (WARDER_ROUTE_TO(b) == WARDER_UPCALL_HOST ||
		  WARDER_ROUTE_OTHERWISE(b) == WARDER_UPCALL_HOST))
		otherwise = WARDER_UPCALL_HOST;
	ms = WARDER_ROUTE_DEADLINE(a);
	other = WARDER_ROUTE_DEADLINE(b);
	if (!ms || (other && other < ms))
		ms = other;
	return WARDER_UPCALL_ROUTE(to, otherwise, ms);
}

/* By words: of a comparison by bytes the verifier follows every combination of outcomes. */
#define WARDER_UPCALL_TYPE_IS(t, text)                                                             \
	({                                                                                         \
		const struct warder_upcall_type type_ = { .name = text };                          \
		(t)->word[0] == type_.word[0] && (t)->word[1] == type_.word[1];                    \
	})

/*
 * Types whose keys a part of the kernel asks for, and whose handlers on the host believe what the
 * description says: process ids, uids, addresses of servers. A program that makes up such a
 * request would have root's helper act for it.
 */
WARDER_ENGINE int warder_upcall_type_is_kernels(const struct warder_upcall_type *t)
{
	return WARDER_UPCALL_TYPE_IS(t, "dns_resolver") || WARDER_UPCALL_TYPE_IS(t, "id_resolver") ||
	       WARDER_UPCALL_TYPE_IS(t, "id_legacy") || WARDER_UPCALL_TYPE_IS(t, "cifs.spnego") ||
	       WARDER_UPCALL_TYPE_IS(t, "cifs.idmap") || WARDER_UPCALL_TYPE_IS(t, "rxrpc") ||
	       WARDER_UPCALL_TYPE_IS(t, "rxrpc_s");
}

/*
 * Decides who answers a request for a key of type `t`, made by `by` (one WARDER_UPCALL_BY_* bit), by
 * the entries of one layer: a WARDER_UPCALL_ROUTE(). Where no rule speaks, the kernel's own requests
 * go to the host, as without warder, and a program's nowhere.
 */
WARDER_ENGINE_GLOBAL int warder_layer_upcall(const struct warder_image *img, __u32 pr,
					     const struct warder_upcall_type *t, __u32 by,
					     struct warder_verdict *v)
{
	__u32 to = WARDER_UPCALL_DENY, otherwise = WARDER_UPCALL_DENY, deadline = 0, found = 0, layer;

	if (!img || !t || !v)
		return WARDER_UPCALL_DENY;
	layer = WARDER_PROFILE_U32(img, pr, layer);
	warder_verdict_allow(v);
	for (__u32 i = 0; i < WARDER_UPCALLS_MAX; i++) {
		const struct warder_upcall *u = &img->h.upcall[i];

		if (!u->rule)
			break;
		if (u->layer != layer || !(u->by & by) ||
		    ((u->word[0] | u->word[1]) &&
		     (u->word[0] != t->word[0] || u->word[1] != t->word[1])))
			continue;
		found = 1;
		to = u->to;
		otherwise = u->otherwise;
		deadline = u->deadline;
		v->rule = u->rule;
		v->why = WARDER_WHY_RULE;
		break;
	}
	if (!found && by == WARDER_UPCALL_BY_KERNEL)
		to = WARDER_UPCALL_HOST;
	if (by == WARDER_UPCALL_BY_PROGRAM && warder_upcall_type_is_kernels(t)) {
		otherwise = WARDER_UPCALL_DENY;
		if (to == WARDER_UPCALL_HOST) {
			to = WARDER_UPCALL_DENY;
			v->rule = 0;
			v->why = WARDER_WHY_BASELINE;
		}
	}
	if (to == WARDER_UPCALL_DENY)
		warder_verdict_deny(v, v->why, WARDER_ENOKEY);
	warder_verdict_finish(img, pr, v);
	/* Audit mode lets pass what a rule refuses: to the host, as it would go without warder. */
	if (to == WARDER_UPCALL_DENY && v->action != WARDER_DENY)
		to = WARDER_UPCALL_HOST;
	return (int)WARDER_UPCALL_ROUTE(to, otherwise, deadline);
}

WARDER_ENGINE_GLOBAL int warder_join_upcall(const struct warder_image *img, __u32 pr,
					    struct warder_upcall_type *t, __u32 by,
					    struct warder_verdict *v)
{
	struct warder_verdict w;

	if (!img || !t || !v)
		return 0;
	t->route = warder_route_join(t->route, (__u32)warder_layer_upcall(img, pr, t, by, &w));
	return warder_verdict_join(img, pr, v, &w);
}

/* The same for the whole image: profiles share their upcalls, so it is the top one's chain. */
WARDER_ENGINE void warder_decide_upcall(const struct warder_image *img, struct warder_upcall_type *t,
					__u32 by, struct warder_verdict *v)
{
	__u32 pr = warder_profile_at(img, 0);

	t->route = (__u32)warder_layer_upcall(img, pr, t, by, v);
	WARDER_JOIN_LAYERS(img, pr, v, warder_join_upcall(img, pr, t, by, v));
}

/* What joining another session keyring does: the strictest that is enforced; enum warder_keys_join. */
WARDER_ENGINE __u32 warder_join_of(const struct warder_image *img)
{
	__u32 join = WARDER_JOIN_LAZY;

	for (__u32 i = 0; i < WARDER_LAYERS_MAX; i++) {
		const struct warder_layer *l = &img->h.layer[i];

		if (l->mode == WARDER_MODE_ENFORCE && l->keys_join > join)
			join = l->keys_join;
	}
	return join;
}

/*
 * May the container's tasks take another session keyring, by joining or from a child? Where `sticky` is
 * answered the call does not get as far as this; where nobody answers nothing changes either.
 */
WARDER_ENGINE void warder_decide_join(const struct warder_image *img, struct warder_verdict *v)
{
	warder_verdict_allow(v);
	for (__u32 i = 0; i < WARDER_LAYERS_MAX; i++) {
		const struct warder_layer *l = &img->h.layer[i];
		__u32 action = l->mode == WARDER_MODE_ENFORCE ? WARDER_DENY : WARDER_AUDIT;

		if (l->keys_join == WARDER_JOIN_LAZY)
			continue;
		v->against |= 1u << i;
		if (v->action == WARDER_DENY || v->action == action)
			continue;
		warder_verdict_deny(v, WARDER_WHY_DEFAULT, WARDER_EPERM);
		v->action = action;
		v->layer = i;
	}
}

#endif
