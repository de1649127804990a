/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between the files of `policy learn`: what was seen (policy_learn.c), names that become patterns
 * (policy_learn_names.c), and the text (policy_learn_write.c). */
#ifndef WARDER_POLICY_LEARN_H
#define WARDER_POLICY_LEARN_H

#include "policy_internal.h"
#include "policy_tools.h"

/* In a path: what was generalised. Names with these bytes are left as they are. */
#define LEARN_ANY '\x01'    /* * */
#define LEARN_NUMBER '\x02' /* [0-9]* */
#define LEARN_SECRET '\x03' /* the names of learn_never, as one component */

struct learn_item {
	char *path;
	__u32 mask;
	unsigned long count;
	unsigned names;
	bool never, dropped;
	char programs[48];
	const char *to; /* exec: the profile that it led to, NULL: none */
	unsigned long to_count;
	char *key; /* of the pass under way */
};

struct learn_line {
	enum warder_class class_;
	char *text; /* the rule */
	unsigned long count;
	char programs[48];
};

/* What was done in one profile. */
struct learn_profile {
	char *name; /* "" is the top one */
	struct learn_item *item;
	size_t items, items_cap;
	struct learn_line *line;
	size_t lines, lines_cap;
	unsigned long requests;
	__u32 number; /* in the image at hand */
	/* Patterns that were taken back, sorted: they allowed what was refused, or their guard
	 * refused what was allowed. */
	char **banned;
	size_t bans, bans_cap;
	int err;
};

struct learner {
	const struct observations *o;
	const struct learn_options *options;
	struct learn_profile *profile; /* 0 is the top one */
	size_t profiles, profiles_cap;
	struct learn_report report;
	int err;
};

/* Does the pattern match the whole name? */
bool learn_pattern_matches(const char *pattern, const char *name);
bool learn_is_pattern(const char *path);

/* Does a guard of this pattern match? See learn_guards(). */
bool learn_guard_matches(const char *pattern, const char *name);

/* Calls `fn` with each guard of a pattern: the pattern with one of its components in the place of
 * which stands LEARN_SECRET. Names of secrets in the folder of a pattern are refused, so that it
 * never grants one that nobody has seen yet. */
void learn_guards(const char *pattern, void (*fn)(void *arg, const char *guard), void *arg);

/* The values of the variable that stands for LEARN_SECRET, as patterns. */
void learn_put_secrets(FILE *f);

/* Is it a name that a policy can hold as it is? */
bool learn_is_text(const char *name);

/* Makes patterns of items[] where enough names were seen, and drops what they allow already. */
void learn_generalise(struct learn_profile *l, unsigned threshold);

/* Never again a pattern. 1: it is one more; 0: known; -ENOMEM. */
int learn_ban(struct learn_profile *l, const char *key);
bool learn_is_banned(const struct learn_profile *l, const char *key);

void learn_add_program(char programs[48], const char *program);

/* The text of all of it. */
int learn_write(const struct learner *l, char **ret_text);

#endif
