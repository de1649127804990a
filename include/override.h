/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Overrides by handoff and by seccomp notification: intercepts in, answers out. Runs in a thread of
 * its own, which is the tracer of every thread it answers by handoff, and hands everything that can
 * block to executor processes. See docs/OVERRIDES.md for the claim protocol.
 */
#ifndef WARDER_OVERRIDE_H
#define WARDER_OVERRIDE_H

#include "loader.h"
#include "log.h"
#include "warder_abi.h"

struct override;

/* What the pipeline must know of a container. Filled under the callback; the image stays
 * valid until release() is called with it. */
struct override_target {
	__u64 cid;
	__u32 slot;
	char name[WARDER_NAME_SIZE];
	const struct warder_image *image;
	int userns_fd; /* owned user namespace of the container (borrowed), -1: the host's */
	int root_fd;   /* O_PATH on the container's root directory (borrowed), -1: unknown */
	/* Without a loader, which knows these: inode numbers of its namespaces. */
	__u32 userns, mntns;
};

/* How an intercept ended, for the event. */
struct override_outcome {
	struct warder_icept icept; /* as the kernel reported it */
	__u64 cid;
	__u32 rule;       /* the rule that matched, 0: none */
	__u32 near_rule;  /* the one that came nearest, 0: none */
	int result;       /* what the program saw: 0 or -errno */
	int performed;    /* 1: the supervisor carried it out */
	int undone;       /* 1: carried out and taken back */
	__u64 latency_ns; /* from the refusal to the answer */
	char target[WARDER_PATH_MAX]; /* name in the container, "" if not resolved */
	char source[WARDER_PATH_MAX];
	char reason[256]; /* one sentence: why this and not the other */
};

/* A call that waits for a handler's word. */
struct override_ask {
	__u64 cookie;      /* names it in the answer; never used again in a boot */
	__u32 may_perform; /* 1: the handler may say so */
	__u32 deadline_ms; /* after that the rule's fallback applies, whatever is said */
	__u32 may_flags;   /* 1: the handler may add flags of OVERRIDE_ADDED_FLAGS to the mount */
	__u32 may_options; /* 1: it may say what the options are */
	__u32 mount_flags; /* MS_*, of a mount */
	char handler[WARDER_NAME_SIZE];
	char options[WARDER_PATH_MAX]; /* of a new mount; cut off when it is longer */
	struct override_outcome call; /* what is known; result and latency mean nothing yet */
};

enum override_says {
	OVERRIDE_SAYS_NOTHING = 0, /* nobody answers: the rule's fallback */
	OVERRIDE_SAYS_DENY,        /* `value`: the errno */
	OVERRIDE_SAYS_FAKE,        /* `value`: the result, not negative */
	OVERRIDE_SAYS_PERFORM,
	OVERRIDE_SAYS_DEFER,       /* `value`: ms more from now, a minute in all at most */
};

/* Flags of a mount (MS_*) that a handler may add: RDONLY, NOSUID, NODEV, NOEXEC, NOATIME, NODIRATIME. */
#define OVERRIDE_ADDED_FLAGS (0x1u | 0x2u | 0x4u | 0x8u | 0x400u | 0x800u)
#define OVERRIDE_OPTIONS_SIZE 1024

/* What a handler has changed of the call: the rules judge the result. */
struct override_changes {
	__u32 add_flags; /* of OVERRIDE_ADDED_FLAGS */
	__u32 has_options;
	char options[OVERRIDE_OPTIONS_SIZE]; /* in the place of the call's */
};

struct override_answer {
	__u64 cookie;
	int says; /* enum override_says */
	int value;
	struct override_changes changes; /* PERFORM */
	char why[128]; /* who says it, or why nobody does: for the event */
};

struct override_callbacks {
	/* 0, or -ENOENT if the id is gone. Called from the override thread. */
	int (*acquire)(void *arg, __u64 cid, __u32 slot, struct override_target *ret);
	void (*release)(void *arg, struct override_target *target);
	/* For every intercept, answered or only reported. Called from the override thread. */
	void (*outcome)(void *arg, const struct override_outcome *outcome);
	/* Hands a call to a handler; must not wait. 0, or -errno when it cannot be handed on. NULL: there
	 * are no handlers. Called from the override thread. */
	int (*ask)(void *arg, const struct override_ask *ask);
	/* A listener of override_listen() is not there any more. NULL: nobody minds. Called from the
	 * override thread. */
	void (*unlisten)(void *arg, __u64 cid, __u32 slot);
	void *arg;
};

#define OVERRIDE_JOURNAL "/run/warder/override.journal"

/* A notification that has been taken up, or was the last time: written by the override thread, read by
 * whoever must answer it should this process die. The last entry is for those that are passed on at
 * once. */
struct override_inflight {
	__u64 cid; /* 0: none yet */
	__u64 id;
};
#define OVERRIDE_INFLIGHT 65
#define OVERRIDE_INFLIGHT_SIZE (OVERRIDE_INFLIGHT * sizeof(struct override_inflight))

struct override_options {
	struct override_inflight *inflight; /* OVERRIDE_INFLIGHT of them; NULL: nobody reads it */
	unsigned executors;  /* 0: 4, at most EXECUTORS_MAX */
	const char *journal; /* NULL: OVERRIDE_JOURNAL; its folder is made when it is missing */
};

/*
 * Forks the executors, so call it before threads are started. Without a `loader` (NULL) nothing is
 * handed over by BPF, and containers have no tags: only what override_listen() is told of is answered.
 * Names are then paths from the container's root_fd, which must be there.
 */
int override_new(struct override **ret, struct loader *loader,
		 const struct override_callbacks *callbacks,
		 const struct override_options *options, struct warder_error *reterr);
/* Starts the thread: from here the heartbeat is fresh and refusals are handed over. */
int override_start(struct override *o, struct warder_error *reterr);
/* The answer to an ask. Thread-safe, does not wait; one that comes too late, or twice, is dropped.
 * -EAGAIN: too many at once, this one is lost and the deadline will answer. */
int override_answer(struct override *o, const struct override_answer *answer);
/*
 * Has what the seccomp filter behind `listener` asks about answered for the container: that filter was
 * put on its tasks with override_filter_install(). Takes the descriptor, also when it fails; it is
 * closed when the last of those tasks has ended. Thread-safe, does not wait. -EAGAIN: too many at once.
 */
int override_listen(struct override *o, __u64 cid, __u32 slot, int listener);

/* What the filter asks about. */
#define OVERRIDE_FILTER_MOUNT 1 /* calls of the new mount API */
#define OVERRIDE_FILTER_KEYS 2  /* keyctl(2): what gives a task another session keyring */

/* Which of them the image speaks of in a way that only such a filter can answer: OVERRIDE_FILTER_*. */
int override_needs_filter(const struct warder_image *img);
/*
 * Puts the filter on the calling process, which must be single-threaded and have CAP_SYS_ADMIN in its
 * user namespace: those calls (OVERRIDE_FILTER_*) wait for an answer from then on, in it and in
 * everything that it starts. Needs Linux 5.19. The listener, or -errno.
 */
int override_filter_install(int what, struct warder_error *reterr);

/* Answers what is under way with its original errno, stops thread and executors. NULL is fine. */
void override_free(struct override *o);

/* Resolves every host path that the image offers by `bind:`, at load time: no symlink, no
 * component that a non-root user can write. -EINVAL with the rule's file:line. */
int override_check_binds(const struct warder_image *img, struct warder_error *reterr);
/* The FUSE programs alone: is each there, and can only root change it? 0 or -EINVAL. Needs no rights. */
int override_check_programs(const struct warder_image *img, struct warder_error *reterr);

#endif
