// SPDX-License-Identifier: LGPL-2.1-or-later
/* The control protocol: framing, limits, descriptors, strictly typed members. */
#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"

void control_fds_done(struct control_fds *f)
{
	for (size_t i = 0; i < f->count; i++) {
		if (f->fd[i] >= 0)
			close(f->fd[i]);
	}
	f->count = 0;
}

static int control_address(const char *path, struct sockaddr_un *ret, struct warder_error *reterr)
{
	size_t len = strlen(path);

	if (len >= sizeof(ret->sun_path))
		return error_set(reterr, -ENAMETOOLONG, "%s: too long for a socket address", path);
	memset(ret, 0, sizeof(*ret));
	ret->sun_family = AF_UNIX;
	memcpy(ret->sun_path, path, len);
	return 0;
}

int control_listen(const char *path, mode_t mode, struct warder_error *reterr)
{
	cleanup_close int fd = -1;
	struct sockaddr_un addr;
	int err;

	err = control_address(path, &addr, reterr);
	if (err)
		return err;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_errno(reterr, -errno, "cannot make a socket");
	if (unlink(path) && errno != ENOENT)
		return error_errno(reterr, -errno, "cannot remove the old %s", path);
	/* bind() gives the name the socket's own mode: no chmod() of what lies at the path by
	 * then, and no moment with another mode. */
	if (fchmod(fd, mode) || bind(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return error_errno(reterr, -errno, "cannot bind %s", path);
	if (listen(fd, 64))
		return error_errno(reterr, -errno, "cannot listen on %s", path);
	return take_fd(&fd);
}

int control_connect(const char *path, struct warder_error *reterr)
{
	cleanup_close int fd = -1;
	struct sockaddr_un addr;
	int err;

	err = control_address(path, &addr, reterr);
	if (err)
		return err;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_errno(reterr, -errno, "cannot make a socket");
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return error_errno(reterr, -errno, "cannot reach the supervisor at %s", path);
	return take_fd(&fd);
}

int control_peer(int sock, uid_t *ret_uid, pid_t *ret_pid)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return -errno;
	*ret_uid = cred.uid;
	*ret_pid = cred.pid;
	return 0;
}

int control_check_sealed(int fd, const char *what, struct warder_error *reterr)
{
	const int wanted = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || (seals & wanted) != wanted)
		return error_set(reterr, -EINVAL, "%s must come in a sealed memfd", what);
	return 0;
}

/* ------------------------------------------------------------------- sending */

static int control_write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

int control_send(int sock, struct json_object *msg, const int *fds, size_t count, int flags)
{
	static const char large[] = "{\"large\":true}";
	cleanup_close int memfd = -1;
	int with[CONTROL_FDS_MAX];
	const char *text;
	size_t len;
	int err;

	text = json_object_to_json_string_length(msg, JSON_C_TO_STRING_PLAIN, &len);
	if (!text)
		return -ENOMEM;
	if (len <= CONTROL_MESSAGE_MAX)
		return fdmsg_send(sock, text, len, fds, count, flags);
	if (count >= CONTROL_FDS_MAX || len > CONTROL_REPLY_MAX)
		return -EMSGSIZE;
	memfd = memfd_create("warder-reply", MFD_CLOEXEC);
	if (memfd < 0)
		return -errno;
	err = control_write_all(memfd, text, len);
	if (err)
		return err;
	for (size_t i = 0; i < count; i++)
		with[i] = fds[i];
	with[count] = memfd;
	return fdmsg_send(sock, large, sizeof(large) - 1, with, count + 1, flags);
}

/* ----------------------------------------------------------------- receiving */

int control_parse(const char *text, size_t len, struct json_object **ret,
		  struct warder_error *reterr)
{
	cleanup_json struct json_object *o = NULL;
	struct json_tokener *tok;
	enum json_tokener_error jerr;
	size_t end;

	*ret = NULL;
	if (len > CONTROL_REPLY_MAX)
		return error_set(reterr, -EBADMSG, "message too long");
	tok = json_tokener_new_ex(CONTROL_DEPTH_MAX + 1);
	if (!tok)
		return error_set(reterr, -ENOMEM, "out of memory");
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	o = json_tokener_parse_ex(tok, text, (int)len);
	jerr = json_tokener_get_error(tok);
	end = json_tokener_get_parse_end(tok);
	json_tokener_free(tok);
	if (jerr == json_tokener_continue)
		return error_set(reterr, -EBADMSG, "message is not complete JSON");
	if (jerr != json_tokener_success)
		return error_set(reterr, -EBADMSG, "message is not JSON: %s at byte %zu",
				 json_tokener_error_desc(jerr), end);
	if (end != len)
		return error_set(reterr, -EBADMSG, "message has something after its object");
	if (!json_object_is_type(o, json_type_object))
		return error_set(reterr, -EBADMSG, "message is not a JSON object");
	*ret = take_ptr(o);
	return 0;
}

static int control_read_large(int memfd, struct json_object **ret, struct warder_error *reterr)
{
	cleanup_free char *text = NULL;
	struct stat st;
	size_t len = 0;

	if (fstat(memfd, &st))
		return error_errno(reterr, -errno, "cannot read the reply");
	if (st.st_size <= 0 || (uint64_t)st.st_size > CONTROL_REPLY_MAX)
		return error_set(reterr, -EMSGSIZE, "reply of %lld bytes is too long",
				 (long long)st.st_size);
	text = malloc((size_t)st.st_size);
	if (!text)
		return error_set(reterr, -ENOMEM, "out of memory");
	while (len < (size_t)st.st_size) {
		ssize_t n = pread(memfd, text + len, (size_t)st.st_size - len, (off_t)len);

		if (n <= 0)
			return error_set(reterr, -EBADMSG, "reply is shorter than it says");
		len += (size_t)n;
	}
	return control_parse(text, len, ret, reterr);
}

int control_recv(int sock, struct json_object **ret, struct control_fds *ret_fds, int large,
		 int flags, struct warder_error *reterr)
{
	union fdmsg_space space;
	cleanup_free char *text = malloc(CONTROL_MESSAGE_MAX + 1);
	struct iovec iov = { .iov_base = text, .iov_len = CONTROL_MESSAGE_MAX };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = space.b,
			      .msg_controllen = sizeof(space.b) };
	struct control_fds fds = { .count = 0 };
	ssize_t n;
	int err;

	*ret = NULL;
	ret_fds->count = 0;
	if (!text)
		return error_set(reterr, -ENOMEM, "out of memory");
	do {
		n = recvmsg(sock, &msg, flags | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? -EAGAIN :
					 error_errno(reterr, -errno, "cannot receive a message");
	err = fdmsg_take(&msg, fds.fd, CONTROL_FDS_MAX, &fds.count);
	if (!err && (msg.msg_flags & MSG_TRUNC))
		err = -EMSGSIZE;
	if (err) {
		control_fds_done(&fds);
		return error_set(reterr, err, "message beyond %d bytes or %d descriptors",
				 CONTROL_MESSAGE_MAX, CONTROL_FDS_MAX);
	}
	/* An empty message cannot be told from the end; neither is a request. */
	if (n == 0) {
		control_fds_done(&fds);
		return error_set(reterr, -ENODATA, "the connection was closed");
	}
	text[n] = '\0';
	err = control_parse(text, (size_t)n, ret, reterr);
	if (!err && large && fds.count && json_object_object_length(*ret) == 1 &&
	    json_object_object_get_ex(*ret, "large", NULL)) {
		json_object_put(*ret);
		*ret = NULL;
		fds.count--;
		err = control_read_large(fds.fd[fds.count], ret, reterr);
		close(fds.fd[fds.count]);
	}
	if (err) {
		control_fds_done(&fds);
		return err;
	}
	*ret_fds = fds;
	return 0;
}

/* ------------------------------------------------------------------- members */

static int control_get(struct json_object *o, const char *key, enum json_type type,
		       struct json_object **ret, struct warder_error *reterr)
{
	if (!json_object_object_get_ex(o, key, ret) || !*ret)
		return 0;
	if (!json_object_is_type(*ret, type))
		return error_set(reterr, -EINVAL, "\"%s\" must be of type %s", key,
				 json_type_to_name(type));
	return 1;
}

int control_get_string(struct json_object *o, const char *key, const char **ret,
		       struct warder_error *reterr)
{
	struct json_object *v = NULL;
	int found = control_get(o, key, json_type_string, &v, reterr);

	if (found <= 0)
		return found;
	if (strlen(json_object_get_string(v)) != (size_t)json_object_get_string_len(v))
		return error_set(reterr, -EINVAL, "\"%s\" holds a NUL byte", key);
	*ret = json_object_get_string(v);
	return 1;
}

int control_get_bool(struct json_object *o, const char *key, int *ret, struct warder_error *reterr)
{
	struct json_object *v = NULL;
	int found = control_get(o, key, json_type_boolean, &v, reterr);

	if (found > 0)
		*ret = json_object_get_boolean(v);
	return found;
}

int control_get_i64(struct json_object *o, const char *key, int64_t min, int64_t max, int64_t *ret,
		    struct warder_error *reterr)
{
	struct json_object *v = NULL;
	int found = control_get(o, key, json_type_int, &v, reterr);
	int64_t n;

	if (found <= 0)
		return found;
	n = json_object_get_int64(v);
	if (n < min || n > max)
		return error_set(reterr, -EINVAL, "\"%s\" must be from %lld to %lld", key,
				 (long long)min, (long long)max);
	*ret = n;
	return 1;
}

int control_get_u64(struct json_object *o, const char *key, uint64_t max, uint64_t *ret,
		    struct warder_error *reterr)
{
	struct json_object *v = NULL;
	int found = control_get(o, key, json_type_int, &v, reterr);
	uint64_t n;

	if (found <= 0)
		return found;
	n = json_object_get_uint64(v);
	if ((n == 0 && json_object_get_int64(v) < 0) || n > max)
		return error_set(reterr, -EINVAL, "\"%s\" must be from 0 to %llu", key,
				 (unsigned long long)max);
	*ret = n;
	return 1;
}

void control_strv_free(char **v)
{
	for (size_t i = 0; v && v[i]; i++)
		free(v[i]);
	free(v);
}

int control_get_strv(struct json_object *o, const char *key, size_t max, char ***ret,
		     struct warder_error *reterr)
{
	struct json_object *a = NULL;
	int found = control_get(o, key, json_type_array, &a, reterr);
	size_t n;
	char **v;

	*ret = NULL;
	if (found <= 0)
		return found;
	n = json_object_array_length(a);
	if (n > max)
		return error_set(reterr, -EINVAL, "\"%s\" has more than %zu entries", key, max);
	v = calloc(n + 1, sizeof(*v));
	if (!v)
		return error_set(reterr, -ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		struct json_object *e = json_object_array_get_idx(a, i);
		const char *s = json_object_is_type(e, json_type_string) ?
					json_object_get_string(e) :
					NULL;

		if (!s || strlen(s) != (size_t)json_object_get_string_len(e)) {
			control_strv_free(v);
			return error_set(reterr, -EINVAL,
					 "\"%s\" must hold strings without NUL bytes", key);
		}
		v[i] = strdup(s);
		if (!v[i]) {
			control_strv_free(v);
			return error_set(reterr, -ENOMEM, "out of memory");
		}
	}
	*ret = v;
	return 1;
}

struct json_object *control_strv_to_json(char *const *v)
{
	struct json_object *a = json_object_new_array();

	for (size_t i = 0; v && v[i]; i++)
		json_object_array_add(a, json_object_new_string(v[i]));
	return a;
}

int control_check_keys(struct json_object *o, const char *const *keys, struct warder_error *reterr)
{
	json_object_object_foreach(o, key, val) {
		size_t i;

		(void)val;
		for (i = 0; keys[i]; i++) {
			if (!strcmp(keys[i], key))
				break;
		}
		if (!keys[i])
			return error_set(reterr, -EINVAL, "unknown member \"%.64s\"", key);
	}
	return 0;
}

void control_put_string(struct json_object *o, const char *key, const char *value)
{
	if (value)
		json_object_object_add(o, key, json_object_new_string(value));
}

void control_put_int(struct json_object *o, const char *key, int64_t value)
{
	json_object_object_add(o, key, json_object_new_int64(value));
}

void control_put_u64(struct json_object *o, const char *key, uint64_t value)
{
	json_object_object_add(o, key, json_object_new_uint64(value));
}

void control_put_bool(struct json_object *o, const char *key, int value)
{
	json_object_object_add(o, key, json_object_new_boolean(value));
}
