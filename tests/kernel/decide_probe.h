/* SPDX-License-Identifier: LGPL-2.1-or-later OR GPL-2.0-only */
/* A question to the engine and its answer, put natively and in BPF by the same function. */
#ifndef WARDER_DECIDE_PROBE_H
#define WARDER_DECIDE_PROBE_H

#include "warder_decide.h"

enum probe_kind {
	PROBE_FILE = 0,
	PROBE_UNREACHABLE,
	PROBE_CAPABILITY,
	PROBE_MOUNT,
	PROBE_BASELINE,
	PROBE_DEVICE,
	PROBE_OVERRIDE, /* candidates in .set */
	PROBE_TARGET,	/* override rules whose target matches, in .set */
	PROBE_MOVE,
	PROBE_SWITCH, /* of class .magic (enum warder_bits_class), number .access */
	PROBE_NETWORK, /* .access on .address */
	PROBE_UNIX,    /* the name is of kind .flags (enum warder_start); .set: it opens the way */
	PROBE_NODE,   /* .access: WARDER_DEV_*; .cause: the type; .userns: the runtime made it */
	PROBE_PEER,   /* .peer */
	PROBE_UNIX_UNREACHABLE, /* .access */
	PROBE_UNIX_PEER, /* as PROBE_UNIX, without a name where .flags is WARDER_START__MAX; .peer */
	PROBE_KERNEL_FILE, /* as PROBE_BASELINE, .set, under the policy's `unsafe` */
};

struct probe_request {
	__u32 kind;
	__u32 access; /* of device: the type; of override: the operation bit */
	__u32 off, len;
	__u32 second_off, second_len;
	__u32 flags; /* MS_*; WARDER_MOVE_*; of device: the minor */
	__u32 magic; /* of baseline; of device: the major */
	__u32 euid, fsuid, userns, cause;
	__u32 unnamed;
	__u32 profile; /* number */
	struct warder_fstype type;
	struct warder_address address;
	struct warder_peer_request peer;
};

struct probe_reply {
	struct warder_verdict v;
	__u64 set;
};

WARDER_ENGINE void probe_mount(const struct warder_image *img, const struct warder_text *text,
			       const struct warder_text *second, const struct probe_request *q,
			       struct probe_reply *r)
{
	__u32 pr = warder_profile_at(img, q->profile);
	struct warder_mount_request m = {};

	m.type = q->type;
	m.op = q->access;
	m.flags = q->flags;
	m.unnamed = q->unnamed;
	if (!q->unnamed)
		m.targets = warder_target_set(img, pr, text, WARDER_START_MOUNT_TARGET, q->off, q->len);
	if (q->second_len) {
		m.sources = warder_target_set(img, pr, second, WARDER_START_MOUNT_SOURCE, q->second_off,
					      q->second_len);
		m.source_known = 1;
	}
	warder_decide_mount(img, pr, &m, &r->v);
}

WARDER_ENGINE void probe_override(const struct warder_image *img, const struct probe_request *q,
				  struct probe_reply *r)
{
	struct warder_override_request o = {};

	o.type = q->type;
	o.op = WARDER_OP_MOUNT;
	o.ops = q->access;
	o.flags = q->flags;
	o.euid = q->euid;
	o.fsuid = q->fsuid;
	o.userns = q->userns;
	o.cause = q->cause;
	r->set = warder_override_candidates(img, warder_profile_at(img, q->profile), &o);
}

WARDER_ENGINE void probe_run(const struct warder_image *img, const struct warder_text *text,
			     const struct warder_text *second, const struct probe_request *q,
			     struct probe_reply *r)
{
	__u32 pr = warder_profile_at(img, q->profile);

	warder_verdict_allow(&r->v);
	r->set = 0;
	switch (q->kind) {
	case PROBE_FILE:
		warder_decide_file(img, pr, text, q->off, q->len, q->access, &r->v);
		break;
	case PROBE_UNREACHABLE:
		warder_decide_unreachable(img, pr, q->access, &r->v);
		break;
	case PROBE_CAPABILITY:
		warder_decide_capability(img, pr, q->access, &r->v);
		break;
	case PROBE_MOUNT:
		probe_mount(img, text, second, q, r);
		break;
	case PROBE_BASELINE:
		r->set = (__u32)warder_baseline_file(q->magic, text, q->off, q->len, q->access);
		break;
	case PROBE_DEVICE:
		r->set = (__u32)warder_baseline_device(q->access, q->magic, q->flags);
		break;
	case PROBE_OVERRIDE:
		probe_override(img, q, r);
		break;
	case PROBE_TARGET:
		r->set = warder_target_set(img, pr, text, WARDER_START_OVERRIDE_TARGET, q->off, q->len);
		break;
	case PROBE_MOVE:
		warder_decide_move(img, pr, text, q->off, q->len, second, q->second_off, q->second_len,
				   q->flags, &r->v);
		break;
	case PROBE_NETWORK:
		warder_decide_network(img, pr, &q->address, q->access, &r->v);
		break;
	case PROBE_UNIX:
		r->set = (__u32)warder_decide_unix(img, pr, text, q->off, q->len, q->flags,
						   &q->address, q->access, &r->v);
		break;
	case PROBE_SWITCH:
		warder_decide_switch(img, pr, q->magic, q->access, &r->v);
		break;
	case PROBE_NODE:
		warder_decide_device(img, pr, q->access, q->cause, q->magic, q->flags, q->userns,
				     &r->v);
		break;
	case PROBE_PEER:
		warder_decide_peer(img, pr, &q->peer, &r->v);
		break;
	case PROBE_UNIX_PEER:
		warder_decide_unix_peer(img, pr, &q->peer, text, WARDER_PAIR(q->off, q->len),
					q->flags, &q->address, q->access, &r->v);
		break;
	case PROBE_KERNEL_FILE:
		r->set = warder_kernel_files_closed(img) &&
			 warder_baseline_file(q->magic, text, q->off, q->len, q->access);
		break;
	case PROBE_UNIX_UNREACHABLE:
		warder_decide_net_unreachable(img, pr, WARDER_FAM_UNIX, q->access, &r->v);
		break;
	default:
		warder_verdict_fault(&r->v, WARDER_FAULT_ARGUMENT, WARDER_EACCES);
	}
}

#endif
