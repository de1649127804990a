// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keys. Each key made by a tagged task, or by the supervisor for a container, carries that
 * container's id; a tagged task sees its own container's keys, what was granted to it, and as
 * much of the kernel's own rings as key upcalls and signature checks need.
 *
 * keylife.bpf.h: keys are made, counted and freed; upcall.bpf.h: requests for keys that are not there;
 * keyaccess.bpf.h: who may do what with one. keymark, keyown and keylook.bpf.h are what these ask.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define WARDER_MAPS_EXTERN
#include "core.bpf.h"

#define WARDER_EDQUOT 122

/* Not in BTF: constants of the kernel's include/linux/key.h. */
#define KEY_FLAG_UID_KEYRING 9
#define KEY_ALLOC_NOT_IN_QUOTA 0x0002
#define KEY_ALLOC_UID_KEYRING 0x0010

/* enum key_need_perm; 1 to 7 are the bits of WARDER_KEY_MAY_*. */
#define KEY_NEED_WRITE 3
#define KEY_NEED_SEARCH 4
#define KEY_NEED_LINK 5
#define KEY_NEED_UNLINK 7
#define KEY_DEFER_PERM_CHECK 10

/* keyctl(2) operations that the hook cannot tell apart by the need. */
#define KEYCTL_JOIN_SESSION_KEYRING 1
#define KEYCTL_UPDATE 2
#define KEYCTL_REVOKE 3
#define KEYCTL_SESSION_TO_PARENT 18
#define KEYCTL_INVALIDATE 21
#define KEYCTL_MOVE 30

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WARDER_KEYS_MAX);
	__type(key, __u64);
	__type(value, struct warder_key_tag);
} warder_keys SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WARDER_GRANTS_MAX);
	__type(key, struct warder_grant_key);
	__type(value, struct warder_grant);
} warder_grants SEC(".maps");

/* Only the supervisor's key thread and the registry's record have an entry. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct warder_alloc_as);
} warder_alloc_as SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WARDER_CONTAINERS_MAX);
	__type(key, __u32);
	__type(value, struct warder_clears);
} warder_clears SEC(".maps");

#include "keymark.bpf.h"
#include "keylook.bpf.h"
#include "keyown.bpf.h"

/* ------------------------------------------------------------------- report */

#define KEY_TEXT_TYPE 32
#define KEY_TEXT_DESC 256

/* "type;description" into the scratch text, ending where gathered names end. */
static __noinline int key_text(struct key *key, struct scratch *sc, struct hook_facts *f)
{
	long type_len, desc_len;
	__u32 off;

	type_len = bpf_probe_read_kernel_str(sc->second.b, KEY_TEXT_TYPE,
					     BPF_CORE_READ(key, index_key.type, name));
	desc_len = bpf_probe_read_kernel_str(sc->second.b + KEY_TEXT_TYPE, KEY_TEXT_DESC,
					     BPF_CORE_READ(key, index_key.description));
	if (type_len < 1 || type_len > KEY_TEXT_TYPE || desc_len < 1 || desc_len > KEY_TEXT_DESC)
		return 0; /* the event goes without a name */
	/* Both lengths count a NUL; the first one's place is taken by the separator. */
	f->len = type_len + desc_len - 1;
	f->off = WARDER_PATH_MAX - f->len;
	off = f->off;
	if (off > WARDER_PATH_MAX)
		return 0;
	bpf_probe_read_kernel(sc->text.b + off, type_len, sc->second.b);
	off += type_len;
	if (off < 1 || off > WARDER_PATH_MAX)
		return 0;
	sc->text.b[off - 1] = ';';
	bpf_probe_read_kernel(sc->text.b + off, desc_len, sc->second.b + KEY_TEXT_TYPE);
	return 0;
}

/* The hook's end, with the key's name if anybody will read it. */
static __noinline int key_refuse_as(struct subject *s, struct key *key, struct hook_facts *f,
				    struct warder_verdict *v)
{
	struct scratch *sc = v->report ? scratch_take() : NULL;

	if (sc)
		key_text(key, sc, f);
	return hook_end(s, v, f, sc);
}

/* Refused with `err`, by the baseline: no policy and no mode lets keys of others be seen. */
static __noinline int key_refuse(struct subject *s, struct key *key, struct hook_facts *f,
				 __u32 err)
{
	struct warder_verdict v;

	warder_verdict_allow(&v);
	warder_verdict_deny(&v, WARDER_WHY_BASELINE, err);
	return key_refuse_as(s, key, f, &v);
}

#include "keylife.bpf.h"
#include "keyaccess.bpf.h"

char LICENSE[] SEC("license") = "GPL";
