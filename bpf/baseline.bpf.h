/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Baseline: what no policy and no mode turns off. Tasks of a container do not trace, signal,
 * steal from or steer tasks outside it, do not reach unix sockets of the host or of another
 * container, and do not call bpf() or load modules or kernels. Untagged tasks are never
 * restricted here.
 *
 * Also the kernel surfaces that are a class default, not baseline: syslog, settime, perf,
 * quota. Audit mode lets those pass.
 */
#ifndef WARDER_BASELINE_BPF_H
#define WARDER_BASELINE_BPF_H

#include "core.bpf.h"
#include "identity.bpf.h"

/* Finds the subject; leaves the hook when there is nothing to judge. */
#define BASELINE_SUBJECT(s, f)                                            \
	switch (subject_current(s)) {                                     \
	case SUBJECT_UNTAGGED:                                            \
		return 0;                                                 \
	case SUBJECT_TAGGED:                                              \
		break;                                                    \
	default:                                                          \
		return hook_fault(s, f, (s)->fault, NULL);                \
	}

static __always_inline int baseline_deny(struct subject *s, const struct hook_facts *f, __u32 err)
{
	struct warder_verdict v;

	warder_verdict_allow(&v);
	warder_verdict_deny(&v, WARDER_WHY_BASELINE, err);
	return hook_end(s, &v, f, NULL);
}

/* A kernel surface: the class default, which the mode may turn into a report. */
static __always_inline int surface_deny(__u32 hook, __u64 arg)
{
	struct hook_facts f = { .hook = hook, .class_ = WARDER_CLASS_KERNEL };
	struct subject s = {};
	struct warder_verdict v;

	f.arg[0] = arg;
	BASELINE_SUBJECT(&s, &f);
	warder_verdict_allow(&v);
	warder_verdict_deny(&v, WARDER_WHY_DEFAULT, WARDER_EPERM);
	warder_verdict_finish(s.img, &v);
	return hook_end(&s, &v, &f, NULL);
}

/* ------------------------------------------------------------ bpf and modules */

SEC("lsm/bpf")
int BPF_PROG(warder_bpf, int cmd)
{
	struct hook_facts f = { .hook = WARDER_HOOK_BPF, .class_ = WARDER_CLASS_KERNEL };
	struct subject s = {};

	f.access = cmd;
	BASELINE_SUBJECT(&s, &f);
	return baseline_deny(&s, &f, WARDER_EPERM);
}

/* Modules, kexec images, IMA policies and keys, and whatever is added later. Firmware is what a
 * driver asks for, on behalf of a task that may not know. */
SEC("lsm/kernel_load_data")
int BPF_PROG(warder_kernel_load, enum kernel_load_data_id id)
{
	struct hook_facts f = { .hook = WARDER_HOOK_KERNEL_LOAD, .class_ = WARDER_CLASS_KERNEL };
	struct subject s = {};

	f.access = id;
	BASELINE_SUBJECT(&s, &f);
	if (id == bpf_core_enum_value(enum kernel_load_data_id, LOADING_FIRMWARE))
		return 0;
	return baseline_deny(&s, &f, WARDER_EPERM);
}

SEC("lsm/kernel_read_file")
int BPF_PROG(warder_kernel_read, struct file *file, enum kernel_read_file_id id)
{
	struct hook_facts f = { .hook = WARDER_HOOK_KERNEL_READ, .class_ = WARDER_CLASS_KERNEL };
	struct subject s = {};

	f.access = id;
	BASELINE_SUBJECT(&s, &f);
	if (id == bpf_core_enum_value(enum kernel_read_file_id, READING_FIRMWARE))
		return 0;
	return baseline_deny(&s, &f, WARDER_EPERM);
}

/* ----------------------------------------------------------- kernel surfaces */

SEC("lsm/syslog")
int BPF_PROG(warder_syslog, int type)
{
	return surface_deny(WARDER_HOOK_SYSLOG, type);
}

SEC("lsm/settime")
int BPF_PROG(warder_settime)
{
	return surface_deny(WARDER_HOOK_SETTIME, 0);
}

SEC("lsm/perf_event_open")
int BPF_PROG(warder_perf_event)
{
	return surface_deny(WARDER_HOOK_PERF_EVENT, 0);
}

SEC("lsm/quota_on")
int BPF_PROG(warder_quota_on)
{
	return surface_deny(WARDER_HOOK_QUOTA_ON, 0);
}

#endif
