// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Patterns: what each construct matches, what is refused, and a comparison of the compiled DFA
 * with an independent backtracking matcher over random patterns and names. The seed is
 * printed; WARDER_SEED=N repeats a run, WARDER_CASES=N changes its length.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "cleanup.h"
#include "naive_match.h"
#include "policy.h"

/* Compiles a policy that allows reading `pattern` only; NULL if the pattern is refused. */
static struct warder_image *compile(const char *const *patterns, size_t count)
{
	struct policy_diags diags = { 0 };
	struct warder_image *img = NULL;
	struct policy *p = NULL;
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	fprintf(f, "policy: glob\ndefaults: {file: deny}\nfile:\n");
	for (size_t i = 0; i < count; i++) {
		/* Each pattern has an access of its own. */
		fprintf(f, "  - {allow: %s, path: '", i ? "create" : "read");
		for (const char *s = patterns[i]; *s; s++)
			fprintf(f, *s == '\'' ? "''" : "%c", *s);
		fprintf(f, "'}\n");
	}
	assert_int_equal(fclose(f), 0);
	if (!policy_parse("glob", text, size, NULL, &p, &diags))
		assert_int_equal(policy_compile(p, &img, &diags), 0);
	policy_free(p);
	policy_diags_done(&diags);
	free(text);
	if (img) {
		struct warder_error e;

		assert_int_equal(image_verify(img, sizeof(*img), &e), 0);
	}
	return img;
}

static int matches(const struct warder_image *img, const char *path, __u32 access)
{
	struct policy_request r = { .class_ = WARDER_CLASS_FILE, .access = access, .path = path };
	struct warder_verdict v;

	assert_int_equal(policy_decide(img, &r, &v), 0);
	return v.action == WARDER_ALLOW;
}

static void test_table(void **state)
{
	static const struct {
		const char *pattern, *path;
		int match;
	} table[] = {
		{ "/", "/", 1 },
		{ "/a", "/a", 1 },
		{ "/a", "/ab", 0 },
		{ "/a", "/", 0 },
		{ "/a/*", "/a/", 1 },
		{ "/a/*", "/a/b", 1 },
		{ "/a/*", "/a/b/c", 0 },
		{ "/a/*", "/a", 0 },
		{ "/a/**", "/a", 0 },
		{ "/a/**", "/a/b", 1 },
		{ "/a/**", "/a/b/c", 1 },
		{ "/**", "/", 1 },
		{ "/**", "/x/y", 1 },
		{ "/**/c", "/a/b/c", 1 },
		{ "/**/c", "/c", 0 },
		{ "/a*b", "/ab", 1 },
		{ "/a*b", "/axxb", 1 },
		{ "/a*b", "/ax/b", 0 },
		{ "/a**b", "/ax/b", 1 },
		{ "/?", "/a", 1 },
		{ "/?", "/", 0 },
		{ "/?", "//", 0 },
		{ "/a?b", "/a/b", 0 },
		{ "/[a-c]", "/b", 1 },
		{ "/[a-c]", "/d", 0 },
		{ "/[!a-c]", "/d", 1 },
		{ "/[!a-c]", "/b", 0 },
		{ "/[^a-c]", "/d", 1 },
		{ "/[!a]", "//", 0 },
		{ "/[]a]", "/]", 1 },
		{ "/[a-]", "/-", 1 },
		{ "/[\\]]", "/]", 1 },
		{ "/[ -~]", "//", 0 },
		{ "/[!a]", "/\xc3\xa9", 1 },
		{ "/[!\xc3\xa9]", "/\xc3\xa9", 0 },
		{ "/[!\xc3\xa9]", "/\xc3\xa8", 1 },
		{ "/[\xc3\xa0-\xe2\x82\xac]", "/\xe2\x82\xac", 1 },
		{ "/[\xc3\xa0-\xe2\x82\xac]", "/\xe2\x82\xad", 0 },
		{ "/[\xc3\xa0-\xe2\x82\xac]", "/\xe0\xa4\x85", 1 },
		{ "/?", "/\xef\xbf\xbd", 1 },
		{ "/?", "/\xed\xa0\x80", 0 }, /* a surrogate is no character */
		{ "/?", "/\xff", 0 },
		{ "/*", "/\xff\xfe", 1 },
		{ "/{a,b}c", "/ac", 1 },
		{ "/{a,b}c", "/bc", 1 },
		{ "/{a,b}c", "/cc", 0 },
		{ "/{a,{b,c}d}", "/cd", 1 },
		{ "/{a,{b,c}d}", "/c", 0 },
		{ "/x{,/**}", "/x", 1 },
		{ "/x{,/**}", "/x/y/z", 1 },
		{ "/x{,/**}", "/xy", 0 },
		{ "{/a,/b}", "/b", 1 },
		{ "/a\\*", "/a*", 1 },
		{ "/a\\*", "/ab", 0 },
		{ "/a\\{b\\}", "/a{b}", 1 },
		{ "/a,b", "/a,b", 1 },
		{ "/...", "/...", 1 },
		{ "/.a", "/.a", 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		cleanup_free struct warder_image *img = compile(&table[i].pattern, 1);

		if (!img)
			fail_msg("%s was refused", table[i].pattern);
		if (matches(img, table[i].path, WARDER_ACC_READ) != table[i].match)
			fail_msg("%s: expected %d for %s", table[i].pattern, table[i].match,
				 table[i].path);
	}
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		"a",
		"*",
		"",
		"a/b",
		"//",
		"/a//b",
		"/a/",
		"/./a",
		"/a/..",
		"/a/../b",
		"/a/.",
		"/[",
		"/[a",
		"/[b-a]",
		"/[/]",
		"/[!",
		"/{a",
		"/{a}",
		"/a}",
		"/{a,b",
		"/***",
		"/a\\",
		"{a,/b}",
		"/{a,/b}",
		"/x/{a,/b}",
		"/{A}",
		"/{a,b}/{,..}/",
		"/{/,a}",
		"/{{{{{{{{{a,b},b},b},b},b},b},b},b},b}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct warder_image *img = compile(&bad[i], 1);

		if (img)
			fail_msg("\"%s\" was accepted", bad[i]);
	}
}

/* ------------------------------------------------------------ random input */

static uint64_t seed;

static unsigned rnd(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)((seed * 2685821657736338717ull >> 33) % n);
}

static const char *const letters[] = { "a", "b", "c", ".", "\xc3\xa9", "\xc3\xa0", "-" };

static void random_items(FILE *f, int depth)
{
	static const char *const classes[] = {
		"[ab]", "[!a]", "[a-c]", "[!b-c]", "[\xc3\xa0-\xc3\xa9]", "[!\xc3\xa9]", "[ac-]"
	};
	unsigned n = rnd(4);

	for (unsigned i = 0; i < n; i++) {
		unsigned kind = rnd(16);

		if (kind < 2)
			fputs("*", f), fputs(letters[rnd(3)], f);
		else if (kind == 2)
			fputs("**", f), fputs(letters[rnd(3)], f);
		else if (kind == 3)
			fputs("?", f);
		else if (kind == 4)
			fputs(classes[rnd(ARRAY_SIZE(classes))], f);
		else if (kind == 5 && depth < 3) {
			fputs("{", f);
			random_items(f, depth + 1);
			fputs(",", f);
			random_items(f, depth + 1);
			fputs("}", f);
		} else if (kind == 6)
			fputs("/", f), fputs(letters[rnd(3)], f);
		else if (kind == 7)
			fputs("\\*", f);
		else
			fputs(letters[rnd(ARRAY_SIZE(letters))], f);
	}
}

static char *random_pattern(void)
{
	char *text;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	fputs("/", f);
	random_items(f, 0);
	if (!rnd(3))
		fputs(rnd(2) ? "/**" : "/*", f);
	fclose(f);
	return text;
}

static char *random_path(void)
{
	char *text;
	size_t size;
	unsigned n = rnd(8);
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	fputs("/", f);
	for (unsigned i = 0; i < n; i++) {
		unsigned kind = rnd(12);

		if (kind < 2)
			fputs("/", f);
		else if (kind == 2)
			fputs("*", f);
		else if (kind == 3)
			fputs("\xff", f); /* no character */
		else
			fputs(letters[rnd(ARRAY_SIZE(letters))], f);
	}
	fclose(f);
	return text;
}

static void test_random(void **state)
{
	const char *s = getenv("WARDER_SEED"), *c = getenv("WARDER_CASES");
	unsigned cases = c ? (unsigned)atoi(c) : 4000, compiled = 0, matched = 0;

	(void)state;
	seed = s ? strtoull(s, NULL, 10) : (uint64_t)time(NULL) * 2654435761u + 1;
	seed |= 1;
	print_message("seed %llu, %u cases\n", (unsigned long long)seed, cases);
	while (compiled < cases / 20) {
		cleanup_free char *one = random_pattern(), *two = random_pattern();
		const char *const patterns[] = { one, two };
		cleanup_free struct warder_image *img = compile(patterns, 2);

		if (!img)
			continue; /* '//', '.' and the like */
		compiled++;
		for (int i = 0; i < 20; i++) {
			cleanup_free char *path = random_path();
			int want1 = naive_match(one, path), want2 = naive_match(two, path);

			matched += (unsigned)(want1 + want2);
			if (matches(img, path, WARDER_ACC_READ) != want1)
				fail_msg("%s: expected %d for %s", one, want1, path);
			if (matches(img, path, WARDER_ACC_CREATE) != want2)
				fail_msg("%s: expected %d for %s", two, want2, path);
		}
	}
	/* Else the comparison compares nothing. */
	assert_true(matched > cases / 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
