// SPDX-License-Identifier: LGPL-2.1-or-later
/* warder keyring attach: in a container, after a task joined another session keyring. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "control.h"
#include "keyring_take.h"
#include "log.h"

static const char usage[] =
	"usage: warder keyring attach [-- COMMAND [ARG]...]\n"
	"\n"
	"In a container, for a process that joined another session keyring (`keyctl session`, a login):\n"
	"has the container keyring linked there, as the first lookup with callout information would, and\n"
	"runs the command, which shares the session keyring. For those whose lookups have none: file\n"
	"systems, dm-crypt, encrypted keys.\n";

int cmd_keyring_attach(int argc, char **argv)
{
	int err;

	if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
		return fputs(usage, stdout) < 0;
	if (argc > 1 && (strcmp(argv[1], "--") || argc < 3)) {
		fputs(usage, stderr);
		return EXIT_WARDER;
	}
	err = keyring_session_attach();
	if (err == -ENOKEY)
		log_error("the container keyring is not linked in this session keyring: no container of "
			  "warder's, the session is not one that the container made, or the host has not "
			  "run `warder request-key divert`");
	else if (err)
		log_error("the session keyring cannot be read: %s. It is the host's, or its permissions "
			  "keep its own tasks out", strerror(-err));
	if (err)
		return EXIT_WARDER;
	if (argc < 3)
		return 0;
	execvp(argv[2], argv + 2);
	log_error("cannot run %s: %s", argv[2], strerror(errno));
	return errno == ENOENT ? 127 : 126;
}
