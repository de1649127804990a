// SPDX-License-Identifier: LGPL-2.1-or-later
/* The new mount API's state, rebuilt from copied arguments. */
#include "fs_context.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "cleanup.h"

#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x200000
#endif
#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif
/* In newer headers enumerators. */
#define CONFIG_SET_FLAG 0u
#define CONFIG_SET_STRING 1u
#define CONFIG_SET_BINARY 2u
#define CONFIG_SET_PATH 3u
#define CONFIG_SET_PATH_EMPTY 4u
#define CONFIG_SET_FD 5u
#define CONFIG_CMD_CREATE 6u
#define CONFIG_CMD_RECONFIGURE 7u
#define CONFIG_CMD_CREATE_EXCL 8u
#define CONFIG_BINARY_MAX (1024 * 1024)

#define ATIME_MASK MOUNT_ATTR__ATIME
#define ATTR_SIMPLE                                                                           \
	(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |       \
	 MOUNT_ATTR_NODIRATIME | MOUNT_ATTR_NOSYMFOLLOW)

int fs_context_open(struct fs_context *c, const char *fstype, __u32 flags)
{
	if (flags & ~(__u32)FSOPEN_CLOEXEC)
		return -EINVAL;
	if (strlen(fstype) >= sizeof(c->mount.fstype))
		return -ENODEV;
	memset(c, 0, sizeof(*c));
	strcpy(c->mount.fstype, fstype);
	return 0;
}

int fs_config_check(const struct fs_config *f)
{
	int key = f->key != NULL, value = f->value != NULL, bad;

	switch (f->cmd) {
	case CONFIG_SET_FLAG:
		bad = !key || value || f->aux;
		break;
	case CONFIG_SET_STRING:
		bad = !key || !value || f->aux;
		break;
	case CONFIG_SET_BINARY:
		bad = !key || !value || f->aux <= 0 || f->aux > CONFIG_BINARY_MAX;
		break;
	case CONFIG_SET_PATH:
	case CONFIG_SET_PATH_EMPTY:
		bad = !key || !value || (f->aux != AT_FDCWD && f->aux < 0);
		break;
	case CONFIG_SET_FD:
		bad = !key || value || f->aux < 0;
		break;
	case CONFIG_CMD_CREATE:
	case CONFIG_CMD_RECONFIGURE:
	case CONFIG_CMD_CREATE_EXCL:
		bad = key || value || f->aux;
		break;
	default:
		return -EOPNOTSUPP;
	}
	return bad ? -EINVAL : 0;
}

/* Words that every file system takes (fs/fs_context.c), with the flag of mount(2). */
static int flag_of(const char *key, __u32 *ret_set, __u32 *ret_clear)
{
	static const struct {
		const char *word;
		__u32 set, clear;
	} words[] = {
		{ "ro", MS_RDONLY, 0 },		  { "rw", 0, MS_RDONLY },
		{ "sync", MS_SYNCHRONOUS, 0 },	  { "async", 0, MS_SYNCHRONOUS },
		{ "dirsync", MS_DIRSYNC, 0 },	  { "mand", MS_MANDLOCK, 0 },
		{ "nomand", 0, MS_MANDLOCK },	  { "lazytime", MS_LAZYTIME, 0 },
		{ "nolazytime", 0, MS_LAZYTIME },
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (!strcmp(key, words[i].word)) {
			*ret_set = words[i].set;
			*ret_clear = words[i].clear;
			return 1;
		}
	return 0;
}

static int add_option(struct fs_mount *m, const char *key, const char *value)
{
	size_t used = strlen(m->data);
	size_t need = strlen(key) + (value ? 1 + strlen(value) : 0) + (used ? 1 : 0);

	/* Options are told apart by commas from here on, and a key ends at its first "=". */
	if (!*key || strpbrk(key, ",=") || (value && strchr(value, ',')))
		return -EINVAL;
	if (need >= sizeof(m->data) - used)
		return -E2BIG;
	snprintf(m->data + used, sizeof(m->data) - used, "%s%s%s%s", used ? "," : "", key,
		 value ? "=" : "", value ? value : "");
	return 0;
}

int fs_context_config(struct fs_context *c, const struct fs_config *f)
{
	struct fs_mount *m = &c->mount;
	__u32 set, clear;

	if (f->cmd == CONFIG_CMD_RECONFIGURE)
		return -EBUSY;
	if (c->phase != FS_CONTEXT_PARAMS)
		return -EBUSY;
	switch (f->cmd) {
	case CONFIG_CMD_CREATE:
	case CONFIG_CMD_CREATE_EXCL:
		c->phase = FS_CONTEXT_CREATED;
		return 0;
	case CONFIG_SET_FLAG:
		if (flag_of(f->key, &set, &clear)) {
			m->flags = (m->flags & ~clear) | set;
			return 0;
		}
		return add_option(m, f->key, NULL);
	case CONFIG_SET_STRING:
		if (strlen(f->value) >= FS_CONTEXT_STRING)
			return -EINVAL;
		if (strcmp(f->key, "source"))
			return add_option(m, f->key, f->value);
		if (m->source[0])
			return -EINVAL; /* once only */
		strcpy(m->source, f->value);
		return 0;
	default:
		return -EINVAL;
	}
}

/* MOUNT_ATTR_* as MS_*; -EINVAL: what fsmount(2) does not take. */
static int attr_to_flags(__u64 attr, __u32 *ret)
{
	__u32 flags = (__u32)attr & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC); /* same bits */

	if (attr & ~(__u64)(ATTR_SIMPLE | ATIME_MASK))
		return -EINVAL;
	switch (attr & ATIME_MASK) {
	case MOUNT_ATTR_RELATIME:
		break;
	case MOUNT_ATTR_NOATIME:
		flags |= MS_NOATIME;
		break;
	case MOUNT_ATTR_STRICTATIME:
		flags |= MS_STRICTATIME;
		break;
	default:
		return -EINVAL;
	}
	if (attr & MOUNT_ATTR_NODIRATIME)
		flags |= MS_NODIRATIME;
	if (attr & MOUNT_ATTR_NOSYMFOLLOW)
		flags |= MS_NOSYMFOLLOW;
	*ret = flags;
	return 0;
}

int fs_context_mount(struct fs_context *c, __u32 flags, __u32 attr_flags, struct fs_mount *ret)
{
	__u32 ms;

	if ((flags & ~(__u32)FSMOUNT_CLOEXEC) || attr_to_flags(attr_flags, &ms))
		return -EINVAL;
	if (c->phase == FS_CONTEXT_PARAMS)
		return -EINVAL;
	if (c->phase == FS_CONTEXT_MOUNTED)
		return -EBUSY;
	c->phase = FS_CONTEXT_MOUNTED;
	*ret = c->mount;
	ret->flags |= ms;
	return 0;
}

int fs_mount_clone(struct fs_mount *m, const char *source, __u32 flags)
{
	const __u32 known = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_NO_AUTOMOUNT |
			    AT_RECURSIVE | AT_SYMLINK_NOFOLLOW;

	if (flags & ~known)
		return -EINVAL;
	if (strlen(source) >= sizeof(m->source))
		return -ENAMETOOLONG;
	memset(m, 0, sizeof(*m));
	m->bind = 1;
	m->flags = MS_BIND | (flags & AT_RECURSIVE ? MS_REC : 0);
	strcpy(m->source, source);
	return 0;
}

int fs_mount_setattr(struct fs_mount *m, __u64 set, __u64 clear, __u64 propagation)
{
	const __u32 atime = MS_NOATIME | MS_STRICTATIME;
	__u64 plain = ATTR_SIMPLE | ATIME_MASK;
	__u32 add, gone;

	if ((set | clear) & MOUNT_ATTR_IDMAP)
		return -EPERM;
	if ((set | clear) & ~plain)
		return -EINVAL;
	/* An access-time mode is set together with clearing all of them, or not at all. */
	if (((set & ATIME_MASK) && (clear & ATIME_MASK) != ATIME_MASK) ||
	    ((clear & ATIME_MASK) && (clear & ATIME_MASK) != ATIME_MASK))
		return -EINVAL;
	if (attr_to_flags(set, &add) || attr_to_flags(clear & ~(__u64)ATIME_MASK, &gone))
		return -EINVAL;
	if (propagation && propagation != MS_PRIVATE) {
		int known = propagation == MS_SHARED || propagation == MS_SLAVE ||
			    propagation == MS_UNBINDABLE;

		return known ? -EPERM : -EINVAL;
	}
	if (clear & ATIME_MASK)
		gone |= atime;
	m->flags = (m->flags & ~gone) | add;
	return 0;
}
