// SPDX-License-Identifier: LGPL-2.1-or-later
/* warder ask: calls that a policy leaves to a person (do: ask). */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "client.h"
#include "commands.h"

static const char usage[] =
	"usage: warder ask [--list] [--json]\n"
	"       warder ask (--allow | --deny) N [--remember]\n"
	"\n"
	"Lists the calls that wait for a person's answer, or answers one. Who is not answered within the\n"
	"rule's deadline gets its fallback.\n"
	"\n"
	"  -l, --list       the calls that wait, with their numbers (the default)\n"
	"      --json       as JSON\n"
	"  -a, --allow N    the supervisor performs call N\n"
	"  -d, --deny N     it keeps its errno\n"
	"  -r, --remember   the same answer for the same call of that container, until the supervisor ends\n"
	"  -h, --help       this text\n";

static void print_ask(struct json_object *o)
{
	const char *container = "?", *call = NULL, *path = NULL, *operation = "?", *rule = "";
	uint64_t seq = 0, left = 0, uid = 0;
	struct json_object *v, *where;

	control_get_u64(o, "seq", UINT64_MAX, &seq, NULL);
	control_get_u64(o, "deadline_ms", UINT64_MAX, &left, NULL);
	control_get_string(o, "container", &container, NULL);
	control_get_string(o, "operation", &operation, NULL);
	control_get_string(o, "call", &call, NULL);
	control_get_string(o, "path", &path, NULL);
	control_get_u64(o, "uid", UINT32_MAX, &uid, NULL);
	if (json_object_object_get_ex(o, "rule", &v) && json_object_is_type(v, json_type_object) &&
	    json_object_object_get_ex(v, "where", &where))
		rule = json_object_get_string(where);
	printf("%llu %s: %s%s%s by uid %llu, rule %s, %llu s left\n", (unsigned long long)seq, container,
	       call ? call : operation, path ? " on " : "", path ? path : "", (unsigned long long)uid, rule,
	       (unsigned long long)(left / 1000));
}

static int list(struct warder *w, int as_json, struct warder_error *reterr)
{
	cleanup_json struct json_object *reply = NULL;
	struct json_object *asks;
	int err = client_call(w, client_request("ask-list"), NULL, 0, &reply, NULL, NULL, reterr);

	if (err || !json_object_object_get_ex(reply, "asks", &asks))
		return err;
	if (as_json)
		puts(json_object_to_json_string_ext(asks, JSON_C_TO_STRING_PLAIN));
	for (size_t i = 0; !as_json && i < json_object_array_length(asks); i++)
		print_ask(json_object_array_get_idx(asks, i));
	return 0;
}

static int answer(struct warder *w, const char *number, int allow, int keep,
		  struct warder_error *reterr)
{
	struct json_object *request;
	char *end;
	uint64_t seq = strtoull(number, &end, 10);

	if (*end || end == number || *number == '-')
		return error_set(reterr, -EINVAL, "expected the number of a call (warder ask --list), found %s",
				 number);
	request = client_request("ask-answer");
	control_put_u64(request, "seq", seq);
	control_put_bool(request, "allow", allow);
	control_put_bool(request, "remember", keep);
	return client_call(w, request, NULL, 0, NULL, NULL, NULL, reterr);
}

int cmd_ask(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "list", no_argument, NULL, 'l' },	  { "json", no_argument, NULL, 'j' },
		{ "allow", required_argument, NULL, 'a' }, { "deny", required_argument, NULL, 'd' },
		{ "remember", no_argument, NULL, 'r' },	  { "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	struct warder_error e = { "" };
	const char *number = NULL;
	struct warder *w = NULL;
	int c, err, json = 0, allow = 0, keep = 0, bad = 0;

	optind = 0;
	while ((c = getopt_long(argc, argv, "la:d:rh", longs, NULL)) != -1) {
		switch (c) {
		case 'l':
			break;
		case 'j':
			json = 1;
			break;
		case 'a':
		case 'd':
			bad |= number != NULL;
			number = optarg;
			allow = c == 'a';
			break;
		case 'r':
			keep = 1;
			break;
		case 'h':
			return fputs(usage, stdout) < 0;
		default:
			return EXIT_WARDER;
		}
	}
	if (bad || optind < argc || (keep && !number)) {
		fputs(usage, stderr);
		return EXIT_WARDER;
	}
	err = client_connect(&w, client_is_pinned() ? WARDER_CONNECT_START : 0, &e);
	if (!err)
		err = number ? answer(w, number, allow, keep, &e) : list(w, json, &e);
	warder_close(w);
	return err ? cmd_fail(&e) : 0;
}
