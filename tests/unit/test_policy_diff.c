// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Every witness of a difference, put back to the engine as a person would: as arguments of `policy
 * explain`. Both policies must say of it what the difference says, and no sampled request may differ
 * without being in the list.
 */
#include <ctype.h>

#include "policy_fixture.h"

#include "calls.h"
#include "policy_diff.h"
#include "policy_tools.h"
#include "warder_decide.h"

/* Policies of one group are compared with each other, both ways. */
#define GROUP 16
#define PROFILES "profiles: {web: {}}\n"
static const char *const groups[][GROUP] = {
	{
		P,
		P "file: [{deny: [write], path: /proc/**}]\n",
		P "file: [{deny: [read], path: '/proc/{,sys/}**'}]\n",
		P "file: [{deny: [write, create], path: '/sys/**'}, {deny: [read], path: /sys/fs/bpf/**}]\n",
		P "file: [{deny: ['*'], path: /proc/sys/kernel/**}]\nunsafe: [kernel_files]\n",
		P "unsafe: [kernel_files]\n",
		P "defaults: {file: deny}\nfile: [{allow: ['*'], path: /**}, {deny: [write], path: /proc/kcore}]\n",
		P "defaults: {file: deny, exec: deny}\nfile: [{allow: [read, write], path: '/{proc,sys,srv}/**'}]\n",
		P "file: [{deny: [append, chmod], path: '/p**'}, {deny: [read], path: '/sys/fs/cgroup/**'}]\n",
		P "file: [{deny: [chmod], path: '/sys/fs/cgroup/release_agent', errno: ENOENT}]\n",
	},
	{
		P "defaults: {file: deny}\nfile: [{allow: [read], path: '/a b/*'}, {allow: [read], path: \"/it's/*\"}]\n",
		P "defaults: {file: deny}\nfile: [{allow: [read, write], path: '/a b/**'}, {allow: [read], path: '/{ä,ö}/*'}]\n",
		P "defaults: {file: deny}\nfile: [{allow: [read], path: '/[!a]**', audit: true}]\n",
		P "defaults: {file: deny}\nfile: [{allow: [read], path: '/[!a]**'}]\n",
		P "defaults: {file: deny}\nfile: [{allow: [read], path: '/**'}, {deny: [read], path: '/\\$(x)\\\\'}]\n",
		P "mode: audit\ndefaults: {file: deny}\nfile: [{allow: [read], path: '/**'}]\n",
		P "mode: learn\ndefaults: {file: deny}\nfile: [{allow: [read], path: '/[a-k]*'}]\n",
	},
	{
		P "defaults: {exec: deny}\nexec: [{allow: /bin/*}, {allow: /usr/bin/a, profile: a}]\n"
		  "profiles: {a: {file: [{allow: [read], path: /x}]}, b: {}}\n",
		P "defaults: {exec: deny}\nexec: [{allow: /bin/*, audit: true}, {allow: /usr/bin/a, profile: b}]\n"
		  "profiles: {a: {file: [{allow: [read], path: /x}, {allow: [write], path: /y}]}, b: {}}\n",
		P "defaults: {exec: deny}\nexec: [{allow: /bin/**}, {allow: '/usr/bin/{a,b}'}]\n"
		  "profiles: {a: {defaults: {network: deny, signal: deny}}}\n",
	},
	{
		P,
		P "signal: [{allow: ['*'], peer: host}, {allow: [kill], peer: 'policy:web'}]\nunsafe: [host_signal]\n",
		P "signal: [{deny: [rtmin+3, rtmax, term]}, {allow: [hup], peer: 'container:web'}]\n",
		P "signal: [{allow: [kill, rtmin], peer: 'policy:web'}, {deny: [kill], peer: 'container:db'}]\n",
		P "signal: [{allow: [kill], peer: 'policy:web', audit: true}, {deny: [term], errno: EACCES}]\n",
		P "ptrace: [{allow: [trace], peer: host}, {deny: [read], peer: same}]\nunsafe: [host_ptrace]\n",
		P "ptrace: [{allow: ['*'], peer: 'policy:other'}, {allow: [read], peer: 'container:another'}]\n",
		P "defaults: {ptrace: deny, signal: deny, ipc: deny}\n",
		P "ipc: [{allow: ['*'], peer: host}, {deny: [fd], peer: container}]\n",
		P "ipc: [{allow: [unix, mq], peer: 'container:db'}, {deny: [unix], peer: 'policy:web', errno: EPERM}]\n",
	},
	{
		P,
		P "network: [{allow: [connect], unix: /run/a/**}, {deny: [send], unix: '@x*'}]\n",
		P "network: [{allow: [connect], unix: /run/a/*}, {deny: [bind], unix: '/run/**'}]\n",
		P "network: [{allow: [connect], unix: '/run/a/b'}]\nipc: [{allow: [unix], peer: 'policy:db'}]\n",
		P "network: [{deny: [connect], unix: '/run/**', errno: ENOENT}]\nipc: [{deny: [unix]}]\n",
		P "defaults: {network: deny}\nnetwork: [{allow: [connect, send], unix: '@{a,b}c', audit: true}]\n",
		P "defaults: {network: deny}\nnetwork: [{allow: [connect, send], unix: '@{a,b}c'}]\n",
		P "network: [{allow: [create], family: packet}, {deny: [connect], family: unix}]\n",
	},
	{
		P,
		P "defaults: {network: deny}\n",
		P "defaults: {network: allow}\nnetwork: [{deny: [connect], to: '169.254.169.254:80'}]\n",
		P "network: [{allow: [connect], to: '[fd00::]/8:443', protocol: tcp}, {deny: [create], family: netlink}]\n"
		  "defaults: {network: deny}\n",
		P "defaults: {network: deny}\nnetwork: [{allow: [bind, listen], port: [80, 8000-8010], protocol: tcp}]\n",
		P "defaults: {network: deny}\nnetwork: [{allow: [bind, listen], port: [80, 8000-8011], audit: true}]\n",
		P "network: [{deny: [send, connect], protocol: [icmp, raw, sctp], errno: EPERM}]\n",
		P "network: [{allow: [create, bind], family: [vsock, other, packet]}]\n",
	},
	{
		P,
		P "mount: [{allow: [mount], type: tmpfs, target: /tmp/**, flags: {require: [nosuid, nodev]}}]\n",
		P "mount: [{allow: [mount], type: [tmpfs, proc], target: /tmp/*}, {allow: [remount, umount]}]\n",
		P "mount: [{allow: [mount, bind, move, attach], source: '/srv/**', target: /tmp/**}]\n",
		P "mount: [{allow: [mount], source: '/srv/*', target: '/tmp/{a,b}', audit: true}, {allow: [pivot_root]}]\n",
		P "mount: [{allow: [mount, attach], target: /tmp/**}, {deny: [mount], source: /srv/x, errno: EBUSY}]\n",
		P "mount: [{allow: ['*']}, {deny: [bind, propagation], flags: {forbid: [ro]}}]\n",
		P "defaults: {mount: allow}\nmount: [{deny: [umount], target: '/a b'}]\n",
	},
	{
		P,
		P "device: [{allow: [open], node: 'c 10:229'}, {deny: [open], node: 'c 1:*'}]\n",
		P "device: [{allow: [open, mknod], node: ['c 10:*', 'b *:*']}]\n",
		P "device: [{allow: [open], node: 'c 10:229', audit: true}]\n",
		P "device: [{allow: [open], node: 'c 1:1'}, {allow: [mknod], node: 'c 202:0'}]\nunsafe: [memory_devices]\n",
		P "defaults: {device: deny}\n",
		P "defaults: {device: allow}\ndevice: [{deny: [mknod], node: 'b 8:0', errno: EACCES}]\n",
	},
	{
		P,
		P "defaults: {capability: deny, memory: deny, namespace: deny, kernel: deny}\n",
		P "defaults: {capability: deny}\ncapability: [{allow: [chown, kill], audit: true}]\n",
		P "memory: {write_exec: deny, shm_exec: deny, errno: EPERM}\nnamespace: [{allow: [net, uts]}]\n",
		P "kernel: [{allow: [io_uring, bpf, syslog]}]\nunsafe: [bpf, perfmon]\n",
		P "kernel: [{allow: [io_uring, perf]}]\ncapability: [{deny: [sys_admin], errno: EACCES}]\n",
		P "defaults: {kernel: allow, namespace: allow}\nunsafe: [modules, kexec]\n",
	},
	{
		P,
		P "override: [{on: mount, type: tmpfs, target: '/m/*', options: {size: '<=1M'}, do: perform}]\n",
		P "override: [{on: mount, type: tmpfs, target: '/m/**', options: {size: '<=1M'}, do: perform}]\n",
		P "override: [{on: mount, type: tmpfs, target: '/m/**', options: {size: '<=2M', mode: '0700'}, do: fake}]\n",
		P "override: [{on: mount, bind: /srv, target: '/b c', do: perform}, {on: remount, target: /r, "
		  "flags: {require: [ro, nosuid]}, do: deny, errno: EBUSY}]\n",
		P "override: [{on: mount, source: '/data/**', target: '/b c', do: perform}, {on: move, source: /x, "
		  "target: /y, do: ask}]\n",
		P "override: [{on: mount, source: '/data/*', target: '/b{ c,d}', do: perform}, {on: propagation, "
		  "target: /p, do: fake}]\n",
		P "override: [{on: mount, type: ext4, source: '/i/*', fuse: {ext4: fuse2fs}, target: /d, do: perform}]\n",
		P "override: [{on: mount, type: [tmpfs, proc], do: fake}, {on: umount, target: /m, do: perform}]\n",
		P "override: [{on: umount, target: '/m/*', do: perform}, {on: sethostname, do: fake}]\n"
		  "mount: [{deny: mount, target: /m/x}]\n",
	},
	{
		P PROFILES,
		P PROFILES "override: [{on: mount, type: tmpfs, target: /m, by: {uid: 33}, do: perform}, {on: mknod, node: "
		  "['c 1:3', 'b 7:0'], target: '/dev/*', do: perform}]\n",
		P PROFILES "override: [{on: mount, type: tmpfs, target: /m, by: {uid: any}, do: perform}, {on: mknod, node: "
		  "'c 1:3', target: '/dev/*', do: perform}, {on: swapon, do: report}]\n",
		P PROFILES "override: [{on: mount, type: tmpfs, target: /m, by: {userns: nested, uid: 1}, do: fake}, {on: "
		  "setxattr, name: trusted.a, value: 'b c', do: perform}, {on: sethostname, by: {profile: web}, do: perform}]\n",
		P PROFILES "override: [{on: mount, type: tmpfs, target: /m, by: {profile: any}, do: perform, force: [noexec]}, "
		  "{on: setxattr, do: perform}, {on: setpriority, priority: {nice: '>=-5'}, do: perform}]\n",
		P PROFILES "override: [{on: [setpriority, sched_setscheduler], priority: {nice: '>=-10', realtime: '<=10'}, "
		  "do: perform}, {on: sethostname, do: 'handler:names'}]\n",
		P PROFILES "override: [{on: sched_setscheduler, priority: {realtime: '<=20'}, by: {userns: [container, "
		  "nested]}, do: perform}, {on: umount, do: deny, errno: EBUSY}, {on: [bpf, reboot], do: fake, value: 3}]\n",
		P PROFILES "override: [{on: umount, do: deny, errno: EACCES}, {on: bpf, do: fake, value: 4}, {on: keyctl, do: fake}, "
		  "{on: setns, by: {uid: any, userns: nested, profile: any}, do: fake}, {on: sethostname, do: ask}]\n",
	},
};

/* ---------------------------------------------------------------- shell words */

static int hex_of(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/* As a shell splits them, in place: bare, '...', \' and $'...'. */
static int split(char *text, char **argv, int max)
{
	char *from = text, *to = text;
	int argc = 0;

	while (*from) {
		assert_true(argc < max);
		argv[argc++] = to;
		while (*from && *from != ' ') {
			bool bytes = from[0] == '$' && from[1] == '\'';

			if (*from == '\\') {
				*to++ = from[1];
				from += 2;
				continue;
			}
			if (!bytes && *from != '\'') {
				*to++ = *from++;
				continue;
			}
			for (from += 1 + bytes; *from != '\''; from++) {
				assert_true(*from);
				if (!bytes || *from != '\\') {
					*to++ = *from;
				} else if (from[1] == 'x') {
					*to++ = (char)(hex_of(from[2]) << 4 | hex_of(from[3]));
					from += 3;
				} else {
					*to++ = *++from;
				}
			}
			from++;
		}
		while (*from == ' ')
			from++;
		*to++ = 0;
	}
	return argc;
}

/* ------------------------------------------------------------------ witnesses */

static size_t witnesses, overrides, kinds[DIFF_CHANGED + 1], classes[WARDER_CLASS__MAX];

static void ask(const struct warder_image *img, const struct diff_item *item, struct warder_verdict *v)
{
	char *text = strdup(item->witness), *argv[16], *memory = NULL;
	int argc = split(text, argv, 16), profile = image_find_profile(img, item->profile);
	struct warder_error e = { "" };
	struct policy_request r;

	if (request_from_arguments(argc, argv, &r, &memory, &e))
		fail_msg("no request: %s: %s", item->witness, e.text);
	assert_true(profile >= 0);
	assert_int_equal(r.class_, item->class_);
	r.profile = (__u32)profile;
	assert_int_equal(policy_decide(img, &r, v), 0);
	free(memory);
	free(text);
}

/* The arguments of explain, as its command reads them; the options come first. */
static void read_asked(const struct warder_image *img, const char *witness, struct policy_test *t, char **ret_words,
		       char **ret_memory, struct policy_arena **ret_arena)
{
	char *words = strdup(witness), *argv[16];
	int argc = split(words, argv, 16), at = 0, err;
	struct warder_error e = { "" };
	const char *profile = NULL;
	__u32 uid = 0, userns = WARDER_BY_USERNS_CONTAINER;

	for (; at + 1 < argc && !strncmp(argv[at], "--", 2); at += 2) {
		if (!strcmp(argv[at], "--profile"))
			profile = argv[at + 1];
		else if (!strcmp(argv[at], "--uid"))
			uid = (__u32)strtoul(argv[at + 1], NULL, 10);
		else if (strcmp(argv[at], "--userns") || test_userns_from_name(argv[at + 1], &userns))
			fail_msg("no option of explain: %s", witness);
	}
	memset(t, 0, sizeof(*t));
	*ret_words = words;
	*ret_memory = NULL;
	*ret_arena = NULL;
	err = argc == at + 1 ? policy_test_call(argv[at], t, ret_arena, &e) : -ENOENT;
	if (err == -ENOENT)
		err = request_from_arguments(argc - at, argv + at, &t->request, ret_memory, &e);
	if (err)
		fail_msg("no request: %s: %s", witness, e.text);
	t->uid = uid;
	t->userns = userns;
	assert_true(image_find_profile(img, profile) >= 0);
	t->request.profile = (__u32)image_find_profile(img, profile);
	/* The strings of it are in words. */
	t->profile = profile;
}

static size_t shown[WARDER_OP__MAX], as_others;

/* The mount or call is asked as explain asks it. */
static void check_override(const char *const text[2], const struct warder_image *const img[2],
			   const struct diff_item *item)
{
	const enum test_override claimed[2] = { item->old_override, item->new_override };
	const char *const effect[2] = { item->old_effect, item->new_effect };

	assert_string_not_equal(effect[0], effect[1]);
	for (unsigned k = 0; k < 2; k++) {
		struct policy_test_result r = { .ok = false };
		struct policy_arena *arena;
		char *words, *memory;
		struct policy_test t;

		read_asked(img[k], item->witness, &t, &words, &memory, &arena);
		if (!t.op)
			assert_int_equal(t.request.class_, WARDER_CLASS_MOUNT);
		assert_int_equal(policy_test_override(img[k], &t, &r), 0);
		if (r.override != claimed[k] || strcmp(r.effect, effect[k]))
			fail_msg("%s: %s says %s, not %s\n%s---\n%s", item->witness, k ? "new" : "old", r.effect,
				 effect[k], text[0], text[1]);
		shown[t.op ? t.op : WARDER_OP_MOUNT]++;
		as_others += t.uid || t.profile || t.userns != WARDER_BY_USERNS_CONTAINER;
		policy_test_call_done(arena);
		free(memory);
		free(words);
	}
	overrides++;
}

static const char *profile_of(const struct warder_image *img, __u32 number)
{
	return number ? image_string(img, image_profile(img, number)->name) : "";
}

static void check_item(const char *const text[2], const struct warder_image *const img[2],
		       const struct diff_item *item)
{
	const int err[2] = { item->old_err, item->new_err };
	const __u32 rule[2] = { item->old_rule, item->new_rule };
	const bool report[2] = { item->old_report, item->new_report };
	struct warder_verdict v[2];

	if (item->class_ == WARDER_CLASS_OVERRIDE && item->witness) {
		check_override(text, img, item);
		return;
	}
	/* Settings, profiles, calls, objects without a name: no request shows those. */
	if (!item->witness) {
		if (item->kind < DIFF_ADDED && item->class_ != WARDER_CLASS_FILE)
			fail_msg("no witness of %s %s", class_name(item->class_), item->what);
		return;
	}
	for (unsigned k = 0; k < 2; k++) {
		bool refused;

		ask(img[k], item, &v[k]);
		refused = v[k].action != WARDER_ALLOW;
		if (refused != (err[k] != 0) || (refused && v[k].err != err[k]) ||
		    v[k].rule != rule[k] || (!refused && !!v[k].report != report[k]))
			fail_msg("%s: %s %s, %s says %s %d, rule %u, and not %d, rule %u\n%s---\n%s",
				 item->witness, diff_kind_name(item->kind), item->what, k ? "new" : "old",
				 action_name(v[k].action), v[k].err, v[k].rule, err[k], rule[k], text[0],
				 text[1]);
	}
	if (item->kind == DIFF_PROFILE)
		assert_string_not_equal(profile_of(img[0], v[0].profile), profile_of(img[1], v[1].profile));
	witnesses++;
	kinds[item->kind]++;
	classes[item->class_]++;
}

/* ---------------------------------------------------------------- completeness */

/* Names that the baseline may judge, and others beside them. */
static const char *const heads[] = {
	"/proc", "/proc/1", "/proc/12/task", "/proc/self/a", "/proc/self", "/proc/thread-self/fd", "/proc/kcore",
	"/proc/kmem", "/proc/vmcore", "/proc/kcorex", "/proc/pressure", "/proc/pressurex", "/proc/sys",
	"/proc/sys/net", "/proc/sys/netx", "/proc/sys/user", "/proc/sys/fs", "/proc/sys/fs/mqueue",
	"/proc/sys/fs/binfmt_misc", "/proc/sys/fs/binfmt_miscx", "/proc/sys/kernel", "/proc/sys/kernel/shmmax",
	"/proc/sys/kernel/msgmni", "/proc/sys/kernel/sem", "/proc/sys/kernel/semx", "/proc/sys/kernel/hostname",
	"/proc/sys/kernel/domainname", "/proc/sys/kernel/ns_last_pid", "/proc/sys/kernel/sem_next_id",
	"/proc/sys/kernel/auto_msgmni", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/procx", "/sys",
	"/sys/kernel", "/sys/kernelx", "/sys/kernel/debug", "/sys/kernel/tracing", "/sys/kernel/security",
	"/sys/kernel/config", "/sys/kernel/configx", "/sys/power", "/sys/firmware", "/sys/firmware/efi/efivars",
	"/sys/module", "/sys/bus", "/sys/hypervisor", "/sys/class", "/sys/class/x", "/sys/fs", "/sys/fs/bpf",
	"/sys/fs/bpfx", "/sys/fs/cgroup", "/sys/fs/cgroup/a", "/sys/fs/cgroupx", "/sysx", "/srv",
};
static const char *const tails[] = { "", "/a", "/uevent", "/release_agent", "/a/uevent", "/kcore", "/1",
				     "/sys/net/x" };

/* Bit by bit: what the baseline refuses. */
static __u32 baseline_of(const struct warder_image *img, const char *name)
{
	__u32 refused = 0;

	for (unsigned i = 0; i < WARDER_ACC_BITS; i++) {
		struct policy_request r = { .class_ = WARDER_CLASS_FILE, .access = 1u << i, .path = name };
		struct warder_verdict v;

		assert_int_equal(policy_decide(img, &r, &v), 0);
		refused |= v.action != WARDER_ALLOW ? 1u << i : 0;
	}
	return refused;
}

/* What of kernel_names() a name ends in. */
static __u32 state_of(const struct warder_image *kernel, const char *name)
{
	static struct warder_text text;

	memset(&text, 0, sizeof(text));
	memcpy(text.b, name, strlen(name));
	return warder_walk(kernel, &text,
			   warder_start(kernel, warder_profile_at(kernel, 0), WARDER_START_FILE), 0,
			   (__u32)strlen(name));
}

static void test_kernel_names(void **state)
{
	cleanup_free struct warder_image *img = good(P), *kernel = kernel_names();
	static char name[ARRAY_SIZE(heads) * ARRAY_SIZE(tails)][64];
	size_t n = 0, refused = 0;
	__u32 dead;

	(void)state;
	assert_non_null(kernel);
	dead = warder_accept_at(kernel, WARDER_STATE_DEAD);
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++)
		for (size_t j = 0; j < ARRAY_SIZE(tails); j++)
			snprintf(name[n++], sizeof(name[0]), "%s%s", heads[i], tails[j]);
	for (size_t i = 0; i < n; i++) {
		__u32 at = warder_accept_at(kernel, state_of(kernel, name[i]));
		__u32 base = baseline_of(img, name[i]);

		refused += base != 0;
		if (base && at == dead)
			fail_msg("%s: the baseline speaks of it", name[i]);
		for (size_t j = 0; j < i; j++)
			if (at == warder_accept_at(kernel, state_of(kernel, name[j])) &&
			    base != baseline_of(img, name[j]))
				fail_msg("%s and %s are one kind", name[i], name[j]);
	}
	assert_true(refused > 100 && refused < n);
}

static bool listed(const struct policy_diff *d, enum diff_kind kind, __u32 class_, __u32 bit)
{
	for (size_t i = 0; i < d->count; i++)
		if (d->item[i].kind == kind && d->item[i].class_ == class_ &&
		    (!bit || d->item[i].bits & bit))
			return true;
	return false;
}

static void sample_request(const struct policy_diff *d, const struct warder_image *const img[2],
			   const struct policy_request *r, const char *const text[2])
{
	struct warder_verdict v[2];
	bool refused[2];
	char words[512];

	for (unsigned k = 0; k < 2; k++) {
		assert_int_equal(policy_decide(img[k], r, &v[k]), 0);
		refused[k] = v[k].action != WARDER_ALLOW;
	}
	if (refused[0] != refused[1] &&
	    !listed(d, refused[0] ? DIFF_ALLOWED : DIFF_DENIED, r->class_,
		    r->class_ == WARDER_CLASS_FILE ? r->access : 0))
		fail_msg("%s is not in the list\n%s---\n%s", request_text(r, words, sizeof(words)), text[0],
			 text[1]);
}

static void sample(const struct policy_diff *d, const struct warder_image *const img[2],
		   const char *const text[2])
{
	static const char *const sources[] = { NULL, "/srv/x", "/srv/a/b", "none" };
	static const char *const peers[] = { "web", "db", "other", "another", "none" };
	char name[64];

	for (size_t i = 0; i < ARRAY_SIZE(heads); i++)
		for (unsigned bit = i % 3; bit < WARDER_ACC_BITS; bit += 3) {
			struct policy_request r = { .class_ = WARDER_CLASS_FILE, .path = heads[i],
						    .access = 1u << bit };

			if (r.access != WARDER_ACC_EXEC)
				sample_request(d, img, &r, text);
		}
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++)
		for (unsigned op = 0; op < WARDER_MNT_BITS; op++)
			for (unsigned flags = 0; flags < 4; flags++) {
				struct policy_request r = { .class_ = WARDER_CLASS_MOUNT, .access = 1u << op,
							    .path = flags & 1 ? "/tmp/a" : "/tmp/x/y",
							    .fstype = "tmpfs", .source = sources[i],
							    .flags = flags & 2 ? 6 : 0 };

				sample_request(d, img, &r, text);
			}
	for (size_t i = 0; i < ARRAY_SIZE(peers) * ARRAY_SIZE(peers); i++)
		for (unsigned bit = i % 8; bit < 64; bit += 8) {
			struct policy_request r = { .class_ = WARDER_CLASS_SIGNAL, .access = bit + 1,
						    .peer = WARDER_PEER_NAME,
						    .peer_name = peers[i % ARRAY_SIZE(peers)],
						    .peer_policy = peers[i / ARRAY_SIZE(peers)] };

			sample_request(d, img, &r, text);
		}
	for (unsigned peer = 0; peer <= WARDER_PEER_HOST; peer++)
		for (unsigned op = 0; op < WARDER_NET_BITS; op++)
			for (unsigned i = 0; i < 4; i++) {
				struct policy_request r = { .class_ = WARDER_CLASS_NETWORK,
							    .access = 1u << op,
							    .address = { .families = WARDER_FAM_UNIX },
							    .peer = (enum warder_peer)peer };

				snprintf(name, sizeof(name), "%s", i & 1 ? "/run/a/b" : "/run/a/b/c");
				r.path = i & 2 ? i & 1 ? "xyz" : "ac" : name;
				r.abstract = i >> 1 & 1;
				/* Of what ipc rules say of the maker that class tells. */
				if (!(r.access & (WARDER_NET_CONNECT | WARDER_NET_SEND)) && r.peer)
					continue;
				if (!listed(d, DIFF_ALLOWED, WARDER_CLASS_IPC, 0) &&
				    !listed(d, DIFF_DENIED, WARDER_CLASS_IPC, 0))
					sample_request(d, img, &r, text);
			}
}

static void compare(const struct warder_image *const img[2], const char *const text[2])
{
	struct policy_diff d;

	assert_int_equal(policy_diff(img[0], img[1], &d), 0);
	assert_false(d.incomplete);
	for (size_t i = 0; i < d.count; i++)
		check_item(text, img, &d.item[i]);
	sample(&d, img, text);
	policy_diff_done(&d);
}

static void compare_group(const char *const *group)
{
	struct warder_image *img[GROUP] = { NULL };

	for (size_t i = 0; i < GROUP && group[i]; i++)
		img[i] = good(group[i]);
	for (size_t i = 0; i < GROUP && group[i]; i++)
		for (size_t j = 0; j < GROUP && group[j]; j++) {
			const struct warder_image *const pair[2] = { img[i], img[j] };
			const char *const text[2] = { group[i], group[j] };

			if (i != j)
				compare(pair, text);
		}
	for (size_t i = 0; i < GROUP; i++)
		free(img[i]);
}

#define OP(name) (1ull << WARDER_OP_##name)

static void test_differences(void **state)
{
	const __u64 shown_of = OP(MOUNT) | OP(UMOUNT) | OP(MKNOD) | OP(SETXATTR) | OP(SETHOSTNAME) | OP(SWAPON) |
			       OP(SETPRIORITY) | OP(SCHED_SETSCHEDULER) | OP(BPF) | OP(REBOOT) | OP(KEYCTL) |
			       OP(SETNS);

	(void)state;
	for (size_t g = 0; g < ARRAY_SIZE(groups); g++)
		compare_group(groups[g]);
	/* Something of everything was there. */
	for (unsigned kind = 0; kind < DIFF_ADDED; kind++)
		if (!kinds[kind])
			fail_msg("no difference was %s", diff_kind_name(kind));
	for (__u32 c = WARDER_CLASS_FILE; c < WARDER_CLASS__MAX; c++)
		if (!classes[c] && c != WARDER_CLASS_KEYRING && c != WARDER_CLASS_OVERRIDE &&
		    c != WARDER_CLASS_IDENTITY && class_name(c))
			fail_msg("no witness of class %s", class_name(c));
	for (__u32 op = WARDER_OP_NONE + 1; op < WARDER_OP__MAX; op++)
		if (!shown[op] && (shown_of >> op & 1))
			fail_msg("no witness of an override of %s", call_op_word(op));
	assert_true(witnesses > 1000 && overrides > 150 && as_others > 20);
}

/* A rule that only tells is a difference in every class that has such rules. */
static void test_reports(void **state)
{
	static const struct {
		const char *class_, *rule;
	} rules[] = {
		{ "file", "allow: [read], path: /srv/*" },
		{ "exec", "allow: /srv/*" },
		{ "network", "allow: [connect], to: '10.0.0.0/8:80', protocol: tcp" },
		{ "network", "allow: [connect], unix: /run/x" },
		{ "capability", "allow: [kill]" },
		{ "mount", "allow: [mount], type: tmpfs, target: /tmp/*" },
		{ "device", "allow: [open], node: 'c 10:229'" },
		{ "ptrace", "allow: [trace], peer: 'policy:web'" },
		{ "signal", "allow: [term], peer: 'policy:web'" },
		{ "ipc", "allow: [unix], peer: 'policy:web'" },
		{ "namespace", "allow: [net]" },
		{ "kernel", "allow: [io_uring]" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		for (unsigned way = 0; way < 2; way++) {
			struct warder_image *img[2];
			struct policy_diff d;
			bool found = false;
			char text[256];

			for (unsigned k = 0; k < 2; k++) {
				snprintf(text, sizeof(text), P "%s: [{%s%s}]\n", rules[i].class_,
					 rules[i].rule, k == way ? "" : ", audit: true");
				img[k] = good(text);
			}
			assert_int_equal(policy_diff(img[0], img[1], &d), 0);
			assert_int_not_equal(d.count, 0);
			for (size_t n = 0; n < d.count; n++) {
				/* Of files also that names are needed: an object without one is refused. */
				if (i < 2 && d.item[n].kind == (way ? DIFF_ALLOWED : DIFF_DENIED) &&
				    !d.item[n].witness)
					continue;
				if (d.item[n].kind != DIFF_AUDIT || d.item[n].old_report != way ||
				    d.item[n].new_report == way)
					fail_msg("%s %s: %s", diff_kind_name(d.item[n].kind),
						 d.item[n].what, text);
				found = true;
			}
			assert_true(found);
			policy_diff_done(&d);
			free(img[0]);
			free(img[1]);
		}
}

static void test_reported_upcalls(void **state)
{
	cleanup_free struct warder_image *a = good(P "keyring: {upcalls: [{type: user, to: host}]}\n");
	cleanup_free struct warder_image *b =
		good(P "keyring: {upcalls: [{type: user, to: host, audit: true}]}\n");
	struct policy_diff d;

	(void)state;
	assert_int_equal(policy_diff(a, b, &d), 0);
	assert_int_equal(d.count, 1);
	assert_string_equal(d.item[0].what, "keyring.upcalls: user to host -> user to host, reported");
	policy_diff_done(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernel_names),
		cmocka_unit_test(test_differences),
		cmocka_unit_test(test_reports),
		cmocka_unit_test(test_reported_upcalls),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
