// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The calls of the new mount API themselves: what a container puts together step by step, and the
 * stand-ins that it holds until it is attached. override_notify.c brings the calls.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "calls.h"
#include "cleanup.h"
#include "override_notify.h"
#include "warder_decide.h"

void token_free(struct notify *n, unsigned i)
{
	if (n->token[i]) {
		close(n->token[i]->fd);
		if (n->token[i]->tree >= 0)
			close(n->token[i]->tree);
	}
	free(n->token[i]);
	n->token[i] = NULL;
}

/* ------------------------------------------------------------------------- tokens */

static struct token *token_find(struct override *o, __u64 serial)
{
	for (unsigned i = 0; serial && i < TOKENS; i++)
		if (o->notify->token[i] && o->notify->token[i]->serial == serial)
			return o->notify->token[i];
	return NULL;
}

static void token_forget(struct override *o, __u64 serial)
{
	for (unsigned i = 0; serial && i < TOKENS; i++)
		if (o->notify->token[i] && o->notify->token[i]->serial == serial)
			token_free(o->notify, i);
}

/* Nobody says when a container closes one: the one that was not used for longest makes room, first
 * among the container's own. What is said of it later is refused. */
static int token_place(struct override *o, __u64 cid, unsigned *ret)
{
	struct notify *n = o->notify;
	int empty = -1, oldest = -1;
	unsigned mine = 0;

	for (unsigned i = 0; i < TOKENS; i++) {
		struct token *t = n->token[i];

		if (!t) {
			empty = (int)i;
			continue;
		}
		if (t->cid != cid)
			continue;
		mine++;
		if (!t->busy && (oldest < 0 || t->used < n->token[oldest]->used))
			oldest = (int)i;
	}
	if (mine < TOKENS_PER_CONTAINER && empty >= 0) {
		*ret = (unsigned)empty;
		return 0;
	}
	if (oldest < 0)
		return -EMFILE;
	token_free(n, (unsigned)oldest);
	*ret = (unsigned)oldest;
	return 0;
}

static int token_new(struct override *o, __u64 cid, int is_mount, struct token **ret)
{
	struct token *t;
	unsigned i;
	int err = token_place(o, cid, &i);

	if (err)
		return err;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->fd = fsopen("tmpfs", FSOPEN_CLOEXEC);
	if (t->fd < 0) {
		err = -errno;
		free(t);
		return err;
	}
	t->tree = -1;
	t->serial = ++o->notify->serial;
	t->cid = cid;
	t->is_mount = is_mount;
	t->used = now_ns();
	o->notify->token[i] = t;
	*ret = t;
	return 0;
}

void notify_request(struct override *o, struct job *j, struct executor_request *req)
{
	req->asked = 1;
	req->perform = 1; /* which rules can match is not known before */
	req->holder = getpid();
	req->helds = 0;
	for (unsigned i = 0; i < TOKENS && req->helds < EXECUTOR_HELD_MAX; i++) {
		struct token *t = o->notify->token[i];

		if (!t || t->cid != j->out.cid)
			continue;
		j->held[req->helds] = t->serial;
		req->held[req->helds++] = t->fd;
	}
}

/* --------------------------------------------------------------------- the calls */

void token_quiet(struct override *o, struct job *j, long result)
{
	job_answer(j, 1, result);
	job_drop(o, j);
}

/* It is refused with this errno, and told. */
static void refuse(struct override *o, struct job *j, int err)
{
	job_answer(j, 1, err);
	job_end(o, j);
}

/* Gives the caller the stand-in for what was put together. */
static void give(struct override *o, struct job *j, struct token *t, int cloexec)
{
	int err;

	memset(&o->req, 0, sizeof(o->req));
	o->req.step = EXECUTOR_GIVE;
	o->req.cookie = j->out.icept.cookie;
	o->req.notify = j->notify;
	o->req.cloexec = (__u32)cloexec;
	j->given = t->serial;
	j->state = JOB_GIVING;
	err = executor_send_two(j->ex, &o->req, j->listener->fd, t->fd);
	if (err)
		job_executor_lost(o, j, "the executor died");
	else
		j->inflight = 1;
}

void notify_given(struct override *o, struct job *j)
{
	int err = o->reply.error;

	if (!err) {
		j->answered = 1;
		job_drop(o, j);
		return;
	}
	token_forget(o, j->given);
	if (err == -ENOENT) {
		job_drop(o, j); /* the caller is gone */
		return;
	}
	job_reason(j, "%s: %s", o->reply.what, strerror(-err));
	refuse(o, j, err);
}

static void facts_open(struct override *o, struct job *j, const struct fs_mount *m,
		       struct override_facts *f)
{
	const struct executor_reply *r = &o->reply;

	*f = (struct override_facts){
		.op = WARDER_OP_MOUNT,
		.flags = m->flags,
		.euid = r->euid,
		.fsuid = r->fsuid,
		.relation = r->relation,
		.cause = WARDER_CAUSE_CAPABILITY,
		.way = WARDER_WAY_NOTIFY,
		.same_mntns = r->mntns == j->ctr.mntns,
		.host_mntns = r->mntns == r->home_mntns,
		.open = 1,
		.profile = j->profile,
		.from = j->has_from ? j->from : NULL,
		.covers_kernel = r->covers_kernel,
		.mounts = r->mounts,
		.below = r->below,
		.fstype = m->fstype,
		.source = m->source,
		.data = m->data,
		.value = "",
	};
}

/* Can some rule still let what has been put together so far be mounted, somewhere? If not it is
 * answered, as the kernel or a rule would have it. */
static int may_go_on(struct override *o, struct job *j, const struct fs_mount *m)
{
	struct override_facts f;

	facts_open(o, j, m, &f);
	override_decide(j->target.image, &f, &j->decision);
	j->out.rule = j->decision.rule;
	j->out.near_rule = j->decision.near_rule;
	job_reason(j, "%s", j->decision.reason);
	switch ((enum override_action)j->decision.action) {
	case OVERRIDE_PERFORM:
	case OVERRIDE_FAKE:
	case OVERRIDE_ASK:
		return 1;
	case OVERRIDE_DENY:
		refuse(o, j, -j->decision.value);
		return 0;
	case OVERRIDE_KEEP:
		job_keep(o, j);
		return 0;
	}
	return 0;
}

static void on_fsopen(struct override *o, struct job *j)
{
	static struct fs_context c;
	struct token *t;
	int err = fs_context_open(&c, o->reply.fstype, (__u32)j->out.icept.arg[1]);

	snprintf(j->out.source, sizeof(j->out.source), "%s", o->reply.fstype);
	if (err) {
		job_reason(j, "no such type, or unknown flags");
		job_keep(o, j);
		return;
	}
	memcpy(j->out.icept.type, c.mount.fstype, sizeof(j->out.icept.type));
	if (!may_go_on(o, j, &c.mount))
		return;
	err = token_new(o, j->out.cid, 0, &t);
	if (err) {
		job_reason(j, "no room for one more context: %s", strerror(-err));
		refuse(o, j, err);
		return;
	}
	t->context = c;
	give(o, j, t, (__u32)j->out.icept.arg[1] & FSOPEN_CLOEXEC);
}

static void on_fsconfig(struct override *o, struct job *j)
{
	const struct executor_reply *r = &o->reply;
	struct fs_context *c = &j->token->context;
	struct fs_config f = {
		.cmd = (__u32)j->out.icept.arg[1],
		.key = r->has_key ? r->source : NULL,
		.value = r->has_value ? r->data : NULL,
		.aux = (__s32)j->out.icept.arg[4],
	};
	enum fs_context_phase before = c->phase;
	int err = fs_config_check(&f);

	/* Of text that cannot be read the kernel only speaks when all else is right. */
	if (!err && r->error)
		err = r->error;
	if (!err)
		err = fs_context_config(c, &f);
	if (err || c->phase == before) {
		token_quiet(o, j, err);
		return;
	}
	/* All options are known: what no rule allows is refused here, where programs expect it. */
	memcpy(j->out.icept.type, c->mount.fstype, sizeof(j->out.icept.type));
	c->phase = FS_CONTEXT_MOUNTED; /* spent, as a context is that failed */
	if (!may_go_on(o, j, &c->mount))
		return; /* nothing of the job is there any more */
	c->phase = FS_CONTEXT_CREATED;
	token_quiet(o, j, 0);
}

static void on_fsmount(struct override *o, struct job *j)
{
	static struct fs_mount m;
	struct token *t;
	__u32 flags = (__u32)j->out.icept.arg[1];
	int err = fs_context_mount(&j->token->context, flags, (__u32)j->out.icept.arg[2], &m);

	if (!err)
		err = token_new(o, j->out.cid, 1, &t);
	if (err) {
		token_quiet(o, j, err);
		return;
	}
	t->mount = m;
	give(o, j, t, flags & FSMOUNT_CLOEXEC);
}

/* With `tree`, which is the stand-in's from here on, or -1. */
static void give_tree(struct override *o, struct job *j, int tree)
{
	static struct fs_mount m;
	__u32 flags = (__u32)j->out.icept.arg[2];
	struct token *t;
	int err = fs_mount_clone(&m, j->source_text, flags);

	if (!err)
		err = token_new(o, j->out.cid, 1, &t);
	if (err) {
		cleanup_close_p(&tree);
		job_reason(j, "no room for one more mount: %s", strerror(-err));
		refuse(o, j, err);
		return;
	}
	t->mount = m;
	t->tree = tree;
	t->below = j->below;
	memcpy(t->from, j->from, sizeof(t->from));
	give(o, j, t, flags & OPEN_TREE_CLOEXEC);
}

static void on_open_tree(struct override *o, struct job *j)
{
	static struct fs_mount m;
	const struct executor_reply *r = &o->reply;
	__u32 flags = (__u32)j->out.icept.arg[2];
	int err = fs_mount_clone(&m, r->source, flags);

	snprintf(j->out.source, sizeof(j->out.source), "%s", r->source);
	if (err) {
		job_reason(j, "unknown flags, or too long a path");
		job_keep(o, j);
		return;
	}
	j->second_fd = r->fd2;
	j->has_from = r->fd2 >= 0 && !world_name(o, j, r->fd2, j->from, sizeof(j->from));
	j->below = r->below;
	strcpy(j->source_text, m.source);
	if (!may_go_on(o, j, &m))
		return;
	if (j->decision.bind || j->decision.action == OVERRIDE_FAKE) {
		if (flags & AT_RECURSIVE) {
			job_reason(j, "what lies below an offered host path is not cloned");
			job_keep(o, j);
			return;
		}
		give_tree(o, j, -1);
		return;
	}
	memset(&o->req, 0, sizeof(o->req));
	o->req.recursive = !!(flags & AT_RECURSIVE);
	j->state = JOB_CLONING;
	if (job_send(j, o, EXECUTOR_CLONE, -1))
		job_executor_lost(o, j, "the executor died");
}

void notify_cloned(struct override *o, struct job *j)
{
	const struct executor_reply *r = &o->reply;

	if (r->error || o->reply_fd < 0) {
		job_reason(j, "%s: %s", r->what, strerror(-r->error));
		if (r->kernel)
			refuse(o, j, r->error);
		else
			job_keep(o, j);
		return;
	}
	give_tree(o, j, take_fd(&o->reply_fd));
}

int notify_tree(const struct job *j, const char **ret_from, __u32 *ret_below)
{
	if (!j->token || j->token->tree < 0)
		return -1;
	*ret_from = j->token->from;
	*ret_below = j->token->below;
	return j->token->tree;
}

void notify_tree_close(struct job *j)
{
	cleanup_close_p(&j->token->tree);
	j->token->tree = -1;
	j->token->spent = 1;
}

const struct fs_mount *notify_mount(const struct job *j)
{
	return j->looked ? &j->token->mount : NULL;
}

static void on_setattr(struct override *o, struct job *j)
{
	const struct executor_reply *r = &o->reply;
	const __u32 known = AT_EMPTY_PATH | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;
	int err = r->error;

	if (!err && ((__u32)j->out.icept.arg[2] & ~known))
		err = -EINVAL;
	if (!err)
		err = fs_mount_setattr(&j->token->mount, r->attr_set, r->attr_clear, r->propagation);
	if (err == -EPERM) {
		job_reason(j, "a mount is not idmapped or shared by its container");
		refuse(o, j, err);
		return;
	}
	token_quiet(o, j, err);
}

/* The decision is that on a mount(2) with all this. */
static int on_move_mount(struct override *o, struct job *j)
{
	const __u32 known = 0x77; /* MOVE_MOUNT_F_*, MOVE_MOUNT_T_* */
	struct executor_reply *r = &o->reply;
	const struct fs_mount *m;

	if ((__u32)j->out.icept.arg[4] & ~known) {
		snprintf(j->out.target, sizeof(j->out.target), "%s", r->target);
		job_reason(j, "only a plain move_mount is made, none beneath or into a peer group");
		job_keep(o, j);
		return 0;
	}
	if (!j->token) {
		j->mount_flags = MS_MOVE;
		return 1;
	}
	if (r->error) {
		snprintf(j->out.target, sizeof(j->out.target), "%s", r->target);
		job_reason(j, "%s", r->what);
		refuse(o, j, r->error);
		return 0;
	}
	/* It is copied more than once, and the caller may write meanwhile. */
	if (r->held < 0 || r->held >= EXECUTOR_HELD_MAX || j->held[r->held] != j->token->serial) {
		snprintf(j->out.target, sizeof(j->out.target), "%s", r->target);
		job_reason(j, "the call was changed while it was looked at");
		job_keep(o, j);
		return 0;
	}
	if (j->token->spent) {
		snprintf(j->out.target, sizeof(j->out.target), "%s", r->target);
		job_reason(j, "it has been mounted already, and is not moved by its descriptor");
		job_keep(o, j);
		return 0;
	}
	m = &j->token->mount;
	/* What the context is of is known to the executor only once it is told. */
	if (!j->looked && !m->bind &&
	    (executor_is_view(m->fstype) || executor_is_overlay(m->fstype) ||
	     executor_is_server(m->fstype) ||
	     override_wants_file(j->target.image, j->out.icept.candidates, m->fstype))) {
		j->looked = 1;
		job_resolve(o, j, m);
		return 0;
	}
	memcpy(r->fstype, m->fstype, sizeof(m->fstype));
	memcpy(j->out.icept.type, m->fstype, sizeof(m->fstype));
	snprintf(r->source, sizeof(r->source), "%s", m->source);
	snprintf(r->data, sizeof(r->data), "%s", m->data);
	j->mount_flags = m->flags;
	return 1;
}

int token_take(struct override *o, struct job *j)
{
	int is_mount = j->out.icept.call == WARDER_CALL_move_mount ||
		       j->out.icept.call == WARDER_CALL_mount_setattr;
	struct token *t;

	if (j->token) /* asked about before, and busy since */
		return 0;
	if (o->reply.held < 0 || o->reply.held >= EXECUTOR_HELD_MAX)
		return 0;
	t = token_find(o, j->held[o->reply.held]);
	if (!t)
		return 0; /* forgotten meanwhile */
	if (t->busy)
		return -EBUSY;
	if (t->is_mount != is_mount)
		return -EINVAL;
	t->busy = 1;
	t->used = now_ns();
	j->token = t;
	return 0;
}

int token_call(struct override *o, struct job *j)
{
	const struct executor_reply *r = &o->reply;

	if (j->out.icept.call != WARDER_CALL_move_mount) {
		if (!j->token && r->error) {
			job_reason(j, "%s", r->what);
			job_keep(o, j);
			return 0;
		}
		switch (j->out.icept.call) {
		case WARDER_CALL_fsopen:
			on_fsopen(o, j);
			return 0;
		case WARDER_CALL_open_tree:
			on_open_tree(o, j);
			return 0;
		case WARDER_CALL_fsconfig:
			on_fsconfig(o, j);
			return 0;
		case WARDER_CALL_fsmount:
			on_fsmount(o, j);
			return 0;
		case WARDER_CALL_mount_setattr:
			on_setattr(o, j);
			return 0;
		}
	}
	return on_move_mount(o, j);
}
