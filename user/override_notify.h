/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between override_notify.c and override_token.c: listeners, and the stand-ins that containers hold for
 * contexts and mounts of the supervisor's making. Only the override thread touches them, but for the
 * queue of new listeners. */
#ifndef OVERRIDE_NOTIFY_H
#define OVERRIDE_NOTIFY_H

#include "fs_context.h"
#include "override_job.h"

#define LISTENERS 256
#define TOKENS 256
#define TOKENS_PER_CONTAINER EXECUTOR_HELD_MAX
#define NEW_MAX LISTENERS

struct listener {
	int fd; /* -1: free place */
	__u32 slot;
	__u64 cid;
	unsigned jobs; /* that are to be answered through it */
	int paused;    /* not looked at: too much is under way */
	int gone;      /* nobody is left who could ask */
	__u64 stamp;   /* when `left` was filled up last */
	unsigned left; /* calls that it may ask about now */
};

struct token {
	__u64 serial; /* 0: free place */
	__u64 cid;
	__u64 used;
	int fd;
	int is_mount;
	int busy;
	int spent; /* a mount that was attached */
	int tree;  /* what open_tree cloned of the container's own, attached nowhere; -1: nothing */
	__u32 below; /* mounts in it, its root aside */
	char from[WARDER_PATH_MAX]; /* the name that it was cloned at */
	union {
		struct fs_context context;
		struct fs_mount mount;
	};
};

struct notify {
	pthread_mutex_t lock; /* of the queue */
	unsigned news;
	struct {
		__u64 cid;
		__u32 slot;
		int fd;
	} new_[NEW_MAX];
	__u64 serial;
	size_t notif_size;
	struct listener listener[LISTENERS];
	struct token *token[TOKENS];
};

/* Forgets place `i`. */
void token_free(struct notify *n, unsigned i);
/* Which of the stand-ins the call is about, kept from others until it has ended. 0, or the errno that
 * the caller gets. */
int token_take(struct override *o, struct job *j);
/* A call about a stand-in, or one that begins with it. 1: go on with the decision as for any other
 * mount; 0: it has been answered. */
int token_call(struct override *o, struct job *j);
/* It is answered, and there is nothing to tell. */
void token_quiet(struct override *o, struct job *j, long result);

#endif
