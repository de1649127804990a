// SPDX-License-Identifier: LGPL-2.1-or-later
/* Messages about upcalls, and the texts that are read on their way. What is accepted is within the
 * input and its limits, and comes out again as it went in. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "request_key.h"
#include "upcall.h"

static void check(int good)
{
	if (!good)
		abort();
}

static void messages(const uint8_t *data, size_t size)
{
	static char again[UPCALL_MESSAGE_MAX];
	struct upcall_verdict v;
	struct upcall_ask a;

	if (!upcall_ask_unpack(data, size, &a)) {
		check(a.callout + a.callout_len + 1 == (const char *)data + size);
		check(upcall_ask_pack(&a, again, sizeof(again)) == (int)size);
		check(!memcmp(again, data, size));
	}
	if (!upcall_verdict_unpack(data, size, &v))
		check(v.payload_len <= UPCALL_PAYLOAD_MAX &&
		      upcall_verdict_pack(&v, again, sizeof(again)) == (int)size);
}

static void texts(const char *text, size_t size)
{
	static const char *const words[4] = { "create", "user", "debug:x", "callout" };
	static struct upcall_idmap map;
	struct upcall_status st;
	char raw[64], hex[2 * sizeof(raw) + 1];
	size_t score[4];
	int n;

	if (!upcall_status_parse(text, &st))
		check(st.depth >= 1 && st.depth <= 33);
	if (!upcall_idmap_parse(text, &map))
		check(map.count <= UPCALL_MAP_MAX);
	upcall_idmap_inside(&map, 100000);
	n = upcall_unhex(text, raw, sizeof(raw));
	if (n >= 0) {
		upcall_hex(raw, (size_t)n, hex);
		check(strlen(hex) == strlen(text));
	}
	upcall_is_text(text, size);
	if (request_key_line_fits(text, words, score))
		check(score[0] <= 6 && score[1] <= 4 && score[2] <= 7 && score[3] <= 7);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	memcpy(text, data, size);
	text[size] = '\0';
	messages(data, size);
	texts(text, size);
	free(text);
	return 0;
}
