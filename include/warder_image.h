/* SPDX-License-Identifier: LGPL-2.1-or-later OR GPL-2.0-only */
/*
 * The policy image: what the compiler writes, the loader publishes and the decision engine
 * reads. Included by warder_abi.h, whose rules for layouts hold here too.
 */
#ifndef WARDER_IMAGE_H
#define WARDER_IMAGE_H

#define WARDER_IMAGE_MAGIC 0x31445257u /* "WRD1" */
#define WARDER_IMAGE_VERSION 9
#define WARDER_IMAGE_SIZE (4u << 20)
/* Every access to an image is masked to its fixed size: a malformed offset reads garbage,
 * never memory outside, and both sides refuse a malformed image before it is used. */
#define WARDER_IMAGE_MASK (WARDER_IMAGE_SIZE - 1)

enum warder_mode {
	WARDER_MODE_ENFORCE = 0,
	WARDER_MODE_AUDIT = 1,
	WARDER_MODE_LEARN = 2, /* as audit, and records every request before it is decided */
};

/* Each profile has start states of its own in the one DFA, by what the name is of. */
enum warder_start {
	WARDER_START_FILE = 0,        /* file and exec rules; accept: permission words */
	WARDER_START_MOUNT_TARGET,    /* accept: set of mount rules whose target matches */
	WARDER_START_OVERRIDE_TARGET, /* accept: set of override rules whose target matches */
	WARDER_START_MOUNT_SOURCE,    /* accept: set of mount rules whose source matches */
	WARDER_START_UNIX,            /* paths of unix sockets; permission words of WARDER_NET_* */
	WARDER_START_ABSTRACT,        /* abstract unix names without the NUL; the same */
	WARDER_START_OVERRIDE_SOURCE, /* accept: set of override rules whose source matches */
	WARDER_START_MATCH,           /* what `match` looks at; accept: set of its entries. Of the top
				       * profile only, and of no stack; the kernel never asks */
	WARDER_START__MAX = 8,
};

/*
 * The DFA as nodes. A state is `node << 8 | position`: a chain stands for as many states as it
 * has bytes, every other node for one. Names are mostly literal, so most states are in chains
 * and take one byte each. Two states are equal if and only if they say the same of every name.
 */
#define WARDER_STATE_DEAD 0 /* no suffix leads to a match; node 0 is a WARDER_NODE_STOP */
#define WARDER_STATE(node, position) ((node) << 8 | (position))
#define WARDER_CHAIN_MAX 255u
/* An image has room for no more. The bits above, in the number of a node and so in a state, say
 * which layer's byte classes it goes by; offsets are masked, so nothing else sees them. A state is
 * a positive int all the same. */
#define WARDER_NODES_MAX (1u << 18)
#define WARDER_NODE_LAYER_SHIFT 18
#define WARDER_STATE_LAYER(state) ((state) >> (WARDER_NODE_LAYER_SHIFT + 8))
_Static_assert(WARDER_IMAGE_SIZE / 16 <= WARDER_NODES_MAX, "nodes of an image");
_Static_assert((__u64)WARDER_LAYERS_MAX << (WARDER_NODE_LAYER_SHIFT + 8) <= 1ull << 31,
	       "states are positive");

enum warder_node_kind {
	/* Every byte leads back here. `next` is the node's own state. */
	WARDER_NODE_STOP = 0,
	/* chars[position] leads to the next position, the last one to `next`; every other byte
	 * leads where it leads from node `other`. `data`: byte offset of chars << 8 | length. */
	WARDER_NODE_CHAIN,
	/* As TABLE, with `next` its own state: only the two bytes in `other` (first | second << 8,
	 * they may be the same) lead elsewhere. */
	WARDER_NODE_SPAN,
	/* edge[data + class], if it belongs to this node, else `next`. */
	WARDER_NODE_TABLE,
	/* edge[data + class], if it belongs to this node, else as from node `other`. */
	WARDER_NODE_PATCH,
	WARDER_NODE__MAX,
};

/* A node that chains and patches refer to is a STOP, SPAN or TABLE, so that a byte costs two
 * edges at most. */
struct warder_node {
	__u32 data;
	__u32 next;
	__u32 other;
	__u32 accept; /* kind << 24 | number of the accept record */
};
_Static_assert(sizeof(struct warder_node) == 16, "node layout");

#define WARDER_NODE_ACCEPT 0xffffffu /* accept record in `accept` */

struct warder_edge {
	__u32 node; /* whose it is; 0: nobody's */
	__u32 next; /* state */
};
_Static_assert(sizeof(struct warder_edge) == 8, "edge layout");

/* What a DFA state means when the name ends there. Index 0 is the empty one. */
struct warder_accept {
	__u32 allow; /* WARDER_ACC_* granted by a rule */
	__u32 deny;  /* WARDER_ACC_* refused by a rule; wins over allow */
	__u32 audit; /* WARDER_ACC_* that make an event even when allowed */
	__u32 rules; /* byte offset of struct warder_accept_rule[] in the image */
	__u32 count; /* of those, at most WARDER_ACCEPT_RULES_MAX */
	__u32 pad;
	__u64 set;   /* mount or override rules, by number in their table */
};
_Static_assert(sizeof(struct warder_accept) == 32, "accept layout");

/* The first rule, in the order of the text, that decides each bit: enough to attribute
 * every verdict, so the list is bounded by twice the number of bits. */
struct warder_accept_rule {
	__u32 mask; /* WARDER_ACC_* that this rule decides here */
	__u16 rule;
	__u8 deny;  /* 1: a deny rule */
	__u8 err;   /* errno of a deny rule */
};
_Static_assert(sizeof(struct warder_accept_rule) == 8, "accept rule layout");

/* `match`: what a container that asks for no policy must have, all of it, to get this one. The
 * patterns are in the DFA: bit n of a set there stands for entry n. Sorted by key. */
#define WARDER_MATCHES_MAX 17 /* the name, and 16 annotations */
struct warder_match {
	__u32 key;  /* byte offset of an annotation's key; 0: the container's name */
	__u32 text; /* byte offset of the pattern as it is written, for people */
};
_Static_assert(sizeof(struct warder_match) == 8, "match layout");

/* One rule of the text, for attribution. Rule number n is entry n-1. */
struct warder_rule {
	__u32 file;   /* byte offset of the file's name */
	__u32 line;   /* from 1 */
	__u32 column; /* from 1 */
	__u32 id;     /* byte offset of the rule's id; 0: it has none */
	__u8 class_;  /* enum warder_class */
	__u8 deny;
	__u8 err;
	__u8 audit;
	__u16 profile; /* exec: number of the profile it leads to; 0: stay */
	__u16 in;      /* number of the profile whose text it stands in; 0: top */
};
_Static_assert(sizeof(struct warder_rule) == 24, "rule layout");

struct warder_mount_rule {
	__u32 ops;     /* WARDER_MNT_* it speaks of */
	__u32 require; /* MS_* that must be set */
	__u32 forbid;  /* MS_* that must not be set */
	__u16 rule;
	__u8 deny;
	__u8 err;
	__u8 audit;
	__u8 any_target; /* it names no target */
	__u8 any_source; /* it names no source */
	__u8 pad[5];
	char type[WARDER_FSTYPE_SIZE]; /* all NUL: any */
};
_Static_assert(sizeof(struct warder_mount_rule) == 56, "mount rule layout");

#include "warder_calls.h"

enum warder_do {
	WARDER_DO_PERFORM = 0,
	WARDER_DO_FAKE, /* answer `value`, do nothing */
	WARDER_DO_DENY, /* answer errno `value`, final */
	WARDER_DO_REPORT, /* the errno stands: the call is only looked at and explained */
	WARDER_DO_HANDLER, /* a program of the host's, or a person, decides */
};

enum warder_late {
	WARDER_LATE_ERRNO = 0, /* the original errno stands */
	WARDER_LATE_STOP,      /* the thread is stopped until answered */
};

enum warder_compare {
	WARDER_CMP_ANY = 0, /* any value */
	WARDER_CMP_EQ,      /* the string at `text` */
	WARDER_CMP_LE,      /* a size or number up to `bound`; an absent option becomes the bound */
	WARDER_CMP_GE,      /* a number, as __s64, not below `bound` */
};

/*
 * Rules on other calls than mount(2) keep what they list here, too, under names of their own:
 *   node      EQ  `bound` is a WARDER_DEVICE_KEY
 *   xattr     EQ  `text` is NAME=VALUE
 *   realtime  LE  the highest real-time priority
 *   nice      GE  the lowest nice value
 */
#define WARDER_OPTION_NODE "node"
#define WARDER_OPTION_XATTR "xattr"
#define WARDER_OPTION_REALTIME "realtime"
#define WARDER_OPTION_NICE "nice"

struct warder_option {
	char name[WARDER_OPTION_SIZE];
	__u64 bound;
	__u32 text; /* byte offset */
	__u32 compare;
};
_Static_assert(sizeof(struct warder_option) == 32, "option layout");

#define WARDER_BY_ANY_UID 0xffffffffu
#define WARDER_BY_ANY_PROFILE 0xffffffffu

#define WARDER_BY_USERNS_CONTAINER 1u /* the container's own user namespace */
#define WARDER_BY_USERNS_NESTED 2u    /* one below it */

#define WARDER_CAUSE_CAPABILITY 1u /* a denied capability or this policy's class default */
#define WARDER_CAUSE_LSM 2u        /* another security module, or anything else */
#define WARDER_CAUSE_BASELINE 4u   /* the baseline: only of rules that grant nothing */

enum warder_way {
	WARDER_WAY_ANY = 0,
	WARDER_WAY_HANDOFF, /* BPF has seen the kernel refuse it */
	WARDER_WAY_NOTIFY,  /* a seccomp filter asks before the kernel has seen it */
};

struct warder_override {
	__u32 op;      /* enum warder_op */
	__u32 ops;     /* WARDER_MNT_* for mount */
	__u32 require; /* MS_* that the caller must have set */
	__u32 forbid;
	__u32 force;   /* MS_* added to whatever the caller asked: nosuid, nodev, noexec, ro */
	__u32 do_;     /* enum warder_do */
	__u32 value;   /* of fake (as int), errno of deny; handler: errno when it does not answer,
			* 0: the kernel's */
	__u32 late;    /* enum warder_late */
	__u32 cause;   /* WARDER_CAUSE_* mask */
	__u32 by_uid;  /* effective and filesystem uid as seen in the container, or ANY */
	__u32 by_userns; /* WARDER_BY_USERNS_* mask */
	__u32 deadline_ms;
	__u32 rate;    /* per second; 0: only the container's own bound */
	__u32 bind;    /* byte offset of the offered host path; 0: not a bind of a host path */
	__u32 any_target;
	__u32 rule;
	__u8 options;  /* used entries of option[] */
	__u8 layer;    /* of a stack: whose rule it is */
	__u16 way;     /* enum warder_way: of calls that come in which way */
	__u32 by_profile; /* number of the caller's profile (of a stack: its part), 0: top; or ANY */
	char type[WARDER_FSTYPE_SIZE];
	struct warder_option option[WARDER_OPTIONS_MAX];
	__u32 handler; /* byte offset of its name; 0: none */
	__u32 fuse;    /* byte offset of the FUSE program that reads the image; 0: the kernel does */
};
_Static_assert(sizeof(struct warder_override) == 72 + 32 + 256 + 8, "override layout");

/* The handler that people are: `do: ask`. */
#define WARDER_HANDLER_ASK "ask"

/*
 * A class that is a handful of switches: capabilities by number, memory, namespaces, kernel
 * surfaces. `allow` holds what rules and the default grant, denies taken off already.
 */
struct warder_bits {
	__u64 allow;
	__u64 audit;    /* of allow: make an event */
	__u32 err;      /* of a refusal by default; a rule has its own */
	__u32 pad;
	__u16 rule[64]; /* deciding rule of each bit; 0: the default */
};
_Static_assert(sizeof(struct warder_bits) == 152, "bits layout");

enum warder_bits_class {
	WARDER_BITS_CAPABILITY = 0,
	WARDER_BITS_MEMORY,
	WARDER_BITS_NAMESPACE,
	WARDER_BITS_KERNEL,
	WARDER_BITS__MAX,
};

/* Of network rules everything but unix paths and names, which are in the DFA. A list of
 * addresses or ports in the text becomes one entry for each pair. */
struct warder_net_rule {
	__u8 addr[16];   /* network order; IPv4 as ::ffff:a.b.c.d */
	__u32 ops;       /* WARDER_NET_* */
	__u32 families;  /* WARDER_FAM_* */
	__u32 protocols; /* WARDER_PROTO_*; 0: any */
	__u16 port_first; /* host order; 0..65535: any */
	__u16 port_last;
	__u16 rule;
	__u8 prefix;     /* bits of addr that count, 0..128; 0: any address */
	__u8 deny;
	__u8 err;
	__u8 audit;
	__u8 pad[2];
};
_Static_assert(sizeof(struct warder_net_rule) == 40, "network rule layout");

#define WARDER_DEVICE_ANY 0xffffffffu
struct warder_device_rule {
	__u32 ops;   /* WARDER_DEV_* */
	__u32 type;  /* WARDER_DEVICE_CHAR, WARDER_DEVICE_BLOCK; 0: both */
	__u32 major; /* or WARDER_DEVICE_ANY */
	__u32 minor;
	__u16 rule;
	__u8 deny;
	__u8 err;
	__u8 audit;
	__u8 pad[3];
};
_Static_assert(sizeof(struct warder_device_rule) == 24, "device rule layout");

/* ptrace, signal and ipc rules. */
struct warder_peer_rule {
	__u64 ops;    /* WARDER_PTRACE_*, signals, WARDER_IPC_* by class */
	__u32 class_; /* enum warder_class */
	__u32 peer;   /* enum warder_peer */
	__u16 rule;
	__u8 deny;
	__u8 err;
	__u8 audit;
	__u8 pad[3];
	char name[WARDER_NAME_SIZE]; /* of POLICY and NAME, NUL-padded */
};
_Static_assert(sizeof(struct warder_peer_rule) == 88, "peer rule layout");

/*
 * What holds for tasks in one profile, complete: what the language lets a profile inherit is
 * copied here by the compiler. Number 0 is the top profile.
 *
 * Several policies on one container are one image, a stack: each of them a layer with start states,
 * masks and defaults of its own in tables that they share. Profile n of a stack is one combination
 * of the layers' profiles, a chain of entries: layer 0's is in the table of profiles, the others
 * follow by `next` and lie in the table of links. A request is decided by each and needs all.
 */
struct warder_profile {
	__u32 name; /* byte offset; 0 for the top profile */
	__u32 id;   /* hash of the name, unique in the policy; 0 for the top profile */
	__u32 start[WARDER_START__MAX]; /* DFA states; 0: nothing matches */
	/* Class defaults. A bit in `..._default` is granted where no rule speaks. */
	__u32 file_default;  /* WARDER_ACC_*, exec included */
	__u32 file_err;      /* errno of a default refusal */
	__u32 exec_err;
	__u32 file_trivial;  /* 1: no file or exec rule can refuse or report anything or change
	                      * the profile, so no name is needed and an unreachable object is no
	                      * refusal */
	__u32 mount_default; /* WARDER_MNT_* */
	__u32 mount_err;
	__u32 net_default;   /* WARDER_FAM_*: families of which everything is granted */
	__u32 net_err;
	__u32 device_default; /* WARDER_DEV_* for nodes that the runtime made, below /dev */
	__u32 device_err;
	__u32 peer_default;  /* bit WARDER_CLASS_*: within the container everything is granted */
	__u32 peer_err[3];   /* ptrace, signal, ipc: errno of a default refusal */
	/* Rules of the tables that hold here, by number in their table. */
	__u64 mount_rules;
	__u64 device_rules;
	__u64 peer_rules;
	__u64 override_rules; /* for callers in this profile, of a stack in its first entry: all layers' */
	__u64 net_rules[WARDER_NET_RULES_MAX / 64];
	struct warder_bits bits[WARDER_BITS__MAX];
	__u32 next;   /* byte offset of the next layer's entry; 0: the last one */
	__u32 layer;
	__u32 mode;   /* enum warder_mode, of the layer's policy */
	__u32 number; /* of the profile whose chain this is */
	/* The layer's own profile, its number times the product of the profiles of the layers before:
	 * the parts of a chain add up to its number. */
	__u32 part;
	__u32 names;  /* 0: no layer needs names of files, file_trivial of all of them */
};
_Static_assert(sizeof(struct warder_profile) == 8 + 32 + 56 + 32 + 32 + 608 + 24, "profile layout");

/* Rings of keys that the containers of several policies have. */
#define WARDER_SHARED_MAX 4
#define WARDER_SHARED_SIZE 24 /* of a name, with its NUL */

/* A policy of a stack. A single policy has one. */
struct warder_layer {
	char policy[WARDER_NAME_SIZE]; /* NUL-padded: what rules of others compare */
	__u32 mode;       /* enum warder_mode */
	__u32 rules;      /* its last rule's number: those of a layer follow each other */
	__u32 keys_join;  /* enum warder_keys_join */
	__u32 profiles;   /* of its own, the top one included */
	/* Signed exec, all 0 where the policy does not ask for it. */
	__u64 signers_id; /* hash of the certificates: names the ring that holds them */
	__u32 signed_rule; /* number of the rule that requires signatures */
	__u32 signed_flags; /* WARDER_SIGNED_* */
	__u32 signer;     /* its first entry in the table of signers */
	__u32 signers;
	__u32 signature;  /* its first entry in the table of signatures, which are sorted */
	__u32 signatures;
	char shared[WARDER_SHARED_MAX][WARDER_SHARED_SIZE]; /* NUL-padded; the empty ones are the last */
};
_Static_assert(sizeof(struct warder_layer) == 208, "layer layout");

#include "warder_signed.h"

#define WARDER_HIT_SHARDS_MAX 16

struct warder_section {
	__u32 offset; /* bytes from the start of the image; a multiple of 8 */
	__u32 count;  /* of the section's own elements */
};

/* What joining another session keyring does. */
enum warder_keys_join {
	WARDER_JOIN_LAZY = 0, /* the new ring has no link to the container keyring, until it is missed */
	WARDER_JOIN_STICKY,   /* nothing happens, and the answer is the ring that it has: by seccomp */
	WARDER_JOIN_DENY,     /* EPERM; the later of them is the stricter */
	WARDER_JOIN__MAX,
};

/* Key upcalls: who answers those of a type that the kernel cannot answer itself. */
enum warder_upcall_to {
	WARDER_UPCALL_DENY = 0,
	WARDER_UPCALL_HOST,  /* the host's own request-key, with the host's identity */
	WARDER_UPCALL_QUEUE, /* a daemon that serves the container, never the host's handlers */
	WARDER_UPCALL__MAX,
};
#define WARDER_UPCALL_BY_PROGRAM 1u /* request_key(2): type, description and callout are its words */
#define WARDER_UPCALL_BY_KERNEL 2u  /* a part of the kernel that acts for a task: a resolver, NFS */
#define WARDER_UPCALLS_MAX 16
#define WARDER_UPCALL_TYPE_SIZE 16
#define WARDER_UPCALL_DEADLINE_MAX 60000   /* ms */
#define WARDER_UPCALL_DEADLINE_DEFAULT 5000
struct warder_upcall {
	union {
		char type[WARDER_UPCALL_TYPE_SIZE]; /* NUL-padded; all NUL: any */
		__u64 word[2];
	};
	__u16 rule; /* 0: the entry, and those after it, are not used */
	__u8 to;    /* enum warder_upcall_to */
	__u8 by : 4; /* WARDER_UPCALL_BY_* */
	__u8 layer : 4;
	__u16 deadline; /* of a queue, ms; 0: the built-in */
	__u8 otherwise; /* of a queue, when nobody serves it: WARDER_UPCALL_DENY or _HOST */
	__u8 pad;
};
_Static_assert(sizeof(struct warder_upcall) == 24, "upcall layout");

/* At offset 0 of every image. */
/* What is not for the kernel. */
#define WARDER_SETTING_SELECTABLE 1u /* a container's own configuration may choose it */
#define WARDER_SETTINGS_ALL 1u

struct warder_image_header {
	__u32 magic;
	__u16 version;
	__u16 header_size;
	__u32 length;   /* bytes in use, header included; the rest is zero but for `hits` */
	__u32 checksum; /* CRC-32 (IEEE) of `length` bytes with this field and `serial` zero */
	__u32 mode;     /* enum warder_mode; of a stack: learn if any layer's is, else enforce if any is */
	__u32 name;     /* byte offset of the policy's name; of a stack the names, joined with '+' */
	__u64 serial;   /* given at each publication, never twice in a boot; 0 in a file */
	__u64 unsafe;   /* WARDER_UNSAFE_* */
	__u64 override_ops; /* bit WARDER_OP_*: some override rule speaks of it */
	__u32 keys_max; /* keyring quota, 0: the built-in WARDER_KEYS_DEFAULT */

	/* Hit counters, __u64 each, behind `length`: `hit_shards` (a power of two) times one for
	 * each rule and one, number 0, for what no rule decided. CPUs share a shard by number.
	 * Not part of checksum and digest. 0 shards: there was no room, nothing is counted. */
	__u32 hits;     /* byte offset */
	__u32 hit_shards;

	__u32 states;                      /* of the minimised DFA, for people */
	__u32 classes;                     /* byte classes, 1..256 */
	__u32 keys_bytes;                  /* keyring quota, 0: the built-in one */
	__u32 keys_pending;
	__u32 layers;                      /* 1..WARDER_LAYERS_MAX; more than 1: a stack */
	__u32 quiet;                       /* bit n: layer n is in learn mode */
	__u32 signed_layers;               /* bit n: layer n requires signatures */
	__u32 settings;                    /* WARDER_SETTING_*; of a stack what all members have */
	__u32 zero[3];
	/* Of each layer: exact types first, then as in the text. */
	struct warder_upcall upcall[WARDER_UPCALLS_MAX];
	struct warder_layer layer[WARDER_LAYERS_MAX];
	struct warder_section class_of;    /* __u8[256] of each layer */
	struct warder_section node;        /* struct warder_node[] */
	struct warder_section edge;        /* struct warder_edge[] */
	struct warder_section chars;       /* of chains */
	struct warder_section accept;      /* struct warder_accept[] */
	struct warder_section accept_rule; /* struct warder_accept_rule[] */
	struct warder_section rule;        /* struct warder_rule[] */
	struct warder_section profile;     /* struct warder_profile[], at least the top one */
	struct warder_section link;        /* struct warder_profile[], of a stack's further layers */
	struct warder_section mount;       /* struct warder_mount_rule[] */
	struct warder_section net;         /* struct warder_net_rule[] */
	struct warder_section device;      /* struct warder_device_rule[] */
	struct warder_section peer;        /* struct warder_peer_rule[] */
	struct warder_section override_;   /* struct warder_override[] */
	struct warder_section match;       /* struct warder_match[]; of a stack: none */
	struct warder_section signer;      /* struct warder_signer[] */
	struct warder_section signature;   /* struct warder_signature[] */
	struct warder_section blob;        /* bytes of certificates and signatures */
	struct warder_section strings;     /* NUL-terminated, the first is empty */
};
_Static_assert(sizeof(struct warder_image_header) == 24 + 24 + 32 + 24 +
	       WARDER_UPCALLS_MAX * 24 + WARDER_LAYERS_MAX * 208 + 19 * 8, "image header layout");
_Static_assert((sizeof(struct warder_image_header) + 256) % sizeof(struct warder_node) == 0,
	       "the nodes follow the classes");

/* An image as both sides hold it: fixed size, so that the verifier sees a constant. */
struct warder_image {
	union {
		struct warder_image_header h;
		__u8 b[WARDER_IMAGE_SIZE];
	};
};
_Static_assert(sizeof(struct warder_image) == WARDER_IMAGE_SIZE, "image size");
/* Text that the DFA reads: a name lies at [off, off+len). Twice PATH_MAX, because names
 * are put together from the leaf upwards and grow towards the front. */
#define WARDER_TEXT_SIZE 8192u
#define WARDER_TEXT_MASK (WARDER_TEXT_SIZE - 1)
struct warder_text {
	char b[WARDER_TEXT_SIZE + 8]; /* the walk reads eight bytes at once, also at the end */
};

#endif
