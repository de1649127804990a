// SPDX-License-Identifier: LGPL-2.1-or-later
#include "fdmsg.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

int fdmsg_send(int sock, const void *data, size_t len, const int *fds, size_t count, int flags)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	union fdmsg_space space;
	ssize_t n;

	if (count > FDMSG_MAX)
		return -EINVAL;
	if (count) {
		struct cmsghdr *c;

		memset(&space, 0, sizeof(space));
		msg.msg_control = space.b;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * count);
	}
	do {
		n = sendmsg(sock, &msg, flags | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : (size_t)n == len ? 0 : -EIO;
}

int fdmsg_take(struct msghdr *msg, int *fds, size_t room, size_t *count)
{
	int err = msg->msg_flags & MSG_CTRUNC ? -EMSGSIZE : 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (*count < room) {
				fds[(*count)++] = fd;
			} else {
				close(fd);
				err = -EMSGSIZE;
			}
		}
	}
	return err;
}

ssize_t fdmsg_recv(int sock, void *data, size_t size, int *fds, size_t count, int flags)
{
	union fdmsg_space space;
	struct iovec iov = { .iov_base = data, .iov_len = size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = space.b,
			      .msg_controllen = sizeof(space.b) };
	size_t came = 0;
	ssize_t n;

	for (size_t i = 0; i < count; i++)
		fds[i] = -1;
	do {
		n = recvmsg(sock, &msg, flags | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (!fdmsg_take(&msg, fds, count, &came) && !(msg.msg_flags & MSG_TRUNC))
		return n;
	for (size_t i = 0; i < came; i++) {
		close(fds[i]);
		fds[i] = -1;
	}
	return -EBADMSG;
}
