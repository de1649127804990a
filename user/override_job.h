/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The override thread's state, shared by override.c, override_job.c and override_kicker.c. Only
 * that thread touches it, but for what the kicker's part says. */
#ifndef OVERRIDE_JOB_H
#define OVERRIDE_JOB_H

#include <pthread.h>
#include <semaphore.h>
#include <sys/user.h>
#include <time.h>

#include "fs_context.h"
#include "override_internal.h"

#define MS 1000000ull
#define JOBS JOURNAL_PLACES
#define REPORTS_MAX 256     /* waiting to be told; more are told at once */
#define RATES 256           /* rules whose rate is counted at the same time */
#define SHARES 256          /* containers whose use of executors is counted at the same time */

/* Keys of the epoll set; job i has EVENT_JOB + i, listener i EVENT_LISTENER + i. */
enum { EVENT_RING, EVENT_STOP, EVENT_ANSWER, EVENT_JOB, EVENT_LISTENER = EVENT_JOB + JOBS };

enum job_state {
	JOB_FREE = 0,
	JOB_STOPPING,  /* seized and interrupted; waits for the stop */
	JOB_QUEUED,    /* stopped; waits for an executor */
	JOB_RESOLVING,
	JOB_ASKING,    /* no executor; waits for a handler's word */
	JOB_MAKING,
	JOB_ATTACHING,
	JOB_PERFORMING, /* everything but new mounts and binds */
	JOB_UNDOING,   /* the caller is gone: the executor takes the mount off */
	JOB_TAKING_BACK, /* the same for what is no new mount */
	JOB_CLONING,   /* open_tree: the source is being cloned */
	JOB_GIVING,    /* the caller is being given a descriptor */
	JOB_REVOKE,    /* waits for an executor that undoes what the journal says */
	JOB_REVOKING,
	JOB_REAPING,   /* the thread died while we traced it: its end must be waited for */
};

struct job {
	enum job_state state;
	int late;        /* stopped by SIGSTOP: continued when answered */
	int boosted;     /* at real-time priority until it stops; `policy` is what it had */
	int policy;
	int boost_failed; /* or done: not tried again */
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
	__u64 taken;     /* when the executor was */
	struct override_target target;
	struct warder_ctr ctr;
	struct user_regs_struct regs;
	struct override_decision decision;
	struct override_outcome out;
	struct journal_entry entry;
	__u32 *told;   /* what is performed is being answered: the journal's word for that */
	int recovered; /* an earlier supervisor's */
	int renamed;   /* move: the target has not the name any more that was decided on */
	int target_fd; /* number in the executor */
	int second_fd; /* what is moved, or the folder of what is made or unmounted */
	char from[WARDER_PATH_MAX]; /* move: the old name; bind: the source's */
	int granted;   /* a handler has said: perform */
	char said[128]; /* by whom */
	struct override_changes changes; /* and with these */
	int has_from;  /* open_tree: the source has that name */
	__u32 below;   /* open_tree: mounts below the source */
	char source_text[WARDER_PATH_MAX]; /* open_tree: the caller's string */
	char asked_target[WARDER_PATH_MAX];
	char asked_from[WARDER_PATH_MAX];
	char *layers;  /* an overlay's, by their names as they were first found, each with a NUL; NULL: none */
	size_t layers_size;
	struct executor_reply *asked; /* what it was asked about, while it is asked and after */
	/* A call that a filter asks about; NULL: handed over by BPF. */
	struct listener *listener;
	__u64 notify;      /* id of the notification */
	__u32 profile;     /* number of the caller's */
	__u32 mount_flags; /* MS_*: what mount(2) would have been told */
	__u64 held[EXECUTOR_HELD_MAX]; /* serials of what the call was compared with */
	struct token *token; /* that it is about, busy until the job ends */
	int looked;        /* its image was looked for as well */
	__u64 given;       /* serial of the one whose descriptor the caller gets */
};

struct rate {
	__u64 cid;
	__u32 rule;
	__u32 count;
	__u64 window;
};

/* How long a container may keep executors at real-time priority: a quarter of the time, and at
 * most a quarter of a second of it at once. */
struct share {
	__u64 cid;
	__u64 stamp;
	__s64 left; /* ns */
};

struct notify;

struct override {
	struct loader *loader; /* NULL: nothing is handed over by BPF */
	__u64 cookie; /* without a loader: the last one */
	struct notify *notify;
	struct override_inflight *inflight; /* may be NULL */
	struct override_callbacks cb;
	struct executor_pool *pool;
	struct journal *journal;
	struct ring_buffer *ring;
	int epoll;
	int stop_fd;
	int started;
	int stopping;
	pthread_t thread;
	sem_t begun; /* its first heartbeat is there, or there will be none */
	pthread_t kicker;
	int kicking; /* 1: there is a kicker */
	int kick_epoll;
	pid_t tid;   /* of the thread */
	int cpu[2];  /* the thread's, the kicker's */
	unsigned turns;
	timer_t seize_timer;
	int answer_fd;
	pthread_mutex_t answer_lock; /* of the two below */
	struct override_answer answer[JOBS];
	unsigned answers;
	struct executor_request req; /* one thread: too large for the stack of many calls */
	struct executor_reply reply;
	int reply_fd; /* what came with it, -1: nothing; closed unless it is taken */
	struct warder_icept report[REPORTS_MAX];
	unsigned reports;
	unsigned batch; /* read in this turn */
	struct rate rate[RATES];
	struct share share[SHARES];
	struct job job[JOBS];
};

static inline __u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (__u64)ts.tv_sec * 1000000000ull + (__u64)ts.tv_nsec;
}

/* One sentence for the outcome: why this and not the other. */
void job_reason(struct job *j, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A free place, zeroed; NULL when all are taken. */
struct job *job_new(struct override *o);
/* How many the container has; with_executor: only those that hold one. */
unsigned jobs_of(const struct override *o, __u64 cid, int with_executor);
unsigned job_index(const struct override *o, const struct job *j);
/* Gives a stopped call to an executor, if the container may have one more. */
void job_start(struct override *o, struct job *j);
/* What the executor says, if it has said something. */
void job_reply(struct override *o, struct job *j);
/* The executor failed or is late: the original errno, and undone what may have been done. */
void job_executor_lost(struct override *o, struct job *j, const char *why);
/* Leaves the executor: idle again, or killed when it has not answered. */
void job_leave_executor(struct override *o, struct job *j);
/* Has a free executor undo what j->entry says. */
void job_revoke(struct override *o, struct job *j);
/* The original errno stands; the reason has been given. */
void job_keep(struct override *o, struct job *j);
/* Tells how it ended and forgets the job. */
void job_end(struct override *o, struct job *j);

/* override_undo.c: what the journal is to know of the call; the mount's id is added by whoever makes it. */
void job_note_entry(struct job *j);
/* Has its executor take the new mount off, or take back what it has performed. */
void job_undo(struct override *o, struct job *j);
void job_take_back(struct override *o, struct job *j);
/* What the executor says of that, and of job_revoke(). */
void job_taken_back(struct override *o, struct job *j);
void job_undone(struct override *o, struct job *j);
/* What an earlier supervisor performed and did not answer. */
void journal_recover(struct override *o);

/* override_ask.c: has a handler decide; takes what it says; the deadline, or nobody is there. */
void job_ask(struct override *o, struct job *j);
void job_answers(struct override *o);
void job_fall_back(struct override *o, struct job *j, const char *why);
/* Looks whether the caller is still there. */
void job_ask_look(struct override *o, struct job *j);
/* What the handler wants to be another way; the rules see that. -EPERM: other layers than were found. */
int job_ask_change(struct override *o, const struct job *j, struct override_facts *f);
/* Is what was resolved now the same as what the handler was asked about? */
int job_asked_same(const struct override *o, const struct job *j);
/* Have an overlay's layers the names that they had when the handler was asked? Before that: keeps them. */
int job_layers_same(struct job *j, const struct override_facts *f);
/* Lets the thread go on, with `result` in the place of the kernel's when `set`. -ESRCH: it is gone. */
int job_answer(struct job *j, int set, long result);

/* Names that rules speak of: of the target, or of what will be `last` in a folder. */
struct job_names {
	char target[WARDER_PATH_MAX + EXECUTOR_LAST_SIZE];
	char other[WARDER_PATH_MAX];
};

/* override_facts.c: of the last reply, which RESOLVE has brought. */
void facts_fill(struct override *o, struct job *j, struct override_facts *f, struct job_names *n);
__u32 icept_cause(const struct warder_icept *ic);
/* Looks its container up; 0, or -errno with a reason given. */
int job_admit(struct override *o, struct job *j);
/* Forgets the job, and nothing is told of it. */
void job_drop(struct override *o, struct job *j);
/* Has its executor RESOLVE the call; `image`: move_mount: the source of the context, NULL: not wanted. */
void job_resolve(struct override *o, struct job *j, const struct fs_mount *m);
/* One step of its executor; 0 or -errno. */
int job_send(struct job *j, struct override *o, enum executor_step step, int fd);

/* override_world.c. Never used again in a boot. */
__u64 world_cookie(struct override *o);
/* The container's record into j->ctr. */
int world_record(struct override *o, struct job *j);
/* The name as rules have it, for descriptor `fd` of the executor, which the last reply is about. */
int world_name(struct override *o, struct job *j, int fd, char *name, size_t size);
/* A mount was made, and will be at `path`; or it was moved. */
int world_made(struct override *o, struct job *j, int fd, const char *path,
	       struct warder_error *reterr);
int world_moved(struct override *o, struct job *j, const char *from, const char *to);
/* Whose task that is. */
int world_task(struct override *o, const struct job *j, pid_t tgid, struct warder_task *ret);

struct seccomp_notif;
/* override_keys.c: 1 if the call was keyctl(2), and is answered. */
int notify_keys(struct override *o, __u64 cid, __u32 slot, int fd, const struct seccomp_notif *req);
/* override_notify.c: calls that seccomp filters ask about. */
int notify_new(struct notify **ret);
void notify_free(struct notify *n);
/* New listeners, from other threads. */
void notify_take_new(struct override *o);
/* Listener `i` has something to say. */
void notify_ready(struct override *o, unsigned i, __u32 events);
/* What time brings: listeners that had to wait. */
void notify_tick(struct override *o);
/* What RESOLVE needs to know of contexts and mounts. */
void notify_request(struct override *o, struct job *j, struct executor_request *req);
/* After RESOLVE: 1: go on with the decision as for any other mount; 0: it has been answered. */
int notify_resolved(struct override *o, struct job *j);
/* After CLONE. */
void notify_cloned(struct override *o, struct job *j);
/* The clone that the call's stand-in stands for, -1: none; its name, and the mounts in it. */
int notify_tree(const struct job *j, const char **ret_from, __u32 *ret_below);
/* The executor has it: the stand-in stands for nothing more. */
void notify_tree_close(struct job *j);
/* What is mounted by a call that was looked at once for that already; else NULL. */
const struct fs_mount *notify_mount(const struct job *j);
/* After GIVE. */
void notify_given(struct override *o, struct job *j);
/* As job_answer(). */
int notify_answer(struct job *j, int set, long result);
/* Is the caller still waiting? */
int notify_is_alive(const struct job *j);
/* The job ends: its listener and what it was about are free again. */
void notify_leave(struct override *o, struct job *j);

/* override_boost.c: has a claimed thread come before ordinary ones until it stops. */
void boost_begin(struct override *o, struct job *j);
void boost_end(struct override *o, struct job *j);
/* What a supervisor that was killed could not end. */
void boost_recover(struct override *o);

/* override_kicker.c: keeps the calling thread from waiting behind a caller that waits for it. */
void kicker_start(struct override *o);
void kicker_join(struct override *o);

#endif
