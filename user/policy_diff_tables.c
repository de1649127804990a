// SPDX-License-Identifier: LGPL-2.1-or-later
/* Differences in what the image holds as tables: network, devices, peers, mounts, overrides. Each
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

	for (unsigned k = 0; k < 2; k++)
		warder_decide_network(d->img[k], d->pr[k], &r->address, r->access, &v[k]);
	diff_verdicts(d, r, policy_word(WARDER_CLASS_NETWORK, r->access), v, NULL);
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

/* ------------------------------------------------------------ unix by name */

struct unix_walk {
	struct diff *d;
	bool abstract;
	struct warder_verdict table[2][WARDER_NET_BITS];
};

/* 1: a rule allows it by name. */
static int unix_verdict(const struct warder_image *img, const struct warder_verdict *table,
			__u32 at, __u32 op, struct warder_verdict *v)
{
	__u32 by;

	*v = *table;
	if (WARDER_ACCEPT_FIELD(img, at, deny) & op) {
		by = (__u32)warder_attribute(img, at, op, 1);
		warder_verdict_allow(v);
		warder_verdict_deny(v, WARDER_WHY_RULE, by & 0xff);
		v->rule = by >> 8;
	} else if ((WARDER_ACCEPT_FIELD(img, at, allow) & op) &&
		   !(v->action == WARDER_DENY && v->why == WARDER_WHY_RULE)) {
		warder_verdict_allow(v);
		v->rule = (__u32)warder_attribute(img, at, op, 0) >> 8;
		v->report = (WARDER_ACCEPT_FIELD(img, at, audit) & op) != 0;
		return 1;
	}
	return 0;
}

static int unix_visit(struct product *p, __u32 old_state, __u32 new_state, void *arg)
{
	struct unix_walk *w = arg;
	struct diff *d = w->d;
	const __u32 at[2] = { warder_accept_at(d->img[0], old_state),
			      warder_accept_at(d->img[1], new_state) };
	char name[WARDER_PATH_MAX];

	/* Names that no rule speaks of were compared with the families. */
	for (unsigned op = 1; op < WARDER_NET_BITS && !d->err; op++) {
		struct policy_request r = { .class_ = WARDER_CLASS_NETWORK, .access = 1u << op,
					    .abstract = w->abstract };
		struct warder_verdict v[2], host[2];
		bool spoken = false, peer = r.access & (WARDER_NET_CONNECT | WARDER_NET_SEND);

		for (unsigned k = 0; k < 2; k++) {
			int named;

			spoken |= ((WARDER_ACCEPT_FIELD(d->img[k], at[k], allow) |
				    WARDER_ACCEPT_FIELD(d->img[k], at[k], deny)) &
				   r.access) != 0;
			named = unix_verdict(d->img[k], &w->table[k][op], at[k], r.access, &v[k]);
			host[k] = v[k];
			warder_unix_close(&host[k], 1, (__u32)named);
		}
		if (!spoken)
			continue;
		r.address.families = WARDER_FAM_UNIX;
		r.path = product_name(p, name, sizeof(name));
		/* The container's own; where those stay as they are, of the host what is named. */
		r.peer = peer ? WARDER_PEER_SAME : WARDER_PEER_ANY;
		if (r.path)
			diff_verdicts(d, &r, policy_word(WARDER_CLASS_NETWORK, r.access), v, NULL);
		r.peer = WARDER_PEER_ANY;
		if (r.path && peer && v[0].action == v[1].action)
			diff_verdicts(d, &r, policy_word(WARDER_CLASS_NETWORK, r.access), host, NULL);
	}
	return d->err;
}

void diff_unix(struct diff *d)
{
	struct unix_walk w = { .d = d };
	struct warder_address a = { .families = WARDER_FAM_UNIX, .family = AF_UNIX };

	for (unsigned k = 0; k < 2; k++)
		for (unsigned op = 0; op < WARDER_NET_BITS; op++)
			warder_net_table(d->img[k], d->pr[k], &a, 1u << op, &w.table[k][op]);
	for (unsigned i = 0; i < 2 && !d->err; i++) {
		__u32 start = i ? WARDER_START_ABSTRACT : WARDER_START_UNIX;
		int err;

		w.abstract = i;
		err = product_walk(d->img[0], d->img[1], warder_start(d->img[0], d->pr[0], start),
				   warder_start(d->img[1], d->pr[1], start), !i, unix_visit, &w,
				   &d->out->incomplete);
		if (!d->err)
			d->err = err;
	}
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
		struct warder_verdict v[2];

		for (unsigned k = 0; k < 2; k++)
			warder_decide_device(d->img[k], d->pr[k], r.access, r.device_type,
					     r.device_major, r.device_minor,
					     below && r.access == WARDER_DEV_OPEN, &v[k]);
		diff_verdicts(d, &r, policy_word(WARDER_CLASS_DEVICE, r.access), v, NULL);
	}
}

/* --------------------------------------------------------------------- peers */

/* Names that rules of either policy mention, and the empty one for all others. */
static size_t peer_names(const struct diff *d, enum warder_peer which,
			 const char *ret[2 * WARDER_PEER_RULES_MAX + 1])
{
	size_t n = 0;

	ret[n++] = "";
	for (unsigned k = 0; k < 2; k++)
		for (__u32 i = 0; i < d->img[k]->h.peer.count; i++) {
			const struct warder_peer_rule *r =
				(const struct warder_peer_rule *)&d->img[k]
					->b[d->img[k]->h.peer.offset + i * sizeof(*r)];
			size_t j = 0;

			while (j < n && strcmp(ret[j], r->name))
				j++;
			if (j == n && r->peer == which)
				ret[n++] = r->name;
		}
	return n;
}

static void peer_point(struct diff *d, struct warder_peer_request *q, const char *who,
		       unsigned bit)
{
	struct policy_request r = { .class_ = q->class_, .access = 1u << (bit & 31) };
	struct warder_verdict v[2];
	char witness[256];
	const char *word = policy_word(q->class_, 1ull << bit);

	q->op = 1ull << bit;
	for (unsigned k = 0; k < 2; k++)
		warder_decide_peer(d->img[k], d->pr[k], q, &v[k]);
	snprintf(witness, sizeof(witness), "%s %s, %s", class_name(q->class_), word, who);
	diff_verdicts(d, &r, word, v, witness);
}

static void peer_bits(struct diff *d, struct warder_peer_request *q, const char *who)
{
	static const struct {
		__u32 class_;
		unsigned bits;
	} classes[] = { { WARDER_CLASS_PTRACE, 2 }, { WARDER_CLASS_SIGNAL, 64 },
			{ WARDER_CLASS_IPC, 4 } };

	for (size_t c = 0; c < ARRAY_SIZE(classes); c++) {
		q->class_ = classes[c].class_;
		for (unsigned bit = 0; bit < classes[c].bits && !d->err; bit++)
			peer_point(d, q, who, bit);
	}
}

void diff_peers(struct diff *d)
{
	static const struct {
		__u32 relation;
		const char *who;
	} relations[] = { { WARDER_RELATION_SAME, "same profile" },
			  { WARDER_RELATION_CONTAINER, "another profile of the container" },
			  { WARDER_RELATION_HOST, "the host" } };
	const char *name[2 * WARDER_PEER_RULES_MAX + 1], *policy[2 * WARDER_PEER_RULES_MAX + 1];
	size_t names = peer_names(d, WARDER_PEER_NAME, name);
	size_t policies = peer_names(d, WARDER_PEER_POLICY, policy);

	for (size_t i = 0; i < ARRAY_SIZE(relations); i++) {
		struct warder_peer_request q = { .relation = relations[i].relation };

		peer_bits(d, &q, relations[i].who);
	}
	for (size_t i = 0; i < names * policies && !d->err; i++) {
		struct warder_peer_request q = { .relation = WARDER_RELATION_OTHER };
		const char *n = name[i / policies], *p = policy[i % policies];
		char who[200];

		strncpy((char *)q.name, n, WARDER_NAME_SIZE - 1);
		strncpy((char *)q.policy[0], p, WARDER_NAME_SIZE - 1);
		snprintf(who, sizeof(who), "container %s under policy %s", *n ? n : "of any name",
			 *p ? p : "any");
		peer_bits(d, &q, who);
	}
}

/* -------------------------------------------------------------------- mounts */

#define MOUNT_TYPES_MAX (2 * WARDER_MOUNT_RULES_MAX + 1)
#define MOUNT_FLAGS_MAX 256

struct mount_walk {
	struct diff *d;
	char type[MOUNT_TYPES_MAX][WARDER_FSTYPE_SIZE];
	size_t types;
	__u32 flags[MOUNT_FLAGS_MAX];
	size_t flag_sets;
	__u64 (*seen)[2]; /* pairs of sets that were compared already */
	size_t seen_count, seen_cap;
	bool sources; /* the sets are of sources, not of targets */
	char witness[WARDER_PATH_MAX + 16];
};

static const struct warder_mount_rule *mount_rule(const struct warder_image *img, __u32 i)
{
	return (const struct warder_mount_rule *)&img
		->b[img->h.mount.offset + i * sizeof(struct warder_mount_rule)];
}

static void mount_points(struct mount_walk *w)
{
	__u32 used = 0;
	unsigned bits;

	strcpy(w->type[w->types++], "otherfs");
	for (unsigned k = 0; k < 2; k++)
		for (__u32 i = 0; i < w->d->img[k]->h.mount.count; i++) {
			const struct warder_mount_rule *r = mount_rule(w->d->img[k], i);
			size_t j = 0;

			used |= r->require | r->forbid;
			while (j < w->types && memcmp(w->type[j], r->type, sizeof(r->type)))
				j++;
			if (j == w->types && r->type[0])
				memcpy(w->type[w->types++], r->type, sizeof(r->type));
		}
	bits = (unsigned)__builtin_popcount(used);
	if (bits <= 8) {
		/* Every subset of the flags that rules speak of. */
		__u32 set = 0;

		do {
			w->flags[w->flag_sets++] = set;
			set = (set - used) & used;
		} while (set);
		return;
	}
	w->d->out->incomplete = true;
	w->flags[w->flag_sets++] = 0;
	w->flags[w->flag_sets++] = used;
	for (__u32 left = used; left; left &= left - 1)
		w->flags[w->flag_sets++] = left & -left;
}

/* Where the hooks know the source, one that every rule speaks of, unless sources are compared. */
static void mount_point(struct mount_walk *w, const __u64 set[2], const char *path, __u32 op,
			const char *type, __u32 flags)
{
	bool known = op == WARDER_MNT_NEW || op == WARDER_MNT_ATTACH;
	struct policy_request r = { .class_ = WARDER_CLASS_MOUNT, .access = op, .path = path,
				    .fstype = type, .flags = flags };
	struct warder_verdict v[2];

	for (unsigned k = 0; k < 2; k++) {
		struct warder_mount_request m = { .op = op, .flags = flags, .source_known = known,
						  .targets = w->sources ? ~0ull : set[k],
						  .sources = w->sources ? set[k] : ~0ull };

		if (type)
			memcpy(m.type.w, type, strlen(type));
		warder_decide_mount(w->d->img[k], w->d->pr[k], &m, &v[k]);
	}
	if (w->sources && known)
		snprintf(w->witness, sizeof(w->witness), "source %s", path);
	if (!w->sources || known)
		diff_verdicts(w->d, &r, mount_op_name(op), v, w->sources ? w->witness : NULL);
}

static int mount_visit(struct product *p, __u32 old_state, __u32 new_state, void *arg)
{
	struct mount_walk *w = arg;
	const __u32 offset = (__u32)offsetof(struct warder_accept, set);
	const __u64 set[2] = {
		image_u64(w->d->img[0], warder_accept_at(w->d->img[0], old_state) + offset),
		image_u64(w->d->img[1], warder_accept_at(w->d->img[1], new_state) + offset),
	};
	char name[WARDER_PATH_MAX];

	for (size_t i = 0; i < w->seen_count; i++)
		if (w->seen[i][0] == set[0] && w->seen[i][1] == set[1])
			return 0;
	if (vector_grow(&w->seen, w->seen_count, &w->seen_cap, sizeof(*w->seen)))
		return -ENOMEM;
	memcpy(w->seen[w->seen_count++], set, sizeof(set));
	if (!product_name(p, name, sizeof(name)))
		return 0;
	for (unsigned op = 0; op < WARDER_MNT_BITS; op++)
		for (size_t f = 0; f < w->flag_sets && !w->d->err; f++) {
			bool typed = 1u << op == WARDER_MNT_NEW;

			for (size_t t = 0; t < (typed ? w->types : 1); t++)
				mount_point(w, set, name, 1u << op, typed ? w->type[t] : NULL,
					    w->flags[f]);
		}
	return w->d->err;
}

void diff_mounts(struct diff *d)
{
	struct mount_walk *w = calloc(1, sizeof(*w));
	int err = -ENOMEM;

	if (w) {
		w->d = d;
		mount_points(w);
		for (unsigned i = 0; i < 2; i++) {
			__u32 start = i ? WARDER_START_MOUNT_SOURCE : WARDER_START_MOUNT_TARGET;

			w->sources = i;
			w->seen_count = 0;
			err = product_walk(d->img[0], d->img[1],
					   warder_start(d->img[0], d->pr[0], start),
					   warder_start(d->img[1], d->pr[1], start), true,
					   mount_visit, w, &d->out->incomplete);
			if (err)
				break;
		}
		free(w->seen);
		free(w);
	}
	if (!d->err)
		d->err = err;
}

/* ----------------------------------------------------------------- overrides */

struct override_walk {
	struct diff *d;
	bool differ[WARDER_OVERRIDES_MAX][WARDER_OVERRIDES_MAX]; /* their targets */
};

static const struct warder_override *override_at(const struct warder_image *img, __u32 i)
{
	return (const struct warder_override *)&img
		->b[img->h.override_.offset + i * sizeof(struct warder_override)];
}

/* Profiles are numbered as the text has them: compare their names. */
static const char *caller_profile(const struct warder_image *img, __u32 number)
{
	const struct warder_profile *p = image_profile(img, number);

	return number == WARDER_BY_ANY_PROFILE ? "*" : p ? image_string(img, p->name) : "";
}

/* All but targets and what belongs to the image. */
static bool same_override(const struct diff *d, __u32 i, __u32 j)
{
	struct warder_override a = *override_at(d->img[0], i), b = *override_at(d->img[1], j);

	if (strcmp(image_string(d->img[0], a.bind), image_string(d->img[1], b.bind)) ||
	    strcmp(image_string(d->img[0], a.handler), image_string(d->img[1], b.handler)) ||
	    strcmp(image_string(d->img[0], a.fuse), image_string(d->img[1], b.fuse)) ||
	    strcmp(caller_profile(d->img[0], a.by_profile), caller_profile(d->img[1], b.by_profile)))
		return false;
	for (unsigned n = 0; n < WARDER_OPTIONS_MAX; n++) {
		if (strcmp(image_string(d->img[0], a.option[n].text),
			   image_string(d->img[1], b.option[n].text)))
			return false;
		a.option[n].text = b.option[n].text = 0;
	}
	a.bind = !!a.bind;
	b.bind = !!b.bind;
	a.rule = b.rule = a.by_profile = b.by_profile = a.handler = b.handler = 0;
	a.fuse = b.fuse = 0;
	return !memcmp(&a, &b, sizeof(a));
}

static int override_visit(struct product *p, __u32 old_state, __u32 new_state, void *arg)
{
	struct override_walk *w = arg;
	const __u32 offset = (__u32)offsetof(struct warder_accept, set);
	__u64 old = image_u64(w->d->img[0], warder_accept_at(w->d->img[0], old_state) + offset);
	__u64 new_ = image_u64(w->d->img[1], warder_accept_at(w->d->img[1], new_state) + offset);

	(void)p;
	for (__u32 i = 0; i < w->d->img[0]->h.override_.count && i < WARDER_OVERRIDES_MAX; i++)
		for (__u32 j = 0; j < w->d->img[1]->h.override_.count && j < WARDER_OVERRIDES_MAX; j++)
			w->differ[i][j] |= (old >> i & 1) != (new_ >> j & 1);
	return 0;
}

static void override_note(struct diff *d, enum diff_kind kind, const __u32 rule[2],
			  const char *what)
{
	static const int no_err[2] = { 0, 0 };

	diff_add(d, kind, WARDER_CLASS_OVERRIDE, rule, no_err, what, true, NULL);
}

void diff_overrides(struct diff *d)
{
	struct override_walk *w = calloc(1, sizeof(*w));
	__u32 n[2] = { d->img[0]->h.override_.count, d->img[1]->h.override_.count };
	int match[WARDER_OVERRIDES_MAX], last = -1;
	__u64 taken = 0;

	if (!w) {
		d->err = -ENOMEM;
		return;
	}
	w->d = d;
	if (n[0] && n[1])
		d->err = product_walk(d->img[0], d->img[1],
				      warder_start(d->img[0], d->pr[0], WARDER_START_OVERRIDE_TARGET),
				      warder_start(d->img[1], d->pr[1], WARDER_START_OVERRIDE_TARGET),
				      true, override_visit, w, &d->out->incomplete);
	if (n[0] && n[1] && !d->err)
		d->err = product_walk(d->img[0], d->img[1],
				      warder_start(d->img[0], d->pr[0], WARDER_START_OVERRIDE_SOURCE),
				      warder_start(d->img[1], d->pr[1], WARDER_START_OVERRIDE_SOURCE),
				      true, override_visit, w, &d->out->incomplete);
	/* First those that are the same, then those whose targets changed. */
	for (__u32 i = 0; i < n[0]; i++)
		match[i] = -1;
	for (unsigned pass = 0; pass < 2; pass++)
		for (__u32 i = 0; i < n[0]; i++)
			for (__u32 j = 0; j < n[1] && match[i] < 0; j++) {
				__u32 rule[2] = { override_at(d->img[0], i)->rule,
						  override_at(d->img[1], j)->rule };

				if ((taken >> j & 1) || !same_override(d, i, j) ||
				    (!pass && w->differ[i][j]))
					continue;
				match[i] = (int)j;
				taken |= 1ull << j;
				if (pass)
					override_note(d, DIFF_CHANGED, rule,
						      "the targets of this rule");
			}
	for (__u32 i = 0; i < n[0]; i++) {
		const __u32 rule[2] = { override_at(d->img[0], i)->rule, 0 };

		if (match[i] < 0)
			override_note(d, DIFF_REMOVED, rule, "this rule");
		else if (match[i] < last)
			override_note(d, DIFF_CHANGED, rule, "the order: the first match decides");
		last = match[i] > last ? match[i] : last;
	}
	for (__u32 j = 0; j < n[1]; j++) {
		const __u32 rule[2] = { 0, override_at(d->img[1], j)->rule };

		if (!(taken >> j & 1))
			override_note(d, DIFF_ADDED, rule, "this rule");
	}
	free(w);
}
