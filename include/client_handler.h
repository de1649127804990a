/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Handlers for the command line and for tests: messages as they come. */
#ifndef WARDER_CLIENT_HANDLER_H
#define WARDER_CLIENT_HANDLER_H

#include <json-c/json.h>

#include "log.h"
#include "warder.h"

/* As warder_handler_open(); `w` (taken) is a connection, NULL: one is made. */
int handler_open(struct warder_handler **ret, struct warder *w,
		 const struct warder_handler_options *options, struct warder_error *reterr);
/* As warder_handler_next(). */
int handler_next(struct warder_handler *h, struct warder_handler_call *ret, int timeout_ms,
		 struct warder_error *reterr);
/* Sends what a program said, with the members that belong to an answer, whatever is in them: the
 * supervisor judges it. NULL: it said nothing that can be understood. */
int handler_say(struct warder_handler *h, struct json_object *said);

#endif
