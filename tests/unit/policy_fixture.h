/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of the policy language share: texts that must compile, texts that must not. */
#ifndef WARDER_POLICY_FIXTURE_H
#define WARDER_POLICY_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy.h"
#include "policy_internal.h"

/* After the module's header: it has an expect_string() of its own. */
#include <cmocka.h>

#define P "policy: p\n"

static char folder[64];

static inline int make_folder(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/warder-policy-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static inline int remove_folder(void **state)
{
	char command[96];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf -- '%s'", folder);
	return system(command);
}

static inline int try_text(const char *text, size_t len, struct warder_image **ret_img,
		    struct policy_diags *d)
{
	const char *const dirs[] = {folder, NULL};
	struct policy *p = NULL;
	int err = policy_parse("t", text, len, dirs, &p, d);

	*ret_img = NULL;
	if (!err)
		err = policy_compile(p, ret_img, d);
	policy_free(p);
	return err;
}

static inline struct warder_image *good(const char *text)
{
	struct policy_diags d = {0};
	struct warder_image *img;
	struct warder_error e;
	int err = try_text(text, strlen(text), &img, &d);

	if (err) {
		policy_diags_print(&d, stderr);
		fail_msg("refused: %s", text);
	}
	policy_diags_done(&d);
	if (image_verify(img, sizeof(*img), &e))
		fail_msg("%s", e.text);
	return img;
}

/* Each text has exactly one error, at this place, with these words. Column 0: any errors. */
struct policy_error {
	const char *text;
	unsigned line, column;
	const char *words;
};

static inline bool error_is_right(const struct policy_error *e, int err,
				  const struct policy_diags *d)
{
	const struct policy_diag *first = NULL;

	for (size_t i = 0; !first && i < d->count; i++)
		if (!d->item[i].warning)
			first = &d->item[i];
	if (err != -EINVAL || !d->errors || !first)
		return false;
	return !e->column || (d->errors == 1 && first->line == e->line &&
			      first->column == e->column && strstr(first->text, e->words));
}

static inline void check_errors(const struct policy_error *errors, size_t count)
{
	int wrong = 0;

	for (size_t i = 0; i < count; i++) {
		struct policy_diags d = {0};
		struct warder_image *img;
		int err = try_text(errors[i].text, strlen(errors[i].text), &img, &d);

		if (!error_is_right(&errors[i], err, &d)) {
			print_error("%d, expected only %u:%u with \"%s\" for: %s", err,
				    errors[i].line, errors[i].column, errors[i].words,
				    errors[i].text);
			policy_diags_print(&d, stderr);
			wrong++;
		}
		policy_diags_done(&d);
		free(img);
	}
	assert_int_equal(wrong, 0);
}

/* What the top profile says of a file's access: 0 or the errno. */
static inline int decide_file(const struct warder_image *img, const char *path, __u32 access)
{
	struct policy_request r = {.class_ = WARDER_CLASS_FILE, .access = access, .path = path};
	struct warder_verdict v;

	assert_int_equal(policy_decide(img, &r, &v), 0);
	return v.action == WARDER_ALLOW ? 0 : (int)v.err;
}

#endif
