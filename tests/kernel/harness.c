// SPDX-License-Identifier: LGPL-2.1-or-later
#include "harness.h"

#include <bpf/libbpf.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"

static struct loader *loader;
static pid_t loader_owner;
static __u32 slots_used;
static __u64 cids[WARDER_POLICIES_MAX];

/* Leaves the programs to the next test program, and one policy, so that they stay attached: to load
 * and attach them takes the better part of a minute in emulation. No container has that policy. */
static void clear(void)
{
	static const struct warder_ctr none;

	for (__u32 slot = 0; slot < slots_used; slot++) {
		loader_set_container(loader, slot, &none);
		loader_forget_mounts(loader, slot);
		loader_forget_learned(loader, slot);
		loader_reset_stats(loader, slot);
	}
	for (__u32 slot = 1; slot < slots_used; slot++)
		loader_unpublish(loader, slot);
}

static void unload(void)
{
	if (getpid() != loader_owner)
		return;
	if (getenv("WARDER_TEST_KEEP"))
		clear();
	else
		loader_unpin(loader);
	loader_free(loader);
}

struct loader *h_load(void)
{
	struct loader_options options = { .pin_dir = NULL };
	struct warder_error e = { "" };
	int err;

	if (loader)
		return loader;
	log_init("test", LOG_LEVEL_WARNING);
	err = loader_open(&loader, &options, &e);
	if (err)
		errx(99, "cannot load: %s (%s)", e.text, strerror(-err));
	loader_owner = getpid();
	atexit(unload);
	return loader;
}

struct warder_image *h_compile(const char *text)
{
	struct policy_diags diags = { 0 };
	struct warder_image *image = NULL;
	struct policy *p = NULL;

	if (policy_parse("test", text, strlen(text), NULL, &p, &diags) ||
	    policy_compile(p, &image, &diags)) {
		policy_diags_print(&diags, stderr);
		errx(99, "the test's policy is not valid:\n%s", text);
	}
	policy_free(p);
	policy_diags_done(&diags);
	return image;
}

static void publish(__u32 slot, const struct warder_image *image)
{
	struct warder_error e = { "" };
	int err = loader_publish(h_load(), slot, image, &e);

	if (err)
		errx(99, "cannot publish: %s (%s)", e.text, strerror(-err));
}

/* mountinfo writes space, tab, newline and backslash in octal. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] && s[2] && s[3]) {
			*to++ = (s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0');
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

void h_record_mounts(__u32 slot)
{
	cleanup_fclose FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[4096], where[2048];

	if (!f || loader_forget_mounts(h_load(), slot))
		err(99, "mountinfo");
	while (fgets(line, sizeof(line), f)) {
		struct warder_fd_record record;
		struct warder_error e = { "" };
		cleanup_close int fd = -1;

		if (sscanf(line, "%*s %*s %*s %*s %2047s", where) != 1)
			errx(99, "mountinfo: %s", line);
		unescape(where);
		fd = open(where, O_PATH | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (loader_get_fd(h_load(), getpid(), fd, -1, &record, NULL, 0) < 0)
			errx(99, "no record of %s", where);
		if (loader_record_mount(h_load(), slot, &record, where, &e))
			errx(99, "%s", e.text);
	}
}

__u32 h_container_image(const struct warder_image *image)
{
	cleanup_free struct warder_image *open_ = NULL;
	struct warder_ctr ctr = { .state = WARDER_CTR_RUNNING };
	__u32 slot = slots_used;

	h_load();
	/* Policies and containers are numbered alike. */
	if (slot == WARDER_POLICIES_MAX)
		errx(99, "too many containers in one test program");
	if (!image)
		image = open_ = h_compile("policy: open\ndefaults: {mount: allow, namespace: allow, "
					  "kernel: allow}\n");
	publish(slot, image);
	if (loader_reset_stats(loader, slot) || loader_next_cid(loader, &ctr.cid))
		errx(99, "cannot make a container");
	ctr.policy = slot;
	ctr.event_rate = 1000000;
	snprintf(ctr.name, sizeof(ctr.name), "test-%u", slot);
	if (loader_set_container(loader, slot, &ctr))
		errx(99, "cannot make a container");
	cids[slot] = ctr.cid;
	slots_used++;
	h_record_mounts(slot);
	return slot;
}

__u32 h_container(const char *policy)
{
	cleanup_free struct warder_image *image = h_compile(policy);

	return h_container_image(image);
}

void h_policy(__u32 slot, const char *policy)
{
	cleanup_free struct warder_image *image = h_compile(policy);

	publish(slot, image);
}

__u64 h_cid(__u32 slot)
{
	return cids[slot];
}

struct warder_stats h_stats(__u32 slot)
{
	struct warder_stats stats;

	if (loader_get_stats(h_load(), slot, &stats))
		errx(99, "no stats of slot %u", slot);
	return stats;
}

__u64 h_fault_count(enum warder_fault fault)
{
	__u64 counts[WARDER_FAULT__MAX];

	if (loader_get_faults(h_load(), counts))
		errx(99, "no fault counts");
	return counts[fault];
}

void h_tag(pid_t pid, __u32 slot)
{
	cleanup_close int pidfd = syscall(SYS_pidfd_open, pid, 0);
	int result;

	if (pidfd < 0)
		err(99, "pidfd_open");
	result = loader_tag_task(h_load(), pidfd, cids[slot], slot);
	if (result)
		errx(99, "cannot tag: %s", strerror(-result));
}

pid_t h_start(int slot, int (*fn)(void *), void *arg)
{
	int go[2];
	pid_t pid;

	fflush(NULL);
	if (pipe2(go, O_CLOEXEC))
		err(99, "pipe");
	pid = fork();
	if (pid < 0)
		err(99, "fork");
	if (!pid) {
		char c;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (loader)
			loader_drop_links(loader);
		close(go[1]);
		if (read(go[0], &c, 1) != 1)
			_exit(99);
		close(go[0]);
		_exit(fn(arg));
	}
	close(go[0]);
	if (slot >= 0)
		h_tag(pid, slot);
	if (write(go[1], "", 1) != 1)
		err(99, "write");
	close(go[1]);
	return pid;
}

int h_wait(pid_t pid)
{
	struct pollfd exited = { .fd = syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
	int status;

	if (exited.fd < 0)
		err(99, "pidfd_open");
	/* waitpid() alone would eat the stops that another thread of ours, its tracer, waits for:
	 * to the kernel they are one parent. */
	while (poll(&exited, 1, -1) != 1)
		if (errno != EINTR)
			err(99, "poll");
	close(exited.fd);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			err(99, "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int h_run(int slot, int (*fn)(void *), void *arg)
{
	return h_wait(h_start(slot, fn, arg));
}

int h_open(const char *path, int flags)
{
	cleanup_close int fd = open(path, flags | O_CLOEXEC, 0644);

	return h_errno(fd);
}

int h_open_read(void *path)
{
	return h_open(path, O_RDONLY);
}

int h_open_write(void *path)
{
	return h_open(path, O_WRONLY);
}

int h_exec(void *path)
{
	char *const argv[] = { path, NULL };

	execve(path, argv, argv + 1);
	return errno;
}

int h_own_mounts(int flags)
{
	return unshare(CLONE_NEWNS | flags) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ? -1 : 0;
}

pid_t h_fork_idle(void)
{
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return pid;
}

void h_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

void *h_shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		err(99, "mmap");
	return p;
}

int h_drop_capabilities(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };

	return syscall(SYS_capset, &h, none) ? 250 : 0;
}

int h_errno(long result)
{
	return result < 0 ? errno : 0;
}

void h_record_mount(__u32 slot, const char *dir, const char *path)
{
	cleanup_close int fd = open(dir, O_PATH | O_CLOEXEC);
	struct warder_fd_record record;
	struct warder_error e = { "" };

	if (fd < 0 || loader_get_fd(h_load(), getpid(), fd, -1, &record, NULL, 0) < 0)
		err(99, "no record of %s", dir);
	if (loader_record_mount(h_load(), slot, &record, path, &e))
		errx(99, "%s", e.text);
}

/* ---------------------------------------------------------------------- events */

struct seen {
	__u64 cid;
	__u32 hook; /* WARDER_HOOK_NONE: any */
	__u32 type; /* enum warder_event_type */
	int found;
	struct warder_event *event;
	char *name, *detail;
};

static int see(void *ctx, void *data, size_t size)
{
	struct seen *seen = ctx;
	const struct warder_event *e = data;
	const char *text = (const char *)(e + 1);

	if (!seen->event || size < sizeof(*e) || e->h.type != seen->type ||
	    e->h.cid != seen->cid || (seen->hook && e->hook != seen->hook))
		return 0;
	if (e->h.size != size || sizeof(*e) + e->text_len + e->detail_len != size ||
	    e->text_len >= WARDER_PATH_MAX || e->detail_len >= WARDER_PATH_MAX)
		errx(99, "an event's lengths do not add up");
	seen->found++;
	*seen->event = *e;
	memcpy(seen->name, text, e->text_len);
	seen->name[e->text_len] = '\0';
	memcpy(seen->detail, text + e->text_len, e->detail_len);
	seen->detail[e->detail_len] = '\0';
	return 0;
}

static void consume(struct seen *seen)
{
	struct ring_buffer *ring =
		ring_buffer__new(loader_map_fd(h_load(), LOADER_MAP_EVENTS), see, seen, NULL);

	if (!ring || ring_buffer__consume(ring) < 0)
		errx(99, "cannot read events");
	ring_buffer__free(ring);
}

void h_events_drop(void)
{
	struct seen none = { 0 };

	consume(&none);
}

int h_event_last(__u32 slot, struct warder_event *ret, char *name, char *detail)
{
	return h_events_of(slot, WARDER_EVENT_VERDICT, WARDER_HOOK_NONE, ret, name, detail) > 0;
}

int h_events_of(__u32 slot, enum warder_event_type type, enum warder_hook hook,
		struct warder_event *ret, char *name, char *detail)
{
	struct seen seen = { .cid = cids[slot], .hook = hook, .type = type, .event = ret,
			     .name = name, .detail = detail };

	consume(&seen);
	return seen.found;
}

struct each {
	h_event_fn fn;
	void *arg;
};

static int each_event(void *ctx, void *data, size_t size)
{
	const struct each *each = ctx;
	const struct warder_event *e = data;

	if (size >= sizeof(*e) &&
	    (e->h.type == WARDER_EVENT_VERDICT || e->h.type == WARDER_EVENT_LEARN))
		each->fn(e, (const char *)(e + 1), each->arg);
	return 0;
}

void h_events_each(h_event_fn fn, void *arg)
{
	struct each each = { .fn = fn, .arg = arg };
	struct ring_buffer *ring = ring_buffer__new(loader_map_fd(h_load(), LOADER_MAP_EVENTS),
						    each_event, &each, NULL);

	if (!ring || ring_buffer__consume(ring) < 0)
		errx(99, "cannot read events");
	ring_buffer__free(ring);
}

void h_write(const char *path, const char *text)
{
	cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		err(99, "cannot write %s", path);
}

void h_shell(const char *format, ...)
{
	char command[8192];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	if (system(command))
		errx(99, "failed: %s", command);
}
