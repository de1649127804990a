// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Ways round an identity that other tests do not take: the host's tasks in a container's cgroup
 * or namespaces and two containers in one of each, ten thousand tasks, process numbers used
 * again, and the kernel acting for a task.
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
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"

#define BROKEN 90
#define DIR "/root/bypass"
#define SECRET DIR "/secret"
#define OTHER DIR "/other"
#define CGROUP "/sys/fs/cgroup/bypass"
#define DENY(path) "file:\n  - deny: [read, write, create]\n    path: [" path ", " path "/**]\n"
#define POLICY(name, path) \
	"policy: " name "\ndefaults: {namespace: allow, mount: allow}\n" DENY(path)

static __u32 a, b;
static int *shared;

static int ask_secret(void *arg)
{
	(void)arg;
	return h_open(SECRET, O_RDONLY);
}

static int ask_other(void *arg)
{
	(void)arg;
	return h_open(OTHER, O_RDONLY);
}

static int reap(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, __WALL) != pid)
		return BROKEN;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int nap(void *arg)
{
	(void)arg;
	__atomic_store_n(shared, 1, __ATOMIC_SEQ_CST);
	while (pause() < 0)
		;
	return BROKEN;
}

static pid_t start_napping(int slot, int (*fn)(void *))
{
	pid_t pid;

	*shared = 0;
	pid = h_start(slot, fn, NULL);
	while (!__atomic_load_n(shared, __ATOMIC_SEQ_CST))
		usleep(1000);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(h_wait(pid), 128 + SIGKILL);
}

/* ------------------------------------------------------------ cgroups, namespaces */

static int enter_cgroup(void *arg)
{
	cleanup_close int fd = open(CGROUP "/cgroup.procs", O_WRONLY | O_CLOEXEC);

	(void)arg;
	if (fd < 0 || write(fd, "0", 1) != 1)
		return BROKEN;
	return h_open(SECRET, O_RDONLY);
}

/* The same cgroup: each keeps what it is. */
static void a_cgroup_is_not_an_identity(void **state)
{
	pid_t pid;

	(void)state;
	assert_true(!mkdir(CGROUP, 0755) || errno == EEXIST);
	pid = start_napping((int)a, nap);
	h_shell("echo %d > " CGROUP "/cgroup.procs", pid);
	assert_int_equal(h_run(-1, enter_cgroup, NULL), 0);
	assert_int_equal(h_run((int)b, enter_cgroup, NULL), 0);
	assert_int_equal(h_run((int)a, enter_cgroup, NULL), EACCES);
	end(pid);
}

static int nap_apart(void *arg)
{
	if (unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP |
		    CLONE_NEWPID))
		return BROKEN;
	/* pid_for_children exists once a child does. */
	if (!fork()) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		return nap(arg);
	}
	while (pause() < 0)
		;
	return BROKEN;
}

static int enter_namespaces(void *arg)
{
	static const char *const kinds[] = { "cgroup", "uts", "ipc", "net", "pid_for_children",
					     "mnt" };
	int fds[ARRAY_SIZE(kinds)];
	pid_t pid;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d/ns/%s", *(pid_t *)arg, kinds[i]);
		fds[i] = open(path, O_RDONLY | O_CLOEXEC);
		if (fds[i] < 0)
			return BROKEN;
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (setns(fds[i], 0))
			return BROKEN + 1;
	pid = fork();
	if (!pid)
		_exit(h_open(SECRET, O_RDONLY));
	return reap(pid);
}

/* A tool of the host in all of a container's namespaces at once is still the host's. */
static void namespaces_are_not_an_identity(void **state)
{
	pid_t pid = start_napping((int)a, nap_apart);

	(void)state;
	assert_int_equal(h_run(-1, enter_namespaces, &pid), 0);
	end(pid);
}

/* Two containers and the host in one pid namespace, mount namespace and so on. */
static void containers_in_one_pid_namespace(void **state)
{
	(void)state;
	assert_int_equal(h_run((int)a, ask_secret, NULL), EACCES);
	assert_int_equal(h_run((int)a, ask_other, NULL), 0);
	assert_int_equal(h_run((int)b, ask_secret, NULL), 0);
	assert_int_equal(h_run((int)b, ask_other, NULL), EACCES);
	assert_int_equal(h_run(-1, ask_secret, NULL), 0);
	assert_int_equal(h_run(-1, ask_other, NULL), 0);
}

static int children_namespace(void *arg)
{
	pid_t pid;

	/* The caller's own link shows the new one at once; what it may do does not change. */
	if (unshare(CLONE_NEWPID) || h_open(SECRET, O_RDONLY) != *(int *)arg)
		return BROKEN;
	pid = fork();
	if (!pid)
		_exit(getpid() == 1 ? h_open(SECRET, O_RDONLY) : BROKEN);
	return reap(pid);
}

static void a_new_pid_namespace_changes_nothing(void **state)
{
	(void)state;
	assert_int_equal(h_run(-1, children_namespace, &(int){ 0 }), 0);
	assert_int_equal(h_run((int)a, children_namespace, &(int){ EACCES }), EACCES);
}

/* ------------------------------------------------------------------- many tasks */

/* More than the tables of others hold. */
#define CROWD 10500

static int gate[2];

static void *wait_at_gate(void *arg)
{
	char c;

	(void)arg;
	if (read(gate[0], &c, 1) < 0)
		return NULL;
	return NULL;
}

static void *last_of_many(void *arg)
{
	*(int *)arg = h_open(SECRET, O_RDONLY);
	return NULL;
}

static int crowd(void *arg)
{
	pthread_attr_t attr;
	pthread_t t;
	int result = BROKEN;

	(void)arg;
	if (pipe(gate) || pthread_attr_init(&attr) || pthread_attr_setstacksize(&attr, 16384) ||
	    pthread_attr_setguardsize(&attr, 0))
		return BROKEN;
	for (int i = 0; i < CROWD; i++)
		if (pthread_create(&t, &attr, wait_at_gate, NULL))
			return BROKEN + 1;
	if (pthread_create(&t, &attr, last_of_many, &result) || pthread_join(t, NULL))
		return BROKEN + 2;
	_exit(result);
}

static void ten_thousand_tasks_are_confined(void **state)
{
	__u64 copy = h_fault_count(WARDER_FAULT_TAG_COPY);

	(void)state;
	h_shell("echo 32768 > /proc/sys/kernel/pid_max; echo 30000 > /proc/sys/kernel/threads-max");
	assert_int_equal(h_run((int)a, crowd, NULL), EACCES);
	assert_true(h_fault_count(WARDER_FAULT_TAG_COPY) == copy);
	/* That many exits at once are counted to the last. */
	for (int i = 0; i < 1000 && h_stats(a).tasks; i++)
		usleep(10000);
	assert_int_equal(h_stats(a).tasks, 0);
}

/* ------------------------------------------------------------- numbers used again */

static int clone_as(void *arg)
{
	struct clone_args args = { .exit_signal = SIGCHLD,
				   .set_tid = (__u64)(uintptr_t)arg,
				   .set_tid_size = 1 };
	pid_t pid = syscall(SYS_clone3, &args, sizeof(args));

	if (!pid)
		_exit(getpid() == *(pid_t *)arg ? h_open(SECRET, O_RDONLY) : BROKEN);
	return reap(pid);
}

static void a_number_used_again_is_another_task(void **state)
{
	pid_t pid;

	(void)state;
	pid = h_start((int)a, ask_secret, NULL);
	assert_int_equal(h_wait(pid), EACCES);
	assert_int_equal(h_run(-1, clone_as, &pid), 0);
	assert_int_equal(h_run((int)b, clone_as, &pid), 0);
	pid = h_start(-1, ask_secret, NULL);
	assert_int_equal(h_wait(pid), 0);
	assert_int_equal(h_run((int)a, clone_as, &pid), EACCES);
}

/* --------------------------------------------------- the kernel acting for a task */

static int crash(void *arg)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

	(void)arg;
	if (setrlimit(RLIMIT_CORE, &all) || prctl(PR_SET_DUMPABLE, 1))
		return BROKEN;
	signal(SIGABRT, SIG_DFL);
	abort();
}

static int there_is(const char *path)
{
	return !access(path, F_OK);
}

/* A core file is made by the task that dies: where its policy lets it. */
static void core_files_are_the_tasks(void **state)
{
	(void)state;
	h_shell("echo " SECRET ".d/core > /proc/sys/kernel/core_pattern; "
		"echo 0 > /proc/sys/kernel/core_uses_pid; rm -f " SECRET ".d/core");
	h_policy(a, POLICY("a", SECRET ".d"));
	assert_int_equal(h_run((int)a, crash, NULL), 128 + SIGABRT);
	assert_false(there_is(SECRET ".d/core"));
	assert_int_equal(h_run((int)b, crash, NULL), 128 + SIGABRT);
	assert_true(there_is(SECRET ".d/core"));
	h_shell("rm " SECRET ".d/core; echo core > /proc/sys/kernel/core_pattern");
	h_policy(a, POLICY("a", SECRET));
}

/* Waits for what a helper of the kernel leaves behind. */
static int left_behind(const char *path)
{
	for (int i = 0; i < 500; i++) {
		if (there_is(path))
			return 1;
		usleep(10000);
	}
	return 0;
}

static int load_type(void *arg)
{
	(void)arg;
	return h_errno(mount("none", DIR "/mnt", "nonesuch", 0, NULL));
}

/*
 * Helpers that the kernel starts are the host's: they have no tag, and run what the host's
 * administrator has set. A container cannot set them (test_surface), and what makes the kernel
 * load a module for a task is refused before that.
 */
static void helpers_of_the_kernel_are_the_hosts(void **state)
{
	__u32 closed = h_container("policy: closed\n");

	(void)state;
	h_write(DIR "/helper", "#!/bin/sh\necho \"$@\" >> " SECRET ".d/helped\n");
	h_shell("chmod 755 " DIR "/helper; rm -f " SECRET ".d/helped; "
		"echo '|" DIR "/helper core' > /proc/sys/kernel/core_pattern; "
		"cp /proc/sys/kernel/modprobe " DIR "/modprobe; "
		"echo " DIR "/helper > /proc/sys/kernel/modprobe");
	h_policy(a, POLICY("a", SECRET ".d"));
	assert_int_equal(h_run((int)a, crash, NULL), 128 + SIGABRT);
	assert_true(left_behind(SECRET ".d/helped"));
	h_shell("grep -q core " SECRET ".d/helped; rm " SECRET ".d/helped");

	assert_int_equal(h_run((int)closed, load_type, NULL), EPERM);
	usleep(300000);
	assert_false(there_is(SECRET ".d/helped"));
	assert_int_equal(h_run((int)a, load_type, NULL), ENODEV);
	assert_true(left_behind(SECRET ".d/helped"));
	h_shell("grep -q fs-nonesuch " SECRET ".d/helped");
	h_shell("echo core > /proc/sys/kernel/core_pattern; "
		"cat " DIR "/modprobe > /proc/sys/kernel/modprobe");
	h_policy(a, POLICY("a", SECRET));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cgroup_is_not_an_identity),
		cmocka_unit_test(namespaces_are_not_an_identity),
		cmocka_unit_test(containers_in_one_pid_namespace),
		cmocka_unit_test(a_new_pid_namespace_changes_nothing),
		cmocka_unit_test(ten_thousand_tasks_are_confined),
		cmocka_unit_test(a_number_used_again_is_another_task),
		cmocka_unit_test(core_files_are_the_tasks),
		cmocka_unit_test(helpers_of_the_kernel_are_the_hosts),
	};

	h_shell("mkdir -p " DIR "/mnt " SECRET ".d; echo x > " SECRET "; echo x > " OTHER);
	shared = h_shared(sizeof(*shared));
	a = h_container(POLICY("a", SECRET));
	b = h_container(POLICY("b", OTHER));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
