// SPDX-License-Identifier: LGPL-2.1-or-later
/* warder policy: exit status and output of the commands, each in a process of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "cleanup.h"
#include "commands.h"

static char folder[64];
static char good[96], bad[96], image[96];

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
	put(image, "image", NULL);
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
	(void)state;
	CHECK(0, "ok, policy good", "check", good);
	CHECK(1, "bad.yaml:3:12: error: file: no access is called \"reed\"", "check", bad);
	CHECK(1, "bad.yaml:3:24: error", "check", good, bad);
	CHECK(1, "\"column\":12", "check", "--json", bad);
	CHECK(0, "[", "check", "--json", good);
	CHECK(1, "No such file", "check", "/nonexistent");
	CHECK(EXIT_WARDER, "which file", "check");
	CHECK(EXIT_WARDER, "unknown option", "check", "--stats", good);
	CHECK(EXIT_WARDER, "which command", "chek", good);
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
	CHECK(0, "allow\n", "explain", good, "exec", "/bin/sh");
	CHECK(0, "{allow: [net_admin]}", "explain", good, "capability", "CAP_NET_ADMIN");
	CHECK(0, "allow\n", "explain", good, "mount", "tmpfs", "/tmp/x", "nosuid,nodev");
	CHECK(0, "deny: EPERM", "explain", good, "mount", "ext4", "/tmp/x");
	CHECK(0, "{allow: [umount], target: \"/tmp/x\"}", "explain", good, "umount", "/tmp/x");
	CHECK(0, "\"verdict\":\"deny\"", "explain", "--json", good, "file", "write", "/etc/x");
	CHECK(0, "\"id\":\"ro\"", "explain", "--json", good, "file", "write", "/etc/x");
	CHECK(1, "reed", "explain", bad, "exec", "/bin/sh");
	CHECK(EXIT_WARDER, "no file access is called \"rd\"", "explain", good, "file", "rd", "/x");
	CHECK(EXIT_WARDER, "no name that the kernel gives", "explain", good, "exec", "bin/sh");
	CHECK(EXIT_WARDER, "no name that the kernel gives", "explain", good, "exec", "/bin/../sh");
	CHECK(EXIT_WARDER, "no capability", "explain", good, "capability", "nothing");
	CHECK(EXIT_WARDER, "the class is", "explain", good, "network", "x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_compile),
		cmocka_unit_test(test_explain),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
