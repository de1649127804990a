/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The options of `warder run`, apart from running it: for tests. */
#ifndef WARDER_CMD_RUN_H
#define WARDER_CMD_RUN_H

#include <stdint.h>

#include "warder.h"
#include "warder_abi.h"

struct run_request {
	struct warder_run_options options; /* points into argv and static lists */
	const char *policy; /* as given; NULL: the default */
	int interactive;
};

/* 0; else 1 + the exit status to end with (help was printed, or an error). */
int run_parse(int argc, char **argv, struct run_request *ret);
struct adopt_request {
	const char *name;
	const char *policy; /* as given; NULL: the default */
	const char *cgroup; /* NULL: pid */
	pid_t pid;
	int json;
};
/* As run_parse(). */
int adopt_parse(int argc, char **argv, struct adopt_request *ret);
/* An image, or a name that the supervisor knows: a file comes before a loaded policy, and that
 * before a shipped one. NULL: the default. Says what is wrong. */
int cmd_find_policy(struct warder *w, const char *policy, struct warder_image **ret_image,
		    const char **ret_name);
/* Compiles a policy file with includes from the shipped folders; diagnostics go to stderr. */
int cmd_compile_policy(const char *path, struct warder_image **ret);
/* 64m -> bytes; -EINVAL */
int run_parse_size(const char *text, int64_t *ret);

#endif
