/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names that were walked before. For a dentry, the state that the DFA reaches at the end of its
 * name is kept, so that opening a file costs the same at any depth: a file that was opened before
 * is looked up, another one in a folder that is known costs a walk over its own name.
 *
 * Only what a walk found is kept, never a verdict: access, default and rule are looked at each
 * time, and whatever is not allowed in silence is decided once more by file_judge().
 *
 * Why an entry holds. It says: dentry D, reached by a mount with root R, has in container `slot`
 * under image `serial` the state S. That can change in four ways, and each leaves a mark which is
 * compared:
 *  - an ancestor, or D, gets another name or parent: every such change in the kernel is made
 *    within rename_lock's sequence (d_move, d_exchange, d_splice_alias), `seq`;
 *  - D is freed and its memory becomes another dentry: one that has an inode has gone through
 *    security_d_instantiate() before it got it (d_instantiate, d_add, d_splice_alias and their
 *    kin), where warder_born counts it, `born`. The ancestors cannot go before D: a dentry holds
 *    its parent. Entries are used for dentries that have an inode only;
 *  - the container's table of mounts changes: `names`, counted after each change;
 *  - the policy is another one: `serial`, never given twice in a boot. A program that is
 *    detached while no policy needs names misses nothing: the images of then are gone.
 *    Nor does any mark come round again: the sequence has 32 bits, and an entry is used for
 *    KNOWN_JIFFIES, 3 to 30 s, in which there are not that many renames.
 * A dentry that was removed has no name any more: whether D is still hashed is looked at each time.
 * Its ancestors are then, too, but where a file system drops what it holds no more, from afar
 * (FUSE, NFS): folders that are revalidated are not kept. One remains: a folder that is open while
 * its btrfs subvolume is deleted keeps its name.
 */
#ifndef WARDER_KNOWN_BPF_H
#define WARDER_KNOWN_BPF_H

#include "core.bpf.h"
#include "gather.bpf.h"

/* d_flags: bit 2 in all kernels of the matrix. */
#define KNOWN_DCACHE_OP_REVALIDATE 0x4u
#define KNOWN_JIFFIES 3000
/* A folder's name longer than this is not kept: with any entry's it stays below PATH_MAX. */
#define KNOWN_NAME_MAX (WARDER_PATH_MAX - 2 * (GATHER_COMPONENT_MAX + 1))

/* Whose names are asked for. A slot has 10 bits, an offset in an image 22. */
_Static_assert(WARDER_CONTAINERS_MAX <= 1u << 10 && WARDER_IMAGE_SIZE <= 1u << 22,
	       "both fit into known_name.who");
static __always_inline __u32 known_who(const struct subject *s)
{
	return s->slot << 22 | s->pr;
}

/* The verifier lets nothing be calculated with a pointer whose type it knows; what a 32-bit move
 * leaves of it is a number. Enough to spread dentries over a table. */
static __always_inline __u32 known_hash(__u64 dentry, __u32 more, __u32 bits)
{
	__u32 low;

	asm volatile("%0 = %1" : "=w"(low) : "w"((__u32)dentry));
	return ((low >> 6) + more) * 0x9e3779b1u >> (32 - bits);
}

static __always_inline __u64 *known_born(__u64 dentry)
{
	__u32 key = known_hash(dentry, 0, KNOWN_BORN_BITS);

	return bpf_map_lookup_elem(&warder_born, &key);
}

/* Every dentry that gets an inode, whoever makes it. */
SEC("lsm/d_instantiate")
int BPF_PROG(warder_dentry_born, struct dentry *dentry)
{
	__u64 *born = known_born((__u64)dentry);

	if (born)
		__sync_fetch_and_add(born, 1);
	return 0;
}

/* The table of mounts has changed, of whichever container. */
static __always_inline void known_names_changed(void)
{
	__u32 zero = 0;
	struct warder_host *host = bpf_map_lookup_elem(&warder_host, &zero);

	if (host)
		__sync_fetch_and_add(&host->names, 1);
}

enum known_kind {
	KNOWN_OBJECT = 0, /* state: at the end of the name */
	KNOWN_FOLDER,     /* state: after the name and a slash */
};

static __always_inline struct known_name *known_place(__u64 dentry, __u32 slot,
						      enum known_kind kind)
{
	__u32 key = known_hash(dentry, slot << 16, KNOWN_BITS) * 2 + kind;

	return bpf_map_lookup_elem(&warder_known, &key);
}

#define KNOWN_FIELD(k, field) (*(volatile typeof((k)->field) *)&(k)->field)

/* What is known of a name, between two looks at rename_lock. */
struct known {
	__u32 state; /* KNOWN_NOTHING: nothing */
	__u32 seq;   /* at the first look; even */
};

/* The first look. 0: a rename is under way. */
static __always_inline int known_begin(struct known *n)
{
	n->state = KNOWN_NOTHING;
	return !bpf_probe_read_kernel(&n->seq, sizeof(n->seq), &rename_lock) && !(n->seq & 1);
}

/* Is anything known, and was there no rename up to now? To be asked at last, where something was
 * read of the dentry itself; what was kept of it is true of the first look. */
static __always_inline int known_still(const struct known *n)
{
	__u32 now = ~n->seq;

	return n->state != KNOWN_NOTHING &&
	       !bpf_probe_read_kernel(&now, sizeof(now), &rename_lock) && now == n->seq;
}

/* Other marks, of a dentry that the caller holds. */
struct known_marks {
	__u64 born;
	__u64 names;
};
static __always_inline int known_marks_read(struct known_marks *m, __u64 dentry)
{
	__u64 *born = known_born(dentry);
	__u32 zero = 0;
	struct warder_host *host = bpf_map_lookup_elem(&warder_host, &zero);

	if (!born || !host)
		return 0;
	m->born = *(volatile __u64 *)born;
	m->names = *(volatile __u64 *)&host->names;
	return 1;
}

/* Looks up what was kept for `dentry`, with KNOWN_EACH. */
static __always_inline __u32 known_find(const struct subject *s, __u64 dentry, __u64 mnt_root,
					enum known_kind kind, __u32 seq)
{
	struct known_name *k = known_place(dentry, s->slot, kind);
	struct known_marks m;
	__u32 version, state;

	if (!k || !known_marks_read(&m, dentry))
		return KNOWN_NOTHING;
	version = KNOWN_FIELD(k, version);
	if ((version & 1) || KNOWN_FIELD(k, dentry) != dentry || KNOWN_FIELD(k, seq) != seq ||
	    KNOWN_FIELD(k, mnt_root) != mnt_root || KNOWN_FIELD(k, who) != known_who(s) ||
	    KNOWN_FIELD(k, serial) != s->img->h.serial || KNOWN_FIELD(k, names) != m.names ||
	    KNOWN_FIELD(k, born) != m.born ||
	    bpf_jiffies64() - KNOWN_FIELD(k, time) > KNOWN_JIFFIES)
		return KNOWN_NOTHING;
	state = KNOWN_FIELD(k, state);
	return KNOWN_FIELD(k, version) == version ? state : KNOWN_NOTHING;
}

/* Keeps what was found after n's first look and the marks `m`. If there was a rename meanwhile,
 * the entry is of a sequence that is over, and holds no more. */
static __always_inline void known_keep(const struct subject *s, const struct known_marks *m,
				       __u64 dentry, __u64 mnt_root, enum known_kind kind,
				       const struct known *n)
{
	struct known_name *k = known_place(dentry, s->slot, kind);
	__u32 version;

	if (!k || n->state == KNOWN_NOTHING)
		return;
	version = KNOWN_FIELD(k, version);
	if ((version & 1) ||
	    __sync_val_compare_and_swap(&k->version, version, version + 1) != version)
		return;
	KNOWN_FIELD(k, seq) = n->seq;
	KNOWN_FIELD(k, dentry) = dentry;
	KNOWN_FIELD(k, mnt_root) = mnt_root;
	KNOWN_FIELD(k, serial) = s->img->h.serial;
	KNOWN_FIELD(k, born) = m->born;
	KNOWN_FIELD(k, names) = m->names;
	KNOWN_FIELD(k, who) = known_who(s);
	KNOWN_FIELD(k, state) = n->state;
	KNOWN_FIELD(k, time) = bpf_jiffies64();
	/* Not before the rest: stores are seen in their order on x86. */
	KNOWN_FIELD(k, version) = version + 2;
}

/* Can names of objects of a folder, or of an object, be kept that has an inode, these d_flags, and
 * its superblock this s_magic? See above. Queues of messages are judged by whose they are. */
static __always_inline int known_may_keep(__u32 flags, __u32 magic)
{
	return !(flags & KNOWN_DCACHE_OP_REVALIDATE) && !warder_baseline_concerns(magic) &&
	       magic != WARDER_MAGIC_MQUEUE;
}

/* The state after the folder's name that begins at `pos`, and a slash. */
static __always_inline __u32 known_walk_folder(const struct subject *s, struct scratch *sc,
					       int pos)
{
	if (pos < WARDER_PATH_MAX - KNOWN_NAME_MAX || pos >= WARDER_PATH_MAX)
		return KNOWN_NOTHING;
	sc->text.b[WARDER_PATH_MAX - 1] = '/';
	return warder_walk(s->img, &sc->text, warder_start(s->img, s->pr, WARDER_START_FILE), pos,
			   WARDER_PATH_MAX - pos);
}

/*
 * Walks `folder`'s name and a slash, and keeps the state. Nothing: the folder has no name here, or
 * one that is found in another way, see known_teach().
 */
static __noinline int known_learn_folder(const struct subject *s, struct scratch *sc,
					 struct dentry *folder, struct dentry *mnt_root,
					 struct known *n)
{
	struct known_marks m;

	if (!folder->d_inode || !known_may_keep(folder->d_flags, folder->d_sb->s_magic) ||
	    !known_marks_read(&m, (__u64)folder))
		return 0;
	/* By way of memory, so that the rest is verified once and not for each depth. */
	*(volatile __s32 *)&sc->pos = gather_quick(folder, mnt_root, s->slot, &sc->text);
	n->state = known_walk_folder(s, sc, *(volatile __s32 *)&sc->pos);
	known_keep(s, &m, (__u64)folder, (__u64)mnt_root, KNOWN_FOLDER, n);
	return 0;
}

/*
 * The same by address, for the current task: folders that lie deep, or where there are mounts below
 * mounts. Called after the quick way has failed, so that it does not the next time.
 */
__noinline __weak int known_teach(__u64 folder, __u64 mnt_root)
{
	struct dentry *dentry = (struct dentry *)folder;
	struct known_marks m;
	struct subject s = {};
	struct scratch *sc;
	struct known n;

	if (subject_current(&s) != SUBJECT_TAGGED || !BPF_CORE_READ(dentry, d_inode) ||
	    !known_may_keep(BPF_CORE_READ(dentry, d_flags), BPF_CORE_READ(dentry, d_sb, s_magic)) ||
	    !known_begin(&n) || !known_marks_read(&m, folder))
		return 0;
	sc = scratch_take();
	if (!sc)
		return 0;
	n.state = known_walk_folder(&s, sc, gather_name(mnt_root, folder, s.slot, &sc->text,
							WARDER_PATH_MAX - 1));
	scratch_give(sc);
	if (n.state == KNOWN_NOTHING)
		return 0;
	n.state |= KNOWN_EACH;
	known_keep(&s, &m, folder, mnt_root, KNOWN_FOLDER, &n);
	return 0;
}

/*
 * What is known of the name of `leaf` in `folder`, which may be an entry that is about to be made
 * there. The caller holds both, has called known_begin(), and will ask known_still().
 */
static __always_inline void known_entry(const struct subject *s, struct scratch *sc,
					struct dentry *folder, struct dentry *leaf,
					struct dentry *mnt_root, struct known *n)
{
	int pos;

	n->state = known_find(s, (__u64)folder, (__u64)mnt_root, KNOWN_FOLDER, n->seq);
	if (n->state == KNOWN_NOTHING)
		known_learn_folder(s, sc, folder, mnt_root, n);
	if (n->state == KNOWN_NOTHING)
		return;
	pos = gather_quick_component(&sc->text, WARDER_PATH_MAX, leaf->d_name.name,
				     leaf->d_name.len);
	/* A folder that was removed keeps nothing; the root of a mount need not be hashed. What is
	 * a recorded root itself has that name. */
	if (pos < 0 || leaf == mnt_root || (folder != mnt_root && !folder->d_hash.pprev) ||
	    ((n->state & KNOWN_EACH) && gather_record((__u64)leaf->d_sb, leaf, s->slot))) {
		n->state = KNOWN_NOTHING;
		return;
	}
	/* From behind the slash, which the folder's state has seen. */
	pos++;
	n->state = warder_walk(s->img, &sc->text, n->state & ~KNOWN_EACH, pos,
			       WARDER_PATH_MAX - pos);
}

/* What is known of the name of an object that exists, if it was asked before. */
static __always_inline void known_object(const struct subject *s, struct dentry *dentry,
					 struct dentry *mnt_root, struct known *n)
{
	if (dentry->d_inode && dentry->d_hash.pprev)
		n->state = known_find(s, (__u64)dentry, (__u64)mnt_root, KNOWN_OBJECT, n->seq);
}

/* The same, if it was not. */
static __always_inline void known_learn_object(const struct subject *s, struct scratch *sc,
					       struct dentry *dentry, struct dentry *mnt_root,
					       struct known *n)
{
	struct dentry *folder = dentry->d_parent;
	struct known_marks m;

	if (folder == dentry || !dentry->d_hash.pprev || !dentry->d_inode ||
	    !known_may_keep(dentry->d_flags, dentry->d_sb->s_magic) ||
	    !known_marks_read(&m, (__u64)dentry))
		return;
	known_entry(s, sc, folder, dentry, mnt_root, n);
	known_keep(s, &m, (__u64)dentry, (__u64)mnt_root, KNOWN_OBJECT, n);
}

#endif
