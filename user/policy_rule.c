// SPDX-License-Identifier: LGPL-2.1-or-later
/* What rules of all classes have in common: head, words, patterns. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cleanup.h"
#include "policy_internal.h"
#include "policy_tools.h"

#define ID_MAX 64

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
	p->rule[p->rules].in = ps->profile;
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

/* Has a path's pattern a component that no name has, of 256 bytes or more whatever it matches?
 * Alternatives, classes and variables count nothing; a '/' in one begins anew. */
static bool component_is_long(const char *text)
{
	size_t len = 0;
	int depth = 0;

	for (; *text && len <= NAME_MAX; text++) {
		if (*text == '{' || *text == '}')
			depth += *text == '{' ? 1 : -1;
		else if (*text == '/' || (depth && *text >= 'A' && *text <= 'Z'))
			len = 0;
		else if (depth)
			continue;
		else if (*text == '[' && text[1] && strchr(text + 2, ']'))
			text = strchr(text + 2, ']');
		else if (*text == '\\' && text[1])
			text++, len++;
		else
			len += *text != '*';
	}
	return len > NAME_MAX;
}

static void add_pattern(struct parser *ps, struct node *n, void *arg)
{
	struct pattern_adder *a = arg;
	struct policy *p = ps->p;
	struct glob_error ge;
	struct policy_pattern pattern = {
		.text = n->text, .rule = a->rule, .start = a->start, .set = a->set
	};
	/* "@name" is an abstract socket; its name has no '@'. */
	bool abstract = a->start == WARDER_START_UNIX && n->text[0] == '@';
	bool name = abstract || a->start == WARDER_START_MATCH;
	char buf[SHOWN_SIZE];
	int err;

	if (abstract)
		pattern.start = WARDER_START_ABSTRACT;
	err = (name ? glob_compile_name : glob_compile)(&p->nfa, n->text + abstract, p->var,
							p->vars, (uint32_t)p->patterns,
							&pattern.nfa_start, &ge);
	if (!err && !name && a->start != WARDER_START_OVERRIDE_SOURCE &&
	    a->start != WARDER_START_MOUNT_SOURCE && component_is_long(n->text)) {
		parser_error(ps, n, "%s: a part between two slashes has more than %d bytes in the pattern "
				    "%s: no name matches", a->what, NAME_MAX, node_shown(n, buf));
		return;
	}
	if (err == -ENOMEM ||
	    vector_grow(&p->pattern, p->patterns, &p->patterns_cap, sizeof(*p->pattern))) {
		ps->fatal = -ENOMEM;
		return;
	}
	if (err) {
		diag_add(ps->diags, ps->file, n->line, column_of(n, ge.offset + abstract), 0,
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

/* -------------------------------------------------------------------- words */

struct word_reader {
	uint8_t class_;
	uint64_t all, bits;
};

/* TERM, SIGTERM, 15 are in the table; the real-time ones count from SIGRTMIN, 34 for glibc, or
 * down from SIGRTMAX, 64. */
static bool realtime_signal(const char *text, __u64 *ret)
{
	const char *p = strncasecmp(text, "sig", 3) ? text : text + 3, *end;
	uint64_t n = 0;
	bool min = !strncasecmp(p, "rtmin", 5);

	if (!min && strncasecmp(p, "rtmax", 5))
		return false;
	p += 5;
	if (*p && (*p != (min ? '+' : '-') || !parse_digits(p + 1, &end, &n) || *end || n > 30))
		return false;
	*ret = 1ull << ((min ? 34 + n : 64 - n) - 1);
	return true;
}

static void read_word(struct parser *ps, struct node *n, void *arg)
{
	struct word_reader *r = arg;
	char buf[SHOWN_SIZE], list[512];
	__u64 bits;

	if (node_is(n, "*")) {
		r->bits |= r->all;
		return;
	}
	if (r->class_ == WARDER_CLASS_SIGNAL && realtime_signal(n->text, &bits)) {
		r->bits |= bits;
		return;
	}
	if (policy_word_bits(r->class_, n->text, &bits) || !(bits & r->all)) {
		parser_error(ps, n, "%s: expected one of %s, \"*\", found %s",
			     class_name(r->class_),
			     r->class_ == WARDER_CLASS_SIGNAL ?
				     "term, SIGTERM, rtmin+1, 15, ..." :
				     policy_words(r->class_, r->all, ", ", list, sizeof(list)),
			     node_shown(n, buf));
		return;
	}
	r->bits |= bits;
}

uint64_t parse_words(struct parser *ps, struct node *n, uint8_t class_, uint64_t all)
{
	struct word_reader r = { .class_ = class_, .all = all };

	each_value(ps, n, class_name(class_), read_word, &r);
	return r.bits;
}

void parse_rules(struct parser *ps, struct node *root, const char *class_,
		 void (*fn)(struct parser *, struct node *))
{
	struct node *list = map_get(root, class_);

	if (!list || !expect_seq(ps, list, class_))
		return;
	for (size_t i = 0; i < list->count && !ps->fatal; i++) {
		size_t errors = ps->diags->errors, rules = ps->p->rules;

		fn(ps, list->item[i]);
		for (; ps->diags->errors > errors && rules < ps->p->rules; rules++)
			ps->p->rule[rules].broken = true;
	}
}
