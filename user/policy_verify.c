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

#define ACC_ALL (WARDER_ACC_FILE_ALL | WARDER_ACC_EXEC)
#define MNT_ALL ((1u << WARDER_MNT_BITS) - 1)
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
		{ &h->trans, sizeof(__u16) },
		{ &h->accept_of, sizeof(__u16) },
		{ &h->accept, sizeof(struct warder_accept) },
		{ &h->accept_rule, sizeof(struct warder_accept_rule) },
		{ &h->rule, sizeof(struct warder_rule) },
		{ &h->profile, sizeof(struct warder_profile) },
		{ &h->mount, sizeof(struct warder_mount_rule) },
		{ &h->net, sizeof(struct warder_net_rule) },
		{ &h->device, sizeof(struct warder_device_rule) },
		{ &h->peer, sizeof(struct warder_peer_rule) },
		{ &h->override_, sizeof(struct warder_override) },
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

static const char *verify_dfa(const struct warder_image *img)
{
	const struct warder_image_header *h = &img->h;
	const __u8 *class_of = img->b + h->class_of.offset;
	const __u16 *trans = (const void *)(img->b + h->trans.offset);
	const __u16 *accept_of = (const void *)(img->b + h->accept_of.offset);

	if (h->states < 1 || h->states > 65535 || h->classes < 1 || h->classes > 256)
		return "number of states or classes";
	if (h->class_of.count != 256 || h->accept_of.count != h->states ||
	    h->trans.count != h->states * h->classes || h->accept.count < 1)
		return "size of a table";
	for (unsigned i = 0; i < 256; i++)
		if (class_of[i] >= h->classes)
			return "a byte class";
	for (__u32 i = 0; i < h->trans.count; i++)
		if (trans[i] >= h->states || (i < h->classes && trans[i]))
			return "a transition";
	for (__u32 i = 0; i < h->states; i++)
		if (accept_of[i] >= h->accept.count)
			return "an accept index";
	if (accept_of[WARDER_STATE_DEAD])
		return "the dead state accepts";
	return NULL;
}

static const char *verify_accept(const struct warder_image *img, const struct warder_accept *a)
{
	const struct warder_image_header *h = &img->h;
	const struct warder_accept_rule *r;
	const struct warder_rule *rule = (const void *)(img->b + h->rule.offset);
	__u32 sets = h->mount.count > h->override_.count ? h->mount.count : h->override_.count;
	__u32 denied = 0, allowed = 0, index;

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
	if (r->class_ != WARDER_CLASS_FILE && r->class_ != WARDER_CLASS_EXEC &&
	    r->class_ != WARDER_CLASS_CAPABILITY && r->class_ != WARDER_CLASS_MOUNT &&
	    r->class_ != WARDER_CLASS_OVERRIDE)
		return "class of a rule";
	if (r->deny > 1 || r->audit > 1 || (r->deny ? !errno_is_fine(r->err) : r->err))
		return "action of a rule";
	return NULL;
}

static const char *verify_mount(const struct warder_image *img, const struct warder_mount_rule *m)
{
	static const __u8 zero[sizeof(m->pad)];

	if (!m->ops || (m->ops & ~MNT_ALL) || (m->require & m->forbid))
		return "conditions of a mount rule";
	if (m->deny > 1 || m->audit > 1 || m->any_target > 1 ||
	    (m->deny ? !errno_is_fine(m->err) : m->err) || !m->rule ||
	    m->rule > img->h.rule.count || memcmp(m->pad, zero, sizeof(zero)))
		return "action of a mount rule";
	return padded_is_fine(m->type, sizeof(m->type)) ? NULL : "type of a mount rule";
}

static const char *verify_override(const struct warder_image *img, const struct warder_override *o)
{
	if (o->op == WARDER_OP_NONE || o->op >= WARDER_OP__MAX || !o->ops || (o->ops & ~MNT_ALL) ||
	    (o->require & o->forbid))
		return "operation of an override";
	if (o->do_ > WARDER_DO_DENY || o->late > WARDER_LATE_STOP || !o->cause ||
	    (o->cause & ~(WARDER_CAUSE_CAPABILITY | WARDER_CAUSE_LSM)) ||
	    (o->by_userns & ~(WARDER_BY_USERNS_CONTAINER | WARDER_BY_USERNS_NESTED)) ||
	    o->any_target > 1 || o->flags || !o->deadline_ms)
		return "action of an override";
	if (o->do_ == WARDER_DO_DENY ? !errno_is_fine(o->value) : o->value > 0x7fffffff)
		return "value of an override";
	if (!o->rule || o->rule > img->h.rule.count || !string_is_fine(img, o->bind) ||
	    !padded_is_fine(o->type, sizeof(o->type)) || o->options > WARDER_OPTIONS_MAX)
		return "rule, path or type of an override";
	for (__u32 i = 0; i < WARDER_OPTIONS_MAX; i++) {
		const struct warder_option *p = &o->option[i];

		if (!padded_is_fine(p->name, sizeof(p->name)) || p->compare > WARDER_CMP_LE ||
		    !string_is_fine(img, p->text) ||
		    (i < o->options ? !p->name[0]
				    : p->name[0] || p->bound || p->text || p->compare))
			return "option of an override";
	}
	return NULL;
}

static const char *verify_bits(const struct warder_image *img, const struct warder_bits *b)
{
	const struct warder_rule *rule = (const void *)(img->b + img->h.rule.offset);

	if ((b->audit & ~b->allow) || !errno_is_fine(b->err) || b->pad)
		return "audited switches";
	for (unsigned i = 0; i < 64; i++) {
		__u16 n = b->rule[i];

		if (n > img->h.rule.count || (n && rule[n - 1].deny == (b->allow >> i & 1)))
			return "rule of a switch";
	}
	return NULL;
}

static const char *verify_profile(const struct warder_image *img, const struct warder_profile *pr)
{
	const struct warder_image_header *h = &img->h;
	const struct warder_accept *a = (const void *)(img->b + h->accept.offset);
	__u32 trivial = pr->file_default == ACC_ALL;
	const char *bad = NULL;

	if ((pr->file_default & ~ACC_ALL) || (pr->mount_default & ~MNT_ALL) ||
	    !errno_is_fine(pr->file_err) || !errno_is_fine(pr->exec_err) ||
	    !errno_is_fine(pr->mount_err))
		return "class defaults";
	for (__u32 i = 0; i < h->accept.count; i++)
		if (a[i].deny || a[i].audit)
			trivial = 0;
	if (pr->file_trivial != trivial)
		return "file_trivial";
	for (unsigned i = 0; i < WARDER_START__MAX; i++)
		if (pr->start[i] >= h->states)
			return "a start state";
	for (unsigned i = 0; !bad && i < WARDER_BITS__MAX; i++)
		bad = verify_bits(img, &pr->bits[i]);
	return bad;
}

static const char *verify_defaults(const struct warder_image *img)
{
	const struct warder_image_header *h = &img->h;
	const struct warder_override *o = (const void *)(img->b + h->override_.offset);
	const char *bad = NULL;
	__u64 ops = 0;

	if (h->keys_max > WARDER_KEYS_MAX)
		return "class defaults";
	for (__u32 i = 0; i < h->override_.count; i++)
		ops |= 1ull << o[i].op;
	if (h->override_ops != ops)
		return "override_ops";
	if (!h->profile.count || h->profile.count > WARDER_PROFILES_MAX)
		return "number of profiles";
	for (__u32 i = 0; !bad && i < h->profile.count; i++)
		bad = verify_profile(
			img, (const struct warder_profile *)(img->b + h->profile.offset) + i);
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

	if (!bad && (h->mount.count > WARDER_MOUNT_RULES_MAX ||
		     h->override_.count > WARDER_OVERRIDES_MAX || h->rule.count > WARDER_RULES_MAX))
		bad = "number of rules";
	if (!bad && (!h->name || !string_is_fine(img, h->name) ||
		     !padded_is_fine(h->policy, sizeof(h->policy)) ||
		     strcmp(h->policy, image_string(img, h->name))))
		bad = "name";
	if (!bad)
		bad = verify_dfa(img);
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
