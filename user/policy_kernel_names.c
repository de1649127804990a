// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The names that the baseline judges, as an automaton, so that a comparison of policies meets each kind of
 * them. Only the partition matters: what is refused the engine says (warder_decide_baseline.h,
 * request_place()). A test asks it of names of every kind.
 */
#include <stdlib.h>
#include <string.h>

#include "policy_diff.h"
#include "policy_internal.h"

/* From the narrow to the wide: the first rule that speaks of a name decides, each is a kind. */
static const char names[] =
	"policy: kernel-names\n"
	"defaults: {file: deny}\n"
	"file:\n"
	"  - {allow: [read], path: '/sys/fs/bpf{,/**}'}\n"
	"  - {allow: [read], path: ['/proc/sys/fs/binfmt_misc{,/**}', '/sys/firmware/efi/efivars{,/**}',\n"
	"                           '/sys/kernel/{debug,tracing,security,config}{,/**}']}\n"
	"  - {allow: [read], path: /sys/fs/cgroup/release_agent}\n"
	"  - {allow: [read], path: '/sys/fs/cgroup{,/**}'}\n"
	"  - {allow: [read], path: '/proc/{kcore,kmem,vmcore}'}\n"
	"  - {allow: [read], path: ['/proc/[0-9]**', '/proc/{self,thread-self}/**']}\n"
	"  - {allow: [read], path: ['/proc/pressure{,/**}', '/proc/sys/{net,user,fs/mqueue}{,/**}',\n"
	"                           '/proc/sys/kernel/{shm,msg}**',\n"
	"                           '/proc/sys/kernel/{sem,sem_next_id,auto_msgmni,hostname,domainname,ns_last_pid}']}\n"
	"  - {allow: [read], path: '/proc{,/**}'}\n"
	"  - {allow: [read], path: ['/sys/{kernel,power,firmware,module,bus,hypervisor}{,/**}',\n"
	"                           '/sys/**/uevent']}\n"
	"  - {allow: [read], path: '/sys{,/**}'}\n";

struct warder_image *kernel_names(void)
{
	struct policy_diags diags = { 0 };
	struct warder_image *img = NULL;
	struct policy *p = NULL;

	if (!policy_parse("kernel-names", names, sizeof(names) - 1, NULL, &p, &diags))
		policy_compile(p, &img, &diags);
	policy_free(p);
	policy_diags_done(&diags);
	return img;
}
