/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What kernel tests share: the programs loaded once, containers made of nothing but a tag and a
 * policy, and operations run in a child that has the tag before it runs. Everything here ends
 * the test program with a message when it fails: it is no part of what is tested.
 */
#ifndef WARDER_HARNESS_H
#define WARDER_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/types.h>

#include "loader.h"
#include "policy.h"

/* Loads and attaches, at the first call. Unpins at exit; with WARDER_TEST_KEEP in the environment the
 * programs stay, without containers, and the next test program takes them up. */
struct loader *h_load(void);

/* A new container under this policy (text), with the mounts of this mount namespace recorded.
 * Returns its slot. */
__u32 h_container(const char *policy);
/* The same for a compiled image; NULL: an image that allows everything. */
__u32 h_container_image(const struct warder_image *image);

/* Replaces its policy. */
void h_policy(__u32 slot, const char *policy);
/* Compiles; the caller frees it. */
struct warder_image *h_compile(const char *policy);
/* Records the mounts of the current mount namespace anew. */
void h_record_mounts(__u32 slot);

__u64 h_cid(__u32 slot);
struct warder_stats h_stats(__u32 slot);
__u64 h_fault_count(enum warder_fault fault);

/* Forks a child, tags it through its pidfd, then lets it run fn(arg), whose result (0..255) is
 * its exit status. Returns that, or 128 + the signal that ended it. slot < 0: no tag. */
int h_run(int slot, int (*fn)(void *), void *arg);

/* The same in two steps: the child runs when this returns. */
pid_t h_start(int slot, int (*fn)(void *), void *arg);
int h_wait(pid_t pid);
/* Tags a process that there is already. */
void h_tag(pid_t pid, __u32 slot);

/* Records the mount that `dir` lies on as `path`. */
void h_record_mount(__u32 slot, const char *dir, const char *path);

/* Throws away the events that wait. */
void h_events_drop(void);
/* The container's last verdict event since h_events_drop(), with its name and detail (buffers of
 * WARDER_PATH_MAX). 0: there was none. */
int h_event_last(__u32 slot, struct warder_event *ret, char *name, char *detail);

/* The same for events of one type and hook (WARDER_HOOK_NONE: any). Returns how many there were. */
int h_events_of(__u32 slot, enum warder_event_type type, enum warder_hook hook,
		struct warder_event *ret, char *name, char *detail);

/* Hands over every verdict and learn event that waits; `text` is e->text_len bytes and then
 * e->detail_len. */
typedef void (*h_event_fn)(const struct warder_event *e, const char *text, void *arg);
void h_events_each(h_event_fn fn, void *arg);

/* Writes a file anew. */
void h_write(const char *path, const char *text);
/* Runs a command by sh; ends the program if it fails. */
void h_shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* For children. Opens (a new file with 0644) and closes: 0, or the errno; the same for h_run(). */
int h_open(const char *path, int flags);
int h_open_read(void *path);
int h_open_write(void *path);
/* Becomes that program, without arguments; or the errno. */
int h_exec(void *path);
/* A mount namespace of their own (and what else `flags` says) that nothing is propagated to. 0, or -1. */
int h_own_mounts(int flags);
/* A child that waits for its end, which comes with h_kill(). */
pid_t h_fork_idle(void);
void h_kill(pid_t pid);

/* Zeroed memory that children share with us. */
void *h_shared(size_t size);
/* For children: takes all their capabilities away. 0, or 250. */
int h_drop_capabilities(void);

/* 0 when a system call's result is no failure, else its errno: what children return. */
int h_errno(long result);

#endif
