// SPDX-License-Identifier: LGPL-2.1-or-later
/* What a container is made of (the spec), and starting its builder. */
#include "container.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "control.h"
#include "fdmsg.h"
#include "policy.h"

void container_spec_free(struct container_spec *s)
{
	if (!s)
		return;
	free(s->name);
	free(s->rootfs);
	free(s->user);
	control_strv_free(s->cap_add);
	control_strv_free(s->cap_drop);
	control_strv_free(s->env);
	control_strv_free(s->annotations);
	free(s->workdir);
	for (size_t i = 0; i < s->volumes; i++) {
		free(s->volume[i].source);
		free(s->volume[i].target);
	}
	free(s->hostname);
	control_strv_free(s->argv);
	free(s);
}

int container_check_name(const char *name, struct warder_error *reterr)
{
	size_t len = strlen(name);

	if (!len || len >= WARDER_NAME_SIZE || !isalnum((unsigned char)name[0]) ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") != len)
		return error_set(reterr, -EINVAL,
				 "\"%.80s\" is no container name: up to %d letters, digits, '_', "
				 "'.', '-', beginning with a letter or digit",
				 name, WARDER_NAME_SIZE - 1);
	return 0;
}

/* "." and ".." would make a name mean something else than it says. */
static int container_check_path(const char *what, const char *path, struct warder_error *reterr)
{
	const char *p = path;

	if (path[0] != '/')
		return error_set(reterr, -EINVAL, "%s \"%.200s\" must be an absolute path", what,
				 path);
	if (strlen(path) >= WARDER_PREFIX_SIZE)
		return error_set(reterr, -ENAMETOOLONG, "%s is longer than %d bytes", what,
				 WARDER_PREFIX_SIZE - 1);
	while (*p) {
		size_t n;

		p += strspn(p, "/");
		n = strcspn(p, "/");
		if ((n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
			return error_set(reterr, -EINVAL, "%s \"%.200s\" must not contain . or ..",
					 what, path);
		p += n;
	}
	return 0;
}

int container_parse_volume(const char *text, struct container_volume *v,
			   struct warder_error *reterr)
{
	const char *colon = strchr(text, ':'), *second;
	cleanup_free char *source = NULL;
	cleanup_free char *target = NULL;
	int err;

	if (!colon)
		return error_set(reterr, -EINVAL, "volume \"%.200s\" must be SRC:DST or SRC:DST:ro",
				 text);
	second = strchr(colon + 1, ':');
	v->read_only = 0;
	if (second) {
		if (!strcmp(second, ":ro"))
			v->read_only = 1;
		else if (strcmp(second, ":rw"))
			return error_set(reterr, -EINVAL,
					 "volume option \"%.50s\" is unknown: use ro or rw",
					 second + 1);
	}
	source = strndup(text, (size_t)(colon - text));
	target = second ? strndup(colon + 1, (size_t)(second - colon - 1)) : strdup(colon + 1);
	if (!source || !target)
		return error_set(reterr, -ENOMEM, "out of memory");
	err = container_check_path("volume source", source, reterr);
	if (!err)
		err = container_check_path("volume target", target, reterr);
	if (err)
		return err;
	if (target[strspn(target, "/")] == '\0')
		return error_set(reterr, -EINVAL, "a volume cannot replace /: use --rootfs");
	v->source = take_ptr(source);
	v->target = take_ptr(target);
	return 0;
}

#define CAP_BIT(c) (1ull << (c))
/* podman 4.3, containers.conf(5) default_capabilities. */
#define CONTAINER_CAPS_DEFAULT                                                               \
	(CAP_BIT(CAP_CHOWN) | CAP_BIT(CAP_DAC_OVERRIDE) | CAP_BIT(CAP_FOWNER) |              \
	 CAP_BIT(CAP_FSETID) | CAP_BIT(CAP_KILL) | CAP_BIT(CAP_NET_BIND_SERVICE) |           \
	 CAP_BIT(CAP_SETFCAP) | CAP_BIT(CAP_SETGID) | CAP_BIT(CAP_SETPCAP) |                 \
	 CAP_BIT(CAP_SETUID) | CAP_BIT(CAP_SYS_CHROOT))
#define CONTAINER_CAPS_ALL (CAP_BIT(CAP_LAST_CAP + 1) - 1)

static int container_caps_change(char *const *names, int add, uint64_t *caps,
				 struct warder_error *reterr)
{
	for (size_t i = 0; names && names[i]; i++) {
		uint64_t bits;
		int cap;

		if (!strcasecmp(names[i], "all")) {
			bits = CONTAINER_CAPS_ALL;
		} else {
			cap = capability_from_name(names[i]);
			if (cap < 0 || cap > CAP_LAST_CAP)
				return error_set(reterr, -EINVAL,
						 "\"%.60s\" is no capability: names are as in "
						 "capabilities(7), or ALL",
						 names[i]);
			bits = CAP_BIT(cap);
		}
		*caps = add ? *caps | bits : *caps & ~bits;
	}
	return 0;
}

/* As with podman, ALL comes first: "--cap-drop ALL --cap-add CHOWN" leaves CHOWN. */
int container_caps(char *const *add, char *const *drop, uint64_t *ret, struct warder_error *reterr)
{
	uint64_t caps = CONTAINER_CAPS_DEFAULT, dropped = ~0ull;
	int err;

	for (size_t i = 0; drop && drop[i]; i++) {
		if (!strcasecmp(drop[i], "all"))
			caps = 0;
	}
	err = container_caps_change(add, 1, &caps, reterr);
	if (err)
		return err;
	for (size_t i = 0; drop && drop[i]; i++) {
		char *one[2] = { drop[i], NULL };

		if (!strcasecmp(drop[i], "all"))
			continue;
		err = container_caps_change(one, 0, &dropped, reterr);
		if (err)
			return err;
	}
	*ret = caps & dropped;
	return 0;
}

uint32_t container_uid_base(const char *subuid, uint64_t cid)
{
	cleanup_fclose FILE *f = subuid ? fopen(subuid, "re") : NULL;
	unsigned long long start, count, blocks;
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "root:%llu:%llu", &start, &count) == 2 && start &&
		    count >= CONTAINER_UIDS && start <= UINT32_MAX &&
		    start + count <= UINT32_MAX) {
			blocks = count / CONTAINER_UIDS;
			return (uint32_t)(start + (cid % blocks) * CONTAINER_UIDS);
		}
	}
	blocks = (UINT32_MAX - CONTAINER_UID_BASE) / CONTAINER_UIDS;
	return (uint32_t)(CONTAINER_UID_BASE + (cid % blocks) * CONTAINER_UIDS);
}

/* ------------------------------------------------------------------------ JSON */

static int spec_string(struct json_object *o, const char *key, char **ret,
		       struct warder_error *reterr)
{
	const char *s = NULL;
	int found = control_get_string(o, key, &s, reterr);

	if (found <= 0)
		return found;
	*ret = strdup(s);
	return *ret ? 0 : error_set(reterr, -ENOMEM, "out of memory");
}

static int spec_check(struct container_spec *s, struct warder_error *reterr)
{
	int err = 0;

	if (s->name)
		err = container_check_name(s->name, reterr);
	if (!err && s->rootfs)
		err = container_check_path("rootfs", s->rootfs, reterr);
	if (!err && s->workdir)
		err = container_check_path("workdir", s->workdir, reterr);
	if (err)
		return err;
	if (!s->argv || !s->argv[0] || !s->argv[0][0])
		return error_set(reterr, -EINVAL, "no command was given");
	if (s->hostname && (!s->hostname[0] || strlen(s->hostname) > 64))
		return error_set(reterr, -EINVAL, "a hostname has 1 to 64 bytes");
	for (size_t i = 0; s->env && s->env[i]; i++) {
		if (!strchr(s->env[i], '=') || s->env[i][0] == '=')
			return error_set(reterr, -EINVAL,
					 "environment \"%.60s\" must be NAME=VALUE", s->env[i]);
	}
	err = annotations_check((const char *const *)s->annotations, reterr);
	return err ? err : container_caps(s->cap_add, s->cap_drop, &s->caps, reterr);
}

int container_spec_from_json(struct json_object *o, struct container_spec **ret,
			     struct warder_error *reterr)
{
	static const char *const keys[] = { "name", "rootfs", "userns", "net", "user", "cap_add",
					    "cap_drop", "env", "workdir", "volumes", "hostname",
					    "interactive", "tty", "read_only", "pids_limit",
					    "memory", "argv", "annotations", NULL };
	cleanup(container_spec_free_p) struct container_spec *s = NULL;
	const char *net = "none";
	char **volumes = NULL;
	int err;

	err = control_check_keys(o, keys, reterr);
	if (err)
		return err;
	s = calloc(1, sizeof(*s));
	if (!s)
		return error_set(reterr, -ENOMEM, "out of memory");
#define GET(call)                         \
	do {                              \
		err = (call);             \
		if (err < 0)              \
			return err;       \
	} while (0)
	GET(spec_string(o, "name", &s->name, reterr));
	GET(spec_string(o, "rootfs", &s->rootfs, reterr));
	GET(control_get_bool(o, "userns", &s->userns, reterr));
	GET(control_get_string(o, "net", &net, reterr));
	GET(spec_string(o, "user", &s->user, reterr));
	GET(control_get_strv(o, "cap_add", 64, &s->cap_add, reterr));
	GET(control_get_strv(o, "cap_drop", 64, &s->cap_drop, reterr));
	GET(control_get_strv(o, "env", CONTAINER_ENV_MAX, &s->env, reterr));
	GET(control_get_strv(o, "annotations", POLICY_ANNOTATIONS_MAX, &s->annotations, reterr));
	GET(spec_string(o, "workdir", &s->workdir, reterr));
	GET(spec_string(o, "hostname", &s->hostname, reterr));
	GET(control_get_bool(o, "interactive", &s->interactive, reterr));
	GET(control_get_bool(o, "tty", &s->tty, reterr));
	GET(control_get_bool(o, "read_only", &s->read_only, reterr));
	GET(control_get_i64(o, "pids_limit", -1, 1 << 22, &s->pids_limit, reterr));
	GET(control_get_i64(o, "memory", 0, INT64_MAX, &s->memory, reterr));
	GET(control_get_strv(o, "argv", CONTAINER_ARGS_MAX, &s->argv, reterr));
	GET(control_get_strv(o, "volumes", CONTAINER_VOLUMES_MAX, &volumes, reterr));
#undef GET
	for (size_t i = 0; volumes && volumes[i]; i++) {
		err = container_parse_volume(volumes[i], &s->volume[i], reterr);
		if (err) {
			control_strv_free(volumes);
			return err;
		}
		s->volumes++;
	}
	control_strv_free(volumes);
	if (!strcmp(net, "host"))
		s->net_host = 1;
	else if (strcmp(net, "none"))
		return error_set(reterr, -EINVAL, "network \"%.60s\" is unknown: use none or host",
				 net);
	err = spec_check(s, reterr);
	if (err)
		return err;
	*ret = take_ptr(s);
	return 0;
}

struct json_object *container_spec_to_json(const struct container_spec *s)
{
	struct json_object *o = json_object_new_object();
	struct json_object *volumes;

	control_put_string(o, "name", s->name);
	control_put_string(o, "rootfs", s->rootfs);
	control_put_bool(o, "userns", s->userns);
	control_put_string(o, "net", s->net_host ? "host" : "none");
	control_put_string(o, "user", s->user);
	if (s->cap_add)
		json_object_object_add(o, "cap_add", control_strv_to_json(s->cap_add));
	if (s->cap_drop)
		json_object_object_add(o, "cap_drop", control_strv_to_json(s->cap_drop));
	if (s->env)
		json_object_object_add(o, "env", control_strv_to_json(s->env));
	if (s->annotations)
		json_object_object_add(o, "annotations", control_strv_to_json(s->annotations));
	control_put_string(o, "workdir", s->workdir);
	control_put_string(o, "hostname", s->hostname);
	control_put_bool(o, "interactive", s->interactive);
	control_put_bool(o, "tty", s->tty);
	control_put_bool(o, "read_only", s->read_only);
	control_put_int(o, "pids_limit", s->pids_limit);
	control_put_int(o, "memory", s->memory);
	json_object_object_add(o, "argv", control_strv_to_json(s->argv));
	if (s->volumes) {
		volumes = json_object_new_array();
		for (size_t i = 0; i < s->volumes; i++) {
			char text[2 * WARDER_PREFIX_SIZE + 8];

			snprintf(text, sizeof(text), "%s:%s%s", s->volume[i].source,
				 s->volume[i].target, s->volume[i].read_only ? ":ro" : "");
			json_object_array_add(volumes, json_object_new_string(text));
		}
		json_object_object_add(o, "volumes", volumes);
	}
	return o;
}

/* -------------------------------------------------------------------- messages */

int container_msg_send(int sock, const struct container_msg *m, int fd)
{
	return fdmsg_send(sock, m, sizeof(*m), &fd, fd >= 0, 0);
}

int container_msg_recv(int sock, struct container_msg *m, int *ret_fd, int flags)
{
	cleanup_close int fd = -1;
	ssize_t n = fdmsg_recv(sock, m, sizeof(*m), &fd, 1, flags);

	*ret_fd = -1;
	if (n <= 0)
		return n < 0 ? (int)n : -ENODATA;
	if (n != sizeof(*m))
		return -EBADMSG;
	m->text[sizeof(m->text) - 1] = '\0';
	*ret_fd = take_fd(&fd);
	return 0;
}

/* -------------------------------------------------------------------- launching */

int container_seal_exe(struct warder_error *reterr)
{
	cleanup_close int exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	cleanup_close int copy = -1;
	struct stat st;
	off_t done = 0;

	if (exe < 0 || fstat(exe, &st))
		return error_errno(reterr, -errno, "cannot read this program's own file");
	copy = memfd_create("warder-init", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (copy < 0)
		return error_errno(reterr, -errno, "cannot make a copy of this program");
	while (done < st.st_size) {
		ssize_t n = sendfile(copy, exe, &done, (size_t)(st.st_size - done));

		if (n <= 0)
			return error_errno(reterr, n ? -errno : -EIO,
					   "cannot make a copy of this program");
	}
	/* Anyone in the container may run it: it does nothing without our socket. */
	if (fchmod(copy, 0555) || fcntl(copy, F_ADD_SEALS,
					F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL))
		return error_errno(reterr, -errno, "cannot seal the copy of this program");
	return take_fd(&copy);
}

/* The builder's descriptors: 0-2 the container's, then these. */
enum { BUILDER_SOCK = 3, BUILDER_CONFIG, BUILDER_CGROUP, BUILDER_PIDFD, BUILDER_FDS };

static int launch_config(const struct container_launch *l, struct warder_error *reterr)
{
	cleanup_close int fd = memfd_create("warder-spec", MFD_CLOEXEC);
	cleanup_json struct json_object *o = json_object_new_object();
	const char *text;
	size_t len;

	control_put_string(o, "name", l->name);
	control_put_u64(o, "cid", l->cid);
	control_put_u64(o, "uid_base", l->uid_base);
	control_put_bool(o, "enter", l->enter_pidfd >= 0);
	control_put_string(o, "stage", l->stage_dir);
	control_put_u64(o, "socket_mntns", l->socket_mntns);
	control_put_u64(o, "foreign", (uint64_t)l->foreign);
	control_put_bool(o, "survey", l->survey);
	control_put_bool(o, "filters", l->filters);
	control_put_int(o, "notify", l->notify);
	if (l->spec)
		json_object_object_add(o, "spec", container_spec_to_json(l->spec));
	text = json_object_to_json_string_length(o, JSON_C_TO_STRING_PLAIN, &len);
	if (fd < 0 || !text || write(fd, text, len) != (ssize_t)len || lseek(fd, 0, SEEK_SET))
		return error_errno(reterr, -errno, "cannot hand the configuration over");
	return take_fd(&fd);
}

int container_launch(const struct container_launch *l, int *ret_sock, pid_t *ret_pid,
		     struct warder_error *reterr)
{
	cleanup_close int config = -1, null = -1, ours = -1, theirs = -1;
	int from[BUILDER_FDS], high[BUILDER_FDS], err = 0, pair[2];
	char name[] = "warder-init", exe[64];
	char *argv[] = { name, NULL }, *envp[] = { NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;

	config = launch_config(l, reterr);
	if (config < 0)
		return config;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return error_errno(reterr, -errno, "cannot start the container");
	ours = pair[0];
	theirs = pair[1];
	if (fcntl(ours, F_SETFL, O_NONBLOCK))
		return error_errno(reterr, -errno, "cannot start the container");
	for (int i = 0; i < 3; i++)
		from[i] = l->stdio[i] >= 0 ? l->stdio[i] : null;
	from[BUILDER_SOCK] = theirs;
	from[BUILDER_CONFIG] = config;
	from[BUILDER_CGROUP] = l->cgroup_fd >= 0 ? l->cgroup_fd : null;
	from[BUILDER_PIDFD] = l->enter_pidfd >= 0 ? l->enter_pidfd : null;
	/* Moved out of the way first, so that no dup2 overwrites another's source. */
	for (int i = 0; i < BUILDER_FDS; i++) {
		high[i] = fcntl(from[i], F_DUPFD_CLOEXEC, BUILDER_FDS);
		if (high[i] < 0)
			err = -errno;
	}
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	sigemptyset(&none);
	sigfillset(&all);
	if (!err) {
		for (int i = 0; i < BUILDER_FDS; i++)
			posix_spawn_file_actions_adddup2(&actions, high[i], i);
		posix_spawnattr_setsigmask(&attr, &none);
		posix_spawnattr_setsigdefault(&attr, &all);
		posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
		snprintf(exe, sizeof(exe), "/proc/self/fd/%d", l->exe_fd);
		err = -posix_spawn(ret_pid, exe, &actions, &attr, argv, envp);
	}
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	for (int i = 0; i < BUILDER_FDS; i++) {
		if (high[i] >= 0)
			close(high[i]);
	}
	if (err)
		return error_errno(reterr, err, "cannot start the container's first process");
	*ret_sock = take_fd(&ours);
	return 0;
}
