// SPDX-License-Identifier: LGPL-2.1-or-later
/* Fault points of test builds; the product has none of this. */
#include "fault.h"

#ifdef WARDER_FAULTS
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct fault_plan *fault_plan;

int fault_prepare(void)
{
	void *p = mmap(NULL, sizeof(*fault_plan), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	fault_plan = p;
	return 0;
}

void fault_point(const char *name)
{
	struct fault_plan *p = fault_plan;

	if (!p || strcmp(p->name, name) || __atomic_sub_fetch(&p->after, 1, __ATOMIC_SEQ_CST))
		return;
	__atomic_store_n(&p->hit, 1, __ATOMIC_SEQ_CST);
	kill(p->victim ? p->victim : getpid(), SIGKILL);
	/* It may be another process that dies, and we with it, in a moment. */
	while (p->victim && p->victim != getpid())
		pause();
}
#endif
