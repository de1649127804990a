/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Places at which a test has the supervisor die. In a test build (WARDER_FAULTS) only: in the product
 * nothing is left of them.
 */
#ifndef WARDER_FAULT_H
#define WARDER_FAULT_H

#ifdef WARDER_FAULTS
#include <sys/types.h>

/* Shared with all children. The process `victim` (0: who comes by) gets SIGKILL when `name` is passed
 * for the `after`th time; `hit` is set before. */
struct fault_plan {
	char name[40];
	int after;
	int hit;
	pid_t victim;
};
/* NULL until fault_prepare() has been called, before anything is forked. */
extern struct fault_plan *fault_plan;
int fault_prepare(void);
void fault_point(const char *name);
#define FAULT(name) fault_point(name)
#else
#define FAULT(name) ((void)0)
#endif

#endif
