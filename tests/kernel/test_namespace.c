// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Class "namespace" against the kernel: each type, made by unshare, clone and clone3 and joined by
 * descriptor and by pidfd, as root of the host and in a user namespace of the container's own.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"

#define BROKEN 90

static const struct {
	const char *name;
	int flag;
} types[] = {
	{ "mnt", CLONE_NEWNS },	  { "pid", CLONE_NEWPID },	 { "net", CLONE_NEWNET },
	{ "ipc", CLONE_NEWIPC },  { "uts", CLONE_NEWUTS },	 { "cgroup", CLONE_NEWCGROUP },
	{ "time", CLONE_NEWTIME },
};
#define TYPES ARRAY_SIZE(types)

static __u32 all, none, standard, audit, one[TYPES];
static pid_t neighbour; /* untagged, in namespaces of its own */

/* ------------------------------------------------------------------------ making */

static int reap(pid_t pid)
{
	int status;

	if (pid < 0)
		return errno;
	if (!pid)
		_exit(0);
	if (waitpid(pid, &status, 0) != pid || status)
		return BROKEN;
	return 0;
}

static int by_unshare(void *arg)
{
	return h_errno(unshare(*(int *)arg));
}

/* The low byte of clone's flags is a signal: a time namespace cannot be asked for. */
static int by_clone(void *arg)
{
	return reap((pid_t)syscall(SYS_clone, *(int *)arg | SIGCHLD, 0, 0, 0, 0));
}

static int by_clone3(void *arg)
{
	struct clone_args args = { .flags = (unsigned)*(int *)arg, .exit_signal = SIGCHLD };

	return reap((pid_t)syscall(SYS_clone3, &args, sizeof(args)));
}

static int (*const makers[])(void *) = { by_unshare, by_clone, by_clone3 };

static int makes(size_t maker, size_t type)
{
	return makers[maker] != by_clone || types[type].flag != CLONE_NEWTIME;
}

static void test_make(void **state)
{
	(void)state;
	for (size_t m = 0; m < ARRAY_SIZE(makers); m++) {
		for (size_t t = 0; t < TYPES; t++) {
			int flag = types[t].flag;

			if (!makes(m, t))
				continue;
			assert_int_equal(h_run(-1, makers[m], &flag), 0);
			assert_int_equal(h_run((int)all, makers[m], &flag), 0);
			assert_int_equal(h_run((int)none, makers[m], &flag), EPERM);
			assert_int_equal(h_run((int)standard, makers[m], &flag), EPERM);
			assert_int_equal(h_run((int)audit, makers[m], &flag), 0);
			for (size_t k = 0; k < TYPES; k++)
				assert_int_equal(h_run((int)one[k], makers[m], &flag),
						 k == t ? 0 : EPERM);
		}
	}
}

/* User namespaces have a hook of their own, and are allowed where nothing is said. */
static void test_user(void **state)
{
	__u32 only = h_container("policy: only\ndefaults: {namespace: deny}\n"
				 "namespace: [{allow: [user]}]\n");
	__u32 denied = h_container("policy: denied\nnamespace: [{deny: [user], errno: EACCES}]\n");
	int flag = CLONE_NEWUSER, both = CLONE_NEWUSER | CLONE_NEWNET;

	(void)state;
	for (size_t m = 0; m < ARRAY_SIZE(makers); m++) {
		assert_int_equal(h_run(-1, makers[m], &flag), 0);
		assert_int_equal(h_run((int)standard, makers[m], &flag), 0);
		assert_int_equal(h_run((int)only, makers[m], &flag), 0);
		assert_int_equal(h_run((int)none, makers[m], &flag), EPERM);
		assert_int_equal(h_run((int)denied, makers[m], &flag), EACCES);
		assert_int_equal(h_run(-1, makers[m], &both), 0);
		assert_int_equal(h_run((int)all, makers[m], &both), 0);
		assert_int_equal(h_run((int)standard, makers[m], &both), EPERM);
		assert_int_equal(h_run((int)only, makers[m], &both), EPERM);
	}
}

/* All of what is asked must be granted. */
static void test_several(void **state)
{
	int flags = CLONE_NEWUTS | CLONE_NEWIPC;
	__u32 s = h_container("policy: two\nnamespace: [{allow: [uts, ipc]}]\n");

	(void)state;
	for (size_t m = 0; m < ARRAY_SIZE(makers); m++) {
		assert_int_equal(h_run((int)s, makers[m], &flags), 0);
		assert_int_equal(h_run((int)one[4], makers[m], &flags), EPERM);
	}
}

/* In a user namespace that the container made, where it has every capability. */
static int nested(void *arg)
{
	return unshare(CLONE_NEWUSER) ? BROKEN : by_unshare(arg);
}

static int nested_clone3(void *arg)
{
	return unshare(CLONE_NEWUSER) ? BROKEN : by_clone3(arg);
}

static void test_nested(void **state)
{
	(void)state;
	for (size_t t = 0; t < TYPES; t++) {
		int flag = types[t].flag;

		assert_int_equal(h_run(-1, nested, &flag), 0);
		assert_int_equal(h_run((int)all, nested, &flag), 0);
		assert_int_equal(h_run((int)standard, nested, &flag), EPERM);
		assert_int_equal(h_run((int)standard, nested_clone3, &flag), EPERM);
		assert_int_equal(h_run((int)one[t], nested, &flag), 0);
		assert_int_equal(h_run((int)one[t], nested_clone3, &flag), 0);
	}
}

/* ----------------------------------------------------------------------- joining */

struct join {
	int fd;
	int flags;
};

static int do_join(void *arg)
{
	struct join *j = arg;

	return h_errno(setns(j->fd, j->flags));
}

static int open_ns(const char *type)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", neighbour, type);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void test_join(void **state)
{
	int pidfd = syscall(SYS_pidfd_open, neighbour, 0);

	(void)state;
	assert_true(pidfd >= 0);
	for (size_t t = 0; t < TYPES; t++) {
		struct join any = { .fd = open_ns(types[t].name) };
		struct join typed = { .fd = any.fd, .flags = types[t].flag };

		assert_int_equal(h_run(-1, do_join, &any), 0);
		assert_int_equal(h_run((int)all, do_join, &any), 0);
		assert_int_equal(h_run((int)all, do_join, &typed), 0);
		assert_int_equal(h_run((int)none, do_join, &any), EPERM);
		assert_int_equal(h_run((int)standard, do_join, &typed), EPERM);
		assert_int_equal(h_run((int)audit, do_join, &any), 0);
		for (size_t k = 0; k < TYPES; k++) {
			assert_int_equal(h_run((int)one[k], do_join, &any), k == t ? 0 : EPERM);
			assert_int_equal(h_run((int)one[k], do_join, &typed), k == t ? 0 : EPERM);
		}
		close(any.fd);
	}
	close(pidfd);
}

static void *wait_for_ever(void *arg)
{
	for (;;)
		pause();
	return arg;
}

/* With another thread, which could put another file there meanwhile. */
static int do_join_threaded(void *arg)
{
	pthread_t t;

	if (pthread_create(&t, NULL, wait_for_ever, NULL))
		return BROKEN;
	return do_join(arg);
}

static void test_join_threaded(void **state)
{
	struct join any = { .fd = open_ns("uts") }, typed = { .fd = any.fd, .flags = CLONE_NEWUTS };
	__u32 uts = h_container("policy: u\nnamespace: [{allow: [uts]}]\n");

	(void)state;
	assert_int_equal(h_run(-1, do_join_threaded, &any), 0);
	assert_int_equal(h_run((int)all, do_join_threaded, &any), 0);
	assert_int_equal(h_run((int)uts, do_join, &any), 0);
	assert_int_equal(h_run((int)uts, do_join_threaded, &any), EPERM);
	assert_int_equal(h_run((int)uts, do_join_threaded, &typed), 0);
	close(any.fd);
}

/* A pidfd needs the right to trace the process, too: one of the same container. */
static void test_join_pidfd(void **state)
{
	struct join uts = { .flags = CLONE_NEWUTS }, two = { .flags = CLONE_NEWUTS | CLONE_NEWIPC };
	__u32 s = one[4];

	(void)state;
	h_tag(neighbour, s);
	uts.fd = two.fd = syscall(SYS_pidfd_open, neighbour, 0);
	assert_int_equal(h_run(-1, do_join, &two), 0);
	assert_int_equal(h_run((int)s, do_join, &uts), 0);
	assert_int_equal(h_run((int)s, do_join, &two), EPERM);
	h_policy(s, "policy: s\nnamespace: [{allow: [uts, ipc]}]\n");
	assert_int_equal(h_run((int)s, do_join, &two), 0);
	h_policy(s, "policy: s\nnamespace: [{allow: [uts]}]\n");
	close(uts.fd);
}

/* A user namespace is joined by setns(2) without making one. */
static int join_user(void *arg)
{
	return h_errno(setns(*(int *)arg, 0));
}

static int user_neighbour(void *arg)
{
	int *ready = arg;

	if (unshare(CLONE_NEWUSER) || write(ready[1], "", 1) != 1)
		return BROKEN;
	for (;;)
		pause();
}

static void test_join_user(void **state)
{
	__u32 denied = h_container("policy: denied\nnamespace: [{deny: [user]}]\n");
	char path[64], c;
	int ready[2], fd;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	pid = h_start(-1, user_neighbour, ready);
	assert_int_equal(read(ready[0], &c, 1), 1);
	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(h_run(-1, join_user, &fd), 0);
	assert_int_equal(h_run((int)standard, join_user, &fd), 0);
	assert_int_equal(h_run((int)denied, join_user, &fd), EPERM);
	close(fd);
	close(ready[0]);
	close(ready[1]);
	kill(pid, SIGKILL);
	h_wait(pid);
}

/* ----------------------------------------------------------------- nothing is kept */

/* What one call noted does not decide another: allowed, refused, allowed, in one thread; and
 * forks and uses of the same capability for other things go on. */
static int in_turns(void *arg)
{
	const int *fd = arg; /* uts, net */

	for (int i = 0; i < 3; i++) {
		if (setns(fd[0], 0))
			return 1;
		if (!setns(fd[1], 0) || errno != EPERM)
			return 2;
		if (unshare(CLONE_NEWUTS))
			return 3;
		if (!unshare(CLONE_NEWNET) || errno != EPERM)
			return 4;
		if (by_clone3(&(int){ CLONE_NEWUTS }))
			return 5;
		if (by_clone3(&(int){ CLONE_NEWNET }) != EPERM)
			return 6;
		if (by_clone3(&(int){ 0 }) || reap(fork()))
			return 7;
		if (sethostname("vm", 2))
			return 8;
	}
	return 0;
}

static void test_nothing_kept(void **state)
{
	int fd[] = { open_ns("uts"), open_ns("net") };

	(void)state;
	assert_int_equal(h_run((int)one[4], in_turns, fd), 0);
	close(fd[0]);
	close(fd[1]);
}

/* The flags of clone3 are read once, by the kernel: another thread that changes them in memory
 * changes nothing. */
static struct clone_args racing;

static void *flip(void *arg)
{
	volatile __u64 *flags = (volatile __u64 *)&racing.flags;

	for (;;)
		*flags = *flags ? 0 : CLONE_NEWNET;
	return arg;
}

/* Is it in another network namespace than `parent`? */
static int is_elsewhere(const char *parent)
{
	char own[64] = "";

	if (readlink("/proc/self/ns/net", own, sizeof(own) - 1) < 0)
		return BROKEN;
	return strcmp(own, parent) != 0;
}

static int race(void *arg)
{
	int made = 0, refused = 0, plain = 0;
	char parent[64] = "";
	pthread_t thread;

	(void)arg;
	racing.exit_signal = SIGCHLD;
	if (readlink("/proc/self/ns/net", parent, sizeof(parent) - 1) < 0 ||
	    pthread_create(&thread, NULL, flip, NULL))
		return BROKEN;
	for (int i = 0; i < 500 && !made; i++) {
		pid_t pid = (pid_t)syscall(SYS_clone3, &racing, sizeof(racing));
		int status;

		if (!pid)
			_exit(is_elsewhere(parent));
		if (pid < 0) {
			refused++;
			continue;
		}
		if (waitpid(pid, &status, 0) != pid)
			return BROKEN;
		made = WEXITSTATUS(status);
		plain += !made;
	}
	/* Both must have been met, or nothing was raced. */
	return made ? made : refused && plain ? 0 : BROKEN + 1;
}

static void test_race(void **state)
{
	(void)state;
	assert_int_equal(h_run((int)standard, race, NULL), 0);
}

/* ------------------------------------------------- the mount API's own way, since 7.0 */

static int by_open_tree(void *arg)
{
	(void)arg;
	return h_errno(syscall(SYS_open_tree, AT_FDCWD, "/", 2 /* OPEN_TREE_NAMESPACE */));
}

static void test_open_tree(void **state)
{
	__u32 mounts = h_container("policy: m\ndefaults: {mount: allow}\n");
	__u32 both = h_container("policy: m\ndefaults: {mount: allow}\n"
				 "namespace: [{allow: [mnt]}]\n");
	int known = h_run(-1, by_open_tree, NULL);

	(void)state;
	if (known == EINVAL) {
		/* Nor does the container get one. */
		assert_int_equal(h_run((int)both, by_open_tree, NULL), EINVAL);
		return;
	}
	assert_int_equal(known, 0);
	assert_int_equal(h_run((int)both, by_open_tree, NULL), 0);
	assert_int_equal(h_run((int)mounts, by_open_tree, NULL), EPERM);
}

static void test_event(void **state)
{
	char name[WARDER_PATH_MAX], detail[WARDER_PATH_MAX];
	int flag = CLONE_NEWNET, before = (int)h_stats(audit).audited;
	struct warder_event e;

	(void)state;
	h_events_drop();
	assert_int_equal(h_run((int)standard, by_unshare, &flag), EPERM);
	assert_int_equal(h_event_last(standard, &e, name, detail), 1);
	assert_int_equal(e.class_, WARDER_CLASS_NAMESPACE);
	assert_int_equal(e.hook, WARDER_HOOK_NAMESPACE);
	assert_int_equal(e.access, WARDER_NS_NET);
	assert_int_equal(e.v.why, WARDER_WHY_DEFAULT);
	assert_int_equal(h_run((int)audit, by_unshare, &flag), 0);
	assert_true((int)h_stats(audit).audited > before);
	assert_int_equal(h_stats(audit).denied, 0);
}

static int live_apart(void *arg)
{
	int *ready = arg, flags = 0;

	for (size_t t = 0; t < TYPES; t++)
		flags |= types[t].flag;
	/* Its pid and time namespaces are its child's; they are joined through the child. */
	if (unshare(flags))
		return BROKEN;
	if (fork()) {
		for (;;)
			pause();
	}
	if (write(ready[1], &(pid_t){ 0 }, sizeof(pid_t)) != sizeof(pid_t))
		return BROKEN;
	for (;;)
		pause();
}

static int prepare(void **state)
{
	char text[128], command[128];
	int ready[2];
	pid_t parent, zero;
	FILE *f;

	(void)state;
	all = h_container("policy: all\nnamespace: [{allow: ['*']}]\n");
	none = h_container("policy: none\ndefaults: {namespace: deny}\n");
	standard = h_container("policy: standard\n");
	audit = h_container("policy: audit\nmode: audit\ndefaults: {namespace: deny}\n");
	for (size_t t = 0; t < TYPES; t++) {
		snprintf(text, sizeof(text), "policy: one\nnamespace: [{allow: [%s]}]\n",
			 types[t].name);
		one[t] = h_container(text);
	}
	if (pipe(ready))
		return -1;
	parent = h_start(-1, live_apart, ready);
	if (read(ready[0], &zero, sizeof(zero)) != sizeof(zero))
		return -1;
	snprintf(command, sizeof(command), "/proc/%d/task/%d/children", parent, parent);
	f = fopen(command, "re");
	if (!f || fscanf(f, "%d", &neighbour) != 1)
		return -1;
	fclose(f);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_make),	     cmocka_unit_test(test_user),
		cmocka_unit_test(test_several),	     cmocka_unit_test(test_nested),
		cmocka_unit_test(test_join),	     cmocka_unit_test(test_join_user),
		cmocka_unit_test(test_nothing_kept), cmocka_unit_test(test_race),
		cmocka_unit_test(test_open_tree),    cmocka_unit_test(test_event),
		cmocka_unit_test(test_join_threaded), cmocka_unit_test(test_join_pidfd),
	};

	return cmocka_run_group_tests(tests, prepare, NULL);
}
