// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Patterns -> NFA.
 *
 *   ?       one character but '/'; a character is one well-formed UTF-8 sequence
 *   *       any run of bytes without '/', empty included, well-formed or not
 *   **      any run of bytes
 *   [a-z]   one character of a class, [!a-z] or [^a-z] one outside it; never '/'
 *   {a,b}   alternatives, nested at will
 *   {VAR}   the values of a variable, as alternatives
 *   \x      x itself
 *
 * A byte that is not part of well-formed UTF-8 is matched by * and ** only.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy_internal.h"

/* Where in a component of the path the text so far ends: finds //, /./ and /../. */
enum place {
	PLACE_START, /* nothing yet: only '/' may come */
	PLACE_SLASH,
	PLACE_DOT,
	PLACE_DOTDOT,
	PLACE_OTHER,
};

struct glob {
	struct nfa *n;
	const struct policy_var *vars;
	size_t nvars;
	uint32_t owner;
	size_t first_state;
	bool name; /* no path: any bytes in any order */
	struct glob_error *err;
	const char *top;   /* the pattern itself, for offsets */
	size_t top_offset; /* where in it the variable being expanded stands */
};

/* One text being read: the pattern, or a variable's value. */
struct cursor {
	const char *text;
	size_t at;
	bool nested; /* inside {...}: ',' and '}' end an alternative */
	unsigned depth;
};

static int glob_fail(struct glob *g, const struct cursor *c, int err, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static int glob_fail(struct glob *g, const struct cursor *c, int err, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(g->err->text, sizeof(g->err->text), format, ap);
	va_end(ap);
	g->err->offset = c->text == g->top ? c->at : g->top_offset;
	return err;
}

/* --------------------------------------------------------------------- sets */

static int nfa_set(struct nfa *n, const struct byteset *s, uint16_t *ret)
{
	uint64_t h = 0;
	size_t slot;

	for (int i = 0; i < 4; i++)
		h = (h ^ s->w[i]) * 0x9e3779b97f4a7c15ull;
	for (slot = h >> 51; n->table[slot]; slot = (slot + 1) % NFA_SETS_TABLE)
		if (!memcmp(&n->set[n->table[slot]], s, sizeof(*s))) {
			*ret = n->table[slot];
			return 0;
		}
	if (n->sets >= NFA_SETS_MAX)
		return -E2BIG;
	if (vector_grow(&n->set, n->sets + 1, &n->sets_cap, sizeof(*n->set)))
		return -ENOMEM;
	if (!n->sets)
		n->set[n->sets++] = (struct byteset) { { 0 } }; /* 0 is none */
	n->set[n->sets] = *s;
	n->table[slot] = (uint16_t)n->sets;
	*ret = (uint16_t)n->sets++;
	return 0;
}

static void byteset_add(struct byteset *s, unsigned lo, unsigned hi)
{
	for (unsigned b = lo; b <= hi; b++)
		s->w[b >> 6] |= 1ull << (b & 63);
}

/* ------------------------------------------------------------------- states */

static int glob_state(struct glob *g, const struct cursor *c, uint32_t *ret)
{
	struct nfa *n = g->n;

	if (n->states - g->first_state >= NFA_PATTERN_STATES_MAX)
		return glob_fail(g, c, -E2BIG, "the pattern expands to more than %u steps",
				 NFA_PATTERN_STATES_MAX);
	if (n->states >= NFA_STATES_MAX)
		return glob_fail(g, c, -E2BIG, "the policy's patterns have more than %u steps",
				 NFA_STATES_MAX);
	if (vector_grow(&n->state, n->states, &n->states_cap, sizeof(*n->state)))
		return -ENOMEM;
	n->state[n->states] = (struct nfa_state) { .owner = g->owner };
	*ret = (uint32_t)n->states++;
	return 0;
}

static int glob_set(struct glob *g, const struct cursor *c, const struct byteset *s, uint16_t *ret)
{
	int err = nfa_set(g->n, s, ret);

	return err == -E2BIG ? glob_fail(g, c, err, "more than %u different character classes",
					 NFA_SETS_MAX)
			     : err;
}

/* *at --set--> new state, which becomes *at. */
static int glob_step(struct glob *g, const struct cursor *c, const struct byteset *s, uint32_t *at)
{
	uint32_t to;
	uint16_t set;
	int err = glob_set(g, c, s, &set);

	if (!err)
		err = glob_state(g, c, &to);
	if (err)
		return err;
	g->n->state[*at].set = set;
	g->n->state[*at].to = to;
	*at = to;
	return 0;
}

static int glob_literal(struct glob *g, const struct cursor *c, unsigned char byte, uint32_t *at)
{
	struct byteset s = { 0 };
	uint16_t set = g->n->single[byte];
	uint32_t to;
	int err;

	if (!set) {
		byteset_add(&s, byte, byte);
		err = glob_set(g, c, &s, &set);
		if (err)
			return err;
		g->n->single[byte] = set;
	}
	err = glob_state(g, c, &to);
	if (err)
		return err;
	g->n->state[*at].set = set;
	g->n->state[*at].to = to;
	*at = to;
	return 0;
}

/* Any run of bytes of `s`. */
static int glob_run(struct glob *g, const struct cursor *c, const struct byteset *s, uint32_t *at)
{
	uint32_t loop, out;
	uint16_t set;
	int err = glob_set(g, c, s, &set);

	if (!err)
		err = glob_state(g, c, &loop);
	if (!err)
		err = glob_state(g, c, &out);
	if (err)
		return err;
	g->n->state[*at].eps[0] = loop;
	g->n->state[loop].set = set;
	g->n->state[loop].to = loop;
	g->n->state[loop].eps[0] = out;
	*at = out;
	return 0;
}

/* Another way from `from`: a chain of splits, so that a state needs two at most. */
static int glob_branch(struct glob *g, const struct cursor *c, uint32_t *split, uint32_t *ret)
{
	uint32_t next;
	int err = glob_state(g, c, ret);

	if (!err)
		err = glob_state(g, c, &next);
	if (err)
		return err;
	g->n->state[*split].eps[0] = *ret;
	g->n->state[*split].eps[1] = next;
	*split = next;
	return 0;
}

/* ---------------------------------------------------------- character classes */

#define RANGES_MAX 64

struct ranges {
	struct {
		uint32_t lo, hi;
	} r[RANGES_MAX * 2 + 4];
	size_t count;
};

static size_t utf8_encode(uint32_t ch, unsigned char out[4])
{
	if (ch < 0x80) {
		out[0] = (unsigned char)ch;
		return 1;
	}
	if (ch < 0x800) {
		out[0] = (unsigned char)(0xc0 | ch >> 6);
		out[1] = (unsigned char)(0x80 | (ch & 0x3f));
		return 2;
	}
	if (ch < 0x10000) {
		out[0] = (unsigned char)(0xe0 | ch >> 12);
		out[1] = (unsigned char)(0x80 | (ch >> 6 & 0x3f));
		out[2] = (unsigned char)(0x80 | (ch & 0x3f));
		return 3;
	}
	out[0] = (unsigned char)(0xf0 | ch >> 18);
	out[1] = (unsigned char)(0x80 | (ch >> 12 & 0x3f));
	out[2] = (unsigned char)(0x80 | (ch >> 6 & 0x3f));
	out[3] = (unsigned char)(0x80 | (ch & 0x3f));
	return 4;
}

/* One character at *at; the text is well-formed UTF-8 (the reader made sure). */
static uint32_t utf8_decode(const char *text, size_t *at)
{
	unsigned char c = (unsigned char)text[(*at)++];
	uint32_t ch = c;
	int more = 0;

	if (c >= 0xf0) {
		ch = c & 7;
		more = 3;
	} else if (c >= 0xe0) {
		ch = c & 15;
		more = 2;
	} else if (c >= 0xc0) {
		ch = c & 31;
		more = 1;
	}
	while (more-- && ((unsigned char)text[*at] & 0xc0) == 0x80)
		ch = ch << 6 | ((unsigned char)text[(*at)++] & 0x3f);
	return ch;
}

/*
 * The characters lo..hi, which have encodings of one length, as byte sequences: split until
 * each trailing byte's range is either full or fixed by its predecessor.
 */
static int class_sequences(struct glob *g, const struct cursor *c, uint32_t lo, uint32_t hi,
			   uint32_t *split, uint32_t join)
{
	unsigned char a[4], b[4];
	size_t len = utf8_encode(lo, a);
	uint32_t at;
	int err;

	for (unsigned i = 1; i < len; i++) {
		uint32_t mask = (1u << (6 * i)) - 1;

		if ((lo & ~mask) == (hi & ~mask))
			continue;
		if (lo & mask) {
			err = class_sequences(g, c, lo, lo | mask, split, join);
			return err ? err : class_sequences(g, c, (lo | mask) + 1, hi, split, join);
		}
		if ((hi & mask) != mask) {
			err = class_sequences(g, c, lo, (hi & ~mask) - 1, split, join);
			return err ? err : class_sequences(g, c, hi & ~mask, hi, split, join);
		}
	}
	utf8_encode(hi, b);
	err = glob_branch(g, c, split, &at);
	for (size_t i = 0; !err && i < len; i++) {
		struct byteset s = { 0 };

		byteset_add(&s, a[i], b[i]);
		err = glob_step(g, c, &s, &at);
	}
	if (!err)
		g->n->state[at].eps[0] = join;
	return err;
}

/* One character out of sorted, disjoint ranges. */
static int glob_characters(struct glob *g, const struct cursor *c, const struct ranges *r,
			   uint32_t *at)
{
	/* Where encodings change length; surrogates have none. */
	static const struct {
		uint32_t lo, hi;
	} lengths[] = {
		{ 0x80, 0x7ff }, { 0x800, 0xd7ff }, { 0xe000, 0xffff }, { 0x10000, 0x10ffff }
	};
	struct byteset ascii = { 0 };
	uint32_t split = *at, join;
	bool wide = false;
	int err;

	for (size_t i = 0; i < r->count; i++) {
		if (r->r[i].lo < 0x80)
			byteset_add(&ascii, r->r[i].lo, r->r[i].hi < 0x80 ? r->r[i].hi : 0x7f);
		wide |= r->r[i].hi >= 0x80;
	}
	if (!wide)
		return glob_step(g, c, &ascii, at);
	err = glob_state(g, c, &join);
	if (!err && (ascii.w[0] | ascii.w[1])) {
		uint32_t from;

		err = glob_branch(g, c, &split, &from);
		if (!err)
			err = glob_step(g, c, &ascii, &from);
		if (!err)
			g->n->state[from].eps[0] = join;
	}
	for (size_t i = 0; !err && i < r->count; i++)
		for (size_t k = 0; !err && k < ARRAY_SIZE(lengths); k++) {
			uint32_t lo = r->r[i].lo > lengths[k].lo ? r->r[i].lo : lengths[k].lo;
			uint32_t hi = r->r[i].hi < lengths[k].hi ? r->r[i].hi : lengths[k].hi;

			if (lo <= hi)
				err = class_sequences(g, c, lo, hi, &split, join);
		}
	*at = join;
	return err;
}

static int range_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void ranges_normalise(struct ranges *r)
{
	size_t out = 0;

	qsort(r->r, r->count, sizeof(r->r[0]), range_compare);
	for (size_t i = 0; i < r->count; i++) {
		if (out && r->r[i].lo <= r->r[out - 1].hi + 1) {
			if (r->r[i].hi > r->r[out - 1].hi)
				r->r[out - 1].hi = r->r[i].hi;
		} else {
			r->r[out++] = r->r[i];
		}
	}
	r->count = out;
}

/* All but the ranges; then all but '/' and NUL, which no name holds inside a component. */
static void ranges_finish(struct ranges *r, bool negate)
{
	static const uint32_t never[] = { 0, '/' };
	struct ranges out = { .count = 0 };
	uint32_t next = 0;

	if (negate) {
		for (size_t i = 0; i < r->count; i++) {
			if (r->r[i].lo > next) {
				out.r[out.count].lo = next;
				out.r[out.count++].hi = r->r[i].lo - 1;
			}
			next = r->r[i].hi + 1;
		}
		if (next <= 0x10ffff) {
			out.r[out.count].lo = next;
			out.r[out.count++].hi = 0x10ffff;
		}
		*r = out;
	}
	for (size_t k = 0; k < ARRAY_SIZE(never); k++) {
		uint32_t ch = never[k];

		out.count = 0;
		for (size_t i = 0; i < r->count; i++) {
			uint32_t lo = r->r[i].lo, hi = r->r[i].hi;

			if (ch < lo || ch > hi) {
				out.r[out.count++] = r->r[i];
				continue;
			}
			if (lo < ch) {
				out.r[out.count].lo = lo;
				out.r[out.count++].hi = ch - 1;
			}
			if (hi > ch) {
				out.r[out.count].lo = ch + 1;
				out.r[out.count++].hi = hi;
			}
		}
		*r = out;
	}
}

/* One character of a class, quoted or not. */
static int class_character(struct glob *g, struct cursor *c, uint32_t *ret)
{
	if (c->text[c->at] == '\\')
		c->at++;
	if (!c->text[c->at])
		return glob_fail(g, c, -EINVAL, "[ without its ]");
	if (c->text[c->at] == '/')
		return glob_fail(g, c, -EINVAL, "a class never matches '/': take it out");
	*ret = utf8_decode(c->text, &c->at);
	return 0;
}

static int glob_class(struct glob *g, struct cursor *c, uint32_t *at)
{
	struct ranges r = { .count = 0 };
	struct cursor start = *c;
	bool negate = false, first = true;
	int err;

	c->at++;
	if (c->text[c->at] == '!' || c->text[c->at] == '^') {
		negate = true;
		c->at++;
	}
	for (; c->text[c->at] != ']' || first; first = false) {
		uint32_t lo, hi;

		err = class_character(g, c, &lo);
		if (err)
			return err;
		hi = lo;
		if (c->text[c->at] == '-' && c->text[c->at + 1] && c->text[c->at + 1] != ']') {
			c->at++;
			err = class_character(g, c, &hi);
			if (err)
				return err;
		}
		if (lo > hi)
			return glob_fail(g, c, -EINVAL, "a range of a class ends before it begins");
		if (r.count == RANGES_MAX)
			return glob_fail(g, c, -E2BIG, "more than %d ranges in one class",
					 RANGES_MAX);
		r.r[r.count].lo = lo;
		r.r[r.count++].hi = hi;
	}
	c->at++;
	ranges_normalise(&r);
	ranges_finish(&r, negate);
	if (!r.count)
		return glob_fail(g, &start, -EINVAL, "a class that no character is in");
	return glob_characters(g, c, &r, at);
}

/* ----------------------------------------------------------------- patterns */

static int glob_items(struct glob *g, struct cursor *c, uint32_t *at, enum place *place);

/* What the next character of the name, `literal` or -1 for a wildcard, does to the place. */
static int place_next(struct glob *g, const struct cursor *c, enum place *place, int literal)
{
	if (g->name) {
		*place = PLACE_OTHER;
		return 0;
	}
	if (*place == PLACE_START && literal != '/')
		return glob_fail(g, c, -EINVAL, "a pattern begins with '/'");
	if (literal == '/') {
		if (*place == PLACE_SLASH)
			return glob_fail(g, c, -EINVAL, "'//' never occurs in a name");
		if (*place == PLACE_DOT || *place == PLACE_DOTDOT)
			return glob_fail(g, c, -EINVAL, "'.' and '..' never occur in a name");
		*place = PLACE_SLASH;
	} else if (literal == '.' && *place == PLACE_SLASH) {
		*place = PLACE_DOT;
	} else if (literal == '.' && *place == PLACE_DOT) {
		*place = PLACE_DOTDOT;
	} else {
		*place = PLACE_OTHER;
	}
	return 0;
}

/* Joins the end of an alternative with the others'. */
static void alternative_end(struct glob *g, uint32_t end, uint32_t join, enum place place,
			    enum place *all, bool first)
{
	g->n->state[end].eps[0] = join;
	if (first)
		*all = place;
	else if (*all != place)
		/* Unlike: the worst that can be said of all of them. */
		*all = *all == PLACE_SLASH || place == PLACE_SLASH ? PLACE_SLASH : PLACE_OTHER;
}

static const struct policy_var *find_var(const struct glob *g, const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < g->nvars; i++)
		if (strlen(g->vars[i].name) == len && !memcmp(g->vars[i].name, name, len))
			break;
	if (i == g->nvars)
		return NULL;
	if (g->vars[i].used)
		*g->vars[i].used = true;
	return &g->vars[i];
}

static int glob_variable(struct glob *g, struct cursor *c, size_t len, uint32_t *at,
			 enum place *place)
{
	const struct policy_var *v = find_var(g, c->text + c->at + 1, len);
	uint32_t split = *at, join;
	enum place before = *place;
	bool outer = c->text == g->top;
	int err;

	if (!v)
		return glob_fail(g, c, -EINVAL, "no variable is called %.*s",
				 (int)(len > 64 ? 64 : len), c->text + c->at + 1);
	if (c->depth >= PATTERN_DEPTH_MAX)
		return glob_fail(g, c, -EINVAL,
				 "{...} nested deeper than %d, or a variable that holds itself",
				 PATTERN_DEPTH_MAX);
	if (outer)
		g->top_offset = c->at;
	err = glob_state(g, c, &join);
	for (size_t i = 0; !err && i < v->values; i++) {
		struct cursor inner = { .text = v->value[i], .depth = c->depth + 1 };
		enum place p = before;
		uint32_t from;

		err = glob_branch(g, c, &split, &from);
		if (!err)
			err = glob_items(g, &inner, &from, &p);
		if (!err)
			alternative_end(g, from, join, p, place, i == 0);
	}
	c->at += len + 2;
	*at = join;
	return err;
}

static int glob_alternatives(struct glob *g, struct cursor *c, uint32_t *at, enum place *place)
{
	struct cursor start = *c;
	uint32_t split = *at, join;
	enum place before = *place;
	bool outer_nested = c->nested, first = true;
	int err;

	if (c->depth >= PATTERN_DEPTH_MAX)
		return glob_fail(g, c, -EINVAL, "{...} nested deeper than %d", PATTERN_DEPTH_MAX);
	err = glob_state(g, c, &join);
	c->nested = true;
	c->depth++;
	do {
		enum place p = before;
		uint32_t from;

		c->at++; /* '{' or ',' */
		if (!err)
			err = glob_branch(g, c, &split, &from);
		if (!err)
			err = glob_items(g, c, &from, &p);
		if (err)
			return err;
		alternative_end(g, from, join, p, place, first);
		if (first && c->text[c->at] == '}')
			return glob_fail(g, &start, -EINVAL,
					 "{...} needs a ',' between alternatives, or the name of a "
					 "variable in capitals");
		first = false;
	} while (c->text[c->at] == ',');
	if (c->text[c->at] != '}')
		return glob_fail(g, &start, -EINVAL, "{ without its }");
	c->at++;
	c->nested = outer_nested;
	c->depth--;
	*at = join;
	return 0;
}

/* Length of a variable's name after '{', 0 if what stands there is none. */
static size_t variable_length(const char *text)
{
	size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

	return len && text[len] == '}' && !(text[0] >= '0' && text[0] <= '9') ? len : 0;
}

static int glob_brace(struct glob *g, struct cursor *c, uint32_t *at, enum place *place)
{
	size_t len = variable_length(c->text + c->at + 1);

	return len ? glob_variable(g, c, len, at, place) : glob_alternatives(g, c, at, place);
}

static int glob_stars(struct glob *g, struct cursor *c, uint32_t *at, enum place *place)
{
	/* NUL too: no path holds one, and an abstract name must not slip by a deny rule. */
	struct byteset s = { { ~0ull, ~0ull, ~0ull, ~0ull } };
	int err = place_next(g, c, place, -1);

	if (err)
		return err;
	if (g->name)
		s.w[0] |= 1;
	c->at++;
	if (c->text[c->at] == '*') {
		c->at++;
		if (c->text[c->at] == '*')
			return glob_fail(g, c, -EINVAL, "'***' means nothing: '*' or '**'");
		/* It may end with '/' or after it, so nothing is known of what follows. */
	} else {
		s.w[0] &= ~(1ull << '/');
	}
	return glob_run(g, c, &s, at);
}

static int glob_any(struct glob *g, struct cursor *c, uint32_t *at)
{
	struct ranges r = { .count = 0 };

	ranges_finish(&r, true);
	c->at++;
	return glob_characters(g, c, &r, at);
}

static int glob_items(struct glob *g, struct cursor *c, uint32_t *at, enum place *place)
{
	int err = 0;

	while (!err && c->text[c->at]) {
		char ch = c->text[c->at];

		if (c->nested && (ch == ',' || ch == '}'))
			break;
		switch (ch) {
		case '*':
			err = glob_stars(g, c, at, place);
			break;
		case '?':
			err = place_next(g, c, place, -1);
			if (!err)
				err = glob_any(g, c, at);
			break;
		case '[':
			err = place_next(g, c, place, -1);
			if (!err)
				err = glob_class(g, c, at);
			break;
		case '{':
			err = glob_brace(g, c, at, place);
			break;
		case '}':
			err = glob_fail(g, c, -EINVAL, "} without its {; quote it as \\}");
			break;
		case '\\':
			if (!c->text[c->at + 1])
				return glob_fail(g, c, -EINVAL, "\\ at the end quotes nothing");
			c->at++;
			ch = c->text[c->at];
			/* fall through */
		default:
			err = place_next(g, c, place, (unsigned char)ch);
			if (!err)
				err = glob_literal(g, c, (unsigned char)ch, at);
			c->at++;
		}
	}
	return err;
}

static int glob_build(struct nfa *n, const char *pattern, const struct policy_var *vars,
		      size_t nvars, uint32_t owner, bool name, uint32_t *ret_start,
		      struct glob_error *reterr)
{
	struct glob g = {
		.n = n,
		.name = name,
		.vars = vars,
		.nvars = nvars,
		.owner = owner,
		.err = reterr,
		.top = pattern,
	};
	struct cursor c = { .text = pattern };
	enum place place = PLACE_START;
	uint32_t start, at;
	int err;

	reterr->text[0] = 0;
	reterr->offset = 0;
	if (strlen(pattern) >= WARDER_PATH_MAX)
		return glob_fail(&g, &c, -EINVAL, "%zu bytes: a pattern has at most %u",
				 strlen(pattern), WARDER_PATH_MAX - 1);
	if (!n->states) {
		if (vector_grow(&n->state, 0, &n->states_cap, sizeof(*n->state)))
			return -ENOMEM;
		n->state[n->states++] = (struct nfa_state) { 0 };
	}
	g.first_state = n->states;
	err = glob_state(&g, &c, &start);
	if (err)
		return err;
	at = start;
	err = glob_items(&g, &c, &at, &place);
	if (err)
		return err;
	if (place == PLACE_START)
		return glob_fail(&g, &c, -EINVAL,
				 name ? "an empty name" : "a pattern begins with '/'");
	if (place == PLACE_DOT || place == PLACE_DOTDOT)
		return glob_fail(&g, &c, -EINVAL, "'.' and '..' never occur in a name");
	if (place == PLACE_SLASH && strcmp(pattern, "/"))
		return glob_fail(&g, &c, -EINVAL,
				 "no name ends with '/': write /dir for the directory, /dir/** for "
				 "what is below it");
	n->state[at].accept = owner + 1;
	*ret_start = start;
	return 0;
}

int glob_compile(struct nfa *n, const char *pattern, const struct policy_var *vars, size_t nvars,
		 uint32_t owner, uint32_t *ret_start, struct glob_error *reterr)
{
	return glob_build(n, pattern, vars, nvars, owner, false, ret_start, reterr);
}

int glob_compile_name(struct nfa *n, const char *pattern, const struct policy_var *vars,
		      size_t nvars, uint32_t owner, uint32_t *ret_start, struct glob_error *reterr)
{
	return glob_build(n, pattern, vars, nvars, owner, true, ret_start, reterr);
}

void nfa_done(struct nfa *n)
{
	free(n->state);
	free(n->set);
	memset(n, 0, sizeof(*n));
}
