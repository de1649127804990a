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
/* Compiles a policy file with includes from the shipped folders; diagnostics go to stderr. */
int cmd_compile_policy(const char *path, struct warder_image **ret);
/* 64m -> bytes; -EINVAL */
int run_parse_size(const char *text, int64_t *ret);

#endif
