// SPDX-License-Identifier: LGPL-2.1-or-later
/* What the policy language says and the running kernel gives warder no place to enforce: told to
 * users, never passed over. Asked of the kernel's BTF. */
#include <bpf/btf.h>
#include <errno.h>

#include "cleanup.h"

#include "loader_internal.h"
#include "policy.h"

/* Where `function` is missing, or with `present` where it is there, `text` is not enforced. */
static const struct {
	struct loader_gap gap;
	const char *function;
	int present;
} gaps[] = {
	{ { WARDER_CLASS_NAMESPACE, 1, 1ull << WARDER_NS_USER,
	    "making a user namespace (needs Linux 6.1)" },
	  "bpf_lsm_userns_create", 0 },
	{ { WARDER_CLASS_IPC, 0, 0,
	    "mq: who made a message queue; those in the host's IPC namespace all count as the "
	    "host's" },
	  "mqueue_get_inode", 0 },
	{ { WARDER_CLASS_KERNEL, 1,
	    1ull << WARDER_SURFACE_IO_URING | 1ull << WARDER_SURFACE_USERFAULTFD,
	    "io_uring and userfaultfd" },
	  "bpf_lsm_inode_init_security_anon", 0 },
	{ { WARDER_CLASS_KERNEL, 1, 1ull << WARDER_SURFACE_IO_URING,
	    "polling threads of an io_uring that was handed in" },
	  "bpf_lsm_uring_sqpoll", 0 },
	{ { WARDER_CLASS_KERNEL, 1, 1ull << WARDER_SURFACE_IO_URING,
	    "device commands by an io_uring that was handed in" },
	  "bpf_lsm_uring_cmd", 0 },
	{ { WARDER_CLASS_KERNEL, 0, 1ull << WARDER_SURFACE_HANDLE,
	    "handle: open_by_handle_at(2) of a process or namespace asks for no capability in this "
	    "kernel; it reaches only what the caller can see, and files stay closed" },
	  "pidfs_export_permission", 1 },
};

int loader_btf_open(const char *path, struct btf **ret)
{
	*ret = path ? btf__parse(path, NULL) : btf__load_vmlinux_btf();
	return *ret ? 0 : errno ? -errno : -EINVAL;
}

int loader_gaps(const char *path, struct loader_gap *ret, size_t size)
{
	struct btf *btf;
	size_t used = 0;
	int err = loader_btf_open(path, &btf);

	if (err)
		return err;
	for (size_t i = 0; i < ARRAY_SIZE(gaps); i++) {
		int found = btf__find_by_name_kind(btf, gaps[i].function, BTF_KIND_FUNC) > 0;

		if (found == gaps[i].present && used < size)
			ret[used++] = gaps[i].gap;
	}
	btf__free(btf);
	return (int)used;
}

/* The switches of a class that some profile refuses or reports. */
static __u64 bits_restricted(const struct warder_image *img, enum warder_bits_class which)
{
	const struct warder_profile *pr;
	__u64 bits = 0;

	for (__u32 n = 0; (pr = image_profile(img, n)); n++)
		bits |= ~pr->bits[which].allow | pr->bits[which].audit;
	return bits;
}

int loader_gap_matters(const struct loader_gap *gap, const struct warder_image *img)
{
	const struct warder_rule *r;

	if (img->h.mode == WARDER_MODE_LEARN)
		return 1;
	if (gap->bits)
		return (gap->bits & bits_restricted(img, gap->class_ == WARDER_CLASS_NAMESPACE ?
								 WARDER_BITS_NAMESPACE :
								 WARDER_BITS_KERNEL)) != 0;
	for (__u32 n = 1; (r = image_rule(img, n)); n++)
		if (r->class_ == gap->class_)
			return 1;
	return 0;
}
