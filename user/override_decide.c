// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Rules on the copied arguments: built-in denies, the container's own explicit denies, then
 * override rules in the order of the text; and for what no rule matches, the one that came
 * nearest and what kept it away. Pure: no system call.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "cleanup.h"
#include "override_internal.h"
#include "warder_decide.h"

/* How far a call came with a rule: the first thing that did not fit. */
enum near {
	NEAR_OP = 0,
	NEAR_REPORT,
	NEAR_TYPE,
	NEAR_SOURCE,
	NEAR_TARGET,
	NEAR_FLAGS,
	NEAR_CAUSE,
	NEAR_USERNS,
	NEAR_PROFILE,
	NEAR_UID,
	NEAR_OPTIONS,
	NEAR_MATCH,
};

/* Types that are made for a container, and why others that are asked for often are not. */
static const struct {
	const char *type;
	const char *refused; /* NULL: it is made */
} fs_types[] = {
	{ "tmpfs", NULL },
	{ "ramfs", "its size cannot be bounded: use tmpfs" },
	{ "nfs", "the host's kernel would trust a server that a container names" },
	{ "nfs4", "the host's kernel would trust a server that a container names" },
	{ "cifs", "the host's kernel would trust a server that a container names" },
	{ "fuse", "its server is a descriptor of the caller's, and a user namespace of its own may mount it" },
	{ "ext2", "the kernel would read an image that a container may have written" },
	{ "ext3", "the kernel would read an image that a container may have written" },
	{ "ext4", "the kernel would read an image that a container may have written" },
	{ "xfs", "the kernel would read an image that a container may have written" },
	{ "btrfs", "the kernel would read an image that a container may have written" },
	{ "erofs", "the kernel would read an image that a container may have written" },
	{ "squashfs", "the kernel would read an image that a container may have written" },
};

/* Those that are made of an image that is trusted. */
static const char *const image_types[] = { "ext4", "erofs", "squashfs", "xfs" };

/* `image`: the rule offers one, and trusts it. `fuse`: the kernel does not read it. */
static const char *type_refused(const char *type, int image, int fuse)
{
	if (fuse)
		return NULL;
	for (size_t i = 0; image && i < ARRAY_SIZE(image_types); i++)
		if (!strcmp(type, image_types[i]))
			return NULL;
	if (image)
		return "no such file system is read from an image";
	for (size_t i = 0; i < ARRAY_SIZE(fs_types); i++)
		if (!strcmp(type, fs_types[i].type))
			return fs_types[i].refused;
	return "this version makes only tmpfs, proc, sysfs, overlay, and ext4, erofs, squashfs and xfs of trusted "
	       "images";
}

/* Whoever sees no proc or sysfs gets none. */
static const char *view_refused(const struct override_facts *f)
{
	switch ((enum executor_view)f->view) {
	case EXECUTOR_VIEW_OWN:
	case EXECUTOR_VIEW_BELOW:
		return NULL;
	case EXECUTOR_VIEW_PIDNS:
		return "the caller is in another pid namespace than the proc that it sees shows, and in "
		       "none below that";
	case EXECUTOR_VIEW_NONE:
	case EXECUTOR_VIEW_MISSING:
		break;
	}
	/* Of a call of the new mount API nobody has looked yet. */
	return f->open ? NULL : "the caller sees none at its place that could be shown at another one";
}

/* fsopen(2) comes before its source is said. */
static int source_is_open(const struct override_facts *f)
{
	return f->unresolved || (f->open && !(f->flags & MS_BIND) && !f->source[0]);
}

/* Room for a name within `reason`: the middle of a long one is of no use there. */
#define NAME_SHOWN 80

const struct warder_override *override_rule_at(const struct warder_image *img, unsigned i)
{
	return (const struct warder_override *)&img->b[img->h.override_.offset +
						       i * sizeof(struct warder_override)];
}

int override_must_resolve(const struct warder_image *img, __u64 set)
{
	for (unsigned i = 0; i < WARDER_OVERRIDES_MAX && i < img->h.override_.count; i++) {
		const struct warder_override *r = override_rule_at(img, i);

		if ((set >> i & 1) &&
		    (r->do_ == WARDER_DO_PERFORM || r->do_ == WARDER_DO_HANDLER || r->options ||
		     !r->any_target))
			return 1;
	}
	return 0;
}

int override_decides_at_once(const struct warder_image *img, __u32 op, __u64 set)
{
	switch (op) {
	case WARDER_OP_MOUNT:
	case WARDER_OP_UMOUNT:
	case WARDER_OP_MKNOD:
	case WARDER_OP_SETXATTR:
		return 0; /* names count, by which the policy may refuse them */
	}
	for (unsigned i = 0; i < WARDER_OVERRIDES_MAX && i < img->h.override_.count; i++)
		if ((set >> i & 1) && override_rule_at(img, i)->by_uid != WARDER_BY_ANY_UID)
			return 0;
	return set && !override_must_resolve(img, set);
}

int override_stops_late(const struct warder_image *img, __u64 set)
{
	if (!set)
		return 0;
	for (unsigned i = 0; i < WARDER_OVERRIDES_MAX && i < img->h.override_.count; i++)
		if ((set >> i & 1) && override_rule_at(img, i)->late != WARDER_LATE_STOP)
			return 0;
	return 1;
}

int override_parse_size(const char *text, __u64 *ret)
{
	__u64 n = 0;
	unsigned shift = 0;
	const char *p = text;

	/* The kernel also reads octal and hexadecimal, percents and a sign: not here. */
	if (*p < '0' || *p > '9' || (*p == '0' && p[1] >= '0' && p[1] <= '9'))
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (__u64)(*p - '0'), &n))
			return -EINVAL;
	switch (*p) {
	case '\0':
		break;
	case 'k':
	case 'K':
		shift = 10;
		break;
	case 'm':
	case 'M':
		shift = 20;
		break;
	case 'g':
	case 'G':
		shift = 30;
		break;
	case 't':
	case 'T':
		shift = 40;
		break;
	default:
		return -EINVAL;
	}
	if (*p && p[1])
		return -EINVAL;
	if (n > ~0ull >> shift)
		return -EINVAL;
	*ret = n << shift;
	return 0;
}

/* ------------------------------------------------------------------------- options */

/* The list that the executor gets. A text that does not fit is refused, never cut. */
struct option_list {
	char *text;
	size_t used, size;
};

static int option_add(struct option_list *l, const char *key, size_t key_len, const char *value)
{
	size_t need = key_len + (value ? 1 + strlen(value) : 0) + 1;

	if (l->used + need + 1 > l->size)
		return -E2BIG;
	memcpy(l->text + l->used, key, key_len);
	l->used += key_len;
	if (value) {
		l->text[l->used++] = '=';
		strcpy(l->text + l->used, value);
		l->used += strlen(value);
	}
	l->text[l->used++] = '\0';
	l->text[l->used] = '\0';
	return 0;
}

static const struct warder_option *option_find(const struct warder_override *r, const char *key,
					       size_t len)
{
	for (unsigned i = 0; i < r->options && i < WARDER_OPTIONS_MAX; i++) {
		const struct warder_option *o = &r->option[i];

		if (strnlen(o->name, sizeof(o->name)) == len && !strncmp(o->name, key, len))
			return o;
	}
	return NULL;
}

/* Checks one option of the caller's against the rule and adds it in plain form. */
static int option_check(const struct warder_image *img, const struct warder_override *r,
			char *text, struct option_list *l, char *why, size_t size)
{
	char *value = strchr(text, '='), plain[24];
	size_t len = value ? (size_t)(value - text) : strlen(text);
	const struct warder_option *o;
	__u64 n;

	if (value)
		value++;
	o = option_find(r, text, len);
	if (!o) {
		snprintf(why, size, "does not list option %.32s", text);
		return -EPERM;
	}
	switch (o->compare) {
	case WARDER_CMP_ANY:
		return option_add(l, text, len, value);
	case WARDER_CMP_EQ:
		if (value && !strcmp(value, image_string(img, o->text)))
			return option_add(l, text, len, value);
		snprintf(why, size, "allows option %.*s only with the value %.64s", (int)len, text,
			 image_string(img, o->text));
		return -EPERM;
	case WARDER_CMP_LE:
		if (!value || override_parse_size(value, &n)) {
			snprintf(why, size, "wants a plain number for option %.*s, not %.32s",
				 (int)len, text, value ? value : "nothing");
			return -EPERM;
		}
		/* tmpfs reads 0 as "no limit". */
		if (n == 0 || n > o->bound) {
			snprintf(why, size, "bounds option %.*s by %llu, the call asks for %s",
				 (int)len, text, o->bound, n ? value : "no limit");
			return -EPERM;
		}
		/* In plain digits: what was compared is what the kernel reads. */
		snprintf(plain, sizeof(plain), "%llu", n);
		return option_add(l, text, len, plain);
	}
	return -EINVAL;
}

/* An overlay, whose layers the rule names in its source. */
static int is_overlay(const struct warder_override *r)
{
	return r->ops == WARDER_MNT_NEW && executor_is_overlay(r->type) &&
	       (r->do_ == WARDER_DO_PERFORM || r->do_ == WARDER_DO_HANDLER);
}

/* All options of the call, then (`complete`) the rule's bounds for those that it left out. Bounds
 * come last: of two options for one thing the kernel takes the later one. */
static int options_check(const struct warder_image *img, const struct warder_override *r,
			 const char *data, int complete, char *out, size_t out_size, char *why,
			 size_t size)
{
	struct option_list l = { .text = out, .size = out_size };
	char copy[EXECUTOR_TEXT_SIZE], *save, *text;
	__u32 given = 0;
	int err;

	out[0] = '\0';
	snprintf(copy, sizeof(copy), "%s", data);
	for (text = strtok_r(copy, ",", &save); text; text = strtok_r(NULL, ",", &save)) {
		const struct warder_option *o = option_find(r, text, strcspn(text, "="));

		if (is_overlay(r) && executor_layer_option(text))
			continue;
		if (o)
			given |= 1u << (o - r->option);
		err = option_check(img, r, text, &l, why, size);
		if (err)
			return err;
	}
	for (unsigned i = 0; complete && i < r->options && i < WARDER_OPTIONS_MAX; i++) {
		const struct warder_option *o = &r->option[i];
		size_t len = strnlen(o->name, sizeof(o->name));
		char plain[24];

		if ((given >> i & 1) || o->compare == WARDER_CMP_ANY)
			continue;
		snprintf(plain, sizeof(plain), "%llu", o->bound);
		err = option_add(&l, o->name, len,
				 o->compare == WARDER_CMP_LE ? plain : image_string(img, o->text));
		if (err)
			return err;
	}
	return 0;
}

/* --------------------------------------------------------------------------- rules */

static void mount_request_type(const char *type, __u32 ops, struct warder_fstype *ret)
{
	size_t len = strlen(type);

	memset(ret, 0, sizeof(*ret));
	/* A longer one equals no rule's; the cut form could. */
	if (ops == WARDER_MNT_NEW && len < WARDER_FSTYPE_SIZE)
		memcpy(ret, type, len);
	else if (ops == WARDER_MNT_NEW)
		memset(ret, 0xff, sizeof(*ret));
}

/* Options of a file system come with a new one and with a remount of its superblock. */
static int has_options(const struct override_facts *f, __u32 ops)
{
	return ops == WARDER_MNT_NEW || (ops == WARDER_MNT_REMOUNT && !(f->flags & MS_BIND));
}

/* The rules whose names the call's names match. */
struct name_sets {
	__u64 targets, sources, files, layers;
};

/* Is rule `i` for callers in the profile of that number? */
static int by_profile(const struct warder_image *img, unsigned i, __u32 number)
{
	return WARDER_PROFILE_U64(img, warder_profile_at(img, number), override_rules) >> (i & 63) & 1;
}

/* How far the call comes with rule `i`; what stopped it is said in `why`. */
static enum near rule_try(const struct warder_image *img, unsigned i,
			  const struct override_facts *f, struct warder_override_request req,
			  const struct name_sets *sets, char *options, size_t options_size,
			  char *why, size_t size)
{
	const struct warder_override *r = override_rule_at(img, i);

	if (r->op != f->op || !(r->ops & req.ops)) {
		snprintf(why, size, "speaks of another operation");
		return NEAR_OP;
	}
	if (r->way && f->way && r->way != f->way) {
		snprintf(why, size, r->way == WARDER_WAY_NOTIFY ?
			 "is for the new mount API only (way: notify)" :
			 "is not for the new mount API (way: handoff)");
		return NEAR_OP;
	}
	if (r->do_ == WARDER_DO_REPORT) {
		snprintf(why, size, "has such calls reported only");
		return NEAR_REPORT;
	}
	if (!warder_type_matches(img, (__u32)((const __u8 *)r->type - img->b), &req.type)) {
		snprintf(why, size, "allows only type %.31s", r->type);
		return NEAR_TYPE;
	}
	if (r->bind && !source_is_open(f) && strcmp(f->source, image_string(img, r->bind))) {
		snprintf(why, size, "offers %.*s, not %.*s", NAME_SHOWN, image_string(img, r->bind),
			 NAME_SHOWN, f->source);
		return NEAR_TYPE;
	}
	if (!f->unresolved && f->op == WARDER_OP_MOUNT &&
	    (r->ops == WARDER_MNT_MOVE || (r->ops == WARDER_MNT_BIND && !r->bind)) &&
	    !(sets->sources >> i & 1)) {
		snprintf(why, size, "does not allow the source %.*s", NAME_SHOWN,
			 !f->from ? "without a name" : *f->from ? f->from : "/");
		return NEAR_SOURCE;
	}
	if (is_overlay(r) && !f->unresolved && !f->open && !(sets->layers >> i & 1)) {
		snprintf(why, size, "does not allow every layer of it");
		return NEAR_SOURCE;
	}
	if (r->fuse && !r->bind && !f->unresolved && !f->open && !(sets->files >> i & 1)) {
		snprintf(why, size, f->file ? "does not allow the image %.*s" : "finds no image at %.*s",
			 NAME_SHOWN, f->file ? f->file : f->source);
		return NEAR_SOURCE;
	}
	if (f->open && !r->any_target && r->do_ == WARDER_DO_DENY) {
		snprintf(why, size, "refuses only some targets");
		return NEAR_TARGET;
	}
	if (!f->unresolved && !f->open && !r->any_target && !(sets->targets >> i & 1)) {
		if (f->target)
			snprintf(why, size, "does not allow the target %.*s", NAME_SHOWN,
				 *f->target ? f->target : "/");
		else
			snprintf(why, size, "needs a target with a name, and this one has none");
		return NEAR_TARGET;
	}
	if (!f->open && (f->flags & r->require) != r->require) {
		const char *name = mount_flag_name(r->require & ~f->flags &
						   -(r->require & ~f->flags));

		snprintf(why, size, "requires flag %s", name ? name : "?");
		return NEAR_FLAGS;
	}
	if (!f->open && (f->flags & r->forbid)) {
		const char *name = mount_flag_name(f->flags & r->forbid & -(f->flags & r->forbid));

		snprintf(why, size, "forbids flag %s", name ? name : "?");
		return NEAR_FLAGS;
	}
	if (!(r->cause & f->cause)) {
		snprintf(why, size, "%s", f->cause == WARDER_CAUSE_LSM ?
			 "does not cover what another security module refused (cause: lsm)" :
			 f->cause == WARDER_CAUSE_BASELINE ?
			 "cannot grant what the baseline refuses" :
			 "covers only what another security module refused");
		return NEAR_CAUSE;
	}
	if (!(r->by_userns & f->relation)) {
		snprintf(why, size, "does not allow callers in %s",
			 f->relation == WARDER_BY_USERNS_NESTED ?
				 "a user namespace below the container's" :
			 f->relation ? "the container's own user namespace" :
				       "a foreign user namespace");
		return NEAR_USERNS;
	}
	if (f->candidates ? !(f->candidates >> i & 1) : !by_profile(img, i, f->profile)) {
		snprintf(why, size, "does not allow callers in that profile");
		return NEAR_PROFILE;
	}
	if (!f->unresolved && r->by_uid != WARDER_BY_ANY_UID &&
	    (r->by_uid != f->euid || r->by_uid != f->fsuid)) {
		snprintf(why, size, "allows only uid %u, the caller has %d", r->by_uid,
			 (int)(r->by_uid != f->euid ? f->euid : f->fsuid));
		return NEAR_UID;
	}
	if (f->unresolved)
		return NEAR_MATCH;
	if (f->op != WARDER_OP_MOUNT)
		return override_values_fit(img, r, f, why, size) ? NEAR_OPTIONS : NEAR_MATCH;
	if ((r->do_ == WARDER_DO_PERFORM || r->do_ == WARDER_DO_HANDLER) && has_options(f, req.ops) &&
	    options_check(img, r, f->data, req.ops == WARDER_MNT_NEW, options, options_size, why,
			  size))
		return NEAR_OPTIONS;
	return NEAR_MATCH;
}

/* What no rule can allow. NULL, or the reason. */
static const char *built_in_deny(const struct override_facts *f, const struct warder_override *r,
				 __u32 ops)
{
	if (f->op != WARDER_OP_MOUNT || !(ops & (WARDER_MNT_NEW | WARDER_MNT_BIND)))
		return override_built_in_deny(f, r, ops);
	if (f->host_mntns)
		return "the caller's mount namespace is the host's";
	if (!f->same_mntns && !(r->by_userns & WARDER_BY_USERNS_NESTED))
		return "the caller is in a mount namespace of its own, which only userns: nested allows";
	if (!f->open && f->shared)
		return "the target's mount is shared with the host";
	if (!f->open && !f->target)
		return "the target has no name in the container";
	if (f->mounts > OVERRIDE_MOUNTS_MAX ||
	    f->mounts + (f->flags & MS_REC || f->view ? f->below : 0) >= OVERRIDE_MOUNTS_MAX)
		return "the mount namespace would have too many mounts";
	if (ops == WARDER_MNT_NEW && r->bind && executor_is_server(f->fstype))
		return f->same_mntns ? NULL :
				       "a server's file system is mounted in the container's own mount "
				       "namespace only";
	if (ops == WARDER_MNT_NEW && (r->bind || r->fuse) && !f->same_mntns)
		return "images are mounted in the container's own mount namespace only: what it can write "
		       "is looked at there";
	if (ops == WARDER_MNT_NEW && r->bind && !r->fuse && f->loops >= OVERRIDE_LOOPS_MAX)
		return "the mount namespace has too many mounts of loop devices";
	if (ops == WARDER_MNT_NEW && executor_is_view(f->fstype))
		return view_refused(f);
	if (ops == WARDER_MNT_NEW && executor_is_overlay(f->fstype))
		return override_overlay_refused(f);
	if (ops == WARDER_MNT_NEW)
		return type_refused(f->fstype, r->bind != 0, r->fuse != 0);
	if (!r->bind && f->covers_kernel)
		return "the source shows the kernel's own state, of which runtimes mask parts";
	return NULL;
}

static void decide_match(const struct warder_image *img, const struct override_facts *f,
			 const struct warder_override *r, struct override_decision *d)
{
	char where[96];
	const char *denied;

	d->rule = r->rule;
	d->deadline_ms = r->deadline_ms ? r->deadline_ms : OVERRIDE_DEADLINE_MS;
	d->rate = r->rate;
	image_rule_where(img, r->rule, where, sizeof(where));
	switch (r->do_) {
	case WARDER_DO_FAKE:
		d->action = OVERRIDE_FAKE;
		d->value = (int)r->value;
		snprintf(d->reason, sizeof(d->reason), "rule %s answers %d and does nothing", where,
			 d->value);
		return;
	case WARDER_DO_DENY:
		d->action = OVERRIDE_DENY;
		d->value = (int)r->value;
		snprintf(d->reason, sizeof(d->reason), "rule %s refuses it with errno %d", where,
			 d->value);
		return;
	case WARDER_DO_PERFORM:
	case WARDER_DO_HANDLER:
		break;
	default:
		snprintf(d->reason, sizeof(d->reason), "rule %s asks for what this version cannot do",
			 where);
		return;
	}
	d->bind = r->bind ? image_string(img, r->bind) : NULL;
	d->fuse = r->fuse ? image_string(img, r->fuse) : NULL;
	denied = built_in_deny(f, r, d->ops);
	if (!denied && !override_is_limited(r))
		denied = "it states no limits for what is performed";
	if (r->do_ == WARDER_DO_HANDLER && !f->granted) {
		d->action = OVERRIDE_ASK;
		d->handler = image_string(img, r->handler);
		d->may_perform = !denied;
		d->value = (int)r->value;
		snprintf(d->reason, sizeof(d->reason), "rule %s leaves it to %.63s", where, d->handler);
		return;
	}
	if (denied) {
		snprintf(d->reason, sizeof(d->reason), "rule %s matches, but %s", where, denied);
		return;
	}
	d->action = OVERRIDE_PERFORM;
	d->view = d->ops == WARDER_MNT_NEW && executor_is_view(f->fstype) ? (int)f->view : 0;
	/* Made with the host's rights: set-user-ID files and device nodes never count on it. */
	d->attr = override_mount_attr(f->flags | r->force | MS_NOSUID | MS_NODEV);
	if (d->ops == WARDER_MNT_REMOUNT)
		d->attr_clear = override_remount_clear(f, d->attr);
	snprintf(d->reason, sizeof(d->reason), "rule %s allows it", where);
}

/* The mount rule that denies the call at name `name` (NULL: none) in profile `pr`, of whichever policy
 * and in audit mode too; 0: none. */
static __u32 mount_denied(const struct warder_image *img, __u32 pr, struct warder_mount_request m,
			  const struct override_facts *f, const char *name)
{
	struct warder_text text = { 0 };
	struct warder_verdict v;

	m.targets = m.sources = 0;
	m.source_known = f->from || (m.op == WARDER_MNT_NEW && f->source);
	if (m.source_known) {
		const char *source = f->from ? f->from : f->source;

		if (strlen(source) < WARDER_TEXT_SIZE) {
			strcpy(text.b, source);
			m.sources = warder_target_set(img, pr, &text, WARDER_START_MOUNT_SOURCE, 0,
						      (__u32)strlen(source));
			memset(&text, 0, sizeof(text));
		}
	}
	/* Of a call that is only reported nobody has looked at the target. */
	m.unnamed = !name && !f->unresolved && !f->open;
	if (name && strlen(name) < WARDER_TEXT_SIZE) {
		strcpy(text.b, name);
		m.targets = warder_target_set(img, pr, &text, WARDER_START_MOUNT_TARGET, 0,
					      (__u32)strlen(name));
	}
	for (; pr; pr = warder_layer_next(img, pr)) {
		warder_layer_mount(img, pr, &m, &v);
		if (v.action != WARDER_ALLOW && v.why == WARDER_WHY_RULE)
			return v.rule;
	}
	return 0;
}

/*
 * The rule that denies the call in profile `pr`: those on mounts, and for what is no mount those
 * on its object. The kernel asks for its capability before it asks them, and a path may lead
 * elsewhere by now than when it asked. 0: none, -1: a class default.
 */
static int call_denied(const struct warder_image *img, __u32 pr, const struct override_facts *f,
		       const struct warder_mount_request *m)
{
	const char *names[] = { f->target, f->object, m->op == WARDER_MNT_BIND ? NULL : f->from };

	if (!m->op)
		return f->unresolved ? 0 : override_object_denied(img, pr, f);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		__u32 rule = !i || names[i] ? mount_denied(img, pr, *m, f, names[i]) : 0;

		if (rule)
			return (int)rule;
	}
	if (f->layers && !f->unresolved && !f->open)
		return override_layers_denied(img, pr, f);
	/* What reads the image for the container is no program of the container's. */
	return m->op == WARDER_MNT_NEW && f->file && !f->unresolved ?
		       override_file_denied(img, pr, f->file, WARDER_ACC_READ) : 0;
}

/* The same in every profile but the top one that override rule `i` is for: which one the caller is
 * in is known only when the override names it. */
static int profile_denies(const struct warder_image *img, unsigned i,
			  const struct override_facts *f, const struct warder_mount_request *m)
{
	int denied = 0;

	for (__u32 k = 1; k < img->h.profile.count && denied <= 0; k++) {
		int one = by_profile(img, i, k) ?
				  call_denied(img, warder_profile_at(img, k), f, m) : 0;

		denied = one ? one : denied;
	}
	return denied;
}

/* The caller's errno stands because the policy itself refuses the call. */
static void decide_denied(const struct warder_image *img, int denied, __u32 layers,
			  struct override_decision *d)
{
	char where[96];

	if (denied > 0) {
		d->near_rule = (__u32)denied;
		snprintf(d->reason, sizeof(d->reason),
			 "rule %s denies this, and an explicit deny is never overridden",
			 image_rule_where(img, (__u32)denied, where, sizeof(where)));
		return;
	}
	snprintf(d->reason, sizeof(d->reason), layers ?
		 "the policy's file rules say something else of what is below a layer than of the target" :
		 "the policy's file rules do not allow it there");
}

static __u64 name_set(const struct warder_image *img, const char *name, __u32 start)
{
	struct warder_text text = { 0 };
	size_t len = name ? strlen(name) : WARDER_TEXT_SIZE;

	if (len >= WARDER_TEXT_SIZE)
		return 0;
	memcpy(text.b, name, len);
	return warder_target_set(img, warder_profile_at(img, 0), &text, start, 0, (__u32)len);
}

/* The rules that allow every layer. */
static __u64 layer_set(const struct warder_image *img, const struct override_facts *f)
{
	__u64 set = f->layers ? ~0ull : 0;

	for (__u32 i = 0; i < f->layers && i < EXECUTOR_LAYERS_MAX; i++)
		set &= name_set(img, f->layer[i], WARDER_START_OVERRIDE_SOURCE);
	return set;
}

/* Does a policy of a stack refuse what another overrides? The first rule that matches is each
 * policy's word. Which rule decides of the first matches, by layer, -1: none. */
static int match_choose(const struct warder_image *img, const int match[WARDER_LAYERS_MAX])
{
	int chosen = -1;

	for (unsigned i = WARDER_LAYERS_MAX; i-- > 0;)
		if (match[i] >= 0)
			chosen = match[i];
	for (unsigned i = 0; i < WARDER_LAYERS_MAX; i++)
		if (match[i] >= 0 &&
		    override_rule_at(img, (unsigned)match[i])->do_ == WARDER_DO_DENY)
			return match[i];
	return chosen;
}

/* May whoever rule `i` is for not write the image file in the container? Then its mount is read-only. */
static int image_is_protected(const struct warder_image *img, unsigned i, const struct override_facts *f)
{
	for (__u32 k = 0; k < img->h.profile.count; k++)
		if ((!k || by_profile(img, i, k)) &&
		    override_file_denied(img, warder_profile_at(img, k), f->file, WARDER_ACC_WRITE))
			return 1;
	return 0;
}

/* Rule `i` decides. */
static void decide_by_rule(const struct warder_image *img, unsigned i,
			   const struct override_facts *f, const struct warder_mount_request *m,
			   int by_default, struct override_decision *ret)
{
	const struct warder_override *r = override_rule_at(img, i);
	int denied = profile_denies(img, i, f, m);

	if (denied > 0) {
		decide_denied(img, denied, f->layers, ret);
		return;
	}
	if (r->by_profile != WARDER_BY_ANY_PROFILE && r->by_profile)
		by_default = 0;
	ret->rule_index = (int)i;
	ret->reported = 0;
	decide_match(img, f, r, ret);
	/* Nothing is given to anybody by the other answers. */
	if (ret->action == OVERRIDE_PERFORM && (denied || by_default)) {
		ret->action = OVERRIDE_KEEP;
		decide_denied(img, -1, f->layers, ret);
	}
	if (denied || by_default)
		ret->may_perform = 0;
	if (ret->fuse && f->file && image_is_protected(img, i, f))
		ret->attr |= MOUNT_ATTR_RDONLY;
}

/* The first rule that matches decides; else the one that came nearest is told. */
static void decide_rules(const struct warder_image *img, const struct override_facts *f,
			 const struct warder_override_request *req,
			 const struct warder_mount_request *m, int by_default,
			 struct override_decision *ret)
{
	const struct name_sets sets = {
		.targets = name_set(img, f->target, WARDER_START_OVERRIDE_TARGET),
		.sources = name_set(img, f->from, WARDER_START_OVERRIDE_SOURCE),
		.files = name_set(img, f->file, WARDER_START_OVERRIDE_SOURCE),
		.layers = layer_set(img, f),
	};
	int match[WARDER_LAYERS_MAX] = { -1, -1, -1, -1 }, chosen;
	char why[192] = "", near_why[192] = "", where[96];
	enum near nearest = NEAR_OP;
	int near_index = -1;

	for (unsigned i = 0; i < WARDER_OVERRIDES_MAX && i < img->h.override_.count; i++) {
		int *first = &match[override_rule_at(img, i)->layer % WARDER_LAYERS_MAX];
		enum near n;

		if (*first >= 0)
			continue;
		n = rule_try(img, i, f, *req, &sets, ret->options, sizeof(ret->options), why,
			     sizeof(why));
		if (n == NEAR_MATCH) {
			*first = (int)i;
			continue;
		}
		ret->reported |= n == NEAR_REPORT;
		if (near_index < 0 || n > nearest) {
			nearest = n;
			near_index = (int)i;
			memcpy(near_why, why, sizeof(near_why));
		}
	}
	chosen = match_choose(img, match);
	if (chosen >= 0) {
		/* Rules of other policies were tried since: its options once more. */
		rule_try(img, (unsigned)chosen, f, *req, &sets, ret->options, sizeof(ret->options),
			 why, sizeof(why));
		decide_by_rule(img, (unsigned)chosen, f, m, by_default, ret);
		return;
	}
	if (near_index < 0) {
		snprintf(ret->reason, sizeof(ret->reason), "the policy has no override rules");
		return;
	}
	ret->near_rule = override_rule_at(img, (unsigned)near_index)->rule;
	snprintf(ret->reason, sizeof(ret->reason), "rule %s %s",
		 image_rule_where(img, ret->near_rule, where, sizeof(where)), near_why);
}

void override_decide(const struct warder_image *img, const struct override_facts *facts,
		     struct override_decision *ret)
{
	struct warder_override_request req = { .op = facts->op, .ops = WARDER_OVERRIDE_CALL };
	struct warder_mount_request m = { .flags = facts->flags };
	int denied;

	memset(ret, 0, sizeof(*ret));
	ret->rule_index = -1;
	if (facts->op == WARDER_OP_MOUNT) {
		m.op = req.ops = ret->ops = warder_mount_op(facts->flags);
		mount_request_type(facts->fstype, ret->ops, &req.type);
		m.type = req.type;
	} else if (facts->op == WARDER_OP_UMOUNT) {
		m.op = WARDER_MNT_UMOUNT;
	}
	/* What the policy refuses by name stays refused, in audit mode too. */
	denied = call_denied(img, warder_profile_at(img, 0), facts, &m);
	if (denied > 0)
		decide_denied(img, denied, facts->layers, ret);
	else
		decide_rules(img, facts, &req, &m, denied < 0, ret);
}
