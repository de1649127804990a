// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The first step of an executor: who the caller is, its arguments copied once, and what they name
 * found as the caller would find it: from its root and directory, by its rights to walk, in its
 * mount namespace. Nothing is walked again after that.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "calls.h"
#include "cleanup.h"
#include "executor_internal.h"
#include "warder_decide.h"

#define USERNS_DEPTH 33
#define HOSTNAME_MAX 64 /* __NEW_UTS_LEN */

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
int copy_string(pid_t tid, __u64 address, char *to, size_t size, int cut)
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

/* Exactly `len` bytes. */
int copy_bytes(pid_t tid, __u64 address, void *to, size_t len)
{
	struct iovec local = { .iov_base = to, .iov_len = len };
	struct iovec remote = { .iov_base = (void *)(uintptr_t)address, .iov_len = len };

	if (len && process_vm_readv(tid, &local, 1, &remote, 1, 0) != (ssize_t)len)
		return -EFAULT;
	return 0;
}

/* ----------------------------------------------------------------------- walking */

/* "/proc/self/fd/N/rest", "/proc/thread-self/fd/N/rest": the rest, and which descriptor of which. */
static const char *fd_path(const char *path, int *ret_thread, int *ret_fd)
{
	static const char *const prefix[] = { "/proc/self/fd/", "/proc/thread-self/fd/" };

	for (int i = 0; i < 2; i++) {
		size_t len = strlen(prefix[i]), digits;

		if (strncmp(path, prefix[i], len))
			continue;
		digits = strspn(path + len, "0123456789");
		if (!digits || digits > 7 || (path[len + digits] && path[len + digits] != '/'))
			continue;
		*ret_thread = i;
		*ret_fd = atoi(path + len);
		return path + len + digits;
	}
	return NULL;
}

/* Other ids than root's have none of these by now. Who may read and search only may do no more. */
static int walk_caps(const struct caller *c)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	const __u64 own = 1ull << CAP_DAC_OVERRIDE | 1ull << CAP_DAC_READ_SEARCH;

	if (c->fsuid || (c->caps & 1ull << CAP_DAC_OVERRIDE))
		return 0;
	if (syscall(SYS_capget, &head, data))
		return -errno;
	data[0].effective &= ~(__u32)(own & ~c->caps);
	return syscall(SYS_capset, &head, data) ? -errno : 0;
}

/* As the caller: its root, the folder `base`, its rights to walk. come_home() afterwards. */
static int become(const struct caller *c, int base)
{
	if (fchdir(c->root) || chroot(".") || fchdir(base))
		return -errno;
	setfsgid(c->fsgid);
	setfsuid(c->fsuid);
	return walk_caps(c);
}

static int walk_from(const struct caller *c, int base, const char *path, int flags)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC | (__u64)flags,
				.resolve = RESOLVE_NO_MAGICLINKS };
	int fd, err = become(c, base);

	fd = err ? -1 : (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
	if (!err && fd < 0)
		err = -errno;
	come_home(c->home);
	return err ? err : fd;
}

/* Is what the caller finds at /proc the root of a proc? Else it is no place for links of ours. */
static int sees_proc(const struct caller *c)
{
	cleanup_close int fd = walk_from(c, c->cwd, "/proc", O_DIRECTORY);

	return is_whole_view(fd, 1);
}

int own_fd(const struct caller *c, int thread, int n)
{
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "fd/%d", n);
	fd = proc_open(thread ? c->tid : c->tgid, name, O_PATH);
	return fd < 0 ? -errno : fd;
}

/*
 * Finds `path` as the caller: O_PATH, with `flags` as well. Links of /proc lead to whatever they
 * lead to when they are followed, so only those to the caller's own descriptors are, and it is
 * that descriptor's object, taken once. -errno, and `what` filled.
 */
int walk(const struct caller *c, int base, const char *path, int flags, const char *what,
	 struct executor_reply *reply)
{
	cleanup_close int from = -1;
	int thread, n, err;
	const char *rest = fd_path(path, &thread, &n);

	if (rest && (*rest || !(flags & O_NOFOLLOW)) && sees_proc(c)) {
		from = own_fd(c, thread, n);
		if (from < 0)
			return fail(reply, -EBADF, "%s is no descriptor of the caller's", what);
		rest += strspn(rest, "/");
		if (!*rest)
			return take_fd(&from);
		err = walk_from(c, from, rest, flags);
	} else {
		err = walk_from(c, base < 0 ? c->cwd : base, path, flags);
	}
	if (err == -ELOOP)
		return fail(reply, err, "%s leads over a symlink loop or a link of /proc", what);
	if (err < 0)
		return fail(reply, err, "%s cannot be opened", what);
	return err;
}

/* The folder that the last component of `path` is in, and that component. */
static int walk_parent(const struct caller *c, int base, const char *path, char *last, size_t size,
		       struct executor_reply *reply)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	char folder[EXECUTOR_TEXT_SIZE];

	if (!*name || strlen(name) >= size || !strcmp(name, ".") || !strcmp(name, ".."))
		return fail(reply, -EINVAL, "the path names nothing new");
	strcpy(last, name);
	snprintf(folder, sizeof(folder), "%.*s", (int)(slash ? slash - path + 1 : 0), path);
	return walk(c, base, *folder ? folder : ".", O_DIRECTORY, "the folder", reply);
}

/* ------------------------------------------------------------------- about mounts */

/* Would a change below mount `at` show up on the host? True when a mount of the host belongs to
 * its peer group, or receives from it. Unreadable counts as yes. */
static __u32 mount_is_shared(FILE *ours, const struct mount_line *at)
{
	cleanup_free char *line = NULL;
	char shared[32], master[32];
	size_t size = 0;

	if (!at->shared)
		return 0;
	if (!ours)
		return 1;
	rewind(ours);
	snprintf(shared, sizeof(shared), " shared:%u ", at->shared);
	snprintf(master, sizeof(master), " master:%u ", at->shared);
	while (getline(&line, &size, ours) > 0)
		if (strstr(line, shared) || strstr(line, master))
			return 1;
	return 0;
}

/* Is a file system with that number mounted on the host? Unreadable counts as yes. */
static int host_has_fs(FILE *ours, const struct mount_line *at)
{
	cleanup_free char *line = NULL;
	size_t size = 0;
	unsigned major, minor;

	if (!ours)
		return 1;
	rewind(ours);
	while (getline(&line, &size, ours) > 0)
		if (sscanf(line, "%*u %*u %u:%u", &major, &minor) == 2 && major == at->major &&
		    minor == at->minor)
			return 1;
	return 0;
}

int mount_line_of(const struct operation *op, const struct executor_home *home, int fd,
		  struct mount_line *ret)
{
	cleanup_fclose FILE *f = NULL;
	__u32 major, minor;
	__u64 id;
	int err = mount_id_of(fd, &id, &major, &minor);

	if (err)
		return err;
	if (setns(op->mntns, CLONE_NEWNS))
		return -errno;
	f = mountinfo_own(home);
	err = f ? mountinfo_find(f, id, ret) : -ENOENT;
	come_home(home);
	return err;
}

void target_is_shared(const struct operation *op, const struct executor_home *home, int fd,
		      struct executor_reply *reply)
{
	cleanup_fclose FILE *ours = fopen("/proc/self/mountinfo", "re");
	struct mount_line line;

	reply->shared = mount_line_of(op, home, fd, &line) ? 1 : mount_is_shared(ours, &line);
}

/* What the mount at `fd` is, for those that change it. */
void mount_facts(struct operation *op, const struct executor_home *home, int fd,
		 struct mount_line *line, struct executor_reply *reply)
{
	cleanup_fclose FILE *ours = fopen("/proc/self/mountinfo", "re");
	struct statx stx;
	int err = mount_line_of(op, home, fd, line);

	if (err || statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, 0, &stx)) {
		fail(reply, err ? err : -errno, "the target's mount cannot be looked at");
		return;
	}
	op->mnt_id = line->id;
	op->old_attr = line->flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC); /* same bits */
	reply->is_mount = !!(stx.stx_attributes & STATX_ATTR_MOUNT_ROOT);
	reply->at_root = !strcmp(line->point, "/");
	reply->mnt_flags = line->flags;
	snprintf(reply->fstype, sizeof(reply->fstype), "%s", line->type);
	reply->own_fs = !strcmp(line->type, "tmpfs") && !host_has_fs(ours, line);
}

/*
 * Where mount `line` is attached: the folder and the name in it, which are what an unmount is
 * told, because a descriptor on the mount itself would keep it busy. A mount point cannot be
 * renamed; whether it still is this mount is seen again at the end.
 */
void mount_place(struct operation *op, const struct executor_home *home,
		 const struct mount_line *line, struct executor_reply *reply)
{
	const char *slash = strrchr(line->point, '/');
	char folder[EXECUTOR_TEXT_SIZE];
	struct statfs fs;
	int lies = 0;

	if (!slash || !slash[1] || strlen(slash + 1) >= sizeof(op->last)) {
		fail(reply, -EINVAL, "the mount has no place");
		return;
	}
	strcpy(op->last, slash + 1);
	snprintf(folder, sizeof(folder), "%.*s", slash == line->point ? 1 : (int)(slash - line->point),
		 line->point);
	if (!setns(op->mntns, CLONE_NEWNS))
		op->parent = folder_open(folder);
	if (op->parent >= 0)
		lies = !mount_check(op->parent, op->last, op->mnt_id);
	come_home(home);
	if (!lies) {
		fail(reply, -EBUSY, "another mount lies over the target");
		return;
	}
	memcpy(reply->last, op->last, sizeof(reply->last));
	reply->covers_kernel = fstatfs(op->parent, &fs) || fs.f_type == PROC_SUPER_MAGIC ||
			       fs.f_type == SYSFS_MAGIC;
}

void new_facts(struct operation *op, const struct caller *c, const struct executor_request *req,
	       const char *type, const char *options, const char *image, struct executor_reply *reply)
{
	view_find(op, c, req, type, reply);
	mounts_count(op, c->home, op->second, reply);
	if (executor_is_overlay(type))
		overlay_find(op, c, options, reply);
	if (executor_is_server(type))
		op->netns = proc_open(req->tid, "ns/net", O_RDONLY);
	if (*image && !reply->view)
		fuse_find(op, c, image, reply);
}

static void resolve_mount(struct operation *op, const struct caller *c,
			  const struct executor_request *req, struct executor_reply *reply)
{
	__u32 ops = warder_mount_op(warder_mount_flags(req->arg[3]));
	struct mount_line line;
	int err = copy_string(req->tid, req->type, reply->fstype, sizeof(reply->fstype), 0);

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
	op->target = walk(c, -1, reply->target, 0, "the target", reply);
	if (op->target < 0)
		return;
	reply->fd = op->target;
	target_is_shared(op, c->home, op->target, reply);
	if (ops == WARDER_MNT_BIND) {
		struct executor_reply unused;

		/* A rule may offer a host path of that name: there need be nothing here. */
		op->second = walk(c, -1, reply->source, 0, "the source", &unused);
		if (op->second >= 0)
			bind_facts(op, c->home, reply);
		else
			op->second = -1;
	}
	if (ops == WARDER_MNT_NEW)
		new_facts(op, c, req, reply->fstype, reply->data, req->fuse ? reply->source : "", reply);
	else if (ops == WARDER_MNT_BIND)
		mounts_count(op, c->home, op->second, reply);
	if (ops == WARDER_MNT_REMOUNT || ops == WARDER_MNT_PROPAGATION) {
		mount_facts(op, c->home, op->target, &line, reply);
	} else if (ops == WARDER_MNT_MOVE) {
		op->second = walk(c, -1, reply->source, 0, "the source", reply);
		if (op->second < 0)
			return;
		reply->fd2 = op->second;
		mount_facts(op, c->home, op->second, &line, reply);
		if (!reply->error && reply->is_mount && !reply->at_root)
			mount_place(op, c->home, &line, reply);
	}
}

static void resolve_umount(struct operation *op, const struct caller *c,
			   const struct executor_request *req, struct executor_reply *reply)
{
	__u32 flags = req->call == WARDER_CALL_oldumount ? 0 : (__u32)req->arg[1];
	struct mount_line line;
	int err = copy_string(req->tid, req->arg[0], reply->target, sizeof(reply->target), 0);

	if (err) {
		fail(reply, err, "its arguments cannot be read");
		return;
	}
	op->target = walk(c, -1, reply->target, flags & UMOUNT_NOFOLLOW ? O_NOFOLLOW : 0,
			  "the target", reply);
	if (op->target < 0)
		return;
	reply->fd = op->target;
	mount_facts(op, c->home, op->target, &line, reply);
	if (reply->error || !reply->is_mount || reply->at_root)
		return;
	mount_place(op, c->home, &line, reply);
	if (reply->error)
		return;
	reply->fd2 = op->parent;
	/* What is below a shared mount goes away in its peers, too. */
	target_is_shared(op, c->home, op->parent, reply);
	if (!(flags & MNT_DETACH) && !executor_is_view(line.type))
		return;
	mounts_count(op, c->home, op->target, reply);
	if (!reply->below)
		return;
	reply->loose = mounts_are_loose(op, &line);
	/* What masks a view comes off with it or not at all. */
	op->lazy = executor_is_view(line.type) && !reply->loose;
}

/* ------------------------------------------------------------------- other calls */

/* Which of the caller's CAP_DAC_* and such count for a folder of these owners: in a user namespace
 * of its own only over what is mapped there (capable_wrt_inode_uidgid()). */
static void resolve_rights(struct operation *op, const char *status, const char *uids,
			   const char *gids)
{
	const char *at = strstr(status, "\nCapEff:");
	struct stat st;

	op->dac = 0;
	if (!at || fstat(op->parent, &st) || map_id(uids, st.st_uid, 0) == (__u32)-1 ||
	    map_id(gids, st.st_gid, 0) == (__u32)-1)
		return;
	op->dac = strtoull(at + 8, NULL, 16);
}

static void resolve_mknod(struct operation *op, const struct caller *c,
			  const struct executor_request *req, struct executor_reply *reply)
{
	int at = req->call == WARDER_CALL_mknodat, fd = (__s32)req->arg[0];
	cleanup_close int base = -1;
	int err = copy_string(req->tid, req->arg[at], reply->target, sizeof(reply->target), 0);

	if (err) {
		fail(reply, err, "its arguments cannot be read");
		return;
	}
	if (at && fd != AT_FDCWD && reply->target[0] != '/') {
		base = own_fd(c, 1, fd);
		if (base < 0) {
			fail(reply, -EBADF, "the folder is no descriptor of the caller's");
			return;
		}
	}
	op->parent = walk_parent(c, base, reply->target, op->last, sizeof(op->last), reply);
	if (op->parent < 0)
		return;
	memcpy(reply->last, op->last, sizeof(reply->last));
	reply->fd2 = op->parent;
}

static void resolve_setxattr(struct operation *op, const struct caller *c,
			     const struct executor_request *req, struct executor_reply *reply)
{
	int by_fd = req->call == WARDER_CALL_fsetxattr;
	__u64 len = req->arg[3];
	int err;

	err = by_fd ? 0 :
		      copy_string(req->tid, req->arg[0], reply->target, sizeof(reply->target), 0);
	if (!err)
		err = copy_string(req->tid, req->arg[1], op->name, sizeof(op->name), 0);
	if (!err && len > sizeof(op->value))
		err = -E2BIG;
	if (!err)
		err = copy_bytes(req->tid, req->arg[2], op->value, (size_t)len);
	if (err) {
		fail(reply, err, err == -E2BIG ? "the value is longer than any that is set" :
						 "its arguments cannot be read");
		return;
	}
	op->value_len = reply->value_len = (__u32)len;
	strcpy(reply->source, op->name);
	memcpy(reply->data, op->value, op->value_len);
	op->target = by_fd ? own_fd(c, 1, (__s32)req->arg[0]) :
			     walk(c, -1, reply->target,
				  req->call == WARDER_CALL_lsetxattr ? O_NOFOLLOW : 0, "the target",
				  reply);
	if (op->target < 0) {
		if (!reply->error)
			fail(reply, op->target, "the descriptor is none of the caller's");
		op->target = -1;
		return;
	}
	reply->fd = op->target;
}

static void resolve_uts(struct operation *op, const struct caller *c,
			const struct executor_request *req, struct executor_reply *reply)
{
	cleanup_close int host = proc_open(1, "ns/uts", O_RDONLY);
	int len = (__s32)req->arg[1];

	op->uts = proc_open(req->tid, "ns/uts", O_RDONLY);
	if (op->uts < 0) {
		fail(reply, -ESRCH, "the caller is gone");
		return;
	}
	/* Process 1 may be out of reach for a supervisor that is in a container itself. */
	reply->host_uts = fd_ino(op->uts) == c->home->uts_ino ||
			  (host >= 0 && fd_ino(op->uts) == fd_ino(host));
	/* What the kernel would say next of such a name is said when it is performed. */
	if (len < 0 || len > HOSTNAME_MAX)
		return;
	if (copy_bytes(req->tid, req->arg[0], op->value, (size_t)len)) {
		op->value_len = (__u32)-1;
		return;
	}
	op->value_len = reply->value_len = (__u32)len;
	memcpy(reply->source, op->value, (size_t)len);
}

/* Number `pid` of the caller's pid namespace as one of ours. A file's owner is kept as what it is
 * and shown to each reader in its own numbers; setting it takes a process in the other namespace. */
static pid_t translate(const struct caller *c, pid_t pid)
{
	struct f_owner_ex owner = { .type = F_OWNER_TID, .pid = pid };
	cleanup_close int ns = proc_open(c->tid, "ns/pid", O_RDONLY);
	cleanup_close int file = open("/dev/null", O_RDWR | O_CLOEXEC);
	pid_t child;

	if (ns < 0 || file < 0)
		return -1;
	if (fd_ino(ns) == fd_ino(c->home->pidns))
		return pid;
	if (setns(ns, CLONE_NEWPID))
		return -1;
	child = fork();
	if (child == 0)
		_exit(fcntl(file, F_SETOWN_EX, &owner) ? 1 : 0);
	if (setns(c->home->pidns, CLONE_NEWPID))
		_exit(1);
	if (child < 0)
		return -1;
	if (child_wait(child) || fcntl(file, F_GETOWN_EX, &owner))
		return -1;
	return owner.pid;
}

/* Is that the caller's own number in its namespace, the last one of the line? */
static int own_number(const char *status, pid_t pid)
{
	const char *line = strstr(status, "\nNSpid:"), *end = line ? strchr(line + 1, '\n') : NULL;

	while (end && end > line && end[-1] != '\t')
		end--;
	return end && end > line && atoi(end) == pid;
}

static int resolve_sched_arguments(struct operation *op, const struct executor_request *req)
{
	struct executor_sched *s = &op->sched;
	__s32 priority = 0;
	__u32 size = 0;
	int err = 0;

	switch (req->call) {
	case WARDER_CALL_setpriority:
		s->nice = (__s32)req->arg[2];
		s->nice = s->nice < -20 ? -20 : s->nice > 19 ? 19 : s->nice;
		s->sets_nice = 1;
		return 0;
	case WARDER_CALL_sched_setscheduler:
		err = copy_bytes(req->tid, req->arg[2], &priority, sizeof(priority));
		s->policy = (__u32)req->arg[1] & ~(__u32)SCHED_RESET_ON_FORK;
		s->flags = (__u32)req->arg[1] & SCHED_RESET_ON_FORK ? SCHED_FLAG_RESET_ON_FORK : 0;
		s->realtime = priority;
		return err;
	case WARDER_CALL_sched_setparam:
		err = copy_bytes(req->tid, req->arg[1], &priority, sizeof(priority));
		s->policy = op->old_sched.policy;
		s->flags = (__u32)op->old_sched.flags & SCHED_FLAG_RESET_ON_FORK;
		s->realtime = priority;
		return err;
	default:
		err = copy_bytes(req->tid, req->arg[1], &size, sizeof(size));
		if (!size)
			size = 48; /* the first version */
		if (size > sizeof(op->new_sched))
			size = sizeof(op->new_sched);
		if (!err)
			err = copy_bytes(req->tid, req->arg[1], &op->new_sched, size);
		op->new_sched.size = size;
		s->policy = op->new_sched.policy;
		s->flags = (__u32)op->new_sched.flags | (op->new_sched.flags >> 32 ? ~0u : 0);
		s->realtime = (__s32)op->new_sched.priority;
		s->nice = op->new_sched.nice;
		s->sets_nice = s->policy == SCHED_OTHER || s->policy == SCHED_BATCH;
		return err;
	}
}

static void resolve_sched(struct operation *op, const struct caller *c, const char *status,
			  const struct executor_request *req, struct executor_reply *reply)
{
	cleanup_free char *theirs = NULL, *stat_text = NULL;
	int which = req->call == WARDER_CALL_setpriority;
	pid_t pid = (pid_t)req->arg[which];

	if (which && (__s32)req->arg[0] != PRIO_PROCESS)
		return; /* of many threads: tid 0 says so */
	op->sched.tid = pid ? own_number(status, pid) ? c->tid : translate(c, pid) : c->tid;
	if (op->sched.tid <= 0) {
		fail(reply, -ESRCH, "the thread that it is about is gone");
		return;
	}
	theirs = proc_read(op->sched.tid, "status");
	stat_text = proc_read(op->sched.tid, "stat");
	if (!theirs || !stat_text ||
	    syscall(SYS_sched_getattr, op->sched.tid, &op->old_sched, sizeof(op->old_sched), 0)) {
		fail(reply, -ESRCH, "the thread that it is about is gone");
		return;
	}
	op->sched.tgid = (__s32)status_number(theirs, "\nTgid:", 0);
	op->start = stat_start(stat_text);
	if (resolve_sched_arguments(op, req)) {
		fail(reply, -EFAULT, "its arguments cannot be read");
		return;
	}
	reply->sched = op->sched;
}

/* For people: what cannot be read is left out. */
static void copy_texts(const struct executor_request *req, struct executor_reply *reply)
{
	if (!reply->target[0])
		copy_string(req->tid, req->target, reply->target, sizeof(reply->target), 0);
	if (!reply->source[0])
		copy_string(req->tid, req->source, reply->source, sizeof(reply->source), 0);
}

static void resolve_call(struct operation *op, const struct caller *c, const char *status,
			 const struct executor_request *req, struct executor_reply *reply)
{
	switch (req->op) {
	case WARDER_OP_UMOUNT:
		resolve_umount(op, c, req, reply);
		return;
	case WARDER_OP_MKNOD:
		resolve_mknod(op, c, req, reply);
		return;
	case WARDER_OP_SETXATTR:
		resolve_setxattr(op, c, req, reply);
		return;
	case WARDER_OP_SETHOSTNAME:
	case WARDER_OP_SETDOMAINNAME:
		resolve_uts(op, c, req, reply);
		return;
	case WARDER_OP_SCHED_SETSCHEDULER:
	case WARDER_OP_SETPRIORITY:
		resolve_sched(op, c, status, req, reply);
		return;
	}
}

void resolve(struct operation *op, const struct executor_home *home,
	     const struct executor_request *req, struct executor_reply *reply)
{
	cleanup_free char *status = proc_read(req->tid, "status");
	cleanup_free char *stat_text = proc_read(req->tid, "stat");
	cleanup_free char *uids = proc_read(req->tid, "uid_map");
	cleanup_free char *gids = proc_read(req->tid, "gid_map");
	cleanup_close int root = proc_open(req->tid, "root", O_PATH | O_DIRECTORY);
	cleanup_close int cwd = proc_open(req->tid, "cwd", O_PATH | O_DIRECTORY);
	struct caller c = { .home = home, .tid = req->tid, .root = root, .cwd = cwd };
	const char *mask;

	op->mntns = proc_open(req->tid, "ns/mnt", O_RDONLY);
	op->userns = proc_open(req->tid, "ns/user", O_RDONLY);
	if (!status || !stat_text || !uids || !gids || root < 0 || cwd < 0 || op->mntns < 0 ||
	    op->userns < 0) {
		fail(reply, -ESRCH, "the caller is gone");
		return;
	}
	c.tgid = (pid_t)status_number(status, "\nTgid:", 0);
	c.fsuid = op->fsuid = status_number(status, "\nUid:", 3);
	c.fsgid = op->fsgid = status_number(status, "\nGid:", 3);
	mask = strstr(status, "\nUmask:");
	op->umask = mask ? (__u32)strtoul(mask + 7, NULL, 8) & 0777 : 0777;
	reply->euid = map_id(uids, status_number(status, "\nUid:", 1), 0);
	reply->fsuid = map_id(uids, c.fsuid, 0);
	op->inside_uid = reply->fsuid;
	op->inside_gid = map_id(gids, c.fsgid, 0);
	mask = strstr(status, "\nCapEff:");
	op->caps = c.caps = (mask ? strtoull(mask + 8, NULL, 16) : 0) & req->caps;
	reply->start = stat_start(stat_text);
	reply->userns = fd_ino(op->userns);
	reply->relation = userns_relation(op->userns, req->userns);
	reply->mntns = fd_ino(op->mntns);
	reply->home_mntns = home->mntns_ino;
	reply->tgid = c.tgid;
	reply->held = -1;
	op->root_uid = map_id(uids, 0, 1);
	op->root_gid = map_id(gids, 0, 1);
	op->tid = req->tid;
	op->op = req->op;
	op->call = req->call;
	memcpy(op->arg, req->arg, sizeof(op->arg));

	if (req->asked)
		caller_capable(op, status, reply);
	if (call_needs_notify(req->call)) {
		resolve_notified(op, &c, req, reply);
		return;
	}
	if (req->op == WARDER_OP_MOUNT) {
		resolve_mount(op, &c, req, reply);
		return;
	}
	if (req->perform)
		resolve_call(op, &c, status, req, reply);
	if (!reply->error && op->parent >= 0)
		resolve_rights(op, status, uids, gids);
	copy_texts(req, reply);
}
