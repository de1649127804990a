// SPDX-License-Identifier: LGPL-2.1-or-later
/* The last steps of init and of an entered command: user, capabilities, exec. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "commands.h"
#include "container.h"

#define ENV_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define WARDER_FD 3
/* A passwd or group file of an image is read up to this many lines. */
#define USER_LINES_MAX 100000

static int parse_id(const char *text, uint32_t *ret)
{
	unsigned long long n;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	n = strtoull(text, &end, 10);
	/* -1 means "leave as it is" to setresuid. */
	if (errno || *end || n >= UINT32_MAX)
		return -EINVAL;
	*ret = (uint32_t)n;
	return 0;
}

/* The file is the image's: it may be anything, so only a regular file is read. */
static FILE *open_database(const char *path)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	FILE *f;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
		return NULL;
	f = fdopen(fd, "re");
	if (f)
		take_fd(&fd);
	return f;
}

/* Line of `name` (or of id if name is NULL); columns are separated by colons. */
static int find_line(const char *path, const char *name, uint32_t id, char *line, size_t size,
		     char *column[7])
{
	cleanup_fclose FILE *f = open_database(path);

	for (int n = 0; f && n < USER_LINES_MAX && fgets(line, (int)size, f); n++) {
		char *p = line;
		uint32_t found;
		int c = 0;

		line[strcspn(line, "\n")] = '\0';
		while (c < 7 && p) {
			column[c++] = p;
			p = strchr(p, ':');
			if (p)
				*p++ = '\0';
		}
		while (c < 7)
			column[c++] = line + strlen(line);
		if (name ? !strcmp(column[0], name) :
			   !parse_id(column[2], &found) && found == id)
			return 0;
	}
	return -ENOENT;
}

void builder_find_user(struct builder *b)
{
	char text[256], line[1024], *column[7], *group = NULL, *name = text;

	snprintf(text, sizeof(text), "%s", b->spec->user ? b->spec->user : "0");
	group = strchr(text, ':');
	if (group)
		*group++ = '\0';
	snprintf(b->home, sizeof(b->home), "%s", "/");
	if (!parse_id(name, &b->uid))
		name = NULL;
	if (!find_line("/etc/passwd", name, b->uid, line, sizeof(line), column)) {
		if (parse_id(column[2], &b->uid) || parse_id(column[3], &b->gid))
			builder_fail(b, 125, "user %s has no valid ids in the container's "
					     "/etc/passwd", column[0]);
		if (column[5][0] == '/')
			snprintf(b->home, sizeof(b->home), "%s", column[5]);
	} else if (name) {
		builder_fail(b, 125, "user \"%s\" is not in the container's /etc/passwd: use a "
				     "number or another name", name);
	}
	if (!group || !parse_id(group, &b->gid))
		return;
	if (find_line("/etc/group", group, 0, line, sizeof(line), column) ||
	    parse_id(column[2], &b->gid))
		builder_fail(b, 125, "group \"%s\" is not in the container's /etc/group: use a "
				     "number or another name", group);
}

void builder_drop_privileges(struct builder *b)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };
	uint64_t caps = b->spec->caps;

	for (int cap = 0; cap < 64; cap++) {
		if (caps & (1ull << cap))
			continue;
		/* EINVAL: beyond what this kernel knows */
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) && errno != EINVAL)
			builder_fail(b, 125, "cannot drop capability %d: %s", cap,
				     strerror(errno));
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
		builder_fail(b, 125, "cannot clear ambient capabilities: %s", strerror(errno));
	if (setgroups(0, NULL) || setresgid(b->gid, b->gid, b->gid) ||
	    setresuid(b->uid, b->uid, b->uid))
		builder_fail(b, 125, "cannot become user %u:%u: %s%s", b->uid, b->gid,
			     strerror(errno),
			     errno == EINVAL ? " (not mapped in the container's user namespace)" :
					       "");
	/* What the kernel does not know cannot be asked for. */
	for (int cap = 0; cap < 64; cap++) {
		if ((caps & (1ull << cap)) && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) != 1)
			caps &= ~(1ull << cap);
	}
	if (b->uid)
		caps = 0; /* as with podman: another user gets none, a set-uid program may */
	for (int i = 0; i < 2; i++)
		data[i].effective = data[i].permitted = (uint32_t)(caps >> (32 * i));
	if (syscall(SYS_capset, &header, data))
		builder_fail(b, 125, "cannot set capabilities: %s", strerror(errno));
}

static char **exec_environment(struct builder *b)
{
	static char home[WARDER_PREFIX_SIZE + 8], host[128], self[32];
	static char path[] = ENV_PATH, kind[] = "container=warder", term[] = "TERM=xterm";
	static char *env[CONTAINER_ENV_MAX + 8];
	size_t n = 0;
	char *fixed[] = { path, kind, home, host, b->spec->tty ? term : NULL,
			  b->self_fd >= 0 ? self : NULL };

	snprintf(home, sizeof(home), "HOME=%s", b->home);
	snprintf(host, sizeof(host), "HOSTNAME=%s",
		 b->spec->hostname ? b->spec->hostname : b->name);
	snprintf(self, sizeof(self), "WARDER_FD=%d", WARDER_FD);
	/* The user's own come last and replace ours. */
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++) {
		size_t len;
		int given = 0;

		if (!fixed[i])
			continue;
		len = (size_t)(strchr(fixed[i], '=') - fixed[i]) + 1;
		for (size_t k = 0; b->spec->env && b->spec->env[k]; k++)
			given |= !strncmp(b->spec->env[k], fixed[i], len);
		if (!given)
			env[n++] = fixed[i];
	}
	for (size_t k = 0; b->spec->env && b->spec->env[k] && n < ARRAY_SIZE(env) - 1; k++)
		env[n++] = b->spec->env[k];
	env[n] = NULL;
	return env;
}

/* As execvpe(3), but the first refusal is remembered, so that 126 and 127 differ. */
static int exec_search(char **argv, char **env)
{
	const char *path = "", *p;
	char file[4096];
	int err = -ENOENT;

	if (strchr(argv[0], '/')) {
		execve(argv[0], argv, env);
		return -errno;
	}
	for (size_t i = 0; env[i]; i++) {
		if (!strncmp(env[i], "PATH=", 5))
			path = env[i] + 5;
	}
	for (p = path; *p; p += strspn(p, ":")) {
		size_t n = strcspn(p, ":");

		if (snprintf(file, sizeof(file), "%.*s/%s", (int)n, p, argv[0]) <
		    (int)sizeof(file)) {
			execve(file, argv, env);
			if (errno != ENOENT && errno != ENOTDIR && err == -ENOENT)
				err = -errno;
		}
		p += n;
	}
	return err;
}

void builder_exec(struct builder *b)
{
	char **env = exec_environment(b);
	struct rlimit limit;
	int err;

	/* What the mount points needed; as login sessions have it. */
	if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur > 1024) {
		limit.rlim_cur = 1024;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (b->self_fd >= 0 && dup2(b->self_fd, WARDER_FD) < 0)
		builder_fail(b, 125, "cannot place WARDER_FD: %s", strerror(errno));
	syscall(SYS_close_range, b->self_fd >= 0 ? WARDER_FD + 1 : WARDER_FD, ~0U,
		CLOSE_RANGE_CLOEXEC);
	if (chdir(b->spec->workdir ? b->spec->workdir : "/"))
		builder_fail(b, 125, "workdir %s: %s", b->spec->workdir, strerror(errno));
	err = exec_search(b->spec->argv, env);
	builder_fail(b, err == -ENOENT || err == -ENOTDIR ? EXIT_NOT_FOUND : EXIT_CANNOT_EXEC,
		     "%s: %s", b->spec->argv[0],
		     err == -ENOENT ? "no such program in the container" : strerror(-err));
}
