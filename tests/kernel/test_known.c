// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Names that are kept (bpf/known.bpf.h) against a model: after every way in which a name, a table
 * of mounts or a policy can change, the next verdict is of the new one. Each object is asked for
 * before, so that its name and its folder's are known.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE 2
#endif

#define BROKEN 120
#define TOP "/known"

/* Below TOP/N, one in the name of each level says what is granted: x is nothing. */
#define POLICY                                                                                  \
	"policy: known\ndefaults: {file: deny, exec: allow, mount: allow, namespace: allow}\n"  \
	"file:\n"                                                                               \
	"  - {allow: [read, map_exec], path: ['/usr/**', '/lib/**', '/lib64/**', '/bin/**']}\n" \
	"  - {allow: ['*'], path: [" TOP ", '" TOP "/**']}\n"                                   \
	"  - {deny: [read], path: '" TOP "/**/*x*/**'}\n"                                       \
	"  - {deny: [read], path: '" TOP "/**/*x'}\n"

static __u32 slot;

/* --------------------------------------------------------------- one change each */

struct change {
	const char *before; /* allowed, then changed by fn, */
	const char *after;  /* then refused by this name */
	int (*fn)(void);
};

static int folder_renamed(void)
{
	return rename(TOP "/r/a", TOP "/r/x");
}

static int ancestor_renamed(void)
{
	return rename(TOP "/s/a", TOP "/s/x");
}

static int file_renamed(void)
{
	return rename(TOP "/t/a", TOP "/t/x");
}

static int folders_exchanged(void)
{
	return syscall(SYS_renameat2, AT_FDCWD, TOP "/u/a", AT_FDCWD, TOP "/u/x", RENAME_EXCHANGE);
}

static int linked(void)
{
	return link(TOP "/v/a", TOP "/v/x");
}

static int replaced(void)
{
	return unlink(TOP "/w/a") || mkdir(TOP "/w/x", 0755) ||
	       rename(TOP "/w/b", TOP "/w/x/b");
}

static const struct change changes[] = {
	{ TOP "/r/a/f", TOP "/r/x/f", folder_renamed },
	{ TOP "/s/a/b/c/f", TOP "/s/x/b/c/f", ancestor_renamed },
	{ TOP "/t/a", TOP "/t/x", file_renamed },
	{ TOP "/u/a/f", TOP "/u/x/f", folders_exchanged },
	{ TOP "/v/a", TOP "/v/x", linked },
	{ TOP "/w/b", TOP "/w/x/b", replaced },
};

/* The task that knows the old name asks for the new one. `arg`: pipes to and from the host. */
static int change_seen(void *arg)
{
	int *pipes = arg;
	char c;

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		int got;

		for (int n = 0; n < 3; n++)
			if ((got = h_open(changes[i].before, O_RDONLY)))
				return 20 + got;
		if (write(pipes[1], "", 1) != 1 || read(pipes[2], &c, 1) != 1)
			return BROKEN;
		got = h_open(changes[i].after, O_RDONLY);
		if (got != EACCES)
			return 60 + i;
		if (h_open(changes[i].after, O_RDONLY) != EACCES)
			return 80 + i;
	}
	return 0;
}

static void the_next_verdict_is_by_the_new_name(void **state)
{
	int to_host[2], to_child[2], pipes[3];
	pid_t pid;
	char c;

	(void)state;
	h_shell("cd " TOP "; mkdir -p r/a s/a/b/c t u/a u/x v w; "
		"touch r/a/f s/a/b/c/f t/a u/a/f u/x/f v/a w/a w/b");
	assert_int_equal(pipe(to_host), 0);
	assert_int_equal(pipe(to_child), 0);
	pipes[1] = to_host[1];
	pipes[2] = to_child[0];
	pid = h_start((int)slot, change_seen, pipes);
	close(to_host[1]);
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		if (read(to_host[0], &c, 1) != 1)
			break;
		assert_int_equal(changes[i].fn(), 0);
		assert_int_equal(write(to_child[1], "", 1), 1);
	}
	assert_int_equal(h_wait(pid), 0);
	close(to_host[0]);
	close(to_child[0]);
	close(to_child[1]);
}

/* --------------------------------------------------- dentries whose memory is used again */

#define MANY 400

/* Files are opened, the cache of names is emptied, others come to lie where they were. */
static int read_many(void *round)
{
	for (int i = 0; i < MANY; i++) {
		char path[64];
		int refused = (i + *(int *)round) & 1, got;

		snprintf(path, sizeof(path), TOP "/many/%d%s", i, refused ? "x" : "");
		got = h_open(path, O_RDONLY);
		if (got != (refused ? EACCES : 0))
			return refused ? 1 : got ? got : BROKEN;
	}
	return 0;
}

static void memory_of_names_is_used_again(void **state)
{
	(void)state;
	h_shell("mkdir -p " TOP "/many");
	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < MANY; i++) {
			char path[64];
			int fd;

			snprintf(path, sizeof(path), TOP "/many/%d%s", i,
				 (i + round) & 1 ? "x" : "");
			fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
			assert_true(fd >= 0);
			close(fd);
		}
		assert_int_equal(h_run((int)slot, read_many, &round), 0);
		for (int i = 0; i < MANY; i++) {
			char path[64];

			snprintf(path, sizeof(path), TOP "/many/%d%s", i,
				 (i + round) & 1 ? "x" : "");
			assert_int_equal(unlink(path), 0);
		}
		h_write("/proc/sys/vm/drop_caches", "2");
	}
}

/* ------------------------------------------------------------- a walk against a model */

#define FOLDERS 6
#define FILES 4
#define STEPS 4000

struct model {
	char folder[FOLDERS][8]; /* names now; one with an x is refused */
	char file[FOLDERS][FILES][8];
	int serial;
};

static void model_name(struct model *m, char *name, unsigned random)
{
	snprintf(name, 8, "%d%s", m->serial++ % 100000, random % 2 ? "x" : "");
}

static int model_start(struct model *m)
{
	char path[64];

	for (int d = 0; d < FOLDERS; d++) {
		model_name(m, m->folder[d], 0);
		snprintf(path, sizeof(path), TOP "/walk/%s", m->folder[d]);
		if (mkdir(path, 0755))
			return errno;
		for (int f = 0; f < FILES; f++) {
			int fd;

			model_name(m, m->file[d][f], 0);
			snprintf(path, sizeof(path), TOP "/walk/%s/%s", m->folder[d],
				 m->file[d][f]);
			fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
			if (fd < 0)
				return errno;
			close(fd);
		}
	}
	return 0;
}

/* The verdict on a file is by the names that the model says it has. */
static int model_check(const struct model *m, int d, int f)
{
	char path[64];
	int refused = strchr(m->folder[d], 'x') || strchr(m->file[d][f], 'x'), got;

	snprintf(path, sizeof(path), TOP "/walk/%s/%s", m->folder[d], m->file[d][f]);
	got = h_open(path, O_RDONLY);
	if (got == (refused ? EACCES : 0))
		return 0;
	fprintf(stderr, "%s: %d\n", path, got);
	return 1;
}

static int model_change(struct model *m, unsigned random)
{
	unsigned d = random / 8 % FOLDERS, f = random / 64 % FILES;
	char old[64], new[64], name[8];

	model_name(m, name, random / 1024);
	if (random % 8 == 0) {
		snprintf(old, sizeof(old), TOP "/walk/%s", m->folder[d]);
		snprintf(new, sizeof(new), TOP "/walk/%s", name);
		if (rename(old, new))
			return errno;
		memcpy(m->folder[d], name, sizeof(name));
		return 0;
	}
	snprintf(old, sizeof(old), TOP "/walk/%s/%s", m->folder[d], m->file[d][f]);
	snprintf(new, sizeof(new), TOP "/walk/%s/%s", m->folder[d], name);
	memcpy(m->file[d][f], name, sizeof(name));
	if (random % 8 < 4)
		return rename(old, new) ? errno : 0;
	/* Another file of another name, whose dentry may lie where the old one did. */
	if (unlink(old))
		return errno;
	if (random % 8 < 6) {
		int fd = open(new, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

		if (fd < 0)
			return errno;
		close(fd);
		return 0;
	}
	return mknod(new, S_IFREG | 0644, 0) ? errno : 0;
}

/* Only the host changes, or a rename out of what is denied would be refused; the container asks. */
static int model_ask(void *arg)
{
	int *pipes = arg;
	struct model m;

	while (read(pipes[2], &m, sizeof(m)) == sizeof(m)) {
		for (int d = 0; d < FOLDERS; d++)
			for (int f = 0; f < FILES; f++)
				if (model_check(&m, d, f))
					return 1;
		if (write(pipes[1], "", 1) != 1)
			return BROKEN;
	}
	return 0;
}

static void a_walk_agrees_with_the_model(void **state)
{
	int to_host[2], to_child[2], pipes[3], asked = 0;
	struct model m = {};
	unsigned random = 1;
	pid_t pid;
	char c;

	(void)state;
	h_shell("mkdir -p " TOP "/walk");
	assert_int_equal(model_start(&m), 0);
	assert_int_equal(pipe(to_host), 0);
	assert_int_equal(pipe2(to_child, O_CLOEXEC), 0);
	pipes[1] = to_host[1];
	pipes[2] = to_child[0];
	fcntl(to_child[1], F_SETFD, FD_CLOEXEC);
	pid = h_start((int)slot, model_ask, pipes);
	close(to_host[1]);
	for (int i = 0; i < STEPS; i++) {
		random = random * 1103515245 + 12345;
		assert_int_equal(model_change(&m, random >> 12), 0);
		if (i % 10)
			continue;
		assert_int_equal(write(to_child[1], &m, sizeof(m)), sizeof(m));
		if (read(to_host[0], &c, 1) != 1)
			break;
		asked++;
	}
	/* The child holds the writing end, too: no end of file tells it that this is over. */
	kill(pid, SIGTERM);
	assert_int_equal(h_wait(pid), 128 + SIGTERM);
	assert_int_equal(asked, STEPS / 10);
	close(to_host[0]);
	close(to_child[0]);
	close(to_child[1]);
}

/* ------------------------------------------------------------- renames at the same time */

/* A folder goes to and fro between a name that is allowed and one that is not, with its state in
 * shared memory: 1 while it certainly has the name with the x, 0 otherwise. */
static void flip(volatile int *barred)
{
	for (;;) {
		if (rename(TOP "/flip/a", TOP "/flip/x"))
			_exit(BROKEN);
		__atomic_add_fetch(barred, 1, __ATOMIC_SEQ_CST);
		for (int i = 0; i < 50; i++)
			sched_yield();
		__atomic_add_fetch(barred, 1, __ATOMIC_SEQ_CST);
		if (rename(TOP "/flip/x", TOP "/flip/a"))
			_exit(BROKEN);
	}
}

/* By the folder itself, whatever it is called: while it is barred from before the call until after
 * it, the call must fail. */
static int open_by_folder(void *arg)
{
	volatile int *barred = arg;
	int dir = -1, seen = 0, allowed = 0;

	/* It may go from the one name to the other between two looks. */
	for (int i = 0; dir < 0 && i < 1000; i++)
		dir = open(i & 1 ? TOP "/flip/x" : TOP "/flip/a", O_PATH | O_DIRECTORY);
	if (dir < 0)
		return BROKEN;
	for (int i = 0; i < 40000 && (seen < 200 || allowed < 200); i++) {
		int before = __atomic_load_n(barred, __ATOMIC_SEQ_CST);
		int fd = openat(dir, "f", O_RDONLY | O_CLOEXEC);
		int err = errno, after = __atomic_load_n(barred, __ATOMIC_SEQ_CST);

		if (fd >= 0)
			close(fd);
		if (fd < 0 && err != EACCES)
			return err;
		if ((before & 1) && before == after) {
			if (fd >= 0)
				return 1;
			seen++;
		}
		allowed += fd >= 0;
		if (i % 20 == 0)
			sched_yield();
	}
	return seen && allowed ? 0 : 2;
}

static void renames_under_way_let_nothing_pass(void **state)
{
	volatile int *barred = h_shared(sizeof(*barred));
	pid_t flipper;

	(void)state;
	assert_true(barred != MAP_FAILED);
	h_shell("mkdir -p " TOP "/flip/a; touch " TOP "/flip/a/f");
	flipper = fork();
	assert_true(flipper >= 0);
	if (!flipper)
		flip(barred);
	assert_int_equal(h_run((int)slot, open_by_folder, (void *)barred), 0);
	kill(flipper, SIGKILL);
	waitpid(flipper, NULL, 0);
	munmap((void *)barred, 4096);
}

/* ---------------------------------------------------------------- policy, removal, mounts */

static int read_file(void *path)
{
	for (int i = 0; i < 3; i++) {
		int got = h_open(path, O_RDONLY);

		if (got)
			return got;
	}
	return 0;
}

static void another_policy_is_another_verdict(void **state)
{
	(void)state;
	h_shell("mkdir -p " TOP "/p/a; touch " TOP "/p/a/f");
	for (int i = 0; i < 3; i++) {
		h_policy(slot, POLICY);
		assert_int_equal(h_run((int)slot, read_file, TOP "/p/a/f"), 0);
		h_policy(slot, POLICY "  - {deny: [read], path: '" TOP "/p/**'}\n");
		assert_int_equal(h_run((int)slot, read_file, TOP "/p/a/f"), EACCES);
	}
	h_policy(slot, POLICY);
}

/* What was removed has no name, although it was known. */
static int read_removed(void *arg)
{
	int fd = open(TOP "/gone", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	char path[64];

	(void)arg;
	if (fd < 0)
		return BROKEN;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (h_open(TOP "/gone", O_RDONLY) || h_open(TOP "/gone", O_RDONLY))
		return BROKEN + 1;
	if (unlink(TOP "/gone"))
		return BROKEN + 2;
	return h_open(path, O_RDONLY);
}

static void what_was_removed_has_no_name(void **state)
{
	__u32 proc;

	(void)state;
	proc = h_container("policy: gone\ndefaults: {file: deny, exec: allow}\nfile:\n"
			   "  - {allow: ['*'], path: ['" TOP "/**', '/proc/**', '/usr/**']}\n");
	assert_int_equal(h_run((int)proc, read_removed, NULL), EACCES);
}

/* The same folder under another record of the table. */
static void another_table_is_another_name(void **state)
{
	(void)state;
	h_shell("mkdir -p " TOP "/tmpfs; mount -t tmpfs none " TOP "/tmpfs; "
		"mkdir " TOP "/tmpfs/a; touch " TOP "/tmpfs/a/f");
	/* Not in the table yet. */
	assert_int_equal(h_run((int)slot, read_file, TOP "/tmpfs/a/f"), EACCES);
	h_record_mount(slot, TOP "/tmpfs", TOP "/tmpfs");
	assert_int_equal(h_run((int)slot, read_file, TOP "/tmpfs/a/f"), 0);
	/* A longer name of the same root wins. */
	h_record_mount(slot, TOP "/tmpfs", TOP "/tmpfs-renamed/x");
	assert_int_equal(h_run((int)slot, read_file, TOP "/tmpfs/a/f"), EACCES);
	h_shell("umount " TOP "/tmpfs");
}

/* A file that is a recorded root in a folder that is known: its own name counts. */
static void a_file_that_is_a_root_has_its_own_name(void **state)
{
	__u32 nested;

	(void)state;
	h_shell("mkdir -p " TOP "/n/a; touch " TOP "/n/a/f " TOP "/n/a/g " TOP "/n/at");
	nested = h_container(POLICY);
	assert_int_equal(h_run((int)nested, read_file, TOP "/n/a/f"), 0);
	h_shell("mount --bind " TOP "/n/a/g " TOP "/n/at");
	h_record_mount(nested, TOP "/n/at", TOP "/n/long/name/x");
	assert_int_equal(h_run((int)nested, read_file, TOP "/n/a/f"), 0);
	assert_int_equal(h_run((int)nested, read_file, TOP "/n/a/g"), EACCES);
	assert_int_equal(h_run((int)nested, read_file, TOP "/n/at"), EACCES);
	h_shell("umount " TOP "/n/at");
}

static int group_start(void **state)
{
	(void)state;

	h_shell("mkdir -p " TOP);
	slot = h_container(POLICY);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_next_verdict_is_by_the_new_name),
		cmocka_unit_test(memory_of_names_is_used_again),
		cmocka_unit_test(a_walk_agrees_with_the_model),
		cmocka_unit_test(renames_under_way_let_nothing_pass),
		cmocka_unit_test(another_policy_is_another_verdict),
		cmocka_unit_test(what_was_removed_has_no_name),
		cmocka_unit_test(another_table_is_another_name),
		cmocka_unit_test(a_file_that_is_a_root_has_its_own_name),
	};

	return cmocka_run_group_tests_name("test_known", tests, group_start, NULL);
}
