/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What belongs to this program, wherever it was installed or built. */
#ifndef WARDER_INSTALLED_H
#define WARDER_INSTALLED_H

#include <stddef.h>

/* The path of what is called `name` in the folder of the running program. 0, or -ENOENT. */
int installed_beside(const char *name, char *path, size_t size);

/* Folders with policies, in order: those of WARDER_POLICY_PATH, ./policies, this installation's, and those
 * of /usr/local and /usr. NULL-terminated, for control_strv_free(); NULL: no memory. */
char **installed_policy_dirs(void);
/* The file of the policy called `name` in the first of these folders that has it. 0, or -ENOENT. */
int installed_policy(const char *name, char *path, size_t size);

#endif
