// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Where a FUSE program runs that reads what a container has written: as nobody that counts, in the
 * container's cgroup, in namespaces of its own, with a root that holds the image, the host's libraries and
 * nothing else; no /proc, no network, no capability, and no way to get one.
 *
 * Its first process is ours, and so process 1 of the pid namespace: when it ends the kernel kills all
 * others. It ends with the program, with the mount, and, until it is told to stay, with the executor.
 */
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <poll.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "cleanup.h"
#include "executor_internal.h"

#define FIRST_FD 64     /* above whatever an executor has open */
#define DEVICE_FD 3
#define LOOK_MS 1000    /* how often it is looked whether the mount is still there */
#define FILES_MAX 256

/* To whoever started it, in one line. */
_Noreturn static void box_fail(const char *what)
{
	char text[96];
	int len = snprintf(text, sizeof(text), "%s: %s\n", what, strerror(errno));

	if (write(2, text, (size_t)len) < 0)
		_exit(2);
	_exit(1);
}

/* ----------------------------------------------------------------------- descriptors */

static void box_descriptors(struct fuse_box *b)
{
	int *const keep[] = { &b->program, &b->image, &b->device, &b->helper, &b->life, &b->errors,
			      &b->slot };
	int last = FIRST_FD;

	for (size_t i = 0; i < ARRAY_SIZE(keep); i++) {
		if (*keep[i] < 0)
			continue;
		*keep[i] = fcntl(*keep[i], F_DUPFD_CLOEXEC, last);
		if (*keep[i] < 0)
			_exit(1);
		last = *keep[i] + 1;
	}
	close_range(0, FIRST_FD - 1, 0);
	close_range((unsigned)last, ~0u, 0);
	if (open("/dev/null", O_RDWR) != 0 || dup(0) != 1 || dup2(b->errors, 2) != 2)
		_exit(1);
}

/* An executor hurries, and is spared by nobody: neither is inherited. */
static void box_ordinary(void)
{
	const struct sched_param none = { 0 };
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	sched_setscheduler(0, SCHED_OTHER, &none);
	setpriority(PRIO_PROCESS, 0, 0);
	setrlimit(RLIMIT_RTTIME, &(struct rlimit){ RLIM_INFINITY, RLIM_INFINITY });
	setrlimit(RLIMIT_RTPRIO, &(struct rlimit){ 0, 0 });
	setrlimit(RLIMIT_NICE, &(struct rlimit){ 0, 0 });
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){ FILES_MAX, FILES_MAX });
	if (fd >= 0 && write(fd, "0", 1) == 1)
		close(fd);
	/* The supervisor's session keyring is inherited as well. */
	syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	setsid();
	umask(022);
}

/* ------------------------------------------------------------------------------ root */

/* A host's path at the same place below the new root, which is our directory. What is not there on the
 * host is not needed. */
static void root_show(const char *path)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
				   .propagation = MS_PRIVATE };
	cleanup_close int fd = -1;
	char link[256];
	struct stat st;
	ssize_t len;

	if (lstat(path, &st))
		return;
	if (S_ISLNK(st.st_mode)) {
		len = readlink(path, link, sizeof(link) - 1);
		if (len <= 0)
			return;
		link[len] = '\0';
		if (symlink(link, path + 1) && errno != EEXIST)
			box_fail("link");
		return;
	}
	fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
	if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)))
		box_fail("libraries");
	if (S_ISDIR(st.st_mode) ? mkdir(path + 1, 0755) : mknod(path + 1, S_IFREG | 0444, 0))
		box_fail("libraries");
	if (move_mount(fd, "", AT_FDCWD, path + 1, MOVE_MOUNT_F_EMPTY_PATH))
		box_fail("libraries");
}

static void root_put(int fd, const char *name)
{
	if (mknod(name, S_IFREG | 0444, 0) ||
	    move_mount(fd, "", AT_FDCWD, name, MOVE_MOUNT_F_EMPTY_PATH))
		box_fail(name);
}

/* What libfuse 2 needs: a folder as mount point, a device that it opens (one that nothing is mounted with)
 * and a helper that gives it the other one when mount(2) is refused. */
static void root_device(int helper)
{
	if (mkdir("dev", 0755) || mkdir("dev/fd", 0755) || mkdir("dev/fd/3", 0755) ||
	    mknod("dev/null", S_IFCHR | 0666, makedev(1, 3)) || chmod("dev/null", 0666) ||
	    mknod("dev/fuse", S_IFCHR | 0666, makedev(10, 229)) || chmod("dev/fuse", 0666))
		box_fail("dev");
	if (helper < 0)
		return;
	if (mkdir("bin", 0755))
		box_fail("helper");
	root_put(helper, "bin/fusermount");
}

static void box_root(const struct fuse_box *b)
{
	static const char *const shown[] = { "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib",
					     "/lib", "/lib32", "/lib64", "/etc/ld.so.cache" };

	/* Any folder will do to build it on: this is a mount namespace of our own. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("warder-fuse", "/dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=64k,nr_inodes=64") ||
	    chdir("/dev"))
		box_fail("root");
	umask(0);
	if (mkdir("usr", 0755) || mkdir("usr/local", 0755) || mkdir("etc", 0755) || mkdir("tmp", 0755))
		box_fail("root");
	for (size_t i = 0; i < ARRAY_SIZE(shown); i++)
		root_show(shown[i]);
	root_device(b->helper);
	root_put(b->image, "image");
	umask(022);
	if (mount(NULL, ".", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOEXEC, NULL) ||
	    syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/"))
		box_fail("root");
}

/* --------------------------------------------------------------------------- rights */

static void box_rights(const struct fuse_box *b)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 }, { 0 } };

	for (int cap = 0; cap < 64; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) && errno != EINVAL)
			box_fail("capabilities");
	if (prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP_LOCKED |
				     SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
				     SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED) ||
	    setgroups(0, NULL) || setresgid(b->gid, b->gid, b->gid) ||
	    setresuid(b->uid, b->uid, b->uid) || syscall(SYS_capset, &head, none) ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0))
		box_fail("rights");
}

/* What such a program has no use for, and the kernel's history of holes has. */
static void box_filter(void)
{
	static const char *const refused[] = {
		"mount", "umount2", "pivot_root", "chroot", "fsopen", "fsconfig", "fsmount", "fspick",
		"move_mount", "open_tree", "mount_setattr", "unshare", "setns", "ptrace",
		"process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "bpf", "perf_event_open",
		"userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "keyctl", "add_key",
		"request_key", "socket", "connect", "bind", "listen", "accept", "accept4",
		"open_by_handle_at", "name_to_handle_at", "quotactl", "quotactl_fd", "swapon", "swapoff",
		"reboot", "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load",
		"acct", "syslog", "personality", "seccomp", "vmsplice", "fanotify_init", "landlock_create_ruleset",
		"mq_open", "shmget", "semget", "msgget", "iopl", "ioperm", "modify_ldt",
		"mknod", "mknodat", "setresuid", "setresgid", "setgroups", "sched_setscheduler",
		"sched_setattr", "settimeofday", "clock_settime", "adjtimex",
	};
	const unsigned long namespaces = CLONE_NEWNS | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET |
					 CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int err = ctx ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < ARRAY_SIZE(refused); i++) {
		int call = seccomp_syscall_resolve_name(refused[i]);

		/* One that this libseccomp does not know the kernel's own checks have to do for. */
		if (call != __NR_SCMP_ERROR)
			err = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), call, 0);
	}
	for (unsigned bit = 0; !err && bit < 32; bit++)
		if (namespaces >> bit & 1)
			err = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
					       SCMP_A0(SCMP_CMP_MASKED_EQ, 1ul << bit, 1ul << bit));
	/* Its flags lie in memory; the C library falls back to clone. */
	if (!err)
		err = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (!err)
		err = seccomp_load(ctx);
	errno = -err;
	if (err)
		box_fail("filter");
	seccomp_release(ctx);
}

/* ----------------------------------------------------------------------- the program */

_Noreturn static void box_exec(const struct fuse_box *b)
{
	const char *argv[8] = { b->name, "-f", "-s" };
	static const char *const envp[] = { "PATH=/bin", "LANG=C.UTF-8", NULL };
	int n = 3;

	if (b->read_only) {
		argv[n++] = "-o";
		argv[n++] = "ro";
	}
	argv[n++] = "/image";
	argv[n++] = "/dev/fd/3";
	if (dup2(b->device, DEVICE_FD) != DEVICE_FD)
		box_fail("device");
	syscall(SYS_execveat, b->program, "", argv, envp, AT_EMPTY_PATH);
	box_fail("exec");
}

/* The mount holds the connection: without it, poll(2) says so. Waiting for that would wake us with each
 * request. */
static int mount_is_gone(const struct fuse_box *b)
{
	struct pollfd p = { .fd = b->device };

	return poll(&p, 1, 0) == 1 && (p.revents & POLLERR);
}

_Noreturn static void box_watch(struct fuse_box *b, int pidfd)
{
	for (;;) {
		struct pollfd p[2] = { { .fd = pidfd, .events = POLLIN },
				       { .fd = b->life, .events = POLLIN } };
		char byte;

		if (poll(p, 2, LOOK_MS) < 0 && errno != EINTR)
			_exit(1);
		if (p[0].revents || mount_is_gone(b))
			_exit(0);
		if (!p[1].revents)
			continue;
		if (read(b->life, &byte, 1) != 1)
			_exit(0);
		/* It is mounted: from here on it is the mount's. */
		close(b->life);
		b->life = -1;
	}
}

_Noreturn static void box_main(struct fuse_box *b)
{
	pid_t pid;
	int pidfd;

	prctl(PR_SET_NAME, "warder-fuse");
	prctl(PR_SET_DUMPABLE, 0);
	box_descriptors(b);
	box_ordinary();
	box_root(b);
	box_rights(b);
	box_filter();
	pid = fork();
	if (pid == 0)
		box_exec(b);
	pidfd = pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0)
		box_fail("fork");
	/* The program's words are its own: this end would keep the pipe open. */
	close(b->errors);
	close(2);
	close(b->image);
	close(b->program);
	box_watch(b, pidfd);
}

int fuse_box_start(const struct fuse_box *b)
{
	/* The zygote's child: an executor has others to wait for, and may be gone first. */
	struct clone_args args = {
		.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
			 CLONE_PARENT | CLONE_INTO_CGROUP,
		.cgroup = (__u64)b->cgroup,
	};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	struct fuse_box own;

	if (pid < 0)
		return -errno;
	if (pid > 0)
		return 0;
	own = *b;
	box_main(&own);
}
