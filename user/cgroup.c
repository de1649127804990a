// SPDX-License-Identifier: LGPL-2.1-or-later
/* cgroup v2 of containers. */
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

#define CGROUP_PARENT "warder"
/* Cgroups nested by a container deeper than this are left to the kernel's own limits. */
#define CGROUP_DEPTH_MAX 32

static char cgroup_mount[PATH_MAX];

/* /sys/fs/cgroup on a unified host; elsewhere (hybrid) whatever mountinfo says. */
int cgroup_root(const char **ret, struct warder_error *reterr)
{
	cleanup_fclose FILE *f = NULL;
	cleanup_free char *line = NULL;
	size_t size = 0;

	if (!cgroup_mount[0]) {
		f = fopen("/proc/self/mountinfo", "re");
		while (f && getline(&line, &size, f) > 0) {
			char where[PATH_MAX], *sep = strstr(line, " - ");

			if (!sep || strncmp(sep + 3, "cgroup2 ", 8) ||
			    sscanf(line, "%*s %*s %*s %*s %4095s", where) != 1)
				continue;
			if (!cgroup_mount[0] || !strcmp(where, "/sys/fs/cgroup"))
				snprintf(cgroup_mount, sizeof(cgroup_mount), "%s", where);
		}
	}
	if (!cgroup_mount[0])
		return error_set(reterr, -ENOENT,
				 "no cgroup2 file system is mounted: mount -t cgroup2 none "
				 "/sys/fs/cgroup");
	*ret = cgroup_mount;
	return 0;
}

static int cgroup_write(int dir, const char *file, const char *text)
{
	cleanup_close int fd = openat(dir, file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static int cgroup_set_u64(int dir, const char *file, uint64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	return cgroup_write(dir, file, text);
}

static int cgroup_open_parent(int create, struct warder_error *reterr)
{
	cleanup_close int root = -1;
	const char *mount;
	int fd, err;

	err = cgroup_root(&mount, reterr);
	if (err)
		return err;
	root = open(mount, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return error_errno(reterr, -errno, "cannot open %s", mount);
	if (create) {
		/* A controller that this host does not offer here shows when a limit is set. */
		cgroup_write(root, "cgroup.subtree_control", "+pids");
		cgroup_write(root, "cgroup.subtree_control", "+memory");
		if (mkdirat(root, CGROUP_PARENT, 0755) && errno != EEXIST)
			return error_errno(reterr, -errno, "cannot make %s/%s", mount,
					   CGROUP_PARENT);
	}
	fd = openat(root, CGROUP_PARENT, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return error_errno(reterr, -errno, "cannot open %s/%s", mount, CGROUP_PARENT);
	if (create) {
		/* Whatever our umask: a container's root walks through it when it mounts its view. */
		fchmod(fd, 0755);
		cgroup_write(fd, "cgroup.subtree_control", "+pids");
		cgroup_write(fd, "cgroup.subtree_control", "+memory");
	}
	return fd;
}

int cgroup_create(const char *id, const struct cgroup_limits *limits, struct warder_error *reterr)
{
	cleanup_close int parent = -1, fd = -1;
	int err;

	parent = cgroup_open_parent(1, reterr);
	if (parent < 0)
		return parent;
	if (mkdirat(parent, id, 0755))
		return error_errno(reterr, -errno, "cannot make the cgroup %s/%s/%s", cgroup_mount,
				   CGROUP_PARENT, id);
	fd = openat(parent, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		err = error_errno(reterr, -errno, "cannot open the cgroup %s", id);
		goto undo;
	}
	fchmod(fd, 0755);
	if (limits->pids_max) {
		err = cgroup_set_u64(fd, "pids.max", limits->pids_max);
		if (err && limits->pids_wanted) {
			error_errno(reterr, err,
				    "--pids-limit cannot be set (is the pids controller of cgroup "
				    "v2 available on this host?)");
			goto undo;
		}
	}
	if (limits->memory_max) {
		err = cgroup_set_u64(fd, "memory.max", limits->memory_max);
		if (err) {
			error_errno(reterr, err,
				    "--memory cannot be set (is the memory controller of cgroup "
				    "v2 available on this host?)");
			goto undo;
		}
		cgroup_write(fd, "memory.swap.max", "0"); /* absent without swap accounting */
	}
	return take_fd(&fd);
undo:
	unlinkat(parent, id, AT_REMOVEDIR);
	return err;
}

int cgroup_open(const char *id)
{
	cleanup_close int parent = cgroup_open_parent(0, NULL);
	int fd;

	if (parent < 0)
		return -ENOENT;
	fd = openat(parent, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

int cgroup_kill(int cgroup_fd)
{
	return cgroup_write(cgroup_fd, "cgroup.kill", "1");
}

static int cgroup_remove_at(int parent, const char *id, int depth)
{
	cleanup_closedir DIR *dir = NULL;
	struct dirent *d;
	int fd;

	if (!unlinkat(parent, id, AT_REMOVEDIR) || errno == ENOENT)
		return 0;
	if (errno != EBUSY && errno != ENOTEMPTY)
		return -errno;
	if (depth >= CGROUP_DEPTH_MAX)
		return -ELOOP;
	fd = openat(parent, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while ((d = readdir(dir))) {
		if (d->d_type == DT_DIR && strcmp(d->d_name, ".") && strcmp(d->d_name, ".."))
			cgroup_remove_at(fd, d->d_name, depth + 1);
	}
	return unlinkat(parent, id, AT_REMOVEDIR) && errno != ENOENT ? -errno : 0;
}

int cgroup_remove(const char *id)
{
	cleanup_close int parent = cgroup_open_parent(0, NULL);

	return parent < 0 ? 0 : cgroup_remove_at(parent, id, 0);
}

static int cgroup_sweep_one(int parent, const char *id)
{
	cleanup_close int fd = openat(parent, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd >= 0)
		cgroup_kill(fd);
	return cgroup_remove_at(parent, id, 0) != 0;
}

int cgroup_sweep(int (*known)(uint64_t id, void *arg), void *arg)
{
	int parent = cgroup_open_parent(0, NULL), left = 0;
	cleanup_closedir DIR *dir = NULL;
	struct dirent *d;

	if (parent < 0)
		return 0;
	dir = fdopendir(parent);
	if (!dir) {
		close(parent);
		return 0;
	}
	while ((d = readdir(dir))) {
		char *end;
		uint64_t id = strtoull(d->d_name, &end, 10);

		/* Ours are numbers. */
		if (d->d_type == DT_DIR && !*end && id && !known(id, arg))
			left += cgroup_sweep_one(parent, d->d_name);
	}
	return left;
}

void cgroup_remove_parent(void)
{
	char path[PATH_MAX + 16];
	const char *mount;

	if (cgroup_root(&mount, NULL))
		return;
	snprintf(path, sizeof(path), "%s/%s", mount, CGROUP_PARENT);
	rmdir(path);
}
