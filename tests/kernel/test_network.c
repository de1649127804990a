// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Class "network": families, addresses, ports, and the ways to write one that mean another.
 * Unix sockets are in test_network_unix.c. A VM has no network but loopback: what is allowed to
 * anywhere else ends with ENETUNREACH, which only the kernel behind the hook says.
 */
#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "uring.h"

#define BROKEN 90
#define PROTO_MPTCP 262

enum what {
	CREATE, CONNECT, BIND, BIND_LISTEN, LISTEN, ACCEPT, SENDTO, SENDMSG, SENDMMSG,
	DISCONNECT_SEND, /* connects, lets the peer go with AF_UNSPEC, sends to `to` */
	CONNECT_SEND,    /* connects, then sends without an address */
	URING_CONNECT,
};

struct try {
	enum what what;
	int family, type, protocol;
	const char *to;
	int port;
	const char *from; /* bound to this first */
	int spelled;      /* family to write into the address, if not its own */
	int spell;
	int flags;        /* of send */
	int fd;           /* > 0: this socket instead of a new one */
	socklen_t len;    /* of the address, if not its own */
	const char *device;
};

static socklen_t address(const char *text, int port, struct sockaddr_storage *ret)
{
	struct sockaddr_in6 *in6 = (void *)ret;
	struct sockaddr_in *in = (void *)ret;

	memset(ret, 0, sizeof(*ret));
	if (strchr(text, ':')) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		if (inet_pton(AF_INET6, text, &in6->sin6_addr) != 1)
			_exit(BROKEN + 1);
		return sizeof(*in6);
	}
	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	if (inet_pton(AF_INET, text, &in->sin_addr) != 1)
		_exit(BROKEN + 1);
	return sizeof(*in);
}

/* IORING_OP_CONNECT by a ring of one's own. */
static int uring_connect(int fd, const struct sockaddr_storage *to, socklen_t len)
{
	struct uring u;
	int err;

	if (uring_open(&u, 0))
		return BROKEN + 2;
	u.sqe->opcode = IORING_OP_CONNECT;
	u.sqe->fd = fd;
	u.sqe->addr = (uintptr_t)to;
	u.sqe->off = len;
	err = uring_run(&u);
	return err < 0 ? BROKEN + 3 : err;
}

static int send_with(int fd, const struct try *t, struct sockaddr_storage *to, socklen_t len)
{
	struct iovec iov = { "x", 1 };
	struct mmsghdr m = { .msg_hdr = { .msg_name = to, .msg_namelen = len, .msg_iov = &iov,
					  .msg_iovlen = 1 } };

	if (t->what == SENDMSG)
		return h_errno(sendmsg(fd, &m.msg_hdr, t->flags));
	if (t->what == SENDMMSG)
		return h_errno(sendmmsg(fd, &m, 1, t->flags));
	return h_errno(sendto(fd, "x", 1, t->flags, (void *)to, len));
}

static int attempt(void *arg)
{
	const struct try *t = arg;
	struct sockaddr_storage to, from;
	socklen_t len = t->to ? address(t->to, t->port, &to) : 0;
	int fd = t->fd > 0 ? t->fd : socket(t->family, t->type, t->protocol);

	if (fd < 0)
		return t->what == CREATE ? errno : errno == EPROTONOSUPPORT ? errno : BROKEN + 5;
	if (t->spelled)
		to.ss_family = t->spell;
	if (t->len)
		len = t->len;
	if (t->device && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, t->device, strlen(t->device)))
		return BROKEN + 6;
	if (t->from) {
		socklen_t n = address(t->from, 0, &from);

		if (bind(fd, (void *)&from, n))
			return BROKEN + 7;
	}
	switch (t->what) {
	case CREATE:
		return 0;
	case CONNECT:
		return h_errno(connect(fd, (void *)&to, len));
	case URING_CONNECT:
		return uring_connect(fd, &to, len);
	case BIND:
		return h_errno(bind(fd, (void *)&to, len));
	case BIND_LISTEN:
		if (bind(fd, (void *)&to, len))
			return BROKEN + 8;
		/* fall through */
	case LISTEN:
		return h_errno(listen(fd, 1));
	case ACCEPT:
		return h_errno(accept4(fd, NULL, NULL, SOCK_NONBLOCK));
	case CONNECT_SEND:
		if (connect(fd, (void *)&to, len))
			return errno;
		return h_errno(send(fd, "x", 1, MSG_NOSIGNAL));
	case DISCONNECT_SEND:
		if (connect(fd, (void *)&to, len))
			return BROKEN + 9;
		from.ss_family = AF_UNSPEC;
		if (connect(fd, (void *)&from, sizeof(from)))
			return BROKEN + 10;
		address("127.0.0.2", t->port, &to);
		return send_with(fd, t, &to, len);
	default:
		return send_with(fd, t, &to, len);
	}
}

static int go(__u32 slot, struct try t)
{
	return h_run((int)slot, attempt, &t);
}

#define TCP(what_, to_, port_) \
	((struct try){ .what = what_, .family = strchr(to_, ':') ? AF_INET6 : AF_INET, \
		       .type = SOCK_STREAM, .to = to_, .port = port_ })
#define UDP(what_, to_, port_) \
	((struct try){ .what = what_, .family = strchr(to_, ':') ? AF_INET6 : AF_INET, \
		       .type = SOCK_DGRAM, .to = to_, .port = port_ })

/* ------------------------------------------------------------------- families */

static const struct {
	int family, type, protocol, refused;
} families[] = {
	{ AF_INET, SOCK_STREAM, 0, 0 },
	{ AF_INET6, SOCK_STREAM, 0, 0 },
	{ AF_INET, SOCK_DGRAM, 0, 0 },
	{ AF_UNIX, SOCK_STREAM, 0, 0 },
	{ AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, 0 },
	{ AF_PACKET, SOCK_RAW, 0, EPERM },
	{ AF_INET, SOCK_PACKET, 0, EPERM }, /* a packet socket by its oldest name */
	{ AF_VSOCK, SOCK_STREAM, 0, EPERM },
	{ AF_ALG, SOCK_SEQPACKET, 0, EPERM },
	{ 43 /* SMC: falls back to TCP */, SOCK_STREAM, 0, EPERM },
	{ AF_KEY, SOCK_RAW, 2, EPERM },
	{ AF_BLUETOOTH, SOCK_RAW, 1, EPERM },
};

static void test_families(void **state)
{
	__u32 s = h_container("policy: n\n"), audit = h_container("policy: n\nmode: audit\n");
	struct try packet = { .what = CREATE, .family = AF_PACKET, .type = SOCK_RAW };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		struct try t = { .what = CREATE, .family = families[i].family,
				 .type = families[i].type, .protocol = families[i].protocol };
		int result = go(s, t);

		if (result != families[i].refused)
			fail_msg("family %d: %d", t.family, result);
	}
	assert_int_equal(h_run(-1, attempt, &packet), 0);
	assert_int_equal(go(audit, packet), 0);
	assert_true(h_stats(audit).audited > 0);
	s = h_container("policy: n\nnetwork:\n  - allow: ['*']\n    family: packet\n"
			"  - deny: ['*']\n    family: netlink\n");
	assert_int_equal(go(s, packet), 0);
	assert_int_equal(go(s, (struct try){ .what = CREATE, .family = AF_NETLINK,
					     .type = SOCK_RAW }), EACCES);
	assert_int_equal(go(s, (struct try){ .what = CREATE, .family = AF_VSOCK,
					     .type = SOCK_STREAM }), EPERM);
}

static int netlink_ask(void *arg)
{
	struct {
		struct nlmsghdr h;
		struct { unsigned char family; char pad[15]; } link;
	} ask = { .h = { sizeof(ask), 18 /* RTM_GETLINK */, NLM_F_REQUEST | NLM_F_DUMP, 1, 0 } };

	return h_errno(send(*(int *)arg, &ask, sizeof(ask), 0));
}

/* Without an address a netlink socket speaks to the kernel: nothing was judged before. */
static void test_netlink(void **state)
{
	cleanup_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	__u32 s = h_container("policy: n\n");

	(void)state;
	assert_int_equal(h_run((int)s, netlink_ask, &fd), 0);
	h_policy(s, "policy: n\nnetwork:\n  - deny: [send]\n    family: netlink\n");
	assert_int_equal(h_run((int)s, netlink_ask, &fd), EACCES);
	assert_int_equal(h_run(-1, netlink_ask, &fd), 0);
}

/* -------------------------------------------------------------------- connect */

/* A listener on both protocols, made by the test itself. */
static int listener(int type, int port)
{
	struct sockaddr_storage any;
	socklen_t len = address("::", port, &any);
	int fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(fd, (void *)&any, len), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 100), 0);
	return fd;
}

static void test_connect_allow(void **state)
{
	cleanup_close int one = listener(SOCK_STREAM, 7001), two = listener(SOCK_STREAM, 7002);
	__u32 s = h_container("policy: n\ndefaults: {network: deny}\nnetwork:\n"
			      "  - allow: [connect]\n    protocol: tcp\n"
			      "    to: ['127.0.0.0/31:7001', '[::1]:7001']\n");
	struct try t;

	(void)state;
	(void)two;
	assert_int_equal(go(s, TCP(CONNECT, "127.0.0.1", 7001)), 0);
	assert_int_equal(go(s, TCP(CONNECT, "127.0.0.1", 7002)), EACCES);
	assert_int_equal(go(s, TCP(CONNECT, "127.0.0.2", 7001)), EACCES);
	assert_int_equal(go(s, TCP(CONNECT, "::1", 7001)), 0);
	assert_int_equal(go(s, TCP(CONNECT, "::1", 7002)), EACCES);
	assert_int_equal(go(s, TCP(CONNECT, "::ffff:127.0.0.1", 7001)), 0);
	assert_int_equal(go(s, TCP(CONNECT, "::ffff:127.0.0.2", 7001)), EACCES);
	/* The unspecified address is loopback. */
	assert_int_equal(go(s, TCP(CONNECT, "0.0.0.0", 7001)), 0);
	assert_int_equal(go(s, TCP(CONNECT, "::", 7001)), 0);
	/* The rest of the class stays shut. */
	assert_int_equal(go(s, TCP(BIND, "127.0.0.1", 7009)), EACCES);
	assert_int_equal(go(s, (struct try){ .what = CREATE, .family = AF_INET,
					     .type = SOCK_DGRAM }), EACCES);
	assert_int_equal(go(s, (struct try){ .what = CREATE, .family = AF_UNIX,
					     .type = SOCK_STREAM }), EACCES);
	/* Made elsewhere, used here. */
	t = TCP(CONNECT, "127.0.0.1", 7002);
	t.fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(go(s, t), EACCES);
	assert_int_equal(h_run(-1, attempt, &t), 0);
	close(t.fd);
	assert_int_equal(h_run(-1, attempt, &TCP(CONNECT, "127.0.0.2", 7001)), 0);
}

static void test_connect_deny(void **state)
{
	cleanup_close int one = listener(SOCK_STREAM, 7001);
	__u32 s = h_container("policy: n\nnetwork:\n  - deny: [connect]\n"
			      "    to: ['127.0.0.0/8', '10.1.0.0/16', 'fd00::/8']\n"
			      "  - deny: [connect]\n    protocol: udp\n    to: '192.0.2.0/24:53'\n"
			      "    errno: ECONNREFUSED\n");
	struct try t;

	(void)state;
	(void)one;
	assert_int_equal(go(s, TCP(CONNECT, "127.0.0.1", 7001)), EACCES);
	assert_int_equal(go(s, TCP(CONNECT, "::1", 7001)), 0);
	assert_int_equal(go(s, TCP(CONNECT, "0.0.0.0", 7001)), EACCES);
	assert_int_equal(go(s, TCP(CONNECT, "::ffff:127.0.0.1", 7001)), EACCES);
	assert_int_equal(go(s, TCP(CONNECT, "::ffff:0.0.0.0", 7001)), EACCES);
	/* `::` of a socket bound to an IPv4 address is IPv4 loopback; unbound it is ::1. */
	assert_int_equal(go(s, TCP(CONNECT, "::", 7001)), 0);
	t = TCP(CONNECT, "::", 7001);
	t.from = "::ffff:127.0.0.1";
	assert_int_equal(go(s, t), EACCES);
	/* Where this would go depends on the device. */
	t = TCP(CONNECT, "0.0.0.0", 7001);
	t.device = "lo";
	assert_int_equal(go(s, t), EACCES);
	/* Prefixes, at both ends. */
	assert_int_equal(go(s, UDP(CONNECT, "10.0.255.255", 9)), ENETUNREACH);
	assert_int_equal(go(s, UDP(CONNECT, "10.1.0.0", 9)), EACCES);
	assert_int_equal(go(s, UDP(CONNECT, "10.1.255.255", 9)), EACCES);
	assert_int_equal(go(s, UDP(CONNECT, "10.2.0.0", 9)), ENETUNREACH);
	assert_int_equal(go(s, UDP(CONNECT, "fcff::1", 9)), ENETUNREACH);
	assert_int_equal(go(s, UDP(CONNECT, "fd00::1", 9)), EACCES);
	assert_int_equal(go(s, UDP(CONNECT, "fdff:ffff::1", 9)), EACCES);
	assert_int_equal(go(s, UDP(CONNECT, "fe00::1", 9)), ENETUNREACH);
	/* By protocol and port, with its errno. */
	assert_int_equal(go(s, UDP(CONNECT, "192.0.2.7", 53)), ECONNREFUSED);
	assert_int_equal(go(s, UDP(CONNECT, "192.0.2.7", 54)), ENETUNREACH);
	assert_int_equal(go(s, TCP(CONNECT, "192.0.2.7", 53)), ENETUNREACH);
	t = UDP(CONNECT, "192.0.2.7", 53);
	t.protocol = 136; /* UDP-Lite */
	if (go(s, t) != EPROTONOSUPPORT)
		assert_int_equal(go(s, t), ECONNREFUSED);
}

/* MPTCP is TCP by another name, its subflows are the kernel's. */
static void test_mptcp(void **state)
{
	cleanup_close int one = listener(SOCK_STREAM, 7001);
	__u32 s = h_container("policy: n\ndefaults: {network: deny}\nnetwork:\n"
			      "  - allow: [connect]\n    protocol: tcp\n    to: '127.0.0.1:7001'\n");
	struct try t = TCP(CONNECT, "127.0.0.1", 7001);

	(void)state;
	(void)one;
	t.protocol = PROTO_MPTCP;
	if (h_run(-1, attempt, &t) == EPROTONOSUPPORT) {
		print_message("skipped: this kernel has no MPTCP\n");
		skip();
	}
	assert_int_equal(go(s, t), 0);
	t.port = 7002;
	assert_int_equal(go(s, t), EACCES);
	t.what = SENDTO;
	t.flags = MSG_FASTOPEN;
	assert_int_equal(go(s, t), EACCES);
}

static void test_fastopen(void **state)
{
	cleanup_close int one = listener(SOCK_STREAM, 7001), two = listener(SOCK_STREAM, 7002);
	__u32 s = h_container("policy: n\nnetwork:\n  - deny: [connect]\n    protocol: tcp\n"
			      "    port: 7002\n");
	struct try t = TCP(SENDTO, "127.0.0.1", 7001);

	(void)state;
	(void)one;
	(void)two;
	t.flags = MSG_FASTOPEN;
	assert_int_equal(go(s, t), 0);
	t.port = 7002;
	assert_int_equal(go(s, t), EACCES);
	t.what = SENDMSG;
	assert_int_equal(go(s, t), EACCES);
	t.what = SENDMMSG;
	assert_int_equal(go(s, t), EACCES);
	assert_int_equal(h_run(-1, attempt, &t), 0);
}

static void test_uring(void **state)
{
	cleanup_close int one = listener(SOCK_STREAM, 7001);
	__u32 s = h_container("policy: n\nkernel:\n  - allow: [io_uring]\n"
			      "network:\n  - deny: [connect]\n    to: '127.0.0.1'\n");

	(void)state;
	(void)one;
	assert_int_equal(go(s, TCP(URING_CONNECT, "::1", 7001)), 0);
	assert_int_equal(go(s, TCP(URING_CONNECT, "127.0.0.1", 7001)), EACCES);
}

/* --------------------------------------------------------- bind, listen, accept */

static void test_bind(void **state)
{
	__u32 s = h_container("policy: n\ndefaults: {network: deny}\nnetwork:\n"
			      "  - allow: [bind, listen]\n    protocol: tcp\n"
			      "    port: [80, 8000-8100]\n");
	struct try t;

	(void)state;
	assert_int_equal(go(s, TCP(BIND, "127.0.0.1", 80)), 0);
	assert_int_equal(go(s, TCP(BIND, "127.0.0.1", 81)), EACCES);
	assert_int_equal(go(s, TCP(BIND, "127.0.0.1", 7999)), EACCES);
	assert_int_equal(go(s, TCP(BIND, "127.0.0.1", 8000)), 0);
	assert_int_equal(go(s, TCP(BIND, "::", 8100)), 0);
	assert_int_equal(go(s, TCP(BIND, "::", 8101)), EACCES);
	assert_int_equal(go(s, TCP(BIND, "127.0.0.1", 0)), EACCES);
	assert_int_equal(go(s, TCP(BIND_LISTEN, "127.0.0.1", 8000)), 0);
	/* Bound by somebody else. */
	t = TCP(LISTEN, "127.0.0.1", 8200);
	t.fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(t.fd, &(struct sockaddr_in){ AF_INET, htons(8200), { 0 }, { 0 } },
			      sizeof(struct sockaddr_in)), 0);
	assert_int_equal(go(s, t), EACCES);
	/* Never bound: the kernel's choice. */
	close(t.fd);
	t.fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(go(s, t), EACCES);
	assert_int_equal(h_run(-1, attempt, &t), 0);
	/* Accept is a right of its own. */
	t.what = ACCEPT;
	assert_int_equal(go(s, t), EACCES);
	close(t.fd);
}

static void test_accept(void **state)
{
	cleanup_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct try t = { .what = ACCEPT, .fd = fd };
	__u32 s = h_container("policy: n\ndefaults: {network: deny}\nnetwork:\n"
			      "  - allow: [accept]\n    protocol: tcp\n    port: 8300\n");

	(void)state;
	assert_int_equal(bind(fd, &(struct sockaddr_in){ AF_INET, htons(8300), { 0 }, { 0 } },
			      sizeof(struct sockaddr_in)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(go(s, t), EAGAIN);
	h_policy(s, "policy: n\nnetwork:\n  - deny: [accept]\n    port: 8300\n");
	assert_int_equal(go(s, t), EACCES);
}

/* A wildcard holds the address that a rule refuses. */
static void test_bind_wildcard(void **state)
{
	__u32 s = h_container("policy: n\nnetwork:\n  - deny: [bind]\n    to: '127.0.0.1:8000'\n");
	struct try t;

	(void)state;
	assert_int_equal(go(s, TCP(BIND, "127.0.0.1", 8000)), EACCES);
	assert_int_equal(go(s, TCP(BIND, "127.0.0.1", 8001)), 0);
	assert_int_equal(go(s, TCP(BIND, "127.0.0.2", 8000)), 0);
	assert_int_equal(go(s, TCP(BIND, "0.0.0.0", 8000)), EACCES);
	assert_int_equal(go(s, TCP(BIND, "::", 8000)), EACCES);
	assert_int_equal(go(s, TCP(BIND, "::1", 8000)), 0);
	assert_int_equal(go(s, TCP(BIND, "::ffff:127.0.0.1", 8000)), EACCES);
	/* bind(2) takes AF_UNSPEC for IPv4. */
	t = TCP(BIND, "0.0.0.0", 8000);
	t.spelled = 1;
	assert_int_equal(h_run(-1, attempt, &t), 0);
	assert_int_equal(go(s, t), EACCES);
}

/* ----------------------------------------------------------------------- send */

static void test_send(void **state)
{
	cleanup_close int one = listener(SOCK_DGRAM, 7001), two = listener(SOCK_DGRAM, 7002);
	static const enum what ways[] = { SENDTO, SENDMSG, SENDMMSG };
	__u32 s = h_container("policy: n\ndefaults: {network: deny}\nnetwork:\n"
			      "  - allow: [send]\n    protocol: udp\n"
			      "    to: ['127.0.0.1:7001', '[::1]:7001']\n"
			      "  - allow: [connect]\n    protocol: udp\n    to: '127.0.0.1:7002'\n");

	(void)state;
	(void)one;
	(void)two;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		assert_int_equal(go(s, UDP(ways[i], "127.0.0.1", 7001)), 0);
		assert_int_equal(go(s, UDP(ways[i], "0.0.0.0", 7001)), 0);
		assert_int_equal(go(s, UDP(ways[i], "::1", 7001)), 0);
		assert_int_equal(go(s, UDP(ways[i], "::", 7001)), 0);
		assert_int_equal(go(s, UDP(ways[i], "127.0.0.1", 7002)), EACCES);
		assert_int_equal(go(s, UDP(ways[i], "::1", 7002)), EACCES);
		assert_int_equal(go(s, UDP(ways[i], "::ffff:127.0.0.1", 7002)), EACCES);
	}
	/* What goes to the connected peer was judged by connect. */
	assert_int_equal(go(s, UDP(CONNECT, "127.0.0.1", 7001)), EACCES);
	assert_int_equal(go(s, UDP(CONNECT_SEND, "127.0.0.1", 7002)), 0);
	assert_int_equal(go(s, UDP(DISCONNECT_SEND, "127.0.0.1", 7002)), EACCES);
}

/* The same address written with families that the kernel takes for it. */
static void test_send_spelling(void **state)
{
	cleanup_close int one = listener(SOCK_DGRAM, 7001);
	__u32 s = h_container("policy: n\nnetwork:\n  - deny: [send]\n    to: '127.0.0.0/8'\n");
	struct try t = UDP(SENDTO, "127.0.0.1", 7001);

	(void)state;
	(void)one;
	assert_int_equal(go(s, t), EACCES);
	t.spelled = 1;
	assert_int_equal(h_run(-1, attempt, &t), 0); /* it does arrive */
	assert_int_equal(go(s, t), EACCES);
	t.flags = MSG_FASTOPEN; /* means nothing here */
	assert_int_equal(go(s, t), EACCES);
	/* IPv4 on an IPv6 socket, under either name. */
	t = UDP(SENDTO, "127.0.0.1", 7001);
	t.family = AF_INET6;
	assert_int_equal(go(s, t), EACCES);
	t.spelled = 1;
	assert_int_equal(go(s, t), EACCES);
	t = UDP(SENDTO, "::1", 7001);
	assert_int_equal(go(s, t), 0);
	/* Cut short: as the kernel says. */
	t = UDP(SENDTO, "127.0.0.1", 7001);
	t.len = 8;
	assert_int_equal(h_run(-1, attempt, &t), EINVAL);
	assert_int_equal(go(s, t), EINVAL);
}

/* -------------------------------------------------------------- source routes */

/* By way of 127.0.0.2, where the kernel sends it first. */
static const unsigned char loose_route[12] = { 131, 11, 4, 127, 0, 0, 2, 127, 0, 0, 2, 0 };

static int route_option(void *arg)
{
	cleanup_close int fd = socket(AF_INET, *(int *)arg, 0);

	return fd < 0 ? BROKEN : h_errno(setsockopt(fd, SOL_IP, IP_OPTIONS, loose_route,
						    sizeof(loose_route)));
}

static int route_option6(void *arg)
{
	cleanup_close int fd = socket(AF_INET6, SOCK_DGRAM, 0);
	unsigned char header[24] = { 0, 2, 2, 1 };

	(void)arg;
	return fd < 0 ? BROKEN :
			h_errno(setsockopt(fd, SOL_IPV6, IPV6_RTHDR, header, sizeof(header)));
}

struct routed {
	int connect;  /* instead of an address with the data */
	int messages; /* that mean nothing before it */
};

static int route_message(void *arg)
{
	struct sockaddr_in to = { AF_INET, htons(7001), { htonl(INADDR_LOOPBACK) }, { 0 } };
	union {
		char room[1024];
		struct cmsghdr align;
	} control = { .room = { 0 } };
	struct iovec iov = { "x", 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room };
	const struct routed *r = arg;
	cleanup_close int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct cmsghdr *c = &control.align;
	int ttl = 64;

	if (r->connect && connect(fd, (void *)&to, sizeof(to)))
		return BROKEN;
	if (!r->connect) {
		m.msg_name = &to;
		m.msg_namelen = sizeof(to);
	}
	for (int i = 0; i < r->messages; i++) {
		*c = (struct cmsghdr){ CMSG_LEN(sizeof(ttl)), SOL_IP, IP_TTL };
		memcpy(CMSG_DATA(c), &ttl, sizeof(ttl));
		c = (struct cmsghdr *)((char *)c + CMSG_SPACE(sizeof(ttl)));
	}
	*c = (struct cmsghdr){ CMSG_LEN(sizeof(loose_route)), SOL_IP, IP_RETOPTS };
	memcpy(CMSG_DATA(c), loose_route, sizeof(loose_route));
	m.msg_controllen = (size_t)((char *)c + CMSG_SPACE(sizeof(loose_route)) - control.room);
	return h_errno(sendmsg(fd, &m, 0));
}

static int plain_message(void *arg)
{
	struct sockaddr_in to = { AF_INET, htons(7001), { htonl(INADDR_LOOPBACK) }, { 0 } };
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { .align = { CMSG_LEN(sizeof(int)), SOL_IP, IP_TTL } };
	struct iovec iov = { "x", 1 };
	struct msghdr m = { &to, sizeof(to), &iov, 1, control.room, sizeof(control.room), 0 };
	cleanup_close int fd = socket(AF_INET, SOCK_DGRAM, 0);
	int ttl = 64;

	(void)arg;
	memcpy(CMSG_DATA(&control.align), &ttl, sizeof(ttl));
	return h_errno(sendmsg(fd, &m, 0));
}

/* What is connected or sent to an allowed address goes to that address. */
static void test_source_routes(void **state)
{
	cleanup_close int one = listener(SOCK_DGRAM, 7001);
	__u32 s = h_container("policy: n\nnetwork:\n  - deny: [connect, send]\n    to: '127.0.0.2'\n");
	__u32 any = h_container("policy: any\ndefaults: {network: allow}\n");
	struct routed by_address = { 0, 0 }, connected = { 1, 0 }, behind = { 0, 3 }, many = { 0, 20 };
	char name[WARDER_PATH_MAX], detail[WARDER_PATH_MAX];
	int tcp = SOCK_STREAM, udp = SOCK_DGRAM;
	struct warder_event e;

	(void)state;
	(void)one;
	assert_int_equal(h_run(-1, route_option, &tcp), 0);
	assert_int_equal(h_run((int)any, route_option, &tcp), 0);
	h_events_drop();
	assert_int_equal(h_run((int)s, route_option, &tcp), EACCES);
	assert_int_equal(h_event_last(s, &e, name, detail), 1);
	assert_int_equal(e.class_, WARDER_CLASS_NETWORK);
	assert_int_equal(e.v.why, WARDER_WHY_UNREACHABLE);
	assert_int_equal(h_run((int)s, route_option, &udp), EACCES);
	/* EINVAL or 0 by what the kernel knows of such headers. */
	assert_int_not_equal(h_run(-1, route_option6, NULL), EACCES);
	assert_int_equal(h_run((int)s, route_option6, NULL), EACCES);
	assert_int_equal(h_run((int)s, route_message, &by_address), EACCES);
	assert_int_equal(h_run((int)s, route_message, &connected), EACCES);
	assert_int_equal(h_run((int)s, route_message, &behind), EACCES);
	assert_int_equal(h_run((int)s, route_message, &many), EACCES);
	assert_int_not_equal(h_run(-1, route_message, &by_address), EACCES);
	assert_int_not_equal(h_run((int)any, route_message, &connected), EACCES);
	assert_int_equal(h_run((int)s, plain_message, NULL), 0);
}

static void test_raw(void **state)
{
	__u32 tcp = h_container("policy: n\ndefaults: {network: deny}\nnetwork:\n"
				"  - allow: ['*']\n    protocol: tcp\n");
	__u32 raw = h_container("policy: n\ndefaults: {network: deny}\nnetwork:\n"
				"  - allow: [send]\n    protocol: raw\n    to: '127.0.0.1'\n"
				"  - allow: [send]\n    protocol: icmp\n    to: '127.0.0.1'\n");
	struct try t = { .what = CREATE, .family = AF_INET, .type = SOCK_RAW, .protocol = 6 };

	(void)state;
	assert_int_equal(go(tcp, t), EACCES); /* raw TCP is not TCP */
	assert_int_equal(go(raw, t), 0);
	t = (struct try){ .what = SENDTO, .family = AF_INET, .type = SOCK_RAW, .protocol = 253,
			  .to = "127.0.0.1" };
	assert_int_equal(go(raw, t), 0);
	t.to = "127.0.0.2";
	assert_int_equal(go(raw, t), EACCES);
	t.spelled = 1;
	assert_int_equal(go(raw, t), EACCES);
	h_write("/proc/sys/net/ipv4/ping_group_range", "0 0");
	t = (struct try){ .what = CREATE, .family = AF_INET, .type = SOCK_DGRAM, .protocol = 1 };
	assert_int_equal(go(tcp, t), EACCES);
	assert_int_equal(go(raw, t), 0);
}

/* ----------------------------------------------------------------------- SCTP */

struct several {
	int option, count;
	struct sockaddr_in at[20];
};

static int sctp(void *arg)
{
	struct several *s = arg;
	cleanup_close int fd = socket(AF_INET, SOCK_STREAM, 132);

	return fd < 0 ? errno :
			h_errno(setsockopt(fd, 132, s->option, s->at,
					   (socklen_t)(s->count * sizeof(s->at[0]))));
}

static void test_sctp(void **state)
{
	struct several bindx = { .option = 100, .count = 2 }, connectx = { .option = 110, .count = 2 };
	__u32 s;

	(void)state;
	if (system("modprobe sctp 2>/dev/null || /sbin/modprobe sctp 2>/dev/null")) {
		print_message("skipped: this kernel has no module sctp\n");
		skip();
	}
	s = h_container("policy: n\nnetwork:\n  - deny: [connect, bind]\n    to: '127.0.0.3'\n");
	for (int i = 0; i < 20; i++)
		bindx.at[i] = connectx.at[i] = (struct sockaddr_in){
			AF_INET, htons(9000), { htonl(0x7f000001 + (unsigned)i) }, { 0 } };
	assert_int_equal(go(s, (struct try){ .what = CONNECT, .family = AF_INET,
					     .type = SOCK_STREAM, .protocol = 132,
					     .to = "127.0.0.3", .port = 9 }), EACCES);
	assert_int_equal(h_run((int)s, sctp, &bindx), 0);
	bindx.count = 3;
	assert_int_equal(h_run(-1, sctp, &bindx), 0);
	assert_int_equal(h_run((int)s, sctp, &bindx), EACCES);
	connectx.count = 3;
	assert_int_equal(h_run((int)s, sctp, &connectx), EACCES);
	connectx.count = 2;
	assert_int_equal(h_run((int)s, sctp, &connectx), ECONNREFUSED);
	/* More than can be judged. */
	bindx.at[2] = bindx.at[1];
	bindx.count = 20;
	assert_int_equal(h_run((int)s, sctp, &bindx), EACCES);
}

/* --------------------------------------------------------------- audit, events */

static void test_event(void **state)
{
	char name[WARDER_PATH_MAX], detail[WARDER_PATH_MAX];
	static const __u8 mapped[16] = { [10] = 0xff, 0xff, 127, 0, 0, 1 };
	cleanup_close int one = listener(SOCK_STREAM, 7001);
	__u32 s = h_container("policy: n\nmode: audit\nnetwork:\n  - deny: [connect]\n"
			      "    to: '127.0.0.1'\n");
	struct warder_event e;

	(void)state;
	(void)one;
	h_events_drop();
	assert_int_equal(go(s, TCP(CONNECT, "::ffff:127.0.0.1", 7001)), 0);
	assert_int_equal(h_event_last(s, &e, name, detail), 1);
	assert_int_equal(e.class_, WARDER_CLASS_NETWORK);
	assert_int_equal(e.hook, WARDER_HOOK_SOCKET_CONNECT);
	assert_int_equal(e.access, WARDER_NET_CONNECT);
	assert_int_equal(e.v.action, WARDER_AUDIT);
	assert_int_equal(e.v.why, WARDER_WHY_RULE);
	assert_int_equal(e.v.err, EACCES);
	assert_int_equal(e.address.family, AF_INET6);
	assert_int_equal(e.address.families, WARDER_FAM_INET);
	assert_int_equal(e.address.protocols, WARDER_PROTO_TCP);
	assert_int_equal(e.address.port, 7001);
	assert_memory_equal(e.address.addr, mapped, sizeof(mapped));
	assert_int_equal(e.text_len, 0);
	assert_true(h_stats(s).audited > 0);
	assert_int_equal(h_stats(s).denied, 0);
}

static int loopback_up(void **state)
{
	cleanup_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = { .ifr_name = "lo" };

	(void)state;
	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &r))
		return -1;
	r.ifr_flags |= IFF_UP;
	return ioctl(fd, SIOCSIFFLAGS, &r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_families),
		cmocka_unit_test(test_netlink),
		cmocka_unit_test(test_connect_allow),
		cmocka_unit_test(test_connect_deny),
		cmocka_unit_test(test_mptcp),
		cmocka_unit_test(test_fastopen),
		cmocka_unit_test(test_uring),
		cmocka_unit_test(test_bind),
		cmocka_unit_test(test_accept),
		cmocka_unit_test(test_bind_wildcard),
		cmocka_unit_test(test_send),
		cmocka_unit_test(test_send_spelling),
		cmocka_unit_test(test_source_routes),
		cmocka_unit_test(test_raw),
		cmocka_unit_test(test_sctp),
		cmocka_unit_test(test_event),
	};

	return cmocka_run_group_tests(tests, loopback_up, NULL);
}
