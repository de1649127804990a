// SPDX-License-Identifier: LGPL-2.1-or-later
/* What policies include: once each, in the version that is asked for, and never in a circle. */
#include <errno.h>
#include <unistd.h>

#include "policy_fixture.h"

static void put_file(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void test_include(void **state)
{
	char where[256], expect[256];
	struct warder_image *img;
	struct policy_request r = {.class_ = WARDER_CLASS_FILE, .access = WARDER_ACC_READ,
				   .path = "/from/a"};
	struct warder_verdict v;

	(void)state;
	put_file("a.yaml", "include: [b, c]\nvars: {V: /default}\nfile:\n  - {deny: read, path: /from/a}\n"
			   "  - {deny: read, path: '{V}/x'}\n");
	/* Each file is read once. */
	put_file("b.yaml", "include: c\nfile:\n  - {deny: read, path: /from/a}\n");
	put_file("c.yaml", "file:\n  - {deny: write, path: /from/a}\n");
	img = good(P "include: [a, b]\nvars: {V: /mine}\nfile:\n  - {deny: read, path: /own}\n");
	assert_int_equal(decide_file(img, "/own", WARDER_ACC_READ), EACCES);
	assert_int_equal(decide_file(img, "/mine/x", WARDER_ACC_READ), EACCES);
	assert_int_equal(decide_file(img, "/default/x", WARDER_ACC_READ), 0);
	assert_int_equal(policy_decide(img, &r, &v), 0);
	assert_int_equal(v.action, WARDER_DENY);
	snprintf(expect, sizeof(expect), "%s/b.yaml:3", folder);
	assert_string_equal(image_rule_where(img, v.rule, where, sizeof(where)), expect);
	free(img);
}

static void test_include_bad(void **state)
{
	struct policy_diags d = {0};
	struct warder_image *img;
	static const char text[] = P "include: bad\n";

	(void)state;
	put_file("bad.yaml", "file:\n  - {deny: reed, path: /x}\nmode: audit\n");
	assert_int_equal(try_text(text, strlen(text), &img, &d), -EINVAL);
	assert_int_equal(d.errors, 2);
	assert_non_null(strstr(d.item[0].file, "/bad.yaml"));
	policy_diags_done(&d);
}

/* One error, in that file and line, with these words. */
static void include_error(const char *text, const char *file, unsigned line, unsigned column,
			  const char *words)
{
	struct policy_diags d = { 0 };
	struct warder_image *img;

	assert_int_equal(try_text(text, strlen(text), &img, &d), -EINVAL);
	if (d.errors != 1 || !strstr(d.item[0].file, file) || d.item[0].line != line ||
	    d.item[0].column != column || !strstr(d.item[0].text, words)) {
		policy_diags_print(&d, stderr);
		fail_msg("expected %s:%u:%u: %s", file, line, column, words);
	}
	policy_diags_done(&d);
}

static void test_include_cycles(void **state)
{
	char path[128], link[128];
	struct policy_diags d = { 0 };
	const char *const dirs[] = { folder, NULL };
	struct policy *p;

	(void)state;
	put_file("one.yaml", "include: one\n");
	put_file("x.yaml", "include: [c, y]\n");
	put_file("y.yaml", "file: []\ninclude:\n  - z\n");
	put_file("z.yaml", "include: [x]\n");
	include_error(P "include: one\n", "/one.yaml", 1, 10, "one leads back to itself: one -> one");
	include_error(P "include: [x]\n", "/z.yaml", 1, 11, "x leads back to itself: x -> y -> z -> x");
	include_error(P "include: [y]\n", "/x.yaml", 1, 14, "y leads back to itself: y -> z -> x -> y");
	/* By another name of the file. */
	put_file("alias.yaml", "include: loop\n");
	snprintf(path, sizeof(path), "%s/alias.yaml", folder);
	snprintf(link, sizeof(link), "%s/loop.yaml", folder);
	assert_int_equal(symlink(path, link), 0);
	include_error(P "include: alias\n", "/alias.yaml", 1, 10, "alias leads back to itself: alias -> alias");
	/* The policy itself, which no name of an include led to. */
	put_file("self.yaml", P "include: [inner]\n");
	put_file("inner.yaml", "include: self\n");
	snprintf(path, sizeof(path), "%s/self.yaml", folder);
	assert_int_equal(policy_parse_file(path, dirs, &p, &d), -EINVAL);
	assert_int_equal(d.errors, 1);
	assert_non_null(strstr(d.item[0].text, "self is this policy itself"));
	assert_non_null(strstr(d.item[0].file, "/inner.yaml"));
	policy_diags_done(&d);
}

static void test_include_versions(void **state)
{
	struct warder_image *img;
	char path[128];

	(void)state;
	put_file("v.yaml", "version: 3\nfile:\n  - {deny: read, path: /three}\n");
	put_file("none.yaml", "file:\n  - {deny: read, path: /none}\n");
	img = good(P "include: v@3\n");
	assert_int_equal(decide_file(img, "/three", WARDER_ACC_READ), EACCES);
	free(img);
	include_error(P "include: v@2\n", "t", 2, 10, "v.yaml is version 3, not 2: see what has changed and write v@3");
	include_error(P "include: none@1\n", "t", 2, 10, "none.yaml does not say its version");
	include_error(P "include: gone@1\n", "t", 2, 10, "no file gone.yaml");
	/* The old one was kept beside it. */
	put_file("v@2.yaml", "version: 2\nfile:\n  - {deny: read, path: /two}\n");
	img = good(P "include: v@2\n");
	assert_int_equal(decide_file(img, "/two", WARDER_ACC_READ), EACCES);
	assert_int_equal(decide_file(img, "/three", WARDER_ACC_READ), 0);
	free(img);
	/* One policy has one version; who asks for none takes what is there. */
	put_file("w.yaml", "include: v\n");
	free(good(P "include: [v@2, w]\n"));
	include_error(P "include:\n  - w\n  - v@2\n", "t", 4, 5, "v is there by ");
	include_error(P "include: [v@2, v@3]\n", "t", 2, 16, "v is there by t:2, in version 2");
	/* A name does not make a version. */
	put_file("v@1.yaml", "version: 4\n");
	include_error(P "include: v@1\n", "t", 2, 10, "v@1.yaml is version 4, not 1");
	snprintf(path, sizeof(path), "%s/v@2.yaml", folder);
	assert_int_equal(unlink(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_include),
		cmocka_unit_test(test_include_bad),
		cmocka_unit_test(test_include_cycles),
		cmocka_unit_test(test_include_versions),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
