/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control protocol: AF_UNIX SOCK_SEQPACKET, one JSON object per message, descriptors by
 * SCM_RIGHTS. Both ends use this module; it holds no state, any thread may call it.
 */
#ifndef WARDER_CONTROL_H
#define WARDER_CONTROL_H

#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fdmsg.h"
#include "log.h"

#define WARDER_RUN_DIR "/run/warder"
#define CONTROL_SOCKET "control.sock"

/* A request is bounded before it is read: a longer one is refused, never reassembled. */
#define CONTROL_MESSAGE_MAX 65536
#define CONTROL_DEPTH_MAX 8
#define CONTROL_FDS_MAX FDMSG_MAX
/* A reply beyond CONTROL_MESSAGE_MAX travels in a memfd; the client reads at most this much. */
#define CONTROL_REPLY_MAX (64u << 20)

/* Descriptors of one message. Owned: control_fds_done() closes what was not taken. */
struct control_fds {
	int fd[CONTROL_FDS_MAX];
	size_t count;
};
void control_fds_done(struct control_fds *f);

/* A listening socket at `path` (an old one is removed) with `mode` less the umask, or -errno. */
int control_listen(const char *path, mode_t mode, struct warder_error *reterr);
/* A connected socket. -ENOENT, -ECONNREFUSED: nobody listens. */
int control_connect(const char *path, struct warder_error *reterr);
/* Effective uid and pid of the peer when it connected. */
int control_peer(int sock, uid_t *ret_uid, pid_t *ret_pid);

/* Is `fd`, which a peer sent, a memfd that nobody can change any more? 0 or -EINVAL. */
int control_check_sealed(int fd, const char *what, struct warder_error *reterr);

/* Sends one message. `flags` as for sendmsg(2), MSG_NOSIGNAL is added. What is too long is put
 * in a memfd, which goes as the last descriptor. -EAGAIN: nothing was sent. */
int control_send(int sock, struct json_object *msg, const int *fds, size_t count, int flags);

/* Receives one message: an object of at most CONTROL_DEPTH_MAX levels and nothing after it.
 * 0; -EAGAIN; -ENODATA: the peer has closed; -EMSGSIZE: cut off, too long or too many
 * descriptors; -EBADMSG: not such an object (the reason in reterr). With `large`, a memfd
 * reply is followed; servers pass 0. */
int control_recv(int sock, struct json_object **ret, struct control_fds *ret_fds, int large,
		 int flags, struct warder_error *reterr);

/* The text of a message, checked like a received one. Exposed for tests and for state files. */
int control_parse(const char *text, size_t len, struct json_object **ret,
		  struct warder_error *reterr);

/* Members, strictly typed: 1 found, 0 absent (the output keeps its value), -EINVAL wrong type
 * or out of range, with a sentence. Strings with an embedded NUL are refused. */
int control_get_string(struct json_object *o, const char *key, const char **ret,
		       struct warder_error *reterr);
int control_get_bool(struct json_object *o, const char *key, int *ret, struct warder_error *reterr);
int control_get_u64(struct json_object *o, const char *key, uint64_t max, uint64_t *ret,
		    struct warder_error *reterr);
int control_get_i64(struct json_object *o, const char *key, int64_t min, int64_t max,
		    int64_t *ret, struct warder_error *reterr);
/* An array of at most `max` strings, as a NULL-terminated vector in one allocation per string;
 * control_strv_free() it. Absent: *ret is NULL. */
int control_get_strv(struct json_object *o, const char *key, size_t max, char ***ret,
		     struct warder_error *reterr);
void control_strv_free(char **v);
struct json_object *control_strv_to_json(char *const *v);

/* Only keys from the NULL-terminated list? -EINVAL names the first other one. */
int control_check_keys(struct json_object *o, const char *const *keys,
		       struct warder_error *reterr);

/* Short forms for building messages. NULL strings are left out. */
void control_put_string(struct json_object *o, const char *key, const char *value);
void control_put_int(struct json_object *o, const char *key, int64_t value);
void control_put_u64(struct json_object *o, const char *key, uint64_t value);
void control_put_bool(struct json_object *o, const char *key, int value);

static inline void cleanup_json_p(struct json_object **o)
{
	json_object_put(*o);
}
#define cleanup_json __attribute__((__cleanup__(cleanup_json_p)))

#endif
