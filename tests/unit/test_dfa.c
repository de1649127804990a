// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The automaton in images: chains of any length at any place relative to the borders of the
 * walk's chunks, rows of every kind, policies of many rules, random patterns against a matcher
 * of another kind, malformed images. WARDER_SEED=N repeats a run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "cleanup.h"
#include "policy.h"
#include "policy_internal.h"
#include "warder_decide.h"

#include <cmocka.h>

#include "decide_probe.h"
#include "decide_probe.skel.h"
#include "naive_match.h"

static uint64_t seed = 88172645463325252ull;

static unsigned rnd(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)((seed * 2685821657736338717ull >> 33) % n);
}

/* ------------------------------------------------------------------ policies */

struct text {
	char *text;
	size_t size;
	FILE *f;
	int rules;
};

static void text_start(struct text *t)
{
	memset(t, 0, sizeof(*t));
	t->f = open_memstream(&t->text, &t->size);
	assert_non_null(t->f);
	fputs("policy: dfa\ndefaults: {file: deny}\nfile:\n", t->f);
}

/* Rule number n stands in line n + 3. */
static void text_rule(struct text *t, const char *what, const char *path)
{
	fprintf(t->f, " - {%s, path: \"", what);
	for (; *path; path++)
		fprintf(t->f, strchr("\\\"", *path) ? "\\%c" : "%c", *path);
	fputs("\"}\n", t->f);
	t->rules++;
}

static struct warder_image *text_compile(struct text *t)
{
	struct policy_diags d = { 0 };
	struct warder_image *img = NULL;
	struct warder_error e;
	struct policy *p = NULL;
	int err;

	assert_int_equal(fclose(t->f), 0);
	err = policy_parse("t", t->text, t->size, NULL, &p, &d);
	if (!err)
		err = policy_compile(p, &img, &d);
	if (err)
		policy_diags_print(&d, stderr);
	policy_free(p);
	policy_diags_done(&d);
	free(t->text);
	if (img && image_verify(img, sizeof(*img), &e))
		fail_msg("%s", e.text);
	return img;
}

/* -------------------------------------------------------------------- walks */

/* Where a name lies must not matter, nor what is around it. */
static struct warder_text walk_text;

static __u32 walk(const struct warder_image *img, const char *name, __u32 len, __u32 off)
{
	memset(walk_text.b, 'x', sizeof(walk_text.b));
	memcpy(walk_text.b + off, name, len);
	return warder_walk(img, &walk_text,
			   warder_start(img, warder_profile_at(img, 0), WARDER_START_FILE), off,
			   len);
}

static __u32 accepts(const struct warder_image *img, const char *name, __u32 access)
{
	__u32 len = (__u32)strlen(name);
	__u32 state = walk(img, name, len, WARDER_PATH_MAX - len), again;

	again = walk(img, name, len, WARDER_TEXT_SIZE - len);
	if (state != again)
		fail_msg("%s: state %#x at the end of the text, else %#x", name, again, state);
	return WARDER_ACCEPT_FIELD(img, warder_accept_at(img, state), allow) & access;
}

static void expect(const struct warder_image *img, const char *name, __u32 access, bool want)
{
	if (!accepts(img, name, access) == want)
		fail_msg("%.80s (%zu bytes): access %#x %s expected", name, strlen(name), access,
			 want ? "was" : "was not");
}

static unsigned count_kind(const struct warder_image *img, unsigned kind)
{
	const struct warder_node *n = (const void *)(img->b + img->h.node.offset);
	unsigned count = 0;

	for (__u32 i = 0; i < img->h.node.count; i++)
		count += n[i].accept >> 24 == kind;
	return count;
}

/* ------------------------------------------------------------------- chains */

/* A name of `len` bytes; components stay below 255. */
static void fill_name(char *name, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		name[i] = i % 200 == 0 ? '/' : (char)('a' + i % 23);
	name[len] = 0;
	if (name[len - 1] == '/' && len > 1)
		name[len - 1] = 'z';
}

static void check_length(unsigned len)
{
	static const char tail[] = "/tail";
	char name[WARDER_PATH_MAX + 16], other[WARDER_PATH_MAX + 16];
	cleanup_free struct warder_image *img = NULL;
	struct text t;

	fill_name(name, len);
	text_start(&t);
	text_rule(&t, "allow: read", name);
	if (len + sizeof(tail) < WARDER_PATH_MAX && len > 1) {
		strcat(name, tail);
		text_rule(&t, "allow: create", name);
		strcat(name, "/**");
		text_rule(&t, "allow: mknod", name);
		name[len] = 0;
	}
	img = text_compile(&t);
	assert_non_null(img);
	expect(img, name, WARDER_ACC_READ, true);
	for (unsigned k = 0; k < 24; k++) {
		unsigned at = k < 8 && k < len ? len - 1 - k : rnd(len);

		/* One byte less, other, more. */
		memcpy(other, name, len + 1);
		other[at] ^= 1;
		expect(img, other, WARDER_ACC_READ, false);
		memcpy(other, name, len + 1);
		other[at] = 0;
		expect(img, other, WARDER_ACC_READ, false);
	}
	if (t.rules == 1)
		return;
	memcpy(other, name, len + 1);
	strcat(other, tail);
	expect(img, other, WARDER_ACC_READ, false);
	expect(img, other, WARDER_ACC_CREATE, true);
	strcat(other, "/");
	expect(img, other, WARDER_ACC_CREATE, false);
	expect(img, other, WARDER_ACC_MKNOD, true);
	while (strlen(other) < WARDER_PATH_MAX - 1)
		strcat(other, "y");
	expect(img, other, WARDER_ACC_MKNOD, true);
	other[len + 2] ^= 1;
	expect(img, other, WARDER_ACC_MKNOD, false);
}

static void test_lengths(void **state)
{
	(void)state;
	for (unsigned len = 1; len < 140; len++)
		check_length(len);
	for (unsigned border = 192; border < WARDER_PATH_MAX; border += 64)
		check_length(border - 2 + rnd(5));
	for (unsigned len = 250; len < 262; len++)
		check_length(len);
	check_length(WARDER_PATH_MAX - 1);
}

/* ----------------------------------------------------------------- kinds */

static void test_kinds(void **state)
{
	static const char *const rules[] = { "/usr/**",       "/usr/lib/*.so",  "/usr/lib/lib?.so",
					     "/usr/lib/abcd", "/var/*/log/[ab]x", "/**/secret" };
	static const __u32 bits[] = { WARDER_ACC_READ,	 WARDER_ACC_CREATE, WARDER_ACC_DELETE,
				      WARDER_ACC_RENAME, WARDER_ACC_MKNOD,  WARDER_ACC_CHMOD };
	static const char *const words[] = { "read",   "create", "delete",
					     "rename", "mknod",	 "chmod" };
	static const char *const names[] = {
		"/usr",		     "/usr/",		 "/usr/lib/x.so",    "/usr/lib/abcd.so",
		"/usr/lib/abcd",     "/usr/lib/abc",	 "/usr/lib/libx.so", "/usr/lib/lib/.so",
		"/usr/lib/a.s.so",   "/usr/lib/.so.so",	 "/var/a/log/ax",    "/var/abc/log/bx",
		"/var/a/log/cx",     "/var/a/b/log/ax",	 "/a/secret",	     "/secret",
		"/usr/lib/x/secret", "/usr/secretsecret", "/a/secre/secret", "/a/secret/secret",
		"/usr/lib/secret.so", "/usr/lib/abcd/secret",
	};
	cleanup_free struct warder_image *img = NULL;
	struct text t;

	(void)state;
	text_start(&t);
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		char what[32];

		snprintf(what, sizeof(what), "allow: %s", words[i]);
		text_rule(&t, what, rules[i]);
	}
	img = text_compile(&t);
	assert_non_null(img);
	for (size_t k = 0; k < ARRAY_SIZE(names); k++)
		for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
			expect(img, names[k], bits[i], naive_match(rules[i], names[k]));
	/* Each kind of node is there, or this has tested less than it says. */
	for (unsigned kind = 0; kind < WARDER_NODE__MAX; kind++)
		if (kind != WARDER_NODE_STOP)
			assert_true(count_kind(img, kind) > 0);
}

/* A rule on all that is below is a last node: what follows is not read. */
static void test_stop(void **state)
{
	cleanup_free struct warder_image *img = NULL;
	__u32 start, s;
	struct text t;

	(void)state;
	text_start(&t);
	text_rule(&t, "allow: read", "/srv/**");
	img = text_compile(&t);
	assert_int_equal(count_kind(img, WARDER_NODE_STOP), 2);
	assert_int_equal(count_kind(img, WARDER_NODE_CHAIN), 1);
	start = walk(img, "/srv", 4, 100);
	s = warder_state_below(img, start);
	assert_int_equal(s, walk(img, "/srv/", 5, 100));
	assert_int_equal(s, walk(img, "/srv/a/b", 8, 100));
	assert_int_equal(s, warder_state_below(img, s));
	assert_int_equal(walk(img, "/srw", 4, 100), WARDER_STATE_DEAD);
	assert_int_equal(warder_state_below(img, walk(img, "/sr", 3, 100)), WARDER_STATE_DEAD);
	/* No name is that long. */
	assert_int_equal(warder_walk(img, &walk_text, start, 0, WARDER_PATH_MAX),
			 WARDER_STATE_DEAD);
}

/* Equal states are one: what is below two folders is the same if their rules say the same. */
static void test_below(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} table[] = {
		{ "/one/x", "/two/x", true },	   { "/one", "/two", true },
		{ "/one/x", "/one/y", true },	   { "/one/x", "/other", false },
		{ "/data/a/in", "/data/b/in", true }, { "/data/a", "/data/b", true },
		{ "/data/a", "/data/a/in", false }, { "/none", "/nothing", true },
		{ "/one", "/none", false },	   { "/m/k", "/n/k", true },
		{ "/m", "/n", false },
	};
	cleanup_free struct warder_image *img = NULL;
	struct text t;

	(void)state;
	text_start(&t);
	text_rule(&t, "allow: read", "/{one,two}/**");
	text_rule(&t, "allow: read", "/data/*/in/[a-c]x");
	text_rule(&t, "allow: read", "/m/{k,l}/tail");
	text_rule(&t, "allow: read", "/n/k/tail");
	img = text_compile(&t);
	assert_non_null(img);
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		__u32 a = walk(img, table[i].a, (__u32)strlen(table[i].a), 7);
		__u32 b = walk(img, table[i].b, (__u32)strlen(table[i].b), 9);
		bool same = warder_state_below(img, a) == warder_state_below(img, b);

		/* Rules that differ in number only are different rules. */
		if (!strcmp(table[i].a, "/m/k"))
			assert_false(same);
		else if (same != table[i].same)
			fail_msg("below %s and %s: expected %d", table[i].a, table[i].b,
				 table[i].same);
	}
}

/* ------------------------------------------------------------------- random */

static void random_pattern(char *out, size_t size)
{
	static const char *const items[] = { "a", "b", "ab", "/a", "/b", "/ab", "/abcabcabcabc",
					     "?", "*b", "/*", "/**", "**b", "[ab]", "[!a]", "{a,b/c}",
					     "{/a,c}", "/a*", "-", "/lib", ".so" };
	unsigned n = 1 + rnd(7);

	snprintf(out, size, "/%s", rnd(2) ? "a" : "b");
	while (n-- && strlen(out) + 16 < size) {
		const char *item = items[rnd(ARRAY_SIZE(items))];

		/* Three stars are an error. */
		if (*item != '*' || out[strlen(out) - 1] != '*')
			strcat(out, item);
	}
}

/* A name that the pattern may match: its literal parts, with something for the rest. */
static void random_name(char *out, size_t size, const char *pattern)
{
	static const char *const fills[] = { "", "a", "b", "ab", "/", "/a", "c", "abc" };
	size_t used = 0;

	for (const char *s = pattern; *s && used + 8 < size; s++) {
		if (*s == '*' || *s == '?' || *s == '[' || *s == '{') {
			used += (size_t)sprintf(out + used, "%s", fills[rnd(ARRAY_SIZE(fills))]);
			while ((*s == '[' || *s == '{') && *s && !strchr("]}", s[1]))
				if (!*++s)
					return;
		} else if (!strchr("]},", *s) && rnd(40)) {
			out[used++] = *s;
		}
	}
	out[used] = 0;
}

static void check_random(const char (*pattern)[96], unsigned count, unsigned names,
			 unsigned *ret_matched)
{
	static const char *const words[] = { "read", "create", "delete", "rename", "chmod", "mknod" };
	static const __u32 bits[] = { WARDER_ACC_READ,	 WARDER_ACC_CREATE, WARDER_ACC_DELETE,
				      WARDER_ACC_RENAME, WARDER_ACC_CHMOD,  WARDER_ACC_MKNOD };
	cleanup_free struct warder_image *img = NULL;
	struct text t;

	text_start(&t);
	for (unsigned i = 0; i < count; i++) {
		char what[32];

		snprintf(what, sizeof(what), "allow: %s", words[i]);
		text_rule(&t, what, pattern[i]);
	}
	img = text_compile(&t);
	if (!img)
		return;
	for (unsigned k = 0; k < names; k++) {
		char name[256] = "";

		random_name(name, sizeof(name), pattern[rnd(count)]);
		for (unsigned i = 0; i < count; i++) {
			bool want = naive_match(pattern[i], name);

			*ret_matched += want;
			if (!accepts(img, name, bits[i]) == want)
				fail_msg("%s: expected %d for %s", pattern[i], want, name);
		}
	}
}

static void test_random(void **state)
{
	const char *s = getenv("WARDER_SEED"), *c = getenv("WARDER_CASES");
	unsigned policies = c ? (unsigned)atoi(c) : 300, matched = 0;

	(void)state;
	if (s)
		seed = strtoull(s, NULL, 10) | 1;
	for (unsigned n = 0; n < policies; n++) {
		char pattern[6][96];
		unsigned count = 1 + rnd(6);

		for (unsigned i = 0; i < count; i++)
			random_pattern(pattern[i], sizeof(pattern[i]));
		check_random(pattern, count, 30, &matched);
	}
	assert_true(matched > policies);
}

/* --------------------------------------------------------------------- many */

#define MANY 20000

static void many_name(char *out, size_t size, unsigned i, bool pattern)
{
	static const char *const shapes[] = { "/opt/%s/data/**", "/var/lib/%s/state",
					      "/usr/lib/%s/*.so", "/srv/%s/{in,out}/queue" };
	static const char *const names[] = { "/opt/%s/data/x/y", "/var/lib/%s/state",
					     "/usr/lib/%s/libc.so", "/srv/%s/out/queue" };
	char word[24];
	uint32_t h = i * 2654435761u;

	snprintf(word, sizeof(word), "%c%c%c%05u", 'a' + h % 26, 'a' + h / 26 % 26,
		 'a' + h / 676 % 26, i);
	/* One of four formats with a single %s. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(out, size, pattern ? shapes[i % 4] : names[i % 4], word);
#pragma GCC diagnostic pop
}

static void test_many(void **state)
{
	cleanup_free struct warder_image *img = NULL;
	struct timespec a, b;
	struct text t;
	char name[96];

	(void)state;
	text_start(&t);
	for (unsigned i = 0; i < MANY; i++) {
		many_name(name, sizeof(name), i, true);
		text_rule(&t, i % 7 ? "allow: read" : "deny: read", name);
	}
	clock_gettime(CLOCK_MONOTONIC, &a);
	img = text_compile(&t);
	clock_gettime(CLOCK_MONOTONIC, &b);
	assert_non_null(img);
	print_message("%u rules: %ld ms, %u states in %u nodes, %u bytes\n", MANY,
		      (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000,
		      img->h.states, img->h.node.count, img->h.length);
	for (unsigned i = 0; i < MANY; i += 3) {
		struct policy_request r = { .class_ = WARDER_CLASS_FILE,
					    .access = WARDER_ACC_READ,
					    .path = name };
		struct warder_verdict v;

		many_name(name, sizeof(name), i, false);
		assert_int_equal(policy_decide(img, &r, &v), 0);
		assert_int_equal(v.action, i % 7 ? WARDER_ALLOW : WARDER_DENY);
		assert_int_equal(v.rule, i + 1);
		name[10 + i % 4] ^= 4;
		assert_int_equal(policy_decide(img, &r, &v), 0);
		assert_int_equal(v.action, WARDER_DENY);
		if (v.rule == i + 1)
			fail_msg("%s is decided by rule %u", name, v.rule);
	}
}

/* Many patterns that begin with the same wildcard share it. */
static void test_many_wild(void **state)
{
	cleanup_free struct warder_image *img = NULL;
	struct text t;
	char name[64];

	(void)state;
	text_start(&t);
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "/**/w%05u", i * 37 % 100000);
		text_rule(&t, "allow: read", name);
	}
	img = text_compile(&t);
	assert_non_null(img);
	expect(img, "/a/w00037", WARDER_ACC_READ, true);
	expect(img, "/a/w0003/w00000", WARDER_ACC_READ, true);
	expect(img, "/a/w0003w00000", WARDER_ACC_READ, false);
	expect(img, "/w00037", WARDER_ACC_READ, false);
	expect(img, "/b/w00037/", WARDER_ACC_READ, false);
}

/* ---------------------------------------------------------------------- BPF */

static int quiet(enum libbpf_print_level level, const char *format, va_list ap)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, format, ap) : 0;
}

/* A name of any length that goes through rules of every shape, or nearly does. */
static void bpf_name(char *name)
{
	static const char *const parts[] = { "/usr", "/lib", "/x.so", "/abcd", "/secret", "/var",
					     "/log", "/ax", "/", "q", "/some-longer-component" };
	unsigned len = rnd(4) ? 20 + rnd(200) : rnd(WARDER_PATH_MAX - 40);

	strcpy(name, rnd(3) ? "/usr/lib" : "");
	while (strlen(name) < len)
		strcat(name, parts[rnd(ARRAY_SIZE(parts))]);
}

static void bpf_compare(struct decide_probe *skel, const struct warder_image *img)
{
	__u32 zero = 0;
	int fd = bpf_program__fd(skel->progs.decide_probe);

	assert_int_equal(
		bpf_map_update_elem(bpf_map__fd(skel->maps.probe_image), &zero, img, 0), 0);
	for (int i = 0; i < 400; i++) {
		LIBBPF_OPTS(bpf_test_run_opts, run);
		char name[WARDER_PATH_MAX + 32];
		struct probe_request q = { .kind = PROBE_FILE };
		struct probe_reply native, bpf;

		bpf_name(name);
		q.len = (__u32)strlen(name);
		q.off = rnd(2) ? WARDER_PATH_MAX - q.len : WARDER_TEXT_SIZE - q.len;
		q.access = 1u << rnd(6);
		memset(walk_text.b, 'x', sizeof(walk_text.b));
		memcpy(walk_text.b + q.off, name, q.len);
		probe_run(img, &walk_text, &walk_text, &q, &native);
		assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.probe_question), &zero,
						     &q, 0),
				 0);
		assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.probe_text), &zero,
						     &walk_text, 0),
				 0);
		assert_int_equal(bpf_prog_test_run_opts(fd, &run), 0);
		assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(skel->maps.probe_answer), &zero,
						     &bpf),
				 0);
		if (memcmp(&native.v, &bpf.v, sizeof(bpf.v)))
			fail_msg("%.200s (%u bytes): action %u rule %u natively, %u and %u in BPF",
				 name, q.len, native.v.action, native.v.rule, bpf.v.action,
				 bpf.v.rule);
	}
}

static struct warder_image *small_image(void);

/* The same walk in BPF. What the kernel has no BPF for is tested natively above. */
static void test_bpf(void **state)
{
	struct warder_image *img = small_image();
	struct decide_probe *skel;

	(void)state;
	libbpf_set_print(quiet);
	skel = geteuid() ? NULL : decide_probe__open();
	if (!skel || decide_probe__load(skel)) {
		int no_bpf = !skel || errno == EPERM || errno == ENOSYS;

		decide_probe__destroy(skel);
		free(img);
		if (!no_bpf)
			fail_msg("the verifier refuses the engine");
		print_message("skipped: no BPF for this process\n");
		skip();
		return;
	}
	bpf_compare(skel, img);
	decide_probe__destroy(skel);
	free(img);
}

/* ---------------------------------------------------------------- malformed */

static struct warder_image *small_image(void)
{
	static const char *const rules[] = { "/usr/**", "/usr/lib/*.so", "/var/*/[ab]x",
					     "/**/secret" };
	static const char *const whats[] = { "allow: read", "allow: create", "allow: delete",
					     "allow: rename" };
	struct text t;

	text_start(&t);
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		text_rule(&t, whats[i], rules[i]);
	fputs("mount: [{allow: mount, type: tmpfs, target: '/m/[ab]'}]\n", t.f);
	return text_compile(&t);
}

static struct warder_node *node_of(struct warder_image *img, unsigned kind)
{
	struct warder_node *n = (void *)(img->b + img->h.node.offset);

	for (__u32 i = 1; i < img->h.node.count; i++)
		if (n[i].accept >> 24 == kind)
			return &n[i];
	fail_msg("no node of kind %u", kind);
	return NULL;
}

static struct warder_edge *edge_used(struct warder_image *img)
{
	struct warder_edge *e = (void *)(img->b + img->h.edge.offset);

	while (!e->node)
		e++;
	return e;
}

static struct warder_edge *edge_free(struct warder_image *img)
{
	struct warder_edge *e = (void *)(img->b + img->h.edge.offset);

	for (__u32 i = 0; i < img->h.edge.count; i++)
		if (!e[i].node)
			return &e[i];
	fail_msg("no free edge");
	return NULL;
}

static void test_malformed(void **state)
{
	struct warder_error e;

	(void)state;
#define BAD(change)                                                                               \
	do {                                                                                      \
		cleanup_free struct warder_image *img = small_image();                            \
		struct warder_node *nodes = (void *)(img->b + img->h.node.offset);                \
		change;                                                                           \
		(void)nodes;                                                                      \
		img->h.checksum = image_checksum(img);                                            \
		if (!image_verify(img, sizeof(*img), &e))                                         \
			fail_msg("accepted: %s", #change);                                        \
	} while (0)
	BAD(nodes[0].accept = 1);
	BAD(nodes[0].accept = WARDER_NODE_TABLE << 24);
	BAD(nodes[0].next = 1 << 8);
	BAD(nodes[0].data = 1);
	BAD(nodes[1].accept = WARDER_NODE__MAX << 24);
	BAD(nodes[1].accept |= WARDER_NODE_ACCEPT);
	BAD(node_of(img, WARDER_NODE_CHAIN)->data &= ~0xffu);
	BAD(node_of(img, WARDER_NODE_CHAIN)->data |= 0xff);
	BAD(node_of(img, WARDER_NODE_CHAIN)->data |= 0xffffff00);
	BAD(node_of(img, WARDER_NODE_CHAIN)->data &= 0xff);
	BAD(node_of(img, WARDER_NODE_CHAIN)->next = img->h.node.count << 8);
	BAD(node_of(img, WARDER_NODE_CHAIN)->next |= 0xff);
	BAD(node_of(img, WARDER_NODE_CHAIN)->other = img->h.node.count);
	BAD(node_of(img, WARDER_NODE_CHAIN)->other =
		    (__u32)(node_of(img, WARDER_NODE_CHAIN) - nodes));
	BAD(node_of(img, WARDER_NODE_SPAN)->next ^= 0x100);
	BAD(node_of(img, WARDER_NODE_SPAN)->other = 'q' | 'q' << 8);
	BAD(node_of(img, WARDER_NODE_SPAN)->other |= 0x10000);
	BAD(node_of(img, WARDER_NODE_SPAN)->data = img->h.edge.count);
	BAD(node_of(img, WARDER_NODE_TABLE)->data = 0xffffffff);
	BAD(node_of(img, WARDER_NODE_TABLE)->next = 0xffffff00);
	BAD(node_of(img, WARDER_NODE_TABLE)->other = 1);
	BAD(node_of(img, WARDER_NODE_PATCH)->other = 0xffffffff);
	BAD(node_of(img, WARDER_NODE_PATCH)->other =
		    (__u32)(node_of(img, WARDER_NODE_PATCH) - nodes));
	BAD(node_of(img, WARDER_NODE_PATCH)->data = img->h.edge.count - img->h.classes + 1);
	BAD(edge_used(img)->node = img->h.node.count);
	BAD(edge_used(img)->next = img->h.node.count << 8);
	BAD(edge_used(img)->next |= 0xff);
	BAD(edge_used(img)->node = (__u32)(node_of(img, WARDER_NODE_CHAIN) - nodes));
	BAD(edge_free(img)->next = 0x100);
	BAD(img->h.states = 0);
	BAD(img->h.classes = 0);
	BAD(img->h.classes = img->h.edge.count + 1);
	BAD(img->h.node.count = 0);
#undef BAD
}

/* Any one bit changed, checksum made right: refused, or as harmless as any other image. */
static void test_bit_flips(void **state)
{
	struct warder_image *img = small_image();
	__u32 end = img->h.chars.offset + img->h.chars.count;
	struct warder_error e;

	(void)state;
	for (__u32 i = img->h.class_of.offset; i < end; i++) {
		__u8 was = img->b[i];

		img->b[i] ^= (__u8)(1u << rnd(8));
		assert_int_equal(image_verify(img, img->h.length, &e), -EINVAL);
		img->h.checksum = image_checksum(img);
		if (!image_verify(img, img->h.length, &e)) {
			__u32 s = walk(img, "/usr/lib/secret.so/var/ax/bx/secret", 35, 99);

			if (!image_state_is_fine(img, s))
				fail_msg("byte %u: state %#x is none", i, s);
			s = warder_state_below(img, s);
			assert_true(image_state_is_fine(img, s));
		}
		img->b[i] = was;
		img->h.checksum = image_checksum(img);
	}
	assert_int_equal(image_verify(img, img->h.length, &e), 0);
	free(img);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lengths), cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_stop),	cmocka_unit_test(test_below),
		cmocka_unit_test(test_random),	cmocka_unit_test(test_many),
		cmocka_unit_test(test_many_wild), cmocka_unit_test(test_bpf),
		cmocka_unit_test(test_malformed), cmocka_unit_test(test_bit_flips),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
