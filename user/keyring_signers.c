// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The rings of containers' signers: certificates that the kernel checks the signatures of their
 * files with. Each ring is linked in the registry alone, holds what it was made with and cannot be
 * changed by anybody, this process included: another set of signers is another ring. Containers
 * do not see them (bpf/keyaccess.bpf.h, WARDER_KEY_SIGNERS).
 */
#include "keyring_internal.h"

#include <inttypes.h>
#include <keyutils.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "keyring_signers.h"

/* Found by the kernel, looked at by us; nothing else. */
#define SIGNERS_PERM (KEY_POS_VIEW | KEY_POS_READ | KEY_POS_SEARCH)

static int signers_map(const struct keyring *k)
{
	return k->loader ? loader_map_fd(k->loader, LOADER_MAP_SIGNERS) : -ENOENT;
}

static int signer_add(struct keyring *k, uint64_t cid, int32_t ring, unsigned number,
		      const struct keyring_signer *signer, struct warder_error *reterr)
{
	const struct keyring_tag tag = { .cid = cid, .kind = WARDER_KEY_SIGNERS };
	char name[32];
	int32_t serial;
	int err;

	snprintf(name, sizeof(name), "signer:%u", number);
	err = keyring_add_tagged(k, &tag, "asymmetric", name, signer->der, signer->length, ring, 1,
				 &serial);
	if (!err && keyctl_setperm(serial, SIGNERS_PERM))
		err = -errno;
	if (err == -ENODEV)
		return error_set(reterr, err,
				 "this kernel knows no certificates as keys "
				 "(CONFIG_ASYMMETRIC_KEY_TYPE)");
	return err ? error_errno(
			     reterr, err,
			     "the kernel does not take certificate %u of `signers:` (is it X.509, "
			     "with a key and a digest that this kernel knows?)",
			     number)
		   : 0;
}

/* A ring that was not finished goes: nobody knows it. */
static int signers_make(struct keyring *k, uint64_t cid, uint64_t id,
			const struct keyring_signer *signer, size_t count, int32_t *ret,
			struct warder_error *reterr)
{
	const struct keyring_tag tag = { .cid = cid, .kind = WARDER_KEY_SIGNERS };
	char name[64];
	int32_t ring;
	int err;

	snprintf(name, sizeof(name), KEYRING_PREFIX "x.%" PRIu64 ".%016" PRIx64, cid, id);
	err = keyring_add_tagged(k, &tag, "keyring", name, NULL, 0, k->registry, 1, &ring);
	if (err)
		return error_errno(reterr, err, "cannot make the ring of the container's signers");
	for (size_t i = 0; !err && i < count; i++)
		err = signer_add(k, cid, ring, (unsigned)i + 1, &signer[i], reterr);
	/* No link any more, whatever it is; then no way to change it at all. */
	if (!err &&
	    (keyctl_restrict_keyring(ring, NULL, NULL) || keyctl_setperm(ring, SIGNERS_PERM)))
		err = error_errno(reterr, -errno,
				  "cannot seal the ring of the container's signers");
	if (err)
		keyctl_unlink(ring, k->registry);
	else
		*ret = ring;
	return err;
}

int keyring_set_signers(struct keyring *k, uint64_t cid, uint64_t id,
			const struct keyring_signer *signer, size_t count,
			struct warder_error *reterr)
{
	struct warder_signers_key key = { .cid = cid, .signers_id = id };
	int fd = signers_map(k), err = keyring_check_thread(k, reterr);
	int32_t ring;

	if (err)
		return err;
	if (fd < 0)
		return error_errno(reterr, fd, "nothing is loaded that checks signatures");
	if (!keyring_map_lookup(fd, &key, &ring))
		return 0;
	err = signers_make(k, cid, id, signer, count, &ring, reterr);
	if (err)
		return err;
	err = keyring_map_update(fd, &key, &ring);
	if (err) {
		keyctl_unlink(ring, k->registry);
		return error_errno(reterr, err,
				   "cannot record the ring of the container's signers");
	}
	return 0;
}

static bool is_kept(uint64_t id, const uint64_t *keep, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (keep[i] == id)
			return true;
	return false;
}

void keyring_keep_signers(struct keyring *k, uint64_t cid, const uint64_t *keep, size_t count)
{
	struct warder_signers_key key, next;
	int fd = signers_map(k), more;

	if (fd < 0 || keyring_check_thread(k, NULL))
		return;
	/* The next one is asked for before this one goes: it is the place in the map. */
	more = !keyring_map_next(fd, NULL, &key);
	for (int i = 0; more && i < WARDER_SIGNER_RINGS_MAX; i++) {
		int32_t ring;

		more = !keyring_map_next(fd, &key, &next);
		if (key.cid == cid && !is_kept(key.signers_id, keep, count) &&
		    !keyring_map_lookup(fd, &key, &ring) && !keyring_map_delete(fd, &key))
			keyctl_unlink(ring, k->registry);
		key = next;
	}
}
