/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cgroup v2 of containers: <mount point>/warder/<id>. Only limits and clean-up: identity is
 * the tag, never the cgroup. One thread. */
#ifndef WARDER_CGROUP_H
#define WARDER_CGROUP_H

#include <stdint.h>

#include "log.h"

struct cgroup_limits {
	uint64_t pids_max; /* 0: none */
	uint64_t memory_max; /* bytes, 0: none */
	int pids_wanted;   /* 1: asked for by the user, so refuse if it cannot be had */
};

/* The cgroup2 mount point, found once; -ENOENT with a sentence when there is none. */
int cgroup_root(const char **ret, struct warder_error *reterr);
/* Makes the cgroup and sets limits. Returns an O_DIRECTORY fd, or -errno with nothing left. */
int cgroup_create(const char *id, const struct cgroup_limits *limits, struct warder_error *reterr);
/* An fd on one that exists. -ENOENT */
int cgroup_open(const char *id);
/* SIGKILL to everything inside. */
int cgroup_kill(int cgroup_fd);
/* Removes it with cgroups that the container made below. -EBUSY: not empty yet. */
int cgroup_remove(const char *id);
/* Kills and removes those of containers that nobody knows: a supervisor was killed while it started
 * them. Returns how many are left, because something in them has not ended yet. */
int cgroup_sweep(int (*known)(uint64_t id, void *arg), void *arg);
/* Removes <mount point>/warder when no container is left; errors do not matter. */
void cgroup_remove_parent(void);

#endif
