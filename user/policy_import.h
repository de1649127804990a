/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between the importers: the policy being put together, one rule on each line. */
#ifndef WARDER_POLICY_IMPORT_H
#define WARDER_POLICY_IMPORT_H

#include "policy_internal.h"
#include "policy_tools.h"

struct import_rule {
	enum warder_class class_;
	char *text;
	unsigned line, column; /* in the source */
	bool dropped;
};

struct import {
	const char *name;     /* of the source, for messages */
	const char *from;     /* what it was, for the head of the policy */
	char policy[WARDER_NAME_SIZE];
	bool audit;
	bool deny[WARDER_CLASS__MAX]; /* class defaults */
	struct import_rule *rule;
	size_t rules, cap;
	struct policy_diags *diags;
	int err;
};

/* Any text as the name of a policy. */
void import_name(struct import *im, const char *name);
void import_rule(struct import *im, unsigned line, unsigned column, enum warder_class class_,
		 const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Something that is not carried over. */
void import_lost(struct import *im, unsigned line, unsigned column, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* Something that was denied and cannot be, not even by a wider rule: the import fails. */
void import_fail(struct import *im, unsigned line, unsigned column, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* A pattern that matches all that a glob does which cannot be one: the folder in front of what is
 * special in it, and all below. False if that is the root. */
bool import_wider(const char *glob, char *buf, size_t size);
/* Writes the policy; an allow rule that the language refuses (a pattern, one that another shadows) is
 * left out and told, a deny rule only where an earlier one denies the same; else it fails. Frees the
 * rules. */
int import_finish(struct import *im, char **ret_text);

/* A glob of another tool as a quoted scalar: `**`, `*`, `?`, classes and braces mean the same.
 * False if it cannot be one. */
bool import_pattern(const char *glob, char *buf, size_t size);

/* Every change of a file that a name covers. */
#define IMPORT_CHANGES "write, create, delete, rename, link, symlink, chmod, chown, mknod"

#endif
