// SPDX-License-Identifier: LGPL-2.1-or-later
/* Network rules: lists of addresses and ports become one entry of the table for each pair; unix
 * paths and names become patterns. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy_internal.h"

#define PORTS_MAX WARDER_NET_RULES_MAX
#define PORT_PROTOCOLS (WARDER_PROTO_TCP | WARDER_PROTO_UDP | WARDER_PROTO_SCTP | WARDER_PROTO_OTHER)
#define FAM_ALL ((1u << WARDER_FAM_BITS) - 1)

static const char *const protocols[] = { "tcp", "udp", "icmp", "sctp", "raw", "other", NULL };
static const char *const families[] = { "inet",	  "inet6", "unix",  "netlink",
					"packet", "vsock", "other", NULL };
_Static_assert(ARRAY_SIZE(protocols) == WARDER_PROTO_BITS + 1, "every protocol has a word");
_Static_assert(ARRAY_SIZE(families) == WARDER_FAM_BITS + 1, "every family has a word");

struct port_range {
	uint16_t first, last;
};

struct net_reader {
	const char *const *words;
	const char *what;
	uint32_t mask;
	struct warder_net_rule to[WARDER_NET_RULES_MAX];
	size_t tos;
	struct port_range port[PORTS_MAX];
	size_t ports;
	bool full; /* said once */
};

static void read_mask(struct parser *ps, struct node *n, void *arg)
{
	struct net_reader *r = arg;
	int word = expect_word(ps, n, r->what, r->words);

	if (word >= 0)
		r->mask |= 1u << word;
}

/* "80", "8000-8100", "*". */
static bool parse_ports(const char *text, struct port_range *ret)
{
	const char *end;
	uint64_t first, last;

	if (!strcmp(text, "*")) {
		*ret = (struct port_range) { 0, UINT16_MAX };
		return true;
	}
	if (!parse_digits(text, &end, &first))
		return false;
	last = first;
	if (*end == '-' && !parse_digits(end + 1, &end, &last))
		return false;
	if (*end || first > last || last > UINT16_MAX)
		return false;
	*ret = (struct port_range) { (uint16_t)first, (uint16_t)last };
	return true;
}

static void read_port(struct parser *ps, struct node *n, void *arg)
{
	struct net_reader *r = arg;
	char buf[SHOWN_SIZE];

	if (r->ports == PORTS_MAX) {
		if (!r->full)
			parser_error(ps, n, "port: more than %d in one rule", PORTS_MAX);
		r->full = true;
	} else if (!parse_ports(n->text, &r->port[r->ports])) {
		parser_error(ps, n,
			     "port: expected a number from 0 to 65535, a range like 8000-8100 or "
			     "\"*\", found %s",
			     node_shown(n, buf));
	} else {
		r->ports++;
	}
}

/* Bits of a 16-byte address beyond the prefix that are set? */
static bool beyond_prefix(const __u8 addr[16], unsigned prefix)
{
	for (unsigned i = prefix; i < 128; i++)
		if (addr[i / 8] >> (7 - i % 8) & 1)
			return true;
	return false;
}

/* "10.0.0.0/8", "fd00::/8", "10.1.2.3": address and prefix. Returns what is wrong with it. */
static const char *parse_cidr(const char *text, struct warder_net_rule *ret)
{
	char copy[INET6_ADDRSTRLEN + 8];
	static const __u8 mapped[12] = { [10] = 0xff, [11] = 0xff };
	const char *end;
	char *slash;
	uint64_t prefix;
	unsigned bits = 128, skip = 0;

	if (strlen(text) >= sizeof(copy))
		return "expected an address";
	strcpy(copy, text);
	slash = strchr(copy, '/');
	if (slash)
		*slash = 0;
	if (inet_pton(AF_INET, copy, ret->addr + 12) == 1) {
		memcpy(ret->addr, mapped, sizeof(mapped));
		bits = 32;
		skip = 96;
	} else if (inet_pton(AF_INET6, copy, ret->addr) != 1) {
		/* A letter beyond 'f', or a dot between letters: a name, not an address. */
		return strpbrk(copy, "ghijklmnopqrstuvwxyzGHIJKLMNOPQRSTUVWXYZ") ||
				       (!strchr(copy, ':') && strspn(copy, "0123456789./") <
								      strlen(copy)) ?
			       "host names are not allowed, because what they stand for changes: "
			       "write the address" :
			       "expected an address";
	}
	prefix = bits;
	if (slash && (!parse_digits(slash + 1, &end, &prefix) || *end || prefix > bits))
		return bits == 32 ? "the prefix of an IPv4 address is from 0 to 32" :
				    "the prefix of an IPv6 address is from 0 to 128";
	ret->prefix = (__u8)(prefix + skip);
	if (beyond_prefix(ret->addr, ret->prefix))
		return "bits beyond the prefix are set";
	/* What is IPv4 is judged the same on sockets of both families. */
	ret->families = ret->prefix >= 96 && !memcmp(ret->addr, mapped, sizeof(mapped)) ?
				WARDER_FAM_IP :
				WARDER_FAM_INET6;
	return NULL;
}

/* One item of `to`: "*", "CIDR", "CIDR:port", "[v6]/len:port", "[v6cidr]:port". */
static const char *parse_to(const char *text, struct warder_net_rule *ret, bool *ret_port)
{
	struct port_range port = { 0, UINT16_MAX };
	char cidr[INET6_ADDRSTRLEN + 8];
	const char *colon = NULL, *bad;

	if (strlen(text) >= 64)
		return "expected an address";
	if (text[0] == '[') {
		const char *close = strchr(text, ']');
		size_t len = close ? (size_t)(close - text - 1) : 0, more;

		if (!close)
			return "[ without its ]";
		more = strcspn(close + 1, ":");
		if (len + more >= sizeof(cidr))
			return "expected an address";
		memcpy(cidr, text + 1, len);
		memcpy(cidr + len, close + 1, more);
		cidr[len + more] = 0;
		if (!strchr(cidr, ':'))
			return "brackets are for IPv6 addresses";
		if (more && close[1] != '/')
			return "expected :port or /prefix after ]";
		if (close[1 + more])
			colon = close + 1 + more;
	} else {
		colon = strchr(text, ':');
		/* Two colons: an IPv6 address without brackets, which has no port. */
		if (colon && strchr(colon + 1, ':'))
			colon = NULL;
		snprintf(cidr, sizeof(cidr), "%.*s",
			 colon ? (int)(colon - text) : (int)strlen(text), text);
	}
	*ret_port = colon != NULL;
	if (colon && !parse_ports(colon + 1, &port))
		return "the port is a number from 0 to 65535, a range like 8000-8100 or *";
	ret->port_first = port.first;
	ret->port_last = port.last;
	if (!strcmp(cidr, "*")) {
		ret->families = WARDER_FAM_IP;
		return NULL;
	}
	bad = parse_cidr(cidr, ret);
	return bad;
}

static void read_to(struct parser *ps, struct node *n, void *arg)
{
	struct net_reader *r = arg;
	struct warder_net_rule to = { 0 };
	char buf[SHOWN_SIZE];
	const char *bad;
	bool port;

	if (r->tos == WARDER_NET_RULES_MAX) {
		if (!r->full)
			parser_error(ps, n, "to: more than %d addresses in one rule",
				     WARDER_NET_RULES_MAX);
		r->full = true;
		return;
	}
	bad = parse_to(n->text, &to, &port);
	if (bad)
		parser_error(ps, n,
			     "to: %s; expected \"10.0.0.0/8\", \"10.0.0.1:443\", "
			     "\"[fd00::/8]:443\" or \"*\", found %s",
			     bad, node_shown(n, buf));
	else if (port && r->ports)
		parser_error(ps, n, "to: %s has a port and the rule has the key port: one of them",
			     node_shown(n, buf));
	else
		r->to[r->tos++] = to;
}

static const struct key network_keys[] = {
	{ "allow", false }, { "deny", false }, { "protocol", false }, { "family", false },
	{ "to", false },    { "port", false }, { "unix", false },     { "errno", false },
	{ "audit", false }, { "id", false },   { "optional", false }, { NULL, false }
};

/* The rule without address and port; what its keys leave open is filled in. */
static void parse_kind(struct parser *ps, struct node *n, struct net_reader *r,
		       struct warder_net_rule *e)
{
	struct node *protocol = map_get(n, "protocol"), *family = map_get(n, "family");
	bool inet = protocol || map_get(n, "to") || map_get(n, "port");

	if (protocol) {
		*r = (struct net_reader) { .words = protocols, .what = "protocol" };
		each_scalar(ps, protocol, "protocol", read_mask, r);
		e->protocols = r->mask;
	}
	e->families = inet ? WARDER_FAM_IP : FAM_ALL;
	if (family) {
		*r = (struct net_reader) { .words = families, .what = "family" };
		each_scalar(ps, family, "family", read_mask, r);
		e->families = r->mask;
	}
	if (inet && (e->families & ~WARDER_FAM_IP))
		parser_error(ps, family,
			     "family: only inet and inet6 have protocol, to and port; give the "
			     "others a rule of their own");
}

static void check_kind(struct parser *ps, struct node *n, const struct warder_net_rule *e,
		       bool ports)
{
	struct node *protocol = map_get(n, "protocol");
	uint32_t ops = e->ops & ~WARDER_NET_CREATE;

	if (!e->protocols)
		return;
	if (ports && !(e->protocols & PORT_PROTOCOLS))
		parser_error(ps, protocol, "protocol: icmp and raw have no ports");
	if (ops && !(ops & ~(WARDER_NET_LISTEN | WARDER_NET_ACCEPT)) &&
	    !(e->protocols & (WARDER_PROTO_TCP | WARDER_PROTO_SCTP | WARDER_PROTO_OTHER)))
		parser_error(ps, protocol,
			     "protocol: nobody listens on or accepts from udp, icmp and raw "
			     "sockets, so the rule can never match");
}

static void add_entry(struct parser *ps, const struct node *n, const struct warder_net_rule *e)
{
	struct policy *p = ps->p;

	if (p->nets < WARDER_NET_RULES_MAX) {
		p->net[p->nets++] = *e;
		return;
	}
	/* Said once; the table, which later checks read all the same, stays within its bounds. */
	if (!p->nets_full)
		parser_error(ps, n,
			     "network: with this rule there are more than %d pairs of address and "
			     "port; use wider ranges",
			     WARDER_NET_RULES_MAX);
	p->nets_full = true;
}

/* Every address with every port. */
static void spread(struct parser *ps, struct node *n, const struct net_reader *r,
		   const struct warder_net_rule *e)
{
	static const struct warder_net_rule any_to = { .families = FAM_ALL,
						       .port_last = UINT16_MAX };
	struct node *to = map_get(n, "to");
	bool matches = false;

	for (size_t i = 0; i < (r->tos ? r->tos : 1); i++) {
		const struct warder_net_rule *t = r->tos ? &r->to[i] : &any_to;

		for (size_t k = 0; k < (r->ports ? r->ports : 1); k++) {
			struct warder_net_rule one = *e;

			memcpy(one.addr, t->addr, sizeof(one.addr));
			one.prefix = t->prefix;
			one.families &= t->families;
			one.port_first = r->ports ? r->port[k].first : t->port_first;
			one.port_last = r->ports ? r->port[k].last : t->port_last;
			if (!one.families)
				continue;
			matches = true;
			add_entry(ps, n, &one);
		}
	}
	if (!matches)
		parser_error(ps, to,
			     "to: no address is of the family that the rule names, so it can "
			     "never match");
}

static void parse_unix(struct parser *ps, struct node *n, struct node *unix_,
		       const struct rule_head *head, struct warder_net_rule *e)
{
	static const char *const others[] = { "protocol", "family", "to", "port" };
	uint32_t index;

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		struct node *v = map_get(n, others[i]);

		if (v)
			parser_error(ps, v,
				     "%s: a unix socket has none; give other sockets a rule of "
				     "their own",
				     others[i]);
	}
	if (parser_add_rule(ps, &head->rule, &index))
		return;
	parser_add_patterns(ps, unix_, "unix", index, WARDER_START_UNIX, 0, NULL);
	if (head->rule.deny)
		return;
	/* Who may connect somewhere may make a socket. */
	e->rule = (uint16_t)(index + 1);
	e->ops = WARDER_NET_CREATE;
	e->families = WARDER_FAM_UNIX;
	e->port_last = UINT16_MAX;
	e->audit = 0;
	add_entry(ps, n, e);
}

void parse_network_rule(struct parser *ps, struct node *n)
{
	struct node *to, *port, *unix_;
	cleanup_free struct net_reader *r = calloc(1, sizeof(*r));
	struct warder_net_rule e = { 0 };
	size_t errors = ps->diags->errors;
	struct rule_head head;
	uint32_t index;

	if (!r) {
		ps->fatal = -ENOMEM;
		return;
	}
	if (!check_keys(ps, n, "network rule", network_keys))
		return;
	parse_rule_head(ps, n, WARDER_CLASS_NETWORK, EACCES, &head);
	if (head.what)
		e.ops = (uint32_t)parse_words(ps, head.what, WARDER_CLASS_NETWORK, WARDER_NET_ALL);
	if (!head.rule.deny)
		e.ops |= WARDER_NET_CREATE;
	head.rule.mask = e.ops & ~(uint32_t)WARDER_NET_CREATE;
	e.deny = head.rule.deny;
	e.err = head.rule.err;
	e.audit = head.rule.audit;
	unix_ = map_get(n, "unix");
	if (unix_) {
		parse_unix(ps, n, unix_, &head, &e);
		return;
	}
	parse_kind(ps, n, r, &e);
	*r = (struct net_reader) { 0 };
	to = map_get(n, "to");
	port = map_get(n, "port");
	if (port)
		each_value(ps, port, "port", read_port, r);
	if (to)
		each_scalar(ps, to, "to", read_to, r);
	check_kind(ps, n, &e, port != NULL);
	head.rule.mask = 0;
	if (parser_add_rule(ps, &head.rule, &index) || ps->diags->errors != errors)
		return;
	e.rule = (uint16_t)(index + 1);
	spread(ps, n, r, &e);
}
