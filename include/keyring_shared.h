/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rings of keys that several containers have. Each is linked in the registry, and in the C of those
 * whose policies name it; they find its keys after those of C, and may view, read and link them.
 * What a container may do with the ring and each of its keys is a grant, which ends with its share.
 * Ring and keys are nobody's own: whoever has no grant is refused as by keys of the host. All
 * functions: the thread that called keyring_new().
 */
#ifndef WARDER_KEYRING_SHARED_H
#define WARDER_KEYRING_SHARED_H

#include "keyring.h"

#define KEYRING_SHARED_MARK "shared:" /* before the name, where a container's could stand */
#define KEYRING_SHARED_KEYS_MAX 128   /* of one ring: each is a grant for each container */

/* The containers that have a ring. */
struct keyring_sharers {
	const uint64_t *cid;
	size_t count;
};

/* Makes the ring if it is not there, and gives it to a container. Idempotent. -ENOSPC: too many
 * grants. */
int keyring_share(struct keyring *k, uint64_t cid, const struct keyring_rings *rings,
		  const char *name, struct warder_error *reterr);
/* Takes every shared ring from a container but those that `keep` says 1 of. */
void keyring_share_only(struct keyring *k, uint64_t cid, const struct keyring_rings *rings,
			int (*keep)(const char *name, void *arg), void *arg);
/* Ends the rings that nobody uses any more. */
void keyring_shared_collect(struct keyring *k, int (*is_used)(const char *name, void *arg),
			    void *arg);

/* Serial of the ring; -ENOKEY with a sentence. */
int keyring_shared_find(struct keyring *k, const char *name, int32_t *ret,
			struct warder_error *reterr);
/* Adds a key, or gives it a new payload; with `rotate` only the latter, -ENOKEY. `seconds`: 0, or
 * when it expires. -EDQUOT: the ring holds KEYRING_SHARED_KEYS_MAX. */
int keyring_shared_put(struct keyring *k, const char *name, const struct keyring_sharers *to,
		       const char *type, const char *description, const void *payload, size_t len,
		       int rotate, uint32_t seconds, int32_t *ret_serial,
		       struct warder_error *reterr);
/* Takes a key out of the ring and from who has it; with `revoke` it ends wherever it is linked. */
int keyring_shared_end(struct keyring *k, const char *name, const struct keyring_sharers *to,
		       const char *type, const char *description, int revoke,
		       struct warder_error *reterr);
/* *ret is freed by the caller; `ring` of each is 'G'. */
int keyring_shared_list(struct keyring *k, const char *name, struct keyring_key **ret,
			size_t *ret_count, struct warder_error *reterr);

#endif
