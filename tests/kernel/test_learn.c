// SPDX-License-Identifier: LGPL-2.1-or-later
/* Learn mode against the kernel: everything is recorded, once, and nothing is refused. */
#include "harness.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEARN "policy: learn\nmode: learn\n"

/* What to count among the events. */
struct want {
	__u64 cid;
	__u32 type;
	__u32 class_; /* WARDER_CLASS_NONE: any */
	const char *path; /* NULL: any */
	__u32 access; /* all of them, ored together */
	int found;
	struct warder_event last;
};

static void count(const struct warder_event *e, const char *text, void *arg)
{
	struct want *w = arg;

	if (e->h.cid != w->cid || e->h.type != w->type ||
	    (w->class_ && e->class_ != w->class_) ||
	    (w->path && (e->text_len != strlen(w->path) || memcmp(text, w->path, e->text_len))))
		return;
	w->found++;
	w->access |= e->access;
	w->last = *e;
}

static struct want learned(__u32 slot, __u32 class_, const char *path)
{
	struct want w = { .cid = h_cid(slot), .type = WARDER_EVENT_LEARN, .class_ = class_,
			  .path = path };

	h_events_each(count, &w);
	return w;
}

static void each_object_and_access_is_told_once(void **state)
{
	__u32 slot = h_container(LEARN);
	__u32 other = h_container("policy: not\n");
	struct want w;

	(void)state;
	h_events_drop();
	/* A policy without file rules: the name is taken all the same. */
	assert_int_equal(h_run(slot, h_open_read, "/x/file"), 0);
	w = learned(slot, WARDER_CLASS_FILE, "/x/file");
	assert_int_equal(w.found, 1);
	assert_int_equal(w.access, WARDER_ACC_READ);
	assert_int_equal(w.last.v.action, WARDER_ALLOW);
	assert_int_equal(h_run(slot, h_open_read, "/x/file"), 0);
	assert_int_equal(learned(slot, WARDER_CLASS_FILE, "/x/file").found, 0);
	assert_int_equal(h_run(slot, h_open_write, "/x/file"), 0);
	w = learned(slot, WARDER_CLASS_FILE, "/x/file");
	assert_int_equal(w.found, 1);
	assert_int_equal(w.access, WARDER_ACC_WRITE);
	assert_int_equal(h_run(slot, h_open_write, "/x/file"), 0);
	assert_int_equal(h_run(slot, h_open_read, "/x/file"), 0);
	assert_int_equal(learned(slot, WARDER_CLASS_FILE, "/x/file").found, 0);
	/* Another container is another one; without learn mode nothing is told. */
	assert_int_equal(h_run(other, h_open_read, "/x/file"), 0);
	assert_int_equal(learned(other, WARDER_CLASS_NONE, NULL).found, 0);
	other = h_container(LEARN);
	assert_int_equal(h_run(other, h_open_read, "/x/file"), 0);
	assert_int_equal(learned(other, WARDER_CLASS_FILE, "/x/file").found, 1);
}

/* What the policy would refuse passes, is told as such, once, and counted each time. */
static void what_the_policy_refuses_passes(void **state)
{
	__u32 slot = h_container(LEARN "file:\n  - deny: [read]\n    path: /x/file\n");
	struct want w, verdicts = { .cid = h_cid(slot), .type = WARDER_EVENT_VERDICT };

	(void)state;
	h_events_drop();
	assert_int_equal(h_run(slot, h_open_read, "/x/file"), 0);
	w = learned(slot, WARDER_CLASS_FILE, "/x/file");
	assert_int_equal(w.found, 1);
	assert_int_equal(w.last.v.action, WARDER_AUDIT);
	assert_int_equal(w.last.v.rule, 1);
	assert_int_equal(h_run(slot, h_open_read, "/x/file"), 0);
	h_events_each(count, &verdicts);
	assert_int_equal(verdicts.found, 0);
	assert_int_equal(h_stats(slot).audited, 2);
	assert_int_equal(h_stats(slot).denied, 0);
	/* The next policy refuses it again. */
	h_policy(slot, "policy: learn\nfile:\n  - deny: [read]\n    path: /x/file\n");
	assert_int_equal(h_run(slot, h_open_read, "/x/file"), EACCES);
}

static int change_root(void *arg)
{
	(void)arg;
	return h_errno(chroot("/"));
}

static int exec_true(void *path)
{
	char *const argv[] = { "true", NULL };

	execve(path, argv, argv + 1);
	return errno;
}

static void other_classes_are_told(void **state)
{
	__u32 slot = h_container(LEARN "defaults: {capability: deny, exec: deny}\n");
	struct want w;

	(void)state;
	h_events_drop();
	assert_int_equal(h_run(slot, change_root, NULL), 0);
	assert_int_equal(h_run(slot, change_root, NULL), 0);
	w = learned(slot, WARDER_CLASS_CAPABILITY, NULL);
	assert_int_equal(w.found, 1);
	assert_int_equal(w.last.access, 18);
	assert_int_equal(w.last.v.action, WARDER_AUDIT);
	assert_int_equal(h_run(slot, exec_true, "/x/true"), 0);
	w = learned(slot, WARDER_CLASS_EXEC, "/x/true");
	assert_int_equal(w.found, 1);
	assert_int_equal(w.access, WARDER_ACC_EXEC);
}

/* ----------------------------------------------------------------------- many */

struct range {
	int first, end;
};

/* A folder made and removed: two accesses to each name. */
static int make_folders(void *arg)
{
	const struct range *r = arg;
	char path[64];

	for (int i = r->first; i < r->end; i++) {
		snprintf(path, sizeof(path), "/x/many/%d", i);
		if (mkdir(path, 0700) || rmdir(path))
			return errno;
	}
	return 0;
}

static int open_often(void *arg)
{
	(void)arg;
	for (int i = 0; i < 5000; i++) {
		int fd = open(i % 2 ? "/x/file" : "/x/true", O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			return errno;
		close(fd);
	}
	return 0;
}

static void a_busy_container_does_not_flood(void **state)
{
	__u32 slot = h_container(LEARN);
	struct range r = { 0, 300 };
	struct warder_ctr ctr;

	(void)state;
	/* No event at all fits into its budget. */
	assert_int_equal(loader_get_container(h_load(), slot, &ctr), 0);
	ctr.event_rate = 1;
	assert_int_equal(loader_set_container(h_load(), slot, &ctr), 0);
	h_events_drop();
	assert_int_equal(h_run(slot, open_often, NULL), 0);
	assert_in_range(learned(slot, WARDER_CLASS_FILE, NULL).found, 2, 10);
	assert_int_equal(h_run(slot, make_folders, &r), 0);
	assert_int_equal(learned(slot, WARDER_CLASS_FILE, NULL).found, 2 * 300);
	assert_int_equal(h_stats(slot).events_suppressed, 0);
}

#define NAMES 8000

static void what_found_no_place_in_the_ring_comes_again(void **state)
{
	__u32 slot = h_container(LEARN);
	struct range r = { 0, NAMES };
	int found, sum = 0, rounds = 0;

	(void)state;
	h_events_drop();
	do {
		assert_int_equal(h_run(slot, make_folders, &r), 0);
		found = learned(slot, WARDER_CLASS_FILE, NULL).found;
		sum += found;
		if (!rounds++)
			assert_in_range(found, 1, 2 * NAMES - 1);
		assert_in_range(rounds, 1, 20);
	} while (found);
	assert_int_equal(sum, 2 * NAMES);
	assert_true(h_stats(slot).events_dropped > 0);
}

/* Entries of the container in the kernel's table. */
static int entries(__u32 slot)
{
	int map = loader_map_fd(h_load(), LOADER_MAP_LEARN), n = 0;
	struct warder_learn_key key, *previous = NULL, next;

	while (!bpf_map_get_next_key(map, previous, &next)) {
		key = next;
		previous = &key;
		n += key.slot == slot;
	}
	return n;
}

static void no_room_is_told_and_refuses_nothing(void **state)
{
	__u32 slot = h_container(LEARN), other = h_container(LEARN);
	struct range r = { 100000, 100000 + WARDER_LEARN_CONTAINER_MAX + 50 };
	__u64 full = h_fault_count(WARDER_FAULT_LEARN_FULL);
	struct want w;

	(void)state;
	assert_int_equal(h_run(slot, make_folders, &r), 0);
	assert_true(h_fault_count(WARDER_FAULT_LEARN_FULL) - full >= 2 * 50);
	assert_int_equal(entries(slot), WARDER_LEARN_CONTAINER_MAX);
	/* Others learn on. */
	h_events_drop();
	full = h_fault_count(WARDER_FAULT_LEARN_FULL);
	assert_int_equal(h_run(other, h_open_read, "/x/file"), 0);
	assert_int_equal(learned(other, WARDER_CLASS_FILE, "/x/file").found, 1);
	assert_int_equal(h_fault_count(WARDER_FAULT_LEARN_FULL), full);
	/* The slot's next owner begins with nothing; the other keeps what it has. */
	assert_int_equal(loader_forget_learned(h_load(), slot), 0);
	assert_int_equal(entries(slot), 0);
	assert_true(entries(other) > 0);
	assert_int_equal(loader_reset_stats(h_load(), slot), 0);
	assert_int_equal(h_run(slot, h_open_read, "/x/file"), 0);
	w = learned(slot, WARDER_CLASS_FILE, "/x/file");
	assert_int_equal(w.found, 1);
}

static int make_files(void **state)
{
	(void)state;
	h_shell("mkdir -p /x/many && echo text >/x/file && cp /bin/true /x/true");
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_object_and_access_is_told_once),
		cmocka_unit_test(what_the_policy_refuses_passes),
		cmocka_unit_test(other_classes_are_told),
		cmocka_unit_test(a_busy_container_does_not_flood),
		cmocka_unit_test(what_found_no_place_in_the_ring_comes_again),
		cmocka_unit_test(no_room_is_told_and_refuses_nothing),
	};

	return cmocka_run_group_tests(tests, make_files, NULL);
}
