/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Container keyrings: session ring S, container ring C, both linked in the supervisor's
 * registry ring. The only module that knows libkeyutils. Call from one thread: possession
 * hangs on that thread's session ring.
 */
#ifndef WARDER_KEYRING_H
#define WARDER_KEYRING_H

#include <stddef.h>
#include <stdint.h>

#include "loader.h"
#include "log.h"

struct keyring;

/* Makes or finds the anchored registry ring and joins it as this thread's session ring.
 * `loader` may be NULL (no tagging of keys; tests). -ENOSYS: kernel without CONFIG_KEYS. */
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

/* In the container's first process, before it is tagged: makes S its session ring. Async-
 * signal-safe system calls only. 0 or -errno. */
int keyring_child_join(uint64_t cid, const struct keyring_rings *rings);
/* After every container start: takes back what keyring_child_join() needed. */
int keyring_seal(struct keyring *k, const struct keyring_rings *rings);

/* Unlinks and revokes both rings. */
int keyring_destroy(struct keyring *k, uint64_t cid, const struct keyring_rings *rings);

/* Changes and shows a live container's C. `type` is "user", "logon", ... */
int keyring_add_key(struct keyring *k, uint64_t cid, const struct keyring_rings *rings,
		    const char *type, const char *description, const void *payload, size_t len,
		    int32_t *ret_serial, struct warder_error *reterr);
int keyring_unlink_key(struct keyring *k, uint64_t cid, const struct keyring_rings *rings,
		       const char *type, const char *description, struct warder_error *reterr);

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

#endif
