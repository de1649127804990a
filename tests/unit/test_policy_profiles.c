// SPDX-License-Identifier: LGPL-2.1-or-later
/* Profiles: what they replace and inherit, transitions, and those that are refused because a task
 * could choose its own rights. */
#include <errno.h>

#include "policy_fixture.h"
#include "warder_decide.h"

/* A policy whose top profile has no way to write the program. */
#define STRICT P "defaults: {file: deny, exec: deny, network: deny, capability: deny}\n"
#define LIBS "  - {allow: [read, map_exec], path: /lib/**}\n"

static const struct policy_error profile_errors[] = {
	{P "profiles: []\n", 2, 11, "expected a mapping"},
	{P "profiles: {a: []}\n", 2, 15, "expected a mapping"},
	{P "profiles: {'a b': {}}\n", 2, 12, "letters, digits"},
	{P "profiles: {a: {override: []}}\n", 2, 16, "unknown key \"override\""},
	{P "profiles: {a: {include: base/libc}}\n", 2, 16, "unknown key"},
	{P "profiles: {a: {file: [{allow: reed, path: /x}]}}\n", 2, 31, "\"reed\""},
	{P "profiles: {a: {defaults: {fil: deny}}}\n", 2, 27, "unknown class"},
	{P "profiles: {costarring: {}, liquid: {}}\n", 2, 28, "same number"},
	{P "exec: [{allow: /x, profile: shop}]\nprofiles: {a: {}}\n", 2, 29,
	 "none is called \"shop\""},
	{P "exec: [{deny: /x, profile: a}]\nprofiles: {a: {}}\n", 2, 28, "only an allow rule"},
	{P "exec: [{allow: '/x*'}, {allow: /xy, profile: a}]\nprofiles: {a: {}}\n", 2, 24,
	 "matches all"},
	{P "override: [{on: mount, type: tmpfs, do: perform, by: {profile: b}}]\nprofiles: {a: {}}\n",
	 2, 64, "out of `profiles:`"},
	/* a deny of the top holds everywhere, so an allow of a profile cannot lift it */
	{P "file: [{deny: read, path: /x}]\nprofiles: {a: {file: [{allow: read, path: /x}]}}\n", 3, 23,
	 "deny wins"},
	{P "capability: [{deny: kill}]\nprofiles: {a: {capability: [{allow: kill}]}}\n", 3, 29,
	 "deny wins"},
};

static void test_profile_errors(void **state)
{
	(void)state;
	check_errors(profile_errors, ARRAY_SIZE(profile_errors));
}

static int decide(const struct warder_image *img, __u32 profile, enum warder_class class_,
		  const char *path, __u32 access, struct warder_verdict *v)
{
	struct policy_request r = {
		.class_ = class_, .access = access, .path = path, .profile = profile};

	assert_int_equal(policy_decide(img, &r, v), 0);
	return v->action == WARDER_ALLOW ? 0 : (int)v->err;
}

static void test_inherit(void **state)
{
	struct warder_image *img =
		good(STRICT "file:\n" LIBS "  - {allow: read, path: [/etc/**, /var/**]}\n"
			    "  - {deny: read, path: /etc/shadow, errno: ENOENT}\n"
			    "exec: [{allow: /bin/a, profile: a}, {allow: /bin/*}]\n"
			    "capability: [{allow: [chown, kill]}, {deny: sys_admin}]\n"
			    "memory: {write_exec: deny}\n"
			    "network: [{allow: connect, protocol: tcp, port: 80}, {deny: bind, port: 22}]\n"
			    "ptrace: [{deny: trace, peer: container}]\n"
			    "profiles:\n"
			    "  a:\n"
			    "    file: [{allow: read, path: /etc/**}, {deny: read, path: /etc/a}]\n"
			    "    network: [{deny: connect, port: 81}]\n"
			    "    memory: {anonymous_exec: deny}\n"
			    "  b:\n"
			    "    defaults: {capability: deny, signal: deny, file: deny}\n");
	const struct warder_profile *top = image_profile(img, 0), *a = image_profile(img, 1),
				    *b = image_profile(img, 2);
	struct warder_verdict v;

	(void)state;
	assert_int_equal(img->h.profile.count, 3);
	assert_string_equal(image_string(img, a->name), "a");
	assert_string_equal(image_string(img, b->name), "b");
	assert_int_equal(top->id, 0);
	assert_true(a->id && b->id && a->id != b->id);
	/* file: replaced in a, but for the deny of the top; in b only the default is named, so the
	 * allow rules are gone too */
	assert_int_equal(decide(img, 0, WARDER_CLASS_FILE, "/var/x", WARDER_ACC_READ, &v), 0);
	assert_int_equal(decide(img, 1, WARDER_CLASS_FILE, "/var/x", WARDER_ACC_READ, &v), EACCES);
	assert_int_equal(decide(img, 1, WARDER_CLASS_FILE, "/etc/x", WARDER_ACC_READ, &v), 0);
	assert_int_equal(decide(img, 1, WARDER_CLASS_FILE, "/etc/a", WARDER_ACC_READ, &v), EACCES);
	assert_int_equal(decide(img, 0, WARDER_CLASS_FILE, "/etc/a", WARDER_ACC_READ, &v), 0);
	for (__u32 k = 0; k < 3; k++) {
		assert_int_equal(
			decide(img, k, WARDER_CLASS_FILE, "/etc/shadow", WARDER_ACC_READ, &v),
			ENOENT);
		assert_int_equal(image_rule(img, v.rule)->line, 6);
	}
	assert_int_equal(decide(img, 2, WARDER_CLASS_FILE, "/var/x", WARDER_ACC_READ, &v), EACCES);
	assert_int_equal(v.why, WARDER_WHY_DEFAULT);
	/* exec: inherited, transition and all; the first rule of the text says where to */
	for (__u32 k = 0; k < 3; k++) {
		assert_int_equal(decide(img, k, WARDER_CLASS_EXEC, "/bin/a", WARDER_ACC_EXEC, &v), 0);
		assert_int_equal(v.profile, 1);
		assert_int_equal(decide(img, k, WARDER_CLASS_EXEC, "/bin/b", WARDER_ACC_EXEC, &v), 0);
		assert_int_equal(v.profile, 0);
	}
	/* switches */
	assert_int_equal(top->bits[0].allow, 1u << 0 | 1u << 5);
	assert_int_equal(a->bits[0].allow, 1u << 0 | 1u << 5);
	assert_int_equal(b->bits[0].allow, 0);
	assert_int_not_equal(b->bits[0].rule[21], 0);
	assert_int_equal(top->bits[WARDER_BITS_MEMORY].allow, 15 & ~2);
	assert_int_equal(a->bits[WARDER_BITS_MEMORY].allow, 15 & ~2 & ~4);
	assert_int_equal(b->bits[WARDER_BITS_MEMORY].allow, 15 & ~2);
	/* tables: rules 0 allow 80, 1 deny 22, 2 of a; the default is inherited where unsaid */
	assert_int_equal(top->net_rules[0], 3);
	assert_int_equal(a->net_rules[0], 6);
	assert_int_equal(b->net_rules[0], 3);
	assert_int_equal(a->net_default, 0);
	assert_int_equal(a->peer_rules, 1);
	assert_int_equal(a->peer_default, top->peer_default);
	assert_int_equal(b->peer_default, top->peer_default & ~(1u << WARDER_CLASS_SIGNAL));
	/* what stands where */
	assert_int_equal(image_rule(img, 1)->in, 0);
	assert_int_equal(image_rule(img, img->h.rule.count)->in, 1);
	free(img);
}

/* A transition outlives that another rule reports the execution. */
static void test_transition_audit(void **state)
{
	struct warder_image *img =
		good(P "exec:\n  - {allow: /bin/a, profile: a}\n  - {allow: /bin/*, audit: true}\n"
		       "file: [{deny: '*', path: /bin/**}]\n"
		       "profiles: {a: {file: [{deny: read, path: /etc/**}]}}\n");
	struct warder_verdict v;

	(void)state;
	assert_int_equal(decide(img, 0, WARDER_CLASS_EXEC, "/bin/a", WARDER_ACC_EXEC, &v), 0);
	assert_int_equal(v.profile, 1);
	assert_int_equal(v.report, 1);
	assert_int_equal(decide(img, 0, WARDER_CLASS_EXEC, "/bin/b", WARDER_ACC_EXEC, &v), 0);
	assert_int_equal(v.profile, 0);
	assert_int_equal(v.report, 1);
	assert_int_equal(image_profile(img, 0)->file_trivial, 0);
	free(img);
}

/* Where only a transition stands, names are needed all the same. */
static void test_transition_trivial(void **state)
{
	struct warder_image *img = good(P "exec: [{allow: /bin/a, profile: a}]\nprofiles: {a: {}}\n");

	(void)state;
	assert_int_equal(image_profile(img, 0)->file_trivial, 0);
	free(img);
	img = good(P "exec: [{allow: /bin/a}]\nprofiles: {a: {file: [{deny: read, path: /x}]}}\n");
	assert_int_equal(image_profile(img, 0)->file_trivial, 1);
	assert_int_equal(image_profile(img, 1)->file_trivial, 0);
	free(img);
}

/* A profile that grants more is refused when its program can be written: TEXT has the rules of
 * the top, MORE what the profile says. */
#define OPEN(writes, more)                                                                  \
	STRICT "file:\n" LIBS writes "exec:\n  - allow: [/usr/bin/shop]\n    profile: shop\n" \
	       "  - allow: /bin/*\nprofiles: {shop: {" more "}}\n"
#define WRITABLE "  - {allow: [write], path: '/usr/bin/**'}\n"
#define CREATABLE "  - {allow: [create], path: '/usr/**'}\n"
#define CLOSED "  - {allow: [read], path: '/usr/**'}\n"

static const struct {
	const char *text, *words[3]; /* in the message; NULL: it compiles */
} grants[] = {
	/* the program is closed: whatever the profile grants */
	{OPEN(CLOSED, "capability: [{allow: net_admin}]"), {NULL}},
	{OPEN("  - {allow: '*', path: /usr/bin/**}\n"
	      "  - {deny: [write, append, create, rename, link], path: /usr/bin/shop}\n",
	      "capability: [{allow: net_admin}]"), {NULL}},
	{OPEN("  - {allow: '*', path: /usr/bin/shop/**}\n", "capability: [{allow: net_admin}]"),
	 {NULL}},
	{OPEN("  - {allow: [delete, chmod, truncate], path: /usr/bin/**}\n",
	      "capability: [{allow: net_admin}]"), {NULL}},
	/* it is open */
	{OPEN(WRITABLE, "capability: [{allow: net_admin}]"),
	 {"may write \"/usr/bin/shop\"", "\"top\"", "capability net_admin"}},
	{OPEN(CREATABLE, "capability: [{allow: net_admin}]"), {"may create", "\"shop\"", "deny [write"}},
	{OPEN("  - {allow: rename, path: /usr/bin/shop}\n", "capability: [{allow: kill}]"),
	 {"may rename", "", "capability kill"}},
	{OPEN("  - {allow: link, path: /usr/bin/s*}\n", "capability: [{allow: kill}]"),
	 {"may link", "", "capability kill"}},
	{OPEN(WRITABLE, "file: [{allow: read, path: /secret}]"), {"(read \"/secret\")", "", ""}},
	{OPEN(WRITABLE, "defaults: {file: allow}"), {"grants more (", "", ""}},
	{OPEN(WRITABLE, "exec: [{allow: /sbin/x}]"), {"exec \"/sbin/x\"", "", ""}},
	{OPEN(WRITABLE, "network: [{allow: connect, port: 80}]"), {"(network: by the rule at t:", "", ""}},
	{OPEN(WRITABLE, "network: [{allow: connect, unix: /run/x}]"), {"network", "", ""}},
	{OPEN(WRITABLE, "defaults: {network: allow}"), {"(network, by default)", "", ""}},
	{OPEN(WRITABLE, "mount: [{allow: umount}]"), {"(mount: by the rule", "", ""}},
	{OPEN(WRITABLE, "device: [{allow: open, node: 'c 10:229'}]"), {"(device: by", "", ""}},
	{OPEN(WRITABLE, "kernel: [{allow: perf}]"), {"(kernel perf)", "", ""}},
	{OPEN(WRITABLE, "namespace: [{allow: net}]"), {"(namespace net)", "", ""}},
	{OPEN(WRITABLE, "ipc: [{allow: unix, peer: 'container:db'}]"), {"(ipc: by", "", ""}},
	/* it is open, and the profile has nothing that the top has not */
	{OPEN(WRITABLE, ""), {NULL}},
	{OPEN(WRITABLE, "file: [{allow: read, path: /lib/x}], capability: []"), {NULL}},
	{OPEN(WRITABLE, "file: [{allow: [write, append], path: /usr/bin/a}]"), {NULL}},
	{OPEN(WRITABLE, "exec: [{allow: /bin/sh}]"), {NULL}},
	{OPEN(WRITABLE, "ptrace: [{allow: trace, peer: same}], memory: {write_exec: deny}"), {NULL}},
};

static void test_grants(void **state)
{
	int wrong = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(grants); i++) {
		struct policy_diags d = {0};
		struct warder_image *img;
		int err = try_text(grants[i].text, strlen(grants[i].text), &img, &d);
		const struct policy_diag *e = NULL;
		bool ok;

		for (size_t k = 0; !e && k < d.count; k++)
			if (!d.item[k].warning)
				e = &d.item[k];
		if (!grants[i].words[0]) {
			ok = !err;
		} else {
			ok = err == -EINVAL && d.errors == 1 && e->column == 14;
			for (int k = 0; ok && k < 3; k++)
				ok = strstr(e->text, grants[i].words[k]) != NULL;
		}
		if (!ok) {
			print_error("%zu: %d for: %s", i, err, grants[i].text);
			policy_diags_print(&d, stderr);
			wrong++;
		}
		policy_diags_done(&d);
		free(img);
	}
	assert_int_equal(wrong, 0);
}

/* What a profile says without effect. */
static void test_warnings(void **state)
{
	static const struct {
		const char *text, *words;
	} table[] = {
		{P "profiles: {a: {}}\n", "no exec rule leads to profile \"a\""},
		{P "exec: [{allow: /x, profile: a}]\n"
		   "profiles: {a: {file: [{allow: read, path: /x}]}}\n",
		 "its allow rules grant nothing"},
		{P "exec: [{allow: /x, profile: a}]\n"
		   "profiles: {a: {capability: [{allow: kill}]}}\n",
		 "add defaults: {capability: deny}"},
		{P "exec: [{allow: /x, profile: a}]\nprofiles: {a: {defaults: {file: deny},\n"
		   "  file: [{allow: read, path: /x}]}}\n", "in profile \"a\" no rule allows map_exec"},
		{P "exec: [{allow: /x, profile: a}]\nprofiles: {a: {defaults: {file: deny},\n"
		   "  file: [{allow: [read, map_exec], path: /x}]}}\n", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct policy_diags d = {0};
		struct warder_image *img;

		assert_int_equal(try_text(table[i].text, strlen(table[i].text), &img, &d), 0);
		assert_int_equal(d.count, table[i].words ? 1 : 0);
		if (table[i].words)
			assert_non_null(strstr(d.item[0].text, table[i].words));
		policy_diags_done(&d);
		free(img);
	}
}

/* There may be warnings at lines before. */
static const struct policy_diag *first_error(const struct policy_diags *d)
{
	for (size_t i = 0; i < d->count; i++)
		if (!d->item[i].warning)
			return &d->item[i];
	fail_msg("no error");
	return NULL;
}

/* From one profile into another that grants more, while the top may write nothing. */
static void test_grants_between(void **state)
{
	static const char text[] = STRICT
		"file:\n" LIBS "exec:\n  - {allow: /bin/a, profile: a}\n"
		"profiles:\n"
		"  a:\n    file: [{allow: [write], path: /srv/**}]\n"
		"    exec:\n      - {allow: '/srv/b?', profile: b}\n"
		"  b:\n    capability: [{allow: chown}]\n    file: []\n";
	struct policy_diags d = {0};
	struct warder_image *img;

	(void)state;
	assert_int_equal(try_text(text, strlen(text), &img, &d), -EINVAL);
	assert_int_equal(d.errors, 1);
	assert_int_equal(first_error(&d)->line, 11);
	assert_non_null(strstr(first_error(&d)->text, "profile \"a\" may write \"/srv/b"));
	assert_non_null(strstr(first_error(&d)->text, "profile \"b\""));
	policy_diags_done(&d);
}

static void test_limit(void **state)
{
	for (int count = WARDER_PROFILES_MAX - 1; count <= WARDER_PROFILES_MAX; count++) {
		struct policy_diags d = {0};
		struct warder_image *img;
		char *text;
		size_t size;
		FILE *f = open_memstream(&text, &size);

		(void)state;
		fputs(P "profiles:\n", f);
		for (int i = 0; i < count; i++)
			fprintf(f, "  p%d: {file: [{deny: read, path: '/x%d/**/y'}]}\n", i, i);
		fclose(f);
		assert_int_equal(try_text(text, size, &img, &d),
				 count < WARDER_PROFILES_MAX ? 0 : -EINVAL);
		if (img)
			assert_int_equal(img->h.profile.count, WARDER_PROFILES_MAX);
		else
			assert_non_null(strstr(first_error(&d)->text, "more than 63"));
		policy_diags_done(&d);
		free(img);
		free(text);
	}
}

/* Overrides are the top's, unless `by` says else. */
static void test_override_profile(void **state)
{
	struct warder_image *img =
		good(P "override:\n"
		       "  - {on: mount, type: tmpfs, target: /t, do: perform}\n"
		       "  - {on: mount, type: tmpfs, target: /a, do: perform, by: {profile: a}}\n"
		       "  - {on: mount, type: tmpfs, target: /x, do: perform, by: {profile: any}}\n"
		       "profiles: {a: {}, b: {}}\n");
	struct warder_override_request r = {.op = WARDER_OP_MOUNT,
					    .ops = WARDER_MNT_NEW,
					    .userns = WARDER_BY_USERNS_CONTAINER,
					    .cause = WARDER_CAUSE_CAPABILITY};
	static const __u64 sets[] = {5, 6, 4};

	(void)state;
	strcpy((char *)r.type.w, "tmpfs");
	for (__u32 k = 0; k < 3; k++) {
		assert_int_equal(warder_override_candidates(img, warder_profile_at(img, k), &r),
				 sets[k]);
	}
	free(img);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_profile_errors),
		cmocka_unit_test(test_inherit),
		cmocka_unit_test(test_transition_audit),
		cmocka_unit_test(test_transition_trivial),
		cmocka_unit_test(test_grants),
		cmocka_unit_test(test_warnings),
		cmocka_unit_test(test_grants_between),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_override_profile),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
