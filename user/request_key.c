// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * warder-request-key: what the kernel runs as root of the host when a key is asked for that is not
 * there. It looks up who asked, in the map that the kernel's programs keep. What is none of a
 * container's, or what the policy leaves to the host, it hands to the ordinary request-key as if
 * it had never been there; what a policy leaves to a queue it carries to the supervisor, and does what
 * the answer says. The authority over the key stays with it, unless a daemon takes it.
 *
 * Before any of that, for a requester that left the container's session keyring for one of its own: it
 * possesses that ring, as it has the authority, and the supervisor possesses the container keyring. So
 * the supervisor lends it the one, which it links in the other.
 *
 * It must always come to an end by itself, with an answer: a handler that dies leaves a refusal that
 * stays for a minute, and the requester, which cannot be killed meanwhile, waits for it.
 *
 *	warder-request-key OP KEY UID GID THREAD PROCESS SESSION          as /sbin/request-key
 *	warder-request-key --line OP KEY UID GID THREAD PROCESS SESSION   from a line of request-key.conf
 *
 * Static and without libraries: it starts for every upcall of the host.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/keyctl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "clock.h"
#include "request_key.h"
#include "upcall.h"
#include "warder_abi.h"

#define SOCKET_PATH "/run/warder/" UPCALL_SOCKET
#define MAP_PATH WARDER_PIN_DIR "/warder_upcalls"
#define SLACK_MS 1000   /* the supervisor's own deadline comes first */
#define TAKEN_STEP_MS 5 /* how often a key that was taken is looked at */
#define LEND_PERM 0x3f050000u /* possessor: all; its uid: view, write */

/* For whoever looks which program lies at /sbin/request-key. */
__attribute__((used)) static const char mark[] = REQUEST_KEY_MARK;

struct upcall {
	int map;
	int32_t serial;
	struct warder_upcall_record record;
	uint64_t deadline; /* ms, CLOCK_MONOTONIC */
	int32_t lend;      /* ring of ours that the supervisor puts the container keyring into, 0: none */
};

static long key_call(int op, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
	return syscall(SYS_keyctl, op, a, b, c, d);
}

/* ------------------------------------------------------------------------- the map */

static int map_open(void)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.pathname = (uintptr_t)MAP_PATH;
	return (int)syscall(SYS_bpf, BPF_OBJ_GET, &attr, sizeof(attr));
}

static int map_call(int cmd, const struct upcall *u, void *value)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)u->map;
	attr.key = (uintptr_t)&u->serial;
	attr.value = (uintptr_t)value;
	attr.flags = cmd == BPF_MAP_UPDATE_ELEM ? BPF_EXIST : 0;
	return syscall(SYS_bpf, cmd, &attr, sizeof(attr)) ? -errno : 0;
}

/* --------------------------------------------------------------------- the ordinary one */

static void signals_are(void (*how)(int))
{
	static const int signals[] = { SIGHUP, SIGINT, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2 };

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], how);
}

static int run_ordinary(char **argv, int is_line)
{
	/* A line of its configuration led here, and there is no better one. */
	if (is_line)
		return 1;
	argv[0] = (char *)"/sbin/request-key";
	signals_are(SIG_DFL);
	setitimer(ITIMER_REAL, &(struct itimerval){ .it_value = { .tv_sec = 0 } }, NULL);
	execv(REQUEST_KEY_ORDINARY, argv);
	syslog(LOG_ERR, "warder-request-key: cannot run " REQUEST_KEY_ORDINARY ": %m");
	return 1;
}

/* ------------------------------------------------------------ the container keyring */

/* A ring in our own session, which ends with us. The supervisor, of the same uid, may put something
 * in, and nobody but us gets it out. 0: none. */
static int32_t lend_ring(void)
{
	long ring = syscall(SYS_add_key, "keyring", UPCALL_LEND_RING, NULL, 0, KEY_SPEC_SESSION_KEYRING);

	if (ring < 0)
		return 0;
	if (!key_call(KEYCTL_SETPERM, (unsigned long)ring, LEND_PERM, 0, 0))
		return (int32_t)ring;
	key_call(KEYCTL_UNLINK, (unsigned long)ring, (unsigned long)KEY_SPEC_SESSION_KEYRING, 0, 0);
	return 0;
}

static void lend_end(struct upcall *u)
{
	if (u->lend)
		key_call(KEYCTL_UNLINK, (unsigned long)u->lend, (unsigned long)KEY_SPEC_SESSION_KEYRING,
			 0, 0);
	u->lend = 0;
}

/*
 * Links what was lent in the requester's session ring, and gives the loan back: no ordinary program
 * after us is to have it. 0 or an errno. What cannot be linked now never can: the container keeps
 * others out of its ring, so that it is not tried at each of its lookups.
 */
static int attach(struct upcall *u, int32_t lent)
{
	int err = lent ? 0 : ENOKEY;

	if (!err && key_call(KEYCTL_LINK, (unsigned long)lent, (unsigned long)u->record.ring, 0, 0))
		err = errno;
	lend_end(u);
	if (err == EDQUOT || err == ENOMEM)
		return err;
	u->record.attach = WARDER_ATTACH_DONE;
	map_call(BPF_MAP_UPDATE_ELEM, u, &u->record);
	return err;
}

/* --------------------------------------------------------------------------- answers */

/* Refused already, or answered, is as good. */
static int reject(const struct upcall *u, uint32_t err, uint32_t seconds)
{
	if (!key_call(KEYCTL_REJECT, (unsigned long)u->serial, seconds, err, 0))
		return 0;
	if (errno == EINVAL) /* errnos that the kernel keeps to itself */
		key_call(KEYCTL_REJECT, (unsigned long)u->serial, seconds, ENOKEY, 0);
	return 0;
}

/* Nobody answers: what the policy says then. */
static int answer_otherwise(struct upcall *u, char **argv, int is_line)
{
	if (u->record.to == WARDER_UPCALL_HOST ||
	    (u->record.to == WARDER_UPCALL_QUEUE && u->record.otherwise == WARDER_UPCALL_HOST)) {
		lend_end(u);
		u->record.to = WARDER_UPCALL_HOST;
		if (!map_call(BPF_MAP_UPDATE_ELEM, u, &u->record) && !run_ordinary(argv, is_line))
			return 0;
	}
	return reject(u, ENOKEY, UPCALL_REFUSED_SECONDS);
}

static int instantiate(const struct upcall *u, const struct upcall_verdict *v)
{
	/* Before it is there: with that the authority ends. */
	if (v->seconds)
		key_call(KEYCTL_SET_TIMEOUT, (unsigned long)u->serial, v->seconds, 0, 0);
	if (key_call(KEYCTL_INSTANTIATE, (unsigned long)u->serial, (unsigned long)v->payload,
		     v->payload_len, 0))
		/* A payload that the type does not take, or the container's limit of bytes. */
		return reject(u, errno == EDQUOT || errno == EINVAL ? (uint32_t)errno : ENOKEY,
			      UPCALL_REFUSED_SECONDS);
	return 0;
}

/*
 * Links the authority into the daemon's ring, as the uid that the daemon has: its permissions let that
 * uid in and nobody else. The name proves that the daemon made the ring for this: others cannot know it.
 */
static int hand_over(struct upcall *u, const struct upcall_verdict *v)
{
	char name[UPCALL_RING_NAME_SIZE], text[256], *found;
	int err = 0;
	long n;

	snprintf(name, sizeof(name), UPCALL_RING_FORMAT, (unsigned long long)v->nonce);
	/* A process of the host's, which the hooks keep from it else. */
	if (v->err) {
		u->record.to = WARDER_UPCALL_HOST;
		map_call(BPF_MAP_UPDATE_ELEM, u, &u->record);
	}
	setfsuid(v->uid);
	n = key_call(KEYCTL_DESCRIBE, (unsigned long)v->ring, (unsigned long)text, sizeof(text) - 1, 0);
	if (n < 0 || n > (long)sizeof(text) - 1) {
		err = n < 0 ? errno : EBADMSG;
	} else {
		text[n] = '\0';
		found = strrchr(text, ';');
		if (strncmp(text, "keyring;", 8) || !found || strcmp(found + 1, name))
			err = EPERM;
	}
	if (!err && key_call(KEYCTL_LINK, (unsigned long)KEY_SPEC_REQKEY_AUTH_KEY,
			     (unsigned long)v->ring, 0, 0))
		err = errno;
	setfsuid(0);
	return err;
}

/* The authorisation key is revoked when the wanted one is there or refused. */
static int is_over(void)
{
	char text[8];

	return key_call(KEYCTL_DESCRIBE, (unsigned long)KEY_SPEC_REQKEY_AUTH_KEY, (unsigned long)text,
			sizeof(text), 0) < 0;
}

/* ------------------------------------------------------------------------- the queue */

static void on_alarm(int sig)
{
	(void)sig;
}

/* A container can name a ring that is itself being asked for, and the kernel waits for such: not
 * beyond the deadline. Again and again, as the first signal may come just before a wait. */
static void alarm_at_deadline(const struct upcall *u)
{
	const struct sigaction act = { .sa_handler = on_alarm };
	uint64_t now = clock_now_ms(), ms = u->deadline > now ? u->deadline - now : 1;
	const struct itimerval timer = { .it_value = { .tv_sec = (time_t)(ms / 1000),
						       .tv_usec = (suseconds_t)(ms % 1000) * 1000 },
					 .it_interval = { .tv_usec = 100000 } };

	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

static int supervisor_connect(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = SOCKET_PATH };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int size = 2 * UPCALL_MESSAGE_MAX;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	close(fd);
	return -1;
}

/* Type and description as the kernel has them, callout from the authorisation key. */
static int ask_send(int sock, const struct upcall *u, char **argv)
{
	static char text[UPCALL_DESCRIPTION_MAX + 128], callout[UPCALL_CALLOUT_MAX + 1];
	static char message[UPCALL_MESSAGE_MAX];
	struct upcall_ask ask = { .serial = u->serial, .type = text, .callout = callout };
	char *p = text;
	long n;
	int len;

	n = key_call(KEYCTL_DESCRIBE, (unsigned long)u->serial, (unsigned long)text, sizeof(text), 0);
	if (n < 0 || n > (long)sizeof(text))
		return n < 0 ? -errno : -EMSGSIZE;
	/* type;uid;gid;perm;description */
	for (int i = 0; i < 4; i++) {
		p = strchr(p, ';');
		if (!p)
			return -EBADMSG;
		*p++ = '\0';
	}
	ask.description = p;
	n = key_call(KEYCTL_READ, (unsigned long)KEY_SPEC_REQKEY_AUTH_KEY, (unsigned long)callout,
		     UPCALL_CALLOUT_MAX + 1, 0);
	if (n < 0 || n > UPCALL_CALLOUT_MAX)
		return n < 0 ? -errno : -EMSGSIZE;
	ask.callout_len = (uint32_t)n;
	ask.uid = (uint32_t)strtoul(argv[3], NULL, 10);
	ask.gid = (uint32_t)strtoul(argv[4], NULL, 10);
	for (int i = 0; i < 3; i++)
		ask.ring[i] = (int32_t)strtol(argv[5 + i], NULL, 10);
	ask.lend = u->lend;
	len = upcall_ask_pack(&ask, message, sizeof(message));
	if (len < 0)
		return len;
	return send(sock, message, (size_t)len, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* 1: a verdict; 0: none within `ms`; -errno: there will be none. */
static int verdict_receive(int sock, int ms, struct upcall_verdict *ret)
{
	static char message[UPCALL_MESSAGE_MAX];
	struct pollfd p = { .fd = sock, .events = POLLIN };
	ssize_t n;

	if (poll(&p, 1, ms) < 1)
		return 0;
	n = recv(sock, message, sizeof(message), MSG_DONTWAIT);
	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -EPIPE;
	return upcall_verdict_unpack(message, (size_t)n, ret) ? -EBADMSG : 1;
}

/* Waits for the queue, or, once a daemon has taken the key, for that. */
static int serve(struct upcall *u, int sock, char **argv, int is_line)
{
	struct upcall_verdict v;
	int taken = 0;

	for (;;) {
		uint64_t now = clock_now_ms();
		int err = 0, got;

		if (now >= u->deadline)
			return reject(u, ETIMEDOUT, UPCALL_REFUSED_SECONDS);
		if (taken && is_over())
			return 0;
		got = verdict_receive(sock, taken ? TAKEN_STEP_MS : (int)(u->deadline - now), &v);
		if (!got)
			continue;
		if (got < 0)
			return taken ? reject(u, ENOKEY, UPCALL_REFUSED_SECONDS) :
				       answer_otherwise(u, argv, is_line);
		switch (v.verb) {
		case UPCALL_INSTANTIATE:
			return instantiate(u, &v);
		case UPCALL_REJECT:
			return reject(u, v.err, v.seconds);
		case UPCALL_HOST:
			return answer_otherwise(u, argv, is_line);
		case UPCALL_ATTACH:
			err = attach(u, v.ring);
			if (send(sock, &err, sizeof(err), MSG_NOSIGNAL) < 0)
				return answer_otherwise(u, argv, is_line);
			break;
		default:
			err = hand_over(u, &v);
			taken |= !err;
			if (send(sock, &err, sizeof(err), MSG_NOSIGNAL) < 0)
				return reject(u, ENOKEY, UPCALL_REFUSED_SECONDS);
		}
	}
}

static int upcall_main(struct upcall *u, char **argv, int is_line)
{
	int sock, err;

	u->record.handler = (uint32_t)getpid();
	if (map_call(BPF_MAP_UPDATE_ELEM, u, &u->record))
		return 1;
	if (key_call(KEYCTL_ASSUME_AUTHORITY, (unsigned long)u->serial, 0, 0, 0) < 0) {
		syslog(LOG_ERR, "warder-request-key: no authority over key %d: %m", u->serial);
		return 1;
	}
	u->deadline = u->record.time / 1000000 + u->record.deadline + SLACK_MS;
	alarm_at_deadline(u);
	sock = supervisor_connect();
	if (sock < 0)
		return answer_otherwise(u, argv, is_line);
	if (u->record.attach == WARDER_ATTACH_WANTED)
		u->lend = lend_ring();
	err = ask_send(sock, u, argv);
	if (err)
		return reject(u, (uint32_t)-err, UPCALL_REFUSED_SECONDS);
	return serve(u, sock, argv, is_line);
}

int main(int argc, char **argv)
{
	int is_line = argc > 1 && !strcmp(argv[1], "--line");
	struct upcall u = { .map = -1 };

	argv += is_line;
	argc -= is_line;
	if (argc != 8 || strcmp(argv[1], "create"))
		return argc > 1 ? run_ordinary(argv, is_line) : 2;
	u.serial = (int32_t)strtol(argv[2], NULL, 10);
	u.map = map_open();
	/* Without a record it is the host's own: whatever a container asks for has one. */
	if (u.map < 0 || map_call(BPF_MAP_LOOKUP_ELEM, &u, &u.record) ||
	    (u.record.to == WARDER_UPCALL_HOST && u.record.attach != WARDER_ATTACH_WANTED)) {
		if (u.map >= 0)
			close(u.map);
		return run_ordinary(argv, is_line);
	}
	signals_are(SIG_IGN);
	return upcall_main(&u, argv, is_line);
}
