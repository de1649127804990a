// SPDX-License-Identifier: LGPL-2.1-or-later
/* Keys for those who answer upcalls: copies of a container's, and the ring of a daemon that takes
 * the authority over a key. */
#include "keyring_internal.h"

#include <keyutils.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "keyring_take.h"
#include "upcall.h"

/* ------------------------------------------------------------------------ copies */

int keyring_ring_has(int32_t ring, int32_t serial)
{
	cleanup_free int32_t *serials = NULL;
	size_t count = 0;

	if (keyring_read_ring(ring, &serials, &count))
		return 0;
	for (size_t i = 0; i < count; i++)
		if (serials[i] == serial)
			return 1;
	return 0;
}

/*
 * Is it there, and not still being asked for? To read one that is would wait for an upcall, which waits
 * for us. Once set up it stays so. "1a2b3c4d I--Q--- ..."
 */
static int is_set_up(int32_t serial)
{
	cleanup_fclose FILE *f = fopen("/proc/keys", "re");
	char line[512], wanted[16];

	snprintf(wanted, sizeof(wanted), "%08x I", (unsigned)serial);
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, wanted, strlen(wanted)))
			return 1;
	return 0;
}

/*
 * What the container may do with a key, as far as the supervisor restricted it: WARDER_KEY_MAY_*. Tags
 * are kept by address, which user space does not know: so all are looked through, and of several given
 * keys of that name the strictest counts.
 */
static uint32_t key_may(struct keyring *k, uint64_t cid, int32_t serial, uint64_t hash)
{
	struct warder_grant_key gk = { .cid = cid, .serial = serial };
	uint32_t may = WARDER_KEY_MAY_ALL;
	uint64_t at = 0, next;
	struct warder_grant g;
	int fd, grants, more;

	if (!k->loader)
		return may;
	fd = loader_map_fd(k->loader, LOADER_MAP_KEYS);
	grants = loader_map_fd(k->loader, LOADER_MAP_KEY_GRANTS);
	if (fd < 0 || grants < 0)
		return 0;
	more = !keyring_map_next(fd, NULL, &at);
	for (int i = 0; more && i < WARDER_KEYS_MAX; i++) {
		struct warder_key_tag tag;

		if (!keyring_map_lookup(fd, &at, &tag) && tag.cid == cid && tag.hash == hash &&
		    tag.kind == WARDER_KEY_GIVEN && tag.may)
			may &= tag.may;
		more = !keyring_map_next(fd, &at, &next);
		at = next;
	}
	return keyring_map_lookup(grants, &gk, &g) ? may : may & g.may;
}

int keyring_copy_key(struct keyring *k, uint64_t cid, const struct keyring_rings *rings,
		     int32_t serial, const char *type, void *buf, size_t size, size_t *ret_len,
		     struct warder_error *reterr)
{
	struct keyring_text t;
	int err = keyring_check_thread(k, reterr);
	uint64_t hash;
	long n;

	if (err)
		return err;
	if (!keyring_ring_has(rings->container, serial) && !keyring_ring_has(rings->session, serial) &&
	    !keyring_shared_has(rings, serial))
		return error_set(reterr, -ENOKEY, "key %d is linked in neither ring of the container",
				 serial);
	err = keyring_describe(serial, &t);
	if (err)
		return error_errno(reterr, err, "cannot look at key %d", serial);
	hash = keyring_name_hash(t.type, t.description);
	if (strcmp(t.type, type))
		err = error_set(reterr, -EINVAL, "key %d is of type %.32s", serial, t.type);
	keyring_text_done(&t);
	if (err)
		return err;
	if (!(key_may(k, cid, serial, hash) & WARDER_KEY_MAY_READ))
		return error_set(reterr, -EACCES, "the container may not read key %d", serial);
	if (!is_set_up(serial))
		return error_set(reterr, -ENOKEY, "key %d is being asked for itself", serial);
	n = keyctl_read(serial, buf, size);
	if (n < 0)
		return error_errno(reterr, -errno, "cannot read key %d", serial);
	if ((size_t)n > size)
		return error_set(reterr, -EMSGSIZE, "key %d is longer than %zu bytes", serial, size);
	*ret_len = (size_t)n;
	return 0;
}

/* ------------------------------------------------------------ a session that lost C */

int keyring_lend(struct keyring *k, const struct keyring_rings *rings, int32_t ring,
		 struct warder_error *reterr)
{
	struct keyring_text t;
	int err = keyring_check_thread(k, reterr);

	if (err)
		return err;
	err = keyring_describe(ring, &t);
	if (err)
		return error_errno(reterr, err, "cannot look at ring %d", ring);
	/* Made by request-key for this; what anybody else shows to us gets nothing. */
	if (strcmp(t.type, "keyring") || strcmp(t.description, UPCALL_LEND_RING) || t.uid != geteuid())
		err = error_set(reterr, -EPERM, "ring %d is none of request-key's", ring);
	keyring_text_done(&t);
	if (!err && keyctl_link(rings->container, ring))
		err = error_errno(reterr, -errno, "cannot lend the container keyring");
	return err;
}

/* Types whose keys read as what they were made with. */
static int type_is_copied(const char *type)
{
	return !strcmp(type, "user") || !strcmp(type, "big_key");
}

int keyring_answer_key(struct keyring *k, uint64_t cid, const struct keyring_rings *rings,
		       const char *type, const char *description, void *buf, size_t size,
		       size_t *ret_len, struct warder_error *reterr)
{
	int err = keyring_check_thread(k, reterr);
	int32_t serial;

	if (err)
		return err;
	err = keyring_find_given(rings, type, description, &serial);
	if (err)
		return err;
	if (!(key_may(k, cid, serial, keyring_name_hash(type, description)) & WARDER_KEY_MAY_SEARCH))
		return -ENOKEY;
	if (!type_is_copied(type) ||
	    keyring_copy_key(k, cid, rings, serial, type, buf, size, ret_len, reterr))
		return -EAGAIN;
	return 0;
}

/* ------------------------------------------------------------------- taking authority */

/* The user may put something in, which request-key does in the daemon's name; nobody else. */
int keyring_take_ring(const char *name, int32_t *ret)
{
	key_serial_t ring = add_key("keyring", name, NULL, 0, KEY_SPEC_SESSION_KEYRING);

	if (ring < 0)
		return -errno;
	if (keyctl_setperm(ring, KEY_POS_ALL | KEY_USR_VIEW | KEY_USR_WRITE)) {
		int err = -errno;

		keyctl_unlink(ring, KEY_SPEC_SESSION_KEYRING);
		return err;
	}
	*ret = ring;
	return 0;
}

/* A session of this process's own, so that no other finds the keys that it takes. What it had is
 * linked below. */
int keyring_take_session(void)
{
	key_serial_t old = keyctl_get_keyring_ID(KEY_SPEC_SESSION_KEYRING, 0);

	/* With `join: deny` it stays, and so do others' eyes on the ring. */
	if (keyctl_join_session_keyring(NULL) < 0)
		return errno == EPERM ? 0 : -errno;
	if (old > 0)
		keyctl_link(old, KEY_SPEC_SESSION_KEYRING);
	return 0;
}
