/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the policy module share; nobody else includes it. */
#ifndef WARDER_POLICY_INTERNAL_H
#define WARDER_POLICY_INTERNAL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy.h"

/* ------------------------------------------------------------------- arena */

/* Everything that a policy owns goes away with it: one arena each. */
struct arena_block;
struct arena {
	struct arena_block *head;
};

/* Zeroed memory, NULL when there is none. */
void *arena_alloc(struct arena *a, size_t size);
char *arena_strndup(struct arena *a, const char *s, size_t len);
char *arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
void arena_done(struct arena *a);

/* Grows a malloc'ed array to hold one more of `size` bytes. 0 or -ENOMEM. */
int vector_grow(void *array_p, size_t count, size_t *cap, size_t size);

/* ------------------------------------------------------------- diagnostics */

void diag_addv(struct policy_diags *d, const char *file, unsigned line, unsigned column,
	       int warning, const char *format, va_list ap);
void diag_add(struct policy_diags *d, const char *file, unsigned line, unsigned column, int warning,
	      const char *format, ...) __attribute__((format(printf, 6, 7)));
/* By file, line and column. */
void diags_sort(struct policy_diags *d);

/* Text of a file made fit for a message: quoted, control bytes escaped, cut. */
#define SHOWN_SIZE 96
const char *text_shown(const char *text, size_t len, char buf[SHOWN_SIZE]);

/* ------------------------------------------------------------ tree (yaml.c) */

#define POLICY_NODES_MAX 200000u /* of one file, aliases counted each time they are used */
#define POLICY_KEYS_MAX 512u	 /* of one mapping: duplicates are found by comparing all pairs */
#define POLICY_ANCHORS_MAX 256u

enum node_type { NODE_SCALAR, NODE_SEQ, NODE_MAP };

struct node {
	enum node_type type;
	bool plain; /* a scalar without quotes */
	bool open;  /* still being read: an alias to it would be a cycle */
	unsigned line, column;
	const char *text; /* scalar; NUL-terminated, without NUL inside */
	size_t len;
	struct node **item; /* seq: items; map: key, value, key, value ... */
	size_t count;	    /* of item[] */
	size_t weight;	    /* nodes below and itself, aliases expanded */
};

/* Reads one document. 0, -EINVAL with diagnostics, -ENOMEM. */
int yaml_read(struct arena *a, const char *file, const char *text, size_t len,
	      struct node **ret_root, struct policy_diags *diags);

/* ------------------------------------------------------------ NFA (glob.c) */

#define NFA_STATES_MAX (1u << 22)
#define NFA_PATTERN_STATES_MAX (1u << 16)
#define NFA_SETS_MAX 4096u
#define NFA_SETS_TABLE 8192u /* a power of two, so that the table is never full */
#define PATTERN_DEPTH_MAX 8  /* nested {...} and variables in variables */

struct byteset {
	uint64_t w[4];
};

static inline bool byteset_has(const struct byteset *s, unsigned b)
{
	return s->w[b >> 6] >> (b & 63) & 1;
}

/* Index 0 of both arrays means none. */
struct nfa_state {
	uint32_t eps[2];
	uint32_t to;	 /* reached by a byte of `set` */
	uint32_t accept; /* pattern number + 1 */
	uint32_t owner;	 /* pattern number */
	uint16_t set;
};

struct nfa {
	struct nfa_state *state;
	size_t states, states_cap;
	struct byteset *set;
	size_t sets, sets_cap;
	uint16_t single[256];		/* set of just that byte */
	uint16_t table[NFA_SETS_TABLE]; /* hash of sets */
};

void nfa_done(struct nfa *n);

struct policy_var {
	const char *name;
	const char **value;
	size_t values;
	bool *used;        /* set by a pattern that names it; NULL: nobody asks */
	const char *file;  /* where it was given */
	unsigned line, column;
};

struct glob_error {
	size_t offset; /* in the pattern, bytes */
	char text[192];
};

/* Adds the pattern's automaton. 0 and its start state, -EINVAL with the reason, -E2BIG with
 * the reason, -ENOMEM. What a failure leaves in the NFA is not reachable. */
int glob_compile(struct nfa *n, const char *pattern, const struct policy_var *vars, size_t nvars,
		 uint32_t owner, uint32_t *ret_start, struct glob_error *reterr);

/* The same for names that are no paths (abstract sockets): they need not begin with '/', may hold
 * "//" and "..", and * and ** match NUL bytes too. */
int glob_compile_name(struct nfa *n, const char *pattern, const struct policy_var *vars,
		      size_t nvars, uint32_t owner, uint32_t *ret_start, struct glob_error *reterr);

/* ------------------------------------------------------------- DFA (dfa.c) */

/* Where one byte class leads. */
struct dfa_edge {
	uint32_t to;
	uint32_t class_;
};

/* A state's way on: edge[at, at + count), sorted by class, and `other` for the rest. In its
 * normal form no edge leads to `other`, where most classes lead (of equals, the one of the
 * lowest class). */
struct dfa_row {
	uint32_t other;
	uint32_t at, count;
};

struct dfa {
	uint32_t states; /* state 0 is dead */
	uint32_t classes;
	uint8_t class_of[256];
	uint32_t *start; /* by start list; 0: nothing matches */
	struct dfa_row *row;
	struct dfa_edge *edge;
	size_t edges;
	uint32_t *accept_of; /* by state */
};

/* The number (0: empty) of the accept record for the patterns that end in a state, sorted. */
typedef int (*dfa_accept_fn)(void *arg, const uint32_t *patterns, size_t count,
			     uint32_t *ret_accept);

struct dfa_options {
	/* Lists of NFA start states, one list for each kind of name and profile. */
	const uint32_t *const *start;
	const size_t *counts;
	size_t n_starts;
	dfa_accept_fn accept;
	/* May be NULL: called once for each list of patterns that a name can end in, after accept().
	 * What is no name, see dfa_named(), accepts all the same. */
	void (*named)(void *arg, const uint32_t *patterns, size_t count);
	const bool *path; /* with it, by start list: its names are paths; NULL: none are */
	void *arg;
	uint64_t *cost; /* by pattern: how much of the automaton is due to it */
};

/* 0, -E2BIG when a limit is reached (cost[] then says why), -ENOMEM, or what accept returned. */
int dfa_build(const struct nfa *n, const struct dfa_options *o, struct dfa *ret);
void dfa_done(struct dfa *d);

/* ------------------------------------------------------ DFA in images (pack.c) */

/* An image being written: sections one after the other. */
struct writer {
	struct warder_image *img;
	uint32_t at;
};

/* Room for a section; NULL when the image is full. */
void *writer_section(struct writer *w, struct warder_section *s, size_t count, size_t size);

/* The id of a profile of that name, never 0. */
uint32_t profile_id(const char *name);

/* Length, counters and checksum of an image that is written up to `length`. */
void image_close(struct warder_image *img, __u32 length);

/* Accept records; `rules` of a record is an index into entry[] here. Record 0 is empty. */
struct accept_table {
	struct warder_accept *record;
	size_t records, records_cap;
	struct warder_accept_rule *entry;
	size_t entries, entries_cap;
};

/* Writes the automaton and its accept records. What a state is called in the image (for the
 * starts of profiles) is in ret_start[], by start list. 0, -E2BIG, -ENOMEM. */
int dfa_write(struct writer *w, struct warder_image_header *h, const struct dfa *d,
	      size_t n_starts, const struct accept_table *t, uint32_t *ret_start);

/* ------------------------------------------------------------------ policy */

struct policy_rule {
	const char *file;
	unsigned line, column;
	const char *id;
	uint8_t class_, deny, err, audit;
	bool included; /* from an included file: what shadows it is no mistake of the author's */
	bool broken;   /* an error in it was told */
	uint16_t in;   /* number of the profile that it stands in; 0: top */
	uint32_t mask; /* what its patterns decide: WARDER_ACC_*, of a unix socket WARDER_NET_* */
	uint64_t bits; /* capability, memory, namespace, kernel: the switches */
	/* exec: the profile that it leads to, NULL: none; its number once all are known */
	const char *profile_name;
	unsigned profile_line, profile_column;
	uint16_t profile;
};

#define POLICY_NO_RULE UINT32_MAX
struct policy_pattern {
	const char *text;
	uint32_t nfa_start;
	uint32_t rule; /* index; POLICY_NO_RULE: of `match` */
	uint8_t start; /* enum warder_start */
	uint64_t set;  /* mount or override entries */
};

/* What is said of a class default. */
enum policy_default { DEFAULT_UNSAID = 0, DEFAULT_ALLOW, DEFAULT_DENY };

/* Number 0 is the top profile: what stands outside `profiles:`. */
struct policy_profile {
	const char *name, *file;
	unsigned line, column;
	uint32_t id;
	uint32_t named; /* bit WARDER_CLASS_*: its own allow rules and default replace the top's */
	uint8_t def[WARDER_CLASS__MAX]; /* enum policy_default */
};

struct policy_override {
	struct warder_override o; /* without the string offsets */
	const char *bind;
	const char *option_text[WARDER_OPTIONS_MAX];
	const char *targets; /* the patterns, joined: equal strings are equal targets */
	const char *sources;
	const char *handler;
	const char *fuse;
};

struct policy_mount {
	struct warder_mount_rule m;
	const char *targets, *sources; /* the patterns, joined */
};

/* Of `match`; policy_match.c. */
struct policy_match {
	const char *key; /* of an annotation; NULL: the container's name */
	const char *text, *file;
	unsigned line, column;
};

/* Bytes in the arena. */
struct policy_blob {
	const unsigned char *data;
	uint32_t length;
};

struct policy_signature {
	struct warder_signed_content content;
	struct policy_blob blob;
};

/* keyring.signed_exec */
struct policy_signed {
	bool require, optional, verity;
	uint32_t rule; /* index */
	struct policy_blob signer[WARDER_SIGNERS_MAX];
	size_t signers;
	struct policy_signature *signature;
	size_t signatures, cap;
};

struct policy {
	struct arena arena;
	const char *name;
	uint32_t mode;
	bool selectable;
	struct policy_match match[WARDER_MATCHES_MAX];
	size_t matches;
	uint32_t keys_max, keys_bytes, keys_pending; /* 0: not given */
	uint32_t keys_join;
	char shared[WARDER_SHARED_MAX][WARDER_SHARED_SIZE];
	size_t shared_count;
	const char *keys_lazy_file; /* where `join: lazy` is said; NULL: nowhere */
	unsigned keys_lazy_line, keys_lazy_column;
	struct warder_upcall upcall[WARDER_UPCALLS_MAX]; /* `rule` is an index */
	size_t upcalls;
	struct policy_signed signed_;
	uint64_t unsafe; /* WARDER_UNSAFE_* */

	struct policy_var *var;
	size_t vars, vars_cap;
	struct policy_rule *rule;
	size_t rules, rules_cap;
	struct policy_pattern *pattern;
	size_t patterns, patterns_cap;
	struct policy_mount mount[WARDER_MOUNT_RULES_MAX];
	size_t mounts;
	struct policy_override override[WARDER_OVERRIDES_MAX];
	size_t overrides;
	struct warder_net_rule net[WARDER_NET_RULES_MAX];
	size_t nets;
	bool nets_full; /* there were more */
	struct warder_device_rule device[WARDER_DEVICE_RULES_MAX];
	size_t devices;
	struct warder_peer_rule peer[WARDER_PEER_RULES_MAX];
	size_t peers;
	struct policy_profile profile[WARDER_PROFILES_MAX];
	size_t profiles; /* at least the top one */
	struct nfa nfa;
};

/* --------------------------------------------------------------- parser */

#define INCLUDES_MAX 64
#define INCLUDE_DEPTH_MAX 8

/* A file that was included, and where that was asked first. */
struct include {
	const char *name; /* without a version */
	uint64_t version; /* 0: the file says none */
	uint64_t dev, ino;
	const char *by;
	unsigned line;
};

struct parser {
	struct policy *p;
	struct policy_diags *diags;
	const char *const *dirs;
	const char *file; /* the one being read */
	const char *root; /* the policy's */
	bool included;
	uint16_t profile; /* number of the one being read */
	struct include seen[INCLUDES_MAX];
	size_t seen_count;
	size_t chain[INCLUDE_DEPTH_MAX]; /* of seen[]: those that are being read, each by the one before */
	unsigned depth;
	int fatal; /* -ENOMEM; stops everything */
	/* Errors that leave something unknown about rules that have none: variables, includes,
	 * profiles. */
	size_t blind;
};

/* In policy_tree.c: typed access to nodes, each with its diagnostic. */
void parser_error(struct parser *ps, const struct node *at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void parser_warning(struct parser *ps, const struct node *at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
const char *node_shown(const struct node *n, char buf[SHOWN_SIZE]);
int node_is(const struct node *n, const char *text);
struct node *map_get(const struct node *map, const char *key);
bool expect_map(struct parser *ps, const struct node *n, const char *what);
bool expect_seq(struct parser *ps, const struct node *n, const char *what);
/* NULL after a diagnostic. */
const char *expect_string(struct parser *ps, const struct node *n, const char *what);
bool expect_bool(struct parser *ps, const struct node *n, const char *what, bool *ret);
bool expect_number(struct parser *ps, const struct node *n, const char *what, uint64_t min,
		   uint64_t max, uint64_t *ret);
/* "64M", "4096": bytes. */
bool parse_size(const char *text, uint64_t *ret);
/* "2s", "500ms", "1m": milliseconds. */
bool expect_duration(struct parser *ps, const struct node *n, const char *what, uint64_t max_ms,
		     uint64_t *ret);
/* One of words[] (NULL-terminated); its index, or -1 after a diagnostic. */
int expect_word(struct parser *ps, const struct node *n, const char *what,
		const char *const *words);
/* A scalar or a list of scalars as a list: calls fn for each. */
void each_scalar(struct parser *ps, struct node *n, const char *what,
		 void (*fn)(struct parser *, struct node *, void *), void *arg);
/* The same where numbers are as good as text. */
void each_value(struct parser *ps, struct node *n, const char *what,
		void (*fn)(struct parser *, struct node *, void *), void *arg);
/* Decimal digits up to *end; false if there are none or the number does not fit. */
bool parse_digits(const char *text, const char **end, uint64_t *ret);

/* A key of a mapping. `read` gets the value; without it the key is known but read elsewhere. */
struct key {
	const char *name;
	bool required;
};
/* Reports unknown and missing keys. False if the node is no mapping. */
bool check_keys(struct parser *ps, const struct node *n, const char *what, const struct key *keys);

/* In policy_rule.c: what rules of all classes have in common. */
int parser_add_rule(struct parser *ps, const struct policy_rule *rule, uint32_t *ret_index);
void parser_add_patterns(struct parser *ps, struct node *n, const char *what, uint32_t rule,
			 unsigned start, uint64_t set, const char **ret_joined);
/* Reads allow/deny, errno, audit, id, optional of a rule. False after an error. */
struct rule_head {
	struct policy_rule rule;
	struct node *what; /* value of allow or deny */
	bool optional;
};
bool parse_rule_head(struct parser *ps, struct node *n, uint8_t class_, int err,
		     struct rule_head *ret);
/* Something this version does not enforce: error, or warning if optional. */
void refuse_word(struct parser *ps, const struct node *at, bool optional, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
bool node_optional(struct parser *ps, const struct node *rule);
/* Reads a word or list of words of a class (policy_words.c) as bits; "*" is `all`. Of a word that
 * the class does not know it says which there are. */
uint64_t parse_words(struct parser *ps, struct node *n, uint8_t class_, uint64_t all);
/* Calls fn for each item of the class's list, if there is one. */
void parse_rules(struct parser *ps, struct node *root, const char *class_,
		 void (*fn)(struct parser *, struct node *));
bool parse_flags(struct parser *ps, const struct node *n, uint32_t *ret_require,
		 uint32_t *ret_forbid);
bool parse_fstype(struct parser *ps, const struct node *n, char ret[WARDER_FSTYPE_SIZE]);
/* Letters, digits, '.', '_', '-'; NULL after a diagnostic. */
const char *parse_id(struct parser *ps, const struct node *n, const char *what);
int parse_errno(struct parser *ps, const struct node *n, uint8_t *ret);

/* policy_signed.c: keyring.signed_exec as text; in an image; in an image of several. */
void parse_shared(struct parser *ps, struct node *n);
void parse_signed_exec(struct parser *ps, struct node *n, bool optional);
struct writer;
int signed_write(struct writer *w, struct warder_image_header *h, const struct policy_signed *p);
const char *signed_verify(const struct warder_image *img);
void signed_copy(struct warder_image *to, const struct warder_image *from, __u32 layer, __u32 blob);

int parser_run(struct parser *ps, struct node *root);
/* A whole file: the policy, or one that it includes. */
void parser_root(struct parser *ps, struct node *root);

/* policy_include.c. One item of `include`; `version:` of a file, 0 if it says none. */
void parse_include(struct parser *ps, struct node *n, void *arg);
uint64_t parse_version(struct parser *ps, const struct node *root);

/* policy_match.c. Whom the policy is for. */
void parse_match(struct parser *ps, struct node *n);
/* A name pattern that no container's name matches is an error. 0, -ENOMEM. */
int check_match(const struct policy *p, const struct warder_image *img, struct policy_diags *diags);
/* Nobody gets the policy unasked. */
void policy_forget_match(struct policy *p);

/* One rule each: policy_rules.c, policy_network.c, policy_peer.c, policy_mount.c. */
void parse_file_rule(struct parser *ps, struct node *rule);
void parse_exec_rule(struct parser *ps, struct node *rule);
void parse_capability_rule(struct parser *ps, struct node *rule);
void parse_namespace_rule(struct parser *ps, struct node *rule);
void parse_kernel_rule(struct parser *ps, struct node *rule);
void parse_network_rule(struct parser *ps, struct node *rule);
void parse_device_rule(struct parser *ps, struct node *rule);
void parse_ptrace_rule(struct parser *ps, struct node *rule);
void parse_signal_rule(struct parser *ps, struct node *rule);
void parse_ipc_rule(struct parser *ps, struct node *rule);
void parse_mount(struct parser *ps, struct node *rule);
void parse_override(struct parser *ps, struct node *rule);
/* policy_override_call.c: what a rule says of the values of a call that is no mount; `ops` are those
 * that it names. */
void parse_override_values(struct parser *ps, struct node *rule, uint64_t ops,
			   struct policy_override *o);
/* "c 1:3", "b 8:*", "* *:*", "*". */
bool parse_device(const char *text, struct warder_device_rule *ret);
/* A word or a list of them; 0 types after an error. */
struct fstypes {
	char type[WARDER_MOUNT_RULES_MAX][WARDER_FSTYPE_SIZE];
	size_t count;
};
void parse_fstypes(struct parser *ps, struct node *n, struct fstypes *ret);
/* An option that a rule on a mount may pass on; `exact`: only with one value, no "*" and no bound. */
struct known_option {
	const char *name;
	bool exact;
};
/* Errors for all other options; `known` ends with NULL, `what` has them, `also` ends the sentence. */
void check_known_options(struct parser *ps, const struct node *options, const struct known_option *known,
			 const char *what, const char *also);
/* policy_override_server.c */
void parse_server(struct parser *ps, struct node *n, const struct fstypes *types,
		  struct policy_override *o);
/* `fuse:` of an override rule on mount, policy_fuse.c: what it says is checked once for all types of the
 * rule; then the program of one of them, NULL after an error. */
void parse_fuse(struct parser *ps, struct node *n, const struct fstypes *types);
const char *fuse_program(const struct node *n, const char *type);
/* Operations whose rules have `flags`. */
#define POLICY_OPS_WITH_FLAGS                                                                      \
	(WARDER_MNT_NEW | WARDER_MNT_BIND | WARDER_MNT_REMOUNT | WARDER_MNT_PROPAGATION)

/* Operations of which rules can have a target: the others have no path. */
#define OVERRIDE_OPS_WITH_TARGET                                                              \
	(1ull << WARDER_OP_MOUNT | 1ull << WARDER_OP_UMOUNT | 1ull << WARDER_OP_MKNOD |       \
	 1ull << WARDER_OP_SETXATTR)

/* Does an entry with the first conditions match whatever one with the second does, targets apart? */
bool mount_conditions_cover(uint32_t require, uint32_t forbid, const char *type, uint32_t require2,
			    uint32_t forbid2, const char *type2);
/* The same of all conditions of override rules: b is not asked where a's target matches. */
bool override_covers(const struct policy_override *a, const struct policy_override *b);
/* The whole class: a mapping. */
void parse_memory(struct parser *ps, struct node *n);
void parse_keyring(struct parser *ps, struct node *n); /* policy_keyring.c */

/* Settings of the whole policy, in policy_settings.c. */
void parse_settings(struct parser *ps, struct node *root);
void parse_defaults(struct parser *ps, struct node *n);
/* The kernel surfaces that stay closed under this `unsafe` list, as switches. */
uint64_t kernel_closed(uint64_t unsafe);

/* --------------------------------------------------------------- compiler */

/* Rules that decide instead of one, by number; the rest is not kept. */
#define SHADOWS_MAX 4
struct shadows {
	uint32_t rule[SHADOWS_MAX + 1]; /* 0: no more; the last one: there are others */
};
void shadows_add(struct shadows *s, uint32_t rule);

struct compiler {
	const struct policy *p;
	struct policy_diags *diags;
	struct dfa dfa;

	struct accept_table accept;
	uint32_t *table; /* hash: record number, 0 free */
	uint32_t *start; /* states in the image, WARDER_START__MAX for each profile */

	/* By rule: does it decide anything, and if not, which rule is in its way? */
	bool *decides;
	struct shadows *shadow;
	bool no_memory;
	/* An exec rule of the text before that leads some name to another profile; its number. */
	uint32_t *conflict;

	char *strings;
	size_t strings_len, strings_cap;
	const char *last_file; /* most rules are of the file of the rule before */
	uint32_t last_file_at;
};

/* In policy_profile.c. Does the rule hold in profile number k? */
bool rule_holds(const struct policy *p, const struct policy_rule *r, size_t k);
/* What holds in profile number k, complete; not its name. */
void compiler_profile(struct compiler *c, size_t k, struct warder_profile *pr);
/* In policy_grants.c: refuses transitions by which a task could choose its own rights. The
 * profiles are all of the policy's. 0 with diagnostics, -ENOMEM. */
int compiler_check_transitions(struct compiler *c, const struct warder_profile *pr);
/* In policy_shadow.c: rules that never decide anything. */
void report_shadow(struct policy_diags *diags, const struct policy *p, const struct policy_rule *r,
		   struct shadows *by);
/* In policy_shadow_target.c: mount and override rules, by their targets' patterns; `img` is the policy's. 0, -ENOMEM. */
int report_target_shadows(const struct policy *p, const struct warder_image *img,
			  struct policy_diags *diags);
void report_table_shadows(const struct policy *p, struct policy_diags *diags);

/* In policy_verify_dfa.c. What is wrong with the automaton, or NULL; sections lie in the image. */
const char *image_verify_dfa(const struct warder_image *img);
bool image_state_is_fine(const struct warder_image *img, __u32 state);

/* CRC-32 of the used bytes with the checksum field zero. */
__u32 image_checksum(const struct warder_image *img);

/* 64 hex digits and a NUL. */
void sha256_hex(const void *data, size_t len, char ret_hex[65]);

/* Reads a whole regular file of at most POLICY_TEXT_MAX bytes. */
int policy_read_file(const char *path, char **ret_text, size_t *ret_len, struct warder_error *err);

/* Words of requests on the network; an entry without a name ends each table. */
struct request_word {
	const char *name;
	__u32 bit; /* WARDER_FAM_*, WARDER_PROTO_* */
	int family;
};
extern const struct request_word request_families[], request_protocols[];

/* Which entries of a list of patterns (mounts, overrides, match) hold for a name that ends in that state.
 * policy_request.c */
uint64_t image_state_set(const struct warder_image *img, uint32_t state);

#endif
