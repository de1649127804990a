/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * At which addresses a key may have a tag. Nearly every key of a machine has none, and every task's
 * lookups come here: a load answers for them what a search in a hash map would. A count for each
 * slot of addresses, raised before a tag is there and lowered after it is gone; two keys that share
 * a slot cost the search, and nothing else.
 */
#ifndef WARDER_KEYMARK_BPF_H
#define WARDER_KEYMARK_BPF_H

#define KEY_MARK_BITS 13

/* Loaded there, each time: others write to it, or a register is to be spared. */
#define KEPT_READ(x) (*(const volatile __typeof__(x) *)&(x))

/* In .bss, which lives as long as the programs and the tags do: the address is in the program, and
 * what a lookup in an array would be, with its bounds, is one addition. */
__u32 key_marks[1 << KEY_MARK_BITS];

/* How often the tags at those addresses have changed; what is kept of a tag elsewhere holds for as long as
 * this stays the same, see keyown.bpf.h. Not among the marks: the machine's lookups do not read it. */
__u64 key_changes[1 << KEY_MARK_BITS];

/* A tagged key there and how many bytes of payload are counted for it, in one word; 0: not said. */
__u64 key_lengths[1 << KEY_MARK_BITS];

/* At most 57 bits of an address say anything, of which the lowest 3 are 0. */
#define KEY_LENGTH_BITS 10
static __always_inline __u64 key_length_word(__u64 at, __u32 length)
{
	return at << (KEY_LENGTH_BITS - 3) | length;
}

static __always_inline int key_length_fits(__u32 length)
{
	return !(length >> KEY_LENGTH_BITS);
}

/* A key among a program's arguments, as a number: with a pointer one may not calculate. */
static __always_inline __u64 key_argument(void *ctx, __u32 n)
{
	__u64 at = 0;

	bpf_get_func_arg(ctx, n, &at);
	return at;
}

/* The same where the argument's type is known, in two instructions and not fourteen: its lower half, which is all
 * that key_mix() looks at. */
static __always_inline __u32 key_argument_low(unsigned long long arg)
{
	__u32 low;

	asm volatile("%0 = %1" : "=w"(low) : "w"((__u32)arg));
	return low;
}

static __always_inline __u32 key_mix(__u64 at)
{
	return (__u32)at * 0x9e3779b1u;
}

static __always_inline __u32 key_mark_slot(__u64 at)
{
	return key_mix(at) >> (32 - KEY_MARK_BITS);
}

static __always_inline __u32 *key_mark(__u64 at)
{
	return &key_marks[key_mark_slot(at)];
}

static __always_inline volatile __u64 *key_length(__u64 at)
{
	return &key_lengths[key_mark_slot(at)];
}

/* 0: it has none. `at` may be a key_ref_t, whose lowest bit says whether the task possesses the key: both
 * are marked, so that lookups need not mask it. */
static __always_inline int key_may_have_tag(__u64 at)
{
	return *key_mark(at) != 0;
}

static __always_inline void key_mark_change(__u64 at, int by)
{
	__sync_fetch_and_add(key_mark(at), by);
	__sync_fetch_and_add(key_mark(at | 1), by);
}

/* After every change, so that what was read before it is known to be old. */
static __always_inline void key_changed(__u64 at)
{
	*key_length(at) = 0;
	__sync_fetch_and_add(&key_changes[key_mark_slot(at)], 1);
	__sync_fetch_and_add(&key_changes[key_mark_slot(at | 1)], 1);
}

static __always_inline __u64 key_changes_of(__u64 at)
{
	return KEPT_READ(key_changes[key_mark_slot(at)]);
}

/* 0, or an error of the map. */
static __always_inline long key_tag_put(__u64 at, const struct warder_key_tag *tag)
{
	long err;

	key_mark_change(at, 1);
	err = bpf_map_update_elem(&warder_keys, &at, tag, BPF_NOEXIST);
	if (err)
		key_mark_change(at, -1);
	key_changed(at);
	return err;
}

/* 0 when this call is the one that took it away. */
static __always_inline long key_tag_drop(__u64 at)
{
	long err = bpf_map_delete_elem(&warder_keys, &at);

	if (!err)
		key_mark_change(at, -1);
	key_changed(at);
	return err;
}

#endif
