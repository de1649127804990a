/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Class "exec": every file that execve(2) settles on, one after the other: a script, its
 * interpreter, what binfmt_misc puts in. A file without a name (memfd, deleted) is unreachable.
 */
#ifndef WARDER_EXEC_BPF_H
#define WARDER_EXEC_BPF_H

#include "file.bpf.h"

SEC("lsm/bprm_check_security")
int BPF_PROG(warder_bprm_check, struct linux_binprm *bprm, int ret)
{
	struct file *file = bprm->file;

	if (ret || !current_is_tagged())
		return ret;
	return file_judge_path(&file->f_path, WARDER_HOOK_BPRM_CHECK, WARDER_CLASS_EXEC,
			       WARDER_ACC_EXEC);
}

#endif
