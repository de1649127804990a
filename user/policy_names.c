// SPDX-License-Identifier: LGPL-2.1-or-later
/* Names of accesses, mount operations and flags, capabilities, errnos and classes. */
#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <sys/mount.h>

#include "cleanup.h"
#include "policy.h"

struct name_bit {
	const char *name;
	__u32 bit;
};

static const struct name_bit accesses[] = {
	{ "read", WARDER_ACC_READ },	     { "write", WARDER_ACC_WRITE },
	{ "append", WARDER_ACC_APPEND },     { "create", WARDER_ACC_CREATE },
	{ "delete", WARDER_ACC_DELETE },     { "rename", WARDER_ACC_RENAME },
	{ "link", WARDER_ACC_LINK },	     { "symlink", WARDER_ACC_SYMLINK },
	{ "chmod", WARDER_ACC_CHMOD },	     { "chown", WARDER_ACC_CHOWN },
	{ "truncate", WARDER_ACC_TRUNCATE }, { "setattr", WARDER_ACC_SETATTR },
	{ "xattr", WARDER_ACC_XATTR },	     { "mknod", WARDER_ACC_MKNOD },
	{ "ioctl", WARDER_ACC_IOCTL },	     { "lock", WARDER_ACC_LOCK },
	{ "map_exec", WARDER_ACC_MAP_EXEC }, { "watch", WARDER_ACC_WATCH },
	{ "exec", WARDER_ACC_EXEC },
};
_Static_assert(ARRAY_SIZE(accesses) == WARDER_ACC_BITS, "every access has a name");

static const struct name_bit mount_ops[] = {
	{ "mount", WARDER_MNT_NEW },
	{ "bind", WARDER_MNT_BIND },
	{ "remount", WARDER_MNT_REMOUNT },
	{ "move", WARDER_MNT_MOVE },
	{ "propagation", WARDER_MNT_PROPAGATION },
	{ "umount", WARDER_MNT_UMOUNT },
	{ "pivot_root", WARDER_MNT_PIVOT },
	{ "attach", WARDER_MNT_ATTACH },
};
_Static_assert(ARRAY_SIZE(mount_ops) == WARDER_MNT_BITS, "every operation has a name");

static const struct name_bit mount_flags[] = {
	{ "ro", MS_RDONLY },
	{ "nosuid", MS_NOSUID },
	{ "nodev", MS_NODEV },
	{ "noexec", MS_NOEXEC },
	{ "sync", MS_SYNCHRONOUS },
	{ "mand", MS_MANDLOCK },
	{ "dirsync", MS_DIRSYNC },
	{ "noatime", MS_NOATIME },
	{ "nodiratime", MS_NODIRATIME },
	{ "relatime", MS_RELATIME },
	{ "strictatime", MS_STRICTATIME },
	{ "lazytime", MS_LAZYTIME },
	{ "silent", MS_SILENT },
	{ "rec", MS_REC },
	{ "private", MS_PRIVATE },
	{ "slave", MS_SLAVE },
	{ "shared", MS_SHARED },
	{ "unbindable", MS_UNBINDABLE },
};

/* By number, as linux/capability.h counts them. */
static const char *const capabilities[] = {
	"chown",
	"dac_override",
	"dac_read_search",
	"fowner",
	"fsetid",
	"kill",
	"setgid",
	"setuid",
	"setpcap",
	"linux_immutable",
	"net_bind_service",
	"net_broadcast",
	"net_admin",
	"net_raw",
	"ipc_lock",
	"ipc_owner",
	"sys_module",
	"sys_rawio",
	"sys_chroot",
	"sys_ptrace",
	"sys_pacct",
	"sys_admin",
	"sys_boot",
	"sys_nice",
	"sys_resource",
	"sys_time",
	"sys_tty_config",
	"mknod",
	"lease",
	"audit_write",
	"audit_control",
	"setfcap",
	"mac_override",
	"mac_admin",
	"syslog",
	"wake_alarm",
	"block_suspend",
	"audit_read",
	"perfmon",
	"bpf",
	"checkpoint_restore",
};

static const char *const classes[WARDER_CLASS__MAX] = {
	[WARDER_CLASS_NONE] = "none",	      [WARDER_CLASS_FILE] = "file",
	[WARDER_CLASS_EXEC] = "exec",	      [WARDER_CLASS_CAPABILITY] = "capability",
	[WARDER_CLASS_MOUNT] = "mount",	      [WARDER_CLASS_PTRACE] = "ptrace",
	[WARDER_CLASS_SIGNAL] = "signal",     [WARDER_CLASS_IPC] = "ipc",
	[WARDER_CLASS_KERNEL] = "kernel",     [WARDER_CLASS_DEVICE] = "device",
	[WARDER_CLASS_KEYRING] = "keyring",   [WARDER_CLASS_OVERRIDE] = "override",
	[WARDER_CLASS_IDENTITY] = "identity", [WARDER_CLASS_NETWORK] = "network",
	[WARDER_CLASS_MEMORY] = "memory",     [WARDER_CLASS_NAMESPACE] = "namespace",
};

static int bit_from_name(const struct name_bit *table, size_t count, const char *name, __u32 *ret)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(table[i].name, name)) {
			*ret = table[i].bit;
			return 0;
		}
	return -1;
}

static const char *name_of_bit(const struct name_bit *table, size_t count, __u32 bit)
{
	for (size_t i = 0; i < count; i++)
		if (table[i].bit == bit)
			return table[i].name;
	return NULL;
}

int access_from_name(const char *name, __u32 *ret_bits)
{
	return bit_from_name(accesses, ARRAY_SIZE(accesses), name, ret_bits);
}

const char *access_name(__u32 bit)
{
	return name_of_bit(accesses, ARRAY_SIZE(accesses), bit);
}

int mount_op_from_name(const char *name, __u32 *ret_bits)
{
	return bit_from_name(mount_ops, ARRAY_SIZE(mount_ops), name, ret_bits);
}

const char *mount_op_name(__u32 bit)
{
	return name_of_bit(mount_ops, ARRAY_SIZE(mount_ops), bit);
}

int mount_flag_from_name(const char *name, __u32 *ret_flag)
{
	return bit_from_name(mount_flags, ARRAY_SIZE(mount_flags), name, ret_flag);
}

const char *mount_flag_name(__u32 flag)
{
	return name_of_bit(mount_flags, ARRAY_SIZE(mount_flags), flag);
}

int capability_from_name(const char *name)
{
	if (!strncasecmp(name, "cap_", 4))
		name += 4;
	for (size_t i = 0; i < ARRAY_SIZE(capabilities); i++)
		if (!strcasecmp(capabilities[i], name))
			return (int)i;
	return -1;
}

const char *capability_name(int cap, char *buf, size_t size)
{
	if (cap < 0 || (size_t)cap >= ARRAY_SIZE(capabilities)) {
		snprintf(buf, size, "CAP_%d", cap);
		return buf;
	}
	snprintf(buf, size, "CAP_%s", capabilities[cap]);
	for (char *p = buf; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	return buf;
}

const char *errno_name(int err)
{
	return err > 0 ? strerrorname_np(err) : NULL;
}

int errno_from_name(const char *name)
{
	/* The kernel's own numbers end at 133 (EHWPOISON). */
	for (int i = 1; i <= 133; i++) {
		const char *n = strerrorname_np(i);

		if (n && !strcmp(n, name))
			return i;
	}
	/* Second names of numbers that glibc knows by the first. */
	if (!strcmp(name, "EWOULDBLOCK"))
		return EWOULDBLOCK;
	if (!strcmp(name, "ENOTSUP"))
		return ENOTSUP;
	if (!strcmp(name, "EDEADLOCK"))
		return EDEADLK;
	return -1;
}

const char *mode_name(__u32 mode)
{
	static const char *const names[] = { "enforce", "audit", "learn" };

	return mode < ARRAY_SIZE(names) ? names[mode] : "?";
}

const char *class_name(__u32 class_)
{
	return class_ < WARDER_CLASS__MAX ? classes[class_] : NULL;
}
