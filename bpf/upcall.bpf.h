/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Key upcalls. The kernel makes an authorisation key in the requester's context just before it
 * runs a handler as root of the host; the handler knows nothing of the requester but a uid. So
 * it is here that an upcall is judged, counted and recorded. Included by keyring.bpf.c.
 */
#ifndef WARDER_UPCALL_BPF_H
#define WARDER_UPCALL_BPF_H

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WARDER_UPCALLS_PENDING_MAX);
	__type(key, __u32);
	__type(value, struct warder_upcall_record);
} warder_upcalls SEC(".maps");

/* An entry begins as this: a record is too long for the stack. */
static const struct warder_upcall_record upcall_empty = { 0 };

/* An authorisation key's description is the serial of the wanted key, in hex; 0: none. */
static __noinline int upcall_serial(struct key *auth)
{
	char text[16] = "";
	__u32 serial = 0;

	if (bpf_probe_read_kernel_str(text, sizeof(text),
				      BPF_CORE_READ(auth, index_key.description)) < 0)
		return 0;
	for (int i = 0; i < 8; i++) {
		__u32 c = (__u8)text[i];

		if (!c)
			break;
		/* '0' to '9', 'a' to 'f': the kernel wrote nothing else. */
		serial = serial << 4 | (((c & 15) + (c >> 6) * 9) & 15);
	}
	return (int)serial;
}

/* C was linked in the requester's ring: no need to come again, unless the ring was emptied since. */
static __noinline int upcall_attached(struct warder_upcall_record *r)
{
	struct warder_key_tag *tag;
	__u64 at = r->ring_at;
	__u32 state = r->ring_state;

	tag = bpf_map_lookup_elem(&warder_keys, &at);
	if (tag && tag->cid == r->cid && tag->kind == WARDER_KEY_OWN && tag->serial == r->ring)
		__sync_val_compare_and_swap(&tag->may, state, state | WARDER_RING_HAS_C);
	return 0;
}

/* The upcall of this authorisation key is over, if it was recorded. */
static __noinline int upcall_end(struct key *auth)
{
	struct warder_upcall_record *r;
	struct key_look look = {};
	struct warder_stats *stats;
	__u32 serial, slot;
	__u64 cid;

	if (key_look_at(auth, &look) || !look.auth)
		return 0;
	serial = (__u32)upcall_serial(auth);
	r = bpf_map_lookup_elem(&warder_upcalls, &serial);
	if (!r || r->auth != (__u64)auth)
		return 0;
	slot = r->slot;
	cid = r->cid;
	if (r->attach == WARDER_ATTACH_DONE)
		upcall_attached(r);
	/* Who deletes it takes it off the count. */
	if (bpf_map_delete_elem(&warder_upcalls, &serial))
		return 0;
	stats = key_stats(slot, cid);
	if (stats)
		__sync_fetch_and_add(&stats->upcalls, -1);
	return 0;
}

/* Who asks, as the handler's side will want to know. */
__noinline __weak int upcall_fill(struct warder_upcall_record *r)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct user_namespace *ns;
	__u64 id = bpf_get_current_pid_tgid();

	if (!r)
		return 0;
	r->tgid = id >> 32;
	r->tid = (__u32)id;
	r->start = task->start_boottime;
	r->time = bpf_ktime_get_ns();
	r->cgroup = bpf_get_current_cgroup_id();
	r->netns = BPF_CORE_READ(task, nsproxy, net_ns, ns.inum);
	ns = BPF_CORE_READ(task, real_cred, user_ns);
	for (__u32 i = 0; i < WARDER_USERNS_MAX; i++) {
		if (!ns)
			break;
		r->userns[i] = BPF_CORE_READ(ns, ns.inum);
		r->levels = i + 1;
		ns = BPF_CORE_READ(ns, parent);
	}
	return 0;
}

static __always_inline __u64 upcall_max(const struct subject *s)
{
	return s->ctr->keys_pending ? s->ctr->keys_pending : WARDER_KEY_PENDING_DEFAULT;
}

/*
 * The requester's session ring, if a task of its own container made it and C was not linked there
 * yet: by joining another session a task loses C. 0: else. A ring of the host's, which others may
 * have as theirs, is never meant: a tag ends with its key, and where the serial is known it is
 * compared.
 */
static __noinline __u64 upcall_ring(struct subject *s)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct key *ring = BPF_CORE_READ(task, cred, session_keyring);
	__u64 at = (__u64)ring;
	struct warder_key_tag *tag;
	__s32 serial;

	/* Under credentials of the kernel's own the rings are not the task's. */
	if (!at || task->cred != task->real_cred || !s->ctr->container_ring)
		return 0;
	tag = bpf_map_lookup_elem(&warder_keys, &at);
	serial = BPF_CORE_READ(ring, serial);
	if (!tag || tag->cid != s->tag->cid || tag->kind != WARDER_KEY_OWN || !tag->ring ||
	    tag->may & WARDER_RING_HAS_C)
		return 0;
	if (!tag->serial)
		tag->serial = serial;
	return tag->serial == serial ? at : 0;
}

/* C is to be linked in that ring before anything else; `v` is what the policy says otherwise. */
static __noinline int upcall_wants_ring(__u32 serial, __u64 at, const struct warder_verdict *v)
{
	struct warder_upcall_record *r = bpf_map_lookup_elem(&warder_upcalls, &serial);
	struct warder_key_tag *tag = bpf_map_lookup_elem(&warder_keys, &at);

	if (!tag || !r)
		return 0;
	r->attach = WARDER_ATTACH_WANTED;
	r->ring = tag->serial;
	r->ring_state = tag->may;
	r->ring_at = at;
	r->v = *v;
	return 0;
}

/* Can warder's request-key come first? What is refused it must be sure to get, before any handler of
 * the host's. */
static __always_inline int upcall_comes_to_us(const struct warder_verdict *v)
{
	__u32 zero = 0;
	struct warder_host *host = bpf_map_lookup_elem(&warder_host, &zero);

	return host && (host->upcalls_diverted ||
			(host->upcalls_by_lines && v->action != WARDER_DENY));
}

/* Counts and records it; 0, or the errno with which it is refused. */
static __noinline int upcall_record(struct subject *s, struct key *auth, __u64 serial_by,
				    __u32 rule, __u32 route)
{
	__u32 serial = (__u32)serial_by;
	struct warder_upcall_record *r;

	if (__sync_fetch_and_add(&s->stats->upcalls, 1) >= upcall_max(s)) {
		__sync_fetch_and_add(&s->stats->upcalls, -1);
		return WARDER_EDQUOT;
	}
	if (!bpf_map_update_elem(&warder_upcalls, &serial, &upcall_empty, BPF_ANY)) {
		r = bpf_map_lookup_elem(&warder_upcalls, &serial);
		if (r) {
			r->cid = s->tag->cid;
			r->slot = s->slot;
			r->auth = (__u64)auth;
			r->by = serial_by >> 32;
			r->to = WARDER_ROUTE_TO(route);
			r->otherwise = WARDER_ROUTE_OTHERWISE(route);
			r->deadline = WARDER_ROUTE_DEADLINE(route);
			if (!r->deadline)
				r->deadline = WARDER_UPCALL_DEADLINE_DEFAULT;
			r->rule = rule;
			upcall_fill(r);
			return 0;
		}
	}
	__sync_fetch_and_add(&s->stats->upcalls, -1);
	fault_count(WARDER_FAULT_MAP_FULL);
	__sync_fetch_and_add(&s->stats->faults, 1);
	return WARDER_EDQUOT;
}

/* The policy's part: who answers, as a WARDER_UPCALL_ROUTE(); -1 when it cannot be asked. */
__noinline __weak int upcall_judge(const struct warder_image *img, __u64 target, __u32 by,
				   struct warder_verdict *v)
{
	struct warder_upcall_type type = {};

	if (!img || !v ||
	    bpf_probe_read_kernel_str(type.name, sizeof(type.name),
				      BPF_CORE_READ((struct key *)target, index_key.type,
						    name)) < 0)
		return -1;
	warder_decide_upcall(img, &type, by, v);
	return (int)type.route;
}

/*
 * An authorisation key is about to be made by a task of a container: fills v. The wanted key is the
 * one that the task made just before; its serial proves it.
 */
static __noinline int upcall_judge_new(struct subject *s, struct hook_facts *f, struct key *auth,
				       struct warder_verdict *v)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct key *target = (struct key *)s->tag->last_key;
	__u32 serial = (__u32)upcall_serial(auth), by = WARDER_UPCALL_BY_KERNEL;
	int route = -1, err;
	__u64 ring = 0;

	f->arg[0] = serial;
	if (f->access == WARDER_KEY_OP_REQUEST && task->cred == task->real_cred)
		by = WARDER_UPCALL_BY_PROGRAM;
	if (serial && target && (__u32)BPF_CORE_READ(target, serial) == serial)
		route = upcall_judge(s->img, (__u64)target, by, v);
	if (route == -1) {
		warder_verdict_fault(v, WARDER_FAULT_ARGUMENT, WARDER_EACCES);
		return 0;
	}
	if (upcall_comes_to_us(v))
		ring = upcall_ring(s);
	if (v->action == WARDER_DENY) {
		if (!ring)
			return 0;
		route = WARDER_UPCALL_ROUTE(WARDER_UPCALL_DENY, 0, 0);
	}
	err = upcall_record(s, auth, (__u64)by << 32 | serial, v->rule, (__u32)route);
	if (!err) {
		if (ring)
			upcall_wants_ring(serial, ring, v);
		/* Reported by the supervisor, if C does not have the key either. */
		if (v->action == WARDER_DENY)
			warder_verdict_allow(v);
		return 0;
	}
	warder_verdict_allow(v);
	warder_verdict_deny(v, WARDER_WHY_BASELINE, err);
	f->arg[1] = upcall_max(s);
	return 0;
}

/*
 * A process of the host looks for this key to assume the authority that it stands for. What a
 * policy leaves to a queue, or refuses, is not for the host's handlers, whichever of them /sbin/request-key
 * chooses: only warder's own, which has put itself into the record, gets it.
 */
static __noinline int upcall_is_kept_from(struct key *auth)
{
	struct warder_upcall_record *r;
	struct key_look look = {};
	__u32 serial;

	if (key_look_at(auth, &look) || !look.auth)
		return 0;
	serial = (__u32)upcall_serial(auth);
	r = bpf_map_lookup_elem(&warder_upcalls, &serial);
	return r && r->auth == (__u64)auth && r->to != WARDER_UPCALL_HOST &&
	       r->handler != bpf_get_current_pid_tgid() >> 32;
}

/*
 * The upcall is answered, or given up: its authorisation key is revoked when the handler has ended
 * (complete_request_key() in security/keys/request_key.c, which compilers put into its caller, so
 * that a program on it never runs), or goes with a refusal.
 */
SEC("fentry/key_revoke")
int BPF_PROG(warder_upcall_end, struct key *key)
{
	if (key_may_have_tag(key_argument(ctx, 0)))
		upcall_end(key);
	return 0;
}

SEC("fentry/key_reject_and_link")
int BPF_PROG(warder_upcall_reject, struct key *key, __u32 timeout, __u32 error, struct key *ring,
	     struct key *auth)
{
	if (auth)
		upcall_end(auth);
	return 0;
}

#endif
