/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tests of overrides share: the override thread with callbacks of its own, and callers
 * that mount(2). The test's own mount namespace is the container's; the executors stay in the
 * host's.
 */
#ifndef WARDER_OVERRIDE_RIG_H
#define WARDER_OVERRIDE_RIG_H

#include "harness.h"

#include "../../user/override_internal.h"
#include "clock.h"

#define RIG_JOURNAL "/run/warder-test.journal"
/* rig_wait(): the thread that traced it reaped it first; to the kernel they are one parent. */
#define RIG_REAPED 249

/* A folder with a file "file" that says "hello", made by mksquashfs 4.5.1; gzip. */
#define RIG_SQUASHFS_IMAGE                                                                        \
	"H4sIAAAAAAACA8soLixmYoABJgZGIMnIIMhwgImRgQXIVoDK3IfS16H0fyhIg/LbofRGKH0SSmek5uTkc8kzVNxK" \
	"Too4dIKBtYBNZEPj0XuHWmdOyMhUSGNLYnB7wXhADKQgoYHBTePskQNnJkybOZmLgSWKcblAQwLUIDYGsNsY5kP5" \
	"fFAdrBq8DIwCDIo7oeIsDSDyIsMoGAWjYBSMglEwCkbBKBgFo2AUjIJRMArgAAClAEeNABAAAA=="

/* A tmpfs below /mnt/scratch and a bind are performed; the other one stops who is late. */
extern const char rig_policy[], rig_policy_stop[];

extern struct rig {
	struct override *override;
	struct override_callbacks callbacks; /* what rig_setup() has put up */
	struct override_outcome last;
	int outcomes, undone;
	int userns_fd; /* what the containers own, -1: none */
	volatile int stall; /* the next outcome holds the override thread up */
	volatile int kill_at_acquire; /* kills `caller` when its container is looked up */
	volatile pid_t caller; /* the last one that rig_run() started */
	int (*on_ask)(const struct override_ask *ask); /* NULL: there are no handlers */
	volatile __u64 watched, watched_ns; /* a cid; the latency of its last performed one */
} rig;

/* For cmocka_run_group_tests(). */
int rig_setup(void **state);
int rig_teardown(void **state);

/* Of rig_setup() only the programs, with a bound that an emulator needs. */
void rig_load(void);

/* A container in our namespaces, with so high a rate that it is never in the way. Decisions about its
 * calls come from this policy. */
__u32 rig_container(const char *policy);
/* That policy's image; lives until rig_teardown(). */
const struct warder_image *rig_image(__u32 slot);
/* The same for one that exists, in those of `pid`; owned: it has a user namespace. */
void rig_container_set(__u32 slot, pid_t pid, int owned);

/* The last outcome, once `n` more than `before` have come; waits for 4 s. */
struct override_outcome *rig_outcome_wait(int before, int n);

struct rig_call {
	const char *source, *target, *type, *data;
	unsigned long flags;
	int unshare; /* CLONE_NEW*: what the caller leaves first */
	const char *dir, *root;
	int uid;
};

/* Our threads trace our children: a plain wait also sees them held. Exit status, 128 + signal,
 * or RIG_REAPED. */
int rig_wait(pid_t pid);
/* As h_run(). */
int rig_run(int slot, int (*fn)(void *), void *arg);
/* Once more, up to nine times, while its answer came too late on a slow machine, and says so. */
int rig_run_in_time(__u32 slot, int (*fn)(void *), void *arg);

/* For them. Does a struct rig_call, returns its errno. */
int rig_mount(void *arg);
/* These take a path: unmount it, detached or not; make its mount writable, and all else it may be
 * (MS_REMOUNT | MS_BIND); read a byte of it (200: it is empty). */
int rig_umount(void *arg);
int rig_detach(void *arg);
int rig_remount(void *arg);
int rig_read(void *arg);

/* The call's errno and why, as its event says it. */
void rig_answer(int line, __u32 slot, int (*fn)(void *), void *arg, int expected, const char *why);
/* And it is performed if there is no errno. */
void rig_result(int line, __u32 slot, int (*fn)(void *), void *arg, int expected, const char *why);
#define ANSWER(expected, why, fn, arg) rig_answer(__LINE__, slot, fn, (void *)(arg), expected, why)
#define RESULT(expected, why, fn, arg) rig_result(__LINE__, slot, fn, (void *)(arg), expected, why)

/*
 * A container with a user namespace of its own, whose root `fn` becomes by rig_owner_enter(). It mounts
 * and calls rig_owner_step(); meanwhile `made` looks at that from outside (NULL: nobody does) and the
 * policy is opened, so that it can try what nobody but the kernel refuses. Returns 0 if all is well.
 */
void rig_in_userns(__u32 slot, int (*fn)(void), void (*made)(void));
/* For `fn`. 0, or 240. */
int rig_owner_enter(void);
/* Tells that it has come so far, waits to be sent on. 0, or 239. */
int rig_owner_step(void);
/* rig_mount(), again while the errno may be that of an answer that came too late. */
int rig_mount_in_time(struct rig_call *c);
/* Both. */
int rig_owner_mount(struct rig_call *c);

/* A tmpfs of the host's at a path of the container's, known there by that name. */
void rig_tmpfs(__u32 slot, const char *path, unsigned long flags, const char *data);
/* How many mounts lie on `point`; the last one's line of mountinfo, unless `options` is NULL. */
int rig_mounted(const char *point, char *options, size_t size);
/* The line of the only one there; until the next call. */
const char *rig_line(const char *point);

/* Kills the last one that rig_run() started. */
void rig_kill_caller(void);

/* A mount whose caller is killed while it is decided: nothing is there afterwards, or not any more. */
void rig_mount_killed(__u32 slot, struct rig_call *c);
/* Inode number, 0 if there is none. */
__u32 rig_ns_ino(const char *path);

#endif
