// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keys. Each key made by a tagged task, or by the supervisor for a container, carries that
 * container's id; a tagged task sees its own container's keys, what was granted to it, and as
 * much of the kernel's own rings as key upcalls and signature checks need.
 *
 * key_permission runs under RCU and, for /proc/keys, a spinlock: nothing here sleeps.
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

/* --------------------------------------------------------------------- tags */

/* The counters of container `cid`; NULL when the slot is another container's by now. */
static __always_inline struct warder_stats *key_stats(__u32 slot, __u64 cid)
{
	struct warder_ctr *ctr = bpf_map_lookup_elem(&warder_ctrs, &slot);

	return ctr && ctr->cid == cid ? bpf_map_lookup_elem(&warder_stats, &slot) : NULL;
}

/* Is it counted against the container's limits? */
static __always_inline int key_is_counted(const struct warder_key_tag *tag)
{
	return tag->kind == WARDER_KEY_OWN || tag->kind == WARDER_KEY_SHARED;
}

static __always_inline void key_uncount(const struct warder_key_tag *tag)
{
	struct warder_stats *stats;

	if (!key_is_counted(tag))
		return;
	stats = key_stats(tag->slot, tag->cid);
	if (!stats)
		return;
	__sync_fetch_and_add(&stats->keys, -1);
	__sync_fetch_and_add(&stats->key_bytes, -(__u64)tag->name_bytes - tag->data_bytes);
}

/* Forgets the tag at this address; who deletes it also takes it off the count. */
static __noinline int key_untag(__u64 at)
{
	struct warder_key_tag *found = bpf_map_lookup_elem(&warder_keys, &at);
	struct warder_key_tag tag;

	if (!found)
		return 0;
	tag = *found;
	if (!key_tag_drop(at))
		key_uncount(&tag);
	return 0;
}

/* An untagged thread makes a key: a container's, if the supervisor announced just this one. */
static __noinline int key_alloc_untagged(struct key *key, __u64 at)
{
	__u32 tid = (__u32)bpf_get_current_pid_tgid();
	struct warder_alloc_as *as = bpf_map_lookup_elem(&warder_alloc_as, &tid);
	struct warder_key_tag tag = {};
	struct key_look look = {};

	if (!as || !as->cid || bpf_ktime_get_ns() > as->expires)
		return 0;
	if (key_look_at(key, &look)) {
		fault_count(WARDER_FAULT_ARGUMENT);
		return -WARDER_EDQUOT;
	}
	tag.hash = look.hash;
	if (tag.hash != as->hash)
		return 0;
	tag.cid = as->cid;
	tag.kind = as->kind;
	tag.may = as->may;
	tag.ring = look.ring;
	bpf_map_delete_elem(&warder_alloc_as, &tid);
	if (key_tag_put(at, &tag)) {
		fault_count(WARDER_FAULT_MAP_FULL);
		return -WARDER_EDQUOT;
	}
	return 0;
}

/* Rings that the kernel makes while a container's task runs, but for the whole host: its own
 * registers, and the rings of a uid in the initial user namespace. */
static __always_inline int key_is_shared(const struct key_look *look, unsigned long flags)
{
	struct task_struct *task = bpf_get_current_task_btf();

	if (look->kernel_ring)
		return 1;
	if (task->cred->user_ns->parent)
		return 0;
	if (flags & KEY_ALLOC_UID_KEYRING)
		return 1;
	/* No keyring that user space makes is outside the quota: _persistent.UID. */
	return look->ring && (flags & KEY_ALLOC_NOT_IN_QUOTA);
}

#include "upcall.bpf.h"

/* What the payload of the call under way will add: counted for real when it is there. */
static __always_inline __u64 key_call_payload(const struct key_call *call)
{
	/* add_key and KEYCTL_UPDATE have its length in the same place. */
	if (call->op != WARDER_KEY_OP_ADD && !key_call_is(call, KEYCTL_UPDATE))
		return 0;
	return (__u32)call->arg[3];
}

static __always_inline __u64 key_bytes_max(const struct subject *s)
{
	return s->ctr->keys_bytes ? s->ctr->keys_bytes : WARDER_KEY_BYTES_DEFAULT;
}

/* Counts one more key, or says which limit it would pass: 0 if none. */
static __noinline __u64 key_count(struct subject *s, __u64 name, __u64 data)
{
	__u64 max = s->ctr->keys_max ? s->ctr->keys_max : WARDER_KEYS_DEFAULT;
	__u64 max_bytes = key_bytes_max(s);

	if (__sync_fetch_and_add(&s->stats->keys, 1) >= max) {
		__sync_fetch_and_add(&s->stats->keys, -1);
		return max;
	}
	if (__sync_fetch_and_add(&s->stats->key_bytes, name) + name + data > max_bytes) {
		__sync_fetch_and_add(&s->stats->key_bytes, -name);
		__sync_fetch_and_add(&s->stats->keys, -1);
		return max_bytes;
	}
	return 0;
}

/* A new key of the container; 0, or -1 when there is no room. In a function of its own, as is what
 * follows: the stack of the hook is short. */
static __noinline int key_tag_new(struct subject *s, struct key *key, const struct key_look *look,
				  __u32 kind)
{
	struct warder_key_tag tag = { .cid = s->tag->cid, .hash = look->hash, .kind = kind,
				      .slot = s->slot, .ring = look->ring };
	__u64 at = (__u64)key;

	tag.name_bytes = BPF_CORE_READ(key, index_key.desc_len) + 1;
	if (!key_tag_put(at, &tag))
		return 0;
	key_uncount(&tag);
	return -1;
}

/* What the system call under way is (WARDER_KEY_OP_*), and how long a payload it brings. */
static __noinline __u64 key_call_summary(void)
{
	struct key_call call;

	key_call_read(&call);
	return (__u64)call.op << 32 | key_call_payload(&call);
}

/* S is not the session ring of all its tasks any more: an answer that says so would be wrong. */
static __noinline int key_joined(const struct subject *s)
{
	__u32 slot = s->slot;
	struct warder_clears *clears = bpf_map_lookup_elem(&warder_clears, &slot);

	if (clears)
		clears->joined = s->tag->cid;
	return 0;
}

/* A tagged task makes a key; fills v. */
static __noinline int key_alloc_judge(struct subject *s, struct key *key, struct hook_facts *f,
				      struct warder_verdict *v, unsigned long flags)
{
	struct key_look look = {};
	__u64 call = key_call_summary();
	__u32 kind;

	if (key_look_at(key, &look)) {
		warder_verdict_fault(v, WARDER_FAULT_ARGUMENT, WARDER_EACCES);
		return 0;
	}
	f->access = call >> 32;
	warder_verdict_allow(v);
	/* Joined by a name that is there already, no ring is made: see key_permission. */
	if (look.ring && f->access == (WARDER_KEY_OP_KEYCTL | KEYCTL_JOIN_SESSION_KEYRING))
		warder_decide_join(s->img, v);
	if (v->action == WARDER_DENY)
		return 0;
	if (look.ring && f->access == (WARDER_KEY_OP_KEYCTL | KEYCTL_JOIN_SESSION_KEYRING))
		key_joined(s);
	f->arg[1] = key_count(s, BPF_CORE_READ(key, index_key.desc_len) + 1, (__u32)call);
	if (f->arg[1]) {
		warder_verdict_deny(v, WARDER_WHY_BASELINE, WARDER_EDQUOT);
		return 0;
	}
	/* Counted all the same: rings of a uid are never freed, and uids are many. */
	kind = key_is_shared(&look, flags) ? WARDER_KEY_SHARED : WARDER_KEY_OWN;
	if (key_tag_new(s, key, &look, kind)) {
		/* As the kernel's own quota: programs know what to do about it. */
		warder_verdict_fault(v, WARDER_FAULT_MAP_FULL, WARDER_EDQUOT);
		return 0;
	}
	if (!look.auth) {
		s->tag->last_key = (__u64)key;
		return 0;
	}
	return 1;
}

SEC("lsm/key_alloc")
int BPF_PROG(warder_key_alloc, void *new_key, const struct cred *cred, unsigned long flags, int ret)
{
	struct key *key = (struct key *)key_argument(ctx, 0);
	struct warder_verdict v;
	struct hook_facts f;
	struct key *named;
	struct subject s;
	int state, auth;

	/* Whatever lay at this address is gone, also if its end was missed. */
	if (key_may_have_tag((__u64)key))
		key_untag((__u64)key);
	if (current_is_plain())
		return key_alloc_untagged(key, (__u64)key);
	if (ret)
		return ret;
	named = key;
	v = (struct warder_verdict){};
	f = (struct hook_facts){ .hook = WARDER_HOOK_KEY_ALLOC, .class_ = WARDER_CLASS_KEYRING };
	state = subject_current(&s);
	if (state == SUBJECT_UNTAGGED)
		return key_alloc_untagged(key, (__u64)key);
	if (state == SUBJECT_FAULT)
		return hook_fault(&s, &f, s.fault, NULL);
	auth = key_alloc_judge(&s, key, &f, &v, flags);
	if (auth) {
		upcall_judge_new(&s, &f, key, &v);
		named = (struct key *)s.tag->last_key;
		/* Refused, the key is not freed through the hook on every kernel. */
		if (v.action == WARDER_DENY)
			key_untag((__u64)key);
	} else if (v.action == WARDER_ALLOW) {
		return 0;
	}
	if (v.why == WARDER_WHY_FAULT)
		return hook_fault_as(&s, &f, v.fault, NULL, v.err);
	return key_refuse_as(&s, named, &f, &v);
}

/* Payloads come and change after the allocation; links of keyrings are payload, too. */
static __noinline int key_payload_count(__u64 at, __u32 length)
{
	struct warder_key_tag *tag = bpf_map_lookup_elem(&warder_keys, &at);
	struct warder_stats *stats;
	__u64 change;

	if (!tag || !key_is_counted(tag))
		return 0;
	/* The kernel holds the key's semaphore: one such change at a time. */
	change = (__u64)length - tag->data_bytes;
	stats = change ? key_stats(tag->slot, tag->cid) : NULL;
	if (stats) {
		tag->data_bytes = length;
		__sync_fetch_and_add(&stats->key_bytes, change);
		/* Of a ring nobody keeps it. */
		if (!tag->ring)
			key_changed(at);
	}
	*key_length(at) = key_length_fits(length) && tag->data_bytes == length ?
				  key_length_word(at, length) : 0;
	return 0;
}

/* (key, length), and what it returned. Registers are spared as in warder_key_permission. */
SEC("fexit/key_payload_reserve")
int warder_key_payload(unsigned long long *ctx)
{
	unsigned long long *volatile kept = ctx;
	__u64 at = 0;
	__u32 length;

	bpf_get_func_arg(ctx, 0, &at);
	ctx = kept;
	if (!key_may_have_tag(KEPT_READ(at)) || (int)ctx[2])
		return 0;
	/* As long as before, as in most updates. */
	length = (__u32)ctx[1];
	if (key_length_fits(length) && *key_length(at) == key_length_word(at, length))
		return 0;
	return key_payload_count(KEPT_READ(at), length);
}

/* Runs in the collector, before the memory can be used again. On 6.12 and later also after a
 * refused key_alloc, where there is no tag. */
SEC("fentry/security_key_free")
int BPF_PROG(warder_key_free, struct key *key)
{
	__u64 at = key_argument(ctx, 0);

	/* The authorisation of an upcall that is recorded has a tag as well. */
	if (!key_may_have_tag(at))
		return 0;
	key_untag(at);
	upcall_end(key);
	return 0;
}

#define KEY_CLEAR_TOLD (WARDER_SECOND / 10)

/*
 * A container may empty its S, and C goes with the rest. The supervisor links it again: told at
 * once, but not more often than every tenth of a second; what it was not told of it finds by the
 * count.
 */
SEC("fexit/keyring_clear")
int BPF_PROG(warder_keyring_clear, struct key *ring, int ret)
{
	__u64 at = (__u64)ring, now, told;
	struct warder_event_header *h;
	struct warder_clears *clears;
	struct warder_key_tag *tag;
	struct subject s;

	if (ret || subject_current(&s) != SUBJECT_TAGGED)
		return 0;
	tag = bpf_map_lookup_elem(&warder_keys, &at);
	if (!tag || tag->cid != s.tag->cid)
		return 0;
	if (tag->kind == WARDER_KEY_OWN) {
		/* C, if it was linked there, is not any more. An upcall under way sees the count. */
		__sync_fetch_and_add(&tag->may, 2);
		__sync_fetch_and_and(&tag->may, ~WARDER_RING_HAS_C);
	}
	if (tag->kind != WARDER_KEY_SESSION)
		return 0;
	clears = bpf_map_lookup_elem(&warder_clears, &s.slot);
	if (!clears)
		return 0;
	__sync_fetch_and_add(&clears->count, 1);
	now = bpf_ktime_get_ns();
	told = clears->told;
	if (now - told < KEY_CLEAR_TOLD ||
	    __sync_val_compare_and_swap(&clears->told, told, now) != told)
		return 0;
	h = bpf_ringbuf_reserve(&warder_events, sizeof(*h), 0);
	if (!h)
		return 0;
	event_header_fill(h, WARDER_EVENT_CLEARED, sizeof(*h), now, &s);
	bpf_ringbuf_submit(h, 0);
	return 0;
}

/* ----------------------------------------------------------------- judgment */

enum key_answer {
	KEY_ALLOWED = 0,
	KEY_PROTECTED, /* visible, but not for this use: EACCES */
	KEY_HIDDEN,    /* not there: ENOKEY */
	KEY_FULL,      /* the container's quota: EDQUOT */
};

static __always_inline __u32 key_answer_errno(int answer)
{
	return answer == KEY_HIDDEN ? WARDER_ENOKEY :
	       answer == KEY_FULL   ? WARDER_EDQUOT :
				      WARDER_EACCES;
}

/* Would an update pass the container's limit of bytes? */
static __always_inline int key_grows_too_much(const struct subject *s,
					      const struct warder_key_tag *tag,
					      const struct key_call *call)
{
	__u64 data = key_call_payload(call);

	if (tag->kind != WARDER_KEY_OWN || data <= tag->data_bytes)
		return 0;
	return s->stats->key_bytes - tag->data_bytes + data > key_bytes_max(s);
}

/* What the supervisor said may be done with it: a key of the host or of another container that
 * was granted, or a given one. */
static __always_inline int key_judge_may(__u32 may, __u32 need, const struct key_call *call)
{
	__u32 bit;

	if (need == KEY_DEFER_PERM_CHECK)
		bit = WARDER_KEY_MAY_READ;
	else if (need >= 1 && need <= KEY_NEED_UNLINK)
		bit = 1u << (need & 7);
	else
		bit = 0;
	if (key_call_is(call, KEYCTL_INVALIDATE))
		bit = WARDER_KEY_MAY_WRITE;
	return bit & may ? KEY_ALLOWED : KEY_PROTECTED;
}

/* The container's own keys, among them those that hold its keyring together. */
static __always_inline int key_judge_own(const struct warder_key_tag *tag, __u32 need,
					 const struct key_call *call)
{
	__u32 kind = tag->kind;

	switch (kind) {
	case WARDER_KEY_OWN:
		return KEY_ALLOWED;
	case WARDER_KEY_SESSION:
		/* Not its owner, permissions, timeout, restriction; add, link, clear are fine. */
		if (need < 1 || need > KEY_NEED_LINK)
			return need == KEY_DEFER_PERM_CHECK ? KEY_ALLOWED : KEY_PROTECTED;
		if (key_call_is(call, KEYCTL_REVOKE) || key_call_is(call, KEYCTL_INVALIDATE))
			return KEY_PROTECTED;
		return KEY_ALLOWED;
	case WARDER_KEY_SIGNERS:
		/* The kernel checks a signature for the task; no call of the task's own sees it. */
		return call->op || (need != KEY_NEED_SEARCH && need != KEY_DEFER_PERM_CHECK) ?
			       KEY_HIDDEN :
			       KEY_ALLOWED;
	case WARDER_KEY_CONTAINER:
	case WARDER_KEY_GIVEN:
		if (kind == WARDER_KEY_GIVEN && tag->may)
			return key_judge_may(tag->may, need, call);
		/* Look, search, link; C's content, and what is in it, is the supervisor's. A link
		 * of a given key in a ring of the container's own may go. */
		if (need == KEY_NEED_WRITE)
			return KEY_PROTECTED;
		if (need == KEY_NEED_UNLINK && kind == WARDER_KEY_GIVEN)
			return KEY_ALLOWED;
		if (need < 1 || need > KEY_NEED_LINK)
			return need == KEY_DEFER_PERM_CHECK ? KEY_ALLOWED : KEY_PROTECTED;
		/* Invalidation asks for SEARCH only. A move out of S asks for LINK on C. */
		if (key_call_is(call, KEYCTL_INVALIDATE))
			return KEY_PROTECTED;
		if (kind == WARDER_KEY_CONTAINER && key_call_is(call, KEYCTL_MOVE))
			return KEY_PROTECTED;
		return KEY_ALLOWED;
	}
	return KEY_PROTECTED;
}

/* A key of the host that nobody granted. */
static __always_inline int key_judge_host(struct key *key, const struct key_look *look,
					  const struct cred *cred, __u32 need, int in_call,
					  const struct key_call *call)
{
	struct task_struct *task = bpf_get_current_task_btf();
	int private = task->cred != task->real_cred && task->cred == cred;

	/* The kernel acts with credentials of its own: resolver caches, which are host-wide. */
	if (private && look->kernel_ring && need == KEY_NEED_WRITE)
		return KEY_ALLOWED;
	/* An invalidation asks for no more than SEARCH. */
	if (need != KEY_NEED_SEARCH || key_call_is(call, KEYCTL_INVALIDATE))
		return KEY_HIDDEN;
	if (private || look->kernel_ring)
		return KEY_ALLOWED;
	/* The kernel checks a signature for the task: certificates in kernel rings. Never
	 * from a key system call, where a search could end in pkey_sign. */
	if (!in_call && look->trust)
		return KEY_ALLOWED;
	/* Without them every upcall would fail: the kernel looks up the uid rings first. */
	if (BPF_CORE_READ(key, flags) & (1ul << KEY_FLAG_UID_KEYRING))
		return KEY_ALLOWED;
	/* Made by the runtime that started the container: a refusal would end every search. */
	if (key == task->cred->session_keyring)
		return KEY_ALLOWED;
	return KEY_HIDDEN;
}

/* A child may replace its parent's session ring; not across the border. */
static __noinline int key_parent_is_outside(struct subject *s)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_struct *parent = task->real_parent;
	struct warder_task *tag;

	if (!parent)
		return 1;
	tag = bpf_task_storage_get(&warder_tasks, parent, NULL, 0);
	return !tag || tag->cid != s->tag->cid;
}

static __always_inline int key_join_is_denied(const struct subject *s)
{
	struct warder_verdict v;

	warder_decide_join(s->img, &v);
	return v.action == WARDER_DENY;
}

/*
 * The supervisor possesses every S. A container may hang rings into its S, some hundred of them
 * cross-linked in layers, and the kernel would walk all paths through them for each key that
 * the supervisor names. It needs nothing from below those rings: they are not searched for it.
 * Others are kept from what an upcall's queue is to answer, and from taking a container's ring for
 * theirs: a container may give one any name, and have C in it. So nobody joins such a ring by name,
 * and nobody but root puts one into a ring of his own.
 */
static __noinline int key_permission_untagged(__u64 at, __u32 need)
{
	struct key_call call;
	struct warder_key_tag *tag;
	struct warder_host *host;
	__u32 zero = 0;

	if (!key_may_have_tag(at))
		return 0;
	tag = bpf_map_lookup_elem(&warder_keys, &at);
	if (!tag || tag->kind != WARDER_KEY_OWN)
		return 0;
	key_call_read(&call);
	if (need == KEY_NEED_LINK)
		return (__u32)bpf_get_current_uid_gid() && key_look_is_ring((struct key *)at);
	if (key_call_is(&call, KEYCTL_JOIN_SESSION_KEYRING))
		return 1;
	host = bpf_map_lookup_elem(&warder_host, &zero);
	if (host && host->supervisor == bpf_get_current_pid_tgid() >> 32)
		return key_look_is_ring((struct key *)at);
	if (host && host->upcalls_by_lines)
		return 0;
	return upcall_is_kept_from((struct key *)at);
}

/*
 * The same as key_own_allows(), as far as it depends on the call: 0 is to be judged in full. The number of
 * the call is enough: of the 32-bit calls the same ones are no key calls, in which as little is kept from
 * a container.
 */
static __noinline int key_own_allows_call(__u64 what, __u64 need)
{
	volatile __u64 kept_what = what, kept_need = need; /* no registers that are to be saved */
	struct pt_regs *regs =
		(struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	__u64 nr;

	if (!regs)
		return 0;
	nr = regs->orig_ax;
	need = kept_need;
	/* A payload that does not grow passes no limit. */
	if ((__u32)need == KEY_NEED_WRITE)
		return nr == SYS_ADD_KEY && kept_what & KEY_OWN_MADE &&
		       (__u32)regs->r10 <= (__u32)kept_what;
	return (__u32)need == KEY_NEED_SEARCH && (nr == SYS_REQUEST_KEY || nr == SYS_ADD_KEY);
}

/* By what the task has seen of the key before: 1 allows, 0 is to be judged in full, anything else is what
 * is known, for a look at the call. */
static __noinline __u64 key_own_judge(unsigned long long *ctx, __u64 ref, struct task_struct *task)
{
	__u64 what;

	if (!ctx[3] && key_own_find(task, ref, (__u32)ctx[2], &what))
		return what;
	asm volatile("%0 = 0" : "=r"(what)); /* here, as in warder_key_permission */
	return what;
}

/* The same by the maps; what is found is kept for the next time. */
static __always_inline int key_is_plainly_own(struct task_struct *task,
					      const struct warder_task *task_tag, __u64 ref,
					      __u32 need)
{
	__u64 at = ref & ~1ull, changes = key_changes_of(ref), what;
	struct warder_key_tag *tag;
	struct warder_ctr *ctr;
	__u32 slot = task_tag->slot;

	ctr = bpf_map_lookup_elem(&warder_ctrs, &slot);
	tag = bpf_map_lookup_elem(&warder_keys, &at);
	if (!ctr || ctr->cid != task_tag->cid || !tag || tag->cid != task_tag->cid)
		return 0;
	if (tag->kind != WARDER_KEY_OWN && tag->kind != WARDER_KEY_SESSION &&
	    tag->kind != WARDER_KEY_CONTAINER && (tag->kind != WARDER_KEY_GIVEN || tag->may))
		return 0;
	what = key_own_what(tag, ref);
	key_own_note(task, task_tag, ref, changes, what);
	return key_own_allows(what, need) || key_own_allows_call(what, need);
}

/* A task of a container, or one of whom that cannot be said. */
static __always_inline int key_permission_judge(unsigned long long *ctx, __u64 at)
{
	struct hook_facts f = { .hook = WARDER_HOOK_KEY_PERMISSION,
				.class_ = WARDER_CLASS_KEYRING };
	const struct cred *cred = (const struct cred *)ctx[1];
	__u32 need = (__u32)ctx[2];
	struct warder_key_tag *tag;
	struct key_look look = {};
	struct warder_grant_key gk = {};
	struct warder_grant *grant;
	struct key_call call;
	struct key *key = (struct key *)at;
	struct subject s;
	__s32 serial;
	int in_call, answer;

	f.arg[1] = need;
	if (subject_current(&s) != SUBJECT_TAGGED)
		return hook_fault(&s, &f, s.fault, NULL);
	if (!key || key_look_at(key, &look))
		return hook_fault(&s, &f, WARDER_FAULT_ARGUMENT, NULL);
	serial = BPF_CORE_READ(key, serial);
	f.arg[0] = (__u32)serial;
	in_call = key_call_read(&call);
	f.access = call.op;

	tag = bpf_map_lookup_elem(&warder_keys, &at);
	/* A tag that another key left behind says nothing about this one. */
	if (tag && (tag->hash != look.hash || (tag->serial && tag->serial != serial) ||
		    tag->kind == WARDER_KEY_SHARED))
		tag = NULL;
	if (tag && !tag->serial)
		tag->serial = serial;

	if (tag && tag->cid == s.tag->cid) {
		answer = key_judge_own(tag, need, &call);
		if (answer == KEY_ALLOWED && need == KEY_NEED_WRITE && !look.ring &&
		    key_grows_too_much(&s, tag, &call))
			answer = KEY_FULL;
	} else {
		gk.cid = s.tag->cid;
		gk.serial = serial;
		grant = bpf_map_lookup_elem(&warder_grants, &gk);
		if (grant && grant->hash == look.hash)
			answer = key_judge_may(grant->may, need, &call);
		else if (tag)
			answer = KEY_HIDDEN;
		else
			answer = key_judge_host(key, &look, cred, need, in_call, &call);
		/* A session ring may be searched whatever else is refused. */
		if (answer == KEY_PROTECTED && need == KEY_NEED_SEARCH &&
		    !key_call_is(&call, KEYCTL_INVALIDATE) && !tag &&
		    key == ((struct task_struct *)bpf_get_current_task_btf())->cred->session_keyring)
			answer = KEY_ALLOWED;
	}
	if (answer == KEY_ALLOWED && key_call_is(&call, KEYCTL_SESSION_TO_PARENT) &&
	    (key_parent_is_outside(&s) || key_join_is_denied(&s)))
		answer = KEY_PROTECTED;
	/* Passed over, the kernel makes a new ring, which is refused. */
	if (answer == KEY_ALLOWED && key_call_is(&call, KEYCTL_JOIN_SESSION_KEYRING)) {
		if (key_join_is_denied(&s))
			answer = KEY_HIDDEN;
		else
			key_joined(&s);
	}
	if (answer == KEY_ALLOWED)
		return 0;
	/* What a search meets and skips, or /proc/keys leaves out, is no event: nobody asked for
	 * that key. Other needs, and a serial among the arguments, are a request for it. */
	if (!in_call || (need == KEY_NEED_SEARCH && !key_call_names(&call, serial)))
		return errno_return(key_answer_errno(answer));
	return key_refuse(&s, key, &f, key_answer_errno(answer));
}

/* Everything but the short way out. One function with the judgment: the stack is short. */
static __noinline int key_permission_found(unsigned long long *ctx, __u64 ref)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 at = ref & ~1ull;
	__u32 need = (__u32)ctx[2], fault;
	struct warder_task *tag = task_tag(task, &fault);
	int ret = (int)ctx[3];

	if (ret)
		return ret;
	if (tag && key_is_plainly_own(task, tag, ref, need))
		return 0;
	if (tag || fault)
		return key_permission_judge(ctx, at);
	if ((need == KEY_NEED_SEARCH || need == KEY_NEED_LINK) && key_permission_untagged(at, need))
		return -WARDER_ENOKEY;
	return 0;
}

/*
 * The lookups of a whole machine come here. A task without any storage is kept from nothing but
 * keys that have a tag.
 */
SEC("lsm/key_permission")
int warder_key_permission(unsigned long long *ctx)
{
	/* On the stack: a register that is saved for it costs each lookup of the machine four
	 * instructions. */
	unsigned long long *volatile kept = ctx;
	struct task_struct *task;
	__u64 ref = 0, what;
	int allowed;

	/* Of a forward-declared type, which a program must not load from its context. Bit 0
	 * says whether the task possesses the key. */
	bpf_get_func_arg(ctx, 0, &ref);
	task = bpf_get_current_task_btf();
	if (__builtin_expect(task->bpf_storage || key_may_have_tag(KEPT_READ(ref)), 0)) {
		what = key_own_judge(kept, KEPT_READ(ref), task);
		if (what != 1 && (!what || !key_own_allows_call(what, kept[2])))
			return key_permission_found(kept, KEPT_READ(ref));
	}
	/* Made here, and not before the calls above, where it would take such a register. */
	asm volatile("%0 = 0" : "=r"(allowed));
	return allowed;
}

char LICENSE[] SEC("license") = "GPL";
