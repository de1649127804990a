// SPDX-License-Identifier: LGPL-2.1-or-later
/* warder list, inspect, kill, wait. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "client.h"
#include "commands.h"

int cmd_fail(const struct warder_error *e)
{
	log_error("%s", e->text[0] ? e->text : "failed without a reason");
	return EXIT_WARDER;
}

static int fail_usage(const char *usage)
{
	fputs(usage, stderr);
	return EXIT_WARDER;
}

/* A supervisor that was killed left its pins: a new one adopts what runs. */
static int connect_running(struct warder **w, struct warder_error *e)
{
	return client_connect(w, client_is_pinned() ? WARDER_CONNECT_START : 0, e);
}

static const char *member(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) ? json_object_get_string(v) : "-";
}

static void print_command(struct json_object *o)
{
	struct json_object *argv;
	size_t used = 0;

	if (!json_object_object_get_ex(o, "command", &argv) ||
	    !json_object_is_type(argv, json_type_array))
		return;
	for (size_t i = 0; i < json_object_array_length(argv) && used < 50; i++) {
		const char *s = json_object_get_string(json_object_array_get_idx(argv, i));

		putchar(' ');
		for (; s && *s && used < 50; s++, used++)
			putchar((unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s);
	}
}

int cmd_list(int argc, char **argv)
{
	static const char usage[] = "usage: warder list [--json]\n\nThe running containers.\n";
	static const struct option longs[] = { { "json", no_argument, NULL, 'j' },
					       { "help", no_argument, NULL, 'h' },
					       { NULL, 0, NULL, 0 } };
	cleanup_free char *text = NULL;
	cleanup_json struct json_object *list = NULL;
	struct warder_error e = { "" };
	struct warder *w = NULL;
	int c, json = 0, err;

	optind = 0;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (c == 'h')
			return fputs(usage, stdout) < 0;
		if (c != 'j')
			return fail_usage(usage);
		json = 1;
	}
	if (optind < argc)
		return fail_usage(usage);
	err = connect_running(&w, &e);
	if (err == -ENOENT) {
		/* No supervisor and nothing left by one: no containers. */
		puts(json ? "[]" : "NAME             ID     PID      STATE     POLICY           COMMAND");
		return 0;
	}
	if (!err)
		err = warder_list(w, &text, e.text, sizeof(e.text));
	warder_close(w);
	if (err)
		return cmd_fail(&e);
	if (json) {
		puts(text);
		return 0;
	}
	list = json_tokener_parse(text);
	puts("NAME             ID     PID      STATE     POLICY           COMMAND");
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		printf("%-16s %-6s %-8s %-9s %-16s", member(o, "name"), member(o, "id"),
		       member(o, "pid"), member(o, "state"), member(o, "policy"));
		print_command(o);
		putchar('\n');
	}
	return 0;
}

int cmd_inspect(int argc, char **argv)
{
	static const char usage[] = "usage: warder inspect NAME\n\n"
				    "Everything known of a running container, as JSON.\n";
	cleanup_free char *text = NULL;
	cleanup_json struct json_object *o = NULL;
	struct warder_error e = { "" };
	struct warder *w = NULL;
	int err;

	if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
		return fputs(usage, stdout) < 0;
	if (argc == 3 && !strcmp(argv[1], "--json"))
		argv++, argc--;
	if (argc != 2 || argv[1][0] == '-')
		return fail_usage(usage);
	err = connect_running(&w, &e);
	if (!err)
		err = warder_inspect(w, argv[1], &text, e.text, sizeof(e.text));
	warder_close(w);
	if (err)
		return cmd_fail(&e);
	o = json_tokener_parse(text);
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
						       JSON_C_TO_STRING_NOSLASHESCAPE));
	return 0;
}

static int signal_from_name(const char *name)
{
	char *end;
	long n = strtol(name, &end, 10);

	if (!*end && end != name)
		return n >= 1 && n <= 64 ? (int)n : -1;
	if (!strncasecmp(name, "SIG", 3))
		name += 3;
	for (int i = 1; i < 32; i++) {
		const char *abbrev = sigabbrev_np(i);

		if (abbrev && !strcasecmp(abbrev, name))
			return i;
	}
	return -1;
}

int cmd_kill(int argc, char **argv)
{
	static const char usage[] =
		"usage: warder kill [--signal S] [--all] NAME\n\n"
		"Sends a signal to the container's first process. Process 1 of a pid namespace ignores\n"
		"what it has no handler for, but KILL and STOP.\n\n"
		"  -s, --signal S   name or number (default: TERM)\n"
		"      --all        SIGKILL to every process of the container\n";
	static const struct option longs[] = { { "signal", required_argument, NULL, 's' },
					       { "all", no_argument, NULL, 'a' },
					       { "help", no_argument, NULL, 'h' },
					       { NULL, 0, NULL, 0 } };
	struct warder_error e = { "" };
	struct warder *w = NULL;
	int c, sig = SIGTERM, all = 0, err;

	optind = 0;
	while ((c = getopt_long(argc, argv, "s:h", longs, NULL)) != -1) {
		switch (c) {
		case 's':
			sig = signal_from_name(optarg);
			if (sig < 0) {
				log_error("\"%s\" is no signal: use a name like TERM or a number",
					  optarg);
				return EXIT_WARDER;
			}
			break;
		case 'a':
			all = 1;
			break;
		case 'h':
			return fputs(usage, stdout) < 0;
		default:
			return fail_usage(usage);
		}
	}
	if (optind != argc - 1)
		return fail_usage(usage);
	err = connect_running(&w, &e);
	if (!err)
		err = warder_kill(w, argv[optind], sig, all, e.text, sizeof(e.text));
	warder_close(w);
	return err ? cmd_fail(&e) : 0;
}

int cmd_wait(int argc, char **argv)
{
	static const char usage[] =
		"usage: warder wait NAME\n\n"
		"Waits until the container has ended, prints its exit status and ends with it.\n"
		"Works also for the last 64 containers that ended.\n";
	struct warder_error e = { "" };
	struct warder *w = NULL;
	int err, status = 0;

	if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
		return fputs(usage, stdout) < 0;
	if (argc != 2 || argv[1][0] == '-')
		return fail_usage(usage);
	err = connect_running(&w, &e);
	if (!err)
		err = warder_wait(w, argv[1], 0, &status, e.text, sizeof(e.text));
	warder_close(w);
	if (err)
		return cmd_fail(&e);
	printf("%d\n", status);
	return status;
}
