/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bytes in JSON messages: member KEY as a text, or KEY_hex where they are no UTF-8 text. */
#ifndef WARDER_UPCALL_JSON_H
#define WARDER_UPCALL_JSON_H

#include "control.h"
#include "upcall.h"

void upcall_put_bytes(struct json_object *o, const char *key, const void *data, size_t len);
/* 1: found, 0: neither is there, -EINVAL with a sentence: both, too long, no hex. */
int upcall_get_bytes(struct json_object *o, const char *key, void *buf, size_t size, size_t *ret_len,
		     struct warder_error *reterr);

#endif
