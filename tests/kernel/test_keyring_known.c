// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What is kept of a key for one task (bpf/keyown.bpf.h) ends when the key, the task, its tag, its
 * container or the key's payload becomes another. Each test first has it kept: the same is done twice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <bpf/bpf.h>
#include <cmocka.h>
#include <keyutils.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "keyring_box.h"

#define RINGS 120 /* below the container's quota */
#define ROUNDS 40
#define POLICY_JOIN_DENIED 204

/* Seen by all processes. */
static struct known {
	int32_t ring[2][RINGS]; /* of each container, open to all */
	int32_t key, answer, error;
	int ask[2]; /* told to go on: the number of the step */
	int done[2];
} *known;

enum { HOLDER, USER };

static int step_wait(const int *at, int step)
{
	for (int i = 0; i < 10000; i++) {
		if (__atomic_load_n(at, __ATOMIC_ACQUIRE) >= step)
			return 0;
		usleep(1000);
	}
	return -1;
}

static int step_do(int who, int step)
{
	__atomic_store_n(&known->ask[who], step, __ATOMIC_RELEASE);
	return step_wait(&known->done[who], step);
}

static void step_done(int who, int step)
{
	__atomic_store_n(&known->done[who], step, __ATOMIC_RELEASE);
}

/* WRITE, which is what is kept of rings, on one that the task does not possess. */
static int clear_kept(int32_t ring)
{
	return keyctl_clear(ring) || keyctl_clear(ring);
}

static int rings_make(int32_t *ring)
{
	char name[32];

	for (int i = 0; i < RINGS; i++) {
		snprintf(name, sizeof(name), "room-%d", i);
		ring[i] = add_key("keyring", name, NULL, 0, KEY_SPEC_THREAD_KEYRING);
		CHECK(ring[i] > 0 && keyctl_setperm(ring[i], OPEN_PERM) == 0);
	}
	return 0;
}

/* Its rings live for one step. */
static int child_holds(void)
{
	CHECK(rings_make(known->ring[0]) == 0);
	step_done(HOLDER, 1);
	CHECK(step_wait(&known->ask[HOLDER], 2) == 0);
	CHECK(keyctl_clear(KEY_SPEC_THREAD_KEYRING) == 0);
	step_done(HOLDER, 2);
	CHECK(step_wait(&known->ask[HOLDER], 3) == 0);
	return 0;
}

static int child_clears(void)
{
	CHECK(step_wait(&known->ask[USER], 1) == 0);
	for (int i = 0; i < RINGS; i++)
		CHECK(clear_kept(known->ring[0][i]) == 0);
	step_done(USER, 1);
	CHECK(step_wait(&known->ask[USER], 2) == 0);
	for (int i = 0; i < RINGS; i++)
		CHECK_ERRNO(keyctl_clear(known->ring[1][i]), ENOKEY);
	return 0;
}

static int child_holds_others(void)
{
	CHECK(rings_make(known->ring[1]) == 0);
	step_done(HOLDER, 1);
	CHECK(step_wait(&known->ask[HOLDER], 3) == 0);
	return 0;
}

/* Where the keys of a container lie: the map's keys say so. */
static unsigned addresses_of(uint64_t cid, uint64_t *ret, unsigned max)
{
	int fd = loader_map_fd(box_loader, LOADER_MAP_KEYS);
	uint64_t at, *previous = NULL, last;
	struct warder_key_tag tag;
	unsigned n = 0;

	while (n < max && !bpf_map_get_next_key(fd, previous, &at)) {
		if (!bpf_map_lookup_elem(fd, &at, &tag) && tag.cid == cid)
			ret[n++] = at;
		last = at;
		previous = &last;
	}
	return n;
}

static unsigned common(const uint64_t *a, unsigned n, const uint64_t *b, unsigned m)
{
	unsigned both = 0;

	for (unsigned i = 0; i < n; i++)
		for (unsigned j = 0; j < m; j++)
			both += a[i] == b[j];
	return both;
}

/* One round: how many keys of b's lie where some of a's were that a task of a had kept; -1. */
static int keys_reused(void)
{
	uint64_t before[2 * RINGS], after[2 * RINGS];
	unsigned n, base = box_count(LOADER_MAP_KEYS, box_a.cid);
	unsigned base_b = box_count(LOADER_MAP_KEYS, box_b.cid);
	pid_t holder, user, other;
	int both = -1;

	memset(known, 0, sizeof(*known));
	holder = box_start(&box_a, 0, child_holds);
	user = box_start(&box_a, 0, child_clears);
	assert_int_equal(step_wait(&known->done[HOLDER], 1), 0);
	assert_int_equal(step_do(USER, 1), 0);
	n = addresses_of(box_a.cid, before, 2 * RINGS);
	assert_true(n >= RINGS);
	assert_int_equal(step_do(HOLDER, 2), 0);
	/* The holder's thread ring may be there still. */
	for (int i = 0; i < 1000 && box_count(LOADER_MAP_KEYS, box_a.cid) > base + 2; i++)
		usleep(10000);
	__atomic_store_n(&known->done[HOLDER], 0, __ATOMIC_RELEASE);
	other = box_start(&box_b, 0, child_holds_others);
	assert_int_equal(step_wait(&known->done[HOLDER], 1), 0);
	both = (int)common(before, n, after, addresses_of(box_b.cid, after, 2 * RINGS));
	__atomic_store_n(&known->ask[USER], 2, __ATOMIC_RELEASE);
	assert_int_equal(box_wait(user), 0);
	__atomic_store_n(&known->ask[HOLDER], 3, __ATOMIC_RELEASE);
	assert_int_equal(box_wait(holder), 0);
	assert_int_equal(box_wait(other), 0);
	for (int i = 0; i < 1000 && box_count(LOADER_MAP_KEYS, box_b.cid) > base_b; i++)
		usleep(10000);
	return both;
}

/* Another container's key lies where a key of its own was. */
static void test_key_address_again(void **state)
{
	int both = 0;

	(void)state;
	for (int i = 0; i < ROUNDS && both < 20; i++)
		both += keys_reused();
	/* Else nothing was shown. */
	assert_true(both >= 20);
}

/* ------------------------------------------------------------------- tasks */

static int child_holds_one(void)
{
	int32_t ring = add_key("keyring", "room", NULL, 0, KEY_SPEC_THREAD_KEYRING);

	CHECK(ring > 0 && keyctl_setperm(ring, OPEN_PERM) == 0);
	shared->ring = ring;
	step_done(HOLDER, 1);
	CHECK(step_wait(&known->ask[HOLDER], 2) == 0);
	return 0;
}

static int child_own(void)
{
	CHECK(clear_kept(shared->ring) == 0);
	return 0;
}

static int child_foreign(void)
{
	CHECK_ERRNO(keyctl_clear(shared->ring), ENOKEY);
	CHECK_ERRNO(keyctl_clear(shared->ring), ENOKEY);
	return 0;
}

/* Tasks of another container follow at the addresses of a's. */
static void test_task_address_again(void **state)
{
	pid_t holder;

	(void)state;
	memset(known, 0, sizeof(*known));
	holder = box_start(&box_a, 0, child_holds_one);
	assert_int_equal(step_wait(&known->done[HOLDER], 1), 0);
	for (int i = 0; i < 150; i++) {
		assert_int_equal(box_run(&box_a, child_own), 0);
		assert_int_equal(box_run(&box_b, child_foreign), 0);
	}
	__atomic_store_n(&known->ask[HOLDER], 2, __ATOMIC_RELEASE);
	assert_int_equal(box_wait(holder), 0);
}

/* Does `step` each time it is told to. */
static int child_asks(void)
{
	CHECK(clear_kept(shared->ring) == 0);
	step_done(USER, 1);
	for (int step = 2; step <= 4; step++) {
		CHECK(step_wait(&known->ask[USER], step) == 0);
		errno = 0;
		known->answer = (int32_t)keyctl_clear(shared->ring);
		known->error = errno;
		step_done(USER, step);
	}
	return 0;
}

static void assert_answer(int step, int error)
{
	assert_int_equal(step_do(USER, step), 0);
	assert_int_equal(known->answer, error ? -1 : 0);
	assert_int_equal(known->error, error);
}

/* Its tag is taken away, and it gets another container's. */
static void test_tag_again(void **state)
{
	const struct warder_adopt what = { .cid = box_a.cid };
	__u64 found, failed;
	pid_t holder, user;
	int pidfd;

	(void)state;
	memset(known, 0, sizeof(*known));
	holder = box_start(&box_a, 0, child_holds_one);
	assert_int_equal(step_wait(&known->done[HOLDER], 1), 0);
	user = box_start(&box_a, 0, child_asks);
	assert_int_equal(step_wait(&known->done[USER], 1), 0);
	assert_int_equal(loader_adopt_once(box_loader, &what, WARDER_ADOPT_UNTAG, NULL, NULL, &found,
					   &failed), 0);
	assert_true(found >= 2 && !failed);
	/* Of no container it is the host's, which is not filtered. */
	assert_answer(2, 0);
	pidfd = (int)syscall(SYS_pidfd_open, user, 0);
	assert_true(pidfd >= 0);
	assert_int_equal(loader_tag_task(box_loader, pidfd, box_b.cid, box_b.slot), 0);
	close(pidfd);
	assert_answer(3, ENOKEY);
	assert_answer(4, ENOKEY);
	assert_int_equal(box_wait(user), 0);
	__atomic_store_n(&known->ask[HOLDER], 2, __ATOMIC_RELEASE);
	assert_int_equal(box_wait(holder), 0);
}

/* -------------------------------------------------------------- containers */

/* The container's record goes, and its place is another's. */
static void test_container_again(void **state)
{
	struct box q = { .slot = 902 }, next;
	struct warder_ctr none;
	pid_t holder, user;

	(void)state;
	memset(known, 0, sizeof(*known));
	memset(&none, 0, sizeof(none));
	assert_int_equal(box_make(&q), 0);
	holder = box_start(&q, 0, child_holds_one);
	assert_int_equal(step_wait(&known->done[HOLDER], 1), 0);
	user = box_start(&q, 0, child_asks);
	assert_int_equal(step_wait(&known->done[USER], 1), 0);
	assert_int_equal(loader_set_container(box_loader, q.slot, &none), 0);
	assert_answer(2, EACCES);
	next = q;
	assert_int_equal(loader_next_cid(box_loader, (__u64 *)&next.cid), 0);
	assert_int_equal(box_record(&next, 0), 0);
	assert_answer(3, EACCES);
	assert_int_equal(box_record(&q, 0), 0);
	assert_answer(4, 0);
	assert_int_equal(box_wait(user), 0);
	__atomic_store_n(&known->ask[HOLDER], 2, __ATOMIC_RELEASE);
	assert_int_equal(box_wait(holder), 0);
	assert_int_equal(box_end(&q), 0);
}

/* ------------------------------------------------------------------ payload */

static int child_grows(void)
{
	static char payload[1000];
	int32_t key, ring;

	memset(payload, 'x', sizeof(payload));
	ring = keyctl_get_keyring_ID(KEY_SPEC_PROCESS_KEYRING, 1);
	key = add_key("user", "a", payload, 500, ring);
	CHECK(key > 0);
	for (int i = 0; i < 3; i++)
		CHECK(add_key("user", "a", payload, 500, ring) == key);
	/* Less, in two ways; the room is then another's. */
	CHECK(keyctl_update(key, payload, 100) == 0);
	CHECK(add_key("user", "b", payload, 500, ring) > 0);
	CHECK_ERRNO(add_key("user", "a", payload, 500, ring), EDQUOT);
	CHECK(add_key("user", "a", payload, 100, ring) == key);
	CHECK(add_key("user", "a", payload, 20, ring) == key);
	CHECK(add_key("user", "c", payload, 400, ring) > 0);
	CHECK_ERRNO(add_key("user", "a", payload, 100, ring), EDQUOT);
	CHECK(add_key("user", "a", payload, 20, ring) == key);
	return 0;
}

static int child_counts(void)
{
	static const int lengths[] = { 7, 7, 7, 900, 900, 7, 1100, 1100, 7, 7, 1100, 900, 7 };
	static char payload[1100];

	memset(payload, 'x', sizeof(payload));
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		CHECK(add_key("user", "a", payload, (size_t)lengths[i], KEY_SPEC_PROCESS_KEYRING) > 0);
		known->answer = lengths[i];
		step_done(USER, (int)i + 1);
		CHECK(step_wait(&known->ask[USER], (int)i + 1) == 0);
	}
	return 0;
}

/* A length that was kept is no room for more, and what is counted is what is there. */
static void test_payload_again(void **state)
{
	struct box q = { .slot = 902, .keys_bytes = 1000 };
	struct box more = { .slot = 903, .keys_bytes = 3000 };
	struct warder_stats st;
	uint64_t base = 0;
	pid_t pid;

	(void)state;
	assert_int_equal(box_make(&q), 0);
	assert_int_equal(box_run(&q, child_grows), 0);
	assert_int_equal(box_end(&q), 0);

	memset(known, 0, sizeof(*known));
	assert_int_equal(box_make(&more), 0);
	pid = box_start(&more, 0, child_counts);
	for (int i = 1; i <= 13; i++) {
		assert_int_equal(step_wait(&known->done[USER], i), 0);
		assert_int_equal(loader_get_stats(box_loader, more.slot, &st), 0);
		if (i == 1)
			base = st.key_bytes - (uint64_t)known->answer;
		assert_int_equal(st.key_bytes, base + (uint64_t)known->answer);
		__atomic_store_n(&known->ask[USER], i, __ATOMIC_RELEASE);
	}
	assert_int_equal(box_wait(pid), 0);
	assert_int_equal(box_end(&more), 0);
}

/* --------------------------------------------------------- rights and rings */

/* What the kernel's permissions refuse stays refused, and what a policy has a say in is asked for. */
static int child_changes(void)
{
	int32_t ring, inner, other, key;

	ring = add_key("keyring", "room", NULL, 0, KEY_SPEC_PROCESS_KEYRING);
	inner = add_key("keyring", "inner", NULL, 0, ring);
	other = add_key("keyring", "other", NULL, 0, KEY_SPEC_PROCESS_KEYRING);
	key = add_key("user", "kept", "x", 1, inner);
	CHECK(ring > 0 && inner > 0 && other > 0 && key > 0);
	for (int i = 0; i < 3; i++) {
		CHECK(request_key("user", "kept", NULL, 0) == key);
		CHECK(keyctl_clear(other) == 0);
		CHECK(add_key("user", "kept", "x", 1, inner) == key);
	}
	/* Into another ring: found there, and by the old way no more. */
	CHECK(keyctl_move(key, inner, other, 0) == 0);
	CHECK(request_key("user", "kept", NULL, 0) == key);
	CHECK_ERRNO(keyctl_search(ring, "user", "kept", 0), ENOKEY);
	CHECK(keyctl_search(other, "user", "kept", 0) == key);
	/* No right to write, none to search. */
	CHECK(keyctl_setperm(key, KEY_POS_VIEW | KEY_POS_READ | KEY_POS_SEARCH | KEY_POS_SETATTR) == 0);
	CHECK_ERRNO(add_key("user", "kept", "x", 1, other), EACCES);
	CHECK(keyctl_setperm(key, (KEY_POS_ALL & ~KEY_POS_SEARCH) | KEY_USR_SETATTR) == 0);
	CHECK_ERRNO(request_key("user", "kept", NULL, 0), ENOKEY);
	CHECK(keyctl_setperm(key, KEY_POS_ALL) == 0);
	CHECK(keyctl_chown(key, 12345, (gid_t)-1) == 0);
	CHECK(request_key("user", "kept", NULL, 0) == key);
	/* A session that is searched for by the name of a ring whose searches were allowed. */
	CHECK(keyctl_setperm(ring, OPEN_PERM) == 0);
	CHECK(request_key("user", "kept", NULL, 0) == key);
	CHECK_ERRNO(keyctl_join_session_keyring("room"), EPERM);
	/* It is not invalidated by the right to search alone, where S is concerned. */
	CHECK(request_key("user", "kept", NULL, 0) == key);
	CHECK_ERRNO(keyctl_invalidate(shared->box.rings.session), EACCES);
	CHECK(keyctl_invalidate(key) == 0);
	CHECK(request_key("user", "kept", NULL, 0) == -1);
	return 0;
}

static void test_rights_and_rings(void **state)
{
	struct box q = { .slot = 902, .policy = POLICY_JOIN_DENIED };

	(void)state;
	assert_int_equal(box_publish(POLICY_JOIN_DENIED, "policy: stay\nmode: enforce\n"
							 "keyring: {join: deny}\n"), 0);
	assert_int_equal(box_make(&q), 0);
	shared->box = q;
	assert_int_equal(box_run(&q, child_changes), 0);
	assert_int_equal(box_end(&q), 0);
}

static int setup(void **state)
{
	known = mmap(NULL, sizeof(*known), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return known == MAP_FAILED ? -1 : box_group_setup(state);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_key_address_again),
		cmocka_unit_test(test_task_address_again),
		cmocka_unit_test(test_tag_again),
		cmocka_unit_test(test_container_again),
		cmocka_unit_test(test_payload_again),
		cmocka_unit_test(test_rights_and_rings),
	};

	return cmocka_run_group_tests(tests, setup, box_group_teardown);
}
