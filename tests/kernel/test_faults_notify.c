// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The supervisor is killed at every step of what it does for a call that a seccomp filter asks about,
 * by fault points of a test build, and then the keeper. A container mounts by the new API meanwhile: it
 * never sees ENOSYS, none of its calls waits for ever, and what it was told is what is there, once.
 */
#include "fault_rig.h"
#include "notify_rig.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "container.h"
#include "fault.h"
#include "keeper.h"

#define JOURNAL_PATH "/run/warder-faults-notify.journal"
#define RUN_DIR "/run/warder-faults-notify"
#define AT "/mnt/faults"
#define CALLS 8192

static const char policy[] =
	"policy: t\ndefaults: {namespace: allow}\n"
	"override: [{on: mount, type: tmpfs, target: " AT "/**, deadline: 20s, do: perform}]\n";

static struct shared {
	volatile int pause, paused, end;
	unsigned calls, checked, done, undone, recovered;
	struct {
		short result, step;
	} call[CALLS];
} *sh;

static int inflight_fd, exe_fd, listener = -1;
static __u32 slot;
static pid_t hammer_pid;

/* ------------------------------------------------------------------------ the container */

static int hammer(void *arg)
{
	(void)arg;
	while (!sh->end) {
		char name[64];
		const struct new_mount m = { .type = "tmpfs", .source = "none", .target = name };
		unsigned n = sh->calls;

		sh->paused = sh->pause;
		if (sh->paused) {
			usleep(2000);
			continue;
		}
		snprintf(name, sizeof(name), AT "/n%u", n);
		if (mkdir(name, 0700) || n == CALLS)
			return 242;
		sh->call[n].result = (short)new_mount((void *)&m);
		sh->call[n].step = (short)notified->step;
		sh->done += !sh->call[n].result;
		__atomic_store_n(&sh->calls, n + 1, __ATOMIC_SEQ_CST);
		usleep(5000);
	}
	return 0;
}

/* ----------------------------------------------------------------------- the supervisor */

static void outcome(void *arg, const struct override_outcome *out)
{
	(void)arg;
	sh->undone += out->undone;
	sh->recovered += strstr(out->reason, "ended before it") != NULL;
}

static void take(void *arg, __u64 cid, __u32 its_slot, int fd)
{
	(void)arg;
	override_listen(faults.override, cid, its_slot, fd);
}

/* The first one has the listener from us, later ones from the keeper. */
static int listener_take(struct warder_error *e)
{
	struct keeper *k;

	if (keeper_open(&k, RUN_DIR, exe_fd, inflight_fd, e))
		return -1;
	if (listener < 0)
		return keeper_each(k, take, NULL, e) == 1 ? 0 : -1;
	if (keeper_add(k, h_cid(slot), slot, listener, e))
		return -1;
	take(NULL, h_cid(slot), slot, listener);
	return 0;
}

/* --------------------------------------------------------------------------- looking at it */

static void hammer_pause(int pause)
{
	sh->pause = pause;
	/* A call that waits for ever never lets it say so. */
	for (int i = 0; pause && !sh->paused; i++) {
		if (i == 3000)
			fail_msg("a call of the container is not answered: step %d",
				 notified->step);
		usleep(10000);
	}
}

static void calls_check(const char *where)
{
	for (; sh->checked < sh->calls; sh->checked++) {
		int err = sh->call[sh->checked].result, there;
		char name[64];

		snprintf(name, sizeof(name), AT "/n%u", sh->checked);
		there = rig_mounted(name, NULL, 0);
		if (err && err != EPERM)
			fail_msg("%s: errno %d at step %d", where, err, sh->call[sh->checked].step);
		if (there != !err)
			fail_msg("%s: %s is there %d times, its caller was told %d at step %d", where, name,
				 there, err, sh->call[sh->checked].step);
		if (there)
			assert_int_equal(umount2(name, MNT_DETACH), 0);
		rmdir(name);
	}
}

/* Until it has succeeded `n` times more. */
static void succeeds(unsigned n)
{
	unsigned before = sh->done;

	hammer_pause(0);
	for (int i = 0; sh->done < before + n; i++) {
		if (i == 6000)
			fail_msg("%u mounts of %u succeed", sh->done - before, n);
		usleep(10000);
	}
	hammer_pause(1);
}

static const struct point {
	const char *name;
	int after; /* the how manieth time: one mount has five calls */
	unsigned undone, recovered;
} points[] = {
	{ "notified", 1, 0, 0 },	  { "notified", 5, 0, 0 },
	{ "copying", 1, 0, 0 },		  { "executor-copied", 1, 0, 0 },
	{ "decided", 1, 0, 0 },		  { "executor-giving", 1, 0, 0 },
	{ "executor-given", 1, 0, 0 },	  { "answering", 1, 0, 0 },
	{ "executor-made", 1, 0, 0 },	  { "made", 1, 0, 0 },
	/* Written down, and not attached yet: there is nothing to take back, and an event. */
	{ "journaled", 1, 0, 1 },	  { "executor-attached", 1, 1, 1 },
	{ "performed", 1, 1, 1 },	  { "before-answer", 1, 1, 1 },
	{ "after-answer", 1, 0, 1 },
};

static void test_points(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		const struct point *p = &points[i];
		int status;

		strcpy(fault_plan->name, p->name);
		fault_plan->hit = 0;
		fault_plan->after = p->after;
		fault_plan->victim = faults.supervisor;
		sh->undone = sh->recovered = 0;
		hammer_pause(0);
		for (int t = 0; !__atomic_load_n(&fault_plan->hit, __ATOMIC_ACQUIRE); t++) {
			if (t == 3000)
				fail_msg("%s was not reached by %u calls", p->name, sh->calls);
			usleep(10000);
		}
		assert_int_equal(waitpid(faults.supervisor, &status, 0), faults.supervisor);
		strcpy(fault_plan->name, "");
		faults_supervisor_start();
		hammer_pause(1);
		faults_journal_is_empty();
		calls_check(p->name);
		if (sh->undone != p->undone || sh->recovered != p->recovered)
			fail_msg("%s: %u were taken back, %u found in the journal", p->name, sh->undone,
				 sh->recovered);
		/* The next one answers. */
		succeeds(1);
		calls_check(p->name);
	}
	print_message("# %u calls, %u mounts\n", sh->calls, sh->done);
}

static pid_t keeper_pid(void)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	pid_t found = 0;

	assert_non_null(d);
	while ((e = readdir(d))) {
		char path[300], comm[32] = "";
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%.20s/comm", e->d_name);
		f = atoi(e->d_name) ? fopen(path, "r") : NULL;
		if (f && fgets(comm, sizeof(comm), f) && !strcmp(comm, "warder-keeper\n"))
			found = atoi(e->d_name);
		if (f)
			fclose(f);
	}
	closedir(d);
	return found;
}

/* The keeper is killed: as long as there is a supervisor the container does not notice. */
static void test_keeper(void **state)
{
	pid_t pid = keeper_pid();

	(void)state;
	assert_true(pid > 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	succeeds(3);
	calls_check("without a keeper");
}

static int setup(void **state)
{
	struct notified_call call = { .fn = hammer };
	struct warder_error e = { "" };

	(void)state;
	notify_setup();
	sh = h_shared(sizeof(*sh));
	inflight_fd = memfd_create("inflight", MFD_CLOEXEC);
	exe_fd = container_seal_exe(&e);
	if (inflight_fd < 0 || ftruncate(inflight_fd, OVERRIDE_INFLIGHT_SIZE) || exe_fd < 0)
		return -1;
	faults.options.inflight =
		mmap(NULL, OVERRIDE_INFLIGHT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, inflight_fd, 0);
	faults.started = listener_take;
	if (faults.options.inflight == MAP_FAILED || fault_prepare() ||
	    faults_setup(JOURNAL_PATH, outcome, NULL))
		return -1;
	h_shell("mkdir -p " AT " " RUN_DIR);
	if (mount("none", AT, "tmpfs", 0, NULL))
		return -1;
	slot = rig_container(policy);
	sh->pause = 1;
	hammer_pid = notify_start(slot, &call, &listener);
	faults_supervisor_start();
	/* From here on only it and the keeper have the listener. */
	close(listener);
	listener = -1;
	__atomic_store_n(&notified->go, 1, __ATOMIC_RELEASE);
	hammer_pause(1);
	return 0;
}

static int teardown(void **state)
{
	sh->end = 1;
	rig_wait(hammer_pid);
	return faults_teardown(state);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_points), cmocka_unit_test(test_keeper) };

	keeper_main(argc, argv);
	return cmocka_run_group_tests(tests, setup, teardown);
}
