// SPDX-License-Identifier: LGPL-2.1-or-later
/* Any bytes as a message: no crash; what is accepted as a container's specification means the
 * same when it is written and read again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "container.h"
#include "control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_spec(struct json_object *o)
{
	struct container_spec *spec = NULL, *again = NULL;
	struct json_object *first, *second;
	struct warder_error e = { "" };
	int err = container_spec_from_json(o, &spec, &e);

	/* A refusal says why; a success leaves nothing half done. */
	if (err ? !e.text[0] || spec : !spec || !spec->argv || !spec->argv[0])
		abort();
	if (err)
		return;
	first = container_spec_to_json(spec);
	if (container_spec_from_json(first, &again, &e))
		abort();
	second = container_spec_to_json(again);
	if (!json_object_equal(first, second))
		abort();
	json_object_put(first);
	json_object_put(second);
	container_spec_free(again);
	container_spec_free(spec);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const keys[] = { "request", "name", "spec", "signal", "cid", NULL };
	struct json_object *o = NULL, *spec;
	struct warder_error e = { "" };
	const char *text = NULL;
	uint64_t u = 7;
	int64_t i = 7;
	char **v = NULL;
	int b = 0;

	if (control_parse((const char *)data, size, &o, &e)) {
		if (o || !e.text[0])
			abort();
		return 0;
	}
	control_check_keys(o, keys, &e);
	if (control_get_string(o, "name", &text, &e) == 1 && container_check_name(text, &e) == 0 &&
	    (!text[0] || strchr(text, '/')))
		abort();
	if (control_get_i64(o, "signal", 1, 64, &i, &e) == 1 && (i < 1 || i > 64))
		abort();
	if (control_get_u64(o, "cid", 1000, &u, &e) == 1 && u > 1000)
		abort();
	control_get_bool(o, "detach", &b, &e);
	control_get_strv(o, "argv", 16, &v, &e);
	control_strv_free(v);
	if (json_object_object_get_ex(o, "spec", &spec) &&
	    json_object_is_type(spec, json_type_object))
		fuzz_spec(spec);
	json_object_put(o);
	return 0;
}
