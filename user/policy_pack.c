// SPDX-License-Identifier: LGPL-2.1-or-later
/* The automaton as an image holds it. */
#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "policy_internal.h"

void *writer_section(struct writer *w, struct warder_section *s, size_t count, size_t size)
{
	uint64_t end = (uint64_t)w->at + count * size;

	if (end > WARDER_IMAGE_SIZE)
		return NULL;
	s->offset = w->at;
	s->count = (uint32_t)count;
	w->at = (uint32_t)(end + 7) & ~7u;
	return w->img->b + s->offset;
}

static int write_accept(struct writer *w, struct warder_image_header *h,
			const struct accept_table *t)
{
	struct warder_accept *accept;
	struct warder_accept_rule *entry;

	accept = writer_section(w, &h->accept, t->records, sizeof(*accept));
	entry = writer_section(w, &h->accept_rule, t->entries, sizeof(*entry));
	if (!accept || !entry)
		return -E2BIG;
	memcpy(accept, t->record, t->records * sizeof(*accept));
	for (size_t i = 0; i < t->records; i++)
		if (accept[i].count)
			accept[i].rules =
				h->accept_rule.offset + accept[i].rules * (__u32)sizeof(*entry);
	if (t->entries)
		memcpy(entry, t->entry, t->entries * sizeof(*entry));
	return 0;
}

int dfa_write(struct writer *w, struct warder_image_header *h, const struct dfa *d,
	      size_t n_starts, const struct accept_table *t, uint32_t *ret_start)
{
	void *class_of, *trans;
	__u16 *accept_of;

	h->states = d->states;
	h->classes = d->classes;
	class_of = writer_section(w, &h->class_of, 256, 1);
	trans = writer_section(w, &h->trans, (size_t)d->states * d->classes, sizeof(__u16));
	accept_of = writer_section(w, &h->accept_of, d->states, sizeof(__u16));
	if (!class_of || !trans || !accept_of)
		return -E2BIG;
	memcpy(class_of, d->class_of, 256);
	memcpy(trans, d->trans, (size_t)d->states * d->classes * sizeof(__u16));
	for (uint32_t i = 0; i < d->states; i++)
		accept_of[i] = (__u16)d->accept_of[i];
	memcpy(ret_start, d->start, n_starts * sizeof(*ret_start));
	return write_accept(w, h, t);
}
