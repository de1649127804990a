// SPDX-License-Identifier: LGPL-2.1-or-later
/* A request as the arguments of `warder policy explain`, quoted for a shell: what request_from_arguments()
 * reads again as the same request. */
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include "calls.h"
#include "cleanup.h"
#include "policy_internal.h"
#include "policy_tools.h"
#include "utf8.h"
#include "warder_decide.h"

struct words {
	char *buf;
	size_t size, used;
	bool broken; /* it did not fit */
};

static void put(struct words *w, const char *text, size_t len)
{
	if (w->used + len >= w->size) {
		w->broken = true;
		return;
	}
	memcpy(w->buf + w->used, text, len);
	w->used += len;
	w->buf[w->used] = 0;
}

static void put_text(struct words *w, const char *text)
{
	put(w, text, strlen(text));
}

/* One argument; \xNN within $'...' for what is no text. */
static void put_word(struct words *w, const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789/._+-@:,%=";
	size_t len = strlen(text), n;
	bool bytes = false;
	char hex[8];

	if (w->used)
		put_text(w, " ");
	if (len && strspn(text, plain) == len) {
		put(w, text, len);
		return;
	}
	for (size_t i = 0; i < len; i += n) {
		n = utf8_sequence(text + i, len - i);
		bytes |= !n || (unsigned char)text[i] < 0x20 || text[i] == 0x7f;
		n = n ? n : 1;
	}
	put_text(w, bytes ? "$'" : "'");
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (bytes && (c < 0x20 || c >= 0x7f)) {
			snprintf(hex, sizeof(hex), "\\x%02x", c);
			put_text(w, hex);
		} else if (bytes && (c == '\'' || c == '\\')) {
			put_text(w, c == '\'' ? "\\'" : "\\\\");
		} else if (c == '\'') {
			put_text(w, "'\\''");
		} else {
			put(w, text + i, 1);
		}
	}
	put_text(w, "'");
}

static const char *word_of(const struct request_word *w, __u32 bit)
{
	while (w->name && !(w->bit & bit))
		w++;
	return w->name ? w->name : "?";
}

static void address_text(const struct warder_address *a, char *buf, size_t size)
{
	char host[64] = "?";

	if (a->families & WARDER_FAM_INET)
		inet_ntop(AF_INET, a->addr + 12, host, sizeof(host));
	else
		inet_ntop(AF_INET6, a->addr, host, sizeof(host));
	snprintf(buf, size, a->families & WARDER_FAM_INET6 ? "[%s]:%u" : "%s:%u", host, a->port);
}

static void flags_text(__u32 flags, char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = 0;
	for (unsigned i = 0; i < 32 && used < size; i++) {
		const char *flag = flags >> i & 1 ? mount_flag_name(1u << i) : NULL;

		if (flag)
			used += (size_t)snprintf(buf + used, size - used, "%s%s", used ? "," : "", flag);
	}
}

static void peer_text(const struct policy_request *r, char *buf, size_t size)
{
	static const char *const names[WARDER_PEER__MAX] = { "same", "same", "container", "host",
							     "policy:", "container:" };

	snprintf(buf, size, "%s%s", r->peer < WARDER_PEER__MAX ? names[r->peer] : "?",
		 r->peer >= WARDER_PEER_POLICY && r->peer_name ? r->peer_name : "");
}

/* What the positions of the plain form have no room for: {KEY: VALUE, ...}, one argument. */
struct mapping {
	char text[8 * WARDER_PATH_MAX];
	char value[4 * WARDER_PATH_MAX];
};

static void map_put(struct mapping *m, const char *key, const char *value)
{
	size_t used = strlen(m->text);

	if (value && value[0])
		snprintf(m->text + used, sizeof(m->text) - used, "%s%s: %s", used ? ", " : "{", key,
			 request_quote(value, false, m->value, sizeof(m->value)));
}

static void put_mapping(struct words *w, struct mapping *m)
{
	size_t used = strlen(m->text);

	snprintf(m->text + used, sizeof(m->text) - used, "}");
	w->broken |= used + 2 > sizeof(m->text);
	put_word(w, m->text);
}

static void put_mount(struct words *w, const struct policy_request *r, const char *op)
{
	cleanup_free struct mapping *m = NULL;
	char flags[512];

	flags_text(r->flags, flags, sizeof(flags));
	if (!r->source && !r->options && !(r->fstype && r->access != WARDER_MNT_NEW)) {
		put_word(w, op);
		if (r->access == WARDER_MNT_NEW)
			put_word(w, r->fstype ? r->fstype : "?");
		put_word(w, r->path ? r->path : "?");
		if (flags[0])
			put_word(w, flags);
		return;
	}
	m = calloc(1, sizeof(*m));
	if (!m) {
		w->broken = true;
		return;
	}
	map_put(m, "mount", r->access == WARDER_MNT_NEW ? r->fstype : op);
	map_put(m, "target", r->path);
	map_put(m, "source", r->source);
	map_put(m, "type", r->access == WARDER_MNT_NEW ? NULL : r->fstype);
	map_put(m, "flags", flags);
	map_put(m, "options", r->options);
	put_mapping(w, m);
}

static void put_network(struct words *w, const struct policy_request *r, const char *op)
{
	cleanup_free struct mapping *m = NULL;
	char text[WARDER_PATH_MAX + 64];

	if (r->address.families & WARDER_FAM_IP) {
		put_word(w, "network");
		put_word(w, op);
		put_word(w, word_of(request_protocols, r->address.protocols));
		address_text(&r->address, text, sizeof(text));
		put_word(w, text);
		return;
	}
	if (r->path && !r->peer_policy) {
		put_word(w, "network");
		put_word(w, op);
		put_word(w, r->abstract ? "abstract" : "unix");
		snprintf(text, sizeof(text), "%s%s", r->abstract ? "@" : "", r->path);
		put_word(w, text);
		peer_text(r, text, sizeof(text));
		if (r->peer)
			put_word(w, text);
		return;
	}
	m = calloc(1, sizeof(*m));
	if (!m) {
		w->broken = true;
		return;
	}
	map_put(m, "network", op);
	if (!r->path)
		map_put(m, "family", word_of(request_families, r->address.families));
	snprintf(text, sizeof(text), "@%s", r->path ? r->path : "");
	map_put(m, r->abstract ? "abstract" : "unix", r->abstract ? text : r->path);
	peer_text(r, text, sizeof(text));
	map_put(m, "peer", r->peer ? text : NULL);
	map_put(m, "policy", r->peer_policy);
	put_mapping(w, m);
}

static void device_text(__u32 type, __u32 major, __u32 minor, char *buf, size_t size)
{
	snprintf(buf, size, "%c %u:%u", type == WARDER_DEVICE_CHAR ? 'c' : 'b', major, minor);
}

static void put_request(struct words *w, const struct policy_request *r)
{
	__u64 bits = r->class_ == WARDER_CLASS_SIGNAL ? (r->access ? 1ull << (r->access - 1) % 64 : 0) :
		     policy_class_is_number(r->class_) ? 1ull << (r->access & 63) : r->access;
	char words[256], text[WARDER_NAME_SIZE + 64];

	policy_words(r->class_, bits, ",", words, sizeof(words));
	if (r->class_ == WARDER_CLASS_MOUNT) {
		put_mount(w, r, words);
		return;
	}
	if (r->class_ == WARDER_CLASS_NETWORK) {
		put_network(w, r, words);
		return;
	}
	put_word(w, class_name(r->class_));
	if (r->class_ != WARDER_CLASS_EXEC)
		put_word(w, words);
	if (r->class_ == WARDER_CLASS_DEVICE) {
		device_text(r->device_type, r->device_major, r->device_minor, text, sizeof(text));
		put_word(w, text);
	}
	if (r->path)
		put_word(w, r->path);
	if (r->class_ != WARDER_CLASS_PTRACE && r->class_ != WARDER_CLASS_SIGNAL &&
	    r->class_ != WARDER_CLASS_IPC)
		return;
	peer_text(r, text, sizeof(text));
	put_word(w, text);
	if (r->peer_policy)
		put_word(w, r->peer_policy);
}

const char *request_arguments(const struct policy_request *r, char *buf, size_t size)
{
	struct words w = { .buf = buf, .size = size };

	if (!size || r->unreachable)
		return NULL;
	buf[0] = 0;
	put_request(&w, r);
	return w.broken ? NULL : buf;
}

static void put_option(struct words *w, const char *option, const char *value)
{
	put_word(w, option);
	put_word(w, value);
}

static void put_call(struct words *w, const struct policy_test *t)
{
	cleanup_free struct mapping *m = calloc(1, sizeof(*m));
	char number[64];

	if (!m) {
		w->broken = true;
		return;
	}
	map_put(m, "call", call_op_word(t->op));
	map_put(m, "path", t->path);
	if (t->device_type) {
		device_text(t->device_type, t->device_major, t->device_minor, number, sizeof(number));
		map_put(m, "node", number);
	}
	map_put(m, "name", t->attribute);
	map_put(m, "value", t->value);
	snprintf(number, sizeof(number), "%d", t->realtime);
	map_put(m, "realtime", t->realtime ? number : NULL);
	snprintf(number, sizeof(number), "%d", t->nice);
	map_put(m, "nice", t->sets_nice ? number : NULL);
	put_mapping(w, m);
}

const char *policy_test_arguments(const struct policy_test *t, char *buf, size_t size)
{
	struct words w = { .buf = buf, .size = size };
	char uid[16];

	if (!size)
		return NULL;
	buf[0] = 0;
	if (t->profile)
		put_option(&w, "--profile", t->profile);
	snprintf(uid, sizeof(uid), "%u", t->uid);
	if (t->uid)
		put_option(&w, "--uid", uid);
	if (t->userns != WARDER_BY_USERNS_CONTAINER)
		put_option(&w, "--userns", t->userns == WARDER_BY_USERNS_NESTED ? "nested" : "host");
	if (t->op)
		put_call(&w, t);
	else
		put_request(&w, &t->request);
	return w.broken ? NULL : buf;
}
