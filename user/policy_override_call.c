// SPDX-License-Identifier: LGPL-2.1-or-later
/* Override rules: the values of calls that are no mounts, as device nodes and priorities. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "cleanup.h"
#include "policy_internal.h"
#include "warder_decide.h"

#define XATTR_NAME_MAX_ 255
#define XATTR_VALUE_MAX 64
#define REALTIME_MAX 99
#define OP(name) (1ull << WARDER_OP_##name)
#define OPS_SCHED (OP(SCHED_SETSCHEDULER) | OP(SETPRIORITY))

static struct warder_option *option_new(struct parser *ps, const struct node *at,
					struct policy_override *o, const char *name, __u32 compare)
{
	struct warder_option *op = &o->o.option[o->o.options];

	if (o->o.options == WARDER_OPTIONS_MAX) {
		parser_error(ps, at, "%s: more than %d in one rule", name, WARDER_OPTIONS_MAX);
		return NULL;
	}
	strcpy(op->name, name);
	op->compare = compare;
	o->o.options++;
	return op;
}

static void read_node(struct parser *ps, struct node *n, void *arg)
{
	struct warder_device_rule d = { 0 };
	struct warder_option *op;
	char buf[SHOWN_SIZE];

	if (!parse_device(n->text, &d) || !d.type || d.major == WARDER_DEVICE_ANY ||
	    d.minor == WARDER_DEVICE_ANY) {
		parser_error(ps, n,
			     "node: expected type and numbers of one device like \"c 1:3\", found %s",
			     node_shown(n, buf));
		return;
	}
	if (warder_baseline_device(d.type, d.major, d.minor)) {
		parser_error(ps, n, "node: %s is all of memory or every register of the CPU: it is "
				    "made for no container", node_shown(n, buf));
		return;
	}
	op = option_new(ps, n, arg, WARDER_OPTION_NODE, WARDER_CMP_EQ);
	if (op)
		op->bound = WARDER_DEVICE_KEY(d.type, d.major, d.minor);
}

/* NAME=VALUE; nothing given means what overlay needs of root in a container. */
static void parse_attribute(struct parser *ps, const struct node *n, struct policy_override *o)
{
	const struct node *name = map_get(n, "name"), *value = map_get(n, "value");
	const char *name_text = "trusted.overlay.opaque", *value_text = "y";
	struct warder_option *op;
	char buf[SHOWN_SIZE];

	if (!name != !value) {
		parser_error(ps, name ? name : value,
			     "%s: an attribute is listed by name and value, both", name ? "name" : "value");
		return;
	}
	if (name) {
		name_text = expect_string(ps, name, "name");
		if (value->type == NODE_SCALAR)
			value_text = value->text;
		else
			value_text = expect_string(ps, value, "value");
	}
	if (!name_text || !value_text)
		return;
	if (strncmp(name_text, "trusted.", 8) || !name_text[8] || strchr(name_text, '=') ||
	    strlen(name_text) > XATTR_NAME_MAX_) {
		parser_error(ps, name,
			     "name: expected a trusted attribute like trusted.overlay.opaque, found %s",
			     node_shown(name, buf));
		return;
	}
	if (strlen(value_text) > XATTR_VALUE_MAX) {
		parser_error(ps, value, "value: expected at most %d bytes", XATTR_VALUE_MAX);
		return;
	}
	op = option_new(ps, n, o, WARDER_OPTION_XATTR, WARDER_CMP_EQ);
	if (!op)
		return;
	o->option_text[op - o->o.option] =
		arena_printf(&ps->p->arena, "%s=%s", name_text, value_text);
	if (!o->option_text[op - o->o.option])
		ps->fatal = -ENOMEM;
}

/* "<=10" or ">=-5". */
static bool parse_bound(struct parser *ps, const struct node *n, const char *what, const char *sign,
			long min, long max, long *ret)
{
	char buf[SHOWN_SIZE], *end;

	if (n->type == NODE_SCALAR && n->len > 2 && !strncmp(n->text, sign, 2)) {
		const char *text = n->text + 2 + strspn(n->text + 2, " ");

		*ret = strtol(text, &end, 10);
		if ((text[0] == '-' || (text[0] >= '0' && text[0] <= '9')) && !*end && *ret >= min &&
		    *ret <= max)
			return true;
	}
	parser_error(ps, n, "%s: expected \"%sN\" with N from %ld to %ld, found %s", what, sign, min,
		     max, node_shown(n, buf));
	return false;
}

static const struct key priority_keys[] = {
	{ "realtime", false }, { "nice", false }, { NULL, false }
};

static void parse_priority(struct parser *ps, const struct node *n, struct policy_override *o)
{
	const struct node *realtime, *nice;
	struct warder_option *op;
	long bound;

	if (!check_keys(ps, n, "priority", priority_keys))
		return;
	realtime = map_get(n, "realtime");
	nice = map_get(n, "nice");
	if (!realtime && !nice)
		parser_error(ps, n, "priority: realtime: \"<=N\" or nice: \">=N\", please");
	if (realtime && parse_bound(ps, realtime, "priority.realtime", "<=", 1, REALTIME_MAX, &bound)) {
		op = option_new(ps, realtime, o, WARDER_OPTION_REALTIME, WARDER_CMP_LE);
		if (op)
			op->bound = (__u64)bound;
	}
	if (nice && parse_bound(ps, nice, "priority.nice", ">=", -20, 19, &bound)) {
		op = option_new(ps, nice, o, WARDER_OPTION_NICE, WARDER_CMP_GE);
		if (op)
			op->bound = (__u64)(__s64)bound;
	}
}

/* A key that only rules on those calls, and on no others, have. */
static struct node *key_of(struct parser *ps, const struct node *n, const char *key, uint64_t ops,
			   uint64_t of, const char *calls)
{
	struct node *v = map_get(n, key);

	if (v && (ops & ~of)) {
		parser_error(ps, v, "%s: only rules on %s have it", key, calls);
		return NULL;
	}
	return v;
}

void parse_override_values(struct parser *ps, struct node *n, uint64_t ops, struct policy_override *o)
{
	struct node *node = key_of(ps, n, "node", ops, OP(MKNOD), "mknod");
	struct node *name = key_of(ps, n, "name", ops, OP(SETXATTR), "setxattr");
	struct node *priority = key_of(ps, n, "priority", ops, OPS_SCHED,
				       "sched_setscheduler and setpriority");
	bool perform = o->o.do_ == WARDER_DO_PERFORM;

	if (node)
		each_scalar(ps, node, "node", read_node, o);
	if (priority)
		parse_priority(ps, priority, o);
	if (name && o->o.do_ == WARDER_DO_FAKE)
		parser_error(ps, name, "name: do: fake answers for every attribute alike");
	else if (name || ((perform || o->o.do_ == WARDER_DO_HANDLER) && ops == OP(SETXATTR)))
		parse_attribute(ps, n, o);
	if (perform && (ops & OP(MKNOD)) && !map_get(n, "node"))
		parser_error(ps, n, "override: performing mknod needs node: the devices to make");
	if (perform && (ops & OPS_SCHED) && !map_get(n, "priority"))
		parser_error(ps, n, "override: setting a priority needs priority: its bounds");
	if (perform && (ops & OP(UMOUNT)) && !map_get(n, "target"))
		parser_error(ps, n, "override: performing umount needs target: what may be unmounted");
	if (perform && (ops & (ops - 1)) && (ops & (OP(MKNOD) | OP(SETXATTR) | OP(UMOUNT))))
		parser_error(ps, n, "on: performing mknod, setxattr and umount needs a rule for each");
}
