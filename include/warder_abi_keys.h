/* SPDX-License-Identifier: LGPL-2.1-or-later OR GPL-2.0-only */
/* The part of warder_abi.h that is about keys; included there, whose rules hold here too. */
#ifndef WARDER_ABI_KEYS_H
#define WARDER_ABI_KEYS_H

/* Keys. What user space sets and reads in the maps of keyring.bpf.c. */
#define WARDER_KEYS_MAX 262144   /* tagged keys of all containers; beyond it EDQUOT */
#define WARDER_GRANTS_MAX 16384
/* Of one container, where its record says 0. */
#define WARDER_KEYS_DEFAULT 200
#define WARDER_KEY_BYTES_DEFAULT 20000
#define WARDER_KEY_BYTES_MAX (64u << 20)
#define WARDER_KEY_PENDING_DEFAULT 8
#define WARDER_KEY_PENDING_MAX 64 /* each holds a thread of the kernel that modprobe needs too */

/* By enum key_need_perm of the kernel: bit 1 << need. */
#define WARDER_KEY_MAY_VIEW (1u << 1)
#define WARDER_KEY_MAY_READ (1u << 2) /* with DEFER, which keyctl read asks for first */
#define WARDER_KEY_MAY_WRITE (1u << 3)
#define WARDER_KEY_MAY_SEARCH (1u << 4)
#define WARDER_KEY_MAY_LINK (1u << 5)
#define WARDER_KEY_MAY_SETATTR (1u << 6)
#define WARDER_KEY_MAY_UNLINK (1u << 7)
#define WARDER_KEY_MAY_ALL 0xfeu

/* What a key is to its container. */
enum warder_key_kind {
	WARDER_KEY_OWN = 0,   /* made by a task of it; counts */
	WARDER_KEY_SESSION,   /* S */
	WARDER_KEY_CONTAINER, /* C */
	WARDER_KEY_GIVEN,     /* put into C by the supervisor */
	WARDER_KEY_SHARED,    /* the host's, made by the kernel for a task of it: counts, no more */
	WARDER_KEY_SIGNERS,   /* certificates for signed exec and their ring: not for the container */
	WARDER_KEY_KIND__MAX,
};

/* Value of warder_keys (hash by address of the struct key). */
struct warder_key_tag {
	__u64 cid;
	__u64 hash;   /* of type and description: a tag left behind is not taken for another key's */
	__s32 serial; /* 0 until the key is first asked for by its container */
	__u32 kind;   /* enum warder_key_kind */
	__u32 slot;   /* of the container */
	__u16 name_bytes; /* description with its NUL, as counted in warder_stats; a page at most */
	__u16 ring;       /* 1: a keyring */
	__u32 data_bytes; /* payload, the same */
	__u32 may;    /* a given key: WARDER_KEY_MAY_* of the container; 0: all but change it. Of a
	               * ring of its own: bit 0 once C was linked there, above it how often the ring
	               * was emptied */
};
_Static_assert(sizeof(struct warder_key_tag) == 40, "key tag layout");
#define WARDER_RING_HAS_C 1u

/* warder_grants: hash; `may` holds for the key with this serial and this hash. */
struct warder_grant_key {
	__u64 cid;
	__s32 serial;
	__u32 pad;
};
_Static_assert(sizeof(struct warder_grant_key) == 16, "grant key layout");
struct warder_grant {
	__u64 hash;
	__u32 may; /* WARDER_KEY_MAY_* */
	__u32 pad;
};
_Static_assert(sizeof(struct warder_grant) == 16, "grant layout");

/* Value of warder_alloc_as (hash by thread id): the next key that this untagged thread makes
 * is the container's, if its type and description are those. Used up by it. Entry 0 is no
 * thread's: there `serial` is the registry ring's, by which the next supervisor knows it. */
struct warder_alloc_as {
	__u64 cid;
	__u64 hash;
	__u64 expires; /* CLOCK_MONOTONIC ns: one that a dead supervisor left behind ends by itself */
	__u32 kind;
	__s32 serial;
	__u32 may; /* as in struct warder_key_tag */
	__u32 pad;
};
_Static_assert(sizeof(struct warder_alloc_as) == 40, "alloc_as layout");

/*
 * Value of warder_upcalls (hash by the serial of the key that is wanted): who asked, recorded when
 * the kernel makes the authorisation key, which is before it runs a handler. It lasts until the
 * upcall is answered.
 */
enum warder_upcall_attach {
	WARDER_ATTACH_NONE = 0, /* the requester has S, or C is linked in its session ring */
	WARDER_ATTACH_WANTED,   /* C is to be linked there before anything else */
	WARDER_ATTACH_DONE,     /* it is, or cannot be; written by warder's request-key */
};
#define WARDER_UPCALLS_PENDING_MAX 4096 /* of all containers; beyond it EDQUOT */
#define WARDER_USERNS_MAX 33            /* the kernel's limit of nesting and the initial one */
struct warder_upcall_record {
	__u64 cid;
	__u64 auth;   /* address of the authorisation key */
	__u64 cgroup;
	__u64 start;  /* of the requester: task's start time, boot clock ns */
	__u64 time;   /* CLOCK_MONOTONIC ns */
	__u32 slot;
	__u32 tgid;   /* of the requester, host's pid namespace */
	__u32 tid;
	__u32 by;     /* WARDER_UPCALL_BY_* */
	__u32 to;     /* enum warder_upcall_to */
	__u32 rule;   /* of the policy, 0: none */
	__u32 otherwise; /* of a queue that nobody serves: WARDER_UPCALL_DENY or _HOST */
	__u32 deadline; /* of a queue: ms */
	/* Process that may answer in the host's name: written by warder's request-key. Without it no
	 * process of the host gets the authority over a key that is a queue's. */
	__u32 handler;
	__u32 netns;  /* inode numbers */
	__u32 levels; /* user namespaces: the requester's own first, then its parents */
	__u32 userns[WARDER_USERNS_MAX];
	__u32 attach; /* enum warder_upcall_attach */
	__s32 ring;   /* then: the requester's session ring, which the container made */
	__u32 ring_state; /* `may` of its tag, when C was missed */
	__u32 pad;
	__u64 ring_at; /* its address */
	/* What the policy refused, if `to` is WARDER_UPCALL_DENY: recorded only for C's sake. */
	struct warder_verdict v;
};
_Static_assert(sizeof(struct warder_upcall_record) == 40 + 11 * 4 + 33 * 4 + 4 * 4 + 8 + 32,
	       "upcall layout");

/* `access` of a keyring event: keyctl(2) operations plus WARDER_KEY_OP_KEYCTL; 0: no such call. */
#define WARDER_KEY_OP_KEYCTL 0x100
#define WARDER_KEY_OP_ADD 0x200
#define WARDER_KEY_OP_REQUEST 0x201

/* Value of warder_clears (array by slot): how often the container has emptied its S, which takes
 * the link to C away, and when the supervisor was last told (ktime ns). */
struct warder_clears {
	__u64 count;
	__u64 told;
	__u64 joined; /* id of the container, once one of its tasks has joined another session */
};
_Static_assert(sizeof(struct warder_clears) == 24, "clears layout");

/* Hash of a key's type and description, as far as they fit, NUL-padded: the same in both worlds. */
#define WARDER_KEY_TYPE_SIZE 16
#define WARDER_KEY_DESC_SIZE 112
struct warder_key_name {
	union {
		struct {
			char type[WARDER_KEY_TYPE_SIZE];
			char description[WARDER_KEY_DESC_SIZE];
		};
		__u64 w[(WARDER_KEY_TYPE_SIZE + WARDER_KEY_DESC_SIZE) / 8];
	};
};
_Static_assert(sizeof(struct warder_key_name) == 128, "key name layout");

static inline __u64 warder_key_hash(const struct warder_key_name *n)
{
	__u64 h = 0xcbf29ce484222325ull;

	for (unsigned int i = 0; i < sizeof(n->w) / sizeof(n->w[0]); i++) {
		h = (h ^ n->w[i]) * 0x9e3779b97f4a7c15ull;
		h ^= h >> 29;
	}
	return h;
}

#endif
