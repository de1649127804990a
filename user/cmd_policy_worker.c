// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The program that `policy test --live` runs inside its container: one process for each test, made
 * while the policy still allows everything, waits for its turn and then makes one real system call
 * under the policy. Nothing that the policy could refuse is needed from then on: descriptors are
 * open, processes exist, identities are taken.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/fanotify.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "cleanup.h"
#include "cmd_policy.h"

/* What a test makes before the policy holds. */
struct stage {
	const struct policy_test *test;
	int sock;    /* network */
	pid_t other; /* a process of the same container and profile */
	int memfd;   /* a program without a name */
	int shm;
	int fd;      /* of the file, where an access needs an open one; inotify's */
};

#define DONE 0
#define SKIP 1

/* The result of a call as an errno. */
static int as_errno(long result)
{
	return result < 0 ? errno : 0;
}

/* ----------------------------------------------------------------------- file */

static int try_open(const char *path, int flags)
{
	int fd = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0644);
	int err = as_errno(fd);

	if (fd >= 0)
		close(fd);
	return err;
}

static int try_map(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err;
	void *p;

	if (fd < 0)
		return errno;
	p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	err = p == MAP_FAILED ? errno : 0;
	close(fd);
	return err;
}

/* One access. A set of them is done one after the other, and the first refusal counts. */
static int do_file_one(struct stage *s, const char *path, __u32 access, const char **skip)
{
	static const struct timespec now[2] = { { .tv_nsec = UTIME_NOW }, { .tv_nsec = UTIME_NOW } };
	int bytes;

	switch (access) {
	case WARDER_ACC_READ:
		return try_open(path, O_RDONLY);
	case WARDER_ACC_WRITE:
		return try_open(path, O_WRONLY);
	case WARDER_ACC_APPEND:
		return try_open(path, O_WRONLY | O_APPEND);
	case WARDER_ACC_CREATE:
		return as_errno(mkdir(path, 0755));
	case WARDER_ACC_DELETE:
		return as_errno(unlink(path));
	case WARDER_ACC_RENAME:
		return as_errno(rename(path, path)); /* asks for both ends and changes nothing */
	case WARDER_ACC_SYMLINK:
		return as_errno(symlink("to", path));
	case WARDER_ACC_CHMOD:
		return as_errno(chmod(path, 0666));
	case WARDER_ACC_CHOWN:
		return as_errno(chown(path, geteuid(), getegid()));
	case WARDER_ACC_TRUNCATE:
		return as_errno(truncate(path, 0));
	case WARDER_ACC_SETATTR:
		return as_errno(utimensat(AT_FDCWD, path, now, 0));
	case WARDER_ACC_XATTR:
		return as_errno(setxattr(path, "user.warder", "1", 1, 0));
	case WARDER_ACC_MAP_EXEC:
		return try_map(path);
	case WARDER_ACC_WATCH:
		return as_errno(inotify_add_watch(s->fd, path, IN_MODIFY));
	case WARDER_ACC_LOCK:
		return as_errno(flock(s->fd, LOCK_SH | LOCK_NB));
	case WARDER_ACC_IOCTL:
		return as_errno(ioctl(s->fd, FIONREAD, &bytes));
	case WARDER_ACC_MKNOD:
		return as_errno(mknod(path, S_IFCHR | 0600, makedev(1, 3)));
	default:
		*skip = "this access needs a second name";
		return 0;
	}
}

static int do_file(struct stage *s, const char **skip)
{
	const struct policy_request *r = &s->test->request;

	if ((r->access & (WARDER_ACC_READ | WARDER_ACC_WRITE)) ==
	    (WARDER_ACC_READ | WARDER_ACC_WRITE)) {
		int err = try_open(r->path, O_RDWR);

		if (err)
			return err;
	}
	for (unsigned i = 0; i < WARDER_ACC_BITS && !*skip; i++) {
		int err = r->access >> i & 1 ? do_file_one(s, r->path, 1u << i, skip) : 0;

		if (err)
			return err;
	}
	return 0;
}

/* An empty program: refused, or executed as far as the kernel can tell that it is none. */
static int do_exec(const char *path)
{
	char *const argv[] = { (char *)(uintptr_t)path, NULL };

	execve(path, argv, argv + 1);
	return errno == ENOEXEC ? 0 : errno;
}

/* ----------------------------------------------------------------- capability */

static int do_capability(__u32 cap, const char **skip)
{
	struct rlimit limit;

	switch (cap) {
	case CAP_SYS_CHROOT:
		return as_errno(chroot("/"));
	case CAP_SETUID:
		return as_errno(setresuid(12345, 12345, 12345));
	case CAP_SETGID:
		return as_errno(setresgid(12345, 12345, 12345));
	case CAP_CHOWN:
		return as_errno(chown("/.warder-live/mine", 12345, 12345));
	case CAP_FOWNER:
		return as_errno(chmod("/.warder-live/other", 0600));
	case CAP_SYS_NICE:
		return as_errno(setpriority(PRIO_PROCESS, 0, -1));
	case CAP_SYS_RESOURCE:
		getrlimit(RLIMIT_CORE, &limit);
		limit.rlim_max = limit.rlim_cur = 0;
		setrlimit(RLIMIT_CORE, &limit);
		limit.rlim_max = 4096;
		return as_errno(setrlimit(RLIMIT_CORE, &limit));
	case CAP_IPC_LOCK:
		limit.rlim_max = limit.rlim_cur = 0;
		setrlimit(RLIMIT_MEMLOCK, &limit);
		return as_errno(mlock(&limit, sizeof(limit)));
	case CAP_SETPCAP:
		return as_errno(prctl(PR_CAPBSET_DROP, CAP_WAKE_ALARM, 0, 0, 0));
	case CAP_SYS_TTY_CONFIG:
		return as_errno(syscall(SYS_vhangup));
	default:
		*skip = "no harmless system call asks for this capability alone";
		return 0;
	}
}

/* -------------------------------------------------------------------- network */

static socklen_t fill_address(const struct policy_request *r, struct sockaddr_storage *a)
{
	struct sockaddr_in6 *in6 = (void *)a;
	struct sockaddr_in *in = (void *)a;
	struct sockaddr_un *un = (void *)a;
	size_t len;

	memset(a, 0, sizeof(*a));
	a->ss_family = (sa_family_t)r->address.family;
	switch (r->address.family) {
	case AF_INET:
		in->sin_port = htons(r->address.port);
		memcpy(&in->sin_addr, r->address.addr + 12, 4);
		return sizeof(*in);
	case AF_INET6:
		in6->sin6_port = htons(r->address.port);
		memcpy(&in6->sin6_addr, r->address.addr, 16);
		return sizeof(*in6);
	case AF_UNIX:
		len = r->path ? strlen(r->path) : 0;
		if (len >= sizeof(un->sun_path))
			return 0;
		memcpy(un->sun_path + (r->abstract != 0), r->path ? r->path : "", len);
		return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
	default:
		return 0;
	}
}

static int socket_type(const struct policy_request *r, int *ret_protocol)
{
	*ret_protocol = 0;
	if (r->address.families == WARDER_FAM_UNIX)
		return r->access & WARDER_NET_SEND ? SOCK_DGRAM : SOCK_STREAM;
	switch (r->address.protocols) {
	case WARDER_PROTO_TCP:
		return SOCK_STREAM;
	case WARDER_PROTO_UDP:
		return SOCK_DGRAM;
	case WARDER_PROTO_RAW:
		*ret_protocol = IPPROTO_ICMP;
		return SOCK_RAW;
	default:
		return -1;
	}
}

/* Before the policy: the socket, and for unix the one that is connected to. */
static void stage_network(struct stage *s)
{
	const struct policy_request *r = &s->test->request;
	struct sockaddr_storage a;
	socklen_t len = fill_address(r, &a);
	int protocol, type = socket_type(r, &protocol), fd;

	if (type < 0 || !len || r->access == WARDER_NET_CREATE)
		return;
	s->sock = socket(r->address.family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
	/* One of the host was made outside. */
	if (r->address.families == WARDER_FAM_UNIX && r->peer && r->peer != WARDER_PEER_HOST &&
	    (r->access & (WARDER_NET_CONNECT | WARDER_NET_SEND))) {
		fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
		if (fd >= 0 && !bind(fd, (void *)&a, len) && type == SOCK_STREAM)
			listen(fd, 8);
		/* Kept open until the process ends. */
	}
	if ((r->access & WARDER_NET_LISTEN) && !(r->access & WARDER_NET_BIND))
		bind(s->sock, (void *)&a, len);
}

static int do_network(struct stage *s, const char **skip)
{
	const struct policy_request *r = &s->test->request;
	struct sockaddr_storage a;
	socklen_t len = fill_address(r, &a);
	int protocol, type = socket_type(r, &protocol), err = 0;

	if (r->access & WARDER_NET_CREATE) {
		int fd = socket(r->address.family, type < 0 ? SOCK_RAW : type, protocol);

		return as_errno(fd);
	}
	if (r->peer > WARDER_PEER_CONTAINER && r->peer != WARDER_PEER_HOST) {
		*skip = "it takes a socket of another container";
		return 0;
	}
	if (r->abstract && (!r->peer || r->peer == WARDER_PEER_HOST) &&
	    (r->access & (WARDER_NET_CONNECT | WARDER_NET_SEND))) {
		*skip = "it takes a socket of the host in the container's network";
		return 0;
	}
	if (s->sock < 0 || !len) {
		*skip = "no socket of this kind can be made here";
		return 0;
	}
	if (r->access & WARDER_NET_ACCEPT) {
		*skip = "to accept takes a peer";
		return 0;
	}
	if (r->access & WARDER_NET_BIND)
		err = as_errno(bind(s->sock, (void *)&a, len));
	if (!err && (r->access & WARDER_NET_CONNECT))
		err = as_errno(connect(s->sock, (void *)&a, len));
	if (!err && (r->access & WARDER_NET_LISTEN))
		err = as_errno(listen(s->sock, 8));
	if (!err && (r->access & WARDER_NET_SEND))
		err = as_errno(sendto(s->sock, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL, (void *)&a, len));
	return err;
}

/* ------------------------------------------------------------------- switches */

static int do_memory(struct stage *s, const char **skip)
{
	char *const argv[] = { (char *)(uintptr_t)"x", NULL };
	void *p = MAP_FAILED;

	switch (s->test->request.access) {
	case WARDER_MEM_WRITE_EXEC:
		p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
		break;
	case WARDER_MEM_ANONYMOUS_EXEC:
		p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		break;
	case WARDER_MEM_FILELESS_EXEC:
		syscall(SYS_execveat, s->memfd, "", argv, argv + 1, AT_EMPTY_PATH);
		return errno == ENOEXEC ? 0 : errno;
	case WARDER_MEM_SHM_EXEC:
		p = shmat(s->shm, NULL, SHM_EXEC);
		break;
	default:
		*skip = "unknown switch";
		return 0;
	}
	return p == MAP_FAILED ? errno : 0;
}

static int do_namespace(__u32 which)
{
	static const int flags[WARDER_NS__MAX] = {
		[WARDER_NS_USER] = CLONE_NEWUSER, [WARDER_NS_MNT] = CLONE_NEWNS,
		[WARDER_NS_PID] = CLONE_NEWPID,	  [WARDER_NS_NET] = CLONE_NEWNET,
		[WARDER_NS_IPC] = CLONE_NEWIPC,	  [WARDER_NS_UTS] = CLONE_NEWUTS,
		[WARDER_NS_CGROUP] = CLONE_NEWCGROUP, [WARDER_NS_TIME] = 0x80,
	};

	return which < WARDER_NS__MAX ? as_errno(unshare(flags[which])) : EINVAL;
}

/* Calls that fail for another reason once they are allowed, or that change nothing. */
static int do_kernel(__u32 which, const char **skip)
{
	struct perf_event_attr perf = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(perf),
					.config = PERF_COUNT_SW_CPU_CLOCK };
	struct io_uring_params ring = { 0 };
	char name[65] = "";

	switch (which) {
	case WARDER_SURFACE_BPF:
		return as_errno(syscall(SYS_bpf, 9999, NULL, 0));
	case WARDER_SURFACE_MODULES:
		return as_errno(syscall(SYS_delete_module, "warder_no_such_module", 0));
	case WARDER_SURFACE_PERF:
		return as_errno(syscall(SYS_perf_event_open, &perf, 0, -1, -1, 0));
	case WARDER_SURFACE_SYSLOG:
		return as_errno(syscall(SYS_syslog, 10, NULL, 0));
	case WARDER_SURFACE_SWAP:
		return as_errno(syscall(SYS_swapoff, "/.warder-live/none"));
	case WARDER_SURFACE_IO_URING:
		return as_errno(syscall(SYS_io_uring_setup, 1, &ring));
	case WARDER_SURFACE_USERFAULTFD:
		return as_errno(syscall(SYS_userfaultfd, O_CLOEXEC));
	case WARDER_SURFACE_ACCT:
		return as_errno(syscall(SYS_acct, "/.warder-live/none"));
	case WARDER_SURFACE_RAWIO:
		return as_errno(ioperm(0x80, 1, 1));
	case WARDER_SURFACE_FANOTIFY:
		return as_errno(fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY));
	case WARDER_SURFACE_HOSTNAME:
		gethostname(name, sizeof(name) - 1);
		return as_errno(sethostname(name, strlen(name)));
	default:
		*skip = "no harmless system call reaches this surface";
		return 0;
	}
}

/* ---------------------------------------------------------------------- peers */

static int do_peer(struct stage *s, const char **skip)
{
	const struct policy_request *r = &s->test->request;
	struct iovec local = { .iov_base = s, .iov_len = 1 }, remote = { .iov_base = s, .iov_len = 1 };
	char byte;
	int err = 0;

	if (r->peer != WARDER_PEER_ANY && r->peer != WARDER_PEER_SAME) {
		*skip = "it takes a peer outside the container or its profile";
		return 0;
	}
	local.iov_base = &byte;
	if (r->class_ == WARDER_CLASS_SIGNAL)
		return as_errno(kill(s->other, (int)r->access));
	if (r->class_ == WARDER_CLASS_PTRACE) {
		if (r->access & WARDER_PTRACE_READ)
			err = as_errno(process_vm_readv(s->other, &local, 1, &remote, 1, 0));
		if (!err && (r->access & WARDER_PTRACE_TRACE))
			err = as_errno(ptrace(PTRACE_SEIZE, s->other, NULL, NULL));
		return err;
	}
	if (r->access == WARDER_IPC_SYSV)
		return shmat(s->shm, NULL, SHM_RDONLY) == (void *)-1 ? errno : 0;
	*skip = "it takes a peer that offers something";
	return 0;
}

/* ---------------------------------------------------------------------- mount */

static int do_mount(const struct policy_request *r, const char **skip)
{
	switch (r->access) {
	case WARDER_MNT_NEW:
		return as_errno(mount(r->source ? r->source : "none", r->path, r->fstype,
				      r->flags, r->options));
	case WARDER_MNT_BIND:
		return as_errno(mount(r->source ? r->source : r->path, r->path, NULL,
				      MS_BIND | r->flags, NULL));
	case WARDER_MNT_REMOUNT:
		return as_errno(mount(NULL, r->path, NULL, MS_REMOUNT | r->flags, r->options));
	case WARDER_MNT_PROPAGATION:
		return as_errno(mount(NULL, r->path, NULL,
				      r->flags ? r->flags : (unsigned long)MS_PRIVATE, NULL));
	case WARDER_MNT_UMOUNT:
		return as_errno(umount2(r->path, MNT_DETACH));
	default:
		*skip = "this operation takes a second mount";
		return 0;
	}
}

static int do_device(const struct policy_request *r)
{
	if (r->access & WARDER_DEV_MKNOD) {
		mode_t type = r->device_type == 0020000u ? S_IFCHR : S_IFBLK;

		return as_errno(mknod(r->path, type | 0600,
				      makedev(r->device_major, r->device_minor)));
	}
	return try_open(r->path, O_RDONLY);
}

/* ------------------------------------------------------------------------ one */

static int perform(struct stage *s, const char **skip)
{
	const struct policy_request *r = &s->test->request;

	if (s->test->profile && *s->test->profile) {
		*skip = "a profile is entered by executing a program";
		return 0;
	}
	if (s->test->userns != WARDER_BY_USERNS_CONTAINER) {
		*skip = "the caller would be in another user namespace";
		return 0;
	}
	switch (r->class_) {
	case WARDER_CLASS_FILE:
		return do_file(s, skip);
	case WARDER_CLASS_EXEC:
		return do_exec(r->path);
	case WARDER_CLASS_CAPABILITY:
		return do_capability(r->access, skip);
	case WARDER_CLASS_MOUNT:
		return do_mount(r, skip);
	case WARDER_CLASS_NETWORK:
		return do_network(s, skip);
	case WARDER_CLASS_MEMORY:
		return do_memory(s, skip);
	case WARDER_CLASS_NAMESPACE:
		return do_namespace(r->access);
	case WARDER_CLASS_KERNEL:
		return do_kernel(r->access, skip);
	case WARDER_CLASS_DEVICE:
		if (r->path)
			return do_device(r);
		*skip = "the test names no path for the node";
		return 0;
	case WARDER_CLASS_PTRACE:
	case WARDER_CLASS_SIGNAL:
	case WARDER_CLASS_IPC:
		return do_peer(s, skip);
	default:
		*skip = "nothing performs a request of this class";
		return 0;
	}
}

static void drop_capability(int cap)
{
	cap_t caps = cap_get_proc();
	cap_value_t value = cap;

	if (caps && !cap_set_flag(caps, CAP_EFFECTIVE, 1, &value, CAP_CLEAR) &&
	    !cap_set_flag(caps, CAP_PERMITTED, 1, &value, CAP_CLEAR))
		cap_set_proc(caps);
	cap_free(caps);
}

static void stage_other(struct stage *s)
{
	int sync[2];
	char byte;

	if (pipe(sync))
		return;
	s->other = fork();
	if (!s->other) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* A signal that would be its end is no trouble, and neither is its shadow. */
		signal(SIGTERM, SIG_DFL);
		close(sync[0]);
		close(sync[1]);
		for (;;)
			pause();
	}
	close(sync[1]);
	if (read(sync[0], &byte, 1) < 0) /* its end of the pipe is closed: it runs */
		perror("read");
	close(sync[0]);
}

static void stage_all(struct stage *s)
{
	const struct policy_request *r = &s->test->request;

	s->sock = s->memfd = s->shm = s->fd = -1;
	if (r->class_ == WARDER_CLASS_NETWORK)
		stage_network(s);
	if (r->class_ == WARDER_CLASS_PTRACE || r->class_ == WARDER_CLASS_SIGNAL)
		stage_other(s);
	if (r->class_ == WARDER_CLASS_MEMORY || r->class_ == WARDER_CLASS_IPC) {
		s->memfd = memfd_create("x", 0);
		if (s->memfd >= 0)
			fchmod(s->memfd, 0755);
		s->shm = shmget(IPC_PRIVATE, 4096, 0700 | IPC_CREAT);
	}
	if (r->class_ == WARDER_CLASS_FILE && (r->access & WARDER_ACC_WATCH))
		s->fd = inotify_init1(IN_CLOEXEC);
	else if (r->class_ == WARDER_CLASS_FILE && (r->access & (WARDER_ACC_LOCK | WARDER_ACC_IOCTL)))
		s->fd = open(r->path, O_RDONLY | O_CLOEXEC);
	if (s->test->uid) {
		prctl(PR_SET_KEEPCAPS, 0);
		if (setgroups(0, NULL) || setresgid(s->test->uid, s->test->uid, s->test->uid) ||
		    setresuid(s->test->uid, s->test->uid, s->test->uid))
			_exit(3);
	} else if (r->class_ == WARDER_CLASS_MOUNT && s->test->override) {
		drop_capability(CAP_SYS_ADMIN);
	}
}

/* ----------------------------------------------------------------------- main */

struct waiting {
	pid_t pid;
	int go; /* one byte, and it begins */
};

static void child_run(const struct policy_test *t, size_t index, int go, int staged)
{
	struct stage s = { .test = t };
	const char *skip = NULL;
	char byte = 0, line[200];
	int err, len;

	stage_all(&s);
	if (write(staged, &byte, 1) != 1 || read(go, &byte, 1) != 1)
		_exit(3);
	errno = 0;
	err = perform(&s, &skip);
	len = snprintf(line, sizeof(line), "%zu %d %d %s\n", index, skip ? SKIP : DONE, err,
		       skip ? skip : "");
	if (write(STDOUT_FILENO, line, (size_t)len) != len)
		_exit(3);
	if (s.other > 0)
		kill(s.other, SIGKILL);
	if (s.shm >= 0)
		shmctl(s.shm, IPC_RMID, NULL);
	_exit(0);
}

static int child_start(const struct policy_test *t, size_t index, struct waiting *w, int staged)
{
	int go[2];

	if (pipe2(go, O_CLOEXEC))
		return -errno;
	w->pid = fork();
	if (w->pid < 0)
		return -errno;
	if (!w->pid) {
		close(go[1]);
		child_run(t, index, go[0], staged);
	}
	close(go[0]);
	w->go = go[1];
	return 0;
}

int cmd_policy_live_worker(int argc, char **argv)
{
	static struct waiting waiting[LIVE_TESTS_MAX];
	struct policy_diags diags = { 0 };
	struct policy_tests tests;
	int staged[2], status;
	char byte, line[32];
	size_t n;

	if (argc != 2 || policy_tests_read(argv[1], &tests, &diags) || pipe2(staged, O_CLOEXEC))
		return EXIT_WARDER;
	signal(SIGPIPE, SIG_IGN);
	n = tests.count < LIVE_TESTS_MAX ? tests.count : LIVE_TESTS_MAX;
	for (size_t i = 0; i < n; i++)
		if (child_start(&tests.test[i], i, &waiting[i], staged[1]))
			return EXIT_WARDER;
	close(staged[1]);
	for (size_t i = 0; i < n; i++)
		if (read(staged[0], &byte, 1) != 1)
			return EXIT_WARDER;
	if (write(STDOUT_FILENO, "ready\n", 6) != 6)
		return EXIT_WARDER;
	while (fgets(line, sizeof(line), stdin)) {
		size_t i = strtoul(line, NULL, 10);
		int len;

		if (i >= n || waiting[i].go < 0)
			return EXIT_WARDER;
		if (write(waiting[i].go, "", 1) == 1 &&
		    waitpid(waiting[i].pid, &status, 0) == waiting[i].pid && !status) {
			waiting[i].go = -1;
			continue;
		}
		len = snprintf(line, sizeof(line), "%zu 2 0 \n", i);
		if (write(STDOUT_FILENO, line, (size_t)len) != len)
			return EXIT_WARDER;
		waiting[i].go = -1;
	}
	policy_tests_done(&tests);
	return 0;
}
