// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Calls that a seccomp filter asks about: those of the new mount API, which return descriptors and so
 * cannot be answered once they are refused. What the container would have made is put together here
 * from copies (fs_context.h), decided on by the same rules as mount(2), and made when it is attached.
 *
 * Until then the container holds stand-ins: contexts of our own that nothing is ever set in, and of
 * which nothing can be made by anybody but the host's root. They are recognised as the open files
 * that they are. A call about anything else, or by somebody who may do it anyway, is the kernel's to
 * answer: it runs with the caller's own rights, and the container's policy judges it as always.
 */
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "calls.h"
#include "cleanup.h"
#include "fault.h"
#include "override_notify.h"
#include "warder_decide.h"

#define LISTENERS_PER_CONTAINER 32 /* the first process's, and one for each command that is entered */
#define RATE_PER_SECOND 200ull /* of one listener; more wait in the kernel */
#define RATE_BURST 64
#define NOTIFY_SIZE 512 /* of the kernel's struct seccomp_notif, which may grow */
#define JOBS_PER_CONTAINER 8
#define X32_BIT 0x40000000u

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif
#ifndef SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

int notify_new(struct notify **ret)
{
	struct notify *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	pthread_mutex_init(&n->lock, NULL);
	for (unsigned i = 0; i < LISTENERS; i++)
		n->listener[i].fd = -1;
	*ret = n;
	return 0;
}

void notify_free(struct notify *n)
{
	if (!n)
		return;
	for (unsigned i = 0; i < TOKENS; i++)
		token_free(n, i);
	for (unsigned i = 0; i < LISTENERS; i++)
		cleanup_close_p(&n->listener[i].fd);
	for (unsigned i = 0; i < n->news; i++)
		close(n->new_[i].fd);
	pthread_mutex_destroy(&n->lock);
	free(n);
}

/* -------------------------------------------------------------------- listeners */

int override_listen(struct override *o, __u64 cid, __u32 slot, int listener)
{
	struct notify *n = o->notify;
	int err = 0;

	pthread_mutex_lock(&n->lock);
	if (n->news < NEW_MAX) {
		n->new_[n->news].cid = cid;
		n->new_[n->news].slot = slot;
		n->new_[n->news++].fd = listener;
	} else {
		err = -EAGAIN;
	}
	pthread_mutex_unlock(&n->lock);
	if (err)
		close(listener);
	eventfd_write(o->answer_fd, 1);
	return err;
}

static unsigned listener_index(const struct override *o, const struct listener *l)
{
	return (unsigned)(l - o->notify->listener);
}

static void listener_watch(struct override *o, struct listener *l, int op, int paused)
{
	struct epoll_event ev = { .events = paused ? 0 : EPOLLIN,
				  .data.u32 = EVENT_LISTENER + listener_index(o, l) };

	l->paused = paused;
	epoll_ctl(o->epoll, op, l->fd, &ev);
}

/* Without users, or without a place: what still asks gets ENOSYS from the kernel. */
static void listener_close(struct override *o, struct listener *l)
{
	int last = 1;

	epoll_ctl(o->epoll, EPOLL_CTL_DEL, l->fd, NULL);
	l->gone = 1;
	if (l->jobs)
		return;
	close(l->fd);
	l->fd = -1;
	for (unsigned i = 0; i < LISTENERS; i++)
		last &= o->notify->listener[i].fd < 0 || o->notify->listener[i].cid != l->cid;
	for (unsigned i = 0; last && i < TOKENS; i++)
		if (o->notify->token[i] && o->notify->token[i]->cid == l->cid)
			token_free(o->notify, i);
	if (o->cb.unlisten)
		o->cb.unlisten(o->cb.arg, l->cid, l->slot);
}

static void listener_add(struct override *o, __u64 cid, __u32 slot, int fd)
{
	struct listener *l = NULL;
	unsigned have = 0;

	for (unsigned i = 0; i < LISTENERS; i++) {
		struct listener *at = &o->notify->listener[i];

		have += at->fd >= 0 && at->cid == cid;
		if (at->fd < 0 && !l)
			l = at;
	}
	if (!l || have >= LISTENERS_PER_CONTAINER) {
		log_warning("overrides: too many seccomp filters to answer for; a command that was "
			    "entered cannot use the new mount API");
		close(fd);
		if (o->cb.unlisten)
			o->cb.unlisten(o->cb.arg, cid, slot);
		return;
	}
	*l = (struct listener){ .fd = fd, .cid = cid, .slot = slot, .left = RATE_BURST,
				.stamp = now_ns() };
	/* From 6.6 on: the caller's CPU is handed over at once. Else it takes a little longer. */
	ioctl(fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
	listener_watch(o, l, EPOLL_CTL_ADD, 0);
}

void notify_take_new(struct override *o)
{
	struct notify *n = o->notify;

	pthread_mutex_lock(&n->lock);
	for (unsigned i = 0; i < n->news; i++)
		listener_add(o, n->new_[i].cid, n->new_[i].slot, n->new_[i].fd);
	n->news = 0;
	pthread_mutex_unlock(&n->lock);
}

/* May one more of its calls be taken? What may not waits where it is, and can be killed there. */
static int listener_has_room(struct override *o, struct listener *l)
{
	__u64 now = now_ns(), gained = (now - l->stamp) * RATE_PER_SECOND / 1000000000ull;
	unsigned free_jobs = 0;

	if (gained) {
		l->left = gained > RATE_BURST - l->left ? RATE_BURST : l->left + (unsigned)gained;
		l->stamp = now;
	}
	for (unsigned i = 0; i < JOBS; i++)
		free_jobs += o->job[i].state == JOB_FREE;
	/* Those that wait in the kernel for half a millisecond need places, too. */
	return l->left && free_jobs > JOBS / 4 && jobs_of(o, l->cid, 0) < JOBS_PER_CONTAINER;
}

static void send_continue(const struct listener *l, __u64 id)
{
	struct seccomp_notif_resp resp = { .id = id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };

	ioctl(l->fd, SECCOMP_IOCTL_NOTIF_SEND, &resp);
}

static void icept_fill(struct override *o, struct job *j, const struct listener *l,
		       const struct seccomp_notif *req, __u32 call)
{
	struct warder_icept *ic = &j->out.icept;

	ic->h.version = WARDER_EVENT_VERSION;
	ic->h.type = WARDER_EVENT_REFUSAL;
	ic->h.size = sizeof(*ic);
	ic->h.time = now_ns();
	ic->h.cid = l->cid;
	ic->h.slot = l->slot;
	ic->h.tid = ic->h.tgid = req->pid;
	ic->cookie = world_cookie(o);
	ic->op = call_op_of(call_name(call), strlen(call_name(call)));
	ic->call = call;
	ic->nr = (__u32)req->data.nr;
	ic->compat = req->data.arch == AUDIT_ARCH_I386;
	ic->ip = req->data.instruction_pointer;
	memcpy(ic->arg, req->data.args, sizeof(ic->arg));
	/* What the kernel says first of all of these calls, to whoever lacks the capability. */
	ic->result = -EPERM;
	ic->cause = WARDER_REFUSAL_CAPABILITY;
	ic->cap = 21; /* CAP_SYS_ADMIN */
	j->out.cid = l->cid;
	j->out.result = ic->result;
}

/* For the case that we die. An old id does no harm, it is answered once. */
static void inflight_note(struct override *o, const struct listener *l, unsigned i, __u64 id)
{
	_Static_assert(OVERRIDE_INFLIGHT == JOBS + 1, "one for each job, and one more");

	if (!o->inflight)
		return;
	__atomic_store_n(&o->inflight[i].cid, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&o->inflight[i].id, id, __ATOMIC_RELEASE);
	__atomic_store_n(&o->inflight[i].cid, l->cid, __ATOMIC_RELEASE);
}

/* Of others' filters: those calls on mounts besides whose rights are asked of in one way. What BPF
 * hands over when it is refused is left to that. */
static int can_answer(const struct override *o, __u32 call)
{
	return call_needs_notify(call) ||
	       (!o->loader && (call == WARDER_CALL_mount || call == WARDER_CALL_umount ||
			       call == WARDER_CALL_oldumount));
}

/* Takes one call off the listener. 0: there is none. */
static int listener_receive(struct override *o, struct listener *l)
{
	union {
		struct seccomp_notif n;
		char room[NOTIFY_SIZE];
	} in;
	__u32 call = WARDER_CALL_NONE;
	struct job *j;

	memset(&in, 0, sizeof(in));
	if (ioctl(l->fd, SECCOMP_IOCTL_NOTIF_RECV, &in.n))
		return 0;
	l->left--;
	if (notify_keys(o, l->cid, l->slot, l->fd, &in.n))
		return 1;
	if (in.n.data.arch == AUDIT_ARCH_X86_64 && !((__u32)in.n.data.nr & X32_BIT))
		call = call_from_number((unsigned)in.n.data.nr, 0);
	else if (in.n.data.arch == AUDIT_ARCH_I386)
		call = call_from_number((unsigned)in.n.data.nr, 1);
	/* pid 0: a task that our pid namespace does not see. */
	j = in.n.pid && can_answer(o, call) ? job_new(o) : NULL;
	inflight_note(o, l, j ? job_index(o, j) : JOBS, in.n.id);
	FAULT("notified");
	if (!j) {
		send_continue(l, in.n.id);
		return 1;
	}
	j->listener = l;
	l->jobs++;
	j->notify = in.n.id;
	j->tid = (pid_t)in.n.pid;
	j->begun = now_ns();
	j->deadline = j->begun + OVERRIDE_DEADLINE_MS * MS;
	icept_fill(o, j, l, &in.n, call);
	if (call == WARDER_CALL_mount)
		j->mount_flags = warder_mount_flags(in.n.data.args[3]);
	if (job_admit(o, j)) {
		job_keep(o, j);
		return 1;
	}
	j->state = JOB_QUEUED;
	job_start(o, j);
	return 1;
}

void notify_ready(struct override *o, unsigned i, __u32 events)
{
	struct listener *l = i < LISTENERS ? &o->notify->listener[i] : NULL;

	if (!l || l->fd < 0 || l->gone)
		return;
	if (events & EPOLLIN && !o->stopping && listener_has_room(o, l))
		listener_receive(o, l);
	else if (events & EPOLLIN)
		listener_watch(o, l, EPOLL_CTL_MOD, 1);
	else if (events & (EPOLLHUP | EPOLLERR))
		listener_close(o, l);
}

void notify_tick(struct override *o)
{
	for (unsigned i = 0; !o->stopping && i < LISTENERS; i++) {
		struct listener *l = &o->notify->listener[i];

		if (l->fd >= 0 && !l->gone && l->paused && listener_has_room(o, l))
			listener_watch(o, l, EPOLL_CTL_MOD, 0);
	}
}

/* ------------------------------------------------------------------------ answers */

int notify_is_alive(const struct job *j)
{
	__u64 id = j->notify;

	return !ioctl(j->listener->fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id);
}

int notify_answer(struct job *j, int set, long result)
{
	struct seccomp_notif_resp resp = { .id = j->notify };

	if (j->answered)
		return -ESRCH;
	/* About a stand-in the kernel has nothing to say. */
	if (!set && j->token) {
		set = 1;
		result = j->out.icept.result;
	}
	if (!set)
		resp.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	else if (result < 0)
		resp.error = (__s32)result;
	else
		resp.val = result;
	FAULT("answering");
	if (ioctl(j->listener->fd, SECCOMP_IOCTL_NOTIF_SEND, &resp))
		return -ESRCH; /* it was killed, or interrupted before it was taken up */
	j->answered = 1;
	if (set)
		j->out.result = (int)result;
	return 0;
}

void notify_leave(struct override *o, struct job *j)
{
	struct listener *l = j->listener;

	if (!l)
		return;
	if (j->token) {
		j->token->busy = 0;
		j->token->spent |= j->out.performed && !j->out.undone;
	}
	j->token = NULL;
	j->listener = NULL;
	l->jobs--;
	if (l->gone)
		listener_close(o, l);
}

/* ------------------------------------------------------------------------ the caller */

/* Who it is, as the kernel says it while the caller still waits. */
static int learn_caller(struct override *o, struct job *j)
{
	const struct executor_reply *r = &o->reply;
	struct warder_icept *ic = &j->out.icept;
	struct warder_task task;
	int err;

	ic->h.tgid = (__u32)r->tgid;
	err = world_task(o, j, r->tgid, &task);
	if (!notify_is_alive(j))
		return -ESRCH;
	/* A filter is inherited as a tag is: whoever has one without the other is none of ours. */
	if (err || task.cid != j->out.cid)
		return -EPERM;
	j->profile = task.profile_id ? task.profile : 0;
	ic->h.uid = r->euid;
	memcpy(ic->h.comm, r->comm, sizeof(ic->h.comm));
	ic->euid = r->euid;
	ic->fsuid = r->fsuid;
	ic->userns = r->userns;
	ic->mntns = r->mntns;
	ic->cap_userns = r->mnt_userns;
	return 0;
}

int notify_resolved(struct override *o, struct job *j)
{
	const struct executor_reply *r = &o->reply;
	int err = learn_caller(o, j);

	if (err == -ESRCH) {
		job_drop(o, j);
		return 0;
	}
	if (err) {
		job_reason(j, "the caller is not the container's");
		job_keep(o, j);
		return 0;
	}
	err = token_take(o, j);
	if (err) {
		token_quiet(o, j, err);
		return 0;
	}
	/* Its own business: the kernel, and the container's policy, will say. */
	if (!j->token && r->capable) {
		job_answer(j, 0, 0);
		job_drop(o, j);
		return 0;
	}
	if (!call_needs_notify(j->out.icept.call))
		return 1;
	if (j->token || j->out.icept.call == WARDER_CALL_fsopen ||
	    j->out.icept.call == WARDER_CALL_open_tree ||
	    j->out.icept.call == WARDER_CALL_move_mount)
		return token_call(o, j);
	/* Without a context of ours it is the kernel's to say what is wrong: not the capability. */
	if (j->out.icept.call == WARDER_CALL_fsconfig) {
		job_answer(j, 0, 0);
		job_drop(o, j);
		return 0;
	}
	snprintf(j->out.target, sizeof(j->out.target), "%s", r->target);
	job_reason(j, "only what fsopen or open_tree has been allowed to begin is carried out");
	job_keep(o, j);
	return 0;
}
