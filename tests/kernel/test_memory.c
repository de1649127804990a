// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Class "memory" against the kernel: each switch denied alone, and allowed; every way to
 * executable memory that the kernel has, those without a hook included.
 */
#include "harness.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"

#define BROKEN 90
#define PAGE 4096
#define RW (PROT_READ | PROT_WRITE)
#define RX (PROT_READ | PROT_EXEC)
#define RWX (PROT_READ | PROT_WRITE | PROT_EXEC)

static __u32 open_, no_fileless, no_write, no_anonymous, no_shm, audit;

static void *map(int prot, int flags, int fd)
{
	return mmap(NULL, PAGE, prot, flags, fd, 0);
}

static int result_of(const void *p)
{
	return p == MAP_FAILED ? errno : 0;
}

/* ------------------------------------------------------------------ anonymous */

static int map_rx(void *arg)
{
	(void)arg;
	return result_of(map(RX, MAP_PRIVATE | MAP_ANONYMOUS, -1));
}

static int map_rwx(void *arg)
{
	(void)arg;
	return result_of(map(RWX, MAP_PRIVATE | MAP_ANONYMOUS, -1));
}

static int map_shared_rx(void *arg)
{
	(void)arg;
	return result_of(map(RX, MAP_SHARED | MAP_ANONYMOUS, -1));
}

/* What a JIT does: write, then make it executable, and run it. */
static int jit(void *arg)
{
	static const unsigned char code[] = { 0xb8, 7, 0, 0, 0, 0xc3 }; /* mov eax, 7; ret */
	unsigned char *p = map(RW, *(int *)arg | MAP_ANONYMOUS, -1);
	int (*fn)(void);

	if (p == MAP_FAILED)
		return BROKEN;
	memcpy(p, code, sizeof(code));
	if (mprotect(p, PAGE, RX))
		return errno;
	memcpy(&fn, &p, sizeof(fn));
	return fn() == 7 ? 0 : BROKEN;
}

static int heap_exec(void *arg)
{
	char *p = sbrk(3 * PAGE);

	(void)arg;
	if (p == (void *)-1)
		return BROKEN;
	p = (char *)(((uintptr_t)p + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
	return h_errno(mprotect(p, PAGE, RX));
}

static int stack_exec(void *arg)
{
	char here;
	char *page = (char *)((uintptr_t)&here & ~(uintptr_t)(PAGE - 1));

	(void)arg;
	return h_errno(mprotect(page, PAGE, RWX));
}

static int dev_zero(void *arg)
{
	cleanup_close int fd = open("/dev/zero", O_RDWR);

	(void)arg;
	return fd < 0 ? BROKEN : result_of(map(RX, MAP_PRIVATE, fd));
}

static int memfd_map(void *arg)
{
	cleanup_close int fd = memfd_create("x", 0);

	(void)arg;
	if (fd < 0 || ftruncate(fd, PAGE))
		return BROKEN;
	return result_of(map(RX, MAP_SHARED, fd));
}

static int deleted_map(void *arg)
{
	cleanup_close int fd = open("/m/deleted", O_RDWR | O_CREAT, 0700);

	(void)arg;
	if (fd < 0 || ftruncate(fd, PAGE) || unlink("/m/deleted"))
		return BROKEN;
	return result_of(map(RX, MAP_PRIVATE, fd));
}

static void test_anonymous(void **state)
{
	int (*const way[])(void *) = { map_rx, map_shared_rx, heap_exec, dev_zero, memfd_map,
				       deleted_map };
	int private_ = MAP_PRIVATE, shared = MAP_SHARED;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(way); i++) {
		assert_int_equal(h_run(-1, way[i], NULL), 0);
		assert_int_equal(h_run((int)open_, way[i], NULL), 0);
		assert_int_equal(h_run((int)no_anonymous, way[i], NULL), EACCES);
		assert_int_equal(h_run((int)no_write, way[i], NULL), 0);
		assert_int_equal(h_run((int)no_fileless, way[i], NULL), 0);
		assert_int_equal(h_run((int)audit, way[i], NULL), 0);
	}
	/* A JIT runs where anonymous_exec is granted, write_exec or not. */
	assert_int_equal(h_run((int)open_, jit, &private_), 0);
	assert_int_equal(h_run((int)no_write, jit, &private_), 0);
	assert_int_equal(h_run((int)no_write, jit, &shared), 0);
	assert_int_equal(h_run((int)no_anonymous, jit, &private_), EACCES);
	assert_int_equal(h_run((int)no_anonymous, jit, &shared), EACCES);
	assert_int_equal(h_run((int)no_shm, jit, &shared), 0);
}

/* Writable and executable at once. */
static void test_both_at_once(void **state)
{
	(void)state;
	assert_int_equal(h_run((int)open_, map_rwx, NULL), 0);
	assert_int_equal(h_run((int)no_write, map_rwx, NULL), EACCES);
	assert_int_equal(h_run((int)no_anonymous, map_rwx, NULL), EACCES);
	assert_int_equal(h_run((int)open_, stack_exec, NULL), 0);
	assert_int_equal(h_run((int)no_write, stack_exec, NULL), EACCES);
	assert_int_equal(h_run((int)no_anonymous, stack_exec, NULL), EACCES);
}

/* ------------------------------------------------------------------------ files */

/* arg: 1 to write into the mapping before it becomes executable. */
static int file_private(void *arg)
{
	cleanup_close int fd = open("/m/file", O_RDONLY);
	char *p = map(RW, MAP_PRIVATE, fd);

	if (p == MAP_FAILED)
		return BROKEN;
	if (*(int *)arg)
		p[0] = 1;
	return h_errno(mprotect(p, PAGE, RX));
}

/* Executable, writable, executable again. */
static int file_patch(void *arg)
{
	cleanup_close int fd = open("/m/file", O_RDONLY);
	char *p = map(RX, MAP_PRIVATE, fd);

	(void)arg;
	if (p == MAP_FAILED || mprotect(p, PAGE, RW))
		return BROKEN;
	p[0] = 1;
	return h_errno(mprotect(p, PAGE, RX));
}

static int file_shared(void *arg)
{
	cleanup_close int fd = open("/m/file", *(int *)arg);
	char *p = map(PROT_READ, MAP_SHARED, fd);

	return p == MAP_FAILED ? BROKEN : h_errno(mprotect(p, PAGE, RX));
}

static int file_rwx(void *arg)
{
	cleanup_close int fd = open("/m/file", O_RDWR);

	return fd < 0 ? BROKEN : result_of(map(RWX, *(int *)arg, fd));
}

static int file_rx(void *arg)
{
	cleanup_close int fd = open("/m/file", O_RDONLY);

	(void)arg;
	return fd < 0 ? BROKEN : result_of(map(RX, MAP_PRIVATE, fd));
}

static void test_files(void **state)
{
	int clean = 0, written = 1, private_ = MAP_PRIVATE, shared = MAP_SHARED;
	int reader = O_RDONLY, writer = O_RDWR;

	(void)state;
	/* Programs and libraries. */
	assert_int_equal(h_run((int)no_write, file_rx, NULL), 0);
	assert_int_equal(h_run((int)no_anonymous, file_rx, NULL), 0);
	assert_int_equal(h_run((int)no_write, file_private, &clean), 0);
	assert_int_equal(h_run((int)no_write, file_shared, &reader), 0);

	assert_int_equal(h_run((int)no_write, file_private, &written), EACCES);
	assert_int_equal(h_run((int)no_write, file_patch, NULL), EACCES);
	assert_int_equal(h_run((int)no_write, file_shared, &writer), EACCES);
	assert_int_equal(h_run((int)no_write, file_rwx, &private_), EACCES);
	assert_int_equal(h_run((int)no_write, file_rwx, &shared), EACCES);

	assert_int_equal(h_run((int)open_, file_private, &written), 0);
	assert_int_equal(h_run((int)no_anonymous, file_private, &written), 0);
	assert_int_equal(h_run((int)no_anonymous, file_patch, NULL), 0);
	assert_int_equal(h_run((int)open_, file_shared, &writer), 0);
	assert_int_equal(h_run((int)open_, file_rwx, &private_), 0);
	assert_int_equal(h_run((int)open_, file_rwx, &shared), 0);
	assert_int_equal(h_run((int)audit, file_private, &written), 0);
}

/* ------------------------------------------------------------------- SysV memory */

static int shm_attach(void *arg)
{
	int id = shmget(IPC_PRIVATE, PAGE, 0700), result;
	void *p;

	if (id < 0)
		return BROKEN;
	p = shmat(id, NULL, *(int *)arg);
	result = p == (void *)-1 ? errno : 0;
	shmctl(id, IPC_RMID, NULL);
	return result;
}

static int shm_mprotect(void *arg)
{
	int id = shmget(IPC_PRIVATE, PAGE, 0700);
	void *p;

	(void)arg;
	p = id < 0 ? (void *)-1 : shmat(id, NULL, 0);
	if (p == (void *)-1 || shmctl(id, IPC_RMID, NULL))
		return BROKEN;
	return h_errno(mprotect(p, PAGE, RX));
}

static void test_shm(void **state)
{
	int plain = 0, exec = SHM_EXEC, exec_only = SHM_EXEC | SHM_RDONLY,
	    read_only = SHM_RDONLY;

	(void)state;
	assert_int_equal(h_run((int)no_shm, shm_attach, &plain), 0);
	assert_int_equal(h_run((int)no_shm, shm_attach, &exec), EACCES);
	assert_int_equal(h_run((int)no_shm, shm_mprotect, NULL), EACCES);
	assert_int_equal(h_run((int)open_, shm_attach, &exec), 0);
	assert_int_equal(h_run((int)open_, shm_mprotect, NULL), 0);
	assert_int_equal(h_run((int)no_anonymous, shm_mprotect, NULL), 0);
	assert_int_equal(h_run((int)no_write, shm_attach, &exec), EACCES);
	assert_int_equal(h_run((int)no_write, shm_attach, &exec_only), 0);
	/* Without asking for it: what is readable becomes executable. */
	assert_true(personality(READ_IMPLIES_EXEC) >= 0);
	assert_int_equal(h_run((int)no_shm, shm_attach, &plain), EACCES);
	assert_int_equal(h_run((int)no_shm, shm_attach, &read_only), EACCES);
	assert_int_equal(h_run((int)no_write, shm_attach, &plain), EACCES);
	assert_int_equal(h_run((int)no_anonymous, shm_attach, &read_only), 0);
	assert_int_equal(h_run((int)open_, shm_attach, &plain), 0);
	assert_true(personality(0) >= 0);
}

/* ------------------------------------------------------------------------- exec */

/* A program that exits with 7; its second header says whether its stack is executable. */
static void make_program(const char *path, unsigned int stack)
{
	static const unsigned char code[] = {
		0xbf, 7, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05,
	};
	struct {
		Elf64_Ehdr e;
		Elf64_Phdr p[2];
		unsigned char code[sizeof(code)];
	} f = { .e = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		       .e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
		       .e_phoff = sizeof(Elf64_Ehdr), .e_ehsize = sizeof(Elf64_Ehdr),
		       .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 2 } };
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	memcpy(f.code, code, sizeof(code));
	f.p[0] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_vaddr = 0x400000,
			       .p_filesz = sizeof(f), .p_memsz = sizeof(f), .p_align = PAGE };
	f.p[1] = (Elf64_Phdr){ .p_type = PT_GNU_STACK, .p_flags = stack, .p_align = 16 };
	f.e.e_entry = 0x400000 + offsetof(__typeof__(f), code);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, &f, sizeof(f)), sizeof(f));
	close(fd);
}

static int run_fd(int fd)
{
	char *const argv[] = { "x", NULL };

	syscall(SYS_execveat, fd, "", argv, argv + 1, AT_EMPTY_PATH);
	return errno;
}

static int run_memfd(void *arg)
{
	int fd = memfd_create("x", MFD_CLOEXEC), from = open("/m/plain", O_RDONLY | O_CLOEXEC);
	char buf[1024];
	ssize_t n = read(from, buf, sizeof(buf));

	(void)arg;
	if (fd < 0 || n <= 0 || write(fd, buf, n) != n)
		return BROKEN;
	return run_fd(fd);
}

static int run_deleted(void *arg)
{
	int fd = open("/m/gone", O_RDONLY | O_CLOEXEC);

	(void)arg;
	if (fd < 0 || unlink("/m/gone"))
		return BROKEN;
	return run_fd(fd);
}

static int run_tmpfile(void *arg)
{
	int fd = open("/m", O_TMPFILE | O_RDWR | O_CLOEXEC, 0700), from, again;
	char buf[1024], path[64];
	ssize_t n;

	(void)arg;
	from = open("/m/plain", O_RDONLY | O_CLOEXEC);
	n = read(from, buf, sizeof(buf));
	if (fd < 0 || n <= 0 || write(fd, buf, n) != n)
		return BROKEN;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDONLY | O_CLOEXEC);
	close(fd);
	/* Where file rules need names it is not even opened again. */
	return again < 0 ? errno : run_fd(again);
}

static void test_fileless(void **state)
{
	__u32 both = h_container("policy: both\nmemory: {fileless_exec: deny}\n"
				 "exec:\n  - deny: /never\n");
	__u32 errno_ = h_container("policy: errno\nmemory: {fileless_exec: deny, errno: ENOENT}\n");
	char name[WARDER_PATH_MAX], detail[WARDER_PATH_MAX];
	int (*const way[])(void *) = { run_memfd, run_deleted, run_tmpfile };
	struct warder_event e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(way); i++) {
		const __u32 slots[] = { open_, no_fileless, both, audit, no_anonymous };
		const int expected[] = { 7, EACCES, EACCES, 7, 7 };

		for (size_t k = 0; k < ARRAY_SIZE(slots); k++) {
			make_program("/m/gone", PF_R | PF_W);
			/* Mapping it is executable memory without a file. */
			if (slots[k] == no_anonymous)
				continue;
			assert_int_equal(h_run((int)slots[k], way[i], NULL), expected[k]);
		}
	}
	assert_int_equal(h_run((int)no_fileless, h_exec, "/m/plain"), 7);
	assert_int_equal(h_run((int)errno_, run_memfd, NULL), ENOENT);
	/* Where both classes refuse it, it is called what it is. */
	h_events_drop();
	assert_int_equal(h_run((int)both, run_memfd, NULL), EACCES);
	assert_int_equal(h_event_last(both, &e, name, detail), 1);
	assert_int_equal(e.class_, WARDER_CLASS_MEMORY);
	assert_int_equal(e.access, WARDER_MEM_FILELESS_EXEC);
	assert_int_equal(e.hook, WARDER_HOOK_BPRM_CHECK);
	assert_int_equal(e.v.why, WARDER_WHY_RULE);
	assert_int_equal(e.v.err, EACCES);
}

/* --------------------------------------------------- where no hook can refuse */

static int run_implied(void *path)
{
	if (personality(READ_IMPLIES_EXEC) < 0)
		return BROKEN;
	return h_exec(path);
}

/* Is the heap executable? */
static int implied_heap(void *arg)
{
	char line[512];
	int found = BROKEN;
	FILE *f;

	(void)arg;
	if (personality(READ_IMPLIES_EXEC) < 0)
		return BROKEN;
	if (sbrk(PAGE * 64) == (void *)-1)
		return errno;
	f = fopen("/proc/self/maps", "re");
	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, "[heap]") && strstr(line, "rwxp"))
			found = 0;
	return found;
}

static int ask_personality(void *arg)
{
	(void)arg;
	return personality(0xffffffff) < 0 || personality(ADDR_NO_RANDOMIZE) < 0;
}

/* The stack of a program, which does not live on, and the heap under READ_IMPLIES_EXEC, which does
 * not grow: there is no errno of brk(2) but ENOMEM. */
static void test_without_a_hook(void **state)
{
	(void)state;
	make_program("/m/stack", PF_R | PF_W | PF_X);
	assert_int_equal(h_run(-1, h_exec, "/m/stack"), 7);
	assert_int_equal(h_run((int)open_, h_exec, "/m/stack"), 7);
	assert_int_equal(h_run((int)no_fileless, h_exec, "/m/stack"), 7);
	assert_int_equal(h_run((int)audit, h_exec, "/m/stack"), 7);
	assert_int_equal(h_run((int)no_anonymous, h_exec, "/m/stack"), 128 + SIGKILL);
	assert_int_equal(h_run((int)no_write, h_exec, "/m/stack"), 128 + SIGKILL);
	assert_int_equal(h_run((int)no_anonymous, h_exec, "/m/plain"), 7);
	assert_int_equal(h_run((int)no_write, h_exec, "/m/plain"), 7);

	assert_int_equal(h_run((int)open_, implied_heap, NULL), 0);
	assert_int_equal(h_run((int)no_anonymous, implied_heap, NULL), ENOMEM);
	assert_int_equal(h_run((int)no_write, implied_heap, NULL), ENOMEM);
	assert_int_equal(h_run((int)audit, implied_heap, NULL), 0);
	assert_int_equal(h_run((int)open_, run_implied, "/m/plain"), 7);
	assert_int_equal(h_run((int)no_anonymous, run_implied, "/m/plain"), 7); /* an exec takes it off */
	assert_int_equal(h_run((int)no_anonymous, ask_personality, NULL), 0);
}

#define OFTEN 2000
#define PROCESSES 16

static int implied_often(void)
{
	char *end = sbrk(0);

	personality(READ_IMPLIES_EXEC);
	for (int i = 0; i < OFTEN; i++)
		if (brk(end + PAGE) || brk(end))
			return BROKEN;
	return 0;
}

static int implied_at_once(void *arg)
{
	int status, bad = 0;

	(void)arg;
	for (int i = 0; i < PROCESSES; i++)
		if (fork() == 0)
			_exit(implied_often());
	for (int i = 0; i < PROCESSES; i++)
		bad |= wait(&status) < 0 || status;
	return bad;
}

/* Where the kernel can be preempted it leaves out programs on its functions that another task is
 * in the middle of: so none is needed here. */
static void test_none_left_out(void **state)
{
	__u64 before = h_stats(audit).audited;

	(void)state;
	assert_int_equal(h_run((int)audit, implied_at_once, NULL), 0);
	/* Each needs two switches. */
	assert_int_equal(h_stats(audit).audited - before, 2 * PROCESSES * OFTEN);
}

/* With it from outside: what is readable becomes executable, and is judged so. */
static int implied_map(void *arg)
{
	(void)arg;
	return result_of(map(PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1));
}

static void test_implied(void **state)
{
	(void)state;
	assert_int_equal(h_run((int)no_anonymous, implied_map, NULL), 0);
	assert_true(personality(READ_IMPLIES_EXEC) >= 0);
	assert_int_equal(h_run((int)no_anonymous, implied_map, NULL), EACCES);
	assert_int_equal(h_run((int)open_, implied_map, NULL), 0);
	assert_true(personality(0) >= 0);
}

static int prepare(void **state)
{
	(void)state;
	h_shell("mkdir -p /m && dd if=/dev/zero of=/m/file bs=4096 count=1 2>/dev/null");
	make_program("/m/plain", PF_R | PF_W);
	h_shell("chmod 755 /m/plain");
	open_ = h_container("policy: open\n");
	no_fileless = h_container("policy: a\nmemory: {fileless_exec: deny}\n");
	no_write = h_container("policy: b\nmemory: {write_exec: deny}\n");
	no_anonymous = h_container("policy: c\nmemory: {anonymous_exec: deny}\n");
	no_shm = h_container("policy: d\nmemory: {shm_exec: deny}\n");
	audit = h_container("policy: e\nmode: audit\ndefaults: {memory: deny}\n");
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_anonymous),      cmocka_unit_test(test_both_at_once),
		cmocka_unit_test(test_files),	       cmocka_unit_test(test_shm),
		cmocka_unit_test(test_fileless),       cmocka_unit_test(test_without_a_hook),
		cmocka_unit_test(test_none_left_out),  cmocka_unit_test(test_implied),
	};

	return cmocka_run_group_tests(tests, prepare, NULL);
}
