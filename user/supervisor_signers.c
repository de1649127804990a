// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Signers of containers' files. The ring of a new policy's signers is there before the policy is
 * published, and that of the old one goes only at the next change: an execution that is being
 * checked meanwhile finds either.
 */
#include <errno.h>

#include "supervisor_private.h"

#include "keyring_signers.h"
#include "policy_signed.h"

static int layer_signers(struct supervisor *s, const struct ctr *c, const struct warder_image *img,
			 uint32_t layer, struct warder_error *reterr)
{
	const struct warder_layer *l = &img->h.layer[layer];
	struct keyring_signer signer[WARDER_SIGNERS_MAX];
	struct warder_error e = { "" };
	uint32_t n = 0, len;
	int err;

	for (const unsigned char *der;
	     n < WARDER_SIGNERS_MAX && (der = image_signer(img, layer, n, &len)); n++)
		signer[n] = (struct keyring_signer) { .der = der, .length = len };
	err = s->keyring ? keyring_set_signers(s->keyring, c->cid, l->signers_id, signer, n, &e)
			 : error_set(&e, -ENOSYS, "containers have no keyrings here: %s",
				     s->keyring_reason);
	/* A kernel that cannot check does not ask for the ring either. */
	if (err && (l->signed_flags & WARDER_SIGNED_OPTIONAL) && loader_signed_missing(NULL)) {
		log_warning("container %s: signatures are not checked: %s", c->name, e.text);
		return 0;
	}
	return err ? error_set(reterr, err, "policy %.63s: signed_exec: %s", l->policy, e.text) : 0;
}

int ctr_set_signers(struct supervisor *s, const struct ctr *c, const struct warder_image *img,
		    struct warder_error *reterr)
{
	int err = 0;

	for (uint32_t i = 0; img && s->loader && !err && i < WARDER_LAYERS_MAX; i++)
		if (img->h.layer[i].signed_rule)
			err = layer_signers(s, c, img, i, reterr);
	return err;
}

void ctr_keep_signers(struct supervisor *s, const struct ctr *c, const struct warder_image *now,
		      const struct warder_image *before)
{
	uint64_t keep[2 * WARDER_LAYERS_MAX] = { 0 };

	if (!s->keyring || !(now->h.signed_layers | (before ? before->h.signed_layers : 0)))
		return;
	for (uint32_t i = 0; i < WARDER_LAYERS_MAX; i++) {
		keep[i] = now->h.layer[i].signers_id;
		keep[WARDER_LAYERS_MAX + i] = before ? before->h.layer[i].signers_id : 0;
	}
	keyring_keep_signers(s->keyring, c->cid, keep, 2 * WARDER_LAYERS_MAX);
}

void ctr_adopt_signers(struct supervisor *s, const struct ctr *c)
{
	const struct warder_image *img = sup_ctr_image(s, c);
	struct warder_error e = { "" };

	if (!img)
		return;
	/* They are there, unless somebody took them away. */
	if (ctr_set_signers(s, c, img, &e))
		log_error("container %s: %s: what it wants to run is refused", c->name, e.text);
	ctr_keep_signers(s, c, img, NULL);
}
