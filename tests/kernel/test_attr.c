// SPDX-License-Identifier: LGPL-2.1-or-later
/* The accesses of class "file" beyond opening: setattr, xattr, ioctl, lock, watch; and what
 * would turn an opening for appending into one for writing. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define BROKEN 90
#define DIR_OPEN "/root/attr/open"
#define DIR_SHUT "/root/attr/shut"

/* Everything may be read, written and so on in both folders; what this file is about in one. */
static const char policy[] = "policy: attr\n"
			     "defaults: {file: allow}\n"
			     "file:\n"
			     "  - deny: [setattr, xattr, ioctl, lock, watch]\n"
			     "    path: " DIR_SHUT "/**\n"
			     "    errno: EXDEV\n";
static const char log_policy[] = "policy: log\n"
				 "defaults: {file: deny}\n"
				 "file:\n"
				 "  - allow: [read, append]\n"
				 "    path: /root/attr/log\n";
static const char audit_policy[] = "policy: attr\n"
				   "mode: audit\n"
				   "file:\n"
				   "  - deny: [setattr, xattr, ioctl, lock, watch]\n"
				   "    path: " DIR_SHUT "/**\n";
static __u32 slot, audit_slot, log_slot;

static int op_utimes(void *dir)
{
	return chdir(dir) ? BROKEN : h_errno(utimensat(AT_FDCWD, "f", NULL, 0));
}

static int op_utimes_set(void *dir)
{
	struct timespec t[2] = { { .tv_sec = 1 }, { .tv_sec = 2 } };

	return chdir(dir) ? BROKEN : h_errno(utimensat(AT_FDCWD, "f", t, 0));
}

static int op_futimes(void *dir)
{
	int fd = chdir(dir) ? -1 : open("f", O_RDONLY);

	return fd < 0 ? BROKEN : h_errno(futimens(fd, NULL));
}

static int op_setxattr(void *dir)
{
	return chdir(dir) ? BROKEN : h_errno(setxattr("f", "trusted.a", "x", 1, 0));
}

static int op_removexattr(void *dir)
{
	return chdir(dir) ? BROKEN : h_errno(removexattr("f", "trusted.here"));
}

/* POSIX ACL of one entry for each class: the mode as it is. */
static int op_acl(void *dir)
{
	static const unsigned char acl[] = { 2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255,
					     4, 0, 6, 0, 255, 255, 255, 255, 32, 0, 6, 0,
					     255, 255, 255, 255 };

	return chdir(dir) ? BROKEN :
			    h_errno(setxattr("f", "system.posix_acl_access", acl, sizeof(acl), 0));
}

static int op_flags(void *dir)
{
	int fd = chdir(dir) ? -1 : open("f", O_RDONLY), flags = FS_NOATIME_FL;

	return fd < 0 ? BROKEN : h_errno(ioctl(fd, FS_IOC_SETFLAGS, &flags));
}

/* What concerns the descriptor and not the file is no ioctl in the sense of the rule. */
static int op_plain_ioctl(void *dir)
{
	int fd = chdir(dir) ? -1 : open("f", O_RDONLY), n;

	if (fd < 0 || ioctl(fd, FIOCLEX) || ioctl(fd, FIONREAD, &n))
		return errno;
	return 0;
}

static int op_flock(void *dir)
{
	int fd = chdir(dir) ? -1 : open("f", O_RDONLY);

	return fd < 0 ? BROKEN : h_errno(flock(fd, LOCK_SH));
}

static int op_fcntl_lock(void *dir)
{
	struct flock l = { .l_type = F_WRLCK };
	int fd = chdir(dir) ? -1 : open("f", O_RDWR);

	return fd < 0 ? BROKEN : h_errno(fcntl(fd, F_SETLK, &l));
}

static int op_lease(void *dir)
{
	int fd = chdir(dir) ? -1 : open("f", O_RDONLY);

	return fd < 0 ? BROKEN : h_errno(fcntl(fd, F_SETLEASE, F_RDLCK));
}

static int op_inotify(void *dir)
{
	int fd = inotify_init1(IN_CLOEXEC);

	return fd < 0 || chdir(dir) ? BROKEN : h_errno(inotify_add_watch(fd, "f", IN_MODIFY));
}

static int op_dnotify(void *dir)
{
	int fd = chdir(dir) ? -1 : open("d", O_RDONLY | O_DIRECTORY);

	return fd < 0 ? BROKEN : h_errno(fcntl(fd, F_NOTIFY, DN_CREATE));
}

struct access_case {
	const char *name;
	int (*fn)(void *);
	__u32 access;
};

static const struct access_case cases[] = {
	{ "utimes now", op_utimes, WARDER_ACC_SETATTR },
	{ "utimes", op_utimes_set, WARDER_ACC_SETATTR },
	{ "futimes", op_futimes, WARDER_ACC_SETATTR },
	{ "setxattr", op_setxattr, WARDER_ACC_XATTR },
	{ "removexattr", op_removexattr, WARDER_ACC_XATTR },
	{ "acl", op_acl, WARDER_ACC_XATTR },
	{ "flock", op_flock, WARDER_ACC_LOCK },
	{ "fcntl lock", op_fcntl_lock, WARDER_ACC_LOCK },
	{ "lease", op_lease, WARDER_ACC_LOCK },
	{ "inotify", op_inotify, WARDER_ACC_WATCH },
	{ "dnotify", op_dnotify, WARDER_ACC_WATCH },
};

static void make_files(void)
{
	for (int i = 0; i < 2; i++) {
		const char *dir = i ? DIR_SHUT : DIR_OPEN;

		h_shell("rm -rf %s; mkdir -p %s/d; echo f > %s/f", dir, dir, dir);
		h_shell("touch %s/f", dir);
		{
			char path[64];

			snprintf(path, sizeof(path), "%s/f", dir);
			assert_int_equal(setxattr(path, "trusted.here", "x", 1, 0), 0);
		}
	}
}

static void test_accesses(void **state)
{
	int failures = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct warder_event e;
		char name[WARDER_PATH_MAX], detail[WARDER_PATH_MAX];
		int open_, shut;

		make_files();
		h_events_drop();
		open_ = h_run((int)slot, cases[i].fn, DIR_OPEN);
		shut = h_run((int)slot, cases[i].fn, DIR_SHUT);
		if (open_ || shut != EXDEV) {
			print_error("%s: %d where it is allowed, %d where it is not\n",
				    cases[i].name, open_, shut);
			failures++;
			continue;
		}
		assert_true(h_event_last(slot, &e, name, detail));
		assert_int_equal(e.v.access, cases[i].access);
		assert_string_equal(name, strstr(cases[i].name, "dnotify") ? DIR_SHUT "/d" :
									     DIR_SHUT "/f");
	}
	assert_int_equal(failures, 0);
}

static void test_untagged(void **state)
{
	(void)state;
	make_files();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(h_run(-1, cases[i].fn, DIR_SHUT), 0);
}

static void test_audit(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make_files();
		assert_int_equal(h_run((int)audit_slot, cases[i].fn, DIR_SHUT), 0);
	}
}

static int op_tty_ioctl(void *path)
{
	struct winsize w = { 0 };
	int fd = open(path, O_RDWR | O_NOCTTY);

	return fd < 0 ? BROKEN : h_errno(ioctl(fd, TIOCSWINSZ, &w));
}

static int op_isatty(void *path)
{
	int fd = open(path, O_RDWR | O_NOCTTY);

	return fd < 0 ? BROKEN : isatty(fd) ? 0 : errno;
}

static int op_sti(void *path)
{
	int fd = open(path, O_RDWR);

	return fd < 0 ? BROKEN : h_errno(ioctl(fd, TIOCSTI, "x"));
}

static void test_ioctl(void **state)
{
	static const char tty_policy[] = "policy: tty\n"
					 "file:\n"
					 "  - deny: [ioctl]\n"
					 "    path: /dev/pts/**\n";
	char path[64];
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	__u32 tty_slot;

	(void)state;
	assert_true(master >= 0);
	assert_int_equal(grantpt(master), 0);
	assert_int_equal(unlockpt(master), 0);
	assert_int_equal(ptsname_r(master, path, sizeof(path)), 0);
	tty_slot = h_container(tty_policy);
	assert_int_equal(h_run((int)slot, op_tty_ioctl, path), 0);
	assert_int_equal(h_run((int)tty_slot, op_tty_ioctl, path), EACCES);
	/* Asking whether it is a terminal is not refused. */
	assert_int_equal(h_run((int)tty_slot, op_isatty, path), 0);
	/* The baseline, whatever the policy; root of the host may. */
	assert_int_equal(h_run((int)slot, op_sti, path), EPERM);
	assert_int_equal(h_run((int)audit_slot, op_sti, path), EPERM);
	close(master);
	/* chattr(1), where the file system of this kernel's tmpfs knows flags. */
	make_files();
	if (!h_run(-1, op_flags, DIR_OPEN)) {
		int shut = h_run((int)slot, op_flags, DIR_SHUT);

		assert_int_equal(h_run((int)slot, op_flags, DIR_OPEN), 0);
		assert_int_equal(shut, EXDEV);
	}
	assert_int_equal(h_run((int)slot, op_plain_ioctl, DIR_SHUT), 0);
}

/* A log that may be appended to and not overwritten. */
static int op_log_append(void *arg)
{
	int fd = open("/root/attr/log", O_WRONLY | O_APPEND);

	(void)arg;
	return fd < 0 ? errno : write(fd, "x", 1) == 1 ? 0 : errno;
}

static int op_log_write(void *arg)
{
	(void)arg;
	return h_errno(open("/root/attr/log", O_WRONLY));
}

static int op_log_unappend(void *arg)
{
	int fd = open("/root/attr/log", O_WRONLY | O_APPEND);

	(void)arg;
	return fd < 0 ? BROKEN : h_errno(fcntl(fd, F_SETFL, 0));
}

/* Flags that leave it as it is may be set. */
static int op_log_nonblock(void *arg)
{
	int fd = open("/root/attr/log", O_WRONLY | O_APPEND);

	(void)arg;
	return fd < 0 ? BROKEN : h_errno(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK));
}

static int op_log_map(void *arg)
{
	int fd = open("/root/attr/log", O_RDWR | O_APPEND);

	(void)arg;
	if (fd < 0)
		return BROKEN;
	return mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? errno : 0;
}

static int op_log_map_private(void *arg)
{
	int fd = open("/root/attr/log", O_RDWR | O_APPEND);

	(void)arg;
	if (fd < 0)
		return BROKEN;
	return mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED ? errno : 0;
}

static void test_append(void **state)
{
	(void)state;
	h_write("/root/attr/log", "line\n");
	assert_int_equal(h_run((int)log_slot, op_log_append, NULL), 0);
	assert_int_equal(h_run((int)log_slot, op_log_write, NULL), EACCES);
	assert_int_equal(h_run((int)log_slot, op_log_unappend, NULL), EACCES);
	assert_int_equal(h_run((int)log_slot, op_log_nonblock, NULL), 0);
	assert_int_equal(h_run((int)log_slot, op_log_map, NULL), EACCES);
	assert_int_equal(h_run((int)log_slot, op_log_map_private, NULL), 0);
	assert_int_equal(h_run(-1, op_log_unappend, NULL), 0);
	assert_int_equal(h_run(-1, op_log_map, NULL), 0);
}

/* A file that has lost its name is locked by those who still have it open. */
static int op_lock_deleted(void *dir)
{
	int fd = chdir(dir) ? -1 : open("f", O_RDWR);

	if (fd < 0 || unlink("f"))
		return BROKEN;
	return h_errno(flock(fd, LOCK_EX));
}

static void test_deleted(void **state)
{
	(void)state;
	make_files();
	assert_int_equal(h_run((int)slot, op_lock_deleted, DIR_OPEN), 0);
}

static int setup(void **state)
{
	(void)state;
	h_shell("mkdir -p /root/attr");
	h_load();
	slot = h_container(policy);
	audit_slot = h_container(audit_policy);
	log_slot = h_container(log_policy);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accesses), cmocka_unit_test(test_untagged),
		cmocka_unit_test(test_audit),	 cmocka_unit_test(test_ioctl),
		cmocka_unit_test(test_append),	 cmocka_unit_test(test_deleted),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
