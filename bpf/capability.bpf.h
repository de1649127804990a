/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Class "capability". lsm/capable runs when the kernel would grant a capability, and is also
 * where system calls are judged that have no hook of their own: those of the new mount API, of
 * namespaces, and some of the kernel surfaces;
 * fexit/cap_capable sees every capability that the kernel denied, to explain a refusal.
 */
#ifndef WARDER_CAPABILITY_BPF_H
#define WARDER_CAPABILITY_BPF_H

#include "core.bpf.h"
#include "mount.bpf.h"
#include "namespace.bpf.h"
#include "surface.bpf.h"

#define WARDER_CAP_OPT_NOAUDIT 2
#define WARDER_CAP_SYS_ADMIN 21
#define WARDER_CAP_PERFMON 38
/* Capabilities for which the system call under way is looked at. */
#define CAPABILITY_OF_CALLS                                                                   \
	(1ull << CAP_DAC_READ_SEARCH | 1ull << CAP_SYS_MODULE | 1ull << CAP_SYS_RAWIO |       \
	 1ull << CAP_SYS_PACCT | 1ull << CAP_SYS_ADMIN | 1ull << CAP_SYS_BOOT |               \
	 1ull << CAP_SYS_TIME)
#define WARDER_PF_IO_WORKER 0x10
/* Of capability_judge(): there is nothing to judge. */
#define CAPABILITY_BORROWED 1

/*
 * Does the kernel act with other credentials than the task's own? Overlayfs does so on its
 * layers, with those of the host task that mounted it: copying a file up is no use of a
 * capability by the container. Not so when the credentials may be a container's: those of a
 * file system that it stacked itself, or of io_uring, whose workers take the submitter's
 * (and whose registered personalities warder_uring_creds refuses).
 */
static __always_inline int capability_is_borrowed(struct subject *s, const struct cred *cred)
{
	struct task_struct *task = bpf_get_current_task_btf();

	if (cred != task->cred || task->cred == task->real_cred)
		return 0;
	return !(task->flags & WARDER_PF_IO_WORKER) && !s->stats->stacked;
}

/*
 * Newer kernels let CAP_PERFMON, or CAP_SYS_ADMIN in its place, read any task's memory where
 * ptrace_access_check has refused it (mm_access(), kernel/fork.c). No container may use either
 * of them so: CAP_PERFMON is refused, and CAP_SYS_ADMIN when it is asked for right after, which
 * is what perfmon_capable() does.
 */
static __always_inline int capability_is_perfmon(struct warder_task *tag, int cap)
{
	int instead = cap == WARDER_CAP_SYS_ADMIN && tag->perfmon;

	tag->perfmon = cap == WARDER_CAP_PERFMON;
	return instead || tag->perfmon;
}

/* What the policy says of the capability itself, and of mounting. */
static __noinline int capability_judge(const struct cred *cred, struct user_namespace *ns, int cap,
				       unsigned int opts)
{
	struct hook_facts f = { .hook = WARDER_HOOK_CAPABLE, .class_ = WARDER_CLASS_CAPABILITY };
	struct subject s = {};
	struct warder_verdict v;
	__u32 userns;

	f.access = cap;
	HOOK_SUBJECT(&s, &f);
	if (capability_is_borrowed(&s, cred))
		return CAPABILITY_BORROWED;
	userns = BPF_CORE_READ(ns, ns.inum);
	f.arg[0] = userns;
	if (!(s.img->h.unsafe & WARDER_UNSAFE_PERFMON) && capability_is_perfmon(s.tag, cap)) {
		warder_verdict_allow(&v);
		warder_verdict_deny(&v, WARDER_WHY_BASELINE, WARDER_EPERM);
		return hook_end(&s, &v, &f, NULL);
	}
	warder_decide_capability(s.img, s.pr, cap, &v);
	if (opts & WARDER_CAP_OPT_NOAUDIT) {
		/* A probe: it must not be told yes, but nobody asked for anything. */
		return v.action == WARDER_DENY ? errno_return(v.err ? v.err : WARDER_EPERM) : 0;
	}
	if (v.action == WARDER_DENY) {
		cause_freshen(s.tag);
		s.tag->cap = cap;
		s.tag->cap_userns = userns;
	} else if (cap == WARDER_CAP_SYS_ADMIN &&
		   (v.action == WARDER_ALLOW || subject_is_stacked(&s))) {
		/* One verdict, one event: the mount class speaks where the capability is granted. */
		struct warder_verdict mount;

		f.arg[1] = mount_call_judge(s.img, s.pr, &mount);
		if (f.arg[1] && (mount.action == WARDER_DENY ||
				 (v.action == WARDER_ALLOW &&
				  (mount.action != WARDER_ALLOW || mount.report)))) {
			f.class_ = WARDER_CLASS_MOUNT;
			f.access = mount.access;
			return hook_end(&s, &mount, &f, NULL);
		}
	}
	return hook_end(&s, &v, &f, NULL);
}

/* What the policy says of the system call that asks for `cap`, which is granted, if it is one of
 * those without a hook of their own. Another function beside the above for the stack's sake. */
static __noinline int capability_judge_call(int cap)
{
	struct call c;
	__u32 asked;
	int err = 0;

	if (!(CAPABILITY_OF_CALLS >> (cap & 63) & 1))
		return 0;
	call_get(&c);
	asked = surface_asked_by(&c, cap);
	if (asked)
		err = switch_judge(WARDER_BITS_KERNEL, asked, WARDER_HOOK_CAPABLE, c.nr);
	if (err || cap != CAP_SYS_ADMIN)
		return err;
	asked = namespace_asked_by(&c);
	return asked ? switch_judge(WARDER_BITS_NAMESPACE, asked, WARDER_HOOK_NAMESPACE, c.nr) : 0;
}

SEC("lsm/capable")
int BPF_PROG(warder_capable, const struct cred *cred, struct user_namespace *ns, int cap,
	     unsigned int opts, int ret)
{
	int err;

	if (ret)
		return errno_return(-ret);
	if (!current_is_tagged())
		return 0;
	err = capability_judge(cred, ns, cap, opts);
	if (err == CAPABILITY_BORROWED)
		return 0;
	if (!err && !(opts & WARDER_CAP_OPT_NOAUDIT))
		err = capability_judge_call(cap);
	return errno_return(-err);
}

SEC("fexit/cap_capable")
int BPF_PROG(warder_cap_capable, const struct cred *cred, struct user_namespace *ns, int cap,
	     unsigned int opts, int ret)
{
	struct warder_task *tag;
	__u32 fault;

	if (!ret || (opts & WARDER_CAP_OPT_NOAUDIT))
		return 0;
	/* Without its tag the refusal stays unexplained: nothing is granted by that. */
	tag = task_tag(bpf_get_current_task_btf(), &fault);
	if (!tag)
		return 0;
	tag->perfmon = cap == WARDER_CAP_PERFMON;
	cause_freshen(tag);
	if (tag->cause <= WARDER_REFUSAL_CAPABILITY) {
		tag->cause = WARDER_REFUSAL_CAPABILITY;
		tag->cap = cap;
		tag->cap_userns = BPF_CORE_READ(ns, ns.inum);
		tag->rule = 0;
	}
	return 0;
}

/* Credentials registered with a ring would make capability_is_borrowed() take them for the
 * kernel's own, and can come from outside with the ring's descriptor. */
SEC("lsm/uring_override_creds")
int BPF_PROG(warder_uring_creds, const struct cred *new_, int ret)
{
	struct hook_facts f = { .hook = WARDER_HOOK_URING_CREDS, .class_ = WARDER_CLASS_CAPABILITY };
	struct subject s = {};
	struct warder_verdict v;

	if (ret)
		return errno_return(-ret);
	HOOK_SUBJECT(&s, &f);
	warder_verdict_allow(&v);
	warder_verdict_deny(&v, WARDER_WHY_BASELINE, WARDER_EPERM);
	return hook_end(&s, &v, &f, NULL);
}

#endif
