// SPDX-License-Identifier: LGPL-2.1-or-later
/* Requests as text, and the rule that would allow one. policy_request_read.c reads what they say. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "policy_internal.h"
#include "policy_tools.h"
#include "utf8.h"
#include "warder_decide.h"

struct out {
	char *buf;
	size_t size, used;
};

static void out_add(struct out *o, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void out_add(struct out *o, const char *format, ...)
{
	va_list ap;
	int n;

	if (o->used >= o->size)
		return;
	va_start(ap, format);
	n = vsnprintf(o->buf + o->used, o->size - o->used, format, ap);
	va_end(ap);
	if (n > 0)
		o->used += (size_t)n;
}

static const char *address_host(const struct warder_address *a, char *buf, size_t size)
{
	if (a->families & WARDER_FAM_INET)
		return inet_ntop(AF_INET, a->addr + 12, buf, (socklen_t)size) ? buf : "?";
	return inet_ntop(AF_INET6, a->addr, buf, (socklen_t)size) ? buf : "?";
}

static void add_address(struct out *o, const struct warder_address *a)
{
	char host[64];

	address_host(a, host, sizeof(host));
	out_add(o, a->families & WARDER_FAM_INET6 ? "[%s]:%u" : "%s:%u", host, a->port);
}

static const char *protocol_name(__u32 bit)
{
	for (size_t i = 0; request_protocols[i].name; i++)
		if (request_protocols[i].bit & bit)
			return request_protocols[i].name;
	return "?";
}

static const char *family_name(__u32 bit)
{
	for (size_t i = 0; request_families[i].name; i++)
		if (request_families[i].bit & bit)
			return request_families[i].name;
	return "?";
}

static void add_peer(struct out *o, const struct policy_request *r, const char *before)
{
	static const char *const names[WARDER_PEER__MAX] = { "same", "same", "container", "host",
							     "policy:", "container:" };

	out_add(o, "%s%s%s", before, r->peer < WARDER_PEER__MAX ? names[r->peer] : "?",
		r->peer >= WARDER_PEER_POLICY && r->peer_name ? r->peer_name : "");
}

static void add_peer_policy(struct out *o, const struct policy_request *r, const char *before)
{
	if (r->peer == WARDER_PEER_NAME && r->peer_policy)
		out_add(o, "%s%s", before, r->peer_policy);
}

static __u64 request_bits(const struct policy_request *r)
{
	if (r->class_ == WARDER_CLASS_SIGNAL)
		return r->access ? 1ull << ((r->access - 1) & 63) : 0;
	return policy_class_is_number(r->class_) ? 1ull << (r->access & 63) : r->access;
}

/* As events have it: \xNN for what is no text. */
static void add_name(struct out *o, const char *name)
{
	size_t len = strlen(name), n;

	for (; len; name += n, len -= n) {
		n = utf8_is_escaped(name, len) ? 1 : utf8_sequence(name, len);
		if (utf8_is_escaped(name, len))
			out_add(o, "\\x%02x", (unsigned char)*name);
		else
			out_add(o, "%.*s", (int)n, name);
	}
}

const char *request_text(const struct policy_request *r, char *buf, size_t size)
{
	struct out o = { .buf = buf, .size = size };
	char words[256];

	buf[0] = 0;
	policy_words(r->class_, request_bits(r), ",", words, sizeof(words));
	switch (r->class_) {
	case WARDER_CLASS_FILE:
		out_add(&o, "file %s ", words);
		break;
	case WARDER_CLASS_EXEC:
		out_add(&o, "exec ");
		break;
	case WARDER_CLASS_MOUNT:
		out_add(&o, "%s %s%s", words, r->fstype ? r->fstype : "", r->fstype ? " " : "");
		break;
	default:
		out_add(&o, "%s %s", class_name(r->class_), words);
	}
	if (r->class_ == WARDER_CLASS_NETWORK) {
		if (r->address.families & WARDER_FAM_IP) {
			out_add(&o, " %s ", protocol_name(r->address.protocols));
			add_address(&o, &r->address);
		} else if (r->path) {
			out_add(&o, r->abstract ? " abstract @" : " unix ");
			add_name(&o, r->path);
		} else {
			out_add(&o, " %s", family_name(r->address.families));
		}
		if (r->peer)
			add_peer(&o, r, " ");
		add_peer_policy(&o, r, " under ");
		return buf;
	}
	if (r->class_ == WARDER_CLASS_DEVICE) {
		out_add(&o, " %c %u:%u", r->device_type == 0020000u ? 'c' : 'b', r->device_major,
			r->device_minor);
		if (r->path)
			out_add(&o, " ");
	}
	if (r->unreachable)
		out_add(&o, "an object without a name");
	else if (r->path)
		add_name(&o, r->path);
	if (r->fs)
		out_add(&o, " on %s", r->fs);
	if (r->class_ == WARDER_CLASS_PTRACE || r->class_ == WARDER_CLASS_SIGNAL ||
	    r->class_ == WARDER_CLASS_IPC)
		add_peer(&o, r, " ");
	add_peer_policy(&o, r, " under ");
	if (r->class_ == WARDER_CLASS_MOUNT) {
		if (r->source) {
			out_add(&o, " of ");
			add_name(&o, r->source);
		}
		for (unsigned i = 0, n = 0; i < 32; i++) {
			const char *flag = r->flags >> i & 1 ? mount_flag_name(1u << i) : NULL;

			if (flag)
				out_add(&o, "%s%s", n++ ? "," : " ", flag);
		}
		if (r->options)
			out_add(&o, " %s", r->options);
	}
	return buf;
}

const char *request_quote(const char *text, bool pattern, char *buf, size_t size)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789/._+-@";
	struct out o = { .buf = buf, .size = size };
	bool wild = false, safe = (text[0] == '/' || (text[0] >= 'a' && text[0] <= 'z')) &&
		    text[strspn(text, plain)] == 0;
	static const char *const words[] = { "null", "true", "false", "yes", "no", "on", "off" };

	buf[0] = 0;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		safe &= strcasecmp(text, words[i]) != 0;
	if (safe) {
		out_add(&o, "%s", text);
		return buf;
	}
	out_add(&o, "\"");
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		size_t n = utf8_sequence(text, strlen(text));

		/* A pattern cannot name a byte that is no part of a character: any run it is. */
		if (pattern && !n) {
			if (!wild)
				out_add(&o, "*");
			wild = true;
			continue;
		}
		wild = false;
		if (!n) {
			out_add(&o, "\\\\x%02x", c);
			continue;
		}
		if (n > 1) {
			out_add(&o, "%.*s", (int)n, text);
			text += n - 1;
			continue;
		}
		/* A backslash for the pattern is two for YAML. */
		if (pattern && strchr("?*[]{},\\", c))
			out_add(&o, c == '\\' ? "\\\\\\\\" : "\\\\%c", c);
		else if (c == '"' || c == '\\')
			out_add(&o, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			out_add(&o, "\\x%02x", c);
		else
			out_add(&o, "%c", c);
	}
	out_add(&o, "\"");
	return buf;
}

static void add_network_rule(struct out *o, const struct policy_request *r, const char *quoted)
{
	const struct warder_address *a = &r->address;

	if (a->families & WARDER_FAM_IP) {
		out_add(o, ", protocol: %s", protocol_name(a->protocols));
		if (r->access & (WARDER_NET_CONNECT | WARDER_NET_SEND)) {
			out_add(o, ", to: \"");
			add_address(o, a);
			out_add(o, "\"");
		} else if (a->port) {
			out_add(o, ", port: %u", a->port);
		}
	} else if (r->path) {
		out_add(o, ", unix: %s", quoted); /* an abstract name begins with '@' */
	} else {
		out_add(o, ", family: %s", family_name(a->families));
	}
}

/* A rule for a request with flags allows it with those alone, which mostly take rights away. */
static void add_flags(struct out *o, __u32 op, __u32 flags)
{
	unsigned n = 0;

	if (!(op & POLICY_OPS_WITH_FLAGS))
		return;

	for (unsigned i = 0; i < 32; i++) {
		const char *flag = flags >> i & 1 ? mount_flag_name(1u << i) : NULL;

		if (flag)
			out_add(o, "%s%s", n++ ? ", " : ", flags: {require: [", flag);
	}
	if (n)
		out_add(o, "]}");
}

const char *request_rule(const struct policy_request *r, __u32 access, char *buf, size_t size)
{
	struct out o = { .buf = buf, .size = size };
	cleanup_free char *quoted = malloc(4 * WARDER_PATH_MAX);
	const char *class_ = class_name(r->class_);
	char words[256], abstract[112];

	buf[0] = 0;
	if (!quoted || r->unreachable)
		return NULL;
	quoted[0] = 0;
	if (r->path && r->abstract) {
		snprintf(abstract, sizeof(abstract), "@%s", r->path);
		request_quote(abstract, true, quoted, 4 * WARDER_PATH_MAX);
	} else if (r->path) {
		request_quote(r->path, true, quoted, 4 * WARDER_PATH_MAX);
	}
	policy_words(r->class_, access && !policy_class_is_number(r->class_) ? access :
									       request_bits(r),
		     ", ", words, sizeof(words));
	switch (r->class_) {
	case WARDER_CLASS_FILE:
		out_add(&o, "{allow: [%s], path: %s}", words, quoted);
		break;
	case WARDER_CLASS_EXEC:
		out_add(&o, "{allow: %s}", quoted);
		break;
	case WARDER_CLASS_MEMORY:
		out_add(&o, "%s: allow", words);
		break;
	case WARDER_CLASS_MOUNT:
		out_add(&o, "{allow: [%s]", words);
		if (r->fstype) {
			char type[4 * WARDER_FSTYPE_SIZE];

			out_add(&o, ", type: %s",
				request_quote(r->fstype, false, type, sizeof(type)));
		}
		out_add(&o, ", target: %s", quoted);
		add_flags(&o, r->access, r->flags);
		out_add(&o, "}");
		break;
	case WARDER_CLASS_DEVICE:
		out_add(&o, "{allow: [%s], node: \"%c %u:%u\"}", words,
			r->device_type == 0020000u ? 'c' : 'b', r->device_major, r->device_minor);
		break;
	case WARDER_CLASS_NETWORK:
		out_add(&o, "{allow: [%s]", words);
		add_network_rule(&o, r, quoted);
		out_add(&o, "}");
		break;
	case WARDER_CLASS_PTRACE:
	case WARDER_CLASS_SIGNAL:
	case WARDER_CLASS_IPC:
		out_add(&o, "{allow: [%s]", r->access ? words : "\"*\"");
		if (r->peer_name)
			out_add(&o, ", peer: \"%s:%s\"}",
				r->peer == WARDER_PEER_POLICY ? "policy" : "container",
				r->peer_name);
		else {
			add_peer(&o, r, ", peer: ");
			out_add(&o, "}");
		}
		break;
	default:
		out_add(&o, "{allow: [%s]}", words);
	}
	return class_;
}

const char *request_remedy(const struct warder_image *img, const struct policy_request *r,
			   const struct warder_verdict *v, char *buf, size_t size)
{
	cleanup_free char *rule = malloc(4 * WARDER_PATH_MAX);
	char where[512];
	const char *class_;

	buf[0] = 0;
	if (v->action == WARDER_ALLOW || !rule)
		return buf;
	if (v->why == WARDER_WHY_RULE) {
		snprintf(buf, size,
			 "narrow or remove the deny rule at %s: no allow rule outweighs it",
			 image_rule_where(img, v->rule, where, sizeof(where)));
		return buf;
	}
	if (v->why == WARDER_WHY_UNREACHABLE) {
		snprintf(buf, size, "an object without a name is matched by no rule: only a policy "
				    "whose file rules refuse nothing allows it");
		return buf;
	}
	class_ = request_rule(r, v->access, rule, 4 * WARDER_PATH_MAX);
	if (!class_)
		return buf;
	if (v->why == WARDER_WHY_BASELINE && r->class_ == WARDER_CLASS_NETWORK && r->peer_name) {
		snprintf(buf, size, "under ipc: add  - {allow: [unix], peer: \"%s:%s\"}",
			 r->peer == WARDER_PEER_POLICY ? "policy" : "container", r->peer_name);
		return buf;
	}
	if (v->why == WARDER_WHY_BASELINE &&
	    (r->class_ == WARDER_CLASS_FILE || r->class_ == WARDER_CLASS_EXEC)) {
		snprintf(buf, size, "under unsafe: kernel_files, which opens all files of that kind");
		return buf;
	}
	snprintf(buf, size, r->class_ == WARDER_CLASS_MEMORY ? "under %s: set  %s" :
							       "under %s: add  - %s",
		 class_, rule);
	if (v->why == WARDER_WHY_BASELINE && r->class_ == WARDER_CLASS_KERNEL &&
	    warder_surface_unsafe(r->access) && strlen(buf) + 64 < size)
		sprintf(buf + strlen(buf), ", and under unsafe: %s",
			unsafe_name(warder_surface_unsafe(r->access)));
	if (v->why == WARDER_WHY_BASELINE && r->class_ == WARDER_CLASS_DEVICE &&
	    strlen(buf) + 64 < size)
		strcat(buf, ", and under unsafe: memory_devices");
	if (v->why == WARDER_WHY_BASELINE && r->peer == WARDER_PEER_HOST &&
	    r->class_ != WARDER_CLASS_IPC && r->class_ != WARDER_CLASS_NETWORK && strlen(buf) + 64 < size)
		sprintf(buf + strlen(buf), ", and under unsafe: host_%s",
			r->class_ == WARDER_CLASS_PTRACE ? "ptrace" : "signal");
	return buf;
}
