/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names of files. A file's name is the path of the deepest recorded root (warder_names:
 * superblock and root dentry -> path in the container) above its dentry, and the dentries below
 * that root. Nothing that a task can change about its view (root, mount namespace, bind mounts,
 * detached mounts) takes part; a rename does, as it does everywhere.
 *
 * Names are put together from the leaf upwards and end at offset WARDER_PATH_MAX of text.b.
 * A result >= 0 is where a name begins in the text, so that its length is
 * WARDER_PATH_MAX - result; a negative one is -enum warder_fault or GATHER_UNREACHABLE.
 */
#ifndef WARDER_GATHER_BPF_H
#define WARDER_GATHER_BPF_H

#include "core.bpf.h"

#include "compat.bpf.h"

/* Not a fault but a verdict of its own: the object has no name in this container. */
#define GATHER_UNREACHABLE (-WARDER_FAULT__MAX)

#define GATHER_COMPONENT_MAX 255
/* Every component takes two bytes of a name at least. */
#define GATHER_DEPTH_MAX (WARDER_PATH_MAX / 2)
/* Renames that overlap a walk: walked again as often as this, then a fault. */
#define GATHER_RETRIES 16
/* Reads of the sequence count while a rename is under way: some milliseconds. It takes that long
 * where the renaming virtual CPU is taken off its processor; the kernel's own readers
 * (fs/d_path.c) wait without a limit. */
#define GATHER_SPIN (1u << 17)

/* Internal results of a walk, beside those above. */
#define GATHER_FOUND 0
#define GATHER_GO_ON 1
#define GATHER_LOOK_UP 2 /* walk again with a lookup at each dentry */

/* Its first word is the sequence count: odd while a rename is under way. */
extern const void rename_lock __ksym;

enum gather_mode {
	GATHER_AT_MOUNT = 0, /* look up the mount's root only */
	GATHER_EACH,         /* look up each dentry */
	GATHER_IN_SB,        /* up to the superblock's root, no lookup */
};

struct gather_walk {
	struct warder_text *text;
	__u64 leaf;     /* where the walk starts, and what is there already from text[end] on */
	__u64 dentry;
	__u64 mnt_root; /* looked up first; with GATHER_IN_SB: where to stop */
	__u64 sb;
	__u32 slot;
	__u32 end;
	__u32 pos;
	__s32 result;
	__u32 mode; /* enum gather_mode */
	__u32 pad;
};

/* Puts `len` bytes (at most `max`) of kernel memory before text[pos]. Returns the new pos, which is
 * at least 1, or a negative fault. */
static __always_inline int gather_prepend(struct warder_text *text, __u32 pos, const void *from,
					  __u32 len)
{
	pos &= WARDER_TEXT_MASK;
	if (pos > WARDER_PATH_MAX || pos <= len)
		return -WARDER_FAULT_NAME_LONG;
	pos -= len;
	if (pos > WARDER_PATH_MAX)
		return -WARDER_FAULT_NAME_LONG;
	asm volatile("" : "+r"(pos));
	pos &= WARDER_TEXT_MASK;
	if (pos > WARDER_PATH_MAX || len > WARDER_PREFIX_SIZE)
		return -WARDER_FAULT_NAME_LONG;
	if (bpf_probe_read_kernel(text->b + pos, len, from))
		return -WARDER_FAULT_NAME_READ;
	return pos;
}

/* Puts "/" and the dentry's own name before text[pos]. */
static __always_inline int gather_component(struct warder_text *text, __u32 pos,
					    struct dentry *dentry)
{
	const unsigned char *name = BPF_CORE_READ(dentry, d_name.name);
	__u32 len = BPF_CORE_READ(dentry, d_name.len);
	int at;

	if (!len || len > GATHER_COMPONENT_MAX)
		return -WARDER_FAULT_NAME_LONG;
	at = gather_prepend(text, pos, name, len);
	if (at < 1)
		return at;
	at = (at - 1) & WARDER_TEXT_MASK;
	/* Offset 0 would make the name PATH_MAX long, without room for a NUL. */
	if (!at)
		return -WARDER_FAULT_NAME_LONG;
	asm volatile("" : "+r"(at));
	text->b[at & WARDER_TEXT_MASK] = '/';
	return at;
}

/* The container's record of this dentry as a mount's root, NULL if there is none. */
static __always_inline struct warder_name *gather_record(__u64 sb, struct dentry *dentry,
							 __u32 slot)
{
	struct warder_name_key key = { .sb = sb, .dentry = (__u64)dentry, .slot = slot };
	struct warder_name *name = bpf_map_lookup_elem(&warder_names, &key);

	/* The address may have been used again since it was recorded. */
	if (name && name->ino != BPF_CORE_READ(dentry, d_inode, i_ino))
		return NULL;
	return name;
}

/* One dentry. Returns GATHER_GO_ON or the walk's result; *pos is moved. */
static __always_inline int gather_dentry(struct gather_walk *w, struct dentry *dentry)
{
	struct dentry *parent;
	int at;

	if (w->mode == GATHER_IN_SB) {
		if ((__u64)dentry == w->mnt_root)
			return GATHER_FOUND;
	} else if (w->mode == GATHER_EACH || (__u64)dentry == w->mnt_root) {
		struct warder_name *name = gather_record(w->sb, dentry, w->slot);

		if (w->mode == GATHER_AT_MOUNT && (!name || name->nested))
			return GATHER_LOOK_UP;
		if (name) {
			__u32 len = name->len;

			if (!len)
				return GATHER_FOUND;
			if (len >= WARDER_PREFIX_SIZE)
				return -WARDER_FAULT_NAME_LONG;
			at = gather_prepend(w->text, w->pos, name->path, len);
			if (at < 0)
				return at;
			w->pos = at;
			return GATHER_FOUND;
		}
	}
	parent = BPF_CORE_READ(dentry, d_parent);
	if (!parent)
		return -WARDER_FAULT_NAME_READ;
	if (parent == dentry) {
		/* The superblock's root, or a dentry that was never connected to it. */
		if (w->mode == GATHER_IN_SB)
			return GATHER_FOUND;
		return w->mode == GATHER_EACH ? GATHER_UNREACHABLE : GATHER_LOOK_UP;
	}
	if (w->mode != GATHER_IN_SB && !BPF_CORE_READ(dentry, d_hash.pprev))
		return GATHER_UNREACHABLE;
	at = gather_component(w->text, w->pos, dentry);
	if (at < 0)
		return at;
	w->pos = at;
	w->dentry = (__u64)parent;
	return GATHER_GO_ON;
}

static long gather_step(__u32 i, struct gather_walk *w)
{
	w->result = gather_dentry(w, (struct dentry *)w->dentry);
	return w->result != GATHER_GO_ON;
}

static long gather_spin(__u32 i, __u32 *seq)
{
	if (bpf_probe_read_kernel(seq, sizeof(*seq), &rename_lock))
		return 1;
	return !(*seq & 1);
}

/* The rename sequence count, even unless a rename takes very long. */
static __always_inline __u32 gather_sequence(void)
{
	__u32 seq = 1;

	bpf_probe_read_kernel(&seq, sizeof(seq), &rename_lock);
	if (seq & 1)
		bpf_loop(GATHER_SPIN, gather_spin, &seq, 0);
	return seq;
}

/* One walk. Returns 1 when it is settled, 0 to walk again: looking up each dentry, or because a
 * rename overlapped. */
static long gather_try(__u32 i, struct gather_walk *w)
{
	__u32 seq = gather_sequence();

	w->dentry = w->leaf;
	w->pos = w->end;
	w->result = GATHER_GO_ON;
	bpf_loop(GATHER_DEPTH_MAX, gather_step, w, 0);
	if (w->result == GATHER_LOOK_UP)
		w->mode = GATHER_EACH;
	else if (!(seq & 1) && seq == gather_sequence())
		return 1;
	else
		w->result = -WARDER_FAULT_NAME_RACE;
	return 0;
}

/* The walk, again as long as renames overlap it. */
static __always_inline int gather_walk(struct gather_walk *w)
{
	__u32 mode = w->mode;

	/* 6.1 verifies a callback with what it knows before the first round, and removes what it
	 * takes for dead then: the mode, which changes, must not be known. */
	bpf_probe_read_kernel(&w->mode, sizeof(w->mode), &mode);
	bpf_loop(GATHER_RETRIES + 1, gather_try, w, 0);
	if (w->result == GATHER_LOOK_UP)
		return -WARDER_FAULT_NAME_RACE;
	if (w->result == GATHER_GO_ON)
		return -WARDER_FAULT_NAME_LONG;
	if (w->result != GATHER_FOUND)
		return w->result;
	if (w->pos == WARDER_PATH_MAX) {
		/* The root itself. */
		w->pos = WARDER_PATH_MAX - 1;
		w->text->b[WARDER_PATH_MAX - 1] = '/';
	}
	return w->pos;
}

/*
 * The name in container `slot` of the dentry, reached by a mount with root `mnt_root`, put
 * before text[end]: WARDER_PATH_MAX, or what gather_leaf() returned.
 * Addresses are scalars so that the verifier checks this once for each program.
 */
__noinline __weak int gather_name(__u64 mnt_root, __u64 dentry, __u32 slot,
				  struct warder_text *text, __u32 end)
{
	struct gather_walk w = {
		.leaf = dentry,
		.mnt_root = mnt_root,
		.slot = slot,
		.end = end,
		.mode = GATHER_AT_MOUNT,
	};
	struct dentry *d = (struct dentry *)dentry;

	if (!text)
		return -WARDER_FAULT_SCRATCH;
	w.text = text;
	w.sb = (__u64)BPF_CORE_READ(d, d_sb);
	return gather_walk(&w);
}

/* The name below the superblock's own root, which no mount can change. */
__noinline __weak int gather_name_in_sb(__u64 dentry, struct warder_text *text, __u32 end)
{
	struct gather_walk w = { .leaf = dentry, .end = end, .mode = GATHER_IN_SB };
	struct dentry *d = (struct dentry *)dentry;

	if (!text)
		return -WARDER_FAULT_SCRATCH;
	w.text = text;
	w.mnt_root = (__u64)BPF_CORE_READ(d, d_sb, s_root);
	return gather_walk(&w);
}

/* An entry's own name, "/leaf", at the end of the text; the folder's name goes before it. For
 * entries that an operation makes or removes: their folder is locked, so they do not move. */
__noinline __weak int gather_leaf(__u64 dentry, struct warder_text *text)
{
	if (!text)
		return -WARDER_FAULT_SCRATCH;
	return gather_component(text, WARDER_PATH_MAX, (struct dentry *)dentry);
}

/* ---------------------------------------------------------------- the quick way */

#define GATHER_QUICK_DEPTH 32
/* Not a result: ask gather_name(). */
#define GATHER_NOT_QUICK (GATHER_UNREACHABLE - 1)

/* Puts `len` bytes at `from` and a slash before text[pos], both within bounds or not at all. */
static __always_inline int gather_quick_component(struct warder_text *text, __u32 pos,
						  const void *from, __u32 len)
{
	if (!len || len > GATHER_COMPONENT_MAX || pos > WARDER_PATH_MAX || pos < len + 2)
		return GATHER_NOT_QUICK;
	/* The verifier does not follow the compiler's form of these bounds; masks it does. */
	asm volatile("" : "+r"(len));
	len &= GATHER_COMPONENT_MAX;
	pos -= len;
	asm volatile("" : "+r"(pos));
	pos &= WARDER_PATH_MAX - 1;
	if (bpf_probe_read_kernel(text->b + pos, len, from))
		return GATHER_NOT_QUICK;
	pos--;
	asm volatile("" : "+r"(pos));
	pos &= WARDER_PATH_MAX - 1;
	text->b[pos] = '/';
	return pos;
}

/*
 * The name of a folder, without the slash at its end, put before text[WARDER_PATH_MAX - 1], by
 * loads that the verifier knows the types of, which cost a third of reading by address: for what is
 * most common, a folder not too deep below a mount that was recorded and has no other below it.
 * Everything else is left to gather_name(). The caller sees to it that no rename overlaps.
 */
static __always_inline int gather_quick(struct dentry *dentry, struct dentry *mnt_root,
					__u32 slot, struct warder_text *text)
{
	struct warder_name_key key = { .slot = slot };
	__u32 pos = WARDER_PATH_MAX - 1, len;
	struct warder_name *name;
	struct inode *inode;
	int at;

	for (int i = 0; i < GATHER_QUICK_DEPTH && dentry != mnt_root; i++) {
		struct dentry *parent = dentry->d_parent;

		if (parent == dentry || !dentry->d_hash.pprev)
			return GATHER_NOT_QUICK;
		at = gather_quick_component(text, pos, dentry->d_name.name, dentry->d_name.len);
		if (at < 0)
			return GATHER_NOT_QUICK;
		pos = at;
		dentry = parent;
	}
	if (dentry != mnt_root)
		return GATHER_NOT_QUICK;
	key.sb = (__u64)dentry->d_sb;
	key.dentry = (__u64)dentry;
	name = bpf_map_lookup_elem(&warder_names, &key);
	inode = dentry->d_inode;
	if (!name || !inode || name->nested || name->ino != inode->i_ino)
		return GATHER_NOT_QUICK;
	len = name->len;
	if (!len)
		return pos;
	at = gather_prepend(text, pos, name->path, len);
	return at < 0 ? GATHER_NOT_QUICK : at;
}

#endif
