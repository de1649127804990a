// SPDX-License-Identifier: LGPL-2.1-or-later
/* What a policy says of keys: quotas, and who answers the kernel's requests for keys. */
#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "policy_internal.h"
#include "warder_decide.h"

/* ------------------------------------------------------------------ upcalls */

#define DEADLINE_MIN_MS 100

static const struct key upcall_keys[] = { { "type", true },	 { "to", true },
					  { "by", false },	 { "audit", false },
					  { "id", false },	 { "optional", false },
					  { "else", false },	 { "deadline", false },
					  { NULL, false } };

/* A type's name, or "*" as no name. */
static bool parse_type(struct parser *ps, const struct node *n, char ret[WARDER_UPCALL_TYPE_SIZE])
{
	const char *type = expect_string(ps, n, "upcalls: type");
	char buf[SHOWN_SIZE];

	if (!type)
		return false;
	if (!strcmp(type, "*"))
		return true;
	if (!*type || *type == '.' || strlen(type) >= WARDER_UPCALL_TYPE_SIZE ||
	    strpbrk(type, "*?[]{};/ ")) {
		parser_error(ps, n, "upcalls: type: expected a key type of at most %d characters, "
				    "or \"*\", found %s", WARDER_UPCALL_TYPE_SIZE - 1,
			     node_shown(n, buf));
		return false;
	}
	memcpy(ret, type, strlen(type));
	return true;
}

/* An exact type goes before "*"; of two of a kind the first in the text. */
static void insert_upcall(struct parser *ps, const struct node *n, const struct warder_upcall *u)
{
	struct policy *p = ps->p;
	size_t at = p->upcalls;

	for (size_t i = 0; i < p->upcalls; i++) {
		const struct warder_upcall *v = &p->upcall[i];

		if (!memcmp(v->type, u->type, sizeof(v->type)) && (v->by & u->by) == u->by) {
			parser_error(ps, n, "upcalls: the rule at line %u decides all of this one's",
				     p->rule[v->rule].line);
			return;
		}
	}
	if (p->upcalls == WARDER_UPCALLS_MAX) {
		parser_error(ps, n, "upcalls: more than %d", WARDER_UPCALLS_MAX);
		return;
	}
	while (u->type[0] && at && !p->upcall[at - 1].type[0]) {
		p->upcall[at] = p->upcall[at - 1];
		at--;
	}
	p->upcall[at] = *u;
	p->upcalls++;
}

static void parse_upcall(struct parser *ps, struct node *n)
{
	static const char *const tos[] = { "deny", "host", "queue", NULL };
	static const char *const bys[] = { "any", "program", "kernel", NULL };
	static const char *const elses[] = { "deny", "host", NULL };
	struct policy_rule rule = { .file = ps->file, .line = n->line, .column = n->column,
				    .class_ = WARDER_CLASS_KEYRING };
	struct warder_upcall u = { .by = WARDER_UPCALL_BY_PROGRAM | WARDER_UPCALL_BY_KERNEL };
	struct node *type, *to, *v;
	bool audit = false;
	uint64_t ms;
	uint32_t index;
	int word = -1;

	if (!check_keys(ps, n, "upcall", upcall_keys))
		return;
	node_optional(ps, n);
	type = map_get(n, "type");
	to = map_get(n, "to");
	if (!type || !to || !parse_type(ps, type, u.type))
		return;
	word = expect_word(ps, to, "upcalls: to", tos);
	if (word < 0)
		return;
	u.to = (uint8_t)word;
	v = map_get(n, "else");
	if (v) {
		int other = expect_word(ps, v, "upcalls: else", elses);

		if (other < 0)
			return;
		if (u.to != WARDER_UPCALL_QUEUE) {
			parser_error(ps, v, "upcalls: else: only a queue can be without anybody who "
					    "serves it");
			return;
		}
		u.otherwise = (uint8_t)other;
	}
	v = map_get(n, "deadline");
	if (v && u.to != WARDER_UPCALL_QUEUE) {
		parser_error(ps, v, "upcalls: deadline: only a queue has one");
		return;
	}
	if (v && expect_duration(ps, v, "upcalls: deadline", WARDER_UPCALL_DEADLINE_MAX, &ms)) {
		if (ms < DEADLINE_MIN_MS)
			parser_error(ps, v, "upcalls: deadline: at least %d ms", DEADLINE_MIN_MS);
		u.deadline = (uint16_t)ms;
	}
	v = map_get(n, "by");
	if (v) {
		int by = expect_word(ps, v, "upcalls: by", bys);

		if (by < 0)
			return;
		if (by)
			u.by = by == 1 ? WARDER_UPCALL_BY_PROGRAM : WARDER_UPCALL_BY_KERNEL;
		if (by == 1 &&
		    (word == WARDER_UPCALL_HOST || u.otherwise == WARDER_UPCALL_HOST) &&
		    warder_upcall_type_is_kernels((const void *)u.type)) {
			parser_error(ps, v,
				     "upcalls: the host's handler of %s believes what it is asked, "
				     "so it never gets what a program made up", u.type);
			return;
		}
	}
	v = map_get(n, "audit");
	if (v)
		expect_bool(ps, v, "audit", &audit);
	v = map_get(n, "id");
	if (v)
		rule.id = parse_id(ps, v, "id");
	rule.audit = audit;
	rule.deny = u.to == WARDER_UPCALL_DENY;
	rule.err = rule.deny ? ENOKEY : 0;
	if (parser_add_rule(ps, &rule, &index))
		return;
	u.rule = (uint16_t)index;
	insert_upcall(ps, n, &u);
}

/* ------------------------------------------------------------------ keyring */

static const struct key keyring_keys[] = { { "join", false },	  { "quota", false },
					   { "upcalls", false },  { "signed_exec", false },
					   { "shared", false },	  { "optional", false },
					   { NULL, false } };
static const struct key quota_keys[] = {
	{ "keys", false }, { "bytes", false }, { "pending", false }, { NULL, false }
};

static void parse_quota(struct parser *ps, struct node *n)
{
	const struct {
		const char *key, *what;
		uint64_t max;
		uint32_t *ret;
	} quotas[] = {
		{ "keys", "keyring.quota.keys", WARDER_KEYS_MAX, &ps->p->keys_max },
		{ "bytes", "keyring.quota.bytes", WARDER_KEY_BYTES_MAX, &ps->p->keys_bytes },
		{ "pending", "keyring.quota.pending", WARDER_KEY_PENDING_MAX,
		  &ps->p->keys_pending },
	};

	if (!check_keys(ps, n, "keyring.quota", quota_keys))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(quotas); i++) {
		struct node *v = map_get(n, quotas[i].key);
		uint64_t number;

		if (v && expect_number(ps, v, quotas[i].what, 1, quotas[i].max, &number))
			*quotas[i].ret = (uint32_t)number;
	}
}

void parse_keyring(struct parser *ps, struct node *n)
{
	static const char *const joins[] = { "lazy", "sticky", "deny", NULL };
	struct node *v;
	bool optional;

	if (!check_keys(ps, n, "keyring", keyring_keys))
		return;
	optional = node_optional(ps, n);
	v = map_get(n, "join");
	if (v) {
		int join = expect_word(ps, v, "keyring.join", joins);

		if (join > 0)
			ps->p->keys_join = (uint32_t)join;
		ps->p->keys_lazy_file = join ? NULL : ps->file;
		ps->p->keys_lazy_line = v->line;
		ps->p->keys_lazy_column = v->column;
	}
	v = map_get(n, "shared");
	if (v)
		parse_shared(ps, v);
	v = map_get(n, "signed_exec");
	if (v)
		parse_signed_exec(ps, v, optional);
	parse_rules(ps, n, "upcalls", parse_upcall);
	v = map_get(n, "quota");
	if (v)
		parse_quota(ps, v);
}
