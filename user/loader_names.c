// SPDX-License-Identifier: LGPL-2.1-or-later
/* Names of files: the iterator over a task's open files, and the table of recorded mounts. */
#include "loader_internal.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"

#define NAMES_NO_SLOT (~0u)
/* Many records; one with its name takes little more than WARDER_PATH_MAX. */
#define NAMES_BUFFER (64u << 10)

/* ------------------------------------------------------------------- iterator */

/* Hands over the whole records in buf[0, len). Returns the bytes used, or `fn`'s result as
 * *ret_stop; -EPROTO when the records make no sense. */
static ssize_t names_hand_over(const char *buf, size_t len, loader_fd_fn fn, void *arg,
			       int *ret_stop)
{
	size_t used = 0;

	while (len - used >= sizeof(struct warder_fd_record)) {
		char name[WARDER_PATH_MAX + 1];
		struct warder_fd_record r;
		size_t name_len;

		memcpy(&r, buf + used, sizeof(r));
		name_len = r.name_len > 0 ? r.name_len : 0;
		if (name_len > WARDER_PATH_MAX)
			return -EPROTO;
		if (len - used < sizeof(r) + name_len)
			break;
		memcpy(name, buf + used + sizeof(r), name_len);
		name[name_len] = '\0';
		used += sizeof(r) + name_len;
		*ret_stop = fn(&r, name, arg);
		if (*ret_stop)
			break;
	}
	return used;
}

static int names_read(int fd, loader_fd_fn fn, void *arg)
{
	cleanup_free char *buf = malloc(NAMES_BUFFER);
	size_t have = 0;

	if (!buf)
		return -ENOMEM;
	for (;;) {
		ssize_t n = read(fd, buf + have, NAMES_BUFFER - have);
		ssize_t used;
		int stop = 0;

		if (n < 0) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			return -errno;
		}
		if (!n)
			return have ? -EPROTO : 0;
		have += n;
		used = names_hand_over(buf, have, fn, arg, &stop);
		if (used < 0)
			return used;
		if (stop)
			return stop;
		have -= used;
		memmove(buf, buf + used, have);
	}
}

int loader_each_fd(struct loader *l, pid_t pid, int slot, loader_fd_fn fn, void *arg)
{
	union bpf_iter_link_info info = { .task.pid = pid };
	LIBBPF_OPTS(bpf_link_create_opts, opts, .iter_info = &info,
		    .iter_info_len = sizeof(info));
	__u32 zero = 0, asked = slot < 0 ? NAMES_NO_SLOT : (__u32)slot;
	cleanup_close int link = -1, iter = -1;
	int err;

	if (pid <= 0 || slot >= WARDER_CONTAINERS_MAX)
		return -EINVAL;
	link = bpf_link_create(l->iter_prog_fd, 0, BPF_TRACE_ITER, &opts);
	if (link < 0)
		return link;
	iter = bpf_iter_create(link);
	if (iter < 0)
		return iter;
	pthread_mutex_lock(&l->names_lock);
	err = bpf_map_update_elem(l->map_fd[LOADER_FD_ITER], &zero, &asked, BPF_ANY);
	if (!err)
		err = names_read(iter, fn, arg);
	pthread_mutex_unlock(&l->names_lock);
	return err;
}

struct names_find {
	int fd;
	struct warder_fd_record *record;
	char *name;
	size_t size;
	int err;
};

static int names_find_fd(const struct warder_fd_record *record, const char *name, void *arg)
{
	struct names_find *f = arg;

	if (record->fd != (__u32)f->fd)
		return 0;
	*f->record = *record;
	f->err = 0;
	if (f->size) {
		size_t len = strlen(name);

		if (len >= f->size)
			f->err = -ENAMETOOLONG;
		else
			memcpy(f->name, name, len + 1);
	}
	return 1;
}

int loader_get_fd(struct loader *l, pid_t pid, int fd, int slot, struct warder_fd_record *ret,
		  char *name_buf, size_t size)
{
	struct names_find f = { .fd = fd, .record = ret, .name = name_buf,
				.size = name_buf ? size : 0, .err = -ENOENT };
	int err = loader_each_fd(l, pid, slot, names_find_fd, &f);

	return err < 0 ? err : f.err;
}

/* ------------------------------------------------------------ recorded mounts */

/* What BPF keeps of names no longer holds: bpf/known.bpf.h. After every change of the table. */
static void names_changed(struct loader *l)
{
	__atomic_add_fetch(&l->host->names, 1, __ATOMIC_SEQ_CST);
}

/* Collects the container's keys first: the table is not walked while it changes. */
static int names_collect(struct loader *l, __u32 slot, struct warder_name_key **ret, size_t *ret_n)
{
	cleanup_free struct warder_name_key *keys = NULL;
	struct warder_name_key key, next;
	int map = l->map_fd[LOADER_FD_NAMES];
	size_t n = 0, room = 0, steps = 0;
	void *previous = NULL;

	while (!bpf_map_get_next_key(map, previous, &next)) {
		key = next;
		previous = &key;
		/* Others' entries that go meanwhile can make the walk start again. */
		if (++steps > 8 * WARDER_MOUNTS_MAX)
			return -EAGAIN;
		if (key.slot != slot)
			continue;
		if (n == room) {
			struct warder_name_key *more;

			room = room ? 2 * room : 64;
			more = realloc(keys, room * sizeof(*keys));
			if (!more)
				return -ENOMEM;
			keys = more;
		}
		keys[n++] = key;
	}
	*ret = take_ptr(keys);
	*ret_n = n;
	return 0;
}

/* User space cannot see which dentry lies below which: as soon as a container has two recorded
 * roots on one superblock, walks must look up every dentry there. */
static int names_set_nested(struct loader *l, __u32 slot, __u64 sb, int *ret_others)
{
	cleanup_free struct warder_name_key *keys = NULL;
	int map = l->map_fd[LOADER_FD_NAMES];
	size_t n = 0;
	int err = names_collect(l, slot, &keys, &n);

	*ret_others = 0;
	for (size_t i = 0; !err && i < n; i++) {
		struct warder_name value;

		if (keys[i].sb != sb)
			continue;
		*ret_others += 1;
		err = bpf_map_lookup_elem(map, &keys[i], &value);
		if (err || value.nested)
			continue;
		value.nested = 1;
		err = bpf_map_update_elem(map, &keys[i], &value, BPF_EXIST);
	}
	return err;
}

static int names_record(struct loader *l, const struct warder_name_key *key,
			struct warder_name *value)
{
	int map = l->map_fd[LOADER_FD_NAMES];
	struct warder_name old;
	int others, err;

	/* The same root at two places of the container: the longest path is its name. An entry of
	 * an object that is gone is replaced. */
	err = bpf_map_lookup_elem(map, key, &old);
	if (!err && old.ino == value->ino && old.s_dev == value->s_dev && old.len >= value->len)
		return 0;
	if (!err) {
		value->nested = old.nested;
		return bpf_map_update_elem(map, key, value, BPF_EXIST);
	}
	if (err != -ENOENT)
		return err;
	/* The others first: a walk that stops too early would miss the new entry. */
	err = names_set_nested(l, key->slot, key->sb, &others);
	if (err)
		return err;
	value->nested = others > 0;
	return bpf_map_update_elem(map, key, value, BPF_NOEXIST);
}

/* That a name of the superblock may be found by a search only. A program may change the element
 * meanwhile: nothing of it counts any more then but the maker, who stays. `maker`: the container that has
 * made it, 0: none, or whoever is recorded. */
static int names_record_sb(struct loader *l, __u64 sb, __u64 maker)
{
	struct warder_sb value = { .maker = maker, .many = 1 };
	int fd = l->map_fd[LOADER_FD_SBS];
	int err = bpf_map_update_elem(fd, &sb, &value, BPF_NOEXIST);

	if (err != -EEXIST)
		return err;
	err = bpf_map_lookup_elem(fd, &sb, &value);
	if (err || (value.many && (!maker || value.maker == maker)))
		return err;
	value.many = 1;
	if (maker)
		value.maker = maker;
	return bpf_map_update_elem(fd, &sb, &value, BPF_EXIST);
}

int loader_record_mount(struct loader *l, __u32 slot, const struct warder_fd_record *record,
			const char *path, struct warder_error *reterr)
{
	struct warder_name_key key = { .sb = record->sb, .dentry = record->mnt_root,
				       .slot = slot };
	struct warder_name value = { .ino = record->root_ino, .s_dev = record->s_dev };
	size_t len = strlen(path);
	int err;

	if (slot >= WARDER_CONTAINERS_MAX)
		return -EINVAL;
	if (path[0] != '/')
		return error_set(reterr, -EINVAL, "the mount point \"%s\" is not absolute", path);
	while (len && path[len - 1] == '/')
		len--;
	if (len >= WARDER_PREFIX_SIZE)
		return error_set(reterr, -ENAMETOOLONG,
				 "a mount point's path is longer than %d bytes: %.64s...",
				 WARDER_PREFIX_SIZE - 1, path);
	memcpy(value.path, path, len);
	value.len = len;
	pthread_mutex_lock(&l->names_lock);
	/* The superblock first: an entry goes with it when it is freed. It is alive now,
	 * because the caller holds a file of it open. */
	err = names_record_sb(l, key.sb, 0);
	if (!err)
		err = names_record(l, &key, &value);
	names_changed(l);
	pthread_mutex_unlock(&l->names_lock);
	if (err == -E2BIG)
		err = -ENOSPC;
	return err ? error_errno(reterr, err, "cannot record the mount point %s", path) : 0;
}

int loader_record_maker(struct loader *l, const struct warder_fd_record *record, __u64 cid)
{
	int err;

	pthread_mutex_lock(&l->names_lock);
	err = names_record_sb(l, record->sb, cid);
	pthread_mutex_unlock(&l->names_lock);
	return err;
}

/* What becomes of a recorded path when `from` is `to`: 1 when it changes; its length is checked. */
static int names_moved(struct warder_name *value, const char *from, size_t from_len, const char *to,
		       size_t to_len)
{
	char path[WARDER_PREFIX_SIZE];
	size_t rest;

	if (value->len < from_len || memcmp(value->path, from, from_len) ||
	    (value->len > from_len && value->path[from_len] != '/'))
		return 0;
	rest = value->len - from_len;
	if (to_len + rest >= sizeof(path))
		return -ENAMETOOLONG;
	memset(path, 0, sizeof(path));
	memcpy(path, to, to_len);
	memcpy(path + to_len, value->path + from_len, rest);
	memcpy(value->path, path, sizeof(value->path));
	value->len = to_len + rest;
	return 1;
}

int loader_move_mounts(struct loader *l, __u32 slot, const char *from, const char *to)
{
	cleanup_free struct warder_name_key *keys = NULL;
	size_t n = 0, from_len = strlen(from), to_len = strlen(to);
	int map = l->map_fd[LOADER_FD_NAMES], err;

	if (slot >= WARDER_CONTAINERS_MAX || !from_len || from[0] != '/' || to[0] != '/')
		return -EINVAL;
	pthread_mutex_lock(&l->names_lock);
	err = names_collect(l, slot, &keys, &n);
	/* First whether all of them fit. */
	for (int change = 0; !err && change < 2; change++)
		for (size_t i = 0; !err && i < n; i++) {
			struct warder_name value;
			int moved;

			if (bpf_map_lookup_elem(map, &keys[i], &value))
				continue;
			moved = names_moved(&value, from, from_len, to, to_len);
			if (moved < 0)
				err = moved;
			else if (moved && change)
				err = bpf_map_update_elem(map, &keys[i], &value, BPF_EXIST);
			if (err == -ENOENT)
				err = 0; /* unmounted meanwhile */
		}
	names_changed(l);
	pthread_mutex_unlock(&l->names_lock);
	return err;
}

int loader_forget_mounts(struct loader *l, __u32 slot)
{
	cleanup_free struct warder_name_key *keys = NULL;
	size_t n = 0;
	int err;

	if (slot >= WARDER_CONTAINERS_MAX)
		return -EINVAL;
	pthread_mutex_lock(&l->names_lock);
	err = names_collect(l, slot, &keys, &n);
	for (size_t i = 0; !err && i < n; i++) {
		err = bpf_map_delete_elem(l->map_fd[LOADER_FD_NAMES], &keys[i]);
		if (err == -ENOENT)
			err = 0;
	}
	names_changed(l);
	pthread_mutex_unlock(&l->names_lock);
	return err;
}
