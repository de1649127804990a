// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The registry ring and the rings of containers.
 *
 *	@u of the anchor's uid ── _warder.registry ──┬── _warder.s.CID.NONCE (S) ── _warder.c.CID
 *(C) key thread's @t ─────────┘                   └── _warder.c.CID (C)
 *
 * Possession, and so every right here, comes from the link in the thread ring, which neither
 * fork nor exec passes on. The anchor only keeps the registry alive while no supervisor runs,
 * and lets the next one find it. It is the user keyring of a uid that nobody has, because a
 * search descends: in root's own @u, every root process of the host that looks up a key would
 * go through the registry and take the keys that containers put into their S.
 */
#include "keyring.h"

#include <inttypes.h>
#include <keyutils.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "warder_abi.h"

#define KEYRING_REGISTRY "_warder.registry"
#define KEYRING_PREFIX "_warder."
#define KEYRING_NAME_SIZE 64
/* An announcement that add_key() does not use up at once is worth nothing afterwards. */
#define KEYRING_ANNOUNCE_NS 5000000000ull
/* A container can put its own keys into S; a list of more than this is cut. */
#define KEYRING_LIST_MAX 4096

/* No account, no range of subordinate ids, no overflow id. */
#define KEYRING_ANCHOR_UID 0xfffffff0u

struct keyring {
	struct loader *loader;
	pid_t thread; /* possession is this thread's */
	int32_t registry;
};

/* -------------------------------------------------------------------- maps */

/* Three commands do not need libbpf, which only loader and events know. */
static int map_call(int cmd, int fd, const void *key, void *value)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = fd;
	attr.key = (uintptr_t)key;
	attr.value = (uintptr_t)value;
	return syscall(__NR_bpf, cmd, &attr, sizeof(attr)) ? -errno : 0;
}

static int map_update(int fd, const void *key, void *value)
{
	return map_call(BPF_MAP_UPDATE_ELEM, fd, key, value);
}

static int map_lookup(int fd, const void *key, void *value)
{
	return map_call(BPF_MAP_LOOKUP_ELEM, fd, key, value);
}

static int map_delete(int fd, const void *key)
{
	return map_call(BPF_MAP_DELETE_ELEM, fd, key, NULL);
}

/* Type and description as BPF sees them: cut where it cuts, padded with NULs. */
static uint64_t name_hash(const char *type, const char *description)
{
	struct warder_key_name n;

	memset(&n, 0, sizeof(n));
	memcpy(n.type, type, strnlen(type, sizeof(n.type) - 1));
	memcpy(n.description, description, strnlen(description, sizeof(n.description) - 1));
	return warder_key_hash(&n);
}

/* --------------------------------------------------------------------- keys */

struct key_text {
	char *text; /* allocated; type and description point into it */
	const char *type;
	const char *description;
	uint32_t uid, gid, perm;
};

static void key_text_done(struct key_text *t)
{
	free(t->text);
}

/* "type;uid;gid;perm;description"; the description may hold anything but NUL. */
static int key_describe(int32_t serial, struct key_text *ret)
{
	char *field[4];

	memset(ret, 0, sizeof(*ret));
	if (keyctl_describe_alloc(serial, &ret->text) < 0) {
		ret->text = NULL;
		return -errno;
	}
	ret->type = ret->text;
	for (size_t i = 0; i < ARRAY_SIZE(field); i++) {
		field[i] = strchr(i ? field[i - 1] : ret->text, ';');
		if (!field[i]) {
			key_text_done(ret);
			memset(ret, 0, sizeof(*ret));
			return -EBADMSG;
		}
		*field[i]++ = '\0';
	}
	ret->uid = strtoul(field[0], NULL, 10);
	ret->gid = strtoul(field[1], NULL, 10);
	ret->perm = strtoul(field[2], NULL, 16);
	ret->description = field[3];
	return 0;
}

/* Serials of what is linked in a ring; *ret is freed by the caller. */
static int ring_read(int32_t ring, int32_t **ret, size_t *ret_count)
{
	void *data;
	int n = keyctl_read_alloc(ring, &data);

	if (n < 0)
		return -errno;
	*ret = data;
	*ret_count = (size_t)n / sizeof(int32_t);
	return 0;
}

/* The key of that name that is linked in the ring itself. */
static int ring_find(int32_t ring, const char *type, const char *description, int32_t *ret)
{
	cleanup_free int32_t *serials = NULL;
	size_t count = 0;
	int err;

	err = ring_read(ring, &serials, &count);
	if (err)
		return err;
	for (size_t i = 0; i < count; i++) {
		struct key_text t;
		int match;

		if (key_describe(serials[i], &t))
			continue;
		match = !strcmp(t.type, type) && !strcmp(t.description, description);
		key_text_done(&t);
		if (match) {
			*ret = serials[i];
			return 0;
		}
	}
	return -ENOKEY;
}

/* Gone already is as good as removed now. */
static int is_gone(int err)
{
	return err == -ENOKEY || err == -ENOENT || err == -EKEYREVOKED || err == -EKEYEXPIRED;
}

static int check_thread(const struct keyring *k, struct warder_error *reterr)
{
	if (gettid() == k->thread)
		return 0;
	return error_set(reterr, -EXDEV,
			 "keyrings can only be changed by the thread that opened them");
}

/* add_key() for a container: announced to BPF, which tags the key, or refuses it when it cannot.
 * `must_tag`: the key cannot exist already, so the announcement must have been used. */
static int add_tagged(struct keyring *k, uint64_t cid, enum warder_key_kind kind, const char *type,
		      const char *description, const void *payload, size_t len, int32_t ring,
		      int must_tag, int32_t *ret)
{
	struct warder_alloc_as as = { .cid = cid, .kind = kind };
	uint32_t tid = (uint32_t)k->thread;
	struct timespec now;
	int fd = -1, err = 0;
	key_serial_t serial;

	if (k->loader) {
		fd = loader_map_fd(k->loader, LOADER_MAP_KEY_ALLOC_AS);
		if (fd < 0)
			return fd;
		clock_gettime(CLOCK_MONOTONIC, &now);
		as.hash = name_hash(type, description);
		as.expires = (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec +
			     KEYRING_ANNOUNCE_NS;
		err = map_update(fd, &tid, &as);
		if (err)
			return err;
	}
	serial = add_key(type, description, payload, len, ring);
	if (serial < 0)
		err = -errno;
	if (k->loader && !map_delete(fd, &tid) && !err && must_tag) {
		/* Nobody used it: the programs do not run, and the key would be the host's. */
		keyctl_unlink(serial, ring);
		err = -EIO;
	}
	if (err)
		return err;
	*ret = serial;
	return 0;
}

/* ----------------------------------------------------------------- registry */

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
	if (keyctl_unlink(registry, KEY_SPEC_USER_KEYRING) && !is_gone(-errno))
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

/* The serial that a supervisor before us left in the pinned map; 0: none. */
static int32_t registry_recorded(struct loader *loader)
{
	struct warder_alloc_as as;
	uint32_t zero = 0;
	int fd;

	if (!loader_was_pinned(loader))
		return 0;
	fd = loader_map_fd(loader, LOADER_MAP_KEY_ALLOC_AS);
	if (fd < 0 || map_lookup(fd, &zero, &as))
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
	return map_update(fd, &zero, &as);
}

/*
 * Any root process of the host, a container of another runtime among them, can anchor a ring of
 * that name. With a loader only the serial that the pinned map holds is accepted; no
 * record (the BPF side was loaded just now) means that no container of ours has rings either.
 */
static int registry_find(struct keyring *k)
{
	struct key_text t;
	long serial;
	int err;

	serial = anchor_search(0);
	if (serial < 0)
		return (int)serial;
	if (k->loader && serial != registry_recorded(k->loader))
		return -ENOKEY;
	if (anchor_search(KEY_SPEC_THREAD_KEYRING) != serial)
		return -ENOKEY;
	err = key_describe((int32_t)serial, &t);
	if (!err) {
		if (t.uid != geteuid() || t.perm != KEY_POS_ALL)
			err = -ENOKEY;
		key_text_done(&t);
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

	if (ring_read(k->registry, &serials, &count))
		return;
	for (size_t i = 0; i < count; i++) {
		struct key_text t;
		int err = key_describe(serials[i], &t);
		uint64_t cid;
		char kind;

		if (is_gone(err))
			keyctl_unlink(serials[i], k->registry);
		if (err)
			continue;
		if (sscanf(t.description, KEYRING_PREFIX "%c.%" SCNu64, &kind, &cid) == 2 &&
		    !cid_is_alive(k->loader, cid)) {
			keyctl_revoke(serials[i]);
			keyctl_unlink(serials[i], k->registry);
		}
		key_text_done(&t);
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
	int err = check_thread(k, NULL);

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
	if (keyctl_revoke(k->registry) && !is_gone(-errno))
		return -errno;
	return 0;
}

/* --------------------------------------------------------- container's rings */

static int ring_make(struct keyring *k, uint64_t cid, enum warder_key_kind kind, const char *name,
		     int32_t *ret)
{
	int err = add_tagged(k, cid, kind, "keyring", name, NULL, 0, k->registry, 1, ret);

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
	err = check_thread(k, reterr);
	if (err)
		return err;
	/* Somebody may have cleared it; without the link the next supervisor finds nothing. */
	err = anchor_link(k->registry);
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
	struct key_text t;
	int err;

	err = check_thread(k, reterr);
	if (err)
		return err;
	err = key_describe(rings->session, &t);
	if (err)
		return error_errno(reterr, err, "the container's session keyring is lost");
	/* A join looks for the name among rings that grant SEARCH to the uid. Containers are
	 * kept from this one by its tag, others of the host by not knowing its name. */
	if (keyctl_setperm(rings->session, KEY_POS_ALL | KEY_USR_SEARCH) ||
	    keyctl_join_session_keyring(t.description) < 0)
		err = -errno;
	key_text_done(&t);
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
	int err = check_thread(k, reterr);

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
	int err = check_thread(k, reterr);

	if (err)
		return err;
	if (keyctl_link(rings->container, rings->session))
		return error_errno(reterr, -errno,
				   "cannot link the container keyring into its session keyring");
	return 0;
}

/* Revoking a ring also empties it. */
static int ring_drop(struct keyring *k, int32_t ring)
{
	int err = 0;

	if (!ring)
		return 0;
	if (keyctl_revoke(ring) && !is_gone(-errno))
		err = -errno;
	if (keyctl_unlink(ring, k->registry) && !is_gone(-errno))
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
	more = !map_call(BPF_MAP_GET_NEXT_KEY, fd, NULL, &key);
	for (int i = 0; more && i < WARDER_GRANTS_MAX; i++) {
		more = !map_call(BPF_MAP_GET_NEXT_KEY, fd, &key, &next);
		if (key.cid == cid)
			map_delete(fd, &key);
		key = next;
	}
}

int keyring_destroy(struct keyring *k, uint64_t cid, const struct keyring_rings *rings)
{
	int err = check_thread(k, NULL), other;

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

	err = check_thread(k, reterr);
	if (err)
		return err;
	if (!*type || !*description ||
	    !strncmp(description, KEYRING_PREFIX, strlen(KEYRING_PREFIX)))
		return error_set(reterr, -EINVAL,
				 "'%s' '%s': a key needs a type, and a description that does not "
				 "begin with '" KEYRING_PREFIX "'",
				 type, description);
	err = ring_find(rings->container, type, description, &old);
	if (err && err != -ENOKEY)
		return error_errno(reterr, err, "the container's keyring is lost");
	err = add_tagged(k, cid, WARDER_KEY_GIVEN, type, description, payload, len,
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
	err = check_thread(k, reterr);
	if (err)
		return err;
	err = ring_find(rings->container, type, description, &serial);
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

	err = ring_read(ring, &serials, &n);
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
		struct key_text t;

		if (serials[i] == skip)
			continue;
		err = key_describe(serials[i], &t);
		if (is_gone(err))
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
			key_text_done(&t);
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

	err = check_thread(k, reterr);
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
	struct key_text t;
	int fd, err;

	if (!k->loader)
		return error_set(reterr, -EOPNOTSUPP, "nothing enforces grants here");
	fd = loader_map_fd(k->loader, LOADER_MAP_KEY_GRANTS);
	if (fd < 0)
		return error_errno(reterr, fd, "no map of grants");
	if (!g.may) {
		err = map_delete(fd, &gk);
		return err && err != -ENOENT ? error_errno(reterr, err, "cannot take back a grant")
					     : 0;
	}
	err = key_describe(serial, &t);
	if (err)
		return error_errno(reterr, err, "cannot grant key %" PRId32, serial);
	g.hash = name_hash(t.type, t.description);
	key_text_done(&t);
	err = map_update(fd, &gk, &g);
	if (err)
		return error_errno(reterr, err, "cannot grant key %" PRId32, serial);
	return 0;
}
