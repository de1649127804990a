// SPDX-License-Identifier: LGPL-2.1-or-later
/* warder sign: the program beside this one does it. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "log.h"

#define SIGN_PROGRAM "warder-sign"

int cmd_sign(int argc, char **argv)
{
	static char name[] = SIGN_PROGRAM;
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - sizeof(SIGN_PROGRAM) - 1);
	char *slash;

	(void)argc;
	argv[0] = name;
	if (n > 0) {
		path[n] = '\0';
		slash = strrchr(path, '/');
		memcpy(slash + 1, SIGN_PROGRAM, sizeof(SIGN_PROGRAM));
		execv(path, argv);
	}
	execvp(SIGN_PROGRAM, argv);
	log_error("cannot run " SIGN_PROGRAM ", which makes signatures: %s", strerror(errno));
	return EXIT_WARDER;
}
