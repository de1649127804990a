// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Images of a container's, mounted for callers that lack the capability and read by FUSE programs: those
 * of Debian, and one of our own (tests/fuse/testfuse.c) that tells what it may do, or misbehaves.
 */
#include "override_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define GROUP "/sys/fs/cgroup/box"
#define IMAGES "/srv/c"

static const char policy[] =
	"policy: t\n"
	"defaults: {namespace: allow}\n"
	"file: [{deny: [read], path: [" IMAGES "/denied.img, /mnt/scratch/a/secret]}]\n"
	"override:\n"
	"  - {on: mount, type: [ext4, squashfs, xfs], source: " IMAGES "/*.img, target: /mnt/scratch/*, "
	"fuse: {ext4: fuse2fs, squashfs: squashfuse, xfs: testfuse}, deadline: 60s, do: perform}\n"
	"  - {on: mount, type: f2fs, source: " IMAGES "/*.img, target: /mnt/scratch/*, "
	"fuse: {f2fs: testfuse}, deadline: 2s, do: perform}\n"
	"  - {on: mount, type: erofs, image: /srv/host.img, target: /mnt/scratch/*, "
	"fuse: {erofs: /usr/local/bin/testfuse}, force: [noexec], deadline: 60s, do: perform}\n"
	"  - {on: umount, target: /mnt/scratch/**, do: perform}\n"
	"  - {on: remount, target: /mnt/scratch/**, do: perform}\n";

#define MOUNT(expected, why, fs, file, to, ...) \
	rig_result(__LINE__, slot, rig_mount, &(struct rig_call){ .source = (file), \
	       .target = (to), .type = (fs), __VA_ARGS__ }, expected, why)

/* Processes beside ours in the cgroup that callers are in, once there are `wanted` or time is up. */
static int programs(int wanted)
{
	char line[32];
	int n = -1;

	for (int i = 0; i < 1500 && n != wanted; i++) {
		FILE *f = fopen(GROUP "/cgroup.procs", "r");

		assert_non_null(f);
		for (n = 0; fgets(line, sizeof(line), f);)
			n += atoi(line) != getpid();
		fclose(f);
		if (n != wanted)
			usleep(10000);
	}
	return n;
}

static char text[2048];

static int do_read(void *arg)
{
	int fd = open(arg, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	int err = n < 0 ? errno : 0;

	text[n > 0 ? n : 0] = '\0';
	if (fd >= 0)
		close(fd);
	return err;
}

static void reads(const char *path, const char *expected)
{
	int err = do_read((void *)path);

	if (err || !strstr(text, expected))
		fail_msg("%s: %s, not \"%s\" in:\n%s", path, strerror(err), expected, text);
}

static void test_served(void **state)
{
	__u32 slot = rig_container(policy);

	(void)state;
	MOUNT(0, "allows it", "xfs", IMAGES "/ok.img", "/mnt/scratch/a");
	reads("/mnt/scratch/a/file", "hello");
	reads("/mnt/scratch/a/report", "uid 65534 65534 65534 gid 65534 65534 65534 pid 2 groups 0 bounding 0 "
	      "privs 1 seccomp 1 rw 13\npasswd 2 proc 2 root 2 var 2 new 30 socket 1 mount 1 unshare 1 setuid 1");
	assert_int_equal(programs(2), 2);
	/* Nobody but its owner may write the image: what is mounted says so. */
	assert_non_null(strstr(rig_line("/mnt/scratch/a"), " ro,nosuid,nodev"));
	assert_non_null(strstr(rig_line("/mnt/scratch/a"), " - fuse.xfs " IMAGES "/ok.img "));
	/* What it holds has names at once, of which file rules speak. */
	assert_int_equal(rig_run((int)slot, do_read, "/mnt/scratch/a/file"), 0);
	assert_int_equal(rig_run((int)slot, do_read, "/mnt/scratch/a/secret"), EACCES);
	assert_int_equal(open("/mnt/scratch/a/null", O_RDWR), -1);
	assert_int_equal(errno, EACCES);
	RESULT(EPERM, "stays read-only", rig_remount, "/mnt/scratch/a");
	assert_non_null(strstr(rig_line("/mnt/scratch/a"), " ro,nosuid,nodev"));
	RESULT(0, "", rig_umount, "/mnt/scratch/a");
	assert_int_equal(programs(0), 0);
	MOUNT(0, "", "erofs", "/srv/host.img", "/mnt/scratch/a");
	reads("/mnt/scratch/a/file", "from the host");
	assert_non_null(strstr(rig_line("/mnt/scratch/a"), " ro,nosuid,nodev,noexec"));
	assert_int_equal(umount2("/mnt/scratch/a", 0), 0);
	assert_int_equal(programs(0), 0);
}

static void test_debian(void **state)
{
	__u32 slot = rig_container(policy);

	(void)state;
	MOUNT(0, "", "ext4", IMAGES "/ext4.img", "/mnt/scratch/a");
	assert_int_equal(access("/mnt/scratch/a/lost+found", F_OK), 0);
	MOUNT(0, "", "squashfs", IMAGES "/squashfs.img", "/mnt/scratch/b");
	reads("/mnt/scratch/b/file", "hello");
	assert_int_equal(programs(4), 4);
	assert_int_equal(umount2("/mnt/scratch/a", 0), 0);
	assert_int_equal(umount2("/mnt/scratch/b", 0), 0);
	assert_int_equal(programs(0), 0);
}

static void test_refused(void **state)
{
	__u32 slot = rig_container(policy);

	(void)state;
	MOUNT(EPERM, "finds no image at " IMAGES "/missing.img", "xfs", IMAGES "/missing.img", "/mnt/scratch/a");
	MOUNT(EPERM, "does not allow the image /srv/host.img", "xfs", "/srv/host.img", "/mnt/scratch/a");
	MOUNT(EPERM, "does not allow the target", "xfs", IMAGES "/ok.img", "/mnt/other");
	MOUNT(EPERM, "denies this", "xfs", IMAGES "/denied.img", "/mnt/scratch/a");
	MOUNT(EPERM, "does not list option debug", "xfs", IMAGES "/ok.img", "/mnt/scratch/a", .data = "debug");
	MOUNT(EPERM, "no regular file", "xfs", IMAGES "/fifo.img", "/mnt/scratch/a");
	MOUNT(EPERM, "no regular file", "xfs", IMAGES "/null.img", "/mnt/scratch/a");
	MOUNT(EPERM, "may not read the image", "xfs", IMAGES "/closed.img", "/mnt/scratch/a");
	/* A symlink out of what the caller sees: the rule is about what it leads to. */
	MOUNT(EPERM, "does not allow the image /srv/host.img", "xfs", IMAGES "/link.img", "/mnt/scratch/a");
	MOUNT(EPERM, "finds no image at /out.img", "xfs", "/out.img", "/mnt", .root = IMAGES);
	assert_int_equal(programs(0), 0);
	assert_int_equal(rig_mounted("/mnt/scratch/a", NULL, 0), 0);
}

static void test_hostile(void **state)
{
	__u32 slot = rig_container(policy);

	(void)state;
	MOUNT(EPERM, "does not serve the image: testfuse: ?[1mbad image", "xfs", IMAGES "/dies.img",
	      "/mnt/scratch/a");
	MOUNT(EPERM, "", "f2fs", IMAGES "/silent.img", "/mnt/scratch/a");
	assert_int_equal(programs(0), 0);
	MOUNT(EPERM, "", "f2fs", IMAGES "/mute.img", "/mnt/scratch/a");
	assert_int_equal(programs(0), 0);
	assert_int_equal(rig_mounted("/mnt/scratch/a", NULL, 0), 0);
	/* One that does not want to end is ended. */
	MOUNT(0, "", "xfs", IMAGES "/deaf.img", "/mnt/scratch/a");
	assert_int_equal(umount2("/mnt/scratch/a", 0), 0);
	assert_int_equal(programs(0), 0);
}

/* ---------------------------------------------- a user namespace and mounts of its own */

static pid_t *owner_pid;

static int owner(void)
{
	struct rig_call c = { .source = IMAGES "/own.img", .target = "/mnt/scratch/a", .type = "xfs" };
	int err, fd;

	*owner_pid = getpid();
	err = rig_owner_mount(&c);
	if (err)
		return err;
	if (do_read("/mnt/scratch/a/report") ||
	    !strstr(text, "uid 100000 100000 100000 gid 100000 100000 100000 pid 2 groups 0 bounding 0 "
			  "privs 1 seccomp 1 rw 0\n"))
		return 241;
	fd = open("/mnt/scratch/a/null", O_RDWR);
	if (fd >= 0 || errno != EACCES)
		return 242;
	if (rig_owner_step())
		return 243;
	/* The policy does not stand in the way now: the kernel does. */
	if (mount(NULL, "/mnt/scratch/a", NULL, MS_REMOUNT | MS_BIND, NULL) != -1 || errno != EPERM)
		return 244;
	/* It ends with the mount in place. */
	return 0;
}

static void from_outside(void)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/root/mnt/scratch/a/file", *owner_pid);
	assert_int_equal(stat(path, &st), -1);
	assert_int_equal(errno, EACCES);
	snprintf(path, sizeof(path), "/proc/%d/root/mnt/scratch/a", *owner_pid);
	assert_int_equal(open(path, O_RDONLY | O_DIRECTORY), -1);
	assert_int_equal(errno, EACCES);
}

static void test_owned(void **state)
{
	__u32 slot = rig_container(policy);

	(void)state;
	rig_in_userns(slot, owner, from_outside);
	/* Nothing is left of it. */
	assert_int_equal(programs(0), 0);
}

/* The caller is killed while it is decided: nothing is made, or it is taken off again. */
static void test_killed(void **state)
{
	__u32 slot = rig_container(policy);
	struct rig_call c = { .source = IMAGES "/ok.img", .target = "/mnt/scratch/a", .type = "xfs" };

	(void)state;
	rig_mount_killed(slot, &c);
	assert_int_equal(programs(0), 0);
}

/* The last one: the supervisor goes, and what it has started for a container does not. */
static void test_stays(void **state)
{
	__u32 slot = rig_container(policy);

	(void)state;
	MOUNT(0, "", "xfs", IMAGES "/ok.img", "/mnt/scratch/a");
	override_free(rig.override);
	rig.override = NULL;
	reads("/mnt/scratch/a/file", "hello");
	assert_int_equal(programs(2), 2);
	assert_int_equal(umount2("/mnt/scratch/a", 0), 0);
	assert_int_equal(programs(0), 0);
}

static int setup(void **state)
{
	int err;

	owner_pid = h_shared(sizeof(*owner_pid));
	h_shell("modprobe fuse; mkdir -p " IMAGES " " GROUP " && cd " IMAGES " && "
		"for word in ok deaf dies silent mute; do echo \"$word hello\" >$word.img; done && "
		"cp ok.img denied.img && cp ok.img own.img && chown 100000:100000 own.img && "
		"cp ok.img closed.img && chmod 600 closed.img && echo 'ok from the host' >../host.img && "
		"mkfifo fifo.img && mknod null.img c 1 3 && ln -s ../host.img link.img && ln -s /srv/host.img out.img && mkdir mnt && "
		"truncate -s 1M ext4.img && busybox mke2fs -F ext4.img >/dev/null && "
		"echo " RIG_SQUASHFS_IMAGE " | base64 -d | gunzip >squashfs.img && chmod -R a+rX,go-w . ../host.img && "
		"chmod 600 closed.img");
	err = rig_setup(state);
	h_write(GROUP "/cgroup.procs", "0");
	return err;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_served), cmocka_unit_test(test_debian),  cmocka_unit_test(test_refused),
		cmocka_unit_test(test_hostile), cmocka_unit_test(test_owned),   cmocka_unit_test(test_killed),
		cmocka_unit_test(test_stays),
	};

	return cmocka_run_group_tests(tests, setup, rig_teardown);
}
