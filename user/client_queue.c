// SPDX-License-Identifier: LGPL-2.1-or-later
/* libwarder: daemons that answer key upcalls. */
#include "client_queue.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "client.h"
#include "container.h"
#include "keyring_take.h"
#include "upcall_json.h"

#define INSIDE_PATH CONTAINER_SOCKET_DIR "/" CONTAINER_SOCKET
#define STORED_MAX 128 /* messages that come while an authority is waited for */
#define TAKE_MS 60000

struct warder_queue {
	struct warder *w; /* host */
	int sock;
	char *container;
	char ring_name[UPCALL_RING_NAME_SIZE];
	int32_t ring; /* 0: not made yet */
	struct json_object *stored[STORED_MAX];
	size_t stored_count;
	struct json_object *shown; /* what warder_queue_next() points into */
	char description[UPCALL_DESCRIPTION_MAX + 1], callout[UPCALL_CALLOUT_MAX + 1];
};

int queue_open(struct warder_queue **ret, const char *container, int flags,
	       struct warder_error *reterr)
{
	struct warder_queue *q = calloc(1, sizeof(*q));
	int err = 0;

	if (!q)
		return error_set(reterr, -ENOMEM, "out of memory");
	q->sock = -1;
	if (container && (flags & WARDER_QUEUE_INSIDE))
		err = error_set(reterr, -EINVAL, "a process in a container serves that one only");
	else if (flags & WARDER_QUEUE_INSIDE)
		err = q->sock = control_connect(INSIDE_PATH, reterr);
	else
		err = client_connect(&q->w, 0, reterr);
	if (err >= 0 && q->w)
		q->sock = warder_fd(q->w);
	if (err >= 0 && container) {
		q->container = strdup(container);
		err = q->container ? 0 : error_set(reterr, -ENOMEM, "out of memory");
	}
	if (err < 0) {
		warder_queue_close(q);
		return err;
	}
	*ret = q;
	return 0;
}

void warder_queue_close(struct warder_queue *q)
{
	if (!q)
		return;
	if (q->w)
		warder_close(q->w);
	else if (q->sock >= 0)
		close(q->sock);
	for (size_t i = 0; i < q->stored_count; i++)
		json_object_put(q->stored[i]);
	json_object_put(q->shown);
	free(q->container);
	free(q);
}

/* One message within `ms`. */
static int queue_receive(struct warder_queue *q, int ms, struct json_object **ret,
			 struct warder_error *reterr)
{
	struct pollfd p = { .fd = q->sock, .events = POLLIN };
	struct control_fds fds = { .count = 0 };
	int n = poll(&p, 1, ms), err;

	if (n < 1)
		return n && errno != EINTR ? error_errno(reterr, -errno, "poll") : -EAGAIN;
	err = control_recv(q->sock, ret, &fds, 0, MSG_DONTWAIT, reterr);
	control_fds_done(&fds);
	if (err == -ECONNRESET || err == -EPIPE)
		err = -ENODATA;
	if (err == -ENODATA)
		error_set(reterr, err, "the supervisor has closed the connection");
	return err;
}

static int queue_store(struct warder_queue *q, struct json_object *o)
{
	if (q->stored_count == STORED_MAX) {
		json_object_put(o);
		return -ENOBUFS;
	}
	q->stored[q->stored_count++] = o;
	return 0;
}

int queue_serve(struct warder_queue *q, const char *type, struct warder_error *reterr)
{
	cleanup_json struct json_object *o = client_request("keyring-queue");
	const char *text = NULL;
	int err, ok = 0;

	control_put_int(o, "version", 1);
	control_put_string(o, "type", type ? type : "*");
	control_put_string(o, "name", q->container);
	err = control_send(q->sock, o, NULL, 0, 0);
	if (err)
		return error_errno(reterr, err, "cannot send to the supervisor");
	/* Upcalls of a type that is served already may come before the reply. */
	for (;;) {
		struct json_object *reply = NULL, *v;

		err = queue_receive(q, TAKE_MS, &reply, reterr);
		if (err)
			return err == -EAGAIN ? error_set(reterr, -ETIMEDOUT, "no answer") : err;
		if (!json_object_object_get_ex(reply, "ok", &v)) {
			queue_store(q, reply);
			continue;
		}
		ok = json_object_get_boolean(v);
		control_get_string(reply, ok ? "ring" : "error", &text, NULL);
		if (ok && text)
			snprintf(q->ring_name, sizeof(q->ring_name), "%s", text);
		else if (!ok)
			err = error_set(reterr, -EPERM, "%s", text ? text : "the request failed");
		json_object_put(reply);
		return err;
	}
}

int queue_next(struct warder_queue *q, int timeout_ms, struct json_object **ret,
	       struct warder_error *reterr)
{
	if (q->stored_count) {
		*ret = q->stored[0];
		memmove(q->stored, q->stored + 1, --q->stored_count * sizeof(*q->stored));
		return 0;
	}
	return queue_receive(q, timeout_ms, ret, reterr);
}

int queue_answer(struct warder_queue *q, struct json_object *answer)
{
	cleanup_json struct json_object *o = answer;

	control_put_string(o, "request", "keyring-answer");
	return control_send(q->sock, o, NULL, 0, 0);
}

static struct json_object *answer_new(uint64_t seq, const char *verb)
{
	struct json_object *o = json_object_new_object();

	control_put_u64(o, "seq", seq);
	control_put_string(o, "verb", verb);
	return o;
}

/* Is it about that upcall? */
static int is_about(struct json_object *o, const char *what, uint64_t seq, const char **ret_reason)
{
	struct json_object *in;
	uint64_t its = 0;

	if (!json_object_object_get_ex(o, what, &in) ||
	    control_get_u64(in, "seq", UINT64_MAX, &its, NULL) != 1 || its != seq)
		return 0;
	if (ret_reason)
		control_get_string(in, "reason", ret_reason, NULL);
	return 1;
}

int queue_take(struct warder_queue *q, uint64_t seq, struct warder_error *reterr)
{
	struct json_object *o = answer_new(seq, "take");
	int err = 0;

	if (!q->ring) {
		err = keyring_take_session();
		if (!err)
			err = keyring_take_ring(q->ring_name, &q->ring);
	}
	if (err) {
		json_object_put(o);
		return error_errno(reterr, err, "cannot make a keyring to take keys into");
	}
	control_put_int(o, "ring", q->ring);
	err = queue_answer(q, o);
	while (!err) {
		struct json_object *reply = NULL;
		const char *reason = NULL;

		err = queue_receive(q, TAKE_MS, &reply, reterr);
		if (err)
			return err == -EAGAIN ? error_set(reterr, -ETIMEDOUT, "no answer") : err;
		if (is_about(reply, "taken", seq, NULL)) {
			json_object_put(reply);
			return 0;
		}
		if (is_about(reply, "cancelled", seq, &reason)) {
			error_set(reterr, -ECANCELED, "%s", reason ? reason : "the upcall has ended");
			json_object_put(reply);
			return -ECANCELED;
		}
		queue_store(q, reply); /* one too many is answered by its deadline */
	}
	return error_errno(reterr, err, "cannot send to the supervisor");
}

/* ---------------------------------------------------------------------- the library's */

int warder_queue_open(struct warder_queue **ret, const char *container, int flags, char *error,
		      size_t size)
{
	struct warder_error e = { "" };

	return client_out(queue_open(ret, container, flags, &e), &e, error, size);
}

int warder_queue_serve(struct warder_queue *q, const char *type, char *error, size_t size)
{
	struct warder_error e = { "" };

	return client_out(queue_serve(q, type, &e), &e, error, size);
}

int warder_queue_fd(const struct warder_queue *q)
{
	return q->sock;
}

static int read_asked(struct warder_queue *q, struct json_object *in, struct warder_upcall_asked *a,
		      struct warder_error *e)
{
	struct json_object *rings, *ring;
	int64_t key = 0, pid = 0;
	uint64_t uid = 0, gid = 0, ms = 0;
	const char *by = NULL;
	size_t len = 0;

	if (control_get_i64(in, "key", 1, INT32_MAX, &key, e) != 1 ||
	    control_get_string(in, "type", &a->type, e) != 1 ||
	    upcall_get_bytes(in, "description", q->description, UPCALL_DESCRIPTION_MAX, &len, e) != 1)
		return error_set(e, -EBADMSG, "a message that is none");
	q->description[len] = '\0';
	len = 0;
	if (upcall_get_bytes(in, "callout", q->callout, UPCALL_CALLOUT_MAX, &len, e) < 0)
		return -EBADMSG;
	q->callout[len] = '\0';
	control_get_i64(in, "pid", 0, INT32_MAX, &pid, e);
	control_get_u64(in, "uid", UINT32_MAX, &uid, e);
	control_get_u64(in, "gid", UINT32_MAX, &gid, e);
	control_get_u64(in, "deadline_ms", UINT32_MAX, &ms, e);
	control_get_string(in, "by", &by, e);
	control_get_string(in, "container", &a->container, e);
	for (size_t i = 0; i < 3 && json_object_object_get_ex(in, "rings", &rings); i++) {
		ring = json_object_array_get_idx(rings, i);
		a->ring[i] = ring ? json_object_get_int(ring) : 0;
	}
	a->key = (int32_t)key;
	a->description = q->description;
	a->callout = q->callout;
	a->callout_len = len;
	a->by_kernel = by && !strcmp(by, "kernel");
	a->pid = (pid_t)pid;
	a->uid = (uid_t)uid;
	a->gid = (gid_t)gid;
	a->deadline_ms = (uint32_t)ms;
	return 0;
}

int warder_queue_next(struct warder_queue *q, struct warder_upcall_asked *ret, int timeout_ms,
		      char *error, size_t size)
{
	struct warder_upcall_asked a = { .what = WARDER_UPCALL_ASKED };
	struct warder_error e = { "" };
	struct json_object *in;
	int err;

	json_object_put(q->shown);
	q->shown = NULL;
	err = queue_next(q, timeout_ms, &q->shown, &e);
	if (err)
		return client_out(err, &e, error, size);
	if (json_object_object_get_ex(q->shown, "upcall", &in)) {
		err = read_asked(q, in, &a, &e);
	} else if (json_object_object_get_ex(q->shown, "cancelled", &in)) {
		a.what = WARDER_UPCALL_CANCELLED;
		control_get_string(in, "reason", &a.reason, &e);
	} else {
		return client_out(-EAGAIN, &e, error, size);
	}
	if (!err && control_get_u64(in, "seq", UINT64_MAX, &a.seq, &e) != 1)
		err = -EBADMSG;
	if (err)
		return client_out(err, &e, error, size);
	a.struct_size = ret->struct_size < sizeof(a) ? ret->struct_size : sizeof(a);
	memcpy(ret, &a, a.struct_size);
	return 0;
}

int warder_queue_instantiate(struct warder_queue *q, uint64_t seq, const void *payload, size_t len,
			     uint32_t seconds)
{
	struct json_object *o;

	if (len > UPCALL_PAYLOAD_MAX)
		return -EMSGSIZE;
	o = answer_new(seq, "instantiate");
	upcall_put_bytes(o, "payload", payload, len);
	control_put_u64(o, "seconds", seconds);
	return queue_answer(q, o);
}

int warder_queue_link(struct warder_queue *q, uint64_t seq, int32_t key)
{
	struct json_object *o = answer_new(seq, "link");

	control_put_int(o, "key", key);
	return queue_answer(q, o);
}

int warder_queue_reject(struct warder_queue *q, uint64_t seq, const char *name, uint32_t seconds)
{
	struct json_object *o = answer_new(seq, "reject");

	control_put_string(o, "errno", name);
	control_put_u64(o, "seconds", seconds);
	return queue_answer(q, o);
}

int warder_queue_negate(struct warder_queue *q, uint64_t seq, uint32_t seconds)
{
	struct json_object *o = answer_new(seq, "negate");

	control_put_u64(o, "seconds", seconds);
	return queue_answer(q, o);
}

int warder_queue_pass(struct warder_queue *q, uint64_t seq)
{
	return queue_answer(q, answer_new(seq, "pass"));
}

int warder_queue_take(struct warder_queue *q, uint64_t seq, char *error, size_t size)
{
	struct warder_error e = { "" };

	return client_out(queue_take(q, seq, &e), &e, error, size);
}
