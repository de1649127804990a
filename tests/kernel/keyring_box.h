/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tests of keys share: containers of a tag, a policy and the two rings. Like harness.h,
 * but the test program itself is the supervisor, on whose thread possession hangs.
 */
#ifndef WARDER_KEYRING_BOX_H
#define WARDER_KEYRING_BOX_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include "keyring.h"
#include "loader.h"

#define BOX_POLICY_SLOT 200 /* programs may have host's request-key for type user */
#define BOX_PIN_DIR "/sys/fs/bpf/warder"
#define ANCHOR_UID 0xfffffff0u /* of user/keyring_registry.c */
#define OPEN_PERM (KEY_POS_ALL | KEY_USR_ALL | KEY_GRP_ALL | KEY_OTH_ALL)

struct box {
	uint64_t cid;
	uint32_t slot;
	struct keyring_rings rings;
	uint32_t policy; /* slot, 0: BOX_POLICY_SLOT */
	uint32_t keys_bytes, keys_pending;
};

extern struct loader *box_loader;
extern struct keyring *box_keyring;
extern struct warder_error box_error;
extern struct box box_a, box_b;

/* What a child finds out, or needs to know. */
struct shared {
	int32_t serial, ring;
	int32_t host_key, host_ring; /* of the host, with OPEN_PERM; the key also in @u */
	int stage;
	struct box box;
};
extern struct shared *shared;

/* In children, which return 0 or 1. */
#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #cond,              \
				strerror(errno));                                                  \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)

#define CHECK_ERRNO(call, expected)                                                                \
	do {                                                                                       \
		long result_;                                                                      \
		errno = 0;                                                                         \
		result_ = (call);                                                                  \
		if (result_ != -1 || errno != (expected)) {                                        \
			fprintf(stderr, "%s:%d: %s: %ld, %s; expected %s\n", __FILE__, __LINE__,   \
				#call, result_, strerrorname_np(errno),                            \
				strerrorname_np(expected));                                        \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)

/* Fixtures of a group: the loader, this thread as the supervisor's, box_a and box_b. */
int box_group_setup(void **state);
int box_group_teardown(void **state);

/* Compiles and publishes a policy in a slot. */
int box_publish(uint32_t slot, const char *text);
/* Writes the container's record, with that limit of keys (0: the built-in one). */
int box_record(struct box *x, uint32_t keys_max);
/* A container in x->slot. */
int box_make(struct box *x);
int box_end(struct box *x);

/* Clones a child that has S and the tag before it runs fn. */
pid_t box_start(struct box *x, unsigned long flags, int (*fn)(void));
/* Exit status, 128 + signal, -1. */
int box_wait(pid_t pid);
int box_run(struct box *x, int (*fn)(void));
/* The same for a process of the host. */
int box_run_outside(int (*fn)(void));

/* How many entries of a container a map of keys holds. */
unsigned box_count(enum loader_map map, uint64_t cid);

/* A user key in C. */
int box_give(struct box *x, const char *description, const char *payload, int32_t *ret);

int payload_is(int32_t serial, const char *expected);
/* Is there a line in /proc/keys? */
int listed(int32_t serial);

#endif
