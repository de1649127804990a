/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by loader.c, loader_pin.c, loader_probe.c and loader_names.c only. */
#ifndef WARDER_LOADER_INTERNAL_H
#define WARDER_LOADER_INTERNAL_H

#include <pthread.h>

#include "loader.h"

struct btf;

/* Maps are pinned under their names, which are these; those from LOADER_MAP_OPTIONAL on may be
 * absent. */
enum loader_fd {
	LOADER_FD_TASKS,
	LOADER_FD_CTRS,
	LOADER_FD_STATS,
	LOADER_FD_IMAGES,
	LOADER_FD_NAMES,
	LOADER_FD_SBS,
	LOADER_FD_HOST,
	LOADER_FD_WAITS,
	LOADER_FD_FAULTS,
	LOADER_FD_ITER,
	LOADER_FD_ADOPT,
	LOADER_FD_KIN,
	LOADER_FD_EVENTS,
	LOADER_FD_ICEPTS,
	LOADER_FD_SOCKS,
	LOADER_FD_LEARN,
	LOADER_FD_KEYS,
	LOADER_FD_GRANTS,
	LOADER_FD_CLEARS,
	LOADER_FD_ALLOC_AS,
	LOADER_FD_UPCALLS,
	LOADER_FD_SIGNERS,
	LOADER_FD__MAX,
};
#define LOADER_FD_OPTIONAL LOADER_FD_KEYS

extern const char *const loader_map_names[LOADER_FD__MAX];

/* Names below the pin directory. */
#define LOADER_PIN_LINKS "links"
#define LOADER_PIN_PROGS "progs" /* every program, attached or not */
/* Iterators, which are not attached but asked: by their names. */
#define LOADER_PIN_ITER "warder_iter_task_file"
#define LOADER_PIN_ITER_TASK "warder_iter_task"
#define LOADER_PROGS_MAX 256

/* Bytes of all claim words. */
#define LOADER_WAITS_SIZE (WARDER_WAITS_MAX * sizeof(struct warder_wait))

struct loader_prog {
	char name[64];
	__u64 needs; /* see loader_attach.c */
	int prog_fd;
	int link_fd; /* -1: not attached */
};

struct loader {
	char *pin_dir;
	int was_pinned;
	int unpinned;
	int map_fd[LOADER_FD__MAX]; /* -1: absent */
	int iter_prog_fd;
	int iter_task_fd;
	struct loader_prog *prog;
	size_t progs;
	__u64 image_needs[WARDER_POLICIES_MAX]; /* of each published policy; 0: none */
	__u64 adopt_needs; /* of adoptions, see loader_adopt_hold() */
	__u64 adopt_misses; /* of programs that follow members, when the adoption began */
	struct warder_host *host;
	struct warder_wait *waits;
	struct warder_adopt *adopt; /* shared with BPF: __atomic builtins */
	pthread_mutex_t names_lock;   /* the iterator's slot, and the table of recorded mounts */
	pthread_mutex_t publish_lock; /* policies and what is attached for them */
};

/* Programs: open those that are pinned and attach what the published policies need; close. */
int loader_open_programs(struct loader *l, struct warder_error *reterr);
void loader_close_programs(struct loader *l);
/* Attaches what has any of `needs`; on failure nothing stays attached that is not needed. Detaches
 * at most `most` programs that no published policy needs, and says whether there are more. The
 * caller holds the publish lock. */
int loader_attach(struct loader *l, __u64 needs, struct warder_error *reterr);
int loader_detach(struct loader *l, size_t most);
__u64 loader_image_needs(const struct warder_image *img);
/* NULL: this kernel has no place for it. */
struct loader_prog *loader_find_program(const struct loader *l, const char *name);
/* How often the kernel has skipped it, see loader_each_miss(). */
__u64 loader_prog_misses(const struct loader_prog *p);
/* Is it attached whatever is published? */
int loader_program_is_for_all(const char *name);

/* Static checks of the running kernel: LSM list, BTF, version. Cheap. */
int loader_check_kernel(struct warder_error *reterr);

/* The sentence for an LSM program that the kernel refused with `err`. */
int loader_refused(struct warder_error *reterr, int err, const char *what);

/* Loads, attaches and pins everything below `dir` (which must not exist). Nothing stays behind
 * on failure. */
int loader_pin_new(const char *dir, const struct loader_options *options,
		   struct warder_error *reterr);

/* Calls fn for each of our programs that a kernel with this BTF has no place for; `required`: nothing
 * is loaded there. 0, -errno. */
int loader_pin_each_absent(const struct btf *btf,
			   void (*fn)(const char *program, int required, void *arg), void *arg);

/* Does `dir` hold the pins of this very build? 0, -ENOENT (nothing there), -EBUSY. */
int loader_pin_check(const char *dir, struct warder_error *reterr);

/* Removes a directory of pins with all that is below. */
int loader_pin_remove(const char *dir);

/* Mounts bpffs and makes the parent folders of `dir`. */
int loader_pin_prepare(const char *dir, struct warder_error *reterr);

/* loader_signed.c: loader_signed_missing() of a kernel with this BTF; is a program left out then? */
const char *loader_signed_missing_in(const struct btf *btf);
/* The same for signatures of fs-verity's digests. */
const char *loader_verity_missing_in(const struct btf *btf);
/* loader_gaps.c: of a file, NULL: of the running kernel; btf__free() is the caller's. 0, -errno. */
int loader_btf_open(const char *path, struct btf **ret);
int loader_program_checks_signatures(const char *name);

/* loader_calls.c: of the programs of supervised system calls, those that this kernel takes; after
 * pin_choose_programs(), before the object is loaded, and then once more. */
struct bpf_object;
int loader_calls_choose(struct bpf_object *obj, const struct btf *btf, struct warder_error *reterr);
int loader_calls_connect(struct bpf_object *obj, struct warder_error *reterr);
/* enum warder_op of a program that an entry has, else WARDER_OP_NONE. */
__u32 loader_call_op(const char *program);
/* Is it one that is never attached, only reached from those? */
int loader_call_is_worker(const char *program);

#endif
