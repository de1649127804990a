// SPDX-License-Identifier: LGPL-2.1-or-later
/* Handlers as the override thread sees them: what they may say, and what becomes of a call that is
 * changed, killed or forgotten while somebody thinks about it. */
#include "override_rig.h"

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static const char policy[] =
	"policy: t\ndefaults: {namespace: allow}\n"
	"file: [{deny: [mknod], path: /mnt/scratch/denied/**}]\n"
	"override:\n"
	"  - {on: mknod, node: 'c 1:3', target: /mnt/scratch/**, do: 'handler:h', deadline: 2s, "
	"fallback: EAGAIN}\n"
	"  - {on: sethostname, do: 'handler:h', deadline: 30s}\n"
	"  - {on: swapon, do: 'handler:h', deadline: 30s}\n"
	"  - {on: mount, type: overlay, source: /mnt/scratch/l/*, target: /mnt/scratch/m, options: {xino: '*'}, "
	"do: 'handler:h', deadline: 30s}\n"
	"  - {on: umount, target: /mnt/scratch/m, do: perform}\n";

static struct warder_image *image;
static char *shared; /* the path, as the caller and we see it */

static struct {
	struct override_answer answer;
	struct override_ask last;
	int asked, silent;
	const char *swap_to; /* the path in memory becomes this one, before it is answered */
	void (*meanwhile)(void);
} h;

static int on_ask(const struct override_ask *ask)
{
	struct override_answer a = h.answer;

	h.last = *ask;
	h.asked++;
	if (h.swap_to)
		strcpy(shared, h.swap_to);
	if (h.meanwhile)
		h.meanwhile();
	a.cookie = ask->cookie;
	if (!h.silent)
		override_answer(rig.override, &a);
	return 0;
}

static void says(int what, int value)
{
	memset(&h, 0, sizeof(h));
	h.answer = (struct override_answer){ .says = what, .value = value, .why = "handler h says so" };
	rig.on_ask = on_ask;
}

static int drop(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };

	return syscall(SYS_capset, &head, none) ? 250 : 0;
}

static int do_mknod(void *arg)
{
	(void)arg;
	if (drop())
		return 250;
	return h_errno(mknod(shared, S_IFCHR | 0600, makedev(1, 3)));
}

static int do_swapon(void *arg)
{
	long result;

	(void)arg;
	if (drop())
		return 250;
	result = syscall(SYS_swapon, "/mnt/other/none", 0);
	return result == -1 ? errno : result == 42 ? 200 : 201;
}

/* In the host's UTS namespace: a built-in deny. */
static int do_sethostname(void *arg)
{
	(void)arg;
	if (drop())
		return 250;
	return h_errno(sethostname("x", 1));
}

/* An answer that came too late on a slow machine says so, and is asked again. */
static int run(__u32 slot, int (*fn)(void *), const char *path)
{
	for (int i = 0;; i++) {
		int before = rig.outcomes, got;

		strcpy(shared, path);
		got = rig_run((int)slot, fn, NULL);
		rig_outcome_wait(before, 1);
		if (i == 9 || !rig.last.icept.unasked)
			return got;
	}
}

#define RESULT(expected, why, fn, path)                                                       \
	do {                                                                                  \
		int got_ = run(slot, fn, path);                                               \
		if (got_ != (expected) || !strstr(rig.last.reason, why))                      \
			fail_msg("%s: %d, not %d: %s", path, got_, expected, rig.last.reason); \
	} while (0)

static void test_says(void **state)
{
	__u32 slot = rig_container(policy);
	struct stat st;

	(void)state;
	says(OVERRIDE_SAYS_PERFORM, 0);
	RESULT(0, "handler h says so", do_mknod, "/mnt/scratch/n");
	assert_int_equal(h.last.may_perform, 1);
	assert_string_equal(h.last.handler, "h");
	assert_string_equal(h.last.call.target, "/mnt/scratch/n");
	assert_int_equal(rig.last.performed, 1);
	assert_int_equal(stat("/mnt/scratch/n", &st), 0);
	assert_int_equal(unlink("/mnt/scratch/n"), 0);
	says(OVERRIDE_SAYS_DENY, ENOTTY);
	RESULT(ENOTTY, "says so", do_mknod, "/mnt/scratch/n");
	says(OVERRIDE_SAYS_FAKE, 42);
	RESULT(200, "nothing is done", do_swapon, "");
	says(OVERRIDE_SAYS_FAKE, 0);
	RESULT(0, "nothing is done", do_mknod, "/mnt/scratch/n");
	assert_int_equal(rig.last.performed, 0);
	assert_int_equal(access("/mnt/scratch/n", F_OK), -1);
	says(OVERRIDE_SAYS_NOTHING, 0);
	RESULT(EAGAIN, "fallback", do_mknod, "/mnt/scratch/n");
	RESULT(EPERM, "fallback", do_swapon, "");
	rig.on_ask = NULL;
	RESULT(EAGAIN, "fallback", do_mknod, "/mnt/scratch/n");
}

/* Built-in denies, the policy's own, and the rule's conditions come before it. */
static void test_widens_nothing(void **state)
{
	__u32 slot = rig_container(policy);

	(void)state;
	says(OVERRIDE_SAYS_PERFORM, 0);
	RESULT(EPERM, "fallback", do_sethostname, "");
	assert_int_equal(h.last.may_perform, 0);
	RESULT(EPERM, "fallback", do_swapon, "");
	assert_int_equal(h.last.may_perform, 0);
	h.asked = 0;
	RESULT(EPERM, "does not allow the target", do_mknod, "/mnt/other/n");
	RESULT(EPERM, "", do_mknod, "/mnt/scratch/denied/in/n");
	assert_int_equal(h.asked, 0);
}

static void swap_link(void)
{
	unlink("/mnt/scratch/swap");
	if (symlink("/mnt/scratch/b", "/mnt/scratch/swap"))
		rig.on_ask = NULL;
}

/* What was decided on is what is performed. */
static void test_changed(void **state)
{
	__u32 slot = rig_container(policy);

	(void)state;
	says(OVERRIDE_SAYS_PERFORM, 0);
	h.swap_to = "/mnt/scratch/other";
	RESULT(EPERM, "was changed while", do_mknod, "/mnt/scratch/n");
	assert_int_equal(symlink("/mnt/scratch/a", "/mnt/scratch/swap"), 0);
	says(OVERRIDE_SAYS_PERFORM, 0);
	h.meanwhile = swap_link;
	RESULT(EPERM, "was renamed while", do_mknod, "/mnt/scratch/swap/n");
	assert_int_equal(access("/mnt/scratch/other", F_OK), -1);
	assert_int_equal(access("/mnt/scratch/a/n", F_OK), -1);
	assert_int_equal(access("/mnt/scratch/b/n", F_OK), -1);
	unlink("/mnt/scratch/swap");
}

static int do_overlay(void *arg)
{
	(void)arg;
	if (drop())
		return 250;
	return h_errno(mount("overlay", "/mnt/scratch/m", "overlay", 0, shared));
}

static int do_umount(void *arg)
{
	(void)arg;
	if (drop())
		return 250;
	return h_errno(umount2("/mnt/scratch/m", 0));
}

static void swap_layer(void)
{
	unlink("/mnt/scratch/l/link");
	if (symlink("c", "/mnt/scratch/l/link"))
		rig.on_ask = NULL;
}

/* Layers are those that the handler was asked about: neither it nor the caller can name others. */
static void test_layers(void **state)
{
	static const char layers[] = "lowerdir=/mnt/scratch/l/a:/mnt/scratch/l/link";
	__u32 slot = rig_container(policy);

	(void)state;
	h_shell("modprobe overlay; cd /mnt/scratch && mkdir -p m l/a l/b l/c && ln -sfn b l/link");
	says(OVERRIDE_SAYS_PERFORM, 0);
	RESULT(0, "says so", do_overlay, layers);
	assert_string_equal(h.last.options, layers);
	RESULT(0, "", do_umount, "");
	h.answer.changes.has_options = 1;
	snprintf(h.answer.changes.options, sizeof(h.answer.changes.options), "xino=off,%s", layers);
	RESULT(0, "says so", do_overlay, layers);
	RESULT(0, "", do_umount, "");
	strcpy(h.answer.changes.options, "lowerdir=/mnt/scratch/l/a");
	RESULT(EPERM, "other layers", do_overlay, layers);
	strcpy(h.answer.changes.options, "xino=off");
	RESULT(EPERM, "other layers", do_overlay, layers);
	says(OVERRIDE_SAYS_PERFORM, 0);
	h.meanwhile = swap_layer;
	RESULT(EPERM, "a layer was renamed while", do_overlay, layers);
	assert_int_equal(rig_mounted("/mnt/scratch/m", NULL, 0), 0);
	h_shell("cd /mnt/scratch && rm -r m l");
}

static void kill_caller(void)
{
	for (int i = 0; i < 1000 && !__atomic_load_n(&rig.caller, __ATOMIC_ACQUIRE); i++)
		usleep(1000);
	kill(rig.caller, SIGKILL);
}

static void test_forgotten(void **state)
{
	__u32 slot = rig_container(policy);
	struct override_answer a = { .says = OVERRIDE_SAYS_PERFORM };
	int got;

	(void)state;
	says(OVERRIDE_SAYS_PERFORM, 0);
	h.silent = 1;
	RESULT(EAGAIN, "within the deadline", do_mknod, "/mnt/scratch/n");
	/* Its answer comes now: nobody waits for it. */
	a.cookie = h.last.cookie;
	assert_int_equal(override_answer(rig.override, &a), 0);
	usleep(300000);
	assert_int_equal(access("/mnt/scratch/n", F_OK), -1);
	/* The caller is killed meanwhile. */
	h.meanwhile = kill_caller;
	got = run(slot, do_swapon, "");
	if (got != RIG_REAPED)
		assert_int_equal(got, 128 + SIGKILL);
	assert_non_null(strstr(rig.last.reason, "gone"));
}

/* More time, by defer; and of one container no more than four wait. */
static void test_bounds(void **state)
{
	__u32 slot = rig_container(policy);
	struct override_answer end = { .says = OVERRIDE_SAYS_DENY, .value = ENOTTY };
	pid_t pid[6];
	int before, waiting = 0;
	__u64 begun;

	(void)state;
	says(OVERRIDE_SAYS_DEFER, 4000);
	begun = rig_now_ms();
	RESULT(EAGAIN, "within the deadline", do_mknod, "/mnt/scratch/n");
	assert_in_range(rig_now_ms() - begun, 3500, 60000);
	says(OVERRIDE_SAYS_DENY, 0);
	h.silent = 1;
	for (int i = 0; i < 6 && h.asked < 4; i++) {
		before = h.asked;
		pid[waiting++] = h_start((int)slot, do_swapon, NULL);
		for (int k = 0; k < 200 && h.asked == before; k++)
			usleep(10000);
	}
	if (h.asked == 4) {
		RESULT(EPERM, "too many calls", do_swapon, "");
		assert_int_equal(h.asked, 4);
	}
	for (__u64 cookie = h.last.cookie > 64 ? h.last.cookie - 64 : 1; cookie <= h.last.cookie; cookie++) {
		end.cookie = cookie;
		while (override_answer(rig.override, &end))
			usleep(10000);
	}
	for (int i = 0; i < waiting; i++) {
		int got = rig_wait(pid[i]);

		assert_true(got == ENOTTY || got == EPERM);
	}
}

static int setup(void **state)
{
	int err;

	image = h_compile(policy);
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	h_shell("mkdir -p /mnt/scratch/denied/in");
	err = rig_setup(state);
	rig.image = image;
	return err;
}

static int teardown(void **state)
{
	int err = rig_teardown(state);

	free(image);
	return err;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_says),	  cmocka_unit_test(test_widens_nothing),
		cmocka_unit_test(test_changed),	  cmocka_unit_test(test_forgotten),
		cmocka_unit_test(test_bounds),	  cmocka_unit_test(test_layers),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
