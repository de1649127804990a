// SPDX-License-Identifier: LGPL-2.1-or-later
/* Real keyrings of this kernel, without the BPF side: who possesses what, and in which order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <keyutils.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "keyring.h"
#include "keyring_take.h"
#include "upcall.h"

#define CID 4711

static struct keyring *keyring;
static struct keyring_rings rings;
static struct warder_error error;

static int payload_is(int32_t serial, const char *expected)
{
	char buf[64] = "";
	long n = keyctl_read(serial, buf, sizeof(buf));

	return n == (long)strlen(expected) && !memcmp(buf, expected, (size_t)n);
}

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #cond,              \
				strerror(errno));                                                  \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)

#define CHECK_ERRNO(call, expected)                                                                \
	do {                                                                                       \
		errno = 0;                                                                         \
		CHECK((call) < 0 && errno == (expected));                                          \
	} while (0)

/* One child for each test; `enter`: forked inside S. */
static int run(int enter, int (*fn)(void))
{
	int status;
	pid_t pid;

	if (enter)
		assert_int_equal(keyring_enter(keyring, &rings, &error), 0);
	fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(fn());
	if (enter)
		assert_int_equal(keyring_leave(keyring, &error), 0);
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	if (!f)
		return -1;
	fputs(text, f);
	return fclose(f);
}

/* @u of a user namespace of its own: the one outside may anchor a running supervisor's rings. */
static int own_user_keyring(void)
{
	char uids[32], gids[32];

	snprintf(uids, sizeof(uids), "0 %u 1", geteuid());
	snprintf(gids, sizeof(gids), "0 %u 1", getegid());
	return unshare(CLONE_NEWUSER) || write_file("/proc/self/setgroups", "deny") ||
	       write_file("/proc/self/uid_map", uids) || write_file("/proc/self/gid_map", gids);
}

static int group_setup(void **state)
{
	(void)state;
	if (own_user_keyring()) {
		perror("cannot make a user namespace");
		return -1;
	}
	if (keyring_new(&keyring, NULL, &error)) {
		fprintf(stderr, "%s\n", error.text);
		return -1;
	}
	if (keyring_create(keyring, CID, &rings, &error)) {
		fprintf(stderr, "%s\n", error.text);
		return -1;
	}
	return 0;
}

static int group_teardown(void **state)
{
	int err;

	(void)state;
	err = keyring_destroy(keyring, CID, &rings);
	if (!err)
		err = keyring_remove_registry(keyring);
	keyring_free(keyring);
	return err;
}

/* ------------------------------------------------------------ inheritance */

static int child_inside(void)
{
	CHECK(keyring_child_join(CID, &rings) == 0);
	CHECK(keyctl_search(KEY_SPEC_SESSION_KEYRING, "keyring", "_warder.c.4711", 0) ==
	      rings.container);
	return 0;
}

static int child_inside_userns(void)
{
	CHECK(unshare(CLONE_NEWUSER) == 0);
	return child_inside();
}

static int child_outside(void)
{
	CHECK(keyring_child_join(CID, &rings) == -ENOKEY);
	/* Neither possession nor the uid gives any right. */
	CHECK_ERRNO(keyctl_link(rings.container, KEY_SPEC_PROCESS_KEYRING), EACCES);
	CHECK_ERRNO(keyctl_setperm(rings.session, KEY_POS_ALL), EACCES);
	CHECK_ERRNO(add_key("user", "x", "x", 1, rings.container), EACCES);
	return 0;
}

static void test_child_has_session(void **state)
{
	(void)state;
	assert_int_equal(run(1, child_inside), 0);
}

static void test_child_in_new_userns_has_session(void **state)
{
	(void)state;
	assert_int_equal(run(1, child_inside_userns), 0);
}

static void test_child_outside_has_nothing(void **state)
{
	(void)state;
	assert_int_equal(run(0, child_outside), 0);
}

/* A container must not reach the registry, and through it the others, from S. */
static int child_registry(void)
{
	CHECK_ERRNO(keyctl_search(KEY_SPEC_SESSION_KEYRING, "keyring", "_warder.registry", 0),
		    ENOKEY);
	CHECK_ERRNO(keyctl_get_keyring_ID(KEY_SPEC_THREAD_KEYRING, 0), ENOKEY);
	return 0;
}

static void test_child_lacks_registry(void **state)
{
	(void)state;
	assert_int_equal(run(1, child_registry), 0);
}

/* S is joined by name; nobody else of the same uid may do that afterwards. */
static int child_joins_by_name(void)
{
	cleanup_free char *text = NULL;
	char name[128];

	CHECK(keyctl_describe_alloc(rings.session, &text) > 0);
	CHECK(strrchr(text, ';'));
	snprintf(name, sizeof(name), "%s", strrchr(text, ';') + 1);
	CHECK(!strncmp(name, "_warder.s.4711.", 15));
	/* Out of S first: a join of the present session is none. */
	CHECK(keyctl_join_session_keyring(NULL) > 0);
	CHECK(keyctl_join_session_keyring(name) > 0);
	CHECK(keyctl_get_keyring_ID(KEY_SPEC_SESSION_KEYRING, 0) != rings.session);
	return 0;
}

static void test_session_cannot_be_joined(void **state)
{
	(void)state;
	assert_int_equal(run(1, child_joins_by_name), 0);
}

/* ------------------------------------------------------------ search order */

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
	assert_int_equal(keyring_add_key(keyring, CID, &rings, "user", "order", "container", 9,
					 NULL, &error),
			 0);
	assert_int_equal(run(1, child_order), 0);
	assert_int_equal(keyring_unlink_key(keyring, CID, &rings, "user", "order", &error), 0);
}

/* ------------------------------------------------------------- C's content */

static void test_add_update_list_unlink(void **state)
{
	struct keyring_key *keys = NULL;
	int32_t serial = 0, again = 0;
	size_t count = 0;

	(void)state;
	assert_int_equal(
		keyring_add_key(keyring, CID, &rings, "user", "a;b", "1", 1, &serial, &error), 0);
	assert_true(payload_is(serial, "1"));
	assert_int_equal(
		keyring_add_key(keyring, CID, &rings, "user", "a;b", "22", 2, &again, &error), 0);
	assert_int_equal(serial, again);
	assert_true(payload_is(serial, "22"));
	assert_int_equal(keyring_list_keys(keyring, &rings, &keys, &count, &error), 0);
	assert_int_equal(count, 1);
	assert_int_equal(keys[0].serial, serial);
	assert_string_equal(keys[0].type, "user");
	assert_string_equal(keys[0].description, "a;b");
	assert_int_equal(keys[0].perm, KEY_POS_ALL);
	assert_int_equal(keys[0].ring, 'C');
	free(keys);
	assert_int_equal(keyring_unlink_key(keyring, CID, &rings, "user", "a;b", &error), 0);
	assert_int_equal(keyring_unlink_key(keyring, CID, &rings, "user", "a;b", &error), -ENOKEY);
	assert_int_equal(keyring_list_keys(keyring, &rings, &keys, &count, &error), 0);
	assert_int_equal(count, 0);
	free(keys);
}

static void test_add_refuses(void **state)
{
	(void)state;
	assert_int_equal(keyring_add_key(keyring, CID, &rings, "keyring", "_warder.s.1", NULL, 0,
					 NULL, &error),
			 -EINVAL);
	assert_int_equal(keyring_add_key(keyring, CID, &rings, "user", "", "x", 1, NULL, &error),
			 -EINVAL);
	assert_int_equal(
		keyring_add_key(keyring, CID, &rings, "no-such", "x", "x", 1, NULL, &error),
		-ENODEV);
	assert_int_equal(keyring_create(keyring, 0, &(struct keyring_rings) { 0 }, &error),
			 -EINVAL);
}

static int child_lost_container(void)
{
	CHECK_ERRNO(keyctl_search(KEY_SPEC_SESSION_KEYRING, "keyring", "_warder.c.4711", 0),
		    ENOKEY);
	return 0;
}

static int child_clears(void)
{
	return keyctl_clear(KEY_SPEC_SESSION_KEYRING) ? 1 : 0;
}

static void test_relink_after_clear(void **state)
{
	(void)state;
	assert_int_equal(run(1, child_clears), 0);
	assert_int_equal(run(1, child_lost_container), 0);
	assert_int_equal(keyring_relink(keyring, &rings, &error), 0);
	assert_int_equal(keyring_relink(keyring, &rings, &error), 0);
	assert_int_equal(run(1, child_inside), 0);
}

/* ---------------------------------------------------- supervisors that die */

/* Adds a key as a new supervisor does, and dies without any clean-up. */
static int child_supervisor(void)
{
	struct keyring *k;

	CHECK(keyring_new(&k, NULL, &error) == 0);
	CHECK(keyring_add_key(k, CID, &rings, "user", "after", "restart", 7, NULL, &error) == 0);
	kill(getpid(), SIGKILL);
	return 1;
}

static int child_sees_after(void)
{
	CHECK(payload_is(request_key("user", "after", NULL, 0), "restart"));
	return 0;
}

static void test_registry_survives_kill(void **state)
{
	(void)state;
	assert_int_equal(run(0, child_supervisor), 128 + SIGKILL);
	assert_int_equal(run(1, child_sees_after), 0);
	assert_int_equal(keyring_unlink_key(keyring, CID, &rings, "user", "after", &error), 0);
}

/* A ring of the name that others have rights to is not the registry. */
static int child_open_registry(void)
{
	struct keyring *k;
	int32_t forged, found;

	forged = add_key("keyring", "_warder.registry", NULL, 0, KEY_SPEC_PROCESS_KEYRING);
	CHECK(forged > 0);
	CHECK(keyctl_setperm(forged, KEY_POS_ALL | KEY_USR_ALL) == 0);
	CHECK(keyctl_link(forged, KEY_SPEC_USER_KEYRING) == 0);
	CHECK(keyring_new(&k, NULL, &error) == 0);
	found = keyctl_search(KEY_SPEC_THREAD_KEYRING, "keyring", "_warder.registry", 0);
	CHECK(found > 0 && found != forged);
	CHECK(keyctl_search(KEY_SPEC_USER_KEYRING, "keyring", "_warder.registry", 0) == found);
	CHECK(keyring_remove_registry(k) == 0);
	keyring_free(k);
	return 0;
}

static void test_open_registry_is_not_adopted(void **state)
{
	struct keyring_rings other;

	(void)state;
	assert_int_equal(run(0, child_open_registry), 0);
	/* The next container's start anchors ours again. */
	assert_int_equal(keyring_create(keyring, CID + 2, &other, &error), 0);
	assert_int_equal(keyring_destroy(keyring, CID + 2, &other), 0);
	assert_int_equal(run(0, child_supervisor), 128 + SIGKILL);
	assert_int_equal(keyring_unlink_key(keyring, CID, &rings, "user", "after", &error), 0);
}

static void *thread_adds(void *arg)
{
	*(int *)arg = keyring_add_key(keyring, CID, &rings, "user", "t", "t", 1, NULL, NULL);
	return NULL;
}

static void test_other_thread_is_refused(void **state)
{
	pthread_t t;
	int err = 0;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, thread_adds, &err), 0);
	pthread_join(t, NULL);
	assert_int_equal(err, -EXDEV);
}

static void test_destroy_is_idempotent(void **state)
{
	struct keyring_rings other;

	(void)state;
	assert_int_equal(keyring_create(keyring, CID + 3, &other, &error), 0);
	assert_int_equal(keyring_destroy(keyring, CID + 3, &other), 0);
	assert_int_equal(keyring_destroy(keyring, CID + 3, &other), 0);
}

/* As request-key has it: it possesses the ring, and through it what was lent. */
static int child_is_lent_the_container(void)
{
	struct keyring *k = NULL;
	struct keyring_rings r;
	int32_t ring, other;

	CHECK(!keyring_new(&k, NULL, &error) && !keyring_create(k, CID + 1, &r, &error));
	ring = add_key("keyring", UPCALL_LEND_RING, NULL, 0, KEY_SPEC_SESSION_KEYRING);
	other = add_key("keyring", "_warder.other", NULL, 0, KEY_SPEC_SESSION_KEYRING);
	CHECK(ring > 0 && other > 0);
	CHECK(keyring_lend(k, &r, other, &error) == -EPERM);
	CHECK(keyctl_search(other, "keyring", "_warder.c.4712", 0) < 0);
	CHECK(keyring_lend(k, &r, add_key("user", UPCALL_LEND_RING, "x", 1, KEY_SPEC_SESSION_KEYRING),
			   &error) == -EPERM);
	CHECK(keyring_lend(k, &r, 1, &error) == -ENOKEY);
	CHECK(!keyring_lend(k, &r, ring, &error));
	CHECK(keyctl_search(ring, "keyring", "_warder.c.4712", 0) == r.container);
	CHECK(!keyring_destroy(k, CID + 1, &r));
	return 0;
}

static void test_lend(void **state)
{
	(void)state;
	assert_int_equal(run(0, child_is_lent_the_container), 0);
}

static void test_answer_key(void **state)
{
	size_t len = 0;
	char buf[8];

	(void)state;
	assert_int_equal(keyring_add_key(keyring, CID, &rings, "user", "short", "abc", 3, NULL, &error), 0);
	assert_int_equal(keyring_add_key(keyring, CID, &rings, "user", "long", "123456789", 9, NULL, &error), 0);
	assert_int_equal(keyring_add_key(keyring, CID, &rings, "logon", "a:b", "abc", 3, NULL, &error), 0);
	assert_int_equal(keyring_answer_key(keyring, CID, &rings, "user", "short", buf, sizeof(buf), &len, &error), 0);
	assert_int_equal(len, 3);
	assert_memory_equal(buf, "abc", 3);
	assert_int_equal(keyring_answer_key(keyring, CID, &rings, "user", "none", buf, sizeof(buf), &len, &error), -ENOKEY);
	assert_int_equal(keyring_answer_key(keyring, CID, &rings, "logon", "short", buf, sizeof(buf), &len, &error), -ENOKEY);
	/* There, and to be found itself. */
	assert_int_equal(keyring_answer_key(keyring, CID, &rings, "user", "long", buf, sizeof(buf), &len, &error), -EAGAIN);
	assert_int_equal(keyring_answer_key(keyring, CID, &rings, "logon", "a:b", buf, sizeof(buf), &len, &error), -EAGAIN);
}

/* What a task can find out, and not do, by itself. */
static int child_joins(void)
{
	CHECK(keyring_session_has_container() == 1);
	CHECK(keyring_session_attach() == 0);
	CHECK(keyctl_join_session_keyring(NULL) > 0);
	CHECK(keyring_session_has_container() == 0);
	/* Of the same kind of name, but no keyring. */
	CHECK(add_key("user", "_warder.c.1", "x", 1, KEY_SPEC_SESSION_KEYRING) > 0);
	CHECK(keyring_session_has_container() == 0);
	/* Nobody links it there on this host. */
	CHECK(keyring_session_attach() == -ENOKEY);
	return 0;
}

static void test_session_has_container(void **state)
{
	(void)state;
	assert_int_equal(run(1, child_joins), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_child_has_session),
		cmocka_unit_test(test_child_in_new_userns_has_session),
		cmocka_unit_test(test_child_outside_has_nothing),
		cmocka_unit_test(test_child_lacks_registry),
		cmocka_unit_test(test_session_cannot_be_joined),
		cmocka_unit_test(test_search_order),
		cmocka_unit_test(test_add_update_list_unlink),
		cmocka_unit_test(test_add_refuses),
		cmocka_unit_test(test_relink_after_clear),
		cmocka_unit_test(test_lend),
		cmocka_unit_test(test_answer_key),
		cmocka_unit_test(test_session_has_container),
		cmocka_unit_test(test_registry_survives_kill),
		cmocka_unit_test(test_open_registry_is_not_adopted),
		cmocka_unit_test(test_other_thread_is_refused),
		cmocka_unit_test(test_destroy_is_idempotent),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
