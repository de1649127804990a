/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sealed rings that hold a container's signers. On the thread that called keyring_new(). */
#ifndef WARDER_KEYRING_SIGNERS_H
#define WARDER_KEYRING_SIGNERS_H

#include "keyring.h"

struct keyring_signer {
	const void *der; /* X.509 */
	size_t length;
};

/* Makes sure that container `cid` has a ring of just these certificates, and records it under `id`,
 * which names the set (struct warder_layer), for BPF. Idempotent. -ENODEV, -EBADMSG, -ENOPKG: the
 * kernel does not take a certificate. */
int keyring_set_signers(struct keyring *k, uint64_t cid, uint64_t id,
			const struct keyring_signer *signer, size_t count,
			struct warder_error *reterr);

/* Drops the container's rings but those of keep[count]; keyring_destroy() drops all of them. */
void keyring_keep_signers(struct keyring *k, uint64_t cid, const uint64_t *keep, size_t count);

#endif
