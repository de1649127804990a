// SPDX-License-Identifier: LGPL-2.1-or-later
/* warder policy test: files of tests, as TAP, JSON or JUnit; which rules they reached. */
#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "cleanup.h"
#include "cmd_policy.h"

static const char usage[] =
	"usage: warder policy test [--json] [--junit FILE] [--coverage[=full]] [--live]\n"
	"                          [--policy MORE]... FILE...\n"
	"\n"
	"Runs files of tests (docs/POLICY-TESTS.md). Prints TAP. Status 1 if a test fails, 125 if a\n"
	"file cannot be run, which every report counts as a failed test.\n"
	"  --json           an array instead of TAP\n"
	"  --junit FILE     JUnit XML into FILE, too\n"
	"  --coverage       says which rules of the policy itself no test reached;\n"
	"                   --coverage=full fails if there are any\n"
	"  --policy MORE    as for a container that has that policy, too; up to 3 times\n"
	"  --live           as real system calls in a container on this kernel (needs root)\n";

struct totals {
	size_t number, passed, failed, skipped;
	size_t errors; /* files that could not be run */
	struct json_object *json; /* array, or NULL */
	FILE *junit;
};

struct run {
	const struct policy_tests *tests;
	const struct warder_image *img;
	struct totals *totals;
	size_t failed; /* of this file, for JUnit's head */
};

/* One line of output each, whatever a name holds. */
static void put_line(const char *prefix, const char *text)
{
	fputs(prefix, stdout);
	for (; *text; text++)
		putchar((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
	putchar('\n');
}

/* A name in TAP: a '#' would begin a directive, and "# TODO" make a failed test a passed one. */
static void put_name(const char *text)
{
	for (; *text; text++) {
		if (*text == '#' || *text == '\\')
			putchar('\\');
		putchar((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
	}
}

static void put_xml(FILE *f, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '<')
			fputs("&lt;", f);
		else if (c == '>')
			fputs("&gt;", f);
		else if (c == '&')
			fputs("&amp;", f);
		else if (c == '"')
			fputs("&quot;", f);
		else
			fputc(c < 0x20 || c == 0x7f ? '?' : c, f);
	}
}

static void put_junit(FILE *f, const struct run *run, const struct policy_test *t, bool ok,
		      const char *skip, const char *why, const char *got)
{
	fputs("    <testcase classname=\"", f);
	put_xml(f, run->tests->file);
	fputs("\" name=\"", f);
	put_xml(f, t->name);
	fprintf(f, "\" line=\"%u\"", t->line);
	if (ok && !skip) {
		fputs("/>\n", f);
		return;
	}
	fputs(skip ? ">\n      <skipped message=\"" : ">\n      <failure message=\"", f);
	put_xml(f, skip ? skip : why);
	fputs("\">", f);
	put_xml(f, skip ? "" : got);
	fputs(skip ? "</skipped>\n    </testcase>\n" : "</failure>\n    </testcase>\n", f);
}

/* `skip`: why it was not run, or NULL. */
static void report(struct run *run, const struct policy_test *t, bool ok, const char *skip,
		   const char *why, const char *got, const char *fix)
{
	struct totals *all = run->totals;

	all->number++;
	all->passed += ok && !skip;
	all->failed += !ok;
	all->skipped += skip != NULL;
	run->failed += !ok;
	if (all->junit)
		put_junit(all->junit, run, t, ok, skip, why, got);
	if (all->json) {
		struct json_object *o = json_object_new_object();

		json_add_string(o, "file", run->tests->file);
		json_add_number(o, "line", t->line);
		json_add_number(o, "column", t->column);
		json_add_string(o, "name", t->name);
		json_add_bool(o, "ok", ok);
		json_add_string(o, "skipped", skip);
		json_add_string(o, "got", got);
		json_add_string(o, "failure", ok ? NULL : why);
		json_add_string(o, "remedy", ok || !fix[0] ? NULL : fix);
		json_object_array_add(all->json, o);
		return;
	}
	printf("%sok %zu - ", ok ? "" : "not ", all->number);
	put_name(t->name);
	if (skip) {
		put_line(" # SKIP live: ", skip);
		return;
	}
	putchar('\n');
	if (ok)
		return;
	printf("# %s:%u:%u: ", run->tests->file, t->line, t->column);
	put_line("", why);
	put_line("# the answer is: ", got);
	if (fix[0] && t->verdict == TEST_ALLOW)
		put_line("# to allow it: ", fix);
}

/* A file that cannot be run is a failed test of its own in every report: else one that has lost
 * all its tests looks like one whose tests all pass. */
static void report_unusable(struct totals *all, const char *file, const char *why)
{
	all->number++;
	all->errors++;
	if (all->junit) {
		fputs("  <testsuite name=\"", all->junit);
		put_xml(all->junit, file);
		fputs("\" tests=\"1\" failures=\"0\" errors=\"1\" skipped=\"0\">\n"
		      "    <testcase classname=\"", all->junit);
		put_xml(all->junit, file);
		fputs("\" name=\"the tests can be run\">\n      <error message=\"", all->junit);
		put_xml(all->junit, why);
		fputs("\"></error>\n    </testcase>\n  </testsuite>\n", all->junit);
	}
	if (all->json) {
		struct json_object *o = json_object_new_object();

		json_add_string(o, "file", file);
		json_add_string(o, "name", "the tests can be run");
		json_add_bool(o, "ok", false);
		json_add_string(o, "failure", why);
		json_object_array_add(all->json, o);
		return;
	}
	printf("not ok %zu - ", all->number);
	put_name(file);
	puts(": the tests can be run");
	put_line("# ", why);
}

/* The first error, as people see it on standard error. */
static void first_error(const struct policy_diags *d, char *buf, size_t size)
{
	for (size_t i = 0; i < d->count; i++)
		if (!d->item[i].warning) {
			snprintf(buf, size, "%s:%u:%u: %s", d->item[i].file, d->item[i].line,
				 d->item[i].column, d->item[i].text);
			return;
		}
}

/* A policy that a file of tests names lies beside it, or is a shipped one. */
static char *policy_path(const struct policy_tests *t)
{
	const char *slash = strrchr(t->file, '/');
	char *path;

	if (t->policy[0] == '/' || !slash)
		return strdup(t->policy);
	if (asprintf(&path, "%.*s/%s", (int)(slash - t->file), t->file, t->policy) < 0)
		return NULL;
	if (!access(path, F_OK))
		return path;
	free(path);
	return strdup(t->policy);
}

/* Rules of included files are somebody else's to test, but for those that the tests say they
 * cover. `path`: where the policy was found. */
static bool is_covered(const struct run *run, const char *path, const struct warder_rule *r)
{
	const char *file = image_string(run->img, r->file);
	size_t len = strlen(file);

	if (!strcmp(file, path))
		return true;
	for (size_t i = 0; i < run->tests->covers_count; i++) {
		const char *name = run->tests->covers[i];
		size_t n = strlen(name) + strlen(".yaml");

		if (len > n && file[len - n - 1] == '/' &&
		    !strncmp(file + len - n, name, strlen(name)) && !strcmp(file + len - 5, ".yaml"))
			return true;
	}
	return false;
}

/* A name in `covers` that no rule came from: a slip, which would hide what is not tested. */
static size_t coverage_strangers(const struct run *run)
{
	size_t strangers = 0;

	for (size_t i = 0; i < run->tests->covers_count; i++) {
		struct policy_tests one = { .covers = &run->tests->covers[i], .covers_count = 1 };
		struct run alone = { .tests = &one, .img = run->img };
		bool found = false;

		for (__u32 k = 1; k <= run->img->h.rule.count && !found; k++)
			found = is_covered(&alone, "", image_rule(run->img, k));
		if (found)
			continue;
		strangers++;
		fprintf(stderr, "%s: error: covers: the policy has no rule of %s\n",
			run->tests->file, one.covers[0]);
	}
	return strangers;
}

/* How many rules no test reached. */
static size_t coverage(const struct run *run, const char *path, const unsigned char *reached,
		       struct json_object *json)
{
	size_t own = 0, missed = 0, included = 0;
	char where[512];

	for (__u32 i = 1; i <= run->img->h.rule.count; i++) {
		if (is_covered(run, path, image_rule(run->img, i)))
			own++, missed += !reached[i];
		else
			included++;
	}
	if (!json)
		printf("# coverage of %s: %zu of %zu rules reached%s\n", path, own - missed, own,
		       included ? " (not counting included ones)" : "");
	for (__u32 i = 1; i <= run->img->h.rule.count; i++) {
		const struct warder_rule *r = image_rule(run->img, i);

		if (reached[i] || !is_covered(run, path, r))
			continue;
		if (json)
			json_object_array_add(json, policy_rule_json(run->img, i));
		else
			printf("# not reached: %s, the %s rule%s%s\n",
			       image_rule_where(run->img, i, where, sizeof(where)),
			       class_name(r->class_), r->id ? " " : "",
			       r->id ? image_string(run->img, r->id) : "");
	}
	return missed + coverage_strangers(run);
}

static int live_result(void *arg, const struct policy_test *t, int skipped, bool ok,
		       const char *text)
{
	struct run *run = arg;

	report(run, t, ok || skipped, skipped ? text : NULL, ok ? "" : text, text, "");
	return 0;
}

/* `live`: NULL, or the policies that the container has besides. */
static int run_tests(struct run *run, const char *path, const struct policy_more *live,
		     unsigned char *reached)
{
	const struct policy_tests *t = run->tests;
	cleanup_free struct policy_test_result *r = malloc(sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	if (live)
		return policy_live_tests(t, run->img, path, live, live_result, run);
	for (size_t i = 0; i < t->count; i++) {
		err = policy_test_run(run->img, &t->test[i], r, reached);
		if (err == -ENOMEM)
			return err;
		if (err)
			report(run, &t->test[i], false, NULL, "the request cannot be decided",
			       strerror(-err), "");
		else
			report(run, &t->test[i], r->ok, NULL, r->why, r->got, r->fix);
	}
	return 0;
}

/* Reads the tests and compiles their policy; says on stderr, and in `why`, what is wrong. 0 or
 * -errno. */
static int test_prepare(const char *file, const struct policy_more *more,
			struct policy_tests *tests, char **path, struct warder_image **img,
			char why[512])
{
	struct policy_diags diags = { 0 };
	int err = policy_tests_read(file, tests, &diags);

	if (!err) {
		*path = policy_path(tests);
		err = *path ? policy_compile_path(*path, NULL, img, &diags) : -ENOMEM;
	}
	snprintf(why, 512, "%s", err == -ENOMEM ? "out of memory" : "it cannot be used");
	if (err)
		first_error(&diags, why, 512);
	policy_diags_print(&diags, stderr);
	policy_diags_done(&diags);
	if (err == -ENOMEM)
		fprintf(stderr, "%s: error: out of memory\n", file);
	else if (err && *path)
		fprintf(stderr, "%s:%u:%u: error: the policy %s cannot be used\n", file,
			tests->policy_line, tests->policy_column, tests->policy);
	if (!err && policy_more_stack(more, img)) {
		snprintf(why, 512, "the policies of --policy cannot be used with it");
		err = -EINVAL;
	}
	return err;
}

/* Runs them, and writes their element of the JUnit report. 0 or -errno. */
static int test_run(struct run *run, const char *path, const struct policy_more *live,
		    unsigned char *reached)
{
	cleanup_free char *cases = NULL;
	struct totals *all = run->totals;
	size_t size = 0, number = all->number, failed = all->failed, skipped = all->skipped;
	FILE *junit = all->junit;
	int err = 0;

	/* The element that holds the cases says how they ended. */
	if (junit) {
		all->junit = open_memstream(&cases, &size);
		if (!all->junit)
			err = -ENOMEM;
	}
	if (!err)
		err = run_tests(run, path, live, reached);
	if (all->junit && junit) {
		fclose(all->junit);
		fputs("  <testsuite name=\"", junit);
		put_xml(junit, run->tests->file);
		fprintf(junit, "\" tests=\"%zu\" failures=\"%zu\" errors=\"0\" skipped=\"%zu\">\n%s"
			"  </testsuite>\n", all->number - number, all->failed - failed,
			all->skipped - skipped, cases ? cases : "");
	}
	all->junit = junit;
	return err;
}

/* 0, 1 or EXIT_WARDER. */
static int test_file(const char *file, struct totals *all, const struct policy_more *more,
		     int want_coverage, bool live, struct json_object *missed_json)
{
	cleanup_free struct warder_image *img = NULL;
	cleanup_free unsigned char *reached = NULL;
	cleanup_free char *path = NULL;
	char found[WARDER_PATH_MAX], why[512];
	struct policy_tests tests;
	struct run run = { .totals = all };
	size_t missed = 0;
	int err = test_prepare(file, more, &tests, &path, &img, why);

	if (err) {
		report_unusable(all, file, why);
		policy_tests_done(&tests);
		return EXIT_WARDER;
	}
	run.tests = &tests;
	run.img = img;
	reached = calloc(1, img->h.rule.count + 1u);
	err = reached ? test_run(&run, path, live ? more : NULL, reached) : -ENOMEM;
	if (!err && want_coverage && !live)
		missed = coverage(&run, policy_find(path, found, sizeof(found)), reached,
				  missed_json);
	policy_tests_done(&tests);
	if (err) {
		/* A live run says itself why it cannot be. */
		snprintf(why, sizeof(why), "they could not all be run: %s",
			 err < 0 ? strerror(-err) : "see the errors");
		report_unusable(all, file, why);
		if (err < 0)
			fprintf(stderr, "%s: error: %s\n", file, strerror(-err));
		return EXIT_WARDER;
	}
	return run.failed || (missed && want_coverage == 2) ? EXIT_FINDINGS : 0;
}

int cmd_policy_test(int argc, char **argv)
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' },
						 { "junit", required_argument, NULL, 'u' },
						 { "coverage", optional_argument, NULL, 'c' },
						 { "live", no_argument, NULL, 'l' },
						 { "policy", required_argument, NULL, 'm' },
						 { "help", no_argument, NULL, 'h' },
						 { NULL, 0, NULL, 0 } };
	struct totals all = { 0 };
	struct json_object *missed = NULL, *out;
	const char *junit = NULL;
	struct policy_more more = { .count = 0 };
	bool json = false, live = false;
	int c, status = 0, want_coverage = 0;

	optind = 0;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'h':
			return fputs(usage, stdout) < 0;
		case 'j':
			json = true;
			break;
		case 'u':
			junit = optarg;
			break;
		case 'c':
			want_coverage = !optarg ? 1 : !strcmp(optarg, "full") ? 2 : 3;
			break;
		case 'l':
			live = true;
			break;
		case 'm':
			if (policy_more_add(&more, optarg))
				return policy_usage_error(EXIT_USAGE, "test: at most 4 policies");
			break;
		default:
			return policy_usage_error(EXIT_USAGE, "test: unknown option");
		}
	}
	if (optind == argc || want_coverage == 3)
		return policy_usage_error(EXIT_USAGE, want_coverage == 3 ?
							      "test: --coverage or --coverage=full" :
							      "test: which file?");
	if (live && want_coverage)
		return policy_usage_error(EXIT_USAGE,
					  "test: with --live `warder policy coverage` counts");
	if (junit && !(all.junit = fopen(junit, "we"))) {
		fprintf(stderr, "warder policy: cannot write %s: %s\n", junit, strerror(errno));
		return EXIT_WARDER;
	}
	if (all.junit)
		fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n", all.junit);
	all.json = json ? json_object_new_array() : NULL;
	missed = json ? json_object_new_array() : NULL;
	if (!json)
		puts("TAP version 13");
	for (int i = optind; i < argc; i++) {
		int one = test_file(argv[i], &all, &more, want_coverage, live, missed);

		status = one > status ? one : status;
	}
	if (all.junit)
		fputs("</testsuites>\n", all.junit);
	if (all.junit && fclose(all.junit)) {
		fprintf(stderr, "warder policy: cannot write %s: %s\n", junit, strerror(errno));
		status = EXIT_WARDER;
	}
	if (!json) {
		printf("1..%zu\n# %zu passed, %zu failed, %zu skipped", all.number, all.passed,
		       all.failed, all.skipped);
		if (all.errors)
			printf(", %zu files could not be run", all.errors);
		putchar('\n');
		return fflush(stdout) ? EXIT_WARDER : status;
	}
	out = json_object_new_object();
	json_object_object_add(out, "tests", all.json);
	json_add_number(out, "passed", (int64_t)all.passed);
	json_add_number(out, "failed", (int64_t)all.failed);
	json_add_number(out, "skipped", (int64_t)all.skipped);
	json_add_number(out, "errors", (int64_t)all.errors);
	if (want_coverage)
		json_object_object_add(out, "not_reached", missed);
	else
		json_object_put(missed);
	return policy_print_json(out) ? EXIT_WARDER : status;
}
