// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A daemon that answers a container's key upcalls by the library, in the simplest way: what
 * tests/bench/upcalls.sh measures.
 *
 *   queue             in the container
 *   queue CONTAINER   on the host
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>

#include "warder.h"

int main(int argc, char **argv)
{
	struct warder_queue *q;
	char e[256] = "";

	if (warder_queue_open(&q, argc > 1 ? argv[1] : NULL, argc > 1 ? 0 : WARDER_QUEUE_INSIDE, e, sizeof(e)) ||
	    warder_queue_serve(q, "user", e, sizeof(e)))
		errx(1, "%s", e);
	puts("serving");
	fflush(stdout);
	for (;;) {
		struct warder_upcall_asked u = { .struct_size = sizeof(u) };
		int err = warder_queue_next(q, &u, -1, e, sizeof(e));

		if (err && err != -EAGAIN)
			errx(1, "%s", e);
		if (!err && u.what == WARDER_UPCALL_ASKED && warder_queue_instantiate(q, u.seq, "answer", 6, 0))
			errx(1, "an answer was not sent");
	}
}
