/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Class "memory": what may become executable.
 *
 *   fileless_exec   execve(2) of a file without a name: a memfd, a deleted file, O_TMPFILE
 *   anonymous_exec  executable memory without a file: anonymous and shared anonymous memory, the
 *                   stack, the heap, /dev/zero, memfds, deleted files
 *   write_exec      memory writable and executable at once, of whatever kind; a private mapping of
 *                   a file made executable after it was written (its pages are no longer the
 *                   file's); a shared mapping through which the file could have been written
 *   shm_exec        SysV shared memory attached to be executed, or made executable later
 *
 * A JIT that writes its code and then makes it executable needs anonymous_exec; one that keeps it
 * writable needs write_exec too.
 *
 * Judged by what a mapping becomes, READ_IMPLIES_EXEC applied. Two things become executable
 * without a hook of their own: a program's stack, and with personality(READ_IMPLIES_EXEC) the heap.
 * Both are judged in hooks that the kernel calls beside: programs on its functions are left out
 * while another task is in the middle of them on that CPU, which a hostile one can prepare.
 *
 * Not seen: a file that is written while it is mapped executable, by its name or by another
 * mapping: file rules say who may write it. And /proc/PID/mem, by which a task writes into its
 * own memory whatever its protection: a file rule for the mem file of each process helps.
 */
#ifndef WARDER_MEMORY_BPF_H
#define WARDER_MEMORY_BPF_H

#include "attr.bpf.h"
#include "file.bpf.h"
#include "switch.bpf.h"

#define MEMORY_PROT_WRITE 2
#define MEMORY_MAP_SHARED 1 /* of MAP_SHARED_VALIDATE too */
#define MEMORY_VM_EXEC 0x4ul
#define MEMORY_VM_SHARED 0x8ul
#define MEMORY_VM_MAYWRITE 0x20ul
#define MEMORY_READ_IMPLIES_EXEC 0x0400000u
#define WARDER_SIGKILL 9

#define MEMORY(name) (1u << WARDER_MEM_##name)

static __always_inline int memory_judge(__u32 asked, __u32 hook, __u64 arg)
{
	return asked ? errno_return(-switch_judge(WARDER_BITS_MEMORY, asked, hook, arg)) : 0;
}

/* Does the file have no name anywhere? */
static __always_inline int memory_file_is_nameless(struct file *file)
{
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);

	if (!BPF_CORE_READ(file, f_inode, i_nlink))
		return 1;
	/* Deleted, or never linked. The root of a superblock is in no list either. */
	if (!BPF_CORE_READ(dentry, d_hash.pprev) && BPF_CORE_READ(dentry, d_parent) != dentry)
		return 1;
	return file_kind(&file->f_path) == FILE_NAMELESS;
}

/* Execution of a file: what class "exec" calls unreachable is explained as what it is. */
static __always_inline int memory_judge_exec(struct file *file)
{
	return memory_judge(memory_file_is_nameless(file) ? MEMORY(FILELESS_EXEC) : 0,
			    WARDER_HOOK_BPRM_CHECK, 0);
}

static __always_inline int memory_file_is_private(struct file *file)
{
	return BPF_CORE_READ(file, f_inode, i_flags) & WARDER_S_PRIVATE;
}

/* Memory that the kernel backs with a file of its own: SysV segments and shared anonymous memory,
 * told by the names that the kernel gives them. */
static __always_inline __u32 memory_asked_private(struct file *file)
{
	__u32 name = 0;

	if (bpf_probe_read_kernel(&name, sizeof(name),
				  BPF_CORE_READ(file, f_path.dentry, d_name.name)))
		return MEMORY(SHM_EXEC) | MEMORY(ANONYMOUS_EXEC);
	return name == 0x56535953 /* "SYSV" */ ? MEMORY(SHM_EXEC) : MEMORY(ANONYMOUS_EXEC);
}

/* What of it is executable, if this is mapped so: memory, or a file that is memory all the same? */
static __always_inline __u32 memory_asked_mapping(struct file *file)
{
	if (!file)
		return MEMORY(ANONYMOUS_EXEC);
	if (memory_file_is_private(file))
		return memory_asked_private(file);
	if ((BPF_CORE_READ(file, f_inode, i_mode) & WARDER_S_IFMT) != WARDER_S_IFREG)
		return MEMORY(ANONYMOUS_EXEC);
	return memory_file_is_nameless(file) ? MEMORY(ANONYMOUS_EXEC) : 0;
}

/* ------------------------------------------------------------------------ stack */

/* From here on the program has a stack that nobody has judged. */
SEC("lsm/bprm_committed_creds")
int BPF_PROG(warder_program_new, struct linux_binprm *bprm)
{
	struct warder_task *tag;
	__u32 fault;

	/* A tag that cannot be read is a fault in mmap_file, too. */
	tag = task_tag(bpf_get_current_task_btf(), &fault);
	if (tag)
		tag->fresh = 1;
	return 0;
}

static long memory_look_at_stack(struct task_struct *task, struct vm_area_struct *vma,
				 __u32 *ret_executable)
{
	*ret_executable = !!(BPF_CORE_READ(vma, vm_flags) & MEMORY_VM_EXEC);
	return 0;
}

/*
 * A new program's stack is set up without a hook, executable if the program's header says so or
 * because everything readable is to be. It is looked at when the program's code is mapped, which
 * is still in the exec: that cannot fail any more, so the process is killed. A program without
 * an executable mapping is nothing but a stack, from a file that exec rules let it run.
 */
static __noinline int memory_judge_stack(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 fault, executable = 1; /* where it cannot be looked at: its address space is locked */
	struct warder_task *tag;
	int err;

	tag = task_tag(task, &fault);
	if (!tag || !tag->fresh)
		return 0;
	tag->fresh = 0;
	bpf_find_vma(task, BPF_CORE_READ(task, mm, start_stack), memory_look_at_stack, &executable, 0);
	if (!executable)
		return 0;
	err = switch_judge(WARDER_BITS_MEMORY, MEMORY(WRITE_EXEC) | MEMORY(ANONYMOUS_EXEC),
			   WARDER_HOOK_BPRM_COMMIT, 0);
	if (err)
		bpf_send_signal(WARDER_SIGKILL);
	return err;
}

/* --------------------------------------------------------------------- mappings */

SEC("lsm/mmap_file")
int BPF_PROG(warder_mmap_file, struct file *file, unsigned long reqprot, unsigned long prot,
	     unsigned long flags, int ret)
{
	__u32 asked;
	int err;

	if (ret)
		return errno_return(-ret);
	/* Whatever its protection now: mprotect(2) can make it writable later. */
	if (file && (flags & MEMORY_MAP_SHARED)) {
		err = attr_judge_append(file, WARDER_HOOK_MMAP_FILE);
		if (err)
			return err;
	}
	if (!(prot & WARDER_PROT_EXEC) || !current_is_tagged())
		return 0;
	err = errno_return(-memory_judge_stack());
	if (err)
		return err;
	asked = memory_asked_mapping(file);
	if (prot & MEMORY_PROT_WRITE)
		asked |= MEMORY(WRITE_EXEC);
	err = memory_judge(asked, WARDER_HOOK_MMAP_FILE, prot);
	if (err || !file)
		return err;
	return file_judge_mapping(file, WARDER_HOOK_MMAP_FILE);
}

/* What of a mapping made executable. */
static __always_inline __u32 memory_asked_mprotect(struct vm_area_struct *vma, struct file *file)
{
	__u32 asked = memory_asked_mapping(file);
	unsigned long flags;

	if (!file || memory_file_is_private(file))
		return asked;
	flags = BPF_CORE_READ(vma, vm_flags);
	/* The kernel does not remember whether a shared mapping was written, only that it could. */
	if (flags & MEMORY_VM_SHARED ? !!(flags & MEMORY_VM_MAYWRITE) :
				       !!BPF_CORE_READ(vma, anon_vma))
		asked |= MEMORY(WRITE_EXEC);
	return asked;
}

SEC("lsm/file_mprotect")
int BPF_PROG(warder_file_mprotect, struct vm_area_struct *vma, unsigned long reqprot,
	     unsigned long prot, int ret)
{
	struct file *file = vma->vm_file;
	__u32 asked;
	int err;

	if (ret)
		return errno_return(-ret);
	if (!(prot & WARDER_PROT_EXEC) || !current_is_tagged())
		return 0;
	asked = memory_asked_mprotect(vma, file);
	if (prot & MEMORY_PROT_WRITE)
		asked |= MEMORY(WRITE_EXEC);
	err = memory_judge(asked, WARDER_HOOK_FILE_MPROTECT, prot);
	if (err || !file)
		return err;
	return file_judge_mapping(file, WARDER_HOOK_FILE_MPROTECT);
}

/* ------------------------------------------------------------------------ heap */

/* brk(2) of a task with READ_IMPLIES_EXEC. The hook asks about an address, also one that the heap
 * is about to have: the one place in that call where something can refuse. */
SEC("lsm/mmap_addr")
int BPF_PROG(warder_mmap_addr, unsigned long addr, int ret)
{
	struct call c;

	if (ret)
		return errno_return(-ret);
	if (!(bpf_get_current_task_btf()->personality & MEMORY_READ_IMPLIES_EXEC))
		return 0;
	call_get(&c);
	if (c.nr != NR_BRK || !current_is_tagged())
		return 0;
	return memory_judge(MEMORY(WRITE_EXEC) | MEMORY(ANONYMOUS_EXEC), WARDER_HOOK_MMAP_ADDR, addr);
}

#endif
