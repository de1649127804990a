// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Overlays of what a container has. The kernel works on the layers with the rights of whoever mounts it:
 * so that is a process with the caller's ids and capabilities, and CAP_SYS_ADMIN besides, in the user
 * namespace that the container owns, if it owns one.
 */
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "executor_internal.h"

/* ------------------------------------------------------------------------- looked at */

void overlay_find(struct operation *op, const struct caller *c, const char *options,
		  struct executor_reply *reply)
{
	char data[EXECUTOR_TEXT_SIZE];
	struct executor_layers layers;
	struct mount_line line;
	__u32 below = 0;
	int err;

	snprintf(data, sizeof(data), "%s", options);
	err = executor_layers_parse(data, &layers);
	if (err) {
		fail(reply, err, "its layers are not said as they must be: lowerdir of at most %d folders, "
		     "upperdir and workdir both or neither, no backslash", EXECUTOR_LOWERS_MAX);
		return;
	}
	op->lowers = layers.lowers;
	for (unsigned i = 0; i < layers.count; i++) {
		int fd = walk(c, -1, layers.path[i], O_DIRECTORY, "a layer", reply);

		if (fd < 0)
			return;
		op->layer[op->layers++] = fd;
		if (mount_line_of(op, c->home, fd, &line)) {
			fail(reply, -EINVAL, "a layer lies in another mount namespace");
			return;
		}
		/* Whoever mounts it asks its program, in the container's user namespace also one that may hold
		 * only that up. Before anything else is asked of it. */
		if (!strncmp(line.type, "fuse", 4)) {
			fail(reply, -EINVAL, "a layer is of FUSE: its program could hold up what mounts it");
			return;
		}
		reply->covers_kernel |= (__u32)is_kernel_fs(fd);
		mounts_count(op, c->home, fd, reply);
		below |= reply->below; /* of one it may be all bits: it cannot be told */
		reply->layer[i] = fd;
	}
	reply->layers = op->layers;
	reply->below = below;
}

/* ------------------------------------------------------------------------------- made */

/* How far it came: the exit status of the child, from 1. */
static const char *const steps[] = {
	"",
	"the container's namespaces cannot be entered",
	"the caller's ids and capabilities cannot be taken",
	"the kernel does not know type overlay",
	"an option of the overlay is refused",
	"the overlay cannot be made of these layers",
	"the overlay cannot be mounted",
};

/* With the caller's rights and the one that mounting takes. Ends with the executor, which can be killed
 * while a layer of FUSE holds us up; a change of ids forgets that. */
static int take_rights(const struct operation *op, int owned, pid_t parent)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2] = { 0 };
	uid_t uid = owned ? op->inside_uid : op->fsuid;
	gid_t gid = owned ? op->inside_gid : op->fsgid;
	__u64 set = op->caps | 1ull << CAP_SYS_ADMIN;

	/* To setresuid(2) that is "as before": the host's root. */
	if (uid == (uid_t)-1 || gid == (gid_t)-1)
		return -EOVERFLOW;
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) || setresgid(gid, gid, gid) ||
	    setresuid(uid, uid, uid))
		return -errno;
	for (int i = 0; i < 2; i++)
		caps[i].permitted = caps[i].effective = (__u32)(set >> (32 * i));
	if (syscall(SYS_capset, &head, caps) || prctl(PR_SET_PDEATHSIG, SIGKILL))
		return -errno;
	return getppid() == parent ? 0 : -ESRCH;
}

/* Layers by the child's own descriptors: its current directory is its folder in the host's /proc, because
 * whatever the container shows at /proc is not to be trusted. */
static int give_layers(int fs, const struct operation *op)
{
	char list[EXECUTOR_LOWERS_MAX * 16] = "", one[16];
	int err;

	for (unsigned i = 0; i < op->lowers; i++)
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%sfd/%d", i ? ":" : "",
			 op->layer[i]);
	err = fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir", list, 0);
	for (unsigned i = op->lowers; !err && i < op->layers; i++) {
		snprintf(one, sizeof(one), "fd/%d", op->layer[i]);
		err = fsconfig(fs, FSCONFIG_SET_STRING, i == op->lowers ? "upperdir" : "workdir", one, 0);
	}
	return err;
}

/* What the container may write in its layers leads nowhere: no folder from elsewhere, no file's data. */
static int set_fixed(int fs, const struct operation *op, int owned)
{
	static const char *const fixed[][2] = { { "redirect_dir", "nofollow" },
						{ "metacopy", "off" },
						{ "index", "off" } };

	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		if (fsconfig(fs, FSCONFIG_SET_STRING, fixed[i][0], fixed[i][1], 0))
			return -1;
	/* trusted attributes are those of the host's user namespace. */
	return owned && op->layers > op->lowers ? fsconfig(fs, FSCONFIG_SET_FLAG, "userxattr", NULL, 0) : 0;
}

/* Its descriptors are the executor's too: each is closed again. The mount, or -errno and the step. */
static int overlay_build(const struct operation *op, const struct executor_request *req, int userns,
			 pid_t parent, int *ret_step)
{
	cleanup_close int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct executor_reply unused = { 0 };
	cleanup_close int fs = -1;
	int fd, err;

	*ret_step = 1;
	/* An overlay keeps the credentials that it was made with: none of the supervisor's keys. */
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0) < 0)
		return -errno;
	if (self < 0 || setgroups(0, NULL) || setns(op->mntns, CLONE_NEWNS) ||
	    (userns >= 0 && setns(userns, CLONE_NEWUSER)) || fchdir(self))
		return -errno;
	*ret_step = 2;
	err = take_rights(op, userns >= 0, parent);
	if (err)
		return err;
	*ret_step = 3;
	fs = fsopen("overlay", FSOPEN_CLOEXEC);
	if (fs < 0)
		return -errno;
	*ret_step = 4;
	if (fsconfig(fs, FSCONFIG_SET_STRING, "source", req->name[0] ? req->name : "overlay", 0) ||
	    set_options(fs, req, &unused) || set_fixed(fs, op, userns >= 0))
		return errno ? -errno : -EINVAL;
	/* Since 6.5 they are looked up here, before only when it is made. */
	*ret_step = 5;
	if (give_layers(fs, op) || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return -errno;
	*ret_step = 6;
	fd = fsmount(fs, FSMOUNT_CLOEXEC, req->attr);
	return fd < 0 ? -errno : fd;
}

int overlay_make(struct operation *op, const struct executor_home *home,
		 const struct executor_request *req, int userns, struct executor_reply *reply)
{
	int step = 0;
	pid_t pid, self = getpid();

	*home->shared_word = -EPERM;
	pid = child_sharing_fds();
	if (pid < 0)
		return fail(reply, -errno, "no process for making the overlay");
	if (pid == 0) {
		*home->shared_word = overlay_build(op, req, userns, self, &step);
		_exit(*home->shared_word < 0 ? step : 0);
	}
	step = child_wait(pid);
	/* What it has left in our table of descriptors is not known. */
	if (step < 0)
		_exit(1);
	if (!step && *home->shared_word >= 0) {
		op->mount = *home->shared_word;
		return 0;
	}
	/* What the kernel says of these layers is what the caller would have been told. */
	reply->kernel = step == 5;
	return fail(reply, *home->shared_word < 0 ? *home->shared_word : -EPERM, "%s",
		    (size_t)step < ARRAY_SIZE(steps) ? steps[step] : "?");
}
