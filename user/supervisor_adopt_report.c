// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What `warder adopt` tells: nothing that is open is taken away, so files that the policy would now
 * refuse are listed; and what has been put before warder's programs by others is said.
 */
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "adopt.h"
#include "calls.h"
#include "cleanup.h"
#include "supervisor_adopt.h"

#define REPORT_PROCESSES_MAX 512
#define REPORT_FILES_MAX 64
#define PIPEFS 0x50495045u
#define SOCKFS 0x534f434bu
#define ANON_INODES 0x09041934u

struct report {
	const struct warder_image *img;
	struct json_object *list;
	pid_t pid;
	size_t count; /* refused */
};

/* Objects that never have a name, and that no file rule speaks of. */
static int file_is_nameless(__u32 magic)
{
	return magic == PIPEFS || magic == SOCKFS || magic == ANON_INODES || magic == NSFS_MAGIC;
}

static __u32 file_access(__u32 mode)
{
	__u32 access = mode & WARDER_FD_READ ? WARDER_ACC_READ : 0;

	if (mode & WARDER_FD_WRITE)
		access |= mode & WARDER_FD_APPEND ? WARDER_ACC_APPEND : WARDER_ACC_WRITE;
	return access;
}

/* As file_open would judge it now. */
static int report_file(const struct warder_fd_record *record, const char *name, void *arg)
{
	struct report *r = arg;
	struct policy_request q = { .class_ = WARDER_CLASS_FILE,
				    .access = file_access(record->mode),
				    .path = name,
				    .unreachable = record->name_len < 0 };
	struct warder_verdict v;
	struct json_object *o, *access;
	char link[64], path[PATH_MAX];
	ssize_t n;

	if (!q.access || file_is_nameless(record->magic) || policy_decide(r->img, &q, &v) ||
	    v.action != WARDER_DENY)
		return 0;
	if (r->count++ >= REPORT_FILES_MAX)
		return 0;
	o = json_object_new_object();
	control_put_int(o, "pid", r->pid);
	control_put_int(o, "fd", record->fd);
	if (q.unreachable) {
		/* No name in the container: as the host sees it. */
		snprintf(link, sizeof(link), "/proc/%d/fd/%u", r->pid, record->fd);
		n = readlink(link, path, sizeof(path) - 1);
		path[n > 0 ? n : 0] = '\0';
		control_put_bool(o, "unreachable", 1);
	}
	control_put_string(o, "path", q.unreachable ? path : name);
	access = json_object_new_array();
	for (__u32 bit = 1; bit < WARDER_ACC_EXEC; bit <<= 1) {
		if (q.access & bit)
			json_object_array_add(access, json_object_new_string(access_name(bit)));
	}
	json_object_object_add(o, "access", access);
	json_object_array_add(r->list, o);
	return 0;
}

static void report_files(struct supervisor *s, struct ctr *c, const struct members *list,
			 struct json_object *o)
{
	struct report r = { .img = sup_policy_image(s, c->policy),
			    .list = json_object_new_array() };
	size_t processes = 0, unread = 0;

	for (size_t i = 0; i < list->count; i++) {
		if (list->m[i].tid != list->m[i].tgid)
			continue;
		r.pid = (pid_t)list->m[i].tgid;
		/* Gone meanwhile is no failure. */
		if (processes++ < REPORT_PROCESSES_MAX)
			loader_each_fd(s->loader, r.pid, (int)c->slot, report_file, &r);
		else
			unread++;
	}
	control_put_int(o, "processes", (int64_t)processes);
	json_object_object_add(o, "refused", r.list);
	control_put_u64(o, "refused_count", r.count);
	control_put_u64(o, "processes_unread", unread);
}

/* Words of the operations that this policy's override rules speak of. */
static struct json_object *report_overrides(const struct warder_image *img)
{
	struct json_object *list = json_object_new_array();

	for (__u32 op = 1; op < WARDER_OP__MAX; op++) {
		if (img->h.override_ops & (1ull << op))
			json_object_array_add(list, json_object_new_string(call_op_word(op)));
	}
	return list;
}

/* Of those system calls, the ones that this policy's override rules speak of. */
static struct json_object *report_refused(const char *refused, const struct warder_image *img)
{
	struct json_object *list = json_object_new_array();

	for (const char *p = refused; *p; p += strspn(p, " ")) {
		size_t n = strcspn(p, " ");
		__u32 op = call_op_of(p, n);

		if (op && (img->h.override_ops & (1ull << op)))
			json_object_array_add(list, json_object_new_string_len(p, (int)n));
		p += n;
	}
	return list;
}

/* Seccomp filters and labels that the tree came with. */
static struct json_object *report_before(struct supervisor *s, const struct ctr *c,
					 const struct adoption *a, const struct members *list)
{
	const struct warder_image *img = sup_policy_image(s, c->policy);
	struct json_object *o = json_object_new_object();
	size_t filtered = 0, processes = 0;
	struct adopt_status st;
	char label[256] = "";

	for (size_t i = 0; i < list->count && processes < REPORT_PROCESSES_MAX; i++) {
		if (list->m[i].tid != list->m[i].tgid)
			continue;
		processes++;
		if (!adopt_status_read((pid_t)list->m[i].tgid, &st) && st.seccomp)
			filtered++;
	}
	control_put_u64(o, "seccomp", filtered);
	adopt_label_read(c->pid, label, sizeof(label));
	if (label[0] && strncmp(label, "unconfined", 10))
		control_put_string(o, "label", label);
	json_object_object_add(o, "overrides", report_overrides(img));
	if (a->filters > 0)
		json_object_object_add(o, "never_arrive", report_refused(a->refused, img));
	else if (a->filters)
		control_put_bool(o, "filters_unread", 1);
	return o;
}

void adopt_report(struct supervisor *s, struct ctr *c, const struct adoption *a,
		  struct json_object *r)
{
	cleanup(members_done) struct members list = { .m = NULL };

	members_list(s, c->cid, &list);
	c->before = report_before(s, c, a, &list);
	if (!r)
		return;
	control_put_u64(r, "tasks", list.count);
	report_files(s, c, &list, r);
	json_object_object_add(r, "before", json_object_get(c->before));
	ctr_keyring_to_json(s, c, r);
}
