// SPDX-License-Identifier: LGPL-2.1-or-later
/* The supervisor's policies and stacks of them, without a kernel: who holds what, what a load
 * replaces, and that one which does not fit replaces nothing. */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "policy_fixture.h"
#include "supervisor_fixture.h"
#include "warder_decide.h"

static struct supervisor s;

static int setup(void **state)
{
	(void)state;
	memset(&s, 0, sizeof(s));
	return pthread_mutex_init(&s.lock, NULL);
}

static int teardown(void **state)
{
	(void)state;
	sup_policy_free_all(&s);
	pthread_mutex_destroy(&s.lock);
	return 0;
}

#define HOLD_MAX 5
/* Names, or texts of policies (they have a newline). */
static int hold(const char *const *what, size_t count, uint32_t *ret, struct warder_error *e)
{
	struct sup_policy_ref ref[HOLD_MAX] = { { NULL, NULL } };

	for (size_t i = 0; i < count; i++) {
		ref[i].name = what[i];
		ref[i].image = strchr(what[i], '\n') ? image_of(what[i]) : NULL;
	}
	return sup_policy_hold(&s, ref, count, ret, e);
}

#define HOLD(ret, e, ...) hold((const char *const[]) { __VA_ARGS__ },                          \
			       sizeof((const char *const[]) { __VA_ARGS__ }) / sizeof(char *),  \
			       ret, e)

#define A "policy: a\nfile: [{deny: read, path: /a}]\n"
#define B "policy: b\nfile: [{deny: read, path: /b}]\n"
#define B2 "policy: b\nmode: audit\nfile: [{deny: read, path: /b2}]\n"
#define C "policy: c\nmode: audit\n"

static __u32 action(uint32_t slot, const char *path)
{
	struct policy_request r = { .class_ = WARDER_CLASS_FILE, .access = WARDER_ACC_READ,
				    .path = path };
	struct warder_verdict v;

	assert_non_null(sup_policy_image(&s, slot));
	assert_int_equal(policy_decide(sup_policy_image(&s, slot), &r, &v), 0);
	return v.action;
}

static unsigned used(void)
{
	unsigned n = 0;

	for (int i = 0; i < WARDER_POLICIES_MAX; i++)
		n += s.policy[i].image != NULL;
	return n;
}

static void test_hold(void **state)
{
	struct warder_error e = { "" };
	uint32_t ab, again, ba, a;
	char mode[64];

	(void)state;
	assert_int_equal(HOLD(&ab, &e, A, B), 0);
	assert_int_equal(used(), 3);
	assert_string_equal(sup_policy_name(&s, ab), "a+b");
	assert_string_equal(sup_policy_mode(&s, ab, mode, sizeof(mode)), "enforce");
	assert_int_equal(action(ab, "/a"), WARDER_DENY);
	assert_int_equal(action(ab, "/b"), WARDER_DENY);
	assert_int_equal(action(ab, "/c"), WARDER_ALLOW);
	/* The same policies by name: the same slot. In another order another one. */
	assert_int_equal(HOLD(&again, &e, "a", "b"), 0);
	assert_int_equal(again, ab);
	assert_int_equal(HOLD(&ba, &e, "b", "a"), 0);
	assert_int_not_equal(ba, ab);
	assert_int_equal(HOLD(&a, &e, "a"), 0);
	assert_int_equal(s.policy[a].users, 4);
	assert_int_equal(used(), 4);
	/* A stack has no name by which it could be asked for. */
	assert_int_equal(sup_policy_find(&s, "a+b"), -ENOENT);
	assert_int_equal(sup_policy_find(&s, ""), -ENOENT);
	sup_policy_release(&s, ab);
	assert_int_equal(used(), 4);
	sup_policy_release(&s, again);
	assert_int_equal(used(), 3);
	sup_policy_release(&s, ba);
	assert_int_equal(used(), 1);
	assert_int_equal(action(a, "/a"), WARDER_DENY);
	sup_policy_release(&s, a);
	assert_int_equal(used(), 0);
}

static void refused(int err, const char *words, int got, const struct warder_error *e)
{
	assert_int_equal(got, err);
	if (!strstr(e->text, words))
		fail_msg("\"%s\" does not say %s", e->text, words);
}

static void test_refused(void **state)
{
	struct warder_error e = { "" };
	uint32_t slot, held;

	(void)state;
	refused(-EINVAL, "named twice", HOLD(&slot, &e, A, A), &e);
	refused(-EINVAL, "named twice", HOLD(&slot, &e, B, B2), &e);
	refused(-EINVAL, "1 to 4", HOLD(&slot, &e, A, B, C, "policy: d\n", "policy: e\n"), &e);
	refused(-ENOENT, "no policy named", HOLD(&slot, &e, A, "nobody"), &e);
	assert_int_equal(used(), 0);
	/* Another text for a policy that is in use. */
	assert_int_equal(HOLD(&held, &e, A, B), 0);
	refused(-EBUSY, "in use with another content", HOLD(&slot, &e, C, B2), &e);
	assert_int_equal(used(), 3);
	sup_policy_release(&s, held);
	assert_int_equal(used(), 0);
}

static void test_load(void **state)
{
	struct warder_error e = { "" };
	uint32_t ab, bc, b, slot;
	char digest[65], mode[64];
	char big[8192];
	int n;

	(void)state;
	assert_int_equal(HOLD(&ab, &e, A, B), 0);
	assert_int_equal(HOLD(&bc, &e, "b", C), 0);
	assert_int_equal(HOLD(&b, &e, "b"), 0);
	memcpy(digest, s.policy[ab].image->digest, sizeof(digest));
	/* All that have it change with it. */
	assert_int_equal(sup_policy_load(&s, image_of(B2), &slot, &e), 0);
	assert_int_equal(slot, b);
	assert_string_not_equal(s.policy[ab].image->digest, digest);
	assert_int_equal(action(ab, "/b"), WARDER_ALLOW);
	assert_int_equal(action(ab, "/b2"), WARDER_AUDIT);
	assert_int_equal(action(ab, "/a"), WARDER_DENY);
	assert_int_equal(action(bc, "/b2"), WARDER_AUDIT);
	assert_int_equal(action(b, "/b2"), WARDER_AUDIT);
	assert_string_equal(sup_policy_mode(&s, ab, mode, sizeof(mode)), "enforce+audit");
	assert_int_equal(sup_policy_load(&s, image_of(B), &slot, &e), 0);
	assert_string_equal(s.policy[ab].image->digest, digest);
	/* One that does not fit beside the others of one container changes nothing for any. */
	assert_int_equal(sup_policy_load(&s, image_of("policy: c\nmount: [{deny: umount, target: /x}]\n"),
					 &slot, &e), 0);
	n = snprintf(big, sizeof(big), "policy: b\nmount:\n");
	for (int i = 0; i < 64; i++)
		n += snprintf(big + n, sizeof(big) - (size_t)n, " - {allow: umount, target: /m/%d}\n", i);
	refused(-E2BIG, "65 mount or override rules, at most 64",
		sup_policy_load(&s, image_of(big), &slot, &e), &e);
	assert_string_equal(s.policy[ab].image->digest, digest);
	assert_int_equal(action(b, "/b"), WARDER_DENY);
	assert_int_equal(action(bc, "/b"), WARDER_DENY);
	/* What was loaded by name stays without containers, stacks do not. */
	sup_policy_release(&s, ab);
	sup_policy_release(&s, bc);
	sup_policy_release(&s, b);
	assert_int_equal(used(), 2);
	assert_true(sup_policy_find(&s, "b") >= 0 && sup_policy_find(&s, "c") >= 0);
}

/* Another supervisor's containers are taken up one by one. */
static void test_hold_again(void **state)
{
	struct warder_error e = { "" };
	uint32_t ab;

	(void)state;
	assert_int_equal(HOLD(&ab, &e, A, B), 0);
	sup_policy_hold_again(&s, ab);
	sup_policy_sweep(&s);
	sup_policy_release(&s, ab);
	assert_int_equal(used(), 3);
	assert_int_equal(action(ab, "/b"), WARDER_DENY);
	sup_policy_release(&s, ab);
	assert_int_equal(used(), 0);
}

/* Images of a start lie one after the other in one sealed file. */
static void test_read(void **state)
{
	cleanup_close int fd = memfd_create("images", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	cleanup_free struct warder_image *a = good(A), *b = good(B);
	struct sup_image *image = NULL;
	struct warder_error e = { "" };
	int64_t at = 0;

	(void)state;
	assert_int_equal(write(fd, a, a->h.length), a->h.length);
	assert_int_equal(write(fd, b, b->h.length), b->h.length);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL),
			 0);
	assert_int_equal(sup_policy_read(fd, &at, &image, &e), 0);
	assert_int_equal(at, a->h.length);
	assert_memory_equal(&image->img, a, sizeof(*a));
	sup_image_unref(&s, image);
	assert_int_equal(sup_policy_read(fd, &at, &image, &e), 0);
	assert_memory_equal(&image->img, b, sizeof(*b));
	sup_image_unref(&s, image);
	refused(-EINVAL, "bytes behind", sup_policy_read_end(fd, at, &e), &e);
	assert_int_equal(sup_policy_read_end(fd, at + 1, &e), 0);
	assert_int_equal(sup_policy_read(fd, &at, &image, &e), -EINVAL);
	at++;
	assert_int_equal(sup_policy_read(fd, &at, &image, &e), -EINVAL);
}

/* One policy too many is refused, and those that are loaded stay what they are. */
static void test_full(void **state)
{
	struct warder_error e = { "" };
	char text[WARDER_POLICIES_MAX][96];
	uint32_t slot[WARDER_POLICIES_MAX], more;
	const char *what;

	(void)state;
	for (int i = 0; i < WARDER_POLICIES_MAX; i++) {
		snprintf(text[i], sizeof(text[i]), "policy: p%d\nfile: [{deny: read, path: /p%d}]\n", i, i);
		what = text[i];
		if (hold(&what, 1, &slot[i], &e))
			fail_msg("policy %d: %s", i, e.text);
	}
	assert_int_equal(used(), WARDER_POLICIES_MAX);
	what = "policy: more\n";
	assert_int_equal(hold(&what, 1, &more, &e), -ENOSPC);
	assert_non_null(strstr(e.text, "all 256 policy slots are taken"));
	/* Nor does a stack of two that are there find room. */
	assert_int_equal(HOLD(&more, &e, text[0], text[1]), -ENOSPC);
	assert_int_equal(used(), WARDER_POLICIES_MAX);
	for (int i = 0; i < WARDER_POLICIES_MAX; i++) {
		char path[16];

		snprintf(path, sizeof(path), "/p%d", i);
		assert_int_equal(action(slot[i], path), WARDER_DENY);
		assert_int_equal(action(slot[i], "/more"), WARDER_ALLOW);
	}
	/* One that ends makes room. */
	sup_policy_release(&s, slot[7]);
	assert_int_equal(hold(&what, 1, &more, &e), 0);
	assert_int_equal(more, slot[7]);
}

/* One container too many is refused; the others stay what they are, and those that end make room. */
static void test_full_containers(void **state)
{
	static struct ctr *c[WARDER_CONTAINERS_MAX];
	struct warder_error e = { "" };
	struct ctr *more;
	char name[16];

	(void)state;
	for (int i = 0; i < WARDER_CONTAINERS_MAX; i++) {
		snprintf(name, sizeof(name), "c%d", i);
		c[i] = ctr_new(&s, name, &e);
		if (!c[i])
			fail_msg("container %d: %s", i, e.text);
		assert_int_equal(c[i]->slot, i);
	}
	assert_null(ctr_new(&s, "more", &e));
	assert_non_null(strstr(e.text, "1024 containers are running, and there is no room for more"));
	for (int i = 0; i < WARDER_CONTAINERS_MAX; i++) {
		snprintf(name, sizeof(name), "c%d", i);
		assert_ptr_equal(ctr_find_name(&s, name), c[i]);
	}
	ctr_free_all(&s);
	more = ctr_new(&s, "more", &e);
	assert_non_null(more);
	assert_int_equal(more->slot, 0);
	ctr_free_all(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_hold, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_load, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hold_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_containers, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
