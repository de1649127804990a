// SPDX-License-Identifier: LGPL-2.1-or-later
/* Which policies a container gets that asks for none, and which policies were loaded to stay. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "supervisor_private.h"

static const char *const by_names[] = { "asked", "match", "default" };

const char *sup_policy_by_name(enum sup_policy_by by)
{
	return by_names[by];
}

enum sup_policy_by sup_policy_by_from_name(const char *name)
{
	for (int i = 0; name && i <= SUP_POLICY_DEFAULT; i++)
		if (!strcmp(name, by_names[i]))
			return (enum sup_policy_by)i;
	return SUP_POLICY_ASKED;
}

/* ------------------------------------------------------------------- loaded ones */

static int name_compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int is_loaded(const struct sup_policy *p)
{
	return p->image && p->kept && !p->layers;
}

struct who {
	const char *name;
	const char *const *annotations;
};

/* Names of the loaded policies that match `who`, NULL: of all; sorted; those of slots, so borrowed. */
static size_t loaded_names(struct supervisor *s, const struct who *who,
			   const char *ret[WARDER_POLICIES_MAX])
{
	size_t count = 0;

	for (int i = 0; i < WARDER_POLICIES_MAX; i++) {
		const struct sup_policy *p = &s->policy[i];

		if (is_loaded(p) &&
		    (!who || image_matches(&p->image->img, who->name, who->annotations)))
			ret[count++] = p->name;
	}
	qsort(ret, count, sizeof(*ret), name_compare);
	return count;
}

void sup_policy_keep(struct supervisor *s, uint32_t slot, int kept)
{
	const char *name[WARDER_POLICIES_MAX];
	size_t count;
	int err;

	if (s->policy[slot].kept == kept)
		return;
	s->policy[slot].kept = kept;
	if (!s->state_dir[0])
		return;
	count = loaded_names(s, NULL, name);
	err = state_save_loaded(s->state_dir, name, count);
	if (err)
		log_error("the next supervisor will not know which policies are loaded: %s",
			  strerror(-err));
}

/* Without the list, as when it is damaged, nothing that the kernel holds is taken for less. */
void sup_policy_keep_read(struct supervisor *s)
{
	char **names = NULL;

	if (state_load_loaded(s->state_dir, WARDER_POLICIES_MAX, &names))
		return;
	for (int i = 0; i < WARDER_POLICIES_MAX; i++) {
		struct sup_policy *p = &s->policy[i];

		if (!p->image || p->layers)
			continue;
		p->kept = 0;
		for (size_t k = 0; names[k] && !p->kept; k++)
			p->kept = !strcmp(names[k], p->name);
	}
	control_strv_free(names);
}

/* --------------------------------------------------------------------- matching */

int sup_policy_any_match(const struct supervisor *s)
{
	for (int i = 0; i < WARDER_POLICIES_MAX; i++)
		if (is_loaded(&s->policy[i]) && s->policy[i].image->img.h.match.count)
			return 1;
	return 0;
}

/* "a, b, c" */
static void join_names(const char *const *name, size_t count, char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < count && used < size; i++)
		used += (size_t)snprintf(buf + used, size - used, "%s%s", i ? ", " : "", name[i]);
}

/* Number of the loaded policies that match, at most as many as a container can have; or -errno. */
static int match_names(struct supervisor *s, const struct who *who,
		       const char *ret[WARDER_POLICIES_MAX], struct warder_error *reterr)
{
	size_t count = loaded_names(s, who, ret);
	char list[384];

	if (count <= WARDER_LAYERS_MAX)
		return (int)count;
	join_names(ret, count, list, sizeof(list));
	return error_set(reterr, -E2BIG,
			 "%zu loaded policies match container %.64s, and it can have %d: name those that "
			 "it is to have with --policy. They are %s",
			 count, who->name, WARDER_LAYERS_MAX, list);
}

int sup_policy_choose(struct supervisor *s, struct ctr *c, char *const *annotations, int unasked,
		      struct sup_policy_ref *policy, size_t count, struct warder_error *reterr)
{
	const struct who who = { c->name, (const char *const *)annotations };
	const char *name[WARDER_POLICIES_MAX];
	struct warder_error e = { "" };
	int matching = unasked ? match_names(s, &who, name, reterr) : 0, err;
	char list[384];

	if (matching) {
		sup_policy_refs_free(s, policy, count);
		if (matching < 0)
			return matching;
		count = (size_t)matching;
		for (size_t i = 0; i < count; i++)
			policy[i].name = name[i];
	}
	c->policy_by = matching ? SUP_POLICY_MATCH : unasked ? SUP_POLICY_DEFAULT : SUP_POLICY_ASKED;
	err = sup_policy_hold(s, policy, count, &c->policy, &e);
	c->policy_held = !err;
	if (err && matching) {
		join_names(name, count, list, sizeof(list));
		return error_set(reterr, err, "the loaded policies that match container %.64s (%s) cannot "
					      "be its policies: %.256s",
				 c->name, list, e.text);
	}
	return err ? error_set(reterr, err, "%s", e.text) : 0;
}

void handle_policy_match(struct supervisor *s, struct conn *c, struct json_object *o,
			 struct control_fds *fds)
{
	const char *name[WARDER_POLICIES_MAX], *container = NULL;
	char **annotations = NULL;
	struct json_object *r, *list;
	struct warder_error e = { "" };
	int count = -EINVAL;

	(void)fds;
	if (control_get_string(o, "name", &container, &e) == 1 &&
	    control_get_strv(o, "annotations", POLICY_ANNOTATIONS_MAX, &annotations, &e) >= 0 &&
	    !container_check_name(container, &e) &&
	    !annotations_check((const char *const *)annotations, &e)) {
		const struct who who = { container, (const char *const *)annotations };

		count = match_names(s, &who, name, &e);
	}
	control_strv_free(annotations);
	if (count < 0) {
		reply_error(s, c, &e);
		return;
	}
	r = reply_new();
	list = json_object_new_array();
	for (int i = 0; i < count; i++)
		json_object_array_add(list, json_object_new_string(name[i]));
	json_object_object_add(r, "policies", list);
	conn_reply(s, c, r, -1);
}
