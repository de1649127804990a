/* SPDX-License-Identifier: LGPL-2.1-or-later OR GPL-2.0-only */
/*
 * Decisions on sockets: by family, protocol, address and port from the table of network rules,
 * by path and abstract name from the DFA. Included by warder_decide.h, whose rules hold here too.
 *
 * What an address means is settled before: callers give the address that the kernel would use
 * (an IPv4 address is IPv4 however it is written, the unspecified one of a connection is
 * loopback), see bpf/network.bpf.h.
 */
#ifndef WARDER_DECIDE_NETWORK_H
#define WARDER_DECIDE_NETWORK_H

#ifndef WARDER_DECIDE_H
#include "warder_decide.h"
#endif

/* AF_* by their kernel ABI numbers: BPF has no sys/socket.h. */
#define WARDER_AF_UNSPEC 0
#define WARDER_AF_UNIX 1
#define WARDER_AF_INET 2
#define WARDER_AF_INET6 10
#define WARDER_AF_NETLINK 16
#define WARDER_AF_PACKET 17
#define WARDER_AF_VSOCK 40

#define WARDER_SOCK_STREAM 1
#define WARDER_SOCK_DGRAM 2
#define WARDER_SOCK_RAW 3

/* The WARDER_FAM_* bit of an AF_*. */
WARDER_ENGINE __u32 warder_net_family(__u32 family)
{
	switch (family) {
	case WARDER_AF_INET:
		return WARDER_FAM_INET;
	case WARDER_AF_INET6:
		return WARDER_FAM_INET6;
	case WARDER_AF_UNIX:
		return WARDER_FAM_UNIX;
	case WARDER_AF_NETLINK:
		return WARDER_FAM_NETLINK;
	case WARDER_AF_PACKET:
		return WARDER_FAM_PACKET;
	case WARDER_AF_VSOCK:
		return WARDER_FAM_VSOCK;
	default:
		return WARDER_FAM_OTHER;
	}
}

/*
 * The WARDER_PROTO_* bit of an inet or inet6 socket of SOCK_* `type`. Protocol 0 is what the
 * kernel takes for the type. SMC (256) and MPTCP (262) are TCP to the peer.
 */
WARDER_ENGINE __u32 warder_net_protocol(__u32 type, __u32 protocol)
{
	if (type == WARDER_SOCK_RAW)
		return WARDER_PROTO_RAW;
	if (!protocol)
		return type == WARDER_SOCK_STREAM ? WARDER_PROTO_TCP :
		       type == WARDER_SOCK_DGRAM  ? WARDER_PROTO_UDP :
						    WARDER_PROTO_OTHER;
	switch (protocol) {
	case 6:
	case 256:
	case 262:
		return WARDER_PROTO_TCP;
	case 17:
	case 136:
		return WARDER_PROTO_UDP;
	case 1:
	case 58:
		return WARDER_PROTO_ICMP;
	case 132:
		return WARDER_PROTO_SCTP;
	default:
		return WARDER_PROTO_OTHER;
	}
}

/* Writes an IPv4 address (network order) as ::ffff:a.b.c.d. */
WARDER_ENGINE void warder_net_mapped(struct warder_address *a, __u32 v4)
{
	__u64 *w = (__u64 *)a->addr;

	w[0] = 0;
	w[1] = 0xffff0000ull | (__u64)v4 << 32;
}

WARDER_ENGINE int warder_net_is_mapped(const struct warder_address *a)
{
	const __u64 *w = (const __u64 *)a->addr;

	return !w[0] && (__u32)w[1] == 0xffff0000u;
}

/* 0.0.0.0 or :: */
WARDER_ENGINE int warder_net_is_any(const struct warder_address *a)
{
	const __u64 *w = (const __u64 *)a->addr;

	return !w[0] && (!w[1] || w[1] == 0xffff0000ull);
}

#define WARDER_NET_FIELD(field) ((__u32)__builtin_offsetof(struct warder_net_rule, field))

/* The leading `prefix` bits of the addresses in network order are the same. */
WARDER_ENGINE int warder_net_within(__u64 a0, __u64 a1, __u64 b0, __u64 b1, __u32 prefix)
{
	__u64 high = __builtin_bswap64(a0 ^ b0), low = __builtin_bswap64(a1 ^ b1);

	if (prefix > 64)
		return !high && !(low >> ((128 - prefix) & 63));
	return !prefix || !(high >> (64 - prefix));
}

/*
 * `best`, or network rule number `i` if it speaks of this request and goes before it.
 *
 * Making a socket has no address yet: it is granted by any rule that may grant something later,
 * and refused only by one that leaves nothing to grant. The wildcard address of a socket that
 * listens holds every address: a rule that refuses one of them refuses it.
 */
WARDER_ENGINE_GLOBAL __u32 warder_net_try(const struct warder_image *img,
					  const struct warder_address *a, __u32 op, __u32 i,
					  __u32 best)
{
	__u32 at, deny, protocols, prefix, ports;
	const __u64 *w;

	if (!img || !a || i >= WARDER_NET_RULES_MAX || best & WARDER_FOUND_DENY)
		return best;
	at = img->h.net.offset + i * (__u32)sizeof(struct warder_net_rule);
	if (!(image_u32(img, at + WARDER_NET_FIELD(ops)) & op) ||
	    !(image_u32(img, at + WARDER_NET_FIELD(families)) & a->families))
		return best;
	protocols = image_u32(img, at + WARDER_NET_FIELD(protocols));
	if (protocols && !(protocols & a->protocols))
		return best;
	deny = image_u8(img, at + WARDER_NET_FIELD(deny));
	prefix = image_u8(img, at + WARDER_NET_FIELD(prefix));
	ports = image_u32(img, at + WARDER_NET_FIELD(port_first)); /* and port_last */
	if (op == WARDER_NET_CREATE)
		return !deny || (!prefix && ports == 0xffff0000u) ? warder_found(best, at, deny) :
								    best;
	if (a->port < (ports & 0xffff) || a->port > ports >> 16)
		return best;
	if (deny && (op & (WARDER_NET_BIND | WARDER_NET_LISTEN | WARDER_NET_ACCEPT)) &&
	    warder_net_is_any(a))
		return warder_found(best, at, deny);
	w = (const __u64 *)a->addr;
	if (!warder_net_within(image_u64(img, at), image_u64(img, at + 8), w[0], w[1], prefix))
		return best;
	return warder_found(best, at, deny);
}

/* Rules that warder_net_part() tries: the verifier walks them, and the parts, in every program. */
#define WARDER_NET_PART 16u

_Static_assert(64 % WARDER_NET_PART == 0, "a part lies in one word of a profile's set");

/* The same for the profile's rules from number `first` on, as many as there are in a part. */
WARDER_ENGINE_GLOBAL __u32 warder_net_part(const struct warder_image *img, __u64 pr_first,
					   const struct warder_address *a, __u32 op, __u32 best)
{
	__u32 first = (__u32)pr_first;
	__u64 set;

	if (!img || !a)
		return best;
	set = image_u64(img, (pr_first >> 32) +
				     (__u32)__builtin_offsetof(struct warder_profile, net_rules) +
				     first / 64 * 8) >> (first & 63);
	for (__u32 i = 0; i < WARDER_NET_PART; i++)
		if (set >> i & 1)
			best = warder_net_try(img, a, op, first + i, best);
	return best;
}

/* The deciding rule's entry as a byte offset, a deny before an allow; 0: none. */
WARDER_ENGINE_GLOBAL int warder_net_find(const struct warder_image *img, __u32 pr,
					 const struct warder_address *a, __u32 op)
{
	__u32 found = 0;

	if (!img || !a)
		return 0;
	for (__u32 i = 0; i < WARDER_NET_RULES_MAX; i += WARDER_NET_PART) {
		if (i >= img->h.net.count)
			break;
		found = warder_net_part(img, (__u64)pr << 32 | i, a, op, found);
	}
	return (int)(found & ~WARDER_FOUND_DENY);
}

/* No rule of the layer speaks of sockets of the families, and the default grants them. */
WARDER_ENGINE int warder_net_is_trivial(const struct warder_image *img, __u32 pr, __u32 families)
{
	__u64 rules = WARDER_PROFILE_U64(img, pr, net_rules[0]) |
		      WARDER_PROFILE_U64(img, pr, net_rules[1]) |
		      WARDER_PROFILE_U64(img, pr, net_rules[2]) |
		      WARDER_PROFILE_U64(img, pr, net_rules[3]);

	if (rules || families & ~WARDER_PROFILE_U32(img, pr, net_default))
		return 0;
	return !(families & WARDER_FAM_UNIX) || (!warder_start(img, pr, WARDER_START_UNIX) &&
						 !warder_start(img, pr, WARDER_START_ABSTRACT));
}

/* Nothing refuses or reports what is done with them. A stack is asked, as it seldom is so. */
WARDER_ENGINE int warder_net_is_silent(const struct warder_image *img, __u32 pr, __u32 families)
{
	return warder_net_is_trivial(img, pr, families) && !warder_layer_next(img, pr);
}

/* Without the mode's part: a verdict on the table alone. */
WARDER_ENGINE void warder_net_table(const struct warder_image *img, __u32 pr,
				    const struct warder_address *a, __u32 op,
				    struct warder_verdict *v)
{
	__u32 at = (__u32)warder_net_find(img, pr, a, op);

	warder_verdict_allow(v);
	if (at) {
		v->why = WARDER_WHY_RULE;
		v->rule = image_u16(img, at + WARDER_NET_FIELD(rule));
		v->report = image_u8(img, at + WARDER_NET_FIELD(audit));
		if (image_u8(img, at + WARDER_NET_FIELD(deny))) {
			warder_verdict_deny(v, WARDER_WHY_RULE,
					    image_u8(img, at + WARDER_NET_FIELD(err)));
			v->access = op;
		}
	} else if (a->families & ~WARDER_PROFILE_U32(img, pr, net_default)) {
		warder_verdict_deny(v, WARDER_WHY_DEFAULT, WARDER_PROFILE_U32(img, pr, net_err));
		v->access = op;
	}
}

WARDER_ENGINE void warder_layer_network(const struct warder_image *img, __u32 pr,
					const struct warder_address *a, __u32 op,
					struct warder_verdict *v)
{
	warder_net_table(img, pr, a, op, v);
	warder_verdict_finish(img, pr, v);
}

WARDER_ENGINE_GLOBAL int warder_join_network(const struct warder_image *img, __u32 pr,
					     const struct warder_address *a, __u32 op,
					     struct warder_verdict *v)
{
	struct warder_verdict w;

	if (!img || !a || !v)
		return 0;
	warder_layer_network(img, pr, a, op, &w);
	return warder_verdict_join(img, pr, v, &w);
}

/* Decides `op`, one WARDER_NET_* bit, on the address; for unix sockets warder_decide_unix(). */
WARDER_ENGINE void warder_decide_network(const struct warder_image *img, __u32 pr,
					 const struct warder_address *a, __u32 op,
					 struct warder_verdict *v)
{
	warder_layer_network(img, pr, a, op, v);
	WARDER_JOIN_LAYERS(img, pr, v, warder_join_network(img, pr, a, op, v));
}

WARDER_ENGINE int warder_layer_unix(const struct warder_image *img, __u32 pr,
				     const struct warder_text *text, __u32 off, __u32 len,
				     __u32 start, const struct warder_address *a, __u32 op,
				     struct warder_verdict *v)
{
	__u32 at, by;
	int named = 0;

	warder_net_table(img, pr, a, op, v);
	at = warder_accept_at(img, warder_walk(img, text, warder_start(img, pr, start), off, len));
	if (WARDER_ACCEPT_FIELD(img, at, deny) & op) {
		by = (__u32)warder_attribute(img, at, op, 1);
		warder_verdict_allow(v);
		warder_verdict_deny(v, WARDER_WHY_RULE, by & 0xff);
		v->rule = by >> 8;
		v->access = op;
	} else if ((WARDER_ACCEPT_FIELD(img, at, allow) & op) &&
		   !(v->action == WARDER_DENY && v->why == WARDER_WHY_RULE)) {
		named = 1;
		warder_verdict_allow(v);
		v->why = WARDER_WHY_RULE;
		v->rule = (__u32)warder_attribute(img, at, op, 0) >> 8;
		v->report = (WARDER_ACCEPT_FIELD(img, at, audit) & op) != 0;
	}
	warder_verdict_finish(img, pr, v);
	return named;
}

#define WARDER_UNIX_ASK(start, op) ((start) << 16 | (op))
_Static_assert(WARDER_NET_ALL < 1u << 16, "an operation in half a word");

/* 1: this layer allows it by name. */
WARDER_ENGINE_GLOBAL int warder_join_unix(const struct warder_image *img,
					  const struct warder_text *text, __u64 off_len,
					  __u64 pr_ask, struct warder_verdict *v)
{
	struct warder_address a = { .family = WARDER_AF_UNIX, .families = WARDER_FAM_UNIX };
	__u32 pr = pr_ask >> 32, start = (__u32)pr_ask >> 16, op = pr_ask & 0xffff;
	struct warder_verdict w;
	int named;

	if (!img || !text || !v)
		return 0;
	named = warder_layer_unix(img, pr, text, off_len >> 32, (__u32)off_len, start, &a, op, &w);
	warder_verdict_join(img, pr, v, &w);
	return named;
}

/*
 * Decides `op` on the unix socket of the name text[off, off+len): with WARDER_START_UNIX a path
 * as seen from the container's root, with WARDER_START_ABSTRACT an abstract name without its
 * first NUL. A socket without any name is judged by family, with warder_decide_network(). `a` has
 * the families of unix sockets and nothing else.
 * Returns 1 when the verdict is to allow it, by a rule that speaks of its name, of a stack in
 * every layer: what opens the way to a socket of the host.
 */
WARDER_ENGINE int warder_decide_unix(const struct warder_image *img, __u32 pr,
				     const struct warder_text *text, __u32 off, __u32 len,
				     __u32 start, const struct warder_address *a, __u32 op,
				     struct warder_verdict *v)
{
	int named = warder_layer_unix(img, pr, text, off, len, start, a, op, v);

	WARDER_JOIN_LAYERS(img, pr, v,
			   named &= warder_join_unix(img, text, WARDER_PAIR(off, len),
						     WARDER_PAIR(pr, WARDER_UNIX_ASK(start, op)),
						     v));
	return named;
}

WARDER_ENGINE void warder_layer_net_unreachable(const struct warder_image *img, __u32 pr,
						__u32 families, __u32 op, struct warder_verdict *v)
{
	warder_verdict_allow(v);
	if (warder_net_is_trivial(img, pr, families))
		return;
	warder_verdict_deny(v, WARDER_WHY_UNREACHABLE, WARDER_EACCES);
	v->access = op;
	warder_verdict_finish(img, pr, v);
}

WARDER_ENGINE_GLOBAL int warder_join_net_unreachable(const struct warder_image *img, __u32 pr,
						     __u32 families, __u32 op,
						     struct warder_verdict *v)
{
	struct warder_verdict w;

	if (!img || !v)
		return 0;
	warder_layer_net_unreachable(img, pr, families, op, &w);
	return warder_verdict_join(img, pr, v, &w);
}

/* A socket of these families whose address or path nobody can tell in this container. */
WARDER_ENGINE void warder_decide_net_unreachable(const struct warder_image *img, __u32 pr,
						 __u32 families, __u32 op,
						 struct warder_verdict *v)
{
	warder_layer_net_unreachable(img, pr, families, op, v);
	WARDER_JOIN_LAYERS(img, pr, v, warder_join_net_unreachable(img, pr, families, op, v));
}

#endif
