// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What clients may ask. One table: a request that is not in it, has another member, brings
 * other descriptors or comes from a container is refused.
 *
 * A handler replies exactly once, or arranges for it; conn_reply*() may free the connection.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cgroup.h"
#include "cleanup.h"
#include "supervisor_private.h"

typedef void (*request_fn)(struct supervisor *s, struct conn *c, struct json_object *o,
			   struct control_fds *fds);

void reply_error(struct supervisor *s, struct conn *c, const struct warder_error *e)
{
	conn_reply_error(s, c, 125, e->text[0] ? e->text : "the request failed");
}

struct json_object *reply_new(void)
{
	struct json_object *o = json_object_new_object();

	control_put_bool(o, "ok", 1);
	return o;
}

struct ctr *request_container(struct supervisor *s, struct json_object *o, struct warder_error *e)
{
	const char *name = NULL;
	struct ctr *c;
	int found = control_get_string(o, "name", &name, e);

	if (found < 0)
		return NULL;
	if (!found) {
		error_set(e, -EINVAL, "the request names no container");
		return NULL;
	}
	c = ctr_find_name(s, name);
	if (!c || c->state != CTR_RUNNING) {
		error_set(e, -ENOENT,
			  c ? "container \"%.64s\" is starting or ending" :
			      "there is no container \"%.64s\": see `warder list`",
			  name);
		return NULL;
	}
	return c;
}

static int request_stdio(struct json_object *o, const struct control_fds *fds, size_t from,
			 int stdio[3], struct warder_error *e)
{
	int with = 0;

	stdio[0] = stdio[1] = stdio[2] = -1;
	if (control_get_bool(o, "stdio", &with, e) < 0)
		return -EINVAL;
	if (fds->count != from + (with ? 3 : 0))
		return error_set(e, -EINVAL, "the request has %zu descriptors, not %zu", fds->count,
				 from + (with ? 3 : 0));
	for (size_t i = 0; with && i < 3; i++)
		stdio[i] = fds->fd[from + i];
	return 0;
}

/* ---------------------------------------------------------------------- containers */

/*
 * What a start may name: `policy`, the name of a loaded one; `image`, one in a descriptor; or
 * `policies`, a list of both, in which "" is an image: they lie one after the other in one file.
 */
int request_policies(struct json_object *o, const struct control_fds *fds,
		     struct sup_policy_ref *ret, size_t *ret_count, int *ret_image,
		     struct warder_error *e)
{
	struct json_object *list = NULL;
	const char *policy = NULL;
	int found = control_get_string(o, "policy", &policy, e), image = 0, err = 0;
	int64_t at = 0;
	size_t count;

	if (found < 0 || control_get_bool(o, "image", &image, e) < 0)
		return -EINVAL;
	json_object_object_get_ex(o, "policies", &list);
	count = !list ? 1 : json_object_is_type(list, json_type_array) ?
			json_object_array_length(list) : 0;
	if (!count || count > WARDER_LAYERS_MAX)
		return error_set(e, -EINVAL, "a container has 1 to %d policies", WARDER_LAYERS_MAX);
	if (!!image + !!policy + !!list != 1)
		return error_set(e, -EINVAL, "the request must have a policy name or an image");
	for (size_t i = 0; !err && i < count; i++) {
		struct json_object *item = list ? json_object_array_get_idx(list, i) : NULL;

		if (list && !json_object_is_type(item, json_type_string))
			return error_set(e, -EINVAL, "policies must be a list of names");
		ret[i].name = list ? json_object_get_string(item) : policy;
		if (list && *ret[i].name)
			continue;
		image |= list != NULL;
		if (image && !fds->count)
			return error_set(e, -EINVAL, "the image's descriptor is missing");
		if (image)
			err = sup_policy_read(fds->fd[0], &at, &ret[i].image, e);
	}
	if (!err && image)
		err = sup_policy_read_end(fds->fd[0], at, e);
	*ret_count = count;
	*ret_image = image;
	return err;
}

static void handle_run(struct supervisor *s, struct conn *c, struct json_object *o,
		       struct control_fds *fds)
{
	struct sup_policy_ref policy[WARDER_LAYERS_MAX] = { { NULL, NULL } };
	cleanup(container_spec_free_p) struct container_spec *spec = NULL;
	struct json_object *so = NULL;
	struct warder_error e = { "" };
	int detach = 0, image = 0, unasked = 0, stdio[3];
	size_t count = 0;

	if (!json_object_object_get_ex(o, "spec", &so) ||
	    !json_object_is_type(so, json_type_object)) {
		conn_reply_error(s, c, 125, "the request has no container specification");
		return;
	}
	if (control_get_bool(o, "detach", &detach, &e) < 0 ||
	    control_get_bool(o, "unasked", &unasked, &e) < 0 ||
	    request_policies(o, fds, policy, &count, &image, &e) ||
	    request_stdio(o, fds, image ? 1 : 0, stdio, &e) ||
	    container_spec_from_json(so, &spec, &e)) {
		sup_policy_refs_free(s, policy, WARDER_LAYERS_MAX);
		reply_error(s, c, &e);
		return;
	}
	if (start_container(s, c, take_ptr(spec), policy, count, unasked, stdio, detach, &e))
		reply_error(s, c, &e);
}

static void handle_enter(struct supervisor *s, struct conn *c, struct json_object *o,
			 struct control_fds *fds)
{
	static const char *const keep[] = { "rootfs", "userns", "net", "user", "cap_add",
					    "cap_drop", "env", "workdir", "hostname", NULL };
	cleanup_json struct json_object *mine = NULL, *so = NULL;
	cleanup(container_spec_free_p) struct container_spec *spec = NULL;
	struct warder_error e = { "" };
	struct ctr *ctr = request_container(s, o, &e);
	char **argv = NULL;
	int stdio[3], tty = 0;

	if (!ctr || control_get_bool(o, "tty", &tty, &e) < 0 ||
	    request_stdio(o, fds, 0, stdio, &e) ||
	    control_get_strv(o, "argv", CONTAINER_ARGS_MAX, &argv, &e) < 0) {
		reply_error(s, c, &e);
		return;
	}
	if (!ctr->spec || !argv || ctr->init_gone || ctr->init.fd < 0) {
		control_strv_free(argv);
		conn_reply_error(s, c, 125,
				 !argv ? "no command was given" :
				 !ctr->spec ?
					 "the container's specification was lost: it cannot be "
					 "entered" :
					 "the container's first process has ended: it cannot be "
					 "entered any more");
		return;
	}
	/* As the container's own command runs, but for the terminal and the command itself. */
	so = container_spec_to_json(ctr->spec);
	mine = json_object_new_object();
	for (size_t i = 0; keep[i]; i++) {
		struct json_object *v;

		if (json_object_object_get_ex(so, keep[i], &v))
			json_object_object_add(mine, keep[i], json_object_get(v));
	}
	json_object_object_add(mine, "argv", control_strv_to_json(argv));
	control_put_bool(mine, "tty", tty);
	control_strv_free(argv);
	if (container_spec_from_json(mine, &spec, &e) ||
	    start_enter(s, c, ctr, take_ptr(spec), stdio, &e))
		reply_error(s, c, &e);
}

static void handle_kill(struct supervisor *s, struct conn *c, struct json_object *o,
			struct control_fds *fds)
{
	struct warder_error e = { "" };
	struct ctr *ctr = request_container(s, o, &e);
	int64_t sig = SIGTERM;
	int all = 0, err;

	(void)fds;
	if (!ctr || control_get_i64(o, "signal", 1, 64, &sig, &e) < 0 ||
	    control_get_bool(o, "all", &all, &e) < 0) {
		reply_error(s, c, &e);
		return;
	}
	if (!all && ctr->init_gone) {
		error_set(&e, -ESRCH, "the first process of container %s has ended: use --all",
			  ctr->name);
		reply_error(s, c, &e);
		return;
	}
	if (all && ctr->foreign)
		err = adopt_kill_all(s, ctr);
	else if (all && ctr->cgroup_fd >= 0)
		err = cgroup_kill(ctr->cgroup_fd);
	else
		err = syscall(SYS_pidfd_send_signal, ctr->init.fd, all ? SIGKILL : (int)sig, NULL,
			      0) ?
			      -errno :
			      0;
	if (err) {
		error_errno(&e, err, "container %s cannot be signalled", ctr->name);
		reply_error(s, c, &e);
		return;
	}
	conn_reply_ok(s, c);
}

static void handle_wait(struct supervisor *s, struct conn *c, struct json_object *o,
			struct control_fds *fds)
{
	const char *name = NULL;
	struct warder_error e = { "" };
	uint64_t cid = 0;
	struct ctr *ctr;

	(void)fds;
	if (control_get_string(o, "name", &name, &e) < 0 ||
	    control_get_u64(o, "cid", UINT64_MAX, &cid, &e) < 0) {
		reply_error(s, c, &e);
		return;
	}
	if (!name == !cid) {
		conn_reply_error(s, c, 125, "the request must have a name or a cid");
		return;
	}
	ctr = name ? ctr_find_name(s, name) : ctr_find_cid(s, cid);
	if (ctr) {
		c->waits_cid = ctr->cid;
		return;
	}
	for (size_t i = s->exited_count; i-- > 0;) {
		struct json_object *r;

		if (name ? strcmp(s->exited[i].name, name) : s->exited[i].cid != cid)
			continue;
		r = reply_new();
		control_put_int(r, "status", s->exited[i].status);
		conn_reply(s, c, r, -1);
		return;
	}
	error_set(&e, -ENOENT, "there is no container \"%.64s\" and none of that name among the last "
			       "%d that exited", name ? name : "with that id", STATE_EXITED_MAX);
	reply_error(s, c, &e);
}

/* All its policies, in the order in which they were given. */
static struct json_object *ctr_policies_to_json(struct supervisor *s, const struct ctr *c)
{
	const struct sup_policy *p = &s->policy[c->policy];
	struct json_object *list = json_object_new_array();

	for (unsigned i = 0; i < (p->layers ? p->layers : 1); i++) {
		const struct sup_policy *one = p->layers ? &s->policy[p->member[i]] : p;
		struct json_object *o = json_object_new_object();

		control_put_string(o, "name", one->name);
		control_put_string(o, "mode", mode_name(one->image->img.h.mode));
		control_put_string(o, "digest", one->image->digest);
		json_object_array_add(list, o);
	}
	return list;
}

struct json_object *ctr_to_json(struct supervisor *s, struct ctr *c, int all)
{
	static const char *const states[] = { "starting", "running", "ending" };
	struct json_object *o = json_object_new_object(), *sub;
	const struct warder_image *img = sup_ctr_image(s, c);
	struct warder_stats st;
	struct warder_task tag;
	char mode[64];

	control_put_string(o, "name", c->name);
	control_put_u64(o, "id", c->cid);
	control_put_string(o, "state", states[c->state]);
	control_put_int(o, "pid", c->pid);
	control_put_int(o, "created", c->created);
	control_put_string(o, "policy", img ? sup_policy_name(s, c->policy) : NULL);
	control_put_string(o, "mode",
			   img ? sup_policy_mode(s, c->policy, mode, sizeof(mode)) : NULL);
	control_put_string(o, "policy_by", sup_policy_by_name(c->policy_by));
	if (c->spec)
		json_object_object_add(o, "command", control_strv_to_json(c->spec->argv));
	if (!all)
		return o;
	control_put_int(o, "slot", c->slot);
	control_put_string(o, "digest", img ? s->policy[c->policy].image->digest : NULL);
	if (c->digest_found[0])
		control_put_string(o, "digest_expected", c->digest_found);
	if (img)
		json_object_object_add(o, "policies", ctr_policies_to_json(s, c));
	control_put_bool(o, "adopted", c->adopted);
	control_put_bool(o, "foreign", c->foreign);
	control_put_string(o, "new_mount_api", !(c->filter & OVERRIDE_FILTER_MOUNT) ? NULL :
					       c->notify > 0 ? "asked" : c->notify < 0 ? "lost" : NULL);
	if (c->foreign) {
		control_put_bool(o, "init_gone", c->init_gone);
		if (c->before)
			json_object_object_add(o, "before", json_object_get(c->before));
	}
	ctr_keyring_to_json(s, c, o);
	if (s->loader && img && c->init.fd >= 0 &&
	    !loader_get_task(s->loader, c->init.fd, &tag) && tag.profile_id)
		control_put_string(o, "profile", image_profile_name(img, tag.profile_id));
	if (s->loader && !loader_get_stats(s->loader, c->slot, &st)) {
		sub = json_object_new_object();
		control_put_u64(sub, "denied", st.denied);
		control_put_u64(sub, "audited", st.audited);
		control_put_u64(sub, "events", st.events);
		control_put_u64(sub, "events_dropped", st.events_dropped);
		control_put_u64(sub, "events_suppressed", st.events_suppressed);
		control_put_u64(sub, "intercepts", st.intercepts);
		control_put_u64(sub, "intercepts_late", st.intercepts_late);
		control_put_u64(sub, "faults", st.faults);
		control_put_u64(sub, "tasks", st.tasks);
		control_put_u64(sub, "keys", st.keys);
		control_put_u64(sub, "key_bytes", st.key_bytes);
		control_put_u64(sub, "upcalls", st.upcalls);
		json_object_object_add(o, "counters", sub);
	}
	if (c->has_rings) {
		sub = json_object_new_object();
		control_put_int(sub, "session", c->rings.session);
		control_put_int(sub, "container", c->rings.container);
		json_object_object_add(o, "rings", sub);
	}
	sub = json_object_new_object();
	control_put_u64(sub, "user", c->userns);
	control_put_u64(sub, "mount", c->mntns);
	control_put_u64(sub, "pid", c->pidns);
	control_put_bool(sub, "user_owned", c->userns_fd >= 0);
	if (c->uid_base)
		control_put_u64(sub, "uid_base", c->uid_base);
	json_object_object_add(o, "namespaces", sub);
	sub = json_object_new_array();
	for (size_t i = 0; i < c->mount_count; i++)
		json_object_array_add(sub, json_object_new_string(c->mounts[i]));
	json_object_object_add(o, "mounts", sub);
	if (c->spec)
		json_object_object_add(o, "spec", container_spec_to_json(c->spec));
	return o;
}

static void handle_list(struct supervisor *s, struct conn *c, struct json_object *o,
			struct control_fds *fds)
{
	struct json_object *r = reply_new(), *list = json_object_new_array();

	(void)o;
	(void)fds;
	for (struct ctr *ctr = s->ctrs; ctr; ctr = ctr->next)
		json_object_array_add(list, ctr_to_json(s, ctr, 0));
	json_object_object_add(r, "containers", list);
	conn_reply(s, c, r, -1);
}

static void handle_inspect(struct supervisor *s, struct conn *c, struct json_object *o,
			   struct control_fds *fds)
{
	struct warder_error e = { "" };
	struct ctr *ctr = request_container(s, o, &e);
	struct json_object *r;

	(void)fds;
	if (!ctr) {
		reply_error(s, c, &e);
		return;
	}
	r = reply_new();
	json_object_object_add(r, "container", ctr_to_json(s, ctr, 1));
	conn_reply(s, c, r, -1);
}

/* -------------------------------------------------------------------------- events */

static void handle_events(struct supervisor *s, struct conn *c, struct json_object *o,
			  struct control_fds *fds)
{
	struct warder_error e = { "" };
	const char *name = NULL;
	int follow = 0, history = 1;
	uint64_t cid = 0;
	struct json_object *r;

	(void)fds;
	if (control_get_string(o, "name", &name, &e) < 0 ||
	    control_get_bool(o, "follow", &follow, &e) < 0 ||
	    control_get_bool(o, "history", &history, &e) < 0) {
		reply_error(s, c, &e);
		return;
	}
	if (name) {
		struct ctr *ctr = ctr_find_name(s, name);

		cid = ctr ? ctr->cid : 0;
		for (size_t i = s->exited_count; !cid && i-- > 0;) {
			if (!strcmp(s->exited[i].name, name))
				cid = s->exited[i].cid;
		}
		if (!cid) {
			error_set(&e, -ENOENT, "there is no container \"%.64s\": see `warder list`",
				  name);
			reply_error(s, c, &e);
			return;
		}
	}
	r = reply_new();
	json_object_object_add(r, "events",
			       history ? sup_event_history(s, cid) : json_object_new_array());
	if (follow) {
		c->subscriber = 1;
		c->filter = cid;
	}
	conn_reply(s, c, r, -1);
}

/* ------------------------------------------------------------------- the supervisor */

static void status_add_miss(const char *name, __u64 count, int override, const char *made_good,
			    void *arg)
{
	struct json_object *o = json_object_new_object();

	control_put_string(o, "program", name);
	control_put_u64(o, "count", count);
	control_put_bool(o, "override", override);
	if (made_good)
		control_put_string(o, "made_good", made_good);
	json_object_array_add(arg, o);
}

static void handle_status(struct supervisor *s, struct conn *c, struct json_object *o,
			  struct control_fds *fds)
{
	struct json_object *r = reply_new(), *faults, *skipped;
	__u64 counts[WARDER_FAULT__MAX];
	unsigned containers = 0, dropped = 0;

	(void)o;
	(void)fds;
	for (struct ctr *ctr = s->ctrs; ctr; ctr = ctr->next) {
		struct warder_stats st;

		containers++;
		if (s->loader && !loader_get_stats(s->loader, ctr->slot, &st))
			dropped += (unsigned)(st.events_dropped + st.events_suppressed);
	}
	control_put_int(r, "pid", getpid());
	control_put_bool(r, "on_demand", s->options.on_demand);
	control_put_bool(r, "enforcing", s->loader != NULL);
	control_put_bool(r, "adopted", s->loader && loader_was_pinned(s->loader));
	control_put_bool(r, "keyrings", s->keyring != NULL);
	if (!s->keyring)
		control_put_string(r, "keyrings_reason", s->keyring_reason);
	control_put_bool(r, "queues", sup_upcall_is_needed(s));
	control_put_int(r, "containers", containers);
	control_put_u64(r, "events_lost", dropped);
	control_put_u64(r, "outcomes_lost", s->outcomes_dropped);
	if (s->loader && !loader_get_faults(s->loader, counts)) {
		faults = json_object_new_object();
		for (int i = 1; i < WARDER_FAULT__MAX; i++)
			control_put_u64(faults, fault_name((__u32)i), counts[i]);
		json_object_object_add(r, "faults", faults);
	}
	if (s->loader) {
		skipped = json_object_new_array();
		loader_each_miss(s->loader, status_add_miss, skipped);
		json_object_object_add(r, "skipped", skipped);
	}
	conn_reply(s, c, r, -1);
}

/* Another supervisor takes over: the answer says that no intercept is taken any more; the lock
 * is free once this process is gone. */
static void handle_handover(struct supervisor *s, struct conn *c, struct json_object *o,
			    struct control_fds *fds)
{
	(void)o;
	(void)fds;
	if (s->launches) {
		for (struct launch *l = s->launches; l; l = l->next) {
			if (!l->released) {
				conn_reply_error(s, c, 125, "a container is just being started");
				return;
			}
		}
	}
	override_free(s->override);
	s->override = NULL;
	s->handed_over = s->leaving = 1;
	conn_reply_ok(s, c);
}

/* ------------------------------------------------------------------------ dispatch */

static const struct request {
	const char *name;
	request_fn handle;
	int while_leaving;
	int waits; /* the connection waits for its outcome, or for events: one such at a time */
	size_t fds; /* at most */
	const char *const keys[10];
} requests[] = {
	{ "run", handle_run, 0, 1, 4,
	  { "request", "spec", "policy", "policies", "image", "stdio", "detach",
	  "unasked", NULL } },
	{ "adopt", handle_adopt, 0, 1, 2,
	  { "request", "name", "policy", "policies", "image", "pid", "cgroup", "unasked", "annotations", NULL } },
	{ "release", handle_release, 0, 1, 0, { "request", "name", NULL } },
	{ "enter", handle_enter, 0, 1, 3, { "request", "name", "argv", "tty", "stdio", NULL } },
	{ "kill", handle_kill, 0, 0, 0, { "request", "name", "signal", "all", NULL } },
	{ "wait", handle_wait, 0, 1, 0, { "request", "name", "cid", NULL } },
	{ "list", handle_list, 1, 0, 0, { "request", NULL } },
	{ "inspect", handle_inspect, 1, 0, 0, { "request", "name", NULL } },
	{ "events", handle_events, 0, 1, 0, { "request", "name", "follow", "history", NULL } },
	{ "policy-load", handle_policy_load, 0, 0, 1, { "request", NULL } },
	{ "policy-unload", handle_policy_unload, 0, 0, 0, { "request", "name", NULL } },
	{ "policy-list", handle_policy_list, 1, 0, 0, { "request", NULL } },
	{ "policy-match", handle_policy_match, 1, 0, 0, { "request", "name", "annotations", NULL } },
	{ "policy-show", handle_policy_show, 1, 0, 0, { "request", "name", NULL } },
	{ "keyring-show", handle_keyring_show, 0, 0, 0, { "request", "name", NULL } },
	{ "keyring-add", handle_keyring_add, 0, 0, 1,
	  { "request", "name", "type", "description", "may", "seconds", NULL } },
	{ "keyring-rotate", handle_keyring_rotate, 0, 0, 1,
	  { "request", "name", "type", "description", NULL } },
	{ "keyring-link", handle_keyring_link, 0, 0, 0, { "request", "name", "serial", "may", NULL } },
	{ "keyring-unlink", handle_keyring_unlink, 0, 0, 0,
	  { "request", "name", "type", "description", NULL } },
	{ "keyring-revoke", handle_keyring_revoke, 0, 0, 0,
	  { "request", "name", "type", "description", NULL } },
	{ "keyring-queue", handle_keyring_queue, 0, 0, 0,
	  { "request", "type", "version", "name", NULL } },
	{ "keyring-answer", handle_keyring_answer, 1, 0, 0, { NULL } }, /* it looks at members itself */
	{ "request-key", handle_request_key, 1, 0, 0, { "request", NULL } },
	{ "handler", handle_handler, 0, 1, 0,
	  { "request", "handler", "version", "versions", "order", "observe", "name", NULL } },
	{ "handler-reply", handle_handler_reply, 1, 0, 0,
	  { "request", "seq", "decision", "errno", "value", "ms", "flags", "options", NULL } },
	{ "ask-list", handle_ask_list, 0, 0, 0, { "request", NULL } },
	{ "ask-answer", handle_ask_answer, 0, 0, 0,
	  { "request", "seq", "allow", "remember", NULL } },
	{ "status", handle_status, 1, 0, 0, { "request", NULL } },
	{ "handover", handle_handover, 0, 0, 0, { "request", NULL } },
};

/* From inside a container: its own state, and its own keys' upcalls. */
static void dispatch_container(struct supervisor *s, struct conn *c, struct json_object *o,
			       const char *name, struct control_fds *fds)
{
	struct ctr *ctr = ctr_find_cid(s, c->cid);
	const struct request *request = NULL;
	struct warder_error e = { "" };
	struct json_object *r;

	for (size_t i = 0; ctr && i < ARRAY_SIZE(requests); i++)
		if (!strncmp(name, "keyring-", 8) && !strcmp(requests[i].name, name) &&
		    (requests[i].handle == handle_keyring_queue ||
		     requests[i].handle == handle_keyring_answer))
			request = &requests[i];
	if (request && !fds->count) {
		if (request->handle != handle_keyring_answer && control_check_keys(o, request->keys, &e))
			reply_error(s, c, &e);
		else
			request->handle(s, c, o, fds);
		return;
	}
	if (!ctr || strcmp(name, "status") || fds->count) {
		conn_reply_error(s, c, 125, "a container may only ask {\"request\":\"status\"}, and serve "
					    "a queue of keys");
		return;
	}
	r = reply_new();
	json_object_object_add(r, "container", ctr_to_json(s, ctr, 0));
	conn_reply(s, c, r, -1);
}

/* Two outcomes could not be told apart; and publishing an event may close a subscriber. */
static int request_waits(struct supervisor *s, const struct conn *c)
{
	for (const struct launch *l = s->launches; l; l = l->next) {
		if (l->conn == c->id)
			return 1;
	}
	return c->waits_cid || c->subscriber || *c->handler || c->queues;
}

void request_dispatch(struct supervisor *s, struct conn *c, struct json_object *o,
		      struct control_fds *fds)
{
	const struct request *request = NULL;
	struct warder_error e = { "" };
	const char *name = NULL;
	uint64_t id = c->id;

	if (control_get_string(o, "request", &name, &e) == 1) {
		if (c->cid) {
			dispatch_container(s, c, o, name, fds);
			return;
		}
		for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
			if (!strcmp(requests[i].name, name))
				request = &requests[i];
		}
	}
	if (!request)
		error_set(&e, -EINVAL, "unknown request \"%.64s\"", name ? name : "");
	else if (fds->count > request->fds)
		error_set(&e, -EINVAL, "the request has %zu descriptors, not at most %zu",
			  fds->count, request->fds);
	else if (request->waits && request_waits(s, c))
		error_set(&e, -EBUSY, "this connection waits for something else");
	else if (request->handle == handle_keyring_answer ||
		 !control_check_keys(o, request->keys, &e)) {
		if (!s->leaving || request->while_leaving) {
			request->handle(s, c, o, fds);
			return;
		}
		error_set(&e, -ESHUTDOWN, "the supervisor is leaving: try again");
	}
	/* Not one of ours: the sentence, and the end. */
	if (!conn_reply_error(s, c, 125, e.text) && conn_find(s, id))
		conn_close(s, c);
}
