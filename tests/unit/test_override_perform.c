// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Overrides of calls other than new mounts, without BPF: what executors do and take back, on real
 * objects (as root; skipped otherwise). The caller is a child in namespaces of its own.
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
#include "cleanup.h"
#include "executor_caller.h"
#include "warder_decide.h"

static void test_umount(void **state)
{
	cleanup_close int busy = -1;

	(void)state;
	if (geteuid())
		skip();
	/* Over a symlink and relative; somebody is in it. */
	busy = open(seen("/mnt/a"), O_RDONLY);
	resolve_call(WARDER_OP_UMOUNT, WARDER_CALL_umount, text(0, "link"), 0, 0, 0, 0);
	resolved();
	assert_string_equal(reply.last, "a");
	assert_int_equal(reply.is_mount, 1);
	performed(-EBUSY);
	close(busy);
	busy = -1;
	resolve_call(WARDER_OP_UMOUNT, WARDER_CALL_umount, text(0, "a"), 0, 0, 0, 0);
	performed(0);
	assert_string_equal(mountinfo("/mnt/a"), "");
	taken_back(-EOPNOTSUPP, "/mnt/a", "");
	/* It is no mount point any more. */
	resolve_call(WARDER_OP_UMOUNT, WARDER_CALL_umount, text(0, "a"), 0, 0, 0, 0);
	resolved();
	performed(-EINVAL);
	/* A symlink that is not followed, the root, and what is the host's. */
	resolve_call(WARDER_OP_UMOUNT, WARDER_CALL_umount, text(0, "link"), UMOUNT_NOFOLLOW, 0, 0, 0);
	resolved();
	performed(-EINVAL);
	resolve_call(WARDER_OP_UMOUNT, WARDER_CALL_umount, text(0, "/"), 0, 0, 0, 0);
	resolved();
	assert_int_equal(reply.at_root, 1);
	resolve_call(WARDER_OP_UMOUNT, WARDER_CALL_umount, text(0, "/proc/self/root/proc"), 0, 0, 0, 0);
	assert_int_equal(reply.error, -ELOOP);
}

static void test_remount(void **state)
{
	(void)state;
	if (geteuid())
		skip();
	resolve_call(WARDER_OP_MOUNT, WARDER_CALL_mount, 0, text(0, "/mnt/a"), 0, MS_REMOUNT,
		     text(1, "size=2M"));
	resolved();
	assert_string_equal(reply.fstype, "tmpfs");
	assert_string_equal(reply.data, "size=2M");
	assert_int_equal(reply.own_fs, 1);
	assert_int_equal(reply.mnt_flags & (MS_NOSUID | MS_NODEV | MS_NOEXEC), MS_NOSUID | MS_NODEV);
	strcpy(req.text, "size=2097152");
	req.attr = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	performed(0);
	assert_non_null(strstr(mountinfo("/mnt/a"), "nosuid,nodev,noexec"));
	assert_non_null(strstr(mountinfo("/mnt/a"), "size=2048k"));
	taken_back(0, "/mnt/a", "");
	assert_null(strstr(mountinfo("/mnt/a"), "noexec"));
	assert_non_null(strstr(mountinfo("/mnt/a"), "nosuid,nodev"));
	/* No mount's root. */
	resolve_call(WARDER_OP_MOUNT, WARDER_CALL_mount, 0, text(0, "/mnt/b"), 0,
		     MS_REMOUNT | MS_BIND, 0);
	resolved();
	assert_int_equal(reply.is_mount, 0);
	req.attr = MOUNT_ATTR_NOSUID;
	performed(-EINVAL);
	/* The host shows the same file system. */
	resolve_call(WARDER_OP_MOUNT, WARDER_CALL_mount, 0, text(0, "/proc"), 0, MS_REMOUNT, 0);
	resolved();
	assert_int_equal(reply.own_fs, 0);
}

static void test_move(void **state)
{
	(void)state;
	if (geteuid())
		skip();
	resolve_call(WARDER_OP_MOUNT, WARDER_CALL_mount, text(0, "link"), text(1, "b"), 0, MS_MOVE, 0);
	resolved();
	assert_true(reply.fd >= 0 && reply.fd2 >= 0);
	performed(0);
	assert_string_equal(mountinfo("/mnt/a"), "");
	assert_string_not_equal(mountinfo("/mnt/b"), "");
	taken_back(0, "/mnt/b", "/mnt/a");
	assert_string_not_equal(mountinfo("/mnt/a"), "");
	assert_string_equal(mountinfo("/mnt/b"), "");
}

static void test_propagation(void **state)
{
	(void)state;
	if (geteuid())
		skip();
	resolve_call(WARDER_OP_MOUNT, WARDER_CALL_mount, 0, text(0, "a"), 0, MS_SHARED, 0);
	resolved();
	performed(0);
	assert_non_null(strstr(mountinfo("/mnt/a"), "shared:"));
	taken_back(-EOPNOTSUPP, "/mnt/a", "");
	resolve_call(WARDER_OP_MOUNT, WARDER_CALL_mount, 0, text(0, "a"), 0, MS_SHARED | MS_PRIVATE, 0);
	performed(-EINVAL);
}

static void test_mknod(void **state)
{
	struct stat st;

	(void)state;
	if (geteuid())
		skip();
	resolve_call(WARDER_OP_MKNOD, WARDER_CALL_mknodat, 3, text(0, "null"), S_IFCHR | 0666,
		     makedev(1, 3), 0);
	resolved();
	assert_string_equal(reply.last, "null");
	performed(0);
	assert_int_equal(stat(seen("/mnt/b/null"), &st), 0);
	assert_true(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
	assert_int_equal(st.st_mode & 07777, 0640); /* by the caller's umask */
	taken_back(0, "/mnt/b/null", "");
	assert_int_equal(stat(seen("/mnt/b/null"), &st), -1);
	/* The same by a link of its own descriptors, and by somebody else's. */
	resolve_call(WARDER_OP_MKNOD, WARDER_CALL_mknod, text(0, "/proc/self/fd/3/null"), S_IFCHR | 0600,
		     makedev(1, 3), 0, 0);
	resolved();
	performed(0);
	/* Somebody has put another there. */
	assert_int_equal(rename(seen("/mnt/b/null"), seen("/mnt/b/other")), 0);
	assert_int_equal(close(open(seen("/mnt/b/null"), O_CREAT | O_WRONLY, 0600)), 0);
	taken_back(-ENOENT, "/mnt/b/null", "");
	assert_int_equal(access(seen("/mnt/b/null"), F_OK), 0);
	resolve_call(WARDER_OP_MKNOD, WARDER_CALL_mknod, text(0, "/proc/thread-self/fd/3/null"),
		     S_IFCHR | 0600, makedev(1, 3), 0, 0);
	resolved();
	performed(-EEXIST);
	resolve_call(WARDER_OP_MKNOD, WARDER_CALL_mknod, text(0, "/proc/self/cwd/null"), S_IFCHR | 0600,
		     makedev(1, 3), 0, 0);
	assert_int_equal(reply.error, -ELOOP);
	resolve_call(WARDER_OP_MKNOD, WARDER_CALL_mknod, text(0, "/proc/self/fd/77/null"), S_IFCHR,
		     makedev(1, 3), 0, 0);
	assert_int_equal(reply.error, -EBADF);
}

static void test_setxattr(void **state)
{
	char value[8];

	(void)state;
	if (geteuid())
		skip();
	resolve_call(WARDER_OP_SETXATTR, WARDER_CALL_setxattr, text(0, "link"),
		     text(1, "trusted.overlay.opaque"), text(2, "y"), 1, 0);
	resolved();
	assert_string_equal(reply.source, "trusted.overlay.opaque");
	assert_int_equal(reply.value_len, 1);
	assert_int_equal(reply.data[0], 'y');
	performed(0);
	assert_int_equal(getxattr(seen("/mnt/a"), "trusted.overlay.opaque", value, sizeof(value)), 1);
	taken_back(0, "/mnt/a", "");
	assert_int_equal(getxattr(seen("/mnt/a"), "trusted.overlay.opaque", value, sizeof(value)), -1);
	/* There was another value before: it comes back. */
	assert_int_equal(setxattr(seen("/mnt/a"), "trusted.x", "old", 3, 0), 0);
	resolve_call(WARDER_OP_SETXATTR, WARDER_CALL_setxattr, text(0, "a"), text(1, "trusted.x"),
		     text(2, "1"), 1, XATTR_CREATE);
	performed(-EEXIST);
	resolve_call(WARDER_OP_SETXATTR, WARDER_CALL_setxattr, text(0, "a"), text(1, "trusted.x"),
		     text(2, "1"), 1, XATTR_REPLACE);
	performed(0);
	taken_back(0, "/mnt/a", "");
	assert_int_equal(getxattr(seen("/mnt/a"), "trusted.x", value, sizeof(value)), 3);
	/* The link itself, and a descriptor. */
	resolve_call(WARDER_OP_SETXATTR, WARDER_CALL_lsetxattr, text(0, "link"), text(1, "trusted.x"),
		     text(2, "1"), 1, 0);
	resolved();
	performed(0);
	assert_int_equal(lgetxattr(seen("/mnt/link"), "trusted.x", value, sizeof(value)), 1);
	resolve_call(WARDER_OP_SETXATTR, WARDER_CALL_fsetxattr, 3, text(1, "trusted.x"), text(2, "1"), 1,
		     0);
	resolved();
	performed(0);
	assert_int_equal(getxattr(seen("/mnt/b"), "trusted.x", value, sizeof(value)), 1);
	resolve_call(WARDER_OP_SETXATTR, WARDER_CALL_setxattr, text(0, "a"), text(1, "trusted.x"),
		     text(2, "1"), 1 << 20, 0);
	assert_int_equal(reply.error, -E2BIG);
}

static void test_sethostname(void **state)
{
	char ours[65], now[65];

	(void)state;
	if (geteuid())
		skip();
	assert_int_equal(gethostname(ours, sizeof(ours)), 0);
	resolve_call(WARDER_OP_SETHOSTNAME, WARDER_CALL_sethostname, text(0, "second"), 6, 0, 0, 0);
	resolved();
	assert_int_equal(reply.host_uts, 0);
	assert_string_equal(reply.source, "second");
	performed(0);
	hostname_is("second");
	taken_back(0, "", "");
	hostname_is("first");
	/* The executor is home again. */
	assert_int_equal(gethostname(now, sizeof(now)), 0);
	assert_string_equal(ours, now);
	resolve_call(WARDER_OP_SETHOSTNAME, WARDER_CALL_sethostname, text(0, "x"), 65, 0, 0, 0);
	resolved();
	performed(-EINVAL);
	resolve_call(WARDER_OP_SETHOSTNAME, WARDER_CALL_sethostname, 8, 5, 0, 0, 0);
	resolved();
	performed(-EFAULT);
	req.tid = getpid();
	req.arg[0] = text(0, "x");
	req.arg[1] = 1;
	step(EXECUTOR_RESOLVE);
	resolved();
	assert_int_equal(reply.host_uts, 1);
}

static void test_sched(void **state)
{
	struct sched_param param = { .sched_priority = 1 };
	int was;

	(void)state;
	if (geteuid())
		skip();
	memcpy(memory, &param, sizeof(param));
	resolve_call(WARDER_OP_SCHED_SETSCHEDULER, WARDER_CALL_sched_setscheduler, 0,
		     SCHED_RR | SCHED_RESET_ON_FORK, (uintptr_t)memory, 0, 0);
	resolved();
	assert_int_equal(reply.sched.tid, caller);
	assert_int_equal(reply.sched.tgid, caller);
	assert_int_equal(reply.sched.policy, SCHED_RR);
	assert_int_equal(reply.sched.realtime, 1);
	/* Where the machine gives no real-time priority at all, that is the answer. */
	step(EXECUTOR_PERFORM);
	assert_int_equal(reply.kernel, 1);
	if (!reply.error) {
		assert_int_equal(sched_getscheduler(caller), SCHED_RR | SCHED_RESET_ON_FORK);
		taken_back(0, "", "");
		assert_int_equal(sched_getscheduler(caller), SCHED_OTHER);
	}
	was = getpriority(PRIO_PROCESS, (id_t)caller);
	resolve_call(WARDER_OP_SETPRIORITY, WARDER_CALL_setpriority, PRIO_PROCESS, 0, 3, 0, 0);
	resolved();
	assert_int_equal(reply.sched.nice, 3);
	performed(0);
	assert_int_equal(getpriority(PRIO_PROCESS, (id_t)caller), 3);
	taken_back(0, "", "");
	assert_int_equal(getpriority(PRIO_PROCESS, (id_t)caller), was);
	resolve_call(WARDER_OP_SETPRIORITY, WARDER_CALL_setpriority, PRIO_PGRP, 0, 3, 0, 0);
	resolved();
	assert_int_equal(reply.sched.tid, 0);
	resolve_call(WARDER_OP_SETPRIORITY, WARDER_CALL_setpriority, PRIO_PROCESS, 1 << 22, 3, 0, 0);
	assert_int_equal(reply.error, -ESRCH);
}

/* Numbers of another pid namespace: process 1 there, and a thread of it that is none here. */
static void test_pid_namespace(void **state)
{
	pid_t host = caller, inner;
	int ready[2];

	(void)state;
	if (geteuid())
		skip();
	assert_int_equal(pipe(ready), 0);
	inner = fork();
	if (inner == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWPID))
			_exit(1);
		if (fork() == 0) {
			pid_t child;

			prctl(PR_SET_PDEATHSIG, SIGKILL);
			child = fork();
			if (!child) {
				pause();
				_exit(0);
			}
			/* What the host calls this one. */
			dprintf(ready[1], "%d\n", child);
			pause();
		}
		pause();
		_exit(0);
	}
	{
		char path[64], line[64] = "";
		pid_t one = 0, two = 0;
		FILE *f;

		assert_true(read(ready[0], line, sizeof(line) - 1) > 0);
		assert_int_equal(atoi(line), 2);
		snprintf(path, sizeof(path), "/proc/%d/task/%d/children", inner, inner);
		f = fopen(path, "r");
		assert_non_null(f);
		assert_int_equal(fscanf(f, "%d", &one), 1);
		fclose(f);
		snprintf(path, sizeof(path), "/proc/%d/task/%d/children", one, one);
		f = fopen(path, "r");
		assert_non_null(f);
		assert_int_equal(fscanf(f, "%d", &two), 1);
		fclose(f);
		caller = one;
		resolve_call(WARDER_OP_SETPRIORITY, WARDER_CALL_setpriority, PRIO_PROCESS, 2, 5, 0, 0);
		resolved();
		assert_int_equal(reply.sched.tid, two);
		performed(0);
		assert_int_equal(getpriority(PRIO_PROCESS, (id_t)two), 5);
		resolve_call(WARDER_OP_SETPRIORITY, WARDER_CALL_setpriority, PRIO_PROCESS, 1, 5, 0, 0);
		resolved();
		assert_int_equal(reply.sched.tid, one);
		/* No number of ours means anything there. */
		resolve_call(WARDER_OP_SETPRIORITY, WARDER_CALL_setpriority, PRIO_PROCESS,
			     (__u64)getpid() + 100000, 5, 0, 0);
		assert_int_equal(reply.error, -ESRCH);
	}
	caller = host;
	kill(inner, SIGKILL);
	waitpid(inner, NULL, 0);
	close(ready[0]);
	close(ready[1]);
}

/* In a user namespace of its own: ids and rights are those of the host's ids that stand for them. */
static void test_userns(void **state)
{
	struct stat st;

	(void)state;
	if (geteuid())
		skip();
	resolve_call(WARDER_OP_MKNOD, WARDER_CALL_mknod, text(0, "b/null"), S_IFCHR | 0600,
		     makedev(1, 3), 0, 0);
	resolved();
	assert_int_equal(reply.euid, 0);
	assert_int_equal(reply.relation, WARDER_BY_USERNS_CONTAINER);
	performed(0);
	assert_int_equal(stat(seen("/mnt/b/null"), &st), 0);
	assert_int_equal(st.st_uid, 100000);
	assert_int_equal(st.st_gid, 100000);
	/* Its CAP_DAC_OVERRIDE counts over what is mapped, and over nothing else. */
	assert_int_equal(chown(seen("/mnt/b"), 100005, 100005), 0);
	resolve_call(WARDER_OP_MKNOD, WARDER_CALL_mknod, text(0, "b/two"), S_IFCHR | 0600,
		     makedev(1, 3), 0, 0);
	performed(0);
	assert_int_equal(chown(seen("/mnt/b"), 5, 5), 0);
	resolve_call(WARDER_OP_MKNOD, WARDER_CALL_mknod, text(0, "b/three"), S_IFCHR | 0600,
		     makedev(1, 3), 0, 0);
	performed(-EACCES);
	resolve_call(WARDER_OP_SETHOSTNAME, WARDER_CALL_sethostname, text(0, "second"), 6, 0, 0, 0);
	resolved();
	performed(0);
	taken_back(0, "", "");
	resolve_call(WARDER_OP_UMOUNT, WARDER_CALL_umount, text(0, "a"), 0, 0, 0, 0);
	resolved();
	performed(0);
	assert_string_equal(mountinfo("/mnt/a"), "");
}

#define WITH_CALLER(test) cmocka_unit_test_setup_teardown(test, setup_caller, teardown_caller)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_CALLER(test_umount),
		WITH_CALLER(test_remount),		WITH_CALLER(test_move),
		WITH_CALLER(test_propagation),		WITH_CALLER(test_mknod),
		WITH_CALLER(test_setxattr),		WITH_CALLER(test_sethostname),
		WITH_CALLER(test_sched),		WITH_CALLER(test_pid_namespace),
		cmocka_unit_test_setup_teardown(test_userns, setup_userns, teardown_caller),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
