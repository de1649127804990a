/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The keeper: a process that outlives the supervisor and holds what would be lost with it, the
 * listeners of its containers' seccomp filters. Once the last descriptor of a listener is closed, the
 * calls that its filter asks about are ENOSYS for the life of the container. The keeper decides nothing:
 * while no supervisor is there it has the kernel answer.
 *
 * It is started with the first such container and ends with the last one. Not thread-safe; each
 * function waits for at most two seconds.
 */
#ifndef WARDER_KEEPER_H
#define WARDER_KEEPER_H

#include "log.h"
#include "override.h"

#define KEEPER_SOCKET "keeper.sock"
#define KEEPER_GRACE_MS 5000 /* so long a call waits for the next supervisor, then the kernel answers */

struct keeper;

/* Connects to the keeper of `run_dir`. exe_fd: starts one if there is none (container_seal_exe()); -1:
 * then -ENOENT. `inflight` is a memfd with OVERRIDE_INFLIGHT entries that says what is being answered. */
int keeper_open(struct keeper **ret, const char *run_dir, int exe_fd, int inflight,
		struct warder_error *reterr);
/* Hands it a copy of a listener. */
int keeper_add(struct keeper *k, __u64 cid, __u32 slot, int listener, struct warder_error *reterr);
/* All that it holds, one after the other; `fn` owns the descriptor. How many, or -errno. */
int keeper_each(struct keeper *k, void (*fn)(void *arg, __u64 cid, __u32 slot, int listener),
		void *arg, struct warder_error *reterr);
/* Leaves it alone, to go on without us or to end when it holds nothing. NULL is fine. */
void keeper_close(struct keeper *k);

/* main() of a program that starts one calls this first: does not return in a keeper. */
void keeper_main(int argc, char **argv);

#endif
