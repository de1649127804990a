// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Overrides without BPF: rules on copied arguments, and the executors' recipe on real mounts
 * (as root; skipped otherwise). The caller is a child in a mount namespace of its own.
 */
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../user/override_internal.h"
#include "calls.h"
#include "cleanup.h"
#include "executor_step.h"
#include "warder_decide.h"

static const char policy_text[] =
	"policy: t\n"
	"mount:\n"
	"  - deny: [mount]\n"
	"    type: tmpfs\n"
	"    target: /mnt/denied/**\n"
	"override:\n"
	"  - on: mount\n" /* rule 2 */
	"    type: tmpfs\n"
	"    target: [/mnt/scratch/**, /mnt/denied/**]\n"
	"    options: {size: \"<=64M\"}\n"
	"    do: perform\n"
	"    force: [nosuid, nodev]\n"
	"  - on: mount\n"
	"    bind: /srv/shared/assets\n"
	"    target: /assets\n"
	"    do: perform\n"
	"    force: [ro, nosuid, nodev, noexec]\n"
	"  - on: mount\n"
	"    type: ramfs\n"
	"    target: /mnt/ram\n"
	"    do: perform\n";

static struct warder_image *img;

static int setup_image(void **state)
{
	struct policy_diags diags = { 0 };
	struct policy *p = NULL;

	(void)state;
	if (policy_parse("t.yaml", policy_text, strlen(policy_text), NULL, &p, &diags) ||
	    policy_compile(p, &img, &diags)) {
		policy_diags_print(&diags, stderr);
		return -1;
	}
	policy_diags_done(&diags);
	policy_free(p);
	return 0;
}

static int teardown_image(void **state)
{
	(void)state;
	free(img);
	return 0;
}

static struct override_facts facts_good(void)
{
	return (struct override_facts){
		.op = WARDER_OP_MOUNT,
		.relation = WARDER_BY_USERNS_CONTAINER,
		.cause = WARDER_CAUSE_CAPABILITY,
		.same_mntns = 1,
		.fstype = "tmpfs",
		.source = "none",
		.data = "",
		.target = "/mnt/scratch/a",
	};
}

static struct override_decision decision;

static int decide(const struct override_facts *f)
{
	override_decide(img, f, &decision);
	return decision.action;
}

static void test_allows(void **state)
{
	struct override_facts f = facts_good();

	(void)state;
	assert_int_equal(decide(&f), OVERRIDE_PERFORM);
	assert_int_not_equal(decision.rule, 0);
	/* An option that is left out becomes its bound. */
	assert_string_equal(decision.options, "size=67108864");
	assert_int_equal(decision.attr, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
}

/* Rules on calls other than mount(2): who, why, and that a baseline refusal is never granted. */
static void test_calls(void **state)
{
	static const char text[] = "policy: c\n"
				   "override:\n"
				   "  - {on: [setns, chroot], do: fake, value: 3, by: {uid: 7}}\n"
				   "  - {on: bpf, do: deny, errno: ENOSYS}\n"
				   "  - {on: reboot, do: report}\n";
	struct override_facts f = { .op = WARDER_OP_SETNS, .euid = 7, .fsuid = 7,
				    .relation = WARDER_BY_USERNS_CONTAINER,
				    .cause = WARDER_CAUSE_CAPABILITY, .fstype = "", .source = "",
				    .data = "" };
	struct warder_override_request r = { .op = WARDER_OP_BPF, .ops = WARDER_OVERRIDE_CALL,
					     .type_open = 1, .uid_open = 1,
					     .userns = WARDER_BY_USERNS_CONTAINER,
					     .cause = WARDER_CAUSE_BASELINE };
	struct policy_diags diags = { 0 };
	struct warder_image *calls = NULL;
	struct policy *p = NULL;

	(void)state;
	assert_int_equal(policy_parse("c.yaml", text, strlen(text), NULL, &p, &diags), 0);
	assert_int_equal(policy_compile(p, &calls, &diags), 0);
	policy_free(p);
	override_decide(calls, &f, &decision);
	assert_int_equal(decision.action, OVERRIDE_FAKE);
	assert_int_equal(decision.value, 3);
	f.op = WARDER_OP_CHROOT;
	f.cause = WARDER_CAUSE_LSM;
	override_decide(calls, &f, &decision);
	assert_int_equal(decision.action, OVERRIDE_KEEP);
	assert_non_null(strstr(decision.reason, "security module"));
	f.cause = WARDER_CAUSE_CAPABILITY;
	f.euid = 8;
	override_decide(calls, &f, &decision);
	assert_int_equal(decision.action, OVERRIDE_KEEP);
	assert_non_null(strstr(decision.reason, "only uid 7"));
	f.op = WARDER_OP_BPF;
	f.euid = f.fsuid = 0;
	f.cause = WARDER_CAUSE_BASELINE;
	override_decide(calls, &f, &decision);
	assert_int_equal(decision.action, OVERRIDE_DENY);
	assert_int_equal(decision.value, ENOSYS);
	f.op = WARDER_OP_REBOOT;
	override_decide(calls, &f, &decision);
	assert_int_equal(decision.action, OVERRIDE_KEEP);
	assert_int_equal(decision.reported, 1);
	f.op = WARDER_OP_UNSHARE;
	override_decide(calls, &f, &decision);
	assert_int_equal(decision.action, OVERRIDE_KEEP);
	assert_int_equal(decision.reported, 0);
	/* In the kernel: a report never waits. */
	assert_int_equal(warder_override_candidates(calls, warder_profile_at(calls, 0), &r), 1 << 2);
	r.op = WARDER_OP_REBOOT;
	assert_int_equal(warder_override_candidates(calls, warder_profile_at(calls, 0), &r), 0);
	r.op = WARDER_OP_SETNS;
	r.cause = WARDER_CAUSE_LSM;
	assert_int_equal(warder_override_candidates(calls, warder_profile_at(calls, 0), &r), 0);
	free(calls);
	policy_diags_done(&diags);
}

/* The matrix in the documents is the table's. */
static void test_matrix(void **state)
{
	char *table = NULL, *page;
	size_t size = 0;
	FILE *f = open_memstream(&table, &size), *doc = fopen("docs/OVERRIDES.md", "r");

	(void)state;
	assert_non_null(doc);
	call_print_matrix(f);
	fclose(f);
	page = calloc(1, 1 << 20);
	assert_true(fread(page, 1, (1 << 20) - 1, doc) > 0);
	fclose(doc);
	if (!strstr(page, table))
		fail_msg("docs/OVERRIDES.md does not have this table:\n%s", table);
	free(page);
	free(table);
}

static void test_call_text(void **state)
{
	struct warder_icept ic = { .call = WARDER_CALL_mknodat, .arg = { (__u32)-100, 4096, 020666, 0x103 } };
	char buf[300];

	(void)state;
	assert_string_equal(call_render(&ic, "/a", NULL, buf, sizeof(buf)),
			    "mknodat(AT_FDCWD, \"/a\", 020666, 1:3)");
	assert_string_equal(call_render(&ic, NULL, NULL, buf, sizeof(buf)),
			    "mknodat(AT_FDCWD, \"...\", 020666, 1:3)");
	ic = (struct warder_icept){ .call = WARDER_CALL_setns, .arg = { 5, 0x20000 } };
	assert_string_equal(call_render(&ic, NULL, NULL, buf, sizeof(buf)), "setns(5, 0x20000)");
	ic = (struct warder_icept){ .call = WARDER_CALL__MAX };
	assert_string_equal(call_render(&ic, NULL, NULL, buf, sizeof(buf)), "unknown()");
	assert_string_equal(call_render(&ic, NULL, NULL, buf, 4), "unk");
}

static void test_options(void **state)
{
	static const struct {
		const char *data, *options; /* NULL: refused */
	} cases[] = {
		{ "size=32M", "size=33554432" },
		{ "size=64M", "size=67108864" },
		{ "size=65M", NULL },
		{ "size=67108865", NULL },
		{ "size=0", NULL },
		{ "size=", NULL },
		{ "size", NULL },
		{ "size=50%", NULL },
		{ "size=0x10", NULL },
		{ "size=010", NULL },
		{ "size=-1", NULL },
		{ "size=1M,size=1G", NULL },
		{ "size=18446744073709551617", NULL },
		{ "size=16777216T", NULL },
		{ "nr_blocks=1000000", NULL },
		{ "size=1M,nr_blocks=0", NULL },
		{ "mode=755", NULL },
		{ "Size=1", NULL },
	};
	struct override_facts f = facts_good();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		f.data = cases[i].data;
		if (decide(&f) != (cases[i].options ? OVERRIDE_PERFORM : OVERRIDE_KEEP))
			fail_msg("%s: %s", f.data, decision.reason);
		if (cases[i].options)
			assert_string_equal(decision.options, cases[i].options);
		else
			assert_int_not_equal(decision.near_rule, 0);
	}
}

/* Each with one thing changed: kept, and the reason says which. */
static void test_refusals(void **state)
{
	struct override_facts f;

	(void)state;
#define KEEPS(change, text)                                             \
	do {                                                            \
		f = facts_good();                                       \
		change;                                                 \
		assert_int_equal(decide(&f), OVERRIDE_KEEP);            \
		if (!strstr(decision.reason, text))                     \
			fail_msg("%s: %s", #change, decision.reason);   \
	} while (0)
	KEEPS(f.target = "/mnt/other", "does not allow the target /mnt/other");
	KEEPS(f.target = "/mnt/scratch", "does not allow the target");
	KEEPS(f.target = NULL, "never overridden"); /* it could be the denied one */
	KEEPS(f.target = "/mnt/denied/x", "explicit deny");
	KEEPS((f.unresolved = 1, f.target = NULL, f.fstype = "ext4"), "type");
	KEEPS(f.euid = 1000, "uid 0");
	KEEPS(f.fsuid = 1000, "uid 0");
	KEEPS(f.relation = WARDER_BY_USERNS_NESTED, "user namespace below");
	KEEPS(f.relation = 0, "foreign");
	KEEPS(f.cause = WARDER_CAUSE_LSM, "cause: lsm");
	KEEPS(f.same_mntns = 0, "mount namespace");
	KEEPS(f.host_mntns = 1, "host");
	KEEPS(f.shared = 1, "shared");
	KEEPS(f.flags = MS_REMOUNT, "");
	KEEPS(f.flags = MS_MOVE, "");
	KEEPS(f.flags = MS_BIND, "");
	KEEPS(f.fstype = "tmpfs_and_a_name_beyond_what_any_rule_holds", "");
	KEEPS((f.fstype = "ramfs", f.target = "/mnt/ram"), "cannot be bounded");
	KEEPS((f.flags = MS_BIND, f.source = "/srv/shared", f.target = "/assets"), "offers");
#undef KEEPS
	f = facts_good();
	f.flags = MS_BIND;
	f.source = "/srv/shared/assets";
	f.target = "/assets";
	assert_int_equal(decide(&f), OVERRIDE_PERFORM);
	assert_string_equal(decision.bind, "/srv/shared/assets");
	assert_int_equal(decision.attr, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
						MOUNT_ATTR_NOEXEC);
}

/* ------------------------------------------------------------------------- the recipe */

struct caller {
	pid_t pid;
	int userns;
	char *memory; /* shared: strings at the same address in both */
};

static int caller_main(char *memory, int ready)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "/mnt", "tmpfs", 0, "mode=755") || mkdir("/mnt/w", 0755) ||
	    mkdir("/mnt/w/dir", 0755) || symlink("dir", "/mnt/w/link") || chdir("/mnt/w"))
		return 1;
	(void)memory;
	if (write(ready, "x", 1) != 1)
		return 1;
	pause();
	return 0;
}

/* A caller with root and cwd below a tmpfs; with `userns` in a user namespace of its own. */
static void caller_start(struct caller *c, int userns)
{
	int ready[2], go[2];
	char byte, path[64], map[64];

	memset(c, 0, sizeof(*c));
	c->userns = -1;
	c->memory = mmap(NULL, 5 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(c->memory, MAP_FAILED);
	mprotect(c->memory + 4 * 4096, 4096, PROT_NONE);
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(go), 0);
	c->pid = fork();
	if (c->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWNS | (userns ? CLONE_NEWUSER : 0)) ||
		    write(ready[1], "x", 1) != 1 || read(go[0], &byte, 1) != 1)
			_exit(1);
		if (setresgid(0, 0, 0) || setresuid(0, 0, 0))
			_exit(1);
		_exit(caller_main(c->memory, ready[1]));
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	if (userns) {
		for (int gid = 0; gid < 2; gid++) {
			cleanup_close int fd = -1;
			int n = snprintf(map, sizeof(map), "0 100000 1000\n");

			snprintf(path, sizeof(path), "/proc/%d/%cid_map", c->pid, gid ? 'g' : 'u');
			fd = open(path, O_WRONLY);
			assert_int_equal(write(fd, map, (size_t)n), n);
		}
		snprintf(path, sizeof(path), "/proc/%d/ns/user", c->pid);
		c->userns = open(path, O_RDONLY);
	}
	assert_int_equal(write(go[1], "x", 1), 1);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(go[0]);
	close(go[1]);
}

static void caller_stop(struct caller *c)
{
	kill(c->pid, SIGKILL);
	waitpid(c->pid, NULL, 0);
	munmap(c->memory, 5 * 4096);
	if (c->userns >= 0)
		close(c->userns);
}

static struct executor_request req;
static struct executor_reply reply;

static void step(struct executor *ex, enum executor_step s, int fd)
{
	req.step = s;
	executor_step(ex, &req, fd, 2000, &reply);
}

static void request_resolve(struct caller *c, const char *target)
{
	struct stat st;
	char path[64];

	memset(&req, 0, sizeof(req));
	req.op = WARDER_OP_MOUNT;
	snprintf(path, sizeof(path), "/proc/%d/ns/user", c->pid);
	assert_int_equal(stat(path, &st), 0);
	req.userns = (__u32)st.st_ino;
	req.tid = c->pid;
	snprintf(c->memory, 4096, "%s", target);
	strcpy(c->memory + 4096, "tmpfs");
	req.target = (uintptr_t)c->memory;
	req.type = (uintptr_t)c->memory + 4096;
}

/* The mountinfo line of the caller's whose mount point is `point`, "" if there is none. */
static const char *mountinfo(struct caller *c, const char *point)
{
	static char line[1024];
	char path[64], at[256];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/mountinfo", c->pid);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %*s %*s %*s %255s", at) == 1 && !strcmp(at, point)) {
			fclose(f);
			return line;
		}
	fclose(f);
	return "";
}

static struct executor_pool *pool;

static int setup_pool(void **state)
{
	struct warder_error error = { 0 };

	(void)state;
	if (geteuid())
		return 0;
	if (executor_pool_new(&pool, 2, NULL, &error))
		fail_msg("%s", error.text);
	return 0;
}

static int teardown_pool(void **state)
{
	(void)state;
	executor_pool_free(pool);
	pool = NULL;
	return 0;
}

/* Remounting with fewer flags, as the caller's own root would. Returns its errno. */
static int remount_as(struct caller *c, const char *point)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		char path[64];
		int user, mnt;

		snprintf(path, sizeof(path), "/proc/%d/ns/user", c->pid);
		user = open(path, O_RDONLY);
		snprintf(path, sizeof(path), "/proc/%d/ns/mnt", c->pid);
		mnt = open(path, O_RDONLY);
		if ((c->userns >= 0 && setns(user, CLONE_NEWUSER)) || setns(mnt, CLONE_NEWNS))
			_exit(255);
		_exit(mount(NULL, point, NULL, MS_REMOUNT | MS_BIND, NULL) ? errno : 0);
	}
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

static void recipe(int userns)
{
	struct executor *ex;
	struct caller c;

	if (geteuid())
		skip();
	caller_start(&c, userns);
	ex = executor_take(pool);
	assert_non_null(ex);
	request_resolve(&c, "link"); /* relative, over a symlink */
	step(ex, EXECUTOR_RESOLVE, -1);
	if (reply.error)
		fail_msg("%s: %s", reply.what, strerror(-reply.error));
	assert_string_equal(reply.fstype, "tmpfs");
	assert_int_equal(reply.euid, 0);
	assert_int_equal(reply.fsuid, 0);
	assert_int_equal(reply.relation, WARDER_BY_USERNS_CONTAINER);
	assert_int_not_equal(reply.mntns, reply.home_mntns);
	assert_int_equal(reply.shared, 0);

	memset(&req, 0, sizeof(req));
	req.ops = WARDER_MNT_NEW;
	req.attr = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
	req.owned = (__u32)userns;
	strcpy(req.fstype, "tmpfs");
	strcpy(req.name, "scratch");
	strcpy(req.text, "size=1048576");
	step(ex, EXECUTOR_MAKE, c.userns);
	if (reply.error)
		fail_msg("%s: %s", reply.what, strerror(-reply.error));
	assert_string_equal(mountinfo(&c, "/mnt/w/dir"), "");
	step(ex, EXECUTOR_ATTACH, -1);
	if (reply.error)
		fail_msg("%s: %s", reply.what, strerror(-reply.error));
	assert_non_null(strstr(mountinfo(&c, "/mnt/w/dir"), "nosuid,nodev"));
	assert_non_null(strstr(mountinfo(&c, "/mnt/w/dir"), "size=1024k"));
	assert_int_equal(remount_as(&c, "/mnt/w/dir"), userns ? EPERM : 0);
	/* The executor is home again. */
	assert_int_equal(access("/mnt/w", F_OK), -1);
	step(ex, EXECUTOR_UNDO, -1);
	assert_int_equal(reply.error, 0);
	assert_string_equal(mountinfo(&c, "/mnt/w/dir"), "");
	executor_give(pool, ex);
	caller_stop(&c);
}

static void test_recipe(void **state)
{
	(void)state;
	recipe(0);
}

static void test_recipe_userns(void **state)
{
	(void)state;
	recipe(1);
}

static void test_arguments(void **state)
{
	struct executor *ex;
	struct caller c;

	(void)state;
	if (geteuid())
		skip();
	caller_start(&c, 0);
	ex = executor_take(pool);
	request_resolve(&c, "dir");
	req.type = 0; /* NULL is legal */
	step(ex, EXECUTOR_RESOLVE, -1);
	assert_int_equal(reply.error, 0);
	assert_string_equal(reply.fstype, "");
	request_resolve(&c, "dir");
	req.type = 8; /* not mapped */
	step(ex, EXECUTOR_RESOLVE, -1);
	assert_int_equal(reply.error, -EFAULT);
	request_resolve(&c, "dir");
	memset(c.memory + 4096, 'x', 2 * 4096); /* no NUL within a page */
	step(ex, EXECUTOR_RESOLVE, -1);
	assert_int_equal(reply.error, -ENAMETOOLONG);
	request_resolve(&c, "dir");
	memset(c.memory + 3 * 4096, 'd', 4096); /* data at the end of the mapping: cut */
	req.data = (uintptr_t)c.memory + 4 * 4096 - 16;
	step(ex, EXECUTOR_RESOLVE, -1);
	assert_int_equal(reply.error, 0);
	assert_string_equal(reply.data, "dddddddddddddddd");
	request_resolve(&c, "/proc/self/cwd");
	step(ex, EXECUTOR_RESOLVE, -1);
	assert_int_equal(reply.error, -ELOOP);
	request_resolve(&c, "missing");
	step(ex, EXECUTOR_RESOLVE, -1);
	assert_int_equal(reply.error, -ENOENT);
	/* Out of order: nothing to attach. */
	step(ex, EXECUTOR_ATTACH, -1);
	assert_int_equal(reply.error, -EINVAL);
	executor_give(pool, ex);
	caller_stop(&c);
}

static void test_revoke(void **state)
{
	struct executor *ex;
	struct caller c;
	__u32 mntns;

	(void)state;
	if (geteuid())
		skip();
	caller_start(&c, 0);
	ex = executor_take(pool);
	request_resolve(&c, "dir");
	step(ex, EXECUTOR_RESOLVE, -1);
	mntns = reply.mntns;
	memset(&req, 0, sizeof(req));
	req.ops = WARDER_MNT_NEW;
	strcpy(req.fstype, "tmpfs");
	step(ex, EXECUTOR_MAKE, -1);
	assert_int_equal(reply.error, 0);
	memset(&req, 0, sizeof(req));
	req.tid = c.pid;
	req.mntns = mntns;
	req.mnt_id = reply.mnt_id;
	req.dev_major = reply.dev_major;
	req.dev_minor = reply.dev_minor;
	step(ex, EXECUTOR_ATTACH, -1);
	assert_int_equal(reply.error, 0);
	executor_abandon(pool, ex); /* as if the supervisor had died here */

	ex = executor_take(pool);
	req.dev_minor++; /* another's mount is left alone */
	step(ex, EXECUTOR_REVOKE, -1);
	assert_int_equal(reply.error, -ENOENT);
	req.dev_minor--;
	req.tid = 0; /* the caller is gone: any process in its namespace will do */
	step(ex, EXECUTOR_REVOKE, -1);
	assert_int_equal(reply.error, 0);
	assert_string_equal(mountinfo(&c, "/mnt/w/dir"), "");
	step(ex, EXECUTOR_REVOKE, -1);
	assert_int_equal(reply.error, -ENOENT);
	executor_give(pool, ex);
	caller_stop(&c);
}

static void test_abandon(void **state)
{
	struct executor *a, *b;
	pid_t pid;

	(void)state;
	if (geteuid())
		skip();
	a = executor_take(pool);
	b = executor_take(pool);
	assert_non_null(a);
	assert_non_null(b);
	assert_null(executor_take(pool));
	pid = executor_pid(a);
	executor_abandon(pool, a);
	a = executor_take(pool);
	assert_non_null(a);
	assert_int_not_equal(executor_pid(a), pid);
	executor_give(pool, a);
	executor_give(pool, b);
}

static void test_bind_source(void **state)
{
	char base[] = "/root/warder-bind-XXXXXX", path[128], why[128];
	int fd;

	(void)state;
	if (geteuid())
		skip();
	assert_non_null(mkdtemp(base));
	snprintf(path, sizeof(path), "%s/d", base);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(bind_source_open(path, &fd, why, sizeof(why)), 0);
	close(fd);
	assert_int_equal(chmod(path, 0777), 0);
	assert_int_equal(bind_source_open(path, &fd, why, sizeof(why)), -EACCES);
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(chown(path, 1000, 0), 0);
	assert_int_equal(bind_source_open(path, &fd, why, sizeof(why)), -EACCES);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(symlink("/etc", path), 0);
	assert_int_equal(bind_source_open(path, &fd, why, sizeof(why)), -ELOOP);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(bind_source_open(path, &fd, why, sizeof(why)), -ENOENT);
	assert_int_equal(bind_source_open("etc", &fd, why, sizeof(why)), -EINVAL);
	assert_int_equal(bind_source_open("/etc/../etc", &fd, why, sizeof(why)), -EINVAL);
	assert_int_equal(bind_source_open("/tmp/x", &fd, why, sizeof(why)), -EACCES);
	rmdir(base);
}

static void test_journal(void **state)
{
	char base[] = "/tmp/warder-journal-XXXXXX", path[128];
	struct journal_entry e = { .cid = 7, .tid = 9, .target = "/mnt/x" }, got;
	struct warder_error error = { 0 };
	struct journal_boost boost;
	struct journal *j;

	(void)state;
	assert_non_null(mkdtemp(base));
	snprintf(path, sizeof(path), "%s/sub/journal", base);
	assert_int_equal(journal_open(&j, path, &error), 0);
	assert_int_equal(journal_read(j, 3, &got), 0);
	assert_int_equal(journal_write(j, 3, &e), 0);
	journal_close(j);
	assert_int_equal(journal_open(&j, path, &error), 0);
	assert_int_equal(journal_read(j, 2, &got), 0);
	assert_int_equal(journal_read(j, 3, &got), 1);
	assert_int_equal(got.cid, 7);
	assert_string_equal(got.target, "/mnt/x");
	assert_int_equal(journal_clear(j, 3), 0);
	assert_int_equal(journal_read(j, 3, &got), 0);
	/* Raised priorities have places of their own. */
	assert_int_equal(journal_boost_read(j, JOURNAL_PLACES - 1, &boost), 0);
	assert_int_equal(journal_boost_write(j, JOURNAL_PLACES - 1,
					     &(struct journal_boost){ .tid = 5, .policy = 3 }),
			 0);
	for (unsigned i = 0; i < JOURNAL_PLACES; i++)
		assert_int_equal(journal_read(j, i, &got), 0);
	journal_close(j);
	assert_int_equal(journal_open(&j, path, &error), 0);
	assert_int_equal(journal_boost_read(j, 0, &boost), 0);
	assert_int_equal(journal_boost_read(j, JOURNAL_PLACES - 1, &boost), 1);
	assert_int_equal(boost.tid, 5);
	assert_int_equal(boost.policy, 3);
	assert_int_equal(journal_boost_clear(j, JOURNAL_PLACES - 1), 0);
	assert_int_equal(journal_boost_read(j, JOURNAL_PLACES - 1, &boost), 0);
	journal_close(j);
	unlink(path);
	snprintf(path, sizeof(path), "%s/sub", base);
	rmdir(path);
	rmdir(base);
}

int main(void)
{
	const struct CMUnitTest rules[] = {
		cmocka_unit_test(test_allows),
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_matrix),
		cmocka_unit_test(test_call_text),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_journal),
		cmocka_unit_test(test_bind_source),
	};
	const struct CMUnitTest executors[] = {
		cmocka_unit_test(test_recipe),
		cmocka_unit_test(test_recipe_userns),
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_revoke),
		cmocka_unit_test(test_abandon),
	};
	int failed = cmocka_run_group_tests(rules, setup_image, teardown_image);

	return failed + cmocka_run_group_tests(executors, setup_pool, teardown_pool);
}
