/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of supervised system calls (warder_calls.h) as user space reads it. */
#ifndef WARDER_CALLS_USER_H
#define WARDER_CALLS_USER_H

#include <stddef.h>
#include <stdio.h>

#include "warder_abi.h"

/* The word of an operation in policies; "unknown" for another number. */
const char *call_op_word(__u32 op);
/* WARDER_OP_NONE when there is no such word. */
__u32 call_op_from_word(const char *word);
/* What of it the supervisor can perform, "" for nothing. */
const char *call_op_performed(__u32 op);

/* "mount", "fsetxattr"; "unknown" for another number. */
const char *call_name(__u32 call);
/* The operation of the system call with that name of `len` bytes; WARDER_OP_NONE: none has it. */
__u32 call_op_of(const char *name, size_t len);
/* Its number among the 64-bit ones; 0: it has none there. */
unsigned call_number(__u32 call);
/* Is it seen by seccomp notification only? */
int call_needs_notify(__u32 call);
/* The call with that number; compat: among the 32-bit ones. WARDER_CALL_NONE: none. */
__u32 call_from_number(unsigned nr, int compat);
/* One letter for each argument, see warder_calls.h; "" for another number. */
const char *call_arguments(__u32 call);
/* Which of the arguments is the n-th (from 0) of that kind; -1: none. */
int call_argument_of(__u32 call, char kind, int n);

/* "setns(5, 0x20000)". Strings are given where they were copied, else shown as "..."; `path` and
 * `text` may be NULL. */
const char *call_render(const struct warder_icept *ic, const char *path, const char *text,
			char *buf, size_t size);

/* The table for people, in Markdown. */
void call_print_matrix(FILE *f);

#endif
