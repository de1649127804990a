// SPDX-License-Identifier: LGPL-2.1-or-later
/* Seccomp filters as libseccomp makes them, and what is read from a process that has some. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/audit.h>
#include <seccomp.h>

#include "cleanup.h"
#include "filter.h"

static size_t export(scmp_filter_ctx ctx, struct sock_filter **ret)
{
	int fd = memfd_create("filter", 0);
	off_t size;

	assert_true(fd >= 0);
	assert_int_equal(seccomp_export_bpf(ctx, fd), 0);
	size = lseek(fd, 0, SEEK_END);
	*ret = malloc((size_t)size);
	assert_int_equal(pread(fd, *ret, (size_t)size, 0), size);
	close(fd);
	return (size_t)size / sizeof(**ret);
}

static uint32_t answer(const struct sock_filter *p, size_t n, int nr, uint64_t arg0)
{
	struct seccomp_data data = { .nr = nr, .arch = AUDIT_ARCH_X86_64, .args = { arg0 } };
	uint32_t action = 0xdeadbeef;

	assert_int_equal(filter_run(p, n, &data, &action), 0);
	return action;
}

static void denied_calls(void **state)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	cleanup_free struct sock_filter *p = NULL;
	size_t n;

	(void)state;
	assert_int_equal(seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(mount), 0), 0);
	assert_int_equal(seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(unshare), 1,
					  SCMP_A0(SCMP_CMP_MASKED_EQ, 0x10000000, 0x10000000)),
			 0);
	assert_int_equal(seccomp_rule_add(ctx, SCMP_ACT_LOG, SCMP_SYS(chroot), 0), 0);
	n = export(ctx, &p);
	seccomp_release(ctx);
	assert_int_equal(answer(p, n, SCMP_SYS(mount), 0), SECCOMP_RET_ERRNO | EPERM);
	assert_int_equal(answer(p, n, SCMP_SYS(unshare), 0x10000000), SECCOMP_RET_ERRNO | ENOSYS);
	assert_int_equal(answer(p, n, SCMP_SYS(unshare), 0x20000), SECCOMP_RET_ALLOW);
	assert_int_equal(answer(p, n, SCMP_SYS(chroot), 0), SECCOMP_RET_LOG);
	assert_int_equal(answer(p, n, SCMP_SYS(getpid), 0), SECCOMP_RET_ALLOW);
	assert_false(filter_lets_pass(SECCOMP_RET_ERRNO | EPERM));
	assert_false(filter_lets_pass(SECCOMP_RET_KILL_PROCESS));
	assert_false(filter_lets_pass(SECCOMP_RET_USER_NOTIF));
	assert_true(filter_lets_pass(SECCOMP_RET_LOG));
	assert_true(filter_lets_pass(SECCOMP_RET_ALLOW));
}

/* As docker's: allowed are those that are named. */
static void allowed_calls(void **state)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	cleanup_free struct sock_filter *p = NULL;
	size_t n;

	(void)state;
	for (int nr = 0; nr < 160; nr++)
		assert_int_equal(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 0), 0);
	assert_int_equal(seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2), 0);
	n = export(ctx, &p);
	seccomp_release(ctx);
	assert_int_equal(answer(p, n, 159, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(answer(p, n, SCMP_SYS(mount), 0), SECCOMP_RET_ERRNO | EPERM);
}

static void programs_that_are_none(void **state)
{
	static const struct sock_filter outside[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, sizeof(struct seccomp_data)),
		BPF_STMT(BPF_RET | BPF_K, 0),
	}, beyond[] = {
		BPF_JUMP(BPF_JMP | BPF_JA, 0xffffffff, 0, 0),
		BPF_STMT(BPF_RET | BPF_K, 0),
	}, endless[] = {
		BPF_STMT(BPF_LD | BPF_IMM, 1),
	}, memory[] = {
		BPF_STMT(BPF_ST, BPF_MEMWORDS),
		BPF_STMT(BPF_RET | BPF_K, 0),
	}, sums[] = {
		BPF_STMT(BPF_LD | BPF_IMM, 40),
		BPF_STMT(BPF_ST, 3),
		BPF_STMT(BPF_LDX | BPF_MEM, 3),
		BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
		BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 2),
		BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 1),
		BPF_STMT(BPF_RET | BPF_A, 0),
	};
	struct seccomp_data data = { .nr = 1 };
	uint32_t action;

	(void)state;
	assert_int_equal(filter_run(outside, ARRAY_SIZE(outside), &data, &action), -EINVAL);
	assert_int_equal(filter_run(beyond, ARRAY_SIZE(beyond), &data, &action), -EINVAL);
	assert_int_equal(filter_run(endless, ARRAY_SIZE(endless), &data, &action), -EINVAL);
	assert_int_equal(filter_run(memory, ARRAY_SIZE(memory), &data, &action), -EINVAL);
	assert_int_equal(filter_run(NULL, 0, &data, &action), -EINVAL);
	assert_int_equal(filter_run(sums, ARRAY_SIZE(sums), &data, &action), 0);
	assert_int_equal(action, 80);
}

/* Of a child that has put two filters on itself. Reading them takes root. */
static void filters_of_a_process(void **state)
{
	char text[1024];
	int ready[2], err, status;
	pid_t pid;

	(void)state;
	if (geteuid())
		skip();
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		scmp_filter_ctx one = seccomp_init(SCMP_ACT_ALLOW),
				two = seccomp_init(SCMP_ACT_ALLOW);

		seccomp_rule_add(one, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(mount), 0);
		seccomp_rule_add(two, SCMP_ACT_KILL_PROCESS, SCMP_SYS(umount2), 0);
		if (seccomp_load(one) || seccomp_load(two) || write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_true(pid > 0);
	assert_int_equal(read(ready[0], text, 1), 1);
	err = filter_read_refused(pid, text, sizeof(text));
	assert_int_equal(kill(pid, 0), 0);
	assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (err == -EPERM || err == -EACCES)
		skip(); /* in a container, CAP_SYS_ADMIN is not the host's */
	assert_int_equal(err, 0);
	assert_string_equal(text, "mount umount");
	assert_int_equal(filter_read_refused(0x7ffffff0, text, sizeof(text)), -ESRCH);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(denied_calls),
		cmocka_unit_test(allowed_calls),
		cmocka_unit_test(programs_that_are_none),
		cmocka_unit_test(filters_of_a_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
