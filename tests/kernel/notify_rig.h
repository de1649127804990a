/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What tests of the new mount API share: callers behind a seccomp filter as `warder run` installs it,
 * and what mount(8) does with that API.
 */
#ifndef WARDER_NOTIFY_RIG_H
#define WARDER_NOTIFY_RIG_H

#include "override_rig.h"

#include <errno.h>
#include <stdio.h>

/* For functions that return an errno. */
#define OK(call)                                    \
	do {                                        \
		if ((call) < 0)                     \
			return errno ? errno : 255; \
	} while (0)

#define EXPECT(what, call, err)                                                            \
	do {                                                                               \
		long got_ = (call);                                                        \
		if ((got_ < 0 ? errno : 0) != (err)) {                                     \
			dprintf(2, "# %s: %ld, errno %d, not %d\n", what, got_, errno, err); \
			return 200;                                                        \
		}                                                                          \
	} while (0)

/* Shared with the caller; made by notify_setup(). */
extern struct notified {
	volatile int listener; /* its number there; 0: not yet */
	volatile int go;       /* it may go on */
	volatile int token;    /* whatever it tells us */
	volatile int step;     /* where it is, or failed */
} *notified;

struct notified_call {
	int (*fn)(void *arg);
	void *arg;
	int keep_caps; /* without any otherwise */
};

void notify_setup(void);
/* Starts a caller, which waits for `go`, and takes its listener. */
pid_t notify_start(__u32 slot, struct notified_call *c, int *ret_listener);
/* Lets it go on, with the override thread at its listener or (0) nobody. */
pid_t notify_begin(__u32 slot, struct notified_call *c, int answered);
/* Its exit status. */
int notify_run(__u32 slot, int (*fn)(void *), void *arg);
/* Until it is that much, for half a minute at the most. 0, or -1. */
int notify_wait_for(volatile int *value, int wanted);

struct new_mount {
	const char *type, *source, *target;
	const char *option[4]; /* "size=4M", "ro" */
	unsigned attr;
};

/* For callers, of a struct new_mount. As util-linux 2.39 and later do it; asks of the descriptors what
 * they ask. */
int new_mount(void *arg);
/* A bind, noexec. */
int new_bind(void *arg);
/* That errno at that step, for that reason, and nothing is there. */
void new_mount_refused(__u32 slot, int (*fn)(void *), struct new_mount *m, int err, int step, const char *why);

#endif
