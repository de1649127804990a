/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The policies of the truth table, compiled, and its rows as questions to the engine. */
#ifndef WARDER_DECIDE_QUESTION_H
#define WARDER_DECIDE_QUESTION_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "cleanup.h"
#include "decide_cases.h"
#include "policy.h"

#define CASES ARRAY_SIZE(decide_cases)

static struct warder_image *image[P__MAX];

static int compile_all(void **state)
{
	(void)state;
	for (int i = 0; i < P__MAX; i++) {
		struct policy_diags diags = { 0 };
		struct policy *p;
		int err = policy_parse("case", decide_policies[i], strlen(decide_policies[i]), NULL,
				       &p, &diags);

		if (!err)
			err = policy_compile(p, &image[i], &diags);
		if (err)
			policy_diags_print(&diags, stderr);
		policy_diags_done(&diags);
		policy_free(p);
		if (err)
			return err;
	}
	return 0;
}

static int free_all(void **state)
{
	(void)state;
	for (int i = 0; i < P__MAX; i++)
		free(image[i]);
	return 0;
}

/* Names lie at the end of the first PATH_MAX bytes, as hooks put them. */
static inline __u32 text_put(struct warder_text *t, const char *path)
{
	__u32 len = path ? (__u32)strlen(path) : 0, off = WARDER_PATH_MAX - len;

	/* Bytes around the name must not matter. */
	memset(t->b, 'x', sizeof(t->b));
	memcpy(t->b + off, path ? path : "", len);
	return off;
}

static inline void case_question(const struct decide_case *c, struct probe_request *q,
			  struct warder_text text[2])
{
	memset(q, 0, sizeof(*q));
	q->kind = c->kind;
	q->access = c->access;
	q->off = text_put(&text[0], c->path);
	q->len = c->path ? (__u32)strlen(c->path) : 0;
	q->second_off = text_put(&text[1], c->second);
	q->second_len = c->second ? (__u32)strlen(c->second) : 0;
	q->flags = c->flags;
	q->magic = c->magic;
	q->euid = q->fsuid = c->euid;
	q->userns = c->userns;
	q->cause = c->cause;
	q->unnamed = c->unnamed;
	q->profile = c->profile;
	q->address.families = c->kind == PROBE_UNIX || c->kind == PROBE_UNIX_PEER ?
				      WARDER_FAM_UNIX : c->magic;
	if (c->kind == PROBE_UNIX_PEER) {
		q->peer.class_ = WARDER_CLASS_IPC;
		q->peer.op = WARDER_IPC_UNIX;
		q->peer.relation = c->cause;
		strcpy((char *)q->peer.name, c->cause == WARDER_RELATION_OTHER ? "db" : "");
	}
	if (c->kind == PROBE_NETWORK) {
		struct in_addr v4;

		q->address.protocols = c->cause;
		q->address.port = (__u16)c->flags;
		if (c->path && inet_pton(AF_INET, c->path, &v4) == 1)
			warder_net_mapped(&q->address, v4.s_addr);
		else if (c->path)
			assert_int_equal(inet_pton(AF_INET6, c->path, q->address.addr), 1);
	}
	if (c->type)
		strncpy((char *)q->type.w, c->type, sizeof(q->type.w) - 1);
}

#endif
