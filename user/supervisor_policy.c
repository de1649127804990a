// SPDX-License-Identifier: LGPL-2.1-or-later
/* Policy images by name: shared by containers, replaced in place, read back after a restart.
 * The supervisor never sees policy text. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "supervisor_private.h"

void sup_image_unref(struct supervisor *s, struct sup_image *image)
{
	unsigned left;

	if (!image)
		return;
	pthread_mutex_lock(&s->lock);
	left = --image->refs;
	pthread_mutex_unlock(&s->lock);
	if (!left)
		free(image);
}

/* Reads and verifies what the client sent; it may be anything. */
int sup_policy_read(int fd, int64_t *at, struct sup_image **ret, struct warder_error *reterr)
{
	cleanup_free struct sup_image *image = NULL;
	const char *name;
	struct stat st;
	size_t len = 0, size;

	/* Sealed: it cannot change under us, and reading it waits for nobody. */
	if (control_check_sealed(fd, "the policy image", reterr))
		return -EINVAL;
	if (fstat(fd, &st) || st.st_size <= *at ||
	    st.st_size > WARDER_LAYERS_MAX * (int64_t)WARDER_IMAGE_SIZE)
		return error_set(reterr, -EINVAL,
				 "the policy image must have 1 to %u bytes",
				 WARDER_IMAGE_SIZE);
	image = calloc(1, sizeof(*image));
	if (!image)
		return error_set(reterr, -ENOMEM, "out of memory");
	size = (size_t)(st.st_size - *at);
	if (size > WARDER_IMAGE_SIZE)
		size = WARDER_IMAGE_SIZE;
	while (len < size) {
		ssize_t n = pread(fd, image->img.b + len, size - len, *at + (off_t)len);

		if (n <= 0)
			return error_set(reterr, -EINVAL, "the policy image cannot be read");
		len += (size_t)n;
	}
	/* Another one may follow. */
	if (image->img.h.length && image->img.h.length < len)
		len = image->img.h.length;
	memset(image->img.b + len, 0, WARDER_IMAGE_SIZE - len);
	if (image_verify(&image->img, len, reterr))
		return -EINVAL;
	name = image_string(&image->img, image->img.h.name);
	if (container_check_name(name, NULL))
		return error_set(reterr, -EINVAL, "policy name \"%.80s\" is not usable", name);
	if (override_check_binds(&image->img, reterr))
		return -EINVAL;
	image_digest(&image->img, image->digest);
	image->refs = 1;
	*at += (int64_t)len;
	*ret = take_ptr(image);
	return 0;
}

int sup_policy_read_end(int fd, int64_t at, struct warder_error *reterr)
{
	struct stat st;

	return !fstat(fd, &st) && st.st_size == at ?
		       0 :
		       error_set(reterr, -EINVAL, "there are bytes behind the policy image");
}

int sup_policy_find(struct supervisor *s, const char *name)
{
	for (int i = 0; i < WARDER_POLICIES_MAX; i++) {
		if (s->policy[i].image && !s->policy[i].layers && !strcmp(s->policy[i].name, name))
			return i;
	}
	return -ENOENT;
}

const char *sup_policy_name(struct supervisor *s, uint32_t slot)
{
	const struct warder_image *img = sup_policy_image(s, slot);

	return img ? image_string(img, img->h.name) : NULL;
}

const char *sup_policy_mode(struct supervisor *s, uint32_t slot, char *buf, size_t size)
{
	const struct warder_image *img = sup_policy_image(s, slot);
	size_t used = 0;
	int differ = 0;

	buf[0] = '\0';
	if (!img)
		return NULL;
	for (uint32_t i = 1; i < img->h.layers; i++)
		differ |= img->h.layer[i].mode != img->h.layer[0].mode;
	for (uint32_t i = 0; used < size && i < (differ ? img->h.layers : 1); i++)
		used += (size_t)snprintf(buf + used, size - used, "%s%s", i ? "+" : "",
					 mode_name(img->h.layer[i].mode));
	return buf;
}

const struct warder_image *sup_policy_image(struct supervisor *s, uint32_t slot)
{
	return slot < WARDER_POLICIES_MAX && s->policy[slot].image ? &s->policy[slot].image->img :
								     NULL;
}

const struct warder_image *sup_ctr_image(struct supervisor *s, const struct ctr *c)
{
	return c && c->policy_held ? sup_policy_image(s, c->policy) : NULL;
}

/* Puts the image into the slot, in the kernel first: containers see the old or the new. */
static int sup_policy_put(struct supervisor *s, uint32_t slot, struct sup_image *image,
			  struct warder_error *reterr)
{
	struct sup_policy *p = &s->policy[slot];
	struct sup_image *old;
	int err;

	if (s->loader) {
		err = loader_publish(s->loader, slot, &image->img, reterr);
		if (err)
			return err;
		supervisor_trim_later(s);
	}
	pthread_mutex_lock(&s->lock);
	old = p->image;
	p->image = image;
	pthread_mutex_unlock(&s->lock);
	snprintf(p->name, sizeof(p->name), "%s",
		 image->img.h.layers > 1 ? "" : image_string(&image->img, image->img.h.name));
	sup_image_unref(s, old);
	return 0;
}

/* The slot is empty from now on. */
static void sup_policy_drop(struct supervisor *s, uint32_t slot)
{
	struct sup_policy *p = &s->policy[slot];
	struct sup_image *old;

	if (s->loader) {
		loader_unpublish(s->loader, slot);
		supervisor_trim_later(s);
	}
	pthread_mutex_lock(&s->lock);
	old = p->image;
	p->image = NULL;
	pthread_mutex_unlock(&s->lock);
	p->layers = 0;
	sup_image_unref(s, old);
}

static int sup_policy_free_slot(struct supervisor *s, struct warder_error *reterr)
{
	for (int i = 0; i < WARDER_POLICIES_MAX; i++) {
		if (!s->policy[i].image)
			return i;
	}
	return error_set(reterr, -ENOSPC, "all %d policy slots are taken", WARDER_POLICIES_MAX);
}

/* ------------------------------------------------------------------------- stacks */

static struct sup_image *sup_image_new(struct warder_image *img)
{
	struct sup_image *image = calloc(1, sizeof(*image));

	if (image) {
		memcpy(&image->img, img, sizeof(*img));
		image_digest(&image->img, image->digest);
		image->refs = 1;
	}
	return image;
}

/* The image of the policies in member[count]; in the place of slot `changed` it has `fresh`. */
static int sup_stack_compose(struct supervisor *s, const uint32_t *member, size_t count,
			     uint32_t changed, const struct sup_image *fresh,
			     struct sup_image **ret, struct warder_error *reterr)
{
	const struct warder_image *part[WARDER_LAYERS_MAX];
	cleanup_free struct warder_image *img = NULL;
	int err;

	for (size_t i = 0; i < count; i++)
		part[i] = fresh && member[i] == changed ? &fresh->img :
							  &s->policy[member[i]].image->img;
	err = image_stack(part, count, &img, reterr);
	if (err)
		return err;
	*ret = sup_image_new(img);
	return *ret ? 0 : error_set(reterr, -ENOMEM, "out of memory");
}

int sup_stack_has(const struct sup_policy *p, uint32_t member)
{
	for (unsigned i = 0; p->image && i < p->layers; i++) {
		if (p->member[i] == member)
			return (int)i + 1;
	}
	return 0;
}

/* The slot of the stack of just these policies in this order, -ENOENT. */
static int sup_stack_find(struct supervisor *s, const uint32_t *member, size_t count)
{
	for (int i = 0; i < WARDER_POLICIES_MAX; i++) {
		const struct sup_policy *p = &s->policy[i];

		if (p->image && p->layers == count &&
		    !memcmp(p->member, member, count * sizeof(*member)))
			return i;
	}
	return -ENOENT;
}

/* The stack of these, which are held: an old one or a new one. */
static int sup_stack_get(struct supervisor *s, const uint32_t *member, size_t count,
			 struct warder_error *reterr)
{
	int slot = sup_stack_find(s, member, count), err;
	struct sup_image *image = NULL;

	if (slot >= 0)
		return slot;
	err = sup_stack_compose(s, member, count, 0, NULL, &image, reterr);
	if (err)
		return err;
	slot = sup_policy_free_slot(s, reterr);
	err = slot < 0 ? slot : sup_policy_put(s, (uint32_t)slot, image, reterr);
	if (err) {
		sup_image_unref(s, image);
		return err;
	}
	s->policy[slot].kept = 0;
	s->policy[slot].users = 0;
	s->policy[slot].layers = (unsigned)count;
	memcpy(s->policy[slot].member, member, count * sizeof(*member));
	return slot;
}

/* --------------------------------------------------------------------------- load */

/* What a load changes: the policy, and every stack that it is part of. */
struct sup_load {
	struct sup_image *image[WARDER_POLICIES_MAX]; /* by slot */
};

static void sup_load_done(struct supervisor *s, struct sup_load *l)
{
	for (int i = 0; i < WARDER_POLICIES_MAX; i++)
		sup_image_unref(s, l->image[i]);
	free(l);
}

/* Containers go by the new image: what is kept of it beside the kernel's own copy. */
static void sup_load_follow(struct supervisor *s, const struct sup_load *l)
{
	for (struct ctr *c = s->ctrs; c; c = c->next) {
		int err;

		if (!c->policy_held || !l->image[c->policy] || c->state != CTR_RUNNING)
			continue;
		ctr_save(s, c, NULL);
		/* The quotas of keys are in the container's record, beside the image. */
		err = ctr_publish(s, c, c->killing ? WARDER_CTR_DEAD : WARDER_CTR_RUNNING);
		if (err)
			log_error("container %s keeps its old quotas of keys: %s", c->name,
				  strerror(-err));
	}
}

/* What the new images need besides, for the containers that go by them. */
static int sup_load_signers(struct supervisor *s, const struct sup_load *l,
			    struct warder_error *reterr)
{
	int err = 0;

	for (struct ctr *c = s->ctrs; !err && c; c = c->next)
		if (c->policy_held && l->image[c->policy])
			err = ctr_set_signers(s, c, &l->image[c->policy]->img, reterr);
	return err;
}

/* Puts all of them, or none: what is replaced already comes back if one cannot be. Each container
 * has one image, so it sees the old policies or the new ones and never some of both. */
static int sup_load_put(struct supervisor *s, const struct sup_load *l, struct warder_error *reterr)
{
	struct sup_image *old[WARDER_POLICIES_MAX] = { NULL };
	struct warder_error e = { "" };
	int err = 0, at;

	pthread_mutex_lock(&s->lock);
	for (at = 0; at < WARDER_POLICIES_MAX; at++) {
		old[at] = l->image[at] ? s->policy[at].image : NULL;
		if (old[at])
			old[at]->refs++;
		if (l->image[at])
			l->image[at]->refs++;
	}
	pthread_mutex_unlock(&s->lock);
	for (at = 0; !err && at < WARDER_POLICIES_MAX; at++) {
		if (l->image[at])
			err = sup_policy_put(s, (uint32_t)at, l->image[at], reterr);
	}
	for (int i = 0; err && i < WARDER_POLICIES_MAX; i++) {
		int back;

		if (!l->image[i])
			continue;
		if (i >= at - 1) { /* not put: our reference of it is still ours */
			sup_image_unref(s, l->image[i]);
			continue;
		}
		if (!old[i]) {
			sup_policy_drop(s, (uint32_t)i);
			continue;
		}
		back = sup_policy_put(s, (uint32_t)i, old[i], &e);
		if (!back)
			old[i] = NULL;
		else
			log_error("policy %s cannot be put back: %s",
				  sup_policy_name(s, (uint32_t)i), e.text);
	}
	for (struct ctr *c = s->ctrs; !err && c; c = c->next)
		if (c->policy_held && l->image[c->policy])
			ctr_keep_signers(s, c, &l->image[c->policy]->img,
					 old[c->policy] ? &old[c->policy]->img : NULL);
	for (struct ctr *c = s->ctrs; !err && c; c = c->next)
		if (c->policy_held && l->image[c->policy])
			ctr_follow_shared(s, c);
	if (!err)
		sup_shared_collect(s);
	for (int i = 0; i < WARDER_POLICIES_MAX; i++)
		sup_image_unref(s, old[i]);
	return err;
}

int sup_policy_load(struct supervisor *s, struct sup_image *image, uint32_t *ret_slot,
		    struct warder_error *reterr)
{
	int slot = sup_policy_find(s, image_string(&image->img, image->img.h.name)), err = 0;
	struct sup_load *l = calloc(1, sizeof(*l));

	if (!l)
		slot = error_set(reterr, -ENOMEM, "out of memory");
	else if (slot < 0)
		slot = sup_policy_free_slot(s, reterr);
	if (slot < 0) {
		sup_image_unref(s, image);
		free(l);
		return slot;
	}
	l->image[slot] = image;
	for (int i = 0; !err && i < WARDER_POLICIES_MAX; i++) {
		const struct sup_policy *p = &s->policy[i];

		if (!sup_stack_has(p, (uint32_t)slot))
			continue;
		err = sup_stack_compose(s, p->member, p->layers, (uint32_t)slot, image,
					&l->image[i], reterr);
	}
	if (!err)
		err = sup_load_signers(s, l, reterr);
	if (!err)
		err = sup_load_put(s, l, reterr);
	if (!err) {
		sup_policy_keep(s, (uint32_t)slot, 1);
		*ret_slot = (uint32_t)slot;
		sup_load_follow(s, l);
	}
	sup_load_done(s, l);
	return err;
}

/* ---------------------------------------------------------------- hold and release */

/* One policy; takes the image. */
static int sup_policy_hold_one(struct supervisor *s, const char *name, struct sup_image *image,
			       uint32_t *ret_slot, struct warder_error *reterr)
{
	int slot, err;

	if (image)
		name = image_string(&image->img, image->img.h.name);
	slot = sup_policy_find(s, name);
	if (!image && slot < 0)
		return error_set(reterr, -ENOENT,
				 "no policy named \"%.64s\" is loaded, and there is no such file: "
				 "see `warder policy list`, or give the path of a policy file",
				 name);
	if (slot >= 0 && (!image || !strcmp(s->policy[slot].image->digest, image->digest))) {
		sup_image_unref(s, image);
	} else if (slot >= 0 && s->policy[slot].users) {
		err = error_set(reterr, -EBUSY,
				"policy \"%s\" is in use with another content: load the new text "
				"for all its containers with `warder policy load`, or give it "
				"another name",
				s->policy[slot].name);
		sup_image_unref(s, image);
		return err;
	} else {
		if (slot < 0)
			slot = sup_policy_free_slot(s, reterr);
		err = slot < 0 ? slot : sup_policy_put(s, (uint32_t)slot, image, reterr);
		if (err) {
			sup_image_unref(s, image);
			return err;
		}
	}
	s->policy[slot].users++;
	*ret_slot = (uint32_t)slot;
	return 0;
}

void sup_policy_refs_free(struct supervisor *s, struct sup_policy_ref *policy, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		sup_image_unref(s, policy[i].image);
		policy[i].image = NULL;
	}
}

static const char *ref_name(const struct sup_policy_ref *r)
{
	return r->image ? image_string(&r->image->img, r->image->img.h.name) : r->name;
}

static int refs_check(const struct sup_policy_ref *policy, size_t count, struct warder_error *reterr)
{
	if (!count || count > WARDER_LAYERS_MAX)
		return error_set(reterr, -EINVAL, "a container has 1 to %d policies, not %zu",
				 WARDER_LAYERS_MAX, count);
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < i; k++)
			if (!strcmp(ref_name(&policy[i]), ref_name(&policy[k])))
				return error_set(reterr, -EINVAL,
						 "policy \"%.64s\" is named twice for one container: "
						 "once is enough",
						 ref_name(&policy[i]));
	return 0;
}

int sup_policy_hold(struct supervisor *s, struct sup_policy_ref *policy, size_t count,
		    uint32_t *ret_slot, struct warder_error *reterr)
{
	uint32_t member[WARDER_LAYERS_MAX];
	int err = refs_check(policy, count, reterr), slot = -1;
	size_t held = 0;

	while (!err && held < count) {
		err = sup_policy_hold_one(s, policy[held].name, take_ptr(policy[held].image),
					  &member[held], reterr);
		held += !err;
	}
	if (!err && count == 1) {
		*ret_slot = member[0];
		return 0;
	}
	if (!err) {
		slot = sup_stack_get(s, member, count, reterr);
		err = slot < 0 ? slot : 0;
	}
	if (err) {
		while (held)
			sup_policy_release(s, member[--held]);
		sup_policy_refs_free(s, policy, count);
		return err;
	}
	s->policy[slot].users++;
	*ret_slot = (uint32_t)slot;
	return 0;
}

void sup_policy_hold_again(struct supervisor *s, uint32_t slot)
{
	struct sup_policy *p = &s->policy[slot];

	p->users++;
	for (unsigned i = 0; i < p->layers; i++)
		s->policy[p->member[i]].users++;
}

void sup_policy_release(struct supervisor *s, uint32_t slot)
{
	struct sup_policy *p = &s->policy[slot];
	uint32_t member[WARDER_LAYERS_MAX];
	unsigned layers = p->layers;

	memcpy(member, p->member, sizeof(member));
	if (!--p->users && !p->kept)
		sup_policy_drop(s, slot);
	for (unsigned i = 0; i < layers; i++)
		sup_policy_release(s, member[i]);
}

uint64_t sup_policy_hits(struct supervisor *s, uint32_t slot, const struct warder_image *own,
			 struct warder_image *const stacks[WARDER_POLICIES_MAX], uint32_t rule)
{
	uint64_t hits = own ? image_hits(own, rule) : 0;

	for (int i = 0; rule && i < WARDER_POLICIES_MAX; i++) {
		int layer = stacks[i] ? sup_stack_has(&s->policy[i], slot) : 0;

		if (layer)
			hits += image_hits(stacks[i], rule + (layer > 1 ?
							stacks[i]->h.layer[layer - 2].rules : 0));
	}
	return hits;
}

/* ------------------------------------------------------------------------- restart */

/* A stack that the kernel holds is what its members, which it holds too, make together; else it is
 * made of them anew: a supervisor died in the middle of a load. */
static int sup_stack_adopt(struct supervisor *s, uint32_t slot, const struct warder_image *img)
{
	struct sup_policy *p = &s->policy[slot];
	struct sup_image *image = NULL;
	struct warder_error e = { "" };
	char digest[65];

	for (uint32_t i = 0; i < img->h.layers; i++) {
		int member = sup_policy_find(s, img->h.layer[i].policy);

		if (member < 0) {
			log_error("policy slot %u holds a stack whose policy \"%.63s\" is not "
				  "there: it stays in force as it is",
				  slot, img->h.layer[i].policy);
			return -ENOENT;
		}
		p->member[i] = (uint32_t)member;
	}
	if (sup_stack_compose(s, p->member, img->h.layers, 0, NULL, &image, &e)) {
		log_error("policy slot %u: %s", slot, e.text);
		return -EINVAL;
	}
	image_digest(img, digest);
	if (!strcmp(digest, image->digest)) {
		p->image = image;
	} else if (sup_policy_put(s, slot, image, &e)) {
		log_error("policy slot %u: %s", slot, e.text);
		sup_image_unref(s, image);
		return -EINVAL;
	}
	p->layers = img->h.layers;
	return 0;
}

/* Policies before stacks, which are made of them. */
static void sup_policy_adopt_slot(struct supervisor *s, uint32_t slot, int stacks)
{
	cleanup_free struct warder_image *img = NULL;
	struct sup_policy *p = &s->policy[slot];
	struct warder_error e = { "" };

	if (loader_read_image(s->loader, slot, &img))
		return;
	image_reset(img);
	if (image_is_stack(img)) {
		if (stacks)
			sup_stack_adopt(s, slot, img);
		return;
	}
	if (stacks)
		return;
	if (image_verify(img, WARDER_IMAGE_SIZE, &e)) {
		log_error("policy slot %u holds a damaged image: %s", slot, e.text);
		return;
	}
	p->image = sup_image_new(img);
	if (!p->image)
		return;
	p->kept = 1;
	snprintf(p->name, sizeof(p->name), "%s", image_string(img, img->h.name));
}

/* After a restart: what the kernel holds is what is enforced, so that is what we go by. */
void sup_policy_adopt(struct supervisor *s)
{
	for (int stacks = 0; s->loader && stacks < 2; stacks++)
		for (uint32_t i = 0; i < WARDER_POLICIES_MAX; i++)
			sup_policy_adopt_slot(s, i, stacks);
	sup_policy_keep_read(s);
}

void sup_policy_sweep(struct supervisor *s)
{
	for (uint32_t i = 0; i < WARDER_POLICIES_MAX; i++) {
		if (s->policy[i].image && !s->policy[i].kept && !s->policy[i].users)
			sup_policy_drop(s, i);
	}
}

void sup_policy_free_all(struct supervisor *s)
{
	for (int i = 0; i < WARDER_POLICIES_MAX; i++) {
		sup_image_unref(s, s->policy[i].image);
		s->policy[i].image = NULL;
	}
}
