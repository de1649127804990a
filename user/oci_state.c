// SPDX-License-Identifier: LGPL-2.1-or-later
/* What an OCI runtime says of a process with a filter, and of a container. */
#include <ctype.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cleanup.h"
#include "container.h"
#include "control.h"
#include "oci.h"
#include "policy.h"

#define SECCOMP_FD "seccompFd"

static int copy_text(const char *what, const char *from, char *to, size_t size,
		     struct warder_error *reterr)
{
	if (strlen(from) >= size)
		return error_set(reterr, -EINVAL, "%s is longer than %zu bytes", what, size - 1);
	strcpy(to, from);
	return 0;
}

/* fds names the descriptors that came along, in their order. */
static int find_listener(struct json_object *o, size_t fds, size_t *ret,
			 struct warder_error *reterr)
{
	char **names = NULL;
	size_t count = 0, found = 0;
	int err = control_get_strv(o, "fds", OCI_FDS_MAX, &names, reterr);

	if (err < 0)
		return err;
	for (; names && names[count]; count++) {
		if (strcmp(names[count], SECCOMP_FD))
			continue;
		*ret = count;
		found++;
	}
	control_strv_free(names);
	if (count != fds)
		return error_set(reterr, -EINVAL, "it names %zu descriptors, and %zu came", count, fds);
	if (found != 1)
		return error_set(reterr, -EINVAL, "it names %s %zu times, not once", SECCOMP_FD, found);
	return 0;
}

int oci_state_parse(const char *text, size_t len, size_t fds, struct oci_process_state *ret,
		    struct warder_error *reterr)
{
	cleanup_json struct json_object *o = NULL;
	const char *id = NULL, *metadata = "", *version = NULL;
	struct json_object *state = NULL;
	int64_t pid = 0, init = 0;
	int err;

	memset(ret, 0, sizeof(*ret));
	err = control_parse(text, len, &o, reterr);
	if (err)
		return -EINVAL;
	/* Any version: what is read has been the same in all of them. */
	if (control_get_string(o, "ociVersion", &version, reterr) < 0 ||
	    control_get_string(o, "metadata", &metadata, reterr) < 0 ||
	    control_get_i64(o, "pid", 1, INT32_MAX, &pid, reterr) < 0)
		return -EINVAL;
	if (!json_object_object_get_ex(o, "state", &state) ||
	    json_object_get_type(state) != json_type_object)
		return error_set(reterr, -EINVAL, "it has no state of a container");
	if (control_get_string(state, "id", &id, reterr) < 0 ||
	    control_get_i64(state, "pid", 0, INT32_MAX, &init, reterr) < 0)
		return -EINVAL;
	if (!id || !*id)
		return error_set(reterr, -EINVAL, "its state has no id");
	if (!pid)
		pid = init;
	if (!pid)
		return error_set(reterr, -EINVAL, "it has no pid");
	ret->pid = (pid_t)pid;
	err = copy_text("its id", id, ret->id, sizeof(ret->id), reterr);
	if (!err)
		err = copy_text("its metadata", metadata, ret->metadata, sizeof(ret->metadata), reterr);
	return err ? err : find_listener(o, fds, &ret->listener, reterr);
}

/* Those that no match can name are left out: nobody asks for them, and they may be large. */
static int read_annotations(struct json_object *from, char ***ret, struct warder_error *reterr)
{
	size_t count = 0;

	if (json_object_get_type(from) != json_type_object)
		return error_set(reterr, -EINVAL, "its annotations are no object");
	*ret = calloc((size_t)json_object_object_length(from) + 1, sizeof(**ret));
	if (!*ret)
		return error_set(reterr, -ENOMEM, "out of memory");
	json_object_object_foreach(from, key, value) {
		const char *one[2] = { NULL };
		const char *text = json_object_get_string(value);

		if (json_object_get_type(value) != json_type_string)
			return error_set(reterr, -EINVAL, "its annotation %.64s is no string", key);
		/* A NUL in it would make it another. */
		if (strlen(text) != (size_t)json_object_get_string_len(value) || strchr(key, '='))
			continue;
		if (asprintf(&(*ret)[count], "%s=%s", key, text) < 0) {
			(*ret)[count] = NULL;
			return error_set(reterr, -ENOMEM, "out of memory");
		}
		one[0] = (*ret)[count];
		if (annotations_check(one, NULL)) {
			free((*ret)[count]);
			(*ret)[count] = NULL;
			continue;
		}
		count++;
	}
	if (count > POLICY_ANNOTATIONS_MAX)
		return error_set(reterr, -EINVAL, "it has %zu annotations, and there can be %d", count,
				 POLICY_ANNOTATIONS_MAX);
	return 0;
}

int oci_container_parse(const char *text, size_t len, struct oci_container_state *ret,
			struct warder_error *reterr)
{
	cleanup_json struct json_object *o = NULL;
	const char *id = NULL, *status = NULL;
	struct json_object *annotations;
	int64_t pid = 0;
	int err;

	memset(ret, 0, sizeof(*ret));
	err = control_parse(text, len, &o, reterr);
	if (err || control_get_string(o, "id", &id, reterr) < 0 ||
	    control_get_string(o, "status", &status, reterr) < 0 ||
	    control_get_i64(o, "pid", 0, INT32_MAX, &pid, reterr) < 0)
		return -EINVAL;
	if (!id || !*id)
		return error_set(reterr, -EINVAL, "it has no id");
	if (!status)
		return error_set(reterr, -EINVAL, "it has no status");
	if (!pid)
		return error_set(reterr, -EINVAL, "it has no pid: no process is there yet, or any more");
	ret->pid = (pid_t)pid;
	err = copy_text("its id", id, ret->id, sizeof(ret->id), reterr);
	if (!err)
		err = copy_text("its status", status, ret->status, sizeof(ret->status), reterr);
	if (!err && json_object_object_get_ex(o, "annotations", &annotations) && annotations)
		err = read_annotations(annotations, &ret->annotations, reterr);
	return err;
}

void oci_container_done(struct oci_container_state *state)
{
	control_strv_free(state->annotations);
	state->annotations = NULL;
}

int oci_container_name(const char *id, char *ret, struct warder_error *reterr)
{
	size_t len = strlen(id);

	if (len == 64 && strspn(id, "0123456789abcdef") == len)
		len = 12;
	if (len >= WARDER_NAME_SIZE)
		return error_set(reterr, -EINVAL,
				 "its id %.64s... is longer than %d bytes: give it a --name", id,
				 WARDER_NAME_SIZE - 1);
	snprintf(ret, WARDER_NAME_SIZE, "%.*s", (int)len, id);
	return container_check_name(ret, reterr);
}

int oci_is_listener(int fd)
{
	static const char kind[] = "anon_inode:seccomp notify";
	char path[32], link[64];
	__u64 none = 0;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return 0;
	link[n] = '\0';
	/* Of an id that there is not it says ENOENT; what is no listener knows no such request. */
	return !strcmp(link, kind) && ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &none) < 0 &&
	       errno == ENOENT;
}

int oci_check_policy_name(const char *name, struct warder_error *reterr)
{
	size_t len = strlen(name);

	if (len >= WARDER_NAME_SIZE || name[0] == '.' || name[0] == '-' ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") != len)
		return error_set(reterr, -EINVAL,
				 "its metadata \"%.80s\" is no name of a policy: letters, digits, "
				 "'_', '.' and '-'", name);
	return 0;
}

int oci_check_selectable(const struct warder_image *image, const char *name,
			 struct warder_error *reterr)
{
	if (image->h.settings & WARDER_SETTING_SELECTABLE)
		return 0;
	return error_set(reterr, -EPERM,
			 "its metadata names the policy %.64s, which does not say `selectable: true`: "
			 "only the administrator chooses it, with --policy", name);
}
