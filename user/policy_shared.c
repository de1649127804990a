// SPDX-License-Identifier: LGPL-2.1-or-later
/* keyring.shared: the rings of keys that a policy's containers have with those of other policies.
 */
#include <string.h>

#include "policy_internal.h"
#include "policy_shared.h"

int shared_is_name(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	size_t len = strnlen(name, WARDER_SHARED_SIZE);

	/* A name that began with a digit could be taken for a container's id (registry_prune()). */
	return len && len < WARDER_SHARED_SIZE && strchr(letters, name[0]) &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
		       len;
}

static int layer_shares(const struct warder_layer *l, const char *name)
{
	for (unsigned i = 0; i < WARDER_SHARED_MAX; i++)
		if (!strncmp(l->shared[i], name, WARDER_SHARED_SIZE))
			return 1;
	return 0;
}

int image_shares(const struct warder_image *img, const char *name)
{
	if (!*name)
		return 0;
	for (unsigned i = 0; i < WARDER_LAYERS_MAX && i < img->h.layers; i++)
		if (!layer_shares(&img->h.layer[i], name))
			return 0;
	return 1;
}

const char *image_shared(const struct warder_image *img, unsigned n)
{
	for (unsigned i = 0; i < WARDER_SHARED_MAX; i++) {
		const char *name = img->h.layer[0].shared[i];

		if (image_shares(img, name) && !n--)
			return name;
	}
	return NULL;
}

static void read_shared(struct parser *ps, struct node *n, void *arg)
{
	struct policy *p = ps->p;
	char buf[SHOWN_SIZE];

	(void)arg;
	if (!shared_is_name(n->text) || n->len != strlen(n->text)) {
		parser_error(ps, n,
			     "keyring.shared: expected a letter, and up to %d letters, digits, "
			     "'_' or '-', found %s",
			     WARDER_SHARED_SIZE - 2, node_shown(n, buf));
		return;
	}
	for (size_t i = 0; i < p->shared_count; i++) {
		if (!strcmp(p->shared[i], n->text)) {
			parser_error(ps, n, "keyring.shared: %s is named twice", n->text);
			return;
		}
	}
	if (p->shared_count == WARDER_SHARED_MAX)
		parser_error(ps, n, "keyring.shared: more than %d", WARDER_SHARED_MAX);
	else
		memcpy(p->shared[p->shared_count++], n->text, n->len);
}

void parse_shared(struct parser *ps, struct node *n)
{
	each_scalar(ps, n, "keyring.shared", read_shared, NULL);
}
