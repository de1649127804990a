// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * YAML text -> tree of nodes with line and column, by libyaml's events. What the policy
 * language has no use for is refused here: several documents, tags, merge keys, cyclic
 * aliases, keys that are no scalars or are given twice; and everything without a bound.
 * Nothing is recursive: depth is a counter, and the scanner stops at the first node beyond it.
 */
#include <errno.h>
#include <string.h>
#include <yaml.h>

#include "cleanup.h"
#include "policy_internal.h"

struct frame {
	struct node *node;
	struct node **item; /* malloc'ed until the node is closed */
	size_t count, cap;
};

struct anchor {
	const char *name;
	struct node *node;
};

struct reader {
	struct arena *arena;
	const char *file;
	struct policy_diags *diags;
	struct frame frame[POLICY_DEPTH_MAX];
	unsigned depth;
	struct anchor anchor[POLICY_ANCHORS_MAX];
	size_t anchors;
	struct node *root;
	size_t nodes; /* aliases expanded */
};

static int reader_error(struct reader *r, const yaml_mark_t *mark, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int reader_error(struct reader *r, const yaml_mark_t *mark, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	diag_addv(r->diags, r->file, (unsigned)mark->line + 1, (unsigned)mark->column + 1, 0,
		  format, ap);
	va_end(ap);
	return -EINVAL;
}

/* First byte that is not well-formed UTF-8 (no overlong form, no surrogate), or len. */
static size_t utf8_check(const char *text, size_t len)
{
	size_t i = 0;

	while (i < len) {
		unsigned char c = (unsigned char)text[i];
		unsigned char lo = 0x80, hi = 0xbf;
		size_t more;

		if (c < 0x80) {
			i++;
			continue;
		}
		if (c < 0xc2 || c > 0xf4)
			return i;
		more = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
		if (c == 0xe0)
			lo = 0xa0;
		else if (c == 0xed)
			hi = 0x9f;
		else if (c == 0xf0)
			lo = 0x90;
		else if (c == 0xf4)
			hi = 0x8f;
		if (len - i <= more)
			return i;
		for (size_t k = 1; k <= more; k++) {
			unsigned char n = (unsigned char)text[i + k];

			if (n < lo || n > hi)
				return i;
			lo = 0x80;
			hi = 0xbf;
		}
		i += more + 1;
	}
	return len;
}

/* Puts a complete or opened node where it belongs. */
static int reader_attach(struct reader *r, struct node *n, const yaml_mark_t *mark)
{
	struct frame *f;
	char buf[SHOWN_SIZE];

	if (!r->depth) {
		r->root = n;
		return 0;
	}
	f = &r->frame[r->depth - 1];
	if (f->node->type == NODE_MAP && f->count % 2 == 0) {
		if (n->type != NODE_SCALAR)
			return reader_error(r, mark,
					    "a key must be a word, not a list or a mapping");
		if (!strcmp(n->text, "<<"))
			return reader_error(r, mark,
					    "merge keys (<<) are not part of the policy language");
		if (f->count / 2 >= POLICY_KEYS_MAX)
			return reader_error(r, mark, "more than %u keys in one mapping",
					    POLICY_KEYS_MAX);
		for (size_t i = 0; i < f->count; i += 2)
			if (!strcmp(f->item[i]->text, n->text))
				/* Not fatal: the rest of the file may hold more errors. */
				reader_error(r, mark,
					     "%s is given twice in this mapping, first at line %u",
					     text_shown(n->text, n->len, buf), f->item[i]->line);
	}
	if (vector_grow(&f->item, f->count, &f->cap, sizeof(*f->item)))
		return -ENOMEM;
	f->item[f->count++] = n;
	f->node->weight += n->weight;
	return 0;
}

static int reader_node(struct reader *r, enum node_type type, const yaml_event_t *ev,
		       const yaml_char_t *anchor, const yaml_char_t *tag, struct node **ret)
{
	struct node *n;

	if (tag)
		return reader_error(r, &ev->start_mark,
				    "tags (%s) are not part of the policy language",
				    (const char *)tag);
	if (++r->nodes > POLICY_NODES_MAX)
		return reader_error(r, &ev->start_mark, "more than %u values in one file",
				    POLICY_NODES_MAX);
	n = arena_alloc(r->arena, sizeof(*n));
	if (!n)
		return -ENOMEM;
	n->type = type;
	n->line = (unsigned)ev->start_mark.line + 1;
	n->column = (unsigned)ev->start_mark.column + 1;
	n->weight = 1;
	if (anchor) {
		if (r->anchors == POLICY_ANCHORS_MAX)
			return reader_error(r, &ev->start_mark, "more than %u anchors",
					    POLICY_ANCHORS_MAX);
		r->anchor[r->anchors].name =
			arena_strndup(r->arena, (const char *)anchor, strlen((const char *)anchor));
		if (!r->anchor[r->anchors].name)
			return -ENOMEM;
		r->anchor[r->anchors++].node = n;
	}
	*ret = n;
	return 0;
}

static int reader_scalar(struct reader *r, const yaml_event_t *ev)
{
	struct node *n;
	int err = reader_node(r, NODE_SCALAR, ev, ev->data.scalar.anchor, ev->data.scalar.tag, &n);

	if (err)
		return err;
	n->len = ev->data.scalar.length;
	n->plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	n->text = arena_strndup(r->arena, (const char *)ev->data.scalar.value, n->len);
	if (!n->text)
		return -ENOMEM;
	if (memchr(n->text, 0, n->len))
		return reader_error(r, &ev->start_mark, "a NUL byte in a value");
	return reader_attach(r, n, &ev->start_mark);
}

static int reader_open(struct reader *r, enum node_type type, const yaml_event_t *ev,
		       const yaml_char_t *anchor, const yaml_char_t *tag)
{
	struct node *n;
	struct frame *f;
	int err;

	if (r->depth == POLICY_DEPTH_MAX)
		return reader_error(r, &ev->start_mark, "nested deeper than %d levels",
				    POLICY_DEPTH_MAX);
	err = reader_node(r, type, ev, anchor, tag, &n);
	if (err)
		return err;
	/* A mapping as a key is refused now: its end would find nobody to belong to. */
	f = r->depth ? &r->frame[r->depth - 1] : NULL;
	if (f && f->node->type == NODE_MAP && f->count % 2 == 0)
		return reader_error(r, &ev->start_mark,
				    "a key must be a word, not a list or a mapping");
	n->open = true;
	r->frame[r->depth++] = (struct frame) { .node = n };
	return 0;
}

static int reader_close(struct reader *r, const yaml_event_t *ev)
{
	struct frame *f = &r->frame[--r->depth];
	struct node *n = f->node;

	n->open = false;
	n->count = f->count;
	if (f->count) {
		n->item = arena_alloc(r->arena, f->count * sizeof(*n->item));
		if (n->item)
			memcpy(n->item, f->item, f->count * sizeof(*n->item));
	}
	free(f->item);
	f->item = NULL;
	if (f->count && !n->item)
		return -ENOMEM;
	return reader_attach(r, n, &ev->start_mark);
}

static int reader_alias(struct reader *r, const yaml_event_t *ev)
{
	const char *name = (const char *)ev->data.alias.anchor;

	for (size_t i = r->anchors; i-- > 0;) {
		struct node *n = r->anchor[i].node;

		if (strcmp(r->anchor[i].name, name))
			continue;
		if (n->open)
			return reader_error(r, &ev->start_mark, "*%s refers to itself", name);
		/* Weights are bounded by the budget, so the sum cannot wrap. */
		r->nodes += n->weight;
		if (r->nodes > POLICY_NODES_MAX)
			return reader_error(r, &ev->start_mark,
					    "*%s expands the file to more than %u values", name,
					    POLICY_NODES_MAX);
		return reader_attach(r, n, &ev->start_mark);
	}
	return reader_error(r, &ev->start_mark, "*%s names no anchor above it", name);
}

static int reader_event(struct reader *r, const yaml_event_t *ev)
{
	switch (ev->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (r->root)
			return reader_error(r, &ev->start_mark,
					    "a second document: a policy file holds one");
		return 0;
	case YAML_SCALAR_EVENT:
		return reader_scalar(r, ev);
	case YAML_SEQUENCE_START_EVENT:
		return reader_open(r, NODE_SEQ, ev, ev->data.sequence_start.anchor,
				   ev->data.sequence_start.tag);
	case YAML_MAPPING_START_EVENT:
		return reader_open(r, NODE_MAP, ev, ev->data.mapping_start.anchor,
				   ev->data.mapping_start.tag);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return reader_close(r, ev);
	case YAML_ALIAS_EVENT:
		return reader_alias(r, ev);
	default:
		return 0;
	}
}

static int reader_syntax_error(struct reader *r, const yaml_parser_t *p)
{
	if (p->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	if (p->error == YAML_READER_ERROR)
		return reader_error(r, &p->mark, "%s", p->problem ? p->problem : "unreadable text");
	return reader_error(r, &p->problem_mark, "not YAML: %s%s%s",
			    p->problem ? p->problem : "syntax error", p->context ? " " : "",
			    p->context ? p->context : "");
}

static int check_text(const char *file, const char *text, size_t len, struct policy_diags *diags)
{
	unsigned line = 1, column = 1;
	size_t bad;

	if (len > POLICY_TEXT_MAX) {
		diag_add(diags, file, 0, 0, 0, "%zu bytes: a policy file holds at most %u", len,
			 POLICY_TEXT_MAX);
		return -EINVAL;
	}
	bad = utf8_check(text, len);
	if (bad == len)
		return 0;
	for (size_t i = 0; i < bad; i++) {
		if (text[i] == '\n') {
			line++;
			column = 1;
		} else if (((unsigned char)text[i] & 0xc0) != 0x80) {
			column++;
		}
	}
	diag_add(diags, file, line, column, 0, "byte 0x%02x is not UTF-8",
		 (unsigned char)text[bad]);
	return -EINVAL;
}

int yaml_read(struct arena *a, const char *file, const char *text, size_t len,
	      struct node **ret_root, struct policy_diags *diags)
{
	size_t errors = diags->errors;
	struct reader *r;
	yaml_parser_t parser;
	bool end = false;
	int err = check_text(file, text, len, diags);

	if (err)
		return err;
	r = calloc(1, sizeof(*r));
	if (!r || !yaml_parser_initialize(&parser)) {
		free(r);
		return -ENOMEM;
	}
	r->arena = a;
	r->file = file;
	r->diags = diags;
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	while (!err && !end) {
		yaml_event_t ev;

		if (!yaml_parser_parse(&parser, &ev)) {
			err = reader_syntax_error(r, &parser);
			break;
		}
		end = ev.type == YAML_STREAM_END_EVENT;
		err = reader_event(r, &ev);
		yaml_event_delete(&ev);
	}
	yaml_parser_delete(&parser);
	for (unsigned i = 0; i < r->depth; i++)
		free(r->frame[i].item);
	if (!err && !r->root) {
		diag_add(diags, file, 1, 1, 0, "the file holds no document");
		err = -EINVAL;
	}
	if (!err && diags->errors > errors)
		/* Duplicate keys: a tree exists, and its other errors are worth telling. */
		err = 0;
	*ret_root = err ? NULL : r->root;
	free(r);
	return err;
}
