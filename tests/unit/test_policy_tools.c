// SPDX-License-Identifier: LGPL-2.1-or-later
/* The tools around policies: words of requests, differences proved by their witnesses, events from
 * anywhere, what learning must never do, text that formatting must keep, imports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>

#include "cleanup.h"
#include "policy_tools.h"

#include <cmocka.h>

static struct warder_image *compile(const char *text)
{
	struct policy_diags d = { 0 };
	struct warder_image *img = NULL;
	struct policy *p = NULL;
	int err = policy_parse("t", text, strlen(text), NULL, &p, &d);

	if (!err)
		err = policy_compile(p, &img, &d);
	policy_free(p);
	if (err) {
		policy_diags_print(&d, stderr);
		fail_msg("refused: %s", text);
	}
	policy_diags_done(&d);
	return img;
}

/* The request of a mapping in one line; its strings live as long as *memory. */
static struct policy_request ask(const char *flow, char **memory)
{
	char *argv[] = { (char *)(uintptr_t)flow, NULL };
	struct warder_error e = { "" };
	struct policy_request r;

	if (request_from_arguments(1, argv, &r, memory, &e))
		fail_msg("%s: %s", flow, e.text);
	return r;
}

static void expect(const struct warder_image *img, const char *flow, int err)
{
	cleanup_free char *memory = NULL;
	struct policy_request r = ask(flow, &memory);
	struct warder_verdict v;

	assert_int_equal(policy_decide(img, &r, &v), 0);
	if ((v.action == WARDER_ALLOW ? 0 : (int)v.err) != err)
		fail_msg("%s: %s %s, expected errno %d", flow, action_name(v.action),
			 v.action == WARDER_ALLOW ? "" : errno_name((int)v.err), err);
}

static const char classes[] =
	"policy: all\n"
	"defaults: {file: deny, exec: deny, capability: deny, network: deny}\n"
	"file: [{allow: [read], path: \"/a/**\"}]\n"
	"exec: [{allow: /bin/x}]\n"
	"capability: [{allow: [chown]}]\n"
	"mount: [{allow: [mount], type: tmpfs, target: \"/m/**\", flags: {require: [nosuid]}}]\n"
	"network:\n"
	"  - {allow: [connect], protocol: tcp, to: [\"10.0.0.0/8:5432\", \"[fd00::/8]:443\"]}\n"
	"  - {allow: [bind, listen], protocol: tcp, port: [80, 8000-8100]}\n"
	"  - {allow: [connect], unix: \"/run/db/**\"}\n"
	"  - {allow: [connect], unix: \"@name-*\"}\n"
	"memory: {write_exec: deny}\n"
	"namespace: [{allow: [net]}]\n"
	"kernel: [{allow: [io_uring]}]\n"
	"device: [{allow: [open], node: [\"c 10:229\", \"c 5:*\"]}]\n"
	"signal: [{allow: [term], peer: \"container:db\"}]\n"
	"ptrace: [{deny: [trace], peer: container}]\n"
	"ipc: [{allow: [unix], peer: \"policy:db\"}]\n";

static void test_requests(void **state)
{
	cleanup_free struct warder_image *img = compile(classes);

	(void)state;
	expect(img, "{file: read, path: /a/b}", 0);
	expect(img, "{file: \"read,write\", path: /a/b}", EACCES);
	expect(img, "{exec: /bin/x}", 0);
	expect(img, "{exec: /bin/y}", EACCES);
	expect(img, "{capability: CAP_CHOWN}", 0);
	expect(img, "{capability: net_admin}", EPERM);
	expect(img, "{mount: tmpfs, target: /m/x, flags: nosuid}", 0);
	expect(img, "{mount: tmpfs, target: /m/x}", EPERM);
	expect(img, "{mount: umount, target: /m/x}", EPERM);
	expect(img, "{network: connect, to: \"10.1.2.3:5432\", protocol: tcp}", 0);
	expect(img, "{network: connect, to: \"10.1.2.3:5433\", protocol: tcp}", EACCES);
	expect(img, "{network: connect, to: \"11.1.2.3:5432\", protocol: tcp}", EACCES);
	expect(img, "{network: connect, to: \"10.1.2.3:5432\", protocol: udp}", EACCES);
	expect(img, "{network: connect, to: \"[fd12::1]:443\", protocol: tcp}", 0);
	expect(img, "{network: bind, port: 8050, protocol: tcp}", 0);
	expect(img, "{network: bind, port: 8101, protocol: tcp}", EACCES);
	expect(img, "{network: connect, unix: /run/db/s}", 0);
	expect(img, "{network: connect, unix: /run/s}", EPERM);
	expect(img, "{network: connect, unix: /run/s, peer: same}", EACCES);
	expect(img, "{network: connect, abstract: \"@name-1\"}", 0);
	expect(img, "{network: connect, abstract: \"other\"}", EPERM);
	expect(img, "{network: connect, abstract: \"other\", peer: container}", EACCES);
	expect(img, "{network: connect, unix: /run/db/s, peer: \"policy:db\"}", 0);
	expect(img, "{network: connect, unix: /run/db/s, peer: \"policy:other\"}", EACCES);
	expect(img, "{network: bind, unix: /run/s}", EACCES);
	expect(img, "{memory: write_exec}", EACCES);
	expect(img, "{memory: anonymous_exec}", 0);
	expect(img, "{namespace: net}", 0);
	expect(img, "{namespace: mnt}", EPERM);
	expect(img, "{kernel: io_uring}", 0);
	expect(img, "{kernel: perf}", EPERM);
	expect(img, "{kernel: bpf}", EPERM);
	expect(img, "{device: open, node: \"c 10:229\"}", 0);
	expect(img, "{device: open, node: \"c 5:77\"}", 0);
	expect(img, "{device: open, node: \"b 10:229\"}", EPERM);
	expect(img, "{device: open, node: \"c 1:3\", path: /dev/null}", 0);
	expect(img, "{signal: term, peer: \"container:db\"}", 0);
	expect(img, "{signal: kill, peer: \"container:db\"}", EPERM);
	expect(img, "{signal: kill, peer: same}", 0);
	expect(img, "{ptrace: trace, peer: same}", EPERM);
	expect(img, "{ptrace: read, peer: same}", 0);
	expect(img, "{ipc: unix, peer: \"policy:db\"}", 0);
	expect(img, "{ipc: unix, peer: \"policy:other\"}", EACCES);
}

/* What no policy turns off is refused here as in the kernel: by the object, wherever it is seen. */
static void test_baseline(void **state)
{
	cleanup_free struct warder_image *img = compile("policy: open\n");
	cleanup_free struct warder_image *unsafe =
		compile("policy: open\nunsafe: [kernel_files, memory_devices]\n"
			"device: [{allow: [open], node: \"c 1:1\"}]\n");

	(void)state;
	expect(img, "{file: write, path: /proc/sys/kernel/core_pattern}", EPERM);
	expect(img, "{file: write, path: /proc/sysrq-trigger}", EPERM);
	expect(img, "{file: read, path: /proc/sysrq-trigger}", 0);
	expect(img, "{file: read, path: /proc/kcore}", EPERM);
	expect(img, "{file: write, path: /proc/sys/net/ipv4/ip_forward}", 0);
	expect(img, "{file: write, path: /proc/self/oom_score_adj}", 0);
	expect(img, "{file: write, path: /proc/17/oom_score_adj}", 0);
	expect(img, "{file: write, path: /procx/sysrq-trigger}", 0);
	expect(img, "{file: write, path: /sys/kernel/uevent_helper}", EPERM);
	expect(img, "{file: write, path: /sys/class/net/lo/mtu}", 0);
	expect(img, "{file: read, path: /sys/fs/bpf/x}", EPERM);
	expect(img, "{file: read, path: /sys/kernel/debug/x}", 0);
	expect(img, "{file: chmod, path: /sys/kernel/debug/x}", EPERM);
	expect(img, "{file: write, path: /sys/fs/cgroup/a/cpu.max}", 0);
	expect(img, "{file: write, path: /proc/sys/fs/binfmt_misc/register}", EPERM);
	expect(img, "{exec: /sys/fs/bpf/x}", EPERM);
	/* Mounted elsewhere, and something else mounted there. */
	expect(img, "{file: write, path: /mnt/sysrq-trigger}", 0);
	expect(img, "{file: write, path: /mnt/sysrq-trigger, fs: \"proc:/sysrq-trigger\"}", EPERM);
	expect(img, "{file: write, path: /proc/sysrq-trigger, fs: other}", 0);
	expect(img, "{file: write, path: /proc/sysrq-trigger, fs: proc}", EPERM);
	expect(img, "{device: open, node: \"c 1:1\", path: /dev/mem}", EPERM);
	expect(img, "{device: open, node: \"c 202:0\", path: /dev/cpu/0/msr}", EPERM);
	expect(img, "{network: connect, unix: /run/docker.sock}", EPERM);
	expect(img, "{network: send, abstract: bus}", EPERM);
	expect(img, "{network: connect, family: unix}", EPERM);
	expect(img, "{network: connect, unix: /run/docker.sock, peer: same}", 0);
	expect(img, "{network: create, family: unix}", 0);
	expect(unsafe, "{file: write, path: /proc/sysrq-trigger}", 0);
	expect(unsafe, "{device: open, node: \"c 1:1\", path: /dev/mem}", 0);
	expect(unsafe, "{network: connect, unix: /run/docker.sock}", EPERM);
}

static void test_bytes(void **state)
{
	struct policy_request r = { .class_ = WARDER_CLASS_FILE, .access = WARDER_ACC_READ,
				    .path = "/caf\xe9\xff/\xc3\xa9\\x41\n\xed\xa0\x80" };
	cleanup_free struct warder_image *with = NULL;
	char text[1024], policy[2048];
	struct warder_verdict v;

	(void)state;
	/* As events have it. */
	assert_string_equal(request_text(&r, text, sizeof(text)),
			    "file read /caf\\xe9\\xff/\xc3\xa9\\x5cx41\\x0a\\xed\\xa0\\x80");
	/* What is proposed can be pasted, and works. */
	assert_string_equal(request_rule(&r, WARDER_ACC_READ, text, sizeof(text)), "file");
	assert_non_null(strstr(text, "/caf*/\xc3\xa9"));
	snprintf(policy, sizeof(policy), "policy: p\ndefaults: {file: deny}\nfile:\n  - %s\n", text);
	with = compile(policy);
	assert_int_equal(policy_decide(with, &r, &v), 0);
	assert_int_equal(v.action, WARDER_ALLOW);
}

/* The rule that a refusal proposes allows the request, and only such a rule is proposed. */
static void test_remedies(void **state)
{
	static const char *const asks[] = {
		"{file: \"read,write\", path: '/w {x}/\"q\"\\*'}",
		"{exec: /bin/new}",
		"{capability: kill}",
		"{mount: tmpfs, target: /m2/x}",
		"{mount: bind, target: /m2/x}",
		"{mount: tmpfs, target: /m2/x, flags: \"nosuid,nodev,noexec\"}",
		"{mount: remount, target: /m2/x, flags: \"ro,nosuid\"}",
		"{network: connect, to: \"1.2.3.4:5\", protocol: udp}",
		"{network: connect, to: \"[::5]:6\", protocol: tcp}",
		"{network: bind, port: 99, protocol: tcp}",
		"{network: connect, unix: /run/other}",
		"{network: connect, abstract: other}",
		"{network: connect, unix: \"@o{t}her\"}",
		"{network: create, family: netlink}",
		"{namespace: mnt}",
		"{kernel: perf}",
		"{device: open, node: \"b 8:1\"}",
		"{signal: kill, peer: \"container:web\"}",
		"{ipc: sysv, peer: \"policy:web\"}",
	};
	cleanup_free struct warder_image *img = compile(
		"policy: none\ndefaults: {file: deny, exec: deny, capability: deny, network: deny}\n");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(asks); i++) {
		cleanup_free char *memory = NULL;
		struct policy_request r = ask(asks[i], &memory);
		cleanup_free struct warder_image *with = NULL;
		char rule[4 * WARDER_PATH_MAX], text[5 * WARDER_PATH_MAX];
		struct warder_verdict v;
		const char *class_;

		assert_int_equal(policy_decide(img, &r, &v), 0);
		if (v.action != WARDER_DENY)
			fail_msg("%s is not refused", asks[i]);
		class_ = request_rule(&r, v.access, rule, sizeof(rule));
		assert_non_null(class_);
		snprintf(text, sizeof(text),
			 "policy: p\ndefaults: {file: deny, exec: deny, capability: deny, network: "
			 "deny}\n%s:\n  - %s\n",
			 class_, rule);
		with = compile(text);
		assert_int_equal(policy_decide(with, &r, &v), 0);
		if (v.action != WARDER_ALLOW)
			fail_msg("%s is not allowed by %s", asks[i], rule);
	}
}

/* What the baseline refuses needs more than a rule, and the remedy says what. */
static void test_remedies_unsafe(void **state)
{
	static const char *const asks[][3] = {
		{ "{kernel: bpf}", "kernel: [{allow: [bpf]}]", "bpf" },
		{ "{kernel: modules}", "kernel: [{allow: [modules]}]", "modules" },
		{ "{kernel: kexec}", "kernel: [{allow: [kexec]}]", "kexec" },
		{ "{signal: kill, peer: host}", "signal: [{allow: [kill], peer: host}]", "host_signal" },
		{ "{ptrace: trace, peer: host}", "ptrace: [{allow: [trace], peer: host}]", "host_ptrace" },
	};
	cleanup_free struct warder_image *img = compile("policy: none\n");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(asks); i++) {
		cleanup_free struct warder_image *with = NULL;
		cleanup_free char *memory = NULL;
		struct policy_request r = ask(asks[i][0], &memory);
		char fix[8192], text[512];
		struct warder_verdict v;

		assert_int_equal(policy_decide(img, &r, &v), 0);
		assert_int_equal(v.why, WARDER_WHY_BASELINE);
		request_remedy(img, &r, &v, fix, sizeof(fix));
		snprintf(text, sizeof(text), "and under unsafe: %s", asks[i][2]);
		if (!strstr(fix, text))
			fail_msg("%s: the remedy is \"%s\"", asks[i][0], fix);
		snprintf(text, sizeof(text), "policy: p\nunsafe: [%s]\n%s\n", asks[i][2], asks[i][1]);
		with = compile(text);
		assert_int_equal(policy_decide(with, &r, &v), 0);
		assert_int_equal(v.action, WARDER_ALLOW);
	}
}

static void test_bad_requests(void **state)
{
	static const char *const bad[][2] = {
		{ "{}", "empty" },
		{ "{file: read}", "which path" },
		{ "{file: reed, path: /x}", "reed" },
		{ "{file: read, path: x}", "no name that the kernel gives" },
		{ "{file: read, path: /x/..}", "no name that the kernel gives" },
		{ "{file: read, path: /x, to: y}", "has no \"to\"" },
		{ "{network: connect, to: \"1.2.3.4:5\"}", "which protocol" },
		{ "{network: connect, to: \"1.2.3:5\", protocol: tcp}", "no IPv4" },
		{ "{network: connect, to: \"[::1\", protocol: tcp}", "ADDRESS" },
		{ "{network: connect, protocol: tcpp}", "no protocol" },
		{ "{device: open}", "which node" },
		{ "{device: open, node: \"c 1\"}", "no device node" },
		{ "{signal: nothing}", "nothing" },
		{ "{signal: \"term,kill\"}", "one at a time" },
		{ "{ptrace: trace, peer: \"policy:\"}", "no peer" },
		{ "{capability: chown, peer: same}", "has no \"peer\"" },
		{ "{mount: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, target: /x}", "too long" },
		{ "{a: [b]}", "expected a word" },
		{ "{a", "no mapping" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char *argv[] = { (char *)(uintptr_t)bad[i][0], NULL };
		struct warder_error e = { "" };
		struct policy_request r;
		char *memory;

		if (!request_from_arguments(1, argv, &r, &memory, &e) || memory ||
		    !strstr(e.text, bad[i][1]))
			fail_msg("%s: \"%s\", expected \"%s\"", bad[i][0], e.text, bad[i][1]);
	}
}

/* -------------------------------------------------------------------- diff */

/* Does the list hold this difference? */
static const struct diff_item *find_item(const struct policy_diff *d, enum diff_kind kind,
					 const char *class_, const char *what)
{
	for (size_t i = 0; i < d->count; i++)
		if (d->item[i].kind == kind && !strcmp(class_name(d->item[i].class_), class_) &&
		    strstr(d->item[i].what, what))
			return &d->item[i];
	return NULL;
}

/* A socket that a rule names opens to the host, where the container's own were open all along; and
 * who may choose the policy is a setting. */
static void test_diff_baseline(void **state)
{
	cleanup_free struct warder_image *old = compile("policy: a\n");
	cleanup_free struct warder_image *named =
		compile("policy: a\nselectable: true\nnetwork: [{allow: [connect], unix: /run/d}]\n");
	struct policy_diff d;

	(void)state;
	assert_int_equal(policy_diff(old, named, &d), 0);
	assert_int_equal(d.count, 2);
	for (size_t i = 0; i < d.count; i++) {
		if (d.item[i].class_ != WARDER_CLASS_NETWORK) {
			assert_int_equal(d.item[i].kind, DIFF_CHANGED);
			assert_non_null(strstr(d.item[i].what, "selectable"));
			continue;
		}
		assert_int_equal(d.item[i].kind, DIFF_ALLOWED);
		assert_string_equal(d.item[i].witness, "network connect unix /run/d");
	}
	policy_diff_done(&d);
}

static void test_diff_classes(void **state)
{
	static const struct {
		const char *from, *to; /* in the text */
		enum diff_kind kind;
		const char *class_, *what, *witness;
	} changes[] = {
		{ "\"/a/**\"", "\"/a/*\"", DIFF_DENIED, "file", "read", "file read /a/a/a" },
		{ "/bin/x", "/bin/?", DIFF_ALLOWED, "exec", "exec", "exec /bin/a" },
		{ "[chown]", "[chown, kill]", DIFF_ALLOWED, "capability", "kill", "capability kill" },
		{ "[nosuid]", "[nodev]", DIFF_DENIED, "mount", "mount", "mount tmpfs /m/a nosuid" },
		{ "type: tmpfs", "type: ramfs", DIFF_ALLOWED, "mount", "mount",
		  "mount ramfs /m/a nosuid" },
		{ "10.0.0.0/8:5432", "10.0.0.0/9:5432", DIFF_DENIED, "network", "connect",
		  "network connect tcp 10.128.0.0:5432" },
		{ "8000-8100", "8000-8101", DIFF_ALLOWED, "network", "bind", ":8101" },
		{ "/run/db/**", "/run/db/*", DIFF_DENIED, "network", "connect",
		  "network connect unix /run/db/a/a same" },
		{ "@name-*", "@name-?", DIFF_DENIED, "network", "connect",
		  "network connect abstract @name-" },
		{ "write_exec: deny", "write_exec: allow", DIFF_ALLOWED, "memory", "write_exec", "" },
		{ "[net]", "[uts]", DIFF_DENIED, "namespace", "net", "namespace net" },
		{ "[io_uring]", "[perf]", DIFF_ALLOWED, "kernel", "perf", "kernel perf" },
		{ "c 10:229", "b 10:229", DIFF_ALLOWED, "device", "open", "device open 'b 10:229'" },
		{ "[term]", "[kill]", DIFF_ALLOWED, "signal", "kill", "signal kill container:db" },
		{ "[trace]", "[read]", DIFF_ALLOWED, "ptrace", "trace", "ptrace trace same" },
		{ "policy:db", "policy:web", DIFF_DENIED, "ipc", "unix", "ipc unix policy:db" },
		{ "deny: [trace]", "deny: [trace], errno: EACCES", DIFF_ERRNO, "ptrace", "trace", "" },
		{ "{allow: [chown]}", "{allow: [chown], audit: true}", DIFF_AUDIT, "capability",
		  "chown", "" },
	};
	cleanup_free struct warder_image *old = compile(classes);
	struct policy_diff d;

	(void)state;
	assert_int_equal(policy_diff(old, old, &d), 0);
	assert_int_equal(d.count, 0);
	assert_false(d.incomplete);
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		const char *at = strstr(classes, changes[i].from);
		cleanup_free struct warder_image *new_ = NULL;
		const struct diff_item *item;
		char text[sizeof(classes) + 64];

		assert_non_null(at);
		snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - classes), classes, changes[i].to,
			 at + strlen(changes[i].from));
		new_ = compile(text);
		assert_int_equal(policy_diff(old, new_, &d), 0);
		item = find_item(&d, changes[i].kind, changes[i].class_, changes[i].what);
		if (!item || !item->witness || !strstr(item->witness, changes[i].witness))
			fail_msg("%s -> %s: not found, %zu differences, the first is %s",
				 changes[i].from, changes[i].to, d.count,
				 d.count ? d.item[0].witness : "none");
		policy_diff_done(&d);
	}
}

static void test_diff_overrides(void **state)
{
	static const char text[] = "policy: o\noverride:\n"
				   "  - {on: mount, type: tmpfs, target: %s, options: {size: \"<=%s\"}, do: perform}\n";
	char a[256], b[256], c[256];
	cleanup_free struct warder_image *x = NULL, *y = NULL, *z = NULL;
	struct policy_diff d;

	(void)state;
	snprintf(a, sizeof(a), text, "/m/*", "1M");
	snprintf(b, sizeof(b), text, "/m/**", "1M");
	snprintf(c, sizeof(c), text, "/m/*", "2M");
	x = compile(a);
	y = compile(b);
	z = compile(c);
	assert_int_equal(policy_diff(x, x, &d), 0);
	assert_int_equal(d.count, 0);
	assert_int_equal(policy_diff(x, y, &d), 0);
	assert_int_equal(d.count, 1);
	assert_int_equal(d.item[0].kind, DIFF_CHANGED);
	assert_non_null(strstr(d.item[0].what, "targets"));
	policy_diff_done(&d);
	assert_int_equal(policy_diff(x, z, &d), 0);
	assert_int_equal(d.count, 2);
	assert_int_equal(d.item[0].kind, DIFF_REMOVED);
	assert_int_equal(d.item[1].kind, DIFF_ADDED);
	policy_diff_done(&d);
}

static unsigned long seed = 7;

static unsigned pick(unsigned n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(seed >> 33) % n;
}

/* A policy of a few rules over a few names. Rules that decide nothing are left out by the caller. */
static struct warder_image *random_policy(void)
{
	static const char *const paths[] = { "/a", "/a/*", "/a/**", "/a/b", "/a/b/**", "/*/b",
					     "/**/c", "/a/[bc]", "/a/?", "/{a,b}/c*" };
	static const char *const words[] = { "read", "write", "read, write", "create", "delete" };

	for (;;) {
		struct policy_diags diags = { 0 };
		struct warder_image *img = NULL;
		struct policy *p = NULL;
		char text[1024];
		size_t used = (size_t)snprintf(text, sizeof(text),
					       "policy: r\ndefaults: {file: %s}\nfile:\n",
					       pick(2) ? "deny" : "allow");
		int err;

		for (unsigned i = 0; i < 1 + pick(4); i++)
			used += (size_t)snprintf(text + used, sizeof(text) - used,
						 "  - {%s: [%s], path: \"%s\"}\n",
						 pick(3) ? "allow" : "deny",
						 words[pick(ARRAY_SIZE(words))],
						 paths[pick(ARRAY_SIZE(paths))]);
		err = policy_parse("r", text, used, NULL, &p, &diags);
		if (!err)
			err = policy_compile(p, &img, &diags);
		policy_free(p);
		policy_diags_done(&diags);
		if (!err)
			return img;
	}
}

static int refused(const struct warder_image *img, const char *path, __u32 bit)
{
	struct policy_request r = { .class_ = WARDER_CLASS_FILE, .access = bit, .path = path };
	struct warder_verdict v;

	assert_int_equal(policy_decide(img, &r, &v), 0);
	return v.action != WARDER_ALLOW;
}

/* Every witness shows what it says, and no sampled name shows a difference that the list lacks. */
static void test_diff_is_exact(void **state)
{
	static const char *const names[] = { "/",	 "/a",	   "/b",      "/a/a",	 "/a/b",  "/a/c",
					     "/a/b/c", "/a/b/d/e", "/b/b",	"/x/y/c", "/b/cc", "/c",
					     "/a/bb", "/b/c/d" };

	(void)state;
	for (unsigned round = 0; round < 150; round++) {
		cleanup_free struct warder_image *a = random_policy(), *b = random_policy();
		bool changed[2][32] = { { false } };
		struct policy_diff d;

		assert_int_equal(policy_diff(a, b, &d), 0);
		assert_false(d.incomplete);
		for (size_t i = 0; i < d.count; i++) {
			const struct diff_item *it = &d.item[i];
			const char *path = it->witness ? strchr(it->witness, '/') : NULL;

			if (it->kind > DIFF_DENIED || it->class_ != WARDER_CLASS_FILE || !path)
				continue;
			for (unsigned bit = 0; bit < 18; bit++) {
				if (!(it->bits >> bit & 1))
					continue;
				changed[it->kind][bit] = true;
				assert_int_equal(refused(a, path, 1u << bit),
						 it->kind == DIFF_ALLOWED);
				assert_int_equal(refused(b, path, 1u << bit), it->kind == DIFF_DENIED);
			}
		}
		for (size_t n = 0; n < ARRAY_SIZE(names); n++)
			for (unsigned bit = 0; bit < 18; bit++) {
				int x = refused(a, names[n], 1u << bit);
				int y = refused(b, names[n], 1u << bit);

				if (x != y && !changed[x ? DIFF_ALLOWED : DIFF_DENIED][bit])
					fail_msg("%s, bit %u is not in the list", names[n], bit);
			}
		policy_diff_done(&d);
	}
}

/* ------------------------------------------------------------------- events */

#define EVENT(more) "{\"type\":\"verdict\",\"cid\":3,\"program\":\"p\"," more "}"

static void test_events(void **state)
{
	static const struct {
		const char *line;
		int result;
		const char *text; /* the request, or the reason or error */
	} lines[] = {
		{ EVENT("\"class\":\"file\",\"access\":[\"read\"],\"path\":\"/x\\\\x0ay\""), 1,
		  "file read /x\\x0ay" },
		{ EVENT("\"class\":\"exec\",\"access\":[\"exec\"],\"path\":\"/x\""), 1, "exec /x" },
		{ EVENT("\"class\":\"capability\",\"capability\":\"CAP_KILL\""), 1, "capability kill" },
		{ EVENT("\"class\":\"signal\",\"signal\":15,\"peer_cid\":3"), 1, "signal term same" },
		{ EVENT("\"class\":\"signal\",\"signal\":15,\"peer_cid\":3,\"profile\":\"a\",\"peer_profile\":\"a\""), 1,
		  "signal term same" },
		{ EVENT("\"class\":\"signal\",\"signal\":15,\"peer_cid\":3,\"profile\":\"a\""), 1,
		  "signal term container" },
		{ EVENT("\"class\":\"ptrace\",\"access\":[\"read\"],\"peer_cid\":3,\"peer_profile\":\"a\""), 1,
		  "ptrace read container" },
		{ EVENT("\"class\":\"ipc\",\"access\":[\"sysv\"],\"peer_cid\":3,\"profile\":\"a\""), 1,
		  "ipc sysv same" },
		{ EVENT("\"class\":\"signal\",\"signal\":15,\"peer_cid\":0"), 1, "signal term host" },
		{ EVENT("\"class\":\"signal\",\"signal\":15,\"peer_cid\":9"), 0, "peer's name" },
		{ EVENT("\"class\":\"mount\",\"access\":[\"mount\"],\"path\":\"/m\",\"detail\":\"tmpfs\","
			"\"flags\":[\"nosuid\",7,\"zzz\"]"), 1, "mount tmpfs /m nosuid" },
		{ EVENT("\"class\":\"network\",\"access\":[\"connect\"],\"address\":\"1.2.3.4\","
			"\"port\":5,\"protocol\":\"tcp\""), 1, "network connect tcp 1.2.3.4:5" },
		{ EVENT("\"class\":\"network\",\"access\":[\"bind\"],\"address\":\"fd00::1\",\"port\":80,"
			"\"protocol\":\"udp\",\"family\":\"inet6\""), 1,
		  "network bind udp [fd00::1]:80" },
		{ EVENT("\"class\":\"network\",\"access\":[\"create\"],\"family\":\"inet\","
			"\"protocol\":\"tcp\""), 1, "network create tcp" },
		{ EVENT("\"class\":\"network\",\"access\":[\"connect\"],\"path\":\"@x\","
			"\"family\":\"unix\""), 1, "network connect abstract @x" },
		{ EVENT("\"class\":\"network\",\"access\":[\"connect\"],\"path\":\"/x\","
			"\"family\":\"unix\""), 1, "network connect unix /x" },
		{ EVENT("\"class\":\"network\",\"access\":[\"connect\"]"), 0, "address" },
		{ EVENT("\"class\":\"memory\",\"access\":[\"write_exec\"]"), 1, "memory write_exec" },
		{ EVENT("\"class\":\"device\",\"access\":[\"open\"],\"node\":\"c 1:3\""), 1,
		  "device open c 1:3" },
		{ EVENT("\"class\":\"file\",\"access\":[\"read\"],\"path\":\"/x\",\"why\":\"fault\""), 0,
		  "a fault" },
		{ EVENT("\"class\":\"file\",\"access\":[\"read\"],\"path\":\"/x\",\"why\":\"baseline\""),
		  0, "the baseline" },
		{ EVENT("\"class\":\"file\",\"access\":[\"read\"],\"path\":\"/x\\\\x00y\""), 0, "none" },
		{ EVENT("\"class\":\"file\",\"access\":[\"reed\"],\"path\":\"/x\""), 0, "access" },
		{ EVENT("\"class\":\"file\",\"access\":\"read\",\"path\":7"), 0, "access" },
		{ EVENT("\"class\":\"keyring\""), 0, "no rule" },
		{ EVENT("\"class\":9"), 0, "no rule" },
		{ "{\"type\":\"lifecycle\"}", 0, "no request" },
		{ EVENT("\"class\":\"file\",\"access\":[\"read\"],\"path\":\"/a/../b\""), 0, "none" },
		{ EVENT("\"class\":\"capability\",\"capability\":\"CAP_KILL\",\"version\":3"), 0,
		  "another version" },
		{ EVENT("\"class\":\"capability\",\"capability\":\"CAP_KILL\",\"version\":4"), 1,
		  "capability kill" },
		/* Whose socket it was: an event of the container's own. */
		{ EVENT("\"class\":\"network\",\"access\":[\"connect\"],\"path\":\"/x\","
			"\"family\":\"unix\",\"cid\":7,\"peer_cid\":7"), 1, "network connect unix /x same" },
		{ "", 0, "empty" },
		{ "  \n", 0, "empty" },
		{ "[]", -EINVAL, "an object" },
		{ "{\"type\":7}", -EINVAL, "an object" },
		{ "{} {}", -EINVAL, "no event" },
		{ "x", -EINVAL, "no event" },
		{ "{\"type\":\"verdict\"", -EINVAL, "no event" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct warder_error e = { "" };
		const char *reason = "";
		struct policy_event ev;
		char text[512] = "";
		int n = policy_event_parse(lines[i].line, strlen(lines[i].line), &ev, &reason, &e);

		if (n == 1) {
			request_text(&ev.request, text, sizeof(text));
			policy_event_done(&ev);
		}
		if (n != lines[i].result ||
		    !strstr(n == 1 ? text : n == 0 ? reason : e.text, lines[i].text))
			fail_msg("%s: %d, \"%s\"", lines[i].line, n,
				 n == 1 ? text : n == 0 ? reason : e.text);
	}
}

/* -------------------------------------------------------------------- learn */

static char *learn(const char *lines, unsigned threshold)
{
	struct learn_options options = { .name = "learned", .threshold = threshold };
	cleanup_fclose FILE *f = fmemopen((void *)(uintptr_t)lines, strlen(lines), "r");
	struct observations o = { 0 };
	struct policy_diags diags = { 0 };
	struct warder_error e = { "" };
	char *text = NULL;

	assert_non_null(f);
	assert_int_equal(observations_read(&o, f, "t", &diags), 0);
	policy_diags_done(&diags);
	if (policy_learn(&o, &options, &text, &e))
		fail_msg("%s", e.text);
	observations_done(&o);
	return text;
}

static size_t put_read(char *buf, size_t size, const char *path, const char *access)
{
	return (size_t)snprintf(buf, size,
				"{\"type\":\"learn\",\"class\":\"file\",\"program\":\"p\","
				"\"access\":[%s],\"path\":\"%s\"}\n", access, path);
}

static void test_learn(void **state)
{
	static const char *const secrets[] = { "/etc/shadow",	  "/home/u/.ssh/id_rsa",
					       "/run/secrets/db", "/proc/sys/kernel/pid_max",
					       "/srv/tls/a.key",  "/run/app.sock", "/root/x" };
	char lines[16384];
	cleanup_free char *text = NULL, *apart = NULL;
	size_t used = 0;

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		char path[64];

		snprintf(path, sizeof(path), "/srv/www/page%c.html", 'a' + (int)i);
		used += put_read(lines + used, sizeof(lines) - used, path, "\"read\"");
		snprintf(path, sizeof(path), "/proc/%u/stat", 100 + i);
		used += put_read(lines + used, sizeof(lines) - used, path, "\"read\"");
		snprintf(path, sizeof(path), "/var/spool/%u/job", i);
		used += put_read(lines + used, sizeof(lines) - used, path, "\"write\"");
		snprintf(path, sizeof(path), "/etc/file%u", i);
		used += put_read(lines + used, sizeof(lines) - used, path, "\"read\"");
		snprintf(path, sizeof(path), "/srv/tls/%u.key", i);
		used += put_read(lines + used, sizeof(lines) - used, path, "\"read\"");
		snprintf(path, sizeof(path), "/home/u/.ssh/key%u", i);
		used += put_read(lines + used, sizeof(lines) - used, path, "\"read\"");
		snprintf(path, sizeof(path), "/proc/sys/vm/x%u", i);
		used += put_read(lines + used, sizeof(lines) - used, path, "\"read\"");
	}
	for (size_t i = 0; i < ARRAY_SIZE(secrets); i++) {
		assert_true(learn_is_never(secrets[i]));
		used += put_read(lines + used, sizeof(lines) - used, secrets[i], "\"read\"");
	}
	used += put_read(lines + used, sizeof(lines) - used, "/srv/www/pagea.html", "\"write\"");
	text = learn(lines, 5);
	assert_non_null(strstr(text, "\"/srv/www/*.html\"  # 5 times, 5 names\n"));
	assert_non_null(strstr(text, "\"/proc/[0-9]*/stat\"  # 6 times, 6 names\n"));
	assert_non_null(strstr(text, "\"/var/spool/[0-9]*/job\"  # 6 times, 6 names\n"));
	assert_non_null(strstr(text, "- allow: [read, write]\n    path:\n      - /srv/www/pagea.html"));
	/* A pattern over /etc would hold shadow, one over .ssh or sysctls is none. */
	assert_null(strstr(text, "/etc/*"));
	assert_null(strstr(text, "/etc/file[0-9]*"));
	assert_null(strstr(text, ".ssh/*"));
	assert_null(strstr(text, "/srv/tls/*"));
	assert_null(strstr(text, "/proc/sys/vm/*"));
	assert_non_null(strstr(text, "- /etc/shadow  # seen once, never generalised\n"));
	assert_non_null(strstr(text, "- /etc/file3  # seen once\n"));
	apart = learn(lines, 7);
	assert_null(strstr(apart, "*.html"));
	assert_non_null(strstr(apart, "- /srv/www/pageb.html  # seen once\n"));
}

/* --------------------------------------------------------------------- fmt */

static char *format(const char *text)
{
	struct policy_diags d = { 0 };
	char *out = NULL;

	if (policy_format("t", text, strlen(text), &out, &d)) {
		policy_diags_print(&d, stderr);
		fail_msg("not formatted: %s", text);
	}
	policy_diags_done(&d);
	return out;
}

static void test_format(void **state)
{
	static const char *const texts[][2] = {
		{ "policy:   x   # c\nfile:\n- path: /a\n  allow: [ read ]\n",
		  "policy: x  # c\nfile:\n  - allow: [read]\n    path: /a\n" },
		{ "# one\n\n\n# two\npolicy: x\n\n\n\nmode: audit\n# end",
		  "# one\n\n# two\npolicy: x\n\nmode: audit\n# end\n" },
		{ "{policy: x, mode: audit}\n", "policy: x\nmode: audit\n" },
		{ "policy: 'a#b'\nvars: {A: [ '/x # y' , \"/z\"]}\n",
		  "policy: 'a#b'\nvars: {A: ['/x # y', \"/z\"]}\n" },
		{ "policy: x\nfile:\n  - # first\n    allow: read\n    path: [/a, # why\n     /b]\n",
		  "policy: x\nfile:\n  # first\n  - allow: read\n    path:\n      - /a  # why\n      - "
		  "/b\n" },
		{ "policy: x\nexec: &e\n - allow: /a\nmemory: {}\n",
		  "policy: x\nexec: &e\n  - allow: /a\nmemory: {}\n" },
		{ "policy: >\n  folded\n  text\n", "policy: \"folded text\\x0a\"\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		cleanup_free char *out = format(texts[i][0]), *again = NULL;

		assert_string_equal(out, texts[i][1]);
		again = format(out);
		assert_string_equal(again, out);
		assert_int_equal(policy_same_tree("t", texts[i][0], out), 0);
	}
	assert_int_equal(policy_same_tree("t", "a: [1, 2]", "a: [2, 1]"), -EINVAL);
	assert_int_equal(policy_same_tree("t", "{a: 1, b: 2}", "{b: 2, a: 1}"), 0);
}

/* ------------------------------------------------------------------- imports */

static char *import(int (*run)(const char *, const char *, size_t, char **, struct policy_diags *),
		    const char *text, const char *lost)
{
	struct policy_diags d = { 0 };
	char *out = NULL;
	bool told = !*lost;

	if (run("t", text, strlen(text), &out, &d)) {
		policy_diags_print(&d, stderr);
		fail_msg("not imported");
	}
	for (size_t i = 0; i < d.count; i++)
		told |= d.item[i].line && strstr(d.item[i].text, lost) != NULL;
	assert_true(told);
	policy_diags_done(&d);
	free(compile(out));
	return out;
}

static void test_imports(void **state)
{
	/* "/x/" is a folder's name there, and so "/x{,/}" the folder or a file. */
	static const char *const folders[] = { "/a{,/**}", "/b",    "/c{,/**}",      "/d{,/*}", "/e/*",
					       "/f{/**,}", "/g/{x,y}", "/h{/x,/y,}" };
	cleanup_free char *a = NULL, *f = NULL, *k = NULL, *o = NULL;
	struct policy_diags d = { 0 };
	char *out;

	(void)state;
	a = import(policy_import_apparmor,
		   "@{D}=/srv /opt\nprofile p flags=(complain) {\n  /etc/{a,b} r, # c\n  @{D}/** rw,\n"
		   "  deny /srv/x w,\n  /bin/* ix,\n  capability kill,\n  dbus send,\n}\n",
		   "dbus");
	assert_non_null(strstr(a, "mode: audit\n"));
	assert_non_null(strstr(a, "{allow: [read], path: \"/etc/{a,b}\"}"));
	assert_non_null(strstr(a, "path: \"{/srv,/opt}/**\"}"));
	assert_non_null(strstr(a, "{deny: [write"));
	assert_non_null(strstr(a, "exec:\n  - {allow: \"/bin/*\"}"));
	f = import(policy_import_apparmor,
		   "profile p {\n  /a/{,**} r,\n  /b{,/} r,\n  /c{,/,/**} r,\n  /d/{,*} r,\n  /e/*/ r,\n"
		   "  /f{/**,} r,\n  /g/{x,y} r,\n  /h/{x,y,} r,\n  /{,**} r,\n  deny userns,\n  dbus,\n}\n",
		   "dbus");
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		char path[64];

		snprintf(path, sizeof(path), "path: \"%s\"}", folders[i]);
		if (!strstr(f, path))
			fail_msg("%s is not in\n%s", path, f);
	}
	assert_non_null(strstr(f, "namespace:\n  - {deny: [user]}"));
	k = import(policy_import_kubearmor,
		   "kind: KubeArmorPolicy\nmetadata: {name: k}\nspec:\n  file:\n    matchPaths: [{path: "
		   "/a, readOnly: true}]\n  syscalls: {}\n  action: Allow\n",
		   "syscalls");
	assert_non_null(strstr(k, "defaults: {file: deny}"));
	assert_non_null(strstr(k, "{allow: [read], path: \"/a\"}"));
	o = import(policy_import_oci,
		   "{\"ociVersion\":\"1\",\"process\":{\"capabilities\":{\"bounding\":[\"CAP_KILL\"]}},"
		   "\"linux\":{\"maskedPaths\":[\"/proc/kcore\"],\"seccomp\":{}}}",
		   "seccomp");
	assert_non_null(strstr(o, "{deny: [\"*\"], path: \"/proc/kcore{,/**}\"}"));
	assert_non_null(strstr(o, "{allow: [kill]}"));
	assert_int_equal(policy_import_apparmor("t", "nothing", 7, &out, &d), -EINVAL);
	assert_int_equal(policy_import_kubearmor("t", "a: b", 4, &out, &d), -EINVAL);
	assert_int_equal(policy_import_oci("t", "[]", 2, &out, &d), -EINVAL);
	assert_int_equal(d.errors, 3);
	policy_diags_done(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_baseline),      cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_remedies),
		cmocka_unit_test(test_remedies_unsafe),
		cmocka_unit_test(test_bad_requests),  cmocka_unit_test(test_diff_baseline),
		cmocka_unit_test(test_diff_classes),
		cmocka_unit_test(test_diff_overrides), cmocka_unit_test(test_diff_is_exact),
		cmocka_unit_test(test_events),	      cmocka_unit_test(test_learn),
		cmocka_unit_test(test_format),	      cmocka_unit_test(test_imports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
