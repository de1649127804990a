/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the executor share: the way home, /proc/TID, the caller's memory, mountinfo. */
#ifndef EXECUTOR_INTERNAL_H
#define EXECUTOR_INTERNAL_H

#include <stdio.h>

#include "executor.h"

/* Fills error and `what`; returns the error. */
int fail(struct executor_reply *reply, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void close_fd(int *fd);

/* Back to the host's namespaces, root and full rights. Nothing may go on elsewhere: a process that
 * cannot come home ends. */
void come_home(const struct executor_home *home);

/* /proc/TID/NAME */
int proc_open(pid_t tid, const char *name, int flags);
/* The whole of a small file, NUL-terminated; the caller frees it. */
char *proc_read(pid_t tid, const char *name);
/* Field 22 of /proc/TID/stat: when it started. */
__u64 stat_start(const char *stat_text);
__u32 fd_ino(int fd);
int mount_id_of(int fd, __u64 *ret_id, __u32 *ret_major, __u32 *ret_minor);

/* One line of mountinfo. */
struct mount_line {
	__u64 id;
	__u32 major, minor;
	__u32 flags;     /* MS_* of the mount */
	unsigned shared; /* peer group, 0: none */
	unsigned master;
	char type[32];
	char point[EXECUTOR_TEXT_SIZE]; /* as seen from the reader's root */
};
/* The line of mount `id`: 0 or -ENOENT. */
int mountinfo_find(FILE *mountinfo, __u64 id, struct mount_line *ret);
/* Of the executor itself, in whatever mount namespace it is; NULL: it cannot be read. */
FILE *mountinfo_own(const struct executor_home *home);

/* Hands req->text, options one after the other, to a file system that is being made or remounted.
 * executor_mount.c */
int set_options(int fs, const struct executor_request *req, struct executor_reply *reply);

/* The steps: executor_resolve.c, executor_call.c. */
void resolve(struct operation *op, const struct executor_home *home,
	     const struct executor_request *req, struct executor_reply *reply);
void perform(struct operation *op, const struct executor_home *home,
	     const struct executor_request *req, struct executor_reply *reply);
void perform_undo(struct operation *op, const struct executor_home *home,
		  struct executor_reply *reply);

#endif
