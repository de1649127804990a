/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tests that kill the supervisor share. It is a child of the test, with the loaded programs, so
 * that its death and the next one's start cost no loading; it stays in the host's mount namespace, and
 * the test's own becomes the container's.
 */
#ifndef WARDER_FAULT_RIG_H
#define WARDER_FAULT_RIG_H

#include "override_rig.h"

extern struct fault_rig {
	struct override_options options;
	struct override_callbacks callbacks;
	int (*started)(struct warder_error *e); /* in it, when its override thread runs; NULL: nothing */
	pid_t supervisor;
	struct override *override; /* in it */
} faults;

/* Programs and namespaces; `outcome` and `ask` (may be NULL) are called in the supervisor. */
int faults_setup(const char *journal, void (*outcome)(void *arg, const struct override_outcome *out),
		 int (*ask)(void *arg, const struct override_ask *ask));
/* Kills the supervisor. */
int faults_teardown(void **state);

/* Returns when it answers. */
void faults_supervisor_start(void);
/* Once it has told of what it found there. */
void faults_journal_is_empty(void);

#endif
