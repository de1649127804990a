// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The automaton of an image: every index that a walk follows is looked at, so that a walk stays
 * in the sections and ends. (Each step of a walk reads a byte at least: nothing can go round in
 * circles.)
 */
#include "policy_internal.h"

static const struct warder_node *node_at(const struct warder_image *img, __u32 n)
{
	return (const struct warder_node *)(img->b + img->h.node.offset) + n;
}

static unsigned node_kind(const struct warder_node *n)
{
	return n->accept >> 24;
}

bool image_state_is_fine(const struct warder_image *img, __u32 state)
{
	const struct warder_node *n;
	__u32 position = state & 0xff;

	if (state >> 8 >= img->h.node.count)
		return false;
	n = node_at(img, state >> 8);
	return node_kind(n) == WARDER_NODE_CHAIN ? position < (n->data & 0xff) : !position;
}

/* A row that others may refer to. */
static bool node_is_row(const struct warder_image *img, __u32 number)
{
	unsigned kind;

	if (number >= img->h.node.count)
		return false;
	kind = node_kind(node_at(img, number));
	return kind == WARDER_NODE_STOP || kind == WARDER_NODE_SPAN || kind == WARDER_NODE_TABLE;
}

static bool edges_are_there(const struct warder_image *img, __u32 base)
{
	return base <= img->h.edge.count && img->h.classes <= img->h.edge.count - base;
}

static const char *verify_chain(const struct warder_image *img, const struct warder_node *n)
{
	const struct warder_section *chars = &img->h.chars;
	__u32 from = n->data >> 8, len = n->data & 0xff;

	if (!len || from < chars->offset || from - chars->offset > chars->count ||
	    len > chars->count - (from - chars->offset))
		return "bytes of a chain";
	/* Eight are read at once. */
	if (from + len > WARDER_IMAGE_SIZE - 8)
		return "bytes of a chain at the very end";
	if (!node_is_row(img, n->other) || !image_state_is_fine(img, n->next))
		return "where a chain leads";
	return NULL;
}

/* A span passes over bytes that lead back to it without looking at their edges. */
static const char *verify_span(const struct warder_image *img, const struct warder_node *n,
			       __u32 number)
{
	const __u8 *class_of = img->b + img->h.class_of.offset;
	const struct warder_edge *edge = (const void *)(img->b + img->h.edge.offset);

	if (n->next != WARDER_STATE(number, 0) || n->other >> 16)
		return "a span";
	for (unsigned b = 0; b < 256; b++)
		if (edge[n->data + class_of[b]].node == number && b != (n->other & 0xff) &&
		    b != n->other >> 8)
			return "a byte that a span passes over";
	return NULL;
}

static const char *verify_node(const struct warder_image *img, __u32 number)
{
	const struct warder_node *n = node_at(img, number);

	if ((n->accept & WARDER_NODE_ACCEPT) >= img->h.accept.count)
		return "an accept index";
	switch (node_kind(n)) {
	case WARDER_NODE_STOP:
		return n->data || n->other || n->next != WARDER_STATE(number, 0) ? "a last node"
										 : NULL;
	case WARDER_NODE_CHAIN:
		return verify_chain(img, n);
	case WARDER_NODE_SPAN:
		return edges_are_there(img, n->data) ? verify_span(img, n, number) : "a row";
	case WARDER_NODE_TABLE:
		return !edges_are_there(img, n->data) || n->other ||
				       !image_state_is_fine(img, n->next)
			       ? "a row"
			       : NULL;
	case WARDER_NODE_PATCH:
		return !edges_are_there(img, n->data) || n->next || !node_is_row(img, n->other)
			       ? "a patched row"
			       : NULL;
	default:
		return "a node of no known kind";
	}
}

static const char *verify_edge(const struct warder_image *img, __u32 index)
{
	const struct warder_edge *e =
		(const struct warder_edge *)(img->b + img->h.edge.offset) + index;
	const struct warder_node *n;

	if (!e->node)
		return e->next ? "an edge of nobody" : NULL;
	if (e->node >= img->h.node.count || !image_state_is_fine(img, e->next))
		return "an edge";
	n = node_at(img, e->node);
	if (node_kind(n) == WARDER_NODE_CHAIN || node_kind(n) == WARDER_NODE_STOP ||
	    index < n->data || index - n->data >= img->h.classes)
		return "an edge that is not in its row";
	return NULL;
}

const char *image_verify_dfa(const struct warder_image *img)
{
	const struct warder_image_header *h = &img->h;
	const __u8 *class_of = img->b + h->class_of.offset;
	const char *bad = NULL;

	if (h->classes < 1 || h->classes > 256 || h->class_of.count != 256)
		return "number of byte classes";
	if (h->node.count < 1 || h->node.count > WARDER_NODES_MAX || h->accept.count < 1 ||
	    h->edge.count < h->classes || h->states < 1)
		return "size of the automaton";
	if (h->node.offset % sizeof(struct warder_node))
		return "place of the nodes";
	for (unsigned i = 0; i < 256; i++)
		if (class_of[i] >= h->classes)
			return "a byte class";
	for (__u32 i = 0; !bad && i < h->node.count; i++)
		bad = verify_node(img, i);
	for (__u32 i = 0; !bad && i < h->edge.count; i++)
		bad = verify_edge(img, i);
	if (!bad && node_at(img, 0)->accept)
		bad = "the dead state accepts, or goes on";
	return bad;
}
