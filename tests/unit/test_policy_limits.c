// SPDX-License-Identifier: LGPL-2.1-or-later
/* Limits of the policy language: hostile texts, very many errors, rules and patterns. */
#include <time.h>

#include "policy_fixture.h"

/* ------------------------------------------------------------------- refused */

static void test_too_many_errors(void **state)
{
	struct policy_diags d = {0};
	struct warder_image *img;
	char *text;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	(void)state;
	fputs(P, f);
	for (int i = 0; i < 150; i++)
		fprintf(f, "x%d: 1\n", i);
	fclose(f);
	assert_int_equal(try_text(text, size, &img, &d), -EINVAL);
	assert_int_equal(d.count, POLICY_DIAGS_MAX);
	assert_int_equal(d.errors, 150);
	assert_non_null(strstr(d.item[d.count - 1].text, "more"));
	policy_diags_done(&d);
	free(text);
}

/* Runs in bounded time and says no. */
static void hostile(const char *what, const char *text, size_t len)
{
	struct policy_diags d = {0};
	struct warder_image *img;
	struct timespec a, b;
	double s;
	int err;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	err = try_text(text, len, &img, &d);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	s = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
	if (err != -EINVAL && err != -E2BIG)
		fail_msg("%s: %d", what, err);
	assert_true(d.errors > 0);
	/* Of the processor: others may use it, too. Sanitizers make it slow; without them it is below two
	 * seconds. */
	if (s > 20)
		fail_msg("%s: took %.1f s", what, s);
	policy_diags_done(&d);
	free(img);
}

static void hostile_repeat(const char *what, const char *head, const char *unit, size_t count,
			   const char *tail)
{
	char *text;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	fputs(head, f);
	for (size_t i = 0; i < count; i++)
		fputs(unit, f);
	fputs(tail, f);
	fclose(f);
	hostile(what, text, size);
	free(text);
}

static void test_hostile(void **state)
{
	static const char laughs[] =
		P "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
		"c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
		"e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n"
		"g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f,*f]\n";

	(void)state;
	hostile_repeat("10 MB of nesting", P "file: ", "[", 10 << 20, "");
	hostile_repeat("4 MB of nesting", P "file: ", "[", (4 << 20) - 100, "");
	hostile_repeat("nested mappings", P "file: ", "{a: ", 1 << 19, "");
	hostile_repeat("nested blocks", P "file:\n ", "- ", 1 << 20, "");
	hostile_repeat("too much text", P "#", "x", POLICY_TEXT_MAX, "");
	hostile("billion laughs", laughs, strlen(laughs));
	hostile_repeat("too many values", P "file: [", "a,", 1 << 20, "]");
	hostile_repeat("long pattern", P "file: [{allow: read, path: /", "a", 4096, "}]");
	hostile_repeat("deep braces", P "file: [{allow: read, path: '/", "{", 4000, "'}]");
	hostile_repeat("braces that multiply", P "file: [{allow: read, path: '/", "{a,b}{a,b}", 400,
		       "//'}]");
	hostile_repeat("states that explode", P "file: [{allow: read, path: '/**a", "?", 40, "'}]");
	hostile_repeat("variables that multiply",
		       P "vars: {A: [a,a,a,a,a,a,a,a,a,a], B: ['{A}{A}{A}{A}{A}{A}{A}{A}'],"
			 "C: ['{B}{B}{B}{B}{B}{B}{B}{B}{B}{B}{B}{B}'], D: ['{C}{C}{C}{C}{C}{C}{C}']}\n"
			 "file: [{allow: read, path: '/", "{D}{D}{D}{D}{D}{D}", 40, "'}]");
	hostile_repeat("too many mount rules", P "mount:\n", " - {allow: mount, target: /a}\n", 65,
		       "");
}

/* ---------------------------------------------------------------------- taken */

static void test_thousand_rules(void **state)
{
	struct timespec a, b;
	struct warder_image *img;
	char *text, path[64];
	size_t size;
	FILE *f = open_memstream(&text, &size);

	(void)state;
	fputs(P "defaults: {file: deny}\nfile:\n", f);
	for (int i = 0; i < 1000; i++)
		fprintf(f, " - {allow: read, path: /srv/application-%03d/releases/%d/**}\n", i, i * 7);
	fclose(f);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	img = good(text);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	print_message("1000 rules: %ld ms, %u states, %u bytes\n",
		      (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000,
		      img->h.states, img->h.length);
	for (int i = 0; i < 1000; i += 37) {
		snprintf(path, sizeof(path), "/srv/application-%03d/releases/%d/x", i, i * 7);
		assert_int_equal(decide_file(img, path, WARDER_ACC_READ), 0);
		snprintf(path, sizeof(path), "/srv/application-%03d/releases/%d/x", i, i * 7 + 1);
		assert_int_equal(decide_file(img, path, WARDER_ACC_READ), EACCES);
	}
	free(img);
	free(text);
}

/* One rule with very many patterns: linear in time and memory. */
static void test_many_patterns(void **state)
{
	struct warder_image *img;
	char *text;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	(void)state;
	fputs(P "file:\n - deny: read\n   path:\n", f);
	for (int i = 0; i < 20000; i++)
		fprintf(f, "    - /a%05d\n", i);
	fputs("mount:\n - allow: umount\n   target:\n", f);
	for (int i = 0; i < 20000; i++)
		fprintf(f, "    - /a%05d\n", i);
	fclose(f);
	img = good(text);
	assert_int_equal(decide_file(img, "/a19999", WARDER_ACC_READ), EACCES);
	assert_int_equal(decide_file(img, "/a20000", WARDER_ACC_READ), 0);
	free(img);
	free(text);
}

static void test_too_big(void **state)
{
	struct policy_diags d = {0};
	struct warder_image *img;
	char *text;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	uint64_t x = 88172645463325252ull;

	(void)state;
	fputs(P "file:\n", f);
	for (int i = 0; i < 20000; i++) {
		fputs(" - {deny: read, path: /", f);
		for (int k = 0; k < 9; k++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			fprintf(f, "%016llx", (unsigned long long)x);
		}
		fputs("}\n", f);
	}
	fclose(f);
	assert_int_equal(try_text(text, size, &img, &d), -E2BIG);
	assert_int_equal(d.errors, 1);
	assert_non_null(strstr(d.item[0].text, "cost most: t:"));
	policy_diags_done(&d);
	free(text);
}

static void test_deterministic(void **state)
{
	static const char text[] = P "vars: {A: [/x, /y]}\nfile:\n - {deny: write, path: '{A}/**'}\n"
				   " - {deny: read, path: '/*/z', audit: true}\n"
				   "exec: [{deny: '/**/[a-f]?'}]\n";
	struct warder_image *a = good(text), *b = good(text);

	(void)state;
	assert_memory_equal(a, b, sizeof(*a));
	free(a);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_too_many_errors),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_thousand_rules),
		cmocka_unit_test(test_many_patterns),
		cmocka_unit_test(test_too_big),
		cmocka_unit_test(test_deterministic),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
