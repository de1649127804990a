/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Containers: what one is made of, and launching it. A launch is two processes: the builder
 * (this program again, executed from a sealed copy, host privileges, a mount namespace of its
 * own) makes everything that can block on a file system; then it clones init with CLONE_PARENT
 * into the new namespaces and leaves. Init says what it sees and waits: identity, keyrings and
 * names come from the supervisor before init's exec.
 */
#ifndef WARDER_CONTAINER_H
#define WARDER_CONTAINER_H

#include <json-c/json.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "keyring.h"
#include "log.h"
#include "warder_abi.h"

#define CONTAINER_ARGS_MAX 2048
#define CONTAINER_ENV_MAX 1024
#define CONTAINER_VOLUMES_MAX 64
#define CONTAINER_PIDS_DEFAULT 2048
#define CONTAINER_MOUNTS_MAX 1024 /* mount points of one container */
#define CONTAINER_UIDS 65536
#define CONTAINER_UID_BASE 100000
#define CONTAINER_SOCKET_DIR "/run/warder"
#define CONTAINER_SOCKET "container.sock"

struct container_volume {
	char *source; /* on the host, absolute */
	char *target; /* in the container, absolute */
	int read_only;
};

struct container_spec {
	char *name; /* NULL: chosen by the supervisor */
	char *rootfs; /* NULL: the host's root, read-only */
	int userns;
	int net_host;
	char *user; /* "U[:G]", numbers or names of the container's /etc/passwd; NULL: 0:0 */
	char **cap_add; /* names, or ALL */
	char **cap_drop;
	char **env; /* K=V */
	char **annotations; /* K=V, for `match` of policies */
	char *workdir;
	struct container_volume volume[CONTAINER_VOLUMES_MAX];
	size_t volumes;
	char *hostname; /* NULL: the name */
	int interactive;
	int tty;
	int read_only;
	int64_t pids_limit; /* 0: the default, -1: none */
	int64_t memory; /* bytes; 0: none */
	char **argv;
	uint64_t caps; /* effective set, from cap_add and cap_drop */
};

void container_spec_free(struct container_spec *s);
static inline void container_spec_free_p(struct container_spec **s)
{
	container_spec_free(*s);
}

/* From and to the object of the control protocol and of state files; strict. -EINVAL */
int container_spec_from_json(struct json_object *o, struct container_spec **ret,
			     struct warder_error *reterr);
struct json_object *container_spec_to_json(const struct container_spec *s);

/* [a-zA-Z0-9][a-zA-Z0-9_.-]*, shorter than WARDER_NAME_SIZE. */
int container_check_name(const char *name, struct warder_error *reterr);
/* SRC:DST[:ro|rw] into v (allocated strings). */
int container_parse_volume(const char *text, struct container_volume *v,
			   struct warder_error *reterr);
/* podman's default set with additions and drops. */
int container_caps(char *const *add, char *const *drop, uint64_t *ret,
		   struct warder_error *reterr);
/* First host uid of a user-namespaced container: a block of root's line in /etc/subuid
 * (`subuid`), else CONTAINER_UID_BASE + n * CONTAINER_UIDS. */
uint32_t container_uid_base(const char *subuid, uint64_t cid);

/* ------------------------------------------------------------------ launching */

/* Between supervisor and the launched processes; fixed-size, one packet each. */
enum container_msg_type {
	/* from the container's side */
	CONTAINER_MSG_PID = 1, /* value: pid of init (host); fd: its pidfd */
	CONTAINER_MSG_FD, /* value: enum container_fd; fd: that descriptor */
	CONTAINER_MSG_MOUNT, /* value: number of an O_PATH fd in init; text: path */
	CONTAINER_MSG_READY, /* all of the above was sent; init waits */
	CONTAINER_MSG_FILTERED, /* a survey; value: 0 or -errno; text: supervised system calls that
				 * seccomp filters keep from arriving */
	CONTAINER_MSG_JOINED, /* value: 0 or -errno of keyring_child_join() */
	CONTAINER_MSG_FAIL, /* value: exit status for the user; text: the sentence */
	/* from the supervisor */
	CONTAINER_MSG_JOIN, /* cid, rings */
	CONTAINER_MSG_GO,
};

enum container_fd {
	CONTAINER_FD_PTY = 1, /* master of the terminal */
	CONTAINER_FD_ROOT, /* O_PATH on the container's root */
	CONTAINER_FD_LISTEN, /* /run/warder/container.sock, listening; not yet if made anew */
	CONTAINER_FD_SELF, /* our end of WARDER_FD */
	CONTAINER_FD_FILTER, /* listener of the seccomp filter for the new mount API */
};

struct container_msg {
	uint32_t type;
	int32_t value;
	uint64_t cid;
	struct keyring_rings rings;
	char text[WARDER_ERROR_SIZE];
};
_Static_assert(WARDER_ERROR_SIZE >= WARDER_PREFIX_SIZE, "a mount point fits into text");

int container_msg_send(int sock, const struct container_msg *m, int fd);
/* 0; -EAGAIN; -ENODATA: end; -EBADMSG. *ret_fd is -1 or owned. */
int container_msg_recv(int sock, struct container_msg *m, int *ret_fd, int flags);

struct container_launch {
	const struct container_spec *spec; /* NULL: only with socket_mntns and survey */
	const char *name;
	uint64_t cid;
	int exe_fd; /* sealed copy of this program, container_seal_exe() */
	int cgroup_fd;
	int stdio[3]; /* -1: /dev/null */
	uint32_t uid_base; /* with spec->userns */
	int enter_pidfd; /* >= 0: join the container behind it instead of making one */
	uint32_t socket_mntns; /* != 0: only bind container.sock in it, if it still is in there */
	pid_t foreign; /* first process of an adopted container: its root is entered, too */
	int survey;    /* only report what there is: mount points and the root */
	int filters;   /* with survey: and what the seccomp filters of `foreign` refuse */
	int notify;    /* what its policy needs the seccomp filter of overrides for: OVERRIDE_FILTER_* */
	const char *stage_dir; /* an empty folder to mount on, in the builder's own namespace */
};

/* A sealed memfd with /proc/self/exe, so that no container ever holds the real file. */
int container_seal_exe(struct warder_error *reterr);
/* Starts the builder. *ret_pid must be reaped; the socket tells the rest. */
int container_launch(const struct container_launch *l, int *ret_sock, pid_t *ret_pid,
		     struct warder_error *reterr);

/* main() of a program that launches calls this first: does not return in a builder, nor in the
 * keeper (keeper.h). */
void container_builder_main(int argc, char **argv);

/* ------------------------------------------ shared by the builder's source files */

struct builder {
	struct container_spec *spec;
	const char *name;
	uint64_t cid;
	uint32_t uid_base;
	int enter;
	int sock;
	int cgroup_fd;
	int pidfd; /* of the container to enter */
	int userns_fd; /* -1: the host's */
	const char *stage;
	char mask[256]; /* a tmpfs beside the stage: one null device for each masked file */
	uint32_t uid, gid; /* of the command, as seen inside */
	char home[WARDER_PREFIX_SIZE];
	int self_fd; /* becomes WARDER_FD */
	uint64_t socket_mntns; /* inode number; 0: a container or a command is started */
	uint64_t foreign; /* pid of an adopted container's first process, 0: not one */
	int survey, filters;
	int notify;
};

/* Tells the supervisor and exits. */
void builder_fail(struct builder *b, int status, const char *format, ...)
	__attribute__((noreturn, format(printf, 3, 4)));
/* With host privileges, in the builder's mount namespace: the root with everything that does
 * not need the new namespaces, mounted on b->stage. */
void builder_make_root(struct builder *b);
/* As init, in the new namespaces: proc, sys, devpts ..., masks, pivot_root. */
void builder_enter_root(struct builder *b);
/* Looks spec->user up in the container's /etc/passwd and /etc/group. */
void builder_find_user(struct builder *b);
/* Opens and announces every visible mount point of a mountinfo file. */
void builder_report_mounts(struct builder *b, FILE *mountinfo);
void builder_say(struct builder *b, enum container_msg_type type, int value, int fd,
		 const char *text);
/* Into the mount namespace of an adopted container's first process, and below its root; *ret_mounts
 * gets its mountinfo, opened before. */
void builder_enter_foreign(struct builder *b, int nstypes, FILE **ret_mounts);
/* What an adopted container sees. */
void builder_survey(struct builder *b) __attribute__((noreturn));
/* Waits for the supervisor: rings to join, then the release. */
void builder_wait(struct builder *b);
/* container.sock of a running container, made anew. */
void builder_remake_socket(struct builder *b) __attribute__((noreturn));
/* Sends a descriptor to the supervisor. */
void builder_report_fd(struct builder *b, enum container_fd which, int fd);
/* User, capabilities, exec. */
void builder_drop_privileges(struct builder *b);
void builder_exec(struct builder *b) __attribute__((noreturn));

#endif
