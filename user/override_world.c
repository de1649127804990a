// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the override thread must know of containers that the kernel's side knows: records, names,
 * tags. Where there is no such side (an agent for other runtimes), what an executor can see takes its
 * place: a name is then a path from the container's root.
 */
#include <linux/magic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "override_job.h"
#include "warder_decide.h"

__u64 world_cookie(struct override *o)
{
	if (!o->loader)
		return ++o->cookie;
	return __atomic_fetch_add(&loader_host(o->loader)->cookie, 1, __ATOMIC_RELAXED) + 1;
}

int world_record(struct override *o, struct job *j)
{
	if (o->loader)
		return loader_get_container(o->loader, j->target.slot, &j->ctr);
	j->ctr = (struct warder_ctr){ .cid = j->target.cid,
				      .userns = j->target.userns,
				      .mntns = j->target.mntns,
				      .userns_owned = j->target.userns_fd >= 0 };
	return 0;
}

int world_name(struct override *o, struct job *j, int fd, char *name, size_t size)
{
	const struct executor_reply *r = &o->reply;
	struct warder_fd_record rec;
	const char *found;
	int err;

	if (o->loader) {
		err = loader_get_fd(o->loader, executor_pid(j->ex), fd, (int)j->target.slot, &rec,
				    name, size);
		if (err)
			return err;
		return rec.name_len < 0 ? -ENOENT : 0;
	}
	found = fd == j->target_fd ? r->name : fd == j->second_fd ? r->name2 : "";
	if (*found != '/')
		return -ENOENT;
	if (strlen(found) >= size)
		return -ENAMETOOLONG;
	/* As hooks have it, the root has the empty name. */
	strcpy(name, found[1] ? found : "");
	return 0;
}

int world_made(struct override *o, struct job *j, int fd, const char *path,
	       struct warder_error *reterr)
{
	struct warder_fd_record rec;
	int err;

	if (!o->loader)
		return 0;
	err = loader_get_fd(o->loader, executor_pid(j->ex), fd, -1, &rec, NULL, 0);
	/* What lies below an overlay the container can write by another way: see signed_file_errno(). */
	if (!err && j->decision.ops == WARDER_MNT_NEW && rec.magic == OVERLAYFS_SUPER_MAGIC)
		err = loader_record_maker(o->loader, &rec, j->out.cid);
	return err ? err : loader_record_mount(o->loader, j->target.slot, &rec, path, reterr);
}

int world_moved(struct override *o, struct job *j, const char *from, const char *to)
{
	return o->loader ? loader_move_mounts(o->loader, j->target.slot, from, to) : 0;
}

int world_task(struct override *o, const struct job *j, pid_t tgid, struct warder_task *ret)
{
	cleanup_close int pidfd = tgid > 0 ? (int)syscall(SYS_pidfd_open, tgid, 0) : -1;

	if (pidfd < 0)
		return -ESRCH;
	if (o->loader)
		return loader_get_task(o->loader, pidfd, ret);
	/* Whoever asks has the container's filter. Of others nothing is known. */
	memset(ret, 0, sizeof(*ret));
	ret->cid = tgid == (pid_t)j->out.icept.h.tgid ? j->out.cid : 0;
	return 0;
}
