// SPDX-License-Identifier: LGPL-2.1-or-later
/* Requests about policies: load, unload, list, show. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "supervisor_private.h"

void handle_policy_load(struct supervisor *s, struct conn *c, struct json_object *o,
			struct control_fds *fds)
{
	struct sup_image *image = NULL;
	struct warder_error e = { "" };
	struct json_object *r;
	int64_t at = 0;
	uint32_t slot;

	(void)o;
	if (fds->count != 1) {
		conn_reply_error(s, c, 125, "the request must bring one descriptor, the image");
		return;
	}
	if (sup_policy_read(fds->fd[0], &at, &image, &e)) {
		reply_error(s, c, &e);
		return;
	}
	if (sup_policy_read_end(fds->fd[0], at, &e)) {
		sup_image_unref(s, image);
		reply_error(s, c, &e);
		return;
	}
	if (sup_policy_load(s, image, &slot, &e)) {
		reply_error(s, c, &e);
		return;
	}
	r = reply_new();
	control_put_string(r, "name", s->policy[slot].name);
	control_put_string(r, "digest", s->policy[slot].image->digest);
	control_put_int(r, "users", s->policy[slot].users);
	conn_reply(s, c, r, -1);
}

static struct json_object *policy_to_json(const struct sup_policy *p, int slot)
{
	struct json_object *o = json_object_new_object();
	const struct warder_image_header *h = &p->image->img.h;

	control_put_string(o, "name", p->name);
	control_put_int(o, "slot", slot);
	control_put_string(o, "digest", p->image->digest);
	control_put_string(o, "mode", mode_name(h->mode));
	control_put_bool(o, "loaded", p->kept);
	json_object_object_add(o, "match", image_match_json(&p->image->img));
	control_put_bool(o, "selectable", (h->settings & WARDER_SETTING_SELECTABLE) != 0);
	control_put_int(o, "rules", h->rule.count);
	control_put_int(o, "bytes", h->length);
	control_put_int(o, "containers", p->users);
	return o;
}

void handle_policy_list(struct supervisor *s, struct conn *c, struct json_object *o,
			struct control_fds *fds)
{
	struct json_object *r = reply_new(), *list = json_object_new_array();

	(void)o;
	(void)fds;
	for (int i = 0; i < WARDER_POLICIES_MAX; i++)
		if (s->policy[i].image && !s->policy[i].layers)
			json_object_array_add(list, policy_to_json(&s->policy[i], i));
	json_object_object_add(r, "policies", list);
	conn_reply(s, c, r, -1);
}

/* The slot of the policy that the request names, -errno with a sentence. */
static int request_policy(struct supervisor *s, struct json_object *o, const char **ret_name,
			  struct warder_error *e)
{
	int found = control_get_string(o, "name", ret_name, e), slot;

	if (found < 0)
		return found;
	slot = found == 1 ? sup_policy_find(s, *ret_name) : -ENOENT;
	if (slot < 0)
		error_set(e, slot, "no policy named \"%.64s\" is loaded: see `warder policy list`",
			  *ret_name ? *ret_name : "");
	return slot;
}

void handle_policy_unload(struct supervisor *s, struct conn *c, struct json_object *o,
			  struct control_fds *fds)
{
	struct warder_error e = { "" };
	const char *name = NULL;
	int slot = request_policy(s, o, &name, &e);

	(void)fds;
	if (slot >= 0 && s->policy[slot].users)
		slot = error_set(&e, -EBUSY, "policy \"%.64s\" is used by %u containers", name,
				 s->policy[slot].users);
	if (slot < 0) {
		reply_error(s, c, &e);
		return;
	}
	/* As when the last container of one that nobody loaded leaves. */
	sup_policy_keep(s, (uint32_t)slot, 0);
	s->policy[slot].users = 1;
	sup_policy_release(s, (uint32_t)slot);
	conn_reply(s, c, reply_new(), -1);
}

/* The digest is of what the kernel holds now, beside that of what was loaded. */
void handle_policy_show(struct supervisor *s, struct conn *c, struct json_object *o,
			struct control_fds *fds)
{
	cleanup_free struct warder_image *img = NULL;
	struct warder_image *stacks[WARDER_POLICIES_MAX] = { NULL };
	struct warder_error e = { "" };
	struct json_object *r, *rules;
	const char *name = NULL;
	char digest[65] = "";
	int slot, counted;

	(void)fds;
	slot = request_policy(s, o, &name, &e);
	if (slot < 0) {
		reply_error(s, c, &e);
		return;
	}
	if (s->loader) {
		int err = loader_read_image(s->loader, (uint32_t)slot, &img);

		if (err) {
			error_errno(&e, err, "cannot read policy %s back from the kernel", name);
			reply_error(s, c, &e);
			return;
		}
		image_digest(img, digest);
	}
	counted = img && img->h.hit_shards;
	/* Where the policy is one of several, its rules count in the image of all of them. */
	for (uint32_t i = 0; counted && i < WARDER_POLICIES_MAX; i++)
		if (s->policy[i].image && sup_stack_has(&s->policy[i], (uint32_t)slot))
			loader_read_image(s->loader, i, &stacks[i]);
	r = reply_new();
	json_object_object_add(r, "policy", policy_to_json(&s->policy[slot], slot));
	control_put_string(r, "kernel_digest", digest);
	control_put_bool(r, "intact", !strcmp(digest, s->policy[slot].image->digest));
	rules = json_object_new_array();
	for (uint32_t i = 1; i <= s->policy[slot].image->img.h.rule.count; i++) {
		const struct warder_rule *rule = image_rule(&s->policy[slot].image->img, i);
		struct json_object *ro = json_object_new_object();
		char where[512];

		if (!rule) {
			json_object_put(ro);
			break;
		}
		control_put_int(ro, "rule", i);
		control_put_string(ro, "where", image_rule_where(&s->policy[slot].image->img, i,
								 where, sizeof(where)));
		control_put_string(ro, "class", class_name(rule->class_));
		control_put_string(ro, "action", rule->deny ? "deny" : "allow");
		if (rule->id)
			control_put_string(ro, "id",
					   image_string(&s->policy[slot].image->img, rule->id));
		if (counted)
			control_put_u64(ro, "hits",
					sup_policy_hits(s, (uint32_t)slot, img, stacks, i));
		json_object_array_add(rules, ro);
	}
	if (counted)
		control_put_u64(r, "default_hits", image_hits(img, 0));
	for (uint32_t i = 0; i < WARDER_POLICIES_MAX; i++)
		free(stacks[i]);
	json_object_object_add(r, "rules", rules);
	conn_reply(s, c, r, -1);
}
