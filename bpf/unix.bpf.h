/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Unix sockets: who is at the other end, and under which name.
 *
 * Sockets carry the tag of who made them. A connection or datagram within the container is judged
 * by ipc rules and by network rules; to a socket of another container an ipc rule must allow it
 * besides; to one of the host a network rule must allow the very path or abstract name. Without
 * that it is the baseline that refuses, in every mode.
 *
 * The name is the peer socket's own, found from where it was bound as files are named, and not
 * what the caller wrote: symbolic links, folders opened before, bind mounts and other roots
 * change nothing. A hard link to a socket is known by the name that was bound; when that one is
 * gone, the socket is unreachable.
 */
#ifndef WARDER_UNIX_BPF_H
#define WARDER_UNIX_BPF_H

#include "core.bpf.h"
#include "gather.bpf.h"
#include "peer.bpf.h"

/* Result of unix_gather() beside those of gather.bpf.h. */
#define UNIX_UNNAMED 0
#define UNIX_ABSTRACT 0x10000 /* or'ed to the name's length; it lies at text.b[1], behind '@' */
#define UNIX_NAME_MAX 107     /* of an abstract name, without its NUL */

/* The pointer as a number: a function of its own takes no typed ones. */
static __always_inline __u64 unix_scalar(const void *p)
{
	__u64 n = 0;

	bpf_probe_read_kernel(&n, sizeof(n), &p);
	return n;
}

/* Sockets carry the tag of who made them, ends of a pair included. An accepted one has none:
 * nobody can connect or send to it but its peer. */
SEC("lsm/socket_post_create")
int BPF_PROG(warder_socket_made, struct socket *sock, int family, int type, int protocol,
	     int kern)
{
	struct sock_tag tag = {};
	struct hook_facts f;
	struct subject s;
	struct sock *sk;

	if (family != WARDER_AF_UNIX || kern || current_is_plain())
		return 0;
	f = (struct hook_facts){ .hook = WARDER_HOOK_UNIX_CONNECT, .class_ = WARDER_CLASS_IPC };
	s = (struct subject){};
	HOOK_SUBJECT(&s, &f);
	tag.cid = s.tag->cid;
	tag.slot = s.slot;
	sk = sock->sk;
	if (!sk || !bpf_sk_storage_get(&warder_socks, sk, &tag, BPF_LOCAL_STORAGE_GET_F_CREATE))
		return hook_fault(&s, &f, WARDER_FAULT_MAP_FULL, NULL);
	return 0;
}

/* ---------------------------------------------------------------------- names */

/* Puts an abstract name behind '@' at the front of the text. Returns its length, or -1. */
static __always_inline int unix_put_abstract(struct warder_text *text, const char *name, int len)
{
	if (len < 0 || len > UNIX_NAME_MAX)
		return -1;
	asm volatile("" : "+r"(len));
	len &= 127;
	if (len > UNIX_NAME_MAX)
		return -1;
	text->b[0] = '@';
	if (len && bpf_probe_read_kernel(text->b + 1, len, name))
		return -1;
	return len;
}

/*
 * The name to which the socket is bound, in container `slot`: the path's place in the text as
 * gather_name() returns it, or UNIX_ABSTRACT and a length, or UNIX_UNNAMED.
 */
__noinline __weak int unix_gather(__u64 sock, __u32 slot, struct warder_text *text)
{
	struct unix_sock *u = (struct unix_sock *)sock;
	struct unix_address *addr;
	struct dentry *dentry;
	int len;

	if (!text)
		return -WARDER_FAULT_SCRATCH;
	dentry = BPF_CORE_READ(u, path.dentry);
	if (dentry)
		return gather_name((__u64)BPF_CORE_READ(u, path.mnt, mnt_root), (__u64)dentry, slot,
				   text, WARDER_PATH_MAX);
	addr = BPF_CORE_READ(u, addr);
	if (!addr)
		return UNIX_UNNAMED;
	/* The family's two bytes and the NUL in front. */
	len = unix_put_abstract(text,
				(const char *)addr +
					bpf_core_field_offset(struct unix_address, name) +
					bpf_core_field_offset(struct sockaddr_un, sun_path) + 1,
				BPF_CORE_READ(addr, len) - 3);
	return len < 0 ? -WARDER_FAULT_NAME_READ : UNIX_ABSTRACT | len;
}

/* Where the name lies, for the event: '@' stands before an abstract one. */
static __always_inline void unix_note_name(struct hook_facts *f, int name)
{
	if (name == GATHER_UNREACHABLE || name == UNIX_UNNAMED)
		return;
	f->off = name & UNIX_ABSTRACT ? 0 : name & (WARDER_PATH_MAX - 1);
	f->len = name & UNIX_ABSTRACT ? (name & 127) + 1 : WARDER_PATH_MAX - f->off;
}

/*
 * The network rules' verdict on `op` and the name that unix_gather() or another found in
 * sc->text. Returns 1 when a rule allows it by name.
 */
static __always_inline int unix_decide_name(struct subject *s, struct scratch *sc, int name,
					    __u32 op, struct warder_verdict *v)
{
	__u32 off, len, start;

	__builtin_memset(&sc->address, 0, sizeof(sc->address));
	sc->address.families = WARDER_FAM_UNIX;
	sc->address.family = WARDER_AF_UNIX;
	if (name == GATHER_UNREACHABLE) {
		warder_decide_net_unreachable(s->img, s->pr, WARDER_FAM_UNIX, op, v);
		return 0;
	}
	if (name == UNIX_UNNAMED) {
		warder_decide_network(s->img, s->pr, &sc->address, op, v);
		return 0;
	}
	if (name & UNIX_ABSTRACT) {
		start = WARDER_START_ABSTRACT;
		off = 1;
		len = name & 127;
	} else {
		start = WARDER_START_UNIX;
		off = name & (WARDER_PATH_MAX - 1);
		len = WARDER_PATH_MAX - off;
	}
	return warder_decide_unix(s->img, s->pr, &sc->text, off, len, start, &sc->address, op, v);
}

/* Nothing of the profile refuses, reports or records what is done with unix sockets. */
static __always_inline int unix_is_trivial(struct subject *s)
{
	return s->img->h.mode != WARDER_MODE_LEARN &&
	       warder_net_is_silent(s->img, s->pr, WARDER_FAM_UNIX);
}

/* `op` on a socket of one's own, by the name that it is bound to: listen, accept. */
static __always_inline int unix_judge_own(struct subject *s, struct hook_facts *f, __u64 sk,
					  __u32 op)
{
	struct warder_verdict v;
	struct scratch *sc;
	int name;

	if (unix_is_trivial(s))
		return 0;
	sc = scratch_take();
	if (!sc)
		return hook_fault(s, f, WARDER_FAULT_SCRATCH, NULL);
	name = unix_gather(sk, s->slot, &sc->text);
	if (name < 0 && name != GATHER_UNREACHABLE)
		return hook_fault(s, f, -name, sc);
	unix_note_name(f, name);
	unix_decide_name(s, sc, name, op, &v);
	return hook_end(s, &v, f, sc);
}

/* ----------------------------------------------------------------------- peers */

/* What ipc rules say of a unix socket of container `cid` (0: of the host). The request lies in
 * the scratch: the stack has no room for two names. */
static __always_inline void unix_decide_border(struct subject *s, struct scratch *sc, __u64 cid,
					       __u32 slot, struct warder_verdict *v)
{
	struct warder_peer_request *r = (struct warder_peer_request *)sc->second.b;

	__builtin_memset(r, 0, sizeof(*r));
	r->op = WARDER_IPC_UNIX;
	r->class_ = WARDER_CLASS_IPC;
	/* Of the maker only the container is known: its profile counts as the caller's. */
	peer_request_fill(r, s, cid, slot, s->tag->profile_id);
	warder_decide_peer(s->img, s->pr, r, v);
}

/* May the current task connect or send (`op`) to `peer`? */
static __always_inline int unix_judge_peer(struct subject *s, struct hook_facts *f,
					   struct sock *peer, __u32 op)
{
	struct sock_tag *tag = bpf_sk_storage_get(&warder_socks, peer, NULL, 0);
	__u32 slot = tag ? tag->slot : 0, supervisor = tag && tag->open;
	__u64 cid = tag ? tag->cid : 0;
	struct warder_verdict v;
	struct scratch *sc;
	int name, named;

	/* The supervisor's own carries the id of the container that it serves. To others it is a
	 * socket of the host that no rule can name. */
	if (supervisor) {
		if (cid == s->tag->cid)
			return 0;
		cid = 0;
	}
	f->access = WARDER_IPC_UNIX;
	f->arg[1] = cid;
	sc = scratch_take();
	if (!sc)
		return hook_fault(s, f, WARDER_FAULT_SCRATCH, NULL);
	unix_decide_border(s, sc, cid, slot, &v);
	if (cid == s->tag->cid && v.action == WARDER_ALLOW && !v.report && unix_is_trivial(s)) {
		scratch_give(sc);
		return 0;
	}
	name = unix_gather(unix_scalar(peer), s->slot, &sc->text);
	if (name < 0 && name != GATHER_UNREACHABLE)
		return hook_fault(s, f, -name, sc);
	unix_note_name(f, name);
	if (warder_unix_border_ends(&v, !cid, subject_is_stacked(s)))
		return hook_end(s, &v, f, sc);
	/* What one policy of a stack lets pass, another may refuse by the name. */
	if (v.action != WARDER_DENY && v.report)
		event_emit(&v, f, sc, s->slot, WARDER_EVENT_VERDICT);
	named = unix_decide_name(s, sc, name, op, &v);
	if (warder_unix_close(&v, !cid, named && !supervisor))
		return hook_end(s, &v, f, sc);
	f->class_ = WARDER_CLASS_NETWORK;
	f->access = op;
	return hook_end(s, &v, f, sc);
}

SEC("lsm/unix_stream_connect")
int BPF_PROG(warder_unix_connect, struct sock *sock, struct sock *other, struct sock *newsk)
{
	struct hook_facts f;
	struct subject s;

	if (current_is_plain())
		return 0;
	f = (struct hook_facts){ .hook = WARDER_HOOK_UNIX_CONNECT, .class_ = WARDER_CLASS_IPC };
	s = (struct subject){};
	HOOK_SUBJECT(&s, &f);
	return unix_judge_peer(&s, &f, other, WARDER_NET_CONNECT);
}

/* Datagram sockets: connect(2), and every datagram. */
SEC("lsm/unix_may_send")
int BPF_PROG(warder_unix_send, struct socket *sock, struct socket *other)
{
	struct sock *own, *peer;
	struct sock_tag *tag;
	struct hook_facts f;
	struct subject s;

	if (current_is_plain())
		return 0;
	f = (struct hook_facts){ .hook = WARDER_HOOK_UNIX_SEND, .class_ = WARDER_CLASS_IPC };
	s = (struct subject){};
	HOOK_SUBJECT(&s, &f);
	own = sock->sk;
	peer = other->sk;
	if (!own || !peer)
		return hook_fault(&s, &f, WARDER_FAULT_ARGUMENT, NULL);
	/* Connected to this peer already: judged when that was done, if by this container. Handed
	 * in connected by somebody outside, it was their choice; connecting it anew comes here
	 * first, with another peer. */
	if (BPF_CORE_READ((struct unix_sock *)own, peer) == peer) {
		tag = bpf_sk_storage_get(&warder_socks, own, NULL, 0);
		if (!tag || tag->cid == s.tag->cid)
			return 0;
	}
	/* Which of the two it is, socket_connect or socket_sendmsg has noted just now. */
	return unix_judge_peer(&s, &f, peer,
			       s.tag->net_op == WARDER_NET_CONNECT ? WARDER_NET_CONNECT :
								     WARDER_NET_SEND);
}

#endif
