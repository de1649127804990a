// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * container.sock of a container that runs already, in a builder. What lies in its mount
 * namespace is not to be trusted: no symbolic link is followed, nothing but a socket of that
 * very name is removed, and all of it with no more rights to files than the container's root.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "container.h"

/* The folder as an O_PATH descriptor: still the mount that the start put there. */
static int socket_open_dir(struct builder *b)
{
	struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
				.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS |
					   RESOLVE_NO_MAGICLINKS };
	cleanup_close int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct statx st;
	int fd;

	if (root < 0)
		builder_fail(b, 125, "its root cannot be opened: %s", strerror(errno));
	fd = (int)syscall(SYS_openat2, root, CONTAINER_SOCKET_DIR, &how, sizeof(how));
	if (fd < 0)
		builder_fail(b, 125, CONTAINER_SOCKET_DIR " in it cannot be opened: %s",
			     strerror(errno));
	if (statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &st) ||
	    !(st.stx_attributes_mask & st.stx_attributes & STATX_ATTR_MOUNT_ROOT))
		builder_fail(b, 125, CONTAINER_SOCKET_DIR " in it is not what was mounted there");
	return fd;
}

void builder_remake_socket(struct builder *b)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = CONTAINER_SOCKET };
	cleanup_close int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	cleanup_close int dir = -1, fd = -1;
	struct stat st;

	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (proc < 0 || fd < 0 || fchmod(fd, 0666)) /* bind() gives the name this mode */
		builder_fail(b, 125, "cannot make a socket: %s", strerror(errno));
	if (setns(b->pidfd, CLONE_NEWNS))
		builder_fail(b, 125, "its mount namespace cannot be entered: %s", strerror(errno));
	/* Through the host's proc: the container's shows another pid namespace. */
	if (fstatat(proc, "self/ns/mnt", &st, 0) || st.st_ino != b->socket_mntns)
		builder_fail(b, 125, "its first process has left the mount namespace that it was "
				     "started in");
	setfsgid(b->uid_base);
	setfsuid(b->uid_base);
	dir = socket_open_dir(b);
	if (fchdir(dir))
		builder_fail(b, 125, CONTAINER_SOCKET_DIR " in it cannot be entered: %s",
			     strerror(errno));
	if (fstatat(dir, CONTAINER_SOCKET, &st, AT_SYMLINK_NOFOLLOW) ?
		    errno != ENOENT :
		    !S_ISSOCK(st.st_mode) || (unlinkat(dir, CONTAINER_SOCKET, 0) && errno != ENOENT))
		builder_fail(b, 125, CONTAINER_SOCKET_DIR "/" CONTAINER_SOCKET
				     " in it is no socket that could be replaced");
	umask(0);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)))
		builder_fail(b, 125, "a socket cannot be bound in it: %s", strerror(errno));
	builder_report_fd(b, CONTAINER_FD_LISTEN, fd);
	_exit(0);
}
