// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What answering a refused call by handoff takes at the least, natively and without BPF: a process that
 * cannot sleep is seized, interrupted, stopped, given a result and let go, as user/override.c does it,
 * beside a bare seccomp notification. Prints medians in us. Needs root and two CPUs.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES 400
#define PAUSE_US 3000

enum part { WAKE, SEIZE, STOP, ANSWER, HANDOFF, NOTIFICATION, PARTS };
static const char *const part_name[] = { "wake", "seize and interrupt", "stop", "answer", "handoff",
					 "notification" };

static struct shared {
	volatile int waiting, answered;
	volatile double begun;
	double us[PARTS][SAMPLES];
} *sh;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void real_time(int on)
{
	const struct sched_param param = { .sched_priority = on ? 10 : 0 };

	sched_setscheduler(0, on ? SCHED_FIFO : SCHED_OTHER, &param);
}

static int compare(const void *a, const void *b)
{
	return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

/* Keeps its CPU until it is told, like the program at the end of a refused call. */
static void caller_handed(int fd)
{
	for (int i = 0; i < SAMPLES; i++) {
		usleep(PAUSE_US);
		sh->answered = 0;
		sh->waiting = 1;
		sh->begun = now();
		eventfd_write(fd, 1);
		while (sh->waiting || !sh->answered)
			;
		sh->us[HANDOFF][i] = now() - sh->begun;
	}
	_exit(0);
}

static void handoff(void)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int fd = eventfd(0, 0), set = epoll_create1(0), status;
	pid_t pid = fork();

	if (!pid)
		caller_handed(fd);
	real_time(1);
	epoll_ctl(set, EPOLL_CTL_ADD, fd, &ev);
	for (int i = 0; i < SAMPLES; i++) {
		struct user_regs_struct regs;
		double at[4];
		eventfd_t n;

		epoll_wait(set, &ev, 1, -1);
		at[0] = now();
		eventfd_read(fd, &n);
		if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) || ptrace(PTRACE_INTERRUPT, pid, NULL, NULL))
			exit(1);
		sh->waiting = 0;
		at[1] = now();
		while (!waitpid(pid, &status, __WALL | WNOHANG))
			;
		at[2] = now();
		ptrace(PTRACE_GETREGS, pid, NULL, &regs);
		ptrace(PTRACE_SETREGS, pid, NULL, &regs);
		sh->answered = 1;
		ptrace(PTRACE_DETACH, pid, NULL, NULL);
		at[3] = now();
		sh->us[WAKE][i] = at[0] - sh->begun;
		for (int k = SEIZE; k <= ANSWER; k++)
			sh->us[k][i] = at[k] - at[k - 1];
	}
	real_time(0);
	waitpid(pid, NULL, 0);
}

static void caller_notified(int fd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(code) / sizeof(code[0]), .filter = code };
	int listener;

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
				&program);
	if (write(fd, &listener, sizeof(listener)) != sizeof(listener))
		_exit(1);
	for (int i = 0; i < SAMPLES; i++) {
		double begun;

		usleep(PAUSE_US);
		begun = now();
		syscall(SYS_getppid);
		sh->us[NOTIFICATION][i] = now() - begun;
	}
	_exit(0);
}

static void notification(void)
{
	int word[2], listener = -1;
	pid_t pid;

	if (pipe(word))
		exit(1);
	pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, 0);
	if (!pid)
		caller_notified(word[1]);
	if (read(word[0], &listener, sizeof(listener)) != sizeof(listener) || listener < 0)
		exit(1);
	real_time(1);
	for (int i = 0; i < SAMPLES; i++) {
		struct seccomp_notif_resp answer = { .val = 42 };
		struct seccomp_notif request;

		memset(&request, 0, sizeof(request));
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request))
			break;
		answer.id = request.id;
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
	}
	real_time(0);
	waitpid(pid, NULL, 0);
}

int main(void)
{
	void *p = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return 1;
	sh = p;
	handoff();
	notification();
	for (int k = 0; k < PARTS; k++) {
		qsort(sh->us[k], SAMPLES, sizeof(double), compare);
		printf("%-20s %8.1f us (10 %%: %.1f)\n", part_name[k], sh->us[k][SAMPLES / 2],
		       sh->us[k][SAMPLES / 10]);
	}
	printf("handoff / notification %.1f\n",
	       sh->us[HANDOFF][SAMPLES / 2] / sh->us[NOTIFICATION][SAMPLES / 2]);
	return 0;
}
