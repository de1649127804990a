// SPDX-License-Identifier: LGPL-2.1-or-later
/* What /proc says of a process, as text, and the options of `warder adopt`. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "adopt.h"
#include "cleanup.h"
#include "cmd_run.h"

static int status_of(const char *text, struct adopt_status *ret)
{
	cleanup_fclose FILE *f = fmemopen((void *)(uintptr_t)text, strlen(text), "r");

	return adopt_status_parse(f, ret);
}

#define STATUS                                                                                     \
	"Name:\tpost\x1bmaster\nUmask:\t0022\nState:\tS (sleeping)\n"                              \
	"Tgid:\t712\nNgid:\t0\nPid:\t712\nPPid:\t1\n"                                              \
	"Uid:\t100000\t100033\t0\t0\nGid:\t100000\t100044\t0\t0\n"                                 \
	"NSpid:\t712\t9\t1\nCapInh:\t0000000000000000\n"                                           \
	"CapPrm:\t00000000a80425fb\nSeccomp:\t2\nSeccomp_filters:\t3\n"

static void status_is_read(void **state)
{
	struct adopt_status st;

	(void)state;
	assert_int_equal(status_of(STATUS, &st), 0);
	assert_string_equal(st.name, "post?master");
	assert_int_equal(st.tgid, 712);
	assert_int_equal(st.uid, 100033);
	assert_int_equal(st.gid, 100044);
	assert_int_equal(st.nr, 1);
	assert_int_equal(st.levels, 3);
	assert_int_equal(st.caps, 0xa80425fb);
	assert_int_equal(st.seccomp, 2);
}

static void status_of_this_process(void **state)
{
	struct adopt_status st;

	(void)state;
	assert_int_equal(adopt_status_read(getpid(), &st), 0);
	assert_int_equal(st.tgid, getpid());
	assert_int_equal(st.uid, geteuid());
	assert_int_equal(st.nr, getpid());
	assert_int_equal(adopt_status_read(0x7ffffff0, &st), -ESRCH);
}

static void status_that_lacks_something(void **state)
{
	struct adopt_status st;

	(void)state;
	assert_int_equal(status_of("", &st), -EINVAL);
	assert_int_equal(status_of("Name:\tx\nTgid:\t1\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n"
				   "CapPrm:\t0\n",
				   &st),
			 -EINVAL);
	assert_int_equal(status_of("Name:\tx\nTgid:\t1\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n"
				   "CapPrm:\t0\nNSpid:\tx\n",
				   &st),
			 -EINVAL);
	assert_int_equal(status_of("Name:\tx\nTgid:\t1\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n"
				   "CapPrm:\t0\nNSpid:\t4\n",
				   &st),
			 0);
	assert_int_equal(st.seccomp, 0);
}

static int inside(const char *map, uint32_t outside, uint32_t *ret)
{
	cleanup_fclose FILE *f = fmemopen((void *)(uintptr_t)map, strlen(map), "r");

	return adopt_map_inside(f, outside, ret);
}

static void ids_inside(void **state)
{
	uint32_t id = 99;

	(void)state;
	assert_int_equal(inside("         0          0 4294967295\n", 1000, &id), 0);
	assert_int_equal(id, 1000);
	assert_int_equal(inside("0 1000 1\n1 100000 65536\n", 1000, &id), 0);
	assert_int_equal(id, 0);
	assert_int_equal(inside("0 1000 1\n1 100000 65536\n", 100000, &id), 0);
	assert_int_equal(id, 1);
	assert_int_equal(inside("0 1000 1\n1 100000 65536\n", 165535, &id), 0);
	assert_int_equal(id, 65536);
	assert_int_equal(inside("0 1000 1\n1 100000 65536\n", 165536, &id), -ENOENT);
	assert_int_equal(inside("0 1000 1\n1 100000 65536\n", 999, &id), -ENOENT);
	assert_int_equal(inside("\n", 0, &id), -ENOENT);
}

static int cgroup_of(const char *text, char *buf, size_t size)
{
	cleanup_fclose FILE *f = fmemopen((void *)(uintptr_t)text, strlen(text), "r");

	return adopt_cgroup_parse(f, buf, size);
}

static void cgroups(void **state)
{
	char buf[32];

	(void)state;
	assert_int_equal(cgroup_of("0::/system.slice/x:y\n", buf, sizeof(buf)), 0);
	assert_string_equal(buf, "/system.slice/x:y");
	assert_int_equal(cgroup_of("12:pids:/a\n1:name=systemd:/b\n0::/c\n", buf, sizeof(buf)), 0);
	assert_string_equal(buf, "/c");
	assert_int_equal(cgroup_of("12:pids:/a\n", buf, sizeof(buf)), -ENOENT);
	assert_int_equal(cgroup_of("0::/123456789012345678901234567890123\n", buf, sizeof(buf)),
			 -ENAMETOOLONG);
}

static int parse(struct adopt_request *q, char *argv[], int argc)
{
	return adopt_parse(argc, argv, q);
}
#define PARSE(q, ...)                                                                              \
	parse(q, (char *[]) { "adopt", ##__VA_ARGS__, NULL },                                      \
	      (int)(sizeof((char *[]) { "adopt", ##__VA_ARGS__ }) / sizeof(char *)))

static void options(void **state)
{
	struct adopt_request q;

	(void)state;
	assert_int_equal(PARSE(&q, "--name", "a", "--policy", "p", "--pid", "42"), 0);
	assert_string_equal(q.name, "a");
	assert_int_equal(q.policies, 1);
	assert_string_equal(q.policy[0], "p");
	assert_int_equal(q.pid, 42);
	assert_null(q.cgroup);
	assert_int_equal(PARSE(&q, "--name", "a", "--cgroup", "/x", "--json"), 0);
	assert_string_equal(q.cgroup, "/x");
	assert_int_equal(q.policies, 0);
	assert_int_equal(PARSE(&q, "--name", "a", "--pid", "4", "--policy", "x", "--policy", "y"), 0);
	assert_int_equal(q.policies, 2);
	assert_string_equal(q.policy[1], "y");
	assert_int_equal(PARSE(&q, "--name", "a", "--cgroup", "/x", "--json"), 0);
	assert_int_equal(q.json, 1);
}

static void options_that_are_refused(void **state)
{
	struct adopt_request q;

	(void)state;
	assert_int_equal(PARSE(&q), 126);
	assert_int_equal(PARSE(&q, "--name", "a"), 126);
	assert_int_equal(PARSE(&q, "--pid", "4"), 126);
	assert_int_equal(PARSE(&q, "--name", "a", "--pid", "4", "--cgroup", "/x"), 126);
	assert_int_equal(PARSE(&q, "--name", "a", "--cgroup", ""), 126);
	assert_int_equal(PARSE(&q, "--name", "a", "--pid", "4", "more"), 126);
	assert_int_equal(PARSE(&q, "--name", "a", "--pid", "4", "--policy", "x", "--policy", "y",
			       "--policy", "x", "--policy", "y", "--policy", "z"),
			 126);
	assert_int_equal(PARSE(&q, "--name", "a", "--pid", "0"), 126);
	assert_int_equal(PARSE(&q, "--name", "a", "--pid", "-3"), 126);
	assert_int_equal(PARSE(&q, "--name", "a", "--pid", "4x"), 126);
	assert_int_equal(PARSE(&q, "--name", "a", "--pid", ""), 126);
	assert_int_equal(PARSE(&q, "--name", "a", "--pid", "99999999999999999999"), 126);
	assert_int_equal(PARSE(&q, "--name", "a", "--nothing"), 126);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_is_read),
		cmocka_unit_test(status_of_this_process),
		cmocka_unit_test(status_that_lacks_something),
		cmocka_unit_test(ids_inside),
		cmocka_unit_test(cgroups),
		cmocka_unit_test(options),
		cmocka_unit_test(options_that_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
