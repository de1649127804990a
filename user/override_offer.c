// SPDX-License-Identifier: LGPL-2.1-or-later
/* What rules offer of the host, looked at before a policy is used: paths, images, FUSE programs. */
#include <string.h>

#include "cleanup.h"
#include "override_internal.h"

int override_check_programs(const struct warder_image *img, struct warder_error *reterr)
{
	for (unsigned i = 0; i < WARDER_OVERRIDES_MAX && i < img->h.override_.count; i++) {
		const struct warder_override *r = override_rule_at(img, i);
		char why[256] = "", where[128];
		const char *name;
		int fd = -1, err;

		if (!r->fuse)
			continue;
		name = image_string(img, r->fuse);
		err = fuse_program_open(name, &fd, why, sizeof(why));
		if (err)
			return error_set(reterr, -EINVAL, "%s: FUSE program %s cannot be used: %s",
					 image_rule_where(img, r->rule, where, sizeof(where)), name,
					 why[0] ? why : strerror(-err));
		close(fd);
	}
	return 0;
}

int override_check_binds(const struct warder_image *img, struct warder_error *reterr)
{
	for (unsigned i = 0; i < WARDER_OVERRIDES_MAX && i < img->h.override_.count; i++) {
		const struct warder_override *r = override_rule_at(img, i);
		char why[256] = "", where[128];
		const char *path;
		int fd = -1, err;

		if (!r->bind || executor_is_server(r->type))
			continue;
		path = image_string(img, r->bind);
		err = r->ops == WARDER_MNT_NEW ? image_open(path, &fd, why, sizeof(why)) :
						 bind_source_open(path, &fd, why, sizeof(why));
		if (err)
			return error_set(reterr, -EINVAL,
					 "%s: %s cannot be offered: %s; offer a path that only "
					 "root can change",
					 image_rule_where(img, r->rule, where, sizeof(where)), path,
					 why[0] ? why : strerror(-err));
		close(fd);
	}
	return override_check_programs(img, reterr);
}
