// SPDX-License-Identifier: LGPL-2.1-or-later
/* Requests: the words of every class, the baseline, what a refusal proposes; and differences of policies,
 * proved by their witnesses. */
#include <sys/mount.h>

#include "policy_fixture.h"

#include "policy_tools.h"

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
	cleanup_free struct warder_image *img = good(classes);

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
	cleanup_free struct warder_image *img = good("policy: open\n");
	cleanup_free struct warder_image *unsafe =
		good("policy: open\nunsafe: [kernel_files, memory_devices]\n"
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
	with = good(policy);
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
	cleanup_free struct warder_image *img = good(
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
		with = good(text);
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
	cleanup_free struct warder_image *img = good("policy: none\n");

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
		with = good(text);
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
	cleanup_free struct warder_image *old = good("policy: a\n");
	cleanup_free struct warder_image *named =
		good("policy: a\nselectable: true\nnetwork: [{allow: [connect], unix: /run/d}]\n");
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
	cleanup_free struct warder_image *old = good(classes);
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
		new_ = good(text);
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
	x = good(a);
	y = good(b);
	z = good(c);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_baseline),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_remedies),
		cmocka_unit_test(test_remedies_unsafe),
		cmocka_unit_test(test_bad_requests),
		cmocka_unit_test(test_diff_baseline),
		cmocka_unit_test(test_diff_classes),
		cmocka_unit_test(test_diff_overrides),
		cmocka_unit_test(test_diff_is_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
