// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Tree -> checked rules. A word of the language that this version does not enforce is an
 * error, or with `optional: true` a warning: never silently nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy_internal.h"

#define INCLUDE_DEPTH_MAX 8
#define VARS_MAX 256
#define VALUES_MAX 1024
#define ID_MAX 64
#define KEYS_MAX WARDER_KEYS_MAX

/* Accesses that hooks of this version judge. */
#define ENFORCED                                                                                   \
	(WARDER_ACC_READ | WARDER_ACC_WRITE | WARDER_ACC_APPEND | WARDER_ACC_CREATE |              \
	 WARDER_ACC_DELETE | WARDER_ACC_RENAME | WARDER_ACC_LINK | WARDER_ACC_SYMLINK |            \
	 WARDER_ACC_CHMOD | WARDER_ACC_CHOWN | WARDER_ACC_TRUNCATE | WARDER_ACC_MKNOD |            \
	 WARDER_ACC_MAP_EXEC)

static const char *const not_enforced[] = { "network",	"memory", "device",    "ptrace",
					    "signal",	"ipc",	  "namespace", "kernel",
					    "profiles", "unsafe", NULL };

/* ------------------------------------------------------------------- rules */

int parser_add_rule(struct parser *ps, const struct policy_rule *rule, uint32_t *ret_index)
{
	struct policy *p = ps->p;

	if (p->rules == WARDER_RULES_MAX) {
		diag_add(ps->diags, rule->file, rule->line, rule->column, 0,
			 "more than %u rules in one policy", WARDER_RULES_MAX);
		ps->fatal = -E2BIG;
		return -E2BIG;
	}
	if (vector_grow(&p->rule, p->rules, &p->rules_cap, sizeof(*p->rule))) {
		ps->fatal = -ENOMEM;
		return -ENOMEM;
	}
	p->rule[p->rules] = *rule;
	*ret_index = (uint32_t)p->rules++;
	return 0;
}

struct pattern_adder {
	const char *what;
	uint32_t rule;
	uint8_t start;
	uint64_t set;
};

/* Characters up to a byte offset: columns count characters. */
static unsigned column_of(const struct node *n, size_t offset)
{
	unsigned column = n->column;

	/* In a quoted scalar escapes move what follows: point at its beginning. */
	for (size_t i = 0; n->plain && i < offset && i < n->len; i++)
		column += ((unsigned char)n->text[i] & 0xc0) != 0x80;
	return column;
}

static void add_pattern(struct parser *ps, struct node *n, void *arg)
{
	struct pattern_adder *a = arg;
	struct policy *p = ps->p;
	struct glob_error ge;
	struct policy_pattern pattern = {
		.text = n->text, .rule = a->rule, .start = a->start, .set = a->set
	};
	char buf[SHOWN_SIZE];
	int err = glob_compile(&p->nfa, n->text, p->var, p->vars, (uint32_t)p->patterns,
			       &pattern.nfa_start, &ge);

	if (err == -ENOMEM ||
	    vector_grow(&p->pattern, p->patterns, &p->patterns_cap, sizeof(*p->pattern))) {
		ps->fatal = -ENOMEM;
		return;
	}
	if (err) {
		diag_add(ps->diags, ps->file, n->line, column_of(n, ge.offset), 0,
			 "%s: %s in the pattern %s", a->what, ge.text, node_shown(n, buf));
		/* The pool of steps is used up: every other pattern would say so too. */
		if (err == -E2BIG && p->nfa.states >= NFA_STATES_MAX)
			ps->fatal = -E2BIG;
		return;
	}
	p->pattern[p->patterns++] = pattern;
}

/* The texts of a list as one: lists with the same patterns have the same. */
static const char *join_texts(struct parser *ps, const struct node *n)
{
	size_t len = n->len + 1;
	char *joined, *at;

	if (n->type == NODE_SCALAR)
		return n->text;
	for (size_t i = 0; i < n->count; i++)
		len += n->item[i]->len + 1;
	joined = at = arena_alloc(&ps->p->arena, len);
	if (!joined) {
		ps->fatal = -ENOMEM;
		return "";
	}
	for (size_t i = 0; i < n->count; i++) {
		if (n->item[i]->type == NODE_SCALAR)
			at = mempcpy(at, n->item[i]->text, n->item[i]->len);
		*at++ = '\n';
	}
	return joined;
}

void parser_add_patterns(struct parser *ps, struct node *n, const char *what, uint32_t rule,
			 unsigned start, uint64_t set, const char **ret_joined)
{
	struct pattern_adder a = {
		.what = what, .rule = rule, .start = (uint8_t)start, .set = set
	};

	each_scalar(ps, n, what, add_pattern, &a);
	if (ret_joined)
		*ret_joined = join_texts(ps, n);
}

void refuse_word(struct parser *ps, const struct node *at, bool optional, const char *format, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (optional)
		parser_warning(ps, at, "%s is not enforced by this version of warder: skipped",
			       text);
	else
		parser_error(ps, at,
			     "%s is not enforced by this version of warder; remove it or "
			     "mark the rule `optional: true`",
			     text);
}

bool node_optional(struct parser *ps, const struct node *rule)
{
	struct node *n = map_get(rule, "optional");
	bool optional = false;

	if (n)
		expect_bool(ps, n, "optional", &optional);
	return optional;
}

int parse_errno(struct parser *ps, const struct node *n, uint8_t *ret)
{
	char buf[SHOWN_SIZE];
	const char *name = expect_string(ps, n, "errno");
	int err = name ? errno_from_name(name) : -1;

	if (!name)
		return -1;
	if (err < 0) {
		parser_error(ps, n, "errno: no error is called %s (EACCES, EPERM, ENOENT, ...)",
			     node_shown(n, buf));
		return -1;
	}
	*ret = (uint8_t)err;
	return 0;
}

const char *parse_id(struct parser *ps, const struct node *n, const char *what)
{
	const char *id = expect_string(ps, n, what);
	char buf[SHOWN_SIZE];

	if (!id)
		return NULL;
	if (n->len >= ID_MAX ||
	    strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") !=
		    n->len ||
	    id[0] == '.' || id[0] == '-') {
		parser_error(ps, n,
			     "%s: expected up to %d letters, digits, '.', '_' or '-', found "
			     "%s",
			     what, ID_MAX - 1, node_shown(n, buf));
		return NULL;
	}
	return id;
}

bool parse_rule_head(struct parser *ps, struct node *n, uint8_t class_, int err,
		     struct rule_head *ret)
{
	struct node *allow = map_get(n, "allow"), *deny = map_get(n, "deny"), *v;
	size_t errors = ps->diags->errors;
	bool audit = false;

	memset(ret, 0, sizeof(*ret));
	ret->rule = (struct policy_rule) { .file = ps->file,
					   .line = n->line,
					   .column = n->column,
					   .class_ = class_,
					   .included = ps->included };
	ret->optional = node_optional(ps, n);
	if (allow && deny)
		parser_error(ps, n, "a rule has either allow or deny, not both");
	else if (!allow && !deny)
		parser_error(ps, n, "%s: a rule needs allow or deny", class_name(class_));
	ret->what = allow ? allow : deny;
	ret->rule.deny = !allow && deny;
	ret->rule.err = ret->rule.deny ? (uint8_t)err : 0;
	v = map_get(n, "errno");
	if (v && !ret->rule.deny)
		parser_error(ps, v, "errno: only a deny rule has one");
	else if (v)
		parse_errno(ps, v, &ret->rule.err);
	v = map_get(n, "audit");
	if (v)
		expect_bool(ps, v, "audit", &audit);
	ret->rule.audit = audit;
	v = map_get(n, "id");
	if (v)
		ret->rule.id = parse_id(ps, v, "id");
	return ps->diags->errors == errors;
}

/* -------------------------------------------------------------- file, exec */

struct access_reader {
	uint32_t mask;
	bool optional;
};

static void read_access(struct parser *ps, struct node *n, void *arg)
{
	struct access_reader *r = arg;
	char buf[SHOWN_SIZE];
	__u32 bit;

	if (node_is(n, "*")) {
		r->mask |= WARDER_ACC_FILE_ALL;
		return;
	}
	if (access_from_name(n->text, &bit) || bit == WARDER_ACC_EXEC) {
		parser_error(
			ps, n,
			"file: no access is called %s; known: read, write, append, "
			"create, delete, rename, link, symlink, chmod, chown, truncate, mknod, "
			"map_exec, \"*\"%s",
			node_shown(n, buf),
			node_is(n, "exec") ? " (execution has a class of its own: exec)" : "");
		return;
	}
	if (!(bit & ENFORCED)) {
		refuse_word(ps, n, r->optional, "the file access %s", n->text);
		return;
	}
	r->mask |= bit;
	/* Who may write may append and cut; who may not write may do neither. */
	if (bit == WARDER_ACC_WRITE)
		r->mask |= WARDER_ACC_APPEND | WARDER_ACC_TRUNCATE;
}

static const struct key file_keys[] = { { "allow", false },    { "deny", false },  { "path", true },
					{ "errno", false },    { "audit", false }, { "id", false },
					{ "optional", false }, { NULL, false } };

static void parse_file_rule(struct parser *ps, struct node *n)
{
	struct rule_head head;
	struct access_reader r = { 0 };
	struct node *path;
	uint32_t index;

	if (!check_keys(ps, n, "file rule", file_keys))
		return;
	path = map_get(n, "path");
	parse_rule_head(ps, n, WARDER_CLASS_FILE, EACCES, &head);
	r.optional = head.optional;
	if (head.what)
		each_scalar(ps, head.what, "file access", read_access, &r);
	head.rule.mask = r.mask;
	if (!path || (!r.mask && head.optional) || parser_add_rule(ps, &head.rule, &index))
		return;
	parser_add_patterns(ps, path, "path", index, WARDER_START_FILE, 0, NULL);
}

static const struct key exec_keys[] = { { "allow", false },   { "deny", false },
					{ "errno", false },   { "audit", false },
					{ "id", false },      { "optional", false },
					{ "profile", false }, { NULL, false } };

static void parse_exec_rule(struct parser *ps, struct node *n)
{
	struct rule_head head;
	struct node *profile;
	uint32_t index;

	if (!check_keys(ps, n, "exec rule", exec_keys))
		return;
	parse_rule_head(ps, n, WARDER_CLASS_EXEC, EACCES, &head);
	profile = map_get(n, "profile");
	if (profile) {
		refuse_word(ps, profile, head.optional, "a profile transition");
		return;
	}
	/* What may be executed may be mapped so; and what may not must not be run by way of
	 * the dynamic loader, which maps it. */
	head.rule.mask = WARDER_ACC_EXEC | WARDER_ACC_MAP_EXEC;
	if (head.what && !parser_add_rule(ps, &head.rule, &index))
		parser_add_patterns(ps, head.what, "exec", index, WARDER_START_FILE, 0, NULL);
}

/* -------------------------------------------------------------- capability */

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

static const struct key capability_keys[] = { { "allow", false }, { "deny", false },
					      { "errno", false }, { "audit", false },
					      { "id", false },	  { "optional", false },
					      { NULL, false } };

static void parse_capability_rule(struct parser *ps, struct node *n)
{
	struct rule_head head;
	uint32_t index;

	if (!check_keys(ps, n, "capability rule", capability_keys))
		return;
	parse_rule_head(ps, n, WARDER_CLASS_CAPABILITY, EPERM, &head);
	if (head.what)
		each_scalar(ps, head.what, "capability", read_capability, &head.rule.caps);
	parser_add_rule(ps, &head.rule, &index);
}

static void parse_rules(struct parser *ps, struct node *root, const char *class_,
			void (*fn)(struct parser *, struct node *))
{
	struct node *list = map_get(root, class_);

	if (!list || !expect_seq(ps, list, class_))
		return;
	for (size_t i = 0; i < list->count && !ps->fatal; i++)
		fn(ps, list->item[i]);
}

/* ----------------------------------------------------- words not enforced */

static void refuse_class(struct parser *ps, struct node *n, const char *class_)
{
	bool profiles = !strcmp(class_, "profiles");

	if (n->type == NODE_SEQ && n->count) {
		for (size_t i = 0; i < n->count; i++)
			refuse_word(ps, n->item[i], node_optional(ps, n->item[i]), "class %s",
				    class_);
	} else if (profiles && n->type == NODE_MAP && n->count) {
		for (size_t i = 1; i < n->count; i += 2)
			refuse_word(ps, n->item[i], node_optional(ps, n->item[i]), "profile %s",
				    n->item[i - 1]->text);
	} else {
		refuse_word(ps, n, node_optional(ps, n), "class %s", class_);
	}
}

static const struct key keyring_keys[] = { { "join", false },	  { "quota", false },
					   { "upcalls", false },  { "signed_exec", false },
					   { "optional", false }, { NULL, false } };
static const struct key quota_keys[] = {
	{ "keys", false }, { "bytes", false }, { "pending", false }, { NULL, false }
};

static void parse_keyring(struct parser *ps, struct node *n)
{
	static const char *const joins[] = { "lazy", "sticky", "deny", NULL };
	static const char *const later[] = { "upcalls", "signed_exec" };
	static const char *const quotas[] = { "bytes", "pending" };
	struct node *v, *q;
	bool optional;
	uint64_t keys;

	if (!check_keys(ps, n, "keyring", keyring_keys))
		return;
	optional = node_optional(ps, n);
	v = map_get(n, "join");
	if (v) {
		int join = expect_word(ps, v, "keyring.join", joins);

		if (join > 0)
			refuse_word(ps, v, optional, "keyring.join: %s", joins[join]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(later); i++) {
		v = map_get(n, later[i]);
		if (v)
			refuse_word(ps, v, optional, "keyring.%s", later[i]);
	}
	q = map_get(n, "quota");
	if (!q || !check_keys(ps, q, "keyring.quota", quota_keys))
		return;
	v = map_get(q, "keys");
	if (v && expect_number(ps, v, "keyring.quota.keys", 1, KEYS_MAX, &keys))
		ps->p->keys_max = (uint32_t)keys;
	for (size_t i = 0; i < ARRAY_SIZE(quotas); i++) {
		v = map_get(q, quotas[i]);
		if (v)
			refuse_word(ps, v, optional, "keyring.quota.%s", quotas[i]);
	}
}

/* ---------------------------------------------------------------- the rest */

static void parse_defaults(struct parser *ps, struct node *n)
{
	static const char *const words[] = { "allow", "deny", NULL };
	static const char *const later[] = { "network", "memory",    "device", "ptrace", "signal",
					     "ipc",	"namespace", "kernel", NULL };
	bool optional;
	char buf[SHOWN_SIZE];

	if (!expect_map(ps, n, "defaults"))
		return;
	optional = node_optional(ps, n);
	for (size_t i = 0; i + 1 < n->count; i += 2) {
		const struct node *k = n->item[i], *v = n->item[i + 1];
		bool known = false;
		int word;

		if (node_is(k, "optional"))
			continue;
		for (size_t j = 0; later[j]; j++)
			known |= node_is(k, later[j]);
		if (!known && !node_is(k, "file") && !node_is(k, "exec") &&
		    !node_is(k, "capability") && !node_is(k, "mount")) {
			parser_error(ps, k,
				     "defaults: unknown class %s; known: file, exec, "
				     "capability, mount",
				     node_shown(k, buf));
			continue;
		}
		word = expect_word(ps, v, "defaults", words);
		if (word < 0)
			continue;
		if (known)
			refuse_word(ps, v, optional, "a default for class %s", k->text);
		else if (node_is(k, "file"))
			ps->p->file_deny = word == 1;
		else if (node_is(k, "exec"))
			ps->p->exec_deny = word == 1;
		else if (node_is(k, "capability"))
			ps->p->cap_deny = word == 1;
		else
			ps->p->mount_allow = word == 0;
	}
}

static const struct key match_keys[] = { { "name", false },
					 { "annotations", false },
					 { NULL, false } };

static void parse_match(struct parser *ps, struct node *n)
{
	struct node *v;

	if (!check_keys(ps, n, "match", match_keys))
		return;
	v = map_get(n, "name");
	if (v)
		ps->p->match_name = expect_string(ps, v, "match.name");
	v = map_get(n, "annotations");
	if (!v || !expect_map(ps, v, "match.annotations"))
		return;
	ps->p->annotation =
		arena_alloc(&ps->p->arena, (v->count / 2 + 1) * sizeof(*ps->p->annotation));
	if (!ps->p->annotation) {
		ps->fatal = -ENOMEM;
		return;
	}
	for (size_t i = 0; i + 1 < v->count; i += 2) {
		const char *value = expect_string(ps, v->item[i + 1], "match.annotations");

		if (value)
			ps->p->annotation[ps->p->annotations++] =
				(struct policy_pair) { v->item[i]->text, value };
	}
}

struct value_reader {
	struct policy_var *var;
	size_t room;
};

static void read_value(struct parser *ps, struct node *n, void *arg)
{
	struct value_reader *r = arg;

	(void)ps;
	if (r->var->values < r->room)
		r->var->value[r->var->values++] = n->text;
}

static void parse_var(struct parser *ps, const struct node *name, struct node *value)
{
	struct policy *p = ps->p;
	struct policy_var var = { .name = name->text };
	struct value_reader r = { .var = &var, .room = value->type == NODE_SEQ ? value->count : 1 };
	char buf[SHOWN_SIZE];

	if (strspn(name->text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != name->len ||
	    !name->len || (name->text[0] >= '0' && name->text[0] <= '9')) {
		parser_error(ps, name,
			     "vars: the name of a variable is in capitals (A-Z, 0-9, _), "
			     "found %s",
			     node_shown(name, buf));
		return;
	}
	/* The including policy's values replace those that an abstraction brings. */
	for (size_t i = 0; i < p->vars; i++)
		if (!strcmp(p->var[i].name, var.name))
			return;
	if (p->vars == VARS_MAX || r.room > VALUES_MAX) {
		parser_error(ps, name, "vars: more than %d variables, or %d values of one",
			     VARS_MAX, VALUES_MAX);
		return;
	}
	var.value = arena_alloc(&p->arena, (r.room + 1) * sizeof(*var.value));
	if (!var.value || vector_grow(&p->var, p->vars, &p->vars_cap, sizeof(*p->var))) {
		ps->fatal = -ENOMEM;
		return;
	}
	each_scalar(ps, value, "vars", read_value, &r);
	p->var[p->vars++] = var;
}

static void parse_vars(struct parser *ps, struct node *n)
{
	if (!expect_map(ps, n, "vars"))
		return;
	for (size_t i = 0; i + 1 < n->count && !ps->fatal; i += 2)
		parse_var(ps, n->item[i], n->item[i + 1]);
}

/* ----------------------------------------------------------------- include */

static void parse_root(struct parser *ps, struct node *root);

/* a/b, each part a plain name: nothing leads out of the directories searched. */
static bool include_name_is_fine(const char *name)
{
	const char *p = name;

	if (strlen(name) > 128)
		return false;
	for (;;) {
		size_t len = strcspn(p, "/");

		if (!len || p[0] == '.' ||
		    strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") <
			    len)
			return false;
		if (!p[len])
			return true;
		p += len + 1;
	}
}

static void include_read(struct parser *ps, const struct node *n, const char *path)
{
	struct arena *a = &ps->p->arena;
	cleanup_free char *text = NULL;
	const char *outer_file = ps->file, *file = arena_strndup(a, path, strlen(path));
	bool outer_included = ps->included;
	struct warder_error e = { { 0 } };
	struct node *root;
	size_t len;
	int err = file ? policy_read_file(path, &text, &len, &e) : -ENOMEM;

	if (err == -ENOMEM) {
		ps->fatal = err;
		return;
	}
	if (err) {
		parser_error(ps, n, "include: %s", e.text);
		return;
	}
	err = yaml_read(a, file, text, len, &root, ps->diags);
	if (err == -ENOMEM)
		ps->fatal = err;
	if (err)
		return;
	ps->file = file;
	ps->included = true;
	ps->depth++;
	parse_root(ps, root);
	ps->depth--;
	ps->included = outer_included;
	ps->file = outer_file;
}

static void parse_include(struct parser *ps, struct node *n, void *arg)
{
	char path[WARDER_PATH_MAX], buf[SHOWN_SIZE];

	(void)arg;
	if (!include_name_is_fine(n->text)) {
		parser_error(ps, n, "include: expected a name like base/libc, found %s",
			     node_shown(n, buf));
		return;
	}
	/* Once is enough; so a cycle ends too. */
	for (size_t i = 0; i < ps->seen_count; i++)
		if (!strcmp(ps->seen[i], n->text))
			return;
	if (ps->seen_count == INCLUDES_MAX || ps->depth >= INCLUDE_DEPTH_MAX) {
		parser_error(ps, n, "include: more than %d files, or nested deeper than %d",
			     INCLUDES_MAX, INCLUDE_DEPTH_MAX);
		return;
	}
	ps->seen[ps->seen_count++] = n->text;
	for (size_t i = 0; ps->dirs && ps->dirs[i]; i++) {
		if (snprintf(path, sizeof(path), "%s/%s.yaml", ps->dirs[i], n->text) >=
		    (int)sizeof(path))
			continue;
		if (!access(path, F_OK)) {
			include_read(ps, n, path);
			return;
		}
	}
	parser_error(ps, n, "include: no file %s.yaml in the policy directories (%s%s)", n->text,
		     ps->dirs && ps->dirs[0] ? ps->dirs[0] : "none is set",
		     ps->dirs && ps->dirs[0] && ps->dirs[1] ? ", ..." : "");
}

/* -------------------------------------------------------------------- root */

static const struct key root_keys[] = {
	{ "policy", true },	 { "mode", false },	 { "match", false },
	{ "selectable", false }, { "include", false },	 { "vars", false },
	{ "defaults", false },	 { "file", false },	 { "exec", false },
	{ "capability", false }, { "mount", false },	 { "override", false },
	{ "keyring", false },	 { "network", false },	 { "memory", false },
	{ "device", false },	 { "ptrace", false },	 { "signal", false },
	{ "ipc", false },	 { "namespace", false }, { "kernel", false },
	{ "profiles", false },	 { "unsafe", false },	 { NULL, false }
};

/* What an included file may hold: it adds rules, and decides nothing about the whole. */
static const struct key included_keys[] = {
	{ "policy", false }, { "include", false },    { "vars", false },   { "file", false },
	{ "exec", false },   { "capability", false }, { "mount", false },  { "network", false },
	{ "memory", false }, { "device", false },     { "ptrace", false }, { "signal", false },
	{ "ipc", false },    { "namespace", false },  { "kernel", false }, { NULL, false }
};

static void parse_settings(struct parser *ps, struct node *root)
{
	/* "learn" is a word of the language that this version does not know how to do. */
	static const char *const modes[] = { "enforce", "audit", "learn", NULL };
	struct node *v = map_get(root, "policy");
	struct policy *p = ps->p;

	if (v)
		p->name = parse_id(ps, v, "policy");
	v = map_get(root, "mode");
	if (v) {
		int mode = expect_word(ps, v, "mode", modes);

		if (mode == 2)
			parser_error(ps, v,
				     "mode: learn is not available in this version of "
				     "warder; use audit");
		else if (mode >= 0)
			p->mode = mode == 1 ? WARDER_MODE_AUDIT : WARDER_MODE_ENFORCE;
	}
	v = map_get(root, "selectable");
	if (v)
		expect_bool(ps, v, "selectable", &p->selectable);
	v = map_get(root, "match");
	if (v)
		parse_match(ps, v);
	v = map_get(root, "defaults");
	if (v)
		parse_defaults(ps, v);
}

static void parse_root(struct parser *ps, struct node *root)
{
	struct node *v;

	if (!check_keys(ps, root, ps->included ? "included file" : "policy",
			ps->included ? included_keys : root_keys))
		return;
	if (!ps->included)
		parse_settings(ps, root);
	v = map_get(root, "vars");
	if (v)
		parse_vars(ps, v);
	v = map_get(root, "include");
	if (v)
		each_scalar(ps, v, "include", parse_include, NULL);
	parse_rules(ps, root, "file", parse_file_rule);
	parse_rules(ps, root, "exec", parse_exec_rule);
	parse_rules(ps, root, "capability", parse_capability_rule);
	parse_rules(ps, root, "mount", parse_mount);
	for (size_t i = 0; not_enforced[i]; i++) {
		v = map_get(root, not_enforced[i]);
		if (v)
			refuse_class(ps, v, not_enforced[i]);
	}
	if (ps->included)
		return;
	parse_rules(ps, root, "override", parse_override);
	v = map_get(root, "keyring");
	if (v)
		parse_keyring(ps, v);
}

static int rule_by_id(const void *a, const void *b)
{
	const struct policy_rule *x = *(const struct policy_rule *const *)a;
	const struct policy_rule *y = *(const struct policy_rule *const *)b;
	int order = strcmp(x->id, y->id);

	return order ? order : x < y ? -1 : x > y;
}

static void check_ids(struct parser *ps)
{
	struct policy *p = ps->p;
	cleanup_free const struct policy_rule **by_id = calloc(p->rules + 1, sizeof(*by_id));
	size_t count = 0;

	if (!by_id) {
		ps->fatal = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < p->rules; i++)
		if (p->rule[i].id)
			by_id[count++] = &p->rule[i];
	qsort(by_id, count, sizeof(*by_id), rule_by_id);
	for (size_t i = 1; i < count; i++)
		if (!strcmp(by_id[i]->id, by_id[i - 1]->id))
			diag_add(ps->diags, by_id[i]->file, by_id[i]->line, by_id[i]->column, 0,
				 "id: \"%s\" is taken by the rule at %s:%u", by_id[i]->id,
				 by_id[i - 1]->file, by_id[i - 1]->line);
}

/* A dynamic program maps its loader and libraries for execution, which the default then refuses. */
static void check_libraries(struct parser *ps, const struct node *root)
{
	const struct policy *p = ps->p;

	if (!p->file_deny && !p->exec_deny)
		return;
	for (size_t i = 0; i < p->rules; i++)
		if (p->rule[i].class_ == WARDER_CLASS_FILE && !p->rule[i].deny &&
		    (p->rule[i].mask & WARDER_ACC_MAP_EXEC))
			return;
	parser_warning(
		ps, root,
		"no rule allows map_exec, and the defaults refuse it: only statically "
		"linked programs can start; include base/libc, or allow it for the libraries");
}

int parser_run(struct parser *ps, struct node *root)
{
	parse_root(ps, root);
	if (!ps->fatal && root->type == NODE_MAP) {
		check_ids(ps);
		check_libraries(ps, root);
	}
	return ps->fatal;
}
