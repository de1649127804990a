// SPDX-License-Identifier: LGPL-2.1-or-later
/* The supervisor's life: the lock, starting and leaving, and the loop. */
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cgroup.h"
#include "cleanup.h"
#include "supervisor_private.h"
#include "upcall.h"

#ifndef __WNOTHREAD
#define __WNOTHREAD 0x20000000
#endif

#define HANDOVER_SECONDS 20
#define LOCK_WAIT_SECONDS 120 /* for one that starts to be asked: as long as clients wait for it */
#define LOCK_TRIES 100
#define SUPERVISOR_FDS 16384 /* each container: 6 and its connections; the control socket */

int source_add(struct supervisor *s, struct source *src, int fd, uint32_t events,
	       void (*ready)(struct supervisor *s, struct source *src, uint32_t events))
{
	struct epoll_event ev = { .events = events, .data.ptr = src };

	src->ready = ready;
	src->fd = fd;
	if (!epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &ev))
		return 0;
	src->fd = -1;
	return -errno;
}

void source_remove(struct supervisor *s, struct source *src)
{
	if (src->fd < 0)
		return;
	/* By hand: a duplicate of the descriptor elsewhere would keep it in the set. */
	epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, src->fd, NULL);
	close(src->fd);
	src->fd = -1;
}

void supervisor_reap_later(struct supervisor *s, pid_t pid)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->orphans); i++) {
		if (!s->orphans[i]) {
			s->orphans[i] = pid;
			return;
		}
	}
	/* So many that are stuck in the kernel: a zombie more is the lesser evil. */
	log_warning("process %d is not waited for", pid);
}

static int supervisor_reap(struct supervisor *s)
{
	int left = 0;

	for (size_t i = 0; i < ARRAY_SIZE(s->orphans); i++) {
		siginfo_t si = { .si_pid = 0 };

		if (!s->orphans[i])
			continue;
		if (waitid(P_PID, (id_t)s->orphans[i], &si, WEXITED | WNOHANG | __WNOTHREAD) ||
		    (si.si_pid && si.si_code != CLD_TRAPPED && si.si_code != CLD_STOPPED))
			s->orphans[i] = 0; /* not for a stop that the override thread makes */
		else
			left = 1;
	}
	return left;
}

/* --------------------------------------------------------------------------- lock */

/* flock on a file that may be unlinked by its holder: only the one at the path counts. */
static int lock_try(const char *path)
{
	for (;;) {
		cleanup_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		struct stat mine, there;
		char pid[16];

		if (fd < 0)
			return -errno;
		if (flock(fd, LOCK_EX | LOCK_NB))
			return errno == EWOULDBLOCK ? -EBUSY : -errno;
		if (fstat(fd, &mine) || stat(path, &there) || mine.st_ino != there.st_ino)
			continue;
		snprintf(pid, sizeof(pid), "%d\n", getpid());
		if (ftruncate(fd, 0) || pwrite(fd, pid, strlen(pid), 0) < 0)
			return -errno;
		return take_fd(&fd);
	}
}

/* Asks the one that runs to make room: 1 if it does, 0 if it did not answer: it is leaving, or not up
 * yet. */
static int lock_ask_handover(const char *run_dir, struct warder_error *reterr)
{
	cleanup_json struct json_object *request = json_object_new_object(), *reply = NULL;
	struct control_fds fds = { .count = 0 };
	struct timeval limit = { .tv_sec = HANDOVER_SECONDS };
	cleanup_close int sock = -1;
	const char *error = NULL;
	char path[PATH_MAX];
	int ok = 0;

	snprintf(path, sizeof(path), "%s/%s", run_dir, CONTROL_SOCKET);
	sock = control_connect(path, NULL);
	if (sock < 0)
		return 0;
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	control_put_string(request, "request", "handover");
	if (control_send(sock, request, NULL, 0, 0) ||
	    control_recv(sock, &reply, &fds, 1, 0, NULL))
		return 0;
	control_fds_done(&fds);
	control_get_bool(reply, "ok", &ok, NULL);
	control_get_string(reply, "error", &error, NULL);
	return ok ? 1 :
		    error_set(reterr, -EBUSY, "another supervisor runs and does not hand over: %s",
			      error ? error : "?");
}

static int lock_take(struct supervisor *s, struct warder_error *reterr)
{
	const struct timespec pause_time = { .tv_nsec = 20000000 };
	uint64_t end = clock_now_ms() + LOCK_WAIT_SECONDS * 1000;
	char path[PATH_MAX];
	int fd, asked = 0;

	snprintf(path, sizeof(path), "%s/lock", s->run_dir);
	fd = lock_try(path);
	if (fd == -EBUSY && s->options.on_demand)
		return error_set(reterr, -EALREADY, "another supervisor runs");
	/* One that is still starting cannot be asked yet; one that was asked has less time. */
	while (fd == -EBUSY && clock_now_ms() < end) {
		if (!asked) {
			asked = lock_ask_handover(s->run_dir, reterr);
			if (asked < 0)
				return asked;
			if (asked)
				end = clock_now_ms() + HANDOVER_SECONDS * 1000;
		}
		nanosleep(&pause_time, NULL);
		fd = lock_try(path);
	}
	if (fd == -EBUSY)
		return error_set(reterr, -EBUSY,
				 "another supervisor holds %s and does not leave: see the process "
				 "id in it",
				 path);
	if (fd < 0)
		return error_errno(reterr, fd, "cannot lock %s", path);
	s->lock_fd = fd;
	return 0;
}

/* ----------------------------------------------------------------- starting, leaving */

static int make_dir(const char *path, mode_t mode, struct warder_error *reterr)
{
	struct stat st;

	if (mkdir(path, mode) && errno != EEXIST)
		return error_errno(reterr, -errno, "cannot make %s", path);
	if (lstat(path, &st) || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() || chmod(path, mode))
		return error_set(reterr, -EPERM, "%s must be a folder of user %u", path, geteuid());
	return 0;
}

static int supervisor_make_dirs(struct supervisor *s, struct warder_error *reterr)
{
	int err;

	if (snprintf(s->run_dir, sizeof(s->run_dir), "%s",
		     s->options.run_dir ? s->options.run_dir : WARDER_RUN_DIR) >=
	    (int)sizeof(s->run_dir))
		return error_set(reterr, -ENAMETOOLONG, "the run folder's name is too long");
	snprintf(s->state_dir, sizeof(s->state_dir), "%s/containers", s->run_dir);
	snprintf(s->stage_dir, sizeof(s->stage_dir), "%s/stage", s->run_dir);
	/* A container's own root must be able to pass to the stage, and only to pass. */
	err = make_dir(s->run_dir, 0711, reterr);
	if (!err)
		err = make_dir(s->state_dir, 0700, reterr);
	if (!err)
		err = make_dir(s->stage_dir, 0755, reterr);
	return err;
}

static void supervisor_remove_dirs(struct supervisor *s)
{
	static const char *const files[] = { CONTROL_SOCKET, UPCALL_SOCKET, KEEPER_SOCKET,
					     "containers/exited.json", "containers/policies.json",
					     "override.journal",
					     "fuse.lock" };
	static const char *const dirs[] = { "containers", "stage.mask", "stage" };
	char path[PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", s->run_dir, files[i]);
		unlink(path);
	}
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		snprintf(path, sizeof(path), "%s/%s", s->run_dir, dirs[i]);
		rmdir(path);
	}
	/* The lock last: from here on another supervisor may be making its own. */
	snprintf(path, sizeof(path), "%s/lock", s->run_dir);
	unlink(path);
	rmdir(s->run_dir);
}

static void supervisor_harden(void)
{
	struct rlimit limit;
	cleanup_close int fd = -1;
	ssize_t n = 0;

	umask(077);
	prctl(PR_SET_DUMPABLE, 0);
	/* Containers get their own limit in builder_exec(). */
	if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur < SUPERVISOR_FDS) {
		limit.rlim_cur = limit.rlim_max < SUPERVISOR_FDS ? limit.rlim_max : SUPERVISOR_FDS;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	signal(SIGPIPE, SIG_IGN);
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		n = write(fd, "-900", 4);
	if (fd < 0 || n < 0)
		log_debug("oom_score_adj cannot be set: %s", strerror(errno));
}

static void signals_ready(struct supervisor *s, struct source *src, uint32_t events)
{
	struct signalfd_siginfo si;

	(void)events;
	if (read(src->fd, &si, sizeof(si)) == sizeof(si))
		s->leaving = 1;
}

static int supervisor_open_sources(struct supervisor *s, struct warder_error *reterr)
{
	sigset_t set;
	int fd;

	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll_fd < 0)
		return error_errno(reterr, -errno, "cannot make an epoll set");
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (!s->options.no_kernel && sigprocmask(SIG_BLOCK, &set, NULL))
		return error_errno(reterr, -errno, "cannot block signals");
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0 || source_add(s, &s->signals, fd, EPOLLIN, signals_ready))
		return error_errno(reterr, -errno, "cannot receive signals");
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (sup_handler_open(s))
		return error_set(reterr, -ENOMEM, "no room for what handlers are asked");
	if (fd < 0 || source_add(s, &s->outcome_source, fd, EPOLLIN, sup_event_outcomes_ready))
		return error_errno(reterr, -errno, "cannot make an eventfd");
	s->outcomes = calloc(SUPERVISOR_OUTCOMES_MAX, sizeof(*s->outcomes));
	if (!s->outcomes)
		return error_set(reterr, -ENOMEM, "out of memory");
	return 0;
}

void supervisor_trim_later(struct supervisor *s)
{
	s->trim_at = clock_now_ms() + SUPERVISOR_TRIM_MS;
}

static int supervisor_open_kernel(struct supervisor *s, struct warder_error *reterr)
{
	const struct override_callbacks callbacks = { .acquire = ctr_override_acquire,
						      .release = ctr_override_release,
						      .outcome = sup_event_outcome,
						      .ask = sup_handler_ask,
						      .arg = s };
	const struct loader_options kernel = { .wait_bound_ns = s->options.wait_bound_us * 1000ull };
	struct override_options overrides = { 0 };
	struct warder_error e = { "" };
	int err;

	err = loader_probe(reterr);
	if (err)
		return err;
	err = loader_open(&s->loader, &kernel, reterr);
	if (err)
		return err;
	err = keyring_new(&s->keyring, s->loader, &e);
	if (err == -ENOSYS) {
		snprintf(s->keyring_reason, sizeof(s->keyring_reason), "%.255s", e.text);
		log_warning("containers get no keyrings: %s", e.text);
	} else if (err) {
		return error_set(reterr, err, "%s", e.text);
	}
	err = sup_notify_open(s, reterr);
	if (err)
		return err;
	/* Executors are forked here: no thread exists yet, and no container is open. */
	overrides.inflight = s->inflight;
	err = override_new(&s->override, s->loader, &callbacks, &overrides, reterr);
	if (err)
		return err;
	err = events_new(&s->events, s->loader, sup_event_record, s, reterr);
	if (err)
		return err;
	sup_policy_adopt(s);
	ctr_adopt_all(s);
	sup_notify_adopt(s);
	sup_policy_sweep(s);
	/* The one before may have left more attached. */
	supervisor_trim_later(s);
	err = dup(events_fd(s->events));
	if (err < 0 || source_add(s, &s->event_source, err, EPOLLIN, sup_event_ring_ready))
		return error_errno(reterr, -errno, "cannot watch the ring of events");
	__atomic_store_n(&loader_host(s->loader)->cpus, (__u32)sysconf(_SC_NPROCESSORS_ONLN),
			 __ATOMIC_RELEASE);
	__atomic_store_n(&loader_host(s->loader)->supervisor, (__u32)getpid(), __ATOMIC_RELEASE);
	return override_start(s->override, reterr);
}

static int supervisor_open(struct supervisor *s, struct warder_error *reterr)
{
	char path[PATH_MAX];
	const char *mount;
	int fd, err;

	if (geteuid() != 0)
		return error_set(reterr, -EPERM, "the supervisor must be started as root");
	err = cgroup_root(&mount, reterr);
	if (err)
		return err;
	/* One that is leaving removes the folders, so they are made again under the lock. */
	for (int i = 0; i < LOCK_TRIES; i++) {
		err = supervisor_make_dirs(s, reterr);
		if (!err)
			err = lock_take(s, reterr);
		if (err != -ENOENT)
			break;
	}
	if (!err)
		err = supervisor_make_dirs(s, reterr);
	if (!err)
		err = supervisor_open_sources(s, reterr);
	if (err)
		return err;
	s->exe_fd = container_seal_exe(reterr);
	if (s->exe_fd < 0)
		return s->exe_fd;
	if (!s->options.no_kernel) {
		err = supervisor_open_kernel(s, reterr);
		if (err)
			return err;
	}
	snprintf(path, sizeof(path), "%s/%s", s->run_dir, CONTROL_SOCKET);
	fd = control_listen(path, 0600, reterr);
	if (fd < 0)
		return fd;
	if (source_add(s, &s->listener, fd, EPOLLIN, conn_accept)) {
		close(fd);
		return error_set(reterr, -ENOMEM, "cannot watch the control socket");
	}
	return sup_upcall_open(s, reterr);
}

/* `failed`: a start that did not succeed leaves the host as it was. */
static void supervisor_close(struct supervisor *s, int failed)
{
	int keep = s->ctrs != NULL || s->handed_over;

	if (failed && s->loader && loader_was_pinned(s->loader))
		keep = 1;
	source_remove(s, &s->listener);
	override_free(s->override);
	s->override = NULL;
	sup_notify_close(s);
	while (s->conns)
		conn_close(s, s->conns);
	events_free(s->events);
	source_remove(s, &s->event_source);
	source_remove(s, &s->outcome_source);
	sup_handler_free(s);
	sup_upcall_close(s);
	source_remove(s, &s->signals);
	if (s->keyring && !keep)
		keyring_remove_registry(s->keyring);
	keyring_free(s->keyring);
	ctr_free_all(s);
	sup_policy_free_all(s);
	sup_event_free(s);
	if (s->loader) {
		if (!s->handed_over) {
			__atomic_store_n(&loader_host(s->loader)->heartbeat, 0, __ATOMIC_RELEASE);
			__atomic_store_n(&loader_host(s->loader)->supervisor, 0, __ATOMIC_RELEASE);
		}
		if (!keep)
			loader_unpin(s->loader);
		loader_free(s->loader);
	}
	if (s->lock_fd >= 0 && !keep) {
		cgroup_remove_parent();
		supervisor_remove_dirs(s);
	}
	if (s->exe_fd >= 0)
		close(s->exe_fd);
	if (s->epoll_fd >= 0)
		close(s->epoll_fd);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
}

/* --------------------------------------------------------------------------- loop */

static int loop_timeout(const struct supervisor *s)
{
	for (const struct ctr *c = s->ctrs; c; c = c->next) {
		if (c->state == CTR_DYING)
			return 5;
	}
	if (s->idle_since || s->upcalls)
		return 50;
	if (s->trim_at)
		return 200;
	return s->launches ? 200 : s->ctrs || s->conns ? 1000 : -1;
}

/* An on-demand supervisor leaves when nothing needs it for a moment. */
static void loop_check_idle(struct supervisor *s, uint64_t now)
{
	/* With it the policies go that containers would get unasked. */
	if (!s->options.on_demand || s->ctrs || s->launches || s->conns || sup_policy_any_match(s)) {
		s->idle_since = 0;
		return;
	}
	if (!s->idle_since)
		s->idle_since = now;
	else if (now >= s->idle_since + SUPERVISOR_LINGER_MS)
		s->leaving = 1;
}

/* One program at a time: each takes a grace period, and somebody may be waiting for an answer. */
static void loop_trim(struct supervisor *s, uint64_t now)
{
	if (s->trim_at && now >= s->trim_at && !loader_trim(s->loader, 1))
		s->trim_at = 0;
}

static void supervisor_loop(struct supervisor *s)
{
	loop_check_idle(s, clock_now_ms());
	while (!s->leaving) {
		struct epoll_event ev;
		int n = epoll_wait(s->epoll_fd, &ev, 1, loop_timeout(s));
		uint64_t now;

		if (n < 0 && errno != EINTR) {
			log_error("epoll: %s", strerror(errno));
			return;
		}
		if (n == 1) {
			struct source *src = ev.data.ptr;

			src->ready(s, src, ev.events);
		}
		now = clock_now_ms();
		supervisor_reap(s);
		start_tick(s, now);
		ctr_tick(s, now);
		sup_event_tick(s, now);
		sup_handler_tick(s);
		sup_upcall_tick(s, now);
		loop_trim(s, now);
		loop_check_idle(s, now);
	}
	start_cancel_all(s);
	/* What was cancelled is gone before the lock is. */
	for (int i = 0; i < 1000 && !s->handed_over; i++) {
		const struct timespec pause_time = { .tv_nsec = 5000000 };
		int dying = 0;

		ctr_tick(s, clock_now_ms());
		for (struct ctr *c = s->ctrs; c; c = c->next)
			dying |= c->state == CTR_DYING;
		if (!dying && !supervisor_reap(s))
			break;
		nanosleep(&pause_time, NULL);
	}
}

static void supervisor_say_ready(const struct supervisor_options *o, int err,
				 const struct warder_error *e)
{
	const char *text = err == -EALREADY ? "busy" :
			   err			    ? e->text :
						      "ok";
	const char *name = getenv("NOTIFY_SOCKET");
	cleanup_close int sock = -1;
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	ssize_t n;

	if (o->ready_fd >= 0) {
		n = write(o->ready_fd, text, strlen(text));
		(void)n; /* whoever asked is gone */
		close(o->ready_fd);
	}
	/* systemd's protocol: one datagram; '@' stands for the abstract name space. */
	if (err || !name || (name[0] != '/' && name[0] != '@') ||
	    strlen(name) >= sizeof(addr.sun_path))
		return;
	memcpy(addr.sun_path, name, strlen(name));
	if (name[0] == '@')
		addr.sun_path[0] = '\0';
	sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	n = sendto(sock, "READY=1", 7, MSG_NOSIGNAL, (struct sockaddr *)&addr,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name)));
	if (n < 0)
		log_warning("NOTIFY_SOCKET %s: %s", name, strerror(errno));
}

int supervisor_run(const struct supervisor_options *options, struct warder_error *reterr)
{
	struct supervisor *s = calloc(1, sizeof(*s));
	struct warder_error e = { "" };
	int err;

	if (!s)
		return error_set(reterr, -ENOMEM, "out of memory");
	s->options = *options;
	pthread_mutex_init(&s->lock, NULL);
	s->lock_fd = s->epoll_fd = s->exe_fd = s->inflight_fd = -1;
	s->listener.fd = s->signals.fd = s->event_source.fd = s->outcome_source.fd =
		s->ask_source.fd = s->upcall_listener.fd = -1;
	supervisor_harden();
	err = supervisor_open(s, &e);
	supervisor_say_ready(options, err, &e);
	if (!err)
		supervisor_loop(s);
	supervisor_close(s, err != 0);
	pthread_mutex_destroy(&s->lock);
	free(s);
	return err ? error_set(reterr, err, "%s", e.text) : 0;
}
