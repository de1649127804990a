/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * keyring.signed_exec: a file is executed, or mapped to be executed, if one of the policy's signers
 * has signed its content. The kernel computes the digest (IMA, which needs no policy of its own for
 * that), the policy's image holds the signatures by digest, and the kernel verifies the one found
 * with the certificates in the container's ring.
 *
 * There is no cache of verdicts: a file can change in ways that no hook sees, so each execution and
 * each mapping is measured anew. What keeps a file as it was measured:
 *
 *   - execve: the kernel refuses writers while a program runs, ETXTBSY, and refuses to run what is
 *     open for writing. A program's code is mapped by the hook below, too.
 *   - mappings: the file is marked before it is looked at whether somebody has it open for writing
 *     (ETXTBSY); whoever opens it for writing is counted by the kernel before the mark is looked at
 *     (ETXTBSY, for tasks of any container). One of the two sees the other. A mark of a file
 *     that was good stays as long as the kernel knows the inode: a mapping has no hook at its end.
 *   - private pages: what is mapped executable is never writable, nor is it made executable later.
 *
 * With `verity: true` a file that has fs-verity is not read: the kernel tells the digest of its Merkle
 * tree, by which it checks each page that it reads from then on, and the signature of that is in an
 * extended attribute (bpf/verity.bpf.h).
 *
 * Scripts are measured like programs, and so are their interpreters; but an interpreter opens the
 * script again by its name, and what it reads then is not seen.
 */
#ifndef WARDER_SIGNED_BPF_H
#define WARDER_SIGNED_BPF_H

#include "file.bpf.h"
#include "memory.bpf.h"

#define WARDER_ENODATA 61
#define WARDER_EBADMSG 74
#define WARDER_ETXTBSY 26
#define WARDER_EOPNOTSUPP 95
#define SIGNED_FMODE_WRITE 2u
#define SIGNED_S_VERITY (1u << 16)
#define SIGNED_SB_I_UNVERIFIABLE 0x20ul /* SB_I_IMA_UNVERIFIABLE_SIGNATURE: FUSE */

extern struct bpf_key *bpf_lookup_user_key(__u32 serial, __u64 flags) __ksym;
extern void bpf_key_put(struct bpf_key *key) __ksym;
extern int bpf_verify_pkcs7_signature(struct bpf_dynptr *data, struct bpf_dynptr *signature,
				      struct bpf_key *keys) __ksym;

/* One file of the current task. A policy that is replaced meanwhile is asked as it then is. */
struct signed_ask {
	__u64 cid;
	__u32 policy;
	__u32 done; /* layers that are judged already */
	struct warder_signed_content content;
};

/* The image where the kernel's functions take its bytes from: an argument would not do. */
static __always_inline struct warder_image *signed_image(__u32 policy)
{
	void *inner = bpf_map_lookup_elem(&warder_images, &policy);
	__u32 zero = 0;

	return inner ? bpf_map_lookup_elem(inner, &zero) : NULL;
}

/* What the kernel says of a signature and a ring: 0 or a positive errno. */
static __always_inline int signed_ask_ring(struct bpf_dynptr *data, struct bpf_dynptr *signature,
					   __s32 ring)
{
	struct bpf_key *keys = bpf_lookup_user_key((__u32)ring, 0);
	int err;

	if (!keys)
		return WARDER_ENOKEY;
	err = bpf_verify_pkcs7_signature(data, signature, keys);
	bpf_key_put(keys);
	return -err & 4095;
}

/* The same of one signature of the image. */
static __noinline int signed_ask_kernel(struct warder_image *img, __u32 at, __s32 ring)
{
	struct bpf_dynptr data, signature;
	__u32 from, length;

	from = image_u32(img, at + (__u32) __builtin_offsetof(struct warder_signature, at));
	length = image_u32(img, at + (__u32) __builtin_offsetof(struct warder_signature, length));
	/* Verified images lie within these; the masks say so to the verifier. */
	length &= WARDER_SIGNATURE_SIZE_MAX;
	from &= WARDER_IMAGE_MASK;
	if (from > WARDER_IMAGE_SIZE - WARDER_SIGNATURE_SIZE_MAX)
		return WARDER_EACCES;
	at &= WARDER_IMAGE_MASK;
	if (at > WARDER_IMAGE_SIZE - sizeof(struct warder_signature))
		return WARDER_EACCES;
	if (bpf_dynptr_from_mem(&img->b[at], sizeof(struct warder_signed_content), 0, &data) ||
	    bpf_dynptr_from_mem(&img->b[from], length, 0, &signature))
		return WARDER_EACCES;
	return signed_ask_ring(&data, &signature, ring);
}

/* The ring of the layer's signers; NULL: a fault. */
static __always_inline __s32 *signed_ring(const struct warder_image *img, __u64 cid, __u32 layer)
{
	struct warder_signers_key key = { .cid = cid };

	key.signers_id = img->h.layer[layer & (WARDER_LAYERS_MAX - 1)].signers_id;
	return bpf_map_lookup_elem(&warder_signers, &key);
}

/* Has one of the layer's signers signed it? 0, a positive errno, or a negative fault. */
__noinline __weak int signed_check_layer(const struct signed_ask *a, __u32 layer)
{
	struct warder_image *img;
	__s32 *ring;
	int at;

	if (!a || layer >= WARDER_LAYERS_MAX)
		return -WARDER_FAULT_ARGUMENT;
	layer &= WARDER_LAYERS_MAX - 1;
	img = signed_image(a->policy);
	if (!img)
		return -WARDER_FAULT_IMAGE;
	if (!(img->h.signed_layers >> layer & 1) || (a->done >> layer & 1))
		return 0;
	ring = signed_ring(img, a->cid, layer);
	if (!ring)
		return -WARDER_FAULT_SIGNERS;
	at = warder_signature_find(img, layer, &a->content);
	return at > 0 ? signed_ask_kernel(img, at, *ring) : WARDER_ENODATA;
}

/*
 * 0: its bytes are the kernel's to keep. A server in user space gives others each time, and of a
 * file system that a container has mounted the container may have what lies below: the layers of an
 * overlay, a disk image. Nothing lies below a tmpfs.
 */
static __always_inline __u32 signed_file_errno(struct file *file)
{
	struct super_block *sb = BPF_CORE_READ(file, f_inode, i_sb);
	__u64 at = (__u64)sb;
	struct warder_sb *known = bpf_map_lookup_elem(&warder_sbs, &at);

	/* Whoever made it may write it: the kernel does not count that. */
	if (memory_file_is_private(file) || file_kind(&file->f_path) == FILE_NAMELESS)
		return WARDER_ENODATA;
	if (known && known->maker && BPF_CORE_READ(sb, s_magic) != WARDER_MAGIC_TMPFS)
		return WARDER_EOPNOTSUPP;
	return BPF_CORE_READ(sb, s_iflags) & SIGNED_SB_I_UNVERIFIABLE ? WARDER_EOPNOTSUPP : 0;
}

/* All but the digest. */
static __always_inline void signed_content_init(struct warder_signed_content *c, __u32 algorithm)
{
	static const char magic[16] = WARDER_SIGNED_MAGIC;

	__builtin_memcpy(c->magic, magic, sizeof(magic));
	c->algorithm = algorithm;
	c->length = WARDER_DIGEST_SIZE;
	c->zero = 0;
}

/* All layers' errnos for what was measured, beside those that are there. Returns 0 or a fault. */
__noinline __weak int signed_check(const struct signed_ask *a, __u64 *ret_errs)
{
	__u64 errs;

	if (!a || !ret_errs)
		return WARDER_FAULT_ARGUMENT;
	errs = *ret_errs;
	WARDER_NO_UNROLL
	for (__u32 i = 0; i < WARDER_LAYERS_MAX; i++) {
		int err = signed_check_layer(a, i);

		if (err < 0)
			return -err;
		errs |= (__u64)(err & 0xffff) << (16 * i);
	}
	*ret_errs = errs;
	return 0;
}

/* The verdict on a file of which the kernel said `errs`, or a fault, with its name if it is told.
 */
__noinline __weak int signed_end(__u64 errs, __u32 fault, const struct file_object *o, __u32 hook)
{
	struct hook_facts f = { .hook = hook,
				.class_ = WARDER_CLASS_EXEC,
				.access = WARDER_ACC_EXEC,
				.arg = { 0, 1 } };
	struct scratch *sc = NULL;
	struct warder_verdict v;
	struct subject s = {};
	int pos;

	if (!o)
		return -WARDER_EACCES;
	if (subject_current(&s) != SUBJECT_TAGGED)
		fault = s.fault;
	if (fault || !s.img)
		return hook_fault(&s, &f, fault, NULL);
	warder_decide_signed(s.img, errs, &v);
	if (v.report)
		sc = scratch_take();
	if (sc) {
		pos = file_gather(o, s.slot, &sc->text);
		if (pos >= 0) {
			f.off = pos;
			f.len = WARDER_PATH_MAX - pos;
		}
	}
	return hook_end(&s, &v, &f, sc);
}

/* Does a policy of the current task ask for signatures? -1: a fault, which signed_end() finds
 * again. Not inlined, as is what follows: the stack of the hooks is short. */
static __noinline int signed_wanted(void)
{
	struct subject s = {};

	switch (subject_current(&s)) {
	case SUBJECT_UNTAGGED:
		return 0;
	case SUBJECT_FAULT:
		return -1;
	default:
		return s.img->h.signed_layers != 0;
	}
}

/* Puts the file's digest into `c`: 0, a positive errno, or a negative fault. */
static __always_inline int signed_measure(struct file *file, struct warder_signed_content *c)
{
	long algorithm;

	signed_content_init(c, WARDER_SIGNED_SHA256);
	algorithm = bpf_ima_file_hash(file, c->digest, sizeof(c->digest));
	if (algorithm < 0)
		return -algorithm & 4095;
	/* ima_hash= of the kernel's command line says another one. */
	return algorithm == WARDER_SIGNED_SHA256 ? 0 : -WARDER_FAULT_DIGEST;
}

#include "verity.bpf.h"

/* Errnos take 12 of the 16 bits that each layer has. */
#define SIGNED_FAULT(fault) (1ull << 63 | (fault))
#define SIGNED_IS_FAULT(errs) ((errs) >> 63 ? (__u32)(errs) : 0)

/* Measures the file and asks the kernel: each layer's errno, or a SIGNED_FAULT(). */
static __noinline __u64 signed_look(struct file *file)
{
	struct signed_ask ask = {};
	struct warder_task *tag;
	struct warder_ctr *ctr;
	__u64 errs = 0;
	__u32 fault;
	int err;

	tag = task_tag(bpf_get_current_task_btf(), &fault);
	ctr = tag ? bpf_map_lookup_elem(&warder_ctrs, &tag->slot) : NULL;
	if (!ctr || ctr->cid != tag->cid)
		return SIGNED_FAULT(WARDER_FAULT_CONTAINER);
	ask.cid = ctr->cid;
	ask.policy = ctr->policy;
	err = signed_file_errno(file);
	if (err)
		return WARDER_SIGNED_ERRS_ALL(err);
	if (cfg_verity && (file->f_inode->i_flags & SIGNED_S_VERITY)) {
		fault = verity_look(file, &ask, &errs);
		if (fault)
			return SIGNED_FAULT(fault);
		if (!verity_left(&ask))
			return errs;
	}
	err = signed_measure(file, &ask.content);
	if (err > 0)
		return errs | (WARDER_SIGNED_ERRS_ALL(err) & ~verity_mask(ask.done));
	fault = err ? -err : signed_check(&ask, &errs);
	return fault ? SIGNED_FAULT(fault) : errs;
}

/* Judges a file of which the kernel said `errs`. */
static __noinline int signed_judge(struct file *file, __u64 errs, __u32 hook)
{
	struct file_object o = {};

	file_object_set(&o, &file->f_path, NULL);
	return errno_return(
		-signed_end(SIGNED_IS_FAULT(errs) ? 0 : errs, SIGNED_IS_FAULT(errs), &o, hook));
}

SEC("lsm.s/bprm_check_security")
int BPF_PROG(warder_signed_exec, struct linux_binprm *bprm, int ret)
{
	struct file *file = bprm->file;
	int wanted;

	if (ret)
		return errno_return(-ret);
	wanted = signed_wanted();
	if (!wanted)
		return 0;
	return errno_return(-signed_judge(
		file, wanted < 0 ? SIGNED_FAULT(WARDER_FAULT_IMAGE) : signed_look(file),
		WARDER_HOOK_BPRM_CHECK));
}

/* --------------------------------------------------------------------- mappings */

/* Is it code, by whatever names? Memory and devices are class "memory"'s. */
static __always_inline int signed_concerns(struct file *file)
{
	return (BPF_CORE_READ(file, f_inode, i_mode) & WARDER_S_IFMT) == WARDER_S_IFREG &&
	       !memory_file_is_private(file);
}

SEC("lsm.s/mmap_file")
int BPF_PROG(warder_signed_map, struct file *file, unsigned long reqprot, unsigned long prot,
	     unsigned long flags, int ret)
{
	struct signed_file *mark;
	int wanted, err;
	__u64 errs;

	if (ret)
		return errno_return(-ret);
	if (!file || !(prot & WARDER_PROT_EXEC) || !signed_concerns(file))
		return 0;
	wanted = signed_wanted();
	if (!wanted)
		return 0;
	/* With PROT_WRITE its pages would be the task's own. */
	if (wanted < 0 || (prot & MEMORY_PROT_WRITE)) {
		errs = wanted < 0 ? SIGNED_FAULT(WARDER_FAULT_IMAGE)
				  : WARDER_SIGNED_ERRS_ALL(WARDER_EPERM);
		return errno_return(-signed_judge(file, errs, WARDER_HOOK_MMAP_FILE));
	}
	mark = bpf_inode_storage_get(&warder_sealed, file->f_inode, 0,
				     BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!mark)
		return errno_return(-signed_judge(file, SIGNED_FAULT(WARDER_FAULT_MAP_FULL),
						  WARDER_HOOK_MMAP_FILE));
	/* A full barrier, as the kernel's own count of writers is. */
	__sync_fetch_and_add(&mark->checking, 1);
	if (BPF_CORE_READ(file, f_inode, i_writecount.counter) > 0)
		errs = WARDER_SIGNED_ERRS_ALL(WARDER_ETXTBSY);
	else
		errs = signed_look(file);
	err = signed_judge(file, errs, WARDER_HOOK_MMAP_FILE);
	/* In audit mode, too, where something else than signed content is mapped: no mark. */
	if (!err && !errs)
		mark->holds = 1;
	__sync_fetch_and_add(&mark->checking, -1);
	return errno_return(-err);
}

/* The address space is locked, so nothing can be read here: what was not measured when it was
 * mapped does not become executable later. */
SEC("lsm/file_mprotect")
int BPF_PROG(warder_signed_protect, struct vm_area_struct *vma, unsigned long reqprot,
	     unsigned long prot, int ret)
{
	struct file *file = vma->vm_file;
	int wanted;

	if (ret)
		return errno_return(-ret);
	if (!file || !(prot & WARDER_PROT_EXEC) || !signed_concerns(file))
		return 0;
	wanted = signed_wanted();
	if (!wanted)
		return 0;
	if (wanted > 0 && !(prot & MEMORY_PROT_WRITE) && !BPF_CORE_READ(vma, anon_vma) &&
	    (BPF_CORE_READ(vma, vm_flags) & MEMORY_VM_EXEC))
		return 0;
	return errno_return(-signed_judge(file,
					  wanted < 0 ? SIGNED_FAULT(WARDER_FAULT_IMAGE)
						     : WARDER_SIGNED_ERRS_ALL(WARDER_EPERM),
					  WARDER_HOOK_FILE_MPROTECT));
}

/* ---------------------------------------------------------------------- writers */

/* A task of any container is about to write into the file. The kernel has counted it already. */
static __always_inline int signed_judge_write(struct inode *inode, __u32 hook)
{
	struct hook_facts f = { .hook = hook,
				.class_ = WARDER_CLASS_FILE,
				.access = WARDER_ACC_WRITE };
	struct warder_verdict v;
	struct signed_file *mark;
	struct subject s = {};

	if (!current_is_tagged())
		return 0;
	mark = bpf_inode_storage_get(&warder_sealed, inode, 0, 0);
	if (!mark || !(mark->holds | mark->checking))
		return 0;
	if (subject_current(&s) != SUBJECT_TAGGED)
		return errno_return(-hook_fault(&s, &f, s.fault, NULL));
	warder_verdict_allow(&v);
	warder_verdict_deny(&v, WARDER_WHY_BASELINE, WARDER_ETXTBSY);
	v.access = WARDER_ACC_WRITE;
	return errno_return(-hook_end(&s, &v, &f, NULL));
}

SEC("lsm/file_open")
int BPF_PROG(warder_signed_open, struct file *file, int ret)
{
	if (ret)
		return errno_return(-ret);
	if (!(file->f_mode & SIGNED_FMODE_WRITE))
		return 0;
	return signed_judge_write(file->f_inode, WARDER_HOOK_FILE_OPEN);
}

SEC("lsm/path_truncate")
int BPF_PROG(warder_signed_truncate, const struct path *path, int ret)
{
	if (ret)
		return errno_return(-ret);
	return signed_judge_write(path->dentry->d_inode, WARDER_HOOK_PATH_TRUNCATE);
}

#endif
