// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Images that a FUSE program reads, without BPF: what an executor makes of them, and what becomes of the
 * program (as root; skipped otherwise). The program is tests/fuse/testfuse.c.
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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../user/override_internal.h"
#include "cleanup.h"
#include "executor_caller.h"

static char folder[] = "/root/warder-fuse-XXXXXX", program[64], group[64];
static int owned;

/* Processes in the caller's cgroup other than the caller, once there are `wanted` or time is up. */
static int programs(int wanted)
{
	char path[96], line[32];
	int n = -1;

	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	for (int i = 0; i < 4000 && n != wanted; i++) {
		FILE *f = fopen(path, "r");

		assert_non_null(f);
		for (n = 0; fgets(line, sizeof(line), f);)
			n += atoi(line) != caller;
		fclose(f);
		if (n != wanted)
			usleep(1000);
	}
	return n;
}

/* As a process of the container; `fn` returns an errno. */
static int inside(int (*fn)(const char *), const char *arg)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		char path[64];
		int user, mnt;

		snprintf(path, sizeof(path), "/proc/%d/ns/user", caller);
		user = open(path, O_RDONLY);
		snprintf(path, sizeof(path), "/proc/%d/ns/mnt", caller);
		mnt = open(path, O_RDONLY);
		if ((owned && setns(user, CLONE_NEWUSER)) || setns(mnt, CLONE_NEWNS) ||
		    setresgid(0, 0, 0) || setresuid(0, 0, 0))
			_exit(255);
		_exit(fn(arg));
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 254;
}

static int do_put(const char *path)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);

	return fd >= 0 && write(fd, path + 64, strlen(path + 64)) > 0 ? 0 : errno;
}

/* The container's root writes that. */
static void put(const char *path, const char *content)
{
	char both[192] = "";

	strcpy(both, path);
	strcpy(both + 64, content);
	assert_int_equal(inside(do_put, both), 0);
}

static int setup_owner(void **state)
{
	char path[96];
	FILE *f;
	int err;

	owned = *state != NULL;
	err = caller_start(owned);
	if (err || geteuid())
		return err;
	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	f = fopen(path, "w");
	assert_true(f && fprintf(f, "%d", caller) > 0 && !fclose(f));
	put("/mnt/img", "ok hello");
	return 0;
}

/* MAKE of what the caller's mount(IMAGE, "/mnt/b", "ext4") would be. */
static int make(const char *source, const char *host, __u32 attr, int ms)
{
	cleanup_close int userns = -1;
	char path[64];

	resolve_call(WARDER_OP_MOUNT, WARDER_CALL_mount, text(0, source), text(1, "/mnt/b"),
		     text(2, "ext4"), 0, 0);
	resolved();
	req.fuse = 1;
	step(EXECUTOR_RESOLVE);
	resolved();
	memset(&req, 0, sizeof(req));
	req.ops = WARDER_MNT_NEW;
	req.attr = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | attr;
	req.owned = (__u32)owned;
	req.cid = 0x7ffffffffffffff0ull + (__u64)owned;
	strcpy(req.fstype, "ext4");
	strcpy(req.name, "some");
	snprintf(req.program, sizeof(req.program), "%s", program);
	snprintf(req.image, sizeof(req.image), "%s", host);
	snprintf(path, sizeof(path), "/proc/%d/ns/user", caller);
	if (owned)
		userns = open(path, O_RDONLY | O_CLOEXEC);
	req.step = EXECUTOR_MAKE;
	if (ms) {
		executor_step(ex, &req, userns, ms, &reply);
		return reply.error;
	}
	req.cookie++;
	assert_int_equal(executor_send(ex, &req, userns), 0);
	return 0;
}

static void mounted(const char *source, __u32 attr)
{
	if (make(source, "", attr, 9000))
		fail_msg("%s: %s", reply.what, strerror(-reply.error));
	step(EXECUTOR_ATTACH);
	if (reply.error)
		fail_msg("%s: %s", reply.what, strerror(-reply.error));
}

static void unmounted(void)
{
	step(EXECUTOR_UNDO);
	assert_int_equal(reply.error, 0);
	assert_string_equal(mountinfo("/mnt/b"), "");
	assert_int_equal(programs(0), 0);
}

static char *shared;

static int do_read(const char *path)
{
	cleanup_close int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, shared, 2000);

	if (n < 0)
		return errno;
	shared[n] = '\0';
	return 0;
}

/* Files of other kinds, links, and one that even its owner may not read. */
static int do_others(const char *path)
{
	return chdir(path) || mkfifo("fifo", 0666) || symlink("img", "in") ||
			       mknod("closed", S_IFREG, 0) ? errno : 0;
}

static int do_remount(const char *path)
{
	return mount(NULL, path, NULL, MS_REMOUNT | MS_BIND, NULL) ? errno : 0;
}

static int do_open_device(const char *path)
{
	return open(path, O_RDWR) < 0 ? errno : 0;
}

static int do_read_as_other(const char *path)
{
	return setresuid(7, 7, 7) ? 253 : do_read(path);
}

static void reads(const char *path, const char *expected)
{
	int err = inside(do_read, path);

	if (err)
		fail_msg("%s: %s", path, strerror(err));
	if (!strstr(shared, expected))
		fail_msg("%s: not \"%s\" in:\n%s", path, expected, shared);
}

/* ------------------------------------------------------------------------- the tests */

static void serves(int rw)
{
	const char *who = owned ? "uid 100000 100000 100000 gid 100000 100000 100000 pid 2 " :
				  "uid 65534 65534 65534 gid 65534 65534 65534 pid 2 ";
	char expected[128];
	struct stat st;

	mounted("/mnt/img", rw ? 0 : MOUNT_ATTR_RDONLY);
	reads("/mnt/b/file", "hello");
	reads("/mnt/b/report", who);
	/* rw: only whoever owns the image may write it. */
	snprintf(expected, sizeof(expected), "groups 0 bounding 0 privs 1 seccomp 1 rw %d\n",
		 !owned ? EACCES : rw ? 0 : EROFS);
	reads("/mnt/b/report", expected);
	reads("/mnt/b/report", "passwd 2 proc 2 root 2 var 2 new 30 socket 1 mount 1 unshare 1 setuid 1");
	assert_int_equal(programs(2), 2); /* the program and its keeper */
	assert_non_null(strstr(mountinfo("/mnt/b"), rw && owned ? " rw,nosuid,nodev" : " ro,nosuid,nodev"));
	assert_non_null(strstr(mountinfo("/mnt/b"), " - fuse.ext4 some "));
	/* The kernel goes by the modes that the image has. */
	assert_int_equal(inside(do_read, "/mnt/b/secret"), 0);
	assert_int_equal(inside(do_read_as_other, "/mnt/b/secret"), EACCES);
	assert_int_equal(inside(do_open_device, "/mnt/b/null"), EACCES);
	assert_int_equal(inside(do_remount, "/mnt/b"), owned ? EPERM : 0);
	/* Nobody outside is kept waiting by it. */
	assert_int_equal(stat(seen("/mnt/b/file"), &st), owned ? -1 : 0);
	if (owned)
		assert_int_equal(errno, EACCES);
}

static void test_serves(void **state)
{
	(void)state;
	if (geteuid())
		skip();
	serves(0);
	unmounted();
	serves(1);
	unmounted();
}

static void test_lives_on(void **state)
{
	(void)state;
	if (geteuid())
		skip();
	mounted("/mnt/img", MOUNT_ATTR_RDONLY);
	/* It is the mount's from then on, whoever made it dies. */
	executor_abandon(pool, ex);
	ex = executor_take(pool);
	usleep(50000);
	reads("/mnt/b/file", "hello");
	kill(caller, SIGKILL);
	/* The mount goes with the container. */
	assert_int_equal(programs(0), 0);
}

static void test_ends(void **state)
{
	(void)state;
	if (geteuid())
		skip();
	/* Not attached: it ends with the operation. */
	assert_int_equal(make("/mnt/img", "", 0, 9000), 0);
	assert_int_equal(programs(2), 2);
	executor_give(pool, ex);
	assert_int_equal(programs(0), 0);
	ex = executor_take(pool);
	/* It does not want to end. */
	put("/mnt/deaf", "deaf hello");
	mounted("/mnt/deaf", 0);
	reads("/mnt/b/file", "hello");
	unmounted();
}

static void test_hostile(void **state)
{
	static const char *const never[] = { "silent", "mute" };

	(void)state;
	if (geteuid())
		skip();
	put("/mnt/dies", "dies x");
	assert_int_not_equal(make("/mnt/dies", "", 0, 9000), 0);
	assert_string_equal(reply.what, "the FUSE program does not serve the image: testfuse: ?[1mbad image");
	assert_int_equal(programs(0), 0);
	executor_give(pool, ex);
	ex = executor_take(pool);
	put("/mnt/garbage", "garbage x");
	make("/mnt/garbage", "", 0, 0);
	usleep(200000);
	executor_abandon(pool, ex);
	assert_int_equal(programs(0), 0);
	for (int i = 0; i < 2; i++) {
		char image[32], path[32];

		ex = executor_take(pool);
		snprintf(path, sizeof(path), "/mnt/%s", never[i]);
		snprintf(image, sizeof(image), "%s x", never[i]);
		put(path, image);
		make(path, "", 0, 0);
		assert_int_equal(programs(2), 2);
		usleep(200000);
		/* Nothing, and then its time is up. */
		assert_int_equal(executor_receive(ex, &reply, &(int){ -1 }), -EAGAIN);
		executor_abandon(pool, ex);
		assert_int_equal(programs(0), 0);
		assert_string_equal(mountinfo("/mnt/b"), "");
	}
	ex = executor_take(pool);
}

static void fails(const char *source, const char *host, int err, const char *what)
{
	int got = make(source, host, 0, 9000);

	if (got != err || !strstr(reply.what, what))
		fail_msg("%s%s: %d, not %d: %s", source, host, got, err, reply.what);
	executor_give(pool, ex);
	ex = executor_take(pool);
}

static void test_refused(void **state)
{
	char path[96], *whole = strdup(program);

	(void)state;
	if (geteuid())
		skip();
	assert_int_equal(inside(do_others, "/mnt"), 0);
	fails("/mnt/fifo", "", -EINVAL, "no regular file");
	fails("/dev/null", "", -EINVAL, "no regular file");
	fails("/mnt/a", "", -EINVAL, "no regular file");
	fails("/mnt/missing", "", -EINVAL, "out of order");
	fails("/mnt/closed", "", -EACCES, owned ? "the caller may not read" : "uid 65534");
	/* A symlink leads where it leads the caller. */
	mounted("/mnt/in", MOUNT_ATTR_RDONLY);
	unmounted();
	snprintf(path, sizeof(path), "%s/host.img", folder);
	fails("none", path, -EACCES, "may not read");
	assert_int_equal(chmod(path, 0644), 0);
	if (make("none", path, 0, 9000))
		fail_msg("%s", reply.what);
	executor_give(pool, ex);
	ex = executor_take(pool);
	assert_int_equal(programs(0), 0);
	assert_int_equal(chmod(path, 0600), 0);
	/* The program is no better than what it is named by. */
	assert_int_equal(chmod(program, 0777), 0);
	fails("/mnt/img", "", -EACCES, "can be written by others than root");
	assert_int_equal(chmod(program, 0644), 0);
	fails("/mnt/img", "", -EACCES, "no program that everybody may run");
	assert_int_equal(chmod(program, 0755), 0);
	strcpy(program, "no-such-program");
	fails("/mnt/img", "", -ENOENT, "in none of");
	strcpy(program, whole);
	free(whole);
}

static void test_bounded(void **state)
{
	(void)state;
	if (geteuid())
		skip();
	for (int i = 0; i < EXECUTOR_FUSES_MAX; i++) {
		mounted("/mnt/img", 0);
		executor_give(pool, ex);
		ex = executor_take(pool);
	}
	assert_int_equal(programs(2 * EXECUTOR_FUSES_MAX), 2 * EXECUTOR_FUSES_MAX);
	fails("/mnt/img", "", -EAGAIN, "the container has 8 FUSE programs");
	/* Each that ends makes room. */
	assert_int_equal(umount2(seen("/mnt/b"), MNT_DETACH), -1);
	kill(caller, SIGKILL);
	assert_int_equal(programs(0), 0);
}

/* ------------------------------------------------------------------------- around them */

static int setup_all(void **state)
{
	static const char *const groups[] = { "/sys/fs/cgroup/unified", "/sys/fs/cgroup" };
	char command[1024], self[256];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (geteuid())
		return 0;
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (n < 0 || shared == MAP_FAILED || !mkdtemp(folder) || chmod(folder, 0755))
		return -1;
	self[n] = '\0';
	snprintf(program, sizeof(program), "%s/testfuse", folder);
	/* build/tests/unit/NAME */
	snprintf(command, sizeof(command),
		 "cp \"$(dirname %s)/../../vm-bin/testfuse\" %s && chmod 755 %s && echo ok host >%s/host.img && "
		 "chmod 600 %s/host.img", self, program, program, folder, folder);
	if (system(command))
		return -1;
	for (size_t i = 0; i < 2 && !*group; i++) {
		snprintf(group, sizeof(group), "%s/warder-fuse-%d", groups[i], getpid());
		if (mkdir(group, 0755))
			*group = '\0';
	}
	return *group ? setup(state) : -1;
}

static int teardown_all(void **state)
{
	char command[128];

	if (geteuid())
		return 0;
	teardown(state);
	rmdir(group);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

#define TEST(fn, owner)                                                                              \
	{                                                                                          \
		#fn, fn, setup_owner, teardown_caller, (owner)                                       \
	}

int main(void)
{
	static char yes;
	const struct CMUnitTest tests[] = {
		TEST(test_serves, NULL),   TEST(test_serves, &yes),   TEST(test_lives_on, NULL),
		TEST(test_lives_on, &yes), TEST(test_ends, NULL),     TEST(test_ends, &yes),
		TEST(test_hostile, NULL),  TEST(test_hostile, &yes),  TEST(test_refused, NULL),
		TEST(test_refused, &yes),  TEST(test_bounded, NULL),  TEST(test_bounded, &yes),
	};

	return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
