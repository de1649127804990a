// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * keyctl(2) calls that give a task another session keyring, where a policy says `join: sticky`: they
 * are answered as if they had worked, and the task keeps S. What is not answered goes to the kernel,
 * where the hooks refuse it under such a policy: nothing changes then either, and it is told so.
 */
#include <linux/audit.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "override_job.h"
#include "warder_decide.h"

#define IA32_KEYCTL 288

int notify_keys(struct override *o, __u64 cid, __u32 slot, int fd, const struct seccomp_notif *req)
{
	struct seccomp_notif_resp resp = { .id = req->id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };
	const __u32 op = (__u32)req->data.args[0];
	struct warder_ctr ctr;
	__u64 joined = cid;

	if (req->data.nr != (req->data.arch == AUDIT_ARCH_I386 ? IA32_KEYCTL : SYS_keyctl))
		return 0;
	/* Of a task that did join one, under an earlier policy, it would not be true: EPERM for all. */
	if (o->loader && !loader_get_container(o->loader, slot, &ctr) && ctr.cid == cid &&
	    ctr.keys_join == WARDER_JOIN_STICKY && ctr.session_ring &&
	    !loader_get_joined(o->loader, slot, &joined) && joined != cid &&
	    (op == KEYCTL_JOIN_SESSION_KEYRING || op == KEYCTL_SESSION_TO_PARENT)) {
		resp.flags = 0;
		resp.val = op == KEYCTL_JOIN_SESSION_KEYRING ? ctr.session_ring : 0;
	}
	ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &resp);
	return 1;
}
