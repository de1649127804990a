// SPDX-License-Identifier: LGPL-2.1-or-later
/* warder oci: what other runtimes call, or are told to call. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "cmd_policy.h"
#include "cmd_run.h"
#include "commands.h"
#include "oci.h"
#include "override.h"

static const char usage[] =
	"usage: warder oci agent --socket PATH [--policy F|N] [--json]\n"
	"\n"
	"Answers what the seccomp filters of other runtimes' containers ask: PATH is the listenerPath\n"
	"of their configuration (OCI runtime specification), and its listenerMetadata the name of the\n"
	"policy whose override rules decide. Runs until it is stopped. No supervisor is needed.\n"
	"\n"
	"      --socket PATH     where to listen, an absolute path\n"
	"      --policy F|N      the policy of containers whose configuration names none\n"
	"      --json            events as JSON lines (docs/events.schema.json)\n"
	"  -h, --help            this text\n";

static struct warder_image *find(const char *name)
{
	struct warder_image *image = NULL;
	struct warder_error e = { "" };
	char path[4096];

	if (cmd_compile_policy(policy_find(name, path, sizeof(path)), &image))
		return NULL;
	if (override_check_binds(image, &e)) {
		log_error("%s", e.text);
		free(image);
		return NULL;
	}
	return image;
}

static void ready(void)
{
	log_info("ready");
}

static int agent(int argc, char **argv)
{
	static const struct option longs[] = { { "socket", required_argument, NULL, 's' },
					       { "policy", required_argument, NULL, 'p' },
					       { "json", no_argument, NULL, 'j' },
					       { "help", no_argument, NULL, 'h' },
					       { NULL, 0, NULL, 0 } };
	struct oci_agent_options options = { .find = find, .ready = ready };
	struct warder_error e = { "" };
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 's':
			options.socket = optarg;
			break;
		case 'p':
			options.policy = optarg;
			break;
		case 'j':
			options.json = 1;
			break;
		case 'h':
			return fputs(usage, stdout) < 0;
		default:
			return EXIT_WARDER;
		}
	}
	if (optind < argc || !options.socket) {
		fputs(usage, stderr);
		return EXIT_WARDER;
	}
	if (geteuid()) {
		log_error("the agent acts for containers: it must be root");
		return EXIT_WARDER;
	}
	return oci_agent_run(&options, &e) ? cmd_fail(&e) : 0;
}

int cmd_oci(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "agent"))
		return agent(argc - 1, argv + 1);
	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
		return fputs(usage, stdout) < 0;
	fputs(usage, stderr);
	return EXIT_WARDER;
}
