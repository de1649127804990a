// SPDX-License-Identifier: LGPL-2.1-or-later
/* warder: the command line. */
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "commands.h"
#include "log.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *what;
} commands[] = {
	{ "run", cmd_run, "run a command in a new container" },
	{ "adopt", cmd_adopt, "put what runs already under supervision" },
	{ "release", cmd_release, "let an adopted container go" },
	{ "enter", cmd_enter, "run a command in a running container" },
	{ "list", cmd_list, "the running containers" },
	{ "inspect", cmd_inspect, "everything known of a container" },
	{ "kill", cmd_kill, "signal a container, or end all of it" },
	{ "wait", cmd_wait, "wait for a container's end" },
	{ "events", cmd_events, "what was refused, overridden, started, ended" },
	{ "top-denies", cmd_top_denies, "what is refused most, and what would allow it" },
	{ "policy", cmd_policy, "check, test, compare, learn, load and show policies" },
	{ "supervise", cmd_supervise, "run a program that decides about refused calls" },
	{ "ask", cmd_ask, "answer what policies leave to a person" },
	{ "keyring", cmd_keyring, "show and change a container's keys" },
	{ "sign", cmd_sign, "sign files that policies let run only then" },
	{ "oci", cmd_oci, "answer for containers of other runtimes" },
	{ "request-key", cmd_request_key, "who answers the kernel's requests for keys" },
	{ "doctor", cmd_doctor, "can this host enforce, and does it?" },
};

static void print_help(FILE *out)
{
	fputs("usage: warder COMMAND [ARGUMENT...]\n"
	      "       warder COMMAND --help\n"
	      "       warder --version\n"
	      "\n"
	      "A container supervisor: a policy for each container, enforced by the kernel, and a\n"
	      "supervisor that may carry out what the kernel refused.\n"
	      "\n",
	      out);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-11s %s\n", commands[i].name, commands[i].what);
	fputs("\nwarder(8), warderd(8) and warder(7) tell more.\n", out);
}

int main(int argc, char **argv)
{
	static char help[] = "--help";

	log_init("warder", LOG_LEVEL_INFO);
	if (argc < 2) {
		print_help(stderr);
		return EXIT_WARDER;
	}
	if (!strcmp(argv[1], "--version")) {
		puts("warder " WARDER_RELEASE);
		return 0;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
	    (!strcmp(argv[1], "help") && argc == 2)) {
		print_help(stdout);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
		if (!strcmp(argv[1], "help") && !strcmp(argv[2], commands[i].name)) {
			char *two[] = { argv[2], help, NULL };

			return commands[i].run(2, two);
		}
	}
	log_error("there is no command \"%s\": see `warder help`", argv[1]);
	return EXIT_WARDER;
}
