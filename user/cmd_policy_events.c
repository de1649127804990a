// SPDX-License-Identifier: LGPL-2.1-or-later
/* warder policy replay, learn: recorded events under another policy, and a policy from them. */
#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "cleanup.h"
#include "cmd_policy.h"

/* 0 or an exit status after messages. "-" is standard input. */
static int read_events(const char *path, struct observations *o)
{
	cleanup_fclose FILE *opened = NULL;
	struct policy_diags diags = { 0 };
	FILE *f = stdin;
	int err;

	if (strcmp(path, "-"))
		f = opened = fopen(path, "re");
	if (!f) {
		fprintf(stderr, "warder policy: cannot open %s: %s\n", path, strerror(errno));
		return EXIT_WARDER;
	}
	err = observations_read(o, f, path, &diags);
	policy_diags_print(&diags, stderr);
	policy_diags_done(&diags);
	if (err == -E2BIG)
		fprintf(stderr, "warder policy: %s has more than %u different requests\n", path,
			OBSERVATIONS_MAX);
	else if (err)
		fprintf(stderr, "warder policy: %s: %s\n", path, strerror(-err));
	return err || o->bad ? EXIT_WARDER : 0;
}

/* ------------------------------------------------------------------- replay */

static const char replay_usage[] =
	"usage: warder policy replay [--json] [--all] --policy NEW EVENTS|-\n"
	"\n"
	"Judges recorded requests (lines of `warder events --json`) again under another policy, and\n"
	"says which get another verdict. What was recorded in mode learn has no verdict yet: of\n"
	"those the refused ones are told. Status 1 if there are any.\n"
	"  --all   those that stay as they were, too\n";

struct replayed {
	const struct observation *o;
	struct warder_verdict v;
	bool changed;
};

static const char *recorded(const struct policy_event *e)
{
	return e->learn ? "learn" : action_name(e->action);
}

/* By what changes, then the most frequent first. */
static int compare_replayed(const void *a, const void *b)
{
	const struct replayed *x = a, *y = b;
	int by = strcmp(recorded(&x->o->event), recorded(&y->o->event));

	if (!by)
		by = (int)x->v.action - (int)y->v.action;
	if (by)
		return by;
	if (x->o->count != y->o->count)
		return x->o->count > y->o->count ? -1 : 1;
	return x->o->first_line < y->o->first_line ? -1 : 1;
}

static struct json_object *replayed_json(const struct warder_image *img, const struct replayed *r)
{
	struct json_object *o = json_object_new_object();
	const struct policy_event *e = &r->o->event;
	char text[3 * WARDER_PATH_MAX];

	json_add_string(o, "request", request_text(&e->request, text, sizeof(text)));
	json_add_string(o, "program", e->program);
	json_add_string(o, "container", e->container);
	json_add_number(o, "count", (int64_t)r->o->count);
	json_add_number(o, "line", (int64_t)r->o->first_line);
	json_add_string(o, "recorded", recorded(e));
	json_add_string(o, "recorded_rule", e->where);
	json_add_string(o, "verdict", action_name(r->v.action));
	json_add_string(o, "errno", r->v.action == WARDER_ALLOW ? NULL : errno_name((int)r->v.err));
	json_object_object_add(o, "rule", policy_rule_json(img, r->v.rule));
	json_add_bool(o, "changed", r->changed);
	return o;
}

static void replayed_text(const struct warder_image *img, const struct replayed *r)
{
	const struct policy_event *e = &r->o->event;
	char text[3 * WARDER_PATH_MAX], where[512];

	printf("  %6lu  %s", r->o->count, request_text(&e->request, text, sizeof(text)));
	if (e->program)
		printf(", by %s", e->program);
	printf(" (%s%s%s)\n", r->v.action == WARDER_ALLOW ? "" : errno_name((int)r->v.err),
	       r->v.action == WARDER_ALLOW ? "" : ", ",
	       r->v.why == WARDER_WHY_BASELINE ? "the baseline" :
						 image_rule_where(img, r->v.rule, where, sizeof(where)));
}

static int print_replay(const struct warder_image *img, const struct replayed *r, size_t n,
			const struct observations *o, bool all, bool json)
{
	struct json_object *list = json ? json_object_new_array() : NULL, *out;
	unsigned long changed = 0, same = 0;
	const struct replayed *before = NULL;

	for (size_t i = 0; i < n; i++) {
		*(r[i].changed ? &changed : &same) += r[i].o->count;
		if (!all && !r[i].changed)
			continue;
		if (json) {
			json_object_array_add(list, replayed_json(img, &r[i]));
			continue;
		}
		if (!before || before->v.action != r[i].v.action ||
		    strcmp(recorded(&before->o->event), recorded(&r[i].o->event)))
			printf("%s -> %s:\n", recorded(&r[i].o->event), action_name(r[i].v.action));
		before = &r[i];
		replayed_text(img, &r[i]);
	}
	if (!json) {
		printf("%lu requests change, %lu do not", changed, same);
		if (o->skipped)
			printf(", %lu cannot be judged again (the baseline, faults, objects without "
			       "a name)", o->skipped);
		putchar('\n');
		return fflush(stdout) ? EXIT_WARDER : 0;
	}
	out = json_object_new_object();
	json_object_object_add(out, "requests", list);
	json_add_number(out, "changed", (int64_t)changed);
	json_add_number(out, "same", (int64_t)same);
	json_add_number(out, "left_out", (int64_t)o->skipped);
	return policy_print_json(out);
}

static int replay(const struct warder_image *img, const struct observations *o, bool all,
		  bool json)
{
	cleanup_free struct replayed *r = calloc(o->count + 1, sizeof(*r));
	bool changed = false;
	int status;

	if (!r)
		return EXIT_WARDER;
	for (size_t i = 0; i < o->count; i++) {
		struct policy_event *e = &o->item[i]->event;
		int profile = image_find_profile(img, e->profile);

		e->request.profile = profile > 0 ? (__u32)profile : 0;
		r[i].o = o->item[i];
		if (policy_decide(img, &e->request, &r[i].v)) {
			fprintf(stderr, "warder policy replay: line %zu cannot be judged\n",
				o->item[i]->first_line);
			return EXIT_WARDER;
		}
		r[i].changed = e->learn ? r[i].v.action != WARDER_ALLOW :
					  r[i].v.action != e->action;
		changed |= r[i].changed;
	}
	qsort(r, o->count, sizeof(*r), compare_replayed);
	status = print_replay(img, r, o->count, o, all, json);
	return status ? status : changed ? EXIT_FINDINGS : 0;
}

int cmd_policy_replay(int argc, char **argv)
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' },
						 { "all", no_argument, NULL, 'a' },
						 { "policy", required_argument, NULL, 'p' },
						 { "help", no_argument, NULL, 'h' },
						 { NULL, 0, NULL, 0 } };
	cleanup_free struct warder_image *img = NULL;
	struct observations o = { 0 };
	const char *policy = NULL;
	bool json = false, all = false;
	int c, status;

	optind = 0;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'h')
			return fputs(replay_usage, stdout) < 0;
		if (c == 'j')
			json = true;
		else if (c == 'a')
			all = true;
		else if (c == 'p')
			policy = optarg;
		else
			return policy_usage_error(EXIT_USAGE, "replay: unknown option");
	}
	if (argc - optind != 1 || !policy)
		return policy_usage_error(EXIT_USAGE, "replay: --policy NEW and EVENTS, please");
	if (policy_load_path(policy, &img))
		return EXIT_WARDER;
	status = read_events(argv[optind], &o);
	if (!status)
		status = replay(img, &o, all, json);
	observations_done(&o);
	return status;
}

/* -------------------------------------------------------------------- learn */

static const char learn_usage[] =
	"usage: warder policy learn [--from EVENTS] [--name N] [--threshold N] [--container NAME]\n"
	"       warder policy learn --list-never\n"
	"\n"
	"Writes a policy that allows what was recorded (lines of `warder events --json`, standard\n"
	"input by default): what mode learn saw and what mode audit let pass, grouped by profile.\n"
	"Refused requests are left out. Names become patterns only where at least --threshold (5)\n"
	"different ones were seen with the same accesses; those of --list-never never do, and no\n"
	"pattern allows what was refused. What was left out is told.\n";

static void told(unsigned long count, const char *what)
{
	if (count)
		fprintf(stderr, "warder policy learn: %lu %s\n", count, what);
}

/* The text says it, too; who only looks for errors sees it here. */
static void tell_left_out(const struct learn_report *r)
{
	told(r->not_text, "requests left out: their names are not UTF-8, or no policy can hold them");
	told(r->odd_profiles, "requests left out: their profiles are called like none");
	told(r->taken_back, "patterns not made: the head of the policy says why");
	told(r->contradictions, "refusals are allowed: the same was allowed at another time");
	told(r->forks, "executions led to another profile than the first of that program");
}

static bool name_is_good(const char *name)
{
	size_t len = strlen(name);

	return len && len < WARDER_NAME_SIZE && name[0] != '.' && name[0] != '-' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == len;
}

int cmd_policy_learn(int argc, char **argv)
{
	static const struct option options[] = { { "from", required_argument, NULL, 'f' },
						 { "name", required_argument, NULL, 'n' },
						 { "threshold", required_argument, NULL, 't' },
						 { "container", required_argument, NULL, 'c' },
						 { "list-never", no_argument, NULL, 'l' },
						 { "help", no_argument, NULL, 'h' },
						 { NULL, 0, NULL, 0 } };
	struct learn_options learn = { .name = "learned", .threshold = LEARN_THRESHOLD };
	struct learn_report report = { 0 };
	struct observations o = { 0 };
	struct warder_error e = { "" };
	cleanup_free char *text = NULL;
	const char *from = "-";
	unsigned long n;
	char *end;
	int c, status;

	optind = 0;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'h':
			return fputs(learn_usage, stdout) < 0;
		case 'f':
			from = optarg;
			break;
		case 'n':
			learn.name = optarg;
			break;
		case 'c':
			learn.container = optarg;
			break;
		case 't':
			n = strtoul(optarg, &end, 10);
			if (*end || n < 2 || n > 1000000)
				return policy_usage_error(EXIT_USAGE,
							  "learn: --threshold is a number from 2 on");
			learn.threshold = (unsigned)n;
			break;
		case 'l':
			for (size_t i = 0; learn_never[i]; i++)
				puts(learn_never[i]);
			return fflush(stdout) ? EXIT_WARDER : 0;
		default:
			return policy_usage_error(EXIT_USAGE, "learn: unknown option");
		}
	}
	if (optind != argc || !name_is_good(learn.name))
		return policy_usage_error(EXIT_USAGE, optind != argc ?
							      "learn: --from EVENTS, please" :
							      "learn: --name: letters, digits, . _ -");
	learn.report = &report;
	status = read_events(from, &o);
	if (!status && policy_learn(&o, &learn, &text, &e)) {
		fprintf(stderr, "warder policy learn: %s\n", e.text[0] ? e.text : "out of memory");
		status = EXIT_WARDER;
	}
	if (!status)
		tell_left_out(&report);
	if (!status && (fputs(text, stdout) < 0 || fflush(stdout)))
		status = EXIT_WARDER;
	observations_done(&o);
	return status;
}
