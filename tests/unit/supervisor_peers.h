/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A supervisor without a kernel, and connections to it whose other ends are ours. After cmocka.h and
 * supervisor_private.h. */
#ifndef SUPERVISOR_PEERS_H
#define SUPERVISOR_PEERS_H

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PEERS 24

static struct supervisor *s;
static int peer[PEERS];
static unsigned peers;

static inline void supervisor_make(void)
{
	s = calloc(1, sizeof(*s));
	assert_non_null(s);
	pthread_mutex_init(&s->lock, NULL);
	s->epoll_fd = epoll_create1(0);
	s->upcall_listener.fd = s->ask_source.fd = -1;
	peers = 0;
	log_init("test", LOG_LEVEL_ERROR);
}

static inline void connections_close(void)
{
	while (s->conns)
		conn_close(s, s->conns);
}

static inline void supervisor_unmake(void)
{
	for (unsigned i = 0; i < peers; i++)
		close(peer[i]);
	close(s->epoll_fd);
	free(s);
}

/* A connection from the host (NULL), or from that container. */
static inline struct conn *connect_one(struct ctr *from)
{
	int pair[2], err;

	assert_in_range(peers, 0, PEERS - 1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	/* What earlier connections closed counts until its closers, which are threads, are done. */
	for (int tries = 0; (err = conn_add(s, pair[0], from)) == -EMFILE && tries < 10000; tries++)
		usleep(1000);
	assert_int_equal(err, 0);
	peer[peers++] = pair[1];
	return s->conns;
}

/* A request as that connection would send it. */
static inline void say(struct conn *c, const char *text)
{
	struct control_fds fds = { .count = 0 };
	struct json_object *msg = json_tokener_parse(text);

	assert_non_null(msg);
	request_dispatch(s, c, msg, &fds);
	json_object_put(msg);
}

/* What has come to that end, to be put; NULL: nothing. */
static inline struct json_object *heard(unsigned index)
{
	struct control_fds fds = { .count = 0 };
	struct json_object *o = NULL;

	control_recv(peer[index], &o, &fds, 0, MSG_DONTWAIT, NULL);
	return o;
}

/* Whether the reply, which is put, says so. */
static inline int is_ok(struct json_object *reply)
{
	int is = 0;

	assert_non_null(reply);
	control_get_bool(reply, "ok", &is, NULL);
	json_object_put(reply);
	return is;
}

#endif
