// SPDX-License-Identifier: LGPL-2.1-or-later
/* Messages for people: error texts that modules hand up, and the one place that prints. */
#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *log_program = "warder";
static enum log_level log_max = LOG_LEVEL_INFO;

static int error_vset(struct warder_error *e, int err, int with_errno, const char *format,
		      va_list args)
{
	size_t used;
	int n;

	if (!e)
		return err;
	n = vsnprintf(e->text, sizeof(e->text), format, args);
	if (n < 0)
		e->text[0] = '\0';
	used = strlen(e->text);
	if (with_errno)
		snprintf(e->text + used, sizeof(e->text) - used, ": %s", strerror(-err));
	return err;
}

int error_set(struct warder_error *e, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	err = error_vset(e, err, 0, format, args);
	va_end(args);
	return err;
}

int error_errno(struct warder_error *e, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	err = error_vset(e, err, 1, format, args);
	va_end(args);
	return err;
}

void log_init(const char *program, enum log_level level)
{
	log_program = program;
	log_max = getenv("WARDER_DEBUG") ? LOG_LEVEL_DEBUG : level;
}

void log_message(enum log_level level, const char *format, ...)
{
	static const char *const prefix[] = { "error: ", "warning: ", "", "debug: " };
	char line[WARDER_ERROR_SIZE + 256];
	size_t used;
	va_list args;
	ssize_t written;

	if (level > log_max)
		return;
	snprintf(line, sizeof(line) - 1, "%s: %s", log_program, prefix[level]);
	used = strlen(line);
	va_start(args, format);
	vsnprintf(line + used, sizeof(line) - 1 - used, format, args);
	va_end(args);
	used = strlen(line);
	line[used++] = '\n';
	/* A message that cannot be written has nowhere else to go. */
	written = write(STDERR_FILENO, line, used);
	(void)written;
}
