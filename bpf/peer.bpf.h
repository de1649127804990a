/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Classes "ptrace" and "signal": what a task does to another. Tasks outside the container are
 * out of reach in every mode unless a rule names them; the engine knows, see
 * warder_decide_peer.h. Untagged tasks are never restricted here.
 */
#ifndef WARDER_PEER_BPF_H
#define WARDER_PEER_BPF_H

#include "core.bpf.h"
#include "identity.bpf.h"

/* The inode number of the first IPC namespace (PROC_IPC_INIT_INO). */
#define WARDER_IPC_INIT_INO 0xefffffffu

#define PTRACE_MODE_READ 0x01
#define PTRACE_MODE_NOAUDIT 0x04

/* In which layers of a stack the peer, in the profile of that id, is in the same profile as the task
 * at `pr`. One that the policy has no more is in none. */
__noinline __weak int peer_common(const struct warder_image *img, __u32 pr, __u32 profile_id)
{
	int n = img ? profile_search(img, profile_id) : 0;

	return n > 0 && img ? warder_profile_common(img, pr, warder_profile_at(img, n - 1)) : 0;
}

/* Who the peer is: `cid` 0 is the host. Names are looked up only for another container. */
static __always_inline __u32 peer_request_fill(struct warder_peer_request *r, struct subject *s,
					       __u64 cid, __u32 slot, __u32 profile_id)
{
	struct warder_image *img;
	struct warder_ctr *ctr;
	__u32 policy, zero = 0;
	void *inner;

	if (!cid) {
		r->relation = WARDER_RELATION_HOST;
		return 0;
	}
	if (cid == s->tag->cid) {
		r->relation = profile_id == s->tag->profile_id ? WARDER_RELATION_SAME :
								 WARDER_RELATION_CONTAINER;
		if (r->relation == WARDER_RELATION_CONTAINER && subject_is_stacked(s))
			r->common = peer_common(s->img, s->pr, profile_id);
		return 0;
	}
	r->relation = WARDER_RELATION_OTHER;
	ctr = bpf_map_lookup_elem(&warder_ctrs, &slot);
	/* A container that has gone has no name: only refused by that. */
	if (!ctr || ctr->cid != cid)
		return 0;
	__builtin_memcpy(r->name, ctr->name, sizeof(r->name));
	policy = ctr->policy;
	inner = bpf_map_lookup_elem(&warder_images, &policy);
	img = inner ? bpf_map_lookup_elem(inner, &zero) : NULL;
	if (!img)
		return 0;
	for (__u32 i = 0; i < WARDER_LAYERS_MAX; i++)
		__builtin_memcpy(r->policy[i], img->h.layer[i].policy, sizeof(r->policy[i]));
	return 0;
}

/*
 * The verdict of the current task's policy on `op` of `class_` upon an object of container
 * `cid` (0: of the host). `slot` is the owner's, `profile_id` its profile; an object that only
 * its container is known of is passed with the current task's own profile.
 */
__noinline __weak int peer_decide(struct warder_verdict *v, __u32 class_, __u64 op, __u64 cid,
				  __u64 slot_profile)
{
	struct warder_peer_request *r;
	struct subject s = {};
	struct scratch *sc;

	if (!v)
		return WARDER_FAULT_ARGUMENT;
	if (subject_current(&s) != SUBJECT_TAGGED)
		return s.fault ? s.fault : WARDER_FAULT_ARGUMENT;
	/* Two names do not fit on the stack below the hooks that ask. */
	sc = scratch_take();
	if (!sc)
		return WARDER_FAULT_SCRATCH;
	r = (struct warder_peer_request *)&sc->second;
	__builtin_memset(r, 0, sizeof(*r));
	r->op = op;
	r->class_ = class_;
	peer_request_fill(r, &s, cid, slot_profile >> 32, (__u32)slot_profile);
	warder_decide_peer(s.img, s.pr, r, v);
	scratch_give(sc);
	return 0;
}

/* May the current task do `op` to `peer`? `quiet`: a probe, which nobody needs to hear of. */
static __always_inline int peer_task(struct task_struct *peer, __u32 hook, __u32 class_, __u64 op,
				     __u32 access, int quiet)
{
	struct warder_verdict v;
	struct warder_task *tag;
	struct hook_facts f;
	struct subject s;
	__u32 fault;

	if (current_is_plain())
		return 0;
	f = (struct hook_facts){ .hook = hook, .class_ = class_, .access = access };
	s = (struct subject){};
	HOOK_SUBJECT(&s, &f);
	tag = task_tag(peer, &fault);
	if (fault)
		return hook_fault(&s, &f, fault, NULL);
	/* A task may always act on itself: its own memory, its own signals. */
	if (peer == bpf_get_current_task_btf())
		return 0;
	warder_verdict_allow(&v);
	fault = peer_decide(&v, class_, op, tag ? tag->cid : 0,
			    tag ? (__u64)tag->slot << 32 | tag->profile_id : 0);
	if (fault)
		return hook_fault(&s, &f, fault, NULL);
	if (quiet && v.action == WARDER_DENY)
		return errno_return(v.err ? v.err : WARDER_EPERM);
	f.arg[0] = (__u32)BPF_CORE_READ(peer, tgid);
	f.arg[1] = tag ? tag->cid : 0;
	/* Ids of profiles mean something in one policy. */
	if (tag && tag->cid == s.tag->cid)
		f.arg[0] |= (__u64)tag->profile_id << 32;
	return hook_end(&s, &v, &f, NULL);
}

/* ptrace, /proc/PID/{mem,root,fd,...}, process_vm_readv, pidfd_getfd, kcmp, perf on a task. */
SEC("lsm/ptrace_access_check")
int BPF_PROG(warder_ptrace_access, struct task_struct *child, unsigned int mode, int ret)
{
	__u64 op = mode & PTRACE_MODE_READ ? WARDER_PTRACE_READ : WARDER_PTRACE_TRACE;

	if (ret)
		return errno_return(-ret);
	return peer_task(child, WARDER_HOOK_PTRACE_ACCESS, WARDER_CLASS_PTRACE, op, mode,
			 mode & PTRACE_MODE_NOAUDIT);
}

/* The parent would become the tracer. An untagged parent did not ask for it: a supervisor or
 * runtime would meet stops in its wait() that it does not expect. Who wants to trace a
 * container from the host attaches. */
SEC("lsm/ptrace_traceme")
int BPF_PROG(warder_ptrace_traceme, struct task_struct *parent, int ret)
{
	if (ret)
		return errno_return(-ret);
	return peer_task(parent, WARDER_HOOK_PTRACE_TRACEME, WARDER_CLASS_PTRACE,
			 WARDER_PTRACE_TRACE, 0, 0);
}

static __always_inline __u64 peer_signal_op(int sig)
{
	return sig >= 1 && sig <= 64 ? 1ull << ((sig - 1) & 63) : 0;
}

/*
 * Runs for signals that a task sends; the kernel's own never come here. With `cred` the sender
 * is not the current task but who submitted the USB request that is done now, and the receiver
 * is that same process; judged as if the current task sent it, which can only refuse more.
 */
SEC("lsm/task_kill")
int BPF_PROG(warder_task_kill, struct task_struct *p, void *info, int sig,
	     const struct cred *cred, int ret)
{
	struct warder_task *tag;
	__u32 fault;

	if (ret)
		return errno_return(-ret);
	/* What user space has tagged starts to count here, see identity.bpf.h. An exiting one
	 * whose exit was not seen with a tag never counts. */
	if (!task_tag(bpf_get_current_task_btf(), &fault) && !fault) {
		tag = task_tag(p, &fault);
		if (tag && !tag->flags && !(BPF_CORE_READ(p, flags) & WARDER_PF_EXITING))
			identity_count(tag);
		return 0;
	}
	return peer_task(p, WARDER_HOOK_TASK_KILL, WARDER_CLASS_SIGNAL, peer_signal_op(sig), sig, 0);
}

/* Priority, scheduling, limits, page migration, process group: as a signal that only asks. */
#define PEER_CONTROL(name, hook)                                                                \
	SEC("lsm/" #hook)                                                                       \
	int BPF_PROG(name, struct task_struct *p)                                               \
	{                                                                                       \
		return peer_task(p, WARDER_HOOK_TASK_CONTROL, WARDER_CLASS_SIGNAL, 0, 0, 0);    \
	}

PEER_CONTROL(warder_task_setnice, task_setnice)
PEER_CONTROL(warder_task_setioprio, task_setioprio)
PEER_CONTROL(warder_task_setscheduler, task_setscheduler)
PEER_CONTROL(warder_task_setrlimit, task_setrlimit)
PEER_CONTROL(warder_task_movememory, task_movememory)
PEER_CONTROL(warder_task_setpgid, task_setpgid)

/* -------------------------------------------------------------------- objects */

/* Asks the engine about an object of container `cid` (0: of the host). */
static __always_inline int peer_judge_object(__u32 hook, __u32 class_, __u64 op, __u64 cid,
					     __u32 slot, __u64 arg)
{
	struct warder_verdict v;
	struct hook_facts f;
	struct subject s;
	__u32 fault;

	if (current_is_plain())
		return 0;
	f = (struct hook_facts){ .hook = hook, .class_ = class_, .access = (__u32)op };
	s = (struct subject){};
	HOOK_SUBJECT(&s, &f);
	warder_verdict_allow(&v);
	/* Objects have no profile: their maker may have been in any. */
	fault = peer_decide(&v, class_, op, cid, (__u64)slot << 32 | s.tag->profile_id);
	if (fault)
		return hook_fault(&s, &f, fault, NULL);
	f.arg[0] = arg;
	f.arg[1] = cid;
	return hook_end(&s, &v, &f, NULL);
}

/* Queues of the first IPC namespace are the host's, unless a container made them. */
static __always_inline int peer_mqueue_is_host(struct inode *inode)
{
	struct ipc_namespace *ns = (struct ipc_namespace *)BPF_CORE_READ(inode, i_sb, s_fs_info);

	return BPF_CORE_READ(ns, ns.inum) == WARDER_IPC_INIT_INO;
}

/*
 * Opening or removing a queue of messages: 0 or a negative errno. `at` is its inode. Who made it
 * is recorded in ipc.bpf.h; what nobody recorded in another IPC namespace than the host's was made
 * by whoever prepared that namespace for its containers, and is their own.
 */
__noinline __weak int peer_judge_mqueue(__u64 at)
{
	struct owner_tag *owner = bpf_map_lookup_elem(&warder_ipcs, &at);
	struct inode *inode = (struct inode *)at;
	struct warder_task *tag;
	__u64 cid = 0;
	__u32 fault;

	/* The end of an earlier queue with this inode was missed. */
	if (owner && owner->ino != (__u32)BPF_CORE_READ(inode, i_ino))
		owner = NULL;
	if (owner) {
		cid = owner->cid;
	} else if (!peer_mqueue_is_host(inode)) {
		/* A tag that cannot be read is a fault below. */
		tag = task_tag(bpf_get_current_task_btf(), &fault);
		cid = tag ? tag->cid : 0;
	}
	return peer_judge_object(WARDER_HOOK_FILE_OPEN, WARDER_CLASS_IPC, WARDER_IPC_MQ, cid,
				 owner ? owner->slot : 0, BPF_CORE_READ(inode, i_ino));
}

#endif
