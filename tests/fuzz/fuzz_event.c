// SPDX-License-Identifier: LGPL-2.1-or-later
/* Any bytes as a record of the ring, and any JSON as an event: what passes the check is rendered
 * as one line of printable characters that ends where its buffer does. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "events.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_render(struct json_object *o)
{
	char line[300];

	memset(line, '~', sizeof(line));
	if (event_render(o, line, sizeof(line) - 1) != line || !memchr(line, 0, sizeof(line) - 1) ||
	    line[sizeof(line) - 1] != '~')
		abort();
	for (const char *p = line; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct warder_event_header *h;
	struct json_object *o = NULL;
	struct warder_error e;
	uint8_t *copy;

	/* From elsewhere: `warder events` renders what a supervisor of another version sent. */
	if (control_parse((const char *)data, size, &o, &e) == 0) {
		fuzz_render(o);
		json_object_put(o);
	}
	/* Aligned as the ring has it, and not one byte more, so that a sanitizer sees an excess. */
	copy = malloc(size ? size : 1);
	if (!copy)
		return 0;
	memcpy(copy, data, size);
	h = (const void *)copy;
	/* Told by the last kind is the supervisor alone; it has no words. */
	if (event_verify(copy, size) == 0 && h->type != WARDER_EVENT_CLEARED) {
		o = h->type == WARDER_EVENT_REFUSAL ?
			    icept_to_json((const void *)copy, "fuzz", NULL) :
			    event_to_json((const void *)copy, "fuzz", NULL);
		if (!o)
			abort();
		fuzz_render(o);
		json_object_put(o);
	}
	free(copy);
	return 0;
}
