// SPDX-License-Identifier: LGPL-2.1-or-later
/* Recorded events -> requests that can be judged again; equal ones are counted once. A line may
 * come from anywhere: every member may be missing or of another type. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy_internal.h"
#include "policy_tools.h"

static const char *text_of(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_string) ?
		       json_object_get_string(v) :
		       NULL;
}

static bool number_of(struct json_object *o, const char *key, int64_t *ret)
{
	struct json_object *v;

	if (!json_object_object_get_ex(o, key, &v) || !json_object_is_type(v, json_type_int))
		return false;
	*ret = json_object_get_int64(v);
	return true;
}

/* Bytes of a name: \xNN is one byte, see put_bytes() in events.c. NULL if a NUL is among them. */
static char *unescape(const char *s, char **at)
{
	char *start = *at, *out = start;

	for (; *s; s++) {
		unsigned byte;

		if (s[0] == '\\' && s[1] == 'x' && sscanf(s + 2, "%2x", &byte) == 1 &&
		    strspn(s + 2, "0123456789abcdef") >= 2) {
			if (!byte)
				return NULL;
			*out++ = (char)byte;
			s += 3;
		} else {
			*out++ = *s;
		}
	}
	*out = 0;
	*at = out + 1;
	return start;
}

/* The words of a list of strings as bits. -EINVAL: none, or an unknown one. */
static int access_bits(struct json_object *o, enum warder_class class_, __u64 *ret)
{
	struct json_object *list;

	*ret = 0;
	if (!json_object_object_get_ex(o, "access", &list) ||
	    !json_object_is_type(list, json_type_array))
		return -EINVAL;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *v = json_object_array_get_idx(list, i);
		__u64 bits;

		if (!json_object_is_type(v, json_type_string) ||
		    policy_word_bits(class_, json_object_get_string(v), &bits)) {
			/* A file event may speak of execution, too: of a class of its own. */
			if (class_ == WARDER_CLASS_FILE &&
			    json_object_is_type(v, json_type_string) &&
			    !strcmp(json_object_get_string(v), "exec"))
				bits = WARDER_ACC_EXEC;
			else
				return -EINVAL;
		}
		*ret |= bits;
	}
	return *ret ? 0 : -EINVAL;
}

static void read_flags(struct json_object *o, __u32 *ret)
{
	struct json_object *list;
	__u32 bit;

	if (!json_object_object_get_ex(o, "flags", &list) ||
	    !json_object_is_type(list, json_type_array))
		return;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *v = json_object_array_get_idx(list, i);

		if (json_object_is_type(v, json_type_string) &&
		    !mount_flag_from_name(json_object_get_string(v), &bit))
			*ret |= bit;
	}
}

static bool is_same_profile(struct json_object *o)
{
	const char *own = text_of(o, "profile"), *peer = text_of(o, "peer_profile");

	return !strcmp(own ? own : "", peer ? peer : "");
}

static const char *read_peer(struct json_object *o, struct policy_request *r)
{
	const char *peer = text_of(o, "peer");
	int64_t cid = 0, own = 0;

	number_of(o, "cid", &own);
	if (number_of(o, "peer_cid", &cid) && cid == own)
		/* What is no task is of no profile, and taken to be of the one that asks. */
		r->peer = r->class_ != WARDER_CLASS_SIGNAL && r->class_ != WARDER_CLASS_PTRACE ? WARDER_PEER_SAME :
			  is_same_profile(o) ? WARDER_PEER_SAME : WARDER_PEER_CONTAINER;
	else if (!cid)
		r->peer = WARDER_PEER_HOST;
	else if (peer && strlen(peer) < WARDER_NAME_SIZE) {
		r->peer = WARDER_PEER_NAME;
		r->peer_name = peer;
	} else {
		return "the peer's name was not recorded";
	}
	return NULL;
}

/* Through the same words as files of tests, so that both mean the same. */
static const char *read_network(struct json_object *o, struct policy_event *e)
{
	struct request_pair pair[REQUEST_PAIRS_MAX] = { { "network", "connect" } };
	const char *address = text_of(o, "address"), *path = e->request.path;
	struct warder_error error;
	size_t count = 1;
	char to[128];
	int64_t port;
	__u64 bits;
	int bad;

	if (access_bits(o, WARDER_CLASS_NETWORK, &bits))
		return "which operation it was is not recorded";
	if (address) {
		if (number_of(o, "port", &port) && port >= 0 && port <= 65535)
			snprintf(to, sizeof(to), strchr(address, ':') ? "[%.64s]:%d" : "%.64s:%d",
				 address, (int)port);
		else
			snprintf(to, sizeof(to), "%.127s", address);
		pair[count++] = (struct request_pair) { "to", to };
	} else if (path) {
		pair[count++] = (struct request_pair) { "unix", path };
	} else if (text_of(o, "family")) {
		pair[count++] = (struct request_pair) { "family", text_of(o, "family") };
	}
	if (text_of(o, "protocol"))
		pair[count++] = (struct request_pair) { "protocol", text_of(o, "protocol") };
	if (count == 1 || request_from_pairs(pair, count, &e->request, &bad, &error))
		return "its address was not recorded";
	e->request.access = (__u32)bits;
	/* Of another container's the name is not recorded: judged as the host's, to which least is
	 * open. */
	if (e->request.address.families == WARDER_FAM_UNIX &&
	    (bits & (WARDER_NET_CONNECT | WARDER_NET_SEND)) && number_of(o, "peer_cid", &port))
		read_peer(o, &e->request);
	return NULL;
}

static const char *read_switch(struct json_object *o, struct policy_request *r)
{
	__u64 bits;

	if (access_bits(o, r->class_, &bits) || (bits & (bits - 1)))
		return "which switch it was is not recorded";
	r->access = (__u32)__builtin_ctzll(bits);
	return NULL;
}

static const char *read_device(struct json_object *o, struct policy_request *r)
{
	const char *node = text_of(o, "node");
	char type;
	__u64 bits;

	if (access_bits(o, WARDER_CLASS_DEVICE, &bits) || !node ||
	    sscanf(node, "%c %u:%u", &type, &r->device_major, &r->device_minor) != 3 ||
	    (type != 'c' && type != 'b'))
		return "which node it was is not recorded";
	r->access = (__u32)bits;
	r->device_type = type == 'c' ? 0020000u : 0060000u;
	return NULL;
}

/* NULL, or why the request cannot be judged again. */
static const char *read_request(struct json_object *o, struct policy_event *e)
{
	struct policy_request *r = &e->request;
	const char *detail = text_of(o, "detail"), *cap = text_of(o, "capability");
	int64_t n;
	__u64 bits;

	switch (r->class_) {
	case WARDER_CLASS_FILE:
	case WARDER_CLASS_EXEC:
		if (access_bits(o, WARDER_CLASS_FILE, &bits))
			return "which access it was is not recorded";
		r->access = (__u32)bits;
		r->class_ = bits == WARDER_ACC_EXEC ? WARDER_CLASS_EXEC : WARDER_CLASS_FILE;
		return r->path && r->path[0] == '/' ? NULL : "the object has no name";
	case WARDER_CLASS_CAPABILITY:
		if (!cap || capability_from_name(cap) < 0)
			return "which capability it was is not recorded";
		r->access = (__u32)capability_from_name(cap);
		return NULL;
	case WARDER_CLASS_MOUNT:
		if (access_bits(o, WARDER_CLASS_MOUNT, &bits) || (bits & (bits - 1)))
			return "which operation it was is not recorded";
		r->access = (__u32)bits;
		read_flags(o, &r->flags);
		if (detail && strlen(detail) < WARDER_FSTYPE_SIZE && bits == WARDER_MNT_NEW)
			r->fstype = detail;
		return r->path && r->path[0] == '/' ? NULL : "the target has no name";
	case WARDER_CLASS_SIGNAL:
		if (!number_of(o, "signal", &n) || n < 0 || n > 64)
			return "which signal it was is not recorded";
		r->access = (__u32)n;
		return read_peer(o, r);
	case WARDER_CLASS_PTRACE:
	case WARDER_CLASS_IPC:
		if (access_bits(o, r->class_, &bits))
			return "which access it was is not recorded";
		r->access = (__u32)bits;
		return read_peer(o, r);
	case WARDER_CLASS_NETWORK:
		return read_network(o, e);
	case WARDER_CLASS_MEMORY:
	case WARDER_CLASS_NAMESPACE:
	case WARDER_CLASS_KERNEL:
		return read_switch(o, r);
	case WARDER_CLASS_DEVICE:
		return read_device(o, r);
	default:
		return "no rule of a policy speaks of its class";
	}
}

/* What the kernel found of a file's signature cannot be judged again without it. */
static const char *signature_reason(int err)
{
	switch (err) {
	case ENODATA:
		return POLICY_EVENT_SIGNED "the policy has no signature of this file's content: it was "
					   "never signed, or has changed, or is in memory only";
	case ENOKEY:
		return POLICY_EVENT_SIGNED "the file is signed, but by none of the policy's signers";
	case EKEYREJECTED:
		return POLICY_EVENT_SIGNED "the signature is not of this file's content";
	case EBADMSG:
		return POLICY_EVENT_SIGNED "the signature cannot be read";
	case ETXTBSY:
		return POLICY_EVENT_SIGNED "somebody has the file open for writing";
	case EPERM:
		return POLICY_EVENT_SIGNED "a mapping of the file would be writable, or was not checked "
					   "when it was made";
	default:
		return POLICY_EVENT_SIGNED "the kernel has no digest of the file";
	}
}

/* Members common to all; NULL, or why it is left out. */
static const char *read_event(struct json_object *o, struct policy_event *e)
{
	const char *type = text_of(o, "type"), *class_ = text_of(o, "class");
	const char *action = text_of(o, "action"), *err = text_of(o, "errno");
	const char *path = text_of(o, "path");
	struct json_object *rule;
	char *at = e->memory;
	int64_t version;

	if (number_of(o, "version", &version) && version != WARDER_EVENT_VERSION)
		return "it is of another version than this program's";
	e->learn = !strcmp(type, "learn");
	if (!e->learn && strcmp(type, "verdict"))
		return "it is no request";
	for (__u32 c = WARDER_CLASS_FILE; class_ && c < WARDER_CLASS__MAX; c++)
		if (class_name(c) && !strcmp(class_name(c), class_))
			e->request.class_ = c;
	e->why = text_of(o, "why");
	e->program = text_of(o, "program");
	e->container = text_of(o, "container");
	e->profile = text_of(o, "profile");
	e->transition = text_of(o, "transition");
	e->action = action && !strcmp(action, "deny") ? WARDER_DENY :
		    action && !strcmp(action, "audit") ? WARDER_AUDIT : WARDER_ALLOW;
	e->err = err && e->action != WARDER_ALLOW ? errno_from_name(err) : 0;
	if (json_object_object_get_ex(o, "rule", &rule) &&
	    json_object_is_type(rule, json_type_object))
		e->where = text_of(rule, "where");
	if (!e->learn && e->why && !strcmp(e->why, "fault"))
		return "a fault inside warder refused it";
	if (json_object_object_get_ex(o, "signature", NULL))
		return signature_reason(e->err);
	if (!e->learn && e->why && !strcmp(e->why, "baseline") &&
	    e->request.class_ != WARDER_CLASS_PTRACE && e->request.class_ != WARDER_CLASS_SIGNAL &&
	    e->request.class_ != WARDER_CLASS_IPC)
		return "the baseline refused it, which no policy turns off";
	if (e->why && !strcmp(e->why, "unreachable"))
		return "the object has no name";
	if (path) {
		e->request.path = unescape(path, &at);
		if (!e->request.path || strlen(e->request.path) >= WARDER_PATH_MAX ||
		    strstr(e->request.path, "/../") || strstr(e->request.path, "/./"))
			return "its name is none";
	}
	return read_request(o, e);
}

void policy_event_done(struct policy_event *e)
{
	json_object_put(e->json);
	free(e->memory);
	memset(e, 0, sizeof(*e));
}

int policy_event_parse(const char *line, size_t len, struct policy_event *ret,
		       const char **ret_reason, struct warder_error *reterr)
{
	struct json_tokener *tokener;
	size_t used;

	memset(ret, 0, sizeof(*ret));
	*ret_reason = "it is empty";
	while (len && strchr(" \t\r\n", line[len - 1]))
		len--;
	if (!len)
		return 0;
	if (len > POLICY_EVENT_LINE_MAX)
		return error_set(reterr, -EINVAL, "a line of %zu bytes: an event has at most %u",
				 len, POLICY_EVENT_LINE_MAX);
	tokener = json_tokener_new_ex(8);
	if (!tokener)
		return -ENOMEM;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	ret->json = json_tokener_parse_ex(tokener, line, (int)len);
	used = json_tokener_get_parse_end(tokener);
	if (json_tokener_get_error(tokener) != json_tokener_success || used != len) {
		error_set(reterr, -EINVAL, "no event as `warder events --json` prints them: %s",
			  used != len && json_tokener_get_error(tokener) == json_tokener_success ?
				  "more than one value" :
			  json_tokener_get_error(tokener) == json_tokener_continue ?
				  "the line ends before an object does" :
				  json_tokener_error_desc(json_tokener_get_error(tokener)));
		goto bad;
	}
	if (!json_object_is_type(ret->json, json_type_object) || !text_of(ret->json, "type")) {
		error_set(reterr, -EINVAL,
			  "no event as `warder events --json` prints them: an object with a type");
		goto bad;
	}
	json_tokener_free(tokener);
	ret->memory = malloc(len + 1);
	if (!ret->memory) {
		policy_event_done(ret);
		return -ENOMEM;
	}
	*ret_reason = read_event(ret->json, ret);
	if (!*ret_reason)
		return 1;
	policy_event_done(ret);
	return 0;
bad:
	json_tokener_free(tokener);
	policy_event_done(ret);
	return -EINVAL;
}

/* -------------------------------------------------------------- observations */

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static bool same(const struct policy_event *a, const struct policy_event *b)
{
	const struct policy_request *x = &a->request, *y = &b->request;

	return x->class_ == y->class_ && x->access == y->access && x->flags == y->flags &&
	       x->abstract == y->abstract && x->peer == y->peer &&
	       x->device_type == y->device_type && x->device_major == y->device_major &&
	       x->device_minor == y->device_minor && a->learn == b->learn &&
	       a->action == b->action && a->err == b->err && same_text(x->path, y->path) &&
	       same_text(x->fstype, y->fstype) && same_text(x->peer_name, y->peer_name) &&
	       same_text(a->profile, b->profile) &&
	       same_text(a->transition, b->transition) && same_text(a->program, b->program) &&
	       same_text(a->container, b->container) && same_text(a->where, b->where) &&
	       !memcmp(&x->address, &y->address, sizeof(x->address));
}

static size_t hash_text(size_t h, const char *s)
{
	for (; s && *s; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211ull;
	return (h ^ 0xff) * 1099511628211ull;
}

static size_t hash_event(const struct policy_event *e)
{
	size_t h = 1469598103934665603ull;

	h = (h ^ e->request.class_ ^ (size_t)e->request.access << 8) * 1099511628211ull;
	h = (h ^ e->request.address.port ^ (size_t)e->request.address.addr[15] << 16) *
	    1099511628211ull;
	h = hash_text(h, e->request.path);
	h = hash_text(h, e->program);
	return h ^ h >> 32;
}

static int table_grow(struct observations *o)
{
	size_t size = o->table_size ? 2 * o->table_size : 1024;
	size_t *table = calloc(size, sizeof(*table));

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < o->count; i++) {
		size_t at = hash_event(&o->item[i]->event) & (size - 1);

		while (table[at])
			at = (at + 1) & (size - 1);
		table[at] = i + 1;
	}
	free(o->table);
	o->table = table;
	o->table_size = size;
	return 0;
}

/* Takes `e`. */
static int observe(struct observations *o, struct policy_event *e, size_t line)
{
	struct observation *item;
	size_t at;
	int err = 0;

	if (2 * o->count >= o->table_size)
		err = table_grow(o);
	if (err)
		goto fail;
	at = hash_event(e) & (o->table_size - 1);
	for (; o->table[at]; at = (at + 1) & (o->table_size - 1))
		if (same(&o->item[o->table[at] - 1]->event, e)) {
			o->item[o->table[at] - 1]->count++;
			policy_event_done(e);
			return 0;
		}
	err = o->count >= OBSERVATIONS_MAX ? -E2BIG :
					     vector_grow(&o->item, o->count, &o->cap, sizeof(*o->item));
	item = err ? NULL : malloc(sizeof(*item));
	if (!item) {
		err = err ? err : -ENOMEM;
		goto fail;
	}
	*item = (struct observation) { .event = *e, .count = 1, .first_line = line };
	o->item[o->count++] = item;
	o->table[at] = o->count;
	return 0;
fail:
	policy_event_done(e);
	return err;
}

int observations_read(struct observations *o, FILE *f, const char *name,
		      struct policy_diags *diags)
{
	cleanup_free char *line = NULL;
	size_t cap = 0, number = 0;
	ssize_t len;
	int err = 0;

	while (!err && (len = getline(&line, &cap, f)) >= 0) {
		struct warder_error e = { "" };
		struct policy_event ev;
		const char *reason;
		int n = policy_event_parse(line, (size_t)len, &ev, &reason, &e);

		number++;
		o->lines++;
		if (n == -ENOMEM) {
			err = n;
		} else if (n < 0) {
			o->bad++;
			diag_add(diags, name, (unsigned)number, 1, 0, "%s", e.text);
		} else if (n == 0) {
			o->skipped += strcmp(reason, "it is no request") &&
				      strcmp(reason, "it is empty");
			o->other++;
		} else {
			err = observe(o, &ev, number);
		}
	}
	return err;
}

void observations_done(struct observations *o)
{
	for (size_t i = 0; i < o->count; i++) {
		policy_event_done(&o->item[i]->event);
		free(o->item[i]);
	}
	free(o->item);
	free(o->table);
	memset(o, 0, sizeof(*o));
}
