// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Class "kernel" against the kernel: each surface denied by default, allowed by a rule, and left
 * to the kernel by one: what root of the host may do, the container may do too.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/fanotify.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <linux/rtc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/fanotify.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/quota.h>
#include <sys/reboot.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "ops.h"

#define BROKEN 90

static __u32 standard, closed, open_, audit;

static int do_kmsg(void *arg)
{
	(void)arg;
	return h_open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
}

static int do_clock_settime(void *arg)
{
	struct timespec now;

	(void)arg;
	clock_gettime(CLOCK_REALTIME, &now);
	return h_errno(clock_settime(CLOCK_REALTIME, &now));
}

/* Sets what is set already. */
static int do_adjtimex(void *arg)
{
	struct timex t = { 0 };

	(void)arg;
	if (adjtimex(&t) < 0)
		return BROKEN;
	t.modes = ADJ_TICK;
	return h_errno(adjtimex(&t));
}

static int do_clock_adjtime(void *arg)
{
	struct timex t = { 0 };

	(void)arg;
	if (clock_adjtime(CLOCK_REALTIME, &t) < 0)
		return BROKEN;
	t.modes = ADJ_TICK;
	return h_errno(clock_adjtime(CLOCK_REALTIME, &t));
}

static int do_perf(void *arg)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(attr),
					.config = PERF_COUNT_SW_TASK_CLOCK, .exclude_kernel = 1 };

	(void)arg;
	return h_errno(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0));
}

static int do_swapon(void *arg)
{
	(void)arg;
	return h_errno(swapon("/s/none", 0));
}

static int do_swapoff(void *arg)
{
	(void)arg;
	return h_errno(swapoff("/s/none"));
}

/* Not a command of reboot(2): the question is asked before it is looked at. */
static int do_reboot(void *arg)
{
	(void)arg;
	return h_errno(reboot(RB_DISABLE_CAD));
}

static int do_io_uring(void *arg)
{
	struct io_uring_params p = { 0 };

	(void)arg;
	return h_errno(syscall(SYS_io_uring_setup, 2, &p));
}

static int do_sqpoll(void *arg)
{
	struct io_uring_params p = { .flags = IORING_SETUP_SQPOLL };

	(void)arg;
	return h_errno(syscall(SYS_io_uring_setup, 2, &p));
}

static int do_userfaultfd(void *arg)
{
	(void)arg;
	return h_errno(syscall(SYS_userfaultfd, O_CLOEXEC));
}

#define USERFAULTFD_NEW 0xaa00 /* _IO(0xaa, 0), of /dev/userfaultfd */
static int do_dev_userfaultfd(void *arg)
{
	cleanup_close int fd = open("/dev/userfaultfd", O_RDWR);

	(void)arg;
	return fd < 0 ? BROKEN : h_errno(ioctl(fd, USERFAULTFD_NEW, O_CLOEXEC));
}

static int do_quota(void *arg)
{
	(void)arg;
	/* Of all file systems: asks for nothing but the hook. */
	return h_errno(quotactl(QCMD(Q_SYNC, USRQUOTA), NULL, 0, NULL));
}

static int do_acct(void *arg)
{
	(void)arg;
	return h_errno(acct(NULL));
}

static int do_iopl(void *arg)
{
	(void)arg;
	return h_errno(iopl(3));
}

static int do_ioperm(void *arg)
{
	(void)arg;
	return h_errno(ioperm(0x378, 1, 1));
}

static int do_handle(void *arg)
{
	struct {
		struct file_handle h;
		char room[MAX_HANDLE_SZ];
	} handle = { .h = { .handle_bytes = MAX_HANDLE_SZ } };
	cleanup_close int dir = open("/s", O_RDONLY | O_DIRECTORY);
	int id;

	(void)arg;
	if (name_to_handle_at(AT_FDCWD, "/s/file", &handle.h, &id, 0))
		return BROKEN;
	return h_errno(open_by_handle_at(dir, &handle.h, O_RDONLY));
}

static int do_fanotify(void *arg)
{
	(void)arg;
	return h_errno(fanotify_init(FAN_CLASS_CONTENT, O_RDONLY));
}

static const struct {
	const char *surface;
	int (*act)(void *);
	int optional; /* the kernel may lack it: EPERM for the container, or what the host gets */
} acts[] = {
	{ "syslog", op_syslog, 0 },	     { "syslog", do_kmsg, 0 },
	{ "settime", op_settime, 0 },	     { "settime", do_clock_settime, 0 },
	{ "settime", do_adjtimex, 0 },	     { "settime", do_clock_adjtime, 0 },
	{ "perf", do_perf, 0 },		     { "swap", do_swapon, 0 },
	{ "swap", do_swapoff, 0 },	     { "reboot", do_reboot, 0 },
	{ "io_uring", do_io_uring, 0 },	     { "io_uring", do_sqpoll, 0 },
	{ "userfaultfd", do_userfaultfd, 1 }, { "userfaultfd", do_dev_userfaultfd, 1 },
	{ "quota", do_quota, 1 },	     { "acct", do_acct, 1 },
	{ "rawio", do_iopl, 0 },	     { "rawio", do_ioperm, 0 },
	{ "handle", do_handle, 0 },	     { "fanotify", do_fanotify, 0 },
};

static void test_surfaces(void **state)
{
	char text[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(acts); i++) {
		int host = h_run(-1, acts[i].act, NULL);
		__u64 before;
		__u32 only, denied;

		if (acts[i].optional && (host == ENOSYS || host == BROKEN)) {
			print_message("%s: not in this kernel\n", acts[i].surface);
			continue;
		}
		assert_int_not_equal(host, BROKEN);
		assert_int_not_equal(host, EPERM);
		snprintf(text, sizeof(text), "policy: only\nkernel: [{allow: [%s]}]\n",
			 acts[i].surface);
		only = h_container(text);
		snprintf(text, sizeof(text),
			 "policy: denied\ndefaults: {kernel: allow}\nkernel: [{deny: [%s]}]\n",
			 acts[i].surface);
		denied = h_container(text);
		if (h_run((int)standard, acts[i].act, NULL) != EPERM ||
		    h_run((int)denied, acts[i].act, NULL) != EPERM ||
		    h_run((int)only, acts[i].act, NULL) != host ||
		    h_run((int)open_, acts[i].act, NULL) != host)
			fail_msg("%s (%zu): host %d, default %d, denied %d, rule %d, open %d",
				 acts[i].surface, i, host, h_run((int)standard, acts[i].act, NULL),
				 h_run((int)denied, acts[i].act, NULL),
				 h_run((int)only, acts[i].act, NULL),
				 h_run((int)open_, acts[i].act, NULL));
		before = h_stats(audit).audited;
		assert_int_equal(h_run((int)audit, acts[i].act, NULL), host);
		assert_true(h_stats(audit).audited > before);
	}
	assert_int_equal(h_stats(audit).denied, 0);
}

/* A host name is allowed where nothing is said of it. */
static int do_domainname(void *arg)
{
	(void)arg;
	return h_errno(setdomainname("vm", 2));
}

static void test_hostname(void **state)
{
	(void)state;
	assert_int_equal(h_run((int)standard, op_sethostname, NULL), 0);
	assert_int_equal(h_run((int)closed, op_sethostname, NULL), EPERM);
	assert_int_equal(h_run((int)closed, do_domainname, NULL), EPERM);
	assert_int_equal(h_run((int)open_, do_domainname, NULL), 0);
}

/* Reading the time, one's own limits of fanotify and the like ask for nothing. */
static int do_harmless(void *arg)
{
	struct timex t = { 0 };
	int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID, O_RDONLY);

	(void)arg;
	if (fd < 0)
		return errno;
	return h_errno(adjtimex(&t));
}

static void test_harmless(void **state)
{
	(void)state;
	assert_int_equal(h_run((int)closed, do_harmless, NULL), 0);
}

/* In a pid namespace of its own reboot(2) ends that namespace, and no more. */
static int reboot_own(void *arg)
{
	int status;
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);

	(void)arg;
	if (!pid) {
		reboot(RB_AUTOBOOT);
		_exit(errno);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return BROKEN;
	return WIFSIGNALED(status) ? 0 : WEXITSTATUS(status);
}

static void test_reboot_own(void **state)
{
	__u32 s = h_container("policy: pid\nnamespace: [{allow: [pid]}]\n");

	(void)state;
	assert_int_equal(h_run((int)s, do_reboot, NULL), EPERM);
	assert_int_equal(h_run((int)s, reboot_own, NULL), 0);
}

/* ------------------------------------------------------- the 32-bit entry of the kernel */

static int compat(long nr, long a, long b)
{
	int result;

	__asm__ volatile("push %%rbx\n\tmov %2, %%rbx\n\tint $0x80\n\tpop %%rbx"
			 : "=a"(result)
			 : "a"((int)nr), "r"(a), "c"(b), "d"(0)
			 : "r8", "r9", "r10", "r11", "memory");
	return -result;
}

static char *low_text(void)
{
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	return p == MAP_FAILED ? NULL : strcpy(p, "/s/none");
}

static int compat_swapoff(void *arg)
{
	(void)arg;
	return compat(115, (long)low_text(), 0);
}

static int compat_iopl(void *arg)
{
	(void)arg;
	return compat(110, 3, 0);
}

static int compat_unshare(void *arg)
{
	(void)arg;
	return compat(310, CLONE_NEWUTS, 0);
}

static int compat_hostname(void *arg)
{
	(void)arg;
	return compat(74, (long)low_text(), 2);
}

static void test_compat(void **state)
{
	int (*const act[])(void *) = { compat_swapoff, compat_iopl, compat_unshare,
				       compat_hostname };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(act); i++) {
		int host = h_run(-1, act[i], NULL);

		if (host == 128 + SIGSEGV) {
			print_message("no 32-bit system calls in this kernel\n");
			return;
		}
		assert_int_not_equal(host, EPERM);
		assert_int_equal(h_run((int)open_, act[i], NULL), host);
		assert_int_equal(h_run((int)closed, act[i], NULL), EPERM);
	}
	h_shell("hostname vm");
}

/* -------------------------------------------------------------------- the baseline */

static int do_bpf(void *arg)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4,
				.max_entries = 1 };

	(void)arg;
	return h_errno(syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)));
}

static int do_delete_module(void *arg)
{
	(void)arg;
	return h_errno(syscall(SYS_delete_module, "no_such_module", O_NONBLOCK));
}

static int do_kexec_unload(void *arg)
{
	(void)arg;
	return h_errno(syscall(SYS_kexec_load, 0ul, 0ul, NULL, 0ul));
}

static void test_baseline(void **state)
{
	static const struct {
		const char *word;
		int (*act)(void *);
	} list[] = {
		{ "bpf", do_bpf },		   { "modules", op_init_module },
		{ "modules", op_finit_module },	   { "modules", do_delete_module },
		{ "kexec", op_kexec_file },	   { "kexec", do_kexec_unload },
	};
	char text[160];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		int host = h_run(-1, list[i].act, NULL);
		__u32 unsafe, only;

		if (host == ENOSYS)
			continue;
		assert_int_not_equal(host, EPERM);
		snprintf(text, sizeof(text), "policy: u\nunsafe: [%s]\nkernel: [{allow: [%s]}]\n",
			 list[i].word, list[i].word);
		unsafe = h_container(text);
		snprintf(text, sizeof(text), "policy: u\nunsafe: [%s]\n", list[i].word);
		only = h_container(text);
		assert_int_equal(h_run((int)standard, list[i].act, NULL), EPERM);
		assert_int_equal(h_run((int)open_, list[i].act, NULL), EPERM);
		assert_int_equal(h_run((int)audit, list[i].act, NULL), EPERM);
		assert_int_equal(h_run((int)only, list[i].act, NULL), EPERM);
		assert_int_equal(h_run((int)unsafe, list[i].act, NULL), host);
	}
}

static int write_core_pattern(void *arg)
{
	(void)arg;
	return h_open("/proc/sys/kernel/core_pattern", O_WRONLY);
}

static void test_kernel_files(void **state)
{
	__u32 s = h_container("policy: u\nunsafe: [kernel_files]\n");
	__u32 ruled = h_container("policy: u\nunsafe: [kernel_files]\nfile:\n"
				  "  - {deny: [write], path: /proc/sys/**}\n");

	(void)state;
	assert_int_equal(h_run((int)standard, write_core_pattern, NULL), EPERM);
	assert_int_equal(h_run((int)s, write_core_pattern, NULL), 0);
	assert_int_equal(h_run((int)ruled, write_core_pattern, NULL), EACCES);
}

static void test_event(void **state)
{
	char name[WARDER_PATH_MAX], detail[WARDER_PATH_MAX];
	struct warder_event e;

	(void)state;
	h_events_drop();
	assert_int_equal(h_run((int)standard, do_swapoff, NULL), EPERM);
	assert_int_equal(h_event_last(standard, &e, name, detail), 1);
	assert_int_equal(e.class_, WARDER_CLASS_KERNEL);
	assert_int_equal(e.hook, WARDER_HOOK_CAPABLE);
	assert_int_equal(e.access, WARDER_SURFACE_SWAP);
	assert_int_equal(e.v.why, WARDER_WHY_DEFAULT);
	h_events_drop();
	assert_int_equal(h_run((int)standard, do_bpf, NULL), EPERM);
	assert_int_equal(h_event_last(standard, &e, name, detail), 1);
	assert_int_equal(e.access, WARDER_SURFACE_BPF);
	assert_int_equal(e.v.why, WARDER_WHY_BASELINE);
}

/* No kernel of the matrix lacks a hook; that one of its calls asks for nothing is said. */
static void test_gaps(void **state)
{
	struct loader_gap gap[LOADER_GAPS_MAX];
	int count = loader_gaps(NULL, gap, ARRAY_SIZE(gap));

	(void)state;
	assert_in_range(count, 0, 1);
	for (int i = 0; i < count; i++) {
		assert_int_equal(gap[i].serious, 0);
		assert_non_null(strstr(gap[i].text, "open_by_handle_at"));
	}
	assert_int_equal(loader_gaps(NULL, gap, 0), 0);
}

static int prepare(void **state)
{
	(void)state;
	/* A file system that has handles. */
	h_shell("mkdir -p /s && /usr/bin/mount -t tmpfs none /s && : >/s/file");
	standard = h_container("policy: standard\n");
	closed = h_container("policy: closed\ndefaults: {kernel: deny, namespace: deny}\n");
	open_ = h_container("policy: open\ndefaults: {kernel: allow, namespace: allow}\n");
	audit = h_container("policy: audit\nmode: audit\nunsafe: [perfmon]\n"
			    "defaults: {kernel: deny}\n");
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_surfaces),     cmocka_unit_test(test_hostname),
		cmocka_unit_test(test_harmless),     cmocka_unit_test(test_reboot_own),
		cmocka_unit_test(test_compat),	     cmocka_unit_test(test_baseline),
		cmocka_unit_test(test_kernel_files), cmocka_unit_test(test_event),
		cmocka_unit_test(test_gaps),
	};

	return cmocka_run_group_tests(tests, prepare, NULL);
}
