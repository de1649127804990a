// SPDX-License-Identifier: LGPL-2.1-or-later
#include "fault_rig.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct fault_rig faults;

static int host_mntns = -1;

_Noreturn static void supervisor_main(int ready)
{
	struct warder_error e = { "" };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (setns(host_mntns, CLONE_NEWNS) ||
	    override_new(&faults.override, h_load(), &faults.callbacks, &faults.options, &e) ||
	    override_start(faults.override, &e) || (faults.started && faults.started(&e)) ||
	    write(ready, "x", 1) != 1) {
		fprintf(stderr, "# %s\n", e.text);
		_exit(1);
	}
	for (;;)
		pause();
}

void faults_supervisor_start(void)
{
	int ready[2];
	char byte;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	faults.supervisor = fork();
	if (!faults.supervisor)
		supervisor_main(ready[1]);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
}

void faults_journal_is_empty(void)
{
	struct journal_entry entry;
	struct warder_error e;
	struct journal *j;
	int used = 1;

	assert_int_equal(journal_open(&j, faults.options.journal, &e), 0);
	for (int i = 0; i < 1000 && used; i++) {
		used = 0;
		for (unsigned k = 0; k < JOURNAL_PLACES; k++)
			used += journal_read(j, k, &entry);
		usleep(used ? 10000 : 0);
	}
	journal_close(j);
	if (used)
		fail_msg("%d entries stay in the journal", used);
	usleep(30000); /* the event comes after the entry has been cleared */
}

int faults_setup(const char *journal, void (*outcome)(void *arg, const struct override_outcome *out),
		 int (*ask)(void *arg, const struct override_ask *ask))
{
	unlink(journal);
	faults.options.journal = journal;
	faults.callbacks = rig.callbacks;
	faults.callbacks.outcome = outcome;
	faults.callbacks.ask = ask;
	rig_load();
	host_mntns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	return host_mntns < 0 ? -1 : h_own_mounts(0);
}

int faults_teardown(void **state)
{
	kill(faults.supervisor, SIGKILL);
	waitpid(faults.supervisor, NULL, 0);
	unlink(faults.options.journal);
	return rig_teardown(state);
}
