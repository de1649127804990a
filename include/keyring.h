/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Container keyrings: session ring S, container ring C, both linked in the supervisor's
 * registry ring. The only module that knows libkeyutils. Call from one thread: possession
 * hangs on that thread's thread ring.
 */
#ifndef WARDER_KEYRING_H
#define WARDER_KEYRING_H

#include <stddef.h>
#include <stdint.h>

#include "loader.h"
#include "log.h"

struct keyring;

/* Makes or finds the anchored registry ring and links it into this thread's own thread ring;
 * its session ring becomes a new, empty one. Children (executors, containers) therefore
 * possess nothing of the registry. `loader` may be NULL (no tagging of keys; tests).
 * -ENOSYS: kernel without CONFIG_KEYS. */
int keyring_new(struct keyring **ret, struct loader *loader, struct warder_error *reterr);
/* Leaves the registry and its anchor in place. NULL is fine. */
void keyring_free(struct keyring *k);
/* Also removes the registry: no container is left. */
int keyring_remove_registry(struct keyring *k);

struct keyring_rings {
	int32_t session;   /* S */
	int32_t container; /* C, linked in S */
};

/* Makes S and C for container `cid` and tags them as its own. */
int keyring_create(struct keyring *k, uint64_t cid, struct keyring_rings *ret,
		   struct warder_error *reterr);

/*
 * The container's first process gets S as its session ring by inheritance, because a lookup of
 * S by name would have to work in the new user namespace, and would let others join as well.
 * So, on the thread that called keyring_new():
 *
 *	keyring_create(k, cid, &rings, e);
 *	keyring_enter(k, &rings, e);	before fork or clone of the builder (or of init)
 *	... fork ...
 *	keyring_leave(k, e);		at once after it, also when it failed
 *
 * exec, setuid, fork, clone(CLONE_NEWUSER) and unshare keep the session ring; so the builder
 * and init have it without doing anything. The same pair puts a process that enters a running
 * container into S. Neither enter nor leave drops possession of the registry; children do not
 * inherit that.
 */
int keyring_enter(struct keyring *k, const struct keyring_rings *rings,
		  struct warder_error *reterr);
/* This thread's session ring is a new, empty one afterwards. Idempotent. */
int keyring_leave(struct keyring *k, struct warder_error *reterr);

/* In the container's first process: is S its session ring? Async-signal-safe system calls
 * only. 0, or -ENOKEY when the fork happened outside keyring_enter()..keyring_leave(). */
int keyring_child_join(uint64_t cid, const struct keyring_rings *rings);

/* Links C into S again, after the container cleared S. Idempotent. */
int keyring_relink(struct keyring *k, const struct keyring_rings *rings,
		   struct warder_error *reterr);

/* How often the container in that slot has emptied its S, as far as the programs saw. */
uint64_t keyring_clears(struct keyring *k, uint32_t slot);

/* Unlinks and revokes both rings. */
int keyring_destroy(struct keyring *k, uint64_t cid, const struct keyring_rings *rings);

/* Changes and shows a live container's C. `type` is "user", "logon", ... A key of that name gets
 * the new payload, and keeps what it was made with: `may` is then -EEXIST. */
struct keyring_key_options {
	uint32_t may;     /* WARDER_KEY_MAY_* of the container; 0: view, read, search, link */
	uint32_t seconds; /* after which it expires; 0: never, or as it was */
};
int keyring_add_key(struct keyring *k, uint64_t cid, const struct keyring_rings *rings,
		    const char *type, const char *description, const void *payload, size_t len,
		    int32_t *ret_serial, struct warder_error *reterr);
int keyring_add_key_with(struct keyring *k, uint64_t cid, const struct keyring_rings *rings,
			 const char *type, const char *description, const void *payload,
			 size_t len, const struct keyring_key_options *options,
			 int32_t *ret_serial, struct warder_error *reterr);
/* As add, for a key that is there already; -ENOKEY. */
int keyring_rotate_key(struct keyring *k, uint64_t cid, const struct keyring_rings *rings,
		       const char *type, const char *description, const void *payload,
		       size_t len, int32_t *ret_serial, struct warder_error *reterr);
/* Ends the key wherever it was linked, in C and in rings of the container's own. */
int keyring_revoke_key(struct keyring *k, uint64_t cid, const struct keyring_rings *rings,
		       const char *type, const char *description, struct warder_error *reterr);
/* Puts a key of the host into C and grants it (a mask of WARDER_KEY_MAY_*, not 0). The key's own
 * permissions must let this process link it and a possessor use it. -EEXIST: C holds another key
 * of that name. keyring_unlink_key() takes both back. */
int keyring_link_key(struct keyring *k, uint64_t cid, const struct keyring_rings *rings,
		     int32_t serial, uint32_t may, struct warder_error *reterr);
int keyring_unlink_key(struct keyring *k, uint64_t cid, const struct keyring_rings *rings,
		       const char *type, const char *description, struct warder_error *reterr);

/* The payload of a key that is linked in C, S or a shared ring, for a container that asked for one of that type: only
 * what the container may read itself, else -EACCES. -EMSGSIZE: longer than `size`. */
int keyring_copy_key(struct keyring *k, uint64_t cid, const struct keyring_rings *rings,
		     int32_t serial, const char *type, void *buf, size_t size, size_t *ret_len,
		     struct warder_error *reterr);

/* Puts C into a ring of request-key's (UPCALL_LEND_RING of upcall.h, owned by this process's uid), which
 * links it on for a task that joined another session. -EPERM: it is another ring. */
int keyring_lend(struct keyring *k, const struct keyring_rings *rings, int32_t ring,
		 struct warder_error *reterr);
/* The payload of the key of that name in C or a shared ring, which the container's lookup would have found: 0. -ENOKEY:
 * there is none that it may find. -EAGAIN: there is, but it must be found itself, as it cannot be copied
 * or the container may not read it. */
int keyring_answer_key(struct keyring *k, uint64_t cid, const struct keyring_rings *rings,
		       const char *type, const char *description, void *buf, size_t size,
		       size_t *ret_len, struct warder_error *reterr);

struct keyring_key {
	int32_t serial;
	char type[32];
	char description[256]; /* cut if longer */
	uint32_t uid, gid, perm;
	char ring; /* 'C', or 'S' for what lies in the session ring itself */
};
/* *ret is freed by the caller. */
int keyring_list_keys(struct keyring *k, const struct keyring_rings *rings,
		      struct keyring_key **ret, size_t *ret_count, struct warder_error *reterr);

/* Lets container `cid` use a key of the host or of another container: a mask of
 * WARDER_KEY_MAY_* (warder_abi.h); 0 takes the grant back. It holds for this key only, not for
 * a later one that happens to get the same serial. */
int keyring_grant(struct keyring *k, uint64_t cid, int32_t serial, uint32_t may,
		  struct warder_error *reterr);

#endif
