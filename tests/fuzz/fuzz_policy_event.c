// SPDX-License-Identifier: LGPL-2.1-or-later
/* Any bytes as lines of recorded events: what is read as a request can be told, judged and learned
 * from; and any text through the formatter and the importers, whose output must be a policy. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy_tools.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct warder_image *fuzz_image(void)
{
	static const char text[] = "policy: f\ndefaults: {file: deny, exec: deny}\n"
				   "file: [{allow: [read], path: \"/a/**\"}]\n";
	struct policy_diags d = { 0 };
	struct warder_image *img = NULL;
	struct policy *p = NULL;

	if (policy_parse("f", text, sizeof(text) - 1, NULL, &p, &d) || policy_compile(p, &img, &d))
		abort();
	policy_free(p);
	policy_diags_done(&d);
	return img;
}

static void fuzz_events(const struct warder_image *img, const char *text, size_t size)
{
	struct learn_options options = { .name = "f", .threshold = 2 };
	struct observations o = { 0 };
	struct policy_diags d = { 0 };
	struct warder_error e = { "" };
	FILE *f = fmemopen((void *)(uintptr_t)text, size, "r");
	char buf[256], *learned = NULL;

	if (!f)
		return;
	observations_read(&o, f, "f", &d);
	fclose(f);
	policy_diags_done(&d);
	for (size_t i = 0; i < o.count; i++) {
		struct warder_verdict v;

		if (strlen(request_text(&o.item[i]->event.request, buf, sizeof(buf))) >= sizeof(buf))
			abort();
		/* Everything that was read is a whole request. */
		if (policy_decide(img, &o.item[i]->event.request, &v))
			abort();
	}
	/* What cannot be a policy is refused, never printed. */
	policy_learn(&o, &options, &learned, &e);
	free(learned);
	observations_done(&o);
}

static void fuzz_text(const char *text, size_t size)
{
	static int (*const imports[])(const char *, const char *, size_t, char **,
				      struct policy_diags *) = {
		policy_import_apparmor, policy_import_kubearmor, policy_import_oci
	};
	struct policy_diags d = { 0 };
	char *out = NULL, *again = NULL;

	if (!policy_format("f", text, size, &out, &d) && !policy_same_tree("f", text, out)) {
		if (policy_format("f", out, strlen(out), &again, &d))
			abort();
	}
	policy_diags_done(&d);
	free(out);
	free(again);
	for (size_t i = 0; i < sizeof(imports) / sizeof(imports[0]); i++) {
		out = NULL;
		imports[i]("f", text, size, &out, &d);
		policy_diags_done(&d);
		free(out);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct warder_image *img;
	char *text = malloc(size + 1);

	if (!img)
		img = fuzz_image();
	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = 0;
	if (size)
		fuzz_events(img, text, size);
	if (size && !memchr(text, 0, size))
		fuzz_text(text, size);
	free(text);
	return 0;
}
