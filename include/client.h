/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The client side for the command line: requests that libwarder does not offer to others. */
#ifndef WARDER_CLIENT_H
#define WARDER_CLIENT_H

#include <json-c/json.h>

#include "control.h"
#include "log.h"
#include "warder.h"

/* Do pins of an earlier supervisor exist? Then a new one must run to know its containers. */
int client_is_pinned(void);

/* Sends `request` (taken) with descriptors and waits for the reply, whose "ok" is true on
 * success. *ret_code (may be NULL): exit status to end with on failure. */
int client_call(struct warder *w, struct json_object *request, const int *fds, size_t count,
		struct json_object **ret, struct control_fds *ret_fds, int *ret_code,
		struct warder_error *reterr);
struct json_object *client_request(const char *name);
/* A sealed memfd with these bytes, or -errno. */
int client_memfd(const void *data, size_t len);

/* Connects as a command does: flags of warder_connect(); fills the sentence. */
int client_connect(struct warder **ret, int flags, struct warder_error *reterr);

/* What functions of the library end with: the sentence for the caller's buffer (may be NULL) if there is
 * an `err`, which is returned. */
int client_out(int err, const struct warder_error *e, char *error, size_t size);

/* On a connected socket (taken, also when there is no memory: NULL). */
struct warder *client_from_socket(int sock, int flags);

#endif
