/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Open files of a task, for user space: what it cannot see by itself (superblock and dentry
 * addresses, to record mounts) and the names that hooks would see, by the same code.
 */
#ifndef WARDER_NAMES_BPF_H
#define WARDER_NAMES_BPF_H

#include "core.bpf.h"
#include "gather.bpf.h"

/* No container: records without names. */
#define NAMES_NO_SLOT (~0u)

static __always_inline __u32 names_fd_mode(struct file *file)
{
	__u32 mode = BPF_CORE_READ(file, f_mode) & (WARDER_FMODE_READ | WARDER_FMODE_WRITE);

	return BPF_CORE_READ(file, f_flags) & WARDER_O_APPEND ? mode | WARDER_FD_APPEND : mode;
}

SEC("iter/task_file")
int warder_iter_task_file(struct bpf_iter__task_file *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct file *file = ctx->file;
	struct warder_fd_record r = {};
	struct scratch *sc;
	__u32 zero = 0, *slot;
	__u32 pos = 0, len = 0;
	int name;

	if (!ctx->task || !file)
		return 0;
	slot = bpf_map_lookup_elem(&warder_iter, &zero);
	if (!slot)
		return 0;
	r.fd = ctx->fd;
	r.mnt_root = (__u64)BPF_CORE_READ(file, f_path.mnt, mnt_root);
	r.root_ino = BPF_CORE_READ(file, f_path.mnt, mnt_root, d_inode, i_ino);
	r.dentry = (__u64)BPF_CORE_READ(file, f_path.dentry);
	r.ino = BPF_CORE_READ(file, f_path.dentry, d_inode, i_ino);
	r.sb = (__u64)BPF_CORE_READ(file, f_path.dentry, d_sb);
	r.s_dev = BPF_CORE_READ(file, f_path.dentry, d_sb, s_dev);
	r.magic = BPF_CORE_READ(file, f_path.dentry, d_sb, s_magic);

	r.mode = names_fd_mode(file);

	if (*slot == NAMES_NO_SLOT) {
		bpf_seq_write(seq, &r, sizeof(r));
		return 0;
	}
	sc = scratch_take();
	if (!sc) {
		r.name_len = -WARDER_FAULT_SCRATCH;
		bpf_seq_write(seq, &r, sizeof(r));
		return 0;
	}
	name = gather_name(r.mnt_root, r.dentry, *slot, &sc->text, WARDER_PATH_MAX);
	if (name < 0) {
		r.name_len = name;
	} else {
		pos = name & (WARDER_PATH_MAX - 1);
		len = WARDER_PATH_MAX - pos;
		r.name_len = len;
	}
	/* When the buffer is full, the kernel drops the whole record and asks again. */
	bpf_seq_write(seq, &r, sizeof(r));
	if (len)
		bpf_seq_write(seq, sc->text.b + pos, len);
	scratch_give(sc);
	return 0;
}

#endif
