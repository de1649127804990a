/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libwarder: start, watch and end containers through the supervisor. It is what the `warder`
 * command uses. Needs root.
 *
 * Errors: functions return 0 or a negative errno; `error` (may be NULL) then holds a sentence
 * of at most `size` bytes with its NUL. Strings returned through char ** are freed with free().
 *
 * Threads: a struct warder belongs to one thread at a time; different ones are independent.
 */
#ifndef WARDER_H
#define WARDER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WARDER_API __attribute__((visibility("default")))

/* A connection to the supervisor. */
struct warder;

/* Start a supervisor in the background when none runs: the program warderd, found beside the
 * running program or in PATH. It leaves when its last container is gone. */
#define WARDER_CONNECT_START 1

/* Connects. -ENOENT: no supervisor runs; with WARDER_CONNECT_START: the errno of starting
 * one, for instance -EOPNOTSUPP on a kernel that cannot enforce, or -ETIMEDOUT when one is there
 * that does not answer. The first request goes to the next supervisor if the one that was reached
 * leaves, or is relieved, without having looked at it; the descriptor stays the same. */
WARDER_API int warder_connect(struct warder **ret, int flags, char *error, size_t size);
/* NULL is fine. Containers run on. */
WARDER_API void warder_close(struct warder *w);
/* For poll(2): readable when warder_wait_exit() would not block. */
WARDER_API int warder_fd(const struct warder *w);

/* One of several policies: the name of a loaded one, or an image. */
struct warder_policy_ref {
	const char *name;
	const void *image;
	size_t image_size;
};
#define WARDER_RUN_POLICIES_MAX 4

struct warder_run_options {
	size_t struct_size;      /* sizeof(struct warder_run_options) */
	const char *name;        /* NULL: chosen */
	const char *policy;      /* name of a loaded policy, unless image is given */
	const void *image;       /* compiled policy, as `warder policy compile` writes it */
	size_t image_size;
	const char *const *argv; /* NULL-terminated, as are the other lists; they may be NULL */
	const char *const *env;  /* "NAME=VALUE" */
	const char *const *cap_add;
	const char *const *cap_drop;
	const char *const *volumes; /* "SRC:DST" or "SRC:DST:ro" */
	const char *rootfs;      /* a folder; NULL: the host's root, read-only */
	const char *user;        /* "U[:G]" */
	const char *workdir;
	const char *hostname;
	int64_t pids_limit;      /* 0: 2048; -1: none */
	int64_t memory;          /* bytes, 0: none */
	int userns;
	int net_host;
	int read_only;
	int tty;                 /* the terminal's master comes back in warder_started */
	int detach;              /* the exit is not reported on this connection */
	int stdio[3];            /* given to the command unless tty; -1: /dev/null */
	/* In place of policy and image: up to WARDER_RUN_POLICIES_MAX, of which all must allow. */
	const struct warder_policy_ref *policies;
	size_t policy_count;
};

struct warder_started {
	char name[64];
	uint64_t cid;
	pid_t pid;    /* in the host's pid namespace */
	int terminal; /* with tty: owned by the caller; else -1 */
	int code;     /* on failure: 125 warder's error, 126 not executable, 127 not found */
};

/* Starts a container; returns when its command has been executed, or with an error and
 * nothing left of it. -EEXIST and other causes are told by the sentence. */
WARDER_API int warder_run(struct warder *w, const struct warder_run_options *options,
			  struct warder_started *ret, char *error, size_t size);

struct warder_adopt_options {
	size_t struct_size; /* sizeof(struct warder_adopt_options) */
	const char *name;
	const char *policy; /* name of a loaded policy, unless image is given */
	const void *image;  /* compiled policy */
	size_t image_size;
	pid_t pid;          /* a process and its descendants, and if it is the first of a pid
			     * namespace everything in that; as the supervisor numbers it */
	int cgroup;         /* with pid 0: a folder of a cgroup2 file system; it and those below */
	/* In place of policy and image: up to WARDER_RUN_POLICIES_MAX, of which all must allow. */
	const struct warder_policy_ref *policies;
	size_t policy_count;
};

/* Puts what runs already, and was started by others, under supervision: all of its tasks or, with
 * an error, none. Returns when they are tagged. Errors are told by the sentence. The kernel must
 * have cgroup_attach_task() in its BTF, as all of those have on which warder runs.
 * *ret_json (may be NULL) is the answer: "name", "cid", "pid" of the first process, "tasks",
 * "processes", "refused" (open files that the policy would now refuse; they stay open; at most 64,
 * "refused_count" says how many) and "before", what refuses before warder is asked: "seccomp" (how
 * many processes have filters), "overrides" (what the policy's override rules speak of),
 * "never_arrive" (what of that the filters of the first process refuse) or "filters_unread", and
 * "label" (of another security module). */
WARDER_API int warder_adopt(struct warder *w, const struct warder_adopt_options *options,
			    char **ret_json, char *error, size_t size);
/* Lets an adopted container go: its tasks run on and are judged no more. Returns when no tag is
 * left. What warder_run() started cannot be released. */
WARDER_API int warder_release(struct warder *w, const char *name, char *error, size_t size);

/* Runs a command in a container as one of its own. `argv` as above. */
WARDER_API int warder_enter(struct warder *w, const char *name, const char *const *argv, int tty,
			    const int stdio[3], struct warder_started *ret, char *error,
			    size_t size);

/* Exit status of what warder_run() without detach or warder_enter() started on this
 * connection: the command's own, or 128 + signal. Blocks. -ENODATA: the supervisor is gone;
 * the container may run on. */
WARDER_API int warder_wait_exit(struct warder *w, int *ret_status, char *error, size_t size);

/* The same for any container by name, or by id if name is NULL; also for the last 64 that
 * exited. Blocks. */
WARDER_API int warder_wait(struct warder *w, const char *name, uint64_t cid, int *ret_status,
			   char *error, size_t size);

/* Signals the first process; with `all`, SIGKILL to every process of the container. */
WARDER_API int warder_kill(struct warder *w, const char *name, int sig, int all, char *error,
			   size_t size);

/* JSON texts: an array of containers; one container with everything known. */
WARDER_API int warder_list(struct warder *w, char **ret_json, char *error, size_t size);
WARDER_API int warder_inspect(struct warder *w, const char *name, char **ret_json, char *error,
			      size_t size);

/* Loads a compiled policy under its own name; containers that have it change at once. */
WARDER_API int warder_policy_load(struct warder *w, const void *image, size_t image_size,
				  char *error, size_t size);

/* Hands every event to `fn` as a JSON text (docs/events.schema.json) until it returns non-zero:
 * first those the supervisor remembers, then, with `follow`, new ones as they come.
 * `container` may be NULL. Returns what `fn` returned, 0, or -ENODATA when the supervisor left. */
typedef int (*warder_event_fn)(const char *json, void *arg);
WARDER_API int warder_events(struct warder *w, const char *container, int follow,
			     warder_event_fn fn, void *arg, char *error, size_t size);

#ifdef __cplusplus
}
#endif

#endif
