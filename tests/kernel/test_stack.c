// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Several policies on one container, against the kernel: each class through a stack, every mode,
 * profiles of each policy, peers, and the replacing of one of them under load. This program is its
 * own tool: under the name of a program of the tests it does what its arguments say.
 */
#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "ops.h"
#include "reload_rig.h"

/* ------------------------------------------------------------------ containers */

static __u32 stack_of(const char *const *text, size_t count)
{
	cleanup_free struct warder_image *stack = NULL;
	struct warder_image *m[WARDER_LAYERS_MAX];
	struct warder_error e = { "" };
	__u32 slot;

	for (size_t i = 0; i < count; i++)
		m[i] = h_compile(text[i]);
	if (image_stack((const struct warder_image *const *)m, count, &stack, &e))
		fail_msg("%s", e.text);
	slot = h_container_image(stack);
	for (size_t i = 0; i < count; i++)
		free(m[i]);
	return slot;
}

#define STACK(...) stack_of((const char *const[]) { __VA_ARGS__ },                              \
			    sizeof((const char *const[]) { __VA_ARGS__ }) / sizeof(char *))

/* -------------------------------------------------------------------- operations */

static int do_file(void *arg)
{
	(void)arg;
	return h_open("/x/f", O_WRONLY);
}

static int do_rename(void *arg)
{
	int err = h_errno(rename("/x/old", "/x/new"));

	(void)arg;
	if (!err)
		err = h_errno(rename("/x/new", "/x/old")) ? 100 : 0;
	return err;
}

static int do_exec(void *arg)
{
	char *argv[] = { "/x/program", "nothing", NULL };

	(void)arg;
	execv(argv[0], argv);
	return errno;
}

static int do_memory(void *arg)
{
	(void)arg;
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0) == MAP_FAILED ? errno : 0;
}

static int do_network(void *arg)
{
	cleanup_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(8099) };

	(void)arg;
	return fd < 0 ? 100 : h_errno(bind(fd, (struct sockaddr *)&in, sizeof(in)));
}

static int do_unix(void *arg)
{
	cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	(void)arg;
	memcpy(un.sun_path, "\0stacked", 8);
	return fd < 0 ? 100 : h_errno(bind(fd, (struct sockaddr *)&un,
					   (socklen_t)offsetof(struct sockaddr_un, sun_path) + 8));
}

static int do_capability(void *arg)
{
	(void)arg;
	return h_errno(chroot("/"));
}

static int do_mount(void *arg)
{
	int err = h_errno(mount("none", "/x/m", "tmpfs", 0, NULL));

	(void)arg;
	if (!err)
		err = umount2("/x/m", MNT_DETACH) ? 100 : 0;
	return err;
}

static int do_device(void *arg)
{
	(void)arg;
	return h_open("/dev/full", O_RDONLY);
}

static int do_ptrace(void *arg)
{
	pid_t pid = h_fork_idle();
	int err = h_errno(ptrace(PTRACE_SEIZE, pid, 0, 0));

	(void)arg;
	h_kill(pid);
	return err;
}

static int do_signal(void *arg)
{
	pid_t pid = h_fork_idle();
	int err = h_errno(kill(pid, SIGUSR1));

	(void)arg;
	h_kill(pid);
	return err;
}

static int do_ipc(void *arg)
{
	int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600), err;
	void *at = id < 0 ? NULL : shmat(id, NULL, 0);

	(void)arg;
	if (id < 0)
		return 100;
	err = at == (void *)-1 ? errno : 0;
	shmctl(id, IPC_RMID, NULL);
	return err;
}

/* A descriptor from this container: a file of its own, judged as if it were opened. */
static int do_receive(void *arg)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .h = { .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS } };
	char c = 0;
	struct iovec iov = { .iov_base = &c, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	int pair[2], fd = (int)(long)arg;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return 100;
	memcpy(CMSG_DATA(&control.h), &fd, sizeof(fd));
	if (sendmsg(pair[0], &msg, 0) != 1)
		return 101;
	memset(&control, 0, sizeof(control));
	msg.msg_controllen = sizeof(control);
	if (recvmsg(pair[1], &msg, 0) != 1)
		return errno;
	return msg.msg_controllen ? 0 : EACCES;
}

static int do_namespace(void *arg)
{
	(void)arg;
	return h_errno(unshare(CLONE_NEWUTS));
}

#define OPEN "defaults: {mount: allow, namespace: allow, kernel: allow, network: allow}\n"
#define PERMISSIVE "policy: permissive\n" OPEN
#define REFUSING                                                                                 \
	OPEN "file:\n"                                                                           \
	"  - {deny: [write], path: /x/f, errno: EROFS}\n"                                      \
	"  - {deny: [rename], path: /x/new, errno: EXDEV}\n"                                     \
	"  - {deny: [read], path: /x/passed, errno: EACCES}\n"                                   \
	"exec: [{deny: /x/program, errno: ENOENT}]\n"                                            \
	"memory: {write_exec: deny}\n"                                                           \
	"network:\n"                                                                             \
	"  - {deny: [bind], protocol: tcp, port: 8099, errno: EADDRINUSE}\n"                     \
	"  - {deny: [bind], unix: '@stacked', errno: EADDRNOTAVAIL}\n"                           \
	"capability: [{deny: sys_chroot}]\n"                                                     \
	"mount: [{deny: [mount], target: /x/m, errno: ENODEV}]\n"                                \
	"device: [{deny: [open], node: 'c 1:7', errno: ENXIO}]\n"                                \
	"ptrace: [{deny: [trace], peer: same}]\n"                                                \
	"signal: [{deny: [usr1], peer: same, errno: EBUSY}]\n"                                   \
	"ipc: [{deny: [sysv], peer: same}]\n"                                                    \
	"namespace: [{deny: [uts]}]\n"                                            \
	"kernel: [{deny: [syslog], errno: ENOSYS}]\n"

static const struct op {
	const char *name;
	int (*fn)(void *);
	int err;
	__u32 class_;
	unsigned line; /* of its rule, behind that of the defaults */
} ops[] = {
	{ "file", do_file, EROFS, WARDER_CLASS_FILE, 2 },
	{ "rename", do_rename, EXDEV, WARDER_CLASS_FILE, 3 },
	{ "receive", do_receive, EACCES, WARDER_CLASS_FILE, 4 },
	{ "exec", do_exec, ENOENT, WARDER_CLASS_EXEC, 5 },
	{ "memory", do_memory, EACCES, WARDER_CLASS_MEMORY, 6 },
	{ "network", do_network, EADDRINUSE, WARDER_CLASS_NETWORK, 8 },
	{ "unix", do_unix, EADDRNOTAVAIL, WARDER_CLASS_NETWORK, 9 },
	{ "capability", do_capability, EPERM, WARDER_CLASS_CAPABILITY, 10 },
	{ "mount", do_mount, ENODEV, WARDER_CLASS_MOUNT, 11 },
	{ "device", do_device, ENXIO, WARDER_CLASS_DEVICE, 12 },
	{ "ptrace", do_ptrace, EPERM, WARDER_CLASS_PTRACE, 13 },
	{ "signal", do_signal, EBUSY, WARDER_CLASS_SIGNAL, 14 },
	{ "ipc", do_ipc, EACCES, WARDER_CLASS_IPC, 15 },
	{ "namespace", do_namespace, EPERM, WARDER_CLASS_NAMESPACE, 16 },
	{ "kernel", op_syslog, ENOSYS, WARDER_CLASS_KERNEL, 17 },
};

/* What the last event of the class said. */
struct said {
	__u32 class_;
	__u64 cid;
	int found;
	struct warder_verdict v;
};

static void see(const struct warder_event *e, const char *text, void *arg)
{
	struct said *s = arg;

	(void)text;
	if (e->h.cid != s->cid || e->class_ != s->class_ || e->h.type != WARDER_EVENT_VERDICT)
		return;
	s->found++;
	s->v = e->v;
}

static int passed_fd = -1;

static int do_op(const struct op *op, __u32 slot, struct said *ret)
{
	int err;

	h_events_drop();
	*ret = (struct said) { .class_ = op->class_, .cid = h_cid(slot) };
	err = h_run((int)slot, op->fn, (void *)(long)passed_fd);
	h_events_each(see, ret);
	return err;
}

/* A stack of these: its answer to each operation, and who is named as the one that said so. */
/* Is the rule that is named the one of that policy, at its line? */
static int rule_is(const struct warder_image *img, const struct warder_verdict *v, const struct op *op)
{
	const struct warder_rule *r = image_rule(img, v->rule);
	unsigned defaults = img->h.layer[v->layer].mode == WARDER_MODE_AUDIT ? 3 : 2;

	return r && r->class_ == op->class_ && r->line == defaults + op->line &&
	       image_rule_layer(img, v->rule) == v->layer;
}

static void all_ops(const char *title, __u32 slot, __u32 action, __u32 layer, __u32 against)
{
	cleanup_free struct warder_image *img = NULL;
	int wrong = 0;

	assert_int_equal(loader_read_image(h_load(), slot, &img), 0);
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		const struct op *op = &ops[i];
		int want = action == WARDER_DENY ? op->err : 0, err;
		struct said s;

		err = do_op(op, slot, &s);
		if (err != want) {
			print_error("%s, %s: %d (%s), not %d\n", title, op->name, err, strerror(err),
				    want);
			wrong++;
		}
		if (action == WARDER_ALLOW ? s.found != 0 :
		    (!s.found || s.v.action != action || s.v.layer != layer ||
		     s.v.against != against || s.v.why != WARDER_WHY_RULE ||
		     (int)s.v.err != op->err || !rule_is(img, &s.v, op))) {
			print_error("%s, %s: %d events, the last: action %u errno %u layer %u "
				    "against %#x why %u\n", title, op->name, s.found, s.v.action,
				    s.v.err, s.v.layer, s.v.against, s.v.why);
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

static void each_class_needs_all(void **state)
{
	(void)state;
	passed_fd = open("/x/passed", O_RDONLY);
	assert_true(passed_fd >= 0);
	all_ops("two that allow", STACK(PERMISSIVE, "policy: other\n" OPEN), WARDER_ALLOW, 0, 0);
	all_ops("the first refuses", STACK("policy: strict\n" REFUSING, PERMISSIVE), WARDER_DENY, 0, 1);
	all_ops("the second refuses", STACK(PERMISSIVE, "policy: strict\n" REFUSING), WARDER_DENY, 1,
		2);
	all_ops("the last of four refuses",
		STACK(PERMISSIVE, "policy: b\n" OPEN, "policy: c\n" OPEN, "policy: strict\n" REFUSING),
		WARDER_DENY, 3, 8);
	close(passed_fd);
}

static void each_policy_has_its_mode(void **state)
{
#define WATCHING "policy: watching\nmode: audit\n" REFUSING
	__u32 slot = STACK(PERMISSIVE, WATCHING);
	__u64 audited;

	(void)state;
	passed_fd = open("/x/passed", O_RDONLY);
	audited = h_stats(slot).audited;
	all_ops("one in audit mode would refuse", slot, WARDER_AUDIT, 1, 2);
	assert_true(h_stats(slot).audited - audited >= sizeof(ops) / sizeof(ops[0]));
	assert_int_equal(h_stats(slot).denied, 0);
	/* What an enforcing one refuses is its refusal, whatever others say and in which order. */
	all_ops("audit, and one that enforces", STACK(WATCHING, "policy: strict\n" REFUSING),
		WARDER_DENY, 1, 3);
	all_ops("one that enforces, and audit", STACK("policy: strict\n" REFUSING, WATCHING),
		WARDER_DENY, 0, 3);
	all_ops("both in audit mode", STACK(WATCHING, "policy: too\nmode: audit\n" REFUSING),
		WARDER_AUDIT, 0, 3);
	close(passed_fd);
}

static void one_policy_learns(void **state)
{
	static char name[WARDER_PATH_MAX], detail[WARDER_PATH_MAX];
	__u32 slot = STACK("policy: strict\n" REFUSING, "policy: learning\nmode: learn\n");
	struct warder_event e;

	(void)state;
	h_events_drop();
	assert_int_equal(h_run((int)slot, do_file, NULL), EROFS);
	assert_true(h_events_of(slot, WARDER_EVENT_LEARN, WARDER_HOOK_NONE, &e, name, detail) > 0);
	assert_int_equal(h_run((int)slot, op_syslog, NULL), ENOSYS);
}

/* --------------------------------------------------------------- defaults, names */

static int move_folder(void *arg)
{
	int err = h_errno(rename("/x/here/d", "/x/there/d"));

	(void)arg;
	if (!err)
		err = rename("/x/there/d", "/x/here/d") ? 100 : 0;
	return err;
}

#define ALLOWS(name, path)                                                                      \
	"policy: " name "\ndefaults: {file: deny}\nfile:\n"                                      \
	"  - allow: ['*']\n    path: [" path ", '/lib*/**', '/usr/**', /etc/ld.so.cache]\n"

static void what_each_allows_is_cut_down_by_the_other(void **state)
{
	__u32 slot = STACK(ALLOWS("left", "'/x/here/**', '/x/both/**'"),
			   ALLOWS("right", "'/x/there/**', '/x/both/**'"));

	(void)state;
	assert_int_equal(h_run((int)slot, h_open_read, "/x/here/f"), EACCES);
	assert_int_equal(h_run((int)slot, h_open_read, "/x/there/f"), EACCES);
	assert_int_equal(h_run((int)slot, h_open_read, "/x/both/f"), 0);
	assert_int_equal(h_run((int)slot, h_open_write, "/x/both/f"), 0);
	/* A folder moves where no policy sees other rights below; one in audit mode only tells. */
	slot = STACK("policy: left\n", "policy: right\nfile:\n - {deny: write, path: /x/there/d/f}\n");
	assert_int_equal(h_run((int)slot, move_folder, NULL), EXDEV);
	slot = STACK("policy: left\n",
		     "policy: right\nmode: audit\nfile:\n - {deny: write, path: /x/there/d/f}\n");
	assert_int_equal(h_run((int)slot, move_folder, NULL), 0);
	assert_true(h_stats(slot).audited > 0);
	/* The audit of one end hides no refusal of the other's. */
	slot = STACK("policy: left\nmode: audit\nfile: [{deny: rename, path: /x/here/d}]\n",
		     "policy: right\nfile: [{deny: rename, path: /x/there/d, errno: EROFS}]\n");
	assert_int_equal(h_run((int)slot, move_folder, NULL), EROFS);
}

/* ---------------------------------------------------------------------- profiles */

#define KEEP "file:\n - {deny: [write, append, create, delete, rename, link, truncate], path: ['/x/to-*']}\n"
#define WEB                                                                                     \
	"policy: web\n" KEEP "exec: [{allow: /x/to-a, profile: a}, {allow: /x/to-both, profile: a}, {allow: '/**'}]\n" \
	"profiles: {a: {file: [{deny: read, path: /x/secret-a}]}}\n"
#define DB                                                                                      \
	"policy: db\n" KEEP "exec: [{allow: /x/to-b, profile: b}, {allow: /x/to-both, profile: b}, {allow: '/**'}]\n" \
	"profiles: {b: {file: [{deny: read, path: /x/secret-b}]}}\n"

static int exec_words(void *arg)
{
	char **argv = arg;

	execv(argv[0], argv);
	return 200 + errno % 50;
}

/* Which of the two secrets can be read at the end of this way: bit 0 a, bit 1 b. */
#define READABLE(slot, ...) h_run((int)(slot), exec_words,                                     \
				  (void *)(const char *[]) { __VA_ARGS__, "secrets", NULL })

static void each_policy_has_its_profiles(void **state)
{
	__u32 slot = STACK(WEB, DB);

	(void)state;
	assert_int_equal(READABLE(slot, "/x/program"), 3);
	assert_int_equal(READABLE(slot, "/x/to-a"), 2);
	assert_int_equal(READABLE(slot, "/x/to-b"), 1);
	assert_int_equal(READABLE(slot, "/x/to-both"), 0);
	/* One after the other, in both orders; what was earned stays. */
	assert_int_equal(READABLE(slot, "/x/to-a", "/x/to-b"), 0);
	assert_int_equal(READABLE(slot, "/x/to-b", "/x/to-a"), 0);
	assert_int_equal(READABLE(slot, "/x/to-a", "/x/program"), 2);
	/* A script is one step, its interpreter another, of each policy the first counts. */
	assert_int_equal(READABLE(slot, "/x/script-b"), 1);
	assert_int_equal(READABLE(slot, "/x/to-script"), 0);
	/* A policy in audit mode that would refuse the exec stops no transition of another's. */
	slot = STACK(WEB, "policy: audits\nmode: audit\nexec: [{deny: /x/to-a}]\n");
	assert_int_equal(READABLE(slot, "/x/to-a"), 2);
}

/* ------------------------------------------------------------------------- peers */

static int stay(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return 0;
}

static int term(void *pid)
{
	return h_errno(kill((pid_t)(long)pid, SIGCONT));
}

static void peers_are_under_each_of_their_policies(void **state)
{
	__u32 peer = STACK("policy: first\n", "policy: second\n");
	__u32 by_second = STACK("policy: p\nsignal: [{allow: cont, peer: 'policy:second'}]\n",
				"policy: q\nsignal: [{allow: cont, peer: 'policy:first'}]\n");
	__u32 by_one = STACK("policy: p\nsignal: [{allow: cont, peer: 'policy:second'}]\n",
			     "policy: q\n");
	__u32 by_none = STACK("policy: p\nsignal: [{allow: cont, peer: 'policy:third'}]\n");
	pid_t pid = h_start((int)peer, stay, NULL);

	(void)state;
	assert_int_equal(h_run((int)by_second, term, (void *)(long)pid), 0);
	assert_int_equal(h_run((int)by_one, term, (void *)(long)pid), EPERM);
	assert_int_equal(h_run((int)by_none, term, (void *)(long)pid), EPERM);
	kill(pid, SIGKILL);
	h_wait(pid);
}

/* ------------------------------------------------------------------------- reload */

/*
 * One of three policies is replaced again and again. Its two texts refuse files each with an errno of
 * its own, and half of one with half of the other would allow them; another policy refuses one more
 * thing, always.
 */
#define SWAP_A                                                                                  \
	"policy: swap\nfile:\n"                                                                 \
	"  - {deny: [read], path: /x/f, errno: EPERM}\n"                                        \
	"  - {deny: [rename], path: /x/old, errno: EPERM}\n"                                    \
	"memory: {write_exec: deny}\ncapability: [{deny: sys_chroot}]\n"
#define SWAP_B                                                                                  \
	"policy: swap\nfile:\n"                                                                 \
	"  - {allow: [read], path: '/x/many/{a,b,c}*', audit: true}\n"                          \
	"  - {deny: [write], path: /x/f, errno: EROFS}\n"                                       \
	"  - {deny: [rename], path: /x/new, errno: EROFS}\n"
#define BEFORE "policy: before\nmode: audit\nfile: [{deny: read, path: /x/f}]\n"
#define BEHIND "policy: behind\nfile: [{deny: read, path: /x/always, errno: EIO}]\n"

static int hammer(void *arg)
{
	(void)arg;
	while (!atomic_load(&reload->stop)) {
		unsigned long before = atomic_load(&reload->done);
		int by[3], n = 0;

		by[n++] = reload_by(open("/x/f", O_RDWR | O_CLOEXEC), EPERM, EROFS);
		by[n++] = reload_by(rename("/x/old", "/x/new"), EPERM, EROFS);
		by[n++] = chroot("/") ? 0 : 1; /* refused by A only */
		if (open("/x/always", O_RDONLY | O_CLOEXEC) >= 0 || errno != EIO)
			atomic_fetch_add(&reload->lost, 1);
		reload_judge(before, by, n);
	}
	return 0;
}

#define HAMMERS 3

/* `each` of both answers and `whole` rounds: enough to count on. */
static int seen_enough(unsigned long each, unsigned long whole)
{
	return reload->by[0] > each && reload->by[1] > each && reload->whole > whole &&
	       reload->done > 20;
}

/* WARDER_RELOAD_SECONDS: that long. */
static void one_of_several_is_replaced_at_once(void **state)
{
	struct warder_image *m[4] = { h_compile(BEFORE), h_compile(SWAP_A), h_compile(BEHIND),
				      h_compile(SWAP_B) };
	double end = reload_end(0);
	__u32 slot = STACK(BEFORE, SWAP_A, BEHIND);
	struct warder_image *stack[2];
	struct warder_error e = { "" };
	pid_t pid[HAMMERS];

	(void)state;
	for (int i = 0; i < 2; i++) {
		const struct warder_image *const member[] = { m[0], m[i ? 3 : 1], m[2] };

		assert_int_equal(image_stack(member, 3, &stack[i], &e), 0);
	}
	for (long i = 0; i < HAMMERS; i++)
		pid[i] = h_start((int)slot, hammer, NULL);
	while (reload_now() < end || !seen_enough(1000, 200)) {
		if (reload_next(slot, (const struct warder_image *const *)stack, 2) % 8 == 0)
			usleep(20000);
	}
	atomic_store(&reload->stop, 1);
	for (int i = 0; i < HAMMERS; i++)
		assert_int_equal(h_wait(pid[i]), 0);
	print_message("# %lu decisions, %lu by A, %lu by B; %lu reloads; %lu rounds within one\n",
		      reload->decisions, reload->by[0], reload->by[1], reload->done, reload->whole);
	assert_int_equal(reload->mixtures, 0);
	assert_int_equal(reload->stale, 0);
	assert_int_equal(reload->lost, 0);
	assert_true(seen_enough(1000, 200));
	for (int i = 0; i < 4; i++)
		free(m[i]);
	free(stack[0]);
	free(stack[1]);
}

/* In turn: only the second one refuses. */
static const char *const switched[] = { WATCHING, "policy: watching\n" REFUSING,
					"policy: watching\n" OPEN,
					"policy: watching\nmode: learn\n" REFUSING };
#define SWITCHED (sizeof(switched) / sizeof(switched[0]))
#define SWITCHED_REFUSES(reloads) ((reloads) % SWITCHED == 1)

/* An execve(2) that one policy allows, and then the next one refuses what is mapped of it: the kernel kills
 * it, or its loader gives up. */
static int exec_is_halfway(const struct op *op, int status)
{
	return op->fn == do_exec && (WIFSIGNALED(status) || WEXITSTATUS(status) == 127);
}

/* Every class and the mode change at once: within a round that no reload disturbs all operations are
 * answered alike; in any other each is answered as one of the policies says. */
static int each_op(void *arg)
{
	(void)arg;
	while (!atomic_load(&reload->stop)) {
		unsigned long before = atomic_load(&reload->done), after, refused = 0, halfway = 0;

		for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
			pid_t pid = fork();
			int status;

			if (!pid)
				_exit(ops[i].fn((void *)(long)passed_fd));
			if (pid < 0 || waitpid(pid, &status, 0) != pid)
				return 1;
			if (exec_is_halfway(&ops[i], status)) {
				halfway++;
				continue;
			}
			if (!WIFEXITED(status))
				return 1;
			refused += WEXITSTATUS(status) == ops[i].err;
			if (WEXITSTATUS(status) && WEXITSTATUS(status) != ops[i].err)
				atomic_fetch_add(&reload->mixtures, 1);
			atomic_fetch_add(&reload->decisions, 1);
		}
		after = atomic_load(&reload->begun);
		if (after != before)
			continue;
		atomic_fetch_add(&reload->mixtures, halfway);
		atomic_fetch_add(&reload->whole, 1);
		atomic_fetch_add(&reload->by[SWITCHED_REFUSES(before)], 1);
		if (refused != (SWITCHED_REFUSES(before) ? sizeof(ops) / sizeof(ops[0]) : 0))
			atomic_fetch_add(&reload->stale, 1);
	}
	return 0;
}

static void a_reload_changes_every_class_and_the_mode(void **state)
{
	struct warder_image *base = h_compile(PERMISSIVE), *stack[SWITCHED];
	double end = reload_end(0);
	__u32 slot = STACK(PERMISSIVE, WATCHING);
	struct warder_error e = { "" };
	siginfo_t si = { .si_pid = 0 };
	pid_t pid;

	(void)state;
	passed_fd = open("/x/passed", O_RDONLY);
	reload_reset();
	for (size_t i = 0; i < SWITCHED; i++) {
		cleanup_free struct warder_image *m = h_compile(switched[i]);
		const struct warder_image *const member[] = { base, m };

		assert_int_equal(image_stack(member, 2, &stack[i], &e), 0);
	}
	pid = h_start((int)slot, each_op, NULL);
	/* As long as it takes: in emulation a round can last seconds. */
	while (reload_now() < end || !(reload->by[0] > 2 && reload->by[1] > 2)) {
		unsigned long whole = reload->whole;
		unsigned long n = reload_next(slot, (const struct warder_image *const *)stack,
					      SWITCHED);

		/* Until a round has passed, and into the next one. */
		do
			usleep(10000);
		while (reload->whole == whole && !waitid(P_PID, (id_t)pid, &si,
							 WEXITED | WNOHANG | WNOWAIT) && !si.si_pid);
		if (si.si_pid)
			break;
		usleep((useconds_t)(n % 7) * 10000);
	}
	atomic_store(&reload->stop, 1);
	assert_int_equal(h_wait(pid), 0);
	print_message("# %lu decisions; %lu reloads; %lu rounds within one, %lu of them refused\n",
		      reload->decisions, reload->done, reload->whole, reload->by[1]);
	assert_int_equal(reload->mixtures, 0);
	assert_int_equal(reload->stale, 0);
	assert_true(reload->by[0] > 1 && reload->by[1] > 1);
	for (size_t i = 0; i < SWITCHED; i++)
		free(stack[i]);
	free(base);
	close(passed_fd);
}

/* ----------------------------------------------------------------------- counters */

static __u64 hits(__u32 slot, __u32 rule)
{
	cleanup_free struct warder_image *img = NULL;

	assert_int_equal(loader_read_image(h_load(), slot, &img), 0);
	return image_hits(img, rule);
}

static void rules_of_every_policy_count(void **state)
{
	__u32 slot = STACK("policy: a\nfile: [{allow: read, path: /x/f}]\n",
			   "policy: b\nfile: [{allow: read, path: '/x/*'}, {deny: write, path: /x/f}]\n");
	__u64 before[4];

	(void)state;
	for (__u32 i = 1; i < 4; i++)
		before[i] = hits(slot, i);
	assert_int_equal(h_run((int)slot, h_open_read, "/x/f"), 0);
	assert_int_equal(hits(slot, 1), before[1] + 1);
	assert_int_equal(hits(slot, 2), before[2] + 1);
	assert_int_equal(hits(slot, 3), before[3]);
	assert_int_equal(h_run((int)slot, h_open_write, "/x/f"), EACCES);
	assert_int_equal(hits(slot, 1), before[1] + 1);
	assert_int_equal(hits(slot, 3), before[3] + 1);
}

/* --------------------------------------------------------------------------- tool */

/* The words that are left: another program to run, or what to do. */
static int tool(int argc, char **argv)
{
	/* As the interpreter of a script: its name is no word. */
	if (argc > 1 && strstr(argv[1], "script") && strcmp(argv[0], argv[1])) {
		argc--;
		argv++;
	}
	if (argc > 1 && argv[1][0] == '/') {
		execv(argv[1], argv + 1);
		return 150;
	}
	if (argc > 1 && !strcmp(argv[1], "secrets"))
		return (h_open_read("/x/secret-a") ? 0 : 1) | (h_open_read("/x/secret-b") ? 0 : 2);
	return 0;
}

static int prepare(void **state)
{
	(void)state;
	/* What stays for the next test program is slot 0: not a stack whose policies are nowhere. */
	h_container("policy: alone\n");
	h_shell("mkdir -p /x/m /x/here/d /x/there /x/both && touch /x/f /x/old /x/passed /x/always "
		"/x/here/f /x/there/f /x/both/f /x/here/d/f /x/secret-a /x/secret-b && "
		"for i in program to-a to-b to-both; do cp /proc/%d/exe /x/$i; done", getpid());
	h_write("/x/script-b", "#!/x/to-b\n");
	h_write("/x/to-script", "#!/x/to-both\n");
	h_shell("chmod 755 /x/script-b /x/to-script");
	return reload_open();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_class_needs_all),
		cmocka_unit_test(each_policy_has_its_mode),
		cmocka_unit_test(one_policy_learns),
		cmocka_unit_test(what_each_allows_is_cut_down_by_the_other),
		cmocka_unit_test(each_policy_has_its_profiles),
		cmocka_unit_test(peers_are_under_each_of_their_policies),
		cmocka_unit_test(rules_of_every_policy_count),
		cmocka_unit_test(one_of_several_is_replaced_at_once),
		cmocka_unit_test(a_reload_changes_every_class_and_the_mode),
	};

	if (!strncmp(argv[0], "/x/", 3))
		return tool(argc, argv);
	return cmocka_run_group_tests(tests, prepare, NULL);
}
