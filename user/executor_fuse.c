// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * An executor's mounts of images that a FUSE program of the host's reads, in the kernel's place: what a
 * hostile image can break is that program, which is worth nothing (executor_fuse_box.c). The mount is
 * made here, before the program is started: it has no right to mount, and finds the device open as
 * descriptor 3, which libfuse takes as mount point "/dev/fd/3".
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "executor_internal.h"

#define NOBODY 65534
#define SLOTS_FILE "/run/warder/fuse.lock"
#define HELPER "warder-fusermount"
#define SAID_SIZE 72 /* of what a program says before it ends */

/* ---------------------------------------------------------------------- the program */

static int program_open_at(const char *path, int *ret_fd, char *why, size_t size)
{
	cleanup_close int at = -1;
	struct stat st;
	int err = bind_source_open(path, &at, why, size);

	if (err)
		return err;
	if (fstat(at, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || !(st.st_mode & 1)) {
		snprintf(why, size, "%s is no program that everybody may run", path);
		return -EACCES;
	}
	*ret_fd = take_fd(&at);
	return 0;
}

int fuse_program_open(const char *name, int *ret_fd, char *why, size_t size)
{
	static const char *const folders[] = { "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin" };
	char path[EXECUTOR_PROGRAM_SIZE + 32];

	if (*name == '/')
		return program_open_at(name, ret_fd, why, size);
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		snprintf(path, sizeof(path), "%s/%s", folders[i], name);
		if (!faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW))
			return program_open_at(path, ret_fd, why, size);
	}
	snprintf(why, size, "it is in none of /usr/local/sbin, /usr/local/bin, /usr/sbin and /usr/bin");
	return -ENOENT;
}

/* ------------------------------------------------------------------------ the image */

void fuse_find(struct operation *op, const struct caller *c, const char *path,
	       struct executor_reply *reply)
{
	struct executor_reply unused;
	struct mount_line line;

	/* The source of another file system is a name only: there need be nothing. */
	op->second = *path ? walk(c, -1, path, 0, "the image", &unused) : -1;
	/* A descriptor may lead to a mount of another namespace: that is not the container's. */
	if (op->second >= 0 && mount_line_of(op, c->home, op->second, &line))
		close_fd(&op->second);
	if (op->second < 0)
		op->second = -1;
	reply->fd2 = op->second;
}

static int may_open(const struct executor_home *home, int fd, uid_t uid, gid_t gid, int flags)
{
	char link[32];
	int got, err;

	snprintf(link, sizeof(link), "fd/%d", fd);
	setfsgid(gid);
	setfsuid(uid);
	got = openat(home->self, link, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	err = got < 0 ? -errno : 0;
	come_home(home);
	close_fd(&got);
	return err;
}

/* The program opens the image by itself: it must be allowed to, and so must the caller. Who may not write
 * it gets a read-only mount. */
static int image_check(const struct operation *op, const struct executor_home *home, int host,
		       struct fuse_box *b, int at, struct executor_reply *reply)
{
	struct stat st;
	int err;

	if (fstat(at, &st))
		return fail(reply, -errno, "the image cannot be looked at");
	/* Opening another kind of file could have an effect, or never end. */
	if (!S_ISREG(st.st_mode))
		return fail(reply, -EINVAL, "the image is no regular file");
	err = host ? 0 : may_open(home, at, op->fsuid, op->fsgid, O_RDONLY);
	if (err)
		return fail(reply, err, "the caller may not read the image");
	err = may_open(home, at, b->uid, b->gid, O_RDONLY);
	if (err)
		return fail(reply, err, "uid %u, which the FUSE program has, may not read the image", b->uid);
	if (host || may_open(home, at, op->fsuid, op->fsgid, O_RDWR) ||
	    may_open(home, at, b->uid, b->gid, O_RDWR))
		b->read_only = 1;
	return 0;
}

/* A mount of the one file, for the program's own root: nothing else of the container is there, and what
 * the container mounts or renames later changes nothing. */
static int image_clone(const struct operation *op, const struct executor_home *home, int host, int at,
		       struct fuse_box *b, struct executor_reply *reply)
{
	struct mount_attr attr = {
		.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
			    (b->read_only ? MOUNT_ATTR_RDONLY : 0),
		.propagation = MS_PRIVATE,
	};
	int err = 0;

	if (!host && setns(op->mntns, CLONE_NEWNS))
		err = -errno;
	if (!err)
		b->image = open_tree(at, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (!err && b->image < 0)
		err = -errno;
	come_home(home);
	if (!err && mount_setattr(b->image, "", AT_EMPTY_PATH, &attr, sizeof(attr)))
		err = -errno;
	return err ? fail(reply, err, "the image cannot be shown to the FUSE program") : 0;
}

static int image_prepare(const struct operation *op, const struct executor_home *home,
			 const struct executor_request *req, struct fuse_box *b,
			 struct executor_reply *reply)
{
	cleanup_close int offered = -1;
	int host = req->image[0] != '\0', at = op->second, err;
	char why[128] = "";

	b->read_only = !!(req->attr & MOUNT_ATTR_RDONLY);
	if (host) {
		err = image_open(req->image, &offered, why, sizeof(why));
		if (err)
			return fail(reply, err, "%s", why);
		at = offered;
	} else if (at < 0) {
		return fail(reply, -EINVAL, "a step out of order");
	}
	err = image_check(op, home, host, b, at, reply);
	return err ? err : image_clone(op, home, host, at, b, reply);
}

/* ------------------------------------------------------------------ what bounds it */

/* One of the container's places: a lock that all processes of the program's hold together, whoever else
 * dies. */
static int slot_take(__u64 cid, struct executor_reply *reply)
{
	cleanup_close int fd = open(SLOTS_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0 && errno == ENOENT && !mkdir("/run/warder", 0700))
		fd = open(SLOTS_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fail(reply, -errno, "%s cannot be opened", SLOTS_FILE);
	for (unsigned i = 0; i < EXECUTOR_FUSES_MAX; i++) {
		struct flock lock = {
			.l_type = F_WRLCK,
			.l_whence = SEEK_SET,
			.l_start = (off_t)((cid & (~0ull >> 5)) * EXECUTOR_FUSES_MAX + i),
			.l_len = 1,
		};

		if (!fcntl(fd, F_OFD_SETLK, &lock))
			return take_fd(&fd);
	}
	return fail(reply, -EAGAIN, "the container has %d FUSE programs", EXECUTOR_FUSES_MAX);
}

static int caller_cgroup(pid_t tid, struct executor_reply *reply)
{
	cleanup_free char *text = proc_read(tid, "cgroup");
	/* Where systemd and others mount it, alone or beside the older ones. */
	static const char *const mounted[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	char path[EXECUTOR_TEXT_SIZE], *line = text;
	struct statfs fs;
	int fd = -1;

	while (line && strncmp(line, "0::/", 4))
		line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL;
	for (size_t i = 0; line && i < ARRAY_SIZE(mounted); i++) {
		snprintf(path, sizeof(path), "%s%.*s", mounted[i], (int)strcspn(line + 3, "\n"), line + 3);
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0 && !fstatfs(fd, &fs) && fs.f_type == CGROUP2_SUPER_MAGIC)
			return fd;
		close_fd(&fd);
	}
	return fail(reply, -EOPNOTSUPP, "the caller's cgroup is none of a unified hierarchy");
}

/* ------------------------------------------------------------------------ the mount */

/* A file system whose requests go to the device, made by whoever calls: its user namespace is that of the
 * file system, outside of which nobody gets to see it. 0 or -errno. */
static int fs_make(const struct executor_request *req, int *ret_device, int *ret_fs)
{
	const struct {
		const char *key, *value;
	} set[] = {
		{ "source", req->name[0] ? req->name : req->fstype },
		{ "subtype", req->fstype },
		{ "rootmode", "40000" },
		{ "user_id", "0" },
		{ "group_id", "0" },
		/* By the modes and owners that the image says, for all of the container. */
		{ "default_permissions", NULL },
		{ "allow_other", NULL },
	};
	cleanup_close int device = open("/dev/fuse", O_RDWR | O_CLOEXEC), fs = -1;
	char number[16];

	if (device < 0)
		return -errno;
	fs = fsopen("fuse", FSOPEN_CLOEXEC);
	if (fs < 0)
		return -errno;
	snprintf(number, sizeof(number), "%d", device);
	if (fsconfig(fs, FSCONFIG_SET_STRING, "fd", number, 0))
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(set); i++)
		if (fsconfig(fs, set[i].value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, set[i].key,
			     set[i].value, 0))
			return -errno;
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return -errno;
	*ret_device = take_fd(&device);
	*ret_fs = take_fd(&fs);
	return 0;
}

/* The same in the container's user namespace, from which nobody comes back. */
static int fs_make_in(const struct executor_home *home, const struct executor_request *req, int userns,
		      int *ret_device, int *ret_fs)
{
	int status = 0;
	pid_t pid = child_sharing_fds();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		/* Who may mount is a matter of the mount namespace's owner. */
		if (setns(userns, CLONE_NEWUSER) || unshare(CLONE_NEWNS))
			_exit(errno);
		_exit(-fs_make(req, &home->shared_word[0], &home->shared_word[1]));
	}
	status = child_wait(pid);
	if (status)
		return status < 0 ? -EIO : -status;
	*ret_device = home->shared_word[0];
	*ret_fs = home->shared_word[1];
	return 0;
}

static int mount_make(struct operation *op, const struct executor_home *home,
		      const struct executor_request *req, int userns, struct fuse_box *b,
		      struct executor_reply *reply)
{
	cleanup_close int fs = -1;
	int err = userns >= 0 ? fs_make_in(home, req, userns, &b->device, &fs) :
				fs_make(req, &b->device, &fs);

	if (err)
		return fail(reply, err, "the kernel makes no FUSE mount");
	op->mount = fsmount(fs, FSMOUNT_CLOEXEC,
			    req->attr | (b->read_only ? MOUNT_ATTR_RDONLY : 0));
	return op->mount < 0 ? fail(reply, -errno, "the file system cannot be mounted") : 0;
}

/* ------------------------------------------------------------------------ its answer */

/* Asks for the root folder, as somebody for whom it is there. Until the program has answered nobody wakes
 * this process, but the end of the program. */
_Noreturn static void probe_child(int mount_fd, int userns)
{
	struct stat st;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Above all not the other end of the program's life. */
	if (dup2(mount_fd, 0) < 0 || dup2(userns < 0 ? mount_fd : userns, 1) < 0)
		_exit(EBADF);
	syscall(SYS_close_range, 2, ~0u, 0);
	/* Its requests bear ids, which must be some in the container. */
	if (userns >= 0 && (setns(1, CLONE_NEWUSER) || setresgid(0, 0, 0) || setresuid(0, 0, 0)))
		_exit(errno);
	if (fstat(0, &st))
		_exit(errno);
	_exit(S_ISDIR(st.st_mode) ? 0 : ENOTDIR);
}

/* One line of what it has said, and nothing that a terminal would obey. */
static void errors_read(int fd, char *to, size_t size)
{
	ssize_t got = read(fd, to, size - 1);

	to[got > 0 ? got : 0] = '\0';
	to[strcspn(to, "\n")] = '\0';
	for (char *c = to; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}

static int probe(const struct operation *op, int userns, int errors, struct executor_reply *reply)
{
	char said[SAID_SIZE];
	int status = 0;
	pid_t pid = fork();

	if (pid < 0)
		return fail(reply, -errno, "no process to ask the FUSE program");
	if (pid == 0)
		probe_child(op->mount, userns);
	status = child_wait(pid);
	if (!status)
		return 0;
	errors_read(errors, said, sizeof(said));
	return fail(reply, status < 0 ? -EIO : -status,
		    "the FUSE program does not serve the image%s%s", said[0] ? ": " : "", said);
}

/* ---------------------------------------------------------------------------- together */

void fuse_keep(struct operation *op)
{
	if (op->life >= 0 && write(op->life, "k", 1) == 1)
		close_fd(&op->life);
}

static void box_close(struct fuse_box *b)
{
	close_fd(&b->cgroup);
	close_fd(&b->program);
	close_fd(&b->image);
	close_fd(&b->device);
	close_fd(&b->helper);
	close_fd(&b->life);
	close_fd(&b->errors);
	close_fd(&b->slot);
}

/* A mount of it that can be shown in another root; -1: there is none, which only programs of libfuse 2
 * miss. */
static int helper_clone(void)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
				   .propagation = MS_PRIVATE };
	cleanup_close int at = -1;
	char why[128];
	int fd;

	if (fuse_program_open(HELPER, &at, why, sizeof(why)))
		return -1;
	fd = open_tree(at, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (fd >= 0 && mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)))
		close_fd(&fd);
	return fd;
}

static int box_fill(struct operation *op, const struct executor_home *home,
		    const struct executor_request *req, struct fuse_box *b, int *ret_errors,
		    struct executor_reply *reply)
{
	int err, pair[2];
	char why[128] = "";

	err = fuse_program_open(req->program, &b->program, why, sizeof(why));
	if (err)
		return fail(reply, err, "FUSE program %.40s: %s", req->program, why);
	b->helper = helper_clone();
	err = image_prepare(op, home, req, b, reply);
	if (err)
		return err;
	b->cgroup = caller_cgroup(op->tid, reply);
	if (b->cgroup < 0)
		return b->cgroup;
	b->slot = slot_take(req->cid, reply);
	if (b->slot < 0)
		return b->slot;
	if (pipe2(pair, O_CLOEXEC))
		return fail(reply, -errno, "no pipe for the FUSE program");
	b->life = pair[0];
	op->life = pair[1];
	if (pipe2(pair, O_CLOEXEC | O_NONBLOCK))
		return fail(reply, -errno, "no pipe for the FUSE program");
	*ret_errors = pair[0];
	b->errors = pair[1];
	return 0;
}

int fuse_make(struct operation *op, const struct executor_home *home,
	      const struct executor_request *req, int userns, struct executor_reply *reply)
{
	struct fuse_box b = { .cgroup = -1, .program = -1, .image = -1, .device = -1, .helper = -1,
			      .life = -1, .errors = -1, .slot = -1, .uid = NOBODY, .gid = NOBODY,
			      .name = req->program };
	const char *slash = strrchr(req->program, '/');
	cleanup_close int errors = -1;
	int err;

	if (slash)
		b.name = slash + 1;
	/* The container's root, where that is nobody on the host: it owns what it has written, and can do
	 * no more with it than the container. Never the host's root. */
	if (userns >= 0 && op->root_uid + 1 > 1 && op->root_gid + 1 > 1) {
		b.uid = op->root_uid;
		b.gid = op->root_gid;
	}
	err = box_fill(op, home, req, &b, &errors, reply);
	/* Before there is a program that could hold it up. */
	if (!err)
		err = mount_make(op, home, req, userns, &b, reply);
	if (!err) {
		err = fuse_box_start(&b);
		if (err)
			fail(reply, err, "the FUSE program cannot be started");
	}
	/* Only the program has the device now: when it ends, whoever waits for it is woken. */
	box_close(&b);
	return err ? err : probe(op, userns, errors, reply);
}
