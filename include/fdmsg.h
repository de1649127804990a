/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages on unix sockets that bring descriptors. */
#ifndef WARDER_FDMSG_H
#define WARDER_FDMSG_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

#define FDMSG_MAX 8

/* Room for as many descriptors as a message may bring. */
union fdmsg_space {
	char b[CMSG_SPACE(sizeof(int) * FDMSG_MAX)];
	struct cmsghdr align;
};

/* Sends one, without SIGPIPE. 0, or -errno. */
int fdmsg_send(int sock, const void *data, size_t len, const int *fds, size_t count, int flags);

/* Appends the descriptors of a received message to fds[*count], which has room for `room` in all, and closes
 * what does not fit. 0, or -EMSGSIZE if some did not fit here or in the message. */
int fdmsg_take(struct msghdr *msg, int *fds, size_t room, size_t *count);

/* Receives one: its length (0: the other end has closed), or -errno; -EBADMSG if it or its descriptors do not
 * fit. fds[count] is what came with it, -1 for what did not. */
ssize_t fdmsg_recv(int sock, void *data, size_t size, int *fds, size_t count, int flags);

#endif
