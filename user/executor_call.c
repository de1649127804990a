// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * An executor's other operations: carries out what was resolved and decided on, by the
 * descriptors and copies of the first step. What the
 * kernel says of the operation itself is the caller's result, an error as well.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "cleanup.h"
#include "executor_internal.h"
#include "fault.h"
#include "warder_decide.h"

/* The operation's own result, for the caller; 0 is success. */
static void answer(struct executor_reply *reply, int err, const char *what)
{
	reply->kernel = 1;
	if (err)
		fail(reply, err, "%s", what);
}

static int enter_mntns(const struct operation *op)
{
	return setns(op->mntns, CLONE_NEWNS) ? -errno : 0;
}

/* ------------------------------------------------------------------------ mounts */

static void do_umount(struct operation *op, const struct executor_home *home,
		      struct executor_reply *reply)
{
	int flags = op->call == WARDER_CALL_oldumount ? 0 : (int)op->arg[1];
	int err;

	if (op->parent < 0) {
		answer(reply, -EINVAL, "the target is no mount point");
		return;
	}
	/* A descriptor on it would keep it busy. */
	close_fd(&op->target);
	err = enter_mntns(op);
	if (!err && fchdir(op->parent))
		err = -errno;
	if (!err && mount_check(op->parent, op->last, op->mnt_id))
		err = -EBUSY;
	if (err) {
		come_home(home);
		fail(reply, err, "the mount is not there any more");
		return;
	}
	err = umount2(op->last, flags | UMOUNT_NOFOLLOW | (op->lazy ? MNT_DETACH : 0)) ? -errno : 0;
	come_home(home);
	answer(reply, err, "it cannot be unmounted");
}

/* Options of the superblock, as a remount by mount(2) has them. */
static int reconfigure(const struct operation *op, const struct executor_request *req,
		       struct executor_reply *reply)
{
	cleanup_close int fs = fspick(op->target, "", FSPICK_EMPTY_PATH | FSPICK_CLOEXEC);
	int err;

	if (fs < 0)
		return fail(reply, -errno, "the file system cannot be picked");
	if (fsconfig(fs, FSCONFIG_SET_FLAG,
		     warder_mount_flags(op->arg[3]) & MS_RDONLY ? "ro" : "rw", NULL, 0))
		return fail(reply, -errno, "the file system refuses ro or rw");
	err = set_options(fs, req, reply);
	if (err)
		return err;
	if (fsconfig(fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0))
		return fail(reply, -errno, "the file system refuses to be remounted so");
	return 0;
}

static int set_attr(const struct operation *op, int fd, const struct executor_home *home,
		    struct mount_attr *attr, unsigned flags)
{
	int err = enter_mntns(op);

	if (!err && mount_setattr(fd, "", AT_EMPTY_PATH | flags, attr, sizeof(*attr)))
		err = -errno;
	come_home(home);
	return err;
}

static void do_remount(struct operation *op, const struct executor_home *home,
		       const struct executor_request *req, struct executor_reply *reply)
{
	__u32 flags = warder_mount_flags(op->arg[3]);
	struct mount_attr attr = { .attr_set = req->attr, .attr_clr = req->attr_clear };
	int err = 0;

	reply->kernel = 1;
	if (!(flags & MS_BIND))
		err = reconfigure(op, req, reply);
	if (err)
		return;
	err = set_attr(op, op->target, home, &attr, 0);
	answer(reply, err, "the mount's flags cannot be set");
}

static void do_propagation(struct operation *op, const struct executor_home *home,
			   struct executor_reply *reply)
{
	__u32 flags = warder_mount_flags(op->arg[3]);
	__u32 type = flags & (MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE);
	struct mount_attr attr = { .propagation = type };
	int err = -EINVAL;

	/* As flags_to_propagation_type() has it: one, and nothing beside it. */
	if (!(type & (type - 1)) && !(flags & ~(type | MS_REC | MS_SILENT)))
		err = set_attr(op, op->target, home, &attr, flags & MS_REC ? AT_RECURSIVE : 0);
	answer(reply, err, "the propagation cannot be changed");
}

static int move_to(const struct operation *op, int target, const struct executor_home *home)
{
	int err = enter_mntns(op);

	if (!err && move_mount(op->second, "", target, "",
			       MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH))
		err = -errno;
	come_home(home);
	return err;
}

static void do_move(struct operation *op, const struct executor_home *home,
		    struct executor_reply *reply)
{
	answer(reply, move_to(op, op->target, home), "it cannot be moved there");
}

/* ------------------------------------------------------------------------- nodes */

/* As the caller, with the one right more. */
static int become_maker(const struct operation *op)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	const __u64 may = op->dac & (1ull << CAP_DAC_OVERRIDE | 1ull << CAP_DAC_READ_SEARCH |
				     1ull << CAP_FOWNER | 1ull << CAP_FSETID);
	__u64 have = may | 1ull << CAP_MKNOD;

	setfsgid(op->fsgid);
	setfsuid(op->fsuid);
	if (syscall(SYS_capget, &head, data))
		return -errno;
	for (int i = 0; i < 2; i++)
		data[i].effective = data[i].permitted & (__u32)(have >> 32 * i);
	return syscall(SYS_capset, &head, data) ? -errno : 0;
}

static void do_mknod(struct operation *op, const struct executor_home *home,
		     struct executor_reply *reply)
{
	int at = op->call == WARDER_CALL_mknodat;
	mode_t mode = (mode_t)op->arg[1 + at] & 0177777;
	__u32 dev = (__u32)op->arg[2 + at];
	struct stat st;
	int err = become_maker(op);

	umask(op->umask);
	if (err)
		fail(reply, err, "the caller's rights cannot be taken");
	else
		answer(reply, syscall(SYS_mknodat, op->parent, op->last, mode, dev) ? -errno : 0,
		       "the node cannot be made");
	umask(0);
	come_home(home);
	if (reply->error || fstatat(op->parent, op->last, &st, AT_SYMLINK_NOFOLLOW))
		return;
	op->node_ino = st.st_ino;
}

/* -------------------------------------------------------------------- attributes */

/* A descriptor that was opened for its place only takes no attribute: its own link does, which
 * leads nowhere else. */
static void own_link(int fd, char *path, size_t size)
{
	snprintf(path, size, "/proc/self/fd/%d", fd);
}

static void do_setxattr(struct operation *op, struct executor_reply *reply)
{
	char path[40];

	own_link(op->target, path, sizeof(path));
	answer(reply, setxattr(path, op->name, op->value, op->value_len, (int)op->arg[4]) ? -errno : 0,
	       "the attribute cannot be set");
}

/* ------------------------------------------------------------------------- names */

static int uts_set(__u32 op, const char *name, size_t len)
{
	return (op == WARDER_OP_SETHOSTNAME ? sethostname(name, len) : setdomainname(name, len)) ?
		       -errno :
		       0;
}

static void uts_home(const struct executor_home *home)
{
	if (setns(home->uts, CLONE_NEWUTS))
		_exit(1);
}

static void do_uts(struct operation *op, const struct executor_home *home,
		   struct executor_reply *reply)
{
	int len = (__s32)op->arg[1];

	if (len < 0 || len > 64) {
		answer(reply, -EINVAL, "a name has at most 64 bytes");
		return;
	}
	if (op->value_len == (__u32)-1) {
		answer(reply, -EFAULT, "the name cannot be read");
		return;
	}
	if (setns(op->uts, CLONE_NEWUTS)) {
		fail(reply, -errno, "the caller's UTS namespace cannot be entered");
		return;
	}
	answer(reply, uts_set(op->op, op->value, op->value_len), "the name cannot be set");
	uts_home(home);
}

/* -------------------------------------------------------------------- scheduling */

static int sched_is_there(const struct operation *op)
{
	cleanup_free char *stat_text = proc_read(op->sched.tid, "stat");

	return stat_text && stat_start(stat_text) == op->start;
}

static void do_sched(struct operation *op, struct executor_reply *reply)
{
	const struct executor_sched *s = &op->sched;
	struct sched_param param = { .sched_priority = s->realtime };
	int err;

	if (!sched_is_there(op)) {
		answer(reply, -ESRCH, "the thread that it is about is gone");
		return;
	}
	switch (op->call) {
	case WARDER_CALL_setpriority:
		err = setpriority(PRIO_PROCESS, (id_t)s->tid, s->nice);
		break;
	case WARDER_CALL_sched_setattr:
		err = (int)syscall(SYS_sched_setattr, s->tid, &op->new_sched, 0);
		break;
	default:
		err = sched_setscheduler(s->tid,
					 (int)(s->policy | (s->flags ? SCHED_RESET_ON_FORK : 0)),
					 &param);
	}
	err = err ? -errno : 0;
	answer(reply, err, "the priority cannot be set");
}

/* -------------------------------------------------------------------------- steps */

/* Descriptors keep mounts busy, and the caller may unmount them once it is told. The note knows the way
 * back. A move's target is looked at once more: it is on the mount above. */
static void let_go(struct operation *op)
{
	close_fd(&op->parent);
	close_fd(&op->second);
	if (op->op != WARDER_OP_MOUNT || warder_mount_op(warder_mount_flags(op->arg[3])) != WARDER_MNT_MOVE)
		close_fd(&op->target);
}

void perform(struct operation *op, const struct executor_home *home,
	     const struct executor_request *req, struct executor_reply *reply)
{
	struct executor_note *note = note_of(home, req->place);

	if (op->done) {
		fail(reply, -EINVAL, "a step out of order");
		return;
	}
	if (note)
		note_write(note, op, home, req);
	FAULT("executor-noted");
	switch (op->op) {
	case WARDER_OP_MOUNT:
		switch (warder_mount_op(warder_mount_flags(op->arg[3]))) {
		case WARDER_MNT_REMOUNT:
			do_remount(op, home, req, reply);
			break;
		case WARDER_MNT_MOVE:
			do_move(op, home, reply);
			break;
		case WARDER_MNT_PROPAGATION:
			do_propagation(op, home, reply);
			break;
		default:
			fail(reply, -EINVAL, "a step out of order");
		}
		break;
	case WARDER_OP_UMOUNT:
		do_umount(op, home, reply);
		break;
	case WARDER_OP_MKNOD:
		do_mknod(op, home, reply);
		break;
	case WARDER_OP_SETXATTR:
		do_setxattr(op, reply);
		break;
	case WARDER_OP_SETHOSTNAME:
	case WARDER_OP_SETDOMAINNAME:
		do_uts(op, home, reply);
		break;
	case WARDER_OP_SCHED_SETSCHEDULER:
	case WARDER_OP_SETPRIORITY:
		do_sched(op, reply);
		break;
	default:
		fail(reply, -EOPNOTSUPP, "no such operation");
	}
	op->done = !reply->error;
	if (op->done)
		let_go(op);
	FAULT("executor-performed");
	if (note && op->done)
		note->node_ino = op->node_ino;
	/* What has failed changed nothing. */
	if (note && !op->done)
		__atomic_store_n(&note->kind, 0, __ATOMIC_RELEASE);
}
