/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Signers and signatures of keyring.signed_exec. Functions of their arguments: any thread. */
#ifndef WARDER_POLICY_SIGNED_H
#define WARDER_POLICY_SIGNED_H

#include <stddef.h>
#include <stdint.h>

#include "warder_abi.h"

/* All of what is signed but the digest. */
void signed_content_init(struct warder_signed_content *c);

/* One line of what `warder sign` writes: "sha256:HEX BASE64 NAME", without the newline. Room for
 * WARDER_SIGNATURE_SIZE_MAX + 8 bytes of signature. 0, -EBADMSG, -E2BIG. */
int signed_read_line(const char *line, size_t len, struct warder_signed_content *ret,
		     unsigned char *ret_signature, uint32_t *ret_len);

/* Certificate number n of that layer's signers, as DER; NULL after the last one. The image was
 * verified or made here. */
const unsigned char *image_signer(const struct warder_image *img, uint32_t layer, uint32_t n,
				  uint32_t *ret_len);

#endif
