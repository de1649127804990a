/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Does a pattern match a name? By backtracking, with no automaton: what the compiled DFA is
 * compared with. Exponential; knows no variables.
 */
#ifndef WARDER_NAIVE_MATCH_H
#define WARDER_NAIVE_MATCH_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "utf8.h"

static int naive_match(const char *p, const char *s);

/* Length of the character at s, 0 if the bytes there are none. */
static int naive_char_length(const char *s)
{
	return *s ? (int)utf8_sequence(s, strlen(s)) : 0;
}

static int naive_char_value(const char *s, int len)
{
	const unsigned char *u = (const unsigned char *)s;
	int value = len < 2 ? u[0] : u[0] & (0xff >> (len + 1));

	for (int i = 1; i < len; i++)
		value = value << 6 | (u[i] & 63);
	return value;
}

/* Matches the class at p against s; the rest of the pattern is put in *rest. */
static int naive_class(const char *p, const char *s, const char **rest, int *used)
{
	int negate = p[1] == '!', len = naive_char_length(s), ch = naive_char_value(s, len), in = 0;

	p += 1 + negate;
	while (*p != ']') {
		int n = naive_char_length(p), lo = naive_char_value(p, n), hi = lo;

		p += n;
		if (*p == '-' && p[1] != ']') {
			n = naive_char_length(p + 1);
			hi = naive_char_value(p + 1, n);
			p += 1 + n;
		}
		in |= ch >= lo && ch <= hi;
	}
	*rest = p + 1;
	*used = len;
	return len && *s != '/' && in != negate;
}

/* Alternatives: each is put before what follows the group. */
static int naive_group(const char *p, const char *s)
{
	const char *end = p, *start = p + 1, *at;
	int depth = 0;

	do {
		depth += *end == '{' ? 1 : *end == '}' ? -1 : 0;
		end++;
	} while (depth);
	for (at = start, depth = 0; at < end; at++) {
		if (*at == '{')
			depth++;
		if ((*at == ',' && !depth) || at == end - 1) {
			cleanup_free char *one = NULL;

			/* The mark keeps a '*' at the end from making a '**' with one behind. */
			if (asprintf(&one, "%.*s\1%s", (int)(at - start), start, end) < 0)
				abort();
			if (naive_match(one, s))
				return 1;
			start = at + 1;
		}
		if (*at == '}')
			depth--;
	}
	return 0;
}

static int naive_match(const char *p, const char *s)
{
	const char *rest;
	int used;

	switch (*p) {
	case 0:
		return !*s;
	case '*':
		if (p[1] == '*')
			for (;; s++) {
				if (naive_match(p + 2, s))
					return 1;
				if (!*s)
					return 0;
			}
		for (;; s++) {
			if (naive_match(p + 1, s))
				return 1;
			if (!*s || *s == '/')
				return 0;
		}
	case '?':
		used = naive_char_length(s);
		return used && *s != '/' && naive_match(p + 1, s + used);
	case '[':
		return naive_class(p, s, &rest, &used) && naive_match(rest, s + used);
	case '{':
		return naive_group(p, s);
	case 1:
		return naive_match(p + 1, s);
	case '\\':
		p++;
		/* fall through */
	default:
		return *p == *s && naive_match(p + 1, s + 1);
	}
}

#endif
