// SPDX-License-Identifier: LGPL-2.1-or-later
/* `match`: what is no such text, whom it holds for, what images, stacks and comparisons make of it,
 * and what the supervisor chooses for a container that asks for nothing. */
#include <json-c/json.h>
#include <stdio.h>
#include <unistd.h>

#include "policy_fixture.h"
#include "policy_tools.h"
#include "supervisor_fixture.h"
#include "warder_decide.h"

#define LONG16 "aaaaaaaaaaaaaaaa"

static void test_errors(void **state)
{
	static const struct policy_error errors[] = {
		{ P "match: {}\n", 2, 8, "would be every container: to mean that, write name: \"*\"" },
		{ P "match: web\n", 2, 8, "match: expected a mapping" },
		{ P "match: {names: a}\n", 2, 9, "unknown key \"names\"; known: name, annotations" },
		{ P "match: {name: [a, b]}\n", 2, 15, "match.name: expected text, found a list" },
		{ P "match: {name: \"\"}\n", 2, 15, "match.name: expected text, found nothing" },
		{ P "match: {name: 7}\n", 2, 15, "quote it if it is meant as text" },
		{ P "match: {name: \"a[\"}\n", 2, 15, "match.name: [ without its ]" },
		{ P "match: {name: \"{NO}\"}\n", 2, 15, "no variable is called NO" },
		{ P "match: {name: \"web/*\"}\n", 2, 15, "no container's name is like \"web/*\"" },
		{ P "match: {name: \"/**\"}\n", 2, 15, "no container's name is like" },
		{ P "match: {name: \"-web\"}\n", 2, 15, "begin with a letter or digit" },
		{ P "match: {name: \"web 1\"}\n", 2, 15, "no container's name is like" },
		{ P "match: {name: \"" LONG16 LONG16 LONG16 LONG16 "*\"}\n", 2, 15, "up to 63 letters" },
		{ P "match: {annotations: {}}\n", 2, 22, "nothing is in it" },
		{ P "match: {annotations: [a]}\n", 2, 22, "expected a mapping" },
		{ P "match: {annotations: {k: [a]}}\n", 2, 26, "match.annotations.k: expected text" },
		{ P "match: {annotations: {\"a=b\": c}}\n", 2, 23, "without '='" },
		{ P "match: {annotations: {\"\": c}}\n", 2, 23, "1 to 255 bytes" },
		{ P "match: {annotations: {\"a\\e[2J\": c}}\n", 2, 23, "control characters" },
		{ P "match: {name: a, name: b}\n", 2, 18, "given twice" },
		{ P "match: {annotations: {k: a, k: b}}\n", 2, 29, "given twice" },
		{ P "match: {annotations: {a: x, b: x, c: x, d: x, e: x, f: x, g: x, h: x, i: x, "
		    "j: x, k: x, l: x, m: x, n: x, o: x, p: x, q: x}}\n", 2, 22, "at most 16" },
	};

	(void)state;
	check_errors(errors, ARRAY_SIZE(errors));
}

/* An abstraction cannot say whom a policy is for. */
static void test_included(void **state)
{
	static const struct policy_error errors[] = {
		{ P "include: [inc]\n", 1, 1, "unknown key \"match\"" },
	};
	char path[96];
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/inc.yaml", folder);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("match: {name: \"*\"}\n", f);
	fclose(f);
	check_errors(errors, ARRAY_SIZE(errors));
}

#define A(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void test_holds(void **state)
{
	static const struct {
		const char *match, *name;
		const char *annotation[4];
		int holds;
	} table[] = {
		{ "{name: \"web-*\"}", "web-1", { NULL }, 1 },
		{ "{name: \"web-*\"}", "web-", { NULL }, 1 },
		{ "{name: \"web-*\"}", "web", { NULL }, 0 },
		{ "{name: \"web-*\"}", "xweb-1", { NULL }, 0 },
		{ "{name: \"web-?\"}", "web-12", { NULL }, 0 },
		{ "{name: \"{web,db}-[0-9]\"}", "db-7", { NULL }, 1 },
		{ "{name: \"{web,db}-[0-9]\"}", "db-x", { NULL }, 0 },
		{ "{name: \"*\"}", "any.thing_at-all", { NULL }, 1 },
		{ "{name: web}", "WEB", { NULL }, 0 },
		{ "{name: \"{V}\"}", "one", { NULL }, 1 },
		{ "{name: \"{V}\"}", "three", { NULL }, 0 },
		{ "{annotations: {k: v}}", "x", { "k=v" }, 1 },
		{ "{annotations: {k: v}}", "x", { "k=v=" }, 0 },
		{ "{annotations: {k: v}}", "x", { "kk=v" }, 0 },
		{ "{annotations: {k: v}}", "x", { "K=v" }, 0 },
		{ "{annotations: {k: v}}", "x", { NULL }, 0 },
		{ "{annotations: {k: \"*\"}}", "x", { "k=" }, 1 },
		{ "{annotations: {k: \"*\"}}", "x", { "k=a/b" }, 0 },
		{ "{annotations: {k: \"**\"}}", "x", { "k=a/b" }, 1 },
		{ "{annotations: {k: \"a=?\"}}", "x", { "k=a=b" }, 1 },
		{ "{name: x, annotations: {k: v, j: \"w*\"}}", "x", { "k=v", "j=w1", "i=" }, 1 },
		{ "{name: x, annotations: {k: v, j: \"w*\"}}", "x", { "k=v" }, 0 },
		{ "{name: x, annotations: {k: v, j: \"w*\"}}", "x", { "j=v", "k=w" }, 0 },
		{ "{name: x, annotations: {k: v, j: \"w*\"}}", "y", { "k=v", "j=w" }, 0 },
	};
	int wrong = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		cleanup_free struct warder_image *img = NULL;
		char text[256];

		snprintf(text, sizeof(text), P "vars: {V: [one, two]}\nfile: [{deny: read, path: \"/{V}\"}]\n"
			 "mount: [{allow: mount, target: /web-1}]\nmatch: %s\n", table[i].match);
		img = good(text);
		if (image_matches(img, table[i].name, table[i].annotation) == table[i].holds)
			continue;
		print_error("%s: %d expected for %s\n", table[i].match, table[i].holds, table[i].name);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

static void test_nobody(void **state)
{
	cleanup_free struct warder_image *img = good(P), *all = good(P "match: {name: \"*\"}\n");
	char big[WARDER_PATH_MAX + 8];

	(void)state;
	assert_false(image_matches(img, "x", NULL));
	/* What is no name at all, and too long for one, is nobody's. */
	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = 0;
	assert_false(image_matches(all, big, NULL));
}

static void test_annotations(void **state)
{
	char big[WARDER_PATH_MAX + 8] = "k=";
	struct warder_error e = { "" };

	(void)state;
	memset(big + 2, 'x', sizeof(big) - 3);
	assert_int_equal(annotations_check(NULL, &e), 0);
	assert_int_equal(annotations_check(A("a=b", "c=", "ab=c"), &e), 0);
	assert_int_equal(annotations_check(A("a=b", "a=c"), &e), -EINVAL);
	assert_non_null(strstr(e.text, "a is given twice"));
	assert_int_equal(annotations_check(A("a"), &e), -EINVAL);
	assert_int_equal(annotations_check(A("=a"), &e), -EINVAL);
	assert_int_equal(annotations_check(A("a\n=a"), &e), -EINVAL);
	assert_int_equal(annotations_check(A(big), &e), -EINVAL);
}

/* Neither the order of keys nor their place in the file makes another image's answer. */
static void test_words(void **state)
{
	cleanup_free struct warder_image *a =
		good(P "match: {annotations: {z: \"1\\e*\", a: \"2\"}, name: \"x*\"}\nvars: {X: [a]}\n"
		       "file: [{deny: read, path: \"/{X}\"}]\n"), *b;
	struct json_object *o;
	char text[128];

	(void)state;
	o = image_match_json(a);
	assert_string_equal(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN),
			    "{\"name\":\"x*\",\"annotations\":{\"a\":\"2\",\"z\":\"1\\u001b*\"}}");
	assert_string_equal(match_text(o, text, sizeof(text)), "name x*, a=2, z=1?*");
	assert_string_equal(match_text(NULL, text, sizeof(text)), "");
	json_object_put(o);
	b = good(P);
	assert_null(image_match_json(b));
}

static void test_damaged(void **state)
{
	cleanup_free struct warder_image *img = good(P "match: {name: a, annotations: {k: v}}\n");
	struct warder_match *m = (void *)(img->b + img->h.match.offset), saved = m[1];
	struct warder_error e = { "" };

	(void)state;
#define REFUSED(words)                                                    \
	do {                                                              \
		img->h.checksum = image_checksum(img);                    \
		assert_int_equal(image_verify(img, sizeof(*img), &e), -EINVAL); \
		assert_non_null(strstr(e.text, words));                   \
		m[1] = saved;                                             \
	} while (0)
	m[1].key = 0;
	REFUSED("the order of what it matches");
	m[1].key++;
	REFUSED("what it matches");
	m[1].text = 0;
	REFUSED("what it matches");
	m[1].text = 0xfffffff0;
	REFUSED("what it matches");
	img->h.match.count = 18;
	REFUSED("");
}

/* The bits of `match` are none of mount rules of a stack. */
static void test_stack(void **state)
{
	cleanup_free struct warder_image *a =
		good("policy: a\nmatch: {name: \"*\", annotations: {k: \"**\", l: \"**\"}}\n"
		     "mount: [{allow: mount, target: \"/a/**\"}]\n");
	cleanup_free struct warder_image *b =
		good("policy: b\nmount: [{allow: mount, target: \"/b/**\"}, {deny: mount, target: /a/x}]\n");
	const struct warder_image *const member[] = { a, b };
	cleanup_free struct warder_image *stack = NULL;
	struct policy_request r = { .class_ = WARDER_CLASS_MOUNT, .access = WARDER_MNT_NEW,
				    .fstype = "tmpfs", .path = "/a/x" };
	struct warder_error e = { "" };
	struct warder_verdict v;

	(void)state;
	assert_int_equal(image_stack(member, 2, &stack, &e), 0);
	assert_int_equal(stack->h.match.count, 0);
	assert_false(image_matches(stack, "a", A("k=", "l=")));
	assert_int_equal(warder_start(stack, warder_profile_at(stack, 0), WARDER_START_MATCH), 0);
	assert_int_equal(policy_decide(stack, &r, &v), 0);
	assert_int_equal(v.action, WARDER_DENY);
	assert_string_equal(image_verdict_policy(stack, &v), "b");
	assert_int_equal(v.why, WARDER_WHY_RULE);
	r.path = "/b/x";
	assert_int_equal(policy_decide(stack, &r, &v), 0);
	assert_int_equal(v.action, WARDER_DENY);
	assert_string_equal(image_verdict_policy(stack, &v), "a");
	assert_int_equal(v.why, WARDER_WHY_DEFAULT);
}

static size_t differences(const char *old, const char *new_, char *ret, size_t size)
{
	cleanup_free struct warder_image *a = good(old), *b = good(new_);
	struct policy_diff d;
	size_t count;

	ret[0] = 0;
	assert_int_equal(policy_diff(a, b, &d), 0);
	count = d.count;
	if (count)
		snprintf(ret, size, "%s", d.item[0].what);
	policy_diff_done(&d);
	return count;
}

static void test_diff(void **state)
{
#define DIFF(old, new_, words)                                                           \
	do {                                                                             \
		assert_int_equal(differences(P old, P new_, text, sizeof(text)), *(words) != 0); \
		assert_string_equal(text, words);                                        \
	} while (0)
	char text[512];

	(void)state;
	DIFF("match: {name: a}\n", "match: {name: a}\n", "");
	DIFF("match: {annotations: {k: v, j: w}}\n", "match: {annotations: {j: w, k: v}}\n", "");
	DIFF("match: {name: a}\n", "match: {name: b}\n", "match: name a -> name b");
	DIFF("match: {name: a}\n", "", "match: name a -> none");
	DIFF("", "match: {annotations: {k: v}}\n", "match: none -> k=v");
	DIFF("vars: {V: [a]}\nmatch: {name: \"{V}\"}\n", "vars: {V: [a, b]}\nmatch: {name: \"{V}\"}\n",
	     "match: name {V} -> the same text with other variables");
	DIFF("vars: {V: [a, b]}\nmatch: {name: \"{V}\"}\n", "vars: {V: [b, a]}\nmatch: {name: \"{V}\"}\n",
	     "");
}

/* -------------------------------------------------------------- the supervisor */

static struct supervisor s;

static int setup(void **state)
{
	(void)state;
	memset(&s, 0, sizeof(s));
	snprintf(s.state_dir, sizeof(s.state_dir), "%s", folder);
	return pthread_mutex_init(&s.lock, NULL);
}

static int teardown(void **state)
{
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/policies.json", folder);
	unlink(path);
	ctr_free_all(&s);
	sup_policy_free_all(&s);
	pthread_mutex_destroy(&s.lock);
	return 0;
}

static uint32_t load(const char *text)
{
	struct warder_error e = { "" };
	uint32_t slot;

	if (sup_policy_load(&s, image_of(text), &slot, &e))
		fail_msg("%s", e.text);
	return slot;
}

/* A container `name` that asks for nothing, or for `asked`; the names of its policies. */
static const char *start(const char *name, const char *const *annotations, const char *asked,
			 struct warder_error *e)
{
	struct sup_policy_ref ref[WARDER_LAYERS_MAX] = { { asked, NULL } };
	struct ctr *c = ctr_new(&s, name, e);

	assert_non_null(c);
	if (!asked)
		ref[0].image = image_of("policy: default\n");
	if (sup_policy_choose(&s, c, (char *const *)(uintptr_t)annotations, !asked, ref, 1, e))
		return NULL;
	return sup_policy_name(&s, c->policy);
}

static enum sup_policy_by by(const char *name)
{
	return ctr_find_name(&s, name)->policy_by;
}

static void test_choose(void **state)
{
	struct warder_error e = { "" };

	(void)state;
	assert_false(sup_policy_any_match(&s));
	assert_string_equal(start("web-0", NULL, NULL, &e), "default");
	assert_int_equal(by("web-0"), SUP_POLICY_DEFAULT);
	load("policy: web\nmatch: {name: \"web-*\"}\n");
	load("policy: other\n");
	assert_true(sup_policy_any_match(&s));
	assert_string_equal(start("web-1", NULL, NULL, &e), "web");
	assert_int_equal(by("web-1"), SUP_POLICY_MATCH);
	assert_string_equal(start("db-1", NULL, NULL, &e), "default");
	assert_string_equal(start("web-2", NULL, "other", &e), "other");
	assert_int_equal(by("web-2"), SUP_POLICY_ASKED);
	/* Several: in the order of their names, whatever the order in which they came. */
	load("policy: all\nmatch: {name: \"*\"}\n");
	load("policy: tier\nmatch: {annotations: {tier: front}}\n");
	assert_string_equal(start("web-3", A("tier=front"), NULL, &e), "all+tier+web");
	assert_string_equal(start("web-4", A("tier=back"), NULL, &e), "all+web");
	assert_string_equal(start("db-2", NULL, NULL, &e), "all");
	/* A policy that is loaded later changes nobody who runs. */
	load("policy: tier\n");
	assert_string_equal(sup_policy_name(&s, ctr_find_name(&s, "web-3")->policy), "all+tier+web");
	assert_string_equal(start("web-5", A("tier=front"), NULL, &e), "all+web");
}

static void test_too_many(void **state)
{
	struct warder_error e = { "" };
	char text[96];

	(void)state;
	for (int i = 5; i > 0; i--) {
		snprintf(text, sizeof(text), "policy: m%d\nmatch: {name: \"web-*\"}\n", i);
		load(text);
	}
	assert_null(start("web-1", NULL, NULL, &e));
	assert_non_null(strstr(e.text, "5 loaded policies match container web-1"));
	assert_non_null(strstr(e.text, "They are m1, m2, m3, m4, m5"));
	assert_false(ctr_find_name(&s, "web-1")->policy_held);
	assert_string_equal(start("web-2", NULL, "m3", &e), "m3");
	assert_string_equal(start("db", NULL, NULL, &e), "default");
}

/* Two that cannot be on one container are told with both their names. */
static void test_does_not_fit(void **state)
{
	struct warder_error e = { "" };
	char text[4096] = "policy: big1\nmatch: {name: \"*\"}\nmount:\n";

	(void)state;
	for (int i = 0; i < 40; i++)
		sprintf(text + strlen(text), "  - {allow: mount, target: /m%d}\n", i);
	load(text);
	memcpy(text, "policy: big2", 12);
	load(text);
	assert_null(start("c", NULL, NULL, &e));
	assert_non_null(strstr(e.text, "match container c (big1, big2) cannot be its policies"));
	assert_non_null(strstr(e.text, "80 mount or override rules, at most 64"));
}

/* What a container brings along matches nobody else; what was loaded is loaded after a restart. */
static void test_kept(void **state)
{
	struct sup_policy_ref ref[WARDER_LAYERS_MAX] = { { NULL, NULL } };
	struct warder_error e = { "" };
	struct ctr *c;
	uint32_t kept;
	char **names = NULL;

	(void)state;
	assert_int_equal(state_load_loaded(folder, 8, &names), -ENOENT);
	kept = load("policy: kept\nmatch: {name: \"k*\"}\n");
	c = ctr_new(&s, "one", &e);
	ref[0].image = image_of("policy: brought\nmatch: {name: \"*\"}\n");
	assert_int_equal(sup_policy_choose(&s, c, NULL, 0, ref, 1, &e), 0);
	assert_string_equal(start("two", NULL, NULL, &e), "default");
	assert_int_equal(state_load_loaded(folder, 8, &names), 0);
	assert_string_equal(names[0], "kept");
	assert_null(names[1]);
	control_strv_free(names);
	/* As when the next one has read everything back from the kernel. */
	for (int i = 0; i < WARDER_POLICIES_MAX; i++)
		s.policy[i].kept = s.policy[i].image != NULL;
	sup_policy_keep_read(&s);
	assert_int_equal(s.policy[kept].kept, 1);
	assert_int_equal(s.policy[c->policy].kept, 0);
	assert_string_equal(start("three", NULL, NULL, &e), "default");
	assert_string_equal(start("k3", NULL, NULL, &e), "kept");
	/* Who holds it keeps it; without users only what was loaded stays. */
	sup_policy_sweep(&s);
	assert_non_null(sup_policy_image(&s, c->policy));
	s.policy[c->policy].users = 0;
	s.policy[kept].users = 0;
	sup_policy_sweep(&s);
	assert_null(sup_policy_image(&s, c->policy));
	assert_non_null(sup_policy_image(&s, kept));
	sup_policy_keep(&s, kept, 0);
	assert_int_equal(state_load_loaded(folder, 8, &names), 0);
	assert_null(names[0]);
	control_strv_free(names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_included),
		cmocka_unit_test(test_holds),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_annotations),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_stack),
		cmocka_unit_test(test_diff),
		cmocka_unit_test_setup_teardown(test_choose, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_does_not_fit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kept, setup, teardown),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
