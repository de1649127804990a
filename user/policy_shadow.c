// SPDX-License-Identifier: LGPL-2.1-or-later
/* Rules that can never decide anything because others, alone or together, match first all that they
 * match. Names are compared while the automaton is built (policy_image.c), switches in policy_profile.c,
 * names of mounts in policy_shadow_target.c; here the tables. */
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy_internal.h"
#include "warder_decide.h"

/* ------------------------------------------------------------------- the list */

void shadows_add(struct shadows *s, uint32_t rule)
{
	for (size_t i = 0; rule && i <= SHADOWS_MAX; i++) {
		if (s->rule[i] == rule)
			return;
		if (s->rule[i])
			continue;
		s->rule[i] = rule;
		return;
	}
}

static int compare_rule(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* "the file rules at a:3 and a:4 together match" */
void report_shadow(struct policy_diags *diags, const struct policy *p, const struct policy_rule *r,
		   struct shadows *by)
{
	bool denies = false, more;
	char list[512] = "";
	size_t n = 0, used = 0;

	while (n <= SHADOWS_MAX && by->rule[n])
		n++;
	more = n > SHADOWS_MAX;
	qsort(by->rule, n, sizeof(*by->rule), compare_rule);
	for (size_t i = 0; i < n; i++)
		denies |= p->rule[by->rule[i] - 1].deny;
	for (size_t i = 0; i < n - more && used < sizeof(list); i++) {
		const struct policy_rule *one = &p->rule[by->rule[i] - 1];

		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s:%u",
					 !i ? "" : i == n - 1 ? " and " : ", ", one->file, one->line);
	}
	diag_add(diags, r->file, r->line, r->column, 0,
		 "this %s rule can never decide anything: the %s rule%s at %s%s %s all that it matches%s",
		 class_name(r->class_), class_name(p->rule[by->rule[0] - 1].class_), n > 1 ? "s" : "",
		 list, more ? " and others" : "", n > 1 ? "together match" : "matches",
		 denies && !r->deny ? ", and deny wins" : "");
}

/* -------------------------------------------------------------------- points */

/*
 * Entries are compared at points: one operation, and what else a table divides into few parts. An
 * entry is covered if at each of its points others are in its way.
 */
struct table {
	size_t count;
	const void *entry;
	size_t size, rule; /* of an entry; offset of its rule's number */
	/* Number of points; does entry k speak of one? */
	unsigned points;
	bool (*speaks)(const struct policy *, size_t k, unsigned point);
	/* Does entry i decide all of k at a point? */
	bool (*covers)(const struct policy *, size_t i, size_t k, unsigned point);
};

/* Bits of addresses up to the prefix. */
static bool same_prefix(const __u8 *a, const __u8 *b, unsigned prefix)
{
	unsigned whole = prefix / 8, rest = prefix % 8;

	return !memcmp(a, b, whole) && (!rest || !((a[whole] ^ b[whole]) >> (8 - rest)));
}

/* By operation, family and protocol. */
#define NET_POINTS (WARDER_NET_BITS * WARDER_FAM_BITS * WARDER_PROTO_BITS)

static __u32 net_op(unsigned point)
{
	return 1u << point % WARDER_NET_BITS;
}

static __u32 net_family(unsigned point)
{
	return 1u << point / WARDER_NET_BITS % WARDER_FAM_BITS;
}

/* The right to make a socket comes with the others, and what refuses it leaves nothing of them. */
static bool net_has(const struct warder_net_rule *e, unsigned point)
{
	unsigned protocol = point / WARDER_NET_BITS / WARDER_FAM_BITS;

	if (net_op(point) == WARDER_NET_CREATE &&
	    (!e->deny || e->prefix || e->port_first || e->port_last != UINT16_MAX))
		return false;
	return (e->ops & net_op(point)) && (e->families & net_family(point)) &&
	       (!e->protocols || (e->protocols >> protocol & 1));
}

static bool net_speaks(const struct policy *p, size_t k, unsigned point)
{
	/* Families without protocols are one point. */
	if (!(net_family(point) & WARDER_FAM_IP) && point >= WARDER_NET_BITS * WARDER_FAM_BITS)
		return false;
	return net_has(&p->net[k], point);
}

/* Of an entry for any address what there is of it at a point: all IPv4 addresses are below one prefix. */
#define IPV4_PREFIX 96
static const __u8 ipv4[16] = { [10] = 0xff, [11] = 0xff };

static bool is_ipv4(unsigned point)
{
	return net_family(point) == WARDER_FAM_INET;
}

static unsigned net_prefix(const struct warder_net_rule *e, unsigned point)
{
	return is_ipv4(point) && e->prefix < IPV4_PREFIX ? IPV4_PREFIX : e->prefix;
}

static const __u8 *net_addr(const struct warder_net_rule *e, unsigned point)
{
	return is_ipv4(point) && e->prefix < IPV4_PREFIX ? ipv4 : e->addr;
}

static bool net_covers(const struct policy *p, size_t i, size_t k, unsigned point)
{
	const struct warder_net_rule *a = &p->net[i], *b = &p->net[k];
	unsigned prefix = net_prefix(a, point);

	return net_has(a, point) && a->port_first <= b->port_first && a->port_last >= b->port_last &&
	       prefix <= net_prefix(b, point) && same_prefix(net_addr(a, point), net_addr(b, point), prefix);
}

static bool device_speaks(const struct policy *p, size_t k, unsigned point)
{
	const struct warder_device_rule *b = &p->device[k];
	__u32 type = point & 1 ? WARDER_DEVICE_BLOCK : WARDER_DEVICE_CHAR;

	return (b->ops >> (point >> 1) & 1) && (!b->type || b->type == type);
}

static bool device_covers(const struct policy *p, size_t i, size_t k, unsigned point)
{
	const struct warder_device_rule *a = &p->device[i], *b = &p->device[k];

	return device_speaks(p, i, point) &&
	       (a->major == WARDER_DEVICE_ANY || a->major == b->major) &&
	       (a->minor == WARDER_DEVICE_ANY || a->minor == b->minor);
}

/* By operation; for peers of the own container also whether the profile is another. */
static bool peer_is_own(const struct warder_peer_rule *e)
{
	return e->peer <= WARDER_PEER_CONTAINER;
}

static bool peer_speaks(const struct policy *p, size_t k, unsigned point)
{
	const struct warder_peer_rule *b = &p->peer[k];

	if (!(b->ops >> (point >> 1) & 1))
		return false;
	return !(point & 1) || (peer_is_own(b) && b->peer != WARDER_PEER_SAME);
}

static bool peer_covers(const struct policy *p, size_t i, size_t k, unsigned point)
{
	const struct warder_peer_rule *a = &p->peer[i], *b = &p->peer[k];

	if (a->class_ != b->class_ || !peer_speaks(p, i, point))
		return false;
	return (peer_is_own(a) && peer_is_own(b)) ||
	       (a->peer == b->peer && !memcmp(a->name, b->name, sizeof(a->name)));
}

static const struct policy_rule *entry_rule(const struct policy *p, const struct table *t, size_t i)
{
	__u16 n;

	memcpy(&n, (const char *)t->entry + i * t->size + t->rule, sizeof(n));
	return &p->rule[n - 1];
}

/* Does entry i come before entry k wherever k holds? */
static bool entry_precedes(const struct policy *p, const struct table *t, size_t i, size_t k)
{
	const struct policy_rule *a = entry_rule(p, t, i), *b = entry_rule(p, t, k);

	if (a == b || !(a->deny > b->deny || (a->deny == b->deny && i < k)))
		return false;
	return a->in == b->in || (!a->in && a->deny);
}

/* ------------------------------------------------- addresses and ports together */

struct block {
	const struct policy *p;
	const struct table *t;
	size_t k;
	unsigned point;
	struct shadows *by;
};

/* Are ports first..last of a whole block of addresses decided by entries for it or a wider one? */
static bool block_ports(const struct block *b, const __u8 addr[16], unsigned prefix)
{
	const struct warder_net_rule *e = &b->p->net[b->k];
	unsigned next = e->port_first;

	while (next <= e->port_last) {
		size_t best = b->t->count;

		for (size_t i = 0; i < b->t->count; i++) {
			const struct warder_net_rule *a = &b->p->net[i];

			if (net_prefix(a, b->point) <= prefix && a->port_first <= next && a->port_last >= next &&
			    (best == b->t->count || a->port_last > b->p->net[best].port_last) &&
			    net_has(a, b->point) &&
			    same_prefix(net_addr(a, b->point), addr, net_prefix(a, b->point)) &&
			    entry_precedes(b->p, b->t, i, b->k))
				best = i;
		}
		if (best == b->t->count)
			return false;
		shadows_add(b->by, b->p->net[best].rule);
		next = b->p->net[best].port_last + 1u;
	}
	return true;
}

/* Is there an entry for a part of the block? */
static bool block_is_divided(const struct block *b, const __u8 addr[16], unsigned prefix)
{
	for (size_t i = 0; i < b->t->count; i++) {
		const struct warder_net_rule *a = &b->p->net[i];

		if (net_prefix(a, b->point) > prefix && net_has(a, b->point) &&
		    same_prefix(net_addr(a, b->point), addr, prefix) &&
		    entry_precedes(b->p, b->t, i, b->k))
			return true;
	}
	return false;
}

/* No IPv6 request has an IPv4 address. But what refuses one refuses a socket that listens on every address,
 * too: that is decided by the rest of a wider rule. */
static bool block_is_empty(const struct block *b, const __u8 addr[16], unsigned prefix)
{
	const struct warder_net_rule *e = &b->p->net[b->k];
	bool every = e->deny && (net_op(b->point) & (WARDER_NET_BIND | WARDER_NET_LISTEN | WARDER_NET_ACCEPT));

	return !is_ipv4(b->point) && prefix >= IPV4_PREFIX && same_prefix(addr, ipv4, IPV4_PREFIX) &&
	       (!every || e->prefix < IPV4_PREFIX);
}

/* Both halves of it, where entries tell them apart; each level is a bit of the address. */
static bool block_covered(const struct block *b, const __u8 addr[16], unsigned prefix)
{
	struct shadows before = *b->by;
	__u8 half[16];

	if (block_is_empty(b, addr, prefix))
		return true;
	if (block_ports(b, addr, prefix))
		return true;
	*b->by = before;
	if (prefix >= 128 || !block_is_divided(b, addr, prefix))
		return false;
	memcpy(half, addr, sizeof(half));
	if (!block_covered(b, half, prefix + 1))
		return false;
	half[prefix / 8] |= (__u8)(0x80 >> prefix % 8);
	return block_covered(b, half, prefix + 1);
}

/* -------------------------------------------------------------------- reports */

static bool point_covered(const struct policy *p, const struct table *t, size_t k, unsigned point,
			  struct shadows *by)
{
	struct block b = { .p = p, .t = t, .k = k, .point = point, .by = by };

	for (size_t i = 0; i < t->count; i++)
		if (t->covers(p, i, k, point) && entry_precedes(p, t, i, k)) {
			shadows_add(by, (uint32_t)(entry_rule(p, t, i) - p->rule) + 1);
			return true;
		}
	return t->entry == p->net && net_op(point) != WARDER_NET_CREATE && block_covered(&b, net_addr(&p->net[k], point), net_prefix(&p->net[k], point));
}

/* One rule that covers all of the entry is all that needs to be named. */
static bool entry_covered(const struct policy *p, const struct table *t, size_t k, struct shadows *by)
{
	struct shadows found = *by;
	bool spoken = false;

	for (size_t i = 0; i < t->count; i++) {
		bool all = entry_precedes(p, t, i, k);

		for (unsigned point = 0; point < t->points && all; point++)
			if (t->speaks(p, k, point)) {
				spoken = true;
				all = t->covers(p, i, k, point);
			}
		if (all && spoken) {
			shadows_add(by, (uint32_t)(entry_rule(p, t, i) - p->rule) + 1);
			return true;
		}
	}
	spoken = false;
	for (unsigned point = 0; point < t->points; point++) {
		if (!t->speaks(p, k, point))
			continue;
		spoken = true;
		if (!point_covered(p, t, k, point, &found))
			return false;
	}
	*by = found;
	return spoken;
}

void report_table_shadows(const struct policy *p, struct policy_diags *diags)
{
	const struct table tables[] = {
		{ p->nets, p->net, sizeof(p->net[0]), offsetof(struct warder_net_rule, rule), NET_POINTS,
		  net_speaks, net_covers },
		{ p->devices, p->device, sizeof(p->device[0]), offsetof(struct warder_device_rule, rule),
		  2 * WARDER_DEV_BITS, device_speaks, device_covers },
		{ p->peers, p->peer, sizeof(p->peer[0]), offsetof(struct warder_peer_rule, rule), 128,
		  peer_speaks, peer_covers },
	};

	for (size_t n = 0; n < ARRAY_SIZE(tables); n++) {
		const struct table *t = &tables[n];

		/* A rule's entries follow each other. */
		for (size_t k = 0, end; k < t->count; k = end) {
			const struct policy_rule *r = entry_rule(p, t, k);
			struct shadows by = { { 0 } };
			bool all = !r->included && !r->broken;

			for (end = k; end < t->count && entry_rule(p, t, end) == r; end++)
				all = all && entry_covered(p, t, end, &by);
			/* Of no rule, where nothing of it ever happens. */
			if (all && by.rule[0])
				report_shadow(diags, p, r, &by);
		}
	}
}
