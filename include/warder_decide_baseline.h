/* SPDX-License-Identifier: LGPL-2.1-or-later OR GPL-2.0-only */
/* What no policy and no mode turns off, as far as names and numbers tell it. Included by
 * warder_decide.h, whose rules hold here too. */
#ifndef WARDER_DECIDE_BASELINE_H
#define WARDER_DECIDE_BASELINE_H

#ifndef WARDER_DECIDE_H
#include "warder_decide.h"
#endif

/* ---------------------------------------------------------------- baseline */

/*
 * Files through which the kernel is made to act as an untagged task, or which show all of
 * memory. Judged by superblock and the name below its root, which no mount can change;
 * `path` is that name with a leading slash.
 */
#define WARDER_MAGIC_PROC 0x9fa0u
#define WARDER_MAGIC_SYSFS 0x62656572u
#define WARDER_MAGIC_CGROUP 0x27e0ebu
#define WARDER_MAGIC_BINFMT 0x42494e4du
#define WARDER_MAGIC_BPF 0xcafe4a11u
#define WARDER_MAGIC_DEBUGFS 0x64626720u
#define WARDER_MAGIC_TRACEFS 0x74726163u
#define WARDER_MAGIC_SECURITYFS 0x73636673u
#define WARDER_MAGIC_EFIVARFS 0xde5e81e4u

/* Accesses that change an object. */
#define WARDER_ACC_CHANGES                                                                    \
	(WARDER_ACC_WRITE | WARDER_ACC_APPEND | WARDER_ACC_CREATE | WARDER_ACC_DELETE |       \
	 WARDER_ACC_RENAME | WARDER_ACC_LINK | WARDER_ACC_SYMLINK | WARDER_ACC_CHMOD |        \
	 WARDER_ACC_CHOWN | WARDER_ACC_TRUNCATE | WARDER_ACC_SETATTR | WARDER_ACC_XATTR |     \
	 WARDER_ACC_MKNOD)

#define WARDER_MAGIC_CONFIGFS 0x62656570u

/* Does the superblock need warder_baseline_file() at all? Cheap, for the hook's early way out. */
WARDER_ENGINE int warder_baseline_concerns(__u32 magic)
{
	return magic == WARDER_MAGIC_PROC || magic == WARDER_MAGIC_SYSFS ||
	       magic == WARDER_MAGIC_CGROUP || magic == WARDER_MAGIC_BINFMT ||
	       magic == WARDER_MAGIC_BPF || magic == WARDER_MAGIC_DEBUGFS ||
	       magic == WARDER_MAGIC_TRACEFS || magic == WARDER_MAGIC_SECURITYFS ||
	       magic == WARDER_MAGIC_EFIVARFS || magic == WARDER_MAGIC_CONFIGFS;
}

/* The first 32 bytes of a name and the last 8, NUL-padded: what the baseline compares. */
struct warder_ends {
	__u64 head[4];
	__u64 tail;
	__u32 len;
	__u32 pad;
};

WARDER_ENGINE_GLOBAL __u64 warder_text_word(const struct warder_text *text, __u32 off, __u32 len)
{
	__u64 w = 0;

	if (!text)
		return 0;
	for (__u32 i = 0; i < 8; i++) {
		__u32 at = (off + i) & WARDER_TEXT_MASK;

		WARDER_OPAQUE(at);
		if (i < len)
			w |= (__u64)(__u8)text->b[at & WARDER_TEXT_MASK] << (8 * i);
	}
	return w;
}

WARDER_ENGINE void warder_ends_read(const struct warder_text *text, __u32 off, __u32 len,
				    struct warder_ends *e)
{
	for (__u32 i = 0; i < 4; i++)
		e->head[i] = warder_text_word(text, off + 8 * i, len > 8 * i ? len - 8 * i : 0);
	e->tail = len >= 8 ? warder_text_word(text, off + len - 8, 8) : 0;
	e->len = len;
	e->pad = 0;
}

/* Eight characters of a literal as text_word() reads them; the compiler folds it. */
#define WARDER_CH(s, n, i) ((i) < (n) ? (__u64)(__u8)(s)[(i) < (n) ? (i) : 0] << (8 * ((i) % 8)) : 0)
#define WARDER_WORD(s, n, k)                                                              \
	(WARDER_CH(s, n, 8 * (k)) | WARDER_CH(s, n, 8 * (k) + 1) |                        \
	 WARDER_CH(s, n, 8 * (k) + 2) | WARDER_CH(s, n, 8 * (k) + 3) |                    \
	 WARDER_CH(s, n, 8 * (k) + 4) | WARDER_CH(s, n, 8 * (k) + 5) |                    \
	 WARDER_CH(s, n, 8 * (k) + 6) | WARDER_CH(s, n, 8 * (k) + 7))
/* Which bits of word k a prefix of n bytes fixes. */
#define WARDER_WORD_MASK(n, k)                                                            \
	((n) >= 8 * (k) + 8 ? ~0ull : (n) > 8 * (k) ? (1ull << (8 * ((n) % 8))) - 1 : 0)
#define WARDER_HEAD_IS(e, s, n)                                                           \
	((((e)->head[0] ^ WARDER_WORD(s, n, 0)) & WARDER_WORD_MASK(n, 0)) == 0 &&         \
	 (((e)->head[1] ^ WARDER_WORD(s, n, 1)) & WARDER_WORD_MASK(n, 1)) == 0 &&         \
	 (((e)->head[2] ^ WARDER_WORD(s, n, 2)) & WARDER_WORD_MASK(n, 2)) == 0 &&         \
	 (((e)->head[3] ^ WARDER_WORD(s, n, 3)) & WARDER_WORD_MASK(n, 3)) == 0)
/* The name begins with the literal; the name is the literal; it is the literal or below it.
 * Literals have at most 31 bytes. */
#define WARDER_BEGINS(e, s) WARDER_HEAD_IS(e, s, sizeof(s) - 1)
#define WARDER_IS(e, s) ((e)->len == sizeof(s) - 1 && WARDER_HEAD_IS(e, s, sizeof(s) - 1))
#define WARDER_UNDER(e, s) (WARDER_IS(e, s) || WARDER_HEAD_IS(e, s "/", sizeof(s)))

/*
 * proc. What a task changes about tasks (/PID/...) and about its own namespaces (the sysctls
 * listed) is not the kernel's business; everything else that can be written acts on the host
 * or lets the kernel act for the task: core_pattern, modprobe, sysrq-trigger, sysctls of
 * memory and devices, mtrr, irq, bus, fs, ... So changes are refused unless listed, and
 * images of memory are refused altogether. Pressure files take triggers, which only inform.
 */
WARDER_ENGINE int warder_baseline_proc(const struct warder_ends *e, __u32 access)
{
	__u8 first = (__u8)(e->head[0] >> 8);

	if (WARDER_IS(e, "/kcore") || WARDER_IS(e, "/kmem") || WARDER_IS(e, "/vmcore"))
		return 1;
	if (!(access & WARDER_ACC_CHANGES))
		return 0;
	if (first >= '0' && first <= '9')
		return 0;
	if (WARDER_UNDER(e, "/pressure") || WARDER_UNDER(e, "/sys/net") ||
	    WARDER_UNDER(e, "/sys/user") || WARDER_UNDER(e, "/sys/fs/mqueue"))
		return 0;
	if (WARDER_BEGINS(e, "/sys/kernel/shm") || WARDER_BEGINS(e, "/sys/kernel/msg") ||
	    WARDER_IS(e, "/sys/kernel/sem") || WARDER_IS(e, "/sys/kernel/sem_next_id") ||
	    WARDER_IS(e, "/sys/kernel/auto_msgmni") || WARDER_IS(e, "/sys/kernel/hostname") ||
	    WARDER_IS(e, "/sys/kernel/domainname") || WARDER_IS(e, "/sys/kernel/ns_last_pid"))
		return 0;
	return 1;
}

/*
 * sysfs. Programs that the kernel starts, firmware that it loads, modules' parameters, drivers'
 * binding, power: changes refused; and synthetic uevents, on which the host's udev acts.
 * Attributes of devices are left to the policy and to the device's own permission.
 */
WARDER_ENGINE int warder_baseline_sysfs(const struct warder_ends *e, __u32 access)
{
	if (!(access & WARDER_ACC_CHANGES))
		return 0;
	return WARDER_UNDER(e, "/kernel") || WARDER_UNDER(e, "/power") ||
	       WARDER_UNDER(e, "/firmware") || WARDER_UNDER(e, "/module") ||
	       WARDER_UNDER(e, "/bus") || WARDER_UNDER(e, "/hypervisor") ||
	       e->tail >> 8 == WARDER_WORD("/uevent", 7, 0);
}

/*
 * Does the baseline refuse `access` to the object whose name below its superblock's root is
 * text[off, off+len)? `access` WARDER_ACC_*. 1: refused, in every mode.
 */
WARDER_ENGINE_GLOBAL int warder_baseline_file(__u32 magic, const struct warder_text *text,
					      __u32 off, __u32 len, __u32 access)
{
	struct warder_ends e;

	if (!text)
		return 1;
	/* Objects of these change nothing but the host, or enforcement itself. */
	if (magic == WARDER_MAGIC_BPF)
		return 1;
	if (magic == WARDER_MAGIC_BINFMT || magic == WARDER_MAGIC_DEBUGFS ||
	    magic == WARDER_MAGIC_TRACEFS || magic == WARDER_MAGIC_SECURITYFS ||
	    magic == WARDER_MAGIC_EFIVARFS || magic == WARDER_MAGIC_CONFIGFS)
		return (access & WARDER_ACC_CHANGES) != 0;
	if (magic != WARDER_MAGIC_PROC && magic != WARDER_MAGIC_SYSFS &&
	    magic != WARDER_MAGIC_CGROUP)
		return 0;
	if (len >= WARDER_PATH_MAX)
		return 1;
	warder_ends_read(text, off, len, &e);
	if (magic == WARDER_MAGIC_PROC)
		return warder_baseline_proc(&e, access);
	if (magic == WARDER_MAGIC_SYSFS)
		return warder_baseline_sysfs(&e, access);
	/* cgroup v1: the program that the kernel starts when a cgroup becomes empty. */
	return (access & WARDER_ACC_CHANGES) && WARDER_IS(&e, "/release_agent");
}

/* Does the policy leave that part of the baseline on? */
WARDER_ENGINE int warder_kernel_files_closed(const struct warder_image *img)
{
	return !(img->h.unsafe & WARDER_UNSAFE_KERNEL_FILES);
}

/* Types of device nodes, as in a mode. */
#define WARDER_DEVICE_CHAR 0020000u
#define WARDER_DEVICE_BLOCK 0060000u

/* Devices that are all of memory, every port, or every register of the CPU: mem, kmem, port,
 * /dev/cpu/N/msr. 1: refused, by whatever node. */
WARDER_ENGINE int warder_baseline_device(__u32 type, __u32 major, __u32 minor)
{
	if (type != WARDER_DEVICE_CHAR)
		return 0;
	if (major == 1)
		return minor == 1 || minor == 2 || minor == 4;
	return major == 202;
}

#endif
