/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The supervisor's inside, shared by supervisor*.c only.
 *
 * Threads: everything belongs to the loop's thread, except what `lock` protects: the list of
 * containers as the override callbacks read it (next, cid, slot, name, fds, borrowed, image
 * references) and the queue of outcomes. The loop is the only writer of the list, so it reads
 * without the lock and writes with it. Nothing blocks while it is held.
 */
#ifndef WARDER_SUPERVISOR_PRIVATE_H
#define WARDER_SUPERVISOR_PRIVATE_H

#include <json-c/json.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>

#include "clock.h"
#include "container.h"
#include "control.h"
#include "events.h"
#include "keeper.h"
#include "keyring.h"
#include "loader.h"
#include "override.h"
#include "policy.h"
#include "state.h"
#include "supervisor.h"

#define SUPERVISOR_CONNS_MAX 256
#define SUPERVISOR_START_SECONDS 60 /* for the builder and init, until exec */
#define SUPERVISOR_HISTORY_MAX 4096
#define SUPERVISOR_HISTORY_BYTES (8u << 20)
#define SUPERVISOR_OUTCOMES_MAX 256
#define SUPERVISOR_LINGER_MS 5000 /* an on-demand supervisor without work: loading again takes seconds */
#define SUPERVISOR_TRIM_MS 10000 /* programs that no policy needs any more stay attached so long */
#define SUPERVISOR_REMOVE_SECONDS 10 /* for a dead container's last tasks, then said aloud */

struct supervisor;
struct upcall_ask;

/* Something in the epoll set. The loop takes one event at a time, so that a handler may free
 * any object. */
struct source {
	int fd;
	void (*ready)(struct supervisor *s, struct source *src, uint32_t events);
};

/* An image in use; freed with its last reference (slot, override threads). */
struct sup_image {
	unsigned refs; /* under lock */
	char digest[65];
	struct warder_image img;
};

struct sup_policy {
	struct sup_image *image; /* NULL: free slot */
	char name[WARDER_NAME_SIZE]; /* of a stack: empty */
	unsigned users; /* containers */
	int kept; /* loaded by name: stays without containers */
	/* Several policies as one image, a slot of its own; its members have theirs, too, for the
	 * next supervisor, and because one of them can be all that another container has. */
	unsigned layers; /* 0: a policy, no stack */
	uint32_t member[WARDER_LAYERS_MAX]; /* slots */
};

/* A policy as a client names it. */
struct sup_policy_ref {
	const char *name;        /* of a loaded one, if there is no image */
	struct sup_image *image; /* owned */
};

/* Why a container has its policy. */
enum sup_policy_by { SUP_POLICY_ASKED = 0, SUP_POLICY_MATCH, SUP_POLICY_DEFAULT };

enum ctr_state { CTR_STARTING, CTR_RUNNING, CTR_DYING };

struct ctr {
	struct ctr *next;
	uint64_t cid;
	uint32_t slot;
	char name[WARDER_NAME_SIZE];
	struct container_spec *spec; /* NULL: adopted without a state file */
	enum ctr_state state;
	int adopted; /* init is not our child */
	int foreign; /* `warder adopt`: not started by warder, and without a cgroup of ours */
	struct json_object *before; /* foreign: what refuses before warder's programs are asked */
	int init_gone; /* foreign: the first process has ended, others run on */
	int killing;   /* foreign: kill --all goes on until nothing is left */
	int released;  /* foreign: its tasks run on, untagged */
	uint64_t next_pass; /* ms: when its tasks are looked at again */
	uint64_t dirty_at;  /* ms: when a pass last found a tag to take away */
	uint64_t release_conn; /* connection that is told when it is released, 0: none */
	unsigned borrowed; /* by override threads, under lock */
	pid_t pid;
	struct source init; /* pidfd */
	struct source listener; /* container.sock */
	int listener_paused; /* the container has too many connections */
	struct source remake; /* the builder that makes container.sock anew */
	pid_t remake_pid;
	uint64_t remake_deadline; /* ms */
	int has_self; /* our end of WARDER_FD came in, now a connection */
	int cgroup_fd, root_fd, userns_fd;
	uint32_t uid_base;
	uint32_t userns, mntns, pidns; /* inode numbers */
	uint32_t policy; /* slot */
	int policy_held;
	enum sup_policy_by policy_by;
	char digest_found[65]; /* adopted: what the state file said, if it differs */
	struct keyring_rings rings;
	int has_rings;
	uint64_t clears_seen; /* of S, when C was last linked into it */
	int rings_broken;     /* it could not be, and that has been said */
	int identity; /* a record is in the kernel's table */
	int notify;   /* 1: a seccomp filter asks this supervisor; -1: one asks, and nobody answers any
		       * more */
	int filter;   /* what about: OVERRIDE_FILTER_* */
	int64_t created; /* realtime, seconds */
	char **mounts; /* paths */
	size_t mount_count;
	/* dying */
	int status;
	int started; /* its command ran: exit is an event and is remembered */
	uint64_t dying_since; /* ms */
	uint64_t fail_conn; /* connection that gets the sentence below, 0: none */
	int fail_code;
	char fail_text[WARDER_ERROR_SIZE];
	struct warder_stats stats_seen;
};

/* A start or an enter under way; an enter stays until its command exits. */
struct launch {
	struct launch *next;
	struct ctr *ctr; /* NULL: a command entered into an adopted container that was let go */
	int enter;
	int detach;
	uint64_t conn;
	struct source sock;
	struct source child; /* enter: pidfd of the command */
	pid_t builder;
	pid_t pid;
	int pidfd;
	int pty;
	int filter; /* listener of its seccomp filter, -1: none */
	int ready, released;
	uint64_t deadline; /* ms, until the release */
	struct container_spec *spec; /* enter: owned */
	struct adoption *adoption; /* owned; NULL: a start or an enter */
	struct {
		int fd;
		char *path;
	} *mount;
	size_t mounts;
};

struct conn {
	struct conn *next;
	uint64_t id;
	struct source src;
	uint64_t cid; /* came in on a container's socket; 0: the control socket */
	uint32_t slot; /* of that container */
	int subscriber;
	uint64_t filter; /* cid, 0: all */
	uint64_t lost; /* events this reader was too slow for */
	uint64_t waits_cid; /* wait request: answered when that container is gone */
	int attached; /* run: gets "exited", not "ok" */
	/* A handler: which, in what order, of whom (0: all). Messages other than replies end it. */
	char handler[WARDER_NAME_SIZE];
	uint64_t order, handler_cid;
	int observes;
	unsigned invalid; /* answers that were none */
	unsigned queues;  /* types of keys whose upcalls it serves */
};

/* A call that waits for somebody's word. */
#define SUPERVISOR_ASKS_MAX 64
enum sup_ask_state { SUP_ASK_FREE = 0, SUP_ASK_NEW, SUP_ASK_HANDLER, SUP_ASK_PERSON };
struct sup_ask {
	enum sup_ask_state state; /* FREE and NEW change under lock */
	uint64_t conn;     /* whose word it is */
	uint64_t deadline; /* ms: later than the override thread's */
	struct override_ask ask;
};

/* What a person has said once and for all: while this supervisor runs. */
#define SUPERVISOR_REMEMBERED_MAX 256
struct sup_remembered {
	uint64_t cid;
	uint32_t rule, call;
	int says; /* enum override_says */
	char target[WARDER_PATH_MAX];
	char source[WARDER_PATH_MAX];
};

struct supervisor {
	struct supervisor_options options;
	char run_dir[PATH_MAX - 64];
	char state_dir[PATH_MAX - 32];
	char stage_dir[PATH_MAX - 32];
	int lock_fd, epoll_fd, exe_fd;
	struct source listener, signals, event_source, outcome_source;
	int leaving; /* told to leave */
	int handed_over; /* to another supervisor: nothing is unpinned */
	uint64_t idle_since; /* ms, 0: not idle */
	uint64_t trim_at;    /* ms, 0: nothing to detach */
	uint64_t next_cid; /* without a kernel */

	struct loader *loader; /* NULL in unit tests */
	struct override *override;
	struct keeper *keeper; /* NULL: no container has a filter */
	int inflight_fd; /* memfd with what is being answered, mapped at: */
	struct override_inflight *inflight;
	struct keyring *keyring; /* NULL: kernel without keys */
	struct events *events;
	char keyring_reason[256];

	pthread_mutex_t lock;
	struct ctr *ctrs;
	struct ctr *borrowed; /* ended, but an override thread uses their descriptors */
	struct launch *launches;
	struct conn *conns;
	unsigned conn_count; /* of the control socket */
	uint64_t conn_next;
	struct sup_policy policy[WARDER_POLICIES_MAX];

	struct state_exited exited[STATE_EXITED_MAX];
	size_t exited_count;

	pid_t orphans[64]; /* builders to be reaped */
	int stray_cgroups; /* of nobody, and not gone yet */

	struct {
		char *text;
		size_t len;
		uint64_t cid;
	} history[SUPERVISOR_HISTORY_MAX];
	size_t history_first, history_count, history_bytes;
	uint64_t gaps_checked; /* ms */

	struct override_outcome *outcomes; /* ring, under lock */
	size_t outcome_first, outcome_count;
	uint64_t outcomes_dropped;
	struct source ask_source;
	struct sup_ask *asks; /* SUPERVISOR_ASKS_MAX */
	struct sup_remembered *remembered;
	size_t remembered_count;

	struct source upcall_listener;
	struct upcall *upcalls; /* under way */
	unsigned upcall_count;
	uint64_t upcall_next;
	struct sup_queue *queues;
	uint64_t queue_next;
};

/* supervisor.c */
/* Policies have changed: programs that none needs any more come off when they have been quiet. */
void supervisor_trim_later(struct supervisor *s);
int source_add(struct supervisor *s, struct source *src, int fd, uint32_t events,
	       void (*ready)(struct supervisor *s, struct source *src, uint32_t events));
void source_remove(struct supervisor *s, struct source *src); /* closes, too */
void supervisor_reap_later(struct supervisor *s, pid_t pid);

/* supervisor_conn.c */
void conn_accept(struct supervisor *s, struct source *src, uint32_t events);
void conn_accept_from_container(struct supervisor *s, struct ctr *c, struct source *src);
/* ctr: it came in on that container's socket; NULL: on the control socket. */
int conn_add(struct supervisor *s, int fd, const struct ctr *ctr);
void conn_listener_remove(struct supervisor *s, struct ctr *c);
/* Accepts again when there is room again. */
void conn_listener_tick(struct supervisor *s, struct ctr *c);
struct conn *conn_find(struct supervisor *s, uint64_t id);
void conn_close(struct supervisor *s, struct conn *c);
void conn_close_container(struct supervisor *s, uint64_t cid);
/* Sends; a peer that does not take a reply is closed: returns -errno then and c is gone. */
int conn_reply(struct supervisor *s, struct conn *c, struct json_object *msg, int fd);
int conn_reply_ok(struct supervisor *s, struct conn *c);
int conn_reply_error(struct supervisor *s, struct conn *c, int code, const char *text);
/* The other half of a wait or an attached run. */
void conn_exited(struct supervisor *s, uint64_t cid, int status);
/* The same when nothing has ended: the sentence for those who wait. */
void conn_released(struct supervisor *s, uint64_t cid, const char *text);

/* supervisor_requests.c: dispatch of one message; owns nothing of what it gets. */
void request_dispatch(struct supervisor *s, struct conn *c, struct json_object *o,
		      struct control_fds *fds);

struct json_object *reply_new(void);
/* The policies of a request in ret[WARDER_LAYERS_MAX], for sup_policy_refs_free() also when it fails;
 * 1 in *ret_image: the first descriptor has the images of them. */
int request_policies(struct json_object *o, const struct control_fds *fds,
		     struct sup_policy_ref *ret, size_t *ret_count, int *ret_image,
		     struct warder_error *e);
void reply_error(struct supervisor *s, struct conn *c, const struct warder_error *e);
/* The running container that the request names; NULL with a sentence. */
struct ctr *request_container(struct supervisor *s, struct json_object *o, struct warder_error *e);

/* supervisor_handlers.c */
int sup_handler_open(struct supervisor *s);
void sup_handler_free(struct supervisor *s);
/* override_callbacks.ask */
int sup_handler_ask(void *arg, const struct override_ask *ask);
void sup_handler_tick(struct supervisor *s);
/* What it has not answered falls back. */
void sup_handler_gone(struct supervisor *s, const struct conn *c);
void handle_handler(struct supervisor *s, struct conn *c, struct json_object *o,
		    struct control_fds *fds);
void handle_handler_reply(struct supervisor *s, struct conn *c, struct json_object *o,
			  struct control_fds *fds);
void handle_ask_list(struct supervisor *s, struct conn *c, struct json_object *o,
		     struct control_fds *fds);
void handle_ask_answer(struct supervisor *s, struct conn *c, struct json_object *o,
		       struct control_fds *fds);

/* supervisor_queue.c */
void handle_keyring_queue(struct supervisor *s, struct conn *c, struct json_object *o,
			  struct control_fds *fds);
void sup_queue_container_gone(struct supervisor *s, uint64_t cid);

/* supervisor_upcall.c */
int sup_upcall_open(struct supervisor *s, struct warder_error *reterr);
void sup_upcall_close(struct supervisor *s);
/* Does a loaded policy leave upcalls to queues? */
int sup_upcall_is_needed(struct supervisor *s);
/* Which way the host's upcalls take; the hooks must know. */
void sup_upcall_look_at_host(struct supervisor *s);
void sup_upcall_tick(struct supervisor *s, uint64_t now);
/* What it has not answered goes to the next one. */
void sup_upcall_conn_gone(struct supervisor *s, struct conn *c);
void sup_upcall_cancel(struct supervisor *s, uint64_t cid);
void handle_request_key(struct supervisor *s, struct conn *c, struct json_object *o,
			struct control_fds *fds);
void handle_keyring_answer(struct supervisor *s, struct conn *c, struct json_object *o,
			   struct control_fds *fds);

/* supervisor_keys.c */
void handle_keyring_show(struct supervisor *s, struct conn *c, struct json_object *o,
			 struct control_fds *fds);
void handle_keyring_add(struct supervisor *s, struct conn *c, struct json_object *o,
			struct control_fds *fds);
void handle_keyring_rotate(struct supervisor *s, struct conn *c, struct json_object *o,
			   struct control_fds *fds);
void handle_keyring_link(struct supervisor *s, struct conn *c, struct json_object *o,
			 struct control_fds *fds);
void handle_keyring_unlink(struct supervisor *s, struct conn *c, struct json_object *o,
			   struct control_fds *fds);
void handle_keyring_revoke(struct supervisor *s, struct conn *c, struct json_object *o,
			   struct control_fds *fds);

/* supervisor_start.c */
/* Takes the specification and the images of `policy[count]`, see sup_policy_choose(). */
int start_container(struct supervisor *s, struct conn *c, struct container_spec *spec,
		    struct sup_policy_ref *policy, size_t count, int unasked, const int stdio[3],
		    int detach, struct warder_error *reterr);
int start_enter(struct supervisor *s, struct conn *c, struct ctr *ctr,
		struct container_spec *spec, const int stdio[3], struct warder_error *reterr);
void start_tick(struct supervisor *s, uint64_t now);
void start_cancel_all(struct supervisor *s);
/* Commands entered into a container that ends. */
void start_end_entered(struct supervisor *s, struct ctr *c);
/* A builder that surveys what adopt_surveyed() then adopts. Takes `adoption`. */
int start_survey(struct supervisor *s, struct conn *conn, struct ctr *c, struct adoption *adoption,
		 int filters, struct warder_error *reterr);
int launch_record_names(struct supervisor *s, struct launch *l, pid_t pid,
			struct warder_error *reterr);
int launch_take_mounts(struct launch *l, struct warder_error *reterr);
void launch_free(struct supervisor *s, struct launch *l);

/* supervisor_adopt.c */
void handle_adopt(struct supervisor *s, struct conn *c, struct json_object *o,
		  struct control_fds *fds);
void handle_release(struct supervisor *s, struct conn *c, struct json_object *o,
		    struct control_fds *fds);
/* The builder has told what the tree sees: names, tags, the answer. Frees the launch on success. */
int adopt_surveyed(struct supervisor *s, struct launch *l, struct warder_error *reterr);
void adoption_free(struct adoption *a);
void adopt_filtered(struct adoption *a, const struct container_msg *m);
/* Takes tags away; 1: nothing has one any more, and nothing can get one. */
int adopt_let_go(struct supervisor *s, struct ctr *c, uint64_t now);
/* SIGKILL to everything that has the container's tag, again and again until nothing is left. */
int adopt_kill_all(struct supervisor *s, struct ctr *c);
/* Has its last task ended? Looks now and then. */
void adopt_tick(struct supervisor *s, struct ctr *c, uint64_t now);
/* What the BPF side keeps attached: while there are adopted containers. */
void adopt_hold(struct supervisor *s);
/* Its first process is gone. */
void adopt_init_exited(struct supervisor *s, struct ctr *c, int status);
/* The cgroup that the container's first process is in, or -errno. */
int adopt_open_cgroup(const struct ctr *c);

/* supervisor_containers.c */
struct ctr *ctr_new(struct supervisor *s, const char *name, struct warder_error *reterr);
struct ctr *ctr_find_name(struct supervisor *s, const char *name);
struct ctr *ctr_find_cid(struct supervisor *s, uint64_t cid);
void ctr_watch_init(struct supervisor *s, struct ctr *c, int pidfd);
int ctr_publish(struct supervisor *s, struct ctr *c, enum warder_ctr_state state);
int ctr_save(struct supervisor *s, struct ctr *c, struct warder_error *reterr);
void ctr_end(struct supervisor *s, struct ctr *c, int status);
void ctr_tick(struct supervisor *s, uint64_t now);
void ctr_adopt_all(struct supervisor *s);
/* supervisor_notify.c: the listeners of seccomp filters, with a copy at the keeper. */
int sup_notify_open(struct supervisor *s, struct warder_error *reterr);
/* Takes the listener; what is asked is answered from now on. */
int sup_notify_add(struct supervisor *s, struct ctr *c, int listener, struct warder_error *reterr);
/* Those that a supervisor before us has left at the keeper. */
void sup_notify_adopt(struct supervisor *s);
void sup_notify_close(struct supervisor *s);
void ctr_rings_mend(struct supervisor *s, struct ctr *c);
/* supervisor_signers.c: the rings that an image's signed_exec needs; those of neither image go. */
int ctr_set_signers(struct supervisor *s, const struct ctr *c, const struct warder_image *img,
		    struct warder_error *reterr);
void ctr_keep_signers(struct supervisor *s, const struct ctr *c, const struct warder_image *now,
		      const struct warder_image *before);
/* After a restart. */
void ctr_adopt_signers(struct supervisor *s, const struct ctr *c);

/* supervisor_shared.c. The rings of keys that the image names, for a container with rings of its own:
 * 0, or the first error. */
int ctr_set_shared(struct supervisor *s, const struct ctr *c, const struct warder_image *img,
		   struct warder_error *reterr);
/* A running one has what its policy says now, and nothing else; errors are logged. */
void ctr_follow_shared(struct supervisor *s, const struct ctr *c);
/* Ends those that no container has any more. */
void sup_shared_collect(struct supervisor *s);
/* The ring's name, where a request names "shared:NAME"; NULL: it names a container. */
const char *request_shared(struct json_object *o);
struct shared_key {
	const char *type, *description, *payload;
	size_t len;
	const struct keyring_key_options *options;
	int rotate;
};
int sup_shared_put(struct supervisor *s, const char *name, const struct shared_key *key, int32_t *ret,
		   struct warder_error *e);
int sup_shared_end(struct supervisor *s, const char *name, const char *type, const char *description,
		   int revoke, struct warder_error *e);
int sup_shared_show(struct supervisor *s, const char *name, struct json_object *r,
		    struct keyring_key **ret, size_t *ret_count, struct warder_error *e);
void ctr_rings_look(struct supervisor *s, struct ctr *c);
void ctr_free_all(struct supervisor *s);
/* supervisor_keys.c: "keyring", which lookups cannot reach C, shared rings and who answers for keys. */
void ctr_keyring_to_json(struct supervisor *s, const struct ctr *c, struct json_object *o);
struct json_object *ctr_to_json(struct supervisor *s, struct ctr *c, int all);
int ctr_override_acquire(void *arg, __u64 cid, __u32 slot, struct override_target *ret);
void ctr_override_release(void *arg, struct override_target *target);
int ctr_wait_status(int pidfd, int *ret_status);
/* As BPF has recorded it of the first process; 137 if it has not. */
void ctr_exit_status(struct supervisor *s, const struct ctr *c, int *ret_status);

/* supervisor_socket.c */
void ctr_listen(struct supervisor *s, struct ctr *c, int fd);
void ctr_attach_self(struct supervisor *s, struct ctr *c, int fd);
/* container.sock of an adopted container, which is watched already; warns if it cannot be. */
void ctr_socket_remake(struct supervisor *s, struct ctr *c);
void ctr_socket_cancel(struct supervisor *s, struct ctr *c);
void ctr_socket_tick(struct supervisor *s, struct ctr *c, uint64_t now);

/* supervisor_match.c */
/* The policies of a new container: those that were asked for or, `unasked`, the loaded ones that match
 * it; if none does, those of policy[]. Takes the images of policy[count], also when it fails. */
int sup_policy_choose(struct supervisor *s, struct ctr *c, char *const *annotations, int unasked,
		      struct sup_policy_ref *policy, size_t count, struct warder_error *reterr);
const char *sup_policy_by_name(enum sup_policy_by by); /* "asked", "match", "default" */
enum sup_policy_by sup_policy_by_from_name(const char *name);
/* Somebody loaded it, or took that back; the next supervisor knows, too. */
void sup_policy_keep(struct supervisor *s, uint32_t slot, int kept);
void sup_policy_keep_read(struct supervisor *s);
/* Could a container that asks for nothing get one of the loaded policies? */
int sup_policy_any_match(const struct supervisor *s);
void handle_policy_match(struct supervisor *s, struct conn *c, struct json_object *o,
			 struct control_fds *fds);

/* supervisor_policy_requests.c */
void handle_policy_load(struct supervisor *s, struct conn *c, struct json_object *o,
			struct control_fds *fds);
void handle_policy_unload(struct supervisor *s, struct conn *c, struct json_object *o,
			  struct control_fds *fds);
void handle_policy_list(struct supervisor *s, struct conn *c, struct json_object *o,
			struct control_fds *fds);
void handle_policy_show(struct supervisor *s, struct conn *c, struct json_object *o,
			struct control_fds *fds);

/* supervisor_policy.c */
/* Reads the image that begins at *at and moves *at behind it. */
int sup_policy_read(int fd, int64_t *at, struct sup_image **ret, struct warder_error *reterr);
/* Does the file end there? It must, with its last image. */
int sup_policy_read_end(int fd, int64_t at, struct warder_error *reterr);
/* Takes the images of policy[count], also when it fails. *ret_slot, theirs together, and each of
 * them is held once more. */
int sup_policy_hold(struct supervisor *s, struct sup_policy_ref *policy, size_t count,
		    uint32_t *ret_slot, struct warder_error *reterr);
void sup_policy_hold_again(struct supervisor *s, uint32_t slot);
void sup_policy_release(struct supervisor *s, uint32_t slot);
void sup_policy_refs_free(struct supervisor *s, struct sup_policy_ref *policy, size_t count);
/* Is the policy in slot `member` one of the stack's? Its place from 1; 0: no, or no stack. */
int sup_stack_has(const struct sup_policy *p, uint32_t member);
/* What of before a restart no container has any more, and nobody has loaded. */
void sup_policy_sweep(struct supervisor *s);
/* "web", of a stack "web+strict". */
const char *sup_policy_name(struct supervisor *s, uint32_t slot);
/* "enforce", of a stack with different ones "enforce+audit", into buf; returns buf. */
const char *sup_policy_mode(struct supervisor *s, uint32_t slot, char *buf, size_t size);
/* How often a rule of the policy has decided, alone and in stacks; `own` is its own image as the
 * kernel has it. */
uint64_t sup_policy_hits(struct supervisor *s, uint32_t slot, const struct warder_image *own,
			 struct warder_image *const stacks[WARDER_POLICIES_MAX], uint32_t rule);
int sup_policy_load(struct supervisor *s, struct sup_image *image, uint32_t *ret_slot,
		    struct warder_error *reterr);
int sup_policy_find(struct supervisor *s, const char *name);
void sup_policy_adopt(struct supervisor *s);
void sup_policy_free_all(struct supervisor *s);
void sup_image_unref(struct supervisor *s, struct sup_image *image);
const struct warder_image *sup_policy_image(struct supervisor *s, uint32_t slot);
/* That of its policy; NULL: it has none (any more), or there is no container. */
const struct warder_image *sup_ctr_image(struct supervisor *s, const struct ctr *c);

/* supervisor_events.c */
void sup_event_record(const struct warder_event_header *h, size_t size, void *arg);
void sup_event_outcome(void *arg, const struct override_outcome *outcome);
void sup_event_outcomes_ready(struct supervisor *s, struct source *src, uint32_t events);
void sup_event_ring_ready(struct supervisor *s, struct source *src, uint32_t events);
/* Of a request for a key that the policy refuses, which was let pass until C was linked again. */
void sup_event_upcall(struct supervisor *s, const struct warder_upcall_record *r,
		      const struct upcall_ask *ask);
void sup_event_lifecycle(struct supervisor *s, struct ctr *c, const char *what, int status);
void sup_event_tick(struct supervisor *s, uint64_t now);
void sup_event_gaps(struct supervisor *s, struct ctr *c);
struct json_object *sup_event_history(struct supervisor *s, uint64_t cid);
void sup_event_free(struct supervisor *s);

#define source_owner(src, type, member) \
	((type *)(void *)((char *)(src)-__builtin_offsetof(type, member)))

#endif
