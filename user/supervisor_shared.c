// SPDX-License-Identifier: LGPL-2.1-or-later
/* Rings of keys that several containers have: given with a policy, and gone with the last of them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "keyring_shared.h"
#include "policy_shared.h"
#include "supervisor_private.h"

static const struct warder_image *ctr_image(struct supervisor *s, const struct ctr *c)
{
	return c->has_rings ? sup_ctr_image(s, c) : NULL;
}

/* ------------------------------------------------------------------ containers */

int ctr_set_shared(struct supervisor *s, const struct ctr *c, const struct warder_image *img,
		   struct warder_error *reterr)
{
	struct warder_error e = { "" };
	const char *name;
	int err = 0;

	for (unsigned i = 0; img && !err && (name = image_shared(img, i)); i++)
		err = s->keyring && c->has_rings
			      ? keyring_share(s->keyring, c->cid, &c->rings, name, &e)
			      : error_set(&e, -ENOSYS, "containers have no keyrings here: %s",
					  s->keyring_reason);
	return err ? error_set(reterr, err, "keyring.shared: %s", e.text) : 0;
}

static int image_keeps(const char *name, void *arg)
{
	const struct warder_image *img = arg;

	return img && image_shares(img, name);
}

void ctr_follow_shared(struct supervisor *s, const struct ctr *c)
{
	const struct warder_image *img = ctr_image(s, c);
	struct warder_error e = { "" };

	if (!s->keyring || !c->has_rings)
		return;
	keyring_share_only(s->keyring, c->cid, &c->rings, image_keeps, (void *)(uintptr_t)img);
	if (ctr_set_shared(s, c, img, &e))
		log_error("container %s has not all keys that it shares: %s", c->name, e.text);
}

static int ring_is_used(const char *name, void *arg)
{
	struct supervisor *s = arg;

	for (const struct ctr *c = s->ctrs; c; c = c->next) {
		const struct warder_image *img = ctr_image(s, c);

		if (img && image_shares(img, name))
			return 1;
	}
	return 0;
}

void sup_shared_collect(struct supervisor *s)
{
	if (s->keyring)
		keyring_shared_collect(s->keyring, ring_is_used, s);
}

/* -------------------------------------------------------------------- requests */

const char *request_shared(struct json_object *o)
{
	const size_t len = strlen(KEYRING_SHARED_MARK);
	struct warder_error e = { "" };
	const char *name = NULL;

	if (control_get_string(o, "name", &name, &e) != 1 ||
	    strncmp(name, KEYRING_SHARED_MARK, len))
		return NULL;
	return name + len;
}

static int sharers(struct supervisor *s, const char *name, uint64_t **ret_cid, size_t *ret_count)
{
	size_t n = 0;

	for (const struct ctr *c = s->ctrs; c; c = c->next)
		n++;
	*ret_cid = calloc(n + 1, sizeof(**ret_cid));
	*ret_count = 0;
	if (!*ret_cid)
		return -ENOMEM;
	for (const struct ctr *c = s->ctrs; c; c = c->next) {
		const struct warder_image *img = ctr_image(s, c);

		if (img && image_shares(img, name))
			(*ret_cid)[(*ret_count)++] = c->cid;
	}
	return 0;
}

int sup_shared_put(struct supervisor *s, const char *name, const struct shared_key *key,
		   int32_t *ret, struct warder_error *e)
{
	cleanup_free uint64_t *cid = NULL;
	struct keyring_sharers to;

	if (!s->keyring)
		return error_set(e, -ENOSYS, "containers have no keyrings here: %s",
				 s->keyring_reason);
	if (key->options->may)
		return error_set(e, -EINVAL,
				 "what containers may do with keys that they share is the "
				 "same for all: search, view, read and link");
	if (sharers(s, name, &cid, &to.count))
		return error_set(e, -ENOMEM, "out of memory");
	to.cid = cid;
	return keyring_shared_put(s->keyring, name, &to, key->type, key->description, key->payload,
				  key->len, key->rotate, key->options->seconds, ret, e);
}

int sup_shared_end(struct supervisor *s, const char *name, const char *type,
		   const char *description, int revoke, struct warder_error *e)
{
	cleanup_free uint64_t *cid = NULL;
	struct keyring_sharers to;

	if (!s->keyring)
		return error_set(e, -ENOSYS, "containers have no keyrings here: %s",
				 s->keyring_reason);
	if (sharers(s, name, &cid, &to.count))
		return error_set(e, -ENOMEM, "out of memory");
	to.cid = cid;
	return keyring_shared_end(s->keyring, name, &to, type, description, revoke, e);
}

/* Who has it, and what is in it. */
int sup_shared_show(struct supervisor *s, const char *name, struct json_object *r,
		    struct keyring_key **ret, size_t *ret_count, struct warder_error *e)
{
	struct json_object *list;
	int32_t ring;
	int err;

	if (!s->keyring)
		return error_set(e, -ENOSYS, "containers have no keyrings here: %s",
				 s->keyring_reason);
	err = keyring_shared_find(s->keyring, name, &ring, e);
	if (!err)
		err = keyring_shared_list(s->keyring, name, ret, ret_count, e);
	if (err)
		return err;
	control_put_int(r, "shared", ring);
	list = json_object_new_array();
	for (const struct ctr *c = s->ctrs; c; c = c->next) {
		const struct warder_image *img = ctr_image(s, c);

		if (img && image_shares(img, name))
			json_object_array_add(list, json_object_new_string(c->name));
	}
	json_object_object_add(r, "containers", list);
	return 0;
}
