// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ops.h"

#include <fcntl.h>
#include <sys/klog.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "cleanup.h"
#include "harness.h"

int op_syslog(void *arg)
{
	static char buf[4096];

	(void)arg;
	return h_errno(klogctl(3, buf, sizeof(buf)));
}

int op_settime(void *arg)
{
	struct timeval now;

	(void)arg;
	gettimeofday(&now, NULL);
	return h_errno(settimeofday(&now, NULL));
}

int op_sethostname(void *arg)
{
	(void)arg;
	return h_errno(sethostname("vm", 2));
}

int op_init_module(void *arg)
{
	/* As large as a module's header, which is looked for before anybody is asked. */
	static const char no_module[4096] = "not a module";

	(void)arg;
	return h_errno(syscall(SYS_init_module, no_module, sizeof(no_module), ""));
}

int op_finit_module(void *arg)
{
	cleanup_close int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	(void)arg;
	return h_errno(syscall(SYS_finit_module, fd, "", 0));
}

int op_kexec_file(void *arg)
{
	cleanup_close int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	(void)arg;
	return h_errno(syscall(SYS_kexec_file_load, fd, -1, 1ul, "", 4 /* no initrd */));
}
