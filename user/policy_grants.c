// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Transitions that would let a task choose its own rights: a task that may write a program and
 * run it in another profile has all that this profile grants. Refused when it is more than the
 * task has already. Names are compared exactly, in the automaton; tables rule by rule, so there
 * it may be refused although no request tells the two apart.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy_internal.h"
#include "policy_tools.h"

#define SEARCH_NODES_MAX (1u << 20) /* of one search: beyond it, it cannot be excluded */
#define SEARCH_TABLE (1u << 22)
#define SEARCH_BUDGET (8u << 20) /* of all searches of a policy */
#define ACC_ALL (WARDER_ACC_FILE_ALL | WARDER_ACC_EXEC)
/* What puts other bytes under a name. */
#define ACC_REPLACE                                                                                \
	(WARDER_ACC_WRITE | WARDER_ACC_APPEND | WARDER_ACC_CREATE | WARDER_ACC_RENAME |            \
	 WARDER_ACC_LINK)

/* ------------------------------------------------------------------- search */

/* Where in a component a name is: "//", "/./", "/../" and a '/' at the end are in no name. */
enum place { PLACE_START, PLACE_SLASH, PLACE_DOT, PLACE_DOTDOT, PLACE_NAME };

struct search_node {
	uint32_t a, b; /* states: the same name read from two starts */
	uint32_t parent;
	uint32_t slot; /* in the table */
	uint8_t place, byte;
};

typedef bool (*search_fn)(void *arg, const struct warder_accept *a, const struct warder_accept *b);

struct search {
	const struct compiler *c;
	struct search_node *node;
	size_t count, cap;
	size_t budget; /* nodes left for all searches together */
	uint32_t *table;
	uint8_t byte_of[256]; /* by class: one of its bytes, 0 if it has only NUL, '.' and '/' */
	uint8_t order[256];   /* classes that have one, the ones with letters first */
	unsigned classes;
	uint32_t mark[256], generation; /* by class: met in the rows at hand */
	char witness[256];
};

static int search_init(struct search *s, const struct compiler *c)
{
	bool seen[256] = { false };

	s->c = c;
	s->budget = SEARCH_BUDGET;
	s->table = calloc(SEARCH_TABLE, sizeof(*s->table));
	if (!s->table)
		return -ENOMEM;
	/* Letters first: a name that people can read. */
	for (unsigned b = 0; b < 256; b++) {
		unsigned byte = (b + 'a') & 255, class_ = c->dfa.class_of[byte];

		if (!byte || byte == '.' || byte == '/' || seen[class_])
			continue;
		seen[class_] = true;
		s->byte_of[class_] = (uint8_t)byte;
		s->order[s->classes++] = (uint8_t)class_;
	}
	return 0;
}

static void search_done(struct search *s)
{
	free(s->node);
	free(s->table);
}

/* What a byte does to the place; -1: no name goes on like that. */
static int place_after(unsigned place, uint8_t byte)
{
	if (byte == '/')
		return place == PLACE_START || place == PLACE_NAME ? PLACE_SLASH : -1;
	if (place == PLACE_START)
		return -1;
	if (byte == '.' && place == PLACE_SLASH)
		return PLACE_DOT;
	if (byte == '.' && place == PLACE_DOT)
		return PLACE_DOTDOT;
	return PLACE_NAME;
}

static int search_add(struct search *s, uint32_t a, uint32_t b, uint8_t place, uint32_t parent,
		      uint8_t byte)
{
	uint64_t h = ((uint64_t)a << 32 | b) * 0x9e3779b97f4a7c15ull ^ place * 0x85ebca6bu;
	uint32_t slot = (uint32_t)(h >> 40) & (SEARCH_TABLE - 1);

	for (; s->table[slot]; slot = (slot + 1) & (SEARCH_TABLE - 1)) {
		const struct search_node *n = &s->node[s->table[slot] - 1];

		if (n->a == a && n->b == b && n->place == place)
			return 0;
	}
	if (s->count == SEARCH_NODES_MAX || !s->budget)
		return -E2BIG;
	s->budget--;
	if (vector_grow(&s->node, s->count, &s->cap, sizeof(*s->node)))
		return -ENOMEM;
	s->node[s->count++] = (struct search_node) {
		.a = a, .b = b, .parent = parent, .slot = slot, .place = place, .byte = byte
	};
	s->table[slot] = (uint32_t)s->count;
	return 0;
}

static void search_witness(struct search *s, size_t at)
{
	size_t len = 0;

	for (size_t i = at; i; i = s->node[i].parent)
		len++;
	s->witness[0] = 0;
	if (len >= sizeof(s->witness))
		return;
	s->witness[len] = 0;
	for (size_t i = at; i; i = s->node[i].parent)
		s->witness[--len] = (char)s->node[i].byte;
}

static uint32_t dfa_next(const struct dfa *d, uint32_t state, uint32_t class_)
{
	const struct dfa_row *r = &d->row[state];
	uint32_t lo = 0, hi = r->count;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (d->edge[r->at + mid].class_ < class_)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < r->count && d->edge[r->at + lo].class_ == class_ ? d->edge[r->at + lo].to :
								       r->other;
}

static int search_step(struct search *s, uint32_t i, uint8_t byte, bool free_)
{
	const struct dfa *d = &s->c->dfa;
	const struct search_node n = s->node[i];
	int place = free_ ? PLACE_NAME : place_after(n.place, byte);

	if (place < 0)
		return 0;
	return search_add(s, dfa_next(d, n.a, d->class_of[byte]),
			  dfa_next(d, n.b, d->class_of[byte]), (uint8_t)place, i, byte);
}

/* All ways on: the classes that one of both rows names, one byte for all others, and '.' and '/',
 * which change the place. */
static int search_expand(struct search *s, uint32_t i, bool free_)
{
	const struct dfa *d = &s->c->dfa;
	const struct dfa_row *row[] = { &d->row[s->node[i].a], &d->row[s->node[i].b] };
	int err = 0;

	s->generation++;
	for (unsigned k = 0; k < 2; k++)
		for (uint32_t e = 0; !err && e < row[k]->count; e++) {
			uint32_t class_ = d->edge[row[k]->at + e].class_;

			if (s->mark[class_] == s->generation)
				continue;
			s->mark[class_] = s->generation;
			if (s->byte_of[class_])
				err = search_step(s, i, s->byte_of[class_], free_);
		}
	for (unsigned k = 0; !err && k < s->classes; k++)
		if (s->mark[s->order[k]] != s->generation) {
			err = search_step(s, i, s->byte_of[s->order[k]], free_);
			break;
		}
	if (!err)
		err = search_step(s, i, '.', free_);
	return err ? err : search_step(s, i, '/', free_);
}

/* The shortest name for which fn is true of where it leads from a and from b: 1 and witness[], 0:
 * there is none, -E2BIG, -ENOMEM. `free` names are no paths. */
static int search_run(struct search *s, uint32_t a, uint32_t b, bool free_, search_fn fn, void *arg)
{
	const struct dfa *d = &s->c->dfa;
	const struct warder_accept *record = s->c->accept.record;
	int err;

	while (s->count)
		s->table[s->node[--s->count].slot] = 0;
	err = search_add(s, a, b, free_ ? PLACE_NAME : PLACE_START, 0, 0);
	for (size_t i = 0; !err && i < s->count; i++) {
		struct search_node n = s->node[i];

		if (n.place == PLACE_NAME && i &&
		    fn(arg, &record[d->accept_of[n.a]], &record[d->accept_of[n.b]])) {
			search_witness(s, i);
			return 1;
		}
		/* Beyond two dead states nothing changes any more, once a name has ended there. */
		if (!n.a && !n.b && n.place == PLACE_NAME)
			continue;
		err = search_expand(s, (uint32_t)i, free_);
	}
	return err;
}

/* ------------------------------------------------------------------ compare */

struct comparison {
	const struct compiler *c;
	const struct warder_profile *old, *new_;
	size_t from, to; /* numbers of the profiles */
	uint32_t defaults_old, defaults_new, mask; /* of names */
	uint32_t more;
	char text[160]; /* what the new one grants that the old one lacks */
};

static uint32_t granted(const struct warder_accept *a, uint32_t def)
{
	return (a->allow | def) & ~a->deny;
}

/* The profile that execution leads to here, `stay` if to none. */
static size_t leads_to(const struct compiler *c, const struct warder_accept *a, size_t stay)
{
	const struct warder_accept_rule *e = c->accept.entry + a->rules;

	if (a->deny & WARDER_ACC_EXEC)
		return stay;
	for (uint32_t i = 0; i < a->count; i++)
		if (!e[i].deny && (e[i].mask & WARDER_ACC_EXEC))
			return c->p->rule[e[i].rule - 1].profile ?: stay;
	return stay;
}

static bool grants_more(void *arg, const struct warder_accept *a, const struct warder_accept *b)
{
	struct comparison *m = arg;
	size_t next;

	m->more = granted(b, m->defaults_new) & ~granted(a, m->defaults_old) & m->mask;
	if (m->more || !(m->mask & WARDER_ACC_EXEC) || !(b->allow & WARDER_ACC_EXEC))
		return m->more != 0;
	/* Or a way on to a third profile. */
	next = leads_to(m->c, b, m->to);
	if (next == m->to || next == m->from || next == leads_to(m->c, a, m->from))
		return false;
	m->more = WARDER_ACC_EXEC;
	return true;
}

/* What may become executable etc.: the first switch that is on in the new one only. */
static bool more_switches(struct comparison *m)
{
	static const uint8_t classes[WARDER_BITS__MAX] = {
		[WARDER_BITS_CAPABILITY] = WARDER_CLASS_CAPABILITY,
		[WARDER_BITS_MEMORY] = WARDER_CLASS_MEMORY,
		[WARDER_BITS_NAMESPACE] = WARDER_CLASS_NAMESPACE,
		[WARDER_BITS_KERNEL] = WARDER_CLASS_KERNEL,
	};

	for (unsigned i = 0; i < WARDER_BITS__MAX; i++) {
		uint64_t more = m->new_->bits[i].allow & ~m->old->bits[i].allow;
		const char *word;

		if (!more)
			continue;
		more &= -more;
		word = policy_word(classes[i], more);
		snprintf(m->text, sizeof(m->text), "%s %s", class_name(classes[i]),
			 word ? word : "?");
		return true;
	}
	return false;
}

/* Rules that allow in the new one only, or deny in the old one only, and defaults. */
static bool more_entry(struct comparison *m, uint16_t number, bool in_old, bool in_new,
		       bool by_default)
{
	const struct policy_rule *r = &m->c->p->rule[number - 1];

	if (in_old == in_new || (r->deny ? in_new : in_old) || (!r->deny && by_default))
		return false;
	snprintf(m->text, sizeof(m->text), "%s: %s the rule at %s:%u", class_name(r->class_),
		 r->deny ? "no longer" : "by", r->file, r->line);
	return true;
}

static bool more_tables(struct comparison *m)
{
	const struct policy *p = m->c->p;
	const struct warder_profile *a = m->old, *b = m->new_;
	static const struct {
		size_t at;
		uint8_t class_;
	} defaults[] = {
		{ offsetof(struct warder_profile, mount_default), WARDER_CLASS_MOUNT },
		{ offsetof(struct warder_profile, net_default), WARDER_CLASS_NETWORK },
		{ offsetof(struct warder_profile, device_default), WARDER_CLASS_DEVICE },
		{ offsetof(struct warder_profile, peer_default), 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++) {
		__u32 x, y;

		memcpy(&x, (const char *)a + defaults[i].at, sizeof(x));
		memcpy(&y, (const char *)b + defaults[i].at, sizeof(y));
		if (y & ~x) {
			unsigned class_ = defaults[i].class_ ?: (unsigned)__builtin_ctz(y & ~x);

			snprintf(m->text, sizeof(m->text), "%s, by default", class_name(class_));
			return true;
		}
	}
	for (size_t i = 0; i < p->mounts; i++)
		if (more_entry(m, p->mount[i].m.rule, a->mount_rules >> i & 1,
			       b->mount_rules >> i & 1,
			       !(p->mount[i].m.ops & ~a->mount_default)))
			return true;
	for (size_t i = 0; i < p->devices; i++)
		if (more_entry(m, p->device[i].rule, a->device_rules >> i & 1,
			       b->device_rules >> i & 1, false))
			return true;
	for (size_t i = 0; i < p->peers; i++)
		if (more_entry(m, p->peer[i].rule, a->peer_rules >> i & 1, b->peer_rules >> i & 1,
			       p->peer[i].peer <= WARDER_PEER_CONTAINER &&
				       a->peer_default >> p->peer[i].class_ & 1))
			return true;
	for (size_t i = 0; i < p->nets; i++)
		if (more_entry(m, p->net[i].rule, a->net_rules[i / 64] >> (i % 64) & 1,
			       b->net_rules[i / 64] >> (i % 64) & 1,
			       !(p->net[i].families & ~a->net_default)))
			return true;
	return false;
}

static bool more_overrides(struct comparison *m)
{
	const struct policy *p = m->c->p;

	for (size_t i = 0; i < p->overrides; i++)
		if (p->override[i].o.by_profile == m->to) {
			const struct policy_rule *r = &p->rule[p->override[i].o.rule - 1];

			snprintf(m->text, sizeof(m->text), "override: by the rule at %s:%u", r->file,
				 r->line);
			return true;
		}
	return false;
}

/* Names of one kind. 1: the new one grants more; 0; -E2BIG, -ENOMEM. */
static int more_names(struct comparison *m, struct search *s, unsigned start, uint32_t mask,
		      uint32_t defaults_old, uint32_t defaults_new)
{
	const uint32_t *from = m->c->dfa.start + m->from * WARDER_START__MAX;
	const uint32_t *to = m->c->dfa.start + m->to * WARDER_START__MAX;
	char buf[SHOWN_SIZE], words[128];
	int err;

	if (from[start] == to[start] && !(defaults_new & ~defaults_old))
		return 0;
	m->mask = mask;
	m->defaults_old = defaults_old;
	m->defaults_new = defaults_new;
	err = search_run(s, from[start], to[start], start == WARDER_START_ABSTRACT, grants_more, m);
	if (err == 1)
		snprintf(m->text, sizeof(m->text), "%s %s",
			 start != WARDER_START_FILE ?
				 policy_words(WARDER_CLASS_NETWORK, m->more, ", ", words,
					      sizeof(words)) :
				 access_name(m->more & -m->more),
			 text_shown(s->witness, strlen(s->witness), buf));
	return err;
}

static int compare_profiles(struct comparison *m, struct search *s)
{
	const uint32_t net = WARDER_NET_ALL & ~WARDER_NET_CREATE;
	int more;

	if (more_switches(m) || more_tables(m) || more_overrides(m))
		return 1;
	more = more_names(m, s, WARDER_START_FILE, ACC_ALL, m->old->file_default,
			  m->new_->file_default);
	for (unsigned start = WARDER_START_UNIX; !more && start <= WARDER_START_ABSTRACT; start++)
		more = more_names(m, s, start, net,
				  m->old->net_default & WARDER_FAM_UNIX ? net : 0,
				  m->new_->net_default & WARDER_FAM_UNIX ? net : 0);
	return more;
}

/* -------------------------------------------------------------------- check */

struct program {
	const struct compiler *c;
	size_t to;
	uint32_t file_default, may;
	uint32_t rule; /* number of the one that leads there */
};

/* A name that leads to the profile and may be given other bytes. */
static bool program_is_open(void *arg, const struct warder_accept *a, const struct warder_accept *b)
{
	struct program *g = arg;
	const struct warder_accept_rule *e = g->c->accept.entry + a->rules;

	(void)b;
	if (!(a->allow & WARDER_ACC_EXEC) || leads_to(g->c, a, WARDER_PROFILES_MAX) != g->to)
		return false;
	g->may = granted(a, g->file_default) & ACC_REPLACE;
	for (uint32_t i = 0; g->may && i < a->count; i++)
		if (!e[i].deny && (e[i].mask & WARDER_ACC_EXEC)) {
			g->rule = e[i].rule;
			break;
		}
	return g->may != 0;
}

static const char *shown_profile(const struct policy *p, size_t k)
{
	return k ? p->profile[k].name : "top";
}

static int check_transition(struct compiler *c, struct search *s, const struct warder_profile *pr,
			    size_t from, size_t to)
{
	struct program g = { .c = c, .to = to, .file_default = pr[from].file_default };
	struct comparison m = { .c = c, .old = &pr[from], .new_ = &pr[to], .from = from, .to = to };
	uint32_t start = c->dfa.start[from * WARDER_START__MAX + WARDER_START_FILE];
	const struct policy_rule *r = NULL;
	char buf[SHOWN_SIZE], path[256], words[128];
	int open = search_run(s, start, 0, false, program_is_open, &g), more;

	if (open == -ENOMEM || !open)
		return open;
	snprintf(path, sizeof(path), "%s", open == 1 ? s->witness : "");
	more = compare_profiles(&m, s);
	if (more == -ENOMEM || !more)
		return more;
	for (size_t i = 0; !r && i < c->p->rules; i++)
		if (c->p->rule[i].profile == to && (!g.rule || i + 1 == g.rule))
			r = &c->p->rule[i];
	if (!r)
		return 0;
	if (open == 1 && more == 1)
		diag_add(c->diags, r->file, r->profile_line, r->profile_column, 0,
			 "profile: a task in profile \"%s\" may %s %s and run it in profile \"%s\", "
			 "which grants more (%s): deny [%s] for that path, or take it out of "
			 "the rule",
			 shown_profile(c->p, from),
			 policy_words(WARDER_CLASS_FILE, g.may & -g.may, ", ", words,
				      sizeof(words)),
			 text_shown(path, strlen(path), buf), shown_profile(c->p, to), m.text,
			 "write, append, create, rename, link");
	else
		diag_add(c->diags, r->file, r->profile_line, r->profile_column, 0,
			 "profile: it cannot be excluded that a task in profile \"%s\" writes a "
			 "program that it then runs in profile \"%s\", which may grant more: deny "
			 "[write, append, create, rename, link] for the rule's paths",
			 shown_profile(c->p, from), shown_profile(c->p, to));
	return 0;
}

int compiler_check_transitions(struct compiler *c, const struct warder_profile *pr)
{
	const struct policy *p = c->p;
	struct search s = { 0 };
	bool leads[WARDER_PROFILES_MAX] = { false };
	int err = 0;

	if (p->profiles == 1)
		return 0;
	err = search_init(&s, c);
	for (size_t from = 0; !err && from < p->profiles; from++) {
		memset(leads, 0, sizeof(leads));
		for (size_t i = 0; i < p->rules; i++)
			if (p->rule[i].profile && rule_holds(p, &p->rule[i], from))
				leads[p->rule[i].profile] = true;
		for (size_t to = 1; !err && to < p->profiles; to++)
			if (leads[to] && to != from)
				err = check_transition(c, &s, pr, from, to);
	}
	search_done(&s);
	return err;
}
