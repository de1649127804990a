// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Keys of two containers and of the host on a real kernel. The containers have the same uid 0
 * and no user namespace of their own unless a test says so: nothing but tags keeps them apart.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <bpf/bpf.h>
#include <cmocka.h>
#include <fcntl.h>
#include <keyutils.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keyring_box.h"

/* --------------------------------------------------------------- isolation */

static int child_secret_is_a(void)
{
	CHECK(payload_is(request_key("user", "secret", NULL, 0), "of a"));
	CHECK(payload_is((int32_t)keyctl_search(KEY_SPEC_SESSION_KEYRING, "user", "secret", 0),
			 "of a"));
	return 0;
}

static int child_secret_is_b(void)
{
	CHECK(payload_is(request_key("user", "secret", NULL, 0), "of b"));
	return 0;
}

static void test_same_description(void **state)
{
	(void)state;
	assert_int_equal(box_give(&box_a, "secret", "of a", NULL), 0);
	assert_int_equal(box_give(&box_b, "secret", "of b", NULL), 0);
	assert_int_equal(box_run(&box_a, child_secret_is_a), 0);
	assert_int_equal(box_run(&box_b, child_secret_is_b), 0);
}

/* Every way to name a foreign key by its serial; the kernel's permissions would let it pass. */
static int foreign_key(int32_t serial)
{
	char buf[64];

	CHECK_ERRNO(keyctl_describe(serial, buf, sizeof(buf)), ENOKEY);
	CHECK_ERRNO(keyctl_read(serial, buf, sizeof(buf)), ENOKEY);
	CHECK_ERRNO(keyctl_update(serial, "x", 1), ENOKEY);
	CHECK_ERRNO(keyctl_revoke(serial), ENOKEY);
	CHECK_ERRNO(keyctl_invalidate(serial), ENOKEY);
	CHECK_ERRNO(keyctl_setperm(serial, OPEN_PERM), ENOKEY);
	CHECK_ERRNO(keyctl_chown(serial, 1000, -1), ENOKEY);
	CHECK_ERRNO(keyctl_set_timeout(serial, 1), ENOKEY);
	CHECK_ERRNO(keyctl_get_security(serial, buf, sizeof(buf)), ENOKEY);
	CHECK_ERRNO(keyctl_link(serial, KEY_SPEC_SESSION_KEYRING), ENOKEY);
	CHECK_ERRNO(keyctl_unlink(serial, KEY_SPEC_SESSION_KEYRING), ENOKEY);
	CHECK_ERRNO(keyctl_move(serial, KEY_SPEC_SESSION_KEYRING, KEY_SPEC_PROCESS_KEYRING, 0),
		    ENOKEY);
	return 0;
}

static int foreign_ring(int32_t serial)
{
	CHECK(foreign_key(serial) == 0);
	CHECK_ERRNO(keyctl_search(serial, "user", "secret", 0), ENOKEY);
	CHECK_ERRNO(keyctl_get_keyring_ID(serial, 0), ENOKEY);
	CHECK_ERRNO(add_key("user", "mine", "x", 1, serial), ENOKEY);
	CHECK_ERRNO(keyctl_clear(serial), ENOKEY);
	CHECK_ERRNO(keyctl_restrict_keyring(serial, NULL, NULL), ENOKEY);
	return 0;
}

static int child_makes_open_keys(void)
{
	shared->serial = add_key("user", "own-of-a", "a", 1, KEY_SPEC_SESSION_KEYRING);
	shared->ring = add_key("keyring", "ring-of-a", NULL, 0, KEY_SPEC_SESSION_KEYRING);
	CHECK(shared->serial > 0 && shared->ring > 0);
	CHECK(keyctl_setperm(shared->serial, OPEN_PERM) == 0);
	CHECK(keyctl_setperm(shared->ring, OPEN_PERM) == 0);
	return 0;
}

static int child_meets_foreign(void)
{
	char buf[64];

	CHECK(foreign_key(shared->serial) == 0);
	CHECK(foreign_ring(shared->ring) == 0);
	CHECK(foreign_key(shared->host_key) == 0);
	CHECK(foreign_ring(shared->host_ring) == 0);
	/* Closed by their permissions as well, which are asked first; a refused SEARCH of
	 * rings on the way takes possession. */
	CHECK_ERRNO(keyctl_describe(box_a.rings.container, buf, sizeof(buf)), EACCES);
	CHECK_ERRNO(keyctl_read(box_a.rings.container, buf, sizeof(buf)), ENOKEY);
	CHECK_ERRNO(keyctl_link(box_a.rings.session, KEY_SPEC_SESSION_KEYRING), EACCES);
	return 0;
}

static void test_foreign_by_serial(void **state)
{
	char buf[64];

	(void)state;
	assert_int_equal(box_run(&box_a, child_makes_open_keys), 0);
	assert_int_equal(box_run(&box_b, child_meets_foreign), 0);
	/* The host, and the key's own container, are not filtered. */
	assert_true(keyctl_describe(shared->serial, buf, sizeof(buf)) > 0);
	assert_true(payload_is(shared->serial, "a"));
}

static int child_uses_own(void)
{
	CHECK(payload_is(shared->serial, "a"));
	CHECK(keyctl_update(shared->serial, "b", 1) == 0);
	CHECK(keyctl_clear(shared->ring) == 0);
	return 0;
}

static void test_own_by_serial(void **state)
{
	(void)state;
	assert_int_equal(box_run(&box_a, child_makes_open_keys), 0);
	assert_int_equal(box_run(&box_a, child_uses_own), 0);
}

/* @u is the host's, and holds a host key. */
static int child_searches(void)
{
	char buf[64];

	/* A leaf that is refused makes the whole search EACCES: the kernel's rule. */
	CHECK_ERRNO(keyctl_search(KEY_SPEC_USER_KEYRING, "user", "hostsecret", 0), EACCES);
	CHECK_ERRNO(request_key("user", "of-other", NULL, 0), ENOKEY);
	CHECK_ERRNO(request_key("user", "hostsecret", NULL, 0), ENOKEY);
	/* SEARCH is all that @u grants; not what SEARCH is enough for by the kernel's rules. */
	CHECK_ERRNO(keyctl_read(KEY_SPEC_USER_KEYRING, buf, sizeof(buf)), ENOKEY);
	CHECK_ERRNO(add_key("user", "x", "x", 1, KEY_SPEC_USER_KEYRING), ENOKEY);
	CHECK_ERRNO(keyctl_invalidate(KEY_SPEC_USER_KEYRING), ENOKEY);
	CHECK_ERRNO(keyctl_link(KEY_SPEC_USER_KEYRING, KEY_SPEC_SESSION_KEYRING), ENOKEY);
	/* The registry, in the anchor's @u: a nested ring is passed over. */
	CHECK(setresuid(ANCHOR_UID, -1, -1) == 0);
	CHECK_ERRNO(keyctl_search(KEY_SPEC_USER_KEYRING, "keyring", "_warder.registry", 0), EACCES);
	CHECK_ERRNO(keyctl_search(KEY_SPEC_USER_KEYRING, "user", "of-other", 0), ENOKEY);
	CHECK_ERRNO(keyctl_clear(KEY_SPEC_USER_KEYRING), ENOKEY);
	return 0;
}

static void test_foreign_by_search(void **state)
{
	(void)state;
	assert_int_equal(box_give(&box_a, "of-other", "x", NULL), 0);
	assert_int_equal(box_run(&box_b, child_searches), 0);
	assert_true(keyctl_search(KEY_SPEC_USER_KEYRING, "user", "hostsecret", 0) ==
		    shared->host_key);
}

/* A root process of the host with the usual session: its lookups do not end among the keys of
 * containers, neither those given to them nor, worse, those that they made. */
static int host_searches(void)
{
	CHECK(keyctl_join_session_keyring(NULL) > 0);
	CHECK(keyctl_link(KEY_SPEC_USER_KEYRING, KEY_SPEC_SESSION_KEYRING) == 0);
	CHECK(request_key("user", "hostsecret", NULL, 0) == shared->host_key);
	CHECK_ERRNO(request_key("user", "of-other", NULL, 0), ENOKEY);
	CHECK_ERRNO(request_key("user", "own-of-a", NULL, 0), ENOKEY);
	return 0;
}

static void test_host_does_not_find(void **state)
{
	(void)state;
	assert_int_equal(box_give(&box_a, "of-other", "x", NULL), 0);
	assert_int_equal(box_run(&box_a, child_makes_open_keys), 0);
	assert_int_equal(box_run_outside(host_searches), 0);
}

static int child_nests(void)
{
	int32_t ring = add_key("keyring", "nest", NULL, 0, KEY_SPEC_SESSION_KEYRING);

	CHECK(ring > 0);
	CHECK(add_key("user", "deep", "x", 1, ring) > 0);
	return 0;
}

/* The supervisor possesses S, but does not walk through what a container hangs into it. */
static void test_supervisor_does_not_descend(void **state)
{
	struct warder_host *host = loader_host(box_loader);
	long with, without;
	int err;

	(void)state;
	assert_int_equal(box_run(&box_a, child_nests), 0);
	with = keyctl_search(box_a.rings.session, "user", "deep", 0);
	err = errno;
	__atomic_store_n(&host->supervisor, 0, __ATOMIC_RELEASE);
	without = keyctl_search(box_a.rings.session, "user", "deep", 0);
	__atomic_store_n(&host->supervisor, (__u32)getpid(), __ATOMIC_RELEASE);
	assert_int_equal(with, -1);
	assert_int_equal(err, ENOKEY);
	assert_true(without > 0);
}

static int child_joins(void)
{
	shared->ring = keyctl_join_session_keyring("meeting");
	CHECK(shared->ring > 0);
	CHECK(keyctl_setperm(shared->ring, OPEN_PERM) == 0);
	CHECK(add_key("user", "joined", "x", 1, KEY_SPEC_SESSION_KEYRING) > 0);
	shared->stage = 1;
	while (shared->stage == 1)
		usleep(1000);
	return 0;
}

static int child_joins_too(void)
{
	int32_t ring = keyctl_join_session_keyring("meeting");

	CHECK(ring > 0 && ring != shared->ring);
	CHECK_ERRNO(request_key("user", "joined", NULL, 0), ENOKEY);
	CHECK(keyctl_join_session_keyring("hostring") != shared->host_ring);
	return 0;
}

static int child_joins_same(void)
{
	CHECK(keyctl_join_session_keyring("meeting") == shared->ring);
	CHECK(request_key("user", "joined", NULL, 0) > 0);
	return 0;
}

/* A process of the host that picks the same name, as a login or a service might. */
static int host_joins_not(void)
{
	int32_t ring = keyctl_join_session_keyring("meeting");

	CHECK(ring > 0 && ring != shared->ring);
	CHECK_ERRNO(request_key("user", "joined", NULL, 0), ENOKEY);
	/* Root, who knows the serial, may. */
	CHECK(keyctl_link(shared->ring, KEY_SPEC_SESSION_KEYRING) == 0);
	CHECK(keyctl_unlink(shared->ring, KEY_SPEC_SESSION_KEYRING) == 0);
	CHECK(setuid(4711) == 0);
	CHECK(keyctl_join_session_keyring("meeting") != shared->ring);
	CHECK_ERRNO(keyctl_link(shared->ring, KEY_SPEC_SESSION_KEYRING), ENOKEY);
	return 0;
}

static void test_join_by_name(void **state)
{
	int other, same, host;
	pid_t pid;

	(void)state;
	shared->stage = 0;
	pid = box_start(&box_a, 0, child_joins);
	while (shared->stage == 0 && !waitpid(pid, NULL, WNOHANG))
		usleep(1000);
	other = box_run(&box_b, child_joins_too);
	same = box_run(&box_a, child_joins_same);
	host = box_run_outside(host_joins_not);
	shared->stage = 2;
	assert_int_equal(box_wait(pid), 0);
	assert_int_equal(host, 0);
	assert_int_equal(other, 0);
	assert_int_equal(same, 0);
}

static int child_reads_proc(void)
{
	CHECK(listed(shared->serial) == 0);
	CHECK(listed(shared->host_key) == 0);
	CHECK(listed(box_a.rings.container) == 0);
	CHECK(listed(box_b.rings.container) == 1);
	return 0;
}

static void test_proc_keys(void **state)
{
	(void)state;
	assert_int_equal(box_run(&box_a, child_makes_open_keys), 0);
	assert_int_equal(listed(shared->serial), 1);
	assert_int_equal(box_run(&box_b, child_reads_proc), 0);
}

/* ------------------------------------------------------------ use as usual */

static int child_uses_keys(void)
{
	char buf[64];
	int32_t key, ring;

	key = add_key("user", "mine", "1", 1, KEY_SPEC_SESSION_KEYRING);
	CHECK(key > 0);
	CHECK(keyctl_describe(key, buf, sizeof(buf)) > 0);
	CHECK(keyctl_update(key, "22", 2) == 0);
	CHECK(payload_is(key, "22"));
	CHECK(keyctl_setperm(key, KEY_POS_ALL | KEY_USR_ALL) == 0);
	CHECK(keyctl_set_timeout(key, 1000) == 0);
	ring = add_key("keyring", "ring", NULL, 0, KEY_SPEC_PROCESS_KEYRING);
	CHECK(ring > 0);
	CHECK(keyctl_link(key, ring) == 0);
	CHECK(keyctl_unlink(key, KEY_SPEC_SESSION_KEYRING) == 0);
	CHECK(keyctl_search(ring, "user", "mine", 0) == key);
	CHECK(keyctl_move(key, ring, KEY_SPEC_THREAD_KEYRING, 0) == 0);
	CHECK(request_key("user", "mine", NULL, 0) == key);
	CHECK(keyctl_revoke(key) == 0);
	CHECK_ERRNO(keyctl_read(key, buf, sizeof(buf)), EKEYREVOKED);
	key = add_key("user", "mine2", "1", 1, ring);
	CHECK(keyctl_invalidate(key) == 0);
	CHECK(keyctl_clear(ring) == 0);
	/* What others gave can be seen, found, read and linked. */
	key = request_key("user", "secret", NULL, 0);
	CHECK(key > 0);
	CHECK(keyctl_describe(key, buf, sizeof(buf)) > 0);
	CHECK(keyctl_link(key, ring) == 0);
	CHECK(keyctl_unlink(key, ring) == 0);
	return 0;
}

static void test_use_as_usual(void **state)
{
	(void)state;
	assert_int_equal(box_run(&box_a, child_uses_keys), 0);
}

/* The documented limit of a join, and what a program can do about it. */
static int child_leaves_session(void)
{
	int32_t c = (int32_t)keyctl_search(KEY_SPEC_SESSION_KEYRING, "keyring", "_warder.c.", 0);
	char name[64];

	CHECK(c < 0);
	snprintf(name, sizeof(name), "_warder.c.%llu", (unsigned long long)box_a.cid);
	CHECK(keyctl_search(KEY_SPEC_SESSION_KEYRING, "keyring", name, KEY_SPEC_PROCESS_KEYRING) ==
	      box_a.rings.container);
	CHECK(keyctl_join_session_keyring(NULL) > 0);
	CHECK(payload_is(request_key("user", "secret", NULL, 0), "of a"));
	CHECK(keyctl_link(box_a.rings.container, KEY_SPEC_SESSION_KEYRING) == 0);
	return 0;
}

static int child_loses_container(void)
{
	CHECK(request_key("user", "secret", NULL, 0) > 0);
	CHECK(keyctl_join_session_keyring(NULL) > 0);
	CHECK_ERRNO(request_key("user", "secret", NULL, 0), ENOKEY);
	return 0;
}

static void test_join_loses_container(void **state)
{
	(void)state;
	assert_int_equal(box_run(&box_a, child_loses_container), 0);
	assert_int_equal(box_run(&box_a, child_leaves_session), 0);
}

static int child_order(void)
{
	static const int32_t ring[] = { KEY_SPEC_THREAD_KEYRING, KEY_SPEC_PROCESS_KEYRING,
					KEY_SPEC_SESSION_KEYRING };
	static const char *const name[] = { "thread", "process", "session" };
	int32_t serial[3];

	for (int i = 0; i < 3; i++) {
		serial[i] = add_key("user", "order", name[i], strlen(name[i]), ring[i]);
		CHECK(serial[i] > 0);
	}
	for (int i = 0; i < 3; i++) {
		CHECK(payload_is(request_key("user", "order", NULL, 0), name[i]));
		CHECK(keyctl_unlink(serial[i], ring[i]) == 0);
	}
	CHECK(payload_is(request_key("user", "order", NULL, 0), "container"));
	return 0;
}

static void test_search_order(void **state)
{
	(void)state;
	assert_int_equal(box_give(&box_a, "order", "container", NULL), 0);
	assert_int_equal(box_run(&box_a, child_order), 0);
}

static int child_survives(void)
{
	pid_t pid;

	CHECK(setgid(1000) == 0 && setuid(1000) == 0);
	CHECK(child_secret_is_a() == 0);
	CHECK(unshare(CLONE_NEWUSER) == 0);
	CHECK(child_secret_is_a() == 0);
	pid = fork();
	if (!pid) {
		/* Exec, and a program that knows nothing of warder. It prints the serial. */
		dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
		execl("/usr/bin/keyctl", "keyctl", "request", "user", "secret", NULL);
		_exit(98);
	}
	CHECK(box_wait(pid) == 0);
	return 0;
}

static void test_survives_exec_setuid_userns(void **state)
{
	(void)state;
	assert_int_equal(box_run(&box_a, child_survives), 0);
	/* Started in a user namespace of its own. */
	assert_int_equal(box_wait(box_start(&box_a, CLONE_NEWUSER, child_secret_is_a)), 0);
}

/* --------------------------------------------------------------- S and C */

static long keyctl_ia32(int op, int32_t serial)
{
	long ret = 288;

	__asm__ volatile("int $0x80"
			 : "+a"(ret)
			 : "b"(op), "c"(serial), "d"(0), "S"(0), "D"(0)
			 : "memory", "r8", "r9", "r10", "r11");
	ret = (int)ret;
	if (ret >= 0)
		return ret;
	errno = (int)-ret;
	return -1;
}

static long keyctl_x32(int op, int32_t serial)
{
	return syscall(0x40000000 | SYS_keyctl, op, serial, 0, 0, 0);
}

static int child_attacks(void)
{
	const int32_t s = shared->box.rings.session, c = shared->box.rings.container;
	const int32_t key = request_key("user", "kept", NULL, 0);

	CHECK(key > 0);
	CHECK_ERRNO(keyctl_unlink(c, s), EACCES);
	CHECK_ERRNO(keyctl_unlink(c, KEY_SPEC_SESSION_KEYRING), EACCES);
	CHECK_ERRNO(keyctl_move(c, s, KEY_SPEC_PROCESS_KEYRING, 0), EACCES);
	CHECK_ERRNO(keyctl_unlink(key, c), EACCES);
	CHECK_ERRNO(keyctl_move(key, c, KEY_SPEC_PROCESS_KEYRING, 0), EACCES);
	CHECK_ERRNO(keyctl_clear(c), EACCES);
	CHECK_ERRNO(add_key("user", "more", "x", 1, c), EACCES);
	CHECK_ERRNO(add_key("user", "kept", "y", 1, c), EACCES);
	CHECK_ERRNO(keyctl_link(KEY_SPEC_PROCESS_KEYRING, c), EACCES);
	CHECK_ERRNO(keyctl_update(key, "y", 1), EACCES);
	for (int i = 0; i < 3; i++) {
		const int32_t it = i == 0 ? s : i == 1 ? c : key;

		CHECK_ERRNO(keyctl_revoke(it), EACCES);
		CHECK_ERRNO(keyctl_invalidate(it), EACCES);
		CHECK_ERRNO(keyctl_ia32(KEYCTL_INVALIDATE, it), EACCES);
		CHECK_ERRNO(keyctl_ia32(KEYCTL_REVOKE, it), EACCES);
		errno = 0;
		CHECK(keyctl_x32(KEYCTL_INVALIDATE, it) == -1 &&
		      (errno == EACCES || errno == ENOSYS));
		CHECK_ERRNO(keyctl_setperm(it, KEY_POS_ALL | KEY_USR_ALL), EACCES);
		CHECK_ERRNO(keyctl_chown(it, 1000, -1), EACCES);
		CHECK_ERRNO(keyctl_set_timeout(it, 1), EACCES);
	}
	CHECK_ERRNO(keyctl_revoke(KEY_SPEC_SESSION_KEYRING), EACCES);
	CHECK_ERRNO(keyctl_invalidate(KEY_SPEC_SESSION_KEYRING), EACCES);
	CHECK_ERRNO(keyctl_restrict_keyring(s, NULL, NULL), EACCES);
	CHECK_ERRNO(keyctl_restrict_keyring(c, NULL, NULL), EACCES);
	/* Nothing of that had an effect. */
	CHECK(payload_is(request_key("user", "kept", NULL, 0), "kept"));
	return 0;
}

static void test_rings_are_protected(void **state)
{
	(void)state;
	assert_int_equal(box_give(&box_a, "kept", "kept", NULL), 0);
	shared->box = box_a;
	assert_int_equal(box_run(&box_a, child_attacks), 0);
}

static int child_clears(void)
{
	CHECK(keyctl_clear(KEY_SPEC_SESSION_KEYRING) == 0);
	return 0;
}

/* Rings that are not S are the container's own business. */
static int child_clears_another(void)
{
	int32_t ring = add_key("keyring", "mine", NULL, 0, KEY_SPEC_PROCESS_KEYRING);

	CHECK(ring > 0 && keyctl_clear(ring) == 0);
	CHECK_ERRNO(keyctl_clear(shared->box.rings.container), EACCES);
	return 0;
}

static void test_clear_and_relink(void **state)
{
	const uint64_t a = keyring_clears(box_keyring, box_a.slot);
	const uint64_t b = keyring_clears(box_keyring, box_b.slot);

	(void)state;
	shared->box = box_a;
	assert_int_equal(box_run(&box_a, child_clears_another), 0);
	assert_int_equal(keyring_clears(box_keyring, box_a.slot), a);
	assert_int_equal(box_run(&box_a, child_clears), 0);
	/* Counted for whoever did it: the supervisor looks at that. */
	assert_int_equal(keyring_clears(box_keyring, box_a.slot), a + 1);
	assert_int_equal(keyring_clears(box_keyring, box_b.slot), b);
	assert_int_equal(keyring_relink(box_keyring, &box_a.rings, &box_error), 0);
	assert_int_equal(box_run(&box_a, child_secret_is_a), 0);
}

/* The first process's parent is the host's. */
static int child_session_to_parent(void)
{
	pid_t pid;

	CHECK(keyctl_join_session_keyring("trojan") > 0);
	CHECK_ERRNO(keyctl_session_to_parent(), EACCES);
	pid = fork();
	if (!pid) {
		shared->ring = keyctl_join_session_keyring(NULL);
		_exit(shared->ring > 0 && keyctl_session_to_parent() == 0 ? 0 : 1);
	}
	CHECK(box_wait(pid) == 0);
	CHECK(keyctl_get_keyring_ID(KEY_SPEC_SESSION_KEYRING, 0) == shared->ring);
	return 0;
}

static void test_session_to_parent(void **state)
{
	int32_t before = keyctl_get_keyring_ID(KEY_SPEC_SESSION_KEYRING, 0);

	(void)state;
	assert_int_equal(box_run(&box_a, child_session_to_parent), 0);
	assert_true(keyctl_get_keyring_ID(KEY_SPEC_SESSION_KEYRING, 0) > 0);
	assert_true(before > 0);
}

/* ------------------------------------------------------------------ grants */

static int child_has_search_only(void)
{
	char buf[64];

	CHECK(keyctl_describe(shared->host_key, buf, sizeof(buf)) > 0);
	/* A possessor with SEARCH could read, by the kernel's rules. */
	CHECK_ERRNO(keyctl_read(shared->host_key, buf, sizeof(buf)), ENOKEY);
	CHECK_ERRNO(keyctl_link(shared->host_key, KEY_SPEC_SESSION_KEYRING), EACCES);
	CHECK_ERRNO(keyctl_update(shared->host_key, "x", 1), EACCES);
	CHECK_ERRNO(keyctl_invalidate(shared->host_key), EACCES);
	return 0;
}

static int child_reads_host_key(void)
{
	CHECK(payload_is(shared->host_key, "host"));
	return 0;
}

static int child_lacks_host_key(void)
{
	char buf[64];

	CHECK_ERRNO(keyctl_describe(shared->host_key, buf, sizeof(buf)), ENOKEY);
	return 0;
}

static void test_grants(void **state)
{
	(void)state;
	assert_int_equal(keyring_grant(box_keyring, box_b.cid, shared->host_key,
				       WARDER_KEY_MAY_VIEW | WARDER_KEY_MAY_SEARCH, &box_error),
			 0);
	assert_int_equal(box_run(&box_b, child_has_search_only), 0);
	assert_int_equal(box_run(&box_a, child_lacks_host_key), 0);
	assert_int_equal(keyring_grant(box_keyring, box_b.cid, shared->host_key,
				       WARDER_KEY_MAY_READ | WARDER_KEY_MAY_SEARCH, &box_error),
			 0);
	assert_int_equal(box_run(&box_b, child_reads_host_key), 0);
	assert_int_equal(keyring_grant(box_keyring, box_b.cid, shared->host_key, 0, &box_error), 0);
	assert_int_equal(box_run(&box_b, child_lacks_host_key), 0);
}

/* A container's grants end with it. */
static void test_grants_end(void **state)
{
	struct box q = { .slot = 902 };
	struct warder_grant_key gk = { .serial = shared->host_key };
	struct warder_grant g;
	int fd = loader_map_fd(box_loader, LOADER_MAP_KEY_GRANTS);

	(void)state;
	assert_int_equal(box_make(&q), 0);
	gk.cid = q.cid;
	assert_int_equal(
		keyring_grant(box_keyring, q.cid, shared->host_key, WARDER_KEY_MAY_ALL, &box_error),
		0);
	assert_int_equal(keyring_grant(box_keyring, q.cid, shared->host_ring, WARDER_KEY_MAY_ALL,
				       &box_error),
			 0);
	assert_int_equal(bpf_map_lookup_elem(fd, &gk, &g), 0);
	assert_int_equal(g.may, WARDER_KEY_MAY_ALL);
	assert_int_equal(box_end(&q), 0);
	assert_int_equal(bpf_map_lookup_elem(fd, &gk, &g), -ENOENT);
	gk.serial = shared->host_ring;
	assert_int_equal(bpf_map_lookup_elem(fd, &gk, &g), -ENOENT);
}

/* A grant is for the key, not for whatever has its serial later. */
static void test_grant_needs_the_name(void **state)
{
	struct warder_grant_key gk = { .serial = shared->host_key, .cid = box_b.cid };
	struct warder_grant g = { .hash = 1, .may = WARDER_KEY_MAY_ALL };
	int fd = loader_map_fd(box_loader, LOADER_MAP_KEY_GRANTS);

	(void)state;
	assert_int_equal(bpf_map_update_elem(fd, &gk, &g, BPF_ANY), 0);
	assert_int_equal(box_run(&box_b, child_lacks_host_key), 0);
	assert_int_equal(bpf_map_delete_elem(fd, &gk), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_description),
		cmocka_unit_test(test_foreign_by_serial),
		cmocka_unit_test(test_own_by_serial),
		cmocka_unit_test(test_foreign_by_search),
		cmocka_unit_test(test_host_does_not_find),
		cmocka_unit_test(test_supervisor_does_not_descend),
		cmocka_unit_test(test_join_by_name),
		cmocka_unit_test(test_proc_keys),
		cmocka_unit_test(test_use_as_usual),
		cmocka_unit_test(test_join_loses_container),
		cmocka_unit_test(test_search_order),
		cmocka_unit_test(test_survives_exec_setuid_userns),
		cmocka_unit_test(test_rings_are_protected),
		cmocka_unit_test(test_clear_and_relink),
		cmocka_unit_test(test_session_to_parent),
		cmocka_unit_test(test_grants),
		cmocka_unit_test(test_grants_end),
		cmocka_unit_test(test_grant_needs_the_name),
	};

	return cmocka_run_group_tests(tests, box_group_setup, box_group_teardown);
}
