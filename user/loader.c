// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The maps and links below the pin directory. loader_open() loads and pins when there is
 * nothing yet, and then takes everything from the pins, as it does when it finds them: there is
 * one way in, and a start after a crash is no special case.
 */
#include "loader_internal.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "policy.h"

#define LOADER_BOUND_MAX 2000000ull
#define LOADER_BOUND_MAX_EMULATED 50000000ull

const char *const loader_map_names[LOADER_FD__MAX] = {
	[LOADER_FD_TASKS] = "warder_tasks",   [LOADER_FD_CTRS] = "warder_ctrs",
	[LOADER_FD_STATS] = "warder_stats",   [LOADER_FD_IMAGES] = "warder_images",
	[LOADER_FD_NAMES] = "warder_names",   [LOADER_FD_HOST] = "warder_host",
	[LOADER_FD_SBS] = "warder_sbs",
	[LOADER_FD_WAITS] = "warder_waits",   [LOADER_FD_FAULTS] = "warder_faults",
	[LOADER_FD_ITER] = "warder_iter",     [LOADER_FD_ADOPT] = "warder_adopt",
	[LOADER_FD_KIN] = "warder_kin",       [LOADER_FD_EVENTS] = "warder_events",
	[LOADER_FD_ICEPTS] = "warder_icepts", [LOADER_FD_SOCKS] = "warder_socks",
	[LOADER_FD_LEARN] = "warder_learn",
	[LOADER_FD_KEYS] = "warder_keys",     [LOADER_FD_GRANTS] = "warder_grants",
	[LOADER_FD_ALLOC_AS] = "warder_alloc_as", [LOADER_FD_CLEARS] = "warder_clears",
	[LOADER_FD_UPCALLS] = "warder_upcalls", [LOADER_FD_SIGNERS] = "warder_signers",
};

/* ------------------------------------------------------------- open and close */

static int loader_open_maps(struct loader *l, struct warder_error *reterr)
{
	for (int i = 0; i < LOADER_FD__MAX; i++) {
		cleanup_free char *path = NULL;

		if (asprintf(&path, "%s/%s", l->pin_dir, loader_map_names[i]) < 0)
			return -ENOMEM;
		l->map_fd[i] = bpf_obj_get(path);
		if (l->map_fd[i] >= 0)
			continue;
		if (l->map_fd[i] == -ENOENT && i >= LOADER_FD_OPTIONAL)
			continue;
		return error_errno(reterr, l->map_fd[i], "cannot open the pinned map %s", path);
	}
	return 0;
}

static int loader_open_iter(struct loader *l, const char *name, int *ret_fd,
			    struct warder_error *reterr)
{
	cleanup_free char *iter = NULL;

	if (asprintf(&iter, "%s/%s", l->pin_dir, name) < 0)
		return -ENOMEM;
	*ret_fd = bpf_obj_get(iter);
	if (*ret_fd < 0)
		return error_errno(reterr, *ret_fd, "cannot open the pinned program %s", iter);
	return 0;
}

/* NULL with *ret_err and its sentence. */
static void *loader_map_one(const struct loader *l, enum loader_fd fd, size_t size,
			    const char *what, int *ret_err, struct warder_error *reterr)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, l->map_fd[fd], 0);

	if (p != MAP_FAILED)
		return p;
	*ret_err = error_errno(reterr, -errno, "cannot map the %s", what);
	return NULL;
}

static int loader_map_memory(struct loader *l, struct warder_error *reterr)
{
	int err = 0;

	l->host = loader_map_one(l, LOADER_FD_HOST, sizeof(*l->host), "host record", &err, reterr);
	if (!err)
		l->waits = loader_map_one(l, LOADER_FD_WAITS, LOADER_WAITS_SIZE, "claim words", &err,
					  reterr);
	if (!err)
		l->adopt = loader_map_one(l, LOADER_FD_ADOPT, sizeof(*l->adopt),
					  "record of adoptions", &err, reterr);
	if (err)
		return err;
	if (l->host->abi != WARDER_ABI_VERSION)
		return error_set(reterr, -EBUSY,
				 "%s belongs to a warder with ABI version %u, this one has %u: stop "
				 "it first", l->pin_dir, l->host->abi, WARDER_ABI_VERSION);
	return 0;
}

static int loader_check_bound(const struct loader_options *options, struct warder_error *reterr)
{
	const char *emulated = getenv("WARDER_EMULATED");
	__u64 max = emulated && !strcmp(emulated, "1") ? LOADER_BOUND_MAX_EMULATED :
							 LOADER_BOUND_MAX;

	if (options->wait_bound_ns > max)
		return error_set(reterr, -ERANGE,
				 "a wait bound of %llu us is more than the %llu us that are allowed",
				 options->wait_bound_ns / 1000ull, max / 1000ull);
	return 0;
}

int loader_open(struct loader **ret, const struct loader_options *options,
		struct warder_error *reterr)
{
	static const struct loader_options defaults;
	struct loader *l;
	int err;

	*ret = NULL;
	if (!options)
		options = &defaults;
	err = loader_check_bound(options, reterr);
	if (err)
		return err;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	for (int i = 0; i < LOADER_FD__MAX; i++)
		l->map_fd[i] = -1;
	l->iter_prog_fd = l->iter_task_fd = -1;
	pthread_mutex_init(&l->names_lock, NULL);
	pthread_mutex_init(&l->publish_lock, NULL);
	l->pin_dir = strdup(options->pin_dir ? options->pin_dir : WARDER_PIN_DIR);
	if (!l->pin_dir) {
		err = -ENOMEM;
		goto fail;
	}
	err = loader_pin_check(l->pin_dir, reterr);
	if (!err) {
		l->was_pinned = 1;
	} else if (err != -ENOENT) {
		goto fail;
	} else if (options->require_existing) {
		error_set(reterr, err, "nothing of warder is pinned in %s", l->pin_dir);
		goto fail;
	} else {
		err = loader_pin_new(l->pin_dir, options, reterr);
		if (err)
			goto fail;
	}
	err = loader_open_maps(l, reterr);
	if (!err)
		err = loader_open_iter(l, LOADER_PIN_ITER, &l->iter_prog_fd, reterr);
	if (!err)
		err = loader_open_iter(l, LOADER_PIN_ITER_TASK, &l->iter_task_fd, reterr);
	if (!err)
		err = loader_map_memory(l, reterr);
	if (!err)
		err = loader_open_programs(l, reterr);
	if (err) {
		if (!l->was_pinned)
			loader_pin_remove(l->pin_dir);
		goto fail;
	}
	if (options->wait_bound_ns)
		__atomic_store_n(&l->host->wait_bound, options->wait_bound_ns, __ATOMIC_RELAXED);
	*ret = l;
	return 0;
fail:
	loader_free(l);
	return err;
}

void loader_free(struct loader *l)
{
	if (!l)
		return;
	if (l->host)
		munmap(l->host, sizeof(*l->host));
	if (l->waits)
		munmap(l->waits, LOADER_WAITS_SIZE);
	if (l->adopt)
		munmap(l->adopt, sizeof(*l->adopt));
	for (int i = 0; i < LOADER_FD__MAX; i++)
		if (l->map_fd[i] >= 0)
			close(l->map_fd[i]);
	loader_close_programs(l);
	if (l->iter_prog_fd >= 0)
		close(l->iter_prog_fd);
	if (l->iter_task_fd >= 0)
		close(l->iter_task_fd);
	pthread_mutex_destroy(&l->names_lock);
	pthread_mutex_destroy(&l->publish_lock);
	free(l->pin_dir);
	free(l);
}

int loader_unpin(struct loader *l)
{
	return loader_pin_remove(l->pin_dir);
}

int loader_was_pinned(const struct loader *l)
{
	return l->was_pinned;
}

struct warder_host *loader_host(struct loader *l)
{
	return l->host;
}

struct warder_wait *loader_waits(struct loader *l)
{
	return l->waits;
}

int loader_map_fd(struct loader *l, enum loader_map which)
{
	static const enum loader_fd fds[LOADER_MAP__MAX] = {
		[LOADER_MAP_EVENTS] = LOADER_FD_EVENTS,
		[LOADER_MAP_INTERCEPTS] = LOADER_FD_ICEPTS,
		[LOADER_MAP_KEYS] = LOADER_FD_KEYS,
		[LOADER_MAP_KEY_GRANTS] = LOADER_FD_GRANTS,
		[LOADER_MAP_KEY_ALLOC_AS] = LOADER_FD_ALLOC_AS,
		[LOADER_MAP_KEY_CLEARS] = LOADER_FD_CLEARS,
		[LOADER_MAP_UPCALLS] = LOADER_FD_UPCALLS,
		[LOADER_MAP_SOCKS] = LOADER_FD_SOCKS,
		[LOADER_MAP_LEARN] = LOADER_FD_LEARN,
		[LOADER_MAP_SIGNERS] = LOADER_FD_SIGNERS,
	};

	if (which >= LOADER_MAP__MAX)
		return -EINVAL;
	return l->map_fd[fds[which]] < 0 ? -ENOENT : l->map_fd[fds[which]];
}

/* ------------------------------------------------------------------- policies */

static __u64 *slot_word(struct loader *l, __u32 slot)
{
	return &l->host->published[slot / 64];
}

static __u64 slot_bit(__u32 slot)
{
	return 1ull << slot % 64;
}

/* A look into a slot, or its deletion, costs a grace period on older kernels (6.1 waits after each
 * operation on a map of maps, kernel/bpf/syscall.c, maybe_wait_bpf_programs): seconds for all. */
static int slot_is_empty(struct loader *l, __u32 slot)
{
	return !(__atomic_load_n(slot_word(l, slot), __ATOMIC_SEQ_CST) & slot_bit(slot));
}

/* What the new image needs is attached first. What only the old one needed stays until
 * loader_trim(): the next policy may need it again. */
static int loader_publish_map(struct loader *l, __u32 slot, int inner, __u64 needs,
			      struct warder_error *reterr)
{
	int err;

	pthread_mutex_lock(&l->publish_lock);
	err = loader_attach(l, needs, reterr);
	if (!err) {
		__atomic_fetch_or(slot_word(l, slot), slot_bit(slot), __ATOMIC_SEQ_CST);
		/* Readers hold the old map until their program ends; the update waits for them. */
		err = bpf_map_update_elem(l->map_fd[LOADER_FD_IMAGES], &slot, &inner, BPF_ANY);
		if (err)
			error_errno(reterr, err, "cannot publish the policy image");
		else
			l->image_needs[slot] = needs;
	}
	pthread_mutex_unlock(&l->publish_lock);
	return err;
}

int loader_publish(struct loader *l, __u32 policy_slot, const struct warder_image *img,
		   struct warder_error *reterr)
{
	cleanup_free struct warder_image *copy = NULL;
	cleanup_close int inner = -1;
	__u32 zero = 0;
	int err;

	if (policy_slot >= WARDER_POLICIES_MAX)
		return error_set(reterr, -ENOSPC, "no more than %d policies", WARDER_POLICIES_MAX);
	err = image_is_stack(img) ? 0 : image_verify(img, sizeof(*img), reterr);
	if (!err)
		err = loader_check_image(l, img, reterr);
	if (err)
		return err;
	inner = bpf_map_create(BPF_MAP_TYPE_ARRAY, "warder_image", sizeof(__u32), sizeof(*img), 1,
			       NULL);
	if (inner < 0)
		return error_errno(reterr, inner, "cannot make a map for the policy image");
	copy = malloc(sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	memcpy(copy, img, sizeof(*copy));
	if (copy->h.hit_shards)
		memset(copy->b + copy->h.hits, 0, WARDER_IMAGE_SIZE - copy->h.hits);
	copy->h.serial = __atomic_add_fetch(&l->host->serial, 1, __ATOMIC_SEQ_CST);
	err = bpf_map_update_elem(inner, &zero, copy, BPF_ANY);
	if (err)
		return error_errno(reterr, err, "cannot fill the policy image");
	return loader_publish_map(l, policy_slot, inner, loader_image_needs(copy), reterr);
}

int loader_unpublish(struct loader *l, __u32 policy_slot)
{
	int err;

	if (policy_slot >= WARDER_POLICIES_MAX)
		return -EINVAL;
	pthread_mutex_lock(&l->publish_lock);
	err = slot_is_empty(l, policy_slot) ? -ENOENT :
		      bpf_map_delete_elem(l->map_fd[LOADER_FD_IMAGES], &policy_slot);
	if (!err || err == -ENOENT)
		__atomic_fetch_and(slot_word(l, policy_slot), ~slot_bit(policy_slot),
				   __ATOMIC_SEQ_CST);
	if (!err)
		l->image_needs[policy_slot] = 0;
	pthread_mutex_unlock(&l->publish_lock);
	return err;
}

int loader_trim(struct loader *l, size_t most)
{
	int more;

	pthread_mutex_lock(&l->publish_lock);
	more = loader_detach(l, most);
	pthread_mutex_unlock(&l->publish_lock);
	return more;
}

int loader_read_image(struct loader *l, __u32 policy_slot, struct warder_image **ret)
{
	cleanup_free struct warder_image *img = NULL;
	cleanup_close int inner = -1;
	__u32 id, zero = 0;
	int err;

	if (policy_slot >= WARDER_POLICIES_MAX)
		return -EINVAL;
	if (slot_is_empty(l, policy_slot))
		return -ENOENT;
	err = bpf_map_lookup_elem(l->map_fd[LOADER_FD_IMAGES], &policy_slot, &id);
	if (err)
		return err;
	inner = bpf_map_get_fd_by_id(id);
	if (inner < 0)
		return inner;
	img = malloc(sizeof(*img));
	if (!img)
		return -ENOMEM;
	err = bpf_map_lookup_elem(inner, &zero, img);
	if (err)
		return err;
	*ret = take_ptr(img);
	return 0;
}

/* ----------------------------------------------------------------- containers */

int loader_next_cid(struct loader *l, __u64 *ret_cid)
{
	/* 64 bits do not wrap within the life of a machine. */
	*ret_cid = __atomic_add_fetch(&l->host->next_cid, 1, __ATOMIC_SEQ_CST);
	return 0;
}

int loader_set_container(struct loader *l, __u32 slot, const struct warder_ctr *ctr)
{
	if (slot >= WARDER_CONTAINERS_MAX)
		return -EINVAL;
	return bpf_map_update_elem(l->map_fd[LOADER_FD_CTRS], &slot, ctr, BPF_ANY);
}

int loader_get_container(struct loader *l, __u32 slot, struct warder_ctr *ret)
{
	if (slot >= WARDER_CONTAINERS_MAX)
		return -EINVAL;
	return bpf_map_lookup_elem(l->map_fd[LOADER_FD_CTRS], &slot, ret);
}

int loader_get_stats(struct loader *l, __u32 slot, struct warder_stats *ret)
{
	if (slot >= WARDER_CONTAINERS_MAX)
		return -EINVAL;
	return bpf_map_lookup_elem(l->map_fd[LOADER_FD_STATS], &slot, ret);
}

int loader_reset_stats(struct loader *l, __u32 slot)
{
	static const struct warder_stats zero;

	if (slot >= WARDER_CONTAINERS_MAX)
		return -EINVAL;
	return bpf_map_update_elem(l->map_fd[LOADER_FD_STATS], &slot, &zero, BPF_ANY);
}

int loader_forget_learned(struct loader *l, __u32 slot)
{
	int map = l->map_fd[LOADER_FD_LEARN], more, err = 0;
	struct warder_learn_key key, next;
	struct warder_stats stats;
	size_t steps = 0;

	if (slot >= WARDER_CONTAINERS_MAX)
		return -EINVAL;
	/* Most containers never learn anything; the others' are many. */
	if (!loader_get_stats(l, slot, &stats) && !stats.learned)
		return 0;
	more = !bpf_map_get_next_key(map, NULL, &next);
	while (more && !err) {
		key = next;
		/* Before the key goes: from one that is gone the walk starts again, as it does from
		 * one that BPF removes meanwhile. */
		more = !bpf_map_get_next_key(map, &key, &next);
		if (++steps > 8 * WARDER_LEARN_MAX)
			return -EAGAIN;
		if (key.slot == slot)
			err = bpf_map_delete_elem(map, &key);
		if (err == -ENOENT)
			err = 0;
	}
	return err;
}

int loader_get_faults(struct loader *l, __u64 ret_counts[WARDER_FAULT__MAX])
{
	for (__u32 i = 0; i < WARDER_FAULT__MAX; i++) {
		int err = bpf_map_lookup_elem(l->map_fd[LOADER_FD_FAULTS], &i, &ret_counts[i]);

		if (err)
			return err;
	}
	return 0;
}

int loader_tag_task(struct loader *l, int pidfd, __u64 cid, __u32 slot)
{
	struct warder_task tag = { .cid = cid, .slot = slot };
	int err;

	if (!cid || slot >= WARDER_CONTAINERS_MAX)
		return -EINVAL;
	err = bpf_map_update_elem(l->map_fd[LOADER_FD_TASKS], &pidfd, &tag, BPF_NOEXIST);
	if (err)
		return err;
	/* Makes it count: see bpf/identity.bpf.h. It may be gone already, and then need not. */
	syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0);
	return 0;
}

int loader_get_task(struct loader *l, int pidfd, struct warder_task *ret)
{
	return bpf_map_lookup_elem(l->map_fd[LOADER_FD_TASKS], &pidfd, ret);
}

int loader_get_upcall(struct loader *l, __u32 serial, struct warder_upcall_record *ret)
{
	return bpf_map_lookup_elem(l->map_fd[LOADER_FD_UPCALLS], &serial, ret);
}

int loader_get_joined(struct loader *l, __u32 slot, __u64 *ret_cid)
{
	struct warder_clears clears;
	int err = bpf_map_lookup_elem(l->map_fd[LOADER_FD_CLEARS], &slot, &clears);

	*ret_cid = err ? 0 : clears.joined;
	return err;
}

int loader_open_socket_to(struct loader *l, int sock_fd, __u64 cid)
{
	/* struct sock_tag of maps.bpf.h */
	struct {
		__u64 cid;
		__u32 open;
		__u32 pad;
	} tag = { .cid = cid, .open = 1 };

	if (!cid)
		return -EINVAL;
	return bpf_map_update_elem(l->map_fd[LOADER_FD_SOCKS], &sock_fd, &tag, BPF_ANY);
}
