/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What tests of the supervisor's policies share; without a kernel. */
#ifndef SUPERVISOR_FIXTURE_H
#define SUPERVISOR_FIXTURE_H

#include "policy_fixture.h"
#include "supervisor_private.h"

/* As a client would send it; for whoever takes its image. */
static struct sup_image *image_of(const char *text)
{
	cleanup_free struct warder_image *img = good(text);
	struct sup_image *image = calloc(1, sizeof(*image));

	assert_non_null(image);
	memcpy(&image->img, img, sizeof(*img));
	image_digest(img, image->digest);
	image->refs = 1;
	return image;
}

#endif
