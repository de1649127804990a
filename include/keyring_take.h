/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For a daemon that takes keys over: in its own process, container or host. */
#ifndef WARDER_KEYRING_TAKE_H
#define WARDER_KEYRING_TAKE_H

#include <stdint.h>

/* A keyring of that name in the session keyring, into which the user's other processes may link. */
int keyring_take_ring(const char *name, int32_t *ret);
int keyring_take_session(void);

#endif
