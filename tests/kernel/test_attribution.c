// SPDX-License-Identifier: LGPL-2.1-or-later
/* Who refused it, class by class: an operation that one rule of a policy refuses has that rule's
 * errno, and an event that leads to the rule's own line of the text. */
#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "ops.h"

#define BROKEN 90

static const char text[] =
	"policy: attribution\n"
	"file:\n"
	"  - {deny: [read], path: /root/at/f, errno: EXDEV}\n"
	"  - {deny: [setattr], path: /root/at/g, errno: ETXTBSY}\n"
	"exec:\n"
	"  - {deny: /root/at/program, errno: ENOENT}\n"
	"memory:\n"
	"  anonymous_exec: deny\n"
	"network:\n"
	"  - {deny: [connect], protocol: tcp, to: '127.0.0.1:9', errno: ENETDOWN}\n"
	"  - {deny: [send], family: netlink, errno: ENOBUFS}\n"
	"  - {deny: [connect], unix: /root/at/sock, errno: ENXIO}\n"
	"  - {deny: [bind], unix: '@at-*', errno: EADDRINUSE}\n"
	"  - {deny: ['*'], family: packet, errno: ESRCH}\n"
	"capability:\n"
	"  - {deny: [sys_chroot]}\n"
	"mount:\n"
	"  - {deny: [mount], type: tmpfs, target: /root/at/m, errno: EBUSY}\n"
	"  - {deny: [umount], target: /root/at/m, errno: EMFILE}\n"
	"device:\n"
	"  - {deny: [open], node: 'c 1:7', errno: ENODEV}\n"
	"  - {deny: [mknod], node: 'c 1:3', errno: ENOSPC}\n"
	"ptrace:\n"
	"  - {deny: [read, trace], peer: same}\n"
	"signal:\n"
	"  - {deny: [usr1], peer: same, errno: ENOLCK}\n"
	"ipc:\n"
	"  - {deny: [sysv], peer: same}\n"
	"  - {deny: [mq], peer: same, errno: ENOTTY}\n"
	"  - {deny: [fd], peer: same, errno: EMLINK}\n"
	"namespace:\n"
	"  - {deny: [user], errno: EDOM}\n"
	"  - {deny: [uts], errno: EPERM}\n"
	"kernel:\n"
	"  - {deny: [syslog], errno: EIO}\n"
	"  - {deny: [hostname]}\n";

/* The same in audit mode: what a rule would refuse passes, and is attributed alike. */
static __u32 slot, audited;

static int op_read(void *arg)
{
	(void)arg;
	return h_open("/root/at/f", O_RDONLY);
}

static int op_utimes(void *arg)
{
	(void)arg;
	return h_errno(utimensat(AT_FDCWD, "/root/at/g", NULL, 0));
}

/* A script without an interpreter: ENOEXEC when it may be run. */
static int op_exec(void *arg)
{
	char *argv[] = { "program", NULL };

	(void)arg;
	execv("/root/at/program", argv);
	return errno == ENOEXEC ? 0 : errno;
}

static int op_map(void *arg)
{
	(void)arg;
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
			       MAP_FAILED ? errno : 0;
}

static int op_connect(void *arg)
{
	struct sockaddr_in to = { AF_INET, htons(9), { htonl(INADDR_LOOPBACK) }, { 0 } };
	int result = h_errno(connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&to, sizeof(to)));

	(void)arg;
	return result == ECONNREFUSED || result == ENETUNREACH ? 0 : result;
}

static int op_netlink(void *arg)
{
	int fd = socket(AF_NETLINK, SOCK_RAW, 0);

	(void)arg;
	return fd < 0 ? BROKEN : h_errno(send(fd, "0123456789abcdef", 16, 0));
}

static int op_unix(void *arg)
{
	struct sockaddr_un un = { AF_UNIX, "/root/at/sock" };
	int server = socket(AF_UNIX, SOCK_STREAM, 0), result;

	(void)arg;
	unlink(un.sun_path);
	if (bind(server, (void *)&un, sizeof(un)) || listen(server, 1))
		return BROKEN;
	result = h_errno(connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&un, sizeof(un)));
	return result;
}

static int op_abstract(void *arg)
{
	struct sockaddr_un un = { AF_UNIX, "\0at-socket" };

	(void)arg;
	return h_errno(bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&un,
			    sizeof(un.sun_family) + 10));
}

static int op_packet(void *arg)
{
	(void)arg;
	return h_errno(socket(AF_PACKET, SOCK_RAW, 0));
}

static int op_chroot(void *arg)
{
	(void)arg;
	return h_errno(chroot("/"));
}

static int op_mount(void *arg)
{
	(void)arg;
	return h_errno(mount("x", "/root/at/m", "tmpfs", 0, NULL));
}

static int op_umount(void *arg)
{
	(void)arg;
	return h_errno(umount2("/root/at/m", MNT_DETACH));
}

static int op_device(void *arg)
{
	(void)arg;
	return h_open("/dev/full", O_RDWR);
}

static int op_mknod(void *arg)
{
	(void)arg;
	unlink("/root/at/null");
	return h_errno(mknod("/root/at/null", S_IFCHR | 0600, makedev(1, 3)));
}

static int end(pid_t pid, int result)
{
	h_kill(pid);
	return result;
}

static int op_ptrace(void *arg)
{
	char buf[8];
	struct iovec local = { buf, sizeof(buf) }, remote = { (void *)text, sizeof(buf) };
	pid_t pid = h_fork_idle();

	(void)arg;
	return end(pid, h_errno(process_vm_readv(pid, &local, 1, &remote, 1, 0)));
}

static int op_signal(void *arg)
{
	pid_t pid = h_fork_idle();

	(void)arg;
	return end(pid, h_errno(kill(pid, SIGUSR1)));
}

static int op_shm(void *arg)
{
	int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600), result;

	(void)arg;
	result = shmat(id, NULL, 0) == (void *)-1 ? errno : 0;
	shmctl(id, IPC_RMID, NULL);
	return result;
}

static int op_mq(void *arg)
{
	int result = h_errno((int)mq_open("/at", O_RDWR | O_CREAT, 0600, NULL));

	(void)arg;
	return result;
}

static int op_fd(void *arg)
{
	pid_t pid = h_fork_idle();
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	(void)arg;
	return end(pid, fd < 0 ? BROKEN : h_errno(syscall(SYS_pidfd_getfd, fd, 1, 0)));
}

/* By a socket: pidfd_getfd(2) asks for ptrace first. The kernel leaves a refused descriptor out. */
static int op_receive(void *arg)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 0;
	struct iovec v = { &byte, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int pair[2], fd = open("/root/at/g", O_RDONLY);

	(void)arg;
	if (fd < 0 || socketpair(AF_UNIX, SOCK_DGRAM, 0, pair))
		return BROKEN;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	if (sendmsg(pair[0], &m, 0) != 1 || recvmsg(pair[1], &m, 0) != 1)
		return BROKEN + 1;
	return CMSG_FIRSTHDR(&m) && !(m.msg_flags & MSG_CTRUNC) ? 0 : EMLINK;
}

static int op_userns(void *arg)
{
	(void)arg;
	return h_errno(unshare(CLONE_NEWUSER));
}

static int op_uts(void *arg)
{
	(void)arg;
	return h_errno(unshare(CLONE_NEWUTS));
}

/* In a namespace of its own when that is allowed, so that the machine keeps its name. */
static int op_hostname(void *arg)
{
	char name[64];

	(void)arg;
	if (gethostname(name, sizeof(name)))
		return BROKEN;
	return h_errno(sethostname(name, strlen(name)));
}

/* `line`: how the deciding line of the text begins; NULL: not by a rule of this text. */
static const struct attribution {
	const char *name;
	int (*fn)(void *);
	int err;
	__u32 class_;
	const char *line;
	const char *path; /* of the event, NULL: it has none */
} cases[] = {
	{ "file", op_read, EXDEV, WARDER_CLASS_FILE, "  - {deny: [read], path", "/root/at/f" },
	{ "file attributes", op_utimes, ETXTBSY, WARDER_CLASS_FILE, "  - {deny: [setattr]",
	  "/root/at/g" },
	{ "exec", op_exec, ENOENT, WARDER_CLASS_EXEC, "  - {deny: /root/at/program",
	  "/root/at/program" },
	{ "memory", op_map, EACCES, WARDER_CLASS_MEMORY, "  anonymous_exec", NULL },
	{ "network", op_connect, ENETDOWN, WARDER_CLASS_NETWORK, "  - {deny: [connect], protocol",
	  NULL },
	{ "netlink", op_netlink, ENOBUFS, WARDER_CLASS_NETWORK, "  - {deny: [send], family", NULL },
	{ "unix", op_unix, ENXIO, WARDER_CLASS_NETWORK, "  - {deny: [connect], unix",
	  "/root/at/sock" },
	{ "abstract", op_abstract, EADDRINUSE, WARDER_CLASS_NETWORK, "  - {deny: [bind], unix",
	  "@at-socket" },
	{ "packet", op_packet, ESRCH, WARDER_CLASS_NETWORK, "  - {deny: ['*'], family: packet",
	  NULL },
	{ "capability", op_chroot, EPERM, WARDER_CLASS_CAPABILITY, "  - {deny: [sys_chroot]", NULL },
	{ "mount", op_mount, EBUSY, WARDER_CLASS_MOUNT, "  - {deny: [mount], type", "/root/at/m" },
	{ "umount", op_umount, EMFILE, WARDER_CLASS_MOUNT, "  - {deny: [umount]", "/root/at/m" },
	{ "device", op_device, ENODEV, WARDER_CLASS_DEVICE, "  - {deny: [open], node", NULL },
	{ "mknod", op_mknod, ENOSPC, WARDER_CLASS_DEVICE, "  - {deny: [mknod], node", NULL },
	{ "ptrace", op_ptrace, EPERM, WARDER_CLASS_PTRACE, "  - {deny: [read, trace]", NULL },
	{ "signal", op_signal, ENOLCK, WARDER_CLASS_SIGNAL, "  - {deny: [usr1]", NULL },
	{ "SysV memory", op_shm, EACCES, WARDER_CLASS_IPC, "  - {deny: [sysv]", NULL },
	{ "message queue", op_mq, ENOTTY, WARDER_CLASS_IPC, "  - {deny: [mq]", NULL },
	{ "descriptor of another", op_fd, EPERM, WARDER_CLASS_PTRACE, "  - {deny: [read, trace]",
	  NULL },
	{ "descriptor received", op_receive, EMLINK, WARDER_CLASS_IPC, "  - {deny: [fd]", NULL },
	{ "user namespace", op_userns, EDOM, WARDER_CLASS_NAMESPACE, "  - {deny: [user]", NULL },
	{ "namespace", op_uts, EPERM, WARDER_CLASS_NAMESPACE, "  - {deny: [uts]", NULL },
	{ "kernel surface", op_syslog, EIO, WARDER_CLASS_KERNEL, "  - {deny: [syslog]", NULL },
	{ "host name", op_hostname, EPERM, WARDER_CLASS_KERNEL, "  - {deny: [hostname]", NULL },
};

/* "test:LINE" of the line of the text that begins so. */
static const char *where_of(const char *line, char *buf, size_t size)
{
	const char *found = strstr(text, line);
	int n = 1;

	assert_non_null(found);
	for (const char *p = text; p < found; p++)
		n += *p == '\n';
	snprintf(buf, size, "test:%d", n);
	return buf;
}

/* The last event that a rule of that class decided: in audit mode an operation goes on, and what
 * comes next may be of another class. */
struct found {
	const struct warder_image *img;
	__u32 class_;
	__u64 cid;
	struct warder_event e;
	char where[64], path[WARDER_PATH_MAX];
	int events;
};

static void find(const struct warder_event *e, const char *names, void *arg)
{
	struct found *f = arg;

	if (e->h.type != WARDER_EVENT_VERDICT || e->h.cid != f->cid || e->v.why != WARDER_WHY_RULE ||
	    e->class_ != f->class_)
		return;
	f->e = *e;
	f->events++;
	image_rule_where(f->img, e->v.rule, f->where, sizeof(f->where));
	snprintf(f->path, sizeof(f->path), "%.*s", (int)e->text_len, names);
}

static void check(__u32 in, enum warder_action action, const struct warder_image *img)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct attribution *c = &cases[i];
		struct found f = { .img = img, .cid = h_cid(in), .class_ = c->class_ };
		char wanted[64];
		int result;

		mq_unlink("/at"); /* of whoever made it last */
		h_events_drop();
		result = h_run((int)in, c->fn, NULL);
		if (result != (action == WARDER_DENY ? c->err : 0))
			fail_msg("%s: %s (%d)", c->name, strerror(result), result);
		h_events_each(find, &f);
		if (!f.events)
			fail_msg("%s: no event names a rule", c->name);
		if (strcmp(f.where, where_of(c->line, wanted, sizeof(wanted))))
			fail_msg("%s: by %s, not by %s", c->name, f.where, wanted);
		if (f.e.v.action != action || (int)f.e.v.err != c->err)
			fail_msg("%s: class %u, action %u, errno %u", c->name, f.e.class_,
				 f.e.v.action, f.e.v.err);
		if (strcmp(f.path, c->path ? c->path : ""))
			fail_msg("%s: of \"%s\"", c->name, f.path);
	}
}

static void each_refusal_leads_to_its_line(void **state)
{
	cleanup_free struct warder_image *img = h_compile(text);

	(void)state;
	check(slot, WARDER_DENY, img);
	/* Nobody outside notices. */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (cases[i].fn != op_umount && cases[i].fn != op_mount)
			assert_int_equal(h_run(-1, cases[i].fn, NULL), 0);
}

static void audit_mode_says_the_same_and_refuses_nothing(void **state)
{
	char audit[sizeof(text) + 32];
	cleanup_free struct warder_image *img = NULL;

	(void)state;
	snprintf(audit, sizeof(audit), "%smode: audit\n", text);
	img = h_compile(audit);
	audited = h_container_image(img);
	check(audited, WARDER_AUDIT, img);
	assert_int_equal(h_stats(audited).denied, 0);
}

static int setup(void **state)
{
	(void)state;
	h_load();
	h_shell("mkdir -p /root/at/m; echo f > /root/at/f; echo g > /root/at/g; "
		"echo nothing > /root/at/program; chmod 755 /root/at/program");
	h_shell("ip link set lo up 2>/dev/null || true");
	slot = h_container(text);
	/* Something to unmount, on whose place the container would put the next. */
	h_shell("mount -t tmpfs under /root/at/m");
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_refusal_leads_to_its_line),
		cmocka_unit_test(audit_mode_says_the_same_and_refuses_nothing),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
