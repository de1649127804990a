// SPDX-License-Identifier: LGPL-2.1-or-later
/* warder policy fmt, import: texts in, canonical policies out. */
#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "cleanup.h"
#include "cmd_policy.h"

/* ---------------------------------------------------------------------- fmt */

static const char fmt_usage[] =
	"usage: warder policy fmt [--write] [--check] FILE...|-\n"
	"Canonical text on standard output; comments and the order of rules stay.\n"
	"  -w, --write   into the files\n"
	"      --check   status 1 and the names of files that are not canonical\n"
	"Nothing is written unless the result compiles to the same policy.\n";

/* An image without what formatting may change: lines and columns of rules. */
static void forget_lines(struct warder_image *img)
{
	for (__u32 i = 1; i <= img->h.rule.count; i++) {
		struct warder_rule *r = (struct warder_rule *)(uintptr_t)image_rule(img, i);

		r->line = r->column = 0;
	}
	img->h.checksum = 0;
}

/* Does it mean the same? A file of tests is compared as what it is read as. 0 or -EINVAL. */
static int check_meaning(const char *name, const char *old, const char *new_,
			 struct policy_diags *diags)
{
	cleanup_free struct warder_image *a = NULL, *b = NULL;
	int err;

	err = policy_same_tree(name, old, new_);
	if (err)
		return err;
	if (policy_is_tests(name, old))
		return 0;
	err = policy_compile_buffer(name, old, &a, diags);
	if (err)
		return err;
	err = policy_compile_buffer(name, new_, &b, NULL);
	if (err)
		return err;
	forget_lines(a);
	forget_lines(b);
	return a->h.length == b->h.length && !memcmp(a->b, b->b, a->h.length) ? 0 : -EINVAL;
}

static int fmt_one(const char *path, bool write_it, bool check)
{
	cleanup_free char *text = NULL, *out = NULL, *again = NULL;
	struct policy_diags diags = { 0 }, ignored = { 0 };
	char found[WARDER_PATH_MAX];
	size_t len;
	int status, err;

	if (strcmp(path, "-"))
		path = policy_find(path, found, sizeof(found));
	status = policy_slurp(path, &text, &len);
	if (status)
		return status;
	err = policy_format(path, text, len, &out, &diags);
	if (!err)
		err = check_meaning(path, text, out, &diags);
	policy_diags_print(&diags, stderr);
	if (err && !diags.errors)
		fprintf(stderr, "%s: error: its formatted text would not mean the same, so nothing is "
				"written (%s)\n", path, strerror(-err));
	policy_diags_done(&diags);
	if (err)
		return err == -ENOMEM ? EXIT_WARDER : EXIT_FINDINGS;
	/* What is canonical must stay as it is. */
	err = policy_format(path, out, strlen(out), &again, &ignored);
	policy_diags_done(&ignored);
	if (err || strcmp(out, again)) {
		fprintf(stderr, "%s: error: formatting it twice gives two texts, so nothing is "
				"written\n", path);
		return EXIT_WARDER;
	}
	if (check) {
		if (strcmp(text, out))
			puts(path);
		return strcmp(text, out) ? EXIT_FINDINGS : 0;
	}
	if (!write_it || !strcmp(path, "-"))
		return fputs(out, stdout) < 0 || fflush(stdout) ? EXIT_WARDER : 0;
	if (!strcmp(text, out))
		return 0;
	err = policy_write_file(path, out, strlen(out));
	if (err)
		fprintf(stderr, "warder policy: cannot write %s: %s\n", path, strerror(-err));
	return err ? EXIT_WARDER : 0;
}

int cmd_policy_fmt(int argc, char **argv)
{
	static const struct option options[] = { { "write", no_argument, NULL, 'w' },
						 { "check", no_argument, NULL, 'c' },
						 { "help", no_argument, NULL, 'h' },
						 { NULL, 0, NULL, 0 } };
	bool write_it = false, check = false;
	int c, status = 0;

	optind = 0;
	while ((c = getopt_long(argc, argv, "wh", options, NULL)) != -1) {
		if (c == 'h')
			return fputs(fmt_usage, stdout) < 0;
		if (c == 'w')
			write_it = true;
		else if (c == 'c')
			check = true;
		else
			return policy_usage_error(EXIT_USAGE, "fmt: unknown option");
	}
	if (optind == argc || (write_it && check))
		return policy_usage_error(EXIT_USAGE, optind == argc ? "fmt: which file?" :
								       "fmt: --write or --check");
	for (int i = optind; i < argc; i++) {
		int one = fmt_one(argv[i], write_it, check);

		status = one > status ? one : status;
	}
	return status;
}

/* ------------------------------------------------------------------- import */

static const char import_usage[] =
	"usage: warder policy import apparmor|kubearmor|oci FILE|-\n"
	"A policy on standard output, from an AppArmor profile, a KubeArmor policy or an OCI\n"
	"config.json; on standard error what it cannot say, each with its line: rules that allow are\n"
	"then left out, rules that deny made wider. Review both.\n";

int cmd_policy_import(int argc, char **argv)
{
	static const struct {
		const char *format;
		int (*run)(const char *name, const char *text, size_t len, char **ret_text,
			   struct policy_diags *diags);
	} formats[] = { { "apparmor", policy_import_apparmor },
			{ "kubearmor", policy_import_kubearmor },
			{ "oci", policy_import_oci } };
	cleanup_free char *text = NULL, *raw = NULL, *out = NULL;
	struct policy_diags diags = { 0 };
	size_t len, which = 0;
	int err;

	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return fputs(import_usage, stdout) < 0;
	while (argc == 3 && which < ARRAY_SIZE(formats) && strcmp(formats[which].format, argv[1]))
		which++;
	if (argc != 3 || which == ARRAY_SIZE(formats))
		return policy_usage_error(EXIT_USAGE,
					  "import: apparmor, kubearmor or oci, and a file");
	err = policy_slurp(argv[2], &text, &len);
	if (err)
		return err;
	err = formats[which].run(argv[2], text, len, &raw, &diags);
	if (!err)
		err = policy_format("imported", raw, strlen(raw), &out, &diags);
	policy_diags_print(&diags, stderr);
	if (err && !diags.errors)
		fprintf(stderr, "%s: error: %s\n", argv[2], strerror(-err));
	policy_diags_done(&diags);
	if (err)
		return err == -ENOMEM ? EXIT_WARDER : EXIT_FINDINGS;
	return fputs(out, stdout) < 0 || fflush(stdout) ? EXIT_WARDER : 0;
}
