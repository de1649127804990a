// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The pool: the zygote, the executors' main loop, and the supervisor's handles on them.
 * Neither zygote nor executors outlive the supervisor: they die with their parent, and an
 * end of file on the socket ends them too.
 */
#include "executor.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "executor_internal.h"
#include "fdmsg.h"

#define EXECUTOR_PRIORITY 5 /* SCHED_RR; the override thread has 10 */
#define EXECUTOR_RT_MS 200

struct executor {
	int fd;
	int pidfd;
	pid_t pid;
	int busy;
};

struct executor_pool {
	int zygote_fd;
	int zygote_pidfd;
	unsigned count;
	unsigned missing; /* killed and not replaced yet */
	struct executor item[EXECUTORS_MAX];
};

/* --------------------------------------------------------------------------- messages */

/* Most steps have no texts, and those are most of a message: they are left out where all are empty. */
#define REQUEST_HEAD offsetof(struct executor_request, text)
#define REPLY_HEAD offsetof(struct executor_reply, fstype)

static size_t request_size(const struct executor_request *r)
{
	return r->text[0] || executor_request_from(r)[0] || r->image[0] || r->program[0] ? sizeof(*r) : REQUEST_HEAD;
}

static int request_complete(struct executor_request *r, ssize_t got)
{
	if (got == (ssize_t)REQUEST_HEAD)
		memset((char *)r + REQUEST_HEAD, 0, sizeof(*r) - REQUEST_HEAD);
	return got == (ssize_t)REQUEST_HEAD || got == sizeof(*r);
}

static size_t reply_size(const struct executor_reply *r)
{
	return r->fstype[0] || r->source[0] || r->target[0] || r->data[0] || r->value_len ||
			       r->last[0] || r->name[0] || r->name2[0] ?
		       sizeof(*r) : REPLY_HEAD;
}

static int reply_complete(struct executor_reply *r, ssize_t got)
{
	if (got == (ssize_t)REPLY_HEAD)
		memset((char *)r + REPLY_HEAD, 0, sizeof(*r) - REPLY_HEAD);
	return got == (ssize_t)REPLY_HEAD || got == sizeof(*r);
}

/* ---------------------------------------------------------------------- the children */

/* Dies with the process that made it; the parent may be gone already. */
static void child_die_with(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
}

/* Keeps `keep` as descriptor 3 and nothing else but stderr. */
static int child_close_all(int keep)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null >= 0) {
		dup2(null, 0);
		dup2(null, 1);
	}
	if (keep != 3 && dup3(keep, 3, O_CLOEXEC) < 0)
		_exit(1);
	close_range(4, ~0u, 0);
	return 3;
}

static void child_reset_signals(void)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/*
 * Somebody waits for it, held by its tracer: busy containers must not make it wait behind them,
 * so it comes before everything ordinary and after the override thread. The supervisor lowers it
 * for a container that has used up its share. Not being allowed to makes it slower only.
 */
static void executor_hurry(int hurry)
{
	struct sched_param param = { .sched_priority = hurry ? EXECUTOR_PRIORITY : 0 };

	sched_setscheduler(0, hurry ? SCHED_RR : SCHED_OTHER, &param);
}

_Noreturn static void executor_main(int fd, pid_t parent, struct executor_note *notes)
{
	static struct executor_request req;
	static struct executor_reply reply;
	struct executor_home home = { .parent = parent, .notes = notes };
	struct operation op;
	struct stat st;

	fd = child_close_all(fd);
	prctl(PR_SET_NAME, "warder-exec");
	/* A child of it is seen in a container's pid namespace for a moment. */
	prctl(PR_SET_DUMPABLE, 0);
	/* What a container can make it compute without a break is bounded, then it is killed. */
	setrlimit(RLIMIT_RTTIME, &(struct rlimit){ EXECUTOR_RT_MS * 1000, EXECUTOR_RT_MS * 1000 });
	setpriority(PRIO_PROCESS, 0, -10);
	executor_hurry(1);
	/* Only fsuid and capabilities count for what it does. */
	if (setgroups(0, NULL))
		_exit(1);
	child_die_with(parent);
	home.mntns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	home.uts = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
	home.pidns = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	home.self = open("/proc/self/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	home.root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	home.shared_word = mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (home.mntns < 0 || home.root < 0 || home.uts < 0 || home.pidns < 0 || home.self < 0 ||
	    home.shared_word == MAP_FAILED || fstat(home.mntns, &st))
		_exit(1);
	home.mntns_ino = (__u32)st.st_ino;
	if (fstat(home.uts, &st))
		_exit(1);
	home.uts_ino = (__u32)st.st_ino;
	/* An operation's own umask, root and directory never reach the next: operation_step()
	 * comes home after each. */
	umask(0);
	operation_init(&op);
	for (;;) {
		unsigned brings;
		int came[2];
		ssize_t got = fdmsg_recv(fd, &req, sizeof(req), came, 2, 0);

		if (!request_complete(&req, got))
			_exit(got == 0 ? 0 : 1);
		memset(&reply, 0, sizeof(reply));
		reply.cookie = req.cookie;
		reply.step = req.step;
		reply.fd = reply.fd2 = -1;
		if (req.step == EXECUTOR_RESOLVE && req.patient)
			executor_hurry(0);
		else if (req.step == EXECUTOR_DROP)
			executor_hurry(1);
		if (req.step == EXECUTOR_MAKE && req.cloned) {
			op.tree = take_fd(&came[req.owned ? 1 : 0]);
			if (op.tree < 0)
				_exit(1);
		}
		if (req.step == EXECUTOR_GIVE)
			give_descriptor(&req, came[0], came[1], &reply);
		else
			operation_step(&op, &home, &req, came[0], &reply);
		close_fd(&came[0]);
		close_fd(&came[1]);
		brings = req.step == EXECUTOR_CLONE && !reply.error;
		if (req.step != EXECUTOR_DROP &&
		    fdmsg_send(fd, &reply, reply_size(&reply), &reply.fd, brings, 0))
			_exit(1);
	}
}

/* One byte in: fork an executor; its pid, socket and pidfd out. */
_Noreturn static void zygote_main(int fd, pid_t parent, struct executor_note *notes)
{
	pid_t self = getpid();

	fd = child_close_all(fd);
	prctl(PR_SET_NAME, "warder-zygote");
	child_reset_signals();
	/* No zombies; a pid is known to others only together with its pidfd. */
	signal(SIGCHLD, SIG_IGN);
	child_die_with(parent);
	for (;;) {
		int pair[2], fds[2];
		pid_t pid = -1;
		char byte;
		ssize_t got = recv(fd, &byte, 1, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got != 1)
			_exit(0);
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
			fdmsg_send(fd, &pid, sizeof(pid), NULL, 0, 0);
			continue;
		}
		pid = fork();
		if (pid == 0) {
			signal(SIGCHLD, SIG_DFL);
			executor_main(pair[1], self, notes);
		}
		fds[0] = pair[0];
		fds[1] = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
		if (pid > 0 && fds[1] < 0)
			kill(pid, SIGKILL);
		fdmsg_send(fd, &pid, sizeof(pid), fds, fds[1] >= 0 ? 2 : 0, 0);
		close(pair[0]);
		close(pair[1]);
		if (fds[1] >= 0)
			close(fds[1]);
	}
}

/* ----------------------------------------------------------------------- the handles */

/* Blocks for as long as a fork takes: the zygote never touches anything of a container's. */
static int pool_spawn(struct executor_pool *pool, struct executor *ex)
{
	int fds[2];
	pid_t pid;
	ssize_t got;

	if (send(pool->zygote_fd, "x", 1, MSG_NOSIGNAL) != 1)
		return -EPIPE;
	got = fdmsg_recv(pool->zygote_fd, &pid, sizeof(pid), fds, 2, 0);
	if (got != sizeof(pid) || pid <= 0 || fds[0] < 0 || fds[1] < 0) {
		if (fds[0] >= 0)
			close(fds[0]);
		return got < 0 ? (int)got : -EAGAIN;
	}
	ex->fd = fds[0];
	ex->pidfd = fds[1];
	ex->pid = pid;
	ex->busy = 0;
	return 0;
}

int executor_pool_new(struct executor_pool **ret, unsigned count, struct executor_note *notes,
		      struct warder_error *reterr)
{
	struct timeval limit = { .tv_sec = 5 };
	struct executor_pool *pool;
	int pair[2], err;
	pid_t self = getpid(), pid;

	if (count > EXECUTORS_MAX)
		return error_set(reterr, -EINVAL, "%u executors asked for, at most %d can be",
				 count, EXECUTORS_MAX);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return error_errno(reterr, -errno, "cannot make a socket for executors");
	pid = fork();
	if (pid < 0) {
		err = -errno;
		close(pair[0]);
		close(pair[1]);
		return error_errno(reterr, err, "cannot fork the executors' parent");
	}
	if (pid == 0)
		zygote_main(pair[1], self, notes);
	close(pair[1]);
	pool = calloc(1, sizeof(*pool));
	if (!pool) {
		close(pair[0]);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return -ENOMEM;
	}
	pool->zygote_fd = pair[0];
	pool->zygote_pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	setsockopt(pool->zygote_fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	for (unsigned i = 0; i < EXECUTORS_MAX; i++)
		pool->item[i].fd = pool->item[i].pidfd = -1;
	for (pool->count = 0; pool->count < count; pool->count++) {
		err = pool_spawn(pool, &pool->item[pool->count]);
		if (err) {
			executor_pool_free(pool);
			return error_errno(reterr, err, "cannot fork an executor");
		}
	}
	*ret = pool;
	return 0;
}

static void executor_kill(struct executor *ex)
{
	if (ex->pidfd >= 0) {
		syscall(SYS_pidfd_send_signal, ex->pidfd, SIGKILL, NULL, 0);
		close(ex->pidfd);
	}
	if (ex->fd >= 0)
		close(ex->fd);
	ex->fd = ex->pidfd = -1;
	ex->pid = 0;
	ex->busy = 0;
}

void executor_pool_free(struct executor_pool *pool)
{
	siginfo_t info;

	if (!pool)
		return;
	for (unsigned i = 0; i < EXECUTORS_MAX; i++)
		executor_kill(&pool->item[i]);
	close(pool->zygote_fd);
	if (pool->zygote_pidfd >= 0) {
		syscall(SYS_pidfd_send_signal, pool->zygote_pidfd, SIGKILL, NULL, 0);
		waitid((idtype_t)P_PIDFD, (id_t)pool->zygote_pidfd, &info, WEXITED);
		close(pool->zygote_pidfd);
	}
	free(pool);
}

/* Fills the places of abandoned executors; one that cannot be forked now is tried again. */
static void pool_refill(struct executor_pool *pool)
{
	for (unsigned i = 0; pool->missing && i < pool->count; i++) {
		if (pool->item[i].fd >= 0)
			continue;
		if (pool_spawn(pool, &pool->item[i]))
			return;
		pool->missing--;
	}
}

struct executor *executor_take(struct executor_pool *pool)
{
	pool_refill(pool);
	for (unsigned i = 0; i < pool->count; i++) {
		struct executor *ex = &pool->item[i];

		if (ex->fd >= 0 && !ex->busy) {
			ex->busy = 1;
			return ex;
		}
	}
	return NULL;
}

void executor_give(struct executor_pool *pool, struct executor *ex)
{
	static const struct executor_request drop = { .step = EXECUTOR_DROP };

	if (executor_send(ex, &drop, -1))
		executor_abandon(pool, ex);
	else
		ex->busy = 0;
}

void executor_abandon(struct executor_pool *pool, struct executor *ex)
{
	executor_kill(ex);
	pool->missing++;
	pool_refill(pool);
}

int executor_send(struct executor *ex, const struct executor_request *req, int fd)
{
	return fdmsg_send(ex->fd, req, request_size(req), &fd, fd >= 0, MSG_DONTWAIT);
}

int executor_send_two(struct executor *ex, const struct executor_request *req, int fd, int fd2)
{
	const int fds[2] = { fd, fd2 };

	return fdmsg_send(ex->fd, req, request_size(req), fds, 2, MSG_DONTWAIT);
}

int executor_receive(struct executor *ex, struct executor_reply *ret, int *ret_fd)
{
	ssize_t got = fdmsg_recv(ex->fd, ret, sizeof(*ret), ret_fd, 1, MSG_DONTWAIT);

	if (got < 0)
		return got == -EAGAIN ? -EAGAIN : -EPIPE;
	if (!reply_complete(ret, got)) {
		close_fd(ret_fd);
		return -EPIPE;
	}
	/* The executor read these from a container: the ends are ours to make sure of. */
	ret->what[sizeof(ret->what) - 1] = '\0';
	ret->comm[sizeof(ret->comm) - 1] = '\0';
	ret->fstype[sizeof(ret->fstype) - 1] = '\0';
	ret->source[sizeof(ret->source) - 1] = '\0';
	ret->target[sizeof(ret->target) - 1] = '\0';
	ret->data[sizeof(ret->data) - 1] = '\0';
	ret->last[sizeof(ret->last) - 1] = '\0';
	ret->name[sizeof(ret->name) - 1] = '\0';
	ret->name2[sizeof(ret->name2) - 1] = '\0';
	return 0;
}

int executor_fd(const struct executor *ex)
{
	return ex->fd;
}

pid_t executor_pid(const struct executor *ex)
{
	return ex->pid;
}
