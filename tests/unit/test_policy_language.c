// SPDX-License-Identifier: LGPL-2.1-or-later
/* The rule classes that are tables and switches: what is accepted, what it compiles to, what is
 * refused and where. */
#include <errno.h>

#include "policy_fixture.h"

#define AT(img, section, type, index) ((const type *)((img)->b + (img)->h.section.offset) + (index))
#define NET(img, i) AT(img, net, struct warder_net_rule, i)

/* ------------------------------------------------------------------ network */

static const struct policy_error network_errors[] = {
	{P "network: {}\n", 2, 10, "expected a list"},
	{P "network:\n  - {allow: conect}\n", 3, 13, "create, connect, bind, listen, accept, send"},
	{P "network:\n  - {allow: connect, port: [80, x]}\n", 3, 33, "8000-8100"},
	{P "network:\n  - {allow: connect, port: 65536}\n", 3, 28, "0 to 65535"},
	{P "network:\n  - {allow: connect, port: 90-80}\n", 3, 28, "range"},
	{P "network:\n  - {allow: connect, port: -1}\n", 3, 28, "range"},
	{P "network:\n  - {allow: connect, port: 99999999999999999999}\n", 3, 28, "0 to 65535"},
	{P "network:\n  - {allow: connect, port: []}\n", 3, 28, "empty"},
	{P "network:\n  - {allow: connect, protocol: tpc}\n", 3, 32, "tcp, udp, icmp, sctp, raw"},
	{P "network:\n  - {allow: connect, family: ipv4}\n", 3, 30, "inet, inet6"},
	{P "network:\n  - {allow: connect, to: example.com}\n", 3, 26, "host names"},
	{P "network:\n  - {allow: connect, to: 'cafe.de:80'}\n", 3, 26, "host names"},
	{P "network:\n  - {allow: connect, to: 10.0.0.1/8}\n", 3, 26, "beyond the prefix"},
	{P "network:\n  - {allow: connect, to: 10.0.0.0/33}\n", 3, 26, "from 0 to 32"},
	{P "network:\n  - {allow: connect, to: 'fd00::/129'}\n", 3, 26, "from 0 to 128"},
	{P "network:\n  - {allow: connect, to: 10.0.0}\n", 3, 26, "expected an address"},
	{P "network:\n  - {allow: connect, to: '10.0.0.1:x'}\n", 3, 26, "the port is"},
	{P "network:\n  - {allow: connect, to: '[fd00::1'}\n", 3, 26, "without its ]"},
	{P "network:\n  - {allow: connect, to: '[10.0.0.1]:80'}\n", 3, 26, "IPv6"},
	{P "network:\n  - {allow: connect, to: '10.0.0.1:80', port: 90}\n", 3, 26, "one of them"},
	{P "network:\n  - {allow: connect, family: inet, to: 'fd00::/8'}\n", 3, 40, "never match"},
	{P "network:\n  - {allow: connect, family: netlink, port: 80}\n", 3, 30, "only inet"},
	{P "network:\n  - {allow: connect, protocol: icmp, port: 80}\n", 3, 32, "no ports"},
	{P "network:\n  - {allow: [listen, accept], protocol: udp}\n", 3, 41, "nobody listens"},
	{P "network:\n  - {allow: connect, unix: x}\n", 3, 28, "begins with '/'"},
	{P "network:\n  - {allow: connect, unix: '@'}\n", 3, 28, "empty name"},
	{P "network:\n  - {allow: connect, unix: /x, port: 80}\n", 3, 38, "unix socket has none"},
	{P "network:\n  - {allow: connect, host: x}\n", 3, 22, "unknown key"},
};

static void test_network_errors(void **state)
{
	(void)state;
	check_errors(network_errors, ARRAY_SIZE(network_errors));
}

static void test_network_entries(void **state)
{
	static const __u8 ten[16] = {[10] = 0xff, [11] = 0xff, [12] = 10};
	static const __u8 fd[16] = {0xfd};
	struct warder_image *img =
		good(P "network:\n"
		       "  - {allow: [connect], protocol: tcp, to: ['10.0.0.0/8:5432', '[fd00::/8]:443-445']}\n"
		       "  - {deny: [bind, listen, accept], protocol: [tcp, udp], port: [80, 8000-8100],\n"
		       "     errno: EADDRINUSE, audit: true}\n"
		       "  - {deny: '*', family: [packet, vsock]}\n"
		       "  - {allow: connect, to: ['*:53', '::/0', '[fd00::]/8:1', 0.0.0.0/0]}\n"
		       "  - {allow: [connect, send], unix: [/run/pg/**, '@name-*']}\n"
		       "  - {deny: connect}\n");

	(void)state;
	assert_int_equal(img->h.net.count, 2 + 2 + 1 + 4 + 1 + 1);
	assert_memory_equal(NET(img, 0)->addr, ten, 16);
	assert_int_equal(NET(img, 0)->prefix, 104);
	assert_int_equal(NET(img, 0)->ops, WARDER_NET_CONNECT | WARDER_NET_CREATE);
	assert_int_equal(NET(img, 0)->families, WARDER_FAM_IP);
	assert_int_equal(NET(img, 0)->protocols, WARDER_PROTO_TCP);
	assert_int_equal(NET(img, 0)->port_first, 5432);
	assert_int_equal(NET(img, 0)->port_last, 5432);
	assert_int_equal(NET(img, 0)->rule, 1);
	assert_memory_equal(NET(img, 1)->addr, fd, 16);
	assert_int_equal(NET(img, 1)->prefix, 8);
	assert_int_equal(NET(img, 1)->families, WARDER_FAM_INET6);
	assert_int_equal(NET(img, 1)->port_last, 445);
	assert_int_equal(NET(img, 2)->ops, WARDER_NET_BIND | WARDER_NET_LISTEN | WARDER_NET_ACCEPT);
	assert_int_equal(NET(img, 2)->protocols, WARDER_PROTO_TCP | WARDER_PROTO_UDP);
	assert_int_equal(NET(img, 2)->prefix, 0);
	assert_int_equal(NET(img, 2)->err, EADDRINUSE);
	assert_int_equal(NET(img, 2)->audit, 1);
	assert_int_equal(NET(img, 3)->port_first, 8000);
	assert_int_equal(NET(img, 3)->port_last, 8100);
	assert_int_equal(NET(img, 4)->ops, WARDER_NET_ALL);
	assert_int_equal(NET(img, 4)->families, WARDER_FAM_PACKET | WARDER_FAM_VSOCK);
	assert_int_equal(NET(img, 4)->err, EACCES);
	assert_int_equal(NET(img, 4)->port_last, 65535);
	assert_int_equal(NET(img, 5)->families, WARDER_FAM_IP);
	assert_int_equal(NET(img, 5)->port_first, 53);
	assert_int_equal(NET(img, 6)->families, WARDER_FAM_INET6);
	assert_int_equal(NET(img, 6)->prefix, 0);
	assert_int_equal(NET(img, 7)->port_first, 1);
	assert_int_equal(NET(img, 8)->prefix, 96);
	assert_int_equal(NET(img, 8)->families, WARDER_FAM_IP);
	/* who may connect to a path may make a socket */
	assert_int_equal(NET(img, 9)->ops, WARDER_NET_CREATE);
	assert_int_equal(NET(img, 9)->families, WARDER_FAM_UNIX);
	/* a rule that names nothing speaks of every family */
	assert_int_equal(NET(img, 10)->families, (1u << WARDER_FAM_BITS) - 1);
	assert_int_equal(image_profile(img, 0)->net_rules[0], (1u << 11) - 1);
	assert_int_not_equal(image_profile(img, 0)->start[WARDER_START_UNIX], 0);
	assert_int_not_equal(image_profile(img, 0)->start[WARDER_START_ABSTRACT], 0);
	assert_int_equal(image_profile(img, 0)->start[WARDER_START_FILE], 0);
	free(img);
}

static void test_network_defaults(void **state)
{
	static const struct {
		const char *text;
		__u32 families, err;
	} table[] = {
		{P, WARDER_FAM_IP | WARDER_FAM_UNIX | WARDER_FAM_NETLINK, EPERM},
		{P "defaults: {network: deny}\n", 0, EACCES},
		{P "defaults: {network: allow}\n", (1u << WARDER_FAM_BITS) - 1, EPERM},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct warder_image *img = good(table[i].text);

		assert_int_equal(image_profile(img, 0)->net_default, table[i].families);
		assert_int_equal(image_profile(img, 0)->net_err, table[i].err);
		free(img);
	}
}

static void test_network_limit(void **state)
{
	struct policy_diags d = {0};
	struct warder_image *img;
	char *text;
	size_t size;

	(void)state;
	for (int more = 0; more < 2; more++) {
		FILE *f = open_memstream(&text, &size);

		fputs(P "network:\n  - {allow: connect, to: [", f);
		for (int i = 0; i < 16; i++)
			fprintf(f, "10.0.0.%d,", i);
		fputs("], port: [", f);
		for (int i = 0; i < 16; i++)
			fprintf(f, "%d,", i + 1);
		fputs("]}\n", f);
		if (more)
			fputs("  - {deny: connect, port: [7]}\n  - {deny: connect, port: 8}\n", f);
		fclose(f);
		assert_int_equal(try_text(text, size, &img, &d), more ? -EINVAL : 0);
		assert_int_equal(d.errors, more);
		if (more) {
			assert_int_equal(d.item[0].line, 4);
			assert_non_null(strstr(d.item[0].text, "more than 256 pairs"));
		} else {
			assert_int_equal(img->h.net.count, 256);
			assert_int_equal(image_profile(img, 0)->net_rules[3], ~0ull);
		}
		free(img);
		free(text);
	}
	policy_diags_done(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_network_errors),
		cmocka_unit_test(test_network_entries),
		cmocka_unit_test(test_network_defaults),
		cmocka_unit_test(test_network_limit),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
