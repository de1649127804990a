// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What an earlier supervisor had performed and did not answer, other than new mounts: the note that
 * its executor wrote says what it was about and how that was before. All of it is found anew, by name
 * and by identity; what is not exactly as it was made is somebody else's by now and left alone.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/xattr.h>
#include <time.h>

#include "cleanup.h"
#include "executor_internal.h"
#include "warder_decide.h"

#define ATTRS_NOTED (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)
#define PROCESSES_MAX 64 /* of a namespace that are looked from */

/* --------------------------------------------------------------------------- notes */

struct executor_note *note_of(const struct executor_home *home, __u32 place)
{
	return home->notes && place < EXECUTOR_NOTES ? &home->notes[place] : NULL;
}

static void note_object(struct executor_note *n, int fd)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return;
	n->dev = st.st_dev;
	n->ino = st.st_ino;
}

static int note_mount(struct executor_note *n, const struct operation *op,
		      const struct executor_request *req)
{
	n->mount_op = warder_mount_op(warder_mount_flags(op->arg[3]));
	if (n->mount_op == WARDER_MNT_REMOUNT) {
		n->old_attr = op->old_attr & ATTRS_NOTED;
		n->new_attr = ((n->old_attr & ~(__u64)req->attr_clear) | req->attr) & ATTRS_NOTED;
		return mount_id_of(op->target, &n->mnt_id, &n->major, &n->minor);
	}
	if (n->mount_op == WARDER_MNT_MOVE) {
		note_object(n, op->parent);
		snprintf(n->last, sizeof(n->last), "%s", op->last);
		return mount_id_of(op->second, &n->mnt_id, &n->major, &n->minor);
	}
	return 0;
}

/* Of what cannot be made, since something is there already, nothing is noted. */
static int note_mknod(struct executor_note *n, const struct operation *op)
{
	int at = op->call == WARDER_CALL_mknodat;
	struct timespec now;
	struct stat st;

	if (!fstatat(op->parent, op->last, &st, AT_SYMLINK_NOFOLLOW))
		return -EEXIST;
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	n->sec = now.tv_sec;
	n->nsec = (__u32)now.tv_nsec;
	n->mode = (__u32)op->arg[1 + at] & S_IFMT;
	n->rdev = (__u32)op->arg[2 + at];
	note_object(n, op->parent);
	snprintf(n->last, sizeof(n->last), "%s", op->last);
	return 0;
}

static int note_setxattr(struct executor_note *n, const struct operation *op)
{
	char path[40];
	ssize_t got;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", op->target);
	got = getxattr(path, op->name, n->old_value, sizeof(n->old_value));
	n->old_len = got < 0 ? (errno == ENODATA ? -1 : -2) : got;
	if (op->value_len > sizeof(n->value))
		return -E2BIG;
	note_object(n, op->target);
	n->value_len = op->value_len;
	memcpy(n->value, op->value, op->value_len);
	memcpy(n->name, op->name, sizeof(n->name));
	return 0;
}

static const char *uts_name(__u32 op, const struct utsname *names)
{
	return op == WARDER_OP_SETHOSTNAME ? names->nodename : names->domainname;
}

static int note_uts(struct executor_note *n, const struct operation *op,
		    const struct executor_home *home)
{
	struct utsname names;
	int err;

	if (op->value_len >= sizeof(names.nodename) || setns(op->uts, CLONE_NEWUTS))
		return -EINVAL;
	err = uname(&names) ? -errno : 0;
	if (setns(home->uts, CLONE_NEWUTS))
		_exit(1);
	n->uts = fd_ino(op->uts);
	n->value_len = op->value_len;
	memcpy(n->value, op->value, op->value_len);
	n->old_len = (__s64)strlen(uts_name(op->op, &names));
	memcpy(n->old_value, uts_name(op->op, &names), (size_t)n->old_len);
	return err;
}

static int note_sched(struct executor_note *n, const struct operation *op)
{
	const struct executor_sched *s = &op->sched;

	n->tid = s->tid;
	n->start = op->start;
	n->old_sched = n->new_sched = op->old_sched;
	if (op->call != WARDER_CALL_setpriority) {
		n->new_sched.policy = s->policy;
		n->new_sched.priority = (__u32)s->realtime;
	}
	if (s->sets_nice)
		n->new_sched.nice = s->nice;
	return 0;
}

void note_write(struct executor_note *n, const struct operation *op,
		const struct executor_home *home, const struct executor_request *req)
{
	int err = 0;

	memset(n, 0, sizeof(*n));
	switch (op->op) {
	case WARDER_OP_MOUNT:
		err = note_mount(n, op, req);
		break;
	case WARDER_OP_MKNOD:
		err = note_mknod(n, op);
		break;
	case WARDER_OP_SETXATTR:
		err = note_setxattr(n, op);
		break;
	case WARDER_OP_SETHOSTNAME:
	case WARDER_OP_SETDOMAINNAME:
		err = note_uts(n, op, home);
		break;
	case WARDER_OP_SCHED_SETSCHEDULER:
	case WARDER_OP_SETPRIORITY:
		err = note_sched(n, op);
		break;
	default: /* what is not taken back: that it may have been done */
		break;
	}
	if (!err)
		__atomic_store_n(&n->kind, op->op, __ATOMIC_RELEASE);
}

/* --------------------------------------------------------------------- finding it again */

/* The `skip`th process whose namespace `ns` has that number; 0: there is none. */
static pid_t process_of(const char *ns, __u32 ino, unsigned skip)
{
	cleanup_closedir DIR *d = opendir("/proc");
	struct dirent *e;

	while (d && (e = readdir(d))) {
		cleanup_close int fd = -1;
		pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);

		if (pid > 0)
			fd = proc_open(pid, ns, O_RDONLY);
		if (fd >= 0 && fd_ino(fd) == ino && !skip--)
			return pid;
	}
	return 0;
}

/* Goes to where the `i`th process of mount namespace `mntns` is: there, and to its root; after the last
 * one, to where the operation was. come_home() leads back. -ENOENT, and *ret_more is 0: that was all. */
static int go_to(const struct operation *op, __u32 mntns, unsigned i, int *ret_more)
{
	pid_t pid = i < PROCESSES_MAX ? process_of("ns/mnt", mntns, i) : 0;
	cleanup_close int ns = pid ? proc_open(pid, "ns/mnt", O_RDONLY) : -1;
	cleanup_close int root = pid ? proc_open(pid, "root", O_PATH | O_DIRECTORY) : -1;

	*ret_more = pid != 0;
	/* Its processes are gone: then the root is that of the namespace. */
	if (!pid)
		return op->mntns >= 0 && fd_ino(op->mntns) == mntns && !setns(op->mntns, CLONE_NEWNS) ?
			       0 : -ENOENT;
	if (ns < 0 || root < 0 || fd_ino(ns) != mntns)
		return -ENOENT;
	return setns(ns, CLONE_NEWNS) || fchdir(root) || chroot(".") ? -errno : 0;
}

static int open_plain(const char *path, int flags)
{
	struct open_how how = { .flags = (__u64)(O_PATH | O_CLOEXEC | flags),
				.resolve = RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS };
	int fd = (int)syscall(SYS_openat2, AT_FDCWD, *path ? path : "/", &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

static int is_object(int fd, const struct executor_note *n)
{
	struct stat st;

	return !fstat(fd, &st) && st.st_dev == n->dev && st.st_ino == n->ino;
}

/* The folder that `path` lies in, into `to`. */
static void folder_of(const char *path, char *to, size_t size)
{
	char *slash;

	snprintf(to, size, "%s", path);
	slash = strrchr(to, '/');
	if (slash)
		*slash = '\0';
}

/* The object of that name, or (folder) the folder that it is in, as some process of the namespace sees
 * it, if it is the noted one. We are home again. */
static int object_open(const struct operation *op, const struct executor_home *home,
		       const struct executor_request *req, const struct executor_note *n,
		       const char *name, int folder)
{
	char path[EXECUTOR_TEXT_SIZE];
	int fd = -ENOENT, more = 1;

	if (folder)
		folder_of(name, path, sizeof(path));
	else
		snprintf(path, sizeof(path), "%s", name);
	for (unsigned i = 0; more; i++) {
		fd = go_to(op, req->mntns, i, &more);
		if (!fd)
			fd = open_plain(path, O_NOFOLLOW);
		come_home(home);
		if (fd >= 0 && is_object(fd, n))
			return fd;
		if (fd >= 0)
			close(fd);
		fd = -ENOENT;
	}
	return fd;
}

/* --------------------------------------------------------------------------- going back */

static int revoke_mknod(const struct operation *op, const struct executor_home *home,
			const struct executor_request *req, const struct executor_note *n)
{
	cleanup_close int folder = object_open(op, home, req, n, req->text, 1);
	const struct statx_timestamp *made;
	struct statx st;

	if (folder < 0)
		return folder;
	if (statx(folder, n->last, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
		  STATX_BASIC_STATS | STATX_BTIME, &st))
		return -errno;
	if ((st.stx_mode & S_IFMT) != n->mode || (n->node_ino && st.stx_ino != n->node_ino) ||
	    st.stx_rdev_major != (n->rdev >> 8 & 0xfff) ||
	    st.stx_rdev_minor != ((n->rdev & 0xff) | (n->rdev >> 12 & 0xfff00)))
		return -ENOENT;
	/* Nothing was there when it was noted: what is older has been moved here. */
	made = st.stx_mask & STATX_BTIME ? &st.stx_btime : &st.stx_ctime;
	if (made->tv_sec < n->sec || (made->tv_sec == n->sec && made->tv_nsec < n->nsec))
		return -ENOENT;
	return unlinkat(folder, n->last, 0) ? -errno : 0;
}

static int revoke_setxattr(const struct operation *op, const struct executor_home *home,
			const struct executor_request *req, const struct executor_note *n)
{
	cleanup_close int fd = object_open(op, home, req, n, req->text, 0);
	char path[40], now[EXECUTOR_VALUE_SIZE];
	ssize_t got;

	if (fd < 0)
		return fd;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	got = getxattr(path, n->name, now, sizeof(now));
	if (got != (ssize_t)n->value_len || memcmp(now, n->value, n->value_len) ||
	    (n->old_len == got && !memcmp(now, n->old_value, (size_t)got)))
		return -ENOENT;
	if (n->old_len == -2)
		return -E2BIG;
	if (n->old_len < 0)
		return removexattr(path, n->name) ? -errno : 0;
	return setxattr(path, n->name, n->old_value, (size_t)n->old_len, 0) ? -errno : 0;
}

static int revoke_uts(const struct executor_home *home, const struct executor_note *n)
{
	pid_t pid = process_of("ns/uts", n->uts, 0);
	cleanup_close int ns = pid ? proc_open(pid, "ns/uts", O_RDONLY) : -1;
	struct utsname names;
	int err = -ENOENT;
	const char *now;

	if (ns < 0 || fd_ino(ns) != n->uts || setns(ns, CLONE_NEWUTS))
		return -ENOENT;
	now = uts_name(n->kind, &names);
	/* A NUL within ends it for readers. */
	if (!uname(&names) && strlen(now) == strnlen(n->value, n->value_len) &&
	    !strncmp(now, n->value, n->value_len) &&
	    ((size_t)n->old_len != strlen(now) || memcmp(now, n->old_value, (size_t)n->old_len)))
		err = (n->kind == WARDER_OP_SETHOSTNAME ?
			       sethostname(n->old_value, (size_t)n->old_len) :
			       setdomainname(n->old_value, (size_t)n->old_len)) ? -errno : 0;
	if (setns(home->uts, CLONE_NEWUTS))
		_exit(1);
	return err;
}

static int sched_same(const struct executor_attr *a, const struct executor_attr *b)
{
	return a->policy == b->policy && a->nice == b->nice && a->priority == b->priority;
}

static int revoke_sched(const struct executor_note *n)
{
	cleanup_free char *stat_text = proc_read(n->tid, "stat");
	struct executor_attr now;

	if (!stat_text || stat_start(stat_text) != n->start ||
	    syscall(SYS_sched_getattr, n->tid, &now, sizeof(now), 0) ||
	    !sched_same(&now, &n->new_sched) || sched_same(&now, &n->old_sched))
		return -ENOENT;
	return syscall(SYS_sched_setattr, n->tid, &n->old_sched, 0) ? -errno : 0;
}

/* Opens the noted mount, from where we are; `info` is what a process there sees. */
static int mount_open(const struct executor_note *n, FILE *info, struct mount_line *line)
{
	__u32 major, minor;
	__u64 id;
	int fd;

	if (mountinfo_find(info, n->mnt_id, line) || line->major != n->major ||
	    line->minor != n->minor)
		return -ENOENT;
	fd = open_plain(line->point, 0);
	if (fd < 0)
		return fd;
	/* What is there by now may be another one. */
	if (!mount_id_of(fd, &id, &major, &minor) && id == n->mnt_id && major == n->major &&
	    minor == n->minor)
		return fd;
	close(fd);
	return -ENOENT;
}

static int remount_back(int fd, const struct executor_note *n, const struct mount_line *line)
{
	struct mount_attr attr = { .attr_set = n->old_attr, .attr_clr = ~n->old_attr & ATTRS_NOTED };

	/* MS_* of these have the same bits. */
	if ((line->flags & ATTRS_NOTED) != n->new_attr || n->new_attr == n->old_attr)
		return -ENOENT;
	return mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) ? -errno : 0;
}

static int move_back(int fd, const struct executor_request *req, const struct executor_note *n,
		     const struct mount_line *line)
{
	cleanup_close int folder = -1, place = -1;
	char path[EXECUTOR_TEXT_SIZE];

	/* Not there, or not any more. */
	if (*req->text && strcmp(line->point, req->text))
		return -ENOENT;
	folder_of(executor_request_from(req), path, sizeof(path));
	folder = open_plain(path, O_DIRECTORY);
	if (folder < 0 || !is_object(folder, n))
		return -ENOENT;
	place = openat(folder, n->last, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (place < 0)
		return -errno;
	return move_mount(fd, "", place, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) ?
		       -errno : 0;
}

static int revoke_changed(const struct operation *op, const struct executor_home *home,
			const struct executor_request *req, const struct executor_note *n)
{
	struct mount_line line;
	int err = -ENOENT, more = 1;

	for (unsigned i = 0; more && err == -ENOENT; i++) {
		int gone = go_to(op, req->mntns, i, &more), fd = -ENOENT;
		cleanup_fclose FILE *info = gone ? NULL : mountinfo_own(home);

		if (info)
			fd = mount_open(n, info, &line);
		if (fd >= 0) {
			err = n->mount_op == WARDER_MNT_MOVE ? move_back(fd, req, n, &line) :
							       remount_back(fd, n, &line);
			close(fd);
		}
		come_home(home);
	}
	return err;
}

void revoke_call(const struct operation *op, const struct executor_home *home, const struct executor_request *req,
		 struct executor_reply *reply)
{
	const struct executor_note *n = note_of(home, req->place);
	int err = -EOPNOTSUPP;

	switch (n ? n->kind : WARDER_OP_NONE) {
	case WARDER_OP_NONE:
		err = -ENOENT;
		break;
	case WARDER_OP_MKNOD:
		err = revoke_mknod(op, home, req, n);
		break;
	case WARDER_OP_SETXATTR:
		err = revoke_setxattr(op, home, req, n);
		break;
	case WARDER_OP_SETHOSTNAME:
	case WARDER_OP_SETDOMAINNAME:
		err = revoke_uts(home, n);
		break;
	case WARDER_OP_SCHED_SETSCHEDULER:
	case WARDER_OP_SETPRIORITY:
		err = revoke_sched(n);
		break;
	case WARDER_OP_MOUNT:
		if (n->mount_op & (WARDER_MNT_MOVE | WARDER_MNT_REMOUNT))
			err = revoke_changed(op, home, req, n);
		break;
	default:
		break;
	}
	if (err)
		fail(reply, err, err == -EOPNOTSUPP ? "such a call is not taken back" :
				 err == -ENOENT ? "nothing is there that was made so" :
						  "it cannot be taken back");
}
