// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * No path leads from tagged to untagged, or to another tag. A task asks whether it is confined
 * by opening a file that its policy denies and everything else allows; each way to make or
 * change a task is also taken by an untagged one, which must be able to open it.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "uring.h"

#define SECRET "/tmp/identity-secret"
#define POLICY "policy: confined\ndefaults: {namespace: allow, kernel: allow}\nfile:\n  - deny: [read]\n    path: " SECRET "\n"
/* A child whose way failed before it could ask. */
#define BROKEN 90

static __u32 slot;
/* Results of tasks that nobody waits for; -1: none yet. */
static struct shared {
	int result;
	int go;
} *shared;

static int ask(void)
{
	return h_open(SECRET, O_RDONLY);
}

static int wait_shared(void)
{
	for (int i = 0; i < 2000; i++) {
		int result = __atomic_load_n(&shared->result, __ATOMIC_SEQ_CST);

		if (result >= 0)
			return result;
		usleep(5000);
	}
	return BROKEN;
}

static int reap(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, __WALL) != pid)
		return BROKEN;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* --------------------------------------------------------------------- ways */

static int way_plain(void *arg)
{
	(void)arg;
	return ask();
}

static int way_fork(void *arg)
{
	pid_t pid = fork();

	(void)arg;
	if (!pid)
		_exit(ask());
	return reap(pid);
}

static int way_vfork(void *arg)
{
	pid_t pid = vfork();

	(void)arg;
	if (!pid) {
		/* Only system calls: the memory is the parent's. */
		long fd = syscall(SYS_open, SECRET, O_RDONLY);

		_exit(fd < 0 ? errno : 0);
	}
	return reap(pid);
}

static int way_clone3(void *arg)
{
	struct clone_args args = { .flags = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID,
				   .exit_signal = SIGCHLD };
	pid_t pid = syscall(SYS_clone3, &args, sizeof(args));

	(void)arg;
	if (!pid)
		_exit(ask());
	return reap(pid);
}

static int way_clone_parent(void *arg)
{
	pid_t pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, 0);

	(void)arg;
	if (!pid) {
		__atomic_store_n(&shared->result, ask(), __ATOMIC_SEQ_CST);
		_exit(0);
	}
	return pid < 0 ? BROKEN : wait_shared();
}

static int way_double_fork(void *arg)
{
	pid_t pid = fork();

	(void)arg;
	if (!pid) {
		if (!fork()) {
			setsid();
			while (getppid() != 1)
				usleep(1000);
			__atomic_store_n(&shared->result, ask(), __ATOMIC_SEQ_CST);
		}
		_exit(0);
	}
	return reap(pid) ? BROKEN : wait_shared();
}

static void *thread_ask(void *arg)
{
	*(int *)arg = ask();
	return NULL;
}

static int way_thread(void *arg)
{
	int result = BROKEN;
	pthread_t t;

	(void)arg;
	if (pthread_create(&t, NULL, thread_ask, &result))
		return BROKEN;
	pthread_join(t, NULL);
	return result;
}

static void *thread_exec(void *arg)
{
	(void)arg;
	execl("/proc/self/exe", "test_identity", "--ask", NULL);
	_exit(BROKEN);
}

static int way_exec(void *arg)
{
	thread_exec(arg);
	return BROKEN;
}

static int way_exec_in_thread(void *arg)
{
	pthread_t t;

	(void)arg;
	if (pthread_create(&t, NULL, thread_exec, NULL))
		return BROKEN;
	pthread_join(t, NULL);
	return BROKEN;
}

static int way_unshare(void *arg)
{
	int flag = *(int *)arg;

	if (unshare(flag))
		return BROKEN;
	if (flag == CLONE_NEWPID || flag == CLONE_NEWTIME)
		return way_fork(NULL);
	return ask();
}

/* arg: a descriptor of another task's namespace, from before. */
static int way_setns(void *arg)
{
	if (setns(*(int *)arg, 0))
		return BROKEN;
	return way_fork(NULL);
}

static int way_cgroup(void *arg)
{
	static const char dir[] = "/sys/fs/cgroup/identity";
	cleanup_close int fd = -1;

	(void)arg;
	if (mkdir(dir, 0755) && errno != EEXIST)
		return BROKEN;
	fd = open("/sys/fs/cgroup/identity/cgroup.procs", O_WRONLY);
	if (fd < 0 || write(fd, "0", 1) != 1)
		return BROKEN;
	return way_fork(NULL);
}

static int way_setuid(void *arg)
{
	(void)arg;
	return setresuid(1000, 1000, 1000) ? BROKEN : way_fork(NULL);
}

static int way_chroot(void *arg)
{
	(void)arg;
	if (chroot("/tmp") || chdir("/"))
		return BROKEN;
	return h_errno(open("/identity-secret", O_RDONLY));
}

/* Opens by io_uring: by the caller (0), by a worker (IOSQE_ASYNC), by a polling kernel thread. */
enum { URING_INLINE, URING_WORKER, URING_SQPOLL };

static int way_uring(void *arg)
{
	int how = *(int *)arg, err;
	struct uring u;

	if (uring_open(&u, how == URING_SQPOLL ? IORING_SETUP_SQPOLL : 0))
		return BROKEN;
	u.sqe->opcode = IORING_OP_OPENAT;
	u.sqe->flags = how == URING_WORKER ? IOSQE_ASYNC : 0;
	u.sqe->fd = AT_FDCWD;
	u.sqe->addr = (__u64)(uintptr_t)SECRET;
	err = uring_run(&u);
	return err < 0 ? BROKEN : err;
}

/* --------------------------------------------------------------------- tests */

/* Denied with the tag, allowed without. */
static void check(int (*way)(void *), void *arg)
{
	shared->result = -1;
	assert_int_equal(h_run(-1, way, arg), 0);
	shared->result = -1;
	assert_int_equal(h_run(slot, way, arg), EACCES);
}

#define WAY(name)                                    \
	static void test_##name(void **state)        \
	{                                            \
		(void)state;                         \
		check(way_##name, NULL);             \
	}

WAY(plain)
WAY(fork)
WAY(vfork)
WAY(clone3)
WAY(clone_parent)
WAY(double_fork)
WAY(thread)
WAY(exec)
WAY(exec_in_thread)
WAY(cgroup)
WAY(setuid)
WAY(chroot)

static void test_unshare(void **state)
{
	int flags[] = { CLONE_NEWNS,  CLONE_NEWUTS,    CLONE_NEWIPC,  CLONE_NEWNET, CLONE_NEWPID,
			CLONE_NEWUSER, CLONE_NEWCGROUP, CLONE_NEWTIME, CLONE_NEWUSER | CLONE_NEWNS };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		check(way_unshare, &flags[i]);
}

static int sleeper(void *arg)
{
	(void)arg;
	if (unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWPID |
		    CLONE_NEWCGROUP))
		return BROKEN;
	__atomic_store_n(&shared->go, 1, __ATOMIC_SEQ_CST);
	if (!fork())
		pause();
	pause();
	return 0;
}

/* Into the namespaces of an untagged task, and of one of another container. */
static void test_setns(void **state)
{
	static const char *const names[] = { "mnt", "uts", "ipc", "net", "pid", "cgroup" };
	int owners[] = { -1, (int)h_container("policy: other\ndefaults: {namespace: allow}\n") };

	(void)state;
	for (size_t o = 0; o < ARRAY_SIZE(owners); o++) {
		pid_t other;

		shared->go = 0;
		other = h_start(owners[o], sleeper, NULL);
		while (!__atomic_load_n(&shared->go, __ATOMIC_SEQ_CST))
			usleep(1000);
		for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
			char path[64];
			int fd;

			snprintf(path, sizeof(path), "/proc/%d/ns/%s", other, names[i]);
			fd = open(path, O_RDONLY | O_CLOEXEC);
			assert_true(fd >= 0);
			check(way_setns, &fd);
			close(fd);
		}
		kill(other, SIGKILL);
		h_wait(other);
	}
}

static void test_io_uring(void **state)
{
	int how[] = { URING_INLINE, URING_WORKER, URING_SQPOLL };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(how); i++)
		check(way_uring, &how[i]);
}

/* A second tag is refused, also by user space. */
static int nap(void *arg)
{
	(void)arg;
	pause();
	return 0;
}

static void test_tag_stays(void **state)
{
	__u32 other = h_container("policy: other\ndefaults: {namespace: allow}\n");
	pid_t pid = h_start(slot, nap, NULL);
	cleanup_close int pidfd = syscall(SYS_pidfd_open, pid, 0);
	struct warder_task tag;

	(void)state;
	assert_int_equal(loader_tag_task(h_load(), pidfd, h_cid(other), other), -EEXIST);
	assert_int_equal(loader_get_task(h_load(), pidfd, &tag), 0);
	assert_true(tag.cid == h_cid(slot));
	kill(pid, SIGKILL);
	assert_int_equal(h_wait(pid), 128 + SIGKILL);
}

/* ---------------------------------------------------------------------- exit */

static void *thread_exit_late(void *arg)
{
	usleep(200000);
	if (arg)
		syscall(SYS_exit_group, 4);
	syscall(SYS_exit, 9);
	return NULL;
}

static void *thread_exec_six(void *arg)
{
	(void)arg;
	execl("/proc/self/exe", "test_identity", "--six", NULL);
	_exit(BROKEN);
}

static int end(void *arg)
{
	struct rlimit no_core = { 0, 0 };
	pthread_t t;

	while (!__atomic_load_n(&shared->go, __ATOMIC_SEQ_CST))
		usleep(1000);
	setrlimit(RLIMIT_CORE, &no_core);
	switch (*(int *)arg) {
	case 0:
		_exit(3);
	case 1:
		syscall(SYS_exit, 5);
		break;
	case 2:
		raise(SIGKILL);
		break;
	case 3:
		signal(SIGSEGV, SIG_DFL);
		raise(SIGSEGV);
		break;
	case 4: /* the leader first: its code is the group's */
	case 5: /* the last thread ends the group */
		pthread_create(&t, NULL, thread_exit_late, *(int *)arg == 5 ? arg : NULL);
		syscall(SYS_exit, 7);
		break;
	case 6:
		pthread_create(&t, NULL, thread_exec_six, NULL);
		pause();
		break;
	case 7: { /* a child's end is not init's */
		pid_t pid = fork();

		if (!pid)
			_exit(1);
		reap(pid);
		_exit(2);
	}
	}
	return BROKEN;
}

static void test_exit_code(void **state)
{
	(void)state;
	for (int i = 0; i < 8; i++) {
		__u32 s = h_container(POLICY);
		struct warder_ctr ctr;
		int status;
		pid_t pid;

		shared->go = 0;
		pid = h_start(s, end, &i);
		assert_int_equal(loader_get_container(h_load(), s, &ctr), 0);
		ctr.init_tgid = pid;
		assert_int_equal(loader_set_container(h_load(), s, &ctr), 0);
		assert_int_equal(h_stats(s).exited, 0);
		assert_int_equal(h_stats(s).tasks, 1);
		__atomic_store_n(&shared->go, 1, __ATOMIC_SEQ_CST);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(h_stats(s).exited, 1);
		assert_int_equal(h_stats(s).exit_code, status);
		assert_int_equal(h_stats(s).tasks, 0);
	}
}

static int crowd(void *arg)
{
	int end_all[2];
	char c;

	(void)arg;
	if (pipe(end_all))
		return BROKEN;
	for (int i = 0; i < 9; i++) {
		if (!fork()) {
			close(end_all[1]);
			_exit(read(end_all[0], &c, 1) != 0);
		}
	}
	__atomic_store_n(&shared->go, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&shared->go, __ATOMIC_SEQ_CST) == 1)
		usleep(1000);
	close(end_all[0]);
	close(end_all[1]);
	for (int i = 0; i < 9; i++)
		wait(NULL);
	return 0;
}

static void test_task_count(void **state)
{
	__u32 s = h_container(POLICY);
	pid_t pid;

	(void)state;
	shared->go = 0;
	pid = h_start(s, crowd, NULL);
	while (__atomic_load_n(&shared->go, __ATOMIC_SEQ_CST) != 1)
		usleep(1000);
	assert_int_equal(h_stats(s).tasks, 10);
	__atomic_store_n(&shared->go, 2, __ATOMIC_SEQ_CST);
	assert_int_equal(h_wait(pid), 0);
	assert_int_equal(h_stats(s).tasks, 0);
}

/* Forks that fail do not count. */
static int fork_storm(void *arg)
{
	struct rlimit few = { 3, 3 };
	int made = 0;

	(void)arg;
	if (setpgid(0, 0) || setresuid(1000, 1000, 1000) || setrlimit(RLIMIT_NPROC, &few))
		return BROKEN;
	for (int i = 0; i < 50; i++) {
		pid_t pid = fork();

		if (!pid)
			pause();
		if (pid > 0)
			made++;
	}
	shared->result = made;
	kill(0, SIGKILL);
	return BROKEN;
}

static void test_failed_forks(void **state)
{
	__u32 s = h_container(POLICY);

	(void)state;
	assert_int_equal(h_run(s, fork_storm, NULL), 128 + SIGKILL);
	assert_in_range(shared->result, 1, 3);
	for (int i = 0; i < 200 && h_stats(s).tasks; i++)
		usleep(10000);
	assert_int_equal(h_stats(s).tasks, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),	     cmocka_unit_test(test_fork),
		cmocka_unit_test(test_vfork),	     cmocka_unit_test(test_clone3),
		cmocka_unit_test(test_clone_parent), cmocka_unit_test(test_double_fork),
		cmocka_unit_test(test_thread),	     cmocka_unit_test(test_exec),
		cmocka_unit_test(test_exec_in_thread), cmocka_unit_test(test_cgroup),
		cmocka_unit_test(test_setuid),	     cmocka_unit_test(test_chroot),
		cmocka_unit_test(test_unshare),	     cmocka_unit_test(test_setns),
		cmocka_unit_test(test_io_uring),     cmocka_unit_test(test_tag_stays),
		cmocka_unit_test(test_exit_code),    cmocka_unit_test(test_task_count),
		cmocka_unit_test(test_failed_forks),
	};
	int fd;

	if (argc == 2 && !strcmp(argv[1], "--ask"))
		return ask();
	if (argc == 2 && !strcmp(argv[1], "--six"))
		return 6;
	fd = open(SECRET, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		return 99;
	close(fd);
	shared = h_shared(sizeof(*shared));
	slot = h_container(POLICY);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
