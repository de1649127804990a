// SPDX-License-Identifier: LGPL-2.1-or-later
/* `match`: which containers get a policy that they did not ask for. */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy_internal.h"
#include "warder_decide.h"

#define KEY_MAX 255
#define NAME_BYTES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
#define NAME_BYTES_FIRST 62 /* a name begins with one of these, see container_check_name() */

/* ------------------------------------------------------------------ the text */

static void match_add(struct parser *ps, const char *key, struct node *n, const char *what)
{
	struct policy *p = ps->p;
	size_t at = p->matches, errors = ps->diags->errors;

	if (!expect_string(ps, n, what))
		return;
	parser_add_patterns(ps, n, what, POLICY_NO_RULE, WARDER_START_MATCH, 1ull << at, NULL);
	if (ps->diags->errors > errors || ps->fatal)
		return;
	p->match[p->matches++] = (struct policy_match){
		.key = key, .text = n->text, .file = ps->file, .line = n->line, .column = n->column
	};
}

/* Where the next one in order is among the keys of a mapping; its keys differ. */
static size_t next_key(const struct node *n, const struct node *after)
{
	size_t found = n->count;

	for (size_t i = 0; i + 1 < n->count; i += 2) {
		if (after && strcmp(n->item[i]->text, after->text) <= 0)
			continue;
		if (found == n->count || strcmp(n->item[i]->text, n->item[found]->text) < 0)
			found = i;
	}
	return found;
}

static bool key_is_fine(const char *key, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)key[i] < 0x20 || key[i] == 0x7f || key[i] == '=')
			return false;
	return len && len <= KEY_MAX;
}

static void parse_annotations(struct parser *ps, struct node *n)
{
	const struct node *key = NULL;
	char what[KEY_MAX + 32], buf[SHOWN_SIZE];

	if (!expect_map(ps, n, "match.annotations"))
		return;
	if (!n->count)
		parser_error(ps, n, "match.annotations: nothing is in it: leave it out, or write "
				    "KEY: PATTERN");
	if (n->count / 2 >= WARDER_MATCHES_MAX) {
		parser_error(ps, n, "match.annotations: at most %d", WARDER_MATCHES_MAX - 1);
		return;
	}
	for (size_t i = next_key(n, NULL); i < n->count && !ps->fatal; i = next_key(n, key)) {
		key = n->item[i];
		if (!key_is_fine(key->text, key->len)) {
			parser_error(ps, key,
				     "match.annotations: a key has 1 to %d bytes, without '=' and control "
				     "characters, found %s",
				     KEY_MAX, node_shown(key, buf));
			continue;
		}
		snprintf(what, sizeof(what), "match.annotations.%s", key->text);
		match_add(ps, key->text, n->item[i + 1], what);
	}
}

void parse_match(struct parser *ps, struct node *n)
{
	static const struct key keys[] = { { "name", false }, { "annotations", false },
					   { NULL, false } };
	struct node *v;

	if (!check_keys(ps, n, "match", keys))
		return;
	if (!n->count)
		parser_error(ps, n, "match: nothing is in it, which would be every container: to mean "
				    "that, write name: \"*\"");
	v = map_get(n, "name");
	if (v)
		match_add(ps, NULL, v, "match.name");
	v = map_get(n, "annotations");
	if (v)
		parse_annotations(ps, v);
}

void policy_forget_match(struct policy *p)
{
	/* The automaton knows patterns by their numbers, so these go by leaving every list. */
	for (size_t i = 0; i < p->patterns; i++)
		if (p->pattern[i].start == WARDER_START_MATCH)
			p->pattern[i].start = WARDER_START__MAX;
	p->matches = 0;
}

/* ------------------------------------------------------------------ the image */

static __u32 match_start(const struct warder_image *img)
{
	return warder_start(img, warder_profile_at(img, 0), WARDER_START_MATCH);
}

static bool state_has(const struct warder_image *img, __u32 state, __u32 entry)
{
	return image_state_set(img, state) >> entry & 1;
}

static const struct warder_match *match_at(const struct warder_image *img, __u32 i)
{
	return (const struct warder_match *)(const void *)(img->b + img->h.match.offset) + i;
}

static const char *annotation_value(const char *const *annotations, const char *key)
{
	size_t len = strlen(key);

	for (size_t i = 0; annotations && annotations[i]; i++)
		if (!strncmp(annotations[i], key, len) && annotations[i][len] == '=')
			return annotations[i] + len + 1;
	return NULL;
}

int image_matches(const struct warder_image *img, const char *name, const char *const *annotations)
{
	struct warder_text text = { 0 };
	bool all = img->h.layers == 1 && img->h.match.count;

	for (__u32 i = 0; all && i < img->h.match.count; i++) {
		const struct warder_match *m = match_at(img, i);
		const char *value = m->key ? annotation_value(annotations, image_string(img, m->key)) :
					     name;
		size_t len = value ? strlen(value) : WARDER_PATH_MAX;

		all = len < WARDER_PATH_MAX;
		if (!all)
			break;
		memcpy(text.b, value, len);
		all = state_has(img, warder_walk(img, &text, match_start(img), 0, (__u32)len), i);
	}
	return all;
}

struct json_object *image_match_json(const struct warder_image *img)
{
	struct json_object *o = NULL, *annotations = NULL;

	for (__u32 i = 0; i < img->h.match.count; i++) {
		const struct warder_match *m = match_at(img, i);

		if (!o)
			o = json_object_new_object();
		if (m->key && !annotations) {
			annotations = json_object_new_object();
			json_object_object_add(o, "annotations", annotations);
		}
		json_object_object_add(m->key ? annotations : o,
				       m->key ? image_string(img, m->key) : "name",
				       json_object_new_string(image_string(img, m->text)));
	}
	return o;
}

const char *match_text(struct json_object *match, char *buf, size_t size)
{
	struct json_object *name = NULL, *annotations = NULL;
	size_t used = 0;

	buf[0] = '\0';
	if (json_object_object_get_ex(match, "name", &name))
		used = (size_t)snprintf(buf, size, "name %s", json_object_get_string(name));
	if (json_object_object_get_ex(match, "annotations", &annotations)) {
		json_object_object_foreach(annotations, key, value) {
			if (used < size)
				used += (size_t)snprintf(buf + used, size - used, "%s%s=%s",
							 used ? ", " : "", key,
							 json_object_get_string(value));
		}
	}
	/* A pattern may hold terminal sequences. */
	for (char *c = buf; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	return buf;
}

static int annotation_check(const char *text, struct warder_error *reterr)
{
	size_t key = strcspn(text, "=");

	if (text[key] && key_is_fine(text, key) && strlen(text) < WARDER_PATH_MAX)
		return 0;
	return error_set(reterr, -EINVAL,
			 "annotation \"%.60s\" must be KEY=VALUE: a key of at most %d bytes without "
			 "control characters, and less than %u bytes in all",
			 text, KEY_MAX, WARDER_PATH_MAX);
}

int annotations_check(const char *const *annotations, struct warder_error *reterr)
{
	int err = 0;

	for (size_t i = 0; !err && annotations && annotations[i]; i++) {
		size_t key = strcspn(annotations[i], "=") + 1;

		err = annotation_check(annotations[i], reterr);
		for (size_t k = 0; !err && k < i; k++)
			if (!strncmp(annotations[i], annotations[k], key))
				err = error_set(reterr, -EINVAL, "annotation %.*s is given twice",
						(int)key - 1, annotations[i]);
	}
	return err;
}

/* ------------------------------------------------- names that there can be */

struct states {
	__u32 *state;
	size_t count, cap;
};

/* One byte further from each of from[]; `seen` is a bit for each state that was there before. 1: one
 * of them accepts. */
static int names_step(const struct warder_image *img, __u64 *seen, const struct states *from,
		      size_t bytes, struct states *to)
{
	struct warder_text text = { 0 };

	to->count = 0;
	for (size_t i = 0; i < from->count; i++)
		for (size_t b = 0; b < bytes; b++) {
			__u32 s;

			text.b[0] = NAME_BYTES[b];
			s = warder_walk(img, &text, from->state[i], 0, 1);
			if (s == WARDER_STATE_DEAD || (seen[s >> 6] >> (s & 63) & 1))
				continue;
			if (state_has(img, s, 0))
				return 1;
			seen[s >> 6] |= 1ull << (s & 63);
			if (vector_grow(&to->state, to->count, &to->cap, sizeof(*to->state)))
				return -ENOMEM;
			to->state[to->count++] = s;
		}
	return 0;
}

int check_match(const struct policy *p, const struct warder_image *img, struct policy_diags *diags)
{
	cleanup_free __u64 *seen = calloc(WARDER_STATE(img->h.node.count, 0) / 64 + 1, sizeof(*seen));
	struct states side[2] = { { .state = NULL } };
	const struct policy_match *m = &p->match[0];
	char buf[SHOWN_SIZE];
	int found = 0;

	if (!p->matches || m->key)
		return 0;
	if (!seen || vector_grow(&side[0].state, 0, &side[0].cap, sizeof(__u32)))
		found = -ENOMEM;
	if (!found)
		side[0].state[side[0].count++] = match_start(img);
	for (size_t len = 1; !found && len < WARDER_NAME_SIZE && side[(len - 1) & 1].count; len++)
		found = names_step(img, seen, &side[(len - 1) & 1],
				   len == 1 ? NAME_BYTES_FIRST : strlen(NAME_BYTES), &side[len & 1]);
	free(side[0].state);
	free(side[1].state);
	if (!found)
		diag_add(diags, m->file, m->line, m->column, 0,
			 "match.name: no container's name is like %s: they have up to %d letters, "
			 "digits, '_', '.', '-', and begin with a letter or digit",
			 text_shown(m->text, strlen(m->text), buf), WARDER_NAME_SIZE - 1);
	return found < 0 ? found : 0;
}
