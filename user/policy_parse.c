// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Tree -> checked rules: the file as a whole, what it includes, its variables and profiles. A
 * word of the language that this version does not enforce is an error, or with `optional: true`
 * a warning: never silently nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy_internal.h"

#define VARS_MAX 256
#define VALUES_MAX 1024

/* --------------------------------------------------------------- variables */

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
	struct policy_var var = { .name = name->text, .file = ps->file, .line = name->line,
				  .column = name->column };
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
	var.used = arena_alloc(&p->arena, sizeof(*var.used));
	if (!var.value || !var.used || vector_grow(&p->var, p->vars, &p->vars_cap, sizeof(*p->var))) {
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

/* -------------------------------------------------------------------- root */

static const struct key root_keys[] = {
	{ "policy", true },	 { "version", false },	 { "mode", false },	 { "match", false },
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
	{ "policy", false }, { "version", false },    { "include", false }, { "vars", false }, { "file", false },
	{ "exec", false },   { "capability", false }, { "mount", false },  { "network", false },
	{ "memory", false }, { "device", false },     { "ptrace", false }, { "signal", false },
	{ "ipc", false },    { "namespace", false },  { "kernel", false }, { NULL, false }
};

/* The classes that the top and profiles may hold. */
static void parse_classes(struct parser *ps, struct node *n)
{
	struct node *v = map_get(n, "memory");

	parse_rules(ps, n, "file", parse_file_rule);
	parse_rules(ps, n, "exec", parse_exec_rule);
	if (v)
		parse_memory(ps, v);
	parse_rules(ps, n, "network", parse_network_rule);
	parse_rules(ps, n, "capability", parse_capability_rule);
	parse_rules(ps, n, "mount", parse_mount);
	parse_rules(ps, n, "device", parse_device_rule);
	parse_rules(ps, n, "ptrace", parse_ptrace_rule);
	parse_rules(ps, n, "signal", parse_signal_rule);
	parse_rules(ps, n, "ipc", parse_ipc_rule);
	parse_rules(ps, n, "namespace", parse_namespace_rule);
	parse_rules(ps, n, "kernel", parse_kernel_rule);
}

/* ---------------------------------------------------------------- profiles */

static const struct key profile_keys[] = {
	{ "defaults", false },	{ "file", false },   { "exec", false },	  { "memory", false },
	{ "network", false },	{ "capability", false }, { "mount", false }, { "device", false },
	{ "ptrace", false },	{ "signal", false }, { "ipc", false },	  { "namespace", false },
	{ "kernel", false },	{ NULL, false }
};

/* FNV-1a: a name keeps its id across policies and versions. */
uint32_t profile_id(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return h ? h : 1;
}

static void parse_profile(struct parser *ps, const struct node *name, struct node *n)
{
	struct policy *p = ps->p;
	struct policy_profile *pr;
	struct node *v;

	if (!parse_id(ps, name, "profiles") || !check_keys(ps, n, "profile", profile_keys))
		return;
	if (p->profiles == WARDER_PROFILES_MAX) {
		parser_error(ps, name, "profiles: more than %d", WARDER_PROFILES_MAX - 1);
		return;
	}
	pr = &p->profile[p->profiles];
	*pr = (struct policy_profile) { .name = name->text,
					.file = ps->file,
					.line = name->line,
					.column = name->column,
					.id = profile_id(name->text) };
	for (size_t i = 1; i < p->profiles; i++)
		if (p->profile[i].id == pr->id && strcmp(p->profile[i].name, pr->name))
			parser_error(ps, name,
				     "profiles: \"%s\" and \"%s\" (line %u) have the same number "
				     "inside the kernel: call one of them something else",
				     pr->name, p->profile[i].name, p->profile[i].line);
	ps->profile = (uint16_t)p->profiles++;
	for (size_t i = 0; i + 1 < n->count; i += 2)
		for (unsigned c = 0; c < WARDER_CLASS__MAX; c++)
			if (class_name(c) && node_is(n->item[i], class_name(c)))
				pr->named |= 1u << c;
	v = map_get(n, "defaults");
	if (v)
		parse_defaults(ps, v);
	parse_classes(ps, n);
	ps->profile = 0;
}

static void parse_profiles(struct parser *ps, struct node *n)
{
	if (!expect_map(ps, n, "profiles"))
		return;
	for (size_t i = 0; i + 1 < n->count && !ps->fatal; i += 2)
		parse_profile(ps, n->item[i], n->item[i + 1]);
}

/* Names of profiles in exec rules -> numbers. */
static void resolve_profiles(struct parser *ps)
{
	struct policy *p = ps->p;

	for (size_t i = 0; i < p->rules; i++) {
		struct policy_rule *r = &p->rule[i];
		char buf[SHOWN_SIZE];

		if (!r->profile_name)
			continue;
		for (size_t k = 1; k < p->profiles; k++)
			if (!strcmp(p->profile[k].name, r->profile_name))
				r->profile = (uint16_t)k;
		if (!r->profile)
			diag_add(ps->diags, r->file, r->profile_line, r->profile_column, 0,
				 "profile: none is called %s in `profiles:` of this policy",
				 text_shown(r->profile_name, strlen(r->profile_name), buf));
	}
}

/* What a profile says without effect. */
static void check_profiles(struct parser *ps)
{
	static const uint8_t open[] = { WARDER_CLASS_FILE, WARDER_CLASS_EXEC, WARDER_CLASS_CAPABILITY };
	const struct policy *p = ps->p;

	for (size_t k = 1; k < p->profiles; k++) {
		const struct policy_profile *pr = &p->profile[k];
		uint32_t allows = 0;
		bool reached = false;

		for (size_t i = 0; i < p->rules; i++) {
			const struct policy_rule *r = &p->rule[i];

			reached |= r->profile == k;
			if (r->in == k && !r->deny && !r->audit && !r->profile_name)
				allows |= 1u << r->class_;
		}
		if (!reached)
			diag_add(ps->diags, pr->file, pr->line, pr->column, 1,
				 "profiles: no exec rule leads to profile \"%s\"", pr->name);
		for (size_t i = 0; i < ARRAY_SIZE(open); i++) {
			const char *name = class_name(open[i]);

			if (!(allows >> open[i] & 1) || pr->def[open[i]] == DEFAULT_DENY ||
			    (!pr->def[open[i]] && p->profile[0].def[open[i]] == DEFAULT_DENY))
				continue;
			diag_add(ps->diags, pr->file, pr->line, pr->column, 1,
				 "profiles: in profile \"%s\" the default of %s is to allow, so its "
				 "allow rules grant nothing; add defaults: {%s: deny}",
				 pr->name, name, name);
		}
	}
}

/* --------------------------------------------------------------------- all */

void parser_root(struct parser *ps, struct node *root)
{
	struct node *v;
	size_t errors;

	if (!check_keys(ps, root, ps->included ? "included file" : "policy",
			ps->included ? included_keys : root_keys))
		return;
	if (!ps->included) {
		parse_version(ps, root); /* that of an included file is read with it */
		parse_settings(ps, root);
	}
	errors = ps->diags->errors;
	v = map_get(root, "vars");
	if (v)
		parse_vars(ps, v);
	v = map_get(root, "include");
	if (v)
		each_scalar(ps, v, "include", parse_include, NULL);
	v = ps->included ? NULL : map_get(root, "match");
	if (v)
		parse_match(ps, v);
	ps->blind += ps->diags->errors - errors;
	parse_classes(ps, root);
	if (ps->included)
		return;
	errors = ps->diags->errors;
	v = map_get(root, "profiles");
	if (v)
		parse_profiles(ps, v);
	ps->blind += ps->diags->errors - errors;
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

	for (size_t k = 0; k < p->profiles; k++) {
		const struct policy_profile *pr = &p->profile[k];
		bool denied = false, mapped = false;
		static const uint8_t classes[] = { WARDER_CLASS_FILE, WARDER_CLASS_EXEC };

		for (size_t i = 0; i < ARRAY_SIZE(classes); i++)
			denied |= (pr->def[classes[i]] ?: p->profile[0].def[classes[i]]) ==
				  DEFAULT_DENY;
		for (size_t i = 0; i < p->rules; i++)
			mapped |= p->rule[i].class_ == WARDER_CLASS_FILE && !p->rule[i].deny &&
				  (p->rule[i].mask & WARDER_ACC_MAP_EXEC) &&
				  rule_holds(p, &p->rule[i], k);
		if (!denied || mapped)
			continue;
		if (k)
			diag_add(ps->diags, pr->file, pr->line, pr->column, 1,
				 "profiles: in profile \"%s\" no rule allows map_exec, and the "
				 "defaults refuse it: only statically linked programs can start; "
				 "allow it for the libraries",
				 pr->name);
		else
			parser_warning(ps, root,
				       "no rule allows map_exec, and the defaults refuse it: only "
				       "statically linked programs can start; include base/libc, or "
				       "allow it for the libraries");
	}
}

/* A name that is misspelt leaves an abstraction's own values in force. */
static void check_vars(struct parser *ps)
{
	const struct policy *p = ps->p;

	for (size_t i = 0; i < p->vars; i++)
		if (!*p->var[i].used)
			diag_add(ps->diags, p->var[i].file, p->var[i].line, p->var[i].column, 1,
				 "vars: no rule of this policy or of what it includes uses {%.64s}",
				 p->var[i].name);
}

int parser_run(struct parser *ps, struct node *root)
{
	ps->p->profile[0].name = "";
	ps->p->profiles = 1;
	parser_root(ps, root);
	if (!ps->fatal && root->type == NODE_MAP) {
		size_t errors = ps->diags->errors;

		resolve_profiles(ps);
		ps->blind += ps->diags->errors - errors;
		check_profiles(ps);
		check_ids(ps);
		check_libraries(ps, root);
		/* Of a pattern that has a mistake not everything was read. */
		if (!ps->diags->errors)
			check_vars(ps);
	}
	return ps->fatal;
}
