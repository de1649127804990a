// SPDX-License-Identifier: LGPL-2.1-or-later
/* warder policy: exit status and output of the commands, each in a process of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cleanup.h"
#include "commands.h"

static char folder[64];
static char good[96], over[96], bad[96], image[96], other[96], tests[96], failing[96], events[96], messy[96], empty[96];

static void put(char *path, const char *name, const char *text)
{
	FILE *f;

	snprintf(path, 96, "%s/%s", folder, name);
	f = text ? fopen(path, "w") : NULL;
	if (!text)
		return;
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/warder-command-XXXXXX");
	if (!mkdtemp(folder) || setenv("WARDER_POLICY_PATH", folder, 1))
		return -1;
	put(good, "good.yaml",
	    "policy: good\ndefaults: {capability: deny}\nfile:\n"
	    "  - {deny: write, path: /etc/**, id: ro}\n"
	    "mount: [{allow: mount, type: tmpfs, target: /tmp/**}]\n");
	put(bad, "bad.yaml", "policy: bad\nfile:\n  - {deny: reed, path: x}\n");
	put(over, "over.yaml",
	    "policy: over\noverride:\n"
	    "  - {on: mount, type: tmpfs, target: /mnt/**, do: perform}\n"
	    "  - {on: sethostname, do: fake}\n");
	put(image, "image", NULL);
	put(other, "other.yaml",
	    "policy: good\ndefaults: {capability: deny}\nfile:\n"
	    "  - {deny: write, path: /etc/x*, id: ro}\n"
	    "mount: [{allow: mount, type: tmpfs, target: /tmp/**}]\n");
	put(tests, "tests.yaml",
	    "policy: good.yaml\ntests:\n"
	    "  - {do: {file: write, path: /etc/a}, expect: {deny: EACCES, rule: ro}}\n"
	    "  - {do: {exec: /bin/sh}, expect: allow}\n");
	put(failing, "failing.yaml",
	    "policy: good.yaml\ntests:\n"
	    "  - {do: {file: write, path: /etc/a}, expect: allow}\n"
	    "  - {do: {mount: tmpfs, target: /mnt}, expect: {deny: EACCES}}\n");
	put(events, "events.jsonl",
	    "{\"type\":\"verdict\",\"class\":\"file\",\"access\":[\"write\"],\"path\":\"/etc/x\","
	    "\"action\":\"deny\",\"errno\":\"EACCES\",\"why\":\"rule\",\"program\":\"sh\"}\n"
	    "{\"type\":\"learn\",\"class\":\"file\",\"access\":[\"read\"],\"path\":\"/etc/y\"}\n");
	put(empty, "nothing", "x\n");
	put(messy, "messy.yaml", "policy:   good # name\nfile:\n- {path: /a,   deny: [write]}\n");
	return 0;
}

static int teardown(void **state)
{
	char command[96];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf -- '%s'", folder);
	return system(command);
}

/* Exit status of `warder policy ARGUMENTS...`; what it printed, both streams, in out. */
static int run(char *out, size_t size, ...)
{
	char *argv[16] = { (char *)(uintptr_t) "policy" };
	int argc = 1, pipes[2], status;
	size_t used = 0;
	va_list ap;
	ssize_t n;
	pid_t pid;

	va_start(ap, size);
	while (argc < 15 && (argv[argc] = va_arg(ap, char *)))
		argc++;
	va_end(ap);
	assert_int_equal(pipe(pipes), 0);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		dup2(pipes[1], 1);
		dup2(pipes[1], 2);
		close(pipes[0]);
		close(pipes[1]);
		status = cmd_policy(argc, argv);
		fflush(NULL);
		_exit(status);
	}
	close(pipes[1]);
	while (used < size - 1 && (n = read(pipes[0], out + used, size - 1 - used)) > 0)
		used += (size_t)n;
	out[used] = 0;
	close(pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#define CHECK(expected, words, ...)                                                                \
	do {                                                                                       \
		char out_[16384];                                                                  \
		int status_ = run(out_, sizeof(out_), __VA_ARGS__, NULL);                          \
		if (status_ != (expected) || !strstr(out_, words))                                 \
			fail_msg("status %d, expected %d with \"%s\": %s", status_, expected,      \
				 words, out_);                                                     \
	} while (0)

static void test_check(void **state)
{
	char out[4096];

	(void)state;
	CHECK(0, "ok, policy good", "check", good);
	CHECK(1, "bad.yaml:3:12: error: file: no access is called \"reed\"", "check", bad);
	CHECK(1, "bad.yaml:3:24: error", "check", good, bad);
	CHECK(1, "\"column\":12", "check", "--json", bad);
	CHECK(0, "[", "check", "--json", good);
	CHECK(0, "note: not restricted: file all but write, append, truncate; exec; memory", "check", good);
	CHECK(0, "note: restricted only by rules that deny: file write, append, truncate", "check", good);
	CHECK(0, "system calls meet no hook", "check", good);
	CHECK(0, "calls names, what names there are, their attributes, mounts: access ", "check", "--calls", good);
	CHECK(0, "\"kind\":\"unless\"", "check", "--json", good);
	CHECK(0, "\"group\":\"kernel\"", "check", "--json", good);
	CHECK(1, "nothing: error: the kernel's type information", "check", "--btf", empty, good);
	CHECK(1, "\"severity\":\"error\"", "check", "--json", "--btf", empty, good);
	CHECK(1, "reed", "check", "--quiet", bad);
	assert_int_equal(run(out, sizeof(out), "check", "--quiet", good, NULL), 0);
	assert_string_equal(out, "");
	CHECK(1, "No such file", "check", "/nonexistent");
	CHECK(2, "which file", "check");
	CHECK(2, "unknown option", "check", "--stats", good);
	CHECK(2, "which command", "chek", good);
}

static void test_compile(void **state)
{
	FILE *f;

	(void)state;
	CHECK(0, "states:", "compile", "--stats", good);
	CHECK(0, "", "compile", "-o", image, good);
	CHECK(0, "digest:", "show", image);
	CHECK(0, "id ro", "show", image);
	CHECK(0, "\"policy\":\"good\"", "show", "--json", image);
	CHECK(1, "error", "compile", "-o", image, bad);
	CHECK(EXIT_WARDER, "cannot write", "compile", "-o", "/nonexistent/x", good);
	/* Not a byte of it may differ. */
	f = fopen(image, "r+");
	assert_non_null(f);
	fseek(f, 40, SEEK_SET);
	fputc(0x55, f);
	fclose(f);
	CHECK(1, "checksum", "show", image);
}

static void test_explain(void **state)
{
	(void)state;
	CHECK(0, "deny: EACCES", "explain", good, "file", "read,write", "/etc/passwd");
	CHECK(0, "good.yaml:4, id ro", "explain", good, "file", "write", "/etc/passwd");
	CHECK(0, "no allow rule outweighs it", "explain", "good", "file", "write", "/etc/passwd");
	CHECK(0, "allow\n", "explain", good, "file", "read", "/etc/passwd");
	/* Across the border a rule that names the peer opens what is closed. */
	CHECK(0, "nothing crosses the container's border unless a rule names the peer", "explain", good,
	      "ptrace", "trace", "container:db");
	CHECK(EXIT_WARDER, "to which port", "explain", good, "network", "connect", "tcp", "10.1.2.3");
	CHECK(0, "allow\n", "explain", good, "network", "connect", "icmp", "10.1.2.3");
	CHECK(0, "allow\n", "explain", good, "{network: connect, to: 10.1.2.3, port: 80, protocol: tcp}");
	CHECK(2, "unknown option", "explain", "--nothing", good);
	/* Names are bytes, output is text. */
	CHECK(0, "\"request\":\"file read /a\\\\x80b\"", "explain", "--json", good, "file", "read",
	      "/a\200b");
	CHECK(0, "\"path\":\"/a\\\\x80b\"", "explain", "--json", good, "file", "read", "/a\200b");
	/* What override rules would make of a mount or a call. */
	CHECK(0, "override: perform, by the override rule at ", "explain", over, "mount", "tmpfs",
	      "/mnt/a");
	CHECK(0, "deny: EPERM", "explain", over, "mount", "tmpfs", "/mnt/a");
	CHECK(0, "override: none, the refusal stands", "explain", over, "mount", "tmpfs", "/srv");
	CHECK(0, "override: fake, by the override rule at ", "explain", over,
	      "{call: sethostname}");
	CHECK(0, "override: none", "explain", over, "{call: swapon}");
	CHECK(0, "the policy has no override rules", "explain", good, "{call: swapon}");
	CHECK(0, "\"action\":\"perform\"", "explain", "--json", over, "mount", "tmpfs", "/mnt/a");
	CHECK(EXIT_WARDER, "do.call: expected a word", "explain", over, "{call: sethostnam}");
	CHECK(0, "flags: {require: [nosuid, nodev]}}", "explain", over, "mount", "tmpfs", "/srv",
	      "nosuid,nodev");
	CHECK(0, "allow\n", "explain", good, "exec", "/bin/sh");
	CHECK(0, "{allow: [net_admin]}", "explain", good, "capability", "CAP_NET_ADMIN");
	CHECK(0, "allow\n", "explain", good, "mount", "tmpfs", "/tmp/x", "nosuid,nodev");
	CHECK(0, "deny: EPERM", "explain", good, "mount", "ext4", "/tmp/x");
	CHECK(0, "{allow: [umount], target: /tmp/x}", "explain", good, "umount", "/tmp/x");
	CHECK(0, "\"verdict\":\"deny\"", "explain", "--json", good, "file", "write", "/etc/x");
	CHECK(0, "\"id\":\"ro\"", "explain", "--json", good, "file", "write", "/etc/x");
	CHECK(1, "reed", "explain", bad, "exec", "/bin/sh");
	CHECK(EXIT_WARDER, "no file access is called \"rd\"", "explain", good, "file", "rd", "/x");
	CHECK(EXIT_WARDER, "no name that the kernel gives", "explain", good, "exec", "bin/sh");
	CHECK(EXIT_WARDER, "no name that the kernel gives", "explain", good, "exec", "/bin/../sh");
	CHECK(EXIT_WARDER, "no capability", "explain", good, "capability", "nothing");
	CHECK(EXIT_WARDER, "the class is", "explain", good, "nothing", "x");
	CHECK(EXIT_WARDER, "network OPERATION", "explain", good, "network", "x");
	CHECK(0, "allow\n", "explain", good, "network", "connect", "tcp", "10.0.0.1:80");
	/* Of the host only what the policy names; the container's own by the class default. */
	CHECK(0, "deny: EPERM\ndecided by the baseline", "explain", good,
	      "{network: connect, unix: /run/x}");
	CHECK(0, "allow\n", "explain", good, "{network: connect, unix: /run/x, peer: same}");
	CHECK(0, "allow\n", "explain", good, "network", "connect", "unix", "/run/x", "same");
	CHECK(EXIT_WARDER, "no peer is called", "explain", good, "network", "connect", "unix", "/run/x",
	      "sane");
	CHECK(EXIT_WARDER, "have a peer", "explain", good, "{network: bind, unix: /x, peer: same}");
	/* The kernel's files and devices. */
	CHECK(0, "deny: EPERM\ndecided by the baseline", "explain", good, "file", "write",
	      "/proc/sys/kernel/core_pattern");
	CHECK(0, "under unsafe: kernel_files", "explain", good, "file", "write",
	      "/proc/sysrq-trigger");
	CHECK(0, "unsafe: memory_devices", "explain", good, "device", "open", "c 1:1", "/dev/mem");
	CHECK(EXIT_WARDER, "expected a file system", "explain", good,
	      "{file: read, path: /x, fs: ext4}");
	CHECK(EXIT_WARDER, "is no port", "explain", good, "network", "connect", "tcp",
	      "10.0.0.1:99999");
	CHECK(0, "deny: EPERM", "explain", good, "signal", "term", "host");
	CHECK(0, "the baseline", "explain", good, "ptrace", "trace", "container:db");
	CHECK(0, "{allow: [open], node: \"c 10:229\"}", "explain", good, "device", "open",
	      "c 10:229");
	CHECK(0, "allow\n", "explain", good, "device", "open", "c 1:3", "/dev/null");
	CHECK(EXIT_WARDER, "no such profile", "explain", "--profile", "x", good, "exec", "/bin/sh");
	CHECK(EXIT_WARDER, "one too many", "explain", good, "exec", "/bin/sh", "x");
	CHECK(EXIT_WARDER, "it needs another", "explain", good, "file", "read");
	CHECK(0, "recorded: deny with EACCES", "explain", good, "--event", events);
	CHECK(0, "ro", "explain", good, "--event", events);
	CHECK(EXIT_WARDER, "bad.yaml:1:1: error: no event", "explain", good, "--event", bad);
}

static int file_has(const char *path, const char *what)
{
	char text[8192] = "";
	FILE *f = fopen(path, "re");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	if (f)
		fclose(f);
	text[n] = '\0';
	return strstr(text, what) != NULL;
}

static void test_tests(void **state)
{
	char junit[96];

	(void)state;
	put(junit, "junit.xml", NULL);
	CHECK(0, "ok 2 - exec /bin/sh\n1..2\n# 2 passed, 0 failed, 0 skipped", "test", tests);
	CHECK(1, "not ok 1 - file write /etc/a\n", "test", failing);
	CHECK(1, "failing.yaml:3:5: expected allow\n# the answer is: deny with EACCES by the file "
		 "rule at ", "test", failing);
	CHECK(1, "# to allow it: narrow or remove the deny rule at ", "test", failing);
	CHECK(1, "not ok 2 - mount tmpfs /mnt\n", "test", failing);
	CHECK(1, "expected deny with EACCES\n# the answer is: deny with EPERM by the class default",
	      "test", failing);
	CHECK(1, "2 passed, 2 failed", "test", tests, failing);
	CHECK(0, "coverage of", "test", "--coverage", tests);
	CHECK(0, "1 of 2 rules reached", "test", "--coverage", tests);
	CHECK(0, "good.yaml:5, the mount rule", "test", "--coverage", tests);
	CHECK(1, "not reached", "test", "--coverage=full", tests);
	CHECK(1, "\"failed\":2", "test", "--json", failing);
	CHECK(1, "not ok", "test", "--junit", junit, failing);
	assert_true(file_has(junit, "tests=\"2\" failures=\"2\" errors=\"0\" skipped=\"0\">\n    <testcase "));
	assert_true(file_has(junit, "</testcase>\n  </testsuite>\n</testsuites>\n"));
	CHECK(0, "ok 1", "test", "--junit", junit, tests);
	assert_true(file_has(junit, "tests=\"2\" failures=\"0\""));
	CHECK(0, "\"not_reached\":[", "test", "--json", "--coverage", tests);
	CHECK(EXIT_WARDER, "bad.yaml:1:1: error: file of tests", "test", bad);
	CHECK(EXIT_WARDER, "No such file", "test", "/nonexistent");
	CHECK(2, "which file", "test");
	CHECK(2, "unknown option", "test", "--nothing", tests);
	CHECK(0, "usage:", "test", "--help");
	CHECK(0, "policy show NAME", "show", "--help");
}

/* No report takes a failed test for a passed one, whatever it is called, nor leaves out a file. */
static void test_reports(void **state)
{
	char named[96], broken[96], no_policy[96], junit[96];

	(void)state;
	put(junit, "reports.xml", NULL);
	put(named, "named.yaml",
	    "policy: good.yaml\ntests:\n"
	    "  - {name: 'no # TODO later', do: {file: write, path: /etc/a}, expect: allow}\n"
	    "  - {name: 'x \\# skip it', do: {file: write, path: /etc/a}, expect: allow}\n"
	    "  - {do: {file: write, path: '/etc/a # TODO'}, expect: allow}\n"
	    "  - {name: '#SKIP', do: {file: write, path: /etc/a}, expect: deny}\n");
	put(broken, "broken#TODO.yaml", "policy: good.yaml\ntests: [{do: {file: reed, path: /a}}]\n");
	put(no_policy, "none.yaml",
	    "policy: bad.yaml\ntests: [{do: {exec: /a}, expect: allow}]\n");
	CHECK(1, "not ok 1 - no \\# TODO later\n", "test", named);
	CHECK(1, "not ok 2 - x \\\\\\# skip it\n", "test", named);
	CHECK(1, "not ok 3 - file write /etc/a \\# TODO\n", "test", named);
	CHECK(1, "\nok 4 - \\#SKIP\n1..4\n# 1 passed, 3 failed, 0 skipped\n", "test", named);
	CHECK(EXIT_WARDER, "not ok 1 - /tmp", "test", broken);
	CHECK(EXIT_WARDER, "broken\\#TODO.yaml: the tests can be run\n# /tmp", "test", broken);
	CHECK(EXIT_WARDER, "1..1\n# 0 passed, 0 failed, 0 skipped, 1 files could not be run\n", "test",
	      broken);
	CHECK(EXIT_WARDER, "none.yaml: the tests can be run\n", "test", no_policy);
	CHECK(EXIT_WARDER, "bad.yaml:3:12: file: no access is called \"reed\"", "test", no_policy);
	CHECK(EXIT_WARDER, "ok 2 - exec /bin/sh\nnot ok 3 - ", "test", tests, no_policy, broken);
	CHECK(EXIT_WARDER, "1..4\n# 2 passed, 0 failed, 0 skipped, 2 files could not be run\n", "test",
	      tests, no_policy, broken);
	CHECK(EXIT_WARDER, "nonexistent: the tests can be run", "test", "/nonexistent", tests);
	CHECK(EXIT_WARDER, "\"errors\":1", "test", "--json", no_policy, tests);
	CHECK(EXIT_WARDER, "\"ok\":false", "test", "--json", no_policy);
	CHECK(0, "\"errors\":0", "test", "--json", tests);
	CHECK(EXIT_WARDER, "not ok 1", "test", "--junit", junit, no_policy, tests);
	assert_true(file_has(junit, "tests=\"1\" failures=\"0\" errors=\"1\" skipped=\"0\">\n"
				    "    <testcase classname="));
	assert_true(file_has(junit, "<error message=\""));
	assert_true(file_has(junit, "reed"));
	assert_true(file_has(junit, "tests=\"2\" failures=\"0\" errors=\"0\" skipped=\"0\">\n"));
}

#define TEST_OF(name, text)                                                                        \
	do {                                                                                       \
		put(lists, name, "policy: good.yaml\ntests:\n" text);                              \
	} while (0)

/* A list is several requests, of which each must be answered as expected. */
static void test_lists(void **state)
{
	char lists[96];

	(void)state;
	TEST_OF("l1.yaml", "  - {do: {file: read, path: [/etc/shadow, /etc/gshadow]}, expect: "
			   "{deny: EACCES}}\n");
	CHECK(1, "not ok 1 - file read /etc/shadow\n", "test", lists);
	CHECK(1, "not ok 2 - file read /etc/gshadow\n", "test", lists);
	CHECK(1, "1..2\n# 0 passed, 2 failed", "test", lists);
	TEST_OF("l2.yaml", "  - {name: n, do: {file: [read, write], path: [/etc/a, /srv/a, '/b,c']}, "
			   "expect: {deny: EACCES}}\n");
	CHECK(1, "\nok 1 - n: file read,write /etc/a\nnot ok 2 - n: file read,write /srv/a\n", "test",
	      lists);
	CHECK(1, "not ok 3 - n: file read,write /b,c\n", "test", lists);
	TEST_OF("l3.yaml", "  - {do: {exec: [/bin/sh, /bin/nc]}, expect: allow}\n"
			   "  - {do: {capability: [kill, net_raw]}, expect: deny}\n"
			   "  - {do: {signal: [term, kill], peer: [same, host]}, expect: allow}\n"
			   "  - {do: {memory: [write_exec, shm_exec]}, expect: allow}\n"
			   "  - {do: {namespace: [user, net]}, expect: allow}\n"
			   "  - {do: {kernel: [bpf, io_uring]}, expect: deny}\n"
			   "  - {do: {mount: [tmpfs, ext4], target: [/tmp/a, /tmp/b]}, expect: allow}\n"
			   "  - {do: {network: [connect, send], protocol: [tcp, udp], to: "
			   "['10.0.0.1:1', '[fd00::1]:2']}, expect: allow}\n"
			   "  - {do: {network: create, family: [netlink, packet]}, expect: allow}\n"
			   "  - {do: {device: open, node: ['c 1:3', 'c 9:9'], path: /dev/x}, expect: "
			   "allow}\n");
	CHECK(1, "\nok 1 - exec /bin/sh\nok 2 - exec /bin/nc\nok 3 - capability kill\nok 4 - "
		 "capability net_raw\nok 5 - signal term same\nnot ok 6 - signal term host\n", "test",
	      lists);
	CHECK(1, "\nok 7 - signal kill same\nnot ok 8 - signal kill host\n", "test", lists);
	CHECK(1, "\nok 9 - memory write_exec\nok 10 - memory shm_exec\nok 11 - namespace user\nnot "
		 "ok 12 - namespace net\n", "test", lists);
	CHECK(1, "\nok 13 - kernel bpf\nok 14 - kernel io_uring\nok 15 - mount tmpfs /tmp/a\nok 16 - "
		 "mount tmpfs /tmp/b\nnot ok 17 - mount ext4 /tmp/a\n", "test", lists);
	CHECK(1, "\nok 19 - network connect,send tcp 10.0.0.1:1\nok 20 - network connect,send tcp "
		 "[fd00::1]:2\nok 21 - network connect,send udp 10.0.0.1:1\n", "test", lists);
	CHECK(1, "\nok 23 - network create netlink\nnot ok 24 - network create packet\n", "test",
	      lists);
	CHECK(1, "\nok 25 - device open c 1:3 /dev/x\nok 26 - device open c 9:9 /dev/x\n", "test", lists);
	CHECK(1, "1..26\n", "test", lists);
	/* What makes no sense says where. */
	TEST_OF("l4.yaml", "  - {do: {file: read, path: []}, expect: allow}\n"
			   "  - {do: {file: read, path: [/a, [/b]]}, expect: allow}\n"
			   "  - {do: {file: read, path: [/a, b]}, expect: allow}\n"
			   "  - {do: {capability: [kill, kil]}, expect: allow}\n"
			   "  - {do: {call: umount, path: [/a, /b]}, expect: {override: none}}\n"
			   "  - {do: {call: setxattr, value: [a, b]}, expect: {override: none}}\n"
			   "  - {do: {call: [umount, mount]}, expect: {override: none}}\n"
			   "  - {do: {file: [], path: /a}, expect: allow}\n");
	CHECK(EXIT_WARDER, "l4.yaml:3:29: error: do.path: an empty list", "test", lists);
	CHECK(EXIT_WARDER, "l4.yaml:4:34: error: path: expected", "test", lists);
	CHECK(EXIT_WARDER, "l4.yaml:5:34: error: do: \"b\" is no name", "test", lists);
	CHECK(EXIT_WARDER, "l4.yaml:6:30: error: do: no capability is called \"kil\"", "test", lists);
	CHECK(EXIT_WARDER, "l4.yaml:7:31: error: do.path: expected", "test", lists);
	CHECK(EXIT_WARDER, "l4.yaml:8:34: error: do.value: expected a word", "test", lists);
	CHECK(EXIT_WARDER, "l4.yaml:9:17: error: do.call: expected", "test", lists);
	CHECK(EXIT_WARDER, "l4.yaml:10:17: error: do.file: an empty list", "test", lists);
#define TEN "/a, /b, /c, /d, /e, /f, /g, /h, /i, /j"
	TEST_OF("l5.yaml", "  - {do: {device: open, node: ['c 1:3', 'c 1:4', 'c 1:5', 'c 1:6', 'c 1:7', "
			   "'c 1:8', 'c 1:9', 'c 1:10', 'c 1:11', 'c 1:12', 'c 1:13'], path: [" TEN ", "
			   TEN ", " TEN ", " TEN ", " TEN ", " TEN ", " TEN ", " TEN ", " TEN ", " TEN
			   "]}, expect: allow}\n");
#undef TEN
	CHECK(EXIT_WARDER, "more than 1000 requests in one test", "test", lists);
}
#undef TEST_OF

/* Rules of included files count where the tests say so, and a name that is none is no tests. */
static void test_covers(void **state)
{
	char part[96], whole[96], own[96], covering[96], slip[96];

	(void)state;
	put(part, "part.yaml", "file:\n  - {deny: write, path: /a, id: pa}\n"
			       "  - {deny: write, path: /b, id: pb}\n");
	put(whole, "whole.yaml",
	    "policy: whole\ninclude: part\nfile: [{deny: write, path: /c, id: own}]\n");
#define TESTS(covers)                                                                              \
	"policy: whole.yaml\n" covers "tests:\n"                                                   \
	"  - {do: {file: write, path: /a}, expect: {deny: EACCES, rule: pa}}\n"                    \
	"  - {do: {file: write, path: /c}, expect: {deny: EACCES, rule: own}}\n"
	put(own, "own.yaml", TESTS(""));
	put(covering, "covering.yaml", TESTS("covers: part\n"));
	put(slip, "slip.yaml", TESTS("covers: [part, art]\n"));
#undef TESTS
	CHECK(0, "1 of 1 rules reached (not counting included ones)", "test", "--coverage=full", own);
	CHECK(1, "2 of 3 rules reached\n", "test", "--coverage=full", covering);
	CHECK(1, "part.yaml:3, the file rule pb", "test", "--coverage=full", covering);
	CHECK(0, "not reached", "test", "--coverage", covering);
	CHECK(1, "slip.yaml: error: covers: the policy has no rule of art", "test",
	      "--coverage=full", slip);
	CHECK(0, "2 passed", "test", slip);
}

static void test_diff(void **state)
{
	char host_root[96], host_any[96];

	(void)state;
	put(host_root, "host-root.yaml", "policy: h\noverride: [{on: sethostname, do: deny, errno: EBUSY}]\n");
	put(host_any, "host-any.yaml",
	    "policy: h\noverride: [{on: sethostname, by: {uid: any}, do: deny, errno: EBUSY}]\n");
	CHECK(0, "no difference", "diff", good, "good");
	CHECK(1, "for instance: --uid 1 '{call: sethostname}'\n", "diff", host_root, host_any);
	CHECK(1, "refused by the kernel: old: none, new: deny EBUSY\n", "diff", host_root, host_any);
	CHECK(0, "override: deny, by the override rule", "explain", "--uid", "1", host_any, "{call: sethostname}");
	CHECK(0, "override: none", "explain", "--uid", "1", host_root, "{call: sethostname}");
	CHECK(0, "override: none", "explain", "--userns", "nested", host_any, "{call: sethostname}");
	CHECK(2, "--uid takes a number", "explain", "--uid", "x", host_any, "{call: sethostname}");
	CHECK(2, "--userns is host, container or nested", "explain", "--userns", "x", host_any,
	      "{call: sethostname}");
	CHECK(1, "now allowed: file: write, append, truncate\n    for instance: file "
		 "write,append,truncate /etc/a\n", "diff", good, other);
	CHECK(1, "now denied: file: write, append, truncate\n    for instance: file "
		 "write,append,truncate /etc/a\n    old: allow, default", "diff", other, good);
	CHECK(1, "\"kind\":\"allowed\"", "diff", "--json", good, other);
	CHECK(0, "\"complete\":true", "diff", "--json", good, good);
	CHECK(EXIT_WARDER, "reed", "diff", good, bad);
	CHECK(2, "OLD and NEW", "diff", good);
}

static void test_events(void **state)
{
	(void)state;
	CHECK(0, "0 requests change, 2 do not", "replay", "--policy", good, events);
	CHECK(0, "deny -> deny", "replay", "--all", "--policy", good, events);
	CHECK(1, "deny -> allow:", "replay", "--policy", messy, events);
	CHECK(EXIT_WARDER, "bad.yaml:1:1: error: no event", "replay", "--policy", good, bad);
	CHECK(2, "--policy NEW", "replay", events);
	CHECK(0, "- /etc/y  # seen once\n", "learn", "--from", events, "--name", "x");
	CHECK(0, "policy: x\n", "learn", "--from", events, "--name", "x");
	CHECK(0, "/etc/shadow*", "learn", "--list-never");
	CHECK(EXIT_WARDER, "no request to learn from", "learn", "--from", events, "--container",
	      "nobody");
	CHECK(2, "--name", "learn", "--name", "a b");
	CHECK(2, "--threshold", "learn", "--threshold", "1");
}

static void test_fmt(void **state)
{
	(void)state;
	CHECK(0, "policy: good  # name\nfile:\n  - {deny: [write], path: /a}\n", "fmt", messy);
	CHECK(1, "messy.yaml\n", "fmt", "--check", messy);
	CHECK(0, "", "fmt", "-w", messy);
	CHECK(0, "", "fmt", "--check", messy);
	CHECK(0, "policy: good.yaml\ntests:\n", "fmt", tests);
	CHECK(1, "reed", "fmt", bad);
	CHECK(2, "which file", "fmt");
	CHECK(2, "--write or --check", "fmt", "-w", "--check", messy);
	CHECK(1, "no profile", "import", "apparmor", empty);
	CHECK(1, "no spec", "import", "kubearmor", messy);
	CHECK(1, "no ociVersion", "import", "oci", messy);
	CHECK(2, "apparmor, kubearmor or oci", "import", "selinux", messy);
}

static mode_t kind_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode & S_IFMT;
}

/* Links, pipes and devices that people name stay what they are. */
static void test_writing(void **state)
{
	char text[96], link[96], far[96], loose[96], made[96], fifo[96], device[96], junit[96];
	char buf[256] = "";
	int fd;

	(void)state;
	put(text, "plain.yaml", "policy:   good\n");
	put(link, "link.yaml", NULL);
	put(far, "far.yaml", NULL);
	put(loose, "loose", NULL);
	put(made, "made", NULL);
	put(fifo, "fifo", NULL);
	put(device, "full", NULL);
	put(junit, "linked.xml", NULL);
	assert_int_equal(chmod(text, 0640), 0);
	assert_int_equal(symlink("plain.yaml", link), 0);
	assert_int_equal(symlink(link, far), 0);
	CHECK(0, "", "fmt", "-w", far);
	assert_int_equal(kind_of(far), S_IFLNK);
	assert_int_equal(kind_of(link), S_IFLNK);
	assert_int_equal(kind_of(text), S_IFREG);
	assert_true(file_has(text, "policy: good\n"));
	{
		struct stat st;

		assert_int_equal(stat(text, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0640);
	}
	/* One that leads to nothing yet. */
	assert_int_equal(symlink("made", loose), 0);
	CHECK(0, "", "compile", "-o", loose, good);
	assert_int_equal(kind_of(loose), S_IFLNK);
	CHECK(0, "digest:", "show", made);
	assert_int_equal(symlink("plain.xml", junit), 0);
	CHECK(0, "ok 1", "test", "--junit", junit, tests);
	assert_int_equal(kind_of(junit), S_IFLNK);
	/* A pipe gets it. */
	assert_int_equal(mkfifo(fifo, 0600), 0);
	fd = open(fifo, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	assert_true(fd >= 0);
	CHECK(0, "", "compile", "-o", fifo, good);
	assert_int_equal(kind_of(fifo), S_IFIFO);
	assert_true(read(fd, buf, sizeof(buf)) == (ssize_t)sizeof(buf));
	close(fd);
	/* What cannot be written says so, and stays. */
	CHECK(EXIT_WARDER, "Is a directory", "compile", "-o", folder, good);
	/* As root never the host's own: it would be gone if this failed. */
	if (geteuid() || mknod(device, S_IFCHR | 0600, makedev(1, 7)))
		strcpy(device, "/dev/full");
	if (strcmp(device, "/dev/full") || geteuid()) {
		CHECK(EXIT_WARDER, "cannot write", "compile", "-o", device, good);
		assert_int_equal(kind_of(device), S_IFCHR);
	}
	assert_int_equal(unlink(link), 0);
	assert_int_equal(symlink(link, link), 0);
	CHECK(EXIT_WARDER, "Too many levels", "compile", "-o", link, good);
}

int main(void)
{
	const struct CMUnitTest tests_[] = {
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_compile),
		cmocka_unit_test(test_explain),
		cmocka_unit_test(test_tests),
		cmocka_unit_test(test_reports),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_covers),
		cmocka_unit_test(test_diff),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_fmt),
		cmocka_unit_test(test_writing),
	};

	return cmocka_run_group_tests(tests_, setup, teardown);
}
