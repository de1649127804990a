// SPDX-License-Identifier: LGPL-2.1-or-later
/* Rules that can never decide anything because others match first all that they match. Names are
 * compared while the automaton is built (policy_image.c), switches in policy_profile.c; here the
 * tables, entry by entry: what only several together cover is not found. */
#include <string.h>

#include "cleanup.h"
#include "policy_internal.h"

/* Bits of addresses up to the prefix. */
static bool same_prefix(const __u8 *a, const __u8 *b, unsigned prefix)
{
	unsigned whole = prefix / 8, rest = prefix % 8;

	return !memcmp(a, b, whole) && (!rest || !((a[whole] ^ b[whole]) >> (8 - rest)));
}

static bool net_covers(const struct policy *p, size_t i, size_t k)
{
	const struct warder_net_rule *a = &p->net[i], *b = &p->net[k];
	/* The right to make a socket comes with the others. */
	__u32 ops = b->ops & ~(__u32)WARDER_NET_CREATE;

	return ops && !(ops & ~a->ops) && !(b->families & ~a->families) &&
	       (!a->protocols || (b->protocols && !(b->protocols & ~a->protocols))) &&
	       a->port_first <= b->port_first && a->port_last >= b->port_last &&
	       a->prefix <= b->prefix && same_prefix(a->addr, b->addr, a->prefix);
}

static bool device_covers(const struct policy *p, size_t i, size_t k)
{
	const struct warder_device_rule *a = &p->device[i], *b = &p->device[k];

	return !(b->ops & ~a->ops) && (!a->type || a->type == b->type) &&
	       (a->major == WARDER_DEVICE_ANY || a->major == b->major) &&
	       (a->minor == WARDER_DEVICE_ANY || a->minor == b->minor);
}

static bool peer_covers(const struct policy *p, size_t i, size_t k)
{
	const struct warder_peer_rule *a = &p->peer[i], *b = &p->peer[k];
	bool own = a->peer == WARDER_PEER_ANY || a->peer == WARDER_PEER_CONTAINER;

	if (a->class_ != b->class_ || (b->ops & ~a->ops))
		return false;
	return (own && b->peer <= WARDER_PEER_CONTAINER) ||
	       (a->peer == b->peer && !memcmp(a->name, b->name, sizeof(a->name)));
}

struct table {
	size_t count;
	const void *entry;
	size_t size, rule; /* of an entry; offset of its rule's number */
	bool (*covers)(const struct policy *, size_t, size_t);
};

static const struct policy_rule *entry_rule(const struct policy *p, const struct table *t, size_t i)
{
	__u16 n;

	memcpy(&n, (const char *)t->entry + i * t->size + t->rule, sizeof(n));
	return &p->rule[n - 1];
}

/* The rule that decides all of entry k before k's own does. */
static const struct policy_rule *entry_shadow(const struct policy *p, const struct table *t,
					      size_t k)
{
	const struct policy_rule *b = entry_rule(p, t, k);

	for (size_t i = 0; i < t->count; i++) {
		const struct policy_rule *a = entry_rule(p, t, i);

		if (a == b || !(a->deny > b->deny || (a->deny == b->deny && i < k)))
			continue;
		/* It must hold wherever b does. */
		if (a->in != b->in && (a->in || !a->deny))
			continue;
		if (t->covers(p, i, k))
			return a;
	}
	return NULL;
}

void report_shadow(struct policy_diags *diags, const struct policy_rule *r,
		   const struct policy_rule *by)
{
	diag_add(diags, r->file, r->line, r->column, 0,
		 "this %s rule can never decide anything: the %s rule at %s:%u matches all "
		 "that it matches%s",
		 class_name(r->class_), class_name(by->class_), by->file, by->line,
		 by->deny && !r->deny ? ", and deny wins" : "");
}

void report_table_shadows(const struct policy *p, struct policy_diags *diags)
{
	const struct table tables[] = {
		{ p->nets, p->net, sizeof(p->net[0]), offsetof(struct warder_net_rule, rule),
		  net_covers },
		{ p->devices, p->device, sizeof(p->device[0]),
		  offsetof(struct warder_device_rule, rule), device_covers },
		{ p->peers, p->peer, sizeof(p->peer[0]), offsetof(struct warder_peer_rule, rule),
		  peer_covers },
	};

	for (size_t n = 0; n < ARRAY_SIZE(tables); n++) {
		const struct table *t = &tables[n];

		/* A rule's entries follow each other. */
		for (size_t k = 0, end; k < t->count; k = end) {
			const struct policy_rule *r = entry_rule(p, t, k), *by = NULL;
			bool all = !r->included && !r->broken;

			for (end = k; end < t->count && entry_rule(p, t, end) == r; end++) {
				const struct policy_rule *one = entry_shadow(p, t, end);

				all &= one != NULL;
				by = by ? by : one;
			}
			if (all)
				report_shadow(diags, r, by);
		}
	}
}
