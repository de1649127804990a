// SPDX-License-Identifier: LGPL-2.1-or-later
/* Handlers as the override thread sees them: what they may say, and what becomes of a call that is
 * changed, killed or forgotten while somebody thinks about it. */
#include "override_rig.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
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

static char *shared; /* what the caller was given, for us to change */

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

static int do_mknod(void *arg)
{
	strcpy(shared, arg);
	if (h_drop_capabilities())
		return 250;
	return h_errno(mknod(shared, S_IFCHR | 0600, makedev(1, 3)));
}

static int do_swapon(void *arg)
{
	long result;

	(void)arg;
	if (h_drop_capabilities())
		return 250;
	result = syscall(SYS_swapon, "/mnt/other/none", 0);
	return result == -1 ? errno : result == 42 ? 200 : 201;
}

/* In the host's UTS namespace: a built-in deny. */
static int do_sethostname(void *arg)
{
	(void)arg;
	if (h_drop_capabilities())
		return 250;
	return h_errno(sethostname("x", 1));
}

static void test_says(void **state)
{
	__u32 slot = rig_container(policy);
	struct stat st;

	(void)state;
	says(OVERRIDE_SAYS_PERFORM, 0);
	ANSWER(0, "handler h says so", do_mknod, "/mnt/scratch/n");
	assert_int_equal(h.last.may_perform, 1);
	assert_string_equal(h.last.handler, "h");
	assert_string_equal(h.last.call.target, "/mnt/scratch/n");
	assert_int_equal(rig.last.performed, 1);
	assert_int_equal(stat("/mnt/scratch/n", &st), 0);
	assert_int_equal(unlink("/mnt/scratch/n"), 0);
	says(OVERRIDE_SAYS_DENY, ENOTTY);
	ANSWER(ENOTTY, "says so", do_mknod, "/mnt/scratch/n");
	says(OVERRIDE_SAYS_FAKE, 42);
	ANSWER(200, "nothing is done", do_swapon, "");
	says(OVERRIDE_SAYS_FAKE, 0);
	ANSWER(0, "nothing is done", do_mknod, "/mnt/scratch/n");
	assert_int_equal(rig.last.performed, 0);
	assert_int_equal(access("/mnt/scratch/n", F_OK), -1);
	says(OVERRIDE_SAYS_NOTHING, 0);
	ANSWER(EAGAIN, "fallback", do_mknod, "/mnt/scratch/n");
	ANSWER(EPERM, "fallback", do_swapon, "");
	rig.on_ask = NULL;
	ANSWER(EAGAIN, "fallback", do_mknod, "/mnt/scratch/n");
}

/* Built-in denies, the policy's own, and the rule's conditions come before it. */
static void test_widens_nothing(void **state)
{
	__u32 slot = rig_container(policy);

	(void)state;
	says(OVERRIDE_SAYS_PERFORM, 0);
	ANSWER(EPERM, "fallback", do_sethostname, "");
	assert_int_equal(h.last.may_perform, 0);
	ANSWER(EPERM, "fallback", do_swapon, "");
	assert_int_equal(h.last.may_perform, 0);
	h.asked = 0;
	ANSWER(EPERM, "does not allow the target", do_mknod, "/mnt/other/n");
	ANSWER(EPERM, "", do_mknod, "/mnt/scratch/denied/in/n");
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
	ANSWER(EPERM, "was changed while", do_mknod, "/mnt/scratch/n");
	assert_int_equal(symlink("/mnt/scratch/a", "/mnt/scratch/swap"), 0);
	says(OVERRIDE_SAYS_PERFORM, 0);
	h.meanwhile = swap_link;
	ANSWER(EPERM, "was renamed while", do_mknod, "/mnt/scratch/swap/n");
	assert_int_equal(access("/mnt/scratch/other", F_OK), -1);
	assert_int_equal(access("/mnt/scratch/a/n", F_OK), -1);
	assert_int_equal(access("/mnt/scratch/b/n", F_OK), -1);
	unlink("/mnt/scratch/swap");
}

static int do_overlay(void *arg)
{
	strcpy(shared, arg);
	if (h_drop_capabilities())
		return 250;
	return h_errno(mount("overlay", "/mnt/scratch/m", "overlay", 0, shared));
}

static int do_umount(void *arg)
{
	(void)arg;
	if (h_drop_capabilities())
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
	ANSWER(0, "says so", do_overlay, layers);
	assert_string_equal(h.last.options, layers);
	ANSWER(0, "", do_umount, "");
	h.answer.changes.has_options = 1;
	snprintf(h.answer.changes.options, sizeof(h.answer.changes.options), "xino=off,%s", layers);
	ANSWER(0, "says so", do_overlay, layers);
	ANSWER(0, "", do_umount, "");
	strcpy(h.answer.changes.options, "lowerdir=/mnt/scratch/l/a");
	ANSWER(EPERM, "other layers", do_overlay, layers);
	strcpy(h.answer.changes.options, "xino=off");
	ANSWER(EPERM, "other layers", do_overlay, layers);
	says(OVERRIDE_SAYS_PERFORM, 0);
	h.meanwhile = swap_layer;
	ANSWER(EPERM, "a layer was renamed while", do_overlay, layers);
	assert_int_equal(rig_mounted("/mnt/scratch/m", NULL, 0), 0);
	h_shell("cd /mnt/scratch && rm -r m l");
}

static void test_forgotten(void **state)
{
	__u32 slot = rig_container(policy);
	struct override_answer a = { .says = OVERRIDE_SAYS_PERFORM };
	int got;

	(void)state;
	says(OVERRIDE_SAYS_PERFORM, 0);
	h.silent = 1;
	ANSWER(EAGAIN, "within the deadline", do_mknod, "/mnt/scratch/n");
	/* Its answer comes now: nobody waits for it. */
	a.cookie = h.last.cookie;
	assert_int_equal(override_answer(rig.override, &a), 0);
	usleep(300000);
	assert_int_equal(access("/mnt/scratch/n", F_OK), -1);
	/* The caller is killed meanwhile. */
	h.meanwhile = rig_kill_caller;
	got = rig_run_in_time(slot, do_swapon, NULL);
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
	begun = clock_now_ms();
	ANSWER(EAGAIN, "within the deadline", do_mknod, "/mnt/scratch/n");
	assert_in_range(clock_now_ms() - begun, 3500, 60000);
	says(OVERRIDE_SAYS_DENY, 0);
	h.silent = 1;
	for (int i = 0; i < 6 && h.asked < 4; i++) {
		before = h.asked;
		pid[waiting++] = h_start((int)slot, do_swapon, NULL);
		for (int k = 0; k < 200 && h.asked == before; k++)
			usleep(10000);
	}
	if (h.asked == 4) {
		ANSWER(EPERM, "too many calls", do_swapon, "");
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
	shared = h_shared(4096);
	h_shell("mkdir -p /mnt/scratch/denied/in");
	return rig_setup(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_says),	  cmocka_unit_test(test_widens_nothing),
		cmocka_unit_test(test_changed),	  cmocka_unit_test(test_forgotten),
		cmocka_unit_test(test_bounds),	  cmocka_unit_test(test_layers),
	};

	return cmocka_run_group_tests(tests, setup, rig_teardown);
}
