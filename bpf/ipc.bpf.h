/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Class "ipc" but for unix sockets: SysV objects, POSIX message queues, descriptors received
 * from elsewhere; and of class "signal" the signals that a file's events send (F_SETOWN).
 */
#ifndef WARDER_IPC_BPF_H
#define WARDER_IPC_BPF_H

#include "attr.bpf.h"
#include "file.bpf.h"
#include "peer.bpf.h"
#include "unix.bpf.h"

/* ---------------------------------------------------------------------- SysV */

/* Who made the object at this address, which stays its own until it is said to go. */
static __always_inline int ipc_made(__u64 at, __u32 ino)
{
	struct hook_facts f = { .hook = WARDER_HOOK_IPC_PERMISSION, .class_ = WARDER_CLASS_IPC };
	struct owner_tag owner = {};
	struct subject s = {};
	int err;

	switch (subject_current(&s)) {
	case SUBJECT_UNTAGGED:
		/* Nothing is left of an earlier one, even if its end was missed. */
		bpf_map_delete_elem(&warder_ipcs, &at);
		return 0;
	case SUBJECT_TAGGED:
		break;
	default:
		return hook_fault(&s, &f, s.fault, NULL);
	}
	owner.cid = s.tag->cid;
	owner.slot = s.slot;
	owner.ino = ino;
	err = bpf_map_update_elem(&warder_ipcs, &at, &owner, BPF_ANY);
	return err ? hook_fault_as(&s, &f, WARDER_FAULT_MAP_FULL, NULL, WARDER_ENOSPC) : 0;
}

#define IPC_KIND(kind)                                                                          \
	SEC("lsm/" #kind "_alloc_security")                                                     \
	int BPF_PROG(warder_##kind##_alloc, struct kern_ipc_perm *perm, int ret)                \
	{                                                                                       \
		return ret ? errno_return(-ret) : ipc_made(unix_scalar(perm), 0);                  \
	}                                                                                       \
	SEC("lsm/" #kind "_free_security")                                                      \
	int BPF_PROG(warder_##kind##_free, struct kern_ipc_perm *perm)                          \
	{                                                                                       \
		__u64 at = (__u64)perm;                                                         \
                                                                                                \
		bpf_map_delete_elem(&warder_ipcs, &at);                                         \
		return 0;                                                                       \
	}

IPC_KIND(msg_queue)
IPC_KIND(shm)
IPC_KIND(sem)

static __always_inline int ipc_judge_perm(__u64 at)
{
	struct owner_tag *owner;

	/* Questions about the whole namespace are asked of no object. */
	if (!at || !current_is_tagged())
		return 0;
	owner = bpf_map_lookup_elem(&warder_ipcs, &at);
	return errno_return(-peer_judge_object(WARDER_HOOK_IPC_PERMISSION, WARDER_CLASS_IPC,
					       WARDER_IPC_SYSV, owner ? owner->cid : 0,
					       owner ? owner->slot : 0,
					       BPF_CORE_READ((struct kern_ipc_perm *)at, id)));
}

/* Every use of an object that is there already. */
SEC("lsm/ipc_permission")
int BPF_PROG(warder_ipc_permission, struct kern_ipc_perm *ipcp, short flag, int ret)
{
	return ret ? errno_return(-ret) : ipc_judge_perm(unix_scalar(ipcp));
}

/* But for those that only ask whose it is: IPC_RMID, IPC_SET, locking it into memory. */
#define IPC_CONTROL(hook)                                                                       \
	SEC("lsm/" #hook)                                                                       \
	int BPF_PROG(warder_##hook, struct kern_ipc_perm *perm, int cmd, int ret)               \
	{                                                                                       \
		return ret ? errno_return(-ret) : ipc_judge_perm(unix_scalar(perm));            \
	}

IPC_CONTROL(msg_queue_msgctl)
IPC_CONTROL(shm_shmctl)
IPC_CONTROL(sem_semctl)

/* ------------------------------------------------------- POSIX message queues */

/* Opening one is judged in file_open, see peer_judge_mqueue(). Here is no hook that could refuse:
 * a queue that cannot be recorded counts as the host's, and is refused when it is opened. */
SEC("fexit/mqueue_get_inode")
int BPF_PROG(warder_mqueue_made, struct super_block *sb, struct ipc_namespace *ns, umode_t mode,
	     void *attr, struct inode *ret)
{
	if (ret && !compat_is_err(ret) && (mode & WARDER_S_IFMT) == WARDER_S_IFREG)
		ipc_made(unix_scalar(ret), (__u32)BPF_CORE_READ(ret, i_ino));
	return 0;
}

SEC("fentry/mqueue_evict_inode")
int BPF_PROG(warder_mqueue_gone, struct inode *inode)
{
	__u64 at = (__u64)inode;

	bpf_map_delete_elem(&warder_ipcs, &at);
	return 0;
}

/* mq_unlink(2) has no hook that knows a path. */
SEC("lsm/inode_unlink")
int BPF_PROG(warder_inode_unlink, struct inode *dir, struct dentry *dentry, int ret)
{
	if (ret)
		return errno_return(-ret);
	if (dir->i_sb->s_magic != WARDER_MAGIC_MQUEUE || !current_is_tagged())
		return 0;
	return errno_return(-peer_judge_mqueue((__u64)BPF_CORE_READ(dentry, d_inode)));
}

/* ------------------------------------------------------ descriptors received */

/*
 * By SCM_RIGHTS, pidfd_getfd(2), seccomp's notifier. Whose a file is, the file system tells that
 * it is on: the container's own is one that has a name in it. Of another container or the host
 * only what an ipc rule allows is received. A file of its own is judged by its name besides, as if
 * it were opened now. What the kernel keeps without a name (pipes, memfds, sockets, event
 * counters) came over a connection that was judged.
 */
#define IPC_FMODE_PATH 0x4000
#define IPC_OWN (-1)
#define IPC_HOST (-2)

struct ipc_search {
	__u64 sb;
	__u64 mnt_root;
	__u64 sb_root;
	__s32 found; /* slot of a container, IPC_HOST */
	__u32 pad;
};

/* Is the mount by which the file was opened, or its whole superblock, recorded in `slot`? */
static __always_inline int ipc_has_root(const struct ipc_search *q, __u32 slot)
{
	return gather_record(q->sb, (struct dentry *)q->mnt_root, slot) ||
	       gather_record(q->sb, (struct dentry *)q->sb_root, slot);
}

static long ipc_search_step(__u32 i, struct ipc_search *q)
{
	if (!ipc_has_root(q, i))
		return 0;
	q->found = i;
	return 1;
}

/* Whose file system the file is on, asked for the container in `slot`: IPC_OWN, IPC_HOST, or the
 * slot of another container. */
__noinline __weak int ipc_file_owner(__u64 at, __u32 slot, __u64 cid)
{
	struct file *file = (struct file *)at;
	struct ipc_search q = { .found = IPC_HOST };
	struct scratch *sc;
	struct warder_sb *known;
	int pos;

	q.mnt_root = (__u64)BPF_CORE_READ(file, f_path.mnt, mnt_root);
	q.sb = (__u64)BPF_CORE_READ(file, f_path.mnt, mnt_sb);
	q.sb_root = (__u64)BPF_CORE_READ(file, f_path.mnt, mnt_sb, s_root);
	known = bpf_map_lookup_elem(&warder_sbs, &q.sb);
	/* Deleted files have no name any more, and are on a mount that has one. */
	if ((known && known->maker == cid) || ipc_has_root(&q, slot))
		return IPC_OWN;
	/* Faults are met again, and refused, when the file is judged as one's own. */
	sc = scratch_take();
	if (!sc)
		return IPC_OWN;
	pos = gather_name(q.mnt_root, (__u64)BPF_CORE_READ(file, f_path.dentry), slot, &sc->text,
			  WARDER_PATH_MAX);
	scratch_give(sc);
	if (pos != GATHER_UNREACHABLE)
		return IPC_OWN;
	bpf_loop(WARDER_CONTAINERS_MAX, ipc_search_step, &q, 0);
	return q.found;
}

/* May the current task receive a file of `owner`, as ipc_file_owner() tells? 0 or a negative errno.
 * What has no file system counts as its container's own. */
__noinline __weak int ipc_judge_owner(int owner)
{
	struct warder_task *tag;
	struct warder_ctr *ctr;
	__u32 fault, slot = 0;
	__u64 cid = 0;

	/* A tag that cannot be read is a fault below. */
	tag = task_tag(bpf_get_current_task_btf(), &fault);
	if (tag && owner == IPC_OWN) {
		cid = tag->cid;
	} else if (owner >= 0) {
		slot = owner;
		ctr = bpf_map_lookup_elem(&warder_ctrs, &slot);
		cid = ctr ? ctr->cid : 0;
	}
	return peer_judge_object(WARDER_HOOK_FILE_RECEIVE, WARDER_CLASS_IPC, WARDER_IPC_FD, cid,
				 slot, 0);
}

/* One's own file, as if it were opened now. A frame of its own, for the stack below the others. */
static __noinline int ipc_judge_own_file(struct file *file)
{
	struct file_request r = { .hook = WARDER_HOOK_FILE_RECEIVE, .class_ = WARDER_CLASS_FILE,
				  .access = file_open_access(file) };

	file_object_set(&r.at, &file->f_path, NULL);
	return file_judge(&r);
}

SEC("lsm/file_receive")
int BPF_PROG(warder_file_receive, struct file *file, int ret)
{
	struct warder_task *tag;
	int owner = IPC_OWN, err;
	__u32 fault;

	if (ret)
		return errno_return(-ret);
	tag = task_tag(bpf_get_current_task_btf(), &fault);
	if (!tag && !fault)
		return 0;
	if (file->f_inode->i_sb->s_magic == WARDER_MAGIC_MQUEUE)
		return errno_return(-peer_judge_mqueue((__u64)BPF_CORE_READ(file, f_inode)));
	if (file_kind(&file->f_path) != FILE_NAMED)
		return errno_return(-ipc_judge_owner(IPC_OWN));
	if (tag)
		owner = ipc_file_owner(unix_scalar(file), tag->slot, tag->cid);
	err = ipc_judge_owner(owner);
	/* O_PATH: a name without access, judged when it is used. */
	if (err || (file->f_mode & IPC_FMODE_PATH))
		return errno_return(-err);
	/* A device is judged by its number, whoever's node led to it. */
	err = device_judge_open(file);
	if (err || owner != IPC_OWN)
		return errno_return(-err);
	return errno_return(-ipc_judge_own_file(file));
}

/* ------------------------------------------------------------ signals of files */

#define IPC_F_SETFL 4
#define IPC_F_SETOWN 8
#define IPC_F_SETOWN_EX 15

SEC("lsm/file_fcntl")
int BPF_PROG(warder_file_fcntl, struct file *file, unsigned int cmd, unsigned long arg, int ret)
{
	if (ret)
		return errno_return(-ret);
	switch (cmd) {
	case IPC_F_SETOWN:
		return errno_return(-attr_judge_owner(1, (int)arg));
	case IPC_F_SETOWN_EX:
		return errno_return(-attr_judge_owner(0, 0));
	case IPC_F_SETFL:
		return arg & WARDER_O_APPEND ? 0 : attr_judge_append(file, WARDER_HOOK_FILE_OPEN);
	}
	return 0;
}

#endif
