// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The first step of an executor for calls of the new mount API, which a seccomp filter asks about
 * before the kernel has seen them: may the caller do it by itself, is the call about a descriptor
 * that stands for a context or a mount of the supervisor's making, and its arguments, copied once.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/kcmp.h>
#include <linux/nsfs.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "cleanup.h"
#include "fault.h"
#include "executor_internal.h"
#include "warder_decide.h"

#define USERNS_DEPTH 33
#define CONFIG_STRING 256 /* as fsconfig(2) reads keys and values, with the NUL */
#define CONFIG_SET_STRING 1u
#define ATTR_SIZE_MIN 32 /* MOUNT_ATTR_SIZE_VER0 */
#define ATTR_SIZE_MAX 4096

/* ---------------------------------------------------------------- who may by itself */

static int userns_parent(int fd)
{
	return ioctl(fd, NS_GET_PARENT);
}

/*
 * CAP_SYS_ADMIN in the user namespace that the caller's mount namespace belongs to: may_mount(),
 * followed as cap_capable_helper() does. From that namespace upwards: where the caller's own is met
 * its effective set counts, and it has everything in a namespace that it made from its own. What
 * cannot be followed counts as no: then the kernel is asked.
 */
void caller_capable(const struct operation *op, const char *status, struct executor_reply *reply)
{
	const char *caps = strstr(status, "\nCapEff:"), *uids = strstr(status, "\nUid:");
	__u64 effective = caps ? strtoull(caps + 8, NULL, 16) : 0;
	cleanup_close int at = ioctl(op->mntns, NS_GET_USERNS);
	cleanup_free char *comm = proc_read(op->tid, "comm");
	unsigned ruid = 0, euid = (unsigned)-1;
	uid_t owner;

	if (comm)
		snprintf(reply->comm, sizeof(reply->comm), "%.*s", (int)strcspn(comm, "\n"), comm);
	if (uids)
		sscanf(uids, "\nUid: %u %u", &ruid, &euid);
	reply->mnt_userns = at < 0 ? 0 : fd_ino(at);
	for (int i = 0; at >= 0 && i < USERNS_DEPTH; i++) {
		int up;

		if (fd_ino(at) == reply->userns) {
			reply->capable = effective >> CAP_SYS_ADMIN & 1;
			return;
		}
		up = userns_parent(at);
		if (up >= 0 && fd_ino(up) == reply->userns && !ioctl(at, NS_GET_OWNER_UID, &owner) &&
		    owner == euid) {
			reply->capable = 1;
			close(up);
			return;
		}
		close(at);
		at = up;
	}
}

/* ---------------------------------------------------------------------------- names */

void name_tell(const struct operation *op, const struct executor_home *home, int fd, int again,
	       char *to, size_t size)
{
	struct open_how how = { .flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
				.resolve = RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS };
	cleanup_close int seen = -1;
	struct stat a, b;
	char link[32];
	ssize_t got;

	to[0] = '\0';
	if (op->names < 0 || fd < 0)
		return;
	snprintf(link, sizeof(link), "fd/%d", fd);
	/* The kernel tells paths from the reader's root. */
	if (fchdir(op->names) || chroot("."))
		got = -1;
	else
		got = readlinkat(home->self, link, to, size - 1);
	if (got > 0 && again) {
		to[got] = '\0';
		seen = (int)syscall(SYS_openat2, AT_FDCWD, to, &how, sizeof(how));
	}
	come_home(home);
	to[got > 0 ? got : 0] = '\0';
	/* Outside of that root a path looks like any other: it must lead back. */
	if (again && (seen < 0 || fstat(seen, &a) || fstat(fd, &b) || a.st_dev != b.st_dev ||
		      a.st_ino != b.st_ino))
		to[0] = '\0';
}

/* ------------------------------------------------------------------ which descriptor */

/* Is the caller's descriptor one that it was given for a context or a mount? The same open file,
 * whatever its number and however often it was duplicated; another's is another file. */
static int held_find(const struct executor_request *req, int fd)
{
	for (unsigned i = 0; fd >= 0 && i < req->helds && i < EXECUTOR_HELD_MAX; i++)
		if (syscall(SYS_kcmp, req->holder, req->tid, KCMP_FILE, req->held[i], fd) == 0)
			return (int)i;
	return -1;
}

/* -EFAULT and -EINVAL as strndup_user() gives them. */
static int copy_config(pid_t tid, __u64 address, char *to)
{
	int err = copy_string(tid, address, to, CONFIG_STRING, 0);

	return err == -ENAMETOOLONG ? -EINVAL : err;
}

static void answer(struct executor_reply *reply, int err, const char *what)
{
	fail(reply, err, "%s", what);
	reply->kernel = 1;
}

/* ------------------------------------------------------------------------ the calls */

static void resolve_fsopen(const struct executor_request *req, struct executor_reply *reply)
{
	int err = req->arg[0] ? copy_string(req->tid, req->arg[0], reply->fstype,
					    sizeof(reply->fstype), 0) :
				-EFAULT;

	if (err)
		fail(reply, err, "the type cannot be read");
}

static void resolve_fsconfig(const struct executor_request *req, struct executor_reply *reply)
{
	int err = 0;

	reply->held = held_find(req, (__s32)req->arg[0]);
	reply->has_key = req->arg[2] != 0;
	reply->has_value = req->arg[3] != 0;
	err = copy_config(req->tid, req->arg[2], reply->source);
	/* Of other kinds the value is no text. */
	if (!err && (__u32)req->arg[1] == CONFIG_SET_STRING)
		err = copy_config(req->tid, req->arg[3], reply->data);
	if (err)
		answer(reply, err, "its arguments cannot be read");
}

/* The struct as far as this version knows it; what follows must be zero. */
static int copy_attr(pid_t tid, __u64 address, __u64 size, struct mount_attr *ret)
{
	char text[ATTR_SIZE_MAX];
	size_t known = sizeof(*ret);

	memset(ret, 0, sizeof(*ret));
	if (size > sizeof(text))
		return -E2BIG;
	if (size < ATTR_SIZE_MIN)
		return -EINVAL;
	if (!address || copy_bytes(tid, address, text, (size_t)size))
		return -EFAULT;
	for (size_t i = known; i < size; i++)
		if (text[i])
			return -E2BIG;
	memcpy(ret, text, size < known ? (size_t)size : known);
	return 0;
}

static void resolve_setattr(const struct executor_request *req, struct executor_reply *reply)
{
	struct mount_attr attr;
	int err = copy_string(req->tid, req->arg[1], reply->target, sizeof(reply->target), 0);

	if (err) {
		fail(reply, err, "its arguments cannot be read");
		return;
	}
	if (!reply->target[0] && ((__u32)req->arg[2] & AT_EMPTY_PATH))
		reply->held = held_find(req, (__s32)req->arg[0]);
	if (reply->held < 0)
		return;
	err = copy_attr(req->tid, req->arg[3], req->arg[4], &attr);
	if (err) {
		answer(reply, err, "its attributes cannot be read");
		return;
	}
	reply->attr_set = attr.attr_set;
	reply->attr_clear = attr.attr_clr;
	reply->propagation = attr.propagation;
}

/* One end of move_mount(2). */
static int walk_end(const struct caller *c, int fd, const char *path, int empty, int follow,
		    const char *what, struct executor_reply *reply)
{
	cleanup_close int base = -1;
	int got;

	if (!*path && empty) {
		got = own_fd(c, 1, fd);
		return got < 0 ? fail(reply, -EBADF, "%s is no descriptor of the caller's", what) : got;
	}
	if (fd != AT_FDCWD && *path != '/') {
		base = own_fd(c, 1, fd);
		if (base < 0)
			return fail(reply, -EBADF, "the folder is no descriptor of the caller's");
	}
	return walk(c, base, path, follow ? 0 : O_NOFOLLOW, what, reply);
}

static void resolve_move_mount(struct operation *op, const struct caller *c,
			       const struct executor_request *req, struct executor_reply *reply)
{
	__u32 flags = (__u32)req->arg[4];
	struct mount_line line;
	int err = !req->arg[1] && !(flags & MOVE_MOUNT_F_EMPTY_PATH) ? -EFAULT : 0;

	if (!err)
		err = copy_string(req->tid, req->arg[1], reply->source, sizeof(reply->source), 0);
	if (!err && !reply->source[0] && (flags & MOVE_MOUNT_F_EMPTY_PATH))
		reply->held = held_find(req, (__s32)req->arg[0]);
	if (!err && !req->arg[3] && !(flags & MOVE_MOUNT_T_EMPTY_PATH))
		err = -EFAULT;
	if (!err)
		err = copy_string(req->tid, req->arg[3], reply->target, sizeof(reply->target), 0);
	if (err) {
		fail(reply, err, "its arguments cannot be read");
		return;
	}
	op->target = walk_end(c, (__s32)req->arg[2], reply->target,
			      !!(flags & MOVE_MOUNT_T_EMPTY_PATH),
			      !!(flags & MOVE_MOUNT_T_SYMLINKS), "the target", reply);
	if (op->target < 0)
		return;
	reply->fd = op->target;
	target_is_shared(op, c->home, op->target, reply);
	if (reply->held >= 0) {
		new_facts(op, c, req, req->fstype, req->text, req->image, reply);
		return;
	}
	/* A mount that is attached somewhere: as `mount --move`. */
	op->arg[3] = MS_MOVE;
	op->second = walk_end(c, (__s32)req->arg[0], reply->source,
			      !!(flags & MOVE_MOUNT_F_EMPTY_PATH),
			      !!(flags & MOVE_MOUNT_F_SYMLINKS), "the source", reply);
	if (op->second < 0)
		return;
	reply->fd2 = op->second;
	mount_facts(op, c->home, op->second, &line, reply);
	if (!reply->error && reply->is_mount && !reply->at_root)
		mount_place(op, c->home, &line, reply);
}

static void resolve_path(const struct executor_request *req, char *to, size_t size,
			 struct executor_reply *reply)
{
	int err = req->arg[1] ? copy_string(req->tid, req->arg[1], to, size, 0) : -EFAULT;

	if (err)
		fail(reply, err, "its arguments cannot be read");
}

static void resolve_open_tree(struct operation *op, const struct caller *c,
			      const struct executor_request *req, struct executor_reply *reply)
{
	__u32 flags = (__u32)req->arg[2];
	struct executor_reply unused;

	resolve_path(req, reply->source, sizeof(reply->source), reply);
	if (reply->error)
		return;
	/* A rule may offer a host path of that name: there need be nothing here. */
	op->second = walk_end(c, (__s32)req->arg[0], reply->source, !!(flags & AT_EMPTY_PATH),
			      !(flags & AT_SYMLINK_NOFOLLOW), "the source", &unused);
	if (op->second < 0) {
		op->second = -1;
		return;
	}
	bind_facts(op, c->home, reply);
	mounts_count(op, c->home, op->second, reply);
}

void resolve_notified(struct operation *op, const struct caller *c,
		      const struct executor_request *req, struct executor_reply *reply)
{
	switch (req->call) {
	case WARDER_CALL_fsopen:
		resolve_fsopen(req, reply);
		return;
	case WARDER_CALL_fsconfig:
		resolve_fsconfig(req, reply);
		return;
	case WARDER_CALL_fsmount:
		reply->held = held_find(req, (__s32)req->arg[0]);
		return;
	case WARDER_CALL_mount_setattr:
		resolve_setattr(req, reply);
		return;
	case WARDER_CALL_move_mount:
		resolve_move_mount(op, c, req, reply);
		return;
	case WARDER_CALL_open_tree:
		resolve_open_tree(op, c, req, reply);
		return;
	case WARDER_CALL_fspick:
		resolve_path(req, reply->target, sizeof(reply->target), reply);
		return;
	}
}

void give_descriptor(const struct executor_request *req, int listener, int fd,
		     struct executor_reply *reply)
{
	struct seccomp_notif_addfd add = {
		.id = req->notify,
		.flags = SECCOMP_ADDFD_FLAG_SEND,
		.srcfd = (__u32)fd,
		.newfd_flags = req->cloexec ? O_CLOEXEC : 0,
	};

	FAULT("executor-giving");
	if (listener < 0 || fd < 0)
		fail(reply, -EINVAL, "a step out of order");
	else if (ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add) < 0)
		fail(reply, -errno, "the caller cannot be given a descriptor");
	FAULT("executor-given");
}
