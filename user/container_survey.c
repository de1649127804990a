// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Adopted containers, in a builder: going where the first process is, and telling what it sees.
 * Paths are walked there, on file systems that may not answer, so it is not the supervisor that
 * does it. What is wanted from /proc is opened before: the container's own shows what it likes.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "container.h"
#include "filter.h"

void builder_enter_foreign(struct builder *b, int nstypes, FILE **ret_mounts)
{
	cleanup_close int root = -1;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/root", (int)b->foreign);
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		builder_fail(b, 125, "the root of process %d cannot be opened: %s", (int)b->foreign,
			     strerror(errno));
	snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)b->foreign);
	if (ret_mounts)
		*ret_mounts = fopen(path, "re");
	/* Still the process of that number: what was opened is its. */
	if (syscall(SYS_pidfd_send_signal, b->pidfd, 0, NULL, 0))
		builder_fail(b, 125, "process %d has ended", (int)b->foreign);
	if (setns(b->pidfd, nstypes))
		builder_fail(b, 125, "cannot join the namespaces of process %d: %s",
			     (int)b->foreign, strerror(errno));
	/* setns() has put us at the namespace's root; a process that called chroot is elsewhere. */
	if (fchdir(root) || chroot("."))
		builder_fail(b, 125, "cannot enter the root of process %d: %s", (int)b->foreign,
			     strerror(errno));
}

static void survey_filters(struct builder *b)
{
	char refused[WARDER_ERROR_SIZE];
	int err = filter_read_refused((pid_t)b->foreign, refused, sizeof(refused));

	builder_say(b, CONTAINER_MSG_FILTERED, err, -1, err ? NULL : refused);
}

void builder_survey(struct builder *b)
{
	FILE *mounts = NULL;
	int root;

	builder_enter_foreign(b, CLONE_NEWNS, &mounts);
	root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		builder_fail(b, 125, "its root cannot be opened: %s", strerror(errno));
	/* First, and whether a mount begins there or not. */
	builder_say(b, CONTAINER_MSG_MOUNT, root, -1, "/");
	builder_report_mounts(b, mounts);
	builder_report_fd(b, CONTAINER_FD_ROOT, root);
	if (b->filters)
		survey_filters(b);
	builder_say(b, CONTAINER_MSG_READY, 0, -1, NULL);
	builder_wait(b);
	_exit(0);
}
