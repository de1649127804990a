// SPDX-License-Identifier: LGPL-2.1-or-later
/* `fuse:` of an override rule: which program of the host's reads an image in the kernel's place. */
#include <string.h>

#include "executor.h"
#include "policy_internal.h"

#define PROGRAM_MAX 255

/* A name that is looked for in the host's folders of programs, or an absolute path. */
static bool program_is_fine(const struct node *v)
{
	if (v->type != NODE_SCALAR || !v->len || v->len > PROGRAM_MAX)
		return false;
	if (v->text[0] != '/')
		return !strchr(v->text, '/') && v->text[0] != '.' && v->text[0] != '-';
	return !strstr(v->text, "//") && !strstr(v->text, "/../") && !strstr(v->text, "/./") &&
	       v->text[v->len - 1] != '/';
}

static bool has_type(const struct fstypes *types, const struct node *name)
{
	for (size_t i = 0; i < types->count; i++)
		if (node_is(name, types->type[i]))
			return true;
	return false;
}

const char *fuse_program(const struct node *n, const char *type)
{
	const struct node *fuse = map_get(n, "fuse");

	for (size_t i = 0; fuse && fuse->type == NODE_MAP && i + 1 < fuse->count; i += 2)
		if (node_is(fuse->item[i], type) && fuse->item[i + 1]->type == NODE_SCALAR)
			return fuse->item[i + 1]->text;
	return NULL;
}

void parse_fuse(struct parser *ps, struct node *n, const struct fstypes *types)
{
	struct node *fuse = map_get(n, "fuse"), *v;
	char buf[SHOWN_SIZE];

	if (!expect_map(ps, fuse, "fuse"))
		return;
	if (!map_get(n, "type")) {
		parser_error(ps, fuse, "fuse: only a rule with type has it");
		return;
	}
	for (size_t i = 0; i + 1 < fuse->count; i += 2) {
		if (!has_type(types, fuse->item[i]))
			parser_error(ps, fuse->item[i], "fuse: the rule's type does not name %s",
				     node_shown(fuse->item[i], buf));
		if (!program_is_fine(fuse->item[i + 1]))
			parser_error(ps, fuse->item[i + 1],
				     "fuse: expected the name or the absolute path of a program, of at most "
				     "%d bytes, found %s",
				     PROGRAM_MAX, node_shown(fuse->item[i + 1], buf));
	}
	for (size_t i = 0; i < types->count; i++)
		if (executor_is_view(types->type[i]) || executor_is_overlay(types->type[i]))
			parser_error(ps, fuse, "fuse: %s is in no image that a program could read",
				     types->type[i]);
		else if (!fuse_program(n, types->type[i]))
			parser_error(ps, fuse, "fuse: says no program for type %s",
				     types->type[i][0] ? types->type[i] : "*");
	v = map_get(n, "trusted_image");
	if (v)
		parser_error(ps, v, "trusted_image: the kernel does not read what a FUSE program does");
	v = map_get(n, "options");
	if (v)
		parser_error(ps, v, "options: none are passed on to a FUSE program");
	if (!map_get(n, "target"))
		parser_error(ps, n, "override: a rule with fuse needs target");
	if (!map_get(n, "image") == !map_get(n, "source"))
		parser_error(ps, fuse,
			     "fuse: needs source (the images in the container that may be mounted) or image "
			     "(a file of the host's)");
	v = map_get(n, "do");
	if (v && !node_is(v, "perform"))
		parser_error(ps, v, "do: a rule with fuse has do: perform");
}
