// SPDX-License-Identifier: LGPL-2.1-or-later
/* Framing and limits of the control protocol, container arguments, state files. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd_run.h"
#include "container.h"
#include "control.h"
#include "state.h"

static int parse(const char *text, struct json_object **o)
{
	struct warder_error e;

	return control_parse(text, strlen(text), o, &e);
}

static void test_parse(void **state)
{
	static const char *const bad[] = { "",	     "{",	  "[]",	      "1",   "null",
					   "{}x",    "{} {}",	  "{a}", "{\"a\":}",
					   "{\"a\":[[[[[[[[[1]]]]]]]]]}", "{\"a\":\"\xff\"}" };
	struct json_object *o;

	(void)state;
	assert_int_equal(parse("{\"request\":\"list\"}", &o), 0);
	json_object_put(o);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (parse(bad[i], &o) != -EBADMSG)
			fail_msg("accepted: %s", bad[i]);
		assert_null(o);
	}
}

static void test_members(void **state)
{
	static const char *const keys[] = { "s", "n", "b", "a", NULL };
	struct warder_error e;
	struct json_object *o;
	const char *s = NULL;
	uint64_t u = 5;
	int64_t n = 5;
	int b = 0;
	char **v;

	(void)state;
	assert_int_equal(parse("{\"s\":\"x\",\"n\":-1,\"b\":true,\"a\":[\"p\",\"q\"]}", &o), 0);
	assert_int_equal(control_check_keys(o, keys, &e), 0);
	assert_int_equal(control_check_keys(o, keys + 1, &e), -EINVAL);
	assert_int_equal(control_get_string(o, "s", &s, &e), 1);
	assert_string_equal(s, "x");
	assert_int_equal(control_get_string(o, "none", &s, &e), 0);
	assert_int_equal(control_get_string(o, "n", &s, &e), -EINVAL);
	assert_int_equal(control_get_i64(o, "n", -1, 1, &n, &e), 1);
	assert_int_equal(n, -1);
	assert_int_equal(control_get_i64(o, "n", 0, 1, &n, &e), -EINVAL);
	assert_int_equal(control_get_u64(o, "n", 10, &u, &e), -EINVAL);
	assert_int_equal(u, 5);
	assert_int_equal(control_get_bool(o, "b", &b, &e), 1);
	assert_int_equal(b, 1);
	assert_int_equal(control_get_strv(o, "a", 1, &v, &e), -EINVAL);
	assert_int_equal(control_get_strv(o, "a", 2, &v, &e), 1);
	assert_string_equal(v[1], "q");
	assert_null(v[2]);
	control_strv_free(v);
	json_object_put(o);
	assert_int_equal(parse("{\"s\":\"a\\u0000b\"}", &o), 0);
	assert_int_equal(control_get_string(o, "s", &s, &e), -EINVAL);
	json_object_put(o);
}

static void test_frames(void **state)
{
	static char big[CONTROL_MESSAGE_MAX + 2];
	struct control_fds fds;
	struct json_object *o, *in;
	struct warder_error e;
	int pair[2], many[CONTROL_FDS_MAX];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(control_recv(pair[1], &in, &fds, 0, 0, &e), -EAGAIN);
	o = json_object_new_object();
	control_put_string(o, "request", "x");
	for (int i = 0; i < CONTROL_FDS_MAX; i++)
		many[i] = pair[0];
	assert_int_equal(control_send(pair[0], o, many, CONTROL_FDS_MAX, 0), 0);
	assert_int_equal(control_recv(pair[1], &in, &fds, 0, 0, &e), 0);
	assert_int_equal(fds.count, CONTROL_FDS_MAX);
	control_fds_done(&fds);
	json_object_put(in);
	/* Too long for a request is an error, not a part of it. */
	memset(big, ' ', sizeof(big) - 1);
	assert_int_equal(send(pair[0], big, CONTROL_MESSAGE_MAX + 1, 0), CONTROL_MESSAGE_MAX + 1);
	assert_int_equal(control_recv(pair[1], &in, &fds, 0, 0, &e), -EMSGSIZE);
	/* A long reply goes by memfd: followed by clients, refused by servers. */
	memset(big, 'y', sizeof(big) - 1);
	control_put_string(o, "long", big);
	assert_int_equal(control_send(pair[0], o, NULL, 0, 0), 0);
	assert_int_equal(control_recv(pair[1], &in, &fds, 1, 0, &e), 0);
	assert_int_equal(fds.count, 0);
	assert_int_equal(json_object_object_length(in), 2);
	json_object_put(in);
	assert_int_equal(control_send(pair[0], o, NULL, 0, 0), 0);
	assert_int_equal(control_recv(pair[1], &in, &fds, 0, 0, &e), 0);
	assert_int_equal(fds.count, 1);
	assert_true(json_object_object_get_ex(in, "large", NULL));
	control_fds_done(&fds);
	json_object_put(in);
	json_object_put(o);
	close(pair[0]);
	assert_int_equal(control_recv(pair[1], &in, &fds, 0, 0, &e), -ENODATA);
	close(pair[1]);
}

static int spec(const char *text, struct container_spec **s, struct warder_error *e)
{
	struct json_object *o;
	int err;

	assert_int_equal(control_parse(text, strlen(text), &o, e), 0);
	err = container_spec_from_json(o, s, e);
	json_object_put(o);
	return err;
}

static void test_spec(void **state)
{
	static const char good[] =
		"{\"argv\":[\"sh\",\"-c\",\"x\"],\"volumes\":[\"/a:/b:ro\"],\"net\":\"host\","
		"\"env\":[\"A=b\"],\"pids_limit\":-1,\"cap_drop\":[\"ALL\"],"
		"\"cap_add\":[\"chown\"]}";
	static const char *const bad[] = {
		"{}",
		"{\"argv\":[]}",
		"{\"argv\":[\"\"]}",
		"{\"argv\":[\"x\"],\"name\":\"../x\"}",
		"{\"argv\":[\"x\"],\"name\":\"\"}",
		"{\"argv\":[\"x\"],\"rootfs\":\"relative\"}",
		"{\"argv\":[\"x\"],\"rootfs\":\"/a/../b\"}",
		"{\"argv\":[\"x\"],\"net\":\"bridge\"}",
		"{\"argv\":[\"x\"],\"env\":[\"A\"]}",
		"{\"argv\":[\"x\"],\"env\":[\"=b\"]}",
		"{\"argv\":[\"x\"],\"volumes\":[\"/a\"]}",
		"{\"argv\":[\"x\"],\"volumes\":[\"/a:/b:rx\"]}",
		"{\"argv\":[\"x\"],\"volumes\":[\"/a:/\"]}",
		"{\"argv\":[\"x\"],\"cap_add\":[\"fly\"]}",
		"{\"argv\":[\"x\"],\"memory\":-1}",
		"{\"argv\":[\"x\"],\"unknown\":1}",
	};
	struct container_spec *s, *again;
	struct json_object *o;
	struct warder_error e;

	(void)state;
	assert_int_equal(spec(good, &s, &e), 0);
	assert_int_equal(s->caps, 1); /* CAP_CHOWN */
	assert_int_equal(s->net_host, 1);
	assert_int_equal(s->volume[0].read_only, 1);
	o = container_spec_to_json(s);
	assert_int_equal(container_spec_from_json(o, &again, &e), 0);
	assert_string_equal(again->volume[0].target, "/b");
	assert_int_equal(again->pids_limit, -1);
	assert_string_equal(again->argv[2], "x");
	json_object_put(o);
	container_spec_free(again);
	container_spec_free(s);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(spec(bad[i], &s, &e), -EINVAL);
}

static void test_run_options(void **state)
{
	char *good[] = { (char *)"run", (char *)"--name", (char *)"n", (char *)"-i",
			 (char *)"--memory", (char *)"64m", (char *)"--", (char *)"sh",
			 (char *)"-c", NULL };
	char *none[] = { (char *)"run", (char *)"--name", (char *)"n", NULL };
	char *both[] = { (char *)"run", (char *)"-t", (char *)"-d", (char *)"sh", NULL };
	struct run_request q;
	int64_t n;

	(void)state;
	assert_int_equal(run_parse(9, good, &q), 0);
	assert_string_equal(q.options.name, "n");
	assert_int_equal(q.options.memory, 64 << 20);
	assert_int_equal(q.options.stdio[0], 0);
	assert_string_equal(q.options.argv[1], "-c");
	assert_int_equal(run_parse(3, none, &q), 126);
	assert_int_equal(run_parse(4, both, &q), 126);
	assert_int_equal(run_parse_size("1g", &n), 0);
	assert_int_equal(n, 1 << 30);
	assert_int_equal(run_parse_size("-1", &n), -EINVAL);
	assert_int_equal(run_parse_size("1x", &n), -EINVAL);
	assert_int_equal(run_parse_size("1kk", &n), -EINVAL);
	assert_int_equal(run_parse_size("99999999999g", &n), -EINVAL);
}

static void test_state(void **state)
{
	char dir[] = "/tmp/warder-state-XXXXXX", path[64];
	struct state_exited list[STATE_EXITED_MAX] = { { .cid = 7, .status = 3, .name = "a" } };
	struct state_exited back[STATE_EXITED_MAX];
	struct json_object *o = json_object_new_object(), *in;
	struct warder_error e;
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	control_put_string(o, "name", "x");
	assert_int_equal(state_save_container(dir, 5, o, &e), 0);
	assert_int_equal(state_load_container(dir, 5, &in, &e), 0);
	assert_int_equal(json_object_equal(o, in), 1);
	json_object_put(in);
	json_object_put(o);
	assert_int_equal(state_load_container(dir, 6, &in, &e), -ENOENT);
	snprintf(path, sizeof(path), "%s/6.json", dir);
	f = fopen(path, "w");
	fputs("{\"name\":", f);
	fclose(f);
	assert_int_equal(state_load_container(dir, 6, &in, &e), -EBADMSG);
	assert_int_equal(state_save_exited(dir, list, 1), 0);
	assert_int_equal(state_load_exited(dir, back), 1);
	assert_int_equal(back[0].cid, 7);
	assert_int_equal(back[0].status, 3);
	state_remove_container(dir, 5);
	state_remove_container(dir, 6);
	snprintf(path, sizeof(path), "%s/exited.json", dir);
	unlink(path);
	assert_int_equal(rmdir(dir), 0);
}

static void test_uid_base(void **state)
{
	(void)state;
	assert_int_equal(container_uid_base(NULL, 1), 100000 + 65536);
	assert_int_not_equal(container_uid_base(NULL, 1), container_uid_base(NULL, 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),	    cmocka_unit_test(test_members),
		cmocka_unit_test(test_frames),	    cmocka_unit_test(test_spec),
		cmocka_unit_test(test_run_options), cmocka_unit_test(test_state),
		cmocka_unit_test(test_uid_base),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
