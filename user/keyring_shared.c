// SPDX-License-Identifier: LGPL-2.1-or-later
/* Rings that several containers have: include/keyring_shared.h. */
#include "keyring_internal.h"

#include <keyutils.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "keyring_shared.h"
#include "policy_shared.h"

#define RING_PREFIX KEYRING_PREFIX "g."
#define RING_NAME_SIZE (sizeof(RING_PREFIX) + WARDER_SHARED_SIZE)

/* Who may change the ring could put a key of its own before others' eyes. */
#define RING_MAY (WARDER_KEY_MAY_VIEW | WARDER_KEY_MAY_READ | WARDER_KEY_MAY_SEARCH)
/* A link in a ring of the container's own may go again. */
#define KEY_MAY (RING_MAY | WARDER_KEY_MAY_LINK | WARDER_KEY_MAY_UNLINK)

/* ------------------------------------------------------------------- rings */

/* 1 and the name, when the serial is that of a shared ring. */
static int is_shared_ring(int32_t serial, char ret_name[WARDER_SHARED_SIZE])
{
	struct keyring_text t;
	int found;

	if (keyring_describe(serial, &t))
		return 0;
	found = !strcmp(t.type, "keyring") &&
		!strncmp(t.description, RING_PREFIX, strlen(RING_PREFIX)) &&
		shared_is_name(t.description + strlen(RING_PREFIX));
	if (found)
		snprintf(ret_name, WARDER_SHARED_SIZE, "%s", t.description + strlen(RING_PREFIX));
	keyring_text_done(&t);
	return found;
}

static int ring_find(struct keyring *k, const char *name, int32_t *ret)
{
	char text[RING_NAME_SIZE];

	if (!shared_is_name(name))
		return -EINVAL;
	snprintf(text, sizeof(text), RING_PREFIX "%s", name);
	return keyring_find(k->registry, "keyring", text, ret);
}

static int ring_find_or_make(struct keyring *k, const char *name, int32_t *ret)
{
	char text[RING_NAME_SIZE];
	int err = ring_find(k, name, ret);

	if (err != -ENOKEY)
		return err;
	snprintf(text, sizeof(text), RING_PREFIX "%s", name);
	*ret = add_key("keyring", text, NULL, 0, k->registry);
	if (*ret < 0)
		return -errno;
	/* No right for the uid: root of a container that is not ours has the same one. */
	if (!keyctl_setperm(*ret, KEY_POS_ALL))
		return 0;
	err = -errno;
	keyctl_unlink(*ret, k->registry);
	return err;
}

int keyring_shared_find(struct keyring *k, const char *name, int32_t *ret,
			struct warder_error *reterr)
{
	int err = keyring_check_thread(k, reterr);

	if (!err)
		err = ring_find(k, name, ret);
	if (err == -EINVAL || err == -ENOKEY)
		return error_set(
			reterr, err,
			"no running container shares a ring \"%.32s\": a policy says so with "
			"`keyring: {shared: [...]}`",
			name);
	return err;
}

/* The grants of one container for a ring and what is in it; `share` 0 takes them back. */
static int ring_grant(struct keyring *k, uint64_t cid, int32_t ring, int share,
		      struct warder_error *reterr)
{
	cleanup_free int32_t *serials = NULL;
	size_t count = 0;
	int err = keyring_read_ring(ring, &serials, &count);

	if (!err)
		err = keyring_grant(k, cid, ring, share ? RING_MAY : 0, reterr);
	for (size_t i = 0; !err && i < count; i++) {
		err = keyring_grant(k, cid, serials[i], share ? KEY_MAY : 0, reterr);
		/* Expired or revoked meanwhile: nobody can use it. */
		if (keyring_is_gone(err))
			err = 0;
	}
	return err;
}

int keyring_share(struct keyring *k, uint64_t cid, const struct keyring_rings *rings,
		  const char *name, struct warder_error *reterr)
{
	int err = keyring_check_thread(k, reterr);
	int32_t ring;

	if (err)
		return err;
	err = ring_find_or_make(k, name, &ring);
	if (err)
		return error_errno(reterr, err, "cannot make the shared ring %s", name);
	err = ring_grant(k, cid, ring, 1, reterr);
	if (!err && keyctl_link(ring, rings->container))
		err = error_errno(reterr, -errno, "cannot link the shared ring %s", name);
	if (err)
		ring_grant(k, cid, ring, 0, NULL);
	return err;
}

void keyring_share_only(struct keyring *k, uint64_t cid, const struct keyring_rings *rings,
			int (*keep)(const char *name, void *arg), void *arg)
{
	cleanup_free int32_t *serials = NULL;
	char name[WARDER_SHARED_SIZE];
	size_t count = 0;

	if (keyring_check_thread(k, NULL) || keyring_read_ring(rings->container, &serials, &count))
		return;
	for (size_t i = 0; i < count; i++) {
		if (!is_shared_ring(serials[i], name) || keep(name, arg))
			continue;
		/* The grants first: they are what counts. */
		ring_grant(k, cid, serials[i], 0, NULL);
		keyctl_unlink(serials[i], rings->container);
	}
}

void keyring_shared_collect(struct keyring *k, int (*is_used)(const char *name, void *arg),
			    void *arg)
{
	cleanup_free int32_t *serials = NULL;
	char name[WARDER_SHARED_SIZE];
	size_t count = 0;

	if (keyring_check_thread(k, NULL) || keyring_read_ring(k->registry, &serials, &count))
		return;
	for (size_t i = 0; i < count; i++) {
		if (!is_shared_ring(serials[i], name) || is_used(name, arg))
			continue;
		keyctl_revoke(serials[i]); /* which empties it */
		keyctl_unlink(serials[i], k->registry);
	}
}

/* -------------------------------------------------------------------- keys */

static int key_find(struct keyring *k, const char *name, const char *type, const char *description,
		    int32_t *ret_ring, int32_t *ret, struct warder_error *reterr)
{
	int err = keyring_shared_find(k, name, ret_ring, reterr);

	if (err)
		return err;
	err = keyring_find(*ret_ring, type, description, ret);
	if (err == -ENOKEY)
		return error_set(reterr, err, "the shared ring %s holds no %s key '%s'", name, type,
				 description);
	return err ? error_errno(reterr, err, "the shared ring %s is lost", name) : 0;
}

static int key_grant(struct keyring *k, const struct keyring_sharers *to, int32_t serial,
		     uint32_t may, struct warder_error *reterr)
{
	int err = 0;

	for (size_t i = 0; !err && i < to->count; i++)
		err = keyring_grant(k, to->cid[i], serial, may, reterr);
	return err;
}

/* What follows add_key(): who may use it comes last, when nothing else of it changes. */
static int key_finish(struct keyring *k, const struct keyring_sharers *to, int32_t serial,
		      int is_new, uint32_t seconds, struct warder_error *reterr)
{
	if ((is_new && keyctl_setperm(serial, KEY_POS_ALL)) ||
	    (seconds && keyctl_set_timeout(serial, seconds)))
		return error_errno(reterr, -errno, "cannot protect the key");
	return key_grant(k, to, serial, KEY_MAY, reterr);
}

int keyring_shared_put(struct keyring *k, const char *name, const struct keyring_sharers *to,
		       const char *type, const char *description, const void *payload, size_t len,
		       int rotate, uint32_t seconds, int32_t *ret_serial,
		       struct warder_error *reterr)
{
	cleanup_free int32_t *serials = NULL;
	int32_t ring, old = 0, serial;
	size_t count = 0;
	int err = keyring_check_name(type, description, reterr);

	if (!err && !strcmp(type, "keyring"))
		err = error_set(reterr, -EINVAL, "a shared ring holds keys, no rings");
	if (!err)
		err = key_find(k, name, type, description, &ring, &old, reterr);
	if (err == -ENOKEY && !rotate)
		err = keyring_shared_find(k, name, &ring, reterr);
	if (err)
		return err;
	if (!old && !keyring_read_ring(ring, &serials, &count) && count >= KEYRING_SHARED_KEYS_MAX)
		return error_set(reterr, -EDQUOT, "the shared ring %s holds %d keys already", name,
				 KEYRING_SHARED_KEYS_MAX);
	serial = add_key(type, description, payload, len, ring);
	if (serial < 0)
		return error_errno(reterr, -errno, "cannot add the %s key '%s'", type, description);
	err = key_finish(k, to, serial, serial != old, seconds, reterr);
	if (old && serial != old) /* of a type that cannot be updated */
		key_grant(k, to, old, 0, NULL);
	if (!err) {
		*ret_serial = serial;
		return 0;
	}
	key_grant(k, to, serial, 0, NULL);
	keyctl_unlink(serial, ring);
	return err;
}

int keyring_shared_end(struct keyring *k, const char *name, const struct keyring_sharers *to,
		       const char *type, const char *description, int revoke,
		       struct warder_error *reterr)
{
	int32_t ring, serial;
	int err = key_find(k, name, type, description, &ring, &serial, reterr);

	if (err)
		return err;
	if (revoke && keyctl_revoke(serial) && !keyring_is_gone(-errno))
		return error_errno(reterr, -errno, "cannot revoke the %s key '%s'", type,
				   description);
	key_grant(k, to, serial, 0, NULL);
	if (keyctl_unlink(serial, ring) && !keyring_is_gone(-errno))
		return error_errno(reterr, -errno, "cannot unlink the %s key '%s'", type,
				   description);
	return 0;
}

int keyring_shared_list(struct keyring *k, const char *name, struct keyring_key **ret,
			size_t *ret_count, struct warder_error *reterr)
{
	int32_t ring;
	int err = keyring_shared_find(k, name, &ring, reterr);

	if (err)
		return err;
	*ret = NULL;
	*ret_count = 0;
	return keyring_list_ring(ring, 'G', 0, ret, ret_count);
}

/* --------------------------------------------------------------- for upcalls */

int keyring_find_given(const struct keyring_rings *rings, const char *type, const char *description,
		       int32_t *ret)
{
	cleanup_free int32_t *serials = NULL;
	char name[WARDER_SHARED_SIZE];
	size_t count = 0;
	int err = keyring_find(rings->container, type, description, ret);

	if (err != -ENOKEY)
		return err;
	err = keyring_read_ring(rings->container, &serials, &count);
	for (size_t i = 0; !err && i < count; i++)
		if (is_shared_ring(serials[i], name) &&
		    !keyring_find(serials[i], type, description, ret))
			return 0;
	return err ? err : -ENOKEY;
}

int keyring_shared_has(const struct keyring_rings *rings, int32_t serial)
{
	cleanup_free int32_t *serials = NULL;
	char name[WARDER_SHARED_SIZE];
	size_t count = 0;

	if (keyring_read_ring(rings->container, &serials, &count))
		return 0;
	for (size_t i = 0; i < count; i++)
		if (is_shared_ring(serials[i], name) && keyring_ring_has(serials[i], serial))
			return 1;
	return 0;
}
