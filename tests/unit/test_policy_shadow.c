// SPDX-License-Identifier: LGPL-2.1-or-later
/* Rules that never decide: found where several cover one together, named, and never found where one
 * decides. */
#include "policy_fixture.h"

#include "policy_tools.h"

#define TOGETHER(class_) "the " class_ " rules at t:3 and t:4 together match all that it matches"
#define ALONE(class_, line) "the " class_ " rule at t:" line " matches all that it matches"

static void test_found(void **state)
{
	static const struct policy_error errors[] = {
		{ P "file:\n  - {deny: read, path: '/[a-m]*'}\n  - {deny: read, path: '/[n-z]*'}\n"
		    "  - {deny: read, path: '/[a-z]*'}\n", 5, 5, TOGETHER("file") },
		{ P "file:\n  - {allow: read, path: '/a/**'}\n  - {deny: write, path: '/a/**'}\n"
		    "  - {allow: [read, write], path: /a/b}\n", 5, 5,
		  TOGETHER("file") ", and deny wins" },
		{ P "file:\n  - {allow: read, path: '/a/*'}\n  - {allow: read, path: '/a/*/**'}\n"
		    "  - {allow: read, path: '/a/**'}\n", 5, 5, TOGETHER("file") },
		{ P "exec:\n  - {allow: '/bin/{a,b}'}\n  - {deny: '/bin/{c,d}'}\n  - {allow: '/bin/[a-d]'}\n", 5, 5,
		  TOGETHER("exec") ", and deny wins" },
		{ P "network:\n  - {allow: connect, unix: '/[a-m]*'}\n  - {allow: connect, unix: '/[n-z]*'}\n"
		    "  - {allow: connect, unix: '/[a-z]'}\n", 5, 5, TOGETHER("network") },
		{ P "network:\n  - {deny: connect, to: 10.0.0.0/9}\n  - {deny: connect, to: 10.128.0.0/9}\n"
		    "  - {deny: connect, to: 10.0.0.0/8}\n", 5, 5, TOGETHER("network") },
		{ P "network:\n  - {allow: connect, to: '10.0.0.0/8:1-99'}\n"
		    "  - {deny: connect, to: '10.0.0.0/8:100-65535'}\n"
		    "  - {allow: connect, to: '10.0.0.0/9:50-150'}\n", 5, 5,
		  TOGETHER("network") ", and deny wins" },
		{ P "network:\n  - {allow: bind, protocol: [tcp, udp]}\n  - {allow: listen, protocol: tcp}\n"
		    "  - {allow: [bind, listen], protocol: tcp, port: 80}\n", 5, 5, TOGETHER("network") },
		{ P "network:\n  - {deny: send, family: inet}\n  - {deny: send, family: [inet6, unix]}\n"
		    "  - {deny: send, protocol: udp}\n", 5, 5, TOGETHER("network") },
		/* All that there is of both families: no IPv6 address is a mapped one. */
		{ P "network:\n  - {deny: connect, to: '0.0.0.0/0'}\n  - {deny: connect, to: '[::]/0'}\n"
		    "  - {deny: connect, protocol: tcp}\n", 5, 5, TOGETHER("network") },
		{ P "network:\n  - {deny: connect, to: ['0.0.0.0/1', '128.0.0.0/1:1-9']}\n"
		    "  - {deny: connect, to: ['128.0.0.0/1:10-65535', '128.0.0.0/1:0']}\n"
		    "  - {deny: connect, family: inet}\n", 5, 5, TOGETHER("network") },
		{ P "network:\n  - {deny: connect, to: '0.0.0.0/0'}\n  - {deny: connect, family: inet}\n", 4, 5,
		  ALONE("network", "3") },
		{ P "network:\n  - {deny: connect, family: inet}\n  - {deny: connect, to: '0.0.0.0/0'}\n", 4, 5,
		  ALONE("network", "3") },
		{ P "network:\n  - {deny: connect, to: ['[::]/1', '0.0.0.0/0']}\n  - {deny: connect, to: '[8000::]/1'}\n"
		    "  - {deny: connect, to: '*', protocol: [tcp, udp]}\n", 5, 5, TOGETHER("network") },
		{ P "signal:\n  - {deny: term, peer: same}\n  - {deny: kill, peer: container}\n"
		    "  - {deny: [term, kill], peer: same}\n", 5, 5, TOGETHER("signal") },
		{ P "ptrace:\n  - {allow: read, peer: 'policy:a'}\n  - {deny: trace, peer: 'policy:a'}\n"
		    "  - {allow: '*', peer: 'policy:a'}\n", 5, 5, TOGETHER("ptrace") ", and deny wins" },
		{ P "device:\n  - {deny: open, node: 'c *:*'}\n  - {deny: open, node: 'b *:*'}\n"
		    "  - {deny: open, node: '*'}\n", 5, 5, TOGETHER("device") },
		{ P "capability:\n  - {allow: kill}\n  - {allow: chown}\n  - {allow: [kill, chown]}\n", 5, 5,
		  TOGETHER("capability") },
		{ P "mount:\n  - {allow: mount, type: tmpfs, target: '/[a-m]*'}\n"
		    "  - {allow: [mount, umount], target: '/[n-z]*'}\n"
		    "  - {allow: mount, type: tmpfs, target: '/[a-z]'}\n", 5, 5, TOGETHER("mount") },
		{ P "mount:\n  - {allow: bind, target: /a/**}\n  - {allow: umount}\n"
		    "  - {allow: [bind, umount], target: /a/b}\n", 5, 5, TOGETHER("mount") },
		{ P "override:\n  - {on: mount, type: tmpfs, target: '/[a-m]*', do: perform}\n"
		    "  - {on: mount, type: tmpfs, target: '/[n-z]*', do: fake}\n"
		    "  - {on: mount, type: tmpfs, target: '/[a-z]', do: perform}\n", 5, 5, TOGETHER("override") },
		{ P "override:\n  - {on: umount, target: '/a/**', do: perform}\n"
		    "  - {on: umount, target: '/a/*', do: fake}\n", 4, 5, ALONE("override", "3") },
		/* In a profile, and by a deny of the top. */
		{ P "mount:\n  - {deny: umount, target: /a/**}\nprofiles:\n  x:\n    mount:\n"
		    "      - {allow: umount, target: /b/*}\n      - {allow: umount, target: '/{a,b}/c'}\n", 8, 9,
		  "the mount rules at t:3 and t:7 together match all that it matches, and deny wins" },
		/* More than are named. */
		{ P "capability:\n  - {allow: kill}\n  - {allow: chown}\n  - {allow: fowner}\n  - {allow: setuid}\n"
		    "  - {allow: setgid}\n  - {allow: [kill, chown, fowner, setuid, setgid]}\n", 8, 5,
		  "the capability rules at t:3, t:4, t:5, t:6 and others together match" },
	};

	(void)state;
	check_errors(errors, ARRAY_SIZE(errors));
}

/* A name, an address, a port or an operation is left to the last one. */
static void test_not_found(void **state)
{
	static const char *const texts[] = {
		P "file:\n  - {deny: read, path: '/[a-m]*'}\n  - {deny: read, path: '/[o-z]*'}\n"
		  "  - {deny: read, path: '/[a-z]*'}\n",
		P "file:\n  - {allow: read, path: '/a/?**'}\n  - {allow: read, path: '/a/**'}\n",
		P "file:\n  - {allow: read, path: '/a/**'}\n  - {allow: read, path: '/a/b', audit: true}\n",
		P "network:\n  - {deny: connect, to: '10.0.0.0/8:1-100'}\n"
		  "  - {deny: connect, to: '10.0.0.0/8:102-65535'}\n  - {deny: connect, to: '10.0.0.0/9:50-150'}\n",
		P "network:\n  - {deny: connect, to: 10.0.0.0/9}\n  - {deny: connect, to: 10.128.0.0/10}\n"
		  "  - {deny: connect, to: 10.0.0.0/8}\n",
		P "network:\n  - {allow: connect, to: 10.0.0.0/8}\n  - {deny: connect, to: 10.0.0.0/9}\n",
		P "network:\n  - {deny: connect, to: '0.0.0.0/0'}\n  - {deny: connect, protocol: tcp}\n",
		P "network:\n  - {deny: connect, to: '[::]/0'}\n  - {deny: connect, protocol: tcp}\n",
		P "network:\n  - {deny: connect, to: ['0.0.0.0/0', '[::]/1']}\n  - {deny: connect, to: '[8000::]/2'}\n"
		  "  - {deny: connect, protocol: tcp}\n",
		P "network:\n  - {deny: connect, to: ['0.0.0.0/0', '[::]/0']}\n  - {deny: connect}\n",
		P "network:\n  - {allow: connect, to: 10.0.0.0/8, family: inet6}\n",
		/* The last one refuses sockets, the others what is done with them. */
		P "network:\n  - {deny: '*', to: ['0.0.0.0/0', '[::]/0']}\n  - {deny: '*', protocol: tcp}\n",
		P "network:\n  - {deny: [connect, bind, listen, accept, send]}\n  - {deny: '*', protocol: tcp}\n",
		/* Or of sockets for all addresses of IPv6. */
		P "network:\n  - {deny: bind, to: 10.0.0.0/9, family: inet}\n  - {deny: bind, to: 10.0.0.0/9}\n",
		P "signal:\n  - {deny: term, peer: same}\n  - {deny: kill, peer: container}\n"
		  "  - {deny: [term, kill], peer: container}\n",
		P "device:\n  - {deny: open, node: 'c 1:*'}\n  - {deny: open, node: 'c *:3'}\n"
		  "  - {deny: open, node: 'c *:*'}\n",
		P "mount:\n  - {allow: mount, type: tmpfs, target: /a/**}\n  - {allow: mount, target: /a/b}\n",
		P "mount:\n  - {allow: mount, target: /a/**, flags: {require: ro}}\n  - {allow: mount, target: /a/b}\n",
		P "mount:\n  - {allow: mount, source: /s, target: /a/**}\n  - {allow: mount, target: /a/b}\n",
		P "override:\n  - {on: mount, type: tmpfs, target: /a/**, options: {size: '1'}, do: perform}\n"
		  "  - {on: mount, type: tmpfs, target: /a/b, do: fake}\n",
		P "override:\n  - {on: mount, type: tmpfs, target: /a/**, rate: 1/s, do: perform}\n"
		  "  - {on: mount, type: tmpfs, target: /a/b, do: fake}\n",
		P "mount: [{allow: umount, target: /a/**}]\nprofiles: {x: {mount: [{allow: umount, target: /a/b}]}}\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		free(good(texts[i]));
}

/* -------------------------------------------------------- nothing is lost by it */

static unsigned long seed = 11;

static unsigned pick(unsigned n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(seed >> 33) % n;
}

#define PICK(list) list[pick(ARRAY_SIZE(list))]

static const char *verb(void)
{
	return pick(3) ? "allow" : "deny";
}

static void random_rule(unsigned class_, char *buf, size_t size)
{
	static const char *const paths[] = { "/a", "/[ab]", "/[bc]", "/{a,b,c}", "/*", "/a/*", "/a/**", "/**", "/?" };
	static const char *const accesses[] = { "read", "write", "[read, write]", "[read, create]", "'*'" };
	static const char *const nets[] = { "10.0.0.0/8", "10.0.0.0/9", "10.128.0.0/9", "'10.0.0.0/8:1-99'",
					    "'10.0.0.0/8:100-65535'", "'10.0.0.0/9:*'", "'*'", "'*:50-150'", "0.0.0.0/0", "['[::]/0', 10.0.0.0/9]",
					    "['0.0.0.0/1', '[::]/1']", "['128.0.0.0/1', '[8000::]/1']" };
	static const char *const ops[] = { "connect", "send", "[connect, send]", "bind", "'*'" };
	static const char *const protocols[] = { "", ", protocol: tcp", ", protocol: [tcp, udp]", ", family: inet" };
	static const char *const signals[] = { "term", "kill", "[term, kill]", "'*'" };
	static const char *const peers[] = { "", ", peer: same", ", peer: container", ", peer: 'policy:a'" };
	static const char *const nodes[] = { "'c 1:3'", "'c 1:*'", "'b 1:*'", "'* 1:*'", "'*'" };
	static const char *const devices[] = { "open", "mknod", "'*'" };
	static const char *const mounts[] = { "mount, type: tmpfs", "mount", "umount", "[bind, umount]", "'*'" };

	switch (class_) {
	case 0:
		snprintf(buf, size, "{%s: %s, path: '%s'}", verb(), PICK(accesses), PICK(paths));
		break;
	case 1:
		snprintf(buf, size, "{%s: %s, to: %s%s}", verb(), PICK(ops), PICK(nets), PICK(protocols));
		break;
	case 2:
		snprintf(buf, size, "{%s: %s%s}", verb(), PICK(signals), PICK(peers));
		break;
	case 3:
		snprintf(buf, size, "{%s: %s, node: %s}", verb(), PICK(devices), PICK(nodes));
		break;
	case 4:
		snprintf(buf, size, "{%s: %s, target: '%s'}", verb(), PICK(mounts), PICK(paths));
		break;
	default:
		snprintf(buf, size, "{%s: %s, unix: '%s'}", verb(), PICK(ops), PICK(paths));
	}
}

#define RULES 5

static struct warder_image *compile_rules(const char *class_, char rule[RULES][128], const bool *left_out,
					  bool included, struct policy_diags *d)
{
	struct warder_image *img = NULL;
	char text[1024], path[128];
	size_t used = (size_t)snprintf(text, sizeof(text), "%sunsafe: memory_devices\n%s:\n", P, class_);
	FILE *f;

	for (unsigned i = 0; i < RULES; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s- %s\n",
					 left_out && left_out[i] ? "# " : "", rule[i]);
	if (included) {
		/* There it is no error. */
		snprintf(path, sizeof(path), "%s/rules.yaml", folder);
		f = fopen(path, "w");
		assert_non_null(f);
		fprintf(f, "%s", strstr(text, "devices\n") + strlen("devices\n"));
		fclose(f);
		snprintf(text, sizeof(text), "%sunsafe: memory_devices\ninclude: rules\n", P);
	}
	try_text(text, strlen(text), &img, d);
	return img;
}

/* Taking out what is told changes no decision. */
static void test_taken_out(void **state)
{
	static const char *const classes[] = { "file", "network", "signal", "device", "mount", "network" };
	size_t told = 0;

	(void)state;
	for (unsigned round = 0; round < 1200; round++) {
		unsigned class_ = round % ARRAY_SIZE(classes);
		struct policy_diags d = { 0 }, none = { 0 };
		struct warder_image *all, *direct, *rest;
		bool left_out[RULES] = { false };
		char rule[RULES][128];
		struct policy_diff diff;

		for (unsigned i = 0; i < RULES; i++)
			random_rule(class_, rule[i], sizeof(rule[i]));
		direct = compile_rules(classes[class_], rule, NULL, false, &d);
		for (size_t i = 0; i < d.count; i++)
			if (!d.item[i].warning) {
				if (!strstr(d.item[i].text, "can never decide"))
					fail_msg("%s", d.item[i].text);
				left_out[d.item[i].line - 4] = true;
				told++;
			}
		if (!direct) {
			all = compile_rules(classes[class_], rule, NULL, true, &none);
			rest = compile_rules(classes[class_], rule, left_out, false, &none);
			assert_non_null(all);
			if (!rest)
				fail_msg("%s: what is left is no policy", rule[0]);
			assert_int_equal(policy_diff(all, rest, &diff), 0);
			if (diff.count)
				fail_msg("%s %s: %s\n%s\n%s\n%s\n%s\n%s", classes[class_], diff.item[0].what,
					 diff.item[0].witness ? diff.item[0].witness : "", rule[0], rule[1],
					 rule[2], rule[3], rule[4]);
			policy_diff_done(&diff);
			free(all);
			free(rest);
		}
		free(direct);
		policy_diags_done(&d);
		policy_diags_done(&none);
	}
	assert_true(told > 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_not_found),
		cmocka_unit_test(test_taken_out),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
