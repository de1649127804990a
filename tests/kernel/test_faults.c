// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The supervisor is killed at every step of the pipeline, by fault points of a test build, while a
 * container hammers. Of each call is looked at afterwards what it was told and what is there: nobody
 * sees ENOSYS, nothing is done twice, nothing stays stopped, and what was performed and not answered
 * has been taken back, with one event.
 *
 * WARDER_FAULTS_ALL=1 goes through every kind of call at every step.
 */
#include "fault_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fault.h"

#define JOURNAL_PATH "/run/warder-faults.journal"
#define AT "/mnt/faults"
#define TRIES 1600 /* of 50 ms, for a point to be reached: on a busy host most answers come late */

static const char policy[] =
	"policy: t\ndefaults: {namespace: allow}\n"
	"override:\n"
	"  - {on: mount, type: tmpfs, target: " AT "/**, do: perform}\n"
	"  - {on: mknod, node: 'c 1:3', target: " AT "/h*, do: 'handler:h', deadline: 30s}\n"
	"  - {on: mknod, node: 'c 1:3', target: " AT "/**, do: perform}\n"
	"  - {on: setxattr, target: " AT "/**, do: perform}\n"
	"  - {on: sethostname, do: perform}\n"
	"  - {on: setpriority, priority: {nice: '>=-15'}, do: perform}\n"
	"  - {on: remount, target: " AT "/**, do: perform}\n"
	"  - {on: move, source: " AT "/p*, target: " AT "/p*, do: perform}\n";

/* Each of the first ones is about a new name, each of the others changes one state. */
enum kind { MOUNT, MKNOD, XATTR, HANDLED, HOST, NICE, REMOUNT, MOVE, KINDS };
#define FRESH (1u << MOUNT | 1u << MKNOD | 1u << XATTR | 1u << HANDLED)
#define ALL ((1u << KINDS) - 1)

#define CALLS 65536
#define EVENTS 4096

struct call {
	unsigned char kind, done;
	short result; /* errno */
};

static struct shared {
	unsigned kinds; /* that are hammered */
	int pause, paused[2], end;
	unsigned calls, checked, events;
	int state[KINDS]; /* what the last success made */
	int granted;
	char host[65];
	struct call call[CALLS];
	struct event {
		__u32 op;
		int performed, undone, result, recovered;
		char target[64];
		char reason[128];
	} event[EVENTS];
} *sh;

static __u32 slot;
static pid_t hammer_pid[2];

/* ------------------------------------------------------------------------ the container */

static const char *name_of(enum kind k, unsigned n)
{
	static char text[64];

	snprintf(text, sizeof(text), AT "/%c%u", "mnxh"[k], n);
	return text;
}

static int call_fresh(enum kind k, unsigned n)
{
	const char *name = name_of(k, n);

	switch (k) {
	case MOUNT:
		return mkdir(name, 0700) ? 240 : h_errno(mount("none", name, "tmpfs", 0, NULL));
	case XATTR:
		if (mknod(name, S_IFREG | 0600, 0))
			return 241;
		return h_errno(setxattr(name, "trusted.overlay.opaque", "y", 1, 0));
	default:
		return h_errno(mknod(name, S_IFCHR | 0600, makedev(1, 3)));
	}
}

static int call_state(enum kind k, int *ret_state)
{
	const char *places[] = { AT "/p0", AT "/p1" };
	int state = sh->state[k] + 1;
	char host[16];

	*ret_state = state;
	switch (k) {
	case HOST:
		return h_errno(sethostname(host, (size_t)snprintf(host, sizeof(host), "h%d", state)));
	case NICE:
		*ret_state = state > 15 ? 1 : state;
		/* What was performed and not answered yet the kernel would allow by itself. */
		if (getpriority(PRIO_PROCESS, 0) != -sh->state[k])
			return EACCES;
		return h_errno(setpriority(PRIO_PROCESS, 0, -*ret_state));
	case REMOUNT:
		return h_errno(mount(NULL, AT "/r", NULL, MS_REMOUNT | MS_BIND | (state % 2 ? MS_NOEXEC : 0),
				     NULL));
	default:
		return h_errno(mount(places[!(state % 2)], places[state % 2], NULL, MS_MOVE, NULL));
	}
}

/* One with new names, one with states, so that two calls are under way at times. */
static int hammer(void *arg)
{
	int states = *(int *)arg, turn = 0;

	if ((states && (unshare(CLONE_NEWUTS) || sethostname("h0", 2))) || h_drop_capabilities())
		return 250;
	while (!__atomic_load_n(&sh->end, __ATOMIC_ACQUIRE)) {
		unsigned mask = sh->kinds & (states ? ~FRESH : FRESH), n;
		int state = 0, result;
		enum kind k;

		__atomic_store_n(&sh->paused[states], sh->pause || !mask, __ATOMIC_SEQ_CST);
		if (sh->pause || !mask) {
			/* For the look at it from outside. */
			if (states)
				gethostname(sh->host, sizeof(sh->host));
			usleep(5000);
			continue;
		}
		do
			k = (enum kind)(turn++ % KINDS);
		while (!(mask >> k & 1));
		n = __atomic_fetch_add(&sh->calls, 1, __ATOMIC_SEQ_CST) % CALLS;
		sh->call[n] = (struct call){ .kind = (unsigned char)k };
		result = states ? call_state(k, &state) : call_fresh(k, n);
		if (states && !result)
			sh->state[k] = state;
		sh->call[n].result = (short)result;
		__atomic_store_n(&sh->call[n].done, 1, __ATOMIC_RELEASE);
		/* One that was refused leaves the other one the host's only place to wait in. */
		usleep(result ? 30000 : 1000);
	}
	return 0;
}

/* ----------------------------------------------------------------------- the supervisor */

static void outcome(void *arg, const struct override_outcome *out)
{
	unsigned n = __atomic_fetch_add(&sh->events, 1, __ATOMIC_SEQ_CST) % EVENTS;
	struct event *e = &sh->event[n];

	(void)arg;
	e->op = out->icept.op;
	e->performed = out->performed;
	e->undone = out->undone;
	e->result = out->result;
	e->recovered = strstr(out->reason, "ended before it") != NULL;
	snprintf(e->target, sizeof(e->target), "%.63s", out->target);
	snprintf(e->reason, sizeof(e->reason), "%.127s", out->reason);
}

static int on_ask(void *arg, const struct override_ask *ask)
{
	struct override_answer a = { .cookie = ask->cookie, .says = OVERRIDE_SAYS_PERFORM };

	(void)arg;
	return override_answer(faults.override, &a);
}

/* --------------------------------------------------------------------------- looking at it */

static void hammers_pause(int pause)
{
	__atomic_store_n(&sh->pause, pause, __ATOMIC_SEQ_CST);
	/* A task that stays stopped never says so. */
	for (int i = 0; pause && !(sh->paused[0] && sh->paused[1]); i++) {
		if (i == 2000)
			fail_msg("a task of the container does not go on");
		usleep(10000);
	}
	/* They have looked at what it says since. */
	if (pause)
		usleep(20000);
}

static void hammers_are_free(void)
{
	char path[64], line[128];

	for (int i = 0; i < 2; i++) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/status", hammer_pid[i]);
		f = fopen(path, "r");
		assert_non_null(f);
		while (fgets(line, sizeof(line), f)) {
			if (!strncmp(line, "State:", 6) && strchr("Tt", line[7]))
				fail_msg("stopped: %s", line);
			if (!strncmp(line, "TracerPid:", 10))
				assert_int_equal(atoi(line + 10), 0);
		}
		fclose(f);
		assert_int_equal(sched_getscheduler(hammer_pid[i]), SCHED_OTHER);
	}
}

/* What each call since the last look was told, and what is there. */
static void calls_check(const char *where)
{
	for (; sh->checked < sh->calls; sh->checked++) {
		const struct call *c = &sh->call[sh->checked % CALLS];
		const char *name;
		int there = 0;
		char value;

		if (c->result && c->result != (c->kind == NICE ? EACCES : EPERM))
			fail_msg("%s: a call of kind %d was told errno %d", where, c->kind, c->result);
		if (c->kind >= HOST)
			continue;
		name = name_of((enum kind)c->kind, sh->checked % CALLS);
		if (c->kind == MOUNT)
			there = rig_mounted(name, NULL, 0);
		else if (c->kind == XATTR)
			there = getxattr(name, "trusted.overlay.opaque", &value, 1) == 1;
		else
			there = !access(name, F_OK);
		if (there != !c->result)
			fail_msg("%s: %s is there %d times, and its caller was told %d", where, name, there,
				 c->result);
		if (c->kind == MOUNT && there)
			umount2(name, MNT_DETACH);
		if (c->kind == MOUNT)
			rmdir(name);
		else
			unlink(name);
	}
}

static void states_check(const char *where)
{
	char line[1024] = "", host[16];

	snprintf(host, sizeof(host), "h%d", sh->state[HOST]);
	if (strcmp(sh->host, host))
		fail_msg("%s: the host name is %s, the caller has been told %s", where, sh->host, host);
	if (getpriority(PRIO_PROCESS, (id_t)hammer_pid[1]) != -sh->state[NICE])
		fail_msg("%s: the nice value is %d, the caller has been told %d", where,
			 getpriority(PRIO_PROCESS, (id_t)hammer_pid[1]), -sh->state[NICE]);
	assert_int_equal(rig_mounted(AT "/r", line, sizeof(line)), 1);
	if (!!strstr(line, "noexec") != sh->state[REMOUNT] % 2)
		fail_msg("%s: the caller has been told %d, %s", where, sh->state[REMOUNT] % 2, line);
	if (rig_mounted(AT "/p0", NULL, 0) != !(sh->state[MOVE] % 2) ||
	    rig_mounted(AT "/p1", NULL, 0) != sh->state[MOVE] % 2)
		fail_msg("%s: the mount is not where the caller was told, %d", where, sh->state[MOVE] % 2);
}

struct point {
	const char *name;
	unsigned kinds;
	int alone;   /* the executor dies, the supervisor does not */
	int undone;  /* events that say so, afterwards; -1: not looked at */
	int told;    /* 1: the caller has been told that it is done */
};

static void events_check(const struct point *p, unsigned since)
{
	int undone = 0, recovered = 0;

	for (unsigned i = since; i < sh->events; i++) {
		const struct event *e = &sh->event[i % EVENTS];

		undone += e->undone;
		recovered += e->recovered;
		for (unsigned k = since; e->undone && *e->target && k < i; k++)
			if (sh->event[k % EVENTS].undone && !strcmp(sh->event[k % EVENTS].target, e->target))
				fail_msg("%s: %s was taken back twice", p->name, e->target);
	}
	if (p->undone >= 0 && undone != p->undone) {
		for (unsigned i = since; i < sh->events; i++)
			print_message("# %s: %s\n", sh->event[i % EVENTS].target,
				      sh->event[i % EVENTS].reason);
		fail_msg("%s (kinds %x): %d events say undone, not %d", p->name, p->kinds, undone, p->undone);
	}
	if (!p->alone && (p->undone > 0 || p->told))
		assert_int_equal(recovered, 1);
}

/* One point: the supervisor has been looked at, and nothing is under way. */
static void point_go_through(const struct point *p)
{
	unsigned since;
	int status, i;

	sh->kinds = p->kinds;
	fault_plan->hit = 0;
	fault_plan->after = 1;
	fault_plan->victim = p->alone ? 0 : faults.supervisor;
	strcpy(fault_plan->name, p->name);
	since = sh->events;
	hammers_pause(0);
	for (i = 0; i < TRIES && !__atomic_load_n(&fault_plan->hit, __ATOMIC_ACQUIRE); i++)
		usleep(50000);
	if (i == TRIES)
		for (unsigned k = sh->events > 8 ? sh->events - 8 : 0; k < sh->events; k++)
			print_message("# %s: %s\n", sh->event[k % EVENTS].target, sh->event[k % EVENTS].reason);
	if (i == TRIES)
		fail_msg("%s (kinds %x) was not reached by %u calls", p->name, p->kinds, sh->calls);
	if (!p->alone) {
		assert_int_equal(waitpid(faults.supervisor, &status, 0), faults.supervisor);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		/* What was told before it died was in the order of things. */
		since = sh->events;
		usleep(20000); /* the container goes on without one */
	}
	hammers_pause(1);
	if (!p->alone) {
		strcpy(fault_plan->name, "");
		faults_supervisor_start();
	}
	faults_journal_is_empty();
	hammers_are_free();
	calls_check(p->name);
	states_check(p->name);
	events_check(p, since);
}

/* Every step once, then what each kind of call has for being taken back. */
static const struct point points[] = {
	{ "seized", ALL, .undone = 0 },
	{ "claimed", ALL, .undone = 0 },
	{ "boosted", ALL, .undone = 0 },
	{ "stopped", ALL, .undone = 0 },
	{ "copying", ALL, .undone = 0 },
	{ "executor-copied", ALL, .undone = 0 },
	{ "copied", ALL, .undone = 0 },
	{ "decided", ALL, .undone = 0 },
	{ "executor-made", 1u << MOUNT, .undone = 0 },
	{ "made", 1u << MOUNT, .undone = 0 },
	{ "journaled", 1u << MOUNT, .undone = 0 },
	{ "journaled", 1u << MKNOD, .undone = 0 },
	{ "executor-attached", 1u << MOUNT, .undone = 1 },
	{ "performed", 1u << MOUNT, .undone = 1 },
	{ "before-answer", 1u << MOUNT, .undone = 1 },
	{ "executor-noted", 1u << MKNOD, .undone = 0 },
	{ "executor-performed", 1u << MKNOD, .undone = 1 },
	{ "performed", 1u << XATTR, .undone = 1 },
	{ "before-answer", 1u << HOST, .undone = 1 },
	{ "executor-performed", 1u << NICE, .undone = 1 },
	{ "before-answer", 1u << REMOUNT, .undone = 1 },
	{ "before-answer", 1u << MOVE, .undone = 1 },
	{ "asking", 1u << HANDLED, .undone = 0 },
	{ "asked", 1u << HANDLED, .undone = 0 },
	{ "granted", 1u << HANDLED, .undone = 0 },
	{ "before-answer", 1u << HANDLED, .undone = 1 },
	{ "result-set", 1u << MOUNT, .undone = 0 },
	{ "after-answer", 1u << MKNOD, .undone = 0, .told = 1 },
	{ "after-answer", 1u << MOVE, .undone = 0, .told = 1 },
	{ "executor-copied", ALL, .alone = 1, .undone = 0 },
	{ "executor-noted", 1u << MKNOD, .alone = 1, .undone = 0 },
	{ "executor-performed", 1u << MOVE, .alone = 1, .undone = 1 },
	{ "executor-attached", 1u << MOUNT, .alone = 1, .undone = 1 },
};

static void test_points(void **state)
{
	__u64 begun = clock_now_ms();

	(void)state;
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
		point_go_through(&points[i]);
	print_message("# %zu points in %llu ms: %u calls, %u events\n", sizeof(points) / sizeof(points[0]),
		      clock_now_ms() - begun, sh->calls, sh->events);
}

/* Every kind at every step that it comes by. */
static void test_all(void **state)
{
	static const char *const late[] = { "executor-performed", "performed", "before-answer" };
	static const char *const early[] = { "seized", "claimed", "boosted", "stopped", "copying",
					     "executor-copied", "copied", "decided", "journaled" };
	static const char *const told[] = { "after-answer" };

	(void)state;
	for (unsigned k = 0; k < KINDS; k++) {
		for (size_t i = 0; i < sizeof(early) / sizeof(early[0]); i++)
			point_go_through(&(struct point){ early[i], 1u << k, .undone = 0 });
		for (size_t i = k == MOUNT; i < sizeof(late) / sizeof(late[0]); i++)
			point_go_through(&(struct point){ late[i], 1u << k, .undone = 1 });
		for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++)
			point_go_through(&(struct point){ told[i], 1u << k, .undone = 0, .told = 1 });
	}
}

static int setup(void **state)
{
	static int which[2] = { 0, 1 };

	(void)state;
	sh = h_shared(sizeof(*sh));
	if (fault_prepare() || faults_setup(JOURNAL_PATH, outcome, on_ask))
		return -1;
	h_shell("mkdir -p " AT "; mount -t tmpfs none " AT "; cd " AT "; mkdir r p0 p1");
	if (mount("none", AT "/r", "tmpfs", MS_NOSUID | MS_NODEV, NULL) ||
	    mount("none", AT "/p0", "tmpfs", MS_NOSUID | MS_NODEV, NULL))
		return -1;
	slot = rig_container(policy);
	faults_supervisor_start();
	sh->pause = 1;
	for (int i = 0; i < 2; i++)
		hammer_pid[i] = h_start((int)slot, hammer, &which[i]);
	hammers_pause(1);
	return 0;
}

static int teardown(void **state)
{
	__atomic_store_n(&sh->end, 1, __ATOMIC_SEQ_CST);
	faults_teardown(state);
	for (int i = 0; i < 2; i++)
		rig_wait(hammer_pid[i]);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_points) };
	const struct CMUnitTest all[] = { cmocka_unit_test(test_points), cmocka_unit_test(test_all) };

	return getenv("WARDER_FAULTS_ALL") ? cmocka_run_group_tests(all, setup, teardown) :
					     cmocka_run_group_tests(tests, setup, teardown);
}
