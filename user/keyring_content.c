// SPDX-License-Identifier: LGPL-2.1-or-later
/* What the supervisor puts into a container's C, and what it lets the container use. */
#include "keyring_internal.h"

#include <inttypes.h>
#include <keyutils.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"

/* A container can put its own keys into S; a list of more than this is cut. */
#define KEYRING_LIST_MAX 4096

/* --------------------------------------------------------------------- keys */

int keyring_check_name(const char *type, const char *description, struct warder_error *reterr)
{
	if (*type && *description && strncmp(description, KEYRING_PREFIX, strlen(KEYRING_PREFIX)))
		return 0;
	return error_set(reterr, -EINVAL,
			 "'%s' '%s': a key needs a type, and a description that does not begin "
			 "with '" KEYRING_PREFIX "'",
			 type, description);
}

/* The key of that name in C; -ENOKEY with a sentence. */
static int find_in_container(struct keyring *k, const struct keyring_rings *rings,
			     const char *type, const char *description, int32_t *ret,
			     struct warder_error *reterr)
{
	int err = keyring_check_thread(k, reterr);

	if (!err)
		err = keyring_check_name(type, description, reterr);
	if (err)
		return err;
	err = keyring_find(rings->container, type, description, ret);
	if (err == -ENOKEY)
		return error_set(reterr, err, "the container keyring holds no %s key '%s'", type,
				 description);
	return err ? error_errno(reterr, err, "the container's keyring is lost") : 0;
}

int keyring_add_key_with(struct keyring *k, uint64_t cid, const struct keyring_rings *rings,
			 const char *type, const char *description, const void *payload,
			 size_t len, const struct keyring_key_options *options,
			 int32_t *ret_serial, struct warder_error *reterr)
{
	struct keyring_tag tag = { .cid = cid, .kind = WARDER_KEY_GIVEN };
	int32_t serial, old = 0;
	int err;

	err = keyring_check_thread(k, reterr);
	if (!err)
		err = keyring_check_name(type, description, reterr);
	if (err)
		return err;
	err = keyring_find(rings->container, type, description, &old);
	if (err && err != -ENOKEY)
		return error_errno(reterr, err, "the container's keyring is lost");
	if (options)
		tag.may = options->may & WARDER_KEY_MAY_ALL;
	if (old && tag.may)
		return error_set(reterr, -EEXIST,
				 "the %s key '%s' is there already, and what the container may do "
				 "with it stays: unlink it first",
				 type, description);
	err = keyring_add_tagged(k, &tag, type, description, payload, len, rings->container, !old,
				 &serial);
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
	if (options && options->seconds && keyctl_set_timeout(serial, options->seconds)) {
		err = -errno;
		keyctl_unlink(serial, rings->container);
		return error_errno(reterr, err, "cannot let the %s key '%s' expire", type,
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

int keyring_add_key(struct keyring *k, uint64_t cid, const struct keyring_rings *rings,
		    const char *type, const char *description, const void *payload, size_t len,
		    int32_t *ret_serial, struct warder_error *reterr)
{
	return keyring_add_key_with(k, cid, rings, type, description, payload, len, NULL,
				    ret_serial, reterr);
}

/* The kernel updates the key in place; of a type that it cannot update it puts a new key into
 * the old one's place in C, and who holds a link of the old one keeps that. */
int keyring_rotate_key(struct keyring *k, uint64_t cid, const struct keyring_rings *rings,
		       const char *type, const char *description, const void *payload,
		       size_t len, int32_t *ret_serial, struct warder_error *reterr)
{
	int32_t old;
	int err = find_in_container(k, rings, type, description, &old, reterr);

	return err ? err : keyring_add_key(k, cid, rings, type, description, payload, len,
					   ret_serial, reterr);
}

int keyring_unlink_key(struct keyring *k, uint64_t cid, const struct keyring_rings *rings,
		       const char *type, const char *description, struct warder_error *reterr)
{
	int32_t serial;
	int err = find_in_container(k, rings, type, description, &serial, reterr);

	if (err)
		return err;
	if (keyctl_unlink(serial, rings->container) && !keyring_is_gone(-errno))
		return error_errno(reterr, -errno, "cannot unlink the %s key '%s'", type,
				   description);
	/* Of a key of the host: the grant goes with the link. */
	keyring_grant(k, cid, serial, 0, NULL);
	return 0;
}

int keyring_revoke_key(struct keyring *k, uint64_t cid, const struct keyring_rings *rings,
		       const char *type, const char *description, struct warder_error *reterr)
{
	int32_t serial;
	int err = find_in_container(k, rings, type, description, &serial, reterr);

	if (err)
		return err;
	if (keyctl_revoke(serial) && !keyring_is_gone(-errno))
		return error_errno(reterr, -errno, "cannot revoke the %s key '%s'", type,
				   description);
	/* A revoked key in the way would make lookups EKEYREVOKED rather than go on. */
	keyctl_unlink(serial, rings->container);
	keyring_grant(k, cid, serial, 0, NULL);
	return 0;
}

int keyring_link_key(struct keyring *k, uint64_t cid, const struct keyring_rings *rings,
		     int32_t serial, uint32_t may, struct warder_error *reterr)
{
	struct keyring_text t;
	int32_t old = 0;
	int err;

	err = keyring_check_thread(k, reterr);
	if (err)
		return err;
	if (!(may & WARDER_KEY_MAY_ALL))
		return error_set(reterr, -EINVAL, "a key that may not be used is not linked");
	err = keyring_describe(serial, &t);
	if (err)
		return error_errno(reterr, err, "cannot look at key %" PRId32, serial);
	err = keyring_check_name(t.type, t.description, reterr);
	/* Its rings lead to keys that nobody granted, and the kernel's are not ours to give. */
	if (!err && (!strcmp(t.type, "keyring") || t.type[0] == '.'))
		err = error_set(reterr, -EINVAL, "key %" PRId32 " is a keyring", serial);
	if (!err && !keyring_find(rings->container, t.type, t.description, &old) && old != serial)
		err = error_set(reterr, -EEXIST,
				"the container keyring holds another %s key '%s': unlink it first",
				t.type, t.description);
	keyring_text_done(&t);
	if (!err)
		err = keyring_grant(k, cid, serial, may, reterr);
	if (err)
		return err;
	if (!keyctl_link(serial, rings->container))
		return 0;
	err = -errno;
	keyring_grant(k, cid, serial, 0, NULL);
	return error_errno(reterr, err,
			   "cannot link key %" PRId32 " (does it grant LINK to root? see `keyctl "
			   "setperm`)",
			   serial);
}

/* --------------------------------------------------------------------- list */

/* Appends what is linked in `ring`; leaves out `skip`. */
int keyring_list_ring(int32_t ring, char which, int32_t skip, struct keyring_key **keys,
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
	err = keyring_list_ring(rings->container, 'C', 0, &keys, &count);
	if (!err)
		err = keyring_list_ring(rings->session, 'S', rings->container, &keys, &count);
	if (err)
		return error_errno(reterr, err, "cannot read the container's keyrings");
	*ret = take_ptr(keys);
	*ret_count = count;
	return 0;
}

/* ------------------------------------------------------------------- grants */

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
