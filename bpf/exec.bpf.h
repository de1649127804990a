/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Class "exec": every file that execve(2) settles on, one after the other: a script, its
 * interpreter, what binfmt_misc puts in. A file without a name (memfd, deleted) is unreachable.
 *
 * A rule can lead to another profile: earned when the program is judged, applied when the exec
 * cannot fail any more. What is mapped after that, the program itself, its loader, preloaded
 * libraries, is judged in the new profile.
 */
#ifndef WARDER_EXEC_BPF_H
#define WARDER_EXEC_BPF_H

#include "file.bpf.h"
#include "memory.bpf.h"

/* An exec begins: what an earlier one earned that failed later is forgotten. */
SEC("lsm/bprm_creds_for_exec")
int BPF_PROG(warder_bprm_creds, struct linux_binprm *bprm, int ret)
{
	struct hook_facts f;
	struct subject s;

	if (ret)
		return errno_return(-ret);
	if (current_is_plain())
		return 0;
	f = (struct hook_facts){ .hook = WARDER_HOOK_BPRM_CHECK, .class_ = WARDER_CLASS_EXEC,
				 .access = WARDER_ACC_EXEC };
	s = (struct subject){};
	s.tag = task_tag(bpf_get_current_task_btf(), &s.fault);
	if (!s.tag)
		return s.fault ? hook_fault(&s, &f, s.fault, NULL) : 0;
	s.tag->exec_profile = 0;
	return 0;
}

SEC("lsm/bprm_check_security")
int BPF_PROG(warder_bprm_check, struct linux_binprm *bprm, int ret)
{
	struct file *file = bprm->file;
	struct warder_task *tag;
	__u32 fault;
	int err;

	if (ret)
		return ret;
	tag = task_tag(bpf_get_current_task_btf(), &fault);
	if (!tag && !fault)
		return 0;
	err = memory_judge_exec(file);
	if (err)
		return err;
	if (file_is_allowed(tag, file, WARDER_ACC_EXEC))
		return 0;
	return file_judge_path(&file->f_path, WARDER_HOOK_BPRM_CHECK, WARDER_CLASS_EXEC,
			       WARDER_ACC_EXEC);
}

/* Says that a transition was not made. */
static __always_inline void exec_report_traced(__u32 id)
{
	struct hook_facts f = { .hook = WARDER_HOOK_BPRM_COMMIT, .class_ = WARDER_CLASS_EXEC,
				.access = WARDER_ACC_EXEC };
	struct warder_verdict v;
	struct subject s = {};
	int n;

	if (subject_current(&s) != SUBJECT_TAGGED)
		return;
	warder_verdict_allow(&v);
	v.report = 1;
	n = profile_search(s.img, id);
	v.profile = n > 0 ? n - 1 : 0;
	f.arg[0] = 1;
	event_emit(&v, &f, NULL, s.slot, WARDER_EVENT_VERDICT);
}

/*
 * The exec can no longer fail: the earned transition takes place, unless the task is traced: its
 * tracer, in the old profile or in none, would have whatever the new one grants. A policy without
 * that profile by now makes every later request of the task a fault. Nothing can be refused here:
 * a task whose tag cannot be read, which might have to be in another profile, is killed.
 */
SEC("lsm/bprm_committing_creds")
int BPF_PROG(warder_bprm_commit, struct linux_binprm *bprm)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct warder_task *tag;
	__u32 fault, id;

	tag = task_tag(task, &fault);
	if (!tag) {
		if (fault) {
			fault_count(fault);
			bpf_send_signal(WARDER_SIGKILL);
		}
		return 0;
	}
	id = tag->exec_profile;
	if (!id)
		return 0;
	tag->exec_profile = 0;
	if (task->ptrace)
		exec_report_traced(id);
	else
		tag->profile_id = id;
	return 0;
}

#endif
