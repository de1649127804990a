// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The way back: what was performed for a caller that could not be told, by this supervisor or by an
 * earlier one. The journal says what it was about, an executor's note how it was before.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "override_job.h"

void job_note_entry(struct job *j)
{
	j->entry.cid = j->out.cid;
	j->entry.cookie = j->out.icept.cookie;
	j->entry.tid = j->tid;
	j->entry.slot = j->target.slot;
	j->entry.rule = j->out.rule;
	j->entry.op = j->out.icept.op;
	j->entry.call = j->out.icept.call;
	j->entry.mnt_id = 0;
	memcpy(j->entry.target, j->out.target, sizeof(j->entry.target));
	memcpy(j->entry.from, j->from, sizeof(j->entry.from));
}

static void revoke_request(struct override *o, const struct job *j)
{
	memset(&o->req, 0, sizeof(o->req));
	o->req.tid = j->entry.tid;
	o->req.mntns = j->entry.mntns;
	o->req.mnt_id = j->entry.mnt_id;
	o->req.dev_major = j->entry.dev_major;
	o->req.dev_minor = j->entry.dev_minor;
	o->req.place = job_index(o, j);
	memcpy(o->req.text, j->entry.target, sizeof(j->entry.target));
	memcpy(executor_request_from(&o->req), j->entry.from, sizeof(j->entry.from));
}

/* ------------------------------------------------------------------------ this one's */

void job_undo(struct override *o, struct job *j)
{
	j->state = JOB_UNDOING;
	memset(&o->req, 0, sizeof(o->req));
	if (job_send(j, o, EXECUTOR_UNDO, -1))
		job_executor_lost(o, j, j->out.reason);
}

void job_take_back(struct override *o, struct job *j)
{
	j->state = JOB_TAKING_BACK;
	revoke_request(o, j);
	/* Renamed meanwhile: it is still the mount of that number. */
	if (j->renamed)
		o->req.text[0] = '\0';
	if (job_send(j, o, EXECUTOR_REVOKE, -1))
		job_executor_lost(o, j, j->out.reason);
}

/* After REVOKE of what this supervisor has done. */
void job_taken_back(struct override *o, struct job *j)
{
	const struct executor_reply *r = &o->reply;

	if (r->error)
		job_reason(j, "the caller was gone before it could be told; performed, and %s", r->what);
	else if (j->from[0])
		world_moved(o, j, j->out.target, j->from);
	j->out.undone = !r->error;
	journal_clear(o->journal, job_index(o, j));
	job_end(o, j);
}

/* --------------------------------------------------- what nobody holds an executor of */

/* Has a free executor undo what the journal's place says. */
void job_revoke(struct override *o, struct job *j)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = EVENT_JOB + job_index(o, j) };

	j->state = JOB_REVOKE;
	j->ex = executor_take(o->pool);
	if (!j->ex)
		return;
	j->taken = now_ns();
	revoke_request(o, j);
	j->deadline = now_ns() + OVERRIDE_DEADLINE_MS * MS;
	epoll_ctl(o->epoll, EPOLL_CTL_ADD, executor_fd(j->ex), &ev);
	if (job_send(j, o, EXECUTOR_REVOKE, -1)) {
		j->inflight = 1; /* it is dead: have it replaced, try again later */
		job_leave_executor(o, j);
		return;
	}
	j->state = JOB_REVOKING;
}

/* After REVOKE of what an earlier supervisor performed, other than new mounts. */
static void job_revoked(struct override *o, struct job *j)
{
	const struct executor_reply *r = &o->reply;

	j->out.performed = r->error != -ENOENT;
	j->out.undone = !r->error;
	if (r->error)
		job_reason(j, "%s: %s; left as it is", j->recovered ?
			   "an earlier supervisor ended before it answered this" :
			   "the executor was lost while it performed this", r->what);
	else if (j->entry.from[0] && !world_record(o, j) && j->ctr.cid == j->entry.cid)
		world_moved(o, j, j->entry.target, j->entry.from);
	journal_clear(o->journal, job_index(o, j));
	job_end(o, j);
}

/* After UNDO or REVOKE. */
void job_undone(struct override *o, struct job *j)
{
	if (j->state == JOB_REVOKING && !j->entry.mnt_id) {
		job_revoked(o, j);
		return;
	}
	if (o->reply.error && o->reply.error != -ENOENT)
		job_reason(j, "%s; it could not be undone: %s: %s",
			   j->decision.rule ? "performed" : "left over from an earlier supervisor",
			   o->reply.what, strerror(-o->reply.error));
	else
		j->out.undone = o->reply.error == 0;
	journal_clear(o->journal, job_index(o, j));
	job_end(o, j);
}

/* What an earlier supervisor performed and did not answer. */
void journal_recover(struct override *o)
{
	for (unsigned i = 0; i < JOBS; i++) {
		struct job *j = &o->job[i];
		struct journal_entry e;
		__u32 told, noted;

		if (!journal_read(o->journal, i, &e))
			continue;
		memset(j, 0, sizeof(*j));
		j->entry = e;
		j->recovered = 1;
		j->target.slot = e.slot;
		j->target.cid = e.cid;
		j->out.cid = j->out.icept.h.cid = e.cid;
		j->out.icept.h.slot = e.slot;
		j->out.icept.h.tid = (__u32)e.tid;
		j->out.icept.h.time = now_ns();
		j->out.icept.op = e.op < WARDER_OP__MAX ? e.op : WARDER_OP_MOUNT;
		j->out.icept.call = e.call < WARDER_CALL__MAX ? e.call : WARDER_CALL_mount;
		j->out.icept.cookie = e.cookie;
		j->out.icept.result = j->out.result = -EPERM;
		j->out.rule = e.rule;
		j->out.performed = 1;
		snprintf(j->out.target, sizeof(j->out.target), "%s", e.target);
		told = *journal_told(o->journal, i);
		noted = journal_notes(o->journal)[i].kind;
		job_reason(j, "performed by a supervisor that ended before it could answer%s",
			   told == JOURNAL_TOLD_PERHAPS ?
				   ": it was about to, the caller may have been told otherwise" : "");
		if (told != JOURNAL_TOLD && (e.mnt_id || noted)) {
			job_revoke(o, j);
			continue;
		}
		/* The caller knows of it; or nothing was begun. */
		j->out.performed = told == JOURNAL_TOLD;
		j->out.result = told == JOURNAL_TOLD ? 0 : -EPERM;
		job_reason(j, told == JOURNAL_TOLD ?
			   "performed and answered by a supervisor that ended before it could tell" :
			   "a supervisor ended before it performed this; nothing was done");
		journal_clear(o->journal, i);
		job_end(o, j);
	}
}

