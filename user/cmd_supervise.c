// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * warder supervise: runs a handler program and carries lines between it and the supervisor. The
 * program has two pipes and nothing else of ours: neither the control socket nor any descriptor
 * of a container.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "client_handler.h"
#include "control.h"
#include "commands.h"

static const char usage[] =
	"usage: warder supervise NAME --exec PROGRAM [--container C] [--order N] [--] [ARG...]\n"
	"\n"
	"Runs PROGRAM as a handler: it decides about the calls that policies leave to it with\n"
	"do: handler:NAME. One JSON object a line, on its standard input what is asked, on its\n"
	"standard output what it says; see docs/HANDLERS.md. Ends when the program ends.\n"
	"\n"
	"  -e, --exec PROGRAM   looked for in PATH; run with the arguments\n"
	"  -c, --container C    decide only about calls of this container\n"
	"  -o, --order N        among several handlers of one name the lowest is asked first (100)\n"
	"  -h, --help           this text\n";

#define LINE_MAX_ 65536
#define QUEUE_MAX (1 << 20) /* bytes that the program may leave unread */
#define HELLO_MS 30000
#define GARBAGE_MAX 16

struct handler {
	const char *name;
	pid_t pid;
	int in, out; /* our ends of its standard input and output */
	char *queue; /* not yet written */
	size_t queued;
	char line[LINE_MAX_]; /* read and not yet ended */
	size_t used;
	unsigned garbage;
};

/* ------------------------------------------------------------------------ program */

static int program_start(struct handler *h, char *const *argv, struct warder_error *reterr)
{
	int to[2] = { -1, -1 }, from[2] = { -1, -1 };

	if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC))
		return error_errno(reterr, -errno, "cannot make pipes");
	h->pid = fork();
	if (h->pid < 0)
		return error_errno(reterr, -errno, "cannot fork");
	if (h->pid == 0) {
		dup2(to[0], 0);
		dup2(from[1], 1);
		close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
		signal(SIGPIPE, SIG_DFL);
		execvp(argv[0], argv);
		fprintf(stderr, "warder: cannot run %s: %s\n", argv[0], strerror(errno));
		_exit(EXIT_NOT_FOUND);
	}
	close(to[0]);
	close(from[1]);
	h->in = to[1];
	h->out = from[0];
	fcntl(h->in, F_SETPIPE_SZ, QUEUE_MAX);
	fcntl(h->in, F_SETFL, O_NONBLOCK);
	fcntl(h->out, F_SETFL, O_NONBLOCK);
	return 0;
}

static int program_status(struct handler *h)
{
	int status = 0;

	close(h->in);
	close(h->out);
	/* It has a second to see the end of its input. */
	for (int i = 0; i < 20; i++) {
		if (waitpid(h->pid, &status, WNOHANG) == h->pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	}
	kill(h->pid, SIGKILL);
	waitpid(h->pid, &status, 0);
	return EXIT_WARDER;
}

/* What its pipe does not take now. -EPIPE when it is gone, -ENOBUFS when it does not read. */
static int program_flush(struct handler *h)
{
	while (h->queued) {
		ssize_t n = write(h->in, h->queue, h->queued);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		h->queued -= (size_t)n;
		memmove(h->queue, h->queue + n, h->queued);
	}
	return 0;
}

static int program_tell(struct handler *h, const char *text)
{
	size_t len = strlen(text);

	if ( h->queued + len + 1 > QUEUE_MAX)
		return -ENOBUFS;
	memcpy(h->queue + h->queued, text, len);
	h->queue[h->queued + len] = '\n';
	h->queued += len + 1;
	return program_flush(h);
}

/* The next whole line, NUL-terminated in h->line; its length with the NUL, 0: none yet. */
static size_t program_line(struct handler *h)
{
	char *end = memchr(h->line, '\n', h->used);

	if (!end)
		return 0;
	*end = '\0';
	return (size_t)(end - h->line) + 1;
}

static void program_line_done(struct handler *h, size_t len)
{
	h->used -= len;
	memmove(h->line, h->line + len, h->used);
}

/* 1: something came, 0: nothing yet, -errno: the end (-ENODATA), or a line without one. */
static int program_read(struct handler *h)
{
	ssize_t n;

	if (h->used == sizeof(h->line))
		return -EMSGSIZE;
	n = read(h->out, h->line + h->used, sizeof(h->line) - h->used);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (!n)
		return -ENODATA;
	h->used += (size_t)n;
	return 1;
}

/* ---------------------------------------------------------------------- the first line */

static int hello(struct handler *h, int *ret_observes, struct warder_error *reterr)
{
	cleanup_json struct json_object *o = json_object_new_object(), *reply = NULL;
	struct json_object *versions = json_object_new_array();
	const char *mode = "decide";
	uint64_t version = 0;
	size_t len = 0;
	int waited = 0, err;

	control_put_string(o, "warder", "handler");
	control_put_string(o, "handler", h->name);
	json_object_array_add(versions, json_object_new_int(1));
	json_object_object_add(o, "versions", versions);
	err = program_tell(h, json_object_to_json_string_ext(
				      o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	while (!err && !(len = program_line(h))) {
		struct pollfd p = { .fd = h->out, .events = POLLIN };

		if (waited >= HELLO_MS)
			return error_set(reterr, -ETIMEDOUT, "the program did not answer the first line "
							     "within %d s", HELLO_MS / 1000);
		waited += poll(&p, 1, 100) ? 0 : 100;
		err = program_read(h);
		err = err < 0 ? err : 0;
	}
	if (err)
		return error_set(reterr, err, "the program ended before it answered the first line");
	err = control_parse(h->line, len - 1, &reply, reterr);
	if (!err && (control_get_u64(reply, "version", UINT32_MAX, &version, reterr) != 1 || version != 1))
		err = error_set(reterr, -EPROTO, "the program must choose version 1 in its first line, "
						 "{\"version\": 1, \"mode\": \"decide\"}");
	if (!err && control_get_string(reply, "mode", &mode, reterr) >= 0 && strcmp(mode, "decide") &&
	    strcmp(mode, "observe"))
		err = error_set(reterr, -EPROTO, "mode: expected decide or observe, found %.32s", mode);
	*ret_observes = !err && !strcmp(mode, "observe");
	program_line_done(h, len);
	return err;
}

/* --------------------------------------------------------------------------- the loop */

static int from_supervisor(struct handler *h, struct warder_handler *at, struct warder_error *reterr)
{
	struct warder_handler_call call = { .struct_size = sizeof(call) };
	int err = handler_next(at, &call, 0, reterr);

	/* One that is not understood here was not meant for this version. */
	if (err == -EAGAIN || err == -EBADMSG)
		return 0;
	if (!err && program_tell(h, call.json))
		err = error_set(reterr, -ENOBUFS, "the program does not read what it is asked");
	return err;
}

/* A line that is no object is sent on as an answer that is none, so that what it was meant for
 * falls back now and not at its deadline. */
static int from_program(struct handler *h, struct warder_handler *at, const char *line,
			struct warder_error *reterr)
{
	cleanup_json struct json_object *said = NULL;
	struct warder_error why = { "" };

	if (control_parse(line, strlen(line), &said, &why)) {
		fprintf(stderr, "warder: handler %s: not a JSON object: %.80s\n", h->name, line);
		if (++h->garbage > GARBAGE_MAX)
			return error_set(reterr, -EPROTO, "the program says nothing sensible");
	}
	if (handler_say(at, said))
		return error_set(reterr, -EPIPE, "the supervisor is gone");
	return 0;
}

static int lines_from_program(struct handler *h, struct warder_handler *at, int observes,
			      struct warder_error *reterr)
{
	size_t len;
	int err = 0;

	while (!err && (len = program_line(h))) {
		/* An observer's word counts nothing. */
		if (!observes && h->line[0])
			err = from_program(h, at, h->line, reterr);
		program_line_done(h, len);
	}
	return err;
}

static int carry(struct handler *h, struct warder_handler *at, int observes,
		 struct warder_error *reterr)
{
	int err = lines_from_program(h, at, observes, reterr);

	while (!err) {
		struct pollfd p[] = { { .fd = warder_handler_fd(at), .events = POLLIN },
				      { .fd = h->out, .events = POLLIN },
				      { .fd = h->queued ? h->in : -1, .events = POLLOUT } };

		if (poll(p, ARRAY_SIZE(p), -1) < 0 && errno != EINTR)
			return error_errno(reterr, -errno, "poll");
		if (p[2].revents)
			err = program_flush(h);
		if (!err && p[0].revents)
			err = from_supervisor(h, at, reterr);
		if (!err && p[1].revents) {
			err = program_read(h);
			if (err == -ENODATA)
				return 1;
			err = err < 0 ? error_set(reterr, err, "the program's line has no end") : 0;
			if (!err)
				err = lines_from_program(h, at, observes, reterr);
		}
	}
	return err;
}

static int supervise(struct handler *h, const char *container, uint64_t order,
		     struct warder_error *reterr)
{
	struct warder_handler_options options = { .struct_size = sizeof(options), .name = h->name,
						  .container = container, .order = (uint32_t)order,
						  .flags = WARDER_HANDLER_START };
	struct warder_handler *at = NULL;
	int observes = 0, err = hello(h, &observes, reterr);

	if (observes)
		options.flags |= WARDER_HANDLER_OBSERVE;
	if (!err)
		err = handler_open(&at, NULL, &options, reterr);
	if (err)
		return err;
	fprintf(stderr, "warder: handler %s is there\n", h->name);
	err = carry(h, at, observes, reterr);
	warder_handler_close(at);
	return err;
}

struct options {
	const char *container, *program;
	unsigned long order;
};

/* -1: go on; else the exit status. */
static int options_read(int argc, char **argv, struct options *ret)
{
	static const struct option longs[] = { { "exec", required_argument, NULL, 'e' },
					       { "container", required_argument, NULL, 'c' },
					       { "order", required_argument, NULL, 'o' },
					       { "help", no_argument, NULL, 'h' },
					       { NULL, 0, NULL, 0 } };
	struct warder_error e = { "" };
	char *end;
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "+e:c:o:h", longs, NULL)) != -1) {
		switch (c) {
		case 'e':
			ret->program = optarg;
			break;
		case 'c':
			ret->container = optarg;
			break;
		case 'o':
			ret->order = strtoul(optarg, &end, 10);
			if (!*end && end != optarg && ret->order <= 1000000)
				break;
			error_set(&e, -EINVAL, "--order: expected a number up to 1000000, found %s", optarg);
			return cmd_fail(&e);
		case 'h':
			return fputs(usage, stdout) < 0;
		default:
			return EXIT_WARDER;
		}
	}
	return -1;
}

int cmd_supervise(int argc, char **argv)
{
	struct options options = { .order = 100 };
	struct handler h = { .in = -1, .out = -1 };
	struct warder_error e = { "" };
	int named = argc > 1 && argv[1][0] != '-', err, status;
	char **args;

	/* The name comes first, then the options, then the program's arguments. */
	status = options_read(argc - named, argv + named, &options);
	if (status >= 0)
		return status;
	if (!named || !options.program) {
		fputs(usage, stderr);
		return EXIT_WARDER;
	}
	h.name = argv[1];
	args = argv + named + optind - 1;
	args[0] = (char *)options.program;
	h.queue = malloc(QUEUE_MAX);
	if (!h.queue)
		return cmd_fail(&e);
	signal(SIGPIPE, SIG_IGN);
	err = program_start(&h, args, &e);
	if (err)
		return cmd_fail(&e);
	err = supervise(&h, options.container, options.order, &e);
	status = program_status(&h);
	free(h.queue);
	if (err < 0)
		return cmd_fail(&e);
	return status;
}
