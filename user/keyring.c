// SPDX-License-Identifier: LGPL-2.1-or-later
/* The rings of a container. */
#include "keyring_internal.h"

#include <inttypes.h>
#include <keyutils.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "cleanup.h"
#include "keyring_signers.h"

#define KEYRING_NAME_SIZE 64

/* --------------------------------------------------------- container's rings */

static int ring_make(struct keyring *k, uint64_t cid, enum warder_key_kind kind, const char *name,
		     int32_t *ret)
{
	const struct keyring_tag tag = { .cid = cid, .kind = kind };
	int err = keyring_add_tagged(k, &tag, "keyring", name, NULL, 0, k->registry, 1, ret);

	if (err)
		return err;
	/* No right for the uid: root of a container that is not ours has the same one. */
	if (!keyctl_setperm(*ret, KEY_POS_ALL))
		return 0;
	err = -errno;
	keyctl_revoke(*ret);
	keyctl_unlink(*ret, k->registry);
	return err;
}

int keyring_create(struct keyring *k, uint64_t cid, struct keyring_rings *ret,
		   struct warder_error *reterr)
{
	char name[KEYRING_NAME_SIZE];
	struct keyring_rings r = { 0 };
	uint64_t nonce;
	int err;

	if (!cid)
		return error_set(reterr, -EINVAL, "no container has the id 0");
	err = keyring_check_thread(k, reterr);
	if (err)
		return err;
	/* Somebody may have cleared it; without the link the next supervisor finds nothing. */
	err = keyring_anchor(k);
	if (err)
		return error_errno(reterr, err, "cannot anchor the registry keyring");
	/* Joined by name, so nobody must be able to make a ring of that name beforehand. */
	if (getrandom(&nonce, sizeof(nonce), 0) != sizeof(nonce))
		return error_errno(reterr, -EIO, "no random numbers");
	snprintf(name, sizeof(name), KEYRING_PREFIX "s.%" PRIu64 ".%016" PRIx64, cid, nonce);
	err = ring_make(k, cid, WARDER_KEY_SESSION, name, &r.session);
	if (err)
		return error_errno(reterr, err,
				   "cannot make the session keyring of container %" PRIu64, cid);
	snprintf(name, sizeof(name), KEYRING_PREFIX "c.%" PRIu64, cid);
	err = ring_make(k, cid, WARDER_KEY_CONTAINER, name, &r.container);
	if (!err && keyctl_link(r.container, r.session))
		err = -errno;
	if (err) {
		keyring_destroy(k, cid, &r);
		return error_errno(reterr, err, "cannot make the keyring of container %" PRIu64,
				   cid);
	}
	*ret = r;
	return 0;
}

int keyring_enter(struct keyring *k, const struct keyring_rings *rings, struct warder_error *reterr)
{
	struct keyring_text t;
	int err;

	err = keyring_check_thread(k, reterr);
	if (err)
		return err;
	err = keyring_describe(rings->session, &t);
	if (err)
		return error_errno(reterr, err, "the container's session keyring is lost");
	/* A join looks for the name among rings that grant SEARCH to the uid. Containers are
	 * kept from this one by its tag, others of the host by not knowing its name. */
	if (keyctl_setperm(rings->session, KEY_POS_ALL | KEY_USR_SEARCH) ||
	    keyctl_join_session_keyring(t.description) < 0)
		err = -errno;
	keyring_text_done(&t);
	if (keyctl_setperm(rings->session, KEY_POS_ALL) && !err)
		err = -errno;
	if (!err && keyctl_get_keyring_ID(KEY_SPEC_SESSION_KEYRING, 0) != rings->session)
		err = -EEXIST;
	if (!err)
		return 0;
	keyring_leave(k, NULL);
	return error_errno(reterr, err, "cannot enter the container's session keyring");
}

int keyring_leave(struct keyring *k, struct warder_error *reterr)
{
	int err = keyring_check_thread(k, reterr);

	if (err)
		return err;
	if (keyctl_join_session_keyring(NULL) < 0)
		return error_errno(reterr, -errno, "cannot leave the container's session keyring");
	return 0;
}

int keyring_child_join(uint64_t cid, const struct keyring_rings *rings)
{
	key_serial_t serial = keyctl_get_keyring_ID(KEY_SPEC_SESSION_KEYRING, 0);

	(void)cid;
	return serial == rings->session ? 0 : -ENOKEY;
}

int keyring_relink(struct keyring *k, const struct keyring_rings *rings,
		   struct warder_error *reterr)
{
	int err = keyring_check_thread(k, reterr);

	if (err)
		return err;
	if (keyctl_link(rings->container, rings->session))
		return error_errno(reterr, -errno,
				   "cannot link the container keyring into its session keyring");
	return 0;
}

uint64_t keyring_clears(struct keyring *k, uint32_t slot)
{
	struct warder_clears clears;
	int fd = k->loader ? loader_map_fd(k->loader, LOADER_MAP_KEY_CLEARS) : -1;

	if (fd < 0 || keyring_map_lookup(fd, &slot, &clears))
		return 0;
	return clears.count;
}

/* Revoking a ring also empties it. */
static int ring_drop(struct keyring *k, int32_t ring)
{
	int err = 0;

	if (!ring)
		return 0;
	if (keyctl_revoke(ring) && !keyring_is_gone(-errno))
		err = -errno;
	if (keyctl_unlink(ring, k->registry) && !keyring_is_gone(-errno))
		err = -errno;
	return err;
}

/* A container's id is not used again, so its grants would lie there for ever. */
static void grants_drop(struct keyring *k, uint64_t cid)
{
	struct warder_grant_key key, next;
	int fd, more;

	fd = k->loader ? loader_map_fd(k->loader, LOADER_MAP_KEY_GRANTS) : -1;
	if (fd < 0)
		return;
	/* The next one is asked for before this one goes: it is the place in the map. */
	more = !keyring_map_next(fd, NULL, &key);
	for (int i = 0; more && i < WARDER_GRANTS_MAX; i++) {
		more = !keyring_map_next(fd, &key, &next);
		if (key.cid == cid)
			keyring_map_delete(fd, &key);
		key = next;
	}
}

int keyring_destroy(struct keyring *k, uint64_t cid, const struct keyring_rings *rings)
{
	int err = keyring_check_thread(k, NULL), other;

	if (err)
		return err;
	grants_drop(k, cid);
	keyring_keep_signers(k, cid, NULL, 0);
	err = ring_drop(k, rings->container);
	other = ring_drop(k, rings->session);
	return err ? err : other;
}
