// SPDX-License-Identifier: LGPL-2.1-or-later
/* What the commands around policies write into files that people name. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "cmd_policy.h"

#define LINKS_MAX 40 /* as the kernel follows */

static int write_all(int fd, const void *data, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = write(fd, (const char *)data + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return 0;
}

/* A device, a pipe, what a descriptor in /proc leads to: never replaced. */
static int write_into(const char *path, int flags, const void *data, size_t len)
{
	cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | flags);

	return fd < 0 ? -errno : write_all(fd, data, len);
}

/* Where the symbolic links at the end of a path lead, whether something is there or not. */
static int resolve(const char *path, char ret[PATH_MAX])
{
	char link[PATH_MAX];

	if (snprintf(ret, PATH_MAX, "%s", path) >= PATH_MAX)
		return -ENAMETOOLONG;
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		ssize_t n = readlink(ret, link, sizeof(link) - 1);
		const char *slash = strrchr(ret, '/');
		size_t folder = slash ? (size_t)(slash - ret) + 1 : 0;

		if (n < 0)
			return errno == EINVAL || errno == ENOENT ? 0 : -errno;
		link[n] = 0;
		if (link[0] == '/')
			folder = 0;
		if (folder + (size_t)n >= PATH_MAX)
			return -ENAMETOOLONG;
		memcpy(ret + folder, link, (size_t)n + 1);
	}
	return -ELOOP;
}

/* Written beside it, then renamed over it. `old`: what is there now, or NULL. */
static int replace(const char *path, const struct stat *old, const void *data, size_t len)
{
	cleanup_free char *tmp = NULL;
	cleanup_close int fd = -1;
	int err;

	if (asprintf(&tmp, "%s.%d.tmp", path, (int)getpid()) < 0) {
		tmp = NULL;
		return -ENOMEM;
	}
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	err = write_all(fd, data, len);
	/* One that is replaced keeps its mode and, as far as we may, its owner. */
	if (!err && old && fchown(fd, old->st_uid, old->st_gid) == 0)
		fchmod(fd, old->st_mode & 07777);
	if (!err && (fsync(fd) || rename(tmp, path)))
		err = -errno;
	if (err)
		unlink(tmp);
	return err;
}

int policy_write_file(const char *path, const void *data, size_t len)
{
	char target[PATH_MAX];
	struct stat named, found;
	bool exists = !stat(path, &named);
	int err;

	if (!exists && errno != ENOENT)
		return -errno;
	if (exists && !S_ISREG(named.st_mode))
		return write_into(path, 0, data, len);
	err = resolve(path, target);
	if (err)
		return err;
	/* Behind /proc/self/fd stands no name that leads there for sure. */
	if (exists && (stat(target, &found) || found.st_dev != named.st_dev ||
		       found.st_ino != named.st_ino))
		return write_into(path, O_TRUNC, data, len);
	return replace(target, exists ? &named : NULL, data, len);
}
