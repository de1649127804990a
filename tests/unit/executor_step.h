/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One step of an executor, for tests of what executors do. After cmocka.h. */
#ifndef EXECUTOR_STEP_H
#define EXECUTOR_STEP_H

#include <errno.h>
#include <unistd.h>

#include "executor.h"

/* Sends `req` with a cookie of its own and waits up to `ms` for the reply. */
static inline void executor_step(struct executor *ex, struct executor_request *req, int fd, int ms,
				 struct executor_reply *ret)
{
	req->cookie++;
	assert_int_equal(executor_send(ex, req, fd), 0);
	for (int i = 0; i < ms; i++) {
		int err = executor_receive(ex, ret, &(int){ -1 });

		if (err == -EAGAIN) {
			usleep(1000);
			continue;
		}
		assert_int_equal(err, 0);
		assert_true(ret->cookie == req->cookie);
		return;
	}
	fail_msg("no answer to step %d", (int)req->step);
}

#endif
