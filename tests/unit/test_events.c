// SPDX-License-Identifier: LGPL-2.1-or-later
/* Records are checked before they are read, and say what happened. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "events.h"

struct record {
	struct warder_event ev;
	char text[64];
};

static struct record record_new(void)
{
	struct record r = { .ev = { .h = { .version = WARDER_EVENT_VERSION,
					   .type = WARDER_EVENT_VERDICT,
					   .size = sizeof(r),
					   .cid = 3,
					   .tgid = 42,
					   .comm = "cat" },
				    .v = { .action = WARDER_DENY,
					   .err = EACCES,
					   .why = WARDER_WHY_DEFAULT },
				    .hook = WARDER_HOOK_FILE_OPEN,
				    .class_ = WARDER_CLASS_FILE,
				    .access = WARDER_ACC_READ,
				    .text_len = 11 } };

	memcpy(r.text, "/etc/shadow", 12);
	return r;
}

static void test_verify(void **state)
{
	struct record r = record_new();

	(void)state;
	assert_int_equal(event_verify(&r, sizeof(r)), 0);
	assert_int_equal(event_verify(&r, sizeof(r) - 1), -EINVAL);
	assert_int_equal(event_verify(&r, 3), -EINVAL);
	r.ev.text_len = 65;
	assert_int_equal(event_verify(&r, sizeof(r)), -EINVAL);
	r.ev.text_len = 60;
	r.ev.detail_len = 0xffffffff;
	assert_int_equal(event_verify(&r, sizeof(r)), -EINVAL);
	r = record_new();
	r.ev.v.why = 77;
	assert_int_equal(event_verify(&r, sizeof(r)), -EINVAL);
	r = record_new();
	memset(r.ev.h.comm, 'x', sizeof(r.ev.h.comm));
	assert_int_equal(event_verify(&r, sizeof(r)), -EINVAL);
	r = record_new();
	r.ev.h.type = WARDER_EVENT_GAP;
	assert_int_equal(event_verify(&r, sizeof(r)), -EINVAL);
}

static void test_text(void **state)
{
	struct record r = record_new();
	struct json_object *o = event_to_json(&r.ev, "web", NULL);
	char line[512];

	(void)state;
	event_render(o, line, sizeof(line));
	assert_non_null(strstr(line, "web cat(42): file read /etc/shadow: denied, EACCES, by the "
				     "default of class file"));
	json_object_put(o);
	/* A name may hold anything; the line stays one. */
	memcpy(r.text, "/a\nb\x1b\xff\\x41", 11);
	r.ev.text_len = 10;
	o = event_to_json(&r.ev, "web", NULL);
	event_render(o, line, sizeof(line));
	assert_non_null(strstr(line, "/a\\x0ab\\x1b\\xff\\x5cx41"));
	assert_null(strchr(line, '\n'));
	/* And it ends where the buffer does. */
	event_render(o, line, 20);
	assert_int_equal(strlen(line), 19);
	json_object_put(o);
}

static void test_network(void **state)
{
	struct record r = record_new();
	struct json_object *o;
	char line[512];

	(void)state;
	r.ev.class_ = WARDER_CLASS_NETWORK;
	r.ev.hook = WARDER_HOOK_SOCKET_CONNECT;
	r.ev.access = WARDER_NET_CONNECT;
	r.ev.text_len = 0;
	r.ev.address = (struct warder_address){ .addr = { [10] = 0xff, 0xff, 10, 0, 0, 1 },
						.families = WARDER_FAM_INET,
						.protocols = WARDER_PROTO_TCP,
						.port = 5432,
						.family = 10 };
	o = event_to_json(&r.ev, "web", NULL);
	event_render(o, line, sizeof(line));
	assert_non_null(strstr(line, ": network connect tcp 10.0.0.1:5432: denied, EACCES, by the "
				     "default of class network"));
	json_object_put(o);
	r.ev.access = WARDER_NET_SEND;
	r.ev.address = (struct warder_address){ .addr = { 0xfd, [15] = 1 },
						.families = WARDER_FAM_INET6,
						.protocols = WARDER_PROTO_UDP,
						.port = 53 };
	o = event_to_json(&r.ev, "web", NULL);
	event_render(o, line, sizeof(line));
	assert_non_null(strstr(line, ": network send udp [fd00::1]:53: denied"));
	json_object_put(o);
	r.ev.access = WARDER_NET_CREATE;
	r.ev.address = (struct warder_address){ .families = WARDER_FAM_PACKET, .family = 17 };
	o = event_to_json(&r.ev, "web", NULL);
	event_render(o, line, sizeof(line));
	assert_non_null(strstr(line, ": network create packet: denied"));
	json_object_put(o);
	r.ev.access = WARDER_NET_CONNECT;
	r.ev.address = (struct warder_address){ .families = WARDER_FAM_UNIX, .family = 1 };
	memcpy(r.text, "@a\0b", 4);
	r.ev.text_len = 4;
	o = event_to_json(&r.ev, "web", NULL);
	event_render(o, line, sizeof(line));
	assert_non_null(strstr(line, ": network connect unix @a\\x00b: denied"));
	json_object_put(o);
}

static void test_refusal(void **state)
{
	static struct override_outcome out;
	struct json_object *o;
	char line[1024];

	(void)state;
	out.icept.h.tgid = 9;
	out.icept.op = WARDER_OP_MOUNT;
	out.icept.result = -EPERM;
	out.icept.cause = WARDER_REFUSAL_CAPABILITY;
	out.icept.cap = 21;
	out.icept.cap_userns = 4026531837u;
	out.performed = 1;
	strcpy(out.icept.type, "tmpfs");
	strcpy(out.target, "/mnt");
	o = outcome_to_json(&out, "web", NULL);
	event_render(o, line, sizeof(line));
	assert_non_null(strstr(line, "mount tmpfs on /mnt: refused with EPERM, CAP_SYS_ADMIN is "
				     "missing in user namespace 4026531837"));
	assert_non_null(strstr(line, "performed by the supervisor, the program saw success"));
	json_object_put(o);
	/* From elsewhere: nothing needs to be there. */
	o = json_tokener_parse("{\"type\":7,\"rule\":3,\"access\":[1]}");
	event_render(o, line, sizeof(line));
	json_object_put(o);
}

static void test_names(void **state)
{
	(void)state;
	for (__u32 i = 0; i < WARDER_HOOK__MAX; i++)
		assert_string_not_equal(hook_name(i), "unknown");
	for (__u32 i = 0; i < WARDER_FAULT__MAX; i++)
		assert_string_not_equal(fault_name(i), "unknown");
	assert_string_equal(hook_name(9999), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verify),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_network),
		cmocka_unit_test(test_refusal),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
