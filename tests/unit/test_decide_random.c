// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Random policies and random requests, to the engine natively and in BPF by test-run: every field
 * of every answer must be the same.
 *
 * As a test it begins with the same number each time. To look for more:
 *	test_decide_random --seconds 600 [--seed N]
 * A difference is printed with the policy and the number that leads to it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include "cleanup.h"
#include "decide_probe.h"
#include "decide_probe.skel.h"
#include "policy.h"

#define LINES_MAX 128
#define LINE_SIZE 320
#define REQUESTS 250 /* for each policy: giving an image to the kernel costs more than they do */
#define POLICIES 40  /* of the test */

static uint64_t seed;

static unsigned rnd(unsigned n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)((seed >> 33) % n);
}

#define PICK(array) ((array)[rnd(ARRAY_SIZE(array))])

/* ---------------------------------------------------------------- policies */

/* A policy of one rule in each line, so that a rule which the compiler refuses (shadowed, twice
 * the same) can be taken out by its number. */
static struct {
	char line[LINES_MAX][LINE_SIZE];
	const char *section[LINES_MAX]; /* NULL: taken out, or no rule */
	int profile[LINES_MAX];		/* 0: the top */
	unsigned number[LINES_MAX];	/* in the text */
	unsigned lines, profiles;
	const char *head;
} draft;

static const char *const parts[] = { "/a", "/b", "/ab", "/bin", "/long-component-of-a-name", "/x.so",
				     "/\xc3\xa4" };
static const char *const wild[] = { "/*", "/**", "/a*", "/**/b", "/?", "/[ab]*", "/{a,b,bin}", "/*.so",
				    "/[!a]", "{,/**}", "/a**b" };
static const char *const accesses[] = { "read", "write", "append", "create", "delete", "rename",
					"link", "symlink", "chmod", "chown", "truncate", "setattr",
					"xattr", "mknod", "ioctl", "lock", "map_exec", "watch" };
static const char *const net_ops[] = { "create", "connect", "bind", "send", "listen", "accept" };
static const char *const mount_ops[] = { "mount", "bind", "remount", "move", "propagation", "umount",
					 "pivot_root", "attach" };
static const char *const types[] = { "tmpfs", "proc", "ext4", "fuse.sshfs" };
static const char *const peers[] = { "same", "container", "host", "policy:other", "container:web" };
static const char *const addresses[] = { "10.0.0.0/8", "10.1.0.0/16:80", "10.1.2.3", "*:53",
					 "[fd00::/8]:443-445", "::/0", "0.0.0.0/0:1-1024", "fd00::1" };

/* pattern in quotes, with escapes for YAML */
static void put_pattern(FILE *f)
{
	unsigned n = 1 + rnd(4);

	fputc('\'', f);
	for (unsigned i = 0; i < n; i++)
		fputs(rnd(3) ? PICK(parts) : !i ? PICK(((const char *[]) { "/**", "/*", "/a" }))
						: PICK(wild), f);
	fputc('\'', f);
}

/* "allow: [x, y]" or deny, of some words. */
static void put_words(FILE *f, const char *const *word, size_t words)
{
	unsigned n = 1 + rnd(3), at = rnd((unsigned)words);

	fprintf(f, "{%s: [", rnd(3) ? "allow" : "deny");
	if (!rnd(6))
		fputs("'*'", f);
	else
		for (unsigned i = 0; i < n && i < words; i++)
			fprintf(f, "%s%s", i ? ", " : "", word[(at + i) % words]);
	fputs("]", f);
}

static void put_options(FILE *f, const char *line)
{
	if (strstr(line, "deny:") && !rnd(3))
		fputs(PICK(((const char *[]) { ", errno: ENOENT", ", errno: EROFS" })), f);
	if (!rnd(4))
		fputs(", audit: true", f);
	fputs("}", f);
}

static void put_network(FILE *f)
{
	switch (rnd(4)) {
	case 0:
		put_words(f, net_ops, 4);
		fputs(", unix: ", f);
		if (rnd(3))
			put_pattern(f);
		else
			fputs(PICK(((const char *[]) { "'@a*'", "'@**'", "'@ab'" })), f);
		break;
	case 1:
		put_words(f, net_ops + 1, 3);
		fprintf(f, ", protocol: %s, port: [%u, %u-%u]", rnd(2) ? "tcp" : "[tcp, udp]", rnd(100),
			100 + rnd(50), 150 + rnd(100));
		break;
	case 2:
		put_words(f, net_ops + 1, 2);
		fprintf(f, ", protocol: tcp, to: ['%s', '%s']", PICK(addresses), PICK(addresses));
		break;
	default:
		put_words(f, net_ops, 4);
		fprintf(f, ", family: %s",
			PICK(((const char *[]) { "inet", "inet6", "[netlink, packet]", "vsock",
						 "unix", "other" })));
	}
}

static void put_mount(FILE *f)
{
	put_words(f, mount_ops, ARRAY_SIZE(mount_ops));
	if (rnd(2))
		fprintf(f, ", type: [%s]", PICK(types));
	if (rnd(3)) {
		fputs(", target: ", f);
		put_pattern(f);
	}
	if (!rnd(3))
		fputs(PICK(((const char *[]) { ", flags: {require: [nosuid]}",
					       ", flags: {forbid: [ro], require: [nodev]}" })),
		      f);
}

static void put_override(FILE *f)
{
	fprintf(f, "{on: mount, type: %s, target: ", PICK(types));
	put_pattern(f);
	fprintf(f, ", do: %s", PICK(((const char *[]) { "perform", "fake", "deny, errno: EBUSY" })));
	if (rnd(2))
		fprintf(f, ", by: {uid: %s, userns: %s}", PICK(((const char *[]) { "any", "0", "1000" })),
			PICK(((const char *[]) { "container", "nested", "[container, nested]" })));
	if (!rnd(3))
		fprintf(f, ", cause: %s", PICK(((const char *[]) { "capability", "lsm", "any" })));
	fputs("}", f);
}

static const char *const sections[] = { "file", "file", "file", "exec", "network", "network", "mount",
					"device", "capability", "ptrace", "signal", "ipc", "namespace",
					"kernel", "override" };

static void draft_rule(FILE *f, const char *section, bool top)
{
	static const char *const caps[] = { "chown", "kill", "net_admin", "sys_admin", "bpf", "setuid" };
	static const char *const ptraces[] = { "trace", "read" };
	static const char *const ipcs[] = { "unix", "sysv", "mq", "fd" };
	static const char *const signals[] = { "term", "kill", "hup", "usr1", "34" };
	static const char *const spaces[] = { "user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time" };
	static const char *const surfaces[] = { "bpf", "modules", "perf", "settime", "io_uring",
						"userfaultfd", "hostname", "reboot", "quota" };
	static const char *const nodes[] = { "c 1:3", "c 1:*", "b *:*", "c 10:229", "*", "b 8:0" };

	if (!strcmp(section, "file")) {
		put_words(f, accesses, ARRAY_SIZE(accesses));
		fputs(", path: ", f);
		put_pattern(f);
	} else if (!strcmp(section, "exec")) {
		bool deny = !rnd(3);

		fputs(deny ? "{deny: " : "{allow: ", f);
		put_pattern(f);
		if (!deny && top && draft.profiles && rnd(2))
			fprintf(f, ", profile: p%u", 1 + rnd(draft.profiles));
	} else if (!strcmp(section, "network")) {
		put_network(f);
	} else if (!strcmp(section, "mount")) {
		put_mount(f);
	} else if (!strcmp(section, "device")) {
		put_words(f, ((const char *const[]) { "open", "mknod" }), 2);
		fprintf(f, ", node: ['%s']", PICK(nodes));
	} else if (!strcmp(section, "capability")) {
		put_words(f, caps, ARRAY_SIZE(caps));
	} else if (!strcmp(section, "namespace")) {
		put_words(f, spaces, ARRAY_SIZE(spaces));
	} else if (!strcmp(section, "kernel")) {
		put_words(f, surfaces, ARRAY_SIZE(surfaces));
	} else if (!strcmp(section, "override")) {
		put_override(f);
		return;
	} else {
		if (*section == 'p')
			put_words(f, ptraces, ARRAY_SIZE(ptraces));
		else if (*section == 's')
			put_words(f, signals, ARRAY_SIZE(signals));
		else
			put_words(f, ipcs, ARRAY_SIZE(ipcs));
		if (rnd(5))
			fprintf(f, ", peer: '%s'", PICK(peers));
	}
}

static void draft_rules(int profile, unsigned count)
{
	while (count-- && draft.lines < LINES_MAX) {
		const char *section = PICK(sections);
		unsigned n = draft.lines;
		char text[LINE_SIZE] = "";
		FILE *f;

		if (profile && !strcmp(section, "override"))
			continue;
		f = fmemopen(text, sizeof(text), "w");
		assert_non_null(f);
		draft_rule(f, section, !profile);
		fflush(f);
		if (strcmp(section, "override") != 0)
			put_options(f, text);
		fclose(f);
		strcpy(draft.line[n], text);
		draft.section[n] = section;
		draft.profile[n] = profile;
		draft.lines++;
	}
}

static void put_defaults(FILE *f)
{
	static const char *const classes[] = { "file", "exec", "memory", "network", "capability",
					       "mount", "device", "ptrace", "signal", "ipc",
					       "namespace", "kernel" };
	bool any = false;

	fputs("defaults: {", f);
	for (size_t i = 0; i < ARRAY_SIZE(classes); i++) {
		if (rnd(2))
			continue;
		fprintf(f, "%s%s: %s", any ? ", " : "", classes[i], rnd(2) ? "deny" : "allow");
		any = true;
	}
	fputs("}\n", f);
}

static void put_memory(FILE *f, const char *indent)
{
	static const char *const words[] = { "fileless_exec", "write_exec", "anonymous_exec", "shm_exec" };

	fprintf(f, "%smemory: {%s: %s", indent, words[rnd(2)], rnd(2) ? "allow" : "deny");
	fprintf(f, ", %s: %s}\n", words[2 + rnd(2)], rnd(2) ? "allow" : "deny");
}

static void draft_new(void)
{
	memset(&draft, 0, sizeof(draft));
	draft.profiles = rnd(3) ? 0 : 1 + rnd(3);
	draft_rules(0, rnd(40));
	for (unsigned i = 1; i <= draft.profiles; i++)
		draft_rules((int)i, 1 + rnd(10));
}

/* The rules of one profile, or the top's. */
static void put_rules(FILE *f, int profile, const char *indent, unsigned *line)
{
	static const char *const classes[] = { "file", "exec", "network", "mount", "device", "capability",
					       "ptrace", "signal", "ipc", "namespace", "kernel",
					       "override" };

	for (size_t c = 0; c < ARRAY_SIZE(classes); c++) {
		bool any = false;

		for (unsigned i = 0; i < draft.lines; i++) {
			if (!draft.section[i] || draft.profile[i] != profile ||
			    strcmp(draft.section[i], classes[c]) != 0)
				continue;
			if (!any)
				fprintf(f, "%s%s:\n", indent, classes[c]), ++*line;
			any = true;
			fprintf(f, "%s  - %s\n", indent, draft.line[i]);
			draft.number[i] = ++*line;
		}
	}
}

/* What does not change while rules are taken out: given the same number each time. */
static char *draft_text(uint64_t settings)
{
	uint64_t saved = seed;
	unsigned line = 3;
	size_t len;
	char *text = NULL;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	seed = settings;
	fprintf(f, "policy: random\nmode: %s\n",
		PICK(((const char *[]) { "enforce", "enforce", "enforce", "audit", "learn" })));
	put_defaults(f);
	if (!rnd(3))
		fputs("unsafe: [bpf, modules, host_signal]\n", f), line++;
	if (rnd(2))
		put_memory(f, ""), line++;
	put_rules(f, 0, "", &line);
	if (draft.profiles)
		fputs("profiles:\n", f), line++;
	for (unsigned i = 1; i <= draft.profiles; i++) {
		fprintf(f, "  p%u:\n    ", i);
		put_defaults(f);
		line += 2;
		put_rules(f, (int)i, "    ", &line);
	}
	seed = saved;
	assert_int_equal(fclose(f), 0);
	return text;
}

/* Takes out the rules that were complained about; false if a complaint is about none. */
static bool draft_correct(const struct policy_diags *d)
{
	bool known = true;

	for (size_t i = 0; i < d->count; i++) {
		bool found = !d->item[i].line;

		if (d->item[i].warning)
			continue;
		for (unsigned k = 0; k < draft.lines; k++)
			if (draft.number[k] == d->item[i].line) {
				draft.section[k] = NULL;
				found = true;
			}
		known &= found;
	}
	for (unsigned k = 0; k < draft.lines; k++)
		draft.number[k] = 0;
	return known;
}

static struct warder_image *draft_compile(char **ret_text)
{
	uint64_t settings = seed;

	draft_new();
	for (int i = 0; i < 40; i++) {
		char *text = draft_text(settings);
		struct policy_diags diags = { 0 };
		struct warder_image *img = NULL;
		struct policy *p;
		bool known;
		int err = policy_parse("random", text, strlen(text), NULL, &p, &diags);

		if (!err)
			err = policy_compile(p, &img, &diags);
		policy_free(p);
		if (!err) {
			policy_diags_done(&diags);
			*ret_text = text;
			return img;
		}
		known = draft_correct(&diags);
		if (!known) {
			policy_diags_print(&diags, stderr);
			fprintf(stderr, "%s", text);
		}
		policy_diags_done(&diags);
		free(text);
		if (!known)
			fail_msg("a complaint about something that is no rule");
	}
	return NULL;
}

/* ---------------------------------------------------------------- requests */

static __u32 some_bits(unsigned bits)
{
	__u32 m = 1u << rnd(bits);

	return rnd(3) ? m : m | 1u << rnd(bits) | 1u << rnd(bits);
}

static void random_name(struct warder_text *t, __u32 *ret_off, __u32 *ret_len)
{
	static const char *const ends[] = { "", "/", "x", "/b", ".so" };
	char name[WARDER_PATH_MAX] = "";
	unsigned n = rnd(20) ? rnd(6) : rnd(150);

	for (unsigned i = 0; i < n && strlen(name) < WARDER_PATH_MAX - 64; i++)
		strcat(name, PICK(parts));
	strcat(name, PICK(ends));
	*ret_len = (__u32)strlen(name);
	*ret_off = rnd(2) ? WARDER_PATH_MAX - *ret_len : WARDER_TEXT_SIZE - *ret_len;
	/* Bytes around the name must not matter. */
	memset(t->b, "/a*\0"[rnd(4)], sizeof(t->b));
	memcpy(t->b + *ret_off, name, *ret_len);
}

static void random_address(struct warder_address *a)
{
	static const __u8 bytes[] = { 0, 1, 2, 3, 10, 53, 0xfd, 0xff };

	a->families = 1u << rnd(WARDER_FAM_BITS);
	a->protocols = 1u << rnd(WARDER_PROTO_BITS);
	a->port = (__u16)(rnd(5) ? rnd(300) : 443 + rnd(5));
	for (int i = 0; i < 16; i++)
		a->addr[i] = rnd(3) ? 0 : PICK(bytes);
	if (rnd(2))
		warder_net_mapped(a, 10u | rnd(4) << 8 | rnd(4) << 16 | rnd(5) << 24);
	if (!rnd(8))
		memset(a->addr, 0, sizeof(a->addr));
}

static void random_peer(struct warder_peer_request *p)
{
	static const __u32 classes[] = { WARDER_CLASS_PTRACE, WARDER_CLASS_SIGNAL, WARDER_CLASS_IPC };

	p->op = rnd(8) ? 1ull << rnd(rnd(2) ? 4 : 40) : 0;
	p->class_ = PICK(classes);
	p->relation = rnd(4);
	strcpy((char *)p->name, PICK(((const char *[]) { "web", "we", "webb", "" })));
	strcpy((char *)p->policy, PICK(((const char *[]) { "other", "othe", "random" })));
}

static void random_request(struct probe_request *q, struct warder_text text[2])
{
	static const __u32 magics[] = { WARDER_MAGIC_PROC, WARDER_MAGIC_SYSFS, WARDER_MAGIC_CGROUP,
					WARDER_MAGIC_BINFMT, 0xef53 };
	static const __u32 starts[] = { WARDER_START_UNIX, WARDER_START_ABSTRACT };

	memset(q, 0, sizeof(*q));
	q->kind = rnd(PROBE_KERNEL_FILE + 1);
	q->profile = rnd(draft.profiles + 2);
	random_name(&text[0], &q->off, &q->len);
	random_name(&text[1], &q->second_off, &q->second_len);
	random_address(&q->address);
	random_peer(&q->peer);
	strcpy((char *)q->type.w, PICK(types));
	q->access = some_bits(WARDER_ACC_BITS);
	q->flags = rnd(8);
	q->euid = rnd(2) * 1000;
	q->fsuid = rnd(2) * 1000;
	q->userns = 1u << rnd(2);
	q->cause = 1u << rnd(2);
	switch (q->kind) {
	case PROBE_CAPABILITY:
		q->access = rnd(64);
		break;
	case PROBE_MOUNT:
	case PROBE_OVERRIDE:
		q->access = 1u << rnd(WARDER_MNT_BITS);
		q->flags = rnd(2) ? MS_NOSUID | MS_NODEV : rnd(16);
		q->unnamed = !rnd(5);
		break;
	case PROBE_BASELINE:
	case PROBE_KERNEL_FILE:
		q->magic = PICK(magics);
		break;
	case PROBE_DEVICE:
	case PROBE_NODE:
		q->access = q->kind == PROBE_NODE ? 1u << rnd(WARDER_DEV_BITS)
						  : rnd(2) ? WARDER_DEVICE_CHAR : WARDER_DEVICE_BLOCK;
		q->cause = rnd(2) ? WARDER_DEVICE_CHAR : WARDER_DEVICE_BLOCK;
		q->magic = rnd(12);
		q->flags = rnd(3) ? rnd(12) : 229;
		q->userns = rnd(2);
		break;
	case PROBE_SWITCH:
		q->magic = rnd(WARDER_BITS__MAX);
		q->access = rnd(64);
		break;
	case PROBE_NETWORK:
	case PROBE_UNIX_UNREACHABLE:
		q->access = 1u << rnd(WARDER_NET_BITS);
		break;
	case PROBE_UNIX:
		q->access = 1u << rnd(WARDER_NET_BITS);
		q->flags = PICK(starts);
		q->address.families = WARDER_FAM_UNIX;
		break;
	case PROBE_UNIX_PEER:
		q->access = rnd(2) ? WARDER_NET_CONNECT : WARDER_NET_SEND;
		q->flags = rnd(6) ? PICK(starts) : WARDER_START__MAX;
		q->address.families = WARDER_FAM_UNIX;
		q->peer.class_ = WARDER_CLASS_IPC;
		q->peer.op = WARDER_IPC_UNIX;
		break;
	}
}

/* ------------------------------------------------------------------ compare */

static int quiet(enum libbpf_print_level level, const char *format, va_list ap)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, format, ap) : 0;
}

static void ask(struct decide_probe *skel, const struct probe_request *q,
		const struct warder_text text[2], struct probe_reply *ret)
{
	LIBBPF_OPTS(bpf_test_run_opts, run);
	__u32 zero = 0, one = 1;

	assert_int_equal(
		bpf_map_update_elem(bpf_map__fd(skel->maps.probe_question), &zero, q, 0), 0);
	assert_int_equal(
		bpf_map_update_elem(bpf_map__fd(skel->maps.probe_text), &zero, &text[0], 0), 0);
	assert_int_equal(
		bpf_map_update_elem(bpf_map__fd(skel->maps.probe_text), &one, &text[1], 0), 0);
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(skel->progs.decide_probe), &run), 0);
	assert_int_equal(run.retval, 0);
	assert_int_equal(
		bpf_map_lookup_elem(bpf_map__fd(skel->maps.probe_answer), &zero, ret), 0);
}

/* How often requests were answered how: a comparison of nothing but allowed ones says little. */
struct tally {
	unsigned long policies, rules, requests, by_kind[PROBE_KERNEL_FILE + 1];
	unsigned long denied[PROBE_KERNEL_FILE + 1], by_rule[PROBE_KERNEL_FILE + 1];
};

static void compare(struct decide_probe *skel, struct tally *t)
{
	static struct warder_text text[2];
	cleanup_free struct warder_image *img = NULL;
	cleanup_free char *policy = NULL;
	uint64_t began = seed;
	__u32 zero = 0;

	img = draft_compile(&policy);
	if (!img)
		return; /* nothing was left */
	assert_int_equal(
		bpf_map_update_elem(bpf_map__fd(skel->maps.probe_image), &zero, img, 0), 0);
	t->policies++;
	t->rules += img->h.rule.count;
	for (int i = 0; i < REQUESTS; i++) {
		struct probe_request q;
		struct probe_reply native, bpf;

		random_request(&q, text);
		memset(&native, 0, sizeof(native));
		probe_run(img, &text[0], &text[1], &q, &native);
		ask(skel, &q, text, &bpf);
		t->requests++;
		t->by_kind[q.kind]++;
		t->denied[q.kind] += native.v.action != WARDER_ALLOW;
		t->by_rule[q.kind] += native.v.rule != 0 || native.set;
		if (!memcmp(&native, &bpf, sizeof(bpf)))
			continue;
		fprintf(stderr, "%s# seed %llu, request %d: kind %u access %#x flags %#x profile %u "
			"%.*s\n", policy, (unsigned long long)began, i, q.kind, q.access, q.flags,
			q.profile, (int)q.len, (char *)text[0].b + q.off);
		fail_msg("natively action %u errno %u rule %u why %u set %#llx, in BPF %u %u %u %u "
			 "%#llx", native.v.action, native.v.err, native.v.rule, native.v.why,
			 (unsigned long long)native.set, bpf.v.action, bpf.v.err, bpf.v.rule,
			 bpf.v.why, (unsigned long long)bpf.set);
	}
}

static struct decide_probe *probe_load(void)
{
	struct decide_probe *skel = geteuid() ? NULL : decide_probe__open();

	libbpf_set_print(quiet);
	if (skel && !decide_probe__load(skel))
		return skel;
	if (skel && errno != EPERM && errno != ENOSYS)
		fail_msg("the verifier refuses the engine");
	decide_probe__destroy(skel);
	print_message("skipped: no BPF for this process\n");
	skip();
	return NULL;
}

static void test_random(void **state)
{
	struct decide_probe *skel = probe_load();
	struct tally t = { 0 };

	(void)state;
	seed = 20261128;
	for (int i = 0; i < POLICIES; i++)
		compare(skel, &t);
	decide_probe__destroy(skel);
	/* The comparison must have been about something. */
	assert_true(t.policies > POLICIES / 2 && t.rules > 10 * t.policies);
	for (size_t k = 0; k < ARRAY_SIZE(t.by_kind); k++) {
		bool set = k == PROBE_BASELINE || k == PROBE_DEVICE || k == PROBE_OVERRIDE ||
			   k == PROBE_TARGET || k == PROBE_KERNEL_FILE;

		if (!set && !t.denied[k])
			fail_msg("kind %zu: nothing of %lu was refused", k, t.by_kind[k]);
		if (k != PROBE_UNREACHABLE && k != PROBE_UNIX_UNREACHABLE && k != PROBE_KERNEL_FILE &&
		    !t.by_rule[k])
			fail_msg("kind %zu: no rule decided any of %lu", k, t.by_kind[k]);
	}
}

static void search(unsigned seconds)
{
	struct decide_probe *skel = probe_load();
	struct tally t = { 0 };
	time_t end = time(NULL) + seconds;

	while (time(NULL) < end)
		compare(skel, &t);
	decide_probe__destroy(skel);
	printf("# %lu policies of %lu rules, %lu requests: the same natively and in BPF\n", t.policies,
	       t.rules, t.requests);
}

static unsigned search_seconds;

static void test_search(void **state)
{
	(void)state;
	search(search_seconds);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_random) };
	const struct CMUnitTest searches[] = { cmocka_unit_test(test_search) };

	seed = (uint64_t)time(NULL);
	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--seconds"))
			search_seconds = (unsigned)atoi(argv[i + 1]);
		else if (!strcmp(argv[i], "--seed"))
			seed = strtoull(argv[i + 1], NULL, 0);
	}
	return search_seconds ? cmocka_run_group_tests(searches, NULL, NULL)
			      : cmocka_run_group_tests(tests, NULL, NULL);
}
