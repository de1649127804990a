// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Containers that change a supervised call while it is looked at, call without a break, and are
 * signalled, frozen and killed meanwhile. What they have obtained is looked at from outside.
 *
 * WARDER_STRESS_ATTEMPTS=1000000 and WARDER_STRESS_REFUSALS=100000 make it long: TEST_LIMIT=3000
 * seconds are enough.
 */
#include "override_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <ftw.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cleanup.h"

#define GOOD "/mnt/scratch/good"
#define BAD "/mnt/other/bad"

static const char policy[] =
	"policy: t\ndefaults: {namespace: allow}\n"
	"override:\n"
	"  - {on: mount, type: tmpfs, target: " GOOD "/**, options: {size: '<=1M'}, force: [noexec], do: perform}\n"
	"  - {on: mknod, node: 'c 1:3', target: " GOOD "/**, do: perform}\n"
	"  - {on: setxattr, target: " GOOD "/**, do: perform}\n";

/* Shared by the container and us. */
static struct shared {
	unsigned attempts, obtained, wrong;
	int end;
	unsigned signals, calls, errnos[200];
} *sh;

static long number(const char *name, long otherwise)
{
	const char *text = getenv(name);

	return text ? atol(text) : otherwise;
}

static int ended(void)
{
	return __atomic_load_n(&sh->end, __ATOMIC_ACQUIRE);
}

/* --------------------------------------------------------- arguments that change */

/* What a call points to, in turns one that is allowed and others. */
static char path[64], type[16], data[32], name[64], value[8];

static void put(char *to, const char *text)
{
	/* Byte by byte, so that mixtures come about. */
	for (size_t i = 0; i <= strlen(text); i++)
		((volatile char *)to)[i] = text[i];
}

static void *rewrite(void *arg)
{
	static const char *const paths[] = { GOOD "/m", BAD "/m", GOOD "/link/m", GOOD "/../../other/bad/m",
					     GOOD "/d1/m" };
	static const char *const types[] = { "tmpfs", "ramfs", "proc", "tmpfs" };
	static const char *const options[] = { "size=1M", "size=9M", "mode=777", "size=64k", "" };
	static const char *const names[] = { "trusted.overlay.opaque", "trusted.evil", "security.capability" };
	unsigned n = 0;

	(void)arg;
	while (!ended()) {
		n = n * 1103515245u + 12345u;
		put(path, paths[(n >> 16) % 5]);
		put(type, types[(n >> 18) % 4]);
		put(data, options[(n >> 20) % 5]);
		put(name, names[(n >> 22) % 3]);
		put(value, n >> 25 & 1 ? "y" : "n");
		if (!((n >> 10) % 16))
			sched_yield();
	}
	return NULL;
}

/* Links and folders under the path change places. */
static void *swap(void *arg)
{
	unsigned n = 0;

	(void)arg;
	while (!ended()) {
		const char *to = n++ % 2 ? BAD : GOOD "/d2";

		unlink(GOOD "/new");
		if (!symlink(to, GOOD "/new"))
			rename(GOOD "/new", GOOD "/link");
		syscall(SYS_renameat2, AT_FDCWD, GOOD "/d1", AT_FDCWD, GOOD "/d2", 2 /* RENAME_EXCHANGE */);
		if (!(n % 8))
			sched_yield();
	}
	return NULL;
}

static void *attempt(void *arg)
{
	unsigned long which = (unsigned long)arg, n = 0;

	while (!ended()) {
		int err = 0;

		switch ((which + n++) % 3) {
		case 0:
			err = h_errno(mount("none", path, type, n % 5 ? 0 : MS_NOSUID, data));
			break;
		case 1:
			err = h_errno(mknod(path, S_IFCHR | 0600, makedev(1, n % 2 ? 3 : 1)));
			break;
		case 2:
			err = h_errno(setxattr(path, name, value, 1, 0));
			break;
		}
		__atomic_fetch_add(&sh->attempts, 1, __ATOMIC_RELAXED);
		if (!err)
			__atomic_fetch_add(&sh->obtained, 1, __ATOMIC_RELAXED);
		if (err == ENOSYS)
			__atomic_fetch_add(&sh->wrong, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static int do_attempts(void *arg)
{
	pthread_t thread[4];

	(void)arg;
	if (h_drop_capabilities() || pthread_create(&thread[0], NULL, rewrite, NULL) ||
	    pthread_create(&thread[1], NULL, swap, NULL) ||
	    pthread_create(&thread[2], NULL, attempt, (void *)0) ||
	    pthread_create(&thread[3], NULL, attempt, (void *)1))
		return 250;
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	return 0;
}

/* ------------------------------------------------------------------- from outside */

static unsigned mounts_seen, nodes_seen, attributes_seen;

/* Mixtures of options are sizes, too. */
static int size_is_allowed(const char *options)
{
	const char *size = strstr(options, "size=");
	unsigned kib;

	return size && sscanf(size, "size=%uk", &kib) == 1 && kib <= 1024;
}

/* Everything that is mounted where nothing was. */
static void mounts_look(void)
{
	cleanup_fclose FILE *f = fopen("/proc/self/mountinfo", "r");
	char line[1024], at[256], options[256], rest[512];
	char found[64][256];
	unsigned n = 0;

	while (fgets(line, sizeof(line), f)) {
		char *super;

		if (sscanf(line, "%*s %*s %*s %*s %255s %255s", at, options) != 2)
			continue;
		if (!strncmp(at, "/mnt/other", 10))
			fail_msg("obtained: %s", line);
		if (strncmp(at, "/mnt/scratch/", 13))
			continue;
		super = strstr(line, " - ");
		snprintf(rest, sizeof(rest), "%s", super ? super : "");
		if (strncmp(at, GOOD "/", strlen(GOOD) + 1) || strncmp(rest, " - tmpfs ", 9) ||
		    !strstr(options, "nosuid") || !strstr(options, "nodev") || !strstr(options, "noexec") ||
		    !size_is_allowed(rest))
			fail_msg("obtained: %s", line);
		mounts_seen++;
		if (n < 64)
			strcpy(found[n++], at);
	}
	while (n--)
		umount2(found[n], MNT_DETACH);
}

static int look_at(const char *file, const struct stat *st, int flag, struct FTW *ftw)
{
	/* By descriptor: folders change places meanwhile. */
	cleanup_close int fd = S_ISDIR(st->st_mode) || S_ISREG(st->st_mode) ?
				       open(file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
	int good = !strncmp(file, GOOD "/", strlen(GOOD) + 1);
	char list[512], got[8];
	ssize_t len = fd < 0 ? 0 : flistxattr(fd, list, sizeof(list));

	(void)ftw;
	/* It has gone meanwhile: nothing is known of it, `st` least of all. */
	if (flag == FTW_NS)
		return 0;
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
		if (!good || !S_ISCHR(st->st_mode) || st->st_rdev != makedev(1, 3))
			fail_msg("obtained: %s, node %u:%u", file, major(st->st_rdev), minor(st->st_rdev));
		nodes_seen++;
		unlink(file);
		return 0;
	}
	for (char *a = list; len > 0 && a < list + len; a += strlen(a) + 1) {
		if (strncmp(a, "trusted.", 8) && strcmp(a, "security.capability"))
			continue;
		if (!good || strcmp(a, "trusted.overlay.opaque") ||
		    fgetxattr(fd, a, got, sizeof(got)) != 1 || got[0] != 'y')
			fail_msg("obtained: %s has %s", file, a);
		attributes_seen++;
		fremovexattr(fd, a);
	}
	return 0;
}

static void objects_look(void)
{
	nftw("/mnt/scratch", look_at, 8, FTW_PHYS | FTW_MOUNT);
	nftw("/mnt/other", look_at, 8, FTW_PHYS | FTW_MOUNT);
}

static void test_rewrite(void **state)
{
	unsigned most = (unsigned)number("WARDER_STRESS_ATTEMPTS", 0);
	__u32 slot = rig_container(policy);
	__u64 begun = clock_now_ms(), until = begun + 3000;
	pid_t pid;

	(void)state;
	h_shell("mkdir -p " GOOD "/m " GOOD "/d1/m " GOOD "/d2/m " BAD "/m; ln -sfn " BAD " " GOOD "/link");
	pid = h_start((int)slot, do_attempts, NULL);
	while (most ? sh->attempts < most :
	       clock_now_ms() < until || (!sh->obtained && clock_now_ms() < until + 40000)) {
		usleep(100000);
		mounts_look();
		objects_look();
	}
	__atomic_store_n(&sh->end, 1, __ATOMIC_RELEASE);
	rig_wait(pid);
	usleep(300000);
	mounts_look();
	objects_look();
	print_message("# %u attempts in %llu ms, %u obtained; seen %u mounts, %u nodes, %u attributes\n",
		      sh->attempts, clock_now_ms() - begun, sh->obtained, mounts_seen, nodes_seen,
		      attributes_seen);
	assert_int_equal(sh->wrong, 0);
	/* It is a test only where something is performed. */
	assert_true(mounts_seen + nodes_seen + attributes_seen > 0);
}

/* ------------------------------------------------------------------------- many refusals */

static int refused(void *arg)
{
	unsigned n = *(unsigned *)arg;

	if (h_drop_capabilities())
		return 250;
	while (n--) {
		int err = h_errno(mknod("/mnt/other/n", S_IFCHR | 0600, makedev(1, 3)));

		__atomic_fetch_add(&sh->calls, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&sh->errnos[err < 200 ? err : 0], 1, __ATOMIC_RELAXED);
		usleep(20000); /* within the budgets: of waiting, and of events */
	}
	return 0;
}

static long rss_kib(void)
{
	cleanup_fclose FILE *f = fopen("/proc/self/statm", "r");
	long size, resident = 0;

	return fscanf(f, "%ld %ld", &size, &resident) == 2 ? resident * 4 : 0;
}

#define CONTAINERS 10
#define KILLS 12

static struct warder_stats sum(const __u32 *slot, unsigned n)
{
	struct warder_stats all = { 0 };

	while (n--) {
		struct warder_stats s = h_stats(slot[n]);

		all.intercepts += s.intercepts;
		all.events_suppressed += s.events_suppressed;
		all.events_dropped += s.events_dropped;
	}
	return all;
}

static void miss_add(const char *program, __u64 count, int override, const char *made_good, void *arg)
{
	(void)program;
	(void)made_good;
	if (override)
		*(__u64 *)arg += count;
}

/* Where the kernel can be preempted it skips a program that another task is in the middle of on that
 * CPU: the errno stands, and a gap says so. */
static __u64 missed(void)
{
	__u64 n = 0;

	loader_each_miss(h_load(), miss_add, &n);
	return n;
}

/* What is needed once, by whichever thread comes to it late, does not count: what each refusal costs, each
 * part costs. */
#define PARTS 4

/* Every refusal is told of, or counted as not told; none costs memory. */
static void test_refusals(void **state)
{
	unsigned each = (unsigned)(number("WARDER_STRESS_REFUSALS", 400) / CONTAINERS / PARTS), told;
	__u32 slot[CONTAINERS];
	pid_t pid[CONTAINERS];
	struct warder_stats was, now;
	__u64 skipped = missed();
	long grown = LONG_MAX;
	int before;

	(void)state;
	for (int i = 0; i < CONTAINERS; i++)
		slot[i] = rig_container(policy);
	memset(sh, 0, sizeof(*sh));
	was = sum(slot, CONTAINERS);
	before = rig.outcomes;
	for (int part = 0; part < PARTS; part++) {
		long first = rss_kib();

		for (int i = 0; i < CONTAINERS; i++)
			pid[i] = h_start((int)slot[i], refused, &each);
		for (int i = 0; i < CONTAINERS; i++)
			assert_in_range(rig_wait(pid[i]), 0, RIG_REAPED);
		rig_outcome_wait(before, (int)sh->calls);
		if (rss_kib() - first < grown)
			grown = rss_kib() - first;
	}
	now = sum(slot, CONTAINERS);
	told = (unsigned)(rig.outcomes - before);
	skipped = missed() - skipped;
	print_message("# %u refusals, %u told, %llu suppressed, %llu skipped; memory grew by %ld KiB\n", sh->calls,
		      told, now.events_suppressed - was.events_suppressed, skipped, grown);
	assert_int_equal(sh->calls, PARTS * each * CONTAINERS);
	assert_int_equal(sh->errnos[EPERM], sh->calls);
	/* Verdicts are not read here, so their ring may be full; that of refusals is not. */
	assert_int_equal(now.events_suppressed - was.events_suppressed, 0);
	assert_int_equal(told, now.intercepts - was.intercepts);
	assert_in_range(now.intercepts - was.intercepts + skipped, sh->calls, UINT32_MAX);
	assert_true(grown <= 512);
}

static int refused_fast(void *arg)
{
	(void)arg;
	if (h_drop_capabilities())
		return 250;
	while (!ended()) {
		int err = h_errno(mknod("/mnt/other/n", S_IFCHR | 0600, makedev(1, 3)));

		__atomic_fetch_add(&sh->calls, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&sh->errnos[err < 200 ? err : 0], 1, __ATOMIC_RELAXED);
	}
	return 0;
}

/* Beyond the budgets the errno is the kernel's, and what is not told is counted. */
static void test_beyond(void **state)
{
	__u32 slot = rig_container(policy);
	struct warder_stats now;
	struct warder_ctr ctr;
	unsigned told;
	pid_t pid;
	int before;

	(void)state;
	assert_int_equal(loader_get_container(h_load(), slot, &ctr), 0);
	ctr.icept_rate = ctr.icept_burst = 0;
	ctr.event_rate = 20;
	assert_int_equal(loader_set_container(h_load(), slot, &ctr), 0);
	memset(sh, 0, sizeof(*sh));
	before = rig.outcomes;
	pid = h_start((int)slot, refused_fast, NULL);
	usleep(1000000);
	__atomic_store_n(&sh->end, 1, __ATOMIC_RELEASE);
	rig_wait(pid);
	usleep(300000);
	now = h_stats(slot);
	told = (unsigned)(rig.outcomes - before);
	print_message("# %u refusals, %u told, %llu suppressed, %llu dropped\n", sh->calls, told,
		      now.events_suppressed, now.events_dropped);
	assert_int_equal(sh->errnos[EPERM], sh->calls);
	assert_true(now.events_suppressed > 0);
	/* A refusal is told of in two ways, by what was missing and by what was asked for. */
	assert_in_range(now.events_suppressed + now.events_dropped, now.intercepts - told,
			2 * now.intercepts);
}

/* --------------------------------------------------------------------------- signals */

static void on_signal(int sig)
{
	(void)sig;
	__atomic_fetch_add(&sh->signals, 1, __ATOMIC_RELAXED);
}

static int signalled(void *arg)
{
	const struct sigaction action = { .sa_handler = on_signal }; /* without SA_RESTART */
	char node[64];

	(void)arg;
	sigaction(SIGURG, &action, NULL);
	if (h_drop_capabilities())
		return 250;
	for (unsigned n = 0; !ended(); n++) {
		int err;

		snprintf(node, sizeof(node), GOOD "/s%u", n);
		err = h_errno(mknod(node, S_IFCHR | 0600, makedev(1, 3)));
		__atomic_fetch_add(&sh->calls, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&sh->errnos[err < 200 ? err : 0], 1, __ATOMIC_RELAXED);
		/* Told that it is there, or that it is not: so it is. */
		if (!err != !access(node, F_OK))
			__atomic_fetch_add(&sh->wrong, 1, __ATOMIC_RELAXED);
		unlink(node);
	}
	return 0;
}

enum storm { URG, STOP, FREEZE };

static int write_to(const char *file, const char *text)
{
	cleanup_close int fd = open(file, O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static void storm(enum storm which, const char *group)
{
	__u32 slot = rig_container(policy);
	__u64 until = clock_now_ms() + 800;
	char file[96], text[16];
	pid_t pid;

	memset(sh, 0, sizeof(*sh));
	pid = h_start((int)slot, signalled, NULL);
	if (which == FREEZE) {
		snprintf(file, sizeof(file), "%s/cgroup.procs", group);
		snprintf(text, sizeof(text), "%d", pid);
		assert_int_equal(write_to(file, text), 0);
	}
	snprintf(file, sizeof(file), "%s/cgroup.freeze", group);
	/* Where the host is busy most answers come late: longer then. */
	while (clock_now_ms() < until || (!sh->errnos[0] && clock_now_ms() < until + 40000)) {
		if (which == URG) {
			kill(pid, SIGURG);
		} else {
			which == STOP ? kill(pid, SIGSTOP) : write_to(file, "1");
			usleep(30000);
			which == STOP ? kill(pid, SIGCONT) : write_to(file, "0");
		}
		usleep(which == URG ? 100 : 20000);
	}
	__atomic_store_n(&sh->end, 1, __ATOMIC_RELEASE);
	rig_wait(pid);
	print_message("# %u calls, %u performed, %u refused, %u signals\n", sh->calls, sh->errnos[0],
		      sh->errnos[EPERM], sh->signals);
	assert_int_equal(sh->errnos[0] + sh->errnos[EPERM], sh->calls);
	assert_int_equal(sh->wrong, 0);
	assert_true(sh->errnos[0] > 0);
	if (which == URG)
		assert_true(sh->signals > 0);
}

static void test_urgent(void **state)
{
	(void)state;
	storm(URG, "");
}

static void test_stopped(void **state)
{
	(void)state;
	storm(STOP, "");
}

static void test_frozen(void **state)
{
	(void)state;
	h_shell("[ -e /sys/fs/cgroup/cgroup.procs ] || mount -t cgroup2 none /sys/fs/cgroup; "
		"mkdir -p /sys/fs/cgroup/stress");
	storm(FREEZE, "/sys/fs/cgroup/stress");
	rmdir("/sys/fs/cgroup/stress");
}

/* Killed at any moment: what is there is what the policy allows, and everything goes on. */
static void test_killed(void **state)
{
	__u32 slot = rig_container(policy);
	int killed = 0;

	(void)state;
	memset(sh, 0, sizeof(*sh));
	for (int i = 0; i < KILLS; i++) {
		pid_t pid = h_start((int)slot, signalled, NULL);

		usleep((useconds_t)(5000 + i * 3000));
		kill(pid, SIGKILL);
		killed += rig_wait(pid) != 0;
	}
	usleep(500000);
	assert_int_equal(killed, KILLS);
	objects_look();
	assert_int_equal(rig_mounted(GOOD "/m", NULL, 0), 0);
}

static int setup(void **state)
{
	int err;

	sh = h_shared(sizeof(*sh));
	err = rig_setup(state);
	h_shell("mkdir -p " GOOD " " BAD);
	return err;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rewrite), cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_beyond),	cmocka_unit_test(test_urgent),
		cmocka_unit_test(test_stopped), cmocka_unit_test(test_frozen),
		cmocka_unit_test(test_killed),
	};

	return cmocka_run_group_tests(tests, setup, rig_teardown);
}
