// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The registry ring and the rings of containers.
 *
 *	@u of the anchor's uid --- _warder.registry --- S (_warder.s.CID.NONCE) --- C
 *	the key thread's @t ----------------'  '------- C (_warder.c.CID)
 *
 * Possession, and so every right here, comes from the link in the thread ring, which neither
 * fork nor exec passes on. The anchor only keeps the registry alive while no supervisor runs,
 * and lets the next one find it. It is the user keyring of a uid that nobody has, because a
 * search descends: in root's own @u, every root process of the host that looks up a key would
 * go through the registry and take the keys that containers put into their S.
 */
#include "keyring_internal.h"

#include <inttypes.h>
#include <keyutils.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"

/* No account, no range of subordinate ids, no overflow id. */
#define KEYRING_ANCHOR_UID 0xfffffff0u

/* ------------------------------------------------------------------- anchor */

/*
 * KEY_SPEC_USER_KEYRING is the ring of the real uid, which the two functions change for this
 * thread only; glibc's setresuid() would do so for all. Effective ids and capabilities stay.
 * In a user namespace that lacks the uid (no BPF there, so no containers): that of our own.
 */
static int anchor_enter(uid_t *ret_old)
{
	*ret_old = getuid();
	if (!syscall(SYS_setresuid, KEYRING_ANCHOR_UID, -1, -1) || errno == EINVAL)
		return 0;
	return -errno;
}

static void anchor_leave(uid_t old)
{
	if (getuid() != old && syscall(SYS_setresuid, old, -1, -1))
		abort(); /* cannot happen with euid 0; going on as another user would be worse */
}

static int anchor_link(int32_t registry)
{
	uid_t old;
	int err;

	err = anchor_enter(&old);
	if (err)
		return err;
	/* A link of the same name that lies there, somebody else's, is replaced. */
	if (keyctl_link(registry, KEY_SPEC_USER_KEYRING))
		err = -errno;
	anchor_leave(old);
	return err;
}

static int anchor_unlink(int32_t registry)
{
	uid_t old;
	int err;

	err = anchor_enter(&old);
	if (err)
		return err;
	if (keyctl_unlink(registry, KEY_SPEC_USER_KEYRING) && !keyring_is_gone(-errno))
		err = -errno;
	anchor_leave(old);
	return err;
}

/* Serial of what is anchored; with `into`, linked there as well: the search that also links is
 * the one that needs no possession beforehand. */
static long anchor_search(int32_t into)
{
	long serial;
	uid_t old;
	int err;

	err = anchor_enter(&old);
	if (err)
		return err;
	serial = keyctl_search(KEY_SPEC_USER_KEYRING, "keyring", KEYRING_REGISTRY, into);
	if (serial < 0)
		serial = -errno;
	anchor_leave(old);
	return serial;
}

int keyring_anchor(struct keyring *k)
{
	return anchor_link(k->registry);
}

/* ----------------------------------------------------------------- registry */

/* The serial that a supervisor before us left in the pinned map; 0: none. */
static int32_t registry_recorded(struct loader *loader)
{
	struct warder_alloc_as as;
	uint32_t zero = 0;
	int fd;

	if (!loader_was_pinned(loader))
		return 0;
	fd = loader_map_fd(loader, LOADER_MAP_KEY_ALLOC_AS);
	if (fd < 0 || keyring_map_lookup(fd, &zero, &as))
		return 0;
	return as.serial;
}

static int registry_record(struct loader *loader, int32_t serial)
{
	struct warder_alloc_as as = { .serial = serial };
	uint32_t zero = 0;
	int fd = loader_map_fd(loader, LOADER_MAP_KEY_ALLOC_AS);

	if (fd < 0)
		return fd;
	return keyring_map_update(fd, &zero, &as);
}

/*
 * Any root process of the host, a container of another runtime among them, can anchor a ring of
 * that name. With a loader only the serial that the pinned map holds is accepted; no
 * record (the BPF side was loaded just now) means that no container of ours has rings either.
 */
static int registry_find(struct keyring *k)
{
	struct keyring_text t;
	long serial;
	int err;

	serial = anchor_search(0);
	if (serial < 0)
		return (int)serial;
	if (k->loader && serial != registry_recorded(k->loader))
		return -ENOKEY;
	if (anchor_search(KEY_SPEC_THREAD_KEYRING) != serial)
		return -ENOKEY;
	err = keyring_describe((int32_t)serial, &t);
	if (!err) {
		if (t.uid != geteuid() || t.perm != KEY_POS_ALL)
			err = -ENOKEY;
		keyring_text_done(&t);
	}
	if (err) {
		keyctl_unlink((key_serial_t)serial, KEY_SPEC_THREAD_KEYRING);
		return err;
	}
	k->registry = (int32_t)serial;
	return 0;
}

static int registry_make(struct keyring *k)
{
	key_serial_t serial;
	int err = 0;

	serial = add_key("keyring", KEYRING_REGISTRY, NULL, 0, KEY_SPEC_THREAD_KEYRING);
	if (serial < 0)
		return -errno;
	if (keyctl_setperm(serial, KEY_POS_ALL))
		err = -errno;
	if (!err)
		err = anchor_link(serial);
	if (!err && k->loader)
		err = registry_record(k->loader, serial);
	if (err) {
		keyctl_revoke(serial);
		keyctl_unlink(serial, KEY_SPEC_THREAD_KEYRING);
		return err;
	}
	k->registry = serial;
	return 0;
}

/* Is there a container with this id? */
static int cid_is_alive(struct loader *loader, uint64_t cid)
{
	for (uint32_t slot = 0; slot < WARDER_CONTAINERS_MAX; slot++) {
		struct warder_ctr ctr;

		if (!loader_get_container(loader, slot, &ctr) && ctr.cid == cid)
			return 1;
	}
	return 0;
}

/* Rings of containers that ended while no supervisor ran. */
static void registry_prune(struct keyring *k)
{
	cleanup_free int32_t *serials = NULL;
	size_t count = 0;

	if (keyring_read_ring(k->registry, &serials, &count))
		return;
	for (size_t i = 0; i < count; i++) {
		struct keyring_text t;
		int err = keyring_describe(serials[i], &t);
		uint64_t cid;
		char kind;

		if (keyring_is_gone(err))
			keyctl_unlink(serials[i], k->registry);
		if (err)
			continue;
		if (sscanf(t.description, KEYRING_PREFIX "%c.%" SCNu64, &kind, &cid) == 2 &&
		    !cid_is_alive(k->loader, cid)) {
			keyctl_revoke(serials[i]);
			keyctl_unlink(serials[i], k->registry);
		}
		keyring_text_done(&t);
	}
}

int keyring_new(struct keyring **ret, struct loader *loader, struct warder_error *reterr)
{
	cleanup_free struct keyring *k = NULL;
	int err;

	if (keyctl_get_keyring_ID(KEY_SPEC_USER_KEYRING, 0) < 0) {
		err = -errno;
		if (err == -ENOSYS)
			return error_set(reterr, err,
					 "this kernel has no key management (CONFIG_KEYS)");
		return error_errno(reterr, err, "cannot use user keyrings");
	}
	k = calloc(1, sizeof(*k));
	if (!k)
		return error_errno(reterr, -ENOMEM, "keyrings");
	k->loader = loader;
	k->thread = gettid();
	/* Whatever login or service session we were started in may be revoked at its end, and
	 * is no business of the processes that we start. */
	if (keyctl_join_session_keyring(NULL) < 0)
		return error_errno(reterr, -errno, "cannot make a session keyring");
	err = registry_find(k);
	if (!err) {
		if (loader)
			registry_prune(k);
	} else {
		err = registry_make(k);
		if (err)
			return error_errno(reterr, err, "cannot make the registry keyring '%s'",
					   KEYRING_REGISTRY);
	}
	*ret = take_ptr(k);
	return 0;
}

void keyring_free(struct keyring *k)
{
	if (!k)
		return;
	if (gettid() == k->thread)
		keyctl_unlink(k->registry, KEY_SPEC_THREAD_KEYRING);
	free(k);
}

int keyring_remove_registry(struct keyring *k)
{
	int err = keyring_check_thread(k, NULL);

	if (err)
		return err;
	if (k->loader) {
		err = registry_record(k->loader, 0);
		if (err)
			return err;
	}
	err = anchor_unlink(k->registry);
	if (err)
		return err;
	if (keyctl_revoke(k->registry) && !keyring_is_gone(-errno))
		return -errno;
	return 0;
}
