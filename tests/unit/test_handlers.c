// SPDX-License-Identifier: LGPL-2.1-or-later
/* The supervisor's side of handlers, without a kernel: who is asked in what order, what their words
 * become, and what falls back. Answers are taken from the override thread's queue. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../user/override_job.h"
#include "../../user/supervisor_private.h"
#include "supervisor_peers.h"

static struct override *o;

static int setup(void **state)
{
	(void)state;
	supervisor_make();
	o = calloc(1, sizeof(*o));
	pthread_mutex_init(&o->answer_lock, NULL);
	o->answer_fd = eventfd(0, EFD_NONBLOCK);
	s->override = o;
	return sup_handler_open(s);
}

static int teardown(void **state)
{
	(void)state;
	s->override = NULL;
	connections_close();
	sup_handler_free(s);
	supervisor_unmake();
	close(o->answer_fd);
	free(o);
	return 0;
}

/* Sends a request as that connection would; the reply or NULL, to be put. */
static struct json_object *request(struct conn *c, unsigned index, const char *text)
{
	say(c, text);
	return heard(index);
}

static struct conn *handler(const char *text)
{
	struct conn *c = connect_one(NULL);

	assert_int_equal(is_ok(request(c, peers - 1, text)), 1);
	return c;
}

/* A call that waits, as the override thread hands it over. */
static void ask(__u64 cookie, const char *name, int may_perform)
{
	static struct override_ask a;

	memset(&a, 0, sizeof(a));
	a.cookie = cookie;
	a.may_perform = (__u32)may_perform;
	a.deadline_ms = 5000;
	strcpy(a.handler, name);
	a.call.cid = 5;
	a.call.rule = 1;
	a.call.icept.op = WARDER_OP_SETHOSTNAME;
	a.call.icept.call = WARDER_CALL_sethostname;
	a.call.icept.result = -EPERM;
	strcpy(a.call.source, "blue");
	assert_int_equal(sup_handler_ask(s, &a), 0);
	s->ask_source.ready(s, &s->ask_source, EPOLLIN);
}

/* What handler `index` is shown now: the call's number, 0: nothing. */
static __u64 shown(unsigned index)
{
	struct control_fds fds = { .count = 0 };
	struct json_object *msg = NULL, *intercept;
	uint64_t seq = 0;

	if (control_recv(peer[index], &msg, &fds, 0, MSG_DONTWAIT, NULL))
		return 0;
	assert_true(json_object_object_get_ex(msg, "intercept", &intercept));
	assert_int_equal(control_get_u64(intercept, "seq", UINT64_MAX, &seq, NULL), 1);
	json_object_put(msg);
	return seq;
}

/* The one answer that there is now. */
static void answered(__u64 cookie, int says, int value, const char *why)
{
	assert_int_equal(o->answers, 1);
	assert_int_equal(o->answer[0].cookie, cookie);
	assert_int_equal(o->answer[0].says, says);
	assert_int_equal(o->answer[0].value, value);
	if (!strstr(o->answer[0].why, why))
		fail_msg("%s", o->answer[0].why);
	o->answers = 0;
}

#define REPLY "{\"request\": \"handler-reply\", "

static void test_register(void **state)
{
	struct conn *c = connect_one(NULL);
	uint64_t id = c->id;

	(void)state;
	assert_int_equal(is_ok(request(c, 0, "{\"request\":\"handler\",\"handler\":\"h\",\"version\":2}")), 0);
	c = conn_find(s, id) ? c : connect_one(NULL);
	assert_int_equal(is_ok(request(c, peers - 1, "{\"request\":\"handler\",\"handler\":\"ask\",\"version\":1}")), 0);
	c = connect_one(NULL);
	id = c->id;
	/* No handler, no word. */
	ask(1, "h", 1);
	answered(1, OVERRIDE_SAYS_NOTHING, 0, "no such handler");
	say(c, REPLY "\"seq\": 1, \"decision\": \"perform\"}");
	assert_null(conn_find(s, id));
	assert_int_equal(o->answers, 0);
}

static void test_chain(void **state)
{
	struct conn *late = handler("{\"request\":\"handler\",\"handler\":\"h\",\"version\":1,\"order\":200}");
	struct conn *first = handler("{\"request\":\"handler\",\"handler\":\"h\",\"version\":1}");
	struct conn *seer = handler("{\"request\":\"handler\",\"handler\":\"h\",\"version\":1,\"observe\":true}");

	(void)state;
	handler("{\"request\":\"handler\",\"handler\":\"other\",\"version\":1,\"order\":1}");
	ask(7, "h", 1);
	assert_int_equal(shown(1), 7);
	assert_int_equal(shown(2), 7);
	assert_int_equal(shown(0), 0);
	assert_int_equal(shown(3), 0);
	/* Somebody else's word counts nothing, nor does a word on another call. */
	say(late, REPLY "\"seq\": 7, \"decision\": \"perform\"}");
	say(first, REPLY "\"seq\": 8, \"decision\": \"perform\"}");
	assert_int_equal(o->answers, 0);
	say(first, REPLY "\"seq\": 7, \"decision\": \"pass\"}");
	assert_int_equal(o->answers, 0);
	assert_int_equal(shown(0), 7);
	say(late, REPLY "\"seq\": 7, \"decision\": \"deny\", \"errno\": \"EACCES\"}");
	answered(7, OVERRIDE_SAYS_DENY, EACCES, "handler h says so");
	/* Twice. */
	say(late, REPLY "\"seq\": 7, \"decision\": \"perform\"}");
	assert_int_equal(o->answers, 0);
	ask(9, "h", 1);
	say(first, REPLY "\"seq\": 9, \"decision\": \"pass\"}");
	say(late, REPLY "\"seq\": 9, \"decision\": \"pass\"}");
	answered(9, OVERRIDE_SAYS_NOTHING, 0, "passed it on");
	(void)seer;
}

static void test_words(void **state)
{
	static const struct {
		const char *text;
		int says, value;
	} cases[] = {
		{ "\"decision\": \"perform\"}", OVERRIDE_SAYS_PERFORM, 0 },
		{ "\"decision\": \"fake\", \"value\": 7}", OVERRIDE_SAYS_FAKE, 7 },
		{ "\"decision\": \"fake\"}", OVERRIDE_SAYS_FAKE, 0 },
		{ "\"decision\": \"fake\", \"value\": -7}", OVERRIDE_SAYS_NOTHING, 0 },
		{ "\"decision\": \"deny\"}", OVERRIDE_SAYS_DENY, EPERM },
		{ "\"decision\": \"deny\", \"errno\": \"EWHAT\"}", OVERRIDE_SAYS_NOTHING, 0 },
		{ "\"decision\": \"defer\", \"ms\": 9}", OVERRIDE_SAYS_DEFER, 9 },
		{ "\"decision\": \"defer\", \"ms\": 60001}", OVERRIDE_SAYS_NOTHING, 0 },
		{ "\"decision\": \"continue\"}", OVERRIDE_SAYS_NOTHING, 0 },
		{ "\"decision\": 1}", OVERRIDE_SAYS_NOTHING, 0 },
	};
	struct conn *c = handler("{\"request\":\"handler\",\"handler\":\"h\",\"version\":1}");
	char text[200];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ask(100 + i, "h", 1);
		snprintf(text, sizeof(text), REPLY "\"seq\": %zu, %s", 100 + i, cases[i].text);
		say(c, text);
		answered(100 + i, cases[i].says, cases[i].value, "");
	}
	/* The one that was put off waits still. */
	say(c, REPLY "\"seq\": 106, \"decision\": \"fake\"}");
	answered(106, OVERRIDE_SAYS_FAKE, 0, "");
	/* Not offered. */
	ask(200, "h", 0);
	say(c, REPLY "\"seq\": 200, \"decision\": \"perform\"}");
	answered(200, OVERRIDE_SAYS_NOTHING, 0, "none of those offered");
	/* Without a number it is about the oldest. */
	ask(300, "h", 1);
	ask(301, "h", 1);
	say(c, REPLY "\"decision\": \"nonsense\"}");
	answered(300, OVERRIDE_SAYS_NOTHING, 0, "none of those offered");
	/* It ends. */
	conn_close(s, c);
	answered(301, OVERRIDE_SAYS_NOTHING, 0, "ended before it answered");
}

/* What a mount may be instead, and who decides in the handler's place. */
static void ask_mount(__u64 cookie, __u32 may_flags, __u32 may_options)
{
	static struct override_ask a;

	memset(&a, 0, sizeof(a));
	a.cookie = cookie;
	a.may_perform = 1;
	a.may_flags = may_flags;
	a.may_options = may_options;
	a.mount_flags = MS_NOSUID;
	a.deadline_ms = 5000;
	strcpy(a.handler, "h");
	strcpy(a.options, "size=1M\n");
	a.call.cid = 5;
	a.call.icept.op = WARDER_OP_MOUNT;
	a.call.icept.call = WARDER_CALL_mount;
	a.call.icept.result = -EPERM;
	assert_int_equal(sup_handler_ask(s, &a), 0);
	s->ask_source.ready(s, &s->ask_source, EPOLLIN);
}

static void test_changes(void **state)
{
	static const char *const bad[] = { "\"options\": 1}", "\"flags\": \"ro\"}", "\"flags\": [\"rec\"]}",
					   "\"flags\": [\"what\"]}", "\"flags\": [1]}" };
	struct conn *c = handler("{\"request\":\"handler\",\"handler\":\"h\",\"version\":1}");
	struct control_fds fds = { .count = 0 };
	struct json_object *msg = NULL;
	char text[2000];

	(void)state;
	ask_mount(1, 1, 1);
	assert_int_equal(control_recv(peer[0], &msg, &fds, 0, MSG_DONTWAIT, NULL), 0);
	snprintf(text, sizeof(text), "%s", json_object_to_json_string_ext(msg, JSON_C_TO_STRING_PLAIN));
	json_object_put(msg);
	assert_non_null(strstr(text, "\"mount_flags\":2,\"options\":\"size=1M\\\\x0a\","
				     "\"changes\":[\"flags\",\"options\"]"));
	say(c, REPLY "\"seq\": 1, \"decision\": \"perform\", \"flags\": [\"ro\", \"noexec\"], "
		     "\"options\": \"size=2M\"}");
	assert_int_equal(o->answer[0].changes.add_flags, MS_RDONLY | MS_NOEXEC);
	assert_int_equal(o->answer[0].changes.has_options, 1);
	assert_string_equal(o->answer[0].changes.options, "size=2M");
	answered(1, OVERRIDE_SAYS_PERFORM, 0, "handler h says so, with changes");
	ask_mount(2, 1, 0);
	say(c, REPLY "\"seq\": 2, \"decision\": \"perform\", \"flags\": [\"ro\"]}");
	assert_int_equal(o->answer[0].changes.add_flags, MS_RDONLY);
	assert_int_equal(o->answer[0].changes.has_options, 0);
	answered(2, OVERRIDE_SAYS_PERFORM, 0, "with changes");
	/* Not offered, or not what can be. */
	ask_mount(3, 1, 0);
	say(c, REPLY "\"seq\": 3, \"decision\": \"perform\", \"options\": \"size=2M\"}");
	answered(3, OVERRIDE_SAYS_NOTHING, 0, "none of those offered");
	ask_mount(4, 0, 0);
	say(c, REPLY "\"seq\": 4, \"decision\": \"perform\", \"flags\": [\"ro\"]}");
	answered(4, OVERRIDE_SAYS_NOTHING, 0, "none of those offered");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ask_mount(10 + i, 1, 1);
		snprintf(text, sizeof(text), REPLY "\"seq\": %zu, \"decision\": \"perform\", %s", 10 + i, bad[i]);
		say(c, text);
		answered(10 + i, OVERRIDE_SAYS_NOTHING, 0, "none of those offered");
	}
	/* As long as it may be, and one byte more. */
	for (int i = 0; i < 2; i++) {
		ask_mount(20 + (__u64)i, 1, 1);
		snprintf(text, sizeof(text), REPLY "\"seq\": %d, \"decision\": \"perform\", \"options\": \"%0*d\"}",
			 20 + i, OVERRIDE_OPTIONS_SIZE - 1 + i, 0);
		say(c, text);
		answered(20 + (__u64)i, i ? OVERRIDE_SAYS_NOTHING : OVERRIDE_SAYS_PERFORM, 0, "");
	}
}

static void test_hands_to_people(void **state)
{
	struct conn *c = handler("{\"request\":\"handler\",\"handler\":\"h\",\"version\":1}");
	struct conn *person = connect_one(NULL);

	(void)state;
	ask(1, "h", 1);
	say(c, REPLY "\"seq\": 1, \"decision\": \"ask\"}");
	assert_int_equal(o->answers, 0);
	/* It has given the call away, and its end changes nothing. */
	say(c, REPLY "\"seq\": 1, \"decision\": \"perform\"}");
	conn_close(s, c);
	assert_int_equal(o->answers, 0);
	assert_int_equal(is_ok(request(person, 1, "{\"request\":\"ask-answer\",\"seq\":1,\"allow\":true,"
					       "\"remember\":true}")), 1);
	answered(1, OVERRIDE_SAYS_PERFORM, 0, "h: a person has answered");
	/* What a person has said before counts for what handlers leave to people, too. */
	c = handler("{\"request\":\"handler\",\"handler\":\"h\",\"version\":1}");
	ask(2, "h", 1);
	assert_int_equal(o->answers, 0);
	say(c, REPLY "\"seq\": 2, \"decision\": \"ask\"}");
	answered(2, OVERRIDE_SAYS_PERFORM, 0, "as answered before");
}

static void test_versions(void **state)
{
	static const struct {
		const char *versions;
		int ok;
	} cases[] = { { "[1]", 1 }, { "[3, 1, 2]", 1 }, { "[2]", 0 }, { "[]", 0 }, { "1", 0 },
		      { "[\"1\"]", 0 } };
	char text[200];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct json_object *reply;
		struct conn *c = connect_one(NULL);
		uint64_t version = 0;

		snprintf(text, sizeof(text), "{\"request\":\"handler\",\"handler\":\"h\",\"versions\":%s}",
			 cases[i].versions);
		reply = request(c, peers - 1, text);
		control_get_u64(reply, "version", 9, &version, NULL);
		assert_int_equal(is_ok(reply), cases[i].ok);
		assert_int_equal(version, cases[i].ok);
	}
}

/* Nonsense without an end ends the handler. */
static void test_nonsense(void **state)
{
	struct conn *c = handler("{\"request\":\"handler\",\"handler\":\"h\",\"version\":1}");
	uint64_t id = c->id;
	int n = 0;

	(void)state;
	while (conn_find(s, id) && n++ < 100)
		say(c, REPLY "\"decision\": \"nonsense\"}");
	assert_in_range(n, 16, 18);
}

static void test_people(void **state)
{
	struct conn *c = connect_one(NULL);
	struct json_object *reply, *asks;

	(void)state;
	ask(5, WARDER_HANDLER_ASK, 1);
	ask(6, WARDER_HANDLER_ASK, 0);
	assert_int_equal(o->answers, 0);
	reply = request(c, 0, "{\"request\":\"ask-list\"}");
	assert_true(json_object_object_get_ex(reply, "asks", &asks));
	assert_int_equal(json_object_array_length(asks), 2);
	json_object_put(reply);
	assert_int_equal(is_ok(request(c, 0, "{\"request\":\"ask-answer\",\"seq\":4,\"allow\":true}")), 0);
	assert_int_equal(is_ok(request(c, 0, "{\"request\":\"ask-answer\",\"seq\":6,\"allow\":true}")), 0);
	assert_int_equal(o->answers, 0);
	assert_int_equal(is_ok(request(c, 0, "{\"request\":\"ask-answer\",\"seq\":6,\"allow\":false}")), 1);
	answered(6, OVERRIDE_SAYS_DENY, EPERM, "a person");
	assert_int_equal(is_ok(request(c, 0, "{\"request\":\"ask-answer\",\"seq\":5,\"allow\":true,"
					  "\"remember\":true}")), 1);
	answered(5, OVERRIDE_SAYS_PERFORM, 0, "a person");
	/* The same call of the same container. */
	ask(8, WARDER_HANDLER_ASK, 1);
	answered(8, OVERRIDE_SAYS_PERFORM, 0, "as answered before");
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_register), TEST(test_chain),	TEST(test_words),
		TEST(test_nonsense), TEST(test_people), TEST(test_changes),
		TEST(test_hands_to_people), TEST(test_versions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
