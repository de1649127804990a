// SPDX-License-Identifier: LGPL-2.1-or-later
/* An event's JSON object as one line for people. It may come from a socket or a file: every
 * member may be missing or of another type, and nothing of it is trusted to be printable. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "events.h"

struct line {
	char *buf;
	size_t size, used;
};

static void line_add(struct line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void line_add(struct line *l, const char *format, ...)
{
	va_list args;
	int n;

	if (l->used + 1 >= l->size)
		return;
	va_start(args, format);
	n = vsnprintf(l->buf + l->used, l->size - l->used, format, args);
	va_end(args);
	if (n > 0)
		l->used = l->used + (size_t)n < l->size ? l->used + (size_t)n : l->size - 1;
}

static const char *text_of(struct json_object *o, const char *key, const char *otherwise)
{
	struct json_object *v;

	if (!json_object_object_get_ex(o, key, &v) || !json_object_is_type(v, json_type_string))
		return otherwise;
	return json_object_get_string(v);
}

static long long number_of(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_int) ?
		       (long long)json_object_get_int64(v) :
		       0;
}

static int true_of(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) &&
	       json_object_is_type(v, json_type_boolean) && json_object_get_boolean(v);
}

static void add_list(struct line *l, struct json_object *o, const char *key, const char *separator)
{
	struct json_object *a;

	if (!json_object_object_get_ex(o, key, &a) || !json_object_is_type(a, json_type_array))
		return;
	for (size_t i = 0; i < json_object_array_length(a); i++) {
		struct json_object *e = json_object_array_get_idx(a, i);

		line_add(l, "%s%s", i ? separator : "",
			 json_object_is_type(e, json_type_string) ? json_object_get_string(e) : "?");
	}
}

static int has_rule(struct json_object *o, const char *key, const char **where, const char **id,
		    long long *number)
{
	struct json_object *rule;

	if (!json_object_object_get_ex(o, key, &rule) ||
	    !json_object_is_type(rule, json_type_object))
		return 0;
	*where = text_of(rule, "where", NULL);
	*id = text_of(rule, "id", NULL);
	*number = number_of(rule, "number");
	return 1;
}

static void add_rule(struct line *l, struct json_object *o, const char *key, const char *before)
{
	const char *where, *id;
	long long number;

	if (!has_rule(o, key, &where, &id, &number))
		return;
	line_add(l, "%s", before);
	if (where)
		line_add(l, "%s", where);
	else
		line_add(l, "rule %lld", number);
	if (id)
		line_add(l, " (%s)", id);
}

/* Which text decided. */
static void add_policy(struct line *l, struct json_object *o)
{
	if (!text_of(o, "policy", NULL))
		return;
	line_add(l, " [policy %s", text_of(o, "policy", ""));
	if (text_of(o, "profile", NULL))
		line_add(l, ", profile %s", text_of(o, "profile", ""));
	line_add(l, "]");
}

/* "tcp 10.0.0.1:5432", "udp [fd00::1]:53", "netlink" */
static void add_network(struct line *l, struct json_object *o)
{
	const char *address = text_of(o, "address", NULL);

	line_add(l, " %s", text_of(o, "protocol", text_of(o, "family", "?")));
	if (!address)
		return;
	if (!json_object_object_get_ex(o, "port", NULL))
		line_add(l, " %s", address);
	else
		line_add(l, strchr(address, ':') ? " [%s]:%lld" : " %s:%lld", address,
			 number_of(o, "port"));
}

static void render_verdict(struct line *l, struct json_object *o)
{
	const char *class_ = text_of(o, "class", "?"), *action = text_of(o, "action", "?");
	const char *why = text_of(o, "why", "?"), *path = text_of(o, "path", NULL);
	const char *detail = text_of(o, "detail", NULL);

	if (!strcmp(class_, "capability")) {
		line_add(l, "capability %s", text_of(o, "capability", "?"));
		if (number_of(o, "userns"))
			line_add(l, " in user namespace %lld", number_of(o, "userns"));
	} else if (!strcmp(class_, "signal")) {
		line_add(l, "signal %lld to process %lld", number_of(o, "signal"),
			 number_of(o, "peer_pid"));
	} else if (!strcmp(class_, "ptrace")) {
		line_add(l, "ptrace access to process %lld", number_of(o, "peer_pid"));
	} else if (!strcmp(class_, "keyring")) {
		line_add(l, "key");
		if (number_of(o, "key"))
			line_add(l, " %lld", number_of(o, "key"));
		if (text_of(o, "right", NULL))
			line_add(l, " %s", text_of(o, "right", ""));
		if (text_of(o, "operation", NULL))
			line_add(l, " by %s", text_of(o, "operation", ""));
		if (number_of(o, "limit"))
			line_add(l, ", limit %lld,", number_of(o, "limit"));
	} else {
		line_add(l, "%s ", class_);
		add_list(l, o, "access", "+");
		if (!strcmp(class_, "network"))
			add_network(l, o);
	}
	if (text_of(o, "node", NULL))
		line_add(l, " %s", text_of(o, "node", ""));
	if (path)
		line_add(l, " %s", path);
	if (detail)
		line_add(l, " (%s)", detail);
	if (!strcmp(action, "deny"))
		line_add(l, ": denied, %s", text_of(o, "errno", "?"));
	else if (!strcmp(action, "audit"))
		line_add(l, ": would be denied, %s (audit mode)", text_of(o, "errno", "?"));
	else
		line_add(l, ": allowed");
	if (!strcmp(why, "rule"))
		add_rule(l, o, "rule", ", by rule ");
	else if (!strcmp(why, "default"))
		line_add(l, ", by the default of class %s", class_);
	else if (!strcmp(why, "baseline"))
		line_add(l, ", by the baseline, which no policy turns off");
	else if (!strcmp(why, "unreachable"))
		line_add(l, ", unreachable: the object has no name in this container");
	else if (!strcmp(why, "fault"))
		line_add(l, ", fault %s inside warder", text_of(o, "fault", "?"));
	if (json_object_object_get_ex(o, "signature", NULL))
		line_add(l, ", which wants a signature");
	if (text_of(o, "transition", NULL))
		line_add(l, true_of(o, "traced") ?
				    ", but not to profile %s: the task is traced" :
				    ", to profile %s", text_of(o, "transition", ""));
	add_policy(l, o);
}

static void render_refusal(struct line *l, struct json_object *o, int outcome)
{
	const char *cause = text_of(o, "cause", "none"), *reason = text_of(o, "reason", NULL);

	if (text_of(o, "call", NULL)) {
		line_add(l, "%s", text_of(o, "call", "?"));
	} else {
		line_add(l, "%s", text_of(o, "operation", "?"));
		if (text_of(o, "fstype", NULL))
			line_add(l, " %s", text_of(o, "fstype", ""));
		if (text_of(o, "source", NULL))
			line_add(l, " %s", text_of(o, "source", ""));
		if (text_of(o, "path", NULL))
			line_add(l, " on %s", text_of(o, "path", ""));
	}
	line_add(l, ": refused with %s", text_of(o, "errno", "?"));
	if (!strcmp(cause, "capability"))
		line_add(l, ", %s is missing in user namespace %lld", text_of(o, "capability", "?"),
			 number_of(o, "userns"));
	else if (!strcmp(cause, "default"))
		line_add(l, ", by the policy's default");
	else if (!strcmp(cause, "baseline"))
		line_add(l, ", by the baseline");
	else if (strcmp(cause, "rule"))
		line_add(l, ", not for a missing capability and not by this policy");
	add_rule(l, o, "refused_by", ", by rule ");
	if (strcmp(cause, "capability") && text_of(o, "capability", NULL))
		line_add(l, " (%s is missing in user namespace %lld, too)",
			 text_of(o, "capability", "?"), number_of(o, "userns"));
	if (outcome) {
		if (true_of(o, "undone"))
			line_add(l, "; was performed and taken back");
		else if (true_of(o, "performed"))
			line_add(l, "; performed by the supervisor");
		if (strcmp(text_of(o, "result", "?"), text_of(o, "errno", "")))
			line_add(l, ", the program saw %s",
				 strcmp(text_of(o, "result", "?"), "0") ? text_of(o, "result", "?") :
									  "success");
		/* A reason names the rule that it speaks of. */
		if (!reason) {
			add_rule(l, o, "rule", "; by override rule ");
			add_rule(l, o, "near_rule", "; the nearest override rule is ");
		}
	}
	if (reason)
		line_add(l, "; %s", reason);
	else if (text_of(o, "unasked", NULL))
		line_add(l, "; not overridden: %s", text_of(o, "unasked", ""));
}

static void render_lifecycle(struct line *l, struct json_object *o)
{
	const char *what = text_of(o, "what", "?");

	line_add(l, "container %s", what);
	if (!strcmp(what, "exited"))
		line_add(l, " with status %lld", number_of(o, "status"));
	else if (number_of(o, "init"))
		line_add(l, ", first process %lld", number_of(o, "init"));
	if (text_of(o, "policy", NULL))
		line_add(l, " [policy %s]", text_of(o, "policy", ""));
}

/* A file name can hold terminal sequences; the line stays one line and harmless. */
static void line_clean(char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
	}
}

const char *event_render(struct json_object *o, char *buf, size_t size)
{
	struct line l = { .buf = buf, .size = size };
	const char *type = text_of(o, "type", "?");

	if (!size)
		return buf;
	buf[0] = '\0';
	line_add(&l, "%s %s", text_of(o, "time", "-"), text_of(o, "container", "?"));
	if (number_of(o, "pid"))
		line_add(&l, " %s(%lld)", text_of(o, "program", "?"), number_of(o, "pid"));
	line_add(&l, ": ");
	if (!strcmp(type, "learn"))
		line_add(&l, "learned: ");
	if (!strcmp(type, "verdict") || !strcmp(type, "learn"))
		render_verdict(&l, o);
	else if (!strcmp(type, "override"))
		render_refusal(&l, o, 1);
	else if (!strcmp(type, "refusal"))
		render_refusal(&l, o, 0);
	else if (!strcmp(type, "lifecycle"))
		render_lifecycle(&l, o);
	else if (!strcmp(type, "gap"))
		line_add(&l, "%lld events were lost: %s", number_of(o, "lost"),
			 text_of(o, "reason", "?"));
	else
		line_add(&l, "event of unknown type %s", type);
	line_clean(buf);
	return buf;
}
