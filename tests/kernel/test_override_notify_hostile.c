// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The new mount API of containers that lack the capability, used in every way but as it is meant: odd
 * arguments, too many contexts, another container's, paths and options that change meanwhile, and callers
 * that die.
 */
#include "notify_rig.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ------------------------------------------------------------------------- arguments */

static int odd_arguments(void *arg)
{
	static char huge[65536];
	struct mount_attr attr = { 0 };
	int fs, fs2, mnt, file = open("/etc/passwd", O_RDONLY);

	(void)arg;
	memset(huge, 'x', sizeof(huge) - 1);
	EXPECT("no type", fsopen(NULL, 0), EPERM);
	EXPECT("bad address", fsopen((char *)8, 0), EPERM);
	EXPECT("huge type", fsopen(huge, 0), EPERM);
	EXPECT("unknown flags", fsopen("tmpfs", 2), EPERM);
	OK(fs = fsopen("tmpfs", 0));
	if (fcntl(fs, F_GETFD) & FD_CLOEXEC)
		return 201;
	EXPECT("foreign file", fsconfig(file, FSCONFIG_SET_FLAG, "ro", NULL, 0), EINVAL);
	EXPECT("foreign file's mount", fsmount(file, 0, 0), EPERM);
	EXPECT("foreign file attached",
	       move_mount(file, "", AT_FDCWD, "/mnt/scratch/a", MOVE_MOUNT_F_EMPTY_PATH), EPERM);
	EXPECT("no descriptor", fsconfig(999, FSCONFIG_SET_FLAG, "ro", NULL, 0), EBADF);
	EXPECT("no key", fsconfig(fs, FSCONFIG_SET_FLAG, NULL, NULL, 0), EINVAL);
	EXPECT("bad key", fsconfig(fs, FSCONFIG_SET_FLAG, (char *)8, NULL, 0), EFAULT);
	EXPECT("huge key", fsconfig(fs, FSCONFIG_SET_FLAG, huge, NULL, 0), EINVAL);
	EXPECT("huge value", fsconfig(fs, FSCONFIG_SET_STRING, "size", huge, 0), EINVAL);
	EXPECT("bad value", fsconfig(fs, FSCONFIG_SET_STRING, "size", (char *)8, 0), EFAULT);
	EXPECT("smuggled", fsconfig(fs, FSCONFIG_SET_STRING, "size", "1M,uid=0", 0), EINVAL);
	EXPECT("unknown command", fsconfig(fs, 77, NULL, NULL, 0), EOPNOTSUPP);
	EXPECT("a descriptor as value", fsconfig(fs, FSCONFIG_SET_FD, "size", NULL, file), EINVAL);
	EXPECT("not created", fsmount(fs, 0, 0), EINVAL);
	EXPECT("context attached",
	       move_mount(fs, "", AT_FDCWD, "/mnt/scratch/a", MOVE_MOUNT_F_EMPTY_PATH), EINVAL);
	EXPECT("size", fsconfig(fs, FSCONFIG_SET_STRING, "size", "1M", 0), 0);
	/* Another number of the same open file, and the first one gone. */
	OK(fs2 = dup(fs));
	close(fs);
	EXPECT("closed", fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0), EBADF);
	EXPECT("duplicate", fsconfig(fs2, FSCONFIG_CMD_CREATE, NULL, NULL, 0), 0);
	EXPECT("twice", fsconfig(fs2, FSCONFIG_CMD_CREATE, NULL, NULL, 0), EBUSY);
	EXPECT("unknown attributes", fsmount(fs2, 0, 1u << 30), EINVAL);
	OK(mnt = fsmount(fs2, 0, MOUNT_ATTR_NOEXEC));
	EXPECT("mounted twice", fsmount(fs2, 0, 0), EBUSY);
	EXPECT("a mount is no context", fsmount(mnt, 0, 0), EINVAL);
	EXPECT("short attributes", mount_setattr(mnt, "", AT_EMPTY_PATH, &attr, 8), EINVAL);
	EXPECT("bad attributes", mount_setattr(mnt, "", AT_EMPTY_PATH, (void *)8, 32), EFAULT);
	attr.attr_set = MOUNT_ATTR_IDMAP;
	EXPECT("idmapped", mount_setattr(mnt, "", AT_EMPTY_PATH, &attr, sizeof(attr)), EPERM);
	EXPECT("no target", move_mount(mnt, "", AT_FDCWD, NULL, MOVE_MOUNT_F_EMPTY_PATH), EFAULT);
	EXPECT("beneath", move_mount(mnt, "", AT_FDCWD, "/mnt/scratch/a",
				     MOVE_MOUNT_F_EMPTY_PATH | 0x200), EPERM);
	EXPECT("attached", move_mount(mnt, "", AT_FDCWD, "/mnt/scratch/a", MOVE_MOUNT_F_EMPTY_PATH),
	       0);
	EXPECT("once only", move_mount(mnt, "", AT_FDCWD, "/mnt/scratch/b",
				       MOVE_MOUNT_F_EMPTY_PATH), EPERM);
	EXPECT("picked", fspick(AT_FDCWD, "/mnt/scratch/a", 0), EPERM);
	EXPECT("set", mount_setattr(AT_FDCWD, "/mnt/scratch/a", 0, &attr, sizeof(attr)), EPERM);
	/* The kernel gives a tree without a clone to anybody. */
	EXPECT("opened", open_tree(AT_FDCWD, "/mnt/scratch/a", 0), 0);
	return 0;
}

static void test_arguments(void **state)
{
	__u32 slot = rig_container(rig_policy);

	(void)state;
	assert_int_equal(notify_run(slot, odd_arguments, NULL), 0);
	assert_int_equal(rig_mounted("/mnt/scratch/a", NULL, 0), 1);
	assert_int_equal(rig_mounted("/mnt/scratch/b", NULL, 0), 0);
	assert_int_equal(umount2("/mnt/scratch/a", 0), 0);
}

/* Contexts that nobody uses make room for new ones, and never more than so many are kept. */
static int many(void *arg)
{
	int first = -1, last = -1;

	(void)arg;
	for (int i = 0; i < 40; i++) {
		OK(last = fsopen("tmpfs", 0));
		first = first < 0 ? last : first;
	}
	EXPECT("forgotten", fsconfig(first, FSCONFIG_CMD_CREATE, NULL, NULL, 0), EPERM);
	EXPECT("kept", fsconfig(last, FSCONFIG_CMD_CREATE, NULL, NULL, 0), 0);
	return 0;
}

static void test_many(void **state)
{
	(void)state;
	assert_int_equal(notify_run(rig_container(rig_policy), many, NULL), 0);
}

/* ----------------------------------------------------------------- another container */

static int lend(void *arg)
{
	int fs;

	(void)arg;
	OK(fs = fsopen("tmpfs", 0));
	OK(fsconfig(fs, FSCONFIG_SET_STRING, "size", "1M", 0));
	__atomic_store_n(&notified->token, fs, __ATOMIC_RELEASE);
	return notify_wait_for(&notified->step, 1) ? 210 : h_errno(fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
}

static int borrowed;

static int use_borrowed(void *arg)
{
	(void)arg;
	EXPECT("created", fsconfig(borrowed, FSCONFIG_CMD_CREATE, NULL, NULL, 0), EPERM);
	EXPECT("mounted", fsmount(borrowed, 0, 0), EPERM);
	return 0;
}

static void test_another_container(void **state)
{
	struct notified_call lender = { .fn = lend };
	__u32 a = rig_container(rig_policy), b = rig_container(rig_policy);
	struct notified *mine;
	int pidfd;
	pid_t pid;

	(void)state;
	pid = notify_begin(a, &lender, 1);
	assert_int_equal(notify_wait_for(&notified->token, 1), 0);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	borrowed = (int)syscall(SYS_pidfd_getfd, pidfd, notified->token, 0);
	assert_true(borrowed >= 0);
	close(pidfd);
	/* The other one has a page of its own. */
	mine = notified;
	notified = h_shared(sizeof(*notified));
	assert_int_equal(notify_run(b, use_borrowed, NULL), 0);
	munmap(notified, sizeof(*notified));
	notified = mine;
	/* And whoever has no filter at all is told so by the kernel. */
	assert_int_equal(h_run((int)b, use_borrowed, NULL), 0);
	__atomic_store_n(&notified->step, 1, __ATOMIC_RELEASE);
	assert_int_equal(rig_wait(pid), 0);
	close(borrowed);
}

/* ------------------------------------------------------------------------------ races */

static char racing[2][64];
static volatile int racing_on;

static void *rewrite(void *arg)
{
	(void)arg;
	for (unsigned i = 0; racing_on; i++) {
		memcpy(racing[0], i & 1 ? "900M" : "1M\0\0", 5);
		memcpy(racing[1], i & 1 ? "/mnt/other" : "/mnt/scratch/a", 15);
	}
	return NULL;
}

/* Another thread changes size and target all the time: what is decided on is what is done. */
static int race(void *arg)
{
	pthread_t thread;

	(void)arg;
	racing_on = 1;
	strcpy(racing[0], "1M");
	strcpy(racing[1], "/mnt/scratch/a");
	if (pthread_create(&thread, NULL, rewrite, NULL))
		return 220;
	for (int i = 0; i < 12; i++) {
		int fs = fsopen("tmpfs", 0), mnt;

		if (fs < 0)
			return 221;
		if (fsconfig(fs, FSCONFIG_SET_STRING, "size", racing[0], 0))
			return 222;
		if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) && errno != EPERM)
			return 223;
		mnt = fsmount(fs, 0, 0);
		if (mnt >= 0 && move_mount(mnt, "", AT_FDCWD, racing[1], MOVE_MOUNT_F_EMPTY_PATH) &&
		    errno != EPERM && errno != ENOENT)
			return 224;
		close(fs);
		if (mnt >= 0)
			close(mnt);
	}
	racing_on = 0;
	pthread_join(thread, NULL);
	return 0;
}

static void test_race(void **state)
{
	char line[1024];

	(void)state;
	assert_int_equal(notify_run(rig_container(rig_policy), race, NULL), 0);
	assert_int_equal(rig_mounted("/mnt/other", NULL, 0), 0);
	while (rig_mounted("/mnt/scratch/a", line, sizeof(line))) {
		assert_non_null(strstr(line, "size=1024k"));
		assert_int_equal(umount2("/mnt/scratch/a", 0), 0);
	}
}

/* ---------------------------------------------------------------------------- deaths */

static void test_killed(void **state)
{
	struct new_mount m = { .type = "tmpfs", .source = "none", .target = "/mnt/scratch/b" };
	struct notified_call c = { .fn = new_mount, .arg = &m };
	__u32 slot = rig_container(rig_policy);

	(void)state;
	/* At each of its calls in turn; a signal that kills comes through. */
	for (int i = 0; i < 6; i++) {
		pid_t pid;

		__atomic_store_n(&rig.caller, 0, __ATOMIC_RELEASE);
		pid = notify_begin(slot, &c, 1);
		usleep((useconds_t)(i * 4000));
		kill(pid, SIGKILL);
		assert_int_not_equal(rig_wait(pid), 1);
		usleep(100000);
		/* Mounted or not, never half. */
		while (rig_mounted("/mnt/scratch/b", NULL, 0))
			assert_int_equal(umount2("/mnt/scratch/b", 0), 0);
	}
	/* The next one is served as ever. */
	assert_int_equal(notify_run(slot, new_mount, &m), 0);
	assert_int_equal(umount2("/mnt/scratch/b", 0), 0);
}

static int setup(void **state)
{
	notify_setup();
	return rig_setup(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arguments), cmocka_unit_test(test_many),
		cmocka_unit_test(test_another_container),
		cmocka_unit_test(test_race),	  cmocka_unit_test(test_killed),
	};

	return cmocka_run_group_tests(tests, setup, rig_teardown);
}
