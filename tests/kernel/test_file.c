// SPDX-License-Identifier: LGPL-2.1-or-later
/* Class "file" against the kernel: every access allowed and refused, with its errno. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#define CHECK(call) ((call) < 0 ? errno : 0)

static int op_read(void *dir)
{
	return chdir(dir) ? 127 : h_open("f", O_RDONLY);
}

static int op_list(void *dir)
{
	return chdir(dir) ? 127 : h_open("d", O_RDONLY | O_DIRECTORY);
}

static int op_write(void *dir)
{
	return chdir(dir) ? 127 : h_open("f", O_WRONLY);
}

static int op_ioctl_mode(void *dir)
{
	return chdir(dir) ? 127 : h_open("f", 3);
}

static int op_append(void *dir)
{
	return chdir(dir) ? 127 : h_open("f", O_WRONLY | O_APPEND);
}

static int op_create(void *dir)
{
	return chdir(dir) ? 127 : CHECK(mknod("new", S_IFREG | 0600, 0));
}

static int op_mkdir(void *dir)
{
	return chdir(dir) ? 127 : CHECK(mkdir("newd", 0700));
}

static int op_fifo(void *dir)
{
	return chdir(dir) ? 127 : CHECK(mkfifo("fifo", 0600));
}

static int op_socket(void *dir)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "sock" };
	int s = socket(AF_UNIX, SOCK_STREAM, 0);

	if (s < 0 || chdir(dir))
		return 127;
	return CHECK(bind(s, (struct sockaddr *)&a, sizeof(a)));
}

static int op_unlink(void *dir)
{
	return chdir(dir) ? 127 : CHECK(unlink("f"));
}

static int op_rmdir(void *dir)
{
	return chdir(dir) ? 127 : CHECK(rmdir("d"));
}

static int op_rename(void *dir)
{
	return chdir(dir) ? 127 : CHECK(rename("f", "g"));
}

static int op_exchange(void *dir)
{
	return chdir(dir) ? 127 :
			    CHECK(syscall(SYS_renameat2, AT_FDCWD, "f", AT_FDCWD, "f2",
					  RENAME_EXCHANGE));
}

static int op_link(void *dir)
{
	return chdir(dir) ? 127 : CHECK(link("f", "hard"));
}

static int op_symlink(void *dir)
{
	return chdir(dir) ? 127 : CHECK(symlink("anything", "soft"));
}

static int op_chmod(void *dir)
{
	return chdir(dir) ? 127 : CHECK(chmod("f", 0600));
}

static int op_chown(void *dir)
{
	return chdir(dir) ? 127 : CHECK(chown("f", 1, 1));
}

static int op_truncate(void *dir)
{
	return chdir(dir) ? 127 : CHECK(truncate("f", 1));
}

static int op_mknod(void *dir)
{
	return chdir(dir) ? 127 : CHECK(mknod("null", S_IFCHR | 0600, makedev(1, 3)));
}

/* A file opened before the tag: only the mapping is judged. */
static int map_fd;
static int op_map_exec(void *dir)
{
	(void)dir;
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, map_fd, 0) == MAP_FAILED ? errno : 0;
}

static int op_mprotect(void *dir)
{
	void *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, map_fd, 0);

	(void)dir;
	return p == MAP_FAILED ? 127 : CHECK(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static const struct {
	const char *access; /* as the policy spells it */
	const char *op;
	int (*fn)(void *dir);
} ops[] = {
	{ "read", "open for reading", op_read },
	{ "read", "list a folder", op_list },
	{ "write", "open for writing", op_write },
	{ "append", "open for appending", op_append },
	{ "create", "mknod of a file", op_create },
	{ "create", "mkdir", op_mkdir },
	{ "create", "mkfifo", op_fifo },
	{ "create", "bind of a socket", op_socket },
	{ "delete", "unlink", op_unlink },
	{ "delete", "rmdir", op_rmdir },
	{ "rename", "rename", op_rename },
	{ "rename", "exchange", op_exchange },
	{ "link", "link", op_link },
	{ "symlink", "symlink", op_symlink },
	{ "chmod", "chmod", op_chmod },
	{ "chown", "chown", op_chown },
	{ "truncate", "truncate", op_truncate },
	{ "mknod", "mknod of a device", op_mknod },
	{ "map_exec", "mmap", op_map_exec },
	{ "map_exec", "mprotect", op_mprotect },
};
#define OPS (sizeof(ops) / sizeof(ops[0]))

/* A fresh folder with files f and f2 and a folder d. */
static void make_folder(const char *path)
{
	h_shell("rm -rf %s && mkdir -p %s/d && echo text >%s/f && echo more >%s/f2", path, path,
		path, path);
}

static int run_op(__u32 slot, size_t i, const char *dir)
{
	char file[256];
	int status;

	make_folder(dir);
	snprintf(file, sizeof(file), "%s/f", dir);
	map_fd = open(file, O_RDONLY | O_CLOEXEC);
	assert_true(map_fd >= 0);
	status = h_run(slot, ops[i].fn, (void *)dir);
	close(map_fd);
	return status;
}

/* Exactly one access granted in each folder below /t/only. */
static void only_that_access_is_granted(void **state)
{
	char policy[8192] = "policy: only\ndefaults: {file: deny, exec: deny}\n"
			    "device: [{allow: [mknod], node: '*'}]\nfile:\n";
	__u32 slot;

	(void)state;
	for (size_t i = 0; i < OPS; i++)
		if (!i || strcmp(ops[i].access, ops[i - 1].access))
			snprintf(policy + strlen(policy), sizeof(policy) - strlen(policy),
				 "  - allow: [%s]\n    path: /t/only/%s/**\n", ops[i].access,
				 ops[i].access);
	slot = h_container(policy);
	for (size_t i = 0; i < OPS; i++) {
		for (size_t j = 0; j < OPS; j++) {
			char dir[128];
			int expect = !strcmp(ops[i].access, ops[j].access) ? 0 : EACCES;
			int status;

			/* write implies append and truncate */
			if (!strcmp(ops[j].access, "write") &&
			    (!strcmp(ops[i].access, "append") || !strcmp(ops[i].access, "truncate")))
				expect = 0;
			snprintf(dir, sizeof(dir), "/t/only/%s", ops[j].access);
			if (j && !strcmp(ops[j].access, ops[j - 1].access))
				continue;
			status = run_op(slot, i, dir);
			if (status != expect)
				fail_msg("%s where only %s is granted: %s, expected %s", ops[i].op,
					 ops[j].access, strerror(status), strerror(expect));
		}
	}
}

/* Everything but one access granted in each folder below /t/not, with an errno of its own. */
static void explicit_deny_has_its_errno(void **state)
{
	char policy[8192] = "policy: not\ndevice: [{allow: [mknod], node: '*'}]\nfile:\n";
	__u32 slot;

	(void)state;
	for (size_t i = 0; i < OPS; i++)
		if (!i || strcmp(ops[i].access, ops[i - 1].access))
			snprintf(policy + strlen(policy), sizeof(policy) - strlen(policy),
				 "  - deny: [%s]\n    path: /t/not/%s/**\n    errno: EROFS\n",
				 ops[i].access, ops[i].access);
	slot = h_container(policy);
	for (size_t i = 0; i < OPS; i++) {
		char dir[128];
		int status;

		snprintf(dir, sizeof(dir), "/t/not/%s", ops[i].access);
		status = run_op(slot, i, dir);
		if (status != EROFS)
			fail_msg("%s where %s is denied: %s", ops[i].op, ops[i].access,
				 strerror(status));
		status = run_op(slot, i, "/t/other");
		if (status)
			fail_msg("%s where nothing is denied: %s", ops[i].op, strerror(status));
	}
}

static int open_create(void *path)
{
	return h_open(path, O_WRONLY | O_CREAT | O_EXCL);
}

static int open_truncating(void *path)
{
	return h_open(path, O_RDONLY | O_TRUNC);
}

static int descriptor_truncated(void *path)
{
	(void)path;
	return CHECK(ftruncate(map_fd, 0));
}

static void open_flags_ask_for_all_they_do(void **state)
{
	__u32 slot = h_container("policy: flags\ndefaults: {file: deny}\nfile:\n"
				 "  - allow: [read]\n    path: /t/r/**\n"
				 "  - allow: [append]\n    path: /t/a/**\n"
				 "  - allow: [write]\n    path: /t/w/**\n"
				 "  - allow: [create, write]\n    path: /t/cw/**\n"
				 "  - allow: [create]\n    path: /t/c/**\n"
				 "  - allow: [read, write]\n    path: /t/rw/**\n");
	static const char *const dirs[] = { "r", "a", "w", "cw", "c", "rw" };

	(void)state;
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		char dir[64];

		snprintf(dir, sizeof(dir), "/t/%s", dirs[i]);
		make_folder(dir);
	}
	assert_int_equal(h_run(slot, open_create, "/t/cw/new"), 0);
	assert_int_equal(h_run(slot, open_create, "/t/w/new"), EACCES);
	/* The new file's own open is not judged apart from its access: refused after it is made. */
	assert_int_equal(h_run(slot, open_create, "/t/c/new"), EACCES);
	assert_int_equal(h_run(slot, open_truncating, "/t/r/f"), EACCES);
	assert_int_equal(h_run(slot, open_truncating, "/t/rw/f"), 0);
	assert_int_equal(h_run(slot, op_ioctl_mode, "/t/r"), EACCES);
	assert_int_equal(h_run(slot, op_ioctl_mode, "/t/rw"), 0);
	map_fd = open("/t/a/f", O_WRONLY | O_CLOEXEC);
	assert_true(map_fd >= 0);
	assert_int_equal(h_run(slot, descriptor_truncated, NULL), EACCES);
	close(map_fd);
	map_fd = open("/t/w/f", O_WRONLY | O_CLOEXEC);
	assert_true(map_fd >= 0);
	assert_int_equal(h_run(slot, descriptor_truncated, NULL), 0);
	close(map_fd);
}

/* ------------------------------------------------------------- rename and link */

struct two {
	const char *from, *to;
	unsigned flags;
};

static int op_rename2(void *arg)
{
	struct two *t = arg;

	return CHECK(syscall(SYS_renameat2, AT_FDCWD, t->from, AT_FDCWD, t->to, t->flags));
}

static int op_link2(void *arg)
{
	struct two *t = arg;

	return CHECK(link(t->from, t->to));
}

static void rename_and_link_need_both_ends(void **state)
{
	__u32 slot = h_container("policy: ends\ndefaults: {file: deny}\nfile:\n"
				 "  - allow: [rename, link, create, mknod]\n    path: /t/one/**\n"
				 "  - allow: [rename, link, create, mknod]\n    path: /t/both/**\n"
				 "  - allow: [rename, link]\n    path: /t/plain/**\n"
				 "  - allow: [create]\n    path: /t/no/**\n");
	struct two in = { "/t/one/f", "/t/no/x", 0 }, out = { "/t/no/f", "/t/one/x", 0 };
	struct two swap = { "/t/one/f", "/t/no/f2", RENAME_EXCHANGE };
	struct two whiteout = { "/t/plain/f", "/t/plain/g", RENAME_WHITEOUT };
	struct two good = { "/t/one/f", "/t/one/g", 0 };

	(void)state;
	make_folder("/t/one");
	make_folder("/t/no");
	make_folder("/t/plain");
	assert_int_equal(h_run(slot, op_rename2, &in), EACCES);
	assert_int_equal(h_run(slot, op_rename2, &out), EACCES);
	assert_int_equal(h_run(slot, op_rename2, &swap), EACCES);
	assert_int_equal(h_run(slot, op_link2, &in), EACCES);
	assert_int_equal(h_run(slot, op_link2, &out), EACCES);
	assert_int_equal(h_run(slot, op_rename2, &whiteout), EACCES);
	assert_int_equal(h_run(slot, op_rename2, &good), 0);
	good = (struct two){ "/t/one/g", "/t/one/hard", 0 };
	assert_int_equal(h_run(slot, op_link2, &good), 0);
	whiteout = (struct two){ "/t/one/g", "/t/one/h", RENAME_WHITEOUT };
	assert_int_equal(h_run(slot, op_rename2, &whiteout), 0);
}

/* A deny rule cannot be got around by another name for the object or for a folder above it. */
static void explicit_deny_follows_the_object(void **state)
{
	__u32 slot = h_container("policy: follows\nfile:\n"
				 "  - deny: [read]\n    path: /t/home/secret\n    errno: EPERM\n"
				 "  - deny: [write, create]\n    path: /t/home/keep/**\n");
	struct two t;

	(void)state;
	make_folder("/t/home");
	make_folder("/t/home/keep");
	make_folder("/t/home/plain");
	h_write("/t/home/secret", "x");

	t = (struct two){ "/t/home/secret", "/t/home/open", 0 };
	assert_int_equal(h_run(slot, op_rename2, &t), EPERM);
	assert_int_equal(h_run(slot, op_link2, &t), EPERM);
	t = (struct two){ "/t/home/f", "/t/home/secret", RENAME_EXCHANGE };
	assert_int_equal(h_run(slot, op_rename2, &t), EPERM);
	/* Putting something at a name where nothing may be written or made. */
	t = (struct two){ "/t/home/f", "/t/home/keep/new", 0 };
	assert_int_equal(h_run(slot, op_rename2, &t), EACCES);
	assert_int_equal(h_run(slot, op_link2, &t), EACCES);
	/* A folder above them: mv copies upon EXDEV. */
	t = (struct two){ "/t/home", "/t/house", 0 };
	assert_int_equal(h_run(slot, op_rename2, &t), EXDEV);
	t = (struct two){ "/t/home/keep", "/t/home/kept", 0 };
	assert_int_equal(h_run(slot, op_rename2, &t), EXDEV);
	t = (struct two){ "/t/home/plain", "/t/home/keep", RENAME_EXCHANGE };
	assert_int_equal(h_run(slot, op_rename2, &t), EXDEV);
	/* Where no rule tells the names apart, folders and files move. */
	t = (struct two){ "/t/home/plain", "/t/home/plainer", 0 };
	assert_int_equal(h_run(slot, op_rename2, &t), 0);
	t = (struct two){ "/t/home/f", "/t/home/g", 0 };
	assert_int_equal(h_run(slot, op_rename2, &t), 0);
	t = (struct two){ "/t/home/g", "/t/home/hard", 0 };
	assert_int_equal(h_run(slot, op_link2, &t), 0);
}

/* ------------------------------------------------------------------ the engine */

static void audit_mode_refuses_nothing_and_reports(void **state)
{
	__u32 slot = h_container("policy: audit\nmode: audit\ndefaults: {file: deny, exec: deny}\nfile:\n"
				 "  - allow: [read]\n    path: /t/r/**\n");
	struct warder_event e;
	struct warder_stats before, after;
	char name[4096], detail[4096];

	(void)state;
	for (size_t i = 0; i < OPS; i++) {
		int status;

		h_events_drop();
		before = h_stats(slot);
		status = run_op(slot, i, "/t/audited");
		if (status)
			fail_msg("%s in audit mode: %s", ops[i].op, strerror(status));
		after = h_stats(slot);
		assert_int_equal(after.denied, before.denied);
		assert_true(after.audited > before.audited);
		assert_int_equal(h_event_last(slot, &e, name, detail), 1);
		assert_int_equal(e.v.action, WARDER_AUDIT);
		assert_int_equal(e.v.why, WARDER_WHY_DEFAULT);
		assert_memory_equal(name, "/t/audited/", strlen("/t/audited/"));
	}
	assert_int_equal(h_run(slot, op_read, "/t/r"), 0);
}

static void events_name_rule_and_object(void **state)
{
	__u32 slot = h_container("policy: events\nfile:\n"
				 "  - deny: [read, rename]\n    path: /t/r/f\n    id: that\n");
	struct two t = { "/t/r/f2", "/t/r/f", 0 };
	struct warder_event e;
	char name[4096], detail[4096];

	(void)state;
	make_folder("/t/r");
	h_events_drop();
	assert_int_equal(h_run(slot, op_read, "/t/r"), EACCES);
	assert_int_equal(h_event_last(slot, &e, name, detail), 1);
	assert_string_equal(name, "/t/r/f");
	assert_string_equal(detail, "");
	assert_int_equal(e.hook, WARDER_HOOK_FILE_OPEN);
	assert_int_equal(e.class_, WARDER_CLASS_FILE);
	assert_int_equal(e.access, WARDER_ACC_READ);
	assert_int_equal(e.v.action, WARDER_DENY);
	assert_int_equal(e.v.why, WARDER_WHY_RULE);
	assert_int_equal(e.v.rule, 1);
	assert_int_equal(e.v.err, EACCES);
	assert_int_equal(e.h.slot, slot);

	assert_int_equal(h_run(slot, op_rename2, &t), EACCES);
	assert_int_equal(h_event_last(slot, &e, name, detail), 1);
	assert_string_equal(name, "/t/r/f2");
	assert_string_equal(detail, "/t/r/f");
	assert_int_equal(e.arg[0], 1);
}

static void reload_judges_later_operations(void **state)
{
	__u32 slot = h_container("policy: first\n");

	(void)state;
	make_folder("/t/r");
	assert_int_equal(h_run(slot, op_read, "/t/r"), 0);
	h_policy(slot, "policy: second\nfile:\n  - deny: [read]\n    path: /t/r/f\n");
	assert_int_equal(h_run(slot, op_read, "/t/r"), EACCES);
	h_policy(slot, "policy: third\n");
	assert_int_equal(h_run(slot, op_read, "/t/r"), 0);
}

static void untagged_tasks_are_left_alone(void **state)
{
	__u64 before[WARDER_FAULT__MAX], after[WARDER_FAULT__MAX];
	__u32 slot = h_container("policy: nothing\ndefaults: {file: deny, exec: deny}\n");

	(void)state;
	assert_int_equal(loader_get_faults(h_load(), before), 0);
	for (size_t i = 0; i < OPS; i++) {
		make_folder("/t/r");
		map_fd = open("/t/r/f", O_RDONLY | O_CLOEXEC);
		assert_int_equal(h_run(-1, ops[i].fn, "/t/r"), 0);
		close(map_fd);
	}
	assert_int_equal(loader_get_faults(h_load(), after), 0);
	assert_memory_equal(before, after, sizeof(before));
	make_folder("/t/r");
	assert_int_equal(h_run(slot, op_read, "/t/r"), EACCES);
}

/* No container record, another's record, no image: denied and counted. */
static void faults_are_denied_and_counted(void **state)
{
	__u64 before[WARDER_FAULT__MAX], after[WARDER_FAULT__MAX];
	__u32 slot = h_container("policy: fault\nmode: audit\n");
	struct warder_ctr ctr, gone = {};

	(void)state;
	make_folder("/t/r");
	assert_int_equal(h_run(slot, op_read, "/t/r"), 0);
	assert_int_equal(loader_get_container(h_load(), slot, &ctr), 0);
	assert_int_equal(loader_get_faults(h_load(), before), 0);

	assert_int_equal(loader_set_container(h_load(), slot, &gone), 0);
	assert_int_equal(h_run(slot, op_read, "/t/r"), EACCES);
	assert_int_equal(loader_get_faults(h_load(), after), 0);
	assert_true(after[WARDER_FAULT_CONTAINER] > before[WARDER_FAULT_CONTAINER]);

	assert_int_equal(loader_set_container(h_load(), slot, &ctr), 0);
	assert_int_equal(loader_unpublish(h_load(), slot), 0);
	assert_int_equal(h_run(slot, op_read, "/t/r"), EACCES);
	assert_int_equal(loader_get_faults(h_load(), after), 0);
	assert_true(after[WARDER_FAULT_IMAGE] > before[WARDER_FAULT_IMAGE]);

	h_policy(slot, "policy: fault\nmode: audit\n");
	assert_int_equal(h_run(slot, op_read, "/t/r"), 0);
}

static int mkdir_t(void **state)
{
	(void)state;
	return system("mkdir -p /t");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_that_access_is_granted),
		cmocka_unit_test(explicit_deny_has_its_errno),
		cmocka_unit_test(open_flags_ask_for_all_they_do),
		cmocka_unit_test(rename_and_link_need_both_ends),
		cmocka_unit_test(explicit_deny_follows_the_object),
		cmocka_unit_test(audit_mode_refuses_nothing_and_reports),
		cmocka_unit_test(events_name_rule_and_object),
		cmocka_unit_test(reload_judges_later_operations),
		cmocka_unit_test(untagged_tasks_are_left_alone),
		cmocka_unit_test(faults_are_denied_and_counted),
	};

	return cmocka_run_group_tests(tests, mkdir_t, NULL);
}
