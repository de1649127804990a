/* SPDX-License-Identifier: LGPL-2.1-or-later OR GPL-2.0-only */
/*
 * What BPF programs and user space share: limits, the policy image, the records
 * in maps, the events. Nothing private to one side belongs here.
 *
 * Rules for this file: only fixed-width integers and byte arrays, no implicit
 * hole, every struct with a static assert, and one definition for each constant.
 * Everything here is little-endian x86-64; a second architecture would have to
 * bump WARDER_ABI_VERSION.
 */
#ifndef WARDER_ABI_H
#define WARDER_ABI_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define WARDER_ABI_VERSION 8

/* ------------------------------------------------------------------ limits */

#define WARDER_NAME_SIZE 64          /* container and policy names, with the NUL */
#define WARDER_CONTAINERS_MAX 1024   /* slots; a start beyond it is refused */
#define WARDER_POLICIES_MAX 256      /* image slots; a load beyond it is refused */
#define WARDER_PATH_MAX 4096         /* a name's longest form, as PATH_MAX with its NUL */
#define WARDER_PREFIX_SIZE 1024      /* a recorded mount point's path, with the NUL */
#define WARDER_MOUNTS_MAX 16384      /* recorded mounts of all containers */
#define WARDER_FSTYPE_SIZE 32        /* a file-system type, NUL-padded */
#define WARDER_MOUNT_RULES_MAX 64    /* so that a set of rules is one 64-bit word */
#define WARDER_DEVICE_RULES_MAX 64
#define WARDER_PEER_RULES_MAX 64
#define WARDER_NET_RULES_MAX 256     /* after lists of addresses and ports are spread out */
#define WARDER_PROFILES_MAX 64       /* the top profile included; of a stack: combinations of them */
#define WARDER_LAYERS_MAX 4          /* policies that one container has at once: a stack */
#define WARDER_OVERRIDES_MAX 64
#define WARDER_OPTIONS_MAX 8         /* option constraints of one override rule */
#define WARDER_OPTION_SIZE 16
#define WARDER_WAITS_MAX 64          /* intercepts waiting in the kernel at once */
#define WARDER_RULES_MAX 65535
#define WARDER_ACCEPT_RULES_MAX 48   /* deciding rules of one DFA state, see struct warder_accept */

/* --------------------------------------------------------- classes, access */

enum warder_class {
	WARDER_CLASS_NONE = 0,
	WARDER_CLASS_FILE,
	WARDER_CLASS_EXEC,
	WARDER_CLASS_CAPABILITY,
	WARDER_CLASS_MOUNT,
	WARDER_CLASS_PTRACE,
	WARDER_CLASS_SIGNAL,
	WARDER_CLASS_IPC,      /* unix sockets, SysV, POSIX mq, descriptors across the border */
	WARDER_CLASS_KERNEL,   /* kernel surfaces: bpf, modules, kexec, io_uring, control files */
	WARDER_CLASS_DEVICE,
	WARDER_CLASS_KEYRING,
	WARDER_CLASS_OVERRIDE,
	WARDER_CLASS_IDENTITY, /* tagging itself: a fork whose tag could not be copied */
	WARDER_CLASS_NETWORK,
	WARDER_CLASS_MEMORY,
	WARDER_CLASS_NAMESPACE,
	WARDER_CLASS__MAX,
};

/* File accesses, in the order of POLICY-LANGUAGE; exec shares the DFA and the word. */
#define WARDER_ACC_READ (1u << 0)
#define WARDER_ACC_WRITE (1u << 1)
#define WARDER_ACC_APPEND (1u << 2)
#define WARDER_ACC_CREATE (1u << 3)
#define WARDER_ACC_DELETE (1u << 4)
#define WARDER_ACC_RENAME (1u << 5)
#define WARDER_ACC_LINK (1u << 6)
#define WARDER_ACC_SYMLINK (1u << 7)
#define WARDER_ACC_CHMOD (1u << 8)
#define WARDER_ACC_CHOWN (1u << 9)
#define WARDER_ACC_TRUNCATE (1u << 10)
#define WARDER_ACC_SETATTR (1u << 11)
#define WARDER_ACC_XATTR (1u << 12)
#define WARDER_ACC_MKNOD (1u << 13)
#define WARDER_ACC_IOCTL (1u << 14)
#define WARDER_ACC_LOCK (1u << 15)
#define WARDER_ACC_MAP_EXEC (1u << 16)
#define WARDER_ACC_WATCH (1u << 17)
#define WARDER_ACC_EXEC (1u << 18)
#define WARDER_ACC_BITS 19
#define WARDER_ACC_FILE_ALL ((1u << 18) - 1) /* everything but exec */

/* Mount operations: what mount(2), umount(2), move_mount(2), pivot_root(2) ask for. */
#define WARDER_MNT_NEW (1u << 0)         /* a superblock by type */
#define WARDER_MNT_BIND (1u << 1)        /* MS_BIND, rbind included */
#define WARDER_MNT_REMOUNT (1u << 2)     /* MS_REMOUNT, also with MS_BIND */
#define WARDER_MNT_MOVE (1u << 3)        /* MS_MOVE, move_mount of an attached mount */
#define WARDER_MNT_PROPAGATION (1u << 4) /* MS_SHARED and its kin */
#define WARDER_MNT_UMOUNT (1u << 5)
#define WARDER_MNT_PIVOT (1u << 6)
#define WARDER_MNT_ATTACH (1u << 7)      /* move_mount of a detached mount (new API) */
#define WARDER_MNT_BITS 8

/* Network operations. CREATE is socket(2): the compiler adds it to every allow rule. */
#define WARDER_NET_CREATE (1u << 0)
#define WARDER_NET_CONNECT (1u << 1)
#define WARDER_NET_BIND (1u << 2)
#define WARDER_NET_LISTEN (1u << 3)
#define WARDER_NET_ACCEPT (1u << 4)
#define WARDER_NET_SEND (1u << 5) /* a datagram or first data to an address: sendto, sendmsg, FASTOPEN */
#define WARDER_NET_BITS 6
#define WARDER_NET_ALL ((1u << WARDER_NET_BITS) - 1)

/* Address families as a rule names them; OTHER is every one not named here. */
#define WARDER_FAM_INET (1u << 0)
#define WARDER_FAM_INET6 (1u << 1)
#define WARDER_FAM_UNIX (1u << 2)
#define WARDER_FAM_NETLINK (1u << 3)
#define WARDER_FAM_PACKET (1u << 4)
#define WARDER_FAM_VSOCK (1u << 5)
#define WARDER_FAM_OTHER (1u << 6)
#define WARDER_FAM_BITS 7
#define WARDER_FAM_IP (WARDER_FAM_INET | WARDER_FAM_INET6)

/* Protocols of inet and inet6. MPTCP counts as TCP and UDP-Lite as UDP: another name for a
 * connection must not be a way around a rule. RAW is SOCK_RAW whatever the protocol number. */
#define WARDER_PROTO_TCP (1u << 0)
#define WARDER_PROTO_UDP (1u << 1)
#define WARDER_PROTO_ICMP (1u << 2) /* SOCK_DGRAM ping sockets, of both families */
#define WARDER_PROTO_SCTP (1u << 3)
#define WARDER_PROTO_RAW (1u << 4)
#define WARDER_PROTO_OTHER (1u << 5) /* DCCP, and what is added later */
#define WARDER_PROTO_BITS 6

/* Memory: what may become executable. Bit numbers of struct warder_bits. */
enum warder_memory {
	WARDER_MEM_FILELESS_EXEC = 0, /* execve of a file without a name: memfd, deleted */
	WARDER_MEM_WRITE_EXEC,        /* a mapping writable and executable, or executable after it
	                               * was written */
	WARDER_MEM_ANONYMOUS_EXEC,    /* executable memory without a file */
	WARDER_MEM_SHM_EXEC,          /* SHM_EXEC: SysV shared memory mapped executable */
	WARDER_MEM__MAX,
};

/* Namespaces, made or joined. Bit numbers of struct warder_bits. */
enum warder_namespace {
	WARDER_NS_USER = 0,
	WARDER_NS_MNT,
	WARDER_NS_PID,
	WARDER_NS_NET,
	WARDER_NS_IPC,
	WARDER_NS_UTS,
	WARDER_NS_CGROUP,
	WARDER_NS_TIME,
	WARDER_NS__MAX,
};

/* Kernel surfaces. Bit numbers of struct warder_bits. Those marked B are baseline: a rule that
 * allows one needs the same word in `unsafe`. */
enum warder_surface {
	WARDER_SURFACE_BPF = 0,     /* B bpf(2) */
	WARDER_SURFACE_MODULES,     /* B init_module, finit_module, delete_module */
	WARDER_SURFACE_KEXEC,       /* B kexec_load, kexec_file_load */
	WARDER_SURFACE_PERF,        /* perf_event_open */
	WARDER_SURFACE_SETTIME,     /* settimeofday, clock_settime, adjtimex that sets */
	WARDER_SURFACE_SYSLOG,      /* syslog(2), /dev/kmsg */
	WARDER_SURFACE_SWAP,        /* swapon, swapoff */
	WARDER_SURFACE_REBOOT,      /* reboot(2) outside a pid namespace of its own */
	WARDER_SURFACE_IO_URING,    /* io_uring_setup */
	WARDER_SURFACE_USERFAULTFD, /* userfaultfd(2), /dev/userfaultfd */
	WARDER_SURFACE_QUOTA,       /* quotactl */
	WARDER_SURFACE_ACCT,        /* acct(2) */
	WARDER_SURFACE_RAWIO,       /* iopl, ioperm */
	WARDER_SURFACE_HANDLE,      /* open_by_handle_at */
	WARDER_SURFACE_FANOTIFY,    /* fanotify_init that needs CAP_SYS_ADMIN */
	WARDER_SURFACE_HOSTNAME,    /* sethostname, setdomainname */
	WARDER_SURFACE__MAX,
};

/* Devices: what may be done with a node. */
#define WARDER_DEV_OPEN (1u << 0)
#define WARDER_DEV_MKNOD (1u << 1)
#define WARDER_DEV_BITS 2

/* ptrace: attach, control and write; read of memory, environ, maps, descriptors. */
#define WARDER_PTRACE_TRACE (1ull << 0)
#define WARDER_PTRACE_READ (1ull << 1)
#define WARDER_PTRACE_ALL 3ull
/* signal: bit number is the signal's minus 1. Signal 0, which only asks for existence, and
 * changes of priority, scheduling and limits need any bit. */
#define WARDER_SIGNAL_ALL (~0ull)
/* ipc */
#define WARDER_IPC_UNIX (1ull << 0) /* connect and send to a socket made elsewhere */
#define WARDER_IPC_SYSV (1ull << 1)
#define WARDER_IPC_MQ (1ull << 2)
#define WARDER_IPC_FD (1ull << 3)   /* receive a descriptor made elsewhere */
#define WARDER_IPC_ALL 15ull

enum warder_peer {
	WARDER_PEER_ANY = 0,   /* `peer` left out: any of the container's own tasks */
	WARDER_PEER_SAME,      /* same container, same profile */
	WARDER_PEER_CONTAINER, /* same container */
	WARDER_PEER_HOST,      /* a task without a tag; ptrace and signal need `unsafe` */
	WARDER_PEER_POLICY,    /* another container under the named policy */
	WARDER_PEER_NAME,      /* the container of that name */
	WARDER_PEER__MAX,
};

/* What `unsafe:` takes out of the baseline. Bits of the header's `unsafe`. */
#define WARDER_UNSAFE_BPF (1ull << 0)
#define WARDER_UNSAFE_MODULES (1ull << 1)
#define WARDER_UNSAFE_KEXEC (1ull << 2)
#define WARDER_UNSAFE_HOST_PTRACE (1ull << 3)  /* `peer: host` in ptrace rules */
#define WARDER_UNSAFE_HOST_SIGNAL (1ull << 4)  /* `peer: host` in signal rules */
#define WARDER_UNSAFE_KERNEL_FILES (1ull << 5) /* proc, sysfs, ... that act on the host */
#define WARDER_UNSAFE_MEMORY_DEVICES (1ull << 6) /* /dev/mem and its kin, by whatever node */
#define WARDER_UNSAFE_PERFMON (1ull << 7)
#define WARDER_UNSAFE_BITS 8

/* ---------------------------------------------------------------- verdicts */

enum warder_action {
	WARDER_ALLOW = 0,
	WARDER_DENY = 1,  /* refused with verdict.err */
	WARDER_AUDIT = 2, /* would be refused; audit mode lets it pass and reports it */
};

/* Why a verdict is what it is. Only WARDER_WHY_RULE names a rule. */
enum warder_why {
	WARDER_WHY_DEFAULT = 0, /* the class default, in the policy or built in */
	WARDER_WHY_RULE,        /* verdict.rule decided */
	WARDER_WHY_BASELINE,    /* what no policy and no mode turns off */
	WARDER_WHY_UNREACHABLE, /* the object has no name in this container */
	WARDER_WHY_FAULT,       /* verdict.fault says what broke; always denied */
};

/* Everything that can go wrong inside a hook; `warder doctor` shows a counter for each. */
enum warder_fault {
	WARDER_FAULT_NONE = 0,
	WARDER_FAULT_TAG_LOOKUP,  /* task storage could not be read although the task has one */
	WARDER_FAULT_TAG_COPY,    /* the child's tag could not be written: the fork fails */
	WARDER_FAULT_CONTAINER,   /* the tag's container record is gone or is another's */
	WARDER_FAULT_IMAGE,       /* no policy image in the container's slot, or malformed */
	WARDER_FAULT_SCRATCH,     /* all scratch buffers of this CPU are taken */
	WARDER_FAULT_NAME_READ,   /* a dentry could not be read */
	WARDER_FAULT_NAME_LONG,   /* longer than PATH_MAX, or a component beyond 255 bytes */
	WARDER_FAULT_NAME_RACE,   /* renames kept changing the path while it was read */
	WARDER_FAULT_MAP_FULL,    /* an entry could not be added */
	WARDER_FAULT_ARGUMENT,    /* the kernel passed what the hook cannot interpret */
	WARDER_FAULT_PROFILE,     /* the task's profile is not in its container's policy (any more) */
	WARDER_FAULT_LEARN_FULL,  /* learn mode: no room for another object; counted, not denied */
	WARDER_FAULT_SIGNERS,     /* the ring of the policy's signers is not there */
	WARDER_FAULT_DIGEST,      /* the kernel's digest of a file is none that signatures are of */
	WARDER_FAULT__MAX,
};

struct warder_verdict {
	__u8 action;  /* enum warder_action */
	__u8 why;     /* enum warder_why */
	__u8 fault;   /* enum warder_fault, with WARDER_WHY_FAULT */
	__u8 report;  /* non-zero: make an event although the verdict is allow */
	__u16 err;    /* positive errno, for deny and audit */
	__u8 layer;   /* of a stack: the one whose verdict this is; else 0 */
	__u8 against; /* of a stack: bit n: layer n refuses it, or would in enforce mode; else 0 */
	__u32 rule;   /* number of the deciding rule, 1..; 0: none */
	__u32 access; /* the bits that were refused (file, exec), else 0 */
	__u32 profile; /* exec: number of the profile that the allowing rule leads to; 0: stay */
	__u32 pad;
	__u16 by[WARDER_LAYERS_MAX]; /* of a stack: each layer's deciding rule, 0: its default; else 0 */
};
_Static_assert(sizeof(struct warder_verdict) == 32, "verdict layout");

#include "warder_image.h"

/* -------------------------------------------------------------------- maps */

#define WARDER_PIN_DIR "/sys/fs/bpf/warder"

/* Value of warder_tasks (task storage): the tag. */
struct warder_task {
	__u64 cid;  /* never 0, never reused within a boot */
	__u32 slot; /* of the container's record */
	__u32 flags; /* WARDER_TASK_*, 0 when user space makes the tag */
	/* What the system call under way has met so far; reset when a supervised one ends. */
	__u8 cause;        /* enum warder_refusal */
	__u8 cause_serial; /* low bits of warder_host.serial when it was noted */
	__u16 cause_nr;    /* the call that met it: number, with WARDER_CAUSE_NR_32 */
	__u32 cap;         /* the capability that was missing */
	__u32 cap_userns;  /* inode number of the user namespace it was asked in */
	__u32 rule;        /* the rule that refused, or 0 */
	__u64 wait_cookie; /* of the intercept this thread waits for, or 0 */
	__u8 perfmon;      /* 1: CAP_PERFMON was refused last, see capability.bpf.h */
	__u8 fresh;        /* 1: an exec whose stack was not looked at yet, see memory.bpf.h */
	__u16 call;        /* enum warder_call: the supervised one that was refused just now */
	__u32 profile;     /* number in the policy's table; valid if profile_id is that entry's */
	__u32 profile_id;  /* struct warder_profile.id; 0: top */
	__u32 exec_profile; /* id of the profile that the exec under way has earned, 0: none */
	__u32 pad;
	__u32 net_op;      /* WARDER_NET_CONNECT or _SEND: the last of the two on a unix socket */
	__u64 last_key;    /* address of the key that it made last: what an upcall is for */
};
_Static_assert(sizeof(struct warder_task) == 72, "task layout");

#define WARDER_CAUSE_NR_32 0x8000u /* the 32-bit entry */

#define WARDER_TASK_COUNTED (1u << 0) /* in warder_stats.tasks */
#define WARDER_TASK_EXITED (1u << 1)  /* its exit was seen */

/* What refused the system call under way, strongest last: a later, weaker one does not
 * replace a stronger one. */
enum warder_refusal {
	WARDER_REFUSAL_NONE = 0,   /* nothing seen: not a capability and not this policy */
	WARDER_REFUSAL_CAPABILITY, /* cap and cap_userns say which */
	WARDER_REFUSAL_DEFAULT,    /* this policy's class default */
	WARDER_REFUSAL_RULE,       /* an explicit deny: never overridden */
	WARDER_REFUSAL_BASELINE,   /* never overridden */
};

enum warder_ctr_state {
	WARDER_CTR_FREE = 0,
	WARDER_CTR_STARTING, /* tagged, not released yet */
	WARDER_CTR_RUNNING,
	WARDER_CTR_DEAD,     /* init is gone; the slot is freed when its last task is */
	WARDER_CTR_RELEASED, /* adopted, and being let go: tags are taken away, children get none */
};

/* Value of warder_ctrs (array by slot): written by the supervisor only. */
struct warder_ctr {
	__u64 cid; /* 0: free */
	__u32 state;
	__u32 policy; /* slot in warder_images */
	__u32 init_tgid; /* in the host's pid namespace */
	__u32 userns; /* inode numbers, for reports and for `by` */
	__u32 mntns;
	__u32 pidns;
	__u32 event_rate;  /* events per second before suppression; 0: the built-in 200 */
	__u32 icept_rate;  /* intercepts per second; 0: the built-in 50 */
	__u32 icept_burst; /* 0: the built-in 10 */
	__u32 keys_max;    /* 0: the built-in 200 */
	__s32 session_ring;   /* serial of S, 0 while there is none */
	__s32 container_ring; /* serial of C */
	__u32 userns_owned;   /* 1: the container has a user namespace of its own */
	__u32 keys_bytes;     /* of its keys' payloads and descriptions; 0: the built-in 20000 */
	__u32 keys_pending;   /* upcalls under way at once; 0: the built-in 8 */
	__u32 foreign;        /* 1: adopted, that is, not started by warder */
	__u32 keys_join;      /* enum warder_keys_join, the strictest of its policies */
	__u32 pad;
	char name[WARDER_NAME_SIZE];
};
_Static_assert(sizeof(struct warder_ctr) == 144, "container layout");

/* Value of warder_stats (array by slot): written by BPF only, reset at allotment. */
struct warder_stats {
	__u64 denied;
	__u64 audited;
	__u64 events;
	__u64 events_dropped;    /* ring full */
	__u64 events_suppressed; /* over the container's budget */
	__u64 intercepts;
	__u64 intercepts_late;   /* bound passed or not tried: the late rule applied */
	__u64 faults;
	__u64 event_window;      /* start of the budget's second, ktime ns */
	__u64 event_count;
	__u64 icept_stamp;       /* token bucket: time of the last refill, ktime ns */
	__u64 icept_tokens;      /* in thousandths */
	__u64 tasks;             /* tagged tasks alive */
	__u64 keys;              /* keys alive that this container made */
	__u32 exit_code;         /* of init, as wait(2) gives it */
	__u32 exited;            /* 1: init's last thread is gone */
	__u32 stacked;           /* 1: its tasks made a file system that acts with their creds */
	__u32 learned;           /* entries of warder_learn */
	__u64 key_bytes;         /* of those keys: descriptions with their NUL, and payloads */
	__u64 upcalls;           /* key upcalls under way */
};
_Static_assert(sizeof(struct warder_stats) == 144, "stats layout");

#include "warder_abi_keys.h"

/* warder_faults: array by enum warder_fault, __u64 each. */

/* Learn mode: what a container asked for, once for each object. Key and value of warder_learn
 * (hash). The hash is of the names and of what else tells requests of a class apart, the access
 * too where it is no mask. */
#define WARDER_LEARN_MAX 131072 /* of all containers */
#define WARDER_LEARN_CONTAINER_MAX 32768
struct warder_learn_key {
	__u64 hash[2];
	__u32 slot;
	__u32 profile_id;
	__u32 class_;
	__u32 pad;
};
_Static_assert(sizeof(struct warder_learn_key) == 32, "learn key layout");
struct warder_learn {
	__u64 first; /* ktime ns */
	__u64 count;
	__u32 seen;  /* accesses that were reported; 1 where the access is no mask */
	__u32 pad;
};
_Static_assert(sizeof(struct warder_learn) == 24, "learn layout");

/* Key and value of warder_names (hash): the recorded mounts. */
struct warder_name_key {
	__u64 sb;     /* address of the super_block */
	__u64 dentry; /* address of the mount's root dentry */
	__u32 slot;   /* the container's */
	__u32 pad;
};
_Static_assert(sizeof(struct warder_name_key) == 24, "name key layout");

/* warder_sbs: what is known of a superblock that has an entry in warder_names. */
struct warder_sb {
	__u64 maker;  /* id of the container that made it, 0 when it was there before */
	__u64 root;   /* the dentry of its only entry; 0: it has got none yet */
	__u32 slot;   /* of that entry */
	__u32 many;   /* 1: it may have others, which only a search finds */
};
_Static_assert(sizeof(struct warder_sb) == 24, "superblock layout");

struct warder_name {
	__u64 ino;    /* of the root dentry: an address used again is not taken for it */
	__u64 s_dev;
	__u32 len;    /* of path, without the NUL; "/" is recorded as length 0 */
	__u32 nested; /* 1: another recorded root lies below this one on the same superblock,
	               * so a walk must not stop at the first root it meets from the mount */
	char path[WARDER_PREFIX_SIZE];
};
_Static_assert(sizeof(struct warder_name) == 24 + WARDER_PREFIX_SIZE, "name layout");

/* What the file iterator (iter/task_file) writes for each open file of the asked task. */
struct warder_fd_record {
	__u64 sb;
	__u64 mnt_root;  /* root dentry of the file's mount */
	__u64 dentry;    /* of the file itself */
	__u64 ino;       /* of the file itself */
	__u64 root_ino;  /* of mnt_root */
	__u64 s_dev;
	__u32 fd;
	__u32 magic;     /* s_magic */
	__s32 name_len;  /* >= 0: length of the name; < 0: -enum warder_fault or -errno */
	__u32 mode;      /* WARDER_FD_*: what it was opened for */
	/* followed by name_len bytes when name_len > 0 */
};
_Static_assert(sizeof(struct warder_fd_record) == 64, "fd record layout");

#define WARDER_FD_READ (1u << 0)
#define WARDER_FD_WRITE (1u << 1)
#define WARDER_FD_APPEND (1u << 2)

/*
 * Adoption: warder_adopt (array of one) says which tasks are meant; all zero while none is under
 * way. Kept by the supervisor; the last three by BPF. See bpf/adopt.bpf.h.
 */
enum warder_adopt_mode {
	WARDER_ADOPT_NONE = 0,
	WARDER_ADOPT_LOOK,  /* the iterator writes a record of each member */
	WARDER_ADOPT_TAG,   /* the iterator tags members; forks of members make tagged children */
	WARDER_ADOPT_UNTAG, /* the iterator takes the container's tags away */
	WARDER_ADOPT_LIST,  /* the iterator writes a record of each task with the container's tag */
};
struct warder_adopt {
	__u64 cid;
	__u64 cgroup; /* id: tasks in it and below it; 0: none */
	__u64 start;  /* of the process `root`: boot clock ns; 0: not known yet */
	__u32 slot;
	__u32 mode;   /* enum warder_adopt_mode */
	__u32 root;   /* tgid: it and its descendants; 0: none */
	__u32 pidns;  /* inode number: tasks in it and below it; 0: none */
	__u32 caller; /* tgid of who asked for it, which must not be a member */
	__u32 lost;   /* 1: a member's children could not be followed: not all can be found */
	__u64 found;  /* tags that the iterator has written, or taken away */
	__u64 failed; /* those that it could not, in this pass */
};
_Static_assert(sizeof(struct warder_adopt) == 64, "adopt layout");

/* What the task iterator writes. */
struct warder_member {
	__u64 cid;   /* of its tag, 0: none */
	__u64 start; /* of its process: boot clock ns */
	__u32 tid;   /* in the host's pid namespace */
	__u32 tgid;
	__u32 nr;    /* process id in the innermost pid namespace */
	__u32 flags; /* WARDER_MEMBER_* */
};
_Static_assert(sizeof(struct warder_member) == 32, "member layout");
#define WARDER_MEMBER_KERNEL (1u << 0) /* a kernel thread */
#define WARDER_MEMBER_WARDER (1u << 1) /* the supervisor or one that it started */
#define WARDER_MEMBER_CALLER (1u << 2)
#define WARDER_MEMBER_INIT (1u << 3)   /* process 1 of the host */
#define WARDER_KIN_MAX 65536 /* children of members that ended meanwhile */

/* warder_host: one record, mapped by the supervisor. */
struct warder_host {
	__u64 heartbeat;   /* ktime ns of the supervisor's last sign of life; 0: none runs */
	__u64 next_cid;    /* the id counter, pinned: ids are not reused within a boot */
	__u64 wait_bound;  /* ns; 0: the built-in 500 us */
	__u64 cookie;      /* last intercept cookie given out */
	__u32 supervisor;  /* tgid, 0 while none */
	__u32 waiting;     /* threads that wait in the kernel now */
	__u32 cpus;        /* online CPUs, written by the supervisor */
	__u32 abi;         /* WARDER_ABI_VERSION */
	__u64 recursion;   /* programs the kernel skipped, as the supervisor last read it */
	__u64 serial;      /* the last one given to a published image */
	__u64 names;       /* changes of recorded mounts so far, by BPF and user space */
	/* A bit for each policy slot that may hold an image: set before it is published, cleared
	 * after it is gone. To look into a slot costs a grace period on old kernels. */
	__u64 published[WARDER_POLICIES_MAX / 64];
	__u32 upcalls_by_lines; /* 1: the ordinary request-key comes before warder's, and may have the
	                         * authority over what is a queue's; written by the supervisor */
	__u32 upcalls_diverted; /* 1: warder's comes first, for everything */
};
_Static_assert(sizeof(struct warder_host) == 112, "host layout");

/* warder_waits: array, mapped by the supervisor: the claim word of each waiting intercept. */
enum warder_wait_state {
	WARDER_WAIT_FREE = 0,
	WARDER_WAIT_WAITING, /* BPF: polling; user space may claim */
	WARDER_WAIT_CLAIMED, /* user space: the thread is seized and interrupted */
	WARDER_WAIT_LATE,    /* BPF: the bound passed first; nothing may be performed */
};
struct warder_wait {
	__u32 state;
	__u32 tid;
	__u64 cookie;
};
_Static_assert(sizeof(struct warder_wait) == 16, "wait layout");

/* ------------------------------------------------------------------ events */

#define WARDER_EVENT_VERSION 4

enum warder_event_type {
	WARDER_EVENT_VERDICT = 1, /* denied, would-be denied, or reported */
	WARDER_EVENT_REFUSAL,     /* a supervised system call failed: struct warder_icept */
	WARDER_EVENT_GAP,         /* made by user space: events of a container were lost */
	WARDER_EVENT_OVERRIDE,    /* made by user space: how an intercept ended */
	WARDER_EVENT_LIFECYCLE,   /* made by user space: started, exited, adopted */
	WARDER_EVENT_LEARN,       /* learn mode: what was asked, recorded before it was decided;
	                           * a struct warder_event, once for each new object or access */
	WARDER_EVENT_CLEARED,     /* the container emptied its S: a struct warder_event_header, for
	                           * the supervisor alone */
};

/* Hooks, for reports; names in warder_hook_name[] (events.c). */
enum warder_hook {
	WARDER_HOOK_NONE = 0,
	WARDER_HOOK_TASK_ALLOC,
	WARDER_HOOK_FILE_OPEN,
	WARDER_HOOK_FILE_TRUNCATE,
	WARDER_HOOK_PATH_TRUNCATE,
	WARDER_HOOK_PATH_MKNOD,
	WARDER_HOOK_PATH_MKDIR,
	WARDER_HOOK_PATH_SYMLINK,
	WARDER_HOOK_PATH_LINK,
	WARDER_HOOK_PATH_RENAME,
	WARDER_HOOK_PATH_UNLINK,
	WARDER_HOOK_PATH_RMDIR,
	WARDER_HOOK_PATH_CHMOD,
	WARDER_HOOK_PATH_CHOWN,
	WARDER_HOOK_BPRM_CHECK,
	WARDER_HOOK_MMAP_FILE,
	WARDER_HOOK_FILE_MPROTECT,
	WARDER_HOOK_CAPABLE,
	WARDER_HOOK_SB_MOUNT,
	WARDER_HOOK_SB_UMOUNT,
	WARDER_HOOK_SB_REMOUNT,
	WARDER_HOOK_SB_PIVOTROOT,
	WARDER_HOOK_MOVE_MOUNT,
	WARDER_HOOK_PTRACE_ACCESS,
	WARDER_HOOK_PTRACE_TRACEME,
	WARDER_HOOK_TASK_KILL,
	WARDER_HOOK_BPF,
	WARDER_HOOK_KERNEL_LOAD,
	WARDER_HOOK_KERNEL_READ,
	WARDER_HOOK_UNIX_CONNECT,
	WARDER_HOOK_UNIX_SEND,
	WARDER_HOOK_KEY_ALLOC,
	WARDER_HOOK_KEY_PERMISSION,
	WARDER_HOOK_SYS_MOUNT,
	WARDER_HOOK_SB_KERN_MOUNT,
	WARDER_HOOK_TASK_CONTROL, /* priority, scheduler, limits, page migration */
	WARDER_HOOK_SIGIO,
	WARDER_HOOK_URING_CREDS,
	WARDER_HOOK_SYSLOG,
	WARDER_HOOK_SETTIME,
	WARDER_HOOK_PERF_EVENT,
	WARDER_HOOK_QUOTA_ON,
	WARDER_HOOK_SOCKET_CREATE,
	WARDER_HOOK_SOCKET_CONNECT,
	WARDER_HOOK_SOCKET_BIND,
	WARDER_HOOK_SOCKET_LISTEN,
	WARDER_HOOK_SOCKET_ACCEPT,
	WARDER_HOOK_SOCKET_SENDMSG,
	WARDER_HOOK_FILE_RECEIVE,
	WARDER_HOOK_FILE_IOCTL,
	WARDER_HOOK_FILE_LOCK,
	WARDER_HOOK_INODE_SETATTR,
	WARDER_HOOK_INODE_XATTR,
	WARDER_HOOK_PATH_NOTIFY,
	WARDER_HOOK_IPC_PERMISSION,
	WARDER_HOOK_USERNS_CREATE,
	WARDER_HOOK_NAMESPACE, /* other namespaces: judged in capable */
	WARDER_HOOK_ANON_INODE, /* io_uring_setup, userfaultfd */
	WARDER_HOOK_BPRM_COMMIT, /* a transition; arg[0] is 1: not made, the task is traced */
	WARDER_HOOK_MMAP_ADDR, /* brk(2), where it makes executable memory */
	WARDER_HOOK__MAX,
};

struct warder_event_header {
	__u16 version;
	__u16 type; /* enum warder_event_type */
	__u32 size; /* of the whole record */
	__u64 time; /* CLOCK_MONOTONIC ns (bpf_ktime_get_ns) */
	__u64 cid;
	__u32 slot;
	__u32 tgid; /* host pid namespace */
	__u32 tid;
	__u32 uid;  /* effective, in the init user namespace */
	char comm[16];
};
_Static_assert(sizeof(struct warder_event_header) == 56, "event header layout");

/* A socket address as rules compare it. */
struct warder_address {
	__u8 addr[16]; /* network order; IPv4 as ::ffff:a.b.c.d; 0 where the family has none */
	__u32 families; /* one WARDER_FAM_* bit; 0: no address */
	__u32 protocols; /* one WARDER_PROTO_* bit for inet and inet6 */
	__u16 port;    /* host order */
	__u16 family;  /* AF_*, as the socket's */
	__u32 pad;
};
_Static_assert(sizeof(struct warder_address) == 32, "address layout");

struct warder_event {
	struct warder_event_header h;
	struct warder_verdict v;
	__u32 hook;     /* enum warder_hook */
	__u32 class_;   /* enum warder_class */
	__u32 access;   /* what was asked: WARDER_ACC_*, WARDER_MNT_*, WARDER_DEV_*, capability number,
	                 * signal, WARDER_KEY_OP_*; memory, namespace, kernel: number of the switch */
	__u32 policy;   /* image slot that decided */
	__u64 arg[2];   /* by class: capability: target userns; signal, ptrace: peer tgid, in the
	                 * upper half the peer's profile if it is of the own container, and cid;
	                 * key: serial and need, in key_alloc 0 and the limit that was reached; mount:
	                 * MS_* flags; device: type, major << 32 | minor; exec: [1] is 1 of a signature */
	__u32 text_len; /* bytes of name that follow */
	__u32 detail_len; /* bytes that follow the name: fs type, second name */
	__u32 profile_id; /* of the task */
	__u32 transition; /* exec: number of the profile that the task enters, 0: none */
	struct warder_address address; /* network: the other end, or the own one of bind; else 0 */
};
_Static_assert(sizeof(struct warder_event) == 56 + 32 + 48 + 32, "event layout");

/* An intercept: a refused or trapped system call, on its own ring. */
struct warder_icept {
	struct warder_event_header h;
	__u64 cookie;  /* 0: reported only, nothing waits */
	__u32 wait;    /* index into warder_waits; only with a cookie */
	__u32 op;      /* enum warder_op */
	__u32 nr;      /* system call number of its entry */
	__s32 result;  /* -errno */
	__u32 call;    /* enum warder_call */
	__u32 compat;  /* 1: the 32-bit entry */
	__u64 ip;      /* of the caller's next instruction */
	__u64 arg[6];  /* in the order of the call's registers */
	__u32 cause;   /* enum warder_refusal */
	__u32 cap;
	__u32 cap_userns;
	__u32 rule;      /* the rule that refused, or 0 */
	__u32 late;      /* 1: stopped by the late rule; the supervisor seizes a stopped thread */
	__u32 unasked;   /* enum warder_unasked: why nothing waits */
	__u32 euid;      /* effective and filesystem uid: in the init user namespace as the kernel */
	__u32 fsuid;     /* reports them, in the caller's own once the supervisor has looked */
	__u32 userns;    /* inode numbers of the caller's namespaces */
	__u32 mntns;
	__u64 start;     /* task's start time, boot clock ns */
	__u64 candidates;/* override rules that can still match, by number */
	char type[WARDER_FSTYPE_SIZE];
};
_Static_assert(sizeof(struct warder_icept) == 56 + 8 + 32 + 48 + 40 + 16 + 32, "intercept layout");

enum warder_unasked {
	WARDER_ASKED = 0,
	WARDER_UNASKED_NO_RULE,   /* no override rule can match this call */
	WARDER_UNASKED_EXPLICIT,  /* an explicit deny, or the baseline */
	WARDER_UNASKED_CAUSE,     /* no capability and no class default refused it */
	WARDER_UNASKED_DOWN,      /* no supervisor, or its heartbeat is stale */
	WARDER_UNASKED_ONE_CPU,
	WARDER_UNASKED_RATE,      /* the container's tokens are used up */
	WARDER_UNASKED_BUSY,      /* another thread of the container waits, or too many on the host */
	WARDER_UNASKED_BOUND,     /* nobody claimed it in time */
	WARDER_UNASKED_RING,      /* the ring is full */
	WARDER_UNASKED_TRACED,    /* the thread has a tracer already */
	WARDER_UNASKED__MAX,
};

#endif
