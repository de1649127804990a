// SPDX-License-Identifier: LGPL-2.1-or-later
/* warder sign: the program beside this one does it. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "installed.h"
#include "log.h"

#define SIGN_PROGRAM "warder-sign"

int cmd_sign(int argc, char **argv)
{
	static char name[] = SIGN_PROGRAM;
	char path[PATH_MAX];

	(void)argc;
	argv[0] = name;
	if (!installed_beside(SIGN_PROGRAM, path, sizeof(path)))
		execv(path, argv);
	execvp(SIGN_PROGRAM, argv);
	log_error("cannot run " SIGN_PROGRAM ", which makes signatures: %s", strerror(errno));
	return EXIT_WARDER;
}
