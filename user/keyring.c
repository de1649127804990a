// SPDX-License-Identifier: LGPL-2.1-or-later
/* The rings of a container, and what the supervisor puts into its C. */
#include "keyring_internal.h"

#include <inttypes.h>
#include <keyutils.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "cleanup.h"

#define KEYRING_NAME_SIZE 64
/* A container can put its own keys into S; a list of more than this is cut. */
#define KEYRING_LIST_MAX 4096

/* --------------------------------------------------------- container's rings */

static int ring_make(struct keyring *k, uint64_t cid, enum warder_key_kind kind, const char *name,
		     int32_t *ret)
{
	int err = keyring_add_tagged(k, cid, kind, "keyring", name, NULL, 0, k->registry, 1, ret);

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
	err = ring_drop(k, rings->container);
	other = ring_drop(k, rings->session);
	return err ? err : other;
}

/* --------------------------------------------------------------- C's content */

int keyring_add_key(struct keyring *k, uint64_t cid, const struct keyring_rings *rings,
		    const char *type, const char *description, const void *payload, size_t len,
		    int32_t *ret_serial, struct warder_error *reterr)
{
	int32_t serial, old = 0;
	int err;

	err = keyring_check_thread(k, reterr);
	if (err)
		return err;
	if (!*type || !*description ||
	    !strncmp(description, KEYRING_PREFIX, strlen(KEYRING_PREFIX)))
		return error_set(reterr, -EINVAL,
				 "'%s' '%s': a key needs a type, and a description that does not "
				 "begin with '" KEYRING_PREFIX "'",
				 type, description);
	err = keyring_find(rings->container, type, description, &old);
	if (err && err != -ENOKEY)
		return error_errno(reterr, err, "the container's keyring is lost");
	err = keyring_add_tagged(k, cid, WARDER_KEY_GIVEN, type, description, payload, len,
				 rings->container, !old, &serial);
	if (err == -ENODEV)
		return error_set(reterr, err, "this kernel knows no keys of type '%s'", type);
	if (err)
		return error_errno(reterr, err, "cannot add the %s key '%s'", type, description);
	/* Add and update give the owner's uid VIEW; processes outside may have that uid. */
	if (serial != old && keyctl_setperm(serial, KEY_POS_ALL)) {
		err = -errno;
		keyctl_unlink(serial, rings->container);
		return error_errno(reterr, err, "cannot protect the %s key '%s'", type,
				   description);
	}
	/* The container may have cleared S meanwhile. */
	if (keyctl_link(rings->container, rings->session))
		return error_errno(reterr, -errno,
				   "the key was added, but the container keyring "
				   "cannot be linked into its session keyring");
	if (ret_serial)
		*ret_serial = serial;
	return 0;
}

int keyring_unlink_key(struct keyring *k, uint64_t cid, const struct keyring_rings *rings,
		       const char *type, const char *description, struct warder_error *reterr)
{
	int32_t serial;
	int err;

	(void)cid;
	err = keyring_check_thread(k, reterr);
	if (err)
		return err;
	err = keyring_find(rings->container, type, description, &serial);
	if (!err && keyctl_unlink(serial, rings->container))
		err = -errno;
	if (err == -ENOKEY || err == -ENOENT)
		return error_set(reterr, -ENOKEY, "the container keyring holds no %s key '%s'",
				 type, description);
	if (err)
		return error_errno(reterr, err, "cannot unlink the %s key '%s'", type, description);
	return 0;
}

/* Appends what is linked in `ring`; leaves out `skip`. */
static int list_ring(int32_t ring, char which, int32_t skip, struct keyring_key **keys,
		     size_t *count)
{
	cleanup_free int32_t *serials = NULL;
	struct keyring_key *grown;
	size_t n = 0;
	int err;

	err = keyring_read_ring(ring, &serials, &n);
	if (err)
		return err;
	if (n > KEYRING_LIST_MAX)
		n = KEYRING_LIST_MAX;
	grown = reallocarray(*keys, *count + n + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	*keys = grown;
	for (size_t i = 0; i < n; i++) {
		struct keyring_key *key = &grown[*count];
		struct keyring_text t;

		if (serials[i] == skip)
			continue;
		err = keyring_describe(serials[i], &t);
		if (keyring_is_gone(err))
			continue; /* between the two calls */
		memset(key, 0, sizeof(*key));
		key->serial = serials[i];
		key->ring = which;
		if (err) {
			/* The container took VIEW off a key of its own. */
			strcpy(key->type, "?");
		} else {
			snprintf(key->type, sizeof(key->type), "%s", t.type);
			snprintf(key->description, sizeof(key->description), "%s", t.description);
			key->uid = t.uid;
			key->gid = t.gid;
			key->perm = t.perm;
			keyring_text_done(&t);
		}
		(*count)++;
	}
	return 0;
}

int keyring_list_keys(struct keyring *k, const struct keyring_rings *rings,
		      struct keyring_key **ret, size_t *ret_count, struct warder_error *reterr)
{
	cleanup_free struct keyring_key *keys = NULL;
	size_t count = 0;
	int err;

	err = keyring_check_thread(k, reterr);
	if (err)
		return err;
	err = list_ring(rings->container, 'C', 0, &keys, &count);
	if (!err)
		err = list_ring(rings->session, 'S', rings->container, &keys, &count);
	if (err)
		return error_errno(reterr, err, "cannot read the container's keyrings");
	*ret = take_ptr(keys);
	*ret_count = count;
	return 0;
}

int keyring_grant(struct keyring *k, uint64_t cid, int32_t serial, uint32_t may,
		  struct warder_error *reterr)
{
	struct warder_grant_key gk = { .cid = cid, .serial = serial };
	struct warder_grant g = { .may = may & WARDER_KEY_MAY_ALL };
	struct keyring_text t;
	int fd, err;

	if (!k->loader)
		return error_set(reterr, -EOPNOTSUPP, "nothing enforces grants here");
	fd = loader_map_fd(k->loader, LOADER_MAP_KEY_GRANTS);
	if (fd < 0)
		return error_errno(reterr, fd, "no map of grants");
	if (!g.may) {
		err = keyring_map_delete(fd, &gk);
		return err && err != -ENOENT ? error_errno(reterr, err, "cannot take back a grant")
					     : 0;
	}
	err = keyring_describe(serial, &t);
	if (err)
		return error_errno(reterr, err, "cannot grant key %" PRId32, serial);
	g.hash = keyring_name_hash(t.type, t.description);
	keyring_text_done(&t);
	err = keyring_map_update(fd, &gk, &g);
	if (err)
		return error_errno(reterr, err, "cannot grant key %" PRId32, serial);
	return 0;
}
