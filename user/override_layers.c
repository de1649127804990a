// SPDX-License-Identifier: LGPL-2.1-or-later
/* What an overlay is made of, as its options say it. Pure: shared by the executor, which opens what they
 * name, and by tests of policies, which have nothing but names. */
#include <errno.h>
#include <string.h>

#include "executor.h"

int executor_layer_option(const char *text)
{
	static const char *const keys[] = { "lowerdir", "lowerdir+", "upperdir", "workdir" };
	size_t len = strcspn(text, "=");

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		if (strlen(keys[i]) == len && !strncmp(text, keys[i], len))
			return 1;
	return 0;
}

static int add_lowers(char *list, struct executor_layers *ret)
{
	for (char *next = list; next; list = next) {
		next = strchr(list, ':');
		if (next)
			*next++ = '\0';
		/* "::" begins layers of data only, of which whole files are taken by their place. */
		if (!*list)
			return -EINVAL;
		if (ret->lowers == EXECUTOR_LOWERS_MAX)
			return -E2BIG;
		ret->path[ret->lowers++] = list;
	}
	return 0;
}

int executor_layers_parse(char *data, struct executor_layers *ret)
{
	char *option, *save = NULL, *upper = NULL, *work = NULL;

	memset(ret, 0, sizeof(*ret));
	/* The kernel's own way to say "," and ":" in a path differs between its versions. */
	if (strchr(data, '\\'))
		return -EINVAL;
	for (option = strtok_r(data, ",", &save); option; option = strtok_r(NULL, ",", &save)) {
		char *value = strchr(option, '=');
		char **to = !strncmp(option, "upperdir=", 9) ? &upper :
			    !strncmp(option, "workdir=", 8)  ? &work :
							       NULL;
		int err = 0;

		if (!executor_layer_option(option))
			continue;
		if (!value || !value[1] || (to && *to))
			return -EINVAL;
		if (to)
			*to = value + 1;
		/* Of two lists the kernel takes the later one, or both. */
		else if (ret->lowers && strncmp(option, "lowerdir+", 9))
			return -EINVAL;
		else
			err = add_lowers(value + 1, ret);
		if (err)
			return err;
	}
	if (!ret->lowers || !upper != !work)
		return -EINVAL;
	ret->count = ret->lowers;
	if (upper) {
		ret->path[ret->count++] = upper;
		ret->path[ret->count++] = work;
	}
	return 0;
}
