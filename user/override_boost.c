// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A claimed thread has to run once more before it can be answered: out of the program that it
 * waits in, to its stop. The override thread, whose priority is real-time, may have taken its CPU
 * from it, and then it stands in a row behind everything ordinary: on kernels that preempt, busy
 * containers would hold the claims of others up for as many time slices as they have threads. So
 * it is lifted above ordinary threads for this distance, in which it executes nothing of its own.
 *
 * What it had is kept in the journal meanwhile: a supervisor that is killed must not leave a
 * container a thread at real-time priority.
 */
#include <sched.h>

#include "override_job.h"

#define BOOST_PRIORITY 1 /* below the override thread and the executors */
#define BOOST_POLICY (SCHED_RR | SCHED_RESET_ON_FORK)

void boost_begin(struct override *o, struct job *j)
{
	const struct sched_param param = { .sched_priority = BOOST_PRIORITY };
	struct journal_boost b = { .tid = j->tid };

	if (j->boosted || j->boost_failed)
		return;
	j->boost_failed = 1;
	b.policy = sched_getscheduler(j->tid);
	if (b.policy < 0)
		return;
	/* One that has such a priority already needs nothing; deadlines are not ours to change. */
	switch (b.policy & ~SCHED_RESET_ON_FORK) {
	case SCHED_OTHER:
	case SCHED_BATCH:
	case SCHED_IDLE:
		break;
	default:
		return;
	}
	if (journal_boost_write(o->journal, job_index(o, j), &b))
		return;
	if (sched_setscheduler(j->tid, BOOST_POLICY, &param)) {
		journal_boost_clear(o->journal, job_index(o, j));
		return;
	}
	j->boosted = 1;
	j->policy = b.policy;
}

void boost_end(struct override *o, struct job *j)
{
	const struct sched_param param = { 0 };

	if (!j->boosted)
		return;
	/* Fails only when it is gone. Nice and time slice are as they were. */
	sched_setscheduler(j->tid, j->policy, &param);
	journal_boost_clear(o->journal, job_index(o, j));
	j->boosted = 0;
}

/* An earlier supervisor's. The number may be another thread's by now, but hardly one with just
 * this policy and priority, which a container cannot take by itself. */
void boost_recover(struct override *o)
{
	for (unsigned i = 0; i < JOBS; i++) {
		struct sched_param param = { 0 };
		struct journal_boost b;

		if (!journal_boost_read(o->journal, i, &b))
			continue;
		if (sched_getscheduler(b.tid) == BOOST_POLICY && !sched_getparam(b.tid, &param) &&
		    param.sched_priority == BOOST_PRIORITY) {
			param.sched_priority = 0;
			sched_setscheduler(b.tid, b.policy, &param);
		}
		journal_boost_clear(o->journal, i);
	}
}
