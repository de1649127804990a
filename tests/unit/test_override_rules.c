// SPDX-License-Identifier: LGPL-2.1-or-later
/* Overrides of calls other than new mounts: what rules, built-in denies and the policy's own denies
 * say of them, on made-up facts. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../../user/override_internal.h"
#include "cleanup.h"
#include "warder_decide.h"

static const char policy_text[] =
	"policy: t\n"
	"defaults: {namespace: allow}\n"
	"mount:\n"
	"  - deny: [umount, move]\n"
	"    target: /mnt/denied/**\n"
	"file:\n"
	"  - {deny: [mknod, xattr], path: /mnt/secret/**}\n"
	"override:\n"
	"  - {on: umount, target: [/mnt/s/**, /mnt/denied/**], do: perform}\n"
	"  - {on: remount, target: /mnt/s/**, options: {size: '<=64M'}, do: perform}\n"
	"  - {on: move, source: /mnt/s/**, target: /mnt/t/**, do: perform}\n"
	"  - {on: propagation, target: /mnt/s/**, do: perform}\n"
	"  - {on: mount, type: [proc, sysfs], target: /mnt/v/*, do: perform}\n"
	"  - {on: mknod, node: ['c 1:3', 'b 7:0'], do: perform}\n"
	"  - {on: setxattr, do: perform}\n"
	"  - {on: setxattr, name: trusted.x, value: '1', do: perform}\n"
	"  - {on: [sethostname, setdomainname], do: perform}\n"
	"  - {on: [sched_setscheduler, setpriority], priority: {realtime: '<=10', nice: '>=-5'}, "
	"do: perform}\n";

static struct warder_image *img;

static struct warder_image *compile(const char *text)
{
	struct policy_diags diags = { 0 };
	struct warder_image *image = NULL;
	struct policy *p = NULL;

	if (policy_parse("t.yaml", text, strlen(text), NULL, &p, &diags) ||
	    policy_compile(p, &image, &diags)) {
		policy_diags_print(&diags, stderr);
		fail_msg("the policy does not compile");
	}
	policy_diags_done(&diags);
	policy_free(p);
	return image;
}

static struct warder_image *swap_policy(const char *text)
{
	struct warder_image *before = img;

	img = compile(text);
	return before;
}

static void swap_back(struct warder_image **before)
{
	free(img);
	img = *before;
}

/* Another policy decides in the rest of the block. */
#define UNDER(text) cleanup(swap_back) struct warder_image *under_ = swap_policy(text)

/* ------------------------------------------------------------------------ decisions */

static struct override_decision decision;

static struct override_facts facts(__u32 op)
{
	return (struct override_facts){
		.op = op,
		.relation = WARDER_BY_USERNS_CONTAINER,
		.cause = WARDER_CAUSE_CAPABILITY,
		.same_mntns = 1,
		.is_mount = 1,
		.fstype = "tmpfs",
		.source = "",
		.data = "",
		.value = "",
		.target = "/mnt/s/a",
	};
}

static void decides(int line, struct override_facts f, int action, const char *reason)
{
	override_decide(img, &f, &decision);
	if (decision.action != action || (reason && !strstr(decision.reason, reason)))
		fail_msg("line %d: %d, %s", line, decision.action, decision.reason);
}

#define DECIDES(op, action, reason, ...)                       \
	do {                                                   \
		struct override_facts f = facts(WARDER_OP_##op); \
		__VA_ARGS__;                                   \
		decides(__LINE__, f, action, reason);          \
	} while (0)
#define PERFORMS(op, ...) DECIDES(op, OVERRIDE_PERFORM, NULL, __VA_ARGS__)
#define KEEPS(op, reason, ...) DECIDES(op, OVERRIDE_KEEP, reason, __VA_ARGS__)

static void test_umount_rules(void **state)
{
	(void)state;
	PERFORMS(UMOUNT, (void)0);
	KEEPS(UMOUNT, "does not allow the target", f.target = "/mnt/other");
	KEEPS(UMOUNT, "never overridden", f.target = "/mnt/denied/x");
	KEEPS(UMOUNT, "never overridden", f.object = "/mnt/denied/x");
	KEEPS(UMOUNT, "host's", f.host_mntns = 1);
	KEEPS(UMOUNT, "of its own", f.same_mntns = 0);
	KEEPS(UMOUNT, "shared", f.shared = 1);
	KEEPS(UMOUNT, "MNT_FORCE", f.umount_flags = MNT_FORCE);
	KEEPS(UMOUNT, "root of the mount namespace", f.at_root = 1);
	KEEPS(UMOUNT, "runtimes mask", f.covers_kernel = 1);
	KEEPS(UMOUNT, "uid 0", f.euid = 1000);
	/* Lazily only what stays together. */
	PERFORMS(UMOUNT, f.umount_flags = MNT_DETACH; f.below = 3);
	KEEPS(UMOUNT, "come to light", f.umount_flags = MNT_DETACH; f.below = 3; f.loose = 1);
	PERFORMS(UMOUNT, f.below = 3; f.loose = 1);
}

static void test_view_rules(void **state)
{
#define VIEW(type, seen) f.fstype = type; f.target = "/mnt/v/a"; f.view = EXECUTOR_VIEW_##seen
	(void)state;
	PERFORMS(MOUNT, VIEW("proc", OWN));
	assert_int_equal(decision.view, EXECUTOR_VIEW_OWN);
	assert_int_equal(decision.attr, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	PERFORMS(MOUNT, VIEW("sysfs", OWN); f.flags = MS_RDONLY | MS_NOEXEC);
	assert_int_equal(decision.attr & (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC),
			 MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC);
	KEEPS(MOUNT, "none at its place", VIEW("proc", MISSING));
	/* Nobody has looked: that is no yes. */
	KEEPS(MOUNT, "none at its place", VIEW("sysfs", NONE));
	KEEPS(MOUNT, "pid namespace", VIEW("proc", PIDNS));
	KEEPS(MOUNT, "of its own", VIEW("proc", OWN); f.same_mntns = 0);
	PERFORMS(MOUNT, VIEW("proc", BELOW));
	assert_int_equal(decision.view, EXECUTOR_VIEW_BELOW);
	KEEPS(MOUNT, "list option", VIEW("proc", BELOW); f.data = "hidepid=0");
	KEEPS(MOUNT, "list option", VIEW("proc", OWN); f.data = "hidepid=0");
	KEEPS(MOUNT, "target", VIEW("proc", OWN); f.target = "/mnt/s/a");
	KEEPS(MOUNT, "shared", VIEW("proc", OWN); f.shared = 1);
	/* Its masks are mounts as well. */
	KEEPS(MOUNT, "too many mounts", VIEW("proc", OWN); f.mounts = 1000; f.below = 24);
	PERFORMS(MOUNT, VIEW("proc", OWN); f.mounts = 1000; f.below = 23);
	/* Of the new mount API it is asked before anybody can look. */
	PERFORMS(MOUNT, VIEW("proc", NONE); f.open = 1);
	KEEPS(MOUNT, "pid namespace", VIEW("proc", PIDNS); f.open = 1);
}

static void test_remount_rules(void **state)
{
	(void)state;
	PERFORMS(MOUNT, f.flags = MS_REMOUNT; f.own_fs = 1; f.data = "size=1M");
	assert_string_equal(decision.options, "size=1048576");
	assert_int_equal(decision.attr, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	assert_int_equal(decision.attr_clear, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC);
	/* What is left out stays as it is. */
	PERFORMS(MOUNT, f.flags = MS_REMOUNT | MS_NOATIME; f.own_fs = 1);
	assert_string_equal(decision.options, "");
	assert_int_equal(decision.attr_clear & MOUNT_ATTR__ATIME, MOUNT_ATTR__ATIME);
	KEEPS(MOUNT, "bounds option size", f.flags = MS_REMOUNT; f.own_fs = 1; f.data = "size=65M");
	KEEPS(MOUNT, "own", f.flags = MS_REMOUNT);
	PERFORMS(MOUNT, f.flags = MS_REMOUNT | MS_BIND | MS_RDONLY);
	KEEPS(MOUNT, "read-only", f.flags = MS_REMOUNT | MS_BIND; f.mnt_flags = MS_RDONLY);
	PERFORMS(MOUNT, f.flags = MS_REMOUNT | MS_BIND; f.mnt_flags = MS_RDONLY; f.own_fs = 1);
	KEEPS(MOUNT, "noexec", f.flags = MS_REMOUNT | MS_BIND; f.mnt_flags = MS_NOEXEC; f.own_fs = 1);
	KEEPS(MOUNT, "flag", f.flags = MS_REMOUNT | MS_BIND | MS_LAZYTIME);
	KEEPS(MOUNT, "of its own", f.flags = MS_REMOUNT | MS_BIND; f.same_mntns = 0);
	KEEPS(MOUNT, "root of", f.flags = MS_REMOUNT | MS_BIND; f.at_root = 1);
}

static void test_move_rules(void **state)
{
	(void)state;
	PERFORMS(MOUNT, f.flags = MS_MOVE; f.from = "/mnt/s/a"; f.target = "/mnt/t/a");
	KEEPS(MOUNT, "source /mnt/x", f.flags = MS_MOVE; f.from = "/mnt/x"; f.target = "/mnt/t/a");
	KEEPS(MOUNT, "source without a name", f.flags = MS_MOVE; f.target = "/mnt/t/a");
	KEEPS(MOUNT, "target", f.flags = MS_MOVE; f.from = "/mnt/s/a"; f.target = "/mnt/s/b");
	KEEPS(MOUNT, "never", f.flags = MS_MOVE; f.from = "/mnt/denied/a"; f.target = "/mnt/t/a");
	KEEPS(MOUNT, "mask", f.flags = MS_MOVE; f.from = "/mnt/s/a"; f.target = "/mnt/t/a";
	      f.covers_kernel = 1);
	KEEPS(MOUNT, "shared", f.flags = MS_MOVE; f.from = "/mnt/s/a"; f.target = "/mnt/t/a";
	      f.shared = 1);
	PERFORMS(MOUNT, f.flags = MS_SHARED);
	KEEPS(MOUNT, "target", f.flags = MS_SHARED; f.target = "/mnt/t/a");
}

static void test_node_rules(void **state)
{
	(void)state;
	PERFORMS(MKNOD, f.node_type = S_IFCHR; f.major = 1; f.minor = 3);
	PERFORMS(MKNOD, f.node_type = S_IFBLK; f.major = 7);
	KEEPS(MKNOD, "list node b 1:3", f.node_type = S_IFBLK; f.major = 1; f.minor = 3);
	KEEPS(MKNOD, "list node c 1:5", f.node_type = S_IFCHR; f.major = 1; f.minor = 5);
	KEEPS(MKNOD, "list", f.node_type = S_IFREG; f.major = 1; f.minor = 3);
	/* Numbers that the packed form would cut. */
	KEEPS(MKNOD, "list", f.node_type = S_IFCHR; f.major = 0x1001; f.minor = 3);
	KEEPS(MKNOD, "never", f.node_type = S_IFCHR; f.major = 1; f.minor = 3; f.target = "/mnt/secret/n");
	KEEPS(MKNOD, "no name", f.node_type = S_IFCHR; f.major = 1; f.minor = 3; f.target = NULL);
}

static void test_attribute_rules(void **state)
{
	(void)state;
	PERFORMS(SETXATTR, f.source = "trusted.overlay.opaque"; f.value = "y"; f.value_len = 1);
	PERFORMS(SETXATTR, f.source = "trusted.x"; f.value = "1"; f.value_len = 1);
	KEEPS(SETXATTR, "attribute trusted.x", f.source = "trusted.x"; f.value = "2"; f.value_len = 1);
	KEEPS(SETXATTR, "another value", f.source = "trusted.overlay.opaque"; f.value = "y\0"; f.value_len = 2);
	KEEPS(SETXATTR, "list attribute trusted.y", f.source = "trusted.y"; f.value = "1"; f.value_len = 1);
	KEEPS(SETXATTR, "list", f.source = "trusted.x=1"; f.value = ""; f.value_len = 0);
	KEEPS(SETXATTR, "never", f.source = "trusted.x"; f.value = "1"; f.value_len = 1;
	      f.target = "/mnt/secret/n");
	KEEPS(SETXATTR, "no name", f.source = "trusted.x"; f.value = "1"; f.value_len = 1;
	      f.target = NULL);
}

static void test_name_rules(void **state)
{
	static const char denied[] = "policy: t\nkernel: [{deny: [hostname]}]\n"
				     "override: [{on: sethostname, do: perform}]\n";

	(void)state;
	PERFORMS(SETHOSTNAME, (void)0);
	PERFORMS(SETDOMAINNAME, (void)0);
	KEEPS(SETHOSTNAME, "the host's", f.host_uts = 1);
	UNDER(denied);
	KEEPS(SETHOSTNAME, "never overridden", (void)0);
}

static void test_priority_rules(void **state)
{
	(void)state;
#define RT(n) f.sched = (struct executor_sched) { .tid = 5, .policy = SCHED_FIFO, .realtime = n }
#define NICE(n) f.sched = (struct executor_sched) { .tid = 5, .nice = n, .sets_nice = 1 }
	PERFORMS(SCHED_SETSCHEDULER, RT(10));
	KEEPS(SCHED_SETSCHEDULER, "bounds real-time priorities by 10", RT(11));
	KEEPS(SCHED_SETSCHEDULER, "reset", RT(10); f.sched.flags = 8);
	KEEPS(SCHED_SETSCHEDULER, "fifo", RT(10); f.sched.policy = 6);
	KEEPS(SCHED_SETSCHEDULER, "not the container's", RT(10); f.foreign = 1);
	PERFORMS(SETPRIORITY, NICE(-5));
	KEEPS(SETPRIORITY, "bounds nice by -5", NICE(-6));
	KEEPS(SETPRIORITY, "more than one", NICE(0); f.sched.tid = 0);
	KEEPS(SETPRIORITY, "not the container's", NICE(0); f.foreign = 1);
}

/* What a handler may say is decided before it is asked; its word opens nothing else. */
static void test_handler_rules(void **state)
{
	static const char text_[] =
		"policy: t\noverride:\n"
		"  - {on: mknod, do: 'handler:h'}\n"
		"  - {on: [sethostname, setdomainname], do: ask, fallback: EAGAIN}\n"
		"  - {on: chroot, do: 'handler:h'}\n";

	(void)state;
	UNDER(text_);
	DECIDES(SETHOSTNAME, OVERRIDE_ASK, "leaves it to ask", (void)0);
	assert_int_equal(decision.may_perform, 1);
	assert_int_equal(decision.value, EAGAIN);
	assert_string_equal(decision.handler, WARDER_HANDLER_ASK);
	PERFORMS(SETHOSTNAME, f.granted = 1);
	DECIDES(SETHOSTNAME, OVERRIDE_ASK, NULL, f.host_uts = 1);
	assert_int_equal(decision.may_perform, 0);
	KEEPS(SETHOSTNAME, "the host's", f.host_uts = 1; f.granted = 1);
	KEEPS(SETHOSTNAME, "uid 0", f.euid = 5; f.granted = 1);
	/* Without a list of nodes there is nothing to be made. */
	DECIDES(MKNOD, OVERRIDE_ASK, NULL, f.node_type = S_IFCHR; f.major = 1; f.minor = 3);
	assert_int_equal(decision.may_perform, 0);
	assert_int_equal(decision.value, 0);
	KEEPS(MKNOD, "no limits", f.node_type = S_IFCHR; f.major = 1; f.minor = 3; f.granted = 1);
	DECIDES(CHROOT, OVERRIDE_ASK, NULL, (void)0);
	assert_int_equal(decision.may_perform, 0);
}

static int setup(void **state)
{
	(void)state;
	img = compile(policy_text);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(img);
	return 0;
}

/* What is put together in steps: before its target is known, can any rule match? */
static void test_steps(void **state)
{
	static const char text[] =
		"policy: t\n"
		"mount: [{deny: [mount], type: ramfs}]\n"
		"override:\n"
		"  - {on: mount, type: tmpfs, target: /mnt/no/**, do: deny, errno: ENOSYS}\n"
		"  - {on: mount, type: tmpfs, target: /mnt/s/**, options: {size: '<=64M'}, "
		"flags: {require: [nosuid]}, do: perform}\n"
		"  - {on: mount, type: ext4, do: deny, errno: ENODEV}\n"
		"  - {on: mount, type: ramfs, do: fake}\n"
		"  - {on: mount, bind: /srv/assets, target: /mnt/b, do: perform}\n"
		"  - {on: mount, type: overlay, do: fake, way: notify}\n"
		"  - {on: mount, type: devpts, do: fake, way: handoff}\n";

	(void)state;
	UNDER(text);
#define STEP (f.open = 1, f.target = NULL, f.way = WARDER_WAY_NOTIFY)
	/* A rule that refuses some targets does not stop what others allow. */
	PERFORMS(MOUNT, STEP);
	PERFORMS(MOUNT, STEP; f.data = "size=1M");
	KEEPS(MOUNT, "bounds option size", STEP; f.data = "size=1G");
	KEEPS(MOUNT, "does not list option mode", STEP; f.data = "mode=777");
	KEEPS(MOUNT, "uid 0", STEP; f.euid = 1000);
	KEEPS(MOUNT, "below the container's", STEP; f.relation = WARDER_BY_USERNS_NESTED);
	KEEPS(MOUNT, "host's", STEP; f.host_mntns = 1);
	DECIDES(MOUNT, OVERRIDE_DENY, NULL, STEP; f.fstype = "ext4");
	assert_int_equal(decision.value, ENODEV);
	KEEPS(MOUNT, "never overridden", STEP; f.fstype = "ramfs");
	KEEPS(MOUNT, "allows only type", STEP; f.fstype = "xfs");
	PERFORMS(MOUNT, STEP; f.flags = MS_BIND; f.source = "/srv/assets");
	KEEPS(MOUNT, "offers /srv/assets", STEP; f.flags = MS_BIND; f.source = "/etc");
	/* When all is known, all counts. */
	KEEPS(MOUNT, "requires flag nosuid", f.way = WARDER_WAY_NOTIFY);
	PERFORMS(MOUNT, f.way = WARDER_WAY_NOTIFY; f.flags = MS_NOSUID);
	DECIDES(MOUNT, OVERRIDE_DENY, NULL, f.target = "/mnt/no/x");
	KEEPS(MOUNT, "needs a target with a name",
	      f.flags = MS_BIND; f.source = "/srv/assets"; f.target = NULL);
	/* Rules for one way. */
	DECIDES(MOUNT, OVERRIDE_FAKE, NULL, f.fstype = "overlay"; f.way = WARDER_WAY_NOTIFY);
	KEEPS(MOUNT, NULL, f.fstype = "overlay"; f.way = WARDER_WAY_HANDOFF);
	DECIDES(MOUNT, OVERRIDE_FAKE, NULL, f.fstype = "overlay");
	DECIDES(MOUNT, OVERRIDE_FAKE, NULL, f.fstype = "devpts"; f.way = WARDER_WAY_HANDOFF);
	KEEPS(MOUNT, NULL, f.fstype = "devpts"; f.way = WARDER_WAY_NOTIFY);
}

/* Binds of what is in the container. */
static void test_bind_rules(void **state)
{
	static const char text[] =
		"policy: t\n"
		"mount: [{deny: [bind], target: /mnt/t/denied}]\n"
		"override:\n"
		"  - {on: mount, bind: /srv/assets, target: /mnt/t/assets, do: perform}\n"
		"  - {on: mount, source: [/data, /data/**], target: /mnt/t/**, force: [ro], do: perform}\n"
		"  - {on: mount, source: /kern/**, target: /mnt/t/**, flags: {require: [rec]}, do: perform}\n";

	(void)state;
	UNDER(text);
#define OWN (f.flags = MS_BIND, f.source = "/x/..", f.from = "/data/a", f.target = "/mnt/t/a")
	PERFORMS(MOUNT, OWN);
	assert_null(decision.bind);
	assert_int_equal(decision.attr, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	PERFORMS(MOUNT, OWN; f.from = "/data"; f.flags |= MS_REC);
	PERFORMS(MOUNT, OWN; f.open = 1; f.target = NULL);
	KEEPS(MOUNT, "does not allow the source /dat", OWN; f.from = "/dat");
	/* What the caller calls it does not count. */
	KEEPS(MOUNT, "without a name", OWN; f.source = "/data/a"; f.from = NULL);
	KEEPS(MOUNT, "without a name", OWN; f.from = NULL; f.open = 1; f.target = NULL);
	KEEPS(MOUNT, "does not allow the target", OWN; f.target = "/mnt/u");
	KEEPS(MOUNT, "never overridden", OWN; f.target = "/mnt/t/denied");
	KEEPS(MOUNT, "kernel's own state", OWN; f.covers_kernel = 1);
	KEEPS(MOUNT, "shared", OWN; f.shared = 1);
	KEEPS(MOUNT, "of its own", OWN; f.same_mntns = 0);
	KEEPS(MOUNT, "requires flag rec", OWN; f.from = "/kern/a");
	PERFORMS(MOUNT, OWN; f.from = "/kern/a"; f.flags |= MS_REC);
	/* How many there may be. */
	PERFORMS(MOUNT, OWN; f.mounts = 1000; f.below = 23; f.flags |= MS_REC);
	KEEPS(MOUNT, "too many", OWN; f.mounts = 1000; f.below = 24; f.flags |= MS_REC);
	PERFORMS(MOUNT, OWN; f.mounts = 1023; f.below = 500);
	KEEPS(MOUNT, "too many", OWN; f.mounts = 1024);
	KEEPS(MOUNT, "too many", OWN; f.mounts = f.below = (__u32)-1; f.flags |= MS_REC);
	/* An offered host path goes by the caller's string, and needs nothing here. */
	PERFORMS(MOUNT, OWN; f.source = "/srv/assets"; f.from = NULL; f.target = "/mnt/t/assets");
	assert_string_equal(decision.bind, "/srv/assets");
}

/* File systems in images that the host offers. */
static void test_image_rules(void **state)
{
	static const char text[] =
		"policy: t\n"
		"override:\n"
		"  - {on: mount, type: ext4, image: /srv/x.img, trusted_image: true, target: /mnt/s/**, "
		"options: {noload: '*'}, by: {userns: [container, nested]}, do: perform}\n"
		"  - {on: mount, type: [tmpfs, nfs], target: /mnt/s/**, do: perform}\n";

	(void)state;
	UNDER(text);
#define IMAGE (f.fstype = "ext4", f.source = "/srv/x.img")
	PERFORMS(MOUNT, IMAGE);
	assert_string_equal(decision.bind, "/srv/x.img");
	/* Read-only, whatever is asked for. */
	assert_int_equal(decision.attr, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	PERFORMS(MOUNT, IMAGE; f.data = "noload");
	KEEPS(MOUNT, "does not list option errors", IMAGE; f.data = "errors=panic");
	KEEPS(MOUNT, "offers /srv/x.img, not /dev/sda", IMAGE; f.source = "/dev/sda");
	KEEPS(MOUNT, "does not allow the target", IMAGE; f.target = "/mnt/u");
	KEEPS(MOUNT, "allows only type", IMAGE; f.fstype = "ext3");
	KEEPS(MOUNT, "own mount namespace only", IMAGE; f.same_mntns = 0);
	PERFORMS(MOUNT, IMAGE; f.loops = 15);
	KEEPS(MOUNT, "loop devices", IMAGE; f.loops = 16);
	/* A new file system by steps: its source is said after fsopen(2). */
	PERFORMS(MOUNT, IMAGE; f.open = 1; f.target = NULL; f.source = "");
	KEEPS(MOUNT, "offers", IMAGE; f.open = 1; f.target = NULL; f.source = "/dev/sda");
	KEEPS(MOUNT, "offers", IMAGE; f.source = "");
	PERFORMS(MOUNT, f.loops = 16);
	KEEPS(MOUNT, "a server that a container names", f.fstype = "nfs");
	assert_null(decision.bind);
}

/* File systems of a server that the administrator names. */
static void test_server_rules(void **state)
{
	static const char text[] =
		"policy: t\n"
		"override:\n"
		"  - {on: mount, type: nfs4, server: 's:/x', trusted_server: true, target: /mnt/s/**, "
		"options: {addr: 10.0.0.1, soft: '*'}, by: {userns: [container, nested]}, do: perform}\n"
		"  - {on: mount, type: [nfs4, cifs], target: /mnt/u, do: perform}\n";
	struct warder_error e = { "" };

	(void)state;
	UNDER(text);
#define SERVER (f.fstype = "nfs4", f.source = "s:/x")
	PERFORMS(MOUNT, SERVER; f.data = "soft");
	assert_string_equal(decision.bind, "s:/x");
	assert_string_equal(decision.options, "soft");
	assert_string_equal(decision.options + 5, "addr=10.0.0.1");
	assert_int_equal(decision.attr, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	PERFORMS(MOUNT, SERVER; f.loops = 100);
	KEEPS(MOUNT, "only with the value 10.0.0.1", SERVER; f.data = "addr=10.0.0.2");
	KEEPS(MOUNT, "list option port", SERVER; f.data = "port=1");
	KEEPS(MOUNT, NULL, SERVER; f.source = "s:/y");
	KEEPS(MOUNT, "own mount namespace only", SERVER; f.same_mntns = 0);
	KEEPS(MOUNT, "a server that a container names", SERVER; f.target = "/mnt/u");
	KEEPS(MOUNT, "a server that a container names", f.fstype = "cifs"; f.target = "/mnt/u");
	/* It is no path of the host's. */
	assert_int_equal(override_check_binds(img, &e), 0);
}

/* Overlays of what is in the container. */
static void test_overlay_rules(void **state)
{
	static const char text[] =
		"policy: t\n"
		"capability: [{deny: [dac_override]}]\n"
		"file:\n"
		"  - {deny: [read], path: [/l/secret/key]}\n"
		"  - {deny: [write], path: [/l/same/**, /mnt/s/same/**]}\n"
		"override:\n"
		"  - {on: mount, type: overlay, source: [/l/*, /u/*], target: /mnt/s/**, options: {volatile: '*'}, "
		"by: {userns: [container, nested]}, do: perform}\n"
		"  - {on: mount, type: overlay, do: deny, errno: EINVAL}\n";

	(void)state;
	UNDER(text);
#define LAYERS(...)                                                                             \
	do {                                                                                    \
		static const char *const names[] = { __VA_ARGS__ };                             \
		f.fstype = "overlay";                                                           \
		f.data = "lowerdir=a:b,upperdir=c,workdir=d";                                   \
		f.layers = ARRAY_SIZE(names);                                                   \
		memcpy(f.layer, names, sizeof(names));                                          \
	} while (0)
	PERFORMS(MOUNT, LAYERS("/l/a", "/u/b"));
	assert_string_equal(decision.options, "");
	assert_int_equal(decision.attr, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	PERFORMS(MOUNT, LAYERS("/l/a", "/u/b"); f.data = "lowerdir=a,volatile,lowerdir+=x");
	assert_string_equal(decision.options, "volatile");
#define NEXT(...) DECIDES(MOUNT, OVERRIDE_DENY, NULL, __VA_ARGS__) /* the next rule decides */
	NEXT(LAYERS("/l/a", "/x/b"));
	NEXT(LAYERS("/x/a", "/l/b"));
	NEXT(LAYERS("/l/a", NULL));
	NEXT(LAYERS("/l/a"); f.target = "/mnt/u");
	NEXT(LAYERS("/l/a"); f.data = "lowerdir=a,metacopy=on");
	NEXT(LAYERS("/l/a"); f.layers = 0);
	/* File rules must not care which of both names a file has. */
	KEEPS(MOUNT, "something else", LAYERS("/l/a", "/l/secret"));
	KEEPS(MOUNT, "something else", LAYERS("/l/same", "/l/a"));
	PERFORMS(MOUNT, LAYERS("/l/same"); f.target = "/mnt/s/same");
	KEEPS(MOUNT, "something else", LAYERS("/l/same", "/l/a"); f.target = "/mnt/s/same");
	KEEPS(MOUNT, "come to light", LAYERS("/l/a"); f.below = 1);
	KEEPS(MOUNT, "kernel's own state", LAYERS("/l/a"); f.covers_kernel = 1);
	KEEPS(MOUNT, "own user and mount namespace", LAYERS("/l/a"); f.same_mntns = 0);
	KEEPS(MOUNT, "own user and mount namespace", LAYERS("/l/a");
	      f.relation = WARDER_BY_USERNS_NESTED);
	/* By steps: no layer is known before the last one. */
	PERFORMS(MOUNT, f.fstype = "overlay"; f.open = 1; f.target = NULL);
	assert_int_equal(override_caps(img) >> 1 & 3, 2); /* CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH */
}

static void layers(int expected, const char *text, unsigned lowers, unsigned count, const char *last)
{
	struct executor_layers got;
	char data[256];
	int err;

	snprintf(data, sizeof(data), "%s", text);
	err = executor_layers_parse(data, &got);
	if (err != expected || (!err && (got.lowers != lowers || got.count != count ||
					 strcmp(got.path[count - 1], last))))
		fail_msg("%s: %d, %u of %u", text, err, got.lowers, got.count);
}

static void test_layers(void **state)
{
	char many[256] = "lowerdir=a";

	(void)state;
	layers(0, "lowerdir=/a", 1, 1, "/a");
	layers(0, "ro,lowerdir=/a:b:c,xino=off", 3, 3, "c");
	layers(0, "upperdir=/u,lowerdir=/a,workdir=/w", 1, 3, "/w");
	layers(0, "lowerdir+=/a,lowerdir+=/b", 2, 2, "/b");
	layers(0, "lowerdir=/a,lowerdir+=/b", 2, 2, "/b");
	layers(0, "upperdirs=/u,lowerdir=/a,work=/w", 1, 1, "/a");
	layers(-EINVAL, "", 0, 0, "");
	layers(-EINVAL, "lowerdir", 0, 0, "");
	layers(-EINVAL, "lowerdir=", 0, 0, "");
	layers(-EINVAL, "lowerdir=:a", 0, 0, "");
	layers(-EINVAL, "lowerdir=a:", 0, 0, "");
	layers(-EINVAL, "lowerdir=a::b", 0, 0, "");
	layers(-EINVAL, "lowerdir=a,lowerdir=b", 0, 0, "");
	layers(-EINVAL, "lowerdir=a\\:b", 0, 0, "");
	layers(-EINVAL, "lowerdir=a,upperdir=b", 0, 0, "");
	layers(-EINVAL, "lowerdir=a,workdir=b", 0, 0, "");
	layers(-EINVAL, "upperdir=a,workdir=b", 0, 0, "");
	layers(-EINVAL, "lowerdir=a,upperdir=b,upperdir=c,workdir=d", 0, 0, "");
	layers(-EINVAL, "lowerdir=a,upperdir=,workdir=d", 0, 0, "");
	for (unsigned i = 1; i < EXECUTOR_LOWERS_MAX; i++)
		strcat(many, ":a");
	layers(0, many, EXECUTOR_LOWERS_MAX, EXECUTOR_LOWERS_MAX, "a");
	layers(-E2BIG, strcat(many, ":a"), 0, 0, "");
}

/* Images that a FUSE program reads, in the container and of the host's. */
static void test_fuse_rules(void **state)
{
	static const char text[] =
		"policy: t\n"
		"file: [{deny: [write], path: /img/fixed.img}, {deny: [read], path: /img/hidden.img}]\n"
		"override:\n"
		"  - {on: mount, type: [ext4, xfs], source: /img/*.img, target: /mnt/s/**, "
		"fuse: {xfs: /usr/bin/fusexfs, ext4: fuse2fs}, by: {userns: [container, nested]}, do: perform}\n"
		"  - {on: mount, type: erofs, image: /srv/x.img, target: /mnt/s/**, fuse: {erofs: erofsfuse}, "
		"do: perform}\n"
		"  - {on: mount, type: tmpfs, target: /mnt/s/**, do: perform}\n";

	(void)state;
	UNDER(text);
#undef IMAGE
#define IMAGE (f.fstype = "ext4", f.source = "a.img", f.file = "/img/a.img")
	PERFORMS(MOUNT, IMAGE);
	assert_string_equal(decision.fuse, "fuse2fs");
	assert_null(decision.bind);
	assert_int_equal(decision.attr, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	PERFORMS(MOUNT, IMAGE; f.fstype = "xfs");
	assert_string_equal(decision.fuse, "/usr/bin/fusexfs");
	PERFORMS(MOUNT, IMAGE; f.flags |= MS_RDONLY);
	assert_int_equal(decision.attr, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	/* What the policy has not written to is not written by the program either. */
	PERFORMS(MOUNT, IMAGE; f.file = "/img/fixed.img");
	assert_int_equal(decision.attr, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	KEEPS(MOUNT, "denies this", IMAGE; f.file = "/img/hidden.img");
	KEEPS(MOUNT, "does not allow the image /other/a.img", IMAGE; f.file = "/other/a.img");
	KEEPS(MOUNT, "finds no image at a.img", IMAGE; f.file = NULL);
	KEEPS(MOUNT, "does not list option debug", IMAGE; f.data = "debug");
	KEEPS(MOUNT, "own mount namespace only", IMAGE; f.same_mntns = 0);
	PERFORMS(MOUNT, IMAGE; f.loops = 16);
	PERFORMS(MOUNT, IMAGE; f.open = 1; f.target = f.file = NULL; f.source = "");
	/* The host's: by the caller's string, and read-only. */
	PERFORMS(MOUNT, f.fstype = "erofs", f.source = "/srv/x.img");
	assert_string_equal(decision.fuse, "erofsfuse");
	assert_string_equal(decision.bind, "/srv/x.img");
	assert_int_equal(decision.attr, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	KEEPS(MOUNT, "allows only type", f.fstype = "erofs", f.source = f.file = "/img/a.img");
	PERFORMS(MOUNT, f.fstype = "tmpfs");
	assert_null(decision.fuse);
	assert_int_equal(override_wants_file(img, 0, NULL), 1);
	assert_int_equal(override_wants_file(img, 0, "xfs"), 1);
	assert_int_equal(override_wants_file(img, 0, "erofs"), 0);
	assert_int_equal(override_wants_file(img, 1ull << 3, NULL), 0);
}

/* The program must be there, and nobody but root may change it. */
static void test_fuse_programs(void **state)
{
	static const struct {
		const char *name, *words;
	} refused[] = {
		{ "no-such-program", "it is in none of" },
		{ "/usr/bin/no-such-program", "No such file" },
		{ "/etc/passwd", "no program that everybody may run" },
		{ "/usr/bin", "no program that everybody may run" },
		{ "/tmp/program", "can be written by others than root" },
		{ "/usr/bin/awk", "is a symbolic link" },
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i <= ARRAY_SIZE(refused); i++) {
		struct warder_error e = { "" };
		struct warder_image *one;

		snprintf(text, sizeof(text), "policy: t\noverride:\n  - {on: mount, type: ext4, source: /a, "
			 "target: /b, fuse: {ext4: \"%s\"}, do: perform}\n",
			 i < ARRAY_SIZE(refused) ? refused[i].name : "/usr/bin/env");
		one = compile(text);
		if (i == ARRAY_SIZE(refused)) {
			assert_int_equal(override_check_programs(one, &e), 0);
		} else {
			assert_int_equal(override_check_programs(one, &e), -EINVAL);
			if (!strstr(e.text, refused[i].words) || !strstr(e.text, ":3"))
				fail_msg("%s: %s", refused[i].name, e.text);
			assert_int_equal(override_check_binds(one, &e), -EINVAL);
		}
		free(one);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_umount_rules), cmocka_unit_test(test_view_rules),	cmocka_unit_test(test_remount_rules),
		cmocka_unit_test(test_move_rules),	cmocka_unit_test(test_node_rules),
		cmocka_unit_test(test_attribute_rules), cmocka_unit_test(test_name_rules),
		cmocka_unit_test(test_priority_rules),	cmocka_unit_test(test_handler_rules),
		cmocka_unit_test(test_steps),		cmocka_unit_test(test_bind_rules),
		cmocka_unit_test(test_image_rules),
		cmocka_unit_test(test_overlay_rules), cmocka_unit_test(test_server_rules), cmocka_unit_test(test_layers),	cmocka_unit_test(test_fuse_rules),
		cmocka_unit_test(test_fuse_programs),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
