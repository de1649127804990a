// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Compiled automata against a backtracking matcher. Lines of the input: patterns, an empty line,
 * names. Each pattern is a bit in the accept records' sets; what the walk says of each name must
 * be what the matcher says, wherever the name lies and wherever the walk is interrupted.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/naive_match.h"
#include "policy_internal.h"
#include "warder_decide.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PATTERNS 6
#define NAMES 16

static struct warder_image *img;
static struct warder_text text;

/* The matcher is exponential, and does not know everything: short, and only what it knows. */
static bool pattern_is_fine(const char *p)
{
	unsigned stars = 0, braces = 0;

	for (const char *s = p; *s; s++) {
		stars += *s == '*';
		braces += *s == '{';
		if (*s == '\\' || *s == '^' || *s < ' ' || *s > '~')
			return false;
	}
	return strlen(p) <= 48 && stars <= 5 && braces <= 3 && !strstr(p, "[]") &&
	       !strstr(p, "[!]");
}

static int accept(void *arg, const uint32_t *patterns, size_t count, uint32_t *ret)
{
	(void)arg;
	*ret = 0;
	for (size_t i = 0; i < count; i++)
		*ret |= 1u << patterns[i];
	return 0;
}

static uint32_t walk(uint32_t start, const char *name, uint32_t from, uint32_t len, uint32_t off)
{
	memset(text.b, '/', sizeof(text.b));
	memcpy(text.b + off, name + from, len);
	return warder_walk(img, &text, start, off, len);
}

static void check_name(uint32_t start, const char *const *pattern, size_t patterns,
		       const char *name)
{
	uint32_t len = (uint32_t)strlen(name), state = walk(start, name, 0, len, 100), want = 0;
	uint32_t cut = len ? (uint8_t)name[len - 1] % (len + 1) : 0;

	for (size_t i = 0; i < patterns; i++)
		want |= (uint32_t)naive_match(pattern[i], name) << i;
	if (!image_state_is_fine(img, state) ||
	    (WARDER_ACCEPT_FIELD(img, warder_accept_at(img, state), set)) != want)
		abort();
	if (walk(walk(start, name, 0, cut, 5), name, cut, len - cut,
		 WARDER_TEXT_SIZE - (len - cut)) != state)
		abort();
	if (warder_state_below(img, state) != walk(state, "/", 0, 1, 63))
		abort();
}

/* 0 and the automaton in img, or no such automaton. */
static int compile(const char *const *pattern, size_t patterns, uint32_t *ret_start)
{
	static struct warder_accept record[1u << PATTERNS];
	struct accept_table table = { .record = record, .records = 1u << PATTERNS };
	uint32_t list[PATTERNS];
	const uint32_t *starts[] = { list };
	uint64_t cost[PATTERNS];
	struct dfa_options o = { .start = starts,
				 .counts = &patterns,
				 .n_starts = 1,
				 .accept = accept,
				 .cost = cost };
	struct writer w = { .img = img, .at = sizeof(img->h) };
	struct nfa *n = calloc(1, sizeof(*n));
	struct glob_error e;
	struct dfa d = { 0 };
	int err = n ? 0 : -1;

	memset(img, 0, img->h.strings.offset ?: sizeof(*img));
	for (uint32_t i = 0; i < 1u << PATTERNS; i++)
		record[i].set = i;
	for (size_t i = 0; !err && i < patterns; i++)
		err = glob_compile(n, pattern[i], NULL, 0, (uint32_t)i, &list[i], &e);
	if (!err)
		err = dfa_build(n, &o, &d);
	if (!err)
		err = dfa_write(&w, &img->h, &d, 1, &table, ret_start);
	img->h.strings.offset = w.at; /* what to clear the next time */
	if (!err && image_verify_dfa(img))
		abort();
	dfa_done(&d);
	if (n)
		nfa_done(n);
	free(n);
	return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *pattern[PATTERNS], *name[NAMES];
	size_t patterns = 0, names = 0;
	uint32_t start;
	char *copy, *at, *line;

	if (!img)
		img = calloc(1, sizeof(*img));
	copy = malloc(size + 1);
	if (!img || !copy || size > 1024) {
		free(copy);
		return 0;
	}
	memcpy(copy, data, size);
	copy[size] = 0;
	at = copy;
	while ((line = strsep(&at, "\n")) && *line && patterns < PATTERNS)
		if (pattern_is_fine(line))
			pattern[patterns++] = line;
	while ((line = strsep(&at, "\n")) && names < NAMES)
		if (strlen(line) <= 80)
			name[names++] = line;
	if (patterns && names && !compile(pattern, patterns, &start))
		for (size_t i = 0; i < names; i++)
			check_name(start, pattern, patterns, name[i]);
	free(copy);
	return 0;
}
