// SPDX-License-Identifier: LGPL-2.1-or-later
/* Bytes in JSON messages about upcalls: as text where they are text, else as hex. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "upcall_json.h"

static const char *hex_key(const char *key, char *buf, size_t size)
{
	snprintf(buf, size, "%s_hex", key);
	return buf;
}

void upcall_put_bytes(struct json_object *o, const char *key, const void *data, size_t len)
{
	cleanup_free char *text = NULL;
	char name[32];

	if (upcall_is_text(data, len)) {
		json_object_object_add(o, key, json_object_new_string_len(data, (int)len));
		return;
	}
	text = malloc(2 * len + 1);
	if (!text)
		return;
	upcall_hex(data, len, text);
	control_put_string(o, hex_key(key, name, sizeof(name)), text);
}

int upcall_get_bytes(struct json_object *o, const char *key, void *buf, size_t size, size_t *ret_len,
		     struct warder_error *reterr)
{
	const char *text = NULL, *hex = NULL;
	char name[32];
	int len;

	hex_key(key, name, sizeof(name));
	if (control_get_string(o, key, &text, reterr) < 0 ||
	    control_get_string(o, name, &hex, reterr) < 0)
		return -EINVAL;
	if (!text && !hex)
		return 0;
	if (text && hex)
		return error_set(reterr, -EINVAL, "%s and %s: one of them", key, name);
	len = text ? (strlen(text) <= size ? (int)strlen(text) : -EBADMSG) : upcall_unhex(hex, buf, size);
	if (len < 0)
		return error_set(reterr, -EINVAL, "%s: more than %zu bytes, or no hex", key, size);
	if (text)
		memcpy(buf, text, (size_t)len);
	*ret_len = (size_t)len;
	return 1;
}
