// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Handlers: programs on the control socket, and people, that decide about calls in the place of a
 * rule. A call goes from the override thread to the first handler of its name, by order; `pass`
 * hands it to the next. A handler sees a description of the call and sends back a word: it never
 * gets a descriptor of the container's, and what it may say was decided before it is asked.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "calls.h"
#include "cleanup.h"
#include "events.h"
#include "policy.h"
#include "supervisor_private.h"
#include "warder.h"

#define INVALID_MAX 16    /* answers that are none, then the connection ends */
#define DEADLINE_SLACK 1000 /* ms: the override thread's own deadline comes first */
#define DEFER_MAX 60000
#define VERSIONS_MAX 16

static int is_person(const struct override_ask *a)
{
	return !strcmp(a->handler, WARDER_HANDLER_ASK);
}

static void ask_free(struct supervisor *s, struct sup_ask *a)
{
	pthread_mutex_lock(&s->lock);
	a->state = SUP_ASK_FREE;
	pthread_mutex_unlock(&s->lock);
}

static void ask_say_with(struct supervisor *s, struct sup_ask *a, int says, int value,
			 const struct override_changes *changes, const char *who, const char *what)
{
	struct override_answer answer = { .cookie = a->ask.cookie, .says = says, .value = value };

	if (changes)
		answer.changes = *changes;
	snprintf(answer.why, sizeof(answer.why), "%s%.63s%s", who, a->ask.handler, what);
	if (s->override && override_answer(s->override, &answer))
		log_warning("an answer about a call was lost: its deadline will answer");
	if (says != OVERRIDE_SAYS_DEFER)
		ask_free(s, a);
}

static void ask_say(struct supervisor *s, struct sup_ask *a, int says, int value, const char *who,
		    const char *what)
{
	ask_say_with(s, a, says, value, NULL, who, what);
}

/* ------------------------------------------------------------------ what is shown */

static struct json_object *decisions_of(const struct override_ask *a)
{
	struct json_object *list = json_object_new_array();
	const char *const words[] = { "pass", "deny", "fake", "defer", "ask", "perform" };

	for (size_t i = 0; i < ARRAY_SIZE(words) - !a->may_perform; i++)
		json_object_array_add(list, json_object_new_string(words[i]));
	return list;
}

/* What of a mount may be another way when it is performed. */
static void put_changes(struct json_object *o, const struct override_ask *a)
{
	struct json_object *list;

	if (a->call.icept.op != WARDER_OP_MOUNT)
		return;
	control_put_u64(o, "mount_flags", a->mount_flags);
	if (a->options[0])
		json_add_bytes(o, "options", a->options, strnlen(a->options, sizeof(a->options)));
	if (!a->may_flags && !a->may_options)
		return;
	list = json_object_new_array();
	if (a->may_flags)
		json_object_array_add(list, json_object_new_string("flags"));
	if (a->may_options)
		json_object_array_add(list, json_object_new_string("options"));
	json_object_object_add(o, "changes", list);
}

/* The event that it will become, without what is not known yet, and what a decision needs. */
static struct json_object *ask_to_json(struct supervisor *s, const struct sup_ask *a)
{
	const struct override_ask *ask = &a->ask;
	const struct ctr *c = ctr_find_cid(s, ask->call.cid);
	const struct warder_image *img = sup_ctr_image(s, c);
	struct json_object *o = outcome_to_json(&ask->call, c ? c->name : NULL, img);
	struct json_object *args = json_object_new_array();
	uint64_t now = clock_now_ms();

	json_object_object_del(o, "result");
	json_object_object_del(o, "performed");
	json_object_object_del(o, "undone");
	json_object_object_del(o, "reason");
	control_put_u64(o, "seq", ask->cookie);
	control_put_string(o, "handler", ask->handler);
	control_put_string(o, "syscall", call_name(ask->call.icept.call));
	for (int i = 0; i < 6; i++)
		json_object_array_add(args, json_object_new_int64((int64_t)ask->call.icept.arg[i]));
	json_object_object_add(o, "arguments", args);
	control_put_int(o, "uid", (int32_t)ask->call.icept.euid);
	control_put_u64(o, "deadline_ms", a->deadline > now + DEADLINE_SLACK ?
						  a->deadline - now - DEADLINE_SLACK : 0);
	json_object_object_add(o, "decisions", decisions_of(ask));
	put_changes(o, ask);
	return o;
}

/* ---------------------------------------------------------------------- the chain */

static int conn_serves(const struct conn *c, const struct override_ask *a)
{
	return !strcmp(c->handler, a->handler) && *c->handler &&
	       (!c->handler_cid || c->handler_cid == a->call.cid);
}

/* The decider that comes next after (order, id); the first registered goes first among equals. */
static struct conn *chain_next(struct supervisor *s, const struct override_ask *a, uint64_t order,
			       uint64_t id)
{
	struct conn *best = NULL;

	for (struct conn *c = s->conns; c; c = c->next) {
		if (c->observes || !conn_serves(c, a) || c->order < order ||
		    (c->order == order && c->id <= id))
			continue;
		if (!best || c->order < best->order || (c->order == best->order && c->id < best->id))
			best = c;
	}
	return best;
}

static int conn_show(struct supervisor *s, struct conn *c, const struct sup_ask *a)
{
	cleanup_json struct json_object *o = json_object_new_object();

	json_object_object_add(o, "intercept", ask_to_json(s, a));
	return control_send(c->src.fd, o, NULL, 0, MSG_DONTWAIT);
}

/* One whose socket is full has too much to do: the next one, as if it had passed. */
static void chain_ask(struct supervisor *s, struct sup_ask *a, uint64_t order, uint64_t id)
{
	struct conn *c;

	while ((c = chain_next(s, &a->ask, order, id))) {
		order = c->order;
		id = c->id;
		if (!conn_show(s, c, a)) {
			a->conn = c->id;
			return;
		}
	}
	ask_say(s, a, OVERRIDE_SAYS_NOTHING, 0, "", id ? ": every handler passed it on" :
							 ": no such handler is there");
}

static const struct sup_remembered *remembered_find(const struct supervisor *s,
						    const struct override_ask *a)
{
	for (size_t i = 0; i < s->remembered_count; i++) {
		const struct sup_remembered *r = &s->remembered[i];

		if (r->cid == a->call.cid && r->rule == a->call.rule &&
		    r->call == a->call.icept.call && !strcmp(r->target, a->call.target) &&
		    !strcmp(r->source, a->call.source))
			return r;
	}
	return NULL;
}

/* A person decides: by the rule's word, or a handler's. */
static void ask_person(struct supervisor *s, struct sup_ask *a)
{
	const struct sup_remembered *r;

	a->state = SUP_ASK_PERSON;
	r = remembered_find(s, &a->ask);
	if (r)
		ask_say(s, a, r->says, r->says == OVERRIDE_SAYS_DENY ? -a->ask.call.icept.result : 0, "",
			": as answered before");
}

static void ask_begin(struct supervisor *s, struct sup_ask *a)
{
	for (struct conn *c = s->conns; c; c = c->next)
		if (c->observes && conn_serves(c, &a->ask))
			conn_show(s, c, a); /* one that is too slow misses it */
	if (!is_person(&a->ask)) {
		a->state = SUP_ASK_HANDLER;
		chain_ask(s, a, 0, 0);
		return;
	}
	ask_person(s, a);
}

static void asks_ready(struct supervisor *s, struct source *src, uint32_t events)
{
	uint64_t count;

	(void)events;
	if (read(src->fd, &count, sizeof(count)) < 0)
		return;
	for (size_t i = 0; i < SUPERVISOR_ASKS_MAX; i++) {
		struct sup_ask *a = &s->asks[i];
		int is_new;

		pthread_mutex_lock(&s->lock);
		is_new = a->state == SUP_ASK_NEW;
		pthread_mutex_unlock(&s->lock);
		if (is_new)
			ask_begin(s, a);
	}
}

/* From the override thread: never waits for the loop. */
int sup_handler_ask(void *arg, const struct override_ask *ask)
{
	struct supervisor *s = arg;
	uint64_t one = 1;
	int err = -EBUSY;
	ssize_t n;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; err && i < SUPERVISOR_ASKS_MAX; i++) {
		struct sup_ask *a = &s->asks[i];

		if (a->state != SUP_ASK_FREE)
			continue;
		a->ask = *ask;
		a->conn = 0;
		a->deadline = clock_now_ms() + ask->deadline_ms + DEADLINE_SLACK;
		a->state = SUP_ASK_NEW;
		err = 0;
	}
	pthread_mutex_unlock(&s->lock);
	if (!err)
		n = write(s->ask_source.fd, &one, sizeof(one));
	(void)n;
	return err;
}

int sup_handler_open(struct supervisor *s)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	s->asks = calloc(SUPERVISOR_ASKS_MAX, sizeof(*s->asks));
	s->remembered = calloc(SUPERVISOR_REMEMBERED_MAX, sizeof(*s->remembered));
	if (s->asks && s->remembered && fd >= 0 &&
	    !source_add(s, &s->ask_source, fd, EPOLLIN, asks_ready))
		return 0;
	if (fd >= 0)
		close(fd);
	return -ENOMEM;
}

void sup_handler_free(struct supervisor *s)
{
	source_remove(s, &s->ask_source);
	free(s->asks);
	free(s->remembered);
	s->asks = NULL;
	s->remembered = NULL;
}

/* The override thread has given up on them long since. */
void sup_handler_tick(struct supervisor *s)
{
	uint64_t now = clock_now_ms();

	for (size_t i = 0; s->asks && i < SUPERVISOR_ASKS_MAX; i++)
		if (s->asks[i].state >= SUP_ASK_HANDLER && now > s->asks[i].deadline)
			ask_free(s, &s->asks[i]);
}

void sup_handler_gone(struct supervisor *s, const struct conn *c)
{
	for (size_t i = 0; s->asks && i < SUPERVISOR_ASKS_MAX; i++)
		if (s->asks[i].state == SUP_ASK_HANDLER && s->asks[i].conn == c->id)
			ask_say(s, &s->asks[i], OVERRIDE_SAYS_NOTHING, 0, "handler ",
				" ended before it answered");
}

/* ----------------------------------------------------------------------- requests */

/* The highest version that both speak; one that offers a single one says it by itself. 0: none. */
static uint64_t version_choose(struct json_object *o)
{
	struct json_object *list;
	uint64_t one = 0;

	control_get_u64(o, "version", UINT32_MAX, &one, NULL);
	if (one == WARDER_HANDLER_VERSION)
		return one;
	if (!json_object_object_get_ex(o, "versions", &list) ||
	    !json_object_is_type(list, json_type_array))
		return 0;
	for (size_t i = 0; i < json_object_array_length(list) && i < VERSIONS_MAX; i++) {
		struct json_object *v = json_object_array_get_idx(list, i);

		if (json_object_is_type(v, json_type_int) &&
		    json_object_get_int64(v) == WARDER_HANDLER_VERSION)
			return WARDER_HANDLER_VERSION;
	}
	return 0;
}

void handle_handler(struct supervisor *s, struct conn *c, struct json_object *o,
		    struct control_fds *fds)
{
	const char *handler = NULL, *name = NULL;
	uint64_t version = 0, order = 100;
	struct warder_error e = { "" };
	struct json_object *reply;
	struct ctr *ctr = NULL;
	int observes = 0;

	(void)fds;
	if (control_get_string(o, "handler", &handler, &e) != 1 ||
	    control_get_u64(o, "version", UINT32_MAX, &version, &e) < 0 ||
	    control_get_u64(o, "order", 1000000, &order, &e) < 0 ||
	    control_get_bool(o, "observe", &observes, &e) < 0 ||
	    control_get_string(o, "name", &name, &e) < 0) {
		reply_error(s, c, &e);
		return;
	}
	version = version_choose(o);
	if (!version || !*handler || strlen(handler) >= sizeof(c->handler) ||
	    !strcmp(handler, WARDER_HANDLER_ASK)) {
		error_set(&e, -EINVAL, !version ?
			  "this supervisor speaks version 1 with handlers" :
			  "a handler needs a name of its own (not ask)");
		reply_error(s, c, &e);
		return;
	}
	if (name) {
		ctr = request_container(s, o, &e);
		if (!ctr) {
			reply_error(s, c, &e);
			return;
		}
	}
	strcpy(c->handler, handler);
	c->order = order;
	c->observes = observes;
	c->handler_cid = ctr ? ctr->cid : 0;
	reply = reply_new();
	control_put_u64(reply, "version", version);
	conn_reply(s, c, reply, -1);
}

static struct sup_ask *ask_of(struct supervisor *s, const struct conn *c, uint64_t seq, int any)
{
	struct sup_ask *oldest = NULL;

	for (size_t i = 0; i < SUPERVISOR_ASKS_MAX; i++) {
		struct sup_ask *a = &s->asks[i];

		if (a->state != SUP_ASK_HANDLER || a->conn != c->id)
			continue;
		if (any ? !oldest || a->ask.cookie < oldest->ask.cookie : a->ask.cookie == seq)
			oldest = a;
	}
	return oldest;
}

/* What it wants changed; -EINVAL when it is nothing that it may. */
static int changes_read(struct json_object *o, const struct override_ask *a,
			struct override_changes *ret)
{
	const char *options = NULL;
	struct warder_error e = { "" };
	struct json_object *flags;
	uint32_t flag;

	memset(ret, 0, sizeof(*ret));
	if (control_get_string(o, "options", &options, &e) < 0 ||
	    (options && (!a->may_options || strlen(options) >= sizeof(ret->options))))
		return -EINVAL;
	if (options) {
		ret->has_options = 1;
		strcpy(ret->options, options);
	}
	if (!json_object_object_get_ex(o, "flags", &flags))
		return 0;
	if (!json_object_is_type(flags, json_type_array))
		return -EINVAL;
	for (size_t i = 0; i < json_object_array_length(flags); i++) {
		struct json_object *word = json_object_array_get_idx(flags, i);

		if (!json_object_is_type(word, json_type_string) ||
		    mount_flag_from_name(json_object_get_string(word), &flag) ||
		    (flag & ~OVERRIDE_ADDED_FLAGS))
			return -EINVAL;
		ret->add_flags |= flag;
	}
	return ret->add_flags && !a->may_flags ? -EINVAL : 0;
}

#define SAYS_PASS (-1)
#define SAYS_ASK (-2)

/* What it says, in numbers; -EINVAL when it is none of what was offered. */
static int reply_read(struct json_object *o, const struct sup_ask *a, int *ret_says, int *ret_value)
{
	const char *decision = NULL, *name = NULL;
	struct warder_error e = { "" };
	uint64_t value = 0, ms = 0;
	int err = 0;

	if (control_get_string(o, "decision", &decision, &e) != 1 ||
	    control_get_string(o, "errno", &name, &e) < 0 ||
	    control_get_u64(o, "value", INT32_MAX, &value, &e) < 0 ||
	    control_get_u64(o, "ms", DEFER_MAX, &ms, &e) < 0)
		return -EINVAL;
	if (!strcmp(decision, "pass")) {
		*ret_says = SAYS_PASS;
	} else if (!strcmp(decision, "ask")) {
		*ret_says = SAYS_ASK;
	} else if (!strcmp(decision, "deny")) {
		err = name ? errno_from_name(name) : -a->ask.call.icept.result;
		*ret_says = OVERRIDE_SAYS_DENY;
		*ret_value = err;
		return err > 0 ? 0 : -EINVAL;
	} else if (!strcmp(decision, "fake")) {
		*ret_says = OVERRIDE_SAYS_FAKE;
		*ret_value = (int)value;
	} else if (!strcmp(decision, "defer") && ms) {
		*ret_says = OVERRIDE_SAYS_DEFER;
		*ret_value = (int)ms;
	} else if (!strcmp(decision, "perform") && a->ask.may_perform) {
		*ret_says = OVERRIDE_SAYS_PERFORM;
	} else {
		return -EINVAL;
	}
	return 0;
}

/* No reply: a handler that waited for one would be a way to wait for each other. */
void handle_handler_reply(struct supervisor *s, struct conn *c, struct json_object *o,
			  struct control_fds *fds)
{
	struct warder_error e = { "" };
	struct override_changes changes;
	struct sup_ask *a = NULL;
	uint64_t seq = 0;
	int has_seq, says = OVERRIDE_SAYS_NOTHING, value = 0;

	(void)fds;
	if (!*c->handler || c->observes) {
		conn_close(s, c);
		return;
	}
	has_seq = control_get_u64(o, "seq", UINT64_MAX, &seq, &e) == 1;
	a = ask_of(s, c, seq, !has_seq);
	/* Too late, or said already: nobody waits for it. */
	if (!a && has_seq)
		return;
	if (!a || reply_read(o, a, &says, &value) || changes_read(o, &a->ask, &changes)) {
		log_warning("handler %s: an answer is none of those offered", c->handler);
		if (a)
			ask_say(s, a, OVERRIDE_SAYS_NOTHING, 0, "handler ",
				" gave an answer that is none of those offered");
		if (++c->invalid > INVALID_MAX)
			conn_close(s, c);
		return;
	}
	if (says == SAYS_PASS) {
		chain_ask(s, a, c->order, c->id);
		return;
	}
	if (says == SAYS_ASK) {
		a->conn = 0;
		ask_person(s, a);
		return;
	}
	if (says == OVERRIDE_SAYS_DEFER)
		a->deadline = clock_now_ms() + (uint64_t)value + DEADLINE_SLACK;
	ask_say_with(s, a, says, value, says == OVERRIDE_SAYS_PERFORM ? &changes : NULL, "handler ",
		     changes.add_flags || changes.has_options ? " says so, with changes" : " says so");
}

/* ------------------------------------------------------------------------- people */

void handle_ask_list(struct supervisor *s, struct conn *c, struct json_object *o,
		     struct control_fds *fds)
{
	struct json_object *r = reply_new(), *list = json_object_new_array();

	(void)o;
	(void)fds;
	for (size_t i = 0; i < SUPERVISOR_ASKS_MAX; i++)
		if (s->asks[i].state == SUP_ASK_PERSON)
			json_object_array_add(list, ask_to_json(s, &s->asks[i]));
	json_object_object_add(r, "asks", list);
	conn_reply(s, c, r, -1);
}

static void remember(struct supervisor *s, const struct override_ask *a, int says)
{
	struct sup_remembered *r;

	if (s->remembered_count == SUPERVISOR_REMEMBERED_MAX) {
		memmove(s->remembered, s->remembered + 1,
			(SUPERVISOR_REMEMBERED_MAX - 1) * sizeof(*s->remembered));
		s->remembered_count--;
	}
	r = &s->remembered[s->remembered_count++];
	memset(r, 0, sizeof(*r));
	r->cid = a->call.cid;
	r->rule = a->call.rule;
	r->call = a->call.icept.call;
	r->says = says;
	memcpy(r->target, a->call.target, sizeof(r->target));
	memcpy(r->source, a->call.source, sizeof(r->source));
}

void handle_ask_answer(struct supervisor *s, struct conn *c, struct json_object *o,
		       struct control_fds *fds)
{
	int allow = 0, keep = 0, says;
	struct warder_error e = { "" };
	struct sup_ask *a = NULL;
	uint64_t seq = 0;

	(void)fds;
	if (control_get_u64(o, "seq", UINT64_MAX, &seq, &e) != 1 ||
	    control_get_bool(o, "allow", &allow, &e) < 0 ||
	    control_get_bool(o, "remember", &keep, &e) < 0) {
		reply_error(s, c, &e);
		return;
	}
	for (size_t i = 0; i < SUPERVISOR_ASKS_MAX; i++)
		if (s->asks[i].state == SUP_ASK_PERSON && s->asks[i].ask.cookie == seq)
			a = &s->asks[i];
	if (!a || (allow && !a->ask.may_perform)) {
		error_set(&e, -ENOENT, a ? "call %llu cannot be performed: deny it" :
					   "no call %llu waits for an answer: its deadline may have passed",
			  (unsigned long long)seq);
		reply_error(s, c, &e);
		return;
	}
	says = allow ? OVERRIDE_SAYS_PERFORM : OVERRIDE_SAYS_DENY;
	if (keep)
		remember(s, &a->ask, says);
	ask_say(s, a, says, allow ? 0 : -a->ask.call.icept.result, "", ": a person has answered");
	conn_reply_ok(s, c);
}
