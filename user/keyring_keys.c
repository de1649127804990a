// SPDX-License-Identifier: LGPL-2.1-or-later
/* Keys, and what the BPF side is told of them: the tools of the other keyring files. */
#include "keyring_internal.h"

#include <keyutils.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"

/* An announcement that add_key() does not use up at once is worth nothing afterwards. */
#define KEYRING_ANNOUNCE_NS 5000000000ull

/* -------------------------------------------------------------------- maps */

static int keyring_map_call(int cmd, int fd, const void *key, void *value)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = fd;
	attr.key = (uintptr_t)key;
	attr.value = (uintptr_t)value;
	return syscall(__NR_bpf, cmd, &attr, sizeof(attr)) ? -errno : 0;
}

int keyring_map_update(int fd, const void *key, void *value)
{
	return keyring_map_call(BPF_MAP_UPDATE_ELEM, fd, key, value);
}

int keyring_map_lookup(int fd, const void *key, void *value)
{
	return keyring_map_call(BPF_MAP_LOOKUP_ELEM, fd, key, value);
}

int keyring_map_delete(int fd, const void *key)
{
	return keyring_map_call(BPF_MAP_DELETE_ELEM, fd, key, NULL);
}

int keyring_map_next(int fd, const void *previous, void *ret_key)
{
	return keyring_map_call(BPF_MAP_GET_NEXT_KEY, fd, previous, ret_key);
}

uint64_t keyring_name_hash(const char *type, const char *description)
{
	struct warder_key_name n;

	memset(&n, 0, sizeof(n));
	memcpy(n.type, type, strnlen(type, sizeof(n.type) - 1));
	memcpy(n.description, description, strnlen(description, sizeof(n.description) - 1));
	return warder_key_hash(&n);
}

/* --------------------------------------------------------------------- keys */

void keyring_text_done(struct keyring_text *t)
{
	free(t->text);
}

/* "type;uid;gid;perm;description"; the description may hold anything but NUL. */
int keyring_describe(int32_t serial, struct keyring_text *ret)
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
			keyring_text_done(ret);
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

int keyring_read_ring(int32_t ring, int32_t **ret, size_t *ret_count)
{
	void *data;
	int n = keyctl_read_alloc(ring, &data);

	if (n < 0)
		return -errno;
	*ret = data;
	*ret_count = (size_t)n / sizeof(int32_t);
	return 0;
}

int keyring_find(int32_t ring, const char *type, const char *description, int32_t *ret)
{
	cleanup_free int32_t *serials = NULL;
	size_t count = 0;
	int err;

	err = keyring_read_ring(ring, &serials, &count);
	if (err)
		return err;
	for (size_t i = 0; i < count; i++) {
		struct keyring_text t;
		int match;

		if (keyring_describe(serials[i], &t))
			continue;
		match = !strcmp(t.type, type) && !strcmp(t.description, description);
		keyring_text_done(&t);
		if (match) {
			*ret = serials[i];
			return 0;
		}
	}
	return -ENOKEY;
}

int keyring_is_gone(int err)
{
	return err == -ENOKEY || err == -ENOENT || err == -EKEYREVOKED || err == -EKEYEXPIRED;
}

int keyring_check_thread(const struct keyring *k, struct warder_error *reterr)
{
	if (gettid() == k->thread)
		return 0;
	return error_set(reterr, -EXDEV,
			 "keyrings can only be changed by the thread that opened them");
}

int keyring_add_tagged(struct keyring *k, const struct keyring_tag *tag, const char *type,
		       const char *description, const void *payload, size_t len, int32_t ring,
		       int must_tag, int32_t *ret)
{
	struct warder_alloc_as as = { .cid = tag->cid, .kind = tag->kind, .may = tag->may };
	uint32_t tid = (uint32_t)k->thread;
	struct timespec now;
	int fd = -1, err = 0;
	key_serial_t serial;

	if (k->loader) {
		fd = loader_map_fd(k->loader, LOADER_MAP_KEY_ALLOC_AS);
		if (fd < 0)
			return fd;
		clock_gettime(CLOCK_MONOTONIC, &now);
		as.hash = keyring_name_hash(type, description);
		as.expires = (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec +
			     KEYRING_ANNOUNCE_NS;
		err = keyring_map_update(fd, &tid, &as);
		if (err)
			return err;
	}
	serial = add_key(type, description, payload, len, ring);
	if (serial < 0)
		err = -errno;
	if (k->loader && !keyring_map_delete(fd, &tid) && !err && must_tag) {
		/* Nobody used it: the programs do not run, and the key would be the host's. */
		keyctl_unlink(serial, ring);
		err = -EIO;
	}
	if (err)
		return err;
	*ret = serial;
	return 0;
}
