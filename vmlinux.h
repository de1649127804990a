/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every kernel type and field that the BPF programs read, and nothing else: this file is the
 * list of what warder depends on in the kernel. Kept by hand; `make check-vmlinux` compares
 * it with the BTF of every kernel in the test matrix. Fields are found by name when a program
 * is loaded (CO-RE), so order and omissions do not matter.
 */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

typedef unsigned char __u8;
typedef signed char __s8;
typedef unsigned short __u16;
typedef short __s16;
typedef unsigned int __u32;
typedef int __s32;
typedef unsigned long long __u64;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;
enum { false = 0, true = 1 };
typedef unsigned int fmode_t;
typedef unsigned short umode_t;
typedef int pid_t;
typedef unsigned long size_t;
typedef long long loff_t;
typedef __u32 dev_t;

#include <linux/bpf.h> /* UAPI constants; its types are those above */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	__u32 val;
} kuid_t;

typedef struct {
	__u32 val;
} kgid_t;

struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first;
};

struct list_head {
	struct list_head *next;
};

struct hlist_bl_node {
	struct hlist_bl_node **pprev;
};

struct proc_ns_operations {
	int type; /* until 6.12 */
};

struct ns_common {
	const struct proc_ns_operations *ops;
	unsigned int inum;
	__u32 ns_type; /* since 6.18 */
};

struct user_namespace {
	struct user_namespace *parent;
	int level;
	kuid_t owner;
	struct ns_common ns;
};

struct key_type {
	const char *name;
};

struct keyring_index_key {
	__u16 desc_len;
	struct key_type *type;
	const char *description;
};

struct key {
	__s32 serial;
	unsigned long flags;
	struct keyring_index_key index_key;
};

/* An anonymous struct with a word of 64 bits in later kernels: the same bits, the same places. */
struct kernel_cap_struct { /* until 6.2 */
	__u32 cap[2]; /* until 6.2 */
};
typedef struct kernel_cap_struct kernel_cap_t;

struct cred {
	kuid_t uid;
	kuid_t euid;
	kuid_t fsuid;
	kernel_cap_t cap_effective;
	struct key *session_keyring;
	struct user_namespace *user_ns;
};

struct bpf_key {
	struct key *key;
};

struct bpf_map {
	__u32 id;
};

struct bpf_local_storage_map {
	struct bpf_map map;
};

struct bpf_local_storage_data {
	struct bpf_local_storage_map *smap;
};

struct bpf_local_storage_elem {
	struct hlist_node snode;
	struct bpf_local_storage_data sdata;
};

struct bpf_local_storage {
	struct hlist_head list;
};

typedef struct {
	__s64 counter;
} atomic64_t;

typedef atomic64_t atomic_long_t;

struct mutex {
	atomic_long_t owner;
};

struct signal_struct {
	atomic_t live;
	struct mutex cred_guard_mutex;
	int group_exit_code;
	unsigned int flags;
};

struct net {
	struct ns_common ns;
};

struct nsproxy {
	struct mnt_namespace *mnt_ns;
	struct net *net_ns;
};

struct thread_info {
	__u32 status;
};

struct mm_struct {
	unsigned long start_stack;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	atomic_t count;
	struct fdtable *fdt;
};

struct task_struct {
	struct thread_info thread_info;
	struct task_struct *real_parent;
	struct list_head children;
	struct list_head sibling;
	struct css_set *cgroups;
	unsigned int flags;
	unsigned int ptrace;
	unsigned int personality;
	struct nsproxy *nsproxy;
	struct mm_struct *mm;
	struct files_struct *files;
	pid_t pid;
	pid_t tgid;
	int exit_state;
	int exit_code;
	__u64 start_boottime;
	const struct cred *real_cred;
	const struct cred *cred;
	struct signal_struct *signal;
	struct bpf_local_storage *bpf_storage;
	struct task_struct *group_leader;
	struct pid *thread_pid;
};

struct qstr {
	__u32 len;
	const unsigned char *name;
};

struct file_system_type {
	const char *name;
};

struct super_block {
	dev_t s_dev;
	unsigned long s_iflags;
	struct file_system_type *s_type;
	unsigned long s_flags;
	unsigned long s_magic;
	struct dentry *s_root;
	void *s_fs_info;
};

struct inode {
	umode_t i_mode;
	atomic_t i_writecount;
	unsigned int i_flags;
	unsigned int i_nlink;
	void *i_private;
	struct super_block *i_sb;
	unsigned long i_ino;
	dev_t i_rdev;
};

struct dentry {
	unsigned int d_flags;
	struct hlist_bl_node d_hash;
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
	struct super_block *d_sb;
};

struct vfsmount {
	struct dentry *mnt_root;
	struct super_block *mnt_sb;
	int mnt_flags;
};

struct mnt_namespace {
	struct ns_common ns;
	struct user_namespace *user_ns;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
	struct mnt_namespace *mnt_ns;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct file {
	struct path f_path;
	unsigned int f_flags;
	fmode_t f_mode;
	struct inode *f_inode;
};

struct backing_file { /* since 6.7 */
	struct path user_path;
};

struct vm_area_struct {
	unsigned long vm_flags;
	struct anon_vma *anon_vma;
	struct file *vm_file;
};

struct iattr {
	unsigned int ia_valid;
};

struct kern_ipc_perm {
	int id;
};

struct ipc_namespace {
	struct ns_common ns;
};

struct pid_namespace {
	unsigned int level;
	struct pid_namespace *parent;
	struct ns_common ns;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[0];
};

struct kernfs_node {
	__u64 id;
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
};

struct cgroup {
	struct cgroup_subsys_state self;
	struct kernfs_node *kn;
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

struct seq_file {
	size_t count;
};

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

struct in6_addr {
	union {
		__u32 u6_addr32[4];
	} in6_u;
};

struct sock_common {
	__be32 skc_rcv_saddr;
	__u16 skc_num;
	unsigned short skc_family;
	int skc_bound_dev_if;
	struct in6_addr skc_v6_rcv_saddr;
};

struct sock {
	struct sock_common __sk_common;
	unsigned short sk_type;
	__u16 sk_protocol;
};

struct socket {
	struct file *file;
	struct sock *sk;
};

struct sockaddr_un {
	char sun_path[108];
};

struct unix_address {
	int len;
	struct sockaddr_un name[0];
};

struct unix_sock {
	struct unix_address *addr;
	struct path path;
	struct sock *peer;
};

struct msghdr {
	void *msg_name;
	int msg_namelen;
	void *msg_control;
	unsigned int msg_flags;
	size_t msg_controllen;
};

struct linux_binprm {
	struct file *file;
};

struct pt_regs {
	unsigned long bp;
	unsigned long bx;
	unsigned long cx;
	unsigned long di;
	unsigned long si;
	unsigned long dx;
	unsigned long r10;
	unsigned long r8;
	unsigned long r9;
	unsigned long orig_ax;
	unsigned long ax;
	unsigned long ip;
};

enum kernel_read_file_id {
	READING_FIRMWARE = 1,
	READING_MODULE,
	READING_KEXEC_IMAGE,
	READING_KEXEC_INITRAMFS,
	READING_MODULE_COMPRESSED, /* since 7.0 */
};

enum kernel_load_data_id {
	LOADING_FIRMWARE = 1,
	LOADING_MODULE,
	LOADING_KEXEC_IMAGE,
	LOADING_KEXEC_INITRAMFS,
	LOADING_MODULE_COMPRESSED, /* since 7.0 */
};

#pragma clang attribute pop

#endif
