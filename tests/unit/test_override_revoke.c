// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What was performed and not answered when supervisor and executor died, taken back by the note alone:
 * by another executor, and only where everything is as it was made.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../user/override_internal.h"
#include "executor_caller.h"

#define PLACE 5

/* Performs what was resolved, and noted. */
static void noted(int err)
{
	resolved();
	req.place = PLACE;
	performed(err);
}

/* The executor dies, another one takes it back. */
static void revoked(int err, const char *name, const char *from)
{
	__u32 mntns = reply.mntns;
	struct stat st;
	char path[64];

	if (ex) {
		executor_abandon(pool, ex);
		ex = executor_take(pool);
		assert_non_null(ex);
	}
	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", caller);
	assert_int_equal(stat(path, &st), 0);
	mntns = (__u32)st.st_ino;
	memset(&req, 0, sizeof(req));
	req.place = PLACE;
	req.mntns = mntns;
	snprintf(req.text, EXECUTOR_TEXT_SIZE, "%s", name);
	snprintf(executor_request_from(&req), EXECUTOR_TEXT_SIZE, "%s", from);
	step(EXECUTOR_REVOKE);
	if (reply.error != err)
		fail_msg("%d, %s: %s", reply.error, reply.what, strerror(-reply.error));
}

static void make_null(const char *name)
{
	resolve_call(WARDER_OP_MKNOD, WARDER_CALL_mknod, text(0, name), S_IFCHR | 0666, makedev(1, 3), 0,
		     0);
}

static void test_mknod(void **state)
{
	(void)state;
	if (geteuid())
		skip();
	make_null("/mnt/b/null");
	noted(0);
	assert_int_equal(notes[PLACE].kind, WARDER_OP_MKNOD);
	assert_int_equal(access(seen("/mnt/b/null"), F_OK), 0);
	revoked(0, "/mnt/b/null", "");
	assert_int_equal(access(seen("/mnt/b/null"), F_OK), -1);
	revoked(-ENOENT, "/mnt/b/null", "");
	/* The executor died before it knew the node's number: by its age. */
	make_null("/mnt/b/null");
	noted(0);
	notes[PLACE].node_ino = 0;
	revoked(0, "/mnt/b/null", "");
	assert_int_equal(access(seen("/mnt/b/null"), F_OK), -1);
	/* Somebody has put another there, of the same kind. */
	make_null("/mnt/b/null");
	noted(0);
	assert_int_equal(rename(seen("/mnt/b/null"), seen("/mnt/b/other")), 0);
	assert_int_equal(mknod(seen("/mnt/b/null"), S_IFCHR | 0600, makedev(1, 3)), 0);
	revoked(-ENOENT, "/mnt/b/null", "");
	/* Or what is no such node, in another folder of that name, or one that was there before. */
	make_null("/mnt/b/two");
	noted(0);
	notes[PLACE].node_ino = 0;
	assert_int_equal(rename(seen("/mnt/b/two"), seen("/mnt/b/three")), 0);
	assert_int_equal(mknod(seen("/mnt/b/two"), S_IFCHR | 0600, makedev(1, 7)), 0);
	revoked(-ENOENT, "/mnt/b/two", "");
	assert_int_equal(unlink(seen("/mnt/b/two")), 0);
	assert_int_equal(rename(seen("/mnt/b/three"), seen("/mnt/b/two")), 0);
	notes[PLACE].sec += 60;
	revoked(-ENOENT, "/mnt/b/two", "");
	notes[PLACE].sec -= 60;
	assert_int_equal(rename(seen("/mnt/b"), seen("/mnt/c")), 0);
	assert_int_equal(mkdir(seen("/mnt/b"), 0755), 0);
	revoked(-ENOENT, "/mnt/b/two", "");
	assert_int_equal(access(seen("/mnt/c/two"), F_OK), 0);
	revoked(0, "/mnt/c/two", "");
	/* What the kernel refused was not done. */
	make_null("/mnt/c/other");
	noted(-EEXIST);
	assert_int_equal(notes[PLACE].kind, 0);
	revoked(-ENOENT, "/mnt/c/other", "");
	assert_int_equal(access(seen("/mnt/c/other"), F_OK), 0);
}

static void set_x(const char *name, const char *value)
{
	resolve_call(WARDER_OP_SETXATTR, WARDER_CALL_setxattr, text(0, name), text(1, "trusted.x"),
		     text(2, value), strlen(value), 0);
}

static int x_is(const char *path, const char *value)
{
	char now[16];
	ssize_t n = getxattr(seen(path), "trusted.x", now, sizeof(now));

	return value ? n == (ssize_t)strlen(value) && !memcmp(now, value, (size_t)n) : n < 0;
}

static void test_setxattr(void **state)
{
	(void)state;
	if (geteuid())
		skip();
	set_x("/mnt/link", "1");
	noted(0);
	revoked(0, "/mnt/a", "");
	assert_true(x_is("/mnt/a", NULL));
	/* There was another value before. */
	set_x("/mnt/a", "old");
	noted(0);
	set_x("/mnt/a", "new");
	noted(0);
	revoked(0, "/mnt/a", "");
	assert_true(x_is("/mnt/a", "old"));
	/* Somebody else's by now, or never anything else. */
	set_x("/mnt/a", "new");
	noted(0);
	assert_int_equal(setxattr(seen("/mnt/a"), "trusted.x", "theirs", 6, 0), 0);
	revoked(-ENOENT, "/mnt/a", "");
	set_x("/mnt/a", "theirs");
	noted(0);
	revoked(-ENOENT, "/mnt/a", "");
	assert_true(x_is("/mnt/a", "theirs"));
	/* Another object has the name. */
	set_x("/mnt/b", "1");
	noted(0);
	assert_int_equal(rename(seen("/mnt/b"), seen("/mnt/c")), 0);
	assert_int_equal(mkdir(seen("/mnt/b"), 0755), 0);
	assert_int_equal(setxattr(seen("/mnt/b"), "trusted.x", "1", 1, 0), 0);
	revoked(-ENOENT, "/mnt/b", "");
	assert_true(x_is("/mnt/b", "1"));
	/* A symlink in the way is not followed. */
	assert_int_equal(rmdir(seen("/mnt/b")), 0);
	assert_int_equal(symlink("c", seen("/mnt/b")), 0);
	revoked(-ENOENT, "/mnt/b", "");
	assert_true(x_is("/mnt/c", "1"));
}

static void test_names(void **state)
{
	(void)state;
	if (geteuid())
		skip();
	resolve_call(WARDER_OP_SETHOSTNAME, WARDER_CALL_sethostname, text(0, "second"), 6, 0, 0, 0);
	noted(0);
	hostname_is("second");
	revoked(0, "", "");
	hostname_is("first");
	revoked(-ENOENT, "", "");
	resolve_call(WARDER_OP_SETHOSTNAME, WARDER_CALL_sethostname, text(0, "second"), 6, 0, 0, 0);
	noted(0);
	resolve_call(WARDER_OP_SETHOSTNAME, WARDER_CALL_sethostname, text(0, "third"), 5, 0, 0, 0);
	resolved();
	req.place = PLACE + 1;
	performed(0);
	revoked(-ENOENT, "", "");
	hostname_is("third");
}

static void test_sched(void **state)
{
	(void)state;
	if (geteuid())
		skip();
	resolve_call(WARDER_OP_SETPRIORITY, WARDER_CALL_setpriority, PRIO_PROCESS, 0, (__u64)(__s64)-3, 0,
		     0);
	noted(0);
	assert_int_equal(getpriority(PRIO_PROCESS, (id_t)caller), -3);
	revoked(0, "", "");
	assert_int_not_equal(getpriority(PRIO_PROCESS, (id_t)caller), -3);
	((struct sched_param *)memory)->sched_priority = 7;
	resolve_call(WARDER_OP_SCHED_SETSCHEDULER, WARDER_CALL_sched_setscheduler, 0, SCHED_RR,
		     (uintptr_t)memory, 0, 0);
	noted(0);
	assert_int_equal(sched_getscheduler(caller), SCHED_RR);
	/* Another thread has the number. */
	notes[PLACE].start++;
	revoked(-ENOENT, "", "");
	notes[PLACE].start--;
	revoked(0, "", "");
	assert_int_equal(sched_getscheduler(caller), SCHED_OTHER);
	/* It has been changed since. */
	resolve_call(WARDER_OP_SETPRIORITY, WARDER_CALL_setpriority, PRIO_PROCESS, 0, (__u64)(__s64)-3, 0,
		     0);
	noted(0);
	assert_int_equal(setpriority(PRIO_PROCESS, (id_t)caller, -4), 0);
	revoked(-ENOENT, "", "");
	assert_int_equal(getpriority(PRIO_PROCESS, (id_t)caller), -4);
}

static void test_remount(void **state)
{
	(void)state;
	if (geteuid())
		skip();
	resolve_call(WARDER_OP_MOUNT, WARDER_CALL_mount, 0, text(0, "/mnt/a"), 0, MS_REMOUNT | MS_BIND, 0);
	req.attr = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY;
	noted(0);
	assert_non_null(strstr(mountinfo("/mnt/a"), " ro,nosuid,nodev,noexec"));
	revoked(0, "/mnt/a", "");
	assert_non_null(strstr(mountinfo("/mnt/a"), " rw,nosuid,nodev"));
	assert_null(strstr(mountinfo("/mnt/a"), "noexec"));
	revoked(-ENOENT, "/mnt/a", "");
	/* The flags are others by now. */
	resolve_call(WARDER_OP_MOUNT, WARDER_CALL_mount, 0, text(0, "/mnt/a"), 0, MS_REMOUNT | MS_BIND, 0);
	req.attr = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	noted(0);
	resolve_call(WARDER_OP_MOUNT, WARDER_CALL_mount, 0, text(0, "/mnt/a"), 0, MS_REMOUNT | MS_BIND, 0);
	req.attr = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY;
	req.place = PLACE + 1;
	performed(0);
	revoked(-ENOENT, "/mnt/a", "");
	assert_non_null(strstr(mountinfo("/mnt/a"), " ro,nosuid,nodev,noexec"));
	/* Another mount. */
	notes[PLACE].mnt_id++;
	revoked(-ENOENT, "/mnt/a", "");
}

static void test_move(void **state)
{
	(void)state;
	if (geteuid())
		skip();
	resolve_call(WARDER_OP_MOUNT, WARDER_CALL_mount, text(0, "link"), text(1, "b"), 0, MS_MOVE, 0);
	noted(0);
	assert_string_not_equal(mountinfo("/mnt/b"), "");
	/* It is not where it was moved to, or its old place is another one. */
	revoked(-ENOENT, "/mnt/c", "/mnt/a");
	notes[PLACE].ino++;
	revoked(-ENOENT, "/mnt/b", "/mnt/a");
	notes[PLACE].ino--;
	revoked(0, "/mnt/b", "/mnt/a");
	assert_string_not_equal(mountinfo("/mnt/a"), "");
	assert_string_equal(mountinfo("/mnt/b"), "");
	revoked(-ENOENT, "/mnt/b", "/mnt/a");
	assert_string_not_equal(mountinfo("/mnt/a"), "");
}

/* What cannot be taken back says so, and that it may have been done. */
static void test_not_taken_back(void **state)
{
	(void)state;
	if (geteuid())
		skip();
	resolve_call(WARDER_OP_MOUNT, WARDER_CALL_mount, 0, text(0, "a"), 0, MS_SHARED, 0);
	noted(0);
	revoked(-EOPNOTSUPP, "/mnt/a", "");
	resolve_call(WARDER_OP_UMOUNT, WARDER_CALL_umount, text(0, "a"), 0, 0, 0, 0);
	noted(0);
	revoked(-EOPNOTSUPP, "/mnt/a", "");
	/* Nothing was begun, and there is no such place. */
	memset(&notes[PLACE], 0, sizeof(notes[PLACE]));
	revoked(-ENOENT, "/mnt/a", "");
	req.place = EXECUTOR_NOTES;
	step(EXECUTOR_REVOKE);
	assert_int_equal(reply.error, -ENOENT);
}

#define WITH_CALLER(test) cmocka_unit_test_setup_teardown(test, setup_caller, teardown_caller)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_CALLER(test_mknod), WITH_CALLER(test_setxattr),	  WITH_CALLER(test_names),
		WITH_CALLER(test_sched), WITH_CALLER(test_remount),	  WITH_CALLER(test_move),
		WITH_CALLER(test_not_taken_back),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
