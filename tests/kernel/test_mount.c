// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Class "mount" by real system calls, all of them as root with every capability: what is
 * refused is refused by the policy, and the same call by an untagged task succeeds.
 * The test program has a mount namespace of its own.
 */
#include "harness.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"

/* <sys/mount.h> and <linux/mount.h> of this system cannot be included both. */
int mount(const char *source, const char *target, const char *type, unsigned long flags,
	  const void *data);
int umount2(const char *target, int flags);
#define MNT_DETACH 2

#ifndef SYS_open_tree_attr
#define SYS_open_tree_attr 467
#endif

#define BROKEN 90
#define SAFE (MS_NOSUID | MS_NODEV)
#define TARGETS "/tmp/mt"
#define POLICY                                                                     \
	"policy: mounts\n"                                                         \
	"defaults: {namespace: allow}\n"                                           \
	"mount:\n"                                                                 \
	"  - allow: [mount]\n"                                                     \
	"    type: tmpfs\n"                                                        \
	"    target: /tmp/mt/ok/**\n"                                              \
	"    flags: {require: [nosuid, nodev]}\n"                                  \
	"  - allow: [umount]\n"                                                    \
	"    target: /tmp/mt/ok/**\n"                                              \
	"  - deny: [mount]\n"                                                      \
	"    type: tmpfs\n"                                                        \
	"    target: /tmp/mt/ok/never\n"                                           \
	"    errno: EACCES\n"

static __u32 slot, deny_all;

struct call {
	const char *source, *target, *type;
	unsigned long flags;
};

static int do_mount(void *arg)
{
	struct call *c = arg;

	return h_errno(mount(c->source, c->target, c->type, c->flags, NULL));
}

static void check(int (*fn)(void *), void *arg, __u32 in, int expected)
{
	assert_int_equal(h_run(-1, fn, arg), 0);
	assert_int_equal(h_run(in, fn, arg), expected);
}

static void undo(const char *target)
{
	while (!umount2(target, MNT_DETACH))
		;
}

static void check_call(struct call c, __u32 in, int expected)
{
	assert_int_equal(h_run(-1, do_mount, &c), 0);
	if (!(c.flags & (MS_REMOUNT | MS_SHARED | MS_PRIVATE)))
		assert_int_equal(umount2(c.target, 0), 0);
	assert_int_equal(h_run(in, do_mount, &c), expected);
	if (!expected && !(c.flags & MS_REMOUNT))
		assert_int_equal(umount2(c.target, 0), 0);
}

static void test_new(void **state)
{
	(void)state;
	check_call((struct call){ "none", "/tmp/mt/ok/a", "tmpfs", SAFE }, slot, 0);
	check_call((struct call){ "none", "/tmp/mt/ok/a", "tmpfs", SAFE | MS_NOEXEC }, slot, 0);
	check_call((struct call){ "none", "/tmp/mt/ok/a", "tmpfs", SAFE | MS_MGC_VAL }, slot, 0);
	check_call((struct call){ "none", "/tmp/mt/ok/a", "tmpfs", MS_NOSUID }, slot, EPERM);
	check_call((struct call){ "none", "/tmp/mt/ok/a", "ramfs", SAFE }, slot, EPERM);
	check_call((struct call){ "none", "/tmp/mt/other", "tmpfs", SAFE }, slot, EPERM);
	check_call((struct call){ "none", "/tmp/mt/ok/never", "tmpfs", SAFE }, slot, EACCES);
	check_call((struct call){ "none", "/tmp/mt/link/a", "tmpfs", SAFE }, slot, 0);
	check_call((struct call){ "none", "/tmp/mt/ok/../other", "tmpfs", SAFE }, slot, EPERM);
}

/* The flags say what is done, whatever the type says. */
static void test_flags_decide(void **state)
{
	struct call null = { "none", "/tmp/mt/ok/a", NULL, SAFE };

	(void)state;
	check_call((struct call){ "/etc", "/tmp/mt/ok/a", "tmpfs", SAFE | MS_BIND }, slot, EPERM);
	check_call((struct call){ "/etc", "/tmp/mt/ok/a", NULL, SAFE | MS_BIND }, slot, EPERM);
	check_call((struct call){ "/etc", "/tmp/mt/ok/a", "bind", MS_BIND | MS_REC }, slot, EPERM);
	/* No type at all: no rule with a type speaks of it. */
	assert_int_equal(h_run(-1, do_mount, &null), EINVAL);
	assert_int_equal(h_run(slot, do_mount, &null), EPERM);
}

/* A target without a name gets what rules about targets refuse, and nothing of what they allow. */
static void test_unnamed_target(void **state)
{
	struct call c = { "none", "/tmp/mt/unnamed/d", "tmpfs", SAFE };
	__u32 s = h_container("policy: unnamed\ndefaults: {mount: allow, namespace: allow}\n"
			      "mount:\n  - deny: [mount]\n    target: /srv/never\n");
	__u32 t = h_container("policy: unnamed-allow\ndefaults: {namespace: allow}\n"
			      "mount:\n  - allow: [mount]\n    target: /tmp/mt/**\n");

	(void)state;
	/* A superblock that nobody recorded for either of them. */
	h_shell("mkdir -p /tmp/mt/unnamed && mount -t tmpfs none /tmp/mt/unnamed && "
		"mkdir /tmp/mt/unnamed/d");
	check_call(c, s, EPERM);
	check_call(c, t, EPERM);
	c.target = "/tmp/mt/ok/a";
	check_call(c, s, 0);
	check_call(c, t, 0);
	h_shell("umount /tmp/mt/unnamed");
}

static int do_attach(void *arg)
{
	struct call *c = arg;
	int tree = (int)syscall(SYS_open_tree, AT_FDCWD, c->source, OPEN_TREE_CLONE);

	return tree < 0 ? BROKEN :
	       h_errno(syscall(SYS_move_mount, tree, "", AT_FDCWD, c->target, MOVE_MOUNT_F_EMPTY_PATH));
}

/* Of a new mount it is the caller's word, of a clone its name; of a bind and a move by mount(2) the
 * kernel looks for it after it has asked. */
static void test_source(void **state)
{
	__u32 s = h_container("policy: source\ndefaults: {namespace: allow}\n"
			      "mount:\n  - {allow: [mount, bind, move, attach], source: '/tmp/mt/f*', "
			      "target: /tmp/mt/ok/**}\n");
	__u32 t = h_container("policy: source-deny\ndefaults: {mount: allow, namespace: allow}\n"
			      "mount:\n  - {deny: [mount, bind, attach], source: '/tmp/mt/f*', "
			      "errno: EBUSY}\n");
	struct call from = { "/tmp/mt/from", "/tmp/mt/ok/a", NULL, 0 };
	struct call other = { "/tmp/mt/other", "/tmp/mt/ok/a", NULL, 0 };

	(void)state;
	check_call((struct call){ "/tmp/mt/from", "/tmp/mt/ok/a", "tmpfs", 0 }, s, 0);
	check_call((struct call){ "/tmp/mt/other", "/tmp/mt/ok/a", "tmpfs", 0 }, s, EPERM);
	check_call((struct call){ "/tmp/mt/from", "/tmp/mt/other", "tmpfs", 0 }, s, EPERM);
	check_call((struct call){ NULL, "/tmp/mt/ok/a", "tmpfs", 0 }, s, EPERM);
	check_call((struct call){ "/tmp/mt/from", "/tmp/mt/ok/a", "tmpfs", 0 }, t, EBUSY);
	check_call((struct call){ "/tmp/mt/other", "/tmp/mt/ok/a", "tmpfs", 0 }, t, 0);
	/* A symlink could lead elsewhere by the time that the kernel looks. */
	check_call((struct call){ "/tmp/mt/from", "/tmp/mt/ok/a", NULL, MS_BIND }, s, EPERM);
	check_call((struct call){ "/tmp/mt/other", "/tmp/mt/ok/a", NULL, MS_BIND }, t, EBUSY);
	check(do_attach, &from, s, 0);
	undo("/tmp/mt/ok/a");
	check(do_attach, &other, s, EPERM);
	undo("/tmp/mt/ok/a");
	check(do_attach, &from, t, EBUSY);
	undo("/tmp/mt/ok/a");
	check(do_attach, &other, t, 0);
	undo("/tmp/mt/ok/a");
}

static void test_remount(void **state)
{
	(void)state;
	assert_int_equal(mount("none", "/tmp/mt/ro", "tmpfs", MS_RDONLY | MS_NOSUID, NULL), 0);
	check_call((struct call){ NULL, "/tmp/mt/ro", NULL, MS_REMOUNT }, slot, EPERM);
	check_call((struct call){ NULL, "/tmp/mt/ro", NULL, MS_REMOUNT | MS_BIND }, slot, EPERM);
	/* With both, path_mount() remounts: a bind rule is not enough. */
	h_policy(deny_all, "policy: b\ndefaults: {namespace: allow}\nmount:\n  - allow: [bind]\n");
	check_call((struct call){ NULL, "/tmp/mt/ro", NULL, MS_REMOUNT | MS_BIND }, deny_all, EPERM);
	h_policy(deny_all, "policy: b\ndefaults: {namespace: allow}\nmount:\n  - allow: [remount]\n    target: /tmp/mt/ro\n");
	check_call((struct call){ NULL, "/tmp/mt/ro", NULL, MS_REMOUNT | MS_BIND }, deny_all, 0);
	h_policy(deny_all, "policy: b\ndefaults: {namespace: allow}\n");
	undo("/tmp/mt/ro");
}

static void test_propagation_move(void **state)
{
	struct call move = { "/tmp/mt/from", "/tmp/mt/ok/a", NULL, MS_MOVE };

	(void)state;
	check_call((struct call){ NULL, "/", NULL, MS_SHARED | MS_REC }, slot, EPERM);
	check_call((struct call){ NULL, "/", NULL, MS_PRIVATE | MS_REC }, slot, EPERM);
	assert_int_equal(mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL), 0);
	assert_int_equal(mount("none", "/tmp/mt/from", "tmpfs", 0, NULL), 0);
	assert_int_equal(h_run(slot, do_mount, &move), EPERM);
	assert_int_equal(h_run(-1, do_mount, &move), 0);
	undo("/tmp/mt/ok/a");
}

static int do_umount(void *arg)
{
	return h_errno(umount2(*(const char **)arg, MNT_DETACH));
}

/* A mask over a file, a bind mount, the container's own: judged by the place. */
static void test_umount(void **state)
{
	(void)state;
	assert_int_equal(mount("/dev/null", "/tmp/mt/masked", NULL, MS_BIND, NULL), 0);
	assert_int_equal(h_run(slot, do_umount, &(const char *){ "/tmp/mt/masked" }), EPERM);
	assert_int_equal(h_run(-1, do_umount, &(const char *){ "/tmp/mt/masked" }), 0);

	assert_int_equal(mount("/etc", "/tmp/mt/other", NULL, MS_BIND, NULL), 0);
	assert_int_equal(mount("/etc", "/tmp/mt/ok/a", NULL, MS_BIND, NULL), 0);
	assert_int_equal(mount("/dev", "/tmp/mt/ok/a", NULL, MS_BIND, NULL), 0);
	assert_int_equal(h_run(slot, do_umount, &(const char *){ "/tmp/mt/other" }), EPERM);
	assert_int_equal(h_run(slot, do_umount, &(const char *){ "/tmp/mt/ok/a" }), 0);
	assert_int_equal(h_run(slot, do_umount, &(const char *){ "/tmp/mt/ok/a" }), 0);
	assert_int_equal(h_run(slot, do_umount, &(const char *){ "/tmp/mt/ok/a" }), EINVAL);
	undo("/tmp/mt/other");
}

static int do_pivot(void *arg)
{
	(void)arg;
	return h_errno(syscall(SYS_pivot_root, "/tmp/mt/ok/a", "/tmp/mt/ok/a/old"));
}

static int do_pivot_apart(void *arg)
{
	return h_own_mounts(0) ? BROKEN : do_pivot(arg);
}

static void test_pivot(void **state)
{
	(void)state;
	assert_int_equal(mount("none", "/tmp/mt/ok/a", "tmpfs", 0, NULL), 0);
	assert_int_equal(mkdir("/tmp/mt/ok/a/old", 0700), 0);
	assert_int_equal(h_run(slot, do_pivot, NULL), EPERM);
	assert_int_equal(h_run(-1, do_pivot_apart, NULL), 0);
	h_policy(deny_all, "policy: p\ndefaults: {namespace: allow}\nmount:\n  - allow: [propagation]\n  - allow: [pivot_root]\n"
			   "    target: /tmp/mt/ok/a\n");
	assert_int_equal(h_run(deny_all, do_pivot_apart, NULL), 0);
	h_policy(deny_all, "policy: p\ndefaults: {namespace: allow}\n");
	undo("/tmp/mt/ok/a");
}

/* ------------------------------------------------------------------- new API */

enum { FSOPEN, FSPICK, OPEN_TREE, SETATTR, MOVE_ATTACHED, OPEN_TREE_ATTR, API__MAX };

static int do_api(void *arg)
{
	struct mount_attr attr = { .attr_clr = MOUNT_ATTR_NOSUID };

	switch (*(int *)arg) {
	case FSOPEN:
		return h_errno(syscall(SYS_fsopen, "tmpfs", 0));
	case FSPICK:
		return h_errno(syscall(SYS_fspick, AT_FDCWD, "/tmp/mt/api", 0));
	case OPEN_TREE:
		return h_errno(syscall(SYS_open_tree, AT_FDCWD, "/tmp/mt/api", OPEN_TREE_CLONE));
	case SETATTR:
		return h_errno(syscall(SYS_mount_setattr, AT_FDCWD, "/tmp/mt/api", 0, &attr,
				       sizeof(attr)));
	case MOVE_ATTACHED:
		return h_errno(syscall(SYS_move_mount, AT_FDCWD, "/tmp/mt/api", AT_FDCWD,
				       "/tmp/mt/ok/a", 0));
	case OPEN_TREE_ATTR:
		return h_errno(syscall(SYS_open_tree_attr, AT_FDCWD, "/tmp/mt/api",
				       OPEN_TREE_CLONE, &attr, sizeof(attr)));
	}
	return BROKEN;
}

static void test_api_denied(void **state)
{
	(void)state;
	assert_int_equal(mount("none", "/tmp/mt/api", "tmpfs", MS_NOSUID, NULL), 0);
	for (int i = 0; i < API__MAX; i++) {
		int plain;

		assert_true(h_run(deny_all, do_api, &i) == EPERM ||
			    (i == OPEN_TREE_ATTR && h_run(-1, do_api, &i) == ENOSYS));
		/* No rule of this policy allows anything but a new tmpfs. */
		if (i != FSOPEN && i != OPEN_TREE_ATTR)
			assert_int_equal(h_run(slot, do_api, &i), EPERM);
		plain = h_run(-1, do_api, &i);
		if (plain != ENOSYS)
			assert_int_equal(plain, 0);
		if (i == MOVE_ATTACHED)
			assert_int_equal(mount("/tmp/mt/ok/a", "/tmp/mt/api", NULL, MS_MOVE, NULL),
					 0);
	}
	undo("/tmp/mt/api");
}

/* Descriptors of the new API that were made outside and handed in. */
enum { H_CREATE, H_FSMOUNT, H_ATTACH, H_RECONFIGURE };
struct handed {
	int what;
	int fd;
};

static int do_handed(void *arg)
{
	struct handed *h = arg;

	switch (h->what) {
	case H_CREATE:
		return h_errno(syscall(SYS_fsconfig, h->fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	case H_FSMOUNT:
		return h_errno(syscall(SYS_fsmount, h->fd, 0, 0));
	case H_ATTACH:
		return h_errno(syscall(SYS_move_mount, h->fd, "", AT_FDCWD, "/tmp/mt/ok/a",
				       MOVE_MOUNT_F_EMPTY_PATH));
	case H_RECONFIGURE:
		return h_errno(syscall(SYS_fsconfig, h->fd, FSCONFIG_CMD_RECONFIGURE, NULL, NULL,
				       0));
	}
	return BROKEN;
}

static void test_api_handed_in(void **state)
{
	struct handed h = { .what = H_CREATE, .fd = syscall(SYS_fsopen, "tmpfs", 0) };
	struct handed pick;

	(void)state;
	assert_true(h.fd >= 0);
	assert_int_equal(h_run(deny_all, do_handed, &h), EPERM);
	close(h.fd);
	h.fd = syscall(SYS_fsopen, "tmpfs", 0);
	assert_int_equal(do_handed(&h), 0);
	h.what = H_FSMOUNT;
	assert_int_equal(h_run(deny_all, do_handed, &h), EPERM);
	h.fd = syscall(SYS_fsmount, h.fd, 0, 0);
	assert_true(h.fd >= 0);
	h.what = H_ATTACH;
	assert_int_equal(h_run(deny_all, do_handed, &h), EPERM);
	assert_int_equal(h_run(slot, do_handed, &h), EPERM); /* mount is allowed there, attach not */
	assert_int_equal(h_run(-1, do_handed, &h), 0);
	pick.what = H_RECONFIGURE;
	/* A context that failed once is dead. */
	pick.fd = syscall(SYS_fspick, AT_FDCWD, "/tmp/mt/ok/a", 0);
	assert_int_equal(h_run(deny_all, do_handed, &pick), EPERM);
	pick.fd = syscall(SYS_fspick, AT_FDCWD, "/tmp/mt/ok/a", 0);
	assert_int_equal(h_run(-1, do_handed, &pick), 0);
	undo("/tmp/mt/ok/a");
}

static int do_int80(void *arg)
{
	char *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	long result;

	if (low == MAP_FAILED)
		return BROKEN;
	strcpy(low, "tmpfs");
	strcpy(low + 64, "/tmp/mt/api");
	switch (*(int *)arg) {
	case 0: /* fsopen */
		asm volatile("int $0x80" : "=a"(result) : "a"(430), "b"(low), "c"(0) : "memory");
		break;
	case 1: /* mount */
		asm volatile("int $0x80" : "=a"(result)
			     : "a"(21), "b"(low), "c"(low + 64), "d"(low), "S"(0), "D"(0)
			     : "memory");
		break;
	default: /* umount2 */
		asm volatile("int $0x80" : "=a"(result) : "a"(52), "b"(low + 64), "c"(0)
			     : "memory");
	}
	return (int)result < 0 ? -(int)result : 0;
}

static void test_compat(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		int plain;

		if (i == 2)
			assert_int_equal(mount("none", "/tmp/mt/api", "tmpfs", 0, NULL), 0);
		assert_int_equal(h_run(deny_all, do_int80, &i), EPERM);
		plain = h_run(-1, do_int80, &i);
		assert_int_equal(plain, 0);
		undo("/tmp/mt/api");
	}
	/* Allowed, its superblock has a name all the same. */
	h_policy(deny_all, "policy: c\ndefaults: {namespace: allow}\nmount:\n  - allow: [mount]\n    type: tmpfs\n"
			   "    target: /tmp/mt/api\n");
	assert_int_equal(h_run(deny_all, do_int80, &(int){ 1 }), 0);
	undo("/tmp/mt/api");
	h_policy(deny_all, "policy: c\ndefaults: {namespace: allow}\n");
}

/* --------------------------------------------------------------------- names */

#define NAMES                                      \
	"policy: names\n"                          \
	"defaults: {mount: allow, namespace: allow}\n" \
	"file:\n"                                  \
	"  - deny: [read]\n"                       \
	"    path: /tmp/mt/ok/a/**\n"

static int do_read(const char *path)
{
	return h_open(path, O_RDONLY | O_CREAT);
}

/* A superblock at a, one at b, and again: each has the name of its own place, although the
 * kernel uses the same memory for it. */
static int do_again(void *arg)
{
	(void)arg;
	for (int i = 0; i < 30; i++) {
		const char *at = i % 3 ? "/tmp/mt/ok/b" : "/tmp/mt/ok/a";
		char file[64];
		int result;

		snprintf(file, sizeof(file), "%s/file", at);
		if (mount("none", at, i % 2 ? "tmpfs" : "ramfs", 0, NULL))
			return BROKEN;
		result = do_read(file);
		if (umount2(at, 0))
			return BROKEN + 1;
		if (result != (i % 3 ? 0 : EACCES))
			return BROKEN + 2;
		/* Superblocks are freed after a grace period. */
		if (i % 5 == 4)
			usleep(50000);
	}
	return 0;
}

/* Superblocks that the container made and that are known still. */
static int count_sbs(__u64 of_cid)
{
	cleanup_close int fd = bpf_obj_get(WARDER_PIN_DIR "/warder_sbs");
	struct warder_sb value;
	__u64 key, next;
	void *previous = NULL;
	int n = 0;

	assert_true(fd >= 0);
	while (!bpf_map_get_next_key(fd, previous, &next)) {
		key = next;
		previous = &key;
		if (!bpf_map_lookup_elem(fd, &key, &value) && value.maker == of_cid)
			n++;
	}
	return n;
}

static int count_names(__u32 of_slot)
{
	cleanup_close int fd = bpf_obj_get(WARDER_PIN_DIR "/warder_names");
	struct warder_name_key key, next;
	void *previous = NULL;
	int n = 0;

	assert_true(fd >= 0);
	while (!bpf_map_get_next_key(fd, previous, &next)) {
		key = next;
		previous = &key;
		n += key.slot == of_slot;
	}
	return n;
}

/* Waits for superblocks to be freed: so many of the container are left. */
static int sbs_left(__u64 of_cid)
{
	int left = -1;

	for (int i = 0; i < 1000 && left; i++) {
		usleep(10000);
		left = count_sbs(of_cid);
	}
	return left;
}

static void test_names(void **state)
{
	__u32 s = h_container(NAMES);
	int names = count_names(s);

	(void)state;
	assert_int_equal(h_run(s, do_again, NULL), 0);
	assert_int_equal(sbs_left(h_cid(s)), 0);
	assert_int_equal(count_names(s), names);
}

static int do_mount_a(void *arg)
{
	(void)arg;
	return mount("none", "/tmp/mt/ok/a", "tmpfs", 0, NULL) || mkdir("/tmp/mt/ok/a/below", 0755);
}

/* A superblock that has got more than one name, from here and from another container: all go. */
static void test_names_many(void **state)
{
	__u32 s = h_container(NAMES), other = h_container(NAMES);
	int names = count_names(s), others = count_names(other);

	(void)state;
	assert_int_equal(h_run(s, do_mount_a, NULL), 0);
	assert_int_equal(count_names(s), names + 1);
	h_record_mount(other, "/tmp/mt/ok/a", "/elsewhere");
	assert_int_equal(mount("/tmp/mt/ok/a/below", "/tmp/mt/ok/b", NULL, MS_BIND, NULL), 0);
	h_record_mount(s, "/tmp/mt/ok/b", "/tmp/mt/ok/b");
	assert_int_equal(count_names(s), names + 2);
	assert_int_equal(count_names(other), others + 1);
	undo("/tmp/mt/ok/b");
	undo("/tmp/mt/ok/a");
	assert_int_equal(sbs_left(h_cid(s)), 0);
	assert_int_equal(count_names(s), names);
	assert_int_equal(count_names(other), others);
}

/* The same by the new API: named where it is attached, nameless before. */
static int do_new_api(void *arg)
{
	const char *target = *(const char **)arg;
	int fs = syscall(SYS_fsopen, "tmpfs", 0), mnt, result;
	char file[64];

	if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return BROKEN;
	mnt = syscall(SYS_fsmount, fs, 0, 0);
	if (mnt < 0)
		return BROKEN + 1;
	result = openat(mnt, "file", O_RDONLY | O_CREAT, 0600);
	if (result >= 0 || errno != EACCES)
		return BROKEN + 2;
	if (syscall(SYS_move_mount, mnt, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH))
		return BROKEN + 3;
	snprintf(file, sizeof(file), "%s/file", target);
	result = do_read(file);
	return umount2(target, MNT_DETACH) ? BROKEN + 4 : result;
}

static void test_names_new_api(void **state)
{
	__u32 s = h_container(NAMES);

	(void)state;
	assert_int_equal(h_run(s, do_new_api, &(const char *){ "/tmp/mt/ok/a" }), EACCES);
	assert_int_equal(h_run(s, do_new_api, &(const char *){ "/tmp/mt/ok/b" }), 0);
}

/* A name that cannot be recorded: the mount is refused, and counted as a fault. */
static int do_deep(void *arg)
{
	char part[201];

	(void)arg;
	memset(part, 'd', 200);
	part[200] = 0;
	if (chdir("/tmp/mt/ok/b"))
		return BROKEN;
	for (int i = 0; i < 6; i++)
		if ((mkdir(part, 0700) && errno != EEXIST) || chdir(part))
			return BROKEN;
	return h_errno(mount("none", ".", "tmpfs", 0, NULL));
}

static void test_long_name(void **state)
{
	__u32 s = h_container(NAMES);
	__u64 before = h_fault_count(WARDER_FAULT_NAME_LONG);

	(void)state;
	assert_int_equal(h_run(s, do_deep, NULL), ENAMETOOLONG);
	assert_true(h_fault_count(WARDER_FAULT_NAME_LONG) == before + 1);
}

/* ---------------------------------------------------------------------- modes */

static int do_userns(void *arg)
{
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
		return BROKEN;
	return do_mount(arg);
}

/* A user namespace of one's own gives no way round. */
static void test_userns(void **state)
{
	struct call c = { "none", "/tmp/mt/other", "tmpfs", SAFE };
	struct call ok = { "none", "/tmp/mt/ok/a", "tmpfs", SAFE };

	(void)state;
	check(do_userns, &c, slot, EPERM);
	check(do_userns, &ok, slot, 0);
}

static void test_audit(void **state)
{
	__u32 s = h_container("policy: audit\nmode: audit\n");
	struct call c = { "none", "/tmp/mt/other", "tmpfs", 0 };
	int fsopen_ = FSOPEN;

	(void)state;
	assert_int_equal(h_run(s, do_mount, &c), 0);
	assert_int_equal(h_stats(s).audited, 1);
	assert_int_equal(h_run(s, do_api, &fsopen_), 0);
	assert_int_equal(h_stats(s).audited, 2);
	assert_int_equal(h_stats(s).denied, 0);
	undo("/tmp/mt/other");
}

static void test_event(void **state)
{
	char name[WARDER_PATH_MAX], detail[WARDER_PATH_MAX];
	struct call c = { "none", "/tmp/mt/other", "tmpfs", MS_NOEXEC };
	struct warder_event e;

	(void)state;
	h_events_drop();
	assert_int_equal(h_run(slot, do_mount, &c), EPERM);
	assert_int_equal(h_event_last(slot, &e, name, detail), 1);
	assert_int_equal(e.hook, WARDER_HOOK_SB_MOUNT);
	assert_int_equal(e.class_, WARDER_CLASS_MOUNT);
	assert_int_equal(e.access, WARDER_MNT_NEW);
	assert_int_equal(e.arg[0], MS_NOEXEC);
	assert_string_equal(name, "/tmp/mt/other");
	assert_string_equal(detail, "tmpfs");
}

int main(void)
{
	static const char *const dirs[] = { TARGETS, "/tmp/mt/ok", "/tmp/mt/ok/a", "/tmp/mt/ok/b",
					    "/tmp/mt/ok/never", "/tmp/mt/other", "/tmp/mt/ro",
					    "/tmp/mt/api", "/tmp/mt/from" };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new),
		cmocka_unit_test(test_flags_decide),
		cmocka_unit_test(test_unnamed_target),
		cmocka_unit_test(test_source),
		cmocka_unit_test(test_remount),
		cmocka_unit_test(test_propagation_move),
		cmocka_unit_test(test_umount),
		cmocka_unit_test(test_pivot),
		cmocka_unit_test(test_api_denied),
		cmocka_unit_test(test_api_handed_in),
		cmocka_unit_test(test_compat),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_names_many),
		cmocka_unit_test(test_names_new_api),
		cmocka_unit_test(test_long_name),
		cmocka_unit_test(test_userns),
		cmocka_unit_test(test_audit),
		cmocka_unit_test(test_event),
	};

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		if (mkdir(dirs[i], 0755) && errno != EEXIST)
			return 99;
	close(open("/tmp/mt/masked", O_WRONLY | O_CREAT, 0644));
	if ((symlink("ok", "/tmp/mt/link") && errno != EEXIST) || h_own_mounts(0))
		return 99;
	deny_all = h_container("policy: deny-all\ndefaults: {namespace: allow}\n");
	slot = h_container(POLICY);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
