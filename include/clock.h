/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef WARDER_CLOCK_H
#define WARDER_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Milliseconds of a clock that only goes forward. */
static inline uint64_t clock_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

#endif
