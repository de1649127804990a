// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The OCI hook: what it takes from a runtime, and how it holds the runtime's process until there is
 * something to judge. The runtime's part is played here.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cleanup.h"
#include "oci.h"
#include "policy.h"

static void container_refused(const char *text, const char *why)
{
	struct oci_container_state s;
	struct warder_error e = { "" };

	if (oci_container_parse(text, strlen(text), &s, &e) != -EINVAL || !strstr(e.text, why))
		fail_msg("%s: \"%s\", not \"%s\"", text, e.text, why);
	oci_container_done(&s);
}

static void test_container(void **state)
{
	char text[8192], value[4200];
	struct oci_container_state s;
	struct warder_error e = { "" };
	size_t used;

	(void)state;
	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	/* What no match can name is left out: a value that is too long, a key with '=' or control
	 * characters, a value with a NUL. */
	snprintf(text, sizeof(text),
		 "{\"ociVersion\":\"1.0.2\",\"id\":\"c1\",\"status\":\"creating\",\"pid\":41,"
		 "\"bundle\":\"/b\",\"annotations\":{\"a\":\"b=c\",\"long\":\"%s\",\"x=y\":\"z\","
		 "\"new\\nline\":\"z\",\"nul\":\"a\\u0000b\",\"\":\"z\",\"io.x/y\":\"\"}}", value);
	assert_int_equal(oci_container_parse(text, strlen(text), &s, &e), 0);
	assert_string_equal(s.id, "c1");
	assert_string_equal(s.status, "creating");
	assert_int_equal(s.pid, 41);
	assert_string_equal(s.annotations[0], "a=b=c");
	assert_string_equal(s.annotations[1], "io.x/y=");
	assert_null(s.annotations[2]);
	oci_container_done(&s);
	/* Older runtimes write null where there are none. */
	snprintf(text, sizeof(text), "{\"id\":\"x\",\"status\":\"created\",\"pid\":7,\"annotations\":null}");
	assert_int_equal(oci_container_parse(text, strlen(text), &s, &e), 0);
	assert_null(s.annotations);

	container_refused("", "");
	container_refused("[]", "");
	container_refused("{\"status\":\"created\",\"pid\":7}", "no id");
	container_refused("{\"id\":\"x\",\"pid\":7}", "no status");
	container_refused("{\"id\":\"x\",\"status\":\"stopped\"}", "no pid");
	container_refused("{\"id\":\"x\",\"status\":\"created\",\"pid\":-1}", "pid");
	container_refused("{\"id\":\"x\",\"status\":\"created\",\"pid\":7,\"annotations\":[]}", "no object");
	container_refused("{\"id\":\"x\",\"status\":\"created\",\"pid\":7,\"annotations\":{\"a\":5}}",
			  "a is no string");
	used = (size_t)snprintf(text, sizeof(text), "{\"id\":\"x\",\"status\":\"created\",\"pid\":7,"
						    "\"annotations\":{");
	for (int i = 0; i <= POLICY_ANNOTATIONS_MAX; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s\"k%d\":\"v\"", i ? "," : "", i);
	snprintf(text + used, sizeof(text) - used, "}}");
	container_refused(text, "65 annotations, and there can be 64");
}

static void test_container_name(void **state)
{
	char id[80], name[WARDER_NAME_SIZE];
	struct warder_error e = { "" };

	(void)state;
	assert_int_equal(oci_container_name("web-1.a_b", name, &e), 0);
	assert_string_equal(name, "web-1.a_b");
	memset(id, 'f', 64);
	id[64] = '\0';
	memcpy(id, "0123456789abcde", 15);
	assert_int_equal(oci_container_name(id, name, &e), 0);
	assert_string_equal(name, "0123456789ab");
	id[20] = 'g';
	assert_int_equal(oci_container_name(id, name, &e), -EINVAL);
	assert_non_null(strstr(e.text, "--name"));
	id[63] = '\0';
	assert_int_equal(oci_container_name(id, name, &e), 0);
	assert_string_equal(name, id);
	assert_int_equal(oci_container_name("a+b", name, &e), -EINVAL);
	assert_int_equal(oci_container_name("../x", name, &e), -EINVAL);
}

/* ------------------------------------------------------------------------------ held */

struct held {
	int calls;
	int fails;
	pid_t pid;
	char comm[32]; /* of the process when it was asked */
};

static int held_adopt(void *arg)
{
	struct held *h = arg;
	cleanup_fclose FILE *f = NULL;
	char path[64];

	h->calls++;
	snprintf(path, sizeof(path), "/proc/%d/comm", h->pid);
	f = fopen(path, "re");
	if (f && fgets(h->comm, sizeof(h->comm), f))
		h->comm[strcspn(h->comm, "\n")] = '\0';
	return h->fails;
}

static void *held_thread(void *arg)
{
	(void)arg;
	for (;;)
		usleep(1000);
	return NULL;
}

/* A "runtime": with `threads` others, it forks one that executes a program in our root, and then
 * executes one itself, which says so in `to`. */
static pid_t held_start(int go, int to, int threads)
{
	pid_t pid = fork();
	char c;

	if (pid)
		return pid;
	prctl(PR_SET_NAME, "runtime");
	dup2(to, STDOUT_FILENO);
	for (int i = 0; i < threads; i++) {
		pthread_t t;

		pthread_create(&t, NULL, held_thread, NULL);
	}
	if (read(go, &c, 1) != 1)
		_exit(3);
	pid = fork();
	if (!pid) {
		execl("/bin/echo", "echo", "hook", (char *)NULL);
		_exit(4);
	}
	waitpid(pid, NULL, 0);
	execl("/nonexistent", "x", (char *)NULL);
	execl("/bin/echo", "echo", "program", (char *)NULL);
	_exit(5);
}

/* Holds it in a process of its own, as a tracer's children are all that it waits for. */
static int held_run(int threads, int fails, char *ret_text, size_t size, struct held *ret)
{
	int go[2], to[2], say[2], status = -1;
	struct warder_error e = { "" };
	struct held h = { .fails = fails };
	ssize_t n;
	size_t used = 0;
	pid_t pid;

	assert_int_equal(pipe2(go, O_CLOEXEC) | pipe2(to, O_CLOEXEC) | pipe2(say, O_CLOEXEC), 0);
	pid = fork();
	if (!pid) {
		int err;

		h.pid = held_start(go[0], to[1], threads);
		close(to[1]);
		usleep(20000);
		err = oci_hold_begin(h.pid, &e);
		if (err || write(go[1], "x", 1) != 1)
			_exit(100);
		err = oci_hold_run(h.pid, held_adopt, &h);
		if (write(say[1], &h, sizeof(h)) != sizeof(h))
			_exit(101);
		_exit(err ? 1 : 0);
	}
	close(to[1]);
	while ((n = read(to[0], ret_text + used, size - 1 - used)) > 0)
		used += (size_t)n;
	ret_text[used] = '\0';
	assert_int_equal(read(say[0], ret, sizeof(*ret)), sizeof(*ret));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	for (int i = 0; i < 2; i++) {
		close(go[i]);
		close(say[i]);
	}
	close(to[0]);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_held(void **state)
{
	struct held h;
	char text[64];

	(void)state;
	for (int threads = 0; threads <= 4; threads += 4) {
		/* Asked once, before the first program of its own; what another in our root executes
		 * is not the container's. */
		assert_int_equal(held_run(threads, 0, text, sizeof(text), &h), 0);
		assert_string_equal(text, "hook\nprogram\n");
		assert_int_equal(h.calls, 1);
		assert_string_equal(h.comm, "runtime");
		/* Not adopted: it is killed before it executes anything. */
		assert_int_equal(held_run(threads, -EPERM, text, sizeof(text), &h), 1);
		assert_string_equal(text, "hook\n");
		assert_int_equal(h.calls, 1);
	}
}

/* Who holds dies, and what is held with it. */
static void test_held_dies(void **state)
{
	int go[2], to[2], ready[2], status = -1;
	char text[64] = "", c;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(go, O_CLOEXEC) | pipe2(to, O_CLOEXEC) | pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (!pid) {
		struct held h = { .pid = held_start(go[0], to[1], 2) };

		close(to[1]);
		if (oci_hold_begin(h.pid, NULL) || write(ready[1], "x", 1) != 1)
			_exit(100);
		oci_hold_run(h.pid, held_adopt, &h);
		_exit(0);
	}
	close(to[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	/* It may be killed while it is let go on. */
	assert_int_equal(write(go[1], "x", 1), 1);
	assert_int_equal(read(to[0], text, sizeof(text)), 0);
	for (int i = 0; i < 2; i++) {
		close(go[i]);
		close(ready[i]);
	}
	close(to[0]);
}

static void test_held_refused(void **state)
{
	struct warder_error e = { "" };

	(void)state;
	assert_int_equal(oci_hold_begin(0x7ffffff0, &e), -ESRCH);
	assert_non_null(strstr(e.text, "is gone"));
	assert_int_equal(oci_hold_begin(getpid(), &e), -EPERM); /* nobody traces oneself */
	assert_non_null(strstr(e.text, "cannot be held"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_container),    cmocka_unit_test(test_container_name),
		cmocka_unit_test(test_held),	     cmocka_unit_test(test_held_dies),
		cmocka_unit_test(test_held_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
