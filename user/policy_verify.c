// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Reading images. An image that passes image_verify() has no index that leads outside its
 * section, no value that its field does not know, and no refusal without a rule to name.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy_internal.h"
#include "policy_shared.h"
#include "warder_decide.h"

#define ACC_ALL (WARDER_ACC_FILE_ALL | WARDER_ACC_EXEC)
#define MNT_ALL ((1u << WARDER_MNT_BITS) - 1)
#define FAM_ALL ((1u << WARDER_FAM_BITS) - 1)
/* Classes that rules can be of. */
#define RULE_CLASSES                                                                               \
	(1u << WARDER_CLASS_FILE | 1u << WARDER_CLASS_EXEC | 1u << WARDER_CLASS_CAPABILITY |       \
	 1u << WARDER_CLASS_MOUNT | 1u << WARDER_CLASS_PTRACE | 1u << WARDER_CLASS_SIGNAL |        \
	 1u << WARDER_CLASS_IPC | 1u << WARDER_CLASS_KERNEL | 1u << WARDER_CLASS_DEVICE |          \
	 1u << WARDER_CLASS_OVERRIDE | 1u << WARDER_CLASS_NETWORK | 1u << WARDER_CLASS_MEMORY |    \
	 1u << WARDER_CLASS_NAMESPACE | 1u << WARDER_CLASS_KEYRING)
#define ERR_MAX 133 /* EHWPOISON, the last of the kernel's */

static bool errno_is_fine(__u32 err)
{
	return err >= 1 && err <= ERR_MAX;
}

static bool string_is_fine(const struct warder_image *img, __u32 offset)
{
	const struct warder_section *s = &img->h.strings;

	/* Within the section, at the beginning of a string: the byte before ends another. */
	return !offset ||
	       (offset > s->offset && offset - s->offset < s->count && !img->b[offset - 1]);
}

/* A padded name: text, then only NUL. */
static bool padded_is_fine(const char *s, size_t size)
{
	size_t len = strnlen(s, size);

	for (size_t i = len; i < size; i++)
		if (s[i])
			return false;
	return len < size;
}

/* Sections lie one after the other, aligned, with only zero between them. */
static const char *verify_section(const struct warder_image *img, const struct warder_section *s,
				  size_t size, __u32 *at)
{
	const struct warder_image_header *h = &img->h;

	if (s->offset != ((*at + 7) & ~7u))
		return "a section does not lie where the one before ends";
	for (; *at < s->offset && *at < h->length; (*at)++)
		if (img->b[*at])
			return "bytes between sections";
	if (s->offset > h->length || s->count > (h->length - s->offset) / size)
		return "a section reaches beyond the image";
	*at = s->offset + (__u32)(s->count * size);
	return NULL;
}

static const char *verify_sections(const struct warder_image *img)
{
	const struct warder_image_header *h = &img->h;
	const struct {
		const struct warder_section *s;
		size_t size;
	} section[] = {
		{ &h->class_of, 1 },
		{ &h->node, sizeof(struct warder_node) },
		{ &h->edge, sizeof(struct warder_edge) },
		{ &h->chars, 1 },
		{ &h->accept, sizeof(struct warder_accept) },
		{ &h->accept_rule, sizeof(struct warder_accept_rule) },
		{ &h->rule, sizeof(struct warder_rule) },
		{ &h->profile, sizeof(struct warder_profile) },
		{ &h->link, sizeof(struct warder_profile) },
		{ &h->mount, sizeof(struct warder_mount_rule) },
		{ &h->net, sizeof(struct warder_net_rule) },
		{ &h->device, sizeof(struct warder_device_rule) },
		{ &h->peer, sizeof(struct warder_peer_rule) },
		{ &h->override_, sizeof(struct warder_override) },
		{ &h->match, sizeof(struct warder_match) },
		{ &h->signer, sizeof(struct warder_signer) },
		{ &h->signature, sizeof(struct warder_signature) },
		{ &h->blob, 1 },
		{ &h->strings, 1 },
	};
	__u32 at = sizeof(*h);

	for (size_t i = 0; i < ARRAY_SIZE(section); i++) {
		const char *bad = verify_section(img, section[i].s, section[i].size, &at);

		if (bad)
			return bad;
	}
	if (h->length != ((at + 7) & ~7u))
		return "the length is not where the last section ends";
	for (; at < h->length; at++)
		if (img->b[at])
			return "bytes after the last section";
	if (!h->strings.count || img->b[h->strings.offset] ||
	    img->b[h->strings.offset + h->strings.count - 1])
		return "the strings do not begin and end with NUL";
	return NULL;
}

static const char *verify_accept(const struct warder_image *img, const struct warder_accept *a)
{
	const struct warder_image_header *h = &img->h;
	const struct warder_accept_rule *r;
	const struct warder_rule *rule = (const void *)(img->b + h->rule.offset);
	__u32 sets = h->mount.count > h->override_.count ? h->mount.count : h->override_.count;
	__u32 denied = 0, allowed = 0, index;

	sets = sets > h->match.count ? sets : h->match.count;
	if (((a->allow | a->deny | a->audit) & ~ACC_ALL) || (a->allow & a->deny) ||
	    (a->audit & ~a->allow) || a->pad)
		return "masks of an accept record";
	if (sets < 64 && a->set >> sets)
		return "an accept record names a rule that is not there";
	if (a->count > WARDER_ACCEPT_RULES_MAX)
		return "an accept record with too many rules";
	if (!a->count)
		return a->rules || a->allow || a->deny ? "an accept record without its rules"
						       : NULL;
	if (a->rules < h->accept_rule.offset || (a->rules - h->accept_rule.offset) % sizeof(*r))
		return "an accept record points beside its rules";
	index = (a->rules - h->accept_rule.offset) / (__u32)sizeof(*r);
	if (index >= h->accept_rule.count || a->count > h->accept_rule.count - index)
		return "an accept record points beyond the rules";
	r = (const void *)(img->b + a->rules);
	for (__u32 i = 0; i < a->count; i++) {
		if (!r[i].mask || (r[i].mask & ~ACC_ALL) || r[i].deny > 1 || !r[i].rule ||
		    r[i].rule > h->rule.count)
			return "a deciding rule";
		if (rule[r[i].rule - 1].deny != r[i].deny || rule[r[i].rule - 1].err != r[i].err)
			return "a deciding rule that differs from its entry";
		*(r[i].deny ? &denied : &allowed) |= r[i].mask;
	}
	if (denied != a->deny || allowed != a->allow)
		return "an accept record whose rules decide something else";
	return NULL;
}

static const char *verify_rule(const struct warder_image *img, const struct warder_rule *r)
{
	if (!r->file || !r->line || !string_is_fine(img, r->file) || !string_is_fine(img, r->id))
		return "where a rule stands";
	if (r->class_ >= WARDER_CLASS__MAX || !(RULE_CLASSES >> r->class_ & 1))
		return "class of a rule";
	if (r->in >= img->h.profile.count || r->profile >= img->h.profile.count ||
	    (r->profile && (r->class_ != WARDER_CLASS_EXEC || r->deny)))
		return "profile of a rule";
	if (r->deny > 1 || r->audit > 1 || (r->deny ? !errno_is_fine(r->err) : r->err))
		return "action of a rule";
	return NULL;
}

static const char *verify_mount(const struct warder_image *img, const struct warder_mount_rule *m)
{
	static const __u8 zero[sizeof(m->pad)];

	if (!m->ops || (m->ops & ~MNT_ALL) || (m->require & m->forbid))
		return "conditions of a mount rule";
	if (m->deny > 1 || m->audit > 1 || m->any_target > 1 || m->any_source > 1 ||
	    (m->deny ? !errno_is_fine(m->err) : m->err) || !m->rule ||
	    m->rule > img->h.rule.count || memcmp(m->pad, zero, sizeof(zero)))
		return "action of a mount rule";
	return padded_is_fine(m->type, sizeof(m->type)) ? NULL : "type of a mount rule";
}

/* What a rule on calls other than mount(2) keeps as options has names of its own. */
static bool override_value_is_fine(const struct warder_override *o, const struct warder_option *p)
{
	switch (o->op) {
	case WARDER_OP_MOUNT:
		return p->compare <= WARDER_CMP_LE;
	case WARDER_OP_MKNOD:
		return !strcmp(p->name, WARDER_OPTION_NODE) && p->compare == WARDER_CMP_EQ && !p->text;
	case WARDER_OP_SETXATTR:
		return !strcmp(p->name, WARDER_OPTION_XATTR) && p->compare == WARDER_CMP_EQ && p->text;
	case WARDER_OP_SCHED_SETSCHEDULER:
	case WARDER_OP_SETPRIORITY:
		return (!strcmp(p->name, WARDER_OPTION_REALTIME) && p->compare == WARDER_CMP_LE) ||
		       (!strcmp(p->name, WARDER_OPTION_NICE) && p->compare == WARDER_CMP_GE);
	default:
		return false;
	}
}

static const char *verify_override(const struct warder_image *img, const struct warder_override *o)
{
	if (o->op == WARDER_OP_NONE || o->op >= WARDER_OP__MAX || !o->ops || (o->ops & ~MNT_ALL) ||
	    (o->op != WARDER_OP_MOUNT && o->ops != WARDER_OVERRIDE_CALL) ||
	    (o->require & o->forbid))
		return "operation of an override";
	if ((o->cause & WARDER_CAUSE_BASELINE) && o->do_ != WARDER_DO_FAKE &&
	    o->do_ != WARDER_DO_DENY)
		return "cause of an override";
	if (o->do_ > WARDER_DO_HANDLER || o->way > WARDER_WAY_NOTIFY ||
	    (o->way == WARDER_WAY_NOTIFY &&
	     (o->op != WARDER_OP_MOUNT ||
	      (o->ops & ~(WARDER_MNT_NEW | WARDER_MNT_BIND | WARDER_MNT_MOVE)))) ||
	    !o->handler != (o->do_ != WARDER_DO_HANDLER) || !string_is_fine(img, o->handler) || o->late > WARDER_LATE_STOP || !o->cause ||
	    (o->cause & ~(WARDER_CAUSE_CAPABILITY | WARDER_CAUSE_LSM | WARDER_CAUSE_BASELINE)) ||
	    (o->by_userns & ~(WARDER_BY_USERNS_CONTAINER | WARDER_BY_USERNS_NESTED)) ||
	    o->any_target > 1 || !o->deadline_ms || o->layer ||
	    (o->by_profile != WARDER_BY_ANY_PROFILE && o->by_profile >= img->h.profile.count))
		return "action of an override";
	if (o->do_ == WARDER_DO_HANDLER && o->value && !errno_is_fine(o->value))
		return "fallback of an override";
	if (o->do_ == WARDER_DO_DENY ? !errno_is_fine(o->value) : o->value > 0x7fffffff)
		return "value of an override";
	if (o->fuse && (o->op != WARDER_OP_MOUNT || o->ops != WARDER_MNT_NEW ||
			o->do_ == WARDER_DO_HANDLER || !string_is_fine(img, o->fuse)))
		return "FUSE program of an override";
	if (!o->rule || o->rule > img->h.rule.count || !string_is_fine(img, o->bind) ||
	    !padded_is_fine(o->type, sizeof(o->type)) || o->options > WARDER_OPTIONS_MAX)
		return "rule, path or type of an override";
	for (__u32 i = 0; i < WARDER_OPTIONS_MAX; i++) {
		const struct warder_option *p = &o->option[i];

		if (!padded_is_fine(p->name, sizeof(p->name)) || p->compare > WARDER_CMP_GE ||
		    !string_is_fine(img, p->text) ||
		    (i < o->options ? !p->name[0] || !override_value_is_fine(o, p)
				    : p->name[0] || p->bound || p->text || p->compare))
			return "option of an override";
	}
	return NULL;
}

/* An entry of a table does what its rule does. */
static bool entry_is_fine(const struct warder_image *img, __u32 class_, __u16 number, __u8 deny,
			  __u8 err, __u8 audit)
{
	const struct warder_rule *rule = image_rule(img, number);

	/* The right to make a socket comes with a rule and is not reported. */
	return rule && rule->class_ == class_ && rule->deny == deny && rule->err == err &&
	       (rule->audit == audit || (class_ == WARDER_CLASS_NETWORK && !audit));
}

static const char *verify_net(const struct warder_image *img, const struct warder_net_rule *n)
{
	if (!n->ops || (n->ops & ~WARDER_NET_ALL) || !n->families || (n->families & ~FAM_ALL) ||
	    n->protocols >> WARDER_PROTO_BITS || n->port_first > n->port_last || n->prefix > 128 ||
	    n->pad[0] || n->pad[1])
		return "conditions of a network rule";
	if ((n->prefix || n->protocols || n->port_first || n->port_last != 0xffff) &&
	    (n->families & ~WARDER_FAM_IP))
		return "an address of a family that has none";
	for (unsigned i = n->prefix; i < 128; i++)
		if (n->addr[i / 8] >> (7 - i % 8) & 1)
			return "an address beyond its prefix";
	return entry_is_fine(img, WARDER_CLASS_NETWORK, n->rule, n->deny, n->err, n->audit) ?
		       NULL :
		       "action of a network rule";
}

static const char *verify_device(const struct warder_image *img, const struct warder_device_rule *d)
{
	if (!d->ops || d->ops >> WARDER_DEV_BITS ||
	    (d->type && d->type != WARDER_DEVICE_CHAR && d->type != WARDER_DEVICE_BLOCK) ||
	    (d->major != WARDER_DEVICE_ANY && d->major >> 12) ||
	    (d->minor != WARDER_DEVICE_ANY && d->minor >> 20) || d->pad[0] || d->pad[1] ||
	    d->pad[2])
		return "conditions of a device rule";
	return entry_is_fine(img, WARDER_CLASS_DEVICE, d->rule, d->deny, d->err, d->audit) ?
		       NULL :
		       "action of a device rule";
}

static const char *verify_peer(const struct warder_image *img, const struct warder_peer_rule *r)
{
	bool named = r->peer == WARDER_PEER_POLICY || r->peer == WARDER_PEER_NAME;
	__u64 all;

	switch (r->class_) {
	case WARDER_CLASS_PTRACE:
		all = WARDER_PTRACE_ALL;
		break;
	case WARDER_CLASS_SIGNAL:
		all = WARDER_SIGNAL_ALL;
		break;
	case WARDER_CLASS_IPC:
		all = WARDER_IPC_ALL;
		break;
	default:
		return "class of a peer rule";
	}
	if (!r->ops || (r->ops & ~all) || r->peer >= WARDER_PEER__MAX || r->pad[0] || r->pad[1] ||
	    r->pad[2] || !padded_is_fine(r->name, sizeof(r->name)) || named != (r->name[0] != 0))
		return "conditions of a peer rule";
	/* The kernel would send such a signal again and again. */
	if (r->class_ == WARDER_CLASS_SIGNAL && r->err == ESRCH)
		return "errno of a signal rule";
	return entry_is_fine(img, r->class_, r->rule, r->deny, r->err, r->audit) ?
		       NULL :
		       "action of a peer rule";
}

static const char *verify_bits(const struct warder_image *img, __u32 class_,
			       const struct warder_bits *b)
{
	const struct warder_rule *rule = (const void *)(img->b + img->h.rule.offset);

	if ((b->audit & ~b->allow) || !errno_is_fine(b->err) || b->pad)
		return "audited switches";
	for (unsigned i = 0; i < 64; i++) {
		__u16 n = b->rule[i];

		if (n > img->h.rule.count || (n && (rule[n - 1].class_ != class_ ||
						    rule[n - 1].deny == (b->allow >> i & 1))))
			return "rule of a switch";
	}
	return NULL;
}

/* Can no file or exec rule at the top or in the profile refuse, report or lead elsewhere? */
static bool rules_are_trivial(const struct warder_image *img, __u32 number)
{
	for (__u32 i = 1; i <= img->h.rule.count; i++) {
		const struct warder_rule *r = image_rule(img, i);

		if ((r->class_ == WARDER_CLASS_FILE || r->class_ == WARDER_CLASS_EXEC) &&
		    (!r->in || r->in == number) && (r->deny || r->audit || r->profile))
			return false;
	}
	return true;
}

/* A bit beyond a table, or of a rule that stands in another profile. */
static bool table_is_fine(const struct warder_image *img, __u32 number, const __u64 *set,
			  unsigned words, const struct warder_section *s, size_t size, size_t rule)
{
	for (unsigned i = 0; i < words * 64; i++) {
		const struct warder_rule *r;
		__u16 n;

		if (!(set[i / 64] >> (i % 64) & 1))
			continue;
		if (i >= s->count)
			return false;
		memcpy(&n, img->b + s->offset + i * size + rule, sizeof(n));
		r = image_rule(img, n);
		if (!r || (r->in && r->in != number))
			return false;
	}
	return true;
}

#define TABLE_IS_FINE(img, number, set, section, type)                                             \
	table_is_fine(img, number, set, sizeof(set) / 8, &(img)->h.section, sizeof(type),          \
		      offsetof(type, rule))

static const char *verify_tables(const struct warder_image *img, __u32 number,
				 const struct warder_profile *pr)
{
	const __u64 mount[] = { pr->mount_rules }, device[] = { pr->device_rules },
		    peer[] = { pr->peer_rules };

	if (!TABLE_IS_FINE(img, number, mount, mount, struct warder_mount_rule) ||
	    !TABLE_IS_FINE(img, number, device, device, struct warder_device_rule) ||
	    !TABLE_IS_FINE(img, number, peer, peer, struct warder_peer_rule) ||
	    !TABLE_IS_FINE(img, number, pr->net_rules, net, struct warder_net_rule))
		return "rules of a profile";
	return NULL;
}

/* Those for callers in any profile, and for those in this one. */
static bool overrides_are_fine(const struct warder_image *img, __u32 number, __u64 set)
{
	const struct warder_override *o = (const void *)(img->b + img->h.override_.offset);
	__u64 all = 0;

	for (__u32 i = 0; i < img->h.override_.count; i++)
		if (o[i].by_profile == WARDER_BY_ANY_PROFILE || o[i].by_profile == number)
			all |= 1ull << i;
	return set == all;
}

static const char *verify_profile(const struct warder_image *img, __u32 number)
{
	static const __u32 classes[WARDER_BITS__MAX] = {
		[WARDER_BITS_CAPABILITY] = WARDER_CLASS_CAPABILITY,
		[WARDER_BITS_MEMORY] = WARDER_CLASS_MEMORY,
		[WARDER_BITS_NAMESPACE] = WARDER_CLASS_NAMESPACE,
		[WARDER_BITS_KERNEL] = WARDER_CLASS_KERNEL,
	};
	const __u32 peers = 1u << WARDER_CLASS_PTRACE | 1u << WARDER_CLASS_SIGNAL |
			    1u << WARDER_CLASS_IPC;
	const struct warder_profile *pr = image_profile(img, number);
	const char *bad = NULL;

	if (!string_is_fine(img, pr->name) || !pr->name != !number || !pr->id != !number)
		return "name of a profile";
	for (__u32 i = 1; i < number; i++)
		if (image_profile(img, i)->id == pr->id)
			return "two profiles with one number";
	if ((pr->file_default & ~ACC_ALL) || (pr->mount_default & ~MNT_ALL) ||
	    (pr->net_default & ~FAM_ALL) || pr->device_default >> WARDER_DEV_BITS ||
	    (pr->peer_default & ~peers))
		return "class defaults";
	if (!errno_is_fine(pr->file_err) || !errno_is_fine(pr->exec_err) ||
	    !errno_is_fine(pr->mount_err) || !errno_is_fine(pr->net_err) ||
	    !errno_is_fine(pr->device_err) || !errno_is_fine(pr->peer_err[0]) ||
	    !errno_is_fine(pr->peer_err[1]) || !errno_is_fine(pr->peer_err[2]))
		return "class defaults";
	if (pr->next || pr->layer || pr->mode != img->h.mode || pr->number != number ||
	    pr->part != number || pr->names != !pr->file_trivial)
		return "layer of a profile";
	if (pr->file_trivial != (pr->file_default == ACC_ALL && rules_are_trivial(img, number)))
		return "file_trivial";
	for (unsigned i = 0; i < WARDER_START__MAX; i++)
		if (!image_state_is_fine(img, pr->start[i]))
			return "a start state";
	if (!overrides_are_fine(img, number, pr->override_rules))
		return "overrides of a profile";
	for (unsigned i = 0; !bad && i < WARDER_BITS__MAX; i++)
		bad = verify_bits(img, classes[i], &pr->bits[i]);
	return bad ? bad : verify_tables(img, number, pr);
}

static const char *verify_upcalls(const struct warder_image *img)
{
	static const struct warder_upcall none;
	bool any = false;

	for (unsigned i = 0; i < WARDER_UPCALLS_MAX; i++) {
		const struct warder_upcall *u = &img->h.upcall[i];
		const struct warder_rule *rule = image_rule(img, u->rule);

		if (!u->rule) {
			if (memcmp(u, &none, sizeof(none)))
				return "bytes of an upcall without a rule";
			continue;
		}
		if (!rule || rule->class_ != WARDER_CLASS_KEYRING || rule->in ||
		    (i && !u[-1].rule))
			return "rule of an upcall";
		if (u->to >= WARDER_UPCALL__MAX || rule->deny != (u->to == WARDER_UPCALL_DENY) ||
		    !u->by || u->by > (WARDER_UPCALL_BY_PROGRAM | WARDER_UPCALL_BY_KERNEL) ||
		    u->layer || u->pad || (u->to != WARDER_UPCALL_QUEUE && (u->deadline || u->otherwise)) ||
		    u->deadline > WARDER_UPCALL_DEADLINE_MAX || u->otherwise > WARDER_UPCALL_HOST ||
		    !padded_is_fine(u->type, sizeof(u->type)))
			return "conditions of an upcall";
		if (any && u->type[0])
			return "order of upcalls";
		any |= !u->type[0];
	}
	return NULL;
}

static bool shared_is_fine(const struct warder_layer *l)
{
	for (unsigned i = 0; i < WARDER_SHARED_MAX; i++) {
		const char *name = l->shared[i];

		if (!padded_is_fine(name, WARDER_SHARED_SIZE) || (*name && !shared_is_name(name)) ||
		    (*name && i && !*l->shared[i - 1]))
			return false;
		for (unsigned k = 0; *name && k < i; k++)
			if (!strcmp(name, l->shared[k]))
				return false;
	}
	return true;
}

/* Stacks are made here from images that were verified, and never read: an image has one layer. */
static const char *verify_layers(const struct warder_image *img)
{
	static const struct warder_layer none;
	const struct warder_image_header *h = &img->h;
	const struct warder_layer *l = &h->layer[0];

	if (h->layers != 1 || h->link.count || h->zero[0] || h->zero[1] || h->zero[2] ||
	    h->settings & ~WARDER_SETTINGS_ALL)
		return "it has several layers";
	for (unsigned i = 1; i < WARDER_LAYERS_MAX; i++)
		if (memcmp(&h->layer[i], &none, sizeof(none)))
			return "bytes of a layer that is not there";
	if (l->mode != h->mode || h->quiet != (h->mode == WARDER_MODE_LEARN) ||
	    l->rules != h->rule.count || l->profiles != h->profile.count ||
	    l->keys_join >= WARDER_JOIN__MAX)
		return "its layer";
	if (!shared_is_fine(l))
		return "names of shared rings";
	return padded_is_fine(l->policy, sizeof(l->policy)) &&
			       !strcmp(l->policy, image_string(img, h->name)) ?
		       NULL :
		       "name";
}

/* Entries by their keys, the name before them, each once. */
static const char *verify_match(const struct warder_image *img)
{
	const struct warder_match *m = (const void *)(img->b + img->h.match.offset);
	const char *last = NULL, *key;

	for (__u32 i = 0; i < img->h.match.count; last = key, i++) {
		if (!string_is_fine(img, m[i].key) || !m[i].text || !string_is_fine(img, m[i].text))
			return "what it matches";
		key = image_string(img, m[i].key);
		if (last && strcmp(last, key) >= 0)
			return "the order of what it matches";
	}
	return NULL;
}

static const char *verify_defaults(const struct warder_image *img)
{
	const struct warder_image_header *h = &img->h;
	const struct warder_override *o = (const void *)(img->b + h->override_.offset);
	const char *bad = NULL;
	__u64 ops = 0;

	if (h->keys_max > WARDER_KEYS_MAX || h->keys_bytes > WARDER_KEY_BYTES_MAX ||
	    h->keys_pending > WARDER_KEY_PENDING_MAX ||
	    h->unsafe >> WARDER_UNSAFE_BITS)
		return "class defaults";
	bad = verify_upcalls(img);
	if (!bad)
		bad = verify_match(img);
	if (!bad)
		bad = signed_verify(img);
	if (bad)
		return bad;
	for (__u32 i = 0; i < h->override_.count; i++)
		ops |= 1ull << o[i].op;
	if (h->override_ops != ops)
		return "override_ops";
	for (__u32 i = 0; !bad && i < h->profile.count; i++)
		bad = verify_profile(img, i);
	return bad;
}

static const char *verify_header(const struct warder_image *img, size_t len)
{
	const struct warder_image_header *h = &img->h;
	__u64 hits;

	if (h->magic != WARDER_IMAGE_MAGIC)
		return "magic number";
	if (h->version != WARDER_IMAGE_VERSION || h->header_size != sizeof(*h))
		return "version: compiled by another version of warder";
	if (h->length < sizeof(*h) || h->length > len || h->length > WARDER_IMAGE_SIZE)
		return "length";
	hits = (__u64)h->hit_shards * (h->rule.count + 1ull) * sizeof(__u64);
	if (h->hit_shards > WARDER_HIT_SHARDS_MAX || (h->hit_shards & (h->hit_shards - 1)) ||
	    h->hits != (h->hit_shards ? h->length : 0) ||
	    (h->hit_shards && hits > WARDER_IMAGE_SIZE - h->length))
		return "counters";
	for (size_t i = h->length; i < len; i++)
		if (img->b[i])
			return "bytes after its end";
	if (h->serial)
		return "serial number";
	if (image_checksum(img) != h->checksum)
		return "checksum";
	return h->mode > WARDER_MODE_LEARN ? "mode" : NULL;
}

static const char *verify_all(const struct warder_image *img)
{
	const struct warder_image_header *h = &img->h;
	const char *bad = verify_sections(img);

	if (!bad && (!h->profile.count || h->profile.count > WARDER_PROFILES_MAX ||
		     h->net.count > WARDER_NET_RULES_MAX ||
		     h->device.count > WARDER_DEVICE_RULES_MAX ||
		     h->peer.count > WARDER_PEER_RULES_MAX ||
		     h->mount.count > WARDER_MOUNT_RULES_MAX ||
		     h->match.count > WARDER_MATCHES_MAX ||
		     h->override_.count > WARDER_OVERRIDES_MAX || h->rule.count > WARDER_RULES_MAX))
		bad = "number of rules";
	if (!bad && (!h->name || !string_is_fine(img, h->name)))
		bad = "name";
	if (!bad)
		bad = verify_layers(img);
	if (!bad)
		bad = image_verify_dfa(img);
	for (__u32 i = 0; !bad && i < h->rule.count; i++)
		bad = verify_rule(img, (const struct warder_rule *)(img->b + h->rule.offset) + i);
	for (__u32 i = 0; !bad && i < h->accept.count; i++) {
		const struct warder_accept *a =
			(const struct warder_accept *)(img->b + h->accept.offset) + i;

		bad = !i && (a->count || a->set || a->audit) ? "accept record 0 is not empty"
							     : verify_accept(img, a);
	}
	for (__u32 i = 0; !bad && i < h->mount.count; i++)
		bad = verify_mount(
			img, (const struct warder_mount_rule *)(img->b + h->mount.offset) + i);
	for (__u32 i = 0; !bad && i < h->net.count; i++)
		bad = verify_net(img,
				 (const struct warder_net_rule *)(img->b + h->net.offset) + i);
	for (__u32 i = 0; !bad && i < h->device.count; i++)
		bad = verify_device(
			img, (const struct warder_device_rule *)(img->b + h->device.offset) + i);
	for (__u32 i = 0; !bad && i < h->peer.count; i++)
		bad = verify_peer(img,
				  (const struct warder_peer_rule *)(img->b + h->peer.offset) + i);
	for (__u32 i = 0; !bad && i < h->override_.count; i++)
		bad = verify_override(
			img, (const struct warder_override *)(img->b + h->override_.offset) + i);
	return bad ? bad : verify_defaults(img);
}

int image_verify(const void *data, size_t len, struct warder_error *reterr)
{
	cleanup_free void *copy = NULL;
	const struct warder_image *img = data;
	const char *bad;

	if (len < sizeof(struct warder_image_header) || len > WARDER_IMAGE_SIZE)
		return error_set(reterr, -EINVAL,
				 "not a policy image: %zu bytes, expected %zu to %u", len,
				 sizeof(struct warder_image_header), WARDER_IMAGE_SIZE);
	if ((uintptr_t)data % _Alignof(struct warder_image)) {
		copy = malloc(len);
		if (!copy)
			return -ENOMEM;
		img = memcpy(copy, data, len);
	}
	bad = verify_header(img, len);
	if (!bad)
		bad = verify_all(img);
	if (bad)
		return error_set(reterr, -EINVAL, "not a usable policy image: %s", bad);
	return 0;
}

void image_reset(struct warder_image *img)
{
	img->h.serial = 0;
	if (img->h.length < WARDER_IMAGE_SIZE)
		memset(img->b + img->h.length, 0, WARDER_IMAGE_SIZE - img->h.length);
}

const char *image_string(const struct warder_image *img, __u32 offset)
{
	const struct warder_section *s = &img->h.strings;

	if (offset < s->offset || offset - s->offset >= s->count)
		return "";
	return (const char *)img->b + offset;
}

const struct warder_rule *image_rule(const struct warder_image *img, __u32 rule)
{
	if (!rule || rule > img->h.rule.count)
		return NULL;
	return (const struct warder_rule *)(img->b + img->h.rule.offset) + rule - 1;
}

const struct warder_profile *image_profile(const struct warder_image *img, __u32 profile)
{
	if (profile >= img->h.profile.count)
		return NULL;
	return (const struct warder_profile *)(img->b + img->h.profile.offset) + profile;
}

__u64 image_hits(const struct warder_image *img, __u32 rule)
{
	const __u64 *hits = (const void *)(img->b + img->h.hits);
	__u64 sum = 0;

	for (__u32 i = 0; i < img->h.hit_shards && rule <= img->h.rule.count; i++)
		sum += __atomic_load_n(&hits[i * (img->h.rule.count + 1) + rule], __ATOMIC_RELAXED);
	return sum;
}

const char *image_rule_where(const struct warder_image *img, __u32 rule, char *buf, size_t size)
{
	const struct warder_rule *r = image_rule(img, rule);

	if (r)
		snprintf(buf, size, "%s:%u", image_string(img, r->file), r->line);
	else
		snprintf(buf, size, "default");
	return buf;
}
