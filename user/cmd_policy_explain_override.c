// SPDX-License-Identifier: LGPL-2.1-or-later
/* warder policy explain: what override rules make of a mount or call that was refused. */
#include <errno.h>
#include <string.h>

#include "calls.h"
#include "cleanup.h"
#include "cmd_policy.h"

/* What the rule's word comes to, in a sentence. */
static const char *override_means(enum test_override o)
{
	switch (o) {
	case TEST_OVERRIDE_PERFORM:
		return "the supervisor carries it out";
	case TEST_OVERRIDE_FAKE:
		return "the caller is told that it was done";
	case TEST_OVERRIDE_DENY:
		return "it is refused with the rule's errno";
	case TEST_OVERRIDE_ASK:
		return "a handler or a person decides";
	case TEST_OVERRIDE_REPORT:
		return "it is reported, and stays refused";
	default:
		return "the refusal stands";
	}
}

static void override_json(const struct warder_image *img, const struct policy_test_result *got,
			  struct json_object *ret)
{
	struct json_object *o = json_object_new_object();

	json_add_string(o, "action", test_override_name(got->override));
	json_object_object_add(o, "rule", policy_rule_json(img, got->override_rule));
	json_add_string(o, "reason", got->got);
	json_object_object_add(ret, "override", o);
}

int explain_override(const struct warder_image *img, const struct policy_test *t,
		     struct json_object *ret)
{
	cleanup_free struct policy_test_result *got = calloc(1, sizeof(*got));
	char where[512];
	int err = got ? policy_test_override(img, t, got) : -ENOMEM;

	if (err)
		return err;
	if (ret) {
		override_json(img, got, ret);
		return 0;
	}
	if (!img->h.override_.count)
		return 0;
	if (got->override != TEST_OVERRIDE_NONE)
		printf("override: %s, by the override rule at %s: where the kernel refuses it for a "
		       "missing capability or by a class default, %s\n",
		       test_override_name(got->override),
		       image_rule_where(img, got->override_rule, where, sizeof(where)),
		       override_means(got->override));
	else
		printf("override: none, the refusal stands: %s\n", got->got);
	return 0;
}

int explain_call(const struct warder_image *img, const struct policy_test *t,
		 struct json_object *all)
{
	struct json_object *o = all ? json_object_new_object() : NULL;

	if (o) {
		json_add_string(o, "request", call_op_word(t->op));
		json_object_array_add(all, o);
	} else {
		printf("call %s: the kernel decides it; only override rules speak of it\n",
		       call_op_word(t->op));
		if (!img->h.override_.count)
			puts("override: none, the refusal stands: the policy has no override rules");
	}
	return explain_override(img, t, o) ? EXIT_WARDER : 0;
}
