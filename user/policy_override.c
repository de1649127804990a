// SPDX-License-Identifier: LGPL-2.1-or-later
/* Override rules. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "calls.h"
#include "cleanup.h"
#include "override_internal.h"
#include "policy_internal.h"
#include "warder_decide.h"

#define DEADLINE_DEFAULT_MS 2000
#define DEADLINE_MAX_MS 60000
#define RATE_MAX 10000
#define FORCE_FLAGS (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)

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
					    { "image", false },	   { "server", false },
					    { "trusted_server", false },
					    { "fuse", false },	   { "name", false },
					    { "node", false },	   { "priority", false },
					    { NULL, false } };

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

/* `key`: bind or image. */
static void parse_bind(struct parser *ps, struct node *n, const char *key, struct policy_override *o)
{
	const char *path = expect_string(ps, n, key);
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
			     "%s: expected an absolute host path without '//', '.', '..' or "
			     "a '/' at its end, found %s",
			     key, node_shown(n, buf));
	else
		o->bind = path;
}

/* Types that are read from an image, and the options of each that may be passed on: none that names
 * another device or file, or that halts the host on damage. */
static const struct {
	const char *type, *what;
	struct known_option options[3];
} in_image[] = {
	{ "ext4", "ext4 in an image", { { "noload", false }, { "norecovery", false } } },
	{ "erofs", "erofs in an image", { { "noacl", false }, { "nouser_xattr", false } } },
	{ "squashfs", "squashfs in an image", { { NULL, false } } },
	{ "xfs", "xfs in an image", { { "norecovery", false } } },
};

void check_known_options(struct parser *ps, const struct node *options, const struct known_option *known,
			 const char *what, const char *also)
{
	char buf[SHOWN_SIZE];

	for (size_t i = 0; options && options->type == NODE_MAP && i + 1 < options->count; i += 2) {
		const struct node *k = options->item[i], *v = options->item[i + 1];
		const struct known_option *at = known;

		while (at->name && !node_is(k, at->name))
			at++;
		if (!at->name)
			parser_error(ps, k, "options: of %s, %s is not passed on%s", what, node_shown(k, buf), also);
		else if (at->exact && v->type == NODE_SCALAR &&
			 (node_is(v, "*") || !strncmp(v->text, "<=", 2)))
			parser_error(ps, v, "options: of %s, %s has one exact value", what, at->name);
	}
}

/* A file of the host's that the kernel reads, because the administrator says that it may. */
static void parse_image(struct parser *ps, struct node *n, const struct fstypes *types,
			struct policy_override *o)
{
	struct node *image = map_get(n, "image"), *trusted = map_get(n, "trusted_image");
	struct node *type = map_get(n, "type"), *options = map_get(n, "options");
	size_t known = 0;
	bool yes = false;

	if (trusted && !expect_bool(ps, trusted, "trusted_image", &yes))
		return;
	if (!image) {
		parser_error(ps, trusted,
			     "trusted_image: which is said by image: the host's file that it is in");
		return;
	}
	parse_bind(ps, image, "image", o);
	if (!yes)
		parser_error(ps, image,
			     "image: the kernel reads it with all its rights: say trusted_image: true if "
			     "nobody but this host's administrator has written it");
	while (known < ARRAY_SIZE(in_image) && strcmp(types->type[0], in_image[known].type))
		known++;
	if (!type || types->count != 1 || known == ARRAY_SIZE(in_image)) {
		parser_error(ps, type ? type : image, "image: needs one type: ext4, erofs, squashfs or xfs");
		return;
	}
	if (!map_get(n, "target"))
		parser_error(ps, n, "override: a rule with image needs target");
	check_known_options(ps, options, in_image[known].options, in_image[known].what, "");
}

/* do: handler:NAME, or ask, which is a handler of that name. */
static void parse_handler(struct parser *ps, struct node *v, struct policy_override *o)
{
	const char *name = node_is(v, WARDER_HANDLER_ASK) ? v->text : v->text + strlen("handler:");
	size_t len = strlen(name);
	char buf[SHOWN_SIZE];

	o->o.do_ = WARDER_DO_HANDLER;
	o->handler = name;
	if (!len || len >= WARDER_NAME_SIZE ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != len ||
	    (!strcmp(name, WARDER_HANDLER_ASK) && !node_is(v, WARDER_HANDLER_ASK)))
		parser_error(ps, v,
			     "do: expected handler:NAME of letters, digits, '.', '_' and '-' (up to %d; "
			     "not ask), found %s",
			     WARDER_NAME_SIZE - 1, node_shown(v, buf));
}

static void parse_do(struct parser *ps, struct node *n, bool optional, bool *ret_skip,
		     struct policy_override *po)
{
	struct warder_override *o = &po->o;
	static const char *const words[] = { "perform", "fake", "deny", "report", NULL };
	struct node *v = map_get(n, "do"), *value = map_get(n, "value"), *err = map_get(n, "errno");
	uint64_t number;
	uint8_t e;
	int word;

	if (!v)
		return;
	if (node_is(v, "continue")) {
		/* The call has been refused already: a second run of it would be another call. */
		refuse_word(ps, v, optional, "do: continue");
		*ret_skip = true;
		return;
	}
	if (node_is(v, WARDER_HANDLER_ASK) ||
	    (v->type == NODE_SCALAR && !strncmp(v->text, "handler:", 8))) {
		parse_handler(ps, v, po);
		word = WARDER_DO_HANDLER;
	} else {
		word = expect_word(ps, v, "do", words);
		if (word < 0)
			return;
		o->do_ = (uint32_t)word;
	}
	if (value && word != WARDER_DO_FAKE && !map_get(n, "name"))
		parser_error(ps, value, "value: only do: fake has one, and a rule on setxattr with a name");
	else if (value && word == WARDER_DO_FAKE && expect_number(ps, value, "value", 0, INT_MAX, &number))
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
static void parse_manner(struct parser *ps, struct node *n, struct warder_override *o)
{
	static const char *const lates[] = { "errno", "stop", NULL };
	static const char *const causes[] = { "capability", "lsm", "any", NULL };
	static const char *const ways[] = { "handoff", "notify", NULL };
	struct node *v = map_get(n, "late");
	uint64_t ms;
	uint8_t e;
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
	if (v && o->do_ != WARDER_DO_HANDLER)
		parser_error(ps, v, "fallback: only do: ask and do: handler:NAME can be left without an answer");
	else if (v && !node_is(v, "errno") && !parse_errno(ps, v, &e))
		o->value = e;
	v = map_get(n, "way");
	if (v) {
		word = expect_word(ps, v, "way", ways);
		o->way = word == 1 ? WARDER_WAY_NOTIFY : WARDER_WAY_HANDOFF;
	}
}

/* A rule with options matches fewer calls than one without or with others; a rate lets some by. */
bool override_covers(const struct policy_override *a, const struct policy_override *b)
{
	return a->o.op == b->o.op && a->o.ops == b->o.ops && !a->o.options && !b->o.options &&
	       a->o.do_ != WARDER_DO_REPORT && b->o.do_ != WARDER_DO_REPORT &&
	       !(b->o.cause & ~a->o.cause & ~WARDER_CAUSE_BASELINE) &&
	       (a->o.by_userns & b->o.by_userns) == b->o.by_userns &&
	       (!a->o.way || a->o.way == b->o.way) &&
	       (a->o.by_uid == WARDER_BY_ANY_UID || a->o.by_uid == b->o.by_uid) &&
	       (a->o.by_profile == WARDER_BY_ANY_PROFILE || a->o.by_profile == b->o.by_profile) &&
	       !strcmp(a->bind ? a->bind : "", b->bind ? b->bind : "") && !a->o.rate &&
	       !strcmp(a->fuse ? a->fuse : "", b->fuse ? b->fuse : "") &&
	       !strcmp(a->sources, b->sources) &&
	       mount_conditions_cover(a->o.require, a->o.forbid, a->o.type, b->o.require,
				      b->o.forbid, b->o.type);
}

static void check_types(struct parser *ps, const struct node *at, const struct fstypes *t,
			const struct node *options, uint32_t do_)
{
	for (size_t i = 0; options && i < t->count; i++)
		if (executor_is_view(t->type[i]))
			parser_error(ps, options,
				     "options: %s is the container's own at another place, which takes none: "
				     "give it a rule without options", t->type[i]);
	for (size_t i = 0; (do_ == WARDER_DO_PERFORM || do_ == WARDER_DO_HANDLER) && i < t->count; i++)
		for (size_t k = 0; k < ARRAY_SIZE(image_types); k++)
			if (!strcmp(t->type[i], image_types[k]))
				parser_error(ps, at,
					     "type: %s would have the kernel parse an "
					     "untrusted image; this version of warder performs no "
					     "such mount",
					     t->type[i]);
}

/* Operations of the language that handoff does not see. */
static const char *const on_later[] = { "move_mount", "fsopen",	       "fsmount",
					"open_tree",  "mount_setattr", NULL };

/* Those that `on:` names, bit WARDER_OP_*. */
struct on {
	uint64_t ops;
	uint32_t change; /* WARDER_MNT_*: a change of a mount, which is mount(2) as well */
	unsigned words;
	bool optional, skip;
};

static const struct {
	const char *word;
	uint32_t change;
} on_changes[] = { { "remount", WARDER_MNT_REMOUNT },
		   { "move", WARDER_MNT_MOVE },
		   { "propagation", WARDER_MNT_PROPAGATION } };

static void read_on(struct parser *ps, struct node *n, void *arg)
{
	struct on *on = arg;
	__u32 op = call_op_from_word(n->text);
	char buf[SHOWN_SIZE], words[512] = "";

	on->words++;
	for (size_t i = 0; i < ARRAY_SIZE(on_changes); i++)
		if (node_is(n, on_changes[i].word)) {
			on->ops |= 1ull << WARDER_OP_MOUNT;
			on->change = on_changes[i].change;
			return;
		}
	if (op) {
		if (on->ops >> op & 1)
			parser_error(ps, n, "on: %s is there twice", n->text);
		on->ops |= 1ull << op;
		return;
	}
	for (size_t i = 0; on_later[i]; i++)
		if (node_is(n, on_later[i])) {
			refuse_word(ps, n, on->optional, "an override of %s", n->text);
			on->skip = true;
			return;
		}
	for (op = WARDER_OP_NONE + 1; op < WARDER_OP__MAX; op++)
		snprintf(words + strlen(words), sizeof(words) - strlen(words), "%s%s",
			 *words ? ", " : "", call_op_word(op));
	parser_error(ps, n, "on: expected one of %s, remount, move, propagation; found %s", words,
		     node_shown(n, buf));
	on->skip = true;
}

/* Which keys a rule on other calls than mount(2) cannot have. */
static const char *const of_mounts[] = { "type",    "bind",  "flags", "options",	"force",
					 "source", "image", "trusted_image", "fuse", "server", "trusted_server" };
/* A report has no answer, so that nothing can be said of one. */
static const char *const of_answers[] = { "by",	  "value",    "errno", "late",	   "cause",
					  "deadline", "rate", "fallback", "way" };

static void refuse_keys(struct parser *ps, const struct node *n, const char *const *keys,
			size_t count, const char *why)
{
	for (size_t i = 0; i < count; i++) {
		struct node *v = map_get(n, keys[i]);

		if (v)
			parser_error(ps, v, "%s: %s", keys[i], why);
	}
}

/* Is one made by the rule? Of its layers, source says which folders they may be. */
static bool is_overlay(const struct fstypes *types, const struct policy_override *o)
{
	for (size_t i = 0; i < types->count; i++)
		if (executor_is_overlay(types->type[i]))
			return o->o.do_ == WARDER_DO_PERFORM || o->o.do_ == WARDER_DO_HANDLER;
	return false;
}

static void parse_overlay(struct parser *ps, struct node *n, const struct fstypes *types)
{
	/* None that has a layer's own attributes lead to data elsewhere. */
	static const struct known_option known[] = {
		{ "userxattr", false }, { "uuid", false }, { "volatile", false }, { "xino", false }, { NULL, false }
	};

	if (types->count != 1)
		parser_error(ps, map_get(n, "type"), "type: overlay needs a rule of its own");
	if (!map_get(n, "source") || !map_get(n, "target"))
		parser_error(ps, n, "override: a rule on an overlay needs source (the folders in the "
			     "container that may be its layers) and target");
	check_known_options(ps, map_get(n, "options"), known, "an overlay",
			    ": its layers are said by source, and of others userxattr, uuid, volatile and xino");
}

/* What a rule on mount(2) says of the mount. */
static void parse_override_mount(struct parser *ps, struct node *n, struct policy_override *o,
				 struct fstypes *types)
{
	struct node *type = map_get(n, "type"), *bind = map_get(n, "bind"), *v;
	struct node *source = map_get(n, "source"), *image = map_get(n, "image");
	struct node *fuse = map_get(n, "fuse");
	bool server = map_get(n, "server") || map_get(n, "trusted_server"), overlay;

	types->count = type ? 0 : 1;
	if (type)
		parse_fstypes(ps, type, types);
	overlay = !fuse && is_overlay(types, o);
	if (type && bind)
		parser_error(ps, n,
			     "override: a rule speaks of a new file system (type) or of a "
			     "host path (bind), not of both");
	else if (!type && !bind && !source)
		parser_error(ps, n,
			     "override: a rule on mount needs type (a new file system), bind (a host "
			     "path) or source (a bind of what is in the container)");
	else if (source && (bind || (type && !fuse && !overlay)))
		parser_error(ps, source,
			     "source: a rule with type or bind has none: the source of a new file "
			     "system is a name only, and bind is the source");
	else if (overlay)
		parse_overlay(ps, n, types);
	else if (source && !fuse && !map_get(n, "target"))
		parser_error(ps, n, "override: a rule on a bind in the container needs source and target");
	o->o.ops = type ? WARDER_MNT_NEW : WARDER_MNT_BIND;
	o->o.force = bind ? 0 : MS_NOSUID | MS_NODEV;
	if (bind)
		parse_bind(ps, bind, "bind", o);
	if (server)
		parse_server(ps, n, types, o);
	else if (fuse)
		parse_fuse(ps, n, types);
	if (server)
		image = NULL;
	else if (fuse && image)
		parse_bind(ps, image, "image", o);
	else if (!fuse && (image || map_get(n, "trusted_image")))
		parse_image(ps, n, types, o);
	v = map_get(n, "flags");
	if (v)
		parse_flags(ps, v, &o->o.require, &o->o.forbid);
	v = map_get(n, "options");
	if (v && source && !type)
		parser_error(ps, v, "options: a bind has none");
	else if (v && expect_map(ps, v, "options"))
		for (size_t i = 0; i + 1 < v->count; i += 2)
			read_option(ps, v->item[i], v->item[i + 1], o);
	v = map_get(n, "force");
	if (v) {
		o->o.force = 0;
		each_scalar(ps, v, "force", read_force, &o->o.force);
	}
	if (!server && (image || map_get(n, "trusted_image")))
		o->o.force |= MS_RDONLY | MS_NOSUID | MS_NODEV;
	else if (type && !fuse)
		check_types(ps, type, types, map_get(n, "options"), o->o.do_);
}

/* What a rule on a change of a mount says. */
static void parse_override_change(struct parser *ps, struct node *n, uint32_t change,
				  struct policy_override *o)
{
	static const char *const of_new[] = { "type", "bind", "image", "trusted_image", "fuse", "server",
					      "trusted_server" };
	static const char *const of_remounts[] = { "options", "force" };
	struct node *flags = map_get(n, "flags"), *v;

	o->o.ops = change;
	o->o.force = change == WARDER_MNT_REMOUNT ? MS_NOSUID | MS_NODEV : 0;
	refuse_keys(ps, n, of_new, ARRAY_SIZE(of_new), "only rules on mount have it");
	if (change != WARDER_MNT_REMOUNT)
		refuse_keys(ps, n, of_remounts, ARRAY_SIZE(of_remounts),
			    "only rules on mount and remount have it");
	if (change != WARDER_MNT_MOVE && map_get(n, "source"))
		parser_error(ps, map_get(n, "source"), "source: only rules on mount and move have it");
	if (change == WARDER_MNT_MOVE && flags)
		parser_error(ps, flags, "flags: a move has none");
	else if (flags)
		parse_flags(ps, flags, &o->o.require, &o->o.forbid);
	if (!map_get(n, "target") || (change == WARDER_MNT_MOVE && !map_get(n, "source")))
		parser_error(ps, n, change == WARDER_MNT_MOVE ?
			     "override: a rule on move needs source and target" :
			     "override: a rule on a change of mounts needs target");
	v = map_get(n, "options");
	if (change == WARDER_MNT_REMOUNT && v && expect_map(ps, v, "options"))
		for (size_t i = 0; i + 1 < v->count; i += 2)
			read_option(ps, v->item[i], v->item[i + 1], o);
	v = map_get(n, "force");
	if (change == WARDER_MNT_REMOUNT && v)
		each_scalar(ps, v, "force", read_force, &o->o.force);
}

/* One entry for each type of a mount, and for each other operation. */
static bool add_entries(struct parser *ps, const struct node *n, uint64_t ops,
			struct policy_override *o, const struct fstypes *types, uint64_t *ret_set)
{
	struct policy *p = ps->p;

	for (__u32 op = WARDER_OP_NONE + 1; op < WARDER_OP__MAX; op++) {
		if (!(ops >> op & 1))
			continue;
		for (size_t i = 0; i < types->count; i++) {
			if (p->overrides == WARDER_OVERRIDES_MAX) {
				parser_error(ps, n,
					     "override: more than %d rules (each type and each "
					     "operation counts)", WARDER_OVERRIDES_MAX);
				return false;
			}
			o->o.op = op;
			memcpy(o->o.type, types->type[i], sizeof(o->o.type));
			o->fuse = fuse_program(n, types->type[i]);
			*ret_set |= 1ull << p->overrides;
			p->override[p->overrides++] = *o;
		}
	}
	return true;
}

void parse_override(struct parser *ps, struct node *n)
{
	struct policy *p = ps->p;
	struct policy_override o = { .targets = "", .sources = "" };
	struct policy_rule rule = { .file = ps->file,
				    .line = n->line,
				    .column = n->column,
				    .class_ = WARDER_CLASS_OVERRIDE };
	struct fstypes types = { .count = 1 };
	struct on on = { .ops = 0 };
	struct node *v, *target, *source;
	bool skip = false, audit = false, mount;
	size_t first = p->overrides;
	uint32_t index;
	uint64_t set = 0;

	if (!check_keys(ps, n, "override rule", override_keys))
		return;
	on.optional = node_optional(ps, n);
	v = map_get(n, "on");
	if (v)
		each_scalar(ps, v, "on", read_on, &on);
	if (!on.ops || on.skip)
		return;
	v = map_get(n, "id");
	if (v)
		rule.id = parse_id(ps, v, "id");
	v = map_get(n, "audit"); /* every override is reported anyway */
	if (v)
		expect_bool(ps, v, "audit", &audit);
	target = map_get(n, "target");
	mount = on.ops >> WARDER_OP_MOUNT & 1;
	o.o.ops = WARDER_OVERRIDE_CALL;
	o.o.by_userns = WARDER_BY_USERNS_CONTAINER;
	o.o.any_target = !target;
	parse_do(ps, n, on.optional, &skip, &o);
	parse_manner(ps, n, &o.o);
	/* They give nothing to anybody. */
	if (o.o.do_ == WARDER_DO_FAKE || o.o.do_ == WARDER_DO_DENY)
		o.o.cause |= WARDER_CAUSE_BASELINE;
	if (mount && o.o.do_ == WARDER_DO_REPORT)
		parser_error(ps, n, "override: every refused mount is reported, without a rule");
	else if (mount && on.words != 1)
		parser_error(ps, n, "on: mount, remount, move and propagation need a rule each");
	else if (mount && on.change)
		parse_override_change(ps, n, on.change, &o);
	else if (mount)
		parse_override_mount(ps, n, &o, &types);
	else
		refuse_keys(ps, n, of_mounts, ARRAY_SIZE(of_mounts), "only rules on mount have it");
	if (o.o.way == WARDER_WAY_NOTIFY &&
	    (!mount || (o.o.ops & ~(WARDER_MNT_NEW | WARDER_MNT_BIND | WARDER_MNT_MOVE))))
		parser_error(ps, map_get(n, "way"),
			     "way: notify: only rules on mount and move have it; other calls are handed "
			     "over when they are refused");
	if (target && (on.ops & ~OVERRIDE_OPS_WITH_TARGET))
		parser_error(ps, target,
			     "target: only rules on mounts, umount, mknod and setxattr have it");
	parse_override_values(ps, n, on.ops, &o);
	if (o.o.do_ == WARDER_DO_REPORT)
		refuse_keys(ps, n, of_answers, ARRAY_SIZE(of_answers),
			    "do: report leaves the errno as it is");
	v = map_get(n, "by");
	if (v)
		parse_by(ps, v, &o.o);
	for (__u32 op = WARDER_OP_NONE + 1; o.o.do_ == WARDER_DO_PERFORM && op < WARDER_OP__MAX; op++)
		if ((on.ops >> op & 1) && !*call_op_performed(op)) {
			refuse_word(ps, map_get(n, "on"), on.optional, "performing %s (do: fake, deny or report can)",
				    call_op_word(op));
			skip = true;
		}
	if (skip || parser_add_rule(ps, &rule, &index))
		return;
	o.o.rule = index + 1;
	if (!add_entries(ps, n, on.ops, &o, &types, &set))
		return;
	if (target) {
		parser_add_patterns(ps, target, "target", index, WARDER_START_OVERRIDE_TARGET, set,
				    &o.targets);
		for (size_t i = first; i < p->overrides; i++)
			p->override[i].targets = o.targets;
	}
	source = mount && (!on.change || on.change == WARDER_MNT_MOVE) ? map_get(n, "source") : NULL;
	if (source) {
		parser_add_patterns(ps, source, "source", index, WARDER_START_OVERRIDE_SOURCE, set,
				    &o.sources);
		for (size_t i = first; i < p->overrides; i++)
			p->override[i].sources = o.sources;
	}
}
