/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* io_uring for children: one request at a time, on a ring that ends with them. */
#ifndef WARDER_URING_H
#define WARDER_URING_H

#include <linux/io_uring.h>

struct uring {
	int fd;
	struct io_uring_params p;
	struct io_uring_sqe *sqe; /* zeroed, to be filled in */
	char *sq, *cq;
};

/* flags: IORING_SETUP_SQPOLL, or none. 0, or -errno. */
int uring_open(struct uring *ret, unsigned flags);
/* Hands in the request and waits for it: 0 or its errno; -errno if it was not taken. */
int uring_run(struct uring *u);

#endif
