/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Learn mode: every request is recorded before it is decided, once for each object and access, so
 * that a busy container is one event for each thing that it does and not one for each time. The
 * events are outside the container's budget; one that finds no place in the ring comes again with
 * the next request of that kind. No room for another object is counted as a fault of its own,
 * and the request is decided as in audit mode.
 *
 * Included by core.bpf.h.
 */
#ifndef WARDER_LEARN_BPF_H
#define WARDER_LEARN_BPF_H

struct learn_hash {
	__u64 a, b;
};

static __always_inline void learn_mix(struct learn_hash *h, __u64 w)
{
	h->a = (h->a ^ w) * 0x9e3779b97f4a7c15ull;
	h->a ^= h->a >> 29;
	h->b = (h->b + w) * 0xd6e8feb86659fd93ull;
	h->b ^= h->b >> 32;
}

static __always_inline __u64 learn_word(const struct warder_text *text, __u32 at)
{
	WARDER_OPAQUE(at);
	return warder_load8(text->b + (at & WARDER_TEXT_MASK));
}

#define LEARN_WORDS 16

/* Mixes in at most LEARN_WORDS words. In pieces, which the verifier walks once. */
__noinline __weak int learn_mix_words(struct learn_hash *h, const struct warder_text *text,
				      __u32 off, __u32 words)
{
	if (!h || !text)
		return 0;
	for (__u32 i = 0; i < LEARN_WORDS && i < words; i++)
		learn_mix(h, learn_word(text, off + 8 * i));
	return 0;
}

/* Mixes in text[off, off+len): whole words, then what is left, without its bytes beyond. Inlined: a
 * frame more is more stack than the deepest hook has. */
static __always_inline void learn_mix_text(struct learn_hash *h, const struct warder_text *text,
					   __u32 off, __u32 len)
{
	learn_mix(h, len);
	for (__u32 i = 0; i < WARDER_PATH_MAX / 8 && i < len / 8; i += LEARN_WORDS)
		learn_mix_words(h, text, off + 8 * i, len / 8 - i);
	learn_mix(h, learn_word(text, off + (len & ~7u)) & ((1ull << (8 * (len & 7))) - 1));
}

/* Is f->access a set of bits, one of which may be new where others are known? */
static __always_inline int learn_by_mask(__u32 class_)
{
	return class_ == WARDER_CLASS_FILE || class_ == WARDER_CLASS_EXEC ||
	       class_ == WARDER_CLASS_MOUNT || class_ == WARDER_CLASS_DEVICE ||
	       class_ == WARDER_CLASS_NETWORK;
}

/* What tells requests of a class apart beside their names. Process numbers and ports that the
 * kernel chose do not: a rule could not speak of them. */
static __always_inline void learn_mix_facts(struct learn_hash *h, const struct hook_facts *f,
					    const struct scratch *sc)
{
	switch (f->class_) {
	case WARDER_CLASS_FILE:
	case WARDER_CLASS_EXEC:
		break;
	case WARDER_CLASS_MOUNT:
		learn_mix(h, f->arg[0]);
		break;
	case WARDER_CLASS_DEVICE:
		learn_mix(h, f->arg[0]);
		learn_mix(h, f->arg[1]);
		break;
	case WARDER_CLASS_NETWORK:
		if (!sc)
			break;
		learn_mix(h, *(const __u64 *)&sc->address.addr[0]);
		learn_mix(h, *(const __u64 *)&sc->address.addr[8]);
		learn_mix(h, (__u64)sc->address.families << 32 | sc->address.protocols);
		learn_mix(h, (__u64)sc->address.family << 16 | sc->address.port);
		break;
	case WARDER_CLASS_PTRACE:
	case WARDER_CLASS_SIGNAL:
		learn_mix(h, f->arg[0] >> 32);
		learn_mix(h, f->access);
		learn_mix(h, f->arg[1]);
		break;
	case WARDER_CLASS_IPC:
		learn_mix(h, f->access);
		learn_mix(h, f->arg[1]);
		break;
	default:
		learn_mix(h, (__u64)f->hook << 32 | f->access);
	}
}

/* The entry of that key, made if there is room; NULL if not. */
static __always_inline struct warder_learn *learn_entry(struct subject *s,
							const struct warder_learn_key *key)
{
	struct warder_learn *known = bpf_map_lookup_elem(&warder_learn, key);
	struct warder_learn fresh = {};
	/* An int: 6.1 keeps results of map updates in 32 bits. */
	int err;

	if (known)
		return known;
	if (s->stats->learned >= WARDER_LEARN_CONTAINER_MAX)
		return NULL;
	fresh.first = bpf_ktime_get_ns();
	err = bpf_map_update_elem(&warder_learn, key, &fresh, BPF_NOEXIST);
	/* Otherwise another CPU has made it, or there is no room. */
	if (!err)
		__sync_fetch_and_add(&s->stats->learned, 1);
	return bpf_map_lookup_elem(&warder_learn, key);
}

/* Records a request of the current task, of the container in `slot`. Returns 1 if it is of a kind
 * that was not reported yet, and takes it for reported from here on. With `forget`: its report was
 * lost, and the next one of its kind comes in its place. */
__noinline __weak int learn_note(const struct warder_verdict *v, const struct hook_facts *f,
				 struct scratch *sc, __u32 slot, __u32 forget)
{
	struct warder_learn_key key = {
		.hash = { 0xcbf29ce484222325ull, 0x84222325cbf29ce4ull },
		.slot = slot,
	};
	struct learn_hash *h = (struct learn_hash *)key.hash;
	struct subject s = { .slot = slot };
	struct warder_learn *known;
	__u32 mask;

	s.stats = bpf_map_lookup_elem(&warder_stats, &slot);
	if (!v || !f || !s.stats)
		return 0;
	s.tag = task_tag(bpf_get_current_task_btf(), &s.fault);
	if (sc) {
		learn_mix_text(h, &sc->text, f->off, f->len);
		learn_mix_text(h, &sc->second, f->detail_off, f->detail_len);
	}
	learn_mix_facts(h, f, sc);
	key.profile_id = s.tag ? s.tag->profile_id : 0;
	key.class_ = f->class_;
	mask = learn_by_mask(f->class_) && f->access ? f->access : 1;

	known = learn_entry(&s, &key);
	if (!known) {
		fault_count(WARDER_FAULT_LEARN_FULL);
		return 0;
	}
	if (forget) {
		__sync_fetch_and_and(&known->seen, ~mask);
		return 0;
	}
	__sync_fetch_and_add(&known->count, 1);
	if ((known->seen & mask) == mask)
		return 0;
	/* Two CPUs may both report it. None may fail to: one that skips it while the other one's
	 * report is lost is itself followed by a request that does not. */
	__sync_fetch_and_or(&known->seen, mask);
	return 1;
}

static __always_inline void learn(const struct warder_verdict *v, const struct hook_facts *f,
				  struct scratch *sc, __u32 slot)
{
	if (learn_note(v, f, sc, slot, 0) && event_emit(v, f, sc, slot, WARDER_EVENT_LEARN))
		learn_note(v, f, sc, slot, 1);
}

#endif
