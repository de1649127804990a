// SPDX-License-Identifier: LGPL-2.1-or-later
/* libwarder: programs that decide about refused calls. */
#include "client_handler.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "client.h"
#include "override.h"
#include "policy.h"

/* More than the supervisor has waiting at a time; of more the oldest is forgotten. */
#define OPEN_MAX_ 64
#define DEFER_MAX 60000

struct open_call {
	uint64_t seq; /* 0: a free place */
	uint32_t may;
};

struct warder_handler {
	struct warder *w;
	unsigned version;
	int observes;
	struct json_object *shown; /* what warder_handler_next() points into */
	pthread_mutex_t lock;      /* of the two below */
	struct open_call open[OPEN_MAX_];
	unsigned next;
};

/* ------------------------------------------------------------------------ registering */

static int options_check(const struct warder_handler_options *o, struct warder_error *reterr)
{
	if (o->struct_size != sizeof(*o) || !o->name || !*o->name ||
	    strlen(o->name) >= WARDER_NAME_SIZE || !strcmp(o->name, WARDER_HANDLER_ASK) ||
	    o->order > 1000000 || (o->flags & ~(WARDER_HANDLER_OBSERVE | WARDER_HANDLER_START)))
		return error_set(reterr, -EINVAL,
				 "a handler needs a name of its own (at most %d bytes, not ask), and an "
				 "order up to 1000000", WARDER_NAME_SIZE - 1);
	return 0;
}

/* A supervisor from before there was a choice says no version: it is 1. */
static int handler_register(struct warder_handler *h, const struct warder_handler_options *options,
			    struct warder_error *reterr)
{
	cleanup_json struct json_object *reply = NULL;
	struct json_object *request = client_request("handler"), *versions = json_object_new_array();
	uint64_t version = 1;
	int err;

	json_object_array_add(versions, json_object_new_int(WARDER_HANDLER_VERSION));
	json_object_object_add(request, "versions", versions);
	control_put_string(request, "handler", options->name);
	control_put_u64(request, "version", WARDER_HANDLER_VERSION);
	control_put_u64(request, "order", options->order);
	control_put_bool(request, "observe", h->observes);
	control_put_string(request, "name", options->container);
	err = client_call(h->w, request, NULL, 0, &reply, NULL, NULL, reterr);
	if (err)
		return err;
	if (control_get_u64(reply, "version", UINT32_MAX, &version, reterr) < 0 || !version ||
	    version > WARDER_HANDLER_VERSION)
		return error_set(reterr, -EPROTO, "the supervisor chose version %llu, this library speaks "
						  "%d", (unsigned long long)version, WARDER_HANDLER_VERSION);
	h->version = (unsigned)version;
	return 0;
}

int handler_open(struct warder_handler **ret, struct warder *w,
		 const struct warder_handler_options *options, struct warder_error *reterr)
{
	struct warder_handler *h = calloc(1, sizeof(*h));
	int err;

	*ret = NULL;
	if (!h) {
		warder_close(w);
		return error_set(reterr, -ENOMEM, "out of memory");
	}
	h->w = w;
	pthread_mutex_init(&h->lock, NULL);
	err = options_check(options, reterr);
	if (!err && !h->w)
		err = client_connect(&h->w, options->flags & WARDER_HANDLER_START ?
					    WARDER_CONNECT_START : 0, reterr);
	if (!err) {
		h->observes = !!(options->flags & WARDER_HANDLER_OBSERVE);
		err = handler_register(h, options, reterr);
	}
	if (err) {
		warder_handler_close(h);
		return err;
	}
	*ret = h;
	return 0;
}

int warder_handler_open(struct warder_handler **ret, const struct warder_handler_options *options,
			char *error, size_t size)
{
	struct warder_error e = { "" };

	return client_out(handler_open(ret, NULL, options, &e), &e, error, size);
}

void warder_handler_close(struct warder_handler *h)
{
	if (!h)
		return;
	warder_close(h->w);
	json_object_put(h->shown);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

int warder_handler_fd(const struct warder_handler *h)
{
	return warder_fd(h->w);
}

unsigned warder_handler_version(const struct warder_handler *h)
{
	return h->version;
}

/* ------------------------------------------------------------------------------ calls */

static const struct {
	const char *word;
	uint32_t bit;
} decisions[] = {
	{ "pass", WARDER_MAY_PASS },   { "deny", WARDER_MAY_DENY }, { "fake", WARDER_MAY_FAKE },
	{ "perform", WARDER_MAY_PERFORM }, { "defer", WARDER_MAY_DEFER }, { "ask", WARDER_MAY_ASK },
	{ "continue", WARDER_MAY_CONTINUE },
}, changes_words[] = {
	{ "flags", WARDER_MAY_CHANGE_FLAGS }, { "options", WARDER_MAY_CHANGE_OPTIONS },
};

/* Words that are not known are of a later version: not for us. */
static uint32_t bits_of(struct json_object *in, const char *key, int is_change)
{
	size_t count = is_change ? ARRAY_SIZE(changes_words) : ARRAY_SIZE(decisions);
	struct json_object *list;
	uint32_t bits = 0;

	if (!json_object_object_get_ex(in, key, &list) || !json_object_is_type(list, json_type_array))
		return 0;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		const char *word = json_object_get_string(json_object_array_get_idx(list, i));

		for (size_t k = 0; word && k < count; k++)
			if (!strcmp(word, is_change ? changes_words[k].word : decisions[k].word))
				bits |= is_change ? changes_words[k].bit : decisions[k].bit;
	}
	return bits;
}

static void read_arguments(struct json_object *in, struct warder_handler_call *c)
{
	struct json_object *list;

	if (!json_object_object_get_ex(in, "arguments", &list) ||
	    !json_object_is_type(list, json_type_array))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(c->argument) && i < json_object_array_length(list); i++)
		c->argument[i] = (uint64_t)json_object_get_int64(json_object_array_get_idx(list, i));
}

static int read_call(struct json_object *in, struct warder_handler_call *c, struct warder_error *e)
{
	uint64_t ms = 0, rule = 0;
	int64_t pid = 0, tid = 0;
	const char *name = NULL;
	struct json_object *r;

	if (control_get_u64(in, "seq", UINT64_MAX, &c->seq, e) != 1 || !c->seq ||
	    control_get_string(in, "operation", &c->operation, e) != 1 ||
	    control_get_string(in, "syscall", &c->syscall, e) != 1)
		return error_set(e, -EBADMSG, "the supervisor shows a call that is not understood");
	c->uid = -1;
	control_get_i64(in, "uid", -1, UINT32_MAX, &c->uid, e);
	control_get_i64(in, "pid", 0, INT32_MAX, &pid, e);
	control_get_i64(in, "tid", 0, INT32_MAX, &tid, e);
	control_get_u64(in, "cid", UINT64_MAX, &c->cid, e);
	control_get_u64(in, "deadline_ms", UINT32_MAX, &ms, e);
	control_get_u64(in, "mount_flags", UINT64_MAX, &c->flags, e);
	control_get_string(in, "container", &c->container, e);
	control_get_string(in, "program", &c->program, e);
	control_get_string(in, "call", &c->text, e);
	control_get_string(in, "path", &c->path, e);
	control_get_string(in, "source", &c->source, e);
	control_get_string(in, "fstype", &c->fstype, e);
	control_get_string(in, "options", &c->options, e);
	control_get_string(in, "cause", &c->cause, e);
	control_get_string(in, "capability", &c->capability, e);
	control_get_string(in, "policy", &c->policy, e);
	if (control_get_string(in, "errno", &name, e) == 1 && errno_from_name(name) > 0)
		c->err = errno_from_name(name);
	if (json_object_object_get_ex(in, "rule", &r) && json_object_is_type(r, json_type_object)) {
		control_get_u64(r, "number", UINT32_MAX, &rule, e);
		control_get_string(r, "where", &c->where, e);
	}
	read_arguments(in, c);
	c->pid = (pid_t)pid;
	c->tid = (pid_t)tid;
	c->deadline_ms = (uint32_t)ms;
	c->rule = (uint32_t)rule;
	c->may = bits_of(in, "decisions", 0) | bits_of(in, "changes", 1);
	c->json = json_object_to_json_string_ext(in, JSON_C_TO_STRING_PLAIN |
							     JSON_C_TO_STRING_NOSLASHESCAPE);
	return 0;
}

static void open_add(struct warder_handler *h, const struct warder_handler_call *c)
{
	unsigned at = h->next;

	pthread_mutex_lock(&h->lock);
	for (unsigned i = 0; i < OPEN_MAX_; i++)
		if (!h->open[i].seq || h->open[i].seq == c->seq)
			at = i;
	h->open[at] = (struct open_call){ .seq = c->seq, .may = c->may };
	h->next = (at + 1) % OPEN_MAX_;
	pthread_mutex_unlock(&h->lock);
}

int handler_next(struct warder_handler *h, struct warder_handler_call *ret, int timeout_ms,
		 struct warder_error *reterr)
{
	struct pollfd p = { .fd = warder_fd(h->w), .events = POLLIN };
	struct warder_handler_call c = { .seq = 0 };
	struct control_fds fds = { .count = 0 };
	struct json_object *in;
	int n = poll(&p, 1, timeout_ms), err;

	if (n < 1)
		return n && errno != EINTR ? error_errno(reterr, -errno, "poll") : -EAGAIN;
	json_object_put(h->shown);
	h->shown = NULL;
	err = control_recv(p.fd, &h->shown, &fds, 1, MSG_DONTWAIT, reterr);
	control_fds_done(&fds);
	if (err == -ECONNRESET || err == -EPIPE || err == -ENODATA)
		return error_set(reterr, -ENODATA, "the supervisor is gone");
	if (err)
		return err;
	if (!json_object_object_get_ex(h->shown, "intercept", &in))
		return -EAGAIN;
	err = read_call(in, &c, reterr);
	if (err)
		return err;
	if (!h->observes)
		open_add(h, &c);
	c.struct_size = ret->struct_size < sizeof(c) ? ret->struct_size : sizeof(c);
	memcpy(ret, &c, c.struct_size);
	return 0;
}

int warder_handler_next(struct warder_handler *h, struct warder_handler_call *ret, int timeout_ms,
			char *error, size_t size)
{
	struct warder_error e = { "" };

	return client_out(handler_next(h, ret, timeout_ms, &e), &e, error, size);
}

/* ---------------------------------------------------------------------------- answers */

int handler_say(struct warder_handler *h, struct json_object *said)
{
	static const char *const keys[] = { "seq", "decision", "errno", "value", "ms", "flags", "options" };
	cleanup_json struct json_object *o = client_request("handler-reply");

	for (size_t i = 0; said && i < ARRAY_SIZE(keys); i++) {
		struct json_object *v;

		if (json_object_object_get_ex(said, keys[i], &v))
			json_object_object_add(o, keys[i], json_object_get(v));
	}
	return control_send(warder_fd(h->w), o, NULL, 0, 0) ? -EPIPE : 0;
}

/* May that be said to it? What ends the call is said once. */
static int open_take(struct warder_handler *h, uint64_t seq, uint32_t need, int ends)
{
	int err = -ENOENT;

	if (h->observes)
		return -EPERM;
	pthread_mutex_lock(&h->lock);
	for (unsigned i = 0; seq && i < OPEN_MAX_; i++) {
		if (h->open[i].seq != seq)
			continue;
		err = (h->open[i].may & need) == need ? 0 : -EOPNOTSUPP;
		if (!err && ends)
			h->open[i].seq = 0;
		break;
	}
	pthread_mutex_unlock(&h->lock);
	return err;
}

static struct json_object *said_new(uint64_t seq, const char *decision)
{
	struct json_object *o = json_object_new_object();

	control_put_u64(o, "seq", seq);
	control_put_string(o, "decision", decision);
	return o;
}

static int say(struct warder_handler *h, uint64_t seq, uint32_t need, struct json_object *said)
{
	cleanup_json struct json_object *o = said;
	int err = open_take(h, seq, need, !(need & WARDER_MAY_DEFER));

	return err ? err : handler_say(h, o);
}

int warder_handler_pass(struct warder_handler *h, uint64_t seq)
{
	return say(h, seq, WARDER_MAY_PASS, said_new(seq, "pass"));
}

int warder_handler_deny(struct warder_handler *h, uint64_t seq, int err)
{
	const char *name = err ? errno_name(err) : NULL;
	struct json_object *o;

	/* Only what has a name goes through. */
	if (err && (!name || errno_from_name(name) != err))
		return -EINVAL;
	o = said_new(seq, "deny");
	control_put_string(o, "errno", name);
	return say(h, seq, WARDER_MAY_DENY, o);
}

int warder_handler_fake(struct warder_handler *h, uint64_t seq, int value)
{
	struct json_object *o;

	if (value < 0)
		return -EINVAL;
	o = said_new(seq, "fake");
	control_put_int(o, "value", value);
	return say(h, seq, WARDER_MAY_FAKE, o);
}

int warder_handler_defer(struct warder_handler *h, uint64_t seq, uint32_t ms)
{
	struct json_object *o;

	if (!ms || ms > DEFER_MAX)
		return -EINVAL;
	o = said_new(seq, "defer");
	control_put_u64(o, "ms", ms);
	return say(h, seq, WARDER_MAY_DEFER, o);
}

int warder_handler_ask(struct warder_handler *h, uint64_t seq)
{
	return say(h, seq, WARDER_MAY_ASK, said_new(seq, "ask"));
}

int warder_handler_continue(struct warder_handler *h, uint64_t seq)
{
	return say(h, seq, WARDER_MAY_CONTINUE, said_new(seq, "continue"));
}

static int put_changes(struct json_object *o, const struct warder_handler_changes *c,
		       uint32_t *need)
{
	struct json_object *flags = json_object_new_array();

	if (c->struct_size != sizeof(*c) || (c->add_flags & ~(uint64_t)OVERRIDE_ADDED_FLAGS) ||
	    (c->options && strlen(c->options) >= OVERRIDE_OPTIONS_SIZE)) {
		json_object_put(flags);
		return -EINVAL;
	}
	/* A message is UTF-8, and an option list has no use for what is not in ASCII. */
	for (const char *at = c->options; at && *at; at++)
		if (*at < ' ' || *at == 0x7f) {
			json_object_put(flags);
			return -EINVAL;
		}
	for (uint32_t bit = 1; bit && bit <= c->add_flags; bit <<= 1)
		if (c->add_flags & bit)
			json_object_array_add(flags, json_object_new_string(mount_flag_name(bit)));
	json_object_object_add(o, "flags", flags);
	control_put_string(o, "options", c->options);
	*need |= (c->add_flags ? WARDER_MAY_CHANGE_FLAGS : 0) |
		 (c->options ? WARDER_MAY_CHANGE_OPTIONS : 0);
	return 0;
}

int warder_handler_perform(struct warder_handler *h, uint64_t seq,
			   const struct warder_handler_changes *changes)
{
	struct json_object *o = said_new(seq, "perform");
	uint32_t need = WARDER_MAY_PERFORM;

	if (changes && put_changes(o, changes, &need)) {
		json_object_put(o);
		return -EINVAL;
	}
	return say(h, seq, need, o);
}
