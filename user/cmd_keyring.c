// SPDX-License-Identifier: LGPL-2.1-or-later
/* warder keyring show|add|rotate|link|unlink|revoke; watch and attach have files of their own. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "client.h"
#include "commands.h"
#include "warder_abi.h"

#define PAYLOAD_MAX 32768

static const char usage[] =
	"usage: warder keyring show [--json] NAME               its keys (never their payloads)\n"
	"       warder keyring add [OPTION]... NAME TYPE DESC [PAYLOAD]\n"
	"                                                       add a key, or change its payload\n"
	"       warder keyring rotate NAME TYPE DESC [PAYLOAD]  change it, if it is there\n"
	"       warder keyring link [--may LIST] NAME SERIAL    let it use a key of the host\n"
	"       warder keyring unlink NAME TYPE DESC            take a key out of its keyring\n"
	"       warder keyring revoke NAME TYPE DESC            end a key wherever it is linked\n"
	"       warder keyring watch [OPTION]... [NAME]         answer its requests for keys: --help\n"
	"       warder keyring attach [-- COMMAND...]           in the container, after `keyctl session`\n"
	"\n"
	"  --may LIST     what the container may do with it: search (so that the kernel can use it\n"
	"                 for the container), view, read, link, write; of a key that is added by\n"
	"                 default search,view,read,link, of one that is linked search,view,read\n"
	"  --expire TIME  seconds, or with a unit: 30m, 12h, 7d\n"
	"\n"
	"NAME is a running container, or shared:RING for a ring that policies share; its processes find the keys after those of their own thread,\n"
	"process and session keyrings. Without PAYLOAD it is read from standard input; on the command\n"
	"line it is seen by `ps`.\n";

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
	if (json_object_object_get_ex(reply, "containers", &keys))
		printf("shared ring %s of %s\n", member(reply, "shared"),
		       json_object_to_json_string_ext(keys, JSON_C_TO_STRING_PLAIN));
	else
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

/* What `add` and `link` may say beside the key. */
struct options {
	uint32_t may; /* 0: not given */
	uint32_t seconds;
};

static int parse_may(const char *text, uint32_t *ret)
{
	static const struct {
		const char *word;
		uint32_t bits;
	} words[] = {
		{ "search", WARDER_KEY_MAY_SEARCH },
		{ "view", WARDER_KEY_MAY_VIEW },
		{ "read", WARDER_KEY_MAY_READ },
		/* Who may link a key in a ring of its own may take that link away. */
		{ "link", WARDER_KEY_MAY_LINK | WARDER_KEY_MAY_UNLINK },
		{ "write", WARDER_KEY_MAY_WRITE },
	};

	*ret = 0;
	while (*text) {
		size_t len = strcspn(text, ","), i = 0;

		while (i < ARRAY_SIZE(words) &&
		       (strlen(words[i].word) != len || memcmp(words[i].word, text, len)))
			i++;
		if (i == ARRAY_SIZE(words)) {
			log_error("--may: %.*s: known are search, view, read, link and write",
				  (int)(len < 32 ? len : 32), text);
			return -EINVAL;
		}
		*ret |= words[i].bits;
		text += len + (text[len] == ',');
	}
	if (*ret & WARDER_KEY_MAY_SEARCH)
		return 0;
	log_error("--may: without search the container cannot find the key");
	return -EINVAL;
}

static int parse_expire(const char *text, uint32_t *ret)
{
	static const char units[] = "smhd";
	static const uint32_t seconds[] = { 1, 60, 3600, 86400 };
	const char *unit;
	unsigned long v;
	char *end;

	errno = 0;
	v = strtoul(text, &end, 10);
	unit = *end ? strchr(units, *end) : units;
	if (errno || *text < '0' || *text > '9' || !v || !unit || (*end && end[1]) ||
	    v > UINT32_MAX / seconds[unit - units]) {
		log_error("--expire: expected a time like 90, 30m, 12h or 7d, found %.32s", text);
		return -EINVAL;
	}
	*ret = (uint32_t)v * seconds[unit - units];
	return 0;
}

/* Takes options off the front of argv; how many words they were, -EINVAL after a sentence. */
static int parse_options(int argc, char **argv, struct options *ret)
{
	int n = 0;

	while (n + 1 < argc && argv[n][0] == '-') {
		int err;

		if (!strcmp(argv[n], "--may"))
			err = parse_may(argv[n + 1], &ret->may);
		else if (!strcmp(argv[n], "--expire"))
			err = parse_expire(argv[n + 1], &ret->seconds);
		else
			break;
		if (err)
			return err;
		n += 2;
	}
	return n;
}

/* A memfd with the payload, -1 after a sentence. */
static int payload_fd(const char *payload)
{
	char buf[PAYLOAD_MAX + 1];
	size_t len = 0;
	int fd;

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
		return -1;
	}
	fd = client_memfd(buf, len);
	explicit_bzero(buf, sizeof(buf));
	if (fd < 0) {
		log_error("the payload cannot be handed over: %s", strerror(-fd));
		return -1;
	}
	return fd;
}

static struct json_object *key_request(const char *verb, char **name)
{
	struct json_object *request = client_request(verb);

	control_put_string(request, "name", name[0]);
	control_put_string(request, "type", name[1]);
	control_put_string(request, "description", name[2]);
	return request;
}

static int keyring_put(const char *verb, char **argv, const char *payload, const struct options *o)
{
	cleanup_json struct json_object *reply = NULL;
	cleanup_close int fd = payload_fd(payload);
	struct json_object *request;
	int err;

	if (fd < 0)
		return EXIT_WARDER;
	request = key_request(verb, argv);
	if (o->may)
		control_put_int(request, "may", o->may);
	if (o->seconds)
		control_put_int(request, "seconds", o->seconds);
	err = call(request, fd, &reply);
	if (!err)
		puts(member(reply, "serial"));
	return err;
}

static int keyring_link(char **argv, const struct options *o)
{
	struct json_object *request;
	char *end;
	long serial;

	errno = 0;
	serial = strtol(argv[1], &end, 0);
	if (errno || *end || !*argv[1] || serial < 1 || serial > INT32_MAX) {
		log_error("\"%.32s\" is no serial number of a key: see `keyctl show`", argv[1]);
		return EXIT_WARDER;
	}
	request = client_request("keyring-link");
	control_put_string(request, "name", argv[0]);
	control_put_int(request, "serial", serial);
	if (o->may)
		control_put_int(request, "may", o->may);
	return call(request, -1, NULL);
}

int cmd_keyring(int argc, char **argv)
{
	struct options o = { .may = 0 };
	const char *verb;
	int n;

	if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
		return fputs(usage, stdout) < 0;
	if (argc > 1 && !strcmp(argv[1], "watch"))
		return cmd_keyring_watch(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "attach"))
		return cmd_keyring_attach(argc - 1, argv + 1);
	if (argc < 3)
		return fail_usage();
	verb = argv[1];
	if (argc == 3 && !strcmp(verb, "show"))
		return keyring_show(argv[2], 0);
	if (argc == 4 && !strcmp(verb, "show") && !strcmp(argv[2], "--json"))
		return keyring_show(argv[3], 1);
	n = parse_options(argc - 2, argv + 2, &o);
	if (n < 0)
		return EXIT_WARDER;
	argc -= 2 + n;
	argv += 2 + n;
	if ((argc == 3 || argc == 4) && !strcmp(verb, "add"))
		return keyring_put("keyring-add", argv, argc == 4 ? argv[3] : NULL, &o);
	if (argc == 2 && !strcmp(verb, "link") && !o.seconds)
		return keyring_link(argv, &o);
	if (n)
		return fail_usage();
	if ((argc == 3 || argc == 4) && !strcmp(verb, "rotate"))
		return keyring_put("keyring-rotate", argv, argc == 4 ? argv[3] : NULL, &o);
	if (argc == 3 && !strcmp(verb, "unlink"))
		return call(key_request("keyring-unlink", argv), -1, NULL);
	if (argc == 3 && !strcmp(verb, "revoke"))
		return call(key_request("keyring-revoke", argv), -1, NULL);
	return fail_usage();
}
