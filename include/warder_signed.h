/* SPDX-License-Identifier: LGPL-2.1-or-later OR GPL-2.0-only */
/*
 * Signed exec: what is signed, and how an image holds signers and signatures. Included by
 * warder_image.h, whose rules for layouts hold here too.
 */
#ifndef WARDER_SIGNED_H
#define WARDER_SIGNED_H

/*
 * What a signature is of, instead of the file itself: the kernel has the file's digest, never the
 * whole file in one place. The magic keeps a signature that was made for something else from
 * counting here.
 */
#define WARDER_SIGNED_MAGIC "warder-signed-1" /* with its NUL */
#define WARDER_SIGNED_SHA256 4u               /* HASH_ALGO_SHA256 of <linux/hash_info.h> */
/* The same of a file's fs-verity descriptor, which has the root of its Merkle tree: another content. */
#define WARDER_SIGNED_VERITY_SHA256 (0x10000u | WARDER_SIGNED_SHA256)
#define WARDER_DIGEST_SIZE 32
struct warder_signed_content {
	char magic[16];
	__u32 algorithm; /* WARDER_SIGNED_*SHA256; little-endian, as everything here */
	__u32 length;    /* of the digest */
	__u64 zero;
	union {
		__u8 digest[WARDER_DIGEST_SIZE]; /* of the file's content */
		__u64 word[WARDER_DIGEST_SIZE / 8];
	};
};
_Static_assert(sizeof(struct warder_signed_content) == 64, "signed content layout");

/* A certificate, as DER, in the image's blob. */
struct warder_signer {
	__u32 at; /* byte offset in the image */
	__u32 length;
};
_Static_assert(sizeof(struct warder_signer) == 8, "signer layout");

/* A detached PKCS#7 signature of `content`, whose digest the table is sorted by (as bytes). BPF
 * hands both to the kernel where they lie. */
struct warder_signature {
	struct warder_signed_content content;
	__u32 at;
	__u32 length; /* at most WARDER_SIGNATURE_SIZE_MAX */
};
_Static_assert(sizeof(struct warder_signature) == 72, "signature layout");

#define WARDER_SIGNERS_MAX 16           /* of one policy */
#define WARDER_SIGNER_SIZE_MAX 8192
#define WARDER_SIGNATURES_BITS 13       /* of one policy, and of all of a container: */
#define WARDER_SIGNATURES_MAX (1u << WARDER_SIGNATURES_BITS)
#define WARDER_SIGNATURE_SIZE_MAX 4095u
#define WARDER_SIGNATURE_XATTR "user.warder.sig" /* of a file with fs-verity: its signature, as DER */

/* Of a layer: a kernel that cannot check signatures runs everything, instead of refusing the
 * policy. */
#define WARDER_SIGNED_OPTIONAL (1u << 0)
/* Of a layer: files with fs-verity run by the signature in WARDER_SIGNATURE_XATTR. */
#define WARDER_SIGNED_VERITY (1u << 1)

/* Key and value of warder_signers (hash): the ring of a container's signers. */
#define WARDER_SIGNER_RINGS_MAX 8192
struct warder_signers_key {
	__u64 cid;
	__u64 signers_id;
};
_Static_assert(sizeof(struct warder_signers_key) == 16, "signers key layout");

#endif
