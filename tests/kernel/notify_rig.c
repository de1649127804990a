// SPDX-License-Identifier: LGPL-2.1-or-later
#include "notify_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"

struct notified *notified;

void notify_setup(void)
{
	notified = h_shared(sizeof(*notified));
}

int notify_wait_for(volatile int *value, int wanted)
{
	for (int i = 0; i < 30000; i++) {
		if (__atomic_load_n(value, __ATOMIC_ACQUIRE) >= wanted)
			return 0;
		usleep(1000);
	}
	return -1;
}

/* The child: filtered as `warder run` does it, then without capabilities. */
static int filtered(void *arg)
{
	struct notified_call *c = arg;
	struct warder_error e = { "" };
	int fd;

	/* A filter needs this or a capability; which the policy of a test may not leave. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return 240;
	fd = override_filter_install(OVERRIDE_FILTER_MOUNT, &e);
	if (fd < 0)
		return 241;
	__atomic_store_n(&notified->listener, fd, __ATOMIC_RELEASE);
	if (notify_wait_for(&notified->go, 1))
		return 242;
	close(fd);
	if (!c->keep_caps && h_drop_capabilities())
		return 243;
	return c->fn(c->arg);
}

pid_t notify_start(__u32 slot, struct notified_call *c, int *ret_listener)
{
	cleanup_close int pidfd = -1;
	pid_t pid;

	memset(notified, 0, sizeof(*notified));
	pid = h_start((int)slot, filtered, c);
	assert_int_equal(notify_wait_for(&notified->listener, 1), 0);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	assert_true(pidfd >= 0);
	*ret_listener = (int)syscall(SYS_pidfd_getfd, pidfd, notified->listener, 0);
	assert_true(*ret_listener >= 0);
	return pid;
}

pid_t notify_begin(__u32 slot, struct notified_call *c, int answered)
{
	int listener;
	pid_t pid = notify_start(slot, c, &listener);

	if (answered)
		assert_int_equal(override_listen(rig.override, h_cid(slot), slot, listener), 0);
	else
		close(listener);
	__atomic_store_n(&notified->go, 1, __ATOMIC_RELEASE);
	return pid;
}

int notify_run(__u32 slot, int (*fn)(void *), void *arg)
{
	struct notified_call c = { .fn = fn, .arg = arg };

	return rig_wait(notify_begin(slot, &c, 1));
}

/* ------------------------------------------------------------------ what mount(8) does */

static int configure(int fs, const char *option)
{
	char key[64];
	const char *value = strchr(option, '=');

	snprintf(key, sizeof(key), "%.*s", (int)strcspn(option, "="), option);
	return fsconfig(fs, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, key,
			value ? value + 1 : NULL, 0);
}

int new_mount(void *arg)
{
	struct new_mount *m = arg;
	struct mount_attr attr = { .attr_set = m->attr };
	char text[64];
	struct statx st;
	cleanup_close int fs = -1, mnt = -1;

	notified->step = 1;
	OK(fs = fsopen(m->type, FSOPEN_CLOEXEC));
	if (!(fcntl(fs, F_GETFD) & FD_CLOEXEC))
		return 230;
	notified->step = 2;
	OK(fsconfig(fs, FSCONFIG_SET_STRING, "source", m->source, 0));
	for (int i = 0; i < 4 && m->option[i]; i++)
		OK(configure(fs, m->option[i]));
	notified->step = 3;
	OK(fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	/* Messages: none. */
	if (read(fs, text, sizeof(text)) != -1 || errno != ENODATA)
		return 231;
	notified->step = 4;
	OK(mnt = fsmount(fs, FSMOUNT_CLOEXEC, 0));
	OK(statx(mnt, "", AT_EMPTY_PATH, STATX_MNT_ID, &st));
	if (m->attr)
		OK(mount_setattr(mnt, "", AT_EMPTY_PATH, &attr, sizeof(attr)));
	notified->step = 5;
	OK(move_mount(mnt, "", AT_FDCWD, m->target, MOVE_MOUNT_F_EMPTY_PATH));
	return 0;
}

int new_bind(void *arg)
{
	struct new_mount *m = arg;
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOEXEC };
	cleanup_close int mnt = -1;

	notified->step = 1;
	OK(mnt = open_tree(AT_FDCWD, m->source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
	OK(mount_setattr(mnt, "", AT_EMPTY_PATH, &attr, sizeof(attr)));
	notified->step = 5;
	OK(move_mount(mnt, "", AT_FDCWD, m->target, MOVE_MOUNT_F_EMPTY_PATH));
	return 0;
}

void new_mount_refused(__u32 slot, int (*fn)(void *), struct new_mount *m, int err, int step, const char *why)
{
	int before = rig.outcomes, got = notify_run(slot, fn, m);
	struct override_outcome *out = rig_outcome_wait(before, 1);

	if (got != err || notified->step != step || !strstr(out->reason, why) || out->performed)
		fail_msg("%s %s: %d at step %d, not %d at %d: %s", m->type, m->target, got,
			 notified->step, err, step, out->reason);
	assert_int_equal(out->result, -err);
	assert_int_equal(out->icept.cap_userns, rig_ns_ino("/proc/self/ns/user"));
}
