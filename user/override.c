// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The override thread: reads intercepts, seizes and holds their threads, has executors do the
 * work, answers. It is the tracer of every thread it answers, so all of ptrace happens here.
 * Nothing in it waits for a container: what can block is an executor's. docs/OVERRIDES.md has
 * the protocol and the states.
 */
#include "override.h"

#include <bpf/libbpf.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>

#include "cleanup.h"
#include "override_internal.h"
#include "warder_decide.h"

#define MS 1000000ull
#define JOBS JOURNAL_PLACES
#define JOBS_PER_CONTAINER 8
#define EXECUTORS_PER_CONTAINER 2
#define EXECUTORS_DEFAULT 4
#define REPORTS_MAX 256     /* waiting to be told; more are told at once */
#define RATES 256           /* rules whose rate is counted at the same time */
#define BEAT (100 * MS)
#define POLL_SOON (100000)  /* ns between looks for a stop that is due */
#define POLL_LATER (5 * MS)
#define SOON (20 * MS)
#define FREE_WITHIN (3000 * MS)
#define NR_MOUNT_X64 165
#define NR_MOUNT_I386 21

/* Keys of the epoll set; job i has EVENT_JOB + i. */
enum { EVENT_RING, EVENT_STOP, EVENT_JOB };

enum job_state {
	JOB_FREE = 0,
	JOB_STOPPING,  /* seized and interrupted; waits for the stop */
	JOB_QUEUED,    /* stopped; waits for an executor */
	JOB_RESOLVING,
	JOB_MAKING,
	JOB_ATTACHING,
	JOB_UNDOING,   /* the caller is gone: the executor takes the mount off */
	JOB_REVOKE,    /* waits for an executor that undoes what the journal says */
	JOB_REVOKING,
	JOB_REAPING,   /* the thread died while we traced it: its end must be waited for */
};

struct job {
	enum job_state state;
	int late;        /* stopped by SIGSTOP: continued when answered */
	int give_up;     /* not claimed: let go untouched once it stops */
	int seized;
	int stopped;
	int inject;      /* signal that the stop took away from the thread */
	int acquired;
	int answered;
	int inflight;    /* an executor step is not answered yet */
	pid_t tid;
	__u64 begun;
	__u64 deadline;
	struct executor *ex;
	struct override_target target;
	struct warder_ctr ctr;
	struct user_regs_struct regs;
	struct override_decision decision;
	struct override_outcome out;
	struct journal_entry entry;
	int target_fd; /* number in the executor */
};

struct rate {
	__u64 cid;
	__u32 rule;
	__u32 count;
	__u64 window;
};

struct override {
	struct loader *loader;
	struct override_callbacks cb;
	struct executor_pool *pool;
	struct journal *journal;
	struct ring_buffer *ring;
	int epoll;
	int stop_fd;
	int started;
	int stopping;
	pthread_t thread;
	struct executor_request req; /* one thread: too large for the stack of many calls */
	struct executor_reply reply;
	struct warder_icept report[REPORTS_MAX];
	unsigned reports;
	struct rate rate[RATES];
	struct job job[JOBS];
};

static __u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (__u64)ts.tv_sec * 1000000000ull + (__u64)ts.tv_nsec;
}

static const char *unasked_reason(__u32 unasked)
{
	switch (unasked) {
	case WARDER_UNASKED_NO_RULE:
		return "no override rule speaks of such a call";
	case WARDER_UNASKED_EXPLICIT:
		return "an explicit deny or the baseline refused it, which is never overridden";
	case WARDER_UNASKED_CAUSE:
		return "neither a missing capability nor a class default refused it";
	case WARDER_UNASKED_DOWN:
		return "no supervisor was there to be asked";
	case WARDER_UNASKED_ONE_CPU:
		return "with one CPU nobody could have answered";
	case WARDER_UNASKED_RATE:
		return "the container's rate of intercepts was used up";
	case WARDER_UNASKED_BUSY:
		return "another thread of the container was waiting, or too many on the host";
	case WARDER_UNASKED_TRACED:
		return "the thread has another tracer";
	case WARDER_UNASKED_RING:
		return "the ring of intercepts was full";
	default:
		return "the supervisor came too late";
	}
}

/* ---------------------------------------------------------------------------- jobs */

static void job_reason(struct job *j, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void job_reason(struct job *j, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(j->out.reason, sizeof(j->out.reason), format, args);
	va_end(args);
}

static struct job *job_new(struct override *o)
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

static unsigned jobs_of(const struct override *o, __u64 cid, int with_executor)
{
	unsigned n = 0;

	for (unsigned i = 0; i < JOBS; i++)
		if (o->job[i].state != JOB_FREE && o->job[i].out.cid == cid &&
		    (!with_executor || o->job[i].ex))
			n++;
	return n;
}

static unsigned job_index(const struct override *o, const struct job *j)
{
	return (unsigned)(j - o->job);
}

/* Leaves the executor: idle again, or killed when it has not answered. */
static void job_leave_executor(struct override *o, struct job *j)
{
	if (!j->ex)
		return;
	epoll_ctl(o->epoll, EPOLL_CTL_DEL, executor_fd(j->ex), NULL);
	if (j->inflight)
		executor_abandon(o->pool, j->ex);
	else
		executor_give(o->pool, j->ex);
	j->ex = NULL;
	j->inflight = 0;
}

static int job_send(struct job *j, struct override *o, enum executor_step step, int fd)
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

/* Tells how it ended and forgets the job. */
static void job_end(struct override *o, struct job *j)
{
	job_leave_executor(o, j);
	j->out.latency_ns = now_ns() - j->out.icept.h.time;
	o->cb.outcome(o->cb.arg, &j->out);
	job_release(o, j);
	j->state = j->seized ? JOB_REAPING : JOB_FREE;
}

/* Lets the thread go on, with `result` in the place of the kernel's when `set`. Returns -ESRCH
 * when it is gone: then nobody saw the result. */
static int job_answer(struct job *j, int set, long result)
{
	int err = 0;

	if (!j->seized || !j->stopped)
		return -ESRCH;
	if (set) {
		j->regs.rax = (unsigned long)result;
		if (ptrace(PTRACE_SETREGS, j->tid, NULL, &j->regs))
			err = -errno;
	}
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
static void job_keep(struct override *o, struct job *j)
{
	if (!j->answered)
		job_answer(j, 0, 0);
	job_end(o, j);
}

/* Has a free executor undo what the journal's place says. */
static void job_revoke(struct override *o, struct job *j)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = EVENT_JOB + job_index(o, j) };

	j->state = JOB_REVOKE;
	j->ex = executor_take(o->pool);
	if (!j->ex)
		return;
	memset(&o->req, 0, sizeof(o->req));
	o->req.tid = j->entry.tid;
	o->req.mntns = j->entry.mntns;
	o->req.mnt_id = j->entry.mnt_id;
	o->req.dev_major = j->entry.dev_major;
	o->req.dev_minor = j->entry.dev_minor;
	j->deadline = now_ns() + OVERRIDE_DEADLINE_MS * MS;
	epoll_ctl(o->epoll, EPOLL_CTL_ADD, executor_fd(j->ex), &ev);
	if (job_send(j, o, EXECUTOR_REVOKE, -1)) {
		j->inflight = 1; /* it is dead: have it replaced, try again later */
		job_leave_executor(o, j);
		return;
	}
	j->state = JOB_REVOKING;
}

/* The executor failed or is late. Before ATTACH nothing has happened; from there on the mount
 * may be there, and the journal's entry says how to find it. */
static void job_executor_lost(struct override *o, struct job *j, const char *why)
{
	int attached = j->state == JOB_ATTACHING || j->state == JOB_UNDOING;

	j->inflight = 1;
	job_leave_executor(o, j);
	job_reason(j, "%s", why);
	if (!attached) {
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

static __u32 icept_cause(const struct warder_icept *ic)
{
	return ic->cause == WARDER_REFUSAL_NONE ? WARDER_CAUSE_LSM : WARDER_CAUSE_CAPABILITY;
}

/* The target's name as hooks see it, for descriptor `fd` of the executor. */
static int job_name(struct override *o, struct job *j, int fd, char *name, size_t size)
{
	struct warder_fd_record rec;
	int err = loader_get_fd(o->loader, executor_pid(j->ex), fd, (int)j->target.slot, &rec, name,
				size);

	if (err)
		return err;
	return rec.name_len < 0 ? -ENOENT : 0;
}

static void job_resolved(struct override *o, struct job *j)
{
	const struct executor_reply *r = &o->reply;
	struct override_facts f = { 0 };
	char name[WARDER_PATH_MAX] = "";
	int named;

	if (r->error) {
		snprintf(j->out.target, sizeof(j->out.target), "%s", r->target);
		job_reason(j, "%s", r->what);
		job_keep(o, j);
		return;
	}
	if (r->start != j->out.icept.start / (1000000000ull / (__u64)sysconf(_SC_CLK_TCK))) {
		job_reason(j, "the thread's number belongs to another thread now");
		job_keep(o, j);
		return;
	}
	j->target_fd = r->fd;
	named = job_name(o, j, r->fd, name, sizeof(name)) == 0;
	f.flags = warder_mount_flags(j->out.icept.arg[3]);
	f.euid = j->out.icept.euid = r->euid;
	f.fsuid = j->out.icept.fsuid = r->fsuid;
	f.relation = r->relation;
	f.cause = icept_cause(&j->out.icept);
	f.same_mntns = r->mntns == j->ctr.mntns;
	f.host_mntns = r->mntns == r->home_mntns;
	f.shared = (int)r->shared;
	f.fstype = r->fstype;
	f.source = r->source;
	f.data = r->data;
	f.target = named ? name : NULL;
	j->entry.mntns = r->mntns;
	snprintf(j->out.source, sizeof(j->out.source), "%s", r->source);
	snprintf(j->out.target, sizeof(j->out.target), "%s",
		 !named ? r->target : *name ? name : "/");

	override_decide(j->target.image, &f, &j->decision);
	j->out.rule = j->decision.rule;
	j->out.near_rule = j->decision.near_rule;
	job_reason(j, "%s", j->decision.reason);
	if (j->decision.rule)
		j->deadline = j->out.icept.h.time + j->decision.deadline_ms * MS;
	if (j->decision.action != OVERRIDE_KEEP && !rate_take(o, j)) {
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
	case OVERRIDE_PERFORM:
		break;
	}
	memset(&o->req, 0, sizeof(o->req));
	o->req.ops = j->decision.ops;
	o->req.attr = j->decision.attr;
	o->req.owned = j->ctr.userns_owned;
	memcpy(o->req.fstype, r->fstype, sizeof(o->req.fstype));
	/* Only for show: a longer one is left out, it is not compared by anything. */
	if (strlen(r->source) < sizeof(o->req.name))
		strcpy(o->req.name, r->source);
	if (j->decision.bind)
		snprintf(o->req.text, sizeof(o->req.text), "%s", j->decision.bind);
	else
		memcpy(o->req.text, j->decision.options, sizeof(o->req.text));
	if (job_send(j, o, EXECUTOR_MAKE, j->ctr.userns_owned ? j->target.userns_fd : -1))
		job_executor_lost(o, j, "the executor died");
	else
		j->state = JOB_MAKING;
}

static void job_made(struct override *o, struct job *j)
{
	const struct executor_reply *r = &o->reply;
	struct warder_fd_record rec;
	struct warder_error error = { 0 };
	int err;

	if (r->error) {
		job_reason(j, "%s: %s", r->what, strerror(-r->error));
		job_keep(o, j);
		return;
	}
	/* Its name before it can be reached: no hook may meet it nameless. */
	err = loader_get_fd(o->loader, executor_pid(j->ex), r->fd, -1, &rec, NULL, 0);
	if (!err)
		err = loader_record_mount(o->loader, j->target.slot, &rec,
					  *j->out.target ? j->out.target : "/", &error);
	if (err) {
		job_reason(j, "the mount's name cannot be recorded: %s",
			   error.text[0] ? error.text : strerror(-err));
		job_keep(o, j);
		return;
	}
	j->entry.cid = j->out.cid;
	j->entry.cookie = j->out.icept.cookie;
	j->entry.tid = j->tid;
	j->entry.slot = j->target.slot;
	j->entry.rule = j->out.rule;
	j->entry.mnt_id = r->mnt_id;
	j->entry.dev_major = r->dev_major;
	j->entry.dev_minor = r->dev_minor;
	memcpy(j->entry.target, j->out.target, sizeof(j->entry.target));
	err = journal_write(o->journal, job_index(o, j), &j->entry);
	if (err) {
		journal_clear(o->journal, job_index(o, j));
		job_reason(j, "the journal cannot be written: %s", strerror(-err));
		job_keep(o, j);
		return;
	}
	memset(&o->req, 0, sizeof(o->req));
	j->state = JOB_ATTACHING;
	if (job_send(j, o, EXECUTOR_ATTACH, -1))
		job_executor_lost(o, j, "the executor died");
}

static void job_undo(struct override *o, struct job *j)
{
	j->state = JOB_UNDOING;
	memset(&o->req, 0, sizeof(o->req));
	if (job_send(j, o, EXECUTOR_UNDO, -1))
		job_executor_lost(o, j, j->out.reason);
}

static void job_attached(struct override *o, struct job *j)
{
	char name[WARDER_PATH_MAX] = "", shown[WARDER_PATH_MAX];

	if (o->reply.error) {
		journal_clear(o->journal, job_index(o, j));
		job_reason(j, "%s: %s", o->reply.what, strerror(-o->reply.error));
		job_keep(o, j);
		return;
	}
	j->out.performed = 1;
	/* A folder can be renamed until something is mounted on it. */
	if (job_name(o, j, j->target_fd, name, sizeof(name)))
		strcpy(name, "?");
	snprintf(shown, sizeof(shown), "%s", *name ? name : "/");
	if (strcmp(shown, j->out.target)) {
		job_reason(j, "the target was renamed while the mount was made");
		job_answer(j, 0, 0);
		job_undo(o, j);
		return;
	}
	if (job_answer(j, 1, 0)) {
		job_reason(j, "the caller was gone before it could be told");
		job_undo(o, j);
		return;
	}
	journal_clear(o->journal, job_index(o, j));
	job_end(o, j);
}

/* After UNDO or REVOKE. */
static void job_undone(struct override *o, struct job *j)
{
	if (o->reply.error && o->reply.error != -ENOENT)
		job_reason(j, "%s; it could not be undone: %s: %s",
			   j->decision.rule ? "performed" : "left over from an earlier supervisor",
			   o->reply.what, strerror(-o->reply.error));
	else
		j->out.undone = o->reply.error == 0;
	journal_clear(o->journal, job_index(o, j));
	job_end(o, j);
}

/* ------------------------------------------------------------------ the held thread */

/* Gives a stopped call to an executor, if the container may have one more. */
static void job_start(struct override *o, struct job *j)
{
	const struct warder_icept *ic = &j->out.icept;
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = EVENT_JOB + job_index(o, j) };

	if (jobs_of(o, j->out.cid, 1) >= EXECUTORS_PER_CONTAINER)
		return;
	j->ex = executor_take(o->pool);
	if (!j->ex)
		return;
	memset(&o->req, 0, sizeof(o->req));
	o->req.tid = j->tid;
	o->req.source = ic->arg[0];
	o->req.target = ic->arg[1];
	o->req.type = ic->arg[2];
	o->req.data = ic->arg[4];
	o->req.userns = j->ctr.userns;
	epoll_ctl(o->epoll, EPOLL_CTL_ADD, executor_fd(j->ex), &ev);
	if (job_send(j, o, EXECUTOR_RESOLVE, -1))
		job_executor_lost(o, j, "the executor died");
	else
		j->state = JOB_RESOLVING;
}

/* Is the thread where the kernel left the refused call, and nowhere else? */
static int job_is_there(const struct job *j)
{
	const struct warder_icept *ic = &j->out.icept;
	const struct user_regs_struct *r = &j->regs;

	if (r->orig_rax != ic->nr || (__s32)r->rax != ic->result || r->rip != ic->arg[5])
		return 0;
	if (ic->nr == NR_MOUNT_X64)
		return r->rdi == ic->arg[0] && r->rsi == ic->arg[1] && r->rdx == ic->arg[2] &&
		       r->r10 == ic->arg[3] && r->r8 == ic->arg[4];
	return ic->nr == NR_MOUNT_I386 && (__u32)r->rbx == ic->arg[0] &&
	       (__u32)r->rcx == ic->arg[1] && (__u32)r->rdx == ic->arg[2] &&
	       (__u32)r->rsi == ic->arg[3] && (__u32)r->rdi == ic->arg[4];
}

static void job_stopped(struct override *o, struct job *j)
{
	if (j->give_up) {
		job_keep(o, j);
		return;
	}
	if (ptrace(PTRACE_GETREGS, j->tid, NULL, &j->regs) || !job_is_there(j)) {
		job_reason(j, "the thread is not where its call was refused");
		job_keep(o, j);
		return;
	}
	if (o->cb.acquire(o->cb.arg, j->out.cid, j->out.icept.h.slot, &j->target)) {
		job_reason(j, "the container is gone");
		job_keep(o, j);
		return;
	}
	j->acquired = 1;
	if (loader_get_container(o->loader, j->target.slot, &j->ctr) || j->ctr.cid != j->out.cid ||
	    (j->ctr.userns_owned && j->target.userns_fd < 0)) {
		job_reason(j, "the container's record cannot be read");
		job_keep(o, j);
		return;
	}
	j->state = JOB_QUEUED;
	job_start(o, j);
}

/* Looks whether the thread has stopped, or ended. */
static void job_look(struct override *o, struct job *j)
{
	int status;
	pid_t got = waitpid(j->tid, &status, __WALL | __WNOTHREAD | WNOHANG);

	if (got == 0)
		return;
	if (got < 0 && errno == EINTR)
		return;
	if (got == j->tid && WIFSTOPPED(status)) {
		if (j->state == JOB_REAPING) {
			/* Alive after all, or a stop from before its end. */
			if (!ptrace(PTRACE_DETACH, j->tid, NULL, NULL))
				j->state = JOB_FREE;
			return;
		}
		j->stopped = 1;
		/* A stop for a signal has taken it off the queue: given back when answered. */
		j->inject = status >> 16 ? 0 : WSTOPSIG(status);
		job_stopped(o, j);
		return;
	}
	/* Ended, or (ECHILD) replaced by an exec of another thread: nothing is traced. */
	j->seized = 0;
	if (j->state == JOB_REAPING) {
		j->state = JOB_FREE;
		return;
	}
	if (!j->give_up)
		job_reason(j, "the caller was gone before it stopped");
	job_end(o, j);
}

/* ------------------------------------------------------------------------- intercepts */

/* WAITING -> CLAIMED. The thread's number is part of the word: a slot that another thread has
 * taken meanwhile is not claimed. */
static int claim(struct override *o, const struct warder_icept *ic)
{
	struct warder_wait *w = &loader_waits(o->loader)[ic->wait];
	__u64 expected = (__u64)ic->h.tid << 32 | WARDER_WAIT_WAITING;
	__u64 claimed = (__u64)ic->h.tid << 32 | WARDER_WAIT_CLAIMED;

	if (__atomic_load_n(&w->cookie, __ATOMIC_ACQUIRE) != ic->cookie)
		return 0;
	if (!__atomic_compare_exchange_n((__u64 *)w, &expected, claimed, 0, __ATOMIC_SEQ_CST,
					 __ATOMIC_SEQ_CST))
		return 0;
	return 1;
}

static void outcome_init(struct override_outcome *out, const struct warder_icept *ic)
{
	memset(out, 0, sizeof(*out));
	out->icept = *ic;
	out->cid = ic->h.cid;
	out->result = ic->result;
}

/* Does the policy stop threads that are late? The thread is stopping then, so it stays ours. */
static int icept_stops_late(struct override *o, const struct warder_icept *ic)
{
	struct override_target target;
	int stops;

	if (o->cb.acquire(o->cb.arg, ic->h.cid, ic->h.slot, &target))
		return 0;
	stops = override_stops_late(target.image, ic->candidates);
	o->cb.release(o->cb.arg, &target);
	return stops;
}

static void icept_ask(struct override *o, const struct warder_icept *ic)
{
	struct job *j;

	/* Not claimed: the kernel goes on at its bound, with the errno. */
	if (o->stopping || jobs_of(o, ic->h.cid, 0) >= JOBS_PER_CONTAINER ||
	    !(j = job_new(o))) {
		if (ic->late)
			kill((pid_t)ic->h.tgid, SIGCONT);
		if (o->reports < REPORTS_MAX)
			o->report[o->reports++] = *ic;
		return;
	}
	outcome_init(&j->out, ic);
	j->tid = (pid_t)ic->h.tid;
	j->late = ic->late != 0;
	j->begun = now_ns();
	j->deadline = j->begun + OVERRIDE_DEADLINE_MS * MS;
	j->state = JOB_STOPPING;
	if (ptrace(PTRACE_SEIZE, j->tid, NULL, NULL)) {
		job_reason(j, "the thread cannot be seized: %s", strerror(errno));
		if (j->late)
			kill((pid_t)ic->h.tgid, SIGCONT);
		job_end(o, j);
		return;
	}
	j->seized = 1;
	ptrace(PTRACE_INTERRUPT, j->tid, NULL, NULL);
	if (!j->late && !claim(o, ic)) {
		j->late = icept_stops_late(o, ic);
		j->give_up = !j->late;
		j->out.icept.unasked = WARDER_UNASKED_BOUND;
		job_reason(j, "%s", unasked_reason(WARDER_UNASKED_BOUND));
	}
	job_look(o, j);
}

/* What nobody waits for: explained and told. */
static void icept_report(struct override *o, const struct warder_icept *ic)
{
	static struct override_outcome out;
	static struct override_decision d;
	struct override_target target;
	struct override_facts f = { .unresolved = 1 };
	char fstype[WARDER_FSTYPE_SIZE + 1] = "";

	outcome_init(&out, ic);
	snprintf(out.reason, sizeof(out.reason), "%s", unasked_reason(ic->unasked));
	if (!o->cb.acquire(o->cb.arg, ic->h.cid, ic->h.slot, &target)) {
		if (ic->unasked == WARDER_UNASKED_NO_RULE || ic->unasked == WARDER_UNASKED_CAUSE) {
			memcpy(fstype, ic->type, WARDER_FSTYPE_SIZE);
			f.flags = warder_mount_flags(ic->arg[3]);
			f.cause = icept_cause(ic);
			/* The kernel compared user namespaces; only a mismatch is left to say. */
			f.relation = WARDER_BY_USERNS_CONTAINER | WARDER_BY_USERNS_NESTED;
			f.fstype = fstype;
			f.source = f.data = "";
			override_decide(target.image, &f, &d);
			if (!d.rule) {
				out.near_rule = d.near_rule;
				snprintf(out.reason, sizeof(out.reason), "%s", d.reason);
			} else {
				out.near_rule = d.rule;
				snprintf(out.reason, sizeof(out.reason),
					 "the rule does not allow callers in that user namespace");
			}
		} else if (ic->unasked == WARDER_UNASKED_EXPLICIT) {
			out.near_rule = ic->rule;
		}
		o->cb.release(o->cb.arg, &target);
	}
	o->cb.outcome(o->cb.arg, &out);
}

static int on_icept(void *arg, void *data, size_t size)
{
	struct override *o = arg;
	struct warder_icept ic;

	if (size < sizeof(ic))
		return 0;
	memcpy(&ic, data, sizeof(ic));
	if (ic.h.version != WARDER_EVENT_VERSION || ic.op != WARDER_OP_MOUNT ||
	    ic.wait >= WARDER_WAITS_MAX)
		return 0;
	if (ic.cookie) {
		icept_ask(o, &ic);
		return 0;
	}
	/* Told when nobody waits any more; should there be too many, then now. */
	if (o->reports < REPORTS_MAX)
		o->report[o->reports++] = ic;
	else
		icept_report(o, &ic);
	return 0;
}

/* --------------------------------------------------------------------------- the thread */

static void on_executor(struct override *o, struct job *j)
{
	int err;

	if (!j->ex || !j->inflight)
		return;
	err = executor_receive(j->ex, &o->reply);
	if (err == -EAGAIN)
		return;
	if (err || o->reply.cookie != j->out.icept.cookie) {
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
	case JOB_UNDOING:
	case JOB_REVOKING:
		job_undone(o, j);
		break;
	default:
		break;
	}
}

/* Everything that time brings: stops that are due, executors that became free, deadlines.
 * Returns how long the loop may sleep, in ns. */
static __u64 jobs_tick(struct override *o)
{
	__u64 sleep = BEAT / 2, now = now_ns();

	for (unsigned i = 0; i < JOBS; i++) {
		struct job *j = &o->job[i];
		__u64 want = sleep;

		if (j->state == JOB_STOPPING || j->state == JOB_REAPING)
			job_look(o, j);
		if (j->state == JOB_QUEUED)
			job_start(o, j);
		else if (j->state == JOB_REVOKE)
			job_revoke(o, j);
		/* A thread that does not stop (its cgroup is frozen) stays ours until it does. */
		if (j->state >= JOB_QUEUED && j->state <= JOB_REVOKING && j->state != JOB_REVOKE &&
		    now > j->deadline) {
			if (j->state == JOB_REVOKING) {
				j->inflight = 1;
				job_leave_executor(o, j);
				job_reason(j, "undoing it took too long");
				journal_clear(o->journal, i);
				job_end(o, j);
			} else {
				job_executor_lost(o, j, "it was not done within the deadline");
			}
		}
		if (j->state == JOB_STOPPING)
			want = now - j->begun < SOON ? POLL_SOON : POLL_LATER;
		else if (j->state != JOB_FREE)
			want = POLL_LATER;
		if (want < sleep)
			sleep = want;
	}
	return sleep;
}

static int jobs_under_way(const struct override *o)
{
	for (unsigned i = 0; i < JOBS; i++)
		if (o->job[i].state != JOB_FREE)
			return 1;
	return 0;
}

/* What an earlier supervisor performed and did not answer. */
static void journal_recover(struct override *o)
{
	for (unsigned i = 0; i < JOBS; i++) {
		struct job *j = &o->job[i];
		struct journal_entry e;

		if (!journal_read(o->journal, i, &e))
			continue;
		memset(j, 0, sizeof(*j));
		j->entry = e;
		j->out.cid = j->out.icept.h.cid = e.cid;
		j->out.icept.h.slot = e.slot;
		j->out.icept.h.tid = (__u32)e.tid;
		j->out.icept.h.time = now_ns();
		j->out.icept.op = WARDER_OP_MOUNT;
		j->out.icept.cookie = e.cookie;
		j->out.icept.result = j->out.result = -EPERM;
		j->out.rule = e.rule;
		j->out.performed = 1;
		snprintf(j->out.target, sizeof(j->out.target), "%s", e.target);
		job_reason(j, "performed by a supervisor that ended before it could answer");
		job_revoke(o, j);
	}
}

static void *override_thread(void *arg)
{
	struct override *o = arg;
	struct warder_host *host = loader_host(o->loader);
	struct sched_param param = { .sched_priority = 10 };
	__u64 stop_at = 0;

	pthread_setname_np(pthread_self(), "warder-override");
	/* Threads wait in the kernel for this one. Without the right to it things go slower. */
	if (pthread_setschedparam(pthread_self(), SCHED_FIFO, &param))
		log_warning("overrides: no real-time priority, answers may come late");
	__atomic_store_n(&host->cpus, (__u32)sysconf(_SC_NPROCESSORS_ONLN), __ATOMIC_RELEASE);
	journal_recover(o);
	for (;;) {
		struct epoll_event ev[16];
		__u64 sleep, now = now_ns();
		struct timespec ts;
		int n;

		__atomic_store_n(&host->heartbeat, o->stopping ? 0 : now, __ATOMIC_RELEASE);
		sleep = jobs_tick(o);
		if (o->stopping && (!jobs_under_way(o) || now > stop_at))
			break;
		ts = (struct timespec){ .tv_nsec = (long)sleep };
		n = epoll_pwait2(o->epoll, ev, ARRAY_SIZE(ev), &ts, NULL);
		/* Claims first: for them somebody holds a CPU. */
		ring_buffer__consume(o->ring);
		for (int i = 0; i < n; i++) {
			if (ev[i].data.u32 >= EVENT_JOB) {
				on_executor(o, &o->job[ev[i].data.u32 - EVENT_JOB]);
			} else if (ev[i].data.u32 == EVENT_STOP && !o->stopping) {
				o->stopping = 1;
				stop_at = now_ns() + FREE_WITHIN;
				epoll_ctl(o->epoll, EPOLL_CTL_DEL, o->stop_fd, NULL);
			}
		}
		for (unsigned i = 0; i < o->reports; i++)
			icept_report(o, &o->report[i]);
		o->reports = 0;
	}
	return NULL;
}

/* ------------------------------------------------------------------------------- public */

int override_new(struct override **ret, struct loader *loader,
		 const struct override_callbacks *callbacks,
		 const struct override_options *options, struct warder_error *reterr)
{
	const char *path = options && options->journal ? options->journal : OVERRIDE_JOURNAL;
	unsigned executors = options && options->executors ? options->executors :
							     EXECUTORS_DEFAULT;
	struct epoll_event ev = { .events = EPOLLIN };
	struct override *o = calloc(1, sizeof(*o));
	int err;

	if (!o)
		return -ENOMEM;
	o->loader = loader;
	o->cb = *callbacks;
	o->epoll = o->stop_fd = -1;
	err = journal_open(&o->journal, path, reterr);
	if (err)
		goto fail;
	err = executor_pool_new(&o->pool, executors, reterr);
	if (err)
		goto fail;
	o->epoll = epoll_create1(EPOLL_CLOEXEC);
	o->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	o->ring = ring_buffer__new(loader_map_fd(loader, LOADER_MAP_INTERCEPTS), on_icept, o, NULL);
	if (o->epoll < 0 || o->stop_fd < 0 || !o->ring) {
		err = error_errno(reterr, -errno, "cannot read the ring of intercepts");
		goto fail;
	}
	ev.data.u32 = EVENT_RING;
	if (epoll_ctl(o->epoll, EPOLL_CTL_ADD, ring_buffer__epoll_fd(o->ring), &ev)) {
		err = error_errno(reterr, -errno, "cannot wait for intercepts");
		goto fail;
	}
	ev.data.u32 = EVENT_STOP;
	if (epoll_ctl(o->epoll, EPOLL_CTL_ADD, o->stop_fd, &ev)) {
		err = error_errno(reterr, -errno, "cannot wait for the end");
		goto fail;
	}
	*ret = o;
	return 0;
fail:
	override_free(o);
	return err;
}

int override_start(struct override *o, struct warder_error *reterr)
{
	sigset_t all, old;
	int err;

	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&o->thread, NULL, override_thread, o);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		return error_errno(reterr, -err, "cannot start the override thread");
	o->started = 1;
	return 0;
}

void override_free(struct override *o)
{
	if (!o)
		return;
	if (o->started) {
		eventfd_write(o->stop_fd, 1);
		pthread_join(o->thread, NULL);
	}
	ring_buffer__free(o->ring);
	executor_pool_free(o->pool);
	journal_close(o->journal);
	cleanup_close_p(&o->epoll);
	cleanup_close_p(&o->stop_fd);
	free(o);
}
