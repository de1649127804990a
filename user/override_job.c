// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * One intercept's way from its stop to its answer: the executor's steps, the decision between
 * them, the journal around what is performed, and the way back when somebody dies.
 */
#include "override_job.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "calls.h"
#include "cleanup.h"
#include "fault.h"
#include "warder_decide.h"

#define EXECUTORS_PER_CONTAINER 2
#define SHARE_MOST (250 * MS)

void job_reason(struct job *j, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(j->out.reason, sizeof(j->out.reason), format, args);
	va_end(args);
}

struct job *job_new(struct override *o)
{
	for (unsigned i = 0; i < JOBS; i++) {
		struct job *j = &o->job[i];

		if (j->state != JOB_FREE)
			continue;
		memset(j, 0, sizeof(*j));
		return j;
	}
	return NULL;
}

unsigned jobs_of(const struct override *o, __u64 cid, int with_executor)
{
	unsigned n = 0;

	for (unsigned i = 0; i < JOBS; i++)
		if (o->job[i].state != JOB_FREE && o->job[i].out.cid == cid &&
		    (!with_executor || o->job[i].ex))
			n++;
	return n;
}

unsigned job_index(const struct override *o, const struct job *j)
{
	return (unsigned)(j - o->job);
}

/* Two containers in one place forget each other's use: then both have their executors hurry. */
static struct share *share_of(struct override *o, __u64 cid, __u64 now)
{
	struct share *s = &o->share[cid % SHARES];
	__u64 gained = (now - s->stamp) / 4;

	if (s->cid != cid || gained > SHARE_MOST)
		gained = SHARE_MOST;
	s->left = s->cid != cid ? (__s64)SHARE_MOST : s->left + (__s64)gained;
	if (s->left > (__s64)SHARE_MOST)
		s->left = SHARE_MOST;
	s->cid = cid;
	s->stamp = now;
	return s;
}

/* The debt has a bound, too: one call that hung is paid off in a second. */
static void share_charge(struct override *o, __u64 cid, __u64 now, __u64 used)
{
	struct share *s = share_of(o, cid, now);

	s->left -= (__s64)(used < SHARE_MOST ? used : SHARE_MOST);
	if (s->left < -(__s64)SHARE_MOST)
		s->left = -(__s64)SHARE_MOST;
}

/* Leaves the executor: idle again, or killed when it has not answered. */
void job_leave_executor(struct override *o, struct job *j)
{
	__u64 now = now_ns();

	if (!j->ex)
		return;
	share_charge(o, j->out.cid, now, now - j->taken);
	epoll_ctl(o->epoll, EPOLL_CTL_DEL, executor_fd(j->ex), NULL);
	if (j->inflight)
		executor_abandon(o->pool, j->ex);
	else
		executor_give(o->pool, j->ex);
	j->ex = NULL;
	j->inflight = 0;
}

int job_send(struct job *j, struct override *o, enum executor_step step, int fd)
{
	int err;

	o->req.step = step;
	o->req.cookie = j->out.icept.cookie;
	err = executor_send(j->ex, &o->req, fd);
	if (!err)
		j->inflight = 1;
	return err;
}

static void job_release(struct override *o, struct job *j)
{
	if (j->acquired)
		o->cb.release(o->cb.arg, &j->target);
	j->acquired = 0;
}

void job_drop(struct override *o, struct job *j)
{
	job_leave_executor(o, j);
	notify_leave(o, j);
	job_release(o, j);
	free(j->asked);
	free(j->layers);
	j->asked = NULL;
	j->layers = NULL;
	j->state = j->seized ? JOB_REAPING : JOB_FREE;
}

/* Tells how it ended and forgets the job. */
void job_end(struct override *o, struct job *j)
{
	job_leave_executor(o, j);
	if (!j->out.latency_ns)
		j->out.latency_ns = now_ns() - j->out.icept.h.time;
	o->cb.outcome(o->cb.arg, &j->out);
	job_drop(o, j);
}

int job_admit(struct override *o, struct job *j)
{
	if (o->cb.acquire(o->cb.arg, j->out.cid, j->out.icept.h.slot, &j->target)) {
		job_reason(j, "the container is gone");
		return -ENOENT;
	}
	j->acquired = 1;
	if (world_record(o, j) || j->ctr.cid != j->out.cid ||
	    (j->ctr.userns_owned && j->target.userns_fd < 0)) {
		job_reason(j, "the container's record cannot be read");
		return -ESRCH;
	}
	return 0;
}

int job_answer(struct job *j, int set, long result)
{
	int err = 0;

	if (j->listener) {
		err = notify_answer(j, set, result);
		if (!err && set && j->told)
			__atomic_store_n(j->told, JOURNAL_TOLD, __ATOMIC_RELEASE);
		return err;
	}
	if (!j->seized || !j->stopped)
		return -ESRCH;
	if (set) {
		j->regs.rax = (unsigned long)result;
		if (ptrace(PTRACE_SETREGS, j->tid, NULL, &j->regs))
			err = -errno;
		/* From here on it sees that, even if we die. */
		else if (j->told)
			__atomic_store_n(j->told, JOURNAL_TOLD, __ATOMIC_RELEASE);
	}
	FAULT("result-set");
	if (j->late)
		kill((pid_t)j->out.icept.h.tgid, SIGCONT);
	if (ptrace(PTRACE_DETACH, j->tid, NULL, (void *)(long)j->inject))
		err = -errno;
	else
		j->seized = 0;
	j->answered = !err;
	if (!err && set)
		j->out.result = (int)result;
	return err;
}

/* The original errno stands; the reason has been given. */
void job_keep(struct override *o, struct job *j)
{
	if (!j->answered)
		job_answer(j, 0, 0);
	job_end(o, j);
}

/* The executor failed or is late. Before ATTACH nothing has happened; from there on the mount
 * may be there, and the journal's entry says how to find it. So does the executor's note for what is
 * done in one step. */
void job_executor_lost(struct override *o, struct job *j, const char *why)
{
	int attached = j->state == JOB_ATTACHING || j->state == JOB_UNDOING;
	int performed = j->state == JOB_PERFORMING || j->state == JOB_TAKING_BACK;

	j->inflight = 1;
	job_leave_executor(o, j);
	/* Its texts cannot be told, that is all. */
	if ((j->state == JOB_RESOLVING || j->state == JOB_QUEUED) && j->answered) {
		job_end(o, j);
		return;
	}
	job_reason(j, "%s", why);
	if (performed && !journal_notes(o->journal)[job_index(o, j)].kind) {
		/* It had not begun. */
		performed = 0;
		journal_clear(o->journal, job_index(o, j));
	}
	if (!attached && !performed) {
		job_keep(o, j);
		return;
	}
	if (!j->answered)
		job_answer(j, 0, 0);
	job_revoke(o, j);
}

/* ----------------------------------------------------------------------- decisions */

/* One of the rule's calls in this second? Two rules in one place forget each other's count,
 * which lets a few more through: the container's own bound stays. */
static int rate_take(struct override *o, const struct job *j)
{
	struct rate *r = &o->rate[(j->out.cid * 31 + j->decision.rule) % RATES];
	__u64 now = now_ns();

	if (!j->decision.rate)
		return 1;
	if (r->cid != j->out.cid || r->rule != j->decision.rule || now - r->window >= 1000 * MS) {
		r->cid = j->out.cid;
		r->rule = j->decision.rule;
		r->window = now;
		r->count = 0;
	}
	return r->count++ < j->decision.rate;
}

/* Writes the entry; what cannot be written down is not performed. */
static int job_journal(struct override *o, struct job *j)
{
	int err = journal_write(o->journal, job_index(o, j), &j->entry);

	if (!err)
		return 0;
	journal_clear(o->journal, job_index(o, j));
	job_reason(j, "the journal cannot be written: %s", strerror(-err));
	job_keep(o, j);
	return err;
}

/* Everything but a new mount and a bind is one step. */
static void job_perform(struct override *o, struct job *j)
{
	memset(&o->req, 0, sizeof(o->req));
	o->req.attr = j->decision.attr;
	o->req.attr_clear = j->decision.attr_clear;
	o->req.place = job_index(o, j);
	memcpy(o->req.text, j->decision.options, sizeof(o->req.text));
	job_note_entry(j);
	if (job_journal(o, j))
		return;
	FAULT("journaled");
	j->state = JOB_PERFORMING;
	if (job_send(j, o, EXECUTOR_PERFORM, -1))
		job_executor_lost(o, j, "the executor died");
}

/* A bind of what is in the container. */
static int job_is_own_bind(const struct job *j)
{
	return j->decision.ops == WARDER_MNT_BIND && !j->decision.bind;
}

static void job_make(struct override *o, struct job *j)
{
	const struct executor_reply *r = &o->reply;
	int tree = -1, userns = j->ctr.userns_owned ? j->target.userns_fd : -1;
	const char *from;
	__u32 below;
	int err;

	memset(&o->req, 0, sizeof(o->req));
	o->req.ops = j->decision.ops;
	o->req.attr = j->decision.attr;
	o->req.owned = j->ctr.userns_owned;
	o->req.cid = j->out.cid;
	if (j->decision.fuse)
		snprintf(o->req.program, sizeof(o->req.program), "%s", j->decision.fuse);
	memcpy(o->req.fstype, r->fstype, sizeof(o->req.fstype));
	/* Only for show: a longer one is left out, it is not compared by anything. */
	if (strlen(r->source) < sizeof(o->req.name))
		strcpy(o->req.name, r->source);
	o->req.server = j->decision.bind && executor_is_server(r->fstype);
	if (j->decision.bind && j->decision.ops == WARDER_MNT_NEW && !o->req.server)
		snprintf(o->req.image, sizeof(o->req.image), "%s", j->decision.bind);
	else if (j->decision.bind && !o->req.server)
		snprintf(o->req.text, sizeof(o->req.text), "%s", j->decision.bind);
	if (j->decision.ops == WARDER_MNT_NEW)
		memcpy(o->req.text, j->decision.options, sizeof(o->req.text));
	o->req.recursive = !!(j->mount_flags & MS_REC);
	o->req.view = (__u32)j->decision.view;
	if (job_is_own_bind(j) && j->token) {
		tree = notify_tree(j, &from, &below);
		if (tree < 0) {
			job_reason(j, "it was begun for a host path of that name");
			job_keep(o, j);
			return;
		}
		o->req.cloned = 1;
	}
	o->req.step = EXECUTOR_MAKE;
	o->req.cookie = j->out.icept.cookie;
	err = tree >= 0 && userns >= 0 ? executor_send_two(j->ex, &o->req, userns, tree) :
					 executor_send(j->ex, &o->req, tree >= 0 ? tree : userns);
	j->inflight = !err;
	/* Whoever holds a mount keeps the container from unmounting it. */
	if (tree >= 0)
		notify_tree_close(j);
	if (err)
		job_executor_lost(o, j, "the executor died");
	else
		j->state = JOB_MAKING;
}

static void job_decided(struct override *o, struct job *j)
{
	j->out.rule = j->decision.rule;
	j->out.near_rule = j->decision.near_rule;
	job_reason(j, "%s", j->decision.reason);
	/* A person or a program may have taken its time. */
	if (j->granted)
		j->deadline = now_ns() + OVERRIDE_DEADLINE_MS * MS;
	else if (j->decision.rule)
		j->deadline = j->out.icept.h.time + j->decision.deadline_ms * MS;
	if (j->granted && j->decision.action == OVERRIDE_PERFORM)
		job_reason(j, "%s: %s", j->decision.reason, j->said);
	if (j->decision.action != OVERRIDE_KEEP && !j->granted && !rate_take(o, j)) {
		j->decision.action = OVERRIDE_KEEP;
		job_reason(j, "the rule's rate of %u/s is used up", j->decision.rate);
	}
	switch ((enum override_action)j->decision.action) {
	case OVERRIDE_KEEP:
		job_keep(o, j);
		return;
	case OVERRIDE_FAKE:
		job_answer(j, 1, j->decision.value);
		job_end(o, j);
		return;
	case OVERRIDE_DENY:
		job_answer(j, 1, -(long)j->decision.value);
		job_end(o, j);
		return;
	case OVERRIDE_ASK:
		job_ask(o, j);
		return;
	case OVERRIDE_PERFORM:
		if (j->decision.ops & (WARDER_MNT_NEW | WARDER_MNT_BIND))
			job_make(o, j);
		else
			job_perform(o, j);
		return;
	}
}

/* /proc counts in ticks. */
static __u64 start_unit(void)
{
	return 1000000000ull / (__u64)sysconf(_SC_CLK_TCK);
}

static void job_described(struct override *o, struct job *j);

static void job_resolved(struct override *o, struct job *j)
{
	const struct executor_reply *r = &o->reply;
	struct override_facts f = { 0 };
	struct job_names names = { 0 };

	if (j->answered) {
		job_described(o, j);
		return;
	}
	if (j->listener && !notify_resolved(o, j))
		return;
	if (r->error) {
		snprintf(j->out.target, sizeof(j->out.target), "%s", r->target);
		job_reason(j, "%s", r->what);
		job_keep(o, j);
		return;
	}
	if (!j->listener &&
	    r->start != j->out.icept.start / start_unit()) {
		job_reason(j, "the thread's number belongs to another thread now");
		job_keep(o, j);
		return;
	}
	FAULT("copied");
	j->target_fd = r->fd;
	j->second_fd = r->fd2;
	if (j->granted && !job_asked_same(o, j)) {
		job_reason(j, "the call was changed while %s", j->said);
		job_keep(o, j);
		return;
	}
	f.granted = (__u32)j->granted;
	facts_fill(o, j, &f, &names);
	j->entry.mntns = r->mntns;
	snprintf(j->out.source, sizeof(j->out.source), "%s", f.from ? f.from : r->source);
	snprintf(j->from, sizeof(j->from), "%s", f.from ? f.from : "");
	snprintf(j->out.target, sizeof(j->out.target), "%s",
		 !f.target ? r->target : *f.target ? f.target : "/");
	if (!job_layers_same(j, &f) ||
	    (j->granted && (strcmp(j->out.target, j->asked_target) || strcmp(j->from, j->asked_from)))) {
		job_reason(j, "the target, the source or a layer was renamed while %s", j->said);
		job_keep(o, j);
		return;
	}
	if (j->granted && job_ask_change(o, j, &f)) {
		job_reason(j, "other layers than those that it was asked about: %s", j->said);
		job_keep(o, j);
		return;
	}
	override_decide(j->target.image, &f, &j->decision);
	FAULT("decided");
	job_decided(o, j);
}

/* Has the target still the name that was decided on? */
static int job_target_is_named(struct override *o, struct job *j)
{
	char name[WARDER_PATH_MAX] = "";

	if (world_name(o, j, j->target_fd, name, sizeof(name)))
		return 0;
	return !strcmp(*name ? name : "/", j->out.target);
}

/* It is done: the caller sees success, or it is taken back by `back`. */
static void job_deliver(struct override *o, struct job *j,
			void (*back)(struct override *o, struct job *j))
{
	int err;

	FAULT("before-answer");
	j->told = journal_told(o->journal, job_index(o, j));
	__atomic_store_n(j->told, JOURNAL_TOLD_PERHAPS, __ATOMIC_RELEASE);
	err = job_answer(j, 1, 0);
	if (err) {
		__atomic_store_n(j->told, JOURNAL_TOLD_NONE, __ATOMIC_RELEASE);
		job_reason(j, "the caller was gone before it could be told");
		back(o, j);
		return;
	}
	FAULT("after-answer");
	journal_clear(o->journal, job_index(o, j));
	job_end(o, j);
}

/* After PERFORM: what the kernel said of it is what the caller sees. */
static void job_performed(struct override *o, struct job *j)
{
	const struct executor_reply *r = &o->reply;
	int moved = j->out.icept.op == WARDER_OP_MOUNT && j->decision.ops == WARDER_MNT_MOVE;

	if (r->error) {
		journal_clear(o->journal, job_index(o, j));
		job_reason(j, "%s: %s", r->what, strerror(-r->error));
		if (r->kernel && !j->answered)
			job_answer(j, 1, r->error);
		job_keep(o, j);
		return;
	}
	FAULT("performed");
	j->out.performed = 1;
	/* A folder can be renamed until something is mounted on it. */
	if (moved && !job_target_is_named(o, j)) {
		job_reason(j, "the target was renamed while the mount was moved");
		j->renamed = 1;
		job_answer(j, 0, 0);
		job_take_back(o, j);
		return;
	}
	if (moved && world_moved(o, j, j->from, j->out.target)) {
		job_reason(j, "the new names of the mount cannot be recorded");
		job_answer(j, 0, 0);
		job_take_back(o, j);
		return;
	}
	job_deliver(o, j, job_take_back);
}

static void job_made(struct override *o, struct job *j)
{
	const struct executor_reply *r = &o->reply;
	struct warder_error error = { 0 };
	int err = 0;

	if (r->error) {
		job_reason(j, "%s: %s", r->what, strerror(-r->error));
		if (r->kernel)
			job_answer(j, 1, r->error);
		job_keep(o, j);
		return;
	}
	FAULT("made");
	/* Its name before it can be reached: no hook may meet it nameless. What is cloned in the container
	 * has names already, and keeps them. What rules say of /proc they say of each one of it. */
	if (!job_is_own_bind(j) && j->decision.view != EXECUTOR_VIEW_OWN)
		err = world_made(o, j, r->fd, j->decision.view ? "/proc" :
					      *j->out.target ? j->out.target : "/", &error);
	if (err) {
		job_reason(j, "the mount's name cannot be recorded: %s",
			   error.text[0] ? error.text : strerror(-err));
		job_keep(o, j);
		return;
	}
	job_note_entry(j);
	j->entry.mnt_id = r->mnt_id;
	j->entry.dev_major = r->dev_major;
	j->entry.dev_minor = r->dev_minor;
	if (job_journal(o, j))
		return;
	FAULT("journaled");
	memset(&o->req, 0, sizeof(o->req));
	j->state = JOB_ATTACHING;
	if (job_send(j, o, EXECUTOR_ATTACH, -1))
		job_executor_lost(o, j, "the executor died");
}

static void job_attached(struct override *o, struct job *j)
{
	if (o->reply.error) {
		journal_clear(o->journal, job_index(o, j));
		job_reason(j, "%s: %s", o->reply.what, strerror(-o->reply.error));
		job_keep(o, j);
		return;
	}
	FAULT("performed");
	j->out.performed = 1;
	/* A folder can be renamed until something is mounted on it. */
	if (!job_target_is_named(o, j)) {
		job_reason(j, "the target was renamed while the mount was made");
		job_answer(j, 0, 0);
		job_undo(o, j);
		return;
	}
	job_deliver(o, j, job_undo);
}

/* ------------------------------------------------------------------ the held thread */

/* Where the texts of the call are. */
static void job_addresses(struct executor_request *req, const struct warder_icept *ic)
{
	int path = call_argument_of(ic->call, 'p', 0), text = call_argument_of(ic->call, 's', 0);

	req->op = ic->op;
	req->call = ic->call;
	memcpy(req->arg, ic->arg, sizeof(req->arg));
	if (path >= 0)
		req->target = ic->arg[path];
	if (text >= 0)
		req->source = ic->arg[text];
	if (ic->op == WARDER_OP_MOUNT) {
		req->source = ic->arg[0];
		req->target = ic->arg[1];
		req->type = ic->arg[2];
		req->data = ic->arg[4];
	}
}

/* Of one kind a container has one call performed at a time: a note must not take what another call has
 * made for its own. New mounts are told apart by their ids. */
static int job_has_twin(const struct override *o, const struct job *j)
{
	const struct warder_icept *ic = &j->out.icept;

	if (ic->op == WARDER_OP_MOUNT &&
	    (warder_mount_op(j->listener ? j->mount_flags : warder_mount_flags(ic->arg[3])) &
	     (WARDER_MNT_NEW | WARDER_MNT_BIND)))
		return 0;
	for (unsigned i = 0; i < JOBS; i++) {
		const struct job *k = &o->job[i];

		if (k != j && k->state != JOB_FREE && k->ex && k->out.cid == j->out.cid &&
		    k->out.icept.op == ic->op)
			return 1;
	}
	return 0;
}

/*
 * A refusal whose rules look at nothing in the caller's memory, and at no name: the caller is told now.
 * What the call's texts were is only for people, and looked at afterwards.
 */
static int job_at_once(struct override *o, struct job *j)
{
	const struct warder_icept *ic = &j->out.icept;
	struct override_facts f = { .op = ic->op, .cause = icept_cause(ic), .candidates = ic->candidates,
				    .way = WARDER_WAY_HANDOFF };

	if (j->answered || j->listener ||
	    !override_decides_at_once(j->target.image, ic->op, ic->candidates))
		return 0;
	/* The kernel has compared the user namespaces. */
	f.relation = WARDER_BY_USERNS_CONTAINER | WARDER_BY_USERNS_NESTED;
	f.fstype = f.source = f.data = f.value = "";
	override_decide(j->target.image, &f, &j->decision);
	if (j->decision.action != OVERRIDE_FAKE && j->decision.action != OVERRIDE_DENY)
		return 0;
	j->out.rule = j->decision.rule;
	job_reason(j, "%s", j->decision.reason);
	if (!rate_take(o, j)) {
		job_reason(j, "the rule's rate of %u/s is used up", j->decision.rate);
		job_answer(j, 0, 0);
	} else {
		job_answer(j, 1, j->decision.action == OVERRIDE_DENY ? -(long)j->decision.value :
								      j->decision.value);
	}
	j->out.latency_ns = now_ns() - ic->h.time;
	if (j->answered)
		return 1;
	job_end(o, j);
	return -1;
}

/* Only its texts were still wanted. */
static void job_described(struct override *o, struct job *j)
{
	const struct executor_reply *r = &o->reply;

	if (!r->error && r->start == j->out.icept.start / start_unit()) {
		j->out.icept.euid = r->euid;
		j->out.icept.fsuid = r->fsuid;
		snprintf(j->out.source, sizeof(j->out.source), "%s", r->source);
		snprintf(j->out.target, sizeof(j->out.target), "%s", r->target);
	}
	job_end(o, j);
}

/* Gives a stopped call to an executor, if the container may have one more. */
void job_start(struct override *o, struct job *j)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = EVENT_JOB + job_index(o, j) };

	if (job_at_once(o, j) < 0)
		return;
	if (jobs_of(o, j->out.cid, 1) >= EXECUTORS_PER_CONTAINER || job_has_twin(o, j))
		return;
	j->ex = executor_take(o->pool);
	if (!j->ex)
		return;
	j->taken = now_ns();
	epoll_ctl(o->epoll, EPOLL_CTL_ADD, executor_fd(j->ex), &ev);
	/* Of one that a handler had to decide on it is known what it is of. */
	job_resolve(o, j, notify_mount(j));
	FAULT("copying");
}

void job_resolve(struct override *o, struct job *j, const struct fs_mount *m)
{
	const struct warder_icept *ic = &j->out.icept;

	memset(&o->req, 0, sizeof(o->req));
	o->req.patient = share_of(o, j->out.cid, j->taken)->left <= 0;
	o->req.tid = j->tid;
	job_addresses(&o->req, ic);
	o->req.perform = (__u32)override_must_resolve(j->target.image, ic->candidates);
	o->req.userns = j->ctr.userns;
	o->req.mntns = j->ctr.mntns;
	o->req.caps = override_caps(j->target.image);
	if (j->listener)
		notify_request(o, j, &o->req);
	o->req.named = !o->loader;
	if (m) {
		snprintf(o->req.image, sizeof(o->req.image), "%s", m->source);
		memcpy(o->req.fstype, m->fstype, sizeof(o->req.fstype));
		snprintf(o->req.text, sizeof(o->req.text), "%s", m->data);
	} else if (ic->op == WARDER_OP_MOUNT) {
		o->req.fuse = (__u32)override_wants_file(j->target.image, ic->candidates, NULL);
	}
	if (job_send(j, o, EXECUTOR_RESOLVE, o->loader ? -1 : j->target.root_fd))
		job_executor_lost(o, j, "the executor died");
	else
		j->state = JOB_RESOLVING;
}

void job_reply(struct override *o, struct job *j)
{
	int err;

	if (!j->ex || !j->inflight)
		return;
	err = executor_receive(j->ex, &o->reply, &o->reply_fd);
	if (err == -EAGAIN)
		return;
	if (err || o->reply.cookie != j->out.icept.cookie) {
		cleanup_close_p(&o->reply_fd);
		job_executor_lost(o, j, "the executor died");
		return;
	}
	j->inflight = 0;
	switch (j->state) {
	case JOB_RESOLVING:
		job_resolved(o, j);
		break;
	case JOB_MAKING:
		job_made(o, j);
		break;
	case JOB_ATTACHING:
		job_attached(o, j);
		break;
	case JOB_PERFORMING:
		job_performed(o, j);
		break;
	case JOB_TAKING_BACK:
		job_taken_back(o, j);
		break;
	case JOB_CLONING:
		notify_cloned(o, j);
		break;
	case JOB_GIVING:
		notify_given(o, j);
		break;
	case JOB_UNDOING:
	case JOB_REVOKING:
		job_undone(o, j);
		break;
	default:
		break;
	}
	cleanup_close_p(&o->reply_fd);
}
