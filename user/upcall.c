// SPDX-License-Identifier: LGPL-2.1-or-later
/* Messages about key upcalls, and the choice of who answers: pure functions. */
#include "upcall.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ask_wire {
	uint32_t magic;
	int32_t serial;
	uint32_t uid, gid;
	int32_t ring[3], lend;
	uint32_t type_len, description_len, callout_len; /* with their NULs, but for the last */
};

struct verdict_wire {
	uint32_t magic;
	uint32_t verb, err, seconds;
	int32_t ring;
	uint32_t uid;
	uint64_t nonce;
	uint32_t payload_len, pad;
};

int upcall_ask_pack(const struct upcall_ask *ask, void *buf, size_t size)
{
	struct ask_wire w = { .magic = UPCALL_MAGIC,
			      .serial = ask->serial,
			      .uid = ask->uid,
			      .gid = ask->gid,
			      .ring = { ask->ring[0], ask->ring[1], ask->ring[2] },
			      .lend = ask->lend };
	size_t type_len = strlen(ask->type) + 1, description_len = strlen(ask->description) + 1;
	char *p = buf;

	if (type_len > UPCALL_TYPE_SIZE || description_len > UPCALL_DESCRIPTION_MAX ||
	    ask->callout_len > UPCALL_CALLOUT_MAX ||
	    sizeof(w) + type_len + description_len + ask->callout_len + 1 > size)
		return -EMSGSIZE;
	w.type_len = (uint32_t)type_len;
	w.description_len = (uint32_t)description_len;
	w.callout_len = ask->callout_len;
	memcpy(p, &w, sizeof(w));
	p += sizeof(w);
	memcpy(p, ask->type, type_len);
	p += type_len;
	memcpy(p, ask->description, description_len);
	p += description_len;
	memcpy(p, ask->callout, ask->callout_len);
	p += ask->callout_len;
	*p++ = '\0';
	return (int)(p - (char *)buf);
}

/* A text of exactly `len` bytes with its NUL? */
static int is_text_of(const char *text, uint32_t len)
{
	return len && strnlen(text, len) == len - 1;
}

int upcall_ask_unpack(const void *buf, size_t len, struct upcall_ask *ret)
{
	const char *p = buf;
	struct ask_wire w;

	if (len < sizeof(w))
		return -EBADMSG;
	memcpy(&w, p, sizeof(w));
	p += sizeof(w);
	len -= sizeof(w);
	if (w.magic != UPCALL_MAGIC || w.serial <= 0 || w.lend < 0 || w.type_len > UPCALL_TYPE_SIZE ||
	    w.description_len > UPCALL_DESCRIPTION_MAX || w.callout_len > UPCALL_CALLOUT_MAX ||
	    len != (size_t)w.type_len + w.description_len + w.callout_len + 1)
		return -EBADMSG;
	memset(ret, 0, sizeof(*ret));
	ret->serial = w.serial;
	ret->uid = w.uid;
	ret->gid = w.gid;
	memcpy(ret->ring, w.ring, sizeof(ret->ring));
	ret->lend = w.lend;
	ret->type = p;
	ret->description = p + w.type_len;
	ret->callout = ret->description + w.description_len;
	ret->callout_len = w.callout_len;
	if (!is_text_of(ret->type, w.type_len) || !*ret->type ||
	    !is_text_of(ret->description, w.description_len) || ret->callout[w.callout_len])
		return -EBADMSG;
	return 0;
}

int upcall_verdict_pack(const struct upcall_verdict *v, void *buf, size_t size)
{
	struct verdict_wire w = { .magic = UPCALL_MAGIC,
				  .verb = v->verb,
				  .err = v->err,
				  .seconds = v->seconds,
				  .ring = v->ring,
				  .uid = v->uid,
				  .nonce = v->nonce,
				  .payload_len = v->payload_len };

	if (v->payload_len > UPCALL_PAYLOAD_MAX || sizeof(w) + v->payload_len > size)
		return -EMSGSIZE;
	memcpy(buf, &w, sizeof(w));
	if (v->payload_len)
		memcpy((char *)buf + sizeof(w), v->payload, v->payload_len);
	return (int)(sizeof(w) + v->payload_len);
}

int upcall_verdict_unpack(const void *buf, size_t len, struct upcall_verdict *ret)
{
	struct verdict_wire w;

	if (len < sizeof(w))
		return -EBADMSG;
	memcpy(&w, buf, sizeof(w));
	if (w.magic != UPCALL_MAGIC || !w.verb || w.verb >= UPCALL_VERB__MAX ||
	    w.payload_len > UPCALL_PAYLOAD_MAX || len != sizeof(w) + w.payload_len ||
	    (w.verb == UPCALL_REJECT && (!w.err || w.err > 4094)) || w.seconds > UPCALL_SECONDS_MAX)
		return -EBADMSG;
	memset(ret, 0, sizeof(*ret));
	ret->verb = w.verb;
	ret->err = w.err;
	ret->seconds = w.seconds;
	ret->ring = w.ring;
	ret->uid = w.uid;
	ret->nonce = w.nonce;
	ret->payload = (const char *)buf + sizeof(w);
	ret->payload_len = w.payload_len;
	return 0;
}

/* -------------------------------------------------------------------------- queues */

#define RANK_HOST 1000u /* beyond every level of user namespaces */

uint32_t upcall_queue_rank(const struct upcall_queue *q, const struct upcall_origin *o)
{
	uint32_t level, any = !q->type[0];

	if (!any && strncmp(q->type, o->type, sizeof(q->type)))
		return UINT32_MAX;
	if (!q->userns) {
		if (q->cid && q->cid != o->cid)
			return UINT32_MAX;
		level = RANK_HOST + !q->cid;
	} else {
		/* A user namespace can be that of several containers. */
		if (q->cid != o->cid)
			return UINT32_MAX;
		for (level = 0; level < o->levels && o->userns[level] != q->userns; level++)
			;
		if (level == o->levels)
			return UINT32_MAX;
	}
	return level * 2 + any;
}

int upcall_queue_same(const struct upcall_queue *a, const struct upcall_queue *b)
{
	return a->cid == b->cid && a->userns == b->userns &&
	       !strncmp(a->type, b->type, sizeof(a->type));
}

/* --------------------------------------------------------------------------- /proc */

/* What follows "NAME:" at the beginning of a line. */
static const char *line_of(const char *text, const char *name)
{
	size_t len = strlen(name);

	while (text && (strncmp(text, name, len) || text[len] != ':')) {
		text = strchr(text, '\n');
		if (text)
			text++;
	}
	return text ? text + len + 1 : NULL;
}

int upcall_status_parse(const char *text, struct upcall_status *ret)
{
	const char *ppid = line_of(text, "PPid"), *pids = line_of(text, "NSpid");
	const char *own = line_of(text, "SigPnd"), *shared = line_of(text, "ShdPnd");
	const char *caps = line_of(text, "CapEff");
	uint64_t pending;

	memset(ret, 0, sizeof(*ret));
	if (!ppid || !pids || !own || !shared || !caps)
		return -EBADMSG;
	ret->ppid = (int32_t)strtol(ppid, NULL, 10);
	pending = strtoull(own, NULL, 16) | strtoull(shared, NULL, 16);
	ret->killed = (pending & 1u << (9 - 1)) != 0;
	ret->cap_eff = strtoull(caps, NULL, 16);
	while (ret->depth < sizeof(ret->pid) / sizeof(ret->pid[0])) {
		char *end;
		long pid;

		pids += strspn(pids, " \t");
		if (*pids < '0' || *pids > '9')
			break;
		pid = strtol(pids, &end, 10);
		ret->pid[ret->depth++] = (int32_t)pid;
		pids = end;
	}
	return ret->depth ? 0 : -EBADMSG;
}

int upcall_idmap_parse(const char *text, struct upcall_idmap *ret)
{
	memset(ret, 0, sizeof(*ret));
	while (*text) {
		unsigned long v[3];
		char *end;

		if (ret->count == UPCALL_MAP_MAX)
			return -EBADMSG;
		for (int i = 0; i < 3; i++) {
			text += strspn(text, " \t");
			if (*text < '0' || *text > '9')
				return -EBADMSG;
			v[i] = strtoul(text, &end, 10);
			if (v[i] > UINT32_MAX)
				return -EBADMSG;
			text = end;
		}
		ret->range[ret->count].inside = (uint32_t)v[0];
		ret->range[ret->count].outside = (uint32_t)v[1];
		ret->range[ret->count++].length = (uint32_t)v[2];
		if (*text && *text++ != '\n')
			return -EBADMSG;
	}
	return 0;
}

uint32_t upcall_idmap_inside(const struct upcall_idmap *map, uint32_t outside)
{
	for (unsigned i = 0; i < map->count; i++) {
		uint32_t at = outside - map->range[i].outside;

		if (outside >= map->range[i].outside && at < map->range[i].length)
			return map->range[i].inside + at;
	}
	return UPCALL_OVERFLOW_ID;
}

/* --------------------------------------------------------------------------- texts */

void upcall_hex(const void *data, size_t len, char *ret)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++) {
		*ret++ = digits[p[i] >> 4];
		*ret++ = digits[p[i] & 15];
	}
	*ret = '\0';
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
	       c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int upcall_unhex(const char *text, void *ret, size_t size)
{
	size_t len = strlen(text);
	uint8_t *p = ret;

	if (len % 2 || len / 2 > size)
		return -EBADMSG;
	for (size_t i = 0; i < len; i += 2) {
		int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);

		if (high < 0 || low < 0)
			return -EBADMSG;
		*p++ = (uint8_t)(high << 4 | low);
	}
	return (int)(len / 2);
}

int upcall_is_text(const void *data, size_t len)
{
	const uint8_t *p = data, *end = p + len;

	while (p < end) {
		unsigned more = *p < 0x80 ? 0 : *p >= 0xc2 && *p < 0xe0 ? 1 : (*p & 0xf0) == 0xe0 ? 2 :
				*p >= 0xf0 && *p < 0xf5 ? 3 : 4;

		if (!*p || more == 4 || (size_t)(end - p) <= more)
			return 0;
		/* Overlong forms, surrogates, and what lies beyond U+10FFFF. */
		if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] >= 0xa0) ||
		    (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] >= 0x90))
			return 0;
		for (p++; more; more--)
			if ((*p++ & 0xc0) != 0x80)
				return 0;
	}
	return 1;
}
