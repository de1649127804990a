/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Seccomp filters that others have put on a process: what they do to supervised system calls. */
#ifndef WARDER_FILTER_H
#define WARDER_FILTER_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What the kernel would answer with this program: a SECCOMP_RET_* value with its data. -EINVAL: the
 * program is none that the kernel takes. No state; any thread. */
int filter_run(const struct sock_filter *program, size_t length, const struct seccomp_data *data,
	       uint32_t *ret_action);

/* Does a system call with this answer get as far as the kernel's own code? */
int filter_lets_pass(uint32_t action);

/* The names of supervised system calls (64-bit entries, all arguments 0) that the filters of `pid`
 * keep from arriving, separated by spaces, into buf. Stops the process for a moment, as a tracer
 * does; waits at most two seconds for that. 0; -ETIMEDOUT: it does not stop; -EPERM: it has a
 * tracer; -E2BIG. For a process that does nothing else meanwhile. */
int filter_read_refused(pid_t pid, char *buf, size_t size);

#endif
