/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where kernels of the matrix differ in the fields of files: flavours of types (CO-RE takes
 * `struct x___y` for `struct x`), flags, and what tells an internal open from a task's.
 */
#ifndef WARDER_COMPAT_BPF_H
#define WARDER_COMPAT_BPF_H

#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#define WARDER_FMODE_READ 0x1
#define WARDER_FMODE_WRITE 0x2
/* In f_flags, set by the kernel for the file that it executes; no system call passes it on. */
#define WARDER_FMODE_EXEC 0x20
#define WARDER_O_APPEND 02000
#define WARDER_O_TMPFILE 020000000 /* the kernel's __O_TMPFILE, without O_DIRECTORY */

#define WARDER_NR_FTRUNCATE 77

#define WARDER_SB_KERNMOUNT (1ul << 22)

#define WARDER_S_IFMT 0170000
#define WARDER_S_IFSOCK 0140000
#define WARDER_S_IFREG 0100000
#define WARDER_S_IFBLK 0060000
#define WARDER_S_IFDIR 0040000
#define WARDER_S_IFCHR 0020000
#define WARDER_S_IFIFO 0010000

#define WARDER_MAGIC_TMPFS 0x01021994u
#define WARDER_MAGIC_MQUEUE 0x19800202u

/* Kernel's ERR_PTR range. */
static __always_inline int compat_is_err(const void *p)
{
	return (unsigned long)p >= (unsigned long)-4095;
}

/* FMODE_BACKING is not used: it is bit 25 from 6.7 to 6.13 and bit 24 since, where bit 25 is
 * FMODE_NONOTIFY. Backing files of an overlay lie on its internal mounts, which tells them. */

/* Is this mount one that no namespace ever held: kern_mount() of a pseudo file system, or the
 * private clone by which overlayfs reaches a layer? */
static __always_inline int compat_mount_is_internal(struct vfsmount *mnt)
{
	struct mount *m = (void *)mnt - bpf_core_field_offset(struct mount, mnt);

	return compat_is_err(BPF_CORE_READ(m, mnt_ns));
}

/* Where the mapping of an overlay's file holds the layer's (6.7 and later), what it was opened
 * as lies behind that. Before, the layer's file has the overlay's path itself. */
static __always_inline struct backing_file *compat_backing_file(struct file *file)
{
	struct backing_file *backing = (struct backing_file *)file; /* its first member */

	if (!bpf_core_field_exists(backing->user_path) ||
	    !compat_mount_is_internal(BPF_CORE_READ(file, f_path.mnt)) ||
	    (BPF_CORE_READ(file, f_path.mnt, mnt_sb, s_flags) & WARDER_SB_KERNMOUNT))
		return NULL;
	return backing;
}

#endif
