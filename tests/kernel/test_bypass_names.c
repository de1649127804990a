// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Ways round a rule about a name that other tests do not take: long rules, things mounted over
 * names, links from before, links of /proc that lead to other tasks, files that were replaced,
 * odd bytes, and names that change between check and use.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"

#define BROKEN 90
#define DIR "/root/bn"

static int run(const char *path)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		execl(path, path, "-c", "exit 7", NULL);
		_exit(errno);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return BROKEN;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ------------------------------------------------------------------- long rules */

/* A rule about a folder works however long it is, or is no rule. */
static void rules_are_as_long_as_names(void **state)
{
	char part[201], dir[1024], policy[8192], file[2048], *text;
	struct policy_diags diags = { 0 };
	struct policy *p = NULL;
	__u32 slot;

	(void)state;
	memset(part, 'L', 200);
	part[200] = 0;
	snprintf(dir, sizeof(dir), DIR "/%s/%s/%s/%s", part, part, part, part);
	h_shell("mkdir -p %s/d; echo x > %s/d/f; echo x > %s/g", dir, dir, dir);
	snprintf(policy, sizeof(policy), "policy: long\nfile:\n  - deny: [read]\n    path: %s/d/**\n",
		 dir);
	slot = h_container(policy);
	snprintf(file, sizeof(file), "%s/d/f", dir);
	assert_int_equal(h_run((int)slot, h_open_read, file), EACCES);
	snprintf(file, sizeof(file), "%s/g", dir);
	assert_int_equal(h_run((int)slot, h_open_read, file), 0);

	text = malloc(32768);
	assert_non_null(text);
	strcpy(text, "policy: longer\nfile:\n  - deny: [read]\n    path: ");
	for (int i = 0; i < 5000; i++)
		strcat(text + 4 * i, "/LLL");
	strcat(text, "\n");
	assert_true(policy_parse("test", text, strlen(text), NULL, &p, &diags));
	policy_diags_done(&diags);
	free(text);
}

/* ------------------------------------------------------------ mounted over names */

#define PROGRAMS                                                      \
	"policy: programs\n"                                          \
	"defaults: {exec: deny, mount: allow, namespace: allow}\n"    \
	"exec: [{allow: " DIR "/bin/*}]\n"                            \
	"file:\n  - allow: [map_exec]\n    path: /usr/**\n"               \
	"  - deny: [create, write, mknod]\n    path: [" DIR "/bin, " DIR "/bin/**]\n"

/* A folder that may be written, bound where programs may be run. */
static int run_bound(void *arg)
{
	(void)arg;
	if (h_own_mounts(0) || mount(DIR "/tmp", DIR "/bin", NULL, MS_BIND, NULL))
		return BROKEN;
	return run(DIR "/bin/evil");
}

/* An empty file system there, in which the same names may not be made. */
static int make_over(void *arg)
{
	cleanup_close int fd = -1;

	(void)arg;
	if (h_own_mounts(0) || mount("none", DIR "/bin", "tmpfs", 0, NULL))
		return BROKEN;
	fd = open(DIR "/bin/evil", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	return fd < 0 ? errno : 0;
}

static int run_good(void *arg)
{
	(void)arg;
	return run(DIR "/bin/good");
}

static int run_evil(void *arg)
{
	(void)arg;
	return run(DIR "/tmp/evil");
}

static int mount_over(void *arg)
{
	static const char options[] =
		"lowerdir=" DIR "/bin,upperdir=" DIR "/up,workdir=" DIR "/work";
	const char *type = arg;

	if (unshare(CLONE_NEWNS))
		return BROKEN;
	return h_errno(mount(strcmp(type, "bind") ? "none" : DIR "/tmp", DIR "/bin", type,
			     strcmp(type, "bind") ? 0 : MS_BIND,
			     strcmp(type, "overlay") ? NULL : options));
}

static void what_is_mounted_over_a_name_is_not_it(void **state)
{
	static const char *const types[] = { "bind", "tmpfs", "overlay" };
	__u32 slot, plain;

	(void)state;
	h_shell("mkdir -p " DIR "/bin " DIR "/tmp " DIR "/up " DIR "/work; "
		"cp /usr/bin/bash " DIR "/bin/good; cp /usr/bin/bash " DIR "/tmp/evil");
	slot = h_container(PROGRAMS);
	plain = h_container("policy: plain\ndefaults: {namespace: allow}\n");
	assert_int_equal(h_run((int)slot, run_good, NULL), 7);
	assert_int_equal(h_run((int)slot, run_evil, NULL), EACCES);
	assert_int_equal(h_run(-1, run_bound, NULL), 7);
	assert_int_equal(h_run((int)slot, run_bound, NULL), EACCES);
	assert_int_equal(h_run(-1, make_over, NULL), 0);
	assert_int_equal(h_run((int)slot, make_over, NULL), EACCES);
	/* The class default refuses every one of these mounts. */
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		assert_int_equal(h_run(-1, mount_over, (void *)types[i]), 0);
		assert_int_equal(h_run((int)plain, mount_over, (void *)types[i]), EPERM);
	}
}

/* ------------------------------------------------------------------------- links */

static int link_fd(void *arg)
{
	cleanup_close int fd = open(DIR "/links/secret", O_PATH | O_CLOEXEC);

	(void)arg;
	if (fd < 0)
		return BROKEN;
	return h_errno(linkat(fd, "", AT_FDCWD, DIR "/links/by-fd", AT_EMPTY_PATH));
}

static int link_proc(void *arg)
{
	cleanup_close int fd = open(DIR "/links/secret", O_PATH | O_CLOEXEC);
	char path[64];

	(void)arg;
	if (fd < 0)
		return BROKEN;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return h_errno(linkat(AT_FDCWD, path, AT_FDCWD, DIR "/links/by-proc", AT_SYMLINK_FOLLOW));
}

static void links_by_descriptor_are_links(void **state)
{
	__u32 slot = h_container("policy: links\nfile:\n"
				 "  - deny: [read]\n    path: " DIR "/links/secret\n");

	(void)state;
	h_shell("mkdir -p " DIR "/links; echo x > " DIR "/links/secret");
	assert_int_equal(h_run((int)slot, link_fd, NULL), EACCES);
	assert_int_equal(h_run((int)slot, link_proc, NULL), EACCES);
	assert_int_equal(h_run(-1, link_fd, NULL), 0);
	assert_int_equal(h_run(-1, link_proc, NULL), 0);
}

/* The promise ends here, and documents say so: what was linked before, by others, has two names,
 * and the rule about one says nothing of the other. */
static void links_from_before_are_another_name(void **state)
{
	__u32 slot;

	(void)state;
	h_shell("mkdir -p " DIR "/links; echo x > " DIR "/links/old; "
		"ln -f " DIR "/links/old " DIR "/links/before");
	slot = h_container("policy: before\nfile:\n  - deny: [read]\n    path: " DIR "/links/old\n");
	assert_int_equal(h_run((int)slot, h_open_read, DIR "/links/old"), EACCES);
	assert_int_equal(h_run((int)slot, h_open_read, DIR "/links/before"), 0);
}

/* A rule's own name is that of the link, not of what it leads to; a rule on the file holds by
 * whatever link it is reached. */
static void a_rule_on_a_symlink_is_not_one_on_its_file(void **state)
{
	__u32 on_file, on_link;

	(void)state;
	h_shell("mkdir -p " DIR "/links; echo x > " DIR "/links/file; "
		"ln -sfn file " DIR "/links/soft");
	on_file = h_container("policy: on-file\nfile:\n"
			      "  - deny: [read]\n    path: " DIR "/links/file\n");
	on_link = h_container("policy: on-link\nfile:\n"
			      "  - deny: [read]\n    path: " DIR "/links/soft\n");
	assert_int_equal(h_run((int)on_file, h_open_read, DIR "/links/soft"), EACCES);
	assert_int_equal(h_run((int)on_file, h_open_read, DIR "/links/file"), EACCES);
	assert_int_equal(h_run((int)on_link, h_open_read, DIR "/links/soft"), 0);
}

/* --------------------------------------------------------------- links of /proc */

static int nap_with_file(void *arg)
{
	int fd = open(DIR "/links/file", O_RDONLY);

	if (fd < 0 || dup2(fd, 9) != 9 || chdir(DIR "/links") || write(*(int *)arg, "", 1) != 1)
		return BROKEN;
	for (;;)
		pause();
}

static void magic_links_of_others_lead_nowhere(void **state)
{
	static const char *const links[] = { "root/etc/passwd", "cwd/file", "fd/9", "exe",
					     "map_files", "root/etc/passwd" };
	const size_t of_thread = ARRAY_SIZE(links) - 1;
	__u32 slot = h_container("policy: magic\ndefaults: {namespace: allow}\n");
	__u32 other = h_container("policy: other\n");
	int victims[] = { -1, (int)other, (int)slot };

	(void)state;
	h_shell("mkdir -p " DIR "/links; echo x > " DIR "/links/file");
	for (size_t v = 0; v < ARRAY_SIZE(victims); v++) {
		int ready[2];
		pid_t pid;
		char c;

		assert_int_equal(pipe(ready), 0);
		pid = h_start(victims[v], nap_with_file, &ready[1]);
		assert_int_equal(read(ready[0], &c, 1), 1);
		for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
			char path[128];
			int got;

			if (i == of_thread)
				snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", pid, pid,
					 links[i]);
			else
				snprintf(path, sizeof(path), "/proc/%d/%s", pid, links[i]);
			assert_int_equal(h_run(-1, h_open_read, path), 0);
			got = h_run((int)slot, h_open_read, path);
			/* Listing a folder of /proc is no way to a file. */
			if (!strcmp(links[i], "map_files"))
				continue;
			if (victims[v] == (int)slot ? got : got != EACCES && got != EPERM)
				fail_msg("%s of a task in %d: %d", links[i], victims[v], got);
		}
		kill(pid, SIGKILL);
		h_wait(pid);
		close(ready[0]);
		close(ready[1]);
	}
}

/* --------------------------------------------------------- replaced, odd, changing */

static void a_file_that_was_replaced_is_the_same_name(void **state)
{
	__u32 slot;

	(void)state;
	h_shell("mkdir -p " DIR "/new; echo 1 > " DIR "/new/secret");
	slot = h_container("policy: replaced\nfile:\n"
			   "  - deny: [read]\n    path: " DIR "/new/secret\n");
	assert_int_equal(h_run((int)slot, h_open_read, DIR "/new/secret"), EACCES);
	/* As editors and package managers do it: another inode each time. */
	for (int i = 0; i < 20; i++) {
		h_shell("echo %d > " DIR "/new/tmp; mv " DIR "/new/tmp " DIR "/new/secret", i);
		assert_int_equal(h_run((int)slot, h_open_read, DIR "/new/secret"), EACCES);
	}
	h_shell("rm -r " DIR "/new; mkdir " DIR "/new; echo 1 > " DIR "/new/secret");
	assert_int_equal(h_run((int)slot, h_open_read, DIR "/new/secret"), EACCES);
}

/* Rule, kernel and event agree on every byte. */
static void odd_bytes_are_bytes(void **state)
{
	static const struct {
		const char *file, *pattern;
	} odd[] = {
		{ "new\nline", "new\\nline" }, { "tab\there", "tab\\there" },
		{ "\xff\xfe" "bad", "*bad" }, { "quote\"s", "quote\\\"s" },
		{ " space ", " space " },      { "\xc3\xa4", "\xc3\xa4" },
		{ "\x01\x7f", "\?\?" },
	};
	char policy[4096] = "policy: odd\nfile:\n";
	__u32 slot;

	(void)state;
	assert_true(!mkdir(DIR "/odd", 0755) || errno == EEXIST);
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++)
		snprintf(policy + strlen(policy), sizeof(policy) - strlen(policy),
			 "  - deny: [read]\n    path: \"" DIR "/odd/%s\"\n", odd[i].pattern);
	slot = h_container(policy);
	h_write(DIR "/odd/plain", "x");
	assert_int_equal(h_run((int)slot, h_open_read, DIR "/odd/plain"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		char path[256], slashed[300], name[WARDER_PATH_MAX], detail[WARDER_PATH_MAX];
		struct warder_event e;

		snprintf(path, sizeof(path), DIR "/odd/%s", odd[i].file);
		h_write(path, "x");
		h_events_drop();
		if (h_run((int)slot, h_open_read, path) != EACCES)
			fail_msg("%zu: %s is not refused", i, odd[i].pattern);
		assert_int_equal(h_event_last(slot, &e, name, detail), 1);
		assert_string_equal(name, path);
		/* Slashes that say nothing do not change a name. */
		snprintf(slashed, sizeof(slashed), "//root/./bn//odd///%s", odd[i].file);
		assert_int_equal(h_run((int)slot, h_open_read, slashed), EACCES);
		snprintf(slashed, sizeof(slashed), "%s/", path);
		assert_int_equal(h_run((int)slot, h_open_read, slashed), ENOTDIR);
	}
}

static int list_slashed(void *path)
{
	return h_open(path, O_RDONLY | O_DIRECTORY);
}

static void a_slash_at_the_end_does_not_change_a_folder(void **state)
{
	__u32 slot;

	(void)state;
	h_shell("mkdir -p " DIR "/folder");
	slot = h_container("policy: slash\nfile:\n  - deny: [read]\n    path: " DIR "/folder\n");
	assert_int_equal(h_run((int)slot, list_slashed, DIR "/folder"), EACCES);
	assert_int_equal(h_run((int)slot, list_slashed, DIR "/folder/"), EACCES);
	assert_int_equal(h_run((int)slot, list_slashed, DIR "/folder/."), EACCES);
	assert_int_equal(h_run((int)slot, list_slashed, DIR "/folder///"), EACCES);
	assert_int_equal(h_run(-1, list_slashed, DIR "/folder/"), 0);
}

/* In a folder where case does not matter, another spelling is another name for the file: the
 * rule about one of them does not hold for it. Only a policy that allows by name, and denies the
 * rest, holds there. */
static void case_folding_folders_want_allow_rules(void **state)
{
	__u32 deny, allow;

	(void)state;
	h_shell("mkdir -p " DIR "/fold");
	if (mount("none", DIR "/fold", "tmpfs", 0, "casefold")) {
		/* Before 6.13, or built without it. */
		assert_int_equal(errno, EINVAL);
		return;
	}
	h_shell("mkdir " DIR "/fold/d; chattr +F " DIR "/fold/d 2>/dev/null || true");
	h_write(DIR "/fold/d/secret", "x");
	h_write(DIR "/fold/d/open", "x");
	deny = h_container("policy: fold-deny\nfile:\n"
			   "  - deny: [read]\n    path: " DIR "/fold/d/secret\n");
	allow = h_container("policy: fold-allow\ndefaults: {file: deny}\nfile:\n"
			    "  - allow: [read]\n    path: " DIR "/fold/d/open\n");
	assert_int_equal(h_run((int)deny, h_open_read, DIR "/fold/d/secret"), EACCES);
	assert_int_equal(h_run((int)allow, h_open_read, DIR "/fold/d/secret"), EACCES);
	assert_int_not_equal(h_run((int)allow, h_open_read, DIR "/fold/d/SECRET"), 0);
	assert_int_equal(umount(DIR "/fold"), 0);
}

struct flip {
	char *volatile path;
	volatile int stop;
};

static void *flip_for_ever(void *arg)
{
	struct flip *f = arg;
	size_t at = strlen(DIR "/race/");

	while (!f->stop)
		f->path[at] ^= 'a' ^ 'b';
	return NULL;
}

/* The file that is judged is the file that is opened: what is read never is the other's text. */
static int race(void *arg)
{
	char path[] = DIR "/race/a", c = 0;
	struct flip f = { .path = path };
	int opened = 0, refused = 0, leaked = 0;
	pthread_t t;

	(void)arg;
	if (pthread_create(&t, NULL, flip_for_ever, &f))
		return BROKEN;
	for (int i = 0; i < 20000; i++) {
		int fd = open(path, O_RDONLY);

		if (fd < 0) {
			refused++;
			continue;
		}
		if (read(fd, &c, 1) != 1 || c != 'a')
			leaked++;
		opened++;
		close(fd);
	}
	f.stop = 1;
	pthread_join(t, NULL);
	if (leaked)
		return 1;
	return opened && refused ? 0 : 2;
}

static void a_path_that_changes_while_it_is_read_gains_nothing(void **state)
{
	__u32 slot;

	(void)state;
	h_shell("mkdir -p " DIR "/race; printf a > " DIR "/race/a; printf b > " DIR "/race/b");
	slot = h_container("policy: race\nfile:\n  - deny: [read]\n    path: " DIR "/race/b\n");
	assert_int_equal(h_run((int)slot, race, NULL), 0);
	assert_int_equal(h_run(-1, race, NULL), 1);
}

/* ------------------------------------------------------------ descriptors handed in */

static int receive(void *arg)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	char c;
	struct iovec io = { &c, 1 };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = &control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *h;
	int fd;

	if (recvmsg(*(int *)arg, &m, 0) != 1)
		return errno == EACCES ? EACCES : BROKEN;
	h = CMSG_FIRSTHDR(&m);
	/* The kernel tells a refusal by giving less than was sent. */
	if (!h || h->cmsg_len != CMSG_LEN(sizeof(int)))
		return m.msg_flags & MSG_CTRUNC ? EACCES : BROKEN;
	memcpy(&fd, CMSG_DATA(h), sizeof(fd));
	return read(fd, &c, 1) == 1 ? 0 : BROKEN;
}

static void send_fd(int sock, int fd)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .h = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
			     .cmsg_len = CMSG_LEN(sizeof(int)) } };
	struct iovec io = { (char *)"", 1 };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = &control,
			    .msg_controllen = sizeof(control) };

	memcpy(CMSG_DATA(&control.h), &fd, sizeof(fd));
	assert_int_equal(sendmsg(sock, &m, 0), 1);
}

/* What was opened outside and handed in is judged as if it were opened now. */
static void descriptors_received_are_judged(void **state)
{
	static const char *const files[] = { DIR "/received/open", DIR "/received/secret" };
	__u32 slot;

	(void)state;
	h_shell("mkdir -p " DIR "/received; echo x > " DIR "/received/open; "
		"echo x > " DIR "/received/secret");
	slot = h_container("policy: received\nfile:\n"
			   "  - deny: [read]\n    path: " DIR "/received/secret\n");
	for (int i = 0; i < 2; i++) {
		int pair[2];
		cleanup_close int fd = open(files[i], O_RDONLY | O_CLOEXEC);

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		send_fd(pair[0], fd);
		assert_int_equal(h_run((int)slot, receive, &pair[1]), i ? EACCES : 0);
		lseek(fd, 0, SEEK_SET);
		send_fd(pair[0], fd);
		assert_int_equal(h_run(-1, receive, &pair[1]), 0);
		close(pair[0]);
		close(pair[1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_are_as_long_as_names),
		cmocka_unit_test(what_is_mounted_over_a_name_is_not_it),
		cmocka_unit_test(links_by_descriptor_are_links),
		cmocka_unit_test(links_from_before_are_another_name),
		cmocka_unit_test(a_rule_on_a_symlink_is_not_one_on_its_file),
		cmocka_unit_test(magic_links_of_others_lead_nowhere),
		cmocka_unit_test(a_file_that_was_replaced_is_the_same_name),
		cmocka_unit_test(odd_bytes_are_bytes),
		cmocka_unit_test(a_slash_at_the_end_does_not_change_a_folder),
		cmocka_unit_test(case_folding_folders_want_allow_rules),
		cmocka_unit_test(a_path_that_changes_while_it_is_read_gains_nothing),
		cmocka_unit_test(descriptors_received_are_judged),
	};

	h_shell("mkdir -p " DIR);
	h_load();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
