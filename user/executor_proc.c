// SPDX-License-Identifier: LGPL-2.1-or-later
/* What all steps of an executor use: the way home, /proc/TID, mountinfo. */
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "executor_internal.h"
#include "policy.h"

#define PROC_TEXT_SIZE (64u << 10) /* of /proc/PID/status and the like */

int fail(struct executor_reply *reply, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reply->what, sizeof(reply->what), format, args);
	va_end(args);
	return reply->error = err;
}

void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

pid_t child_sharing_fds(void)
{
	return (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, 0);
}

int child_wait(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int folder_open(const char *path)
{
	struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
				.resolve = RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS };

	return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
}

/* Effective capabilities may have been lowered to a caller's. */
static void caps_restore(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data))
		_exit(1);
	for (int i = 0; i < 2; i++)
		data[i].effective = data[i].permitted;
	if (syscall(SYS_capset, &head, data))
		_exit(1);
}

/* Back to the host's mount namespace, root and full rights. Nothing may go on elsewhere. */
void come_home(const struct executor_home *home)
{
	setfsuid(0);
	setfsgid(0);
	caps_restore();
	/* A change of fsuid clears the signal that ends us with our parent. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != home->parent)
		_exit(0);
	if (setns(home->mntns, CLONE_NEWNS) || fchdir(home->root) || chroot("."))
		_exit(1);
}

/* ------------------------------------------------------------------------ /proc/TID */

int proc_open(pid_t tid, const char *name, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", tid, name);
	return open(path, flags | O_CLOEXEC);
}

/* The whole of a small file, NUL-terminated; the caller frees it. */
char *proc_read(pid_t tid, const char *name)
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

/* Field 22 of /proc/TID/stat: the name before it can hold anything but its last ')'. */
__u64 stat_start(const char *stat_text)
{
	const char *at = strrchr(stat_text, ')');

	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at + 1, NULL, 10) : 0;
}

__u32 fd_ino(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? 0 : (__u32)st.st_ino;
}

int mount_id_of(int fd, __u64 *ret_id, __u32 *ret_major, __u32 *ret_minor)
{
	struct statx stx;

	/* Nothing is asked of the file system, which may be a FUSE program that is not there for us. */
	if (statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, 0, &stx))
		return -errno;
	if (!(stx.stx_mask & STATX_MNT_ID))
		return -EOPNOTSUPP;
	*ret_id = stx.stx_mnt_id;
	*ret_major = stx.stx_dev_major;
	*ret_minor = stx.stx_dev_minor;
	return 0;
}

/* -------------------------------------------------------------------- mountinfo */

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


/* "rw,nosuid,nodev,relatime" as MS_*. */
static __u32 flags_of(char *options)
{
	char *save, *word;
	__u32 flags = 0, flag;

	for (word = strtok_r(options, ",", &save); word; word = strtok_r(NULL, ",", &save))
		if (!mount_flag_from_name(word, &flag))
			flags |= flag;
	return flags;
}

static unsigned group_of(const char *line, const char *key)
{
	const char *at = strstr(line, key);

	return at ? (unsigned)strtoul(at + strlen(key), NULL, 10) : 0;
}

int mount_check(int folder, const char *last, __u64 id)
{
	cleanup_close int fd = openat(folder, last, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	__u32 major, minor;
	__u64 found = 0;
	int err = fd < 0 ? -errno : mount_id_of(fd, &found, &major, &minor);

	return err ? err : found == id ? 0 : -ENOENT;
}

/* Takes a line apart; it is changed. */
static int mount_line_parse(char *line, struct mount_line *ret)
{
	/* A mount point's spaces are escaped: these are the line's own. */
	char *save, *word[6], *type = strstr(line, " - ");
	const char *options = type ? strrchr(type, ' ') + 1 : "";
	size_t n = 0;

	memset(ret, 0, sizeof(*ret));
	ret->shared = group_of(line, " shared:");
	ret->master = group_of(line, " master:");
	if (type)
		snprintf(ret->type, sizeof(ret->type), "%.*s", (int)strcspn(type + 3, " \n"), type + 3);
	snprintf(ret->options, sizeof(ret->options), "%.*s", (int)strcspn(options, "\n"), options);
	for (char *w = strtok_r(line, " ", &save); w && n < 6; w = strtok_r(NULL, " ", &save))
		word[n++] = w;
	if (n < 6 || sscanf(word[2], "%u:%u", &ret->major, &ret->minor) != 2 ||
	    strlen(word[4]) >= sizeof(ret->point))
		return -ENOENT;
	ret->id = strtoull(word[0], NULL, 10);
	ret->above = strtoull(word[1], NULL, 10);
	snprintf(ret->root, sizeof(ret->root), "%s", word[3]);
	unescape(ret->root);
	strcpy(ret->point, word[4]);
	unescape(ret->point);
	ret->flags = flags_of(word[5]);
	return 0;
}

int mountinfo_find(FILE *mountinfo, __u64 id, struct mount_line *ret)
{
	cleanup_free char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, mountinfo) > 0)
		if (strtoull(line, NULL, 10) == id)
			return mount_line_parse(line, ret);
	return -ENOENT;
}

int mountinfo_next(FILE *mountinfo, struct mount_line *ret)
{
	cleanup_free char *line = NULL;
	size_t size = 0;

	if (getline(&line, &size, mountinfo) <= 0)
		return ferror(mountinfo) ? -EIO : 0;
	return mount_line_parse(line, ret) ? -EINVAL : 1;
}

int mountinfo_point(char *line, char *to, size_t size)
{
	char *save, *word = NULL;
	size_t n = 0;

	for (char *w = strtok_r(line, " ", &save); w && n < 5; w = strtok_r(NULL, " ", &save), n++)
		word = w;
	if (n < 5 || strlen(word) >= size)
		return 0;
	strcpy(to, word);
	unescape(to);
	return 1;
}

FILE *file_of(int fd)
{
	FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;

	if (!f && fd >= 0)
		close(fd);
	return f;
}

FILE *mountinfo_own(const struct executor_home *home)
{
	return file_of(openat(home->self, "mountinfo", O_RDONLY | O_CLOEXEC));
}
