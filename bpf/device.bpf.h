/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Class "device": opening and making nodes of devices. FIFOs and sockets are none; nor is what an
 * overlay calls a whiteout, a node with the number 0:0 that nothing can open.
 *
 * Nodes that the runtime made are those on a mount recorded at /dev or below, and those that are
 * themselves the root of a recorded mount: one device, put there by name.
 */
#ifndef WARDER_DEVICE_BPF_H
#define WARDER_DEVICE_BPF_H

#include "core.bpf.h"
#include "gather.bpf.h"

/* Is it the container's /dev that this record names, or something mounted below? */
static __always_inline int device_record_is_dev(const struct warder_name *name)
{
	__u32 path = 0;
	__u8 next;

	if (name->len < 4)
		return 0;
	__builtin_memcpy(&path, name->path, sizeof(path));
	next = name->path[4];
	return path == 0x7665642f /* "/dev" */ && (name->len == 4 || next == '/');
}

/* Did the runtime make this node? `at`: its dentry, reached by a mount with root `mnt_root`. */
__noinline __weak int device_is_made_by_runtime(__u64 at, __u64 mnt_root, __u32 slot)
{
	struct dentry *dentry = (struct dentry *)at;
	struct warder_name *name;
	__u64 sb;

	if (!at)
		return 0;
	sb = (__u64)BPF_CORE_READ(dentry, d_sb);
	name = gather_record(sb, (struct dentry *)mnt_root, slot);
	if (name && (mnt_root == at || device_record_is_dev(name)))
		return 1;
	/* A part of it mounted elsewhere stays what it is. */
	name = gather_record(sb, BPF_CORE_READ(dentry, d_sb, s_root), slot);
	return name && device_record_is_dev(name);
}

/*
 * Judges `op`, a WARDER_DEV_* bit, of the current task on the device `key` (WARDER_DEVICE_KEY): the
 * node `dentry` reached by a mount with root `mnt_root`, 0 where it is not there yet. Returns 0 or
 * a negative errno. Events name the number: the stack has no room to gather a name.
 */
__noinline __weak int device_judge(__u64 key, __u32 op, __u64 dentry, __u64 mnt_root)
{
	struct hook_facts f = { .class_ = WARDER_CLASS_DEVICE };
	struct subject s = {};
	struct warder_verdict v;
	__u32 type = WARDER_DEVICE_KEY_TYPE(key), major = WARDER_DEVICE_KEY_MAJOR(key);
	__u32 minor = WARDER_DEVICE_KEY_MINOR(key);

	f.hook = op == WARDER_DEV_MKNOD ? WARDER_HOOK_PATH_MKNOD : WARDER_HOOK_FILE_OPEN;
	f.access = op;
	f.arg[0] = type;
	f.arg[1] = (__u64)major << 32 | minor;
	HOOK_SUBJECT(&s, &f);
	warder_decide_device(s.img, s.pr, op, type, major, minor,
			     device_is_made_by_runtime(dentry, mnt_root, s.slot), &v);
	return hook_end(&s, &v, &f, NULL);
}

/* The current task, which is tagged, opens a file. 0 or a negative errno. */
static __always_inline int device_judge_open(struct file *file)
{
	__u32 type = file->f_inode->i_mode & WARDER_S_IFMT;
	__u32 rdev;

	if (type != WARDER_S_IFCHR && type != WARDER_S_IFBLK)
		return 0;
	rdev = BPF_CORE_READ(file, f_inode, i_rdev);
	return errno_return(-device_judge(WARDER_DEVICE_KEY(type, rdev >> 20, rdev & 0xfffff),
					  WARDER_DEV_OPEN,
					  (__u64)BPF_CORE_READ(file, f_path.dentry),
					  (__u64)BPF_CORE_READ(file, f_path.mnt, mnt_root)));
}

/* The current task, which is tagged, makes a node. `dev` is as user space writes it. */
static __always_inline int device_judge_mknod(__u32 type, __u32 dev)
{
	__u32 minor = (dev & 0xff) | (dev >> 12 & 0xfff00);

	if ((type != WARDER_S_IFCHR && type != WARDER_S_IFBLK) || (type == WARDER_S_IFCHR && !dev))
		return 0;
	return errno_return(-device_judge(WARDER_DEVICE_KEY(type, (dev & 0xfff00) >> 8, minor),
					  WARDER_DEV_MKNOD, 0, 0));
}

#endif
