// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Queues: daemons that answer key upcalls. One in a container registers on the container's socket,
 * for the user namespace that it is in and has the say in; one of the host's registers on the control
 * socket, for a container or for all. The connection is the queue, and ends with it.
 *
 * What is read of a process in /proc is what a pidfd opened before still names afterwards.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "supervisor_upcall.h"

#define QUEUE_VERSION 1
#define ANCESTORS_MAX 64
#define CAP_SYS_ADMIN_BIT (1ull << 21)

/* --------------------------------------------------------------------------- /proc */

static int proc_open(pid_t pid, const char *what, int flags)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, what);
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int proc_text(pid_t pid, const char *what, char *buf, size_t size)
{
	cleanup_close int fd = proc_open(pid, what, O_RDONLY);
	size_t used = 0;
	ssize_t n;

	if (fd < 0)
		return fd;
	while (used < size - 1 && (n = read(fd, buf + used, size - 1 - used)) > 0)
		used += (size_t)n;
	buf[used] = '\0';
	return 0;
}

int sup_queue_proc_status(pid_t pid, struct upcall_status *ret)
{
	char text[8192];
	int err = proc_text(pid, "status", text, sizeof(text));

	return err ? err : upcall_status_parse(text, ret);
}

static int proc_idmap(pid_t pid, const char *what, struct upcall_idmap *ret)
{
	char text[16384];
	int err = proc_text(pid, what, text, sizeof(text));

	return err ? err : upcall_idmap_parse(text, ret);
}

static uint32_t proc_namespace(pid_t pid, const char *what)
{
	cleanup_close int fd = proc_open(pid, what, O_RDONLY);
	struct stat st;

	return fd < 0 || fstat(fd, &st) ? 0 : (uint32_t)st.st_ino;
}

/* Is `pid` that daemon or one of its descendants? What it starts to answer must not wait for it. */
int sup_queue_is_own(const struct sup_queue *q, pid_t pid)
{
	for (int i = 0; i < ANCESTORS_MAX && pid > 1; i++) {
		struct upcall_status st;

		if (pid == q->pid)
			return 1;
		if (sup_queue_proc_status(pid, &st))
			return 0;
		pid = st.ppid;
	}
	return 0;
}

/* The number of `pid` in the pid namespace that the daemon is in; 0: it has none there. */
pid_t sup_queue_pid_as_seen(const struct sup_queue *q, pid_t pid)
{
	struct upcall_status mine, theirs;
	uint32_t wanted;
	struct stat st;
	int fd, up;

	if (!q->q.userns)
		return pid;
	if (sup_queue_proc_status(q->pid, &theirs) || sup_queue_proc_status(pid, &mine) ||
	    mine.depth < theirs.depth)
		return 0;
	wanted = proc_namespace(q->pid, "ns/pid");
	fd = proc_open(pid, "ns/pid", O_RDONLY);
	for (up = (int)(mine.depth - theirs.depth); fd >= 0 && up; up--) {
		int parent = ioctl(fd, NS_GET_PARENT);

		close(fd);
		fd = parent;
	}
	if (fd < 0)
		return 0;
	if (fstat(fd, &st) || (uint32_t)st.st_ino != wanted)
		wanted = 0;
	close(fd);
	return wanted ? mine.pid[theirs.depth - 1] : 0;
}

/* ------------------------------------------------------------------------ register */

/* A process of that container, with the say in its user namespace: fills what is known of it. */
static int queue_judge(struct supervisor *s, const struct conn *c, const struct ctr *ctr,
		       struct sup_queue *q, struct warder_error *e)
{
	cleanup_close int pidfd = -1;
	struct warder_task tag = { 0 };
	struct upcall_status st;

	if (control_peer(c->src.fd, &q->uid, &q->pid))
		return error_set(e, -EPERM, "who asks cannot be told");
	pidfd = (int)syscall(SYS_pidfd_open, q->pid, 0);
	if (pidfd < 0)
		return error_set(e, -EPERM, "the process that connected has ended");
	/* Without a kernel's programs (tests) there are no tags. */
	if (s->loader && (loader_get_task(s->loader, pidfd, &tag) || tag.cid != c->cid))
		return error_set(e, -EPERM, "a queue is registered on a connection that the daemon "
					    "itself made to container.sock");
	q->q.userns = proc_namespace(q->pid, "ns/user");
	if (!q->q.userns || sup_queue_proc_status(q->pid, &st) ||
	    proc_idmap(q->pid, "uid_map", &q->uids) || proc_idmap(q->pid, "gid_map", &q->gids) ||
	    syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0))
		return error_set(e, -EPERM, "the process that connected cannot be looked at");
	if (st.cap_eff & CAP_SYS_ADMIN_BIT)
		return 0;
	/* Root of a container has no CAP_SYS_ADMIN, but the say in it. */
	if (q->uid == ctr->uid_base && (!ctr->userns || q->q.userns == ctr->userns))
		return 0;
	return error_set(e, -EPERM, "a queue is for root of the container, or for CAP_SYS_ADMIN in the "
				    "user namespace");
}

static int queue_read_type(struct json_object *o, char ret[16], struct warder_error *e)
{
	const char *type = NULL;
	uint64_t version = 0;

	if (control_get_string(o, "type", &type, e) < 0 ||
	    control_get_u64(o, "version", UINT32_MAX, &version, e) < 0)
		return -EINVAL;
	if (version != QUEUE_VERSION)
		return error_set(e, -EPROTO, "this supervisor speaks version 1 with queues");
	if (!type || !strcmp(type, "*"))
		return 0;
	if (!*type || *type == '.' || strlen(type) >= 16)
		return error_set(e, -EINVAL, "type: expected a key type of at most 15 characters, or *");
	strcpy(ret, type);
	return 0;
}

static struct sup_queue *queue_of_conn(struct supervisor *s, uint64_t conn)
{
	struct sup_queue *q = s->queues;

	while (q && q->conn != conn)
		q = q->next;
	return q;
}

static int queue_add(struct supervisor *s, struct conn *c, struct sup_queue *q, struct warder_error *e)
{
	const struct sup_queue *mine = queue_of_conn(s, c->id);

	for (const struct sup_queue *other = s->queues; other; other = other->next)
		if (upcall_queue_same(&other->q, &q->q))
			return error_set(e, -EEXIST, "keys of type %s are served by another daemon already",
					 q->q.type[0] ? q->q.type : "*");
	if (c->queues == SUPERVISOR_QUEUES_PER_CONN)
		return error_set(e, -EMFILE, "a connection serves at most %d types",
				 SUPERVISOR_QUEUES_PER_CONN);
	if (mine)
		q->nonce = mine->nonce;
	else if (getrandom(&q->nonce, sizeof(q->nonce), 0) != sizeof(q->nonce))
		return error_set(e, -EIO, "no random numbers");
	q->conn = c->id;
	q->q.id = ++s->queue_next;
	q->next = s->queues;
	s->queues = q;
	c->queues++;
	return 0;
}

void handle_keyring_queue(struct supervisor *s, struct conn *c, struct json_object *o,
			  struct control_fds *fds)
{
	struct sup_queue *q = calloc(1, sizeof(*q));
	struct warder_error e = { "" };
	const char *name = NULL;
	struct ctr *ctr = NULL;
	struct json_object *r;
	char ring[UPCALL_RING_NAME_SIZE];
	int err = 0;

	(void)fds;
	if (!q || c->waits_cid || c->subscriber || *c->handler)
		err = error_set(&e, -EBUSY, "this connection waits for something else");
	if (!err)
		err = queue_read_type(o, q->q.type, &e);
	if (!err && control_get_string(o, "name", &name, &e) < 0)
		err = -EINVAL;
	if (!err && c->cid) {
		ctr = ctr_find_cid(s, c->cid);
		err = name || !ctr ? error_set(&e, -EINVAL, "a container serves itself only") :
				     queue_judge(s, c, ctr, q, &e);
	} else if (!err && name) {
		ctr = request_container(s, o, &e);
		err = ctr ? 0 : -ENOENT;
	}
	if (!err) {
		q->q.cid = ctr ? ctr->cid : 0;
		err = queue_add(s, c, q, &e);
	}
	if (err) {
		free(q);
		reply_error(s, c, &e);
		return;
	}
	snprintf(ring, sizeof(ring), UPCALL_RING_FORMAT, (unsigned long long)q->nonce);
	r = reply_new();
	control_put_string(r, "ring", ring);
	conn_reply(s, c, r, -1);
}

void sup_queue_conn_gone(struct supervisor *s, const struct conn *c)
{
	struct sup_queue **p = &s->queues;

	while (*p) {
		struct sup_queue *q = *p;

		if (q->conn != c->id) {
			p = &q->next;
			continue;
		}
		*p = q->next;
		free(q);
	}
}

/* Daemons of the host's that serve a container which is gone: by their ends they hear of it. */
void sup_queue_container_gone(struct supervisor *s, uint64_t cid)
{
	struct sup_queue *q = s->queues;

	while (q) {
		struct conn *c = q->q.cid == cid ? conn_find(s, q->conn) : NULL;

		if (c)
			conn_close(s, c); /* and with it this one, and others */
		q = c ? s->queues : q->next;
	}
}

/* The first one after (rank, id), NULL: none. */
struct sup_queue *sup_queue_next(struct supervisor *s, const struct upcall_origin *o, uint32_t *rank,
			     uint64_t *id)
{
	struct sup_queue *best = NULL;
	uint32_t best_rank = UINT32_MAX;

	for (struct sup_queue *q = s->queues; q; q = q->next) {
		uint32_t r = upcall_queue_rank(&q->q, o);

		if (r == UINT32_MAX || r < *rank || (r == *rank && q->q.id <= *id))
			continue;
		if (r < best_rank || (r == best_rank && q->q.id < best->q.id)) {
			best = q;
			best_rank = r;
		}
	}
	if (best) {
		*rank = best_rank;
		*id = best->q.id;
	}
	return best;
}
