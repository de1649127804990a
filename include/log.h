/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages. Modules return 0 or -errno and fill a struct warder_error for people; only the
 * supervisor, the command line and their threads print, once, through log_*().
 */
#ifndef WARDER_LOG_H
#define WARDER_LOG_H

#include <stdarg.h>

#define WARDER_ERROR_SIZE 1024

/* What went wrong, for a person: what, where, what to do. Owned by the caller. */
struct warder_error {
	char text[WARDER_ERROR_SIZE]; /* empty: nothing was said */
};

/* Fills `e` (may be NULL) and returns `err` (negative), so that a failure is one expression:
 * return error_set(e, -ENOENT, "no container named %s", name). The text of err is not added. */
int error_set(struct warder_error *e, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same, with ": <strerror(-err)>" at the end. */
int error_errno(struct warder_error *e, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Program name shown before each message; level beyond which nothing is printed (default
 * LOG_LEVEL_INFO, WARDER_DEBUG in the environment: LOG_LEVEL_DEBUG). Call before threads start. */
void log_init(const char *program, enum log_level level);

/* One line to stderr, one write(2); safe from several threads. */
void log_message(enum log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#define log_error(...) log_message(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_message(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_message(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_message(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
