// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What a policy leaves alone: asked of the compiled image, at points that no rule speaks of, by the
 * engine that decides in the kernel. For files the whole automaton is walked.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy_diff.h"
#include "policy_internal.h"
#include "warder_decide.h"

struct left {
	struct policy_left *out;
	const struct warder_image *img;
	__u32 pr; /* byte offset of the profile */
	const char *profile;
	int err;
};

/* What a profile leaves alone as the top one does is said once. */
static void left_add(struct left *l, enum left_kind kind, __u32 class_, __u32 rule, const char *what)
{
	struct policy_left *out = l->out;
	struct left_item item = { .kind = kind, .class_ = class_, .profile = l->profile,
				  .rule = rule };

	if (l->err)
		return;
	for (size_t i = 0; i < out->count; i++)
		if (out->item[i].kind == kind && out->item[i].class_ == class_ &&
		    out->item[i].rule == rule && !out->item[i].profile[0] &&
		    !strcmp(out->item[i].what, what))
			return;
	if (vector_grow(&out->item, out->count, &out->cap, sizeof(*out->item))) {
		l->err = -ENOMEM;
		return;
	}
	item.what = strdup(what);
	if (!item.what)
		l->err = -ENOMEM;
	else
		out->item[out->count++] = item;
}

static void left_bits(struct left *l, enum left_kind kind, __u32 class_, __u64 bits, __u64 all)
{
	char words[1024], text[1040];
	bool most = __builtin_popcountll(bits) > 8 && !(bits & ~all) &&
		    __builtin_popcountll(all & ~bits) < __builtin_popcountll(bits);

	if (!bits)
		return;
	policy_words(class_, most ? all & ~bits : bits, ", ", words, sizeof(words));
	snprintf(text, sizeof(text), "%s%s", most ? "all but " : "", words);
	left_add(l, kind, class_, 0, bits == all ? "" : text);
}

/* Of what the default allows: what some deny rule takes away, and what none does. */
static void left_default(struct left *l, __u32 class_, __u64 allowed, __u64 denied, __u64 all)
{
	left_bits(l, LEFT_OPEN, class_, allowed & ~denied, all);
	left_bits(l, LEFT_UNLESS, class_, allowed & denied, all);
}

/* ------------------------------------------------------------ files, programs */

struct left_names {
	const struct left *l;
	__u32 denied;   /* some name is denied it */
	__u32 refused;  /* some name is refused it, by a rule or the default */
	__u32 rule[32]; /* that allows it; MANY: not the same one for all names */
};
#define LEFT_MANY UINT32_MAX

static int left_name(struct product *p, __u32 state, __u32 same, void *arg)
{
	struct left_names *n = arg;
	const struct warder_image *img = n->l->img;
	__u32 at = warder_accept_at(img, state), allow, deny;
	char name[4];

	(void)same;
	deny = WARDER_ACCEPT_FIELD(img, at, deny);
	allow = WARDER_ACCEPT_FIELD(img, at, allow);
	n->denied |= deny;
	/* The root folder itself is one that a rule on every name may well leave out. */
	if (product_name(p, name, sizeof(name)) && !strcmp(name, "/"))
		return 0;
	n->refused |= deny | ~(allow | WARDER_PROFILE_U32(img, n->l->pr, file_default));
	for (__u32 left = allow & ~n->refused; left; left &= left - 1) {
		__u32 *rule = &n->rule[__builtin_ctz(left)];
		__u32 by = (__u32)warder_attribute(img, at, left & -left, 0) >> 8;

		*rule = *rule && *rule != by ? LEFT_MANY : by;
	}
	return 0;
}

static void left_files(struct left *l)
{
	const __u32 all = WARDER_ACC_FILE_ALL | WARDER_ACC_EXEC;
	__u32 start = warder_start(l->img, l->pr, WARDER_START_FILE);
	__u32 def = WARDER_PROFILE_U32(l->img, l->pr, file_default) & all, always;
	struct left_names n = { .l = l };
	bool incomplete = false;
	char words[256];
	int err;

	err = product_walk(l->img, l->img, start, start, true, left_name, &n, &incomplete);
	if (err)
		l->err = err;
	left_default(l, WARDER_CLASS_FILE, def & ~WARDER_ACC_EXEC, n.denied, WARDER_ACC_FILE_ALL);
	left_default(l, WARDER_CLASS_EXEC, def & WARDER_ACC_EXEC, n.denied, WARDER_ACC_EXEC);
	always = incomplete ? 0 : all & ~def & ~n.refused;
	while (always) {
		__u32 rule = n.rule[__builtin_ctz(always)], bits = 0;

		for (__u32 b = always; b; b &= b - 1)
			if (n.rule[__builtin_ctz(b)] == rule)
				bits |= b & -b;
		always &= ~bits;
		rule = rule == LEFT_MANY ? 0 : rule;
		if (bits & ~WARDER_ACC_EXEC)
			left_add(l, LEFT_RULE, WARDER_CLASS_FILE, rule,
				 policy_words(WARDER_CLASS_FILE, bits & ~WARDER_ACC_EXEC, ", ", words,
					      sizeof(words)));
		if (bits & WARDER_ACC_EXEC)
			left_add(l, LEFT_RULE, WARDER_CLASS_EXEC, rule, "");
	}
}

/* ------------------------------------------------------------------ switches */

static void left_switches(struct left *l)
{
	static const struct {
		__u32 class_, bits, count;
	} classes[] = {
		{ WARDER_CLASS_MEMORY, WARDER_BITS_MEMORY, WARDER_MEM__MAX },
		{ WARDER_CLASS_CAPABILITY, WARDER_BITS_CAPABILITY, 41 },
		{ WARDER_CLASS_NAMESPACE, WARDER_BITS_NAMESPACE, WARDER_NS__MAX },
		{ WARDER_CLASS_KERNEL, WARDER_BITS_KERNEL, WARDER_SURFACE__MAX },
	};

	for (size_t c = 0; c < ARRAY_SIZE(classes); c++) {
		__u64 allowed = 0, all = (1ull << classes[c].count) - 1;

		for (__u32 bit = 0; bit < classes[c].count; bit++) {
			struct warder_verdict v;

			warder_layer_bit(l->img, l->pr, classes[c].bits, bit, &v);
			if (!v.rule && v.action == WARDER_ALLOW)
				allowed |= 1ull << bit;
		}
		left_bits(l, LEFT_OPEN, classes[c].class_, allowed, all);
	}
}

/* ------------------------------------------------------------------- tables */

/* Operations of which rules that hold in the profile deny something. */
#define LEFT_DENIED(l, table, type, held)                                                     \
	__extension__({                                                                       \
		__u32 ops_ = 0;                                                               \
		for (__u32 i_ = 0; i_ < (l)->img->h.table.count; i_++) {                      \
			const struct type *r_ = (const void *)&(l)->img->b[                   \
				(l)->img->h.table.offset + i_ * sizeof(*r_)];                 \
			if (((held) >> i_ & 1) && r_->deny)                                   \
				ops_ |= r_->ops;                                              \
		}                                                                             \
		ops_;                                                                         \
	})

/* Families of which rules deny something. */
static __u32 left_families(const struct left *l, const struct warder_profile *pr)
{
	static const __u8 mapped[12] = { [10] = 0xff, [11] = 0xff };
	__u32 denied = 0;

	for (__u32 i = 0; i < l->img->h.net.count; i++) {
		const struct warder_net_rule *r = (const void *)&l->img->b[
			l->img->h.net.offset + i * sizeof(*r)];
		__u32 families = r->families;

		if (!(pr->net_rules[i / 64] >> i % 64 & 1) || !r->deny)
			continue;
		/* A rule with an address is of one of the two. */
		if (r->prefix)
			families &= memcmp(r->addr, mapped, sizeof(mapped)) ? ~WARDER_FAM_INET :
									      ~WARDER_FAM_INET6;
		denied |= families;
	}
	return denied;
}

static void left_network(struct left *l, const struct warder_profile *pr)
{
	const __u32 all = (1u << WARDER_FAM_BITS) - 1;
	__u32 denied = left_families(l, pr);
	struct left_names by_name = { .l = l };
	bool incomplete = false;
	char words[2][128];

	for (unsigned i = 0; i < 2 && !l->err; i++) {
		__u32 start = warder_start(l->img, l->pr,
					   i ? WARDER_START_ABSTRACT : WARDER_START_UNIX);

		l->err = product_walk(l->img, l->img, start, start, !i, left_name, &by_name,
				      &incomplete);
	}
	if (by_name.denied || incomplete)
		denied |= WARDER_FAM_UNIX;
	for (unsigned k = 0; k < 2; k++) {
		__u32 families = pr->net_default & (k ? denied : ~denied) & all;
		size_t used = 0;

		words[k][0] = 0;
		for (const struct request_word *w = request_families; families && w->name; w++)
			if (families & w->bit) {
				used += (size_t)snprintf(words[k] + used, sizeof(words[k]) - used, "%s%s",
							 used ? ", " : "", w->name);
				families &= ~w->bit;
			}
		if (words[k][0])
			left_add(l, k ? LEFT_UNLESS : LEFT_OPEN, WARDER_CLASS_NETWORK, 0, words[k]);
	}
}

static void left_tables(struct left *l, const struct warder_profile *pr)
{
	static const __u32 classes[] = { WARDER_CLASS_PTRACE, WARDER_CLASS_SIGNAL, WARDER_CLASS_IPC };
	const __u32 mounts = (1u << WARDER_MNT_BITS) - 1, devices = (1u << WARDER_DEV_BITS) - 1;

	left_network(l, pr);
	left_default(l, WARDER_CLASS_MOUNT, pr->mount_default & mounts,
		     LEFT_DENIED(l, mount, warder_mount_rule, pr->mount_rules), mounts);
	left_default(l, WARDER_CLASS_DEVICE, pr->device_default & devices,
		     LEFT_DENIED(l, device, warder_device_rule, pr->device_rules), devices);
	for (size_t i = 0; i < ARRAY_SIZE(classes); i++) {
		__u64 denied = 0;

		for (__u32 k = 0; k < l->img->h.peer.count; k++) {
			const struct warder_peer_rule *r = (const void *)&l->img->b[
				l->img->h.peer.offset + k * sizeof(*r)];

			if ((pr->peer_rules >> k & 1) && r->deny && r->class_ == classes[i] &&
			    r->peer <= WARDER_PEER_CONTAINER)
				denied |= r->ops;
		}
		/* A rule may be of some peers only: the class is told as one. */
		if (pr->peer_default >> classes[i] & 1)
			left_add(l, denied ? LEFT_UNLESS : LEFT_OPEN, classes[i], 0, "");
	}
}

/* ----------------------------------------------------------------- together */

const char *left_kind_name(enum left_kind kind)
{
	static const char *const names[] = { "mode", "unsafe", "open", "unless", "rule" };

	return kind < ARRAY_SIZE(names) ? names[kind] : "?";
}

void policy_left_done(struct policy_left *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->item[i].what);
	free(l->item);
	memset(l, 0, sizeof(*l));
}

int policy_left(const struct warder_image *img, struct policy_left *ret)
{
	struct left l = { .out = ret, .img = img, .profile = "" };
	const struct warder_profile *pr;

	memset(ret, 0, sizeof(*ret));
	if (img->h.mode != WARDER_MODE_ENFORCE)
		left_add(&l, LEFT_MODE, WARDER_CLASS_NONE, 0, mode_name(img->h.mode));
	for (__u64 left = img->h.unsafe; left; left &= left - 1)
		left_add(&l, LEFT_UNSAFE, WARDER_CLASS_NONE, 0, unsafe_name(left & -left));
	for (__u32 n = 0; !l.err && (pr = image_profile(img, n)); n++) {
		l.pr = warder_profile_at(img, n);
		l.profile = n ? image_string(img, pr->name) : "";
		left_files(&l);
		left_switches(&l);
		left_tables(&l, pr);
	}
	if (l.err)
		policy_left_done(ret);
	return l.err;
}
