// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The OCI seccomp agent: what it takes from a runtime, and whole calls of a process with a filter,
 * answered without any BPF. The runtime's part is played here.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cleanup.h"
#include "filter.h"
#include "oci.h"
#include "override.h"
#include "policy.h"
#include "../../user/override_internal.h"

#define STATE                                                                              \
	"{\"ociVersion\":\"1.0.2\",\"fds\":[\"seccompFd\"],\"pid\":%d,\"metadata\":\"%s\","   \
	"\"state\":{\"ociVersion\":\"1.0.2\",\"id\":\"%s\",\"status\":\"creating\",\"pid\":%d," \
	"\"bundle\":\"/b\",\"annotations\":{\"a\":\"b\"}}}"

/* ---------------------------------------------------------------------------- states */

static void refused(const char *text, size_t fds, const char *why)
{
	struct oci_process_state s;
	struct warder_error e = { "" };

	if (oci_state_parse(text, strlen(text), fds, &s, &e) != -EINVAL || !strstr(e.text, why))
		fail_msg("%s: \"%s\", not \"%s\"", text, e.text, why);
}

static void test_state(void **state)
{
	struct oci_process_state s;
	struct warder_error e = { "" };
	char text[1024];

	(void)state;
	snprintf(text, sizeof(text), STATE, 42, "web", "c1", 41);
	assert_int_equal(oci_state_parse(text, strlen(text), 1, &s, &e), 0);
	assert_int_equal(s.pid, 42);
	assert_string_equal(s.id, "c1");
	assert_string_equal(s.metadata, "web");
	assert_int_equal(s.listener, 0);
	/* As crun has it: another version, the same pid twice, no metadata. */
	snprintf(text, sizeof(text), "{\"ociVersion\":\"0.2.0\",\"fds\":[\"other\",\"seccompFd\"],"
				     "\"pid\":7,\"state\":{\"id\":\"x\",\"pid\":7}}");
	assert_int_equal(oci_state_parse(text, strlen(text), 2, &s, &e), 0);
	assert_int_equal(s.listener, 1);
	assert_string_equal(s.metadata, "");
	/* pid may be left out, then it is the first process that has the filter. */
	snprintf(text, sizeof(text), "{\"fds\":[\"seccompFd\"],\"state\":{\"id\":\"x\",\"pid\":9}}\n");
	assert_int_equal(oci_state_parse(text, strlen(text), 1, &s, &e), 0);
	assert_int_equal(s.pid, 9);
}

static void test_state_refused(void **state)
{
	char text[2048], id[OCI_ID_SIZE + 1];

	(void)state;
	refused("", 1, "");
	refused("{", 1, "");
	refused("[]", 1, "");
	refused("{} {}", 1, "");
	refused("{}", 1, "no state");
	refused("{\"state\":7}", 1, "no state");
	refused("{\"state\":{\"pid\":1}}", 1, "no id");
	refused("{\"state\":{\"id\":\"x\"}}", 1, "no pid");
	refused("{\"pid\":-4,\"state\":{\"id\":\"x\"}}", 1, "pid");
	refused("{\"pid\":4294967297,\"state\":{\"id\":\"x\"}}", 1, "pid");
	refused("{\"pid\":\"1\",\"state\":{\"id\":\"x\"}}", 1, "pid");
	refused("{\"pid\":1,\"state\":{\"id\":\"x\"}}", 1, "names 0 descriptors, and 1 came");
	refused("{\"pid\":1,\"fds\":[\"seccompFd\"],\"state\":{\"id\":\"x\"}}", 0, "and 0 came");
	refused("{\"pid\":1,\"fds\":[\"seccompFd\"],\"state\":{\"id\":\"x\"}}", 2, "and 2 came");
	refused("{\"pid\":1,\"fds\":[\"a\"],\"state\":{\"id\":\"x\"}}", 1, "0 times");
	refused("{\"pid\":1,\"fds\":[\"seccompFd\",\"seccompFd\"],\"state\":{\"id\":\"x\"}}", 2,
		"2 times");
	refused("{\"pid\":1,\"fds\":\"seccompFd\",\"state\":{\"id\":\"x\"}}", 1, "fds");
	refused("{\"pid\":1,\"fds\":[1],\"state\":{\"id\":\"x\"}}", 1, "fds");
	memset(id, 'i', OCI_ID_SIZE);
	id[OCI_ID_SIZE] = '\0';
	snprintf(text, sizeof(text), "{\"pid\":1,\"fds\":[\"seccompFd\"],\"state\":{\"id\":\"%s\"}}", id);
	refused(text, 1, "its id is longer");
}

static void test_names(void **state)
{
	struct warder_error e = { "" };

	(void)state;
	assert_int_equal(oci_check_policy_name("web-1.2_x", &e), 0);
	assert_int_equal(oci_check_policy_name("../etc/x", &e), -EINVAL);
	assert_int_equal(oci_check_policy_name("/etc/x", &e), -EINVAL);
	assert_int_equal(oci_check_policy_name(".x", &e), -EINVAL);
	assert_int_equal(oci_check_policy_name("a b", &e), -EINVAL);
}

/* What a container's configuration chooses must be meant for that. */
static void test_selectable(void **state)
{
	cleanup_free struct warder_image *img = calloc(1, sizeof(*img));
	struct warder_error e = { "" };

	(void)state;
	assert_non_null(img);
	assert_int_equal(oci_check_selectable(img, "web", &e), -EPERM);
	assert_non_null(strstr(e.text, "does not say `selectable: true`"));
	img->h.settings = WARDER_SETTING_SELECTABLE;
	assert_int_equal(oci_check_selectable(img, "web", &e), 0);
}

/* ---------------------------------------------------------------------------- filter */

static void test_filter(void **state)
{
	struct sock_filter program[OVERRIDE_FILTER_MAX];
	struct seccomp_data d = { .arch = AUDIT_ARCH_X86_64 };
	static const int asked[] = { SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_move_mount,
				     SYS_fspick, SYS_mount_setattr };
	uint32_t action = 0;
	size_t len = 0;

	(void)state;
	assert_int_equal(override_filter_build(OVERRIDE_FILTER_MOUNT, program, OVERRIDE_FILTER_MAX, &len), 0);
	for (int arch = 0; arch < 2; arch++) {
		d.arch = arch ? AUDIT_ARCH_I386 : AUDIT_ARCH_X86_64;
		for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
			d.nr = asked[i];
			assert_int_equal(filter_run(program, len, &d, &action), 0);
			assert_int_equal(action & SECCOMP_RET_ACTION_FULL, SECCOMP_RET_USER_NOTIF);
		}
		d.nr = SYS_open_tree;
		d.args[2] = OPEN_TREE_CLOEXEC;
		assert_int_equal(filter_run(program, len, &d, &action), 0);
		assert_int_equal(action, SECCOMP_RET_ALLOW);
		d.args[2] |= OPEN_TREE_CLONE;
		assert_int_equal(filter_run(program, len, &d, &action), 0);
		assert_int_equal(action & SECCOMP_RET_ACTION_FULL, SECCOMP_RET_USER_NOTIF);
		for (d.nr = 0; d.nr < 428; d.nr++) {
			assert_int_equal(filter_run(program, len, &d, &action), 0);
			assert_int_equal(action, SECCOMP_RET_ALLOW);
		}
	}
	/* x32, and what no kernel has yet. */
	d.arch = AUDIT_ARCH_X86_64;
	d.nr = SYS_fsopen | 0x40000000;
	assert_int_equal(filter_run(program, len, &d, &action), 0);
	assert_int_equal(action, SECCOMP_RET_ALLOW);
	d.nr = 100000;
	assert_int_equal(filter_run(program, len, &d, &action), 0);
	assert_int_equal(action, SECCOMP_RET_ALLOW);
}

/* The two operations of keyctl(2), whatever lies in the upper half of the register, and nothing else. */
static void test_filter_keys(void **state)
{
	struct sock_filter program[OVERRIDE_FILTER_MAX];
	uint32_t action = 0;
	size_t len = 0;

	(void)state;
	assert_int_equal(override_filter_build(OVERRIDE_FILTER_KEYS, program, OVERRIDE_FILTER_MAX, &len), 0);
	for (int arch = 0; arch < 2; arch++) {
		struct seccomp_data d = { .arch = arch ? AUDIT_ARCH_I386 : AUDIT_ARCH_X86_64 };

		for (d.nr = 0; d.nr < 500; d.nr++) {
			for (unsigned op = 0; op < 40; op++) {
				int asked = d.nr == (arch ? 288 : SYS_keyctl) && (op == 1 || op == 18);

				d.args[0] = op | (op % 2 && !arch ? 0xff00000000ull : 0);
				assert_int_equal(filter_run(program, len, &d, &action), 0);
				assert_int_equal(action & SECCOMP_RET_ACTION_FULL,
						 asked ? SECCOMP_RET_USER_NOTIF : SECCOMP_RET_ALLOW);
			}
		}
	}
	assert_int_equal(override_filter_build(OVERRIDE_FILTER_KEYS | OVERRIDE_FILTER_MOUNT, program,
					       OVERRIDE_FILTER_MAX, &len), 0);
}

static struct warder_image *compile(const char *text)
{
	struct policy_diags diags = { 0 };
	struct warder_image *img = NULL;
	struct policy *p = NULL;

	if (policy_parse("test", text, strlen(text), NULL, &p, &diags) ||
	    policy_compile(p, &img, &diags))
		policy_diags_print(&diags, stderr);
	policy_free(p);
	policy_diags_done(&diags);
	return img;
}

static void test_needed(void **state)
{
	static const struct {
		const char *rules;
		int needed;
	} cases[] = {
		{ "{on: mount, type: tmpfs, do: perform}", 1 },
		{ "{on: mount, type: tmpfs, do: deny}", 1 },
		{ "{on: mount, type: tmpfs, do: perform, way: notify}", 1 },
		{ "{on: mount, type: tmpfs, do: perform, way: handoff}", 0 },
		{ "{on: mount, bind: /srv, target: /a, do: perform}", 1 },
		{ "{on: move, source: /a, target: /b, do: perform}", 1 },
		{ "{on: umount, target: /a, do: perform}", 0 },
		{ "{on: sethostname, do: perform}", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[256];
		struct warder_image *img;

		snprintf(text, sizeof(text), "policy: t\noverride: [%s]\n", cases[i].rules);
		img = compile(text);
		assert_non_null(img);
		assert_int_equal(override_needs_filter(img), cases[i].needed);
		free(img);
	}
}

/* -------------------------------------------------------------------------- the agent */

static char dir[64], sock[96];
static pid_t agent;

static struct warder_image *find(const char *name)
{
	return strcmp(name, "web") ? NULL :
	       compile("policy: web\nselectable: true\n"
		       "override:\n"
		       "  - {on: mount, type: tmpfs, target: /tmp/scratch/**, "
		       "options: {size: '<=8M'}, do: perform}\n"
		       "  - {on: umount, target: /tmp/scratch/**, do: perform}\n");
}

static int setup(void **state)
{
	struct oci_agent_options options = { .socket = sock, .find = find };
	struct warder_error e = { "" };
	char log[96];

	(void)state;
	strcpy(dir, "/tmp/warder-oci.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(sock, sizeof(sock), "%s/agent.sock", dir);
	snprintf(log, sizeof(log), "%s/log", dir);
	agent = fork();
	if (!agent) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		freopen(log, "w", stdout);
		freopen(log, "a", stderr);
		_exit(oci_agent_run(&options, &e) ? 1 : 0);
	}
	for (int i = 0; i < 1000 && access(sock, F_OK); i++)
		usleep(10000);
	usleep(300000); /* it listens before it is ready, and serves when it is */
	return access(sock, F_OK);
}

static int said(const char *what)
{
	char log[96], text[65536];
	size_t n;
	FILE *f;

	snprintf(log, sizeof(log), "%s/log", dir);
	for (int i = 0; i < 500; i++) {
		f = fopen(log, "r");
		n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
		if (f)
			fclose(f);
		text[n] = '\0';
		if (strstr(text, what))
			return 1;
		usleep(10000);
	}
	fprintf(stderr, "it said:\n%s", text);
	return 0;
}

static int teardown(void **state)
{
	char command[128];
	int status;

	(void)state;
	kill(agent, SIGTERM);
	waitpid(agent, &status, 0);
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		fprintf(stderr, "the agent ended with %#x\n", status);
		said("nothing");
		return -1;
	}
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static int dial(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, sock);
	return connect(fd, (struct sockaddr *)&addr, sizeof(addr)) ? -1 : fd;
}

static int post(int fd, const char *text, size_t len, const int *fds, size_t count)
{
	union {
		struct cmsghdr h;
		char b[CMSG_SPACE(32 * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = (char *)(uintptr_t)text, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (count) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.h.cmsg_level = SOL_SOCKET;
		control.h.cmsg_type = SCM_RIGHTS;
		control.h.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.h), fds, count * sizeof(int));
	}
	return sendmsg(fd, &msg, MSG_NOSIGNAL) == (ssize_t)len ? 0 : -1;
}

/* Has the agent hung up? */
static int hung_up(int fd)
{
	char byte;

	return recv(fd, &byte, 1, 0) <= 0;
}

static struct shared {
	volatile int listener, go;
} *shared;

static int new_mount(const char *target, const char *size)
{
	int fs = fsopen("tmpfs", FSOPEN_CLOEXEC), mnt;

	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "size", size, 0) ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return errno;
	mnt = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	if (mnt < 0 || move_mount(mnt, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH))
		return errno;
	return 0;
}

/* A container's process: by the filter of the first kind, or by one that asks about mount(2) too. */
static int container_main(int old_api)
{
	struct sock_filter old[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mount, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_umount2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = ARRAY_SIZE(old), .filter = old };
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };
	struct warder_error e = { "" };
	struct stat st;
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return 100;
	mkdir("/tmp/scratch", 0755);
	mkdir("/tmp/other", 0755);
	fd = old_api ? (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
				    SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog) :
		       override_filter_install(OVERRIDE_FILTER_MOUNT, &e);
	if (fd < 0)
		return 101;
	shared->listener = fd;
	while (!shared->go)
		usleep(1000);
	close(fd);
	if (syscall(SYS_capset, &h, none))
		return 102;
	mkdir("/tmp/scratch/a", 0755);
	if (old_api) {
		if (mount("none", "/tmp/scratch/a", "tmpfs", 0, "size=1M"))
			return errno;
		if (!mount("none", "/tmp/other", "tmpfs", 0, "size=1M") || errno != EPERM)
			return 103;
		if (!mount("none", "/tmp/scratch/a", "proc", 0, NULL) || errno != EPERM)
			return 104;
		if (!mount("none", "/tmp/none", "tmpfs", 0, NULL) || errno != ENOENT)
			return 105;
		if (stat("/tmp/scratch/a", &st) || !(st.st_mode & S_ISVTX))
			return 106;
		if (umount2("/tmp/scratch/a", 0))
			return 107;
		return 0;
	}
	if (new_mount("/tmp/scratch/a", "4M"))
		return 110;
	if (new_mount("/tmp/other", "4M") != EPERM)
		return 111;
	if (new_mount("/tmp/scratch/a", "4G") != EPERM)
		return 112;
	/* The root of a tmpfs has the sticky bit, the folder had not. */
	if (stat("/tmp/scratch/a", &st) || !(st.st_mode & S_ISVTX))
		return 113;
	return 0;
}

static int contained(int old_api, const char *id, const char *text)
{
	char state[1024];
	int pidfd, fd, at = dial(), status;
	pid_t pid;

	assert_true(at >= 0);
	shared->listener = shared->go = 0;
	pid = fork();
	if (!pid)
		_exit(container_main(old_api));
	for (int i = 0; i < 5000 && !shared->listener; i++)
		usleep(1000);
	assert_true(shared->listener > 0);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, shared->listener, 0);
	assert_true(fd >= 0);
	close(pidfd);
	if (!text) {
		snprintf(state, sizeof(state), STATE, pid, "web", id, pid);
		text = state;
	}
	/* In two parts, as it may be; the descriptor comes with the first. */
	assert_int_equal(post(at, text, 10, &fd, 1), 0);
	usleep(20000);
	assert_int_equal(post(at, text + 10, strlen(text) - 10, NULL, 0), 0);
	close(fd);
	hung_up(at);
	close(at);
	shared->go = 1;
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static void test_new_api(void **state)
{
	(void)state;
	assert_int_equal(contained(0, "first", NULL), 0);
	assert_true(said("/tmp/scratch/a"));
	assert_true(said("does not allow the target /tmp/other"));
	assert_true(said("bounds option size"));
}

static void test_old_api(void **state)
{
	(void)state;
	assert_int_equal(contained(1, "second", NULL), 0);
	/* One container has many filters: each command that is run in it brings one. */
	assert_int_equal(contained(1, "second", NULL), 0);
}

static void test_agent_refuses(void **state)
{
	static char huge[OCI_MESSAGE_MAX + 10];
	char text[512];
	int fds[OCI_FDS_MAX + 1], null = open("/dev/null", O_RDONLY), at;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = null;
	snprintf(text, sizeof(text), STATE, getpid(), "web", "x", getpid());
	at = dial();
	assert_int_equal(post(at, text, strlen(text), &null, 1), 0);
	assert_true(hung_up(at));
	close(at);
	assert_true(said("no listener of a seccomp filter"));
	at = dial();
	assert_int_equal(post(at, text, strlen(text), fds, ARRAY_SIZE(fds)), 0);
	assert_true(hung_up(at));
	close(at);
	assert_true(said("more descriptors came"));
	at = dial();
	assert_int_equal(post(at, text, 10, NULL, 0), 0);
	usleep(20000);
	assert_int_equal(post(at, text + 10, strlen(text) - 10, &null, 1), 0);
	assert_true(hung_up(at));
	close(at);
	at = dial();
	assert_int_equal(post(at, "{nonsense", 9, NULL, 0), 0);
	shutdown(at, SHUT_WR);
	assert_true(hung_up(at));
	close(at);
	memset(huge, ' ', sizeof(huge));
	at = dial();
	post(at, huge, OCI_MESSAGE_MAX, NULL, 0);
	assert_true(hung_up(at));
	close(at);
	assert_true(said("longer than"));
	/* Nothing of all this hinders the next. Of a policy that there is not nobody answers. */
	snprintf(text, sizeof(text), STATE, getpid(), "unknown", "x", getpid());
	assert_int_equal(contained(1, "third", text), ENOSYS);
	assert_true(said("policy unknown cannot be used"));
	snprintf(text, sizeof(text), STATE, getpid(), "../web", "x", getpid());
	assert_int_equal(contained(1, "third", text), ENOSYS);
	assert_true(said("is no name of a policy"));
	assert_int_equal(contained(1, "third", NULL), 0);
	close(null);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_state),
		cmocka_unit_test(test_selectable),
		cmocka_unit_test(test_state_refused),
		cmocka_unit_test(test_names),	cmocka_unit_test(test_filter), cmocka_unit_test(test_filter_keys),
		cmocka_unit_test(test_needed),
	};
	const struct CMUnitTest agents[] = {
		cmocka_unit_test(test_new_api),
		cmocka_unit_test(test_old_api),
		cmocka_unit_test(test_agent_refuses),
	};
	int failed = cmocka_run_group_tests_name("state", tests, NULL, NULL);

	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return failed + cmocka_run_group_tests_name("agent", agents, setup, teardown);
}
