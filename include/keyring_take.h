/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For processes that are no supervisor, in a container or on the host: a daemon that takes keys over,
 * and a task that joined another session. All are about the calling thread's own keyrings. */
#ifndef WARDER_KEYRING_TAKE_H
#define WARDER_KEYRING_TAKE_H

#include <stdint.h>

/* A keyring of that name in the session keyring, into which the user's other processes may link. */
int keyring_take_ring(const char *name, int32_t *ret);
int keyring_take_session(void);

/* What a task asks for to have the container keyring linked in its session: the description of a key of
 * type "user", with any callout. */
#define KEYRING_ATTACH_KEY "attach:self"
/* Is the container keyring linked in this task's session keyring itself? 1, 0, -errno when that cannot
 * be read. */
int keyring_session_has_container(void);
/* Has it linked there. -ENOKEY: it was not, see docs/KEYRINGS.md. */
int keyring_session_attach(void);

#endif
