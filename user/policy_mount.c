// SPDX-License-Identifier: LGPL-2.1-or-later
/* Mount rules, and what override rules on mounts share with them. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "cleanup.h"
#include "policy_internal.h"

/* Operations that have a file-system type, and those that have a source. */
#define OPS_WITH_TYPE (WARDER_MNT_NEW | WARDER_MNT_ATTACH)
#define OPS_WITH_SOURCE                                                                            \
	(WARDER_MNT_NEW | WARDER_MNT_BIND | WARDER_MNT_MOVE | WARDER_MNT_ATTACH)

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

static void read_type(struct parser *ps, struct node *n, void *arg)
{
	struct fstypes *t = arg;

	if (t->count == WARDER_MOUNT_RULES_MAX)
		parser_error(ps, n, "type: more than %d in one rule", WARDER_MOUNT_RULES_MAX);
	else if (parse_fstype(ps, n, t->type[t->count]))
		t->count++;
}

void parse_fstypes(struct parser *ps, struct node *n, struct fstypes *ret)
{
	each_scalar(ps, n, "type", read_type, ret);
}

bool mount_conditions_cover(uint32_t require, uint32_t forbid, const char *type, uint32_t require2,
			    uint32_t forbid2, const char *type2)
{
	return !(require & ~require2) && !(forbid & ~forbid2) && (!type[0] || !strcmp(type, type2));
}

/* ------------------------------------------------------------------- mount */

static const struct key mount_keys[] = {
	{ "allow", false },  { "deny", false },	    { "type", false },	{ "target", false },
	{ "source", false }, { "flags", false },    { "errno", false }, { "audit", false },
	{ "id", false },     { "optional", false }, { NULL, false }
};

void parse_mount(struct parser *ps, struct node *n)
{
	struct policy *p = ps->p;
	struct policy_mount m = { .targets = "", .sources = "" };
	struct rule_head head;
	struct fstypes types = { .count = 0 };
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
		parse_fstypes(ps, type, &types);
	else
		types.count = 1;
	if (type && (m.m.ops & ~OPS_WITH_TYPE))
		parser_error(ps, type,
			     "type: only mount and attach have one; give the other "
			     "operations a rule of their own");
	if (flags && parse_flags(ps, flags, &m.m.require, &m.m.forbid) &&
	    (m.m.ops & ~POLICY_OPS_WITH_FLAGS))
		parser_error(ps, flags,
			     "flags: only mount, bind, remount and propagation have "
			     "them; give the other operations a rule of their own");
	if (source && (m.m.ops & ~OPS_WITH_SOURCE))
		parser_error(ps, source,
			     "source: only mount, bind, move and attach have one; give the other "
			     "operations a rule of their own");
	else if (source && (m.m.ops & (WARDER_MNT_BIND | WARDER_MNT_MOVE)))
		parser_warning(ps, source,
			       head.rule.deny ?
				       "source: every bind and move by mount(2) is denied by such a "
				       "rule: the kernel resolves its source after asking" :
				       "source: no bind by mount(2), and no move, is allowed by a rule "
				       "with a source: the kernel resolves it after asking; an override "
				       "rule with source: can offer it");
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
}
