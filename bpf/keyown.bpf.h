/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which keys a task found to be its container's own: what nearly every lookup of a container meets, and
 * what searches in three maps would say again each time. Included by keyring.bpf.c.
 *
 * An entry holds what one task saw of one key, and is right for as long as neither has become another:
 *
 * - The key. Whenever an address gets a tag or loses it, or what the tag says of the payload changes, the
 *   address' count of changes rises, after the change; an entry holds the count from before the tag was
 *   looked at. All else that is read here of a tag (owner, kind, whether it is a ring) never changes. The
 *   address is that of a key which the kernel holds while it asks: its tag ends with it, later.
 * - The task. Its entries go when it is freed, and when its address gets a tag again. A tag stays with its
 *   task, as long as it is not taken away, which raises `task_untags`, again afterwards. Both counts
 *   only rise: so does their sum, and it is the same only if both are.
 * - The container. Its record is looked at each time.
 *
 * Writers take an entry by its `task`. A task's entries are written by that task alone, which does nothing
 * else meanwhile: what it read between two looks at `task` that show itself is its own, and whole.
 */
#ifndef WARDER_KEYOWN_BPF_H
#define WARDER_KEYOWN_BPF_H

#define KEY_OWN_TASKS_BITS 8
#define KEY_OWN_EACH 16 /* entries of a task; it shares them with tasks of the same hash */
#define KEY_OWN_SHIFT 15 /* below the bits that choose a mark */
#define KEY_OWN_BUSY 1 /* no task's address */

struct key_own {
	__u64 task;
	__u64 at; /* as a key_ref_t: whether it is possessed is part of it */
	__u64 changes;
	__u64 cid;
	__u32 slot;
	__u32 needs; /* bits 1 << need: allowed whatever is called */
	__u32 kind;  /* enum warder_key_kind */
	__u32 data;  /* bytes of its payload */
	__u64 start; /* of the task */
	__u64 pad;
};
_Static_assert(sizeof(struct key_own) == 64, "one cache line");

static struct key_own key_owns[KEY_OWN_EACH << KEY_OWN_TASKS_BITS] __attribute__((aligned(64)));

static __always_inline __u32 key_own_first(__u64 task)
{
	return (key_mix(task) >> (32 - KEY_OWN_TASKS_BITS)) * KEY_OWN_EACH;
}

static __always_inline struct key_own *key_own_at(struct task_struct *task, __u64 at)
{
	struct key_own *e = &key_owns[key_own_first((__u64)task)];

	/* Two additions: of one with an `or` before it old verifiers know no bounds. */
	asm volatile("" : "+r"(e));
	e += key_mix(at) >> KEY_OWN_SHIFT & (KEY_OWN_EACH - 1);
	/* Else it is calculated again for each member. */
	asm volatile("" : "+r"(e));
	return e;
}

/* Is what was read of the entry, or will not be written any more, of that task? */
static __always_inline int key_own_is_still(const struct key_own *e, struct task_struct *task)
{
	return KEPT_READ(e->task) == (__u64)task;
}

/* Its entry for the key; NULL: it has none. To be asked again by key_own_is_still() after reading. */
static __always_inline struct key_own *key_own_find(struct task_struct *task, __u64 at)
{
	struct key_own *e = key_own_at(task, at);
	struct warder_ctr *ctr;
	__u32 slot;

	if (!key_own_is_still(e, task) || KEPT_READ(e->at) != at ||
	    KEPT_READ(e->changes) != key_changes_of(at) ||
	    KEPT_READ(e->start) != task->start_boottime)
		return NULL;
	slot = KEPT_READ(e->slot);
	ctr = bpf_map_lookup_elem(&warder_ctrs, &slot);
	return ctr && ctr->cid == KEPT_READ(e->cid) ? e : NULL;
}

/* `changes` were those of the key before its tag was looked up. */
static __always_inline void key_own_note(struct task_struct *task,
					 const struct warder_task *task_tag, __u64 at,
					 __u64 changes, const struct warder_key_tag *tag,
					 __u32 needs)
{
	struct key_own *e = key_own_at(task, at);
	__u64 before = KEPT_READ(e->task);

	if (before == KEY_OWN_BUSY ||
	    __sync_val_compare_and_swap(&e->task, before, KEY_OWN_BUSY) != before)
		return;
	e->at = at;
	e->changes = changes;
	e->cid = task_tag->cid;
	e->slot = task_tag->slot;
	e->needs = needs;
	e->kind = tag->kind;
	e->data = KEPT_READ(tag->data_bytes);
	e->start = task->start_boottime;
	__sync_lock_test_and_set(&e->task, (__u64)task);
}

__noinline int key_own_forget(__u64 task)
{
	__u32 first = key_own_first(task);

	for (__u32 i = 0; i < KEY_OWN_EACH; i++) {
		struct key_own *e = &key_owns[first + i];

		__sync_val_compare_and_swap(&e->task, task, 0);
	}
	return 0;
}

#endif
