// SPDX-License-Identifier: LGPL-2.1-or-later
/* What the supervisor would do about a test's mount or call that the kernel refuses. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "cleanup.h"
#include "override_internal.h"
#include "policy_internal.h"
#include "policy_tools.h"

static void effect_text(const struct warder_image *img, const struct override_decision *d,
			const struct policy_test_result *r, char *buf, size_t size)
{
	static const struct {
		__u32 attr;
		const char *word;
	} attrs[] = { { MOUNT_ATTR_RDONLY, " ro" }, { MOUNT_ATTR_NOSUID, " nosuid" },
		      { MOUNT_ATTR_NODEV, " nodev" }, { MOUNT_ATTR_NOEXEC, " noexec" } };
	const struct warder_override *o = d->rule_index < 0 ? NULL : override_rule_at(img, (unsigned)d->rule_index);
	size_t used = (size_t)snprintf(buf, size, "%s", test_override_name(r->override));

	if (r->override == TEST_OVERRIDE_FAKE)
		snprintf(buf + used, size - used, " %d", d->value);
	else if (r->override == TEST_OVERRIDE_DENY)
		snprintf(buf + used, size - used, " %s", errno_name(d->value));
	else if (r->override == TEST_OVERRIDE_ASK && d->handler)
		snprintf(buf + used, size - used, " %s", d->handler);
	if (r->override != TEST_OVERRIDE_PERFORM || !o || o->op != WARDER_OP_MOUNT)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(attrs); i++)
		if (d->attr & attrs[i].attr)
			used += (size_t)snprintf(buf + used, size - used, "%s", attrs[i].word);
	if (d->fuse)
		used += (size_t)snprintf(buf + used, size - used, " by %.60s", d->fuse);
	if (d->bind)
		snprintf(buf + used, size - used, " of %.120s", d->bind);
}

int policy_test_override(const struct warder_image *img, const struct policy_test *t,
			 struct policy_test_result *ret)
{
	static const enum test_override actions[] = {
		[OVERRIDE_KEEP] = TEST_OVERRIDE_NONE,
		[OVERRIDE_PERFORM] = TEST_OVERRIDE_PERFORM,
		[OVERRIDE_FAKE] = TEST_OVERRIDE_FAKE,
		[OVERRIDE_DENY] = TEST_OVERRIDE_DENY,
		[OVERRIDE_ASK] = TEST_OVERRIDE_ASK,
	};
	static const __u32 flags[][2] = { { WARDER_MNT_BIND, 0x1000 },
					  { WARDER_MNT_REMOUNT, 0x20 },
					  { WARDER_MNT_MOVE, 0x2000 },
					  { WARDER_MNT_PROPAGATION, 1 << 18 } };
	const struct policy_request *r = &t->request;
	struct override_facts f = {
		.op = t->op ? t->op : WARDER_OP_MOUNT, .flags = r->flags, .euid = t->uid, .fsuid = t->uid, .relation = t->userns,
		.cause = WARDER_CAUSE_CAPABILITY, .same_mntns = 1,
		.fstype = r->fstype ? r->fstype : "", .source = r->source ? r->source : "none",
		.data = r->options ? r->options : "", .target = r->unreachable ? NULL : r->path,
		.from = r->source, .file = r->source, .is_mount = 1, .own_fs = 1, .value = "",
		.view = EXECUTOR_VIEW_OWN,
	};
	cleanup_free struct override_decision *d = calloc(1, sizeof(*d));
	int profile = image_find_profile(img, t->profile);
	cleanup_free char *options = strdup(f.data);
	struct executor_layers layers;

	if (!d || !options)
		return -ENOMEM;
	if (executor_is_overlay(f.fstype) && !executor_layers_parse(options, &layers)) {
		f.layers = layers.count;
		memcpy(f.layer, layers.path, sizeof(f.layer));
	}
	f.profile = r->profile ? r->profile : profile > 0 ? (__u32)profile : 0;
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (r->access == flags[i][0])
			f.flags |= flags[i][1];
	if (t->op) {
		f.target = t->path;
		f.source = t->attribute ? t->attribute : "";
		f.value = t->value ? t->value : "";
		f.value_len = (__u32)strlen(f.value);
		f.node_type = t->device_type;
		f.major = t->device_major;
		f.minor = t->device_minor;
		f.sched = (struct executor_sched) { .tid = 1, .realtime = t->realtime,
						    .policy = t->realtime ? SCHED_FIFO : SCHED_OTHER,
						    .nice = t->nice, .sets_nice = (__u32)t->sets_nice };
	}
	/* "/" is the empty name to the engine. */
	override_decide(img, &f, d);
	ret->override = d->action >= 0 && (size_t)d->action < ARRAY_SIZE(actions) ?
				actions[d->action] :
				TEST_OVERRIDE_NONE;
	if (ret->override == TEST_OVERRIDE_NONE && d->reported)
		ret->override = TEST_OVERRIDE_REPORT;
	ret->override_rule = d->rule ? d->rule : d->near_rule;
	snprintf(ret->got, sizeof(ret->got), "%s", d->reason);
	effect_text(img, d, ret, ret->effect, sizeof(ret->effect));
	return 0;
}
