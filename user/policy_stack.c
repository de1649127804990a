// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Several images -> one, a stack: the tables of all of them one after the other, each policy a
 * layer of its own in them. Rules, states, strings and offsets get other numbers, nothing is
 * decided here: how layers are joined is the engine's part (warder_decide.h).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy_internal.h"

/* A policy of the stack: where its things begin among those of all. */
struct member {
	const struct warder_image *img;
	__u32 layer;
	__u32 node;   /* number of its node 1: node 0 is everybody's */
	__u32 edge;
	__u32 chars;
	__u32 accept; /* number of its record 1 */
	__u32 accept_rule;
	__u32 rule;
	/* Of mount and override rules alike: an accept record's set may be of either. */
	__u32 set, sets; /* the first one's number, and how many they are */
	__u32 net, device, peer;
	__u32 signer, signature, blob;
	__u32 strings;
	__u32 stride; /* product of the profiles of those before */
};

struct stack {
	struct member m[WARDER_LAYERS_MAX];
	size_t count;
	struct member end; /* totals */
	struct warder_image *img;
	char *names; /* strings of the stack's own, each ended by NUL */
	size_t names_len;
};

/* An edge is looked up by class in whatever row; rows of nobody need to be within the table. */
#define EDGES_MIN 256u

static int too_many(struct warder_error *reterr, const char *what, __u64 number, __u64 max)
{
	return error_set(reterr, -E2BIG,
			 "the policies do not fit on one container together: %llu %s, at most %llu",
			 (unsigned long long)number, what, (unsigned long long)max);
}

static __u32 larger(__u32 a, __u32 b)
{
	return a > b ? a : b;
}

/* ------------------------------------------------------------------ placing */

static void stack_place(struct stack *s)
{
	struct member at = { .node = 1, .accept = 1, .stride = 1 };

	for (size_t i = 0; i < s->count; i++) {
		const struct warder_image_header *h = &s->m[i].img->h;

		at.img = s->m[i].img;
		at.layer = (__u32)i;
		at.sets = larger(h->mount.count, h->override_.count);
		s->m[i] = at;
		at.node += h->node.count - 1;
		at.edge += h->edge.count;
		at.chars += h->chars.count;
		at.accept += h->accept.count - 1;
		at.accept_rule += h->accept_rule.count;
		at.rule += h->rule.count;
		at.set += at.sets;
		at.net += h->net.count;
		at.device += h->device.count;
		at.peer += h->peer.count;
		at.signer += h->signer.count;
		at.signature += h->signature.count;
		at.blob += h->blob.count;
		at.strings += h->strings.count;
		at.stride *= h->profile.count;
	}
	s->end = at;
}

static int stack_check(const struct stack *s, struct warder_error *reterr)
{
	const struct member *e = &s->end;
	unsigned upcalls = 0;

	for (size_t i = 0; i < s->count; i++) {
		const char *name = s->m[i].img->h.layer[0].policy;

		for (size_t k = 0; k < i; k++)
			if (!strcmp(name, s->m[k].img->h.layer[0].policy))
				return error_set(reterr, -EINVAL,
						 "policy \"%s\" is named twice for one container: "
						 "once is enough",
						 name);
		for (unsigned k = 0; k < WARDER_UPCALLS_MAX && s->m[i].img->h.upcall[k].rule; k++)
			upcalls++;
	}
	if (e->rule > WARDER_RULES_MAX)
		return too_many(reterr, "rules", e->rule, WARDER_RULES_MAX);
	if (e->set > WARDER_MOUNT_RULES_MAX)
		return too_many(reterr, "mount or override rules", e->set, WARDER_MOUNT_RULES_MAX);
	if (e->net > WARDER_NET_RULES_MAX)
		return too_many(reterr, "network rules, one for each address and port", e->net,
				WARDER_NET_RULES_MAX);
	if (e->device > WARDER_DEVICE_RULES_MAX)
		return too_many(reterr, "device rules", e->device, WARDER_DEVICE_RULES_MAX);
	if (e->peer > WARDER_PEER_RULES_MAX)
		return too_many(reterr, "ptrace, signal and ipc rules", e->peer,
				WARDER_PEER_RULES_MAX);
	if (e->stride > WARDER_PROFILES_MAX)
		return too_many(reterr, "combinations of profiles", e->stride,
				WARDER_PROFILES_MAX);
	if (e->signature > WARDER_SIGNATURES_MAX)
		return too_many(reterr, "signatures", e->signature, WARDER_SIGNATURES_MAX);
	if (upcalls > WARDER_UPCALLS_MAX)
		return too_many(reterr, "upcall rules", upcalls, WARDER_UPCALLS_MAX);
	return 0;
}

/* ----------------------------------------------------------------- numbering */

static __u32 node_of(const struct member *m, __u32 node)
{
	return node ? m->layer << WARDER_NODE_LAYER_SHIFT | (m->node + node - 1) : 0;
}

static __u32 state_of(const struct member *m, __u32 state)
{
	return WARDER_STATE(node_of(m, state >> 8), state & 0xff);
}

static __u16 rule_of(const struct member *m, __u32 rule)
{
	return rule ? (__u16)(m->rule + rule) : 0;
}

static __u32 string_of(const struct stack *s, const struct member *m, __u32 string)
{
	return string ? s->img->h.strings.offset + m->strings + string - m->img->h.strings.offset :
			0;
}

static const void *table_of(const struct member *m, const struct warder_section *s)
{
	return m->img->b + s->offset;
}

static void *table(const struct stack *s, const struct warder_section *section)
{
	return s->img->b + section->offset;
}

/* ------------------------------------------------------------------ automaton */

static void copy_nodes(const struct stack *s, const struct member *m)
{
	const struct warder_node *from = table_of(m, &m->img->h.node);
	struct warder_node *to = table(s, &s->img->h.node);
	__u32 chars = s->img->h.chars.offset + m->chars;

	for (__u32 i = m->layer != 0; i < m->img->h.node.count; i++) {
		struct warder_node n = from[i];
		__u32 accept = n.accept & WARDER_NODE_ACCEPT;

		switch (n.accept >> 24) {
		case WARDER_NODE_CHAIN:
			n.data = ((n.data >> 8) - m->img->h.chars.offset + chars) << 8 |
				 (n.data & 0xff);
			n.other = node_of(m, n.other);
			break;
		case WARDER_NODE_PATCH:
			n.other = node_of(m, n.other);
			n.data += m->edge;
			break;
		case WARDER_NODE_SPAN: /* its `other` are bytes */
		case WARDER_NODE_TABLE:
			n.data += m->edge;
			break;
		}
		n.next = state_of(m, n.next);
		n.accept = (n.accept & ~WARDER_NODE_ACCEPT) | (accept ? m->accept + accept - 1 : 0);
		to[i ? m->node + i - 1 : 0] = n;
	}
}

static void copy_automaton(const struct stack *s, const struct member *m)
{
	const struct warder_image_header *h = &m->img->h;
	const struct warder_edge *edge = table_of(m, &h->edge);
	const struct warder_accept *accept = table_of(m, &h->accept);
	const struct warder_accept_rule *entry = table_of(m, &h->accept_rule);
	struct warder_edge *to_edge = table(s, &s->img->h.edge);
	struct warder_accept *to_accept = table(s, &s->img->h.accept);
	struct warder_accept_rule *to_entry = table(s, &s->img->h.accept_rule);

	memcpy((char *)table(s, &s->img->h.class_of) + 256 * m->layer, table_of(m, &h->class_of),
	       256);
	if (h->chars.count)
		memcpy((char *)table(s, &s->img->h.chars) + m->chars, table_of(m, &h->chars),
		       h->chars.count);
	copy_nodes(s, m);
	for (__u32 i = 0; i < h->edge.count; i++)
		to_edge[m->edge + i] = (struct warder_edge) { .node = node_of(m, edge[i].node),
							      .next = state_of(m, edge[i].next) };
	for (__u32 i = 1; i < h->accept.count; i++) {
		struct warder_accept a = accept[i];

		if (a.count)
			a.rules += s->img->h.accept_rule.offset - h->accept_rule.offset +
				   m->accept_rule * (__u32)sizeof(*entry);
		/* Who gets a policy was asked before: those bits go. */
		if (m->sets < 64)
			a.set &= (1ull << m->sets) - 1;
		/* Of sets without bits nothing is left to move. */
		a.set = a.set ? a.set << m->set : 0;
		to_accept[m->accept + i - 1] = a;
	}
	for (__u32 i = 0; i < h->accept_rule.count; i++) {
		to_entry[m->accept_rule + i] = entry[i];
		to_entry[m->accept_rule + i].rule = rule_of(m, entry[i].rule);
	}
}

/* --------------------------------------------------------------------- tables */

static void copy_overrides(const struct stack *s, const struct member *m)
{
	const struct warder_override *from = table_of(m, &m->img->h.override_);
	struct warder_override *to = table(s, &s->img->h.override_);

	for (__u32 i = 0; i < m->img->h.override_.count; i++) {
		struct warder_override o = from[i];

		o.layer = (__u8)m->layer;
		o.rule = rule_of(m, o.rule);
		o.bind = string_of(s, m, o.bind);
		o.handler = string_of(s, m, o.handler);
		o.fuse = string_of(s, m, o.fuse);
		for (unsigned k = 0; k < o.options; k++)
			o.option[k].text = string_of(s, m, o.option[k].text);
		if (o.by_profile != WARDER_BY_ANY_PROFILE)
			o.by_profile *= m->stride;
		to[m->set + i] = o;
	}
}

#define COPY_TABLE(s, m, section, type, base)                                                      \
	do {                                                                                       \
		const struct type *from_ = table_of(m, &(m)->img->h.section);                      \
		struct type *to_ = (struct type *)table(s, &(s)->img->h.section) + (base);         \
                                                                                                   \
		for (__u32 i_ = 0; i_ < (m)->img->h.section.count; i_++) {                         \
			to_[i_] = from_[i_];                                                       \
			to_[i_].rule = rule_of(m, from_[i_].rule);                                 \
		}                                                                                  \
	} while (0)

static void copy_rules(const struct stack *s, const struct member *m)
{
	const struct warder_image_header *h = &m->img->h;
	const struct warder_rule *rule = table_of(m, &h->rule);
	struct warder_rule *to = (struct warder_rule *)table(s, &s->img->h.rule) + m->rule;

	for (__u32 i = 0; i < h->rule.count; i++) {
		to[i] = rule[i];
		to[i].file = string_of(s, m, rule[i].file);
		to[i].id = string_of(s, m, rule[i].id);
		to[i].profile = (__u16)(rule[i].profile * m->stride);
		to[i].in = (__u16)(rule[i].in * m->stride);
	}
	COPY_TABLE(s, m, mount, warder_mount_rule, m->set);
	COPY_TABLE(s, m, net, warder_net_rule, m->net);
	COPY_TABLE(s, m, device, warder_device_rule, m->device);
	COPY_TABLE(s, m, peer, warder_peer_rule, m->peer);
	copy_overrides(s, m);
	signed_copy(s->img, m->img, m->layer, m->blob);
	memcpy((char *)table(s, &s->img->h.strings) + m->strings, table_of(m, &h->strings),
	       h->strings.count);
}

/* ------------------------------------------------------------------- profiles */

static __u32 part_number(const struct member *m, __u32 number)
{
	return number / m->stride % m->img->h.profile.count;
}

static __u64 shift(__u64 set, __u32 by)
{
	return by < 64 ? set << by : 0;
}

static void shift_words(__u64 *set, unsigned words, __u32 by)
{
	__u64 to[WARDER_NET_RULES_MAX / 64] = { 0 };

	for (unsigned i = 0; i < words * 64; i++)
		if ((set[i / 64] >> (i % 64) & 1) && i + by < words * 64)
			to[(i + by) / 64] |= 1ull << ((i + by) % 64);
	memcpy(set, to, words * sizeof(*set));
}

/* The layer's part in combination `number`. */
static void link_fill(const struct stack *s, const struct member *m, __u32 number,
		      struct warder_profile *ret)
{
	__u32 own = part_number(m, number);

	*ret = *image_profile(m->img, own);
	ret->name = string_of(s, m, ret->name);
	for (unsigned i = 0; i < WARDER_START__MAX; i++)
		ret->start[i] = i == WARDER_START_MATCH ? 0 : state_of(m, ret->start[i]);
	ret->mount_rules = shift(ret->mount_rules, m->set);
	ret->device_rules = shift(ret->device_rules, m->device);
	ret->peer_rules = shift(ret->peer_rules, m->peer);
	ret->override_rules = shift(ret->override_rules, m->set);
	shift_words(ret->net_rules, ARRAY_SIZE(ret->net_rules), m->net);
	for (unsigned i = 0; i < WARDER_BITS__MAX; i++)
		for (unsigned k = 0; k < 64; k++)
			ret->bits[i].rule[k] = rule_of(m, ret->bits[i].rule[k]);
	ret->layer = m->layer;
	ret->number = number;
	ret->part = own * m->stride;
}

/* Remembers a string of the stack's own; returns its offset in the image. */
static __u32 name_add(struct stack *s, const char *text)
{
	__u32 at = s->img->h.strings.offset + s->end.strings + (__u32)s->names_len;

	memcpy((char *)table(s, &s->img->h.strings) + s->end.strings + s->names_len, text,
	       strlen(text) + 1);
	s->names_len += strlen(text) + 1;
	return at;
}

#define STACK_NAME_MAX (WARDER_LAYERS_MAX * WARDER_NAME_SIZE + 1)

/* "web+-": how a combination of profiles is called; '-' is a top profile. */
static void combination_name(const struct stack *s, __u32 number, char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < s->count && used < size; i++) {
		const struct member *m = &s->m[i];
		__u32 own = part_number(m, number);

		used += (size_t)snprintf(
			buf + used, size - used, "%s%s", i ? "+" : "",
			own ? image_string(m->img, image_profile(m->img, own)->name) : "-");
	}
}

static void policy_names(const struct stack *s, char *buf, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < s->count && used < size; i++)
		used += (size_t)snprintf(buf + used, size - used, "%s%s", i ? "+" : "",
					 s->m[i].img->h.layer[0].policy);
}

/* Bytes of all those names. */
static size_t names_size(const struct stack *s)
{
	char name[STACK_NAME_MAX];
	size_t size;

	policy_names(s, name, sizeof(name));
	size = strlen(name) + 1;
	for (__u32 n = 1; n < s->end.stride; n++) {
		combination_name(s, n, name, sizeof(name));
		size += strlen(name) + 1;
	}
	return size;
}

static int stack_profiles(struct stack *s, struct warder_error *reterr)
{
	struct warder_image_header *h = &s->img->h;
	struct warder_profile *profile = table(s, &h->profile), *link = table(s, &h->link);
	size_t links = s->count - 1;
	char name[STACK_NAME_MAX];

	for (__u32 n = 0; n < s->end.stride; n++) {
		struct warder_profile *last = &profile[n];

		link_fill(s, &s->m[0], n, last);
		for (size_t i = 1; i < s->count; i++) {
			struct warder_profile *pr = &link[n * links + i - 1];

			link_fill(s, &s->m[i], n, pr);
			last->next = (__u32)((__u8 *)pr - s->img->b);
			profile[n].names |= pr->names;
			profile[n].override_rules |= pr->override_rules;
			last = pr;
		}
		profile[n].name = 0;
		profile[n].id = 0;
		if (!n)
			continue;
		combination_name(s, n, name, sizeof(name));
		profile[n].name = name_add(s, name);
		profile[n].id = profile_id(name);
		for (__u32 k = 1; k < n; k++)
			if (profile[k].id == profile[n].id)
				return error_set(reterr, -EINVAL,
						 "two combinations of profiles have the same "
						 "number, one of them %.200s: rename a profile",
						 name);
	}
	return 0;
}

/* --------------------------------------------------------------------- header */

static __u32 stricter(__u32 a, __u32 b, __u32 built_in)
{
	__u32 least = (a ? a : built_in) < (b ? b : built_in) ? a : b;

	return least;
}

static void stack_header(const struct stack *s)
{
	struct warder_image_header *h = &s->img->h;
	unsigned upcalls = 0;

	*h = s->m[0].img->h;
	memset(h->upcall, 0, sizeof(h->upcall));
	h->signed_layers = 0;
	h->name = h->hits = h->hit_shards = h->states = h->classes = h->quiet = 0;
	h->layers = (__u32)s->count;
	h->mode = WARDER_MODE_AUDIT;
	for (size_t i = 0; i < s->count; i++) {
		const struct warder_image_header *m = &s->m[i].img->h;

		if (m->mode == WARDER_MODE_LEARN ||
		    (m->mode == WARDER_MODE_ENFORCE && h->mode != WARDER_MODE_LEARN))
			h->mode = m->mode;
		h->quiet |= (m->mode == WARDER_MODE_LEARN) << i;
		h->unsafe &= m->unsafe;
		h->settings &= m->settings;
		h->override_ops |= m->override_ops;
		h->keys_max = stricter(h->keys_max, m->keys_max, WARDER_KEYS_DEFAULT);
		h->keys_bytes = stricter(h->keys_bytes, m->keys_bytes, WARDER_KEY_BYTES_DEFAULT);
		h->keys_pending =
			stricter(h->keys_pending, m->keys_pending, WARDER_KEY_PENDING_DEFAULT);
		h->states += m->states;
		h->classes = larger(h->classes, m->classes);
		h->layer[i] = m->layer[0];
		h->layer[i].rules = s->m[i].rule + m->rule.count;
		h->layer[i].signed_rule = rule_of(&s->m[i], m->layer[0].signed_rule);
		h->layer[i].signer = s->m[i].signer;
		h->layer[i].signature = s->m[i].signature;
		h->signed_layers |= (m->layer[0].signed_rule != 0) << i;
		for (unsigned k = 0; k < WARDER_UPCALLS_MAX && m->upcall[k].rule; k++) {
			h->upcall[upcalls] = m->upcall[k];
			h->upcall[upcalls].layer = (__u8)(i & 0xf);
			h->upcall[upcalls++].rule = rule_of(&s->m[i], m->upcall[k].rule);
		}
	}
}

/* Room for everything, in the order in which compiled images have it. */
static int stack_sections(struct stack *s, __u32 *ret_length)
{
	struct writer w = { .img = s->img, .at = sizeof(s->img->h) };
	struct warder_image_header *h = &s->img->h;
	const struct member *e = &s->end;
	const struct {
		struct warder_section *section;
		size_t count, size;
	} sections[] = {
		{ &h->class_of, 256 * s->count, 1 },
		{ &h->node, e->node, sizeof(struct warder_node) },
		{ &h->edge, larger(e->edge, EDGES_MIN), sizeof(struct warder_edge) },
		{ &h->chars, e->chars, 1 },
		{ &h->accept, e->accept, sizeof(struct warder_accept) },
		{ &h->accept_rule, e->accept_rule, sizeof(struct warder_accept_rule) },
		{ &h->rule, e->rule, sizeof(struct warder_rule) },
		{ &h->profile, e->stride, sizeof(struct warder_profile) },
		{ &h->link, e->stride * (s->count - 1), sizeof(struct warder_profile) },
		{ &h->mount, e->set, sizeof(struct warder_mount_rule) },
		{ &h->net, e->net, sizeof(struct warder_net_rule) },
		{ &h->device, e->device, sizeof(struct warder_device_rule) },
		{ &h->peer, e->peer, sizeof(struct warder_peer_rule) },
		{ &h->override_, e->set, sizeof(struct warder_override) },
		{ &h->match, 0, sizeof(struct warder_match) },
		{ &h->signer, e->signer, sizeof(struct warder_signer) },
		{ &h->signature, e->signature, sizeof(struct warder_signature) },
		{ &h->blob, e->blob, 1 },
		{ &h->strings, e->strings + names_size(s), 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
		if (!writer_section(&w, sections[i].section, sections[i].count, sections[i].size))
			return -E2BIG;
	*ret_length = w.at;
	return w.at > WARDER_IMAGE_SIZE ? -E2BIG : 0;
}

static int stack_write(struct stack *s, struct warder_error *reterr)
{
	char name[STACK_NAME_MAX];
	__u32 length;
	int err;

	stack_header(s);
	if (stack_sections(s, &length))
		return error_set(reterr, -E2BIG,
				 "the policies do not fit on one container together: they need "
				 "more than the %u bytes of an image",
				 WARDER_IMAGE_SIZE);
	for (size_t i = 0; i < s->count; i++) {
		copy_automaton(s, &s->m[i]);
		copy_rules(s, &s->m[i]);
	}
	policy_names(s, name, sizeof(name));
	s->img->h.name = name_add(s, name);
	err = stack_profiles(s, reterr);
	if (!err)
		image_close(s->img, length);
	return err;
}

int image_stack(const struct warder_image *const *member, size_t count,
		struct warder_image **ret, struct warder_error *reterr)
{
	cleanup_free struct warder_image *img = NULL;
	struct stack s = { .count = count };
	int err;

	*ret = NULL;
	if (!count || count > WARDER_LAYERS_MAX)
		return too_many(reterr, "policies", count, WARDER_LAYERS_MAX);
	for (size_t i = 0; i < count; i++)
		s.m[i].img = member[i];
	stack_place(&s);
	err = stack_check(&s, reterr);
	if (err)
		return err;
	/* Zeroed and aligned for every member. */
	img = calloc(1, sizeof(*img));
	if (!img)
		return error_set(reterr, -ENOMEM, "out of memory");
	s.img = img;
	if (count == 1)
		memcpy(img, member[0], sizeof(*img));
	else
		err = stack_write(&s, reterr);
	if (!err)
		*ret = take_ptr(img);
	return err;
}

int image_is_stack(const struct warder_image *img)
{
	const struct warder_image_header *h = &img->h;

	return h->magic == WARDER_IMAGE_MAGIC && h->version == WARDER_IMAGE_VERSION &&
	       h->header_size == sizeof(*h) && h->layers > 1 && h->layers <= WARDER_LAYERS_MAX &&
	       h->length >= sizeof(*h) && h->length <= WARDER_IMAGE_SIZE && !h->serial &&
	       image_checksum(img) == h->checksum;
}

const struct warder_profile *image_link(const struct warder_image *img, __u32 n)
{
	return n < img->h.link.count ?
		       (const struct warder_profile *)(img->b + img->h.link.offset) + n :
		       NULL;
}

__u32 image_rule_layer(const struct warder_image *img, __u32 rule)
{
	__u32 layer = 0;

	while (layer + 1 < img->h.layers && layer + 1 < WARDER_LAYERS_MAX &&
	       rule > img->h.layer[layer].rules)
		layer++;
	return layer;
}

const char *image_verdict_policy(const struct warder_image *img, const struct warder_verdict *v)
{
	if (img->h.layers > 1 && (v->rule || v->action != WARDER_ALLOW) &&
	    v->why != WARDER_WHY_FAULT && v->why != WARDER_WHY_BASELINE && v->layer < WARDER_LAYERS_MAX)
		return img->h.layer[v->layer].policy;
	return image_string(img, img->h.name);
}
