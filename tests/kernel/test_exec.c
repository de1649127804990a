// SPDX-License-Identifier: LGPL-2.1-or-later
/* Class "exec" against the kernel: each stage of an execve(2), and files without a name. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tiny.h"

/* A descriptor opened before the tag. */
static int program_fd;
static int run_fd(void *arg)
{
	char *const argv[] = { "x", NULL };

	(void)arg;
	syscall(SYS_execveat, program_fd, "", argv, argv + 1, AT_EMPTY_PATH);
	return errno;
}

static int run_memfd(void *arg)
{
	int fd = memfd_create("anything", 0);

	(void)arg;
	if (fd < 0 || write(fd, tiny, sizeof(tiny)) != sizeof(tiny))
		return 100;
	program_fd = fd;
	return run_fd(NULL);
}

static int map_memfd(void *arg)
{
	int fd = memfd_create("anything", 0);

	(void)arg;
	if (fd < 0 || ftruncate(fd, 4096))
		return 100;
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0) == MAP_FAILED ? errno : 0;
}

/* Shared anonymous memory has a file inside the kernel, which is no file of anybody's. */
static int map_anonymous(void *arg)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)arg;
	if (p == MAP_FAILED)
		return errno;
	p = mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? errno : h_errno(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static void only_listed_programs_run(void **state)
{
	__u32 slot = h_container("policy: listed\ndefaults: {exec: deny}\n"
				 "exec:\n  - allow: /x/good\n");
	__u32 denied = h_container("policy: denied\nexec:\n  - deny: /x/bad*\n    errno: EPERM\n");

	(void)state;
	tiny_make("/x/good", TINY_EXIT);
	tiny_make("/x/bad", TINY_EXIT);
	assert_int_equal(h_run(slot, h_exec, "/x/good"), TINY_EXIT);
	assert_int_equal(h_run(slot, h_exec, "/x/bad"), EACCES);
	assert_int_equal(h_run(denied, h_exec, "/x/good"), TINY_EXIT);
	assert_int_equal(h_run(denied, h_exec, "/x/bad"), EPERM);
	program_fd = open("/x/bad", O_RDONLY | O_CLOEXEC);
	assert_int_equal(h_run(denied, run_fd, NULL), EPERM);
	close(program_fd);
	/* Reached without open(2). */
	program_fd = open("/x/bad", O_PATH | O_CLOEXEC);
	assert_int_equal(h_run(denied, run_fd, NULL), EPERM);
	close(program_fd);
}

static void each_stage_needs_exec(void **state)
{
	__u32 script = h_container("policy: script\ndefaults: {exec: deny}\n"
				   "exec:\n  - allow: /x/script\n");
	__u32 both = h_container("policy: both\ndefaults: {exec: deny}\n"
				 "exec:\n  - allow: [/x/script, /x/good]\n");
	__u32 program = h_container("policy: program\ndefaults: {exec: deny}\n"
				    "exec:\n  - allow: /x/good\n");

	(void)state;
	tiny_make("/x/good", TINY_EXIT);
	h_write("/x/script", "#!/x/good\n");
	assert_int_equal(chmod("/x/script", 0755), 0);
	assert_int_equal(h_run(both, h_exec, "/x/script"), TINY_EXIT);
	assert_int_equal(h_run(script, h_exec, "/x/script"), EACCES);
	assert_int_equal(h_run(program, h_exec, "/x/script"), EACCES);
}

/* Renamed, linked, by a symlink: the file's own name counts. */
static void names_are_the_files_own(void **state)
{
	__u32 slot = h_container("policy: own\ndefaults: {exec: deny}\n"
				 "exec:\n  - allow: /x/good\n");

	(void)state;
	tiny_make("/x/good", TINY_EXIT);
	tiny_make("/x/bad", TINY_EXIT);
	h_shell("ln -sf /x/good /x/to-good; ln -sf /x/bad /x/to-bad");
	assert_int_equal(h_run(slot, h_exec, "/x/to-good"), TINY_EXIT);
	assert_int_equal(h_run(slot, h_exec, "/x/to-bad"), EACCES);
	assert_int_equal(h_run(slot, h_exec, "/x/../x/./good"), TINY_EXIT);
	assert_int_equal(h_run(slot, h_exec, "/proc/self/root/x/good"), TINY_EXIT);
	assert_int_equal(h_run(slot, h_exec, "/proc/self/root/x/bad"), EACCES);
}

static void files_without_a_name_do_not_run(void **state)
{
	__u32 slot = h_container("policy: fileless\nexec:\n  - deny: /x/never\n");
	__u32 audit = h_container("policy: audit\nmode: audit\nexec:\n  - deny: /x/never\n");
	__u32 open_ = h_container("policy: open\n");
	struct warder_event e;
	char name[WARDER_PATH_MAX], detail[WARDER_PATH_MAX];

	(void)state;
	tiny_make("/x/gone", TINY_EXIT);
	program_fd = open("/x/gone", O_RDONLY | O_CLOEXEC);
	assert_int_equal(h_run(slot, run_fd, NULL), TINY_EXIT);
	assert_int_equal(unlink("/x/gone"), 0);
	h_events_drop();
	assert_int_equal(h_run(slot, run_fd, NULL), EACCES);
	assert_int_equal(h_event_last(slot, &e, name, detail), 1);
	assert_int_equal(e.v.why, WARDER_WHY_UNREACHABLE);
	assert_int_equal(e.hook, WARDER_HOOK_BPRM_CHECK);
	assert_int_equal(e.class_, WARDER_CLASS_EXEC);
	assert_int_equal(h_run(slot, run_memfd, NULL), EACCES);
	assert_int_equal(h_run(slot, map_memfd, NULL), EACCES);
	assert_int_equal(h_run(slot, map_anonymous, NULL), 0);

	assert_int_equal(h_run(audit, run_fd, NULL), TINY_EXIT);
	assert_int_equal(h_run(audit, run_memfd, NULL), TINY_EXIT);
	/* A policy without file and exec rules needs no name. */
	assert_int_equal(h_run(open_, run_memfd, NULL), TINY_EXIT);
	close(program_fd);
}

static int run_by_loader(void *path)
{
	char *const argv[] = { "ld.so", path, NULL };

	execve("/lib64/ld-linux-x86-64.so.2", argv, argv + 2);
	return errno;
}

/* `ld.so PROGRAM` executes the loader only: the program's mapping is what gives it away. The
 * loader exits with 127 when it cannot map. */
static void the_loader_cannot_run_what_may_not_be_mapped(void **state)
{
	__u32 slot = h_container("policy: loader\nfile:\n"
				 "  - deny: [map_exec]\n    path: /x/**\n");
	__u32 other = h_container("policy: other\nfile:\n"
				  "  - deny: [map_exec]\n    path: /y/**\n");

	(void)state;
	h_shell("cp /usr/bin/setpriv /x/program");
	assert_int_equal(h_run(other, run_by_loader, "/x/program"), 1);
	assert_int_equal(h_run(slot, run_by_loader, "/x/program"), 127);
}

static int mkdir_x(void **state)
{
	(void)state;
	return system("mkdir -p /x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_listed_programs_run),
		cmocka_unit_test(each_stage_needs_exec),
		cmocka_unit_test(names_are_the_files_own),
		cmocka_unit_test(files_without_a_name_do_not_run),
		cmocka_unit_test(the_loader_cannot_run_what_may_not_be_mapped),
	};

	return cmocka_run_group_tests(tests, mkdir_x, NULL);
}
