// SPDX-License-Identifier: LGPL-2.1-or-later
/* libwarder: the other end of the control socket. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "client.h"
#include "installed.h"
#include "warder_abi.h"

/* Loading takes some seconds on a slow machine; beyond this something hangs. */
#define START_SECONDS 120
#define START_TRIES (START_SECONDS * 5)
#define HANDOVER_TRIES 25

struct warder {
	int sock;
	int flags;
	int answered; /* some request on this connection was */
};

int client_out(int err, const struct warder_error *e, char *error, size_t size)
{
	if (err && error && size)
		snprintf(error, size, "%s", e->text);
	return err;
}

int client_is_pinned(void)
{
	return access(WARDER_PIN_DIR, F_OK) == 0;
}

/* --------------------------------------------------------------------- connecting */

/* Beside this program first, so that a build tree and an installation do not mix. */
static int start_find(char *path, size_t size)
{
	const char *dirs = getenv("PATH"), *p;

	if (!installed_beside("warderd", path, size))
		return 0;
	for (p = dirs ? dirs : "/usr/local/sbin:/usr/sbin"; *p; p += strspn(p, ":")) {
		size_t len = strcspn(p, ":");

		if (p[0] == '/' &&
		    snprintf(path, size, "%.*s/warderd", (int)len, p) < (int)size &&
		    !access(path, X_OK))
			return 0;
		p += len;
	}
	return -ENOENT;
}

/* In the child: a daemon that outlives us and holds none of our descriptors but the pipe. */
static void start_exec(const char *path, int ready)
{
	char number[16];
	int null = open("/dev/null", O_RDWR);
	pid_t pid = fork();

	if (pid)
		_exit(pid < 0 ? 1 : 0);
	setsid();
	if (null < 0 || chdir("/"))
		_exit(1);
	ready = fcntl(ready, F_DUPFD, 3);
	if (ready < 0)
		_exit(1);
	for (int i = 0; i < 3; i++)
		dup2(null, i);
	if (ready != 3) {
		dup2(ready, 3);
		ready = 3;
	}
	close_range(4, ~0U, 0);
	snprintf(number, sizeof(number), "%d", ready);
	execl(path, "warderd", "--on-demand", "--ready-fd", number, (char *)NULL);
	_exit(1);
}

/* 0: it runs, or another one does. */
static int start_supervisor(struct warder_error *reterr)
{
	cleanup_close int in = -1, out = -1;
	char path[4096], text[WARDER_ERROR_SIZE];
	size_t used = 0;
	int pair[2];
	pid_t pid;

	if (start_find(path, sizeof(path)))
		return error_set(reterr, -ENOENT,
				 "no supervisor runs, and the program warderd is neither beside "
				 "warder nor in PATH");
	if (pipe2(pair, O_CLOEXEC))
		return error_errno(reterr, -errno, "cannot start a supervisor");
	in = pair[0];
	out = pair[1];
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return error_errno(reterr, -errno, "cannot start a supervisor");
	if (pid == 0)
		start_exec(path, out);
	close(take_fd(&out));
	waitpid(pid, NULL, 0);
	while (used < sizeof(text) - 1) {
		struct pollfd p = { .fd = in, .events = POLLIN };
		ssize_t n;

		n = poll(&p, 1, START_SECONDS * 1000);
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			return error_set(reterr, -ETIMEDOUT,
					 "the supervisor %s did not start within %d seconds", path,
					 START_SECONDS);
		n = read(in, text + used, sizeof(text) - 1 - used);
		if (n <= 0)
			break;
		used += (size_t)n;
	}
	text[used] = '\0';
	if (!strcmp(text, "ok") || !strcmp(text, "busy"))
		return 0;
	return error_set(reterr, -EOPNOTSUPP, "%s",
			 used ? text : "the supervisor died while it started");
}

/* A connected socket, or a negative errno. `patience`: tries while nobody listens, when it is known
 * that one supervisor is taking over from another. */
static int client_open(int flags, int patience, struct warder_error *reterr)
{
	const struct timespec pause_time = { .tv_nsec = 200000000 };
	int err;

	/* One that is about to leave, or a rival that starts, makes a second try needed: to unload
	 * takes as long as to load. */
	for (int i = 0; i < START_TRIES; i++) {
		int sock = control_connect(WARDER_RUN_DIR "/" CONTROL_SOCKET, reterr);

		if (sock >= 0)
			return sock;
		err = sock;
		if (err == -EACCES || geteuid() != 0)
			return error_set(reterr, -EACCES, "warder must be run as root");
		if (err != -ENOENT && err != -ECONNREFUSED)
			return err;
		if (flags & WARDER_CONNECT_START) {
			err = start_supervisor(reterr);
			if (err)
				return err;
		} else if (i >= patience) {
			return error_set(reterr, -ENOENT,
					 "no supervisor runs: start one with `warderd`, or a "
					 "container with `warder run`");
		}
		if (i)
			nanosleep(&pause_time, NULL);
	}
	return error_set(reterr, -ETIMEDOUT,
			 "a supervisor is there but does not answer: see the process id in "
			 WARDER_RUN_DIR "/lock");
}

struct warder *client_from_socket(int sock, int flags)
{
	struct warder *w = calloc(1, sizeof(*w));

	if (!w) {
		close(sock);
		return NULL;
	}
	w->sock = sock;
	w->flags = flags;
	return w;
}

int client_connect(struct warder **ret, int flags, struct warder_error *reterr)
{
	int sock = client_open(flags, 0, reterr);

	if (sock < 0)
		return sock;
	*ret = client_from_socket(sock, flags);
	return *ret ? 0 : error_set(reterr, -ENOMEM, "out of memory");
}

/* To the next supervisor, by the same descriptor. */
static int client_reconnect(struct warder *w, struct warder_error *reterr)
{
	int sock = client_open(w->flags, HANDOVER_TRIES, reterr), err = 0;

	if (sock < 0)
		return sock;
	if (dup3(sock, w->sock, O_CLOEXEC) < 0)
		err = error_errno(reterr, -errno, "cannot connect again");
	close(sock);
	return err;
}

int warder_connect(struct warder **ret, int flags, char *error, size_t size)
{
	struct warder_error e = { "" };

	return client_out(client_connect(ret, flags, &e), &e, error, size);
}

void warder_close(struct warder *w)
{
	if (!w)
		return;
	close(w->sock);
	free(w);
}

int warder_fd(const struct warder *w)
{
	return w->sock;
}

/* ----------------------------------------------------------------------- requests */

struct json_object *client_request(const char *name)
{
	struct json_object *o = json_object_new_object();

	control_put_string(o, "request", name);
	return o;
}

int client_memfd(const void *data, size_t len)
{
	cleanup_close int fd = memfd_create("warder", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	const char *p = data;

	if (fd < 0)
		return -errno;
	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL))
		return -errno;
	return take_fd(&fd);
}

/* Has the other end gone? */
static int client_failed(int err, struct warder_error *reterr)
{
	return err == -ENODATA || err == -ECONNRESET || err == -EPIPE ?
		       error_set(reterr, -ENODATA, "the supervisor has closed the connection") :
		       err;
}

static int client_recv(struct warder *w, struct json_object **ret, struct control_fds *fds,
		       struct warder_error *reterr)
{
	return client_failed(control_recv(w->sock, ret, fds, 1, 0, reterr), reterr);
}

/*
 * Sends, and waits for the answer. A supervisor that leaves, or is relieved by another, drops
 * connections that it has not looked at: then, and only then, the kernel says EPIPE or ECONNRESET
 * (net/unix/af_unix.c: of what was sent something was not read), and the next one can be asked.
 */
static int client_exchange(struct warder *w, struct json_object *request, const int *fds,
			   size_t count, struct json_object **ret, struct control_fds *ret_fds,
			   struct warder_error *reterr)
{
	int err = 0;

	for (int i = 0; i < HANDOVER_TRIES; i++) {
		err = control_send(w->sock, request, fds, count, 0);
		if (err && err != -EPIPE && err != -ECONNRESET)
			return error_errno(reterr, err, "cannot send to the supervisor");
		if (!err)
			err = control_recv(w->sock, ret, ret_fds, 1, 0, reterr);
		if (!err)
			w->answered = 1;
		if ((err != -EPIPE && err != -ECONNRESET) || w->answered)
			break;
		err = client_reconnect(w, reterr);
		if (err)
			return err;
		err = -ECONNRESET;
	}
	return client_failed(err, reterr);
}

int client_call(struct warder *w, struct json_object *request, const int *fds, size_t count,
		struct json_object **ret, struct control_fds *ret_fds, int *ret_code,
		struct warder_error *reterr)
{
	cleanup_json struct json_object *mine = request, *reply = NULL;
	struct control_fds got = { .count = 0 };
	const char *text = NULL;
	int64_t code = 125;
	int err, ok = 0;
	size_t len;

	if (ret_code)
		*ret_code = 125;
	if (json_object_to_json_string_length(mine, JSON_C_TO_STRING_PLAIN, &len) &&
	    len > CONTROL_MESSAGE_MAX)
		return error_set(reterr, -E2BIG,
				 "the request is longer than %d bytes: give fewer or shorter "
				 "arguments and environment variables",
				 CONTROL_MESSAGE_MAX);
	err = client_exchange(w, mine, fds, count, &reply, &got, reterr);
	if (err)
		return err;
	if (control_get_bool(reply, "ok", &ok, reterr) != 1 || !ok) {
		control_fds_done(&got);
		control_get_string(reply, "error", &text, NULL);
		control_get_i64(reply, "code", 1, 255, &code, NULL);
		if (ret_code)
			*ret_code = (int)code;
		return error_set(reterr, -EIO, "%s", text ? text : "the supervisor refused");
	}
	if (ret_fds)
		*ret_fds = got;
	else
		control_fds_done(&got);
	if (ret)
		*ret = take_ptr(reply);
	return 0;
}

static void put_strv(struct json_object *o, const char *key, const char *const *v)
{
	struct json_object *a;

	if (!v)
		return;
	a = json_object_new_array();
	for (size_t i = 0; v[i]; i++)
		json_object_array_add(a, json_object_new_string(v[i]));
	json_object_object_add(o, key, a);
}

static struct json_object *run_spec(const struct warder_run_options *r)
{
	struct json_object *o = json_object_new_object();

	control_put_string(o, "name", r->name);
	control_put_string(o, "rootfs", r->rootfs);
	control_put_bool(o, "userns", r->userns != 0);
	control_put_string(o, "net", r->net_host ? "host" : "none");
	control_put_string(o, "user", r->user);
	put_strv(o, "cap_add", r->cap_add);
	put_strv(o, "cap_drop", r->cap_drop);
	put_strv(o, "env", r->env);
	put_strv(o, "annotations", r->annotations);
	control_put_string(o, "workdir", r->workdir);
	put_strv(o, "volumes", r->volumes);
	control_put_string(o, "hostname", r->hostname);
	control_put_bool(o, "interactive", r->stdio[0] >= 0 || r->tty);
	control_put_bool(o, "tty", r->tty != 0);
	control_put_bool(o, "read_only", r->read_only != 0);
	control_put_int(o, "pids_limit", r->pids_limit);
	control_put_int(o, "memory", r->memory);
	put_strv(o, "argv", r->argv);
	return o;
}

/* Descriptors for the request, in order; -1 becomes /dev/null (its fd is kept in *null). */
static int add_stdio(const int stdio[3], int *fds, size_t *count, int *null)
{
	for (int i = 0; i < 3; i++) {
		if (stdio[i] < 0 && *null < 0)
			*null = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (stdio[i] < 0 && *null < 0)
			return -errno;
		fds[(*count)++] = stdio[i] >= 0 ? stdio[i] : *null;
	}
	return 0;
}

static int started_read(struct json_object *reply, struct control_fds *got,
			struct warder_started *ret, struct warder_error *reterr)
{
	const char *name = NULL;
	int64_t pid = 0;

	if (control_get_string(reply, "name", &name, reterr) != 1 ||
	    control_get_u64(reply, "cid", UINT64_MAX, &ret->cid, reterr) != 1 ||
	    control_get_i64(reply, "pid", 0, INT32_MAX, &pid, reterr) != 1) {
		control_fds_done(got);
		return -EBADMSG;
	}
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	ret->pid = (pid_t)pid;
	if (got->count)
		ret->terminal = take_fd(&got->fd[0]);
	control_fds_done(got);
	return 0;
}

/* All images, one after the other; NULL: there are only names. */
static int policies_join(const struct warder_policy_ref *ref, size_t count, char **ret,
			 size_t *ret_size)
{
	size_t used = 0;

	*ret = NULL;
	*ret_size = 0;
	for (size_t i = 0; i < count; i++)
		*ret_size += ref[i].image ? ref[i].image_size : 0;
	if (!*ret_size)
		return 0;
	*ret = malloc(*ret_size);
	if (!*ret)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		if (!ref[i].image)
			continue;
		memcpy(*ret + used, ref[i].image, ref[i].image_size);
		used += ref[i].image_size;
	}
	return 0;
}

/* Puts the policies of a container into the request: names in their order, of which "" stands for
 * the next image in *ret_fd (-1: there is none). */
static int policies_put(struct json_object *request, const struct warder_policy_ref *ref,
			size_t count, int *ret_fd, struct warder_error *e)
{
	struct json_object *list = json_object_new_array();
	cleanup_free char *all = NULL;
	size_t size;
	int err = policies_join(ref, count, &all, &size);

	for (size_t i = 0; i < count; i++)
		json_object_array_add(list, json_object_new_string(
			ref[i].image ? "" : ref[i].name ? ref[i].name : ""));
	json_object_object_add(request, "policies", list);
	*ret_fd = err || !all ? -1 : client_memfd(all, size);
	if (!err && all && *ret_fd < 0)
		err = *ret_fd;
	return err ? error_errno(e, err, "cannot hand the policy over") : 0;
}

int warder_run(struct warder *w, const struct warder_run_options *r, struct warder_started *ret,
	       char *error, size_t size)
{
	const struct warder_policy_ref one = { r->policy, r->image, r->image_size };
	cleanup_json struct json_object *reply = NULL;
	struct json_object *request;
	struct control_fds got = { .count = 0 };
	cleanup_close int image = -1, null = -1;
	struct warder_error e = { "" };
	int fds[CONTROL_FDS_MAX], err;
	size_t count = 0;

	memset(ret, 0, sizeof(*ret));
	ret->terminal = -1;
	ret->code = 125;
	if (r->struct_size != sizeof(*r) || !r->argv ||
	    (!r->image && !r->policy && !r->policy_count) ||
	    r->policy_count > WARDER_RUN_POLICIES_MAX) {
		err = error_set(&e, -EINVAL, "warder_run: a command and a policy must be given, or "
				"up to %d policies", WARDER_RUN_POLICIES_MAX);
		return client_out(err, &e, error, size);
	}
	request = client_request("run");
	err = policies_put(request, r->policy_count ? r->policies : &one,
			   r->policy_count ? r->policy_count : 1, &image, &e);
	if (image >= 0)
		fds[count++] = image;
	if (!err && !r->tty) {
		err = add_stdio(r->stdio, fds, &count, &null);
		if (err)
			error_errno(&e, err, "/dev/null");
	}
	if (err) {
		json_object_put(request);
		return client_out(err, &e, error, size);
	}
	json_object_object_add(request, "spec", run_spec(r));
	control_put_bool(request, "stdio", !r->tty);
	control_put_bool(request, "detach", r->detach != 0);
	control_put_bool(request, "unasked", r->unasked != 0);
	err = client_call(w, request, fds, count, &reply, &got, &ret->code, &e);
	if (!err)
		err = started_read(reply, &got, ret, &e);
	return client_out(err, &e, error, size);
}

int warder_adopt(struct warder *w, const struct warder_adopt_options *a, char **ret_json,
		 char *error, size_t size)
{
	const struct warder_policy_ref one = { a->policy, a->image, a->image_size };
	cleanup_json struct json_object *reply = NULL;
	struct json_object *request;
	cleanup_close int image = -1;
	struct warder_error e = { "" };
	int fds[2], err;
	size_t count = 0;

	if (ret_json)
		*ret_json = NULL;
	if (a->struct_size != sizeof(*a) || !a->name ||
	    (!a->image && !a->policy && !a->policy_count) ||
	    a->policy_count > WARDER_RUN_POLICIES_MAX || (a->pid <= 0 && a->cgroup < 0)) {
		err = error_set(&e, -EINVAL,
				"warder_adopt: a name, a policy and a process or a cgroup must be "
				"given");
		return client_out(err, &e, error, size);
	}
	request = client_request("adopt");
	err = policies_put(request, a->policy_count ? a->policies : &one,
			   a->policy_count ? a->policy_count : 1, &image, &e);
	if (err) {
		json_object_put(request);
		return client_out(err, &e, error, size);
	}
	if (image >= 0)
		fds[count++] = image;
	control_put_string(request, "name", a->name);
	control_put_bool(request, "unasked", a->unasked != 0);
	put_strv(request, "annotations", a->annotations);
	if (a->pid > 0) {
		control_put_int(request, "pid", a->pid);
	} else {
		control_put_bool(request, "cgroup", 1);
		fds[count++] = a->cgroup;
	}
	err = client_call(w, request, fds, count, &reply, NULL, NULL, &e);
	if (!err && ret_json) {
		json_object_object_del(reply, "ok");
		*ret_json = strdup(json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PLAIN));
		if (!*ret_json)
			err = error_set(&e, -ENOMEM, "out of memory");
	}
	return client_out(err, &e, error, size);
}

int warder_release(struct warder *w, const char *name, char *error, size_t size)
{
	struct json_object *request = client_request("release");
	struct warder_error e = { "" };

	control_put_string(request, "name", name);
	return client_out(client_call(w, request, NULL, 0, NULL, NULL, NULL, &e), &e, error, size);
}

int warder_enter(struct warder *w, const char *name, const char *const *argv, int tty,
		 const int stdio[3], struct warder_started *ret, char *error, size_t size)
{
	cleanup_json struct json_object *reply = NULL;
	struct json_object *request = client_request("enter");
	struct control_fds got = { .count = 0 };
	struct warder_error e = { "" };
	cleanup_close int null = -1;
	int fds[3], err = 0;
	size_t count = 0;

	memset(ret, 0, sizeof(*ret));
	ret->terminal = -1;
	ret->code = 125;
	if (!tty)
		err = add_stdio(stdio, fds, &count, &null);
	if (err) {
		json_object_put(request);
		error_errno(&e, err, "/dev/null");
		return client_out(err, &e, error, size);
	}
	control_put_string(request, "name", name);
	put_strv(request, "argv", argv);
	control_put_bool(request, "tty", tty != 0);
	control_put_bool(request, "stdio", !tty);
	err = client_call(w, request, fds, count, &reply, &got, &ret->code, &e);
	if (!err)
		err = started_read(reply, &got, ret, &e);
	return client_out(err, &e, error, size);
}

int warder_wait_exit(struct warder *w, int *ret_status, char *error, size_t size)
{
	cleanup_json struct json_object *reply = NULL;
	struct control_fds got = { .count = 0 };
	struct warder_error e = { "" };
	int64_t status = 0;
	int err;

	err = client_recv(w, &reply, &got, &e);
	control_fds_done(&got);
	if (!err && control_get_i64(reply, "exited", 0, 255, &status, &e) != 1)
		err = error_set(&e, -EBADMSG, "the supervisor's answer is no exit status");
	*ret_status = (int)status;
	return client_out(err, &e, error, size);
}

int warder_wait(struct warder *w, const char *name, uint64_t cid, int *ret_status, char *error,
		size_t size)
{
	cleanup_json struct json_object *reply = NULL;
	struct json_object *request = client_request("wait");
	struct warder_error e = { "" };
	int64_t status = 0;
	int err;

	control_put_string(request, "name", name);
	if (!name)
		control_put_u64(request, "cid", cid);
	err = client_call(w, request, NULL, 0, &reply, NULL, NULL, &e);
	if (!err && control_get_i64(reply, "status", 0, 255, &status, &e) != 1)
		err = error_set(&e, -EBADMSG, "the supervisor's answer is no exit status");
	*ret_status = (int)status;
	return client_out(err, &e, error, size);
}

int warder_kill(struct warder *w, const char *name, int sig, int all, char *error, size_t size)
{
	struct json_object *request = client_request("kill");
	struct warder_error e = { "" };

	control_put_string(request, "name", name);
	control_put_int(request, "signal", sig);
	control_put_bool(request, "all", all != 0);
	return client_out(client_call(w, request, NULL, 0, NULL, NULL, NULL, &e), &e, error, size);
}

static int client_json(struct warder *w, struct json_object *request, const char *member,
		       char **ret, char *error, size_t size)
{
	cleanup_json struct json_object *reply = NULL;
	struct json_object *v;
	struct warder_error e = { "" };
	int err = client_call(w, request, NULL, 0, &reply, NULL, NULL, &e);

	*ret = NULL;
	if (!err && !json_object_object_get_ex(reply, member, &v))
		err = error_set(&e, -EBADMSG, "the supervisor's answer is not understood");
	if (!err) {
		*ret = strdup(json_object_to_json_string_ext(v, JSON_C_TO_STRING_PLAIN));
		if (!*ret)
			err = error_set(&e, -ENOMEM, "out of memory");
	}
	return client_out(err, &e, error, size);
}

int warder_list(struct warder *w, char **ret_json, char *error, size_t size)
{
	return client_json(w, client_request("list"), "containers", ret_json, error, size);
}

int warder_inspect(struct warder *w, const char *name, char **ret_json, char *error, size_t size)
{
	struct json_object *request = client_request("inspect");

	control_put_string(request, "name", name);
	return client_json(w, request, "container", ret_json, error, size);
}

int warder_policy_load(struct warder *w, const void *image, size_t image_size, char *error,
		       size_t size)
{
	cleanup_close int fd = client_memfd(image, image_size);
	struct warder_error e = { "" };
	int err;

	err = fd < 0 ? error_errno(&e, fd, "cannot hand the policy over") :
		       client_call(w, client_request("policy-load"), &fd, 1, NULL, NULL, NULL, &e);
	return client_out(err, &e, error, size);
}

int warder_events(struct warder *w, const char *container, int follow, warder_event_fn fn,
		  void *arg, char *error, size_t size)
{
	cleanup_json struct json_object *reply = NULL;
	struct json_object *request = client_request("events"), *past, *event;
	struct control_fds got = { .count = 0 };
	struct warder_error e = { "" };
	int err, stop = 0;

	control_put_string(request, "name", container);
	control_put_bool(request, "follow", follow != 0);
	err = client_call(w, request, NULL, 0, &reply, NULL, NULL, &e);
	if (err)
		return client_out(err, &e, error, size);
	if (json_object_object_get_ex(reply, "events", &past)) {
		for (size_t i = 0; !stop && i < json_object_array_length(past); i++)
			stop = fn(json_object_to_json_string_ext(
					  json_object_array_get_idx(past, i),
					  JSON_C_TO_STRING_PLAIN),
				  arg);
	}
	while (follow && !stop) {
		json_object_put(take_ptr(reply));
		err = client_recv(w, &reply, &got, &e);
		control_fds_done(&got);
		if (err)
			return client_out(err, &e, error, size);
		if (json_object_object_get_ex(reply, "event", &event))
			stop = fn(json_object_to_json_string_ext(event, JSON_C_TO_STRING_PLAIN),
				  arg);
	}
	return stop;
}
