// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Ways to change files without an open(2) and a write(2), and ways to run programs that other
 * tests do not take.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cleanup.h"
#include "uring.h"

#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif

#define BROKEN 90
#define DIR "/bx"
#define OPEN DIR "/open"
#define SHUT DIR "/shut"

/* Files as each test wants them, in both folders. */
static void make_files(void)
{
	h_shell("for d in " OPEN " " SHUT "; do rm -rf $d; mkdir -p $d/d; echo text > $d/f; "
		"echo more > $d/g; ln -s f $d/l; done");
}

static int result_of(int fd)
{
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

/* ------------------------------------------------------- writing without write(2) */

static int store_shared(void *arg)
{
	cleanup_close int fd = open(arg, O_RDWR | O_CLOEXEC);
	char *p;

	if (fd < 0)
		return errno;
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return errno;
	p[0] = 'X';
	return 0;
}

static int store_by_reader(void *arg)
{
	cleanup_close int fd = open(arg, O_RDONLY | O_CLOEXEC);
	void *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return BROKEN;
	return h_errno(mprotect(p, 4096, PROT_READ | PROT_WRITE));
}

/* What may be read only cannot be opened for more, so no other call can change it. */
static int by_reader(void *arg)
{
	cleanup_close int fd = open(arg, O_RDONLY | O_CLOEXEC);
	cleanup_close int from = open(OPEN "/g", O_RDONLY | O_CLOEXEC);
	int pair[2], got = 0;
	loff_t at = 0;
	struct iovec io = { (char *)"X", 1 };

	if (fd < 0 || from < 0 || pipe(pair) || write(pair[1], "X", 1) != 1)
		return BROKEN;
	got |= copy_file_range(from, NULL, fd, NULL, 1, 0) != -1 || errno != EBADF;
	got |= (splice(pair[0], NULL, fd, &at, 1, 0) != -1 || errno != EBADF) << 1;
	got |= (sendfile(fd, from, NULL, 1) != -1 || errno != EBADF) << 2;
	got |= (fallocate(fd, 0, 0, 4096) != -1 || errno != EBADF) << 3;
	got |= (ftruncate(fd, 0) != -1 || errno != EINVAL) << 4;
	got |= (pwritev2(fd, &io, 1, 0, 0) != -1 || errno != EBADF) << 5;
	got |= (ioctl(fd, FICLONE, from) != -1) << 6;
	return got;
}

static void writing_is_decided_when_a_file_is_opened(void **state)
{
	__u32 slot = h_container("policy: readonly\nfile:\n"
				 "  - deny: [write, append, truncate]\n    path: " SHUT "/**\n");

	(void)state;
	make_files();
	assert_int_equal(h_run((int)slot, store_shared, OPEN "/f"), 0);
	assert_int_equal(h_run((int)slot, store_shared, SHUT "/f"), EACCES);
	assert_int_equal(h_run((int)slot, store_by_reader, SHUT "/f"), EACCES);
	assert_int_equal(h_run((int)slot, by_reader, SHUT "/f"), 0);
	assert_int_equal(h_run(-1, store_shared, SHUT "/f"), 0);
	h_shell("grep -q Xext " SHUT "/f");
}

/* ------------------------------------------------------------------- io_uring */

static int uring(struct io_uring_sqe what)
{
	struct uring u;
	int err;

	if (uring_open(&u, 0))
		return BROKEN;
	*u.sqe = what;
	err = uring_run(&u);
	return err < 0 ? BROKEN : err;
}

#define AT(x) ((__u64)(uintptr_t)(x))

static const struct {
	const char *name;
	struct io_uring_sqe sqe;
} ring_ops[] = {
	{ "open for writing", { .opcode = IORING_OP_OPENAT, .fd = AT_FDCWD, .open_flags = O_WRONLY } },
	{ "unlink", { .opcode = IORING_OP_UNLINKAT, .fd = AT_FDCWD } },
	{ "mkdir", { .opcode = IORING_OP_MKDIRAT, .fd = AT_FDCWD, .len = 0700 } },
	{ "rename", { .opcode = IORING_OP_RENAMEAT, .fd = AT_FDCWD, .len = AT_FDCWD } },
	{ "link", { .opcode = IORING_OP_LINKAT, .fd = AT_FDCWD, .len = AT_FDCWD } },
	{ "symlink", { .opcode = IORING_OP_SYMLINKAT, .fd = AT_FDCWD } },
	{ "setxattr", { .opcode = IORING_OP_SETXATTR } },
};

struct ring_case {
	size_t op;
	const char *dir;
};

static int ring_op(void *arg)
{
	struct ring_case *c = arg;
	struct io_uring_sqe sqe = ring_ops[c->op].sqe;
	static char value[] = "x";

	if (chdir(c->dir))
		return BROKEN;
	sqe.addr = AT(sqe.opcode == IORING_OP_MKDIRAT ? "new" : "f");
	switch (sqe.opcode) {
	case IORING_OP_RENAMEAT:
	case IORING_OP_LINKAT:
	case IORING_OP_SYMLINKAT:
		sqe.addr2 = AT("new");
		break;
	case IORING_OP_SETXATTR:
		sqe.addr = AT("trusted.byp");
		sqe.addr2 = AT(value);
		sqe.addr3 = AT("f");
		sqe.len = 1;
	}
	return uring(sqe);
}

static void io_uring_asks_the_same(void **state)
{
	__u32 slot = h_container("policy: ring\nkernel: [{allow: [io_uring]}]\nfile:\n"
				 "  - deny: [write, create, delete, rename, link, symlink, xattr]\n"
				 "    path: " SHUT "/**\n");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ring_ops); i++) {
		struct ring_case in = { i, SHUT }, out = { i, OPEN };
		int plain, shut, open_;

		make_files();
		shut = h_run((int)slot, ring_op, &in);
		open_ = h_run((int)slot, ring_op, &out);
		plain = h_run(-1, ring_op, &in);
		if (shut != EACCES || open_ || plain)
			fail_msg("%s: %d where it is denied, %d where not, %d untagged",
				 ring_ops[i].name, shut, open_, plain);
	}
}

/* ----------------------------------------------------------------- known limits */

static int punch(void *arg)
{
	cleanup_close int fd = open(arg, O_WRONLY | O_APPEND | O_CLOEXEC);

	if (fd < 0)
		return errno;
	return h_errno(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1));
}

static int overwrite(void *arg)
{
	cleanup_close int fd = open(arg, O_WRONLY | O_APPEND | O_CLOEXEC);
	struct iovec io = { (char *)"X", 1 };

	if (fd < 0)
		return errno;
	return h_errno(pwritev2(fd, &io, 1, 0, RWF_NOAPPEND));
}

/* The promise ends here, and documents say so: no hook tells these from appending. Should a kernel
 * come to refuse them, or warder, this test says that the documents are to be changed. */
static void what_may_be_appended_to_can_be_punched(void **state)
{
	__u32 slot = h_container("policy: append\ndefaults: {file: deny}\nfile:\n"
				 "  - allow: [append]\n    path: " OPEN "/f\n");
	int got;

	(void)state;
	make_files();
	assert_int_equal(h_run((int)slot, punch, OPEN "/g"), EACCES);
	assert_int_equal(h_run((int)slot, punch, OPEN "/f"), 0);
	got = h_run((int)slot, overwrite, OPEN "/f");
	if (got != EOPNOTSUPP)
		assert_int_equal(got, 0);
}

static int leak_stat(void *path)
{
	struct stat st;

	return h_errno(lstat(path, &st));
}

static int leak_access(void *path)
{
	return h_errno(access(path, R_OK));
}

static int leak_readlink(void *arg)
{
	char to[64];

	(void)arg;
	return h_errno(readlink(SHUT "/l", to, sizeof(to)));
}

static int leak_list(void *arg)
{
	(void)arg;
	return result_of(open(SHUT "/d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static int leak_watch(void *path)
{
	int fd = inotify_init1(IN_CLOEXEC);

	return fd < 0 ? BROKEN : h_errno(inotify_add_watch(fd, path, IN_ALL_EVENTS));
}

/* That there is a file, how large it is and where a link points can be asked: no rule speaks of
 * it. What is in folders, and what happens to files, is judged. */
static void attributes_can_be_asked_contents_not(void **state)
{
	__u32 slot = h_container("policy: leak\nfile:\n"
				 "  - deny: [read, watch]\n    path: " SHUT "/**\n");

	(void)state;
	make_files();
	assert_int_equal(h_run((int)slot, leak_stat, SHUT "/f"), 0);
	assert_int_equal(h_run((int)slot, leak_access, SHUT "/f"), 0);
	assert_int_equal(h_run((int)slot, leak_readlink, NULL), 0);
	assert_int_equal(h_run((int)slot, leak_list, NULL), EACCES);
	assert_int_equal(h_run((int)slot, leak_watch, SHUT "/f"), EACCES);
	assert_int_equal(h_run((int)slot, leak_watch, OPEN "/f"), 0);
	assert_int_equal(h_run(-1, leak_list, NULL), 0);
	assert_int_equal(h_run(-1, leak_watch, SHUT "/f"), 0);
}

/* ------------------------------------------------------------- O_TMPFILE and linkat */

static int make_and_link(void *to)
{
	cleanup_close int fd = open(OPEN, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	char path[64];

	if (fd < 0)
		return BROKEN;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return h_errno(linkat(AT_FDCWD, path, AT_FDCWD, to, AT_SYMLINK_FOLLOW));
}

static void a_nameless_file_gets_no_name_that_is_denied(void **state)
{
	__u32 slot = h_container("policy: tmpfile\nfile:\n"
				 "  - deny: [create, link]\n    path: " SHUT "/**\n");

	(void)state;
	make_files();
	assert_int_equal(h_run((int)slot, make_and_link, SHUT "/new"), EACCES);
	assert_int_equal(access(SHUT "/new", F_OK), -1);
	assert_int_equal(h_run(-1, make_and_link, SHUT "/new"), 0);
	assert_int_equal(h_run(-1, make_and_link, OPEN "/new"), 0);
}

/* ------------------------------------------------------------------------- exec */

static int run_32bit(void *path)
{
	char *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	unsigned *argv = (unsigned *)(low + 512);
	long result;

	if (low == MAP_FAILED)
		return BROKEN;
	strcpy(low, path);
	argv[0] = (unsigned)(uintptr_t)low;
	argv[1] = 0;
	asm volatile("int $0x80" : "=a"(result) : "a"(11), "b"(low), "c"(argv), "d"(argv + 1)
		     : "memory");
	return (int)result < 0 ? -(int)result : BROKEN;
}

static void execve_of_32_bits_asks_the_same(void **state)
{
	__u32 slot = h_container("policy: exec32\nexec:\n  - deny: " DIR "/bad\n    errno: EXDEV\n");

	(void)state;
	h_shell("cp /proc/%d/exe " DIR "/bad; cp " DIR "/bad " DIR "/good", getpid());
	assert_int_equal(h_run((int)slot, run_32bit, DIR "/good"), 9);
	assert_int_equal(h_run((int)slot, run_32bit, DIR "/bad"), EXDEV);
	assert_int_equal(h_run((int)slot, h_exec, DIR "/bad"), EXDEV);
	assert_int_equal(h_run(-1, run_32bit, DIR "/bad"), 9);
}

static int run_script(void *arg)
{
	(void)arg;
	execl("/usr/bin/bash", "bash", DIR "/script", NULL);
	return errno;
}

/* A script given to an interpreter is data to the kernel: rules about reading hold for it. */
static void a_script_for_an_interpreter_is_data(void **state)
{
	__u32 exec_ = h_container("policy: script-exec\nexec:\n  - deny: " DIR "/script\n");
	__u32 read_ = h_container("policy: script-read\nfile:\n"
				  "  - deny: [read]\n    path: " DIR "/script\n");

	(void)state;
	h_write(DIR "/script", "#!/usr/bin/bash\nexit 7\n");
	assert_int_equal(chmod(DIR "/script", 0755), 0);
	assert_int_equal(h_run(-1, h_exec, DIR "/script"), 7);
	assert_int_equal(h_run((int)exec_, h_exec, DIR "/script"), EACCES);
	assert_int_equal(h_run((int)exec_, run_script, NULL), 7);
	assert_int_equal(h_run((int)read_, run_script, NULL), 126);
}

/* Mapping for execution has the default of exec. */
#define LIBRARIES "file:\n  - allow: [map_exec]\n    path: /usr/**\n"

/* The file and the program that is registered for its kind are stages of one exec. */
static void each_stage_of_binfmt_misc_needs_exec(void **state)
{
	static const char *const flags[] = { "", "F" };
	__u32 file = h_container("policy: b-file\ndefaults: {exec: deny}\n"
				 "exec: [{allow: " DIR "/kind}]\n" LIBRARIES);
	__u32 interp = h_container("policy: b-interp\ndefaults: {exec: deny}\n"
				   "exec: [{allow: " DIR "/good}]\n" LIBRARIES);
	__u32 both = h_container("policy: b-both\ndefaults: {exec: deny}\n"
				 "exec: [{allow: [" DIR "/kind, " DIR "/good]}]\n" LIBRARIES);

	(void)state;
	h_shell("/usr/sbin/modprobe binfmt_misc; mkdir -p " DIR "/misc; "
		"mount -t binfmt_misc none " DIR "/misc; cp /proc/%d/exe " DIR "/good; "
		"echo BYPX > " DIR "/kind; chmod 755 " DIR "/kind", getpid());
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		h_shell("echo ':byp:M::BYPX::" DIR "/good:%s' > " DIR "/misc/register", flags[i]);
		assert_int_equal(h_run(-1, h_exec, DIR "/kind"), 9);
		assert_int_equal(h_run((int)both, h_exec, DIR "/kind"), 9);
		assert_int_equal(h_run((int)file, h_exec, DIR "/kind"), EACCES);
		assert_int_equal(h_run((int)interp, h_exec, DIR "/kind"), EACCES);
		h_shell("echo -1 > " DIR "/misc/byp");
	}
	h_shell("umount " DIR "/misc");
}

/* ------------------------------------------------------- programs with privileges */

static int run_as_user(void *path)
{
	char *const argv[] = { path, (char *)"--privileged", NULL };
	char *const none[] = { NULL };

	if (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000))
		return BROKEN;
	execve(path, argv, none);
	return errno;
}

/* What such a program can do: bit 0: read the secret; bit 1: chroot(2). */
static int privileged(void)
{
	int fd = open(DIR "/secret", O_RDONLY), can = fd >= 0;

	return can | (chroot("/") == 0) << 1;
}

static void privileged_programs_stay_confined(void **state)
{
	__u32 slot = h_container("policy: privileged\n"
				 "capability: [{deny: [sys_chroot]}]\n"
				 "file:\n  - deny: [read]\n    path: " DIR "/secret\n");
	struct vfs_cap_data caps = {
		.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
		.data[0].permitted = 1 << CAP_SYS_CHROOT | 1 << CAP_DAC_OVERRIDE,
	};

	(void)state;
	h_shell("cp /proc/%d/exe " DIR "/suid; cp " DIR "/suid " DIR "/fcaps; "
		"cp " DIR "/suid " DIR "/plain; chmod 755 " DIR "/plain " DIR "/fcaps; "
		"chmod 4755 " DIR "/suid; echo x > " DIR "/secret; chmod 600 " DIR "/secret",
		getpid());
	assert_int_equal(setxattr(DIR "/fcaps", "security.capability", &caps, XATTR_CAPS_SZ_2, 0),
			 0);
	assert_int_equal(h_run(-1, run_as_user, DIR "/plain"), 0);
	assert_int_equal(h_run(-1, run_as_user, DIR "/suid"), 3);
	assert_int_equal(h_run(-1, run_as_user, DIR "/fcaps"), 3);
	assert_int_equal(h_run((int)slot, run_as_user, DIR "/suid"), 0);
	assert_int_equal(h_run((int)slot, run_as_user, DIR "/fcaps"), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writing_is_decided_when_a_file_is_opened),
		cmocka_unit_test(io_uring_asks_the_same),
		cmocka_unit_test(what_may_be_appended_to_can_be_punched),
		cmocka_unit_test(attributes_can_be_asked_contents_not),
		cmocka_unit_test(a_nameless_file_gets_no_name_that_is_denied),
		cmocka_unit_test(execve_of_32_bits_asks_the_same),
		cmocka_unit_test(a_script_for_an_interpreter_is_data),
		cmocka_unit_test(each_stage_of_binfmt_misc_needs_exec),
		cmocka_unit_test(privileged_programs_stay_confined),
	};

	if (argc > 1 && !strcmp(argv[1], "--privileged"))
		return privileged();
	/* Run as one of its copies. */
	if (!strncmp(argv[0], DIR "/", strlen(DIR "/")))
		return 9;
	h_shell("mkdir -p " DIR "; chmod 755 / " DIR);
	h_load();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
