// SPDX-License-Identifier: LGPL-2.1-or-later
/* warder policy load, unload, list, show NAME, coverage: policies that the supervisor holds. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "client.h"
#include "cmd_policy.h"
#include "cmd_run.h"
#include "container.h"

static const char usage[] =
	"usage: warder policy load FILE         load a policy; containers that have one of this name\n"
	"                                       change to it at once, and those that its `match` holds\n"
	"                                       for get it when they start\n"
	"       warder policy unload NAME       forget one that no container uses\n"
	"       warder policy list [--json]     the loaded policies\n";

static const char show_usage[] =
	"usage: warder policy show NAME [--json]  the rules of a loaded policy, and whether the kernel\n"
	"                                         holds what was loaded\n"
	"       warder policy show FILE [--json]  what a file compiles to\n";

static int fail_usage(const char *verb)
{
	fputs(strcmp(verb, "show") ? usage : show_usage, stderr);
	return EXIT_WARDER;
}

static const char *member(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) ? json_object_get_string(v) : "";
}

/* What its `match` says, "" for nothing. */
static const char *match_of(struct json_object *policy, char *buf, size_t size)
{
	struct json_object *match = NULL;

	json_object_object_get_ex(policy, "match", &match);
	return match_text(match, buf, size);
}

static int live_connect(struct warder **w, struct warder_error *e)
{
	return client_connect(w, client_is_pinned() ? WARDER_CONNECT_START : 0, e);
}

static int policy_load(const char *path)
{
	cleanup_free struct warder_image *image = NULL;
	cleanup_json struct json_object *reply = NULL;
	struct warder_error e = { "" };
	struct warder *w = NULL;
	int err, fd;

	err = cmd_compile_policy(path, &image);
	if (err) {
		log_error("policy %s is not loaded", path);
		return EXIT_WARDER;
	}
	err = live_connect(&w, &e);
	if (err)
		return cmd_fail(&e);
	fd = client_memfd(image, image->h.length);
	err = fd < 0 ? error_errno(&e, fd, "cannot hand the policy over") :
		       client_call(w, client_request("policy-load"), &fd, 1, &reply, NULL, NULL,
				   &e);
	if (fd >= 0)
		close(fd);
	warder_close(w);
	if (err)
		return cmd_fail(&e);
	printf("%s: loaded, digest %s, used by %s containers\n", member(reply, "name"),
	       member(reply, "digest"), member(reply, "users"));
	return 0;
}

static int policy_list(int json)
{
	cleanup_json struct json_object *reply = NULL;
	struct json_object *list;
	struct warder_error e = { "" };
	struct warder *w = NULL;
	char text[1024];
	int err;

	err = live_connect(&w, &e);
	if (!err)
		err = client_call(w, client_request("policy-list"), NULL, 0, &reply, NULL, NULL, &e);
	warder_close(w);
	if (err)
		return cmd_fail(&e);
	json_object_object_get_ex(reply, "policies", &list);
	if (json) {
		puts(json_object_to_json_string_ext(list, JSON_C_TO_STRING_PLAIN));
		return 0;
	}
	puts("NAME                 MODE     RULES  CONTAINERS  DIGEST            MATCH");
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		printf("%-20s %-8s %-6s %-11s %.16s%s%s\n", member(o, "name"), member(o, "mode"),
		       member(o, "rules"), member(o, "containers"), member(o, "digest"),
		       *match_of(o, text, sizeof(text)) ? "  " : "", text);
	}
	return 0;
}

/* A request about one policy. 0 and the reply, or an exit status after a message. */
static int ask_about(const char *verb, const char *name, struct json_object **reply)
{
	struct json_object *request = client_request(verb);
	struct warder_error e = { "" };
	struct warder *w = NULL;
	int err = live_connect(&w, &e);

	if (err) {
		json_object_put(request);
		return cmd_fail(&e);
	}
	control_put_string(request, "name", name);
	err = client_call(w, request, NULL, 0, reply, NULL, NULL, &e);
	warder_close(w);
	return err ? cmd_fail(&e) : 0;
}

static int policy_unload(const char *name)
{
	cleanup_json struct json_object *reply = NULL;
	int status = ask_about("policy-unload", name, &reply);

	if (!status)
		printf("%s: unloaded\n", name);
	return status;
}

static int policy_show(const char *name, int json)
{
	cleanup_json struct json_object *reply = NULL;
	struct json_object *p, *rules, *intact;
	char text[1024];
	int same, status = ask_about("policy-show", name, &reply);

	if (status)
		return status;
	same = json_object_object_get_ex(reply, "intact", &intact) &&
	       json_object_get_boolean(intact);
	if (json) {
		puts(json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PLAIN));
		return same ? 0 : 1;
	}
	json_object_object_get_ex(reply, "policy", &p);
	printf("policy %s, %s, %s rules, %s containers%s\n", member(p, "name"), member(p, "mode"),
	       member(p, "rules"), member(p, "containers"),
	       !strcmp(member(p, "selectable"), "true") ? ", selectable" : "");
	if (*match_of(p, text, sizeof(text)))
		printf("match: %s%s\n", text,
		       strcmp(member(p, "loaded"), "true") ? " (not in force: nobody has loaded it)" : "");
	printf("digest loaded:    %s\ndigest in kernel: %s (%s)\n", member(p, "digest"),
	       member(reply, "kernel_digest"), same ? "the same" : "NOT THE SAME");
	if (json_object_object_get_ex(reply, "rules", &rules)) {
		for (size_t i = 0; i < json_object_array_length(rules); i++) {
			struct json_object *o = json_object_array_get_idx(rules, i);

			printf("%4s  %-10s %-6s %10s  %s %s\n", member(o, "rule"),
			       member(o, "class"), member(o, "action"), member(o, "hits"),
			       member(o, "where"), member(o, "id"));
		}
	}
	return same ? 0 : 1;
}

int cmd_policy_live(int argc, char **argv)
{
	const char *name = NULL;
	int json = 0;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json"))
			json = 1;
		else if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return fputs(strcmp(argv[0], "show") ? usage : show_usage, stdout) < 0;
		else if (argv[i][0] == '-' || name)
			return fail_usage(argv[0]);
		else
			name = argv[i];
	}
	if (!strcmp(argv[0], "list") && !name)
		return policy_list(json);
	if (!strcmp(argv[0], "load") && name && !json)
		return policy_load(name);
	if (!strcmp(argv[0], "unload") && name && !json)
		return policy_unload(name);
	if (!strcmp(argv[0], "show") && name)
		return policy_show(name, json);
	return fail_usage(argv[0]);
}

/* ------------------------------------------------------------------- match */

static const char match_usage[] =
	"usage: warder policy match [--annotation K=V]... [--json] NAME [FILE...]\n"
	"Which policies a container of this name and with these annotations gets if it asks for none:\n"
	"the loaded ones whose `match` holds, else \"default\". With files (no supervisor and no root\n"
	"are needed then) those of them that would, if they were the loaded ones.\n";

struct match_request {
	const char *name, *annotation[POLICY_ANNOTATIONS_MAX + 1];
	size_t annotations;
	int json;
};

static int match_loaded(const struct match_request *q, struct json_object *ret)
{
	cleanup_json struct json_object *reply = NULL;
	struct json_object *request = client_request("policy-match"), *list;
	struct warder_error e = { "" };
	struct warder *w = NULL;
	int err = live_connect(&w, &e);

	control_put_string(request, "name", q->name);
	json_object_object_add(request, "annotations",
			       control_strv_to_json((char *const *)(uintptr_t)q->annotation));
	if (err) {
		json_object_put(request);
		return cmd_fail(&e);
	}
	err = client_call(w, request, NULL, 0, &reply, NULL, NULL, &e);
	warder_close(w);
	if (err)
		return cmd_fail(&e);
	if (json_object_object_get_ex(reply, "policies", &list))
		for (size_t i = 0; i < json_object_array_length(list); i++)
			json_object_array_add(ret, json_object_get(json_object_array_get_idx(list, i)));
	return 0;
}

static int match_files(const struct match_request *q, char **file, size_t count,
		       struct json_object *ret)
{
	for (size_t i = 0; i < count; i++) {
		cleanup_free struct warder_image *img = NULL;
		int status = policy_load_path(file[i], &img);

		if (status)
			return status;
		if (image_matches(img, q->name, q->annotation))
			json_object_array_add(ret, json_object_new_string(image_string(
							   img, img->h.name)));
	}
	if (json_object_array_length(ret) <= WARDER_LAYERS_MAX)
		return 0;
	log_error("%zu of the policies match container %s, and it can have %d: it would not start",
		  json_object_array_length(ret), q->name, WARDER_LAYERS_MAX);
	return EXIT_FINDINGS;
}

/* 0, or an exit status after a message. */
static int match_parse(int argc, char **argv, struct match_request *q)
{
	static const struct option options[] = { { "annotation", required_argument, NULL, 'a' },
						 { "json", no_argument, NULL, 'j' },
						 { NULL, 0, NULL, 0 } };
	struct warder_error e = { "" };
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'j')
			q->json = 1;
		else if (c == 'a' && q->annotations < POLICY_ANNOTATIONS_MAX)
			q->annotation[q->annotations++] = optarg;
		else
			return policy_usage_error(EXIT_USAGE, c == 'a' ? "match: too many annotations" :
									 "match: unknown option");
	}
	if (optind == argc)
		return policy_usage_error(EXIT_USAGE, "match: a container of which name?");
	q->name = argv[optind++];
	if (!container_check_name(q->name, &e) && !annotations_check(q->annotation, &e))
		return 0;
	return policy_usage_error(EXIT_USAGE, e.text);
}

int cmd_policy_match(int argc, char **argv)
{
	cleanup_json struct json_object *found = json_object_new_array();
	struct match_request q = { .name = NULL };
	size_t count;
	int status;

	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
		return fputs(match_usage, stdout) < 0;
	status = match_parse(argc, argv, &q);
	if (!status)
		status = optind == argc ? match_loaded(&q, found) :
					  match_files(&q, argv + optind, (size_t)(argc - optind), found);
	if (status)
		return status;
	count = json_object_array_length(found);
	if (q.json) {
		struct json_object *o = json_object_new_object();

		json_add_string(o, "by", count ? "match" : "default");
		if (!count)
			json_object_array_add(found, json_object_new_string("default"));
		json_object_object_add(o, "policies", json_object_get(found));
		return policy_print_json(o);
	}
	for (size_t i = 0; i < count; i++)
		puts(json_object_get_string(json_object_array_get_idx(found, i)));
	if (!count)
		puts("default (no policy matches)");
	return fflush(stdout) ? EXIT_WARDER : 0;
}

/* ---------------------------------------------------------------- coverage */

static const char coverage_usage[] =
	"usage: warder policy coverage [--json] [--unused] [--full] NAME\n"
	"How often each rule of a loaded policy has decided since it was loaded, counted in the\n"
	"kernel, even where events were lost; then the rules that never did.\n"
	"  --unused   only those\n"
	"  --full     status 1 if there are any\n";

static int coverage_text(struct json_object *reply, struct json_object *rules, int only_unused)
{
	size_t n = json_object_array_length(rules), unused = 0;

	for (int pass = only_unused; pass < 2; pass++) {
		for (size_t i = 0; i < n; i++) {
			struct json_object *o = json_object_array_get_idx(rules, i), *hits;
			int never = json_object_object_get_ex(o, "hits", &hits) &&
				    !json_object_get_int64(hits);

			if (pass == 1 && !never)
				continue;
			if (pass == 1 && !unused++ && !only_unused)
				puts("never:");
			printf("%12s  %-10s %-8s %s %s\n", member(o, "hits"), member(o, "class"),
			       member(o, "action"), member(o, "where"), member(o, "id"));
		}
		if (pass == 0)
			printf("%12s  by defaults\n", member(reply, "default_hits"));
	}
	if (!only_unused)
		printf("%zu of %zu rules have decided something\n", n - unused, n);
	return unused != 0;
}

int cmd_policy_coverage(int argc, char **argv)
{
	cleanup_json struct json_object *reply = NULL;
	struct json_object *rules, *hits;
	int json = 0, only_unused = 0, full = 0, status, unused = 0;
	const char *name = NULL;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return fputs(coverage_usage, stdout) < 0;
		if (!strcmp(argv[i], "--json"))
			json = 1;
		else if (!strcmp(argv[i], "--unused"))
			only_unused = 1;
		else if (!strcmp(argv[i], "--full"))
			full = 1;
		else if (argv[i][0] == '-' || name)
			return fputs(coverage_usage, stderr), EXIT_USAGE;
		else
			name = argv[i];
	}
	if (!name)
		return fputs(coverage_usage, stderr), EXIT_USAGE;
	status = ask_about("policy-show", name, &reply);
	if (status)
		return status;
	if (!json_object_object_get_ex(reply, "rules", &rules) ||
	    !json_object_object_get_ex(reply, "default_hits", &hits)) {
		log_error("the kernel does not count the rules of %s: its image leaves no room", name);
		return EXIT_WARDER;
	}
	if (json) {
		struct json_object *out = json_object_new_object();

		for (size_t i = 0; i < json_object_array_length(rules); i++)
			unused |= json_object_object_get_ex(json_object_array_get_idx(rules, i),
							    "hits", &hits) &&
				  !json_object_get_int64(hits);
		json_object_object_add(out, "rules", json_object_get(rules));
		json_object_object_get_ex(reply, "default_hits", &hits);
		json_object_object_add(out, "default_hits", json_object_get(hits));
		if (policy_print_json(out))
			return EXIT_WARDER;
	} else {
		unused = coverage_text(reply, rules, only_unused);
	}
	return full && unused ? EXIT_FINDINGS : 0;
}
