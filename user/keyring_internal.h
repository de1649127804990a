/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by keyring*.c only. */
#ifndef WARDER_KEYRING_INTERNAL_H
#define WARDER_KEYRING_INTERNAL_H

#include "keyring.h"
#include "warder_abi.h"

#define KEYRING_PREFIX "_warder."
#define KEYRING_REGISTRY KEYRING_PREFIX "registry"

struct keyring {
	struct loader *loader;
	pid_t thread; /* possession is this thread's */
	int32_t registry;
};

/* Commands on the raw map fds that the loader hands out: these do not need libbpf, which only
 * loader and events know. 0 or -errno. */
int keyring_map_update(int fd, const void *key, void *value);
int keyring_map_lookup(int fd, const void *key, void *value);
int keyring_map_delete(int fd, const void *key);
/* previous NULL: the first. -ENOENT after the last. */
int keyring_map_next(int fd, const void *previous, void *ret_key);

/* Type and description as BPF hashes them: cut where it cuts, padded with NULs. */
uint64_t keyring_name_hash(const char *type, const char *description);

struct keyring_text {
	char *text; /* allocated; type and description point into it */
	const char *type;
	const char *description;
	uint32_t uid, gid, perm;
};

void keyring_text_done(struct keyring_text *t);
/* The caller calls keyring_text_done() after success only. */
int keyring_describe(int32_t serial, struct keyring_text *ret);

/* Serials of what is linked in a ring; *ret is freed by the caller. */
int keyring_read_ring(int32_t ring, int32_t **ret, size_t *ret_count);

/* The key of that name that is linked in the ring itself; -ENOKEY. */
int keyring_find(int32_t ring, const char *type, const char *description, int32_t *ret);

/* Gone already is as good as removed now. */
int keyring_is_gone(int err);

/* -EXDEV on a thread that possesses nothing. */
int keyring_check_thread(const struct keyring *k, struct warder_error *reterr);

/* add_key() for a container: announced to BPF, which tags the key, or refuses it when it cannot.
 * `must_tag`: the key cannot exist already, so the announcement must have been used. */
struct keyring_tag {
	uint64_t cid;
	enum warder_key_kind kind;
	uint32_t may;
};
int keyring_add_tagged(struct keyring *k, const struct keyring_tag *tag, const char *type,
		       const char *description, const void *payload, size_t len, int32_t ring,
		       int must_tag, int32_t *ret);

/* A key's name may not look like one of ours: -EINVAL with a sentence. */
int keyring_check_name(const char *type, const char *description, struct warder_error *reterr);
/* Appends what is linked in a ring, but for `skip`, as a list of keys. */
int keyring_list_ring(int32_t ring, char which, int32_t skip, struct keyring_key **keys,
		      size_t *count);
/* The key of that name in C, or in a shared ring that is linked there; -ENOKEY. */
int keyring_find_given(const struct keyring_rings *rings, const char *type, const char *description,
		       int32_t *ret);
/* Is the key linked in a shared ring of the container's? */
int keyring_shared_has(const struct keyring_rings *rings, int32_t serial);
/* Is it linked in the ring itself? */
int keyring_ring_has(int32_t ring, int32_t serial);

/* Links the registry to its anchor again, should somebody have cleared that. */
int keyring_anchor(struct keyring *k);

#endif
