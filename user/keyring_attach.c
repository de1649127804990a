// SPDX-License-Identifier: LGPL-2.1-or-later
/* In a container: the container keyring in a session of a task's own. */
#include <errno.h>
#include <keyutils.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "keyring_internal.h"
#include "keyring_take.h"

#define CONTAINER_PREFIX KEYRING_PREFIX "c."

int keyring_session_has_container(void)
{
	cleanup_free int32_t *serials = NULL;
	size_t count = 0;
	int err = keyring_read_ring(KEY_SPEC_SESSION_KEYRING, &serials, &count);

	for (size_t i = 0; !err && i < count; i++) {
		struct keyring_text t;
		int found;

		if (keyring_describe(serials[i], &t))
			continue;
		found = !strcmp(t.type, "keyring") &&
			!strncmp(t.description, CONTAINER_PREFIX, strlen(CONTAINER_PREFIX));
		keyring_text_done(&t);
		if (found)
			return 1;
	}
	return err;
}

int keyring_session_attach(void)
{
	int has = keyring_session_has_container();

	if (has)
		return has < 0 ? has : 0;
	/* Whatever comes of it: what counts is what the host did before it answered. */
	request_key("user", KEYRING_ATTACH_KEY, "x", 0);
	has = keyring_session_has_container();
	return has > 0 ? 0 : has < 0 ? has : -ENOKEY;
}
