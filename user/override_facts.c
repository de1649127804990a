// SPDX-License-Identifier: LGPL-2.1-or-later
/* What is decided on: an executor's copies of a call, and the names of what they led to. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "calls.h"
#include "override_job.h"
#include "warder_decide.h"

__u32 icept_cause(const struct warder_icept *ic)
{
	return ic->cause == WARDER_REFUSAL_NONE	    ? WARDER_CAUSE_LSM :
	       ic->cause == WARDER_REFUSAL_BASELINE ? WARDER_CAUSE_BASELINE :
						      WARDER_CAUSE_CAPABILITY;
}

/* Is the thread that a priority is set of in the caller's container? Threads of a process are all
 * in one. */
static __u32 job_is_foreign(struct override *o, const struct job *j, const struct executor_sched *s)
{
	struct warder_task task;

	return !s->tid || world_task(o, j, s->tgid, &task) || task.cid != j->out.cid;
}

static int job_name_below(struct override *o, struct job *j, int fd, const char *last, char *name,
			  size_t size)
{
	int err = world_name(o, j, fd, name, WARDER_PATH_MAX);
	size_t len = strlen(name);

	if (err)
		return err;
	/* Of the root folder, whose name can be "/" or nothing. */
	if (len && name[len - 1] == '/')
		len--;
	if (len + 1 + strlen(last) >= WARDER_PATH_MAX)
		return -ENAMETOOLONG;
	snprintf(name + len, size - len, "/%s", last);
	return 0;
}

/* An overlay's, by their names. Only the override thread comes here. */
static void facts_layers(struct override *o, struct job *j, struct override_facts *f)
{
	static char name[EXECUTOR_LAYERS_MAX][WARDER_PATH_MAX];

	for (__u32 i = 0; i < o->reply.layers && i < EXECUTOR_LAYERS_MAX; i++) {
		f->layer[i] = world_name(o, j, o->reply.layer[i], name[i], sizeof(name[i])) ? NULL :
											   name[i];
		f->layers++;
	}
}

static void facts_mount(struct override *o, struct job *j, struct override_facts *f,
			struct job_names *n)
{
	const struct executor_reply *r = &o->reply;

	if (!j->listener)
		j->mount_flags = warder_mount_flags(j->out.icept.arg[3]);
	f->flags = j->mount_flags;
	f->is_mount = r->is_mount;
	f->at_root = r->at_root;
	f->mnt_flags = r->mnt_flags;
	f->own_fs = r->own_fs;
	f->covers_kernel = r->covers_kernel;
	if (r->fd >= 0 && !world_name(o, j, r->fd, n->target, WARDER_PATH_MAX))
		f->target = n->target;
	f->mounts = r->mounts;
	f->below = r->below;
	f->loops = r->loops;
	if (warder_mount_op(f->flags) == WARDER_MNT_BIND && j->token) {
		notify_tree(j, &f->from, &f->below);
		return;
	}
	f->view = r->view;
	/* The root of its mount namespace need not be the container's, which may have none, or another. */
	if ((f->view == EXECUTOR_VIEW_OWN || f->view == EXECUTOR_VIEW_BELOW) &&
	    (world_name(o, j, r->fd2, n->other, sizeof(n->other)) || n->other[0] != '/' ||
	     strcmp(n->other + 1, !strcmp(r->fstype, "proc") ? "proc" : "sys")))
		f->view = EXECUTOR_VIEW_MISSING;
	facts_layers(o, j, f);
	if (warder_mount_op(f->flags) == WARDER_MNT_NEW && !f->view && r->fd2 >= 0 &&
	    !world_name(o, j, r->fd2, n->other, sizeof(n->other)))
		f->file = n->other;
	if ((warder_mount_op(f->flags) & (WARDER_MNT_MOVE | WARDER_MNT_BIND)) && r->fd2 >= 0 &&
	    !world_name(o, j, r->fd2, n->other, sizeof(n->other)))
		f->from = n->other;
}

static void facts_call(struct override *o, struct job *j, struct override_facts *f,
		       struct job_names *n)
{
	const struct executor_reply *r = &o->reply;
	const __u64 *arg = j->out.icept.arg;
	int at;

	switch (f->op) {
	case WARDER_OP_UMOUNT:
		f->is_mount = r->is_mount;
		f->at_root = r->at_root;
		f->covers_kernel = r->covers_kernel;
		f->loose = r->loose;
		f->umount_flags = j->out.icept.call == WARDER_CALL_oldumount ? 0 : (__u32)arg[1];
		if (r->fd >= 0 && !world_name(o, j, r->fd, n->other, sizeof(n->other)))
			f->object = n->other;
		/* What is no mount is refused by the kernel: its own name will do. */
		if (r->fd2 < 0)
			f->target = f->object;
		else if (!job_name_below(o, j, r->fd2, r->last, n->target, sizeof(n->target)))
			f->target = n->target;
		return;
	case WARDER_OP_MKNOD:
		at = j->out.icept.call == WARDER_CALL_mknodat;
		f->node_type = (__u32)arg[1 + at] & S_IFMT;
		f->major = (__u32)arg[2 + at] >> 8 & 0xfff;
		f->minor = ((__u32)arg[2 + at] & 0xff) | ((__u32)arg[2 + at] >> 12 & 0xfff00);
		if (r->fd2 >= 0 && !job_name_below(o, j, r->fd2, r->last, n->target, sizeof(n->target)))
			f->target = n->target;
		return;
	case WARDER_OP_SETXATTR:
		f->value = r->data;
		f->value_len = r->value_len;
		if (r->fd >= 0 && !world_name(o, j, r->fd, n->target, WARDER_PATH_MAX))
			f->target = n->target;
		return;
	case WARDER_OP_SETHOSTNAME:
	case WARDER_OP_SETDOMAINNAME:
		f->host_uts = r->host_uts;
		return;
	case WARDER_OP_SCHED_SETSCHEDULER:
	case WARDER_OP_SETPRIORITY:
		f->sched = r->sched;
		f->foreign = job_is_foreign(o, j, &r->sched);
		return;
	}
}

void facts_fill(struct override *o, struct job *j, struct override_facts *f,
		       struct job_names *n)
{
	const struct executor_reply *r = &o->reply;

	f->op = j->out.icept.op;
	f->euid = j->out.icept.euid = r->euid;
	f->fsuid = j->out.icept.fsuid = r->fsuid;
	f->relation = r->relation;
	f->cause = icept_cause(&j->out.icept);
	f->candidates = j->out.icept.candidates;
	f->profile = j->profile;
	/* An agent's mount(2) comes by a filter, too, and is nonetheless no other call for that. */
	f->way = call_needs_notify(f->op == WARDER_OP_MOUNT ? j->out.icept.call : WARDER_CALL_NONE) ?
			 WARDER_WAY_NOTIFY : WARDER_WAY_HANDOFF;
	f->same_mntns = r->mntns == j->ctr.mntns;
	f->host_mntns = r->mntns == r->home_mntns;
	f->shared = (int)r->shared;
	f->fstype = r->fstype;
	f->source = r->source;
	f->data = r->data;
	f->value = "";
	if (f->op == WARDER_OP_MOUNT)
		facts_mount(o, j, f, n);
	else
		facts_call(o, j, f, n);
}
