// SPDX-License-Identifier: LGPL-2.1-or-later
/* The keeper of listeners: what calls see while nobody, and then somebody else, is there to answer. */
#include <errno.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "container.h"
#include "keeper.h"
#include "override.h"

#define CID 7
#define SLOT 3

static struct shared {
	volatile int listener, go, result[4], done;
} *shared;
static struct override_inflight *inflight;
static int inflight_fd, exe_fd, listener = -1;
static char dir[32] = "/tmp/warder-keeper.XXXXXX";
static pid_t caller;

/* Asks when it is told to, and says what it was told. */
static int call_main(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };
	struct warder_error e = { "" };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	shared->listener = override_filter_install(OVERRIDE_FILTER_MOUNT, &e);
	while (!shared->go)
		usleep(1000);
	close(shared->listener);
	if (syscall(SYS_capset, &h, none))
		return 1;
	for (int i = 0; i < 4; i++) {
		int fd;

		while (shared->go < i + 1)
			usleep(1000);
		fd = fsopen("tmpfs", 0);
		shared->result[i] = fd < 0 ? errno : 0;
		shared->done = i + 1;
	}
	return 0;
}

static int call_done(int n, int ms)
{
	for (int i = 0; i < ms && shared->done < n; i++)
		usleep(1000);
	return shared->done >= n;
}

static __u64 receive(int fd)
{
	union {
		struct seccomp_notif n;
		char room[512];
	} in;
	struct pollfd p = { .fd = fd, .events = POLLIN };

	memset(&in, 0, sizeof(in));
	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_int_equal(ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &in.n), 0);
	return in.n.id;
}

static int setup(void **state)
{
	struct warder_error e = { "" };
	int pidfd;

	(void)state;
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	inflight_fd = memfd_create("inflight", MFD_CLOEXEC);
	if (ftruncate(inflight_fd, OVERRIDE_INFLIGHT_SIZE) || !mkdtemp(dir))
		return -1;
	inflight = mmap(NULL, OVERRIDE_INFLIGHT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, inflight_fd,
			0);
	exe_fd = container_seal_exe(&e);
	caller = fork();
	if (!caller)
		_exit(call_main());
	for (int i = 0; i < 5000 && !shared->listener; i++)
		usleep(1000);
	pidfd = (int)syscall(SYS_pidfd_open, caller, 0);
	listener = (int)syscall(SYS_pidfd_getfd, pidfd, shared->listener, 0);
	close(pidfd);
	return listener < 0 || exe_fd < 0;
}

static int teardown(void **state)
{
	char path[64];

	(void)state;
	kill(caller, SIGKILL);
	waitpid(caller, NULL, 0);
	snprintf(path, sizeof(path), "%s/%s", dir, KEEPER_SOCKET);
	unlink(path);
	return rmdir(dir);
}

static unsigned seen;

static void on_kept(void *arg, __u64 cid, __u32 slot, int fd)
{
	int *ret = arg;

	assert_int_equal(cid, CID);
	assert_int_equal(slot, SLOT);
	*ret = fd;
	seen++;
}

static void test_lives(void **state)
{
	struct seccomp_notif_resp resp = { 0 };
	struct warder_error e = { "" };
	struct keeper *k = NULL;
	int again = -1;

	(void)state;
	assert_int_equal(keeper_open(&k, dir, -1, inflight_fd, &e), -ENOENT);
	assert_int_equal(keeper_open(&k, dir, exe_fd, inflight_fd, &e), 0);
	assert_int_equal(keeper_add(k, CID, SLOT, listener, &e), 0);
	assert_int_equal(keeper_each(k, on_kept, &again, &e), 1);
	close(again);
	again = -1;

	/* The supervisor dies with a call in hand: it has the errno that it would have had. */
	shared->go = 1;
	inflight[5].id = receive(listener);
	inflight[5].cid = CID;
	close(listener);
	assert_false(call_done(1, 300));
	keeper_close(k);
	assert_true(call_done(1, 3000));
	assert_int_equal(shared->result[0], EPERM);

	/* A call that nobody has taken up waits for the next supervisor. */
	shared->go = 2;
	assert_false(call_done(2, 500));
	assert_int_equal(keeper_open(&k, dir, -1, inflight_fd, &e), 0);
	seen = 0;
	assert_int_equal(keeper_each(k, on_kept, &again, &e), 1);
	assert_int_equal(seen, 1);
	assert_true(again >= 0);
	resp.id = receive(again);
	resp.error = -ENOTUNIQ;
	assert_int_equal(ioctl(again, SECCOMP_IOCTL_NOTIF_SEND, &resp), 0);
	assert_true(call_done(2, 3000));
	assert_int_equal(shared->result[1], ENOTUNIQ);

	/* Another one: one that has taken up a call and died before it could note it. */
	shared->go = 3;
	inflight[5].id = receive(again) - 1;
	close(again);
	keeper_close(k);
	assert_true(call_done(3, 3000));
	assert_int_equal(shared->result[2], EPERM);

	/* Nobody comes: the kernel answers, and that is no ENOSYS. */
	shared->go = 4;
	assert_false(call_done(4, 500));
	assert_true(call_done(4, KEEPER_GRACE_MS + 5000));
	assert_int_equal(shared->result[3], EPERM);
}

/* With the last task of the last filter it ends, once nobody needs it. */
static void test_ends(void **state)
{
	struct warder_error e = { "" };
	struct keeper *k = NULL;
	int found = 0;

	(void)state;
	kill(caller, SIGKILL);
	waitpid(caller, NULL, 0);
	/* It has been alone for long by now. */
	for (int i = 0; i < 100; i++) {
		usleep(50000);
		found = keeper_open(&k, dir, -1, inflight_fd, &e);
		if (found)
			break;
		/* Connected to it has to stay, with nothing to keep. */
		assert_int_equal(keeper_each(k, on_kept, &found, &e), 0);
		keeper_close(k);
		usleep((KEEPER_GRACE_MS + 500) * 1000);
	}
	assert_int_equal(found, -ENOENT);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lives),
		cmocka_unit_test(test_ends),
	};

	container_builder_main(argc, argv);
	return cmocka_run_group_tests(tests, setup, teardown);
}
