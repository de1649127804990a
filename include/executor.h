/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Executors: single-threaded processes that act for containers. Whatever can block on a
 * container's behalf (its memory, its paths, its file systems) happens only there. One
 * operation each, in steps; one that gets stuck is killed and replaced.
 *
 * They are forked by a helper process (the zygote) that is made before threads are started,
 * because a process with threads must not fork without exec.
 *
 * Not thread-safe: a pool belongs to one thread, once it is made.
 */
#ifndef WARDER_EXECUTOR_H
#define WARDER_EXECUTOR_H

#include <string.h>
#include <sys/types.h>

#include "log.h"
#include "warder_abi.h"

#define EXECUTORS_MAX 16
#define EXECUTOR_TEXT_SIZE 4096 /* a page: the most that mount(2) reads of any argument */
#define EXECUTOR_SOURCE_SIZE 256 /* fsconfig(2) takes no longer string */

#define EXECUTOR_VALUE_SIZE 256 /* of an extended attribute: a longer one is not looked at */
#define EXECUTOR_LAST_SIZE 256  /* NAME_MAX and a NUL */
#define EXECUTOR_HELD_MAX 16    /* descriptors that a caller's can be compared with */

#define EXECUTOR_LOWERS_MAX 16  /* lower layers of an overlay */
#define EXECUTOR_LAYERS_MAX (EXECUTOR_LOWERS_MAX + 2)

#define EXECUTOR_PROGRAM_SIZE 256
#define EXECUTOR_FUSES_MAX 8    /* FUSE programs of one container at a time */

enum executor_step {
	EXECUTOR_RESOLVE = 1, /* copy the arguments, find the target; replies with facts, fd */
	EXECUTOR_MAKE,        /* make the mount, attached nowhere; replies with fd, mnt_id, dev */
	EXECUTOR_ATTACH,      /* attach it at the target */
	EXECUTOR_UNDO,        /* take it off again */
	EXECUTOR_DROP,        /* forget the operation; no reply */
	EXECUTOR_REVOKE,      /* take off a mount that the journal names, or (mnt_id 0) take back what the
			       * note of `place` says PERFORM has done, where that is possible; `text`: the
			       * name of what it is about (of a move "": wherever it is), and in its
			       * second half the old name of what was moved */
	EXECUTOR_PERFORM,     /* every other call: carry out what was resolved, as decided */
	EXECUTOR_GIVE,        /* answer notification `notify` with a descriptor of one's own: waits until
			       * the caller has run. Two fds come along: listener, descriptor */
	EXECUTOR_CLONE,       /* after RESOLVE of open_tree(2): clone the source; the reply brings it */
};

/* A step. Every field not named for a step is ignored by it. */
struct executor_request {
	__u64 cookie; /* given back in the reply */
	__u32 step;
	__s32 tid;    /* RESOLVE, REVOKE: the caller, in the host's pid namespace */
	__u64 source; /* RESOLVE: addresses in the caller, 0: NULL */
	__u64 target;
	__u64 type;
	__u64 data;
	__u32 op;     /* RESOLVE: enum warder_op */
	__u32 call;   /* RESOLVE: enum warder_call */
	__u64 arg[6]; /* RESOLVE: as the intercept has them */
	__u32 perform; /* RESOLVE: 1: some rule may have it performed; else the copies are for people */
	__u32 attr_clear; /* PERFORM: MOUNT_ATTR_* to take off */
	__u32 userns; /* RESOLVE: inode number of the container's user namespace */
	/* RESOLVE of what a seccomp filter asks about: descriptors of process `holder` that stand for
	 * contexts and mounts; of which is the call? */
	__s32 holder;
	__u32 helds;
	__s32 held[EXECUTOR_HELD_MAX];
	__u32 ops;    /* MAKE: WARDER_MNT_NEW or WARDER_MNT_BIND */
	__u32 attr;   /* MAKE, PERFORM: MOUNT_ATTR_* to set */
	__u32 owned;  /* MAKE: 1: the container owns a user namespace; its fd comes along */
	__u32 mntns;  /* REVOKE: of the mount. RESOLVE: the container's */
	__u32 dev_major;
	__u32 dev_minor;
	__u32 patient; /* RESOLVE: 1: the whole operation without real-time priority */
	__u32 cloexec; /* GIVE */
	__u32 asked;   /* RESOLVE: 1: a seccomp filter asks; may the caller do it by itself? */
	__u32 named;   /* RESOLVE: 1: names are wanted, as paths from the folder that comes along */
	__u32 place;   /* PERFORM, REVOKE: which note */
	__u32 recursive; /* MAKE of a bind in the container, CLONE: with the mounts below */
	__u32 cloned;  /* MAKE: 1: what CLONE made comes along, as the last descriptor */
	__u32 fuse;    /* RESOLVE of a new mount: 1: its source may be an image, which a FUSE program reads */
	__u32 server;  /* MAKE: 1: a server keeps it */
	__u32 view;    /* MAKE of a new proc or sysfs: what RESOLVE has found, enum executor_view */
	__u64 caps;    /* RESOLVE: capabilities that the policy leaves, of those the caller has */
	__u64 cid;     /* MAKE of an image: whose FUSE programs are counted */
	__u64 notify;  /* GIVE: id of the notification */
	__u64 mnt_id;
	char fstype[WARDER_FSTYPE_SIZE];  /* MAKE; RESOLVE of move_mount(2): of what is mounted */
	char name[EXECUTOR_SOURCE_SIZE];  /* MAKE: what mountinfo shows as source */
	/* RESOLVE of move_mount(2): the options of what is mounted */
	char text[2 * EXECUTOR_TEXT_SIZE]; /* MAKE, PERFORM: options "k=v", each with a NUL, an empty
					    * one at the end; or the host path to bind, empty: op's own source */
	/* MAKE of a new file system: the host's file that it is in; RESOLVE of move_mount(2): the source of
	 * what is mounted, which may be an image in the container */
	char image[EXECUTOR_TEXT_SIZE];
	char program[EXECUTOR_PROGRAM_SIZE]; /* MAKE: the FUSE program that reads the image */
};
/* REVOKE: the old name of what was moved, the second half of `text`. */
#define executor_request_from(req) ((req)->text + EXECUTOR_TEXT_SIZE)

/* Of a new proc or sysfs: sees the caller one already, that can be shown at another place? */
enum executor_view {
	EXECUTOR_VIEW_NONE = 0, /* it is another file system, or nobody has looked */
	EXECUTOR_VIEW_OWN,
	EXECUTOR_VIEW_BELOW,    /* proc: the caller is in a pid namespace below the one that it shows */
	EXECUTOR_VIEW_MISSING,  /* there is no whole one at /proc (or /sys), or none in a caller's own mount namespace */
	EXECUTOR_VIEW_PIDNS,    /* that proc shows a pid namespace that the caller's is not below */
};

/* A file-system type of which a container is given no new one. */
static inline int executor_is_view(const char *type)
{
	return !strcmp(type, "proc") || !strcmp(type, "sysfs");
}

static inline int executor_is_overlay(const char *type)
{
	return !strcmp(type, "overlay");
}

/* A file-system type that a server keeps: made in the caller's network namespace. */
static inline int executor_is_server(const char *type)
{
	return !strcmp(type, "nfs") || !strcmp(type, "nfs4");
}

/* What the options of an overlay name: lower layers, then upper and work folder, or neither. */
struct executor_layers {
	const char *path[EXECUTOR_LAYERS_MAX];
	unsigned lowers, count;
};
/* Takes options of mount(2) apart in place. -EINVAL: not said plainly (a backslash, one twice, an upper
 * without a work folder, no lower); -E2BIG: more than EXECUTOR_LOWERS_MAX. */
int executor_layers_parse(char *data, struct executor_layers *ret);
/* Does the option ("key=value") name a layer? */
int executor_layer_option(const char *text);

/* What a scheduling call asks for, and of whom. */
struct executor_sched {
	__s32 tid;  /* whom it is about, in the host's pid namespace; 0: more than one thread */
	__s32 tgid;
	__u32 policy;   /* SCHED_* */
	__u32 flags;    /* SCHED_FLAG_* */
	__s32 realtime; /* priority, 0: none */
	__s32 nice;
	__u32 sets_nice;
	__u32 pad;
};

struct executor_reply {
	__u64 cookie;
	__u32 step;
	__s32 error; /* 0 or -errno; then `what` says at what */
	__s32 fd;    /* RESOLVE: the target, -1: not looked for; MAKE: the mount. Number in the
		      * executor */
	__s32 fd2;   /* RESOLVE: the folder that `last` is in (a new node, what is unmounted), or
		      * what is moved or bound; -1: none */
	__u32 kernel; /* PERFORM: 1: `error` is the kernel's answer to the operation itself. RESOLVE
		       * of what a filter asks about: it is what the caller is to see */
	/* RESOLVE: the caller. Ids are in its own user namespace, -1 where unmapped. */
	__u32 euid;
	__u32 fsuid;
	__u32 userns;
	__u32 relation; /* WARDER_BY_USERNS_*, 0: neither */
	__u32 mntns;
	__u64 start;    /* start time as /proc/TID/stat shows it */
	__u32 home_mntns; /* the executor's own */
	__u32 shared;   /* 1: what is mounted at the target would show up on the host */
	__u32 host_uts; /* 1: the caller's UTS namespace is the supervisor's or the host's */
	/* RESOLVE: the mount whose root the target is */
	__u32 is_mount; /* 0: it is no mount's root */
	__u32 at_root;  /* 1: it is the root of its mount namespace */
	__u32 mnt_flags; /* MS_* that it has */
	__u32 own_fs;   /* 1: no mount of the host's shows the same file system */
	__u32 covers_kernel; /* 1: it lies on a proc or sysfs, or the source of a bind on such a one */
	/* RESOLVE of a new mount, a bind or an umount; (__u32)-1: cannot be counted */
	__u32 mounts; /* in the caller's mount namespace */
	__u32 below;  /* of these, below the source (umount: the target) */
	__u32 loops;  /* of these, on loop devices */
	__u32 view;   /* enum executor_view */
	__u32 loose;  /* umount: 1: something below could be taken off by itself. 0 where it does not count */
	__s32 layer[EXECUTOR_LAYERS_MAX]; /* of an overlay, as executor_layers_parse() has them */
	__u32 layers;
	__u32 value_len; /* RESOLVE: bytes of `data` that count */
	struct executor_sched sched;
	/* RESOLVE of what a seccomp filter asks about */
	__s32 held;        /* index into the request's, -1: of none of them */
	__s32 tgid;
	__u32 capable;     /* 1: the caller has the capability by itself */
	__u32 mnt_userns;  /* the user namespace that its mount namespace belongs to */
	__u32 has_key;     /* fsconfig: `source` and `data` are there */
	__u32 has_value;
	__u64 attr_set;    /* mount_setattr */
	__u64 attr_clear;
	__u64 propagation;
	/* MAKE */
	__u64 mnt_id;
	__u32 dev_major;
	__u32 dev_minor;
	char what[128];
	char comm[16]; /* RESOLVE of what a filter asks about */
	/* RESOLVE: the copies; empty for NULL */
	char fstype[EXECUTOR_TEXT_SIZE];
	char source[EXECUTOR_TEXT_SIZE];
	char target[EXECUTOR_TEXT_SIZE];
	char data[EXECUTOR_TEXT_SIZE];
	char last[EXECUTOR_LAST_SIZE]; /* the name in the folder fd2 */
	/* RESOLVE with `named`: of fd and fd2; empty: none. ATTACH and PERFORM: of the target again. */
	char name[EXECUTOR_TEXT_SIZE];
	char name2[EXECUTOR_TEXT_SIZE];
};

/* As sched_getattr(2) has it. */
struct executor_attr {
	__u32 size, policy;
	__u64 flags;
	__s32 nice;
	__u32 priority;
	__u64 time[3];
	__u32 clamp[2];
};

/*
 * What PERFORM is about to change and what was there before, written before it is done to memory that
 * outlives executor and supervisor: the next supervisor can take it back. Whatever is there then must
 * be exactly what was made, or it is left alone.
 */
struct executor_note {
	__u32 kind;      /* enum warder_op; 0: nothing has been done. Written last */
	__u32 mount_op;  /* mount: WARDER_MNT_* */
	__u64 dev, ino;  /* of the object; mknod: of the folder; move: of the folder of the old place */
	__u64 mnt_id;    /* remount, move */
	__u32 major, minor;
	__u64 old_attr, new_attr; /* remount: MOUNT_ATTR_* */
	__s64 sec;       /* mknod: the time (coarse, of the wall clock) just before */
	__u32 nsec;
	__u32 mode;      /* mknod: S_IFMT */
	__u64 rdev;
	__u64 node_ino;  /* 0: not known yet */
	__u32 uts;       /* inode number of the UTS namespace */
	__s32 tid;       /* scheduling */
	__u64 start;
	struct executor_attr old_sched, new_sched;
	__s64 old_len;   /* -1: there was none, -2: it does not fit here */
	__u32 value_len;
	__u32 pad;
	char last[EXECUTOR_LAST_SIZE];
	char name[EXECUTOR_LAST_SIZE];
	char value[EXECUTOR_VALUE_SIZE];
	char old_value[EXECUTOR_VALUE_SIZE];
};
#define EXECUTOR_NOTES 64

struct executor_pool;
struct executor;

/* Forks the zygote and `count` executors. Single-threaded callers only. `notes`: EXECUTOR_NOTES of them
 * in memory that children share; NULL: nobody would read them. */
int executor_pool_new(struct executor_pool **ret, unsigned count, struct executor_note *notes,
		      struct warder_error *reterr);
/* Kills them all. NULL is fine. */
void executor_pool_free(struct executor_pool *pool);

/* An idle executor, or NULL; after use it is given back or abandoned. */
struct executor *executor_take(struct executor_pool *pool);
/* Sends DROP and makes it idle; abandons it if that fails. */
void executor_give(struct executor_pool *pool, struct executor *ex);
/* Kills it whatever it does, and has the zygote fork another. The handle is gone. */
void executor_abandon(struct executor_pool *pool, struct executor *ex);

/* 0 or -errno; fd may be -1 and stays the caller's. Does not block. */
int executor_send(struct executor *ex, const struct executor_request *req, int fd);
/* The same with two. */
int executor_send_two(struct executor *ex, const struct executor_request *req, int fd, int fd2);
/* 0, -EAGAIN, -EPIPE when the executor is dead. `ret_fd`: what CLONE made, -1: nothing came. Does not
 * block. */
int executor_receive(struct executor *ex, struct executor_reply *ret, int *ret_fd);
/* Readable when a reply waits or the executor is dead. */
int executor_fd(const struct executor *ex);
pid_t executor_pid(const struct executor *ex);

/* ------------------------------------------------ the recipe, executor_mount.c */

/* The executor's own root and mount namespace, to come back to. */
struct executor_home {
	int mntns;
	int root;
	__u32 mntns_ino;
	int uts;
	int pidns;
	int self; /* its folder in the host's /proc */
	__u32 uts_ino;
	pid_t parent;
	int *shared_word; /* a page shared with its own children */
	struct executor_note *notes; /* NULL: none are kept */
};

/* A mount, without holding it. */
struct mount_which {
	__u64 id;
	__u32 major, minor;
};

/* One operation's descriptors; -1 where there is none. */
struct operation {
	int mntns;
	int pidns;      /* the caller's, when a proc is asked for */
	int userns;
	int target;
	int mount;
	int parent; /* the folder of `last` */
	int second; /* what is moved or bound */
	int tree;   /* what CLONE made before */
	int uts;
	int netns;
	int names;  /* the folder that names begin at */
	int life;   /* of the FUSE program: it ends when this is closed, unless it was told to stay */
	struct mount_which made; /* what was mounted, for taking it off again */
	int layer[EXECUTOR_LAYERS_MAX]; /* of an overlay; `lowers` of `layers` are lower ones */
	unsigned layers, lowers;
	__u32 inside_uid, inside_gid; /* the caller's, in its own user namespace */
	__u64 caps; /* the caller's effective ones in its own user namespace that the policy leaves */
	__u32 root_uid; /* of the caller's user namespace, in the host's */
	__u32 root_gid;
	/* What is performed: the copies that were decided on. */
	pid_t tid;
	__u32 op;
	__u32 call;
	__u64 arg[6];
	__u64 mnt_id;
	__u32 fsuid, fsgid, umask;
	__u64 dac;  /* the caller's CAP_DAC_* and such, where they count */
	__u64 start; /* when sched.tid started */
	struct executor_sched sched;
	__u32 value_len;
	char last[EXECUTOR_LAST_SIZE];
	char name[EXECUTOR_LAST_SIZE];
	char value[EXECUTOR_VALUE_SIZE];
	int lazy;   /* umount: 1: with what is mounted below, all of which is locked to its place */
	int done;   /* 1: performed */
	/* What was there before, for the note. */
	__u64 old_attr; /* MOUNT_ATTR_* */
	__u64 node_ino;
	struct executor_attr old_sched, new_sched;
};

void operation_init(struct operation *op);
void operation_done(struct operation *op);
/* Does the step; fills error, what, and the step's results. `fd` (or -1) came along. */
void operation_step(struct operation *op, const struct executor_home *home,
		    const struct executor_request *req, int fd, struct executor_reply *reply);

/* Opens a host path of which no component is a symlink or can be written by others than root.
 * -errno, and why in one sentence (`path` aside). */
int bind_source_open(const char *path, int *ret_fd, char *why, size_t size);
/* The same of an image, which must be a regular file. */
int image_open(const char *path, int *ret_fd, char *why, size_t size);
/* A FUSE program: an absolute path, or a name in one of the folders of programs. No component may be a
 * symlink or be writable by others than root, and others must be allowed to run it. */
int fuse_program_open(const char *name, int *ret_fd, char *why, size_t size);

#endif
