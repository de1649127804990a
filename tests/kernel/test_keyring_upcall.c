// SPDX-License-Identifier: LGPL-2.1-or-later
/* Who may have the kernel ask for a key, how many at once, and how many bytes keys may hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>
#include <keyutils.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "keyring_box.h"
#include "upcall.h"
#include "warder.h"

#define POLICY_NONE 201  /* says nothing of keys */
#define POLICY_ALL 202   /* everything to the host */
#define POLICY_AUDIT 203 /* as the first, in audit mode */
#define POLICY_DENY 204  /* names what it denies */
#define POLICY_QUEUE 205 /* everything to a queue */
#define POLICY_STICKY 206

#define MARKER "/tmp/warder-upcall-ran"
#define GATE "/tmp/warder-upcall-go"

static struct warder_stats stats_of(const struct box *x)
{
	struct warder_stats st = { 0 };

	assert_int_equal(loader_get_stats(box_loader, x->slot, &st), 0);
	return st;
}

/* The collector's work takes a moment; what is looked at stays 0 afterwards. */
static int bytes_come_to_zero(const struct box *x)
{
	for (int i = 0; i < 1000; i++) {
		struct warder_stats st = stats_of(x);

		if (!st.keys && !st.key_bytes && !st.upcalls)
			return 1;
		usleep(10000);
	}
	fprintf(stderr, "left: %llu keys, %llu bytes, %llu upcalls\n",
		(unsigned long long)stats_of(x).keys, (unsigned long long)stats_of(x).key_bytes,
		(unsigned long long)stats_of(x).upcalls);
	return 0;
}

static unsigned records(uint64_t cid)
{
	return box_count(LOADER_MAP_UPCALLS, cid);
}

/* ------------------------------------------------------------------- bytes */

static int child_fills_bytes(void)
{
	static char payload[1000];
	int32_t key, ring;

	memset(payload, 'x', sizeof(payload));
	/* 1000 bytes: descriptions with their NUL and payloads, and this ring's own. */
	ring = keyctl_get_keyring_ID(KEY_SPEC_PROCESS_KEYRING, 1);
	CHECK(ring > 0);
	key = add_key("user", "a", payload, 500, ring);
	CHECK(key > 0);
	CHECK_ERRNO(add_key("user", "b", payload, 500, ring), EDQUOT);
	CHECK_ERRNO(add_key("user", "a", payload, 1000, ring), EDQUOT);
	CHECK_ERRNO(keyctl_update(key, payload, 1000), EDQUOT);
	/* The old payload does not count beside the new one. */
	CHECK(keyctl_update(key, payload, 900) == 0);
	CHECK(add_key("user", "a", payload, 900, ring) == key);
	CHECK_ERRNO(add_key("user", "b", payload, 100, ring), EDQUOT);
	CHECK(keyctl_update(key, payload, 100) == 0);
	CHECK(add_key("user", "b", payload, 500, ring) > 0);
	/* A long description counts, too. */
	payload[400] = '\0';
	CHECK_ERRNO(add_key("user", payload, "1", 1, ring), EDQUOT);
	shared->stage = 0;
	return 0;
}

/* What the kernel's own quota of a uid refuses, after it was counted. */
static int child_passes_the_kernels_limit(void)
{
	static char payload[25000];
	int32_t key;

	CHECK(!setresuid(1000, 1000, 1000));
	key = add_key("user", "a", payload, 15000, KEY_SPEC_PROCESS_KEYRING);
	CHECK(key > 0);
	CHECK_ERRNO(add_key("user", "a", payload, sizeof(payload), KEY_SPEC_PROCESS_KEYRING), EDQUOT);
	CHECK(keyctl_update(key, payload, 100) == 0);
	CHECK_ERRNO(add_key("user", "a", payload, sizeof(payload), KEY_SPEC_PROCESS_KEYRING), EDQUOT);
	return 0;
}

static void test_bytes_refused_by_the_kernel(void **state)
{
	struct box q = { .slot = 902, .keys_bytes = 30000 };

	(void)state;
	assert_int_equal(box_make(&q), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(box_run(&q, child_passes_the_kernels_limit), 0);
		assert_true(bytes_come_to_zero(&q));
	}
	assert_int_equal(box_end(&q), 0);
}

static void test_bytes(void **state)
{
	struct box q = { .slot = 902, .keys_bytes = 1000 };
	struct box other = { .slot = 903, .keys_bytes = 2000 };

	(void)state;
	assert_int_equal(box_make(&q), 0);
	assert_int_equal(box_make(&other), 0);
	assert_int_equal(box_run(&q, child_fills_bytes), 0);
	assert_true(bytes_come_to_zero(&q));
	assert_int_equal(box_run(&q, child_fills_bytes), 0);
	/* It is the container's limit that did it. */
	assert_int_equal(box_run(&other, child_fills_bytes), 1);
	assert_true(bytes_come_to_zero(&q));
	assert_true(bytes_come_to_zero(&other));
	/* What the supervisor gives does not count. */
	assert_int_equal(box_give(&q, "given", "x", NULL), 0);
	assert_true(stats_of(&q).key_bytes == 0);
	assert_int_equal(box_end(&q), 0);
	assert_int_equal(box_end(&other), 0);
}

/* ------------------------------------------------------------- who is asked */

static int write_text(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "we");

	if (!f)
		return -1;
	fputs(text, f);
	return fclose(f) || chmod(path, mode);
}

/* The host's handler leaves a mark; of two kinds of descriptions one waits for the gate. */
static int handlers_make(void)
{
	mkdir("/etc/request-key.d", 0755);
	if (write_text("/tmp/warder-upcall-handler",
		       "#!/bin/sh\necho \"$1\" >>" MARKER "\n"
		       "case $2 in slow:*) while [ ! -e " GATE " ]; do sleep 0.1; done ;; esac\n"
		       "exec /usr/bin/keyctl instantiate $1 answer 0\n",
		       0755))
		return -1;
	return write_text("/etc/request-key.d/warder-test.conf",
			  "create dns_resolver fast:* * /tmp/warder-upcall-handler %k %d\n"
			  "create user fast:* * /tmp/warder-upcall-handler %k %d\n"
			  "create user slow:* * /tmp/warder-upcall-handler %k %d\n",
			  0644);
}

static int ran(void)
{
	int yes = !access(MARKER, F_OK);

	unlink(MARKER);
	return yes;
}

static int child_asks(void)
{
	CHECK(payload_is(request_key("user", "fast:x", "callout", KEY_SPEC_PROCESS_KEYRING), "answer"));
	return 0;
}

static int child_asks_in_vain(void)
{
	CHECK_ERRNO(request_key("user", "fast:y", "callout", KEY_SPEC_PROCESS_KEYRING), ENOKEY);
	/* What needs no handler is not touched. */
	CHECK(add_key("user", "fast:z", "z", 1, KEY_SPEC_PROCESS_KEYRING) > 0);
	CHECK(payload_is(request_key("user", "fast:z", "callout", 0), "z"));
	return 0;
}

static int child_forges(void)
{
	CHECK_ERRNO(request_key("dns_resolver", "fast:forged", "callout", KEY_SPEC_PROCESS_KEYRING),
		    ENOKEY);
	return 0;
}

static int host_asks_for_name(void)
{
	CHECK(keyctl_join_session_keyring(NULL) > 0);
	request_key("dns_resolver", "fast:genuine", "callout", KEY_SPEC_PROCESS_KEYRING);
	return 0;
}

static int run_under(uint32_t policy, int (*fn)(void))
{
	struct box q = { .slot = 902, .policy = policy };
	int err = box_make(&q) ? -1 : box_run(&q, fn);

	if (err == 0 && !bytes_come_to_zero(&q))
		err = -2;
	if (err == 0 && records(q.cid))
		err = -3;
	return box_end(&q) ? -4 : err;
}

static void test_who_answers(void **state)
{
	(void)state;
	assert_int_equal(handlers_make(), 0);
	unlink(MARKER);
	/* A program's request goes to the host where a rule says so, and nowhere else. */
	assert_int_equal(run_under(POLICY_NONE, child_asks_in_vain), 0);
	assert_int_equal(ran(), 0);
	assert_int_equal(run_under(POLICY_DENY, child_asks_in_vain), 0);
	assert_int_equal(ran(), 0);
	assert_int_equal(run_under(POLICY_ALL, child_asks), 0);
	assert_int_equal(ran(), 1);
	assert_int_equal(run_under(POLICY_AUDIT, child_asks), 0);
	assert_int_equal(ran(), 1);
}

/* What is a queue's the host's own program does not get, whoever it asks: it has not put itself into
 * the record. With warder's lines in its configuration it must be able to. */
static void test_queue_is_not_the_hosts(void **state)
{
	(void)state;
	assert_int_equal(handlers_make(), 0);
	unlink(MARKER);
	assert_int_equal(run_under(POLICY_QUEUE, child_asks_in_vain), 0);
	assert_int_equal(ran(), 0);
	__atomic_store_n(&loader_host(box_loader)->upcalls_by_lines, 1, __ATOMIC_RELEASE);
	assert_int_equal(run_under(POLICY_QUEUE, child_asks), 0);
	__atomic_store_n(&loader_host(box_loader)->upcalls_by_lines, 0, __ATOMIC_RELEASE);
	assert_int_equal(ran(), 1);
}

/* CVE-2026-46243 and its kin: the host's helpers of kernel types believe what they are told. */
static void test_forged_types(void **state)
{
	(void)state;
	assert_int_equal(handlers_make(), 0);
	/* The type is there, and the handler would run. */
	if (system("modprobe dns_resolver") != 0)
		fprintf(stderr, "no dns_resolver module\n");
	unlink(MARKER);
	assert_int_equal(box_run_outside(host_asks_for_name), 0);
	assert_int_equal(ran(), 1);
	assert_int_equal(run_under(POLICY_ALL, child_forges), 0);
	assert_int_equal(ran(), 0);
	assert_int_equal(run_under(POLICY_AUDIT, child_forges), 0);
	assert_int_equal(ran(), 0);
}

/* ----------------------------------------------------------------- pending */

static int child_asks_slowly(void)
{
	char name[32];

	snprintf(name, sizeof(name), "slow:%d", getpid());
	CHECK(payload_is(request_key("user", name, "callout", KEY_SPEC_PROCESS_KEYRING), "answer"));
	return 0;
}

static int child_is_too_many(void)
{
	CHECK_ERRNO(request_key("user", "slow:more", "callout", KEY_SPEC_PROCESS_KEYRING), EDQUOT);
	return 0;
}

static int pending_come_to(const struct box *x, uint64_t n)
{
	for (int i = 0; i < 2000 && stats_of(x).upcalls != n; i++)
		usleep(10000);
	return stats_of(x).upcalls == n && records(x->cid) == n;
}

static void test_pending(void **state)
{
	struct box q = { .slot = 902, .keys_pending = 2 };
	int first, more, other, then;
	pid_t pid[2];

	(void)state;
	assert_int_equal(handlers_make(), 0);
	unlink(GATE);
	assert_int_equal(box_make(&q), 0);
	for (int i = 0; i < 2; i++)
		pid[i] = box_start(&q, 0, child_asks_slowly);
	first = pending_come_to(&q, 2);
	more = box_run(&q, child_is_too_many);
	other = box_run(&box_b, child_asks);
	then = pending_come_to(&q, 2);
	assert_int_equal(write_text(GATE, "", 0644), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(box_wait(pid[i]), 0);
	assert_true(first);
	assert_int_equal(more, 0);
	assert_int_equal(other, 0);
	assert_true(then);
	assert_true(pending_come_to(&q, 0));
	/* Answered ones do not stay in the way, however late their handlers are collected. */
	for (int i = 0; i < 8; i++)
		assert_int_equal(box_run(&q, child_asks), 0);
	assert_true(bytes_come_to_zero(&q));
	assert_int_equal(box_end(&q), 0);
	unlink(GATE);
}

/* Who asked, as it is recorded. */
static void test_record(void **state)
{
	struct box q = { .slot = 902 };
	struct warder_upcall_record r = { 0 };
	int fd = loader_map_fd(box_loader, LOADER_MAP_UPCALLS), seen;
	__u32 serial = 0;
	struct stat st;
	pid_t pid;

	(void)state;
	assert_int_equal(handlers_make(), 0);
	unlink(GATE);
	assert_int_equal(box_make(&q), 0);
	pid = box_start(&q, 0x10000000 /* CLONE_NEWUSER */, child_asks_slowly);
	seen = pending_come_to(&q, 1);
	while (!bpf_map_get_next_key(fd, serial ? &serial : NULL, &serial) &&
	       (bpf_map_lookup_elem(fd, &serial, &r) || r.cid != q.cid))
		;
	assert_int_equal(write_text(GATE, "", 0644), 0);
	assert_int_equal(box_wait(pid), 0);
	assert_true(seen);
	assert_true(r.cid == q.cid && r.slot == q.slot && r.tid == (__u32)pid &&
		    r.tgid == (__u32)pid);
	assert_int_equal(r.by, WARDER_UPCALL_BY_PROGRAM);
	assert_int_equal(r.to, WARDER_UPCALL_HOST);
	assert_true(r.rule != 0 && r.start != 0 && r.cgroup != 0);
	assert_int_equal(r.levels, 2);
	assert_int_equal(stat("/proc/self/ns/user", &st), 0);
	assert_true(r.userns[1] == st.st_ino && r.userns[0] != r.userns[1]);
	assert_int_equal(stat("/proc/self/ns/net", &st), 0);
	assert_true(r.netns == st.st_ino);
	assert_true(pending_come_to(&q, 0));
	assert_int_equal(box_end(&q), 0);
	unlink(GATE);
}

/* -------------------------------------------------------------------- join */

static int child_stays(void)
{
	const int32_t before = keyctl_get_keyring_ID(KEY_SPEC_SESSION_KEYRING, 0);
	int32_t ring;
	pid_t pid;

	CHECK(before > 0);
	CHECK_ERRNO(keyctl_join_session_keyring(NULL), EPERM);
	CHECK_ERRNO(keyctl_join_session_keyring("another"), EPERM);
	/* Nor one that is there already and open to it. */
	ring = add_key("keyring", "room", NULL, 0, KEY_SPEC_PROCESS_KEYRING);
	CHECK(ring > 0 && keyctl_setperm(ring, OPEN_PERM) == 0);
	CHECK_ERRNO(keyctl_join_session_keyring("room"), EPERM);
	pid = fork();
	if (!pid)
		_exit(keyctl_session_to_parent() == -1 && errno == EACCES ? 0 : 1);
	CHECK(box_wait(pid) == 0);
	CHECK(keyctl_get_keyring_ID(KEY_SPEC_SESSION_KEYRING, 0) == before);
	/* Other rings, and other uses of this one, are as ever. */
	CHECK(add_key("user", "k", "x", 1, KEY_SPEC_SESSION_KEYRING) > 0);
	CHECK(request_key("user", "k", NULL, 0) > 0);
	CHECK(keyctl_unlink(request_key("user", "k", NULL, 0), KEY_SPEC_SESSION_KEYRING) == 0);
	CHECK(add_key("keyring", "r", NULL, 0, KEY_SPEC_THREAD_KEYRING) > 0);
	return 0;
}

static int child_joins(void)
{
	const int32_t before = keyctl_get_keyring_ID(KEY_SPEC_SESSION_KEYRING, 0);

	CHECK(keyctl_join_session_keyring(NULL) > 0);
	CHECK(keyctl_get_keyring_ID(KEY_SPEC_SESSION_KEYRING, 0) != before);
	return 0;
}

static void test_join_denied(void **state)
{
	(void)state;
	assert_int_equal(run_under(POLICY_DENY, child_stays), 0);
	assert_int_equal(run_under(POLICY_NONE, child_joins), 0);
	assert_int_equal(run_under(POLICY_AUDIT, child_joins), 0);
	/* Nobody answers here. */
	assert_int_equal(run_under(POLICY_STICKY, child_stays), 0);
}

/* ------------------------------------------------------------------ events */

struct seen {
	unsigned events;
	uint32_t why, err, op;
	char text[64];
};

static int event_fn(void *arg, void *data, size_t size)
{
	const struct warder_event *e = data;
	struct seen *s = arg;

	if (size < sizeof(*e) || e->h.type != WARDER_EVENT_VERDICT ||
	    e->hook != WARDER_HOOK_KEY_ALLOC)
		return 0;
	s->events++;
	s->why = e->v.why;
	s->err = e->v.err;
	s->op = e->access;
	snprintf(s->text, sizeof(s->text), "%.*s", (int)e->text_len, (const char *)(e + 1));
	return 0;
}

static void test_events(void **state)
{
	struct ring_buffer *ring;
	struct seen seen;

	(void)state;
	ring = ring_buffer__new(loader_map_fd(box_loader, LOADER_MAP_EVENTS), event_fn, &seen,
				NULL);
	assert_non_null(ring);
	ring_buffer__consume(ring);
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(run_under(POLICY_NONE, child_asks_in_vain), 0);
	assert_true(ring_buffer__consume(ring) >= 0);
	assert_int_equal(seen.events, 1);
	assert_int_equal(seen.why, WARDER_WHY_DEFAULT);
	assert_int_equal(seen.err, ENOKEY);
	assert_int_equal(seen.op, WARDER_KEY_OP_REQUEST);
	assert_string_equal(seen.text, "user;fast:y");
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(run_under(POLICY_DENY, child_asks_in_vain), 0);
	assert_true(ring_buffer__consume(ring) >= 0);
	assert_int_equal(seen.events, 1);
	assert_int_equal(seen.why, WARDER_WHY_RULE);
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(run_under(POLICY_ALL, child_forges), 0);
	assert_true(ring_buffer__consume(ring) >= 0);
	assert_int_equal(seen.events, 1);
	assert_int_equal(seen.why, WARDER_WHY_BASELINE);
	assert_string_equal(seen.text, "dns_resolver;fast:forged");
	ring_buffer__free(ring);
	unlink("/etc/request-key.d/warder-test.conf");
}

static int group_setup(void **state)
{
	if (box_group_setup(state))
		return -1;
	return box_publish(POLICY_NONE, "policy: none-said\n") ||
	       box_publish(POLICY_ALL, "policy: all\n"
				       "keyring: {upcalls: [{type: '*', to: host}]}\n") ||
	       box_publish(POLICY_AUDIT, "policy: audited\nmode: audit\n"
					 "keyring: {join: deny, upcalls: [{type: dns_resolver, to: host}]}\n") ||
	       box_publish(POLICY_DENY, "policy: denied\nkeyring: {join: deny, upcalls: [{type: '*', to: host}, "
					"{type: user, to: deny}]}\n") ||
	       box_publish(POLICY_STICKY, "policy: sticky\nkeyring: {join: sticky}\n") ||
	       box_publish(POLICY_QUEUE, "policy: queued\nkeyring: {upcalls: [{type: '*', to: queue, "
					 "else: host}]}\n");
}

/* ------------------------------------------------------------ for e2e_keyring_queue.sh, e2e_keyring_join.sh */

/* flood CALLS PROCESSES: each of them asks for so many keys that are not there. */
static int flood(int calls, int processes)
{
	char name[48];

	for (int p = 0; p < processes; p++) {
		if (fork())
			continue;
		for (int i = 0; i < calls; i++) {
			snprintf(name, sizeof(name), "flood:%d.%d", getpid(), i);
			request_key("user", name, "x", KEY_SPEC_SESSION_KEYRING);
		}
		_exit(0);
	}
	while (wait(NULL) > 0)
		;
	return 0;
}

/* rejoin CALLS PROCESSES: the same, each time in a new session. */
static int rejoin(int calls, int processes)
{
	char name[48];
	int status, err = 0;

	for (int p = 0; p < processes; p++) {
		if (fork())
			continue;
		for (int i = 0; i < calls; i++) {
			snprintf(name, sizeof(name), "rejoin:%d.%d", getpid(), i);
			if (keyctl_join_session_keyring(NULL) < 0 ||
			    request_key("user", name, "x", KEY_SPEC_SESSION_KEYRING) > 0 ||
			    (errno != ENOKEY && errno != EDQUOT))
				_exit(1);
		}
		_exit(0);
	}
	while (wait(&status) > 0)
		err |= status;
	return err != 0;
}

/* forge SOCKET: shows the supervisor a ring to put the container keyring into, as request-key does. */
static int forge(const char *path)
{
	struct upcall_ask ask = { .type = "user", .description = "forged", .callout = "" };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_SEQPACKET, 0), len;
	char buf[512];
	ssize_t n;

	ask.lend = add_key("keyring", UPCALL_LEND_RING, NULL, 0, KEY_SPEC_SESSION_KEYRING);
	ask.serial = add_key("user", "forged", "x", 1, KEY_SPEC_SESSION_KEYRING);
	keyctl_setperm(ask.lend, OPEN_PERM);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	len = upcall_ask_pack(&ask, buf, sizeof(buf));
	if (ask.lend < 0 || len < 0 || connect(sock, (struct sockaddr *)&addr, sizeof(addr))) {
		printf("forged: closed: %s\n", strerror(errno));
		return 0;
	}
	send(sock, buf, (size_t)len, MSG_NOSIGNAL);
	n = recv(sock, buf, sizeof(buf), 0);
	printf("forged: %s\n", n > 0 || keyctl_read(ask.lend, buf, sizeof(buf)) ? "ANSWERED" : "closed");
	return 0;
}

#define IA32_KEYCTL 288

/* keyctl(2) by the 32-bit entry: -errno, or -ENOSYS where the kernel has none. */
static long keyctl_32(unsigned op, unsigned arg)
{
	long ret;

	__asm__ volatile("int $0x80" : "=a"(ret) : "a"(IA32_KEYCTL), "b"(op), "c"(arg), "d"(0), "S"(0),
			 "D"(0) : "memory", "r8", "r9", "r10", "r11");
	return ret;
}

/* sticky: nothing gives this process, or its parent, another session keyring. */
static int sticky(void)
{
	const int32_t before = keyctl_get_keyring_ID(KEY_SPEC_SESSION_KEYRING, 0);
	int32_t ring;
	pid_t pid;

	CHECK(before > 0);
	CHECK(keyctl_join_session_keyring(NULL) == before);
	CHECK(keyctl_join_session_keyring("name") == before);
	CHECK(syscall(SYS_keyctl, 0xff00000001ull, NULL) == before);
	CHECK(keyctl_32(KEYCTL_JOIN_SESSION_KEYRING, 0) == before);
	/* By x32's number the hooks see it, where the kernel has that. */
	CHECK(syscall(0x40000000 | SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) == -1);
	/* Not even to a ring of its own, which is open to it. */
	ring = add_key("keyring", "room", NULL, 0, KEY_SPEC_PROCESS_KEYRING);
	CHECK(ring > 0 && keyctl_setperm(ring, OPEN_PERM) == 0);
	CHECK(keyctl_join_session_keyring("room") == before);
	pid = fork();
	if (!pid) {
		CHECK(keyctl_session_to_parent() == 0);
		CHECK(keyctl_32(KEYCTL_SESSION_TO_PARENT, 0) == 0);
		_exit(0);
	}
	CHECK(box_wait(pid) == 0);
	CHECK(keyctl_get_keyring_ID(KEY_SPEC_SESSION_KEYRING, 0) == before);
	/* Other operations are as ever. */
	CHECK(keyctl_join_session_keyring((char *)1) == before); /* a name that nobody looks at */
	CHECK(keyctl_revoke(ring) == 0);
	CHECK_ERRNO(keyctl_read(ring, NULL, 0), EKEYREVOKED);
	return 0;
}

/* spin PROCESSES: as many, and nothing to do. */
static int spin(int processes)
{
	for (int p = 0; p < processes; p++)
		if (!fork())
			for (;;)
				getppid();
	pause();
	return 0;
}

static int compare_times(const void *a, const void *b)
{
	const long *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* serve NAME: a daemon of the host's, by the library: "answer" for every key of type user. What is
 * asked is said, and "no" is refused. */
static int serve(const char *container)
{
	struct warder_upcall_asked a = { .struct_size = sizeof(a) };
	struct warder_queue *q = NULL;
	char error[256] = "";
	int err = warder_queue_open(&q, container, 0, error, sizeof(error));

	if (!err)
		err = warder_queue_serve(q, "user", error, sizeof(error));
	if (err) {
		fprintf(stderr, "%s\n", error);
		return 1;
	}
	printf("serving\n");
	fflush(stdout);
	while (!(err = warder_queue_next(q, &a, -1, error, sizeof(error))) || err == -EAGAIN) {
		if (err || a.what != WARDER_UPCALL_ASKED)
			continue;
		printf("%s %s %s %u %s %d\n", a.type, a.description, (const char *)a.callout, a.uid,
		       a.container, a.by_kernel);
		fflush(stdout);
		if (!strcmp(a.description, "lib:no"))
			warder_queue_reject(q, a.seq, "EACCES", 1);
		else
			warder_queue_instantiate(q, a.seq, "answer", 6, 0);
	}
	printf("%s\n", error);
	warder_queue_close(q);
	return 0;
}

/* times COUNT PREFIX: median us of an upcall that is answered; 0 if one is not. */
static int times(int count, const char *prefix)
{
	long us[64];
	char name[64];

	for (int i = 0; i < count && i < 64; i++) {
		struct timespec a, b;

		snprintf(name, sizeof(name), "%s.%d", prefix, i);
		clock_gettime(CLOCK_MONOTONIC, &a);
		if (request_key("user", name, "x", KEY_SPEC_SESSION_KEYRING) < 0) {
			printf("0 %s\n", strerror(errno));
			return 1;
		}
		clock_gettime(CLOCK_MONOTONIC, &b);
		us[i] = (b.tv_sec - a.tv_sec) * 1000000 + (b.tv_nsec - a.tv_nsec) / 1000;
	}
	qsort(us, (size_t)count, sizeof(us[0]), compare_times);
	printf("%ld\n", us[count / 2]);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),	     cmocka_unit_test(test_who_answers),
		cmocka_unit_test(test_bytes_refused_by_the_kernel),
		cmocka_unit_test(test_queue_is_not_the_hosts),
		cmocka_unit_test(test_forged_types), cmocka_unit_test(test_pending),
		cmocka_unit_test(test_record),	     cmocka_unit_test(test_join_denied),
		cmocka_unit_test(test_events),
	};

	if (argc == 4 && !strcmp(argv[1], "flood"))
		return flood(atoi(argv[2]), atoi(argv[3]));
	if (argc == 4 && !strcmp(argv[1], "rejoin"))
		return rejoin(atoi(argv[2]), atoi(argv[3]));
	if (argc == 2 && !strcmp(argv[1], "sticky"))
		return sticky();
	if (argc == 3 && !strcmp(argv[1], "forge"))
		return forge(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "spin"))
		return spin(atoi(argv[2]));
	if (argc == 3 && !strcmp(argv[1], "serve"))
		return serve(argv[2]);
	if (argc == 4 && !strcmp(argv[1], "times"))
		return times(atoi(argv[2]), argv[3]);
	return cmocka_run_group_tests(tests, group_setup, box_group_teardown);
}
