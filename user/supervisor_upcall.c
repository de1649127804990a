// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Key upcalls under way. Each is a connection of warder's request-key, which holds the authority over
 * the key, and waits. A request goes to the first queue that serves it; `pass`, no answer that could
 * be understood, and a daemon that ends hand it to the next. After the last one it is what the policy
 * says with `else`. Every upcall ends at its deadline, with its requester, and with its container.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "request_key.h"
#include "supervisor_upcall.h"
#include "upcall_json.h"

#define UPCALLS_MAX 1024 /* of all containers; BPF has a limit for each */
#define INVALID_MAX 16   /* answers that are none, then the connection ends */
#define LOOK_MS 200      /* how often a requester is looked at */

struct upcall {
	struct upcall *next;
	struct source src;
	uint64_t seq;
	pid_t pid;     /* of request-key */
	char *message; /* `ask` points into it; NULL: not asked yet */
	struct upcall_ask ask;
	struct warder_upcall_record record;
	uint64_t deadline, looked; /* ms */
	uint64_t conn;             /* whose word it is, 0: nobody's */
	uint32_t rank;             /* of the queue that was asked last, and its number */
	uint64_t queue_id;
	int taking; /* the authority is being handed over, 2: it has been */
	int attaching; /* request-key links C in the requester's session ring */
	int said;   /* the verdict is sent: the connection ends soon */
};

static struct upcall *upcall_find(struct supervisor *s, uint64_t seq)
{
	struct upcall *u = s->upcalls;

	while (u && u->seq != seq)
		u = u->next;
	return u;
}

static void upcall_free(struct supervisor *s, struct upcall *u)
{
	struct upcall **p = &s->upcalls;

	while (*p && *p != u)
		p = &(*p)->next;
	if (*p) {
		*p = u->next;
		s->upcall_count--;
	}
	source_remove(s, &u->src);
	free(u->message);
	free(u);
}

/* Tells the daemon what became of it; one that does not read misses it. */
static void daemon_tell(struct supervisor *s, struct upcall *u, const char *what, const char *reason)
{
	cleanup_json struct json_object *o = json_object_new_object();
	struct json_object *in = json_object_new_object();
	struct conn *c = u->conn ? conn_find(s, u->conn) : NULL;

	control_put_u64(in, "seq", u->seq);
	control_put_string(in, "reason", reason);
	json_object_object_add(o, what, in);
	if (c)
		control_send(c->src.fd, o, NULL, 0, MSG_DONTWAIT);
}

static void upcall_say(struct supervisor *s, struct upcall *u, const struct upcall_verdict *v)
{
	static char message[UPCALL_MESSAGE_MAX];
	int len = upcall_verdict_pack(v, message, sizeof(message));

	if (v->verb != UPCALL_TAKE && v->verb != UPCALL_ATTACH)
		u->said = 1;
	if (len < 0 || send(u->src.fd, message, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		/* It is gone, or has its own deadline. */
		log_debug("upcall %llu: the verdict was not sent", (unsigned long long)u->seq);
	(void)s;
}

static void upcall_reject(struct supervisor *s, struct upcall *u, int err, uint32_t seconds)
{
	const struct upcall_verdict v = { .verb = UPCALL_REJECT, .err = (uint32_t)err,
					  .seconds = seconds };

	upcall_say(s, u, &v);
}

/* Ends it in the place of the daemon, which is told. */
static void upcall_cancel(struct supervisor *s, struct upcall *u, int err, uint32_t seconds,
			  const char *reason)
{
	if (u->said)
		return;
	daemon_tell(s, u, "cancelled", reason);
	u->conn = 0;
	upcall_reject(s, u, err, seconds);
}

/* ------------------------------------------------------------------------- routing */

static int queue_show(struct supervisor *s, const struct sup_queue *q, struct upcall *u)
{
	cleanup_json struct json_object *o = json_object_new_object();
	struct json_object *in = json_object_new_object(), *rings = json_object_new_array();
	struct conn *c = conn_find(s, q->conn);
	struct ctr *ctr = ctr_find_cid(s, u->record.cid);
	uint64_t now = clock_now_ms();
	int inside = q->q.userns != 0;

	control_put_u64(in, "seq", u->seq);
	control_put_string(in, "op", "create");
	control_put_int(in, "key", u->ask.serial);
	control_put_string(in, "type", u->ask.type);
	upcall_put_bytes(in, "description", u->ask.description, strlen(u->ask.description));
	upcall_put_bytes(in, "callout", u->ask.callout, u->ask.callout_len);
	control_put_int(in, "pid", sup_queue_pid_as_seen(q, (pid_t)u->record.tgid));
	control_put_u64(in, "uid", inside ? upcall_idmap_inside(&q->uids, u->ask.uid) : u->ask.uid);
	control_put_u64(in, "gid", inside ? upcall_idmap_inside(&q->gids, u->ask.gid) : u->ask.gid);
	control_put_string(in, "by", u->record.by == WARDER_UPCALL_BY_KERNEL ? "kernel" : "program");
	control_put_u64(in, "deadline_ms", u->deadline > now ? u->deadline - now : 0);
	for (int i = 0; i < 3; i++)
		json_object_array_add(rings, json_object_new_int(u->ask.ring[i]));
	json_object_object_add(in, "rings", rings);
	if (!inside && ctr)
		control_put_string(in, "container", ctr->name);
	json_object_object_add(o, "upcall", in);
	return c ? control_send(c->src.fd, o, NULL, 0, MSG_DONTWAIT) : -ENOENT;
}

/* To the next queue. One whose socket is full has too much to do: as if it had passed. */
static void upcall_route(struct supervisor *s, struct upcall *u)
{
	const struct upcall_verdict nobody = { .verb = UPCALL_HOST };
	struct upcall_origin o = { .cid = u->record.cid, .userns = u->record.userns };
	struct sup_queue *q;

	o.levels = u->record.levels <= WARDER_USERNS_MAX ? u->record.levels : WARDER_USERNS_MAX;
	memcpy(o.type, u->ask.type, strnlen(u->ask.type, sizeof(o.type) - 1));
	u->conn = 0;
	while ((q = sup_queue_next(s, &o, &u->rank, &u->queue_id))) {
		if (q->q.userns && sup_queue_is_own(q, (pid_t)u->record.tgid))
			continue;
		u->conn = q->conn;
		if (!queue_show(s, q, u))
			return;
		u->conn = 0;
	}
	/* request-key has the record, and so what the policy says with `else`. */
	upcall_say(s, u, &nobody);
}

/* As the policy says; what it refuses comes here only for C's sake, and is reported now. */
static void upcall_go_on(struct supervisor *s, struct upcall *u)
{
	const struct upcall_verdict host = { .verb = UPCALL_HOST };

	if (u->record.to == WARDER_UPCALL_QUEUE) {
		upcall_route(s, u);
	} else if (u->record.to == WARDER_UPCALL_HOST) {
		upcall_say(s, u, &host);
	} else {
		sup_event_upcall(s, &u->record, &u->ask);
		upcall_reject(s, u, ENOKEY, UPCALL_REFUSED_SECONDS);
	}
}

/* ------------------------------------------------------------ a session that lost C */

/* C is lent to request-key, or it is told that there is none. */
static void attach_begin(struct supervisor *s, struct upcall *u, struct ctr *ctr)
{
	struct upcall_verdict v = { .verb = UPCALL_ATTACH };
	struct warder_error e = { "" };

	if (!s->keyring || !ctr->has_rings)
		log_debug("container %s has no keyring to link again", ctr->name);
	else if (u->ask.lend <= 0 || keyring_lend(s->keyring, &ctr->rings, u->ask.lend, &e))
		log_warning("container %s: its keyring is not linked in the session that process %u "
			    "joined: %s", ctr->name, u->record.tgid,
			    e.text[0] ? e.text : "request-key made no ring for it");
	else
		v.ring = ctr->rings.container;
	u->attaching = 1;
	upcall_say(s, u, &v);
}

/* The lookup that found nothing would have found this. */
static void attach_done(struct supervisor *s, struct upcall *u, int err)
{
	static char payload[UPCALL_PAYLOAD_MAX];
	struct upcall_verdict v = { .verb = UPCALL_INSTANTIATE, .seconds = UPCALL_COPY_SECONDS,
				    .payload = payload };
	struct ctr *ctr = ctr_find_cid(s, u->record.cid);
	struct warder_error e = { "" };
	size_t len = 0;

	u->attaching = 0;
	if (!err && ctr && ctr->has_rings && s->keyring)
		err = keyring_answer_key(s->keyring, ctr->cid, &ctr->rings, u->ask.type,
					 u->ask.description, payload, sizeof(payload), &len, &e);
	else
		err = -ENOKEY;
	v.payload_len = (uint32_t)len;
	if (!err)
		upcall_say(s, u, &v);
	else if (err == -EAGAIN)
		upcall_reject(s, u, EAGAIN, UPCALL_REFUSED_SECONDS);
	else
		upcall_go_on(s, u);
	if (len)
		explicit_bzero(payload, len);
}

static int upcall_begin(struct supervisor *s, struct upcall *u, size_t len)
{
	struct ctr *ctr;

	if (upcall_ask_unpack(u->message, len, &u->ask))
		return -EBADMSG;
	if (loader_get_upcall(s->loader, (__u32)u->ask.serial, &u->record) ||
	    (u->record.to == WARDER_UPCALL_HOST && u->record.attach != WARDER_ATTACH_WANTED))
		return -ENOENT;
	/* It has put itself into the record: nobody else hears what is answered. */
	if (u->record.handler != (__u32)u->pid)
		return -EPERM;
	u->deadline = u->record.time / 1000000 + u->record.deadline;
	ctr = ctr_find_cid(s, u->record.cid);
	if (!ctr || ctr->state == CTR_DYING)
		upcall_reject(s, u, ENOKEY, 0);
	else if (u->record.attach == WARDER_ATTACH_WANTED)
		attach_begin(s, u, ctr);
	else
		upcall_go_on(s, u);
	return 0;
}

/* --------------------------------------------------------------------- request-key */

static void upcall_handed_over(struct supervisor *s, struct upcall *u, const char *data, size_t len)
{
	char reason[96];
	int err = EBADMSG;

	if (len == sizeof(err))
		memcpy(&err, data, sizeof(err));
	if (u->attaching && !u->said) {
		attach_done(s, u, err);
		return;
	}
	if (u->taking != 1 || u->said)
		return;
	if (!err) {
		u->taking = 2;
		daemon_tell(s, u, "taken", NULL);
		return;
	}
	snprintf(reason, sizeof(reason), "the authority could not be linked into the ring: %s",
		 strerror(err));
	upcall_cancel(s, u, ENOKEY, UPCALL_REFUSED_SECONDS, reason);
}

static void upcall_ready(struct supervisor *s, struct source *src, uint32_t events)
{
	struct upcall *u = source_owner(src, struct upcall, src);
	static char buf[UPCALL_MESSAGE_MAX];
	ssize_t n = recv(src->fd, buf, sizeof(buf), MSG_DONTWAIT);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0 && u->message) {
		upcall_handed_over(s, u, buf, (size_t)n);
		return;
	}
	if (n > 0)
		u->message = malloc((size_t)n);
	if (n > 0 && u->message) {
		memcpy(u->message, buf, (size_t)n);
		if (!upcall_begin(s, u, (size_t)n))
			return;
	}
	if (!u->said && u->conn && u->taking != 2)
		daemon_tell(s, u, "cancelled", "the upcall has ended");
	upcall_free(s, u);
}

static void upcall_accept(struct supervisor *s, struct source *src, uint32_t events)
{
	int fd = accept4(src->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), size = 2 * UPCALL_MESSAGE_MAX;
	struct upcall *u = NULL;
	uid_t uid;
	pid_t pid = 0;

	(void)events;
	if (fd < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (!control_peer(fd, &uid, &pid) && uid == 0 && s->upcall_count < UPCALLS_MAX)
		u = calloc(1, sizeof(*u));
	if (!u || source_add(s, &u->src, fd, EPOLLIN, upcall_ready)) {
		/* request-key sees the end of it, and does what the policy says. */
		close(fd);
		free(u);
		return;
	}
	u->pid = pid;
	u->seq = ++s->upcall_next;
	u->deadline = clock_now_ms() + WARDER_UPCALL_DEADLINE_DEFAULT;
	u->next = s->upcalls;
	s->upcalls = u;
	s->upcall_count++;
}

int sup_upcall_open(struct supervisor *s, struct warder_error *reterr)
{
	char path[sizeof(s->run_dir) + sizeof(UPCALL_SOCKET) + 1];
	int fd;

	s->upcall_listener.fd = -1;
	if (!s->loader || !s->keyring)
		return 0;
	snprintf(path, sizeof(path), "%s/%s", s->run_dir, UPCALL_SOCKET);
	fd = control_listen(path, 0600, reterr);
	if (fd < 0)
		return fd;
	if (source_add(s, &s->upcall_listener, fd, EPOLLIN, upcall_accept)) {
		close(fd);
		return error_set(reterr, -ENOMEM, "cannot watch %s", path);
	}
	sup_upcall_look_at_host(s);
	return 0;
}

void sup_upcall_close(struct supervisor *s)
{
	source_remove(s, &s->upcall_listener);
	while (s->upcalls)
		upcall_free(s, s->upcalls);
}

int sup_upcall_is_needed(struct supervisor *s)
{
	for (uint32_t i = 0; i < WARDER_POLICIES_MAX; i++) {
		const struct warder_image *img = s->policy[i].image ? sup_policy_image(s, i) : NULL;

		for (unsigned k = 0; img && k < WARDER_UPCALLS_MAX && img->h.upcall[k].rule; k++)
			if (img->h.upcall[k].to == WARDER_UPCALL_QUEUE)
				return 1;
	}
	return 0;
}

/* Lines in the ordinary program's configuration need that it may get the authority first. */
void sup_upcall_look_at_host(struct supervisor *s)
{
	enum request_key_state state = request_key_state();

	if (!s->loader)
		return;
	__atomic_store_n(&loader_host(s->loader)->upcalls_by_lines, state == REQUEST_KEY_LINE,
			 __ATOMIC_RELEASE);
	__atomic_store_n(&loader_host(s->loader)->upcalls_diverted, state == REQUEST_KEY_DIVERTED,
			 __ATOMIC_RELEASE);
}

void handle_request_key(struct supervisor *s, struct conn *c, struct json_object *o,
			struct control_fds *fds)
{
	(void)o;
	(void)fds;
	sup_upcall_look_at_host(s);
	conn_reply_ok(s, c);
}

/* ------------------------------------------------------------------------- answers */

static int answer_link(struct supervisor *s, const struct upcall *u, int64_t key,
		       struct upcall_verdict *v, struct warder_error *e)
{
	static char payload[UPCALL_PAYLOAD_MAX];
	struct ctr *ctr = ctr_find_cid(s, u->record.cid);
	size_t len = 0;
	int err;

	if (!ctr || !ctr->has_rings || !s->keyring)
		return error_set(e, -ENOKEY, "the container has no keyring");
	err = keyring_copy_key(s->keyring, ctr->cid, &ctr->rings, (int32_t)key, u->ask.type, payload,
			       sizeof(payload), &len, e);
	if (err)
		return err;
	v->verb = UPCALL_INSTANTIATE;
	v->payload = payload;
	v->payload_len = (uint32_t)len;
	return 0;
}

/* What it says; 1: pass. -EINVAL when it is no answer. */
static int answer_read(struct supervisor *s, struct json_object *o, const struct upcall *u,
		       const struct sup_queue *q, struct upcall_verdict *v, struct warder_error *e)
{
	static const char *const keys[] = { "request", "seq", "verb", "payload", "payload_hex", "seconds",
					    "errno", "key", "ring", NULL };
	static char payload[UPCALL_PAYLOAD_MAX];
	const char *verb = NULL, *name = NULL;
	uint64_t seconds = 0;
	int64_t key = 0, ring = 0;
	size_t len = 0;
	int found = upcall_get_bytes(o, "payload", payload, sizeof(payload), &len, e), timed;

	if (control_check_keys(o, keys, e))
		return -EINVAL;
	timed = control_get_u64(o, "seconds", UPCALL_SECONDS_MAX, &seconds, e);
	if (found < 0 || timed < 0 || control_get_string(o, "verb", &verb, e) != 1 ||
	    control_get_string(o, "errno", &name, e) < 0 ||
	    control_get_i64(o, "key", 1, INT32_MAX, &key, e) < 0 ||
	    control_get_i64(o, "ring", 1, INT32_MAX, &ring, e) < 0)
		return error_set(e, -EINVAL, "%s", e->text[0] ? e->text : "no verb");
	v->seconds = (uint32_t)seconds;
	if (!strcmp(verb, "pass") && u->taking != 2)
		return 1;
	if (!strcmp(verb, "instantiate") && found) {
		v->verb = UPCALL_INSTANTIATE;
		v->payload = payload;
		v->payload_len = (uint32_t)len;
	} else if (!strcmp(verb, "link") && key) {
		return answer_link(s, u, key, v, e);
	} else if (!strcmp(verb, "negate") || !strcmp(verb, "reject")) {
		int err = *verb == 'n' ? ENOKEY : name ? errno_from_name(name) : 0;

		if (err <= 0)
			return error_set(e, -EINVAL, "reject: the errno's name is missing or unknown");
		v->verb = UPCALL_REJECT;
		v->err = (uint32_t)err;
		if (!timed || (err != ENOKEY && v->seconds < UPCALL_REFUSED_SECONDS))
			v->seconds = UPCALL_REFUSED_SECONDS;
	} else if (!strcmp(verb, "take") && ring && !u->taking) {
		v->verb = UPCALL_TAKE;
		v->ring = (int32_t)ring;
		v->nonce = q->nonce;
		v->uid = q->q.userns ? q->uid : 0;
		v->err = !q->q.userns; /* a process of the host is to have the authority */
	} else {
		return error_set(e, -EINVAL, "verb %.32s: unknown, or its members are missing", verb);
	}
	return 0;
}

static const struct sup_queue *queue_with(struct supervisor *s, uint64_t id)
{
	const struct sup_queue *q = s->queues;

	while (q && q->q.id != id)
		q = q->next;
	return q;
}

/* No reply: a daemon that waited for one would be a way to wait for each other. */
void handle_keyring_answer(struct supervisor *s, struct conn *c, struct json_object *o,
			   struct control_fds *fds)
{
	struct upcall_verdict v = { .verb = 0 };
	struct warder_error e = { "" };
	const struct sup_queue *q;
	struct upcall *u = NULL;
	uint64_t seq = 0;
	int err, known;

	(void)fds;
	known = control_get_u64(o, "seq", UINT64_MAX, &seq, &e) == 1;
	if (known)
		u = upcall_find(s, seq);
	/* Too late, said already, or somebody else's: nobody waits for it. */
	if (c->queues && known && (!u || u->conn != c->id || u->said))
		return;
	q = u ? queue_with(s, u->queue_id) : NULL;
	err = u && q && c->queues ? answer_read(s, o, u, q, &v, &e) : -EINVAL;
	if (err < 0) {
		log_debug("an answer to an upcall is none: %s", e.text);
		if (u && u->conn == c->id) {
			daemon_tell(s, u, "cancelled", e.text);
			u->conn = 0;
			if (u->taking == 2)
				upcall_reject(s, u, ENOKEY, UPCALL_REFUSED_SECONDS);
			else
				upcall_route(s, u);
		}
		if (!c->queues || ++c->invalid > INVALID_MAX)
			conn_close(s, c);
		return;
	}
	if (err == 1) {
		upcall_route(s, u);
		return;
	}
	u->taking |= v.verb == UPCALL_TAKE;
	upcall_say(s, u, &v);
	if (v.payload_len)
		explicit_bzero((void *)(uintptr_t)v.payload, v.payload_len);
}

/* ----------------------------------------------------------------- ends of all kinds */

void sup_upcall_conn_gone(struct supervisor *s, struct conn *c)
{
	sup_queue_conn_gone(s, c);
	c->queues = 0;
	for (struct upcall *u = s->upcalls; u; u = u->next) {
		if (u->conn != c->id || u->said)
			continue;
		u->conn = 0;
		if (u->taking == 2)
			upcall_reject(s, u, ENOKEY, UPCALL_REFUSED_SECONDS);
		else
			upcall_route(s, u);
	}
}

/* Its tasks wait for answers and cannot be killed: no answer is needed any more. */
void sup_upcall_cancel(struct supervisor *s, uint64_t cid)
{
	for (struct upcall *u = s->upcalls; u; u = u->next)
		if (u->message && u->record.cid == cid)
			upcall_cancel(s, u, ENOKEY, 0, "the container ends");
}

void sup_upcall_tick(struct supervisor *s, uint64_t now)
{
	struct upcall *next;

	for (struct upcall *u = s->upcalls; u; u = next) {
		struct upcall_status st;

		next = u->next;
		if (u->said)
			continue;
		if (now >= u->deadline) {
			if (u->message)
				upcall_cancel(s, u, ETIMEDOUT, UPCALL_REFUSED_SECONDS, "the deadline has passed");
			else
				upcall_free(s, u);
			continue;
		}
		if (!u->message || now < u->looked + LOOK_MS)
			continue;
		u->looked = now;
		if (!sup_queue_proc_status((pid_t)u->record.tid, &st) && st.killed)
			upcall_cancel(s, u, ENOKEY, 0, "the requester was killed");
	}
}
