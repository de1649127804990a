/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The supervisor: one per host, one loop in one thread; the override pipeline has its own. */
#ifndef WARDER_SUPERVISOR_H
#define WARDER_SUPERVISOR_H

#include "log.h"

struct supervisor_options {
	const char *run_dir; /* NULL: WARDER_RUN_DIR */
	int on_demand; /* leave when the last container is gone */
	int ready_fd; /* >= 0: "ok" or one sentence is written here when started or not */
	unsigned wait_bound_us; /* how long a refused call may wait; 0: the built-in 500 */
	int no_kernel; /* unit tests only: no loader, so nothing is enforced; no program sets it */
};

/* Starts, runs until told to leave, cleans up. 0; -EALREADY: another one runs (on demand only);
 * other -errno with a sentence: not started and nothing left behind. */
int supervisor_run(const struct supervisor_options *options, struct warder_error *reterr);

#endif
