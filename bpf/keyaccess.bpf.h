/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a task may do with a key: of its container's own, granted, of other containers, of the host.
 * key_permission runs under RCU and, for /proc/keys, a spinlock: nothing here sleeps.
 * Included by keyring.bpf.c.
 */
#ifndef WARDER_KEYACCESS_BPF_H
#define WARDER_KEYACCESS_BPF_H

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
static __noinline int key_own_allows_call(__u64 what, __u64 need, struct task_struct *task)
{
	volatile __u64 kept_what = what, kept_need = need; /* no registers that are to be saved */
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
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
	return key_own_allows(what, need) || key_own_allows_call(what, need, task);
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
		struct task_struct *volatile kept_task = task;

		what = key_own_judge(kept, KEPT_READ(ref), task);
		if (what != 1 && (!what || !key_own_allows_call(what, kept[2], kept_task)))
			return key_permission_found(kept, KEPT_READ(ref));
	}
	/* Made here, and not before the calls above, where it would take such a register. */
	asm volatile("%0 = 0" : "=r"(allowed));
	return allowed;
}

#endif
