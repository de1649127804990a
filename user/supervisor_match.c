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

/* Names of the loaded policies for which `want` holds, sorted; those of slots, so borrowed. */
static size_t loaded_names(struct supervisor *s, int (*want)(const struct warder_image *, void *),
			   void *arg, const char *ret[WARDER_POLICIES_MAX])
{
	size_t count = 0;

	for (int i = 0; i < WARDER_POLICIES_MAX; i++) {
		const struct sup_policy *p = &s->policy[i];

		if (p->image && p->kept && !p->layers && (!want || want(&p->image->img, arg)))
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
	count = loaded_names(s, NULL, NULL, name);
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

struct who {
	const char *name;
	char *const *annotations;
};

static int want_matching(const struct warder_image *img, void *arg)
{
	const struct who *w = arg;

	return image_matches(img, w->name, (const char *const *)w->annotations);
}

static int want_any(const struct warder_image *img, void *arg)
{
	(void)arg;
	return img->h.match.count != 0;
}

int sup_policy_any_match(struct supervisor *s)
{
	const char *name[WARDER_POLICIES_MAX];

	return loaded_names(s, want_any, NULL, name) != 0;
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
	size_t count = loaded_names(s, want_matching, (void *)(uintptr_t)who, ret);
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
	const struct who who = { c->name, annotations };
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
	struct warder_error e = { "" };
	struct who who;
	int count = -EINVAL;

	(void)fds;
	if (control_get_string(o, "name", &container, &e) == 1 &&
	    control_get_strv(o, "annotations", POLICY_ANNOTATIONS_MAX, &annotations, &e) >= 0 &&
	    !container_check_name(container, &e) &&
	    !annotations_check((const char *const *)annotations, &e)) {
		who = (struct who){ container, annotations };
		count = match_names(s, &who, name, &e);
	}
	if (count >= 0) {
		struct json_object *r = reply_new(), *list = json_object_new_array();

		for (int i = 0; i < count; i++)
			json_object_array_add(list, json_object_new_string(name[i]));
		json_object_object_add(r, "policies", list);
		control_strv_free(annotations);
		conn_reply(s, c, r, -1);
		return;
	}
	control_strv_free(annotations);
	reply_error(s, c, &e);
}
