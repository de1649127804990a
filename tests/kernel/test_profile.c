// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Profiles against the kernel: transitions at exec, what they hold for, reloads; and the
 * counters of rules. This program is its own tool: under the name of a program of the tests it
 * does what its arguments say and exits with the errno.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"

/*
 * Profile shop may not write /x/file and not map /x/extra.so, desk may not read /x/file; nobody
 * writes the programs that lead there, or the compiler would refuse to let shop go to desk.
 */
#define SHOP                                                                   \
	"  shop:\n    file:\n      - deny: [write]\n        path: /x/file\n" \
	"      - deny: [map_exec]\n        path: /x/extra.so\n"
#define DESK "  desk:\n    file:\n      - deny: [read]\n        path: /x/file\n"
#define TO_SHOP "    profile: shop\n"
#define TO_DESK "    profile: desk\n"
#define GUARD                                                                      \
	"file:\n  - deny: [write, append, create, delete, rename, link, truncate]\n" \
	"    path: [/x/shop, /x/desk, /x/script, /x/broken]\n"
#define EXEC "exec:\n  - allow: /x/shop\n" TO_SHOP "  - allow: /x/desk\n" TO_DESK
#define POLICY "policy: profiles\n" GUARD EXEC "profiles:\n" SHOP DESK

static __u32 profile_id(const char *text, __u32 number)
{
	cleanup_free struct warder_image *img = h_compile(text);

	return image_profile(img, number)->id;
}

/* ----------------------------------------------------------------- the programs */

static int has_mapped(const char *name)
{
	cleanup_fclose FILE *f = fopen("/proc/self/maps", "re");
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, name) && strstr(line, " r-xp "))
			return 1;
	return f ? 0 : 100;
}

/* Runs argv[0] with the rest and takes over its exit status. */
static int run_argv(char **argv)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		execve(argv[0], argv, environ);
		_exit(errno);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return 101;
	return WEXITSTATUS(status);
}

static int tool(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	char c;

	if (!strcmp(what, "write"))
		return h_open("/x/file", O_WRONLY);
	if (!strcmp(what, "read"))
		return h_open("/x/file", O_RDONLY);
	if (!strcmp(what, "maps"))
		return has_mapped("/x/extra.so");
	if (!strcmp(what, "run"))
		return run_argv(argv + 2);
	/* Says that it is there, waits, then does the rest. */
	if (!strcmp(what, "wait")) {
		if (write(4, "", 1) != 1 || read(3, &c, 1) != 1)
			return 102;
		return tool(argc - 1, argv + 1);
	}
	return 103;
}

static int exec(void *arg)
{
	char **argv = arg;

	execve(argv[0], argv, environ);
	return errno;
}

#define RUN(slot, ...) h_run(slot, exec, (char *[]) { __VA_ARGS__, NULL })

static int make_programs(void **state)
{
	(void)state;
	h_shell("mkdir -p /x && cp /proc/%d/exe /x/shop && cp /x/shop /x/desk && "
		"cp /x/shop /x/plain && echo text >/x/file", getpid());
	return 0;
}

/* ------------------------------------------------------------------ transitions */

static void an_exec_rule_leads_to_a_profile(void **state)
{
	__u32 slot = h_container(POLICY);

	(void)state;
	assert_int_equal(RUN(slot, "/x/plain", "write"), 0);
	assert_int_equal(RUN(slot, "/x/plain", "read"), 0);
	assert_int_equal(RUN(slot, "/x/shop", "write"), EACCES);
	assert_int_equal(RUN(slot, "/x/shop", "read"), 0);
	assert_int_equal(RUN(slot, "/x/desk", "write"), 0);
	assert_int_equal(RUN(slot, "/x/desk", "read"), EACCES);
}

static void children_and_their_programs_stay_in_it(void **state)
{
	__u32 slot = h_container(POLICY);

	(void)state;
	assert_int_equal(RUN(slot, "/x/shop", "run", "/x/plain", "write"), EACCES);
	assert_int_equal(RUN(slot, "/x/shop", "run", "/x/plain", "run", "/x/plain", "write"),
			 EACCES);
	assert_int_equal(RUN(slot, "/x/shop", "run", "/x/desk", "write"), 0);
	assert_int_equal(RUN(slot, "/x/shop", "run", "/x/desk", "read"), EACCES);
	/* The parent of a child in a profile has its own. */
	assert_int_equal(RUN(slot, "/x/plain", "run", "/x/shop", "write"), EACCES);
	assert_int_equal(RUN(slot, "/x/plain", "write"), 0);
}

/* Both stages name one: the script's holds. Only the interpreter names one: that does. */
static void the_first_stage_decides(void **state)
{
	__u32 slot;

	(void)state;
	h_write("/x/script", "#!/x/shop read\n");
	h_write("/x/other", "#!/x/shop write\n");
	assert_int_equal(chmod("/x/script", 0755), 0);
	assert_int_equal(chmod("/x/other", 0755), 0);
	slot = h_container("policy: stages\n" GUARD "exec:\n  - allow: /x/shop\n" TO_SHOP
			   "  - allow: [/x/desk, /x/script]\n" TO_DESK "profiles:\n" SHOP DESK);
	assert_int_equal(RUN(slot, "/x/script"), EACCES);
	assert_int_equal(RUN(slot, "/x/other"), EACCES);
	h_write("/x/other", "#!/x/shop read\n");
	assert_int_equal(RUN(slot, "/x/other"), 0);
}

/* An exec that earned a profile and failed leaves nothing for the next one. */
static int fail_then_exec(void *arg)
{
	char *const argv[] = { "/x/plain", arg, NULL };

	execve("/x/broken", argv, environ);
	if (errno != ENOEXEC)
		return 110;
	execve(argv[0], argv, environ);
	return 111;
}

static void a_failed_exec_earns_nothing(void **state)
{
	__u32 slot = h_container("policy: failed\n" GUARD "exec:\n  - allow: [/x/shop, /x/broken]\n"
				 TO_SHOP "profiles:\n" SHOP);

	(void)state;
	h_write("/x/broken", "no program\n");
	assert_int_equal(chmod("/x/broken", 0755), 0);
	assert_int_equal(h_run(slot, fail_then_exec, "write"), 0);
}

static int exec_traced(void *arg)
{
	int status, sig = 0;
	pid_t pid = fork();

	if (!pid) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(120);
		_exit(exec(arg));
	}
	for (;;) {
		if (waitpid(pid, &status, 0) != pid)
			return 121;
		if (!WIFSTOPPED(status))
			return WIFEXITED(status) ? WEXITSTATUS(status) : 122;
		sig = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
		ptrace(PTRACE_CONT, pid, NULL, (void *)(long)sig);
	}
}

static void a_traced_task_stays_where_it_is(void **state)
{
	char *const argv[] = { "/x/shop", "write", NULL };
	char name[WARDER_PATH_MAX], detail[WARDER_PATH_MAX];
	struct warder_event e;
	__u32 slot = h_container(POLICY);

	(void)state;
	h_events_drop();
	assert_int_equal(h_run(slot, exec_traced, (void *)argv), 0);
	assert_int_equal(h_event_last(slot, &e, name, detail), 1);
	assert_int_equal(e.hook, WARDER_HOOK_BPRM_COMMIT);
	assert_int_equal(e.v.action, WARDER_ALLOW);
	assert_int_equal(e.arg[0], 1);
	assert_int_equal(e.transition, 1);
	assert_int_equal(e.profile_id, 0);
	/* And without a tracer it does change. */
	assert_int_equal(h_run(slot, exec, (void *)argv), EACCES);
}

static void events_say_the_profile(void **state)
{
	char name[WARDER_PATH_MAX], detail[WARDER_PATH_MAX];
	static const char policy[] = "policy: told\n" GUARD "exec:\n  - allow: /x/shop\n"
				     "    audit: true\n" TO_SHOP "  - allow: /x/desk\n" TO_DESK
				     "profiles:\n" DESK SHOP;
	__u32 slot = h_container(policy);
	struct warder_event e;

	(void)state;
	h_events_drop();
	assert_int_equal(RUN(slot, "/x/shop", "read"), 0);
	assert_int_equal(h_events_of(slot, WARDER_EVENT_VERDICT, WARDER_HOOK_BPRM_CHECK, &e, name,
				     detail), 1);
	assert_string_equal(name, "/x/shop");
	assert_int_equal(e.profile_id, 0);
	assert_int_equal(e.transition, 2);
	assert_int_equal(RUN(slot, "/x/shop", "write"), EACCES);
	assert_int_equal(h_events_of(slot, WARDER_EVENT_VERDICT, WARDER_HOOK_FILE_OPEN, &e, name,
				     detail), 1);
	assert_string_equal(name, "/x/file");
	assert_int_equal(e.profile_id, profile_id(policy, 2));
	assert_int_equal(e.transition, 0);
}

/* They are mapped when the exec is over, so by the new profile's rules. */
static void preloaded_libraries_are_judged_in_the_new_profile(void **state)
{
	__u32 slot = h_container(POLICY);

	(void)state;
	h_shell("cp $(sed -n 's,.* \\(/.*/libz\\.so.*\\),\\1,p' /proc/%d/maps | head -n 1) /x/extra.so",
		getpid());
	assert_int_equal(setenv("LD_PRELOAD", "/x/extra.so", 1), 0);
	assert_int_equal(RUN(slot, "/x/plain", "maps"), 1);
	assert_int_equal(RUN(slot, "/x/shop", "maps"), 0);
	unsetenv("LD_PRELOAD");
}

/* ---------------------------------------------------------------------- reloads */

struct waiting {
	int go, there;
	pid_t pid;
};

static int waiting_fd[2];

static int wait_in_shop(void *arg)
{
	char *argv[] = { "/x/shop", "wait", arg, NULL };

	if (dup2(waiting_fd[0], 100) < 0 || dup2(waiting_fd[1], 4) < 0 || dup2(100, 3) < 0)
		return 104;
	return exec(argv);
}

/* A process in profile shop that waits and then does `what`. */
static struct waiting waiting_start(__u32 slot, const char *what)
{
	struct waiting w;
	int go[2], there[2];
	char c;

	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	assert_int_equal(pipe2(there, O_CLOEXEC), 0);
	waiting_fd[0] = go[0];
	waiting_fd[1] = there[1];
	w.pid = h_start(slot, wait_in_shop, (void *)what);
	close(go[0]);
	close(there[1]);
	assert_int_equal(read(there[0], &c, 1), 1);
	w.go = go[1];
	w.there = there[0];
	return w;
}

static int waiting_end(struct waiting w)
{
	int status;

	assert_int_equal(write(w.go, "", 1), 1);
	status = h_wait(w.pid);
	close(w.go);
	close(w.there);
	return status;
}

static void a_reload_finds_the_profile_by_its_name(void **state)
{
	__u32 slot = h_container(POLICY);
	__u64 faults = h_fault_count(WARDER_FAULT_PROFILE);
	struct waiting reads = waiting_start(slot, "read"), writes;

	(void)state;
	h_policy(slot, "policy: profiles\n" GUARD EXEC "profiles:\n" DESK SHOP);
	assert_int_equal(waiting_end(reads), 0);
	writes = waiting_start(slot, "write");
	assert_int_equal(waiting_end(writes), EACCES);
	assert_int_equal(h_fault_count(WARDER_FAULT_PROFILE), faults);
}

static void a_profile_that_is_gone_is_a_fault(void **state)
{
	char name[WARDER_PATH_MAX], detail[WARDER_PATH_MAX];
	struct warder_event e;
	__u32 slot = h_container(POLICY);
	__u64 faults;
	struct waiting w = waiting_start(slot, "read");

	(void)state;
	h_policy(slot, "policy: without\n");
	h_events_drop();
	faults = h_fault_count(WARDER_FAULT_PROFILE);
	assert_int_equal(waiting_end(w), EACCES);
	assert_true(h_fault_count(WARDER_FAULT_PROFILE) > faults);
	assert_int_equal(h_event_last(slot, &e, name, detail), 1);
	assert_int_equal(e.v.why, WARDER_WHY_FAULT);
	assert_int_equal(e.v.fault, WARDER_FAULT_PROFILE);
	/* Tasks of the top profile are not touched. */
	assert_int_equal(RUN(slot, "/x/shop", "write"), 0);
}

/* --------------------------------------------------------------------- counters */

#define OPENS 3000
#define FLOODERS 4

static int flood(void *arg)
{
	cpu_set_t cpus;
	int denied = 0;

	CPU_ZERO(&cpus);
	CPU_SET((long)arg % sysconf(_SC_NPROCESSORS_ONLN), &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		return 100;
	for (int i = 0; i < OPENS; i++) {
		denied += open("/x/denied", O_RDONLY) < 0 && errno == EACCES;
		if (h_open("/x/allowed", O_RDONLY))
			return 101;
	}
	return denied != OPENS;
}

/* Every denial makes an event, far more than the ring holds: none is lost to the counters. */
static void each_decision_counts_once(void **state)
{
	cleanup_free struct warder_image *img = NULL;
	__u32 slot = h_container("policy: counted\nfile:\n"
				 "  - deny: [read]\n    path: /x/denied\n"
				 "  - allow: [read]\n    path: /x/allowed\n");
	pid_t pid[FLOODERS];
	__u64 before[3];

	(void)state;
	h_shell("touch /x/denied /x/allowed");
	assert_int_equal(loader_read_image(h_load(), slot, &img), 0);
	for (int i = 0; i < 3; i++)
		before[i] = image_hits(img, i);
	free(take_ptr(img));
	for (long i = 0; i < FLOODERS; i++)
		pid[i] = h_start(slot, flood, (void *)i);
	for (int i = 0; i < FLOODERS; i++)
		assert_int_equal(h_wait(pid[i]), 0);
	assert_int_equal(loader_read_image(h_load(), slot, &img), 0);
	assert_int_equal(before[1] + before[2], 0);
	assert_int_equal(image_hits(img, 1), FLOODERS * OPENS);
	assert_int_equal(image_hits(img, 2), FLOODERS * OPENS);
	assert_true(h_stats(slot).events_dropped > 0);
	assert_int_equal(h_stats(slot).denied, FLOODERS * OPENS);
}

/* What no rule decides is entry 0, exactly, when nothing else is asked. */
static int open_many(void *arg)
{
	int fd;

	(void)arg;
	for (int i = 0; i < OPENS; i++) {
		fd = open("/x/file", O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return errno;
		close(fd);
	}
	return 0;
}

static void defaults_count_too(void **state)
{
	cleanup_free struct warder_image *img = NULL;
	__u32 slot = h_container("policy: rest\nfile:\n  - deny: [read]\n    path: /x/denied\n");

	(void)state;
	assert_int_equal(h_run(slot, open_many, NULL), 0);
	assert_int_equal(loader_read_image(h_load(), slot, &img), 0);
	assert_in_range(image_hits(img, 0), OPENS, OPENS + 20);
	assert_int_equal(image_hits(img, 1), 0);
	/* A reload starts again. */
	h_policy(slot, "policy: rest\nfile:\n  - deny: [read]\n    path: /x/denied\n");
	free(take_ptr(img));
	assert_int_equal(loader_read_image(h_load(), slot, &img), 0);
	assert_int_equal(image_hits(img, 0), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_exec_rule_leads_to_a_profile),
		cmocka_unit_test(children_and_their_programs_stay_in_it),
		cmocka_unit_test(the_first_stage_decides),
		cmocka_unit_test(a_failed_exec_earns_nothing),
		cmocka_unit_test(a_traced_task_stays_where_it_is),
		cmocka_unit_test(events_say_the_profile),
		cmocka_unit_test(preloaded_libraries_are_judged_in_the_new_profile),
		cmocka_unit_test(a_reload_finds_the_profile_by_its_name),
		cmocka_unit_test(a_profile_that_is_gone_is_a_fault),
		cmocka_unit_test(each_decision_counts_once),
		cmocka_unit_test(defaults_count_too),
	};

	if (argc > 1)
		return tool(argc, argv);
	return cmocka_run_group_tests(tests, make_programs, NULL);
}
