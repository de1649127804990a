// SPDX-License-Identifier: LGPL-2.1-or-later
/* Descriptors by message: what fits arrives, of what does not nothing stays open. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cleanup.h"
#include "fdmsg.h"

static int pair[2];

static int setup(void **state)
{
	(void)state;
	return socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair);
}

static int teardown(void **state)
{
	(void)state;
	close(pair[0]);
	close(pair[1]);
	return 0;
}

static int open_files(void)
{
	cleanup_closedir DIR *d = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	return n;
}

static int is_same(int a, int b)
{
	struct stat sa, sb;

	return !fstat(a, &sa) && !fstat(b, &sb) && sa.st_ino == sb.st_ino && sa.st_dev == sb.st_dev;
}

static void test_arrives(void **state)
{
	int sent[2] = { pair[0], pair[1] }, got[3];
	char text[8];

	(void)state;
	assert_int_equal(fdmsg_send(pair[0], "hello", 5, sent, 2, 0), 0);
	assert_int_equal(fdmsg_recv(pair[1], text, sizeof(text), got, 3, 0), 5);
	assert_memory_equal(text, "hello", 5);
	assert_true(is_same(got[0], pair[0]) && is_same(got[1], pair[1]));
	assert_int_equal(fcntl(got[0], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(got[2], -1);
	close(got[0]);
	close(got[1]);
	assert_int_equal(fdmsg_send(pair[0], "x", 1, NULL, 0, 0), 0);
	assert_int_equal(fdmsg_recv(pair[1], text, sizeof(text), got, 1, 0), 1);
	assert_int_equal(got[0], -1);
}

static void test_does_not_fit(void **state)
{
	int sent[FDMSG_MAX + 1], got[2], before = open_files();
	char text[8];

	(void)state;
	for (int i = 0; i <= FDMSG_MAX; i++)
		sent[i] = pair[0];
	assert_int_equal(fdmsg_send(pair[0], "x", 1, sent, FDMSG_MAX + 1, 0), -EINVAL);
	/* Too many, and one more than nothing. */
	assert_int_equal(fdmsg_send(pair[0], "x", 1, sent, FDMSG_MAX, 0), 0);
	assert_int_equal(fdmsg_recv(pair[1], text, sizeof(text), got, 2, 0), -EBADMSG);
	assert_true(got[0] == -1 && got[1] == -1);
	assert_int_equal(fdmsg_send(pair[0], "x", 1, sent, 1, 0), 0);
	assert_int_equal(fdmsg_recv(pair[1], text, sizeof(text), NULL, 0, 0), -EBADMSG);
	/* Too long. */
	assert_int_equal(fdmsg_send(pair[0], "much too long", 13, sent, 1, 0), 0);
	assert_int_equal(fdmsg_recv(pair[1], text, sizeof(text), got, 1, 0), -EBADMSG);
	assert_int_equal(got[0], -1);
	assert_int_equal(open_files(), before);
}

/* More than even the room for control messages holds: the kernel leaves some out, and says so. */
static void test_left_out(void **state)
{
	char space[CMSG_SPACE(sizeof(int) * 2 * FDMSG_MAX)] = "", text[8];
	struct iovec iov = { (char *)"x", 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = space,
			      .msg_controllen = sizeof(space) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int got[2 * FDMSG_MAX], before = open_files();

	(void)state;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * 2 * FDMSG_MAX);
	for (int i = 0; i < 2 * FDMSG_MAX; i++)
		memcpy(CMSG_DATA(c) + i * sizeof(int), &pair[0], sizeof(int));
	assert_int_equal(sendmsg(pair[0], &msg, 0), 1);
	assert_int_equal(fdmsg_recv(pair[1], text, sizeof(text), got, 2 * FDMSG_MAX, 0), -EBADMSG);
	assert_int_equal(open_files(), before);
}

static void test_nothing(void **state)
{
	char text[8];
	int got;

	(void)state;
	assert_int_equal(fdmsg_recv(pair[1], text, sizeof(text), &got, 1, MSG_DONTWAIT), -EAGAIN);
	shutdown(pair[0], SHUT_RDWR);
	assert_int_equal(fdmsg_recv(pair[1], text, sizeof(text), &got, 1, 0), 0);
	assert_int_equal(fdmsg_send(pair[1], "x", 1, NULL, 0, 0), -EPIPE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(test_arrives), T(test_does_not_fit), T(test_left_out), T(test_nothing),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
