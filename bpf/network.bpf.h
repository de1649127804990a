/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Class "network": sockets by family, protocol, address and port. What names a peer of a unix
 * socket is in unix.bpf.h; its other operations are judged here.
 *
 * Addresses are read from the copy in kernel memory that the kernel goes on to use, and as it
 * uses them: an IPv4 socket takes an address for IPv4 whatever family stands in it; an IPv6
 * socket knows IPv4 addresses in two forms; the unspecified address of a connection is loopback.
 *
 * Operations upon an established connection are not judged again: sending without an address,
 * receiving. A port that the kernel chooses (bind to port 0) is judged as port 0, and by its
 * number when the socket starts to listen.
 */
#ifndef WARDER_NETWORK_BPF_H
#define WARDER_NETWORK_BPF_H

#include "core.bpf.h"
#include "unix.bpf.h"

#define NET_EINVAL 22
#define NET_MSG_FASTOPEN 0x20000000

#define NET_SOCKADDR_IN 16      /* its size */
#define NET_SOCKADDR_IN6 24     /* without scope: what the kernel asks for */
#define NET_SOCKADDR_MAX 128    /* sockaddr_storage */
#define NET_LOOPBACK 0x0100007f /* 127.0.0.1 in network order */

/* Beside the WARDER_NET_* bit: the address comes with data, and control messages with it. */
#define NET_DATA 0x100
#define NET_CONTROL 0x200
#define NET_ROUTE 0x400 /* by way of other hosts, see net_is_route() */
#define NET_OP_MASK 0xff
#define NET_OP(op, hook) ((__u64)(hook) << 32 | (op))

/* Results of net_gather(). */
#define NET_JUDGE 0
#define NET_NOTHING 1     /* no address: a disconnect, or a datagram to the connected peer */
#define NET_UNREACHABLE 2 /* an address of this host that cannot be told beforehand */
#define NET_SHORT 3       /* too short for its family: EINVAL, as the kernel would say */

/* The parts of struct sockaddr_in and sockaddr_in6. */
struct net_sockaddr {
	__u16 family;
	__be16 port;
	__u32 v4; /* of in6: flow information */
	__u64 v6[2];
};

/* 0.0.0.0 or :: where a connection goes to: the kernel takes the socket's own address if it has
 * one, else loopback. One that leaves by a device or with an address of its own choice for this
 * datagram goes to an address that is not known here. */
static __always_inline int net_specify(struct warder_address *a, struct sock *sk, int control)
{
	__u32 own = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
	struct warder_address bound = {};
	__u64 *w = (__u64 *)a->addr;

	if (BPF_CORE_READ(sk, __sk_common.skc_bound_dev_if) || control)
		return NET_UNREACHABLE;
	if (warder_net_is_mapped(a)) {
		warder_net_mapped(a, own ? own : NET_LOOPBACK);
		return NET_JUDGE;
	}
	if (BPF_CORE_READ_INTO(&bound.addr, sk, __sk_common.skc_v6_rcv_saddr))
		return NET_UNREACHABLE;
	if (warder_net_is_mapped(&bound)) {
		a->families = WARDER_FAM_INET;
		warder_net_mapped(a, NET_LOOPBACK);
		return NET_JUDGE;
	}
	w[0] = 0;
	w[1] = 1ull << 56;
	return NET_JUDGE;
}

/* The socket's own address: what it listens on. */
static __always_inline int net_gather_own(struct warder_address *a, struct sock *sk)
{
	a->port = BPF_CORE_READ(sk, __sk_common.skc_num);
	if (a->family == WARDER_AF_INET)
		warder_net_mapped(a, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
	else if (BPF_CORE_READ_INTO(&a->addr, sk, __sk_common.skc_v6_rcv_saddr))
		return NET_UNREACHABLE;
	if (warder_net_is_mapped(a))
		a->families = WARDER_FAM_INET;
	return NET_JUDGE;
}

/* An address that was passed to an inet or inet6 socket. */
static __always_inline int net_gather_ip(struct warder_address *a, struct sock *sk,
					 const void *address, __u32 len, __u32 op)
{
	__u32 type = BPF_CORE_READ(sk, sk_type);
	struct net_sockaddr in = {};
	int v4 = a->family == WARDER_AF_INET;

	if (len < sizeof(in.family) || bpf_probe_read_kernel(&in.family, sizeof(in.family), address))
		return NET_SHORT;
	if (in.family == WARDER_AF_UNSPEC) {
		/* The socket lets its peer go. */
		if (!(op & (WARDER_NET_BIND | NET_DATA)))
			return NET_NOTHING;
		/* An IPv6 socket for datagrams takes this for no address, but can become an IPv4
		 * one (IPV6_ADDRFORM) while it is judged: that would take it for an address. Raw
		 * ones take it for IPv6. */
		if (!v4 && type != WARDER_SOCK_RAW && a->protocols == WARDER_PROTO_UDP) {
			if (len < NET_SOCKADDR_IN)
				return NET_NOTHING;
			v4 = 1;
		}
	} else if (in.family == WARDER_AF_INET) {
		v4 = 1;
	}
	if (len < (v4 ? NET_SOCKADDR_IN : NET_SOCKADDR_IN6))
		return NET_SHORT;
	if (bpf_probe_read_kernel(&in, v4 ? 8 : NET_SOCKADDR_IN6, address))
		return NET_SHORT;
	/* The port of a raw socket is its protocol's number, or nothing. */
	a->port = type == WARDER_SOCK_RAW ? 0 : __builtin_bswap16(in.port);
	if (v4) {
		warder_net_mapped(a, in.v4);
	} else {
		__u64 *w = (__u64 *)a->addr;

		w[0] = in.v6[0];
		w[1] = in.v6[1];
	}
	a->families = warder_net_is_mapped(a) ? WARDER_FAM_INET : WARDER_FAM_INET6;
	if ((op & (WARDER_NET_CONNECT | WARDER_NET_SEND)) && warder_net_is_any(a))
		return net_specify(a, sk, op & NET_CONTROL);
	return NET_JUDGE;
}


/* Fills `a` for `op` on the socket; `address` 0: none was passed. Addresses are scalars so that
 * the verifier checks this once for each program. */
__noinline __weak int net_gather(__u64 sock, __u64 address, __u32 len, __u32 op,
				 struct warder_address *a)
{
	struct sock *sk = (struct sock *)sock;
	__u64 *w;

	if (!a)
		return NET_UNREACHABLE;
	w = (__u64 *)a;
	w[0] = w[1] = w[2] = w[3] = 0;
	a->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	a->families = warder_net_family(a->family);
	if (a->families & WARDER_FAM_IP) {
		a->protocols = warder_net_protocol(BPF_CORE_READ(sk, sk_type),
						   BPF_CORE_READ(sk, sk_protocol));
		if (op & NET_ROUTE)
			return NET_UNREACHABLE;
		if (address)
			return net_gather_ip(a, sk, (const void *)address, len, op);
		return net_gather_own(a, sk);
	}
	/* Of others the family is all that rules speak of. */
	return NET_JUDGE;
}

/* bind(2) of a unix socket: a path is judged where its file is made, under its true name. */
static __always_inline int net_unix_bind(struct subject *s, struct hook_facts *f, __u64 address,
					 __u32 len)
{
	struct warder_verdict v;
	struct scratch *sc;
	int name = UNIX_UNNAMED;
	char first = 0;

	if (len > 2 && bpf_probe_read_kernel(&first, 1, (const char *)address + 2))
		return hook_fault(s, f, WARDER_FAULT_ARGUMENT, NULL);
	if (first || len < 2 || unix_is_trivial(s))
		return 0;
	sc = scratch_take();
	if (!sc)
		return hook_fault(s, f, WARDER_FAULT_SCRATCH, NULL);
	/* Without a name the kernel chooses one, five hexadecimal digits: judged by family. */
	if (len > 2) {
		name = unix_put_abstract(&sc->text, (const char *)address + 3, len - 3);
		/* Longer than any: the kernel refuses it. */
		if (name < 0) {
			scratch_give(sc);
			return errno_return(NET_EINVAL);
		}
		name |= UNIX_ABSTRACT;
	}
	unix_note_name(f, name);
	unix_decide_name(s, sc, name, WARDER_NET_BIND, &v);
	return hook_end(s, &v, f, sc);
}

static __always_inline int net_unix(struct subject *s, struct hook_facts *f, __u64 sk,
				    __u64 address, __u32 len, __u32 op)
{
	switch (op) {
	case WARDER_NET_BIND:
		return net_unix_bind(s, f, address, len);
	case WARDER_NET_CONNECT:
	case WARDER_NET_SEND:
		/* Judged when the peer is found; there nobody knows which of the two it is. */
		s->tag->net_op = op;
		return 0;
	default:
		return unix_judge_own(s, f, sk, op);
	}
}

/* Nothing of the profile refuses, reports or records what is done with these. */
static __always_inline int net_is_trivial(struct subject *s, __u32 families)
{
	/* An inet6 socket speaks IPv4, too. */
	if (families & WARDER_FAM_IP)
		families = WARDER_FAM_IP;
	return s->img->h.mode != WARDER_MODE_LEARN &&
	       warder_net_is_silent(s->img, s->pr, families);
}

/* The verdict on sc->address as net_gather() left it. */
static __always_inline void net_decide(struct subject *s, struct scratch *sc, __u32 op, int what,
				       struct warder_verdict *v)
{
	if (what == NET_UNREACHABLE) {
		warder_decide_net_unreachable(s->img, s->pr, WARDER_FAM_IP, op, v);
		return;
	}
	warder_decide_network(s->img, s->pr, &sc->address, op, v);
	/* :: is 0.0.0.0 as well, unless the socket is made to be IPv6 only: that can change until
	 * the kernel holds its lock, so both must be allowed. */
	if (v->action != WARDER_DENY && sc->address.families == WARDER_FAM_INET6 &&
	    (op & (WARDER_NET_BIND | WARDER_NET_LISTEN | WARDER_NET_ACCEPT)) &&
	    warder_net_is_any(&sc->address)) {
		struct warder_verdict other;

		sc->address.families = WARDER_FAM_INET;
		warder_net_mapped(&sc->address, 0);
		warder_decide_network(s->img, s->pr, &sc->address, op, &other);
		if (other.action == WARDER_DENY ||
		    (other.action != WARDER_ALLOW && v->action == WARDER_ALLOW))
			*v = other;
	}
}

/* Every operation on a socket that exists. `op_hook`: NET_OP() and NET_* bits. Returns the hook's result. */
__noinline __weak int net_socket(__u64 sk, __u64 address, __u32 len, __u64 op_hook)
{
	__u32 op = op_hook & NET_OP_MASK;
	struct hook_facts f = {
		.hook = op_hook >> 32,
		.class_ = WARDER_CLASS_NETWORK,
		.access = op,
	};
	struct subject s = {};
	struct warder_verdict v;
	struct scratch *sc;
	__u32 family;
	int what;

	HOOK_SUBJECT(&s, &f);
	if (!sk)
		return hook_fault(&s, &f, WARDER_FAULT_ARGUMENT, NULL);
	family = BPF_CORE_READ((struct sock *)sk, __sk_common.skc_family);
	if (family == WARDER_AF_UNIX)
		return net_unix(&s, &f, sk, address, len, op);
	if (net_is_trivial(&s, warder_net_family(family)))
		return 0;
	sc = scratch_take();
	if (!sc)
		return hook_fault(&s, &f, WARDER_FAULT_SCRATCH, NULL);
	what = net_gather(sk, address, len, (__u32)op_hook, &sc->address);
	if (what == NET_NOTHING || what == NET_SHORT) {
		scratch_give(sc);
		return what == NET_SHORT ? errno_return(NET_EINVAL) : 0;
	}
	net_decide(&s, sc, op, what, &v);
	return hook_end(&s, &v, &f, sc);
}

/* ---------------------------------------------------------------------- hooks */

/* Sockets that the kernel makes for itself, subflows of MPTCP among them, are not the task's. */
SEC("lsm/socket_create")
int BPF_PROG(warder_socket_create, int family, int type, int protocol, int kern)
{
	struct warder_verdict v;
	struct hook_facts f;
	struct scratch *sc;
	struct subject s;
	__u32 families;

	if (kern || current_is_plain())
		return 0;
	f = (struct hook_facts){
		.hook = WARDER_HOOK_SOCKET_CREATE,
		.class_ = WARDER_CLASS_NETWORK,
		.access = WARDER_NET_CREATE,
	};
	s = (struct subject){};
	HOOK_SUBJECT(&s, &f);
	families = warder_net_family(family);
	if (net_is_trivial(&s, families))
		return 0;
	sc = scratch_take();
	if (!sc)
		return hook_fault(&s, &f, WARDER_FAULT_SCRATCH, NULL);
	__builtin_memset(&sc->address, 0, sizeof(sc->address));
	sc->address.family = family;
	sc->address.families = families;
	if (families & WARDER_FAM_IP)
		sc->address.protocols = warder_net_protocol(type, protocol);
	warder_decide_network(s.img, s.pr, &sc->address, WARDER_NET_CREATE, &v);
	return hook_end(&s, &v, &f, sc);
}

SEC("lsm/socket_connect")
int BPF_PROG(warder_socket_connect, struct socket *sock, void *address, int addrlen)
{
	if (!current_is_tagged())
		return 0;
	return errno_return(-net_socket(unix_scalar(sock->sk), unix_scalar(address), addrlen,
					NET_OP(WARDER_NET_CONNECT, WARDER_HOOK_SOCKET_CONNECT)));
}

SEC("lsm/socket_bind")
int BPF_PROG(warder_socket_bind, struct socket *sock, void *address, int addrlen)
{
	if (!current_is_tagged())
		return 0;
	return errno_return(-net_socket(unix_scalar(sock->sk), unix_scalar(address), addrlen,
					NET_OP(WARDER_NET_BIND, WARDER_HOOK_SOCKET_BIND)));
}

SEC("lsm/socket_listen")
int BPF_PROG(warder_socket_listen, struct socket *sock, int backlog)
{
	if (!current_is_tagged())
		return 0;
	return errno_return(-net_socket(unix_scalar(sock->sk), 0, 0,
					NET_OP(WARDER_NET_LISTEN, WARDER_HOOK_SOCKET_LISTEN)));
}

/* Before a peer is there: judged by the address that the socket listens on. */
SEC("lsm/socket_accept")
int BPF_PROG(warder_socket_accept, struct socket *sock, struct socket *newsock)
{
	if (!current_is_tagged())
		return 0;
	return errno_return(-net_socket(unix_scalar(sock->sk), 0, 0,
					NET_OP(WARDER_NET_ACCEPT, WARDER_HOOK_SOCKET_ACCEPT)));
}

#define NET_SOL_IP 0
#define NET_SOL_IPV6 41
#define NET_IP_OPTIONS 4
#define NET_IP_RETOPTS 7
#define NET_IPV6_RTHDR 57
#define NET_IPV6_2292RTHDR 5
#define NET_IPV6_2292PKTOPTIONS 6

/*
 * IPv4 options and IPv6 routing headers can name hosts on the way: the kernel sends to the first
 * of them, and is told the last by connect(2) and sendmsg(2). No hook sees what they say: where
 * addresses are judged at all, they may not be set. With a socket handed in they were its
 * maker's choice.
 */
static __always_inline int net_is_route(__u32 level, __u32 name)
{
	if (level == NET_SOL_IP)
		return name == NET_IP_OPTIONS || name == NET_IP_RETOPTS;
	return level == NET_SOL_IPV6 && (name == NET_IPV6_RTHDR || name == NET_IPV6_2292RTHDR ||
					 name == NET_IPV6_2292PKTOPTIONS);
}

struct net_control {
	__u64 len; /* of the header and what follows */
	__u32 level;
	__u32 type;
};

/* With more control messages than that in one call the rest cannot be judged: refused. */
#define NET_CONTROLS 16

/* Is there a route among the control messages, which are the kernel's own copy? */
__noinline __weak int net_control_has_route(__u64 at, __u64 len)
{
	for (int i = 0; i < NET_CONTROLS; i++) {
		struct net_control c = {};
		__u64 step;

		if (len < sizeof(c))
			return 0;
		if (bpf_probe_read_kernel(&c, sizeof(c), (const void *)at))
			return 1;
		if (net_is_route(c.level, c.type))
			return 1;
		/* Malformed, or the last: the kernel reads no further. */
		step = (c.len + 7) & ~7ull;
		if (step < sizeof(c) || step >= len)
			return 0;
		at += step;
		len -= step;
	}
	return 1;
}

SEC("lsm/socket_setsockopt")
int BPF_PROG(warder_socket_setsockopt, struct socket *sock, int level, int optname)
{
	if (!net_is_route(level, optname) || !current_is_tagged())
		return 0;
	/* The same number asks only, there. */
	if (level == NET_SOL_IP && optname == NET_IP_RETOPTS)
		return 0;
	return errno_return(-net_socket(unix_scalar(sock->sk), 0, 0,
					NET_OP(WARDER_NET_CONNECT, WARDER_HOOK_SOCKET_CONNECT) |
						NET_ROUTE));
}

/*
 * With an address only: what goes to the connected peer was judged by connect. A netlink socket
 * without one speaks to the kernel, and was never connected. TCP ignores an address unless it is
 * told to connect to it at once. Sockets without a file are the kernel's own, on which it sends
 * for a task that may not know (network file systems).
 */
SEC("lsm/socket_sendmsg")
int BPF_PROG(warder_socket_sendmsg, struct socket *sock, struct msghdr *msg, int size)
{
	__u64 op = NET_OP(WARDER_NET_SEND, WARDER_HOOK_SOCKET_SENDMSG);
	void *name = msg->msg_name;
	__u32 family;
	struct sock *sk;

	if (!current_is_tagged())
		return 0;
	sk = sock->sk;
	if (!sk || !sock->file)
		return 0;
	family = sk->__sk_common.skc_family;
	if (msg->msg_controllen && warder_net_family(family) & WARDER_FAM_IP &&
	    net_control_has_route(unix_scalar(msg->msg_control), msg->msg_controllen))
		return errno_return(-net_socket(unix_scalar(sk), 0, 0, op | NET_ROUTE));
	if (!name && family != WARDER_AF_NETLINK)
		return 0;
	if ((family == WARDER_AF_INET || family == WARDER_AF_INET6) &&
	    warder_net_protocol(sk->sk_type, sk->sk_protocol) == WARDER_PROTO_TCP) {
		if (!(msg->msg_flags & NET_MSG_FASTOPEN))
			return 0;
		op = NET_OP(WARDER_NET_CONNECT, WARDER_HOOK_SOCKET_SENDMSG);
	}
	op |= NET_DATA;
	if (msg->msg_controllen)
		op |= NET_CONTROL;
	return errno_return(-net_socket(unix_scalar(sk), unix_scalar(name), name ? msg->msg_namelen : 0, op));
}

/* bind(2) of a unix socket to a path, under the name that the file gets. So is mknod(2) of a
 * socket's file, to which nothing is bound. The file class judges both as well. */
SEC("lsm/path_mknod")
int BPF_PROG(warder_socket_mknod, const struct path *dir, struct dentry *dentry, umode_t mode,
	     unsigned int dev)
{
	struct hook_facts f = {
		.hook = WARDER_HOOK_SOCKET_BIND,
		.class_ = WARDER_CLASS_NETWORK,
		.access = WARDER_NET_BIND,
	};
	struct subject s = {};
	struct warder_verdict v;
	struct scratch *sc;
	int name;

	if ((mode & WARDER_S_IFMT) != WARDER_S_IFSOCK)
		return 0;
	HOOK_SUBJECT(&s, &f);
	if (unix_is_trivial(&s))
		return 0;
	sc = scratch_take();
	if (!sc)
		return hook_fault(&s, &f, WARDER_FAULT_SCRATCH, NULL);
	name = gather_leaf(unix_scalar(dentry), &sc->text);
	if (name >= 0)
		name = gather_name((__u64)BPF_CORE_READ(dir, mnt, mnt_root),
				   (__u64)BPF_CORE_READ(dir, dentry), s.slot, &sc->text, name);
	if (name < 0 && name != GATHER_UNREACHABLE)
		return hook_fault(&s, &f, -name, sc);
	unix_note_name(&f, name);
	unix_decide_name(&s, sc, name, WARDER_NET_BIND, &v);
	return hook_end(&s, &v, &f, sc);
}

/* ----------------------------------------------------------------------- SCTP */

#define NET_SCTP_PRIMARY 6
#define NET_SCTP_PEER_PRIMARY 5
#define NET_SCTP_BINDX_ADD 100
#define NET_SCTP_CONNECTX 110
/* With more than that in one call the rest cannot be judged: refused. */
#define NET_SCTP_ADDRESSES 16

/*
 * Several addresses at once (sctp_bindx, sctp_connectx), or one that is used otherwise. What a
 * peer says over the wire of its own addresses comes here too, whoever is current then: not
 * the task's doing.
 */
SEC("lsm/sctp_bind_connect")
int BPF_PROG(warder_sctp_bind_connect, struct sock *sk, int optname, void *address, int addrlen)
{
	__u64 op = NET_OP(WARDER_NET_CONNECT, WARDER_HOOK_SOCKET_CONNECT);
	__u64 from, to, socket;
	int ret;

	if (!current_is_tagged())
		return 0;
	switch (optname) {
	case NET_SCTP_BINDX_ADD:
		op = NET_OP(WARDER_NET_BIND, WARDER_HOOK_SOCKET_BIND);
		break;
	case NET_SCTP_CONNECTX:
	case NET_SCTP_PRIMARY:
	case NET_SCTP_PEER_PRIMARY:
		break;
	default:
		return 0;
	}
	socket = unix_scalar(sk);
	from = unix_scalar(address);
	to = from + addrlen;
	for (int i = 0; i < NET_SCTP_ADDRESSES; i++) {
		__u16 family = 0;
		__u32 len;

		if (from >= to)
			return 0;
		if (bpf_probe_read_kernel(&family, sizeof(family), (const void *)from))
			break;
		len = family == WARDER_AF_INET ? NET_SOCKADDR_IN : 28;
		ret = net_socket(socket, from, len, op);
		if (ret)
			return errno_return(-ret);
		from += len;
	}
	return errno_return(WARDER_EACCES);
}

#endif
