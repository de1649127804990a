/* SPDX-License-Identifier: LGPL-2.1-or-later OR GPL-2.0-only */
/*
 * Decisions on acts of one task upon another or upon its objects: ptrace, signal, ipc. Included
 * by warder_decide.h, whose rules hold here too.
 *
 * Within a container everything is granted unless a rule or the class default refuses it. Across
 * its border nothing is, and no mode turns that off: only a rule that names the peer lifts it.
 * The actor's policy decides; the peer's is not asked.
 */
#ifndef WARDER_DECIDE_PEER_H
#define WARDER_DECIDE_PEER_H

#ifndef WARDER_DECIDE_H
#include "warder_decide.h"
#endif

enum warder_relation {
	WARDER_RELATION_SAME = 0,  /* same container, same profile */
	WARDER_RELATION_CONTAINER, /* same container, another profile */
	WARDER_RELATION_OTHER,     /* another container: `name` and `policy` say which */
	WARDER_RELATION_HOST,      /* no container */
};

#define WARDER_NAME_WORDS (WARDER_NAME_SIZE / 8)

struct warder_peer_request {
	__u64 op;       /* one WARDER_PTRACE_*, WARDER_IPC_* or signal bit; 0: a signal that does
	                 * nothing but ask, or a change of priority and the like */
	__u32 class_;   /* enum warder_class */
	__u32 relation; /* enum warder_relation */
	__u32 common;   /* with WARDER_RELATION_CONTAINER: warder_profile_common() of a stack, else 0 */
	__u32 pad;
	__u64 name[WARDER_NAME_WORDS];   /* of the peer's container, NUL-padded */
	/* The policies of the peer's container, NUL-padded: all NUL where there are fewer. */
	__u64 policy[WARDER_LAYERS_MAX][WARDER_NAME_WORDS];
};

/* Are the NUL-padded names at image offset `at` and in `words` the same? */
WARDER_ENGINE int warder_peer_named(const struct warder_image *img, __u32 at, const __u64 *words)
{
	__u64 differ = 0;

	for (__u32 i = 0; i < WARDER_NAME_WORDS; i++) {
		differ |= image_u64(img, at + 8 * i) ^ words[i];
		/* One word after the other: all at once would take more stack than there is. */
		WARDER_OPAQUE(differ);
	}
	return 1 - (int)((differ | -differ) >> 63);
}

/* Is one of the peer's policies called as the rule says? */
WARDER_ENGINE_GLOBAL int warder_peer_policy(const struct warder_image *img, __u32 at,
					    const struct warder_peer_request *r)
{
	int named = 0;

	if (!img || !r)
		return 0;
	for (__u32 i = 0; i < WARDER_LAYERS_MAX; i++)
		named |= warder_peer_named(img, at, r->policy[i]);
	return named;
}

#define WARDER_PEER_FIELD(field) ((__u32)__builtin_offsetof(struct warder_peer_rule, field))

/* Are both in one profile, as the layer at `pr` sees it? */
WARDER_ENGINE int warder_peer_is_same(const struct warder_image *img, __u32 pr,
				      const struct warder_peer_request *r)
{
	return r->relation == WARDER_RELATION_SAME ||
	       (r->relation == WARDER_RELATION_CONTAINER &&
		(r->common >> (WARDER_PROFILE_U32(img, pr, layer) & 31) & 1));
}

/* `best`, or peer rule number `i` if it speaks of this request and goes before it. */
WARDER_ENGINE_GLOBAL __u32 warder_peer_try(const struct warder_image *img,
					   const struct warder_peer_request *r, __u32 i, __u32 best,
					   __u32 pr)
{
	__u32 at, deny, matches = 0;
	__u64 ops;

	if (!img || !r || i >= WARDER_PEER_RULES_MAX || best & WARDER_FOUND_DENY)
		return best;
	at = img->h.peer.offset + i * (__u32)sizeof(struct warder_peer_rule);
	if (image_u32(img, at + WARDER_PEER_FIELD(class_)) != r->class_)
		return best;
	ops = image_u64(img, at + WARDER_PEER_FIELD(ops));
	deny = image_u8(img, at + WARDER_PEER_FIELD(deny));
	/* What does nothing by itself is refused only where everything is, and granted where
	 * anything is. */
	if (r->op ? !(ops & r->op) : deny ? ~ops != 0 : !ops)
		return best;
	switch (image_u32(img, at + WARDER_PEER_FIELD(peer))) {
	case WARDER_PEER_ANY:
	case WARDER_PEER_CONTAINER:
		matches = r->relation <= WARDER_RELATION_CONTAINER;
		break;
	case WARDER_PEER_SAME:
		matches = (__u32)warder_peer_is_same(img, pr, r);
		break;
	case WARDER_PEER_HOST:
		matches = r->relation == WARDER_RELATION_HOST;
		break;
	case WARDER_PEER_POLICY:
		matches = r->relation == WARDER_RELATION_OTHER &&
			  warder_peer_policy(img, at + WARDER_PEER_FIELD(name), r);
		break;
	case WARDER_PEER_NAME:
		matches = r->relation == WARDER_RELATION_OTHER &&
			  warder_peer_named(img, at + WARDER_PEER_FIELD(name), r->name);
		break;
	}
	return matches ? warder_found(best, at, deny) : best;
}

/* The deciding rule's entry as a byte offset, a deny before an allow; 0: none. */
WARDER_ENGINE_GLOBAL int warder_peer_find(const struct warder_image *img, __u32 pr,
					  const struct warder_peer_request *r)
{
	__u32 found = 0;
	__u64 rules;

	if (!img || !r)
		return 0;
	rules = WARDER_PROFILE_U64(img, pr, peer_rules);
	for (__u32 i = 0; i < WARDER_PEER_RULES_MAX; i++) {
		if (i >= img->h.peer.count)
			break;
		if (rules >> i & 1)
			found = warder_peer_try(img, r, i, found, pr);
	}
	return (int)(found & ~WARDER_FOUND_DENY);
}

/* The baseline that remains although a rule allows it: tasks of the host. */
WARDER_ENGINE int warder_peer_unsafe(const struct warder_image *img,
				     const struct warder_peer_request *r)
{
	if (r->relation != WARDER_RELATION_HOST)
		return 1;
	if (r->class_ == WARDER_CLASS_PTRACE)
		return (img->h.unsafe & WARDER_UNSAFE_HOST_PTRACE) != 0;
	if (r->class_ == WARDER_CLASS_SIGNAL)
		return (img->h.unsafe & WARDER_UNSAFE_HOST_SIGNAL) != 0;
	return 1;
}

/* errno of a refusal that no rule made: by the class, and across the border as the kernel would
 * say it, which knows the objects of another container and nothing of the host's. */
WARDER_ENGINE __u32 warder_peer_errno(const struct warder_image *img, __u32 pr,
				      const struct warder_peer_request *r)
{
	__u32 n = r->class_ == WARDER_CLASS_SIGNAL ? 1 : r->class_ == WARDER_CLASS_IPC ? 2 : 0;

	if (r->relation == WARDER_RELATION_HOST)
		return WARDER_EPERM;
	return image_u32(img, pr + (__u32)__builtin_offsetof(struct warder_profile, peer_err) + 4 * n);
}

/* Of SysV objects the kernel says EACCES whatever its hook said: so does the verdict. */
WARDER_ENGINE void warder_peer_deny(struct warder_verdict *v, const struct warder_peer_request *r,
				    __u32 why, __u32 err)
{
	if (r->class_ == WARDER_CLASS_IPC && r->op == WARDER_IPC_SYSV)
		err = WARDER_EACCES;
	warder_verdict_deny(v, why, err);
}

WARDER_ENGINE void warder_layer_peer(const struct warder_image *img, __u32 pr,
				     const struct warder_peer_request *r,
				     struct warder_verdict *v)
{
	__u32 at = (__u32)warder_peer_find(img, pr, r);

	warder_verdict_allow(v);
	if (at) {
		v->why = WARDER_WHY_RULE;
		v->rule = image_u16(img, at + WARDER_PEER_FIELD(rule));
		v->report = image_u8(img, at + WARDER_PEER_FIELD(audit));
		if (image_u8(img, at + WARDER_PEER_FIELD(deny))) {
			warder_peer_deny(v, r, WARDER_WHY_RULE,
					 image_u8(img, at + WARDER_PEER_FIELD(err)));
			/* Across the border a rule's refusal is the baseline's too. */
			if (r->relation > WARDER_RELATION_CONTAINER)
				return;
		} else if (!warder_peer_unsafe(img, r)) {
			warder_verdict_allow(v);
			warder_verdict_deny(v, WARDER_WHY_BASELINE, WARDER_EPERM);
		}
	} else if (r->relation > WARDER_RELATION_CONTAINER) {
		warder_peer_deny(v, r, WARDER_WHY_BASELINE, warder_peer_errno(img, pr, r));
	} else if (!(WARDER_PROFILE_U32(img, pr, peer_default) >> (r->class_ & 31) & 1)) {
		warder_peer_deny(v, r, WARDER_WHY_DEFAULT, warder_peer_errno(img, pr, r));
	}
	warder_verdict_finish(img, pr, v);
}

WARDER_ENGINE_GLOBAL int warder_join_peer(const struct warder_image *img, __u32 pr,
					  const struct warder_peer_request *r,
					  struct warder_verdict *v)
{
	struct warder_verdict w;

	if (!img || !r || !v)
		return 0;
	warder_layer_peer(img, pr, r, &w);
	return warder_verdict_join(img, pr, v, &w);
}

WARDER_ENGINE void warder_decide_peer(const struct warder_image *img, __u32 pr,
				      const struct warder_peer_request *r,
				      struct warder_verdict *v)
{
	warder_layer_peer(img, pr, r, v);
	WARDER_JOIN_LAYERS(img, pr, v, warder_join_peer(img, pr, r, v));
}

#endif
