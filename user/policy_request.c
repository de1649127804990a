// SPDX-License-Identifier: LGPL-2.1-or-later
/* Requests put to an image from user space: by the same engine as in the kernel. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy_internal.h"
#include "policy_tools.h"
#include "warder_decide.h"

/* ------------------------------------------------------------------ deciding */

static int text_new(const char *path, struct warder_text **ret, __u32 *ret_len)
{
	size_t len = strlen(path);
	struct warder_text *t;

	if (len >= WARDER_PATH_MAX)
		return -ENAMETOOLONG;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	memcpy(t->b, path, len);
	*ret = t;
	*ret_len = (__u32)len;
	return 0;
}

/* ---------------------------------------------------------------- baseline */

/* Where the kernel's file systems are mounted, the longest name first. */
static const struct {
	const char *type, *at;
	__u32 magic;
} places[] = {
	{ "binfmt_misc", "/proc/sys/fs/binfmt_misc", WARDER_MAGIC_BINFMT },
	{ "efivarfs", "/sys/firmware/efi/efivars", WARDER_MAGIC_EFIVARFS },
	{ "debugfs", "/sys/kernel/debug", WARDER_MAGIC_DEBUGFS },
	{ "tracefs", "/sys/kernel/tracing", WARDER_MAGIC_TRACEFS },
	{ "securityfs", "/sys/kernel/security", WARDER_MAGIC_SECURITYFS },
	{ "configfs", "/sys/kernel/config", WARDER_MAGIC_CONFIGFS },
	{ "cgroup", "/sys/fs/cgroup", WARDER_MAGIC_CGROUP },
	{ "bpf", "/sys/fs/bpf", WARDER_MAGIC_BPF },
	{ "sysfs", "/sys", WARDER_MAGIC_SYSFS },
	{ "proc", "/proc", WARDER_MAGIC_PROC },
};

__u32 request_fs_magic(const char *fs)
{
	size_t len = strcspn(fs, ":");

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (strlen(places[i].type) == len && !strncmp(places[i].type, fs, len))
			return places[i].magic;
	return 0;
}

__u32 request_place(const char *path, const char *fs, const char **ret_name)
{
	const char *colon = fs ? strchr(fs, ':') : NULL;

	*ret_name = path;
	if (colon)
		*ret_name = colon + 1;
	if (colon || (fs && !request_fs_magic(fs)))
		return request_fs_magic(fs);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		size_t len = strlen(places[i].at);

		if (strncmp(path, places[i].at, len) || (path[len] && path[len] != '/') ||
		    (fs && request_fs_magic(fs) != places[i].magic))
			continue;
		*ret_name = path + len;
		return places[i].magic;
	}
	return fs ? request_fs_magic(fs) : 0;
}

/* Links to the folders of whoever looks: the name that is judged has a number there. */
static bool names_a_task(const char *name)
{
	return !strncmp(name, "/self/", 6) || !strncmp(name, "/thread-self/", 13);
}

/* What file_baseline() of the hooks asks. 1: refused; 0; -errno. */
static int decide_kernel_file(const struct warder_image *img, const struct policy_request *r)
{
	cleanup_free struct warder_text *text = NULL;
	const char *name;
	__u32 magic, len;
	int err;

	if (!r->path || r->unreachable || !warder_kernel_files_closed(img))
		return 0;
	magic = request_place(r->path, r->fs, &name);
	if (!warder_baseline_concerns(magic) ||
	    (magic == WARDER_MAGIC_PROC && names_a_task(name)))
		return 0;
	err = text_new(name, &text, &len);
	return err ? err : !!warder_baseline_file(magic, text, 0, len, r->access);
}

static int decide_file(const struct warder_image *img, __u32 pr, const struct policy_request *r,
		       const struct warder_text *text, __u32 len, struct warder_verdict *v)
{
	int refused = decide_kernel_file(img, r);

	if (refused < 0)
		return refused;
	if (refused) {
		warder_verdict_baseline(v);
		v->access = r->access;
	} else if (r->unreachable) {
		warder_decide_unreachable(img, pr, r->access, v);
	} else if (text) {
		warder_decide_file(img, pr, text, 0, len, r->access, v);
	} else {
		return -EINVAL;
	}
	return 0;
}

/* --------------------------------------------------------------- by class */

static int decide_mount(const struct warder_image *img, __u32 pr, const struct policy_request *r,
			const struct warder_text *text, __u32 len, struct warder_verdict *v)
{
	struct warder_mount_request m = { .op = r->access, .flags = r->flags };

	if (r->fstype) {
		size_t n = strlen(r->fstype);

		if (n >= WARDER_FSTYPE_SIZE)
			return -EINVAL;
		memcpy(m.type.w, r->fstype, n);
		warder_fstype_trim(&m.type);
	}
	if (text && !r->unreachable)
		m.targets = warder_target_set(img, pr, text, WARDER_START_MOUNT_TARGET, 0, len);
	else
		m.unnamed = 1;
	/* As the hooks know it: of mount(2) the caller's word for what a new file system is made of,
	 * of move_mount(2) what a clone was made of; a bind's and a move's the kernel finds later. */
	if (r->source && (r->access == WARDER_MNT_NEW || r->access == WARDER_MNT_ATTACH)) {
		struct warder_text *source;
		__u32 source_len;
		int err = text_new(r->source, &source, &source_len);

		if (err)
			return err;
		m.sources = warder_target_set(img, pr, source, WARDER_START_MOUNT_SOURCE, 0,
					      source_len);
		m.source_known = 1;
		free(source);
	}
	warder_decide_mount(img, pr, &m, v);
	return 0;
}

static int peer_fill(const struct policy_request *r, __u32 class_, __u64 op,
		     struct warder_peer_request *q)
{
	static const __u32 relation[WARDER_PEER__MAX] = {
		[WARDER_PEER_ANY] = WARDER_RELATION_SAME,
		[WARDER_PEER_SAME] = WARDER_RELATION_SAME,
		[WARDER_PEER_CONTAINER] = WARDER_RELATION_CONTAINER,
		[WARDER_PEER_HOST] = WARDER_RELATION_HOST,
		[WARDER_PEER_POLICY] = WARDER_RELATION_OTHER,
		[WARDER_PEER_NAME] = WARDER_RELATION_OTHER,
	};

	memset(q, 0, sizeof(*q));
	q->op = op;
	q->class_ = class_;
	if (r->peer >= WARDER_PEER__MAX)
		return -EINVAL;
	q->relation = relation[r->peer];
	if (q->relation == WARDER_RELATION_OTHER) {
		size_t len = r->peer_name ? strlen(r->peer_name) : 0;

		if (!len || len >= WARDER_NAME_SIZE)
			return -EINVAL;
		memcpy(r->peer == WARDER_PEER_POLICY ? q->policy[0] : q->name, r->peer_name, len);
		len = r->peer == WARDER_PEER_NAME && r->peer_policy ? strlen(r->peer_policy) : 0;
		if (len >= WARDER_NAME_SIZE)
			return -EINVAL;
		memcpy(q->policy[0], r->peer_policy ? r->peer_policy : "", len);
	}
	return 0;
}

static int decide_peer(const struct warder_image *img, __u32 pr, const struct policy_request *r,
		       __u64 op, struct warder_verdict *v)
{
	struct warder_peer_request q;
	int err = peer_fill(r, r->class_, op, &q);

	if (!err)
		warder_decide_peer(img, pr, &q, v);
	return err;
}

/* Connecting and sending to a unix socket. Whose it is the name does not tell: the host's unless
 * the request says so, to which least is open. */
static int decide_unix_peer(const struct warder_image *img, __u32 pr,
			    const struct policy_request *r, __u32 op,
			    const struct warder_text *text, __u32 len, struct warder_verdict *v)
{
	struct warder_peer_request q;
	__u32 start = !text ? WARDER_START__MAX :
		      r->abstract ? WARDER_START_ABSTRACT :
				    WARDER_START_UNIX;
	int err = peer_fill(r, WARDER_CLASS_IPC, WARDER_IPC_UNIX, &q);

	if (err)
		return err;
	if (r->peer == WARDER_PEER_ANY)
		q.relation = WARDER_RELATION_HOST;
	warder_decide_unix_peer(img, pr, &q, text, WARDER_PAIR(0, len), start, &r->address, op, v);
	return 0;
}

static int decide_network(const struct warder_image *img, __u32 pr, const struct policy_request *r,
			  __u32 op, const struct warder_text *text, __u32 len,
			  struct warder_verdict *v)
{
	if (!r->address.families)
		return -EINVAL;
	if (r->address.families != WARDER_FAM_UNIX || op == WARDER_NET_CREATE)
		warder_decide_network(img, pr, &r->address, op, v);
	else if (!r->unreachable && (op & (WARDER_NET_CONNECT | WARDER_NET_SEND)))
		return decide_unix_peer(img, pr, r, op, text, len, v);
	else if (r->unreachable)
		warder_decide_net_unreachable(img, pr, WARDER_FAM_UNIX, op, v);
	else if (text)
		warder_decide_unix(img, pr, text, 0, len,
				   r->abstract ? WARDER_START_ABSTRACT : WARDER_START_UNIX,
				   &r->address, op, v);
	else
		warder_decide_network(img, pr, &r->address, op, v);
	return 0;
}

/* One access of a class whose requests are for one at a time. */
static int decide_one(const struct warder_image *img, __u32 pr, const struct policy_request *r,
		      __u32 bit, const struct warder_text *text, __u32 len,
		      struct warder_verdict *v)
{
	switch (r->class_) {
	case WARDER_CLASS_PTRACE:
	case WARDER_CLASS_IPC:
		return decide_peer(img, pr, r, bit, v);
	case WARDER_CLASS_NETWORK:
		return decide_network(img, pr, r, bit, text, len, v);
	case WARDER_CLASS_DEVICE:
		/* A node that is to be made is none of the runtime's. */
		warder_decide_device(img, pr, bit, r->device_type, r->device_major,
				     r->device_minor,
				     bit == WARDER_DEV_OPEN && r->path &&
					     !strncmp(r->path, "/dev/", 5),
				     v);
		return r->device_type ? 0 : -EINVAL;
	default:
		return -EINVAL;
	}
}

static int decide_each(const struct warder_image *img, __u32 pr, const struct policy_request *r,
		       const struct warder_text *text, __u32 len, struct warder_verdict *v)
{
	int err = r->access ? 0 : -EINVAL;
	struct warder_verdict one;

	warder_verdict_allow(v);
	for (unsigned i = 0; i < 32 && !err && v->action != WARDER_DENY; i++) {
		if (!(r->access >> i & 1))
			continue;
		err = decide_one(img, pr, r, 1u << i, text, len, &one);
		if (one.action != WARDER_ALLOW)
			one.access = 1u << i;
		/* Of a stack one policy may refuse what another only reports. */
		if (one.action == WARDER_DENY || v->action == WARDER_ALLOW)
			*v = one;
	}
	return err;
}

int policy_decide(const struct warder_image *img, const struct policy_request *r,
		  struct warder_verdict *ret_verdict)
{
	static const __u32 bits[WARDER_CLASS__MAX] = {
		[WARDER_CLASS_CAPABILITY] = WARDER_BITS_CAPABILITY,
		[WARDER_CLASS_MEMORY] = WARDER_BITS_MEMORY,
		[WARDER_CLASS_NAMESPACE] = WARDER_BITS_NAMESPACE,
		[WARDER_CLASS_KERNEL] = WARDER_BITS_KERNEL,
	};
	cleanup_free struct warder_text *text = NULL;
	__u32 len = 0, pr = warder_profile_at(img, r->profile);
	int err = r->path ? text_new(r->path, &text, &len) : 0;

	if (err)
		return err;
	memset(ret_verdict, 0, sizeof(*ret_verdict));
	switch (r->class_) {
	case WARDER_CLASS_FILE:
	case WARDER_CLASS_EXEC:
		return decide_file(img, pr, r, text, len, ret_verdict);
	case WARDER_CLASS_CAPABILITY:
	case WARDER_CLASS_MEMORY:
	case WARDER_CLASS_NAMESPACE:
	case WARDER_CLASS_KERNEL:
		if (r->access > 63)
			return -EINVAL;
		warder_decide_switch(img, pr, bits[r->class_], r->access, ret_verdict);
		return 0;
	case WARDER_CLASS_MOUNT:
		return decide_mount(img, pr, r, text, len, ret_verdict);
	case WARDER_CLASS_SIGNAL:
		return r->access > 64 ? -EINVAL :
					decide_peer(img, pr, r,
						    r->access ? 1ull << (r->access - 1) : 0,
						    ret_verdict);
	default:
		return decide_each(img, pr, r, text, len, ret_verdict);
	}
}

uint64_t image_state_set(const struct warder_image *img, uint32_t state)
{
	return image_u64(img, warder_accept_at(img, state) + (__u32)offsetof(struct warder_accept, set));
}

int image_find_profile(const struct warder_image *img, const char *name)
{
	if (!name || !*name)
		return 0;
	for (__u32 i = 1; i < img->h.profile.count; i++) {
		const struct warder_profile *p = image_profile(img, i);

		if (p && !strcmp(image_string(img, p->name), name))
			return (int)i;
	}
	return -1;
}

const char *action_name(__u32 action)
{
	static const char *const names[] = { "allow", "deny", "audit" };

	return action < ARRAY_SIZE(names) ? names[action] : "?";
}

const char *why_name(__u32 why)
{
	static const char *const names[] = { "default", "rule", "baseline", "unreachable",
					     "fault" };

	return why < ARRAY_SIZE(names) ? names[why] : "?";
}
