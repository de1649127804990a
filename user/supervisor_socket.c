// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The sockets of a container: container.sock, WARDER_FD, and container.sock made anew for an
 * adopted container, whose old one died with the supervisor that listened on it.
 *
 * Making it anew resolves a path in a mount namespace that the container may have changed, on
 * file systems that may not answer. So a builder does it (container_socket.c) and we wait for
 * it in the loop; without an answer there is no socket and one warning.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "supervisor_private.h"

/* As control_listen(). */
#define SOCKET_BACKLOG 64
#define SOCKET_SECONDS 10

static void ctr_listener_ready(struct supervisor *s, struct source *src, uint32_t events)
{
	struct ctr *c = source_owner(src, struct ctr, listener);

	(void)events;
	conn_accept_from_container(s, c, src);
}

void ctr_listen(struct supervisor *s, struct ctr *c, int fd)
{
	int type = 0, accepting = 0;
	socklen_t len = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) || type != SOCK_SEQPACKET ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepting, &len) || !accepting ||
	    source_add(s, &c->listener, fd, EPOLLIN, ctr_listener_ready))
		close(fd);
}

/* The supervisor's end of WARDER_FD is an ordinary connection from that container. */
void ctr_attach_self(struct supervisor *s, struct ctr *c, int fd)
{
	c->has_self = 1;
	if (fcntl(fd, F_SETFL, O_NONBLOCK) || conn_add(s, fd, c))
		close(fd);
}


/* -------------------------------------------------------------------- made anew */

void ctr_socket_cancel(struct supervisor *s, struct ctr *c)
{
	if (c->remake.fd < 0)
		return;
	source_remove(s, &c->remake);
	kill(c->remake_pid, SIGKILL);
	supervisor_reap_later(s, c->remake_pid);
	c->remake_pid = 0;
}

static void remake_fail(struct supervisor *s, struct ctr *c, const char *why)
{
	log_warning("container %s has no container.sock any more: %s", c->name, why);
	ctr_socket_cancel(s, c);
}

/* Bound by the builder, opened to the container before anybody can connect. */
static void remake_listen(struct supervisor *s, struct ctr *c, int fd)
{
	int err = s->loader ? loader_open_socket_to(s->loader, fd, c->cid) : 0;

	if (!err && listen(fd, SOCKET_BACKLOG))
		err = -errno;
	if (!err && fcntl(fd, F_SETFL, O_NONBLOCK))
		err = -errno;
	if (err) {
		close(fd);
		remake_fail(s, c, strerror(-err));
		return;
	}
	ctr_listen(s, c, fd);
	ctr_socket_cancel(s, c);
}

static void remake_ready(struct supervisor *s, struct source *src, uint32_t events)
{
	struct ctr *c = source_owner(src, struct ctr, remake);
	struct container_msg m;
	int fd, err;

	(void)events;
	err = container_msg_recv(src->fd, &m, &fd, MSG_DONTWAIT);
	if (err == -EAGAIN)
		return;
	if (!err && m.type == CONTAINER_MSG_FD && m.value == CONTAINER_FD_LISTEN && fd >= 0 &&
	    c->state == CTR_RUNNING && c->listener.fd < 0) {
		remake_listen(s, c, fd);
		return;
	}
	if (fd >= 0)
		close(fd);
	if (c->state == CTR_RUNNING)
		remake_fail(s, c, !err && m.type == CONTAINER_MSG_FAIL ? m.text :
							       "the helper that makes it died");
	else
		ctr_socket_cancel(s, c);
}

void ctr_socket_remake(struct supervisor *s, struct ctr *c)
{
	struct container_launch launch = { .name = c->name,
					   .cid = c->cid,
					   .exe_fd = s->exe_fd,
					   .cgroup_fd = -1,
					   .stdio = { -1, -1, -1 },
					   .uid_base = c->uid_base,
					   .enter_pidfd = c->init.fd,
					   .socket_mntns = c->mntns,
					   .stage_dir = s->stage_dir };
	struct warder_error e = { "" };
	int sock;

	if (c->init.fd < 0 || container_launch(&launch, &sock, &c->remake_pid, &e)) {
		log_warning("container %s has no container.sock any more: %s", c->name,
			    e.text[0] ? e.text : "its first process cannot be watched");
		return;
	}
	c->remake_deadline = clock_now_ms() + SOCKET_SECONDS * 1000ull;
	if (source_add(s, &c->remake, sock, EPOLLIN, remake_ready)) {
		close(sock);
		kill(c->remake_pid, SIGKILL);
		supervisor_reap_later(s, c->remake_pid);
		log_warning("container %s has no container.sock any more: out of memory", c->name);
	}
}

void ctr_socket_tick(struct supervisor *s, struct ctr *c, uint64_t now)
{
	conn_listener_tick(s, c);
	if (c->remake.fd >= 0 && now > c->remake_deadline)
		remake_fail(s, c, "a file system in it does not answer");
}
