// SPDX-License-Identifier: LGPL-2.1-or-later
/* The keeper of listeners, and the supervisor's end of it. */
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "control.h"
#include "fdmsg.h"

#define KEPT_MAX 256
#define NAME "warder-keeper"
#define NOTIFY_SIZE 512
#define LOST_MAX 16 /* calls that can have been taken up after the last one that was noted */

enum keeper_type {
	KEEPER_HELLO = 1, /* fd: who is being answered */
	KEEPER_ADD,	  /* cid, slot; fd: a listener */
	KEEPER_LIST,	  /* answered by _ADD for each, and _END */
	KEEPER_END,
};

struct message {
	__u32 type;
	__u32 slot;
	__u64 cid;
};

/* ------------------------------------------------------------------------- messages */

static int message_put(int sock, const struct message *m, int fd)
{
	return fdmsg_send(sock, m, sizeof(*m), &fd, fd >= 0, 0);
}

/* -ENODATA: the other end has closed. */
static int message_get(int sock, struct message *m, int *ret_fd)
{
	ssize_t n = fdmsg_recv(sock, m, sizeof(*m), ret_fd, 1, 0);

	return n < 0 ? (int)n : n == 0 ? -ENODATA : n == sizeof(*m) ? 0 : -EBADMSG;
}

/* ----------------------------------------------------------------------- the process */

struct kept {
	int fd; /* -1: free */
	__u32 slot;
	__u64 cid;
};

static struct {
	int listen;
	int conn; /* the supervisor, -1: none */
	const struct override_inflight *inflight; /* of the last one */
	uint64_t alone_since;
	struct kept kept[KEPT_MAX];
} keep;

/* What the supervisor had taken up cannot be taken up again: its errno is what it would have been. An
 * id that is none, or not taken up, is left alone by the kernel. */
static void answer_lost(void)
{
	for (unsigned i = 0; keep.inflight && i < OVERRIDE_INFLIGHT; i++) {
		struct override_inflight lost = keep.inflight[i];

		for (unsigned k = 0; lost.cid && k < KEPT_MAX; k++) {
			if (keep.kept[k].fd < 0 || keep.kept[k].cid != lost.cid)
				continue;
			for (unsigned n = 0; n < LOST_MAX; n++) {
				struct seccomp_notif_resp resp = { .id = lost.id + n, .error = -EPERM };

				ioctl(keep.kept[k].fd, SECCOMP_IOCTL_NOTIF_SEND, &resp);
			}
		}
	}
}

static void supervisor_gone(void)
{
	close(keep.conn);
	keep.conn = -1;
	keep.alone_since = clock_now_ms();
	answer_lost();
	if (keep.inflight)
		munmap((void *)(uintptr_t)keep.inflight, OVERRIDE_INFLIGHT_SIZE);
	keep.inflight = NULL;
}

static void on_hello(int fd)
{
	void *map = mmap(NULL, OVERRIDE_INFLIGHT_SIZE, PROT_READ, MAP_SHARED, fd, 0);

	if (keep.inflight)
		munmap((void *)(uintptr_t)keep.inflight, OVERRIDE_INFLIGHT_SIZE);
	keep.inflight = map == MAP_FAILED ? NULL : map;
	close(fd);
}

static void on_list(void)
{
	struct message m = { .type = KEEPER_END };

	for (unsigned i = 0; i < KEPT_MAX; i++) {
		struct message one = { .type = KEEPER_ADD, .slot = keep.kept[i].slot,
				       .cid = keep.kept[i].cid };

		if (keep.kept[i].fd >= 0 && message_put(keep.conn, &one, keep.kept[i].fd))
			return;
	}
	message_put(keep.conn, &m, -1);
}

static void on_message(void)
{
	struct message m;
	int fd, err = message_get(keep.conn, &m, &fd);

	if (err) {
		supervisor_gone();
	} else if (m.type == KEEPER_HELLO && fd >= 0) {
		on_hello(fd);
		fd = -1;
	} else if (m.type == KEEPER_LIST) {
		on_list();
	} else if (m.type == KEEPER_ADD) {
		for (unsigned i = 0; fd >= 0 && i < KEPT_MAX; i++) {
			if (keep.kept[i].fd >= 0)
				continue;
			keep.kept[i] = (struct kept){ .fd = fd, .slot = m.slot, .cid = m.cid };
			fd = -1;
		}
	}
	if (fd >= 0)
		close(fd);
}

static void on_connect(void)
{
	const struct timeval limit = { .tv_sec = 2 };
	int fd = accept4(keep.listen, NULL, NULL, SOCK_CLOEXEC);
	uid_t uid;
	pid_t pid;

	if (fd < 0)
		return;
	if (control_peer(fd, &uid, &pid) || uid != 0) {
		close(fd);
		return;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (keep.conn >= 0)
		supervisor_gone(); /* relieved */
	keep.conn = fd;
}

/* Nobody decides: the kernel refuses, as if there were no filter. */
static void answer_alone(struct kept *k)
{
	union {
		struct seccomp_notif n;
		char room[NOTIFY_SIZE];
	} in;
	struct seccomp_notif_resp resp = { .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };

	memset(&in, 0, sizeof(in));
	if (ioctl(k->fd, SECCOMP_IOCTL_NOTIF_RECV, &in.n))
		return;
	resp.id = in.n.id;
	ioctl(k->fd, SECCOMP_IOCTL_NOTIF_SEND, &resp);
}

_Noreturn static void keeper_loop(void)
{
	for (;;) {
		static struct pollfd p[2 + KEPT_MAX];
		int alone = keep.conn < 0 && clock_now_ms() >= keep.alone_since + KEEPER_GRACE_MS, held = 0;

		p[0] = (struct pollfd){ .fd = keep.listen, .events = POLLIN };
		p[1] = (struct pollfd){ .fd = keep.conn, .events = POLLIN };
		for (unsigned i = 0; i < KEPT_MAX; i++) {
			p[2 + i] = (struct pollfd){ .fd = keep.kept[i].fd,
						    .events = alone ? POLLIN : 0 };
			held += keep.kept[i].fd >= 0;
		}
		if (!held && alone)
			_exit(0);
		if (poll(p, 2 + KEPT_MAX, keep.conn < 0 && !alone ? 200 : -1) < 0 && errno != EINTR)
			_exit(1);
		for (unsigned i = 0; i < KEPT_MAX; i++) {
			struct kept *k = &keep.kept[i];

			if (k->fd < 0 || p[2 + i].fd != k->fd)
				continue;
			if (p[2 + i].revents & POLLIN) {
				answer_alone(k);
			} else if (p[2 + i].revents) {
				close(k->fd);
				k->fd = -1;
			}
		}
		if (keep.conn >= 0 && p[1].fd == keep.conn && p[1].revents)
			on_message();
		if (p[0].revents)
			on_connect();
	}
}

void keeper_main(int argc, char **argv)
{
	if (argc != 1 || strcmp(argv[0], NAME))
		return;
	/* The supervisor waits for the first process only: nobody has to wait for the second. */
	if (fork())
		_exit(0);
	setsid();
	prctl(PR_SET_NAME, NAME);
	prctl(PR_SET_DUMPABLE, 0);
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_IGN);
	syscall(SYS_close_range, 4, ~0U, 0);
	if (chdir("/"))
		_exit(1);
	keep.listen = 3;
	keep.conn = -1;
	keep.alone_since = clock_now_ms();
	for (unsigned i = 0; i < KEPT_MAX; i++)
		keep.kept[i].fd = -1;
	keeper_loop();
}

/* ------------------------------------------------------------------ the supervisor's end */

struct keeper {
	int fd;
};

static int keeper_start(const char *path, int exe_fd, struct warder_error *reterr)
{
	static char name[] = NAME;
	char exe[64], *const argv[] = { name, NULL }, *const envp[] = { NULL };
	cleanup_close int sock = control_listen(path, 0600, reterr), null = -1, high = -1;
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;
	pid_t pid;
	int err;

	if (sock < 0)
		return sock;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	high = fcntl(sock, F_DUPFD_CLOEXEC, 10);
	if (null < 0 || high < 0)
		return error_errno(reterr, -errno, "cannot start the keeper of listeners");
	snprintf(exe, sizeof(exe), "/proc/self/fd/%d", exe_fd);
	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_adddup2(&actions, null, 0);
	posix_spawn_file_actions_adddup2(&actions, null, 1);
	posix_spawn_file_actions_adddup2(&actions, null, 2);
	posix_spawn_file_actions_adddup2(&actions, high, 3);
	err = -posix_spawn(&pid, exe, &actions, &attr, argv, envp);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	if (err)
		return error_errno(reterr, err, "cannot start the keeper of listeners");
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return 0;
}

int keeper_open(struct keeper **ret, const char *run_dir, int exe_fd, int inflight,
		struct warder_error *reterr)
{
	const struct message hello = { .type = KEEPER_HELLO };
	const struct timeval limit = { .tv_sec = 2 };
	struct warder_error e = { "" };
	char path[4096];
	int fd, err;

	snprintf(path, sizeof(path), "%s/%s", run_dir, KEEPER_SOCKET);
	fd = control_connect(path, &e);
	if (fd < 0 && exe_fd < 0)
		return error_set(reterr, -ENOENT, "no keeper of listeners is there");
	if (fd < 0) {
		err = keeper_start(path, exe_fd, reterr);
		if (err)
			return err;
		fd = control_connect(path, reterr);
		if (fd < 0)
			return fd;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	err = message_put(fd, &hello, inflight);
	*ret = err ? NULL : malloc(sizeof(**ret));
	if (!*ret) {
		close(fd);
		return error_errno(reterr, err ? err : -ENOMEM, "the keeper of listeners does not answer");
	}
	(*ret)->fd = fd;
	return 0;
}

int keeper_add(struct keeper *k, __u64 cid, __u32 slot, int listener, struct warder_error *reterr)
{
	const struct message m = { .type = KEEPER_ADD, .slot = slot, .cid = cid };
	int err = message_put(k->fd, &m, listener);

	return err ? error_errno(reterr, err, "the keeper of listeners does not answer") : 0;
}

int keeper_each(struct keeper *k, void (*fn)(void *arg, __u64 cid, __u32 slot, int listener),
		void *arg, struct warder_error *reterr)
{
	struct message m = { .type = KEEPER_LIST };
	int err = message_put(k->fd, &m, -1), fd, count = 0;

	while (!err) {
		err = message_get(k->fd, &m, &fd);
		if (!err && m.type == KEEPER_ADD && fd >= 0) {
			fn(arg, m.cid, m.slot, fd);
			count++;
			continue;
		}
		if (fd >= 0)
			close(fd);
		if (!err && m.type == KEEPER_END)
			return count;
		if (!err)
			err = -EBADMSG;
	}
	return error_errno(reterr, err, "the keeper of listeners does not answer");
}

void keeper_close(struct keeper *k)
{
	if (!k)
		return;
	close(k->fd);
	free(k);
}
