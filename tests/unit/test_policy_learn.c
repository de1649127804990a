// SPDX-License-Identifier: LGPL-2.1-or-later
/* What a learned policy must never allow: names of secrets, what was refused, what was done in
 * another profile. Every policy is judged by the engine. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>

#include "cleanup.h"
#include "policy_tools.h"

#include <cmocka.h>

#define TEXT_SIZE 65536

struct recording {
	char text[TEXT_SIZE];
	size_t used;
};

static void add(struct recording *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct recording *r, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	r->used += (size_t)vsnprintf(r->text + r->used, TEXT_SIZE - r->used, format, ap);
	va_end(ap);
	assert_true(r->used < TEXT_SIZE - 1);
}

/* `more`: further members, with a comma in front. */
static void saw(struct recording *r, const char *access, const char *path, const char *more)
{
	add(r, "{\"type\":\"learn\",\"class\":\"file\",\"program\":\"p\",\"access\":[\"%s\"],"
	       "\"path\":\"%s\"%s}\n", access, path, more);
}

static void refused(struct recording *r, const char *access, const char *path, const char *more)
{
	add(r, "{\"type\":\"verdict\",\"class\":\"file\",\"program\":\"p\",\"access\":[\"%s\"],"
	       "\"path\":\"%s\",\"action\":\"deny\",\"errno\":\"EACCES\",\"why\":\"rule\"%s}\n",
	    access, path, more);
}

/* Six names: a letter between both. */
static void saw_six(struct recording *r, const char *access, const char *prefix,
		    const char *suffix, const char *more)
{
	char path[256];

	for (char c = 'a'; c < 'g'; c++) {
		snprintf(path, sizeof(path), "%s%c%s", prefix, c, suffix);
		saw(r, access, path, more);
	}
}

struct learned {
	char *text;
	struct warder_image *img;
	struct learn_report report;
};

static void learned_done(struct learned *l)
{
	free(l->text);
	free(l->img);
}

static struct learned learn(const struct recording *r)
{
	struct learned l = { .text = NULL };
	struct learn_options options = { .name = "learned", .threshold = 5, .report = &l.report };
	cleanup_fclose FILE *f = fmemopen((void *)(uintptr_t)r->text, r->used, "r");
	struct observations o = { 0 };
	struct policy_diags diags = { 0 };
	struct warder_error e = { "" };
	struct policy *p = NULL;

	assert_non_null(f);
	assert_int_equal(observations_read(&o, f, "t", &diags), 0);
	assert_int_equal(o.bad, 0);
	if (policy_learn(&o, &options, &l.text, &e))
		fail_msg("%s", e.text);
	observations_done(&o);
	if (policy_parse("t", l.text, strlen(l.text), NULL, &p, &diags) ||
	    policy_compile(p, &l.img, &diags)) {
		policy_diags_print(&diags, stderr);
		fail_msg("%s", l.text);
	}
	policy_free(p);
	policy_diags_done(&diags);
	return l;
}

static int decide(const struct learned *l, const char *profile, enum warder_class class_,
		  __u32 access, const char *path)
{
	struct policy_request r = { .class_ = class_, .access = access, .path = path };
	int number = image_find_profile(l->img, profile);
	struct warder_verdict v;

	assert_true(number >= 0);
	r.profile = (__u32)number;
	assert_int_equal(policy_decide(l->img, &r, &v), 0);
	return v.action == WARDER_ALLOW ? 0 : (int)v.err;
}

static int decide_flow(const struct learned *l, const char *profile, const char *flow)
{
	char *argv[] = { (char *)(uintptr_t)flow, NULL };
	cleanup_free char *memory = NULL;
	struct warder_error e = { "" };
	struct policy_request r;
	struct warder_verdict v;

	if (request_from_arguments(1, argv, &r, &memory, &e))
		fail_msg("%s: %s", flow, e.text);
	r.profile = (__u32)image_find_profile(l->img, profile);
	assert_int_equal(policy_decide(l->img, &r, &v), 0);
	return v.action == WARDER_ALLOW ? 0 : (int)v.err;
}

#define READS(l, path) decide(l, "", WARDER_CLASS_FILE, WARDER_ACC_READ, path)
#define ALLOWED(l, path)                                                                           \
	do {                                                                                       \
		if (READS(l, path))                                                                \
			fail_msg("%s is refused by\n%s", path, (l)->text);                         \
	} while (0)
#define REFUSED(l, path)                                                                           \
	do {                                                                                       \
		if (READS(l, path) != EACCES)                                                      \
			fail_msg("%s is allowed by\n%s", path, (l)->text);                         \
	} while (0)

/* A secret in a folder that became a pattern, whether somebody tried to read it or not. */
static void test_secrets_in_folders(void **state)
{
	cleanup_free struct recording *r = calloc(1, sizeof(*r));
	struct learned l cleanup(learned_done) = { 0 };

	(void)state;
	assert_non_null(r);
	saw_six(r, "read", "/srv/app/conf/", ".conf", "");
	saw_six(r, "read", "/srv/app/conf/x", "", "");
	saw_six(r, "read", "/home/ann/", "", "");
	refused(r, "read", "/srv/app/conf/server.key", "");
	refused(r, "read", "/home/ann/.netrc", "");
	l = learn(r);
	assert_non_null(strstr(l.text, "\"/srv/app/conf/*\"  # 12 times, 12 names\n"));
	ALLOWED(&l, "/srv/app/conf/z.conf");
	ALLOWED(&l, "/srv/app/conf/other");
	ALLOWED(&l, "/home/ann/zz");
	REFUSED(&l, "/srv/app/conf/server.key");
	REFUSED(&l, "/home/ann/.netrc");
	REFUSED(&l, "/srv/app/conf/Server.KEY");
	REFUSED(&l, "/srv/app/else");
	/* Every name of the list, in several spellings, in both folders. */
	for (size_t i = 0; learn_never[i]; i++) {
		static const char *const fill[] = { "", "x", "a.b" };

		for (size_t k = 0; k < ARRAY_SIZE(fill) && !strchr(learn_never[i], '/'); k++)
			for (unsigned upper = 0; upper < 2; upper++) {
				char path[256] = "/srv/app/conf/";
				size_t n = strlen(path), at = n;

				for (const char *p = learn_never[i]; *p; p++)
					n += (size_t)sprintf(path + n, "%s", *p == '*' ? fill[k] :
								     (char[]) { *p, 0 });
				for (; upper && path[at]; at++)
					if (path[at] >= 'a' && path[at] <= 'z')
						path[at] = (char)(path[at] - 'a' + 'A');
				assert_true(learn_is_never(path));
				REFUSED(&l, path);
			}
	}
	assert_int_equal(l.report.refused, 2);
}

/* Names of secrets make no pattern themselves, whatever their case. */
static void test_secrets(void **state)
{
	static const char *const names[][2] = {
		{ "/srv/v/Password-", "" },	 { "/srv/w/Token-", ".json" },
		{ "/srv/w2/id_ecdsa", "" },	 { "/srv/k/", ".pfx" },
		{ "/srv/k2/", ".P12" },		 { "/srv/k3/", ".kdbx" },
		{ "/srv/c/Credentials-", "" },	 { "/srv/s/shadow", "" },
		{ "/home/u/.SSH/", "" },	 { "/srv/MySecrets/", ".txt" },
		{ "/var/lib/.Docker/", ".json" },
	};
	cleanup_free struct recording *r = calloc(1, sizeof(*r));
	struct learned l cleanup(learned_done) = { 0 };
	char path[256];

	(void)state;
	assert_non_null(r);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		saw_six(r, "read", names[i][0], names[i][1], "");
	saw_six(r, "read", "/srv/www/", ".html", "");
	/* A secret that the service reads itself: then its folder is no pattern, and it is allowed. */
	saw_six(r, "read", "/srv/own/", ".txt", "");
	saw(r, "read", "/srv/own/token", "");
	l = learn(r);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%sa%s", names[i][0], names[i][1]);
		ALLOWED(&l, path);
		snprintf(path, sizeof(path), "%sz%s", names[i][0], names[i][1]);
		REFUSED(&l, path);
	}
	ALLOWED(&l, "/srv/www/z.html");
	REFUSED(&l, "/srv/www/tokens.html");
	ALLOWED(&l, "/srv/own/token");
	ALLOWED(&l, "/srv/own/a.txt");
	REFUSED(&l, "/srv/own/z.txt");
	REFUSED(&l, "/srv/own/token2");
	assert_true(l.report.taken_back >= 1);
}

/* What two patterns allow together gets no rule of its own, which could never decide. */
static void test_covered_together(void **state)
{
	cleanup_free struct recording *r = calloc(1, sizeof(*r));
	struct learned l cleanup(learned_done) = { 0 };

	(void)state;
	assert_non_null(r);
	for (char c = 'a'; c < 'g'; c++)
		add(r, "{\"type\":\"learn\",\"class\":\"file\",\"program\":\"q\",\"access\":[\"read\"],"
		       "\"path\":\"/srv/u/%c\"}\n", c);
	for (char c = 'k'; c < 'q'; c++)
		add(r, "{\"type\":\"learn\",\"class\":\"file\",\"program\":\"r\",\"access\":[\"create\"],"
		       "\"path\":\"/srv/u/%c\"}\n", c);
	saw(r, "read\",\"create", "/srv/u/both", "");
	/* A program there: its exec rule stays. */
	saw(r, "read", "/srv/u/run", "");
	add(r, "{\"type\":\"learn\",\"class\":\"exec\",\"program\":\"p\",\"access\":[\"exec\"],"
	       "\"path\":\"/srv/u/run\"}\n");
	l = learn(r);
	ALLOWED(&l, "/srv/u/both");
	ALLOWED(&l, "/srv/u/zz");
	assert_null(strstr(l.text, "/srv/u/both"));
	assert_non_null(strstr(l.text, "- allow: /srv/u/run"));
	assert_null(strstr(l.text, "      - /srv/u/run"));
}

/* Flags stay conditions, whichever was seen first; where rules have none they are left out. */
static void test_mounts(void **state)
{
	static const struct {
		const char *access, *flags;
	} seen[] = {
		{ "mount", "" },	     { "mount", "\"nosuid\",\"nodev\"" }, { "mount", "\"nosuid\"" },
		{ "remount", "\"ro\"" },     { "bind", "\"rec\"" },	      { "attach", "\"nosuid\"" },
		{ "umount", "\"nosuid\"" }, { "propagation", "\"private\"" },
	};
	static const struct {
		__u32 access, flags;
		bool allowed;
	} asked[] = {
		{ WARDER_MNT_REMOUNT, MS_RDONLY, true },       { WARDER_MNT_REMOUNT, 0, false },
		{ WARDER_MNT_REMOUNT, MS_NOSUID, false },      { WARDER_MNT_BIND, MS_REC, true },
		{ WARDER_MNT_BIND, 0, false },		       { WARDER_MNT_PROPAGATION, MS_PRIVATE, true },
		{ WARDER_MNT_PROPAGATION, MS_SHARED, false },  { WARDER_MNT_ATTACH, MS_NOSUID, true },
		{ WARDER_MNT_UMOUNT, 0, true },		       { WARDER_MNT_MOVE, 0, false },
	};
	cleanup_free struct recording *r = calloc(1, sizeof(*r));
	struct learned l cleanup(learned_done) = { 0 };
	const char *first, *second, *third;

	(void)state;
	assert_non_null(r);
	for (size_t i = 0; i < ARRAY_SIZE(seen); i++)
		add(r, "{\"type\":\"learn\",\"class\":\"mount\",\"program\":\"m\",\"access\":[\"%s\"],"
		       "\"path\":\"/mnt/a\",\"detail\":\"tmpfs\",\"flags\":[%s]}\n",
		    seen[i].access, seen[i].flags);
	l = learn(r);
	first = strstr(l.text, "{allow: [mount], type: tmpfs, target: /mnt/a, flags: {require: [nosuid, nodev]}}");
	second = strstr(l.text, "{allow: [mount], type: tmpfs, target: /mnt/a, flags: {require: [nosuid]}}");
	third = strstr(l.text, "{allow: [mount], type: tmpfs, target: /mnt/a}");
	assert_true(first && second > first && third > second);
	for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
		struct policy_request q = { .class_ = WARDER_CLASS_MOUNT, .path = "/mnt/a",
					    .access = asked[i].access, .flags = asked[i].flags };
		struct warder_verdict v;

		assert_int_equal(policy_decide(l.img, &q, &v), 0);
		if ((v.action == WARDER_ALLOW) != asked[i].allowed)
			fail_msg("%u with flags %x: %s", q.access, q.flags, l.text);
	}
}

/* What the recording refuses is refused by what was learned, pattern or not. */
static void test_refused(void **state)
{
	cleanup_free struct recording *r = calloc(1, sizeof(*r));
	struct learned l cleanup(learned_done) = { 0 };

	(void)state;
	assert_non_null(r);
	saw_six(r, "read", "/srv/data/", ".dat", "");
	refused(r, "read", "/srv/data/z.dat", "");
	saw_six(r, "read", "/srv/mixed/", ".x", "");
	saw_six(r, "read", "/srv/mixed/", ".y", "");
	refused(r, "read", "/srv/mixed/plain", "");
	saw_six(r, "read", "/srv/rw/", "", "");
	refused(r, "read\",\"write", "/srv/rw/z", "");
	/* Writing was refused: reading may be a pattern. */
	saw_six(r, "read", "/srv/ro/", "", "");
	refused(r, "write", "/srv/ro/z", "");
	/* Refused once, done another time. */
	saw(r, "read", "/srv/late", "");
	refused(r, "read", "/srv/late", "");
	l = learn(r);
	ALLOWED(&l, "/srv/data/a.dat");
	REFUSED(&l, "/srv/data/z.dat");
	REFUSED(&l, "/srv/data/q.dat");
	assert_non_null(strstr(l.text, "#   \"/srv/data/*.dat\"\n"));
	ALLOWED(&l, "/srv/mixed/q.x");
	ALLOWED(&l, "/srv/mixed/q.y");
	REFUSED(&l, "/srv/mixed/plain");
	REFUSED(&l, "/srv/rw/z");
	ALLOWED(&l, "/srv/rw/a");
	ALLOWED(&l, "/srv/ro/q");
	assert_int_equal(decide(&l, "", WARDER_CLASS_FILE, WARDER_ACC_WRITE, "/srv/ro/z"), EACCES);
	ALLOWED(&l, "/srv/late");
	assert_int_equal(l.report.contradictions, 1);
	assert_non_null(strstr(l.text, "# 1 recorded refusals are allowed here"));
}

/* One event is no reason to open a file of every process, and many are none for its memory. */
static void test_proc(void **state)
{
	cleanup_free struct recording *r = calloc(1, sizeof(*r));
	struct learned l cleanup(learned_done) = { 0 };
	char path[64];

	(void)state;
	assert_non_null(r);
	saw(r, "read\",\"write", "/proc/77/mem", "");
	saw(r, "read", "/proc/77/stat", "");
	saw(r, "write", "/proc/77/oom_score_adj", "");
	saw(r, "read", "/proc/77/sched", "");
	for (unsigned i = 0; i < 8; i++) {
		snprintf(path, sizeof(path), "/proc/%u/environ", 100 + i);
		saw(r, "read", path, "");
		snprintf(path, sizeof(path), "/proc/%u/numa_maps", 100 + i);
		saw(r, "read", path, "");
	}
	l = learn(r);
	ALLOWED(&l, "/proc/5/stat");
	ALLOWED(&l, "/proc/5/numa_maps");
	REFUSED(&l, "/proc/5/mem");
	REFUSED(&l, "/proc/5/environ");
	REFUSED(&l, "/proc/5/sched");
	ALLOWED(&l, "/proc/77/mem");
	ALLOWED(&l, "/proc/103/environ");
	assert_int_equal(decide(&l, "", WARDER_CLASS_FILE, WARDER_ACC_WRITE, "/proc/77/oom_score_adj"),
			 0);
	assert_int_equal(decide(&l, "", WARDER_CLASS_FILE, WARDER_ACC_WRITE, "/proc/5/oom_score_adj"),
			 EACCES);
}

/* Names that a container chose so that nobody learns anything. */
static void test_odd_names(void **state)
{
	static const char *const odd[] = { "/srv/caf\\\\xe9.txt", "/srv/\\\\xff\\\\xfe", "/srv/a/../b",
					   "/srv//b", "/srv/./c", "/srv/end/", "/srv/\\u0085x",
					   "/srv/\\u2028x", "/srv/\\ufffex", "srv" };
	cleanup_free struct recording *r = calloc(1, sizeof(*r));
	struct learned l cleanup(learned_done) = { 0 };

	(void)state;
	assert_non_null(r);
	for (size_t i = 0; i + 1 < ARRAY_SIZE(odd); i++)
		saw(r, "read", odd[i], "");
	saw(r, "read", "/srv/good", "");
	saw(r, "read", "/srv/caf\\u00e9", "");
	saw(r, "read", "/srv/new\\nline \\\"'#:*?[]{}\\\\", "");
	saw(r, "read", "/srv/\\u0001\\u0003", "");
	add(r, "{\"type\":\"learn\",\"class\":\"signal\",\"signal\":15,\"peer\":\"a\\\"b\",\"peer_cid\":9}\n");
	add(r, "{\"type\":\"learn\",\"class\":\"mount\",\"access\":[\"mount\"],\"path\":\"/m\","
	       "\"detail\":\"t: x\"}\n");
	l = learn(r);
	ALLOWED(&l, "/srv/good");
	ALLOWED(&l, "/srv/caf\xc3\xa9");
	ALLOWED(&l, "/srv/new\nline \"'#:*?[]{}\\");
	ALLOWED(&l, "/srv/\1\3");
	REFUSED(&l, "/srv/caf\xe9.txt");
	REFUSED(&l, "/srv/b");
	/* Two are left out before, as events that no hook sends. */
	assert_int_equal(l.report.not_text, ARRAY_SIZE(odd) - 1);
	assert_int_equal(l.report.requests, 4);
	assert_non_null(strstr(l.text, "# Left out: 9 requests with names that are not UTF-8"));
}

/* More patterns than the guards of a policy can stand beside: fewer are made, and all was learned. */
static void test_too_many(void **state)
{
	cleanup_free char *lines = malloc(3 << 20);
	struct learn_report report;
	struct learn_options options = { .name = "big", .threshold = 5, .report = &report };
	struct observations o = { 0 };
	struct policy_diags diags = { 0 };
	struct warder_error e = { "" };
	cleanup_free char *text = NULL;
	size_t used = 0;
	FILE *f;

	(void)state;
	assert_non_null(lines);
	for (unsigned i = 0; i < 2000; i++)
		for (char c = 'a'; c < 'g'; c++)
			used += (size_t)sprintf(lines + used,
						"{\"type\":\"learn\",\"class\":\"file\",\"program\":\"p\","
						"\"access\":[\"read\"],\"path\":\"/srv/d%ux/%cx.z\"}\n", i, c);
	assert_true(used < 3 << 20);
	f = fmemopen(lines, used, "r");
	assert_non_null(f);
	assert_int_equal(observations_read(&o, f, "t", &diags), 0);
	fclose(f);
	policy_diags_done(&diags);
	if (policy_learn(&o, &options, &text, &e))
		fail_msg("%s", e.text);
	observations_done(&o);
	assert_true(report.taken_back >= 1000);
	assert_int_equal(report.requests, 12000);
	assert_non_null(strstr(text, "more of them than a policy can hold"));
	assert_non_null(strstr(text, "/*.z\"  # 6 times, 6 names\n"));
}

#define EXEC(r, path, more)                                                                        \
	add(r, "{\"type\":\"learn\",\"class\":\"exec\",\"access\":[\"exec\"],\"path\":\"%s\"%s}\n",  \
	    path, more)

/* What one profile did is no other's right; who executes a program that leads to one enters it. */
static void test_profiles(void **state)
{
	cleanup_free struct recording *r = calloc(1, sizeof(*r));
	struct learned l cleanup(learned_done) = { 0 };
	struct policy_request q = { .class_ = WARDER_CLASS_EXEC, .access = WARDER_ACC_EXEC,
				    .path = "/usr/bin/shop" };
	struct warder_verdict v;

	(void)state;
	assert_non_null(r);
	saw(r, "read", "/top/x", "");
	saw(r, "read", "/both", "");
	saw(r, "read", "/both", ",\"profile\":\"shop\"");
	saw_six(r, "read", "/prof/", "", ",\"profile\":\"shop\"");
	refused(r, "read", "/top/x", ",\"profile\":\"shop\"");
	refused(r, "read", "/prof/z", "");
	add(r, "{\"type\":\"learn\",\"class\":\"capability\",\"capability\":\"CAP_KILL\","
	       "\"profile\":\"shop\"}\n");
	EXEC(r, "/usr/bin/shop", ",\"transition\":\"shop\"");
	EXEC(r, "/usr/bin/shop", ",\"transition\":\"shop\",\"program\":\"sh\"");
	EXEC(r, "/usr/bin/other", "");
	EXEC(r, "/usr/bin/inner", ",\"profile\":\"shop\",\"transition\":\"empty\"");
	/* Rules of the top profile do not hold in one where nothing of the kind was seen. */
	add(r, "{\"type\":\"learn\",\"class\":\"namespace\",\"access\":[\"net\"]}\n");
	add(r, "{\"type\":\"learn\",\"class\":\"memory\",\"access\":[\"write_exec\"]}\n");
	add(r, "{\"type\":\"learn\",\"class\":\"network\",\"access\":[\"create\"],"
	       "\"family\":\"netlink\"}\n");
	add(r, "{\"type\":\"learn\",\"class\":\"signal\",\"signal\":15,\"peer\":\"db\","
	       "\"peer_cid\":9,\"cid\":3}\n");
	add(r, "{\"type\":\"learn\",\"class\":\"mount\",\"access\":[\"mount\"],\"path\":\"/m\","
	       "\"detail\":\"tmpfs\"}\n");
	/* Of a container with two policies. */
	saw(r, "read", "/two", ",\"profile\":\"shop+-\"");
	/* Called like none. */
	saw(r, "read", "/odd", ",\"profile\":\"a b\"");
	l = learn(r);
	ALLOWED(&l, "/top/x");
	ALLOWED(&l, "/both");
	REFUSED(&l, "/prof/a");
	REFUSED(&l, "/prof/z");
	REFUSED(&l, "/two");
	REFUSED(&l, "/odd");
	assert_int_equal(decide(&l, "shop", WARDER_CLASS_FILE, WARDER_ACC_READ, "/prof/z"), 0);
	assert_int_equal(decide(&l, "shop", WARDER_CLASS_FILE, WARDER_ACC_READ, "/both"), 0);
	assert_int_equal(decide(&l, "shop", WARDER_CLASS_FILE, WARDER_ACC_READ, "/top/x"), EACCES);
	assert_int_equal(decide(&l, "shop.top", WARDER_CLASS_FILE, WARDER_ACC_READ, "/two"), 0);
	assert_int_equal(decide(&l, "shop.top", WARDER_CLASS_FILE, WARDER_ACC_READ, "/both"), EACCES);
	assert_int_equal(decide(&l, "empty", WARDER_CLASS_FILE, WARDER_ACC_READ, "/both"), EACCES);
	assert_int_equal(decide(&l, "shop", WARDER_CLASS_CAPABILITY, 5, NULL), 0);
	assert_int_equal(decide(&l, "", WARDER_CLASS_CAPABILITY, 5, NULL), EPERM);
	assert_int_equal(decide_flow(&l, "", "{namespace: net}"), 0);
	assert_int_equal(decide_flow(&l, "shop", "{namespace: net}"), EPERM);
	assert_int_equal(decide_flow(&l, "", "{memory: write_exec}"), 0);
	assert_int_equal(decide_flow(&l, "shop", "{memory: write_exec}"), EACCES);
	assert_int_equal(decide_flow(&l, "", "{network: create, family: netlink}"), 0);
	assert_int_equal(decide_flow(&l, "shop", "{network: create, family: netlink}"), EACCES);
	assert_int_equal(decide_flow(&l, "", "{signal: term, peer: container:db}"), 0);
	assert_int_equal(decide_flow(&l, "shop", "{signal: term, peer: container:db}"), EPERM);
	assert_int_equal(decide_flow(&l, "", "{mount: tmpfs, target: /m}"), 0);
	assert_int_equal(decide_flow(&l, "shop", "{mount: tmpfs, target: /m}"), EPERM);
	assert_int_equal(decide(&l, "", WARDER_CLASS_EXEC, WARDER_ACC_EXEC, "/usr/bin/other"), 0);
	assert_int_equal(decide(&l, "shop", WARDER_CLASS_EXEC, WARDER_ACC_EXEC, "/usr/bin/other"),
			 EACCES);
	assert_int_equal(policy_decide(l.img, &q, &v), 0);
	assert_int_equal(v.action, WARDER_ALLOW);
	assert_int_equal(v.profile, image_find_profile(l.img, "shop"));
	q.path = "/usr/bin/other";
	assert_int_equal(policy_decide(l.img, &q, &v), 0);
	assert_int_equal(v.profile, 0);
	assert_non_null(strstr(l.text, "    profile: shop  # 2 times\n"));
	assert_non_null(strstr(l.text, "  shop:  # 9 requests\n"));
	assert_int_equal(l.report.odd_profiles, 1);
}

/* Tasks of the same container in other profiles are no `same`, and what is done to both needs one rule. */
static void test_peers(void **state)
{
	static const char *const rules[] = {
		"{allow: [term], peer: same}", "{allow: [usr1], peer: container}",
		"{allow: [hup], peer: container}  # 2 times, by b, a\n", "{allow: [read], peer: same}",
		"{allow: [trace], peer: container}", "{allow: [sysv], peer: same}",
	};
	cleanup_free struct recording *r = calloc(1, sizeof(*r));
	struct learned l;

	(void)state;
#define ACT(class_, what, more) \
	add(r, "{\"type\":\"learn\",\"cid\":3,\"peer_cid\":3,\"class\":\"" class_ "\"," what more "}\n")
	ACT("signal", "\"signal\":15", "");
	ACT("signal", "\"signal\":10", ",\"peer_profile\":\"shop\"");
	ACT("signal", "\"signal\":1", ",\"program\":\"a\"");
	ACT("signal", "\"signal\":1", ",\"peer_profile\":\"shop\",\"program\":\"b\"");
	ACT("ptrace", "\"access\":[\"read\"]", ",\"profile\":\"shop\",\"peer_profile\":\"shop\"");
	ACT("ptrace", "\"access\":[\"trace\"]", ",\"profile\":\"shop\"");
	ACT("ipc", "\"access\":[\"sysv\"]", ",\"profile\":\"shop\"");
#undef ACT
	EXEC(r, "/usr/bin/shop", ",\"transition\":\"shop\"");
	l = learn(r);
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		if (!strstr(l.text, rules[i]))
			fail_msg("no rule %s in\n%s", rules[i], l.text);
	assert_null(strstr(l.text, "{allow: [hup], peer: same}"));
	learned_done(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_secrets_in_folders),
		cmocka_unit_test(test_secrets),
		cmocka_unit_test(test_covered_together),
		cmocka_unit_test(test_mounts),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_proc),
		cmocka_unit_test(test_odd_names),
		cmocka_unit_test(test_profiles),
		cmocka_unit_test(test_peers),
		cmocka_unit_test(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
