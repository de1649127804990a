// SPDX-License-Identifier: LGPL-2.1-or-later
/* warderd: the supervisor as a program, in the foreground or started on demand by `warder`. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "container.h"
#include "supervisor.h"

static const char usage[] =
	"usage: warderd [--on-demand] [--ready-fd N] [--wait-bound MICROSECONDS]\n"
	"\n"
	"The supervisor of warder's containers. Runs in the foreground until SIGTERM; containers\n"
	"that run then are kept, and their policies stay in force. A supervisor that runs already\n"
	"hands its containers over to this one.\n"
	"\n"
	"      --on-demand   leave when the last container is gone; give way to another supervisor\n"
	"      --ready-fd N  write \"ok\", or what went wrong, to this descriptor\n"
	"      --wait-bound US  how long a refused call may wait in the kernel to be claimed\n"
	"                    (default 500, at most 2000; 50000 with WARDER_EMULATED=1 in the\n"
	"                    environment, where it is the default)\n"
	"  -h, --help        this text\n"
	"      --version     the version\n"
	"\n"
	"With NOTIFY_SOCKET in the environment, systemd is told when it is ready.\n";

/* Whoever started us may have left 0-2 closed: a socket must not get such a number. */
static void open_standard_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

int main(int argc, char **argv)
{
	static const struct option longs[] = { { "on-demand", no_argument, NULL, 'o' },
					       { "ready-fd", required_argument, NULL, 'r' },
					       { "wait-bound", required_argument, NULL, 'w' },
					       { "help", no_argument, NULL, 'h' },
					       { "version", no_argument, NULL, 'v' },
					       { NULL, 0, NULL, 0 } };
	struct supervisor_options options = { .ready_fd = -1 };
	struct warder_error e = { "" };
	const char *emulated;
	char *end;
	int c, err;

	container_builder_main(argc, argv);
	/* Under emulation a hand-over takes 0.5-13 ms; the loader checks what may be asked. */
	emulated = getenv("WARDER_EMULATED");
	if (emulated && !strcmp(emulated, "1"))
		options.wait_bound_us = 50000;
	open_standard_fds();
	log_init("warderd", LOG_LEVEL_INFO);
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'o':
			options.on_demand = 1;
			break;
		case 'r':
			options.ready_fd = (int)strtol(optarg, &end, 10);
			if (*end || end == optarg || fcntl(options.ready_fd, F_SETFD, FD_CLOEXEC)) {
				log_error("--ready-fd %s is no open descriptor", optarg);
				return EXIT_WARDER;
			}
			break;
		case 'w':
			errno = 0;
			options.wait_bound_us = (unsigned)strtoul(optarg, &end, 10);
			if (errno || *end || end == optarg || *optarg == '-' ||
			    !options.wait_bound_us || options.wait_bound_us > 50000) {
				log_error("--wait-bound %s is no number of microseconds from 1 to 50000",
					  optarg);
				return EXIT_WARDER;
			}
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'v':
			puts("warderd " WARDER_RELEASE);
			return 0;
		default:
			fputs(usage, stderr);
			return EXIT_WARDER;
		}
	}
	if (optind < argc) {
		log_error("unexpected argument \"%s\"", argv[optind]);
		return EXIT_WARDER;
	}
	err = supervisor_run(&options, &e);
	if (!err)
		return 0;
	if (!options.on_demand)
		log_error("%s", e.text);
	return EXIT_WARDER;
}
