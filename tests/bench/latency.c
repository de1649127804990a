// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * How long a caller waits for an answer, as ratios within one VM (two CPUs, a clock that runs):
 * - a refused call that the supervisor decides about, against a bare round trip of a seccomp
 *   notification (received and answered by a process that does nothing else, at the same priority);
 * - a tmpfs mount that the supervisor performs, against the same mount made by root.
 * Prints lines of: what, median us, 10th and 90th percentile, how many.
 */
#include "override_rig.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 5
#define SAMPLES 60 /* in each round; what is compared takes turns, since the host's load changes */
#define PAUSE_US 8000 /* so that the container's waiting time lasts, and threads sleep */

static const char policy[] =
	"policy: t\ndefaults: {namespace: allow}\n"
	"override:\n"
	"  - {on: swapoff, do: deny, errno: ENOTTY}\n"
	"  - {on: mount, type: tmpfs, target: /mnt/scratch/**, do: perform}\n";

static struct samples {
	unsigned n, missed;
	__u32 ns[ROUNDS * SAMPLES];
} *decided, *plain, *notified, *performed, *by_root;

static __u64 now_ns_(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (__u64)ts.tv_sec * 1000000000ull + (__u64)ts.tv_nsec;
}

static void sample(struct samples *s, __u64 begun, __u64 end, int counts)
{
	if (!counts)
		s->missed++;
	else if (s->n < ROUNDS * SAMPLES)
		s->ns[s->n++] = (__u32)(end - begun);
}

static int do_decided(void *arg)
{
	(void)arg;
	if (h_drop_capabilities())
		return 250;
	for (int i = 0; i < SAMPLES; i++) {
		__u64 begun = now_ns_();
		long got = syscall(SYS_swapoff, NULL);
		int err = got ? errno : 0;

		sample(decided, begun, now_ns_(), err == ENOTTY);
		usleep(PAUSE_US);
	}
	return 0;
}

static void mount_once(struct samples *s)
{
	__u64 begun = now_ns_();
	int err = h_errno(mount("none", "/mnt/scratch/a", "tmpfs", 0, NULL));

	sample(s, begun, now_ns_(), !err);
}

static int do_performed(void *arg)
{
	(void)arg;
	mount_once(performed);
	return 0;
}

/* ------------------------------------------------------------------- a bare notification */

static int filter_install(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
			    &program);
}

/* Both in one process: the caller is a thread's twin that shares descriptors. */
static void notify_round(void)
{
	const struct sched_param param = { .sched_priority = 10 };
	struct seccomp_notif_resp answer;
	struct seccomp_notif request;
	int word[2], listener, status;
	pid_t pid;

	if (pipe(word))
		exit(1);
	pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, 0);
	if (pid == 0) {
		for (int i = 0; i < SAMPLES; i++) {
			__u64 begun = now_ns_();

			syscall(SYS_getppid);
			sample(plain, begun, now_ns_(), 1);
		}
		listener = filter_install();
		if (write(word[1], &listener, sizeof(listener)) != sizeof(listener) || listener < 0)
			_exit(1);
		for (int i = 0; i < SAMPLES; i++) {
			__u64 begun;
			long got;

			usleep(PAUSE_US);
			begun = now_ns_();
			got = syscall(SYS_getppid);
			sample(notified, begun, now_ns_(), got == 42);
		}
		_exit(0);
	}
	if (read(word[0], &listener, sizeof(listener)) != sizeof(listener))
		exit(1);
	sched_setscheduler(0, SCHED_FIFO, &param);
	for (int i = 0; i < SAMPLES; i++) {
		memset(&request, 0, sizeof(request));
		memset(&answer, 0, sizeof(answer));
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request))
			break;
		answer.id = request.id;
		answer.val = 42;
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
	}
	waitpid(pid, &status, 0);
	sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){ 0 });
	close(listener);
	close(word[0]);
	close(word[1]);
}

/* ------------------------------------------------------------------------------ the table */

static int compare(const void *a, const void *b)
{
	return (*(const __u32 *)a > *(const __u32 *)b) - (*(const __u32 *)a < *(const __u32 *)b);
}

static double told(const char *what, struct samples *s)
{
	if (!s->n) {
		printf("latency\t%s\t-\t-\t-\t0\t%u\n", what, s->missed);
		return 0;
	}
	qsort(s->ns, s->n, sizeof(*s->ns), compare);
	printf("latency\t%s\t%.1f\t%.1f\t%.1f\t%u\t%u\n", what, s->ns[s->n / 2] / 1e3,
	       s->ns[s->n / 10] / 1e3, s->ns[s->n * 9 / 10] / 1e3, s->n, s->missed);
	return s->ns[s->n / 2];
}

static void measure(void **state)
{
	__u32 slot = rig_container(policy);
	double a, b, c, d;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		notify_round();
		rig_run((int)slot, do_decided, NULL);
		for (int i = 0; i < SAMPLES; i++) {
			rig_run((int)slot, do_performed, NULL);
			umount2("/mnt/scratch/a", MNT_DETACH);
			mount_once(by_root);
			umount2("/mnt/scratch/a", MNT_DETACH);
		}
	}
	printf("#\twhat\tmedian us\t10 %%\t90 %%\tanswered\tnot\n");
	told("getppid", plain);
	a = told("notification", notified);
	b = told("decided", decided);
	c = told("mount by root", by_root);
	d = told("mount performed", performed);
	printf("ratio\tdecided / notification\t%.2f\nratio\tmount performed / by root\t%.2f\n",
	       a ? b / a : 0, c ? d / c : 0);
	fflush(stdout);
	assert_true(decided->n && performed->n);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(measure) };

	decided = h_shared(sizeof(struct samples));
	plain = h_shared(sizeof(struct samples));
	notified = h_shared(sizeof(struct samples));
	performed = h_shared(sizeof(struct samples));
	by_root = h_shared(sizeof(struct samples));
	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
