// SPDX-License-Identifier: LGPL-2.1-or-later
#include "reload_rig.h"

#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "harness.h"

struct reload *reload;

int reload_open(void)
{
	reload = mmap(NULL, sizeof(*reload), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	return reload == MAP_FAILED;
}

void reload_reset(void)
{
	memset(reload, 0, sizeof(*reload));
}

int reload_by(long result, int a, int b)
{
	return result >= 0 ? -1 : errno == a ? 0 : errno == b ? 1 : -1;
}

void reload_judge(unsigned long before, const int *by, int n)
{
	unsigned long after = atomic_load(&reload->begun);

	for (int i = 0; i < n; i++) {
		atomic_fetch_add(&reload->decisions, 1);
		if (by[i] < 0)
			atomic_fetch_add(&reload->mixtures, 1);
		else
			atomic_fetch_add(&reload->by[by[i]], 1);
		/* Nothing was replaced meanwhile: all are by the policy that holds. */
		if (after == before && by[i] != (int)(before & 1))
			atomic_fetch_add(&reload->stale, 1);
	}
	if (after == before)
		atomic_fetch_add(&reload->whole, 1);
}

unsigned long reload_next(__u32 slot, const struct warder_image *const *image, unsigned long count)
{
	unsigned long n = atomic_load(&reload->begun) + 1;
	struct warder_error e = { "" };

	atomic_store(&reload->begun, n);
	if (loader_publish(h_load(), slot, image[n % count], &e))
		errx(99, "cannot publish: %s", e.text);
	atomic_store(&reload->done, n);
	return n;
}

double reload_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double reload_end(double seconds)
{
	const char *asked = getenv("WARDER_RELOAD_SECONDS");

	return reload_now() + (asked ? atof(asked) : seconds);
}
