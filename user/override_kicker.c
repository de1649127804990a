// SPDX-License-Identifier: LGPL-2.1-or-later
/* The kicker: a second thread on another CPU that sees to it that the first one runs. */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "override_job.h"

static void pin(pid_t tid, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	sched_setaffinity(tid, sizeof(set), &set);
}

/*
 * A real-time thread wakes up on the CPU where it last ran. If that is where a caller waits in
 * the kernel, which cannot be preempted, it would not run before the bound. So a second thread,
 * pinned to another CPU, wakes with it; if the first has not begun after a sixteenth of the
 * bound, the two change places.
 */
static void *kicker_thread(void *arg)
{
	struct override *o = arg;
	struct pollfd ring = { .fd = loader_map_fd(o->loader, LOADER_MAP_INTERCEPTS),
			       .events = POLLIN };
	struct sched_param param = { .sched_priority = 10 };

	pthread_setname_np(pthread_self(), "warder-kicker");
	pthread_setschedparam(pthread_self(), SCHED_FIFO, &param);
	pin(0, o->cpu[1]);
	for (;;) {
		struct epoll_event ev;
		unsigned turns;
		__u64 bound, end;
		int n = epoll_wait(o->kick_epoll, &ev, 1, -1), cpu;

		if (n < 0 && errno != EINTR)
			return NULL;
		if (n == 1 && ev.data.u32 == EVENT_STOP)
			return NULL;
		/* What is only reported has time: with nobody waiting there is nothing to hurry. */
		if (!__atomic_load_n(&loader_host(o->loader)->waiting, __ATOMIC_ACQUIRE))
			continue;
		turns = __atomic_load_n(&o->turns, __ATOMIC_ACQUIRE);
		bound = loader_host(o->loader)->wait_bound;
		end = now_ns() + (bound ? bound : 500000) / 16;
		while (now_ns() < end && poll(&ring, 1, 0) == 1 &&
		       __atomic_load_n(&o->turns, __ATOMIC_ACQUIRE) == turns)
			;
		if (now_ns() < end)
			continue;
		cpu = o->cpu[0];
		o->cpu[0] = o->cpu[1];
		o->cpu[1] = cpu;
		pin(o->tid, o->cpu[0]);
		pin(0, o->cpu[1]);
	}
}

/* Two CPUs that we may use; with one alone the kernel hands nothing over. */
void kicker_start(struct override *o)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.u32 = EVENT_RING };
	cpu_set_t set;
	int found = 0;

	if (sched_getaffinity(0, sizeof(set), &set))
		return;
	for (int i = 0; i < CPU_SETSIZE && found < 2; i++)
		if (CPU_ISSET((size_t)i, &set))
			o->cpu[found++] = i;
	if (found < 2)
		return;
	if (epoll_ctl(o->kick_epoll, EPOLL_CTL_ADD,
		      loader_map_fd(o->loader, LOADER_MAP_INTERCEPTS), &ev))
		return;
	ev.data.u32 = EVENT_STOP;
	ev.events = EPOLLIN;
	if (epoll_ctl(o->kick_epoll, EPOLL_CTL_ADD, o->stop_fd, &ev))
		return;
	o->tid = gettid();
	pin(0, o->cpu[0]);
	o->kicking = !pthread_create(&o->kicker, NULL, kicker_thread, o);
}

void kicker_join(struct override *o)
{
	if (o->kicking)
		pthread_join(o->kicker, NULL);
	o->kicking = 0;
}
