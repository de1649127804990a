// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A handler's word on a call. The caller is held meanwhile, its executor is not: when the handler
 * says that it be performed, the call is looked at anew, and what it is then must be what the
 * handler was asked about. A handler chooses among what rules and built-in denies leave open; it
 * widens nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "fault.h"
#include "override_job.h"
#include "warder_decide.h"

#define ASKS_PER_CONTAINER 4
#define ASKS_MAX 32
#define ASK_LONGEST (60000 * MS)

/* Nobody answers. The fallback is never more than the errno that there is. */
void job_fall_back(struct override *o, struct job *j, const char *why)
{
	job_reason(j, "%s; the rule's fallback applies", why);
	if (j->decision.value)
		job_answer(j, 1, -(long)j->decision.value);
	job_keep(o, j);
}

static unsigned asks_of(const struct override *o, __u64 cid)
{
	unsigned n = 0;

	for (unsigned i = 0; i < JOBS; i++)
		n += o->job[i].state == JOB_ASKING && (!cid || o->job[i].out.cid == cid);
	return n;
}

void job_ask(struct override *o, struct job *j)
{
	static struct override_ask ask;
	__u64 now = now_ns();
	int err;

	/* Places that wait for people are not there for others. */
	if (asks_of(o, j->out.cid) >= ASKS_PER_CONTAINER || asks_of(o, 0) >= ASKS_MAX) {
		job_fall_back(o, j, "too many calls wait for handlers");
		return;
	}
	j->asked = malloc(sizeof(*j->asked));
	if (!j->asked || !o->cb.ask) {
		job_fall_back(o, j, "no handler can be asked");
		return;
	}
	*j->asked = o->reply;
	memcpy(j->asked_target, j->out.target, sizeof(j->asked_target));
	memcpy(j->asked_from, j->from, sizeof(j->asked_from));
	memset(&ask, 0, sizeof(ask));
	ask.cookie = j->out.icept.cookie;
	ask.may_perform = (__u32)j->decision.may_perform;
	if (j->out.icept.op == WARDER_OP_MOUNT) {
		ask.mount_flags = j->listener ? j->mount_flags : warder_mount_flags(j->out.icept.arg[3]);
		ask.may_flags = ask.may_perform &&
				(j->decision.ops & (WARDER_MNT_NEW | WARDER_MNT_BIND));
		ask.may_options = ask.may_perform && j->decision.ops == WARDER_MNT_NEW;
		if (j->decision.ops == WARDER_MNT_NEW)
			snprintf(ask.options, sizeof(ask.options), "%s", o->reply.data);
	}
	ask.deadline_ms = j->deadline > now ? (__u32)((j->deadline - now) / MS) : 0;
	snprintf(ask.handler, sizeof(ask.handler), "%s", j->decision.handler);
	ask.call = j->out;
	job_leave_executor(o, j);
	j->state = JOB_ASKING;
	FAULT("asking");
	err = o->cb.ask(o->cb.arg, &ask);
	FAULT("asked");
	if (err)
		job_fall_back(o, j, "the handlers have too much to do");
}

int job_asked_same(const struct override *o, const struct job *j)
{
	const struct executor_reply *a = j->asked, *b = &o->reply;

	return a && a->euid == b->euid && a->fsuid == b->fsuid && a->userns == b->userns &&
	       a->mntns == b->mntns && a->start == b->start && a->host_uts == b->host_uts &&
	       a->shared == b->shared && a->is_mount == b->is_mount && a->at_root == b->at_root &&
	       a->mnt_flags == b->mnt_flags && a->own_fs == b->own_fs &&
	       a->covers_kernel == b->covers_kernel && a->value_len == b->value_len &&
	       !memcmp(&a->sched, &b->sched, sizeof(a->sched)) && !strcmp(a->fstype, b->fstype) &&
	       !strcmp(a->source, b->source) && !strcmp(a->target, b->target) &&
	       !strcmp(a->last, b->last) &&
	       (a->value_len ? a->value_len > sizeof(a->data) ||
				       !memcmp(a->data, b->data, a->value_len) :
			       !strcmp(a->data, b->data));
}

int job_layers_same(struct job *j, const struct override_facts *f)
{
	cleanup_free char *names = NULL;
	size_t size = 0, used = 0;

	for (__u32 i = 0; i < f->layers; i++)
		size += f->layer[i] ? strlen(f->layer[i]) + 1 : 1;
	if (!size)
		return !j->granted || !j->layers;
	names = malloc(size);
	if (!names)
		return 0;
	for (__u32 i = 0; i < f->layers; i++) {
		const char *name = f->layer[i] ? f->layer[i] : "";

		memcpy(names + used, name, strlen(name) + 1);
		used += strlen(name) + 1;
	}
	if (j->granted)
		return j->layers && j->layers_size == size && !memcmp(j->layers, names, size);
	free(j->layers);
	j->layers = names;
	j->layers_size = size;
	names = NULL;
	return 1;
}

/* Layers were looked at as the caller names them: a handler that names others would be told of a mount
 * that is not made. */
static int layers_differ(const char *one, const char *other)
{
	struct executor_layers a, b;
	char first[EXECUTOR_TEXT_SIZE], second[EXECUTOR_TEXT_SIZE];

	snprintf(first, sizeof(first), "%s", one);
	snprintf(second, sizeof(second), "%s", other);
	if (executor_layers_parse(first, &a) || executor_layers_parse(second, &b) ||
	    a.lowers != b.lowers || a.count != b.count)
		return 1;
	for (unsigned i = 0; i < a.count; i++)
		if (strcmp(a.path[i], b.path[i]))
			return 1;
	return 0;
}

int job_ask_change(struct override *o, const struct job *j, struct override_facts *f)
{
	f->flags |= j->changes.add_flags & OVERRIDE_ADDED_FLAGS;
	if (!j->changes.has_options)
		return 0;
	if (f->layers && layers_differ(o->reply.data, j->changes.options))
		return -EPERM;
	snprintf(o->reply.data, sizeof(o->reply.data), "%s", j->changes.options);
	f->data = o->reply.data;
	return 0;
}

void job_ask_look(struct override *o, struct job *j)
{
	int status;
	pid_t got = j->listener ? 0 : waitpid(j->tid, &status, __WALL | __WNOTHREAD | WNOHANG);

	if (j->listener && !notify_is_alive(j)) {
		job_reason(j, "the caller was gone before it was decided");
		job_end(o, j);
	} else if ((got == j->tid && !WIFSTOPPED(status)) || (got < 0 && errno == ECHILD)) {
		j->seized = 0;
		job_reason(j, "the caller was gone before it was decided");
		job_end(o, j);
	} else if (o->stopping) {
		job_fall_back(o, j, "the supervisor leaves");
	} else if (now_ns() > j->deadline) {
		job_fall_back(o, j, "nobody answered within the deadline");
	}
}

static void ask_defer(struct job *j, const struct override_answer *a)
{
	__u64 longest = j->begun + ASK_LONGEST;

	j->deadline = now_ns() + (__u64)a->value * MS;
	if (j->deadline > longest)
		j->deadline = longest;
}

static void ask_answered(struct override *o, struct job *j, const struct override_answer *a)
{
	memcpy(j->said, a->why, sizeof(j->said));
	j->said[sizeof(j->said) - 1] = '\0';
	switch ((enum override_says)a->says) {
	case OVERRIDE_SAYS_DEFER:
		ask_defer(j, a);
		return;
	case OVERRIDE_SAYS_DENY:
		job_reason(j, "%s: errno %d", j->said, a->value);
		job_answer(j, 1, -(long)a->value);
		job_end(o, j);
		return;
	case OVERRIDE_SAYS_FAKE:
		job_reason(j, "%s: %d, and nothing is done", j->said, a->value);
		job_answer(j, 1, a->value);
		job_end(o, j);
		return;
	case OVERRIDE_SAYS_PERFORM:
		if (!j->decision.may_perform) {
			job_fall_back(o, j, "it was to be performed, which the rule does not leave open");
			return;
		}
		FAULT("granted");
		j->granted = 1;
		j->changes = a->changes;
		j->changes.options[sizeof(j->changes.options) - 1] = '\0';
		j->deadline = now_ns() + OVERRIDE_DEADLINE_MS * MS;
		j->state = JOB_QUEUED;
		job_start(o, j);
		return;
	case OVERRIDE_SAYS_NOTHING:
		break;
	}
	job_fall_back(o, j, *j->said ? j->said : "no handler decided");
}

static struct job *ask_find(struct override *o, __u64 cookie)
{
	for (unsigned i = 0; i < JOBS; i++)
		if (o->job[i].state == JOB_ASKING && o->job[i].out.icept.cookie == cookie)
			return &o->job[i];
	return NULL;
}

void job_answers(struct override *o)
{
	static struct override_answer all[JOBS]; /* only this thread's */
	eventfd_t count;
	unsigned n;

	eventfd_read(o->answer_fd, &count);
	pthread_mutex_lock(&o->answer_lock);
	n = o->answers;
	memcpy(all, o->answer, n * sizeof(*all));
	o->answers = 0;
	pthread_mutex_unlock(&o->answer_lock);
	for (unsigned i = 0; i < n; i++) {
		struct job *j = ask_find(o, all[i].cookie);

		if (j)
			ask_answered(o, j, &all[i]);
	}
}

int override_answer(struct override *o, const struct override_answer *answer)
{
	int err = 0;

	pthread_mutex_lock(&o->answer_lock);
	if (o->answers < JOBS)
		o->answer[o->answers++] = *answer;
	else
		err = -EAGAIN;
	pthread_mutex_unlock(&o->answer_lock);
	eventfd_write(o->answer_fd, 1);
	return err;
}
