// SPDX-License-Identifier: LGPL-2.1-or-later
/* Requests about a container's keys. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "policy_shared.h"
#include "request_key.h"
#include "supervisor_private.h"
#include "supervisor_upcall.h"
#include "warder_decide.h"

#define PAYLOAD_MAX 32768

/* The container that the request names, if it has a keyring; NULL with a sentence. */
static struct ctr *request_keyring(struct supervisor *s, struct json_object *o,
				   struct warder_error *e)
{
	struct ctr *ctr = request_container(s, o, e);

	if (ctr && !s->keyring)
		error_set(e, -ENOSYS, "containers have no keyrings here: %s", s->keyring_reason);
	else if (ctr && !ctr->has_rings)
		error_set(e, -ENOENT, "container %s has no keyring", ctr->name);
	else
		return ctr;
	return NULL;
}

/* Which lookups do not reach C where a join is as ever. */
static const char *lazy_unreached(void)
{
	switch (request_key_state()) {
	case REQUEST_KEY_DIVERTED:
		return "in a session that was joined: those without callout information, until one with it "
		       "(or `warder keyring attach`) has linked the container keyring there";
	case REQUEST_KEY_LINE:
		return "in a session that was joined: all, until one with callout information of a type "
		       "that " REQUEST_KEY_LINES " names and the policy leaves to a queue or the host; "
		       "`warder request-key divert` does without";
	default:
		return "in a session that was joined: all, as " REQUEST_KEY " is not warder's; see `warder "
		       "request-key divert`";
	}
}

/* The rings that its policies have it share. */
static struct json_object *shared_list(const struct warder_image *img)
{
	struct json_object *list = json_object_new_array();
	const char *name;

	for (unsigned i = 0; img && (name = image_shared(img, i)); i++)
		json_object_array_add(list, json_object_new_string(name));
	return list;
}

/* Daemons that are asked for its keys. In which order depends on the user namespace of who asks. */
static struct json_object *queues_list(const struct supervisor *s, const struct ctr *c)
{
	struct json_object *list = json_object_new_array();

	for (const struct sup_queue *q = s->queues; q; q = q->next) {
		struct json_object *one;

		if (q->q.cid && q->q.cid != c->cid)
			continue;
		one = json_object_new_object();
		control_put_string(one, "type", q->q.type[0] ? q->q.type : "*");
		control_put_string(one, "daemon", q->q.userns ? "container" :
						  q->q.cid    ? "host" :
								"host, for all containers");
		if (q->q.userns)
			control_put_int(one, "pid", q->pid);
		json_object_array_add(list, one);
	}
	return list;
}

void ctr_keyring_to_json(struct supervisor *s, const struct ctr *c, struct json_object *o)
{
	static const char *const joins[WARDER_JOIN__MAX] = { "lazy", "sticky", "deny" };
	const struct warder_image *img = sup_ctr_image(s, c);
	__u32 join = img ? warder_join_of(img) : WARDER_JOIN_LAZY;
	struct json_object *list;

	if (!c->has_rings) {
		control_put_string(o, "keyring", "none");
		return;
	}
	list = json_object_new_array();
	/* Where nobody answers, the hooks refuse. */
	if (join == WARDER_JOIN_STICKY && !(c->notify > 0 && c->filter & OVERRIDE_FILTER_KEYS))
		control_put_string(o, "keyring", "sticky: deny here, as no filter asks about joins");
	else
		control_put_string(o, "keyring", joins[join % WARDER_JOIN__MAX]);
	if (c->foreign)
		json_object_array_add(list, json_object_new_string("in the session keyring that its tasks came "
								   "with, which is the host's: all"));
	if (join == WARDER_JOIN_LAZY)
		json_object_array_add(list, json_object_new_string(lazy_unreached()));
	json_object_object_add(o, "keyring_unreached", list);
	json_object_object_add(o, "keyring_shared", shared_list(img));
	json_object_object_add(o, "keyring_queues", queues_list(s, c));
}

void handle_keyring_show(struct supervisor *s, struct conn *c, struct json_object *o,
			 struct control_fds *fds)
{
	cleanup_free struct keyring_key *keys = NULL;
	struct warder_error e = { "" };
	const char *shared = request_shared(o);
	struct ctr *ctr = shared ? NULL : request_keyring(s, o, &e);
	struct json_object *r = reply_new(), *list;
	size_t count = 0;

	(void)fds;
	if (shared ? sup_shared_show(s, shared, r, &keys, &count, &e) :
		     !ctr || keyring_list_keys(s->keyring, &ctr->rings, &keys, &count, &e)) {
		json_object_put(r);
		reply_error(s, c, &e);
		return;
	}
	if (!shared) {
		control_put_int(r, "session", ctr->rings.session);
		control_put_int(r, "container", ctr->rings.container);
	}
	list = json_object_new_array();
	for (size_t i = 0; i < count; i++) {
		struct json_object *k = json_object_new_object();
		char ring[2] = { keys[i].ring, '\0' };

		control_put_int(k, "serial", keys[i].serial);
		control_put_string(k, "type", keys[i].type);
		control_put_string(k, "description", keys[i].description);
		control_put_u64(k, "uid", keys[i].uid);
		control_put_u64(k, "gid", keys[i].gid);
		control_put_u64(k, "perm", keys[i].perm);
		control_put_string(k, "ring", ring);
		json_object_array_add(list, k);
	}
	json_object_object_add(r, "keys", list);
	conn_reply(s, c, r, -1);
}

/* A key's name; 0 after a sentence. */
static int request_key_name(struct json_object *o, const char **ret_type, const char **ret_description,
			    struct warder_error *e)
{
	if (control_get_string(o, "type", ret_type, e) == 1 &&
	    control_get_string(o, "description", ret_description, e) == 1)
		return 1;
	if (!e->text[0])
		error_set(e, -EINVAL, "a key is named by its type and description");
	return 0;
}

/* Adds or rotates. The payload comes as a descriptor and is never written into a message or a
 * log. */
static int key_put(struct supervisor *s, struct json_object *o, struct control_fds *fds, int rotate,
		   int32_t *ret_serial, struct warder_error *e)
{
	static char payload[PAYLOAD_MAX + 1];
	struct keyring_key_options options = { .may = 0 };
	const char *type = NULL, *description = NULL, *shared = request_shared(o);
	struct ctr *ctr = shared ? NULL : request_keyring(s, o, e);
	uint64_t may = 0, seconds = 0;
	ssize_t len;
	int err;

	if ((!ctr && !shared) || !request_key_name(o, &type, &description, e) ||
	    control_get_u64(o, "may", WARDER_KEY_MAY_ALL, &may, e) < 0 ||
	    control_get_u64(o, "seconds", UINT32_MAX, &seconds, e) < 0)
		return -EINVAL;
	if (fds->count != 1)
		return error_set(e, -EINVAL, "a key needs one descriptor with its payload");
	if (control_check_sealed(fds->fd[0], "the key's payload", e))
		return -EINVAL;
	len = pread(fds->fd[0], payload, sizeof(payload), 0);
	if (len < 0 || len > PAYLOAD_MAX)
		return error_set(e, -EINVAL, "the key's payload cannot be read or is too long");
	options.may = (uint32_t)may;
	options.seconds = (uint32_t)seconds;
	if (shared)
		err = sup_shared_put(s, shared,
				     &(struct shared_key) { .type = type, .description = description,
							    .payload = payload, .len = (size_t)len,
							    .options = &options, .rotate = rotate },
				     ret_serial, e);
	else if (rotate)
		err = keyring_rotate_key(s->keyring, ctr->cid, &ctr->rings, type, description,
					 payload, (size_t)len, ret_serial, e);
	else
		err = keyring_add_key_with(s->keyring, ctr->cid, &ctr->rings, type, description,
					   payload, (size_t)len, &options, ret_serial, e);
	explicit_bzero(payload, sizeof(payload));
	return err;
}

static void handle_put(struct supervisor *s, struct conn *c, struct json_object *o,
		       struct control_fds *fds, int rotate)
{
	struct warder_error e = { "" };
	struct json_object *r;
	int32_t serial = 0;

	if (key_put(s, o, fds, rotate, &serial, &e)) {
		reply_error(s, c, &e);
		return;
	}
	r = reply_new();
	control_put_int(r, "serial", serial);
	conn_reply(s, c, r, -1);
}

void handle_keyring_add(struct supervisor *s, struct conn *c, struct json_object *o,
			struct control_fds *fds)
{
	handle_put(s, c, o, fds, 0);
}

void handle_keyring_rotate(struct supervisor *s, struct conn *c, struct json_object *o,
			   struct control_fds *fds)
{
	handle_put(s, c, o, fds, 1);
}

/* Unlinks or revokes. */
static void handle_end(struct supervisor *s, struct conn *c, struct json_object *o,
		       int (*end)(struct keyring *, uint64_t, const struct keyring_rings *,
				  const char *, const char *, struct warder_error *))
{
	const char *type = NULL, *description = NULL, *shared = request_shared(o);
	struct warder_error e = { "" };
	struct ctr *ctr = shared ? NULL : request_keyring(s, o, &e);
	int err = -EINVAL;

	if ((ctr || shared) && request_key_name(o, &type, &description, &e))
		err = shared ? sup_shared_end(s, shared, type, description,
					      end == keyring_revoke_key, &e) :
			       end(s->keyring, ctr->cid, &ctr->rings, type, description, &e);
	if (err)
		reply_error(s, c, &e);
	else
		conn_reply_ok(s, c);
}

void handle_keyring_unlink(struct supervisor *s, struct conn *c, struct json_object *o,
			   struct control_fds *fds)
{
	(void)fds;
	handle_end(s, c, o, keyring_unlink_key);
}

void handle_keyring_revoke(struct supervisor *s, struct conn *c, struct json_object *o,
			   struct control_fds *fds)
{
	(void)fds;
	handle_end(s, c, o, keyring_revoke_key);
}

void handle_keyring_link(struct supervisor *s, struct conn *c, struct json_object *o,
			 struct control_fds *fds)
{
	struct warder_error e = { "" };
	struct ctr *ctr = request_keyring(s, o, &e);
	uint64_t may = WARDER_KEY_MAY_VIEW | WARDER_KEY_MAY_READ | WARDER_KEY_MAY_SEARCH;
	int64_t serial = 0;

	(void)fds;
	if (!ctr || control_get_i64(o, "serial", 1, INT32_MAX, &serial, &e) < 0 ||
	    control_get_u64(o, "may", WARDER_KEY_MAY_ALL, &may, &e) < 0 ||
	    keyring_link_key(s->keyring, ctr->cid, &ctr->rings, (int32_t)serial, (uint32_t)may, &e))
		reply_error(s, c, &e);
	else
		conn_reply_ok(s, c);
}
