// SPDX-License-Identifier: LGPL-2.1-or-later
/* Connections: accepting, limits, replies. What a message means is in supervisor_requests.c. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "supervisor_private.h"

/* Of one container's connections, those that are being closed included; beyond it nothing is
 * accepted from it until one ends. */
#define CONNS_PER_CONTAINER 8
/* Threads that close for clients of the host; beyond it the loop closes itself. */
#define CLOSERS_MAX 64
#define CLOSER_STACK (256u << 10)
#define CLOSER_DRAIN 256 /* messages; a socket's queue holds fewer */
#define CLOSER_HOST WARDER_CONTAINERS_MAX

/*
 * close(2) can wait as long as somebody else likes: for the peer of a TCP socket with SO_LINGER,
 * for the server of a FUSE or NFS file. Who sends a descriptor chooses what it is, and what
 * waits in a socket's queue is closed with that socket. So none of these is closed by the loop.
 */
struct closer {
	uint32_t slot;
	int ours; /* a connection of ours, not a descriptor that somebody sent */
	size_t count;
	int fd[CONTROL_FDS_MAX];
};

/* Of each container and of the host: how many closers are at work. Outlives the supervisor. */
static unsigned closers[WARDER_CONTAINERS_MAX + 1];

static void *closer_main(void *arg)
{
	struct closer *c = arg;

	/* Closed with messages unread, the peer would see a reset before our last sentence. */
	for (int i = 0; c->ours && i < CLOSER_DRAIN; i++) {
		if (recv(c->fd[0], NULL, 0, MSG_DONTWAIT | MSG_TRUNC) <= 0)
			break;
	}
	for (size_t i = 0; i < c->count; i++)
		close(c->fd[i]);
	__atomic_sub_fetch(&closers[c->slot], 1, __ATOMIC_RELAXED);
	free(c);
	return NULL;
}

static void closer_close(uint32_t slot, const int *fds, size_t count, int ours)
{
	struct closer *c = NULL;
	pthread_attr_t attr;
	pthread_t thread;
	int err = -EAGAIN;

	if (slot != CLOSER_HOST ||
	    __atomic_load_n(&closers[slot], __ATOMIC_RELAXED) < CLOSERS_MAX)
		c = calloc(1, sizeof(*c));
	if (c) {
		c->slot = slot;
		c->ours = ours;
		c->count = count;
		memcpy(c->fd, fds, count * sizeof(*fds));
		pthread_attr_init(&attr);
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		pthread_attr_setstacksize(&attr, CLOSER_STACK);
		__atomic_add_fetch(&closers[slot], 1, __ATOMIC_RELAXED);
		err = pthread_create(&thread, &attr, closer_main, c);
		pthread_attr_destroy(&attr);
		if (err)
			__atomic_sub_fetch(&closers[slot], 1, __ATOMIC_RELAXED);
	}
	if (!err)
		return;
	free(c);
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
}

/* As source_remove(), for a socket that clients send to. */
static void source_remove_foreign(struct supervisor *s, struct source *src, uint32_t slot)
{
	if (src->fd < 0)
		return;
	epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, src->fd, NULL);
	closer_close(slot, &src->fd, 1, 1);
	src->fd = -1;
}

void conn_listener_remove(struct supervisor *s, struct ctr *c)
{
	source_remove_foreign(s, &c->listener, c->slot);
}

struct conn *conn_find(struct supervisor *s, uint64_t id)
{
	struct conn *c = s->conns;

	while (c && c->id != id)
		c = c->next;
	return c;
}

void conn_close(struct supervisor *s, struct conn *c)
{
	struct conn **p = &s->conns;

	while (*p && *p != c)
		p = &(*p)->next;
	if (*p)
		*p = c->next;
	if (*c->handler)
		sup_handler_gone(s, c);
	if (c->queues)
		sup_upcall_conn_gone(s, c);
	source_remove_foreign(s, &c->src, c->cid ? c->slot : CLOSER_HOST);
	if (!c->cid)
		s->conn_count--;
	free(c);
}

void conn_close_container(struct supervisor *s, uint64_t cid)
{
	struct conn *next;

	for (struct conn *c = s->conns; c; c = next) {
		next = c->next;
		if (c->cid == cid)
			conn_close(s, c);
	}
}

int conn_reply(struct supervisor *s, struct conn *c, struct json_object *msg, int fd)
{
	int err = control_send(c->src.fd, msg, &fd, fd >= 0, MSG_DONTWAIT);

	json_object_put(msg);
	if (err)
		conn_close(s, c);
	return err;
}

int conn_reply_ok(struct supervisor *s, struct conn *c)
{
	struct json_object *o = json_object_new_object();

	control_put_bool(o, "ok", 1);
	return conn_reply(s, c, o, -1);
}

int conn_reply_error(struct supervisor *s, struct conn *c, int code, const char *text)
{
	struct json_object *o = json_object_new_object();

	control_put_bool(o, "ok", 0);
	control_put_int(o, "code", code);
	control_put_string(o, "error", text);
	return conn_reply(s, c, o, -1);
}

void conn_exited(struct supervisor *s, uint64_t cid, int status)
{
	struct conn *next;

	for (struct conn *c = s->conns; c; c = next) {
		struct json_object *o;

		next = c->next;
		if (c->waits_cid != cid || !cid)
			continue;
		c->waits_cid = 0;
		o = json_object_new_object();
		if (!c->attached)
			control_put_bool(o, "ok", 1);
		control_put_int(o, c->attached ? "exited" : "status", status);
		c->attached = 0;
		conn_reply(s, c, o, -1);
	}
}

void conn_released(struct supervisor *s, uint64_t cid, const char *text)
{
	struct conn *next;

	for (struct conn *c = s->conns; c; c = next) {
		next = c->next;
		if (c->waits_cid != cid || !cid)
			continue;
		c->waits_cid = 0;
		c->attached = 0;
		conn_reply_error(s, c, 125, text);
	}
}

/* Does the next message bring any? They stay in the queue: to receive one is to close it. */
static int conn_brings_fds(int sock)
{
	struct msghdr msg = { .msg_iov = NULL };

	return recvmsg(sock, &msg, MSG_PEEK | MSG_DONTWAIT) >= 0 && (msg.msg_flags & MSG_CTRUNC);
}

static void conn_ready(struct supervisor *s, struct source *src, uint32_t events)
{
	struct conn *c = source_owner(src, struct conn, src);
	struct control_fds fds = { .count = 0 };
	struct json_object *o = NULL;
	struct warder_error e = { "" };
	int err;

	(void)events;
	if (c->cid && conn_brings_fds(src->fd)) {
		if (!conn_reply_error(s, c, 125, "a container may not send descriptors"))
			conn_close(s, c);
		return;
	}
	err = control_recv(src->fd, &o, &fds, 0, MSG_DONTWAIT, &e);
	if (err == -EAGAIN)
		return;
	if (err == -EBADMSG || err == -EMSGSIZE) {
		/* One sentence, then the end: what follows could not be trusted either. */
		if (!conn_reply_error(s, c, 125, e.text))
			conn_close(s, c);
		return;
	}
	if (err) {
		conn_close(s, c);
		return;
	}
	request_dispatch(s, c, o, &fds);
	if (fds.count)
		closer_close(CLOSER_HOST, fds.fd, fds.count, 0);
	json_object_put(o);
}

static int conn_has_room(struct supervisor *s, const struct ctr *ctr)
{
	unsigned count = __atomic_load_n(&closers[ctr->slot], __ATOMIC_RELAXED);

	for (struct conn *c = s->conns; c; c = c->next)
		count += c->cid == ctr->cid;
	return count < CONNS_PER_CONTAINER;
}

int conn_add(struct supervisor *s, int fd, const struct ctr *ctr)
{
	struct conn *c;

	if (ctr ? !conn_has_room(s, ctr) : s->conn_count >= SUPERVISOR_CONNS_MAX)
		return -EMFILE;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->id = ++s->conn_next;
	if (ctr) {
		c->cid = ctr->cid;
		c->slot = ctr->slot;
	}
	if (source_add(s, &c->src, fd, EPOLLIN, conn_ready)) {
		free(c);
		return -ENOMEM;
	}
	c->next = s->conns;
	s->conns = c;
	if (!ctr)
		s->conn_count++;
	return 0;
}

static int conn_accept_one(struct source *src)
{
	return accept4(src->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

/* Root only, whatever the socket's mode says. */
void conn_accept(struct supervisor *s, struct source *src, uint32_t events)
{
	int fd = conn_accept_one(src);
	uid_t uid;
	pid_t pid;

	(void)events;
	if (fd < 0)
		return;
	if (control_peer(fd, &uid, &pid) || uid != 0 || conn_add(s, fd, NULL))
		closer_close(CLOSER_HOST, &fd, 1, 1);
}

void conn_accept_from_container(struct supervisor *s, struct ctr *c, struct source *src)
{
	int fd;

	if (!conn_has_room(s, c)) {
		struct epoll_event none = { .data.ptr = src };

		c->listener_paused = !epoll_ctl(s->epoll_fd, EPOLL_CTL_MOD, src->fd, &none);
		return;
	}
	fd = conn_accept_one(src);
	if (fd >= 0 && conn_add(s, fd, c))
		closer_close(c->slot, &fd, 1, 1);
}

void conn_listener_tick(struct supervisor *s, struct ctr *c)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = &c->listener };

	if (c->listener_paused && c->listener.fd >= 0 && conn_has_room(s, c))
		c->listener_paused = !!epoll_ctl(s->epoll_fd, EPOLL_CTL_MOD, c->listener.fd, &ev);
}
