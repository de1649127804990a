/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between the files that read AppArmor profiles. What cannot be said in a policy is told; an allow
 * rule is then left out, a deny rule made wider, and one that cannot be either ends the import. */
#ifndef WARDER_POLICY_IMPORT_APPARMOR_H
#define WARDER_POLICY_IMPORT_APPARMOR_H

#include "policy_import.h"

#define VARS_MAX 64
#define WORDS_MAX 64

struct reader {
	struct import im;
	const char *text;
	size_t len, at;
	unsigned line, column; /* of the statement */
	unsigned now;	       /* line being read */
	size_t line_start;
	char *statement;
	size_t used, cap;
	unsigned depth; /* of blocks */
	struct {
		char *name, *value;
	} var[VARS_MAX];
	size_t vars;
};

#define LOST(r, ...) import_lost(&(r)->im, (r)->line, (r)->column, __VA_ARGS__)
#define FAIL(r, ...) import_fail(&(r)->im, (r)->line, (r)->column, __VA_ARGS__)
#define RULE(r, class_, ...) import_rule(&(r)->im, (r)->line, (r)->column, class_, __VA_ARGS__)

/* Variables replaced; doubled slashes, which they leave, made one. False: an unknown one. */
bool apparmor_expand(const struct reader *r, const char *glob, char *buf, size_t size,
		     unsigned depth);

/* word[0] is the class's own; each says what it cannot carry over. */
void apparmor_network(struct reader *r, char **word, size_t n, bool deny, bool audit);
void apparmor_mount(struct reader *r, char **word, size_t n, bool deny, bool audit);

#endif
