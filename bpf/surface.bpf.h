/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Class "kernel": surfaces of the kernel that a container seldom needs. Each is judged by the hook
 * that it has; what has none is judged where the kernel asks for a capability, told by the system
 * call's number.
 *
 * Baseline, whatever the policy says, unless its `unsafe` lists it: bpf(2), modules and kexec. IMA
 * policies and certificates of the kernel are always baseline.
 *
 * What a kernel gives no place to judge is in user/loader_gaps.c. A host name can also be set by
 * writing to /proc/sys/kernel/hostname, which is a matter of file rules.
 */
#ifndef WARDER_SURFACE_BPF_H
#define WARDER_SURFACE_BPF_H

#include "core.bpf.h"
#include "switch.bpf.h"

#define CAP_DAC_READ_SEARCH 2
#define CAP_SYS_MODULE 16
#define CAP_SYS_RAWIO 17
#define CAP_SYS_PACCT 20
#define CAP_SYS_ADMIN 21
#define CAP_SYS_BOOT 22
#define CAP_SYS_TIME 25

#define SURFACE(name) (1u << WARDER_SURFACE_##name)

/* Is the current task in the host's pid namespace? In any other, reboot(2) ends that one only. */
static __always_inline int surface_pid_is_host(void)
{
	return !BPF_CORE_READ(bpf_get_current_task_btf(), thread_pid, level);
}

/* The surface that the call is which asks for `cap` now; 0: none. */
static __always_inline __u32 surface_asked_by(const struct call *c, int cap)
{
	__u32 nr = c->nr;

	switch (cap) {
	case CAP_SYS_ADMIN:
		if (nr == NR_SWAPON || nr == NR_SWAPOFF)
			return SURFACE(SWAP);
		if (nr == NR_SETHOSTNAME || nr == NR_SETDOMAINNAME)
			return SURFACE(HOSTNAME);
		/* Refused, the kernel goes on as for a task without privileges. */
		return nr == NR_FANOTIFY_INIT ? SURFACE(FANOTIFY) : 0;
	case CAP_SYS_BOOT:
		return nr == NR_REBOOT && surface_pid_is_host() ? SURFACE(REBOOT) : 0;
	case CAP_SYS_PACCT:
		return nr == NR_ACCT ? SURFACE(ACCT) : 0;
	case CAP_SYS_RAWIO:
		return nr == NR_IOPL || nr == NR_IOPERM ? SURFACE(RAWIO) : 0;
	case CAP_DAC_READ_SEARCH:
		return nr == NR_OPEN_BY_HANDLE_AT ? SURFACE(HANDLE) : 0;
	case CAP_SYS_MODULE:
		return nr == NR_DELETE_MODULE ? SURFACE(MODULES) : 0;
	case CAP_SYS_TIME:
		/* The others that set the clock come to the hook settime; ioctl: of an RTC. */
		return nr == NR_ADJTIMEX || nr == NR_CLOCK_ADJTIME || nr == NR_IOCTL ?
			       SURFACE(SETTIME) : 0;
	default:
		return 0;
	}
}

static __always_inline int surface_judge(__u32 surface, __u32 hook, __u64 arg)
{
	return errno_return(-switch_judge(WARDER_BITS_KERNEL, surface, hook, arg));
}

/* ------------------------------------------------------------ bpf and modules */

SEC("lsm/bpf")
int BPF_PROG(warder_bpf, int cmd)
{
	if (!current_is_tagged())
		return 0;
	return surface_judge(SURFACE(BPF), WARDER_HOOK_BPF, cmd);
}

/* IMA policies and keys, and whatever is added later: no policy allows them. */
__noinline __weak int surface_deny(__u32 hook, __u64 arg)
{
	struct hook_facts f = { .class_ = WARDER_CLASS_KERNEL, .access = WARDER_SURFACE_MODULES };
	struct subject s = {};
	struct warder_verdict v;

	f.hook = hook;
	f.arg[0] = arg;
	HOOK_SUBJECT(&s, &f);
	warder_verdict_allow(&v);
	warder_verdict_deny(&v, WARDER_WHY_BASELINE, WARDER_EPERM);
	return hook_end(&s, &v, &f, NULL);
}

/* Both enumerations have the same words. Firmware is what a driver asks for, on behalf of a task
 * that may not know. */
#define SURFACE_LOADED(kind, prefix, id)                                                      \
	({                                                                                    \
		__u32 bit_ = 0;                                                               \
		if ((id) == bpf_core_enum_value(kind, prefix##_MODULE) ||                     \
		    (bpf_core_enum_value_exists(kind, prefix##_MODULE_COMPRESSED) &&          \
		     (id) == bpf_core_enum_value(kind, prefix##_MODULE_COMPRESSED)))          \
			bit_ = SURFACE(MODULES);                                              \
		else if ((id) == bpf_core_enum_value(kind, prefix##_KEXEC_IMAGE) ||           \
			 (id) == bpf_core_enum_value(kind, prefix##_KEXEC_INITRAMFS))         \
			bit_ = SURFACE(KEXEC);                                                \
		bit_;                                                                         \
	})

SEC("lsm/kernel_load_data")
int BPF_PROG(warder_kernel_load, enum kernel_load_data_id id)
{
	__u32 surface;

	if (!current_is_tagged() ||
	    id == bpf_core_enum_value(enum kernel_load_data_id, LOADING_FIRMWARE))
		return 0;
	surface = SURFACE_LOADED(enum kernel_load_data_id, LOADING, id);
	if (surface)
		return surface_judge(surface, WARDER_HOOK_KERNEL_LOAD, id);
	return errno_return(-surface_deny(WARDER_HOOK_KERNEL_LOAD, id));
}

SEC("lsm/kernel_read_file")
int BPF_PROG(warder_kernel_read, struct file *file, enum kernel_read_file_id id)
{
	__u32 surface;

	if (!current_is_tagged() ||
	    id == bpf_core_enum_value(enum kernel_read_file_id, READING_FIRMWARE))
		return 0;
	surface = SURFACE_LOADED(enum kernel_read_file_id, READING, id);
	if (surface)
		return surface_judge(surface, WARDER_HOOK_KERNEL_READ, id);
	return errno_return(-surface_deny(WARDER_HOOK_KERNEL_READ, id));
}

/* ------------------------------------------------------------- with a hook */

/* syslog(2), and /dev/kmsg opened for reading. */
SEC("lsm/syslog")
int BPF_PROG(warder_syslog, int type)
{
	if (!current_is_tagged())
		return 0;
	return surface_judge(SURFACE(SYSLOG), WARDER_HOOK_SYSLOG, type);
}

SEC("lsm/settime")
int BPF_PROG(warder_settime)
{
	if (!current_is_tagged())
		return 0;
	return surface_judge(SURFACE(SETTIME), WARDER_HOOK_SETTIME, 0);
}

SEC("lsm/perf_event_open")
int BPF_PROG(warder_perf_event)
{
	if (!current_is_tagged())
		return 0;
	return surface_judge(SURFACE(PERF), WARDER_HOOK_PERF_EVENT, 0);
}

/* quotactl(2), by path or descriptor, every command. */
SEC("lsm/quotactl")
int BPF_PROG(warder_quotactl, int cmds)
{
	if (!current_is_tagged())
		return 0;
	return surface_judge(SURFACE(QUOTA), WARDER_HOOK_QUOTA_ON, cmds);
}

/* Quotas that a mount option turns on do not come through quotactl(2). */
SEC("lsm/quota_on")
int BPF_PROG(warder_quota_on)
{
	if (!current_is_tagged())
		return 0;
	return surface_judge(SURFACE(QUOTA), WARDER_HOOK_QUOTA_ON, 0);
}

/* Does the kernel's string `name` of `len` characters equal the literal, of at most 16? */
#define SURFACE_NAMED(w, len, s)                                                              \
	((len) == sizeof(s) - 1 && (w)[0] == WARDER_WORD(s, sizeof(s) - 1, 0) &&              \
	 (w)[1] == WARDER_WORD(s, sizeof(s) - 1, 1))

/* Files of the kernel's own without a file system: told by the name that it gives them. */
SEC("lsm/inode_init_security_anon")
int BPF_PROG(warder_anon_inode, struct inode *inode, const struct qstr *name)
{
	__u64 w[2] = {};
	__u32 len;

	if (!current_is_tagged())
		return 0;
	len = BPF_CORE_READ(name, len);
	if (len > sizeof(w))
		return 0;
	if (bpf_probe_read_kernel(w, len, BPF_CORE_READ(name, name)))
		return errno_return(-surface_deny(WARDER_HOOK_ANON_INODE, 0));
	if (SURFACE_NAMED(w, len, "[io_uring]"))
		return surface_judge(SURFACE(IO_URING), WARDER_HOOK_ANON_INODE, 0);
	if (SURFACE_NAMED(w, len, "[userfaultfd]"))
		return surface_judge(SURFACE(USERFAULTFD), WARDER_HOOK_ANON_INODE, 0);
	return 0;
}

/* A ring that was handed in does not bring these along. */
SEC("lsm/uring_sqpoll")
int BPF_PROG(warder_uring_sqpoll)
{
	if (!current_is_tagged())
		return 0;
	return surface_judge(SURFACE(IO_URING), WARDER_HOOK_ANON_INODE, 1);
}

SEC("lsm/uring_cmd")
int BPF_PROG(warder_uring_cmd)
{
	if (!current_is_tagged())
		return 0;
	return surface_judge(SURFACE(IO_URING), WARDER_HOOK_ANON_INODE, 2);
}

#endif
