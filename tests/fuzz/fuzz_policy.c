// SPDX-License-Identifier: LGPL-2.1-or-later
/* Any bytes as a policy: no crash, no hang; what compiles is a valid image, twice the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy_request r = { .class_ = WARDER_CLASS_FILE, .access = 1, .path = "/etc/a" };
	struct warder_image *img = NULL;
	struct policy_diags d = { 0 };
	struct warder_verdict v;
	struct policy *p;
	int err = policy_parse("fuzz", (const char *)data, size, NULL, &p, &d);

	if (!err)
		err = policy_compile(p, &img, &d);
	/* Success without errors, failure with at least one. */
	if ((!err) != (d.errors == 0) || (err && img))
		abort();
	if (!err && (image_verify(img, sizeof(*img), NULL) || policy_decide(img, &r, &v)))
		abort();
	policy_free(p);
	policy_diags_done(&d);
	free(img);
	return 0;
}
