/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between the files of `warder policy`: one function for each command, and what they share. */
#ifndef WARDER_CMD_POLICY_H
#define WARDER_CMD_POLICY_H

#include <json-c/json.h>
#include <stdbool.h>

#include "commands.h"
#include "policy_tools.h"

#define EXIT_FINDINGS 1
#define EXIT_USAGE 2

/* Each gets argv with its own name as argv[0] and returns the exit status. */
int cmd_policy_check(int argc, char **argv);
int cmd_policy_compile(int argc, char **argv);
int cmd_policy_show(int argc, char **argv);
int cmd_policy_explain(int argc, char **argv);
int cmd_policy_test(int argc, char **argv);
int cmd_policy_diff(int argc, char **argv);
int cmd_policy_replay(int argc, char **argv);
int cmd_policy_learn(int argc, char **argv);
int cmd_policy_fmt(int argc, char **argv);
int cmd_policy_import(int argc, char **argv);
int cmd_policy_coverage(int argc, char **argv);
int cmd_policy_match(int argc, char **argv);

/* The program that `policy test --live` runs in its container: not for people. */
int cmd_policy_live_worker(int argc, char **argv);

/* "warder policy: TEXT (warder policy --help shows how)" on stderr; returns `status`. */
int policy_usage_error(int status, const char *what);

/* A file, or the name of a shipped policy, as a path in buf or `name` itself. */
const char *policy_find(const char *name, char *buf, size_t size);

/* Reads and compiles; diagnostics are the caller's to print. With `rename` the image gets that
 * name instead of its own. -errno. */
int policy_compile_path(const char *path, const char *rename, struct warder_image **ret_image,
			struct policy_diags *diags);

/* With each rule's share of the automaton, see policy_compile_costs(). */
int policy_compile_path_costs(const char *path, struct warder_image **ret_image,
			      struct policy_diags *diags, __u64 **ret_costs);

/* `also` sees what was compiled, and may add to the diagnostics. */
int policy_compile_path_and(const char *path, struct warder_image **ret_image,
			    struct policy_diags *diags,
			    void (*also)(const struct policy *p, struct policy_diags *diags));

/* The same for a text that is called `name`; `diags` may be NULL. */
int policy_compile_buffer(const char *name, const char *text, struct warder_image **ret_image,
			  struct policy_diags *diags);

/* Text or compiled image; says on stderr what is wrong. 0 or an exit status. */
int policy_load_path(const char *path, struct warder_image **ret_image);

/* The policies that further ones of a container are read from: --policy, each time it is given. */
struct policy_more {
	const char *path[WARDER_LAYERS_MAX];
	size_t count;
};
/* 0, or -E2BIG: that would be too many. */
int policy_more_add(struct policy_more *m, const char *path);
/* In the place of *img the stack of it and those; says on stderr what is wrong. 0 or an exit
 * status. Nothing to do without further ones. */
int policy_more_stack(const struct policy_more *m, struct warder_image **img);

/* A whole file, or standard input for "-". 0 or an exit status after a message. */
int policy_slurp(const char *path, char **ret_text, size_t *ret_len);

/* The file appears whole or not at all. Symbolic links are followed and stay; what is no regular
 * file, as a device or a pipe, is written into and stays. 0 or -errno. In cmd_policy_write.c. */
int policy_write_file(const char *path, const void *data, size_t len);

/* Pretty JSON on stdout; takes `o`. 0 or EXIT_WARDER. */
int policy_print_json(struct json_object *o);
void json_add_string(struct json_object *o, const char *key, const char *value); /* NULL: null */
void json_add_number(struct json_object *o, const char *key, int64_t value);
void json_add_bool(struct json_object *o, const char *key, bool value);
struct json_object *policy_diag_json(const struct policy_diag *d);
/* A rule as an object, NULL for 0. */
struct json_object *policy_rule_json(const struct warder_image *img, __u32 number);

/* What a live run does at most: each test is a process that waits for its turn. */
#define LIVE_TESTS_MAX 400

/* Runs the tests as real system calls in a container under the policy at `policy_path` and those of
 * `more`, which `all` is the image of, and hands each result to `result`; `text` says what happened,
 * or why it was skipped. 0 or -errno after a message. */
int policy_live_tests(const struct policy_tests *t, const struct warder_image *all,
		      const char *policy_path, const struct policy_more *more,
		      int (*result)(void *arg, const struct policy_test *t, int skipped, bool ok,
				    const char *text),
		      void *arg);

/* cmd_policy_explain_override.c. Tells what override rules make of a mount (beside its verdict) or of
 * a call, on standard output or, with an object or list, in that. 0, -errno. */
int explain_override(const struct warder_image *img, const struct policy_test *t,
		     struct json_object *ret);
int explain_call(const struct warder_image *img, const struct policy_test *t,
		 struct json_object *all);

#endif
