// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A handler that uses libwarder: gives containers their names if those are in lower case, has new
 * tmpfs mounts made without execution and with 16 MiB at most, leaves device nodes to a person, and
 * passes on the rest. Build and run it with:
 * cc handler_lib.c -lwarder -o handler_lib && ./handler_lib names
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <warder.h>

static int lower(const char *name)
{
	for (; *name; name++)
		if (!islower((unsigned char)*name))
			return 0;
	return 1;
}

static int answer(struct warder_handler *h, const struct warder_handler_call *call)
{
	const struct warder_handler_changes small = { .struct_size = sizeof(small),
						      .add_flags = MS_NOEXEC,
						      .options = "size=16M" };

	if (!strcmp(call->operation, "sethostname") && call->source)
		return lower(call->source) ? warder_handler_perform(h, call->seq, NULL) :
					     warder_handler_deny(h, call->seq, EACCES);
	if (!strcmp(call->operation, "mount") && (call->may & WARDER_MAY_CHANGE_OPTIONS))
		return warder_handler_perform(h, call->seq, &small);
	if (!strcmp(call->operation, "mknod"))
		return warder_handler_ask(h, call->seq);
	return warder_handler_pass(h, call->seq);
}

int main(int argc, char **argv)
{
	struct warder_handler_options options = { .struct_size = sizeof(options), .order = 100,
						  .name = argc > 1 ? argv[1] : "names" };
	struct warder_handler_call call = { .struct_size = sizeof(call) };
	struct warder_handler *h;
	char error[512] = "";
	int err = warder_handler_open(&h, &options, error, sizeof(error));

	if (err) {
		fprintf(stderr, "%s\n", error);
		return 1;
	}
	fprintf(stderr, "is there, with version %u\n", warder_handler_version(h));
	for (;;) {
		err = warder_handler_next(h, &call, -1, error, sizeof(error));
		if (err == -EAGAIN || err == -EBADMSG)
			continue;
		if (err)
			break;
		fprintf(stderr, "%s of %s by %s (uid %lld)\n", call.operation,
			call.container ? call.container : "?", call.program ? call.program : "?",
			(long long)call.uid);
		err = answer(h, &call);
		if (err == -EPIPE)
			break;
	}
	fprintf(stderr, "%s\n", err == -ENODATA ? error : "the end");
	warder_handler_close(h);
	return 1;
}
