// SPDX-License-Identifier: LGPL-2.1-or-later
/* Handlers by libwarder against a server end that is made here: registering, versions, what a call is
 * read as, what each answer sends, and what is not sent. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "client.h"
#include "client_handler.h"

static struct warder_handler *h;
static int server = -1;
static char error[WARDER_ERROR_SIZE];

struct registering {
	int sock;
	const char *reply;
	struct json_object *request;
};

/* The server's part while the library waits for the reply. */
static void *serve_one(void *arg)
{
	struct registering *r = arg;
	struct control_fds fds = { .count = 0 };
	struct json_object *o = json_tokener_parse(r->reply);

	control_recv(r->sock, &r->request, &fds, 0, 0, NULL);
	control_send(r->sock, o, NULL, 0, 0);
	json_object_put(o);
	return NULL;
}

static int registers(const struct warder_handler_options *options, const char *reply,
		     struct json_object **ret_request)
{
	struct registering r = { .reply = reply };
	struct warder_error e = { "" };
	pthread_t thread;
	int pair[2], err;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	r.sock = pair[1];
	assert_int_equal(pthread_create(&thread, NULL, serve_one, &r), 0);
	err = handler_open(&h, client_from_socket(pair[0], 0), options, &e);
	snprintf(error, sizeof(error), "%s", e.text);
	pthread_join(thread, NULL);
	if (ret_request)
		*ret_request = r.request;
	else
		json_object_put(r.request);
	if (err)
		close(pair[1]);
	else
		server = pair[1];
	return err;
}

static const struct warder_handler_options plain = { .struct_size = sizeof(plain), .name = "names",
						     .order = 100 };

static int setup(void **state)
{
	(void)state;
	return registers(&plain, "{\"ok\":true,\"version\":1}", NULL);
}

static int teardown(void **state)
{
	(void)state;
	warder_handler_close(h);
	h = NULL;
	if (server >= 0)
		close(server);
	server = -1;
	return 0;
}

static void shows(const char *text)
{
	struct json_object *o = json_tokener_parse(text);

	assert_non_null(o);
	assert_int_equal(control_send(server, o, NULL, 0, 0), 0);
	json_object_put(o);
}

#define CALL(seq, more)                                                                       \
	"{\"intercept\":{\"seq\":" #seq ",\"operation\":\"mount\",\"syscall\":\"mount\","           \
	"\"decisions\":[\"pass\",\"deny\",\"fake\",\"defer\",\"ask\",\"perform\",\"levitate\"]" more \
	"}}"

static int next(struct warder_handler_call *c)
{
	memset(c, 0, sizeof(*c));
	c->struct_size = sizeof(*c);
	return warder_handler_next(h, c, 0, error, sizeof(error));
}

/* What was sent, without its "request"; NULL: nothing. */
static const char *sent(void)
{
	static char text[4096];
	struct control_fds fds = { .count = 0 };
	struct json_object *o = NULL;

	if (control_recv(server, &o, &fds, 0, MSG_DONTWAIT, NULL))
		return NULL;
	json_object_object_del(o, "request");
	snprintf(text, sizeof(text), "%s", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	json_object_put(o);
	return text;
}

static void test_register(void **state)
{
	struct warder_handler_options o = plain;
	struct json_object *request = NULL;

	(void)state;
	o.container = "web";
	o.order = 7;
	o.flags = WARDER_HANDLER_OBSERVE;
	assert_int_equal(registers(&o, "{\"ok\":true,\"version\":1}", &request), 0);
	assert_string_equal(json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN),
			    "{\"request\":\"handler\",\"versions\":[1],\"handler\":\"names\",\"version\":1,"
			    "\"order\":7,\"observe\":true,\"name\":\"web\"}");
	json_object_put(request);
	assert_int_equal(warder_handler_version(h), 1);
	assert_int_equal(fcntl(warder_handler_fd(h), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	teardown(NULL);
	/* One from before there was a choice. */
	assert_int_equal(registers(&plain, "{\"ok\":true}", NULL), 0);
	assert_int_equal(warder_handler_version(h), 1);
	teardown(NULL);
	assert_int_equal(registers(&plain, "{\"ok\":true,\"version\":2}", NULL), -EPROTO);
	assert_non_null(strstr(error, "version 2"));
	assert_int_equal(registers(&plain, "{\"ok\":true,\"version\":0}", NULL), -EPROTO);
	assert_int_equal(registers(&plain, "{\"ok\":false,\"error\":\"no such container\"}", NULL), -EIO);
	assert_string_equal(error, "no such container");
	assert_null(h);
}

static void test_options(void **state)
{
	struct warder_handler_options bad[6];

	(void)state;
	for (size_t i = 0; i < 6; i++)
		bad[i] = plain;
	bad[0].name = NULL;
	bad[1].name = "";
	bad[2].name = "ask";
	bad[3].order = 1000001;
	bad[4].flags = 64;
	bad[5].struct_size = 8;
	for (size_t i = 0; i < 6; i++) {
		int err = warder_handler_open(&h, &bad[i], error, sizeof(error));

		if (err != -EINVAL)
			fail_msg("%zu: %d", i, err);
	}
}

static void test_call(void **state)
{
	struct warder_handler_call c;

	(void)state;
	assert_int_equal(next(&c), -EAGAIN);
	shows(CALL(18446744073709551615, ",\"container\":\"web\",\"cid\":7,\"pid\":12,\"tid\":13,\"uid\":4294967294,"
		"\"program\":\"init\",\"call\":\"m()\",\"arguments\":[-1,2,3,4,5,6],\"path\":\"/mnt\","
		"\"source\":\"none\",\"fstype\":\"tmpfs\",\"options\":\"size=1M\",\"mount_flags\":6,"
		"\"errno\":\"EPERM\",\"cause\":\"capability\",\"capability\":\"sys_admin\",\"policy\":\"p\","
		"\"rule\":{\"number\":3,\"where\":\"p.yaml:9\"},\"deadline_ms\":4990,\"changes\":[\"flags\","
		"\"options\"]"));
	assert_int_equal(next(&c), 0);
	assert_true(c.seq == UINT64_MAX);
	assert_int_equal(c.may, 0x1bf);
	assert_int_equal(c.deadline_ms, 4990);
	assert_string_equal(c.container, "web");
	assert_int_equal(c.cid, 7);
	assert_int_equal(c.pid, 12);
	assert_int_equal(c.tid, 13);
	assert_true(c.uid == 4294967294);
	assert_string_equal(c.program, "init");
	assert_string_equal(c.operation, "mount");
	assert_string_equal(c.syscall, "mount");
	assert_string_equal(c.text, "m()");
	assert_true(c.argument[0] == UINT64_MAX && c.argument[5] == 6);
	assert_string_equal(c.path, "/mnt");
	assert_string_equal(c.source, "none");
	assert_string_equal(c.fstype, "tmpfs");
	assert_string_equal(c.options, "size=1M");
	assert_int_equal(c.flags, MS_NOSUID | MS_NODEV);
	assert_int_equal(c.err, EPERM);
	assert_string_equal(c.cause, "capability");
	assert_string_equal(c.capability, "sys_admin");
	assert_string_equal(c.policy, "p");
	assert_int_equal(c.rule, 3);
	assert_string_equal(c.where, "p.yaml:9");
	assert_non_null(strstr(c.json, "\"levitate\""));
	/* The least that there is. */
	shows(CALL(2, ""));
	assert_int_equal(next(&c), 0);
	assert_true(c.uid == -1 && !c.path && !c.container && !c.where && !c.err);
	assert_int_equal(c.may & (WARDER_MAY_CHANGE_FLAGS | WARDER_MAY_CHANGE_OPTIONS), 0);
	/* A program that was made with an older, shorter struct. */
	shows(CALL(3, ""));
	memset(&c, 0x55, sizeof(c));
	c.struct_size = offsetof(struct warder_handler_call, may);
	assert_int_equal(warder_handler_next(h, &c, 0, error, sizeof(error)), 0);
	assert_int_equal(c.seq, 3);
	assert_int_equal(c.may, 0x55555555);
	/* What is none, what is something else, and the end. */
	shows("{\"intercept\":{\"seq\":4}}");
	assert_int_equal(next(&c), -EBADMSG);
	shows("{\"intercept\":{\"seq\":0,\"operation\":\"mount\",\"syscall\":\"mount\"}}");
	assert_int_equal(next(&c), -EBADMSG);
	shows("{\"news\":1}");
	assert_int_equal(next(&c), -EAGAIN);
	close(server);
	server = -1;
	assert_int_equal(next(&c), -ENODATA);
	assert_int_equal(warder_handler_pass(h, 2), -EPIPE);
}

#define SENDS(call, text)                                                                     \
	do {                                                                                  \
		const char *sent_;                                                            \
		assert_int_equal(call, 0);                                                    \
		sent_ = sent();                                                               \
		assert_non_null(sent_);                                                       \
		assert_string_equal(sent_, text);                                             \
	} while (0)

static void test_answers(void **state)
{
	struct warder_handler_changes changes = { .struct_size = sizeof(changes),
						  .add_flags = MS_RDONLY | MS_NOEXEC,
						  .options = "size=1M" };
	struct warder_handler_call c;

	(void)state;
	for (int i = 0; i < 4; i++) {
		shows(CALL(5, ",\"changes\":[\"flags\",\"options\"]"));
		assert_int_equal(next(&c), 0);
		switch (i) {
		case 0:
			SENDS(warder_handler_defer(h, 5, 100), "{\"seq\":5,\"decision\":\"defer\",\"ms\":100}");
			SENDS(warder_handler_pass(h, 5), "{\"seq\":5,\"decision\":\"pass\"}");
			break;
		case 1:
			SENDS(warder_handler_deny(h, 5, EACCES),
			      "{\"seq\":5,\"decision\":\"deny\",\"errno\":\"EACCES\"}");
			break;
		case 2:
			SENDS(warder_handler_fake(h, 5, 7), "{\"seq\":5,\"decision\":\"fake\",\"value\":7}");
			break;
		case 3:
			SENDS(warder_handler_perform(h, 5, &changes),
			      "{\"seq\":5,\"decision\":\"perform\",\"flags\":[\"ro\",\"noexec\"],"
			      "\"options\":\"size=1M\"}");
			break;
		}
		/* Once. */
		assert_int_equal(warder_handler_perform(h, 5, NULL), -ENOENT);
	}
	shows(CALL(6, ""));
	shows(CALL(7, ""));
	shows(CALL(8, ""));
	assert_int_equal(next(&c), 0);
	assert_int_equal(next(&c), 0);
	assert_int_equal(next(&c), 0);
	SENDS(warder_handler_perform(h, 7, NULL), "{\"seq\":7,\"decision\":\"perform\"}");
	SENDS(warder_handler_ask(h, 6), "{\"seq\":6,\"decision\":\"ask\"}");
	SENDS(warder_handler_deny(h, 8, 0), "{\"seq\":8,\"decision\":\"deny\"}");
	assert_null(sent());
}

/* What was not offered is not sent, and the call waits on. */
static void test_refused(void **state)
{
	struct warder_handler_changes changes = { .struct_size = sizeof(changes), .options = "size=1M" };
	struct warder_handler_call c;

	(void)state;
	assert_int_equal(warder_handler_pass(h, 5), -ENOENT);
	assert_int_equal(warder_handler_pass(h, 0), -ENOENT);
	shows(CALL(5, ""));
	assert_int_equal(next(&c), 0);
	assert_int_equal(warder_handler_continue(h, 5), -EOPNOTSUPP);
	assert_int_equal(warder_handler_perform(h, 5, &changes), -EOPNOTSUPP);
	changes.options = NULL;
	changes.add_flags = MS_NOEXEC;
	assert_int_equal(warder_handler_perform(h, 5, &changes), -EOPNOTSUPP);
	changes.add_flags = MS_REMOUNT;
	assert_int_equal(warder_handler_perform(h, 5, &changes), -EINVAL);
	changes.add_flags = 0;
	changes.options = "size=\xff";
	assert_int_equal(warder_handler_perform(h, 5, &changes), -EINVAL);
	changes.struct_size = 1;
	changes.options = NULL;
	assert_int_equal(warder_handler_perform(h, 5, &changes), -EINVAL);
	assert_int_equal(warder_handler_deny(h, 5, 4000), -EINVAL);
	assert_int_equal(warder_handler_deny(h, 5, -1), -EINVAL);
	assert_int_equal(warder_handler_fake(h, 5, -1), -EINVAL);
	assert_int_equal(warder_handler_defer(h, 5, 0), -EINVAL);
	assert_int_equal(warder_handler_defer(h, 5, 60001), -EINVAL);
	assert_null(sent());
	SENDS(warder_handler_pass(h, 5), "{\"seq\":5,\"decision\":\"pass\"}");
	/* 64 at once are known; one that is forgotten falls back at its deadline. */
	for (int i = 0; i < 65; i++) {
		char text[200];

		snprintf(text, sizeof(text), "{\"intercept\":{\"seq\":%d,\"operation\":\"x\",\"syscall\":\"x\","
					     "\"decisions\":[\"pass\"]}}", 100 + i);
		shows(text);
		assert_int_equal(next(&c), 0);
	}
	for (int i = 0, known = 0; i < 65; i++) {
		known += !warder_handler_pass(h, 100 + (uint64_t)i);
		if (i == 64)
			assert_int_equal(known, 64);
	}
}

static void test_observer(void **state)
{
	struct warder_handler_options o = plain;
	struct warder_handler_call c;

	(void)state;
	o.flags = WARDER_HANDLER_OBSERVE;
	assert_int_equal(registers(&o, "{\"ok\":true}", NULL), 0);
	shows(CALL(5, ""));
	assert_int_equal(next(&c), 0);
	assert_int_equal(warder_handler_perform(h, 5, NULL), -EPERM);
	assert_null(sent());
}

/* Answers come from other threads. */
static void *answer_some(void *arg)
{
	uint64_t first = *(uint64_t *)arg;
	long failed = 0;

	for (uint64_t i = 0; i < 16; i++)
		failed += warder_handler_fake(h, first + i, 0) != 0;
	return (void *)failed;
}

static void test_threads(void **state)
{
	uint64_t first[4] = { 1, 17, 33, 49 }, seen = 0, seq;
	struct warder_handler_call c;
	pthread_t thread[4];
	void *failed;

	(void)state;
	for (int i = 1; i <= 64; i++) {
		char text[200];

		snprintf(text, sizeof(text), "{\"intercept\":{\"seq\":%d,\"operation\":\"x\",\"syscall\":\"x\","
					     "\"decisions\":[\"fake\"]}}", i);
		shows(text);
		assert_int_equal(next(&c), 0);
	}
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, answer_some, &first[i]), 0);
	for (int i = 0; i < 64; i++) {
		struct control_fds fds = { .count = 0 };
		struct json_object *o = NULL;

		assert_int_equal(control_recv(server, &o, &fds, 0, 0, NULL), 0);
		assert_int_equal(control_get_u64(o, "seq", 64, &seq, NULL), 1);
		seen |= 1ull << (seq - 1);
		json_object_put(o);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(thread[i], &failed);
		assert_null(failed);
	}
	assert_true(seen == UINT64_MAX);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_register, teardown), cmocka_unit_test(test_options),
		TEST(test_call), TEST(test_answers), TEST(test_refused),
		cmocka_unit_test_teardown(test_observer, teardown), TEST(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
