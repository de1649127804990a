// SPDX-License-Identifier: LGPL-2.1-or-later
/* What the policy language says and the running kernel gives warder no place to enforce: told to
 * users, never passed over. Asked of the kernel's BTF. */
#include <bpf/btf.h>
#include <errno.h>

#include "cleanup.h"

#include "loader_internal.h"

/* Where `function` is missing, or with `present` where it is there, `text` is not enforced. */
static const struct {
	struct loader_gap gap;
	const char *function;
	int present;
} gaps[] = {
	{ { WARDER_CLASS_NAMESPACE, 1, "making a user namespace (needs Linux 6.1)" },
	  "bpf_lsm_userns_create", 0 },
	{ { WARDER_CLASS_IPC, 0,
	    "mq: who made a message queue; those in the host's IPC namespace all count as the "
	    "host's" },
	  "mqueue_get_inode", 0 },
	{ { WARDER_CLASS_KERNEL, 1, "io_uring and userfaultfd" },
	  "bpf_lsm_inode_init_security_anon", 0 },
	{ { WARDER_CLASS_KERNEL, 1, "polling threads of an io_uring that was handed in" },
	  "bpf_lsm_uring_sqpoll", 0 },
	{ { WARDER_CLASS_KERNEL, 1, "device commands by an io_uring that was handed in" },
	  "bpf_lsm_uring_cmd", 0 },
	{ { WARDER_CLASS_KERNEL, 0,
	    "handle: open_by_handle_at(2) of a process or namespace asks for no capability in this "
	    "kernel; it reaches only what the caller can see, and files stay closed" },
	  "pidfs_export_permission", 1 },
};

int loader_gaps(struct loader_gap *ret, size_t size)
{
	struct btf *btf = btf__load_vmlinux_btf();
	size_t used = 0;

	if (!btf)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(gaps); i++) {
		int found = btf__find_by_name_kind(btf, gaps[i].function, BTF_KIND_FUNC) > 0;

		if (found == gaps[i].present && used < size)
			ret[used++] = gaps[i].gap;
	}
	btf__free(btf);
	return (int)used;
}
