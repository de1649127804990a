// SPDX-License-Identifier: LGPL-2.1-or-later
/* Typed access to the tree of a file, each with its diagnostic; arena and diagnostics. */
#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy_internal.h"

/* ------------------------------------------------------------------- arena */

#define ARENA_BLOCK 65536u

struct arena_block {
	struct arena_block *next;
	size_t used, size;
	alignas(16) char data[];
};

void *arena_alloc(struct arena *a, size_t size)
{
	struct arena_block *b = a->head;
	void *p;

	size = (size + 15) & ~(size_t)15;
	if (!b || b->size - b->used < size) {
		size_t room = size > ARENA_BLOCK / 4 ? size : ARENA_BLOCK;

		b = calloc(1, sizeof(*b) + room);
		if (!b)
			return NULL;
		b->size = room;
		/* A big piece must not hide the room left in the block before. */
		if (room == size && a->head) {
			b->next = a->head->next;
			a->head->next = b;
		} else {
			b->next = a->head;
			a->head = b;
		}
	}
	p = b->data + b->used;
	b->used += size;
	return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t len)
{
	char *copy = arena_alloc(a, len + 1);

	if (copy)
		memcpy(copy, s, len);
	return copy;
}

char *arena_printf(struct arena *a, const char *format, ...)
{
	va_list ap;
	char *copy;
	int len;

	va_start(ap, format);
	len = vsnprintf(NULL, 0, format, ap);
	va_end(ap);
	copy = len < 0 ? NULL : arena_alloc(a, (size_t)len + 1);
	if (!copy)
		return NULL;
	va_start(ap, format);
	vsnprintf(copy, (size_t)len + 1, format, ap);
	va_end(ap);
	return copy;
}

void arena_done(struct arena *a)
{
	while (a->head) {
		struct arena_block *next = a->head->next;

		free(a->head);
		a->head = next;
	}
}

int vector_grow(void *array_p, size_t count, size_t *cap, size_t size)
{
	void *p;
	size_t n;

	if (count < *cap)
		return 0;
	n = *cap ? *cap * 2 : 16;
	memcpy(&p, array_p, sizeof(p));
	p = reallocarray(p, n, size);
	if (!p)
		return -ENOMEM;
	memcpy(array_p, &p, sizeof(p));
	*cap = n;
	return 0;
}

/* ------------------------------------------------------------- diagnostics */

static char *diag_format(const char *format, va_list ap)
{
	char *text;

	return vasprintf(&text, format, ap) < 0 ? NULL : text;
}

void diag_addv(struct policy_diags *d, const char *file, unsigned line, unsigned column,
	       int warning, const char *format, va_list ap)
{
	struct policy_diag *item;

	/* Counted even when it cannot be kept: an error never goes unnoticed. */
	d->errors += !warning;
	if (d->count == POLICY_DIAGS_MAX) {
		item = &d->item[POLICY_DIAGS_MAX - 1];
		if (item->line || !item->text || strncmp(item->text, "more ", 5)) {
			free(item->text);
			item->text = strdup("more follow, not shown");
			item->line = item->column = 0;
		}
		item->warning &= warning;
		return;
	}
	if (!d->item)
		d->item = calloc(POLICY_DIAGS_MAX, sizeof(*d->item));
	if (!d->item)
		return;
	item = &d->item[d->count++];
	item->file = strdup(file);
	item->line = line;
	item->column = column;
	item->warning = warning;
	item->text = diag_format(format, ap);
}

void diag_add(struct policy_diags *d, const char *file, unsigned line, unsigned column, int warning,
	      const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	diag_addv(d, file, line, column, warning, format, ap);
	va_end(ap);
}

/* Where a complaint stands among others: by file as they were met, line and column; those about
 * no line at the end. */
static bool diag_precedes(const struct policy_diags *d, const struct policy_diag *a,
			  const struct policy_diag *b)
{
	if (!a->line || !b->line)
		return a->line && !b->line;
	if (!a->file || !b->file)
		return false;
	if (strcmp(a->file, b->file) != 0) {
		for (size_t i = 0; i < d->count; i++)
			if (d->item[i].file && !strcmp(d->item[i].file, a->file))
				return true;
			else if (d->item[i].file && !strcmp(d->item[i].file, b->file))
				return false;
	}
	return a->line != b->line ? a->line < b->line : a->column < b->column;
}

void diags_sort(struct policy_diags *d)
{
	for (size_t i = 1; i < d->count; i++) {
		struct policy_diag x = d->item[i];
		size_t k = i;

		for (; k && diag_precedes(d, &x, &d->item[k - 1]); k--)
			d->item[k] = d->item[k - 1];
		d->item[k] = x;
	}
}

void policy_diags_done(struct policy_diags *d)
{
	for (size_t i = 0; i < d->count; i++) {
		free(d->item[i].file);
		free(d->item[i].text);
	}
	free(d->item);
	memset(d, 0, sizeof(*d));
}

void policy_diags_print(const struct policy_diags *d, FILE *out)
{
	for (size_t i = 0; i < d->count; i++) {
		const struct policy_diag *p = &d->item[i];
		const char *file = p->file ? p->file : "?", *text = p->text ? p->text : "?";
		const char *kind = p->warning ? "warning" : "error";

		if (p->line)
			fprintf(out, "%s:%u:%u: %s: %s\n", file, p->line, p->column, kind, text);
		else
			fprintf(out, "%s: %s: %s\n", file, kind, text);
	}
}

const char *text_shown(const char *text, size_t len, char buf[SHOWN_SIZE])
{
	size_t out = 0, i;

	buf[out++] = '"';
	for (i = 0; i < len && out < SHOWN_SIZE - 16; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < 0x20 || c == 0x7f)
			out += (size_t)snprintf(buf + out, 5, "\\x%02x", c);
		else
			buf[out++] = (char)c;
	}
	/* Not through the middle of a character. */
	while (i < len && i && ((unsigned char)text[i] & 0xc0) == 0x80) {
		i--;
		out--;
	}
	strcpy(buf + out, i < len ? "...\"" : "\"");
	return buf;
}

/* -------------------------------------------------------------------- nodes */

void parser_error(struct parser *ps, const struct node *at, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	diag_addv(ps->diags, ps->file, at->line, at->column, 0, format, ap);
	va_end(ap);
}

void parser_warning(struct parser *ps, const struct node *at, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	diag_addv(ps->diags, ps->file, at->line, at->column, 1, format, ap);
	va_end(ap);
}

const char *node_shown(const struct node *n, char buf[SHOWN_SIZE])
{
	if (n->type == NODE_SCALAR)
		return text_shown(n->text, n->len, buf);
	return n->type == NODE_SEQ ? "a list" : "a mapping";
}

int node_is(const struct node *n, const char *text)
{
	return n->type == NODE_SCALAR && !strcmp(n->text, text);
}

struct node *map_get(const struct node *map, const char *key)
{
	if (!map || map->type != NODE_MAP)
		return NULL;
	for (size_t i = 0; i + 1 < map->count; i += 2)
		if (!strcmp(map->item[i]->text, key))
			return map->item[i + 1];
	return NULL;
}

bool expect_map(struct parser *ps, const struct node *n, const char *what)
{
	char buf[SHOWN_SIZE];

	if (n->type == NODE_MAP)
		return true;
	parser_error(ps, n, "%s: expected a mapping (key: value), found %s", what,
		     node_shown(n, buf));
	return false;
}

bool expect_seq(struct parser *ps, const struct node *n, const char *what)
{
	char buf[SHOWN_SIZE];

	if (n->type == NODE_SEQ)
		return true;
	parser_error(ps, n, "%s: expected a list (- item), found %s", what, node_shown(n, buf));
	return false;
}

/* Would another YAML reader take this plain scalar for something else than text? */
static bool plain_is_text(const struct node *n)
{
	static const char *const words[] = { "",      "~",    "null", "Null",  "NULL",
					     "true",  "True", "TRUE", "false", "False",
					     "FALSE", ".inf", ".nan" };
	const char *p = n->text;
	char *end;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (!strcmp(p, words[i]))
			return false;
	if ((*p >= '0' && *p <= '9') || *p == '-' || *p == '+' || *p == '.') {
		strtod(p, &end);
		return *end != 0;
	}
	return true;
}

const char *expect_string(struct parser *ps, const struct node *n, const char *what)
{
	char buf[SHOWN_SIZE];

	if (n->type == NODE_MAP) {
		parser_error(ps, n,
			     "%s: expected text, found a mapping (text that begins with { "
			     "must be quoted)",
			     what);
		return NULL;
	}
	if (n->type == NODE_SEQ) {
		parser_error(ps, n, "%s: expected text, found a list", what);
		return NULL;
	}
	if (!n->len) {
		parser_error(ps, n, "%s: expected text, found nothing", what);
		return NULL;
	}
	if (n->plain && !plain_is_text(n)) {
		parser_error(ps, n, "%s: expected text, found %s; quote it if it is meant as text",
			     what, node_shown(n, buf));
		return NULL;
	}
	return n->text;
}

bool expect_bool(struct parser *ps, const struct node *n, const char *what, bool *ret)
{
	char buf[SHOWN_SIZE];

	if (n->type == NODE_SCALAR && n->plain) {
		if (!strcmp(n->text, "true")) {
			*ret = true;
			return true;
		}
		if (!strcmp(n->text, "false")) {
			*ret = false;
			return true;
		}
	}
	parser_error(ps, n, "%s: expected true or false%s, found %s", what,
		     n->type == NODE_SCALAR && !n->plain &&
				     (!strcmp(n->text, "true") || !strcmp(n->text, "false")) ?
			     " without quotes" : "",
		     node_shown(n, buf));
	return false;
}

bool parse_digits(const char *text, const char **end, uint64_t *ret)
{
	uint64_t v = 0;
	const char *p = text;

	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(v, 10u, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return false;
	*end = p;
	*ret = v;
	return p != text;
}

bool expect_number(struct parser *ps, const struct node *n, const char *what, uint64_t min,
		   uint64_t max, uint64_t *ret)
{
	char buf[SHOWN_SIZE];
	const char *end;
	uint64_t v;

	if (n->type == NODE_SCALAR && parse_digits(n->text, &end, &v) && !*end && v >= min &&
	    v <= max) {
		*ret = v;
		return true;
	}
	parser_error(ps, n, "%s: expected a number from %llu to %llu, found %s", what,
		     (unsigned long long)min, (unsigned long long)max, node_shown(n, buf));
	return false;
}

bool parse_size(const char *text, uint64_t *ret)
{
	static const char units[] = "KMGT";
	const char *end, *unit;
	uint64_t v;

	if (!parse_digits(text, &end, &v))
		return false;
	if (*end) {
		unit = end[1] ? NULL : strchr(units, *end >= 'a' ? *end - 'a' + 'A' : *end);
		if (!unit || !*unit)
			return false;
		for (const char *u = units; u <= unit; u++)
			if (__builtin_mul_overflow(v, 1024u, &v))
				return false;
	}
	*ret = v;
	return true;
}

bool expect_duration(struct parser *ps, const struct node *n, const char *what, uint64_t max_ms,
		     uint64_t *ret)
{
	static const struct {
		const char *unit;
		uint32_t ms;
	} units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 } };
	char buf[SHOWN_SIZE];
	const char *end;
	uint64_t v;

	if (n->type == NODE_SCALAR && parse_digits(n->text, &end, &v))
		for (size_t i = 0; i < ARRAY_SIZE(units); i++)
			if (!strcmp(end, units[i].unit) &&
			    !__builtin_mul_overflow(v, units[i].ms, &v) && v && v <= max_ms) {
				*ret = v;
				return true;
			}
	parser_error(ps, n,
		     "%s: expected a duration with its unit (500ms, 2s, 1m), at most %llums,"
		     " found %s",
		     what, (unsigned long long)max_ms, node_shown(n, buf));
	return false;
}

int expect_word(struct parser *ps, const struct node *n, const char *what, const char *const *words)
{
	char buf[SHOWN_SIZE], list[256] = "";
	size_t used = 0;

	for (int i = 0; words[i]; i++) {
		if (node_is(n, words[i]))
			return i;
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "",
					 words[i]);
		if (used >= sizeof(list))
			used = sizeof(list) - 1;
	}
	parser_error(ps, n, "%s: expected one of %s, found %s", what, list, node_shown(n, buf));
	return -1;
}

void each_scalar(struct parser *ps, struct node *n, const char *what,
		 void (*fn)(struct parser *, struct node *, void *), void *arg)
{
	if (n->type != NODE_SEQ) {
		if (expect_string(ps, n, what))
			fn(ps, n, arg);
		return;
	}
	if (!n->count)
		parser_error(ps, n, "%s: the list is empty", what);
	for (size_t i = 0; i < n->count && !ps->fatal; i++)
		if (expect_string(ps, n->item[i], what))
			fn(ps, n->item[i], arg);
}

static bool expect_value(struct parser *ps, const struct node *n, const char *what)
{
	char buf[SHOWN_SIZE];

	if (n->type == NODE_SCALAR && n->len)
		return true;
	parser_error(ps, n, "%s: expected a word or number, found %s", what,
		     n->type == NODE_SCALAR ? "nothing" : node_shown(n, buf));
	return false;
}

void each_value(struct parser *ps, struct node *n, const char *what,
		void (*fn)(struct parser *, struct node *, void *), void *arg)
{
	if (n->type != NODE_SEQ) {
		if (expect_value(ps, n, what))
			fn(ps, n, arg);
		return;
	}
	if (!n->count)
		parser_error(ps, n, "%s: the list is empty", what);
	for (size_t i = 0; i < n->count && !ps->fatal; i++)
		if (expect_value(ps, n->item[i], what))
			fn(ps, n->item[i], arg);
}

bool check_keys(struct parser *ps, const struct node *n, const char *what, const struct key *keys)
{
	char buf[SHOWN_SIZE], list[512];

	if (!expect_map(ps, n, what))
		return false;
	for (size_t i = 0; i + 1 < n->count; i += 2) {
		const struct key *k = keys;
		size_t used = 0;

		while (k->name && strcmp(k->name, n->item[i]->text))
			k++;
		if (k->name)
			continue;
		for (k = keys; k->name && used < sizeof(list); k++)
			used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s",
						 k == keys ? "" : ", ", k->name);
		parser_error(ps, n->item[i], "%s: unknown key %s; known: %s", what,
			     node_shown(n->item[i], buf), list);
	}
	for (const struct key *k = keys; k->name; k++)
		if (k->required && !map_get(n, k->name))
			parser_error(ps, n, "%s: the key \"%s\" is missing", what, k->name);
	return true;
}
