/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between override.c and override_decide.c: what is known of a call, and what to do about it. */
#ifndef OVERRIDE_INTERNAL_H
#define OVERRIDE_INTERNAL_H

#include "executor.h"
#include "override.h"
#include "policy.h"

/* A refused call as copied from its caller, never as the caller has it now. */
struct override_facts {
	__u32 op;    /* enum warder_op */
	__u32 flags; /* mount: MS_*, without the magic number */
	__u32 euid;  /* in the caller's own user namespace */
	__u32 fsuid;
	__u32 relation; /* WARDER_BY_USERNS_*, 0: neither */
	__u32 cause;    /* WARDER_CAUSE_* */
	__u32 way;      /* enum warder_way; ANY: not known, rules of either can match */
	int same_mntns; /* 1: the container's own mount namespace */
	int host_mntns; /* 1: it is the supervisor's */
	int shared;     /* 1: the mount would show up on the host */
	int unresolved; /* 1: only type and flags are known: reported, not asked */
	int open; /* 1: target and flags of the mount are not known yet: can a rule still match? */
	/* Rules that the kernel found possible: it knew the caller's profile. 0: not known, the
	 * caller is in profile number `profile`. */
	__u64 candidates;
	__u32 profile;
	const char *fstype;
	const char *source;
	const char *data;
	const char *target; /* name in the container, NULL: it has none */

	/* Changes of mounts. */
	const char *from;   /* move, bind: the name of the source, NULL: it has none */
	const char *file;   /* new: the name of the file in the container that `source` leads to, NULL: none */
	const char *object; /* umount: the name of what is mounted, NULL: as the target */
	__u32 is_mount;     /* 1: the target (move: the source) is a mount's root */
	__u32 at_root;      /* 1: of its mount namespace */
	__u32 mnt_flags;    /* MS_* that the mount has */
	__u32 own_fs;       /* 1: a tmpfs that the host has not mounted */
	__u32 covers_kernel; /* 1: it lies on a proc or sysfs; bind, overlay: a source is on such a one */
	__u32 mounts;       /* new, bind: in the caller's mount namespace */
	__u32 below;        /* bind, new proc, sysfs or overlay: of these, below what it is made of */
	__u32 view;         /* new: enum executor_view */
	__u32 layers;       /* new overlay: how many it has; and their names, NULL: one has none */
	const char *layer[EXECUTOR_LAYERS_MAX];
	__u32 loops;        /* new: of these, on loop devices */
	__u32 umount_flags;
	__u32 loose;        /* umount: 1: a mount below it could be taken off by itself */
	/* mknod: also of what is no device */
	__u32 node_type; /* S_IFMT of the mode */
	__u32 major;
	__u32 minor;
	/* setxattr: the name is in `source`. sethostname: nothing but `host_uts` counts. */
	const char *value;
	__u32 value_len;
	__u32 host_uts; /* 1: the UTS namespace is the supervisor's or the host's */
	struct executor_sched sched;
	__u32 foreign;  /* 1: the thread that a priority is set of is not the container's */
	__u32 granted;  /* 1: a handler has said that it be performed */
};

struct override_decision {
	int action;      /* enum override_action */
	int rule_index;  /* into the image's table, -1: none */
	__u32 rule;      /* its number, 0: none */
	__u32 near_rule;
	int reported;    /* 1: no rule answers it, and one has it reported */
	int value;       /* fake: the result; deny: the errno */
	__u32 ops;       /* WARDER_MNT_* */
	__u32 attr;      /* MOUNT_ATTR_*: the caller's and the forced ones */
	__u32 attr_clear; /* remount: those to take off */
	__u32 deadline_ms;
	__u32 rate;
	const char *bind; /* host path in the image, NULL: none; of a new file system: of what it is in */
	const char *fuse; /* program that reads the image, a string in the policy's image; NULL: the kernel does */
	int view;        /* perform: enum executor_view, of a proc or sysfs */
	const char *handler; /* ask: whom, a string in the image */
	int may_perform;  /* ask: 1: nothing stands against it, should the handler say so */
	char options[2 * EXECUTOR_TEXT_SIZE]; /* as executor_request.text */
	char reason[256];
};

enum override_action {
	OVERRIDE_KEEP = 0, /* the original errno stands */
	OVERRIDE_PERFORM,
	OVERRIDE_FAKE,
	OVERRIDE_DENY,
	OVERRIDE_ASK, /* a handler decides; without an answer `value` is the errno, 0: the original */
};

#define OVERRIDE_DEADLINE_MS 2000
/* Mounts that a mount namespace may have with those that are made for it. */
#define OVERRIDE_MOUNTS_MAX 1024
#define OVERRIDE_LOOPS_MAX 16

void override_decide(const struct warder_image *img, const struct override_facts *facts,
		     struct override_decision *ret);

/* Entry `i` of the image's override rules. */
const struct warder_override *override_rule_at(const struct warder_image *img, unsigned i);

/* May the rules of that set have the call performed, or do they look at more than who calls? */
int override_must_resolve(const struct warder_image *img, __u64 set);

/* Is all that the rules of the set look at known from the refusal itself? */
int override_decides_at_once(const struct warder_image *img, __u32 op, __u64 set);

/* ------------------------------------------------------------ override_filter.c */

struct sock_filter;
/* The program that override_filter_install() loads, at most `max` instructions of it. 0 or -errno. */
int override_filter_build(int what, struct sock_filter *program, size_t max, size_t *ret_len);

#define OVERRIDE_FILTER_MAX 256

/* ------------------------------------------------ override_decide_call.c, for override_decide.c */

/* May a rule of the set (0: any) have a FUSE program read an image that is in the container? `type`: NULL
 * where it is not known. */
int override_wants_file(const struct warder_image *img, __u64 set, const char *type);
/* Do the policy's file rules say of what is below the layers of an overlay just what they say of what is
 * below its target? 0; the rule that does not, -1: some default. */
int override_layers_denied(const struct warder_image *img, __u32 pr, const struct override_facts *f);
/* What no rule can allow, of overlays. NULL, or the reason. */
const char *override_overlay_refused(const struct override_facts *f);
/* Capabilities that are allowed in every profile. */
__u64 override_caps(const struct warder_image *img);
/* The rule by which the policy's file rules refuse that access at that name in profile `pr`, -1: their
 * default does, 0: neither. */
int override_file_denied(const struct warder_image *img, __u32 pr, const char *name, __u32 access);
/* Do the values of the call fit those of the rule (nodes, attributes, priorities)? -EPERM with what
 * does not. */
int override_values_fit(const struct warder_image *img, const struct warder_override *r,
			const struct override_facts *f, char *why, size_t size);
/* What no rule can allow, of calls other than new mounts and binds. NULL, or the reason. */
const char *override_built_in_deny(const struct override_facts *f, const struct warder_override *r,
				   __u32 ops);
/* The rule by which the policy itself refuses the object of the call in profile `pr`, -1: its
 * default does, 0: neither. */
int override_object_denied(const struct warder_image *img, __u32 pr, const struct override_facts *f);
/* Does the rule state the limits without which nothing is performed? */
int override_is_limited(const struct warder_override *r);
/* The flags of a new mount (MS_* as MOUNT_ATTR_*). */
__u32 override_mount_attr(__u32 flags);
/* Those that a remount takes off. */
__u32 override_remount_clear(const struct override_facts *f, __u32 attr);

/* "64M" -> bytes, only plain decimal numbers with at most one suffix. 0 or -EINVAL. */
int override_parse_size(const char *text, __u64 *ret);

/* Do all rules of the set say `late: stop`? The empty set says no. */
int override_stops_late(const struct warder_image *img, __u64 set);

/* ---------------------------------------------------------------- override_journal.c */

/*
 * What was or is being performed and not yet answered. One fixed place for each job, so that
 * the file is bounded; a page cache outlives a killed process, and a reboot takes the mounts
 * along with the folder.
 */
struct journal;

struct journal_entry {
	__u64 cid;
	__u64 cookie;
	__s32 tid;
	__u32 slot;
	__u32 mntns;
	__u32 rule;
	__u64 mnt_id; /* 0: no new mount: the executor's note says what was done */
	__u32 dev_major;
	__u32 dev_minor;
	__u32 op;   /* enum warder_op */
	__u32 call; /* enum warder_call */
	char target[WARDER_PATH_MAX];
	char from[WARDER_PATH_MAX]; /* move: the old name */
};

/* A thread whose priority is raised, and what it had: kept apart, since it ends before an
 * operation is performed. */
struct journal_boost {
	__s32 tid;
	__s32 policy; /* with SCHED_RESET_ON_FORK */
};

int journal_open(struct journal **ret, const char *path, struct warder_error *reterr);
void journal_close(struct journal *j);
/* Writes place `i` (below JOURNAL_PLACES). */
int journal_write(struct journal *j, unsigned i, const struct journal_entry *e);
int journal_clear(struct journal *j, unsigned i);
/* 1: place `i` held an entry when the journal was opened and it has not been cleared. */
int journal_read(struct journal *j, unsigned i, struct journal_entry *ret);
int journal_boost_write(struct journal *j, unsigned i, const struct journal_boost *b);
int journal_boost_clear(struct journal *j, unsigned i);
int journal_boost_read(struct journal *j, unsigned i, struct journal_boost *ret);

#define JOURNAL_PLACES 64
_Static_assert(JOURNAL_PLACES == EXECUTOR_NOTES, "one note for each place");

/* What executors note; all JOURNAL_PLACES, shared with whatever is forked later. Writing a place forgets
 * its note. */
struct executor_note *journal_notes(struct journal *j);
/* A word that says how far the answer to place `i` has come; writing the place makes it NONE. */
__u32 *journal_told(struct journal *j, unsigned i);
enum journal_told { JOURNAL_TOLD_NONE = 0, JOURNAL_TOLD_PERHAPS, JOURNAL_TOLD };

#endif
