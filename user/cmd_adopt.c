// SPDX-License-Identifier: LGPL-2.1-or-later
/* warder adopt, release. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adopt.h"
#include "cgroup.h"
#include "cleanup.h"
#include "client.h"
#include "cmd_run.h"
#include "commands.h"
#include "policy.h"

static const char adopt_usage[] =
	"usage: warder adopt --name N [--policy F|N|none] [--annotation K=V] (--pid PID | --cgroup PATH)\n"
	"                    [--json]\n"
	"\n"
	"Puts what runs already, and was started by others, under supervision: all of its tasks, "
	"or\n"
	"none. Nothing in it is stopped or changed; what is open stays open.\n"
	"\n"
	"      --name N        its name\n"
	"      --policy F|N|none  as for `warder run`; may be repeated\n"
	"      --annotation K=V  the same\n"
	"      --pid PID       this process and its descendants; if it is the first of a pid "
	"namespace,\n"
	"                      everything in that\n"
	"      --cgroup PATH   everything in this cgroup and below it; a folder, or a path below "
	"the\n"
	"                      cgroup2 mount point\n"
	"      --json          the answer as JSON\n"
	"  -h, --help          this text\n"
	"\n"
	"Exit status: 0, or 125 and nothing was changed.\n";

static int adopt_usage_error(const char *text)
{
	log_error("%s: see `warder adopt --help`", text);
	return 1 + EXIT_WARDER;
}

int adopt_parse(int argc, char **argv, struct adopt_request *q)
{
	enum { OPT_NAME = 256, OPT_POLICY, OPT_PID, OPT_CGROUP, OPT_JSON, OPT_ANNOTATION };
	static const struct option longs[] = { { "name", required_argument, NULL, OPT_NAME },
					       { "policy", required_argument, NULL, OPT_POLICY },
					       { "annotation", required_argument, NULL, OPT_ANNOTATION },
					       { "pid", required_argument, NULL, OPT_PID },
					       { "cgroup", required_argument, NULL, OPT_CGROUP },
					       { "json", no_argument, NULL, OPT_JSON },
					       { "help", no_argument, NULL, 'h' },
					       { NULL, 0, NULL, 0 } };
	static const char *annotation[POLICY_ANNOTATIONS_MAX + 1];
	size_t annotations = 0;
	char *end;
	long n;
	int c;

	memset(q, 0, sizeof(*q));
	optind = 0;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case OPT_NAME:
			q->name = optarg;
			break;
		case OPT_POLICY:
			if (q->policies == WARDER_LAYERS_MAX)
				return adopt_usage_error("a container has at most 4 policies");
			q->policy[q->policies++] = optarg;
			break;
		case OPT_ANNOTATION:
			if (annotations == POLICY_ANNOTATIONS_MAX)
				return adopt_usage_error("there are too many annotations");
			annotation[annotations++] = optarg;
			break;
		case OPT_PID:
			errno = 0;
			n = strtol(optarg, &end, 10);
			if (errno || *end || end == optarg || n < 1 || n > INT_MAX)
				return adopt_usage_error("--pid takes the number of a process");
			q->pid = (pid_t)n;
			break;
		case OPT_CGROUP:
			if (!*optarg)
				return adopt_usage_error("--cgroup takes a path");
			q->cgroup = optarg;
			break;
		case OPT_JSON:
			q->json = 1;
			break;
		case 'h':
			fputs(adopt_usage, stdout);
			return 1;
		default:
			return adopt_usage_error("the options are not understood");
		}
	}
	annotation[annotations] = NULL;
	q->annotations = annotations ? annotation : NULL;
	if (optind < argc)
		return adopt_usage_error("nothing but options is expected");
	if (!q->name)
		return adopt_usage_error("--name must be given");
	if (!q->pid == !q->cgroup)
		return adopt_usage_error("either --pid or --cgroup must be given");
	return 0;
}

/* A folder of the cgroup2 file system by its own path, or by that below the mount point. */
static int cgroup_find(const char *path, struct warder_error *e)
{
	char below[2 * PATH_MAX];
	const char *mount;
	int fd, err;

	err = cgroup_root(&mount, e);
	if (err)
		return err;
	snprintf(below, sizeof(below), "%s%s%s", mount, path[0] == '/' ? "" : "/", path);
	if (!strncmp(path, mount, strlen(mount)) &&
	    (path[strlen(mount)] == '/' || !path[strlen(mount)]))
		snprintf(below, sizeof(below), "%s", path);
	fd = open(below, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? error_errno(e, -errno, "there is no cgroup %s", below) : fd;
}

static const char *text_of(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) ? json_object_get_string(v) : NULL;
}

/* A name can hold terminal sequences. */
static void print_name(const char *s)
{
	for (; s && *s; s++)
		putchar((unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s);
}

/* "read, write" */
static void print_words(struct json_object *list, const char *between)
{
	for (size_t i = 0; i < json_object_array_length(list); i++)
		printf("%s%s", i ? between : "",
		       json_object_get_string(json_object_array_get_idx(list, i)));
}

static void print_refused(struct json_object *o)
{
	uint64_t count = 0, unread = 0;
	struct json_object *list, *access;

	control_get_u64(o, "refused_count", UINT64_MAX, &count, NULL);
	control_get_u64(o, "processes_unread", UINT64_MAX, &unread, NULL);
	if (json_object_object_get_ex(o, "refused", &list) && count) {
		printf("%llu open files stay open, although the policy would now refuse to open "
		       "them:\n",
		       (unsigned long long)count);
		for (size_t i = 0; i < json_object_array_length(list); i++) {
			struct json_object *f = json_object_array_get_idx(list, i);
			int nameless = 0;

			printf("  process %s, descriptor %s: ", text_of(f, "pid"),
			       text_of(f, "fd"));
			if (json_object_object_get_ex(f, "access", &access))
				print_words(access, ", ");
			putchar(' ');
			print_name(text_of(f, "path"));
			control_get_bool(f, "unreachable", &nameless, NULL);
			puts(nameless ? " (has no name in the container)" : "");
		}
		if (count > json_object_array_length(list))
			printf("  ... and %llu more\n",
			       (unsigned long long)(count - json_object_array_length(list)));
	}
	if (unread)
		printf("The files of %llu more processes were not looked at.\n",
		       (unsigned long long)unread);
}

static int adopt_print(const char *text)
{
	cleanup_json struct json_object *o = json_tokener_parse(text);
	struct json_object *before;
	char said[1024];

	if (!o)
		return EXIT_WARDER;
	printf("%s: %s tasks in %s processes are tagged; the first process is %s\n",
	       text_of(o, "name"), text_of(o, "tasks"), text_of(o, "processes"), text_of(o, "pid"));
	print_refused(o);
	if (json_object_object_get_ex(o, "before", &before) &&
	    adopt_before_text(before, said, sizeof(said)))
		printf("%s.\n", said);
	return fflush(stdout) ? EXIT_WARDER : 0;
}

int cmd_adopt(int argc, char **argv)
{
	struct cmd_policies policies;
	struct warder_adopt_options options = { .struct_size = sizeof(options), .cgroup = -1 };
	cleanup_close int cgroup = -1;
	cleanup_free char *text = NULL;
	struct warder_error e = { "" };
	struct adopt_request q;
	struct warder *w = NULL;
	int status, err;

	status = adopt_parse(argc, argv, &q);
	if (status)
		return status - 1;
	if (q.cgroup) {
		cgroup = cgroup_find(q.cgroup, &e);
		if (cgroup < 0)
			return cmd_fail(&e);
	}
	if (client_connect(&w, WARDER_CONNECT_START, &e))
		return cmd_fail(&e);
	if (cmd_find_policies(w, q.policy, q.policies, &policies)) {
		warder_close(w);
		return EXIT_WARDER;
	}
	options.name = q.name;
	options.policies = policies.ref;
	options.policy_count = policies.count;
	options.annotations = q.annotations;
	options.unasked = !q.policies;
	options.pid = q.pid;
	options.cgroup = cgroup;
	err = warder_adopt(w, &options, &text, e.text, sizeof(e.text));
	cmd_policies_done(&policies);
	warder_close(w);
	if (err)
		return cmd_fail(&e);
	if (!q.json)
		return adopt_print(text);
	puts(text);
	return fflush(stdout) ? EXIT_WARDER : 0;
}

int cmd_release(int argc, char **argv)
{
	static const char usage[] = "usage: warder release NAME\n\n"
				    "Lets an adopted container go: its processes run on, and "
				    "nothing they do is judged any\n"
				    "more.\n";
	struct warder_error e = { "" };
	struct warder *w = NULL;
	int err;

	if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
		return fputs(usage, stdout) < 0;
	if (argc != 2 || argv[1][0] == '-') {
		fputs(usage, stderr);
		return EXIT_WARDER;
	}
	err = client_connect(&w, client_is_pinned() ? WARDER_CONNECT_START : 0, &e);
	if (!err)
		err = warder_release(w, argv[1], e.text, sizeof(e.text));
	warder_close(w);
	return err ? cmd_fail(&e) : 0;
}
