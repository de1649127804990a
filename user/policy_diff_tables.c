// SPDX-License-Identifier: LGPL-2.1-or-later
/* Differences in what the image holds as tables: network, unix sockets, devices, peers. Each
 * is decided at every point where the answer of either policy can change. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "policy_diff.h"
#include "policy_internal.h"
#include "warder_decide.h"

/* ------------------------------------------------------------------- network */

struct points {
	__u8 (*addr)[16];
	size_t addrs;
	__u32 *port;
	size_t ports;
};

static const struct warder_net_rule *net_rule(const struct warder_image *img, __u32 i)
{
	return (const struct warder_net_rule *)&img->b[img->h.net.offset + i * sizeof(struct warder_net_rule)];
}

static int compare_addr(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

static int compare_port(const void *a, const void *b)
{
	__u32 x = *(const __u32 *)a, y = *(const __u32 *)b;

	return x < y ? -1 : x > y;
}

/* The first address behind the prefix; false if there is none. */
static bool addr_after(const __u8 addr[16], unsigned prefix, __u8 ret[16])
{
	if (!prefix)
		return false;
	memcpy(ret, addr, 16);
	for (unsigned bit = prefix; bit < 128; bit++)
		ret[bit / 8] &= (__u8)~(0x80 >> bit % 8);
	for (unsigned bit = prefix; bit-- > 0;) {
		ret[bit / 8] ^= (__u8)(0x80 >> bit % 8);
		if (ret[bit / 8] & 0x80 >> bit % 8)
			return true;
	}
	return false;
}

static int points_fill(struct diff *d, struct points *p)
{
	static const __u8 fixed[][16] = { { 0 },
					  { [15] = 1 },
					  { [10] = 0xff, [11] = 0xff },
					  { [10] = 0xff, [11] = 0xff, [15] = 1 },
					  { [10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1 } };
	size_t max = 2u * (d->img[0]->h.net.count + d->img[1]->h.net.count) + 8, n = 0;

	p->addr = calloc(max, 16);
	p->port = calloc(max, sizeof(*p->port));
	if (!p->addr || !p->port)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		memcpy(p->addr[p->addrs++], fixed[i], 16);
	p->port[p->ports++] = 0;
	for (unsigned k = 0; k < 2; k++)
		for (__u32 i = 0; i < d->img[k]->h.net.count; i++) {
			const struct warder_net_rule *r = net_rule(d->img[k], i);

			memcpy(p->addr[p->addrs++], r->addr, 16);
			if (addr_after(r->addr, r->prefix, p->addr[p->addrs]))
				p->addrs++;
			p->port[p->ports++] = r->port_first;
			if (r->port_last < 65535)
				p->port[p->ports++] = r->port_last + 1u;
		}
	qsort(p->addr, p->addrs, 16, compare_addr);
	qsort(p->port, p->ports, sizeof(*p->port), compare_port);
	for (size_t i = 0; i < p->addrs; i++)
		if (!n || memcmp(p->addr[n - 1], p->addr[i], 16))
			memmove(p->addr[n++], p->addr[i], 16);
	p->addrs = n;
	n = 0;
	for (size_t i = 0; i < p->ports; i++)
		if (!n || p->port[n - 1] != p->port[i])
			p->port[n++] = p->port[i];
	p->ports = n;
	return 0;
}

static void network_point(struct diff *d, struct policy_request *r)
{
	struct warder_verdict v[2];

	/* Of the container's own: of the host's nothing without a name is open. */
	if (r->address.families == WARDER_FAM_UNIX && (r->access & (WARDER_NET_CONNECT | WARDER_NET_SEND)))
		r->peer = WARDER_PEER_SAME;
	for (unsigned k = 0; k < 2; k++)
		warder_decide_network(d->img[k], d->pr[k], &r->address, r->access, &v[k]);
	if (v[0].action != v[1].action || v[0].err != v[1].err || v[0].report != v[1].report)
		diff_request(d, r, policy_word(WARDER_CLASS_NETWORK, r->access));
	d->evaluations++;
}

static void network_ip(struct diff *d, const struct points *p, struct policy_request *r)
{
	for (size_t i = 0; i < p->addrs && !d->err; i++) {
		memcpy(r->address.addr, p->addr[i], 16);
		/* An IPv6 socket that talks to a mapped address is judged as IPv4. */
		if (warder_net_is_mapped(&r->address) != (r->address.families == WARDER_FAM_INET))
			continue;
		for (size_t j = 0; j < p->ports; j++) {
			r->address.port = (__u16)p->port[j];
			if (d->evaluations > DIFF_EVALUATIONS_MAX) {
				d->out->incomplete = true;
				return;
			}
			network_point(d, r);
		}
		if (r->access == WARDER_NET_CREATE)
			break;
	}
}

void diff_network(struct diff *d)
{
	static const int af[WARDER_FAM_BITS] = { AF_INET,   AF_INET6, AF_UNIX,	AF_NETLINK,
						 AF_PACKET, AF_VSOCK, AF_UNSPEC };
	struct points p = { 0 };

	if (points_fill(d, &p))
		d->err = -ENOMEM;
	for (unsigned f = 0; f < WARDER_FAM_BITS && !d->err; f++)
		for (unsigned op = 0; op < WARDER_NET_BITS && !d->err; op++) {
			struct policy_request r = { .class_ = WARDER_CLASS_NETWORK,
						    .access = 1u << op };

			r.address.families = 1u << f;
			r.address.family = (__u16)af[f];
			if (!((1u << f) & WARDER_FAM_IP)) {
				network_point(d, &r);
				continue;
			}
			for (unsigned proto = 0; proto < WARDER_PROTO_BITS; proto++) {
				r.address.protocols = 1u << proto;
				network_ip(d, &p, &r);
			}
		}
	free(p.addr);
	free(p.port);
}

/* --------------------------------------------------------------------- peers */

/* Everybody whom rules of either policy tell from others: peers of requests. */
struct peers {
	struct policy_request *item;
	size_t count;
};

/* Names that rules of either policy mention, and one that none does, first. */
static size_t peer_names(const struct diff *d, enum warder_peer which,
			 const char *ret[2 * WARDER_PEER_RULES_MAX + 1])
{
	static const char *const others[] = { "other", "another", "other-1", "other-2", "other-3" };
	size_t n = 1;

	for (unsigned k = 0; k < 2; k++)
		for (__u32 i = 0; i < d->img[k]->h.peer.count; i++) {
			const struct warder_peer_rule *r =
				(const struct warder_peer_rule *)&d->img[k]
					->b[d->img[k]->h.peer.offset + i * sizeof(*r)];
			size_t j = 1;

			while (j < n && strcmp(ret[j], r->name))
				j++;
			if (j == n && r->peer == which)
				ret[n++] = r->name;
		}
	ret[0] = NULL;
	for (size_t o = 0; o < ARRAY_SIZE(others) && !ret[0]; o++) {
		size_t j = 1;

		while (j < n && strcmp(ret[j], others[o]))
			j++;
		if (j == n)
			ret[0] = others[o];
	}
	if (!ret[0])
		ret[0] = "no-name-of-a-rule";
	return n;
}

static void peers_fill(struct diff *d, struct peers *ret)
{
	static const enum warder_peer plain[] = { WARDER_PEER_SAME, WARDER_PEER_CONTAINER,
						  WARDER_PEER_HOST };
	const char *name[2 * WARDER_PEER_RULES_MAX + 1], *policy[2 * WARDER_PEER_RULES_MAX + 1];
	size_t names = peer_names(d, WARDER_PEER_NAME, name);
	size_t policies = peer_names(d, WARDER_PEER_POLICY, policy);

	ret->count = 0;
	ret->item = calloc(ARRAY_SIZE(plain) + names * policies, sizeof(*ret->item));
	if (!ret->item) {
		d->err = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
		ret->item[ret->count++].peer = plain[i];
	for (size_t i = 0; i < names * policies; i++) {
		size_t n = i / policies, p = i % policies;
		struct policy_request *r = &ret->item[ret->count++];

		/* By one name, unless rules mention both. */
		r->peer = n || !p ? WARDER_PEER_NAME : WARDER_PEER_POLICY;
		r->peer_name = n || !p ? name[n] : policy[p];
		r->peer_policy = n && p ? policy[p] : NULL;
	}
}

void diff_peers(struct diff *d)
{
	static const struct {
		__u32 class_;
		unsigned bits;
	} classes[] = { { WARDER_CLASS_PTRACE, 2 }, { WARDER_CLASS_SIGNAL, 64 },
			{ WARDER_CLASS_IPC, 4 } };
	struct peers peers;

	peers_fill(d, &peers);
	for (size_t i = 0; i < peers.count; i++)
		for (size_t c = 0; c < ARRAY_SIZE(classes); c++)
			for (unsigned bit = 0; bit < classes[c].bits && !d->err; bit++) {
				struct policy_request r = peers.item[i];

				r.class_ = classes[c].class_;
				r.access = r.class_ == WARDER_CLASS_SIGNAL ? bit + 1 : 1u << bit;
				diff_request(d, &r, policy_word(r.class_, 1ull << bit));
			}
	free(peers.item);
}

/* ------------------------------------------------------------ unix by name */

struct unix_walk {
	struct diff *d;
	const struct peers *peers;
	bool abstract;
	__u32 (*seen)[2]; /* pairs of accept records: the same answers to everything */
	size_t seen_count, seen_cap;
};

/* Whose the socket is: ipc rules speak of that, and were compared; where they agree, the name is asked. */
static void unix_peer(struct diff *d, struct policy_request *r, const struct policy_request *peer)
{
	struct policy_request ipc = *peer;
	struct warder_verdict v[2];

	ipc.class_ = WARDER_CLASS_IPC;
	ipc.access = WARDER_IPC_UNIX;
	diff_decide(d, &ipc, v);
	if (d->err || v[0].action != v[1].action)
		return;
	r->peer = peer->peer;
	r->peer_name = peer->peer_name;
	r->peer_policy = peer->peer_policy;
	if (r->peer == WARDER_PEER_HOST)
		r->peer = WARDER_PEER_ANY; /* what a request means that names none */
	diff_request(d, r, policy_word(WARDER_CLASS_NETWORK, r->access));
}

static int unix_visit(struct product *p, __u32 old_state, __u32 new_state, void *arg)
{
	struct unix_walk *w = arg;
	struct diff *d = w->d;
	const __u32 at[2] = { warder_accept_at(d->img[0], old_state),
			      warder_accept_at(d->img[1], new_state) };
	char name[WARDER_PATH_MAX];
	__u32 spoken = 0;

	for (unsigned k = 0; k < 2; k++)
		spoken |= WARDER_ACCEPT_FIELD(d->img[k], at[k], allow) |
			  WARDER_ACCEPT_FIELD(d->img[k], at[k], deny);
	for (size_t i = 0; i < w->seen_count && spoken; i++)
		if (w->seen[i][0] == at[0] && w->seen[i][1] == at[1])
			spoken = 0;
	if (!spoken || !product_name(p, name, sizeof(name)))
		return 0;
	/* Abstract names are shorter than paths. */
	if (w->abstract && strlen(name) > 107)
		return 0;
	if (vector_grow(&w->seen, w->seen_count, &w->seen_cap, sizeof(*w->seen)))
		return -ENOMEM;
	memcpy(w->seen[w->seen_count++], at, sizeof(at));
	/* Names that no rule speaks of were compared with the families. */
	for (unsigned op = 1; op < WARDER_NET_BITS && !d->err; op++) {
		struct policy_request r = { .class_ = WARDER_CLASS_NETWORK, .access = 1u << op,
					    .abstract = w->abstract, .path = name,
					    .address = { .families = WARDER_FAM_UNIX, .family = AF_UNIX } };

		if (!(spoken & r.access))
			continue;
		if (!(r.access & (WARDER_NET_CONNECT | WARDER_NET_SEND)))
			diff_request(d, &r, policy_word(WARDER_CLASS_NETWORK, r.access));
		else
			for (size_t i = 0; i < w->peers->count && !d->err; i++)
				unix_peer(d, &r, &w->peers->item[i]);
	}
	return d->err;
}

void diff_unix(struct diff *d)
{
	struct peers peers;
	struct unix_walk w = { .d = d, .peers = &peers };

	peers_fill(d, &peers);
	for (unsigned i = 0; i < 2 && !d->err; i++) {
		__u32 start = i ? WARDER_START_ABSTRACT : WARDER_START_UNIX;
		int err;

		w.abstract = i;
		w.seen_count = 0;
		err = product_walk(d->img[0], d->img[1], warder_start(d->img[0], d->pr[0], start),
				   warder_start(d->img[1], d->pr[1], start), !i, unix_visit, &w,
				   &d->out->incomplete);
		if (!d->err)
			d->err = err;
	}
	free(w.seen);
	free(peers.item);
}

/* ------------------------------------------------------------------- devices */

static size_t device_numbers(const struct diff *d, bool minor, __u32 *ret)
{
	size_t n = 0;

	for (unsigned k = 0; k < 2; k++)
		for (__u32 i = 0; i < d->img[k]->h.device.count; i++) {
			const struct warder_device_rule *r =
				(const struct warder_device_rule *)&d->img[k]
					->b[d->img[k]->h.device.offset + i * sizeof(*r)];
			__u32 v = minor ? r->minor : r->major;
			size_t j = 0;

			while (j < n && ret[j] != v)
				j++;
			if (j == n && v != WARDER_DEVICE_ANY)
				ret[n++] = v;
		}
	/* And one that no rule names. */
	for (__u32 v = 241;; v++) {
		size_t j = 0;

		while (j < n && ret[j] != v)
			j++;
		if (j == n) {
			ret[n++] = v;
			return n;
		}
	}
}

void diff_devices(struct diff *d)
{
	__u32 major[2 * WARDER_DEVICE_RULES_MAX + 1], minor[2 * WARDER_DEVICE_RULES_MAX + 1];
	size_t majors = device_numbers(d, false, major), minors = device_numbers(d, true, minor);
	static const __u32 types[] = { WARDER_DEVICE_CHAR, WARDER_DEVICE_BLOCK };

	for (unsigned i = 0; i < majors * minors * 2 * WARDER_DEV_BITS * 2 && !d->err; i++) {
		unsigned below = i & 1, op = i >> 1 & 1, type = i >> 2 & 1, n = i >> 3;
		struct policy_request r = { .class_ = WARDER_CLASS_DEVICE, .access = 1u << op,
					    .device_type = types[type],
					    .device_major = major[n % majors],
					    .device_minor = minor[n / majors],
					    .path = below ? "/dev/node" : "/node" };

		diff_request(d, &r, policy_word(WARDER_CLASS_DEVICE, r.access));
	}
}
