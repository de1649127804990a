// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Attaching by need. Every program is loaded at the start and pinned; attached are those that some
 * published policy needs: an attached program costs every task of the host a little, whether it
 * has a tag or not. What a policy needs is attached before it is published; what none needs any
 * more is detached by loader_trim(), which the supervisor calls when policies have been quiet for a
 * while: each program takes the kernel a grace period to attach and one to detach, and containers
 * that follow each other need the same ones.
 *
 * A program that is not in the table below is always attached: forgetting one costs time, not
 * safety.
 */
#include "loader_internal.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "policy.h"

#define ATTACH_RETRIES 500 /* of 10 ms */

/* Who needs a program: bits below NEED_OPS, and from there on one for each operation that override
 * rules speak of. */
#define NEED_ALWAYS (1u << 0)
#define NEED_CONTAINER (1u << 1) /* any container: baseline, borders, bookkeeping */
#define NEED_EXEC (1u << 2)      /* exec rules or default */
#define NEED_TRANSITION (1u << 3)
#define NEED_MAP_EXEC (1u << 4)
#define NEED_LOCK (1u << 5)
#define NEED_WATCH (1u << 6)
#define NEED_NETWORK (1u << 7)
#define NEED_MEMORY (1u << 8)
#define NEED_NAMESPACE (1u << 9)
#define NEED_FILE (1u << 10)     /* file rules, or the baseline for files of the kernel */
#define NEED_ADOPTED (1u << 11)  /* adopted containers */
#define NEED_ADOPTING (1u << 12) /* one is being adopted */
#define NEED_SIGNED (1u << 13)   /* files need signatures to run */
#define NEED_OPS 16
#define NEED_OP(op) (1ull << (NEED_OPS + (op)))
#define NEED_ALL_CLASSES ((__u64)NEED_ADOPTED - 1)

/* Programs that not every container needs. `vital`: a policy that needs one cannot be enforced
 * without it; the others have another place that does the same on kernels without them. */
static const struct {
	const char *name;
	__u32 needs; /* any of these */
	__u32 class_;
	int vital;
} table[] = {
	{ "warder_bprm_creds", NEED_TRANSITION, WARDER_CLASS_EXEC, 1 },
	{ "warder_bprm_commit", NEED_TRANSITION, WARDER_CLASS_EXEC, 1 },
	{ "warder_bprm_check", NEED_EXEC | NEED_MEMORY, WARDER_CLASS_EXEC, 1 },
	{ "warder_mmap_file", NEED_MAP_EXEC | NEED_MEMORY, WARDER_CLASS_MEMORY, 1 },
	{ "warder_file_mprotect", NEED_MAP_EXEC | NEED_MEMORY, WARDER_CLASS_MEMORY, 1 },
	{ "warder_mmap_addr", NEED_MEMORY, WARDER_CLASS_MEMORY, 1 },
	{ "warder_program_new", NEED_MEMORY, WARDER_CLASS_MEMORY, 1 },
	{ "warder_signed_exec", NEED_SIGNED, WARDER_CLASS_KEYRING, 1 },
	{ "warder_signed_map", NEED_SIGNED, WARDER_CLASS_KEYRING, 1 },
	{ "warder_signed_protect", NEED_SIGNED, WARDER_CLASS_KEYRING, 1 },
	{ "warder_signed_open", NEED_SIGNED, WARDER_CLASS_KEYRING, 1 },
	{ "warder_signed_truncate", NEED_SIGNED, WARDER_CLASS_KEYRING, 1 },
	{ "warder_file_lock", NEED_LOCK, WARDER_CLASS_FILE, 1 },
	{ "warder_path_notify", NEED_WATCH, WARDER_CLASS_FILE, 1 },
	{ "warder_dentry_born", NEED_FILE, WARDER_CLASS_FILE, 1 },
	{ "warder_path_truncate", NEED_FILE, WARDER_CLASS_FILE, 1 },
	{ "warder_file_truncate", NEED_FILE, WARDER_CLASS_FILE, 0 },
	{ "warder_path_mkdir", NEED_FILE, WARDER_CLASS_FILE, 1 },
	{ "warder_path_symlink", NEED_FILE, WARDER_CLASS_FILE, 1 },
	{ "warder_path_unlink", NEED_FILE, WARDER_CLASS_FILE, 1 },
	{ "warder_path_rmdir", NEED_FILE, WARDER_CLASS_FILE, 1 },
	{ "warder_path_link", NEED_FILE, WARDER_CLASS_FILE, 1 },
	{ "warder_path_rename", NEED_FILE, WARDER_CLASS_FILE, 1 },
	{ "warder_path_chmod", NEED_FILE, WARDER_CLASS_FILE, 1 },
	{ "warder_path_chown", NEED_FILE, WARDER_CLASS_FILE, 1 },
	{ "warder_inode_setattr", NEED_FILE, WARDER_CLASS_FILE, 1 },
	{ "warder_inode_setxattr", NEED_FILE, WARDER_CLASS_FILE, 1 },
	{ "warder_inode_removexattr", NEED_FILE, WARDER_CLASS_FILE, 1 },
	{ "warder_inode_set_acl", NEED_FILE, WARDER_CLASS_FILE, 0 },
	{ "warder_inode_remove_acl", NEED_FILE, WARDER_CLASS_FILE, 0 },
	{ "warder_inode_file_setattr", NEED_FILE, WARDER_CLASS_FILE, 0 },
	{ "warder_socket_create", NEED_NETWORK, WARDER_CLASS_NETWORK, 1 },
	{ "warder_socket_connect", NEED_NETWORK, WARDER_CLASS_NETWORK, 1 },
	{ "warder_socket_listen", NEED_NETWORK, WARDER_CLASS_NETWORK, 1 },
	{ "warder_socket_accept", NEED_NETWORK, WARDER_CLASS_NETWORK, 1 },
	{ "warder_socket_sendmsg", NEED_NETWORK, WARDER_CLASS_NETWORK, 1 },
	{ "warder_socket_setsockopt", NEED_NETWORK, WARDER_CLASS_NETWORK, 1 },
	{ "warder_sctp_bind_connect", NEED_NETWORK, WARDER_CLASS_NETWORK, 0 },
	{ "warder_userns_create", NEED_NAMESPACE, WARDER_CLASS_NAMESPACE, 1 },
	{ "warder_task_namespaces", NEED_NAMESPACE, WARDER_CLASS_NAMESPACE, 1 },
	/* Bookkeeping that must go on while there is anything to keep: a child's tag, and entries
	 * of objects whose memory can be used again. */
	{ "warder_task_alloc", NEED_ALWAYS, WARDER_CLASS_IDENTITY, 1 },
	{ "warder_newtask", NEED_ADOPTED | NEED_ADOPTING, WARDER_CLASS_IDENTITY, 0 },
	{ "warder_adopt_exit", NEED_ADOPTING, WARDER_CLASS_IDENTITY, 0 },
	{ "warder_adopt_move", NEED_ADOPTING, WARDER_CLASS_IDENTITY, 0 },
	{ "warder_wakeup_new", NEED_ALWAYS, WARDER_CLASS_IDENTITY, 1 },
	{ "warder_process_exit", NEED_ALWAYS, WARDER_CLASS_IDENTITY, 1 },
	{ "warder_process_free", NEED_ALWAYS, WARDER_CLASS_IDENTITY, 1 },
	{ "warder_task_kill", NEED_ALWAYS, WARDER_CLASS_IDENTITY, 1 },
	{ "warder_sb_free", NEED_ALWAYS, WARDER_CLASS_IDENTITY, 1 },
	{ "warder_key_free", NEED_ALWAYS, WARDER_CLASS_IDENTITY, 1 },
	{ "warder_key_alloc", NEED_ALWAYS, WARDER_CLASS_KEYRING, 1 },
	{ "warder_key_payload", NEED_ALWAYS, WARDER_CLASS_KEYRING, 1 },
	{ "warder_upcall_end", NEED_ALWAYS, WARDER_CLASS_KEYRING, 0 }, /* else when it is freed */
	{ "warder_upcall_reject", NEED_ALWAYS, WARDER_CLASS_KEYRING, 0 },
	{ "warder_msg_queue_free", NEED_ALWAYS, WARDER_CLASS_IPC, 1 },
	{ "warder_shm_free", NEED_ALWAYS, WARDER_CLASS_IPC, 1 },
	{ "warder_sem_free", NEED_ALWAYS, WARDER_CLASS_IPC, 1 },
	{ "warder_mqueue_gone", NEED_ALWAYS, WARDER_CLASS_IPC, 0 },
	{ "warder_mqueue_made", NEED_CONTAINER, WARDER_CLASS_IPC, 0 },
};

/* What a container of any policy needs. */
static const char *const of_containers[] = {
	"warder_file_open",	   "warder_path_mknod",	     "warder_socket_mknod",
	"warder_sb_mount",	   "warder_sb_umount",	     "warder_sb_pivotroot",
	"warder_move_mount",	   "warder_sb_kern_mount",   "warder_bpf",
	"warder_kernel_load",	   "warder_kernel_read",     "warder_syslog",
	"warder_settime",	   "warder_perf_event",	     "warder_quotactl",
	"warder_quota_on",	   "warder_anon_inode",	     "warder_uring_sqpoll",
	"warder_uring_cmd",	   "warder_capable",	     "warder_cap_capable",
	"warder_uring_creds",	   "warder_ptrace_access",   "warder_ptrace_traceme",
	"warder_task_setnice",	   "warder_task_setioprio",  "warder_task_setscheduler",
	"warder_task_setrlimit",   "warder_task_movememory", "warder_task_setpgid",
	"warder_socket_made",	   "warder_unix_connect",    "warder_unix_send",
	"warder_socket_bind",	   "warder_file_ioctl",	     "warder_file_ioctl_compat",
	"warder_msg_queue_alloc",  "warder_shm_alloc",	     "warder_sem_alloc",
	"warder_ipc_permission",   "warder_file_receive",    "warder_file_fcntl",
	"warder_inode_unlink",	   "warder_msg_queue_msgctl", "warder_shm_shmctl",
	"warder_sem_semctl",	   "warder_key_permission",  "warder_keyring_clear",
};

int loader_program_known(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (!strcmp(table[i].name, name))
			return 1;
	for (size_t i = 0; i < ARRAY_SIZE(of_containers); i++)
		if (!strcmp(of_containers[i], name))
			return 1;
	return loader_call_op(name) != WARDER_OP_NONE || loader_call_is_worker(name);
}

static __u64 program_needs(const char *name)
{
	__u32 op = loader_call_op(name);

	/* Of mounts every refusal is explained, also to containers without an override rule. */
	if (op)
		return NEED_OP(op) | (op == WARDER_OP_MOUNT ? NEED_CONTAINER : 0);
	if (loader_call_is_worker(name))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (!strcmp(table[i].name, name))
			return table[i].needs;
	for (size_t i = 0; i < ARRAY_SIZE(of_containers); i++)
		if (!strcmp(of_containers[i], name))
			return NEED_CONTAINER;
	return NEED_ALWAYS;
}

int loader_program_is_for_all(const char *name)
{
	return program_needs(name) == NEED_ALWAYS;
}

/* ------------------------------------------------------------- what is needed */

/* Is there anything of this class of switches that the policy refuses or reports? */
static int bits_matter(const struct warder_profile *pr, enum warder_bits_class which, unsigned count)
{
	const __u64 all = (1ull << count) - 1;

	return (pr->bits[which].allow & all) != all || (pr->bits[which].audit & all);
}

static __u32 profile_needs(const struct warder_image *img, const struct warder_profile *pr)
{
	__u32 needs = 0;

	if (bits_matter(pr, WARDER_BITS_MEMORY, WARDER_MEM__MAX))
		needs |= NEED_MEMORY;
	if (bits_matter(pr, WARDER_BITS_NAMESPACE, WARDER_NS__MAX))
		needs |= NEED_NAMESPACE;
	if (pr->net_default != (1u << WARDER_FAM_BITS) - 1 || pr->start[WARDER_START_UNIX] ||
	    pr->start[WARDER_START_ABSTRACT])
		needs |= NEED_NETWORK;
	for (size_t i = 0; i < ARRAY_SIZE(pr->net_rules); i++)
		if (pr->net_rules[i])
			needs |= NEED_NETWORK;
	/* An object without a name is refused whatever was asked, unless nothing ever is. */
	if (!pr->file_trivial || !(img->h.unsafe & WARDER_UNSAFE_KERNEL_FILES))
		needs |= NEED_FILE;
	if (!pr->file_trivial)
		needs |= NEED_EXEC | NEED_MAP_EXEC | NEED_LOCK | NEED_WATCH;
	return needs;
}

__u64 loader_image_needs(const struct warder_image *img)
{
	__u64 needs = NEED_ALWAYS | NEED_CONTAINER | img->h.override_ops << NEED_OPS;
	const struct warder_profile *pr;

	if (img->h.signed_layers)
		needs |= NEED_SIGNED;
	if (img->h.mode == WARDER_MODE_LEARN)
		return needs | NEED_ALL_CLASSES;
	for (__u32 n = 0; (pr = image_profile(img, n)); n++)
		needs |= profile_needs(img, pr);
	for (__u32 n = 0; (pr = image_link(img, n)); n++)
		needs |= profile_needs(img, pr);
	if (img->h.profile.count > 1)
		needs |= NEED_TRANSITION | NEED_EXEC;
	return needs;
}

int loader_program_is_needed(const char *name, const struct warder_image *img)
{
	return (program_needs(name) & loader_image_needs(img)) != 0;
}

/* -------------------------------------------------------------------- attaching */

static int link_path(const struct loader *l, const struct loader_prog *p, char *buf, size_t size)
{
	return snprintf(buf, size, "%s/" LOADER_PIN_LINKS "/%s", l->pin_dir, p->name) < (int)size ?
		       0 : -ENAMETOOLONG;
}

/* The kernel lets go of a link that was detached in its own time, after a grace period and in a
 * worker; until then the program is busy. */
static int prog_link(int prog_fd)
{
	const struct timespec pause = { .tv_nsec = 10 * 1000000 };
	int fd = bpf_raw_tracepoint_open(NULL, prog_fd);

	for (int i = 0; fd == -EBUSY && i < ATTACH_RETRIES; i++) {
		nanosleep(&pause, NULL);
		fd = bpf_raw_tracepoint_open(NULL, prog_fd);
	}
	return fd;
}

static int prog_attach(struct loader *l, struct loader_prog *p, struct warder_error *reterr)
{
	char path[4096];
	int err;

	if (p->link_fd >= 0)
		return 0;
	p->link_fd = prog_link(p->prog_fd);
	if (p->link_fd < 0) {
		err = p->link_fd;
		p->link_fd = -1;
		return error_errno(reterr, err, "cannot attach the program %s, which this policy "
				   "needs", p->name);
	}
	err = link_path(l, p, path, sizeof(path));
	if (!err)
		err = bpf_obj_pin(p->link_fd, path);
	if (err) {
		close(p->link_fd);
		p->link_fd = -1;
		return error_errno(reterr, err, "cannot pin the link of %s", p->name);
	}
	return 0;
}

/* A link that stays only costs time. */
static void prog_detach(struct loader *l, struct loader_prog *p)
{
	char path[4096];

	if (p->link_fd < 0)
		return;
	if (link_path(l, p, path, sizeof(path)) || unlink(path) < 0) {
		log_warning("cannot detach %s: %s", p->name, strerror(errno));
		return;
	}
	close(p->link_fd);
	p->link_fd = -1;
}

/* Tasks of a container that has lost its policy are refused everything: by programs. */
static int containers_exist(struct loader *l)
{
	struct warder_ctr ctr;

	for (__u32 slot = 0; slot < WARDER_CONTAINERS_MAX; slot++)
		if (loader_get_container(l, slot, &ctr) || ctr.cid)
			return 1;
	return 0;
}

static __u64 loader_needs(struct loader *l)
{
	__u64 needs = NEED_ALWAYS | l->adopt_needs;

	for (__u32 i = 0; i < WARDER_POLICIES_MAX; i++)
		needs |= l->image_needs[i];
	if (!(needs & NEED_CONTAINER) && containers_exist(l))
		needs |= NEED_ALL_CLASSES;
	return needs;
}

int loader_attach(struct loader *l, __u64 needs, struct warder_error *reterr)
{
	for (size_t i = 0; i < l->progs; i++) {
		int err = l->prog[i].needs & needs ? prog_attach(l, &l->prog[i], reterr) : 0;

		if (err) {
			loader_detach(l, SIZE_MAX);
			return err;
		}
	}
	return 0;
}

int loader_detach(struct loader *l, size_t most)
{
	/* An exec that has earned a profile is under way perhaps: once there were profiles, their
	 * programs stay, so that none finds what an earlier exec has left. */
	__u64 needs = loader_needs(l) | NEED_TRANSITION;

	for (size_t i = 0; i < l->progs; i++) {
		if (l->prog[i].link_fd < 0 || (l->prog[i].needs & needs))
			continue;
		if (!most--)
			return 1;
		prog_detach(l, &l->prog[i]);
	}
	return 0;
}

/* ---------------------------------------------------------------------- opening */

static int prog_add(struct loader *l, const char *name, struct warder_error *reterr)
{
	struct loader_prog *p = &l->prog[l->progs];
	char path[4096];

	if (snprintf(path, sizeof(path), "%s/" LOADER_PIN_PROGS "/%s", l->pin_dir, name) >=
		    (int)sizeof(path) || strlen(name) >= sizeof(p->name))
		return -ENAMETOOLONG;
	p->prog_fd = bpf_obj_get(path);
	if (p->prog_fd < 0)
		return error_errno(reterr, p->prog_fd, "cannot open the pinned program %s", path);
	snprintf(p->name, sizeof(p->name), "%s", name);
	p->needs = program_needs(name);
	p->link_fd = -1;
	l->progs++;
	if (link_path(l, p, path, sizeof(path)))
		return -ENAMETOOLONG;
	p->link_fd = bpf_obj_get(path);
	if (p->link_fd < 0 && p->link_fd != -ENOENT)
		return error_errno(reterr, p->link_fd, "cannot open the pinned link %s", path);
	if (p->link_fd < 0)
		p->link_fd = -1;
	return 0;
}

int loader_open_programs(struct loader *l, struct warder_error *reterr)
{
	cleanup_free char *dir_path = NULL;
	cleanup_closedir DIR *dir = NULL;
	struct dirent *d;

	if (asprintf(&dir_path, "%s/" LOADER_PIN_PROGS, l->pin_dir) < 0)
		return -ENOMEM;
	l->prog = calloc(LOADER_PROGS_MAX, sizeof(*l->prog));
	if (!l->prog)
		return -ENOMEM;
	dir = opendir(dir_path);
	if (!dir)
		return error_errno(reterr, -errno, "cannot read %s", dir_path);
	while ((d = readdir(dir))) {
		int err;

		if (d->d_name[0] == '.')
			continue;
		if (l->progs == LOADER_PROGS_MAX)
			return error_set(reterr, -E2BIG, "more than %d programs in %s",
					 LOADER_PROGS_MAX, dir_path);
		err = prog_add(l, d->d_name, reterr);
		if (err)
			return err;
	}
	/* What is published already has what it needs. A supervisor that died may have left more
	 * attached: see loader_trim(). */
	for (__u32 slot = 0; slot < WARDER_POLICIES_MAX; slot++) {
		cleanup_free struct warder_image *img = NULL;

		if (!loader_read_image(l, slot, &img))
			l->image_needs[slot] = loader_image_needs(img);
	}
	return loader_attach(l, loader_needs(l), reterr) ? -EIO : 0;
}

void loader_drop_links(struct loader *l)
{
	for (size_t i = 0; i < l->progs; i++) {
		if (l->prog[i].link_fd >= 0)
			close(l->prog[i].link_fd);
		l->prog[i].link_fd = -1;
	}
}

void loader_close_programs(struct loader *l)
{
	for (size_t i = 0; i < l->progs; i++) {
		close(l->prog[i].prog_fd);
		if (l->prog[i].link_fd >= 0)
			close(l->prog[i].link_fd);
	}
	free(l->prog);
}

/* ----------------------------------------------------------------------- checks */

struct loader_prog *loader_find_program(const struct loader *l, const char *name)
{
	for (size_t i = 0; i < l->progs; i++)
		if (!strcmp(l->prog[i].name, name))
			return &l->prog[i];
	return NULL;
}

/* Signatures: what is missing can be a function as well as a hook. */
static int check_signed(const struct warder_image *img, struct warder_error *reterr)
{
	const char *missing = loader_signed_missing(NULL);
	char where[512];

	for (__u32 i = 0; i < WARDER_LAYERS_MAX; i++) {
		const struct warder_layer *y = &img->h.layer[i];
		const char *verity = NULL;

		if (!y->signed_rule || (y->signed_flags & WARDER_SIGNED_OPTIONAL))
			continue;
		/* Each look reads the kernel's BTF. */
		if (!missing && (y->signed_flags & WARDER_SIGNED_VERITY))
			verity = loader_verity_missing(NULL);
		if (!missing && !verity)
			continue;
		return error_set(reterr, -EOPNOTSUPP,
				 "%s: signed_exec%s cannot be enforced: this kernel has no %s; "
				 "take %s out, mark the rule `optional: true`, or use another kernel",
				 image_rule_where(img, y->signed_rule, where, sizeof(where)),
				 missing ? "" : " with verity", missing ? missing : verity,
				 missing ? "the rule" : "`verity`");
	}
	return 0;
}

int loader_check_image(struct loader *l, const struct warder_image *img,
		       struct warder_error *reterr)
{
	__u64 needs = loader_image_needs(img) & ~(__u64)NEED_SIGNED;
	__u32 rule = 0;
	char where[512];

	if (img->h.signed_layers && check_signed(img, reterr))
		return -EOPNOTSUPP;

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		const struct warder_rule *r;

		if (!table[i].vital || !(table[i].needs & needs) ||
		    loader_find_program(l, table[i].name))
			continue;
		for (__u32 n = 1; !rule && (r = image_rule(img, n)); n++)
			if (r->class_ == table[i].class_)
				rule = n;
		return error_set(reterr, -EOPNOTSUPP,
				 "%s: class %s cannot be enforced: this kernel has no hook for %s; "
				 "take the rule out, mark it `optional: true`, or use another kernel",
				 rule ? image_rule_where(img, rule, where, sizeof(where)) :
					image_string(img, img->h.name),
				 class_name(table[i].class_), table[i].name + strlen("warder_"));
	}
	return 0;
}

struct absent {
	const struct warder_image *img;
	void (*fn)(const char *program, __u32 class_, int vital, void *arg);
	void *arg;
};

static void absent_program(const char *name, int required, void *arg)
{
	const struct absent *a = arg;
	__u32 class_ = WARDER_CLASS_NONE;
	int vital = 0;

	/* What signatures need is told by loader_signed_missing(). */
	if (!required && !(program_needs(name) & loader_image_needs(a->img) & ~(__u64)NEED_SIGNED))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (!strcmp(table[i].name, name)) {
			class_ = table[i].class_;
			vital = table[i].vital;
		}
	a->fn(name, class_, vital || required, a->arg);
}

int loader_each_absent(const char *path, const struct warder_image *img,
		       void (*fn)(const char *program, __u32 class_, int vital, void *arg), void *arg)
{
	struct absent a = { .img = img, .fn = fn, .arg = arg };
	struct btf *btf;
	int err = loader_btf_open(path, &btf);

	if (!err)
		err = loader_pin_each_absent(btf, absent_program, &a);
	btf__free(btf);
	return err;
}

int loader_adopt_hold(struct loader *l, enum loader_adopt_need need, struct warder_error *reterr)
{
	static const __u64 needs[] = { [LOADER_ADOPT_NONE] = 0,
				       [LOADER_ADOPT_KEEP] = NEED_ADOPTED,
				       [LOADER_ADOPT_FIND] = NEED_ADOPTED | NEED_ADOPTING };
	int err;

	pthread_mutex_lock(&l->publish_lock);
	l->adopt_needs = needs[need];
	err = loader_attach(l, l->adopt_needs, reterr);
	pthread_mutex_unlock(&l->publish_lock);
	return err;
}

int loader_is_attached(struct loader *l, const char *name)
{
	const struct loader_prog *p = loader_find_program(l, name);
	int attached = -ENOENT;

	pthread_mutex_lock(&l->publish_lock);
	if (p)
		attached = p->link_fd >= 0;
	pthread_mutex_unlock(&l->publish_lock);
	return attached;
}

int loader_each_program(struct loader *l, int (*fn)(const char *name, int attached, void *arg),
			void *arg)
{
	int stop = 0;

	pthread_mutex_lock(&l->publish_lock);
	for (size_t i = 0; !stop && i < l->progs; i++)
		stop = fn(l->prog[i].name, l->prog[i].link_fd >= 0, arg);
	pthread_mutex_unlock(&l->publish_lock);
	return stop;
}

/* ------------------------------------------------------------- what was left out */

/* Programs whose work is done another way where the kernel leaves one out. */
static const struct {
	const char *name, *made_good;
} made_good[] = {
	{ "warder_process_exit", "an exit is counted when the task is freed" },
	{ "warder_adopt_exit", "an adoption looks for itself whether one was" },
	{ "warder_adopt_move", "an adoption looks for itself whether one was" },
	{ "warder_key_free", "a key is forgotten when its memory is used again" },
	{ "warder_upcall_end", "an upcall ends when its key is freed" },
	{ "warder_upcall_reject", "an upcall ends when its key is freed" },
};

__u64 loader_prog_misses(const struct loader_prog *p)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(p->prog_fd, &info, &len) ? 0 : info.recursion_misses;
}

static const char *program_made_good(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(made_good); i++)
		if (!strcmp(made_good[i].name, name))
			return made_good[i].made_good;
	return NULL;
}

void loader_each_miss(struct loader *l,
		      void (*fn)(const char *name, __u64 count, int override, const char *made_good,
				 void *arg),
		      void *arg)
{
	for (size_t i = 0; i < l->progs; i++) {
		const char *name = l->prog[i].name;
		__u64 count = loader_prog_misses(&l->prog[i]);

		if (count)
			fn(name, count,
			   loader_call_op(name) || !strcmp(name, "warder_cap_capable"),
			   program_made_good(name), arg);
	}
}
