// SPDX-License-Identifier: LGPL-2.1-or-later
/* What /proc tells of a process that is to be adopted. */
#include "adopt.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "control.h"
#include "policy.h"

#define ADOPT_UNMAPPED 65534 /* as the kernel shows ids that have no number */

static FILE *proc_open(pid_t pid, const char *file)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	return fopen(path, "re");
}

/* A process gives itself any name. */
static void make_printable(char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s < 0x20 || (unsigned char)*s > 0x7e)
			*s = '?';
	}
}

/* "NSpid: 712 7 1": a number for each pid namespace, the innermost last. */
static int status_take_nspid(const char *text, struct adopt_status *ret)
{
	char *end;

	ret->levels = 0;
	for (;;) {
		unsigned long n = strtoul(text, &end, 10);

		if (end == text)
			return ret->levels ? 0 : -EINVAL;
		ret->nr = (uint32_t)n;
		ret->levels++;
		text = end;
	}
}

int adopt_status_parse(FILE *f, struct adopt_status *ret)
{
	enum { NAME = 1, TGID = 2, UID = 4, GID = 8, CAPS = 16, NSPID = 32, ALL = 63 };
	char line[512];
	int seen = 0;

	memset(ret, 0, sizeof(*ret));
	while (fgets(line, sizeof(line), f)) {
		unsigned long long caps;
		char *value = strchr(line, '\t');

		line[strcspn(line, "\n")] = '\0';
		if (!value++)
			continue;
		if (!strncmp(line, "Name:", 5)) {
			snprintf(ret->name, sizeof(ret->name), "%.63s", value);
			make_printable(ret->name);
			seen |= NAME;
		} else if (sscanf(line, "Tgid: %d", &ret->tgid) == 1) {
			seen |= TGID;
		} else if (sscanf(line, "Uid: %*u %u", &ret->uid) == 1) {
			seen |= UID;
		} else if (sscanf(line, "Gid: %*u %u", &ret->gid) == 1) {
			seen |= GID;
		} else if (sscanf(line, "CapPrm: %llx", &caps) == 1) {
			ret->caps = caps;
			seen |= CAPS;
		} else if (!strncmp(line, "NSpid:", 6)) {
			seen |= status_take_nspid(value, ret) ? 0 : NSPID;
		} else {
			sscanf(line, "Seccomp: %d", &ret->seccomp); /* absent: a kernel without */
		}
	}
	return seen == ALL ? 0 : -EINVAL;
}

int adopt_status_read(pid_t pid, struct adopt_status *ret)
{
	cleanup_fclose FILE *f = proc_open(pid, "status");

	return !f || adopt_status_parse(f, ret) ? -ESRCH : 0;
}

int adopt_map_inside(FILE *f, uint32_t outside, uint32_t *ret)
{
	uint32_t inside, first, count;

	while (fscanf(f, "%u %u %u", &inside, &first, &count) == 3) {
		if (outside >= first && outside - first < count) {
			*ret = inside + (outside - first);
			return 0;
		}
	}
	return -ENOENT;
}

int adopt_cgroup_parse(FILE *f, char *buf, size_t size)
{
	cleanup_free char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, f) > 0) {
		if (strncmp(line, "0::/", 4))
			continue;
		line[strcspn(line, "\n")] = '\0';
		/* " (deleted)" is the kernel's note on one that was removed. */
		return snprintf(buf, size, "%s", line + 3) < (int)size ? 0 : -ENAMETOOLONG;
	}
	return -ENOENT;
}

int adopt_cgroup_read(pid_t pid, char *buf, size_t size)
{
	cleanup_fclose FILE *f = proc_open(pid, "cgroup");

	return f ? adopt_cgroup_parse(f, buf, size) : -ENOENT;
}

uint32_t adopt_namespace(pid_t pid, const char *which)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, which);
	return stat(path, &st) ? 0 : (uint32_t)st.st_ino;
}

void adopt_label_read(pid_t pid, char *buf, size_t size)
{
	cleanup_fclose FILE *f = proc_open(pid, "attr/current");

	/* EINVAL where no module keeps labels. */
	if (!f || !fgets(buf, (int)size, f))
		buf[0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	make_printable(buf);
}

static int id_inside(pid_t pid, const char *map, uint32_t outside, uint32_t *ret)
{
	cleanup_fclose FILE *f = proc_open(pid, map);

	return f ? adopt_map_inside(f, outside, ret) : -ESRCH;
}

struct json_object *adopt_spec(pid_t pid, const struct adopt_status *st)
{
	struct json_object *o, *list;
	char user[32], name[32];
	uint32_t uid, gid;

	/* Without a number there nobody can become it: an enter will say so. */
	if (id_inside(pid, "uid_map", st->uid, &uid) || id_inside(pid, "gid_map", st->gid, &gid))
		uid = gid = ADOPT_UNMAPPED;
	o = json_object_new_object();
	snprintf(user, sizeof(user), "%u:%u", uid, gid);
	control_put_string(o, "user", user);
	control_put_bool(o, "userns",
			 adopt_namespace(pid, "user") != adopt_namespace(getpid(), "user"));
	control_put_string(
		o, "net",
		adopt_namespace(pid, "net") == adopt_namespace(getpid(), "net") ? "host" : "none");
	list = json_object_new_array();
	json_object_array_add(list, json_object_new_string("ALL"));
	json_object_object_add(o, "cap_drop", list);
	list = json_object_new_array();
	for (int cap = 0; cap < 64; cap++) {
		/* What this program has no name for, entered commands do without. */
		if ((st->caps & (1ull << cap)) && capability_name(cap, name, sizeof(name)) &&
		    capability_from_name(name) == cap)
			json_object_array_add(list, json_object_new_string(name));
	}
	json_object_object_add(o, "cap_add", list);
	list = json_object_new_array();
	json_object_array_add(list, json_object_new_string(st->name[0] ? st->name : "?"));
	json_object_object_add(o, "argv", list);
	return o;
}

struct words {
	char *buf;
	size_t size, used;
};

static void words_add(struct words *w, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void words_add(struct words *w, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(w->buf + w->used, w->size - w->used, format, args);
	va_end(args);
	if (n > 0)
		w->used += (size_t)n < w->size - w->used ? (size_t)n : w->size - w->used - 1;
}

static void words_add_list(struct words *w, struct json_object *list)
{
	for (size_t i = 0; i < json_object_array_length(list); i++)
		words_add(w, "%s%s", i ? ", " : "",
			  json_object_get_string(json_object_array_get_idx(list, i)));
}

int adopt_before_text(struct json_object *before, char *buf, size_t size)
{
	struct words w = { .buf = buf, .size = size };
	struct json_object *list;
	const char *label = NULL;
	uint64_t filtered = 0;
	int overrides;

	buf[0] = '\0';
	control_get_u64(before, "seccomp", UINT64_MAX, &filtered, NULL);
	control_get_string(before, "label", &label, NULL);
	overrides = json_object_object_get_ex(before, "overrides", &list) &&
		    json_object_array_length(list);
	if (filtered)
		words_add(&w, "%llu of its processes have seccomp filters",
			  (unsigned long long)filtered);
	if (filtered && json_object_object_get_ex(before, "never_arrive", &list)) {
		words_add(&w, "; those of the first one refuse, of what the policy overrides: ");
		words_add_list(&w, list);
		if (!json_object_array_length(list))
			words_add(&w, "nothing");
	} else if (filtered && overrides) {
		words_add(&w, "; what those refuse is never overridden");
	}
	if (label)
		words_add(&w, "%sit has the label %s of another security module%s",
			  filtered ? "; " : "", label,
			  overrides ? ", whose refusals are overridden only by rules with "
				      "`cause: lsm`" :
				      "");
	return w.used != 0;
}
