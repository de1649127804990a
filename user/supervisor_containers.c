// SPDX-License-Identifier: LGPL-2.1-or-later
/* The table of containers: slots, exit and clean-up, adoption after a restart, and what the
 * override threads may see of it. */
#include <errno.h>
#include <fcntl.h>
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
#include "warder_decide.h"

#ifndef __WNOTHREAD
#define __WNOTHREAD 0x20000000
#endif

struct ctr *ctr_find_name(struct supervisor *s, const char *name)
{
	struct ctr *c = s->ctrs;

	while (c && strcmp(c->name, name))
		c = c->next;
	return c;
}

struct ctr *ctr_find_cid(struct supervisor *s, uint64_t cid)
{
	struct ctr *c = s->ctrs;

	while (c && c->cid != cid)
		c = c->next;
	return c;
}

static struct ctr *ctr_alloc(void)
{
	struct ctr *c = calloc(1, sizeof(*c));

	if (c) {
		c->init.fd = c->listener.fd = c->remake.fd = -1;
		c->cgroup_fd = c->root_fd = c->userns_fd = -1;
		c->created = time(NULL);
	}
	return c;
}

static void ctr_link(struct supervisor *s, struct ctr *c)
{
	pthread_mutex_lock(&s->lock);
	c->next = s->ctrs;
	s->ctrs = c;
	pthread_mutex_unlock(&s->lock);
}

static int ctr_free_slot(struct supervisor *s)
{
	uint8_t used[WARDER_CONTAINERS_MAX] = { 0 };

	for (struct ctr *c = s->ctrs; c; c = c->next)
		used[c->slot] = 1;
	for (int i = 0; i < WARDER_CONTAINERS_MAX; i++) {
		if (!used[i])
			return i;
	}
	return -ENOSPC;
}

struct ctr *ctr_new(struct supervisor *s, const char *name, struct warder_error *reterr)
{
	struct ctr *c;
	int slot, err;

	if (name && ctr_find_name(s, name)) {
		error_set(reterr, -EEXIST,
			  "the name \"%s\" is in use: choose another, or end that container with "
			  "`warder kill --all %s`",
			  name, name);
		return NULL;
	}
	slot = ctr_free_slot(s);
	if (slot < 0) {
		error_set(reterr, -ENOSPC, "%d containers are running, and there is no room for more",
			  WARDER_CONTAINERS_MAX);
		return NULL;
	}
	c = ctr_alloc();
	if (!c) {
		error_set(reterr, -ENOMEM, "out of memory");
		return NULL;
	}
	c->slot = (uint32_t)slot;
	if (s->loader) {
		__u64 cid = 0;

		err = loader_next_cid(s->loader, &cid);
		if (err) {
			error_errno(reterr, err, "cannot take a container id");
			free(c);
			return NULL;
		}
		c->cid = cid;
	} else {
		c->cid = ++s->next_cid;
	}
	if (name)
		snprintf(c->name, sizeof(c->name), "%s", name);
	else
		snprintf(c->name, sizeof(c->name), "c%llu", (unsigned long long)c->cid);
	if (!name && ctr_find_name(s, c->name)) {
		error_set(reterr, -EEXIST, "the name \"%s\" is in use: give one with --name",
			  c->name);
		free(c);
		return NULL;
	}
	ctr_link(s, c);
	return c;
}

/* --------------------------------------------------------------------------- kernel */

int ctr_publish(struct supervisor *s, struct ctr *c, enum warder_ctr_state state)
{
	const struct warder_image *img = sup_ctr_image(s, c);
	struct warder_ctr k = {
		.cid = c->cid,
		.state = state,
		.policy = c->policy,
		.init_tgid = (uint32_t)c->pid,
		.userns = c->userns,
		.mntns = c->mntns,
		.pidns = c->pidns,
		.session_ring = c->rings.session,
		.container_ring = c->rings.container,
		.userns_owned = c->userns_fd >= 0,
		.foreign = c->foreign,
		.keys_max = img ? img->h.keys_max : 0,
		.keys_bytes = img ? img->h.keys_bytes : 0,
		.keys_pending = img ? img->h.keys_pending : 0,
		.keys_join = img ? warder_join_of(img) : WARDER_JOIN_LAZY,
	};

	snprintf(k.name, sizeof(k.name), "%s", c->name);
	return s->loader ? loader_set_container(s->loader, c->slot, &k) : 0;
}

int ctr_save(struct supervisor *s, struct ctr *c, struct warder_error *reterr)
{
	cleanup_json struct json_object *o = json_object_new_object();
	struct json_object *mounts = json_object_new_array();

	control_put_u64(o, "cid", c->cid);
	control_put_int(o, "slot", c->slot);
	control_put_string(o, "name", c->name);
	control_put_int(o, "pid", c->pid);
	control_put_u64(o, "uid_base", c->uid_base);
	control_put_int(o, "created", c->created);
	control_put_string(o, "policy", sup_policy_name(s, c->policy));
	control_put_string(o, "digest", s->policy[c->policy].image->digest);
	control_put_string(o, "policy_by", sup_policy_by_name(c->policy_by));
	if (c->has_rings) {
		control_put_int(o, "session_ring", c->rings.session);
		control_put_int(o, "container_ring", c->rings.container);
	}
	control_put_bool(o, "foreign", c->foreign);
	control_put_bool(o, "notify", c->notify != 0);
	control_put_int(o, "filter", c->filter);
	if (c->before)
		json_object_object_add(o, "before", json_object_get(c->before));
	for (size_t i = 0; i < c->mount_count; i++)
		json_object_array_add(mounts, json_object_new_string(c->mounts[i]));
	json_object_object_add(o, "mounts", mounts);
	if (c->spec)
		json_object_object_add(o, "spec", container_spec_to_json(c->spec));
	return state_save_container(s->state_dir, c->cid, o, reterr);
}

/* --------------------------------------------------------------------------- exit */

/* -EAGAIN: it runs still. -ECHILD: not our child. */
int ctr_wait_status(int pidfd, int *ret_status)
{
	siginfo_t si = { .si_pid = 0 };

	/* __WNOTHREAD: the override thread's tracees report to it alone. */
	if (waitid(P_PIDFD, (id_t)pidfd, &si, WEXITED | WNOHANG | __WNOTHREAD))
		return -errno;
	if (!si.si_pid)
		return -EAGAIN;
	*ret_status = si.si_code == CLD_EXITED ? si.si_status : 128 + si.si_status;
	return 0;
}

/* Of somebody else's child, or of one that was reaped already: BPF has recorded it. Else 137. */
void ctr_exit_status(struct supervisor *s, const struct ctr *c, int *ret_status)
{
	struct warder_stats st;

	*ret_status = 137;
	if (s->loader && !loader_get_stats(s->loader, c->slot, &st) && st.exited)
		*ret_status = WIFEXITED(st.exit_code) ? (int)WEXITSTATUS(st.exit_code) :
							128 + (int)WTERMSIG(st.exit_code);
}

static void ctr_init_exited(struct supervisor *s, struct source *src, uint32_t events)
{
	struct ctr *c = source_owner(src, struct ctr, init);
	int status = 137, err;

	(void)events;
	err = ctr_wait_status(src->fd, &status);
	if (err == -EAGAIN)
		return;
	if (err)
		ctr_exit_status(s, c, &status);
	epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, src->fd, NULL);
	if (c->foreign && c->state == CTR_RUNNING)
		adopt_init_exited(s, c, status);
	else
		ctr_end(s, c, status);
}

void ctr_watch_init(struct supervisor *s, struct ctr *c, int pidfd)
{
	if (source_add(s, &c->init, pidfd, EPOLLIN, ctr_init_exited)) {
		log_error("cannot watch container %s", c->name);
		close(pidfd);
	}
}

static void ctr_free(struct ctr *c)
{
	if (c->root_fd >= 0)
		close(c->root_fd);
	if (c->userns_fd >= 0)
		close(c->userns_fd);
	if (c->cgroup_fd >= 0)
		close(c->cgroup_fd);
	for (size_t i = 0; i < c->mount_count; i++)
		free(c->mounts[i]);
	free(c->mounts);
	container_spec_free(c->spec);
	json_object_put(c->before);
	free(c);
}

static void ctr_remember_exit(struct supervisor *s, struct ctr *c)
{
	struct state_exited *e;

	if (s->exited_count == STATE_EXITED_MAX) {
		memmove(s->exited, s->exited + 1, sizeof(s->exited) - sizeof(s->exited[0]));
		s->exited_count--;
	}
	e = &s->exited[s->exited_count++];
	e->cid = c->cid;
	e->status = c->status;
	snprintf(e->name, sizeof(e->name), "%s", c->name);
	state_save_exited(s->state_dir, s->exited, s->exited_count);
}

/* Nothing of it runs any more: forget it, then tell those who wait. */
static void ctr_finish(struct supervisor *s, struct ctr *c)
{
	static const struct warder_ctr none;
	struct ctr **p = &s->ctrs;
	struct conn *conn;
	int borrowed;

	sup_event_gaps(s, c);
	ctr_socket_cancel(s, c);
	source_remove(s, &c->init);
	conn_listener_remove(s, c);
	conn_close_container(s, c->cid);
	sup_queue_container_gone(s, c->cid);
	if (c->has_rings && s->keyring)
		keyring_destroy(s->keyring, c->cid, &c->rings);
	if (c->identity && s->loader) {
		loader_forget_mounts(s->loader, c->slot);
		loader_forget_learned(s->loader, c->slot);
		loader_set_container(s->loader, c->slot, &none);
	}
	if (c->policy_held)
		sup_policy_release(s, c->policy);
	state_remove_container(s->state_dir, c->cid);
	if (c->released) {
		sup_event_lifecycle(s, c, "released", 0);
		conn_released(s, c->cid, "the container was released: its processes run on");
	} else if (c->started) {
		sup_event_lifecycle(s, c, "exited", c->status);
		ctr_remember_exit(s, c);
	}
	conn_exited(s, c->cid, c->status);
	conn = c->release_conn ? conn_find(s, c->release_conn) : NULL;
	if (conn)
		conn_reply_ok(s, conn);
	conn = c->fail_conn ? conn_find(s, c->fail_conn) : NULL;
	if (conn)
		conn_reply_error(s, conn, c->fail_code, c->fail_text);
	pthread_mutex_lock(&s->lock);
	while (*p && *p != c)
		p = &(*p)->next;
	if (*p)
		*p = c->next;
	adopt_hold(s);
	borrowed = c->borrowed != 0;
	if (borrowed) {
		c->next = s->borrowed;
		s->borrowed = c;
	}
	pthread_mutex_unlock(&s->lock);
	sup_shared_collect(s);
	if (!borrowed)
		ctr_free(c); /* else by the last release */
}

/* 1: its last task is gone and its cgroup removed. */
static int ctr_try_remove(struct supervisor *s, struct ctr *c)
{
	struct warder_stats st;
	char id[32];

	if (c->foreign)
		return adopt_let_go(s, c, clock_now_ms());
	snprintf(id, sizeof(id), "%llu", (unsigned long long)c->cid);
	if (c->init.fd >= 0) {
		int status;

		/* A start that failed: reap what would be a zombie. */
		ctr_wait_status(c->init.fd, &status);
	}
	if (c->cgroup_fd >= 0 && cgroup_remove(id)) {
		cgroup_kill(c->cgroup_fd);
		return 0;
	}
	/* Tasks moved to another cgroup by the host would be left: their slot is not free. */
	if (c->identity && s->loader && !loader_get_stats(s->loader, c->slot, &st) &&
	    (int64_t)st.tasks > 0 &&
	    clock_now_ms() < c->dying_since + SUPERVISOR_REMOVE_SECONDS * 1000ull)
		return 0;
	return 1;
}

void ctr_end(struct supervisor *s, struct ctr *c, int status)
{
	if (c->state == CTR_DYING)
		return;
	pthread_mutex_lock(&s->lock);
	c->state = CTR_DYING;
	pthread_mutex_unlock(&s->lock);
	c->status = status;
	c->dying_since = clock_now_ms();
	/* Before the kill, which cannot end those who wait for an answer. */
	sup_upcall_cancel(s, c->cid);
	if (c->identity)
		ctr_publish(s, c, c->foreign ? WARDER_CTR_RELEASED : WARDER_CTR_DEAD);
	if (c->cgroup_fd >= 0)
		cgroup_kill(c->cgroup_fd);
	start_end_entered(s, c);
	if (ctr_try_remove(s, c))
		ctr_finish(s, c);
}

static int ctr_is_known(uint64_t cid, void *arg)
{
	return ctr_find_cid(arg, cid) != NULL;
}

void ctr_tick(struct supervisor *s, uint64_t now)
{
	struct ctr *next;

	if (s->stray_cgroups)
		s->stray_cgroups = cgroup_sweep(ctr_is_known, s);

	for (struct ctr *c = s->ctrs; c; c = next) {
		next = c->next;
		ctr_socket_tick(s, c, now);
		if (c->foreign && c->state == CTR_RUNNING)
			adopt_tick(s, c, now);
		if (c->state != CTR_DYING)
			continue;
		if (ctr_try_remove(s, c)) {
			ctr_finish(s, c);
		} else if (now > c->dying_since + SUPERVISOR_REMOVE_SECONDS * 1000ull) {
			log_warning("container %s: a process does not end (stuck in the kernel?)",
				    c->name);
			c->dying_since = now;
		}
	}
}

/* ---------------------------------------------------------------------------- rings */

/* C may be missing in S: a container can empty its own session keyring. */
void ctr_rings_mend(struct supervisor *s, struct ctr *c)
{
	struct warder_error e = { "" };

	if (!s->keyring || !c->has_rings || c->state == CTR_DYING)
		return;
	c->clears_seen = keyring_clears(s->keyring, c->slot);
	if (!keyring_relink(s->keyring, &c->rings, &e)) {
		c->rings_broken = 0;
		return;
	}
	/* Said once: the container could make us say it for ever. */
	if (!c->rings_broken)
		log_warning("container %s: %s", c->name, e.text);
	c->rings_broken = 1;
}

/* For what no record told of, and what could not be mended: it filled S up, perhaps. */
void ctr_rings_look(struct supervisor *s, struct ctr *c)
{
	if (s->keyring && c->has_rings &&
	    (c->rings_broken || keyring_clears(s->keyring, c->slot) != c->clears_seen))
		ctr_rings_mend(s, c);
}

/* ------------------------------------------------------------------------- adoption */

static void ctr_adopt_state(struct supervisor *s, struct ctr *c)
{
	cleanup_json struct json_object *o = NULL;
	struct json_object *spec = NULL;
	struct warder_error e = { "" };
	const char *digest = NULL, *by = NULL;
	uint64_t base = 0, filter = 0;
	int notify = 0;
	char **mounts = NULL;

	if (state_load_container(s->state_dir, c->cid, &o, &e)) {
		log_warning("container %s is adopted without its state: %s", c->name, e.text);
		return;
	}
	control_get_string(o, "digest", &digest, NULL);
	control_get_string(o, "policy_by", &by, NULL);
	c->policy_by = sup_policy_by_from_name(by);
	control_get_u64(o, "uid_base", UINT32_MAX, &base, NULL);
	control_get_i64(o, "created", 0, INT64_MAX, &c->created, NULL);
	control_get_strv(o, "mounts", CONTAINER_MOUNTS_MAX, &mounts, NULL);
	c->uid_base = (uint32_t)base;
	/* Its filter's listener has ended with the supervisor that held it. */
	control_get_bool(o, "notify", &notify, NULL);
	c->notify = notify ? -1 : 0;
	c->filter = OVERRIDE_FILTER_MOUNT;
	if (control_get_u64(o, "filter", UINT32_MAX, &filter, NULL) == 1)
		c->filter = (int)filter;
	if (json_object_object_get_ex(o, "before", &c->before))
		json_object_get(c->before);
	c->mounts = mounts;
	while (mounts && mounts[c->mount_count])
		c->mount_count++;
	if (json_object_object_get_ex(o, "spec", &spec) &&
	    container_spec_from_json(spec, &c->spec, &e))
		log_warning("container %s: its saved specification is damaged: %s", c->name, e.text);
	if (digest && c->policy_held && strcmp(digest, s->policy[c->policy].image->digest)) {
		snprintf(c->digest_found, sizeof(c->digest_found), "%s", digest);
		log_error("container %s: the kernel enforces policy digest %.12s, but %.12s was "
			  "loaded for it: load its policy again",
			  c->name, s->policy[c->policy].image->digest, digest);
	}
}

/* Its init, if the record's pid still is a task of this container. */
static int ctr_adopt_init(struct supervisor *s, const struct warder_ctr *k)
{
	cleanup_close int pidfd = (int)syscall(SYS_pidfd_open, (pid_t)k->init_tgid, 0);
	struct warder_task task;

	if (pidfd < 0 || loader_get_task(s->loader, pidfd, &task) || task.cid != k->cid)
		return -ESRCH;
	return take_fd(&pidfd);
}

static void ctr_adopt(struct supervisor *s, uint32_t slot, const struct warder_ctr *k)
{
	struct ctr *c = ctr_alloc();
	char id[32], path[64];
	int pidfd;

	if (!c) {
		log_error("out of memory: container %.64s is not adopted", k->name);
		return;
	}
	snprintf(id, sizeof(id), "%llu", (unsigned long long)k->cid);
	c->cid = k->cid;
	c->slot = slot;
	c->adopted = c->identity = 1;
	c->foreign = k->foreign != 0;
	c->killing = c->foreign && k->state == WARDER_CTR_DEAD;
	c->state = CTR_RUNNING;
	c->pid = (pid_t)k->init_tgid;
	c->userns = k->userns;
	c->mntns = k->mntns;
	c->pidns = k->pidns;
	c->rings.session = k->session_ring;
	c->rings.container = k->container_ring;
	c->has_rings = k->session_ring != 0;
	snprintf(c->name, sizeof(c->name), "%.63s", k->name);
	c->cgroup_fd = cgroup_open(id);
	c->policy = k->policy;
	if (k->policy < WARDER_POLICIES_MAX && s->policy[k->policy].image) {
		sup_policy_hold_again(s, k->policy);
		c->policy_held = 1;
	} else {
		log_error("container %s: the kernel holds no policy for it: everything it asks is "
			  "refused",
			  c->name);
	}
	ctr_adopt_state(s, c);
	ctr_link(s, c);
	pidfd = ctr_adopt_init(s, k);
	if (c->foreign && pidfd < 0 &&
	    (k->state == WARDER_CTR_RUNNING || k->state == WARDER_CTR_DEAD)) {
		/* Others of it may run on; if none does, it ends at the next look. */
		c->started = c->init_gone = 1;
		ctr_exit_status(s, c, &c->status);
		return;
	}
	if (pidfd < 0 || k->state == WARDER_CTR_STARTING || k->state == WARDER_CTR_RELEASED) {
		/* Ended, or never released, while no supervisor ran. */
		int status;

		ctr_exit_status(s, c, &status);
		c->started = k->state != WARDER_CTR_STARTING;
		if (pidfd >= 0)
			close(pidfd);
		ctr_end(s, c, status);
		return;
	}
	c->started = 1;
	snprintf(path, sizeof(path), "/proc/%u/root", k->init_tgid);
	c->root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (k->userns_owned) {
		snprintf(path, sizeof(path), "/proc/%u/ns/user", k->init_tgid);
		c->userns_fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	ctr_watch_init(s, c, pidfd);
	if (!c->foreign)
		ctr_socket_remake(s, c);
	ctr_rings_mend(s, c);
	ctr_adopt_signers(s, c);
	ctr_follow_shared(s, c);
	sup_event_lifecycle(s, c, "adopted", 0);
}

void ctr_adopt_all(struct supervisor *s)
{
	s->exited_count = state_load_exited(s->state_dir, s->exited);
	if (s->loader)
		loader_adopt_reset(s->loader);
	for (uint32_t slot = 0; s->loader && slot < WARDER_CONTAINERS_MAX; slot++) {
		struct warder_ctr k;

		if (!loader_get_container(s->loader, slot, &k) && k.cid)
			ctr_adopt(s, slot, &k);
	}
	sup_shared_collect(s);
	adopt_hold(s);
	state_prune(s->state_dir, ctr_is_known, s);
	if (s->loader)
		s->stray_cgroups = cgroup_sweep(ctr_is_known, s);
}

/* Leaving while containers run: they are kept, only our descriptors go. */
void ctr_free_all(struct supervisor *s)
{
	while (s->ctrs) {
		struct ctr *c = s->ctrs;

		s->ctrs = c->next;
		ctr_socket_cancel(s, c);
		source_remove(s, &c->init);
		conn_listener_remove(s, c);
		ctr_free(c);
	}
}

/* ------------------------------------------------------------------- for overrides */

int ctr_override_acquire(void *arg, __u64 cid, __u32 slot, struct override_target *ret)
{
	struct supervisor *s = arg;
	struct ctr *c;
	int err = -ENOENT;

	pthread_mutex_lock(&s->lock);
	for (c = s->ctrs; c; c = c->next) {
		if (c->cid == cid && c->slot == slot)
			break;
	}
	if (c && c->state != CTR_DYING && c->policy_held && s->policy[c->policy].image) {
		struct sup_image *image = s->policy[c->policy].image;

		c->borrowed++;
		image->refs++;
		*ret = (struct override_target){ .cid = cid,
						 .slot = slot,
						 .image = &image->img,
						 .userns_fd = c->userns_fd,
						 .root_fd = c->root_fd };
		memcpy(ret->name, c->name, sizeof(ret->name));
		err = 0;
	}
	pthread_mutex_unlock(&s->lock);
	return err;
}

void ctr_override_release(void *arg, struct override_target *target)
{
	struct supervisor *s = arg;
	struct sup_image *image = source_owner(target->image, struct sup_image, img);
	struct ctr *c, **p, *gone = NULL;

	pthread_mutex_lock(&s->lock);
	for (c = s->ctrs; c && c->cid != target->cid;)
		c = c->next;
	if (c) {
		c->borrowed--;
	} else {
		/* It ended meanwhile: its descriptors were kept for us. */
		for (p = &s->borrowed; *p && (*p)->cid != target->cid;)
			p = &(*p)->next;
		if (*p && !--(*p)->borrowed) {
			gone = *p;
			*p = gone->next;
		}
	}
	pthread_mutex_unlock(&s->lock);
	if (gone)
		ctr_free(gone);
	sup_image_unref(s, image);
}
