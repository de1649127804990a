// SPDX-License-Identifier: LGPL-2.1-or-later
/* Any bytes as an image, with its checksum made right: whatever is accepted can be used. The
 * first byte chooses the name that is asked for. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"
#include "policy_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct warder_image *img, unsigned choice)
{
	static const char *const paths[] = { "/", "/a/b", "/etc/passwd", "/m", "/o", "\xff", "" };
	static const enum warder_class classes[] = { WARDER_CLASS_FILE, WARDER_CLASS_EXEC,
						     WARDER_CLASS_CAPABILITY, WARDER_CLASS_MOUNT };
	char where[256], digest[65];

	for (unsigned i = 0; i < 4; i++) {
		struct policy_request r = { .class_ = classes[i],
					    .access = 1u << (choice % 5),
					    .path = paths[choice % 7],
					    .fstype = "tmpfs" };
		struct warder_verdict v;

		if (policy_decide(img, &r, &v))
			abort();
		/* A refusal has an errno, and a rule that exists if it names one. */
		if (v.action != WARDER_ALLOW && !v.err)
			abort();
		if (v.why == WARDER_WHY_RULE && !image_rule(img, v.rule))
			abort();
		image_rule_where(img, v.rule, where, sizeof(where));
	}
	image_digest(img, digest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct warder_image *img;

	size_t len = size - 1;

	if (size < 1 + sizeof(img->h) || len > sizeof(*img))
		return 0;
	/* As much as there is: reading beyond it is found. */
	img = malloc(len);
	if (!img)
		return 0;
	memcpy(img, data + 1, len);
	if (img->h.length >= sizeof(img->h) && img->h.length <= len)
		img->h.checksum = image_checksum(img);
	if (!image_verify(img, len, NULL)) {
		struct warder_image *whole = calloc(1, sizeof(*whole));

		if (whole) {
			memcpy(whole, img, len);
			use(whole, data[0]);
		}
		free(whole);
	}
	free(img);
	return 0;
}
