// SPDX-License-Identifier: LGPL-2.1-or-later
/* warder run, warder enter: options, the policy, the terminal, signals, the exit status. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "client.h"
#include "cmd_run.h"
#include "commands.h"
#include "installed.h"
#include "policy.h"

static const char run_usage[] =
	"usage: warder run [OPTION...] [--] COMMAND [ARGUMENT...]\n"
	"\n"
	"Runs a command in a new container and ends with its exit status.\n"
	"\n"
	"      --name N             its name (default: made from its id)\n"
	"      --policy F|N|none    a policy file, or the name of a loaded or shipped one (default: the\n"
	"                           loaded ones that match, else the shipped policy \"default\"; none:\n"
	"                           only the baseline); up to 4 times: all of them must allow\n"
	"      --annotation K=V     for the policies' `match`, and for people; may be repeated\n"
	"      --rootfs DIR         its root (default: the host's root, read-only, with private\n"
	"                           /tmp, /run and /dev)\n"
	"      --userns             in a user namespace of its own\n"
	"      --net none|host      only loopback (default), or the host's network\n"
	"  -d, --detach             print the name and leave it running\n"
	"  -i, --interactive        keep standard input\n"
	"  -t, --tty                give it a terminal\n"
	"  -u, --user U[:G]         run as this user (default: root)\n"
	"      --cap-add CAP        add a capability to podman's default set; ALL adds every one\n"
	"      --cap-drop CAP       take a capability away; ALL takes every one\n"
	"  -e, --env NAME=VALUE     set an environment variable; NAME alone passes ours on\n"
	"  -w, --workdir DIR        working folder (default: /)\n"
	"  -v, --volume SRC:DST[:ro]  show a host folder or file inside\n"
	"      --hostname H         (default: its name)\n"
	"      --pids-limit N       at most N tasks (default: 2048; -1: no limit)\n"
	"  -m, --memory BYTES[kmg]  memory limit\n"
	"      --read-only          the --rootfs is shown read-only\n"
	"  -h, --help               this text\n"
	"\n"
	"Exit status: the command's own, 128+N if signal N ended it, 125 if warder failed, 126 if\n"
	"the command cannot be executed, 127 if it is not found.\n";

static const char enter_usage[] =
	"usage: warder enter [-t] NAME [--] COMMAND [ARGUMENT...]\n"
	"\n"
	"Runs a command in a running container, under its policy, with its user, capabilities,\n"
	"environment and keyring; ends with its exit status.\n"
	"\n"
	"  -t, --tty    give it a terminal\n"
	"  -h, --help   this text\n";

#define LIST_MAX 256

struct list {
	const char *item[LIST_MAX + 1];
	size_t count;
};

static int list_add(struct list *l, const char *item)
{
	if (l->count == LIST_MAX) {
		log_error("an option was given more than %d times", LIST_MAX);
		return -1;
	}
	l->item[l->count++] = item;
	return 0;
}

static int usage_error(const char *what)
{
	log_error("%s (see --help)", what);
	return EXIT_WARDER;
}

int run_parse_size(const char *text, int64_t *ret)
{
	unsigned long long n, unit = 1;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	n = strtoull(text, &end, 10);
	switch (*end) {
	case 'k':
	case 'K':
		unit = 1ull << 10;
		break;
	case 'm':
	case 'M':
		unit = 1ull << 20;
		break;
	case 'g':
	case 'G':
		unit = 1ull << 30;
		break;
	case '\0':
		break;
	default:
		return -EINVAL;
	}
	if (errno || (*end && end[1]) || n > (unsigned long long)INT64_MAX / unit)
		return -EINVAL;
	*ret = (int64_t)(n * unit);
	return 0;
}

/* --------------------------------------------------------------------------- policy */

int cmd_compile_policy(const char *path, struct warder_image **ret)
{
	struct policy_diags diags = { 0 };
	char **dirs = installed_policy_dirs();
	struct policy *p = NULL;
	int err;

	err = policy_parse_file(path, (const char *const *)dirs, &p, &diags);
	control_strv_free(dirs);
	if (!err)
		err = policy_compile(p, ret, &diags);
	policy_diags_print(&diags, stderr);
	policy_diags_done(&diags);
	policy_free(p);
	return err;
}

static int policy_compile_text(const char *text, struct warder_image **ret)
{
	struct policy_diags diags = { 0 };
	struct policy *p = NULL;
	int err;

	err = policy_parse("(built in)", text, strlen(text), NULL, &p, &diags);
	if (!err)
		err = policy_compile(p, ret, &diags);
	if (err)
		policy_diags_print(&diags, stderr);
	policy_diags_done(&diags);
	policy_free(p);
	return err;
}

int cmd_policy_is_loaded(struct warder *w, const char *name)
{
	struct json_object *request = client_request("policy-show");

	control_put_string(request, "name", name);
	return !client_call(w, request, NULL, 0, NULL, NULL, NULL, NULL);
}

static int cmd_find_policy(struct warder *w, const char *policy, struct warder_image **image,
			   const char **name)
{
	char path[PATH_MAX];
	struct stat st;
	int err;

	*image = NULL;
	*name = NULL;
	if (policy && !strcmp(policy, "none")) {
		err = policy_compile_text("policy: none\n", image);
	} else if (policy && (strchr(policy, '/') || !stat(policy, &st))) {
		err = cmd_compile_policy(policy, image);
	} else if (cmd_policy_is_loaded(w, policy ? policy : "default")) {
		/* Wins over a shipped one: another text of the same name would be refused. */
		*name = policy ? policy : "default";
		return 0;
	} else if (!installed_policy(policy ? policy : "default", path, sizeof(path))) {
		err = cmd_compile_policy(path, image);
	} else if (!policy) {
		log_warning("the shipped policy default is not found (set WARDER_POLICY_PATH): one without rules "
			    "is used in its place");
		err = policy_compile_text("policy: default\n", image);
	} else {
		*name = policy; /* the supervisor says that it knows none */
		return 0;
	}
	if (err && policy)
		log_error("policy %s cannot be used", policy);
	else if (err)
		log_error("the default policy cannot be used");
	return err;
}

/* -------------------------------------------------------------------- policies given */

int cmd_find_policies(struct warder *w, const char *const *policy, size_t given,
		      struct cmd_policies *ret)
{
	_Static_assert(WARDER_RUN_POLICIES_MAX == WARDER_LAYERS_MAX && WARDER_LAYERS_MAX == 4,
		       "policies of a container");
	memset(ret, 0, sizeof(*ret));
	ret->count = given ? given : 1;
	for (size_t i = 0; i < ret->count; i++) {
		struct warder_policy_ref *ref = &ret->ref[i];

		if (cmd_find_policy(w, given ? policy[i] : NULL, &ret->image[i], &ref->name)) {
			cmd_policies_done(ret);
			return -1;
		}
		ref->image = ret->image[i];
		ref->image_size = ret->image[i] ? ret->image[i]->h.length : 0;
	}
	return 0;
}

void cmd_policies_done(struct cmd_policies *p)
{
	for (size_t i = 0; i < WARDER_LAYERS_MAX; i++) {
		free(p->image[i]);
		p->image[i] = NULL;
	}
}

/* ------------------------------------------------------------------------- attached */

struct attached {
	struct warder *w;
	const char *name;
	uint64_t cid;
	int master;
	int forward; /* signals go to the container's first process */
	int raw;
	struct termios saved;
};

static void attached_window(const struct attached *a)
{
	struct winsize size;

	if (a->master >= 0 && !ioctl(STDIN_FILENO, TIOCGWINSZ, &size))
		ioctl(a->master, TIOCSWINSZ, &size);
}

static void attached_raw(struct attached *a)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &a->saved))
		return; /* a pipe: relayed as it is */
	raw = a->saved;
	cfmakeraw(&raw);
	a->raw = !tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

/* 1: nothing more will come. */
static int attached_copy(int from, int to)
{
	char buf[16384];
	ssize_t n = read(from, buf, sizeof(buf)), done = 0;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n <= 0)
		return 1; /* EIO: the last process closed the terminal */
	while (done < n) {
		ssize_t k = write(to, buf + done, (size_t)(n - done));

		if (k < 0 && errno == EAGAIN) {
			struct pollfd p = { .fd = to, .events = POLLOUT };

			poll(&p, 1, -1);
			continue;
		}
		if (k < 0 && errno != EINTR)
			return 1;
		if (k > 0)
			done += k;
	}
	return 0;
}

static void attached_signal(struct attached *a, int fd)
{
	struct signalfd_siginfo si;
	struct warder *w = NULL;

	if (read(fd, &si, sizeof(si)) != sizeof(si))
		return;
	if (si.ssi_signo == SIGWINCH) {
		attached_window(a);
		return;
	}
	/* A connection of its own: the attached one waits for the exit. */
	if (!a->forward || client_connect(&w, 0, NULL))
		return;
	warder_kill(w, a->name, (int)si.ssi_signo, 0, NULL, 0);
	warder_close(w);
}

/* A new supervisor knows the container, or how it ended. */
static int attached_reconnect(struct attached *a)
{
	const struct timespec pause_time = { .tv_nsec = 200000000 };

	for (int i = 0; i < 50; i++) {
		struct warder *w = NULL;
		int status, err;

		nanosleep(&pause_time, NULL);
		if (client_connect(&w, i > 5 && client_is_pinned() ? WARDER_CONNECT_START : 0, NULL))
			continue;
		err = warder_wait(w, NULL, a->cid, &status, NULL, 0);
		warder_close(w);
		if (!err)
			return status;
	}
	log_error("the supervisor is gone: how %s ended is not known", a->name);
	return EXIT_WARDER;
}

static int attached_signals(void)
{
	static const int forwarded[] = { SIGINT,  SIGTERM, SIGHUP,  SIGQUIT,
					 SIGUSR1, SIGUSR2, SIGWINCH };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(forwarded); i++)
		sigaddset(&set, forwarded[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static int attached_loop(struct attached *a, int signals)
{
	enum { SUPERVISOR, SIGNALS, MASTER, INPUT, COUNT };
	struct pollfd p[COUNT] = {
		[SUPERVISOR] = { .fd = warder_fd(a->w), .events = POLLIN },
		[SIGNALS] = { .fd = signals, .events = POLLIN },
		[MASTER] = { .fd = a->master, .events = POLLIN },
		[INPUT] = { .fd = a->master >= 0 ? STDIN_FILENO : -1, .events = POLLIN },
	};
	char error[WARDER_ERROR_SIZE];
	int status, err;

	for (;;) {
		if (poll(p, COUNT, -1) < 0 && errno != EINTR)
			return EXIT_WARDER;
		if (p[SIGNALS].revents)
			attached_signal(a, signals);
		if (p[MASTER].revents && attached_copy(a->master, STDOUT_FILENO))
			p[MASTER].fd = -1;
		if (p[INPUT].revents && attached_copy(STDIN_FILENO, a->master)) {
			char end = 4; /* Ctrl-D: the end of our input is the end of its */

			if (!a->raw && write(a->master, &end, 1) < 0)
				p[MASTER].fd = -1;
			p[INPUT].fd = -1;
		}
		if (!p[SUPERVISOR].revents)
			continue;
		err = warder_wait_exit(a->w, &status, error, sizeof(error));
		/* What it wrote last still lies in the terminal. */
		while (p[MASTER].fd >= 0 && poll(&p[MASTER], 1, 0) > 0 &&
		       !attached_copy(a->master, STDOUT_FILENO))
			;
		if (!err)
			return status;
		if (!a->forward) {
			log_error("%s", error);
			return EXIT_WARDER;
		}
		return attached_reconnect(a);
	}
}

static int attached_run(struct attached *a, int signals)
{
	int status;

	if (a->master >= 0) {
		attached_window(a);
		attached_raw(a);
	}
	status = attached_loop(a, signals);
	if (a->raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &a->saved);
	if (a->master >= 0)
		close(a->master);
	return status;
}

/* ------------------------------------------------------------------------ commands */

static const char *env_item(const char *text)
{
	const char *value;
	char *item;

	if (strchr(text, '='))
		return text;
	value = getenv(text);
	if (!value || asprintf(&item, "%s=%s", text, value) < 0)
		return NULL;
	return item; /* lives as long as the process */
}

enum { OPT_NAME = 256, OPT_POLICY, OPT_ROOTFS, OPT_USERNS, OPT_NET, OPT_CAP_ADD, OPT_CAP_DROP,
       OPT_HOSTNAME, OPT_PIDS, OPT_READ_ONLY, OPT_ANNOTATION };

static const struct option run_longs[] = {
	{ "name", required_argument, NULL, OPT_NAME },
	{ "policy", required_argument, NULL, OPT_POLICY },
	{ "annotation", required_argument, NULL, OPT_ANNOTATION },
	{ "rootfs", required_argument, NULL, OPT_ROOTFS },
	{ "userns", no_argument, NULL, OPT_USERNS },
	{ "net", required_argument, NULL, OPT_NET },
	{ "detach", no_argument, NULL, 'd' },
	{ "interactive", no_argument, NULL, 'i' },
	{ "tty", no_argument, NULL, 't' },
	{ "user", required_argument, NULL, 'u' },
	{ "cap-add", required_argument, NULL, OPT_CAP_ADD },
	{ "cap-drop", required_argument, NULL, OPT_CAP_DROP },
	{ "env", required_argument, NULL, 'e' },
	{ "workdir", required_argument, NULL, 'w' },
	{ "volume", required_argument, NULL, 'v' },
	{ "hostname", required_argument, NULL, OPT_HOSTNAME },
	{ "pids-limit", required_argument, NULL, OPT_PIDS },
	{ "memory", required_argument, NULL, 'm' },
	{ "read-only", no_argument, NULL, OPT_READ_ONLY },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 }
};

/* Relative host paths mean the caller's folder; the supervisor has another one. */
static const char *host_path(const char *path)
{
	char *full = realpath(path, NULL);

	return full ? full : path; /* the supervisor says what is wrong with it */
}

static const char *volume_path(const char *text)
{
	const char *colon = strchr(text, ':');
	cleanup_free char *source = colon ? strndup(text, (size_t)(colon - text)) : NULL;
	char *full;

	if (!source || asprintf(&full, "%s%s", host_path(source), colon) < 0)
		return text;
	return full;
}

/* 0, or the exit status + 1. */
int run_parse(int argc, char **argv, struct run_request *q)
{
	static struct list env, add, drop, volumes, annotations;
	struct warder_run_options *r = &q->options;
	int c;

	memset(q, 0, sizeof(*q));
	env.count = add.count = drop.count = volumes.count = annotations.count = 0;
	r->struct_size = sizeof(*r);
	optind = 0;
	while ((c = getopt_long(argc, argv, "+dite:u:w:v:m:h", run_longs, NULL)) != -1) {
		switch (c) {
		case OPT_NAME:
			r->name = optarg;
			break;
		case OPT_POLICY:
			if (q->policies == WARDER_LAYERS_MAX)
				return 1 + usage_error("a container has at most 4 policies: let one "
						       "include what others say");
			q->policy[q->policies++] = optarg;
			break;
		case OPT_ANNOTATION:
			if (list_add(&annotations, optarg))
				return 1 + EXIT_WARDER;
			break;
		case OPT_ROOTFS:
			r->rootfs = host_path(optarg);
			break;
		case OPT_USERNS:
			r->userns = 1;
			break;
		case OPT_NET:
			if (strcmp(optarg, "none") && strcmp(optarg, "host"))
				return 1 + usage_error("--net is none or host");
			r->net_host = !strcmp(optarg, "host");
			break;
		case 'd':
			r->detach = 1;
			break;
		case 'i':
			q->interactive = 1;
			break;
		case 't':
			r->tty = 1;
			break;
		case 'u':
			r->user = optarg;
			break;
		case OPT_CAP_ADD:
			if (list_add(&add, optarg))
				return 1 + EXIT_WARDER;
			break;
		case OPT_CAP_DROP:
			if (list_add(&drop, optarg))
				return 1 + EXIT_WARDER;
			break;
		case 'e':
			if (env_item(optarg) && list_add(&env, env_item(optarg)))
				return 1 + EXIT_WARDER;
			break;
		case 'w':
			r->workdir = optarg;
			break;
		case 'v':
			if (list_add(&volumes, volume_path(optarg)))
				return 1 + EXIT_WARDER;
			break;
		case OPT_HOSTNAME:
			r->hostname = optarg;
			break;
		case OPT_PIDS:
			if (!strcmp(optarg, "-1"))
				r->pids_limit = -1;
			else if (run_parse_size(optarg, &r->pids_limit) || !r->pids_limit)
				return 1 + usage_error("--pids-limit takes a number from 1, or -1");
			break;
		case 'm':
			if (run_parse_size(optarg, &r->memory) || !r->memory)
				return 1 + usage_error("--memory takes a size like 64m");
			break;
		case OPT_READ_ONLY:
			r->read_only = 1;
			break;
		case 'h':
			fputs(run_usage, stdout);
			return 1;
		default:
			return 1 + usage_error("the options are not understood");
		}
	}
	if (optind >= argc)
		return 1 + usage_error("no command was given");
	if (r->tty && r->detach)
		return 1 + usage_error("--tty needs somebody at the terminal, so not with --detach");
	env.item[env.count] = add.item[add.count] = drop.item[drop.count] = NULL;
	volumes.item[volumes.count] = annotations.item[annotations.count] = NULL;
	r->env = env.count ? env.item : NULL;
	r->cap_add = add.count ? add.item : NULL;
	r->cap_drop = drop.count ? drop.item : NULL;
	r->volumes = volumes.count ? volumes.item : NULL;
	r->annotations = annotations.count ? annotations.item : NULL;
	r->unasked = !q->policies;
	r->argv = (const char *const *)argv + optind;
	r->stdio[0] = q->interactive && !r->detach ? STDIN_FILENO : -1;
	r->stdio[1] = r->detach ? -1 : STDOUT_FILENO;
	r->stdio[2] = r->detach ? -1 : STDERR_FILENO;
	return 0;
}

int cmd_run(int argc, char **argv)
{
	struct cmd_policies policies;
	struct warder_started started;
	struct warder_error e = { "" };
	struct run_request q;
	struct attached a = { .master = -1, .forward = 1 };
	int status, signals = -1, err;

	status = run_parse(argc, argv, &q);
	if (status)
		return status - 1;
	if (client_connect(&a.w, WARDER_CONNECT_START, &e))
		return cmd_fail(&e);
	if (cmd_find_policies(a.w, q.policy, q.policies, &policies)) {
		warder_close(a.w);
		return EXIT_WARDER;
	}
	q.options.policies = policies.ref;
	q.options.policy_count = policies.count;
	/* Before the start: its command may run before we know, and a signal then is for it. A
	 * start takes at most SUPERVISOR_START_SECONDS. */
	if (!q.options.detach)
		signals = attached_signals();
	err = warder_run(a.w, &q.options, &started, e.text, sizeof(e.text));
	cmd_policies_done(&policies);
	if (err) {
		warder_close(a.w);
		cmd_fail(&e);
		return started.code;
	}
	if (q.options.detach) {
		warder_close(a.w);
		puts(started.name);
		return fflush(stdout) ? EXIT_WARDER : 0;
	}
	a.name = started.name;
	a.cid = started.cid;
	a.master = started.terminal;
	status = attached_run(&a, signals);
	warder_close(a.w);
	return status;
}

int cmd_enter(int argc, char **argv)
{
	static const struct option longs[] = { { "tty", no_argument, NULL, 't' },
					       { "help", no_argument, NULL, 'h' },
					       { NULL, 0, NULL, 0 } };
	const int stdio[3] = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO };
	struct attached a = { .master = -1 };
	struct warder_started started;
	struct warder_error e = { "" };
	int c, tty = 0, status, signals;

	optind = 0;
	while ((c = getopt_long(argc, argv, "+th", longs, NULL)) != -1) {
		if (c == 'h') {
			fputs(enter_usage, stdout);
			return 0;
		}
		if (c != 't')
			return usage_error("the options are not understood");
		tty = 1;
	}
	if (optind >= argc)
		return usage_error("no container was named");
	a.name = argv[optind++];
	/* `enter NAME -t -- CMD` reads naturally, too. */
	while (optind < argc && argv[optind][0] == '-') {
		const char *arg = argv[optind++];

		if (!strcmp(arg, "--"))
			break;
		if (strcmp(arg, "-t") && strcmp(arg, "--tty") && strcmp(arg, "-i"))
			return usage_error("the options are not understood");
		tty |= strcmp(arg, "-i") != 0;
	}
	if (optind >= argc)
		return usage_error("no command was given");
	if (client_connect(&a.w, client_is_pinned() ? WARDER_CONNECT_START : 0, &e))
		return cmd_fail(&e);
	signals = attached_signals();
	if (warder_enter(a.w, a.name, (const char *const *)argv + optind, tty, stdio, &started,
			 e.text, sizeof(e.text))) {
		warder_close(a.w);
		cmd_fail(&e);
		return started.code;
	}
	a.master = started.terminal;
	status = attached_run(&a, signals);
	warder_close(a.w);
	return status;
}
