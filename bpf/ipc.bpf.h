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

/* ---------------------------------------------------------------------- SysV */

/* Who made the object: its address stays its own until the hooks below say that it goes. */
static __always_inline int ipc_made(struct kern_ipc_perm *perm)
{
	struct hook_facts f = { .hook = WARDER_HOOK_IPC_PERMISSION, .class_ = WARDER_CLASS_IPC };
	struct owner_tag owner = {};
	struct subject s = {};
	__u64 at = (__u64)perm;
	int err;

	switch (subject_current(&s)) {
	case SUBJECT_UNTAGGED:
		return 0;
	case SUBJECT_TAGGED:
		break;
	default:
		return hook_fault(&s, &f, s.fault, NULL);
	}
	owner.cid = s.tag->cid;
	owner.slot = s.slot;
	err = bpf_map_update_elem(&warder_ipcs, &at, &owner, BPF_ANY);
	return err ? hook_fault_as(&s, &f, WARDER_FAULT_MAP_FULL, NULL, WARDER_ENOSPC) : 0;
}

#define IPC_KIND(kind)                                                                          \
	SEC("lsm/" #kind "_alloc_security")                                                     \
	int BPF_PROG(warder_##kind##_alloc, struct kern_ipc_perm *perm, int ret)                \
	{                                                                                       \
		return ret ? errno_return(-ret) : ipc_made(perm);                               \
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

/* Every use of an object that is there already. */
SEC("lsm/ipc_permission")
int BPF_PROG(warder_ipc_permission, struct kern_ipc_perm *ipcp, short flag, int ret)
{
	__u64 at = (__u64)ipcp;
	struct owner_tag *owner;

	if (ret)
		return errno_return(-ret);
	if (!current_is_tagged())
		return 0;
	owner = bpf_map_lookup_elem(&warder_ipcs, &at);
	return peer_judge_object(WARDER_HOOK_IPC_PERMISSION, WARDER_CLASS_IPC, WARDER_IPC_SYSV,
			 owner ? owner->cid : 0, owner ? owner->slot : 0,
			 BPF_CORE_READ(ipcp, id));
}

/* ------------------------------------------------------ descriptors received */

/*
 * By SCM_RIGHTS, pidfd_getfd(2), seccomp's notifier. A file is judged by its name as if it were
 * opened now: one of another container has none here. What the kernel keeps without a name
 * (pipes, memfds, sockets, event counters) came over a connection that was judged.
 */
SEC("lsm/file_receive")
int BPF_PROG(warder_file_receive, struct file *file, int ret)
{
	struct file_request r = { .hook = WARDER_HOOK_FILE_RECEIVE, .class_ = WARDER_CLASS_FILE };
	fmode_t mode = file->f_mode;

	if (ret || !current_is_tagged())
		return ret;
	if (file_kind(&file->f_path) != FILE_NAMED)
		return 0;
	if (mode & WARDER_FMODE_READ)
		r.access |= WARDER_ACC_READ;
	if (mode & WARDER_FMODE_WRITE)
		r.access |= file->f_flags & WARDER_O_APPEND ? WARDER_ACC_APPEND : WARDER_ACC_WRITE;
	/* O_PATH: a name without access, judged when it is used. */
	if (!r.access)
		return 0;
	file_object_set(&r.at, &file->f_path, NULL);
	return errno_return(-file_judge(&r));
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
