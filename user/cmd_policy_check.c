// SPDX-License-Identifier: LGPL-2.1-or-later
/* warder policy check: what is wrong with a policy, what a kernel does not enforce of it, and what it
 * leaves alone. */
#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "cmd_policy.h"
#include "loader.h"
#include "override.h"
#include "policy_internal.h"
#include "request_key.h"

static const char usage[] =
	"usage: warder policy check [--quiet] [--calls] [--btf FILE] [--json] FILE...\n"
	"\n"
	"Errors and warnings with file:line:column, then, as notes, what the policy leaves alone.\n"
	"  --quiet     errors and warnings alone\n"
	"  --calls     the system calls, by name, that meet no program of warder's\n"
	"  --btf FILE  for the kernel with this type information (a vmlinux, or a copy of\n"
	"              /sys/kernel/btf/vmlinux) instead of the running one\n"
	"Exit status: 0 fine, 1 errors. Notes and warnings do not count.\n";

struct check {
	const char *path;
	const char *btf; /* NULL: the running kernel */
	bool json, quiet, calls;
	const struct warder_image *img;
	struct loader_gap limit[LOADER_GAPS_MAX]; /* of the kernel, that are worth a note */
	size_t limits;
	struct policy_diags diags;
	struct json_object *all;
};

/* ------------------------------------------------------------ host and kernel */

/* What it says and this host does not do. */
static void warn_of_host(const struct policy *p, struct policy_diags *diags)
{
	enum request_key_state state = request_key_state();

	if (!p->keys_lazy_file || state == REQUEST_KEY_DIVERTED)
		return;
	diag_add(diags, p->keys_lazy_file, p->keys_lazy_line, p->keys_lazy_column, 1,
		 "keyring.join: lazy: on this host who joins another session keyring loses the container "
		 "keyring%s, as " REQUEST_KEY " is not warder's; see `warder request-key divert`",
		 state == REQUEST_KEY_LINE ? ", but for key types that " REQUEST_KEY_LINES " names and "
					     "upcalls that are left to a queue or the host" : "");
}

static void check_absent(const char *program, __u32 class_, int vital, void *arg)
{
	struct check *c = arg;

	if (vital)
		diag_add(&c->diags, c->path, 0, 0, 0,
			 "%s%s cannot be enforced: %s kernel has no hook for %s",
			 class_ ? "class " : "the policy", class_ ? class_name(class_) : "",
			 c->btf ? "that" : "this", program + strlen("warder_"));
}

static void check_signed(struct check *c, const char *which)
{
	__u32 flags = c->img->h.layer[0].signed_flags, optional = flags & WARDER_SIGNED_OPTIONAL;
	const char *missing = c->img->h.signed_layers ? loader_signed_missing(c->btf) : NULL;

	if (missing) {
		diag_add(&c->diags, c->path, 0, 0, optional != 0,
			 optional ? "not enforced on %s kernel, as it is optional: signed_exec: it has no %s" :
				    "signed_exec cannot be enforced: %s kernel has no %s",
			 which, missing);
		return;
	}
	missing = flags & WARDER_SIGNED_VERITY ? loader_verity_missing(c->btf) : NULL;
	if (missing)
		diag_add(&c->diags, c->path, 0, 0, optional != 0,
			 optional ? "signed_exec: files with fs-verity are judged by their content on %s kernel: "
				    "it has no %s" :
				    "signed_exec: verity cannot be had: %s kernel has no %s",
			 which, missing);
}

/* What a kernel gives no place to enforce: only of what the policy refuses or reports. */
static void check_kernel(struct check *c)
{
	const char *which = c->btf ? "that" : "this";
	struct loader_gap gap[LOADER_GAPS_MAX];
	struct warder_error e = { "" };
	int n;

	if (override_check_programs(c->img, &e))
		diag_add(&c->diags, c->path, 0, 0, 0, "%s", e.text);
	if (!c->btf && (geteuid() || loader_probe(&e)))
		return;
	n = loader_each_absent(c->btf, c->img, check_absent, c);
	if (!n)
		n = loader_gaps(c->btf, gap, LOADER_GAPS_MAX);
	if (n < 0) {
		diag_add(&c->diags, c->btf ? c->btf : c->path, 0, 0, 0,
			 "the kernel's type information cannot be read: %s", strerror(-n));
		return;
	}
	for (int i = 0; i < n; i++)
		if (!loader_gap_matters(&gap[i], c->img))
			continue;
		else if (!gap[i].serious)
			c->limit[c->limits++] = gap[i];
		else
			diag_add(&c->diags, c->path, 0, 0, 1, "not enforced on %s kernel: %s: %s", which,
				 class_name(gap[i].class_), gap[i].text);
	check_signed(c, which);
}

/* ----------------------------------------------------------------------- notes */

static struct json_object *note_json(struct check *c, const char *kind, const char *text)
{
	struct json_object *o = json_object_new_object();

	json_add_string(o, "file", c->path);
	json_add_number(o, "line", 0);
	json_add_number(o, "column", 0);
	json_add_string(o, "severity", "note");
	json_add_string(o, "kind", kind);
	json_add_string(o, "text", text);
	json_object_array_add(c->all, o);
	return o;
}

/* "file read, write", "memory". */
static void item_text(const struct left_item *item, char *buf, size_t size)
{
	__u32 class_ = item->class_;

	snprintf(buf, size, "%s%s%s%s", class_name(class_), item->what[0] ? " " : "", item->what,
		 class_ == WARDER_CLASS_DEVICE ? " of nodes that the runtime made" :
		 class_ == WARDER_CLASS_PTRACE || class_ == WARDER_CLASS_SIGNAL ||
				 class_ == WARDER_CLASS_IPC ? " within the container" : "");
}

static const char *kind_text(enum left_kind kind)
{
	static const char *const texts[] = {
		[LEFT_OPEN] = "not restricted",
		[LEFT_UNLESS] = "restricted only by rules that deny",
		[LEFT_RULE] = "allowed by rules, whatever the name",
	};

	return texts[kind];
}

static void left_json(struct check *c, const struct left_item *item)
{
	char text[1200], words[1100];
	struct json_object *o;

	item_text(item, words, sizeof(words));
	if (item->kind == LEFT_MODE)
		snprintf(text, sizeof(text), "mode: %s", item->what);
	else if (item->kind == LEFT_UNSAFE)
		snprintf(text, sizeof(text), "unsafe: %s", item->what);
	else
		snprintf(text, sizeof(text), "%s: %s", kind_text(item->kind), words);
	o = note_json(c, left_kind_name(item->kind), text);
	json_add_string(o, "profile", item->profile[0] ? item->profile : NULL);
	json_add_string(o, "class", item->class_ ? class_name(item->class_) : NULL);
	json_add_string(o, "what", item->what[0] ? item->what : NULL);
	json_object_object_add(o, "rule", policy_rule_json(c->img, item->rule));
}

static void note_limits(struct check *c)
{
	for (size_t i = 0; i < c->limits; i++) {
		const char *class_ = class_name(c->limit[i].class_);

		if (c->json)
			json_add_string(note_json(c, "kernel", c->limit[i].text), "class", class_);
		else
			printf("%s: note: of %s kernel: %s: %s\n", c->path, c->btf ? "that" : "this", class_,
			       c->limit[i].text);
	}
}

/* All of a kind and profile in one line. */
static void left_line(struct check *c, const struct policy_left *left, size_t first)
{
	const struct left_item *item = &left->item[first];

	for (size_t i = 0; i < first; i++)
		if (left->item[i].kind == item->kind && !strcmp(left->item[i].profile, item->profile))
			return;
	printf("%s: note: %s%s%s%s: ", c->path, item->profile[0] ? "in profile " : "", item->profile,
	       item->profile[0] ? " " : "", kind_text(item->kind));
	for (size_t i = first; i < left->count; i++) {
		char words[1100], where[512];

		if (left->item[i].kind != item->kind || strcmp(left->item[i].profile, item->profile))
			continue;
		item_text(&left->item[i], words, sizeof(words));
		printf("%s%s", i == first ? "" : "; ", words);
		if (left->item[i].rule)
			printf(" (%s)", image_rule_where(c->img, left->item[i].rule, where, sizeof(where)));
	}
	putchar('\n');
}

static int note_left(struct check *c)
{
	struct policy_left left;
	int err = policy_left(c->img, &left);

	if (err)
		return err;
	for (size_t i = 0; i < left.count; i++) {
		const struct left_item *item = &left.item[i];

		if (c->json)
			left_json(c, item);
		else if (item->kind == LEFT_MODE)
			printf("%s: note: mode %s: nothing is refused but what the baseline refuses\n",
			       c->path, item->what);
		else if (item->kind != LEFT_UNSAFE) /* there is a warning with its place */
			left_line(c, &left, i);
	}
	policy_left_done(&left);
	return 0;
}

struct calls {
	struct json_object *list[LOADER_SEEN__MAX];
};

static int calls_add(const char *call, enum loader_seen group, void *arg)
{
	struct calls *calls = arg;

	json_object_array_add(calls->list[group], json_object_new_string(call));
	return 0;
}

static void calls_line(const struct check *c, struct json_object *list, enum loader_seen group)
{
	printf("%s: note: calls %s, %s:", c->path, loader_seen_name(group), loader_seen_text(group));
	for (size_t i = 0; i < json_object_array_length(list); i++)
		printf(" %s", json_object_get_string(json_object_array_get_idx(list, i)));
	putchar('\n');
}

/* Filters restrict what reaches others or much of the kernel; the caller's own calls are no matter. */
static void note_calls(struct check *c)
{
	struct calls calls;
	size_t free_ = 0;

	for (unsigned g = 0; g < LOADER_SEEN__MAX; g++)
		calls.list[g] = json_object_new_array();
	loader_each_syscall(c->img, calls_add, &calls);
	for (unsigned g = LOADER_SEEN_UNUSED; g < LOADER_SEEN__MAX; g++) {
		size_t count = json_object_array_length(calls.list[g]);

		if (g == LOADER_SEEN_NAMES || g == LOADER_SEEN_OTHERS || g == LOADER_SEEN_KERNEL)
			free_ += count;
		if (count && c->json) {
			struct json_object *o = note_json(c, "calls", loader_seen_text(g));

			json_add_string(o, "group", loader_seen_name(g));
			json_object_object_add(o, "calls", json_object_get(calls.list[g]));
		} else if (count && c->calls) {
			calls_line(c, calls.list[g], g);
		}
	}
	if (!c->json && !c->calls)
		printf("%s: note: %zu system calls meet no hook and need no capability: only a seccomp "
		       "filter restricts them (--calls)\n", c->path, free_);
	for (unsigned g = 0; g < LOADER_SEEN__MAX; g++)
		json_object_put(calls.list[g]);
}

/* -------------------------------------------------------------------- command */

/* 1: there are errors. */
static int check_file(struct check *c)
{
	cleanup_free struct warder_image *img = NULL;
	int err = policy_compile_path_and(c->path, &img, &c->diags, c->btf ? NULL : warn_of_host);

	c->img = img;
	if (!err)
		check_kernel(c);
	if (err == -ENOMEM)
		diag_add(&c->diags, c->path, 0, 0, 0, "out of memory");
	for (size_t k = 0; c->json && k < c->diags.count; k++)
		json_object_array_add(c->all, policy_diag_json(&c->diags.item[k]));
	if (!c->json)
		policy_diags_print(&c->diags, stderr);
	if (err || c->diags.errors)
		return 1;
	if (!c->json && !c->quiet)
		printf("%s: ok, policy %s, %u rules\n", c->path, image_string(img, img->h.name),
		       img->h.rule.count);
	if (c->quiet)
		return 0;
	if (note_left(c)) {
		fprintf(stderr, "%s: error: out of memory\n", c->path);
		return 1;
	}
	note_limits(c);
	note_calls(c);
	return 0;
}

int cmd_policy_check(int argc, char **argv)
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' },
						 { "quiet", no_argument, NULL, 'q' },
						 { "calls", no_argument, NULL, 'c' },
						 { "btf", required_argument, NULL, 'b' },
						 { "help", no_argument, NULL, 'h' },
						 { NULL, 0, NULL, 0 } };
	struct check base = { .path = NULL };
	int bad = 0, o;

	optind = 0;
	while ((o = getopt_long(argc, argv, "hq", options, NULL)) != -1) {
		if (o == 'h')
			return fputs(usage, stdout) < 0 ? EXIT_WARDER : 0;
		if (o == '?')
			return policy_usage_error(EXIT_USAGE, "check: unknown option");
		base.json |= o == 'j';
		base.quiet |= o == 'q';
		base.calls |= o == 'c';
		if (o == 'b')
			base.btf = optarg;
	}
	if (optind == argc)
		return policy_usage_error(EXIT_USAGE, "check: which file?");
	base.all = base.json ? json_object_new_array() : NULL;
	for (int i = optind; i < argc; i++) {
		struct check c = base;

		c.path = argv[i];
		bad |= check_file(&c);
		policy_diags_done(&c.diags);
	}
	if (base.json && policy_print_json(base.all))
		return EXIT_WARDER;
	return bad;
}
