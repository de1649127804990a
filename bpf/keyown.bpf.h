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
 * - The task. Its entries go when it is freed, when its address gets a tag, and after its tag was taken
 *   away; who makes one looks at the tag once more afterwards. An address that was missed is told
 *   from another task's by when that began.
 * - The container. Its record is looked at each time.
 *
 * Writers take an entry by its `task`. A task's entries are written by that task alone, which does nothing
 * else meanwhile: what it read between two looks at `task` that show itself is its own, and whole.
 */
#ifndef WARDER_KEYOWN_BPF_H
#define WARDER_KEYOWN_BPF_H

#define KEY_OWN_TASKS_BITS 8
#define KEY_OWN_EACH 16 /* entries of a task; it shares them with tasks of the same hash */
#define KEY_OWN_SHIFT 15 /* below the bits that choose a mark; the second place by those below */
#define KEY_OWN_BUSY 1 /* no task's address */

struct key_own {
	__u64 task;
	__u64 at; /* as a key_ref_t: whether it is possessed is part of it */
	__u64 changes;
	__u64 start; /* of the task */
	__u64 cid;
	__u64 what;
	__u32 slot;
	__u32 pad[3];
};
_Static_assert(sizeof(struct key_own) == 64, "one cache line");

static struct key_own key_owns[KEY_OWN_EACH << KEY_OWN_TASKS_BITS] __attribute__((aligned(64)));

/*
 * What is kept of a key: the bytes of its payload, from KEY_OWN_NEEDS on the bits of what the task may do
 * whatever it calls, and whether the key is of the kind that a container makes. That is no more than
 * key_judge_own() would say, and nothing in which a policy has a say. A ring that a session is looked
 * for by name is never possessed.
 */
#define KEY_OWN_NEEDS 32
#define KEY_OWN_MADE (1ull << 48)
#define KEY_OWN_KNOWN (1ull << 49) /* so that it is neither 0 nor 1 */

static __always_inline __u64 key_own_what(const struct warder_key_tag *tag, __u64 ref)
{
	__u64 what = KEY_OWN_KNOWN | KEPT_READ(tag->data_bytes);

	if (tag->kind != WARDER_KEY_OWN)
		return what;
	what |= KEY_OWN_MADE;
	if (ref & 1)
		what |= 1ull << (KEY_OWN_NEEDS + KEY_NEED_SEARCH);
	/* Of others the payload may be about to grow. */
	if (tag->ring)
		what |= 1ull << (KEY_OWN_NEEDS + KEY_NEED_WRITE);
	return what;
}

static __always_inline int key_own_allows(__u64 what, __u32 need)
{
	return (__u32)(what >> KEY_OWN_NEEDS) >> (need & 31) & 1;
}

static __always_inline __u32 key_own_first(__u64 task)
{
	return (key_mix(task) >> (32 - KEY_OWN_TASKS_BITS)) * KEY_OWN_EACH;
}

/* The first or second of the two places that an entry may have: with one, two keys could keep each other
 * from theirs for ever. */
static __always_inline struct key_own *key_own_at(struct task_struct *task, __u64 at, int second)
{
	struct key_own *e = &key_owns[key_own_first((__u64)task)];

	/* Two additions: of one with an `or` before it old verifiers know no bounds. */
	asm volatile("" : "+r"(e));
	e += key_mix(at) >> (second ? KEY_OWN_SHIFT - 4 : KEY_OWN_SHIFT) & (KEY_OWN_EACH - 1);
	/* Else it is calculated again for each member. */
	asm volatile("" : "+r"(e));
	return e;
}

/* Is the entry that task's? What was read between two times that it is, is so too. */
static __always_inline int key_own_is_still(const struct key_own *e, struct task_struct *task)
{
	return KEPT_READ(e->task) == (__u64)task;
}

/*
 * What the task has seen of the key: *ret_what is 1 where key_own_allows() says yes, else all of it. 0: it
 * has not. What is needed after the lookup is on the stack: nearly all that a lookup of a container's costs
 * is here, and registers that are saved for it would be a tenth of that.
 */
static __always_inline int key_own_find(struct task_struct *task, __u64 at, __u32 need,
					__u64 *ret_what)
{
	struct key_own *e = key_own_at(task, at, 0);
	volatile __u64 what, cid;
	struct warder_ctr *ctr;
	__u32 slot;

	if (!key_own_is_still(e, task) || KEPT_READ(e->at) != at) {
		e = key_own_at(task, at, 1);
		if (!key_own_is_still(e, task) || KEPT_READ(e->at) != at)
			return 0;
	}
	if (KEPT_READ(e->changes) != key_changes_of(at) ||
	    KEPT_READ(e->start) != task->start_boottime)
		return 0;
	slot = KEPT_READ(e->slot);
	cid = KEPT_READ(e->cid);
	what = KEPT_READ(e->what);
	if (!key_own_is_still(e, task))
		return 0;
	if (key_own_allows(what, need))
		what = 1;
	ctr = bpf_map_lookup_elem(&warder_ctrs, &slot);
	if (!ctr || ctr->cid != cid)
		return 0;
	*ret_what = what;
	return 1;
}

/* `changes` were those of the key before its tag was looked up. */
static __always_inline void key_own_note(struct task_struct *task,
					 const struct warder_task *tag, __u64 at,
					 __u64 changes, __u64 what)
{
	struct key_own *e = key_own_at(task, at, 0);
	const struct warder_task *again;
	__u64 before, cid = tag->cid;
	__u32 fault;

	if (key_own_is_still(e, task) && KEPT_READ(e->at) != at)
		e = key_own_at(task, at, 1);
	before = KEPT_READ(e->task);
	if (before == KEY_OWN_BUSY ||
	    __sync_val_compare_and_swap(&e->task, before, KEY_OWN_BUSY) != before)
		return;
	e->at = at;
	e->changes = changes;
	e->start = task->start_boottime;
	e->cid = cid;
	e->what = what;
	e->slot = tag->slot;
	__sync_lock_test_and_set(&e->task, (__u64)task);
	again = task_tag(task, &fault);
	if (!again || again->cid != cid)
		__sync_lock_test_and_set(&e->task, 0);
}

/* The task at this address is another one from now on, or without its tag. */
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
