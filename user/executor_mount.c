// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What an executor does: copy a caller's arguments, find its target as it would, make a mount
 * in the host's user namespace, attach it descriptor to descriptor, take it off again.
 *
 * Runs in single-threaded processes only: it changes root, mount namespace and fsuid, and comes
 * home after each step. A step that cannot come home ends the process.
 */
#include <fcntl.h>
#include <linux/nsfs.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "executor.h"

#define USERNS_DEPTH 33
#define PROC_TEXT_SIZE (64u << 10) /* of /proc/PID/status and the like */

static int fail(struct executor_reply *reply, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(struct executor_reply *reply, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reply->what, sizeof(reply->what), format, args);
	va_end(args);
	return reply->error = err;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void operation_init(struct operation *op)
{
	op->mntns = op->userns = op->target = op->mount = -1;
	op->root_uid = op->root_gid = (__u32)-1;
}

void operation_done(struct operation *op)
{
	close_fd(&op->mntns);
	close_fd(&op->userns);
	close_fd(&op->target);
	close_fd(&op->mount);
	operation_init(op);
}

/* Back to the host's mount namespace, root and full rights. Nothing may go on elsewhere. */
static void come_home(const struct executor_home *home)
{
	setfsuid(0);
	setfsgid(0);
	/* A change of fsuid clears the signal that ends us with our parent. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != home->parent)
		_exit(0);
	if (setns(home->mntns, CLONE_NEWNS) || fchdir(home->root) || chroot("."))
		_exit(1);
}

/* ------------------------------------------------------------------------ /proc/TID */

static int proc_open(pid_t tid, const char *name, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", tid, name);
	return open(path, flags | O_CLOEXEC);
}

/* The whole of a small file, NUL-terminated; the caller frees it. */
static char *proc_read(pid_t tid, const char *name)
{
	cleanup_close int fd = proc_open(tid, name, O_RDONLY);
	char *text;
	size_t used = 0;

	if (fd < 0)
		return NULL;
	text = malloc(PROC_TEXT_SIZE);
	if (!text)
		return NULL;
	while (used < PROC_TEXT_SIZE - 1) {
		ssize_t got = read(fd, text + used, PROC_TEXT_SIZE - 1 - used);

		if (got <= 0)
			break;
		used += (size_t)got;
	}
	text[used] = '\0';
	return text;
}

/* Number `n` (from 0) of the line of status that begins with `key`. */
static __u32 status_number(const char *status, const char *key, int n)
{
	const char *at = strstr(status, key);
	char *end;

	if (!at)
		return (__u32)-1;
	at += strlen(key);
	for (;; n--) {
		unsigned long value = strtoul(at, &end, 10);

		if (end == at)
			return (__u32)-1;
		if (n == 0)
			return (__u32)value;
		at = end;
	}
}

/* Field 22 of /proc/TID/stat: the name before it can hold anything but its last ')'. */
static __u64 stat_start(const char *stat_text)
{
	const char *at = strrchr(stat_text, ')');

	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at + 1, NULL, 10) : 0;
}

/* An id of one side of a uid_map (or gid_map) on the other: columns inside, outside, count. */
static __u32 map_id(const char *map, __u32 id, int to_outside)
{
	unsigned inside, outside, count;
	int used;

	for (; sscanf(map, "%u %u %u%n", &inside, &outside, &count, &used) == 3; map += used) {
		__u32 from = to_outside ? inside : outside, to = to_outside ? outside : inside;

		if (id >= from && id - from < count)
			return to + (id - from);
	}
	return (__u32)-1;
}

static __u32 fd_ino(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? 0 : (__u32)st.st_ino;
}

/* Where user namespace `fd` lies, seen from the container's own (inode number `own`). */
static __u32 userns_relation(int fd, __u32 own)
{
	int up = -1, at = fd;
	__u32 relation = 0;

	for (int i = 0; i < USERNS_DEPTH; i++) {
		int next;

		if (fd_ino(at) == own) {
			relation = i ? WARDER_BY_USERNS_NESTED : WARDER_BY_USERNS_CONTAINER;
			break;
		}
		next = ioctl(at, NS_GET_PARENT);
		close_fd(&up);
		if (next < 0)
			break;
		at = up = next;
	}
	close_fd(&up);
	return relation;
}

/* ------------------------------------------------------------------ the arguments */

/* Copies a string of at most `size` - 1 bytes; what is not mapped ends it as it would in the
 * kernel: -EFAULT before a NUL, unless `cut` (mount data, of which the kernel takes a page). */
static int copy_string(pid_t tid, __u64 address, char *to, size_t size, int cut)
{
	const size_t page = 4096;
	size_t used = 0;

	to[0] = '\0';
	if (!address)
		return 0;
	while (used < size) {
		/* Page by page, so that one which is not there costs only itself. */
		size_t want = page - ((address + used) & (page - 1));
		struct iovec local, remote;
		ssize_t got;

		if (want > size - used)
			want = size - used;
		local = (struct iovec){ .iov_base = to + used, .iov_len = want };
		remote = (struct iovec){ .iov_base = (void *)(uintptr_t)(address + used),
					 .iov_len = want };
		got = process_vm_readv(tid, &local, 1, &remote, 1, 0);
		if (got <= 0) {
			if (cut && used) {
				to[used] = '\0';
				return 0;
			}
			to[0] = '\0';
			return -EFAULT;
		}
		if (memchr(to + used, '\0', (size_t)got))
			return 0;
		used += (size_t)got;
	}
	if (!cut) {
		to[0] = '\0';
		return -ENAMETOOLONG;
	}
	to[size - 1] = '\0';
	return 0;
}

/* ---------------------------------------------------------------------- resolve */

static int mount_id_of(int fd, __u64 *ret_id, __u32 *ret_major, __u32 *ret_minor)
{
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_MNT_ID, &stx))
		return -errno;
	if (!(stx.stx_mask & STATX_MNT_ID))
		return -EOPNOTSUPP;
	*ret_id = stx.stx_mnt_id;
	*ret_major = stx.stx_dev_major;
	*ret_minor = stx.stx_dev_minor;
	return 0;
}

/* The peer group ("shared:N") of mount `id` in a mountinfo text, 0: it is not shared. */
static unsigned peer_group(FILE *mountinfo, __u64 id)
{
	cleanup_free char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, mountinfo) > 0) {
		char *at;

		if (strtoull(line, NULL, 10) != id)
			continue;
		at = strstr(line, " shared:");
		return at ? (unsigned)strtoul(at + 8, NULL, 10) : 0;
	}
	return 0;
}

/* Would a mount at the target show up on the host? True when a mount of the host belongs to
 * the target's peer group, or receives from it. Unreadable counts as yes. */
static __u32 target_is_shared(pid_t tid, int target)
{
	cleanup_fclose FILE *theirs = NULL, *ours = NULL;
	cleanup_free char *line = NULL;
	char path[64], shared[32], master[32];
	size_t size = 0;
	unsigned group;
	__u32 major, minor;
	__u64 id;

	snprintf(path, sizeof(path), "/proc/%d/mountinfo", tid);
	theirs = fopen(path, "re");
	ours = fopen("/proc/self/mountinfo", "re");
	if (!theirs || !ours || mount_id_of(target, &id, &major, &minor))
		return 1;
	group = peer_group(theirs, id);
	if (!group)
		return 0;
	snprintf(shared, sizeof(shared), " shared:%u ", group);
	snprintf(master, sizeof(master), " master:%u ", group);
	while (getline(&line, &size, ours) > 0)
		if (strstr(line, shared) || strstr(line, master))
			return 1;
	return 0;
}

static void resolve(struct operation *op, const struct executor_home *home,
		    const struct executor_request *req, struct executor_reply *reply)
{
	cleanup_free char *status = proc_read(req->tid, "status");
	cleanup_free char *stat_text = proc_read(req->tid, "stat");
	cleanup_free char *uids = proc_read(req->tid, "uid_map");
	cleanup_free char *gids = proc_read(req->tid, "gid_map");
	cleanup_close int root = proc_open(req->tid, "root", O_PATH | O_DIRECTORY);
	cleanup_close int cwd = proc_open(req->tid, "cwd", O_PATH | O_DIRECTORY);
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS };
	__u32 fsuid, fsgid;
	int err;

	op->mntns = proc_open(req->tid, "ns/mnt", O_RDONLY);
	op->userns = proc_open(req->tid, "ns/user", O_RDONLY);
	if (!status || !stat_text || !uids || !gids || root < 0 || cwd < 0 || op->mntns < 0 ||
	    op->userns < 0) {
		fail(reply, -ESRCH, "the caller is gone");
		return;
	}
	fsuid = status_number(status, "\nUid:", 3);
	fsgid = status_number(status, "\nGid:", 3);
	reply->euid = map_id(uids, status_number(status, "\nUid:", 1), 0);
	reply->fsuid = map_id(uids, fsuid, 0);
	reply->start = stat_start(stat_text);
	reply->userns = fd_ino(op->userns);
	reply->relation = userns_relation(op->userns, req->userns);
	reply->mntns = fd_ino(op->mntns);
	reply->home_mntns = home->mntns_ino;
	op->root_uid = map_id(uids, 0, 1);
	op->root_gid = map_id(gids, 0, 1);

	if (req->op != WARDER_OP_MOUNT) {
		/* For people: what cannot be read is left out. */
		copy_string(req->tid, req->target, reply->target, sizeof(reply->target), 0);
		copy_string(req->tid, req->source, reply->source, sizeof(reply->source), 0);
		return;
	}
	err = copy_string(req->tid, req->type, reply->fstype, sizeof(reply->fstype), 0);
	if (!err)
		err = copy_string(req->tid, req->source, reply->source, sizeof(reply->source), 0);
	if (!err)
		err = copy_string(req->tid, req->target, reply->target, sizeof(reply->target), 0);
	if (!err)
		err = copy_string(req->tid, req->data, reply->data, sizeof(reply->data), 1);
	if (err) {
		fail(reply, err, "its arguments cannot be read");
		return;
	}

	/* As the caller: its root, its directory, its rights to walk. */
	if (fchdir(root) || chroot(".") || fchdir(cwd)) {
		fail(reply, -errno, "its root cannot be entered");
		come_home(home);
		return;
	}
	setfsgid(fsgid);
	setfsuid(fsuid);
	op->target = (int)syscall(SYS_openat2, AT_FDCWD, reply->target, &how, sizeof(how));
	err = op->target < 0 ? -errno : 0;
	come_home(home);
	if (err == -ELOOP)
		fail(reply, err, "the target leads over a symlink loop or a link of /proc");
	else if (err)
		fail(reply, err, "the target cannot be opened");
	if (err)
		return;
	reply->shared = target_is_shared(req->tid, op->target);
	reply->fd = op->target;
}

/* ------------------------------------------------------------------ offered host paths */

int bind_source_open(const char *path, int *ret_fd, char *why, size_t size)
{
	cleanup_close int at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const char *next = path;
	struct stat st;

	if (at < 0)
		return -errno;
	if (*path != '/') {
		snprintf(why, size, "it is not an absolute path");
		return -EINVAL;
	}
	for (;;) {
		char part[256];
		size_t len;
		int below, err;

		if (fstat(at, &st))
			return -errno;
		if (S_ISLNK(st.st_mode)) {
			snprintf(why, size, "%.*s is a symbolic link", (int)(next - path), path);
			return -ELOOP;
		}
		if (st.st_uid != 0 || (st.st_mode & 022)) {
			snprintf(why, size, "%.*s can be written by others than root",
				 next == path ? 1 : (int)(next - path), path);
			return -EACCES;
		}
		while (*next == '/')
			next++;
		if (!*next)
			break;
		len = strcspn(next, "/");
		if (len >= sizeof(part)) {
			snprintf(why, size, "it has a component beyond 255 bytes");
			return -ENAMETOOLONG;
		}
		memcpy(part, next, len);
		part[len] = '\0';
		if (!strcmp(part, ".") || !strcmp(part, "..")) {
			snprintf(why, size, "it has a component %s", part);
			return -EINVAL;
		}
		next += len;
		below = openat(at, part, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (below < 0) {
			err = -errno;
			snprintf(why, size, "%.*s: %s", (int)(next - path), path, strerror(-err));
			return err;
		}
		close(at);
		at = below;
	}
	*ret_fd = take_fd(&at);
	return 0;
}

/* ------------------------------------------------------------------------- make */

/* A new superblock in the host's user namespace, mounted nowhere. With `own`, the root belongs
 * to the container's root. */
static int make_superblock(const struct executor_request *req, const struct operation *own,
			   struct executor_reply *reply)
{
	cleanup_close int fs = fsopen(req->fstype, FSOPEN_CLOEXEC);
	char id[16];
	int fd;

	if (fs < 0)
		return fail(reply, -errno, "the kernel does not know type %.31s", req->fstype);
	if (req->name[0] && fsconfig(fs, FSCONFIG_SET_STRING, "source", req->name, 0))
		return fail(reply, -errno, "the source is refused");
	if (own) {
		snprintf(id, sizeof(id), "%u", own->root_uid);
		if (fsconfig(fs, FSCONFIG_SET_STRING, "uid", id, 0))
			return fail(reply, -errno, "option uid is refused");
		snprintf(id, sizeof(id), "%u", own->root_gid);
		if (fsconfig(fs, FSCONFIG_SET_STRING, "gid", id, 0))
			return fail(reply, -errno, "option gid is refused");
	}
	for (const char *o = req->text; *o; o += strlen(o) + 1) {
		char key[64];
		size_t len = strcspn(o, "=");

		if (len >= sizeof(key))
			return fail(reply, -EINVAL, "an option's name is too long");
		memcpy(key, o, len);
		key[len] = '\0';
		if (fsconfig(fs, o[len] ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, key,
			     o[len] ? o + len + 1 : NULL, 0))
			return fail(reply, -errno, "the file system refuses option %s", key);
	}
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return fail(reply, -errno, "the file system cannot be made");
	fd = fsmount(fs, FSMOUNT_CLOEXEC, req->attr);
	if (fd < 0)
		return fail(reply, -errno, "the file system cannot be mounted");
	return fd;
}

static int idmap(int mount_fd, int userns)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (__u64)userns };

	return mount_setattr(mount_fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) ? -errno : 0;
}

static int option_given(const char *text, const char *key)
{
	size_t len = strlen(key);

	for (const char *o = text; *o; o += strlen(o) + 1)
		if (!strncmp(o, key, len) && (o[len] == '=' || !o[len]))
			return 1;
	return 0;
}

static int make_new(struct operation *op, const struct executor_request *req, int userns,
		    struct executor_reply *reply)
{
	op->mount = make_superblock(req, NULL, reply);
	if (op->mount < 0)
		return op->mount;
	if (userns < 0 || !idmap(op->mount, userns))
		return 0;
	/* Before 6.3 tmpfs takes no idmapping. Ids are stored as the host's then, which fits
	 * as long as the root belongs to the container's root. Given ids would be the host's. */
	close_fd(&op->mount);
	if (option_given(req->text, "uid") || option_given(req->text, "gid") ||
	    op->root_uid == (__u32)-1 || op->root_gid == (__u32)-1)
		return fail(reply, -EINVAL, "this kernel cannot map ids of type %.31s", req->fstype);
	op->mount = make_superblock(req, op, reply);
	return op->mount < 0 ? op->mount : 0;
}

static int make_bind(struct operation *op, const struct executor_request *req, int userns,
		     struct executor_reply *reply)
{
	struct mount_attr attr = { .attr_set = req->attr, .propagation = MS_PRIVATE };
	cleanup_close int source = -1;
	char why[128] = "";
	int err = bind_source_open(req->text, &source, why, sizeof(why));

	if (err)
		return fail(reply, err, "%s", why);
	op->mount = open_tree(source, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (op->mount < 0)
		return fail(reply, -errno, "the offered path cannot be cloned");
	/* Private: what is mounted below it later, on either side, stays there. */
	if (mount_setattr(op->mount, "", AT_EMPTY_PATH, &attr, sizeof(attr)))
		return fail(reply, -errno, "the forced flags cannot be set");
	/* Where the file system takes no idmapping the container sees nobody's files: less. */
	if (userns >= 0)
		idmap(op->mount, userns);
	return 0;
}

/*
 * Makes flags stick: a copy of a mount namespace into another user namespace locks read-only,
 * nosuid, nodev and noexec, and a clone of that copy keeps the locks; then the container's own
 * root cannot remount them away. Done by a child that shares our descriptors, because nobody
 * comes back from a user namespace. Returns the new mount's number through the shared word.
 */
_Noreturn static void sticky_child(const struct operation *op, const struct executor_home *home)
{
	struct stat st;
	int userns = op->userns, fd;

	if (fstat(op->mount, &st) || unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    move_mount(op->mount, "", AT_FDCWD, S_ISDIR(st.st_mode) ? "/dev" : "/dev/null",
		       MOVE_MOUNT_F_EMPTY_PATH))
		_exit(1);
	if (S_ISDIR(st.st_mode)) {
		/* The current directory follows into the copy of the namespace. */
		if (fchdir(op->mount) || setns(userns, CLONE_NEWUSER) || unshare(CLONE_NEWNS))
			_exit(2);
		fd = open_tree(AT_FDCWD, ".", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	} else {
		if (setns(userns, CLONE_NEWUSER) || unshare(CLONE_NEWNS))
			_exit(2);
		fd = open_tree(AT_FDCWD, "/dev/null", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	}
	if (fd < 0)
		_exit(3);
	*home->shared_word = fd;
	_exit(0);
}

static int make_sticky(struct operation *op, const struct executor_home *home,
		       struct executor_reply *reply)
{
	int status = 0;
	pid_t pid;

	*home->shared_word = -1;
	pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, 0);
	if (pid < 0)
		return fail(reply, -errno, "no process for locking the mount's flags");
	if (pid == 0)
		sticky_child(op, home);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status) || *home->shared_word < 0)
		return fail(reply, -EPERM, "the mount's flags cannot be locked (step %d)",
			    WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	close(op->mount);
	op->mount = *home->shared_word;
	return 0;
}

static void make(struct operation *op, const struct executor_home *home,
		 const struct executor_request *req, int userns, struct executor_reply *reply)
{
	int err;

	if (op->target < 0 || op->mount >= 0 || (req->owned && userns < 0)) {
		fail(reply, -EINVAL, "a step out of order");
		return;
	}
	if (!req->owned)
		userns = -1;
	err = req->ops == WARDER_MNT_NEW ? make_new(op, req, userns, reply) :
	      req->ops == WARDER_MNT_BIND ? make_bind(op, req, userns, reply) :
					    fail(reply, -EOPNOTSUPP, "no such operation");
	if (err)
		return;
	if (req->owned) {
		/* The locks count for the container's namespace, not for the caller's below it. */
		int callers = op->userns;

		op->userns = userns;
		err = make_sticky(op, home, reply);
		op->userns = callers;
		if (err)
			return;
	}
	err = mount_id_of(op->mount, &reply->mnt_id, &reply->dev_major, &reply->dev_minor);
	if (err) {
		fail(reply, err, "the mount has no id");
		return;
	}
	reply->fd = op->mount;
}

/* -------------------------------------------------------------- attach, undo, revoke */

static void attach(struct operation *op, const struct executor_home *home,
		   struct executor_reply *reply)
{
	if (op->mount < 0 || op->target < 0) {
		fail(reply, -EINVAL, "a step out of order");
		return;
	}
	if (setns(op->mntns, CLONE_NEWNS))
		fail(reply, -errno, "the caller's mount namespace cannot be entered");
	else if (move_mount(op->mount, "", op->target, "",
			    MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH))
		fail(reply, -errno, "it cannot be mounted there");
	come_home(home);
}

/* Takes the mount at `root` (a descriptor of its root) off, in mount namespace `mntns`. */
static int take_off(int mntns, int root, const struct executor_home *home)
{
	int err = 0;

	if (setns(mntns, CLONE_NEWNS) || fchdir(root) || umount2(".", MNT_DETACH))
		err = -errno;
	come_home(home);
	return err;
}

static void undo_mount(struct operation *op, const struct executor_home *home,
		 struct executor_reply *reply)
{
	int err = op->mount < 0 ? -EINVAL : take_off(op->mntns, op->mount, home);

	if (err)
		fail(reply, err, "it cannot be unmounted");
}

/* Undoes mountinfo's octal escapes, in place. */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

/* Where mount `req->mnt_id` of that device is, as process `pid` sees it. */
static int mount_point_of(pid_t pid, const struct executor_request *req, char *ret, size_t size)
{
	cleanup_fclose FILE *f = NULL;
	cleanup_free char *line = NULL;
	size_t line_size = 0;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mountinfo", pid);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (getline(&line, &line_size, f) > 0) {
		unsigned long long id;
		unsigned major, minor;
		char *save, *point;

		if (sscanf(line, "%llu %*u %u:%u", &id, &major, &minor) != 3 ||
		    id != req->mnt_id || major != req->dev_major || minor != req->dev_minor)
			continue;
		strtok_r(line, " ", &save);
		for (int i = 0; i < 3; i++)
			strtok_r(NULL, " ", &save);
		point = strtok_r(NULL, " ", &save);
		if (!point || strlen(point) >= size)
			return -ENAMETOOLONG;
		unescape(point);
		strcpy(ret, point);
		return 0;
	}
	return -ENOENT;
}

/* A process in mount namespace `ino`: the caller if it is still there, or any. */
static pid_t process_in(pid_t first, __u32 ino)
{
	cleanup_closedir DIR *d = NULL;
	struct dirent *e;

	for (int all = 0; all < 2; all++) {
		if (all && !(d = opendir("/proc")))
			return -1;
		for (;;) {
			cleanup_close int fd = -1;
			pid_t pid = first;

			if (all) {
				e = readdir(d);
				if (!e)
					return -1;
				pid = (pid_t)strtol(e->d_name, NULL, 10);
			}
			if (pid > 0)
				fd = proc_open(pid, "ns/mnt", O_RDONLY);
			if (fd >= 0 && fd_ino(fd) == ino)
				return pid;
			if (!all)
				break;
		}
	}
	return -1;
}

/* -ENOENT: it is not there any more, which is as good. */
static void revoke_mount(const struct executor_home *home, const struct executor_request *req,
		   struct executor_reply *reply)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC,
				.resolve = RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS };
	cleanup_close int mntns = -1, root = -1, fd = -1;
	pid_t pid = process_in(req->tid, req->mntns);
	char point[EXECUTOR_TEXT_SIZE];
	__u32 major, minor;
	__u64 id;
	int err;

	if (pid < 0) {
		fail(reply, -ENOENT, "its mount namespace is gone");
		return;
	}
	mntns = proc_open(pid, "ns/mnt", O_RDONLY);
	root = proc_open(pid, "root", O_PATH | O_DIRECTORY);
	err = mount_point_of(pid, req, point, sizeof(point));
	if (err || mntns < 0 || root < 0 || fd_ino(mntns) != req->mntns) {
		fail(reply, err ? err : -ENOENT, "the mount is not there");
		return;
	}
	if (fchdir(root) || chroot("."))
		err = -errno;
	else
		fd = (int)syscall(SYS_openat2, AT_FDCWD, point, &how, sizeof(how));
	if (!err && fd < 0)
		err = -errno;
	come_home(home);
	if (!err)
		err = mount_id_of(fd, &id, &major, &minor);
	if (!err && (id != req->mnt_id || major != req->dev_major || minor != req->dev_minor))
		err = -ENOENT;
	if (!err)
		err = take_off(mntns, fd, home);
	if (err)
		fail(reply, err, "it cannot be unmounted");
}

void operation_step(struct operation *op, const struct executor_home *home,
		    const struct executor_request *req, int fd, struct executor_reply *reply)
{
	switch ((enum executor_step)req->step) {
	case EXECUTOR_RESOLVE:
		operation_done(op);
		resolve(op, home, req, reply);
		return;
	case EXECUTOR_MAKE:
		make(op, home, req, fd, reply);
		return;
	case EXECUTOR_ATTACH:
		attach(op, home, reply);
		return;
	case EXECUTOR_UNDO:
		undo_mount(op, home, reply);
		return;
	case EXECUTOR_DROP:
		operation_done(op);
		return;
	case EXECUTOR_REVOKE:
		revoke_mount(home, req, reply);
		return;
	}
	fail(reply, -EINVAL, "no such step");
}
