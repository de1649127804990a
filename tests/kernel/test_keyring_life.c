// SPDX-License-Identifier: LGPL-2.1-or-later
/* How keys come and go: announcements, quotas, upcalls, events, supervisors that die. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>
#include <keyutils.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "keyring_box.h"

/* Of the kernel's enum key_need_perm, in events. */
#define NEED_VIEW 1

static unsigned tags_of(uint64_t cid)
{
	return box_count(LOADER_MAP_KEYS, cid);
}

/* ----------------------------------------------------------- announcements */

/* Announces a key "user:announced" for a, then makes one; how many more keys a has. */
static int announce(const char *hashed, int64_t in_ns, int32_t *ret)
{
	int fd = loader_map_fd(box_loader, LOADER_MAP_KEY_ALLOC_AS);
	struct warder_alloc_as as = { .cid = box_a.cid, .kind = WARDER_KEY_GIVEN };
	struct warder_key_name n = { .type = "user" };
	__u32 tid = (__u32)gettid();
	unsigned before = tags_of(box_a.cid);
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(n.description, sizeof(n.description), "%s", hashed);
	as.hash = warder_key_hash(&n);
	as.expires = (__u64)((int64_t)now.tv_sec * 1000000000 + now.tv_nsec + in_ns);
	if (bpf_map_update_elem(fd, &tid, &as, BPF_ANY))
		return -1;
	*ret = add_key("user", "announced", "x", 1, KEY_SPEC_PROCESS_KEYRING);
	if (*ret < 0)
		return -1;
	keyctl_unlink(*ret, KEY_SPEC_PROCESS_KEYRING);
	return (int)(tags_of(box_a.cid) - before);
}

static void test_announcements(void **state)
{
	int fd = loader_map_fd(box_loader, LOADER_MAP_KEY_ALLOC_AS);
	__u32 tid = (__u32)gettid();
	int32_t serial;

	(void)state;
	assert_int_equal(announce("announced", 1000000000, &serial), 1);
	/* Used up. */
	assert_int_equal(bpf_map_delete_elem(fd, &tid), -ENOENT);
	/* Too late, or another key's: the key is the host's. */
	assert_int_equal(announce("announced", -1, &serial), 0);
	assert_int_equal(announce("other", 1000000000, &serial), 0);
	assert_int_equal(bpf_map_delete_elem(fd, &tid), 0);
}

/* ------------------------------------------------------------------ faults */

static int child_without_record(void)
{
	char buf[64];

	CHECK_ERRNO(keyctl_describe(shared->box.rings.container, buf, sizeof(buf)), EACCES);
	CHECK_ERRNO(keyctl_describe(shared->host_key, buf, sizeof(buf)), EACCES);
	CHECK_ERRNO(add_key("user", "x", "x", 1, KEY_SPEC_THREAD_KEYRING), EACCES);
	CHECK_ERRNO(request_key("user", "secret", NULL, 0), EACCES);
	return 0;
}

/* A tag whose container is gone: everything is refused. */
static void test_fault_denies(void **state)
{
	__u64 before[WARDER_FAULT__MAX], after[WARDER_FAULT__MAX];
	struct box q = { .slot = 902 };
	struct warder_ctr none;

	(void)state;
	assert_int_equal(box_make(&q), 0);
	memset(&none, 0, sizeof(none));
	assert_int_equal(loader_set_container(box_loader, q.slot, &none), 0);
	shared->box = q;
	assert_int_equal(loader_get_faults(box_loader, before), 0);
	assert_int_equal(box_run(&q, child_without_record), 0);
	assert_int_equal(loader_get_faults(box_loader, after), 0);
	assert_true(after[WARDER_FAULT_CONTAINER] >= before[WARDER_FAULT_CONTAINER] + 4);
	assert_int_equal(box_end(&q), 0);
}

/* ------------------------------------------------------------------ quota */

static uint64_t keys_of(const struct box *x)
{
	struct warder_stats st;

	return loader_get_stats(box_loader, x->slot, &st) ? ~0ull : st.keys;
}

/* Collected keys leave the count; true when it came to `n` within ten seconds. */
static int keys_come_to(const struct box *x, uint64_t n)
{
	for (int i = 0; i < 1000 && keys_of(x) != n; i++)
		usleep(10000);
	if (keys_of(x) != n)
		fprintf(stderr, "%llu keys, not %llu\n", (unsigned long long)keys_of(x),
			(unsigned long long)n);
	return keys_of(x) == n;
}

static int child_fills_quota(void)
{
	char name[32];
	int n = 0;

	/* @t is the first key. */
	for (;;) {
		snprintf(name, sizeof(name), "fill-%d", n);
		if (add_key("user", name, "x", 1, KEY_SPEC_THREAD_KEYRING) < 0)
			break;
		if (++n > 1000)
			break;
	}
	CHECK(errno == EDQUOT);
	CHECK(n == shared->stage - 1);
	/* Nor by any other way to make one. */
	CHECK_ERRNO(keyctl_join_session_keyring(NULL), EDQUOT);
	CHECK_ERRNO(add_key("keyring", "r", NULL, 0, KEY_SPEC_SESSION_KEYRING), EDQUOT);
	CHECK_ERRNO(request_key("user", "debug:quota", "x", 0), EDQUOT);
	/* Updates make none. */
	CHECK(add_key("user", "fill-0", "y", 1, KEY_SPEC_THREAD_KEYRING) > 0);
	return 0;
}

static int child_adds_one(void)
{
	CHECK(add_key("user", "one", "x", 1, KEY_SPEC_THREAD_KEYRING) > 0);
	return 0;
}

static int box_quota(struct box *x, uint32_t max)
{
	struct box q = *x;
	int err;

	shared->stage = max ? (int)max : WARDER_KEYS_DEFAULT;
	if (box_record(&q, max) || !keys_come_to(&q, 0))
		return -1;
	err = box_run(&q, child_fills_quota);
	/* Keys of dead processes are collected, and can be made again. */
	if (!err)
		err = !keys_come_to(&q, 0);
	if (!err)
		err = box_run(&q, child_adds_one);
	return err;
}

static void test_quota(void **state)
{
	struct box q = { .slot = 902 };

	(void)state;
	assert_int_equal(box_make(&q), 0);
	assert_int_equal(box_quota(&q, 0), 0);
	assert_int_equal(box_quota(&q, 5), 0);
	assert_int_equal(box_end(&q), 0);
}

static int child_fills_and_waits(void)
{
	int err = child_fills_quota();

	if (err)
		return err;
	shared->serial = 0;
	shared->ring = 1;
	while (shared->ring == 1)
		usleep(1000);
	return 0;
}

/* A container at its limit harms neither another one nor what the supervisor gives it. */
static void test_quota_of_others(void **state)
{
	struct box q = { .slot = 902 };
	int other, given;
	pid_t pid;

	(void)state;
	assert_int_equal(box_make(&q), 0);
	shared->stage = WARDER_KEYS_DEFAULT;
	shared->ring = 0;
	pid = box_start(&q, 0, child_fills_and_waits);
	while (shared->ring == 0 && !waitpid(pid, NULL, WNOHANG))
		usleep(1000);
	other = box_run(&box_a, child_adds_one);
	given = box_give(&q, "given", "x", NULL);
	shared->ring = 2;
	assert_int_equal(box_wait(pid), 0);
	assert_int_equal(other, 0);
	assert_int_equal(given, 0);
	assert_int_equal(box_end(&q), 0);
}

/* The two rings of a uid stay for ever, in the host's register. */
static int child_uses_uids(void)
{
	CHECK(setresuid(70001, -1, -1) == 0);
	CHECK(keyctl_get_keyring_ID(KEY_SPEC_USER_KEYRING, 0) > 0);
	return 0;
}

static int child_uses_more_uids(void)
{
	CHECK(setresuid(70002, -1, -1) == 0);
	/* The kernel makes ENOKEY of it. */
	CHECK_ERRNO(keyctl_get_keyring_ID(KEY_SPEC_USER_KEYRING, 0), ENOKEY);
	return 0;
}

static void test_quota_counts_uid_rings(void **state)
{
	struct box q = { .slot = 902 };

	(void)state;
	assert_int_equal(box_make(&q), 0);
	assert_int_equal(box_record(&q, 2), 0);
	assert_int_equal(box_run(&q, child_uses_uids), 0);
	assert_true(keys_of(&q) == 2);
	assert_int_equal(box_run(&q, child_uses_more_uids), 0);
	/* They are there already. */
	assert_int_equal(box_run(&q, child_uses_uids), 0);
	assert_int_equal(box_end(&q), 0);
}

/* ----------------------------------------------------------------- upcalls */

/* The ordinary request-key, with its own debugging entries. */
static int child_upcalls(void)
{
	int32_t key = request_key("user", "debug:warder", "callout", 0);

	CHECK(key > 0);
	CHECK(payload_is(key, "Debug callout"));
	CHECK(request_key("user", "debug:warder", NULL, 0) == key);
	CHECK_ERRNO(request_key("user", "debug:no", "negate", 0), ENOKEY);
	CHECK_ERRNO(request_key("user", "debug:rejected", "rejected", 0), EKEYREJECTED);
	/* The handler is no member of the container: it sees the host's keys. */
	key = request_key("user", "warder:host", "x", 0);
	CHECK(key > 0);
	CHECK(payload_is(key, "host"));
	return 0;
}

static int write_text(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "we");

	if (!f)
		return -1;
	fputs(text, f);
	return fclose(f) || chmod(path, mode);
}

static void test_upcalls(void **state)
{
	char script[512];

	(void)state;
	snprintf(script, sizeof(script),
		 "#!/bin/sh\nexec /usr/bin/keyctl instantiate $1 "
		 "\"$(/usr/bin/keyctl print %d)\" $2\n",
		 shared->host_key);
	assert_int_equal(write_text("/tmp/warder-key-handler", script, 0755), 0);
	mkdir("/etc/request-key.d", 0755);
	assert_int_equal(write_text("/etc/request-key.d/warder-test.conf",
				    "create user warder:* * /tmp/warder-key-handler %k %S\n", 0644),
			 0);
	assert_int_equal(box_run(&box_a, child_upcalls), 0);
	assert_int_equal(box_wait(box_start(&box_b, CLONE_NEWUSER, child_upcalls)), 0);
	unlink("/etc/request-key.d/warder-test.conf");
}

/* ------------------------------------------------------------------ events */

struct seen {
	int32_t serial;
	unsigned events;
	uint64_t need;
	uint32_t err, op;
	char text[64];
};

static int event_fn(void *arg, void *data, size_t size)
{
	const struct warder_event *e = data;
	struct seen *s = arg;

	if (size < sizeof(*e) || e->h.type != WARDER_EVENT_VERDICT ||
	    e->hook != WARDER_HOOK_KEY_PERMISSION || e->arg[0] != (uint32_t)s->serial)
		return 0;
	s->events++;
	s->need = e->arg[1];
	s->err = e->v.err;
	s->op = e->access;
	snprintf(s->text, sizeof(s->text), "%.*s", (int)e->text_len, (const char *)(e + 1));
	return 0;
}

static int child_asks_host_key(void)
{
	char buf[64];

	CHECK_ERRNO(keyctl_describe(shared->host_key, buf, sizeof(buf)), ENOKEY);
	return 0;
}

static int child_skips_host_key(void)
{
	CHECK_ERRNO(keyctl_search(KEY_SPEC_USER_KEYRING, "user", "hostsecret", 0), EACCES);
	CHECK(listed(shared->host_key) == 0);
	return 0;
}

static void test_events(void **state)
{
	struct seen seen = { .serial = shared->host_key };
	struct ring_buffer *ring;

	(void)state;
	ring = ring_buffer__new(loader_map_fd(box_loader, LOADER_MAP_EVENTS), event_fn, &seen,
				NULL);
	assert_non_null(ring);
	ring_buffer__consume(ring);
	memset(&seen, 0, sizeof(seen));
	seen.serial = shared->host_key;
	usleep(1100000); /* a new second of the container's event budget */
	assert_int_equal(box_run(&box_b, child_asks_host_key), 0);
	assert_true(ring_buffer__consume(ring) >= 0);
	assert_int_equal(seen.events, 1);
	assert_int_equal(seen.need, NEED_VIEW);
	assert_int_equal(seen.err, ENOKEY);
	assert_int_equal(seen.op, WARDER_KEY_OP_KEYCTL | KEYCTL_DESCRIBE);
	assert_string_equal(seen.text, "user;hostsecret");
	/* A search that passes by is none. */
	assert_int_equal(box_run(&box_b, child_skips_host_key), 0);
	assert_true(ring_buffer__consume(ring) >= 0);
	assert_int_equal(seen.events, 1);
	ring_buffer__free(ring);
}

/* -------------------------------------------------------- supervisors that die */

static int child_waits_for_key(void)
{
	shared->stage = 1;
	for (int i = 0; i < 20000; i++) {
		if (payload_is(request_key("user", "late", NULL, 0), "came"))
			return 0;
		usleep(1000);
	}
	return 1;
}

/* Starts a container and dies. */
static int supervisor_first(void)
{
	struct loader_options options = { .pin_dir = BOX_PIN_DIR, .require_existing = 1 };

	CHECK(loader_open(&box_loader, &options, &box_error) == 0);
	CHECK(keyring_new(&box_keyring, box_loader, &box_error) == 0);
	CHECK(box_make(&shared->box) == 0);
	CHECK(box_start(&shared->box, 0, child_waits_for_key) > 0);
	kill(getpid(), SIGKILL);
	return 1;
}

static int supervisor_second(void)
{
	struct loader_options options = { .pin_dir = BOX_PIN_DIR, .require_existing = 1 };
	struct keyring_key *keys;
	size_t count;

	CHECK(loader_open(&box_loader, &options, &box_error) == 0);
	CHECK(keyring_new(&box_keyring, box_loader, &box_error) == 0);
	CHECK(box_give(&shared->box, "late", "came", NULL) == 0);
	CHECK(keyring_list_keys(box_keyring, &shared->box.rings, &keys, &count, &box_error) == 0);
	CHECK(count == 1 && !strcmp(keys[0].description, "late") && keys[0].ring == 'C');
	free(keys);
	return 0;
}

/* Another root process of the host put a ring of that name in the registry's place. */
static int supervisor_forged(void)
{
	struct loader_options options = { .pin_dir = BOX_PIN_DIR, .require_existing = 1 };
	int32_t forged, found;

	forged = add_key("keyring", "_warder.registry", NULL, 0, KEY_SPEC_PROCESS_KEYRING);
	CHECK(forged > 0 && keyctl_setperm(forged, KEY_POS_ALL) == 0);
	CHECK(setresuid(ANCHOR_UID, -1, -1) == 0);
	CHECK(keyctl_link(forged, KEY_SPEC_USER_KEYRING) == 0);
	CHECK(setresuid(0, -1, -1) == 0);
	CHECK(loader_open(&box_loader, &options, &box_error) == 0);
	CHECK(keyring_new(&box_keyring, box_loader, &box_error) == 0);
	CHECK(setresuid(ANCHOR_UID, -1, -1) == 0);
	found = (int32_t)keyctl_search(KEY_SPEC_USER_KEYRING, "keyring", "_warder.registry", 0);
	CHECK(setresuid(0, -1, -1) == 0);
	CHECK(found > 0 && found != forged);
	CHECK(keyring_remove_registry(box_keyring) == 0);
	return 0;
}

static void test_supervisor_killed(void **state)
{
	int first, second = -1, container = -1;
	pid_t pid;

	(void)state;
	memset(&shared->box, 0, sizeof(shared->box));
	shared->box.slot = 903;
	shared->stage = 0;
	/* The container is reaped by this process's child, which waits for it. */
	pid = fork();
	if (!pid) {
		int status;

		prctl(PR_SET_CHILD_SUBREAPER, 1);
		first = box_run_outside(supervisor_first);
		if (first == 128 + SIGKILL)
			second = box_run_outside(supervisor_second);
		if (waitpid(-1, &status, 0) > 0)
			container = WIFEXITED(status) ? WEXITSTATUS(status) : -2;
		fprintf(stderr, "first %d, second %d, container %d\n", first, second, container);
		_exit(first == 128 + SIGKILL && !second && !container ? 0 : 1);
	}
	assert_int_equal(box_wait(pid), 0);
	assert_int_equal(box_end(&shared->box), 0);
}

static void test_forged_registry(void **state)
{
	struct box q = { .slot = 902 };

	(void)state;
	assert_int_equal(box_run_outside(supervisor_forged), 0);
	/* Ours is anchored again by the next container. */
	assert_int_equal(box_make(&q), 0);
	assert_int_equal(box_end(&q), 0);
}

/* ----------------------------------------------------------------- residue */

/* Runs last: nothing of a container is left once its keys are collected. */
static void test_no_residue(void **state)
{
	struct box *box[] = { &box_a, &box_b };

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_true(tags_of(box[i]->cid) >= 2);
		assert_int_equal(keyring_destroy(box_keyring, box[i]->cid, &box[i]->rings), 0);
		assert_true(keys_come_to(box[i], 0));
		for (int n = 0; n < 1000 && tags_of(box[i]->cid); n++)
			usleep(10000);
		assert_int_equal(tags_of(box[i]->cid), 0);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_announcements),
		cmocka_unit_test(test_fault_denies),
		cmocka_unit_test(test_quota),
		cmocka_unit_test(test_quota_of_others),
		cmocka_unit_test(test_quota_counts_uid_rings),
		cmocka_unit_test(test_upcalls),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_supervisor_killed),
		cmocka_unit_test(test_forged_registry),
		cmocka_unit_test(test_no_residue),
	};

	return cmocka_run_group_tests(tests, box_group_setup, box_group_teardown);
}
