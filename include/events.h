/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events: reading the ring, checking records, rendering them as text and as JSON. */
#ifndef WARDER_EVENTS_H
#define WARDER_EVENTS_H

#include <json-c/json.h>
#include <stddef.h>

#include "loader.h"
#include "log.h"
#include "override.h"
#include "warder_abi.h"

struct events;

/* Each record of the ring, checked; also lifecycle and gap records made here. */
typedef void (*events_fn)(const struct warder_event_header *h, size_t size, void *arg);

int events_new(struct events **ret, struct loader *loader, events_fn fn, void *arg,
	       struct warder_error *reterr);
void events_free(struct events *e);
/* Readable when records wait. */
int events_fd(const struct events *e);
/* Hands over all that wait; number of records or -errno. */
int events_consume(struct events *e);

/* Is this a record that may be interpreted? Sizes, type, lengths within. 0 or -EINVAL. */
int event_verify(const void *data, size_t size);

/* The container's name and its policy image are looked up by the caller; both may be NULL.
 * The JSON object is the published schema's (docs/events.schema.json); the caller puts it. */
struct json_object *event_to_json(const struct warder_event *ev, const char *container,
				  const struct warder_image *img);
struct json_object *outcome_to_json(const struct override_outcome *o, const char *container,
				    const struct warder_image *img);
struct json_object *icept_to_json(const struct warder_icept *ic, const char *container,
				  const struct warder_image *img);

/* A member of bytes that need not be UTF-8; control characters and such are \xNN. */
void json_add_bytes(struct json_object *o, const char *key, const char *s, size_t len);

/* One line for people from such an object, into buf; returns buf. */
const char *event_render(struct json_object *event, char *buf, size_t size);

/* Name of the profile with that id in the policy as it is now: "unknown" when there is none. */
const char *image_profile_name(const struct warder_image *img, __u32 id);

const char *hook_name(__u32 hook);
const char *fault_name(__u32 fault);
const char *unasked_text(__u32 unasked);

#endif
