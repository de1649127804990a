/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The options of `warder run`, apart from running it: for tests. */
#ifndef WARDER_CMD_RUN_H
#define WARDER_CMD_RUN_H

#include <stdint.h>

#include "warder.h"
#include "warder_abi.h"

struct run_request {
	struct warder_run_options options; /* points into argv and static lists */
	const char *policy[WARDER_RUN_POLICIES_MAX]; /* as written */
	size_t policies;
	int interactive;
};

/* 0; else 1 + the exit status to end with (help was printed, or an error). */
int run_parse(int argc, char **argv, struct run_request *ret);
struct adopt_request {
	const char *name;
	const char *policy[WARDER_LAYERS_MAX]; /* as given; none: the default */
	size_t policies;
	const char *cgroup; /* NULL: pid */
	pid_t pid;
	const char *const *annotations;
	int json;
};
/* As run_parse(). */
int adopt_parse(int argc, char **argv, struct adopt_request *ret);
struct cmd_policies {
	struct warder_policy_ref ref[WARDER_LAYERS_MAX];
	size_t count;
	struct warder_image *image[WARDER_LAYERS_MAX];
};
/* Each an image, or a name that the supervisor knows: a file comes before a loaded policy, and that
 * before a shipped one. None given: the default. Says what is wrong, and returns -1. */
int cmd_find_policies(struct warder *w, const char *const *policy, size_t given,
		      struct cmd_policies *ret);
void cmd_policies_done(struct cmd_policies *p);
int cmd_policy_is_loaded(struct warder *w, const char *name);
/* Compiles a policy file with includes from the shipped folders; diagnostics go to stderr. */
int cmd_compile_policy(const char *path, struct warder_image **ret);
/* 64m -> bytes; -EINVAL */
int run_parse_size(const char *text, int64_t *ret);

#endif
