/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the executor share: the way home, /proc/TID, the caller's memory, mountinfo. */
#ifndef EXECUTOR_INTERNAL_H
#define EXECUTOR_INTERNAL_H

#include <stdio.h>

#include "executor.h"

/* Fills error and `what`; returns the error. */
int fail(struct executor_reply *reply, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void close_fd(int *fd);
/* As fork(2), of a child that shares our descriptors: what it opens is ours. */
pid_t child_sharing_fds(void);
/* Waits for a child to end: its exit status, -1: it was killed. */
int child_wait(pid_t pid);
/* O_PATH on a folder that no symlink or link of /proc leads to, from where we are. -1 and errno. */
int folder_open(const char *path);
/* Is mount `id` what lies on `last` in the folder? 0; -ENOENT: something else, or nothing; -errno: it cannot
 * be told. */
int mount_check(int folder, const char *last, __u64 id);

/* Back to the host's namespaces, root and full rights. Nothing may go on elsewhere: a process that
 * cannot come home ends. */
void come_home(const struct executor_home *home);

/* /proc/TID/NAME */
int proc_open(pid_t tid, const char *name, int flags);
/* The whole of a small file, NUL-terminated; the caller frees it. */
char *proc_read(pid_t tid, const char *name);
/* Field 22 of /proc/TID/stat: when it started. */
__u64 stat_start(const char *stat_text);
__u32 fd_ino(int fd);
int mount_id_of(int fd, __u64 *ret_id, __u32 *ret_major, __u32 *ret_minor);

/* One line of mountinfo. */
struct mount_line {
	__u64 id, above; /* above: what it is mounted on */
	__u32 major, minor;
	__u32 flags;     /* MS_* of the mount */
	unsigned shared; /* peer group, 0: none */
	unsigned master;
	char type[32];
	char point[EXECUTOR_TEXT_SIZE]; /* as seen from the reader's root */
	/* What of the file system it shows, and that one's options: cut off when they are longer. */
	char root[EXECUTOR_TEXT_SIZE];
	char options[256];
};
/* The line of mount `id`: 0 or -ENOENT. */
int mountinfo_find(FILE *mountinfo, __u64 id, struct mount_line *ret);
/* The next line: 1; 0: there is none; -EIO; -EINVAL: it cannot be told what it says. */
int mountinfo_next(FILE *mountinfo, struct mount_line *ret);
/* The mount point of a line, unescaped; 0: it has none, or a longer one. The line is changed. */
int mountinfo_point(char *line, char *to, size_t size);
/* To be read, or NULL; the descriptor is the file's, or closed. */
FILE *file_of(int fd);
/* Of the executor itself, in whatever mount namespace it is; NULL: it cannot be read. */
FILE *mountinfo_own(const struct executor_home *home);

/* Whose call it is, and from where its paths begin. */
struct caller {
	const struct executor_home *home;
	pid_t tid, tgid;
	int root, cwd;
	__u32 fsuid, fsgid;
	__u64 caps; /* effective, as far as the policy leaves them */
};

/* executor_resolve.c: the caller's memory. NULL is "". -EFAULT; -ENAMETOOLONG: no NUL within size. */
int copy_string(pid_t tid, __u64 address, char *to, size_t size, int cut);
int copy_bytes(pid_t tid, __u64 address, void *to, size_t len);
/* The caller's descriptor `n`, O_PATH; thread: of that thread's table, else of the leader's. */
int own_fd(const struct caller *c, int thread, int n);
/* O_PATH on what `path` leads the caller to, from `base` (-1: its directory). -errno, told. */
int walk(const struct caller *c, int base, const char *path, int flags, const char *what,
	 struct executor_reply *reply);
/* The line of the mount that `fd` lies on, as the root of the caller's mount namespace sees it. -ENOENT:
 * it is in another namespace. */
int mount_line_of(const struct operation *op, const struct executor_home *home, int fd,
		  struct mount_line *ret);
/* Would what is mounted at `fd` show up on the host? */
void target_is_shared(const struct operation *op, const struct executor_home *home, int fd,
		      struct executor_reply *reply);
/* What a new file system of that type is made of, as far as it is in the container; `image`: what may be
 * an image for a FUSE program, "": nothing. */
void new_facts(struct operation *op, const struct caller *c, const struct executor_request *req,
	       const char *type, const char *options, const char *image, struct executor_reply *reply);
/* What the mount at `fd` is, and where it is attached: for what changes it. */
void mount_facts(struct operation *op, const struct executor_home *home, int fd,
		 struct mount_line *line, struct executor_reply *reply);
void mount_place(struct operation *op, const struct executor_home *home,
		 const struct mount_line *line, struct executor_reply *reply);

/* executor_bind.c: how many mounts there are in the caller's namespace, and how many below `fd` (-1: not
 * wanted); what counts of the source op->second; its clone, private, into op->mount; the clone's flags,
 * of a view those of a proc or sysfs. */
void mounts_count(const struct operation *op, const struct executor_home *home, int fd,
		  struct executor_reply *reply);
/* Is mount point `point` below `path`? */
int mount_is_below(const char *point, const char *path);
void bind_facts(struct operation *op, const struct executor_home *home, struct executor_reply *reply);
/* 1: of what is mounted below `at` in the caller's mount namespace something can be taken off by itself, or
 * it cannot be told. It is tried, in a copy of that namespace. */
__u32 mounts_are_loose(const struct operation *op, const struct mount_line *at);
int bind_clone(struct operation *op, const struct executor_home *home, int recursive,
	       struct executor_reply *reply);
/* File systems that are the kernel's own state, which runtimes mask in part. Unreadable counts as yes. */
int is_kernel_fs(int fd);
int bind_finish(struct operation *op, __u32 attr_flags, int view, struct executor_reply *reply);

/* executor_view.c: is `fd` (-1: no) on the root of a whole proc, or sysfs? */
int is_whole_view(int fd, int is_proc);
/* The proc or sysfs that the caller sees, into op->second; of another type nothing. MAKE of
 * a clone of it, or of a proc with all that masks it. */
void view_find(struct operation *op, const struct caller *c, const struct executor_request *req,
	       const char *type, struct executor_reply *reply);
int view_make(struct operation *op, const struct executor_home *home, const struct executor_request *req,
	      struct executor_reply *reply);

/* executor_image.c: MAKE of a new file system that lies in req->image. */
int image_make(struct operation *op, const struct executor_home *home,
	       const struct executor_request *req, int userns, struct executor_reply *reply);

/* executor_overlay.c: opens the layers that the options name; MAKE of an overlay of them. */
void overlay_find(struct operation *op, const struct caller *c, const char *options,
		  struct executor_reply *reply);
int overlay_make(struct operation *op, const struct executor_home *home,
		 const struct executor_request *req, int userns, struct executor_reply *reply);

/* executor_fuse.c: finds what may be an image (op->second, -1: nothing); MAKE of a new file system that a
 * FUSE program reads from it; it was attached, and its program goes on without us. */
void fuse_find(struct operation *op, const struct caller *c, const char *path,
	       struct executor_reply *reply);
int fuse_make(struct operation *op, const struct executor_home *home,
	      const struct executor_request *req, int userns, struct executor_reply *reply);
void fuse_keep(struct operation *op);

/* executor_fuse_box.c: what a FUSE program is started with. */
struct fuse_box {
	int cgroup;   /* of the caller */
	int program, image, device;
	int helper;   /* that libfuse 2 asks for the device, -1: none */
	int life;     /* the end of it that the program's first process reads */
	int errors;   /* where its standard error goes */
	int slot;     /* a lock that lasts as long as the program does */
	int read_only;
	uid_t uid;
	gid_t gid;
	const char *name;
};
/* Starts it, in namespaces and a root of its own. 0 or -errno. */
int fuse_box_start(const struct fuse_box *b);

/*
 * The path of `fd` from op->names, "" if there is none: it is not below it, or (`again`) what the path
 * leads to is something else. That cannot be asked once something is mounted there.
 */
void name_tell(const struct operation *op, const struct executor_home *home, int fd, int again,
	       char *to, size_t size);
/* Has the caller the capability that this call is about? */
void caller_capable(const struct operation *op, const char *status, struct executor_reply *reply);

/* Hands req->text, options one after the other, to a file system that is being made or remounted.
 * executor_mount.c */
int set_options(int fs, const struct executor_request *req, struct executor_reply *reply);

/* The steps: executor_resolve.c, executor_notify.c, executor_call.c. */
void resolve(struct operation *op, const struct executor_home *home,
	     const struct executor_request *req, struct executor_reply *reply);
void resolve_notified(struct operation *op, const struct caller *c,
		      const struct executor_request *req, struct executor_reply *reply);
/* EXECUTOR_GIVE */
void give_descriptor(const struct executor_request *req, int listener, int fd,
		     struct executor_reply *reply);
void perform(struct operation *op, const struct executor_home *home,
	     const struct executor_request *req, struct executor_reply *reply);

/* executor_revoke.c: what is to be known later, before it is done; NULL: nobody will ask. */
struct executor_note *note_of(const struct executor_home *home, __u32 place);
void note_write(struct executor_note *n, const struct operation *op,
		const struct executor_home *home, const struct executor_request *req);
/* EXECUTOR_REVOKE of what is no new mount; the operation may be that which did it */
void revoke_call(const struct operation *op, const struct executor_home *home, const struct executor_request *req,
		 struct executor_reply *reply);

#endif
