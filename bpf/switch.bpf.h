/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Classes that are a handful of switches, memory, namespaces and kernel surfaces: their hooks only
 * find out which switches an operation needs. And the system call under way, for operations that
 * have no hook and are judged where the kernel asks for a capability.
 */
#ifndef WARDER_SWITCH_BPF_H
#define WARDER_SWITCH_BPF_H

#include "core.bpf.h"

#define SWITCH_MAX 16
_Static_assert(WARDER_MEM__MAX <= SWITCH_MAX && WARDER_NS__MAX <= SWITCH_MAX &&
		       WARDER_SURFACE__MAX <= SWITCH_MAX, "switches of a class");

static __always_inline __u32 switch_class(__u32 which)
{
	return which == WARDER_BITS_MEMORY    ? WARDER_CLASS_MEMORY :
	       which == WARDER_BITS_NAMESPACE ? WARDER_CLASS_NAMESPACE :
						WARDER_CLASS_KERNEL;
}

/* Judges one switch for the current task. Returns 0 or a negative errno. A function of its own, so
 * that it is verified once and not for each switch. */
__noinline __weak int switch_judge_one(__u32 which, __u32 bit, __u32 hook, __u64 arg)
{
	struct hook_facts f = {};
	struct subject s = {};
	struct warder_verdict v;

	f.hook = hook;
	f.class_ = switch_class(which);
	f.access = bit;
	f.arg[0] = arg;
	HOOK_SUBJECT(&s, &f);
	warder_decide_switch(s.img, s.pr, which, bit, &v);
	return hook_end(&s, &v, &f, NULL);
}

/*
 * Judges an operation of the current task that needs all the switches in `asked` (bits by number)
 * of class `which` (enum warder_bits_class); the first that is refused decides. An event says in
 * `access` which one, and has `arg` from the hook. Returns 0 or a negative errno.
 */
static __always_inline int switch_judge(__u32 which, __u32 asked, __u32 hook, __u64 arg)
{
	for (__u32 bit = 0; bit < SWITCH_MAX; bit++) {
		int err = asked >> bit & 1 ? switch_judge_one(which, bit, hook, arg) : 0;

		if (err)
			return err;
	}
	return 0;
}

/* ------------------------------------------------- the system call under way */

#define CALL_X32_BIT 0x40000000ul

#define NR_BRK 12
#define NR_IOCTL 16
#define NR_ADJTIMEX 159
#define NR_ACCT 163
#define NR_SWAPON 167
#define NR_SWAPOFF 168
#define NR_REBOOT 169
#define NR_SETHOSTNAME 170
#define NR_SETDOMAINNAME 171
#define NR_IOPL 172
#define NR_IOPERM 173
#define NR_DELETE_MODULE 176
#define NR_UNSHARE 272
#define NR_FANOTIFY_INIT 300
#define NR_OPEN_BY_HANDLE_AT 304
#define NR_CLOCK_ADJTIME 305
#define NR_SETNS 308

struct call {
	__u64 arg[3];
	__u32 nr; /* 64-bit number, whatever the entry was; 0: another call than the above */
	__u32 pad;
};

/* Numbers of the 32-bit entry; from 403 on they are the same for all. */
static __always_inline __u32 call_nr_of_32(__u64 nr)
{
	switch (nr) {
	case 45:
		return NR_BRK;
	case 51:
		return NR_ACCT;
	case 54:
		return NR_IOCTL;
	case 74:
		return NR_SETHOSTNAME;
	case 87:
		return NR_SWAPON;
	case 88:
		return NR_REBOOT;
	case 101:
		return NR_IOPERM;
	case 110:
		return NR_IOPL;
	case 115:
		return NR_SWAPOFF;
	case 121:
		return NR_SETDOMAINNAME;
	case 124:
		return NR_ADJTIMEX;
	case 129:
		return NR_DELETE_MODULE;
	case 310:
		return NR_UNSHARE;
	case 338:
		return NR_FANOTIFY_INIT;
	case 342:
		return NR_OPEN_BY_HANDLE_AT;
	case 343:
	case 405: /* with 64-bit time */
		return NR_CLOCK_ADJTIME;
	case 346:
		return NR_SETNS;
	default:
		return nr < 403 ? 0 : (__u32)nr;
	}
}

/* What the current task called. The registers are the kernel's own copy: nothing changes them
 * until the call returns. io_uring's workers have those of the call that made them, which is none
 * of these. */
static __always_inline void call_get(struct call *c)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	__u64 nr = regs->orig_ax;

	c->pad = 0;
	if (BPF_CORE_READ(task, thread_info.status) & WARDER_TS_COMPAT) {
		c->nr = call_nr_of_32(nr);
		c->arg[0] = (__u32)regs->bx;
		c->arg[1] = (__u32)regs->cx;
		c->arg[2] = (__u32)regs->dx;
		return;
	}
	nr &= ~CALL_X32_BIT;
	c->nr = nr == 514 ? NR_IOCTL : (__u32)nr; /* x32's own number */
	c->arg[0] = regs->di;
	c->arg[1] = regs->si;
	c->arg[2] = regs->dx;
}

#endif
