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

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << KEY_MARK_BITS);
	__type(key, __u32);
	__type(value, __u32);
} warder_keymarks SEC(".maps");

/* A key among a program's arguments, as a number: with a pointer one may not calculate. */
static __always_inline __u64 key_argument(void *ctx, __u32 n)
{
	__u64 at = 0;

	bpf_get_func_arg(ctx, n, &at);
	return at;
}

static __always_inline __u32 *key_mark(__u64 at)
{
	__u32 slot = (at * 0x9e3779b97f4a7c15ull) >> (64 - KEY_MARK_BITS);

	return bpf_map_lookup_elem(&warder_keymarks, &slot);
}

/* 0: it has none. */
static __always_inline int key_may_have_tag(__u64 at)
{
	__u32 *n = key_mark(at);

	return !n || *n;
}

/* 0, or an error of the map. */
static __always_inline long key_tag_put(__u64 at, const struct warder_key_tag *tag)
{
	__u32 *n = key_mark(at);
	long err;

	if (n)
		__sync_fetch_and_add(n, 1);
	err = bpf_map_update_elem(&warder_keys, &at, tag, BPF_NOEXIST);
	if (err && n)
		__sync_fetch_and_add(n, -1);
	return err;
}

/* 0 when this call is the one that took it away. */
static __always_inline long key_tag_drop(__u64 at)
{
	long err = bpf_map_delete_elem(&warder_keys, &at);
	__u32 *n = key_mark(at);

	if (!err && n)
		__sync_fetch_and_add(n, -1);
	return err;
}

#endif
