/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Class "file": opening, making, removing, renaming and linking, truncating, mode and owner,
 * mapping for execution. Everything is judged when it is opened or named; reads and writes of
 * open files are not seen again.
 *
 * A hook program only says what is asked of which object; file_judge() does the rest and is
 * verified once for each program.
 */
#ifndef WARDER_FILE_BPF_H
#define WARDER_FILE_BPF_H

#include "core.bpf.h"
#include "gather.bpf.h"

#define WARDER_PROT_EXEC 4
#define WARDER_S_PRIVATE 512
#define WARDER_RENAME_EXCHANGE 2
#define WARDER_RENAME_WHITEOUT 4
#define WARDER_EXDEV 18
#define WARDER_MAGIC_HUGETLB 0x958458f6u

/* One object: a dentry, or with `leaf` an entry that is made in or taken out of a folder. */
struct file_object {
	__u64 mnt_root;
	__u64 dentry;
	__u64 leaf;
};

struct file_request {
	struct file_object at;
	struct file_object other; /* rename, link: the other end, only for the report */
	__u32 hook;
	__u32 class_;
	__u32 access;
	__u32 nameless; /* 1: of a kind that has no name anywhere (memfd) */
};

/* Is the current task one of a container, or one of whom that cannot be said? */
static __always_inline int file_task_is_tagged(void)
{
	__u32 fault;

	return task_tag(bpf_get_current_task_btf(), &fault) || fault;
}

enum file_kind {
	FILE_NAMED,   /* to be judged by its name */
	FILE_PASSED,  /* no object of a file system, or a lower layer of one judged already */
	FILE_NAMELESS,
};

static __always_inline enum file_kind file_kind(const struct path *path)
{
	struct vfsmount *mnt = path->mnt;
	struct super_block *sb;
	unsigned long magic;

	if (!compat_mount_is_internal(mnt))
		return FILE_NAMED;
	sb = BPF_CORE_READ(mnt, mnt_sb);
	/* A layer of an overlay, opened for a file of the overlay that was judged. */
	if (!(BPF_CORE_READ(sb, s_flags) & WARDER_SB_KERNMOUNT))
		return FILE_PASSED;
	magic = BPF_CORE_READ(sb, s_magic);
	if (magic == WARDER_MAGIC_TMPFS || magic == WARDER_MAGIC_HUGETLB)
		return FILE_NAMELESS;
	return FILE_PASSED;
}

static __always_inline void file_object_set(struct file_object *o, const struct path *path,
					    struct dentry *leaf)
{
	o->mnt_root = (__u64)BPF_CORE_READ(path, mnt, mnt_root);
	o->dentry = (__u64)BPF_CORE_READ(path, dentry);
	o->leaf = (__u64)leaf;
}

/* Where the object's name begins in `text`, or a negative result of gather. */
static __always_inline int file_gather(const struct file_object *o, __u32 slot,
				       struct warder_text *text)
{
	int pos = WARDER_PATH_MAX;

	if (o->leaf) {
		pos = gather_leaf(o->leaf, text);
		if (pos < 0)
			return pos;
	}
	return gather_name(o->mnt_root, o->dentry, slot, text, pos);
}

/* What no policy turns off: 0, 1 (refused), or a negative fault. */
static __always_inline int file_baseline(const struct file_request *r, struct scratch *sc,
					 struct hook_facts *f)
{
	struct dentry *dentry = (struct dentry *)r->at.dentry;
	__u32 magic = BPF_CORE_READ(dentry, d_sb, s_magic);
	int pos = WARDER_PATH_MAX;

	if (!warder_baseline_concerns(magic))
		return 0;
	if (r->at.leaf) {
		pos = gather_leaf(r->at.leaf, &sc->text);
		if (pos < 0)
			return pos;
	}
	pos = gather_name_in_sb(r->at.dentry, &sc->text, pos);
	if (pos < 0)
		return pos;
	if (!warder_baseline_file(magic, &sc->text, pos, WARDER_PATH_MAX - pos, r->access))
		return 0;
	f->off = pos;
	f->len = WARDER_PATH_MAX - pos;
	return 1;
}

/* /dev/mem, /dev/kmem, /dev/port by whatever node: all of memory and every port. */
static __always_inline int file_is_memory_device(const struct file_request *r)
{
	struct dentry *dentry = (struct dentry *)r->at.dentry;
	struct inode *inode;
	__u32 rdev;

	if (r->hook != WARDER_HOOK_FILE_OPEN)
		return 0;
	inode = BPF_CORE_READ(dentry, d_inode);
	if ((BPF_CORE_READ(inode, i_mode) & WARDER_S_IFMT) != WARDER_S_IFCHR)
		return 0;
	rdev = BPF_CORE_READ(inode, i_rdev);
	return rdev == (1 << 20 | 1) || rdev == (1 << 20 | 2) || rdev == (1 << 20 | 4);
}

static __always_inline void file_facts(struct hook_facts *f, const struct file_request *r)
{
	f->hook = r->hook;
	f->class_ = r->class_;
	f->access = r->access;
	f->off = 0;
	f->len = 0;
	f->detail_off = 0;
	f->detail_len = 0;
	f->arg[0] = 0;
	f->arg[1] = 0;
}

/* Judges one object for the current task. Returns 0 or a negative errno. */
__noinline __weak int file_judge(const struct file_request *r)
{
	struct warder_verdict v;
	struct hook_facts f = {};
	struct subject s = {};
	struct scratch *sc;
	int pos;

	if (!r)
		return -WARDER_EACCES;
	file_facts(&f, r);
	if (subject_current(&s) != SUBJECT_TAGGED)
		return hook_fault(&s, &f, s.fault, NULL);
	sc = scratch_take();
	if (!sc)
		return hook_fault(&s, &f, WARDER_FAULT_SCRATCH, NULL);
	warder_verdict_allow(&v);

	pos = file_is_memory_device(r) ? 1 : file_baseline(r, sc, &f);
	if (pos < 0)
		return hook_fault(&s, &f, -pos, sc);
	if (pos) {
		warder_verdict_deny(&v, WARDER_WHY_BASELINE, WARDER_EPERM);
		v.access = r->access;
		return hook_end(&s, &v, &f, sc);
	}
	if (warder_file_is_trivial(s.img))
		return hook_end(&s, &v, &f, sc);

	pos = r->nameless ? GATHER_UNREACHABLE : file_gather(&r->at, s.slot, &sc->text);
	if (pos == GATHER_UNREACHABLE) {
		warder_decide_unreachable(s.img, r->access, &v);
	} else if (pos < 0) {
		return hook_fault(&s, &f, -pos, sc);
	} else {
		f.off = pos;
		f.len = WARDER_PATH_MAX - pos;
		warder_decide_file(s.img, &sc->text, f.off, f.len, r->access, &v);
	}
	if (v.report && r->other.dentry) {
		pos = file_gather(&r->other, s.slot, &sc->second);
		if (pos > 0) {
			f.detail_off = pos;
			f.detail_len = WARDER_PATH_MAX - pos;
		}
	}
	return hook_end(&s, &v, &f, sc);
}

/* -------------------------------------------------------------------- hooks */

static __always_inline int file_judge_path(const struct path *path, __u32 hook, __u32 class_,
					   __u32 access)
{
	struct file_request r = { .hook = hook, .class_ = class_, .access = access };
	enum file_kind kind = file_kind(path);

	if (kind == FILE_PASSED)
		return 0;
	r.nameless = kind == FILE_NAMELESS;
	file_object_set(&r.at, path, NULL);
	return errno_return(-file_judge(&r));
}

static __always_inline int file_judge_entry(const struct path *dir, struct dentry *entry,
					    __u32 hook, __u32 access)
{
	struct file_request r = { .hook = hook, .class_ = WARDER_CLASS_FILE, .access = access };

	file_object_set(&r.at, dir, entry);
	return errno_return(-file_judge(&r));
}

SEC("lsm/file_open")
int BPF_PROG(warder_file_open, struct file *file, int ret)
{
	fmode_t mode = file->f_mode;
	__u32 access = 0;

	if (ret || !file_task_is_tagged())
		return ret;
	/* Execution is judged in bprm_check_security, its mappings in mmap_file. */
	if ((file->f_flags & WARDER_FMODE_EXEC) || (mode & WARDER_FMODE_BACKING))
		return 0;
	if (mode & WARDER_FMODE_READ)
		access |= WARDER_ACC_READ;
	if (mode & WARDER_FMODE_WRITE)
		access |= file->f_flags & WARDER_O_APPEND ? WARDER_ACC_APPEND : WARDER_ACC_WRITE;
	/* Access mode 3, for ioctl only: the kernel asks for both. */
	if (!access)
		access = WARDER_ACC_READ | WARDER_ACC_WRITE;
	return file_judge_path(&file->f_path, WARDER_HOOK_FILE_OPEN, WARDER_CLASS_FILE, access);
}

#endif
