// SPDX-License-Identifier: LGPL-2.1-or-later
/* Replacing policies under load: every decision is by one policy as a whole, and what is attached
 * follows what is published. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"

/* ------------------------------------------------------------------- attaching */

static int is_unknown(const char *name, int attached, void *arg)
{
	(void)attached;
	if (loader_program_known(name))
		return 0;
	print_error("nothing says who needs %s\n", name);
	*(int *)arg += 1;
	return 0;
}

static int lock_file(void *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? 100 : h_errno(flock(fd, LOCK_EX));
}

static void programs_follow_the_policies(void **state)
{
	/* Without its default packet sockets and their like are refused by the network hooks. */
#define TRIVIAL "policy: trivial\ndefaults: {network: allow}\n"
	static const char trivial[] = TRIVIAL;
	int unknown = 0, profiles;
	__u32 slot;

	(void)state;
	/* Of another test program that has left us its programs. */
	for (slot = 0; slot < WARDER_POLICIES_MAX; slot++)
		loader_unpublish(h_load(), slot);
	loader_trim(h_load(), SIZE_MAX);
	loader_each_program(h_load(), is_unknown, &unknown);
	assert_int_equal(unknown, 0);
	/* Once there were profiles, their programs stay. */
	profiles = loader_is_attached(h_load(), "warder_bprm_commit");
	/* Nobody to be judged. */
	assert_int_equal(loader_is_attached(h_load(), "warder_task_alloc"), 1);
	assert_int_equal(loader_is_attached(h_load(), "warder_file_open"), 0);
	assert_int_equal(loader_is_attached(h_load(), "warder_bpf"), 0);
	assert_int_equal(loader_is_attached(h_load(), "warder_nothing"), -ENOENT);

	slot = h_container(trivial);
	assert_int_equal(loader_is_attached(h_load(), "warder_file_open"), 1);
	assert_int_equal(loader_is_attached(h_load(), "warder_bpf"), 1);
	assert_int_equal(loader_is_attached(h_load(), "warder_file_lock"), 0);
	assert_int_equal(loader_is_attached(h_load(), "warder_mmap_file"), 0);
	assert_int_equal(loader_is_attached(h_load(), "warder_bprm_check"), 0);
	assert_int_equal(loader_is_attached(h_load(), "warder_socket_connect"), 0);
	assert_int_equal(h_run(slot, lock_file, "/x/f"), 0);

	h_policy(slot, TRIVIAL "file:\n  - deny: [lock]\n    path: /x/f\n");
	assert_int_equal(loader_is_attached(h_load(), "warder_file_lock"), 1);
	assert_int_equal(loader_is_attached(h_load(), "warder_bprm_check"), 1);
	assert_int_equal(loader_is_attached(h_load(), "warder_bprm_commit"), profiles);
	assert_int_equal(loader_is_attached(h_load(), "warder_socket_connect"), 0);
	assert_int_equal(h_run(slot, lock_file, "/x/f"), EACCES);

	/* What is not needed any more goes when it is asked for: one by one, or all at once. */
	h_policy(slot, trivial);
	assert_int_equal(loader_is_attached(h_load(), "warder_file_lock"), 1);
	assert_int_equal(h_run(slot, lock_file, "/x/f"), 0);
	assert_int_equal(loader_trim(h_load(), 1), 1);
	h_policy(slot, TRIVIAL "network:\n  - deny: [connect]\n    protocol: tcp\n");
	assert_int_equal(loader_trim(h_load(), SIZE_MAX), 0);
	assert_int_equal(loader_is_attached(h_load(), "warder_socket_connect"), 1);
	assert_int_equal(loader_is_attached(h_load(), "warder_file_lock"), 0);
	assert_int_equal(h_run(slot, lock_file, "/x/f"), 0);

	h_policy(slot, TRIVIAL "mode: learn\n");
	assert_int_equal(loader_is_attached(h_load(), "warder_file_lock"), 1);
	assert_int_equal(loader_is_attached(h_load(), "warder_bprm_check"), 1);

	h_policy(slot, trivial);
	assert_int_equal(loader_trim(h_load(), SIZE_MAX), 0);
	assert_int_equal(loader_is_attached(h_load(), "warder_file_lock"), 0);
	/* The container is there still: without its policy it is refused everything. */
	assert_int_equal(loader_unpublish(h_load(), slot), 0);
	assert_int_equal(loader_is_attached(h_load(), "warder_file_open"), 1);
	assert_int_equal(h_run(slot, lock_file, "/x/f"), 100);
	h_policy(slot, trivial);
	assert_int_equal(h_run(slot, lock_file, "/x/f"), 0);
}

/* ------------------------------------------------------------------ atomicity */

/*
 * Each of these is decided by one hook that asks the policy two things. Under both policies one of
 * the two is refused, by errnos of their own; half of one and half of the other would allow.
 */
#define POLICY_A                                                                         \
	"policy: swap\nfile:\n"                                                          \
	"  - deny: [read]\n    path: /x/f\n    errno: EPERM\n"                           \
	"  - deny: [rename]\n    path: /x/old\n    errno: EPERM\n"                       \
	"  - deny: [link]\n    path: /x/new\n    errno: EPERM\n"                         \
	"capability:\n  - deny: [sys_chroot]\n"                                          \
	"exec:\n  - deny: /x/program\n"
#define POLICY_B                                                                         \
	"policy: swap\nfile:\n"                                                          \
	"  - allow: [read]\n    path: /x/many/{a,b,c}*\n    audit: true\n"               \
	"  - deny: [write]\n    path: /x/f\n    errno: EROFS\n"                          \
	"  - deny: [rename]\n    path: /x/new\n    errno: EROFS\n"                       \
	"  - deny: [link]\n    path: /x/old\n    errno: EROFS\n"

struct shared {
	/* Reloads begun and done: policy A is published by even ones. */
	_Atomic unsigned long begun, done;
	_Atomic int stop;
	_Atomic unsigned long decisions, whole, mixtures, stale;
	_Atomic unsigned long by_a, by_b;
};

static struct shared *shared;

/* 0: by A, 1: by B, -1: by neither. */
static int by_errno(long result)
{
	return result >= 0 ? -1 : errno == EPERM ? 0 : errno == EROFS ? 1 : -1;
}

/* Things that A refuses and B allows. */
static int chroot_is_by(void)
{
	return chroot("/") ? 0 : 1;
}

static int hammer(void *arg)
{
	(void)arg;
	while (!atomic_load(&shared->stop)) {
		unsigned long before = atomic_load(&shared->done), after;
		int by[4], n = 0;

		by[n++] = by_errno(open("/x/f", O_RDWR | O_CLOEXEC));
		by[n++] = by_errno(rename("/x/old", "/x/new"));
		by[n++] = by_errno(link("/x/old", "/x/new"));
		by[n++] = chroot_is_by();
		after = atomic_load(&shared->begun);
		for (int i = 0; i < n; i++) {
			atomic_fetch_add(&shared->decisions, 1);
			if (by[i] < 0)
				atomic_fetch_add(&shared->mixtures, 1);
			else
				atomic_fetch_add(by[i] ? &shared->by_b : &shared->by_a, 1);
			/* Nothing was replaced meanwhile: all are by the policy that holds. */
			if (after == before && by[i] != (int)(before & 1))
				atomic_fetch_add(&shared->stale, 1);
		}
		if (after == before)
			atomic_fetch_add(&shared->whole, 1);
	}
	return 0;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

#define HAMMERS 3

/* Enough of each to count on. */
static int seen_enough(void)
{
	return shared->by_a > 3000 && shared->by_b > 3000 && shared->whole > 1000 &&
	       atomic_load(&shared->done) > 40;
}

/* At most 20 s; WARDER_RELOAD_SECONDS: that long. */
static void no_decision_mixes_two_policies(void **state)
{
	const char *seconds = getenv("WARDER_RELOAD_SECONDS");
	cleanup_free struct warder_image *a = h_compile(POLICY_A), *b = h_compile(POLICY_B);
	const struct warder_image *const policy[2] = { a, b };
	double end = now() + (seconds ? atof(seconds) : 20);
	__u32 slot = h_container(POLICY_A);
	pid_t pid[HAMMERS];

	(void)state;
	for (long i = 0; i < HAMMERS; i++)
		pid[i] = h_start(slot, hammer, (void *)i);
	while (now() < end && (seconds || !seen_enough())) {
		unsigned long n = atomic_load(&shared->begun) + 1;
		struct warder_error e = { "" };

		atomic_store(&shared->begun, n);
		if (loader_publish(h_load(), slot, policy[n & 1], &e))
			fail_msg("%s", e.text);
		atomic_store(&shared->done, n);
		/* Leaves some time without a reload, which is when a stale decision shows. */
		if (n % 8 == 0)
			usleep(20000);
	}
	atomic_store(&shared->stop, 1);
	for (int i = 0; i < HAMMERS; i++)
		assert_int_equal(h_wait(pid[i]), 0);
	print_message("# %lu decisions, %lu by A, %lu by B; %lu reloads; %lu rounds within one\n",
		      shared->decisions, shared->by_a, shared->by_b, shared->done, shared->whole);
	assert_int_equal(shared->mixtures, 0);
	assert_int_equal(shared->stale, 0);
	assert_true(shared->by_a > 100 && shared->by_b > 100 && shared->whole > 100);
	assert_true(shared->done > 20);
}

static int make_files(void **state)
{
	(void)state;
	h_shell("mkdir -p /x && touch /x/f /x/old");
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	return shared == MAP_FAILED;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(programs_follow_the_policies),
		cmocka_unit_test(no_decision_mixes_two_policies),
	};

	return cmocka_run_group_tests(tests, make_files, NULL);
}
