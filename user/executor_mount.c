// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * An executor's mounts: make one in the host's user namespace, attach it descriptor to descriptor,
 * take it off again.
 *
 * Runs in single-threaded processes only: it changes root, mount namespace and fsuid, and comes
 * home after each step. A step that cannot come home ends the process.
 */
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "executor_internal.h"
#include "fault.h"

void operation_init(struct operation *op)
{
	memset(op, 0, sizeof(*op));
	op->mntns = op->pidns = op->userns = op->target = op->mount = -1;
	op->parent = op->second = op->uts = op->names = op->tree = op->life = op->netns = -1;
	op->root_uid = op->root_gid = (__u32)-1;
}

void operation_done(struct operation *op)
{
	close_fd(&op->mntns);
	close_fd(&op->pidns);
	close_fd(&op->userns);
	close_fd(&op->target);
	close_fd(&op->mount);
	close_fd(&op->parent);
	close_fd(&op->second);
	close_fd(&op->uts);
	close_fd(&op->names);
	close_fd(&op->tree);
	close_fd(&op->life);
	close_fd(&op->netns);
	for (unsigned i = 0; i < op->layers; i++)
		close_fd(&op->layer[i]);
	operation_init(op);
}

/* ------------------------------------------------------------------ offered host paths */

int bind_source_open(const char *path, int *ret_fd, char *why, size_t size)
{
	cleanup_close int at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const char *next = path;
	struct stat st;

	if (at < 0)
		return -errno;
	if (*path != '/') {
		snprintf(why, size, "it is not an absolute path");
		return -EINVAL;
	}
	for (;;) {
		char part[256];
		size_t len;
		int below, err;

		if (fstat(at, &st))
			return -errno;
		if (S_ISLNK(st.st_mode)) {
			snprintf(why, size, "%.*s is a symbolic link", (int)(next - path), path);
			return -ELOOP;
		}
		if (st.st_uid != 0 || (st.st_mode & 022)) {
			snprintf(why, size, "%.*s can be written by others than root",
				 next == path ? 1 : (int)(next - path), path);
			return -EACCES;
		}
		while (*next == '/')
			next++;
		if (!*next)
			break;
		len = strcspn(next, "/");
		if (len >= sizeof(part)) {
			snprintf(why, size, "it has a component beyond 255 bytes");
			return -ENAMETOOLONG;
		}
		memcpy(part, next, len);
		part[len] = '\0';
		if (!strcmp(part, ".") || !strcmp(part, "..")) {
			snprintf(why, size, "it has a component %s", part);
			return -EINVAL;
		}
		next += len;
		below = openat(at, part, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (below < 0) {
			err = -errno;
			snprintf(why, size, "%.*s: %s", (int)(next - path), path, strerror(-err));
			return err;
		}
		close(at);
		at = below;
	}
	*ret_fd = take_fd(&at);
	return 0;
}

/* ------------------------------------------------------------------------- make */

int set_options(int fs, const struct executor_request *req, struct executor_reply *reply)
{
	for (const char *o = req->text; *o; o += strlen(o) + 1) {
		char key[64];
		size_t len = strcspn(o, "=");

		if (len >= sizeof(key))
			return fail(reply, -EINVAL, "an option's name is too long");
		memcpy(key, o, len);
		key[len] = '\0';
		if (fsconfig(fs, o[len] ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, key,
			     o[len] ? o + len + 1 : NULL, 0))
			return fail(reply, -errno, "the file system refuses option %s", key);
	}
	return 0;
}

/* A new superblock in the host's user namespace, mounted nowhere. With `own`, the root belongs
 * to the container's root. */
static int make_superblock(const struct executor_request *req, const struct operation *own,
			   struct executor_reply *reply)
{
	cleanup_close int fs = fsopen(req->fstype, FSOPEN_CLOEXEC);
	char id[16];
	int fd, err;

	if (fs < 0)
		return fail(reply, -errno, "the kernel does not know type %.31s", req->fstype);
	if (req->name[0] && fsconfig(fs, FSCONFIG_SET_STRING, "source", req->name, 0))
		return fail(reply, -errno, "the source is refused");
	if (own) {
		snprintf(id, sizeof(id), "%u", own->root_uid);
		if (fsconfig(fs, FSCONFIG_SET_STRING, "uid", id, 0))
			return fail(reply, -errno, "option uid is refused");
		snprintf(id, sizeof(id), "%u", own->root_gid);
		if (fsconfig(fs, FSCONFIG_SET_STRING, "gid", id, 0))
			return fail(reply, -errno, "option gid is refused");
	}
	err = set_options(fs, req, reply);
	if (err)
		return err;
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return fail(reply, -errno, "the file system cannot be made");
	fd = fsmount(fs, FSMOUNT_CLOEXEC, req->attr);
	if (fd < 0)
		return fail(reply, -errno, "the file system cannot be mounted");
	return fd;
}

static int idmap(int mount_fd, int userns)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (__u64)userns };

	return mount_setattr(mount_fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) ? -errno : 0;
}

static int option_given(const char *text, const char *key)
{
	size_t len = strlen(key);

	for (const char *o = text; *o; o += strlen(o) + 1)
		if (!strncmp(o, key, len) && (o[len] == '=' || !o[len]))
			return 1;
	return 0;
}

static int make_new(struct operation *op, const struct executor_request *req, int userns,
		    struct executor_reply *reply)
{
	op->mount = make_superblock(req, NULL, reply);
	if (op->mount < 0)
		return op->mount;
	if (userns < 0 || !idmap(op->mount, userns))
		return 0;
	/* Before 6.3 tmpfs takes no idmapping. Ids are stored as the host's then, which fits
	 * as long as the root belongs to the container's root. Given ids would be the host's. */
	close_fd(&op->mount);
	if (option_given(req->text, "uid") || option_given(req->text, "gid") ||
	    op->root_uid == (__u32)-1 || op->root_gid == (__u32)-1)
		return fail(reply, -EINVAL, "this kernel cannot map ids of type %.31s", req->fstype);
	op->mount = make_superblock(req, op, reply);
	return op->mount < 0 ? op->mount : 0;
}

/* The kernel talks to the server from the network namespace that fsopen(2) is called in. */
static int make_of_server(struct operation *op, const struct executor_home *home,
			  const struct executor_request *req, int userns, struct executor_reply *reply)
{
	cleanup_close int back = openat(home->self, "ns/net", O_RDONLY | O_CLOEXEC);

	if (userns >= 0)
		return fail(reply, -EINVAL,
			    "ids of a server cannot be mapped to the container's user namespace");
	if (back < 0 || op->netns < 0 || setns(op->netns, CLONE_NEWNET))
		return fail(reply, -EPERM, "the caller's network namespace cannot be entered");
	op->mount = make_superblock(req, NULL, reply);
	if (setns(back, CLONE_NEWNET))
		_exit(1);
	return op->mount < 0 ? op->mount : 0;
}

static int make_bind(struct operation *op, const struct executor_request *req, int userns,
		     struct executor_reply *reply)
{
	struct mount_attr attr = { .attr_set = req->attr, .propagation = MS_PRIVATE };
	cleanup_close int source = -1;
	char why[128] = "";
	int err = bind_source_open(req->text, &source, why, sizeof(why));

	if (err)
		return fail(reply, err, "%s", why);
	op->mount = open_tree(source, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (op->mount < 0)
		return fail(reply, -errno, "the offered path cannot be cloned");
	/* Private: what is mounted below it later, on either side, stays there. */
	if (mount_setattr(op->mount, "", AT_EMPTY_PATH, &attr, sizeof(attr)))
		return fail(reply, -errno, "the forced flags cannot be set");
	/* Where the file system takes no idmapping the container sees nobody's files: less. */
	if (userns >= 0)
		idmap(op->mount, userns);
	return 0;
}

/* Of what is in the container: cloned now, or when open_tree(2) was called. */
static int make_clone(struct operation *op, const struct executor_home *home,
		      const struct executor_request *req, struct executor_reply *reply)
{
	int err;

	if (op->tree >= 0) {
		op->mount = op->tree;
		op->tree = -1;
	} else {
		err = bind_clone(op, home, (int)req->recursive, reply);
		if (err)
			return err;
	}
	return bind_finish(op, req->attr, 0, reply);
}

/*
 * Makes flags stick: a copy of a mount namespace into another user namespace locks read-only,
 * nosuid, nodev and noexec, and a clone of that copy keeps the locks; then the container's own
 * root cannot remount them away. Done by a child that shares our descriptors, because nobody
 * comes back from a user namespace. Returns the new mount's number through the shared word.
 * `unseen`: a folder that only the container may look into, a FUSE program's.
 */
_Noreturn static void sticky_child(const struct operation *op, const struct executor_home *home,
				   int unseen)
{
	struct stat st = { .st_mode = S_IFDIR };
	int userns = op->userns, fd;

	if ((!unseen && fstat(op->mount, &st)) || unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    move_mount(op->mount, "", AT_FDCWD, S_ISDIR(st.st_mode) ? "/dev" : "/dev/null",
		       MOVE_MOUNT_F_EMPTY_PATH))
		_exit(1);
	if (S_ISDIR(st.st_mode) && !unseen) {
		/* The current directory follows into the copy of the namespace. */
		if (fchdir(op->mount) || setns(userns, CLONE_NEWUSER) || unshare(CLONE_NEWNS))
			_exit(2);
		fd = open_tree(AT_FDCWD, ".", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	} else {
		if (setns(userns, CLONE_NEWUSER) || unshare(CLONE_NEWNS))
			_exit(2);
		fd = open_tree(AT_FDCWD, unseen ? "/dev" : "/dev/null",
			       OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	}
	if (fd < 0)
		_exit(3);
	*home->shared_word = fd;
	_exit(0);
}

static int make_sticky(struct operation *op, const struct executor_home *home,
		       struct executor_reply *reply, int unseen)
{
	int status;
	pid_t pid;

	*home->shared_word = -1;
	pid = child_sharing_fds();
	if (pid < 0)
		return fail(reply, -errno, "no process for locking the mount's flags");
	if (pid == 0)
		sticky_child(op, home, unseen);
	status = child_wait(pid);
	if (status || *home->shared_word < 0)
		return fail(reply, -EPERM, "the mount's flags cannot be locked (step %d)", status);
	close(op->mount);
	op->mount = *home->shared_word;
	return 0;
}

static int make_any_new(struct operation *op, const struct executor_home *home,
			const struct executor_request *req, int userns, struct executor_reply *reply)
{
	if (req->view)
		return view_make(op, home, req, reply);
	if (req->server)
		return make_of_server(op, home, req, userns, reply);
	if (op->layers)
		return overlay_make(op, home, req, userns, reply);
	if (req->program[0])
		return fuse_make(op, home, req, userns, reply);
	if (req->image[0])
		return image_make(op, home, req, userns, reply);
	return make_new(op, req, userns, reply);
}

static void make(struct operation *op, const struct executor_home *home,
		 const struct executor_request *req, int userns, struct executor_reply *reply)
{
	int err;

	if (op->target < 0 || op->mount >= 0 || (req->owned && userns < 0)) {
		fail(reply, -EINVAL, "a step out of order");
		return;
	}
	if (!req->owned)
		userns = -1;
	err = req->ops == WARDER_MNT_NEW  ? make_any_new(op, home, req, userns, reply) :
	      req->ops != WARDER_MNT_BIND ? fail(reply, -EOPNOTSUPP, "no such operation") :
	      req->text[0]		  ? make_bind(op, req, userns, reply) :
					    make_clone(op, home, req, reply);
	if (err)
		return;
	if (req->owned) {
		/* The locks count for the container's namespace, not for the caller's below it. */
		int callers = op->userns;

		op->userns = userns;
		err = make_sticky(op, home, reply, req->program[0] != '\0');
		op->userns = callers;
		if (err)
			return;
	}
	err = mount_id_of(op->mount, &op->made.id, &op->made.major, &op->made.minor);
	if (err) {
		fail(reply, err, "the mount has no id");
		return;
	}
	reply->mnt_id = op->made.id;
	reply->dev_major = op->made.major;
	reply->dev_minor = op->made.minor;
	reply->fd = op->mount;
}

/* -------------------------------------------------------------- attach, undo, revoke */

static void attach(struct operation *op, const struct executor_home *home,
		   struct executor_reply *reply)
{
	if (op->mount < 0 || op->target < 0) {
		fail(reply, -EINVAL, "a step out of order");
		return;
	}
	if (setns(op->mntns, CLONE_NEWNS))
		fail(reply, -errno, "the caller's mount namespace cannot be entered");
	else if (move_mount(op->mount, "", op->target, "",
			    MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH))
		fail(reply, -errno, "it cannot be mounted there");
	come_home(home);
	/* Whoever holds a mount keeps others from unmounting it: the caller may, once it is told. */
	if (!reply->error) {
		fuse_keep(op);
		close_fd(&op->mount);
	}
}

/* The same where we may not go into it, as into a FUSE program's: by its folder and its name there. */
static int take_off_from_above(const struct mount_which *w, char *point)
{
	char *last = strrchr(point, '/');
	cleanup_close int folder = -1;

	if (!last || !last[1])
		return -EACCES;
	*last++ = '\0';
	folder = folder_open(*point ? point : "/");
	if (folder < 0 || fchdir(folder))
		return -errno;
	if (mount_check(folder, last, w->id))
		return -ENOENT;
	return umount2(last, MNT_DETACH | UMOUNT_NOFOLLOW) ? -errno : 0;
}

/* Takes that mount off, in the namespace and as seen from the root that we are in; `info` is what
 * its mountinfo says. -ENOENT: it is not there. */
static int take_off(FILE *info, const struct mount_which *w)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC,
				.resolve = RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS };
	cleanup_close int fd = -1;
	struct mount_line line;
	struct mount_which found;
	int err;

	if (!info)
		return -ENOENT;
	err = mountinfo_find(info, w->id, &line);
	if (err)
		return err;
	fd = (int)syscall(SYS_openat2, AT_FDCWD, line.point, &how, sizeof(how));
	if (fd < 0)
		return -errno;
	/* What is there by now may be another one. */
	err = mount_id_of(fd, &found.id, &found.major, &found.minor);
	if (err)
		return err;
	if (found.id != w->id || found.major != w->major || found.minor != w->minor)
		return -ENOENT;
	if (!fchdir(fd))
		return umount2(".", MNT_DETACH) ? -errno : 0;
	return errno == EACCES ? take_off_from_above(w, line.point) : -errno;
}

static void undo_mount(struct operation *op, const struct executor_home *home,
		       struct executor_reply *reply)
{
	cleanup_fclose FILE *info = NULL;
	int err = -EINVAL;

	/* Our own mountinfo, while we are there. */
	if (op->made.id && !setns(op->mntns, CLONE_NEWNS)) {
		info = mountinfo_own(home);
		err = take_off(info, &op->made);
	}
	come_home(home);
	if (err)
		fail(reply, err, "it cannot be unmounted");
}

/* A process in mount namespace `ino`: the caller if it is still there, or any. */
static pid_t process_in(pid_t first, __u32 ino)
{
	cleanup_closedir DIR *d = NULL;
	struct dirent *e;

	for (int all = 0; all < 2; all++) {
		if (all && !(d = opendir("/proc")))
			return -1;
		for (;;) {
			cleanup_close int fd = -1;
			pid_t pid = first;

			if (all) {
				e = readdir(d);
				if (!e)
					return -1;
				pid = (pid_t)strtol(e->d_name, NULL, 10);
			}
			if (pid > 0)
				fd = proc_open(pid, "ns/mnt", O_RDONLY);
			if (fd >= 0 && fd_ino(fd) == ino)
				return pid;
			if (!all)
				break;
		}
	}
	return -1;
}

/* -ENOENT: it is not there any more, which is as good. */
static void revoke_mount(const struct executor_home *home, const struct executor_request *req,
		   struct executor_reply *reply)
{
	struct mount_which w = { .id = req->mnt_id, .major = req->dev_major, .minor = req->dev_minor };
	cleanup_close int mntns = -1, root = -1;
	cleanup_fclose FILE *info = NULL;
	pid_t pid = process_in(req->tid, req->mntns);
	int err = -ENOENT;

	if (pid < 0) {
		fail(reply, -ENOENT, "its mount namespace is gone");
		return;
	}
	mntns = proc_open(pid, "ns/mnt", O_RDONLY);
	root = proc_open(pid, "root", O_PATH | O_DIRECTORY);
	info = file_of(proc_open(pid, "mountinfo", O_RDONLY));
	if (mntns >= 0 && root >= 0 && fd_ino(mntns) == req->mntns) {
		err = setns(mntns, CLONE_NEWNS) || fchdir(root) || chroot(".") ? -errno :
										 take_off(info, &w);
		come_home(home);
	}
	if (err)
		fail(reply, err, err == -ENOENT ? "the mount is not there" : "it cannot be unmounted");
}

void operation_step(struct operation *op, const struct executor_home *home,
		    const struct executor_request *req, int fd, struct executor_reply *reply)
{
	switch ((enum executor_step)req->step) {
	case EXECUTOR_RESOLVE:
		operation_done(op);
		op->names = req->named && fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
		resolve(op, home, req, reply);
		FAULT("executor-copied");
		name_tell(op, home, op->target, 1, reply->name, sizeof(reply->name));
		name_tell(op, home, reply->fd2, 1, reply->name2, sizeof(reply->name2));
		return;
	case EXECUTOR_MAKE:
		make(op, home, req, fd, reply);
		FAULT("executor-made");
		return;
	case EXECUTOR_CLONE:
		if (!bind_clone(op, home, (int)req->recursive, reply))
			reply->fd = op->mount;
		return;
	case EXECUTOR_ATTACH:
		attach(op, home, reply);
		FAULT("executor-attached");
		name_tell(op, home, op->target, 0, reply->name, sizeof(reply->name));
		return;
	case EXECUTOR_UNDO:
		undo_mount(op, home, reply);
		return;
	case EXECUTOR_DROP:
		operation_done(op);
		return;
	case EXECUTOR_REVOKE:
		if (req->mnt_id)
			revoke_mount(home, req, reply);
		else
			revoke_call(op, home, req, reply);
		return;
	case EXECUTOR_PERFORM:
		perform(op, home, req, reply);
		name_tell(op, home, op->target, 0, reply->name, sizeof(reply->name));
		return;
	case EXECUTOR_GIVE: /* needs two descriptors: executor_main() */
		break;
	}
	fail(reply, -EINVAL, "no such step");
}
