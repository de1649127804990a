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

bool diff_add(struct diff *d, const struct diff_item *item, const char *what, bool apart,
	      const char *witness)
{
	struct policy_diff *out = d->out;
	struct diff_item *to;

	if (d->err)
		return false;
	for (size_t i = 0; i < out->count; i++) {
		to = &out->item[i];
		if (to->kind != item->kind || to->class_ != item->class_ ||
		    to->old_rule != item->old_rule || to->new_rule != item->new_rule ||
		    to->old_err != item->old_err || to->new_err != item->new_err ||
		    strcmp(to->profile, d->profile))
			continue;
		if (!apart) {
			grow_words(d, to, what);
			return false;
		}
		if (strcmp(to->what, what))
			continue;
		/* One of its several calls or types may show what another could not. */
		if (!to->witness && witness) {
			struct diff_item with = *item;

			with.what = to->what;
			with.profile = to->profile;
			with.witness = strdup(witness);
			d->err = with.witness ? 0 : -ENOMEM;
			*to = with;
		}
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
	to = &out->item[out->count];
	*to = *item;
	to->profile = d->profile;
	to->what = strdup(what);
	to->witness = witness ? strdup(witness) : NULL;
	if (!to->what || (witness && !to->witness)) {
		free(to->what);
		free(to->witness);
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

/* The item for two verdicts. */
static struct diff_item item_of(enum diff_kind kind, __u32 class_, const struct warder_verdict v[2])
{
	bool old = v[0].action == WARDER_ALLOW, new_ = v[1].action == WARDER_ALLOW;

	return (struct diff_item){ .kind = kind,
				   .class_ = class_,
				   .old_rule = v[0].rule,
				   .new_rule = v[1].rule,
				   .old_err = old ? 0 : (int)v[0].err,
				   .new_err = new_ ? 0 : (int)v[1].err,
				   .old_report = old && v[0].report,
				   .new_report = new_ && v[1].report };
}

void diff_decide(struct diff *d, struct policy_request *r, struct warder_verdict ret[2])
{
	for (unsigned k = 0; k < 2 && !d->err; k++) {
		r->profile = d->number[k];
		d->err = policy_decide(d->img[k], r, &ret[k]);
	}
}

/* Of a request that was put to both. */
static bool note_verdicts(struct diff *d, const struct policy_request *r, const char *what, bool apart,
			  const struct warder_verdict v[2])
{
	enum diff_kind kind = kind_of(v);
	struct diff_item item = item_of(kind, r->class_, v);
	cleanup_free char *text = NULL;

	if (d->err || kind == DIFF_CHANGED)
		return false;
	text = malloc(5 * WARDER_PATH_MAX);
	if (!text) {
		d->err = -ENOMEM;
		return false;
	}
	if (r->class_ == WARDER_CLASS_FILE || r->class_ == WARDER_CLASS_EXEC)
		item.bits = r->access;
	diff_add(d, &item, what, apart, request_arguments(r, text, 5 * WARDER_PATH_MAX));
	return true;
}

bool diff_request(struct diff *d, struct policy_request *r, const char *what)
{
	struct warder_verdict v[2];

	diff_decide(d, r, v);
	return !d->err && note_verdicts(d, r, what, false, v);
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
		__u32 class_, count;
	} classes[] = {
		{ WARDER_CLASS_CAPABILITY, 41 },
		{ WARDER_CLASS_MEMORY, WARDER_MEM__MAX },
		{ WARDER_CLASS_NAMESPACE, WARDER_NS__MAX },
		{ WARDER_CLASS_KERNEL, WARDER_SURFACE__MAX },
	};

	for (size_t c = 0; c < ARRAY_SIZE(classes); c++)
		for (__u32 bit = 0; bit < classes[c].count; bit++) {
			struct policy_request r = { .class_ = classes[c].class_, .access = bit };

			diff_request(d, &r, policy_word(r.class_, 1ull << bit));
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
static bool file_is_known(const struct diff *d, const struct diff_item *item, __u32 bits)
{
	for (size_t i = 0; i < d->out->count; i++) {
		const struct diff_item *known = &d->out->item[i];

		if (known->kind == item->kind && known->class_ == item->class_ &&
		    known->old_rule == item->old_rule && known->new_rule == item->new_rule &&
		    known->old_err == item->old_err && known->new_err == item->new_err &&
		    !strcmp(known->profile, d->profile) && !(bits & ~known->bits))
			return true;
	}
	return false;
}

/* What both say of each access to one name, bit by bit. */
struct file_pair {
	struct warder_verdict v[WARDER_ACC_BITS][2];
};

/* Accept records of names that were compared: others that end in the same have the same answers. Not all
 * need be remembered. */
#define FILE_SEEN 4096
struct file_walk {
	struct diff *d;
	struct file_seen {
		__u32 at[2], kernel, used;
	} seen[FILE_SEEN];
};

static bool file_seen(struct file_walk *w, const struct product *p, const __u32 state[2])
{
	const struct diff *d = w->d;
	struct file_seen now = { { warder_accept_at(d->img[0], state[0]),
				   warder_accept_at(d->img[1], state[1]) },
				 warder_accept_at(d->kernel, product_apart(p)), 1 };
	__u64 h = ((__u64)now.at[0] << 32 | now.at[1]) * 0x9e3779b97f4a7c15ull + now.kernel * 0x85ebca6bull;
	struct file_seen *at = &w->seen[(h ^ h >> 32) % FILE_SEEN];

	if (!memcmp(at, &now, sizeof(now)))
		return true;
	*at = now;
	return false;
}

/* Where the baseline may have a say, all of the engine is asked. */
static void file_verdicts(struct diff *d, const struct product *p, const __u32 state[2], const char *name,
			  struct file_pair *f)
{
	struct policy_request r = { .class_ = WARDER_CLASS_FILE, .path = name };
	bool kernel = warder_accept_at(d->kernel, product_apart(p)) !=
		      warder_accept_at(d->kernel, WARDER_STATE_DEAD);
	struct file_side side[2];

	for (unsigned k = 0; k < 2; k++)
		file_side(d->img[k], d->pr[k], state[k], &side[k]);
	for (unsigned i = 0; i < WARDER_ACC_BITS; i++) {
		r.access = 1u << i;
		for (unsigned k = 0; k < 2 && !kernel; k++)
			file_verdict(d->img[k], d->pr[k], &side[k], r.access, &f->v[i][k]);
		if (kernel)
			diff_decide(d, &r, f->v[i]);
	}
}

/* Executed by both, into another profile. */
static void file_profile(struct diff *d, const struct file_pair *f, const char *name)
{
	const struct warder_verdict *v = f->v[__builtin_ctz(WARDER_ACC_EXEC)];
	struct policy_request r = { .class_ = WARDER_CLASS_EXEC, .access = WARDER_ACC_EXEC, .path = name };
	struct diff_item item = item_of(DIFF_PROFILE, WARDER_CLASS_EXEC, v);
	cleanup_free char *text = NULL;
	char words[256];

	if (kind_of(v) != DIFF_CHANGED || v[0].action != WARDER_ALLOW ||
	    !strcmp(profile_name(d->img[0], v[0].profile), profile_name(d->img[1], v[1].profile)))
		return;
	snprintf(words, sizeof(words), "from %.64s to %.64s",
		 v[0].profile ? profile_name(d->img[0], v[0].profile) : "staying",
		 v[1].profile ? profile_name(d->img[1], v[1].profile) : "staying");
	text = malloc(5 * WARDER_PATH_MAX);
	if (text)
		diff_add(d, &item, words, true, request_arguments(&r, text, 5 * WARDER_PATH_MAX));
	else
		d->err = -ENOMEM;
}

/* Accesses on which the pair differs in the same way, by the same rules, are one difference. */
static int file_visit(struct product *p, __u32 old_state, __u32 new_state, void *arg)
{
	const __u32 state[2] = { old_state, new_state };
	char name[WARDER_PATH_MAX], words[256];
	struct file_walk *w = arg;
	struct diff *d = w->d;
	__u32 left = WARDER_ACC_FILE_ALL | WARDER_ACC_EXEC;
	struct file_pair f;

	if (file_seen(w, p, state) || !product_name(p, name, sizeof(name)))
		return d->err;
	file_verdicts(d, p, state, name, &f);
	file_profile(d, &f, name);
	while (left && !d->err) {
		unsigned first = (unsigned)__builtin_ctz(left);
		const struct warder_verdict *v = f.v[first];
		__u32 bits = 1u << first;
		struct policy_request r = { .path = name, .class_ = bits == WARDER_ACC_EXEC ?
							WARDER_CLASS_EXEC : WARDER_CLASS_FILE };
		struct diff_item item = item_of(kind_of(v), r.class_, v);

		left &= left - 1;
		if (item.kind == DIFF_CHANGED)
			continue;
		for (__u32 other = bits == WARDER_ACC_EXEC ? 0 : left & ~WARDER_ACC_EXEC; other;
		     other &= other - 1) {
			const struct warder_verdict *u = f.v[__builtin_ctz(other)];
			struct diff_item too = item_of(kind_of(u), r.class_, u);

			if (too.kind == item.kind && too.old_rule == item.old_rule &&
			    too.new_rule == item.new_rule && too.old_err == item.old_err &&
			    too.new_err == item.new_err)
				bits |= other & -other;
		}
		left &= ~bits;
		r.access = bits;
		if (!file_is_known(d, &item, bits))
			note_verdicts(d, &r, policy_words(r.class_, bits, ", ", words, sizeof(words)), true,
				      v);
	}
	return d->err;
}

void diff_files(struct diff *d)
{
	struct file_walk *w = calloc(1, sizeof(*w));
	struct diff_item item = { .class_ = WARDER_CLASS_FILE };
	bool trivial[2];
	int err;

	if (!w) {
		d->err = -ENOMEM;
		return;
	}
	w->d = d;

	for (unsigned k = 0; k < 2; k++)
		trivial[k] = warder_file_is_trivial(d->img[k], d->pr[k]);
	if (trivial[0] != trivial[1]) {
		item.kind = trivial[0] ? DIFF_DENIED : DIFF_ALLOWED;
		item.old_err = trivial[0] ? 0 : EACCES;
		item.new_err = trivial[1] ? 0 : EACCES;
		diff_add(d, &item, "objects without a name (detached, deleted, on an unknown file system)",
			 true, NULL);
	}
	err = product_walk_apart(d->img[0], d->img[1],
				 warder_start(d->img[0], d->pr[0], WARDER_START_FILE),
				 warder_start(d->img[1], d->pr[1], WARDER_START_FILE), d->kernel,
				 file_visit, w, &d->out->incomplete);
	free(w);
	if (!d->err)
		d->err = err;
}

/* ------------------------------------------------------------------ settings */

static void diff_setting(struct diff *d, const char *what, const char *old, const char *new_)
{
	static const struct diff_item item = { .kind = DIFF_CHANGED };
	char text[256];

	if (!strcmp(old, new_))
		return;
	snprintf(text, sizeof(text), "%s: %.110s -> %.110s", what, *old ? old : "none",
		 *new_ ? new_ : "none");
	diff_add(d, &item, text, true, NULL);
}

/* "user to host, * by program to deny"; what does not fit is cut, but compared. */
static void upcalls_text(const struct warder_image *img, char *buf, size_t size)
{
	const struct warder_image_header *h = &img->h;
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
		if (image_rule(img, u->rule) && image_rule(img, u->rule)->audit && used < size)
			used += (size_t)snprintf(buf + used, size - used, ", reported");
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
	snprintf(buf, size, "%u signers %016llx, %u signatures %016llx%s%s", l->signers,
		 (unsigned long long)l->signers_id, l->signatures, (unsigned long long)h,
		 l->signed_flags & WARDER_SIGNED_VERITY ? ", verity" : "",
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
		upcalls_text(d->img[k], words[k], sizeof(words[k]));
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

	(void)p;
	w->differs |= image_state_set(d->img[0], old_state) != image_state_set(d->img[1], new_state);
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
	d->number[0] = old;
	d->number[1] = new_;
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
	diff_profile(d, 0, 0, "");
	for (unsigned k = 0; k < 2; k++)
		for (__u32 i = 1; i < d->img[k]->h.profile.count && !d->err; i++) {
			const char *name = profile_name(d->img[k], i);
			int other = image_find_profile(d->img[!k], name);

			if (other > 0 && k == 0) {
				diff_profile(d, i, (__u32)other, name);
			} else if (other <= 0) {
				const struct diff_item item = { .kind = k ? DIFF_ADDED : DIFF_REMOVED };

				d->profile = "";
				diff_add(d, &item, name, true, NULL);
			}
		}
	d->profile = "";
}

int policy_diff(const struct warder_image *old, const struct warder_image *new_,
		struct policy_diff *ret)
{
	struct diff d = { .out = ret, .img = { old, new_ }, .profile = "", .kernel = kernel_names() };

	memset(ret, 0, sizeof(*ret));
	if (!d.kernel)
		return -ENOMEM;
	diff_settings(&d);
	diff_profiles(&d);
	d.pr[0] = warder_profile_at(old, 0);
	d.pr[1] = warder_profile_at(new_, 0);
	diff_overrides(&d);
	free(d.kernel);
	if (d.err)
		policy_diff_done(ret);
	return d.err;
}
