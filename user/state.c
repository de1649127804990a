// SPDX-License-Identifier: LGPL-2.1-or-later
/* Files in <run_dir>/containers. */
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "control.h"

#define STATE_EXITED "exited.json"
#define STATE_LOADED "policies.json"

static int state_write(const char *dir, const char *name, struct json_object *o)
{
	char path[PATH_MAX], temp[PATH_MAX];
	cleanup_close int fd = -1;
	const char *text;
	size_t len;

	text = json_object_to_json_string_length(o, JSON_C_TO_STRING_PLAIN, &len);
	if (!text)
		return -ENOMEM;
	if (len > STATE_FILE_MAX)
		return -E2BIG;
	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path) ||
	    snprintf(temp, sizeof(temp), "%s/.%s.new", dir, name) >= (int)sizeof(temp))
		return -ENAMETOOLONG;
	fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (write(fd, text, len) != (ssize_t)len || rename(temp, path)) {
		int err = errno ? -errno : -EIO;

		unlink(temp);
		return err;
	}
	return 0;
}

static int state_read(const char *dir, const char *name, struct json_object **ret,
		      struct warder_error *reterr)
{
	cleanup_free char *text = NULL;
	cleanup_close int fd = -1;
	char path[PATH_MAX];
	struct stat st;
	ssize_t n;

	*ret = NULL;
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		return error_errno(reterr, -errno, "%s", path);
	if (!S_ISREG(st.st_mode) || st.st_size > STATE_FILE_MAX)
		return error_set(reterr, -EBADMSG, "%s: not a state file", path);
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return error_set(reterr, -ENOMEM, "out of memory");
	n = read(fd, text, (size_t)st.st_size);
	if (n < 0)
		return error_errno(reterr, -errno, "%s", path);
	return control_parse(text, (size_t)n, ret, reterr) ? -EBADMSG : 0;
}

static void state_name(char *buf, size_t size, uint64_t cid)
{
	snprintf(buf, size, "%llu.json", (unsigned long long)cid);
}

int state_save_container(const char *dir, uint64_t cid, struct json_object *o,
			 struct warder_error *reterr)
{
	char name[32];
	int err;

	state_name(name, sizeof(name), cid);
	err = state_write(dir, name, o);
	return err ? error_errno(reterr, err, "cannot save the container's state in %s", dir) : 0;
}

int state_load_container(const char *dir, uint64_t cid, struct json_object **ret,
			 struct warder_error *reterr)
{
	char name[32];

	state_name(name, sizeof(name), cid);
	return state_read(dir, name, ret, reterr);
}

void state_remove_container(const char *dir, uint64_t cid)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%llu.json", dir, (unsigned long long)cid);
	unlink(path);
}

void state_prune(const char *dir, int (*alive)(uint64_t cid, void *arg), void *arg)
{
	cleanup_closedir DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		unsigned long long cid;
		int end = 0;

		if (sscanf(e->d_name, "%llu.json%n", &cid, &end) == 1 && end &&
		    !e->d_name[end] && !alive(cid, arg))
			unlinkat(dirfd(d), e->d_name, 0);
	}
}

int state_save_exited(const char *dir, const struct state_exited *list, size_t count)
{
	cleanup_json struct json_object *o = json_object_new_object();
	struct json_object *a = json_object_new_array();

	json_object_object_add(o, "exited", a);
	for (size_t i = 0; i < count; i++) {
		struct json_object *e = json_object_new_object();

		control_put_u64(e, "cid", list[i].cid);
		control_put_string(e, "name", list[i].name);
		control_put_int(e, "status", list[i].status);
		json_object_array_add(a, e);
	}
	return state_write(dir, STATE_EXITED, o);
}

size_t state_load_exited(const char *dir, struct state_exited list[STATE_EXITED_MAX])
{
	cleanup_json struct json_object *o = NULL;
	struct json_object *a = NULL;
	size_t count = 0;

	if (state_read(dir, STATE_EXITED, &o, NULL) ||
	    !json_object_object_get_ex(o, "exited", &a) ||
	    !json_object_is_type(a, json_type_array))
		return 0;
	for (size_t i = 0; i < json_object_array_length(a) && count < STATE_EXITED_MAX; i++) {
		struct json_object *e = json_object_array_get_idx(a, i);
		const char *name = NULL;
		int64_t status = 0;

		if (!json_object_is_type(e, json_type_object) ||
		    control_get_u64(e, "cid", UINT64_MAX, &list[count].cid, NULL) != 1 ||
		    control_get_string(e, "name", &name, NULL) != 1 ||
		    control_get_i64(e, "status", 0, 255, &status, NULL) != 1)
			continue;
		snprintf(list[count].name, sizeof(list[count].name), "%s", name);
		list[count++].status = (int)status;
	}
	return count;
}

int state_save_loaded(const char *dir, const char *const *names, size_t count)
{
	cleanup_json struct json_object *o = json_object_new_object();
	struct json_object *a = json_object_new_array();

	json_object_object_add(o, "loaded", a);
	for (size_t i = 0; i < count; i++)
		json_object_array_add(a, json_object_new_string(names[i]));
	return state_write(dir, STATE_LOADED, o);
}

int state_load_loaded(const char *dir, size_t max, char ***ret_names)
{
	cleanup_json struct json_object *o = NULL;
	int err = state_read(dir, STATE_LOADED, &o, NULL);

	*ret_names = NULL;
	if (err)
		return err;
	err = control_get_strv(o, "loaded", max, ret_names, NULL);
	return err < 0 ? err : *ret_names ? 0 : -EBADMSG;
}
