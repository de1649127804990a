// SPDX-License-Identifier: LGPL-2.1-or-later
#include "override_rig.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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

struct rig rig = { .userns_fd = -1 };

static struct warder_image *image, *image_stop;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int acquire(void *arg, __u64 cid, __u32 slot, struct override_target *ret)
{
	(void)arg;
	memset(ret, 0, sizeof(*ret));
	if (rig.kill_at_acquire) {
		/* The caller may be here before its parent knows its number. */
		for (int i = 0; i < 1000 && !__atomic_load_n(&rig.caller, __ATOMIC_ACQUIRE); i++)
			usleep(1000);
		kill(rig.caller, SIGKILL);
		rig.kill_at_acquire = 0;
	}
	ret->cid = cid;
	ret->slot = slot;
	ret->image = rig.image ? rig.image : rig.use_stop ? image_stop : image;
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

__u32 rig_container(const char *text)
{
	__u32 slot = h_container(text);

	rig_container_set(slot, getpid(), 0);
	return slot;
}

int rig_setup(void **state)
{
	struct override_options options = { .journal = RIG_JOURNAL };
	struct warder_error e = { "" };

	(void)state;
	setenv("WARDER_EMULATED", "1", 1);
	image = h_compile(rig_policy);
	image_stop = h_compile(rig_policy_stop);
	rig.callbacks = (struct override_callbacks){ .acquire = acquire, .release = release,
						 .outcome = outcome, .ask = on_ask };
	h_shell("mkdir -p /mnt/scratch/a/deep /mnt/scratch/b /mnt/scratch/bind /mnt/scratch/denied "
		"/mnt/other /srv/assets && ln -sf a /mnt/scratch/link && echo x >/srv/assets/file");
	h_load();
	__atomic_store_n(&loader_host(h_load())->wait_bound, EMULATED_BOUND, __ATOMIC_RELEASE);
	if (override_new(&rig.override, h_load(), &rig.callbacks, &options, &e))
		fail_msg("%s", e.text);
	/* From here on we are in the container's mount namespace. */
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
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
	free(image);
	free(image_stop);
	return 0;
}

/* ------------------------------------------------------------------------- the caller */

__u64 rig_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (__u64)ts.tv_sec * 1000 + (__u64)ts.tv_nsec / 1000000;
}

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

/* Container root without CAP_SYS_ADMIN is what the policy's default makes of us anyway. */
int rig_mount(void *arg)
{
	const struct rig_call *c = arg;

	if ((c->root && chroot(c->root)) || (c->dir && chdir(c->dir)))
		return 250;
	if (c->uid && (setresgid(c->uid, c->uid, c->uid) || setresuid(c->uid, c->uid, c->uid)))
		return 251;
	return h_errno(mount(c->source ? c->source : "none", c->target, c->type, c->flags, c->data));
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

static int asked_in_vain(void)
{
	__u32 u = rig.last.icept.unasked;

	return u == WARDER_UNASKED_BOUND || u == WARDER_UNASKED_RATE || u == WARDER_UNASKED_BUSY ||
	       u == WARDER_UNASKED_DOWN;
}

/* An answer that came too late on a slow machine says so, and is asked again. */
void rig_result(int line, __u32 slot, int (*fn)(void *), void *arg, int expected, const char *why)
{
	int got = -1;

	for (int i = 0; i < 9; i++) {
		int before = rig.outcomes;

		got = rig_run((int)slot, fn, arg);
		rig_outcome_wait(before, 1);
		if (!asked_in_vain())
			break;
	}
	if (got != expected || !strstr(rig.last.reason, why))
		fail_msg("line %d: %d, not %d: %s", line, got, expected, rig.last.reason);
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

void rig_in_userns(__u32 slot, int (*fn)(int ready, int go), void (*made)(void))
{
	int ready[2], go[2], before = rig.outcomes;
	char byte, path[64];
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(go), 0);
	fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(fn(ready[1], go[0]));
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
	h_write(path, "0 100000 1000\n");
	snprintf(path, sizeof(path), "/proc/%d/gid_map", pid);
	h_write(path, "0 100000 1000\n");
	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	rig.userns_fd = open(path, O_RDONLY | O_CLOEXEC);
	rig_container_set(slot, pid, 1);
	h_tag(pid, slot);
	assert_int_equal(write(go[1], "x", 1), 1);
	if (read(ready[0], &byte, 1) != 1)
		fail_msg("child %d: %s", rig_wait(pid), rig_outcome_wait(before, 1)->reason);
	if (made)
		made();
	h_policy(slot, "policy: open\ndefaults: {mount: allow}\n");
	assert_int_equal(write(go[1], "x", 1), 1);
	assert_int_equal(rig_wait(pid), 0);
	close(rig.userns_fd);
	rig.userns_fd = -1;
	close(ready[0]);
	close(go[0]);
	close(go[1]);
}
