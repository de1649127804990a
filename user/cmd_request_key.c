// SPDX-License-Identifier: LGPL-2.1-or-later
/* warder request-key: puts warder's program in the way of the kernel's upcalls, and takes it away. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "client.h"
#include "commands.h"
#include "installed.h"
#include "request_key.h"

#define PROGRAM "warder-request-key"

static const char usage[] =
	"usage: warder request-key show          who answers the kernel's requests for keys\n"
	"       warder request-key divert        warder's program in the place of " REQUEST_KEY ";\n"
	"                                        what is not for a queue goes to the ordinary one, now\n"
	"                                        " REQUEST_KEY_ORDINARY "\n"
	"       warder request-key lines TYPE... only lines in " REQUEST_KEY_LINES ";\n"
	"                                        others of the host that fit better go first\n"
	"       warder request-key undo          as it was\n"
	"\n"
	"Policies with `upcalls: [{to: queue}]` need one of the two. See docs/KEYRINGS.md.\n";

static int fail(const char *what, const char *path)
{
	log_error("%s %s: %s", what, path, strerror(errno));
	return EXIT_WARDER;
}

static int program_find(char *path, size_t size)
{
	int err = installed_beside(PROGRAM, path, size);

	if (err)
		log_error("the program " PROGRAM " is not beside warder");
	return err;
}

/* A copy beside `to`, then its name: there is no moment without a program. */
static int program_copy(const char *from, const char *to)
{
	cleanup_close int in = open(from, O_RDONLY | O_CLOEXEC), out = -1;
	char temporary[256];
	struct stat st;
	off_t at = 0;

	snprintf(temporary, sizeof(temporary), "%s.new", to);
	unlink(temporary);
	out = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
	if (in < 0 || out < 0 || fstat(in, &st))
		return -errno;
	while (at < st.st_size)
		if (sendfile(out, in, &at, (size_t)(st.st_size - at)) <= 0)
			return errno ? -errno : -EIO;
	if (fchmod(out, 0755) || fsync(out) || rename(temporary, to)) {
		int err = -errno;

		unlink(temporary);
		return err;
	}
	return 0;
}

static int divert(void)
{
	char path[4096];
	int err;

	if (program_find(path, sizeof(path)))
		return EXIT_WARDER;
	/* A link, so that the kernel finds the ordinary one until the rename. */
	if (request_key_state() != REQUEST_KEY_DIVERTED && !access(REQUEST_KEY, F_OK)) {
		unlink(REQUEST_KEY_ORDINARY);
		if (link(REQUEST_KEY, REQUEST_KEY_ORDINARY))
			return fail("cannot keep the ordinary program as", REQUEST_KEY_ORDINARY);
	}
	err = program_copy(path, REQUEST_KEY);
	if (!err)
		return 0;
	errno = -err;
	return fail("cannot write", REQUEST_KEY);
}

static int lines(int argc, char **argv)
{
	cleanup_fclose FILE *f = NULL;
	char path[4096];

	if (program_find(path, sizeof(path)))
		return EXIT_WARDER;
	for (int i = 0; i < argc; i++) {
		if (*argv[i] && strlen(argv[i]) < 32 && !strpbrk(argv[i], " \t\n*#."))
			continue;
		log_error("\"%.40s\" is no type of keys", argv[i]);
		return EXIT_WARDER;
	}
	mkdir(REQUEST_KEY_CONF_DIR, 0755);
	f = fopen(REQUEST_KEY_LINES, "we");
	if (!f)
		return fail("cannot write", REQUEST_KEY_LINES);
	fchmod(fileno(f), 0644);
	fprintf(f, "# written by `warder request-key lines`; removed by `warder request-key undo`\n");
	for (int i = 0; i < argc; i++)
		fprintf(f, "create %s * * %s --line %%o %%k %%u %%g %%T %%P %%S\n", argv[i], path);
	return ferror(f) ? fail("cannot write", REQUEST_KEY_LINES) : 0;
}

static int undo(void)
{
	if (unlink(REQUEST_KEY_LINES) && errno != ENOENT)
		return fail("cannot remove", REQUEST_KEY_LINES);
	if (request_key_state() != REQUEST_KEY_DIVERTED)
		return 0;
	if (!access(REQUEST_KEY_ORDINARY, F_OK) ? rename(REQUEST_KEY_ORDINARY, REQUEST_KEY) :
						  unlink(REQUEST_KEY))
		return fail("cannot put back", REQUEST_KEY);
	return 0;
}

static int show(void)
{
	static const char *const types[] = { "user", "logon", "dns_resolver", "id_resolver",
					     "cifs.spnego" };
	enum request_key_state state = request_key_state();

	if (state == REQUEST_KEY_DIVERTED) {
		printf(REQUEST_KEY " is warder's; the ordinary program is %s\n",
		       access(REQUEST_KEY_ORDINARY, X_OK) ? "not there" : REQUEST_KEY_ORDINARY);
		return 0;
	}
	printf(REQUEST_KEY " is the ordinary program%s\n",
	       state == REQUEST_KEY_LINE ? ", with lines of warder's in " REQUEST_KEY_LINES :
					   ": nothing reaches a queue");
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		char line[512], where[512];

		if (!request_key_winner(types[i], "something", line, sizeof(line), where, sizeof(where)))
			printf("%-14s %s: %s\n", types[i], where, line);
	}
	return 0;
}

/* What the supervisor and the hooks know of it changes, too. */
static int tell_supervisor(int status)
{
	struct warder_error e = { "" };
	struct warder *w = NULL;

	if (status || client_connect(&w, 0, &e))
		return status;
	if (client_call(w, client_request("request-key"), NULL, 0, NULL, NULL, NULL, &e))
		status = cmd_fail(&e);
	warder_close(w);
	return status;
}

int cmd_request_key(int argc, char **argv)
{
	if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
		return fputs(usage, stdout) < 0;
	if (argc == 2 && !strcmp(argv[1], "show"))
		return show();
	if (argc == 2 && !strcmp(argv[1], "divert"))
		return tell_supervisor(divert());
	if (argc > 2 && !strcmp(argv[1], "lines"))
		return tell_supervisor(lines(argc - 2, argv + 2));
	if (argc == 2 && !strcmp(argv[1], "undo"))
		return tell_supervisor(undo());
	fputs(usage, stderr);
	return EXIT_WARDER;
}
