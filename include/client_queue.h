/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Queues of keys for the command line: messages as they come. */
#ifndef WARDER_CLIENT_QUEUE_H
#define WARDER_CLIENT_QUEUE_H

#include <json-c/json.h>

#include "log.h"
#include "warder.h"

int queue_open(struct warder_queue **ret, const char *container, int flags,
	       struct warder_error *reterr);
int queue_serve(struct warder_queue *q, const char *type, struct warder_error *reterr);
/* The next message, {"upcall": ...} or {"cancelled": ...}; errors as warder_queue_next(). */
int queue_next(struct warder_queue *q, int timeout_ms, struct json_object **ret,
	       struct warder_error *reterr);
int queue_take(struct warder_queue *q, uint64_t seq, struct warder_error *reterr);
/* Sends {"request": "keyring-answer"} with these members. Takes `answer`. */
int queue_answer(struct warder_queue *q, struct json_object *answer);

#endif
