// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Class "network" of unix sockets: by path and by abstract name, of the container's own, of the
 * host's, of another container's. Names are the peer's, not those that the caller writes.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"

#define BROKEN 90
#define DIR "/tmp/net-unix"

/* A name as the tests write it: '@' before an abstract one, whose bytes may be any. */
struct name {
	const char *text;
	size_t len; /* 0: as long as the text is */
};

#define NAME(t) ((struct name){ t, sizeof(t) - 1 })

static socklen_t address(const struct name *n, struct sockaddr_un *un)
{
	size_t len = n->len ? n->len : strlen(n->text);

	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, n->text, len);
	if (n->text[0] == '@') {
		un->sun_path[0] = '\0';
		return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	}
	return sizeof(*un);
}

enum what { CREATE, CONNECT, SENDTO, CONNECT_SEND, BIND, BIND_LISTEN, BIND_ACCEPT, AUTOBIND, PAIR,
	    MKNOD };

struct try {
	enum what what;
	int type;
	struct name name;
	const char *chdir;
};

static int attempt(void *arg)
{
	const struct try *t = arg;
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	socklen_t len = t->name.text ? address(&t->name, &un) : sizeof(un.sun_family);
	int pair[2], fd = socket(AF_UNIX, t->type, 0);

	if (t->chdir && chdir(t->chdir))
		return BROKEN;
	if (fd < 0)
		return errno;
	switch (t->what) {
	case CREATE:
		return 0;
	case CONNECT:
		return h_errno(connect(fd, (void *)&un, len));
	case SENDTO:
		return h_errno(sendto(fd, "x", 1, 0, (void *)&un, len));
	case CONNECT_SEND:
		if (connect(fd, (void *)&un, len))
			return errno;
		return h_errno(send(fd, "x", 1, 0));
	case AUTOBIND:
	case BIND:
		return h_errno(bind(fd, (void *)&un, len));
	case BIND_LISTEN:
		return bind(fd, (void *)&un, len) ? BROKEN : h_errno(listen(fd, 1));
	case BIND_ACCEPT:
		if (bind(fd, (void *)&un, len) || listen(fd, 1))
			return BROKEN;
		return h_errno(accept4(fd, NULL, NULL, SOCK_NONBLOCK));
	case PAIR:
		if (socketpair(AF_UNIX, t->type, 0, pair))
			return errno;
		return h_errno(send(pair[0], "x", 1, 0));
	case MKNOD:
		return h_errno(mknod(t->name.text, S_IFSOCK | 0666, 0));
	}
	return BROKEN;
}

#define TRY(what_, type_, name_) \
	((struct try){ .what = what_, .type = type_, .name = NAME(name_) })

static int go(int slot, struct try t)
{
	return h_run(slot, attempt, &t);
}

/* ------------------------------------------------------------------- servers */

struct server {
	struct try at;
	int ready[2];
	pid_t pid;
};

static int serve(void *arg)
{
	struct server *s = arg;
	struct sockaddr_un un;
	socklen_t len = address(&s->at.name, &un);
	int fd = socket(AF_UNIX, s->at.type, 0);

	if (fd < 0 || bind(fd, (void *)&un, len) ||
	    (s->at.type != SOCK_DGRAM && listen(fd, 8)) || write(s->ready[1], "", 1) != 1)
		return BROKEN;
	for (;;)
		pause();
}

/* A server in container `in`, -1: on the host. */
static void server_start(struct server *s, int in, int type, struct name name)
{
	char c;

	s->at = (struct try){ .type = type, .name = name };
	if (name.text[0] != '@')
		unlink(name.text);
	assert_int_equal(pipe2(s->ready, O_CLOEXEC), 0);
	s->pid = h_start(in, serve, s);
	close(s->ready[1]);
	assert_int_equal(read(s->ready[0], &c, 1), 1);
	close(s->ready[0]);
}

static void server_stop(struct server *s)
{
	kill(s->pid, SIGKILL);
	h_wait(s->pid);
}

static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM };

/* ----------------------------------------------------------- of the container */

static void test_own(void **state)
{
	__u32 s = h_container("policy: n\nnetwork:\n"
			      "  - deny: [connect]\n    unix: [" DIR "/no/**, '@no-*']\n"
			      "    errno: ECONNREFUSED\n"
			      "  - deny: [bind]\n    unix: [" DIR "/closed/**, '@closed-*']\n");
	struct server yes, no, abstract, zero;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		int type = types[i];

		server_start(&yes, (int)s, type, NAME(DIR "/yes/s"));
		server_start(&no, (int)s, type, NAME(DIR "/no/s"));
		server_start(&abstract, (int)s, type, NAME("@no-1"));
		server_start(&zero, (int)s, type, NAME("@no\0-1"));
		assert_int_equal(go((int)s, TRY(CONNECT, type, DIR "/yes/s")), 0);
		assert_int_equal(go((int)s, TRY(CONNECT, type, DIR "/no/s")), ECONNREFUSED);
		assert_int_equal(go((int)s, TRY(CONNECT, type, "@no-1")), ECONNREFUSED);
		assert_int_equal(go((int)s, TRY(CONNECT, type, "@no\0-1")), 0);
		/* The host is not restricted. */
		assert_int_equal(go(-1, TRY(CONNECT, type, DIR "/no/s")), 0);
		server_stop(&yes);
		server_stop(&no);
		server_stop(&abstract);
		server_stop(&zero);
		assert_int_equal(go((int)s, TRY(PAIR, type, "")), 0);
	}
	unlink(DIR "/yes/s");
	assert_int_equal(go((int)s, TRY(BIND, SOCK_STREAM, DIR "/yes/s")), 0);
	assert_int_equal(go((int)s, TRY(BIND, SOCK_STREAM, DIR "/closed/s")), EACCES);
	assert_int_equal(access(DIR "/closed/s", F_OK), -1);
	assert_int_equal(go((int)s, TRY(BIND, SOCK_STREAM, DIR "/link-to-closed/s")), EACCES);
	assert_int_equal(go((int)s, (struct try){ .what = BIND, .type = SOCK_STREAM,
						  .name = { "s", 0 }, .chdir = DIR "/closed" }),
			 EACCES);
	assert_int_equal(go((int)s, TRY(MKNOD, SOCK_STREAM, DIR "/closed/s")), EACCES);
	assert_int_equal(go((int)s, TRY(BIND, SOCK_DGRAM, "@closed-1")), EACCES);
	assert_int_equal(go((int)s, TRY(BIND, SOCK_DGRAM, "@closed\0-1")), 0);
	assert_int_equal(go((int)s, TRY(BIND, SOCK_DGRAM, "@open-1")), 0);
	assert_int_equal(go((int)s, (struct try){ .what = AUTOBIND, .type = SOCK_DGRAM }), 0);
}

static void test_default_deny(void **state)
{
	__u32 s = h_container("policy: n\ndefaults: {network: deny}\nnetwork:\n"
			      "  - allow: [bind, listen, connect]\n    unix: " DIR "/yes/**\n"
			      "  - allow: [bind]\n    unix: '@half-*'\n");
	__u32 none = h_container("policy: n\ndefaults: {network: deny}\n");
	struct server server;

	(void)state;
	assert_int_equal(go((int)none, TRY(CREATE, SOCK_STREAM, "")), EACCES);
	assert_int_equal(go((int)s, TRY(CREATE, SOCK_STREAM, "")), 0);
	unlink(DIR "/yes/s");
	unlink(DIR "/no/s");
	assert_int_equal(go((int)s, TRY(BIND, SOCK_STREAM, DIR "/no/s")), EACCES);
	assert_int_equal(go((int)s, TRY(BIND_LISTEN, SOCK_STREAM, DIR "/yes/s")), 0);
	unlink(DIR "/yes/s");
	assert_int_equal(go((int)s, TRY(BIND_ACCEPT, SOCK_STREAM, DIR "/yes/s")), EACCES);
	assert_int_equal(go((int)s, TRY(BIND, SOCK_STREAM, "@half-1")), 0);
	assert_int_equal(go((int)s, TRY(BIND_LISTEN, SOCK_STREAM, "@half-1")), EACCES);
	assert_int_equal(go((int)s, TRY(BIND, SOCK_STREAM, "@other")), EACCES);
	assert_int_equal(go((int)s, (struct try){ .what = AUTOBIND, .type = SOCK_DGRAM }), EACCES);
	server_start(&server, (int)s, SOCK_STREAM, NAME(DIR "/yes/s"));
	assert_int_equal(go((int)s, TRY(CONNECT, SOCK_STREAM, DIR "/yes/s")), 0);
	server_stop(&server);
}

/* Datagrams: connecting and sending are two rights. */
static void test_datagrams(void **state)
{
	__u32 connect_ = h_container("policy: n\nnetwork:\n  - deny: [send]\n"
				     "    unix: [" DIR "/no/**, '@no-*']\n");
	__u32 send_ = h_container("policy: n\nnetwork:\n  - deny: [connect]\n"
				  "    unix: [" DIR "/no/**, '@no-*']\n");
	static const struct name names[] = { { DIR "/no/d", 0 }, { "@no-d", 0 } };
	struct server server;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct try t = { .type = SOCK_DGRAM, .name = names[i] };

		server_start(&server, (int)connect_, SOCK_DGRAM, names[i]);
		t.what = SENDTO;
		assert_int_equal(go((int)connect_, t), EACCES);
		t.what = CONNECT_SEND;
		assert_int_equal(go((int)connect_, t), 0);
		server_stop(&server);
		server_start(&server, (int)send_, SOCK_DGRAM, names[i]);
		assert_int_equal(go((int)send_, t), EACCES);
		t.what = SENDTO;
		assert_int_equal(go((int)send_, t), 0);
		server_stop(&server);
	}
}

/* --------------------------------------------------------------- of the host */

static void test_host(void **state)
{
	__u32 none = h_container("policy: n\n");
	__u32 audit = h_container("policy: n\nmode: audit\n");
	__u32 family = h_container("policy: n\nnetwork:\n  - allow: ['*']\n    family: unix\n");
	__u32 s = h_container("policy: n\nnetwork:\n  - allow: [connect, send]\n"
			      "    unix: [" DIR "/yes/**, '@yes-*']\n"
			      "  - deny: [connect]\n    unix: '@yes-not'\n");
	__u32 lenient = h_container("policy: n\nmode: audit\nnetwork:\n  - allow: [connect, send]\n"
				    "    unix: " DIR "/yes/**\n  - deny: [connect]\n"
				    "    unix: " DIR "/no/**\n");
	struct server yes, no, abstract, not;

	(void)state;
	/* Later than the containers: their names of files do not know it. */
	assert_int_equal(mount(DIR "/no", DIR "/yes/bound", NULL, MS_BIND, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		int type = types[i];

		server_start(&yes, -1, type, NAME(DIR "/yes/s"));
		server_start(&no, -1, type, NAME(DIR "/no/s"));
		server_start(&abstract, -1, type, NAME("@yes-1"));
		server_start(&not, -1, type, NAME("@yes-not"));
		assert_int_equal(go((int)none, TRY(CONNECT, type, DIR "/yes/s")), EPERM);
		assert_int_equal(go((int)none, TRY(CONNECT, type, "@yes-1")), EPERM);
		assert_int_equal(go((int)audit, TRY(CONNECT, type, DIR "/yes/s")), EPERM);
		/* All of a family is not a service that the policy lists. */
		assert_int_equal(go((int)family, TRY(CONNECT, type, DIR "/yes/s")), EPERM);
		assert_int_equal(go((int)family, TRY(CONNECT, type, "@yes-1")), EPERM);
		assert_int_equal(go((int)s, TRY(CONNECT, type, DIR "/yes/s")), 0);
		assert_int_equal(go((int)s, TRY(CONNECT, type, "@yes-1")), 0);
		assert_int_equal(go((int)s, TRY(CONNECT, type, "@yes-not")), EPERM);
		assert_int_equal(go((int)s, TRY(CONNECT, type, DIR "/no/s")), EPERM);
		/* Audit mode lifts nothing that the baseline refuses. */
		assert_int_equal(go((int)lenient, TRY(CONNECT, type, DIR "/yes/s")), 0);
		assert_int_equal(go((int)lenient, TRY(CONNECT, type, DIR "/no/s")), EPERM);
		/* Other ways to the same sockets. */
		assert_int_equal(go((int)s, TRY(CONNECT, type, DIR "/to-yes")), 0);
		assert_int_equal(go((int)s, TRY(CONNECT, type, DIR "/yes/to-no")), EPERM);
		assert_int_equal(go((int)s, TRY(CONNECT, type, DIR "/yes/bound/s")), EPERM);
		assert_int_equal(go((int)s, TRY(CONNECT, type, "/proc/self/root" DIR "/no/s")),
				 EPERM);
		assert_int_equal(go((int)s, TRY(CONNECT, type, "/proc/self/root" DIR "/yes/s")),
				 0);
		assert_int_equal(go((int)s, (struct try){ .what = CONNECT, .type = type,
							  .name = { "yes/../no/s", 0 },
							  .chdir = DIR }), EPERM);
		/* A second name of a socket does not make it another. */
		assert_int_equal(link(DIR "/no/s", DIR "/yes/hard"), 0);
		assert_int_equal(go((int)s, TRY(CONNECT, type, DIR "/yes/hard")), EPERM);
		unlink(DIR "/no/s");
		assert_int_equal(go((int)s, TRY(CONNECT, type, DIR "/yes/hard")), EPERM);
		assert_int_equal(go(-1, TRY(CONNECT, type, DIR "/yes/hard")), 0);
		unlink(DIR "/yes/hard");
		server_stop(&yes);
		server_stop(&no);
		server_stop(&abstract);
		server_stop(&not);
	}
	assert_int_equal(umount(DIR "/yes/bound"), 0);
	server_start(&yes, -1, SOCK_DGRAM, NAME(DIR "/yes/s"));
	assert_int_equal(go((int)s, TRY(SENDTO, SOCK_DGRAM, DIR "/yes/s")), 0);
	assert_int_equal(go((int)none, TRY(SENDTO, SOCK_DGRAM, DIR "/yes/s")), EPERM);
	server_stop(&yes);
}

/* ------------------------------------------------------ of another container */

static void test_other_container(void **state)
{
	__u32 b = h_container("policy: peer\n"), none = h_container("policy: n\nnetwork:\n"
		"  - allow: ['*']\n    unix: " DIR "/**\n");
	__u32 ipc = h_container("policy: n\nipc:\n  - allow: [unix]\n    peer: 'policy:peer'\n");
	__u32 both = h_container("policy: n\nipc:\n  - allow: [unix]\n    peer: 'policy:peer'\n"
				 "network:\n  - deny: [connect, send]\n    unix: " DIR "/no/**\n");
	struct server yes, no;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		int type = types[i];

		server_start(&yes, (int)b, type, NAME(DIR "/yes/s"));
		server_start(&no, (int)b, type, NAME(DIR "/no/s"));
		/* Naming the path is not enough: whose socket lies there is not its container's
		 * to choose. */
		assert_int_equal(go((int)none, TRY(CONNECT, type, DIR "/yes/s")), EACCES);
		assert_int_equal(go((int)ipc, TRY(CONNECT, type, DIR "/yes/s")), 0);
		assert_int_equal(go((int)both, TRY(CONNECT, type, DIR "/yes/s")), 0);
		assert_int_equal(go((int)both, TRY(CONNECT, type, DIR "/no/s")), EACCES);
		server_stop(&yes);
		server_stop(&no);
	}
}

/* A socket received from the host is used by the container's rules. */
static int use_given(void *arg)
{
	struct try *t = arg;
	struct sockaddr_un un;
	socklen_t len = address(&t->name, &un);

	return h_errno(connect(t->type, (void *)&un, len));
}

static void test_given(void **state)
{
	__u32 s = h_container("policy: n\nnetwork:\n  - allow: [connect]\n    unix: " DIR "/yes/**\n");
	struct try t = { .name = NAME(DIR "/no/s") };
	struct server yes, no;

	(void)state;
	server_start(&yes, -1, SOCK_STREAM, NAME(DIR "/yes/s"));
	server_start(&no, -1, SOCK_STREAM, NAME(DIR "/no/s"));
	t.type = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(h_run((int)s, use_given, &t), EPERM);
	t.name = NAME(DIR "/yes/s");
	assert_int_equal(h_run((int)s, use_given, &t), 0);
	close(t.type);
	server_stop(&yes);
	server_stop(&no);
}

static void test_event(void **state)
{
	char name[WARDER_PATH_MAX], detail[WARDER_PATH_MAX];
	__u32 s = h_container("policy: n\nnetwork:\n  - deny: [connect]\n"
			      "    unix: [" DIR "/no/**, '@no*']\n");
	struct server path, abstract, host;
	struct warder_event e;

	(void)state;
	server_start(&path, (int)s, SOCK_STREAM, NAME(DIR "/no/s"));
	server_start(&abstract, (int)s, SOCK_STREAM, NAME("@no\0x"));
	server_start(&host, -1, SOCK_STREAM, NAME(DIR "/yes/s"));
	h_events_drop();
	assert_int_equal(go((int)s, TRY(CONNECT, SOCK_STREAM, DIR "/yes/to-no")), EACCES);
	assert_int_equal(h_event_last(s, &e, name, detail), 1);
	assert_int_equal(e.class_, WARDER_CLASS_NETWORK);
	assert_int_equal(e.access, WARDER_NET_CONNECT);
	assert_int_equal(e.v.why, WARDER_WHY_RULE);
	assert_int_equal(e.address.families, WARDER_FAM_UNIX);
	assert_int_equal(e.address.family, AF_UNIX);
	assert_string_equal(name, DIR "/no/s");
	assert_int_equal(go((int)s, TRY(CONNECT, SOCK_STREAM, "@no\0x")), EACCES);
	assert_int_equal(h_event_last(s, &e, name, detail), 1);
	assert_int_equal(e.text_len, 5);
	assert_memory_equal(name, "@no\0x", 5);
	assert_int_equal(go((int)s, TRY(CONNECT, SOCK_STREAM, DIR "/yes/s")), EPERM);
	assert_int_equal(h_event_last(s, &e, name, detail), 1);
	assert_int_equal(e.class_, WARDER_CLASS_IPC);
	assert_int_equal(e.v.why, WARDER_WHY_BASELINE);
	assert_string_equal(name, DIR "/yes/s");
	server_stop(&path);
	server_stop(&abstract);
	server_stop(&host);
}

static int folders(void **state)
{
	(void)state;
	h_shell("mkdir -p " DIR "/yes/bound " DIR "/no " DIR "/closed && cd " DIR
		" && ln -s closed link-to-closed && ln -s yes/s to-yes && ln -s ../no/s yes/to-no");
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own),	   cmocka_unit_test(test_default_deny),
		cmocka_unit_test(test_datagrams),  cmocka_unit_test(test_host),
		cmocka_unit_test(test_other_container), cmocka_unit_test(test_given),
		cmocka_unit_test(test_event),
	};

	return cmocka_run_group_tests(tests, folders, NULL);
}
