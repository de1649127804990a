// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What libfuse 2 runs as `fusermount` where it may not mount by itself: it wants the device of its mount
 * over a socket. The mount is there already, and its device is descriptor 3 (executor_fuse_box.c). Asked
 * to unmount, it does nothing: whoever has the mount does that.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define DEVICE_FD 3

int main(void)
{
	const char *number = getenv("_FUSE_COMMFD");
	const int device = DEVICE_FD;
	char byte = 0;
	union {
		struct cmsghdr h;
		char b[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			      .msg_controllen = sizeof(control) };

	if (!number)
		return 0;
	memset(&control, 0, sizeof(control));
	control.h.cmsg_level = SOL_SOCKET;
	control.h.cmsg_type = SCM_RIGHTS;
	control.h.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.h), &device, sizeof(device));
	return sendmsg(atoi(number), &msg, MSG_NOSIGNAL) != 1;
}
