// SPDX-License-Identifier: LGPL-2.1-or-later
/* warder policy explain: what a policy says about a request or about a recorded event, by which
 * rule, and what would change it. */
#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "cleanup.h"
#include "cmd_policy.h"
#include "events.h"

static const char usage[] =
	"usage: warder policy explain [--json] [--profile P] [--uid N] [--userns host|container|nested]\n"
	"                             [--policy MORE]... FILE REQUEST\n"
	"       warder policy explain [--json] [--policy MORE]... FILE --event EVENTS|-\n"
	"With --policy as for a container that has FILE and those, up to 4: all must allow.\n"
	"REQUEST is one of\n"
	"  file ACCESS[,ACCESS...] PATH       exec PATH\n"
	"  capability NAME                    memory|namespace|kernel NAME\n"
	"  mount TYPE TARGET [FLAG,...]       bind|remount|move|umount|... TARGET [FLAG,...]\n"
	"  network OP tcp|udp|... ADDR:PORT   network OP unix PATH [PEER] |\n"
	"                                     abstract NAME [PEER] | FAMILY\n"
	"  device OP \"c MAJOR:MINOR\" [PATH]   ptrace|signal|ipc OP [PEER]\n"
	"  or '{network: connect, to: \"10.0.0.1:80\", protocol: tcp}' as in files of tests.\n"
	"  or '{call: sethostname}', about which only override rules speak.\n"
	"--uid and --userns say who asks, which matters to override rules only: else root (0) of the container's\n"
	"own user namespace.\n"
	"EVENTS are lines of `warder events --json`; - is standard input.\n";

static const char *layer_word(const struct warder_image *img, const struct warder_verdict *v,
			      __u32 layer)
{
	if (!(v->against >> layer & 1))
		return action_name(WARDER_ALLOW);
	return action_name(img->h.layer[layer].mode == WARDER_MODE_ENFORCE ? WARDER_DENY :
									     WARDER_AUDIT);
}

static int explain_error(const char *text)
{
	fprintf(stderr, "warder policy explain: %s\n", text);
	return EXIT_WARDER;
}

/* What each policy of a stack says. */
static struct json_object *explain_layers(const struct warder_image *img,
					  const struct warder_verdict *v)
{
	struct json_object *list = json_object_new_array();

	for (__u32 i = 0; i < img->h.layers; i++) {
		struct json_object *o = json_object_new_object();

		json_add_string(o, "policy", img->h.layer[i].policy);
		json_add_string(o, "verdict", layer_word(img, v, i));
		json_object_object_add(o, "rule", policy_rule_json(img, v->by[i]));
		json_object_array_add(list, o);
	}
	return list;
}

static struct json_object *explain_object(const struct warder_image *img,
					  const struct policy_request *r,
					  const struct warder_verdict *v, const char *fix)
{
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();
	char text[3 * WARDER_PATH_MAX];
	bool file = r->class_ == WARDER_CLASS_FILE || r->class_ == WARDER_CLASS_EXEC;

	json_add_string(o, "request", request_text(r, text, sizeof(text)));
	json_add_string(o, "verdict", action_name(v->action));
	json_add_string(o, "class", class_name(r->class_));
	if (r->path)
		json_add_bytes(o, "path", r->path, strlen(r->path));
	else
		json_add_string(o, "path", NULL);
	json_add_string(o, "errno", v->action == WARDER_ALLOW ? NULL : errno_name((int)v->err));
	json_add_string(o, "why", why_name(v->why));
	json_object_object_add(o, "rule", policy_rule_json(img, v->rule));
	json_add_string(o, "policy", image_verdict_policy(img, v));
	if (img->h.layers > 1 && v->why != WARDER_WHY_BASELINE)
		json_object_object_add(o, "policies", explain_layers(img, v));
	for (__u32 bit = 1; bit && file; bit <<= 1)
		if (v->access & bit)
			json_object_array_add(list, json_object_new_string(access_name(bit)));
	json_object_object_add(o, "refused", list);
	json_add_bool(o, "reported", v->report != 0);
	json_add_string(o, "remedy", fix[0] ? fix : NULL);
	if (v->profile)
		json_add_string(o, "profile",
				image_string(img, image_profile(img, v->profile) ?
							  image_profile(img, v->profile)->name : 0));
	return o;
}

static void explain_text(const struct warder_image *img, const struct policy_request *r,
			 const struct warder_verdict *v, const char *fix)
{
	const struct warder_rule *rule = image_rule(img, v->rule);
	const struct warder_profile *to = v->profile ? image_profile(img, v->profile) : NULL;
	char where[WARDER_PATH_MAX], list[256];

	if (v->action == WARDER_ALLOW)
		printf("allow%s\n", v->report ? ", reported" : "");
	else if (v->action == WARDER_AUDIT)
		printf("audit: allowed and reported; enforce mode would refuse with %s\n",
		       errno_name((int)v->err));
	else
		printf("deny: %s\n", errno_name((int)v->err));
	if (rule)
		printf("decided by the %s rule at %s%s%s\n", class_name(rule->class_),
		       image_rule_where(img, v->rule, where, sizeof(where)),
		       rule->id ? ", id " : "", rule->id ? image_string(img, rule->id) : "");
	else if (v->why == WARDER_WHY_BASELINE && r->peer_name)
		printf("decided by the baseline: nothing crosses the container's border unless a rule "
		       "names the peer\n");
	else if (v->why == WARDER_WHY_BASELINE)
		printf("decided by the baseline, which no policy and no mode turns off\n");
	else if (v->why == WARDER_WHY_UNREACHABLE)
		printf("unreachable: the object has no name in the container\n");
	else
		printf("decided by the class default of %s\n", class_name(r->class_));
	if (img->h.layers > 1 && v->why != WARDER_WHY_BASELINE)
		for (__u32 i = 0; i < img->h.layers; i++)
			printf("policy %s: %s, %s\n", img->h.layer[i].policy,
			       layer_word(img, v, i),
			       image_rule_where(img, v->by[i], where, sizeof(where)));
	if (v->access && (r->class_ == WARDER_CLASS_FILE || r->class_ == WARDER_CLASS_EXEC))
		printf("refused: %s\n",
		       policy_words(r->class_, v->access, ", ", list, sizeof(list)));
	if (to)
		printf("enters the profile %s\n", image_string(img, to->name));
	if (fix[0] && img->h.layers > 1)
		printf("to allow it in policy %s: %s\n", image_verdict_policy(img, v), fix);
	else if (fix[0])
		printf("to allow it: %s\n", fix);
}

static int explain_one(const struct warder_image *img, const struct policy_test *t, struct json_object *all)
{
	cleanup_free char *fix = malloc(5 * WARDER_PATH_MAX);
	const struct policy_request *r = &t->request;
	struct json_object *o = NULL;
	struct warder_verdict v;
	int err = fix ? policy_decide(img, r, &v) : -ENOMEM;

	if (err)
		return explain_error(strerror(-err));
	request_remedy(img, r, &v, fix, 5 * WARDER_PATH_MAX);
	if (all) {
		o = explain_object(img, r, &v, fix);
		json_object_array_add(all, o);
	} else {
		explain_text(img, r, &v, fix);
	}
	if (r->class_ != WARDER_CLASS_MOUNT)
		return 0;
	err = explain_override(img, t, o);
	return err ? explain_error(strerror(-err)) : 0;
}

static void tell_recorded(const struct policy_event *e)
{
	char text[3 * WARDER_PATH_MAX];

	printf("%s%s%s\n", request_text(&e->request, text, sizeof(text)), e->program ? ", by " : "",
	       e->program ? e->program : "");
	if (e->learn)
		printf("recorded before it was decided\n");
	else
		printf("recorded: %s%s%s, %s%s%s\n", action_name(e->action),
		       e->err ? " with " : "", e->err ? errno_name(e->err) : "",
		       e->why ? e->why : "?", e->where ? " at " : "", e->where ? e->where : "");
}

/* Only the kernel checks signatures: what it found is all there is to say. */
static void explain_signature(const char *reason, size_t line, struct json_object *all)
{
	struct json_object *o = all ? json_object_new_object() : NULL;

	if (!o) {
		printf("line %zu: %s\n", line, reason);
		return;
	}
	json_add_number(o, "line", (int64_t)line);
	json_add_string(o, "explanation", reason);
	json_object_array_add(all, o);
}

/* Each event of a file, under this policy. */
static int explain_events(const struct warder_image *img, const char *path,
			  struct json_object *all)
{
	cleanup_fclose FILE *opened = NULL;
	FILE *f = stdin;
	cleanup_free char *line = NULL;
	size_t cap = 0, number = 0, known = 0;
	ssize_t len;
	int status = 0;

	if (strcmp(path, "-"))
		f = opened = fopen(path, "re");
	if (!f)
		return explain_error(strerror(errno));
	while (!status && (len = getline(&line, &cap, f)) > 0) {
		struct policy_test t = { .userns = WARDER_BY_USERNS_CONTAINER };
		struct warder_error e = { "" };
		struct policy_event ev;
		const char *reason;
		int n = policy_event_parse(line, (size_t)len, &ev, &reason, &e);

		number++;
		if (n < 0) {
			fprintf(stderr, "%s:%zu:1: error: %s\n", path, number, e.text);
			return EXIT_WARDER;
		}
		if (!n && !strncmp(reason, POLICY_EVENT_SIGNED, strlen(POLICY_EVENT_SIGNED))) {
			explain_signature(reason, number, all);
			known++;
			continue;
		}
		if (!n) {
			fprintf(stderr, "%s:%zu:1: left out: %s\n", path, number, reason);
			continue;
		}
		if (ev.profile && image_find_profile(img, ev.profile) > 0)
			ev.request.profile = (__u32)image_find_profile(img, ev.profile);
		if (!all) {
			if (known)
				putchar('\n');
			tell_recorded(&ev);
		}
		known++;
		t.request = ev.request;
		status = explain_one(img, &t, all);
		policy_event_done(&ev);
	}
	if (!status && !known)
		return explain_error("no event of a request was found");
	return status;
}

static int parse_uid(const char *text, __u32 *ret)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || *end || text[0] < '0' || text[0] > '9' || n > 0xfffffffe)
		return -EINVAL;
	*ret = (__u32)n;
	return 0;
}

int cmd_policy_explain(int argc, char **argv)
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' },
						 { "profile", required_argument, NULL, 'p' },
						 { "event", required_argument, NULL, 'e' },
						 { "policy", required_argument, NULL, 'm' },
						 { "uid", required_argument, NULL, 'u' },
						 { "userns", required_argument, NULL, 'n' },
						 { "help", no_argument, NULL, 'h' },
						 { NULL, 0, NULL, 0 } };
	cleanup_free struct warder_image *img = NULL;
	cleanup_free char *memory = NULL;
	struct warder_error e = { "" };
	const char *profile = NULL, *events = NULL;
	struct json_object *all = NULL;
	struct policy_more more = { .count = 0 };
	struct policy_arena *call_memory = NULL;
	struct policy_test asked = { .op = 0 };
	__u32 uid = 0, userns = WARDER_BY_USERNS_CONTAINER;
	bool json = false;
	int c, status = 0, number;

	optind = 0;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'h')
			return fputs(usage, stdout) < 0;
		if (c == 'j')
			json = true;
		else if (c == 'p')
			profile = optarg;
		else if (c == 'e')
			events = optarg;
		else if (c == 'm' && policy_more_add(&more, optarg))
			return policy_usage_error(EXIT_USAGE, "explain: at most 4 policies");
		else if (c == 'm')
			continue;
		else if (c == 'u' && parse_uid(optarg, &uid))
			return policy_usage_error(EXIT_USAGE, "explain: --uid takes a number");
		else if (c == 'n' && test_userns_from_name(optarg, &userns))
			return policy_usage_error(EXIT_USAGE, "explain: --userns is host, container or nested");
		else if (c == 'u' || c == 'n')
			continue;
		else
			return policy_usage_error(EXIT_USAGE, "unknown option");
	}
	argc -= optind;
	argv += optind;
	if (argc < 1 || (!events && argc < 2) || (events && argc > 1))
		return policy_usage_error(EXIT_USAGE, "explain: FILE REQUEST, or FILE --event EVENTS");
	if (!events && argc == 2 && argv[1][0] == '{')
		status = policy_test_call(argv[1], &asked, &call_memory, &e);
	else
		status = -ENOENT;
	if (status == -ENOENT && !events)
		status = request_from_arguments(argc - 1, argv + 1, &asked.request, &memory, &e);
	if (status && !events)
		return explain_error(e.text[0] ? e.text : "out of memory");
	status = policy_load_path(argv[0], &img);
	if (!status)
		status = policy_more_stack(&more, &img);
	if (status) {
		policy_test_call_done(call_memory);
		return status;
	}
	number = image_find_profile(img, profile);
	if (number < 0) {
		policy_test_call_done(call_memory);
		return explain_error("the policy has no such profile");
	}
	asked.request.profile = (__u32)number;
	asked.uid = uid;
	asked.userns = userns;
	all = json ? json_object_new_array() : NULL;
	status = events	   ? explain_events(img, events, all) :
		 call_memory ? explain_call(img, &asked, all) :
			     explain_one(img, &asked, all);
	policy_test_call_done(call_memory);
	if (!all)
		return status ? status : fflush(stdout) ? EXIT_WARDER : 0;
	if (!status && !events) {
		status = policy_print_json(json_object_get(json_object_array_get_idx(all, 0)));
		json_object_put(all);
		return status;
	}
	if (!status)
		return policy_print_json(all);
	json_object_put(all);
	return status;
}
