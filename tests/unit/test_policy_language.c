// SPDX-License-Identifier: LGPL-2.1-or-later
/* The rule classes that are tables and switches: what is accepted, what it compiles to, what is
 * refused and where. */
#include <errno.h>

#include "cleanup.h"
#include "policy_fixture.h"
#include "warder_decide.h"

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
		       "  - {allow: send}\n");

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

/* ----------------------------------------------------------------- switches */

#define BIT(n) (1ull << (n))

static const struct policy_error switch_errors[] = {
	{P "memory: []\n", 2, 9, "expected a mapping"},
	{P "memory: {write_exe: deny}\n", 2, 10, "unknown key \"write_exe\""},
	{P "memory: {write_exec: no}\n", 2, 22, "allow, deny"},
	{P "memory: {write_exec: allow, errno: EPERM}\n", 2, 36, "only a deny"},
	{P "memory: {write_exec: deny, errno: EWHAT}\n", 2, 35, "\"EWHAT\""},
	{P "namespace: [{allow: usr}]\n", 2, 21, "user, mnt, pid, net, ipc, uts, cgroup, time"},
	{P "namespace: {allow: user}\n", 2, 12, "expected a list"},
	{P "kernel: [{allow: [io_urin]}]\n", 2, 19, "io_uring"},
	{P "kernel: [{allow: bpf}]\n", 2, 18, "unsafe: [bpf]"},
	{P "kernel: [{allow: [perf, modules, kexec]}]\n", 2, 18, "unsafe: [modules, kexec]"},
	{P "unsafe: [bpf]\nkernel: [{allow: kexec}]\n", 3, 18, "unsafe: [kexec]"},
	{P "unsafe: [everything]\n", 2, 10, "bpf, modules, kexec, host_ptrace"},
	{P "unsafe: []\n", 2, 9, "empty"},
	{P "defaults: {kernal: deny}\n", 2, 12, "namespace, kernel"},
	{P "mode: learning\n", 2, 7, "enforce, audit, learn"},
	/* rules that decide nothing */
	{P "namespace: [{deny: pid}, {allow: pid}]\n", 2, 26, "deny wins"},
	{P "kernel: [{allow: perf}, {allow: perf}]\n", 2, 25, "matches all"},
};

static void test_switch_errors(void **state)
{
	(void)state;
	check_errors(switch_errors, ARRAY_SIZE(switch_errors));
}

static const struct warder_bits *bits_of(const struct warder_image *img, unsigned which)
{
	return &image_profile(img, 0)->bits[which];
}

static void test_switch_defaults(void **state)
{
	static const struct {
		const char *text;
		unsigned which;
		__u64 allow;
		__u32 err;
	} table[] = {
		{P, WARDER_BITS_MEMORY, BIT(WARDER_MEM__MAX) - 1, EACCES},
		{P "defaults: {memory: deny}\n", WARDER_BITS_MEMORY, 0, EACCES},
		{P, WARDER_BITS_NAMESPACE, BIT(WARDER_NS_USER), EPERM},
		{P "defaults: {namespace: deny}\n", WARDER_BITS_NAMESPACE, 0, EPERM},
		{P "defaults: {namespace: allow}\n", WARDER_BITS_NAMESPACE, BIT(WARDER_NS__MAX) - 1,
		 EPERM},
		{P, WARDER_BITS_KERNEL, BIT(WARDER_SURFACE_HOSTNAME), EPERM},
		{P "defaults: {kernel: deny}\n", WARDER_BITS_KERNEL, 0, EPERM},
		/* what is baseline needs `unsafe` besides */
		{P "defaults: {kernel: allow}\n", WARDER_BITS_KERNEL,
		 (BIT(WARDER_SURFACE__MAX) - 1) & ~7ull, EPERM},
		{P "defaults: {kernel: allow}\nunsafe: [modules]\n", WARDER_BITS_KERNEL,
		 (BIT(WARDER_SURFACE__MAX) - 1) & ~5ull, EPERM},
		{P "kernel: [{allow: '*'}]\n", WARDER_BITS_KERNEL,
		 (BIT(WARDER_SURFACE__MAX) - 1) & ~7ull, EPERM},
		{P "unsafe: [bpf]\n", WARDER_BITS_KERNEL, BIT(WARDER_SURFACE_HOSTNAME), EPERM},
		{P "unsafe: [bpf]\nkernel: [{allow: [bpf, io_uring]}]\n", WARDER_BITS_KERNEL,
		 BIT(WARDER_SURFACE_HOSTNAME) | BIT(WARDER_SURFACE_BPF) |
			 BIT(WARDER_SURFACE_IO_URING),
		 EPERM},
		{P "defaults: {memory: deny}\nmemory: {write_exec: allow}\n", WARDER_BITS_MEMORY,
		 BIT(WARDER_MEM_WRITE_EXEC), EACCES},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct warder_image *img = good(table[i].text);
		const struct warder_bits *b = bits_of(img, table[i].which);

		if (b->allow != table[i].allow || b->err != table[i].err)
			fail_msg("%s: %#llx errno %u", table[i].text, (unsigned long long)b->allow,
				 b->err);
		free(img);
	}
}

static void test_memory_rules(void **state)
{
	struct warder_image *img = good(P "memory:\n  anonymous_exec: allow\n  write_exec: deny\n"
					  "  shm_exec: deny\n  errno: EPERM\n  audit: true\n  id: m\n");
	const struct warder_bits *b = bits_of(img, WARDER_BITS_MEMORY);

	(void)state;
	assert_int_equal(img->h.rule.count, 2);
	assert_int_equal(b->allow, BIT(WARDER_MEM_FILELESS_EXEC) | BIT(WARDER_MEM_ANONYMOUS_EXEC));
	assert_int_equal(b->audit, BIT(WARDER_MEM_ANONYMOUS_EXEC));
	assert_int_equal(b->rule[WARDER_MEM_FILELESS_EXEC], 0);
	assert_int_equal(b->rule[WARDER_MEM_WRITE_EXEC], b->rule[WARDER_MEM_SHM_EXEC]);
	assert_int_equal(image_rule(img, b->rule[WARDER_MEM_WRITE_EXEC])->line, 4);
	assert_int_equal(image_rule(img, b->rule[WARDER_MEM_WRITE_EXEC])->err, EPERM);
	assert_string_equal(
		image_string(img, image_rule(img, b->rule[WARDER_MEM_WRITE_EXEC])->id), "m");
	assert_int_equal(image_rule(img, b->rule[WARDER_MEM_ANONYMOUS_EXEC])->line, 3);
	assert_int_equal(image_rule(img, b->rule[WARDER_MEM_ANONYMOUS_EXEC])->id, 0);
	free(img);
}

/* Each word of `unsafe` is told in plain words, and is in the header. */
static void test_unsafe(void **state)
{
	static const char *const words[] = {"bpf",	    "modules",	    "kexec",
					    "host_ptrace",  "host_signal",  "kernel_files",
					    "memory_devices", "perfmon"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		struct policy_diags d = {0};
		struct warder_image *img;
		char text[64];

		snprintf(text, sizeof(text), P "unsafe: [%s]\n", words[i]);
		assert_int_equal(try_text(text, strlen(text), &img, &d), 0);
		assert_int_equal(img->h.unsafe, 1ull << i);
		assert_int_equal(d.count, 1);
		assert_int_equal(d.item[0].warning, 1);
		assert_non_null(strstr(d.item[0].text, "host") ?: strstr(d.item[0].text, "kernel"));
		policy_diags_done(&d);
		free(img);
	}
}

static void test_learn(void **state)
{
	struct warder_image *img = good(P "mode: learn\n");

	(void)state;
	assert_int_equal(img->h.mode, WARDER_MODE_LEARN);
	free(img);
}

/* -------------------------------------------------------- devices and peers */

static const struct policy_error table_errors[] = {
	{P "device:\n  - {allow: open}\n", 3, 5, "\"node\" is missing"},
	{P "device:\n  - {allow: read, node: 'c 1:3'}\n", 3, 13, "open, mknod"},
	{P "device:\n  - {allow: open, node: 'd 1:3'}\n", 3, 25, "\"c 1:3\""},
	{P "device:\n  - {allow: open, node: /dev/null}\n", 3, 25, "\"c 1:3\""},
	{P "device:\n  - {allow: open, node: 'c 4096:3'}\n", 3, 25, "\"c 1:3\""},
	{P "device:\n  - {allow: open, node: 'c 1:1048576'}\n", 3, 25, "\"c 1:3\""},
	{P "device:\n  - {allow: open, node: 'c 1:3x'}\n", 3, 25, "\"c 1:3\""},
	{P "device:\n  - {allow: open, node: 'c 1:1'}\n", 3, 25, "unsafe: [memory_devices]"},
	{P "device:\n  - {allow: open, node: ['c 1:3', 'c 202:*']}\n", 3, 35, "memory_devices"},
	{P "ptrace: [{allow: trace, peer: all}]\n", 2, 31, "policy:NAME"},
	{P "ptrace: [{allow: debug}]\n", 2, 18, "trace, read"},
	{P "ptrace: [{allow: trace, peer: host}]\n", 2, 31, "unsafe: [host_ptrace]"},
	{P "signal: [{allow: term, peer: host}]\n", 2, 30, "unsafe: [host_signal]"},
	{P "signal: [{allow: sigfoo}]\n", 2, 18, "SIGTERM"},
	{P "signal: [{allow: 65}]\n", 2, 18, "SIGTERM"},
	{P "signal: [{allow: 0}]\n", 2, 18, "SIGTERM"},
	{P "signal: [{allow: rtmin+31}]\n", 2, 18, "rtmin+1"},
	{P "ipc: [{allow: shm}]\n", 2, 15, "unix, sysv, mq, fd"},
	{P "ipc: [{allow: unix, peer: 'policy:'}]\n", 2, 34, "found nothing"},
	{P "ipc: [{allow: unix, peer: 'policy:a b'}]\n", 2, 34, "letters, digits"},
	{P "ipc: [{allow: unix, to: x}]\n", 2, 21, "unknown key"},
	{P "ipc: [{deny: [mq, sysv], errno: EXDEV}]\n", 2, 33, "the kernel says EACCES"},
	{P "signal: [{deny: [term], errno: ESRCH}]\n", 2, 32, "again for ever"},
	/* rules that decide nothing */
	{P "device:\n  - {allow: open, node: 'c 1:*'}\n  - {allow: open, node: 'c 1:3'}\n", 4, 5,
	 "t:3"},
	{P "signal:\n  - {deny: '*'}\n  - {allow: term, peer: same}\n", 4, 5, "t:3"},
	{P "network:\n  - {deny: connect, to: 10.0.0.0/8}\n"
	   "  - {allow: connect, to: '10.1.0.0/16:80'}\n", 4, 5, "deny wins"},
	{P "network:\n  - {deny: connect, unix: /run/**}\n  - {allow: connect, unix: /run/x}\n", 4, 5,
	 "deny wins"},
};

static void test_table_errors(void **state)
{
	(void)state;
	check_errors(table_errors, ARRAY_SIZE(table_errors));
}

static void test_devices(void **state)
{
	struct warder_image *img =
		good(P "device:\n"
		       "  - {allow: [open, mknod], node: ['c 1:3', 'c 5:*']}\n"
		       "  - {deny: '*', node: 'b *:*', errno: ENXIO}\n"
		       "  - {allow: open, node: '*', audit: true}\n");
	const struct warder_device_rule *d = AT(img, device, struct warder_device_rule, 0);

	(void)state;
	assert_int_equal(img->h.device.count, 4);
	assert_int_equal(image_profile(img, 0)->device_rules, 15);
	assert_int_equal(image_profile(img, 0)->device_default, WARDER_DEV_OPEN);
	assert_int_equal(d[0].ops, WARDER_DEV_OPEN | WARDER_DEV_MKNOD);
	assert_int_equal(d[0].type, 0020000);
	assert_int_equal(d[0].major, 1);
	assert_int_equal(d[0].minor, 3);
	assert_int_equal(d[1].minor, WARDER_DEVICE_ANY);
	assert_int_equal(d[2].type, 0060000);
	assert_int_equal(d[2].major, WARDER_DEVICE_ANY);
	assert_int_equal(d[2].err, ENXIO);
	assert_int_equal(d[3].type, 0);
	assert_int_equal(d[3].audit, 1);
	assert_int_equal(d[3].rule, 3);
	free(img);
	img = good(P "defaults: {device: deny}\nunsafe: [memory_devices]\n"
		     "device: [{allow: open, node: 'c 1:1'}]\n");
	assert_int_equal(image_profile(img, 0)->device_default, 0);
	free(img);
}

static void test_peers(void **state)
{
	struct warder_image *img =
		good(P "unsafe: [host_ptrace]\n"
		       "ptrace: [{allow: [trace, read], peer: same}, {deny: trace, peer: container},\n"
		       "         {allow: read, peer: host}]\n"
		       "signal: [{allow: [TERM, SIGKILL, 15, rtmin+2, rtmax, SIGRTMAX-30]},\n"
		       "         {deny: 9, peer: 'container:db', errno: ENXIO}]\n"
		       "ipc: [{allow: '*', peer: 'policy:007'}]\n");
	const struct warder_peer_rule *r = AT(img, peer, struct warder_peer_rule, 0);

	(void)state;
	assert_int_equal(img->h.peer.count, 6);
	assert_int_equal(image_profile(img, 0)->peer_rules, 63);
	assert_int_equal(r[0].class_, WARDER_CLASS_PTRACE);
	assert_int_equal(r[0].peer, WARDER_PEER_SAME);
	assert_int_equal(r[0].ops, WARDER_PTRACE_ALL);
	assert_int_equal(r[1].deny, 1);
	assert_int_equal(r[1].peer, WARDER_PEER_CONTAINER);
	assert_int_equal(r[1].err, EPERM);
	assert_int_equal(r[2].peer, WARDER_PEER_HOST);
	assert_int_equal(r[3].class_, WARDER_CLASS_SIGNAL);
	assert_int_equal(r[3].peer, WARDER_PEER_ANY);
	assert_true(r[3].ops == (BIT(14) | BIT(8) | BIT(35) | BIT(63) | BIT(33)));
	assert_int_equal(r[4].peer, WARDER_PEER_NAME);
	assert_string_equal(r[4].name, "db");
	assert_int_equal(r[4].err, ENXIO);
	assert_int_equal(r[5].class_, WARDER_CLASS_IPC);
	assert_int_equal(r[5].peer, WARDER_PEER_POLICY);
	assert_string_equal(r[5].name, "007");
	assert_int_equal(r[5].ops, WARDER_IPC_ALL);
	free(img);
	img = good(P "defaults: {signal: deny, ipc: deny}\n");
	assert_int_equal(image_profile(img, 0)->peer_default, 1u << WARDER_CLASS_PTRACE);
	assert_int_equal(image_profile(img, 0)->peer_err[1], EPERM);
	assert_int_equal(image_profile(img, 0)->peer_err[2], EACCES);
	free(img);
}

/* A source is a set of its own, and a bind that mount(2) makes is told to be out of reach. */
static void test_mount_source(void **state)
{
	static const char text[] =
		P "mount:\n  - {allow: [bind, move], source: /srv/**, target: /mnt/**}\n"
		  "  - {deny: attach, source: '/srv/no/**'}\n  - {allow: umount}\n";
	const struct warder_mount_rule *m;
	struct policy_diags d = {0};
	struct warder_image *img;

	(void)state;
	assert_int_equal(try_text(text, strlen(text), &img, &d), 0);
	assert_int_equal(d.count, 1);
	assert_int_equal(d.item[0].line, 3);
	assert_non_null(strstr(d.item[0].text, "no bind by mount(2)"));
	m = AT(img, mount, struct warder_mount_rule, 0);
	assert_int_equal(m[0].any_source, 0);
	assert_int_equal(m[0].any_target, 0);
	assert_int_equal(m[1].any_source, 0);
	assert_int_equal(m[1].any_target, 1);
	assert_int_equal(m[2].any_source, 1);
	assert_int_not_equal(image_profile(img, 0)->start[WARDER_START_MOUNT_SOURCE], 0);
	policy_diags_done(&d);
	free(img);
}

/* Every access of the language is one that rules can speak of. */
static void test_accesses(void **state)
{
	(void)state;
	for (int i = 0; i < WARDER_ACC_BITS - 1; i++) {
		struct policy_request r = {
			.class_ = WARDER_CLASS_FILE, .access = 1u << i, .path = "/a"};
		struct warder_image *img;
		struct warder_verdict v;
		char text[96];

		snprintf(text, sizeof(text), P "file: [{deny: %s, path: /a}]\n",
			 access_name(1u << i));
		img = good(text);
		assert_int_equal(policy_decide(img, &r, &v), 0);
		assert_int_equal(v.action, WARDER_DENY);
		r.access = i ? 1u : 1u << 17;
		assert_int_equal(policy_decide(img, &r, &v), 0);
		assert_int_equal(v.action, WARDER_ALLOW);
		free(img);
	}
}

/* ------------------------------------------------------------------ upcalls */

/* 1: to the host; 0: refused by the policy; -1: by the baseline; 2: to a queue, 3: which the host
 * answers if nobody serves it. *ret_rule: 0 for none. */
static int upcall(const struct warder_image *img, const char *type, __u32 by, __u32 *ret_rule)
{
	struct warder_upcall_type t = { .name = "" };
	struct warder_verdict v;

	memcpy(t.name, type, strlen(type));
	warder_decide_upcall(img, &t, by, &v);
	*ret_rule = v.rule;
	if (v.action == WARDER_ALLOW && WARDER_ROUTE_TO(t.route) == WARDER_UPCALL_QUEUE)
		return 2 + (WARDER_ROUTE_OTHERWISE(t.route) == WARDER_UPCALL_HOST);
	assert_int_equal(WARDER_ROUTE_TO(t.route),
			 v.action == WARDER_DENY ? WARDER_UPCALL_DENY : WARDER_UPCALL_HOST);
	if (v.action == WARDER_ALLOW)
		return 1;
	assert_int_equal(v.err, 126 /* ENOKEY */);
	return v.why == WARDER_WHY_BASELINE ? -1 : 0;
}

static void test_upcalls(void **state)
{
	static const struct {
		const char *text, *type;
		__u32 by;
		int to;
		__u32 line; /* of the deciding rule, 0: none */
	} rows[] = {
#define PROGRAM WARDER_UPCALL_BY_PROGRAM
#define KERNEL WARDER_UPCALL_BY_KERNEL
		{ "", "user", PROGRAM, 0, 0 },
		{ "", "user", KERNEL, 1, 0 },
		{ "", "dns_resolver", KERNEL, 1, 0 },
		{ "", "dns_resolver", PROGRAM, 0, 0 },
		{ "  - {type: user, to: host}\n", "user", PROGRAM, 1, 4 },
		{ "  - {type: user, to: host}\n", "user2", PROGRAM, 0, 0 },
		{ "  - {type: user, to: host}\n", "use", PROGRAM, 0, 0 },
		{ "  - {type: user, to: host, by: kernel}\n", "user", PROGRAM, 0, 0 },
		{ "  - {type: user, to: deny, by: kernel}\n", "user", KERNEL, 0, 4 },
		{ "  - {type: '*', to: host}\n", "anything", PROGRAM, 1, 4 },
		/* What the host's helpers of kernel types would believe. */
		{ "  - {type: '*', to: host}\n", "dns_resolver", PROGRAM, -1, 0 },
		{ "  - {type: '*', to: host}\n", "cifs.spnego", PROGRAM, -1, 0 },
		{ "  - {type: '*', to: host}\n", "id_legacy", PROGRAM, -1, 0 },
		{ "  - {type: '*', to: host}\n", "rxrpc_s", PROGRAM, -1, 0 },
		{ "  - {type: dns_resolver, to: host}\n", "dns_resolver", PROGRAM, -1, 0 },
		{ "  - {type: dns_resolver, to: host}\n", "dns_resolver", KERNEL, 1, 4 },
		{ "  - {type: dns_resolver, to: deny}\n", "dns_resolver", KERNEL, 0, 4 },
		/* An exact type goes before "*", wherever it stands; else the first. */
		{ "  - {type: '*', to: deny}\n  - {type: user, to: host}\n", "user", PROGRAM, 1, 5 },
		{ "  - {type: '*', to: deny}\n  - {type: user, to: host}\n", "logon", KERNEL, 0, 4 },
		{ "  - {type: '*', to: deny, by: kernel}\n  - {type: '*', to: host}\n", "user",
		  PROGRAM, 1, 5 },
		{ "  - {type: '*', to: deny, by: kernel}\n  - {type: '*', to: host}\n", "user",
		  KERNEL, 0, 4 },
		{ "  - {type: user, to: queue}\n", "user", PROGRAM, 2, 4 },
		{ "  - {type: user, to: queue, else: host}\n", "user", PROGRAM, 3, 4 },
		/* A queue's daemon may be told what the host's helpers may not. */
		{ "  - {type: '*', to: queue, else: host}\n", "cifs.spnego", PROGRAM, 2, 4 },
		{ "  - {type: '*', to: queue, else: host}\n", "cifs.spnego", KERNEL, 3, 4 },
		{ "  - {type: user, to: queue, by: kernel}\n", "user", PROGRAM, 0, 0 },
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct warder_image *img;
		__u32 rule;
		int to;

		snprintf(text, sizeof(text), P "%s%s", *rows[i].text ? "keyring:\n  upcalls:\n" : "",
			 rows[i].text);
		img = good(text);
		to = upcall(img, rows[i].type, rows[i].by, &rule);
		if (to != rows[i].to || (rule ? image_rule(img, rule)->line : 0) != rows[i].line)
			fail_msg("row %zu: %d by line %u", i, to,
				 rule ? image_rule(img, rule)->line : 0);
		/* Audit mode lets pass what the policy refuses, and nothing of the baseline. */
		((struct warder_profile *)(void *)(img->b + img->h.profile.offset))->mode =
			WARDER_MODE_AUDIT;
		if (to == 0) {
			struct warder_upcall_type t = { .name = "" };
			struct warder_verdict v;

			memcpy(t.name, rows[i].type, strlen(rows[i].type));
			warder_decide_upcall(img, &t, rows[i].by, &v);
			assert_int_equal(v.action, WARDER_AUDIT);
		} else {
			assert_int_equal(upcall(img, rows[i].type, rows[i].by, &rule), to);
		}
		free(img);
	}
#undef PROGRAM
#undef KERNEL
}

/* What does not fit is told by its kind: warnings alone are no error. */
static void test_many_warnings(void **state)
{
	char text[8192] = P "vars:\n";
	size_t used = strlen(text);

	(void)state;
	for (unsigned i = 0; i < 150; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "  V%u: [/x]\n", i);
	for (unsigned errors = 0; errors < 2; errors++) {
		struct policy_diags d = { 0 };
		struct warder_image *img;

		if (errors)
			snprintf(text + used, sizeof(text) - used, "file: [{allow: read, path: '{V1}', id: -}]\n");
		try_text(text, strlen(text), &img, &d);
		assert_int_equal(img != NULL, !errors);
		assert_int_equal(d.errors, errors);
		if (!errors) {
			assert_int_equal(d.count, POLICY_DIAGS_MAX);
			assert_string_equal(d.item[d.count - 1].text, "more follow, not shown");
			assert_int_equal(d.item[d.count - 1].warning, 1);
		}
		policy_diags_done(&d);
		free(img);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_network_errors),
		cmocka_unit_test(test_network_entries),
		cmocka_unit_test(test_network_defaults),
		cmocka_unit_test(test_network_limit),
		cmocka_unit_test(test_switch_errors),
		cmocka_unit_test(test_switch_defaults),
		cmocka_unit_test(test_memory_rules),
		cmocka_unit_test(test_unsafe),
		cmocka_unit_test(test_learn),
		cmocka_unit_test(test_table_errors),
		cmocka_unit_test(test_devices),
		cmocka_unit_test(test_peers),
		cmocka_unit_test(test_mount_source),
		cmocka_unit_test(test_accesses),
		cmocka_unit_test(test_upcalls),
		cmocka_unit_test(test_many_warnings),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
