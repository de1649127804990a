// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Containers that others have started: adoption, release, and what is different while they run.
 *
 * First a look, so that most refusals come before anything was done; then a builder tells what the
 * tree sees; then, in one go, names are recorded and tags written. What fails is undone: every tag
 * is taken away again before the refusal is told.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "adopt.h"
#include "cgroup.h"
#include "cleanup.h"
#include "supervisor_adopt.h"

#define ADOPT_PASSES_MAX 16
#define ADOPT_QUIET_MS 1000 /* no tag was found for so long: a fork takes less */
#define ADOPT_PASS_MS 100   /* between passes that take tags away, or kill */
#define ADOPT_LOOK_MS 500   /* between looks whether something runs still */
#define ADOPT_LOOK_GONE_MS 5000
/* For what is looked at before there is a container. */
#define ADOPT_NO_CID (~0ull)

void adoption_free(struct adoption *a)
{
	if (a)
		control_strv_free(a->annotations);
	free(a);
}

static void adoption_free_p(struct adoption **a)
{
	adoption_free(*a);
}

void adopt_filtered(struct adoption *a, const struct container_msg *m)
{
	a->filters = m->value ? (m->value < 0 ? m->value : -EIO) : 1;
	snprintf(a->refused, sizeof(a->refused), "%s", m->text);
}

/* --------------------------------------------------------------------- members */

int members_add(const struct warder_member *m, void *arg)
{
	struct members *list = arg;

	if (list->count == MEMBERS_MAX)
		return -E2BIG;
	if (list->count == list->room) {
		size_t room = list->room ? 2 * list->room : 256;
		void *grown = reallocarray(list->m, room, sizeof(*list->m));

		if (!grown)
			return -ENOMEM;
		list->m = grown;
		list->room = room;
	}
	list->m[list->count++] = *m;
	return 0;
}

void members_done(struct members *list)
{
	free(list->m);
	list->m = NULL;
	list->count = list->room = 0;
}

int members_list(struct supervisor *s, uint64_t cid, struct members *ret)
{
	const struct warder_adopt what = { .cid = cid };
	__u64 found, failed;

	return loader_adopt_once(s->loader, &what, WARDER_ADOPT_LIST, members_add, ret, &found,
				 &failed);
}

/* Is there one that must not be adopted? The sentence for the first, by what says most. */
static int members_judge(struct supervisor *s, const struct members *list, const char *what,
			 struct warder_error *e)
{
	static const struct {
		__u32 flag; /* 0: it has a tag */
		const char *text;
	} reasons[] = {
		{ WARDER_MEMBER_INIT, "is the first one of the host" },
		{ WARDER_MEMBER_CALLER, "is the one that asks for it: ask from outside" },
		{ 0, "is in container" },
		{ WARDER_MEMBER_WARDER, "is warder's own" },
		{ WARDER_MEMBER_KERNEL, "is a thread of the kernel" },
	};

	for (size_t k = 0; k < ARRAY_SIZE(reasons); k++) {
		for (size_t i = 0; i < list->count; i++) {
			const struct warder_member *m = &list->m[i];
			const struct ctr *other;

			if (reasons[k].flag ? !(m->flags & reasons[k].flag) : !m->cid)
				continue;
			other = ctr_find_cid(s, m->cid);
			return error_set(e, -EPERM, "%s cannot be adopted: process %u %s%s%s", what,
					 m->tgid, reasons[k].text, reasons[k].flag ? "" : " ",
					 reasons[k].flag ? ""
					 : other	 ? other->name
							 : "?");
		}
	}
	return 0;
}

/* The first process: one that is process 1 of its pid namespace, else the oldest. */
static const struct warder_member *members_first(const struct members *list)
{
	const struct warder_member *first = NULL;

	for (size_t i = 0; i < list->count; i++) {
		const struct warder_member *m = &list->m[i];

		if (m->tid != m->tgid)
			continue;
		if (!first || (m->nr == 1) > (first->nr == 1) ||
		    ((m->nr == 1) == (first->nr == 1) && m->start < first->start))
			first = m;
	}
	return first;
}

/* ----------------------------------------------------------------------- request */

static int request_pid(pid_t pid, struct adoption *a, struct warder_error *e)
{
	struct adopt_status st, own;

	snprintf(a->text, sizeof(a->text), "the tree of process %d", pid);
	if (pid == 1)
		return error_set(e, -EPERM, "process 1 of the host cannot be adopted");
	if (pid == getpid())
		return error_set(e, -EPERM,
				 "process %d is warder's supervisor: it cannot be adopted", pid);
	if (adopt_status_read(pid, &st))
		return error_set(e, -ESRCH, "there is no process %d", pid);
	if (st.tgid != pid)
		return error_set(e, -EINVAL, "%d is a thread of process %d: give that number", pid,
				 st.tgid);
	if (adopt_status_read(getpid(), &own))
		return error_set(e, -EIO, "/proc cannot be read");
	a->what.root = (__u32)pid;
	/* Its orphans stay in there, and so does who is sent in. */
	if (st.nr == 1 && st.levels > own.levels)
		a->what.pidns = adopt_namespace(pid, "pid");
	return 0;
}

static int request_cgroup(int fd, struct adoption *a, struct warder_error *e)
{
	char link[64], path[PATH_MAX];
	struct statfs fs;
	struct stat st, root;
	const char *mount;
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	snprintf(a->text, sizeof(a->text), "cgroup %s", path);
	/* On 64-bit machines a cgroup's id is its inode number. */
	if (fstatfs(fd, &fs) || fs.f_type != CGROUP2_SUPER_MAGIC || fstat(fd, &st) ||
	    !S_ISDIR(st.st_mode))
		return error_set(e, -EINVAL, "%s is no folder of a cgroup2 file system", path);
	if (cgroup_root(&mount, e) || stat(mount, &root))
		return error_set(e, -ENOENT, "the root of the cgroups cannot be looked at");
	if (root.st_ino == st.st_ino)
		return error_set(e, -EPERM,
				 "the root of the cgroups is the host itself: it cannot be "
				 "adopted");
	a->what.cgroup = st.st_ino;
	return 0;
}

/* What would be adopted, as it is now. */
static int adoption_look(struct supervisor *s, struct adoption *a, struct members *list,
			 struct warder_error *e)
{
	__u64 found, failed;
	int err;

	a->what.cid = ADOPT_NO_CID;
	err = loader_adopt_once(s->loader, &a->what, WARDER_ADOPT_LOOK, members_add, list, &found,
				&failed);
	if (err == -E2BIG)
		return error_set(e, err,
				 "%s has more than %d tasks, and no more are adopted at once",
				 a->text, MEMBERS_MAX);
	if (err)
		return error_errno(e, err, "cannot look for the tasks of %s", a->text);
	if (!list->count)
		return error_set(e, -ESRCH, "%s has no process", a->text);
	return members_judge(s, list, a->text, e);
}

/* Everything but tags: what is known of its first process. */
static int adopt_identify(struct supervisor *s, struct ctr *c, const struct warder_member *first,
			  int *ret_filtered, struct warder_error *e)
{
	cleanup_json struct json_object *spec = NULL;
	struct adopt_status st;
	char path[64];
	int err;

	c->pid = (pid_t)first->tgid;
	c->init.fd = (int)syscall(SYS_pidfd_open, c->pid, 0);
	if (c->init.fd < 0 || adopt_status_read(c->pid, &st))
		return error_set(e, -ESRCH, "process %d has ended", c->pid);
	c->userns = adopt_namespace(c->pid, "user");
	c->mntns = adopt_namespace(c->pid, "mnt");
	c->pidns = adopt_namespace(c->pid, "pid");
	if (!c->userns || !c->mntns || !c->pidns)
		return error_set(e, -ESRCH, "process %d has ended", c->pid);
	if (c->userns != adopt_namespace(getpid(), "user")) {
		snprintf(path, sizeof(path), "/proc/%d/ns/user", c->pid);
		c->userns_fd = open(path, O_RDONLY | O_CLOEXEC);
		if (c->userns_fd < 0)
			return error_errno(e, -errno,
					   "cannot open the user namespace of process %d", c->pid);
	}
	*ret_filtered = st.seccomp == 2;
	spec = adopt_spec(c->pid, &st);
	err = container_spec_from_json(spec, &c->spec, e);
	if (!err && syscall(SYS_pidfd_send_signal, c->init.fd, 0, NULL, 0))
		err = error_set(e, -ESRCH, "process %d has ended", c->pid);
	if (!err && s->keyring) {
		err = keyring_create(s->keyring, c->cid, &c->rings, e);
		c->has_rings = !err;
	}
	if (!err)
		err = ctr_set_signers(s, c, sup_policy_image(s, c->policy), e);
	return err ? err : ctr_set_shared(s, c, sup_policy_image(s, c->policy), e);
}

static int adopt_start(struct supervisor *s, struct conn *conn, const char *name,
		       struct sup_policy_ref *policy, size_t count, int unasked,
		       struct adoption *a, struct warder_error *e)
{
	cleanup(members_done) struct members list = { .m = NULL };
	const struct warder_member *first;
	int filtered = 0, err;
	struct ctr *c = NULL;

	err = adoption_look(s, a, &list, e);
	first = members_first(&list);
	if (!err && !first)
		err = error_set(e, -ESRCH, "%s has no process", a->text);
	if (!err && a->what.root) {
		for (size_t i = 0; i < list.count && first->tid != a->what.root; i++)
			first = &list.m[i];
		a->what.start = first->start;
		if (first->tid != a->what.root)
			err = error_set(e, -ESRCH, "process %u has ended", a->what.root);
	}
	if (!err) {
		c = ctr_new(s, name, e);
		err = c ? 0 : -EBUSY;
	}
	if (err) {
		sup_policy_refs_free(s, policy, count);
		adoption_free(a);
		return err;
	}
	c->foreign = 1;
	a->what.cid = c->cid;
	a->what.slot = c->slot;
	err = sup_policy_choose(s, c, a->annotations, unasked, policy, count, e);
	if (!err)
		err = adopt_identify(s, c, first, &filtered, e);
	if (!err)
		c->spec->annotations = take_ptr(a->annotations);
	if (err)
		adoption_free(a);
	else
		/* Who overrides nothing need not know, and it costs the process a stop. */
		err = start_survey(s, conn, c, a,
				   filtered && sup_policy_image(s, c->policy)->h.override_ops, e);
	if (err)
		ctr_end(s, c, 125);
	return err;
}

void handle_adopt(struct supervisor *s, struct conn *c, struct json_object *o,
		  struct control_fds *fds)
{
	struct sup_policy_ref policy[WARDER_LAYERS_MAX] = { { NULL, NULL } };
	struct adoption *a = calloc(1, sizeof(*a));
	struct warder_error e = { "" };
	const char *name = NULL;
	size_t count = 0;
	int image = 0, cgroup = 0, unasked = 0, err = 0;
	int64_t pid = 0;
	pid_t caller;
	uid_t uid;

	if (!a)
		err = error_set(&e, -ENOMEM, "out of memory");
	else if (!s->loader)
		err = error_set(&e, -EOPNOTSUPP, "nothing can be adopted without the kernel");
	else if (control_get_string(o, "name", &name, &e) != 1 ||
		 control_get_i64(o, "pid", 1, INT32_MAX, &pid, &e) < 0 ||
		 control_get_bool(o, "cgroup", &cgroup, &e) < 0 ||
		 control_get_bool(o, "unasked", &unasked, &e) < 0 ||
		 control_get_strv(o, "annotations", POLICY_ANNOTATIONS_MAX, &a->annotations, &e) < 0 ||
		 annotations_check((const char *const *)a->annotations, &e) ||
		 request_policies(o, fds, policy, &count, &image, &e) ||
		 control_peer(c->src.fd, &uid, &caller))
		err = -EINVAL;
	else if (!cgroup == !pid || fds->count != (size_t)(image + cgroup))
		err = error_set(&e, -EINVAL, "the request must have a process or a cgroup");
	else if (container_check_name(name, &e))
		err = -EINVAL;
	if (!err) {
		a->what.caller = (__u32)caller;
		err = cgroup ? request_cgroup(fds->fd[image], a, &e)
			     : request_pid((pid_t)pid, a, &e);
	}
	if (!err)
		err = adopt_start(s, c, name, policy, count, unasked, take_ptr(a), &e);
	else
		sup_policy_refs_free(s, policy, WARDER_LAYERS_MAX);
	adoption_free(a);
	if (err)
		reply_error(s, c, &e);
}

/* -------------------------------------------------------------------------- tags */

/* A whole pass that finds nothing new ends it: bpf/adopt.bpf.h says why. */
static int adopt_tag(struct supervisor *s, struct adoption *a, struct warder_error *e)
{
	for (int i = 0; i < ADOPT_PASSES_MAX; i++) {
		cleanup(members_done) struct members odd = { .m = NULL };
		__u64 found = 0, failed = 0;
		int err;

		/* The first one only looks: what is odd is seen before anything is tagged. */
		err = loader_adopt_pass(s->loader, i ? WARDER_ADOPT_TAG : WARDER_ADOPT_LOOK,
					members_add, &odd, &found, &failed);
		if (!err)
			err = members_judge(s, &odd, a->text, e);
		else
			error_errno(e, err, "cannot tag the tasks of %s", a->text);
		if (err)
			return err;
		if (i > 1 && !found && !failed)
			return 0;
	}
	return error_set(e, -EAGAIN, "the tasks of %s could not be found in %d passes: try again",
			 a->text, ADOPT_PASSES_MAX);
}

static int adopt_all(struct supervisor *s, struct launch *l, struct warder_error *e)
{
	struct warder_error second = { "" };
	struct warder_task tag;
	int err, ended;

	err = loader_adopt_begin(s->loader, &l->adoption->what, e);
	if (err)
		return err;
	err = adopt_tag(s, l->adoption, e);
	ended = loader_adopt_end(s->loader, &second);
	supervisor_trim_later(s);
	if (!err && ended)
		err = error_set(e, ended, "%s", second.text);
	if (!err && loader_get_task(s->loader, l->ctr->init.fd, &tag))
		err = error_set(e, -ESRCH, "process %d has ended meanwhile", l->ctr->pid);
	return err;
}

int adopt_surveyed(struct supervisor *s, struct launch *l, struct warder_error *reterr)
{
	cleanup(adoption_free_p) struct adoption *a = NULL;
	struct conn *conn = conn_find(s, l->conn);
	struct ctr *c = l->ctr;
	struct json_object *r;
	int err;

	err = loader_reset_stats(s->loader, c->slot);
	if (!err)
		err = ctr_publish(s, c, WARDER_CTR_STARTING);
	if (err)
		return error_errno(reterr, err, "cannot write the container's record");
	c->identity = 1;
	err = ctr_save(s, c, reterr);
	if (!err)
		err = launch_record_names(s, l, l->builder, reterr);
	if (!err)
		err = launch_take_mounts(l, reterr);
	if (!err)
		err = ctr_save(s, c, reterr);
	if (!err)
		err = adopt_all(s, l, reterr);
	if (err)
		return err;
	err = ctr_publish(s, c, WARDER_CTR_RUNNING);
	if (err)
		return error_errno(reterr, err, "cannot write the container's record");
	c->state = CTR_RUNNING;
	c->started = 1;
	a = take_ptr(l->adoption);
	launch_free(s, l);
	ctr_watch_init(s, c, take_fd(&c->init.fd));
	sup_event_lifecycle(s, c, "adopted", 0);
	r = conn ? reply_new() : NULL;
	adopt_report(s, c, a, r);
	ctr_save(s, c, NULL);
	if (!conn)
		return 0;
	control_put_string(r, "name", c->name);
	control_put_u64(r, "cid", c->cid);
	control_put_int(r, "pid", c->pid);
	conn_reply(s, conn, r, -1);
	return 0;
}

/* -------------------------------------------------------------------- letting go */

void handle_release(struct supervisor *s, struct conn *c, struct json_object *o,
		    struct control_fds *fds)
{
	struct warder_error e = { "" };
	struct ctr *ctr = request_container(s, o, &e);

	(void)fds;
	if (ctr && !ctr->foreign)
		error_set(&e, -EINVAL,
			  "container %s was started by warder: it ends with `warder kill "
			  "--all %s`",
			  ctr->name, ctr->name);
	else if (ctr && ctr->killing)
		error_set(&e, -EBUSY, "container %s is being killed", ctr->name);
	if (e.text[0]) {
		reply_error(s, c, &e);
		return;
	}
	ctr->released = 1;
	ctr->release_conn = c->id;
	ctr_end(s, ctr, 0);
}

/* Children get no tag any more; what a fork under way has given shows in a later pass. */
int adopt_let_go(struct supervisor *s, struct ctr *c, uint64_t now)
{
	const struct warder_adopt what = { .cid = c->cid };
	__u64 found = 0, failed = 0;
	int err;

	if (!c->identity || !s->loader)
		return 1;
	if (now < c->next_pass && c->dirty_at)
		return 0;
	err = loader_adopt_once(s->loader, &what, WARDER_ADOPT_UNTAG, NULL, NULL, &found, &failed);
	c->next_pass = now + ADOPT_PASS_MS;
	if (err || found || failed || !c->dirty_at)
		c->dirty_at = now;
	return now >= c->dirty_at + ADOPT_QUIET_MS;
}

void adopt_hold(struct supervisor *s)
{
	struct warder_error e = { "" };
	int any = 0;

	if (!s->loader)
		return;
	for (struct ctr *c = s->ctrs; c; c = c->next)
		any |= c->foreign;
	if (loader_adopt_hold(s->loader, any ? LOADER_ADOPT_KEEP : LOADER_ADOPT_NONE, &e))
		log_error("%s", e.text);
	if (!any)
		supervisor_trim_later(s);
}

/* ------------------------------------------------------------------------ its end */

/* Still that process: its tag says so. Of one whose first thread has ended nothing but the number
 * is left to ask, and its task is looked for there. */
static int member_is(struct supervisor *s, int pidfd, const struct warder_member *m)
{
	struct warder_task tag;
	char path[64];

	if (!loader_get_task(s->loader, pidfd, &tag))
		return tag.cid == m->cid;
	snprintf(path, sizeof(path), "/proc/%u/task/%u", m->tgid, m->tid);
	return m->tid != m->tgid && !access(path, F_OK);
}

static int adopt_kill_pass(struct supervisor *s, struct ctr *c)
{
	cleanup(members_done) struct members list = { .m = NULL };
	__u32 last = 0;
	int err = members_list(s, c->cid, &list);

	for (size_t i = 0; i < list.count; i++) {
		const struct warder_member *m = &list.m[i];
		cleanup_close int pidfd = -1;

		if (m->tgid == last)
			continue;
		pidfd = (int)syscall(SYS_pidfd_open, (pid_t)m->tgid, 0);
		if (pidfd < 0 || !member_is(s, pidfd, m))
			continue;
		last = m->tgid;
		syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	}
	return err;
}

int adopt_kill_all(struct supervisor *s, struct ctr *c)
{
	int err = ctr_publish(s, c, WARDER_CTR_DEAD);

	if (err)
		return err;
	c->killing = 1;
	c->next_pass = 0;
	return adopt_kill_pass(s, c);
}

void adopt_init_exited(struct supervisor *s, struct ctr *c, int status)
{
	c->init_gone = 1;
	c->status = status;
	c->next_pass = 0;
	adopt_tick(s, c, clock_now_ms());
}

void adopt_tick(struct supervisor *s, struct ctr *c, uint64_t now)
{
	cleanup(members_done) struct members list = { .m = NULL };
	struct warder_stats st;

	if (now < c->next_pass || loader_get_stats(s->loader, c->slot, &st))
		return;
	if (c->killing)
		adopt_kill_pass(s, c);
	c->next_pass = now + (c->killing ? ADOPT_PASS_MS : ADOPT_LOOK_MS);
	/* A count that is not nothing is believed, but not for ever. */
	if ((int64_t)st.tasks > 0 && !c->killing) {
		if (!c->init_gone)
			return;
		c->next_pass = now + ADOPT_LOOK_GONE_MS;
	}
	if (members_list(s, c->cid, &list) || list.count)
		return;
	/* All are gone before its first process has told that it is. */
	if (!c->init_gone)
		ctr_exit_status(s, c, &c->status);
	ctr_end(s, c, c->status);
}

int adopt_open_cgroup(const struct ctr *c)
{
	char below[PATH_MAX], path[2 * PATH_MAX];
	const char *mount;
	int fd;

	if (cgroup_root(&mount, NULL) || adopt_cgroup_read(c->pid, below, sizeof(below)))
		return -ENOENT;
	snprintf(path, sizeof(path), "%s%s", mount, below);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}
