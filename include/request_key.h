/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * /sbin/request-key, which the kernel runs for upcalls: warder's in its place (a diversion), or a
 * line of its configuration that leads to warder's (a drop-in). Needs root to change anything.
 */
#ifndef WARDER_REQUEST_KEY_H
#define WARDER_REQUEST_KEY_H

#include <stddef.h>

#include "log.h"

#define REQUEST_KEY "/sbin/request-key"
#define REQUEST_KEY_ORDINARY "/sbin/request-key.ordinary"
#define REQUEST_KEY_CONF "/etc/request-key.conf"
#define REQUEST_KEY_CONF_DIR "/etc/request-key.d"
#define REQUEST_KEY_LINES REQUEST_KEY_CONF_DIR "/warder.conf"
/* In the program's bytes; two parts, so that no other program has it by quoting it. */
#define REQUEST_KEY_MARK "warder-request-key" " serves queues, 1"

enum request_key_state {
	REQUEST_KEY_NONE,     /* the ordinary one: nothing reaches queues, and BPF refuses */
	REQUEST_KEY_DIVERTED, /* warder's own */
	REQUEST_KEY_LINE,     /* lines of ours in the ordinary one's configuration */
};
enum request_key_state request_key_state(void);

/* How well a line of request-key.conf(5) fits a request: *ret[4], characters that wildcards took of
 * op, type, description and callout; 0 if it does not fit or is no line. The fewer the better, the
 * leftmost column first; of equal ones the first read. */
int request_key_line_fits(const char *line, const char *const words[4], size_t ret[4]);

/* The line that answers a request for such a key, as the ordinary program would choose it: its text
 * and "FILE:LINE" in ret_where. -ENOENT: none. */
int request_key_winner(const char *type, const char *description, char *ret_line, size_t line_size,
		       char *ret_where, size_t where_size);

#endif
