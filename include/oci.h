/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What OCI runtimes are told to ask. The seccomp agent of the specification (config-linux.md,
 * "Seccomp"): runtimes connect for each process that they put a filter on and send one
 * ContainerProcessState with the filter's listener. A hook (runtime.md, "Lifecycle"): runtimes call
 * it with the state of the container on its standard input. Not thread-safe.
 */
#ifndef WARDER_OCI_H
#define WARDER_OCI_H

#include <stddef.h>
#include <sys/types.h>

#include "log.h"
#include "warder_abi.h"
#include "warder_image.h"

#define OCI_MESSAGE_MAX 65536 /* of a state, in bytes */
#define OCI_FDS_MAX 8         /* descriptors with it */
#define OCI_ID_SIZE 1024
#define OCI_METADATA_SIZE 256

struct oci_process_state {
	char id[OCI_ID_SIZE];             /* of the container */
	pid_t pid;                        /* that has the filter, in the runtime's pid namespace */
	char metadata[OCI_METADATA_SIZE]; /* listenerMetadata, "" if there is none */
	size_t listener;                  /* which of the descriptors is the filter's listener */
};

/* Reads a state that came with `fds` descriptors. -EINVAL with a sentence. Any thread. */
int oci_state_parse(const char *text, size_t len, size_t fds, struct oci_process_state *ret,
		    struct warder_error *reterr);

struct oci_container_state {
	char id[OCI_ID_SIZE];
	char status[32];    /* creating, created, running, stopped */
	pid_t pid;          /* of the first process, in the runtime's pid namespace */
	char **annotations; /* KEY=VALUE, NULL-terminated: those that a policy's match can name */
};

/* Reads the state of a container that a hook is called with. -EINVAL with a sentence. Done with
 * oci_container_done(), also after a failure. Any thread. */
int oci_container_parse(const char *text, size_t len, struct oci_container_state *ret,
			struct warder_error *reterr);
void oci_container_done(struct oci_container_state *state);

/* The name that a container of this id has here: the id, and of 64 hexadecimal digits the first 12,
 * as engines show them. `ret` has WARDER_NAME_SIZE bytes. -EINVAL with a sentence. Any thread. */
int oci_container_name(const char *id, char *ret, struct warder_error *reterr);

/* Holds a process that a runtime is about to make a container's first one, and what it forks: if the
 * caller, a process with one thread that has no other children, ends, it is killed. */
int oci_hold_begin(pid_t pid, struct warder_error *reterr);
/* Lets it run up to where it, or a child of its in the container's root, asks to execute a program.
 * `adopt` is called then, once: with 0 all of it runs on and is held no longer, else all of it is
 * killed. 0: adopted; -ESRCH: it ended before; else what `adopt` returned. */
int oci_hold_run(pid_t pid, int (*adopt)(void *arg), void *arg);

/* Is `fd` the listener of a seccomp filter? */
int oci_is_listener(int fd);

/* May metadata choose the policy `name`, compiled to `image`? -EPERM with a sentence unless it says
 * `selectable: true`. */
int oci_check_selectable(const struct warder_image *image, const char *name,
			 struct warder_error *reterr);

/* "" or the name of a policy: letters, digits, "_", "-", ".", no path. -EINVAL with a sentence. */
int oci_check_policy_name(const char *name, struct warder_error *reterr);

struct oci_agent_options {
	const char *socket; /* the listenerPath of runtimes' configurations */
	const char *policy; /* of those without metadata; NULL: they are refused */
	int json;           /* events as JSON lines */
	/* The compiled policy of that name; NULL with what is wrong said. Called from one thread. */
	struct warder_image *(*find)(const char *name);
	/* Everything is ready: connections are taken. May be NULL. */
	void (*ready)(void);
};

/* Listens and answers until SIGTERM or SIGINT; the process must be single-threaded, and root.
 * 0, or -errno with a sentence. */
int oci_agent_run(const struct oci_agent_options *options, struct warder_error *reterr);

#endif
