/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a restarted supervisor must know and the kernel does not hold: one JSON file for each
 * container, replaced atomically, and the list of those that exited. One thread. */
#ifndef WARDER_STATE_H
#define WARDER_STATE_H

#include <json-c/json.h>
#include <stdint.h>

#include "log.h"

#define STATE_FILE_MAX (1u << 20)
#define STATE_EXITED_MAX 64

struct state_exited {
	uint64_t cid;
	int status;
	char name[64];
};

/* `dir` is <run_dir>/containers. */
int state_save_container(const char *dir, uint64_t cid, struct json_object *o,
			 struct warder_error *reterr);
/* -ENOENT; -EBADMSG: damaged. */
int state_load_container(const char *dir, uint64_t cid, struct json_object **ret,
			 struct warder_error *reterr);
void state_remove_container(const char *dir, uint64_t cid);
/* Removes files of containers for which `alive` says 0 (left by a host crash or a kill). */
void state_prune(const char *dir, int (*alive)(uint64_t cid, void *arg), void *arg);

int state_save_exited(const char *dir, const struct state_exited *list, size_t count);
/* Names of the policies that were loaded, and not only brought along by a container. */
int state_save_loaded(const char *dir, const char *const *names, size_t count);
/* -ENOENT: none was ever written. Else a list that ends with NULL, for control_strv_free(). */
int state_load_loaded(const char *dir, size_t max, char ***ret_names);
/* Number of entries read, 0 if there is none or it is damaged. */
size_t state_load_exited(const char *dir, struct state_exited list[STATE_EXITED_MAX]);

#endif
