// SPDX-License-Identifier: LGPL-2.1-or-later
/* Override rules on file systems of a server: which one, and what is said to the kernel of it. */
#include <string.h>

#include "cleanup.h"
#include "executor.h"
#include "policy_internal.h"

/* Those that say where packets go, or how, are the administrator's word. */
static const struct known_option server_options[] = {
	{ "addr", true },	 { "port", true },	  { "proto", true },
	{ "sec", true },	 { "vers", true },	  { "nfsvers", true },
	{ "minorversion", true }, { "clientaddr", false }, { "hard", false },
	{ "soft", false },	 { "softreval", false },  { "timeo", false },
	{ "retrans", false },	 { "rsize", false },	  { "wsize", false },
	{ "actimeo", false },	 { "acregmin", false },	  { "acregmax", false },
	{ "acdirmin", false },	 { "acdirmax", false },	  { "noac", false },
	{ "nolock", false },	 { NULL, false },
};

void parse_server(struct parser *ps, struct node *n, const struct fstypes *types,
		  struct policy_override *o)
{
	static const char *const others[] = { "bind", "source", "image", "trusted_image", "fuse" };
	struct node *server = map_get(n, "server"), *trusted = map_get(n, "trusted_server");
	struct node *type = map_get(n, "type"), *options = map_get(n, "options");
	const char *text, *slash;
	char buf[SHOWN_SIZE];
	bool yes = false;

	if (trusted && !expect_bool(ps, trusted, "trusted_server", &yes))
		return;
	if (!server) {
		parser_error(ps, trusted, "trusted_server: which is said by server: \"HOST:/PATH\"");
		return;
	}
	if (!yes)
		parser_error(ps, server,
			     "server: the kernel believes what it says: say trusted_server: true if it is "
			     "this host's administrator's, or one that he trusts like himself");
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (map_get(n, others[i]))
			parser_error(ps, map_get(n, others[i]), "%s: a rule with server has none", others[i]);
	if (!type || types->count != 1 || !executor_is_server(types->type[0]))
		parser_error(ps, type ? type : server, "server: needs one type: nfs or nfs4");
	if (!map_get(n, "target"))
		parser_error(ps, n, "override: a rule with server needs target");
	text = expect_string(ps, server, "server");
	slash = text ? strstr(text, ":/") : NULL;
	if (text && (!slash || slash == text || server->len >= EXECUTOR_SOURCE_SIZE || strpbrk(text, ", ")))
		parser_error(ps, server,
			     "server: expected what the caller says as source, \"HOST:/PATH\" of at most %d "
			     "bytes, found %s", EXECUTOR_SOURCE_SIZE - 1, node_shown(server, buf));
	o->bind = text;
	if (!options || options->type != NODE_MAP || !map_get(options, "addr")) {
		parser_error(ps, options ? options : n,
			     "options: a rule with server needs addr, the address that the kernel connects to");
		return;
	}
	check_known_options(ps, options, server_options, "a server", "");
}
