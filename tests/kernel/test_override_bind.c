// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Binds of what is in the container, made for callers that lack the capability: names and flags go
 * along, nothing that is covered comes to light; and what a hostile container tries with them.
 */
#include "override_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

static const char policy[] =
	"policy: t\n"
	"defaults: {namespace: allow}\n"
	"file: [{deny: [read], path: /mnt/scratch/b/secret}]\n"
	"override:\n"
	"  - {on: mount, source: [/mnt/scratch/**, /mnt/tree, /mnt/tree/**, /proc/**, /sys/**], "
	"target: /mnt/scratch/*, do: perform}\n"
	"  - {on: mount, source: /srv/assets, target: /mnt/scratch/bind, force: [ro, noexec], "
	"flags: {forbid: [rec]}, do: perform}\n"
	"  - {on: umount, target: /mnt/scratch/**, do: perform}\n"
	"  - {on: remount, target: [/mnt/scratch/**, /mnt/tree], do: perform}\n";

#define BIND(expected, why, from, to, ...) \
	rig_result(__LINE__, slot, rig_mount, &(struct rig_call){ .source = (from), .target = (to), \
	       .flags = MS_BIND __VA_ARGS__ }, expected, why)

/* ------------------------------------------------------------------ names and flags */

static void test_names(void **state)
{
	__u32 slot = rig_container(policy);

	(void)state;
	rig_tmpfs(slot, "/mnt/scratch/b", 0, "size=1M");
	h_write("/mnt/scratch/b/secret", "x");
	h_write("/mnt/scratch/b/open", "x");
	assert_int_equal(mount(NULL, "/mnt/scratch/b", NULL, MS_SHARED, NULL), 0);
	BIND(0, "allows it", "/mnt/scratch/b", "/mnt/scratch/a");
	assert_string_equal(rig.last.source, "/mnt/scratch/b");
	assert_non_null(strstr(rig_line("/mnt/scratch/a"), "nosuid,nodev"));
	/* No peer of what it was cloned from. */
	assert_null(strstr(rig_line("/mnt/scratch/a"), "shared:"));
	assert_null(strstr(rig_line("/mnt/scratch/a"), "master:"));
	/* Whatever path leads to it, a file has the name that it had. */
	assert_int_equal(rig_run((int)slot, rig_read, "/mnt/scratch/a/open"), 0);
	assert_int_equal(rig_run((int)slot, rig_read, "/mnt/scratch/a/secret"), EACCES);
	assert_int_equal(rig_run((int)slot, rig_read, "/mnt/scratch/b/secret"), EACCES);
	RESULT(0, "", rig_umount, "/mnt/scratch/a");
	BIND(0, "", "/mnt/scratch/b/secret", "/mnt/scratch/file");
	assert_int_equal(rig_run((int)slot, rig_read, "/mnt/scratch/file"), EACCES);
	RESULT(0, "", rig_umount, "/mnt/scratch/file");
	assert_int_equal(rig_run((int)slot, rig_read, "/mnt/scratch/file"), 0);
	umount2("/mnt/scratch/b", MNT_DETACH);
}

static void test_flags(void **state)
{
	__u32 slot = rig_container(policy);

	(void)state;
	rig_tmpfs(slot, "/mnt/tree", MS_RDONLY | MS_NOEXEC, "size=1M");
	BIND(0, "", "/mnt/tree", "/mnt/scratch/a");
	assert_non_null(strstr(rig_line("/mnt/scratch/a"), "ro,nosuid,nodev,noexec"));
	RESULT(EPERM, "noexec", rig_remount, "/mnt/scratch/a");
	/* Nor by somebody who has the capability: they are locked. */
	assert_int_equal(mount(NULL, "/mnt/scratch/a", NULL, MS_REMOUNT | MS_BIND, NULL), -1);
	assert_int_equal(errno, EPERM);
	umount2("/mnt/scratch/a", MNT_DETACH);
	umount2("/mnt/tree", MNT_DETACH);
	BIND(0, "", "/srv/assets", "/mnt/scratch/bind");
	assert_non_null(strstr(rig_line("/mnt/scratch/bind"), "ro,nosuid,nodev,noexec"));
	assert_int_equal(open("/mnt/scratch/bind/new", O_CREAT | O_WRONLY, 0600), -1);
	assert_int_equal(errno, EROFS);
	umount2("/mnt/scratch/bind", MNT_DETACH);
	BIND(EPERM, "forbids flag", "/srv/assets", "/mnt/scratch/bind", | MS_REC);
	BIND(EPERM, "does not allow the source /srv", "/srv", "/mnt/scratch/bind");
	BIND(EPERM, "does not allow the target /mnt/other", "/mnt/scratch/b", "/mnt/other");
}

/* --------------------------------------------------------------------------- masks */

static void test_masks(void **state)
{
	__u32 slot = rig_container(policy);

	(void)state;
	rig_tmpfs(slot, "/mnt/tree", 0, "size=1M");
	h_shell("mkdir /mnt/tree/sub /mnt/tree/plain && echo x >/mnt/tree/sub/hidden");
	rig_tmpfs(slot, "/mnt/tree/sub", 0, "size=1M");
	BIND(EINVAL, "come to light", "/mnt/tree", "/mnt/scratch/a");
	assert_int_equal(rig_mounted("/mnt/scratch/a", NULL, 0), 0);
	BIND(0, "", "/mnt/tree", "/mnt/scratch/a", | MS_REC);
	assert_int_equal(rig_mounted("/mnt/scratch/a", NULL, 0), 1);
	assert_int_equal(rig_mounted("/mnt/scratch/a/sub", NULL, 0), 1);
	assert_non_null(strstr(rig_line("/mnt/scratch/a/sub"), "nosuid,nodev"));
	assert_int_equal(access("/mnt/scratch/a/sub/hidden", F_OK), -1);
	/* It cannot be taken off by itself, whatever the rights. */
	assert_int_equal(umount2("/mnt/scratch/a/sub", MNT_DETACH), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(umount2("/mnt/scratch/a", MNT_DETACH), 0);
	BIND(0, "", "/mnt/tree/plain", "/mnt/scratch/a");
	umount2("/mnt/scratch/a", MNT_DETACH);
	umount2("/mnt/tree/sub", MNT_DETACH);
	umount2("/mnt/tree", MNT_DETACH);
}

/* ------------------------------------------------------------------------- hostile */

static int do_bind_fd(void *arg)
{
	char path[64];
	int fd = open(arg, O_PATH);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return h_errno(mount(path, "/mnt/scratch/a", NULL, MS_BIND, NULL));
}

static void test_hostile(void **state)
{
	__u32 slot = rig_container(policy);
	char path[64];
	int host;

	(void)state;
	BIND(EPERM, "kernel's own state", "/proc/sys", "/mnt/scratch/a");
	BIND(EPERM, "kernel's own state", "/sys/kernel", "/mnt/scratch/a", | MS_REC);
	BIND(EPERM, "without a name", "/proc/self/root/etc", "/mnt/scratch/a");
	BIND(EPERM, "without a name", "/mnt/scratch/nothing", "/mnt/scratch/a");
	assert_int_equal(symlink("/mnt/other", "/mnt/scratch/evil"), 0);
	BIND(EPERM, "does not allow the source /mnt/other", "/mnt/scratch/evil", "/mnt/scratch/a");
	BIND(EPERM, "does not allow the target /mnt/other", "/mnt/scratch/b", "/mnt/scratch/evil");
	unlink("/mnt/scratch/evil");
	BIND(EPERM, "of its own", "/mnt/scratch/b", "/mnt/scratch/a", , .unshare = CLONE_NEWNS);
	RESULT(EPERM, "does not allow the source /mnt/other", do_bind_fd, "/mnt/other");
	RESULT(0, "", do_bind_fd, "/mnt/scratch/b");
	umount2("/mnt/scratch/a", MNT_DETACH);
	/* The same folder by a mount of the host's namespace. */
	snprintf(path, sizeof(path), "/proc/%d/root/mnt/scratch/b", getppid());
	host = open(path, O_PATH);
	assert_true(host >= 0);
	close(host);
	RESULT(EPERM, "without a name", do_bind_fd, path);
	assert_int_equal(rig_mounted("/mnt/scratch/a", NULL, 0), 0);
}

/* --------------------------------------------------------- a user namespace of its own */

static int owner(void)
{
	struct rig_call c = { .source = "/mnt/scratch/b", .target = "/mnt/scratch/a", .flags = MS_BIND };
	char line[1024];
	int err = rig_owner_mount(&c);

	if (err)
		return err;
	if (rig_mounted("/mnt/scratch/a", line, sizeof(line)) != 1 || !strstr(line, "nosuid,nodev"))
		return 241;
	if (rig_owner_step())
		return 243;
	/* The policy does not stand in the way now: the kernel does. */
	if (mount(NULL, "/mnt/scratch/a", NULL, MS_REMOUNT | MS_BIND, NULL) != -1 || errno != EPERM)
		return 244;
	return umount2("/mnt/scratch/a", MNT_DETACH) ? 246 : 0;
}

static void test_owned(void **state)
{
	__u32 slot = rig_container(policy);

	(void)state;
	rig_in_userns(slot, owner, NULL);
}

static int setup(void **state)
{
	int err;

	h_shell("mkdir -p /mnt/tree && touch /mnt/file");
	err = rig_setup(state);
	h_write("/mnt/scratch/file", "x");
	return err;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),	cmocka_unit_test(test_flags),
		cmocka_unit_test(test_masks),	cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_owned),
	};

	return cmocka_run_group_tests(tests, setup, rig_teardown);
}
