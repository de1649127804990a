// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * warder keyring watch: a daemon that answers key upcalls, by hand or by a program that it runs for
 * each. In the container it needs nothing but container.sock; on the host, root.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "client.h"
#include "client_queue.h"
#include "commands.h"
#include "upcall.h"

static const char usage[] =
	"usage: warder keyring watch [OPTION]... [NAME]\n"
	"\n"
	"Answers requests for keys that a policy leaves to a queue (to: queue). Without NAME and --all it\n"
	"runs in a container and answers for that one; with NAME on the host, for that container. Each\n"
	"request is a JSON object on standard output, each answer one on standard input, a line each:\n"
	"  {\"seq\": 7, \"verb\": \"instantiate\", \"payload\": \"s3cret\"}\n"
	"Verbs: instantiate, link (with key), negate, reject (with errno), pass. See docs/KEYRINGS.md.\n"
	"\n"
	"  -t, --type T       only keys of this type; may be given up to 16 times\n"
	"  -a, --all          on the host: for all containers\n"
	"  -e, --exec PROGRAM is run for each request, which it reads; it writes the answer. If it\n"
	"                     fails, the next queue is asked\n"
	"  -r, --request-key  PROGRAM takes arguments as /sbin/request-key does, which it may be, and\n"
	"                     sets the key up itself\n"
	"  -h, --help         this text\n";

#define LINE_SIZE 65536
#define JOBS_MAX 64
#define TYPES_MAX 16
#define AGAIN_MS 200   /* between attempts, when the supervisor is relieved */
#define AGAIN_TRIES 300

/* A program that answers one upcall. */
struct job {
	uint64_t seq; /* 0: free */
	pid_t pid;
	int pidfd;    /* readable when it has ended */
	int out;      /* what it says; -1: all of that is read, or it sets the key up itself */
	char text[LINE_SIZE];
	size_t used;
};

struct watch {
	struct warder_queue *q;
	const char *name, *program;
	const char *type[TYPES_MAX];
	int types, all, takes;
	struct job *jobs;
	char line[LINE_SIZE]; /* of standard input */
	size_t used;
	int input; /* 0: open, -1: ended */
};

/* --------------------------------------------------------------------------- jobs */

static struct job *job_free(struct watch *w)
{
	for (int i = 0; i < JOBS_MAX; i++)
		if (!w->jobs[i].seq)
			return &w->jobs[i];
	return NULL;
}

static void answer_simply(struct watch *w, uint64_t seq, const char *verb)
{
	struct json_object *o = json_object_new_object();

	control_put_u64(o, "seq", seq);
	control_put_string(o, "verb", verb);
	queue_answer(w->q, o);
}

static void job_end(struct job *j)
{
	if (j->out >= 0)
		close(j->out);
	if (j->pidfd >= 0)
		close(j->pidfd);
	memset(j->text, 0, j->used);
	j->seq = 0;
}

/* {"seq": ..} is the upcall's, whatever the program says. */
static void job_answer(struct watch *w, struct job *j)
{
	struct warder_error e = { "" };
	struct json_object *o = NULL;
	size_t len = j->used;

	while (len && (j->text[len - 1] == '\n' || j->text[len - 1] == ' '))
		len--;
	if (control_parse(j->text, len, &o, &e)) {
		log_warning("%s: no answer that is a JSON object", w->program);
		answer_simply(w, j->seq, "pass");
		return;
	}
	control_put_u64(o, "seq", j->seq);
	if (queue_answer(w->q, o))
		log_warning("an answer was not sent");
}

static void job_reap(struct watch *w, struct job *j)
{
	int status = 0, good;

	/* One that lives on with its output closed is ended with the upcall. */
	if (waitpid(j->pid, &status, WNOHANG) != j->pid)
		return;
	good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	if (w->takes)
		/* What it left undone is over now, not at the deadline; else this is not heard. */
		answer_simply(w, j->seq, "negate");
	else if (good)
		job_answer(w, j);
	else
		answer_simply(w, j->seq, "pass");
	job_end(j);
}

static void job_read(struct watch *w, struct job *j)
{
	ssize_t n = read(j->out, j->text + j->used, sizeof(j->text) - j->used);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		j->used += (size_t)n;
	/* One that says more than any answer has is none. */
	if (j->used == sizeof(j->text))
		kill(j->pid, SIGKILL);
	if (n > 0 && j->used < sizeof(j->text))
		return;
	close(j->out);
	j->out = -1;
	job_reap(w, j);
}

static void job_cancel(struct watch *w, uint64_t seq)
{
	for (int i = 0; i < JOBS_MAX; i++) {
		struct job *j = &w->jobs[i];

		if (j->seq != seq)
			continue;
		kill(j->pid, SIGKILL);
		waitpid(j->pid, NULL, 0);
		job_end(j);
	}
}

/* PROGRAM OP KEY UID GID THREAD PROCESS SESSION */
static void exec_request_key(const char *program, struct json_object *in)
{
	static const char *const names[] = { "op", "key", "uid", "gid" };
	struct json_object *v, *rings = NULL;
	const char *argv[9] = { program };
	size_t n = 1;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		argv[n++] = json_object_object_get_ex(in, names[i], &v) ? json_object_get_string(v) : "0";
	json_object_object_get_ex(in, "rings", &rings);
	for (size_t i = 0; i < 3; i++) {
		v = rings ? json_object_array_get_idx(rings, i) : NULL;
		argv[n++] = v ? json_object_get_string(v) : "0";
	}
	execvp(program, (char *const *)argv);
}

static int job_start(struct watch *w, struct job *j, uint64_t seq, struct json_object *in)
{
	int to[2] = { -1, -1 }, from[2] = { -1, -1 };
	size_t len = 0;
	const char *text = json_object_to_json_string_length(
		in, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
	ssize_t n = 0;

	j->out = j->pidfd = -1;
	if (!w->takes && (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC)))
		return -errno;
	j->pid = fork();
	if (j->pid == 0) {
		/* Nobody hears what it says once this daemon is gone. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGPIPE, SIG_DFL);
		if (!w->takes) {
			dup2(to[0], 0);
			dup2(from[1], 1);
			execlp(w->program, w->program, (char *)NULL);
		} else {
			exec_request_key(w->program, in);
		}
		log_error("cannot run %s: %s", w->program, strerror(errno));
		_exit(EXIT_NOT_FOUND);
	}
	j->out = from[0];
	j->used = 0;
	if (j->pid > 0)
		j->pidfd = (int)syscall(SYS_pidfd_open, j->pid, 0);
	if (!w->takes) {
		/* A pipe has room for the longest request. */
		if (j->pid > 0)
			n = write(to[1], text, len);
		close(to[0]);
		close(to[1]);
		close(from[1]);
		fcntl(j->out, F_SETFL, O_NONBLOCK);
	}
	(void)n;
	if (j->pid < 0)
		return -errno;
	j->seq = seq;
	return 0;
}

/* ------------------------------------------------------------------------ messages */

static void print_line(struct json_object *o)
{
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	fflush(stdout);
}

static void on_upcall(struct watch *w, struct json_object *in)
{
	struct warder_error e = { "" };
	uint64_t seq = 0;
	struct job *j;

	if (!w->program) {
		print_line(in);
		return;
	}
	control_get_u64(in, "seq", UINT64_MAX, &seq, NULL);
	j = job_free(w);
	if (!j) {
		answer_simply(w, seq, "pass");
		return;
	}
	if (w->takes && queue_take(w->q, seq, &e)) {
		log_warning("key not taken: %s", e.text);
		return;
	}
	if (job_start(w, j, seq, in)) {
		log_warning("cannot start %s", w->program);
		job_end(j);
		answer_simply(w, seq, w->takes ? "negate" : "pass");
	}
}

static void on_message(struct watch *w, struct json_object *o)
{
	struct json_object *in;
	uint64_t seq = 0;

	if (json_object_object_get_ex(o, "upcall", &in)) {
		on_upcall(w, in);
	} else if (json_object_object_get_ex(o, "cancelled", &in)) {
		control_get_u64(in, "seq", UINT64_MAX, &seq, NULL);
		if (w->program)
			job_cancel(w, seq);
		else
			print_line(o);
	}
}

static void on_input(struct watch *w)
{
	ssize_t n = read(STDIN_FILENO, w->line + w->used, sizeof(w->line) - w->used);
	char *end;

	if (n <= 0) {
		w->input = -1;
		return;
	}
	w->used += (size_t)n;
	while ((end = memchr(w->line, '\n', w->used))) {
		size_t len = (size_t)(end - w->line);
		struct warder_error e = { "" };
		struct json_object *o = NULL;

		if (len && control_parse(w->line, len, &o, &e))
			log_warning("no JSON object: %.80s", e.text);
		else if (len && queue_answer(w->q, o))
			log_warning("an answer was not sent");
		w->used -= len + 1;
		memmove(w->line, end + 1, w->used);
	}
	if (w->used == sizeof(w->line)) {
		log_warning("a line is longer than %d bytes", LINE_SIZE);
		w->used = 0;
	}
}

/* ---------------------------------------------------------------------------- loop */

static int connect_queue(struct watch *w, struct warder_error *reterr)
{
	int err = queue_open(&w->q, w->name, w->name || w->all ? 0 : WARDER_QUEUE_INSIDE, reterr);

	for (int i = 0; !err && i < (w->types ? w->types : 1); i++)
		err = queue_serve(w->q, w->type[i], reterr);
	if (err) {
		warder_queue_close(w->q);
		w->q = NULL;
	}
	return err;
}

/* The next supervisor makes the sockets anew; what was under way has ended. */
static int connect_again(struct watch *w, struct warder_error *reterr)
{
	int err = -ENODATA;

	for (int i = 0; i < JOBS_MAX; i++)
		if (w->jobs[i].seq)
			job_cancel(w, w->jobs[i].seq);
	warder_queue_close(w->q);
	w->q = NULL;
	for (int i = 0; err && i < AGAIN_TRIES; i++) {
		nanosleep(&(struct timespec){ .tv_nsec = AGAIN_MS * 1000000l }, NULL);
		err = connect_queue(w, reterr);
	}
	return err;
}

static int watch_loop(struct watch *w, struct warder_error *reterr)
{
	int err = 0;

	while (!err) {
		struct pollfd p[2 + JOBS_MAX] = { { .fd = warder_queue_fd(w->q), .events = POLLIN },
						  { .fd = w->program ? -1 : w->input, .events = POLLIN } };
		struct json_object *o = NULL;
		int ends = 0;

		for (int i = 0; i < JOBS_MAX; i++) {
			const struct job *j = &w->jobs[i];

			p[2 + i].fd = !j->seq ? -1 : j->out >= 0 ? j->out : j->pidfd;
			p[2 + i].events = POLLIN;
			/* A filter may forbid pidfds: look again and again then. */
			ends |= j->seq && p[2 + i].fd < 0;
		}
		if (poll(p, ARRAY_SIZE(p), ends ? 20 : -1) < 0 && errno != EINTR)
			return error_errno(reterr, -errno, "poll");
		for (int i = 0; i < JOBS_MAX; i++) {
			if (p[2 + i].revents && w->jobs[i].out >= 0)
				job_read(w, &w->jobs[i]);
			else if (w->jobs[i].seq && w->jobs[i].out < 0)
				job_reap(w, &w->jobs[i]);
		}
		if (p[1].revents)
			on_input(w);
		/* What came while a key was taken is no longer in the socket. */
		while (!(err = queue_next(w->q, 0, &o, reterr))) {
			on_message(w, o);
			json_object_put(o);
		}
		if (err == -ENODATA)
			err = connect_again(w, reterr);
		else if (err == -EAGAIN)
			err = 0;
	}
	return err;
}

/* -1: go on; else the exit status. */
static int options_read(int argc, char **argv, struct watch *w)
{
	static const struct option longs[] = { { "type", required_argument, NULL, 't' },
					       { "all", no_argument, NULL, 'a' },
					       { "exec", required_argument, NULL, 'e' },
					       { "request-key", no_argument, NULL, 'r' },
					       { "help", no_argument, NULL, 'h' },
					       { NULL, 0, NULL, 0 } };
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "t:ae:rh", longs, NULL)) != -1) {
		switch (c) {
		case 't':
			if (w->types == TYPES_MAX) {
				log_error("--type: at most %d", TYPES_MAX);
				return EXIT_WARDER;
			}
			w->type[w->types++] = optarg;
			break;
		case 'a':
			w->all = 1;
			break;
		case 'e':
			w->program = optarg;
			break;
		case 'r':
			w->takes = 1;
			break;
		case 'h':
			return fputs(usage, stdout) < 0;
		default:
			return EXIT_WARDER;
		}
	}
	if (optind < argc)
		w->name = argv[optind++];
	if (optind == argc && !(w->takes && !w->program) && !(w->name && w->all))
		return -1;
	fputs(usage, stderr);
	return EXIT_WARDER;
}

int cmd_keyring_watch(int argc, char **argv)
{
	static struct watch w;
	struct warder_error e = { "" };
	int status = options_read(argc, argv, &w);

	if (status >= 0)
		return status;
	signal(SIGPIPE, SIG_IGN);
	w.jobs = calloc(JOBS_MAX, sizeof(*w.jobs));
	if (!w.jobs || connect_queue(&w, &e))
		return cmd_fail(&e);
	fprintf(stderr, "warder: the queue is there\n");
	watch_loop(&w, &e);
	warder_queue_close(w.q);
	free(w.jobs);
	return cmd_fail(&e);
}
