// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Ways out of a container's box that other tests do not take: the engine itself and its pins, a
 * supervisor that dies, signals to everybody, labels by /proc, tables that are full, floods.
 */
#include "harness.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"

#define BROKEN 90
#define DIR "/root/bh"
#define SECRET DIR "/secret"
#define POLICY "policy: host\nfile:\n  - deny: [read]\n    path: " SECRET "\n    id: secret\n"

static int ask(void *arg)
{
	(void)arg;
	return h_open(SECRET, O_RDONLY);
}

/* ---------------------------------------------------------- a supervisor that dies */

static int orphan_fd[2];

static int supervise(void *arg)
{
	h_load();
	h_tag(*(pid_t *)arg, h_container(POLICY));
	if (write(orphan_fd[1], "", 1) != 1)
		return BROKEN;
	while (pause() < 0)
		;
	return BROKEN;
}

/* Both hold the pipe's other end: an end of one of them is no end of file. */
static void wait_for_word(void)
{
	struct pollfd p = { .fd = orphan_fd[0], .events = POLLIN };
	char c;

	assert_int_equal(poll(&p, 1, 120000), 1);
	assert_int_equal(read(orphan_fd[0], &c, 1), 1);
}

/* It is killed; what it has tagged stays confined, and a next one finds it. Runs before this
 * program has loaded anything itself. */
static void enforcement_outlives_its_supervisor(void **state)
{
	int go[2], status;
	struct warder_task tag;
	pid_t task, super;
	char c;

	(void)state;
	assert_int_equal(pipe(go), 0);
	assert_int_equal(pipe(orphan_fd), 0);
	task = fork();
	if (!task) {
		/* Asks twice: while nobody supervises, and when somebody does again. */
		close(go[1]);
		for (int i = 0; i < 2; i++)
			if (read(go[0], &c, 1) != 1 || ask(NULL) != EACCES ||
			    write(orphan_fd[1], "", 1) != 1)
				_exit(BROKEN);
		_exit(EACCES);
	}
	super = fork();
	if (!super)
		_exit(supervise(&task));
	wait_for_word();
	kill(super, SIGKILL);
	assert_int_equal(waitpid(super, &status, 0), super);
	assert_int_equal(write(go[1], "", 1), 1);
	wait_for_word();

	assert_int_equal(loader_was_pinned(h_load()), 1);
	{
		cleanup_close int pidfd = syscall(SYS_pidfd_open, task, 0);

		assert_int_equal(loader_get_task(h_load(), pidfd, &tag), 0);
		assert_true(tag.cid != 0);
	}
	assert_int_equal(write(go[1], "", 1), 1);
	assert_int_equal(waitpid(task, &status, 0), task);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EACCES);
	close(go[0]);
	close(go[1]);
	close(orphan_fd[0]);
	close(orphan_fd[1]);
}

/* ---------------------------------------------------------------------- the engine */

static int map_fd;

enum { OPEN_PIN, MKDIR, OBJ_GET, MAP_UPDATE, MAP_LOOKUP, MAP_BY_ID, PROG_BY_ID, LINK_BY_ID,
       ENGINE__MAX };

static int attack_engine(void *arg)
{
	__u32 id = 0, key = 0;
	char value[4096];

	switch (*(int *)arg) {
	case OPEN_PIN:
		return h_errno(open(WARDER_PIN_DIR, O_RDONLY | O_DIRECTORY));
	case MKDIR:
		if (mkdir(WARDER_PIN_DIR "/byp", 0700))
			return errno;
		return h_errno(rmdir(WARDER_PIN_DIR "/byp"));
	case OBJ_GET:
		return h_errno(bpf_obj_get(WARDER_PIN_DIR "/warder_ctrs"));
	case MAP_UPDATE: /* What it has, inherited: nothing changes for the untagged one. */
		if (bpf_map_lookup_elem(map_fd, &key, value))
			return errno;
		return h_errno(bpf_map_update_elem(map_fd, &key, value, BPF_EXIST));
	case MAP_LOOKUP:
		return h_errno(bpf_map_lookup_elem(map_fd, &key, value));
	case MAP_BY_ID:
		if (bpf_map_get_next_id(0, &id))
			return errno;
		return h_errno(bpf_map_get_fd_by_id(id));
	case PROG_BY_ID:
		if (bpf_prog_get_next_id(0, &id))
			return errno;
		return h_errno(bpf_prog_get_fd_by_id(id));
	case LINK_BY_ID:
		if (bpf_link_get_next_id(0, &id))
			return errno;
		return h_errno(bpf_link_get_fd_by_id(id));
	}
	return BROKEN;
}

static void the_engine_is_out_of_reach(void **state)
{
	__u32 slot = h_container("policy: engine\ndefaults: {kernel: allow, mount: allow}\n");
	__u32 audit = h_container("policy: audit\nmode: audit\n");

	(void)state;
	map_fd = bpf_obj_get(WARDER_PIN_DIR "/warder_ctrs");
	assert_true(map_fd >= 0);
	for (int i = 0; i < ENGINE__MAX; i++) {
		int plain = h_run(-1, attack_engine, &i), in = h_run((int)slot, attack_engine, &i);
		int watched = h_run((int)audit, attack_engine, &i);

		if (plain || in != EPERM || watched != EPERM)
			fail_msg("attack %d: %d by an untagged task, %d by a tagged one, %d in audit "
				 "mode", i, plain, in, watched);
	}
	close(map_fd);
}

static int unlink_pin(void *arg)
{
	return h_errno(unlink(arg));
}

static int cover_pins(void *arg)
{
	(void)arg;
	if (h_own_mounts(0))
		return errno;
	return h_errno(mount("none", DIR "/mnt", "bpf", 0, NULL));
}

static void pins_cannot_be_removed(void **state)
{
	__u32 slot = h_container("policy: pins\ndefaults: {kernel: allow}\n");

	(void)state;
	assert_int_equal(h_run((int)slot, unlink_pin, WARDER_PIN_DIR "/warder_ctrs"), EPERM);
	assert_int_equal(access(WARDER_PIN_DIR "/warder_ctrs", F_OK), 0);
	assert_int_equal(h_run((int)slot, cover_pins, NULL), EPERM);
	assert_int_equal(h_run(-1, cover_pins, NULL), 0);
}

/* ----------------------------------------------------------------------- signals */

static int nap(void *arg)
{
	(void)arg;
	while (pause() < 0)
		;
	return BROKEN;
}

/* With every task of the host in sight, a signal to all reaches the container's own. */
static int kill_all(void *arg)
{
	(void)arg;
	return h_errno(kill(-1, SIGTERM));
}

static void a_signal_to_all_stays_inside(void **state)
{
	__u32 a = h_container("policy: all\n"), b = h_container("policy: other\n");
	__u32 audit = h_container("policy: audit\nmode: audit\n");
	pid_t host = h_start(-1, nap, NULL), other = h_start((int)b, nap, NULL);
	pid_t own = h_start((int)a, nap, NULL);

	(void)state;
	usleep(20000);
	h_run((int)a, kill_all, NULL);
	h_run((int)audit, kill_all, NULL);
	assert_int_equal(h_wait(own), 128 + SIGTERM);
	assert_int_equal(waitpid(host, NULL, WNOHANG), 0);
	assert_int_equal(waitpid(other, NULL, WNOHANG), 0);
	kill(host, SIGKILL);
	kill(other, SIGKILL);
	assert_int_equal(h_wait(host), 128 + SIGKILL);
	assert_int_equal(h_wait(other), 128 + SIGKILL);
}

/* ------------------------------------------------------------------------- labels */

/* Writing labels, or hiding /proc where others would write them, changes nobody's tag. */
static int relabel(void *arg)
{
	static const char *const files[] = { "current", "exec", "fscreate", "prev", "sockcreate" };

	(void)arg;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char path[64];
		int fd;

		snprintf(path, sizeof(path), "/proc/self/attr/%s", files[i]);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd >= 0 && write(fd, "unconfined", 10) == 10)
			fd = -1;
	}
	if (h_own_mounts(0) ||
	    mount("none", "/proc", "tmpfs", 0, NULL))
		return BROKEN;
	execl(DIR "/self", "self", "--ask", NULL);
	return BROKEN;
}

static void labels_are_not_an_identity(void **state)
{
	__u32 slot = h_container("policy: labels\ndefaults: {mount: allow, namespace: allow}\n"
				 "file:\n  - deny: [read]\n    path: " SECRET "\n");

	(void)state;
	h_shell("cp /proc/%d/exe " DIR "/self", getpid());
	assert_int_equal(h_run((int)slot, relabel, NULL), EACCES);
	assert_int_equal(h_run(-1, relabel, NULL), 0);
}

static int mount_proc(void *arg)
{
	(void)arg;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
		return BROKEN;
	return h_errno(mount("none", DIR "/mnt", "proc", 0, NULL));
}

static int mount_proc_as_root(void *arg)
{
	(void)arg;
	return h_errno(mount("none", DIR "/mnt", "proc", 0, NULL));
}

/* A mask over a file of /proc is worth nothing if /proc can be had again elsewhere. */
static void proc_cannot_be_mounted_again(void **state)
{
	__u32 slot = h_container("policy: proc\ndefaults: {namespace: allow}\n");

	(void)state;
	assert_int_equal(h_run((int)slot, mount_proc, NULL), EPERM);
	assert_int_equal(h_run((int)slot, mount_proc_as_root, NULL), EPERM);
	assert_int_equal(h_run(-1, mount_proc_as_root, NULL), 0);
	h_shell("umount " DIR "/mnt");
}

/* ------------------------------------------------------------------ full, flooded */

/* With every slot of both tables taken the next is an error, and a container that ran before is
 * confined as before, under the policy that it had. */
static void full_tables_change_nothing(void **state)
{
	static unsigned char policies[WARDER_POLICIES_MAX], containers[WARDER_CONTAINERS_MAX];
	__u32 slot = h_container(POLICY), policies_set = 0, containers_set = 0;
	cleanup_free struct warder_image *image = h_compile("policy: full\n");
	struct warder_error e = { "" };
	struct warder_ctr ctr;

	(void)state;
	assert_int_equal(h_run((int)slot, ask, NULL), EACCES);
	for (__u32 i = 0; i < WARDER_POLICIES_MAX; i++) {
		cleanup_free struct warder_image *there = NULL;

		if (loader_read_image(h_load(), i, &there) != -ENOENT)
			continue;
		assert_int_equal(loader_publish(h_load(), i, image, &e), 0);
		policies[i] = 1;
		policies_set++;
	}
	for (__u32 i = 0; i < WARDER_CONTAINERS_MAX; i++) {
		assert_int_equal(loader_get_container(h_load(), i, &ctr), 0);
		if (ctr.state != WARDER_CTR_FREE)
			continue;
		ctr = (struct warder_ctr) { .state = WARDER_CTR_RUNNING, .cid = 1000000 + i };
		assert_int_equal(loader_set_container(h_load(), i, &ctr), 0);
		containers[i] = 1;
		containers_set++;
	}
	assert_true(policies_set && containers_set);
	assert_int_equal(loader_publish(h_load(), WARDER_POLICIES_MAX, image, &e), -ENOSPC);
	assert_non_null(strstr(e.text, "no more than 256 policies"));
	assert_int_equal(loader_set_container(h_load(), WARDER_CONTAINERS_MAX, &ctr), -EINVAL);
	assert_int_equal(h_run((int)slot, ask, NULL), EACCES);
	ctr = (struct warder_ctr) { .state = WARDER_CTR_FREE };
	for (__u32 i = 0; i < WARDER_CONTAINERS_MAX; i++)
		if (containers[i])
			assert_int_equal(loader_set_container(h_load(), i, &ctr), 0);
	for (__u32 i = 0; i < WARDER_POLICIES_MAX; i++)
		if (policies[i])
			assert_int_equal(loader_unpublish(h_load(), i), 0);
	assert_int_equal(h_run((int)slot, ask, NULL), EACCES);
}

static void what_does_not_fit_is_an_error(void **state)
{
	struct warder_ctr ctr = { .state = WARDER_CTR_RUNNING, .cid = 1 };
	cleanup_free struct warder_image *image = h_compile("policy: full\n");
	struct warder_error e = { "" };

	(void)state;
	assert_true(loader_publish(h_load(), WARDER_POLICIES_MAX, image, &e) < 0);
	assert_string_not_equal(e.text, "");
	assert_true(loader_publish(h_load(), 0xffffffff, image, &e) < 0);
	assert_true(loader_set_container(h_load(), WARDER_CONTAINERS_MAX, &ctr) < 0);
	assert_int_equal(loader_publish(h_load(), WARDER_POLICIES_MAX - 1, image, &e), 0);
	assert_int_equal(loader_unpublish(h_load(), WARDER_POLICIES_MAX - 1), 0);
}

#define FLOOD 40000

static int flood(void *arg)
{
	(void)arg;
	for (int i = 0; i < FLOOD; i++)
		if (ask(NULL) != EACCES)
			return BROKEN;
	return 0;
}

/* Events can be lost, counts not: nobody reads the ring meanwhile. */
static void floods_lose_no_count(void **state)
{
	__u32 slot = h_container(POLICY);
	struct warder_stats stats;

	(void)state;
	h_events_drop();
	assert_int_equal(h_run((int)slot, flood, NULL), 0);
	stats = h_stats(slot);
	assert_int_equal(stats.denied, FLOOD);
	assert_int_equal(stats.events + stats.events_dropped + stats.events_suppressed, FLOOD);
	assert_true(stats.events_dropped > 0);
	h_events_drop();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(enforcement_outlives_its_supervisor),
		cmocka_unit_test(the_engine_is_out_of_reach),
		cmocka_unit_test(pins_cannot_be_removed),
		cmocka_unit_test(a_signal_to_all_stays_inside),
		cmocka_unit_test(labels_are_not_an_identity),
		cmocka_unit_test(proc_cannot_be_mounted_again),
		cmocka_unit_test(full_tables_change_nothing),
		cmocka_unit_test(what_does_not_fit_is_an_error),
		cmocka_unit_test(floods_lose_no_count),
	};

	if (argc > 1 && !strcmp(argv[1], "--ask"))
		return ask(NULL);
	h_shell("mkdir -p " DIR "/mnt; echo x > " SECRET);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
