// SPDX-License-Identifier: LGPL-2.1-or-later
/* warder oci: what other runtimes call, or are told to call. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "client.h"
#include "cmd_policy.h"
#include "cmd_run.h"
#include "commands.h"
#include "container.h"
#include "oci.h"
#include "override.h"

static const char hook_usage[] =
	"usage: warder oci hook [--name N] [--policy F|N|none] [--log FILE]\n"
	"\n"
	"For the createRuntime (or prestart) hooks of a container's OCI configuration: reads the container's\n"
	"state from stdin, and adopts the container where its first program is about to be executed, with\n"
	"the policies of which `match` holds for its name and annotations. If that fails, its processes are\n"
	"killed before they have run anything.\n"
	"\n"
	"      --name N          its name; else its id, of 64 hexadecimal digits the first 12\n"
	"      --policy F|N|none as for `warder run`; may be repeated\n"
	"      --log FILE        messages go to the end of it; else to syslog, after the runtime's call\n"
	"  -h, --help            this text\n"
	"\n"
	"Paths are absolute. A container that runs already is adopted at once: `runc state ID | warder oci hook`.\n"
	"\n"
	"Exit status: 0, or 125 and the runtime starts nothing.\n";

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

/* ------------------------------------------------------------------------- hook */

#define HOOK_TRIES 5

struct hook {
	struct oci_container_state state;
	char name[WARDER_NAME_SIZE];
	const char *policy[WARDER_LAYERS_MAX];
	size_t given;
	const char *log;
};

static int hook_try(struct hook *h, struct warder_error *e)
{
	struct warder_adopt_options options = {
		.struct_size = sizeof(options), .name = h->name, .unasked = !h->given,
		.pid = h->state.pid, .cgroup = -1,
		.annotations = (const char *const *)h->state.annotations,
	};
	struct cmd_policies policies;
	struct warder *w = NULL;
	int err = client_connect(&w, WARDER_CONNECT_START, e);

	/* Found anew each time: what was loaded with another container goes with that. */
	if (!err && cmd_find_policies(w, h->policy, h->given, &policies)) {
		err = error_set(e, -EINVAL, "its policies cannot be used");
	} else if (!err) {
		options.policies = policies.ref;
		options.policy_count = policies.count;
		err = warder_adopt(w, &options, NULL, e->text, sizeof(e->text));
		cmd_policies_done(&policies);
	}
	warder_close(w);
	return err;
}

static int hook_adopt(void *arg)
{
	const struct timespec pause_time = { .tv_nsec = 200000000 };
	struct warder_error e = { "" };
	struct hook *h = arg;
	int err = hook_try(h, &e);

	/* Tasks that end while others are looked for can make it fail, and nobody is in a hurry. */
	for (int i = 1; err && i < HOOK_TRIES; i++) {
		nanosleep(&pause_time, NULL);
		err = hook_try(h, &e);
	}
	if (!err) {
		log_info("container %s: adopted", h->name);
		return 0;
	}
	log_error("container %s is not supervised: %s", h->name, e.text);
	if (!h->log)
		syslog(LOG_ERR, "container %s is not supervised: %s", h->name, e.text);
	return err;
}

/* What would fail later fails now, while the runtime listens. */
static int hook_prepare(struct hook *h, struct warder_error *e)
{
	cleanup_json struct json_object *matches = NULL;
	struct json_object *request;
	struct cmd_policies policies;
	struct warder *w = NULL;
	int err = client_connect(&w, WARDER_CONNECT_START, e);

	if (!err && cmd_find_policies(w, h->policy, h->given, &policies)) {
		err = error_set(e, -EINVAL, "container %s gets no policy", h->name);
	} else if (!err) {
		for (size_t i = 0; !err && i < h->given; i++)
			if (policies.ref[i].name && !cmd_policy_is_loaded(w, policies.ref[i].name))
				err = error_set(e, -ENOENT, "there is no policy \"%.80s\"",
						policies.ref[i].name);
		cmd_policies_done(&policies);
	}
	if (!err && !h->given) {
		request = client_request("policy-match");
		control_put_string(request, "name", h->name);
		if (h->state.annotations)
			json_object_object_add(request, "annotations",
					       control_strv_to_json(h->state.annotations));
		err = client_call(w, request, NULL, 0, &matches, NULL, NULL, e);
	}
	warder_close(w);
	return err;
}

/* From now on messages go there. */
static int hook_log_open(const struct hook *h)
{
	cleanup_close int log = open(h->log ? h->log : "/dev/null",
				     O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

	return log < 0 ? -errno : dup2(log, STDERR_FILENO);
}

/* The runtime waits until nobody has its descriptors any more. */
static void hook_holds(struct hook *h, int ready)
{
	struct warder_error e = { "" };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), err;

	setsid();
	err = null < 0 ? -errno : hook_log_open(h);
	if (err < 0)
		error_errno(&e, err, "%s cannot be opened", h->log ? h->log : "/dev/null");
	else
		err = oci_hold_begin(h->state.pid, &e);
	if (err) {
		if (write(ready, e.text, strlen(e.text)) < 0)
			log_error("%s", e.text);
		_exit(EXIT_WARDER);
	}
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	if (write(ready, "ok", 2) != 2)
		_exit(EXIT_WARDER);
	close(ready);
	close_range(STDERR_FILENO + 1, ~0U, 0);
	_exit(oci_hold_run(h->state.pid, hook_adopt, h) ? EXIT_WARDER : 0);
}

static int hook_start(struct hook *h, struct warder_error *e)
{
	cleanup_close int in = -1, out = -1;
	char text[WARDER_ERROR_SIZE];
	size_t used = 0;
	int pair[2];
	ssize_t n;
	pid_t pid;

	if (pipe2(pair, O_CLOEXEC))
		return error_errno(e, -errno, "container %s cannot be held", h->name);
	in = pair[0];
	out = pair[1];
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return error_errno(e, -errno, "container %s cannot be held", h->name);
	if (!pid)
		hook_holds(h, take_fd(&out));
	close(take_fd(&out));
	while (used < sizeof(text) - 1 && (n = read(in, text + used, sizeof(text) - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
	if (!strcmp(text, "ok"))
		return 0;
	return error_set(e, -ECHILD, "container %s: %s", h->name, used ? text : "who holds it has died");
}

static int hook_read(struct hook *h, const char *name, struct warder_error *e)
{
	static char text[OCI_MESSAGE_MAX + 1];
	size_t len = fread(text, 1, sizeof(text), stdin);
	int err;

	if (ferror(stdin))
		return error_set(e, -EIO, "the container's state cannot be read from stdin");
	if (len == sizeof(text))
		return error_set(e, -E2BIG, "the container's state is longer than %d bytes", OCI_MESSAGE_MAX);
	err = oci_container_parse(text, len, &h->state, e);
	if (err) {
		struct warder_error why = *e;

		return error_set(e, err, "stdin is no state of a container: %.900s", why.text);
	}
	if (!name)
		return oci_container_name(h->state.id, h->name, e);
	snprintf(h->name, sizeof(h->name), "%s", name);
	return container_check_name(name, e);
}

static int hook_run(struct hook *h, const char *name, struct warder_error *e)
{
	int err = hook_read(h, name, e);

	if (!err)
		err = hook_prepare(h, e);
	if (err)
		return err;
	/* Nothing has to be waited for. A failure ends nothing that runs. */
	if (!strcmp(h->state.status, "running"))
		return hook_adopt(h) ? error_set(e, -EPERM, "container %s runs on as it is", h->name) : 0;
	return hook_start(h, e);
}

static int hook(int argc, char **argv)
{
	static const struct option longs[] = { { "name", required_argument, NULL, 'n' },
					       { "policy", required_argument, NULL, 'p' },
					       { "log", required_argument, NULL, 'l' },
					       { "help", no_argument, NULL, 'h' },
					       { NULL, 0, NULL, 0 } };
	static struct hook h;
	struct warder_error e = { "" };
	const char *name = NULL;
	int c, err;

	openlog("warder", LOG_PID, LOG_DAEMON);

	optind = 0;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (c == 'n') {
			name = optarg;
		} else if (c == 'p' && h.given < WARDER_LAYERS_MAX) {
			h.policy[h.given++] = optarg;
		} else if (c == 'l') {
			h.log = optarg;
		} else if (c == 'h') {
			return fputs(hook_usage, stdout) < 0;
		} else {
			if (c == 'p')
				log_error("a container has at most %d policies", WARDER_LAYERS_MAX);
			return EXIT_WARDER;
		}
	}
	if (optind < argc) {
		fputs(hook_usage, stderr);
		return EXIT_WARDER;
	}
	/* Not in the bundle's folder, which is not kept from being removed, and has no policies for us. */
	err = chdir("/") ? error_errno(&e, -errno, "the folder / is not there") : hook_run(&h, name, &e);
	oci_container_done(&h.state);
	if (!err)
		return 0;
	/* Not every runtime passes on what its hooks say. */
	log_error("%s", e.text);
	if (!h.log)
		syslog(LOG_ERR, "%s", e.text);
	else if (hook_log_open(&h) >= 0)
		log_error("%s", e.text);
	return EXIT_WARDER;
}

int cmd_oci(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "agent"))
		return agent(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "hook"))
		return hook(argc - 1, argv + 1);
	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
		return fputs(usage, stdout) < 0 || fputs("\n", stdout) < 0 || fputs(hook_usage, stdout) < 0;
	fputs(usage, stderr);
	return EXIT_WARDER;
}
