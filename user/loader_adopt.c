// SPDX-License-Identifier: LGPL-2.1-or-later
/* Adoption as user space drives it: see bpf/adopt.bpf.h for why nothing is missed. */
#include "loader_internal.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"

#define ADOPT_BUFFER (64u << 10)

/* The id last, as BPF does nothing without one; and it goes first. */
static void adopt_write(struct loader *l, const struct warder_adopt *what)
{
	__u64 cid = what->cid;

	__atomic_store_n(&l->adopt->cid, 0, __ATOMIC_SEQ_CST);
	l->adopt->cgroup = what->cgroup;
	l->adopt->start = what->start;
	l->adopt->slot = what->slot;
	l->adopt->mode = what->mode;
	l->adopt->root = what->root;
	l->adopt->pidns = what->pidns;
	l->adopt->caller = what->caller;
	l->adopt->lost = 0;
	l->adopt->found = l->adopt->failed = 0;
	__atomic_store_n(&l->adopt->cid, cid, __ATOMIC_SEQ_CST);
}

static void adopt_forget_kin(struct loader *l)
{
	int map = l->map_fd[LOADER_FD_KIN];
	__u32 tgid;

	for (size_t i = 0; i < 2 * WARDER_KIN_MAX && !bpf_map_get_next_key(map, NULL, &tgid); i++)
		bpf_map_delete_elem(map, &tgid);
}

/* How often the kernel has left out what must not be left out once: where a pid namespace or a
 * cgroup tells who is a member, that is not the children of one that ends. */
static __u64 adopt_misses(struct loader *l, const struct warder_adopt *what)
{
	const char *follower = what->cgroup ? "warder_adopt_move" : "warder_adopt_exit";
	const struct loader_prog *p = what->pidns ? NULL : loader_find_program(l, follower);

	return p ? loader_prog_misses(p) : 0;
}

int loader_adopt_begin(struct loader *l, const struct warder_adopt *what,
		       struct warder_error *reterr)
{
	static const char *const programs[] = { "warder_newtask", "warder_adopt_exit",
						"warder_adopt_move" };
	struct warder_adopt a = *what;
	int err;

	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		if (!loader_find_program(l, programs[i]))
			return error_set(
				reterr, -EOPNOTSUPP,
				"this kernel has no place for the program %s, without which "
				"nothing can be adopted",
				programs[i]);
	}
	adopt_forget_kin(l);
	a.mode = WARDER_ADOPT_LOOK;
	adopt_write(l, &a);
	l->adopt_misses = adopt_misses(l, &a);
	err = loader_adopt_hold(l, LOADER_ADOPT_FIND, reterr);
	if (err)
		loader_adopt_end(l, NULL);
	return err;
}

/* ---------------------------------------------------------------------- passes */

static int members_read(int fd, loader_member_fn fn, void *arg)
{
	cleanup_free char *buf = malloc(ADOPT_BUFFER);
	size_t have = 0;

	if (!buf)
		return -ENOMEM;
	for (;;) {
		ssize_t n = read(fd, buf + have, ADOPT_BUFFER - have);
		size_t used = 0;

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			return have ? -EPROTO : 0;
		have += (size_t)n;
		for (; have - used >= sizeof(struct warder_member);
		     used += sizeof(struct warder_member)) {
			struct warder_member m;
			int stop;

			memcpy(&m, buf + used, sizeof(m));
			stop = fn ? fn(&m, arg) : 0;
			if (stop)
				return stop;
		}
		have -= used;
		memmove(buf, buf + used, have);
	}
}

int loader_adopt_pass(struct loader *l, enum warder_adopt_mode mode, loader_member_fn fn, void *arg,
		      __u64 *ret_found, __u64 *ret_failed)
{
	cleanup_close int link = -1, iter = -1;
	__u64 found;
	int err;

	found = __atomic_load_n(&l->adopt->found, __ATOMIC_SEQ_CST);
	__atomic_store_n(&l->adopt->failed, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&l->adopt->mode, mode, __ATOMIC_SEQ_CST);
	link = bpf_link_create(l->iter_task_fd, 0, BPF_TRACE_ITER, NULL);
	if (link < 0)
		return link;
	iter = bpf_iter_create(link);
	if (iter < 0)
		return iter;
	err = members_read(iter, fn, arg);
	if (err)
		return err;
	*ret_found = __atomic_load_n(&l->adopt->found, __ATOMIC_SEQ_CST) - found;
	*ret_failed = __atomic_load_n(&l->adopt->failed, __ATOMIC_SEQ_CST);
	return 0;
}

int loader_adopt_end(struct loader *l, struct warder_error *reterr)
{
	int lost = __atomic_load_n(&l->adopt->lost, __ATOMIC_SEQ_CST) != 0;
	int missed = adopt_misses(l, l->adopt) != l->adopt_misses;

	loader_adopt_reset(l);
	loader_adopt_hold(l, LOADER_ADOPT_KEEP, NULL);
	if (lost)
		return error_set(
			reterr, -EAGAIN,
			"a process of the tree ended with too many children, or too deep in "
			"it, for all of them to be followed: try again");
	if (missed)
		return error_set(
			reterr, -EAGAIN,
			"so many processes of the tree end at once that the kernel did not "
			"tell of all of them: try again, or adopt their cgroup");
	return 0;
}

void loader_adopt_reset(struct loader *l)
{
	static const struct warder_adopt none;

	adopt_write(l, &none);
	adopt_forget_kin(l);
}

int loader_adopt_once(struct loader *l, const struct warder_adopt *what,
		      enum warder_adopt_mode mode, loader_member_fn fn, void *arg, __u64 *ret_found,
		      __u64 *ret_failed)
{
	static const struct warder_adopt none;
	struct warder_adopt a = *what;
	int err;

	a.mode = mode;
	adopt_write(l, &a);
	err = loader_adopt_pass(l, mode, fn, arg, ret_found, ret_failed);
	adopt_write(l, &none);
	return err;
}
