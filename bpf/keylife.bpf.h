/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A key's life with a container: it is made and gets a tag, is counted against the container's limits, and
 * its payload with it; the tag and the count end when the kernel frees it. Included by keyring.bpf.c.
 */
#ifndef WARDER_KEYLIFE_BPF_H
#define WARDER_KEYLIFE_BPF_H

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

/*
 * (key, length). Before the kernel's own quota is asked, as that costs updates less: what it refuses then
 * stays counted until the key's next payload or its end, so that a container has less than it may, never more.
 * Registers are spared as in warder_key_permission.
 */
SEC("fentry/key_payload_reserve")
int warder_key_payload(unsigned long long *ctx)
{
	unsigned long long *volatile kept = ctx;
	__u64 at;
	__u32 length;

	if (!key_may_have_tag(key_argument_low(ctx[0])))
		return 0;
	at = key_argument(kept, 0);
	/* As long as before, as in most updates. */
	length = (__u32)kept[1];
	if (key_length_fits(length) && *key_length(at) == key_length_word(at, length))
		return 0;
	return key_payload_count(at, length);
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

#endif
