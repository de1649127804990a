/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * keyring.signed_exec with `verity: true`, of a file that has fs-verity: its content cannot change any
 * more, and the kernel checks each page that it reads by a Merkle tree. The digest of that is what is
 * signed, and nothing is read to have it. The signature is an extended attribute, which anybody may
 * write who owns the file: what stands there counts only if the kernel verifies it.
 *
 * What has no such signature is judged by its content. What has a bad one is refused.
 * Included by signed.bpf.h.
 */
#ifndef WARDER_VERITY_BPF_H
#define WARDER_VERITY_BPF_H

#define VERITY_ALGORITHM_SHA256 1 /* FS_VERITY_HASH_ALG_SHA256 of <linux/fsverity.h> */
#define VERITY_ERANGE 34

/* Linux 6.8; where they are missing cfg_verity is 0. */
extern int bpf_get_fsverity_digest(struct file *file, struct bpf_dynptr *digest) __ksym __weak;
extern int bpf_get_file_xattr(struct file *file, const char *name__str,
			      struct bpf_dynptr *value) __ksym __weak;

static const char verity_xattr[] = WARDER_SIGNATURE_XATTR;

/* The 16 bits of those layers, of all errnos. */
static __always_inline __u64 verity_mask(__u32 layers)
{
	__u64 mask = 0;

	for (__u32 i = 0; i < WARDER_LAYERS_MAX; i++)
		if (layers >> i & 1)
			mask |= 0xffffull << (16 * i);
	return mask;
}

/* Is there a layer that has not been judged? */
static __always_inline int verity_left(const struct signed_ask *a)
{
	struct warder_image *img = signed_image(a->policy);

	return !img || (img->h.signed_layers & ~a->done);
}

/* Digest and signature: 1 when both are there, 0: judge it by its content, or a positive errno and 2. */
enum verity_found { VERITY_NONE, VERITY_SIGNED, VERITY_MALFORMED };
static __noinline int verity_read(struct file *file, struct verity_ask *v)
{
	struct bpf_dynptr digest, signature;
	int n;

	if (bpf_dynptr_from_mem(&v->measured, sizeof(v->measured), 0, &digest) ||
	    bpf_dynptr_from_mem(v->signature, sizeof(v->signature), 0, &signature))
		return VERITY_NONE;
	if (bpf_get_fsverity_digest(file, &digest) ||
	    v->measured.algorithm != VERITY_ALGORITHM_SHA256 ||
	    v->measured.size != WARDER_DIGEST_SIZE)
		return VERITY_NONE;
	n = bpf_get_file_xattr(file, verity_xattr, &signature);
	if (n == -VERITY_ERANGE || n > (int)WARDER_SIGNATURE_SIZE_MAX)
		return VERITY_MALFORMED;
	if (n <= 0)
		return VERITY_NONE;
	v->length = n;
	signed_content_init(&v->content, WARDER_SIGNED_VERITY_SHA256);
	__builtin_memcpy(v->content.digest, v->measured.digest, WARDER_DIGEST_SIZE);
	return VERITY_SIGNED;
}

/* 0 or a positive errno. */
static __noinline int verity_ask_kernel(struct verity_ask *v, __s32 ring)
{
	struct bpf_dynptr data, signature;
	__u32 length = v->length & WARDER_SIGNATURE_SIZE_MAX;

	if (bpf_dynptr_from_mem(&v->content, sizeof(v->content), 0, &data) ||
	    bpf_dynptr_from_mem(v->signature, length, 0, &signature))
		return WARDER_EACCES;
	return signed_ask_ring(&data, &signature, ring);
}

/* Judges for those layers that ask for it, and says in `done` which. Returns 0 or a fault. */
static __noinline int verity_judge(struct file *file, struct verity_ask *v, struct signed_ask *a,
				   __u64 *ret_errs)
{
	struct warder_image *img = signed_image(a->policy);
	int found = VERITY_NONE, looked = 0;

	if (!img)
		return WARDER_FAULT_IMAGE;
	WARDER_NO_UNROLL
	for (__u32 i = 0; i < WARDER_LAYERS_MAX; i++) {
		const struct warder_layer *l = &img->h.layer[i & (WARDER_LAYERS_MAX - 1)];
		__s32 *ring;
		int err;

		if (!(img->h.signed_layers >> i & 1) || !(l->signed_flags & WARDER_SIGNED_VERITY))
			continue;
		if (!looked) {
			found = verity_read(file, v);
			looked = 1;
		}
		if (found == VERITY_NONE)
			return 0;
		ring = signed_ring(img, a->cid, i);
		if (!ring)
			return WARDER_FAULT_SIGNERS;
		err = found == VERITY_SIGNED ? verity_ask_kernel(v, *ring) : WARDER_EBADMSG;
		*ret_errs |= (__u64)(err & 0xffff) << (16 * i);
		a->done |= 1u << i;
	}
	return 0;
}

/* Returns 0 or a fault. */
static __noinline int verity_look(struct file *file, struct signed_ask *a, __u64 *ret_errs)
{
	__u64 task = bpf_get_current_pid_tgid();
	struct verity_ask *v;
	__u32 zero = 0;
	int fault;

	v = bpf_map_lookup_elem(&warder_verity_new, &zero);
	if (!v || bpf_map_update_elem(&warder_verity, &task, v, BPF_ANY))
		return WARDER_FAULT_MAP_FULL;
	v = bpf_map_lookup_elem(&warder_verity, &task);
	fault = v ? verity_judge(file, v, a, ret_errs) : WARDER_FAULT_MAP_FULL;
	bpf_map_delete_elem(&warder_verity, &task);
	return fault;
}

#endif
