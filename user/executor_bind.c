// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Binds of what a container has already: looked at, and cloned from the descriptor that the decision
 * was about. Nothing that is covered there must come to light by it. The kernel sees to that for mounts
 * that a user namespace may not touch (MNT_LOCKED), so a copy of the container's mount namespace is
 * made in another user namespace, in which all of them are locked, and cloned from: a mount below
 * stays on its place, no flag can be taken off, and no rename can come in between.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "executor_internal.h"

/* Not in the headers of every C library. */
#define MQUEUE_MAGIC_ 0x19800202
#define CONFIGFS_MAGIC_ 0x62656570

/* File systems that are the kernel's own state, which runtimes mask in part. */
static int is_kernel_fs(int fd)
{
	static const long magic[] = { PROC_SUPER_MAGIC,	 SYSFS_MAGIC,	  CGROUP_SUPER_MAGIC,
				      CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC,  TRACEFS_MAGIC,
				      SECURITYFS_MAGIC,	 BPF_FS_MAGIC,	  PSTOREFS_MAGIC,
				      EFIVARFS_MAGIC,	 BINFMTFS_MAGIC,  NSFS_MAGIC,
				      SELINUX_MAGIC,	 SMACK_MAGIC,	  RDTGROUP_SUPER_MAGIC,
				      MQUEUE_MAGIC_,	 CONFIGFS_MAGIC_, DEVPTS_SUPER_MAGIC };
	struct statfs fs;

	if (fstatfs(fd, &fs))
		return 1;
	for (size_t i = 0; i < ARRAY_SIZE(magic); i++)
		if ((unsigned)fs.f_type == (unsigned)magic[i])
			return 1;
	return 0;
}

/* Is mount point `point` below `path`? */
static int is_below(const char *point, const char *path)
{
	size_t len = strlen(path);

	if (len && path[len - 1] == '/')
		len--;
	return !strncmp(point, path, len) && point[len] == '/' && point[len + 1];
}

void mounts_count(const struct operation *op, const struct executor_home *home, int fd,
		  struct executor_reply *reply)
{
	cleanup_fclose FILE *info = NULL;
	cleanup_free char *line = NULL;
	char path[EXECUTOR_TEXT_SIZE], link[32], point[EXECUTOR_TEXT_SIZE];
	size_t size = 0;
	ssize_t got = 0;

	reply->mounts = reply->below = reply->loops = (__u32)-1;
	snprintf(link, sizeof(link), "fd/%d", fd);
	if (!setns(op->mntns, CLONE_NEWNS)) {
		if (fd >= 0)
			got = readlinkat(home->self, link, path, sizeof(path) - 1);
		info = mountinfo_own(home);
	}
	come_home(home);
	if (!info || got < 0)
		return;
	path[got] = '\0';
	reply->mounts = reply->below = reply->loops = 0;
	while (getline(&line, &size, info) > 0) {
		reply->mounts++;
		reply->loops += strstr(line, " /dev/loop") != NULL;
		if (fd >= 0 && mountinfo_point(line, point, sizeof(point)) && is_below(point, path))
			reply->below++;
	}
}

void bind_facts(struct operation *op, const struct executor_home *home, struct executor_reply *reply)
{
	struct mount_line line;

	/* A descriptor may lead to a mount of another namespace: that is not the container's. */
	if (mount_line_of(op, home, op->second, &line)) {
		close_fd(&op->second);
		return;
	}
	reply->fd2 = op->second;
	reply->covers_kernel = (__u32)is_kernel_fs(op->second);
}

/* ------------------------------------------------------------------------- the clone */

/* Of a folder. The clone, or the kernel's errno, through the shared word. */
_Noreturn static void clone_child(const struct operation *op, const struct executor_home *home,
				  int recursive)
{
	unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH;
	int fd;

	/* The current directory follows into the copy of the namespace. */
	if (setns(op->mntns, CLONE_NEWNS) || fchdir(op->second))
		_exit(1);
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
		_exit(2);
	fd = open_tree(AT_FDCWD, "", flags | (recursive ? AT_RECURSIVE : 0));
	*home->shared_word = fd < 0 ? -errno : fd;
	_exit(fd < 0 ? 3 : 0);
}

static int clone_folder(struct operation *op, const struct executor_home *home, int recursive,
			struct executor_reply *reply)
{
	int status = 0;
	pid_t pid;

	pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, 0);
	if (pid < 0)
		return fail(reply, -errno, "no process for cloning the source");
	if (pid == 0)
		clone_child(op, home, recursive);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && !WEXITSTATUS(status)) {
		op->mount = *home->shared_word;
		return 0;
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 3)
		return fail(reply, -EPERM, "the mounts below the source cannot be locked (step %d)",
			    WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	reply->kernel = 1;
	return fail(reply, *home->shared_word, *home->shared_word == -EINVAL && !recursive ?
		    "mounts below the source would be left out, and what they cover come to light" :
		    "the source cannot be cloned");
}

/* Of a file, below which there is nothing. */
static int clone_file(struct operation *op, const struct executor_home *home,
		      struct executor_reply *reply)
{
	int err = 0;

	if (setns(op->mntns, CLONE_NEWNS))
		err = -errno;
	if (!err)
		op->mount = open_tree(op->second, "",
				      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (!err && op->mount < 0)
		err = -errno;
	come_home(home);
	reply->kernel = err != 0;
	return err ? fail(reply, err, "the source cannot be cloned") : 0;
}

int bind_clone(struct operation *op, const struct executor_home *home, int recursive,
	       struct executor_reply *reply)
{
	struct mount_attr attr = { .propagation = MS_PRIVATE };
	struct stat st;
	int err;

	if (op->second < 0 || op->mount >= 0)
		return fail(reply, -EINVAL, "a step out of order");
	if (fstat(op->second, &st))
		return fail(reply, -errno, "the source cannot be looked at");
	err = S_ISDIR(st.st_mode) ? clone_folder(op, home, recursive, reply) :
				    clone_file(op, home, reply);
	if (err)
		return err;
	/* What is mounted in it later, on either side, stays there. */
	if (mount_setattr(op->mount, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)))
		return fail(reply, -errno, "the clone cannot be made private");
	return 0;
}

int bind_finish(struct operation *op, __u32 attr_flags, struct executor_reply *reply)
{
	/* Access times are the source's, as with mount(2). */
	struct mount_attr attr = {
		.attr_set = attr_flags & (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
					  MOUNT_ATTR_NOEXEC)
	};

	if (mount_setattr(op->mount, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)))
		return fail(reply, -errno, "the forced flags cannot be set");
	return 0;
}
