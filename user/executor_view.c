// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A new proc or sysfs for a caller: the one that it sees, at one more place, with every mask that its
 * runtime has put there. A caller in a pid namespace below what that shows gets a proc of its own one, with
 * the same masks on it: what there is of other processes it does not show anyway. Either way all masks
 * are locked to their places (see executor_bind.c).
 */
#include <ctype.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cleanup.h"
#include "executor_internal.h"

/* The root of a proc (PROC_ROOT_INO) and of a sysfs (the first of its kernfs). */
#define KERNEL_FS_ROOT_INO 1
#define PIDNS_DEPTH 32 /* MAX_PID_NS_LEVEL, include/linux/pid_namespace.h */
#define MASKS_MAX 64
#define MASK_SIZE 128
#define MASK_FLAGS (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)
_Static_assert(MOUNT_ATTR_RDONLY == MS_RDONLY && MOUNT_ATTR_NOSUID == MS_NOSUID &&
		       MOUNT_ATTR_NODEV == MS_NODEV && MOUNT_ATTR_NOEXEC == MS_NOEXEC,
	       "flags of mountinfo are attributes");

/* ------------------------------------------------------------------------- looked at */

/* O_PATH on what is below `fd`, over no link. */
static int open_below(int fd, const char *path)
{
	struct open_how how = { .flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS };

	return (int)syscall(SYS_openat2, fd, path, &how, sizeof(how));
}

/* The pid namespace that the proc at `fd` shows: its first process is in it. 0: it cannot be told. */
static __u32 proc_pidns(int fd)
{
	struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
				.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS |
					   RESOLVE_NO_SYMLINKS };
	cleanup_close int ns = (int)syscall(SYS_openat2, fd, "1/ns", &how, sizeof(how));
	struct stat st;

	return ns < 0 || fstatat(ns, "pid", &st, 0) ? 0 : (__u32)st.st_ino;
}

/* Which proc may a caller in pid namespace `pidns` have, where the container's shows `shown`? */
static enum executor_view proc_view(int pidns, __u32 shown)
{
	cleanup_close int up = -1;

	if (pidns < 0 || !shown)
		return EXECUTOR_VIEW_PIDNS;
	if (fd_ino(pidns) == shown)
		return EXECUTOR_VIEW_OWN;
	for (int i = 0; i < PIDNS_DEPTH; i++) {
		int next = ioctl(up < 0 ? pidns : up, NS_GET_PARENT);

		if (next < 0)
			break;
		close_fd(&up);
		up = next;
		if (fd_ino(up) == shown)
			return EXECUTOR_VIEW_BELOW;
	}
	return EXECUTOR_VIEW_PIDNS;
}

int is_whole_view(int fd, int is_proc)
{
	struct statfs fs;
	struct stat st;

	return fd >= 0 && !fstatfs(fd, &fs) && fs.f_type == (is_proc ? PROC_SUPER_MAGIC : SYSFS_MAGIC) &&
	       !fstat(fd, &st) && st.st_ino == KERNEL_FS_ROOT_INO;
}

static enum executor_view view_of(const struct operation *op, int fd, int is_proc)
{
	if (!is_whole_view(fd, is_proc))
		return EXECUTOR_VIEW_MISSING;
	return is_proc ? proc_view(op->pidns, proc_pidns(fd)) : EXECUTOR_VIEW_OWN;
}

/*
 * In a mount namespace of its own, which a sandbox may just be making, the place does not count: any
 * that the caller sees will do, as for the kernel (mnt_already_visible(), fs/namespace.c). Whoever has
 * made that namespace, and whatever they mask in it, the caller sees no more afterwards than before.
 */
static void view_search(struct operation *op, const struct caller *c, const char *type,
			struct executor_reply *reply)
{
	struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
				.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS };
	cleanup_fclose FILE *info = file_of(proc_open(c->tid, "mountinfo", O_RDONLY));
	int is_proc = !strcmp(type, "proc");
	struct mount_line line;
	__u32 major, minor;
	__u64 id;

	while (info && reply->view != EXECUTOR_VIEW_OWN && reply->view != EXECUTOR_VIEW_BELOW &&
	       mountinfo_next(info, &line) > 0) {
		if (strcmp(line.type, type) || strcmp(line.root, "/"))
			continue;
		close_fd(&op->second);
		op->second = (int)syscall(SYS_openat2, c->root, line.point, &how, sizeof(how));
		/* Another one may lie over it. */
		if (op->second >= 0 && !mount_id_of(op->second, &id, &major, &minor) && id == line.id)
			reply->view = view_of(op, op->second, is_proc);
	}
}

void view_find(struct operation *op, const struct caller *c, const struct executor_request *req,
	       const char *type, struct executor_reply *reply)
{
	int is_proc = !strcmp(type, "proc");

	if (!executor_is_view(type))
		return;
	reply->view = EXECUTOR_VIEW_MISSING;
	op->pidns = is_proc ? proc_open(c->tid, "ns/pid", O_RDONLY) : -1;
	if (reply->mntns != req->mntns) {
		view_search(op, c, type, reply);
	} else {
		if (!setns(op->mntns, CLONE_NEWNS))
			op->second = folder_open(is_proc ? "/proc" : "/sys");
		come_home(c->home);
		reply->view = view_of(op, op->second, is_proc);
	}
	if (reply->view == EXECUTOR_VIEW_MISSING)
		close_fd(&op->second);
	reply->fd2 = op->second;
}

/* ------------------------------------------------------------------------- the masks */

/* One mount on the proc that the caller sees. */
struct mask {
	char at[MASK_SIZE];   /* below the root of the proc */
	char from[MASK_SIZE]; /* it is a part of the same proc: below its root; "": it is `clone` */
	int clone;            /* with all that is mounted on it */
	__u64 id, attr;
};

struct masks {
	struct mask mask[MASKS_MAX];
	unsigned count;
	char options[256]; /* of the proc */
	__u64 attr;
};

static void masks_done(struct masks *m)
{
	for (unsigned i = 0; i < m->count; i++)
		close_fd(&m->mask[i].clone);
}
#define cleanup_masks cleanup(masks_done)

/* A name below the root that is the same thing in every proc: no process. */
static int path_take(const char *path, char *to)
{
	path += strspn(path, "/");
	if (!*path || isdigit((unsigned char)*path) || strlen(path) >= MASK_SIZE)
		return -EINVAL;
	strcpy(to, path);
	return 0;
}

/* What lies on a mask that is cloned comes along with it. */
static int comes_along(const struct masks *m, __u64 above)
{
	for (unsigned i = 0; i < m->count; i++)
		if (m->mask[i].id == above)
			return !m->mask[i].from[0];
	return 0;
}

static int mask_add(struct masks *m, int proc, const struct mount_line *root, struct mount_line *line,
		    struct executor_reply *reply)
{
	const char *at = line->point + strlen(root->point);
	struct mask *mask = &m->mask[m->count];
	cleanup_close int fd = -1;
	__u32 major, minor;
	__u64 id = 0;
	int err;

	if (m->count == MASKS_MAX)
		return fail(reply, -E2BIG, "more than %d mounts lie on its proc", MASKS_MAX);
	*mask = (struct mask){ .clone = -1, .id = line->id, .attr = line->flags & MASK_FLAGS };
	if (path_take(at, mask->at) || (line->major == root->major && line->minor == root->minor &&
					path_take(line->root, mask->from)))
		return fail(reply, -EINVAL, "what is mounted at %.60s of its proc is no mask for another one",
			    at);
	fd = open_below(proc, mask->at);
	err = fd < 0 ? -errno : mount_id_of(fd, &id, &major, &minor);
	if (err && err != -ENOENT && err != -ENOTDIR)
		return fail(reply, err, "what is mounted at %.60s of its proc cannot be looked at", at);
	/* What lies over it has a line of its own. */
	if (err || id != line->id)
		return 0;
	if (!mask->from[0]) {
		mask->clone = open_tree(fd, "", AT_EMPTY_PATH | AT_RECURSIVE | OPEN_TREE_CLONE |
							OPEN_TREE_CLOEXEC);
		if (mask->clone < 0)
			return fail(reply, -errno, "the mask at %.60s of its proc cannot be cloned", at);
	}
	m->count++;
	return 0;
}

/* In the caller's mount namespace. Whoever is mounted on is before what is mounted on it. */
static int masks_read(struct masks *m, int proc, const struct executor_home *home,
		      struct executor_reply *reply)
{
	cleanup_fclose FILE *info = mountinfo_own(home);
	struct mount_line line, root;
	__u32 major, minor;
	__u64 id;
	int got, err = info ? mount_id_of(proc, &id, &major, &minor) : -errno;

	if (!err)
		err = mountinfo_find(info, id, &root);
	if (err || !strcmp(root.point, "/"))
		return fail(reply, err ? err : -EBUSY, "the proc that the caller sees cannot be looked at");
	snprintf(m->options, sizeof(m->options), "%s", root.options);
	m->attr = root.flags & MASK_FLAGS;
	rewind(info);
	while ((got = mountinfo_next(info, &line)) > 0) {
		if (!mount_is_below(line.point, root.point) || comes_along(m, line.above))
			continue;
		err = mask_add(m, proc, &root, &line, reply);
		if (err)
			return err;
	}
	return got ? fail(reply, got, "what is mounted on its proc cannot be told") : 0;
}

/* ------------------------------------------------------------------------- the proc */

/* In the caller's pid namespace, whose processes see us: nothing of what is done here waits for them, and
 * what they may do to us is less than what the host's root may. Its number through the shared word. */
_Noreturn static void proc_child(const struct masks *m, __u64 attr, int *word)
{
	char options[sizeof(m->options)], *save, *o;
	cleanup_close int fs = -1;
	int fd;

	/* Stopped by a signal of theirs it must not outlive the executor. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid())
		_exit(1);
	fs = fsopen("proc", FSOPEN_CLOEXEC);
	if (fs < 0)
		_exit(2);
	memcpy(options, m->options, sizeof(options));
	for (o = strtok_r(options, ",", &save); o; o = strtok_r(NULL, ",", &save)) {
		char *value = strchr(o, '=');

		/* Those two are of the superblock, and the mount's count as well. */
		if (!strcmp(o, "rw") || !strcmp(o, "ro"))
			continue;
		if (value)
			*value++ = '\0';
		if (fsconfig(fs, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, o, value, 0))
			_exit(3);
	}
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		_exit(4);
	fd = fsmount(fs, FSMOUNT_CLOEXEC, (unsigned)attr);
	*word = fd;
	_exit(fd < 0 ? 5 : 0);
}

/* A bare one, mounted nowhere. */
static int proc_new(const struct operation *op, const struct executor_home *home, const struct masks *m,
		    __u64 attr, struct executor_reply *reply)
{
	int status = -1;
	pid_t pid;

	if (setns(op->pidns, CLONE_NEWPID))
		return fail(reply, -errno, "the caller's pid namespace cannot be entered");
	pid = child_sharing_fds();
	if (pid == 0)
		proc_child(m, attr, home->shared_word);
	if (setns(home->pidns, CLONE_NEWPID))
		_exit(1);
	if (pid > 0)
		status = child_wait(pid);
	return status ? fail(reply, -EPERM, "no proc can be made for the caller's pid namespace (step %d)",
			     status) :
			*home->shared_word;
}

static int mask_put(const struct mask *mask, int proc)
{
	struct mount_attr attr = { .attr_set = mask->attr, .attr_clr = MASK_FLAGS & ~mask->attr };
	cleanup_close int at = open_below(proc, mask->at);
	cleanup_close int from = mask->from[0] ? open_below(proc, mask->from) : -1;
	cleanup_close int own = from < 0 ? -1 : open_tree(from, "", AT_EMPTY_PATH | OPEN_TREE_CLONE |
							  OPEN_TREE_CLOEXEC);

	if (own >= 0 && mount_setattr(own, "", AT_EMPTY_PATH, &attr, sizeof(attr)))
		return -1;
	return move_mount(own < 0 ? mask->clone : own, "", at, "",
			  MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

/* Puts the masks on, and locks all of it, in a mount namespace that nobody sees. */
_Noreturn static void mask_child(const struct masks *m, int proc, int *word)
{
	cleanup_close int root = -1;
	int fd;

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    move_mount(proc, "", AT_FDCWD, "/proc", MOVE_MOUNT_F_EMPTY_PATH))
		_exit(1);
	root = folder_open("/proc");
	for (unsigned i = 0; i < m->count; i++)
		if (mask_put(&m->mask[i], root))
			_exit(2);
	/* The current directory follows into the copy of the namespace. */
	if (root < 0 || fchdir(root) || unshare(CLONE_NEWUSER | CLONE_NEWNS))
		_exit(3);
	fd = open_tree(AT_FDCWD, "", AT_EMPTY_PATH | AT_RECURSIVE | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	*word = fd;
	_exit(fd < 0 ? 4 : 0);
}

/* A proc for the caller's pid namespace, with what is mounted on the one that it sees. */
static int proc_make(struct operation *op, const struct executor_home *home,
		     const struct executor_request *req, struct executor_reply *reply)
{
	struct mount_attr attr = { .propagation = MS_PRIVATE };
	cleanup_masks struct masks m = { .count = 0 };
	cleanup_close int proc = -1;
	int status, err;
	pid_t pid;

	if (setns(op->mntns, CLONE_NEWNS))
		err = fail(reply, -errno, "the caller's mount namespace cannot be entered");
	else
		err = masks_read(&m, op->second, home, reply);
	come_home(home);
	if (err)
		return err;
	proc = proc_new(op, home, &m, m.attr | req->attr, reply);
	if (proc < 0)
		return proc;
	pid = child_sharing_fds();
	if (pid == 0)
		mask_child(&m, proc, home->shared_word);
	status = pid < 0 ? -1 : child_wait(pid);
	if (status)
		return fail(reply, -EPERM, "the masks of its proc cannot be put on (step %d)",
			    status);
	op->mount = *home->shared_word;
	if (mount_setattr(op->mount, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)))
		return fail(reply, -errno, "the new proc cannot be made private");
	return 0;
}

int view_make(struct operation *op, const struct executor_home *home, const struct executor_request *req,
	      struct executor_reply *reply)
{
	int err;

	if (op->second < 0 || op->mount >= 0)
		return fail(reply, -EINVAL, "a step out of order");
	err = req->view == EXECUTOR_VIEW_BELOW ? proc_make(op, home, req, reply) :
						 bind_clone(op, home, 1, reply);
	return err ? err : bind_finish(op, req->attr, 1, reply);
}
