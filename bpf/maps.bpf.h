/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every map, defined by container_lsm.bpf.c and used by both objects: keyring.bpf.c includes
 * this with WARDER_MAPS_EXTERN and the linker joins them. All maps are pinned by name below
 * WARDER_PIN_DIR. Map names are cut at 15 characters by the kernel.
 */
#ifndef WARDER_MAPS_BPF_H
#define WARDER_MAPS_BPF_H

#ifdef WARDER_MAPS_EXTERN
#define WARDER_MAP extern
#else
#define WARDER_MAP
#endif

/* The tag. No element: untagged. Created by user space (a pidfd as key) and in task_alloc. */
WARDER_MAP struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct warder_task);
} warder_tasks SEC(".maps");

/* Container records by slot; written by the supervisor. */
WARDER_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WARDER_CONTAINERS_MAX);
	__type(key, __u32);
	__type(value, struct warder_ctr);
} warder_ctrs SEC(".maps");

/* What BPF counts for each container. */
WARDER_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WARDER_CONTAINERS_MAX);
	__type(key, __u32);
	__type(value, struct warder_stats);
} warder_stats SEC(".maps");

/* Policies: one update of an outer slot replaces a whole policy. */
struct warder_image_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	/* Sizes, no types: 6.1 takes an inner map with BTF for another kind than the one that
	 * loader_publish() makes without. */
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct warder_image));
};
WARDER_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, WARDER_POLICIES_MAX);
	__type(key, __u32);
	__array(values, struct warder_image_map);
} warder_images SEC(".maps");

/* Recorded mounts: superblock and root dentry -> path in the container. */
WARDER_MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WARDER_MOUNTS_MAX);
	__type(key, struct warder_name_key);
	__type(value, struct warder_name);
} warder_names SEC(".maps");

/* States that the DFA reached at the end of names, see known.bpf.h: two to a place, an object's
 * and a folder's. One cache line each. */
struct known_name {
	__u32 version; /* odd while it is written */
	__u32 seq;     /* of rename_lock */
	__u64 dentry;
	__u64 mnt_root;
	__u64 serial;  /* of the image */
	__u64 born;
	__u64 names;   /* of struct warder_host */
	__u64 time;    /* jiffies */
	__u32 who;
	__u32 state;   /* with KNOWN_EACH */
};
_Static_assert(sizeof(struct known_name) == 64, "one cache line");
#define KNOWN_BITS 13
#define KNOWN_EACH (1u << 31) /* of a folder: what is in it can be a recorded root */
#define KNOWN_NOTHING (~0u)   /* states are positive ints */
WARDER_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 << KNOWN_BITS);
	__type(key, __u32);
	__type(value, struct known_name);
} warder_known SEC(".maps");

/* How many dentries whose address falls on an entry have got an inode. */
#define KNOWN_BORN_BITS 16
WARDER_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << KNOWN_BORN_BITS);
	__type(key, __u32);
	__type(value, __u64);
} warder_born SEC(".maps");

/* Superblocks with an entry in warder_names: whoever adds an entry adds its superblock first,
 * and both go when the superblock is freed, so that no name outlives what it names. */
WARDER_MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WARDER_MOUNTS_MAX);
	__type(key, __u64);
	__type(value, struct warder_sb);
} warder_sbs SEC(".maps");

/* From sb_mount to sb_kern_mount of one mount(2): how the new superblock will be called. */
struct mount_pending {
	__u32 len; /* of path; MOUNT_NAMELESS: the target has no name */
	__u32 pad;
	char path[WARDER_PREFIX_SIZE];
};
WARDER_MAP struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct mount_pending);
} warder_pending SEC(".maps");

/* One record, mapped by the supervisor. */
WARDER_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct warder_host);
} warder_host SEC(".maps");

/* Claim words, mapped by the supervisor. */
WARDER_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, WARDER_WAITS_MAX);
	__type(key, __u32);
	__type(value, struct warder_wait);
} warder_waits SEC(".maps");

/* Internal faults by kind. Full map, missing storage and the like are denied and counted here. */
WARDER_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WARDER_FAULT__MAX);
	__type(key, __u32);
	__type(value, __u64);
} warder_faults SEC(".maps");

/* What containers in learn mode have asked for; a container's entries go with its slot. */
WARDER_MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WARDER_LEARN_MAX);
	__type(key, struct warder_learn_key);
	__type(value, struct warder_learn);
} warder_learn SEC(".maps");

WARDER_MAP struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} warder_events SEC(".maps");

/* A ring of its own, so that a flood of events cannot delay an answer. */
WARDER_MAP struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
} warder_icepts SEC(".maps");

/* Scratch memory: a name does not fit on the 512-byte stack. A program can be preempted and
 * another run on the same CPU meanwhile, so each CPU has several, taken and given back. */
#define SCRATCH_PER_CPU 8
struct scratch {
	struct warder_text text;   /* first name */
	struct warder_text second; /* second name: rename, link; a file-system type */
	struct warder_event event; /* directly followed by its text */
	char event_text[2 * WARDER_PATH_MAX + 512];
	struct warder_address address; /* network: what is asked about */
	__u32 taken;
	__s32 pos; /* of the name in `text`; read back, it has no bounds that the verifier follows */
};
WARDER_MAP struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCRATCH_PER_CPU);
	__type(key, __u32);
	__type(value, struct scratch);
} warder_scratch SEC(".maps");

/* What the file iterator is asked for: the container slot whose names it gathers, or ~0. */
WARDER_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} warder_iter SEC(".maps");

/* Which tasks an adoption means; mapped by the supervisor. */
WARDER_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct warder_adopt);
} warder_adopt SEC(".maps");

/* Processes that are members of the adoption under way though no parent tells it any more: by tgid
 * the start of the process (boot clock ns), so that a number used again is not taken for it. */
WARDER_MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WARDER_KIN_MAX);
	__type(key, __u32);
	__type(value, __u64);
} warder_kin SEC(".maps");

/* The rings with the certificates of containers' signers; written by the supervisor. */
WARDER_MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WARDER_SIGNER_RINGS_MAX);
	__type(key, struct warder_signers_key);
	__type(value, __s32);
} warder_signers SEC(".maps");

/* Of a file that runs because of its signature: nobody in a container writes into it any more. */
struct signed_file {
	__u32 checking; /* tasks that measure it now */
	__u32 holds;    /* 1: its content was good, and is mapped or may be */
};
WARDER_MAP struct {
	__uint(type, BPF_MAP_TYPE_INODE_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct signed_file);
} warder_sealed SEC(".maps");

/* Where the kernel puts what it says of a file with fs-verity: by task, while one is looked at. */
#define VERITY_ASKS_MAX 256
struct verity_digest { /* struct fsverity_digest */
	__u16 algorithm;
	__u16 size;
	__u8 digest[WARDER_DIGEST_SIZE];
};
struct verity_ask {
	struct warder_signed_content content;
	struct verity_digest measured;
	__u32 length; /* of the signature */
	__u8 signature[WARDER_SIGNATURE_SIZE_MAX + 1];
};
WARDER_MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, VERITY_ASKS_MAX);
	__type(key, __u64);
	__type(value, struct verity_ask);
} warder_verity SEC(".maps");

/* What each of them begins with: all zero. */
WARDER_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct verity_ask);
} warder_verity_new SEC(".maps");

/* Who made a SysV object (by address of its kern_ipc_perm) or a message queue (of its inode); no
 * entry: an untagged task. */
struct owner_tag {
	__u64 cid;
	__u32 slot;
	__u32 ino; /* of a queue: another one's entry if it differs */
};
#define IPCS_MAX 32768
WARDER_MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, IPCS_MAX);
	__type(key, __u64);
	__type(value, struct owner_tag);
} warder_ipcs SEC(".maps");

/* Tag of the task that made a socket; no element: made by an untagged task. A socket of the
 * supervisor that one container may reach carries that container's id with `open` set. */
struct sock_tag {
	__u64 cid;
	__u32 open;
	__u32 slot; /* of the container; 0 with `open` */
};
WARDER_MAP struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct sock_tag);
} warder_socks SEC(".maps");

#endif
