// SPDX-License-Identifier: LGPL-2.1-or-later
/* What `warder policy check` says that a policy leaves alone, and what another kernel cannot enforce. */
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/btf.h>

#include "policy_fixture.h"

#include "commands.h"
#include "loader.h"
#include "loader_internal.h"
#include "policy_tools.h"

static bool has(const struct policy_left *l, enum left_kind kind, const char *profile, __u32 class_,
		const char *what)
{
	for (size_t i = 0; i < l->count; i++)
		if (l->item[i].kind == kind && l->item[i].class_ == class_ &&
		    !strcmp(l->item[i].profile, profile) && !strcmp(l->item[i].what, what))
			return true;
	return false;
}

#define OPEN(l, class_, what) assert_true(has(l, LEFT_OPEN, "", WARDER_CLASS_##class_, what))
#define UNLESS(l, class_, what) assert_true(has(l, LEFT_UNLESS, "", WARDER_CLASS_##class_, what))

static struct policy_left left_of(const char *text)
{
	struct warder_image *img = good(text);
	struct policy_left l;

	assert_int_equal(policy_left(img, &l), 0);
	free(img);
	return l;
}

static void test_defaults(void **state)
{
	struct policy_left l = left_of(P);

	(void)state;
	OPEN(&l, FILE, "");
	OPEN(&l, EXEC, "");
	OPEN(&l, MEMORY, "");
	OPEN(&l, CAPABILITY, "");
	OPEN(&l, NETWORK, "inet, inet6, unix, netlink");
	OPEN(&l, DEVICE, "open");
	OPEN(&l, PTRACE, "");
	OPEN(&l, SIGNAL, "");
	OPEN(&l, IPC, "");
	OPEN(&l, NAMESPACE, "user");
	OPEN(&l, KERNEL, "hostname");
	assert_int_equal(l.count, 11);
	policy_left_done(&l);
}

static void test_nothing_is_left(void **state)
{
	struct policy_left l = left_of(
		P "defaults: {file: deny, exec: deny, memory: deny, network: deny, capability: deny, "
		  "mount: deny, device: deny, ptrace: deny, signal: deny, ipc: deny, namespace: deny, "
		  "kernel: deny}\n"
		  "file: [{allow: ['*'], path: /srv/**}]\ncapability: [{allow: chown}]\n"
		  "network: [{allow: connect, to: '10.0.0.0/8:80'}]\n");

	(void)state;
	assert_int_equal(l.count, 0);
	policy_left_done(&l);
}

static void test_rules_that_deny(void **state)
{
	struct policy_left l = left_of(
		P "file: [{deny: [read, write], path: /etc/shadow}]\n"
		  "memory: {write_exec: deny}\n"
		  "capability: [{deny: [sys_admin]}]\n"
		  "network: [{deny: [connect], to: '169.254.169.254/32:80'},\n"
		  "          {deny: [connect], unix: /run/docker.sock}]\n"
		  "device: [{deny: [open], node: 'c 10:229'}]\n"
		  "signal: [{deny: [kill]}]\nipc: [{deny: [unix], peer: host}]\n");

	(void)state;
	UNLESS(&l, FILE, "read, write, append, truncate");
	OPEN(&l, FILE, "all but read, write, append, truncate");
	OPEN(&l, EXEC, "");
	OPEN(&l, MEMORY, "fileless_exec, anonymous_exec, shm_exec");
	OPEN(&l, CAPABILITY, "all but sys_admin");
	UNLESS(&l, NETWORK, "inet, unix");
	OPEN(&l, NETWORK, "inet6, netlink");
	UNLESS(&l, DEVICE, "open");
	UNLESS(&l, SIGNAL, "");
	OPEN(&l, IPC, ""); /* what is denied of the host's is not its own */
	policy_left_done(&l);
}

static void test_rules_for_every_name(void **state)
{
	struct policy_left l = left_of(
		P "defaults: {file: deny, exec: deny}\n"
		  "file: [{allow: [read], path: /**}, {allow: [write], path: '/{a,b}**'},\n"
		  "       {allow: [create], path: /a**}, {allow: [create], path: /**}]\n"
		  "exec: [{allow: /**}, {deny: /tmp/**}]\n");

	(void)state;
	assert_true(has(&l, LEFT_RULE, "", WARDER_CLASS_FILE, "read"));
	assert_true(has(&l, LEFT_RULE, "", WARDER_CLASS_FILE, "create"));
	assert_false(has(&l, LEFT_RULE, "", WARDER_CLASS_EXEC, ""));
	for (size_t i = 0; i < l.count; i++)
		if (l.item[i].kind == LEFT_RULE)
			assert_int_equal(l.item[i].rule, !strcmp(l.item[i].what, "read") ? 1 : 0);
	policy_left_done(&l);
}

static void test_mode_and_unsafe(void **state)
{
	struct policy_left l = left_of(P "mode: audit\nunsafe: [bpf, perfmon]\n"
					 "defaults: {capability: deny}\n");

	(void)state;
	assert_true(has(&l, LEFT_MODE, "", WARDER_CLASS_NONE, "audit"));
	assert_true(has(&l, LEFT_UNSAFE, "", WARDER_CLASS_NONE, "bpf"));
	assert_true(has(&l, LEFT_UNSAFE, "", WARDER_CLASS_NONE, "perfmon"));
	/* What it would refuse if it enforced is told as ever. */
	for (size_t i = 0; i < l.count; i++)
		assert_int_not_equal(l.item[i].class_, WARDER_CLASS_CAPABILITY);
	policy_left_done(&l);
}

static void test_profiles(void **state)
{
	struct warder_image *img = good(
		P "defaults: {file: deny, exec: deny, network: deny}\n"
		  "exec: [{allow: /bin/a, profile: a}]\n"
		  "file: [{allow: read, path: /srv/**}]\n"
		  "profiles: {a: {defaults: {network: allow}, network: [{deny: connect, family: inet6}]}}\n");
	struct policy_left l;

	(void)state;
	assert_int_equal(policy_left(img, &l), 0);
	assert_true(has(&l, LEFT_OPEN, "", WARDER_CLASS_MEMORY, ""));
	assert_false(has(&l, LEFT_OPEN, "a", WARDER_CLASS_MEMORY, "")); /* said once */
	assert_false(has(&l, LEFT_OPEN, "", WARDER_CLASS_NETWORK, "inet, unix, netlink, packet, vsock, other"));
	assert_true(has(&l, LEFT_OPEN, "a", WARDER_CLASS_NETWORK, "inet, unix, netlink, packet, vsock, other"));
	assert_true(has(&l, LEFT_UNLESS, "a", WARDER_CLASS_NETWORK, "inet6"));
	policy_left_done(&l);
	free(img);
}

/* ---------------------------------------------------------------- system calls */

struct seen {
	char name[512][40];
	enum loader_seen group[512];
	size_t count;
};

static int see(const char *call, enum loader_seen group, void *arg)
{
	struct seen *s = arg;

	assert_true(s->count < 512 && strlen(call) < 40);
	for (size_t i = 0; i < s->count; i++)
		if (!strcmp(s->name[i], call))
			fail_msg("%s is there twice", call);
	strcpy(s->name[s->count], call);
	s->group[s->count++] = group;
	return 0;
}

static int group_of(const struct seen *s, const char *call)
{
	for (size_t i = 0; i < s->count; i++)
		if (!strcmp(s->name[i], call))
			return (int)s->group[i];
	return -1;
}

/* Every call that this machine's headers know has its place. */
static void test_calls_are_complete(void **state)
{
	cleanup_fclose FILE *f = fopen("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "r");
	struct warder_image *img = good(P);
	static struct seen s;
	char line[256], name[64];
	size_t calls = 0;

	(void)state;
	s.count = 0;
	assert_true(loader_syscalls_are_known());
	assert_int_equal(loader_each_syscall(img, see, &s), 0);
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "#define __NR_%63s", name) == 1) {
			if (group_of(&s, name) < 0)
				fail_msg("what judges %s?", name);
			calls++;
		}
	assert_true(calls > 350 && s.count >= calls);
	free(img);
}

static void test_calls_of_policies(void **state)
{
	struct warder_image *open_ = good(P "defaults: {network: allow, namespace: allow}\n");
	struct warder_image *closed = good(P "defaults: {file: deny, network: deny, memory: deny}\n");
	static struct seen a, b;

	(void)state;
	a.count = b.count = 0;
	loader_each_syscall(open_, see, &a);
	loader_each_syscall(closed, see, &b);
	assert_int_equal(group_of(&a, "listen"), LOADER_SEEN_UNUSED);
	assert_int_equal(group_of(&b, "listen"), LOADER_SEEN_JUDGED);
	assert_int_equal(group_of(&a, "mprotect"), LOADER_SEEN_UNUSED);
	assert_int_equal(group_of(&b, "mprotect"), LOADER_SEEN_JUDGED);
	/* The baseline's, whatever the policy. */
	assert_int_equal(group_of(&a, "kill"), LOADER_SEEN_JUDGED);
	assert_int_equal(group_of(&a, "mount"), LOADER_SEEN_JUDGED);
	assert_int_equal(group_of(&b, "memfd_create"), LOADER_SEEN_KERNEL);
	assert_int_equal(group_of(&b, "stat"), LOADER_SEEN_NAMES);
	assert_int_equal(group_of(&b, "read"), LOADER_SEEN_OPENED);
	free(open_);
	free(closed);
}

/* ------------------------------------------------------------------- kernels */

/* The type information of a kernel that has every function that the programs want, but for those. */
static void write_btf(const char *path, const char *const *without)
{
	struct btf *real = btf__load_vmlinux_btf(), *btf = btf__new_empty();
	const void *raw;
	__u32 size;
	FILE *f;
	int proto;

	assert_non_null(real);
	assert_non_null(btf);
	proto = btf__add_func_proto(btf, 0);
	for (__u32 id = 1; id < btf__type_cnt(real); id++) {
		const struct btf_type *t = btf__type_by_id(real, id);
		const char *name = btf__name_by_offset(real, t->name_off);
		bool skip = false;

		for (size_t i = 0; without[i]; i++)
			skip |= !strcmp(name, without[i]);
		if (btf_is_func(t) && !skip)
			assert_true(btf__add_func(btf, name, BTF_FUNC_GLOBAL, proto) > 0);
		else if (btf_is_typedef(t) && !strncmp(name, "btf_trace_", 10))
			assert_true(btf__add_typedef(btf, name, 0) > 0);
	}
	raw = btf__raw_data(btf, &size);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(raw, 1, size, f), size);
	fclose(f);
	btf__free(btf);
	btf__free(real);
}

static unsigned absent, absent_vital;
static char absent_name[64];

static void note_absent(const char *program, __u32 class_, int vital, void *arg)
{
	(void)class_;
	(void)arg;
	absent++;
	absent_vital += vital != 0;
	if (vital)
		snprintf(absent_name, sizeof(absent_name), "%s", program);
}

static void ask_absent(const char *btf, const struct warder_image *img)
{
	absent = absent_vital = 0;
	assert_int_equal(loader_each_absent(btf, img, note_absent, NULL), 0);
}

/* What `policy check --btf` says of a policy, and its status. */
static int check_for(const char *btf, const char *text, char *out, size_t size)
{
	char policy[128], said[128];
	int status;
	FILE *f;
	pid_t pid;

	snprintf(policy, sizeof(policy), "%s/p.yaml", folder);
	snprintf(said, sizeof(said), "%s/said", folder);
	f = fopen(policy, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		char *argv[] = { (char *)(uintptr_t) "policy", (char *)(uintptr_t) "check",
				 (char *)(uintptr_t) "--btf", (char *)(uintptr_t)btf, policy, NULL };

		if (!freopen(said, "w", stdout) || dup2(1, 2) < 0)
			_exit(99);
		status = cmd_policy(5, argv);
		fflush(NULL);
		_exit(status);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	f = fopen(said, "r");
	assert_non_null(f);
	out[fread(out, 1, size - 1, f)] = 0;
	fclose(f);
	return WEXITSTATUS(status);
}

static void test_check(void **state)
{
	static const char *const old[] = { "bpf_lsm_userns_create", "bpf_lsm_inode_init_security_anon",
					   "bpf_lsm_socket_listen", "pidfs_export_permission", NULL };
	static const char *const whole[] = { "bpf_lsm_file_truncate", NULL };
	char path[128], out[8192];

	(void)state;
	snprintf(path, sizeof(path), "%s/old.btf", folder);
	write_btf(path, old);
	/* Nothing that the policy needs is missing, but what is closed by default. */
	assert_int_equal(check_for(path, P "defaults: {network: allow, namespace: allow}\n", out, sizeof(out)), 0);
	assert_non_null(strstr(out, "warning: not enforced on that kernel: kernel: io_uring and userfaultfd\n"));
	assert_non_null(strstr(out, "p.yaml: ok, policy p, 0 rules\n"));
	/* Refused as at its load. */
	assert_int_equal(check_for(path, P "defaults: {namespace: deny}\n", out, sizeof(out)), 1);
	assert_non_null(strstr(out, "error: class namespace cannot be enforced: that kernel has no hook for "
				    "userns_create\n"));
	assert_non_null(strstr(out, "error: class network cannot be enforced: that kernel has no hook for "
				    "socket_listen\n"));
	assert_null(strstr(out, "ok, policy"));
	/* Another hook does its work. */
	write_btf(path, whole);
	assert_int_equal(check_for(path, P "defaults: {file: deny}\n", out, sizeof(out)), 0);
	assert_null(strstr(out, "cannot be enforced"));
}

static void test_kernels(void **state)
{
	static const char *const old[] = { "bpf_lsm_userns_create", "bpf_lsm_inode_init_security_anon",
					   "bpf_lsm_socket_listen", NULL };
	static const char *const no_paths[] = { "bpf_lsm_path_rename", NULL };
	struct warder_image *open_ = good(P "defaults: {network: allow, namespace: allow}\n");
	struct warder_image *closed = good(P "defaults: {namespace: deny}\n");
	struct loader_gap gap[LOADER_GAPS_MAX];
	char path[128];
	int n, kernel = 0;

	(void)state;
	snprintf(path, sizeof(path), "%s/old.btf", folder);
	write_btf(path, old);
	n = loader_gaps(path, gap, LOADER_GAPS_MAX);
	for (int i = 0; i < n; i++) {
		/* Who closes nothing misses nothing; io_uring is closed by default. */
		if (gap[i].class_ == WARDER_CLASS_NAMESPACE) {
			assert_false(loader_gap_matters(&gap[i], open_));
			assert_true(loader_gap_matters(&gap[i], closed));
		} else if (gap[i].bits >> WARDER_SURFACE_USERFAULTFD & 1) {
			assert_true(loader_gap_matters(&gap[i], open_));
			kernel++;
		}
	}
	assert_int_equal(kernel, 1);
	ask_absent(path, open_);
	assert_int_equal(absent_vital, 0);
	ask_absent(path, closed);
	assert_int_equal(absent_vital, 2); /* listen(2), and user namespaces */
	write_btf(path, no_paths);
	ask_absent(path, open_);
	assert_int_equal(absent_vital, 1);
	assert_string_equal(absent_name, "warder_path_rename");
	assert_int_equal(loader_each_absent("/dev/null", open_, note_absent, NULL) < 0, 1);
	assert_true(loader_gaps("/nonexistent", gap, LOADER_GAPS_MAX) < 0);
	free(open_);
	free(closed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_nothing_is_left),
		cmocka_unit_test(test_rules_that_deny),
		cmocka_unit_test(test_rules_for_every_name),
		cmocka_unit_test(test_mode_and_unsafe),
		cmocka_unit_test(test_profiles),
		cmocka_unit_test(test_calls_are_complete),
		cmocka_unit_test(test_calls_of_policies),
		cmocka_unit_test(test_kernels),
		cmocka_unit_test(test_check),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
