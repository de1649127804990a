// SPDX-License-Identifier: LGPL-2.1-or-later
/* Rules on device nodes, and on acts upon other tasks: ptrace, signal, ipc. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy_internal.h"
#include "warder_decide.h"

/* ------------------------------------------------------------------ device */

#define MAJOR_MAX 4095	  /* 12 bits, see MKDEV */
#define MINOR_MAX 1048575 /* 20 bits */

struct nodes {
	struct warder_device_rule rule[WARDER_DEVICE_RULES_MAX];
	size_t count;
	bool memory_error; /* allow rule: memory devices need `unsafe` */
};

/* A number up to max, or "*". */
static bool parse_device_number(const char **text, uint64_t max, __u32 *ret)
{
	uint64_t v;

	if (**text == '*') {
		(*text)++;
		*ret = WARDER_DEVICE_ANY;
		return true;
	}
	if (!parse_digits(*text, text, &v) || v > max)
		return false;
	*ret = (__u32)v;
	return true;
}

bool parse_device(const char *text, struct warder_device_rule *ret)
{
	if (!strcmp(text, "*")) {
		ret->type = 0;
		ret->major = ret->minor = WARDER_DEVICE_ANY;
		return true;
	}
	if (!strchr("cb*", text[0]) || text[1] != ' ')
		return false;
	ret->type = text[0] == 'c' ? WARDER_DEVICE_CHAR : text[0] == 'b' ? WARDER_DEVICE_BLOCK : 0;
	text += 2;
	if (!parse_device_number(&text, MAJOR_MAX, &ret->major) || *text++ != ':')
		return false;
	return parse_device_number(&text, MINOR_MAX, &ret->minor) && !*text;
}

static void read_node(struct parser *ps, struct node *n, void *arg)
{
	struct nodes *t = arg;
	struct warder_device_rule *d = &t->rule[t->count];
	char buf[SHOWN_SIZE];

	if (t->count == WARDER_DEVICE_RULES_MAX)
		parser_error(ps, n, "node: more than %d in one rule", WARDER_DEVICE_RULES_MAX);
	else if (!parse_device(n->text, d))
		parser_error(ps, n,
			     "node: expected type and numbers like \"c 1:3\", \"b 8:*\" or \"*\", "
			     "found %s",
			     node_shown(n, buf));
	else if (t->memory_error && warder_baseline_device(d->type, d->major, d->minor))
		parser_error(ps, n,
			     "node: %s is all of memory or every register of the CPU, closed to "
			     "every container: add unsafe: [memory_devices] to the policy if that "
			     "is really meant",
			     node_shown(n, buf));
	else
		t->count++;
}

static const struct key device_keys[] = { { "allow", false },	 { "deny", false },
					  { "node", true },	 { "errno", false },
					  { "audit", false },	 { "id", false },
					  { "optional", false }, { NULL, false } };

void parse_device_rule(struct parser *ps, struct node *n)
{
	struct policy *p = ps->p;
	struct nodes nodes = { .count = 0 };
	struct rule_head head;
	struct node *node;
	uint32_t index, ops = 0;

	if (!check_keys(ps, n, "device rule", device_keys))
		return;
	parse_rule_head(ps, n, WARDER_CLASS_DEVICE, EPERM, &head);
	if (head.what)
		ops = (uint32_t)parse_words(ps, head.what, WARDER_CLASS_DEVICE,
					    (1u << WARDER_DEV_BITS) - 1);
	nodes.memory_error = !head.rule.deny && !(p->unsafe & WARDER_UNSAFE_MEMORY_DEVICES);
	node = map_get(n, "node");
	if (node)
		each_scalar(ps, node, "node", read_node, &nodes);
	if (parser_add_rule(ps, &head.rule, &index))
		return;
	if (p->devices + nodes.count > WARDER_DEVICE_RULES_MAX) {
		parser_error(ps, n, "device: more than %d nodes in all rules",
			     WARDER_DEVICE_RULES_MAX);
		return;
	}
	for (size_t i = 0; ops && i < nodes.count; i++) {
		struct warder_device_rule d = nodes.rule[i];

		d.ops = ops;
		d.rule = (__u16)(index + 1);
		d.deny = head.rule.deny;
		d.err = head.rule.err;
		d.audit = head.rule.audit;
		p->device[p->devices++] = d;
	}
}

/* ------------------------------------------------------------------- peers */

static bool parse_peer(struct parser *ps, const struct node *n, struct warder_peer_rule *ret)
{
	static const char *const words[] = { "same", "container", "host" };
	static const char *const prefixes[] = { "policy:", "container:" };
	char buf[SHOWN_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (node_is(n, words[i])) {
			ret->peer = WARDER_PEER_SAME + (__u32)i;
			return true;
		}
	for (size_t i = 0; n->type == NODE_SCALAR && i < ARRAY_SIZE(prefixes); i++) {
		size_t len = strlen(prefixes[i]);
		struct node name = *n;

		if (strncmp(n->text, prefixes[i], len))
			continue;
		name.text += len;
		name.len -= len;
		name.column += (unsigned)len;
		name.plain = false; /* a name made of digits is a name */
		if (!parse_id(ps, &name, "peer"))
			return false;
		ret->peer = WARDER_PEER_POLICY + (__u32)i;
		memcpy(ret->name, name.text, name.len);
		return true;
	}
	parser_error(ps, n,
		     "peer: expected same, container, host, policy:NAME or container:NAME, found "
		     "%s",
		     node_shown(n, buf));
	return false;
}

static const struct key peer_keys[] = { { "allow", false },    { "deny", false },
					{ "peer", false },     { "errno", false },
					{ "audit", false },    { "id", false },
					{ "optional", false }, { NULL, false } };

static void parse_peer_rule(struct parser *ps, struct node *n, uint8_t class_, int err,
			    uint64_t all, uint64_t unsafe, const char *unsafe_word)
{
	struct policy *p = ps->p;
	struct warder_peer_rule e = { .class_ = class_ };
	struct rule_head head;
	struct node *peer;
	char what[32];
	uint32_t index;

	snprintf(what, sizeof(what), "%s rule", class_name(class_));
	if (!check_keys(ps, n, what, peer_keys))
		return;
	parse_rule_head(ps, n, class_, err, &head);
	if (head.what)
		e.ops = parse_words(ps, head.what, class_, all);
	peer = map_get(n, "peer");
	if (peer && parse_peer(ps, peer, &e) && e.peer == WARDER_PEER_HOST && !head.rule.deny &&
	    unsafe_word && !(p->unsafe & unsafe))
		parser_error(ps, peer,
			     "peer: processes of the host are closed to every container: add "
			     "unsafe: [%s] to the policy if that is really meant",
			     unsafe_word);
	if (class_ == WARDER_CLASS_IPC && (e.ops & WARDER_IPC_SYSV) && head.rule.deny &&
	    head.rule.err != EACCES)
		parser_error(ps, map_get(n, "errno"),
			     "errno: of SysV objects the kernel says EACCES whatever a policy says: "
			     "leave it out here; unix, mq and fd can have a rule with another");
	if (parser_add_rule(ps, &head.rule, &index))
		return;
	if (p->peers == WARDER_PEER_RULES_MAX) {
		parser_error(ps, n, "%s: more than %d rules of ptrace, signal and ipc together",
			     class_name(class_), WARDER_PEER_RULES_MAX);
		return;
	}
	e.rule = (__u16)(index + 1);
	e.deny = head.rule.deny;
	e.err = head.rule.err;
	e.audit = head.rule.audit;
	if (e.ops)
		p->peer[p->peers++] = e;
}

void parse_ptrace_rule(struct parser *ps, struct node *n)
{
	parse_peer_rule(ps, n, WARDER_CLASS_PTRACE, EPERM, WARDER_PTRACE_ALL,
			WARDER_UNSAFE_HOST_PTRACE, "host_ptrace");
}

void parse_signal_rule(struct parser *ps, struct node *n)
{
	parse_peer_rule(ps, n, WARDER_CLASS_SIGNAL, EPERM, WARDER_SIGNAL_ALL,
			WARDER_UNSAFE_HOST_SIGNAL, "host_signal");
}

void parse_ipc_rule(struct parser *ps, struct node *n)
{
	parse_peer_rule(ps, n, WARDER_CLASS_IPC, EACCES, WARDER_IPC_ALL, 0, NULL);
}
