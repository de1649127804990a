// SPDX-License-Identifier: LGPL-2.1-or-later
/* Public entry of the policy module: reading and checking; policy_image.c compiles. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "policy_internal.h"

int policy_read_file(const char *path, char **ret_text, size_t *ret_len, struct warder_error *e)
{
	/* Not to hang on a FIFO, nor to get a controlling terminal. */
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	cleanup_free char *text = NULL;
	size_t len = 0;
	struct stat st;

	if (fd < 0)
		return error_errno(e, -errno, "cannot open %s", path);
	if (fstat(fd, &st))
		return error_errno(e, -errno, "cannot read %s", path);
	if (!S_ISREG(st.st_mode))
		return error_set(e, -EINVAL, "%s is not a regular file", path);
	if (st.st_size > POLICY_TEXT_MAX)
		return error_set(e, -EINVAL, "%s has %lld bytes: a policy file holds at most %u",
				 path, (long long)st.st_size, POLICY_TEXT_MAX);
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	while (len < (size_t)st.st_size) {
		ssize_t n = read(fd, text + len, (size_t)st.st_size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(e, -errno, "cannot read %s", path);
		if (!n)
			break;
		len += (size_t)n;
	}
	text[len] = 0;
	*ret_text = take_ptr(text);
	*ret_len = len;
	return 0;
}

void policy_free(struct policy *p)
{
	if (!p)
		return;
	nfa_done(&p->nfa);
	free(p->var);
	free(p->rule);
	free(p->pattern);
	free(p->signed_.signature);
	arena_done(&p->arena);
	free(p);
}

int policy_parse(const char *name, const char *text, size_t len, const char *const *include_dirs,
		 struct policy **ret_policy, struct policy_diags *diags)
{
	size_t errors = diags->errors;
	struct policy *p = calloc(1, sizeof(*p));
	struct parser *ps = calloc(1, sizeof(*ps));
	struct node *root;
	int err = -ENOMEM;

	*ret_policy = NULL;
	if (!p || !ps)
		goto out;
	ps->p = p;
	ps->diags = diags;
	ps->dirs = include_dirs;
	ps->file = arena_strndup(&p->arena, name, strlen(name));
	ps->root = ps->file;
	if (!ps->file)
		goto out;
	err = yaml_read(&p->arena, ps->file, text, len, &root, diags);
	if (!err)
		err = parser_run(ps, root);
	/* A limit that stopped the parser is a diagnostic like others. */
	if (err)
		ps->blind++; /* no tree, or not all of it was read */
	if (err == -E2BIG || (!err && diags->errors > errors))
		err = -EINVAL;
	/* What only the whole automaton shows (rules that never decide) is told at once with the
	 * rest, where that is no guess. */
	if (err == -EINVAL && !ps->blind) {
		struct warder_image *img;

		if (policy_compile(p, &img, diags) == -ENOMEM)
			err = -ENOMEM;
		else
			free(img);
	}
	diags_sort(diags);
	if (!err)
		*ret_policy = take_ptr(p);
out:
	free(ps);
	policy_free(p);
	return err;
}

int policy_parse_file(const char *path, const char *const *include_dirs, struct policy **ret_policy,
		      struct policy_diags *diags)
{
	cleanup_free char *text = NULL;
	struct warder_error e = { { 0 } };
	size_t len;
	int err = policy_read_file(path, &text, &len, &e);

	*ret_policy = NULL;
	if (err) {
		diag_add(diags, path, 0, 0, 0, "%s", e.text[0] ? e.text : strerror(-err));
		return err;
	}
	return policy_parse(path, text, len, include_dirs, ret_policy, diags);
}

const char *policy_name(const struct policy *p)
{
	return p->name;
}

int policy_is_selectable(const struct policy *p)
{
	return p->selectable;
}

__u32 policy_keys_max(const struct policy *p)
{
	return p->keys_max;
}
