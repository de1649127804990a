/* SPDX-License-Identifier: LGPL-2.1-or-later OR GPL-2.0-only */
/*
 * The table of supervised system calls. BPF programs, words of policies, explanations in events
 * and the matrix in docs/OVERRIDES.md are all made from it. Included by warder_image.h, whose rules
 * for layouts hold here too.
 */
#ifndef WARDER_CALLS_H
#define WARDER_CALLS_H

/*
 * What `on:` of an override rule names: X(OP, word, performed).
 * One word stands for all system calls that do the same.
 */
#define WARDER_OPS(X)                                                                         \
	X(MOUNT, "mount", "a new tmpfs; the container's own proc or sysfs once more, or a proc of a pid namespace below with the same masks; an overlay of folders in the container; nfs of a trusted server; ext4, erofs, squashfs, xfs of a trusted image; an image that a FUSE program reads; a bind of an offered host path or of what is in the container; remount, move, propagation") \
	X(UMOUNT, "umount", "mounts of the container's own mount namespace")                    \
	X(PIVOT_ROOT, "pivot_root", "")                                                       \
	X(CHROOT, "chroot", "")                                                               \
	X(MKNOD, "mknod", "devices that the rule lists")                                      \
	X(SETXATTR, "setxattr", "trusted.overlay.opaque=y, or what the rule lists")           \
	X(SETHOSTNAME, "sethostname", "in a UTS namespace of the container's own")             \
	X(SETDOMAINNAME, "setdomainname", "in a UTS namespace of the container's own")         \
	X(SCHED_SETSCHEDULER, "sched_setscheduler", "of one thread, within the rule's limits") \
	X(SETPRIORITY, "setpriority", "of one thread, within the rule's limits")               \
	X(IOPRIO_SET, "ioprio_set", "")                                                       \
	X(SETNS, "setns", "")                                                                 \
	X(UNSHARE, "unshare", "")                                                             \
	X(SWAPON, "swapon", "")                                                               \
	X(SWAPOFF, "swapoff", "")                                                             \
	X(REBOOT, "reboot", "")                                                               \
	X(SETTIMEOFDAY, "settimeofday", "")                                                   \
	X(CLOCK_SETTIME, "clock_settime", "")                                                 \
	X(BPF, "bpf", "")                                                                     \
	X(PERF_EVENT_OPEN, "perf_event_open", "")                                             \
	X(OPEN_BY_HANDLE_AT, "open_by_handle_at", "")                                         \
	X(QUOTACTL, "quotactl", "")                                                           \
	X(KEYCTL, "keyctl", "")

enum warder_op {
	WARDER_OP_NONE = 0,
#define WARDER_OP_NAME(op, word, performed) WARDER_OP_##op,
	WARDER_OPS(WARDER_OP_NAME)
#undef WARDER_OP_NAME
	WARDER_OP__MAX,
};
_Static_assert(WARDER_OP__MAX <= 40, "a program's needs are one word, see loader_attach.c");

/*
 * The entries: X(name, OP, errnos, capability, arguments, nr64, nr32, function of the 32-bit entry);
 * the 64-bit entry is __x64_sys_NAME. X32 has no 64-bit entry. XN(name, OP, arguments, nr), with
 * that number in both, is seen by seccomp notification only: its result is a descriptor, or is about
 * one, which nobody could give to a thread that has been refused already.
 *
 *   errnos      which refusals are looked at: P is EPERM, A EPERM or EACCES
 *   capability  what the kernel asks for, for people
 *   arguments   one letter each: p path, s string, d number, x flags in hexadecimal, f descriptor,
 *               n device number, m mode, * memory that is not shown
 */
#define WARDER_CALLS(X, X32, XN)                                                                  \
	X(mount, MOUNT, P, "SYS_ADMIN", "spsx*", 165, 21, __ia32_sys_mount)                       \
	X(umount, UMOUNT, P, "SYS_ADMIN", "px", 166, 52, __ia32_sys_umount)                       \
	X32(oldumount, UMOUNT, P, "SYS_ADMIN", "p", 22, __ia32_sys_oldumount)                     \
	X(pivot_root, PIVOT_ROOT, P, "SYS_ADMIN", "pp", 155, 217, __ia32_sys_pivot_root)          \
	X(chroot, CHROOT, P, "SYS_CHROOT", "p", 161, 61, __ia32_sys_chroot)                       \
	X(mknod, MKNOD, P, "MKNOD", "pmn", 133, 14, __ia32_sys_mknod)                             \
	X(mknodat, MKNOD, P, "MKNOD", "fpmn", 259, 297, __ia32_sys_mknodat)                       \
	X(setxattr, SETXATTR, P, "SYS_ADMIN", "ps*dx", 188, 226, __ia32_sys_setxattr)             \
	X(lsetxattr, SETXATTR, P, "SYS_ADMIN", "ps*dx", 189, 227, __ia32_sys_lsetxattr)           \
	X(fsetxattr, SETXATTR, P, "SYS_ADMIN", "fs*dx", 190, 228, __ia32_sys_fsetxattr)           \
	X(sethostname, SETHOSTNAME, P, "SYS_ADMIN", "sd", 170, 74, __ia32_sys_sethostname)        \
	X(setdomainname, SETDOMAINNAME, P, "SYS_ADMIN", "sd", 171, 121,                           \
	  __ia32_sys_setdomainname)                                                               \
	X(sched_setscheduler, SCHED_SETSCHEDULER, P, "SYS_NICE", "dd*", 144, 156,                 \
	  __ia32_sys_sched_setscheduler)                                                          \
	X(sched_setparam, SCHED_SETSCHEDULER, P, "SYS_NICE", "d*", 142, 154,                      \
	  __ia32_sys_sched_setparam)                                                              \
	X(sched_setattr, SCHED_SETSCHEDULER, P, "SYS_NICE", "d*x", 314, 351,                      \
	  __ia32_sys_sched_setattr)                                                               \
	X(setpriority, SETPRIORITY, A, "SYS_NICE", "ddd", 141, 97, __ia32_sys_setpriority)        \
	X(ioprio_set, IOPRIO_SET, P, "SYS_NICE", "ddx", 251, 289, __ia32_sys_ioprio_set)          \
	X(setns, SETNS, P, "SYS_ADMIN", "fx", 308, 346, __ia32_sys_setns)                         \
	X(unshare, UNSHARE, P, "SYS_ADMIN", "x", 272, 310, __ia32_sys_unshare)                    \
	X(swapon, SWAPON, P, "SYS_ADMIN", "px", 167, 87, __ia32_sys_swapon)                       \
	X(swapoff, SWAPOFF, P, "SYS_ADMIN", "p", 168, 115, __ia32_sys_swapoff)                    \
	X(reboot, REBOOT, P, "SYS_BOOT", "xxx*", 169, 88, __ia32_sys_reboot)                      \
	X(settimeofday, SETTIMEOFDAY, P, "SYS_TIME", "**", 164, 79, __ia32_compat_sys_settimeofday) \
	X32(stime32, SETTIMEOFDAY, P, "SYS_TIME", "*", 25, __ia32_sys_stime32)                    \
	X(clock_settime, CLOCK_SETTIME, P, "SYS_TIME", "d*", 227, 404, __ia32_sys_clock_settime)  \
	X32(clock_settime32, CLOCK_SETTIME, P, "SYS_TIME", "d*", 264,                             \
	    __ia32_sys_clock_settime32)                                                           \
	X(bpf, BPF, P, "BPF, SYS_ADMIN", "d*d", 321, 357, __ia32_sys_bpf)                         \
	X(perf_event_open, PERF_EVENT_OPEN, A, "PERFMON, SYS_ADMIN", "*ddfx", 298, 336,           \
	  __ia32_sys_perf_event_open)                                                             \
	X(open_by_handle_at, OPEN_BY_HANDLE_AT, P, "DAC_READ_SEARCH", "f*x", 304, 342,            \
	  __ia32_compat_sys_open_by_handle_at)                                                    \
	X(quotactl, QUOTACTL, P, "SYS_ADMIN", "xpd*", 179, 131, __ia32_sys_quotactl)              \
	X(keyctl, KEYCTL, A, "SYS_ADMIN", "dxxxx", 250, 288, __ia32_compat_sys_keyctl)            \
	XN(open_tree, MOUNT, "fsx", 428)                                                          \
	XN(move_mount, MOUNT, "fsfpx", 429)                                                       \
	XN(fsopen, MOUNT, "sx", 430)                                                              \
	XN(fsconfig, MOUNT, "fdssd", 431)                                                         \
	XN(fsmount, MOUNT, "fxx", 432)                                                            \
	XN(fspick, MOUNT, "fpx", 433)                                                             \
	XN(mount_setattr, MOUNT, "fpx*d", 442)

/* Numbers of the entries, for records; 0 is none. */
enum warder_call {
	WARDER_CALL_NONE = 0,
#define WARDER_CALL_NAME(name, ...) WARDER_CALL_##name,
	WARDER_CALLS(WARDER_CALL_NAME, WARDER_CALL_NAME, WARDER_CALL_NAME)
#undef WARDER_CALL_NAME
	WARDER_CALL__MAX,
};

#endif
