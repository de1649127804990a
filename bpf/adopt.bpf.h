/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Adoption: tags for a tree of tasks that runs already, all of it although it forks meanwhile.
 *
 * A task is a member when it is in the adopted cgroup or pid namespace, or when the chain of its
 * parents leads to the adopted process or to one of warder_kin. Three things could break that while
 * the iterator walks the tasks, and each leaves a mark before it does:
 * - a member that ends: its children get another parent, so they are put into warder_kin first;
 * - a member that is moved to another cgroup: so is it;
 * - a fork that began before its maker was tagged: the child is tagged before it runs.
 * So what is not tagged becomes less with every pass, and after a pass that found nothing there is
 * nothing: an untagged member would have an untagged maker, back to one that was there before that
 * pass began, which the pass would have seen. A task has another number after an exec by a thread,
 * but only once, and never in the pass after.
 *
 * Reading the chain races with those who reparent: each parent is read before warder_kin is asked
 * about the child.
 */
#ifndef WARDER_ADOPT_BPF_H
#define WARDER_ADOPT_BPF_H

#include "core.bpf.h"

#define ADOPT_CHAIN_MAX 32768   /* parents */
#define ADOPT_CHILDREN_MAX 65536
#define ADOPT_LEVELS_MAX 32     /* nested pid namespaces; the kernel's own limit */
#define ADOPT_CGROUPS_MAX 256   /* nested cgroups */
#define ADOPT_RETRIES 8
#define WARDER_PF_KTHREAD 0x00200000

static __always_inline struct warder_adopt *adopt_record(void)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&warder_adopt, &key);
}

struct adopt_walk {
	__u64 at;     /* address: of the task, the css or the pid namespace that comes next */
	__u64 wanted; /* what the walk looks for */
	__u64 start;  /* of the process `wanted` */
	__u32 found;
	__u32 pad;
};

static __always_inline __u64 adopt_start(__u64 task)
{
	return BPF_CORE_READ((struct task_struct *)task, group_leader, start_boottime);
}

/* Is this process the adopted one, or one that a member left behind? */
static __noinline int adopt_is_known(struct adopt_walk *w, __u32 tgid)
{
	__u64 *start = bpf_map_lookup_elem(&warder_kin, &tgid);

	if (start && *start == adopt_start(w->at))
		return 1;
	return w->wanted && tgid == w->wanted && (!w->start || w->start == adopt_start(w->at));
}

static long adopt_parent_step(__u32 i, struct adopt_walk *w)
{
	struct task_struct *task = (struct task_struct *)w->at;
	struct task_struct *parent = BPF_CORE_READ(task, real_parent);
	__u32 tgid = BPF_CORE_READ(task, tgid);

	if (adopt_is_known(w, tgid)) {
		w->found = 1;
		return 1;
	}
	w->at = (__u64)parent;
	/* The end: process 1 and the threads of the kernel have task 0 above them. */
	return tgid <= 1 || !parent || parent == task;
}

static long adopt_cgroup_step(__u32 i, struct adopt_walk *w)
{
	struct cgroup_subsys_state *css = (struct cgroup_subsys_state *)w->at;

	w->found = BPF_CORE_READ(css, cgroup, kn, id) == w->wanted;
	w->at = (__u64)BPF_CORE_READ(css, parent);
	return w->found || !w->at;
}

static long adopt_pidns_step(__u32 i, struct adopt_walk *w)
{
	struct pid_namespace *ns = (struct pid_namespace *)w->at;

	w->found = BPF_CORE_READ(ns, ns.inum) == w->wanted;
	w->at = (__u64)BPF_CORE_READ(ns, parent);
	return w->found || !w->at;
}

/* The entry of a task's innermost pid namespace. */
static __always_inline int adopt_upid(struct task_struct *task, struct upid *ret)
{
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	__u32 level = BPF_CORE_READ(pid, level);
	struct upid *at;

	if (!pid || level > ADOPT_LEVELS_MAX)
		return -1;
	at = (void *)pid + bpf_core_field_offset(struct pid, numbers) +
	     level * bpf_core_type_size(struct upid);
	ret->nr = BPF_CORE_READ(at, nr);
	ret->ns = BPF_CORE_READ(at, ns);
	return 0;
}

static __noinline int adopt_in_cgroup(__u64 task, __u64 id)
{
	struct cgroup *cgroup = BPF_CORE_READ((struct task_struct *)task, cgroups, dfl_cgrp);
	struct adopt_walk w = { .wanted = id };

	if (!cgroup)
		return 0;
	w.at = (__u64)cgroup + bpf_core_field_offset(struct cgroup, self);
	bpf_loop(ADOPT_CGROUPS_MAX, adopt_cgroup_step, &w, 0);
	return w.found;
}

static __noinline int adopt_in_pidns(__u64 task, __u32 inum)
{
	struct adopt_walk w = { .wanted = inum };
	struct upid upid;

	if (adopt_upid((struct task_struct *)task, &upid) || !upid.ns)
		return 0;
	w.at = (__u64)upid.ns;
	bpf_loop(ADOPT_LEVELS_MAX + 1, adopt_pidns_step, &w, 0);
	return w.found;
}

/* Is the task (by address) one of those that the adoption under way means? */
__noinline __weak int adopt_is_member(__u64 task)
{
	struct warder_adopt *a = adopt_record();
	struct adopt_walk w = { .at = task };

	if (!a)
		return 0;
	if (a->cgroup && adopt_in_cgroup(task, a->cgroup))
		return 1;
	if (a->pidns && adopt_in_pidns(task, a->pidns))
		return 1;
	w.wanted = a->root;
	w.start = a->start;
	if (bpf_loop(ADOPT_CHAIN_MAX, adopt_parent_step, &w, 0) == ADOPT_CHAIN_MAX && !w.found)
		a->lost = 1;
	return w.found;
}

/* ------------------------------------------------------------------- marks */

static __noinline int adopt_mark(__u64 task)
{
	__u64 start = adopt_start(task);
	__u32 tgid = BPF_CORE_READ((struct task_struct *)task, tgid);

	return bpf_map_update_elem(&warder_kin, &tgid, &start, BPF_ANY) ? -1 : 0;
}

struct adopt_children {
	__u64 head; /* of the list */
	__u64 at;
	__u32 whole; /* came round to the head */
	__u32 failed;
};

static long adopt_child_step(__u32 i, struct adopt_children *c)
{
	struct list_head *at = (struct list_head *)c->at;
	__u64 next = (__u64)BPF_CORE_READ(at, next);

	/* A child that was taken off the list meanwhile points to itself. */
	if (!next || (next == c->at && next != c->head))
		return 1;
	if (next == c->head) {
		c->whole = 1;
		return 1;
	}
	c->at = next;
	if (adopt_mark(next - bpf_core_field_offset(struct task_struct, sibling))) {
		c->failed = 1;
		return 1;
	}
	return 0;
}

static long adopt_children_try(__u32 i, struct adopt_children *c)
{
	c->at = c->head;
	bpf_loop(ADOPT_CHILDREN_MAX, adopt_child_step, c, 0);
	return c->whole || c->failed;
}

/* Before the kernel gives the children of a task that ends to another parent. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(warder_adopt_exit, struct task_struct *task)
{
	struct warder_adopt *a = adopt_record();
	struct adopt_children c = {};

	if (!a || !a->cid || !adopt_is_member(task_address(task)))
		return 0;
	c.head = task_address(task) + bpf_core_field_offset(struct task_struct, children);
	bpf_loop(ADOPT_RETRIES, adopt_children_try, &c, 0);
	if (!c.whole)
		a->lost = 1;
	return 0;
}

SEC("fentry/cgroup_attach_task")
int BPF_PROG(warder_adopt_move, struct cgroup *to, struct task_struct *leader)
{
	struct warder_adopt *a = adopt_record();

	if (a && a->cid && adopt_is_member(task_address(leader)) &&
	    adopt_mark(task_address(leader)))
		a->lost = 1;
	return 0;
}

/* A copy of the maker's tag: of what else is in it nothing is a child's. 0, or it failed. */
static __always_inline int adopt_tag(struct task_struct *task, __u64 cid, __u32 slot,
				     struct warder_task *maker)
{
	struct warder_task tag = { .cid = cid, .slot = slot };

	if (maker) {
		tag.profile = maker->profile;
		tag.profile_id = maker->profile_id;
	}
	key_own_forget(task_address(task));
	return bpf_task_storage_get(&warder_tasks, task, &tag, BPF_LOCAL_STORAGE_GET_F_CREATE) ?
		       0 : -1;
}

/*
 * The last of a fork, in its maker, before the child runs. If it fails, the child is one that the
 * next pass finds. Attached as long as there are adopted containers: a fork may take longer than
 * the adoption.
 */
SEC("tp_btf/task_newtask")
int BPF_PROG(warder_newtask, struct task_struct *task, unsigned long clone_flags)
{
	struct task_struct *current = bpf_get_current_task_btf();
	struct warder_adopt *a = adopt_record();
	struct warder_task *maker;
	__u32 fault, fault2;

	maker = task_tag(current, &fault);
	if (!a || (!maker && a->mode != WARDER_ADOPT_TAG) || task_tag(task, &fault2) || fault2)
		return 0;
	if (maker) {
		if (identity_leaving(maker) != WARDER_CTR_RELEASED &&
		    adopt_tag(task, maker->cid, maker->slot, maker))
			fault_count(WARDER_FAULT_TAG_COPY);
		return 0;
	}
	if (!adopt_is_member(task_address(current)))
		return 0;
	if (adopt_tag(task, a->cid, a->slot, NULL))
		fault_count(WARDER_FAULT_TAG_COPY);
	return 0;
}

/* --------------------------------------------------------------- the passes */

/* Ended, and nothing of its process runs: it only waits to be waited for. */
static __always_inline int adopt_is_gone(struct task_struct *task)
{
	return task->exit_state && (task->group_leader != task ||
				    !BPF_CORE_READ(task, signal, live.counter));
}

/* What forbids that this task is adopted: WARDER_MEMBER_* */
static __always_inline __u32 adopt_flags(struct task_struct *task, struct warder_adopt *a)
{
	__u32 key = 0, tgid = task->tgid, flags = 0, supervisor;
	struct warder_host *host = bpf_map_lookup_elem(&warder_host, &key);

	supervisor = host ? host->supervisor : 0;
	if (task->flags & WARDER_PF_KTHREAD)
		flags |= WARDER_MEMBER_KERNEL;
	if (tgid == 1)
		flags |= WARDER_MEMBER_INIT;
	if (tgid == a->caller)
		flags |= WARDER_MEMBER_CALLER;
	if (supervisor && (tgid == supervisor ||
			   (__u32)BPF_CORE_READ(task, real_parent, tgid) == supervisor))
		flags |= WARDER_MEMBER_WARDER;
	return flags;
}

static __always_inline void adopt_say(struct seq_file *seq, struct task_struct *task,
				      __u64 cid, __u32 flags)
{
	struct warder_member m = { .cid = cid, .flags = flags };
	struct upid upid = {};

	m.tid = task->pid;
	m.tgid = task->tgid;
	m.start = adopt_start(task_address(task));
	if (!adopt_upid(task, &upid))
		m.nr = upid.nr;
	bpf_seq_write(seq, &m, sizeof(m));
}

/* In the supervisor, once for every task of the host. A program runs again for a task whose record
 * found no place: what it does is done once only. */
SEC("iter/task")
int warder_iter_task(struct bpf_iter__task *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct task_struct *task = ctx->task;
	struct warder_adopt *a = adopt_record();
	struct warder_task *tag;
	__u32 fault, flags;

	if (!task || !a || !a->cid || adopt_is_gone(task))
		return 0;
	tag = task_tag(task, &fault);
	if (fault) {
		__sync_fetch_and_add(&a->failed, 1);
		return 0;
	}
	if (a->mode == WARDER_ADOPT_LIST || a->mode == WARDER_ADOPT_UNTAG) {
		if (!tag || tag->cid != a->cid)
			return 0;
		if (a->mode == WARDER_ADOPT_LIST) {
			adopt_say(seq, task, tag->cid, 0);
			return 0;
		}
		identity_uncount(tag, __sync_fetch_and_or(&tag->flags, WARDER_TASK_EXITED));
		if (bpf_task_storage_delete(&warder_tasks, task))
			__sync_fetch_and_add(&a->failed, 1);
		else
			__sync_fetch_and_add(&a->found, 1);
		key_own_forget(task_address(task));
		return 0;
	}
	if ((tag && tag->cid == a->cid) || !adopt_is_member(task_address(task)))
		return 0;
	flags = adopt_flags(task, a);
	if (a->mode == WARDER_ADOPT_LOOK || tag || flags) {
		adopt_say(seq, task, tag ? tag->cid : 0, flags);
		return 0;
	}
	if (adopt_tag(task, a->cid, a->slot, NULL)) {
		__sync_fetch_and_add(&a->failed, 1);
		return 0;
	}
	tag = task_tag(task, &fault);
	if (tag)
		identity_count(tag);
	__sync_fetch_and_add(&a->found, 1);
	return 0;
}

#endif
