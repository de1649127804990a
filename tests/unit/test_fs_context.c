// SPDX-License-Identifier: LGPL-2.1-or-later
/* What calls of the new mount API add up to, and the errors that the kernel would give. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>

#include <cmocka.h>

#include "fs_context.h"

static struct fs_context c;
static struct fs_mount m;

static int config(__u32 cmd, const char *key, const char *value, int aux)
{
	struct fs_config f = { .cmd = cmd, .key = key, .value = value, .aux = aux };
	int err = fs_config_check(&f);

	return err ? err : fs_context_config(&c, &f);
}

static int set(const char *key, const char *value)
{
	return config(value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, key, value, 0);
}

static void test_whole(void **state)
{
	(void)state;
	assert_int_equal(fs_context_open(&c, "tmpfs", FSOPEN_CLOEXEC), 0);
	assert_int_equal(set("source", "none"), 0);
	assert_int_equal(set("size", "4M"), 0);
	assert_int_equal(set("inode64", NULL), 0);
	assert_int_equal(set("ro", NULL), 0);
	assert_int_equal(config(FSCONFIG_CMD_CREATE, NULL, NULL, 0), 0);
	assert_int_equal(fs_context_mount(&c, FSMOUNT_CLOEXEC,
					  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOATIME, &m), 0);
	assert_int_equal(m.bind, 0);
	assert_string_equal(m.fstype, "tmpfs");
	assert_string_equal(m.source, "none");
	assert_string_equal(m.data, "size=4M,inode64");
	assert_int_equal(m.flags, MS_RDONLY | MS_NOSUID | MS_NOATIME);
	/* rw takes ro back; the flags of a clean mount are none. */
	assert_int_equal(fs_context_open(&c, "tmpfs", 0), 0);
	assert_int_equal(set("ro", NULL), 0);
	assert_int_equal(set("rw", NULL), 0);
	assert_int_equal(config(FSCONFIG_CMD_CREATE, NULL, NULL, 0), 0);
	assert_int_equal(fs_context_mount(&c, 0, 0, &m), 0);
	assert_int_equal(m.flags, 0);
	assert_string_equal(m.data, "");
}

static void test_phases(void **state)
{
	(void)state;
	assert_int_equal(fs_context_open(&c, "tmpfs", 2), -EINVAL);
	assert_int_equal(fs_context_open(&c, "a-type-of-thirty-two-characters!", 0), -ENODEV);
	assert_int_equal(fs_context_open(&c, "a-type-of-31-characters-exactly", 0), 0);
	assert_int_equal(fs_context_mount(&c, 0, 0, &m), -EINVAL);
	assert_int_equal(config(FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0), -EBUSY);
	assert_int_equal(config(FSCONFIG_CMD_CREATE, NULL, NULL, 0), 0);
	assert_int_equal(config(FSCONFIG_CMD_CREATE, NULL, NULL, 0), -EBUSY);
	assert_int_equal(set("size", "1M"), -EBUSY);
	assert_int_equal(fs_context_mount(&c, 2, 0, &m), -EINVAL);
	assert_int_equal(fs_context_mount(&c, 0, MOUNT_ATTR_IDMAP, &m), -EINVAL);
	assert_int_equal(fs_context_mount(&c, 0, MOUNT_ATTR_NOATIME | MOUNT_ATTR_STRICTATIME, &m),
			 -EINVAL);
	assert_int_equal(fs_context_mount(&c, 0, 0, &m), 0);
	assert_int_equal(fs_context_mount(&c, 0, 0, &m), -EBUSY);
	assert_int_equal(set("size", "1M"), -EBUSY);
}

static void test_arguments(void **state)
{
	char longest[FS_CONTEXT_STRING + 1];

	(void)state;
	memset(longest, 'x', sizeof(longest));
	longest[FS_CONTEXT_STRING] = '\0';
	assert_int_equal(fs_context_open(&c, "tmpfs", 0), 0);
	assert_int_equal(config(99, "a", NULL, 0), -EOPNOTSUPP);
	assert_int_equal(config(FSCONFIG_SET_FLAG, NULL, NULL, 0), -EINVAL);
	assert_int_equal(config(FSCONFIG_SET_FLAG, "a", "b", 0), -EINVAL);
	assert_int_equal(config(FSCONFIG_SET_STRING, "a", NULL, 0), -EINVAL);
	assert_int_equal(config(FSCONFIG_SET_STRING, "a", "b", 1), -EINVAL);
	assert_int_equal(config(FSCONFIG_SET_BINARY, "a", "b", 0), -EINVAL);
	assert_int_equal(config(FSCONFIG_SET_BINARY, "a", "b", 1), -EINVAL); /* none has such a value */
	assert_int_equal(config(FSCONFIG_SET_PATH, "a", "b", AT_FDCWD), -EINVAL);
	assert_int_equal(config(FSCONFIG_SET_FD, "a", NULL, 3), -EINVAL);
	assert_int_equal(config(FSCONFIG_CMD_CREATE, "a", NULL, 0), -EINVAL);
	assert_int_equal(set("a", longest), -EINVAL);
	longest[FS_CONTEXT_STRING - 1] = '\0';
	assert_int_equal(set("a", longest), 0);
	assert_int_equal(set("source", "x"), 0);
	assert_int_equal(set("source", "y"), -EINVAL);
}

/* No value becomes a second option, and no number of them more than there is room for. */
static void test_smuggling(void **state)
{
	char value[FS_CONTEXT_STRING];
	int err = 0, n = 0;

	(void)state;
	assert_int_equal(fs_context_open(&c, "tmpfs", 0), 0);
	assert_int_equal(set("size", "1M,uid=0"), -EINVAL);
	assert_int_equal(set("size,uid", "1M"), -EINVAL);
	assert_int_equal(set("size=1G", NULL), -EINVAL);
	assert_int_equal(set("", NULL), -EINVAL);
	assert_string_equal(c.mount.data, "");
	memset(value, 'v', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	for (; n < 100 && !err; n++)
		err = set("key", value);
	assert_int_equal(err, -E2BIG);
	assert_true(n < 20);
	assert_true(strlen(c.mount.data) < sizeof(c.mount.data));
	/* What was refused has left nothing. */
	assert_int_equal(c.mount.data[strlen(c.mount.data) - 1], 'v');
}

static void test_clone(void **state)
{
	static char path[FS_CONTEXT_DATA + 1];

	(void)state;
	assert_int_equal(fs_mount_clone(&m, "/srv/assets", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC), 0);
	assert_int_equal(m.bind, 1);
	assert_int_equal(m.flags, MS_BIND);
	assert_string_equal(m.source, "/srv/assets");
	assert_int_equal(fs_mount_clone(&m, "/a", OPEN_TREE_CLONE | AT_RECURSIVE), 0);
	assert_int_equal(m.flags, MS_BIND | MS_REC);
	assert_int_equal(fs_mount_clone(&m, "/a", OPEN_TREE_CLONE | 2), -EINVAL);
	memset(path, 'a', FS_CONTEXT_DATA);
	assert_int_equal(fs_mount_clone(&m, path, OPEN_TREE_CLONE), -ENAMETOOLONG);
}

static void test_setattr(void **state)
{
	(void)state;
	assert_int_equal(fs_mount_clone(&m, "/a", OPEN_TREE_CLONE), 0);
	assert_int_equal(fs_mount_setattr(&m, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID, 0, 0), 0);
	assert_int_equal(m.flags, MS_BIND | MS_RDONLY | MS_NOSUID);
	assert_int_equal(fs_mount_setattr(&m, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_RDONLY, MS_PRIVATE), 0);
	assert_int_equal(m.flags, MS_BIND | MS_NOEXEC | MS_NOSUID);
	assert_int_equal(fs_mount_setattr(&m, MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME, 0), 0);
	assert_int_equal(m.flags, MS_BIND | MS_NOEXEC | MS_NOSUID | MS_NOATIME);
	assert_int_equal(fs_mount_setattr(&m, MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME, 0), 0);
	assert_int_equal(m.flags, MS_BIND | MS_NOEXEC | MS_NOSUID | MS_STRICTATIME);
	assert_int_equal(fs_mount_setattr(&m, MOUNT_ATTR_NOATIME, 0, 0), -EINVAL);
	assert_int_equal(fs_mount_setattr(&m, MOUNT_ATTR_IDMAP, 0, 0), -EPERM);
	assert_int_equal(fs_mount_setattr(&m, 1ull << 40, 0, 0), -EINVAL);
	assert_int_equal(fs_mount_setattr(&m, 0, 0, MS_SHARED), -EPERM);
	assert_int_equal(fs_mount_setattr(&m, 0, 0, MS_RDONLY), -EINVAL);
	assert_int_equal(m.flags, MS_BIND | MS_NOEXEC | MS_NOSUID | MS_STRICTATIME);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),	  cmocka_unit_test(test_phases),
		cmocka_unit_test(test_arguments), cmocka_unit_test(test_smuggling),
		cmocka_unit_test(test_clone),	  cmocka_unit_test(test_setattr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
