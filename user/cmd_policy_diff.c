// SPDX-License-Identifier: LGPL-2.1-or-later
/* warder policy diff: what becomes allowed and what becomes denied, each with a request that
 * shows it. */
#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "cleanup.h"
#include "cmd_policy.h"

static const char usage[] =
	"usage: warder policy diff [--json] OLD NEW\n"
	"Compares what two policies (or images) decide, not their text: every difference comes with\n"
	"the shortest request that shows it, and the rules that decide it. Status 1 if they differ.\n";

static const char *where(const struct warder_image *img, __u32 rule, char *buf, size_t size)
{
	const struct warder_rule *r = image_rule(img, rule);

	image_rule_where(img, rule, buf, size);
	if (r && r->id && strlen(buf) + strlen(image_string(img, r->id)) + 4 < size)
		sprintf(buf + strlen(buf), " (%s)", image_string(img, r->id));
	return buf;
}

static void print_side(const char *which, const struct warder_image *img, int err, bool report, __u32 rule)
{
	char a[512];

	printf("    %s: %s%s%s%s, %s\n", which, err ? "deny" : "allow", err ? " " : "",
	       err ? errno_name(err) : "", report ? ", reported" : "", where(img, rule, a, sizeof(a)));
}

static void print_item(const struct diff_item *i, const struct warder_image *old,
		       const struct warder_image *new_)
{
	static const char *const head[] = { "now allowed", "now denied", "another errno",
					    "no longer reported", "another profile", "added",
					    "removed", "changed" };
	char a[512];

	printf("%s%s%s: ", i->kind == DIFF_AUDIT && i->new_report ? "now reported" : head[i->kind],
	       *i->profile ? ", in profile " : "", i->profile);
	if (i->class_)
		printf("%s: ", class_name(i->class_));
	else if (i->kind == DIFF_ADDED || i->kind == DIFF_REMOVED)
		printf("profile ");
	puts(i->what);
	if (i->witness)
		printf("    for instance: %s\n", i->witness);
	if (!i->class_)
		return;
	if (i->class_ == WARDER_CLASS_OVERRIDE) {
		printf("    %s\n", where(i->old_rule ? old : new_,
					 i->old_rule ? i->old_rule : i->new_rule, a, sizeof(a)));
		if (i->witness)
			printf("    refused by the kernel: old: %s, new: %s\n",
			       i->old_effect, i->new_effect);
		return;
	}
	print_side("old", old, i->old_err, i->old_report, i->old_rule);
	print_side("new", new_, i->new_err, i->new_report, i->new_rule);
}

static struct json_object *item_json(const struct diff_item *i, const struct warder_image *old,
				     const struct warder_image *new_)
{
	struct json_object *o = json_object_new_object();

	json_add_string(o, "kind", diff_kind_name(i->kind));
	json_add_string(o, "profile", i->profile);
	json_add_string(o, "class", i->class_ ? class_name(i->class_) : NULL);
	json_add_string(o, "what", i->what);
	json_add_string(o, "witness", i->witness);
	json_object_object_add(o, "old_rule", policy_rule_json(old, i->old_rule));
	json_object_object_add(o, "new_rule", policy_rule_json(new_, i->new_rule));
	json_add_string(o, "old_errno", i->old_err ? errno_name(i->old_err) : NULL);
	json_add_string(o, "new_errno", i->new_err ? errno_name(i->new_err) : NULL);
	if (i->class_ == WARDER_CLASS_OVERRIDE && i->witness) {
		json_add_string(o, "old_override", test_override_name(i->old_override));
		json_add_string(o, "new_override", test_override_name(i->new_override));
		json_add_string(o, "old_effect", i->old_effect);
		json_add_string(o, "new_effect", i->new_effect);
	}
	json_add_bool(o, "old_reported", i->old_report);
	json_add_bool(o, "new_reported", i->new_report);
	return o;
}

static int print_diff(const struct policy_diff *d, const struct warder_image *old,
		      const struct warder_image *new_, bool json)
{
	struct json_object *o, *list;

	if (json) {
		o = json_object_new_object();
		list = json_object_new_array();
		for (size_t i = 0; i < d->count; i++)
			json_object_array_add(list, item_json(&d->item[i], old, new_));
		json_object_object_add(o, "differences", list);
		json_add_bool(o, "complete", !d->incomplete);
		return policy_print_json(o);
	}
	/* What is allowed first: it is what a review is about. */
	for (unsigned kind = DIFF_ALLOWED; kind <= DIFF_CHANGED; kind++)
		for (size_t i = 0; i < d->count; i++)
			if (d->item[i].kind == kind)
				print_item(&d->item[i], old, new_);
	if (!d->count && !d->incomplete)
		puts("no difference");
	return fflush(stdout) ? EXIT_WARDER : 0;
}

int cmd_policy_diff(int argc, char **argv)
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' },
						 { "help", no_argument, NULL, 'h' },
						 { NULL, 0, NULL, 0 } };
	cleanup_free struct warder_image *old = NULL, *new_ = NULL;
	struct policy_diff diff;
	bool json = false;
	int c, err;

	optind = 0;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'h')
			return fputs(usage, stdout) < 0;
		if (c != 'j')
			return policy_usage_error(EXIT_USAGE, "diff: unknown option");
		json = true;
	}
	if (argc - optind != 2)
		return policy_usage_error(EXIT_USAGE, "diff: OLD and NEW, please");
	/* A policy that cannot be read is no difference. */
	if (policy_load_path(argv[optind], &old) || policy_load_path(argv[optind + 1], &new_))
		return EXIT_WARDER;
	err = policy_diff(old, new_, &diff);
	if (err) {
		fprintf(stderr, "warder policy diff: %s\n", strerror(-err));
		return EXIT_WARDER;
	}
	err = print_diff(&diff, old, new_, json);
	if (!err && diff.incomplete)
		fputs("warder policy diff: a bound was reached: there may be more differences\n",
		      stderr);
	if (!err)
		err = diff.count ? EXIT_FINDINGS : diff.incomplete ? EXIT_WARDER : 0;
	policy_diff_done(&diff);
	return err;
}
