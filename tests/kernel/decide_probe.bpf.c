// SPDX-License-Identifier: GPL-2.0-only
/* The decision engine under BPF_PROG_TEST_RUN: the same questions as natively, see test_decide.c.
 * Needs no trampoline, so it runs on kernels that refuse LSM programs too. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "decide_probe.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct warder_image);
} probe_image SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct warder_text);
} probe_text SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct probe_request);
} probe_question SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct probe_reply);
} probe_answer SEC(".maps");

SEC("syscall")
int decide_probe(void *ctx)
{
	__u32 zero = 0, one = 1;
	struct warder_image *img = bpf_map_lookup_elem(&probe_image, &zero);
	struct warder_text *text = bpf_map_lookup_elem(&probe_text, &zero);
	struct warder_text *second = bpf_map_lookup_elem(&probe_text, &one);
	struct probe_request *q = bpf_map_lookup_elem(&probe_question, &zero);
	struct probe_reply *r = bpf_map_lookup_elem(&probe_answer, &zero);

	if (!img || !text || !second || !q || !r)
		return 1;
	probe_run(img, text, second, q, r);
	return 0;
}

char _license[] SEC("license") = "GPL";
