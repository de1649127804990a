// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Baseline: two containers on one host, and a victim in none. Policies that allow everything and
 * audit mode change nothing here; untagged tasks may do all of it.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/kcmp.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "ops.h"

#define BROKEN 90

static __u32 a, b;
static char secret_word[8] = "secret";

static int victim(void *arg)
{
	(void)arg;
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	while (pause() < 0)
		;
	return BROKEN;
}

/* What can be had of a file of /proc, which checks when it is opened or when it is read. */
static int leak(const char *path, int flags)
{
	cleanup_close int fd = open(path, flags | O_CLOEXEC);
	char byte;
	ssize_t n;

	if (fd < 0)
		return errno;
	if (flags == O_RDWR)
		return 0;
	n = read(fd, &byte, 1);
	return n > 0 ? 0 : n ? errno : EACCES;
}

/* -------------------------------------------------------------------- attacks */

enum attack {
	KILL, KILL0, TGKILL, SIGQUEUE, PIDFD_SIGNAL,
	ATTACH, SEIZE, VM_READ, VM_WRITE, PROC_MEM, PROC_ENVIRON, PIDFD_GETFD, KCMP,
	SETNICE, SETSCHED, SETLIMIT, SETIOPRIO, MOVE_PAGES,
	ATTACK__MAX
};

struct strike {
	enum attack attack;
	pid_t pid;
};

static int strike(void *arg)
{
	struct strike *s = arg;
	char buf[8] = "", path[64];
	struct iovec local = { buf, sizeof(buf) }, remote = { secret_word, sizeof(secret_word) };
	struct rlimit limit = { 1000, 1000 };
	siginfo_t info = { .si_code = SI_QUEUE };
	struct sched_param param = { .sched_priority = 0 };
	void *page = secret_word;
	int status, result, fd = syscall(SYS_pidfd_open, s->pid, 0);

	if (fd < 0)
		return BROKEN;
	switch (s->attack) {
	case KILL:
		return h_errno(kill(s->pid, SIGCONT));
	case KILL0:
		return h_errno(kill(s->pid, 0));
	case TGKILL:
		return h_errno(syscall(SYS_tgkill, s->pid, s->pid, SIGCONT));
	case SIGQUEUE:
		info.si_signo = SIGCONT;
		return h_errno(syscall(SYS_rt_sigqueueinfo, s->pid, SIGCONT, &info));
	case PIDFD_SIGNAL:
		return h_errno(syscall(SYS_pidfd_send_signal, fd, SIGCONT, NULL, 0));
	case ATTACH:
		result = h_errno(ptrace(PTRACE_ATTACH, s->pid, 0, 0));
		if (!result) {
			waitpid(s->pid, &status, __WALL);
			ptrace(PTRACE_DETACH, s->pid, 0, 0);
		}
		return result;
	case SEIZE:
		result = h_errno(ptrace(PTRACE_SEIZE, s->pid, 0, 0));
		return result;
	case VM_READ:
		return h_errno(process_vm_readv(s->pid, &local, 1, &remote, 1, 0));
	case VM_WRITE:
		memcpy(buf, secret_word, sizeof(buf));
		return h_errno(process_vm_writev(s->pid, &local, 1, &remote, 1, 0));
	case PROC_MEM:
		snprintf(path, sizeof(path), "/proc/%d/mem", s->pid);
		return leak(path, O_RDWR);
	case PROC_ENVIRON:
		snprintf(path, sizeof(path), "/proc/%d/environ", s->pid);
		return leak(path, O_RDONLY);
	case PIDFD_GETFD:
		return h_errno(syscall(SYS_pidfd_getfd, fd, 1, 0));
	case KCMP:
		return h_errno(syscall(SYS_kcmp, getpid(), s->pid, KCMP_VM, 0, 0));
	case SETNICE:
		return h_errno(setpriority(PRIO_PROCESS, s->pid, 1));
	case SETSCHED:
		return h_errno(sched_setscheduler(s->pid, SCHED_OTHER, &param));
	case SETLIMIT:
		return h_errno(prlimit(s->pid, RLIMIT_CORE, &limit, NULL));
	case SETIOPRIO:
		return h_errno(syscall(SYS_ioprio_set, 1, s->pid, 2 << 13 | 4));
	case MOVE_PAGES:
		return h_errno(syscall(SYS_move_pages, s->pid, 1ul, &page, NULL, &status, 0));
	case ATTACK__MAX:
		break;
	}
	return BROKEN;
}

/* The errno of a refusal: /proc/PID/mem and environ say EACCES where ptrace says EPERM. */
static int refused_as(enum attack attack)
{
	return attack == PROC_MEM || attack == PROC_ENVIRON ? EACCES : EPERM;
}

/* All of them, by `from` against a victim in `to`. */
static void strikes(int from, int to, int allowed)
{
	for (int i = 0; i < ATTACK__MAX; i++) {
		pid_t pid = h_start(to, victim, NULL);
		struct strike s = { i, pid };
		int result;

		usleep(2000);
		result = h_run(from, strike, &s);
		/* Kernels without the call say so to everybody. */
		if (result != ENOSYS && result != (allowed ? 0 : refused_as(i))) {
			print_error("attack %d from %d on %d: %d\n", i, from, to, result);
			kill(pid, SIGKILL);
			fail();
		}
		kill(pid, SIGKILL);
		assert_int_equal(h_wait(pid), 128 + SIGKILL);
	}
}

static void test_host_victim(void **state)
{
	(void)state;
	strikes((int)a, -1, 0);
}

static void test_other_container(void **state)
{
	(void)state;
	strikes((int)a, (int)b, 0);
}

static void test_same_container(void **state)
{
	(void)state;
	strikes((int)a, (int)a, 1);
}

static void test_untagged_may(void **state)
{
	(void)state;
	strikes(-1, (int)a, 1);
	strikes(-1, -1, 1);
}

static void test_audit_mode(void **state)
{
	__u32 s = h_container("policy: audit\nmode: audit\ndefaults: {mount: allow}\n");

	(void)state;
	strikes((int)s, -1, 0);
}

static int traceme(void *arg)
{
	(void)arg;
	return h_errno(ptrace(PTRACE_TRACEME, 0, 0, 0));
}

static int traceme_child(void *arg)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(traceme(arg));
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

static void test_traceme(void **state)
{
	(void)state;
	assert_int_equal(h_run(-1, traceme, NULL), 0);
	assert_int_equal(h_run((int)a, traceme, NULL), EPERM);
	assert_int_equal(h_run((int)a, traceme_child, NULL), 0);
}

/* Signals that the kernel sends are nobody's: a child's end, a timer, a broken pipe. */
static int kernel_signals(void *arg)
{
	struct itimerval timer = { .it_value = { .tv_usec = 10000 } };
	sigset_t set;
	int sig, ends[2];

	(void)arg;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGALRM);
	sigaddset(&set, SIGPIPE);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (!fork())
		_exit(0);
	if (sigwait(&set, &sig) || sig != SIGCHLD)
		return BROKEN;
	setitimer(ITIMER_REAL, &timer, NULL);
	if (sigwait(&set, &sig) || sig != SIGALRM)
		return BROKEN + 1;
	if (pipe(ends) || close(ends[0]) || write(ends[1], "", 1) != -1)
		return BROKEN + 2;
	return sigwait(&set, &sig) || sig != SIGPIPE ? BROKEN + 3 : 0;
}

static void test_kernel_signals(void **state)
{
	(void)state;
	assert_int_equal(h_run((int)a, kernel_signals, NULL), 0);
}

/* ---------------------------------------------------------------- unix sockets */

struct server {
	int type;
	int abstract;
	int ready[2];
};

static socklen_t address(const struct server *s, struct sockaddr_un *un)
{
	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	strcpy(un->sun_path + !!s->abstract, "/tmp/baseline-sock");
	return sizeof(un->sun_family) + !!s->abstract + strlen("/tmp/baseline-sock");
}

static int serve(void *arg)
{
	struct server *s = arg;
	struct sockaddr_un un;
	socklen_t len = address(s, &un);
	int fd = socket(AF_UNIX, s->type, 0);

	if (fd < 0 || bind(fd, (void *)&un, len) || (s->type != SOCK_DGRAM && listen(fd, 8)))
		return BROKEN;
	if (write(s->ready[1], "", 1) != 1)
		return BROKEN;
	for (;;)
		pause();
}

static int do_connect(void *arg)
{
	struct server *s = arg;
	struct sockaddr_un un;
	socklen_t len = address(s, &un);
	int fd = socket(AF_UNIX, s->type, 0);

	return fd < 0 ? BROKEN : h_errno(connect(fd, (void *)&un, len));
}

static int do_sendto(void *arg)
{
	struct server *s = arg;
	struct sockaddr_un un;
	socklen_t len = address(s, &un);
	int fd = socket(AF_UNIX, s->type, 0);

	return fd < 0 ? BROKEN : h_errno(sendto(fd, "x", 1, 0, (void *)&un, len));
}

static void with_server(int in, struct server *s, int (*client)(void *), int from, int expected)
{
	pid_t pid;
	char c;

	unlink("/tmp/baseline-sock");
	assert_int_equal(pipe(s->ready), 0);
	pid = h_start(in, serve, s);
	assert_int_equal(read(s->ready[0], &c, 1), 1);
	assert_int_equal(h_run(from, client, s), expected);
	kill(pid, SIGKILL);
	h_wait(pid);
	close(s->ready[0]);
	close(s->ready[1]);
}

static void test_unix(void **state)
{
	static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM };

	(void)state;
	for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
		for (int abstract = 0; abstract < 2; abstract++) {
			struct server s = { .type = types[t], .abstract = abstract };

			with_server(-1, &s, do_connect, (int)a, EPERM);
			with_server((int)b, &s, do_connect, (int)a, EACCES);
			with_server((int)a, &s, do_connect, (int)a, 0);
			with_server((int)a, &s, do_connect, -1, 0);
			with_server(-1, &s, do_connect, -1, 0);
		}
	}
}

static void test_unix_sendto(void **state)
{
	struct server s = { .type = SOCK_DGRAM };

	(void)state;
	with_server(-1, &s, do_sendto, (int)a, EPERM);
	with_server((int)b, &s, do_sendto, (int)a, EACCES);
	with_server((int)a, &s, do_sendto, (int)a, 0);
	with_server((int)a, &s, do_sendto, -1, 0);
}

/* A socket of the supervisor, opened to one container. */
static void test_unix_open(void **state)
{
	struct server s = { .type = SOCK_STREAM, .abstract = 1 };
	struct sockaddr_un un;
	socklen_t len = address(&s, &un);
	cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_int_equal(bind(fd, (void *)&un, len), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(h_run((int)a, do_connect, &s), EPERM);
	assert_int_equal(loader_open_socket_to(h_load(), fd, h_cid(a)), 0);
	assert_int_equal(h_run((int)a, do_connect, &s), 0);
	assert_int_equal(h_run((int)b, do_connect, &s), EPERM);
}

/* Pairs, made inside and handed in: their peers are given. */
static int own_pair(void *arg)
{
	int fd[2];

	if (socketpair(AF_UNIX, *(int *)arg, 0, fd))
		return BROKEN;
	return h_errno(send(fd[0], "x", 1, 0));
}

static int handed_pair(void *arg)
{
	return h_errno(send(*(int *)arg, "x", 1, 0));
}

/* A socket made outside does not open the way to others. */
static int handed_reconnect(void *arg)
{
	struct server s = { .type = SOCK_DGRAM };
	struct sockaddr_un un;
	socklen_t len = address(&s, &un);

	return h_errno(connect(*(int *)arg, (void *)&un, len));
}

static void test_unix_pairs(void **state)
{
	static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM };

	(void)state;
	for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
		int type = types[t], fd[2];

		assert_int_equal(h_run((int)a, own_pair, &type), 0);
		assert_int_equal(socketpair(AF_UNIX, type, 0, fd), 0);
		assert_int_equal(h_run((int)a, handed_pair, &fd[0]), 0);
		if (type == SOCK_DGRAM) {
			cleanup_close int host = socket(AF_UNIX, SOCK_DGRAM, 0);
			struct server s = { .type = SOCK_DGRAM };
			struct sockaddr_un un;
			socklen_t len = address(&s, &un);

			unlink(un.sun_path);
			assert_int_equal(bind(host, (void *)&un, len), 0);
			assert_int_equal(h_run((int)a, handed_reconnect, &fd[0]), EPERM);
			assert_int_equal(h_run(-1, handed_reconnect, &fd[0]), 0);
		}
		close(fd[0]);
		close(fd[1]);
	}
}

/* ------------------------------------------------------------------- the kernel */

static int do_bpf(void *arg)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4,
				.max_entries = 1 };
	int cmd = *(int *)arg;

	if (cmd == BPF_OBJ_GET) {
		memset(&attr, 0, sizeof(attr));
		attr.pathname = (__u64)(uintptr_t)(WARDER_PIN_DIR "/warder_tasks");
	}
	return h_errno(syscall(SYS_bpf, cmd, &attr, sizeof(attr)));
}

static void test_bpf(void **state)
{
	int cmds[] = { BPF_MAP_CREATE, BPF_OBJ_GET };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cmds); i++) {
		assert_int_equal(h_run(-1, do_bpf, &cmds[i]), 0);
		assert_int_equal(h_run((int)a, do_bpf, &cmds[i]), EPERM);
	}
}

static void test_modules(void **state)
{
	(void)state;
	assert_int_equal(h_run(-1, op_init_module, NULL), ENOEXEC);
	assert_int_equal(h_run((int)a, op_init_module, NULL), EPERM);
	assert_int_equal(h_run(-1, op_finit_module, NULL), ENOEXEC);
	assert_int_equal(h_run((int)a, op_finit_module, NULL), EPERM);
	assert_int_equal(h_run(-1, op_kexec_file, NULL), ENOEXEC);
	assert_int_equal(h_run((int)a, op_kexec_file, NULL), EPERM);
}

static int do_perf(void *arg)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(attr),
					.config = PERF_COUNT_SW_TASK_CLOCK };

	(void)arg;
	return h_errno(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0));
}

/* Class defaults: audit mode only reports them. */
static void test_surfaces(void **state)
{
	int (*const surface[])(void *) = { op_syslog, op_settime };
	__u32 audit = h_container("policy: audit\nmode: audit\n");
	__u64 before;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(surface); i++) {
		assert_int_equal(h_run(-1, surface[i], NULL), 0);
		assert_int_equal(h_run((int)a, surface[i], NULL), EPERM);
		before = h_stats(audit).audited;
		assert_int_equal(h_run((int)audit, surface[i], NULL), 0);
		assert_true(h_stats(audit).audited > before);
	}
	assert_int_equal(h_run(-1, do_perf, NULL), 0);
	assert_int_equal(h_run((int)a, do_perf, NULL), EPERM);
	/* It asks for CAP_PERFMON, too, which the baseline refuses in every mode. */
	assert_int_equal(h_run((int)audit, do_perf, NULL), EACCES);
}

static void test_event(void **state)
{
	char name[WARDER_PATH_MAX], detail[WARDER_PATH_MAX];
	pid_t pid = h_start((int)b, victim, NULL);
	struct strike s = { TGKILL, pid };
	struct warder_event e;

	(void)state;
	h_events_drop();
	assert_int_equal(h_run((int)a, strike, &s), EPERM);
	assert_int_equal(h_event_last(a, &e, name, detail), 1);
	assert_int_equal(e.hook, WARDER_HOOK_TASK_KILL);
	assert_int_equal(e.class_, WARDER_CLASS_SIGNAL);
	assert_int_equal(e.v.why, WARDER_WHY_BASELINE);
	assert_int_equal(e.access, SIGCONT);
	assert_int_equal(e.arg[0], pid);
	assert_true(e.arg[1] == h_cid(b));
	kill(pid, SIGKILL);
	h_wait(pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_host_victim),    cmocka_unit_test(test_other_container),
		cmocka_unit_test(test_same_container), cmocka_unit_test(test_untagged_may),
		cmocka_unit_test(test_audit_mode),     cmocka_unit_test(test_traceme),
		cmocka_unit_test(test_kernel_signals), cmocka_unit_test(test_unix),
		cmocka_unit_test(test_unix_sendto),    cmocka_unit_test(test_unix_open),
		cmocka_unit_test(test_unix_pairs),     cmocka_unit_test(test_bpf),
		cmocka_unit_test(test_modules),	       cmocka_unit_test(test_surfaces),
		cmocka_unit_test(test_event),
	};

	a = h_container("policy: a\ndefaults: {mount: allow}\n");
	b = h_container("policy: b\ndefaults: {mount: allow}\n");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
