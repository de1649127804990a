// SPDX-License-Identifier: LGPL-2.1-or-later
/* KubeArmor policies and OCI config.json: both are YAML to the reader, which knows their lines. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cleanup.h"
#include "policy_import.h"

#define LOST(im, node, ...) import_lost(im, (node)->line, (node)->column, __VA_ARGS__)
#define FAIL(im, node, ...) import_fail(im, (node)->line, (node)->column, __VA_ARGS__)
#define RULE(im, node, class_, ...) import_rule(im, (node)->line, (node)->column, class_, __VA_ARGS__)

static const char *text_at(const struct node *map, const char *key)
{
	const struct node *n = map_get(map, key);

	return n && n->type == NODE_SCALAR ? n->text : NULL;
}

static bool true_at(const struct node *map, const char *key)
{
	const char *text = text_at(map, key);

	return text && !strcasecmp(text, "true");
}

/* Empty for what is missing or no list. */
static const struct node *list_at(const struct node *map, const char *key)
{
	static const struct node empty = { .type = NODE_SEQ };
	const struct node *n = map ? map_get(map, key) : NULL;

	return n && n->type == NODE_SEQ ? n : &empty;
}

static int read_root(const char *name, const char *text, size_t len, struct arena *arena,
		     struct node **ret, struct policy_diags *diags)
{
	size_t errors = diags->errors;
	int err = yaml_read(arena, name, text, len, ret, diags);

	if (err || diags->errors > errors)
		return err ? err : -EINVAL;
	if ((*ret)->type != NODE_MAP) {
		diag_add(diags, name, 1, 1, 0, "expected a mapping");
		return -EINVAL;
	}
	return 0;
}

/* ------------------------------------------------------------------ KubeArmor */

struct kubearmor {
	struct import im;
	const char *action; /* of the section, else of the policy */
};

/* One that is not known denies. */
static const char *action_word(struct kubearmor *k, const struct node *n, const char *word)
{
	static const char *const words[] = { "Allow", "Audit", "Block" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (!strcasecmp(word, words[i]))
			return words[i];
	LOST(&k->im, n, "no action is called %.40s: it is taken for Block", word);
	return "Block";
}

static const char *action_of(struct kubearmor *k, const struct node *n)
{
	const char *own = text_at(n, "action");

	return own ? action_word(k, n, own) : k->action;
}

/* Keys that nothing is known of are told: they may have narrowed the rule. */
static void kube_keys(struct kubearmor *k, const struct node *map, const char *const *known)
{
	static const char *const harmless[] = { "action", "severity", "tags", "message" };

	if (map->type != NODE_MAP) {
		FAIL(&k->im, map, "expected a mapping");
		return;
	}
	for (size_t i = 0; i + 1 < map->count; i += 2) {
		bool found = false;

		for (size_t w = 0; known[w]; w++)
			found |= !strcmp(known[w], map->item[i]->text);
		for (size_t w = 0; w < ARRAY_SIZE(harmless); w++)
			found |= !strcmp(harmless[w], map->item[i]->text);
		if (!found)
			LOST(&k->im, map->item[i], "%.40s is not carried over", map->item[i]->text);
		else if (!strncmp(map->item[i]->text, "match", 5) && map->item[i + 1]->type != NODE_SEQ)
			FAIL(&k->im, map->item[i + 1], "%.40s: expected a list", map->item[i]->text);
	}
}

static void kube_rule(struct kubearmor *k, const struct node *n, bool process, const char *glob,
		      const char *action)
{
	char pattern[2 * WARDER_PATH_MAX];
	bool block = !strcmp(action, "Block"), audit = !strcmp(action, "Audit");
	const char *more = audit ? ", audit: true" : "";

	if (!import_pattern(glob, pattern, sizeof(pattern))) {
		if (block)
			FAIL(&k->im, n, "%.100s is blocked there and is no absolute path", glob);
		else
			LOST(&k->im, n, "%.100s is no absolute path: it is left out", glob);
		return;
	}
	if (map_get(n, "fromSource"))
		LOST(&k->im, n, "fromSource is not carried over: the rule holds for every program");
	if (true_at(n, "ownerOnly"))
		LOST(&k->im, n, "ownerOnly is not carried over: the rule holds for every user");
	if (process)
		RULE(&k->im, n, WARDER_CLASS_EXEC, "{%s: %s%s}", block ? "deny" : "allow", pattern,
		     more);
	else if (true_at(n, "readOnly"))
		RULE(&k->im, n, WARDER_CLASS_FILE, "{%s: [%s], path: %s%s}", block ? "deny" : "allow",
		     block ? IMPORT_CHANGES : "read", pattern, more);
	else
		RULE(&k->im, n, WARDER_CLASS_FILE, "{%s: [\"*\"], path: %s%s}",
		     block ? "deny" : "allow", pattern, more);
	if (!strcmp(action, "Allow"))
		k->im.deny[process ? WARDER_CLASS_EXEC : WARDER_CLASS_FILE] = true;
}

/* The name in an item of a list; NULL after a message. */
static const char *kube_item(struct kubearmor *k, const struct node *n, const char *key)
{
	const char *const known[] = { key, "recursive", "readOnly", "ownerOnly", "fromSource", NULL };
	const char *text = text_at(n, key);

	kube_keys(k, n, known);
	if (text && *text)
		return text;
	if (!strcmp(action_of(k, n), "Block"))
		FAIL(&k->im, n, "a blocked item without %s", key);
	else
		LOST(&k->im, n, "an item without %s is left out", key);
	return NULL;
}

static void kube_paths(struct kubearmor *k, const struct node *section, bool process)
{
	static const char *const known[] = { "matchPaths", "matchPatterns", "matchDirectories", NULL };
	const struct node *list = list_at(section, "matchPaths");
	char glob[WARDER_PATH_MAX];

	kube_keys(k, section, known);
	for (size_t i = 0; i < list->count; i++) {
		const char *path = kube_item(k, list->item[i], "path");

		if (path)
			kube_rule(k, list->item[i], process, path, action_of(k, list->item[i]));
	}
	list = list_at(section, "matchPatterns");
	for (size_t i = 0; i < list->count; i++) {
		const char *path = kube_item(k, list->item[i], "pattern");

		if (path)
			kube_rule(k, list->item[i], process, path, action_of(k, list->item[i]));
	}
	list = list_at(section, "matchDirectories");
	for (size_t i = 0; i < list->count; i++) {
		const char *dir = kube_item(k, list->item[i], "dir");
		size_t len = dir ? strlen(dir) : 0;

		if (!len)
			continue;
		snprintf(glob, sizeof(glob), "%s%s%s", dir, dir[len - 1] == '/' ? "" : "/",
			 true_at(list->item[i], "recursive") ? "**" : "*");
		kube_rule(k, list->item[i], process, glob, action_of(k, list->item[i]));
	}
}

static void kube_network(struct kubearmor *k, const struct node *section)
{
	static const char *const known[] = { "matchProtocols", NULL };
	static const char *const item[] = { "protocol", "fromSource", NULL };
	const struct node *list = list_at(section, "matchProtocols");

	kube_keys(k, section, known);
	for (size_t i = 0; i < list->count; i++) {
		const char *p = text_at(list->item[i], "protocol");
		const char *action = action_of(k, list->item[i]);
		bool block = !strcmp(action, "Block");
		char name[8] = "";

		for (size_t c = 0; p && p[c] && c < sizeof(name) - 1; c++)
			name[c] = (char)(p[c] >= 'A' && p[c] <= 'Z' ? p[c] - 'A' + 'a' : p[c]);
		kube_keys(k, list->item[i], item);
		if (map_get(list->item[i], "fromSource"))
			LOST(&k->im, list->item[i],
			     "fromSource is not carried over: the rule holds for every program");
		if (strcmp(name, "tcp") && strcmp(name, "udp") && strcmp(name, "icmp") &&
		    strcmp(name, "raw")) {
			LOST(&k->im, list->item[i], "the protocol %.20s cannot be named: %s",
			     p ? p : "?", block ? "all of inet and inet6 is denied" : "it is left out");
			for (unsigned six = 0; block && six < 2; six++)
				RULE(&k->im, list->item[i], WARDER_CLASS_NETWORK,
				     "{deny: [\"*\"], family: inet%s}", six ? "6" : "");
			continue;
		}
		for (unsigned six = 0; six < 2; six++)
			RULE(&k->im, list->item[i], WARDER_CLASS_NETWORK,
			     "{%s: [\"*\"], family: inet%s, protocol: %s%s}", block ? "deny" : "allow",
			     six ? "6" : "", name, !strcmp(action, "Audit") ? ", audit: true" : "");
		if (!strcmp(action, "Allow"))
			k->im.deny[WARDER_CLASS_NETWORK] = true;
	}
}

static void kube_capabilities(struct kubearmor *k, const struct node *section)
{
	static const char *const known[] = { "matchCapabilities", NULL };
	static const char *const item[] = { "capability", "fromSource", NULL };
	const struct node *list = list_at(section, "matchCapabilities");

	kube_keys(k, section, known);
	for (size_t i = 0; i < list->count; i++) {
		const char *cap = text_at(list->item[i], "capability");
		const char *action = action_of(k, list->item[i]);

		kube_keys(k, list->item[i], item);
		if (map_get(list->item[i], "fromSource"))
			LOST(&k->im, list->item[i],
			     "fromSource is not carried over: the rule holds for every program");
		if ((!cap || capability_from_name(cap) < 0) && !strcmp(action, "Block")) {
			FAIL(&k->im, list->item[i], "no capability is called %.40s, which is blocked",
			     cap ? cap : "?");
			continue;
		}
		if (!cap || capability_from_name(cap) < 0) {
			LOST(&k->im, list->item[i], "no capability is called %.40s", cap ? cap : "?");
			continue;
		}
		RULE(&k->im, list->item[i], WARDER_CLASS_CAPABILITY, "{%s: [%s]%s}",
		     strcmp(action, "Block") ? "allow" : "deny", cap,
		     !strcmp(action, "Audit") ? ", audit: true" : "");
		if (!strcmp(action, "Allow"))
			k->im.deny[WARDER_CLASS_CAPABILITY] = true;
	}
}

static void kube_spec(struct kubearmor *k, const struct node *spec)
{
	const char *whole = text_at(spec, "action");

	for (size_t i = 0; i + 1 < spec->count; i += 2) {
		const char *key = spec->item[i]->text;
		const struct node *v = spec->item[i + 1];
		const char *own = v->type == NODE_MAP ? text_at(v, "action") : NULL;

		k->action = own ? action_word(k, v, own) : whole ? action_word(k, spec, whole) : "Audit";
		if (!strcmp(key, "process"))
			kube_paths(k, v, true);
		else if (!strcmp(key, "file"))
			kube_paths(k, v, false);
		else if (!strcmp(key, "network"))
			kube_network(k, v);
		else if (!strcmp(key, "capabilities"))
			kube_capabilities(k, v);
		else if (strcmp(key, "action") && strcmp(key, "severity") && strcmp(key, "tags") &&
			 strcmp(key, "message"))
			LOST(&k->im, spec->item[i], "%.40s is not carried over%s", key,
			     !strcmp(key, "selector") ? ": name the policy when the container is started" : "");
	}
}

int policy_import_kubearmor(const char *name, const char *text, size_t len, char **ret_text,
			    struct policy_diags *diags)
{
	struct kubearmor k = { .im = { .name = name, .from = "a KubeArmor policy", .diags = diags } };
	struct arena arena = { 0 };
	const struct node *spec, *meta;
	struct node *root;
	int err = read_root(name, text, len, &arena, &root, diags);

	*ret_text = NULL;
	spec = err ? NULL : map_get(root, "spec");
	if (!err && (!spec || spec->type != NODE_MAP)) {
		diag_add(diags, name, 1, 1, 0, "no KubeArmor policy: it has no spec");
		err = -EINVAL;
	}
	if (!err) {
		meta = map_get(root, "metadata");
		import_name(&k.im, meta && text_at(meta, "name") ? text_at(meta, "name") : "imported");
		kube_spec(&k, spec);
		err = import_finish(&k.im, ret_text);
	}
	arena_done(&arena);
	return err;
}

/* ------------------------------------------------------------------------ OCI */

static void oci_capabilities(struct import *im, const struct node *process)
{
	const struct node *caps = process ? map_get(process, "capabilities") : NULL;
	const struct node *list = list_at(caps, "bounding");

	im->deny[WARDER_CLASS_CAPABILITY] = true;
	for (size_t i = 0; i < list->count; i++) {
		const struct node *n = list->item[i];
		char word[64];

		if (n->type != NODE_SCALAR || capability_from_name(n->text) < 0)
			LOST(im, n, "no capability is called %.40s", n->text ? n->text : "?");
		else
			RULE(im, n, WARDER_CLASS_CAPABILITY, "{allow: [%s]}",
			     policy_words(WARDER_CLASS_CAPABILITY,
					  1ull << capability_from_name(n->text), "", word,
					  sizeof(word)));
	}
}

/* What is special in patterns stands for itself in such a path. */
static bool oci_glob(const char *path, char *buf, size_t size)
{
	size_t n = 0, len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	for (size_t i = 0; i < len; i++) {
		if (n + 16 > size)
			return false;
		if (strchr("*?[]{},\\", path[i]))
			buf[n++] = '\\';
		buf[n++] = path[i];
	}
	strcpy(buf + n, "{,/**}");
	return path[0] == '/';
}

static void oci_paths(struct import *im, const struct node *list, const char *access)
{
	char pattern[2 * WARDER_PATH_MAX], glob[WARDER_PATH_MAX];

	for (size_t i = 0; i < list->count; i++) {
		const struct node *n = list->item[i];

		/* All of these are denied: none may be left out. */
		if (n->type == NODE_SCALAR && !strcmp(n->text, "/"))
			RULE(im, n, WARDER_CLASS_FILE, "{deny: [%s], path: [\"/\", \"/**\"]}", access);
		else if (n->type == NODE_SCALAR && oci_glob(n->text, glob, sizeof(glob)) &&
			 import_pattern(glob, pattern, sizeof(pattern)))
			RULE(im, n, WARDER_CLASS_FILE, "{deny: [%s], path: %s}", access, pattern);
		else
			FAIL(im, n, "%.100s is no absolute path", n->text ? n->text : "?");
	}
}

static void oci_device(struct import *im, const struct node *n, const char *access, bool allow)
{
	const char *type = text_at(n, "type"), *major = text_at(n, "major");
	const char *minor = text_at(n, "minor");
	char ops[32] = "";

	if (!type || (strcmp(type, "c") && strcmp(type, "b") && strcmp(type, "u"))) {
		bool all = !type || !strcmp(type, "a");

		if (allow || !all)
			LOST(im, n, "a device rule of type %.10s is not carried over",
			     type ? type : "(none)");
		/* "deny everything" is the default of the class. */
		if (!allow && all && (major || minor))
			LOST(im, n, "a device rule without a type: both types are denied");
		for (unsigned block = 0; !allow && all && (major || minor) && block < 2; block++)
			RULE(im, n, WARDER_CLASS_DEVICE, "{deny: [open, mknod], node: \"%c %s:%s\"}",
			     block ? 'b' : 'c', major && strcmp(major, "-1") ? major : "*",
			     minor && strcmp(minor, "-1") ? minor : "*");
		return;
	}
	if (strpbrk(access, "rw"))
		strcat(ops, "open");
	if (strchr(access, 'm'))
		strcat(ops, *ops ? ", mknod" : "mknod");
	if (!*ops)
		return;
	if (strcmp(access, "rwm") && strcmp(access, "rw") && strcmp(access, "m"))
		LOST(im, n, "access %.10s: reading and writing a device are one right here", access);
	RULE(im, n, WARDER_CLASS_DEVICE, "{%s: [%s], node: \"%c %s:%s\"}", allow ? "allow" : "deny",
	     ops, type[0] == 'b' ? 'b' : 'c', major && strcmp(major, "-1") ? major : "*",
	     minor && strcmp(minor, "-1") ? minor : "*");
}

static void oci_devices(struct import *im, const struct node *linux_)
{
	const struct node *list = list_at(linux_, "devices"), *resources = map_get(linux_, "resources");

	for (size_t i = 0; i < list->count; i++)
		oci_device(im, list->item[i], "rw", true);
	list = list_at(resources, "devices");
	for (size_t i = 0; i < list->count; i++) {
		const char *access = text_at(list->item[i], "access");

		oci_device(im, list->item[i], access ? access : "rwm",
			   true_at(list->item[i], "allow"));
	}
}

/* A mount that is read-only for the container is one that its policy lets nobody write. */
static void oci_mounts(struct import *im, const struct node *root)
{
	const struct node *list = list_at(root, "mounts");

	for (size_t i = 0; i < list->count; i++) {
		const struct node *options = list_at(list->item[i], "options");
		struct node *target = map_get(list->item[i], "destination");

		for (size_t k = 0; target && k < options->count; k++) {
			struct node *one[] = { target };
			const struct node paths = { .type = NODE_SEQ, .item = one, .count = 1 };

			if (node_is(options->item[k], "ro"))
				oci_paths(im, &paths, IMPORT_CHANGES);
			else if (node_is(options->item[k], "noexec") ||
				 node_is(options->item[k], "nosuid") ||
				 node_is(options->item[k], "nodev"))
				LOST(im, options->item[k], "%.10s of %.100s is not carried over: the "
				     "runtime sees to it", options->item[k]->text,
				     target->type == NODE_SCALAR ? target->text : "?");
		}
	}
}

static void oci_lost(struct import *im, const struct node *map, const char *where,
		     const char *const *carried, const char *const *harmless)
{
	for (size_t i = 0; map && map->type == NODE_MAP && i + 1 < map->count; i += 2) {
		const char *key = map->item[i]->text;
		bool known = false;

		for (size_t k = 0; carried[k]; k++)
			known |= !strcmp(carried[k], key);
		for (size_t k = 0; harmless[k]; k++)
			known |= !strcmp(harmless[k], key);
		if (!known)
			LOST(im, map->item[i], "%s%.40s is not carried over: the runtime sees to it",
			     where, key);
	}
}

static void oci_namespaces(struct import *im, const struct node *linux_)
{
	static const char *const wanted[] = { "pid", "network", "ipc", "uts", "mount" };
	const struct node *list = list_at(linux_, "namespaces");

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		bool found = false;

		for (size_t k = 0; k < list->count; k++)
			found |= text_at(list->item[k], "type") &&
				 !strcmp(text_at(list->item[k], "type"), wanted[i]);
		if (!found && linux_)
			LOST(im, linux_, "the container shares the host's %s namespace: the policy "
				       "does not change that", wanted[i]);
	}
}

int policy_import_oci(const char *name, const char *text, size_t len, char **ret_text,
		      struct policy_diags *diags)
{
	static const char *const root_keys[] = { "process", "linux", "mounts", "root", "ociVersion",
						 "hostname", "annotations", "domainname", NULL };
	static const char *const linux_keys[] = { "devices", "resources", "maskedPaths",
						  "readonlyPaths", "namespaces", NULL };
	static const char *const linux_harmless[] = { "cgroupsPath", NULL };
	static const char *const process_keys[] = { "capabilities", NULL };
	static const char *const process_harmless[] = { "args", "env", "cwd", "terminal", "user",
							"consoleSize", "commandLine", NULL };
	static const char *const none[] = { NULL };
	struct import im = { .name = name, .from = "an OCI config.json", .diags = diags };
	const struct node *process, *linux_, *rootfs;
	struct arena arena = { 0 };
	struct node *root;
	int err = read_root(name, text, len, &arena, &root, diags);

	*ret_text = NULL;
	if (!err && !map_get(root, "ociVersion")) {
		diag_add(diags, name, 1, 1, 0, "no OCI config.json: it has no ociVersion");
		err = -EINVAL;
	}
	if (err)
		goto out;
	process = map_get(root, "process");
	linux_ = map_get(root, "linux");
	rootfs = map_get(root, "root");
	import_name(&im, text_at(root, "hostname") ? text_at(root, "hostname") : "imported");
	oci_capabilities(&im, process);
	if (linux_) {
		oci_devices(&im, linux_);
		oci_paths(&im, list_at(linux_, "maskedPaths"), "\"*\"");
		oci_paths(&im, list_at(linux_, "readonlyPaths"), IMPORT_CHANGES);
		oci_namespaces(&im, linux_);
	}
	oci_mounts(&im, root);
	if (rootfs && true_at(rootfs, "readonly"))
		LOST(&im, rootfs, "a read-only root is not carried over: a deny rule on /** would hold "
				  "for volumes, too");
	oci_lost(&im, root, "", root_keys, none);
	oci_lost(&im, linux_, "linux.", linux_keys, linux_harmless);
	oci_lost(&im, process, "process.", process_keys, process_harmless);
	err = import_finish(&im, ret_text);
out:
	arena_done(&arena);
	return err;
}
