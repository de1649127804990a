/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by supervisor_adopt*.c only. */
#ifndef WARDER_SUPERVISOR_ADOPT_H
#define WARDER_SUPERVISOR_ADOPT_H

#include "supervisor_private.h"

#define MEMBERS_MAX 262144

/* Records of the task iterator. */
struct members {
	struct warder_member *m;
	size_t count, room;
};
int members_add(const struct warder_member *m, void *arg); /* arg: struct members */
void members_done(struct members *list);
/* Everything that has the container's tag, in the order of thread ids. */
int members_list(struct supervisor *s, uint64_t cid, struct members *ret);

struct adoption {
	struct warder_adopt what;
	char text[PATH_MAX + 16]; /* for sentences: "the tree of process 7", "cgroup /x" */
	char **annotations; /* owned; NULL: none */
	int filters; /* 1: what the first process's filters refuse is known; -errno: it is not */
	char refused[WARDER_ERROR_SIZE]; /* names of system calls, separated by spaces */
};

/* What the new container's owner should know, put into the answer: how many tasks, which open files
 * its policy would now refuse, what keeps supervised system calls from arriving. */
void adopt_report(struct supervisor *s, struct ctr *c, const struct adoption *a,
		  struct json_object *r);

#endif
