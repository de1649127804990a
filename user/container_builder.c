// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The builder and init, up to exec. Single-threaded, in a process that holds nothing of the
 * supervisor's memory. Every failure is one message to the supervisor and an exit.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "container.h"
#include "control.h"
#include "keeper.h"
#include "override.h"

/* As placed by container_launch(). */
enum { FD_SOCK = 3, FD_CONFIG, FD_CGROUP, FD_PIDFD };
/* Low numbers stay free for what the command inherits. */
#define FD_PRIVATE 16

void builder_fail(struct builder *b, int status, const char *format, ...)
{
	struct container_msg m = { .type = CONTAINER_MSG_FAIL, .value = status };
	va_list args;

	va_start(args, format);
	vsnprintf(m.text, sizeof(m.text), format, args);
	va_end(args);
	container_msg_send(b->sock, &m, -1);
	_exit(status);
}

void builder_say(struct builder *b, enum container_msg_type type, int value, int fd,
		 const char *text)
{
	struct container_msg m = { .type = type, .value = value };

	if (text)
		snprintf(m.text, sizeof(m.text), "%s", text);
	/* The supervisor is gone: nobody will ever release us. */
	if (container_msg_send(b->sock, &m, fd))
		_exit(EXIT_FAILURE);
}

static pid_t builder_clone(struct builder *b, uint64_t flags, int *pidfd)
{
	struct clone_args args = {
		.flags = flags | CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)pidfd,
		/* CLONE_PARENT takes the builder's own exit signal, SIGCHLD. */
		.exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD,
	};

	if (b->cgroup_fd >= 0 && (flags & CLONE_PARENT)) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)b->cgroup_fd;
	}
	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static void builder_write_map(struct builder *b, pid_t pid, const char *file)
{
	cleanup_close int fd = -1;
	char path[64], text[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	snprintf(text, sizeof(text), "0 %u %u\n", b->uid_base, CONTAINER_UIDS);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		builder_fail(b, 125, "cannot map users of the container to %u: %s", b->uid_base,
			     strerror(errno));
}

/* The user namespace exists before the root is built: idmapped mounts name it. A child that
 * only waits holds it until we have a descriptor. */
static void builder_make_userns(struct builder *b)
{
	char path[64];
	int pidfd;
	pid_t pid;

	pid = builder_clone(b, CLONE_NEWUSER, &pidfd);
	if (pid < 0)
		builder_fail(b, 125,
			     "cannot make a user namespace: %s (is user.max_user_namespaces 0?)",
			     strerror(errno));
	if (pid == 0) {
		for (;;)
			pause();
	}
	builder_write_map(b, pid, "uid_map");
	builder_write_map(b, pid, "gid_map");
	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	b->userns_fd = open(path, O_RDONLY | O_CLOEXEC);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(pidfd);
	if (b->userns_fd < 0)
		builder_fail(b, 125, "cannot open the user namespace: %s", strerror(errno));
}

static void builder_raise_lo(struct builder *b)
{
	cleanup_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq req = { .ifr_flags = IFF_UP };

	if (fd < 0 && errno == EAFNOSUPPORT)
		return; /* a kernel without IPv4 has no 127.0.0.1 to raise */
	memcpy(req.ifr_name, "lo", 3);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &req))
		builder_fail(b, 125, "cannot raise the loopback interface: %s", strerror(errno));
}

/* ------------------------------------------------------------ what init reports */

/* mountinfo writes space, tab, newline and backslash in octal. */
static void mountinfo_unescape(char *s)
{
	char *out = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
		    s[3] >= '0' && s[3] <= '7') {
			*out++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 3;
		} else {
			*out++ = *s;
		}
	}
	*out = '\0';
}

/* Only mounts that a path leads to: what lies hidden below another has no name. */
void builder_report_mounts(struct builder *b, FILE *f)
{
	struct rlimit limit;
	cleanup_free char *line = NULL;
	size_t size = 0;
	int count = 0;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < CONTAINER_MOUNTS_MAX + 64) {
		limit.rlim_cur = CONTAINER_MOUNTS_MAX + 64;
		if (limit.rlim_max < limit.rlim_cur)
			limit.rlim_max = limit.rlim_cur;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (!f)
		builder_fail(b, 125, "cannot read the container's mounts: %s", strerror(errno));
	while (getline(&line, &size, f) > 0) {
		char where[PATH_MAX];
		unsigned long long id;
		struct statx st;
		int fd;

		if (sscanf(line, "%llu %*s %*s %*s %4095s", &id, where) != 2)
			continue;
		mountinfo_unescape(where);
		fd = open(where, O_PATH | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) ||
		    !(st.stx_mask & STATX_MNT_ID) || st.stx_mnt_id != id) {
			if (fd >= 0)
				close(fd);
			continue;
		}
		if (++count > CONTAINER_MOUNTS_MAX)
			builder_fail(b, 125, "the container has more than %d mount points",
				     CONTAINER_MOUNTS_MAX);
		if (strlen(where) >= WARDER_PREFIX_SIZE)
			builder_fail(b, 125, "mount point %.100s... is longer than %d bytes", where,
				     WARDER_PREFIX_SIZE - 1);
		/* Kept open until exec: the supervisor reads it through our descriptor table. */
		builder_say(b, CONTAINER_MSG_MOUNT, fd, -1, where);
	}
	if (!count && !b->survey)
		builder_fail(b, 125, "no mount point of the container could be read");
}

void builder_report_fd(struct builder *b, enum container_fd which, int fd)
{
	builder_say(b, CONTAINER_MSG_FD, (int)which, fd, NULL);
}

/* The folder is a tmpfs of ours (builder_make_root); without one there is only WARDER_FD. */
static void init_listen(struct builder *b)
{
	static const char path[] = CONTAINER_SOCKET_DIR "/" CONTAINER_SOCKET;
	cleanup_close int fd = -1;
	struct warder_error e;
	mode_t mask;

	if (access(CONTAINER_SOCKET_DIR, W_OK))
		return;
	mask = umask(0);
	fd = control_listen(path, 0666, &e);
	umask(mask);
	if (fd < 0)
		builder_fail(b, 125, "in the container: %s", e.text);
	builder_report_fd(b, CONTAINER_FD_LISTEN, fd);
}

static void init_make_terminal(struct builder *b)
{
	cleanup_close int master = -1, slave = -1;
	int zero = 0;

	master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (master < 0 || ioctl(master, TIOCSPTLCK, &zero))
		builder_fail(b, 125, "cannot make a terminal: %s", strerror(errno));
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0 || ioctl(slave, TIOCSCTTY, 0))
		builder_fail(b, 125, "cannot make a terminal: %s", strerror(errno));
	if (fchown(slave, b->uid, (gid_t)-1))
		builder_fail(b, 125, "cannot give the terminal to uid %u: %s", b->uid,
			     strerror(errno));
	builder_report_fd(b, CONTAINER_FD_PTY, master);
	for (int i = 0; i < 3; i++)
		dup2(slave, i);
}

/* Waits for the supervisor: rings to join, then the release. The end of the socket is its
 * death, and an untagged process must not go on. */
void builder_wait(struct builder *b)
{
	struct container_msg m;
	int fd;

	for (;;) {
		if (container_msg_recv(b->sock, &m, &fd, 0))
			_exit(EXIT_FAILURE);
		if (fd >= 0)
			close(fd);
		if (m.type == CONTAINER_MSG_GO)
			return;
		if (m.type == CONTAINER_MSG_JOIN)
			builder_say(b, CONTAINER_MSG_JOINED, keyring_child_join(m.cid, &m.rings),
				    -1, NULL);
	}
}

static void init_report_mounts(struct builder *b)
{
	cleanup_fclose FILE *f = fopen("/proc/self/mountinfo", "re");

	builder_report_mounts(b, f);
}

static void init_filter(struct builder *b)
{
	struct warder_error e = { "" };
	int fd = override_filter_install(b->notify, &e);

	if (fd < 0)
		builder_fail(b, 125, "%s", e.text);
	builder_report_fd(b, CONTAINER_FD_FILTER, fd);
	close(fd);
}

static void init_main(struct builder *b)
{
	int root, pair[2];

	if (b->spec->userns &&
	    (setresgid(0, 0, 0) || setresuid(0, 0, 0)))
		builder_fail(b, 125, "cannot become the container's root: %s", strerror(errno));
	prctl(PR_SET_DUMPABLE, 0);
	setsid();
	if (!b->enter) {
		/* After CLONE_INTO_CGROUP: the namespace's root is where we are now. */
		if (unshare(CLONE_NEWCGROUP))
			builder_fail(b, 125, "cannot make a cgroup namespace: %s",
				     strerror(errno));
		if (sethostname(b->spec->hostname ? b->spec->hostname : b->name,
				strlen(b->spec->hostname ? b->spec->hostname : b->name)))
			builder_fail(b, 125, "cannot set the hostname: %s", strerror(errno));
		if (!b->spec->net_host)
			builder_raise_lo(b);
		builder_enter_root(b);
	}
	umask(022);
	builder_find_user(b);
	if (!b->enter) {
		root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (root < 0)
			builder_fail(b, 125, "cannot open the root: %s", strerror(errno));
		builder_report_fd(b, CONTAINER_FD_ROOT, root);
		close(root);
		init_listen(b);
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
			builder_fail(b, 125, "cannot make a socket: %s", strerror(errno));
		builder_report_fd(b, CONTAINER_FD_SELF, pair[0]);
		close(pair[0]);
		b->self_fd = pair[1];
	}
	if (b->spec->tty)
		init_make_terminal(b);
	if (!b->enter)
		init_report_mounts(b);
	/* Needs CAP_SYS_ADMIN. Of what init itself does from here on, nothing waits for it. */
	if (b->notify)
		init_filter(b);
	/* Before the tag: what this needs (CAP_SETPCAP, CAP_SETUID) is warder's to use, and the
	 * container's policy may refuse it. */
	builder_drop_privileges(b);
	builder_say(b, CONTAINER_MSG_READY, 0, -1, NULL);
	builder_wait(b);
	builder_exec(b);
}

/* ---------------------------------------------------------------------- builder */

static void builder_read_config(struct builder *b)
{
	static const char *const keys[] = { "name", "cid", "uid_base", "enter", "stage", "spec",
					    "socket_mntns", "foreign", "survey", "filters",
					    "notify", NULL };
	static char text[2 * CONTROL_MESSAGE_MAX];
	struct json_object *o, *spec = NULL;
	struct warder_error e = { "" };
	uint64_t base = 0, notify = 0;
	size_t len = 0;
	ssize_t n;

	while ((n = read(FD_CONFIG, text + len, sizeof(text) - len)) > 0)
		len += (size_t)n;
	/* Stays allocated: name and stage point into it. */
	if (control_parse(text, len, &o, &e) || control_check_keys(o, keys, &e) ||
	    control_get_string(o, "name", &b->name, &e) != 1 ||
	    control_get_u64(o, "cid", UINT64_MAX, &b->cid, &e) != 1 ||
	    control_get_u64(o, "uid_base", UINT32_MAX, &base, &e) != 1 ||
	    control_get_bool(o, "enter", &b->enter, &e) != 1 ||
	    control_get_string(o, "stage", &b->stage, &e) != 1 ||
	    control_get_u64(o, "socket_mntns", UINT32_MAX, &b->socket_mntns, &e) != 1 ||
	    control_get_u64(o, "foreign", INT32_MAX, &b->foreign, &e) != 1 ||
	    control_get_bool(o, "survey", &b->survey, &e) != 1 ||
	    control_get_bool(o, "filters", &b->filters, &e) != 1 ||
	    control_get_u64(o, "notify", OVERRIDE_FILTER_MOUNT | OVERRIDE_FILTER_KEYS, &notify, &e) != 1 ||
	    (!json_object_object_get_ex(o, "spec", &spec) && !b->socket_mntns && !b->survey) ||
	    (spec && container_spec_from_json(spec, &b->spec, &e)))
		builder_fail(b, 125, "the launch configuration is damaged: %s", e.text);
	b->uid_base = (uint32_t)base;
	b->notify = (int)notify;
	snprintf(b->mask, sizeof(b->mask), "%s.mask", b->stage);
}

static int builder_move_fd(int fd)
{
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, FD_PRIVATE);

	close(fd);
	if (moved < 0)
		_exit(EXIT_FAILURE);
	return moved;
}

static int builder_is_dir(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Starts init and says who it is. */
static void builder_start_init(struct builder *b, uint64_t flags)
{
	int pidfd = -1;
	pid_t pid;

	/* The pid namespace's init has no handler for it: unblocked, default. */
	pid = builder_clone(b, flags | CLONE_PARENT, &pidfd);
	if (pid < 0)
		builder_fail(b, 125, "cannot start the container's first process: %s%s",
			     strerror(errno),
			     errno == EAGAIN ? " (is --pids-limit reached?)" : "");
	if (pid == 0)
		init_main(b);
	builder_say(b, CONTAINER_MSG_PID, pid, pidfd, NULL);
	_exit(0);
}

static void builder_join(struct builder *b)
{
	int flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP;

	if (!b->spec->net_host)
		flags |= CLONE_NEWNET;
	if (b->spec->userns)
		flags |= CLONE_NEWUSER;
	if (b->foreign)
		builder_enter_foreign(b, flags, NULL);
	else if (setns(b->pidfd, flags))
		builder_fail(b, 125, "cannot join the namespaces of %s: %s", b->name,
			     strerror(errno));
	builder_start_init(b, 0);
}

static void builder_make(struct builder *b)
{
	uint64_t flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC;

	if (b->spec->userns)
		builder_make_userns(b);
	if (unshare(CLONE_NEWNS) || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		builder_fail(b, 125, "cannot make a mount namespace: %s", strerror(errno));
	builder_make_root(b);
	if (b->userns_fd >= 0 && setns(b->userns_fd, CLONE_NEWUSER))
		builder_fail(b, 125, "cannot join the container's user namespace: %s",
			     strerror(errno));
	if (!b->spec->net_host)
		flags |= CLONE_NEWNET;
	builder_start_init(b, flags);
}

void container_builder_main(int argc, char **argv)
{
	struct builder b = { .sock = FD_SOCK, .userns_fd = -1, .self_fd = -1 };
	cleanup_close int score = -1;

	keeper_main(argc, argv);
	if (argc != 1 || strcmp(argv[0], "warder-init"))
		return;
	prctl(PR_SET_DUMPABLE, 0);
	umask(0);
	b.sock = builder_move_fd(FD_SOCK);
	builder_read_config(&b);
	close(FD_CONFIG);
	b.cgroup_fd = builder_move_fd(FD_CGROUP);
	if (!builder_is_dir(b.cgroup_fd))
		b.cgroup_fd = -1;
	b.pidfd = builder_move_fd(FD_PIDFD);
	/* The supervisor is protected from the out-of-memory killer, containers are not. */
	score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (score >= 0 && write(score, "0", 1) < 0)
		builder_fail(&b, 125, "cannot reset oom_score_adj: %s", strerror(errno));
	if (b.socket_mntns)
		builder_remake_socket(&b);
	if (b.survey)
		builder_survey(&b);
	if (b.enter)
		builder_join(&b);
	else
		builder_make(&b);
	_exit(0);
}
