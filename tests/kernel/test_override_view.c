// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * proc and sysfs for callers that lack the capability: what the container has at /proc and /sys, with
 * everything that masks it, at another place; and what a hostile container tries to see below a mask.
 */
#include "override_rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char policy[] =
	"policy: t\n"
	"defaults: {namespace: allow}\n"
	"file: [{deny: [read], path: /proc/uptime}]\n"
	"override:\n"
	"  - {on: mount, type: [proc, sysfs], target: /mnt/scratch/*, do: perform}\n"
	"  - {on: umount, target: [/mnt/scratch/**, /proc, /sys, /mnt/tree], do: perform}\n"
	"  - {on: mount, source: [/mnt/scratch/**, /mnt/tree], target: /mnt/scratch/*, do: perform}\n";

#define NEW_AT(expected, why, to, fstype, ...)                                                      \
	RESULT(expected, why, rig_mount, (&(struct rig_call){ .source = (fstype), .type = (fstype), \
	       .target = (to), __VA_ARGS__ }))
#define NEW(expected, why, ...) NEW_AT(expected, why, "/mnt/scratch/a", __VA_ARGS__)

/* As runtimes do it: a folder by an empty file system, a file by the null device. */
static void mask(void)
{
	assert_int_equal(mount("none", "/proc/fs", "tmpfs", 0, "size=4k"), 0);
	assert_int_equal(mount("/dev/null", "/proc/version", NULL, MS_BIND, NULL), 0);
	assert_int_equal(mount("none", "/sys/kernel", "tmpfs", 0, "size=4k"), 0);
}

static void unmask(void)
{
	umount2("/proc/fs", MNT_DETACH);
	umount2("/proc/version", MNT_DETACH);
	umount2("/sys/kernel", MNT_DETACH);
}

static int setup_masks(void **state)
{
	(void)state;
	mask();
	return 0;
}

static int teardown_masks(void **state)
{
	(void)state;
	umount2("/mnt/scratch/a", MNT_DETACH);
	unmask();
	return 0;
}

/* ------------------------------------------------------------------- what it shows */

static void test_proc(void **state)
{
	__u32 slot = rig_container(policy);

	(void)state;
	NEW(0, "allows it", "proc");
	assert_string_equal(rig.last.target, "/mnt/scratch/a");
	assert_non_null(strstr(rig_line("/mnt/scratch/a"), "nosuid,nodev"));
	assert_non_null(strstr(rig_line("/mnt/scratch/a"), " - proc "));
	assert_null(strstr(rig_line("/mnt/scratch/a"), "shared:"));
	assert_int_equal(rig_run((int)slot, rig_read, "/mnt/scratch/a/self/status"), 0);
	/* What is masked is masked, and a null device still one. */
	assert_int_equal(rig_mounted("/mnt/scratch/a/fs", NULL, 0), 1);
	assert_int_equal(access("/mnt/scratch/a/fs/ext4", F_OK), -1);
	assert_int_equal(rig_run((int)slot, rig_read, "/proc/version"), 200);
	assert_int_equal(rig_run((int)slot, rig_read, "/mnt/scratch/a/version"), 200);
	/* Whatever the rights are, no mask comes off by itself. */
	assert_int_equal(umount2("/mnt/scratch/a/version", MNT_DETACH), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(umount2("/mnt/scratch/a/fs", MNT_DETACH), -1);
	assert_int_equal(errno, EINVAL);
	/* Names are those of /proc, and so is what the policy says of them. */
	assert_int_equal(rig_run((int)slot, rig_read, "/proc/uptime"), EACCES);
	assert_int_equal(rig_run((int)slot, rig_read, "/mnt/scratch/a/uptime"), EACCES);
	assert_int_equal(rig_run((int)slot, rig_read, "/mnt/scratch/a/loadavg"), 0);
	RESULT(0, "", rig_umount, "/mnt/scratch/a");
	assert_int_equal(rig_mounted("/mnt/scratch/a", NULL, 0), 0);
	assert_int_equal(rig_mounted("/mnt/scratch/a/fs", NULL, 0), 0);
}

/* The root of its mount namespace has one, and the container's root another or none. */
static void test_elsewhere(void **state)
{
	__u32 slot = rig_container(policy);

	(void)state;
	h_record_mount(slot, "/proc", "/other/proc");
	NEW(EPERM, "none at its place", "proc");
	assert_int_equal(rig_mounted("/mnt/scratch/a", NULL, 0), 0);
}

static void test_sysfs(void **state)
{
	__u32 slot = rig_container(policy);

	(void)state;
	NEW(0, "allows it", "sysfs", .flags = MS_NOEXEC);
	assert_non_null(strstr(rig_line("/mnt/scratch/a"), "nosuid,nodev,noexec"));
	assert_int_equal(access("/mnt/scratch/a/class", F_OK), 0);
	assert_int_equal(access("/mnt/scratch/a/kernel/mm", F_OK), -1);
	assert_int_equal(errno, ENOENT);
	RESULT(0, "", rig_detach, "/mnt/scratch/a");
	assert_int_equal(rig_mounted("/mnt/scratch/a", NULL, 0), 0);
}

/* Read-only goes for what is mounted in it, too. */
static void test_read_only(void **state)
{
	__u32 slot = rig_container(policy);

	(void)state;
	NEW(0, "", "proc", .flags = MS_RDONLY);
	assert_int_equal(open("/mnt/scratch/a/fs/new", O_CREAT | O_WRONLY, 0600), -1);
	assert_int_equal(errno, EROFS);
	assert_int_equal(open("/mnt/scratch/a/self/comm", O_WRONLY), -1);
	assert_int_equal(errno, EROFS);
	/* The container's own is as it was. */
	assert_int_equal(close(open("/proc/self/comm", O_WRONLY)), 0);
}

/* ------------------------------------------------------------------------- refused */

static int in_pidns(void *arg)
{
	int status;
	pid_t pid;

	if (unshare(CLONE_NEWPID))
		return 240;
	pid = fork();
	if (!pid)
		_exit(rig_mount(arg));
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return 241;
	return WEXITSTATUS(status);
}

static void test_refused(void **state)
{
	struct rig_call c = { .source = "proc", .type = "proc", .target = "/mnt/scratch/a" };
	__u32 slot = rig_container(policy);

	(void)state;
	NEW(EPERM, "does not list option hidepid", "proc", .data = "hidepid=0");
	NEW_AT(EPERM, "does not allow the target /mnt/other", "/mnt/other", "proc");
	NEW(EPERM, "mount namespace of its own", "proc", .unshare = CLONE_NEWNS);
	/* Of sysfs a pid namespace is no matter. */
	c.type = "sysfs";
	RESULT(0, "", in_pidns, &c);
	assert_int_equal(umount2("/mnt/scratch/a", MNT_DETACH), 0);
	/* Only a whole one is the container's own. */
	assert_int_equal(mount("/sys/class", "/sys", NULL, MS_BIND, NULL), 0);
	NEW(EPERM, "none at its place", "sysfs");
	assert_int_equal(umount2("/sys", MNT_DETACH), 0);
	rig_tmpfs(slot, "/sys", 0, "size=64k");
	NEW(EPERM, "none at its place", "sysfs");
	assert_int_equal(umount2("/sys", MNT_DETACH), 0);
	NEW(0, "", "sysfs");
}

/* ------------------------------------------------------- a pid namespace of its own */

/* Of the caller's processes, with the container's masks. */
static void test_pidns(void **state)
{
	struct rig_call c = { .source = "proc", .type = "proc", .target = "/mnt/scratch/a" };
	__u32 slot = rig_container(policy);
	char line[1024] = "", all[8192] = "", *at = all;
	DIR *d;

	(void)state;
	/* A part of proc itself is made read-only by runtimes, with what lies in it. */
	assert_int_equal(mount("/proc/sys", "/proc/sys", NULL, MS_BIND, NULL), 0);
	assert_int_equal(mount(NULL, "/proc/sys", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), 0);
	assert_int_equal(mount("none", "/proc/sys/vm", "tmpfs", 0, "size=4k"), 0);
	/* One lies over another. */
	assert_int_equal(mount("none", "/proc/fs", "tmpfs", 0, "size=8k"), 0);
	assert_int_equal(mkdir("/proc/fs/upper", 0755), 0);
	RESULT(0, "allows it", in_pidns, &c);
	assert_int_equal(rig_mounted("/mnt/scratch/a", line, sizeof(line)), 1);
	assert_non_null(strstr(line, "nosuid,nodev"));
	assert_null(strstr(line, "shared:"));
	/* Its process 1 has ended, and there are no others: not ours either. */
	d = opendir("/mnt/scratch/a");
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		at += snprintf(at, (size_t)(all + sizeof(all) - at), " %s", e->d_name);
	closedir(d);
	assert_non_null(strstr(all, " loadavg"));
	for (at = all; (at = strchr(at, ' ')); at++)
		if (at[1] >= '0' && at[1] <= '9')
			fail_msg("a process is seen:%.20s", at);
	assert_int_equal(rig_mounted("/mnt/scratch/a/fs", NULL, 0), 1);
	assert_int_equal(access("/mnt/scratch/a/fs/ext4", F_OK), -1);
	assert_int_equal(access("/mnt/scratch/a/fs/upper", F_OK), 0);
	assert_int_equal(rig_run((int)slot, rig_read, "/mnt/scratch/a/version"), 200);
	assert_int_equal(access("/mnt/scratch/a/sys/kernel/ostype", F_OK), 0);
	assert_int_equal(open("/mnt/scratch/a/sys/kernel/hostname", O_WRONLY), -1);
	assert_int_equal(errno, EROFS);
	assert_int_equal(access("/mnt/scratch/a/sys/vm/swappiness", F_OK), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(umount2("/mnt/scratch/a/fs", MNT_DETACH), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(umount2("/mnt/scratch/a/sys", MNT_DETACH), -1);
	assert_int_equal(errno, EINVAL);
	/* What the policy says of /proc goes for it, whatever its place is. */
	assert_int_equal(rig_run((int)slot, rig_read, "/mnt/scratch/a/uptime"), EACCES);
	assert_int_equal(rig_run((int)slot, rig_read, "/mnt/scratch/a/loadavg"), 0);
	RESULT(0, "", rig_umount, "/mnt/scratch/a");
	assert_int_equal(rig_mounted("/mnt/scratch/a/fs", NULL, 0), 0);
	/* What cannot be put onto it is not left out. */
	snprintf(line, sizeof(line), "/proc/%d/attr", getpid());
	assert_int_equal(mount("none", line, "tmpfs", 0, "size=4k"), 0);
	RESULT(EPERM, "no mask for another one", in_pidns, &c);
	assert_int_equal(umount2(line, 0), 0);
	assert_int_equal(rig_mounted("/mnt/scratch/a", NULL, 0), 0);
	assert_int_equal(umount2("/proc/fs", 0), 0);
	assert_int_equal(umount2("/proc/sys/vm", 0), 0);
	assert_int_equal(umount2("/proc/sys", 0), 0);
}

/* A sandbox in the container, as bubblewrap and unshare(1) make them: it has all rights in a user namespace
 * of its own. The kernel makes no proc for it, because parts of the one that it has are masked. */
struct sandbox {
	int deeper; /* 1: somebody else's sandbox lies between, which masks more */
	int bare;   /* 1: there is no proc below its root */
	int shared; /* 1: in the container's pid namespace */
	int sysfs;  /* 1: that, not proc */
	const char *target;
};

static void map_root(void)
{
	h_write("/proc/self/setgroups", "deny");
	h_write("/proc/self/uid_map", "0 0 1");
	h_write("/proc/self/gid_map", "0 0 1");
}

static int in_sandbox(void *arg)
{
	const struct sandbox *s = arg;
	int status;
	pid_t pid;

	for (int i = 0; i <= s->deeper; i++) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS | (s->shared || i < s->deeper ? 0 : CLONE_NEWPID)))
			return 240;
		map_root();
		/* In this one it could be taken off, in the next it is locked. */
		if (i < s->deeper && mount("/dev/null", "/proc/misc", NULL, MS_BIND, NULL))
			return 248;
	}
	if (s->bare && (chroot("/mnt") || chdir("/")))
		return 249;
	pid = fork();
	if (!pid) {
		if (mount("x", s->target, s->sysfs ? "sysfs" : "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL))
			_exit(errno);
		if (s->sysfs)
			_exit(0);
		/* Its own processes, and the masks stay whatever it does. */
		if (chdir(s->target) || access(s->shared ? "self/status" : "1/status", F_OK))
			_exit(241);
		if (!s->shared && access("2", F_OK) != -1)
			_exit(242);
		if (rig_read("version") != 200)
			_exit(243);
		if (umount2("version", MNT_DETACH) != -1 || errno != EINVAL)
			_exit(244);
		if (umount2("fs", MNT_DETACH) != -1 || errno != EINVAL)
			_exit(245);
		if (access("fs/ext4", F_OK) != -1)
			_exit(246);
		if (rig_read("misc") != (s->deeper ? 200 : 0))
			_exit(239);
		if (s->deeper && (umount2("misc", MNT_DETACH) != -1 || errno != EINVAL))
			_exit(238);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return 247;
	return WEXITSTATUS(status);
}

#define SANDBOX(expected, why, ...) \
	RESULT(expected, why, in_sandbox, (&(struct sandbox){ __VA_ARGS__ }))

static void test_sandbox(void **state)
{
	__u32 slot = rig_container("policy: sandboxes\n"
				   "defaults: {namespace: allow, mount: allow}\n"
				   "override:\n"
				   "  - on: mount\n"
				   "    type: [proc, sysfs]\n"
				   "    target: [/mnt/nested/*, /proc]\n"
				   "    by: {userns: nested}\n"
				   "    cause: any\n"
				   "    do: perform\n"
				   "  - {on: mount, type: proc, target: /mnt/scratch/*, cause: any, do: perform}\n");

	(void)state;
	SANDBOX(0, "allows it", .target = "/proc");
	SANDBOX(0, "allows it", .target = "/mnt/nested/a");
	SANDBOX(0, "allows it", .target = "/mnt/nested/a", .shared = 1);
	SANDBOX(EPERM, "does not allow callers in a user namespace below", .target = "/mnt/scratch/a");
	SANDBOX(0, "allows it", .target = "/mnt/nested/a", .deeper = 1);
	/* Whoever sees none is given none. */
	SANDBOX(EPERM, "sees none", .target = "/nested/a", .bare = 1);
	SANDBOX(0, "allows it", .target = "/mnt/nested/a", .sysfs = 1);
	assert_int_equal(rig_mounted("/mnt/nested/a", NULL, 0), 0);
	/* Without the rule it is refused. */
	h_policy(slot, "policy: none\ndefaults: {namespace: allow, mount: allow}\n");
	assert_int_equal(rig_run((int)slot, in_sandbox,
				 (&(struct sandbox){ .target = "/mnt/nested/a" })),
			 EPERM);
}

/* -------------------------------------------------------------- below the masks */

/* Whoever has it open when it comes off must not see more than before. */
static int look_below(void *arg)
{
	const char *const *at = arg; /* which mount, what is masked in it */
	char line[64];
	int fd = open(at[0], O_PATH | O_DIRECTORY), file, got;

	if (umount2(at[0], MNT_DETACH))
		return errno;
	file = openat(fd, at[1], O_RDONLY);
	if (file < 0)
		return errno == ENOENT ? 0 : 230;
	got = (int)read(file, line, sizeof(line));
	return got > 0 ? 231 : 0;
}

static void test_lazy(void **state)
{
	static const char *const own[] = { "/proc", "version" }, *const sys[] = { "/sys", "kernel/mm" },
			 *const view[] = { "/mnt/scratch/a", "version" },
			 *const tree[] = { "/mnt/tree", "sub/hidden" },
			 *const bind[] = { "/mnt/scratch/a", "sub/hidden" };
	__u32 slot = rig_container(policy);

	(void)state;
	RESULT(EPERM, "come to light", look_below, (void *)own);
	RESULT(EPERM, "come to light", look_below, (void *)sys);
	assert_int_equal(rig_mounted("/proc/version", NULL, 0), 1);
	assert_int_equal(rig_mounted("/sys/kernel", NULL, 0), 1);
	/* Of a busy one the kernel says so, as ever. */
	RESULT(EBUSY, "", rig_umount, "/proc");
	NEW(0, "", "proc");
	RESULT(0, "", look_below, (void *)view);
	assert_int_equal(rig_mounted("/mnt/scratch/a", NULL, 0), 0);
	/* The same of any other file system. */
	rig_tmpfs(slot, "/mnt/tree", 0, "size=64k");
	h_shell("mkdir /mnt/tree/sub && echo x >/mnt/tree/sub/hidden");
	rig_tmpfs(slot, "/mnt/tree/sub", 0, "size=64k");
	RESULT(EPERM, "come to light", look_below, (void *)tree);
	RESULT(0, "", rig_mount, (&(struct rig_call){ .source = "/mnt/tree", .target = "/mnt/scratch/a",
						      .flags = MS_BIND | MS_REC }));
	RESULT(0, "", look_below, (void *)bind);
	assert_int_equal(umount2("/mnt/tree/sub", 0), 0);
	RESULT(0, "", rig_detach, "/mnt/tree");
	assert_int_equal(rig_mounted("/mnt/tree", NULL, 0), 0);
}

/* What is mounted in a view later is no mask; it goes first. */
static void test_loose(void **state)
{
	__u32 slot = rig_container(policy);

	(void)state;
	NEW(0, "", "proc");
	rig_tmpfs(slot, "/mnt/scratch/a/driver", 0, "size=64k");
	RESULT(EBUSY, "", rig_umount, "/mnt/scratch/a");
	RESULT(EPERM, "come to light", rig_detach, "/mnt/scratch/a");
	assert_int_equal(umount2("/mnt/scratch/a/driver", 0), 0);
	RESULT(0, "", rig_umount, "/mnt/scratch/a");
}

/* --------------------------------------------------------- a user namespace of its own */

static int owner(void)
{
	struct rig_call c = { .source = "proc", .type = "proc", .target = "/mnt/scratch/a" };
	char line[1024];
	int err = rig_owner_mount(&c);

	if (err)
		return err;
	if (rig_mounted("/mnt/scratch/a", line, sizeof(line)) != 1 || !strstr(line, "nosuid,nodev"))
		return 241;
	if (rig_owner_step())
		return 243;
	/* The policy does not stand in the way now: the kernel does. */
	if (umount2("/mnt/scratch/a/version", MNT_DETACH) != -1 || errno != EINVAL)
		return 244;
	if (umount2("/mnt/scratch/a/fs", MNT_DETACH) != -1 || errno != EINVAL)
		return 245;
	if (mount(NULL, "/mnt/scratch/a", NULL, MS_REMOUNT | MS_BIND, NULL) != -1 || errno != EPERM)
		return 246;
	return umount2("/mnt/scratch/a", MNT_DETACH) ? 247 : 0;
}

static void test_owned(void **state)
{
	__u32 slot = rig_container(policy);

	(void)state;
	rig_in_userns(slot, owner, NULL);
}

static int setup(void **state)
{
	h_shell("mkdir -p /mnt/tree /mnt/nested/a");
	return rig_setup(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup_masks, teardown_masks)
		T(test_proc),  T(test_sysfs), T(test_elsewhere), T(test_read_only), T(test_refused),
		T(test_lazy),  T(test_loose), T(test_owned),  T(test_pidns),	 T(test_sandbox),
#undef T
	};

	return cmocka_run_group_tests(tests, setup, rig_teardown);
}
