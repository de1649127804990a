/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A caller in namespaces of its own, and an executor that acts for it: for tests of what executors
 * perform, on real objects (as root; skipped otherwise). After cmocka.h. */
#ifndef EXECUTOR_CALLER_H
#define EXECUTOR_CALLER_H

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "executor_step.h"

static struct executor_note *notes;
static struct executor_pool *pool;

static struct executor *ex;
static struct executor_request req;
static struct executor_reply reply;
static char *memory; /* shared with the caller, at the same address */
static pid_t caller;

/* The last page cannot be read. */
#define MEMORY_PAGES 5

static inline void step_with(enum executor_step s, int fd)
{
	req.step = s;
	executor_step(ex, &req, fd, 5000, &reply);
}

static inline void step(enum executor_step s)
{
	step_with(s, -1);
}

static inline int caller_main(int ready)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "/mnt", "tmpfs", 0, "mode=755") || mkdir("/mnt/a", 0755) ||
	    mkdir("/mnt/b", 0755) || symlink("a", "/mnt/link") ||
	    symlink("b", "/mnt/link-b") ||
	    mount("none", "/mnt/a", "tmpfs", MS_NOSUID | MS_NODEV, "size=1M") || chdir("/mnt") ||
	    sethostname("first", 5))
		return 1;
	umask(027);
	if (open("/mnt/b", O_PATH) != 3 && dup2(open("/mnt/b", O_PATH), 3) != 3)
		return 1;
	if (write(ready, "x", 1) != 1)
		return 1;
	pause();
	return 0;
}

static inline void map_ids(void)
{
	for (int gid = 0; gid < 2; gid++) {
		cleanup_close int fd = -1;
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d/%cid_map", caller, gid ? 'g' : 'u');
		fd = open(path, O_WRONLY);
		assert_int_equal(write(fd, "0 100000 1000\n", 14), 14);
	}
}

static inline int caller_start(int userns)
{
	int ready[2], go[2];
	char byte;

	if (geteuid())
		return 0;
	memory = mmap(NULL, MEMORY_PAGES * 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(memory, MAP_FAILED);
	assert_int_equal(mprotect(memory + (MEMORY_PAGES - 1) * 4096, 4096, PROT_NONE), 0);
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(go), 0);
	caller = fork();
	if (caller == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWNS | CLONE_NEWUTS | (userns ? CLONE_NEWUSER : 0)) ||
		    write(ready[1], "x", 1) != 1 || read(go[0], &byte, 1) != 1 ||
		    setresgid(0, 0, 0) || setresuid(0, 0, 0))
			_exit(1);
		_exit(caller_main(ready[1]));
	}
	close(ready[1]);
	close(go[0]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	if (userns)
		map_ids();
	assert_int_equal(write(go[1], "x", 1), 1);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(go[1]);
	ex = executor_take(pool);
	assert_non_null(ex);
	return 0;
}

static inline int setup_caller(void **state)
{
	(void)state;
	return caller_start(0);
}

static inline int setup_userns(void **state)
{
	(void)state;
	return caller_start(1);
}

static inline int teardown_caller(void **state)
{
	(void)state;
	if (geteuid())
		return 0;
	executor_give(pool, ex);
	kill(caller, SIGKILL);
	waitpid(caller, NULL, 0);
	munmap(memory, MEMORY_PAGES * 4096);
	return 0;
}

/* An address of the caller's that holds this text. */
static inline __u64 text(int page, const char *s)
{
	strcpy(memory + page * 4096, s);
	return (uintptr_t)(memory + page * 4096);
}

static inline void resolve_call(__u32 op, __u32 call, __u64 a, __u64 b, __u64 c, __u64 d, __u64 e)
{
	struct stat st;
	char path[64];

	memset(&req, 0, sizeof(req));
	snprintf(path, sizeof(path), "/proc/%d/ns/user", caller);
	assert_int_equal(stat(path, &st), 0);
	req.userns = (__u32)st.st_ino;
	req.tid = caller;
	req.op = op;
	req.call = call;
	req.perform = 1;
	req.arg[0] = a;
	req.arg[1] = b;
	req.arg[2] = c;
	req.arg[3] = d;
	req.arg[4] = e;
	if (op == WARDER_OP_MOUNT) {
		req.source = a;
		req.target = b;
		req.type = c;
		req.data = e;
	}
	step(EXECUTOR_RESOLVE);
}

static inline void resolved(void)
{
	if (reply.error)
		fail_msg("%s: %s", reply.what, strerror(-reply.error));
}

static inline void performed(int err)
{
	step(EXECUTOR_PERFORM);
	if (reply.error != err || !reply.kernel)
		fail_msg("%d, %s: %s", reply.error, reply.what, strerror(-reply.error));
}

/* `name`: of what it was about; `from`: of a move, where it was. */
static inline void taken_back(int err, const char *name, const char *from)
{
	struct stat st;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", caller);
	assert_int_equal(stat(path, &st), 0);
	memset(&req, 0, sizeof(req));
	req.mntns = (__u32)st.st_ino;
	snprintf(req.text, EXECUTOR_TEXT_SIZE, "%s", name);
	snprintf(executor_request_from(&req), EXECUTOR_TEXT_SIZE, "%s", from);
	step(EXECUTOR_REVOKE);
	if (reply.error != err)
		fail_msg("%d, %s: %s", reply.error, reply.what, strerror(-reply.error));
}

/* The caller's mountinfo line of `point`, "" if there is none. */
static inline const char *mountinfo(const char *point)
{
	static char line[1024];
	char path[64], at[256];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/mountinfo", caller);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %*s %*s %*s %255s", at) == 1 && !strcmp(at, point)) {
			fclose(f);
			return line;
		}
	fclose(f);
	return "";
}

static inline const char *seen(const char *path)
{
	static char text_[4][512];
	static int n;

	n = (n + 1) % 4;
	snprintf(text_[n], sizeof(text_[n]), "/proc/%d/root%s", caller, path);
	return text_[n];
}

/* The caller's host name. */
static inline void hostname_is(const char *expected)
{
	char path[64], name[65] = "";
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		snprintf(path, sizeof(path), "/proc/%d/ns/uts", caller);
		if (setns(open(path, O_RDONLY), CLONE_NEWUTS) || gethostname(name, sizeof(name)))
			_exit(1);
		_exit(strcmp(name, expected) ? 2 : 0);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
}

static inline int setup(void **state)
{
	struct warder_error error = { 0 };

	(void)state;
	notes = mmap(NULL, EXECUTOR_NOTES * sizeof(*notes), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (notes == MAP_FAILED)
		return -1;
	if (!geteuid() && executor_pool_new(&pool, 2, notes, &error))
		fail_msg("%s", error.text);
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	executor_pool_free(pool);
	munmap(notes, EXECUTOR_NOTES * sizeof(*notes));
	return 0;
}

#endif
