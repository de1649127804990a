// SPDX-License-Identifier: LGPL-2.1-or-later
/* network and mount rules of AppArmor. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "cleanup.h"
#include "policy_import_apparmor.h"

/* ------------------------------------------------------------------- network */

enum net_type { TYPE_ANY = 0, TYPE_STREAM, TYPE_DGRAM, TYPE_RAW, TYPE_SEQPACKET, TYPE_OTHER };

/* Of inet and inet6: what a type of socket may be. The allow rule names what it is for sure. */
static const char *const type_allowed[] = { NULL, "tcp", "udp", "raw", NULL, NULL };
static const char *const type_denied[] = { NULL,	      "tcp, sctp, other", "udp, icmp, other",
					   "raw, icmp, other", "sctp, other",	   NULL };

struct net_rule {
	const char *family;
	enum net_type type;
	const char *protocol;
	bool narrowed; /* by a condition that is not known */
};

static bool net_word(struct net_rule *q, const char *word)
{
	static const char *const families[] = { "inet",	   "inet6", "unix", "netlink",
						"packet", "vsock" };
	static const char *const types[] = { "", "stream", "dgram", "raw", "seqpacket", "rdm" };
	static const char *const protocols[] = { "tcp", "udp", "icmp" };

	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		if (!strcmp(families[i], word)) {
			q->family = families[i];
			return true;
		}
	/* A type after a family, and a family where it stands alone: "packet" was one above. */
	for (size_t i = 1; i < ARRAY_SIZE(types); i++)
		if (!strcmp(types[i], word)) {
			q->type = (enum net_type)i;
			return true;
		}
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
		if (!strcmp(protocols[i], word)) {
			q->protocol = protocols[i];
			return true;
		}
	return false;
}

static void net_family(struct reader *r, const struct net_rule *q, const char *family, bool deny,
		       const char *more)
{
	bool ip = !strncmp(family, "inet", 4);
	const char *verb = deny ? "deny" : "allow", *protocols = NULL;

	if (ip && q->protocol)
		protocols = q->protocol;
	else if (ip && q->type)
		protocols = deny ? type_denied[q->type] : type_allowed[q->type];
	/* The kernel makes no difference between raw and dgram of netlink. */
	else if (!q->type || (!strcmp(family, "netlink") &&
			      (q->type == TYPE_RAW || q->type == TYPE_DGRAM)))
		protocols = "";
	if (q->narrowed || !protocols) {
		if (!deny) {
			LOST(r, "network: sockets of %s are allowed by what they are made of only, "
				"which cannot be said: the rule is left out", family);
			return;
		}
		LOST(r, "network: the condition on %s sockets cannot be said: all of them are denied",
		     family);
		protocols = "";
	}
	if (*protocols)
		RULE(r, WARDER_CLASS_NETWORK, "{%s: [\"*\"], family: %s, protocol: %s%s%s%s}", verb,
		     family, strchr(protocols, ',') ? "[" : "", protocols,
		     strchr(protocols, ',') ? "]" : "", more);
	else
		RULE(r, WARDER_CLASS_NETWORK, "{%s: [\"*\"], family: %s%s}", verb, family, more);
}

void apparmor_network(struct reader *r, char **word, size_t n, bool deny, bool audit)
{
	static const char *const all[] = { "inet",   "inet6", "unix", "netlink",
					   "packet", "vsock", "other" };
	const char *more = audit ? ", audit: true" : "";
	struct net_rule q = { .family = NULL };

	for (size_t i = 1; i < n; i++) {
		if (!q.family || strcmp(word[i], "packet")) {
			if (net_word(&q, word[i]))
				continue;
			/* Another family, as bluetooth; it stands in front of everything else. */
			if (i == 1 && word[i][strspn(word[i], "abcdefghijklmnopqrstuvwxyz0123456789")] == 0) {
				if (!deny) {
					LOST(r, "network: the family %.40s cannot be named: the rule is "
						"left out", word[i]);
					return;
				}
				LOST(r, "network: the family %.40s cannot be named: all that have no "
					"name are denied", word[i]);
				q.family = "other";
				continue;
			}
		} else {
			q.type = TYPE_OTHER;
			continue;
		}
		q.narrowed = true;
	}
	/* tcp and udp are protocols of inet and inet6. */
	if (q.protocol && !q.family) {
		net_family(r, &q, "inet", deny, more);
		net_family(r, &q, "inet6", deny, more);
		return;
	}
	if (q.protocol && q.type && strcmp(q.protocol, "icmp") &&
	    (q.type == TYPE_STREAM) != !strcmp(q.protocol, "tcp"))
		q.narrowed = true;
	if (q.protocol && !strcmp(q.protocol, "icmp") && deny)
		q.protocol = "raw, icmp, other";
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (!q.family || !strcmp(q.family, all[i]))
			net_family(r, &q, all[i], deny, more);
}

/* --------------------------------------------------------------------- mount */

#define OP_COUNT 6

struct mount_rule {
	bool op[OP_COUNT];
	bool has_ops, remount;
	__u32 require, forbid;
	bool has_flags;
	const char *lost; /* a condition that cannot be said */
	char type[256];	  /* "a, b" */
	char source[2 * WARDER_PATH_MAX], target[2 * WARDER_PATH_MAX];
	bool label; /* the source is no path: of proc, tmpfs and the like a name that means nothing */
};

enum { OP_MOUNT, OP_BIND, OP_REMOUNT, OP_MOVE, OP_PROPAGATION, OP_ATTACH };
static const char *const op_names[] = { "mount", "bind", "remount", "move", "propagation", "attach" };

static const struct {
	const char *word;
	int op; /* -1: none */
	__u32 flag;
} mount_words[] = {
	{ "bind", OP_BIND, 0 },		     { "B", OP_BIND, 0 },
	{ "rbind", OP_BIND, MS_REC },	     { "R", OP_BIND, MS_REC },
	{ "move", OP_MOVE, 0 },		     { "M", OP_MOVE, 0 },
	{ "remount", OP_REMOUNT, 0 },	     { "private", OP_PROPAGATION, MS_PRIVATE },
	{ "slave", OP_PROPAGATION, MS_SLAVE }, { "shared", OP_PROPAGATION, MS_SHARED },
	{ "unbindable", OP_PROPAGATION, MS_UNBINDABLE },
	{ "rprivate", OP_PROPAGATION, MS_PRIVATE | MS_REC },
	{ "rslave", OP_PROPAGATION, MS_SLAVE | MS_REC },
	{ "rshared", OP_PROPAGATION, MS_SHARED | MS_REC },
	{ "runbindable", OP_PROPAGATION, MS_UNBINDABLE | MS_REC },
	/* What is the case without a flag. */
	{ "rw", -1, 0 }, { "w", -1, 0 }, { "suid", -1, 0 }, { "dev", -1, 0 }, { "exec", -1, 0 },
	{ "async", -1, 0 }, { "nomand", -1, 0 }, { "atime", -1, 0 }, { "diratime", -1, 0 },
	{ "norelatime", -1, 0 }, { "nostrictatime", -1, 0 }, { "nolazytime", -1, 0 }, { "loud", -1, 0 },
	{ "verbose", -1, MS_SILENT }, { "r", -1, MS_RDONLY },
};

/* "ro,bind": a set, of which a mount has all (exact), or any. */
static void mount_options(struct mount_rule *m, char *list, bool exact)
{
	__u32 named = 0, all = 0;
	bool ops = false;
	char *save, *w;

	for (w = strtok_r(list, "(), ", &save); w; w = strtok_r(NULL, "(), ", &save)) {
		const char *name = strncmp(w, "make-", 5) ? w : w + 5;
		bool known = false;
		__u32 bit;

		for (size_t i = 0; i < ARRAY_SIZE(mount_words) && !known; i++)
			if (!strcmp(mount_words[i].word, name)) {
				known = true;
				named |= mount_words[i].flag;
				if (mount_words[i].op < 0)
					continue;
				/* A bind that is remounted, or two kinds at once. */
				if (ops && exact)
					m->lost = "these options together";
				m->op[mount_words[i].op] = ops = true;
			}
		if (!known && !mount_flag_from_name(name, &bit)) {
			known = true;
			named |= bit;
		}
		if (!known)
			m->lost = "an option";
	}
	for (unsigned i = 0; i < 32; i++)
		if (mount_flag_name(1u << i))
			all |= 1u << i;
	m->has_flags = true;
	m->require |= exact ? named : 0;
	m->forbid |= all & ~named;
	/* A set without one of them is a mount of a new file system. */
	if ((!ops || !exact) && !m->remount)
		m->op[OP_MOUNT] = true;
	m->has_ops = true;
}

static void mount_types(struct mount_rule *m, char *list)
{
	char *save, *w;
	size_t used = strlen(m->type);

	for (w = strtok_r(list, "(), ", &save); w; w = strtok_r(NULL, "(), ", &save)) {
		if (w[strspn(w, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")] ||
		    strlen(w) > 31 || used + 40 > sizeof(m->type)) {
			m->lost = "the type";
			return;
		}
		used += (size_t)sprintf(m->type + used, "%s%s", used ? ", " : "", w);
	}
}

static void mount_path(struct reader *r, struct mount_rule *m, const char *glob, char *ret)
{
	char path[WARDER_PATH_MAX];

	if (*ret)
		m->lost = "more than one path";
	else if (!apparmor_expand(r, glob, path, sizeof(path), 0) ||
		 !import_pattern(path, ret, 2 * WARDER_PATH_MAX)) {
		m->lost = "a path";
		*ret = 0;
	}
}

/* Blanks within parentheses and around '=' joined; the words of what is left. */
static size_t mount_tokens(char **word, size_t n, char *buf, size_t size, char *token[WORDS_MAX])
{
	size_t used = 0, count = 0, depth = 0;

	buf[0] = 0;
	for (size_t i = 1; i < n; i++) {
		bool glued = used && (depth || buf[used - 1] == '=' || word[i][0] == '=');
		size_t len = strlen(word[i]);

		if (used + len + 2 > size || strchr(word[i], ' '))
			return SIZE_MAX;
		if (!glued && used)
			used++; /* the NUL */
		if (!glued)
			token[count++] = buf + used;
		memcpy(buf + used, word[i], len + 1);
		used += len;
		for (const char *p = word[i]; *p; p++)
			depth += *p == '(' ? 1 : *p == ')' && depth ? (size_t)-1 : 0;
	}
	return count;
}

static void mount_flags_text(const struct mount_rule *m, char *buf, size_t size)
{
	size_t used = 0;

	*buf = 0;
	if (!m->has_flags)
		return;
	for (unsigned forbid = 0; forbid < 2; forbid++) {
		__u32 set = forbid ? m->forbid : m->require;
		bool first = true;

		if (!set)
			continue;
		used += (size_t)snprintf(buf + used, size - used, "%s%s: [", used ? ", " : ", flags: {",
					 forbid ? "forbid" : "require");
		for (unsigned i = 0; i < 32; i++)
			if (set >> i & 1) {
				used += (size_t)snprintf(buf + used, size - used, "%s%s",
							 first ? "" : ", ", mount_flag_name(1u << i));
				first = false;
			}
		used += (size_t)snprintf(buf + used, size - used, "]");
	}
	if (used)
		snprintf(buf + used, size - used, "}");
}

/* One operation; false if its conditions cannot be said, for an allow rule. */
static void mount_emit(struct reader *r, const struct mount_rule *m, int op, bool deny,
		       const char *more)
{
	bool with_type = op == OP_MOUNT || op == OP_ATTACH;
	bool with_flags = op != OP_MOVE && op != OP_ATTACH;
	const char *target = m->target, *source = m->source;
	char flags[640];

	/* `mount options=(make-private) /x`: a path alone is where it is mounted. */
	if (m->has_ops && (op == OP_REMOUNT || op == OP_PROPAGATION) && !*target) {
		target = source;
		source = "";
	}
	mount_flags_text(m, flags, sizeof(flags));
	/* What cannot be said: the rest of flags of a move means nothing to the kernel. */
	if (!deny && ((*m->type && !with_type) || (m->require && !with_flags) || (*source && !with_type) ||
		      (m->label && !*m->type))) {
		if (m->has_ops)
			LOST(r, "%s: the source or type of it cannot be a condition of a rule that allows "
				"it: left out; an override rule with source: can offer a bind or move",
			     op_names[op]);
		return;
	}
	if (deny && ((*source && !with_type) || m->label))
		LOST(r, "%s: denied whatever its source, which the kernel resolves later", op_names[op]);
	if (deny && !with_flags && (m->require || m->forbid))
		LOST(r, "%s: denied whatever its options", op_names[op]);
	if (m->label && !deny)
		LOST(r, "the source is a name that means nothing to such a file system: not carried over");
	RULE(r, WARDER_CLASS_MOUNT, "{%s: [%s]%s%s%s%s%s%s%s%s%s}", deny ? "deny" : "allow", op_names[op],
	     with_type && *m->type ? ", type: [" : "", with_type ? m->type : "",
	     with_type && *m->type ? "]" : "", with_type && *source ? ", source: " : "",
	     with_type ? source : "", *target ? ", target: " : "", target, with_flags ? flags : "", more);
}

static void mount_new(struct reader *r, struct mount_rule *m, char **token, size_t n, bool deny,
		      const char *more)
{
	for (size_t i = 0; i < n; i++) {
		char *eq = strchr(token[i], '=');
		bool in = i + 2 < n && !strcmp(token[i + 1], "in");
		size_t len = eq ? (size_t)(eq - token[i]) : strlen(token[i]);
		bool options = (len == 7 && !strncmp(token[i], "options", 7)) ||
			       (len == 6 && !strncmp(token[i], "option", 6));
		bool type = (len == 6 && !strncmp(token[i], "fstype", 6)) ||
			    (len == 7 && !strncmp(token[i], "vfstype", 7));

		if (!strcmp(token[i], "->") && i + 1 < n) {
			mount_path(r, m, token[++i], m->target);
		} else if (options && (eq || in)) {
			mount_options(m, eq ? eq + 1 : token[i + 2], eq != NULL);
			i += eq ? 0 : 2;
		} else if (type && (eq || in)) {
			mount_types(m, eq ? eq + 1 : token[i + 2]);
			i += eq ? 0 : 2;
		} else if (token[i][0] == '/' || token[i][0] == '@' || token[i][0] == '*' ||
			   token[i][0] == '{') {
			mount_path(r, m, token[i], m->source);
		} else if (token[i][strspn(token[i], "abcdefghijklmnopqrstuvwxyz0123456789_-")] == 0) {
			m->label = true;
		} else {
			m->lost = "a condition";
		}
	}
	if (m->lost && !deny) {
		LOST(r, "mount: %s cannot be said: the rule is left out", m->lost);
		return;
	}
	if (m->lost) {
		LOST(r, "mount: %s cannot be said: every mount, bind, move and remount is denied", m->lost);
		*m = (struct mount_rule) { .lost = m->lost };
	}
	/* Without options it holds for all, and for the calls of the new interface, too; a type is
	 * one of new file systems. */
	for (int op = 0; !m->has_ops && op < OP_COUNT; op++)
		m->op[op] = !*m->type || op == OP_MOUNT;
	if (deny && m->op[OP_MOUNT])
		m->op[OP_ATTACH] = true;
	for (int op = 0; op < OP_COUNT; op++)
		if (m->op[op])
			mount_emit(r, m, op, deny, more);
	if (!deny && !m->has_ops && !*m->type && (*m->source || m->label))
		LOST(r, "mount: binds and moves are left out: their source cannot be a condition of a rule "
			"that allows them");
}

void apparmor_mount(struct reader *r, char **word, size_t n, bool deny, bool audit)
{
	cleanup_free struct mount_rule *m = calloc(1, sizeof(*m));
	const char *more = audit ? ", audit: true" : "", *verb = deny ? "deny" : "allow";
	bool umount = !strcmp(word[0], "umount"), pivot = !strcmp(word[0], "pivot_root");
	char buf[2 * WARDER_PATH_MAX], *token[WORDS_MAX];
	size_t tokens = mount_tokens(word, n, buf, sizeof(buf), token);

	if (!m) {
		r->im.err = -ENOMEM;
		return;
	}
	if (tokens == SIZE_MAX) {
		m->lost = "a path with a blank";
		tokens = 0;
	}
	if (!umount && !pivot) {
		if (!strcmp(word[0], "remount"))
			m->op[OP_REMOUNT] = m->has_ops = m->remount = true;
		mount_new(r, m, token, tokens, deny, more);
		return;
	}
	for (size_t i = 0; i < tokens; i++) {
		if (token[i][0] == '/' || token[i][0] == '@' || token[i][0] == '*' || token[i][0] == '{')
			mount_path(r, m, token[i], m->target);
		else
			m->lost = "a condition";
	}
	if (m->lost)
		LOST(r, "%s: %s cannot be said: %s", word[0], m->lost,
		     deny ? "it is denied without it" : "the rule is left out");
	if (m->lost && !deny)
		return;
	if (m->lost)
		m->target[0] = 0;
	RULE(r, WARDER_CLASS_MOUNT, "{%s: [%s]%s%s%s}", verb, umount ? "umount" : "pivot_root",
	     *m->target ? ", target: " : "", m->target, more);
}
