// SPDX-License-Identifier: LGPL-2.1-or-later
/* Keys that the supervisor gives to a container: what it may do with them, and how they change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <bpf/bpf.h>
#include <cmocka.h>
#include <keyutils.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keyring_box.h"

#define SEARCH WARDER_KEY_MAY_SEARCH
#define LINK (WARDER_KEY_MAY_LINK | WARDER_KEY_MAY_UNLINK)

static int give_with(const char *description, uint32_t may, uint32_t seconds, int32_t *ret)
{
	const struct keyring_key_options o = { .may = may, .seconds = seconds };

	return keyring_add_key_with(box_keyring, box_a.cid, &box_a.rings, "user", description,
				    "0123456789abcdef0123456789abcdef", 32, &o, ret, &box_error);
}

/* ------------------------------------------------------------------- masks */

/* Every right by itself: with its bit it works, without it does not. */
static int child_has_may(void)
{
	const uint32_t may = (uint32_t)shared->stage;
	const int32_t key = request_key("user", "masked", NULL, 0);
	char buf[128];

	CHECK(key == shared->serial);
	if (may & WARDER_KEY_MAY_VIEW) {
		CHECK(keyctl_describe(key, buf, sizeof(buf)) > 0);
		CHECK(listed(key) == 1);
	} else {
		CHECK_ERRNO(keyctl_describe(key, buf, sizeof(buf)), EACCES);
		CHECK(listed(key) == 0);
	}
	if (may & WARDER_KEY_MAY_READ)
		CHECK(keyctl_read(key, buf, sizeof(buf)) == 32);
	else
		CHECK_ERRNO(keyctl_read(key, buf, sizeof(buf)), ENOKEY);
	if (may & WARDER_KEY_MAY_LINK) {
		CHECK(keyctl_link(key, KEY_SPEC_PROCESS_KEYRING) == 0);
		CHECK(keyctl_unlink(key, KEY_SPEC_PROCESS_KEYRING) == 0);
	} else {
		CHECK_ERRNO(keyctl_link(key, KEY_SPEC_PROCESS_KEYRING), EACCES);
		CHECK_ERRNO(keyctl_search(KEY_SPEC_SESSION_KEYRING, "user", "masked",
					  KEY_SPEC_PROCESS_KEYRING),
			    EACCES);
	}
	if (may & WARDER_KEY_MAY_WRITE)
		CHECK(keyctl_update(key, "0123456789abcdef0123456789abcdef", 32) == 0);
	else
		CHECK_ERRNO(keyctl_update(key, "x", 1), EACCES);
	/* Never: its owner, its permissions, its time, its place in C. */
	CHECK_ERRNO(keyctl_setperm(key, KEY_POS_ALL | KEY_USR_ALL), EACCES);
	CHECK_ERRNO(keyctl_chown(key, 1000, -1), EACCES);
	CHECK_ERRNO(keyctl_set_timeout(key, 1), EACCES);
	CHECK_ERRNO(keyctl_unlink(key, box_a.rings.container), EACCES);
	if (!(may & WARDER_KEY_MAY_WRITE)) {
		CHECK_ERRNO(keyctl_invalidate(key), EACCES);
		CHECK_ERRNO(keyctl_revoke(key), EACCES);
	}
	return 0;
}

static void test_masks(void **state)
{
	static const uint32_t masks[] = {
		SEARCH,
		SEARCH | WARDER_KEY_MAY_VIEW,
		SEARCH | WARDER_KEY_MAY_READ,
		SEARCH | LINK,
		SEARCH | WARDER_KEY_MAY_WRITE,
		SEARCH | WARDER_KEY_MAY_VIEW | WARDER_KEY_MAY_READ | LINK,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
		assert_int_equal(give_with("masked", masks[i], 0, &shared->serial), 0);
		shared->stage = (int)masks[i];
		assert_int_equal(box_run(&box_a, child_has_may), 0);
		assert_int_equal(keyring_unlink_key(box_keyring, box_a.cid, &box_a.rings, "user",
						    "masked", &box_error),
				 0);
	}
	/* A mask is of the key, not of its name. */
	assert_int_equal(give_with("masked", SEARCH, 0, &shared->serial), 0);
	assert_int_equal(give_with("masked", SEARCH | LINK, 0, &shared->serial), -EEXIST);
	assert_int_equal(give_with("masked", 0, 0, &shared->serial), 0);
	shared->stage = (int)SEARCH;
	assert_int_equal(box_run(&box_a, child_has_may), 0);
}

/* The kernel uses for the container what the container cannot see. */
static int child_uses_opaque(void)
{
	const int32_t master = request_key("user", "opaque", NULL, 0);
	static const char with[] = "new user:opaque 32", without[] = "new user:nobodys 32";
	char buf[512];
	int32_t key;

	CHECK(master > 0);
	CHECK_ERRNO(keyctl_read(master, buf, sizeof(buf)), ENOKEY);
	CHECK_ERRNO(keyctl_describe(master, buf, sizeof(buf)), EACCES);
	key = add_key("encrypted", "derived", with, sizeof(with), KEY_SPEC_PROCESS_KEYRING);
	CHECK(key > 0);
	CHECK(keyctl_read(key, buf, sizeof(buf)) > 0);
	/* The master is looked up when the key is read. */
	key = add_key("encrypted", "other", without, sizeof(without), KEY_SPEC_PROCESS_KEYRING);
	CHECK(key > 0);
	CHECK_ERRNO(keyctl_read(key, buf, sizeof(buf)), ENOKEY);
	return 0;
}

static void test_opaque(void **state)
{
	(void)state;
	assert_int_equal(give_with("opaque", SEARCH, 0, NULL), 0);
	assert_int_equal(box_run(&box_a, child_uses_opaque), 0);
}

/* ---------------------------------------------------------------- changes */

/* Waits for the supervisor's next act. */
static void turn(int stage)
{
	shared->stage = stage;
	for (int i = 0; i < 60000 && shared->stage == stage; i++)
		usleep(1000);
}

static int child_sees_changes(void)
{
	const int32_t key = request_key("user", "changing", NULL, 0);
	char buf[64];

	CHECK(key > 0 && payload_is(key, "one"));
	CHECK(keyctl_link(key, KEY_SPEC_PROCESS_KEYRING) == 0);
	turn(1);
	/* The same key, so whoever holds it has the new payload. */
	CHECK(payload_is(key, "two"));
	CHECK(request_key("user", "changing", NULL, 0) == key);
	turn(3);
	/* A link of the container's own does not help. */
	CHECK_ERRNO(keyctl_read(key, buf, sizeof(buf)), EKEYREVOKED);
	CHECK(keyctl_clear(KEY_SPEC_PROCESS_KEYRING) == 0);
	CHECK_ERRNO(request_key("user", "changing", NULL, 0), ENOKEY);
	turn(5);
	CHECK(payload_is(request_key("user", "changing", NULL, 0), "three"));
	return 0;
}

static int until(int stage, pid_t pid)
{
	for (int i = 0; i < 60000 && shared->stage != stage; i++) {
		if (waitpid(pid, NULL, WNOHANG))
			return -1;
		usleep(1000);
	}
	return shared->stage == stage ? 0 : -1;
}

static void test_rotate_revoke(void **state)
{
	int32_t first, second;
	pid_t pid;
	int err;

	(void)state;
	assert_int_equal(keyring_rotate_key(box_keyring, box_a.cid, &box_a.rings, "user",
					    "changing", "zero", 4, NULL, &box_error),
			 -ENOKEY);
	assert_int_equal(keyring_revoke_key(box_keyring, box_a.cid, &box_a.rings, "user",
					    "changing", &box_error),
			 -ENOKEY);
	assert_int_equal(box_give(&box_a, "changing", "one", &first), 0);
	shared->stage = 0;
	pid = box_start(&box_a, 0, child_sees_changes);
	err = until(1, pid);
	if (!err)
		err = keyring_rotate_key(box_keyring, box_a.cid, &box_a.rings, "user", "changing",
					 "two", 3, &second, &box_error);
	shared->stage = 2;
	if (!err)
		err = until(3, pid);
	if (!err)
		err = keyring_revoke_key(box_keyring, box_a.cid, &box_a.rings, "user", "changing",
					 &box_error);
	shared->stage = 4;
	if (!err)
		err = until(5, pid);
	if (!err)
		err = box_give(&box_a, "changing", "three", NULL);
	shared->stage = 6;
	assert_int_equal(box_wait(pid), 0);
	assert_int_equal(err, 0);
	assert_int_equal(first, second);
}

static int child_waits_for_expiry(void)
{
	const int32_t key = request_key("user", "short", NULL, 0);
	char buf[64];

	CHECK(key > 0);
	for (int i = 0; i < 1000 && keyctl_read(key, buf, sizeof(buf)) > 0; i++)
		usleep(10000);
	/* The collector may have been there first. */
	CHECK(keyctl_read(key, buf, sizeof(buf)) == -1 &&
	      (errno == EKEYEXPIRED || errno == ENOKEY));
	CHECK(request_key("user", "short", NULL, 0) == -1 &&
	      (errno == EKEYEXPIRED || errno == ENOKEY));
	return 0;
}

static void test_expiry(void **state)
{
	(void)state;
	assert_int_equal(give_with("short", 0, 2, NULL), 0);
	assert_int_equal(box_run(&box_a, child_waits_for_expiry), 0);
}

/* ---------------------------------------------------------- keys of the host */

static int child_has_link(void)
{
	char buf[64];

	CHECK(request_key("user", "lent", NULL, 0) == shared->serial);
	CHECK(payload_is(shared->serial, "lent"));
	CHECK_ERRNO(keyctl_update(shared->serial, "x", 1), EACCES);
	CHECK_ERRNO(keyctl_link(shared->serial, KEY_SPEC_PROCESS_KEYRING), EACCES);
	CHECK_ERRNO(keyctl_invalidate(shared->serial), EACCES);
	CHECK(keyctl_describe(shared->serial, buf, sizeof(buf)) > 0);
	return 0;
}

static int child_lacks_link(void)
{
	char buf[64];

	CHECK_ERRNO(request_key("user", "lent", NULL, 0), ENOKEY);
	CHECK_ERRNO(keyctl_read(shared->serial, buf, sizeof(buf)), ENOKEY);
	return 0;
}

static void test_link(void **state)
{
	struct warder_grant_key gk = { .cid = box_a.cid };
	struct warder_grant g;
	int fd = loader_map_fd(box_loader, LOADER_MAP_KEY_GRANTS);
	int32_t other;

	(void)state;
	shared->serial = add_key("user", "lent", "lent", 4, KEY_SPEC_PROCESS_KEYRING);
	assert_true(shared->serial > 0);
	gk.serial = shared->serial;
	assert_int_equal(keyring_link_key(box_keyring, box_a.cid, &box_a.rings, shared->serial, 0,
					  &box_error),
			 -EINVAL);
	assert_int_equal(keyring_link_key(box_keyring, box_a.cid, &box_a.rings, shared->host_ring,
					  WARDER_KEY_MAY_ALL, &box_error),
			 -EINVAL);
	assert_int_equal(
		keyring_link_key(box_keyring, box_a.cid, &box_a.rings, shared->serial,
				 SEARCH | WARDER_KEY_MAY_READ | WARDER_KEY_MAY_VIEW, &box_error),
		0);
	assert_int_equal(box_run(&box_a, child_has_link), 0);
	assert_int_equal(box_run(&box_b, child_lacks_link), 0);
	other = add_key("user", "lent", "other", 5, KEY_SPEC_THREAD_KEYRING);
	assert_int_equal(keyring_link_key(box_keyring, box_a.cid, &box_a.rings, other, SEARCH,
					  &box_error),
			 -EEXIST);
	keyctl_unlink(other, KEY_SPEC_THREAD_KEYRING);
	assert_int_equal(keyring_unlink_key(box_keyring, box_a.cid, &box_a.rings, "user", "lent",
					    &box_error),
			 0);
	assert_int_equal(box_run(&box_a, child_lacks_link), 0);
	assert_int_equal(bpf_map_lookup_elem(fd, &gk, &g), -ENOENT);
	keyctl_unlink(shared->serial, KEY_SPEC_PROCESS_KEYRING);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_masks),	      cmocka_unit_test(test_opaque),
		cmocka_unit_test(test_rotate_revoke), cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_link),
	};

	return cmocka_run_group_tests(tests, box_group_setup, box_group_teardown);
}
