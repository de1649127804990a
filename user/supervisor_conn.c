// SPDX-License-Identifier: LGPL-2.1-or-later
/* Connections: accepting, limits, replies. What a message means is in supervisor_requests.c. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "supervisor_private.h"

/* Of one container's connections; beyond it the newest is refused. */
#define CONNS_PER_CONTAINER 8

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
	source_remove(s, &c->src);
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

static void conn_ready(struct supervisor *s, struct source *src, uint32_t events)
{
	struct conn *c = source_owner(src, struct conn, src);
	struct control_fds fds = { .count = 0 };
	struct json_object *o = NULL;
	struct warder_error e = { "" };
	int err;

	(void)events;
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
	control_fds_done(&fds);
	json_object_put(o);
}

int conn_add(struct supervisor *s, int fd, uint64_t cid)
{
	struct conn *c;

	if (s->conn_count >= SUPERVISOR_CONNS_MAX)
		return -EMFILE;
	if (cid) {
		unsigned count = 0;

		for (c = s->conns; c; c = c->next)
			count += c->cid == cid;
		if (count >= CONNS_PER_CONTAINER)
			return -EMFILE;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->id = ++s->conn_next;
	c->cid = cid;
	if (source_add(s, &c->src, fd, EPOLLIN, conn_ready)) {
		free(c);
		return -ENOMEM;
	}
	c->next = s->conns;
	s->conns = c;
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
	if (control_peer(fd, &uid, &pid) || uid != 0 || conn_add(s, fd, 0))
		close(fd);
}

void conn_accept_from_container(struct supervisor *s, struct ctr *c, struct source *src)
{
	int fd = conn_accept_one(src);

	if (fd >= 0 && conn_add(s, fd, c->cid))
		close(fd);
}
