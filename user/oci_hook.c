// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A container of another runtime, held between its making and its first program. An OCI hook is
 * called before the runtime has entered the container's root and mounted all that belongs there: to
 * tag its process then would have the policy judge the runtime. So the process is traced instead,
 * which runs on as it would, to where it asks to execute a program; there it is adopted, and the
 * policy judges that program as it does one of `warder run`. The kernel kills what is traced if its
 * tracer ends, so nothing comes past it.
 *
 * The hook's own caller waits for it, so it is a child of the hook that holds.
 */
#include <dirent.h>
#include <errno.h>
#include <linux/audit.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "adopt.h"
#include "cleanup.h"
#include "oci.h"

#define HOLD_TASKS_MAX 4096
#define HOLD_TRIES 64 /* passes over the threads of a process that makes more meanwhile */
#define HOLD_OPTIONS                                                                          \
	(PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | \
	 PTRACE_O_TRACECLONE)
#define SYSCALL_STOP (SIGTRAP | 0x80)

struct hold {
	pid_t tid[HOLD_TASKS_MAX]; /* that are traced, as far as they have been heard of */
	size_t count;
	pid_t first;
	int adopted;
	int err; /* of adopt */
	int (*adopt)(void *arg);
	void *arg;
};

static int hold_knows(const struct hold *h, pid_t tid)
{
	for (size_t i = 0; i < h->count; i++)
		if (h->tid[i] == tid)
			return 1;
	return 0;
}

static void hold_forget(struct hold *h, pid_t tid)
{
	for (size_t i = 0; i < h->count; i++)
		if (h->tid[i] == tid)
			h->tid[i--] = h->tid[--h->count];
}

/* -ENOSPC: what is not known cannot be let go. */
static int hold_add(struct hold *h, pid_t tid)
{
	if (hold_knows(h, tid))
		return 0;
	if (h->count == HOLD_TASKS_MAX)
		return -ENOSPC;
	h->tid[h->count++] = tid;
	return 0;
}

/* A thread that a traced one made is traced from its beginning. */
static int is_held_by_us(pid_t tid)
{
	cleanup_fclose FILE *f = NULL;
	char path[64], line[256];
	int tracer = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "TracerPid: %d", &tracer) == 1)
			break;
	return tracer == getpid();
}

/* One pass over its threads; *ret_new: how many of them were not held yet. */
static int hold_threads(pid_t pid, size_t *ret_new, struct warder_error *e)
{
	cleanup_closedir DIR *dir = NULL;
	struct dirent *entry;
	char path[64];

	*ret_new = 0;
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		return error_set(e, -ESRCH, "its process %d is gone", pid);
	while ((entry = readdir(dir))) {
		pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (tid <= 0 || is_held_by_us(tid))
			continue;
		if (ptrace(PTRACE_SEIZE, tid, NULL, (void *)(long)HOLD_OPTIONS)) {
			if (errno == ESRCH || is_held_by_us(tid))
				continue;
			return error_errno(e, -errno,
					   "its process %d cannot be held: another tracer has it, or "
					   "kernel.yama.ptrace_scope is 3", pid);
		}
		/* From its next stop on it stops at system calls. */
		ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
		++*ret_new;
	}
	return 0;
}

int oci_hold_begin(pid_t pid, struct warder_error *reterr)
{
	size_t fresh = 1;
	int err = 0;

	/* Whatever a state says: if we ended, it would be killed. */
	if (pid == 1 || pid == getppid())
		return error_set(reterr, -EPERM, "process %d is no container's", pid);
	for (int i = 0; !err && fresh && i < HOLD_TRIES; i++)
		err = hold_threads(pid, &fresh, reterr);
	if (!err && fresh)
		err = error_set(reterr, -EAGAIN, "its process %d makes threads without an end", pid);
	if (!err && !is_held_by_us(pid))
		err = error_set(reterr, -ESRCH, "its process %d is gone", pid);
	return err;
}

/* ----------------------------------------------------------------------- stops */

static int is_exec(const struct __ptrace_syscall_info *info)
{
	const __u64 x32 = 0x40000000; /* __X32_SYSCALL_BIT */

	if (info->op != PTRACE_SYSCALL_INFO_ENTRY)
		return 0;
	if (info->arch == AUDIT_ARCH_I386)
		return info->entry.nr == 11 || info->entry.nr == 358;
	return info->entry.nr == SYS_execve || info->entry.nr == SYS_execveat ||
	       info->entry.nr == (x32 | 520) || info->entry.nr == (x32 | 545);
}

/* Is it of the container by now? The first process is; of what it forks, what has another root than
 * we: hooks that a runtime calls before it has entered the container's root are the host's. */
static int is_inside(const struct hold *h, pid_t tid)
{
	struct stat own, its;
	struct adopt_status st;
	char path[64];

	if (!adopt_status_read(tid, &st) && st.tgid == h->first)
		return 1;
	snprintf(path, sizeof(path), "/proc/%d/root", tid);
	return stat(path, &its) || stat("/", &own) || its.st_dev != own.st_dev ||
	       its.st_ino != own.st_ino;
}

static void hold_let_go(struct hold *h, pid_t tid, int sig)
{
	if (!ptrace(PTRACE_DETACH, tid, NULL, (void *)(long)sig))
		hold_forget(h, tid);
}

/* It asks to execute a program. */
static void hold_exec(struct hold *h, pid_t tid)
{
	if (!is_inside(h, tid)) {
		hold_let_go(h, tid, 0);
		return;
	}
	h->err = h->adopt(h->arg);
	if (h->err)
		return;
	h->adopted = 1;
	hold_let_go(h, tid, 0);
	for (size_t i = 0; i < h->count; i++)
		ptrace(PTRACE_INTERRUPT, h->tid[i], NULL, NULL);
}

static void hold_stopped(struct hold *h, pid_t tid, int status)
{
	struct __ptrace_syscall_info info = { .op = PTRACE_SYSCALL_INFO_NONE };
	int sig = WSTOPSIG(status), event = status >> 16;

	if (event == PTRACE_EVENT_STOP && sig != SIGTRAP) {
		if (h->adopted)
			hold_let_go(h, tid, 0);
		else
			ptrace(PTRACE_LISTEN, tid, NULL, NULL); /* stopped, as one that is not traced */
		return;
	}
	if (sig == SYSCALL_STOP && !h->adopted &&
	    ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof(info), &info) > 0 && is_exec(&info)) {
		hold_exec(h, tid);
		if (h->err || !hold_knows(h, tid))
			return;
	}
	if (event || sig == SYSCALL_STOP)
		sig = 0;
	if (h->adopted)
		hold_let_go(h, tid, sig);
	else
		ptrace(PTRACE_SYSCALL, tid, NULL, (void *)(long)sig);
}

int oci_hold_run(pid_t pid, int (*adopt)(void *arg), void *arg)
{
	static struct hold h;
	int status;

	h = (struct hold){ .first = pid, .adopt = adopt, .arg = arg };
	/* What ended before anybody asked is told, too: without children there is an end of it. */
	while (!h.err) {
		pid_t tid = waitpid(-1, &status, __WALL);

		if (tid < 0 && errno == EINTR)
			continue;
		if (tid < 0)
			break;
		if (!WIFSTOPPED(status)) {
			hold_forget(&h, tid);
			continue;
		}
		h.err = hold_add(&h, tid);
		if (!h.err)
			hold_stopped(&h, tid, status);
	}
	if (!h.err)
		return h.adopted ? 0 : -ESRCH;
	/* Those that are held are killed when we end; whoever waits for the first knows at once. */
	for (size_t i = 0; i < h.count; i++)
		kill(h.tid[i], SIGKILL);
	return h.err;
}
