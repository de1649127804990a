// SPDX-License-Identifier: LGPL-2.1-or-later
/* Every supervised system call, refused by the kernel: answered by rules, denied, or only explained. */
#include "override_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/quota.h>
#include <linux/reboot.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "calls.h"

#define ALL_CALLS                                                                             \
	"[umount, pivot_root, chroot, mknod, setxattr, sethostname, setdomainname, "          \
	"sched_setscheduler, setpriority, ioprio_set, setns, unshare, swapon, swapoff, "      \
	"reboot, settimeofday, clock_settime, bpf, perf_event_open, open_by_handle_at, "      \
	"quotactl, keyctl]"

static const char policy_fake[] = "policy: f\ndefaults: {namespace: allow}\n"
				  "override: [{on: " ALL_CALLS ", do: fake, value: 77}]\n";
static const char policy_deny[] = "policy: d\ndefaults: {namespace: allow}\n"
				  "override: [{on: " ALL_CALLS ", do: deny, errno: ENOTTY}]\n";
static const char policy_report[] = "policy: r\ndefaults: {namespace: allow}\n"
				    "override: [{on: " ALL_CALLS ", do: report}]\n";

/* What each does to nobody, should it be let through after all. */
static long call_umount(void)
{
	return syscall(SYS_umount2, "/mnt/other", 0);
}

static long call_pivot_root(void)
{
	return syscall(SYS_pivot_root, "/mnt/other", "/mnt/other");
}

static long call_chroot(void)
{
	return syscall(SYS_chroot, "/");
}

static long call_mknod(void)
{
	return syscall(SYS_mknod, "/mnt/other/node", S_IFCHR | 0600, makedev(1, 3));
}

static long call_mknodat(void)
{
	return syscall(SYS_mknodat, AT_FDCWD, "/mnt/other/node", S_IFCHR | 0600, makedev(1, 3));
}

static long call_setxattr(void)
{
	return syscall(SYS_setxattr, "/mnt/other", "trusted.warder", "y", 1, 0);
}

static long call_lsetxattr(void)
{
	return syscall(SYS_lsetxattr, "/mnt/other", "trusted.warder", "y", 1, 0);
}

static long call_fsetxattr(void)
{
	return syscall(SYS_fsetxattr, open("/mnt/other", O_RDONLY), "trusted.warder", "y", 1, 0);
}

static long call_sethostname(void)
{
	return syscall(SYS_sethostname, "other", 5);
}

static long call_setdomainname(void)
{
	return syscall(SYS_setdomainname, "other", 5);
}

static const struct sched_param realtime = { .sched_priority = 1 };

static long call_sched_setscheduler(void)
{
	return syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &realtime);
}

static long call_sched_setattr(void)
{
	const struct {
		__u32 size, policy;
		__u64 flags;
		__s32 nice;
		__u32 priority;
		__u64 time[3];
	} attr = { .size = 48, .policy = SCHED_RR, .priority = 1 };

	return syscall(SYS_sched_setattr, 0, &attr, 0);
}

static long call_setpriority(void)
{
	return syscall(SYS_setpriority, PRIO_PROCESS, 0, -5);
}

static long call_ioprio_set(void)
{
	return syscall(SYS_ioprio_set, 1, 0, 1 << 13);
}

static long call_setns(void)
{
	return syscall(SYS_setns, open("/proc/self/ns/net", O_RDONLY), 0);
}

static long call_unshare(void)
{
	return syscall(SYS_unshare, CLONE_NEWNET);
}

static long call_swapon(void)
{
	return syscall(SYS_swapon, "/mnt/other/none", 0);
}

static long call_swapoff(void)
{
	return syscall(SYS_swapoff, "/mnt/other/none");
}

static long call_reboot(void)
{
	return syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_CAD_OFF,
		       NULL);
}

static long call_settimeofday(void)
{
	struct timeval now;

	gettimeofday(&now, NULL);
	return syscall(SYS_settimeofday, &now, NULL);
}

static long call_clock_settime(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return syscall(SYS_clock_settime, CLOCK_REALTIME, &now);
}

static long call_bpf(void)
{
	char attr[128] = { 0 };

	return syscall(SYS_bpf, 5, attr, sizeof(attr));
}

static long call_perf_event_open(void)
{
	struct perf_event_attr attr = { .size = sizeof(attr), .type = PERF_TYPE_SOFTWARE };

	return syscall(SYS_perf_event_open, &attr, -1, 0, -1, 0);
}

static long call_open_by_handle_at(void)
{
	struct {
		struct file_handle h;
		char b[8];
	} handle = { .h = { .handle_bytes = 8, .handle_type = 1 } };

	return syscall(SYS_open_by_handle_at, AT_FDCWD, &handle, O_RDONLY);
}

static long call_quotactl(void)
{
	return syscall(SYS_quotactl, QCMD(Q_SYNC, USRQUOTA), NULL, 0, NULL);
}

static long call_keyctl(void)
{
	return syscall(SYS_keyctl, KEYCTL_GET_PERSISTENT, 12345, KEY_SPEC_PROCESS_KEYRING, 0, 0);
}

static const struct call {
	__u32 call;
	int refused; /* with what, by the kernel or this policy's default */
	long (*fn)(void);
} calls[] = {
#define CALL(name, err) { WARDER_CALL_##name, err, call_##name }
	CALL(umount, EPERM),		 CALL(pivot_root, EPERM),    CALL(chroot, EPERM),
	CALL(mknod, EPERM),		 CALL(mknodat, EPERM),	     CALL(setxattr, EPERM),
	CALL(lsetxattr, EPERM),		 CALL(fsetxattr, EPERM),     CALL(sethostname, EPERM),
	CALL(setdomainname, EPERM),	 CALL(sched_setscheduler, EPERM), CALL(sched_setattr, EPERM),
	CALL(setpriority, EACCES),	 CALL(ioprio_set, EPERM),    CALL(setns, EPERM),
	CALL(unshare, EPERM),		 CALL(swapon, EPERM),	     CALL(swapoff, EPERM),
	CALL(reboot, EPERM),		 CALL(settimeofday, EPERM),  CALL(clock_settime, EPERM),
	CALL(bpf, EPERM),		 CALL(perf_event_open, 0),   CALL(open_by_handle_at, EPERM),
	CALL(quotactl, EPERM),		 CALL(keyctl, EPERM),
#undef CALL
};

/* As root without any capability. Exit status: 0..: the errno; 200: it returned 77; 201: another
 * number. */
static int make_call(void *arg)
{
	const struct call *c = arg;
	long result;

	if (h_drop_capabilities())
		return 250;
	result = c->fn();
	return result == -1 ? errno : result == 77 ? 200 : 201;
}

static void all_calls(const char *policy, int expected, const char *reason)
{
	__u32 slot = rig_container(policy);

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		const struct call *c = &calls[i];
		int got = rig_run_in_time(slot, make_call, (void *)c);
		const struct warder_icept *ic = &rig.last.icept;

		if (expected ? got != expected : c->refused ? got != c->refused : got != EPERM && got != EACCES)
			fail_msg("%s: %d, %s", call_name(c->call), got, rig.last.reason);
		if (ic->call != c->call || !strstr(rig.last.reason, reason))
			fail_msg("%s: told as %s: %s", call_name(c->call), call_name(ic->call),
				 rig.last.reason);
		assert_int_equal(rig.last.performed, 0);
		assert_int_not_equal(ic->cause, WARDER_REFUSAL_NONE);
	}
}

static void test_fake(void **state)
{
	(void)state;
	all_calls(policy_fake, 200, "does nothing");
	assert_int_equal(access("/mnt/other/node", F_OK), -1);
}

static void test_deny(void **state)
{
	(void)state;
	all_calls(policy_deny, ENOTTY, "refuses it");
}

static void test_report(void **state)
{
	(void)state;
	all_calls(policy_report, 0, "");
}

static void test_explained(void **state)
{
	const struct call c = { WARDER_CALL_sethostname, EPERM, call_sethostname };
	__u32 slot = rig_container(policy_report);

	(void)state;
	assert_int_equal(rig_run_in_time(slot, make_call, (void *)&c), EPERM);
	assert_int_equal(rig.last.icept.cause, WARDER_REFUSAL_CAPABILITY);
	assert_int_equal(rig.last.icept.cap, CAP_SYS_ADMIN);
	assert_int_equal(rig.last.icept.cap_userns, rig_ns_ino("/proc/self/ns/user"));
	assert_int_equal(rig.last.icept.unasked, WARDER_UNASKED_NO_RULE);
	assert_non_null(strstr(rig.last.reason, "reported only"));
	assert_int_not_equal(rig.last.near_rule, 0);
}

static int hostname_with_rights(void *arg)
{
	(void)arg;
	return call_sethostname() == -1 ? errno : 0;
}

/* The capability is there, the policy refuses by name: nothing overrides that. */
static void test_explicit_deny(void **state)
{
	static const char text[] = "policy: e\nkernel: [{deny: [hostname]}]\n"
				   "override: [{on: sethostname, do: fake}]\n";
	__u32 slot = rig_container(text);

	(void)state;
	assert_int_equal(rig_run_in_time(slot, hostname_with_rights, NULL), EPERM);
	assert_int_equal(rig.last.icept.unasked, WARDER_UNASKED_EXPLICIT);
}

/* sethostname by the 32-bit entry, with its own number and registers. */
static long call_sethostname32(void)
{
	char *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	long result = 74;

	if (low == MAP_FAILED)
		return 0;
	strcpy(low, "other");
	asm volatile("int $0x80"
		     : "+a"(result)
		     : "b"(low), "c"(5L)
		     : "memory", "r8", "r9", "r10", "r11");
	if (result >= 0)
		return result;
	errno = (int)-result;
	return -1;
}

static void test_32bit(void **state)
{
	const struct call c = { WARDER_CALL_sethostname, EPERM, call_sethostname32 };
	__u32 slot = rig_container(policy_fake);
	int got;

	(void)state;
	got = rig_run_in_time(slot, make_call, (void *)&c);
	if (got != 200)
		fail_msg("%d: %s, unasked %u, entry %u, cause %u: %s", got,
			 call_name(rig.last.icept.call), rig.last.icept.unasked,
			 rig.last.icept.compat, rig.last.icept.cause, rig.last.reason);
	assert_int_equal(rig.last.icept.compat, 1);
	assert_int_equal(rig.last.icept.nr, 74);
}

static int attached(const char *call)
{
	char name[64];
	int is;

	snprintf(name, sizeof(name), "warder_call64_%s", call);
	is = loader_is_attached(h_load(), name);
	if (is >= 0)
		return is;
	snprintf(name, sizeof(name), "warder_callu64_%s", call);
	return loader_is_attached(h_load(), name);
}

/* Runs first. What no policy speaks of costs nobody anything. */
static void test_attached(void **state)
{
	(void)state;
	assert_int_equal(attached("setns"), 0);
	h_container("policy: n\noverride: [{on: [setns, swapon], do: report}]\n");
	assert_int_equal(attached("setns"), 1);
	assert_int_equal(attached("swapon"), 1);
	assert_int_equal(attached("mount"), 1);
	assert_int_equal(attached("swapoff"), 0);
	assert_int_equal(attached("refused"), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attached),      cmocka_unit_test(test_fake),
		cmocka_unit_test(test_deny),	      cmocka_unit_test(test_report),
		cmocka_unit_test(test_explained),     cmocka_unit_test(test_explicit_deny),
		cmocka_unit_test(test_32bit),
	};

	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
