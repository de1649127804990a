// SPDX-License-Identifier: LGPL-2.1-or-later
/* Mount rules and override rules. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "cleanup.h"
#include "policy_internal.h"

#define DEADLINE_DEFAULT_MS 2000
#define DEADLINE_MAX_MS 60000
#define RATE_MAX 10000
#define FORCE_FLAGS (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)

/* Operations that have a file-system type, and those that have MS_* flags. */
#define OPS_WITH_TYPE (WARDER_MNT_NEW | WARDER_MNT_ATTACH)
#define OPS_WITH_SOURCE                                                                            \
	(WARDER_MNT_NEW | WARDER_MNT_BIND | WARDER_MNT_MOVE | WARDER_MNT_ATTACH)
#define OPS_WITH_FLAGS                                                                             \
	(WARDER_MNT_NEW | WARDER_MNT_BIND | WARDER_MNT_REMOUNT | WARDER_MNT_PROPAGATION)

bool parse_fstype(struct parser *ps, const struct node *n, char ret[WARDER_FSTYPE_SIZE])
{
	const char *type = expect_string(ps, n, "type");
	char buf[SHOWN_SIZE];

	if (!type)
		return false;
	if (n->len >= WARDER_FSTYPE_SIZE ||
	    strspn(type, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") !=
		    n->len) {
		parser_error(ps, n,
			     "type: expected a file-system type like tmpfs (up to %d "
			     "letters, digits, '.', '_' or '-'), found %s",
			     WARDER_FSTYPE_SIZE - 1, node_shown(n, buf));
		return false;
	}
	/* The kernel takes fuse.sshfs for fuse, and so does the engine. */
	if (strchr(type, '.')) {
		parser_error(ps, n,
			     "type: the kernel knows a type by what stands before the first "
			     "'.': write %.*s",
			     (int)strcspn(type, "."), type);
		return false;
	}
	memset(ret, 0, WARDER_FSTYPE_SIZE);
	memcpy(ret, type, n->len);
	return true;
}

static void read_flag(struct parser *ps, struct node *n, void *arg)
{
	uint32_t *flags = arg;
	char buf[SHOWN_SIZE];
	__u32 flag;

	if (mount_flag_from_name(n->text, &flag))
		parser_error(ps, n,
			     "flags: no mount flag is called %s (ro, nosuid, nodev, noexec, "
			     "noatime, rec, ...)",
			     node_shown(n, buf));
	else
		*flags |= flag;
}

static const struct key flags_keys[] = { { "require", false },
					 { "forbid", false },
					 { NULL, false } };

bool parse_flags(struct parser *ps, const struct node *n, uint32_t *ret_require,
		 uint32_t *ret_forbid)
{
	struct node *require, *forbid;

	if (!check_keys(ps, n, "flags", flags_keys))
		return false;
	require = map_get(n, "require");
	forbid = map_get(n, "forbid");
	if (require)
		each_scalar(ps, require, "flags.require", read_flag, ret_require);
	if (forbid)
		each_scalar(ps, forbid, "flags.forbid", read_flag, ret_forbid);
	if (*ret_require & *ret_forbid)
		parser_error(ps, n,
			     "flags: a flag is both required and forbidden, so the rule can "
			     "never match");
	return true;
}

static void read_op(struct parser *ps, struct node *n, void *arg)
{
	uint32_t *ops = arg;
	char buf[SHOWN_SIZE];
	__u32 bit;

	if (node_is(n, "*"))
		*ops |= (1u << WARDER_MNT_BITS) - 1;
	else if (mount_op_from_name(n->text, &bit))
		parser_error(ps, n,
			     "mount: no operation is called %s; known: mount, bind, remount, "
			     "move, propagation, umount, pivot_root, attach, \"*\"",
			     node_shown(n, buf));
	else
		*ops |= bit;
}

/* A word or a list of them as an array of at most `max` types; 0 types after an error. */
struct types {
	char type[WARDER_MOUNT_RULES_MAX][WARDER_FSTYPE_SIZE];
	size_t count;
};

static void read_type(struct parser *ps, struct node *n, void *arg)
{
	struct types *t = arg;

	if (t->count == WARDER_MOUNT_RULES_MAX)
		parser_error(ps, n, "type: more than %d in one rule", WARDER_MOUNT_RULES_MAX);
	else if (parse_fstype(ps, n, t->type[t->count]))
		t->count++;
}

/* Does an earlier entry match whatever a later one matches? Targets: only equal texts are
 * known to be equal. */
static bool conditions_cover(uint32_t require, uint32_t forbid, const char *type, bool any_target,
			     const char *targets, uint32_t require2, uint32_t forbid2,
			     const char *type2, bool any_target2, const char *targets2)
{
	if ((require & ~require2) || (forbid & ~forbid2))
		return false;
	if (type[0] && strcmp(type, type2))
		return false;
	return any_target || (!any_target2 && !strcmp(targets, targets2));
}

/* ------------------------------------------------------------------- mount */

static const struct key mount_keys[] = {
	{ "allow", false },  { "deny", false },	    { "type", false },	{ "target", false },
	{ "source", false }, { "flags", false },    { "errno", false }, { "audit", false },
	{ "id", false },     { "optional", false }, { NULL, false }
};

static void check_mount_shadow(struct parser *ps, const struct node *n, size_t first)
{
	struct policy *p = ps->p;

	for (size_t i = 0; i < first; i++) {
		const struct policy_mount *a = &p->mount[i];
		const struct policy_rule *r = &p->rule[a->m.rule - 1];
		bool all = true;

		for (size_t k = first; k < p->mounts; k++) {
			const struct policy_mount *b = &p->mount[k];

			/* A rule decides in its own profile only, a deny of the top in all. */
			all &= r->in == ps->profile || (!r->in && r->deny);
			/* An allow does not take anything from a deny. */
			all &= (a->m.deny || !b->m.deny) && !(b->m.ops & ~a->m.ops) &&
			       conditions_cover(a->m.require, a->m.forbid, a->m.type,
						a->m.any_target, a->targets, b->m.require,
						b->m.forbid, b->m.type, b->m.any_target,
						b->targets) &&
			       (a->m.any_source ||
				(!b->m.any_source && !strcmp(a->sources, b->sources)));
		}
		if (all && !ps->included) {
			parser_error(ps, n,
				     "mount: this rule can never decide anything: the rule "
				     "at %s:%u matches all that it matches",
				     r->file, r->line);
			return;
		}
	}
}

void parse_mount(struct parser *ps, struct node *n)
{
	struct policy *p = ps->p;
	struct policy_mount m = { .targets = "", .sources = "" };
	struct rule_head head;
	struct types types = { .count = 0 };
	struct node *type, *target, *flags, *source;
	size_t first = p->mounts;
	uint32_t index;
	uint64_t set = 0;

	if (!check_keys(ps, n, "mount rule", mount_keys))
		return;
	parse_rule_head(ps, n, WARDER_CLASS_MOUNT, EPERM, &head);
	type = map_get(n, "type");
	target = map_get(n, "target");
	flags = map_get(n, "flags");
	source = map_get(n, "source");
	if (head.what)
		each_scalar(ps, head.what, "mount", read_op, &m.m.ops);
	if (type)
		each_scalar(ps, type, "type", read_type, &types);
	else
		types.count = 1;
	if (type && (m.m.ops & ~OPS_WITH_TYPE))
		parser_error(ps, type,
			     "type: only mount and attach have one; give the other "
			     "operations a rule of their own");
	if (flags && parse_flags(ps, flags, &m.m.require, &m.m.forbid) &&
	    (m.m.ops & ~OPS_WITH_FLAGS))
		parser_error(ps, flags,
			     "flags: only mount, bind, remount and propagation have "
			     "them; give the other operations a rule of their own");
	if (source && (m.m.ops & ~OPS_WITH_SOURCE))
		parser_error(ps, source,
			     "source: only mount, bind, move and attach have one; give the other "
			     "operations a rule of their own");
	else if (source && (m.m.ops & WARDER_MNT_BIND) && !head.rule.deny)
		parser_warning(ps, source,
			       "source: no bind by mount(2) is allowed by a rule with a source: the "
			       "kernel resolves it after asking; an override rule with bind: can "
			       "offer it");
	if (parser_add_rule(ps, &head.rule, &index))
		return;
	m.m.rule = (uint16_t)(index + 1);
	m.m.deny = head.rule.deny;
	m.m.err = head.rule.err;
	m.m.audit = head.rule.audit;
	m.m.any_target = !target;
	m.m.any_source = !source;
	if (p->mounts + types.count > WARDER_MOUNT_RULES_MAX) {
		parser_error(ps, n, "mount: more than %d rules (each type counts)",
			     WARDER_MOUNT_RULES_MAX);
		return;
	}
	for (size_t i = 0; i < types.count; i++) {
		memcpy(m.m.type, types.type[i], sizeof(m.m.type));
		set |= 1ull << p->mounts;
		p->mount[p->mounts++] = m;
	}
	if (target) {
		parser_add_patterns(ps, target, "target", index, WARDER_START_MOUNT_TARGET, set,
				    &m.targets);
		for (size_t i = first; i < p->mounts; i++)
			p->mount[i].targets = m.targets;
	}
	if (source) {
		parser_add_patterns(ps, source, "source", index, WARDER_START_MOUNT_SOURCE, set,
				    &m.sources);
		for (size_t i = first; i < p->mounts; i++)
			p->mount[i].sources = m.sources;
	}
	if (types.count)
		check_mount_shadow(ps, n, first);
}

/* ---------------------------------------------------------------- override */

static const struct key override_keys[] = { { "on", true },	   { "type", false },
					    { "target", false },   { "bind", false },
					    { "source", false },   { "flags", false },
					    { "options", false },  { "by", false },
					    { "do", true },	   { "value", false },
					    { "errno", false },	   { "force", false },
					    { "late", false },	   { "cause", false },
					    { "deadline", false }, { "rate", false },
					    { "fallback", false }, { "way", false },
					    { "id", false },	   { "optional", false },
					    { "audit", false },	   { "trusted_image", false },
					    { "fuse", false },	   { "name", false },
					    { "node", false },	   { "priority", false },
					    { NULL, false } };

/* Keys of the language that say something this version cannot do. */
static const char *const override_later[] = { "source", "trusted_image", "fuse",
					      "name",	"node",		 "priority" };

/* The kernel parses what is on these devices or images: hostile bytes reach it. */
static const char *const image_types[] = { "ext2",  "ext3", "ext4", "xfs",   "erofs",	"squashfs",
					   "btrfs", "f2fs", "vfat", "ntfs3", "iso9660", "udf" };

static void read_option(struct parser *ps, const struct node *k, const struct node *v,
			struct policy_override *o)
{
	struct warder_option *op = &o->o.option[o->o.options];
	char buf[SHOWN_SIZE];
	uint64_t bound;

	if (o->o.options == WARDER_OPTIONS_MAX) {
		parser_error(ps, k, "options: more than %d", WARDER_OPTIONS_MAX);
		return;
	}
	if (!k->len || k->len >= WARDER_OPTION_SIZE || strpbrk(k->text, ",= ")) {
		parser_error(ps, k,
			     "options: expected the name of a mount option of at most %d "
			     "bytes, found %s",
			     WARDER_OPTION_SIZE - 1, node_shown(k, buf));
		return;
	}
	if (v->type != NODE_SCALAR || !v->len || strchr(v->text, ',')) {
		parser_error(ps, v,
			     "options: expected \"<=SIZE\", \"*\" or the exact value, found "
			     "%s",
			     node_shown(v, buf));
		return;
	}
	memcpy(op->name, k->text, k->len);
	if (!strcmp(v->text, "*")) {
		op->compare = WARDER_CMP_ANY;
	} else if (!strncmp(v->text, "<=", 2)) {
		const char *number = v->text + 2;

		while (*number == ' ')
			number++;
		if (!parse_size(number, &bound)) {
			parser_error(ps, v,
				     "options: expected a size after <= (4096, 64M, 1G), "
				     "found %s",
				     node_shown(v, buf));
			return;
		}
		op->compare = WARDER_CMP_LE;
		op->bound = bound;
	} else if (strpbrk(v->text, "<>*?")) {
		parser_error(ps, v,
			     "options: expected \"<=SIZE\", \"*\" or the exact value, found "
			     "%s",
			     node_shown(v, buf));
		return;
	} else {
		op->compare = WARDER_CMP_EQ;
		o->option_text[o->o.options] = v->text;
	}
	o->o.options++;
}

static const struct key by_keys[] = {
	{ "uid", false }, { "userns", false }, { "profile", false }, { NULL, false }
};

static void read_userns(struct parser *ps, struct node *n, void *arg)
{
	static const char *const words[] = { "container", "nested", NULL };
	uint32_t *mask = arg;
	int word = expect_word(ps, n, "by.userns", words);

	if (word >= 0)
		*mask |= word ? WARDER_BY_USERNS_NESTED : WARDER_BY_USERNS_CONTAINER;
}

static void parse_by_profile(struct parser *ps, struct node *n, struct warder_override *o)
{
	char buf[SHOWN_SIZE];

	if (node_is(n, "any")) {
		o->by_profile = WARDER_BY_ANY_PROFILE;
		return;
	}
	for (size_t k = 1; k < ps->p->profiles; k++)
		if (node_is(n, ps->p->profile[k].name)) {
			o->by_profile = (uint32_t)k;
			return;
		}
	parser_error(ps, n, "by.profile: expected any or a name out of `profiles:`, found %s",
		     node_shown(n, buf));
}

static void parse_by(struct parser *ps, struct node *n, struct warder_override *o)
{
	struct node *v;
	uint64_t uid;

	if (!check_keys(ps, n, "by", by_keys))
		return;
	v = map_get(n, "uid");
	if (v && node_is(v, "any"))
		o->by_uid = WARDER_BY_ANY_UID;
	else if (v && expect_number(ps, v, "by.uid (or any)", 0, UINT32_MAX - 1, &uid))
		o->by_uid = (uint32_t)uid;
	v = map_get(n, "userns");
	if (v) {
		o->by_userns = 0;
		each_scalar(ps, v, "by.userns", read_userns, &o->by_userns);
	}
	v = map_get(n, "profile");
	if (v)
		parse_by_profile(ps, v, o);
}

static void parse_bind(struct parser *ps, struct node *n, struct policy_override *o)
{
	const char *path = expect_string(ps, n, "bind");
	char buf[SHOWN_SIZE];
	bool bad;

	if (!path)
		return;
	bad = path[0] != '/' || n->len >= WARDER_PATH_MAX ||
	      (n->len > 1 && path[n->len - 1] == '/');
	for (const char *p = path; !bad && *p; p++) {
		size_t len;

		if (*p != '/')
			continue;
		len = strcspn(p + 1, "/");
		bad = (!len && p[1]) || (len == 1 && p[1] == '.') ||
		      (len == 2 && p[1] == '.' && p[2] == '.');
	}
	if (bad)
		parser_error(ps, n,
			     "bind: expected an absolute host path without '//', '.', '..' or "
			     "a '/' at its end, found %s",
			     node_shown(n, buf));
	else
		o->bind = path;
}

static void parse_do(struct parser *ps, struct node *n, bool optional, bool *ret_skip,
		     struct warder_override *o)
{
	static const char *const words[] = { "perform", "fake", "deny", NULL };
	struct node *v = map_get(n, "do"), *value = map_get(n, "value"), *err = map_get(n, "errno");
	uint64_t number;
	uint8_t e;
	int word;

	if (!v)
		return;
	if (node_is(v, "ask") || node_is(v, "continue") ||
	    (v->type == NODE_SCALAR && !strncmp(v->text, "handler:", 8))) {
		refuse_word(ps, v, optional, "do: %s", v->text);
		*ret_skip = true;
		return;
	}
	word = expect_word(ps, v, "do", words);
	if (word < 0)
		return;
	o->do_ = (uint32_t)word;
	if (value && word != WARDER_DO_FAKE)
		parser_error(ps, value, "value: only do: fake has one");
	else if (value && expect_number(ps, value, "value", 0, INT_MAX, &number))
		o->value = (uint32_t)number;
	if (err && word != WARDER_DO_DENY)
		parser_error(ps, err, "errno: only do: deny has one");
	else if (word == WARDER_DO_DENY)
		o->value = err && !parse_errno(ps, err, &e) ? e : EPERM;
}

static void read_force(struct parser *ps, struct node *n, void *arg)
{
	uint32_t *force = arg;
	char buf[SHOWN_SIZE];
	__u32 flag;

	if (mount_flag_from_name(n->text, &flag) || !(flag & FORCE_FLAGS))
		parser_error(ps, n, "force: expected ro, nosuid, nodev or noexec, found %s",
			     node_shown(n, buf));
	else
		*force |= flag;
}

static void parse_rate(struct parser *ps, struct node *n, struct warder_override *o)
{
	const char *text = n->type == NODE_SCALAR ? n->text : "";
	size_t digits = strspn(text, "0123456789");
	char buf[SHOWN_SIZE];
	unsigned long rate = digits && digits < 6 ? strtoul(text, NULL, 10) : 0;

	if (strcmp(text + digits, "/s") || !rate || rate > RATE_MAX)
		parser_error(ps, n, "rate: expected N/s with N from 1 to %d, found %s", RATE_MAX,
			     node_shown(n, buf));
	else
		o->rate = (uint32_t)rate;
}

/* The keys that say when and how, whatever the operation. */
static void parse_manner(struct parser *ps, struct node *n, bool optional, bool *ret_skip,
			 struct warder_override *o)
{
	static const char *const lates[] = { "errno", "stop", NULL };
	static const char *const causes[] = { "capability", "lsm", "any", NULL };
	static const char *const ways[] = { "handoff", "notify", NULL };
	struct node *v = map_get(n, "late");
	uint64_t ms;
	int word;

	if (v) {
		word = expect_word(ps, v, "late", lates);
		o->late = word == 1 ? WARDER_LATE_STOP : WARDER_LATE_ERRNO;
	}
	o->cause = WARDER_CAUSE_CAPABILITY;
	v = map_get(n, "cause");
	if (v) {
		word = expect_word(ps, v, "cause", causes);
		if (word == 1)
			o->cause = WARDER_CAUSE_LSM;
		else if (word == 2)
			o->cause = WARDER_CAUSE_CAPABILITY | WARDER_CAUSE_LSM;
	}
	o->deadline_ms = DEADLINE_DEFAULT_MS;
	v = map_get(n, "deadline");
	if (v && expect_duration(ps, v, "deadline", DEADLINE_MAX_MS, &ms))
		o->deadline_ms = (uint32_t)ms;
	v = map_get(n, "rate");
	if (v)
		parse_rate(ps, v, o);
	v = map_get(n, "fallback");
	if (v && !node_is(v, "errno")) {
		refuse_word(ps, v, optional, "a fallback other than errno");
		*ret_skip = true;
	}
	v = map_get(n, "way");
	if (v) {
		word = expect_word(ps, v, "way", ways);
		if (word == 1) {
			refuse_word(ps, v, optional, "way: notify");
			*ret_skip = true;
		}
	}
}

static void check_override_shadow(struct parser *ps, const struct node *n, size_t first)
{
	struct policy *p = ps->p;
	const struct policy_override *b = &p->override[first];

	for (size_t i = 0; i < first; i++) {
		const struct policy_override *a = &p->override[i];
		const struct policy_rule *r = &p->rule[a->o.rule - 1];

		/* A rule with options matches fewer calls than one without or with others. */
		if (a->o.ops != b->o.ops || a->o.options ||
		    (a->o.cause & b->o.cause) != b->o.cause ||
		    (a->o.by_userns & b->o.by_userns) != b->o.by_userns ||
		    (a->o.by_uid != WARDER_BY_ANY_UID && a->o.by_uid != b->o.by_uid) ||
		    (a->o.by_profile != WARDER_BY_ANY_PROFILE &&
		     a->o.by_profile != b->o.by_profile) ||
		    strcmp(a->bind ? a->bind : "", b->bind ? b->bind : "") || a->o.rate ||
		    p->overrides - first != 1)
			continue;
		/* Without options in the first, none may be asked for: then b needs none too. */
		if (b->o.options)
			continue;
		if (conditions_cover(a->o.require, a->o.forbid, a->o.type, a->o.any_target,
				     a->targets, b->o.require, b->o.forbid, b->o.type,
				     b->o.any_target, b->targets)) {
			parser_error(ps, n,
				     "override: this rule is never reached: the rule at "
				     "%s:%u matches all that it matches",
				     r->file, r->line);
			return;
		}
	}
}

static void check_types(struct parser *ps, const struct node *at, const struct types *t,
			uint32_t do_)
{
	for (size_t i = 0; do_ == WARDER_DO_PERFORM && i < t->count; i++)
		for (size_t k = 0; k < ARRAY_SIZE(image_types); k++)
			if (!strcmp(t->type[i], image_types[k]))
				parser_error(ps, at,
					     "type: %s would have the kernel parse an "
					     "untrusted image; this version of warder performs no "
					     "such mount",
					     t->type[i]);
}

static bool parse_on(struct parser *ps, struct node *n, bool optional)
{
	static const char *const later[] = { "umount",	      "mknod",
					     "setxattr",      "sethostname",
					     "setdomainname", "sched_setscheduler",
					     "setpriority",   "pivot_root",
					     "move_mount",    "fsopen",
					     "fsmount",	      "open_tree",
					     "mount_setattr", NULL };
	char buf[SHOWN_SIZE];

	if (node_is(n, "mount"))
		return true;
	for (size_t i = 0; later[i]; i++)
		if (node_is(n, later[i])) {
			refuse_word(ps, n, optional, "an override of %s", n->text);
			return false;
		}
	parser_error(ps, n, "on: expected mount, found %s", node_shown(n, buf));
	return false;
}

void parse_override(struct parser *ps, struct node *n)
{
	struct policy *p = ps->p;
	struct policy_override o = { .targets = "" };
	struct policy_rule rule = { .file = ps->file,
				    .line = n->line,
				    .column = n->column,
				    .class_ = WARDER_CLASS_OVERRIDE };
	struct types types = { .count = 0 };
	struct node *v, *type, *target, *bind;
	bool optional, skip = false, audit = false;
	size_t first = p->overrides;
	uint32_t index;
	uint64_t set = 0;

	if (!check_keys(ps, n, "override rule", override_keys))
		return;
	optional = node_optional(ps, n);
	v = map_get(n, "on");
	if (!v || !parse_on(ps, v, optional))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(override_later); i++) {
		v = map_get(n, override_later[i]);
		if (v) {
			refuse_word(ps, v, optional, "the key %s of an override rule",
				    override_later[i]);
			return;
		}
	}
	v = map_get(n, "id");
	if (v)
		rule.id = parse_id(ps, v, "id");
	v = map_get(n, "audit"); /* every override is reported anyway */
	if (v)
		expect_bool(ps, v, "audit", &audit);
	type = map_get(n, "type");
	bind = map_get(n, "bind");
	target = map_get(n, "target");
	if (type && bind)
		parser_error(ps, n,
			     "override: a rule speaks of a new file system (type) or of a "
			     "host path (bind), not of both");
	else if (!type && !bind)
		parser_error(ps, n,
			     "override: a rule on mount needs type (a new file system) or "
			     "bind (a host path)");
	o.o.op = WARDER_OP_MOUNT;
	o.o.ops = bind ? WARDER_MNT_BIND : WARDER_MNT_NEW;
	o.o.force = bind ? 0 : MS_NOSUID | MS_NODEV;
	o.o.by_userns = WARDER_BY_USERNS_CONTAINER;
	o.o.any_target = !target;
	types.count = type ? 0 : 1;
	if (type)
		each_scalar(ps, type, "type", read_type, &types);
	if (bind)
		parse_bind(ps, bind, &o);
	v = map_get(n, "flags");
	if (v)
		parse_flags(ps, v, &o.o.require, &o.o.forbid);
	v = map_get(n, "options");
	if (v && expect_map(ps, v, "options"))
		for (size_t i = 0; i + 1 < v->count; i += 2)
			read_option(ps, v->item[i], v->item[i + 1], &o);
	v = map_get(n, "by");
	if (v)
		parse_by(ps, v, &o.o);
	v = map_get(n, "force");
	if (v) {
		o.o.force = 0;
		each_scalar(ps, v, "force", read_force, &o.o.force);
	}
	parse_do(ps, n, optional, &skip, &o.o);
	parse_manner(ps, n, optional, &skip, &o.o);
	if (type)
		check_types(ps, type, &types, o.o.do_);
	if (skip || parser_add_rule(ps, &rule, &index))
		return;
	o.o.rule = index + 1;
	if (p->overrides + types.count > WARDER_OVERRIDES_MAX) {
		parser_error(ps, n, "override: more than %d rules (each type counts)",
			     WARDER_OVERRIDES_MAX);
		return;
	}
	for (size_t i = 0; i < types.count; i++) {
		memcpy(o.o.type, types.type[i], sizeof(o.o.type));
		set |= 1ull << p->overrides;
		p->override[p->overrides++] = o;
	}
	if (target) {
		parser_add_patterns(ps, target, "target", index, WARDER_START_OVERRIDE_TARGET, set,
				    &o.targets);
		for (size_t i = first; i < p->overrides; i++)
			p->override[i].targets = o.targets;
	}
	if (p->overrides > first)
		check_override_shadow(ps, n, first);
}
