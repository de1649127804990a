// SPDX-License-Identifier: LGPL-2.1-or-later
/* Replacing policies under load: every decision is by one policy as a whole, and what is attached
 * follows what is published. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"

/* ------------------------------------------------------------------- attaching */

static int is_unknown(const char *name, int attached, void *arg)
{
	(void)attached;
	if (loader_program_known(name))
		return 0;
	print_error("nothing says who needs %s\n", name);
	*(int *)arg += 1;
	return 0;
}

static int lock_file(void *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? 100 : h_errno(flock(fd, LOCK_EX));
}

static void programs_follow_the_policies(void **state)
{
	/* Without its default packet sockets and their like are refused by the network hooks. */
#define TRIVIAL "policy: trivial\ndefaults: {network: allow}\n"
	static const char trivial[] = TRIVIAL;
	int unknown = 0;
	__u32 slot;

	(void)state;
	h_load();
	loader_each_program(h_load(), is_unknown, &unknown);
	assert_int_equal(unknown, 0);
	/* Nobody to be judged. */
	assert_int_equal(loader_is_attached(h_load(), "warder_task_alloc"), 1);
	assert_int_equal(loader_is_attached(h_load(), "warder_file_open"), 0);
	assert_int_equal(loader_is_attached(h_load(), "warder_bpf"), 0);
	assert_int_equal(loader_is_attached(h_load(), "warder_nothing"), -ENOENT);

	slot = h_container(trivial);
	assert_int_equal(loader_is_attached(h_load(), "warder_file_open"), 1);
	assert_int_equal(loader_is_attached(h_load(), "warder_bpf"), 1);
	assert_int_equal(loader_is_attached(h_load(), "warder_file_lock"), 0);
	assert_int_equal(loader_is_attached(h_load(), "warder_mmap_file"), 0);
	assert_int_equal(loader_is_attached(h_load(), "warder_bprm_check"), 0);
	assert_int_equal(loader_is_attached(h_load(), "warder_socket_connect"), 0);
	assert_int_equal(h_run(slot, lock_file, "/x/f"), 0);

	h_policy(slot, TRIVIAL "file:\n  - deny: [lock]\n    path: /x/f\n");
	assert_int_equal(loader_is_attached(h_load(), "warder_file_lock"), 1);
	assert_int_equal(loader_is_attached(h_load(), "warder_bprm_check"), 1);
	assert_int_equal(loader_is_attached(h_load(), "warder_bprm_commit"), 0);
	assert_int_equal(loader_is_attached(h_load(), "warder_socket_connect"), 0);
	assert_int_equal(h_run(slot, lock_file, "/x/f"), EACCES);

	h_policy(slot, TRIVIAL "network:\n  - deny: [connect]\n    protocol: tcp\n");
	assert_int_equal(loader_is_attached(h_load(), "warder_socket_connect"), 1);
	assert_int_equal(loader_is_attached(h_load(), "warder_file_lock"), 0);
	assert_int_equal(h_run(slot, lock_file, "/x/f"), 0);

	h_policy(slot, TRIVIAL "mode: learn\n");
	assert_int_equal(loader_is_attached(h_load(), "warder_file_lock"), 1);
	assert_int_equal(loader_is_attached(h_load(), "warder_bprm_check"), 1);

	h_policy(slot, trivial);
	assert_int_equal(loader_is_attached(h_load(), "warder_file_lock"), 0);
	/* The container is there still: without its policy it is refused everything. */
	assert_int_equal(loader_unpublish(h_load(), slot), 0);
	assert_int_equal(loader_is_attached(h_load(), "warder_file_open"), 1);
	assert_int_equal(h_run(slot, lock_file, "/x/f"), 100);
	h_policy(slot, trivial);
	assert_int_equal(h_run(slot, lock_file, "/x/f"), 0);
}

/* ------------------------------------------------------------------ atomicity */

/*
 * Each of these is decided by one hook that asks the policy two things. Under both policies one of
 * the two is refused, by errnos of their own; half of one and half of the other would allow.
 */
#define POLICY_A                                                                         \
	"policy: swap\nfile:\n"                                                          \
	"  - deny: [read]\n    path: /x/f\n    errno: EPERM\n"                           \
	"  - deny: [rename]\n    path: /x/old\n    errno: EPERM\n"                       \
	"  - deny: [link]\n    path: /x/new\n    errno: EPERM\n"                         \
	"capability:\n  - deny: [sys_chroot]\n"                                          \
	"exec:\n  - deny: /x/program\n"
#define POLICY_B                                                                         \
	"policy: swap\nfile:\n"                                                          \
	"  - allow: [read]\n    path: /x/many/{a,b,c}*\n    audit: true\n"               \
	"  - deny: [write]\n    path: /x/f\n    errno: EROFS\n"                          \
	"  - deny: [rename]\n    path: /x/new\n    errno: EROFS\n"                       \
	"  - deny: [link]\n    path: /x/old\n    errno: EROFS\n"

/* What two policies say of one thing of each class, all at once: one lets it pass, the other does
 * not. After one reload no class may go back to the policy before it. */
#define CLASSES_OPEN "policy: classes\n"
#define CLASSES_SHUT                                                                     \
	CLASSES_OPEN                                                                     \
	"file:\n  - deny: [read]\n    path: /x/f\n"                                     \
	"exec:\n  - deny: /x/program\n"                                                 \
	"memory: {anonymous_exec: deny}\n"                                               \
	"network:\n  - deny: ['*']\n    protocol: udp\n"                                \
	"capability:\n  - deny: [sys_chroot]\n"                                         \
	"device:\n  - deny: [open]\n    node: 'c 1:7'\n"                                \
	"ptrace:\n  - deny: ['*']\n    peer: same\n"                                    \
	"signal:\n  - deny: [usr1]\n    peer: same\n"                                   \
	"ipc:\n  - deny: [sysv]\n    peer: same\n"                                      \
	"namespace:\n  - deny: [user]\n"                                                \
	"kernel:\n  - deny: [hostname]\n"

struct shared {
	/* Reloads begun and done: policy A is published by even ones. */
	_Atomic unsigned long begun, done;
	_Atomic int stop;
	_Atomic unsigned long decisions, whole, mixtures, stale;
	_Atomic unsigned long by_a, by_b, back, across;
};

static struct shared *shared;

/* 0: by A, 1: by B, -1: by neither. */
static int by_errno(long result)
{
	return result >= 0 ? -1 : errno == EPERM ? 0 : errno == EROFS ? 1 : -1;
}

/* Things that A refuses and B allows. */
static int chroot_is_by(void)
{
	return chroot("/") ? 0 : 1;
}

static int hammer(void *arg)
{
	(void)arg;
	while (!atomic_load(&shared->stop)) {
		unsigned long before = atomic_load(&shared->done), after;
		int by[4], n = 0;

		by[n++] = by_errno(open("/x/f", O_RDWR | O_CLOEXEC));
		by[n++] = by_errno(rename("/x/old", "/x/new"));
		by[n++] = by_errno(link("/x/old", "/x/new"));
		by[n++] = chroot_is_by();
		after = atomic_load(&shared->begun);
		for (int i = 0; i < n; i++) {
			atomic_fetch_add(&shared->decisions, 1);
			if (by[i] < 0)
				atomic_fetch_add(&shared->mixtures, 1);
			else
				atomic_fetch_add(by[i] ? &shared->by_b : &shared->by_a, 1);
			/* Nothing was replaced meanwhile: all are by the policy that holds. */
			if (after == before && by[i] != (int)(before & 1))
				atomic_fetch_add(&shared->stale, 1);
		}
		if (after == before)
			atomic_fetch_add(&shared->whole, 1);
	}
	return 0;
}

/* One thing of each class: 0 when it is refused, 1 when it is not, -1 for another failure. */
static int passes(int result, int err)
{
	return result >= 0 ? 1 : errno == err ? 0 : -1;
}

static int try_class(int n, const int *shm, pid_t peer)
{
	char name[64];
	void *p;
	int fd;

	switch (n) {
	case 0:
		fd = open("/x/f", O_RDONLY | O_CLOEXEC);
		n = passes(fd, EACCES);
		close(fd);
		return n;
	case 1:
		execv("/x/program", (char *[]){ NULL }); /* nothing that runs: ENOEXEC */
		return errno == ENOEXEC ? 1 : errno == EACCES ? 0 : -1;
	case 2:
		p = mmap(NULL, 4096, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		n = passes(p == MAP_FAILED ? -1 : 0, EACCES);
		if (p != MAP_FAILED)
			munmap(p, 4096);
		return n;
	case 3:
		fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		n = passes(fd, EACCES);
		close(fd);
		return n;
	case 4:
		return passes(chroot("/"), EPERM);
	case 5:
		fd = open("/dev/full", O_RDWR | O_CLOEXEC);
		n = passes(fd, EPERM);
		if (n < 0)
			n = passes(fd, EACCES);
		close(fd);
		return n;
	case 6:
		return passes((int)syscall(SYS_kcmp, getpid(), peer, KCMP_VM, 0, 0), EPERM);
	case 7:
		return passes(kill(peer, SIGUSR1), EPERM);
	case 8:
		p = shmat(*shm, NULL, SHM_RDONLY);
		n = passes(p == (void *)-1 ? -1 : 0, EACCES);
		if (p != (void *)-1)
			shmdt(p);
		return n;
	default:
		return gethostname(name, sizeof(name)) ? -1 :
							 passes(sethostname(name, strlen(name)), EPERM);
	}
}
#define CLASSES 10

/* Each round asks every class once, in another order: once the new policy was seen, and only one
 * reload had begun by the end, nothing may be by the old one. */
static int hammer_classes(void *arg)
{
	int shm = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
	pid_t peer = fork();

	if (!peer) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGUSR1, SIG_IGN);
		for (;;)
			pause();
	}
	usleep(100000);
	for (unsigned long round = (unsigned long)arg; !atomic_load(&shared->stop); round++) {
		unsigned long before = atomic_load(&shared->done), after;
		int by[CLASSES];

		for (int i = 0; i < CLASSES; i++)
			by[i] = try_class((int)((round * 7 + (unsigned long)i) % CLASSES), &shm, peer);
		after = atomic_load(&shared->begun);
		for (int i = 0; i < CLASSES; i++) {
			/* Even: open. */
			int old = !(before & 1);

			atomic_fetch_add(&shared->decisions, 1);
			if (by[i] < 0) {
				atomic_fetch_add(&shared->mixtures, 1);
				continue;
			}
			atomic_fetch_add(by[i] ? &shared->by_a : &shared->by_b, 1);
			if (after == before && by[i] != old)
				atomic_fetch_add(&shared->stale, 1);
			if (after == before + 1 && i && by[i] == old && by[i - 1] == !old)
				atomic_fetch_add(&shared->back, 1);
			if (after == before + 1 && i && by[i] == !old && by[i - 1] == old)
				atomic_fetch_add(&shared->across, 1);
		}
		if (after == before)
			atomic_fetch_add(&shared->whole, 1);
	}
	shmctl(shm, IPC_RMID, NULL);
	kill(peer, SIGKILL);
	return 0;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

#define HAMMERS 3

/* WARDER_RELOAD_SECONDS makes it longer. */
static double test_seconds(double usual)
{
	const char *seconds = getenv("WARDER_RELOAD_SECONDS");

	return seconds ? atof(seconds) : usual;
}

/* Policies in turn, under tasks that ask. The first one is published. */
static void replace_under_load(__u32 slot, const struct warder_image *const policy[2],
			       int (*fn)(void *), double seconds)
{
	double end = now() + seconds;
	pid_t pid[HAMMERS];

	memset(shared, 0, sizeof(*shared));
	for (long i = 0; i < HAMMERS; i++)
		pid[i] = h_start((int)slot, fn, (void *)i);
	while (now() < end) {
		unsigned long n = atomic_load(&shared->begun) + 1;
		struct warder_error e = { "" };

		atomic_store(&shared->begun, n);
		if (loader_publish(h_load(), slot, policy[n & 1], &e))
			fail_msg("%s", e.text);
		atomic_store(&shared->done, n);
		/* Leaves some time without a reload, which is when a stale decision shows. */
		if (n % 8 == 0)
			usleep(20000);
	}
	atomic_store(&shared->stop, 1);
	for (int i = 0; i < HAMMERS; i++)
		assert_int_equal(h_wait(pid[i]), 0);
	print_message("# %lu decisions, %lu by A, %lu by B; %lu reloads; %lu rounds within one, "
		      "%lu saw one happen\n",
		      shared->decisions, shared->by_a, shared->by_b, shared->done, shared->whole,
		      shared->across);
	assert_int_equal(shared->mixtures, 0);
	assert_int_equal(shared->stale, 0);
	assert_int_equal(shared->back, 0);
	assert_true(shared->by_a > 100 && shared->by_b > 100 && shared->whole > 100);
	assert_true(shared->done > 20);
}

static void no_decision_mixes_two_policies(void **state)
{
	cleanup_free struct warder_image *a = h_compile(POLICY_A), *b = h_compile(POLICY_B);
	const struct warder_image *const policy[2] = { a, b };

	(void)state;
	replace_under_load(h_container(POLICY_A), policy, hammer, test_seconds(10));
}

/* The same with a policy of 4096 rules beside those that decide. */
static void no_decision_mixes_large_policies(void **state)
{
	const size_t size = 4096 * 64 + sizeof(POLICY_A);
	cleanup_free struct warder_image *a = NULL, *b = NULL;
	cleanup_free char *text = malloc(size);
	const struct warder_image *policy[2];
	size_t used;

	(void)state;
	assert_non_null(text);
	used = (size_t)snprintf(text, size, "%s", "policy: swap\nfile:\n");
	for (int i = 0; i < 4096; i++)
		used += (size_t)snprintf(text + used, size - used,
					 "  - deny: [write]\n    path: /srv/%02x/%02x/*.d\n",
					 i / 64, i % 64);
	snprintf(text + used, size - used, "%s", strstr(POLICY_A, "  - deny"));
	a = h_compile(text);
	snprintf(text + used, size - used, "%s", strstr(POLICY_B, "  - allow"));
	b = h_compile(text);
	assert_true(a->h.rule.count > 4096 && b->h.rule.count > 4096);
	policy[0] = a;
	policy[1] = b;
	replace_under_load(h_container_image(a), policy, hammer, test_seconds(10));
}

static void all_classes_change_at_once(void **state)
{
	cleanup_free struct warder_image *open_ = h_compile(CLASSES_OPEN);
	cleanup_free struct warder_image *shut = h_compile(CLASSES_SHUT);
	const struct warder_image *const policy[2] = { open_, shut };

	(void)state;
	replace_under_load(h_container(CLASSES_OPEN), policy, hammer_classes, test_seconds(10));
	assert_true(shared->across > 0);
}

/* The mode is a part of the policy: the same rules, enforced and not. */
static void the_mode_changes_at_once(void **state)
{
	cleanup_free struct warder_image *audit = h_compile(CLASSES_SHUT "mode: audit\n");
	cleanup_free struct warder_image *enforce = h_compile(CLASSES_SHUT);
	const struct warder_image *const policy[2] = { audit, enforce };
	__u32 slot = h_container(CLASSES_SHUT "mode: audit\n");

	(void)state;
	replace_under_load(slot, policy, hammer_classes, test_seconds(10));
	assert_true(shared->across > 0);
	assert_true(h_stats(slot).audited > 0 && h_stats(slot).denied > 0);
}

static int make_files(void **state)
{
	(void)state;
	h_shell("mkdir -p /x && touch /x/f /x/old; echo x > /x/program; chmod 755 /x/program");
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	return shared == MAP_FAILED;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(programs_follow_the_policies),
		cmocka_unit_test(no_decision_mixes_two_policies),
		cmocka_unit_test(no_decision_mixes_large_policies),
		cmocka_unit_test(all_classes_change_at_once),
		cmocka_unit_test(the_mode_changes_at_once),
	};

	return cmocka_run_group_tests(tests, make_files, NULL);
}
