// SPDX-License-Identifier: LGPL-2.1-or-later
/* Checked rules -> image: accept records, layout, strings, checksum. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "cleanup.h"
#include "policy_internal.h"

#define RECORD_TABLE (1u << 17)

/* ------------------------------------------------------------ accept records */

/* The record being put together: at most two entries for each bit, see the ABI. */
struct draft {
	struct warder_accept a;
	struct warder_accept_rule entry[WARDER_ACCEPT_RULES_MAX];
};

static void draft_add(struct draft *d, const struct policy_rule *r, uint32_t number, uint32_t mask)
{
	if (!mask || d->a.count == WARDER_ACCEPT_RULES_MAX)
		return; /* the second cannot be: each entry decides at least one new bit */
	d->entry[d->a.count++] = (struct warder_accept_rule) {
		.mask = mask, .rule = (uint16_t)number, .deny = r->deny, .err = r->err
	};
}

/* In the place of a rule with `mask` these decide. */
static void compiler_shadow(struct compiler *c, uint32_t number, uint32_t mask,
			    const uint32_t owner[WARDER_ACC_BITS])
{
	for (; mask; mask &= mask - 1)
		shadows_add(&c->shadow[number - 1], owner[__builtin_ctz(mask)]);
}

/* rule[0] says to which profile a name leads: later ones that say another one are told. */
static void compiler_conflicts(struct compiler *c, const uint32_t *rule, size_t count)
{
	uint32_t profile = c->p->rule[rule[0] - 1].profile;

	for (size_t i = 1; profile && i < count; i++) {
		const struct policy_rule *r = &c->p->rule[rule[i] - 1];

		if (!r->deny && r->mask & WARDER_ACC_EXEC && r->profile && r->profile != profile)
			c->conflict[rule[i] - 1] = rule[0];
	}
}

/* Whom a granted bit is attributed to: a report names the rule that asked for it, so those come
 * first. But where execution may lead to another profile, the first rule of the text says to
 * which, whoever reports it. */
static void draft_attribute(struct compiler *c, struct draft *d, const uint32_t *rule, size_t count)
{
	uint32_t seen = d->a.deny, by_text = 0;

	for (size_t i = 0; i < count; i++)
		if (c->p->rule[rule[i] - 1].profile)
			by_text = WARDER_ACC_EXEC;
	for (size_t i = 0; by_text && i < count; i++) {
		const struct policy_rule *r = &c->p->rule[rule[i] - 1];

		if (r->deny || !(r->mask & by_text & ~seen))
			continue;
		draft_add(d, r, rule[i], by_text);
		compiler_conflicts(c, rule + i, count - i);
		break;
	}
	seen |= by_text;
	for (unsigned audit = 2; audit-- > 0;)
		for (size_t i = 0; i < count; i++) {
			const struct policy_rule *r = &c->p->rule[rule[i] - 1];

			if (r->deny || r->audit != audit)
				continue;
			draft_add(d, r, rule[i], r->mask & ~seen);
			seen |= r->mask;
		}
}

/* What the rules in rule[0..count), in the order of the text, decide together. `named`: at the end of
 * some name, where it is to be known which of them decide. */
static void draft_fill(struct compiler *c, struct draft *d, const uint32_t *rule, size_t count, bool named)
{
	uint32_t owner[WARDER_ACC_BITS] = { 0 }, seen = 0, audited;

	for (size_t i = 0; i < count; i++) {
		const struct policy_rule *r = &c->p->rule[rule[i] - 1];
		uint32_t fresh = r->mask & ~d->a.deny;

		if (!r->deny)
			continue;
		draft_add(d, r, rule[i], fresh);
		d->a.deny |= fresh;
		c->decides[rule[i] - 1] |= named && fresh;
		for (unsigned b = 0; b < WARDER_ACC_BITS; b++)
			if (fresh >> b & 1)
				owner[b] = rule[i];
		if (!fresh && named)
			compiler_shadow(c, rule[i], r->mask, owner);
	}
	seen = d->a.deny;
	audited = d->a.deny;
	for (size_t i = 0; i < count; i++) {
		const struct policy_rule *r = &c->p->rule[rule[i] - 1];
		uint32_t fresh = r->mask & ~seen;

		if (r->deny)
			continue;
		for (unsigned b = 0; b < WARDER_ACC_BITS; b++)
			if (fresh >> b & 1)
				owner[b] = rule[i];
		/* Reporting what another rule allows is a decision too. */
		if (fresh || (r->audit && (r->mask & ~audited)))
			c->decides[rule[i] - 1] |= named;
		else if (named)
			compiler_shadow(c, rule[i], r->mask, owner);
		seen |= fresh;
		if (r->audit)
			audited |= r->mask;
	}
	d->a.allow = seen & ~d->a.deny;
	d->a.audit = audited & ~d->a.deny;
	draft_attribute(c, d, rule, count);
}

static uint32_t draft_hash(const struct draft *d)
{
	const struct warder_accept *a = &d->a;
	uint64_t h = 1469598103934665603ull;
	const uint64_t words[] = { a->allow, a->deny, a->audit, a->count, a->set };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		h = (h ^ words[i]) * 1099511628211ull;
	for (uint32_t i = 0; i < a->count; i++)
		h = (h ^ d->entry[i].mask ^ (uint64_t)d->entry[i].rule << 32) * 1099511628211ull;
	return (uint32_t)(h ^ h >> 32);
}

static bool draft_equals(const struct compiler *c, const struct draft *d,
			 const struct warder_accept *a)
{
	return a->allow == d->a.allow && a->deny == d->a.deny && a->audit == d->a.audit &&
	       a->set == d->a.set && a->count == d->a.count &&
	       (!a->count || !memcmp(&c->accept.entry[a->rules], d->entry,
				     a->count * sizeof(struct warder_accept_rule)));
}

/* The number of an equal record, or of a new one. */
static int draft_intern(struct compiler *c, struct draft *d, uint32_t *ret)
{
	struct accept_table *t = &c->accept;
	uint32_t slot = draft_hash(d) & (RECORD_TABLE - 1);

	for (; c->table[slot]; slot = (slot + 1) & (RECORD_TABLE - 1))
		if (draft_equals(c, d, &c->accept.record[c->table[slot]])) {
			*ret = c->table[slot];
			return 0;
		}
	if (t->records > UINT16_MAX)
		return -E2BIG;
	if (vector_grow(&t->record, t->records, &t->records_cap, sizeof(*t->record)))
		return -ENOMEM;
	d->a.rules = d->a.count ? (uint32_t)t->entries : 0;
	for (uint32_t i = 0; i < d->a.count; i++) {
		if (vector_grow(&t->entry, t->entries, &t->entries_cap, sizeof(*t->entry)))
			return -ENOMEM;
		t->entry[t->entries++] = d->entry[i];
	}
	c->table[slot] = (uint32_t)t->records;
	*ret = (uint32_t)t->records;
	t->record[t->records++] = d->a;
	return 0;
}

/* The rules of names among the patterns, by number and in the order of the text, into rule[0..count);
 * returns how many. *ret_set: entries of tables. */
static size_t pattern_rules(const struct compiler *c, const uint32_t *patterns, size_t count,
			    uint32_t *rule, __u64 *ret_set)
{
	size_t rules = 0;

	*ret_set = 0;
	/* Patterns come in the order of the text, so those of a rule follow each other. */
	for (size_t i = 0; i < count; i++) {
		const struct policy_pattern *p = &c->p->pattern[patterns[i]];

		*ret_set |= p->set;
		if ((p->start == WARDER_START_FILE || p->start == WARDER_START_UNIX ||
		     p->start == WARDER_START_ABSTRACT) &&
		    (!rules || rule[rules - 1] != p->rule + 1))
			rule[rules++] = p->rule + 1;
	}
	return rules;
}

static int compiler_accept(void *arg, const uint32_t *patterns, size_t count, uint32_t *ret)
{
	struct compiler *c = arg;
	struct draft d = { 0 };
	cleanup_free uint32_t *rule = malloc((count + 1) * sizeof(*rule));
	size_t rules;
	__u64 set;

	if (!rule)
		return -ENOMEM;
	rules = pattern_rules(c, patterns, count, rule, &set);
	d.a.set = set;
	draft_fill(c, &d, rule, rules, false);
	return draft_intern(c, &d, ret);
}

static void compiler_named(void *arg, const uint32_t *patterns, size_t count)
{
	struct compiler *c = arg;
	struct draft d = { 0 };
	cleanup_free uint32_t *rule = malloc((count + 1) * sizeof(*rule));
	__u64 set;

	if (rule)
		draft_fill(c, &d, rule, pattern_rules(c, patterns, count, rule, &set), true);
	else
		c->no_memory = true;
}

/* ---------------------------------------------------------------- reports */

static void report_conflict(struct compiler *c, const struct policy_rule *r,
			    const struct policy_rule *first)
{
	diag_add(c->diags, r->file, r->profile_line, r->profile_column, 1,
		 "profile: some names lead to profile \"%s\" here and to \"%s\" by the exec rule at "
		 "%s:%u, which decides as the first in the text",
		 c->p->profile[r->profile].name, c->p->profile[first->profile].name, first->file,
		 first->line);
}

static void report_shadows(struct compiler *c)
{
	for (size_t i = 0; i < c->p->rules; i++) {
		const struct policy_rule *r = &c->p->rule[i];

		if (!c->decides[i] && !r->included && !r->broken && c->shadow[i].rule[0])
			report_shadow(c->diags, c->p, r, &c->shadow[i]);
		else if (c->conflict[i] && !r->included && !r->broken)
			report_conflict(c, r, &c->p->rule[c->conflict[i] - 1]);
	}
	report_table_shadows(c->p, c->diags);
}

/* The three rules with the greatest share of the automaton. */
static void report_cost(struct compiler *c, const uint64_t *by_pattern, const char *limit)
{
	cleanup_free uint64_t *cost = calloc(c->p->rules + 1, sizeof(*cost));
	char list[512] = "";
	size_t used = 0, top = 0;
	uint64_t sum = 1;

	for (size_t i = 0; cost && i < c->p->patterns; i++) {
		if (c->p->pattern[i].rule != POLICY_NO_RULE)
			cost[c->p->pattern[i].rule] += by_pattern[i];
		sum += by_pattern[i];
	}
	for (int k = 0; cost && k < 3 && used < sizeof(list); k++) {
		size_t most = 0;

		for (size_t i = 0; i < c->p->rules; i++)
			if (cost[i] > cost[most])
				most = i;
		if (c->p->rules && cost[most]) {
			const struct policy_rule *r = &c->p->rule[most];

			used += (size_t)snprintf(list + used, sizeof(list) - used,
						 "%s%s:%u (%llu%%)", used ? ", " : "", r->file,
						 r->line,
						 (unsigned long long)(cost[most] * 100 / sum));
			if (!k)
				top = most;
			cost[most] = 0;
		}
	}
	diag_add(c->diags, c->p->rules ? c->p->rule[top].file : "policy",
		 c->p->rules ? c->p->rule[top].line : 0, c->p->rules ? c->p->rule[top].column : 0,
		 0,
		 "the policy is too big: %s. The rules that cost most: %s. Patterns with several * "
		 "or ** before a literal cost most",
		 limit, list);
}

/* ------------------------------------------------------------------ strings */

/* Offset within the strings section. */
static int compiler_string(struct compiler *c, const char *s, uint32_t *ret)
{
	size_t len = s ? strlen(s) : 0;

	*ret = 0;
	if (!len)
		return 0;
	if (c->strings_len + len + 1 > WARDER_IMAGE_SIZE)
		return -E2BIG;
	while (c->strings_len + len + 1 > c->strings_cap)
		if (vector_grow(&c->strings, c->strings_cap, &c->strings_cap, 1))
			return -ENOMEM;
	*ret = (uint32_t)c->strings_len;
	memcpy(c->strings + c->strings_len, s, len + 1);
	c->strings_len += len + 1;
	return 0;
}

static int compiler_file(struct compiler *c, const char *file, uint32_t *ret)
{
	int err = 0;

	if (c->last_file != file)
		err = compiler_string(c, file, &c->last_file_at);
	c->last_file = file;
	*ret = c->last_file_at;
	return err;
}

/* ------------------------------------------------------------------- layout */

static void compiler_header(struct compiler *c, struct warder_image_header *h)
{
	const struct policy *p = c->p;

	h->magic = WARDER_IMAGE_MAGIC;
	h->version = WARDER_IMAGE_VERSION;
	h->header_size = sizeof(*h);
	h->mode = p->mode;
	h->keys_max = p->keys_max;
	h->keys_bytes = p->keys_bytes;
	h->keys_pending = p->keys_pending;
	h->layers = 1;
	h->quiet = p->mode == WARDER_MODE_LEARN;
	h->layer[0].mode = p->mode;
	h->layer[0].rules = (__u32)p->rules;
	h->layer[0].keys_join = p->keys_join;
	memcpy(h->layer[0].shared, p->shared, sizeof(p->shared));
	h->layer[0].profiles = (__u32)p->profiles;
	snprintf(h->layer[0].policy, sizeof(h->layer[0].policy), "%s", p->name);
	for (size_t i = 0; i < p->upcalls; i++) {
		h->upcall[i] = p->upcall[i];
		h->upcall[i].rule++; /* rules are numbered from 1 */
	}
	h->unsafe = p->unsafe;
	h->settings = p->selectable ? WARDER_SETTING_SELECTABLE : 0;
	for (size_t i = 0; i < p->overrides; i++)
		h->override_ops |= 1ull << p->override[i].o.op;
}

static int write_rules(struct compiler *c, struct writer *w, struct warder_image_header *h)
{
	const struct policy *p = c->p;
	struct warder_mount_rule *mount;
	struct warder_net_rule *net;
	struct warder_device_rule *device;
	struct warder_peer_rule *peer;
	struct warder_override *override;
	struct warder_match *match;
	struct warder_profile *profile;
	struct warder_rule *rule;
	int err = compiler_string(c, p->name, &h->name);

	rule = writer_section(w, &h->rule, p->rules, sizeof(*rule));
	profile = writer_section(w, &h->profile, p->profiles, sizeof(*profile));
	if (!writer_section(w, &h->link, 0, sizeof(*profile)))
		return -E2BIG;
	mount = writer_section(w, &h->mount, p->mounts, sizeof(*mount));
	net = writer_section(w, &h->net, p->nets, sizeof(*net));
	device = writer_section(w, &h->device, p->devices, sizeof(*device));
	peer = writer_section(w, &h->peer, p->peers, sizeof(*peer));
	override = writer_section(w, &h->override_, p->overrides, sizeof(*override));
	match = writer_section(w, &h->match, p->matches, sizeof(*match));
	if (!rule || !profile || !mount || !net || !device || !peer || !override || !match ||
	    signed_write(w, h, &p->signed_))
		return -E2BIG;
	memcpy(net, p->net, p->nets * sizeof(*net));
	memcpy(device, p->device, p->devices * sizeof(*device));
	memcpy(peer, p->peer, p->peers * sizeof(*peer));
	for (size_t k = 0; !err && k < p->profiles; k++) {
		compiler_profile(c, k, &profile[k]);
		err = compiler_string(c, p->profile[k].name, &profile[k].name);
	}
	if (!err)
		err = compiler_check_transitions(c, profile);
	for (size_t i = 0; !err && i < p->rules; i++) {
		const struct policy_rule *r = &p->rule[i];

		rule[i] = (struct warder_rule) { .line = r->line,
						 .column = r->column,
						 .class_ = r->class_,
						 .deny = r->deny,
						 .err = r->err,
						 .audit = r->audit,
						 .profile = r->profile,
						 .in = r->in };
		err = compiler_file(c, r->file, &rule[i].file);
		if (!err)
			err = compiler_string(c, r->id, &rule[i].id);
	}
	for (size_t i = 0; i < p->mounts; i++)
		mount[i] = p->mount[i].m;
	for (size_t i = 0; !err && i < p->matches; i++) {
		err = compiler_string(c, p->match[i].key, &match[i].key);
		if (!err)
			err = compiler_string(c, p->match[i].text, &match[i].text);
	}
	for (size_t i = 0; !err && i < p->overrides; i++) {
		const struct policy_override *o = &p->override[i];

		override[i] = o->o;
		err = compiler_string(c, o->bind, &override[i].bind);
		if (!err)
			err = compiler_string(c, o->handler, &override[i].handler);
		if (!err)
			err = compiler_string(c, o->fuse, &override[i].fuse);
		for (uint32_t k = 0; !err && k < o->o.options; k++)
			err = compiler_string(c, o->option_text[k], &override[i].option[k].text);
	}
	return err;
}

/* Strings are numbered from their section until it has a place. */
static void strings_place(struct warder_image *img, uint32_t base)
{
	struct warder_image_header *h = &img->h;
	struct warder_rule *rule = (void *)(img->b + h->rule.offset);
	struct warder_override *override = (void *)(img->b + h->override_.offset);
	struct warder_profile *profile = (void *)(img->b + h->profile.offset);
	struct warder_match *match = (void *)(img->b + h->match.offset);

	for (uint32_t i = 0; i < h->match.count; i++) {
		match[i].key += match[i].key ? base : 0;
		match[i].text += base;
	}
	for (uint32_t i = 0; i < h->profile.count; i++)
		profile[i].name += profile[i].name ? base : 0;
	h->name += h->name ? base : 0;
	for (uint32_t i = 0; i < h->rule.count; i++) {
		rule[i].file += rule[i].file ? base : 0;
		rule[i].id += rule[i].id ? base : 0;
	}
	for (uint32_t i = 0; i < h->override_.count; i++) {
		override[i].bind += override[i].bind ? base : 0;
		override[i].handler += override[i].handler ? base : 0;
		override[i].fuse += override[i].fuse ? base : 0;
		for (uint32_t k = 0; k < override[i].options; k++)
			override[i].option[k].text += override[i].option[k].text ? base : 0;
	}
}

__u32 image_checksum(const struct warder_image *img)
{
	static const unsigned char zero[8];
	const size_t at = offsetof(struct warder_image_header, checksum);
	const size_t serial = offsetof(struct warder_image_header, serial);
	uLong crc = crc32(0, img->b, (uInt)at);

	crc = crc32(crc, zero, 4);
	crc = crc32(crc, img->b + at + 4, (uInt)(serial - at - 4));
	crc = crc32(crc, zero, 8);
	return (__u32)crc32(crc, img->b + serial + 8, img->h.length - (uInt)serial - 8);
}

void image_close(struct warder_image *img, __u32 length)
{
	struct warder_image_header *h = &img->h;

	h->length = length;
	for (__u32 n = WARDER_HIT_SHARDS_MAX; n && !h->hit_shards; n /= 2)
		if (n * 8ull * (h->rule.count + 1) <= WARDER_IMAGE_SIZE - length)
			h->hit_shards = n;
	h->hits = h->hit_shards ? length : 0;
	h->checksum = image_checksum(img);
}

static int compiler_write(struct compiler *c, struct warder_image *img)
{
	struct warder_image_header *h = &img->h;
	struct writer w = { .img = img, .at = sizeof(*h) };
	void *strings;
	int err;

	compiler_header(c, h);
	err = dfa_write(&w, h, &c->dfa, c->p->profiles * WARDER_START__MAX, &c->accept, c->start);
	if (!err)
		err = write_rules(c, &w, h);
	if (err)
		return err;
	strings = writer_section(&w, &h->strings, c->strings_len, 1);
	if (!strings || w.at > WARDER_IMAGE_SIZE)
		return -E2BIG;
	memcpy(strings, c->strings, c->strings_len);
	strings_place(img, h->strings.offset);
	image_close(img, w.at);
	return 0;
}

/* -------------------------------------------------------------------- entry */

/* Does the pattern count among the names of kind `start` in profile k? Sets are cut down to the
 * profile by its masks, so all profiles share their start states. */
static bool pattern_starts(const struct policy *p, const struct policy_pattern *t, unsigned start,
			   size_t k)
{
	return t->start == start && (t->set || rule_holds(p, &p->rule[t->rule], k));
}

/* Are names of that kind what the kernel says of objects? Others are words of callers. */
static bool start_is_path(unsigned start)
{
	return start == WARDER_START_FILE || start == WARDER_START_UNIX ||
	       start == WARDER_START_MOUNT_TARGET || start == WARDER_START_OVERRIDE_TARGET;
}

static int compiler_dfa(struct compiler *c, uint64_t *cost)
{
	const struct policy *p = c->p;
	size_t lists = p->profiles * WARDER_START__MAX, used = 0;
	cleanup_free const uint32_t **starts = calloc(lists, sizeof(*starts));
	cleanup_free size_t *counts = calloc(lists, sizeof(*counts));
	cleanup_free uint32_t *start = calloc(p->profiles * p->patterns + 1, sizeof(*start));
	cleanup_free bool *path = calloc(lists, sizeof(*path));
	struct dfa_options o = { .start = starts,
				 .counts = counts,
				 .n_starts = lists,
				 .accept = compiler_accept,
				 .named = compiler_named,
				 .path = path,
				 .arg = c,
				 .cost = cost };

	int err;

	if (!start || !starts || !counts || !path)
		return -ENOMEM;
	for (size_t n = 0; n < lists; n++) {
		path[n] = start_is_path(n % WARDER_START__MAX);
		starts[n] = start + used;
		for (size_t i = 0; i < p->patterns; i++)
			if (pattern_starts(p, &p->pattern[i], n % WARDER_START__MAX,
					   n / WARDER_START__MAX))
				start[used++] = p->pattern[i].nfa_start;
		counts[n] = (size_t)(start + used - starts[n]);
	}
	err = dfa_build(&p->nfa, &o, &c->dfa);
	return !err && c->no_memory ? -ENOMEM : err;
}

static int compiler_init(struct compiler *c)
{
	c->decides = calloc(c->p->rules + 1, sizeof(*c->decides));
	c->shadow = calloc(c->p->rules + 1, sizeof(*c->shadow));
	c->conflict = calloc(c->p->rules + 1, sizeof(*c->conflict));
	c->table = calloc(RECORD_TABLE, sizeof(*c->table));
	c->start = calloc(c->p->profiles * WARDER_START__MAX, sizeof(*c->start));
	if (!c->decides || !c->shadow || !c->conflict || !c->table || !c->start ||
	    vector_grow(&c->accept.record, 0, &c->accept.records_cap, sizeof(*c->accept.record)) ||
	    vector_grow(&c->strings, 0, &c->strings_cap, 1))
		return -ENOMEM;
	c->accept.record[0] = (struct warder_accept) { 0 }; /* record 0 and string 0 are empty */
	c->accept.records = 1;
	c->strings[0] = 0;
	c->strings_len = 1;
	return 0;
}

static void compiler_done(struct compiler *c)
{
	dfa_done(&c->dfa);
	free(c->accept.record);
	free(c->table);
	free(c->accept.entry);
	free(c->decides);
	free(c->shadow);
	free(c->conflict);
	free(c->start);
	free(c->strings);
}

int policy_compile(const struct policy *p, struct warder_image **ret_image,
		   struct policy_diags *diags)
{
	return policy_compile_costs(p, ret_image, diags, NULL);
}

int policy_compile_costs(const struct policy *p, struct warder_image **ret_image,
			 struct policy_diags *diags, __u64 **ret_costs)
{
	struct compiler c = { .p = p, .diags = diags };
	cleanup_free uint64_t *cost = calloc(p->patterns + 1, sizeof(*cost));
	cleanup_free struct warder_image *img = NULL;
	size_t errors = diags->errors;
	int err;

	*ret_image = NULL;
	if (!cost)
		return -ENOMEM;
	err = compiler_init(&c);
	if (!err)
		err = compiler_dfa(&c, cost);
	if (err == -E2BIG)
		report_cost(&c, cost,
			    "its patterns need more states, or more work, than a policy may "
			    "cost");
	if (!err) {
		/* Zeroed and aligned for every member. */
		img = calloc(1, sizeof(*img));
		err = img ? compiler_write(&c, img) : -ENOMEM;
		if (err == -E2BIG) {
			char limit[160];

			snprintf(limit, sizeof(limit),
				 "%u states of %u byte classes and %zu rules do not fit into an "
				 "image of %u bytes",
				 c.dfa.states, c.dfa.classes, p->rules, WARDER_IMAGE_SIZE);
			report_cost(&c, cost, limit);
		}
	}
	if (!err) {
		report_shadows(&c);
		err = report_target_shadows(p, img, diags);
	}
	if (!err)
		err = check_match(p, img, diags);
	if (!err && diags->errors > errors)
		err = -EINVAL;
	if (!err && ret_costs) {
		*ret_costs = calloc(p->rules + 1, sizeof(**ret_costs));
		err = *ret_costs ? 0 : -ENOMEM;
		for (size_t i = 0; !err && i < p->patterns; i++)
			if (p->pattern[i].rule != POLICY_NO_RULE)
				(*ret_costs)[p->pattern[i].rule + 1] += cost[i];
	}
	if (!err)
		*ret_image = take_ptr(img);
	diags_sort(diags);
	compiler_done(&c);
	return err;
}
