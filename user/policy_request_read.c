// SPDX-License-Identifier: LGPL-2.1-or-later
/* Requests out of text: what `warder policy explain` and files of tests ask. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "policy_internal.h"
#include "policy_tools.h"
#include "warder_decide.h"

const struct request_word request_families[] = {
	{ "inet", WARDER_FAM_INET, AF_INET },	    { "inet6", WARDER_FAM_INET6, AF_INET6 },
	{ "unix", WARDER_FAM_UNIX, AF_UNIX },	    { "netlink", WARDER_FAM_NETLINK, AF_NETLINK },
	{ "packet", WARDER_FAM_PACKET, AF_PACKET }, { "vsock", WARDER_FAM_VSOCK, AF_VSOCK },
	{ "other", WARDER_FAM_OTHER, AF_UNSPEC },   { NULL, 0, 0 },
};

const struct request_word request_protocols[] = {
	{ "tcp", WARDER_PROTO_TCP, 0 },	    { "udp", WARDER_PROTO_UDP, 0 },
	{ "icmp", WARDER_PROTO_ICMP, 0 },   { "sctp", WARDER_PROTO_SCTP, 0 },
	{ "raw", WARDER_PROTO_RAW, 0 },	    { "other", WARDER_PROTO_OTHER, 0 },
	{ NULL, 0, 0 },
};

/* Comma-separated words of a class into bits. */
static int read_words(enum warder_class class_, const char *list, __u64 *ret,
		      struct warder_error *e)
{
	cleanup_free char *copy = strdup(list);
	char *save, *word;
	__u64 bits;

	*ret = 0;
	if (!copy)
		return -ENOMEM;
	for (word = strtok_r(copy, ", ", &save); word; word = strtok_r(NULL, ", ", &save)) {
		if (policy_word_bits(class_, word, &bits))
			return error_set(e, -EINVAL,
					 class_ == WARDER_CLASS_CAPABILITY ?
						 "no %s is called \"%.64s\"" :
						 "no %s access is called \"%.64s\"",
					 class_name(class_), word);
		*ret |= bits;
	}
	return *ret ? 0 : error_set(e, -EINVAL, "%s: none is named", class_name(class_));
}

static int read_flags(const char *list, __u32 *ret, struct warder_error *e)
{
	cleanup_free char *copy = strdup(list);
	char *save, *word;
	__u32 bit;

	if (!copy)
		return -ENOMEM;
	for (word = strtok_r(copy, ", ", &save); word; word = strtok_r(NULL, ", ", &save)) {
		if (mount_flag_from_name(word, &bit))
			return error_set(e, -EINVAL, "no mount flag is called \"%.64s\"", word);
		*ret |= bit;
	}
	return 0;
}

/* Names are compared as the kernel knows them. */
static int read_path(const char *path, struct policy_request *r, struct warder_error *e)
{
	size_t len = strlen(path);

	if (path[0] != '/' || strstr(path, "//") || strstr(path, "/./") || strstr(path, "/../") ||
	    (len > 1 && path[len - 1] == '/') || (len > 1 && !strcmp(path + len - 2, "/.")) ||
	    (len > 2 && !strcmp(path + len - 3, "/..")) || len >= WARDER_PATH_MAX)
		return error_set(e, -EINVAL,
				 "\"%.128s\" is no name that the kernel gives: absolute, without "
				 "'//', '.', '..' or a '/' at its end",
				 path);
	r->path = path;
	return 0;
}

static int read_port(const char *text, __u16 *ret, struct warder_error *e)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end || n > 65535)
		return error_set(e, -EINVAL, "\"%.32s\" is no port: a number from 0 to 65535",
				 text);
	*ret = (__u16)n;
	return 0;
}

/* "10.0.0.1:80", "[fd00::1]:443", "10.0.0.1", "fd00::1", ":80". */
static int read_address(const char *text, struct warder_address *a, struct warder_error *e)
{
	char host[64] = "";
	const char *port = NULL, *end;
	struct in_addr v4;

	if (text[0] == '[') {
		end = strchr(text, ']');
		if (end && end[1] == ':')
			port = end + 2;
		if (!end || (end[1] && !port) || (size_t)(end - text) > sizeof(host))
			return error_set(e, -EINVAL, "\"%.64s\": expected [ADDRESS]:PORT", text);
		snprintf(host, sizeof(host), "%.*s", (int)(end - text - 1), text + 1);
	} else {
		end = strchr(text, ':');
		if (end && strchr(end + 1, ':'))
			end = NULL; /* an IPv6 address without a port */
		if (end)
			port = end + 1;
		snprintf(host, sizeof(host), "%.*s", end ? (int)(end - text) : 63, text);
	}
	if (port && read_port(port, &a->port, e))
		return -EINVAL;
	if (!host[0])
		return 0;
	if (inet_pton(AF_INET, host, &v4) == 1) {
		memset(a->addr, 0, 10);
		a->addr[10] = a->addr[11] = 0xff;
		memcpy(a->addr + 12, &v4, 4);
		a->families = WARDER_FAM_INET;
		a->family = AF_INET;
	} else if (inet_pton(AF_INET6, host, a->addr) == 1) {
		a->families = WARDER_FAM_INET6;
		a->family = AF_INET6;
	} else {
		return error_set(e, -EINVAL, "\"%.64s\" is no IPv4 or IPv6 address", host);
	}
	return 0;
}

static int read_family(const char *name, struct warder_address *a, struct warder_error *e)
{
	for (size_t i = 0; request_families[i].name; i++)
		if (!strcmp(request_families[i].name, name)) {
			a->families = request_families[i].bit;
			a->family = (__u16)request_families[i].family;
			return 0;
		}
	return error_set(e, -EINVAL, "no address family is called \"%.32s\"", name);
}

static int read_protocol(const char *name, struct warder_address *a, struct warder_error *e)
{
	for (size_t i = 0; request_protocols[i].name; i++)
		if (!strcmp(request_protocols[i].name, name)) {
			a->protocols = request_protocols[i].bit;
			return 0;
		}
	return error_set(e, -EINVAL, "no protocol is called \"%.32s\" (tcp, udp, icmp, sctp, raw)",
			 name);
}

static int read_number(const char *text, __u32 *ret)
{
	char *end;
	unsigned long n;

	if (!strcmp(text, "*")) {
		*ret = WARDER_DEVICE_ANY;
		return 0;
	}
	n = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || n > 0xfffff)
		return -EINVAL;
	*ret = (__u32)n;
	return 0;
}

/* "c 1:3" */
static int read_node(const char *text, struct policy_request *r, struct warder_error *e)
{
	char copy[32], *colon;

	snprintf(copy, sizeof(copy), "%s", text);
	colon = strchr(copy, ':');
	if ((copy[0] != 'c' && copy[0] != 'b') || copy[1] != ' ' || !colon)
		goto bad;
	*colon = 0;
	r->device_type = copy[0] == 'c' ? 0020000u : 0060000u;
	if (read_number(copy + 2, &r->device_major) || read_number(colon + 1, &r->device_minor) ||
	    r->device_major == WARDER_DEVICE_ANY || r->device_minor == WARDER_DEVICE_ANY)
		goto bad;
	return 0;
bad:
	return error_set(e, -EINVAL, "\"%.32s\" is no device node: expected \"c MAJOR:MINOR\"",
			 text);
}

static int read_peer(const char *text, struct policy_request *r, struct warder_error *e)
{
	static const struct {
		const char *word;
		enum warder_peer peer;
		bool name;
	} peers[] = { { "same", WARDER_PEER_SAME, false },
		      { "container", WARDER_PEER_CONTAINER, false },
		      { "host", WARDER_PEER_HOST, false },
		      { "policy:", WARDER_PEER_POLICY, true },
		      { "container:", WARDER_PEER_NAME, true } };

	for (size_t i = 0; i < ARRAY_SIZE(peers); i++) {
		size_t len = strlen(peers[i].word);

		if (peers[i].name ? strncmp(peers[i].word, text, len) || !text[len] ||
					    strlen(text + len) >= WARDER_NAME_SIZE
				  : strcmp(peers[i].word, text))
			continue;
		r->peer = peers[i].peer;
		r->peer_name = peers[i].name ? text + len : NULL;
		return 0;
	}
	return error_set(e, -EINVAL,
			 "no peer is called \"%.64s\" (same, container, host, policy:NAME, "
			 "container:NAME)",
			 text);
}

/* "proc", "proc:/sysrq-trigger", "other" */
static int read_fs(const char *text, struct policy_request *r, struct warder_error *e)
{
	const char *colon = strchr(text, ':');
	struct policy_request name = { .path = NULL };

	r->fs = text;
	if (!strcmp(text, "other"))
		return 0;
	if (!request_fs_magic(text))
		return error_set(e, -EINVAL,
				 "\"%.64s\": expected a file system of the kernel's (proc, sysfs, cgroup, "
				 "binfmt_misc, bpf, debugfs, tracefs, securityfs, efivarfs, configfs), with "
				 ":/NAME below its root where that is not mounted as usual, or other",
				 text);
	return colon ? read_path(colon + 1, &name, e) : 0;
}

/* The pair that says the class, and its value. */
static int read_class(const struct request_pair *p, struct policy_request *r,
		      struct warder_error *e)
{
	__u64 bits;
	int err;

	for (__u32 c = WARDER_CLASS_FILE; c < WARDER_CLASS__MAX; c++)
		if (class_name(c) && !strcmp(class_name(c), p->key))
			r->class_ = c;
	switch (r->class_) {
	case WARDER_CLASS_EXEC:
		r->access = WARDER_ACC_EXEC;
		return read_path(p->value, r, e);
	case WARDER_CLASS_MOUNT:
		/* What is mounted is a type, or another operation by its name. */
		if (!policy_word_bits(WARDER_CLASS_MOUNT, p->value, &bits) &&
		    bits != WARDER_MNT_NEW) {
			r->access = (__u32)bits;
			return 0;
		}
		if (strlen(p->value) >= WARDER_FSTYPE_SIZE)
			return error_set(e, -EINVAL, "the type \"%.64s\" is too long", p->value);
		r->access = WARDER_MNT_NEW;
		r->fstype = p->value;
		return 0;
	case WARDER_CLASS_KEYRING:
	case WARDER_CLASS_OVERRIDE:
	case WARDER_CLASS_IDENTITY:
	case WARDER_CLASS_NONE:
		return error_set(e, -EINVAL,
				 "the class is file, exec, capability, mount, network, memory, "
				 "namespace, kernel, device, ptrace, signal or ipc, not \"%.32s\"",
				 p->key);
	default:
		err = read_words(r->class_, p->value, &bits, e);
		if (err)
			return err;
		if (!policy_class_is_number(r->class_)) {
			r->access = (__u32)bits;
		} else if (bits & (bits - 1)) {
			return error_set(e, -EINVAL, "%s: one at a time", p->key);
		} else {
			r->access = (__u32)__builtin_ctzll(bits);
			r->access += r->class_ == WARDER_CLASS_SIGNAL;
		}
		return 0;
	}
}

/* A pair beside the one that says the class. */
static int read_pair(const struct request_pair *p, struct policy_request *r,
		     struct warder_error *e)
{
	bool network = r->class_ == WARDER_CLASS_NETWORK, mount = r->class_ == WARDER_CLASS_MOUNT;

	if (!strcmp(p->key, "path") &&
	    (r->class_ == WARDER_CLASS_FILE || r->class_ == WARDER_CLASS_DEVICE))
		return read_path(p->value, r, e);
	if (!strcmp(p->key, "fs") &&
	    (r->class_ == WARDER_CLASS_FILE || r->class_ == WARDER_CLASS_EXEC))
		return read_fs(p->value, r, e);
	if (!strcmp(p->key, "target") && mount)
		return read_path(p->value, r, e);
	if (!strcmp(p->key, "source") && mount) {
		r->source = p->value;
		return 0;
	}
	if (!strcmp(p->key, "type") && mount && r->access == WARDER_MNT_BIND) {
		r->fstype = p->value;
		return 0;
	}
	if (!strcmp(p->key, "options") && mount) {
		r->options = p->value;
		return 0;
	}
	if (!strcmp(p->key, "flags") && mount)
		return read_flags(p->value, &r->flags, e);
	if (!strcmp(p->key, "to") && network)
		return read_address(p->value, &r->address, e);
	if (!strcmp(p->key, "port") && network)
		return read_port(p->value, &r->address.port, e);
	if (!strcmp(p->key, "protocol") && network)
		return read_protocol(p->value, &r->address, e);
	if (!strcmp(p->key, "family") && network)
		return read_family(p->value, &r->address, e);
	if (!strcmp(p->key, "unix") && network && p->value[0] != '@') {
		r->address.families = WARDER_FAM_UNIX;
		r->address.family = AF_UNIX;
		return read_path(p->value, r, e);
	}
	if ((!strcmp(p->key, "abstract") || !strcmp(p->key, "unix")) && network) {
		r->address.families = WARDER_FAM_UNIX;
		r->address.family = AF_UNIX;
		r->abstract = 1;
		r->path = p->value[0] == '@' ? p->value + 1 : p->value;
		return strlen(r->path) < 108 ? 0 :
			       error_set(e, -EINVAL, "an abstract name has at most 107 bytes");
	}
	if (!strcmp(p->key, "node") && r->class_ == WARDER_CLASS_DEVICE)
		return read_node(p->value, r, e);
	if (!strcmp(p->key, "peer") &&
	    (r->class_ == WARDER_CLASS_PTRACE || r->class_ == WARDER_CLASS_SIGNAL ||
	     r->class_ == WARDER_CLASS_IPC || network))
		return read_peer(p->value, r, e);
	if (!strcmp(p->key, "policy") &&
	    (r->class_ == WARDER_CLASS_PTRACE || r->class_ == WARDER_CLASS_SIGNAL ||
	     r->class_ == WARDER_CLASS_IPC || network)) {
		r->peer_policy = p->value;
		return p->value[0] && strlen(p->value) < WARDER_NAME_SIZE ? 0 :
			       error_set(e, -EINVAL, "\"%.64s\" is no name of a policy", p->value);
	}
	return error_set(e, -EINVAL, "a request of class %s has no \"%.32s\"",
			 class_name(r->class_), p->key);
}

/* A connection goes to a port; that of no number is 0, which nobody means by leaving it out. */
static int check_port(const struct request_pair *pair, size_t count, const struct policy_request *r,
		      struct warder_error *e)
{
	const char *to = NULL, *end;

	if (r->class_ != WARDER_CLASS_NETWORK ||
	    !(r->access & (WARDER_NET_CONNECT | WARDER_NET_SEND)) ||
	    !(r->address.protocols & (WARDER_PROTO_TCP | WARDER_PROTO_UDP | WARDER_PROTO_SCTP)))
		return 0;
	for (size_t i = 0; i < count; i++) {
		if (!strcmp(pair[i].key, "port"))
			return 0;
		if (!strcmp(pair[i].key, "to"))
			to = pair[i].value;
	}
	end = to ? strchr(to, to[0] == '[' ? ']' : ':') : NULL;
	if (!to || (end && (to[0] == '[' ? end[1] == ':' : !strchr(end + 1, ':'))))
		return 0;
	return error_set(e, -EINVAL, "network: to which port of %.64s?", to);
}

static int check_complete(const struct policy_request *r, struct warder_error *e)
{
	if (r->peer_policy && r->peer != WARDER_PEER_NAME)
		return error_set(e, -EINVAL, "policy: says under which policy the peer container:NAME is");
	switch (r->class_) {
	case WARDER_CLASS_FILE:
		return r->path ? 0 : error_set(e, -EINVAL, "file: which path?");
	case WARDER_CLASS_MOUNT:
		return r->path ? 0 : error_set(e, -EINVAL, "mount: on which target?");
	case WARDER_CLASS_DEVICE:
		return r->device_type ? 0 : error_set(e, -EINVAL, "device: which node?");
	case WARDER_CLASS_NETWORK:
		if ((r->address.families & WARDER_FAM_IP) && !r->address.protocols)
			return error_set(e, -EINVAL, "network: which protocol (tcp, udp, ...)?");
		if (r->peer && (r->address.families != WARDER_FAM_UNIX ||
				!(r->access & (WARDER_NET_CONNECT | WARDER_NET_SEND))))
			return error_set(e, -EINVAL,
					 "network: only connecting and sending to a unix socket have "
					 "a peer");
		return r->address.families ? 0 :
			       error_set(e, -EINVAL,
					 "network: to which address, unix path, abstract name, or of "
					 "which family?");
	default:
		return 0;
	}
}

int request_from_pairs(const struct request_pair *pair, size_t count, struct policy_request *ret,
		       int *ret_bad, struct warder_error *e)
{
	size_t first = count;
	int err;

	memset(ret, 0, sizeof(*ret));
	*ret_bad = -1;
	/* The class may stand anywhere in a mapping. */
	for (size_t i = 0; i < count && first == count; i++)
		for (__u32 c = WARDER_CLASS_FILE; c < WARDER_CLASS__MAX; c++)
			if (class_name(c) && !strcmp(class_name(c), pair[i].key))
				first = i;
	if (first == count)
		first = 0;
	if (!count)
		return error_set(e, -EINVAL, "the request is empty");
	*ret_bad = (int)first;
	err = read_class(&pair[first], ret, e);
	for (size_t i = 0; !err && i < count; i++) {
		if (i == first)
			continue;
		*ret_bad = (int)i;
		err = read_pair(&pair[i], ret, e);
	}
	if (err)
		return err;
	*ret_bad = -1;
	/* A port alone is asked for at any address of the more common family. */
	if (ret->class_ == WARDER_CLASS_NETWORK && !ret->address.families &&
	    (ret->address.port || ret->address.protocols)) {
		ret->address.families = WARDER_FAM_INET;
		ret->address.family = AF_INET;
		ret->address.addr[10] = ret->address.addr[11] = 0xff;
	}
	err = check_port(pair, count, ret, e);
	return err ? err : check_complete(ret, e);
}

/* The positions of the plain form after CLASS, as keys; '?' may be left out. */
static const struct {
	const char *class_;
	const char *keys[4];
} positions[] = {
	{ "file", { "file", "path" } },
	{ "exec", { "exec" } },
	{ "capability", { "capability" } },
	{ "memory", { "memory" } },
	{ "namespace", { "namespace" } },
	{ "kernel", { "kernel" } },
	{ "device", { "device", "node", "?path" } },
	{ "ptrace", { "ptrace", "?peer", "?policy" } },
	{ "signal", { "signal", "?peer", "?policy" } },
	{ "ipc", { "ipc", "?peer", "?policy" } },
	{ "mount", { "mount", "target", "?flags", "?options" } },
};

static int network_pairs(int argc, char **argv, struct request_pair *pair, size_t *ret_count,
			 struct warder_error *e)
{
	bool named = argc > 3 && (!strcmp(argv[2], "unix") || !strcmp(argv[2], "abstract"));

	if (argc != 4 && !(argc == 5 && named) && !(argc == 3 && strchr("nvpo", argv[2][0])))
		return error_set(e, -EINVAL,
				 "network OPERATION tcp|udp|... ADDRESS:PORT, network OPERATION "
				 "unix PATH [PEER], abstract NAME [PEER], or a family");
	pair[0] = (struct request_pair) { "network", argv[1] };
	if (argc == 3)
		pair[1] = (struct request_pair) { "family", argv[2] };
	else if (named)
		pair[1] = (struct request_pair) { argv[2], argv[3] };
	else
		pair[1] = (struct request_pair) { "to", argv[3] };
	*ret_count = 2;
	if (argc == 5)
		pair[(*ret_count)++] = (struct request_pair) { "peer", argv[4] };
	if (argc == 4 && !strcmp(pair[1].key, "to"))
		pair[(*ret_count)++] = (struct request_pair) { "protocol", argv[2] };
	return 0;
}

/* {file: read, path: /x} */
static int flow_pairs(const char *text, struct arena *arena, struct request_pair *pair,
		      size_t *ret_count, struct warder_error *e)
{
	struct policy_diags diags = { 0 };
	struct node *root;
	int err = yaml_read(arena, "request", text, strlen(text), &root, &diags);

	if (!err && diags.errors)
		err = -EINVAL;
	if (err)
		error_set(e, err, "the request is no mapping: %s",
			  diags.count ? diags.item[0].text : strerror(-err));
	policy_diags_done(&diags);
	if (err)
		return err;
	if (root->type != NODE_MAP || root->count > 2 * REQUEST_PAIRS_MAX)
		return error_set(e, -EINVAL, "the request is no mapping of at most %d keys",
				 REQUEST_PAIRS_MAX);
	for (size_t i = 0; i + 1 < root->count; i += 2) {
		if (root->item[i + 1]->type != NODE_SCALAR)
			return error_set(e, -EINVAL, "%.32s: expected a word", root->item[i]->text);
		pair[(*ret_count)++] =
			(struct request_pair) { root->item[i]->text, root->item[i + 1]->text };
	}
	return 0;
}

/* Strings of the pairs, copied into one block, so that the arena can go. */
static char *pairs_keep(struct request_pair *pair, size_t count)
{
	size_t len = 1;
	char *block, *at;

	for (size_t i = 0; i < count; i++)
		len += strlen(pair[i].key) + strlen(pair[i].value) + 2;
	block = at = malloc(len);
	for (size_t i = 0; block && i < count; i++) {
		char *key = at;

		at = stpcpy(at, pair[i].key) + 1;
		pair[i].key = key;
		key = at;
		at = stpcpy(at, pair[i].value) + 1;
		pair[i].value = key;
	}
	return block;
}

static int plain_pairs(int argc, char **argv, struct request_pair *pair, size_t *ret_count,
		       struct warder_error *e)
{
	static const char *const target[] = { "mount", "target", "?flags", NULL };
	const char *const *keys = NULL;
	__u64 bits;
	int shift = 1, n;

	for (size_t i = 0; i < ARRAY_SIZE(positions) && !keys; i++)
		if (!strcmp(argv[0], positions[i].class_))
			keys = positions[i].keys;
	if (!keys && !policy_word_bits(WARDER_CLASS_MOUNT, argv[0], &bits)) {
		keys = target;
		shift = 0;
	}
	if (!keys)
		return error_set(e, -EINVAL,
				 "the class is file, exec, capability, network, memory, namespace, "
				 "kernel, device, ptrace, signal, ipc or a mount operation, not "
				 "\"%.32s\"",
				 argv[0]);
	for (n = 0; n < 4 && keys[n] && n + shift < argc; n++)
		pair[(*ret_count)++] = (struct request_pair) { keys[n] + (keys[n][0] == '?'),
							       argv[n + shift] };
	if (n + shift < argc || (n < 4 && keys[n] && keys[n][0] != '?'))
		return error_set(e, -EINVAL, "%s: %s argument", argv[0],
				 n + shift < argc ? "one too many" : "it needs another");
	return 0;
}

int request_from_arguments(int argc, char **argv, struct policy_request *ret, char **ret_memory,
			   struct warder_error *e)
{
	struct request_pair pair[REQUEST_PAIRS_MAX];
	struct arena arena = { 0 };
	size_t count = 0;
	int bad, err;

	*ret_memory = NULL;
	if (argc < 1)
		return error_set(e, -EINVAL, "a request, please: CLASS and its words");
	if (argc == 1 && argv[0][0] == '{') {
		err = flow_pairs(argv[0], &arena, pair, &count, e);
		if (!err && !(*ret_memory = pairs_keep(pair, count)))
			err = -ENOMEM;
		arena_done(&arena);
	} else if (!strcmp(argv[0], "network")) {
		err = network_pairs(argc, argv, pair, &count, e);
	} else {
		err = plain_pairs(argc, argv, pair, &count, e);
	}
	if (!err)
		err = request_from_pairs(pair, count, ret, &bad, e);
	if (err) {
		free(*ret_memory);
		*ret_memory = NULL;
	}
	return err;
}
