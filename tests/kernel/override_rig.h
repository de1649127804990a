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
	struct override_callbacks callbacks;
	struct override_outcome last;
	int outcomes, undone;
	int userns_fd; /* what the containers own, -1: none */
	const struct warder_image *image; /* decisions come from it, NULL: from those policies */
	int use_stop;  /* decisions come from the second policy */
	volatile int stall; /* the next outcome holds the override thread up */
	volatile int kill_at_acquire; /* kills `caller` when its container is looked up */
	volatile pid_t caller; /* the last one that rig_run() started */
	int (*on_ask)(const struct override_ask *ask); /* NULL: there are no handlers */
	volatile __u64 watched, watched_ns; /* a cid; the latency of its last performed one */
} rig;

/* For cmocka_run_group_tests(). */
int rig_setup(void **state);
int rig_teardown(void **state);

/* A container in our namespaces, with so high a rate that it is never in the way. */
__u32 rig_container(const char *policy);
/* The same for one that exists, in those of `pid`; owned: it has a user namespace. */
void rig_container_set(__u32 slot, pid_t pid, int owned);

/* The last outcome, once `n` more than `before` have come; waits for 4 s. */
struct override_outcome *rig_outcome_wait(int before, int n);

struct rig_call {
	const char *source, *target, *type, *data;
	unsigned long flags;
	const char *dir, *root;
	int uid;
};

/* Our threads trace our children: a plain wait also sees them held. Exit status, 128 + signal,
 * or RIG_REAPED. */
int rig_wait(pid_t pid);
/* As h_run(). */
int rig_run(int slot, int (*fn)(void *), void *arg);
/* For it: does a struct rig_call, returns its errno. */
int rig_mount(void *arg);

/* The call's errno and why, as its event says it; performed if there is none. */
void rig_result(int line, __u32 slot, int (*fn)(void *), void *arg, int expected, const char *why);
/*
 * A container with a user namespace of its own: `fn` unshares it and writes to `ready`, reads from
 * `go`, mounts and writes again; then `made` looks at that from outside (NULL: nobody does), the
 * policy is opened, and after another byte from `go` it tries what nobody but the kernel refuses.
 */
void rig_in_userns(__u32 slot, int (*fn)(int ready, int go), void (*made)(void));

/* How many mounts lie on `point`; the last one's line of mountinfo, unless `options` is NULL. */
int rig_mounted(const char *point, char *options, size_t size);

/* A mount whose caller is killed while it is decided: nothing is there afterwards, or not any more. */
void rig_mount_killed(__u32 slot, struct rig_call *c);
/* Inode number, 0 if there is none. */
__u32 rig_ns_ino(const char *path);
__u64 rig_now_ms(void);

#endif
