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
#include <setjmp.h>
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
#include "fault.h"
#include "override_job.h"
#include "warder_decide.h"

#define JOBS_PER_CONTAINER 8
#define EXECUTORS_DEFAULT 4
#define BEAT (100 * MS)
#define POLL_SOON (100000)  /* ns between looks for a stop that is due */
#define POLL_LATER (5 * MS)
#define SOON (20 * MS)
#define FREE_WITHIN (3000 * MS)
#define SEIZE_WITHIN (5 * MS)
#define SEIZE_SIGNAL (SIGRTMAX - 1)
#define STOP_WITHIN 30000 /* ns */
#define BATCH 64 /* records read at a time */

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

/* Is the thread where the kernel left the refused call, and nowhere else? */
static int job_is_there(const struct job *j)
{
	const struct warder_icept *ic = &j->out.icept;
	const struct user_regs_struct *r = &j->regs;

	const __u64 now64[] = { r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9 };
	const __u64 now32[] = { (__u32)r->rbx, (__u32)r->rcx, (__u32)r->rdx,
				(__u32)r->rsi, (__u32)r->rdi, (__u32)r->rbp };
	const __u64 *now = ic->compat ? now32 : now64;

	return r->orig_rax == ic->nr && (__s32)r->rax == ic->result && r->rip == ic->ip &&
	       !memcmp(now, ic->arg, sizeof(ic->arg));
}

static void job_stopped(struct override *o, struct job *j)
{
	boost_end(o, j);
	if (j->give_up) {
		job_keep(o, j);
		return;
	}
	if (ptrace(PTRACE_GETREGS, j->tid, NULL, &j->regs) || !job_is_there(j)) {
		job_reason(j, "the thread is not where its call was refused");
		job_keep(o, j);
		return;
	}
	FAULT("stopped");
	if (job_admit(o, j)) {
		job_keep(o, j);
		return;
	}
	j->state = JOB_QUEUED;
	job_start(o, j);
}

/* Is the thread in a stop of ours? What wait(2) says of that can be lost: where the tracee is our
 * own process's child, another thread's wait for it takes the report away. */
static int job_has_stopped(struct job *j)
{
	siginfo_t si;

	if (ptrace(PTRACE_GETSIGINFO, j->tid, NULL, &si))
		return 0;
	/* A stop for a signal has taken it off the queue: given back when answered. */
	j->inject = si.si_code >> 8 == PTRACE_EVENT_STOP ? 0 : si.si_signo;
	return 1;
}

/* Looks whether the thread has stopped, or ended. */
static void job_look(struct override *o, struct job *j)
{
	int status;
	pid_t got = waitpid(j->tid, &status, __WALL | __WNOTHREAD | WNOHANG);

	if (got < 0 && errno == EINTR)
		return;
	if (got == 0 || (got == j->tid && WIFSTOPPED(status))) {
		if (!job_has_stopped(j))
			return;
		if (j->state == JOB_REAPING) {
			/* Alive after all, or a stop from before its end. */
			if (!ptrace(PTRACE_DETACH, j->tid, NULL, (void *)(long)j->inject))
				j->state = JOB_FREE;
			return;
		}
		j->stopped = 1;
		job_stopped(o, j);
		return;
	}
	boost_end(o, j);
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

/* Nobody will answer: ends the kernel's wait, or the stop that came in its place. Returns 1 when it
 * was a wait that was under way still. */
static int icept_let_go(struct override *o, const struct warder_icept *ic)
{
	const struct timespec moment = { .tv_nsec = 2 * MS };

	/* Claimed and not seized, the thread goes on with its errno at once. */
	if (!ic->late && claim(o, ic))
		return 1;
	if (!ic->late && !icept_stops_late(o, ic))
		return 0;
	/* Late, and its stop signal may still be under way. */
	if (!ic->late)
		nanosleep(&moment, NULL);
	kill((pid_t)ic->h.tgid, SIGCONT);
	return 0;
}

/* Seizing takes a lock that an exec of the thread's process holds for as long as reading the new
 * program takes, and that may be for ever. A timer's signal jumps out of it. */
static __thread sigjmp_buf seize_jump;
static __thread volatile sig_atomic_t seizing;

static void seize_too_long(int sig)
{
	(void)sig;
	if (seizing) {
		seizing = 0;
		siglongjmp(seize_jump, 1);
	}
}

static int seize(struct override *o, pid_t tid)
{
	const struct itimerspec never = { 0 };
	struct itimerspec limit = { .it_value.tv_nsec = SEIZE_WITHIN };
	__u64 bound = loader_host(o->loader)->wait_bound;
	int err = 0;

	if (bound > SEIZE_WITHIN)
		limit.it_value.tv_nsec = (long)bound;
	if (sigsetjmp(seize_jump, 1)) {
		/* The signal can have come between success and return. */
		return ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) ? -EBUSY : 0;
	}
	if (timer_settime(o->seize_timer, 0, &limit, NULL))
		return -errno;
	seizing = 1;
	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL))
		err = -errno;
	seizing = 0;
	timer_settime(o->seize_timer, 0, &never, NULL);
	if (!err)
		ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
	return err;
}

/* The timer's signal goes to this thread alone, whatever others block. */
static int seize_prepare(struct override *o)
{
	struct sigaction action = { .sa_handler = seize_too_long };
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SEIZE_SIGNAL };
	sigset_t set;

	event._sigev_un._tid = gettid();
	sigemptyset(&set);
	sigaddset(&set, SEIZE_SIGNAL);
	if (sigaction(SEIZE_SIGNAL, &action, NULL) ||
	    timer_create(CLOCK_MONOTONIC, &event, &o->seize_timer))
		return -errno;
	return -pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void icept_ask(struct override *o, const struct warder_icept *ic)
{
	struct job *j = NULL;
	__u64 begun;
	int err;

	if (!o->stopping && jobs_of(o, ic->h.cid, 0) < JOBS_PER_CONTAINER)
		j = job_new(o);
	if (!j) {
		icept_let_go(o, ic);
		if (o->reports == REPORTS_MAX)
			return; /* the container's counters have it */
		o->report[o->reports] = *ic;
		o->report[o->reports++].unasked = WARDER_UNASKED_BUSY;
		return;
	}
	outcome_init(&j->out, ic);
	j->tid = (pid_t)ic->h.tid;
	j->late = ic->late != 0;
	j->begun = now_ns();
	j->deadline = j->begun + OVERRIDE_DEADLINE_MS * MS;
	j->state = JOB_STOPPING;
	err = seize(o, j->tid);
	if (err) {
		job_reason(j, "the thread cannot be seized: %s", strerror(-err));
		/* One that has gone on, and perhaps ended, cannot be either. */
		if (!icept_let_go(o, ic) && !j->late)
			j->out.icept.unasked = WARDER_UNASKED_BOUND;
		job_end(o, j);
		return;
	}
	j->seized = 1;
	FAULT("seized");
	if (!j->late && !claim(o, ic)) {
		j->late = icept_stops_late(o, ic);
		j->give_up = !j->late;
		j->out.icept.unasked = WARDER_UNASKED_BOUND;
		job_reason(j, "%s", unasked_reason(WARDER_UNASKED_BOUND));
	}
	FAULT("claimed");
	begun = now_ns();
	/* It stops within some us: shorter than to sleep and be woken. */
	do
		job_look(o, j);
	while (j->state == JOB_STOPPING && !j->late && now_ns() - begun < STOP_WITHIN);
	if (j->state == JOB_STOPPING && !j->late && !j->give_up)
		boost_begin(o, j);
	FAULT("boosted");
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
			f.op = ic->op;
			if (f.op == WARDER_OP_MOUNT)
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

/* One after the other, so that a container that fills them up holds no claim up: somebody who
 * waits has come meanwhile, and the rest is told after that. */
static void reports_tell(struct override *o)
{
	struct warder_host *host = o->loader ? loader_host(o->loader) : NULL;
	unsigned told = 0;

	while (told < o->reports && host && !__atomic_load_n(&host->waiting, __ATOMIC_ACQUIRE))
		icept_report(o, &o->report[told++]);
	o->reports -= told;
	memmove(o->report, o->report + told, o->reports * sizeof(*o->report));
}

static int on_icept(void *arg, void *data, size_t size)
{
	struct override *o = arg;
	struct warder_icept ic;
	int over = 0;

	/* Containers could fill the ring faster than it is read: other work comes in between. */
	if (++o->batch > BATCH)
		over = -EAGAIN;
	if (size < sizeof(ic))
		return over;
	memcpy(&ic, data, sizeof(ic));
	if (ic.h.version != WARDER_EVENT_VERSION || ic.op == WARDER_OP_NONE ||
	    ic.op >= WARDER_OP__MAX || ic.call >= WARDER_CALL__MAX || ic.wait >= WARDER_WAITS_MAX)
		return over;
	if (ic.cookie) {
		icept_ask(o, &ic);
		return over;
	}
	/* Told when nobody waits any more; should there be too many, then now. */
	if (o->reports < REPORTS_MAX)
		o->report[o->reports++] = ic;
	else
		icept_report(o, &ic);
	return over;
}

/* --------------------------------------------------------------------------- the thread */

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
		if (j->state == JOB_ASKING)
			job_ask_look(o, j);
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
		/* Frozen, perhaps, or dying, which can take its time: not before others. */
		if (j->boosted && now - j->begun > SOON)
			boost_end(o, j);
		/* Executors wake us up by themselves. But where one host thread runs all CPUs, what
		 * makes it turn to the other CPU is an interrupt: a timer's, if no other comes. */
		if (j->state != JOB_FREE)
			want = now - j->begun < SOON ? POLL_SOON : POLL_LATER;
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

static void *override_thread(void *arg)
{
	struct override *o = arg;
	/* Without BPF nobody looks at it. */
	static struct warder_host nobody;
	struct warder_host *host = o->loader ? loader_host(o->loader) : &nobody;
	struct sched_param param = { .sched_priority = 10 };
	__u64 stop_at = 0;
	int err;

	pthread_setname_np(pthread_self(), "warder-override");
	/* Threads wait in the kernel for this one. Without the right to it things go slower. */
	if (pthread_setschedparam(pthread_self(), SCHED_FIFO, &param))
		log_warning("overrides: no real-time priority, answers may come late");
	__atomic_store_n(&host->cpus, (__u32)sysconf(_SC_NPROCESSORS_ONLN), __ATOMIC_RELEASE);
	err = seize_prepare(o);
	if (err) {
		/* Without a way out of seizing, a container could stop us: no heartbeat, no overrides. */
		log_error("overrides: no timer, refused calls keep their errno: %s", strerror(-err));
		sem_post(&o->begun);
		return NULL;
	}
	if (o->loader)
		kicker_start(o);
	boost_recover(o);
	journal_recover(o);
	__atomic_store_n(&host->heartbeat, now_ns(), __ATOMIC_RELEASE);
	sem_post(&o->begun);
	for (;;) {
		struct epoll_event ev[16];
		__u64 sleep, now = now_ns();
		struct timespec ts;
		int n;

		__atomic_store_n(&host->heartbeat, o->stopping ? 0 : now, __ATOMIC_RELEASE);
		sleep = jobs_tick(o);
		notify_tick(o);
		if (o->reports)
			sleep = sleep < POLL_SOON ? sleep : POLL_SOON;
		if (o->stopping && (!jobs_under_way(o) || now > stop_at))
			break;
		ts = (struct timespec){ .tv_nsec = (long)sleep };
		n = epoll_pwait2(o->epoll, ev, ARRAY_SIZE(ev), &ts, NULL);
		__atomic_add_fetch(&o->turns, 1, __ATOMIC_RELEASE);
		/* Claims first: for them somebody holds a CPU. */
		o->batch = 0;
		if (o->ring)
			ring_buffer__consume(o->ring);
		for (int i = 0; i < n; i++) {
			if (ev[i].data.u32 >= EVENT_LISTENER) {
				notify_ready(o, ev[i].data.u32 - EVENT_LISTENER, ev[i].events);
			} else if (ev[i].data.u32 >= EVENT_JOB) {
				job_reply(o, &o->job[ev[i].data.u32 - EVENT_JOB]);
			} else if (ev[i].data.u32 == EVENT_ANSWER) {
				job_answers(o);
				notify_take_new(o);
			} else if (ev[i].data.u32 == EVENT_STOP && !o->stopping) {
				o->stopping = 1;
				stop_at = now_ns() + FREE_WITHIN;
				epoll_ctl(o->epoll, EPOLL_CTL_DEL, o->stop_fd, NULL);
			}
		}
		reports_tell(o);
	}
	for (unsigned i = 0; i < JOBS; i++)
		boost_end(o, &o->job[i]); /* whatever has not stopped in time */
	kicker_join(o);
	timer_delete(o->seize_timer);
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
	o->inflight = options ? options->inflight : NULL;
	o->epoll = o->stop_fd = o->kick_epoll = o->answer_fd = -1;
	sem_init(&o->begun, 0, 0);
	pthread_mutex_init(&o->answer_lock, NULL);
	err = notify_new(&o->notify);
	if (!err)
		err = journal_open(&o->journal, path, reterr);
	if (err)
		goto fail;
	err = executor_pool_new(&o->pool, executors, journal_notes(o->journal), reterr);
	if (err)
		goto fail;
	o->epoll = epoll_create1(EPOLL_CLOEXEC);
	o->kick_epoll = epoll_create1(EPOLL_CLOEXEC);
	o->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	o->answer_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loader)
		o->ring = ring_buffer__new(loader_map_fd(loader, LOADER_MAP_INTERCEPTS), on_icept, o,
					   NULL);
	if (o->epoll < 0 || o->stop_fd < 0 || o->kick_epoll < 0 || o->answer_fd < 0 ||
	    (loader && !o->ring)) {
		err = error_errno(reterr, -errno, "cannot read the ring of intercepts");
		goto fail;
	}
	ev.data.u32 = EVENT_RING;
	if (loader && epoll_ctl(o->epoll, EPOLL_CTL_ADD, ring_buffer__epoll_fd(o->ring), &ev)) {
		err = error_errno(reterr, -errno, "cannot wait for intercepts");
		goto fail;
	}
	ev.data.u32 = EVENT_STOP;
	if (epoll_ctl(o->epoll, EPOLL_CTL_ADD, o->stop_fd, &ev)) {
		err = error_errno(reterr, -errno, "cannot wait for the end");
		goto fail;
	}
	ev.data.u32 = EVENT_ANSWER;
	if (epoll_ctl(o->epoll, EPOLL_CTL_ADD, o->answer_fd, &ev)) {
		err = error_errno(reterr, -errno, "cannot wait for handlers");
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
	/* Whoever is served after this may count on answers. */
	while (sem_wait(&o->begun) < 0 && errno == EINTR)
		;
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
	notify_free(o->notify);
	cleanup_close_p(&o->epoll);
	cleanup_close_p(&o->stop_fd);
	cleanup_close_p(&o->kick_epoll);
	sem_destroy(&o->begun);
	cleanup_close_p(&o->answer_fd);
	pthread_mutex_destroy(&o->answer_lock);
	free(o);
}
