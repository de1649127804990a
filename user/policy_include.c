// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `include`: files by name, in a version if the name says one. Each is read once; one that leads back to
 * itself is an error, as what it is to add to is not known while it is read.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "policy_internal.h"

#define NAME_MAX_ 128
#define VERSION_MAX 9999

/* a/b, each part a plain name: nothing leads out of the directories searched. */
static bool name_is_fine(const char *name)
{
	const char *p = name;

	if (strlen(name) > NAME_MAX_)
		return false;
	for (;;) {
		size_t len = strcspn(p, "/");

		if (!len || p[0] == '.' ||
		    strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") <
			    len)
			return false;
		if (!p[len])
			return true;
		p += len + 1;
	}
}

/* "base/libc@2": the name, in the arena, and the version; 0: none is asked for. NULL after an error. */
static const char *read_name(struct parser *ps, const struct node *n, uint64_t *ret_version)
{
	const char *at = strchr(n->text, '@'), *name, *end;
	char buf[SHOWN_SIZE];

	*ret_version = 0;
	name = arena_strndup(&ps->p->arena, n->text, at ? (size_t)(at - n->text) : n->len);
	if (!name) {
		ps->fatal = -ENOMEM;
		return NULL;
	}
	if (name_is_fine(name) &&
	    (!at || (parse_digits(at + 1, &end, ret_version) && !*end && at[1] != '0' &&
		     *ret_version <= VERSION_MAX)))
		return name;
	parser_error(ps, n, "include: expected a name like base/libc, or base/libc@2 for its version 2, "
			    "found %s", node_shown(n, buf));
	return NULL;
}

uint64_t parse_version(struct parser *ps, const struct node *root)
{
	const struct node *v = map_get(root, "version");
	uint64_t version = 0;

	if (v)
		expect_number(ps, v, "version", 1, VERSION_MAX, &version);
	return version;
}

/* -------------------------------------------------------------------- cycles */

/* "base/a -> base/b -> base/a" */
static void report_cycle(struct parser *ps, const struct node *n, unsigned from)
{
	char text[512] = "";
	size_t used = 0;

	for (unsigned i = from; i <= ps->depth && used < sizeof(text); i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i == from ? "" : " -> ",
					 i < ps->depth ? ps->seen[ps->chain[i]].name :
							 ps->seen[ps->chain[from]].name);
	parser_error(ps, n, "include: %s leads back to itself: %s", ps->seen[ps->chain[from]].name, text);
}

/* Is it the policy itself, or one that is being read? */
static bool leads_back(struct parser *ps, const struct node *n, const char *name, const struct stat *st)
{
	struct stat own;

	for (unsigned i = 0; i < ps->depth; i++) {
		const struct include *s = &ps->seen[ps->chain[i]];

		if (strcmp(s->name, name) && (!st || s->dev != st->st_dev || s->ino != st->st_ino))
			continue;
		report_cycle(ps, n, i);
		return true;
	}
	if (!st || !ps->root || stat(ps->root, &own) || own.st_dev != st->st_dev ||
	    own.st_ino != st->st_ino)
		return false;
	parser_error(ps, n, "include: %s is this policy itself", name);
	return true;
}

/* ------------------------------------------------------------------- reading */

/* The file at `path` as `name`, if it has the version that is asked for. *ret_version: what it has.
 * True: it was taken, or an error was told. */
static bool include_read(struct parser *ps, const struct node *n, const char *name, const char *path,
			 uint64_t version, uint64_t *ret_version)
{
	struct arena *a = &ps->p->arena;
	cleanup_free char *text = NULL;
	const char *outer_file = ps->file, *file = arena_strndup(a, path, strlen(path));
	bool outer_included = ps->included;
	struct warder_error e = { { 0 } };
	struct node *root;
	struct stat st;
	size_t len;
	int err = file ? policy_read_file(path, &text, &len, &e) : -ENOMEM;

	if (!err && (stat(path, &st) || leads_back(ps, n, name, &st)))
		return true;
	if (err && err != -ENOMEM)
		parser_error(ps, n, "include: %s", e.text);
	else if (!err)
		err = yaml_read(a, file, text, len, &root, ps->diags);
	if (err == -ENOMEM)
		ps->fatal = err;
	if (err)
		return true;
	ps->file = file;
	*ret_version = root->type == NODE_MAP ? parse_version(ps, root) : 0;
	if (!version || *ret_version == version) {
		ps->chain[ps->depth++] = ps->seen_count;
		ps->seen[ps->seen_count++] = (struct include){ .name = name, .version = *ret_version,
							       .dev = st.st_dev, .ino = st.st_ino,
							       .by = outer_file, .line = n->line };
		ps->included = true;
		parser_root(ps, root);
		ps->included = outer_included;
		ps->depth--;
		version = 0;
	}
	ps->file = outer_file;
	return !version;
}

/* In each folder one that is kept as NAME@VERSION.yaml goes before NAME.yaml. */
static void include_find(struct parser *ps, const struct node *n, const char *name, uint64_t version)
{
	char path[WARDER_PATH_MAX], other[WARDER_PATH_MAX] = "";
	uint64_t has = 0, found = 0;

	for (size_t i = 0; ps->dirs && ps->dirs[i]; i++)
		for (unsigned kept = version != 0; kept < 2; kept--) {
			int len = kept ? snprintf(path, sizeof(path), "%s/%s@%llu.yaml", ps->dirs[i], name,
						  (unsigned long long)version) :
					 snprintf(path, sizeof(path), "%s/%s.yaml", ps->dirs[i], name);

			if (len >= (int)sizeof(path) || access(path, F_OK))
				continue;
			if (include_read(ps, n, name, path, version, &has))
				return;
			if (!other[0]) {
				strcpy(other, path);
				found = has;
			}
		}
	if (other[0] && found)
		parser_error(ps, n, "include: %s is version %llu, not %llu: see what has changed and write "
				    "%s@%llu, or keep the file that you know as %s@%llu.yaml",
			     other, (unsigned long long)found, (unsigned long long)version, name,
			     (unsigned long long)found, name, (unsigned long long)version);
	else if (other[0])
		parser_error(ps, n, "include: %s does not say its version (version: %llu)", other,
			     (unsigned long long)version);
	else
		parser_error(ps, n, "include: no file %s.yaml in the policy directories (%s%s)", name,
			     ps->dirs && ps->dirs[0] ? ps->dirs[0] : "none is set",
			     ps->dirs && ps->dirs[0] && ps->dirs[1] ? ", ..." : "");
}

void parse_include(struct parser *ps, struct node *n, void *arg)
{
	uint64_t version;
	const char *name = read_name(ps, n, &version);

	(void)arg;
	if (!name || leads_back(ps, n, name, NULL))
		return;
	/* Once is enough. */
	for (size_t i = 0; i < ps->seen_count; i++) {
		const struct include *s = &ps->seen[i];

		if (strcmp(s->name, name))
			continue;
		if (version && s->version != version)
			parser_error(ps, n, "include: %s is there by %s:%u, in version %llu", name, s->by,
				     s->line, (unsigned long long)s->version);
		return;
	}
	if (ps->seen_count == INCLUDES_MAX || ps->depth >= INCLUDE_DEPTH_MAX) {
		parser_error(ps, n, "include: more than %d files, or nested deeper than %d",
			     INCLUDES_MAX, INCLUDE_DEPTH_MAX);
		return;
	}
	include_find(ps, n, name, version);
}
