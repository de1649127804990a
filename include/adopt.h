/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What /proc tells of a process that is to be adopted. Reads only what the kernel answers by
 * itself, never the process's memory. No state; any thread. */
#ifndef WARDER_ADOPT_H
#define WARDER_ADOPT_H

#include <json-c/json.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct adopt_status {
	char name[64];  /* comm, printable */
	pid_t tgid;
	uint32_t uid, gid; /* effective, in the reader's user namespace */
	uint64_t caps;  /* permitted */
	uint32_t nr;    /* process id in the innermost pid namespace */
	int levels;     /* pid namespaces in which it has a number, the reader's included */
	int seccomp;    /* 0 none, 1 strict, 2 filters */
};

/* Of a /proc/PID/status. -EINVAL: something is missing. */
int adopt_status_parse(FILE *f, struct adopt_status *ret);
/* -ESRCH */
int adopt_status_read(pid_t pid, struct adopt_status *ret);
/* Of a uid_map or gid_map: what `outside` is inside. -ENOENT: not mapped. */
int adopt_map_inside(FILE *f, uint32_t outside, uint32_t *ret);
/* Path below the cgroup2 mount point, of a /proc/PID/cgroup. -ENOENT */
int adopt_cgroup_parse(FILE *f, char *buf, size_t size);
int adopt_cgroup_read(pid_t pid, char *buf, size_t size);
/* Inode number of /proc/PID/ns/WHICH, 0: gone. */
uint32_t adopt_namespace(pid_t pid, const char *which);
/* AppArmor's or SELinux's label, "" for none. */
void adopt_label_read(pid_t pid, char *buf, size_t size);
/* As what entered commands run: user, capabilities, namespaces of the first process. The caller
 * puts it. */
struct json_object *adopt_spec(pid_t pid, const struct adopt_status *st);
/* What the answer of an adoption has as "before", for people; 0: there is nothing to say. */
int adopt_before_text(struct json_object *before, char *buf, size_t size);

#endif
