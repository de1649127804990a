/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What every hook program does around its decision: find the subject (or leave), turn a fault
 * into a verdict, count, emit, return. A hook reads: HOOK_SUBJECT, gather, decide, hook_end.
 */
#ifndef WARDER_CORE_BPF_H
#define WARDER_CORE_BPF_H

#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "warder_abi.h"
#include "warder_decide.h"

#include "maps.bpf.h"

#define WARDER_EVENT_RATE 200      /* events of one container per second, unless its record says */
#define WARDER_SECOND 1000000000ull

/* Set by the loader before load: 1 where bpf_task_storage_get() takes a lock and can therefore
 * miss an element that exists (before 6.2). */
extern const volatile __u32 cfg_storage_lookup_locks;
/* The same: 1 where the kernel tells fs-verity digests and extended attributes. */
extern const volatile __u32 cfg_verity;
/* Set by the loader after load: id of warder_tasks, to recognise its elements in a task's list.
 * Lives in .bss, 0 only before the loader has attached anything. */
extern __u32 cfg_tasks_map_id;
/* What is kept of the task at this address holds no more, see keyown.bpf.h. */
extern int key_own_forget(__u64 task);

enum subject_state {
	SUBJECT_UNTAGGED = 0, /* leave: pass on the previous verdict */
	SUBJECT_TAGGED,
	SUBJECT_FAULT, /* subject.fault says which; go to hook_fault() */
};

/* Who acts: the current task's tag, its container and the container's policy. */
struct subject {
	struct warder_task *tag;
	struct warder_ctr *ctr;
	struct warder_stats *stats;
	struct warder_image *img;
	__u32 slot;
	__u32 policy;
	__u32 fault;
	__u32 pr; /* byte offset of the task's profile in img, see warder_profile_at() */
};

/* TS_COMPAT of thread_info.status: a 32-bit system call is under way. */
#define WARDER_TS_COMPAT 0x2

/* A storage list longer than this is a fault, not "untagged". */
#define STORAGE_LIST_MAX 16

/* bpf_task_storage_get() found nothing. Untagged means that the task's list holds no element
 * of our map; before 6.2 the lookup also fails while its per-CPU counter is held. */
static __noinline int storage_holds_tag(struct task_struct *task)
{
	struct hlist_node *node;

	if (!cfg_storage_lookup_locks)
		return 0;
	node = BPF_CORE_READ(task, bpf_storage, list.first);
	for (int i = 0; i < STORAGE_LIST_MAX; i++) {
		struct bpf_local_storage_elem *elem;

		if (!node)
			return 0;
		elem = (void *)node - bpf_core_field_offset(struct bpf_local_storage_elem, snode);
		if (BPF_CORE_READ(elem, sdata.smap, map.id) == cfg_tasks_map_id)
			return 1;
		node = BPF_CORE_READ(node, next);
	}
	return 1;
}

/* The address as a number: walks begin with one, and global functions take nothing else. */
static __always_inline __u64 task_address(struct task_struct *task)
{
	__u64 at = 0;

	bpf_probe_read_kernel(&at, sizeof(at), &task);
	return at;
}

/* The tag of `task`, NULL when it has none or when the lookup failed (then *fault is set). */
static __always_inline struct warder_task *task_tag(struct task_struct *task, __u32 *fault)
{
	struct warder_task *tag;

	*fault = WARDER_FAULT_NONE;
	/* One typed load lets every task without any storage leave before the helper. */
	if (!task->bpf_storage)
		return NULL;
	tag = bpf_task_storage_get(&warder_tasks, task, NULL, 0);
	if (!tag && storage_holds_tag(task))
		*fault = WARDER_FAULT_TAG_LOOKUP;
	return tag;
}

/*
 * Has the current task no storage at all, as most of the host's? Where every task comes by, such a
 * one leaves before anything is set up: compilers zero a hook's variables where they are declared.
 */
static __always_inline int current_is_plain(void)
{
	return !bpf_get_current_task_btf()->bpf_storage;
}

/* Is the current task one of a container, or one of whom that cannot be said? */
static __always_inline int current_is_tagged(void)
{
	__u32 fault;

	return task_tag(bpf_get_current_task_btf(), &fault) || fault;
}

/* The profile of that id by looking at all of them: its number is another one since the policy
 * was replaced. Returns number + 1, 0 when there is none any more. */
__noinline __weak int profile_search(const struct warder_image *img, __u32 id)
{
	if (!img)
		return 0;
	for (__u32 n = 0; n < WARDER_PROFILES_MAX; n++) {
		if (n >= img->h.profile.count)
			break;
		if (WARDER_PROFILE_U32(img, warder_profile_at(img, n), id) == id)
			return n + 1;
	}
	return 0;
}

/* The profile in which the task of this tag is, as a byte offset; 0: not in this policy. */
static __always_inline __u32 profile_find(const struct warder_image *img, struct warder_task *tag)
{
	__u32 n = tag->profile, at = warder_profile_at(img, n);

	if (n < img->h.profile.count && WARDER_PROFILE_U32(img, at, id) == tag->profile_id)
		return at;
	n = profile_search(img, tag->profile_id);
	if (!n)
		return 0;
	tag->profile = n - 1;
	return warder_profile_at(img, n - 1);
}

/* Fills `s` for the current task, whose tag is in s->tag already. */
static __always_inline enum subject_state subject_of_tag(struct subject *s)
{
	__u32 zero = 0;
	void *inner;

	s->img = NULL;
	s->ctr = NULL;
	s->stats = NULL;
	s->fault = WARDER_FAULT_CONTAINER;
	s->slot = s->tag->slot;
	s->ctr = bpf_map_lookup_elem(&warder_ctrs, &s->slot);
	s->stats = bpf_map_lookup_elem(&warder_stats, &s->slot);
	if (!s->ctr || !s->stats || s->ctr->cid != s->tag->cid)
		return SUBJECT_FAULT;

	s->fault = WARDER_FAULT_IMAGE;
	s->policy = s->ctr->policy;
	inner = bpf_map_lookup_elem(&warder_images, &s->policy);
	if (!inner)
		return SUBJECT_FAULT;
	s->img = bpf_map_lookup_elem(inner, &zero);
	if (!s->img || s->img->h.magic != WARDER_IMAGE_MAGIC ||
	    s->img->h.version != WARDER_IMAGE_VERSION)
		return SUBJECT_FAULT;

	s->fault = WARDER_FAULT_PROFILE;
	s->pr = profile_find(s->img, s->tag);
	if (!s->pr)
		return SUBJECT_FAULT;

	s->fault = WARDER_FAULT_NONE;
	return SUBJECT_TAGGED;
}

/* Fills `s` for the current task. */
static __always_inline enum subject_state subject_current(struct subject *s)
{
	s->tag = task_tag(bpf_get_current_task_btf(), &s->fault);
	if (!s->tag) {
		s->img = NULL;
		s->ctr = NULL;
		s->stats = NULL;
		return s->fault ? SUBJECT_FAULT : SUBJECT_UNTAGGED;
	}
	return subject_of_tag(s);
}

/* ------------------------------------------------------------------ scratch */

/* Index of a scratch buffer beyond the first that is now ours, or 0. */
__noinline __weak int scratch_take_other(void)
{
	for (__u32 i = 1; i < SCRATCH_PER_CPU; i++) {
		__u32 key = i;
		struct scratch *s = bpf_map_lookup_elem(&warder_scratch, &key);

		if (s && __sync_val_compare_and_swap(&s->taken, 0, 1) == 0)
			return i;
	}
	return 0;
}

/* One of this CPU's scratch buffers, NULL when all are taken. Migration is off while a program
 * runs, so the buffer stays this CPU's; a preempting program takes another. */
static __always_inline struct scratch *scratch_take(void)
{
	__u32 key = 0;
	struct scratch *s = bpf_map_lookup_elem(&warder_scratch, &key);

	if (s && __sync_val_compare_and_swap(&s->taken, 0, 1) == 0)
		return s;
	key = scratch_take_other();
	return key ? bpf_map_lookup_elem(&warder_scratch, &key) : NULL;
}

static __always_inline void scratch_give(struct scratch *s)
{
	__sync_lock_test_and_set(&s->taken, 0);
}

/* ------------------------------------------------------------ counts, events */

static __always_inline void fault_count(__u32 fault)
{
	__u64 *n = bpf_map_lookup_elem(&warder_faults, &fault);

	if (n)
		__sync_fetch_and_add(n, 1);
}

/* Has the container an event left in this second? Counted when not. Two CPUs that open a new
 * window at once may let a few more through; none is lost uncounted. */
static __always_inline int event_budget(struct subject *s, __u64 now)
{
	__u64 rate = s->ctr->event_rate ? s->ctr->event_rate : WARDER_EVENT_RATE;

	if (now - s->stats->event_window >= WARDER_SECOND) {
		s->stats->event_window = now;
		s->stats->event_count = 0;
	}
	if (__sync_fetch_and_add(&s->stats->event_count, 1) < rate)
		return 1;
	__sync_fetch_and_add(&s->stats->events_suppressed, 1);
	return 0;
}

/* Does the container's policy record every request? Then names are needed even where no rule
 * could refuse or report anything. */
static __always_inline int subject_learns(const struct subject *s)
{
	return s->img->h.mode == WARDER_MODE_LEARN;
}

/* Has the container more than one policy? */
static __always_inline int subject_is_stacked(const struct subject *s)
{
	return warder_layer_next(s->img, s->pr) != 0;
}

static __always_inline void event_header_fill(struct warder_event_header *h, __u16 type, __u32 size,
					      __u64 now, struct subject *s)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct task_struct *task = bpf_get_current_task_btf();

	h->version = WARDER_EVENT_VERSION;
	h->type = type;
	h->size = size;
	h->time = now;
	h->cid = s->ctr ? s->ctr->cid : 0;
	h->slot = s->slot;
	h->tgid = id >> 32;
	h->tid = (__u32)id;
	h->uid = task->cred->euid.val;
	bpf_get_current_comm(h->comm, sizeof(h->comm));
}

/* What a hook knows beside its verdict. */
struct hook_facts {
	__u32 hook;   /* enum warder_hook */
	__u32 class_; /* enum warder_class */
	__u32 access;
	__u32 off;    /* name in scratch->text, len 0: none */
	__u32 len;
	__u32 detail_off; /* text in scratch->second */
	__u32 detail_len;
	__u32 pad;
	__u64 arg[2];
};

/* Copies at most WARDER_PATH_MAX - 1 bytes of text[off, off+len) behind the event's first `at`
 * bytes of text; returns how many. The text ends within text.b: gather keeps off + len below. */
static __always_inline __u32 event_copy(struct scratch *sc, __u32 at,
					const struct warder_text *text, __u32 off, __u32 len)
{
	if (len > WARDER_PATH_MAX - 1)
		len = WARDER_PATH_MAX - 1;
	off &= WARDER_TEXT_MASK;
	if (off > WARDER_TEXT_SIZE - WARDER_PATH_MAX)
		off = WARDER_TEXT_SIZE - WARDER_PATH_MAX;
	at &= WARDER_PATH_MAX - 1;
	if (len && bpf_probe_read_kernel(sc->event_text + at, len, text->b + off))
		return 0;
	return len;
}

static __always_inline void event_fill(struct warder_event *e, const struct warder_verdict *v,
				       const struct hook_facts *f, struct subject *s, __u32 len,
				       __u32 detail)
{
	event_header_fill(&e->h, WARDER_EVENT_VERDICT, sizeof(*e) + len + detail,
			  bpf_ktime_get_ns(), s);
	e->v = *v;
	e->hook = f->hook;
	e->class_ = f->class_;
	e->access = f->access;
	e->policy = s->ctr->policy;
	e->profile_id = s->tag ? s->tag->profile_id : 0;
	e->transition = v->profile;
	e->arg[0] = f->arg[0];
	e->arg[1] = f->arg[1];
	e->text_len = len;
	e->detail_len = detail;
}

/* Puts an event of s->ctr, whose tag is s->tag, into the ring and counts it. Returns 1 if it
 * found no place. */
static __always_inline int event_send(const struct warder_verdict *v, const struct hook_facts *f,
				      struct scratch *sc, struct subject *s, __u16 type)
{
	__u32 len, detail, size;
	int lost = 1;

	if (sc) {
		len = event_copy(sc, 0, &sc->text, f->off, f->len);
		detail = event_copy(sc, len, &sc->second, f->detail_off, f->detail_len);
		event_fill(&sc->event, v, f, s, len, detail);
		sc->event.h.type = type;
		if (f->class_ == WARDER_CLASS_NETWORK)
			sc->event.address = sc->address;
		else
			__builtin_memset(&sc->event.address, 0, sizeof(sc->event.address));
		size = sizeof(sc->event) + len + detail;
		if (size <= sizeof(sc->event) + 2 * WARDER_PATH_MAX)
			lost = bpf_ringbuf_output(&warder_events, &sc->event, size, 0) != 0;
	} else {
		struct warder_event *e = bpf_ringbuf_reserve(&warder_events, sizeof(*e), 0);

		if (e) {
			event_fill(e, v, f, s, 0, 0);
			e->h.type = type;
			__builtin_memset(&e->address, 0, sizeof(e->address));
			bpf_ringbuf_submit(e, 0);
			lost = 0;
		}
	}
	__sync_fetch_and_add(lost ? &s->stats->events_dropped : &s->stats->events, 1);
	return lost;
}

/*
 * Sends the event of a verdict of the container in `slot` (none: the fault counter is all there
 * is); `sc` may be NULL: no name then, and a small record. Returns 1 if it found no place in the
 * ring. What is learned is outside the container's budget. Verified once for each program.
 */
__noinline __weak int event_emit(const struct warder_verdict *v, const struct hook_facts *f,
				 struct scratch *sc, __u32 slot, __u32 type)
{
	struct subject s = { .slot = slot };

	s.ctr = bpf_map_lookup_elem(&warder_ctrs, &slot);
	s.stats = bpf_map_lookup_elem(&warder_stats, &slot);
	if (!v || !f || !s.ctr || !s.stats)
		return 0;
	if (type == WARDER_EVENT_VERDICT && !event_budget(&s, bpf_ktime_get_ns()))
		return 0;
	s.tag = task_tag(bpf_get_current_task_btf(), &s.fault);
	return event_send(v, f, sc, &s, type);
}

#include "learn.bpf.h"

/* ---------------------------------------------------------------- hook's end */

/* -err, in a form that the verifier can bound to [-4095, 0] whatever the compiler does. */
static __always_inline int errno_return(__u32 err)
{
	long ret = 0;
	__u64 positive = err & 4095;

	asm volatile("%0 -= %1" : "+r"(ret) : "r"(positive));
	return ret;
}

static __always_inline void cause_forget(struct warder_task *tag)
{
	tag->cause = WARDER_REFUSAL_NONE;
	tag->cap = 0;
	tag->cap_userns = 0;
	tag->rule = 0;
}

/*
 * What a tag remembers of refusals counts for one system call: supervised ones forget it when they
 * end, and here it is forgotten when it is another call's, or older than the programs that forget
 * (they are attached before the policy that needs them is published, which raises the serial).
 */
__noinline __weak int cause_freshen(struct warder_task *tag)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	__u32 nr = regs->orig_ax & (WARDER_CAUSE_NR_32 - 1), key = 0;
	struct warder_host *host = bpf_map_lookup_elem(&warder_host, &key);
	__u8 serial = host ? (__u8)host->serial : 0;

	if (!tag)
		return 0;
	if (BPF_CORE_READ(task, thread_info.status) & WARDER_TS_COMPAT)
		nr |= WARDER_CAUSE_NR_32;
	if (tag->cause_nr == nr && tag->cause_serial == serial)
		return 0;
	tag->cause_nr = nr;
	tag->cause_serial = serial;
	cause_forget(tag);
	return 0;
}

/* Remembers what refused the system call under way, for the override pipeline. */
static __always_inline void refusal_note(struct subject *s, const struct warder_verdict *v)
{
	__u32 refusal = v->why == WARDER_WHY_DEFAULT ? WARDER_REFUSAL_DEFAULT :
			v->why == WARDER_WHY_RULE    ? WARDER_REFUSAL_RULE :
						       WARDER_REFUSAL_BASELINE;

	if (!s->tag)
		return;
	cause_freshen(s->tag);
	if (refusal > s->tag->cause) {
		s->tag->cause = refusal;
		s->tag->rule = v->rule;
	}
}

/*
 * One more for the rule that decided, or for entry 0 when none did: in the image itself, which is
 * written nowhere else once it is published. The counters lie behind `length`: a number that is
 * no rule's can only make another counter wrong.
 */
static __always_inline void hit_count(struct warder_image *img, __u32 rule)
{
	__u32 shards = img->h.hit_shards, at;

	if (!shards)
		return;
	at = (bpf_get_smp_processor_id() & (shards - 1)) * (img->h.rule.count + 1) + rule;
	at = img->h.hits + at * (__u32)sizeof(__u64);
	if (at < img->h.length)
		return;
	at &= WARDER_IMAGE_MASK & ~7u;
	WARDER_OPAQUE(at);
	__sync_fetch_and_add((__u64 *)&img->b[at & WARDER_IMAGE_MASK & ~7u], 1);
}

/* The same for the layers of a stack whose verdict was not the one that stands. */
__noinline __weak int hit_count_layers(struct warder_image *img, const struct warder_verdict *v)
{
	if (!img || !v)
		return 0;
	for (__u32 i = 0; i < WARDER_LAYERS_MAX; i++)
		if (v->by[i] && v->by[i] != v->rule)
			hit_count(img, v->by[i]);
	return 0;
}

/* The end of a refusal, whatever its reason. */
static __always_inline int hook_refuse(struct subject *s, const struct warder_verdict *v)
{
	if (s->stats)
		__sync_fetch_and_add(&s->stats->denied, 1);
	refusal_note(s, v);
	return errno_return(v->err ? v->err : WARDER_EACCES);
}

/* Counts and reports the verdict, gives back the scratch, and is the hook's return value.
 * Every tagged hook ends here, or with a fault. */
static __always_inline int hook_end(struct subject *s, const struct warder_verdict *v,
				    const struct hook_facts *f, struct scratch *sc)
{
	__u32 report = v->report;

	if (s->img && v->why != WARDER_WHY_FAULT) {
		hit_count(s->img, v->rule);
		if (s->img->h.layers > 1)
			hit_count_layers(s->img, v);
		if (subject_learns(s)) {
			learn(v, f, sc, s->slot);
			/* What is recorded once is not reported each time; of a stack some policies
			 * may only be learned. */
			if (v->action == WARDER_AUDIT && !(v->against & ~s->img->h.quiet))
				report = 0;
		}
	}
	if (report)
		event_emit(v, f, sc, s->ctr ? s->slot : ~0u, WARDER_EVENT_VERDICT);
	if (sc)
		scratch_give(sc);
	if (v->action == WARDER_ALLOW)
		return 0;
	if (v->action == WARDER_AUDIT) {
		if (s->stats)
			__sync_fetch_and_add(&s->stats->audited, 1);
		return 0;
	}
	return hook_refuse(s, v);
}

/* The one function that turns an internal fault into a verdict: denied, counted, reported. It is no
 * rule's hit, and nothing to learn: verifiers of 7.x look at all that a function calls once more for
 * each place that it is called from. */
static __noinline int hook_fault_as(struct subject *s, const struct hook_facts *f, __u32 fault,
				    struct scratch *sc, __u32 err)
{
	struct warder_verdict v;

	fault_count(fault);
	if (s->stats)
		__sync_fetch_and_add(&s->stats->faults, 1);
	warder_verdict_fault(&v, fault, err);
	event_emit(&v, f, sc, s->ctr ? s->slot : ~0u, WARDER_EVENT_VERDICT);
	if (sc)
		scratch_give(sc);
	return hook_refuse(s, &v);
}

/* The same, where no other errno says more. */
static __always_inline int hook_fault(struct subject *s, const struct hook_facts *f, __u32 fault,
				      struct scratch *sc)
{
	return hook_fault_as(s, f, fault, sc, WARDER_EACCES);
}

/* Finds the subject, a struct subject; leaves the hook when there is nothing to judge. */
#define HOOK_SUBJECT(s, f)                                                \
	switch (subject_current(s)) {                                     \
	case SUBJECT_UNTAGGED:                                            \
		return 0;                                                 \
	case SUBJECT_TAGGED:                                              \
		break;                                                    \
	default:                                                          \
		return hook_fault(s, f, (s)->fault, NULL);                \
	}

#endif
