/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Class "capability". lsm/capable runs when the kernel would grant a capability, and is also
 * where system calls of the new mount API are judged, which have no hook of their own;
 * fexit/cap_capable sees every capability that the kernel denied, to explain a refusal.
 */
#ifndef WARDER_CAPABILITY_BPF_H
#define WARDER_CAPABILITY_BPF_H

#include "core.bpf.h"
#include "mount.bpf.h"

#define WARDER_CAP_OPT_NOAUDIT 2
#define WARDER_CAP_SYS_ADMIN 21
#define WARDER_CAP_PERFMON 38
#define WARDER_PF_IO_WORKER 0x10

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

SEC("lsm/capable")
int BPF_PROG(warder_capable, const struct cred *cred, struct user_namespace *ns, int cap,
	     unsigned int opts, int ret)
{
	struct hook_facts f = { .hook = WARDER_HOOK_CAPABLE, .class_ = WARDER_CLASS_CAPABILITY };
	struct subject s = {};
	struct warder_verdict v;
	__u32 userns;

	if (ret)
		return errno_return(-ret);
	f.access = cap;
	switch (subject_current(&s)) {
	case SUBJECT_UNTAGGED:
		return 0;
	case SUBJECT_TAGGED:
		break;
	default:
		return hook_fault(&s, &f, s.fault, NULL);
	}
	if (capability_is_borrowed(&s, cred))
		return 0;
	userns = BPF_CORE_READ(ns, ns.inum);
	f.arg[0] = userns;
	if (capability_is_perfmon(s.tag, cap)) {
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
		s.tag->cap = cap;
		s.tag->cap_userns = userns;
	} else if (cap == WARDER_CAP_SYS_ADMIN && v.action == WARDER_ALLOW) {
		/* One verdict, one event: the mount class speaks where the capability is granted. */
		struct warder_verdict mount;

		f.arg[1] = mount_call_judge(s.img, s.pr, &mount);
		if (f.arg[1] && (mount.action != WARDER_ALLOW || mount.report)) {
			f.class_ = WARDER_CLASS_MOUNT;
			f.access = mount.access;
			return hook_end(&s, &mount, &f, NULL);
		}
	}
	return hook_end(&s, &v, &f, NULL);
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
	switch (subject_current(&s)) {
	case SUBJECT_UNTAGGED:
		return 0;
	case SUBJECT_TAGGED:
		break;
	default:
		return hook_fault(&s, &f, s.fault, NULL);
	}
	warder_verdict_allow(&v);
	warder_verdict_deny(&v, WARDER_WHY_BASELINE, WARDER_EPERM);
	return hook_end(&s, &v, &f, NULL);
}

#endif
