// SPDX-License-Identifier: LGPL-2.1-or-later
/* warder events. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "client.h"
#include "commands.h"
#include "events.h"

static const char usage[] =
	"usage: warder events [--follow] [--json] [--container NAME]\n"
	"\n"
	"What was refused, overridden, started and ended: the past that the supervisor remembers\n"
	"(the last 4096 events), then, with --follow, what happens.\n"
	"\n"
	"  -f, --follow          go on until interrupted\n"
	"      --json            one JSON object per line (docs/events.schema.json)\n"
	"  -c, --container NAME  only of this container\n"
	"  -h, --help            this text\n";

static int print_event(const char *json, void *arg)
{
	const int *as_json = arg;
	char line[4 * WARDER_PATH_MAX];
	cleanup_json struct json_object *o = NULL;

	if (*as_json) {
		puts(json);
	} else {
		o = json_tokener_parse(json);
		puts(event_render(o, line, sizeof(line)));
	}
	return fflush(stdout) ? 1 : 0;
}

int cmd_events(int argc, char **argv)
{
	static const struct option longs[] = { { "follow", no_argument, NULL, 'f' },
					       { "json", no_argument, NULL, 'j' },
					       { "container", required_argument, NULL, 'c' },
					       { "help", no_argument, NULL, 'h' },
					       { NULL, 0, NULL, 0 } };
	const char *container = NULL;
	struct warder_error e = { "" };
	struct warder *w = NULL;
	int c, json = 0, follow = 0, err;

	optind = 0;
	while ((c = getopt_long(argc, argv, "fc:h", longs, NULL)) != -1) {
		switch (c) {
		case 'f':
			follow = 1;
			break;
		case 'j':
			json = 1;
			break;
		case 'c':
			container = optarg;
			break;
		case 'h':
			return fputs(usage, stdout) < 0;
		default:
			return EXIT_WARDER;
		}
	}
	if (optind < argc) {
		fputs(usage, stderr);
		return EXIT_WARDER;
	}
	err = client_connect(&w, client_is_pinned() ? WARDER_CONNECT_START : 0, &e);
	if (!err)
		err = warder_events(w, container, follow, print_event, &json, e.text,
				    sizeof(e.text));
	warder_close(w);
	return err < 0 ? cmd_fail(&e) : 0;
}
