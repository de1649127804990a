// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Starting containers and entering them, as a state machine on the launch socket: the loop
 * never waits. The order is the contract: names, keyrings, tag, and only then the release.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cgroup.h"
#include "cleanup.h"
#include "supervisor_private.h"

static void launch_ready(struct supervisor *s, struct source *src, uint32_t events);

static void launch_unlink(struct supervisor *s, struct launch *l)
{
	struct launch **p = &s->launches;

	while (*p && *p != l)
		p = &(*p)->next;
	if (*p)
		*p = l->next;
}

static void launch_forget_mounts(struct launch *l)
{
	for (size_t i = 0; i < l->mounts; i++)
		free(l->mount[i].path);
	free(l->mount);
	l->mount = NULL;
	l->mounts = 0;
}

/* What is left of it runs on unharmed only if it was released. */
void launch_free(struct supervisor *s, struct launch *l)
{
	launch_unlink(s, l);
	source_remove(s, &l->sock);
	source_remove(s, &l->child);
	if (l->builder > 0)
		supervisor_reap_later(s, l->builder);
	if (l->pidfd >= 0)
		close(l->pidfd);
	if (l->pty >= 0)
		close(l->pty);
	if (l->filter >= 0)
		close(l->filter);
	launch_forget_mounts(l);
	container_spec_free(l->spec);
	adoption_free(l->adoption);
	free(l);
}

/* The one way out for a start that did not succeed: one sentence, everything undone. */
static void launch_fail(struct supervisor *s, struct launch *l, int code, const char *text)
{
	struct ctr *c = l->ctr;
	struct conn *conn;

	if (l->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, l->pidfd, SIGKILL, NULL, 0);
	if (!l->released && l->builder > 0)
		kill(l->builder, SIGKILL);
	if (l->enter) {
		if (l->pid > 0)
			supervisor_reap_later(s, l->pid);
		conn = conn_find(s, l->conn);
		launch_free(s, l);
		if (conn)
			conn_reply_error(s, conn, code, text);
		return;
	}
	if (l->pidfd >= 0 && c->init.fd < 0)
		ctr_watch_init(s, c, take_fd(&l->pidfd));
	c->fail_conn = l->conn;
	c->fail_code = code;
	snprintf(c->fail_text, sizeof(c->fail_text), "%s", text);
	launch_free(s, l);
	ctr_end(s, c, code);
}

static struct launch *launch_new(struct supervisor *s, struct ctr *c, const struct conn *conn,
				 int sock, pid_t builder, struct warder_error *reterr)
{
	struct launch *l = calloc(1, sizeof(*l));

	if (!l) {
		error_set(reterr, -ENOMEM, "out of memory");
		goto fail;
	}
	l->ctr = c;
	l->conn = conn->id;
	l->builder = builder;
	l->pidfd = l->pty = l->filter = l->sock.fd = l->child.fd = -1;
	l->deadline = clock_now_ms() + SUPERVISOR_START_SECONDS * 1000ull;
	if (source_add(s, &l->sock, sock, EPOLLIN, launch_ready)) {
		error_set(reterr, -ENOMEM, "cannot watch the container's start");
		free(l);
		goto fail;
	}
	l->next = s->launches;
	s->launches = l;
	return l;
fail:
	close(sock);
	kill(builder, SIGKILL);
	supervisor_reap_later(s, builder);
	return NULL;
}

/* The builder, and with it everything in the container, inherits the session ring. */
static int launch_spawn(struct supervisor *s, struct ctr *c, const struct container_launch *launch,
			int *ret_sock, pid_t *ret_builder, struct warder_error *reterr)
{
	struct warder_error leaving = { "" };
	int err, left = 0;

	if (c->has_rings) {
		err = keyring_enter(s->keyring, &c->rings, reterr);
		if (err) {
			keyring_leave(s->keyring, &leaving);
			return err;
		}
	}
	err = container_launch(launch, ret_sock, ret_builder, reterr);
	if (c->has_rings)
		left = keyring_leave(s->keyring, &leaving);
	if (left)
		log_error("%s", leaving.text);
	return err;
}

/* Does its policy override what only a filter can bring to us? */
static int launch_needs_filter(struct supervisor *s, const struct ctr *c)
{
	const struct warder_image *img = sup_ctr_image(s, c);

	return s->override && img ? override_needs_filter(img) : 0;
}

int start_container(struct supervisor *s, struct conn *conn, struct container_spec *spec,
		    struct sup_policy_ref *policy, size_t count, int unasked, const int stdio[3],
		    int detach, struct warder_error *reterr)
{
	struct cgroup_limits limits = {
		.pids_max = spec->pids_limit > 0 ? (uint64_t)spec->pids_limit :
			    spec->pids_limit < 0 ? 0 :
						   CONTAINER_PIDS_DEFAULT,
		.memory_max = (uint64_t)spec->memory,
		.pids_wanted = spec->pids_limit > 0,
	};
	struct container_launch launch = { .spec = spec, .exe_fd = s->exe_fd, .enter_pidfd = -1,
					   .stage_dir = s->stage_dir };
	struct launch *l;
	struct ctr *c;
	char id[32];
	pid_t builder;
	int err, sock;

	c = ctr_new(s, spec->name, reterr);
	if (!c) {
		sup_policy_refs_free(s, policy, count);
		container_spec_free(spec);
		return -EBUSY;
	}
	c->spec = spec;
	err = sup_policy_choose(s, c, spec->annotations, unasked, policy, count, reterr);
	if (err)
		goto undo;
	if (spec->userns)
		c->uid_base = container_uid_base("/etc/subuid", c->cid);
	snprintf(id, sizeof(id), "%llu", (unsigned long long)c->cid);
	c->cgroup_fd = cgroup_create(id, &limits, reterr);
	if (c->cgroup_fd < 0) {
		err = c->cgroup_fd;
		goto undo;
	}
	if (s->keyring) {
		err = keyring_create(s->keyring, c->cid, &c->rings, reterr);
		if (err)
			goto undo;
		c->has_rings = 1;
	}
	err = ctr_set_signers(s, c, sup_policy_image(s, c->policy), reterr);
	if (!err)
		err = ctr_set_shared(s, c, sup_policy_image(s, c->policy), reterr);
	if (err)
		goto undo;
	launch.name = c->name;
	launch.cid = c->cid;
	launch.notify = c->filter = launch_needs_filter(s, c);
	launch.cgroup_fd = c->cgroup_fd;
	launch.uid_base = c->uid_base;
	memcpy(launch.stdio, stdio, sizeof(launch.stdio));
	err = launch_spawn(s, c, &launch, &sock, &builder, reterr);
	if (err)
		goto undo;
	l = launch_new(s, c, conn, sock, builder, reterr);
	if (!l) {
		err = -ENOMEM;
		goto undo;
	}
	l->detach = detach;
	return 0;
undo:
	ctr_end(s, c, 125);
	return err;
}

int start_survey(struct supervisor *s, struct conn *conn, struct ctr *c, struct adoption *adoption,
		 int filters, struct warder_error *reterr)
{
	const struct container_launch launch = { .name = c->name,
						 .cid = c->cid,
						 .exe_fd = s->exe_fd,
						 .cgroup_fd = -1,
						 .stdio = { -1, -1, -1 },
						 .enter_pidfd = c->init.fd,
						 .foreign = c->pid,
						 .survey = 1,
						 .filters = filters,
						 .stage_dir = s->stage_dir };
	struct launch *l;
	pid_t builder;
	int err, sock;

	err = container_launch(&launch, &sock, &builder, reterr);
	if (!err) {
		l = launch_new(s, c, conn, sock, builder, reterr);
		err = l ? 0 : -ENOMEM;
	}
	if (err) {
		adoption_free(adoption);
		return err;
	}
	l->adoption = adoption;
	return 0;
}

int start_enter(struct supervisor *s, struct conn *conn, struct ctr *c,
		struct container_spec *spec, const int stdio[3], struct warder_error *reterr)
{
	cleanup_close int cgroup = c->foreign ? adopt_open_cgroup(c) : -1;
	struct container_launch launch = { .spec = spec,
					   .name = c->name,
					   .cid = c->cid,
					   .exe_fd = s->exe_fd,
					   .cgroup_fd = c->foreign ? cgroup : c->cgroup_fd,
					   .uid_base = c->uid_base,
					   .enter_pidfd = c->init.fd,
					   .foreign = c->foreign ? c->pid : 0,
					   .stage_dir = s->stage_dir };
	struct launch *l;
	pid_t builder;
	int err, sock;

	/* What was adopted goes through the seccomp filters that it came with. */
	launch.notify = c->foreign ? 0 : launch_needs_filter(s, c);
	memcpy(launch.stdio, stdio, sizeof(launch.stdio));
	err = launch_spawn(s, c, &launch, &sock, &builder, reterr);
	if (!err) {
		l = launch_new(s, c, conn, sock, builder, reterr);
		err = l ? 0 : -ENOMEM;
	}
	if (err) {
		container_spec_free(spec);
		return err;
	}
	l->enter = 1;
	l->spec = spec;
	return 0;
}

/* --------------------------------------------------------------------- identity */

static uint32_t launch_ns(pid_t pid, const char *which)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, which);
	return stat(path, &st) ? 0 : (uint32_t)st.st_ino;
}

struct launch_names {
	struct launch *l;
	struct warder_fd_record *record; /* by number of the mount */
	uint8_t *found;
};

/* Only collects: the loader holds its lock meanwhile. */
static int launch_name_fn(const struct warder_fd_record *record, const char *name, void *arg)
{
	struct launch_names *n = arg;

	(void)name;
	for (size_t i = 0; i < n->l->mounts; i++) {
		if (n->l->mount[i].fd == (int)record->fd) {
			n->record[i] = *record;
			n->found[i] = 1;
		}
	}
	return 0;
}

/* `pid` waits with an O_PATH descriptor on each mount point: what they lie on are the names. */
int launch_record_names(struct supervisor *s, struct launch *l, pid_t pid,
			struct warder_error *reterr)
{
	cleanup_free struct warder_fd_record *record = calloc(l->mounts, sizeof(*record));
	cleanup_free uint8_t *found = calloc(l->mounts, 1);
	struct launch_names names = { .l = l, .record = record, .found = found };
	int err;

	if (!s->loader)
		return 0;
	if (!l->mounts)
		return error_set(reterr, -EIO, "the container reported no mount points");
	if (!record || !found)
		return error_set(reterr, -ENOMEM, "out of memory");
	err = loader_each_fd(s->loader, pid, -1, launch_name_fn, &names);
	if (err < 0)
		return error_errno(reterr, err, "cannot read the container's mount points");
	for (size_t i = 0; i < l->mounts; i++) {
		if (!found[i])
			return error_set(reterr, -EIO, "mount point %s of the container cannot be "
						       "read", l->mount[i].path);
		/* Of an adopted container the root need not be where a mount begins. */
		if (!strcmp(l->mount[i].path, "/")) {
			record[i].mnt_root = record[i].dentry;
			record[i].root_ino = record[i].ino;
		}
		err = loader_record_mount(s->loader, l->ctr->slot, &record[i], l->mount[i].path,
					  reterr);
		if (err)
			return err;
	}
	return 0;
}

int launch_take_mounts(struct launch *l, struct warder_error *reterr)
{
	struct ctr *c = l->ctr;

	c->mounts = calloc(l->mounts + 1, sizeof(*c->mounts));
	if (!c->mounts)
		return error_set(reterr, -ENOMEM, "out of memory");
	for (size_t i = 0; i < l->mounts; i++)
		c->mounts[i] = take_ptr(l->mount[i].path);
	c->mount_count = l->mounts;
	launch_forget_mounts(l);
	return 0;
}

static int launch_identify(struct supervisor *s, struct launch *l, struct warder_error *reterr)
{
	struct ctr *c = l->ctr;
	char path[64];
	int err;

	c->pid = l->pid;
	c->userns = launch_ns(l->pid, "user");
	c->mntns = launch_ns(l->pid, "mnt");
	c->pidns = launch_ns(l->pid, "pid");
	if (!c->userns || !c->mntns || !c->pidns)
		return error_set(reterr, -ESRCH, "the container's first process died early");
	if (c->spec->userns) {
		snprintf(path, sizeof(path), "/proc/%d/ns/user", l->pid);
		c->userns_fd = open(path, O_RDONLY | O_CLOEXEC);
		if (c->userns_fd < 0)
			return error_errno(reterr, -errno, "cannot open the user namespace");
	}
	if (s->loader) {
		err = loader_reset_stats(s->loader, c->slot);
		if (err)
			return error_errno(reterr, err, "cannot reset the container's counters");
	}
	err = ctr_publish(s, c, WARDER_CTR_STARTING);
	if (err)
		return error_errno(reterr, err, "cannot write the container's record");
	c->identity = 1;
	err = launch_record_names(s, l, l->pid, reterr);
	return err ? err : launch_take_mounts(l, reterr);
}

static int launch_tag(struct supervisor *s, struct launch *l, struct warder_error *reterr)
{
	struct container_msg go = { .type = CONTAINER_MSG_GO };
	struct ctr *c = l->ctr;
	int err;

	if (s->loader) {
		err = loader_tag_task(s->loader, l->pidfd, c->cid, c->slot);
		if (err)
			return error_errno(reterr, err, "cannot tag the container's process");
	}
	if (l->filter >= 0 && s->override) {
		err = sup_notify_add(s, c, take_fd(&l->filter), reterr);
		if (err)
			return err;
		if (!l->enter)
			c->notify = 1;
	}
	if (!l->enter) {
		err = ctr_publish(s, c, WARDER_CTR_RUNNING);
		if (err)
			return error_errno(reterr, err, "cannot write the container's record");
		err = ctr_save(s, c, reterr);
		if (err)
			return err;
		if (s->loader && c->listener.fd >= 0) {
			err = loader_open_socket_to(s->loader, c->listener.fd, c->cid);
			if (err)
				return error_errno(reterr, err,
						   "cannot open container.sock to the container");
		}
	}
	err = container_msg_send(l->sock.fd, &go, -1);
	if (err)
		return error_set(reterr, err, "the container's first process died early");
	l->released = 1;
	return 0;
}

/* Both the builder has said who init is, and init that it waits. */
static int launch_advance(struct supervisor *s, struct launch *l, struct warder_error *reterr)
{
	struct container_msg join = { .type = CONTAINER_MSG_JOIN, .cid = l->ctr->cid };
	int err = 0;

	if (!l->ready || (l->pidfd < 0 && !l->adoption))
		return 0;
	if (l->ctr->state == CTR_DYING)
		return error_set(reterr, -ESRCH, "container %s has ended", l->ctr->name);
	if (l->adoption)
		return adopt_surveyed(s, l, reterr);
	if (!l->enter)
		err = launch_identify(s, l, reterr);
	if (err)
		return err;
	if (!l->ctr->has_rings)
		return launch_tag(s, l, reterr);
	join.rings = l->ctr->rings;
	err = container_msg_send(l->sock.fd, &join, -1);
	return err ? error_set(reterr, err, "the container's first process died early") : 0;
}

/* ------------------------------------------------------------------------ messages */

static int launch_add_mount(struct launch *l, const struct container_msg *m,
			    struct warder_error *reterr)
{
	void *grown;

	if (l->mounts >= CONTAINER_MOUNTS_MAX)
		return error_set(reterr, -E2BIG, "too many mount points");
	grown = reallocarray(l->mount, l->mounts + 1, sizeof(*l->mount));
	if (!grown)
		return error_set(reterr, -ENOMEM, "out of memory");
	l->mount = grown;
	l->mount[l->mounts].fd = m->value;
	l->mount[l->mounts].path = strdup(m->text);
	if (!l->mount[l->mounts].path)
		return error_set(reterr, -ENOMEM, "out of memory");
	l->mounts++;
	return 0;
}

static int launch_take_fd(struct supervisor *s, struct launch *l, int which, int fd)
{
	struct ctr *c = l->ctr;

	if (fd < 0)
		return -EBADMSG;
	if (which == CONTAINER_FD_PTY && l->pty < 0)
		l->pty = fd;
	else if (which == CONTAINER_FD_FILTER && l->filter < 0)
		l->filter = fd;
	else if (which == CONTAINER_FD_ROOT && !l->enter && c->root_fd < 0)
		c->root_fd = fd;
	else if (which == CONTAINER_FD_LISTEN && !l->enter && c->listener.fd < 0)
		ctr_listen(s, c, fd);
	else if (which == CONTAINER_FD_SELF && !l->enter && !c->has_self)
		ctr_attach_self(s, c, fd);
	else
		close(fd);
	return 0;
}

static void enter_exited(struct supervisor *s, struct source *src, uint32_t events)
{
	struct launch *l = source_owner(src, struct launch, child);
	struct conn *conn = conn_find(s, l->conn);
	struct json_object *o;
	int status = 125;

	(void)events;
	if (ctr_wait_status(src->fd, &status) == -EAGAIN)
		return;
	launch_free(s, l);
	if (!conn)
		return;
	o = json_object_new_object();
	control_put_int(o, "exited", status);
	conn_reply(s, conn, o, -1);
}

/* The socket closed at exec: it runs. */
static void launch_succeeded(struct supervisor *s, struct launch *l)
{
	struct conn *conn = conn_find(s, l->conn);
	struct ctr *c = l->ctr;
	int pty = take_fd(&l->pty);
	struct json_object *o = json_object_new_object();

	control_put_bool(o, "ok", 1);
	control_put_string(o, "name", c->name);
	control_put_u64(o, "cid", c->cid);
	control_put_int(o, "pid", l->pid);
	if (l->enter) {
		source_remove(s, &l->sock);
		source_add(s, &l->child, take_fd(&l->pidfd), EPOLLIN, enter_exited);
	} else {
		c->state = CTR_RUNNING;
		c->started = 1;
		sup_event_lifecycle(s, c, "started", 0);
		/* Who wanted to see its output gave up meanwhile. */
		if (!conn && !l->detach)
			cgroup_kill(c->cgroup_fd);
		if (conn && !l->detach) {
			conn->waits_cid = c->cid;
			conn->attached = 1;
		}
		ctr_watch_init(s, c, take_fd(&l->pidfd));
		launch_free(s, l);
	}
	if (conn)
		conn_reply(s, conn, o, pty);
	else
		json_object_put(o);
	if (pty >= 0)
		close(pty);
}

static void launch_message(struct supervisor *s, struct launch *l, const struct container_msg *m,
			   int fd)
{
	struct warder_error e = { "" };
	int err = 0;

	switch (m->type) {
	case CONTAINER_MSG_PID:
		if (l->pidfd >= 0 || fd < 0 || m->value <= 0) {
			err = error_set(&e, -EBADMSG, "the builder sent nonsense");
			break;
		}
		l->pid = m->value;
		l->pidfd = take_fd(&fd);
		err = launch_advance(s, l, &e);
		break;
	case CONTAINER_MSG_FD:
		err = launch_take_fd(s, l, m->value, take_fd(&fd));
		break;
	case CONTAINER_MSG_MOUNT:
		err = l->enter || l->ready ? -EBADMSG : launch_add_mount(l, m, &e);
		break;
	case CONTAINER_MSG_FILTERED:
		if (l->adoption)
			adopt_filtered(l->adoption, m);
		break;
	case CONTAINER_MSG_READY:
		if (l->ready) {
			err = -EBADMSG;
			break;
		}
		l->ready = 1;
		err = launch_advance(s, l, &e);
		break;
	case CONTAINER_MSG_JOINED:
		if (!l->ready || l->released || l->pidfd < 0)
			err = -EBADMSG;
		else if (m->value)
			err = error_errno(&e, m->value < 0 ? m->value : -EIO,
					  "the container could not join its keyring");
		else
			err = launch_tag(s, l, &e);
		break;
	case CONTAINER_MSG_FAIL:
		if (fd >= 0)
			close(fd);
		launch_fail(s, l, m->value > 0 && m->value < 256 ? m->value : 125, m->text);
		return;
	default:
		err = -EBADMSG;
	}
	if (fd >= 0)
		close(fd);
	if (err)
		launch_fail(s, l, 125, e.text[0] ? e.text : "the container's start went wrong");
}

static void launch_ready(struct supervisor *s, struct source *src, uint32_t events)
{
	struct launch *l = source_owner(src, struct launch, sock);
	struct container_msg m;
	int fd, err;

	(void)events;
	err = container_msg_recv(src->fd, &m, &fd, MSG_DONTWAIT);
	if (err == -EAGAIN)
		return;
	if (!err)
		launch_message(s, l, &m, fd);
	else if (l->released)
		launch_succeeded(s, l);
	else
		launch_fail(s, l, 125,
			    l->adoption ? "the helper that looks at what is adopted died" :
					  "the container's first process died before it was ready");
}

void start_tick(struct supervisor *s, uint64_t now)
{
	struct launch *next;

	for (struct launch *l = s->launches; l; l = next) {
		next = l->next;
		if (l->child.fd < 0 && now > l->deadline) {
			char text[128];

			snprintf(text, sizeof(text),
				 "the container was not ready within %d seconds (a file system "
				 "that does not answer?)",
				 SUPERVISOR_START_SECONDS);
			launch_fail(s, l, 125, text);
			return; /* the list may have changed */
		}
	}
}

void start_end_entered(struct supervisor *s, struct ctr *c)
{
	struct launch *next;

	for (struct launch *l = s->launches; l; l = next) {
		next = l->next;
		if (l->ctr != c || !l->enter)
			continue;
		/* Its process died with the pid namespace, or runs on as what was adopted does. */
		if (l->child.fd >= 0 && c->foreign)
			l->ctr = NULL;
		else if (l->child.fd >= 0)
			enter_exited(s, &l->child, 0);
		else
			launch_fail(s, l, 125, "the container has ended");
		next = s->launches;
	}
}

void start_cancel_all(struct supervisor *s)
{
	while (s->launches) {
		struct launch *l = s->launches;

		if (l->released) {
			launch_free(s, l);
			continue;
		}
		launch_fail(s, l, 125, "the supervisor is leaving");
	}
}
