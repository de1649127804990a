// SPDX-License-Identifier: LGPL-2.1-or-later
#include "override_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"

#define EMULATED_BOUND 50000000ull

const char rig_policy[] =
	"policy: t\n"
	"defaults: {namespace: allow}\n"
	"mount:\n"
	"  - deny: [mount]\n"
	"    type: tmpfs\n"
	"    target: /mnt/scratch/denied\n"
	"override:\n"
	"  - on: mount\n"
	"    type: tmpfs\n"
	"    target: /mnt/scratch/**\n"
	"    options: {size: \"<=64M\"}\n"
	"    do: perform\n"
	"    force: [nosuid, nodev]\n"
	"  - on: mount\n"
	"    bind: /srv/assets\n"
	"    target: /mnt/scratch/bind\n"
	"    do: perform\n"
	"    force: [ro, nosuid, nodev, noexec]\n";

const char rig_policy_stop[] =
	"policy: s\n"
	"override:\n"
	"  - on: mount\n"
	"    type: tmpfs\n"
	"    target: /mnt/scratch/**\n"
	"    do: perform\n"
	"    late: stop\n";

/* --------------------------------------------------------------- the supervisor's part */

static struct warder_image *images[WARDER_POLICIES_MAX]; /* by slot */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void rig_kill_caller(void)
{
	/* It may have called before its parent knows its number. */
	for (int i = 0; i < 1000 && !__atomic_load_n(&rig.caller, __ATOMIC_ACQUIRE); i++)
		usleep(1000);
	kill(rig.caller, SIGKILL);
}

static int acquire(void *arg, __u64 cid, __u32 slot, struct override_target *ret)
{
	(void)arg;
	memset(ret, 0, sizeof(*ret));
	/* Of another test program, that has left a process behind. */
	if (!images[slot] || cid != h_cid(slot))
		return -ENOENT;
	if (rig.kill_at_acquire) {
		rig_kill_caller();
		rig.kill_at_acquire = 0;
	}
	ret->cid = cid;
	ret->slot = slot;
	ret->image = images[slot];
	ret->userns_fd = rig.userns_fd;
	ret->root_fd = -1;
	return 0;
}

static void release(void *arg, struct override_target *target)
{
	(void)arg;
	(void)target;
}

static int on_ask(void *arg, const struct override_ask *ask)
{
	(void)arg;
	return rig.on_ask ? rig.on_ask(ask) : -ENOENT;
}

static void outcome(void *arg, const struct override_outcome *out)
{
	(void)arg;
	while (rig.stall)
		usleep(10000);
	pthread_mutex_lock(&lock);
	rig.last = *out;
	rig.outcomes++;
	rig.undone += out->undone;
	if (out->cid == rig.watched && out->performed)
		rig.watched_ns = out->latency_ns;
	pthread_mutex_unlock(&lock);
}

struct rig rig = {
	.callbacks = { .acquire = acquire, .release = release, .outcome = outcome, .ask = on_ask },
	.userns_fd = -1,
};

struct override_outcome *rig_outcome_wait(int before, int n)
{
	for (int i = 0; i < 400; i++) {
		int have;

		pthread_mutex_lock(&lock);
		have = rig.outcomes;
		pthread_mutex_unlock(&lock);
		if (have >= before + n)
			break;
		usleep(10000);
	}
	return &rig.last;
}

__u32 rig_ns_ino(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : (__u32)st.st_ino;
}

void rig_container_set(__u32 slot, pid_t pid, int owned)
{
	struct warder_ctr ctr;
	char path[64];

	assert_int_equal(loader_get_container(h_load(), slot, &ctr), 0);
	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", pid);
	ctr.mntns = rig_ns_ino(path);
	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	ctr.userns = rig_ns_ino(path);
	ctr.userns_owned = (__u32)owned;
	ctr.icept_rate = 1000;
	ctr.icept_burst = 1000;
	assert_int_equal(loader_set_container(h_load(), slot, &ctr), 0);
}

__u32 rig_container(const char *policy)
{
	struct warder_image *image = h_compile(policy);
	__u32 slot = h_container_image(image);

	images[slot] = image;
	rig_container_set(slot, getpid(), 0);
	return slot;
}

const struct warder_image *rig_image(__u32 slot)
{
	return images[slot];
}

void rig_load(void)
{
	setenv("WARDER_EMULATED", "1", 1);
	__atomic_store_n(&loader_host(h_load())->wait_bound, EMULATED_BOUND, __ATOMIC_RELEASE);
}

int rig_setup(void **state)
{
	struct override_options options = { .journal = RIG_JOURNAL };
	struct warder_error e = { "" };

	(void)state;
	h_shell("mkdir -p /mnt/scratch/a/deep /mnt/scratch/b /mnt/scratch/bind /mnt/scratch/denied "
		"/mnt/other /srv/assets && ln -sf a /mnt/scratch/link && echo x >/srv/assets/file");
	rig_load();
	if (override_new(&rig.override, h_load(), &rig.callbacks, &options, &e))
		fail_msg("%s", e.text);
	/* From here on we are in the container's mount namespace. */
	if (h_own_mounts(0))
		return -1;
	if (override_start(rig.override, &e))
		fail_msg("%s", e.text);
	usleep(200000);
	return 0;
}

int rig_teardown(void **state)
{
	(void)state;
	override_free(rig.override);
	for (__u32 slot = 0; slot < WARDER_POLICIES_MAX; slot++)
		free(images[slot]);
	return 0;
}

/* ------------------------------------------------------------------------- the caller */

int rig_wait(pid_t pid)
{
	int status;

	do {
		if (waitpid(pid, &status, 0) != pid)
			return RIG_REAPED;
	} while (!WIFEXITED(status) && !WIFSIGNALED(status));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int rig_run(int slot, int (*fn)(void *), void *arg)
{
	__atomic_store_n(&rig.caller, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&rig.caller, h_start(slot, fn, arg), __ATOMIC_RELEASE);
	return rig_wait(rig.caller);
}

static int asked_in_vain(void)
{
	__u32 u = rig.last.icept.unasked;

	return u == WARDER_UNASKED_BOUND || u == WARDER_UNASKED_RATE || u == WARDER_UNASKED_BUSY ||
	       u == WARDER_UNASKED_DOWN;
}

int rig_run_in_time(__u32 slot, int (*fn)(void *), void *arg)
{
	for (int i = 0;; i++) {
		int before = rig.outcomes, got = rig_run((int)slot, fn, arg);

		rig_outcome_wait(before, 1);
		if (i == 9 || rig.outcomes == before || !asked_in_vain())
			return got;
	}
}

/* Container root without CAP_SYS_ADMIN is what the policy's default makes of us anyway. */
int rig_mount(void *arg)
{
	const struct rig_call *c = arg;

	if (c->unshare && unshare(c->unshare))
		return 249;
	if ((c->root && chroot(c->root)) || (c->dir && chdir(c->dir)))
		return 250;
	if (c->uid && (setresgid(c->uid, c->uid, c->uid) || setresuid(c->uid, c->uid, c->uid)))
		return 251;
	return h_errno(mount(c->source ? c->source : "none", c->target, c->type, c->flags, c->data));
}

int rig_umount(void *arg)
{
	return h_errno(umount2(arg, 0));
}

int rig_detach(void *arg)
{
	return h_errno(umount2(arg, MNT_DETACH));
}

int rig_remount(void *arg)
{
	return h_errno(mount(NULL, arg, NULL, MS_REMOUNT | MS_BIND, NULL));
}

int rig_read(void *arg)
{
	cleanup_close int fd = open(arg, O_RDONLY | O_CLOEXEC);
	ssize_t got;
	char byte;

	if (fd < 0)
		return errno;
	got = read(fd, &byte, 1);
	return got < 0 ? errno : got ? 0 : 200;
}

void rig_tmpfs(__u32 slot, const char *path, unsigned long flags, const char *data)
{
	assert_int_equal(mount("none", path, "tmpfs", flags, data), 0);
	h_record_mount(slot, path, path);
}

int rig_mounted(const char *point, char *options, size_t size)
{
	FILE *f = fopen("/proc/self/mountinfo", "r");
	char line[1024], at[256];
	int found = 0;

	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %*s %*s %*s %255s", at) == 1 && !strcmp(at, point)) {
			found++;
			if (options)
				snprintf(options, size, "%s", line);
		}
	fclose(f);
	return found;
}

const char *rig_line(const char *point)
{
	static char line[2048];

	assert_int_equal(rig_mounted(point, line, sizeof(line)), 1);
	return line;
}

void rig_answer(int line, __u32 slot, int (*fn)(void *), void *arg, int expected, const char *why)
{
	int got = rig_run_in_time(slot, fn, arg);

	if (got != expected || !strstr(rig.last.reason, why))
		fail_msg("line %d: %d, not %d: %s", line, got, expected, rig.last.reason);
}

void rig_result(int line, __u32 slot, int (*fn)(void *), void *arg, int expected, const char *why)
{
	rig_answer(line, slot, fn, arg, expected, why);
	assert_int_equal(rig.last.performed, !expected);
}

void rig_mount_killed(__u32 slot, struct rig_call *c)
{
	int before = rig.outcomes;

	rig.kill_at_acquire = 1;
	rig_run((int)slot, rig_mount, c);
	rig_outcome_wait(before, 1);
	rig.kill_at_acquire = 0;
	assert_int_equal(rig.last.performed, rig.last.undone);
	assert_int_equal(rig_mounted(c->target, NULL, 0), 0);
}

/* ------------------------------------------------------ a user namespace of its own */

static int owner_told[2], owner_sent[2]; /* by the child, by us */

int rig_owner_step(void)
{
	char byte;

	return write(owner_told[1], "x", 1) != 1 || read(owner_sent[0], &byte, 1) != 1 ? 239 : 0;
}

int rig_owner_enter(void)
{
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) || rig_owner_step() || setresgid(0, 0, 0) ||
	    setresuid(0, 0, 0))
		return 240;
	return 0;
}

int rig_mount_in_time(struct rig_call *c)
{
	int err = EPERM;

	for (int i = 0; i < 9 && err == EPERM; i++)
		err = rig_mount(c);
	return err;
}

int rig_owner_mount(struct rig_call *c)
{
	int err = rig_owner_enter();

	return err ? err : rig_mount_in_time(c);
}

void rig_in_userns(__u32 slot, int (*fn)(void), void (*made)(void))
{
	int before = rig.outcomes;
	char byte, path[64];
	pid_t pid;

	assert_int_equal(pipe2(owner_told, O_CLOEXEC), 0);
	assert_int_equal(pipe2(owner_sent, O_CLOEXEC), 0);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(fn());
	}
	close(owner_told[1]);
	assert_int_equal(read(owner_told[0], &byte, 1), 1);
	snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
	h_write(path, "0 100000 1000\n");
	snprintf(path, sizeof(path), "/proc/%d/gid_map", pid);
	h_write(path, "0 100000 1000\n");
	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	rig.userns_fd = open(path, O_RDONLY | O_CLOEXEC);
	rig_container_set(slot, pid, 1);
	h_tag(pid, slot);
	assert_int_equal(write(owner_sent[1], "x", 1), 1);
	if (read(owner_told[0], &byte, 1) != 1)
		fail_msg("child %d: %s", rig_wait(pid), rig_outcome_wait(before, 1)->reason);
	if (made)
		made();
	h_policy(slot, "policy: open\ndefaults: {mount: allow}\n");
	assert_int_equal(write(owner_sent[1], "x", 1), 1);
	assert_int_equal(rig_wait(pid), 0);
	close(rig.userns_fd);
	rig.userns_fd = -1;
	close(owner_told[0]);
	close(owner_sent[0]);
	close(owner_sent[1]);
}
