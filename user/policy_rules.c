// SPDX-License-Identifier: LGPL-2.1-or-later
/* Rules on files and programs, and on the classes that are switches: capability, memory,
 * namespace, kernel. */
#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "policy_internal.h"
#include "policy_tools.h"

/* -------------------------------------------------------------- file, exec */

static void read_access(struct parser *ps, struct node *n, void *arg)
{
	uint32_t *mask = arg;
	char buf[SHOWN_SIZE];
	__u32 bit;

	if (node_is(n, "*")) {
		*mask |= WARDER_ACC_FILE_ALL;
		return;
	}
	if (access_from_name(n->text, &bit) || bit == WARDER_ACC_EXEC) {
		parser_error(
			ps, n,
			"file: no access is called %s; known: read, write, append, create, delete, "
			"rename, link, symlink, chmod, chown, truncate, setattr, xattr, mknod, "
			"ioctl, lock, map_exec, watch, \"*\"%s",
			node_shown(n, buf),
			node_is(n, "exec") ? " (execution has a class of its own: exec)" : "");
		return;
	}
	*mask |= bit;
	/* Who may write may append and cut; who may not write may do neither. */
	if (bit == WARDER_ACC_WRITE)
		*mask |= WARDER_ACC_APPEND | WARDER_ACC_TRUNCATE;
}

static const struct key file_keys[] = { { "allow", false },    { "deny", false },  { "path", true },
					{ "errno", false },    { "audit", false }, { "id", false },
					{ "optional", false }, { NULL, false } };

void parse_file_rule(struct parser *ps, struct node *n)
{
	struct rule_head head;
	struct node *path;
	uint32_t index;

	if (!check_keys(ps, n, "file rule", file_keys))
		return;
	path = map_get(n, "path");
	parse_rule_head(ps, n, WARDER_CLASS_FILE, EACCES, &head);
	if (head.what)
		each_scalar(ps, head.what, "file access", read_access, &head.rule.mask);
	if (path && !parser_add_rule(ps, &head.rule, &index))
		parser_add_patterns(ps, path, "path", index, WARDER_START_FILE, 0, NULL);
}

static const struct key exec_keys[] = { { "allow", false },   { "deny", false },
					{ "errno", false },   { "audit", false },
					{ "id", false },      { "optional", false },
					{ "profile", false }, { NULL, false } };

void parse_exec_rule(struct parser *ps, struct node *n)
{
	struct rule_head head;
	struct node *profile;
	uint32_t index;

	if (!check_keys(ps, n, "exec rule", exec_keys))
		return;
	parse_rule_head(ps, n, WARDER_CLASS_EXEC, EACCES, &head);
	profile = map_get(n, "profile");
	if (profile) {
		head.rule.profile_name = parse_id(ps, profile, "profile");
		head.rule.profile_line = profile->line;
		head.rule.profile_column = profile->column;
	}
	if (profile && head.rule.deny)
		parser_error(ps, profile, "profile: only an allow rule leads to one");
	/* What may be executed may be mapped so; and what may not must not be run by way of
	 * the dynamic loader, which maps it. */
	head.rule.mask = WARDER_ACC_EXEC | WARDER_ACC_MAP_EXEC;
	if (head.what && !parser_add_rule(ps, &head.rule, &index))
		parser_add_patterns(ps, head.what, "exec", index, WARDER_START_FILE, 0, NULL);
}

/* ---------------------------------------------------------------- switches */

static const struct key switch_keys[] = { { "allow", false }, { "deny", false },
					  { "errno", false }, { "audit", false },
					  { "id", false },    { "optional", false },
					  { NULL, false } };

static void read_capability(struct parser *ps, struct node *n, void *arg)
{
	uint64_t *caps = arg;
	char buf[SHOWN_SIZE];
	int cap;

	if (node_is(n, "*")) {
		*caps = ~0ull;
		return;
	}
	cap = capability_from_name(n->text);
	if (cap < 0) {
		parser_error(ps, n, "capability: none is called %s (net_admin, sys_ptrace, ...)",
			     node_shown(n, buf));
		return;
	}
	*caps |= 1ull << cap;
}

void parse_capability_rule(struct parser *ps, struct node *n)
{
	struct rule_head head;
	uint32_t index;

	if (!check_keys(ps, n, "capability rule", switch_keys))
		return;
	parse_rule_head(ps, n, WARDER_CLASS_CAPABILITY, EPERM, &head);
	if (head.what)
		each_scalar(ps, head.what, "capability", read_capability, &head.rule.bits);
	parser_add_rule(ps, &head.rule, &index);
}

void parse_namespace_rule(struct parser *ps, struct node *n)
{
	struct rule_head head;
	uint32_t index;

	if (!check_keys(ps, n, "namespace rule", switch_keys))
		return;
	parse_rule_head(ps, n, WARDER_CLASS_NAMESPACE, EPERM, &head);
	if (head.what)
		head.rule.bits = parse_words(ps, head.what, WARDER_CLASS_NAMESPACE,
					     (1u << WARDER_NS__MAX) - 1);
	parser_add_rule(ps, &head.rule, &index);
}

/* A rule opens what is baseline only together with `unsafe`: nobody does it by mistake. */
static void check_unsafe_surfaces(struct parser *ps, struct node *what, uint64_t *bits)
{
	uint64_t closed = kernel_closed(ps->p->unsafe);
	uint64_t explicit_ = *bits & closed;
	char list[128];
	bool star = node_is(what, "*");

	for (size_t i = 0; what->type == NODE_SEQ && i < what->count; i++)
		star |= node_is(what->item[i], "*");
	/* "*" is all that can be had. */
	*bits &= ~closed;
	if (explicit_ && !star)
		parser_error(ps, what,
			     "kernel: %s is closed to every container, whatever its rules: add "
			     "unsafe: [%s] to the policy if that is really meant",
			     policy_words(WARDER_CLASS_KERNEL, explicit_, ", ", list,
					  sizeof(list)),
			     list);
}

void parse_kernel_rule(struct parser *ps, struct node *n)
{
	struct rule_head head;
	uint32_t index;

	if (!check_keys(ps, n, "kernel rule", switch_keys))
		return;
	parse_rule_head(ps, n, WARDER_CLASS_KERNEL, EPERM, &head);
	if (head.what)
		head.rule.bits = parse_words(ps, head.what, WARDER_CLASS_KERNEL,
					     (1u << WARDER_SURFACE__MAX) - 1);
	if (head.what && !head.rule.deny)
		check_unsafe_surfaces(ps, head.what, &head.rule.bits);
	parser_add_rule(ps, &head.rule, &index);
}

/* ------------------------------------------------------------------ memory */

static const struct key memory_keys[] = {
	{ "fileless_exec", false }, { "write_exec", false }, { "anonymous_exec", false },
	{ "shm_exec", false },	    { "errno", false },	     { "audit", false },
	{ "id", false },	    { "optional", false },   { NULL, false }
};

/* One rule of what is allowed and one of what is denied, each where its first word stands. */
void parse_memory(struct parser *ps, struct node *n)
{
	static const char *const words[] = { "allow", "deny", NULL };
	struct policy_rule rule[2] = { 0 };
	struct node *err, *v;
	bool audit = false;
	uint8_t number = EACCES;
	const char *id = NULL;
	uint32_t index;
	__u64 bit;

	if (!check_keys(ps, n, "memory", memory_keys))
		return;
	node_optional(ps, n);
	for (size_t i = 0; i + 1 < n->count; i += 2) {
		const struct node *k = n->item[i];
		int word;

		if (policy_word_bits(WARDER_CLASS_MEMORY, k->text, &bit))
			continue;
		word = expect_word(ps, n->item[i + 1], k->text, words);
		if (word < 0)
			continue;
		if (!rule[word].bits) {
			rule[word].line = k->line;
			rule[word].column = k->column;
		}
		rule[word].bits |= bit;
	}
	err = map_get(n, "errno");
	if (err && !rule[1].bits)
		parser_error(ps, err, "errno: only a deny has one");
	else if (err)
		parse_errno(ps, err, &number);
	v = map_get(n, "audit");
	if (v)
		expect_bool(ps, v, "audit", &audit);
	v = map_get(n, "id");
	if (v)
		id = parse_id(ps, v, "id");
	for (int deny = 1; deny >= 0; deny--) {
		struct policy_rule *r = &rule[deny];

		if (!r->bits)
			continue;
		r->file = ps->file;
		r->class_ = WARDER_CLASS_MEMORY;
		r->included = ps->included;
		r->deny = (uint8_t)deny;
		r->err = deny ? number : 0;
		r->audit = audit;
		/* An id names one rule: the denying one, if there is one. */
		r->id = deny || !rule[1].bits ? id : NULL;
		parser_add_rule(ps, r, &index);
	}
}
