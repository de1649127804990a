/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The BPF side as user space sees it: probing, loading, pinning, maps. The only module but
 * events.c that knows libbpf. Not thread-safe unless a function says so.
 */
#ifndef WARDER_LOADER_H
#define WARDER_LOADER_H

#include <stddef.h>
#include <sys/types.h>

#include "log.h"
#include "warder_abi.h"

struct loader;

struct loader_options {
	const char *pin_dir;  /* NULL: WARDER_PIN_DIR */
	int require_existing; /* 1: only adopt what is pinned; -ENOENT if nothing is */
	__u64 wait_bound_ns;  /* 0: built in; at most 2 ms, or 50 ms with WARDER_EMULATED=1 set */
};

/* Can this kernel enforce? 0, or -EOPNOTSUPP with one sentence: what is missing (bpf in the
 * LSM list, BTF, trampolines, a hook), and what works instead. Needs root. */
int loader_probe(struct warder_error *reterr);

/* Loads, attaches and pins; or adopts what is pinned in pin_dir already (same ABI version and
 * build digest; another's is -EBUSY with the reason). On failure nothing stays behind. */
int loader_open(struct loader **ret, const struct loader_options *options,
		struct warder_error *reterr);

/* Closes; what is pinned goes on enforcing. NULL is fine. */
void loader_free(struct loader *l);

/* Removes every pin of this loader: after loader_free() nothing is enforced any more. */
int loader_unpin(struct loader *l);

/* Was the BPF side found running (1), or loaded now (0)? */
int loader_was_pinned(const struct loader *l);

/* The mapped host record and claim words: shared with BPF, use __atomic builtins. Thread-safe. */
struct warder_host *loader_host(struct loader *l);
struct warder_wait *loader_waits(struct loader *l); /* WARDER_WAITS_MAX entries */

/* Policy: verifies, fills a new inner map, then one update of the outer map. A reader in the
 * kernel sees the old or the new image. Programs that only this policy needs are attached before,
 * those that none needs any more are detached after it. Thread-safe. */
int loader_publish(struct loader *l, __u32 policy_slot, const struct warder_image *img,
		   struct warder_error *reterr);
int loader_unpublish(struct loader *l, __u32 policy_slot);
/* Detaches at most `most` of the programs that no published policy needs any more; 1: there are
 * more. Each waits for a grace period of the kernel. */
int loader_trim(struct loader *l, size_t most);
/* Has this kernel every hook that the policy needs? Else -EOPNOTSUPP with the rule's file:line and
 * the hook. loader_publish() asks this too. */
int loader_check_image(struct loader *l, const struct warder_image *img,
		       struct warder_error *reterr);
/* Reads back what the kernel holds; the caller frees it. -ENOENT: empty slot. */
int loader_read_image(struct loader *l, __u32 policy_slot, struct warder_image **ret);

/* Containers. The id is taken from the pinned counter. */
int loader_next_cid(struct loader *l, __u64 *ret_cid);
int loader_set_container(struct loader *l, __u32 slot, const struct warder_ctr *ctr);
int loader_get_container(struct loader *l, __u32 slot, struct warder_ctr *ret);
int loader_get_stats(struct loader *l, __u32 slot, struct warder_stats *ret);
int loader_reset_stats(struct loader *l, __u32 slot);
/* Forgets what learn mode has recorded of the container: it is reported anew. */
int loader_forget_learned(struct loader *l, __u32 slot);
int loader_get_faults(struct loader *l, __u64 ret_counts[WARDER_FAULT__MAX]);

/* Tags the thread group leader behind `pidfd`. -EEXIST if it has a tag already. */
int loader_tag_task(struct loader *l, int pidfd, __u64 cid, __u32 slot);
/* -ENOENT: untagged. */
int loader_get_task(struct loader *l, int pidfd, struct warder_task *ret);
/* Who asked for the key with that serial, while the upcall is under way; -ENOENT. */
int loader_get_upcall(struct loader *l, __u32 serial, struct warder_upcall_record *ret);
/* The last container in that slot of which a task has joined another session keyring. Thread-safe. */
int loader_get_joined(struct loader *l, __u32 slot, __u64 *ret_cid);

/*
 * Adoption: tags for tasks that run already, and taking tags away. One at a time.
 *
 * loader_adopt_begin() attaches what follows members while they are looked for and says who they
 * are; then loader_adopt_pass() as often as it finds something, and loader_adopt_end() says whether
 * a member can have been missed (-EAGAIN with a sentence), and lets go. Until the last adopted
 * container is gone, a supervisor keeps LOADER_ADOPT_KEEP held: forks may take longer than that.
 */
enum loader_adopt_need { LOADER_ADOPT_NONE, LOADER_ADOPT_KEEP, LOADER_ADOPT_FIND };
/* -EOPNOTSUPP: this kernel lacks a place to do it. What is no longer needed goes with
 * loader_trim(). */
int loader_adopt_hold(struct loader *l, enum loader_adopt_need need, struct warder_error *reterr);
/* `what`: members, cid, slot, caller. */
int loader_adopt_begin(struct loader *l, const struct warder_adopt *what,
		       struct warder_error *reterr);
/* Every task of the host once. `fn` (may be NULL) gets the records that the mode writes, and those
 * of members that must not be tagged; it returns non-zero to stop. *ret_found: tags that this pass
 * wrote or took away; *ret_failed: tags that could not be. */
typedef int (*loader_member_fn)(const struct warder_member *member, void *arg);
int loader_adopt_pass(struct loader *l, enum warder_adopt_mode mode, loader_member_fn fn, void *arg,
		      __u64 *ret_found, __u64 *ret_failed);
int loader_adopt_end(struct loader *l, struct warder_error *reterr);
/* One pass by itself, without a begin and an end: for a look at what would be adopted (the cid may
 * be any), and for what has a container's tag: WARDER_ADOPT_LIST and _UNTAG need its cid alone. */
int loader_adopt_once(struct loader *l, const struct warder_adopt *what,
		      enum warder_adopt_mode mode, loader_member_fn fn, void *arg,
		      __u64 *ret_found, __u64 *ret_failed);
/* Ends what a supervisor that died had begun. */
void loader_adopt_reset(struct loader *l);

/* Names. Runs the file iterator over the open files of `pid` and hands each to `fn`; with
 * slot >= 0 the record's name is the one that hooks of that container see. `fn` returns
 * non-zero to stop. The task must not close files meanwhile (a stopped or waiting helper). */
typedef int (*loader_fd_fn)(const struct warder_fd_record *record, const char *name, void *arg);
int loader_each_fd(struct loader *l, pid_t pid, int slot, loader_fd_fn fn, void *arg);

/* The record of one fd of `pid`, with its name in `slot` (-1: no name) into name_buf. */
int loader_get_fd(struct loader *l, pid_t pid, int fd, int slot, struct warder_fd_record *ret,
		  char *name_buf, size_t size);

/* Records the mount whose root the fd lies on, as `path` (absolute, as seen from the
 * container's root). Sets `nested` on every entry of the container that needs it.
 * -ENAMETOOLONG, -ENOSPC. */
int loader_record_mount(struct loader *l, __u32 slot, const struct warder_fd_record *record,
			const char *path, struct warder_error *reterr);
/* The superblock that the fd lies on is made by that container, as if it had mounted it: what it is made of
 * the container may have. */
int loader_record_maker(struct loader *l, const struct warder_fd_record *record, __u64 cid);
/* A mount was moved: what is recorded as `from`, or below it, is `to` from now on. Names that are not
 * recorded below `from` stay. -ENAMETOOLONG before anything is changed. */
int loader_move_mounts(struct loader *l, __u32 slot, const char *from, const char *to);
/* Forgets all of a container's. */
int loader_forget_mounts(struct loader *l, __u32 slot);

/* Raw map fds for the modules that own a map's content (events, override, keyring). */
enum loader_map {
	LOADER_MAP_EVENTS,     /* ring: struct warder_event_header */
	LOADER_MAP_INTERCEPTS, /* ring: struct warder_icept */
	LOADER_MAP_KEYS,       /* keyring.bpf.c */
	LOADER_MAP_KEY_GRANTS,
	LOADER_MAP_KEY_ALLOC_AS,
	LOADER_MAP_KEY_CLEARS,
	LOADER_MAP_UPCALLS,    /* serial -> struct warder_upcall_record */
	LOADER_MAP_SOCKS,      /* socket storage: sockets that any container may reach */
	LOADER_MAP_LEARN,      /* struct warder_learn_key -> struct warder_learn */
	LOADER_MAP_SIGNERS,    /* struct warder_signers_key -> serial of the ring */
	LOADER_MAP__MAX,
};
int loader_map_fd(struct loader *l, enum loader_map which);

/* What a kernel gives no place to enforce; for doctor and for checks of policies. `btf` is a file with
 * its type information, NULL: the running one's. Fills at most `size` entries, LOADER_GAPS_MAX are
 * enough; returns how many, or a negative errno. */
#define LOADER_GAPS_MAX 16
struct loader_gap {
	__u32 class_;     /* enum warder_class */
	__u32 serious;    /* 1: rules of that kind do nothing; 0: a limit that is worth knowing */
	__u64 bits;       /* the switches of the class that it is about; 0: the class is none of switches */
	const char *text; /* static */
};
int loader_gaps(const char *btf, struct loader_gap *ret, size_t size);

/* Does the policy refuse or report anything that the gap is about? */
int loader_gap_matters(const struct loader_gap *gap, const struct warder_image *img);

/* What a kernel lacks for keyring.signed_exec, as words for a sentence; NULL: nothing. Of the running
 * one (`btf` NULL) the command line is looked at, too. */
const char *loader_signed_missing(const char *btf);
/* The same for `verity: true` in it. */
const char *loader_verity_missing(const char *btf);

/* Calls fn for each program that the policy needs and a kernel has no place for; `vital`: it is
 * refused there. 0, or -errno if the type information cannot be read. */
int loader_each_absent(const char *btf, const struct warder_image *img,
		       void (*fn)(const char *program, __u32 class_, int vital, void *arg), void *arg);

/* What judges a system call under a policy. */
enum loader_seen {
	LOADER_SEEN_JUDGED = 0, /* a program that is attached for the policy, or a capability */
	LOADER_SEEN_UNUSED,     /* only programs that no rule of the policy needs */
	/* Nothing, and no capability: */
	LOADER_SEEN_OPENED,
	LOADER_SEEN_NAMES,
	LOADER_SEEN_OTHERS,
	LOADER_SEEN_KERNEL,
	LOADER_SEEN_OWN,
	LOADER_SEEN_GONE,
	LOADER_SEEN__MAX,
};
/* Each system call once; non-zero from fn ends it, and is returned. */
int loader_each_syscall(const struct warder_image *img,
			int (*fn)(const char *call, enum loader_seen group, void *arg), void *arg);
const char *loader_seen_name(enum loader_seen group); /* "names" */
const char *loader_seen_text(enum loader_seen group);
/* Is every program there that the table of system calls names? */
int loader_syscalls_are_known(void);

/* Marks a listening socket of ours as reachable from that container in spite of the baseline. */
int loader_open_socket_to(struct loader *l, int sock_fd, __u64 cid);

/* Programs. -ENOENT: no such program on this kernel. */
int loader_is_attached(struct loader *l, const char *name);
int loader_each_program(struct loader *l, int (*fn)(const char *name, int attached, void *arg),
			void *arg);
/* Does loader_attach.c say who needs that program? */
int loader_program_known(const char *name);

/* Is that program attached while a policy with this image is published? Needs no kernel. */
int loader_program_is_needed(const char *name, const struct warder_image *img);

/* For a process forked from the one that attaches, if it lives on: a program stays attached until the
 * last descriptor of its link is closed. */
void loader_drop_links(struct loader *l);

/*
 * Calls `fn` for each of our programs that the kernel has skipped since it was loaded, because
 * another task was in the middle of it on that CPU (recursion_misses in struct bpf_prog_info). Programs
 * of LSM hooks are never skipped, those on functions and tracepoints are, where the kernel can be
 * preempted. `override`: a refused call kept its errno, as the supervisor was not asked. `made_good`
 * says how another program did what this one does, or does it later; NULL: none.
 */
void loader_each_miss(struct loader *l,
		      void (*fn)(const char *name, __u64 count, int override, const char *made_good,
				 void *arg),
		      void *arg);

#endif
