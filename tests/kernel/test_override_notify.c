// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The new mount API of containers that lack the capability: what a seccomp filter asks about is put
 * together by the override thread and made by an executor. Hostile callers as well. With arguments it
 * is a mount(8) that knows nothing but that API, for scripts.
 */
#include "override_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define OK(call)                                  \
	do {                                      \
		if ((call) < 0)                   \
			return errno ? errno : 255; \
	} while (0)

/* Shared with the child: the number of its listener, and when it may go on. */
static struct shared {
	volatile int listener; /* 0: not yet */
	volatile int go;
	volatile int token;    /* a descriptor that the parent takes */
	volatile int step;
} *shared;

struct call {
	int (*fn)(void *arg);
	void *arg;
	int keep_caps;
};

static int wait_for(volatile int *value, int wanted)
{
	for (int i = 0; i < 30000; i++) {
		if (__atomic_load_n(value, __ATOMIC_ACQUIRE) >= wanted)
			return 0;
		usleep(1000);
	}
	return -1;
}

/* The child: filtered as `warder run` does it, then without capabilities. */
static int filtered(void *arg)
{
	struct call *c = arg;
	struct warder_error e = { "" };
	int fd;

	/* A filter needs this or a capability; which the policy of a test may not leave. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return 240;
	fd = override_filter_install(OVERRIDE_FILTER_MOUNT, &e);
	if (fd < 0)
		return 241;
	__atomic_store_n(&shared->listener, fd, __ATOMIC_RELEASE);
	if (wait_for(&shared->go, 1))
		return 242;
	close(fd);
	if (!c->keep_caps && h_drop_capabilities())
		return 243;
	return c->fn(c->arg);
}

/* Starts it, and takes its listener: for the override thread, or (0) to be held by nobody. */
static pid_t begin(__u32 slot, struct call *c, int answered)
{
	int pidfd, fd;
	pid_t pid;

	memset(shared, 0, sizeof(*shared));
	pid = h_start((int)slot, filtered, c);
	assert_int_equal(wait_for(&shared->listener, 1), 0);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	assert_true(pidfd >= 0);
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, shared->listener, 0);
	assert_true(fd >= 0);
	close(pidfd);
	if (answered)
		assert_int_equal(override_listen(rig.override, h_cid(slot), slot, fd), 0);
	else
		close(fd);
	__atomic_store_n(&shared->go, 1, __ATOMIC_RELEASE);
	return pid;
}

static int run(__u32 slot, int (*fn)(void *), void *arg)
{
	struct call c = { .fn = fn, .arg = arg };

	return rig_wait(begin(slot, &c, 1));
}

/* ------------------------------------------------------------------ what mount(8) does */

struct new_mount {
	const char *type, *source, *target;
	const char *option[4]; /* "size=4M", "ro" */
	unsigned attr;
	int at; /* which step failed last */
};

static int configure(int fs, const char *option)
{
	char key[64];
	const char *value = strchr(option, '=');

	snprintf(key, sizeof(key), "%.*s", (int)strcspn(option, "="), option);
	return fsconfig(fs, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, key,
			value ? value + 1 : NULL, 0);
}

/* As util-linux 2.39 and later do it; also asks what they ask of the descriptors. */
static int new_mount(void *arg)
{
	struct new_mount *m = arg;
	struct mount_attr attr = { .attr_set = m->attr };
	char text[64];
	struct statx st;
	int fs, mnt;

	shared->step = 1;
	OK(fs = fsopen(m->type, FSOPEN_CLOEXEC));
	if (!(fcntl(fs, F_GETFD) & FD_CLOEXEC))
		return 230;
	shared->step = 2;
	OK(fsconfig(fs, FSCONFIG_SET_STRING, "source", m->source, 0));
	for (int i = 0; i < 4 && m->option[i]; i++)
		OK(configure(fs, m->option[i]));
	shared->step = 3;
	OK(fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	/* Messages: none. */
	if (read(fs, text, sizeof(text)) != -1 || errno != ENODATA)
		return 231;
	shared->step = 4;
	OK(mnt = fsmount(fs, FSMOUNT_CLOEXEC, 0));
	OK(statx(mnt, "", AT_EMPTY_PATH, STATX_MNT_ID, &st));
	if (m->attr)
		OK(mount_setattr(mnt, "", AT_EMPTY_PATH, &attr, sizeof(attr)));
	shared->step = 5;
	OK(move_mount(mnt, "", AT_FDCWD, m->target, MOVE_MOUNT_F_EMPTY_PATH));
	return 0;
}

static int bind_mount(void *arg)
{
	struct new_mount *m = arg;
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOEXEC };
	int mnt;

	shared->step = 1;
	OK(mnt = open_tree(AT_FDCWD, m->source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
	OK(mount_setattr(mnt, "", AT_EMPTY_PATH, &attr, sizeof(attr)));
	shared->step = 5;
	OK(move_mount(mnt, "", AT_FDCWD, m->target, MOVE_MOUNT_F_EMPTY_PATH));
	return 0;
}

/* ----------------------------------------------------------------------------- tests */

static void test_tmpfs(void **state)
{
	struct new_mount m = { .type = "tmpfs", .source = "none", .target = "/mnt/scratch/a",
			       .option = { "size=4M", "ro", "rw" }, .attr = MOUNT_ATTR_NOEXEC };
	__u32 slot = rig_container(rig_policy);
	int before = rig.outcomes;
	struct override_outcome *out;
	char line[1024] = "";

	(void)state;
	assert_int_equal(run(slot, new_mount, &m), 0);
	out = rig_outcome_wait(before, 1);
	assert_int_equal(rig.outcomes, before + 1);
	assert_int_equal(out->performed, 1);
	assert_int_equal(out->result, 0);
	assert_int_equal(out->icept.call, WARDER_CALL_move_mount);
	assert_int_equal(out->icept.cause, WARDER_REFUSAL_CAPABILITY);
	assert_int_equal(out->icept.cap, CAP_SYS_ADMIN);
	assert_int_equal(out->icept.cap_userns, rig_ns_ino("/proc/self/ns/user"));
	assert_string_equal(out->target, "/mnt/scratch/a");
	assert_true(out->rule != 0);
	assert_int_equal(rig_mounted("/mnt/scratch/a", line, sizeof(line)), 1);
	assert_non_null(strstr(line, "nosuid,nodev,noexec"));
	assert_non_null(strstr(line, "size=4096k"));
	assert_int_equal(umount2("/mnt/scratch/a", 0), 0);
	/* What is left out is bounded by the rule; a symlink's end counts as with mount(2). */
	m = (struct new_mount){ .type = "tmpfs", .source = "none", .target = "/mnt/scratch/link/deep" };
	assert_int_equal(run(slot, new_mount, &m), 0);
	assert_int_equal(rig_mounted("/mnt/scratch/a/deep", line, sizeof(line)), 1);
	assert_non_null(strstr(line, "size=65536k"));
	assert_int_equal(umount2("/mnt/scratch/a/deep", 0), 0);
}

static void refused(__u32 slot, int (*fn)(void *), struct new_mount *m, int err, int step,
		    const char *why)
{
	int before = rig.outcomes, got = run(slot, fn, m);
	struct override_outcome *out = rig_outcome_wait(before, 1);

	if (got != err || shared->step != step || !strstr(out->reason, why) || out->performed)
		fail_msg("%s %s: %d at step %d, not %d at %d: %s", m->type, m->target, got,
			 shared->step, err, step, out->reason);
	assert_int_equal(out->result, -err);
	assert_int_equal(out->icept.cap_userns, rig_ns_ino("/proc/self/ns/user"));
}

static void test_refused(void **state)
{
	struct new_mount m = { .type = "proc", .source = "none", .target = "/mnt/scratch/a" };
	__u32 slot = rig_container(rig_policy);

	(void)state;
	refused(slot, new_mount, &m, EPERM, 1, "allows only type tmpfs");
	m.type = "tmpfs";
	m.option[0] = "size=1G";
	refused(slot, new_mount, &m, EPERM, 3, "bounds option size by 67108864");
	m.option[0] = "mode=777";
	refused(slot, new_mount, &m, EPERM, 3, "does not list option mode");
	m.option[0] = NULL;
	m.target = "/mnt/other";
	refused(slot, new_mount, &m, EPERM, 5, "does not allow the target /mnt/other");
	m.target = "/mnt/scratch/denied";
	refused(slot, new_mount, &m, EPERM, 5, "explicit deny");
	m.target = "/mnt/scratch/nothing";
	refused(slot, new_mount, &m, ENOENT, 5, "the target cannot be opened");
	m.source = "/etc";
	m.target = "/mnt/scratch/bind";
	refused(slot, bind_mount, &m, EPERM, 1, "offers /srv/assets, not /etc");
	assert_int_equal(rig_mounted("/mnt/scratch/a", NULL, 0), 0);
	assert_int_equal(rig_mounted("/mnt/other", NULL, 0), 0);
	assert_int_equal(rig_mounted("/mnt/scratch/denied", NULL, 0), 0);
}

static void test_bind(void **state)
{
	struct new_mount m = { .source = "/srv/assets", .target = "/mnt/scratch/bind" };
	__u32 slot = rig_container(rig_policy);
	char line[1024] = "";

	(void)state;
	assert_int_equal(run(slot, bind_mount, &m), 0);
	assert_int_equal(rig_mounted("/mnt/scratch/bind", line, sizeof(line)), 1);
	assert_non_null(strstr(line, "ro,nosuid,nodev,noexec"));
	assert_int_equal(access("/mnt/scratch/bind/file", F_OK), 0);
	assert_int_equal(umount2("/mnt/scratch/bind", 0), 0);
}

static int bind_tree(void *arg)
{
	struct new_mount *m = arg;
	int mnt;

	shared->step = 1;
	OK(mnt = open_tree(AT_FDCWD, m->source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | m->attr));
	shared->step = 2;
	/* Whatever takes its place meanwhile is not what was cloned. */
	if (m->option[0])
		OK(rename(m->source, m->option[0]));
	shared->step = 5;
	OK(move_mount(mnt, "", AT_FDCWD, m->target, MOVE_MOUNT_F_EMPTY_PATH));
	return 0;
}

/* What is in the container, cloned when open_tree(2) is called. */
static void test_bind_own(void **state)
{
	static const char text[] =
		"policy: t\noverride: [{on: mount, source: [/mnt/scratch/**, /proc/**], "
		"target: /mnt/scratch/a, do: perform}]\n";
	struct new_mount m = { .source = "/mnt/scratch/from", .target = "/mnt/scratch/a" };
	__u32 slot = rig_container(text);

	(void)state;
	h_shell("mkdir -p /mnt/scratch/from/sub && touch /mnt/scratch/from/file /mnt/scratch/from/sub/hidden");
	assert_int_equal(run(slot, bind_mount, &m), 0);
	assert_int_equal(access("/mnt/scratch/a/file", F_OK), 0);
	assert_int_equal(umount2("/mnt/scratch/a", 0), 0);
	m.option[0] = "/mnt/scratch/gone";
	assert_int_equal(run(slot, bind_tree, &m), 0);
	assert_int_equal(access("/mnt/scratch/a/file", F_OK), 0);
	assert_int_equal(umount2("/mnt/scratch/a", 0), 0);
	m = (struct new_mount){ .source = "/mnt/scratch/gone", .target = "/mnt/scratch/a" };
	assert_int_equal(mount("none", "/mnt/scratch/gone/sub", "tmpfs", 0, NULL), 0);
	refused(slot, bind_tree, &m, EINVAL, 1, "come to light");
	m.attr = AT_RECURSIVE;
	assert_int_equal(run(slot, bind_tree, &m), 0);
	assert_int_equal(rig_mounted("/mnt/scratch/a/sub", NULL, 0), 1);
	assert_int_equal(access("/mnt/scratch/a/sub/hidden", F_OK), -1);
	assert_int_equal(umount2("/mnt/scratch/a", MNT_DETACH), 0);
	umount2("/mnt/scratch/gone/sub", MNT_DETACH);
	m.source = "/mnt/other";
	refused(slot, bind_tree, &m, EPERM, 1, "does not allow the source /mnt/other");
	m.source = "/proc/sys";
	refused(slot, bind_tree, &m, EPERM, 1, "kernel's own state");
	m.source = "/mnt/scratch/b";
	m.target = "/mnt/scratch/b";
	refused(slot, bind_tree, &m, EPERM, 5, "does not allow the target /mnt/scratch/b");
}

/* An image in the container, which a FUSE program reads: it is looked for when it is attached. */
static void test_fuse(void **state)
{
	static const char text[] =
		"policy: t\noverride: [{on: mount, type: xfs, source: /srv/assets/*.img, fuse: {xfs: testfuse}, "
		"target: /mnt/scratch/a, deadline: 60s, do: perform}]\n";
	struct new_mount m = { .type = "xfs", .source = "/srv/assets/ok.img", .target = "/mnt/scratch/a" };
	__u32 slot = rig_container(text);
	char line[1024] = "";

	(void)state;
	h_write("/srv/assets/ok.img", "ok hello\n");
	assert_int_equal(chmod("/srv/assets/ok.img", 0644), 0);
	assert_int_equal(run(slot, new_mount, &m), 0);
	assert_int_equal(rig_mounted("/mnt/scratch/a", line, sizeof(line)), 1);
	assert_non_null(strstr(line, " ro,nosuid,nodev"));
	assert_non_null(strstr(line, " - fuse.xfs /srv/assets/ok.img "));
	assert_int_equal(access("/mnt/scratch/a/report", F_OK), 0);
	assert_int_equal(umount2("/mnt/scratch/a", 0), 0);
	m.source = "/srv/assets/missing.img";
	refused(slot, new_mount, &m, EPERM, 5, "finds no image at /srv/assets/missing.img");
	m.source = "/srv/images/a.img";
	refused(slot, new_mount, &m, EPERM, 5, "does not allow the image /srv/images/a.img");
	m.source = "/srv/assets/ok.img";
	m.option[0] = "debug";
	refused(slot, new_mount, &m, EPERM, 3, "does not list option debug");
}

/* A file system in an image of the host's: its source is said after fsopen(2). */
static void test_image(void **state)
{
	static const char text[] =
		"policy: t\noverride: [{on: mount, type: ext4, image: /srv/images/a.img, "
		"trusted_image: true, target: /mnt/scratch/a, do: perform}]\n";
	struct new_mount m = { .type = "ext4", .source = "/srv/images/a.img", .target = "/mnt/scratch/a",
			       .option = { "ro" } };
	__u32 slot = rig_container(text);
	char line[1024] = "";

	(void)state;
	assert_int_equal(run(slot, new_mount, &m), 0);
	assert_int_equal(rig_mounted("/mnt/scratch/a", line, sizeof(line)), 1);
	assert_non_null(strstr(line, "ro,nosuid,nodev"));
	assert_int_equal(access("/mnt/scratch/a/lost+found", F_OK), 0);
	assert_int_equal(umount2("/mnt/scratch/a", 0), 0);
	m.option[0] = "errors=panic";
	refused(slot, new_mount, &m, EPERM, 3, "does not list option errors");
	m.option[0] = NULL;
	m.source = "/srv/images/b.img";
	refused(slot, new_mount, &m, EPERM, 3, "offers /srv/images/a.img");
	m.type = "xfs";
	refused(slot, new_mount, &m, EPERM, 1, "allows only type ext4");
}

/* What is shown once more is found when it is known where to, which comes last. */
static void test_view(void **state)
{
	static const char text[] = "policy: t\noverride: [{on: mount, type: [proc, sysfs], target: "
				   "/mnt/scratch/*, do: perform}]\n";
	struct new_mount m = { .type = "proc", .source = "none", .target = "/mnt/scratch/a" };
	__u32 slot = rig_container(text);
	char line[1024] = "";

	(void)state;
	assert_int_equal(mount("none", "/proc/fs", "tmpfs", 0, "size=4k"), 0);
	assert_int_equal(run(slot, new_mount, &m), 0);
	assert_int_equal(rig_mounted("/mnt/scratch/a", line, sizeof(line)), 1);
	assert_non_null(strstr(line, "nosuid,nodev"));
	assert_non_null(strstr(line, " - proc "));
	assert_int_equal(rig_mounted("/mnt/scratch/a/fs", line, sizeof(line)), 1);
	assert_int_equal(umount2("/mnt/scratch/a", MNT_DETACH), 0);
	m.option[0] = "hidepid=0";
	refused(slot, new_mount, &m, EPERM, 3, "does not list option hidepid");
	m = (struct new_mount){ .type = "sysfs", .source = "sysfs", .target = "/mnt/scratch/a" };
	assert_int_equal(mount("none", "/sys", "tmpfs", 0, "size=4k"), 0);
	refused(slot, new_mount, &m, EPERM, 5, "none at its place");
	assert_int_equal(umount2("/sys", MNT_DETACH), 0);
	umount2("/proc/fs", MNT_DETACH);
}

/* Layers are told one after the other, and looked at when it is known where to. */
static void test_overlay(void **state)
{
	static const char text[] = "policy: t\noverride: [{on: mount, type: overlay, source: /mnt/tree/*, "
				   "target: /mnt/scratch/*, do: perform}]\n";
	struct new_mount m = { .type = "overlay", .source = "overlay", .target = "/mnt/scratch/a",
			       .option = { "lowerdir=/mnt/tree/low:/mnt/tree/other" } };
	__u32 slot = rig_container(text);
	char line[1024] = "";

	(void)state;
	h_shell("modprobe overlay; mkdir -p /mnt/tree");
	assert_int_equal(mount("none", "/mnt/tree", "tmpfs", 0, "size=1M"), 0);
	h_record_mount(slot, "/mnt/tree", "/mnt/tree");
	h_shell("cd /mnt/tree && mkdir low other && echo x >other/file");
	assert_int_equal(run(slot, new_mount, &m), 0);
	assert_int_equal(rig_mounted("/mnt/scratch/a", line, sizeof(line)), 1);
	assert_non_null(strstr(line, "nosuid,nodev"));
	assert_int_equal(access("/mnt/scratch/a/file", R_OK), 0);
	assert_int_equal(umount2("/mnt/scratch/a", 0), 0);
	m.option[0] = "lowerdir=/srv/assets:/mnt/tree/low";
	refused(slot, new_mount, &m, EPERM, 5, "does not allow every layer");
	m.option[0] = "metacopy=on";
	refused(slot, new_mount, &m, EPERM, 3, "does not list option metacopy");
	umount2("/mnt/tree", MNT_DETACH);
}

static int perform(const struct override_ask *ask)
{
	struct override_answer a = { .cookie = ask->cookie, .says = OVERRIDE_SAYS_PERFORM, .why = "so be it" };

	return override_answer(rig.override, &a);
}

/* When a handler has decided it is looked at once more what the context is of. */
static void test_overlay_asked(void **state)
{
	static const char text[] = "policy: t\noverride: [{on: mount, type: overlay, source: /mnt/tree/*, "
				   "target: /mnt/scratch/*, do: 'handler:h', deadline: 30s}]\n";
	struct new_mount m = { .type = "overlay", .source = "overlay", .target = "/mnt/scratch/a",
			       .option = { "lowerdir=/mnt/tree/low:/mnt/tree/other" } };
	__u32 slot = rig_container(text);

	(void)state;
	rig.on_ask = perform;
	h_shell("modprobe overlay; mkdir -p /mnt/tree");
	assert_int_equal(mount("none", "/mnt/tree", "tmpfs", 0, "size=1M"), 0);
	h_record_mount(slot, "/mnt/tree", "/mnt/tree");
	h_shell("cd /mnt/tree && mkdir low other && echo x >other/file");
	if (run(slot, new_mount, &m))
		fail_msg("%s", rig.last.reason);
	assert_int_equal(access("/mnt/scratch/a/file", R_OK), 0);
	assert_int_equal(umount2("/mnt/scratch/a", 0), 0);
	umount2("/mnt/tree", MNT_DETACH);
	rig.on_ask = NULL;
}

/* A rule can be for one of the two ways only. */
static void test_way(void **state)
{
	static const char *const text[] = {
		"policy: t\noverride: [{on: mount, type: tmpfs, target: /mnt/**, do: perform, "
		"way: handoff}]\n",
		"policy: t\noverride: [{on: mount, type: tmpfs, target: /mnt/**, do: perform, "
		"way: notify}]\n",
	};
	struct new_mount m = { .type = "tmpfs", .source = "none", .target = "/mnt/scratch/a" };

	(void)state;
	for (int i = 0; i < 2; i++) {
		__u32 slot = rig_container(text[i]);

		if (i == 0) {
			refused(slot, new_mount, &m, EPERM, 1, "is not for the new mount API");
		} else {
			assert_int_equal(run(slot, new_mount, &m), 0);
			assert_int_equal(umount2("/mnt/scratch/a", 0), 0);
		}
	}
}

/* By somebody who has the capability the kernel is asked, and nothing is told. */
static int plain_open(void *arg)
{
	(void)arg;
	return h_errno(fsopen("tmpfs", 0));
}

static void test_capable(void **state)
{
	struct call c = { .fn = plain_open, .keep_caps = 1 };
	__u32 slot = rig_container("policy: t\nmount: [{allow: [mount], type: tmpfs, target: /mnt/**}]\n"
				   "capability: [{allow: [sys_admin]}]\n");
	int before = rig.outcomes;

	(void)state;
	assert_int_equal(rig_wait(begin(slot, &c, 1)), 0);
	usleep(100000);
	assert_int_equal(rig.outcomes, before);
}

/* ------------------------------------------------------------------------- arguments */

#define EXPECT(what, call, err)                                                            \
	do {                                                                               \
		long got_ = (call);                                                        \
		if ((got_ < 0 ? errno : 0) != (err)) {                                     \
			dprintf(2, "# %s: %ld, errno %d, not %d\n", what, got_, errno, err); \
			return 200;                                                        \
		}                                                                          \
	} while (0)

static int odd_arguments(void *arg)
{
	static char huge[65536];
	struct mount_attr attr = { 0 };
	int fs, fs2, mnt, file = open("/etc/passwd", O_RDONLY);

	(void)arg;
	memset(huge, 'x', sizeof(huge) - 1);
	EXPECT("no type", fsopen(NULL, 0), EPERM);
	EXPECT("bad address", fsopen((char *)8, 0), EPERM);
	EXPECT("huge type", fsopen(huge, 0), EPERM);
	EXPECT("unknown flags", fsopen("tmpfs", 2), EPERM);
	OK(fs = fsopen("tmpfs", 0));
	if (fcntl(fs, F_GETFD) & FD_CLOEXEC)
		return 201;
	EXPECT("foreign file", fsconfig(file, FSCONFIG_SET_FLAG, "ro", NULL, 0), EINVAL);
	EXPECT("foreign file's mount", fsmount(file, 0, 0), EPERM);
	EXPECT("foreign file attached",
	       move_mount(file, "", AT_FDCWD, "/mnt/scratch/a", MOVE_MOUNT_F_EMPTY_PATH), EPERM);
	EXPECT("no descriptor", fsconfig(999, FSCONFIG_SET_FLAG, "ro", NULL, 0), EBADF);
	EXPECT("no key", fsconfig(fs, FSCONFIG_SET_FLAG, NULL, NULL, 0), EINVAL);
	EXPECT("bad key", fsconfig(fs, FSCONFIG_SET_FLAG, (char *)8, NULL, 0), EFAULT);
	EXPECT("huge key", fsconfig(fs, FSCONFIG_SET_FLAG, huge, NULL, 0), EINVAL);
	EXPECT("huge value", fsconfig(fs, FSCONFIG_SET_STRING, "size", huge, 0), EINVAL);
	EXPECT("bad value", fsconfig(fs, FSCONFIG_SET_STRING, "size", (char *)8, 0), EFAULT);
	EXPECT("smuggled", fsconfig(fs, FSCONFIG_SET_STRING, "size", "1M,uid=0", 0), EINVAL);
	EXPECT("unknown command", fsconfig(fs, 77, NULL, NULL, 0), EOPNOTSUPP);
	EXPECT("a descriptor as value", fsconfig(fs, FSCONFIG_SET_FD, "size", NULL, file), EINVAL);
	EXPECT("not created", fsmount(fs, 0, 0), EINVAL);
	EXPECT("context attached",
	       move_mount(fs, "", AT_FDCWD, "/mnt/scratch/a", MOVE_MOUNT_F_EMPTY_PATH), EINVAL);
	EXPECT("size", fsconfig(fs, FSCONFIG_SET_STRING, "size", "1M", 0), 0);
	/* Another number of the same open file, and the first one gone. */
	OK(fs2 = dup(fs));
	close(fs);
	EXPECT("closed", fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0), EBADF);
	EXPECT("duplicate", fsconfig(fs2, FSCONFIG_CMD_CREATE, NULL, NULL, 0), 0);
	EXPECT("twice", fsconfig(fs2, FSCONFIG_CMD_CREATE, NULL, NULL, 0), EBUSY);
	EXPECT("unknown attributes", fsmount(fs2, 0, 1u << 30), EINVAL);
	OK(mnt = fsmount(fs2, 0, MOUNT_ATTR_NOEXEC));
	EXPECT("mounted twice", fsmount(fs2, 0, 0), EBUSY);
	EXPECT("a mount is no context", fsmount(mnt, 0, 0), EINVAL);
	EXPECT("short attributes", mount_setattr(mnt, "", AT_EMPTY_PATH, &attr, 8), EINVAL);
	EXPECT("bad attributes", mount_setattr(mnt, "", AT_EMPTY_PATH, (void *)8, 32), EFAULT);
	attr.attr_set = MOUNT_ATTR_IDMAP;
	EXPECT("idmapped", mount_setattr(mnt, "", AT_EMPTY_PATH, &attr, sizeof(attr)), EPERM);
	EXPECT("no target", move_mount(mnt, "", AT_FDCWD, NULL, MOVE_MOUNT_F_EMPTY_PATH), EFAULT);
	EXPECT("beneath", move_mount(mnt, "", AT_FDCWD, "/mnt/scratch/a",
				     MOVE_MOUNT_F_EMPTY_PATH | 0x200), EPERM);
	EXPECT("attached", move_mount(mnt, "", AT_FDCWD, "/mnt/scratch/a", MOVE_MOUNT_F_EMPTY_PATH),
	       0);
	EXPECT("once only", move_mount(mnt, "", AT_FDCWD, "/mnt/scratch/b",
				       MOVE_MOUNT_F_EMPTY_PATH), EPERM);
	EXPECT("picked", fspick(AT_FDCWD, "/mnt/scratch/a", 0), EPERM);
	EXPECT("set", mount_setattr(AT_FDCWD, "/mnt/scratch/a", 0, &attr, sizeof(attr)), EPERM);
	/* The kernel gives a tree without a clone to anybody. */
	EXPECT("opened", open_tree(AT_FDCWD, "/mnt/scratch/a", 0), 0);
	return 0;
}

static void test_arguments(void **state)
{
	__u32 slot = rig_container(rig_policy);

	(void)state;
	assert_int_equal(run(slot, odd_arguments, NULL), 0);
	assert_int_equal(rig_mounted("/mnt/scratch/a", NULL, 0), 1);
	assert_int_equal(rig_mounted("/mnt/scratch/b", NULL, 0), 0);
	assert_int_equal(umount2("/mnt/scratch/a", 0), 0);
}

/* Contexts that nobody uses make room for new ones, and never more than so many are kept. */
static int many(void *arg)
{
	int first = -1, last = -1;

	(void)arg;
	for (int i = 0; i < 40; i++) {
		OK(last = fsopen("tmpfs", 0));
		first = first < 0 ? last : first;
	}
	EXPECT("forgotten", fsconfig(first, FSCONFIG_CMD_CREATE, NULL, NULL, 0), EPERM);
	EXPECT("kept", fsconfig(last, FSCONFIG_CMD_CREATE, NULL, NULL, 0), 0);
	return 0;
}

static void test_many(void **state)
{
	(void)state;
	assert_int_equal(run(rig_container(rig_policy), many, NULL), 0);
}

/* ----------------------------------------------------------------- another container */

static int lend(void *arg)
{
	int fs;

	(void)arg;
	OK(fs = fsopen("tmpfs", 0));
	OK(fsconfig(fs, FSCONFIG_SET_STRING, "size", "1M", 0));
	__atomic_store_n(&shared->token, fs, __ATOMIC_RELEASE);
	return wait_for(&shared->step, 1) ? 210 : h_errno(fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
}

static int borrowed;

static int use_borrowed(void *arg)
{
	(void)arg;
	EXPECT("created", fsconfig(borrowed, FSCONFIG_CMD_CREATE, NULL, NULL, 0), EPERM);
	EXPECT("mounted", fsmount(borrowed, 0, 0), EPERM);
	return 0;
}

static void test_another_container(void **state)
{
	struct call lender = { .fn = lend };
	__u32 a = rig_container(rig_policy), b = rig_container(rig_policy);
	struct shared *mine;
	int pidfd;
	pid_t pid;

	(void)state;
	pid = begin(a, &lender, 1);
	assert_int_equal(wait_for(&shared->token, 1), 0);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	borrowed = (int)syscall(SYS_pidfd_getfd, pidfd, shared->token, 0);
	assert_true(borrowed >= 0);
	close(pidfd);
	/* The other one has a page of its own. */
	mine = shared;
	shared = h_shared(sizeof(*shared));
	assert_int_equal(run(b, use_borrowed, NULL), 0);
	munmap(shared, sizeof(*shared));
	shared = mine;
	/* And whoever has no filter at all is told so by the kernel. */
	assert_int_equal(h_run((int)b, use_borrowed, NULL), 0);
	__atomic_store_n(&shared->step, 1, __ATOMIC_RELEASE);
	assert_int_equal(rig_wait(pid), 0);
	close(borrowed);
}

/* ------------------------------------------------------------------------------ races */

static char racing[2][64];
static volatile int racing_on;

static void *rewrite(void *arg)
{
	(void)arg;
	for (unsigned i = 0; racing_on; i++) {
		memcpy(racing[0], i & 1 ? "900M" : "1M\0\0", 5);
		memcpy(racing[1], i & 1 ? "/mnt/other" : "/mnt/scratch/a", 15);
	}
	return NULL;
}

/* Another thread changes size and target all the time: what is decided on is what is done. */
static int race(void *arg)
{
	pthread_t thread;

	(void)arg;
	racing_on = 1;
	strcpy(racing[0], "1M");
	strcpy(racing[1], "/mnt/scratch/a");
	if (pthread_create(&thread, NULL, rewrite, NULL))
		return 220;
	for (int i = 0; i < 12; i++) {
		int fs = fsopen("tmpfs", 0), mnt;

		if (fs < 0)
			return 221;
		if (fsconfig(fs, FSCONFIG_SET_STRING, "size", racing[0], 0))
			return 222;
		if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) && errno != EPERM)
			return 223;
		mnt = fsmount(fs, 0, 0);
		if (mnt >= 0 && move_mount(mnt, "", AT_FDCWD, racing[1], MOVE_MOUNT_F_EMPTY_PATH) &&
		    errno != EPERM && errno != ENOENT)
			return 224;
		close(fs);
		if (mnt >= 0)
			close(mnt);
	}
	racing_on = 0;
	pthread_join(thread, NULL);
	return 0;
}

static void test_race(void **state)
{
	char line[1024];

	(void)state;
	assert_int_equal(run(rig_container(rig_policy), race, NULL), 0);
	assert_int_equal(rig_mounted("/mnt/other", NULL, 0), 0);
	while (rig_mounted("/mnt/scratch/a", line, sizeof(line))) {
		assert_non_null(strstr(line, "size=1024k"));
		assert_int_equal(umount2("/mnt/scratch/a", 0), 0);
	}
}

/* ---------------------------------------------------------------------------- deaths */

static void test_killed(void **state)
{
	struct new_mount m = { .type = "tmpfs", .source = "none", .target = "/mnt/scratch/b" };
	struct call c = { .fn = new_mount, .arg = &m };
	__u32 slot = rig_container(rig_policy);

	(void)state;
	/* At each of its calls in turn; a signal that kills comes through. */
	for (int i = 0; i < 6; i++) {
		pid_t pid;

		__atomic_store_n(&rig.caller, 0, __ATOMIC_RELEASE);
		pid = begin(slot, &c, 1);
		usleep((useconds_t)(i * 4000));
		kill(pid, SIGKILL);
		assert_int_not_equal(rig_wait(pid), 1);
		usleep(100000);
		/* Mounted or not, never half. */
		while (rig_mounted("/mnt/scratch/b", NULL, 0))
			assert_int_equal(umount2("/mnt/scratch/b", 0), 0);
	}
	/* The next one is served as ever. */
	assert_int_equal(run(slot, new_mount, &m), 0);
	assert_int_equal(umount2("/mnt/scratch/b", 0), 0);
}

/* Nobody holds the listener: ENOSYS, for which programs have mount(2), which is handed over. */
static int unanswered(void *arg)
{
	EXPECT("nobody answers", fsopen("tmpfs", 0), ENOSYS);
	EXPECT("nor here", move_mount(0, "", AT_FDCWD, "/mnt", MOVE_MOUNT_F_EMPTY_PATH), ENOSYS);
	return rig_mount(arg);
}

static void test_nobody(void **state)
{
	const struct rig_call fallback = { .target = "/mnt/scratch/a", .type = "tmpfs",
					   .data = "size=1M" };
	struct call c = { .fn = unanswered, .arg = (void *)&fallback };
	__u32 slot = rig_container(rig_policy);
	int got = 0;

	(void)state;
	for (int i = 0; i < 10; i++) {
		int before = rig.outcomes;

		got = rig_wait(begin(slot, &c, 0));
		rig_outcome_wait(before, 1);
		if (got == 0 || got == 200)
			break;
	}
	assert_int_equal(got, 0);
	assert_int_equal(rig_mounted("/mnt/scratch/a", NULL, 0), 1);
	assert_int_equal(umount2("/mnt/scratch/a", 0), 0);
}

static int setup(void **state)
{
	shared = h_shared(sizeof(*shared));
	/* Where containers do not write. */
	h_shell("modprobe loop; mkdir -p /srv/images && mount -t tmpfs -o mode=755 none /srv/images && "
		"truncate -s 1M /srv/images/a.img && busybox mke2fs -F /srv/images/a.img >/dev/null");
	if (rig_setup(state))
		return -1;
	return mount(NULL, "/srv/images", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL);
}

/* TYPE TARGET [OPTION...], or bind SOURCE TARGET */
static int as_program(int argc, char **argv)
{
	struct new_mount m = { .type = argv[1], .source = "none", .target = argv[2] };
	int err;

	if (!strcmp(argv[1], "bind"))
		m = (struct new_mount){ .source = argv[2], .target = argc > 3 ? argv[3] : "" };
	else
		for (int i = 3, n = 0; i < argc && i < 7; i++)
			if (!strncmp(argv[i], "source=", 7))
				m.source = argv[i] + 7;
			else
				m.option[n++] = argv[i];
	err = strcmp(argv[1], "bind") ? new_mount(&m) : bind_mount(&m);
	if (err)
		fprintf(stderr, "step %d: %s\n", shared->step, strerror(err));
	return err ? 1 : 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tmpfs),	  cmocka_unit_test(test_refused),
		cmocka_unit_test(test_bind),
		cmocka_unit_test(test_bind_own),  cmocka_unit_test(test_image), cmocka_unit_test(test_fuse),
		cmocka_unit_test(test_view),	  cmocka_unit_test(test_overlay),
		cmocka_unit_test(test_overlay_asked),
		cmocka_unit_test(test_way),
		cmocka_unit_test(test_capable),
		cmocka_unit_test(test_arguments), cmocka_unit_test(test_many),
		cmocka_unit_test(test_another_container),
		cmocka_unit_test(test_race),	  cmocka_unit_test(test_killed),
		cmocka_unit_test(test_nobody),
	};

	if (argc > 2) {
		shared = calloc(1, sizeof(*shared));
		return shared ? as_program(argc, argv) : 1;
	}
	return cmocka_run_group_tests(tests, setup, rig_teardown);
}
