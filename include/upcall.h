/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Key upcalls on their way: from the kernel's request-key to the supervisor, and from there to the
 * queue that answers. Pure functions, no system calls; what is read here was written by others.
 *
 * The first leg is a SOCK_SEQPACKET connection of root's, /run/warder/upcall.sock: one struct with
 * its texts after it. It is binary because request-key is a small static program.
 */
#ifndef WARDER_UPCALL_H
#define WARDER_UPCALL_H

#include <stddef.h>
#include <stdint.h>

#define UPCALL_SOCKET "upcall.sock"
#define UPCALL_MAGIC 0x31705557u /* "WUp1" */

/* Limits on what a container's program can make up; the kernel's own are a page each. */
#define UPCALL_TYPE_SIZE 32
#define UPCALL_DESCRIPTION_MAX 4096
#define UPCALL_CALLOUT_MAX 4096
#define UPCALL_PAYLOAD_MAX 16384
#define UPCALL_MESSAGE_MAX 32768
#define UPCALL_SECONDS_MAX 86400 /* that a refusal may stay */
/* That one stays which nobody gave a time: it damps a loop. No errno but ENOKEY stays for less: the
 * kernel counts whole seconds, and makes ENOKEY of one that has lapsed before it looks. */
#define UPCALL_REFUSED_SECONDS 2

/* A name whose ring a daemon makes to take a key; the number is told to the daemon alone. */
#define UPCALL_RING_FORMAT "_warder.q.%016llx"
#define UPCALL_RING_NAME_SIZE 32

/* The answer from the container keyring to the first lookup after a join is a copy, and the program
 * that asked must have time to read it; what is asked for later is found itself. */
#define UPCALL_COPY_SECONDS 5

/* In this ring of request-key's the supervisor lends it the container keyring. */
#define UPCALL_LEND_RING "_warder.lend"

/* What request-key asks. Pointers lead into the message. */
struct upcall_ask {
	int32_t serial;
	uint32_t uid, gid; /* of the requester, in the initial user namespace */
	int32_t ring[3];   /* its thread, process and session keyrings; 0: none */
	int32_t lend;      /* where it wants the container keyring, to link it on; 0: not needed */
	const char *type, *description; /* end with a NUL */
	const char *callout;            /* may hold NULs; one more comes after it */
	uint32_t callout_len;
};

enum upcall_verb {
	UPCALL_INSTANTIATE = 1, /* payload; `seconds`: after which it expires, 0: never */
	UPCALL_REJECT,          /* err, seconds */
	UPCALL_HOST,            /* run the host's ordinary request-key */
	UPCALL_TAKE,            /* hand the authority to `ring`, and say whether it worked */
	UPCALL_ATTACH,          /* link `ring`, which was lent, in the requester's session ring, and say
	                         * whether it worked; 0: there is none */
	UPCALL_VERB__MAX,
};

struct upcall_verdict {
	uint32_t verb;
	uint32_t err;
	uint32_t seconds;
	int32_t ring;
	uint32_t uid; /* TAKE: whose the ring is */
	uint64_t nonce;
	const void *payload;
	uint32_t payload_len;
};

/* Length of the message, -EMSGSIZE if it does not fit or passes a limit. */
int upcall_ask_pack(const struct upcall_ask *ask, void *buf, size_t size);
/* -EBADMSG: not such a message. */
int upcall_ask_unpack(const void *buf, size_t len, struct upcall_ask *ret);
int upcall_verdict_pack(const struct upcall_verdict *v, void *buf, size_t size);
int upcall_verdict_unpack(const void *buf, size_t len, struct upcall_verdict *ret);

/* -------------------------------------------------------------------------- queues */

/* Who serves upcalls of what. */
struct upcall_queue {
	uint64_t cid;    /* container; 0: all of them (host only) */
	uint32_t userns; /* user namespace; 0: a daemon of the host's */
	char type[16];   /* "": any */
	uint64_t id;     /* grows with each registration */
};

/* Of a request: what chooses its queue. */
struct upcall_origin {
	uint64_t cid;
	char type[16];
	uint32_t levels;        /* user namespaces, the requester's own first */
	const uint32_t *userns;
};

/* How far from the requester a queue is: the lower the sooner it is asked. UINT32_MAX: it does not
 * serve this request. The requester's user namespace comes first, then its parents', then daemons
 * of the host for this container, then for all; at each of them an exact type before any. */
uint32_t upcall_queue_rank(const struct upcall_queue *q, const struct upcall_origin *o);
/* Would two be asked the same? Then the second is refused. */
int upcall_queue_same(const struct upcall_queue *a, const struct upcall_queue *b);

/* ----------------------------------------------------- what /proc says of a process */

struct upcall_status {
	int32_t ppid;
	int killed;           /* SIGKILL waits for it */
	uint64_t cap_eff;
	unsigned depth;       /* of pid namespaces, from the reader's, 1.. */
	int32_t pid[33];      /* its number in each, the reader's own first */
};
/* /proc/PID/status; -EBADMSG when a line is missing. */
int upcall_status_parse(const char *text, struct upcall_status *ret);

#define UPCALL_OVERFLOW_ID 65534u
#define UPCALL_MAP_MAX 340 /* lines; the kernel's limit */
struct upcall_idmap {
	unsigned count;
	struct {
		uint32_t inside, outside, length;
	} range[UPCALL_MAP_MAX];
};
/* /proc/PID/uid_map, as seen from the initial user namespace. */
int upcall_idmap_parse(const char *text, struct upcall_idmap *ret);
/* An id of the initial user namespace as it is seen inside. */
uint32_t upcall_idmap_inside(const struct upcall_idmap *map, uint32_t outside);

/* Bytes as lower-case hex with a NUL: `size` must be 2 * len + 1. */
void upcall_hex(const void *data, size_t len, char *ret);
/* Back; bytes, or -EBADMSG. */
int upcall_unhex(const char *text, void *ret, size_t size);
/* Can these bytes stand in a JSON string as they are: UTF-8 without NUL? */
int upcall_is_text(const void *data, size_t len);

#endif
