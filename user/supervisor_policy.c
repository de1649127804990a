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
int sup_policy_read(int fd, struct sup_image **ret, struct warder_error *reterr)
{
	cleanup_free struct sup_image *image = NULL;
	const char *name;
	struct stat st;
	size_t len = 0;

	/* Sealed: it cannot change under us, and reading it waits for nobody. */
	if (control_check_sealed(fd, "the policy image", reterr))
		return -EINVAL;
	if (fstat(fd, &st) || st.st_size <= 0 ||
	    st.st_size > WARDER_IMAGE_SIZE)
		return error_set(reterr, -EINVAL,
				 "the policy image must have 1 to %u bytes",
				 WARDER_IMAGE_SIZE);
	image = calloc(1, sizeof(*image));
	if (!image)
		return error_set(reterr, -ENOMEM, "out of memory");
	while (len < (size_t)st.st_size) {
		ssize_t n = pread(fd, image->img.b + len, (size_t)st.st_size - len, (off_t)len);

		if (n <= 0)
			return error_set(reterr, -EINVAL, "the policy image cannot be read");
		len += (size_t)n;
	}
	if (image_verify(&image->img, len, reterr))
		return -EINVAL;
	name = image_string(&image->img, image->img.h.name);
	if (container_check_name(name, NULL))
		return error_set(reterr, -EINVAL, "policy name \"%.80s\" is not usable", name);
	if (override_check_binds(&image->img, reterr))
		return -EINVAL;
	image_digest(&image->img, image->digest);
	image->refs = 1;
	*ret = take_ptr(image);
	return 0;
}

int sup_policy_find(struct supervisor *s, const char *name)
{
	for (int i = 0; i < WARDER_POLICIES_MAX; i++) {
		if (s->policy[i].image && !strcmp(s->policy[i].name, name))
			return i;
	}
	return -ENOENT;
}

const struct warder_image *sup_policy_image(struct supervisor *s, uint32_t slot)
{
	return slot < WARDER_POLICIES_MAX && s->policy[slot].image ? &s->policy[slot].image->img :
								     NULL;
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
	snprintf(p->name, sizeof(p->name), "%s", image_string(&image->img, image->img.h.name));
	sup_image_unref(s, old);
	return 0;
}

static int sup_policy_free_slot(struct supervisor *s, struct warder_error *reterr)
{
	for (int i = 0; i < WARDER_POLICIES_MAX; i++) {
		if (!s->policy[i].image)
			return i;
	}
	return error_set(reterr, -ENOSPC, "all %d policy slots are taken", WARDER_POLICIES_MAX);
}

int sup_policy_load(struct supervisor *s, struct sup_image *image, uint32_t *ret_slot,
		    struct warder_error *reterr)
{
	int slot = sup_policy_find(s, image_string(&image->img, image->img.h.name)), err;

	if (slot < 0)
		slot = sup_policy_free_slot(s, reterr);
	err = slot < 0 ? slot : sup_policy_put(s, (uint32_t)slot, image, reterr);
	if (err) {
		sup_image_unref(s, image);
		return err;
	}
	s->policy[slot].kept = 1;
	*ret_slot = (uint32_t)slot;
	for (struct ctr *c = s->ctrs; c; c = c->next) {
		if (!c->policy_held || c->policy != (uint32_t)slot || c->state != CTR_RUNNING)
			continue;
		ctr_save(s, c, NULL);
		/* The quotas of keys are in the container's record, beside the image. */
		err = ctr_publish(s, c, c->killing ? WARDER_CTR_DEAD : WARDER_CTR_RUNNING);
		if (err)
			log_error("container %s keeps its old quotas of keys: %s", c->name,
				  strerror(-err));
	}
	return 0;
}

int sup_policy_hold(struct supervisor *s, const char *name, struct sup_image *image,
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

void sup_policy_release(struct supervisor *s, uint32_t slot)
{
	struct sup_policy *p = &s->policy[slot];
	struct sup_image *old;

	if (--p->users || p->kept)
		return;
	if (s->loader) {
		loader_unpublish(s->loader, slot);
		supervisor_trim_later(s);
	}
	pthread_mutex_lock(&s->lock);
	old = p->image;
	p->image = NULL;
	pthread_mutex_unlock(&s->lock);
	sup_image_unref(s, old);
}

/* After a restart: what the kernel holds is what is enforced, so that is what we go by. */
void sup_policy_adopt(struct supervisor *s)
{
	for (uint32_t i = 0; s->loader && i < WARDER_POLICIES_MAX; i++) {
		struct warder_image *img = NULL;
		struct sup_image *image;
		struct warder_error e = { "" };

		if (loader_read_image(s->loader, i, &img))
			continue;
		image_reset(img);
		if (image_verify(img, WARDER_IMAGE_SIZE, &e)) {
			log_error("policy slot %u holds a damaged image: %s", i, e.text);
			free(img);
			continue;
		}
		image = calloc(1, sizeof(*image));
		if (image) {
			memcpy(&image->img, img, sizeof(*img));
			image_digest(&image->img, image->digest);
			image->refs = 1;
			s->policy[i].image = image;
			s->policy[i].kept = 1;
			snprintf(s->policy[i].name, sizeof(s->policy[i].name), "%s",
				 image_string(img, img->h.name));
		}
		free(img);
	}
}

void sup_policy_free_all(struct supervisor *s)
{
	for (int i = 0; i < WARDER_POLICIES_MAX; i++) {
		sup_image_unref(s, s->policy[i].image);
		s->policy[i].image = NULL;
	}
}
