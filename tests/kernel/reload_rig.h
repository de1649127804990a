/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Containers that hammer at a policy while it is replaced: no answer may be of two policies at once,
 * or of one that is gone. For tests of one thread and their children. */
#ifndef RELOAD_RIG_H
#define RELOAD_RIG_H

#include <linux/types.h>
#include <stdatomic.h>

struct warder_image;

/* Shared with the children. */
struct reload {
	/* Reloads begun and done: of two policies, A is published by even ones. */
	_Atomic unsigned long begun, done;
	_Atomic int stop;
	/* Answers; rounds that lie wholly within one reload; answers that neither policy gives, and that
	 * the published one does not give; what a test counts itself. */
	_Atomic unsigned long decisions, whole, mixtures, stale, lost;
	_Atomic unsigned long by[2];
};
extern struct reload *reload;

/* Makes the shared memory. 0, or 1 for a test's setup. */
int reload_open(void);
/* All counts to nothing, before children start. */
void reload_reset(void);

/* 0: as A answers, by errno `a`; 1: as B does; -1: as neither. */
int reload_by(long result, int a, int b);
/* In a child: the end of a round that began when `before` reloads were done, with by[n] from it. */
void reload_judge(unsigned long before, const int *by, int n);

/* Publishes the next one of image[count], by the number of reloads, which it returns. */
unsigned long reload_next(__u32 slot, const struct warder_image *const *image, unsigned long count);
/* Seconds, of a clock that only goes forward. */
double reload_now(void);
/* When a test that wants `seconds` ends; WARDER_RELOAD_SECONDS has its way. */
double reload_end(double seconds);

#endif
