/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Class "mount": mount(2) by its flags, umount, pivot_root, move_mount, and the calls of the
 * new API, which have no hook of their own and are judged where they ask for CAP_SYS_ADMIN.
 *
 * A target is judged by where it is: for the root of a mount by the name of the place that the
 * mount covers, so that it can be unmounted or remounted under the name it was mounted at.
 *
 * A superblock that a container makes gets the name of its first target (warder_names), so that
 * file rules can speak of what is in it; names go when the superblock is freed.
 */
#ifndef WARDER_MOUNT_BPF_H
#define WARDER_MOUNT_BPF_H

#include "core.bpf.h"
#include "gather.bpf.h"
#include "known.bpf.h"

#define WARDER_ENOSPC 28
#define WARDER_ENAMETOOLONG 36
#define WARDER_EEXIST 17

#define MOUNT_NAMELESS 0xffffffffu
#define MOUNT_STACK_MAX 16 /* mounts on one place; beyond, the target counts as unreachable */

/* vfsmount.mnt_flags, in the kernel's names. */
#define MNT_NOSUID 0x01
#define MNT_NODEV 0x02
#define MNT_NOEXEC 0x04
#define MNT_NOATIME 0x08
#define MNT_NODIRATIME 0x10
#define MNT_RELATIME 0x20
#define MNT_READONLY 0x40

#define MS_RDONLY 0x1u
#define MS_NOSUID 0x2u
#define MS_NODEV 0x4u
#define MS_NOEXEC 0x8u
#define MS_NOATIME 0x400u
#define MS_NODIRATIME 0x800u
#define MS_RELATIME 0x200000u
/* What s_flags has in common with MS_*: RDONLY, SYNCHRONOUS, MANDLOCK, DIRSYNC, LAZYTIME. */
#define MS_OF_SB (MS_RDONLY | 0x10u | 0x40u | 0x80u | 0x2000000u)

/* ------------------------------------------------- the system call under way */

#define X32_BIT 0x40000000ul

#define NR_PIVOT_ROOT 155
#define NR_MOUNT 165
#define NR_UMOUNT2 166
#define NR_OPEN_TREE 428
#define NR_MOVE_MOUNT 429
#define NR_FSOPEN 430
#define NR_FSCONFIG 431
#define NR_FSMOUNT 432
#define NR_FSPICK 433
#define NR_MOUNT_SETATTR 442
#define NR_OPEN_TREE_ATTR 467

#define FSCONFIG_CMD_CREATE 6
#define FSCONFIG_CMD_RECONFIGURE 7
#define FSCONFIG_CMD_CREATE_EXCL 8

struct mount_call {
	__u32 nr;   /* 64-bit number, whatever the entry was */
	__u32 arg2; /* its second argument */
};

/* What the current task called. io_uring's workers call nothing of the mount family. */
static __always_inline void mount_call_get(struct mount_call *c)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	__u64 nr = regs->orig_ax;

	if (BPF_CORE_READ(task, thread_info.status) & WARDER_TS_COMPAT) {
		/* Numbers from 403 on are the same for all entries. */
		c->nr = nr == 21		? NR_MOUNT :
			nr == 22 || nr == 52 ? NR_UMOUNT2 :
			nr == 217	     ? NR_PIVOT_ROOT :
			nr < 403	     ? 0 :
					       (__u32)nr;
		c->arg2 = (__u32)regs->cx;
	} else {
		c->nr = (__u32)(nr & ~X32_BIT);
		c->arg2 = (__u32)regs->si;
	}
}

/* Judged again, with type, flags and target, when what they make is used. */
#define MOUNT_CALL_LATER 0x80000000u

/* The WARDER_MNT_* that a call without a hook may do; 0: it has a hook, or is another call. */
static __always_inline __u32 mount_call_ops(const struct mount_call *c)
{
	switch (c->nr) {
	case NR_FSOPEN:
	case NR_FSMOUNT:
		return WARDER_MNT_NEW | MOUNT_CALL_LATER;
	case NR_FSCONFIG:
		if (c->arg2 == FSCONFIG_CMD_RECONFIGURE)
			return WARDER_MNT_REMOUNT;
		return WARDER_MNT_NEW | MOUNT_CALL_LATER;
	case NR_FSPICK:
		return WARDER_MNT_REMOUNT;
	case NR_OPEN_TREE:
		return WARDER_MNT_BIND | MOUNT_CALL_LATER;
	case NR_OPEN_TREE_ATTR:
		return WARDER_MNT_BIND | WARDER_MNT_REMOUNT | WARDER_MNT_PROPAGATION;
	case NR_MOUNT_SETATTR:
		return WARDER_MNT_REMOUNT | WARDER_MNT_PROPAGATION;
	default:
		return 0;
	}
}

/* `best`, or mount rule number `i` if it decides `ops`, see mount_find_blind(). */
__noinline __weak __u32 mount_try_blind(const struct warder_image *img, __u32 ops, __u32 later,
					__u32 i, __u32 best)
{
	__u32 at, spoken;

	if (!img || i >= WARDER_MOUNT_RULES_MAX || best & WARDER_FOUND_DENY)
		return best;
	at = img->h.mount.offset + i * (__u32)sizeof(struct warder_mount_rule);
	spoken = image_u32(img, at) & ops;
	if (!spoken)
		return best;
	if (image_u8(img, at + 14))
		return later ? best : warder_found(best, at, 1);
	if (later)
		return warder_found(best, at, 0);
	if (spoken != ops || !image_u8(img, at + 17) || !image_u8(img, at + 18) || image_u32(img, at + 4) ||
	    image_u32(img, at + 8) || image_u64(img, at + 24))
		return best;
	return warder_found(best, at, 0);
}

/*
 * The rule that decides `ops` of which neither target nor type nor flags are known, as a byte
 * offset; 0: none. With `later` any allow rule that could match lets it pass, as a hook will
 * see the rest. Without, only one that allows it all for every target, and any deny rule that
 * could match decides.
 */
__noinline __weak int mount_find_blind(const struct warder_image *img, __u32 pr, __u32 ops, __u32 later)
{
	__u32 found = 0;
	__u64 rules;

	if (!img)
		return 0;
	rules = WARDER_PROFILE_U64(img, pr, mount_rules);
	for (__u32 i = 0; i < WARDER_MOUNT_RULES_MAX; i++) {
		if (i >= img->h.mount.count)
			break;
		if (rules >> i & 1)
			found = mount_try_blind(img, ops, later, i, found);
	}
	return (int)(found & ~WARDER_FOUND_DENY);
}

/* One layer's verdict on such a call. */
static __always_inline void mount_layer_blind(const struct warder_image *img, __u32 pr, __u32 ops,
					      __u32 later, struct warder_verdict *v)
{
	__u32 at = mount_find_blind(img, pr, ops, later);

	warder_verdict_allow(v);
	if (at) {
		v->why = WARDER_WHY_RULE;
		v->rule = image_u16(img, at + 12);
		if (image_u8(img, at + 14))
			warder_verdict_deny(v, WARDER_WHY_RULE, image_u8(img, at + 15));
	} else if ((WARDER_PROFILE_U32(img, pr, mount_default) & ops) != ops) {
		warder_verdict_deny(v, WARDER_WHY_DEFAULT, WARDER_PROFILE_U32(img, pr, mount_err));
	}
	v->access = ops;
	warder_verdict_finish(img, pr, v);
}

__noinline __weak int mount_join_blind(const struct warder_image *img, __u32 pr, __u32 ops,
				       __u32 later, struct warder_verdict *v)
{
	struct warder_verdict w;

	if (!img || !v)
		return 0;
	mount_layer_blind(img, pr, ops, later, &w);
	return warder_verdict_join(img, pr, v, &w);
}

/* Judges the system call under way if it is one of those. Its number, or 0 if it is not. */
static __always_inline __u32 mount_call_judge(struct warder_image *img, __u32 pr, struct warder_verdict *v)
{
	struct mount_call c;
	__u32 ops, later;

	mount_call_get(&c);
	ops = mount_call_ops(&c);
	if (!ops)
		return 0;
	later = ops & MOUNT_CALL_LATER;
	ops &= ~MOUNT_CALL_LATER;
	mount_layer_blind(img, pr, ops, later, v);
	WARDER_JOIN_LAYERS(img, pr, v, mount_join_blind(img, pr, ops, later, v));
	return c.nr;
}

/* -------------------------------------------------------------------- names */

/* A superblock that is known already gets a name. Returns whether it still is known. */
static __noinline int mount_sb_note(__u64 sb_at, __u64 root, __u32 slot)
{
	struct warder_sb *known = bpf_map_lookup_elem(&warder_sbs, &sb_at);

	if (!known)
		return 0;
	if (__sync_val_compare_and_swap(&known->root, 0, root))
		known->many = 1;
	else
		known->slot = slot;
	return 1;
}

/* Names the superblock of `root` in the container, `path` of `len` bytes being in
 * sc->second as a struct warder_name. A name that it has already stays. 0 or -fault. */
static __always_inline int mount_name_add(struct subject *s, struct scratch *sc, __u64 sb_at,
					  __u32 len)
{
	struct warder_name *name = (struct warder_name *)&sc->second;
	struct super_block *sb = (struct super_block *)sb_at;
	struct dentry *root = BPF_CORE_READ(sb, s_root);
	struct warder_name_key key = { .sb = sb_at, .dentry = (__u64)root, .slot = s->slot };
	struct warder_sb known = { .maker = s->tag->cid, .root = (__u64)root, .slot = s->slot };
	int err; /* before 6.4 the upper half of a map update's result is not defined */

	name->ino = BPF_CORE_READ(root, d_inode, i_ino);
	name->s_dev = BPF_CORE_READ(sb, s_dev);
	name->len = len;
	err = bpf_map_update_elem(&warder_sbs, &sb_at, &known, BPF_NOEXIST);
	if (err && (err != -WARDER_EEXIST || !mount_sb_note(sb_at, known.root, s->slot)))
		return -WARDER_FAULT_MAP_FULL;
	/* A superblock known before may have recorded roots below its own. */
	name->nested = err != 0;
	err = bpf_map_update_elem(&warder_names, &key, name, BPF_NOEXIST);
	known_names_changed();
	if (err && err != -WARDER_EEXIST)
		return -WARDER_FAULT_MAP_FULL;
	return 0;
}

/* Puts the name at sc->text[pos] into sc->second as a recorded path. Its length, or -fault. */
static __always_inline int mount_name_put(struct scratch *sc, int pos)
{
	struct warder_name *name = (struct warder_name *)&sc->second;
	__u32 len = WARDER_PATH_MAX - pos;

	if (pos < 0 || len >= WARDER_PREFIX_SIZE)
		return -WARDER_FAULT_NAME_LONG;
	if (len == 1)
		return 0; /* "/" is recorded as nothing */
	pos &= WARDER_PATH_MAX - 1;
	WARDER_OPAQUE(pos);
	len &= WARDER_PREFIX_SIZE - 1;
	if (bpf_probe_read_kernel(name->path, len & (WARDER_PREFIX_SIZE - 1),
				  sc->text.b + (pos & (WARDER_PATH_MAX - 1))))
		return -WARDER_FAULT_NAME_READ;
	return len;
}

static __always_inline __u32 mount_fault_errno(int fault)
{
	return fault == -WARDER_FAULT_NAME_LONG ? WARDER_ENAMETOOLONG :
	       fault == -WARDER_FAULT_MAP_FULL	? WARDER_ENOSPC :
						  WARDER_EACCES;
}

static long mount_sweep(struct bpf_map *map, const struct warder_name_key *key,
			struct warder_name *name, __u64 *sb)
{
	if (key->sb == *sb)
		bpf_map_delete_elem(&warder_names, key);
	return 0;
}

/* The last use of a superblock's address: its names go before another one can have it. */
SEC("lsm/sb_free_security")
int BPF_PROG(warder_sb_free, struct super_block *sb)
{
	__u64 at = (__u64)sb;
	struct warder_sb *known = bpf_map_lookup_elem(&warder_sbs, &at);
	struct warder_name_key only = { .sb = at };

	if (!known)
		return 0;
	only.dentry = known->root;
	only.slot = known->slot;
	if (known->many)
		bpf_for_each_map_elem(&warder_names, mount_sweep, &at, 0);
	else if (only.dentry)
		bpf_map_delete_elem(&warder_names, &only);
	known_names_changed();
	bpf_map_delete_elem(&warder_sbs, &at);
	return 0;
}

/* ----------------------------------------------------------------- judgment */

struct mount_ask {
	__u64 type;   /* address of the type's name in kernel memory, 0: the operation has none */
	__u64 mnt;    /* the target's vfsmount and dentry, 0: it has none */
	__u64 dentry;
	__u64 root;   /* of its mount */
	__u64 place_root; /* the same for the place that it covers, if it is the root of a mount */
	__u64 place;
	__u64 sources; /* see MOUNT_SOURCE_KNOWN */
	__u64 sb;     /* the superblock, with MOUNT_NAME_SB and MOUNT_NAME_LATER */
	__u32 flags;  /* MS_* */
	/* Small: the hooks have this on their stack. */
	__u16 op;
	__u8 hook;
	__u8 name;    /* enum mount_naming: what to do when it is allowed */
};
_Static_assert(WARDER_MNT_BITS < 16 && WARDER_HOOK__MAX < 256, "they fit");

enum mount_naming {
	MOUNT_NAME_NONE = 0,
	MOUNT_NAME_PENDING, /* keep the target's name for sb_kern_mount */
	MOUNT_NAME_LATER,   /* a superblock without a target yet: remember who made it */
	MOUNT_NAME_SB,      /* it gets one: give it the target's name */
};

/* Fills in the target from r->mnt and r->dentry. Mounts on one place may be many. */
__noinline __weak int mount_ask_target(struct mount_ask *r)
{
	struct vfsmount *mnt;
	__u64 dentry;

	if (!r)
		return 0;
	mnt = (struct vfsmount *)r->mnt;
	dentry = r->dentry;
	r->root = (__u64)BPF_CORE_READ(mnt, mnt_root);
	for (int i = 0; i < MOUNT_STACK_MAX; i++) {
		struct mount *m = (void *)mnt - bpf_core_field_offset(struct mount, mnt);
		struct mount *parent = BPF_CORE_READ(m, mnt_parent);
		__u64 root = (__u64)BPF_CORE_READ(mnt, mnt_root);

		if (dentry != root || parent == m) {
			r->place_root = root;
			r->place = dentry;
			break;
		}
		dentry = (__u64)BPF_CORE_READ(m, mnt_mountpoint);
		mnt = (void *)parent + bpf_core_field_offset(struct mount, mnt);
	}
	return 0;
}

/* The target's name, as gather_name() gives it. */
static __always_inline int mount_gather(const struct mount_ask *r, __u32 slot,
					struct warder_text *text)
{
	int pos = GATHER_UNREACHABLE;

	if (r->place)
		pos = gather_name(r->place_root, r->place, slot, text, WARDER_PATH_MAX);
	/* The place lies outside: it is the container's root. */
	if (pos == GATHER_UNREACHABLE && r->place != r->dentry)
		pos = gather_name(r->root, r->dentry, slot, text, WARDER_PATH_MAX);
	return pos;
}

/* r->op, too: the source is known, and r->sources are the rules that speak of it. */
#define MOUNT_SOURCE_KNOWN 0x8000

/*
 * Finds the rules that speak of the source, whose address is in r->sources: of a new mount the
 * caller's word, else a struct path. What cannot be found stays unknown, of which no rule with a source allows anything.
 * Not in mount_judge(), whose stack is full.
 */
__noinline __weak int mount_ask_source(struct mount_ask *r)
{
	const struct path *path;
	struct subject s = {};
	struct scratch *sc;
	int pos, len;

	if (!r)
		return 0;
	path = (const struct path *)r->sources;
	r->sources = 0;
	if (!path || subject_current(&s) != SUBJECT_TAGGED)
		return 0;
	sc = scratch_take();
	if (!sc)
		return 0;
	if (r->op == WARDER_MNT_NEW) {
		pos = 0;
		len = bpf_probe_read_kernel_str(sc->text.b, WARDER_PATH_MAX, path) - 1;
	} else {
		pos = gather_name((__u64)BPF_CORE_READ(path, mnt, mnt_root),
				  (__u64)BPF_CORE_READ(path, dentry), s.slot, &sc->text,
				  WARDER_PATH_MAX);
		len = WARDER_PATH_MAX - pos;
	}
	if (pos >= 0 && len >= 0 && len < WARDER_PATH_MAX) {
		r->sources = warder_target_set(s.img, s.pr, &sc->text, WARDER_START_MOUNT_SOURCE,
					       pos, len);
		r->op |= MOUNT_SOURCE_KNOWN;
	}
	scratch_give(sc);
	return 0;
}

/* Overlayfs acts on its layers with the credentials of who mounted it: see
 * capability_is_borrowed(). */
static __always_inline void mount_note_stacked(struct subject *s, __u64 sb_at)
{
	struct super_block *sb = (struct super_block *)sb_at;
	__u64 type = 0;

	bpf_probe_read_kernel_str(&type, sizeof(type), BPF_CORE_READ(sb, s_type, name));
	if (type == 0x0079616c7265766full) /* "overlay" */
		__sync_lock_test_and_set(&s->stats->stacked, 1);
}

/* What is remembered of an allowed operation. 0 or -fault. */
static __noinline int mount_remember(struct subject *s, const struct mount_ask *r,
					  struct scratch *sc, int pos)
{
	struct mount_pending *p;
	int len;
	int err;

	if (r->name == MOUNT_NAME_NONE)
		return 0;
	if (r->name == MOUNT_NAME_LATER) {
		struct warder_sb known = { .maker = s->tag->cid };
		__u64 sb = r->sb; /* keys and values lie on the stack */

		mount_note_stacked(s, sb);
		err = bpf_map_update_elem(&warder_sbs, &sb, &known, BPF_NOEXIST);
		return err && err != -WARDER_EEXIST ? -WARDER_FAULT_MAP_FULL : 0;
	}
	if (r->name == MOUNT_NAME_SB) {
		__u64 sb = r->sb;
		struct warder_sb *known = bpf_map_lookup_elem(&warder_sbs, &sb);

		/* Of a superblock of the host the name is not the container's to say. */
		if (pos < 0 || !known || known->maker != s->tag->cid)
			return 0;
		len = mount_name_put(sc, pos);
		return len < 0 ? len : mount_name_add(s, sc, sb, len);
	}
	p = bpf_task_storage_get(&warder_pending, bpf_get_current_task_btf(), NULL,
				 BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!p)
		return -WARDER_FAULT_MAP_FULL;
	p->len = MOUNT_NAMELESS;
	if (pos < 0)
		return 0;
	len = mount_name_put(sc, pos);
	if (len < 0)
		return len;
	if (bpf_probe_read_kernel(p->path, sizeof(p->path),
				  ((struct warder_name *)&sc->second)->path))
		return -WARDER_FAULT_NAME_READ;
	p->len = len;
	return 0;
}

/* Judges one operation for the current task. Returns 0 or a negative errno. */
__noinline __weak int mount_judge(const struct mount_ask *r)
{
	struct warder_mount_request q = {};
	struct hook_facts f = { .class_ = WARDER_CLASS_MOUNT };
	struct subject s = {};
	struct warder_verdict v;
	struct scratch *sc;
	int pos, err;

	if (!r)
		return -WARDER_EACCES;
	f.hook = r->hook;
	f.access = r->op & ~MOUNT_SOURCE_KNOWN;
	f.arg[0] = r->flags;
	HOOK_SUBJECT(&s, &f);
	sc = scratch_take();
	if (!sc)
		return hook_fault(&s, &f, WARDER_FAULT_SCRATCH, NULL);
	q.op = f.access;
	q.source_known = r->op != f.access;
	q.sources = r->sources;
	q.flags = r->flags;
	pos = mount_gather(r, s.slot, &sc->text);
	if (pos < 0 && pos != GATHER_UNREACHABLE)
		return hook_fault(&s, &f, -pos, sc);
	if (pos >= 0) {
		f.off = pos;
		f.len = WARDER_PATH_MAX - pos;
		q.targets = warder_target_set(s.img, s.pr, &sc->text, WARDER_START_MOUNT_TARGET, f.off,
					      f.len);
	} else if (r->name != MOUNT_NAME_LATER) {
		/* No deny rule is escaped by a target without a name. */
		q.unnamed = 1;
	}
	if (r->type && bpf_probe_read_kernel_str(&q.type, sizeof(q.type), (void *)r->type) < 0)
		return hook_fault(&s, &f, WARDER_FAULT_ARGUMENT, sc);
	warder_fstype_trim(&q.type);
	warder_decide_mount(s.img, s.pr, &q, &v);
	if (v.action != WARDER_DENY) {
		err = mount_remember(&s, r, sc, pos);
		if (err < 0)
			return hook_fault_as(&s, &f, -err, sc, mount_fault_errno(err));
	}
	if (v.report && r->type) {
		int len = bpf_probe_read_kernel_str(sc->second.b, WARDER_FSTYPE_SIZE,
						    (void *)r->type);

		if (len > 0)
			f.detail_len = len - 1;
	}
	return hook_end(&s, &v, &f, sc);
}

/* -------------------------------------------------------------------- hooks */

SEC("lsm/sb_mount")
int BPF_PROG(warder_sb_mount, const char *dev_name, const struct path *path, const char *type,
	     unsigned long flags, void *data, int ret)
{
	struct mount_ask r = { .hook = WARDER_HOOK_SB_MOUNT };

	if (ret)
		return errno_return(-ret);
	if (!current_is_tagged())
		return 0;
	r.sources = (__u64)dev_name;
	r.flags = warder_mount_flags(flags);
	r.op = warder_mount_op(r.flags);
	r.mnt = (__u64)BPF_CORE_READ(path, mnt);
	r.dentry = (__u64)BPF_CORE_READ(path, dentry);
	mount_ask_target(&r);
	if (r.op == WARDER_MNT_NEW) {
		r.type = (__u64)type;
		r.name = MOUNT_NAME_PENDING;
		mount_ask_source(&r);
	}
	return errno_return(-mount_judge(&r));
}

SEC("lsm/sb_umount")
int BPF_PROG(warder_sb_umount, struct vfsmount *mnt, int flags, int ret)
{
	struct mount_ask r = { .hook = WARDER_HOOK_SB_UMOUNT, .op = WARDER_MNT_UMOUNT };

	if (ret)
		return errno_return(-ret);
	if (!current_is_tagged())
		return 0;
	r.mnt = (__u64)mnt;
	r.dentry = (__u64)BPF_CORE_READ(mnt, mnt_root);
	mount_ask_target(&r);
	return errno_return(-mount_judge(&r));
}

SEC("lsm/sb_pivotroot")
int BPF_PROG(warder_sb_pivotroot, const struct path *old_path, const struct path *new_path,
	     int ret)
{
	struct mount_ask r = { .hook = WARDER_HOOK_SB_PIVOTROOT, .op = WARDER_MNT_PIVOT };

	if (ret)
		return errno_return(-ret);
	if (!current_is_tagged())
		return 0;
	r.mnt = (__u64)BPF_CORE_READ(new_path, mnt);
	r.dentry = (__u64)BPF_CORE_READ(new_path, dentry);
	mount_ask_target(&r);
	return errno_return(-mount_judge(&r));
}

/* Flags of a mount as MS_*. */
static __always_inline __u32 mount_flags_of(struct vfsmount *mnt)
{
	__u32 m = BPF_CORE_READ(mnt, mnt_flags), flags = 0;

	flags |= m & MNT_NOSUID ? MS_NOSUID : 0;
	flags |= m & MNT_NODEV ? MS_NODEV : 0;
	flags |= m & MNT_NOEXEC ? MS_NOEXEC : 0;
	flags |= m & MNT_NOATIME ? MS_NOATIME : 0;
	flags |= m & MNT_NODIRATIME ? MS_NODIRATIME : 0;
	flags |= m & MNT_RELATIME ? MS_RELATIME : 0;
	flags |= m & MNT_READONLY ? MS_RDONLY : 0;
	return flags | (BPF_CORE_READ(mnt, mnt_sb, s_flags) & MS_OF_SB);
}

SEC("lsm/move_mount")
int BPF_PROG(warder_move_mount, const struct path *from_path, const struct path *to_path, int ret)
{
	struct mount_ask r = { .hook = WARDER_HOOK_MOVE_MOUNT };
	struct task_struct *task = bpf_get_current_task_btf();
	struct vfsmount *from;
	struct mount *m;

	if (ret)
		return errno_return(-ret);
	if (!current_is_tagged())
		return 0;
	r.sources = (__u64)from_path;
	from = BPF_CORE_READ(from_path, mnt);
	m = (void *)from - bpf_core_field_offset(struct mount, mnt);
	r.mnt = (__u64)BPF_CORE_READ(to_path, mnt);
	r.dentry = (__u64)BPF_CORE_READ(to_path, dentry);
	r.flags = mount_flags_of(from);
	if (BPF_CORE_READ(m, mnt_ns) == BPF_CORE_READ(task, nsproxy, mnt_ns)) {
		r.op = WARDER_MNT_MOVE;
	} else {
		r.op = WARDER_MNT_ATTACH;
		r.sb = (__u64)BPF_CORE_READ(from, mnt_sb);
		r.type = (__u64)BPF_CORE_READ(from, mnt_sb, s_type, name);
		r.name = MOUNT_NAME_SB;
	}
	mount_ask_target(&r);
	mount_ask_source(&r);
	return errno_return(-mount_judge(&r));
}

/* The superblock of a mount(2) is there; sb_mount has judged the call. 0 or a negative errno. */
__noinline __weak int mount_sb_made(const struct mount_ask *r)
{
	struct hook_facts f = { .hook = WARDER_HOOK_SB_KERN_MOUNT, .class_ = WARDER_CLASS_MOUNT,
				.access = WARDER_MNT_NEW };
	struct subject s = {};
	struct mount_pending *p;
	struct scratch *sc;
	__u32 len;
	__u64 sb;
	int err;

	if (!r)
		return -WARDER_EACCES;
	sb = r->sb;
	HOOK_SUBJECT(&s, &f);
	mount_note_stacked(&s, sb);
	p = bpf_task_storage_get(&warder_pending, bpf_get_current_task_btf(), NULL, 0);
	if (!p)
		return hook_fault(&s, &f, WARDER_FAULT_ARGUMENT, NULL);
	len = p->len;
	if (len == MOUNT_NAMELESS)
		return 0;
	sc = scratch_take();
	if (!sc)
		return hook_fault(&s, &f, WARDER_FAULT_SCRATCH, NULL);
	if (bpf_probe_read_kernel(((struct warder_name *)&sc->second)->path, sizeof(p->path),
				  p->path))
		return hook_fault(&s, &f, WARDER_FAULT_NAME_READ, sc);
	err = mount_name_add(&s, sc, sb, len);
	if (err < 0)
		return hook_fault_as(&s, &f, -err, sc, mount_fault_errno(err));
	scratch_give(sc);
	return 0;
}

/* A superblock is there, made or found again: by mount(2) or by fsconfig. */
SEC("lsm/sb_kern_mount")
int BPF_PROG(warder_sb_kern_mount, struct super_block *sb, int ret)
{
	struct mount_ask r = { .hook = WARDER_HOOK_SB_KERN_MOUNT, .op = WARDER_MNT_NEW,
			       .name = MOUNT_NAME_LATER };
	struct mount_call c;

	if (ret)
		return errno_return(-ret);
	if (!current_is_tagged())
		return 0;
	r.sb = (__u64)sb;
	mount_call_get(&c);
	if (c.nr == NR_MOUNT)
		return errno_return(-mount_sb_made(&r));
	/* Where it goes is not known yet: move_mount judges that, and names it. */
	r.type = (__u64)BPF_CORE_READ(sb, s_type, name);
	r.flags = BPF_CORE_READ(sb, s_flags) & MS_OF_SB;
	return errno_return(-mount_judge(&r));
}

#endif
