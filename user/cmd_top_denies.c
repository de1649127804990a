// SPDX-License-Identifier: LGPL-2.1-or-later
/* warder top-denies: what is refused most, by which rule, and what would allow it. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "cleanup.h"
#include "client.h"
#include "commands.h"
#include "policy_tools.h"

static const char usage[] =
	"usage: warder top-denies [--container NAME] [--limit N] [--json]\n"
	"\n"
	"Counts the refusals that the supervisor remembers (of its last 4096 events) by container,\n"
	"operation and rule, the most frequent first, with what would allow each.\n"
	"\n"
	"  -c, --container NAME  only of this container\n"
	"  -n, --limit N         at most N lines (20)\n"
	"      --json            one JSON object a line\n"
	"  -h, --help            this text\n";

#define DENIES_MAX 4096 /* as many as there are events */
#define WHAT_MAX 4200
#define FIX_MAX 4400

struct deny {
	unsigned long count;
	char *container, *what, *error, *where, *fix;
};

struct event {
	char *json;
	struct json_object *o;
	int told; /* a hook's refusal: a call that was refused by it has an event of its own */
};

struct denies {
	struct event *event;
	size_t events;
	struct deny item[DENIES_MAX];
	size_t count;
	unsigned long lost;
	int err;
};

static const char *text_at(struct json_object *o, const char *key, const char *none)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_string) ?
		       json_object_get_string(v) :
		       none;
}

static const char *where_at(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_object) ?
		       text_at(v, "where", NULL) :
		       NULL;
}

static void count(struct denies *d, const char *container, const char *what, const char *error,
		  const char *where, const char *fix)
{
	struct deny *i = d->item;

	for (; i < d->item + d->count; i++)
		if (!strcmp(i->container, container) && !strcmp(i->what, what) &&
		    !strcmp(i->error, error) && !strcmp(i->where, where)) {
			i->count++;
			return;
		}
	if (d->count == DENIES_MAX)
		return;
	*i = (struct deny){ .count = 1, .container = strdup(container), .what = strdup(what),
			    .error = strdup(error), .where = strdup(where), .fix = strdup(fix) };
	if (!i->container || !i->what || !i->error || !i->where || !i->fix) {
		d->err = -ENOMEM;
		return;
	}
	d->count++;
}

/* A hook's refusal: what rule would allow it is what `policy test` and `policy explain` say. */
static void count_verdict(struct denies *d, const char *json, struct json_object *o)
{
	static const struct {
		const char *word;
		__u32 why;
	} whys[] = { { "default", WARDER_WHY_DEFAULT },
		     { "baseline", WARDER_WHY_BASELINE },
		     { "unreachable", WARDER_WHY_UNREACHABLE } };
	cleanup_free char *what = malloc(WHAT_MAX), *fix = malloc(FIX_MAX);
	struct warder_verdict v = { .action = WARDER_DENY, .why = WARDER_WHY_DEFAULT };
	struct policy_event e = { .action = 0 };
	struct warder_error error = { "" };
	const char *reason = NULL;

	if (!what || !fix || strcmp(text_at(o, "action", ""), "deny"))
		return;
	fix[0] = '\0';
	if (policy_event_parse(json, strlen(json), &e, &reason, &error) == 1) {
		request_text(&e.request, what, WHAT_MAX);
		v.access = e.request.access;
		for (size_t i = 0; i < ARRAY_SIZE(whys); i++)
			if (e.why && !strcmp(e.why, whys[i].word))
				v.why = whys[i].why;
		if (e.where)
			snprintf(fix, FIX_MAX, "narrow or remove the deny rule at %s: no allow rule "
					       "outweighs it", e.where);
		else
			request_remedy(NULL, &e.request, &v, fix, FIX_MAX);
		policy_event_done(&e);
	} else {
		snprintf(what, WHAT_MAX, "%s %s", text_at(o, "class", text_at(o, "hook", "?")),
			 text_at(o, "path", ""));
		if (reason)
			snprintf(fix, FIX_MAX, "no rule can: %s", reason);
	}
	count(d, text_at(o, "container", "?"), what, text_at(o, "errno", "?"),
	      where_at(o, "rule") ? where_at(o, "rule") : "", fix);
}

/* A call that the kernel refused and nobody carried out. */
static void count_call(struct denies *d, struct json_object *o)
{
	const char *op = text_at(o, "operation", "?"), *path = text_at(o, "path", NULL);
	const char *near = where_at(o, "near_rule"), *rule = where_at(o, "rule");
	const char *error = text_at(o, "result", text_at(o, "errno", "?"));
	const char *reason = text_at(o, "reason", "");
	__u32 number = call_op_from_word(op);
	cleanup_free char *what = malloc(WHAT_MAX), *fix = malloc(FIX_MAX);

	if (!what || !fix || !strcmp(error, "0"))
		return;
	snprintf(what, WHAT_MAX, "%s%s%s%s%s", op, text_at(o, "fstype", NULL) ? " " : "",
		 text_at(o, "fstype", ""), path ? " " : "", path ? path : "");
	if (near || rule)
		snprintf(fix, FIX_MAX, "%s", reason);
	else if (number && *call_op_performed(number))
		snprintf(fix, FIX_MAX, "under override: add  - on: %s, with its limits and do: perform "
				       "(docs/OVERRIDES.md)", op);
	else
		snprintf(fix, FIX_MAX, "under override: add  - {on: %s, do: fake}, if its effect is not "
				       "needed", op);
	count(d, text_at(o, "container", "?"), what, error, rule ? rule : near ? near : "", fix);
}

static int event_is(const struct event *e, const char *type)
{
	return !strcmp(text_at(e->o, "type", ""), type);
}

static int event_is_call(const struct event *e)
{
	return event_is(e, "override") || event_is(e, "refusal");
}

/* Is the hook's refusal `v` what refused call `c`? A class default is, which an override may have outweighed. */
static int verdict_is_of(const struct event *v, const struct event *c)
{
	static const char *const classes[] = { "mount", "device", "kernel", "namespace", "capability" };
	struct json_object *a, *b;
	const char *class_ = text_at(v->o, "class", "");

	if (v->told || !event_is(v, "verdict") || strcmp(text_at(v->o, "why", ""), "default") ||
	    strcmp(text_at(v->o, "container", ""), text_at(c->o, "container", "")) ||
	    !json_object_object_get_ex(v->o, "tid", &a) || !json_object_object_get_ex(c->o, "tid", &b) ||
	    !json_object_equal(a, b) ||
	    strcmp(text_at(v->o, "time", ""), text_at(c->o, "time", "")) > 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(classes); i++)
		if (!strcmp(class_, classes[i]))
			return 1;
	return 0;
}

/* One call that was refused is one refusal, and one that was carried out is none: they come by different
 * ways, in either order. Of several on one thread it is the last one before the call ended. */
static void events_join(struct denies *d)
{
	for (size_t i = 0; i < d->events; i++) {
		const struct event *call = &d->event[i];
		struct event *last = NULL;

		if (!event_is_call(call) || strcmp(text_at(call->o, "cause", ""), "default"))
			continue;
		for (struct event *v = d->event; v < d->event + d->events; v++)
			if (verdict_is_of(v, call) &&
			    (!last || strcmp(text_at(v->o, "time", ""), text_at(last->o, "time", "")) >= 0))
				last = v;
		if (last)
			last->told = 1;
	}
}

static void events_count(struct denies *d)
{
	uint64_t lost = 0;

	for (struct event *e = d->event; e < d->event + d->events; e++) {
		if (event_is(e, "verdict") && !e->told)
			count_verdict(d, e->json, e->o);
		else if (event_is_call(e))
			count_call(d, e->o);
		else if (event_is(e, "gap") && control_get_u64(e->o, "lost", UINT64_MAX, &lost, NULL) == 1)
			d->lost += lost;
	}
}

static void denies_free(struct denies *d)
{
	for (size_t i = 0; i < d->count; i++) {
		free(d->item[i].container);
		free(d->item[i].what);
		free(d->item[i].error);
		free(d->item[i].where);
		free(d->item[i].fix);
	}
	for (size_t i = 0; i < d->events; i++) {
		free(d->event[i].json);
		json_object_put(d->event[i].o);
	}
	free(d->event);
}

static int on_event(const char *json, void *arg)
{
	struct denies *d = arg;
	struct event *more, e = { .json = strdup(json), .o = json_tokener_parse(json) };

	more = e.json && e.o ? reallocarray(d->event, d->events + 1, sizeof(*more)) : NULL;
	if (!more) {
		free(e.json);
		json_object_put(e.o);
		return -ENOMEM;
	}
	d->event = more;
	d->event[d->events++] = e;
	return 0;
}

static int more_first(const void *a, const void *b)
{
	const struct deny *x = a, *y = b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return strcmp(x->what, y->what);
}

static void print(struct denies *d, size_t limit, int as_json)
{
	qsort(d->item, d->count, sizeof(*d->item), more_first);
	for (size_t k = 0; k < d->count && k < limit; k++) {
		const struct deny *i = &d->item[k];
		cleanup_json struct json_object *o = json_object_new_object();

		if (!as_json) {
			printf("%6lu %s: %s: %s%s%s\n", i->count, i->container, i->what, i->error,
			       *i->where ? ", rule " : "", i->where);
			if (*i->fix)
				printf("       %s\n", i->fix);
			continue;
		}
		control_put_u64(o, "count", i->count);
		control_put_string(o, "container", i->container);
		control_put_string(o, "operation", i->what);
		control_put_string(o, "errno", i->error);
		control_put_string(o, "rule", *i->where ? i->where : NULL);
		control_put_string(o, "remedy", *i->fix ? i->fix : NULL);
		puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
						       JSON_C_TO_STRING_NOSLASHESCAPE));
	}
	if (d->lost)
		fprintf(stderr, "warder: %lu events were lost: these are the least that there were\n",
			d->lost);
}

int cmd_top_denies(int argc, char **argv)
{
	static const struct option longs[] = { { "container", required_argument, NULL, 'c' },
					       { "limit", required_argument, NULL, 'n' },
					       { "json", no_argument, NULL, 'j' },
					       { "help", no_argument, NULL, 'h' },
					       { NULL, 0, NULL, 0 } };
	cleanup_free struct denies *d = calloc(1, sizeof(*d));
	const char *container = NULL;
	struct warder_error e = { "" };
	unsigned long limit = 20;
	struct warder *w = NULL;
	int c, err, json = 0;
	char *end;

	optind = 0;
	while ((c = getopt_long(argc, argv, "c:n:h", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			container = optarg;
			break;
		case 'n':
			limit = strtoul(optarg, &end, 10);
			if (*end || end == optarg || *optarg == '-') {
				error_set(&e, -EINVAL, "--limit: expected a number, found %s", optarg);
				return cmd_fail(&e);
			}
			break;
		case 'j':
			json = 1;
			break;
		case 'h':
			return fputs(usage, stdout) < 0;
		default:
			return EXIT_WARDER;
		}
	}
	if (optind < argc || !d) {
		fputs(usage, stderr);
		return EXIT_WARDER;
	}
	err = client_connect(&w, client_is_pinned() ? WARDER_CONNECT_START : 0, &e);
	if (!err)
		err = warder_events(w, container, 0, on_event, d, e.text, sizeof(e.text));
	warder_close(w);
	if (!err) {
		events_join(d);
		events_count(d);
		err = d->err ? error_set(&e, d->err, "no memory to count with") : 0;
	}
	if (err)
		cmd_fail(&e);
	else
		print(d, limit, json);
	denies_free(d);
	return err ? EXIT_WARDER : 0;
}
