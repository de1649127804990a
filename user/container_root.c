// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The container's root: what is mounted where. Paths below the root are resolved by openat2
 * with RESOLVE_IN_ROOT, so that no symbolic link of an image leads outside.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cleanup.h"
#include "container.h"

/* As podman's (containers/common pkg/config, runtime-tools): files become a null device,
 * folders an empty read-only tmpfs. */
static const char *const masked_paths[] = {
	"/proc/acpi",	     "/proc/kcore",	 "/proc/keys",	   "/proc/latency_stats",
	"/proc/timer_list",  "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi",
	"/proc/interrupts",  "/sys/firmware",	 "/sys/fs/selinux", "/sys/dev/block",
	"/sys/devices/virtual/powercap",
};
static const char *const read_only_paths[] = {
	"/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
};
static const struct {
	const char *name;
	unsigned major, minor;
} device_nodes[] = {
	{ "null", 1, 3 }, { "zero", 1, 5 },    { "full", 1, 7 },
	{ "random", 1, 8 }, { "urandom", 1, 9 }, { "tty", 5, 0 },
};

static int root_open_at(int root, const char *path, int flags)
{
	struct open_how how = { .flags = (uint64_t)(flags | O_CLOEXEC),
				.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

/* On an idmapped root, files can only be made by a user that it maps. */
static void root_as_owner(struct builder *b, int on)
{
	if (b->userns_fd < 0 || !b->spec->rootfs)
		return;
	setfsgid(on ? b->uid_base : 0);
	setfsuid(on ? b->uid_base : 0);
}

static int root_make_one(struct builder *b, int dir, const char *name, int file)
{
	int err = 0;

	root_as_owner(b, 1);
	if (file) {
		cleanup_close int fd =
			openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);

		if (fd < 0 && errno != EEXIST)
			err = -errno;
	} else if (mkdirat(dir, name, 0755) && errno != EEXIST) {
		err = -errno;
	}
	root_as_owner(b, 0);
	return err;
}

/* An O_PATH fd on `path` below the root; missing folders (and the file at the end) are made. */
static int root_open_target(struct builder *b, int root, const char *path, int file)
{
	int type = file ? 0 : O_DIRECTORY;
	int fd = root_open_at(root, path, O_PATH | type), err;
	char part[WARDER_PREFIX_SIZE];

	if (fd != -ENOENT)
		return fd;
	for (const char *p = path; *p;) {
		cleanup_close int parent = -1;
		size_t start, end;

		p += strspn(p, "/");
		if (!*p)
			break;
		start = (size_t)(p - path);
		end = start + strcspn(p, "/");
		p = path + end;
		if (end >= sizeof(part))
			return -ENAMETOOLONG;
		memcpy(part, path, end);
		part[end] = '\0';
		fd = root_open_at(root, part, O_PATH);
		if (fd >= 0) {
			close(fd);
			continue;
		}
		if (fd != -ENOENT)
			return fd;
		part[start] = '\0';
		parent = start ? root_open_at(root, part, O_PATH | O_DIRECTORY) : dup(root);
		if (parent < 0)
			return parent;
		memcpy(part, path + start, end - start);
		part[end - start] = '\0';
		err = root_make_one(b, parent, part, file && !path[end + strspn(path + end, "/")]);
		if (err)
			return err;
	}
	return root_open_at(root, path, O_PATH | type);
}

static int root_mount_fd(int target, const char *type, unsigned long flags, const char *data)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", target);
	return mount(type, path, type, flags, data) ? -errno : 0;
}

/* Mounts a new file system at `path` of the root; fails the start with a sentence. */
static void root_mount(struct builder *b, int root, const char *path, const char *type,
		       unsigned long flags, const char *data)
{
	cleanup_close int target = root_open_target(b, root, path, 0);
	int err = target < 0 ? target : root_mount_fd(target, type, flags, data);

	if (err)
		builder_fail(b, 125, "cannot mount %s at %s of the container: %s", type, path,
			     strerror(-err));
}

/* A detached copy of a tree with attributes set, or -errno. */
static int root_clone_tree(int at, const char *path, unsigned flags, uint64_t attr_set,
			   int userns_fd)
{
	struct mount_attr attr = { .attr_set = attr_set, .propagation = MS_PRIVATE };
	cleanup_close int tree = open_tree(at, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags);

	if (tree < 0)
		return -errno;
	if (userns_fd >= 0) {
		attr.attr_set |= MOUNT_ATTR_IDMAP;
		attr.userns_fd = (uint64_t)userns_fd;
	}
	if (mount_setattr(tree, "", AT_EMPTY_PATH | (flags & AT_RECURSIVE), &attr, sizeof(attr)))
		return -errno;
	return take_fd(&tree);
}

static int root_attach(int tree, int target)
{
	return move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) ?
		       -errno :
		       0;
}

/* -------------------------------------------------------- in the builder's namespace */

static int root_attach_base(struct builder *b)
{
	const char *source = b->spec->rootfs ? b->spec->rootfs : "/";
	uint64_t attr = b->spec->rootfs && !b->spec->read_only ? 0 : MOUNT_ATTR_RDONLY;
	cleanup_close int tree = -1, dir = -1, stage = -1;
	int fd, err;

	dir = open(source, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		builder_fail(b, 125, "root %s: %s%s", source, strerror(errno),
			     errno == ENOTDIR ? " (--rootfs takes an unpacked folder)" : "");
	/* The host's own root is shown as it is: its files belong to nobody of the container. */
	tree = root_clone_tree(dir, "", AT_EMPTY_PATH | AT_RECURSIVE, attr,
			       b->spec->rootfs ? b->userns_fd : -1);
	if (tree < 0 && b->userns_fd >= 0 && b->spec->rootfs)
		builder_fail(b, 125,
			     "root %s cannot be shown with the container's user ids: %s (its file "
			     "system or this kernel has no idmapped mounts; put it on ext4, xfs or "
			     "btrfs, or leave out --userns)",
			     source, strerror(-tree));
	if (tree < 0)
		builder_fail(b, 125, "root %s: cannot be mounted: %s", source, strerror(-tree));
	stage = open(b->stage, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (stage < 0)
		builder_fail(b, 125, "%s: %s", b->stage, strerror(errno));
	err = root_attach(tree, stage);
	if (err)
		builder_fail(b, 125, "root %s: cannot be attached: %s", source, strerror(-err));
	fd = open(b->stage, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		builder_fail(b, 125, "%s: %s", b->stage, strerror(errno));
	return fd;
}

/* The host's own /proc, /dev, ... below its root are not only covered but taken away. */
static void root_detach_hidden(struct builder *b, int root)
{
	static const char *const gone[] = { "proc", "sys", "dev", "run", "tmp" };
	char path[PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(gone); i++) {
		cleanup_close int fd = root_open_at(root, gone[i], O_PATH | O_DIRECTORY);

		if (fd < 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", b->stage, gone[i]);
		while (!umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW))
			;
	}
}

static void root_make_node(struct builder *b, int dir, const char *name, unsigned major,
			   unsigned minor)
{
	if (mknodat(dir, name, S_IFCHR | 0666, makedev(major, minor)) ||
	    fchownat(dir, name, b->uid_base, b->uid_base, AT_SYMLINK_NOFOLLOW))
		builder_fail(b, 125, "cannot make the device %s: %s", name, strerror(errno));
}

static void root_make_dev(struct builder *b, int root)
{
	static const char *const links[][2] = {
		{ "pts/ptmx", "ptmx" },		   { "/proc/self/fd", "fd" },
		{ "/proc/self/fd/0", "stdin" },	   { "/proc/self/fd/1", "stdout" },
		{ "/proc/self/fd/2", "stderr" },
	};
	static const char *const dirs[] = { "pts", "shm", "mqueue" };
	cleanup_close int dev = -1;
	char options[128];

	snprintf(options, sizeof(options), "mode=755,size=65536k,uid=%u,gid=%u", b->uid_base,
		 b->uid_base);
	root_mount(b, root, "/dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, options);
	dev = root_open_at(root, "/dev", O_RDONLY | O_DIRECTORY);
	if (dev < 0)
		builder_fail(b, 125, "cannot open /dev of the container: %s", strerror(-dev));
	for (size_t i = 0; i < ARRAY_SIZE(device_nodes); i++)
		root_make_node(b, dev, device_nodes[i].name, device_nodes[i].major,
			       device_nodes[i].minor);
	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		if (symlinkat(links[i][0], dev, links[i][1]))
			builder_fail(b, 125, "cannot make /dev/%s: %s", links[i][1],
				     strerror(errno));
	}
	/* A link and no bind mount: the terminal then has one name, /dev/pts/0. */
	if (b->spec->tty && symlinkat("pts/0", dev, "console"))
		builder_fail(b, 125, "cannot make /dev/console: %s", strerror(errno));
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		if (mkdirat(dev, dirs[i], 0755))
			builder_fail(b, 125, "cannot make /dev/%s: %s", dirs[i], strerror(errno));
	}
	snprintf(options, sizeof(options), "mode=1777,size=64000k,uid=%u,gid=%u", b->uid_base,
		 b->uid_base);
	root_mount(b, root, "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options);
}

/*
 * Copies of the volumes, before the root is attached to the stage: of a folder that the stage lies
 * below, as the host's /, a copy would have the half of the root that is there by then. A mount
 * root at two places has one name, so that nodes of the container's own /dev would not open.
 */
static void root_clone_volumes(struct builder *b, int ret_tree[CONTAINER_VOLUMES_MAX])
{
	for (size_t i = 0; i < b->spec->volumes; i++) {
		const struct container_volume *v = &b->spec->volume[i];
		int tree = root_clone_tree(AT_FDCWD, v->source, AT_RECURSIVE,
					   v->read_only ? MOUNT_ATTR_RDONLY : 0, b->userns_fd);

		if (tree < 0 && b->userns_fd >= 0 && tree != -ENOENT)
			builder_fail(b, 125,
				     "volume %s cannot be shown with the container's user ids: %s (no "
				     "idmapped mounts there)",
				     v->source, strerror(-tree));
		if (tree < 0)
			builder_fail(b, 125, "volume %s: %s", v->source, strerror(-tree));
		ret_tree[i] = tree;
	}
}

static void root_attach_volume(struct builder *b, int root, const struct container_volume *v,
			       int volume)
{
	cleanup_close int tree = volume, target = -1;
	struct stat st;
	int err;

	if (fstat(tree, &st))
		builder_fail(b, 125, "volume %s: %s", v->source, strerror(errno));
	target = root_open_target(b, root, v->target, !S_ISDIR(st.st_mode));
	err = target < 0 ? target : root_attach(tree, target);
	if (err == -EROFS)
		builder_fail(b, 125,
			     "volume target %s does not exist and the root is read-only: choose an "
			     "existing one, or one below /tmp or /run",
			     v->target);
	if (err)
		builder_fail(b, 125, "volume target %s: %s", v->target, strerror(-err));
}

/* One null device for each masked file: two mounts of one file could not be told apart by
 * their root, and then /dev/null itself would be called /proc/kcore. */
static void root_make_masks(struct builder *b)
{
	cleanup_close int dir = -1;

	if (mkdir(b->mask, 0700) && errno != EEXIST)
		builder_fail(b, 125, "%s: %s", b->mask, strerror(errno));
	if (mount("tmpfs", b->mask, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=1m"))
		builder_fail(b, 125, "%s: %s", b->mask, strerror(errno));
	dir = open(b->mask, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < ARRAY_SIZE(masked_paths); i++) {
		char name[16];

		snprintf(name, sizeof(name), "%zu", i);
		root_make_node(b, dir, name, 1, 3);
	}
}

void builder_make_root(struct builder *b)
{
	cleanup_close int root = -1;
	int volume[CONTAINER_VOLUMES_MAX];
	const int fresh = !b->spec->rootfs || b->spec->read_only;
	static const char *const points[] = { "/proc", "/sys" };
	char options[128];

	root_clone_volumes(b, volume);
	root = root_attach_base(b);
	if (!b->spec->rootfs)
		root_detach_hidden(b, root);
	for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
		cleanup_close int fd = root_open_target(b, root, points[i], 0);

		if (fd < 0)
			builder_fail(b, 125, "the root has no %s and it cannot be made: %s",
				     points[i], strerror(-fd));
	}
	root_make_dev(b, root);
	snprintf(options, sizeof(options), "mode=1777,uid=%u,gid=%u", b->uid_base, b->uid_base);
	if (fresh)
		root_mount(b, root, "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, options);
	snprintf(options, sizeof(options), "mode=755,uid=%u,gid=%u", b->uid_base, b->uid_base);
	if (fresh)
		root_mount(b, root, "/run", "tmpfs", MS_NOSUID | MS_NODEV, options);
	/* For container.sock; root of the container may not replace it by persistent files. */
	snprintf(options, sizeof(options), "mode=755,size=64k,uid=%u,gid=%u", b->uid_base,
		 b->uid_base);
	root_mount(b, root, "/run/warder", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options);
	/* A sysfs needs a network namespace of the container's own user namespace. */
	if (b->userns_fd >= 0 && b->spec->net_host) {
		cleanup_close int sys = root_open_at(root, "/sys", O_PATH | O_DIRECTORY);
		cleanup_close int tree = root_clone_tree(
			AT_FDCWD, "/sys", 0,
			MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
			-1);
		int err = tree < 0 ? tree : root_attach(tree, sys);

		if (err)
			builder_fail(b, 125, "cannot show /sys: %s", strerror(-err));
	}
	for (size_t i = 0; i < b->spec->volumes; i++)
		root_attach_volume(b, root, &b->spec->volume[i], volume[i]);
	root_make_masks(b);
}

/* ----------------------------------------------------------------------- in init */

static void root_mask(struct builder *b, int root, size_t i)
{
	cleanup_close int target = root_open_at(root, masked_paths[i], O_PATH | O_NOFOLLOW);
	cleanup_close int tree = -1;
	char node[sizeof(b->mask) + 24];
	struct stat st;
	int err;

	if (target == -ENOENT)
		return;
	if (target < 0 || fstat(target, &st))
		builder_fail(b, 125, "cannot mask %s: %s", masked_paths[i],
			     strerror(target < 0 ? -target : errno));
	if (S_ISDIR(st.st_mode)) {
		err = root_mount_fd(target, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
				    "size=0k");
	} else {
		snprintf(node, sizeof(node), "%s/%zu", b->mask, i);
		tree = root_clone_tree(AT_FDCWD, node, 0, 0, -1);
		err = tree < 0 ? tree : root_attach(tree, target);
	}
	if (err)
		builder_fail(b, 125, "cannot mask %s: %s", masked_paths[i], strerror(-err));
}

static void root_make_read_only(struct builder *b, int root, const char *path)
{
	cleanup_close int target = root_open_at(root, path, O_PATH | O_NOFOLLOW);
	cleanup_close int tree = -1;
	int err = 0;

	if (target == -ENOENT)
		return;
	if (target < 0)
		err = target;
	if (!err) {
		tree = root_clone_tree(target, "", AT_EMPTY_PATH, MOUNT_ATTR_RDONLY, -1);
		err = tree < 0 ? tree : root_attach(tree, target);
	}
	if (err)
		builder_fail(b, 125, "cannot make %s read-only: %s", path, strerror(-err));
}

static void root_pivot(struct builder *b, int root)
{
	if (fchdir(root) || syscall(SYS_pivot_root, ".", "."))
		builder_fail(b, 125, "cannot change to the container's root: %s%s", strerror(errno),
			     errno == EINVAL ? " (is the host's root an initramfs? switch_root to "
					       "another file system first)" :
					       "");
	/* The old root now lies on top of ours. */
	if (umount2(".", MNT_DETACH) || chdir("/"))
		builder_fail(b, 125, "cannot leave the host's root: %s", strerror(errno));
}

void builder_enter_root(struct builder *b)
{
	const unsigned long quiet = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	cleanup_close int root = -1, mqueue = -1;
	int err;

	/* A copy of our own: as part of a more privileged namespace the stage is locked in
	 * place and could not become the root. */
	if (mount(b->stage, b->stage, NULL, MS_BIND | MS_REC, NULL))
		builder_fail(b, 125, "cannot take over the root: %s", strerror(errno));
	root = open(b->stage, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		builder_fail(b, 125, "%s: %s", b->stage, strerror(errno));
	root_mount(b, root, "/proc", "proc", quiet, NULL);
	if (!b->spec->userns || !b->spec->net_host)
		root_mount(b, root, "/sys", "sysfs", quiet | MS_RDONLY, NULL);
	root_mount(b, root, "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
		   "newinstance,ptmxmode=0666,mode=0620,gid=5");
	mqueue = root_open_at(root, "/dev/mqueue", O_PATH | O_DIRECTORY);
	err = mqueue < 0 ? mqueue : root_mount_fd(mqueue, "mqueue", quiet, NULL);
	if (err && err != -ENODEV) /* a kernel without POSIX queues */
		builder_fail(b, 125, "cannot mount /dev/mqueue: %s", strerror(-err));
	if (access("/sys/fs/cgroup", F_OK) == 0)
		root_mount(b, root, "/sys/fs/cgroup", "cgroup2", quiet | MS_RDONLY, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(masked_paths); i++)
		root_mask(b, root, i);
	for (size_t i = 0; i < ARRAY_SIZE(read_only_paths); i++)
		root_make_read_only(b, root, read_only_paths[i]);
	root_pivot(b, root);
}
