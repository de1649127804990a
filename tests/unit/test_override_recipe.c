// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The executors' recipe on real mounts (as root; skipped otherwise): a mount is made apart, attached where
 * the caller meant it, and taken back.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../user/override_internal.h"
#include "executor_caller.h"
#include "warder_decide.h"

/* Remounting with fewer flags, as the caller's own root would. Returns its errno. */
static int remount_as(int userns, const char *point)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		char path[64];
		int mnt;

		snprintf(path, sizeof(path), "/proc/%d/ns/mnt", caller);
		mnt = open(path, O_RDONLY);
		if ((userns >= 0 && setns(userns, CLONE_NEWUSER)) || setns(mnt, CLONE_NEWNS))
			_exit(255);
		_exit(mount(NULL, point, NULL, MS_REMOUNT | MS_BIND, NULL) ? errno : 0);
	}
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

static void resolve(const char *target)
{
	resolve_call(WARDER_OP_MOUNT, WARDER_CALL_mount, 0, text(0, target), text(1, "tmpfs"), 0, 0);
}

static void make(const char *name, const char *options, int userns)
{
	memset(&req, 0, sizeof(req));
	req.ops = WARDER_MNT_NEW;
	req.attr = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
	req.owned = userns >= 0;
	strcpy(req.fstype, "tmpfs");
	strcpy(req.name, name);
	strcpy(req.text, options);
	step_with(EXECUTOR_MAKE, userns);
	resolved();
}

static void recipe(int owned)
{
	cleanup_close int userns = -1;
	char path[64];

	if (geteuid())
		skip();
	if (owned) {
		snprintf(path, sizeof(path), "/proc/%d/ns/user", caller);
		userns = open(path, O_RDONLY | O_CLOEXEC);
		assert_true(userns >= 0);
	}
	resolve("link-b"); /* relative, over a symlink */
	resolved();
	assert_string_equal(reply.fstype, "tmpfs");
	assert_int_equal(reply.euid, 0);
	assert_int_equal(reply.fsuid, 0);
	assert_int_equal(reply.relation, WARDER_BY_USERNS_CONTAINER);
	assert_int_not_equal(reply.mntns, reply.home_mntns);
	assert_int_equal(reply.shared, 0);

	make("scratch", "size=1048576", userns);
	assert_string_equal(mountinfo("/mnt/b"), "");
	step(EXECUTOR_ATTACH);
	resolved();
	assert_non_null(strstr(mountinfo("/mnt/b"), "nosuid,nodev"));
	assert_non_null(strstr(mountinfo("/mnt/b"), "size=1024k"));
	assert_int_equal(remount_as(userns, "/mnt/b"), owned ? EPERM : 0);
	/* The executor is home again. */
	assert_int_equal(access("/mnt/b", F_OK), -1);
	step(EXECUTOR_UNDO);
	assert_int_equal(reply.error, 0);
	assert_string_equal(mountinfo("/mnt/b"), "");
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

/* With that type at that address, and these data. */
static void resolve_at(__u64 type, __u64 data)
{
	resolve_call(WARDER_OP_MOUNT, WARDER_CALL_mount, 0, text(0, "b"), type, 0, data);
}

static void test_arguments(void **state)
{
	(void)state;
	if (geteuid())
		skip();
	resolve_at(0, 0); /* NULL is legal */
	assert_int_equal(reply.error, 0);
	assert_string_equal(reply.fstype, "");
	resolve_at(8, 0); /* not mapped */
	assert_int_equal(reply.error, -EFAULT);
	memset(memory + 4096, 'x', 2 * 4096); /* no NUL within a page */
	resolve_at((uintptr_t)memory + 4096, 0);
	assert_int_equal(reply.error, -ENAMETOOLONG);
	memset(memory + 3 * 4096, 'd', 4096); /* data at the end of the mapping: cut */
	resolve_at(text(1, "tmpfs"), (uintptr_t)memory + 4 * 4096 - 16);
	assert_int_equal(reply.error, 0);
	assert_string_equal(reply.data, "dddddddddddddddd");
	resolve("/proc/self/cwd");
	assert_int_equal(reply.error, -ELOOP);
	resolve("missing");
	assert_int_equal(reply.error, -ENOENT);
	/* Out of order: nothing to attach. */
	step(EXECUTOR_ATTACH);
	assert_int_equal(reply.error, -EINVAL);
}

static void test_revoke(void **state)
{
	__u32 mntns;

	(void)state;
	if (geteuid())
		skip();
	resolve("b");
	mntns = reply.mntns;
	make("", "", -1);
	memset(&req, 0, sizeof(req));
	req.tid = caller;
	req.mntns = mntns;
	req.mnt_id = reply.mnt_id;
	req.dev_major = reply.dev_major;
	req.dev_minor = reply.dev_minor;
	step(EXECUTOR_ATTACH);
	assert_int_equal(reply.error, 0);
	executor_abandon(pool, ex); /* as if the supervisor had died here */

	ex = executor_take(pool);
	req.dev_minor++; /* another's mount is left alone */
	step(EXECUTOR_REVOKE);
	assert_int_equal(reply.error, -ENOENT);
	req.dev_minor--;
	req.tid = 0; /* the caller is gone: any process in its namespace will do */
	step(EXECUTOR_REVOKE);
	assert_int_equal(reply.error, 0);
	assert_string_equal(mountinfo("/mnt/b"), "");
	step(EXECUTOR_REVOKE);
	assert_int_equal(reply.error, -ENOENT);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_recipe, setup_caller, teardown_caller),
		cmocka_unit_test_setup_teardown(test_recipe_userns, setup_userns, teardown_caller),
		cmocka_unit_test_setup_teardown(test_arguments, setup_caller, teardown_caller),
		cmocka_unit_test_setup_teardown(test_revoke, setup_caller, teardown_caller),
		cmocka_unit_test(test_abandon),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
