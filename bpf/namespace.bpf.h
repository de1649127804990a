/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Class "namespace": making and joining namespaces.
 *
 * A user namespace has a hook of its own when it is made. Others are judged
 *  - made by a fork: in task_alloc, which has the kernel's copy of the flags, clone3's too;
 *  - made by unshare(2), or by open_tree(2) and fsmount(2) on kernels that can: where the kernel
 *    asks for CAP_SYS_ADMIN, by the call's registers;
 *  - joined by setns(2): likewise, by the type that is given, which the kernel has compared with the
 *    descriptor's by then. Without one, by the descriptor, if this task is the only one with its
 *    table; where another one could have changed it meanwhile, every type counts as asked for.
 * Nothing is kept from one call to the next.
 */
#ifndef WARDER_NAMESPACE_BPF_H
#define WARDER_NAMESPACE_BPF_H

#include "core.bpf.h"
#include "mount.bpf.h"
#include "switch.bpf.h"

#define CLONE_NEWTIME 0x00000080ull
#define CLONE_NEWNS 0x00020000ull
#define CLONE_NEWCGROUP 0x02000000ull
#define CLONE_NEWUTS 0x04000000ull
#define CLONE_NEWIPC 0x08000000ull
#define CLONE_NEWUSER 0x10000000ull
#define CLONE_NEWPID 0x20000000ull
#define CLONE_NEWNET 0x40000000ull
/* Both imply CLONE_NEWNS, since 7.1; before, no call with them gets as far as here. */
#define CLONE_EMPTY_MNTNS (1ull << 37) /* clone3 */
#define UNSHARE_EMPTY_MNTNS 0x00100000ull
/* A new mount namespace by the new mount API, since 7.0 and 7.1. */
#define OPEN_TREE_NAMESPACE 2ull
#define FSMOUNT_NAMESPACE 2ull

#define NAMESPACE_MAGIC 0x6e736673ul /* nsfs */
#define NAMESPACE_ALL ((1u << WARDER_NS__MAX) - 1)

/* The switches that CLONE_NEW* flags need. */
static __always_inline __u32 namespace_asked(__u64 flags)
{
	return (flags & CLONE_NEWUSER ? 1u << WARDER_NS_USER : 0) |
	       (flags & CLONE_NEWNS ? 1u << WARDER_NS_MNT : 0) |
	       (flags & CLONE_NEWPID ? 1u << WARDER_NS_PID : 0) |
	       (flags & CLONE_NEWNET ? 1u << WARDER_NS_NET : 0) |
	       (flags & CLONE_NEWIPC ? 1u << WARDER_NS_IPC : 0) |
	       (flags & CLONE_NEWUTS ? 1u << WARDER_NS_UTS : 0) |
	       (flags & CLONE_NEWCGROUP ? 1u << WARDER_NS_CGROUP : 0) |
	       (flags & CLONE_NEWTIME ? 1u << WARDER_NS_TIME : 0);
}

/*
 * A fork, before the kernel asks for CAP_SYS_ADMIN: what no policy grants is refused here, what the
 * kernel refuses it refuses after. The user namespace was judged by its own hook. That the child
 * gets its tag is another program's part, see identity.bpf.h.
 */
SEC("lsm/task_alloc")
int BPF_PROG(warder_task_namespaces, struct task_struct *task, unsigned long clone_flags, int ret)
{
	__u64 flags = clone_flags;
	__u32 asked;

	if (ret)
		return errno_return(-ret);
	asked = namespace_asked(flags & ~CLONE_NEWUSER);
	if (flags & CLONE_EMPTY_MNTNS)
		asked |= 1u << WARDER_NS_MNT;
	if (!asked || !current_is_tagged())
		return 0;
	return errno_return(-switch_judge(WARDER_BITS_NAMESPACE, asked, WARDER_HOOK_TASK_ALLOC,
					  flags));
}

/* The type of the namespace that this file stands for, 0 when it stands for none. */
static __always_inline __u32 namespace_type(struct file *file)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct ns_common *ns;

	if (BPF_CORE_READ(inode, i_sb, s_magic) != NAMESPACE_MAGIC)
		return 0;
	ns = BPF_CORE_READ(inode, i_private);
	if (bpf_core_field_exists(ns->ns_type))
		return BPF_CORE_READ(ns, ns_type);
	return BPF_CORE_READ(ns, ops, type);
}

/* Of the current task's descriptor, if nobody else can put another file in its place meanwhile. */
static __always_inline __u32 namespace_type_of_fd(__u32 fd)
{
	struct files_struct *files = BPF_CORE_READ(bpf_get_current_task_btf(), files);
	struct file **table, *file = NULL;
	struct fdtable *fdt;

	if (BPF_CORE_READ(files, count.counter) != 1)
		return 0;
	fdt = BPF_CORE_READ(files, fdt);
	if (fd >= BPF_CORE_READ(fdt, max_fds))
		return 0;
	table = BPF_CORE_READ(fdt, fd);
	bpf_probe_read_kernel(&file, sizeof(file), &table[fd]);
	return file ? namespace_type(file) : 0;
}

/* The switches that the call needs which asks for CAP_SYS_ADMIN now. */
static __always_inline __u32 namespace_asked_by(const struct call *c)
{
	__u64 flags;

	switch (c->nr) {
	case NR_UNSHARE:
		flags = c->arg[0];
		if (flags & UNSHARE_EMPTY_MNTNS)
			flags |= CLONE_NEWNS;
		return namespace_asked(flags & ~CLONE_NEWUSER);
	case NR_SETNS:
		/* A type that is given is the right one: else the call fails before it comes here. */
		flags = (__u32)c->arg[1];
		if (!flags)
			flags = namespace_type_of_fd((__u32)c->arg[0]);
		return namespace_asked(flags) ? namespace_asked(flags) : NAMESPACE_ALL;
	case NR_OPEN_TREE:
		return c->arg[2] & OPEN_TREE_NAMESPACE ? 1u << WARDER_NS_MNT : 0;
	case NR_FSMOUNT:
		return c->arg[1] & FSMOUNT_NAMESPACE ? 1u << WARDER_NS_MNT : 0;
	default:
		return 0;
	}
}

SEC("lsm/userns_create")
int BPF_PROG(warder_userns_create, const struct cred *cred, int ret)
{
	if (ret)
		return errno_return(-ret);
	if (!current_is_tagged())
		return 0;
	return errno_return(-switch_judge(WARDER_BITS_NAMESPACE, 1u << WARDER_NS_USER,
					  WARDER_HOOK_USERNS_CREATE, 0));
}

#endif
