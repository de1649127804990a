/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rings of keys that several containers share: keyring.shared. Functions of their arguments: any
 * thread. */
#ifndef WARDER_POLICY_SHARED_H
#define WARDER_POLICY_SHARED_H

#include "warder_abi.h"

/* Can a ring be called so? A letter, then letters, digits, '_' and '-', WARDER_SHARED_SIZE - 1 at
 * most. 1 or 0. */
int shared_is_name(const char *name);
/* Number n of the names that every layer of the image has; NULL after the last one. The image was
 * verified or made here. */
const char *image_shared(const struct warder_image *img, unsigned n);
/* Does every layer have it? 1 or 0. */
int image_shares(const struct warder_image *img, const char *name);

#endif
