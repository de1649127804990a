/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The accesses of class "file" that are no opening, making or removing: times, extended
 * attributes, ioctl, locks, watches. And what undoes an opening for appending.
 *
 * setattr and xattr hooks are told a dentry and no mount: its name is that of the deepest
 * recorded root above it, as everywhere (gather.bpf.h).
 */
#ifndef WARDER_ATTR_BPF_H
#define WARDER_ATTR_BPF_H

#include "capability.bpf.h"
#include "file.bpf.h"

/* Set by the loader before load: 1 where inode_setattr has an idmap before the dentry. */
extern const volatile __u32 cfg_setattr_idmap;

#define ATTR_SIZE 8
#define ATTR_ATIME 16
#define ATTR_MTIME 32

/* Descriptors' own business, whatever they lead to, and questions that isatty(3) and the like
 * ask of any file. */
static __always_inline int attr_ioctl_is_plain(unsigned int cmd)
{
	switch (cmd) {
	case 0x5450: /* FIONCLEX */
	case 0x5451: /* FIOCLEX */
	case 0x5421: /* FIONBIO */
	case 0x5452: /* FIOASYNC */
	case 0x541b: /* FIONREAD */
	case 0x5460: /* FIOQSIZE */
	case 0x0002: /* FIGETBSZ */
	case 0x5401: /* TCGETS */
	case 0x5413: /* TIOCGWINSZ */
		return 1;
	}
	return 0;
}

#define ATTR_TIOCSTI 0x5412
#define ATTR_TIOCLINUX 0x541c
#define ATTR_FIOSETOWN 0x8901
#define ATTR_SIOCSPGRP 0x8902

/*
 * An object known by its dentry only. Passed: what has no file system of its own (pipes,
 * sockets, memfds), and the layer below an overlay's file that was judged already, which the
 * overlay changes with other credentials than the task's.
 */
static __always_inline int attr_judge_dentry(struct dentry *dentry, __u32 hook, __u32 access)
{
	struct file_request r = { .hook = hook, .class_ = WARDER_CLASS_FILE, .access = access };
	struct task_struct *task = bpf_get_current_task_btf();

	if (task->cred != task->real_cred && !(task->flags & WARDER_PF_IO_WORKER))
		return 0;
	if (BPF_CORE_READ(dentry, d_sb, s_flags) & WARDER_SB_KERNMOUNT)
		return 0;
	r.at.dentry = (__u64)dentry;
	return errno_return(-file_judge(&r));
}

/*
 * utimes(2) and its kin. Mode, owner and size have hooks that know the mount.
 *
 * The result of programs before this one is not asked for: the kernel calls none after a refusal.
 * (6.18 takes it for the number that its register held before, if there was one, and would leave
 * out as dead what stands behind the question.)
 */
SEC("lsm/inode_setattr")
int warder_inode_setattr(unsigned long long *ctx)
{
	__u64 dentry, attr;
	unsigned int valid;

	/* The barriers keep the compiler from making one load of the two, at an offset that it
	 * computes: the verifier wants to see it in the instruction. */
	if (cfg_setattr_idmap) {
		dentry = ctx[1];
		attr = ctx[2];
		asm volatile("" : "+r"(dentry), "+r"(attr));
	} else {
		dentry = ctx[0];
		attr = ctx[1];
		asm volatile("" : "+r"(dentry), "+r"(attr));
	}
	if (!current_is_tagged())
		return 0;
	valid = BPF_CORE_READ((struct iattr *)attr, ia_valid);
	if ((valid & ATTR_SIZE) || !(valid & (ATTR_ATIME | ATTR_MTIME)))
		return 0;
	return attr_judge_dentry((struct dentry *)dentry, WARDER_HOOK_INODE_SETATTR,
				 WARDER_ACC_SETATTR);
}

/* The first argument is a user namespace or an idmap, by kernel. */
#define ATTR_XATTR(hook)                                                                        \
	SEC("lsm/" #hook)                                                                       \
	int BPF_PROG(warder_##hook, void *map, struct dentry *dentry)                           \
	{                                                                                       \
		if (!current_is_tagged())                                                       \
			return 0;                                                               \
		return attr_judge_dentry(dentry, WARDER_HOOK_INODE_XATTR, WARDER_ACC_XATTR);    \
	}

ATTR_XATTR(inode_setxattr)
ATTR_XATTR(inode_removexattr)
/* Since 6.2 access lists have hooks of their own; before, they are extended attributes. */
ATTR_XATTR(inode_set_acl)
ATTR_XATTR(inode_remove_acl)

/* chattr(1) by whatever system call, since 6.17; before, it is an ioctl. */
SEC("lsm/inode_file_setattr")
int BPF_PROG(warder_inode_file_setattr, struct dentry *dentry)
{
	if (!current_is_tagged())
		return 0;
	return attr_judge_dentry(dentry, WARDER_HOOK_INODE_SETATTR, WARDER_ACC_SETATTR);
}

/* Typing into a terminal for whoever reads it next: no container does that, as the terminal may
 * be the host's. */
__noinline __weak int attr_refuse_typing(__u32 cmd)
{
	struct hook_facts f = { .hook = WARDER_HOOK_FILE_IOCTL, .class_ = WARDER_CLASS_DEVICE };
	struct warder_verdict v;
	struct subject s = {};

	f.access = cmd;
	HOOK_SUBJECT(&s, &f);
	warder_verdict_allow(&v);
	warder_verdict_deny(&v, WARDER_WHY_BASELINE, WARDER_EPERM);
	return hook_end(&s, &v, &f, NULL);
}

/* `by_fd`: programs unlink their scratch files and go on using them: an access that adds nothing
 * to the opening, which was judged, needs no name then. */
static __always_inline int attr_judge_open_file(struct file *file, __u32 hook, __u32 access,
						int by_fd)
{
	struct file_request r = { .hook = hook, .class_ = WARDER_CLASS_FILE, .access = access,
				  .writable = by_fd };

	if (file_kind(&file->f_path) != FILE_NAMED)
		return 0;
	file_object_set(&r.at, &file->f_path, NULL);
	return errno_return(-file_judge(&r));
}

/*
 * Who is to get the signals of a file is told by number, which the kernel looks up in the
 * caller's pid namespace: from one of its own a container reaches nobody outside. One that
 * shares the host's may name itself only; the numbers behind a pointer, which could change
 * after a look, it may not use at all.
 */
__noinline __weak int attr_judge_owner(__u32 self_only, __s64 pid)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct hook_facts f = { .hook = WARDER_HOOK_SIGIO, .class_ = WARDER_CLASS_SIGNAL };
	struct warder_verdict v;
	struct subject s = {};

	HOOK_SUBJECT(&s, &f);
	if (BPF_CORE_READ(task, thread_pid, level) || (self_only && (!pid || pid == task->tgid)))
		return 0;
	f.arg[0] = pid;
	warder_verdict_allow(&v);
	warder_verdict_deny(&v, WARDER_WHY_BASELINE, WARDER_EPERM);
	return hook_end(&s, &v, &f, NULL);
}

static __always_inline int attr_judge_ioctl(struct file *file, unsigned int cmd)
{
	__u32 type;

	if (!current_is_tagged() || attr_ioctl_is_plain(cmd))
		return 0;
	if (cmd == ATTR_FIOSETOWN || cmd == ATTR_SIOCSPGRP)
		return errno_return(-attr_judge_owner(0, 0));
	type = BPF_CORE_READ(file, f_inode, i_mode) & WARDER_S_IFMT;
	if (type == WARDER_S_IFCHR && (cmd == ATTR_TIOCSTI || cmd == ATTR_TIOCLINUX))
		return errno_return(-attr_refuse_typing(cmd));
	return attr_judge_open_file(file, WARDER_HOOK_FILE_IOCTL, WARDER_ACC_IOCTL,
				    type == WARDER_S_IFREG);
}

SEC("lsm/file_ioctl")
int BPF_PROG(warder_file_ioctl, struct file *file, unsigned int cmd)
{
	return attr_judge_ioctl(file, cmd);
}

/* 32-bit programs, on kernels that ask separately. */
SEC("lsm/file_ioctl_compat")
int BPF_PROG(warder_file_ioctl_compat, struct file *file, unsigned int cmd)
{
	return attr_judge_ioctl(file, cmd);
}

SEC("lsm/file_lock")
int BPF_PROG(warder_file_lock, struct file *file, unsigned int cmd, int ret)
{
	if (ret || !current_is_tagged())
		return ret;
	return attr_judge_open_file(file, WARDER_HOOK_FILE_LOCK, WARDER_ACC_LOCK, 1);
}

/* inotify, fanotify, dnotify. */
SEC("lsm/path_notify")
int BPF_PROG(warder_path_notify, const struct path *path, __u64 mask, unsigned int type, int ret)
{
	if (ret || !current_is_tagged())
		return ret;
	return file_judge_path(path, WARDER_HOOK_PATH_NOTIFY, WARDER_CLASS_FILE, WARDER_ACC_WATCH);
}

/*
 * A file opened for appending was not judged for writing: ask for that before O_APPEND is taken
 * off, or the file is mapped so that stores reach it. What overwrites such a file all the same (fallocate(2) that punches holes; since 6.9
 * RWF_NOAPPEND) meets no hook: a rule that allows append and not write is a fence and no wall.
 */
static __always_inline int attr_judge_append(struct file *file, __u32 hook)
{
	if (!(file->f_mode & WARDER_FMODE_WRITE) || !(file->f_flags & WARDER_O_APPEND) ||
	    !current_is_tagged() || file_kind(&file->f_path) != FILE_NAMED)
		return 0;
	return file_judge_path(&file->f_path, hook, WARDER_CLASS_FILE, WARDER_ACC_WRITE);
}

#endif
