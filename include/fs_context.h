/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The new mount API as a container sees it that may not use it: what fsopen(2), fsconfig(2),
 * fsmount(2), open_tree(2) and mount_setattr(2) would have made, put together from their copied
 * arguments. What comes out is what mount(2) would have been told; nothing is mounted here. Errors
 * are those of the kernel (fs/fsopen.c, fs/namespace.c). Pure: no system call, no state; any thread.
 */
#ifndef WARDER_FS_CONTEXT_H
#define WARDER_FS_CONTEXT_H

#include <linux/types.h>
#include <stddef.h>

#include "warder_abi.h"

#define FS_CONTEXT_STRING 256 /* fsconfig(2) takes no longer key or value, its NUL included */
#define FS_CONTEXT_DATA 4096  /* all options together: as much as mount(2) reads */

/* A mount that is not attached. */
struct fs_mount {
	int bind; /* 1: a clone of `source`; 0: a new file system */
	char fstype[WARDER_FSTYPE_SIZE];
	char source[FS_CONTEXT_DATA]; /* bind: the caller's path */
	char data[FS_CONTEXT_DATA];   /* options as mount(2) has them */
	__u32 flags;                  /* MS_* */
};

enum fs_context_phase {
	FS_CONTEXT_PARAMS = 0, /* takes options */
	FS_CONTEXT_CREATED,    /* the next is fsmount(2) */
	FS_CONTEXT_MOUNTED,    /* done; a reconfiguration is not made */
};

struct fs_context {
	enum fs_context_phase phase;
	struct fs_mount mount;
};

/* Arguments of fsconfig(2); the strings NULL where the caller's are. */
struct fs_config {
	__u32 cmd; /* FSCONFIG_* */
	const char *key;
	const char *value; /* SET_STRING: the text. Others: only whether there is one */
	__s32 aux;
};

/* fsopen(2): flags beyond FSOPEN_CLOEXEC are -EINVAL, a longer type is -ENODEV. */
int fs_context_open(struct fs_context *c, const char *fstype, __u32 flags);

/* What the kernel says of the command and of which arguments are there, before it looks at the
 * descriptor: 0, -EINVAL, -EOPNOTSUPP. */
int fs_config_check(const struct fs_config *f);
/*
 * fsconfig(2), after fs_config_check(). -EBUSY: not in this phase. -EINVAL: a kind of value that no
 * option of a performed type has, or a comma in a value, which would make it two options.
 * -E2BIG: more options than FS_CONTEXT_DATA holds. CMD_CREATE changes the phase only: what the caller
 * says first of all is whether it may.
 */
int fs_context_config(struct fs_context *c, const struct fs_config *f);

/* fsmount(2). -EINVAL: unknown flags, or nothing was created; -EBUSY: it is mounted already. */
int fs_context_mount(struct fs_context *c, __u32 flags, __u32 attr_flags, struct fs_mount *ret);

/* open_tree(2) with OPEN_TREE_CLONE. -EINVAL: unknown flags; -ENAMETOOLONG. */
int fs_mount_clone(struct fs_mount *m, const char *source, __u32 flags);

/* mount_setattr(2) on it. -EINVAL: contradictory or unknown bits; -EPERM: idmapping, and any
 * propagation but private, which it has anyway. */
int fs_mount_setattr(struct fs_mount *m, __u64 set, __u64 clear, __u64 propagation);

#endif
