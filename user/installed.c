// SPDX-License-Identifier: LGPL-2.1-or-later
#include "installed.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "control.h"

#define DIRS_MAX 32 /* beyond it the last ones are left out */
#define POLICIES "share/warder/policies"

/* The folder of the running program, with its slash. Its length, or -ENOENT. */
static int own_folder(char *path, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", path, size - 1);
	char *slash;

	if (n <= 0)
		return -ENOENT;
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (!slash)
		return -ENOENT;
	slash[1] = '\0';
	return (int)(slash + 1 - path);
}

int installed_beside(const char *name, char *path, size_t size)
{
	int n = own_folder(path, size);

	if (n < 0 || (size_t)n + strlen(name) >= size)
		return -ENOENT;
	strcpy(path + n, name);
	return access(path, F_OK) ? -ENOENT : 0;
}

/* PREFIX/share/warder/policies of a program in PREFIX/bin; "" elsewhere, and where one looks anyhow. */
static void own_policies(char *path, size_t size)
{
	int n = own_folder(path, size);

	if (n < 5 || strcmp(path + n - 5, "/bin/") || !strcmp(path, "/usr/bin/") ||
	    !strcmp(path, "/usr/local/bin/") || (size_t)n - 4 + sizeof(POLICIES) > size)
		path[0] = '\0';
	else
		strcpy(path + n - 4, POLICIES);
}

char **installed_policy_dirs(void)
{
	char own[PATH_MAX];
	const char *places[] = { getenv("WARDER_POLICY_PATH"), "policies", own, "/usr/local/" POLICIES,
				 "/usr/" POLICIES };
	char **dirs = calloc(DIRS_MAX + 1, sizeof(*dirs));
	size_t count = 0;

	own_policies(own, sizeof(own));
	for (size_t i = 0; dirs && i < ARRAY_SIZE(places); i++) {
		for (const char *p = places[i] ? places[i] : ""; *p; p += strspn(p, ":")) {
			size_t n = strcspn(p, ":");

			if (n && count < DIRS_MAX)
				dirs[count] = strndup(p, n);
			if (n && count < DIRS_MAX && dirs[count])
				count++;
			p += n;
		}
	}
	return dirs;
}

int installed_policy(const char *name, char *path, size_t size)
{
	char **dirs = installed_policy_dirs();
	int found = 0;

	for (size_t i = 0; dirs && dirs[i] && !found; i++)
		found = snprintf(path, size, "%s/%s.yaml", dirs[i], name) < (int)size && !access(path, F_OK);
	control_strv_free(dirs);
	return found ? 0 : -ENOENT;
}
