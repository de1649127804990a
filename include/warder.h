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
	const char *const *annotations; /* "KEY=VALUE", NULL-terminated; may be NULL */
	int unasked; /* nobody asked for these policies: if loaded ones match (warder-policy(5)), it gets
		      * those */
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
	const char *const *annotations; /* as of warder_run() */
	int unasked;
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

/* ------------------------------------------------------------------ queues of keys
 *
 * A daemon that answers key upcalls: requests for keys that are not there, which a policy leaves to
 * a queue (`keyring: {upcalls: [{type: user, to: queue}]}`). It runs in the container, as its root or
 * with CAP_SYS_ADMIN in its user namespace, and sees what is asked in that user namespace and those
 * below; or on the host, as root. The nearest queue is asked first. All that is asked was made up by
 * a program of the container unless `by_kernel` is set. What the daemon itself and its descendants
 * ask for does not go to its own queue.
 *
 * Each upcall is answered once, by its `seq`; an answer to one that is over is ignored. An answer
 * that the supervisor does not understand hands the upcall to the next queue, and is told as
 * WARDER_UPCALL_CANCELLED; too many end the connection. A struct warder_queue belongs to one thread
 * at a time. The kernel must have keys (CONFIG_KEYS), and /sbin/request-key must be warder's or have
 * lines that lead there: `warder request-key`.
 */
struct warder_queue;

#define WARDER_QUEUE_INSIDE 1 /* this process is in a container: its own, by its socket */

/* Connects. `container`: whose upcalls, on the host; NULL: those of all containers; with
 * WARDER_QUEUE_INSIDE it must be NULL. -ENOENT, -ECONNREFUSED: no supervisor runs, or there is no such
 * container. Nothing is asked before warder_queue_serve(). */
WARDER_API int warder_queue_open(struct warder_queue **ret, const char *container, int flags,
				 char *error, size_t size);
/* NULL is fine. What it has not answered goes to the next queue. */
WARDER_API void warder_queue_close(struct warder_queue *q);
/* Registers for keys of a type, NULL: of any; up to 16 times. Fails when another daemon serves the
 * same type at the same place, or this process has no say in its user namespace. */
WARDER_API int warder_queue_serve(struct warder_queue *q, const char *type, char *error, size_t size);
/* For poll(2): readable when warder_queue_next() may have something. */
WARDER_API int warder_queue_fd(const struct warder_queue *q);

enum warder_upcall_what {
	WARDER_UPCALL_ASKED = 1,
	WARDER_UPCALL_CANCELLED, /* only `seq` and `reason` are set: no answer is needed any more */
};
struct warder_upcall_asked {
	size_t struct_size; /* sizeof(struct warder_upcall_asked), set by the caller */
	enum warder_upcall_what what;
	uint64_t seq;
	int32_t key; /* serial of the wanted key */
	const char *type, *description;
	const void *callout; /* the requester's words; a NUL follows */
	size_t callout_len;
	int by_kernel; /* a part of the kernel asks, for a task */
	pid_t pid;     /* of the requester, as this process sees it; 0: it has no number here */
	uid_t uid;     /* the same; 65534: it has none here */
	gid_t gid;
	uint32_t deadline_ms;  /* that are left; then the requester gets ETIMEDOUT */
	int32_t ring[3];       /* the requester's thread, process and session keyring; 0: none */
	const char *container; /* on the host: its name; else NULL */
	const char *reason;
};
/* The next one; strings are valid until the next call. timeout in ms, -1: waits for ever. -EAGAIN:
 * none within that time. -ENODATA: the supervisor is gone: open again. */
WARDER_API int warder_queue_next(struct warder_queue *q, struct warder_upcall_asked *ret,
				 int timeout_ms, char *error, size_t size);

/* Gives the key this payload, at most 16384 bytes; it expires after `seconds`, 0: never. */
WARDER_API int warder_queue_instantiate(struct warder_queue *q, uint64_t seq, const void *payload,
					size_t len, uint32_t seconds);
/* Gives it the payload of a key of the same type that is linked in the container's keyring or in its
 * first session keyring, and that the container may read. It is a copy: the kernel cannot hand out
 * another key than the one that it made. */
WARDER_API int warder_queue_link(struct warder_queue *q, uint64_t seq, int32_t key);
/* Refuses with `name` ("EACCES"); the same request gets it at once for so many seconds, 2 at least. */
WARDER_API int warder_queue_reject(struct warder_queue *q, uint64_t seq, const char *name,
				   uint32_t seconds);
/* The same with ENOKEY. */
WARDER_API int warder_queue_negate(struct warder_queue *q, uint64_t seq, uint32_t seconds);
/* To the next queue; after the last one it is as the policy's `else` says. */
WARDER_API int warder_queue_pass(struct warder_queue *q, uint64_t seq);
/* Takes the authority over the key: this process, and what it starts, may then call keyctl(2)
 * KEYCTL_ASSUME_AUTHORITY, KEYCTL_INSTANTIATE and KEYCTL_REJECT with its serial, and see the keyrings
 * of the requester while it does. The first time this process gets a session keyring of its own, in
 * which the old one is linked. Blocks until it is there. It ends with the deadline, too; who cannot
 * answer refuses with warder_queue_negate(). */
WARDER_API int warder_queue_take(struct warder_queue *q, uint64_t seq, char *error, size_t size);

/* ------------------------------------------------------------------ handlers
 *
 * A program that decides about refused calls which a policy leaves to it (`do: handler:NAME`,
 * docs/HANDLERS.md), as root of the host. `warder supervise` is made of these functions. It is shown
 * only calls that the rule matches, and chooses among what is left open: it can widen nothing, and
 * never gets a descriptor of the container's. All texts of a call were made by a program of the
 * container, so they may hold anything; bytes that are no UTF-8 and control characters are \xNN.
 *
 * Each call is answered once, by its `seq`. One that is not answered in time, and all of those that
 * are open when the connection ends, fall back to what the rule says. The kernel must hand refusals
 * over: more than one CPU, see `warder doctor`.
 *
 * Threads: warder_handler_next() and warder_handler_close() belong to one thread at a time; the
 * functions that answer may be called from any thread meanwhile, but not once it is being closed.
 */
struct warder_handler;

#define WARDER_HANDLER_VERSION 1 /* the latest that this library speaks */
#define WARDER_HANDLER_OBSERVE 1 /* is shown every call of that name, and decides nothing */
#define WARDER_HANDLER_START 2   /* as WARDER_CONNECT_START */

struct warder_handler_options {
	size_t struct_size;    /* sizeof(struct warder_handler_options) */
	const char *name;      /* at most 63 bytes, and not "ask" */
	const char *container; /* only calls of this one; NULL: of all */
	uint32_t order;        /* of several with one name the lowest is asked first; 100 is usual; at
				* most 1000000; among equals the one that was there first */
	int flags;             /* WARDER_HANDLER_* */
};

/* Connects and registers; versions are agreed on. From here calls come. Blocks until the supervisor
 * has answered. -EINVAL: the options; -EPROTO: no common version; -ENOENT: no supervisor runs; -EIO:
 * it refuses, for instance because there is no such container; the sentence says it. Thread-safe. */
WARDER_API int warder_handler_open(struct warder_handler **ret,
				   const struct warder_handler_options *options, char *error,
				   size_t size);
/* NULL is fine. What is not answered falls back at once. */
WARDER_API void warder_handler_close(struct warder_handler *h);
/* For poll(2): readable when warder_handler_next() may have something. Any thread. */
WARDER_API int warder_handler_fd(const struct warder_handler *h);
/* The version that was agreed on. Any thread. */
WARDER_API unsigned warder_handler_version(const struct warder_handler *h);

/* What may be said to a call. */
#define WARDER_MAY_PASS 0x01
#define WARDER_MAY_DENY 0x02
#define WARDER_MAY_FAKE 0x04
#define WARDER_MAY_PERFORM 0x08
#define WARDER_MAY_DEFER 0x10
#define WARDER_MAY_ASK 0x20
#define WARDER_MAY_CONTINUE 0x40       /* version 1 never offers it */
#define WARDER_MAY_CHANGE_FLAGS 0x80   /* warder_handler_perform() may add flags */
#define WARDER_MAY_CHANGE_OPTIONS 0x100 /* and replace the options */

struct warder_handler_call {
	size_t struct_size;    /* sizeof(struct warder_handler_call), set by the caller */
	uint64_t seq;
	uint32_t may;          /* WARDER_MAY_* */
	uint32_t deadline_ms;  /* that are left */
	const char *container; /* its name; NULL: unknown */
	uint64_t cid;
	pid_t pid, tid;        /* in the host's pid namespace */
	int64_t uid;           /* effective, as the container counts; -1: it has none there */
	const char *program;   /* comm of the thread, at most 15 bytes */
	const char *operation; /* the word of override rules: "mount", "sethostname", ... */
	const char *syscall;   /* "mknodat" */
	const char *text;      /* the call as it was made, for people; NULL for mount(2) */
	uint64_t argument[6];  /* registers: addresses mean nothing outside of the caller */
	const char *path;      /* what it is about, as named in the container; NULL: no name */
	const char *source;    /* the first text argument; of a move the old name; or NULL */
	const char *fstype;    /* of a mount, or NULL */
	const char *options;   /* of a new mount: its data argument; or NULL */
	uint64_t flags;        /* of a mount: MS_* of mount(2) */
	int err;               /* what the kernel refused it with: EPERM, ... */
	const char *cause;     /* "capability", ... as in events */
	const char *capability; /* that was missing: "sys_admin"; or NULL */
	const char *policy;    /* whose rule it is */
	uint32_t rule;         /* its number there, 0: unknown */
	const char *where;     /* "web.yaml:3", or NULL */
	const char *json;      /* all of it, as `warder supervise` hands it to programs */
};

/* The next call; its strings are valid until the next call of this function. timeout in ms, -1: waits
 * for ever. -EAGAIN: none within that time. -ENODATA: the supervisor is gone: close, and open again.
 * -EBADMSG: one that is not understood; it falls back at its deadline. */
WARDER_API int warder_handler_next(struct warder_handler *h, struct warder_handler_call *ret,
				   int timeout_ms, char *error, size_t size);

/*
 * The answers; they do not wait. 0: it is on its way, which does not say that it came in time.
 * -EOPNOTSUPP: that was not offered to this call (nothing is sent: say something else); -ENOENT: no
 * such call waits for an answer of this handler's; -EINVAL: an argument; -EPERM: an observer says
 * nothing; -EPIPE: the supervisor is gone.
 */
/* To the next handler of that name; after the last one, the rule's fallback. */
WARDER_API int warder_handler_pass(struct warder_handler *h, uint64_t seq);
/* The caller gets `err` (EACCES); 0: the errno that the kernel gave it. */
WARDER_API int warder_handler_deny(struct warder_handler *h, uint64_t seq, int err);
/* The call returns `value` (0 to 2147483647), and nothing is done. */
WARDER_API int warder_handler_fake(struct warder_handler *h, uint64_t seq, int value);
/* `ms` more (1 to 60000) from now; the call waits on, a minute in all at most. */
WARDER_API int warder_handler_defer(struct warder_handler *h, uint64_t seq, uint32_t ms);
/* A person shall decide, with `warder ask`, within the time that is left. */
WARDER_API int warder_handler_ask(struct warder_handler *h, uint64_t seq);
/* Has the kernel run the call. By the way that version 1 knows it has refused the call already:
 * -EOPNOTSUPP always. */
WARDER_API int warder_handler_continue(struct warder_handler *h, uint64_t seq);

struct warder_handler_changes {
	size_t struct_size; /* sizeof(struct warder_handler_changes) */
	uint64_t add_flags; /* MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_NOATIME, MS_NODIRATIME */
	const char *options; /* in the place of those of the call: "size=16M"; at most 1023 bytes;
			      * NULL: as they are */
};
/* The supervisor carries it out. `changes` may be NULL; the rules of the policy judge the call again,
 * as it is with the changes, and where none allows that, nothing is done. */
WARDER_API int warder_handler_perform(struct warder_handler *h, uint64_t seq,
				      const struct warder_handler_changes *changes);

#ifdef __cplusplus
}
#endif

#endif
