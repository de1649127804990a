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
#include "device.bpf.h"
#include "gather.bpf.h"
#include "known.bpf.h"
#include "peer.bpf.h"

#define WARDER_PROT_EXEC 4
#define WARDER_S_PRIVATE 512
#define WARDER_RENAME_EXCHANGE 2
#define WARDER_RENAME_WHITEOUT 4
#define WARDER_MAGIC_HUGETLB 0x958458f6u

/* One object: a dentry, or with `leaf` an entry that is made in or taken out of a folder. */
struct file_object {
	__u64 mnt_root;
	__u64 dentry;
	__u64 leaf;
};

struct file_request {
	struct file_object at;
	struct file_object other; /* rename, link: the new end; else dentry is 0 */
	__u32 access;       /* at both ends */
	__u32 access_extra; /* at the first end too */
	__u32 move;         /* WARDER_MOVE_* */
	/* Bytes, for the stack's sake. */
	__u8 hook;     /* enum warder_hook */
	__u8 class_;   /* enum warder_class */
	__u8 nameless; /* 1: of a kind that has no name anywhere (memfd) */
	__u8 writable; /* 1: by a descriptor that was opened for writing, and judged then */
};

enum file_kind {
	FILE_NAMED,   /* to be judged by its name */
	FILE_PASSED,  /* no object of a file system, or a lower layer of one judged already */
	FILE_NAMELESS, /* memory that only descriptors reach: judged when it is executed */
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
__noinline __weak int file_gather(const struct file_object *o, __u32 slot,
				  struct warder_text *text)
{
	int pos = WARDER_PATH_MAX;

	if (!o || !text)
		return -WARDER_FAULT_ARGUMENT;
	if (o->leaf) {
		pos = gather_leaf(o->leaf, text);
		if (pos < 0)
			return pos;
	}
	return gather_name(o->mnt_root, o->dentry, slot, text, pos);
}

/* What no policy turns off, asked of one object: 0, 1 (refused), or a negative fault. The name
 * is left at the end of `text` when it refuses. */
__noinline __weak int file_baseline(const struct file_object *o, __u32 access,
				    struct warder_text *text)
{
	struct dentry *dentry;
	int pos = WARDER_PATH_MAX;
	__u32 magic;

	if (!o || !text)
		return -WARDER_FAULT_ARGUMENT;
	dentry = (struct dentry *)o->dentry;
	magic = BPF_CORE_READ(dentry, d_sb, s_magic);
	if (!warder_baseline_concerns(magic))
		return 0;
	if (o->leaf) {
		pos = gather_leaf(o->leaf, text);
		if (pos < 0)
			return pos;
	}
	pos = gather_name_in_sb(o->dentry, text, pos);
	if (pos < 0)
		return pos;
	pos &= WARDER_TEXT_MASK;
	return !!warder_baseline_file(magic, text, pos, WARDER_PATH_MAX - pos, access);
}

static __always_inline int file_needs_name(const struct subject *s)
{
	return warder_file_needs_names(s->img, s->pr) || subject_learns(s);
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

/* What is asked, in one register: functions of their own have five arguments at most. */
static __always_inline __u64 file_ask(__u32 pr, __u32 access)
{
	return (__u64)pr << 32 | access;
}

/* The policy's verdict on one name, which file_gather() found at `pos`. Returns 0 or a fault. */
__noinline __weak int file_decide_end(const struct warder_image *img,
				      const struct warder_text *text, int pos, __u64 ask,
				      struct warder_verdict *v)
{
	__u32 pr = ask >> 32, access = (__u32)ask;

	if (!img || !text || !v)
		return WARDER_FAULT_ARGUMENT;
	if (pos == GATHER_UNREACHABLE)
		warder_decide_unreachable(img, pr, access, v);
	else if (pos < 0)
		return -pos;
	else
		warder_decide_file(img, pr, text, pos, WARDER_PATH_MAX - pos, access, v);
	return 0;
}

/* The verdict on moving an object from the name in sc->text to the one in sc->second, if both
 * ends allow it. */
__noinline __weak int file_decide_move(const struct warder_image *img, struct scratch *sc,
				       __u32 pos, __u32 new_pos, __u64 ask)
{
	__u32 pr = ask >> 32, flags = (__u32)ask;

	if (!img || !sc || pos >= WARDER_PATH_MAX || new_pos >= WARDER_PATH_MAX)
		return WARDER_FAULT_ARGUMENT;
	warder_decide_move(img, pr, &sc->text, pos, WARDER_PATH_MAX - pos, &sc->second, new_pos,
			   WARDER_PATH_MAX - new_pos, flags, &sc->event.v);
	return 0;
}

/* Is there a point in asking of the move, after this verdict on one end? Of a stack one policy may
 * refuse what another only reports. */
static __always_inline int file_asks_move(const struct subject *s, const struct warder_verdict *end)
{
	return end->action == WARDER_ALLOW ||
	       (end->action == WARDER_AUDIT && subject_is_stacked(s));
}

/* The second half of a rename or link. The new end's verdict is kept in the scratch's event: the
 * stack is full. */
static __always_inline int file_decide_other(const struct file_request *r,
					     const struct subject *s, struct scratch *sc, int pos,
					     struct hook_facts *f, struct warder_verdict *v)
{
	struct warder_verdict *new_end = &sc->event.v;
	int new_pos = file_gather(&r->other, s->slot, &sc->second);
	int fault = file_decide_end(s->img, &sc->second, new_pos, file_ask(s->pr, r->access),
				    new_end);

	if (fault)
		return fault;
	if (new_pos >= 0) {
		f->detail_off = new_pos;
		f->detail_len = WARDER_PATH_MAX - new_pos;
		if (file_asks_move(s, v) && file_asks_move(s, new_end)) {
			fault = file_decide_move(s->img, sc, pos, new_pos,
						 file_ask(s->pr, r->move));
			if (fault)
				return fault;
		}
	}
	/* arg[0] says that the new end decided. */
	if (new_end->action == WARDER_DENY ? v->action != WARDER_DENY :
	    v->action == WARDER_ALLOW && (new_end->action != WARDER_ALLOW || !v->report)) {
		*v = *new_end;
		f->arg[0] = 1;
	}
	return 0;
}

/* Returns 0 or a fault. */
static __always_inline int file_decide(const struct file_request *r, const struct subject *s,
				       struct scratch *sc, struct hook_facts *f,
				       struct warder_verdict *v)
{
	int pos = r->nameless ? GATHER_UNREACHABLE : file_gather(&r->at, s->slot, &sc->text);
	int fault;

	/* Programs unlink their scratch files and go on resizing them: that asks for no more
	 * than the writing that was granted under the name. */
	if (r->writable && pos == GATHER_UNREACHABLE)
		return 0;
	fault = file_decide_end(s->img, &sc->text, pos,
				file_ask(s->pr, r->access | r->access_extra), v);
	if (fault || pos < 0)
		return fault;
	f->off = pos;
	f->len = WARDER_PATH_MAX - pos;
	return r->other.dentry ? file_decide_other(r, s, sc, pos, f, v) : 0;
}

/* Everything between the scratch's taking and the end: 0 or a fault, and the verdict. */
static __always_inline int file_judge_with(const struct file_request *r, const struct subject *s,
					   struct scratch *sc, struct hook_facts *f,
					   struct warder_verdict *v)
{
	int refused = 0;

	if (warder_kernel_files_closed(s->img)) {
		refused = file_baseline(&r->at, r->access | r->access_extra, &sc->text);
		if (!refused && r->other.dentry)
			refused = file_baseline(&r->other, r->access, &sc->text);
	}
	if (refused < 0)
		return -refused;
	if (refused) {
		warder_verdict_baseline(v);
		v->access = r->access;
		return 0;
	}
	return file_needs_name(s) ? file_decide(r, s, sc, f, v) : 0;
}

/* The profile that an allowed program or script leads to is kept until the exec is certain:
 * the first stage that names one decides, for each policy of a stack by itself. Its id, not its number: the policy may be another one
 * by then. */
static __always_inline void file_note_transition(const struct subject *s, struct warder_verdict *v)
{
	__u32 to = v->profile, earned = s->tag->exec_profile;

	/* In audit mode an exec that is allowed with a transition is one of a stack. */
	if (v->action == WARDER_DENY || (earned && !subject_is_stacked(s))) {
		v->profile = 0;
		return;
	}
	if (earned) {
		earned = profile_search(s->img, earned);
		if (earned)
			to = warder_profile_merge(s->img, s->pr,
						  warder_profile_at(s->img, earned - 1),
						  warder_profile_at(s->img, to));
	}
	s->tag->exec_profile = WARDER_PROFILE_U32(s->img, warder_profile_at(s->img, to), id);
}

/* Judges a request of the current task. Returns 0 or a negative errno. */
__noinline __weak int file_judge(const struct file_request *r)
{
	struct warder_verdict v;
	struct hook_facts f = {};
	struct scratch *sc = NULL;
	struct subject s = {};
	__u32 fault;

	if (!r)
		return -WARDER_EACCES;
	file_facts(&f, r);
	warder_verdict_allow(&v);
	if (subject_current(&s) != SUBJECT_TAGGED) {
		fault = s.fault;
	} else {
		sc = scratch_take();
		fault = sc ? file_judge_with(r, &s, sc, &f, &v) : WARDER_FAULT_SCRATCH;
	}
	if (fault)
		return hook_fault(&s, &f, fault, sc);
	if (v.profile && s.tag && s.img)
		file_note_transition(&s, &v);
	return hook_end(&s, &v, &f, sc);
}

/* -------------------------------------------------------------------- hooks */

static __always_inline int file_judge_path(const struct path *path, __u32 hook, __u32 class_,
					   __u32 access)
{
	struct file_request r = { .hook = hook, .class_ = class_, .access = access };
	enum file_kind kind = file_kind(path);

	/* A memfd is the task's own memory until it is executed. */
	if (kind == FILE_PASSED ||
	    (kind == FILE_NAMELESS && !(access & (WARDER_ACC_EXEC | WARDER_ACC_MAP_EXEC))))
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

/* O_TMPFILE: a file without a name is judged as an entry that is made in its folder. The flag
 * stays in f_flags, and no other way of opening a file sets it. */
static __always_inline int file_judge_tmpfile(const struct path *path, __u32 access)
{
	struct file_request r = { .hook = WARDER_HOOK_FILE_OPEN, .class_ = WARDER_CLASS_FILE,
				  .access = access | WARDER_ACC_CREATE };

	if (file_kind(path) == FILE_PASSED)
		return 0;
	file_object_set(&r.at, path, path->dentry);
	r.at.dentry = (__u64)BPF_CORE_READ(path, dentry, d_parent);
	return errno_return(-file_judge(&r));
}

/* ------------------------------------------------------------ the quick way */

/*
 * Most of what is asked is allowed, without a word. What follows finds that out by names that were
 * walked before (known.bpf.h) and is never the one that refuses: that is file_judge(), which gathers
 * the names that a report needs. Files of the baseline and layers of
 * an overlay have no known names, or ones that file_judge() allows too.
 */

enum file_quick {
	FILE_ASK = 0,  /* file_judge(): it may be refused, or is to be reported */
	FILE_ALLOWED,  /* counted, nothing else to do */
	FILE_UNKNOWN,  /* as FILE_ASK, and known_teach() might help the next time */
};

/* Who asks, if that is a subject whose silence is worth something. Of a stack every layer would
 * have a state of its own to keep. */
static __always_inline int file_quick_subject(struct subject *s, struct warder_task *tag)
{
	s->tag = tag;
	return tag && subject_of_tag(s) == SUBJECT_TAGGED && !subject_learns(s) &&
	       !subject_is_stacked(s);
}

static __always_inline int file_allows(const struct subject *s, __u32 state, __u32 access,
				       struct warder_verdict *v)
{
	warder_layer_state(s->img, s->pr, state, access, v);
	return v->action == WARDER_ALLOW && !v->report && !v->profile;
}

/* An object that exists. */
static __noinline enum file_quick file_quick_object(struct warder_task *tag, struct dentry *dentry,
					struct dentry *mnt_root, __u32 access)
{
	struct warder_verdict v;
	struct scratch *sc;
	struct subject s;
	struct known n;

	if (!file_quick_subject(&s, tag))
		return FILE_ASK;
	if (!file_needs_name(&s)) {
		__u32 magic = dentry->d_sb->s_magic;

		return warder_baseline_concerns(magic) || magic == WARDER_MAGIC_MQUEUE ?
			       FILE_ASK : FILE_ALLOWED;
	}
	if (!known_begin(&n))
		return FILE_ASK;
	known_object(&s, dentry, mnt_root, &n);
	if (n.state == KNOWN_NOTHING) {
		sc = scratch_take();
		if (!sc)
			return FILE_ASK;
		known_learn_object(&s, sc, dentry, mnt_root, &n);
		scratch_give(sc);
		if (!known_still(&n))
			return FILE_UNKNOWN;
	}
	if (!file_allows(&s, n.state, access, &v))
		return FILE_ASK;
	hit_count(s.img, v.rule);
	return FILE_ALLOWED;
}

/* An entry that is made in a folder, or taken out of it. */
static __noinline enum file_quick file_quick_entry(struct warder_task *tag, struct dentry *folder,
				       struct dentry *leaf, struct dentry *mnt_root, __u32 access)
{
	struct warder_verdict v;
	struct scratch *sc;
	struct subject s;
	struct known n;

	if (!file_quick_subject(&s, tag) || !file_needs_name(&s))
		return FILE_ASK;
	sc = known_begin(&n) ? scratch_take() : NULL;
	if (!sc)
		return FILE_ASK;
	known_entry(&s, sc, folder, leaf, mnt_root, &n);
	scratch_give(sc);
	if (!known_still(&n))
		return FILE_UNKNOWN;
	if (!file_allows(&s, n.state, access, &v))
		return FILE_ASK;
	hit_count(s.img, v.rule);
	return FILE_ALLOWED;
}

static __always_inline void file_teach(const struct path *dir)
{
	known_teach((__u64)BPF_CORE_READ(dir, dentry), (__u64)BPF_CORE_READ(dir, mnt, mnt_root));
}

/* The whole of a hook on an open file, as far as it can be answered quickly. */
static __always_inline int file_is_allowed(struct warder_task *tag, struct file *file, __u32 access)
{
	enum file_quick quick = file_quick_object(tag, file->f_path.dentry,
						  file->f_path.mnt->mnt_root, access);

	if (quick == FILE_UNKNOWN)
		known_teach((__u64)BPF_CORE_READ(file, f_path.dentry, d_parent),
			    (__u64)BPF_CORE_READ(file, f_path.mnt, mnt_root));
	return quick == FILE_ALLOWED;
}

/* The whole of a hook on an entry of a folder; `tag` may be one that cannot be read. */
static __always_inline int file_answer_entry(struct warder_task *tag, const struct path *dir,
					     struct dentry *dentry, __u32 hook, __u32 access)
{
	enum file_quick quick = file_quick_entry(tag, dir->dentry, dentry, dir->mnt->mnt_root,
						 access);

	if (quick == FILE_ALLOWED)
		return 0;
	if (quick == FILE_UNKNOWN)
		file_teach(dir);
	return file_judge_entry(dir, dentry, hook, access);
}

/* The same for a hook that asks nothing else; `ret` is what programs before it said. */
static __always_inline int file_hook_entry(const struct path *dir, struct dentry *dentry, __u32 hook,
					   __u32 access, int ret)
{
	struct warder_task *tag;
	__u32 fault;

	if (ret)
		return ret;
	tag = task_tag(bpf_get_current_task_btf(), &fault);
	if (!tag && !fault)
		return 0;
	return file_answer_entry(tag, dir, dentry, hook, access);
}

/* What an open file may be used for. */
static __always_inline __u32 file_open_access(struct file *file)
{
	fmode_t mode = file->f_mode;
	__u32 access = 0;

	if (mode & WARDER_FMODE_READ)
		access |= WARDER_ACC_READ;
	if (mode & WARDER_FMODE_WRITE)
		access |= file->f_flags & WARDER_O_APPEND ? WARDER_ACC_APPEND : WARDER_ACC_WRITE;
	/* Access mode 3, for ioctl only: the kernel asks for both. */
	return access ? access : WARDER_ACC_READ | WARDER_ACC_WRITE;
}

SEC("lsm/file_open")
int BPF_PROG(warder_file_open, struct file *file, int ret)
{
	struct warder_task *tag;
	__u32 access, fault;
	int err;

	if (ret)
		return ret;
	tag = task_tag(bpf_get_current_task_btf(), &fault);
	if (!tag && !fault)
		return 0;
	/* Execution is judged in bprm_check_security, its mappings in mmap_file. */
	if (file->f_flags & WARDER_FMODE_EXEC)
		return 0;
	err = device_judge_open(file);
	if (err)
		return err;
	access = file_open_access(file);
	if (file->f_flags & WARDER_O_TMPFILE)
		return file_judge_tmpfile(&file->f_path, access);
	if (file_is_allowed(tag, file, access))
		return 0;
	if (file->f_inode->i_sb->s_magic == WARDER_MAGIC_MQUEUE) {
		err = peer_judge_mqueue((__u64)BPF_CORE_READ(file, f_inode));
		if (err)
			return errno_return(-err);
	}
	return file_judge_path(&file->f_path, WARDER_HOOK_FILE_OPEN, WARDER_CLASS_FILE, access);
}

/* `by_fd`: ftruncate(2), which the kernel grants to descriptors open for writing only. */
static __always_inline int file_judge_truncate(const struct path *path, __u32 hook, int by_fd)
{
	struct file_request r = { .hook = hook, .class_ = WARDER_CLASS_FILE,
				  .access = WARDER_ACC_TRUNCATE, .writable = by_fd };

	/* Pipes and their like are not truncated; a memfd is the task's own memory. */
	if (file_kind(path) != FILE_NAMED)
		return 0;
	file_object_set(&r.at, path, NULL);
	return errno_return(-file_judge(&r));
}

/* O_TRUNC and truncate(2); ftruncate(2) too before 6.2, told by the system call's number
 * (the 32-bit entry's is another call's in 64 bits, so that one stays refused). */
SEC("lsm/path_truncate")
int BPF_PROG(warder_path_truncate, const struct path *path, int ret)
{
	struct pt_regs *regs;

	if (ret || !current_is_tagged())
		return ret;
	regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	return file_judge_truncate(path, WARDER_HOOK_PATH_TRUNCATE,
				   regs->orig_ax == WARDER_NR_FTRUNCATE &&
					   !(BPF_CORE_READ(bpf_get_current_task_btf(),
							   thread_info.status) & WARDER_TS_COMPAT));
}

/* Since 6.2: O_TRUNC and ftruncate(2). */
SEC("lsm/file_truncate")
int BPF_PROG(warder_file_truncate, struct file *file, int ret)
{
	if (ret || !current_is_tagged())
		return ret;
	/* O_TRUNC comes here after file_open has judged the same object. */
	return file_judge_truncate(&file->f_path, WARDER_HOOK_FILE_TRUNCATE,
				   file->f_mode & WARDER_FMODE_WRITE ? 1 : 0);
}

/* Also open(O_CREAT), and bind(2) of a unix socket. */
SEC("lsm/path_mknod")
int BPF_PROG(warder_path_mknod, const struct path *dir, struct dentry *dentry, umode_t mode,
	     unsigned int dev, int ret)
{
	__u32 type = mode & WARDER_S_IFMT, access = WARDER_ACC_CREATE, fault;
	struct warder_task *tag;
	int err;

	if (ret)
		return ret;
	tag = task_tag(bpf_get_current_task_btf(), &fault);
	if (!tag && !fault)
		return 0;
	err = device_judge_mknod(type, dev);
	if (err)
		return err;
	if (type == WARDER_S_IFCHR || type == WARDER_S_IFBLK)
		access = WARDER_ACC_MKNOD;
	return file_answer_entry(tag, dir, dentry, WARDER_HOOK_PATH_MKNOD, access);
}

SEC("lsm/path_mkdir")
int BPF_PROG(warder_path_mkdir, const struct path *dir, struct dentry *dentry, umode_t mode,
	     int ret)
{
	return file_hook_entry(dir, dentry, WARDER_HOOK_PATH_MKDIR, WARDER_ACC_CREATE, ret);
}

SEC("lsm/path_symlink")
int BPF_PROG(warder_path_symlink, const struct path *dir, struct dentry *dentry,
	     const char *old_name, int ret)
{
	return file_hook_entry(dir, dentry, WARDER_HOOK_PATH_SYMLINK, WARDER_ACC_SYMLINK, ret);
}

SEC("lsm/path_unlink")
int BPF_PROG(warder_path_unlink, const struct path *dir, struct dentry *dentry, int ret)
{
	return file_hook_entry(dir, dentry, WARDER_HOOK_PATH_UNLINK, WARDER_ACC_DELETE, ret);
}

SEC("lsm/path_rmdir")
int BPF_PROG(warder_path_rmdir, const struct path *dir, struct dentry *dentry, int ret)
{
	return file_hook_entry(dir, dentry, WARDER_HOOK_PATH_RMDIR, WARDER_ACC_DELETE, ret);
}

/* Both ends lie on one mount, or the kernel refuses: the old one's is the new folder's. */
SEC("lsm/path_link")
int BPF_PROG(warder_path_link, struct dentry *old_dentry, const struct path *new_dir,
	     struct dentry *new_dentry, int ret)
{
	struct file_request r = {
		.hook = WARDER_HOOK_PATH_LINK,
		.class_ = WARDER_CLASS_FILE,
		.access = WARDER_ACC_LINK,
		.move = WARDER_MOVE_LINK,
	};

	if (ret || !current_is_tagged())
		return ret;
	file_object_set(&r.at, new_dir, NULL);
	r.at.dentry = (__u64)old_dentry;
	file_object_set(&r.other, new_dir, new_dentry);
	return errno_return(-file_judge(&r));
}

/* What a rename asks for beside ACC_RENAME at both ends. */
struct file_rename {
	struct warder_task *tag;
	__u32 access_extra; /* at the old end */
	__u32 move;         /* WARDER_MOVE_* */
};

/* Both ends lie on one mount, or the kernel refuses. */
static __noinline enum file_quick file_quick_rename(const struct file_rename *q,
						    const struct path *old_dir, struct dentry *old,
						    struct dentry *new_folder, struct dentry *new)
{
	struct dentry *mnt_root = old_dir->mnt->mnt_root;
	struct warder_verdict v;
	__u32 rule, old_state;
	struct scratch *sc;
	struct subject s;
	struct known n;

	if (!file_quick_subject(&s, q->tag) || !file_needs_name(&s))
		return FILE_ASK;
	sc = known_begin(&n) ? scratch_take() : NULL;
	if (!sc)
		return FILE_ASK;
	known_entry(&s, sc, old_dir->dentry, old, mnt_root, &n);
	old_state = n.state;
	if (old_state != KNOWN_NOTHING)
		known_entry(&s, sc, new_folder, new, mnt_root, &n);
	scratch_give(sc);
	if (!known_still(&n))
		return FILE_UNKNOWN;
	if (!file_allows(&s, old_state, WARDER_ACC_RENAME | q->access_extra, &v))
		return FILE_ASK;
	rule = v.rule;
	if (n.state != old_state && !file_allows(&s, n.state, WARDER_ACC_RENAME, &v))
		return FILE_ASK;
	warder_layer_move_state(s.img, s.pr, old_state, n.state, q->move, &v);
	if (v.action != WARDER_ALLOW)
		return FILE_ASK;
	hit_count(s.img, rule);
	return FILE_ALLOWED;
}

static __always_inline int file_judge_rename(const struct file_rename *q, const struct path *old_dir,
					struct dentry *old, const struct path *new_dir,
					struct dentry *new)
{
	struct file_request r = {
		.hook = WARDER_HOOK_PATH_RENAME,
		.class_ = WARDER_CLASS_FILE,
		.access = WARDER_ACC_RENAME,
		.access_extra = q->access_extra,
		.move = q->move,
	};

	file_object_set(&r.at, old_dir, old);
	file_object_set(&r.other, new_dir, new);
	return errno_return(-file_judge(&r));
}

static __always_inline int file_entry_is_folder(struct dentry *dentry)
{
	struct inode *inode = dentry->d_inode;

	return inode && (inode->i_mode & WARDER_S_IFMT) == WARDER_S_IFDIR;
}

SEC("lsm/path_rename")
int BPF_PROG(warder_path_rename, const struct path *old_dir, struct dentry *old_dentry,
	     const struct path *new_dir, struct dentry *new_dentry, unsigned int flags, int ret)
{
	struct file_rename q = {};
	enum file_quick quick;
	__u32 fault;

	if (ret)
		return ret;
	q.tag = task_tag(bpf_get_current_task_btf(), &fault);
	if (!q.tag && !fault)
		return 0;
	if (flags & WARDER_RENAME_EXCHANGE)
		q.move |= WARDER_MOVE_EXCHANGE;
	/* A whiteout is a device node left at the old name. */
	if (flags & WARDER_RENAME_WHITEOUT)
		q.access_extra = WARDER_ACC_MKNOD;
	if (file_entry_is_folder(old_dentry) ||
	    ((flags & WARDER_RENAME_EXCHANGE) && file_entry_is_folder(new_dentry)))
		q.move |= WARDER_MOVE_FOLDER;
	quick = file_quick_rename(&q, old_dir, old_dentry, new_dir->dentry, new_dentry);
	if (quick == FILE_ALLOWED)
		return 0;
	if (quick == FILE_UNKNOWN) {
		file_teach(old_dir);
		file_teach(new_dir);
	}
	return file_judge_rename(&q, old_dir, old_dentry, new_dir, new_dentry);
}

SEC("lsm/path_chmod")
int BPF_PROG(warder_path_chmod, const struct path *path, umode_t mode, int ret)
{
	if (ret || !current_is_tagged())
		return ret;
	return file_judge_path(path, WARDER_HOOK_PATH_CHMOD, WARDER_CLASS_FILE, WARDER_ACC_CHMOD);
}

/* Ids as the file system stores them: kuid_t and kgid_t, passed as plain numbers. */
SEC("lsm/path_chown")
int BPF_PROG(warder_path_chown, const struct path *path, __u64 uid, __u64 gid, int ret)
{
	if (ret || !current_is_tagged())
		return ret;
	return file_judge_path(path, WARDER_HOOK_PATH_CHOWN, WARDER_CLASS_FILE, WARDER_ACC_CHOWN);
}

/* Mapping a file for execution, at mmap(2) or later. Memory that the kernel backs with a file
 * of its own (shared anonymous memory, SysV segments) is marked private there: no file. */
static __always_inline int file_judge_mapping(struct file *file, __u32 hook)
{
	struct file_request r = { .hook = hook, .class_ = WARDER_CLASS_FILE,
				  .access = WARDER_ACC_MAP_EXEC };
	struct backing_file *backing = compat_backing_file(file);
	enum file_kind kind = file_kind(&file->f_path);
	__u32 fault;

	if (BPF_CORE_READ(file, f_inode, i_flags) & WARDER_S_PRIVATE)
		return 0;
	if (!backing && kind == FILE_NAMED &&
	    file_is_allowed(task_tag(bpf_get_current_task_btf(), &fault), file, WARDER_ACC_MAP_EXEC))
		return 0;
	if (backing) {
		r.at.mnt_root = (__u64)BPF_CORE_READ(backing, user_path.mnt, mnt_root);
		r.at.dentry = (__u64)BPF_CORE_READ(backing, user_path.dentry);
	} else if (kind != FILE_PASSED) {
		r.nameless = kind == FILE_NAMELESS;
		file_object_set(&r.at, &file->f_path, NULL);
	} else {
		return 0;
	}
	return errno_return(-file_judge(&r));
}

#endif
