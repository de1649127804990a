// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Canonical text. libyaml gives nodes and drops comments, so both come from the same text: nodes
 * from its events with their marks, comments from what no token covers; each comment belongs to
 * the item that follows it, or to the one whose line it ends. Scalars are written as they stood.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "cleanup.h"
#include "policy_internal.h"
#include "policy_tools.h"

#define LINE_MAX_COLUMNS 100
#define NO_LINE ((size_t)-1)

struct comment {
	size_t line;
	const char *text; /* from '#' on, without blanks at its end */
	size_t len;
	bool own;   /* nothing else on its line */
	bool blank; /* an empty line stands before it */
	bool taken;
};

struct fnode;

/* An entry of a list (no key) or of a mapping. */
struct entry {
	struct fnode *key, *value;
	size_t lead, leads; /* comments above */
	size_t trail;	    /* comment behind it, 1 + index; behind the key if the value is below */
	bool blank;
	size_t place; /* in the text */
};

struct fnode {
	enum node_type type;
	bool flow, alias;
	const char *raw; /* scalars: as written, on one line */
	const char *anchor;
	size_t first, last; /* lines */
	struct entry *entry;
	size_t count, cap;
};

struct formatter {
	struct arena arena;
	const char *file, *text;
	size_t len;
	struct policy_diags *diags;
	struct comment *comment;
	size_t comments, comments_cap;
	size_t next;	 /* comment that nobody has taken yet */
	size_t *byte_of; /* of each character: libyaml counts those */
	size_t chars;
	bool *blank; /* by line */
	size_t lines;
	bool anchors;
	struct fnode *root;
	FILE *out;
};

/* ------------------------------------------------------------------- comments */

static int count_characters(struct formatter *f)
{
	f->byte_of = malloc((f->len + 2) * sizeof(*f->byte_of));
	f->blank = calloc(f->len + 2, sizeof(*f->blank));
	if (!f->byte_of || !f->blank)
		return -ENOMEM;
	for (size_t i = 0; i < f->len; i++)
		if (((unsigned char)f->text[i] & 0xc0) != 0x80)
			f->byte_of[f->chars++] = i;
	f->byte_of[f->chars] = f->len;
	for (size_t i = 0; i < f->len; f->lines++) {
		size_t end = i + strcspn(f->text + i, "\n");

		f->blank[f->lines] = strspn(f->text + i, " \t\r") >= end - i;
		i = end + 1;
	}
	return 0;
}

static size_t byte_at(const struct formatter *f, const yaml_mark_t *mark)
{
	return f->byte_of[mark->index < f->chars ? mark->index : f->chars];
}

/* Which bytes belong to tokens: a '#' there is none of ours. */
static int cover_tokens(struct formatter *f, bool *covered)
{
	yaml_parser_t parser;
	bool end = false;
	int err = 0;

	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)f->text, f->len);
	while (!end && !err) {
		yaml_token_t token;

		if (!yaml_parser_scan(&parser, &token)) {
			err = parser.error == YAML_MEMORY_ERROR ? -ENOMEM : -EINVAL;
			break;
		}
		end = token.type == YAML_STREAM_END_TOKEN;
		if (token.type != YAML_STREAM_START_TOKEN)
			for (size_t i = byte_at(f, &token.start_mark);
			     i < byte_at(f, &token.end_mark); i++)
				covered[i] = true;
		yaml_token_delete(&token);
	}
	yaml_parser_delete(&parser);
	return err;
}

static int find_comments(struct formatter *f)
{
	cleanup_free bool *covered = calloc(f->len + 1, sizeof(*covered));
	size_t line = 0, start = 0;
	int err = covered ? cover_tokens(f, covered) : -ENOMEM;

	for (size_t i = 0; !err && i < f->len; i++) {
		struct comment c = { .line = line, .text = f->text + i };

		if (f->text[i] == '\n') {
			line++;
			start = i + 1;
			continue;
		}
		if (f->text[i] != '#' || covered[i])
			continue;
		c.len = strcspn(c.text, "\n");
		i += c.len - 1;
		while (c.len && strchr(" \t\r", c.text[c.len - 1]))
			c.len--;
		c.own = strspn(f->text + start, " \t") == (size_t)(c.text - f->text) - start;
		c.blank = line && f->blank[line - 1];
		err = vector_grow(&f->comment, f->comments, &f->comments_cap, sizeof(c));
		if (!err)
			f->comment[f->comments++] = c;
	}
	return err;
}

/* ----------------------------------------------------------------------- tree */

static struct fnode *fnode_new(struct formatter *f, enum node_type type, const yaml_event_t *ev,
			       const yaml_char_t *anchor)
{
	struct fnode *n = arena_alloc(&f->arena, sizeof(*n));

	if (!n)
		return NULL;
	n->type = type;
	n->first = ev->start_mark.line;
	n->last = ev->end_mark.line;
	if (anchor) {
		n->anchor = arena_strndup(&f->arena, (const char *)anchor,
					  strlen((const char *)anchor));
		f->anchors = true;
		if (!n->anchor)
			return NULL;
	}
	return n;
}

/* As written if that is one line; else as one line that means the same. */
static const char *scalar_raw(struct formatter *f, const yaml_event_t *ev)
{
	size_t from = byte_at(f, &ev->start_mark), to = byte_at(f, &ev->end_mark);
	const unsigned char *value = ev->data.scalar.value;
	char *out, *p;

	/* An anchor is part of the event and written by itself. */
	if (ev->data.scalar.anchor) {
		from += strcspn(f->text + from, " \t\n");
		from += strspn(f->text + from, " \t\n");
	}
	while (to > from && strchr(" \t\r\n", f->text[to - 1]))
		to--;
	if (ev->data.scalar.style != YAML_LITERAL_SCALAR_STYLE &&
	    ev->data.scalar.style != YAML_FOLDED_SCALAR_STYLE && from <= to &&
	    !memchr(f->text + from, '\n', to - from))
		return arena_strndup(&f->arena, f->text + from, to - from);
	out = p = arena_alloc(&f->arena, 4 * ev->data.scalar.length + 3);
	if (!out)
		return NULL;
	*p++ = '"';
	for (size_t i = 0; i < ev->data.scalar.length; i++) {
		if (value[i] == '"' || value[i] == '\\')
			p += sprintf(p, "\\%c", value[i]);
		else if (value[i] < 0x20 || value[i] == 0x7f)
			p += sprintf(p, "\\x%02x", value[i]);
		else
			*p++ = (char)value[i];
	}
	*p++ = '"';
	*p = 0;
	return out;
}

struct level {
	struct fnode *node;
	struct fnode *key;
};

static int attach(struct formatter *f, struct level *top, struct fnode *n)
{
	struct entry e = { .value = n };

	if (!top) {
		f->root = n;
		return 0;
	}
	if (top->node->type == NODE_MAP && !top->key) {
		top->key = n;
		return 0;
	}
	e.key = top->key;
	e.place = top->node->count;
	top->key = NULL;
	if (vector_grow(&top->node->entry, top->node->count, &top->node->cap, sizeof(e)))
		return -ENOMEM;
	top->node->entry[top->node->count++] = e;
	return 0;
}

/* Nodes are checked by yaml_read() before: one document, no tags, bounded depth. */
static int read_event(struct formatter *f, const yaml_event_t *ev, struct level *level,
		      unsigned *depth)
{
	struct level *top = *depth ? &level[*depth - 1] : NULL;
	struct fnode *n = NULL;

	switch (ev->type) {
	case YAML_SCALAR_EVENT:
		n = fnode_new(f, NODE_SCALAR, ev, ev->data.scalar.anchor);
		if (n)
			n->raw = scalar_raw(f, ev);
		return n && n->raw ? attach(f, top, n) : -ENOMEM;
	case YAML_ALIAS_EVENT:
		n = fnode_new(f, NODE_SCALAR, ev, NULL);
		f->anchors = true;
		if (n)
			n->raw = arena_printf(&f->arena, "*%s", (const char *)ev->data.alias.anchor);
		return n && n->raw ? attach(f, top, n) : -ENOMEM;
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		n = ev->type == YAML_SEQUENCE_START_EVENT ?
			    fnode_new(f, NODE_SEQ, ev, ev->data.sequence_start.anchor) :
			    fnode_new(f, NODE_MAP, ev, ev->data.mapping_start.anchor);
		if (!n || *depth == POLICY_DEPTH_MAX)
			return -ENOMEM;
		n->flow = ev->type == YAML_SEQUENCE_START_EVENT ?
				  ev->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE :
				  ev->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE;
		level[(*depth)++] = (struct level) { .node = n };
		return 0;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		n = top->node;
		/* A block ends where the next token is: its own end is that of its last entry. */
		n->last = n->flow ? ev->end_mark.line : n->first;
		if (!n->flow && n->count)
			n->last = n->entry[n->count - 1].value->last;
		(*depth)--;
		return attach(f, *depth ? &level[*depth - 1] : NULL, n);
	default:
		return 0;
	}
}

static int read_tree(struct formatter *f)
{
	struct level level[POLICY_DEPTH_MAX];
	yaml_parser_t parser;
	unsigned depth = 0;
	bool end = false;
	int err = 0;

	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)f->text, f->len);
	while (!err && !end) {
		yaml_event_t ev;

		if (!yaml_parser_parse(&parser, &ev)) {
			err = -EINVAL;
			break;
		}
		end = ev.type == YAML_STREAM_END_EVENT;
		err = read_event(f, &ev, level, &depth);
		yaml_event_delete(&ev);
	}
	yaml_parser_delete(&parser);
	/* What was not closed when memory ended is in no tree. */
	for (unsigned i = 0; err && i < depth; i++)
		free(level[i].node->entry);
	return err;
}

static void tree_free(struct fnode *n)
{
	for (size_t i = 0; n && i < n->count; i++)
		tree_free(n->entry[i].value);
	if (n)
		free(n->entry);
}

/* ------------------------------------------------------- whose comments are they */

/* The comment that ends `line`, as 1 + index. */
static size_t take_trail(struct formatter *f, size_t line)
{
	size_t i = f->next;

	while (i < f->comments && f->comment[i].line < line)
		i++;
	if (i == f->comments || f->comment[i].line != line || f->comment[i].own ||
	    f->comment[i].taken)
		return 0;
	f->comment[i].taken = true;
	return i + 1;
}

static void take_comments(struct formatter *f, struct fnode *n)
{
	for (size_t i = 0; i < n->count; i++) {
		struct entry *e = &n->entry[i];
		size_t first = e->key ? e->key->first : e->value->first;

		e->blank = first && f->blank[first - 1];
		while (f->next < f->comments && f->comment[f->next].taken)
			f->next++;
		e->lead = f->next;
		while (f->next < f->comments &&
		       (f->comment[f->next].line < first || f->comment[f->next].taken)) {
			f->comment[f->next].taken = true;
			f->next++;
		}
		e->leads = f->next - e->lead;
		if (e->leads)
			e->blank = f->comment[e->lead].blank;
		/* "key:  # comment", with the value below. */
		if (e->key && e->value->first > e->key->last)
			e->trail = take_trail(f, e->key->last);
		if (e->value->type != NODE_SCALAR)
			take_comments(f, e->value);
		/* What ends the line of a whole flow collection is about that. */
		if (!e->trail && !(n->flow && e->value->last == n->last))
			e->trail = take_trail(f, e->value->last);
	}
}

static bool has_comments(const struct formatter *f, const struct fnode *n)
{
	for (size_t i = 0; i < n->count; i++)
		if (n->entry[i].leads || n->entry[i].trail ||
		    has_comments(f, n->entry[i].value))
			return true;
	return false;
}

/* ------------------------------------------------------------------- order */

static const char *const rule_keys[] = {
	"name",	   "do",      "as",	"expect", /* tests */
	"on",	   "allow",   "deny",	"type",	    "path",	 "node",     "family",
	"protocol", "to",     "port",	"unix",	    "abstract",	 "bind",     "source",
	"target",  "peer",    "profile", "flags",   "options",	 "value",    "priority",
	"by",	   "way",     "cause",	"force",    "late",	 "deadline", "fallback",
	"rate",	   "errno",   "audit",	"optional", "id",
};

static size_t key_rank(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(rule_keys); i++)
		if (!strcmp(rule_keys[i], key))
			return i;
	return ARRAY_SIZE(rule_keys);
}

/* Override rules say what to do after what it is about; tests say it first. */
static size_t entry_rank(const struct entry *e, bool override)
{
	if (override && !strcmp(e->key->raw, "do"))
		return 2 * key_rank("by") + 1;
	return 2 * key_rank(e->key->raw);
}

static bool is_override(const struct fnode *n)
{
	for (size_t i = 0; i < n->count; i++)
		if (!strcmp(n->entry[i].key->raw, "on"))
			return true;
	return false;
}

/* Rules: mappings that are entries of a list. Stable. */
static void order_keys(struct fnode *n, bool rule)
{
	bool override = n->type == NODE_MAP && is_override(n);

	for (size_t i = 1; rule && n->type == NODE_MAP && i < n->count; i++)
		for (size_t k = i; k && entry_rank(&n->entry[k], override) <
						entry_rank(&n->entry[k - 1], override);
		     k--) {
			struct entry e = n->entry[k];

			n->entry[k] = n->entry[k - 1];
			n->entry[k - 1] = e;
		}
	for (size_t i = 0; i < n->count; i++)
		order_keys(n->entry[i].value, n->type == NODE_SEQ);
}

/* ------------------------------------------------------------------- writing */

static void put_comment(struct formatter *f, size_t index)
{
	fprintf(f->out, "%.*s\n", (int)f->comment[index].len, f->comment[index].text);
}

static void put_indent(struct formatter *f, unsigned indent)
{
	fprintf(f->out, "%*s", (int)indent, "");
}

static void put_flow(FILE *out, const struct fnode *n)
{
	if (n->anchor)
		fprintf(out, "&%s ", n->anchor);
	if (n->type == NODE_SCALAR) {
		fputs(n->raw, out);
		return;
	}
	fputc(n->type == NODE_SEQ ? '[' : '{', out);
	for (size_t i = 0; i < n->count; i++) {
		if (i)
			fputs(", ", out);
		if (n->entry[i].key) {
			put_flow(out, n->entry[i].key);
			fputs(": ", out);
		}
		put_flow(out, n->entry[i].value);
	}
	fputc(n->type == NODE_SEQ ? ']' : '}', out);
}

static size_t flow_width(const struct fnode *n)
{
	char *text = NULL;
	size_t size = 0, width = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return LINE_MAX_COLUMNS + 1;
	put_flow(out, n);
	if (fclose(out))
		size = LINE_MAX_COLUMNS + 1;
	else
		for (size_t i = 0; i < size; i++)
			width += ((unsigned char)text[i] & 0xc0) != 0x80;
	free(text);
	return width;
}

/* On one line: what the author wrote so, if it fits; what is empty; scalars. */
static bool is_inline(const struct formatter *f, const struct fnode *n, size_t column)
{
	if (n->type == NODE_SCALAR || !n->count)
		return true;
	return n->flow && !has_comments(f, n) && column + flow_width(n) <= LINE_MAX_COLUMNS;
}

static void put_block(struct formatter *f, const struct fnode *n, unsigned indent, bool inside);

static void put_trail(struct formatter *f, const struct entry *e)
{
	if (e->trail) {
		fputs("  ", f->out);
		put_comment(f, e->trail - 1);
	} else {
		fputc('\n', f->out);
	}
}

/* `column`: where the value begins on the line that is being written. */
static void put_value(struct formatter *f, const struct entry *e, unsigned indent, size_t column)
{
	const struct fnode *v = e->value;

	if (is_inline(f, v, column + 1)) {
		if (e->key && (v->type != NODE_SCALAR || *v->raw || v->anchor))
			fputc(' ', f->out);
		put_flow(f->out, v);
		put_trail(f, e);
		return;
	}
	if (e->key) {
		if (v->anchor)
			fprintf(f->out, " &%s", v->anchor);
		put_trail(f, e);
		put_block(f, v, indent + 2, false);
		return;
	}
	/* "- key: value": its comments go above. */
	if (v->anchor) {
		fprintf(f->out, "&%s\n", v->anchor);
		put_block(f, v, indent + 2, false);
		return;
	}
	put_block(f, v, indent + 2, true);
}

/* `inside`: the line of the first entry has begun already ("- "). */
static void put_block(struct formatter *f, const struct fnode *n, unsigned indent, bool inside)
{
	for (size_t i = 0; i < n->count; i++) {
		const struct entry *e = &n->entry[i];
		bool begun = inside && i == 0;
		bool multi_trail = !e->key && e->trail &&
				   !is_inline(f, e->value, indent + 2u);
		size_t column = indent;

		if (!begun && e->blank && ftell(f->out))
			fputc('\n', f->out);
		for (size_t k = e->lead; k < e->lead + e->leads; k++) {
			if (begun)
				break;
			if (k > e->lead && f->comment[k].blank)
				fputc('\n', f->out);
			put_indent(f, indent);
			put_comment(f, k);
		}
		if (multi_trail) {
			put_indent(f, indent);
			put_comment(f, e->trail - 1);
		}
		if (!begun && e->leads && f->blank[(e->key ? e->key : e->value)->first - 1])
			fputc('\n', f->out);
		if (!begun)
			put_indent(f, indent);
		if (e->key) {
			put_flow(f->out, e->key);
			fputc(':', f->out);
			column += flow_width(e->key) + 1;
		} else {
			fputs("- ", f->out);
			column += 1;
		}
		put_value(f, e, indent, column);
	}
}

/* The first key of an entry of a list shares its line: comments above it go above the entry. */
static void lift_comments(struct fnode *n)
{
	for (size_t i = 0; i < n->count; i++) {
		struct entry *e = &n->entry[i];

		lift_comments(e->value);
		if (!e->key && e->value->count && !e->value->flow && e->value->entry[0].leads &&
		    !e->leads) {
			e->lead = e->value->entry[0].lead;
			e->leads = e->value->entry[0].leads;
			e->value->entry[0].leads = 0;
		}
	}
}

int policy_format(const char *name, const char *text, size_t len, char **ret_text,
		  struct policy_diags *diags)
{
	struct formatter *f = calloc(1, sizeof(*f));
	struct node *checked;
	size_t size, errors = diags->errors;
	int err;

	*ret_text = NULL;
	if (!f)
		return -ENOMEM;
	f->file = name;
	f->text = text;
	f->len = len;
	/* Says what is wrong, and that nothing here is more than this file can do. */
	err = yaml_read(&f->arena, name, text, len, &checked, diags);
	if (!err && diags->errors > errors)
		err = -EINVAL;
	if (!err && checked->type != NODE_MAP) {
		diag_add(diags, name, checked->line, checked->column, 0,
			 "expected a mapping: a policy, or a file of tests");
		err = -EINVAL;
	}
	if (!err)
		err = count_characters(f);
	if (!err)
		err = find_comments(f);
	if (!err)
		err = read_tree(f);
	if (!err && f->root && !f->root->count) {
		diag_add(diags, name, 1, 1, 0, "an empty mapping");
		err = -EINVAL;
	}
	if (!err)
		f->out = open_memstream(ret_text, &size);
	if (!err && !f->out)
		err = -ENOMEM;
	if (!err) {
		take_comments(f, f->root);
		if (!f->anchors)
			order_keys(f->root, false);
		lift_comments(f->root);
		put_block(f, f->root, 0, false);
		for (size_t i = 0; i < f->comments; i++)
			if (!f->comment[i].taken) {
				if (f->comment[i].blank)
					fputc('\n', f->out);
				put_comment(f, i);
			}
		if (fclose(f->out))
			err = -ENOMEM;
	}
	tree_free(f->root);
	free(f->comment);
	free(f->byte_of);
	free(f->blank);
	arena_done(&f->arena);
	free(f);
	return err;
}

/* ------------------------------------------------------------------- meaning */

static bool same_node(const struct node *a, const struct node *b)
{
	if (a->type != b->type || a->count != b->count)
		return false;
	if (a->type == NODE_SCALAR)
		return a->len == b->len && !memcmp(a->text, b->text, a->len);
	for (size_t i = 0; i < a->count; i++) {
		if (a->type == NODE_SEQ && !same_node(a->item[i], b->item[i]))
			return false;
		if (a->type == NODE_MAP && i % 2 == 0) {
			const struct node *other = map_get(b, a->item[i]->text);

			if (!other || !same_node(a->item[i + 1], other))
				return false;
		}
	}
	return true;
}

static int read_quietly(const char *name, const char *text, struct arena *arena,
			struct node **ret)
{
	struct policy_diags diags = { 0 };
	int err = yaml_read(arena, name, text, strlen(text), ret, &diags);

	if (!err && diags.errors)
		err = -EINVAL;
	policy_diags_done(&diags);
	return err;
}

int policy_same_tree(const char *name, const char *a, const char *b)
{
	struct arena arena = { 0 };
	struct node *x, *y;
	int err = read_quietly(name, a, &arena, &x);

	if (!err)
		err = read_quietly(name, b, &arena, &y);
	if (!err && !same_node(x, y))
		err = -EINVAL;
	arena_done(&arena);
	return err;
}

bool policy_is_tests(const char *name, const char *text)
{
	struct arena arena = { 0 };
	struct node *root;
	bool tests = !read_quietly(name, text, &arena, &root) && map_get(root, "tests");

	arena_done(&arena);
	return tests;
}
