// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The new mount API of containers that lack the capability: what a seccomp filter asks about is put
 * together by the override thread and made by an executor. With arguments it is a mount(8) that knows
 * nothing but that API, for scripts.
 */
#include "notify_rig.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_tmpfs(void **state)
{
	struct new_mount m = { .type = "tmpfs", .source = "none", .target = "/mnt/scratch/a",
			       .option = { "size=4M", "ro", "rw" }, .attr = MOUNT_ATTR_NOEXEC };
	__u32 slot = rig_container(rig_policy);
	int before = rig.outcomes;
	struct override_outcome *out;

	(void)state;
	assert_int_equal(notify_run(slot, new_mount, &m), 0);
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
	assert_non_null(strstr(rig_line("/mnt/scratch/a"), "nosuid,nodev,noexec"));
	assert_non_null(strstr(rig_line("/mnt/scratch/a"), "size=4096k"));
	assert_int_equal(umount2("/mnt/scratch/a", 0), 0);
	/* What is left out is bounded by the rule; a symlink's end counts as with mount(2). */
	m = (struct new_mount){ .type = "tmpfs", .source = "none", .target = "/mnt/scratch/link/deep" };
	assert_int_equal(notify_run(slot, new_mount, &m), 0);
	assert_non_null(strstr(rig_line("/mnt/scratch/a/deep"), "size=65536k"));
	assert_int_equal(umount2("/mnt/scratch/a/deep", 0), 0);
}

static void test_refused(void **state)
{
	struct new_mount m = { .type = "proc", .source = "none", .target = "/mnt/scratch/a" };
	__u32 slot = rig_container(rig_policy);

	(void)state;
	new_mount_refused(slot, new_mount, &m, EPERM, 1, "allows only type tmpfs");
	m.type = "tmpfs";
	m.option[0] = "size=1G";
	new_mount_refused(slot, new_mount, &m, EPERM, 3, "bounds option size by 67108864");
	m.option[0] = "mode=777";
	new_mount_refused(slot, new_mount, &m, EPERM, 3, "does not list option mode");
	m.option[0] = NULL;
	m.target = "/mnt/other";
	new_mount_refused(slot, new_mount, &m, EPERM, 5, "does not allow the target /mnt/other");
	m.target = "/mnt/scratch/denied";
	new_mount_refused(slot, new_mount, &m, EPERM, 5, "explicit deny");
	m.target = "/mnt/scratch/nothing";
	new_mount_refused(slot, new_mount, &m, ENOENT, 5, "the target cannot be opened");
	m.source = "/etc";
	m.target = "/mnt/scratch/bind";
	new_mount_refused(slot, new_bind, &m, EPERM, 1, "offers /srv/assets, not /etc");
	assert_int_equal(rig_mounted("/mnt/scratch/a", NULL, 0), 0);
	assert_int_equal(rig_mounted("/mnt/other", NULL, 0), 0);
	assert_int_equal(rig_mounted("/mnt/scratch/denied", NULL, 0), 0);
}

static void test_bind(void **state)
{
	struct new_mount m = { .source = "/srv/assets", .target = "/mnt/scratch/bind" };
	__u32 slot = rig_container(rig_policy);

	(void)state;
	assert_int_equal(notify_run(slot, new_bind, &m), 0);
	assert_non_null(strstr(rig_line("/mnt/scratch/bind"), "ro,nosuid,nodev,noexec"));
	assert_int_equal(access("/mnt/scratch/bind/file", F_OK), 0);
	assert_int_equal(umount2("/mnt/scratch/bind", 0), 0);
}

static int bind_tree(void *arg)
{
	struct new_mount *m = arg;
	int mnt;

	notified->step = 1;
	OK(mnt = open_tree(AT_FDCWD, m->source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | m->attr));
	notified->step = 2;
	/* Whatever takes its place meanwhile is not what was cloned. */
	if (m->option[0])
		OK(rename(m->source, m->option[0]));
	notified->step = 5;
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
	assert_int_equal(notify_run(slot, new_bind, &m), 0);
	assert_int_equal(access("/mnt/scratch/a/file", F_OK), 0);
	assert_int_equal(umount2("/mnt/scratch/a", 0), 0);
	m.option[0] = "/mnt/scratch/gone";
	assert_int_equal(notify_run(slot, bind_tree, &m), 0);
	assert_int_equal(access("/mnt/scratch/a/file", F_OK), 0);
	assert_int_equal(umount2("/mnt/scratch/a", 0), 0);
	m = (struct new_mount){ .source = "/mnt/scratch/gone", .target = "/mnt/scratch/a" };
	assert_int_equal(mount("none", "/mnt/scratch/gone/sub", "tmpfs", 0, NULL), 0);
	new_mount_refused(slot, bind_tree, &m, EINVAL, 1, "come to light");
	m.attr = AT_RECURSIVE;
	assert_int_equal(notify_run(slot, bind_tree, &m), 0);
	assert_int_equal(rig_mounted("/mnt/scratch/a/sub", NULL, 0), 1);
	assert_int_equal(access("/mnt/scratch/a/sub/hidden", F_OK), -1);
	assert_int_equal(umount2("/mnt/scratch/a", MNT_DETACH), 0);
	umount2("/mnt/scratch/gone/sub", MNT_DETACH);
	m.source = "/mnt/other";
	new_mount_refused(slot, bind_tree, &m, EPERM, 1, "does not allow the source /mnt/other");
	m.source = "/proc/sys";
	new_mount_refused(slot, bind_tree, &m, EPERM, 1, "kernel's own state");
	m.source = "/mnt/scratch/b";
	m.target = "/mnt/scratch/b";
	new_mount_refused(slot, bind_tree, &m, EPERM, 5, "does not allow the target /mnt/scratch/b");
}

/* An image in the container, which a FUSE program reads: it is looked for when it is attached. */
static void test_fuse(void **state)
{
	static const char text[] =
		"policy: t\noverride: [{on: mount, type: xfs, source: /srv/assets/*.img, fuse: {xfs: testfuse}, "
		"target: /mnt/scratch/a, deadline: 60s, do: perform}]\n";
	struct new_mount m = { .type = "xfs", .source = "/srv/assets/ok.img", .target = "/mnt/scratch/a" };
	__u32 slot = rig_container(text);

	(void)state;
	h_write("/srv/assets/ok.img", "ok hello\n");
	assert_int_equal(chmod("/srv/assets/ok.img", 0644), 0);
	assert_int_equal(notify_run(slot, new_mount, &m), 0);
	assert_non_null(strstr(rig_line("/mnt/scratch/a"), " ro,nosuid,nodev"));
	assert_non_null(strstr(rig_line("/mnt/scratch/a"), " - fuse.xfs /srv/assets/ok.img "));
	assert_int_equal(access("/mnt/scratch/a/report", F_OK), 0);
	assert_int_equal(umount2("/mnt/scratch/a", 0), 0);
	m.source = "/srv/assets/missing.img";
	new_mount_refused(slot, new_mount, &m, EPERM, 5, "finds no image at /srv/assets/missing.img");
	m.source = "/srv/images/a.img";
	new_mount_refused(slot, new_mount, &m, EPERM, 5, "does not allow the image /srv/images/a.img");
	m.source = "/srv/assets/ok.img";
	m.option[0] = "debug";
	new_mount_refused(slot, new_mount, &m, EPERM, 3, "does not list option debug");
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

	(void)state;
	assert_int_equal(notify_run(slot, new_mount, &m), 0);
	assert_non_null(strstr(rig_line("/mnt/scratch/a"), "ro,nosuid,nodev"));
	assert_int_equal(access("/mnt/scratch/a/lost+found", F_OK), 0);
	assert_int_equal(umount2("/mnt/scratch/a", 0), 0);
	m.option[0] = "errors=panic";
	new_mount_refused(slot, new_mount, &m, EPERM, 3, "does not list option errors");
	m.option[0] = NULL;
	m.source = "/srv/images/b.img";
	new_mount_refused(slot, new_mount, &m, EPERM, 3, "offers /srv/images/a.img");
	m.type = "xfs";
	new_mount_refused(slot, new_mount, &m, EPERM, 1, "allows only type ext4");
}

/* What is shown once more is found when it is known where to, which comes last. */
static void test_view(void **state)
{
	static const char text[] = "policy: t\noverride: [{on: mount, type: [proc, sysfs], target: "
				   "/mnt/scratch/*, do: perform}]\n";
	struct new_mount m = { .type = "proc", .source = "none", .target = "/mnt/scratch/a" };
	__u32 slot = rig_container(text);

	(void)state;
	assert_int_equal(mount("none", "/proc/fs", "tmpfs", 0, "size=4k"), 0);
	assert_int_equal(notify_run(slot, new_mount, &m), 0);
	assert_non_null(strstr(rig_line("/mnt/scratch/a"), "nosuid,nodev"));
	assert_non_null(strstr(rig_line("/mnt/scratch/a"), " - proc "));
	assert_int_equal(rig_mounted("/mnt/scratch/a/fs", NULL, 0), 1);
	assert_int_equal(umount2("/mnt/scratch/a", MNT_DETACH), 0);
	m.option[0] = "hidepid=0";
	new_mount_refused(slot, new_mount, &m, EPERM, 3, "does not list option hidepid");
	m = (struct new_mount){ .type = "sysfs", .source = "sysfs", .target = "/mnt/scratch/a" };
	assert_int_equal(mount("none", "/sys", "tmpfs", 0, "size=4k"), 0);
	new_mount_refused(slot, new_mount, &m, EPERM, 5, "none at its place");
	assert_int_equal(umount2("/sys", MNT_DETACH), 0);
	umount2("/proc/fs", MNT_DETACH);
}

static void make_layers(__u32 slot)
{
	h_shell("modprobe overlay; mkdir -p /mnt/tree");
	rig_tmpfs(slot, "/mnt/tree", 0, "size=1M");
	h_shell("cd /mnt/tree && mkdir low other && echo x >other/file");
}

/* Layers are told one after the other, and looked at when it is known where to. */
static void test_overlay(void **state)
{
	static const char text[] = "policy: t\noverride: [{on: mount, type: overlay, source: /mnt/tree/*, "
				   "target: /mnt/scratch/*, do: perform}]\n";
	struct new_mount m = { .type = "overlay", .source = "overlay", .target = "/mnt/scratch/a",
			       .option = { "lowerdir=/mnt/tree/low:/mnt/tree/other" } };
	__u32 slot = rig_container(text);

	(void)state;
	make_layers(slot);
	assert_int_equal(notify_run(slot, new_mount, &m), 0);
	assert_non_null(strstr(rig_line("/mnt/scratch/a"), "nosuid,nodev"));
	assert_int_equal(access("/mnt/scratch/a/file", R_OK), 0);
	assert_int_equal(umount2("/mnt/scratch/a", 0), 0);
	m.option[0] = "lowerdir=/srv/assets:/mnt/tree/low";
	new_mount_refused(slot, new_mount, &m, EPERM, 5, "does not allow every layer");
	m.option[0] = "metacopy=on";
	new_mount_refused(slot, new_mount, &m, EPERM, 3, "does not list option metacopy");
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
	make_layers(slot);
	if (notify_run(slot, new_mount, &m))
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
			new_mount_refused(slot, new_mount, &m, EPERM, 1, "is not for the new mount API");
		} else {
			assert_int_equal(notify_run(slot, new_mount, &m), 0);
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
	struct notified_call c = { .fn = plain_open, .keep_caps = 1 };
	__u32 slot = rig_container("policy: t\nmount: [{allow: [mount], type: tmpfs, target: /mnt/**}]\n"
				   "capability: [{allow: [sys_admin]}]\n");
	int before = rig.outcomes;

	(void)state;
	assert_int_equal(rig_wait(notify_begin(slot, &c, 1)), 0);
	usleep(100000);
	assert_int_equal(rig.outcomes, before);
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
	struct notified_call c = { .fn = unanswered, .arg = (void *)&fallback };
	__u32 slot = rig_container(rig_policy);
	int got = 0;

	(void)state;
	for (int i = 0; i < 10; i++) {
		int before = rig.outcomes;

		got = rig_wait(notify_begin(slot, &c, 0));
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
	notify_setup();
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
	err = strcmp(argv[1], "bind") ? new_mount(&m) : new_bind(&m);
	if (err)
		fprintf(stderr, "step %d: %s\n", notified->step, strerror(err));
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
		cmocka_unit_test(test_capable),	  cmocka_unit_test(test_nobody),
	};

	if (argc > 2) {
		notified = calloc(1, sizeof(*notified));
		return notified ? as_program(argc, argv) : 1;
	}
	return cmocka_run_group_tests(tests, setup, rig_teardown);
}
