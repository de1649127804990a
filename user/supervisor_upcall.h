/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by supervisor_queue.c and supervisor_upcall.c only. */
#ifndef WARDER_SUPERVISOR_UPCALL_H
#define WARDER_SUPERVISOR_UPCALL_H

#include "supervisor_private.h"
#include "upcall.h"

#define SUPERVISOR_QUEUES_PER_CONN 16

/* A daemon's registration for one type of keys. */
struct sup_queue {
	struct sup_queue *next;
	struct upcall_queue q;
	uint64_t conn;
	uint64_t nonce; /* names the ring that it takes keys into */
	/* Of a container: who connected, and how it sees ids. */
	pid_t pid;
	uid_t uid;
	struct upcall_idmap uids, gids;
};

int sup_queue_proc_status(pid_t pid, struct upcall_status *ret);
int sup_queue_is_own(const struct sup_queue *q, pid_t pid);
pid_t sup_queue_pid_as_seen(const struct sup_queue *q, pid_t pid);
void sup_queue_conn_gone(struct supervisor *s, const struct conn *c);
struct sup_queue *sup_queue_next(struct supervisor *s, const struct upcall_origin *o, uint32_t *rank,
			     uint64_t *id);

#endif
