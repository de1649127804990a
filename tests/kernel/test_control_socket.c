// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The control socket against bad clients: each is refused with a sentence, cut off, and leaves
 * the daemon as it was: the same process, the same number of descriptors, and it answers.
 *
 *	test_control_socket                        starts warderd (found in PATH) and tests it
 *	test_control_socket --no-kernel            the same with a supervisor that enforces nothing
 *	test_control_socket ask SOCKET TEXT        sends one message and prints the reply; exit
 *	                                           status 1 and the errno's name if it cannot
 *	test_control_socket idle SOCKET N SECONDS  N connections that say nothing
 *	test_control_socket fds SOCKET             a message with descriptors; prints the reply
 *	test_control_socket linger SOCKET SECONDS  sends a TCP socket whose last close(2) waits
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "control.h"
#include "supervisor.h"
#include "warder_abi.h"

#define MANY_FDS 253 /* SCM_MAX_FD */
#define ANSWER_MS 20000

static char run_dir[64] = WARDER_RUN_DIR;
static char socket_path[96];
static pid_t daemon_pid;
static int no_kernel;
static int fds_at_rest; /* of the daemon, without a client */

/* ------------------------------------------------------------------- a raw client */

static int raw_connect(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd < 0 ? -errno : fd;
}

static int raw_send(int sock, const void *data, size_t len, const int *fds, size_t count)
{
	union {
		char b[CMSG_SPACE(sizeof(int) * MANY_FDS)];
		struct cmsghdr align;
	} space;
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (count) {
		struct cmsghdr *c;

		memset(&space, 0, sizeof(space));
		msg.msg_control = space.b;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * count);
	}
	return sendmsg(sock, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Bytes of the reply (a text), 0: closed, -errno. */
static ssize_t raw_recv(int sock, char *buf, size_t size)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };
	ssize_t n;

	if (poll(&p, 1, ANSWER_MS) != 1)
		return -ETIMEDOUT;
	n = recv(sock, buf, size - 1, 0);
	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	buf[n] = '\0';
	return n;
}

/* A connection with data that nobody reads, whose close waits for its peer for that long. */
static int linger_socket(int seconds, int *ret_peer)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct linger linger = { .l_onoff = 1, .l_linger = seconds };
	int server = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(addr);
	static char data[65536];

	if (bind(server, (struct sockaddr *)&addr, len) || listen(server, 1) ||
	    getsockname(server, (struct sockaddr *)&addr, &len) ||
	    connect(fd, (struct sockaddr *)&addr, len) ||
	    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)))
		return -errno;
	*ret_peer = accept(server, NULL, NULL);
	while (send(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
		;
	return fd;
}

static int client_main(int argc, char **argv)
{
	static char reply[CONTROL_MESSAGE_MAX + 1];
	int sock = argc > 2 ? raw_connect(argv[2]) : -EINVAL, err = sock < 0 ? sock : 0;
	int fds[2] = { 0, 1 };
	ssize_t n = 0;

	if (!err && !strcmp(argv[1], "idle") && argc == 5) {
		for (int i = 1; i < atoi(argv[3]); i++)
			raw_connect(argv[2]);
		printf("connected\n");
		fflush(stdout);
		sleep((unsigned)atoi(argv[4]));
		return 0;
	}
	if (!err && !strcmp(argv[1], "linger") && argc == 4) {
		int peer = -1, fd = linger_socket(atoi(argv[3]), &peer);

		if (fd < 0 || raw_send(sock, "{\"request\":\"status\"}", 20, &fd, 1))
			return 1;
		close(fd);
		printf("sent\n");
		fflush(stdout);
		sleep((unsigned)atoi(argv[3]));
		return peer < 0;
	}
	if (!err && argc > 3)
		err = raw_send(sock, argv[3], strlen(argv[3]), NULL, 0);
	else if (!err)
		err = raw_send(sock, "{\"request\":\"status\"}", 20, fds, 2);
	if (!err)
		n = raw_recv(sock, reply, sizeof(reply));
	if (err || n < 0) {
		printf("%s\n", strerrorname_np(err ? -err : (int)-n));
		return 1;
	}
	printf("%s\n", n ? reply : "closed");
	return 0;
}

/* --------------------------------------------------------------------- the daemon */

static int daemon_fds(void)
{
	char path[64];
	DIR *d;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", daemon_pid);
	d = opendir(path);
	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static int daemon_start(void **state)
{
	int ready[2];
	char text[WARDER_ERROR_SIZE];
	ssize_t n;

	(void)state;
	if (no_kernel)
		snprintf(run_dir, sizeof(run_dir), "/tmp/test-control-%d", getpid());
	snprintf(socket_path, sizeof(socket_path), "%s/" CONTROL_SOCKET, run_dir);
	if (pipe(ready))
		return -1;
	daemon_pid = fork();
	if (daemon_pid < 0)
		return -1;
	if (daemon_pid == 0) {
		close(ready[0]);
		if (no_kernel) {
			struct supervisor_options o = { .run_dir = run_dir,
							.ready_fd = ready[1],
							.no_kernel = 1 };
			struct warder_error e;

			_exit(supervisor_run(&o, &e) ? 1 : 0);
		}
		snprintf(text, sizeof(text), "%d", ready[1]);
		execlp("warderd", "warderd", "--ready-fd", text, (char *)NULL);
		_exit(127);
	}
	close(ready[1]);
	n = read(ready[0], text, sizeof(text) - 1);
	close(ready[0]);
	text[n > 0 ? n : 0] = '\0';
	if (strcmp(text, "ok"))
		print_error("warderd did not start: %s\n", text);
	/* It says that it is ready before it has closed the pipe on which it says so. */
	sleep(1);
	fds_at_rest = daemon_fds();
	return strcmp(text, "ok") != 0;
}

static int daemon_stop(void **state)
{
	/* Its programs are for the next script, see all.sh. */
	int killed = no_kernel || getenv("WARDER_TEST_KEEP"), status = -1;

	(void)state;
	kill(daemon_pid, killed ? SIGKILL : SIGTERM);
	waitpid(daemon_pid, &status, 0);
	if (killed)
		return 0;
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		print_error("warderd ended with status 0x%x\n", status);
		return -1;
	}
	/* It takes everything with it. */
	return access(run_dir, F_OK) == 0 || access("/sys/fs/bpf/warder", F_OK) == 0 ||
	       access("/sys/fs/cgroup/warder", F_OK) == 0;
}

/* Closing on the other side takes a moment. */
static int daemon_fds_settle(void)
{
	int n = daemon_fds();

	for (int i = 0; i < 100 && n != fds_at_rest; i++) {
		usleep(50000);
		n = daemon_fds();
	}
	return n;
}

static void assert_alive(void)
{
	static char reply[CONTROL_MESSAGE_MAX + 1];
	char pid[32];
	int sock = raw_connect(socket_path);

	assert_true(sock >= 0);
	assert_int_equal(raw_send(sock, "{\"request\":\"status\"}", 20, NULL, 0), 0);
	assert_true(raw_recv(sock, reply, sizeof(reply)) > 0);
	snprintf(pid, sizeof(pid), "\"pid\":%d,", daemon_pid);
	if (!strstr(reply, pid))
		fail_msg("another supervisor answers: %s", reply);
	close(sock);
	assert_int_equal(daemon_fds_settle(), fds_at_rest);
}

/* One message: refused with a sentence, and the connection ends iff `ends`. */
static void check_refused(const void *data, size_t len, const int *fds, size_t count, int ends,
			  const char *sentence)
{
	static char reply[CONTROL_MESSAGE_MAX + 1];
	int sock = raw_connect(socket_path);
	ssize_t n;

	assert_true(sock >= 0);
	assert_int_equal(raw_send(sock, data, len, fds, count), 0);
	n = raw_recv(sock, reply, sizeof(reply));
	if (n <= 0)
		fail_msg("no reply (%zd) to %.*s", n, (int)(len > 80 ? 80 : len),
			 (const char *)data);
	if (!strstr(reply, "\"ok\":false") || !strstr(reply, sentence))
		fail_msg("reply %s to %.*s", reply, (int)(len > 80 ? 80 : len),
			 (const char *)data);
	if (ends) {
		assert_int_equal(raw_recv(sock, reply, sizeof(reply)), 0);
	} else {
		assert_int_equal(raw_send(sock, "{\"request\":\"list\"}", 18, NULL, 0), 0);
		assert_true(raw_recv(sock, reply, sizeof(reply)) > 0);
		assert_non_null(strstr(reply, "\"ok\":true"));
	}
	close(sock);
}

static void check_text(const char *text, int ends, const char *sentence)
{
	check_refused(text, strlen(text), NULL, 0, ends, sentence);
}

/* ----------------------------------------------------------------------- messages */

static void test_framing(void **state)
{
	static char big[CONTROL_MESSAGE_MAX + 1];

	(void)state;
	check_text("{\"request\":\"stat", 1, "not complete");
	check_text("{\"request\":\"status\"}x", 1, "not JSON");
	check_text("{\"request\":\"status\"}{\"request\":\"status\"}", 1, "not JSON");
	check_text("[]", 1, "not a JSON object");
	check_text("\"status\"", 1, "not a JSON object");
	check_text("null", 1, "not");
	check_text("{'request':'status'}", 1, "not JSON");
	check_text("{\"request\":\"status\",}", 1, "not JSON");
	check_text("{\"request\":\"st\xff\"}", 1, "not JSON");
	check_text("NaN", 1, "not");
	check_text("{\"a\":[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]}", 1, "not JSON");
	check_refused("{\"request\":\"list\"}\0", 19, NULL, 0, 1, "after its object");
	check_refused("\0", 1, NULL, 0, 1, "not");
	/* One byte more than may be sent, and the most, of nothing but blanks and brackets. */
	memset(big, ' ', sizeof(big));
	check_refused(big, sizeof(big), NULL, 0, 1, "beyond");
	check_refused(big, sizeof(big) - 1, NULL, 0, 1, "not");
	memset(big, '[', sizeof(big));
	check_refused(big, sizeof(big) - 1, NULL, 0, 1, "not JSON");
	memset(big, 'x', sizeof(big));
	memcpy(big, "{\"request\":\"", 12);
	memcpy(big + sizeof(big) - 3, "\"}", 2);
	check_refused(big, sizeof(big) - 1, NULL, 0, 1, "unknown request");
	assert_alive();
}

static void test_requests(void **state)
{

	(void)state;
	check_text("{}", 1, "unknown request");
	check_text("{\"request\":\"\"}", 1, "unknown request");
	check_text("{\"request\":\"no-such\"}", 1, "no-such");
	check_text("{\"request\":5}", 1, "");
	check_text("{\"request\":null}", 1, "unknown request");
	check_text("{\"request\":\"list\\u0000\"}", 1, "");
	check_text("{\"request\":\"list\",\"name\":\"x\"}", 1, "unknown member \\\"name\\\"");
	check_text("{\"request\":\"kill\"}", 0, "names no container");
	check_text("{\"request\":\"kill\",\"name\":5}", 0, "must be of type string");
	check_text("{\"request\":\"kill\",\"name\":\"nobody\",\"signal\":65}", 0, "nobody");
	check_text("{\"request\":\"kill\",\"name\":\"a\\u0000b\"}", 0, "NUL");
	check_text("{\"request\":\"wait\"}", 0, "name or a cid");
	check_text("{\"request\":\"wait\",\"cid\":-1}", 0, "must be from 0");
	check_text("{\"request\":\"wait\",\"cid\":18446744073709551615}", 0, "no container");
	check_text("{\"request\":\"wait\",\"cid\":1.5}", 0, "type int");
	check_text("{\"request\":\"wait\",\"cid\":1,\"name\":\"x\"}", 0, "name or a cid");
	check_text("{\"request\":\"inspect\",\"name\":[]}", 0, "type string");
	check_text("{\"request\":\"events\",\"follow\":1}", 0, "type boolean");
	check_text("{\"request\":\"events\",\"name\":\"nobody\"}", 0, "nobody");
	check_text("{\"request\":\"policy-show\"}", 0, "no policy");
	check_text("{\"request\":\"policy-show\",\"name\":{}}", 0, "type string");
	check_text("{\"request\":\"policy-load\"}", 0, "one descriptor");
	check_text("{\"request\":\"keyring-show\",\"name\":\"nobody\"}", 0, "nobody");
	check_text("{\"request\":\"enter\",\"name\":\"nobody\",\"argv\":[\"sh\"]}", 0, "nobody");
	assert_alive();
}

static void test_run_requests(void **state)
{
	static char text[CONTROL_MESSAGE_MAX];
	size_t n;

	(void)state;
	check_text("{\"request\":\"run\"}", 0, "specification");
	check_text("{\"request\":\"run\",\"spec\":[]}", 0, "specification");
	check_text("{\"request\":\"run\",\"spec\":{\"argv\":[\"x\"]}}", 0, "policy name or an image");
	check_text("{\"request\":\"run\",\"spec\":{\"argv\":[]},\"policy\":\"none\"}", 0,
		   "no command");
	check_text("{\"request\":\"run\",\"spec\":{\"argv\":\"x\"},\"policy\":\"none\"}", 0, "array");
	check_text("{\"request\":\"run\",\"spec\":{\"argv\":[1]},\"policy\":\"none\"}", 0,
		   "strings");
	check_text("{\"request\":\"run\",\"spec\":{\"argv\":[null]},\"policy\":\"none\"}", 0,
		   "strings");
	check_text("{\"request\":\"run\",\"spec\":{\"argv\":[\"x\"],\"z\":1},\"policy\":\"n\"}", 0,
		   "unknown member");
	check_text("{\"request\":\"run\",\"spec\":{\"argv\":[\"x\"],\"name\":\"../x\"},"
		   "\"policy\":\"none\"}", 0, "container name");
	check_text("{\"request\":\"run\",\"spec\":{\"argv\":[\"x\"],\"rootfs\":\"a\"},"
		   "\"policy\":\"none\"}", 0, "absolute");
	check_text("{\"request\":\"run\",\"spec\":{\"argv\":[\"x\"],\"memory\":-1},"
		   "\"policy\":\"none\"}", 0, "must be from 0");
	check_text("{\"request\":\"run\",\"spec\":{\"argv\":[\"x\"],"
		   "\"pids_limit\":99999999999999999999},\"policy\":\"none\"}", 0, "pids_limit");
	check_text("{\"request\":\"run\",\"spec\":{\"argv\":[\"x\"]},\"policy\":\"no-such\"}", 0,
		   "no-such");
	check_text("{\"request\":\"run\",\"spec\":{\"argv\":[\"x\"]},\"policy\":\"n\","
		   "\"image\":true}", 0, "policy name or an image");
	check_text("{\"request\":\"run\",\"spec\":{\"argv\":[\"x\"]},\"image\":true}", 0,
		   "descriptor is missing");
	check_text("{\"request\":\"run\",\"spec\":{\"argv\":[\"x\"]},\"policy\":\"n\","
		   "\"stdio\":true}", 0, "descriptors");
	/* More arguments than there may be. */
	n = (size_t)snprintf(text, sizeof(text),
			     "{\"request\":\"run\",\"policy\":\"n\",\"spec\":{\"argv\":[\"x\"");
	for (int i = 0; i < 2048; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, ",\"y\"");
	snprintf(text + n, sizeof(text) - n, "]}}");
	check_text(text, 0, "more than 2048");
	assert_alive();
}

/* -------------------------------------------------------------------- descriptors */

static int sealed(const void *data, size_t len)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
	return fd;
}

static void test_wrong_fds(void **state)
{
	static const char load[] = "{\"request\":\"policy-load\"}";
	static const char list[] = "{\"request\":\"list\"}";
	/* As much as the images of one request may have, and a byte. */
	static char junk[WARDER_LAYERS_MAX * WARDER_IMAGE_SIZE + 1];
	int many[CONTROL_FDS_MAX], fd, pipes[2];

	(void)state;
	for (int i = 0; i < CONTROL_FDS_MAX; i++)
		many[i] = STDERR_FILENO;
	/* Descriptors that the request has no use for. */
	check_refused(list, sizeof(list) - 1, many, 1, 1, "descriptor");
	check_refused(list, sizeof(list) - 1, many, CONTROL_FDS_MAX, 1, "descriptor");
	check_refused(load, sizeof(load) - 1, many, 2, 1, "descriptor");
	/* What could make a reader wait or change under it. */
	assert_int_equal(pipe(pipes), 0);
	check_refused(load, sizeof(load) - 1, pipes, 1, 0, "sealed");
	fd = open("/dev/kmsg", O_RDONLY);
	if (fd >= 0)
		check_refused(load, sizeof(load) - 1, &fd, 1, 0, "sealed");
	close(fd);
	fd = open("/dev/zero", O_RDONLY);
	check_refused(load, sizeof(load) - 1, &fd, 1, 0, "sealed");
	close(fd);
	fd = open("/", O_PATH);
	check_refused(load, sizeof(load) - 1, &fd, 1, 0, "sealed");
	close(fd);
	fd = memfd_create("test", MFD_CLOEXEC);
	assert_int_equal(write(fd, "x", 1), 1);
	check_refused(load, sizeof(load) - 1, &fd, 1, 0, "sealed");
	close(fd);
	/* Not an image. */
	fd = sealed("", 0);
	check_refused(load, sizeof(load) - 1, &fd, 1, 0, "1 to");
	close(fd);
	fd = sealed(junk, sizeof(junk));
	check_refused(load, sizeof(load) - 1, &fd, 1, 0, "1 to");
	close(fd);
	fd = sealed(junk, sizeof(junk) - 1);
	check_refused(load, sizeof(load) - 1, &fd, 1, 0, "magic");
	close(fd);
	fd = sealed(junk, WARDER_IMAGE_SIZE + 1);
	check_refused(load, sizeof(load) - 1, &fd, 1, 0, "magic");
	close(fd);
	fd = sealed("x", 1);
	check_refused(load, sizeof(load) - 1, &fd, 1, 0, "");
	close(fd);
	close(pipes[0]);
	close(pipes[1]);
	assert_alive();
}

static void test_fd_flood(void **state)
{
	static const char text[] = "{\"request\":\"status\"}";
	int many[MANY_FDS];

	(void)state;
	for (int i = 0; i < MANY_FDS; i++)
		many[i] = STDERR_FILENO;
	check_refused(text, sizeof(text) - 1, many, CONTROL_FDS_MAX + 1, 1, "descriptors");
	check_refused(text, sizeof(text) - 1, many, MANY_FDS, 1, "descriptors");
	/* Never read: they pile up in the socket until it is closed. */
	for (int k = 0; k < 20; k++) {
		int sock = raw_connect(socket_path);

		assert_true(sock >= 0);
		for (int i = 0; i < 10; i++) {
			if (raw_send(sock, text, sizeof(text) - 1, many, MANY_FDS))
				break;
		}
		close(sock);
	}
	assert_alive();
}

/* -------------------------------------------------------------------- connections */

static void test_idle_connections(void **state)
{
	int sock[300], refused = 0;
	char c;

	(void)state;
	for (int i = 0; i < 300; i++) {
		sock[i] = raw_connect(socket_path);
		assert_true(sock[i] >= 0);
	}
	/* The last of them are cut off once the limit is reached. */
	for (int tries = 0; tries < 100 && refused < 300 - 256; tries++) {
		refused = 0;
		usleep(50000);
		for (int i = 0; i < 300; i++)
			refused += recv(sock[i], &c, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
	}
	assert_int_equal(refused, 300 - 256);
	/* Those that were let in are served. */
	assert_int_equal(raw_send(sock[0], "{\"request\":\"x\"}", 15, NULL, 0), 0);
	assert_true(raw_recv(sock[0], (char[CONTROL_MESSAGE_MAX]){ 0 }, CONTROL_MESSAGE_MAX) > 0);
	for (int i = 0; i < 300; i++)
		close(sock[i]);
	assert_alive();
}

/* Asks for much and reads nothing: the daemon neither waits nor keeps it. */
static void test_deaf_client(void **state)
{
	int sock = raw_connect(socket_path), err = 0, sent = 0;

	(void)state;
	assert_true(sock >= 0);
	fcntl(sock, F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 20000 && !err; i++) {
		err = raw_send(sock, "{\"request\":\"status\"}", 20, NULL, 0);
		if (err == -EAGAIN) {
			usleep(1000);
			err = 0;
		} else if (!err) {
			sent++;
		}
	}
	assert_true(err == -EPIPE || err == -ECONNRESET);
	assert_true(sent > 10);
	close(sock);
	assert_alive();
}

/* Half a conversation, then gone: at every point. */
static void test_hangups(void **state)
{
	static const char *const texts[] = { "", "{\"request\":\"status\"}",
					     "{\"request\":\"events\",\"follow\":true}",
					     "{\"request\":\"wait\",\"cid\":1}", "{" };

	(void)state;
	for (int k = 0; k < 40; k++) {
		const char *text = texts[k % 5];
		int sock = raw_connect(socket_path);

		assert_true(sock >= 0);
		raw_send(sock, text, strlen(text), NULL, 0);
		if (k % 2)
			shutdown(sock, SHUT_WR);
		close(sock);
	}
	assert_alive();
}

static void test_another_user(void **state)
{
	struct stat st;
	pid_t pid;
	int status;

	(void)state;
	assert_int_equal(lstat(socket_path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	pid = fork();
	if (pid == 0) {
		if (setgid(1000) || setuid(1000))
			_exit(99);
		_exit(-raw_connect(socket_path));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EACCES);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_framing),		 cmocka_unit_test(test_requests),
		cmocka_unit_test(test_run_requests),	 cmocka_unit_test(test_wrong_fds),
		cmocka_unit_test(test_fd_flood),	 cmocka_unit_test(test_idle_connections),
		cmocka_unit_test(test_deaf_client),	 cmocka_unit_test(test_hangups),
		cmocka_unit_test(test_another_user),
	};

	if (argc > 1 && strcmp(argv[1], "--no-kernel"))
		return client_main(argc, argv);
	no_kernel = argc > 1;
	return cmocka_run_group_tests(tests, daemon_start, daemon_stop);
}
