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
#include <bpf/libbpf.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <keyutils.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "keyring.h"
#include "loader.h"
#include "policy.h"

#define PIN_DIR "/sys/fs/bpf/warder-test-keyring"
#define POLICY_SLOT 200
#define ANCHOR_UID 0xfffffff0u /* of user/keyring.c */
#define OPEN_PERM (KEY_POS_ALL | KEY_USR_ALL | KEY_GRP_ALL | KEY_OTH_ALL)

/* Need numbers of the kernel's enum key_need_perm, in events. */
#define NEED_VIEW 1

struct box {
	uint64_t cid;
	uint32_t slot;
	struct keyring_rings rings;
};

static struct loader *loader;
static struct keyring *keyring;
static struct warder_error error;
static struct box a = { .slot = 900 }, b = { .slot = 901 };

/* What a child finds out, or needs to know. */
static struct shared {
	int32_t serial, ring;
	int32_t host_key, host_ring;
	int stage;
	struct box box;
	char text[256];
} * shared;

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
		long result_;                                                                      \
		errno = 0;                                                                         \
		result_ = (call);                                                                  \
		if (result_ != -1 || errno != (expected)) {                                        \
			fprintf(stderr, "%s:%d: %s: %ld, %s; expected %s\n", __FILE__, __LINE__,   \
				#call, result_, strerrorname_np(errno),                            \
				strerrorname_np(expected));                                        \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)

static int payload_is(int32_t serial, const char *expected)
{
	char buf[64] = "";
	long n = keyctl_read(serial, buf, sizeof(buf));

	return n == (long)strlen(expected) && !memcmp(buf, expected, (size_t)n);
}

/* ------------------------------------------------------------------ boxes */

static int box_record(struct box *x, uint32_t keys_max)
{
	struct warder_ctr ctr;

	memset(&ctr, 0, sizeof(ctr));
	ctr.cid = x->cid;
	ctr.state = WARDER_CTR_RUNNING;
	ctr.policy = POLICY_SLOT;
	ctr.keys_max = keys_max;
	ctr.session_ring = x->rings.session;
	ctr.container_ring = x->rings.container;
	return loader_set_container(loader, x->slot, &ctr);
}

static int box_make(struct box *x)
{
	__u64 cid;

	if (loader_next_cid(loader, &cid) || loader_reset_stats(loader, x->slot))
		return -1;
	x->cid = cid;
	if (keyring_create(keyring, x->cid, &x->rings, &error)) {
		fprintf(stderr, "%s\n", error.text);
		return -1;
	}
	return box_record(x, 0);
}

static int box_end(struct box *x)
{
	struct warder_ctr ctr;

	if (keyring_destroy(keyring, x->cid, &x->rings))
		return -1;
	memset(&ctr, 0, sizeof(ctr));
	return loader_set_container(loader, x->slot, &ctr);
}

/* A child that has S and the tag before it runs fn. */
static pid_t box_start(struct box *x, unsigned long flags, int (*fn)(void))
{
	int go[2], pidfd;
	char c = 0;
	pid_t pid;

	if (keyring_enter(keyring, &x->rings, &error)) {
		fprintf(stderr, "%s\n", error.text);
		return -1;
	}
	fflush(NULL);
	if (pipe(go))
		return -1;
	pid = (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
	if (!pid) {
		close(go[1]);
		if (read(go[0], &c, 1) != 1)
			_exit(99);
		_exit(fn());
	}
	close(go[0]);
	if (keyring_leave(keyring, &error) || pid < 0)
		return -1;
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0 || loader_tag_task(loader, pidfd, x->cid, x->slot)) {
		kill(pid, SIGKILL);
		return -1;
	}
	close(pidfd);
	if (write(go[1], &c, 1) != 1)
		return -1;
	close(go[1]);
	return pid;
}

static int wait_for(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int box_run(struct box *x, int (*fn)(void))
{
	return wait_for(box_start(x, 0, fn));
}

static int give(struct box *x, const char *description, const char *payload, int32_t *ret)
{
	return keyring_add_key(keyring, x->cid, &x->rings, "user", description, payload,
			       strlen(payload), ret, &error);
}

static int publish_policy(void)
{
	static const char text[] = "policy: keys\nmode: enforce\n";
	struct policy_diags diags = { 0 };
	struct warder_image *img = NULL;
	struct policy *p = NULL;
	int err;

	err = policy_parse("keys", text, sizeof(text) - 1, NULL, &p, &diags);
	if (!err)
		err = policy_compile(p, &img, &diags);
	policy_diags_print(&diags, stderr);
	if (!err)
		err = loader_publish(loader, POLICY_SLOT, img, &error);
	free(img);
	policy_free(p);
	policy_diags_done(&diags);
	return err;
}

static int mark_supervisor(void)
{
	__atomic_store_n(&loader_host(loader)->supervisor, (__u32)getpid(), __ATOMIC_RELEASE);
	return 0;
}

static int group_setup(void **state)
{
	struct loader_options options = { .pin_dir = PIN_DIR };
	FILE *f;

	(void)state;
	f = fopen("/proc/sys/kernel/keys/gc_delay", "we");
	if (!f)
		return -1;
	fputs("1", f);
	fclose(f);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		return -1;
	if (loader_open(&loader, &options, &error) || publish_policy() ||
	    keyring_new(&keyring, loader, &error) || mark_supervisor() || box_make(&a) ||
	    box_make(&b)) {
		fprintf(stderr, "%s\n", error.text);
		return -1;
	}
	/* Of the host, and as open as the kernel's own permissions can be. */
	shared->host_key = add_key("user", "hostsecret", "host", 4, KEY_SPEC_PROCESS_KEYRING);
	shared->host_ring = add_key("keyring", "hostring", NULL, 0, KEY_SPEC_PROCESS_KEYRING);
	if (keyctl_setperm(shared->host_key, OPEN_PERM) ||
	    keyctl_setperm(shared->host_ring, OPEN_PERM) ||
	    keyctl_link(shared->host_key, KEY_SPEC_USER_KEYRING))
		return -1;
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	keyring_remove_registry(keyring);
	keyring_free(keyring);
	loader_unpin(loader);
	loader_free(loader);
	return 0;
}

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
	assert_int_equal(give(&a, "secret", "of a", NULL), 0);
	assert_int_equal(give(&b, "secret", "of b", NULL), 0);
	assert_int_equal(box_run(&a, child_secret_is_a), 0);
	assert_int_equal(box_run(&b, child_secret_is_b), 0);
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
	CHECK_ERRNO(keyctl_describe(a.rings.container, buf, sizeof(buf)), EACCES);
	CHECK_ERRNO(keyctl_read(a.rings.container, buf, sizeof(buf)), ENOKEY);
	CHECK_ERRNO(keyctl_link(a.rings.session, KEY_SPEC_SESSION_KEYRING), EACCES);
	return 0;
}

static void test_foreign_by_serial(void **state)
{
	char buf[64];

	(void)state;
	assert_int_equal(box_run(&a, child_makes_open_keys), 0);
	assert_int_equal(box_run(&b, child_meets_foreign), 0);
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
	assert_int_equal(box_run(&a, child_makes_open_keys), 0);
	assert_int_equal(box_run(&a, child_uses_own), 0);
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
	assert_int_equal(give(&a, "of-other", "x", NULL), 0);
	assert_int_equal(box_run(&b, child_searches), 0);
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
	pid_t pid;

	(void)state;
	assert_int_equal(give(&a, "of-other", "x", NULL), 0);
	assert_int_equal(box_run(&a, child_makes_open_keys), 0);
	fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(host_searches());
	assert_int_equal(wait_for(pid), 0);
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
	struct warder_host *host = loader_host(loader);
	long with, without;
	int err;

	(void)state;
	assert_int_equal(box_run(&a, child_nests), 0);
	with = keyctl_search(a.rings.session, "user", "deep", 0);
	err = errno;
	__atomic_store_n(&host->supervisor, 0, __ATOMIC_RELEASE);
	without = keyctl_search(a.rings.session, "user", "deep", 0);
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

static void test_join_by_name(void **state)
{
	pid_t pid;
	int other, same;

	(void)state;
	shared->stage = 0;
	pid = box_start(&a, 0, child_joins);
	while (shared->stage == 0 && !waitpid(pid, NULL, WNOHANG))
		usleep(1000);
	other = box_run(&b, child_joins_too);
	same = box_run(&a, child_joins_same);
	shared->stage = 2;
	assert_int_equal(wait_for(pid), 0);
	assert_int_equal(other, 0);
	assert_int_equal(same, 0);
}

static int listed(int32_t serial)
{
	char line[512], hex[16];
	FILE *f = fopen("/proc/keys", "re");
	int found = 0;

	if (!f)
		return -1;
	snprintf(hex, sizeof(hex), "%08x ", (unsigned)serial);
	while (fgets(line, sizeof(line), f))
		found |= !strncmp(line, hex, strlen(hex));
	fclose(f);
	return found;
}

static int child_reads_proc(void)
{
	CHECK(listed(shared->serial) == 0);
	CHECK(listed(shared->host_key) == 0);
	CHECK(listed(a.rings.container) == 0);
	CHECK(listed(b.rings.container) == 1);
	return 0;
}

static void test_proc_keys(void **state)
{
	(void)state;
	assert_int_equal(box_run(&a, child_makes_open_keys), 0);
	assert_int_equal(listed(shared->serial), 1);
	assert_int_equal(box_run(&b, child_reads_proc), 0);
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
	assert_int_equal(box_run(&a, child_uses_keys), 0);
}

/* The documented limit of a join, and what a program can do about it. */
static int child_leaves_session(void)
{
	int32_t c = (int32_t)keyctl_search(KEY_SPEC_SESSION_KEYRING, "keyring", "_warder.c.", 0);
	char name[64];

	CHECK(c < 0);
	snprintf(name, sizeof(name), "_warder.c.%llu", (unsigned long long)a.cid);
	CHECK(keyctl_search(KEY_SPEC_SESSION_KEYRING, "keyring", name, KEY_SPEC_PROCESS_KEYRING) ==
	      a.rings.container);
	CHECK(keyctl_join_session_keyring(NULL) > 0);
	CHECK(payload_is(request_key("user", "secret", NULL, 0), "of a"));
	CHECK(keyctl_link(a.rings.container, KEY_SPEC_SESSION_KEYRING) == 0);
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
	assert_int_equal(box_run(&a, child_loses_container), 0);
	assert_int_equal(box_run(&a, child_leaves_session), 0);
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
	assert_int_equal(give(&a, "order", "container", NULL), 0);
	assert_int_equal(box_run(&a, child_order), 0);
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
	CHECK(wait_for(pid) == 0);
	return 0;
}

static void test_survives_exec_setuid_userns(void **state)
{
	(void)state;
	assert_int_equal(box_run(&a, child_survives), 0);
	/* Started in a user namespace of its own. */
	assert_int_equal(wait_for(box_start(&a, CLONE_NEWUSER, child_secret_is_a)), 0);
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
	assert_int_equal(give(&a, "kept", "kept", NULL), 0);
	shared->box = a;
	assert_int_equal(box_run(&a, child_attacks), 0);
}

static int child_clears(void)
{
	CHECK(keyctl_clear(KEY_SPEC_SESSION_KEYRING) == 0);
	return 0;
}

static void test_clear_and_relink(void **state)
{
	(void)state;
	assert_int_equal(box_run(&a, child_clears), 0);
	assert_int_equal(keyring_relink(keyring, &a.rings, &error), 0);
	assert_int_equal(box_run(&a, child_secret_is_a), 0);
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
	CHECK(wait_for(pid) == 0);
	CHECK(keyctl_get_keyring_ID(KEY_SPEC_SESSION_KEYRING, 0) == shared->ring);
	return 0;
}

static void test_session_to_parent(void **state)
{
	int32_t before = keyctl_get_keyring_ID(KEY_SPEC_SESSION_KEYRING, 0);

	(void)state;
	assert_int_equal(box_run(&a, child_session_to_parent), 0);
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
	assert_int_equal(keyring_grant(keyring, b.cid, shared->host_key,
				       WARDER_KEY_MAY_VIEW | WARDER_KEY_MAY_SEARCH, &error),
			 0);
	assert_int_equal(box_run(&b, child_has_search_only), 0);
	assert_int_equal(box_run(&a, child_lacks_host_key), 0);
	assert_int_equal(keyring_grant(keyring, b.cid, shared->host_key,
				       WARDER_KEY_MAY_READ | WARDER_KEY_MAY_SEARCH, &error),
			 0);
	assert_int_equal(box_run(&b, child_reads_host_key), 0);
	assert_int_equal(keyring_grant(keyring, b.cid, shared->host_key, 0, &error), 0);
	assert_int_equal(box_run(&b, child_lacks_host_key), 0);
}

/* ------------------------------------------------------------------ quota */

static uint64_t keys_of(const struct box *x)
{
	struct warder_stats st;

	return loader_get_stats(loader, x->slot, &st) ? ~0ull : st.keys;
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
	other = box_run(&a, child_adds_one);
	given = give(&q, "given", "x", NULL);
	shared->ring = 2;
	assert_int_equal(wait_for(pid), 0);
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
	assert_int_equal(box_run(&a, child_upcalls), 0);
	assert_int_equal(wait_for(box_start(&b, CLONE_NEWUSER, child_upcalls)), 0);
	unlink("/etc/request-key.d/warder-test.conf");
}

/* ------------------------------------------------------------------ events */

struct seen {
	int32_t serial;
	unsigned events;
	uint64_t need;
	uint32_t err;
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
	ring = ring_buffer__new(loader_map_fd(loader, LOADER_MAP_EVENTS), event_fn, &seen, NULL);
	assert_non_null(ring);
	ring_buffer__consume(ring);
	memset(&seen, 0, sizeof(seen));
	seen.serial = shared->host_key;
	usleep(1100000); /* a new second of the container's event budget */
	assert_int_equal(box_run(&b, child_asks_host_key), 0);
	assert_true(ring_buffer__consume(ring) >= 0);
	assert_int_equal(seen.events, 1);
	assert_int_equal(seen.need, NEED_VIEW);
	assert_int_equal(seen.err, ENOKEY);
	assert_string_equal(seen.text, "user;hostsecret");
	/* A search that passes by is none. */
	assert_int_equal(box_run(&b, child_skips_host_key), 0);
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
	struct loader_options options = { .pin_dir = PIN_DIR, .require_existing = 1 };

	CHECK(loader_open(&loader, &options, &error) == 0);
	CHECK(keyring_new(&keyring, loader, &error) == 0);
	CHECK(box_make(&shared->box) == 0);
	CHECK(box_start(&shared->box, 0, child_waits_for_key) > 0);
	kill(getpid(), SIGKILL);
	return 1;
}

static int supervisor_second(void)
{
	struct loader_options options = { .pin_dir = PIN_DIR, .require_existing = 1 };
	struct keyring_key *keys;
	size_t count;

	CHECK(loader_open(&loader, &options, &error) == 0);
	CHECK(keyring_new(&keyring, loader, &error) == 0);
	CHECK(give(&shared->box, "late", "came", NULL) == 0);
	CHECK(keyring_list_keys(keyring, &shared->box.rings, &keys, &count, &error) == 0);
	CHECK(count == 1 && !strcmp(keys[0].description, "late") && keys[0].ring == 'C');
	free(keys);
	return 0;
}

/* Another root process of the host put a ring of that name in the registry's place. */
static int supervisor_forged(void)
{
	struct loader_options options = { .pin_dir = PIN_DIR, .require_existing = 1 };
	int32_t forged, found;

	forged = add_key("keyring", "_warder.registry", NULL, 0, KEY_SPEC_PROCESS_KEYRING);
	CHECK(forged > 0 && keyctl_setperm(forged, KEY_POS_ALL) == 0);
	CHECK(setresuid(ANCHOR_UID, -1, -1) == 0);
	CHECK(keyctl_link(forged, KEY_SPEC_USER_KEYRING) == 0);
	CHECK(setresuid(0, -1, -1) == 0);
	CHECK(loader_open(&loader, &options, &error) == 0);
	CHECK(keyring_new(&keyring, loader, &error) == 0);
	CHECK(setresuid(ANCHOR_UID, -1, -1) == 0);
	found = (int32_t)keyctl_search(KEY_SPEC_USER_KEYRING, "keyring", "_warder.registry", 0);
	CHECK(setresuid(0, -1, -1) == 0);
	CHECK(found > 0 && found != forged);
	CHECK(keyring_remove_registry(keyring) == 0);
	return 0;
}

static int fork_run(int (*fn)(void))
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(fn());
	return wait_for(pid);
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
		first = fork_run(supervisor_first);
		if (first == 128 + SIGKILL)
			second = fork_run(supervisor_second);
		if (waitpid(-1, &status, 0) > 0)
			container = WIFEXITED(status) ? WEXITSTATUS(status) : -2;
		fprintf(stderr, "first %d, second %d, container %d\n", first, second, container);
		_exit(first == 128 + SIGKILL && !second && !container ? 0 : 1);
	}
	assert_int_equal(wait_for(pid), 0);
	assert_int_equal(box_end(&shared->box), 0);
}

static void test_forged_registry(void **state)
{
	struct box q = { .slot = 902 };

	(void)state;
	assert_int_equal(fork_run(supervisor_forged), 0);
	/* Ours is anchored again by the next container. */
	assert_int_equal(box_make(&q), 0);
	assert_int_equal(box_end(&q), 0);
}

/* ----------------------------------------------------------------- residue */

static unsigned tags_of(uint64_t cid)
{
	int fd = loader_map_fd(loader, LOADER_MAP_KEYS);
	struct warder_key_tag tag;
	__u64 key, *previous = NULL, last;
	unsigned n = 0;

	while (!bpf_map_get_next_key(fd, previous, &key)) {
		if (!bpf_map_lookup_elem(fd, &key, &tag) && tag.cid == cid)
			n++;
		last = key;
		previous = &last;
	}
	return n;
}

/* Runs last: nothing of a container is left once its keys are collected. */
static void test_no_residue(void **state)
{
	struct box *box[] = { &a, &b };

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_true(tags_of(box[i]->cid) >= 2);
		assert_int_equal(keyring_destroy(keyring, box[i]->cid, &box[i]->rings), 0);
		assert_true(keys_come_to(box[i], 0));
		for (int n = 0; n < 1000 && tags_of(box[i]->cid); n++)
			usleep(10000);
		assert_int_equal(tags_of(box[i]->cid), 0);
	}
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
		cmocka_unit_test(test_quota),
		cmocka_unit_test(test_quota_of_others),
		cmocka_unit_test(test_quota_counts_uid_rings),
		cmocka_unit_test(test_upcalls),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_supervisor_killed),
		cmocka_unit_test(test_forged_registry),
		cmocka_unit_test(test_no_residue),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
