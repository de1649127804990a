// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * An executor's mounts of image files that the host's administrator offers: the kernel reads them, so
 * nobody but the host's root may have written them, and no container may write them now. The loop
 * device is bound to the descriptor that was looked at, read-only, and goes when the mount does.
 */
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "executor_internal.h"

#define LOOP_TRIES 8 /* another may take the free device first */

int image_open(const char *path, int *ret_fd, char *why, size_t size)
{
	cleanup_close int at = -1;
	struct stat st;
	int err = bind_source_open(path, &at, why, size);

	if (err)
		return err;
	if (fstat(at, &st))
		return -errno;
	if (!S_ISREG(st.st_mode)) {
		snprintf(why, size, "it is no regular file");
		return -EINVAL;
	}
	*ret_fd = take_fd(&at);
	return 0;
}

/* Neither the mount is read-only nor its superblock. "... / /point rw,... - type source rw,...": no field
 * holds a space. */
static int line_is_writable(const char *line)
{
	const char *tail = strstr(line, " - "), *own = line;

	if (!tail)
		return 1;
	for (int i = 0; own && i < 5; i++)
		own = strchr(own + 1, ' ');
	tail = strchr(tail + 3, ' ');
	tail = tail ? strchr(tail + 1, ' ') : NULL;
	return !own || !tail || (strncmp(own, " ro", 3) && strncmp(tail, " ro", 3));
}

/* Does the line's overlay keep in a folder above the image what is written to it? */
static int line_has_upper(const char *line, const char *path)
{
	const char *upper = strstr(line, ",upperdir=");
	size_t len;

	if (!upper)
		return 0;
	upper += strlen(",upperdir=");
	len = strcspn(upper, ", \n");
	return len && !strncmp(path, upper, len) && (path[len] == '/' || !path[len]);
}

/*
 * Has the caller's mount namespace a mount by which the file system of the image can be written? Then
 * the container may reach the image, now or when something is renamed. Unreadable counts as yes. `where`:
 * such a one, if it is known.
 */
static int container_can_write(const struct operation *op, const struct executor_home *home,
			       const char *path, int image, char *where, size_t where_size)
{
	cleanup_fclose FILE *ours = mountinfo_own(home), *theirs = NULL;
	cleanup_free char *line = NULL;
	unsigned major, minor;
	struct mount_line at;
	size_t size = 0;
	int found = 0;
	__u32 unused;
	__u64 id;

	/* As mountinfo numbers it: not every file says the same of itself. */
	if (!ours || mount_id_of(image, &id, &unused, &unused) || mountinfo_find(ours, id, &at))
		return 1;
	if (!setns(op->mntns, CLONE_NEWNS))
		theirs = mountinfo_own(home);
	come_home(home);
	if (!theirs)
		return 1;
	while (!found && getline(&line, &size, theirs) > 0) {
		if (sscanf(line, "%*u %*u %u:%u", &major, &minor) != 2)
			return 1;
		found = (major == at.major && minor == at.minor && line_is_writable(line)) ||
			line_has_upper(line, path);
		if (found && !mountinfo_point(line, where, where_size))
			where[0] = '\0';
	}
	return found;
}

/* Opens what was looked at, not what the path leads to by now. */
static int open_again(const struct executor_home *home, int image)
{
	char link[32];
	int fd;

	snprintf(link, sizeof(link), "fd/%d", image);
	fd = openat(home->self, link, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Nobody has it open for writing. The kernel knows no way to keep it so, for a loop device. */
static int nobody_writes(int fd)
{
	int err = fcntl(fd, F_SETLEASE, F_RDLCK) ? -errno : 0;

	if (!err)
		fcntl(fd, F_SETLEASE, F_UNLCK);
	return err;
}

static int loop_bind(int image, char *device, size_t size, struct executor_reply *reply)
{
	cleanup_close int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	const struct loop_config config = {
		.fd = (__u32)image,
		.info = { .lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR },
	};

	if (control < 0)
		return fail(reply, -errno, "the host has no loop devices");
	for (int i = 0; i < LOOP_TRIES; i++) {
		int n = ioctl(control, LOOP_CTL_GET_FREE), fd, err;

		if (n < 0)
			return fail(reply, -errno, "there is no free loop device");
		snprintf(device, size, "/dev/loop%d", n);
		fd = open(device, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return fail(reply, -errno, "a loop device cannot be opened");
		if (!ioctl(fd, LOOP_CONFIGURE, &config))
			return fd;
		err = -errno;
		close(fd);
		if (err != -EBUSY)
			return fail(reply, err, "the loop device cannot be set up");
	}
	return fail(reply, -EBUSY, "others take every loop device that is free");
}

static int make_fs(const struct executor_request *req, const char *device,
		   struct executor_reply *reply)
{
	cleanup_close int fs = fsopen(req->fstype, FSOPEN_CLOEXEC);
	int fd, err;

	if (fs < 0)
		return fail(reply, -errno, "the kernel does not know type %.31s", req->fstype);
	if (fsconfig(fs, FSCONFIG_SET_STRING, "source", device, 0) ||
	    fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0))
		return fail(reply, -errno, "the image is refused");
	/* An image says for itself what to do about damage: not to halt the host. */
	if (!strcmp(req->fstype, "ext4") &&
	    fsconfig(fs, FSCONFIG_SET_STRING, "errors", "remount-ro", 0))
		return fail(reply, -errno, "option errors is refused");
	/* It may be mounted for another container already. */
	if (!strcmp(req->fstype, "xfs") && fsconfig(fs, FSCONFIG_SET_FLAG, "nouuid", NULL, 0))
		return fail(reply, -errno, "option nouuid is refused");
	err = set_options(fs, req, reply);
	if (err)
		return err;
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return fail(reply, -errno, "the image holds no such file system");
	fd = fsmount(fs, FSMOUNT_CLOEXEC, req->attr | MOUNT_ATTR_RDONLY);
	return fd < 0 ? fail(reply, -errno, "the file system cannot be mounted") : fd;
}

int image_make(struct operation *op, const struct executor_home *home,
	       const struct executor_request *req, int userns, struct executor_reply *reply)
{
	cleanup_close int image = -1, file = -1, loop = -1;
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP };
	char why[128] = "", device[32], where[EXECUTOR_TEXT_SIZE] = "";
	int err = image_open(req->image, &image, why, sizeof(why));

	if (err)
		return fail(reply, err, "%s", why);
	if (container_can_write(op, home, req->image, image, where, sizeof(where)))
		return fail(reply, -EACCES,
			    "the container has a writable mount of the image's file system%s%.40s",
			    where[0] ? " at " : "", where);
	file = open_again(home, image);
	if (file < 0)
		return fail(reply, file, "the image cannot be opened");
	err = nobody_writes(file);
	if (err)
		return fail(reply, err, err == -EAGAIN ? "somebody has the image open for writing" :
				   "its file system cannot tell whether somebody writes the image");
	loop = loop_bind(file, device, sizeof(device), reply);
	if (loop < 0)
		return loop;
	op->mount = make_fs(req, device, reply);
	if (op->mount < 0)
		return op->mount;
	attr.userns_fd = (__u64)userns;
	if (userns >= 0 && mount_setattr(op->mount, "", AT_EMPTY_PATH, &attr, sizeof(attr)))
		return fail(reply, -errno, "this kernel cannot map ids of type %.31s", req->fstype);
	return 0;
}
