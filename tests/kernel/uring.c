// SPDX-License-Identifier: LGPL-2.1-or-later
#include "uring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int uring_open(struct uring *ret, unsigned flags)
{
	struct io_uring_params *p = &ret->p;

	memset(ret, 0, sizeof(*ret));
	p->flags = flags;
	ret->fd = (int)syscall(SYS_io_uring_setup, 2, p);
	if (ret->fd < 0)
		return -errno;
	ret->sq = mmap(NULL, p->sq_off.array + p->sq_entries * sizeof(__u32), PROT_READ | PROT_WRITE,
		       MAP_SHARED, ret->fd, IORING_OFF_SQ_RING);
	ret->cq = mmap(NULL, p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe),
		       PROT_READ | PROT_WRITE, MAP_SHARED, ret->fd, IORING_OFF_CQ_RING);
	ret->sqe = mmap(NULL, p->sq_entries * sizeof(*ret->sqe), PROT_READ | PROT_WRITE, MAP_SHARED, ret->fd,
			IORING_OFF_SQES);
	return ret->sq == MAP_FAILED || ret->cq == MAP_FAILED || ret->sqe == MAP_FAILED ? -ENOMEM : 0;
}

int uring_run(struct uring *u)
{
	int polled = u->p.flags & IORING_SETUP_SQPOLL;
	unsigned *tail = (unsigned *)(u->sq + u->p.sq_off.tail);
	const struct io_uring_cqe *cqe = (struct io_uring_cqe *)(u->cq + u->p.cq_off.cqes);

	*(unsigned *)(u->sq + u->p.sq_off.array) = 0;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, u->fd, polled ? 0 : 1, 1,
		    IORING_ENTER_GETEVENTS | (polled ? IORING_ENTER_SQ_WAKEUP : 0), NULL, 0) < 0)
		return -errno;
	return cqe->res < 0 ? -cqe->res : 0;
}
