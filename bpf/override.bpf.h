/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Handoff: a supervised system call that the kernel refused is shown to the supervisor, and its
 * thread held for a moment, so that the supervisor can seize it before user space runs on.
 * docs/OVERRIDES.md has the protocol. These programs refuse nothing: whatever goes wrong in
 * them leaves the program with the errno that the kernel gave it.
 */
#ifndef WARDER_OVERRIDE_BPF_H
#define WARDER_OVERRIDE_BPF_H

#include "core.bpf.h"

#define ICEPT_RATE 50              /* of one container per second, unless its record says */
#define ICEPT_BURST 10
#define ICEPT_BOUND 500000ull      /* ns; also what one of these stands for */
#define ICEPT_BOUND_MAX 50000000ull /* whatever the record says: 50 ms, for emulation */
#define ICEPT_STALE WARDER_SECOND  /* a heartbeat older than this is nobody's */
#define ICEPT_POLLS (1u << 23)     /* the most that bpf_loop() does */
#define USERNS_DEPTH 33            /* the kernel nests 32 below the first */
#define SIGSTOP 19

/* Per container: the thread that waits, 0 when none does. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WARDER_CONTAINERS_MAX);
	__type(key, __u32);
	__type(value, __u32);
} warder_waiters SEC(".maps");

/* The claim word is state and thread in one: a slot that another thread has taken over
 * meanwhile does not compare equal. */
static __always_inline __u64 wait_word(__u32 state, __u32 tid)
{
	return (__u64)tid << 32 | state;
}

/* ------------------------------------------------------------------- limits */

/* How long a thread may wait, in ns. */
static __always_inline __u64 wait_bound(const struct warder_host *host)
{
	__u64 bound = host->wait_bound;

	if (!bound)
		return ICEPT_BOUND;
	return bound > ICEPT_BOUND_MAX ? ICEPT_BOUND_MAX : bound;
}

/*
 * What a container may use up is time in which its threads wait: `rate` and `burst` count calls
 * that wait for half a millisecond, as long as the built-in bound allows. A call costs that at
 * least, so these are also the most calls; where the bound is higher, one that waited longer
 * costs what it waited. So one container keeps the host's few places busy for a fortieth of the
 * time, however slow the answers are. icept_tokens holds what is left, in ns; below 0 is a debt.
 */
static __always_inline __s64 icept_left(struct subject *s)
{
	return *(volatile __s64 *)&s->stats->icept_tokens;
}

/* Takes the price of one call, if it is there. */
static __always_inline int icept_take(struct subject *s, __u64 bound, __u64 now)
{
	__u64 rate = s->ctr->icept_rate ? s->ctr->icept_rate : ICEPT_RATE;
	__u64 burst = s->ctr->icept_burst ? s->ctr->icept_burst : ICEPT_BURST;
	__s64 most = (burst & 0xffff) * ICEPT_BOUND, left;
	__u64 stamp = s->stats->icept_stamp, elapsed = now - stamp, gained;

	if (most < (__s64)(2 * bound))
		most = 2 * bound; /* the first call must not lock out the next */
	/* Two CPUs can look at once: only the one that moves the stamp fills up, and what the
	 * other takes meanwhile is not given back. */
	if ((__s64)elapsed < 0)
		elapsed = 0; /* another CPU's clock was read later and its stamp came first */
	if (elapsed > 1000 * WARDER_SECOND)
		elapsed = 1000 * WARDER_SECOND;
	gained = elapsed * (rate & 0xffff) / (WARDER_SECOND / ICEPT_BOUND);
	if (gained && __sync_val_compare_and_swap(&s->stats->icept_stamp, stamp, now) == stamp) {
		left = __sync_fetch_and_add(&s->stats->icept_tokens, gained) + gained;
		if (left > most)
			__sync_val_compare_and_swap(&s->stats->icept_tokens, left, most);
	}
	left = icept_left(s);
	if (left < (__s64)ICEPT_BOUND)
		return 0;
	return __sync_val_compare_and_swap(&s->stats->icept_tokens, (__u64)left,
					   (__u64)left - ICEPT_BOUND) == (__u64)left;
}

/* Takes what a wait has cost beyond that; this may leave a debt of one bound. */
static __always_inline void icept_charge(struct subject *s, __u64 waited)
{
	if (waited > ICEPT_BOUND)
		__sync_fetch_and_add(&s->stats->icept_tokens, -(waited - ICEPT_BOUND));
}

/* A free claim word, at most a quarter of the CPUs' number: its index, or -1. The slot is
 * not WAITING yet, so nobody can claim it. Global, as others here: the verifier then walks
 * the loop once, and not once more for each way out of it. */
__noinline int override_wait_take(__u32 cpus, __u32 tid, __u64 cookie)
{
	__u32 most = cpus / 4;

	if (most < 1)
		most = 1;
	for (__u32 i = 0; i < WARDER_WAITS_MAX; i++) {
		__u32 key = i;
		struct warder_wait *w;

		if (i >= most)
			break;
		w = bpf_map_lookup_elem(&warder_waits, &key);
		if (!w)
			break;
		if (__sync_val_compare_and_swap((__u64 *)w, 0, wait_word(WARDER_WAIT_LATE, tid)))
			continue;
		w->cookie = cookie;
		return i;
	}
	return -1;
}

/* Is an exec of the caller's process under way? It holds the lock that seizing takes, for as long
 * as it reads the new program, and the supervisor must not wait for a container. */
static __always_inline int exec_under_way(struct task_struct *task)
{
	struct signal_struct *signal = BPF_CORE_READ(task, signal);

	return BPF_CORE_READ(signal, cred_guard_mutex.owner.counter) != 0;
}

/* Why this call cannot be handed over now; WARDER_ASKED when it can. The price comes last: what
 * cannot be asked anyway costs nothing. */
static __always_inline __u32 icept_obstacle(struct subject *s, struct warder_host *host,
					    struct task_struct *task, __u64 now)
{
	__u64 beat = host->heartbeat;

	if (!beat || (now > beat && now - beat > ICEPT_STALE))
		return WARDER_UNASKED_DOWN;
	if (host->cpus < 2)
		return WARDER_UNASKED_ONE_CPU;
	if (task->ptrace)
		return WARDER_UNASKED_TRACED;
	if (exec_under_way(task))
		return WARDER_UNASKED_BUSY;
	if (!icept_take(s, wait_bound(host), now))
		return WARDER_UNASKED_RATE;
	return WARDER_ASKED;
}

/* -------------------------------------------------------------------- facts */

/* Where the caller's user namespace lies: the container's own, below it, or (0) neither. */
static __noinline int userns_relation(struct task_struct *task, __u32 own)
{
	struct user_namespace *ns = BPF_CORE_READ(task, cred, user_ns);

	for (int i = 0; i < USERNS_DEPTH; i++) {
		if (!ns)
			return 0;
		if (BPF_CORE_READ(ns, ns.inum) == own)
			return i ? WARDER_BY_USERNS_NESTED : WARDER_BY_USERNS_CONTAINER;
		ns = BPF_CORE_READ(ns, parent);
	}
	return 0;
}

#define CAP_SYS_ADMIN_BIT 21

/*
 * The policy refused before the kernel asked for CAP_SYS_ADMIN in the user namespace that owns
 * the caller's mount namespace (may_mount(), fs/namespace.c). Would it have been missing, too?
 * For the report only; follows cap_capable_helper(), security/commoncap.c.
 */
static __noinline void capability_foresee(struct task_struct *task, struct warder_task *tag)
{
	struct user_namespace *target = BPF_CORE_READ(task, nsproxy, mnt_ns, user_ns);
	struct user_namespace *own = BPF_CORE_READ(task, cred, user_ns);
	struct user_namespace *ns = target;
	__u64 effective = 0;

	bpf_probe_read_kernel(&effective, sizeof(effective), &task->cred->cap_effective);
	for (int i = 0; i < USERNS_DEPTH; i++) {
		struct user_namespace *parent;

		if (ns == own) {
			if (effective >> CAP_SYS_ADMIN_BIT & 1)
				return;
			break;
		}
		if (!ns || BPF_CORE_READ(ns, level) <= BPF_CORE_READ(own, level))
			break;
		parent = BPF_CORE_READ(ns, parent);
		if (parent == own && BPF_CORE_READ(ns, owner.val) == task->cred->euid.val)
			return;
		ns = parent;
	}
	tag->cap = CAP_SYS_ADMIN_BIT;
	tag->cap_userns = BPF_CORE_READ(target, ns.inum);
}

/* Do all rules of the set stop a call that cannot be answered at once? */
__noinline int override_stops_late(const struct warder_image *img, __u64 set)
{
	if (!img || !set)
		return 0;
	for (__u32 i = 0; i < WARDER_OVERRIDES_MAX; i++) {
		if (i >= img->h.override_.count)
			break;
		if ((set >> i & 1) &&
		    image_u32(img, img->h.override_.offset +
					   i * (__u32)sizeof(struct warder_override) + 28) !=
			    WARDER_LATE_STOP)
			return 0;
	}
	return 1;
}
_Static_assert(__builtin_offsetof(struct warder_override, late) == 28, "late is read by offset");

/* Why no rule is asked, and the rules that can match. */
static __noinline __u32 icept_candidates(const struct warder_image *img, __u32 pr,
					 struct warder_override_request *r, __u32 refusal,
					 __u64 *ret_set)
{
	*ret_set = 0;
	if (refusal == WARDER_REFUSAL_RULE)
		return WARDER_UNASKED_EXPLICIT;
	*ret_set = warder_override_candidates(img, pr, r);
	if (*ret_set)
		return WARDER_ASKED;
	if (refusal == WARDER_REFUSAL_BASELINE)
		return WARDER_UNASKED_EXPLICIT;
	r->cause = WARDER_CAUSE_CAPABILITY | WARDER_CAUSE_LSM;
	return warder_override_candidates(img, pr, r) ? WARDER_UNASKED_CAUSE : WARDER_UNASKED_NO_RULE;
}

/* ------------------------------------------------------------------ the wait */

struct wait_poll {
	__u64 deadline;
	__u32 wait;
	__u32 claimed;
};

static long wait_poll_once(__u32 i, struct wait_poll *p)
{
	__u32 key = p->wait;
	struct warder_wait *w = bpf_map_lookup_elem(&warder_waits, &key);

	if (!w)
		return 1;
	if (*(volatile __u32 *)&w->state != WARDER_WAIT_WAITING) {
		p->claimed = 1;
		return 1;
	}
	return bpf_ktime_get_ns() >= p->deadline;
}

/* Polls until the supervisor has claimed the intercept or the bound has passed. Returns 1 when
 * claimed: then the supervisor has seized the thread, which stops before user space. */
__noinline int override_wait_claim(__u32 wait, __u32 tid, __u64 bound)
{
	struct wait_poll p = { .wait = wait };
	struct warder_wait *w;

	p.deadline = bpf_ktime_get_ns() + bound;
	bpf_loop(ICEPT_POLLS, wait_poll_once, &p, 0);

	w = bpf_map_lookup_elem(&warder_waits, &wait);
	if (!w)
		return 0;
	if (!p.claimed && __sync_val_compare_and_swap((__u64 *)w, wait_word(WARDER_WAIT_WAITING, tid),
						      wait_word(WARDER_WAIT_LATE, tid)) !=
				  wait_word(WARDER_WAIT_WAITING, tid))
		p.claimed = 1; /* at the very last moment */
	return p.claimed;
}

static __always_inline void wait_give(__u32 wait)
{
	struct warder_wait *w = bpf_map_lookup_elem(&warder_waits, &wait);

	if (w)
		__sync_lock_test_and_set((__u64 *)w, 0);
}

/* ----------------------------------------------------------------- a refused call */

struct override_call {
	__u64 arg[6]; /* in the order of the call's registers */
	__u64 nr, ip;
	long result;
	__u32 call; /* enum warder_call */
	__u32 op;
	__u32 compat;
	__u32 pad;
};

#define CALLS_SIZE 64 /* a power of two, so that an index can be masked */
_Static_assert(WARDER_CALL__MAX <= CALLS_SIZE, "calls");
#define CALL_OP(name, op, ...) [WARDER_CALL_##name] = WARDER_OP_##op,
const __u8 call_op[CALLS_SIZE] = { WARDER_CALLS(CALL_OP, CALL_OP, CALL_OP) };

static __always_inline void icept_fill(struct warder_icept *ic, struct subject *s,
				       struct task_struct *task, const struct override_call *c,
				       __u64 now)
{
	event_header_fill(&ic->h, WARDER_EVENT_REFUSAL, sizeof(*ic), now, s);
	ic->op = c->op;
	ic->nr = (__u32)c->nr;
	ic->result = (__s32)c->result;
	ic->call = c->call;
	ic->compat = c->compat;
	ic->ip = c->ip;
	for (int i = 0; i < 6; i++)
		ic->arg[i] = c->arg[i];
	ic->cause = s->tag->cause;
	ic->cap = s->tag->cap;
	ic->cap_userns = s->tag->cap_userns;
	ic->rule = s->tag->rule;
	ic->euid = task->cred->euid.val;
	ic->fsuid = task->cred->fsuid.val;
	ic->userns = BPF_CORE_READ(task, cred, user_ns, ns.inum);
	ic->mntns = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
	ic->start = task->start_boottime;
}

/* What rules can be compared with before the supervisor has looked at paths and strings. */
static __always_inline void request_fill(struct warder_override_request *r, struct subject *s,
					 struct task_struct *task, const struct override_call *c)
{
	r->op = c->op;
	r->ops = WARDER_OVERRIDE_CALL;
	r->type_open = 1;
	r->uid_open = 1;
	r->userns = userns_relation(task, s->ctr->userns);
	r->cause = s->tag->cause == WARDER_REFUSAL_NONE	    ? WARDER_CAUSE_LSM :
		   s->tag->cause == WARDER_REFUSAL_BASELINE ? WARDER_CAUSE_BASELINE :
							      WARDER_CAUSE_CAPABILITY;
	if (c->op != WARDER_OP_MOUNT)
		return;
	r->type_open = 0;
	r->flags = warder_mount_flags(c->arg[3]);
	r->ops = warder_mount_op(r->flags);
	if (r->ops == WARDER_MNT_NEW && c->arg[2])
		bpf_probe_read_user_str(&r->type, sizeof(r->type), (void *)c->arg[2]);
}

/* Does the call ask for CAP_SYS_ADMIN where the caller's mount namespace belongs? */
static __always_inline int op_of_mounts(__u32 op)
{
	return op == WARDER_OP_MOUNT || op == WARDER_OP_UMOUNT || op == WARDER_OP_PIVOT_ROOT;
}

/* A refused call of a tagged task. */
static __noinline int override_refused(const struct override_call *c)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct warder_override_request r = {};
	__u32 key = 0, busy = 1, unasked, tid, stop = 0, *waiter;
	struct warder_icept *ic;
	struct warder_host *host;
	__u64 now, set = 0, cookie = 0;
	struct subject s;
	int wait = -1;

	switch (subject_current(&s)) {
	case SUBJECT_UNTAGGED:
		return 0;
	case SUBJECT_FAULT:
		/* The call stays refused; nothing is overridden without a policy to read. */
		fault_count(s.fault);
		return 0;
	case SUBJECT_TAGGED:
		break;
	}
	host = bpf_map_lookup_elem(&warder_host, &key);
	waiter = bpf_map_lookup_elem(&warder_waiters, &s.slot);
	if (!host || !waiter)
		return 0;
	now = bpf_ktime_get_ns();
	tid = (__u32)bpf_get_current_pid_tgid();
	s.tag->wait_cookie = 0;
	cause_freshen(s.tag);
	if (s.tag->cause > WARDER_REFUSAL_CAPABILITY && !s.tag->cap_userns && op_of_mounts(c->op))
		capability_foresee(task, s.tag);
	request_fill(&r, &s, task, c);

	unasked = icept_candidates(s.img, s.pr, &r, s.tag->cause, &set);
	if (unasked == WARDER_ASKED) {
		__sync_fetch_and_add(&s.stats->intercepts, 1);
		unasked = icept_obstacle(&s, host, task, now);
		if (unasked == WARDER_ASKED)
			busy = __sync_val_compare_and_swap(waiter, 0, tid);
		if (unasked == WARDER_ASKED) {
			cookie = __sync_fetch_and_add(&host->cookie, 1) + 1;
			if (!busy)
				wait = override_wait_take(host->cpus, tid, cookie);
			if (wait < 0)
				unasked = WARDER_UNASKED_BUSY;
		}
		if (unasked != WARDER_ASKED) {
			__sync_fetch_and_add(&s.stats->intercepts_late, 1);
			stop = override_stops_late(s.img, set) && !task->ptrace;
		}
	}
	/* Only what nobody answers counts against the budget of events. */
	if (unasked != WARDER_ASKED && !stop && !event_budget(&s, now))
		goto out;
	ic = bpf_ringbuf_reserve(&warder_icepts, sizeof(*ic), 0);
	if (!ic) {
		__sync_fetch_and_add(&s.stats->events_dropped, 1);
		goto out;
	}
	icept_fill(ic, &s, task, c, now);
	ic->candidates = set;
	ic->unasked = unasked;
	ic->late = stop;
	if (stop && !cookie)
		cookie = __sync_fetch_and_add(&host->cookie, 1) + 1;
	ic->cookie = wait >= 0 || stop ? cookie : 0;
	ic->wait = wait >= 0 ? wait : 0;
	__builtin_memcpy(ic->type, &r.type, sizeof(ic->type));
	if (ic->cookie)
		s.tag->wait_cookie = cookie;

	if (wait < 0) {
		if (stop && bpf_send_signal_thread(SIGSTOP)) {
			ic->late = 0;
			ic->cookie = 0;
		}
		bpf_ringbuf_submit(ic, stop ? BPF_RB_FORCE_WAKEUP : 0);
		goto out;
	}
	{
		__u32 at = wait;
		struct warder_wait *w = bpf_map_lookup_elem(&warder_waits, &at);

		if (w)
			__sync_lock_test_and_set((__u64 *)w, wait_word(WARDER_WAIT_WAITING, tid));
		__sync_fetch_and_add(&host->waiting, 1);
		bpf_ringbuf_submit(ic, BPF_RB_FORCE_WAKEUP);
		if (!override_wait_claim(at, tid, wait_bound(host))) {
			s.tag->wait_cookie = 0;
			__sync_fetch_and_add(&s.stats->intercepts_late, 1);
			/* The supervisor has the record and finds the word LATE: with `stop` it
			 * seizes the stopped thread all the same. */
			if (override_stops_late(s.img, set) && !bpf_send_signal_thread(SIGSTOP))
				s.tag->wait_cookie = cookie;
		}
		__sync_fetch_and_add(&host->waiting, (__u32)-1);
		icept_charge(&s, bpf_ktime_get_ns() - now);
	}
out:
	if (wait >= 0)
		wait_give(wait);
	if (!busy)
		__sync_lock_test_and_set(waiter, 0);
	return 0;
}

/* ------------------------------------------------------------------------ entries */

/*
 * The work is one program, verified once, to which the program of each entry passes on what was
 * refused. The kernel lets programs share such a map only if the functions that they are attached
 * to have the same BTF type, and of some entries that names its argument `__unused`: so there are
 * two of each, of which the loader takes the one that fits (user/loader_calls.c).
 */
struct call_programs {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
};
struct call_programs warder_refused SEC(".maps");
struct call_programs warder_refusedu SEC(".maps");

static __always_inline int call_refused(struct pt_regs *regs, long ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct override_call c = { .nr = regs->orig_ax, .ip = regs->ip, .result = ret };
	struct warder_task *tag;
	__u32 fault;
	int err;

	tag = task_tag(task, &fault);
	if (!tag)
		return 0;
	c.call = tag->call;
	c.op = call_op[c.call & (CALLS_SIZE - 1)];
	if (BPF_CORE_READ(task, thread_info.status) & WARDER_TS_COMPAT) {
		c.compat = 1;
		c.arg[0] = (__u32)regs->bx;
		c.arg[1] = (__u32)regs->cx;
		c.arg[2] = (__u32)regs->dx;
		c.arg[3] = (__u32)regs->si;
		c.arg[4] = (__u32)regs->di;
		c.arg[5] = (__u32)regs->bp;
	} else {
		c.arg[0] = regs->di;
		c.arg[1] = regs->si;
		c.arg[2] = regs->dx;
		c.arg[3] = regs->r10;
		c.arg[4] = regs->r8;
		c.arg[5] = regs->r9;
	}
	err = override_refused(&c);
	cause_forget(tag);
	return err;
}

/*
 * Never attached: reached from the entries below, each of which the kernel keeps from running twice
 * on a CPU, but not this one. From Linux 6.13 on it gives a program that traces a stack of its own
 * on each CPU, which a task that preempts another, by another entry, would share with it: what the
 * first one waited with would be the second one's when it goes on. A program with a tail call in it
 * has its frame on the task's stack (bpf_enable_priv_stack() in kernel/bpf/verifier.c). So each has
 * one, to a place that is not there.
 */
SEC("fexit/__x64_sys_mount")
int BPF_PROG(warder_call_refused, struct pt_regs *regs, long ret)
{
	int err = call_refused(regs, ret);

	bpf_tail_call(ctx, &warder_refused, 1);
	return err;
}

SEC("fexit/__x64_sys_swapon")
int BPF_PROG(warder_callu_refused, struct pt_regs *regs, long ret)
{
	int err = call_refused(regs, ret);

	bpf_tail_call(ctx, &warder_refusedu, 1);
	return err;
}

/* A supervised call has ended. What it met does not concern the next one. */
static __always_inline int call_ended(void *ctx, long ret, __u32 call, int denied, void *programs)
{
	struct warder_task *tag;
	__u32 fault;

	tag = task_tag(bpf_get_current_task_btf(), &fault);
	if (!tag) {
		/* The call stays refused; nothing is overridden without a policy to read. */
		if (fault && ret < 0)
			fault_count(fault);
		return 0;
	}
	if (ret == -WARDER_EPERM || (denied && ret == -WARDER_EACCES)) {
		tag->call = call;
		bpf_tail_call(ctx, programs, 0);
	}
	cause_forget(tag);
	return 0;
}

#define CALL_DENIED_P 0
#define CALL_DENIED_A 1
#define CALL_ENTRY(prefix, name, function, errnos, map)                                       \
	SEC("fexit/" #function)                                                               \
	int BPF_PROG(prefix##name, struct pt_regs *regs, long ret)                            \
	{                                                                                     \
		return call_ended(ctx, ret, WARDER_CALL_##name, CALL_DENIED_##errnos, &map);   \
	}
#define CALL_ENTRIES(prefix, name, function, errnos)                                          \
	CALL_ENTRY(warder_call##prefix, name, function, errnos, warder_refused)               \
	CALL_ENTRY(warder_callu##prefix, name, function, errnos, warder_refusedu)
#define CALL_BOTH(name, op, errnos, cap, args, nr64, nr32, function32)                        \
	CALL_ENTRIES(64_, name, __x64_sys_##name, errnos)                                     \
	CALL_ENTRIES(32_, name, function32, errnos)
#define CALL_32(name, op, errnos, cap, args, nr32, function32)                                \
	CALL_ENTRIES(32_, name, function32, errnos)
#define CALL_NONE(...)

WARDER_CALLS(CALL_BOTH, CALL_32, CALL_NONE)

#endif
