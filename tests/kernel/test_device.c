// SPDX-License-Identifier: LGPL-2.1-or-later
/* Class "device" against the kernel: nodes that the runtime made, nodes elsewhere, making them. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cleanup.h"

#define BROKEN 90

static __u32 standard, listed, closed, audit;

static int do_open(void *path)
{
	return h_open(path, O_RDONLY | O_NONBLOCK);
}

static int do_open_write(void *path)
{
	return h_open(path, O_WRONLY | O_NONBLOCK);
}

/* O_PATH is no use of the device; opening it again is. */
static int do_reopen(void *path)
{
	cleanup_close int fd = open(path, O_PATH);
	char again[64];

	if (fd < 0)
		return BROKEN;
	snprintf(again, sizeof(again), "/proc/self/fd/%d", fd);
	return do_open(again);
}

/* Those of /dev are the runtime's, and nothing speaks of them. */
static void test_runtime(void **state)
{
	(void)state;
	assert_int_equal(h_run((int)standard, do_open, "/dev/null"), 0);
	assert_int_equal(h_run((int)standard, do_open_write, "/dev/zero"), 0);
	assert_int_equal(h_run((int)standard, do_open, "/d/bound"), 0);
	assert_int_equal(h_run((int)listed, do_open, "/dev/null"), 0);
	assert_int_equal(h_run((int)listed, do_open, "/dev/zero"), EPERM);
	assert_int_equal(h_run((int)closed, do_open, "/dev/null"), EACCES);
	assert_int_equal(h_run((int)closed, do_open, "/dev/zero"), EPERM);
	assert_int_equal(h_run((int)audit, do_open, "/dev/zero"), 0);
}

/* In a volume, or in the image below what is mounted on /dev. */
static void test_elsewhere(void **state)
{
	(void)state;
	assert_int_equal(h_run(-1, do_open, "/d/null"), 0);
	assert_int_equal(h_run((int)standard, do_open, "/d/null"), EPERM);
	assert_int_equal(h_run((int)standard, do_reopen, "/d/null"), EPERM);
	assert_int_equal(h_run((int)standard, do_open_write, "/d/null"), EPERM);
	assert_int_equal(h_run((int)standard, do_open, "/d/dev/null"), EPERM);
	assert_int_equal(h_run((int)standard, do_open, "/d/device/null"), EPERM);
	assert_int_equal(h_run((int)listed, do_open, "/d/null"), 0);
	assert_int_equal(h_run((int)listed, do_open, "/d/full"), 0);
	assert_int_equal(h_run((int)listed, do_open, "/d/zero"), EPERM);
	assert_int_equal(h_run((int)audit, do_open, "/d/null"), 0);
	/* No device: FIFOs and files. */
	assert_int_equal(h_run((int)closed, do_open, "/d/fifo"), 0);
	assert_int_equal(h_run((int)closed, do_open, "/d/file"), 0);
}

static int open_unlinked(void *path)
{
	cleanup_close int fd = open(path, O_PATH);
	char again[64];

	if (fd < 0 || unlink(path))
		return BROKEN;
	snprintf(again, sizeof(again), "/proc/self/fd/%d", fd);
	return do_open(again);
}

static void test_unlinked(void **state)
{
	(void)state;
	h_shell("/usr/bin/busybox mknod /d/gone c 1 3");
	assert_int_equal(h_run((int)standard, open_unlinked, "/d/gone"), EPERM);
	h_shell("/usr/bin/busybox mknod /d/gone c 1 3");
	assert_int_equal(h_run((int)listed, open_unlinked, "/d/gone"), 0);
}

static void test_block(void **state)
{
	__u32 s = h_container("policy: b\ndevice:\n  - allow: [open]\n    node: 'b 7:*'\n");
	int here = h_run(-1, do_open, "/d/block");

	(void)state;
	/* With a driver or without: the container's answer comes first. */
	assert_int_not_equal(here, EPERM);
	assert_int_equal(h_run((int)standard, do_open, "/d/block"), EPERM);
	assert_int_equal(h_run((int)s, do_open, "/d/block"), here);
	assert_int_equal(h_run((int)s, do_open, "/d/null"), EPERM);
}

/* ------------------------------------------------------------------------ memory */

static void test_memory_devices(void **state)
{
	__u32 s = h_container("policy: u\nunsafe: [memory_devices]\ndevice:\n"
			      "  - allow: [open]\n    node: ['c 1:1', 'c 202:*']\n");
	__u32 half = h_container("policy: h\nunsafe: [memory_devices]\n");
	__u32 star = h_container("policy: star\ndevice:\n  - allow: [open, mknod]\n    node: '*'\n");

	(void)state;
	assert_int_equal(h_run((int)standard, do_open, "/d/mem"), EPERM);
	assert_int_equal(h_run((int)star, do_open, "/d/mem"), EPERM);
	assert_int_equal(h_run((int)star, do_open, "/d/msr"), EPERM);
	assert_int_equal(h_run((int)star, do_open, "/d/zero"), 0);
	assert_int_equal(h_run((int)audit, do_open, "/d/mem"), EPERM);
	assert_int_equal(h_run((int)half, do_open, "/d/mem"), EPERM);
	assert_int_equal(h_run((int)s, do_open, "/d/mem"), h_run(-1, do_open, "/d/mem"));
	assert_int_equal(h_run((int)s, do_open, "/d/msr"), h_run(-1, do_open, "/d/msr"));
	assert_int_not_equal(h_run(-1, do_open, "/d/mem"), EPERM);
}

/* ------------------------------------------------------------------------- mknod */

struct node {
	mode_t mode;
	dev_t dev;
};

static int do_mknod(void *arg)
{
	struct node *n = arg;

	unlink("/d/made");
	return h_errno(mknod("/d/made", n->mode, n->dev));
}

static void test_mknod(void **state)
{
	struct node null = { S_IFCHR | 0600, makedev(1, 3) };
	struct node full = { S_IFCHR | 0600, makedev(1, 7) };
	struct node disk = { S_IFBLK | 0600, makedev(8, 0) };
	struct node large = { S_IFCHR | 0600, makedev(300, 70000) };
	struct node fifo = { S_IFIFO | 0600, 0 }, whiteout = { S_IFCHR | 0600, 0 };
	__u32 maker = h_container("policy: m\ndevice:\n"
				  "  - allow: [mknod]\n    node: ['c 1:3', 'c 300:70000']\n"
				  "  - deny: [mknod]\n    node: 'b *:*'\n    errno: EACCES\n");

	(void)state;
	assert_int_equal(h_run(-1, do_mknod, &disk), 0);
	assert_int_equal(h_run((int)standard, do_mknod, &null), EPERM);
	assert_int_equal(h_run((int)standard, do_mknod, &disk), EPERM);
	assert_int_equal(h_run((int)standard, do_mknod, &fifo), 0);
	assert_int_equal(h_run((int)standard, do_mknod, &whiteout), 0);
	assert_int_equal(h_run((int)maker, do_mknod, &null), 0);
	assert_int_equal(h_run((int)maker, do_mknod, &large), 0);
	assert_int_equal(h_run((int)maker, do_mknod, &full), EPERM);
	assert_int_equal(h_run((int)maker, do_mknod, &disk), EACCES);
	assert_int_equal(h_run((int)audit, do_mknod, &disk), 0);
	/* Made is not opened. */
	assert_int_equal(h_run((int)maker, do_mknod, &null), 0);
	assert_int_equal(h_run((int)maker, do_open, "/d/made"), EPERM);
}

static void test_event(void **state)
{
	char name[WARDER_PATH_MAX], detail[WARDER_PATH_MAX];
	struct warder_event e;

	(void)state;
	h_events_drop();
	assert_int_equal(h_run((int)standard, do_open, "/d/null"), EPERM);
	assert_int_equal(h_event_last(standard, &e, name, detail), 1);
	assert_int_equal(e.class_, WARDER_CLASS_DEVICE);
	assert_int_equal(e.hook, WARDER_HOOK_FILE_OPEN);
	assert_int_equal(e.access, WARDER_DEV_OPEN);
	assert_int_equal(e.arg[0], S_IFCHR);
	assert_true(e.arg[1] == (1ull << 32 | 3));
	assert_int_equal(e.v.why, WARDER_WHY_DEFAULT);
}

static int prepare(void **state)
{
	(void)state;
	h_shell("mkdir -p /d && /usr/bin/mount -t tmpfs none /d && cd /d && mkdir dev device && "
		"b=/usr/bin/busybox; $b mknod null c 1 3 && $b mknod zero c 1 5 && "
		"$b mknod full c 1 7 && $b mknod mem c 1 1 && $b mknod msr c 202 0 && "
		"$b mknod dev/null c 1 3 && $b mknod device/null c 1 3 && $b mknod block b 7 0 && "
		"$b mkfifo fifo && : >file && : >bound && "
		"/usr/bin/mount --bind /d/zero /d/bound");
	standard = h_container("policy: standard\n");
	listed = h_container("policy: listed\ndevice:\n"
			     "  - allow: [open]\n    node: ['c 1:3', 'c 1:7']\n"
			     "  - deny: [open]\n    node: 'c 1:5'\n");
	closed = h_container("policy: closed\ndefaults: {device: deny}\ndevice:\n"
			     "  - deny: [open]\n    node: 'c 1:3'\n    errno: EACCES\n");
	audit = h_container("policy: audit\nmode: audit\ndefaults: {device: deny}\n");
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_runtime),	       cmocka_unit_test(test_elsewhere),
		cmocka_unit_test(test_unlinked),       cmocka_unit_test(test_block),
		cmocka_unit_test(test_memory_devices), cmocka_unit_test(test_mknod),
		cmocka_unit_test(test_event),
	};

	return cmocka_run_group_tests(tests, prepare, NULL);
}
