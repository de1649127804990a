/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Identity: a new task has its maker's tag, and nothing takes a tag away. User space tags the
 * first task of a container; from then on only task_alloc writes tags, whatever way a task is
 * made (fork, vfork, clone3, threads, io_uring's workers). Exec keeps the task and so the tag.
 *
 * Counting: a task counts from the moment it is woken for the first time, because a fork can
 * still fail after task_alloc, until its exit. What user space tags is counted at the first
 * signal that an untagged task sends it, signal 0 included: see identity_count().
 */
#ifndef WARDER_IDENTITY_BPF_H
#define WARDER_IDENTITY_BPF_H

#include "core.bpf.h"

#define WARDER_EAGAIN 11
#define WARDER_PF_EXITING 0x4
#define WARDER_SIGNAL_GROUP_EXIT 0x4

/* Counts a tagged task once. One whose exit was or will be seen without it is left out. */
static __always_inline void identity_count(struct warder_task *tag)
{
	struct warder_stats *stats;
	__u32 slot = tag->slot;

	if (__sync_val_compare_and_swap(&tag->flags, 0, WARDER_TASK_COUNTED))
		return;
	stats = bpf_map_lookup_elem(&warder_stats, &slot);
	if (stats)
		__sync_fetch_and_add(&stats->tasks, 1);
}

/* How an adopted container is being left: WARDER_CTR_DEAD, WARDER_CTR_RELEASED, 0: not. */
static __always_inline int identity_leaving(const struct warder_task *tag)
{
	__u32 slot = tag->slot;
	struct warder_ctr *ctr = bpf_map_lookup_elem(&warder_ctrs, &slot);

	if (!ctr || ctr->cid != tag->cid || !ctr->foreign || ctr->state < WARDER_CTR_DEAD)
		return 0;
	return ctr->state == WARDER_CTR_RELEASED ? WARDER_CTR_RELEASED : WARDER_CTR_DEAD;
}

SEC("lsm/task_alloc")
int BPF_PROG(warder_task_alloc, struct task_struct *task, unsigned long clone_flags, int ret)
{
	struct warder_task tag = {};
	struct hook_facts f;
	struct subject s;
	int leaving;

	if (ret)
		return errno_return(-ret);
	if (current_is_plain())
		return 0;
	f = (struct hook_facts){ .hook = WARDER_HOOK_TASK_ALLOC, .class_ = WARDER_CLASS_IDENTITY };
	s = (struct subject){};
	/* A task of a container that is being torn down may fork, and its child is refused
	 * everything as it is; adopted ones are ended, or let go, task by task. */
	s.tag = task_tag(bpf_get_current_task_btf(), &s.fault);
	if (!s.tag) {
		if (!s.fault)
			return 0;
		return hook_fault_as(&s, &f, WARDER_FAULT_TAG_COPY, NULL, WARDER_EAGAIN);
	}
	leaving = identity_leaving(s.tag);
	if (leaving == WARDER_CTR_RELEASED)
		return 0;
	if (leaving)
		return -WARDER_EAGAIN;
	tag.cid = s.tag->cid;
	tag.slot = s.tag->slot;
	tag.profile = s.tag->profile;
	tag.profile_id = s.tag->profile_id;
	key_own_forget(task_address(task));
	if (bpf_task_storage_get(&warder_tasks, task, &tag, BPF_LOCAL_STORAGE_GET_F_CREATE))
		return 0;
	s.slot = tag.slot;
	s.ctr = bpf_map_lookup_elem(&warder_ctrs, &s.slot);
	s.stats = bpf_map_lookup_elem(&warder_stats, &s.slot);
	return hook_fault_as(&s, &f, WARDER_FAULT_TAG_COPY, NULL, WARDER_EAGAIN);
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(warder_wakeup_new, struct task_struct *task)
{
	struct warder_task *tag;
	__u32 fault;

	tag = task_tag(task, &fault);
	if (tag)
		identity_count(tag);
	else if (fault)
		fault_count(fault);
	return 0;
}

/*
 * The exit of a container's first process, as wait(2) tells it: the group's code when the whole
 * group was ended (exit_group, a fatal signal), else what the leader gave to exit(2).
 * Of threads that end at once several can see that none is left; the leader's own code is
 * valid once its exit was seen, and of leader and last thread the later one sees both.
 */
static __always_inline void identity_init_exit(struct task_struct *task, struct warder_task *tag)
{
	struct task_struct *leader = task->group_leader;
	struct signal_struct *signal = task->signal;
	struct warder_stats *stats;
	struct warder_task *leader_tag;
	struct warder_ctr *ctr;
	__u32 slot = tag->slot, fault;
	int code;

	ctr = bpf_map_lookup_elem(&warder_ctrs, &slot);
	stats = bpf_map_lookup_elem(&warder_stats, &slot);
	if (!ctr || !stats || ctr->cid != tag->cid || ctr->init_tgid != (__u32)task->tgid)
		return;
	if (BPF_CORE_READ(signal, live.counter))
		return;
	if (BPF_CORE_READ(signal, flags) & WARDER_SIGNAL_GROUP_EXIT) {
		code = BPF_CORE_READ(signal, group_exit_code);
	} else {
		leader_tag = task_tag(leader, &fault);
		/* Untagged leader of a tagged thread: its code is all there is to know. */
		if (leader_tag && !(leader_tag->flags & WARDER_TASK_EXITED))
			return;
		code = BPF_CORE_READ(leader, exit_code);
	}
	stats->exit_code = code;
	/* A reader that sees the flag sees the code: the atomic is a full barrier. */
	__sync_lock_test_and_set(&stats->exited, 1);
}

/* The task has ended: `flags` are what its tag said before. */
static __always_inline void identity_uncount(struct warder_task *tag, __u32 flags)
{
	struct warder_stats *stats;
	__u32 slot = tag->slot;

	if (flags != WARDER_TASK_COUNTED)
		return;
	stats = bpf_map_lookup_elem(&warder_stats, &slot);
	if (stats)
		__sync_fetch_and_sub(&stats->tasks, 1);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(warder_process_exit, struct task_struct *task)
{
	struct warder_task *tag;
	__u32 fault, flags;

	tag = task_tag(task, &fault);
	if (!tag) {
		if (fault)
			fault_count(fault);
		return 0;
	}
	flags = __sync_fetch_and_or(&tag->flags, WARDER_TASK_EXITED);
	/* The exit is recorded before the count falls: no task left implies that it is there. */
	identity_init_exit(task, tag);
	identity_uncount(tag, flags);
	return 0;
}

/*
 * Where tracepoints can be preempted (since 7.0), the kernel leaves out a program that another
 * task is in the middle of on that CPU: of thousands of threads that end at once, some exits are
 * not seen. This one runs when the last of a task goes, from RCU's softirq, where nothing
 * preempts it. A thread's leader may be gone by then, so only leaders tell their group's code.
 */
SEC("tp_btf/sched_process_free")
int BPF_PROG(warder_process_free, struct task_struct *task)
{
	struct warder_task *tag;
	__u32 fault, flags;

	tag = task_tag(task, &fault);
	if (!tag)
		return 0;
	key_own_forget(task_address(task));
	flags = __sync_fetch_and_or(&tag->flags, WARDER_TASK_EXITED);
	if (task->group_leader == task)
		identity_init_exit(task, tag);
	identity_uncount(tag, flags);
	return 0;
}

#endif
