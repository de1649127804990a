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
#include <sys/wait.h>

#include "cleanup.h"
#include "executor_internal.h"

/* Not in the headers of every C library. */
#define MQUEUE_MAGIC_ 0x19800202
#define CONFIGFS_MAGIC_ 0x62656570
#define FUSES_MAX 64 /* in a mount namespace of which mounts are tried */

int is_kernel_fs(int fd)
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

int mount_is_below(const char *point, const char *path)
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
		/* One with a longer path than ours may be anywhere. */
		if (fd >= 0 && (!mountinfo_point(line, point, sizeof(point)) || mount_is_below(point, path)))
			reply->below++;
	}
}

/* Takes mount `id` off, in a copy of the mount namespace that we are in: 1: it may be, or who knows;
 * 0: it is locked to its place; -ENOENT: the path does not lead to it. */
static int comes_off(__u64 id, char *point)
{
	char *last = strrchr(point, '/');
	cleanup_close int folder = -1;
	int err;

	if (!last || !last[1])
		return 1;
	*last++ = '\0';
	folder = folder_open(*point ? point : "/");
	if (folder < 0)
		return errno == ENOENT || errno == ENOTDIR ? -ENOENT : 1;
	if (fchdir(folder))
		return 1;
	err = mount_check(folder, last, id);
	if (err)
		return err == -ENOENT ? -ENOENT : 1;
	return !umount2(last, MNT_DETACH | UMOUNT_NOFOLLOW) || errno != EINVAL;
}

/* Does what is mounted on `above` lie in FUSE? To us, in the container's user namespace, its program may
 * never answer. Mountinfo has what is above first; a full list counts as yes. */
static int lies_in_fuse(const char *line, __u64 id, __u64 above, __u64 fuse[FUSES_MAX], unsigned *fuses)
{
	int found = *fuses == FUSES_MAX;

	for (unsigned i = 0; i < *fuses; i++)
		found |= fuse[i] == above;
	if (!found && strstr(line, " - fuse"))
		fuse[(*fuses)++] = id;
	return found;
}

/* Exits with 0 if nothing below `at` comes off, with anything else if it does, or cannot be told. */
_Noreturn static void loose_child(const struct operation *op, const struct mount_line *at, pid_t parent)
{
	cleanup_close int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	cleanup_close int own = openat(self, "ns/user", O_RDONLY | O_CLOEXEC);
	cleanup_close int owner = ioctl(op->mntns, NS_GET_USERNS);
	char *line = NULL, point[EXECUTOR_TEXT_SIZE];
	__u64 id, above, top = 0, fuse[FUSES_MAX];
	unsigned fuses = 0;
	size_t size = 0;
	int info, loose = 0, in_fuse;
	FILE *f;

	if (own < 0 || owner < 0 || setns(op->mntns, CLONE_NEWNS))
		_exit(1);
	/* In a copy for another user namespace all would be locked, which says nothing. */
	if (fd_ino(owner) != fd_ino(own) && setns(owner, CLONE_NEWUSER))
		_exit(2);
	/* Not longer than the executor; a change of rights forgets that. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
		_exit(6);
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		_exit(3);
	info = openat(self, "mountinfo", O_RDONLY | O_CLOEXEC);
	f = info < 0 ? NULL : fdopen(info, "r");
	if (!f)
		_exit(4);
	while (!loose && getline(&line, &size, f) > 0) {
		if (sscanf(line, "%llu %llu", &id, &above) != 2) {
			loose = 1;
			continue;
		}
		in_fuse = lies_in_fuse(line, id, above, fuse, &fuses);
		if (!mountinfo_point(line, point, sizeof(point)))
			loose = 1;
		else if (!strcmp(point, at->point))
			top = id; /* the last one is the one that is looked at */
		else if (mount_is_below(point, at->point))
			loose = in_fuse ? 1 : comes_off(id, point);
		/* On a proc or sysfs no folder is renamed: another mount lies above, and stays there. */
		if (loose == -ENOENT)
			loose = !executor_is_view(at->type) || above != top;
	}
	_exit(loose || !top || ferror(f) ? 5 : 0);
}

__u32 mounts_are_loose(const struct operation *op, const struct mount_line *at)
{
	pid_t self = getpid(), pid = fork();

	if (pid == 0)
		loose_child(op, at, self);
	return pid < 0 || child_wait(pid);
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
	int status;
	pid_t pid;

	pid = child_sharing_fds();
	if (pid < 0)
		return fail(reply, -errno, "no process for cloning the source");
	if (pid == 0)
		clone_child(op, home, recursive);
	status = child_wait(pid);
	if (!status) {
		op->mount = *home->shared_word;
		return 0;
	}
	if (status != 3)
		return fail(reply, -EPERM, "the mounts below the source cannot be locked (step %d)",
			    status);
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

int bind_finish(struct operation *op, __u32 attr_flags, int view, struct executor_reply *reply)
{
	/* Access times are the source's, as with mount(2). */
	struct mount_attr attr = {
		.attr_set = attr_flags & (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
					  MOUNT_ATTR_NOEXEC)
	};

	if (view && mount_setattr(op->mount, "", AT_EMPTY_PATH, &attr, sizeof(attr)))
		return fail(reply, -errno, "the forced flags cannot be set");
	/* Files are masked by /dev/null, which must go on to be it. */
	if (view)
		attr.attr_set &= ~(__u64)MOUNT_ATTR_NODEV;
	if (mount_setattr(op->mount, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)))
		return fail(reply, -errno, "the forced flags cannot be set");
	return 0;
}
