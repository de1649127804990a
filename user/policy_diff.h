/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between policy_diff*.c: both automata walked at once, and the list of differences. */
#ifndef WARDER_POLICY_DIFF_H
#define WARDER_POLICY_DIFF_H

#include "policy_tools.h"

/*
 * All pairs of states that some name leads to, shortest names first. With `path` only names that
 * the kernel gives are tried: absolute, without "//", "." and "..". `visit` is called once for each
 * pair; product_name() tells the name while it runs. Non-zero from `visit` ends the walk. With
 * `apart` (may be NULL), an image whose file rules tell names apart, a pair is visited once for each of
 * that one's states; product_apart() says which.
 */
struct product;
typedef int (*product_fn)(struct product *p, __u32 old_state, __u32 new_state, void *arg);
int product_walk_apart(const struct warder_image *old, const struct warder_image *new_, __u32 old_start,
		       __u32 new_start, const struct warder_image *apart, product_fn visit, void *arg,
		       bool *ret_incomplete);
__u32 product_apart(const struct product *p);
int product_walk(const struct warder_image *old, const struct warder_image *new_, __u32 old_start,
		 __u32 new_start, bool path, product_fn visit, void *arg, bool *ret_incomplete);
/* Into buf; returns buf, or NULL if it does not fit. */
const char *product_name(const struct product *p, char *buf, size_t size);

struct diff {
	struct policy_diff *out;
	const struct warder_image *img[2];
	struct warder_image *kernel; /* kernel_names() */
	__u32 pr[2];     /* byte offsets of the profiles */
	__u32 number[2]; /* their numbers */
	const char *profile;
	int err;
	unsigned long evaluations;
};

/* Notes a difference. One with the same kind, class, rules and errors is there already: its words
 * grow by `what`, unless `apart`. Returns true when it is new, and then takes a witness. */
bool diff_add(struct diff *d, const struct diff_item *item, const char *what, bool apart,
	      const char *witness);

/* Puts a request to both, as policy_decide() does; the profile is the compared one. Notes a
 * difference, and says whether there is one. */
bool diff_request(struct diff *d, struct policy_request *r, const char *what);
void diff_decide(struct diff *d, struct policy_request *r, struct warder_verdict ret[2]);

/*
 * An image whose file rules, with default deny, tell apart all names of the kernel's own files that the
 * baseline judges differently: what ends in the same state of it has the same answer. A rule (not
 * none) at a name's end: the baseline may speak of it. NULL: no memory.
 */
struct warder_image *kernel_names(void);

/* One part each. */
void diff_files(struct diff *d);
void diff_unix(struct diff *d);
void diff_mounts(struct diff *d);
void diff_overrides(struct diff *d);
void diff_network(struct diff *d);
void diff_peers(struct diff *d);
void diff_devices(struct diff *d);

#endif
