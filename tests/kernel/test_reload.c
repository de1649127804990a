// SPDX-License-Identifier: LGPL-2.1-or-later
/* Replacing policies under load: every decision is by one policy as a whole, and what is attached
 * follows what is published. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "reload_rig.h"

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

	/* All at once takes 6.1 some hundred grace periods. */
	h_policy(slot, trivial);
	assert_int_equal(loader_trim(h_load(), 1), 1);
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

/* Things that A refuses and B allows. */
static int chroot_is_by(void)
{
	return chroot("/") ? 0 : 1;
}

static int hammer(void *arg)
{
	(void)arg;
	while (!atomic_load(&reload->stop)) {
		unsigned long before = atomic_load(&reload->done);
		int by[4], n = 0;

		by[n++] = reload_by(open("/x/f", O_RDWR | O_CLOEXEC), EPERM, EROFS);
		by[n++] = reload_by(rename("/x/old", "/x/new"), EPERM, EROFS);
		by[n++] = reload_by(link("/x/old", "/x/new"), EPERM, EROFS);
		by[n++] = chroot_is_by();
		reload_judge(before, by, n);
	}
	return 0;
}

#define HAMMERS 3

/* Enough of each to count on. */
static int seen_enough(void)
{
	return reload->by[0] > 3000 && reload->by[1] > 3000 && reload->whole > 1000 &&
	       atomic_load(&reload->done) > 40;
}

/* At most 20 s; WARDER_RELOAD_SECONDS: that long. */
static void no_decision_mixes_two_policies(void **state)
{
	const char *seconds = getenv("WARDER_RELOAD_SECONDS");
	cleanup_free struct warder_image *a = h_compile(POLICY_A), *b = h_compile(POLICY_B);
	const struct warder_image *const policy[2] = { a, b };
	double end = reload_end(20);
	__u32 slot = h_container(POLICY_A);
	pid_t pid[HAMMERS];

	(void)state;
	for (long i = 0; i < HAMMERS; i++)
		pid[i] = h_start(slot, hammer, (void *)i);
	while (reload_now() < end && (seconds || !seen_enough())) {
		unsigned long n = reload_next(slot, policy, 2);

		/* Leaves some time without a reload, which is when a stale decision shows. */
		if (n % 8 == 0)
			usleep(20000);
	}
	atomic_store(&reload->stop, 1);
	for (int i = 0; i < HAMMERS; i++)
		assert_int_equal(h_wait(pid[i]), 0);
	print_message("# %lu decisions, %lu by A, %lu by B; %lu reloads; %lu rounds within one\n",
		      reload->decisions, reload->by[0], reload->by[1], reload->done, reload->whole);
	assert_int_equal(reload->mixtures, 0);
	assert_int_equal(reload->stale, 0);
	assert_true(reload->by[0] > 100 && reload->by[1] > 100 && reload->whole > 100);
	assert_true(reload->done > 20);
}

static int make_files(void **state)
{
	(void)state;
	h_shell("mkdir -p /x && touch /x/f /x/old");
	return reload_open();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(programs_follow_the_policies),
		cmocka_unit_test(no_decision_mixes_two_policies),
	};

	return cmocka_run_group_tests(tests, make_files, NULL);
}
