// SPDX-License-Identifier: LGPL-2.1-or-later
/* The supervisor's side of key upcalls, without a kernel: who is asked in what order, what becomes of
 * answers and of daemons that give none. request-key is the other end of a socket pair; the record that
 * BPF would have made is `record`. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "warder_abi.h"

static struct warder_upcall_record record;

struct loader;
static int fake_get_upcall(struct loader *l, __u32 serial, struct warder_upcall_record *ret)
{
	(void)l;
	*ret = record;
	return serial == 77 ? 0 : -2;
}
#define loader_get_upcall fake_get_upcall
#include "../../user/supervisor_upcall.c"
#include "supervisor_peers.h"

static struct ctr *ctr;

static int setup(void **state)
{
	struct stat st;

	(void)state;
	supervisor_make();
	ctr = calloc(1, sizeof(*ctr));
	ctr->cid = 5;
	ctr->state = CTR_RUNNING;
	strcpy(ctr->name, "web");
	s->ctrs = ctr;
	memset(&record, 0, sizeof(record));
	record.cid = 5;
	record.to = WARDER_UPCALL_QUEUE;
	record.time = clock_now_ms() * 1000000;
	record.deadline = 5000;
	record.by = WARDER_UPCALL_BY_PROGRAM;
	record.tgid = record.tid = 1; /* not a descendant of ours */
	record.levels = 1;
	if (stat("/proc/self/ns/user", &st))
		return -1;
	record.userns[0] = (__u32)st.st_ino;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	connections_close();
	assert_null(s->queues);
	sup_upcall_close(s);
	assert_int_equal(s->upcall_count, 0);
	supervisor_unmake();
	free(ctr);
	return 0;
}

#define SERVE "{\"request\": \"keyring-queue\", \"version\": 1"
#define SAY "{\"request\": \"keyring-answer\", "

static struct conn *serve(struct ctr *from, const char *more)
{
	struct conn *c = connect_one(from);
	char text[200];

	snprintf(text, sizeof(text), SERVE "%s}", more);
	say(c, text);
	assert_int_equal(is_ok(heard(peers - 1)), 1);
	return c;
}

/* warder-request-key connects and asks; the index of its end. */
static unsigned ask(const char *description)
{
	struct upcall_ask a = { .serial = 77, .type = "user", .description = description,
				.callout = "x", .callout_len = 1 };
	struct upcall *u = calloc(1, sizeof(*u));
	char buf[1024];
	int pair[2], len = upcall_ask_pack(&a, buf, sizeof(buf));

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(source_add(s, &u->src, pair[0], EPOLLIN, upcall_ready), 0);
	u->seq = ++s->upcall_next;
	u->deadline = clock_now_ms() + 5000;
	u->next = s->upcalls;
	s->upcalls = u;
	s->upcall_count++;
	peer[peers] = pair[1];
	assert_int_equal(send(pair[1], buf, (size_t)len, 0), len);
	u->src.ready(s, &u->src, EPOLLIN);
	return peers++;
}

/* What a daemon is asked: the upcall's number; 0: nothing. `what`: "upcall", "cancelled", "taken". */
static uint64_t asked(unsigned index, const char *what)
{
	struct json_object *o = heard(index), *in;
	uint64_t seq = 0;

	if (!o)
		return 0;
	if (!json_object_object_get_ex(o, what, &in))
		fail_msg("%s", json_object_to_json_string(o));
	assert_int_equal(control_get_u64(in, "seq", UINT64_MAX, &seq, NULL), 1);
	json_object_put(o);
	return seq;
}

/* What request-key is told: 0 for nothing. */
static uint32_t told(unsigned index, struct upcall_verdict *ret)
{
	static char buf[UPCALL_MESSAGE_MAX];
	ssize_t n = recv(peer[index], buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0)
		return 0;
	assert_int_equal(upcall_verdict_unpack(buf, (size_t)n, ret), 0);
	return ret->verb;
}

static void is_rejected(unsigned index, uint32_t err, uint32_t seconds)
{
	struct upcall_verdict v;

	assert_int_equal(told(index, &v), UPCALL_REJECT);
	assert_int_equal(v.err, err);
	assert_int_equal(v.seconds, seconds);
}

static void test_order(void **state)
{
	struct conn *all = serve(NULL, ""), *host = serve(NULL, ", \"name\": \"web\"");
	struct conn *inside = serve(ctr, ", \"type\": \"user\""), *any = serve(ctr, "");
	unsigned handler = ask("a");
	struct upcall_verdict v;

	(void)state;
	serve(ctr, ", \"type\": \"logon\"");
	assert_int_equal(asked(2, "upcall"), 1);
	say(all, SAY "\"seq\": 1, \"verb\": \"instantiate\", \"payload\": \"not yours\"}");
	assert_int_equal(told(handler, &v), 0);
	say(inside, SAY "\"seq\": 1, \"verb\": \"pass\"}");
	assert_int_equal(asked(3, "upcall"), 1);
	say(any, SAY "\"seq\": 1, \"verb\": \"pass\"}");
	assert_int_equal(asked(1, "upcall"), 1);
	say(host, SAY "\"seq\": 1, \"verb\": \"pass\"}");
	assert_int_equal(asked(0, "upcall"), 1);
	say(all, SAY "\"seq\": 1, \"verb\": \"instantiate\", \"payload_hex\": \"00ff\", \"seconds\": 9}");
	assert_int_equal(told(handler, &v), UPCALL_INSTANTIATE);
	assert_int_equal(v.payload_len, 2);
	assert_int_equal(v.seconds, 9);
	/* Twice. */
	say(all, SAY "\"seq\": 1, \"verb\": \"negate\"}");
	assert_int_equal(told(handler, &v), 0);
	assert_non_null(conn_find(s, all->id));
}

static void test_nobody(void **state)
{
	struct upcall_verdict v;
	unsigned handler = ask("a");

	(void)state;
	assert_int_equal(told(handler, &v), UPCALL_HOST);
	/* Another container's, and one below: not asked. */
	record.cid = 6;
	serve(ctr, "");
	handler = ask("b");
	is_rejected(handler, ENOKEY, 0); /* there is no such container */
	record.cid = 5;
	record.userns[0] = 1;
	handler = ask("c");
	assert_int_equal(told(handler, &v), UPCALL_HOST);
	assert_int_equal(asked(1, "upcall"), 0);
}

static void test_own(void **state)
{
	struct upcall_verdict v;
	unsigned handler;

	(void)state;
	/* The daemon is this process. */
	serve(ctr, "");
	record.tgid = (__u32)getpid();
	handler = ask("a");
	assert_int_equal(told(handler, &v), UPCALL_HOST);
	assert_int_equal(asked(0, "upcall"), 0);
}

static void test_register(void **state)
{
	struct conn *c = serve(ctr, ", \"type\": \"user\""), *other = connect_one(ctr);
	uint64_t id;

	(void)state;
	say(other, SERVE ", \"type\": \"user\"}");
	assert_int_equal(is_ok(heard(1)), 0);
	say(other, SERVE ", \"name\": \"web\"}");
	assert_int_equal(is_ok(heard(1)), 0);
	say(other, "{\"request\": \"keyring-queue\", \"version\": 2}");
	assert_int_equal(is_ok(heard(1)), 0);
	say(other, SERVE ", \"type\": \".user\"}");
	assert_int_equal(is_ok(heard(1)), 0);
	say(other, SERVE ", \"type\": \"a-type-of-16-char\"}");
	assert_int_equal(is_ok(heard(1)), 0);
	say(other, SERVE ", \"extra\": 1}");
	assert_int_equal(is_ok(heard(1)), 0);
	for (int i = 0; i < SUPERVISOR_QUEUES_PER_CONN; i++) {
		char text[100];

		snprintf(text, sizeof(text), SERVE ", \"type\": \"t%d\"}", i);
		say(other, text);
		assert_int_equal(is_ok(heard(1)), 1);
	}
	say(other, SERVE ", \"type\": \"more\"}");
	assert_int_equal(is_ok(heard(1)), 0);
	/* The first one ends: its place is free. */
	conn_close(s, c);
	c = serve(ctr, ", \"type\": \"user\"");
	/* No queue, no word. */
	other = connect_one(ctr);
	id = other->id;
	say(other, SAY "\"seq\": 1, \"verb\": \"pass\"}");
	assert_null(conn_find(s, id));
	/* A container may ask for its own state and for this, and for nothing else. */
	other = connect_one(ctr);
	say(other, "{\"request\": \"keyring-show\", \"name\": \"web\"}");
	assert_int_equal(is_ok(heard(peers - 1)), 0);
	say(other, "{\"request\": \"request-key\"}");
	assert_int_equal(is_ok(heard(peers - 1)), 0);
}

static void test_bad_answers(void **state)
{
	static const char *const bad[] = {
		"\"verb\": \"continue\"",
		"\"verb\": \"instantiate\"",
		"\"verb\": \"instantiate\", \"payload\": \"a\", \"payload_hex\": \"00\"",
		"\"verb\": \"instantiate\", \"payload_hex\": \"0\"",
		"\"verb\": \"instantiate\", \"payload\": 7",
		"\"verb\": \"reject\"",
		"\"verb\": \"reject\", \"errno\": \"EWHAT\"",
		"\"verb\": \"negate\", \"seconds\": 86401",
		"\"verb\": \"link\"",
		"\"verb\": \"link\", \"key\": 1",
		"\"verb\": \"take\"",
		"\"verb\": 1",
		"\"payload\": \"x\"",
		"\"verb\": \"negate\", \"more\": 1",
	};
	struct conn *c = serve(ctr, "");
	uint64_t id = c->id;
	char text[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		unsigned handler = ask("a");
		struct upcall_verdict v;
		uint64_t seq = asked(0, "upcall");

		snprintf(text, sizeof(text), SAY "\"seq\": %llu, %s}", (unsigned long long)seq, bad[i]);
		say(c, text);
		if (asked(0, "cancelled") != seq || told(handler, &v) != UPCALL_HOST)
			fail_msg("%s", bad[i]);
		close(peer[handler]);
		s->upcalls->src.ready(s, &s->upcalls->src, EPOLLIN);
		peers--;
	}
	assert_int_equal(s->upcall_count, 0);
	for (int i = 0; i < INVALID_MAX && conn_find(s, id); i++)
		say(c, SAY "\"verb\": \"x\"}");
	assert_null(conn_find(s, id));
}

static void test_ends(void **state)
{
	struct conn *c = serve(ctr, "");
	unsigned handler = ask("deadline"), other;
	struct upcall_verdict v;

	(void)state;
	assert_int_equal(asked(0, "upcall"), 1);
	sup_upcall_tick(s, clock_now_ms());
	assert_int_equal(told(handler, &v), 0);
	sup_upcall_tick(s, clock_now_ms() + 6000);
	is_rejected(handler, ETIMEDOUT, UPCALL_REFUSED_SECONDS);
	assert_int_equal(asked(0, "cancelled"), 1);
	say(c, SAY "\"seq\": 1, \"verb\": \"instantiate\", \"payload\": \"late\"}");
	assert_int_equal(told(handler, &v), 0);
	/* The container ends. */
	handler = ask("container");
	assert_int_equal(asked(0, "upcall"), 2);
	sup_upcall_cancel(s, 6);
	assert_int_equal(told(handler, &v), 0);
	sup_upcall_cancel(s, 5);
	is_rejected(handler, ENOKEY, 0);
	assert_int_equal(asked(0, "cancelled"), 2);
	ctr->state = CTR_DYING;
	handler = ask("dying");
	is_rejected(handler, ENOKEY, 0);
	ctr->state = CTR_RUNNING;
	/* request-key ends. */
	handler = ask("request-key");
	assert_int_equal(asked(0, "upcall"), 4);
	close(peer[handler]);
	peer[handler] = -1;
	s->upcalls->src.ready(s, &s->upcalls->src, EPOLLIN);
	assert_int_equal(asked(0, "cancelled"), 4);
	/* The daemon ends: the next one. */
	handler = ask("daemon");
	assert_int_equal(asked(0, "upcall"), 5);
	serve(NULL, "");
	other = peers - 1;
	conn_close(s, c);
	assert_int_equal(asked(other, "upcall"), 5);
	assert_int_equal(told(handler, &v), 0);
	/* The container is gone: so are connections that serve it alone. */
	c = serve(NULL, ", \"name\": \"web\"");
	say(c, SERVE ", \"name\": \"web\", \"type\": \"user\"}");
	sup_queue_container_gone(s, 6);
	assert_int_equal(is_ok(heard(peers - 1)), 1);
	sup_queue_container_gone(s, 5);
	assert_int_equal(recv(peer[peers - 1], &v, 1, 0), 0);
	assert_non_null(s->queues);
	assert_null(s->queues->next);
}

static void test_take(void **state)
{
	struct conn *c = serve(ctr, "");
	unsigned handler = ask("a");
	struct upcall_verdict v;
	int err = 0;

	(void)state;
	assert_int_equal(asked(0, "upcall"), 1);
	/* Not asked for: nothing. */
	send(peer[handler], &err, sizeof(err), 0);
	s->upcalls->src.ready(s, &s->upcalls->src, EPOLLIN);
	assert_int_equal(asked(0, "taken"), 0);
	say(c, SAY "\"seq\": 1, \"verb\": \"take\", \"ring\": 99}");
	assert_int_equal(told(handler, &v), UPCALL_TAKE);
	assert_int_equal(v.ring, 99);
	assert_true(v.nonce == s->queues->nonce && v.nonce);
	assert_int_equal(v.uid, getuid());
	assert_int_equal(v.err, 0);
	send(peer[handler], &err, sizeof(err), 0);
	s->upcalls->src.ready(s, &s->upcalls->src, EPOLLIN);
	assert_int_equal(asked(0, "taken"), 1);
	/* Once it has it, it is nobody else's: neither passed on nor taken twice. */
	say(c, SAY "\"seq\": 1, \"verb\": \"pass\"}");
	assert_int_equal(asked(0, "cancelled"), 1);
	is_rejected(handler, ENOKEY, UPCALL_REFUSED_SECONDS);
	/* It could not be handed over. */
	handler = ask("b");
	assert_int_equal(asked(0, "upcall"), 2);
	say(c, SAY "\"seq\": 2, \"verb\": \"take\", \"ring\": 99}");
	assert_int_equal(told(handler, &v), UPCALL_TAKE);
	err = EACCES;
	send(peer[handler], &err, sizeof(err), 0);
	s->upcalls->src.ready(s, &s->upcalls->src, EPOLLIN);
	assert_int_equal(asked(0, "cancelled"), 2);
	is_rejected(handler, ENOKEY, UPCALL_REFUSED_SECONDS);
	/* The daemon that has it dies. */
	handler = ask("c");
	assert_int_equal(asked(0, "upcall"), 3);
	say(c, SAY "\"seq\": 3, \"verb\": \"take\", \"ring\": 99}");
	assert_int_equal(told(handler, &v), UPCALL_TAKE);
	err = 0;
	send(peer[handler], &err, sizeof(err), 0);
	s->upcalls->src.ready(s, &s->upcalls->src, EPOLLIN);
	conn_close(s, c);
	is_rejected(handler, ENOKEY, UPCALL_REFUSED_SECONDS);
}

/* Messages of request-key that are none: it is let go, and does what the record says. */
static void test_bad_asks(void **state)
{
	unsigned handler = ask("first");
	struct upcall *u = calloc(1, sizeof(*u));
	int pair[2];

	(void)state;
	(void)handler;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(source_add(s, &u->src, pair[0], EPOLLIN, upcall_ready), 0);
	u->next = s->upcalls;
	s->upcalls = u;
	s->upcall_count++;
	send(pair[1], "nonsense", 8, 0);
	u->src.ready(s, &u->src, EPOLLIN);
	assert_int_equal(s->upcall_count, 1);
	assert_int_equal(recv(pair[1], &handler, 1, 0), 0);
	close(pair[1]);
	/* The host's own, or one that has just ended. */
	record.to = WARDER_UPCALL_HOST;
	handler = ask("second");
	assert_int_equal(s->upcall_count, 1);
	/* Another process than the one that is in the record. */
	record.to = WARDER_UPCALL_QUEUE;
	record.handler = 12345;
	handler = ask("third");
	assert_int_equal(s->upcall_count, 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_order), T(test_nobody), T(test_own),  T(test_register), T(test_bad_answers),
		T(test_ends),  T(test_take),   T(test_bad_asks),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
