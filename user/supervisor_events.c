// SPDX-License-Identifier: LGPL-2.1-or-later
/* Events: from the ring and the override thread into a bounded history and to subscribers. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "supervisor_private.h"
#include "upcall.h"

#define GAP_SECONDS 1

static void history_drop_oldest(struct supervisor *s)
{
	size_t i = s->history_first;

	s->history_bytes -= s->history[i].len;
	free(s->history[i].text);
	s->history[i].text = NULL;
	s->history_first = (i + 1) % SUPERVISOR_HISTORY_MAX;
	s->history_count--;
}

static void history_add(struct supervisor *s, struct json_object *o, uint64_t cid)
{
	size_t len, i;
	const char *text = json_object_to_json_string_length(o, JSON_C_TO_STRING_PLAIN, &len);
	char *copy = text ? strdup(text) : NULL;

	if (!copy)
		return;
	while (s->history_count && (s->history_count == SUPERVISOR_HISTORY_MAX ||
				    s->history_bytes + len > SUPERVISOR_HISTORY_BYTES))
		history_drop_oldest(s);
	i = (s->history_first + s->history_count++) % SUPERVISOR_HISTORY_MAX;
	s->history[i].text = copy;
	s->history[i].len = len;
	s->history[i].cid = cid;
	s->history_bytes += len;
}

static struct json_object *event_gap(const char *name, uint64_t cid, uint64_t lost,
				     const char *reason)
{
	struct json_object *o = json_object_new_object();
	struct timespec now;
	char text[64], stamp[40];
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, sizeof(text), "%s.%06ldZ", stamp, now.tv_nsec / 1000);
	control_put_int(o, "version", WARDER_EVENT_VERSION);
	control_put_string(o, "type", reason ? "gap" : "lifecycle");
	control_put_string(o, "time", text);
	control_put_string(o, "container", name);
	control_put_u64(o, "cid", cid);
	if (reason) {
		control_put_u64(o, "lost", lost);
		control_put_string(o, "reason", reason);
	}
	return o;
}

/* 0: sent. A reader whose socket is full loses the event and is told later how many. */
static int event_send(struct conn *c, struct json_object *event)
{
	cleanup_json struct json_object *o = json_object_new_object();

	json_object_object_add(o, "event", json_object_get(event));
	return control_send(c->src.fd, o, NULL, 0, MSG_DONTWAIT);
}

static int event_send_lost(struct conn *c)
{
	cleanup_json struct json_object *gap =
		event_gap(NULL, c->filter, c->lost, "this reader was too slow");
	int err = c->lost ? event_send(c, gap) : 0;

	if (!err)
		c->lost = 0;
	return err;
}

/* Takes the object. */
static void event_publish(struct supervisor *s, struct json_object *o, uint64_t cid)
{
	struct conn *next;

	history_add(s, o, cid);
	for (struct conn *c = s->conns; c; c = next) {
		int err;

		next = c->next;
		if (!c->subscriber || (c->filter && c->filter != cid))
			continue;
		err = event_send_lost(c);
		if (!err)
			err = event_send(c, o);
		if (err == -EAGAIN)
			c->lost++;
		else if (err)
			conn_close(s, c);
	}
	json_object_put(o);
}

/* The requester waits: its name is that of the process that asked. */
static void event_comm(pid_t tid, char *ret, size_t size)
{
	char path[32];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/comm", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, ret, size - 1);
	ret[n > 0 ? n - 1 : 0] = '\0'; /* without its newline */
	if (fd >= 0)
		close(fd);
}

void sup_event_record(const struct warder_event_header *h, size_t size, void *arg)
{
	struct supervisor *s = arg;
	struct ctr *c = ctr_find_cid(s, h->cid);

	(void)size;
	if (h->type == WARDER_EVENT_VERDICT || h->type == WARDER_EVENT_LEARN)
		event_publish(s, event_to_json((const struct warder_event *)(const void *)h,
					       c ? c->name : NULL, sup_ctr_image(s, c)), h->cid);
	else if (h->type == WARDER_EVENT_REFUSAL)
		event_publish(s, icept_to_json((const struct warder_icept *)(const void *)h,
					       c ? c->name : NULL, sup_ctr_image(s, c)), h->cid);
	else if (h->type == WARDER_EVENT_CLEARED && c)
		ctr_rings_mend(s, c);
}

/* As the hook would have reported it, had it not let the request pass for C's sake. */
void sup_event_upcall(struct supervisor *s, const struct warder_upcall_record *r,
		      const struct upcall_ask *ask)
{
	union {
		struct warder_event e;
		char room[sizeof(struct warder_event) + 512];
	} ev = { .e = { .v = r->v } };
	struct ctr *c = ctr_find_cid(s, r->cid);
	struct warder_event *e = &ev.e;
	struct timespec now;
	int len;

	if (!c || !r->v.report)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	len = snprintf((char *)(e + 1), sizeof(ev) - sizeof(*e), "%s;%s", ask->type, ask->description);
	if (len >= (int)(sizeof(ev) - sizeof(*e)))
		len = sizeof(ev) - sizeof(*e) - 1;
	e->h = (struct warder_event_header){ .version = WARDER_EVENT_VERSION,
					     .type = WARDER_EVENT_VERDICT,
					     .size = (__u32)(sizeof(*e) + (size_t)len),
					     .time = (__u64)now.tv_sec * 1000000000ull +
						     (__u64)now.tv_nsec,
					     .cid = r->cid, .slot = r->slot, .tgid = r->tgid,
					     .tid = r->tid, .uid = ask->uid };
	event_comm((pid_t)r->tid, e->h.comm, sizeof(e->h.comm));
	e->hook = WARDER_HOOK_KEY_ALLOC;
	e->class_ = WARDER_CLASS_KEYRING;
	e->access = WARDER_KEY_OP_REQUEST;
	e->policy = c->policy;
	e->arg[0] = (__u32)ask->serial;
	e->text_len = (__u32)len;
	event_publish(s, event_to_json(e, c->name, sup_ctr_image(s, c)), c->cid);
}

void sup_event_ring_ready(struct supervisor *s, struct source *src, uint32_t events)
{
	(void)src;
	(void)events;
	events_consume(s->events);
}

/* From the override thread: never waits for the loop. */
void sup_event_outcome(void *arg, const struct override_outcome *outcome)
{
	struct supervisor *s = arg;
	uint64_t one = 1;
	ssize_t n;

	pthread_mutex_lock(&s->lock);
	if (s->outcome_count < SUPERVISOR_OUTCOMES_MAX) {
		s->outcomes[(s->outcome_first + s->outcome_count++) % SUPERVISOR_OUTCOMES_MAX] =
			*outcome;
	} else {
		s->outcomes_dropped++;
	}
	pthread_mutex_unlock(&s->lock);
	/* A full counter still wakes the loop. */
	n = write(s->outcome_source.fd, &one, sizeof(one));
	(void)n;
}

void sup_event_outcomes_ready(struct supervisor *s, struct source *src, uint32_t events)
{
	static struct override_outcome outcome;
	uint64_t count;

	(void)events;
	if (read(src->fd, &count, sizeof(count)) < 0)
		return;
	for (;;) {
		struct ctr *c;

		pthread_mutex_lock(&s->lock);
		if (!s->outcome_count) {
			pthread_mutex_unlock(&s->lock);
			return;
		}
		outcome = s->outcomes[s->outcome_first];
		s->outcome_first = (s->outcome_first + 1) % SUPERVISOR_OUTCOMES_MAX;
		s->outcome_count--;
		pthread_mutex_unlock(&s->lock);
		c = ctr_find_cid(s, outcome.cid);
		event_publish(s, outcome_to_json(&outcome, c ? c->name : NULL, sup_ctr_image(s, c)),
			      outcome.cid);
	}
}

void sup_event_lifecycle(struct supervisor *s, struct ctr *c, const char *what, int status)
{
	struct json_object *o = event_gap(c->name, c->cid, 0, NULL);

	control_put_string(o, "what", what);
	control_put_int(o, "init", c->pid);
	if (c->policy_held)
		control_put_string(o, "policy", sup_policy_name(s, c->policy));
	if (!strcmp(what, "exited"))
		control_put_int(o, "status", status);
	event_publish(s, o, c->cid);
}

/* What the kernel could not hand over since we last looked. */
void sup_event_gaps(struct supervisor *s, struct ctr *c)
{
	struct warder_stats st;
	uint64_t lost;

	if (!s->loader || !c->identity || loader_get_stats(s->loader, c->slot, &st))
		return;
	lost = st.events_dropped - c->stats_seen.events_dropped;
	if (lost)
		event_publish(s, event_gap(c->name, c->cid, lost, "the ring of events was full"),
			      c->cid);
	lost = st.events_suppressed - c->stats_seen.events_suppressed;
	if (lost)
		event_publish(s,
			      event_gap(c->name, c->cid, lost,
					"the container exceeded its budget of events"),
			      c->cid);
	c->stats_seen = st;
}

void sup_event_tick(struct supervisor *s, uint64_t now)
{
	struct ctr *next;

	for (struct conn *c = s->conns, *cn; c; c = cn) {
		cn = c->next;
		if (c->subscriber && c->lost)
			event_send_lost(c);
	}
	if (now < s->gaps_checked + GAP_SECONDS * 1000ull)
		return;
	s->gaps_checked = now;
	for (struct ctr *c = s->ctrs; c; c = next) {
		next = c->next;
		sup_event_gaps(s, c);
		ctr_rings_look(s, c);
	}
}

struct json_object *sup_event_history(struct supervisor *s, uint64_t cid)
{
	struct json_object *a = json_object_new_array();

	if (s->events)
		events_consume(s->events);
	for (size_t k = 0; k < s->history_count; k++) {
		size_t i = (s->history_first + k) % SUPERVISOR_HISTORY_MAX;
		struct json_object *o;

		if (cid && s->history[i].cid != cid)
			continue;
		o = json_tokener_parse(s->history[i].text);
		if (o)
			json_object_array_add(a, o);
	}
	return a;
}

void sup_event_free(struct supervisor *s)
{
	while (s->history_count)
		history_drop_oldest(s);
	free(s->outcomes);
	s->outcomes = NULL;
}
