// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Calls other than new mounts, performed for callers that know nothing of it; and what a hostile
 * container tries with them.
 */
#include "override_rig.h"

/* Tables of cases leave out what is zero. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define HEAD "policy: t\ndefaults: {namespace: allow}\n"

static const char policy_mounts[] =
	HEAD
	"file: [{deny: [read], path: /mnt/scratch/b/secret}]\n"
	"override:\n"
	"  - {on: umount, target: [/mnt/scratch/**, /proc/**], do: perform}\n"
	"  - {on: mount, type: tmpfs, target: /mnt/scratch/**, do: perform}\n"
	"  - {on: mount, bind: /srv/assets, target: /mnt/scratch/bind, force: [ro], do: perform}\n"
	"  - {on: remount, target: /mnt/scratch/**, options: {size: '<=64M'}, do: perform}\n"
	"  - {on: move, source: /mnt/scratch/*, target: /mnt/scratch/*, do: perform}\n"
	"  - {on: propagation, target: /mnt/scratch/**, do: perform}\n";

static const char policy_objects[] =
	HEAD
	"file: [{deny: [mknod, xattr], path: /mnt/scratch/denied/**}]\n"
	"override:\n"
	"  - {on: mknod, node: 'c 1:3', target: /mnt/scratch/**, do: perform}\n"
	"  - {on: setxattr, target: /mnt/scratch/**, do: perform}\n"
	"  - {on: [sethostname, setdomainname], do: perform}\n"
	"  - {on: [sched_setscheduler, setpriority], priority: {realtime: '<=3', nice: '>=-5'}, "
	"do: perform}\n";

/* ------------------------------------------------------------------------- mounts */

static int do_umount_force(void *arg)
{
	return h_errno(umount2(arg, MNT_FORCE));
}

/* By a descriptor of its own, whose number names it: detached, since that keeps it busy. */
static int do_umount_fd(void *arg)
{
	char path[64];
	int fd = open(arg, O_PATH);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (umount2(path, 0) != -1 || errno != EBUSY)
		return 240;
	return h_errno(umount2(path, MNT_DETACH));
}

static int do_umount_nested(void *arg)
{
	if (unshare(CLONE_NEWNS))
		return 240;
	return h_errno(umount2(arg, 0));
}

static int do_umount_chroot(void *arg)
{
	if (chroot("/mnt/scratch") || chdir("/"))
		return 240;
	return h_errno(umount2(arg, 0));
}

static void test_umount(void **state)
{
	__u32 slot = rig_container(policy_mounts);
	int busy;

	(void)state;
	rig_tmpfs(slot, "/mnt/scratch/a", MS_NOSUID | MS_NODEV, "size=1M");
	busy = open("/mnt/scratch/a", O_RDONLY);
	RESULT(EBUSY, "", rig_umount, "/mnt/scratch/a");
	close(busy);
	RESULT(EPERM, "MNT_FORCE", do_umount_force, "/mnt/scratch/a");
	RESULT(EPERM, "of its own", do_umount_nested, "/mnt/scratch/a");
	assert_int_equal(rig_mounted("/mnt/scratch/a", NULL, 0), 1);
	RESULT(0, "allows it", rig_umount, "/mnt/scratch/link");
	assert_int_equal(rig.last.performed, 1);
	assert_string_equal(rig.last.target, "/mnt/scratch/a");
	assert_int_equal(rig_mounted("/mnt/scratch/a", NULL, 0), 0);
	/* That one the kernel says before it asks for anything. */
	assert_int_equal(rig_run((int)slot, rig_umount, "/mnt/scratch/a"), EINVAL);
	rig_tmpfs(slot, "/mnt/scratch/a", MS_NOSUID | MS_NODEV, "size=1M");
	RESULT(0, "", do_umount_fd, "/mnt/scratch/a");
	rig_tmpfs(slot, "/mnt/scratch/a", MS_NOSUID | MS_NODEV, "size=1M");
	RESULT(0, "", do_umount_chroot, "/a");
	assert_int_equal(rig_mounted("/mnt/scratch/a", NULL, 0), 0);
	rig_tmpfs(slot, "/mnt/scratch/a", MS_NOSUID | MS_NODEV, "size=1M");
	RESULT(0, "", rig_detach, "/mnt/scratch/a");
}

/* What is not the container's to take off. */
static void test_umount_hostile(void **state)
{
	__u32 slot = rig_container(policy_mounts);
	char path[64];
	int host;

	(void)state;
	rig_tmpfs(slot, "/mnt/other", MS_NOSUID | MS_NODEV, "size=1M");
	RESULT(EPERM, "does not allow the target /mnt/other", rig_umount, "/mnt/other");
	assert_int_equal(symlink("/mnt/other", "/mnt/scratch/evil"), 0);
	RESULT(EPERM, "does not allow the target /mnt/other", rig_umount, "/mnt/scratch/evil");
	unlink("/mnt/scratch/evil");
	/* A mask over what the kernel shows. */
	rig_tmpfs(slot, "/proc/fs", MS_NOSUID | MS_NODEV, "size=4k,mode=555");
	RESULT(EPERM, "runtimes mask", rig_umount, "/proc/fs");
	umount2("/proc/fs", MNT_DETACH);
	/* A link of /proc leads to another namespace's mount, a descriptor of one does as well. */
	RESULT(EPERM, "link of /proc", rig_umount, "/proc/self/root/mnt/other");
	snprintf(path, sizeof(path), "/proc/%d/root/proc", getppid());
	host = open(path, O_PATH);
	assert_true(host >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", host);
	assert_int_equal(rig_run((int)slot, rig_detach, path), EINVAL);
	close(host);
	assert_int_equal(access("/proc/self", F_OK), 0);
	assert_int_equal(rig_mounted("/mnt/other", NULL, 0), 1);
	umount2("/mnt/other", MNT_DETACH);
}

static volatile int swapping;

/* Turns the link to and fro while the call is looked at. */
static void *swap_links(void *arg)
{
	(void)arg;
	for (int i = 0; swapping; i++) {
		unlink("/mnt/scratch/swap.new");
		if (symlink(i & 1 ? "/mnt/other" : "/mnt/scratch/b", "/mnt/scratch/swap.new") ||
		    rename("/mnt/scratch/swap.new", "/mnt/scratch/swap"))
			continue;
	}
	return NULL;
}

/* Neither is the wrong mount ever taken off, nor a node made in the wrong folder. */
static void test_swap(void **state)
{
	__u32 slot = rig_container(policy_mounts);
	pthread_t thread;
	int allowed = 0;

	(void)state;
	rig_tmpfs(slot, "/mnt/other", MS_NOSUID | MS_NODEV, "size=1M");
	swapping = 1;
	assert_int_equal(pthread_create(&thread, NULL, swap_links, NULL), 0);
	for (int i = 0; i < 12; i++) {
		int err;

		if (!rig_mounted("/mnt/scratch/b", NULL, 0))
			rig_tmpfs(slot, "/mnt/scratch/b", MS_NOSUID | MS_NODEV, "size=1M");
		err = rig_run((int)slot, rig_umount, "/mnt/scratch/swap");
		if (err && err != EPERM && err != ENOENT && err != EBUSY)
			fail_msg("errno %d: %s", err, rig.last.reason);
		allowed += !err;
		assert_int_equal(rig_mounted("/mnt/other", NULL, 0), 1);
	}
	swapping = 0;
	pthread_join(thread, NULL);
	unlink("/mnt/scratch/swap");
	umount2("/mnt/scratch/b", MNT_DETACH);
	umount2("/mnt/other", MNT_DETACH);
	print_message("# %d of 12 were unmounted\n", allowed);
}

struct remount {
	const char *target, *data;
	unsigned long flags;
};

static int do_remount(void *arg)
{
	const struct remount *r = arg;

	return h_errno(mount(NULL, r->target, NULL, MS_REMOUNT | r->flags, r->data));
}

#define REMOUNT(expected, reason, ...) \
	RESULT(expected, reason, do_remount, (&(struct remount){ __VA_ARGS__ }))

static void test_remount(void **state)
{
	__u32 slot = rig_container(policy_mounts);
	struct rig_call make = { .target = "/mnt/scratch/a", .type = "tmpfs" };
	struct rig_call bind = { .source = "/srv/assets", .target = "/mnt/scratch/bind",
				 .flags = MS_BIND };
	struct statfs fs;

	(void)state;
	RESULT(0, "", rig_mount, &make);
	REMOUNT(EPERM, "bounds option size", "/mnt/scratch/a", "size=65M");
	REMOUNT(EPERM, "does not list", "/mnt/scratch/a", "mode=777");
	REMOUNT(0, "", "/mnt/scratch/a", "size=2M");
	assert_int_equal(statfs("/mnt/scratch/a", &fs), 0);
	assert_int_equal(fs.f_blocks * (unsigned long)fs.f_bsize, 2 << 20);
	REMOUNT(0, "", "/mnt/scratch/a", NULL, MS_BIND | MS_NOEXEC);
	assert_non_null(strstr(rig_line("/mnt/scratch/a"), "nosuid,nodev,noexec"));
	/* What is there stays there: nosuid and nodev are not even asked for. */
	REMOUNT(EPERM, "noexec", "/mnt/scratch/a", NULL, MS_BIND);
	REMOUNT(0, "", "/mnt/scratch/a", NULL, MS_BIND | MS_NOEXEC | MS_RDONLY);
	REMOUNT(0, "", "/mnt/scratch/a", NULL, MS_BIND | MS_NOEXEC);
	assert_non_null(strstr(rig_line("/mnt/scratch/a"), "rw,nosuid,nodev,noexec"));
	REMOUNT(EINVAL, "", "/mnt/scratch/b", NULL, MS_BIND);
	umount2("/mnt/scratch/a", MNT_DETACH);
	/* What the host offers read-only is not made writable. */
	RESULT(0, "", rig_mount, &bind);
	REMOUNT(EPERM, "stays read-only", "/mnt/scratch/bind", NULL, MS_BIND);
	REMOUNT(EPERM, "not a tmpfs", "/mnt/scratch/bind", NULL, 0);
	assert_int_equal(open("/mnt/scratch/bind/new", O_CREAT | O_WRONLY, 0600), -1);
	assert_int_equal(errno, EROFS);
	umount2("/mnt/scratch/bind", MNT_DETACH);
	REMOUNT(EPERM, "does not allow the target", "/mnt/other", NULL, MS_BIND);
}

static int do_move(void *arg)
{
	const char *const *path = arg;

	return h_errno(mount(path[0], path[1], NULL, MS_MOVE, NULL));
}

static int do_propagation(void *arg)
{
	const struct remount *r = arg;

	return h_errno(mount(NULL, r->target, NULL, r->flags, NULL));
}

static void test_move(void **state)
{
	static const char *const away[] = { "/mnt/scratch/a", "/mnt/other" };
	static const char *const from[] = { "/mnt/other", "/mnt/scratch/b" };
	static const char *const good[] = { "/mnt/scratch/a", "/mnt/scratch/b" };
	__u32 slot = rig_container(policy_mounts);

	(void)state;
	rig_tmpfs(slot, "/mnt/scratch/a", MS_NOSUID | MS_NODEV, "size=1M");
	rig_tmpfs(slot, "/mnt/other", MS_NOSUID | MS_NODEV, "size=1M");
	h_write("/mnt/scratch/a/secret", "x");
	assert_int_equal(rig_run((int)slot, rig_read, "/mnt/scratch/a/secret"), 0);
	RESULT(EPERM, "does not allow the target /mnt/other", do_move, away);
	RESULT(EPERM, "does not allow the source /mnt/other", do_move, from);
	RESULT(0, "", do_move, good);
	assert_int_equal(rig_mounted("/mnt/scratch/a", NULL, 0), 0);
	assert_int_equal(rig_mounted("/mnt/scratch/b", NULL, 0), 1);
	/* File rules speak of the new name. */
	assert_int_equal(rig_run((int)slot, rig_read, "/mnt/scratch/b/secret"), EACCES);
	RESULT(0, "", do_propagation, (&(struct remount){ "/mnt/scratch/b", NULL, MS_SHARED }));
	assert_non_null(strstr(rig_line("/mnt/scratch/b"), "shared:"));
	RESULT(EINVAL, "", do_propagation, (&(struct remount){ "/mnt/scratch/b", NULL, MS_SHARED | MS_PRIVATE }));
	RESULT(EPERM, "target", do_propagation, (&(struct remount){ "/mnt/other", NULL, MS_SHARED }));
	umount2("/mnt/scratch/b", MNT_DETACH);
	umount2("/mnt/other", MNT_DETACH);
}

/* ------------------------------------------------------------------------ objects */

struct node {
	const char *path, *dir;
	unsigned major, minor;
	mode_t type;
	int uid;
};

static int do_mknod(void *arg)
{
	const struct node *n = arg;
	int fd = n->dir ? open(n->dir, O_PATH) : AT_FDCWD;

	umask(027);
	if (h_drop_capabilities() || (n->uid && setresuid(n->uid, n->uid, n->uid)))
		return 250;
	return h_errno(syscall(SYS_mknodat, fd, n->path, n->type | 0666, makedev(n->major, n->minor)));
}

#define MKNOD(expected, reason, ...) \
	RESULT(expected, reason, do_mknod, (&(struct node){ __VA_ARGS__ }))

static void test_mknod(void **state)
{
	__u32 slot = rig_container(policy_objects);
	struct stat st;

	(void)state;
	MKNOD(0, "", "/mnt/scratch/null", NULL, 1, 3, S_IFCHR);
	assert_int_equal(stat("/mnt/scratch/null", &st), 0);
	assert_true(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_string_equal(rig.last.target, "/mnt/scratch/null");
	unlink("/mnt/scratch/null");
	MKNOD(0, "", "null", "/mnt/scratch/a", 1, 3, S_IFCHR);
	assert_int_equal(unlink("/mnt/scratch/a/null"), 0);
	MKNOD(EPERM, "list node c 1:5", "/mnt/scratch/null", NULL, 1, 5, S_IFCHR);
	MKNOD(EPERM, "list node b 1:3", "/mnt/scratch/null", NULL, 1, 3, S_IFBLK);
	MKNOD(EPERM, "baseline", "/mnt/scratch/mem", NULL, 1, 1, S_IFCHR);
	MKNOD(EPERM, "does not allow the target", "/mnt/other/null", NULL, 1, 3, S_IFCHR);
	assert_int_equal(symlink("/mnt/other", "/mnt/scratch/evil"), 0);
	MKNOD(EPERM, "does not allow the target /mnt/other/null", "/mnt/scratch/evil/null", NULL, 1, 3,
	      S_IFCHR);
	unlink("/mnt/scratch/evil");
	MKNOD(EPERM, "link of /proc", "/proc/self/root/mnt/scratch/null", NULL, 1, 3, S_IFCHR);
	assert_int_equal(access("/mnt/other/null", F_OK), -1);
	assert_int_equal(access("/mnt/scratch/null", F_OK), -1);
}

struct attribute {
	const char *path, *name, *value;
	int flags, how; /* 0 setxattr, 1 lsetxattr, 2 fsetxattr */
};

static int do_setxattr(void *arg)
{
	const struct attribute *a = arg;
	int fd = a->how == 2 ? open(a->path, O_RDONLY) : -1;

	if (h_drop_capabilities())
		return 250;
	return h_errno(a->how == 2 ?
			       fsetxattr(fd, a->name, a->value, strlen(a->value), a->flags) :
		       a->how ? lsetxattr(a->path, a->name, a->value, strlen(a->value), a->flags) :
				setxattr(a->path, a->name, a->value, strlen(a->value), a->flags));
}

#define SETXATTR(expected, reason, ...) \
	RESULT(expected, reason, do_setxattr, (&(struct attribute){ __VA_ARGS__ }))
#define OPAQUE "trusted.overlay.opaque"

static void test_setxattr(void **state)
{
	__u32 slot = rig_container(policy_objects);
	char value[8];

	(void)state;
	SETXATTR(0, "", "/mnt/scratch/a", OPAQUE, "y");
	assert_int_equal(getxattr("/mnt/scratch/a", OPAQUE, value, sizeof(value)), 1);
	SETXATTR(EEXIST, "", "/mnt/scratch/a", OPAQUE, "y", XATTR_CREATE);
	SETXATTR(0, "", "/mnt/scratch/b", OPAQUE, "y", 0, 2);
	SETXATTR(EPERM, "another value", "/mnt/scratch/a", OPAQUE, "n");
	SETXATTR(EPERM, "list attribute trusted.other", "/mnt/scratch/a", "trusted.other", "y");
	SETXATTR(EPERM, "does not allow the target /mnt/other", "/mnt/other", OPAQUE, "y");
	SETXATTR(EPERM, "never overridden", "/mnt/scratch/denied/in", OPAQUE, "y");
	/* The link is followed by the one and not by the other. */
	assert_int_equal(symlink("/mnt/other", "/mnt/scratch/evil"), 0);
	SETXATTR(EPERM, "does not allow the target /mnt/other", "/mnt/scratch/evil", OPAQUE, "y");
	SETXATTR(0, "", "/mnt/scratch/evil", OPAQUE, "y", 0, 1);
	assert_int_equal(lgetxattr("/mnt/scratch/evil", OPAQUE, value, sizeof(value)), 1);
	assert_int_equal(getxattr("/mnt/other", OPAQUE, value, sizeof(value)), -1);
	unlink("/mnt/scratch/evil");
	removexattr("/mnt/scratch/a", OPAQUE);
	removexattr("/mnt/scratch/b", OPAQUE);
}

struct uts {
	const char *name;
	size_t len;
	int own, domain;
};

static int do_sethostname(void *arg)
{
	const struct uts *u = arg;
	char now[65] = "";
	int err;

	if ((u->own && unshare(CLONE_NEWUTS)) || h_drop_capabilities())
		return 250;
	err = h_errno(u->domain ? setdomainname(u->name, u->len) : sethostname(u->name, u->len));
	if (!err && ((u->domain ? getdomainname(now, sizeof(now)) : gethostname(now, sizeof(now))) ||
		     strcmp(now, u->name)))
		return 240;
	return err;
}

#define UTS(expected, reason, ...) \
	RESULT(expected, reason, do_sethostname, (&(struct uts){ __VA_ARGS__ }))

static void test_sethostname(void **state)
{
	__u32 slot = rig_container(policy_objects);
	char before[65], after[65];

	(void)state;
	assert_int_equal(gethostname(before, sizeof(before)), 0);
	UTS(0, "", "blue", 4, 1);
	UTS(0, "", "blue.org", 8, 1, 1);
	UTS(EINVAL, "64 bytes", "blue", 65, 1);
	UTS(EFAULT, "cannot be read", (const char *)8, 4, 1);
	UTS(EPERM, "the host's", "blue", 4, 0);
	assert_int_equal(gethostname(after, sizeof(after)), 0);
	assert_string_equal(before, after);
}

/* ---------------------------------------------------------------------- priorities */

struct priority {
	int realtime, nice;
	int whose; /* 0: own, 1: the parent's, 2: a child's, 3: in a pid namespace */
	int which;
};

static int set_priority(const struct priority *p, pid_t pid)
{
	const struct sched_param param = { .sched_priority = p->realtime };
	int err;

	if (p->realtime)
		err = h_errno(sched_setscheduler(pid, SCHED_FIFO, &param));
	else
		err = h_errno(setpriority(p->which, (id_t)pid, p->nice));
	if (err)
		return err;
	if (p->realtime ? sched_getscheduler(pid) != SCHED_FIFO :
			  getpriority(PRIO_PROCESS, (id_t)pid) != p->nice)
		return 240;
	return 0;
}

static int with_child(const struct priority *p)
{
	pid_t child = fork();
	int err;

	if (!child) {
		pause();
		_exit(0);
	}
	err = set_priority(p, child);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return err;
}

static int do_priority(void *arg)
{
	const struct priority *p = arg;
	int status;
	pid_t pid;

	if (p->whose == 3 && unshare(CLONE_NEWPID))
		return 251;
	if (p->whose == 3) {
		pid = fork();
		if (!pid)
			_exit(h_drop_capabilities() ? 250 : with_child(p));
		waitpid(pid, &status, 0);
		return WIFEXITED(status) ? WEXITSTATUS(status) : 252;
	}
	if (h_drop_capabilities())
		return 250;
	if (p->whose == 2)
		return with_child(p);
	return set_priority(p, p->whose ? getppid() : 0);
}

#define PRIORITY(expected, reason, ...) \
	RESULT(expected, reason, do_priority, (&(struct priority){ __VA_ARGS__ }))

static void test_priority(void **state)
{
	__u32 slot = rig_container(policy_objects);

	(void)state;
	PRIORITY(0, "", 3);
	PRIORITY(EPERM, "bounds real-time", 4);
	PRIORITY(0, "", 0, -5);
	PRIORITY(EACCES, "bounds nice", 0, -6);
	PRIORITY(0, "", 0, -5, 2);
	PRIORITY(0, "", 3, 0, 2);
	PRIORITY(0, "", 0, -5, 3);
	/* Others' are not the container's to set, nor many at once. */
	PRIORITY(EPERM, "not the container's", 3, 0, 1);
	PRIORITY(EACCES, "not the container's", 0, -5, 1);
	PRIORITY(EACCES, "more than one", 0, -5, 0, PRIO_PGRP);
	assert_int_equal(getpriority(PRIO_PROCESS, 0), 0);
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
}

static int setup(void **state)
{
	h_shell("mkdir -p /mnt/scratch/denied/in");
	return rig_setup(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_umount),	    cmocka_unit_test(test_umount_hostile),
		cmocka_unit_test(test_swap),	    cmocka_unit_test(test_remount),
		cmocka_unit_test(test_move),	    cmocka_unit_test(test_mknod),
		cmocka_unit_test(test_setxattr),    cmocka_unit_test(test_sethostname),
		cmocka_unit_test(test_priority),
	};

	return cmocka_run_group_tests(tests, setup, rig_teardown);
}
