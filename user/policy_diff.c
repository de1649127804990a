// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What one policy allows and another does not, by the engine's own decisions: switches bit by bit,
 * names by the product of both automata, the rest in policy_diff_tables.c. The mode is no part of
 * it: an audit policy is compared by what it would refuse.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy_diff.h"
#include "policy_internal.h"
#include "policy_shared.h"
#include "warder_decide.h"

/* ---------------------------------------------------------------- the list */

static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = strstr(list, word); p; p = strstr(p + 1, word))
		if ((p == list || p[-1] == ' ') && (!p[len] || p[len] == ','))
			return true;
	return false;
}

static void grow_words(struct diff *d, struct diff_item *item, const char *what)
{
	char *joined;

	if (has_word(item->what, what))
		return;
	/* A list that nobody would read to its end. */
	if (strlen(item->what) > 300) {
		if (!strstr(item->what, ", ...") && asprintf(&joined, "%s, ...", item->what) >= 0) {
			free(item->what);
			item->what = joined;
		}
		return;
	}
	if (asprintf(&joined, "%s, %s", item->what, what) < 0) {
		d->err = -ENOMEM;
		return;
	}
	free(item->what);
	item->what = joined;
}

bool diff_add(struct diff *d, enum diff_kind kind, __u32 class_, const __u32 rule[2],
	      const int err[2], const char *what, bool apart, const char *witness)
{
	struct policy_diff *out = d->out;
	struct diff_item *item;

	if (d->err)
		return false;
	for (size_t i = 0; i < out->count; i++) {
		item = &out->item[i];
		if (item->kind != kind || item->class_ != class_ || item->old_rule != rule[0] ||
		    item->new_rule != rule[1] || item->old_err != err[0] ||
		    item->new_err != err[1] || strcmp(item->profile, d->profile))
			continue;
		if (!apart) {
			grow_words(d, item, what);
			return false;
		}
		if (!strcmp(item->what, what))
			return false;
	}
	if (out->count >= DIFF_ITEMS_MAX) {
		out->incomplete = true;
		return false;
	}
	if (vector_grow(&out->item, out->count, &out->cap, sizeof(*out->item))) {
		d->err = -ENOMEM;
		return false;
	}
	item = &out->item[out->count];
	*item = (struct diff_item) { .kind = kind, .profile = d->profile, .class_ = class_,
				     .old_rule = rule[0], .new_rule = rule[1], .old_err = err[0],
				     .new_err = err[1], .what = strdup(what),
				     .witness = witness ? strdup(witness) : NULL };
	if (!item->what || (witness && !item->witness)) {
		free(item->what);
		free(item->witness);
		d->err = -ENOMEM;
		return false;
	}
	out->count++;
	return true;
}

/* DIFF_CHANGED: they agree. */
static enum diff_kind kind_of(const struct warder_verdict v[2])
{
	bool old = v[0].action == WARDER_ALLOW, new_ = v[1].action == WARDER_ALLOW;

	if (old != new_)
		return new_ ? DIFF_ALLOWED : DIFF_DENIED;
	if (!old)
		return v[0].err != v[1].err ? DIFF_ERRNO : DIFF_CHANGED;
	return !v[0].report != !v[1].report ? DIFF_AUDIT : DIFF_CHANGED;
}

void diff_verdicts(struct diff *d, const struct policy_request *r, const char *what,
		   const struct warder_verdict v[2], const char *witness)
{
	const __u32 rule[2] = { v[0].rule, v[1].rule };
	const int err[2] = { v[0].action == WARDER_ALLOW ? 0 : (int)v[0].err,
			     v[1].action == WARDER_ALLOW ? 0 : (int)v[1].err };
	enum diff_kind kind = kind_of(v);
	cleanup_free char *text = NULL;

	if (kind == DIFF_CHANGED || d->err)
		return;
	text = witness ? NULL : malloc(3 * WARDER_PATH_MAX);
	if (text)
		witness = request_text(r, text, 3 * WARDER_PATH_MAX);
	diff_add(d, kind, r->class_, rule, err, what, false, witness);
}

const char *diff_kind_name(enum diff_kind kind)
{
	static const char *const names[] = { "allowed", "denied", "errno",   "audit",
					     "profile", "added",  "removed", "changed" };

	return kind < ARRAY_SIZE(names) ? names[kind] : "?";
}

void policy_diff_done(struct policy_diff *d)
{
	for (size_t i = 0; i < d->count; i++) {
		free(d->item[i].what);
		free(d->item[i].witness);
	}
	free(d->item);
	memset(d, 0, sizeof(*d));
}

/* ---------------------------------------------------------------- switches */

static void diff_switches(struct diff *d)
{
	static const struct {
		__u32 class_, bits, count;
	} classes[] = {
		{ WARDER_CLASS_CAPABILITY, WARDER_BITS_CAPABILITY, 41 },
		{ WARDER_CLASS_MEMORY, WARDER_BITS_MEMORY, WARDER_MEM__MAX },
		{ WARDER_CLASS_NAMESPACE, WARDER_BITS_NAMESPACE, WARDER_NS__MAX },
		{ WARDER_CLASS_KERNEL, WARDER_BITS_KERNEL, WARDER_SURFACE__MAX },
	};

	for (size_t c = 0; c < ARRAY_SIZE(classes); c++)
		for (__u32 bit = 0; bit < classes[c].count; bit++) {
			struct policy_request r = { .class_ = classes[c].class_, .access = bit };
			struct warder_verdict v[2];

			for (unsigned k = 0; k < 2; k++)
				warder_decide_switch(d->img[k], d->pr[k], classes[c].bits, bit,
						     &v[k]);
			diff_verdicts(d, &r, policy_word(r.class_, 1ull << bit), v, NULL);
		}
}

/* ------------------------------------------------------------ files, programs */

struct file_side {
	__u32 at, granted, deny, audit;
};

static void file_side(const struct warder_image *img, __u32 pr, __u32 state, struct file_side *s)
{
	__u32 allow;

	s->at = warder_accept_at(img, state);
	allow = WARDER_ACCEPT_FIELD(img, s->at, allow);
	s->deny = WARDER_ACCEPT_FIELD(img, s->at, deny);
	s->audit = WARDER_ACCEPT_FIELD(img, s->at, audit) & allow;
	s->granted = (allow | WARDER_PROFILE_U32(img, pr, file_default)) & ~s->deny;
}

/* The verdict on one bit, as warder_decide_file() makes it for a name that ends here. */
static void file_verdict(const struct warder_image *img, __u32 pr, const struct file_side *s,
			 __u32 bit, struct warder_verdict *v)
{
	__u32 by = (__u32)warder_attribute(img, s->at, bit, (s->deny & bit) != 0);

	warder_verdict_allow(v);
	v->rule = by >> 8;
	if (s->deny & bit)
		warder_verdict_deny(v, WARDER_WHY_RULE, by & 0xff);
	else if (!(s->granted & bit))
		warder_verdict_deny(v, WARDER_WHY_DEFAULT, warder_file_errno(img, pr, bit));
	else
		v->report = (s->audit & bit) != 0;
	if (bit == WARDER_ACC_EXEC && s->granted & bit)
		v->profile = warder_rule_profile(img, v->rule);
}

static const char *profile_name(const struct warder_image *img, __u32 number)
{
	const struct warder_profile *p = image_profile(img, number);

	return number && p ? image_string(img, p->name) : "";
}

/* A shorter name showed this difference for all of these accesses and more already. */
static bool file_is_known(const struct diff *d, enum diff_kind kind, const __u32 rule[2],
			  const int err[2], __u32 bits)
{
	for (size_t i = 0; i < d->out->count; i++) {
		const struct diff_item *item = &d->out->item[i];

		if (item->kind == kind && item->old_rule == rule[0] && item->new_rule == rule[1] &&
		    item->old_err == err[0] && item->new_err == err[1] &&
		    !strcmp(item->profile, d->profile) && !(bits & ~item->bits))
			return true;
	}
	return false;
}

/* Accesses on which the pair differs in the same way, by the same rules, are one difference. */
static void file_bits(struct diff *d, const struct product *p, const struct file_side side[2])
{
	char name[WARDER_PATH_MAX], words[256];
	struct policy_request r = { .path = NULL };
	__u32 left = WARDER_ACC_FILE_ALL | WARDER_ACC_EXEC;

	while (left && !d->err) {
		__u32 bit = left & -left, same = 0;
		struct warder_verdict v[2], w[2];
		enum diff_kind kind;

		for (unsigned k = 0; k < 2; k++)
			file_verdict(d->img[k], d->pr[k], &side[k], bit, &v[k]);
		left &= ~bit;
		kind = kind_of(v);
		if (kind == DIFF_CHANGED && bit == WARDER_ACC_EXEC &&
		    strcmp(profile_name(d->img[0], v[0].profile),
			   profile_name(d->img[1], v[1].profile))) {
			const __u32 rule[2] = { v[0].rule, v[1].rule };
			const int none[2] = { 0, 0 };

			snprintf(words, sizeof(words), "from %.64s to %.64s",
				 v[0].profile ? profile_name(d->img[0], v[0].profile) : "staying",
				 v[1].profile ? profile_name(d->img[1], v[1].profile) : "staying");
			diff_add(d, DIFF_PROFILE, WARDER_CLASS_EXEC, rule, none, words, true,
				 product_name(p, name, sizeof(name)));
			continue;
		}
		if (kind == DIFF_CHANGED)
			continue;
		for (__u32 other = left; other && bit != WARDER_ACC_EXEC; other &= other - 1) {
			__u32 b = other & -other;

			for (unsigned k = 0; k < 2; k++)
				file_verdict(d->img[k], d->pr[k], &side[k], b, &w[k]);
			if (b != WARDER_ACC_EXEC && kind_of(w) == kind && w[0].rule == v[0].rule &&
			    w[1].rule == v[1].rule && w[0].err == v[0].err && w[1].err == v[1].err)
				same |= b;
		}
		left &= ~same;
		r.class_ = bit == WARDER_ACC_EXEC ? WARDER_CLASS_EXEC : WARDER_CLASS_FILE;
		r.access = bit | same;
		r.path = product_name(p, name, sizeof(name));
		if (r.path) {
			const __u32 rule[2] = { v[0].rule, v[1].rule };
			const int err[2] = { v[0].action == WARDER_ALLOW ? 0 : (int)v[0].err,
					     v[1].action == WARDER_ALLOW ? 0 : (int)v[1].err };
			cleanup_free char *text = NULL;

			if (file_is_known(d, kind, rule, err, r.access))
				continue;
			text = malloc(3 * WARDER_PATH_MAX);
			if (!text) {
				d->err = -ENOMEM;
				return;
			}
			request_text(&r, text, 3 * WARDER_PATH_MAX);
			if (diff_add(d, kind, r.class_, rule, err,
				     policy_words(r.class_, r.access, ", ", words, sizeof(words)),
				     true, text))
				d->out->item[d->out->count - 1].bits = r.access;
		}
	}
}

static int file_visit(struct product *p, __u32 old_state, __u32 new_state, void *arg)
{
	struct diff *d = arg;
	struct file_side side[2];

	file_side(d->img[0], d->pr[0], old_state, &side[0]);
	file_side(d->img[1], d->pr[1], new_state, &side[1]);
	file_bits(d, p, side);
	return d->err;
}

void diff_files(struct diff *d)
{
	static const __u32 none[2] = { 0, 0 };
	bool trivial[2];
	int err;

	for (unsigned k = 0; k < 2; k++)
		trivial[k] = warder_file_is_trivial(d->img[k], d->pr[k]);
	if (trivial[0] != trivial[1]) {
		const int errs[2] = { trivial[0] ? 0 : EACCES, trivial[1] ? 0 : EACCES };

		diff_add(d, trivial[0] ? DIFF_DENIED : DIFF_ALLOWED, WARDER_CLASS_FILE, none, errs,
			 "objects without a name (detached, deleted, on an unknown file system)",
			 true, NULL);
	}
	err = product_walk(d->img[0], d->img[1],
			   warder_start(d->img[0], d->pr[0], WARDER_START_FILE),
			   warder_start(d->img[1], d->pr[1], WARDER_START_FILE), true, file_visit, d,
			   &d->out->incomplete);
	if (!d->err)
		d->err = err;
}

/* ------------------------------------------------------------------ settings */

static void diff_setting(struct diff *d, const char *what, const char *old, const char *new_)
{
	static const __u32 none[2] = { 0, 0 };
	static const int no_err[2] = { 0, 0 };
	char text[256];

	if (!strcmp(old, new_))
		return;
	snprintf(text, sizeof(text), "%s: %.110s -> %.110s", what, *old ? old : "none",
		 *new_ ? new_ : "none");
	diff_add(d, DIFF_CHANGED, WARDER_CLASS_NONE, none, no_err, text, true, NULL);
}

/* "user to host, * by program to deny"; what does not fit is cut, but compared. */
static void upcalls_text(const struct warder_image_header *h, char *buf, size_t size)
{
	static const char *const bys[] = { "", " by program", " by kernel", "" };
	static const char *const tos[WARDER_UPCALL__MAX] = { "deny", "host", "queue" };
	size_t used = 0;

	buf[0] = 0;
	for (unsigned i = 0; i < WARDER_UPCALLS_MAX && h->upcall[i].rule && used < size; i++) {
		const struct warder_upcall *u = &h->upcall[i];

		used += (size_t)snprintf(buf + used, size - used, "%s%.15s%s to %s%s", i ? ", " : "",
					 u->type[0] ? u->type : "*", bys[u->by & 3],
					 tos[u->to % WARDER_UPCALL__MAX],
					 u->otherwise == WARDER_UPCALL_HOST ? " or host" : "");
		if (u->deadline && used < size)
			used += (size_t)snprintf(buf + used, size - used, " within %u ms", u->deadline);
	}
}

/* "2 signers 0011223344556677, 120 signatures 8899aabbccddeeff": other certificates or signatures are
 * other numbers. */
static void signed_text(const struct warder_image *img, char *buf, size_t size)
{
	const struct warder_layer *l = &img->h.layer[0];
	uint64_t h = 0xcbf29ce484222325ull;

	buf[0] = 0;
	if (!l->signed_rule)
		return;
	for (__u32 i = 0; i < img->h.signature.count * sizeof(struct warder_signature); i++)
		h = (h ^ img->b[img->h.signature.offset + i]) * 0x100000001b3ull;
	snprintf(buf, size, "%u signers %016llx, %u signatures %016llx%s", l->signers,
		 (unsigned long long)l->signers_id, l->signatures, (unsigned long long)h,
		 l->signed_flags & WARDER_SIGNED_OPTIONAL ? ", optional" : "");
}

static void shared_text(const struct warder_image *img, char *buf, size_t size)
{
	const char *name;
	size_t used = 0;

	buf[0] = 0;
	for (unsigned i = 0; used < size && (name = image_shared(img, i)); i++)
		used += (size_t)snprintf(buf + used, size - used, "%s%s", i ? ", " : "", name);
}

static void diff_keyring(struct diff *d)
{
	const struct warder_image_header *h[2] = { &d->img[0]->h, &d->img[1]->h };
	const struct {
		const char *what;
		__u32 value[2];
	} quotas[] = {
		{ "keyring.quota.keys", { h[0]->keys_max, h[1]->keys_max } },
		{ "keyring.quota.bytes", { h[0]->keys_bytes, h[1]->keys_bytes } },
		{ "keyring.quota.pending", { h[0]->keys_pending, h[1]->keys_pending } },
	};
	static const char *const joins[WARDER_JOIN__MAX] = { "lazy", "sticky", "deny" };
	char words[2][1024];

	for (size_t i = 0; i < ARRAY_SIZE(quotas); i++) {
		for (unsigned k = 0; k < 2; k++)
			snprintf(words[k], sizeof(words[k]), "%u", quotas[i].value[k]);
		diff_setting(d, quotas[i].what, words[0], words[1]);
	}
	for (unsigned k = 0; k < 2; k++)
		upcalls_text(h[k], words[k], sizeof(words[k]));
	diff_setting(d, "keyring.upcalls", words[0], words[1]);
	for (unsigned k = 0; k < 2; k++)
		signed_text(d->img[k], words[k], sizeof(words[k]));
	diff_setting(d, "keyring.signed_exec", words[0], words[1]);
	for (unsigned k = 0; k < 2; k++)
		shared_text(d->img[k], words[k], sizeof(words[k]));
	diff_setting(d, "keyring.shared", words[0], words[1]);
	diff_setting(d, "keyring.join", joins[h[0]->layer[0].keys_join % WARDER_JOIN__MAX],
		     joins[h[1]->layer[0].keys_join % WARDER_JOIN__MAX]);
}

struct match_walk {
	const struct diff *d;
	bool differs;
};

static int match_visit(struct product *p, __u32 old_state, __u32 new_state, void *arg)
{
	struct match_walk *w = arg;
	const struct diff *d = w->d;
	const __u32 offset = (__u32)offsetof(struct warder_accept, set);

	(void)p;
	w->differs |= image_u64(d->img[0], warder_accept_at(d->img[0], old_state) + offset) !=
		      image_u64(d->img[1], warder_accept_at(d->img[1], new_state) + offset);
	return 0;
}

/* Whom it is for: by what the patterns match, which variables are part of. */
static void diff_match(struct diff *d)
{
	struct match_walk w = { .d = d };
	char words[2][1024];
	__u32 start[2];
	int err;

	for (unsigned k = 0; k < 2; k++) {
		struct json_object *match = image_match_json(d->img[k]);

		match_text(match, words[k], sizeof(words[k]));
		json_object_put(match);
		start[k] = warder_start(d->img[k], warder_profile_at(d->img[k], 0),
					WARDER_START_MATCH);
	}
	if (strcmp(words[0], words[1])) {
		diff_setting(d, "match", words[0], words[1]);
		return;
	}
	err = product_walk(d->img[0], d->img[1], start[0], start[1], false, match_visit, &w,
			   &d->out->incomplete);
	if (w.differs)
		diff_setting(d, "match", words[0], "the same text with other variables");
	if (err)
		d->err = err;
}

static void diff_settings(struct diff *d)
{
	static const char *const unsafe[WARDER_UNSAFE_BITS] = {
		"bpf",	       "modules",      "kexec",		 "host_ptrace",
		"host_signal", "kernel_files", "memory_devices", "perfmon",
	};
	char words[2][256];

	d->profile = "";
	diff_setting(d, "mode", mode_name(d->img[0]->h.mode), mode_name(d->img[1]->h.mode));
	for (unsigned k = 0; k < 2; k++) {
		size_t used = 0;

		words[k][0] = 0;
		for (unsigned i = 0; i < WARDER_UNSAFE_BITS; i++)
			if (d->img[k]->h.unsafe >> i & 1)
				used += (size_t)snprintf(words[k] + used, sizeof(words[k]) - used,
							 "%s%s", used ? ", " : "", unsafe[i]);
	}
	diff_setting(d, "unsafe", words[0], words[1]);
	for (unsigned k = 0; k < 2; k++)
		snprintf(words[k], sizeof(words[k]), "%s",
			 d->img[k]->h.settings & WARDER_SETTING_SELECTABLE ? "true" : "false");
	diff_setting(d, "selectable", words[0], words[1]);
	diff_match(d);
	diff_keyring(d);
}

static void diff_profile(struct diff *d, __u32 old, __u32 new_, const char *name)
{
	d->pr[0] = warder_profile_at(d->img[0], old);
	d->pr[1] = warder_profile_at(d->img[1], new_);
	d->profile = name;
	diff_files(d);
	diff_switches(d);
	diff_network(d);
	diff_unix(d);
	diff_mounts(d);
	diff_devices(d);
	diff_peers(d);
}

static void diff_profiles(struct diff *d)
{
	static const __u32 none[2] = { 0, 0 };
	static const int no_err[2] = { 0, 0 };

	diff_profile(d, 0, 0, "");
	for (unsigned k = 0; k < 2; k++)
		for (__u32 i = 1; i < d->img[k]->h.profile.count && !d->err; i++) {
			const char *name = profile_name(d->img[k], i);
			int other = image_find_profile(d->img[!k], name);

			if (other > 0 && k == 0) {
				diff_profile(d, i, (__u32)other, name);
			} else if (other <= 0) {
				d->profile = "";
				diff_add(d, k ? DIFF_ADDED : DIFF_REMOVED, WARDER_CLASS_NONE, none,
					 no_err, name, true, NULL);
			}
		}
	d->profile = "";
}

int policy_diff(const struct warder_image *old, const struct warder_image *new_,
		struct policy_diff *ret)
{
	struct diff d = { .out = ret, .img = { old, new_ }, .profile = "" };

	memset(ret, 0, sizeof(*ret));
	diff_settings(&d);
	diff_profiles(&d);
	d.pr[0] = warder_profile_at(old, 0);
	d.pr[1] = warder_profile_at(new_, 0);
	diff_overrides(&d);
	if (d.err)
		policy_diff_done(ret);
	return d.err;
}
