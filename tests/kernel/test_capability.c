// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Class "capability": what the kernel would grant to root and the policy does not; probes; user
 * namespaces; credentials that are not the task's own; what a refusal leaves in the tag.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/capability.h>
#include <sys/fanotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "ops.h"
#include "uring.h"

#define BROKEN 90
#define FEW                                        \
	"policy: few\n"                            \
	"defaults: {capability: deny}\n"           \
	"capability:\n"                            \
	"  - allow: [chown, net_bind_service]\n"   \
	"    audit: true\n"

static __u32 few, all;
static struct shared {
	int result; /* -1: none yet */
} *shared;

static int do_chown(void *arg)
{
	(void)arg;
	return h_errno(chown("/tmp/cap-file", 1000, 1000)) | h_errno(chown("/tmp/cap-file", 0, 0));
}

static int do_hostname_userns(void *arg)
{
	if (unshare(CLONE_NEWUSER))
		return BROKEN;
	return unshare(CLONE_NEWUTS) ? errno : op_sethostname(arg);
}

static void test_default_and_rule(void **state)
{
	(void)state;
	assert_int_equal(h_run((int)few, do_chown, NULL), 0);
	assert_int_equal(h_run((int)few, op_sethostname, NULL), EPERM);
	assert_int_equal(h_run((int)all, op_sethostname, NULL), 0);
	assert_int_equal(h_run(-1, op_sethostname, NULL), 0);
}

static void test_deny_rule(void **state)
{
	__u32 s = h_container("policy: d\ncapability:\n  - deny: [sys_admin]\n");

	(void)state;
	assert_int_equal(h_run((int)s, op_sethostname, NULL), EPERM);
	assert_int_equal(h_run((int)s, do_chown, NULL), 0);
}

/* All capabilities in a user namespace of its own are capabilities all the same. */
static void test_userns(void **state)
{
	(void)state;
	assert_int_equal(h_run(-1, do_hostname_userns, NULL), 0);
	assert_int_equal(h_run((int)all, do_hostname_userns, NULL), 0);
	assert_int_equal(h_run((int)few, do_hostname_userns, NULL), EPERM);
}

static void test_audit(void **state)
{
	__u32 s = h_container("policy: a\nmode: audit\ndefaults: {capability: deny}\n");

	(void)state;
	assert_int_equal(h_run((int)s, op_sethostname, NULL), 0);
	assert_int_equal(h_stats(s).denied, 0);
	assert_true(h_stats(s).audited >= 1);
}

static __u64 own_userns(void)
{
	struct stat st;

	return stat("/proc/self/ns/user", &st) ? 0 : st.st_ino;
}

static void test_event(void **state)
{
	char name[WARDER_PATH_MAX], detail[WARDER_PATH_MAX];
	struct warder_event e;

	(void)state;
	h_events_drop();
	assert_int_equal(h_run((int)few, op_sethostname, NULL), EPERM);
	assert_int_equal(h_event_last(few, &e, name, detail), 1);
	assert_int_equal(e.hook, WARDER_HOOK_CAPABLE);
	assert_int_equal(e.class_, WARDER_CLASS_CAPABILITY);
	assert_int_equal(e.access, CAP_SYS_ADMIN);
	assert_int_equal(e.v.why, WARDER_WHY_DEFAULT);
	assert_int_equal(e.arg[0], own_userns());
	/* A rule with `audit` reports what it allows. */
	h_events_drop();
	assert_int_equal(h_run((int)few, do_chown, NULL), 0);
	assert_int_equal(h_event_last(few, &e, name, detail), 1);
	assert_int_equal(e.access, CAP_CHOWN);
	assert_int_equal(e.v.action, WARDER_ALLOW);
}

/* Every mapping probes CAP_SYS_ADMIN for the reserve of memory: no event, no trace in the tag. */
static int do_probe(void *arg)
{
	void *p;

	(void)arg;
	for (int i = 0; i < 100; i++) {
		p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED || munmap(p, 1 << 20))
			return BROKEN;
	}
	return 0;
}

static void test_probe(void **state)
{
	char name[WARDER_PATH_MAX], detail[WARDER_PATH_MAX];
	__u32 s = h_container(FEW);
	struct warder_event e;

	(void)state;
	h_events_drop();
	assert_int_equal(h_run((int)s, do_probe, NULL), 0);
	assert_int_equal(h_event_last(s, &e, name, detail), 0);
	assert_int_equal(h_stats(s).denied, 0);
}

/* ------------------------------------------------------------- what is noted */

static int act_and_wait(void *arg)
{
	cap_t none = cap_init();
	int kernel = *(int *)arg;

	if (kernel && cap_set_proc(none))
		return BROKEN;
	/* No supervised call: what one leaves is forgotten when it ends. */
	__atomic_store_n(&shared->result, h_errno(fanotify_init(FAN_CLASS_CONTENT, O_RDONLY)), __ATOMIC_SEQ_CST);
	pause();
	return 0;
}

static struct warder_task tag_after(__u32 slot, int kernel)
{
	struct warder_task tag = { 0 };
	cleanup_close int pidfd = -1;
	pid_t pid;

	shared->result = -1;
	pid = h_start((int)slot, act_and_wait, &kernel);
	pidfd = syscall(SYS_pidfd_open, pid, 0);
	while (__atomic_load_n(&shared->result, __ATOMIC_SEQ_CST) < 0)
		usleep(1000);
	assert_int_equal(loader_get_task(h_load(), pidfd, &tag), 0);
	kill(pid, SIGKILL);
	h_wait(pid);
	assert_int_equal(shared->result, EPERM);
	return tag;
}

static void test_note(void **state)
{
	struct warder_task tag = tag_after(all, 1);

	(void)state;
	assert_int_equal(tag.cause, WARDER_REFUSAL_CAPABILITY);
	assert_int_equal(tag.cap, CAP_SYS_ADMIN);
	assert_int_equal(tag.cap_userns, own_userns());
	tag = tag_after(few, 0);
	assert_int_equal(tag.cause, WARDER_REFUSAL_DEFAULT);
	assert_int_equal(tag.cap, CAP_SYS_ADMIN);
	assert_int_equal(tag.cap_userns, own_userns());
}

/* ---------------------------------------------- credentials of somebody else */

static int do_copy_up(void *arg)
{
	int fd = open(arg, O_WRONLY | O_APPEND);
	int result = h_errno(fd < 0 ? -1 : write(fd, "x", 1));

	if (fd >= 0)
		close(fd);
	return result;
}

static int do_stack(void *arg)
{
	(void)arg;
	return h_errno(mount("none", "/tmp/cap/own", "overlay", 0,
			     "lowerdir=/tmp/cap/fs/low,upperdir=/tmp/cap/fs/up2,"
			     "workdir=/tmp/cap/fs/work2"));
}

/* A file of an overlay that the host mounted is copied up with the host's rights, unless the
 * container has stacked one itself: then the rights may be its own. */
static void test_overlay(void **state)
{
	static char one[] = "/tmp/cap/host/one", two[] = "/tmp/cap/host/two";
	__u32 s;

	(void)state;
	h_shell("mkdir -p /tmp/cap/fs /tmp/cap/host /tmp/cap/own && modprobe -q overlay; "
		"/usr/bin/mount -t tmpfs none /tmp/cap/fs && cd /tmp/cap/fs && "
		"mkdir low up work up2 work2 && echo 1 >low/one && echo 2 >low/two && "
		"/usr/bin/mount -t overlay none -o lowerdir=low,upperdir=up,workdir=work "
		"/tmp/cap/host");
	s = h_container(FEW);
	assert_int_equal(h_run((int)s, do_copy_up, one), 0);
	assert_int_equal(h_stats(s).stacked, 0);
	h_policy(s, "policy: stack\ndefaults: {mount: allow}\n");
	assert_int_equal(h_run((int)s, do_stack, NULL), 0);
	assert_int_equal(h_stats(s).stacked, 1);
	h_policy(s, FEW);
	/* Overlayfs's work folder has mode 0: the first to be missing is dac_override. */
	assert_int_equal(h_run((int)s, do_copy_up, two), EACCES);
	assert_int_equal(h_run(-1, do_copy_up, two), 0);
	umount2("/tmp/cap/own", MNT_DETACH);
	umount2("/tmp/cap/host", MNT_DETACH);
	umount2("/tmp/cap/fs", MNT_DETACH);
}

/* A request with credentials that were registered with the ring. */
static int do_personality(void *arg)
{
	struct uring u;
	int id, err;

	if (uring_open(&u, 0))
		return BROKEN;
	id = (int)syscall(SYS_io_uring_register, u.fd, IORING_REGISTER_PERSONALITY, NULL, 0);
	if (id <= 0)
		return BROKEN;
	u.sqe->opcode = IORING_OP_NOP;
	u.sqe->personality = *(int *)arg ? id : 0;
	err = uring_run(&u);
	return err < 0 ? -err : err;
}

static void test_personality(void **state)
{
	int without = 0, with = 1;

	(void)state;
	assert_int_equal(h_run(-1, do_personality, &with), 0);
	assert_int_equal(h_run((int)all, do_personality, &without), 0);
	assert_int_equal(h_run((int)all, do_personality, &with), EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default_and_rule),
		cmocka_unit_test(test_deny_rule),
		cmocka_unit_test(test_userns),
		cmocka_unit_test(test_audit),
		cmocka_unit_test(test_event),
		cmocka_unit_test(test_probe),
		cmocka_unit_test(test_note),
		cmocka_unit_test(test_overlay),
		cmocka_unit_test(test_personality),
	};

	close(open("/tmp/cap-file", O_WRONLY | O_CREAT, 0644));
	shared = h_shared(sizeof(*shared));
	few = h_container(FEW);
	all = h_container("policy: all\ndefaults: {namespace: allow, kernel: allow}\n");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
