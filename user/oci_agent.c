// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The agent's loop: takes states and listeners from runtimes, and has the override thread answer. A
 * container is what has the same id, mount namespace and policy; it is there as long as one of its
 * filters is.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "control.h"
#include "events.h"
#include "fdmsg.h"
#include "oci.h"
#include "override.h"

#define CONNS 32
#define CONTAINERS 256
#define POLICIES 64
#define CONN_MS 5000 /* for a whole message */

struct conn {
	int fd; /* -1: free */
	uint64_t deadline;
	size_t len;
	size_t fds;
	int fd_of[OCI_FDS_MAX];
	char text[OCI_MESSAGE_MAX];
};

struct container {
	unsigned listeners; /* 0: free */
	unsigned borrowed;  /* by the override thread */
	__u64 cid;
	char id[OCI_ID_SIZE];
	struct override_target target;
};

struct agent {
	const struct oci_agent_options *options;
	struct override *override;
	pthread_mutex_t lock; /* of the containers */
	struct container *container; /* CONTAINERS */
	__u64 cids;
	struct {
		char *name;
		struct warder_image *image;
	} policy[POLICIES];
	size_t policies;
	struct conn *conn; /* CONNS */
};

/* ------------------------------------------------------------- for the override thread */

static int on_acquire(void *arg, __u64 cid, __u32 slot, struct override_target *ret)
{
	struct agent *a = arg;
	int err = -ENOENT;

	pthread_mutex_lock(&a->lock);
	if (slot < CONTAINERS && a->container[slot].listeners && a->container[slot].cid == cid) {
		a->container[slot].borrowed++;
		*ret = a->container[slot].target;
		err = 0;
	}
	pthread_mutex_unlock(&a->lock);
	return err;
}

/* With the lock held. */
static void container_free(struct container *c)
{
	if (c->listeners || c->borrowed)
		return;
	cleanup_close_p(&c->target.root_fd);
	cleanup_close_p(&c->target.userns_fd);
	memset(c, 0, sizeof(*c));
	c->target.root_fd = c->target.userns_fd = -1;
}

static void on_release(void *arg, struct override_target *target)
{
	struct agent *a = arg;
	struct container *c = &a->container[target->slot];

	pthread_mutex_lock(&a->lock);
	c->borrowed--;
	container_free(c);
	pthread_mutex_unlock(&a->lock);
}

static void on_unlisten(void *arg, __u64 cid, __u32 slot)
{
	struct agent *a = arg;
	struct container *c = &a->container[slot % CONTAINERS];

	pthread_mutex_lock(&a->lock);
	if (c->listeners && c->cid == cid) {
		c->listeners--;
		container_free(c);
	}
	pthread_mutex_unlock(&a->lock);
}

static void on_outcome(void *arg, const struct override_outcome *out)
{
	struct agent *a = arg;
	const struct warder_image *image = NULL;
	struct json_object *o;
	char id[OCI_ID_SIZE] = "", line[4 * WARDER_PATH_MAX];
	__u32 slot = out->icept.h.slot;

	pthread_mutex_lock(&a->lock);
	if (slot < CONTAINERS && a->container[slot].cid == out->cid) {
		strcpy(id, a->container[slot].id);
		image = a->container[slot].target.image; /* images stay */
	}
	pthread_mutex_unlock(&a->lock);
	o = outcome_to_json(out, id[0] ? id : NULL, image);
	puts(a->options->json ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN) :
				event_render(o, line, sizeof(line)));
	fflush(stdout);
	json_object_put(o);
}

/* ----------------------------------------------------------------------- containers */

static const struct warder_image *policy_named(struct agent *a, const char *name,
					       struct warder_error *e)
{
	for (size_t i = 0; i < a->policies; i++)
		if (!strcmp(a->policy[i].name, name))
			return a->policy[i].image;
	if (a->policies == POLICIES) {
		error_set(e, -ENOSPC, "%d policies are in use, and there is no room for more", POLICIES);
		return NULL;
	}
	a->policy[a->policies].image = a->options->find(name);
	a->policy[a->policies].name = strdup(name);
	if (!a->policy[a->policies].image || !a->policy[a->policies].name) {
		error_set(e, -ENOENT, "policy %s cannot be used", name);
		free(a->policy[a->policies].image);
		free(a->policy[a->policies].name);
		return NULL;
	}
	return a->policy[a->policies++].image;
}

/* The policy of a container: what its configuration chooses, or the administrator's. */
static const struct warder_image *policy_of(struct agent *a, const char *name,
					    struct warder_error *e)
{
	const struct warder_image *image;

	if (*name && oci_check_policy_name(name, e))
		return NULL;
	if (!*name && !a->options->policy) {
		error_set(e, -EINVAL, "it names no policy in its metadata, and --policy was not given");
		return NULL;
	}
	image = policy_named(a, *name ? name : a->options->policy, e);
	return image && *name && oci_check_selectable(image, name, e) ? NULL : image;
}

static __u32 ino_at(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, 0) ? 0 : (__u32)st.st_ino;
}

/* What is known of the process, from one folder of /proc: the pid may be another's by now, and then
 * its filter asks for nothing through this listener. */
static int target_fill(pid_t pid, struct override_target *t, struct warder_error *e)
{
	cleanup_close int proc = -1;
	char path[32];
	__u32 own;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0)
		return error_errno(e, -errno, "its process %d cannot be seen", pid);
	t->mntns = ino_at(proc, "ns/mnt");
	t->userns = ino_at(proc, "ns/user");
	own = ino_at(AT_FDCWD, "/proc/self/ns/user");
	t->root_fd = openat(proc, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	t->userns_fd = t->userns == own ? -1 : openat(proc, "ns/user", O_RDONLY | O_CLOEXEC);
	if (!t->mntns || !t->userns || !own || t->root_fd < 0 ||
	    (t->userns != own && t->userns_fd < 0))
		return error_set(e, -ESRCH, "its process %d is gone", pid);
	return 0;
}

static void target_done(struct override_target *t)
{
	cleanup_close_p(&t->root_fd);
	cleanup_close_p(&t->userns_fd);
}

/* Finds or makes its place; one listener more in it. */
static int container_take(struct agent *a, const struct oci_process_state *s,
			  const struct warder_image *image, struct container **ret,
			  struct warder_error *e)
{
	struct override_target t = { .root_fd = -1, .userns_fd = -1, .image = image };
	struct container *c = NULL, *empty = NULL;
	int err = target_fill(s->pid, &t, e);

	if (err) {
		target_done(&t);
		return err;
	}
	pthread_mutex_lock(&a->lock);
	for (size_t i = 0; i < CONTAINERS && !c; i++) {
		struct container *at = &a->container[i];

		if (!at->listeners && !at->borrowed && !empty)
			empty = at;
		if (at->listeners && !strcmp(at->id, s->id) && at->target.image == image &&
		    at->target.mntns == t.mntns && at->target.userns == t.userns)
			c = at;
	}
	if (!c && empty) {
		c = empty;
		c->cid = ++a->cids;
		strcpy(c->id, s->id);
		t.cid = c->cid;
		t.slot = (__u32)(c - a->container);
		snprintf(t.name, sizeof(t.name), "%.*s", (int)sizeof(t.name) - 1, s->id);
		c->target = t;
		t.root_fd = t.userns_fd = -1;
	}
	if (c)
		c->listeners++;
	pthread_mutex_unlock(&a->lock);
	target_done(&t);
	*ret = c;
	return c ? 0 : error_set(e, -ENOSPC, "%d containers are answered for, and there is no room "
				 "for more", CONTAINERS);
}

/* --------------------------------------------------------------------- connections */

static void conn_close(struct conn *c)
{
	if (c->fd < 0)
		return;
	close(c->fd);
	c->fd = -1;
	for (size_t i = 0; i < c->fds; i++)
		cleanup_close_p(&c->fd_of[i]);
	c->fds = c->len = 0;
}

static void conn_refuse(struct conn *c, const char *why)
{
	log_warning("a runtime's message is refused: %s", why);
	conn_close(c);
}

/* The whole message is there. */
static void conn_finish(struct agent *a, struct conn *c)
{
	static struct oci_process_state s;
	struct warder_error e = { "" };
	const struct warder_image *image;
	struct container *ctr;
	int err;

	if (oci_state_parse(c->text, c->len, c->fds, &s, &e)) {
		conn_refuse(c, e.text);
		return;
	}
	if (!oci_is_listener(c->fd_of[s.listener])) {
		conn_refuse(c, "its seccompFd is no listener of a seccomp filter");
		return;
	}
	image = policy_of(a, s.metadata, &e);
	if (!image || container_take(a, &s, image, &ctr, &e)) {
		conn_refuse(c, e.text);
		return;
	}
	err = override_listen(a->override, ctr->cid, ctr->target.slot, take_fd(&c->fd_of[s.listener]));
	if (err) {
		on_unlisten(a, ctr->cid, ctr->target.slot);
		conn_refuse(c, "too many at once");
		return;
	}
	log_info("container %s: process %d is answered for", s.id, s.pid);
	conn_close(c);
}

/* Can this be all of it? A runtime need not close its end. */
static int conn_is_whole(const struct conn *c)
{
	struct json_object *o = NULL;
	size_t len = c->len;
	int whole;

	while (len && (c->text[len - 1] == '\n' || c->text[len - 1] == ' '))
		len--;
	if (!len || c->text[len - 1] != '}')
		return 0;
	whole = !control_parse(c->text, c->len, &o, NULL);
	json_object_put(o);
	return whole;
}

static void conn_read(struct agent *a, struct conn *c)
{
	union fdmsg_space space;
	struct iovec iov = { .iov_base = c->text + c->len, .iov_len = sizeof(c->text) - c->len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = space.b,
			      .msg_controllen = sizeof(space.b) };
	ssize_t got = recvmsg(c->fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	if (got < 0) {
		if (errno != EAGAIN && errno != EINTR)
			conn_close(c);
		return;
	}
	/* None come late. */
	if (fdmsg_take(&msg, c->fd_of, c->len ? c->fds : OCI_FDS_MAX, &c->fds)) {
		conn_refuse(c, "more descriptors came than it may have, or not with its beginning");
		return;
	}
	c->len += (size_t)got;
	if (got == 0 || conn_is_whole(c))
		conn_finish(a, c);
	else if (c->len == sizeof(c->text))
		conn_refuse(c, "it is longer than 65535 bytes");
}

static void conn_accept(struct agent *a, int sock)
{
	int fd = accept4(sock, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct conn *c = NULL;
	uid_t uid = (uid_t)-1;
	pid_t pid;

	if (fd < 0)
		return;
	for (size_t i = 0; i < CONNS && !c; i++)
		if (a->conn[i].fd < 0)
			c = &a->conn[i];
	if (!c || control_peer(fd, &uid, &pid) || uid != 0) {
		log_warning("a connection is refused: %s",
			    c ? "only root's runtimes may connect" : "too many at once");
		close(fd);
		return;
	}
	c->fd = fd;
	c->deadline = clock_now_ms() + CONN_MS;
}

/* --------------------------------------------------------------------------- the loop */

static int listen_on(const char *path, struct warder_error *e)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;

	if (path[0] != '/' || strlen(path) >= sizeof(addr.sun_path))
		return error_set(e, -EINVAL, "--socket %s must be an absolute path below %zu bytes", path,
				 sizeof(addr.sun_path));
	strcpy(addr.sun_path, path);
	if (fd < 0)
		return error_errno(e, -errno, "cannot make a socket");
	/* What another file's name is may not be taken away; an agent that runs is told apart. */
	if (!lstat(path, &st)) {
		if (!S_ISSOCK(st.st_mode))
			return error_set(e, -EEXIST, "%s is there, and is no socket", path);
		if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr)) || errno != ECONNREFUSED)
			return error_set(e, -EADDRINUSE, "somebody listens on %s already", path);
		unlink(path);
	}
	if (fchmod(fd, 0600) || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 64))
		return error_errno(e, -errno, "cannot listen on %s", path);
	return take_fd(&fd);
}

static void agent_loop(struct agent *a, int sock, int signals)
{
	for (;;) {
		struct pollfd p[2 + CONNS] = { { .fd = signals, .events = POLLIN },
					       { .fd = sock, .events = POLLIN } };
		uint64_t now;

		for (size_t i = 0; i < CONNS; i++)
			p[2 + i] = (struct pollfd){ .fd = a->conn[i].fd, .events = POLLIN };
		if (poll(p, 2 + CONNS, 1000) < 0 && errno != EINTR)
			return;
		if (p[0].revents)
			return;
		now = clock_now_ms();
		for (size_t i = 0; i < CONNS; i++) {
			struct conn *c = &a->conn[i];

			if (c->fd >= 0 && p[2 + i].fd == c->fd && p[2 + i].revents)
				conn_read(a, c);
			if (c->fd >= 0 && now > c->deadline)
				conn_refuse(c, "it did not come within five seconds");
		}
		if (p[1].revents)
			conn_accept(a, sock);
	}
}

static void agent_done(struct agent *a)
{
	override_free(a->override);
	for (size_t i = 0; a->conn && i < CONNS; i++)
		conn_close(&a->conn[i]);
	for (size_t i = 0; a->container && i < CONTAINERS; i++) {
		a->container[i].listeners = a->container[i].borrowed = 0;
		container_free(&a->container[i]);
	}
	for (size_t i = 0; i < a->policies; i++) {
		free(a->policy[i].image);
		free(a->policy[i].name);
	}
	free(a->conn);
	free(a->container);
	pthread_mutex_destroy(&a->lock);
}

static int agent_init(struct agent *a, struct warder_error *e)
{
	struct override_callbacks callbacks = { .acquire = on_acquire, .release = on_release,
						.outcome = on_outcome, .unlisten = on_unlisten,
						.arg = a };
	struct override_options options = { 0 };
	char journal[sizeof(struct sockaddr_un) + 16];
	int err;

	pthread_mutex_init(&a->lock, NULL);
	a->container = calloc(CONTAINERS, sizeof(*a->container));
	a->conn = calloc(CONNS, sizeof(*a->conn));
	if (!a->container || !a->conn)
		return error_set(e, -ENOMEM, "out of memory");
	for (size_t i = 0; i < CONNS; i++)
		a->conn[i].fd = -1;
	for (size_t i = 0; i < CONTAINERS; i++)
		a->container[i].target.root_fd = a->container[i].target.userns_fd = -1;
	/* The default is looked at now: a mistake in it is not for the first container to find. */
	if (a->options->policy && !policy_of(a, "", e))
		return -EINVAL;
	snprintf(journal, sizeof(journal), "%s.journal", a->options->socket);
	options.journal = journal;
	err = override_new(&a->override, NULL, &callbacks, &options, e);
	return err ? err : override_start(a->override, e);
}

int oci_agent_run(const struct oci_agent_options *options, struct warder_error *reterr)
{
	struct agent a = { .options = options };
	cleanup_close int sock = -1, signals = -1;
	sigset_t set;
	int err;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	sock = listen_on(options->socket, reterr);
	if (sock < 0)
		return sock;
	err = agent_init(&a, reterr);
	if (!err) {
		if (options->ready)
			options->ready();
		agent_loop(&a, sock, signals);
	}
	unlink(options->socket);
	agent_done(&a);
	return err;
}
