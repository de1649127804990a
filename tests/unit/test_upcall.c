// SPDX-License-Identifier: LGPL-2.1-or-later
/* Messages about upcalls, the choice of queues, and what is read from /proc and request-key.conf. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cleanup.h"
#include "request_key.h"
#include "upcall.h"
#include "upcall_json.h"

static const struct upcall_ask example = {
	.serial = 77,
	.uid = 1000,
	.gid = 100,
	.ring = { 1, 0, 3 },
	.lend = 9,
	.type = "user",
	.description = "db:password",
	.callout = "x\0y",
	.callout_len = 3,
};

static void test_ask(void **state)
{
	char buf[512], *exact;
	struct upcall_ask got;
	int len = upcall_ask_pack(&example, buf, sizeof(buf));

	(void)state;
	assert_true(len > 0);
	assert_int_equal(upcall_ask_unpack(buf, (size_t)len, &got), 0);
	assert_int_equal(got.serial, 77);
	assert_int_equal(got.uid, 1000);
	assert_int_equal(got.gid, 100);
	assert_int_equal(got.ring[2], 3);
	assert_int_equal(got.lend, 9);
	assert_string_equal(got.type, "user");
	assert_string_equal(got.description, "db:password");
	assert_int_equal(got.callout_len, 3);
	assert_memory_equal(got.callout, "x\0y", 4);
	assert_int_equal(upcall_ask_pack(&example, buf, (size_t)len - 1), -EMSGSIZE);
	/* Cut anywhere, it is none; and no byte beyond it is looked at. */
	for (int n = 0; n < len; n++) {
		exact = malloc((size_t)n + 1);
		memcpy(exact, buf, (size_t)n);
		assert_int_equal(upcall_ask_unpack(exact, (size_t)n, &got), -EBADMSG);
		free(exact);
	}
	assert_int_equal(upcall_ask_unpack(buf, (size_t)len + 1, &got), -EBADMSG);
	/* Any one byte of the numbers changed: refused, or within the message. */
	for (int at = 0; at < 44; at++) {
		for (int bit = 0; bit < 8; bit++) {
			exact = malloc((size_t)len);
			memcpy(exact, buf, (size_t)len);
			exact[at] = (char)(exact[at] ^ 1 << bit);
			if (!upcall_ask_unpack(exact, (size_t)len, &got)) {
				assert_true(strlen(got.type) < UPCALL_TYPE_SIZE);
				assert_ptr_equal(got.callout + got.callout_len + 1, exact + len);
			}
			free(exact);
		}
	}
}

static void test_ask_limits(void **state)
{
	static char long_text[UPCALL_DESCRIPTION_MAX + 1], buf[UPCALL_MESSAGE_MAX];
	struct upcall_ask a = example, got;
	int len;

	(void)state;
	memset(long_text, 'd', sizeof(long_text) - 1);
	a.description = long_text;
	assert_int_equal(upcall_ask_pack(&a, buf, sizeof(buf)), -EMSGSIZE);
	a.description = long_text + 1;
	a.callout = long_text;
	a.callout_len = UPCALL_CALLOUT_MAX + 1;
	assert_int_equal(upcall_ask_pack(&a, buf, sizeof(buf)), -EMSGSIZE);
	a.callout_len = UPCALL_CALLOUT_MAX;
	len = upcall_ask_pack(&a, buf, sizeof(buf));
	assert_true(len > 0);
	assert_int_equal(upcall_ask_unpack(buf, (size_t)len, &got), 0);
	a = example;
	a.type = "a-type-that-is-longer-than-any-of-them";
	assert_int_equal(upcall_ask_pack(&a, buf, sizeof(buf)), -EMSGSIZE);
	a = example;
	a.type = "";
	len = upcall_ask_pack(&a, buf, sizeof(buf));
	assert_int_equal(upcall_ask_unpack(buf, (size_t)len, &got), -EBADMSG);
}

static void test_verdict(void **state)
{
	struct upcall_verdict v = { .verb = UPCALL_INSTANTIATE, .seconds = 5, .payload = "abc",
				    .payload_len = 3 }, got;
	static char buf[UPCALL_MESSAGE_MAX];
	int len = upcall_verdict_pack(&v, buf, sizeof(buf));

	(void)state;
	assert_int_equal(upcall_verdict_unpack(buf, (size_t)len, &got), 0);
	assert_int_equal(got.payload_len, 3);
	assert_memory_equal(got.payload, "abc", 3);
	for (int n = 0; n < len; n++)
		assert_int_equal(upcall_verdict_unpack(buf, (size_t)n, &got), -EBADMSG);
	v.payload_len = UPCALL_PAYLOAD_MAX + 1;
	assert_int_equal(upcall_verdict_pack(&v, buf, sizeof(buf)), -EMSGSIZE);
	v = (struct upcall_verdict){ .verb = UPCALL_REJECT };
	len = upcall_verdict_pack(&v, buf, sizeof(buf));
	assert_int_equal(upcall_verdict_unpack(buf, (size_t)len, &got), -EBADMSG);
	v.err = 4095;
	upcall_verdict_pack(&v, buf, sizeof(buf));
	assert_int_equal(upcall_verdict_unpack(buf, (size_t)len, &got), -EBADMSG);
	v.err = ENOKEY;
	upcall_verdict_pack(&v, buf, sizeof(buf));
	assert_int_equal(upcall_verdict_unpack(buf, (size_t)len, &got), 0);
	v.verb = UPCALL_VERB__MAX;
	upcall_verdict_pack(&v, buf, sizeof(buf));
	assert_int_equal(upcall_verdict_unpack(buf, (size_t)len, &got), -EBADMSG);
}

static void test_queues(void **state)
{
	static const uint32_t chain[] = { 33, 22, 11 };
	const struct upcall_origin o = { .cid = 5, .type = "user", .levels = 3, .userns = chain };
	/* In the order in which they are asked. */
	static const struct upcall_queue q[] = {
		{ 5, 33, "user", 9 }, { 5, 33, "", 8 },	     { 5, 22, "user", 7 }, { 5, 22, "", 6 },
		{ 5, 11, "", 5 },     { 5, 0, "user", 4 },   { 5, 0, "", 3 },	   { 0, 0, "user", 2 },
		{ 0, 0, "", 1 },
	};
	static const struct upcall_queue not_these[] = {
		{ 5, 44, "", 1 },   { 6, 33, "user", 1 }, { 6, 0, "", 1 },
		{ 5, 33, "use", 1 }, { 5, 0, "logon", 1 }, { 5, 33, "user2", 1 },
	};
	struct upcall_queue same = q[0];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(q); i++) {
		assert_true(upcall_queue_rank(&q[i], &o) != UINT32_MAX);
		if (i)
			assert_true(upcall_queue_rank(&q[i - 1], &o) < upcall_queue_rank(&q[i], &o));
		assert_int_equal(upcall_queue_same(&q[i], &q[(i + 1) % ARRAY_SIZE(q)]), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(not_these); i++)
		assert_true(upcall_queue_rank(&not_these[i], &o) == UINT32_MAX);
	same.id = 1000;
	assert_int_equal(upcall_queue_same(&same, &q[0]), 1);
}

static void test_status(void **state)
{
	static const char text[] = "Name:\tx\nPPid:\t12\nNSpid:\t100\t7\t1\nSigPnd:\t0000000000000000\n"
				   "ShdPnd:\t0000000000000100\nCapEff:\t0000000000200000\n";
	struct upcall_status st;

	(void)state;
	assert_int_equal(upcall_status_parse(text, &st), 0);
	assert_int_equal(st.ppid, 12);
	assert_int_equal(st.killed, 1);
	assert_int_equal(st.depth, 3);
	assert_int_equal(st.pid[1], 7);
	assert_true(st.cap_eff == 1ull << 21);
	/* A name cannot forge a line: the kernel escapes its line feeds. */
	assert_int_equal(upcall_status_parse("Name:\tPPid: 1\n", &st), -EBADMSG);
	assert_int_equal(upcall_status_parse("", &st), -EBADMSG);
}

static void test_idmap(void **state)
{
	static struct upcall_idmap map;

	(void)state;
	assert_int_equal(upcall_idmap_parse("         0     100000      65536\n     70000  5  1\n", &map), 0);
	assert_int_equal(upcall_idmap_inside(&map, 100000), 0);
	assert_int_equal(upcall_idmap_inside(&map, 165535), 65535);
	assert_int_equal(upcall_idmap_inside(&map, 165536), UPCALL_OVERFLOW_ID);
	assert_int_equal(upcall_idmap_inside(&map, 5), 70000);
	assert_int_equal(upcall_idmap_inside(&map, 0), UPCALL_OVERFLOW_ID);
	assert_int_equal(upcall_idmap_parse("", &map), 0);
	assert_int_equal(upcall_idmap_inside(&map, 0), UPCALL_OVERFLOW_ID);
	assert_int_equal(upcall_idmap_parse("0 1\n", &map), -EBADMSG);
	assert_int_equal(upcall_idmap_parse("0 1 4294967296\n", &map), -EBADMSG);
}

static void test_bytes(void **state)
{
	cleanup_json struct json_object *o = json_object_new_object();
	struct warder_error e = { "" };
	char buf[8], hex[17];
	size_t len = 0;

	(void)state;
	upcall_put_bytes(o, "a", "k\xc3\xa4se", 5);
	upcall_put_bytes(o, "b", "\xff\0\x01", 3);
	upcall_put_bytes(o, "c", "a\0", 2);
	assert_int_equal(upcall_get_bytes(o, "a", buf, sizeof(buf), &len, &e), 1);
	assert_int_equal(len, 5);
	assert_memory_equal(buf, "k\xc3\xa4se", 5);
	assert_int_equal(upcall_get_bytes(o, "b", buf, sizeof(buf), &len, &e), 1);
	assert_int_equal(len, 3);
	assert_memory_equal(buf, "\xff\0\x01", 3);
	assert_int_equal(upcall_get_bytes(o, "c", buf, 1, &len, &e), -EINVAL);
	assert_int_equal(upcall_get_bytes(o, "d", buf, sizeof(buf), &len, &e), 0);
	control_put_string(o, "b", "both");
	assert_int_equal(upcall_get_bytes(o, "b", buf, sizeof(buf), &len, &e), -EINVAL);
	upcall_hex("\x00\xab", 2, hex);
	assert_string_equal(hex, "00ab");
	assert_int_equal(upcall_unhex("0g", buf, sizeof(buf)), -EBADMSG);
	assert_int_equal(upcall_unhex("000", buf, sizeof(buf)), -EBADMSG);
	assert_int_equal(upcall_unhex("00112233445566778899", buf, sizeof(buf)), -EBADMSG);
	assert_int_equal(upcall_is_text("\xed\xa0\x80", 3), 0);
	assert_int_equal(upcall_is_text("\xc0\x80", 2), 0);
	assert_int_equal(upcall_is_text("\xe2\x82", 2), 0);
	assert_int_equal(upcall_is_text("\xf4\x90\x80\x80", 4), 0);
	assert_int_equal(upcall_is_text("\xf0\x9f\x94\x91", 4), 1);
}

static void test_lines(void **state)
{
	static const char *const words[4] = { "create", "user", "debug:x", "callout" };
	static const struct {
		const char *line;
		int fits;
		size_t score[4];
	} rows[] = {
		{ "create user * * /x %k", 1, { 0, 0, 7, 7 } },
		{ "create\tuser debug:* *   |/x", 1, { 0, 0, 1, 7 } },
		{ "* * * * /x", 1, { 6, 4, 7, 7 } },
		{ "create user *:x c*t /x", 1, { 0, 0, 5, 5 } },
		{ "create use * * /x", 0, { 0 } },
		{ "create user debug * /x", 0, { 0 } },
		{ "create user debug:x*x * /x", 0, { 0 } },
		{ "# create user * * /x", 0, { 0 } },
		{ "create user * *", 0, { 0 } },
		{ "", 0, { 0 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t score[4];

		if (request_key_line_fits(rows[i].line, words, score) != rows[i].fits)
			fail_msg("%s", rows[i].line);
		if (rows[i].fits)
			assert_memory_equal(score, rows[i].score, sizeof(score));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ask),    cmocka_unit_test(test_ask_limits),
		cmocka_unit_test(test_verdict), cmocka_unit_test(test_queues),
		cmocka_unit_test(test_status), cmocka_unit_test(test_idmap),
		cmocka_unit_test(test_bytes),  cmocka_unit_test(test_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
