// SPDX-License-Identifier: LGPL-2.1-or-later
/* Overrides by handoff, end to end: callers know nothing of it. */
#include "override_rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUN(slot, ...) rig_run((int)(slot), rig_mount, &(struct rig_call){ __VA_ARGS__ })
#define RESULT_OF(expected, why, ...) \
	RESULT(expected, why, rig_mount, (&(struct rig_call){ __VA_ARGS__ }))

static void test_tmpfs(void **state)
{
	__u32 slot = rig_container(rig_policy);
	int before = rig.outcomes;
	struct statfs fs;

	(void)state;
	RESULT_OF(0, "", .target = "/mnt/scratch/a", .type = "tmpfs");
	assert_non_null(strstr(rig_line("/mnt/scratch/a"), "nosuid,nodev"));
	assert_int_equal(statfs("/mnt/scratch/a", &fs), 0);
	assert_int_equal(fs.f_blocks * (unsigned long)fs.f_bsize, 64 << 20);
	assert_string_equal(rig_outcome_wait(before, 1)->target, "/mnt/scratch/a");
	assert_int_equal(rig.last.performed, 1);
	assert_int_equal(rig.last.result, 0);
	assert_int_not_equal(rig.last.rule, 0);
	umount2("/mnt/scratch/a", MNT_DETACH);
	RESULT_OF(0, "", .target = "/mnt/scratch/a", .type = "tmpfs", .data = "size=1M");
	assert_int_equal(statfs("/mnt/scratch/a", &fs), 0);
	assert_int_equal(fs.f_blocks * (unsigned long)fs.f_bsize, 1 << 20);
	umount2("/mnt/scratch/a", MNT_DETACH);
	/* Without the tag nothing of this happens: we are the host's root. */
	assert_int_equal(rig_run(-1, rig_mount, &(struct rig_call){ .target = "/mnt/scratch/b",
							     .type = "tmpfs" }), 0);
	umount2("/mnt/scratch/b", MNT_DETACH);
}

static void test_refusals(void **state)
{
	__u32 slot = rig_container(rig_policy);

	(void)state;
	RESULT_OF(EPERM, "does not allow the target /mnt/other", .target = "/mnt/other", .type = "tmpfs");
	RESULT_OF(EPERM, "bounds option size", .target = "/mnt/scratch/a", .type = "tmpfs", .data = "size=65M");
	RESULT_OF(EPERM, "no limit", .target = "/mnt/scratch/a", .type = "tmpfs", .data = "size=0");
	RESULT_OF(EPERM, "nr_blocks", .target = "/mnt/scratch/a", .type = "tmpfs",
	      .data = "size=1M,nr_blocks=99999999");
	RESULT_OF(EPERM, "type tmpfs", .target = "/mnt/scratch/a", .type = "ramfs");
	RESULT_OF(EPERM, "link of /proc", .target = "/proc/self/cwd", .type = "tmpfs", .dir = "/mnt/scratch/a");
	RESULT_OF(EPERM, "never overridden", .target = "/mnt/scratch/denied", .type = "tmpfs");
	RESULT_OF(EPERM, "uid 0", .target = "/mnt/scratch/a", .type = "tmpfs", .uid = 1000);
	assert_int_not_equal(rig.last.near_rule, 0);
	RESULT_OF(EPERM, "offers", .source = "/srv", .target = "/mnt/scratch/bind", .flags = MS_BIND);
	assert_int_equal(rig_mounted("/mnt/scratch/a", NULL, 0), 0);
	assert_int_equal(rig_mounted("/mnt/scratch/denied", NULL, 0), 0);
}

static void test_paths(void **state)
{
	__u32 slot = rig_container(rig_policy);

	(void)state;
	RESULT_OF(0, "", .target = "deep", .type = "tmpfs", .dir = "/mnt/scratch/a");
	assert_int_equal(rig_mounted("/mnt/scratch/a/deep", NULL, 0), 1);
	umount2("/mnt/scratch/a/deep", MNT_DETACH);
	RESULT_OF(0, "", .target = "/mnt/scratch/link", .type = "tmpfs");
	assert_int_equal(rig_mounted("/mnt/scratch/a", NULL, 0), 1);
	umount2("/mnt/scratch/a", MNT_DETACH);
	/* Its name is the container's, whatever the caller's root is. */
	RESULT_OF(0, "", .target = "/a", .type = "tmpfs", .root = "/mnt/scratch", .dir = "/");
	assert_int_equal(rig_mounted("/mnt/scratch/a", NULL, 0), 1);
	umount2("/mnt/scratch/a", MNT_DETACH);
	assert_int_equal(RUN(slot, .target = "/mnt/scratch/a", .type = "tmpfs", .root = "/srv"),
			 ENOENT);
}

static void test_bind(void **state)
{
	__u32 slot = rig_container(rig_policy);
	struct statvfs fs;

	(void)state;
	RESULT_OF(0, "", .source = "/srv/assets", .target = "/mnt/scratch/bind", .flags = MS_BIND);
	assert_int_equal(access("/mnt/scratch/bind/file", R_OK), 0);
	assert_int_equal(statvfs("/mnt/scratch/bind", &fs), 0);
	assert_int_equal(fs.f_flag & (ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC),
			 ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC);
	assert_int_equal(open("/mnt/scratch/bind/new", O_CREAT | O_WRONLY, 0600), -1);
	assert_int_equal(errno, EROFS);
	umount2("/mnt/scratch/bind", MNT_DETACH);
}

static void *thread_mount(void *arg)
{
	return (void *)(long)rig_mount(arg);
}

/* Neither is the leader; the second may find the first waiting and keeps its errno then. */
static int two_threads(void *arg)
{
	struct rig_call c[2] = { { .target = "/mnt/scratch/a", .type = "tmpfs" },
			     { .target = "/mnt/scratch/b", .type = "tmpfs" } };
	pthread_t t[2];
	void *got[2];

	(void)arg;
	for (int i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, thread_mount, &c[i]);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], &got[i]);
	return ((long)got[0] && (long)got[0] != EPERM) || ((long)got[1] && (long)got[1] != EPERM) ?
		       255 :
		       !got[0] + !got[1];
}

static void test_threads(void **state)
{
	__u32 slot = rig_container(rig_policy);
	int n = rig_run((int)slot, two_threads, NULL);

	(void)state;
	assert_in_range(n, 1, 2);
	assert_int_equal(rig_mounted("/mnt/scratch/a", NULL, 0) + rig_mounted("/mnt/scratch/b", NULL, 0), n);
	umount2("/mnt/scratch/a", MNT_DETACH);
	umount2("/mnt/scratch/b", MNT_DETACH);
}

/* mount(2) by the 32-bit entry; the strings lie below 4 GiB. */
static int do_mount32(void *arg)
{
	char *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	long result = 21;

	(void)arg;
	if (low == MAP_FAILED)
		return 248;
	strcpy(low, "none");
	strcpy(low + 64, "/mnt/scratch/a");
	strcpy(low + 128, "tmpfs");
	strcpy(low + 192, "size=2M");
	asm volatile("int $0x80"
		     : "+a"(result)
		     : "b"(low), "c"(low + 64), "d"(low + 128), "S"(0L), "D"(low + 192)
		     : "memory", "r8", "r9", "r10", "r11");
	return (int)-(int)result;
}

static void test_32bit(void **state)
{
	__u32 slot = rig_container(rig_policy);
	struct statfs fs;

	(void)state;
	assert_int_equal(rig_run((int)slot, do_mount32, NULL), 0);
	assert_int_equal(statfs("/mnt/scratch/a", &fs), 0);
	assert_int_equal(fs.f_blocks * (unsigned long)fs.f_bsize, 2 << 20);
	umount2("/mnt/scratch/a", MNT_DETACH);
}

/* A thread that has a tracer cannot be seized: its errno, at once. */
static int traced_go[2];

static int traced_mount(void *arg)
{
	__u64 begun;
	char byte;
	int err;

	if (read(traced_go[0], &byte, 1) != 1)
		return 247;
	begun = clock_now_ms();
	err = rig_mount(arg);
	return err != EPERM ? 255 : clock_now_ms() - begun > 20 ? 246 : 0;
}

static void test_traced(void **state)
{
	__u32 slot = rig_container(rig_policy);
	struct rig_call c = { .target = "/mnt/scratch/a", .type = "tmpfs" };
	int before = rig.outcomes;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(traced_go), 0);
	pid = h_start((int)slot, traced_mount, &c);
	assert_int_equal(ptrace(PTRACE_SEIZE, pid, NULL, NULL), 0);
	assert_int_equal(write(traced_go[1], "x", 1), 1);
	assert_int_equal(rig_wait(pid), 0);
	close(traced_go[0]);
	close(traced_go[1]);
	rig_outcome_wait(before, 1);
	assert_non_null(strstr(rig.last.reason, "tracer"));
}

/* ---------------------------------------------------------------------- stuck executors */

static void signal_executors(int sig)
{
	char path[300], comm[32];
	int signalled = 0;
	struct dirent *d;
	DIR *proc = opendir("/proc");
	FILE *f;

	assert_non_null(proc);
	while ((d = readdir(proc))) {
		if (d->d_name[0] < '1' || d->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/comm", d->d_name);
		f = fopen(path, "r");
		if (!f)
			continue;
		if (fgets(comm, sizeof(comm), f) && !strcmp(comm, "warder-exec\n")) {
			kill(atoi(d->d_name), sig);
			signalled++;
		}
		fclose(f);
	}
	closedir(proc);
	assert_int_not_equal(signalled, 0);
}

static void test_stuck_executor(void **state)
{
	struct rig_call c = { .target = "/mnt/scratch/a", .type = "tmpfs" };
	__u32 slot = rig_container(rig_policy);
	__u64 begun = clock_now_ms();
	int before = rig.outcomes;

	(void)state;
	signal_executors(SIGSTOP);
	assert_int_equal(rig_run((int)slot, rig_mount, &c), EPERM);
	assert_in_range(clock_now_ms() - begun, OVERRIDE_DEADLINE_MS - 100, OVERRIDE_DEADLINE_MS + 1500);
	rig_outcome_wait(before, 1);
	assert_non_null(strstr(rig.last.reason, "deadline"));
	assert_int_equal(rig_mounted("/mnt/scratch/a", NULL, 0), 0);
	/* The stuck one was replaced; the others are stuck still, and are passed over. */
	signal_executors(SIGCONT);
	assert_int_equal(rig_run((int)slot, rig_mount, &c), 0);
	umount2("/mnt/scratch/a", MNT_DETACH);
	signal_executors(SIGKILL);
	usleep(100000);
	for (int i = 0; i < 5; i++) {
		if (!rig_run((int)slot, rig_mount, &c))
			break;
		assert_int_not_equal(i, 4);
	}
	umount2("/mnt/scratch/a", MNT_DETACH);
}

/* ----------------------------------------------------------------------- user namespace */

static int userns_child(void)
{
	struct rig_call c = { .target = "/mnt/scratch/a", .type = "tmpfs" };
	int err = rig_owner_mount(&c);

	if (err)
		return err;
	if (!rig_mounted("/mnt/scratch/a", NULL, 0))
		return 241;
	/* Ours to write, and the flags are there to stay. */
	if (close(open("/mnt/scratch/a/file", O_CREAT | O_WRONLY, 0600)))
		return 242;
	if (rig_owner_step())
		return 243;
	/* The policy does not stand in the way now: the kernel does. */
	if (mount(NULL, "/mnt/scratch/a", NULL, MS_REMOUNT | MS_BIND, NULL) != -1 || errno != EPERM)
		return 244;
	if (mount(NULL, "/mnt/scratch/a", NULL, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV, NULL))
		return 245;
	return umount2("/mnt/scratch/a", MNT_DETACH) ? 246 : 0;
}

static void test_userns(void **state)
{
	__u32 slot = rig_container(rig_policy);

	(void)state;
	rig_in_userns(slot, userns_child, NULL);
}

/* ------------------------------------------------------------------------ late, killed */

/* How long the refused call itself took, so that fork does not count: ms, 255 if it succeeded. */
static int time_mount(void *arg)
{
	__u64 begun = clock_now_ms();

	if (rig_mount(arg) != EPERM)
		return 255;
	begun = clock_now_ms() - begun;
	return begun > 254 ? 254 : (int)begun;
}

static void test_stale_heartbeat(void **state)
{
	struct rig_call c = { .target = "/mnt/scratch/a", .type = "tmpfs" };
	__u32 slot = rig_container(rig_policy);
	int before = rig.outcomes;

	(void)state;
	rig.stall = 1;
	RUN(slot, .target = "/mnt/other", .type = "tmpfs"); /* its outcome stalls the thread */
	sleep(2);
	/* At once: below the bound of a wait. */
	assert_in_range(rig_run((int)slot, time_mount, &c), 0, 20);
	rig.stall = 0;
	rig_outcome_wait(before, 2);
	assert_non_null(strstr(rig.last.reason, "no supervisor"));
	usleep(200000);
	RESULT_OF(0, "", .target = "/mnt/scratch/a", .type = "tmpfs");
	umount2("/mnt/scratch/a", MNT_DETACH);
}

static void test_late_stop(void **state)
{
	__u32 slot = rig_container(rig_policy_stop);
	int before = rig.outcomes;
	int status;
	pid_t pid;

	(void)state;
	rig.stall = 1;
	RUN(slot, .target = "/mnt/other", .type = "ramfs");
	sleep(2);
	pid = h_start((int)slot, rig_mount, &(struct rig_call){ .target = "/mnt/scratch/a",
							   .type = "tmpfs" });
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	rig.stall = 0; /* the supervisor is back, and finds it */
	assert_int_equal(rig_wait(pid), 0);
	rig_outcome_wait(before, 2);
	assert_int_equal(rig.last.performed, 1);
	assert_int_equal(rig_mounted("/mnt/scratch/a", NULL, 0), 1);
	umount2("/mnt/scratch/a", MNT_DETACH);
}

static void test_caller_killed(void **state)
{
	__u32 slot = rig_container(rig_policy);
	int before = rig.outcomes, status;

	(void)state;
	/* Stopped and seized, nothing copied yet. */
	rig.kill_at_acquire = 1;
	status = RUN(slot, .target = "/mnt/scratch/a", .type = "tmpfs");
	if (status != RIG_REAPED)
		assert_int_equal(status, 128 + SIGKILL);
	rig_outcome_wait(before, 1);
	assert_int_equal(rig.kill_at_acquire, 0);
	assert_int_equal(rig.last.result, -EPERM);
	assert_int_equal(rig.last.performed, rig.last.undone);
	assert_int_equal(rig_mounted("/mnt/scratch/a", NULL, 0), 0);

	/* Performed, not answered: killed as soon as the journal says so. Now and then the answer
	 * is faster, and then the mount is the caller's. */
	for (int i = 0; i < 10; i++) {
		struct warder_error e = { "" };
		struct journal_entry entry;
		struct journal *j;
		pid_t pid;
		int seen = 0, was = rig.undone;

		before = rig.outcomes;
		assert_int_equal(journal_open(&j, RIG_JOURNAL, &e), 0);
		pid = h_start((int)slot, rig_mount, &(struct rig_call){ .target = "/mnt/scratch/a",
								   .type = "tmpfs" });
		do {
			for (unsigned k = 0; k < 4 && !seen; k++)
				seen = journal_read(j, k, &entry);
		} while (!seen && (waitpid(pid, &status, WNOHANG) != pid || WIFSTOPPED(status)));
		journal_close(j);
		if (seen) {
			kill(pid, SIGKILL);
			rig_wait(pid);
		}
		rig_outcome_wait(before, 1);
		if (rig.undone > was) {
			assert_int_equal(rig_mounted("/mnt/scratch/a", NULL, 0), 0);
			return;
		}
		umount2("/mnt/scratch/a", MNT_DETACH);
	}
	fail_msg("in ten tries nothing was undone");
}

/* An earlier supervisor has performed and died: the next undoes it, with one event. */
static void test_recovery(void **state)
{
	struct override_options options = { .journal = RIG_JOURNAL };
	struct journal_entry entry = { .cid = 99, .cookie = 5, .target = "/mnt/scratch/a" };
	struct warder_error e = { "" };
	const struct sched_param raised = { .sched_priority = 1 };
	pid_t lent[2];
	struct journal_boost boost = { .policy = SCHED_BATCH };
	struct journal *j;
	struct statx stx;
	int before, was;

	(void)state;
	override_free(rig.override);
	rig.override = NULL;
	/* Two threads at real-time priority: only one has what the supervisor lends. */
	for (int i = 0; i < 2; i++) {
		lent[i] = fork();
		if (!lent[i]) {
			pause();
			_exit(0);
		}
	}
	assert_int_equal(sched_setscheduler(lent[0], SCHED_RR | SCHED_RESET_ON_FORK, &raised), 0);
	assert_int_equal(sched_setscheduler(lent[1], SCHED_RR, &raised), 0);
	assert_int_equal(mount("none", "/mnt/scratch/a", "tmpfs", 0, NULL), 0);
	assert_int_equal(statx(AT_FDCWD, "/mnt/scratch/a", 0, STATX_MNT_ID, &stx), 0);
	entry.mntns = rig_ns_ino("/proc/self/ns/mnt");
	entry.mnt_id = stx.stx_mnt_id;
	entry.dev_major = stx.stx_dev_major;
	entry.dev_minor = stx.stx_dev_minor;
	assert_int_equal(journal_open(&j, RIG_JOURNAL, &e), 0);
	assert_int_equal(journal_write(j, 3, &entry), 0);
	/* And one of a call that nobody can take back any more: it is told, and that is all. */
	entry.mnt_id = 0;
	entry.op = WARDER_OP_MKNOD;
	entry.call = WARDER_CALL_mknod;
	assert_int_equal(journal_write(j, 5, &entry), 0);
	for (unsigned i = 0; i < 2; i++) {
		boost.tid = lent[i];
		assert_int_equal(journal_boost_write(j, i, &boost), 0);
	}
	before = rig.outcomes;
	was = rig.undone;
	if (override_new(&rig.override, h_load(), &rig.callbacks, &options, &e) ||
	    override_start(rig.override, &e))
		fail_msg("%s", e.text);
	rig_outcome_wait(before, 2);
	assert_int_equal(rig.outcomes, before + 2);
	assert_int_equal(rig.undone, was + 1);
	assert_int_equal(rig.last.cid, 99);
	assert_int_equal(journal_read(j, 5, &entry), 0);
	assert_int_equal(rig_mounted("/mnt/scratch/a", NULL, 0), 0);
	assert_int_equal(journal_read(j, 3, &entry), 0);
	assert_int_equal(sched_getscheduler(lent[0]), SCHED_BATCH);
	assert_int_equal(sched_getscheduler(lent[1]), SCHED_RR);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(journal_boost_read(j, i, &boost), 0);
		kill(lent[i], SIGKILL);
		rig_wait(lent[i]);
	}
	journal_close(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tmpfs),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_bind),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_32bit),
		cmocka_unit_test(test_traced),
		cmocka_unit_test(test_userns),
		cmocka_unit_test(test_stale_heartbeat),
		cmocka_unit_test(test_late_stop),
		cmocka_unit_test(test_caller_killed),
		cmocka_unit_test(test_stuck_executor),
		cmocka_unit_test(test_recovery),
	};

	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
