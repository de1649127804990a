// SPDX-License-Identifier: LGPL-2.1-or-later
/* warder keyring show|add|unlink. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "client.h"
#include "commands.h"

#define PAYLOAD_MAX 32768

static const char usage[] =
	"usage: warder keyring show [--json] NAME              its keys (never their payloads)\n"
	"       warder keyring add NAME TYPE DESC [PAYLOAD]    add a key, or change its payload;\n"
	"                                                      without PAYLOAD: standard input\n"
	"       warder keyring unlink NAME TYPE DESC           take a key away\n"
	"\n"
	"NAME is a running container; its processes find the keys after those of their own thread,\n"
	"process and session keyrings. A payload on the command line is seen by `ps`.\n";

static int fail_usage(void)
{
	fputs(usage, stderr);
	return EXIT_WARDER;
}

static const char *member(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) ? json_object_get_string(v) : "";
}

static int call(struct json_object *request, int fd, struct json_object **reply)
{
	struct warder_error e = { "" };
	struct warder *w = NULL;
	int err;

	err = client_connect(&w, client_is_pinned() ? WARDER_CONNECT_START : 0, &e);
	if (err) {
		json_object_put(request);
		return cmd_fail(&e);
	}
	err = client_call(w, request, &fd, fd >= 0, reply, NULL, NULL, &e);
	warder_close(w);
	return err ? cmd_fail(&e) : 0;
}

static int keyring_show(const char *name, int json)
{
	cleanup_json struct json_object *reply = NULL;
	struct json_object *request = client_request("keyring-show"), *keys;
	int err;

	control_put_string(request, "name", name);
	err = call(request, -1, &reply);
	if (err)
		return err;
	if (json) {
		puts(json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PLAIN));
		return 0;
	}
	printf("session ring %s, container ring %s\n", member(reply, "session"),
	       member(reply, "container"));
	puts("SERIAL      RING  TYPE        UID     DESCRIPTION");
	if (!json_object_object_get_ex(reply, "keys", &keys))
		return 0;
	for (size_t i = 0; i < json_object_array_length(keys); i++) {
		struct json_object *k = json_object_array_get_idx(keys, i);

		printf("%-11s %-5s %-11s %-7s %s\n", member(k, "serial"), member(k, "ring"),
		       member(k, "type"), member(k, "uid"), member(k, "description"));
	}
	return 0;
}

static int keyring_add(char **argv, const char *payload)
{
	char buf[PAYLOAD_MAX + 1];
	cleanup_json struct json_object *reply = NULL;
	struct json_object *request;
	cleanup_close int fd = -1;
	size_t len = 0;
	int err;

	if (payload) {
		len = strlen(payload);
		if (len <= PAYLOAD_MAX)
			memcpy(buf, payload, len);
	} else {
		while (len < sizeof(buf)) {
			ssize_t n = read(STDIN_FILENO, buf + len, sizeof(buf) - len);

			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0)
				break;
			len += (size_t)n;
		}
	}
	if (!len || len > PAYLOAD_MAX) {
		log_error("a payload has 1 to %d bytes", PAYLOAD_MAX);
		return EXIT_WARDER;
	}
	fd = client_memfd(buf, len);
	explicit_bzero(buf, sizeof(buf));
	if (fd < 0) {
		log_error("the payload cannot be handed over: %s", strerror(-fd));
		return EXIT_WARDER;
	}
	request = client_request("keyring-add");
	control_put_string(request, "name", argv[0]);
	control_put_string(request, "type", argv[1]);
	control_put_string(request, "description", argv[2]);
	err = call(request, fd, &reply);
	if (!err)
		puts(member(reply, "serial"));
	return err;
}

int cmd_keyring(int argc, char **argv)
{
	struct json_object *request;

	if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
		return fputs(usage, stdout) < 0;
	if (argc == 3 && !strcmp(argv[1], "show"))
		return keyring_show(argv[2], 0);
	if (argc == 4 && !strcmp(argv[1], "show") && !strcmp(argv[2], "--json"))
		return keyring_show(argv[3], 1);
	if ((argc == 5 || argc == 6) && !strcmp(argv[1], "add"))
		return keyring_add(argv + 2, argc == 6 ? argv[5] : NULL);
	if (argc == 5 && !strcmp(argv[1], "unlink")) {
		request = client_request("keyring-unlink");
		control_put_string(request, "name", argv[2]);
		control_put_string(request, "type", argv[3]);
		control_put_string(request, "description", argv[4]);
		return call(request, -1, NULL);
	}
	return fail_usage();
}
