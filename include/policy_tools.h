/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What people do with policies before and after loading them: requests as text, tests, the
 * difference between two images, recorded events judged again, policies learned from them and
 * imported from other tools, canonical text. Pure like policy.h: files named by the caller are
 * read, nothing else is touched. One thread for each object.
 */
#ifndef WARDER_POLICY_TOOLS_H
#define WARDER_POLICY_TOOLS_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>

#include "policy.h"

/* ------------------------------------------------------------------- words */

/* The bits that a word of the language stands for in a class: an access, an operation, a switch
 * (1 << number), a signal ("term", "SIGTERM", "15"), a capability. -1: no such word. */
int policy_word_bits(enum warder_class class_, const char *word, __u64 *ret_bits);

/* The word for one bit, NULL if there is none. */
const char *policy_word(enum warder_class class_, __u64 bit);

/* Words for all bits, joined with `separator`, into buf; returns buf. */
const char *policy_words(enum warder_class class_, __u64 bits, const char *separator, char *buf,
			 size_t size);

/* Is `access` of this class the number of one switch, and not a mask? */
bool policy_class_is_number(enum warder_class class_);

/* ---------------------------------------------------------------- requests */

/* A request as words: {file: "read,write", path: /x}, {network: connect, to: "10.0.0.1:5432"}. */
struct request_pair {
	const char *key;
	const char *value;
};
#define REQUEST_PAIRS_MAX 12

/* Pairs -> request; its strings are those of the pairs. -EINVAL with the reason; *ret_bad is the
 * index of the pair at fault, or -1 when it is none in particular. */
int request_from_pairs(const struct request_pair *pair, size_t count, struct policy_request *ret,
		       int *ret_bad, struct warder_error *reterr);

/* Arguments as `policy explain` takes them: CLASS WORDS..., or one argument {key: value, ...}.
 * Strings that are not the arguments' own are allocated in *ret_memory, which the caller frees. */
int request_from_arguments(int argc, char **argv, struct policy_request *ret, char **ret_memory,
			   struct warder_error *reterr);

/* The superblock's magic of the kernel's file system `fs` ("proc", "sysfs:/x"), 0: none of them. */
__u32 request_fs_magic(const char *fs);

/* On which of the kernel's file systems the object is, by its magic (0: on none), and its name below
 * that one's root. `fs` as in struct policy_request. */
__u32 request_place(const char *path, const char *fs, const char **ret_name);

/* "file read /etc/passwd", "network connect tcp 10.0.0.1:5432"; returns buf. */
const char *request_text(const struct policy_request *r, char *buf, size_t size);

/* The same as arguments for `policy explain`, quoted for a shell where needed: "file read '/a b'". NULL:
 * too long, or of an object without a name. A file's `fs` is left out. */
const char *request_arguments(const struct policy_request *r, char *buf, size_t size);

/* The smallest rule that allows it, as YAML in one line ("{allow: [read], path: /etc/x}"); for
 * file and exec only `access` of it. The class whose list it belongs to is returned, NULL when no
 * rule can allow it. */
const char *request_rule(const struct policy_request *r, __u32 access, char *buf, size_t size);

/* A path or name as a pattern that matches it and nothing else, quoted for YAML where needed. Bytes
 * that are no part of a UTF-8 character no pattern can name: '*' stands for a run of them. */
const char *request_quote(const char *text, bool pattern, char *buf, size_t size);

/* What the author would have to write so that a refused request is allowed; "" if it is. */
const char *request_remedy(const struct warder_image *img, const struct policy_request *r,
			   const struct warder_verdict *v, char *buf, size_t size);

/* "allow", "deny", "audit". */
const char *action_name(__u32 action);
const char *why_name(__u32 why);

/* Number of a profile by name, -1 if there is none. "" and NULL are the top profile. */
int image_find_profile(const struct warder_image *img, const char *name);

/* ------------------------------------------------------------------- tests */

enum test_verdict { TEST_ANY = 0, TEST_ALLOW, TEST_DENY, TEST_AUDIT };
enum test_override { TEST_OVERRIDE_ANY = 0, TEST_OVERRIDE_NONE, TEST_OVERRIDE_PERFORM,
		     TEST_OVERRIDE_FAKE, TEST_OVERRIDE_DENY, TEST_OVERRIDE_REPORT,
		     TEST_OVERRIDE_ASK };

struct policy_test {
	unsigned line, column;
	const char *name; /* given, or the request in words */
	struct policy_request request;
	__u32 op;            /* enum warder_op of `do: {call: WORD}`, which has no request; else 0 */
	/* Of such a call. */
	const char *path, *attribute, *value; /* NULL: none given */
	__u32 device_type, device_major, device_minor;
	int realtime, nice, sets_nice;
	const char *profile; /* NULL: top */
	__u32 uid;
	__u32 userns; /* WARDER_BY_USERNS_*; 0: the host's */
	enum test_verdict verdict;
	int err;          /* expected errno, 0: any */
	const char *rule; /* id or FILE:LINE, NULL: any */
	enum test_override override;
};

struct policy_tests {
	const char *file;
	const char *policy; /* as written */
	unsigned policy_line, policy_column;
	struct policy_test *test;
	size_t count;
	const char **covers; /* included files, by the name in `include`, that coverage counts too */
	size_t covers_count;
	struct policy_arena *memory;
};

#define POLICY_TESTS_MAX 100000u
#define TEST_REQUESTS_MAX 1000u /* of one `do` with lists */

/* Reads a file of tests; where `do` has a list of values there is one test for each of them. -EINVAL
 * with all its errors in `diags`. */
int policy_tests_read(const char *path, struct policy_tests *ret, struct policy_diags *diags);
void policy_tests_done(struct policy_tests *t);

struct policy_test_result {
	bool ok;
	struct warder_verdict verdict;
	enum test_override override; /* what overrides would do: only of mounts and calls */
	__u32 override_rule;         /* that matched, or came nearest */
	char effect[256];            /* what comes of the override, as "deny EBUSY", "perform nosuid" */
	char got[512];               /* one sentence: what the policy says, and by which rule */
	char why[512];               /* when not ok: what was expected */
	char fix[3 * WARDER_PATH_MAX]; /* when refused: what would allow it */
};

/* Decides one test. `reached`, if not NULL, has a byte for each rule number and is set for those
 * that decided. 0, or -errno when the test cannot be decided. */
int policy_test_run(const struct warder_image *img, const struct policy_test *t,
		    struct policy_test_result *ret, unsigned char *reached);

/* What the supervisor would do if the kernel refused the test's mount or call for a missing
 * capability: `override`, `override_rule` and, in `got`, why. 0, -ENOMEM. */
int policy_test_override(const struct warder_image *img, const struct policy_test *t,
			 struct policy_test_result *ret);
const char *test_override_name(enum test_override o); /* "perform" */

/* host, container or nested, as WARDER_BY_USERNS_*. -EINVAL */
int test_userns_from_name(const char *name, __u32 *ret);
/* A test of overrides as arguments of `warder policy explain`, quoted for a shell: who asks as far as it
 * is not root of the container in its top profile, then the request or the call. NULL: it does not fit. */
const char *policy_test_arguments(const struct policy_test *t, char *buf, size_t size);

/* "{call: WORD, ...}" as in files of tests, by the container's root. The strings are in
 * *ret_memory, for policy_test_call_done(). -ENOENT: no mapping with `call`; -EINVAL with the
 * reason; -ENOMEM. */
int policy_test_call(const char *text, struct policy_test *ret, struct policy_arena **ret_memory,
		     struct warder_error *reterr);
void policy_test_call_done(struct policy_arena *memory);

/* Does `where` ("id", "FILE:LINE", "LINE") name this rule? */
bool policy_rule_is(const struct warder_image *img, __u32 rule, const char *where);

/* -------------------------------------------------------------------- diff */

enum diff_kind {
	DIFF_ALLOWED = 0, /* was refused */
	DIFF_DENIED,      /* was allowed */
	DIFF_ERRNO,       /* refused by both, with another errno */
	DIFF_AUDIT,       /* allowed by both, told in an event by one */
	DIFF_PROFILE,     /* executed by both, into another profile */
	DIFF_ADDED,       /* a profile, an override rule, a setting */
	DIFF_REMOVED,
	DIFF_CHANGED,
};

struct diff_item {
	enum diff_kind kind;
	const char *profile; /* "" for the top profile */
	__u32 class_;
	__u32 old_rule, new_rule; /* 0: the default */
	int old_err, new_err;
	bool old_report, new_report; /* allowed, and told in an event */
	/* With a witness of an override rule: what is done if the kernel refuses it. */
	enum test_override old_override, new_override;
	char old_effect[256], new_effect[256]; /* the same as of struct policy_test_result */
	__u32 bits;    /* file, exec: WARDER_ACC_* */
	char *what;    /* words: "read, write"; or what was added */
	char *witness; /* a request on which they differ in that way, as request_arguments() has it, the
			* shortest; of an override rule as policy_test_arguments(); NULL: none */
};

struct policy_diff {
	struct diff_item *item;
	size_t count, cap;
	bool incomplete; /* a bound was reached: there may be more */
};

/* Bounds: pairs of automaton states, and evaluations of network rules. */
#define DIFF_PAIRS_MAX (4u << 20)
#define DIFF_EVALUATIONS_MAX 20000000u
#define DIFF_ITEMS_MAX 2000u

/* 0; -ENOMEM. Both images have passed image_verify(). */
int policy_diff(const struct warder_image *old, const struct warder_image *new_,
		struct policy_diff *ret);
void policy_diff_done(struct policy_diff *d);
const char *diff_kind_name(enum diff_kind kind);

/* -------------------------------------------------------------------- left */

/* What a policy does not restrict, by the engine's own answers. */
enum left_kind {
	LEFT_MODE = 0, /* the mode refuses nothing; `what`: the mode */
	LEFT_UNSAFE,   /* a part of the baseline; `what`: its word */
	LEFT_OPEN,     /* the class default allows it, and no rule denies any of it */
	LEFT_UNLESS,   /* the same, but for what rules deny */
	LEFT_RULE,     /* a rule allows it whatever the name */
};

struct left_item {
	enum left_kind kind;
	__u32 class_;
	const char *profile; /* "" for the top profile */
	__u32 rule;          /* of LEFT_RULE; 0: several together */
	char *what;          /* "WORD, WORD" of the class, or "all but" them; "": all of it */
};

struct policy_left {
	struct left_item *item;
	size_t count, cap;
};

/* Of a profile only what the top one does not leave as well. Not of a stack. 0, -ENOMEM. */
int policy_left(const struct warder_image *img, struct policy_left *ret);
void policy_left_done(struct policy_left *l);
const char *left_kind_name(enum left_kind kind);

/* ------------------------------------------------------------------ events */

/* A recorded request: one line of `warder events --json`. */
struct policy_event {
	struct policy_request request;
	bool learn;       /* recorded before it was decided: action means nothing */
	__u32 action;     /* enum warder_action */
	int err;
	const char *why;
	const char *profile;
	const char *transition; /* exec: the profile that it led to, NULL: none */
	const char *program;
	const char *container;
	const char *where; /* file:line of the deciding rule, NULL: none */
	struct json_object *json; /* owns the strings */
	char *memory;             /* names with their escapes undone */
};

/* How reasons begin that explain a refusal by themselves: of signed_exec. */
#define POLICY_EVENT_SIGNED "refused by signed_exec: "
/* 1: a request; 0: a line about something else, or one whose request cannot be judged again (a
 * fault, the baseline, an object without a name; *ret_reason says which); -EINVAL: no event.
 * policy_event_done() after 1. */
int policy_event_parse(const char *line, size_t len, struct policy_event *ret,
		       const char **ret_reason, struct warder_error *reterr);
void policy_event_done(struct policy_event *e);

#define POLICY_EVENT_LINE_MAX 65536u

/* -------------------------------------------------------------- observations */

/* Recorded requests, equal ones counted once. */
struct observation {
	struct policy_event event; /* of the first */
	unsigned long count;
	size_t first_line;
};

struct observations {
	struct observation **item;
	size_t count, cap;
	size_t *table; /* hash: index + 1 */
	size_t table_size;
	unsigned long lines, skipped, other, bad;
};

#define OBSERVATIONS_MAX 1000000u

/* Reads JSON lines. Lines that are no event are counted in `bad` and told in `diags`. 0, -ENOMEM,
 * -E2BIG at OBSERVATIONS_MAX different ones. */
int observations_read(struct observations *o, FILE *f, const char *name,
		      struct policy_diags *diags);
void observations_done(struct observations *o);

/* ------------------------------------------------------------------- learn */

/* What was done with the recording, in requests. */
struct learn_report {
	unsigned long requests;       /* learned from */
	unsigned long refused;        /* left out, as they were refused */
	unsigned long not_text;       /* left out: a name that is not UTF-8 or no policy can hold */
	unsigned long odd_profiles;   /* left out: of a profile that is called like none */
	unsigned long contradictions; /* refused once and allowed by what was learned exactly */
	unsigned long forks;          /* of programs that led to more than one profile */
	unsigned long taken_back;     /* patterns: something there was refused or is a secret, or too many */
};

struct learn_options {
	const char *name;     /* of the policy */
	unsigned threshold;   /* different names in one folder before they become a pattern */
	const char *container; /* only of this one; NULL: all */
	struct learn_report *report; /* NULL: not wanted */
};
#define LEARN_THRESHOLD 5

/* Names that are never generalised, whatever their case: with a slash, paths; without, those of files
 * and folders anywhere. NULL-terminated. */
extern const char *const learn_never[];
bool learn_is_never(const char *path);

/* The policy's text, checked: it compiles, allows all that it was learned from, and no pattern in it
 * allows what the recording says was refused, or a name of learn_never. -EINVAL with the reason
 * when that cannot be; the caller frees it. */
int policy_learn(const struct observations *o, const struct learn_options *options,
		 char **ret_text, struct warder_error *reterr);

/* --------------------------------------------------------------------- fmt */

/* Canonical text of a policy or of a file of tests: comments and the order of rules kept.
 * -EINVAL with diagnostics. */
int policy_format(const char *name, const char *text, size_t len, char **ret_text,
		  struct policy_diags *diags);

/* Do both texts hold the same values? The order of keys means nothing, that of lists does. 0 or
 * -EINVAL. */
int policy_same_tree(const char *name, const char *a, const char *b);

/* Is it a file of tests (a mapping with `tests`)? */
bool policy_is_tests(const char *name, const char *text);

/* ------------------------------------------------------------------ import */

/* Each writes a policy to *ret_text and what could not be carried over to `diags` as warnings
 * with its line. */
int policy_import_apparmor(const char *name, const char *text, size_t len, char **ret_text,
			   struct policy_diags *diags);
int policy_import_kubearmor(const char *name, const char *text, size_t len, char **ret_text,
			    struct policy_diags *diags);
int policy_import_oci(const char *name, const char *text, size_t len, char **ret_text,
		      struct policy_diags *diags);

#endif
