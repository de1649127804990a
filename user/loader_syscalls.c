// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which program of ours a system call meets, by its name. Where none of them is attached for a policy,
 * or there is none at all, neither rules nor the baseline have a say.
 */
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "loader_internal.h"

#define PROGRAM_PREFIX "warder_"

/* `programs`, without their prefix: any of them judges; NULL: none does, and `group` says what the
 * calls are about. A call that also asks for a capability has `capable` besides. */
static const struct {
	const char *programs;
	enum loader_seen group;
	const char *calls;
} table[] = {
	/* Names. */
	{ "file_open", 0, "open openat openat2 creat mq_open" },
	{ "path_truncate file_truncate", 0, "truncate ftruncate" },
	{ "path_mknod", 0, "mknod mknodat" },
	{ "path_mkdir", 0, "mkdir mkdirat" },
	{ "path_rmdir", 0, "rmdir" },
	{ "path_unlink", 0, "unlink unlinkat" },
	{ "inode_unlink", 0, "mq_unlink" },
	{ "path_symlink", 0, "symlink symlinkat" },
	{ "path_link", 0, "link linkat" },
	{ "path_rename", 0, "rename renameat renameat2" },
	{ "path_chmod", 0, "chmod fchmod fchmodat fchmodat2" },
	{ "path_chown", 0, "chown fchown lchown fchownat" },
	{ "inode_setattr", 0, "utime utimes utimensat futimesat" },
	{ "inode_setxattr", 0, "setxattr lsetxattr fsetxattr setxattrat" },
	{ "inode_removexattr", 0, "removexattr lremovexattr fremovexattr removexattrat" },
	{ "inode_file_setattr", 0, "file_setattr" },
	{ "file_ioctl", 0, "ioctl" },
	{ "file_lock", 0, "flock" },
	{ "file_lock file_fcntl", 0, "fcntl" },
	{ "path_notify", 0, "inotify_add_watch fanotify_mark" },
	/* Programs and memory. */
	{ "bprm_check", 0, "execve execveat" },
	{ "mmap_file", 0, "mmap" },
	{ "file_mprotect", 0, "mprotect pkey_mprotect" },
	{ "mmap_addr", 0, "brk" },
	/* Network. */
	{ "socket_create", 0, "socket socketpair" },
	{ "socket_connect unix_connect", 0, "connect" },
	{ "socket_bind", 0, "bind" },
	{ "socket_listen", 0, "listen" },
	{ "socket_accept", 0, "accept accept4" },
	{ "socket_sendmsg unix_send", 0, "sendto sendmsg sendmmsg" },
	{ "socket_setsockopt", 0, "setsockopt" },
	{ "file_receive", 0, "recvmsg recvmmsg" },
	/* Privileges. */
	{ "sb_mount", 0, "mount" },
	{ "sb_umount", 0, "umount2" },
	{ "sb_pivotroot", 0, "pivot_root" },
	{ "move_mount", 0, "move_mount" },
	{ "sb_kern_mount capable", 0, "fsopen fsconfig fsmount fspick" },
	{ "capable", 0,
	  "open_tree open_tree_attr mount_setattr chroot setns swapon swapoff reboot sethostname setdomainname "
	  "iopl ioperm vhangup acct open_by_handle_at setuid setgid setreuid setregid setresuid setresgid "
	  "setgroups setfsuid setfsgid" },
	{ "capable userns_create", 0, "unshare" },
	{ "kernel_load kernel_read capable", 0,
	  "init_module finit_module delete_module kexec_load kexec_file_load" },
	{ "settime capable", 0, "settimeofday clock_settime adjtimex clock_adjtime" },
	{ "syslog", 0, "syslog" },
	{ "quotactl quota_on", 0, "quotactl quotactl_fd" },
	{ "bpf", 0, "bpf" },
	{ "perf_event", 0, "perf_event_open" },
	{ "anon_inode", 0, "io_uring_setup userfaultfd" },
	/* Others. */
	{ "task_alloc", 0, "clone clone3 fork vfork" },
	{ "task_kill", 0,
	  "kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal" },
	{ "ptrace_access ptrace_traceme", 0, "ptrace" },
	{ "ptrace_access", 0,
	  "process_vm_readv process_vm_writev kcmp pidfd_getfd process_madvise get_robust_list" },
	{ "task_movememory ptrace_access", 0, "move_pages migrate_pages" },
	{ "task_setnice", 0, "setpriority" },
	{ "task_setioprio", 0, "ioprio_set" },
	{ "task_setscheduler", 0,
	  "sched_setscheduler sched_setparam sched_setattr sched_setaffinity" },
	{ "task_setrlimit", 0, "setrlimit prlimit64" },
	{ "task_setpgid", 0, "setpgid" },
	{ "msg_queue_alloc ipc_permission", 0, "msgget msgsnd msgrcv" },
	{ "msg_queue_msgctl", 0, "msgctl" },
	{ "shm_alloc ipc_permission", 0, "shmget shmat" },
	{ "shm_shmctl", 0, "shmctl" },
	{ "sem_alloc ipc_permission", 0, "semget semop semtimedop" },
	{ "sem_semctl", 0, "semctl" },
	{ "key_alloc", 0, "add_key" },
	{ "key_alloc key_permission", 0, "request_key" },
	{ "key_permission", 0, "keyctl" },
	/* Of descriptors: what was judged when they were opened. */
	{ NULL, LOADER_SEEN_OPENED,
	  "read write close lseek pread64 pwrite64 readv writev preadv pwritev preadv2 pwritev2 fstat fstatfs "
	  "fchdir getdents getdents64 fsync fdatasync sync_file_range fadvise64 readahead fallocate "
	  "sendfile copy_file_range splice tee vmsplice dup dup2 dup3 close_range fgetxattr flistxattr poll ppoll "
	  "select pselect6 recvfrom getsockname getpeername getsockopt shutdown mq_timedsend mq_timedreceive "
	  "mq_notify mq_getsetattr io_uring_enter io_uring_register epoll_ctl epoll_wait epoll_pwait epoll_pwait2 "
	  "timerfd_settime timerfd_gettime inotify_rm_watch" },
	{ NULL, LOADER_SEEN_NAMES,
	  "access faccessat faccessat2 stat lstat newfstatat statx readlink readlinkat chdir statfs "
	  "name_to_handle_at getxattr lgetxattr getxattrat listxattr llistxattr listxattrat file_getattr "
	  "statmount listmount listns" },
	{ NULL, LOADER_SEEN_OTHERS,
	  "pidfd_open process_mrelease getpgid getsid getpriority ioprio_get sched_getaffinity sched_getattr "
	  "sched_getparam sched_getscheduler sched_rr_get_interval uname sysinfo sysfs ustat sync syncfs "
	  "lsm_list_modules" },
	{ NULL, LOADER_SEEN_KERNEL,
	  "memfd_create memfd_secret mremap remap_file_pages madvise mlock mlock2 mlockall mbind set_mempolicy "
	  "set_mempolicy_home_node map_shadow_stack mseal pkey_alloc pkey_free cachestat modify_ldt personality "
	  "prctl seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self lsm_set_self_attr "
	  "membarrier rseq rseq_slice_yield futex futex_waitv futex_wake futex_wait futex_requeue io_setup io_submit "
	  "io_cancel io_destroy io_getevents io_pgetevents epoll_create epoll_create1 eventfd eventfd2 signalfd "
	  "signalfd4 timerfd_create timer_create inotify_init inotify_init1 fanotify_init pipe pipe2" },
	/* Of nothing but the caller, or they only wait. */
	{ NULL, LOADER_SEEN_OWN,
	  "munmap msync mincore munlock munlockall shmdt get_mempolicy rt_sigaction rt_sigprocmask rt_sigreturn "
	  "rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack sched_yield pause nanosleep clock_nanosleep "
	  "getitimer setitimer alarm timer_settime timer_gettime timer_getoverrun timer_delete getpid getppid gettid "
	  "getpgrp setsid getuid getgid geteuid getegid getgroups getresuid getresgid capget capset umask getcwd "
	  "getrlimit getrusage times time gettimeofday clock_gettime clock_getres getrandom getcpu "
	  "sched_get_priority_max sched_get_priority_min exit exit_group wait4 waitid arch_prctl set_thread_area "
	  "get_thread_area set_tid_address set_robust_list restart_syscall lsm_get_self_attr" },
	{ NULL, LOADER_SEEN_GONE,
	  "uselib _sysctl create_module get_kernel_syms query_module nfsservctl getpmsg putpmsg afs_syscall tuxcall "
	  "security epoll_ctl_old epoll_wait_old vserver lookup_dcookie" },
};

/* Calls fn for each word of a list; a result other than 0 ends it. */
static int each_word(const char *list, int (*fn)(const char *word, void *arg), void *arg)
{
	char word[64];
	int stop = 0;

	while (!stop && *list) {
		size_t len = strcspn(list, " ");

		if (len < sizeof(word)) {
			memcpy(word, list, len);
			word[len] = 0;
			stop = fn(word, arg);
		}
		list += len + (list[len] == ' ');
	}
	return stop;
}

struct judged {
	const struct warder_image *img; /* NULL: only whether we know the program */
};

static int program_judges(const char *word, void *arg)
{
	const struct judged *j = arg;
	char name[64 + sizeof(PROGRAM_PREFIX)];

	snprintf(name, sizeof(name), PROGRAM_PREFIX "%s", word);
	return j->img ? loader_program_is_needed(name, j->img) : !loader_program_known(name);
}

struct telling {
	int (*fn)(const char *call, enum loader_seen group, void *arg);
	void *arg;
	enum loader_seen group;
};

static int tell_call(const char *word, void *arg)
{
	const struct telling *t = arg;

	return t->fn(word, t->group, t->arg);
}

int loader_each_syscall(const struct warder_image *img,
			int (*fn)(const char *call, enum loader_seen group, void *arg), void *arg)
{
	struct telling t = { .fn = fn, .arg = arg };
	struct judged j = { .img = img };
	int stop = 0;

	for (size_t i = 0; !stop && i < ARRAY_SIZE(table); i++) {
		t.group = !table[i].programs ? table[i].group :
			  each_word(table[i].programs, program_judges, &j) ? LOADER_SEEN_JUDGED :
									      LOADER_SEEN_UNUSED;
		stop = each_word(table[i].calls, tell_call, &t);
	}
	return stop;
}

int loader_syscalls_are_known(void)
{
	struct judged j = { .img = NULL };

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].programs && each_word(table[i].programs, program_judges, &j))
			return 0;
	return 1;
}

static const struct {
	const char *word, *text;
} groups[LOADER_SEEN__MAX] = {
	[LOADER_SEEN_JUDGED] = { "judged", "judged" },
	[LOADER_SEEN_UNUSED] = { "unused", "judged only by rules of classes that this policy leaves open" },
	[LOADER_SEEN_OPENED] = { "opened", "on a descriptor, which was judged when it was opened" },
	[LOADER_SEEN_NAMES] = { "names", "what names there are, their attributes, mounts" },
	[LOADER_SEEN_OTHERS] = { "others", "what others are and do, and what the host is" },
	[LOADER_SEEN_KERNEL] = { "kernel", "memory, and other code of the kernel" },
	[LOADER_SEEN_OWN] = { "own", "of the caller alone" },
	[LOADER_SEEN_GONE] = { "gone", "not in kernels any more" },
};

const char *loader_seen_name(enum loader_seen group)
{
	return groups[group].word;
}

const char *loader_seen_text(enum loader_seen group)
{
	return groups[group].text;
}
