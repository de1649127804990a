/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Policies: text (YAML, strict) -> checked struct -> image. Pure: no system call but reading
 * the named files, no printing, no libbpf. Any thread; one struct policy belongs to one.
 */
#ifndef WARDER_POLICY_H
#define WARDER_POLICY_H

#include <stddef.h>
#include <stdio.h>

#include "log.h"
#include "warder_abi.h"

struct policy;

/* What is wrong with a text: all of it, not only the first. */
struct policy_diag {
	char *file;
	unsigned line;   /* from 1 */
	unsigned column; /* from 1 */
	int warning;     /* 1: the policy can be used all the same */
	char *text;      /* what was found and what was expected */
};

struct policy_diags {
	struct policy_diag *item;
	size_t count;
	size_t errors; /* of count, those that are no warnings */
};

/* At most this many are kept; the last one then says that there were more. */
#define POLICY_DIAGS_MAX 100

void policy_diags_done(struct policy_diags *d);

/* One line each, "file:line:column: error: text". */
void policy_diags_print(const struct policy_diags *d, FILE *out);

/* Limits of a text, against hostile input. */
#define POLICY_TEXT_MAX (4u << 20)
#define POLICY_DEPTH_MAX 32

/* Parses and checks `text`; `name` is how messages call it. `include_dirs` (NULL-terminated,
 * may be NULL) are searched for `include`. 0 and *ret_policy, or -EINVAL with errors in
 * `diags`, -ENOMEM. Warnings may be there on success. */
int policy_parse(const char *name, const char *text, size_t len, const char *const *include_dirs,
		 struct policy **ret_policy, struct policy_diags *diags);

/* The same for a file. -errno of open or read, with a diagnostic that has line 0. */
int policy_parse_file(const char *path, const char *const *include_dirs,
		      struct policy **ret_policy, struct policy_diags *diags);

/* NULL is fine. */
void policy_free(struct policy *p);

const char *policy_name(const struct policy *p);

/* `selectable: true`: the configuration of a container may choose it. */
int policy_is_selectable(const struct policy *p);

/* keyring.quota.keys; 0: not given. */
__u32 policy_keys_max(const struct policy *p);

/* Compiles to an image of exactly WARDER_IMAGE_SIZE bytes, of which header.length are used;
 * the caller frees it. -EINVAL with diagnostics: a rule that another shadows. -E2BIG with a
 * diagnostic that names the rules that cost most. Same text, same bytes. */
int policy_compile(const struct policy *p, struct warder_image **ret_image,
		   struct policy_diags *diags);

/* The same, with each rule's share of the automaton by its number, in no unit: the caller frees
 * it. */
int policy_compile_costs(const struct policy *p, struct warder_image **ret_image,
			 struct policy_diags *diags, __u64 **ret_costs);

/* Is this an image that both sides may use? Checks magic, version, length, checksum, every
 * section's bounds, every index within (states, classes, accept, rules, strings).
 * 0 or -EINVAL with the reason. `len` is the number of bytes at `data`. One that was read back
 * from the kernel has a serial and counters, and is no image to be loaded again: -EINVAL. */
int image_verify(const void *data, size_t len, struct warder_error *reterr);

/* Takes serial and counters out of an image that was read back from the kernel: what is left is
 * what was loaded. */
void image_reset(struct warder_image *img);

/* String at a byte offset of the strings section; "" for 0 or a bad offset. */
const char *image_string(const struct warder_image *img, __u32 offset);

/* Entry of a rule number (1..), NULL if there is none. */
const struct warder_rule *image_rule(const struct warder_image *img, __u32 rule);

/* Entry of a profile number, NULL if there is none. 0 is the top profile and always there. */
const struct warder_profile *image_profile(const struct warder_image *img, __u32 profile);

/*
 * Several policies on one container: makes one image of `count` (1 to WARDER_LAYERS_MAX) that have
 * passed image_verify(), in that order; all must allow. The caller frees it. It is for the engine
 * and the kernel only: image_verify() refuses it. Same images, same bytes. -EINVAL with the reason:
 * two of one name; -E2BIG with the limit: what the tables of one image hold, the layers share, and
 * the combinations of their profiles are profiles; -ENOMEM.
 */
int image_stack(const struct warder_image *const *member, size_t count,
		struct warder_image **ret, struct warder_error *reterr);

/* Is this what image_stack() made of several, unchanged since? Serial and counters must be taken out
 * before, see image_reset(). */
int image_is_stack(const struct warder_image *img);

/* Entry `n` of the table of a stack's further layers, NULL if there is none. */
const struct warder_profile *image_link(const struct warder_image *img, __u32 n);

/* Of which layer is this rule of a stack? 0 for a single policy. */
__u32 image_rule_layer(const struct warder_image *img, __u32 rule);

/* The name of the policy that a verdict of this image is of; of the image if it allows and no rule
 * decided. */
const char *image_verdict_policy(const struct warder_image *img, const struct warder_verdict *v);

/* `match`: is the policy for a container of that name and with these annotations ("KEY=VALUE", NULL:
 * none) if it asks for no other? Not of a stack. */
int image_matches(const struct warder_image *img, const char *name, const char *const *annotations);

/* What `match` says as {"name": ..., "annotations": {...}}; NULL: nothing. */
struct json_object;
struct json_object *image_match_json(const struct warder_image *img);
/* That as "name web-*, io.example.tier=front"; "" of NULL; returns buf. */
const char *match_text(struct json_object *match, char *buf, size_t size);

/* Of a container, "KEY=VALUE" each: no key twice, less than WARDER_PATH_MAX bytes. NULL is fine. 0 or
 * -EINVAL. */
#define POLICY_ANNOTATIONS_MAX 64
int annotations_check(const char *const *annotations, struct warder_error *reterr);

/* How often a rule has decided since the image was published; 0 is what no rule decided. */
__u64 image_hits(const struct warder_image *img, __u32 rule);

/* "file:line" of a rule, "default" for 0, into buf; returns buf. */
const char *image_rule_where(const struct warder_image *img, __u32 rule, char *buf, size_t size);

/* SHA-256 of the image's used bytes, its serial taken as zero, as 64 hex digits and a NUL;
 * empty when there is no memory. */
void image_digest(const struct warder_image *img, char ret_hex[65]);

/* A request put to an image from user space, and its verdict: `policy explain`, `policy test`,
 * replay. Strings are borrowed. policy_tools.h reads and writes requests as text. */
struct policy_request {
	enum warder_class class_;
	/* WARDER_ACC_*, WARDER_MNT_*, WARDER_NET_*, WARDER_DEV_*, WARDER_PTRACE_*, WARDER_IPC_*;
	 * the number of a capability, signal, memory, namespace or kernel switch. */
	__u32 access;
	const char *path;    /* file, exec; mount target; unix socket; device node, may be NULL */
	const char *fstype;  /* mount */
	/* file, exec: "TYPE" or "TYPE:/NAME", the kernel's file system that the object is on and its
	 * name below that one's root; "other": none of those. NULL: what is mounted at `path` in
	 * every container, see request_place() */
	const char *fs;
	const char *source;  /* mount: as the caller wrote it; NULL: none */
	const char *options; /* mount: the file system's own; NULL: none. Only overrides see them */
	__u32 flags;         /* MS_* */
	int unreachable;     /* the object has no name */
	int abstract;        /* network: path is an abstract name, without its NUL */
	__u32 profile;       /* number of the profile; 0: top */
	struct warder_address address; /* network; families always set */
	__u32 device_type, device_major, device_minor; /* device: WARDER_DEVICE_* */
	/* ptrace, signal, ipc; network to a unix socket: who made it, WARDER_PEER_ANY the host */
	enum warder_peer peer;
	const char *peer_name;         /* with WARDER_PEER_POLICY and WARDER_PEER_NAME */
	const char *peer_policy;       /* with WARDER_PEER_NAME: that container's policy, or NULL */
};

/* 0 and the verdict. A request for several accesses gets the first refusal. -EINVAL: the request
 * lacks what its class needs; -ENAMETOOLONG, -ENOMEM. */
int policy_decide(const struct warder_image *img, const struct policy_request *r,
		  struct warder_verdict *ret_verdict);

/* Names as the language spells them. -1 / NULL when unknown. */
int access_from_name(const char *name, __u32 *ret_bits);
const char *access_name(__u32 bit);
int mount_op_from_name(const char *name, __u32 *ret_bits);
const char *mount_op_name(__u32 bit);
int mount_flag_from_name(const char *name, __u32 *ret_flag); /* nosuid -> MS_NOSUID */
const char *mount_flag_name(__u32 flag);
int capability_from_name(const char *name); /* net_bind_service or CAP_NET_BIND_SERVICE */
const char *capability_name(int cap, char *buf, size_t size); /* "CAP_SYS_ADMIN" */
const char *errno_name(int err); /* "EPERM" */
int errno_from_name(const char *name);
const char *class_name(__u32 class_);
const char *mode_name(__u32 mode); /* "enforce" */
const char *unsafe_name(__u64 bit); /* of one WARDER_UNSAFE_* bit: "bpf" */

#endif
