// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A running tree gets its tags, all of it, whatever it does between the beginning of an adoption
 * and the first tag. Processes of trees do one thing at a time, when they are told to; each says
 * whether it is confined by opening a file that the container's policy denies.
 *
 *	test_adopt --filtered COMMAND...   runs it under a seccomp filter that refuses mount(2)
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"

#define SECRET "/tmp/adopt-secret"
#define POLICY "policy: adopted\nfile:\n  - deny: [read]\n    path: " SECRET "\n"
#define CGROUP "/sys/fs/cgroup/adopt-test"
#define ACTORS 8
#define BROKEN 90

enum order { IDLE, ASK, FORK, FORK_SIBLING, FORK_INNER, JOIN, MOVE, SETSID, EXIT };

/* One process each; what it is told, and what came of it. */
static struct actor {
	int order;
	int arg; /* number of the actor that it makes, or whose pid namespace it joins */
	int result;
	pid_t pid; /* in the host's pid namespace, as its maker sees it */
} *actors;

static __u32 slot;

static int ask(void)
{
	return h_open(SECRET, O_RDONLY);
}

static void actor_main(int self) __attribute__((noreturn));

static int actor_fork(int number, __u64 flags)
{
	struct clone_args args = { .flags = flags,
				   .exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD };
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	if (pid < 0)
		return errno;
	if (!pid)
		actor_main(number);
	__atomic_store_n(&actors[number].pid, pid, __ATOMIC_SEQ_CST);
	return 0;
}

static int actor_join(int whose)
{
	char path[64];
	int fd, err;

	snprintf(path, sizeof(path), "/proc/%d/ns/pid", actors[whose].pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	err = fd < 0 || setns(fd, CLONE_NEWPID) ? errno : 0;
	close(fd);
	return err;
}

static int actor_move(void)
{
	int fd = open(CGROUP "-2/cgroup.procs", O_WRONLY | O_CLOEXEC);
	int err = fd < 0 || write(fd, "0", 1) != 1 ? errno : 0;

	close(fd);
	return err;
}

static void actor_main(int self)
{
	struct actor *a = &actors[self];

	for (;;) {
		int order = __atomic_load_n(&a->order, __ATOMIC_SEQ_CST), result = BROKEN;

		switch (order) {
		case IDLE:
			usleep(2000);
			continue;
		case ASK:
			result = ask();
			break;
		case FORK:
			result = actor_fork(a->arg, 0);
			break;
		case FORK_SIBLING:
			result = actor_fork(a->arg, CLONE_PARENT);
			break;
		case FORK_INNER:
			result = actor_fork(a->arg, CLONE_NEWPID);
			break;
		case JOIN:
			result = actor_join(a->arg);
			break;
		case MOVE:
			result = actor_move();
			break;
		case SETSID:
			result = setsid() < 0 ? errno : 0;
			break;
		case EXIT:
			_exit(0);
		}
		a->result = result;
		__atomic_store_n(&a->order, IDLE, __ATOMIC_SEQ_CST);
	}
}

/* Tells an actor, and returns what came of it. */
static int tell(int who, enum order order, int arg)
{
	actors[who].arg = arg;
	actors[who].result = BROKEN;
	__atomic_store_n(&actors[who].order, order, __ATOMIC_SEQ_CST);
	for (int i = 0; i < 10000; i++) {
		if (order == EXIT && kill(actors[who].pid, 0) && errno == ESRCH)
			return 0;
		if (order == EXIT)
			waitpid(actors[who].pid, NULL, WNOHANG);
		else if (__atomic_load_n(&actors[who].order, __ATOMIC_SEQ_CST) == IDLE)
			return actors[who].result;
		usleep(2000);
	}
	return BROKEN;
}

/* Ends one whose parent does not wait for it. */
static void end(int who)
{
	char path[64], state = 0;

	__atomic_store_n(&actors[who].order, EXIT, __ATOMIC_SEQ_CST);
	snprintf(path, sizeof(path), "/proc/%d/stat", actors[who].pid);
	for (int i = 0; i < 10000 && state != 'Z'; i++) {
		cleanup_fclose FILE *f = fopen(path, "re");

		if (!f || fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
			return;
		usleep(2000);
	}
	assert_int_equal(state, 'Z');
}

static void start(int who)
{
	assert_int_equal(actor_fork(who, 0), 0);
}

static int setup(void **state)
{
	(void)state;
	memset(actors, 0, ACTORS * sizeof(*actors));
	slot = h_container(POLICY);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < ACTORS; i++) {
		if (actors[i].pid)
			kill(actors[i].pid, SIGKILL);
	}
	while (waitpid(-1, NULL, 0) > 0)
		;
	return 0;
}

/* ------------------------------------------------------------------- adoption */

static void begin(struct warder_adopt what)
{
	struct warder_error e = { "" };
	int err;

	what.cid = h_cid(slot);
	what.slot = slot;
	err = loader_adopt_begin(h_load(), &what, &e);
	if (err)
		print_error("%s\n", e.text);
	assert_int_equal(err, 0);
}

static void begin_tree(int root)
{
	begin((struct warder_adopt){ .root = (__u32)actors[root].pid });
}

static int count_odd(const struct warder_member *m, void *arg)
{
	(void)m;
	*(int *)arg += 1;
	return 0;
}

/* As the supervisor does it; returns how many were tagged. */
static int finish(void)
{
	struct warder_error e = { "" };
	__u64 found = 1, failed = 0;
	int tagged = 0, odd = 0;

	for (int i = 0; i < 16 && (found || failed); i++) {
		assert_int_equal(loader_adopt_pass(h_load(), WARDER_ADOPT_TAG, count_odd, &odd,
						   &found, &failed), 0);
		tagged += (int)found;
	}
	assert_int_equal(found + failed, 0);
	assert_int_equal(loader_adopt_end(h_load(), &e), 0);
	assert_int_equal(odd, 0);
	return tagged;
}

static int untag(int state)
{
	struct warder_adopt what = { .cid = h_cid(slot) };
	struct warder_ctr ctr;
	__u64 found, failed;

	assert_int_equal(loader_get_container(h_load(), slot, &ctr), 0);
	ctr.foreign = 1;
	ctr.state = (__u32)state;
	assert_int_equal(loader_set_container(h_load(), slot, &ctr), 0);
	if (state != WARDER_CTR_RELEASED)
		return 0;
	assert_int_equal(loader_adopt_once(h_load(), &what, WARDER_ADOPT_UNTAG, NULL, NULL, &found,
					   &failed), 0);
	assert_int_equal(failed, 0);
	return (int)found;
}

/* 0 -> 1 -> 2 -> 3, and 7, which is no relation */
static void start_tree(void)
{
	start(0);
	start(7);
	assert_int_equal(tell(0, FORK, 1), 0);
	assert_int_equal(tell(1, FORK, 2), 0);
	assert_int_equal(tell(2, FORK, 3), 0);
}

static void test_tree(void **state)
{
	(void)state;
	start_tree();
	assert_int_equal(tell(3, SETSID, 0), 0);
	begin_tree(1);
	assert_int_equal(finish(), 3);
	assert_int_equal(tell(0, ASK, 0), 0);
	for (int i = 1; i <= 3; i++)
		assert_int_equal(tell(i, ASK, 0), EACCES);
	assert_int_equal(tell(7, ASK, 0), 0);
	assert_int_equal(tell(3, FORK, 4), 0);
	assert_int_equal(tell(4, ASK, 0), EACCES);
	assert_int_equal(h_stats(slot).tasks, 4);
}

static void test_orphans(void **state)
{
	(void)state;
	start_tree();
	begin_tree(0);
	end(1);
	end(2);
	assert_int_equal(finish(), 2);
	assert_int_equal(tell(0, ASK, 0), EACCES);
	assert_int_equal(tell(3, ASK, 0), EACCES);
	assert_int_equal(tell(7, ASK, 0), 0);
}

/* The adopted process itself is gone before the first tag. */
static void test_root_ends(void **state)
{
	(void)state;
	start_tree();
	begin_tree(1);
	end(1);
	assert_int_equal(finish(), 2);
	assert_int_equal(tell(0, ASK, 0), 0);
	assert_int_equal(tell(2, ASK, 0), EACCES);
	assert_int_equal(tell(3, ASK, 0), EACCES);
}

static void test_double_fork(void **state)
{
	(void)state;
	start_tree();
	begin_tree(0);
	assert_int_equal(tell(3, FORK, 4), 0);
	assert_int_equal(tell(4, SETSID, 0), 0);
	end(3);
	assert_int_equal(tell(4, FORK, 5), 0);
	end(4);
	assert_int_equal(finish(), 4);
	assert_int_equal(tell(5, ASK, 0), EACCES);
}

/* A sibling is no child of who makes it. */
static void test_sibling(void **state)
{
	(void)state;
	start_tree();
	begin_tree(2);
	assert_int_equal(tell(3, FORK_SIBLING, 4), 0);
	assert_int_equal(tell(2, FORK, 5), 0);
	end(2);
	assert_int_equal(tell(4, FORK_SIBLING, 6), 0);
	assert_int_equal(finish(), 3);
	for (int i = 3; i <= 5; i++)
		assert_int_equal(tell(i, ASK, 0), EACCES);
	assert_int_equal(tell(1, ASK, 0), 0);
}

static __u64 cgroup_id(void)
{
	struct stat st;

	assert_int_equal(stat(CGROUP, &st), 0);
	return st.st_ino;
}

static void enter_cgroup(int who)
{
	h_shell("echo %d > " CGROUP "/inner/cgroup.procs", actors[who].pid);
}

static void test_cgroup(void **state)
{
	(void)state;
	start(0);
	start(7);
	enter_cgroup(0);
	assert_int_equal(tell(0, FORK, 1), 0);
	assert_int_equal(tell(1, FORK, 2), 0);
	begin((struct warder_adopt){ .cgroup = cgroup_id() });
	/* It leaves, and what it made comes along. */
	assert_int_equal(tell(1, MOVE, 0), 0);
	assert_int_equal(tell(1, FORK, 3), 0);
	end(1);
	assert_int_equal(finish(), 3);
	assert_int_equal(tell(0, ASK, 0), EACCES);
	assert_int_equal(tell(2, ASK, 0), EACCES);
	assert_int_equal(tell(3, ASK, 0), EACCES);
	assert_int_equal(tell(7, ASK, 0), 0);
	assert_int_equal(tell(2, MOVE, 0), 0);
	assert_int_equal(tell(2, ASK, 0), EACCES);
}

/* Sent into the pid namespace from outside. */
static void test_pid_namespace(void **state)
{
	struct stat st;
	char path[64];

	(void)state;
	start(0);
	start(7);
	assert_int_equal(tell(0, FORK_INNER, 1), 0);
	assert_int_equal(tell(1, FORK_INNER, 2), 0);
	/* Numbers that an inner process sees are not ours: its children are not ended by them. */
	actors[2].pid = 0;
	assert_int_equal(tell(7, JOIN, 1), 0);
	assert_int_equal(tell(7, FORK, 3), 0);
	snprintf(path, sizeof(path), "/proc/%d/ns/pid", actors[1].pid);
	assert_int_equal(stat(path, &st), 0);
	begin((struct warder_adopt){ .root = (__u32)actors[1].pid, .pidns = (__u32)st.st_ino });
	assert_int_equal(finish(), 3);
	assert_int_equal(tell(0, ASK, 0), 0);
	assert_int_equal(tell(7, ASK, 0), 0);
	for (int i = 1; i <= 3; i++)
		assert_int_equal(tell(i, ASK, 0), EACCES);
}

struct odd {
	__u64 cid;
	__u32 flags;
	int count;
};

static int note_odd(const struct warder_member *m, void *arg)
{
	struct odd *o = arg;

	o->cid |= m->cid;
	o->flags |= m->flags;
	o->count++;
	return 0;
}

/* What must not be tagged is told, and is not. */
static void test_odd_members(void **state)
{
	__u32 other = h_container("policy: other\n");
	struct odd odd = { 0 };
	__u64 found, failed;

	(void)state;
	start_tree();
	h_tag(actors[2].pid, other);
	begin((struct warder_adopt){ .root = (__u32)actors[0].pid,
				     .caller = (__u32)actors[3].pid });
	assert_int_equal(loader_adopt_pass(h_load(), WARDER_ADOPT_TAG, note_odd, &odd, &found,
					   &failed), 0);
	assert_int_equal(found, 2);
	assert_int_equal(odd.count, 2);
	assert_int_equal(odd.cid, h_cid(other));
	assert_int_equal(odd.flags, WARDER_MEMBER_CALLER);
	assert_int_equal(loader_adopt_end(h_load(), NULL), 0);
	assert_int_equal(tell(2, ASK, 0), 0);
	assert_int_equal(tell(3, ASK, 0), 0);
	assert_int_equal(tell(1, ASK, 0), EACCES);
}

/* Threads of the kernel are children of process 2. */
static void test_kernel_threads(void **state)
{
	struct warder_adopt what = { .cid = ~0ull, .root = 2 };
	struct odd odd = { 0 };
	__u64 found, failed;

	(void)state;
	assert_int_equal(loader_adopt_once(h_load(), &what, WARDER_ADOPT_LOOK, note_odd, &odd,
					   &found, &failed), 0);
	assert_true(odd.count > 5);
	assert_int_equal(odd.flags, WARDER_MEMBER_KERNEL);
	assert_int_equal(found, 0);
}

static void test_release(void **state)
{
	(void)state;
	start_tree();
	begin_tree(0);
	assert_int_equal(finish(), 4);
	assert_int_equal(tell(3, ASK, 0), EACCES);
	assert_int_equal(untag(WARDER_CTR_RELEASED), 4);
	for (int i = 0; i <= 3; i++)
		assert_int_equal(tell(i, ASK, 0), 0);
	assert_int_equal(tell(3, FORK, 4), 0);
	assert_int_equal(tell(4, ASK, 0), 0);
	assert_int_equal((__s64)h_stats(slot).tasks, 0);
}

/* Being released, tasks that still have their tag give none to their children. */
static void test_release_and_forks(void **state)
{
	struct warder_ctr ctr;

	(void)state;
	start_tree();
	begin_tree(3);
	assert_int_equal(finish(), 1);
	assert_int_equal(loader_get_container(h_load(), slot, &ctr), 0);
	ctr.foreign = 1;
	ctr.state = WARDER_CTR_RELEASED;
	assert_int_equal(loader_set_container(h_load(), slot, &ctr), 0);
	assert_int_equal(tell(3, FORK, 4), 0);
	assert_int_equal(tell(3, ASK, 0), EACCES);
	assert_int_equal(tell(4, ASK, 0), 0);
}

/* Being ended, an adopted container makes no more tasks; one of warder's has its cgroup. */
static void test_dead(void **state)
{
	struct warder_ctr ctr;

	(void)state;
	start_tree();
	begin_tree(3);
	assert_int_equal(finish(), 1);
	untag(WARDER_CTR_DEAD);
	assert_int_equal(tell(3, FORK, 4), EAGAIN);
	assert_int_equal(loader_get_container(h_load(), slot, &ctr), 0);
	ctr.foreign = 0;
	assert_int_equal(loader_set_container(h_load(), slot, &ctr), 0);
	assert_int_equal(tell(3, FORK, 4), 0);
	assert_int_equal(tell(4, ASK, 0), EACCES);
}

static int filtered(char **argv)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);

	if (seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(mount), 0) || seccomp_load(ctx))
		return 99;
	execvp(argv[0], argv);
	return 98;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_tree),	  TEST(test_orphans),	    TEST(test_root_ends),
		TEST(test_double_fork),	  TEST(test_sibling),	    TEST(test_cgroup),
		TEST(test_pid_namespace), TEST(test_odd_members),   TEST(test_kernel_threads),
		TEST(test_release),	  TEST(test_release_and_forks), TEST(test_dead),
	};
	int failed;

	if (argc > 2 && !strcmp(argv[1], "--filtered"))
		return filtered(argv + 2);
	h_write(SECRET, "treasure\n");
	h_shell("mkdir -p " CGROUP "/inner " CGROUP "-2");
	actors = h_shared(ACTORS * sizeof(*actors));
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	h_shell("rmdir " CGROUP "/inner " CGROUP " " CGROUP "-2");
	return failed;
}
