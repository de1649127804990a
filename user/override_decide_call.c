// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What override rules say of calls other than new mounts and binds: the values that a rule lists,
 * and what no rule can allow. Pure: no system call.
 */
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "override_internal.h"
#include "warder_decide.h"

#define SCHED_RESET 1u /* SCHED_FLAG_RESET_ON_FORK */
/* Flags of a remount that are carried out; MS_BIND and MS_REMOUNT choose the operation. */
#define REMOUNT_FLAGS                                                                         \
	(MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME |          \
	 MS_RELATIME | MS_STRICTATIME | MS_SILENT | MS_REMOUNT | MS_BIND)
#define ATIME_FLAGS (MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME)

/* ---------------------------------------------------------------------- mount flags */

/* The same word in both worlds is not given. */
__u32 override_mount_attr(__u32 flags)
{
	static const struct {
		__u32 ms, attr;
	} map[] = {
		{ MS_RDONLY, MOUNT_ATTR_RDONLY }, { MS_NOSUID, MOUNT_ATTR_NOSUID },
		{ MS_NODEV, MOUNT_ATTR_NODEV },   { MS_NOEXEC, MOUNT_ATTR_NOEXEC },
		{ MS_NODIRATIME, MOUNT_ATTR_NODIRATIME },
	};
	__u32 attr = 0;

	for (size_t i = 0; i < ARRAY_SIZE(map); i++)
		if (flags & map[i].ms)
			attr |= map[i].attr;
	if (flags & MS_NOATIME)
		attr |= MOUNT_ATTR_NOATIME;
	else if (flags & MS_STRICTATIME)
		attr |= MOUNT_ATTR_STRICTATIME;
	return attr;
}

__u32 override_remount_clear(const struct override_facts *f, __u32 attr)
{
	__u32 clear = (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC) & ~attr;

	/* Without any of them, a remount keeps what the mount has (path_mount()). */
	if (f->flags & ATIME_FLAGS)
		clear |= MOUNT_ATTR__ATIME | (MOUNT_ATTR_NODIRATIME & ~attr);
	return clear;
}

/* ------------------------------------------------------------------------- values */

/* The entries of that name, from entry `from` on; NULL: no more. */
static const struct warder_option *value_next(const struct warder_override *r, const char *name,
					      unsigned from)
{
	for (unsigned i = from; i < r->options && i < WARDER_OPTIONS_MAX; i++)
		if (!strncmp(r->option[i].name, name, sizeof(r->option[i].name)))
			return &r->option[i];
	return NULL;
}

static int node_fits(const struct warder_override *r, const struct override_facts *f, char *why,
		     size_t size)
{
	__u64 key = WARDER_DEVICE_KEY(f->node_type, f->major, f->minor);
	const struct warder_option *o = value_next(r, WARDER_OPTION_NODE, 0);

	if (!o)
		return 0;
	for (; o; o = value_next(r, WARDER_OPTION_NODE, (unsigned)(o - r->option) + 1))
		if (o->bound == key && f->major <= 0xfff && f->minor <= 0xfffff)
			return 0;
	snprintf(why, size, "does not list node %s %u:%u",
		 f->node_type == S_IFCHR ? "c" : f->node_type == S_IFBLK ? "b" : "?", f->major,
		 f->minor);
	return -EPERM;
}

static int attribute_fits(const struct warder_image *img, const struct warder_override *r,
			  const struct override_facts *f, char *why, size_t size)
{
	const struct warder_option *o = value_next(r, WARDER_OPTION_XATTR, 0);
	size_t len = strlen(f->source);
	int named = 0;

	if (!o)
		return 0;
	for (; o; o = value_next(r, WARDER_OPTION_XATTR, (unsigned)(o - r->option) + 1)) {
		const char *text = image_string(img, o->text);

		/* The parser takes no '=' in a name: the first one ends it. */
		if (strncmp(text, f->source, len) || text[len] != '=')
			continue;
		named = 1;
		text += len + 1;
		if (strlen(text) == f->value_len && !memcmp(text, f->value, f->value_len))
			return 0;
	}
	snprintf(why, size, named ? "lists attribute %.64s with another value" :
				    "does not list attribute %.64s", f->source);
	return -EPERM;
}

static int priority_fits(const struct warder_override *r, const struct override_facts *f, char *why,
			 size_t size)
{
	const struct warder_option *realtime = value_next(r, WARDER_OPTION_REALTIME, 0);
	const struct warder_option *nice = value_next(r, WARDER_OPTION_NICE, 0);
	const struct executor_sched *s = &f->sched;

	if (!realtime && !nice)
		return 0;
	if (s->realtime > 0 && (!realtime || (__u64)s->realtime > realtime->bound)) {
		snprintf(why, size, realtime ? "bounds real-time priorities by %llu, the call asks for %d" :
					       "allows no real-time priorities (%llu), the call asks for %d",
			 realtime ? realtime->bound : 0ull, s->realtime);
		return -EPERM;
	}
	if (s->sets_nice && (!nice || s->nice < (__s64)nice->bound)) {
		snprintf(why, size, nice ? "bounds nice by %lld, the call asks for %d" :
					   "allows no nice values (%lld), the call asks for %d",
			 nice ? (long long)nice->bound : 0ll, s->nice);
		return -EPERM;
	}
	return 0;
}

int override_values_fit(const struct warder_image *img, const struct warder_override *r,
			const struct override_facts *f, char *why, size_t size)
{
	switch (f->op) {
	case WARDER_OP_MKNOD:
		return node_fits(r, f, why, size);
	case WARDER_OP_SETXATTR:
		return attribute_fits(img, r, f, why, size);
	case WARDER_OP_SCHED_SETSCHEDULER:
	case WARDER_OP_SETPRIORITY:
		return priority_fits(r, f, why, size);
	default:
		return 0;
	}
}

int override_is_limited(const struct warder_override *r)
{
	switch (r->op) {
	case WARDER_OP_MOUNT:
		return (r->ops & WARDER_MNT_NEW) || r->bind || !r->any_target;
	case WARDER_OP_UMOUNT:
		return !r->any_target;
	case WARDER_OP_MKNOD:
	case WARDER_OP_SETXATTR:
	case WARDER_OP_SCHED_SETSCHEDULER:
	case WARDER_OP_SETPRIORITY:
		return r->options != 0;
	default:
		return 1;
	}
}

/* ------------------------------------------------------------------- what never is */

static const char *deny_change(const struct override_facts *f, const struct warder_override *r)
{
	if (f->host_mntns)
		return "the caller's mount namespace is the host's";
	if (!f->same_mntns && !(r->by_userns & WARDER_BY_USERNS_NESTED))
		return "the caller is in a mount namespace of its own, which only userns: nested allows";
	if (!f->target)
		return "the target has no name in the container";
	if (f->is_mount && f->at_root)
		return "it is the root of the mount namespace";
	return NULL;
}

static const char *deny_remount(const struct override_facts *f, const struct warder_override *r)
{
	__u32 keeps = (f->flags | r->force) & (MS_RDONLY | MS_NOEXEC);
	const char *denied = deny_change(f, r);

	if (denied)
		return denied;
	if (f->flags & ~(__u32)REMOUNT_FLAGS)
		return "it asks for a flag that is not changed for containers";
	if (!(f->flags & MS_BIND) && !f->own_fs)
		return "the file system is not a tmpfs of the container's own: only the flags of "
		       "its mount can be changed (bind)";
	if ((f->mnt_flags & MS_NOEXEC) && !(keeps & MS_NOEXEC))
		return "noexec is not taken off";
	if ((f->mnt_flags & MS_RDONLY) && !(keeps & MS_RDONLY) && !f->own_fs)
		return "a mount of what the host or the kernel owns stays read-only";
	return NULL;
}

static const char *deny_mount(const struct override_facts *f, const struct warder_override *r,
			      __u32 ops)
{
	const char *denied;

	if (ops == WARDER_MNT_REMOUNT)
		return deny_remount(f, r);
	denied = deny_change(f, r);
	if (denied || ops == WARDER_MNT_PROPAGATION)
		return denied;
	if (f->shared)
		return "the target's mount is shared with the host";
	if (!f->from)
		return "the source has no name in the container";
	if (f->covers_kernel)
		return "moving it would show what runtimes mask";
	return NULL;
}

static const char *deny_umount(const struct override_facts *f, const struct warder_override *r)
{
	const char *denied = deny_change(f, r);

	if (denied)
		return denied;
	if (f->shared)
		return "the mount below it is shared with the host";
	if (f->umount_flags & MNT_FORCE)
		return "MNT_FORCE would abort what others do on that file system";
	if (f->covers_kernel)
		return "unmounting it would show what runtimes mask";
	/* Each mount is taken from the other then: who is in it, or has it open, sees below. */
	if ((f->umount_flags & MNT_DETACH) && f->loose)
		return "what the mounts below it cover would come to light for those who still have it "
		       "open: unmount them first";
	return NULL;
}

static const char *deny_mknod(const struct override_facts *f)
{
	if (!f->target)
		return "the folder has no name in the container";
	if (f->node_type != S_IFCHR && f->node_type != S_IFBLK)
		return "it is no device";
	if (warder_baseline_device(f->node_type, f->major, f->minor))
		return "that device is all of memory or every register of the CPU";
	return NULL;
}

static const char *deny_priority(const struct override_facts *f)
{
	const struct executor_sched *s = &f->sched;

	if (!s->tid)
		return "it is about more than one thread";
	if (f->foreign)
		return "the thread that it is about is not the container's";
	if (!s->sets_nice || f->op == WARDER_OP_SCHED_SETSCHEDULER) {
		if (s->policy != SCHED_OTHER && s->policy != SCHED_BATCH && s->policy != SCHED_IDLE &&
		    s->policy != SCHED_FIFO && s->policy != SCHED_RR)
			return "only other, batch, idle, fifo and rr are set";
		if (s->flags & ~SCHED_RESET)
			return "it asks for more than policy, priority and reset-on-fork";
	}
	return NULL;
}

const char *override_built_in_deny(const struct override_facts *f, const struct warder_override *r,
				   __u32 ops)
{
	switch (f->op) {
	case WARDER_OP_MOUNT:
		return deny_mount(f, r, ops);
	case WARDER_OP_UMOUNT:
		return deny_umount(f, r);
	case WARDER_OP_MKNOD:
		return deny_mknod(f);
	case WARDER_OP_SETXATTR:
		if (strncmp(f->source, "trusted.", 8))
			return "only trusted attributes are set";
		return f->target ? NULL : "the target has no name in the container";
	case WARDER_OP_SETHOSTNAME:
	case WARDER_OP_SETDOMAINNAME:
		return f->host_uts ? "the caller's UTS namespace is the host's" : NULL;
	case WARDER_OP_SCHED_SETSCHEDULER:
	case WARDER_OP_SETPRIORITY:
		return deny_priority(f);
	default:
		return "this version cannot perform such calls";
	}
}

/* -------------------------------------------------------------- the policy's own word */

/* A rule's number, -1 for a default, 0 if it is allowed. */
static int refused_by(const struct warder_verdict *v)
{
	if (v->action != WARDER_ALLOW && v->why == WARDER_WHY_RULE)
		return (int)v->rule;
	return v->action == WARDER_DENY ? -1 : 0;
}

int override_file_denied(const struct warder_image *img, __u32 pr, const char *name, __u32 access)
{
	struct warder_text text = { 0 };
	struct warder_verdict v;
	size_t len = name ? strlen(name) : 0;

	if (!name || len >= WARDER_PATH_MAX)
		return 0; /* built-in denies have the last word on what has no name */
	memcpy(text.b, name, len);
	warder_decide_file(img, pr, &text, 0, (__u32)len, access, &v);
	return refused_by(&v);
}

int override_layers_denied(const struct warder_image *img, __u32 pr, const struct override_facts *f)
{
	struct warder_text from = { 0 }, to = { 0 };
	size_t len = f->target ? strlen(f->target) : 0;
	int denied = 0;

	if (!f->target || len >= WARDER_PATH_MAX)
		return -1;
	memcpy(to.b, f->target, len);
	for (__u32 i = 0; i < f->layers && i < EXECUTOR_LAYERS_MAX && denied <= 0; i++) {
		size_t size = f->layer[i] ? strlen(f->layer[i]) : WARDER_PATH_MAX;
		struct warder_verdict v;
		int one;

		if (size >= WARDER_PATH_MAX)
			return -1;
		memset(&from, 0, sizeof(from));
		memcpy(from.b, f->layer[i], size);
		/* As if the folder were moved there: whatever is below it gets a name below the target. */
		warder_verdict_allow(&v);
		warder_decide_move(img, pr, &from, 0, (__u32)size, &to, 0, (__u32)len,
				   WARDER_MOVE_FOLDER | WARDER_MOVE_LINK, &v);
		one = v.action == WARDER_ALLOW ? 0 : refused_by(&v);
		/* An audit policy refuses nothing, but what is granted here is not taken back later. */
		denied = one ? one : v.action != WARDER_ALLOW ? -1 : denied;
	}
	return denied;
}

const char *override_overlay_refused(const struct override_facts *f)
{
	if (!f->same_mntns || f->relation != WARDER_BY_USERNS_CONTAINER)
		return "an overlay is made for callers in the container's own user and mount namespace only";
	if (f->open)
		return NULL;
	if (!f->layers)
		return "nobody has looked at its layers";
	if (f->covers_kernel)
		return "a layer shows the kernel's own state, of which runtimes mask parts";
	if (f->below)
		return "mounts below a layer would be left out, and what they cover come to light";
	return NULL;
}

__u64 override_caps(const struct warder_image *img)
{
	__u64 caps = (1ull << 41) - 1;

	/* What warder_decide_capability() denies, of all capabilities at once: this is asked for every call. */
	for (__u32 k = 0; k < img->h.profile.count; k++)
		for (__u32 pr = warder_profile_at(img, k); pr; pr = warder_layer_next(img, pr))
			if (WARDER_PROFILE_U32(img, pr, mode) == WARDER_MODE_ENFORCE)
				caps &= WARDER_PROFILE_U64(img, pr, bits[WARDER_BITS_CAPABILITY].allow);
	return caps;
}

int override_object_denied(const struct warder_image *img, __u32 pr, const struct override_facts *f)
{
	struct warder_verdict v;
	int denied;

	switch (f->op) {
	case WARDER_OP_MKNOD:
		warder_decide_device(img, pr, WARDER_DEV_MKNOD, f->node_type, f->major, f->minor, 0, &v);
		denied = refused_by(&v);
		if (denied > 0)
			return denied;
		return override_file_denied(img, pr, f->target, WARDER_ACC_MKNOD);
	case WARDER_OP_SETXATTR:
		return override_file_denied(img, pr, f->target, WARDER_ACC_XATTR);
	case WARDER_OP_SETHOSTNAME:
	case WARDER_OP_SETDOMAINNAME:
		warder_decide_switch(img, pr, WARDER_BITS_KERNEL, WARDER_SURFACE_HOSTNAME, &v);
		denied = refused_by(&v);
		return denied > 0 ? denied : 0;
	default:
		return 0;
	}
}

int override_wants_file(const struct warder_image *img, __u64 set, const char *type)
{
	for (unsigned i = 0; i < WARDER_OVERRIDES_MAX && i < img->h.override_.count; i++) {
		const struct warder_override *r = override_rule_at(img, i);

		if (r->fuse && !r->bind && (!set || (set >> i & 1)) &&
		    (!type || !strncmp(type, r->type, sizeof(r->type))))
			return 1;
	}
	return 0;
}
