// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * keyring.signed_exec: whose signatures files need, and the signatures. Certificates and signatures
 * become part of the image: whoever holds the image needs no other file, and a reload replaces
 * rules, signers and signatures at once. Whether a signature is good is the kernel's to say.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy_internal.h"
#include "policy_signed.h"

static const struct key signed_keys[] = { { "require", true },	   { "signers", false },
					  { "signatures", false }, { "id", false },
					  { "optional", false },   { "verity", false },
					  { NULL, false } };

/* ------------------------------------------------------------------- base64 */

static int base64_value(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				     "0123456789+/";
	const char *p = c ? strchr(digits, c) : NULL;

	return p ? (int)(p - digits) : -1;
}

/* Spaces and line ends are skipped; `ret` has room for 3/4 of len. Its length, or -EBADMSG. */
static long base64_read(const char *text, size_t len, unsigned char *ret)
{
	unsigned bits = 0, word = 0, digits = 0, ended = 0;
	size_t used = 0;

	for (size_t i = 0; i < len; i++) {
		int value;

		if (text[i] == '\n' || text[i] == '\r' || text[i] == ' ' || text[i] == '\t')
			continue;
		if (text[i] == '=') {
			ended++;
			continue;
		}
		value = base64_value(text[i]);
		if (value < 0 || ended)
			return -EBADMSG;
		digits++;
		word = word << 6 | (unsigned)value;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			ret[used++] = (unsigned char)(word >> bits);
		}
	}
	return ended > 2 || (digits + ended) % 4 ? -EBADMSG : (long)used;
}

/* ---------------------------------------------------------------------- DER */

/* Is it one DER sequence that ends where the bytes end? The rest is for the kernel's own parser. */
static bool der_is_whole(const unsigned char *d, size_t len)
{
	size_t size = 0, bytes;

	if (len < 2 || d[0] != 0x30)
		return false;
	if (d[1] < 0x80)
		return len == 2 + (size_t)d[1];
	bytes = d[1] & 0x7f;
	if (!bytes || bytes > 3 || len < 2 + bytes)
		return false;
	for (size_t i = 0; i < bytes; i++)
		size = size << 8 | d[2 + i];
	return len == 2 + bytes + size;
}

/* -------------------------------------------------------------------- files */

/* A file that the policy names, from the folder of the policy's own. NULL after a diagnostic. */
static char *file_read(struct parser *ps, const struct node *n, const char *what, size_t *ret_len)
{
	const char *slash = strrchr(ps->file, '/');
	struct warder_error e = { { 0 } };
	char path[WARDER_PATH_MAX];
	char *text;
	int err;

	if (!*n->text || strlen(n->text) != n->len ||
	    snprintf(path, sizeof(path), "%.*s%s",
		     n->text[0] == '/' || !slash ? 0 : (int)(slash + 1 - ps->file), ps->file,
		     n->text) >= (int)sizeof(path)) {
		parser_error(ps, n, "%s: expected the path of a file", what);
		return NULL;
	}
	err = policy_read_file(path, &text, ret_len, &e);
	if (!err)
		return text;
	if (err == -ENOMEM)
		ps->fatal = err;
	else
		parser_error(ps, n, "%s: %s", what, e.text);
	return NULL;
}

/* Certificates in a PEM file, or one as DER. */
#define PEM_BEGIN "-----BEGIN CERTIFICATE-----"
#define PEM_END "-----END CERTIFICATE-----"

static void signer_add(struct parser *ps, const struct node *n, const unsigned char *der,
		       size_t len)
{
	struct policy_signed *s = &ps->p->signed_;
	void *copy;

	if (!der_is_whole(der, len) || len > WARDER_SIGNER_SIZE_MAX) {
		parser_error(ps, n,
			     "signers: %.200s holds no X.509 certificate of at most %d bytes",
			     n->text, WARDER_SIGNER_SIZE_MAX);
		return;
	}
	for (size_t i = 0; i < s->signers; i++)
		if (s->signer[i].length == len && !memcmp(s->signer[i].data, der, len)) {
			parser_error(ps, n, "signers: %.200s: this certificate is there already",
				     n->text);
			return;
		}
	if (s->signers == WARDER_SIGNERS_MAX) {
		parser_error(ps, n, "signers: more than %d certificates", WARDER_SIGNERS_MAX);
		return;
	}
	copy = arena_alloc(&ps->p->arena, len);
	if (!copy) {
		ps->fatal = -ENOMEM;
		return;
	}
	memcpy(copy, der, len);
	s->signer[s->signers++] = (struct policy_blob) { .data = copy, .length = (uint32_t)len };
}

static void read_signer(struct parser *ps, struct node *n, void *arg)
{
	size_t len, found = 0;
	cleanup_free char *text = file_read(ps, n, "signers", &len);
	cleanup_free unsigned char *der = text ? malloc(len + 1) : NULL;
	const char *p = text, *end;

	(void)arg;
	if (!text)
		return;
	if (!der) {
		ps->fatal = -ENOMEM;
		return;
	}
	/* The text ends with a NUL. */
	while ((p = strstr(p, PEM_BEGIN)) && (end = strstr(p, PEM_END)) && !ps->fatal) {
		long n_der;

		p += strlen(PEM_BEGIN);
		n_der = base64_read(p, (size_t)(end - p), der);
		signer_add(ps, n, der, n_der < 0 ? 0 : (size_t)n_der);
		found++;
		p = end;
	}
	if (!found)
		signer_add(ps, n, (const unsigned char *)text, len);
}

static int hex_value(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int signed_read_line(const char *line, size_t len, struct warder_signed_content *ret,
		     unsigned char *ret_signature, uint32_t *ret_len)
{
	static const char prefix[] = "sha256:";
	const size_t digest = strlen(prefix), text = digest + 2 * WARDER_DIGEST_SIZE;
	const char *space;
	long n;

	if (len < text + 2 || memcmp(line, prefix, digest) || line[text] != ' ')
		return -EBADMSG;
	signed_content_init(ret);
	for (size_t i = 0; i < WARDER_DIGEST_SIZE; i++) {
		int high = hex_value(line[digest + 2 * i]),
		    low = hex_value(line[digest + 2 * i + 1]);

		if (high < 0 || low < 0)
			return -EBADMSG;
		ret->digest[i] = (__u8)(high << 4 | low);
	}
	line += text + 1;
	len -= text + 1;
	/* What follows the signature is the file's name, for people. */
	space = memchr(line, ' ', len);
	if (space)
		len = (size_t)(space - line);
	if (len / 4 * 3 > WARDER_SIGNATURE_SIZE_MAX + 2)
		return -E2BIG;
	n = base64_read(line, len, ret_signature);
	if (n <= 0 || !der_is_whole(ret_signature, (size_t)n))
		return -EBADMSG;
	*ret_len = (uint32_t)n;
	return n > (long)WARDER_SIGNATURE_SIZE_MAX ? -E2BIG : 0;
}

void signed_content_init(struct warder_signed_content *c)
{
	memset(c, 0, sizeof(*c));
	memcpy(c->magic, WARDER_SIGNED_MAGIC, sizeof(WARDER_SIGNED_MAGIC));
	c->algorithm = WARDER_SIGNED_SHA256;
	c->length = WARDER_DIGEST_SIZE;
}

static int signature_add(struct parser *ps, const struct warder_signed_content *c,
			 const unsigned char *data, uint32_t len)
{
	struct policy_signed *s = &ps->p->signed_;
	void *copy = arena_alloc(&ps->p->arena, len);

	if (!copy || vector_grow(&s->signature, s->signatures, &s->cap, sizeof(*s->signature)))
		return -ENOMEM;
	memcpy(copy, data, len);
	s->signature[s->signatures++] =
		(struct policy_signature) { .content = *c,
					    .blob = { .data = copy, .length = len } };
	return 0;
}

static void read_signatures(struct parser *ps, struct node *n, void *arg)
{
	unsigned char data[WARDER_SIGNATURE_SIZE_MAX + 8];
	size_t len, line = 1;
	cleanup_free char *text = file_read(ps, n, "signatures", &len);
	const char *p = text, *end = text + len, *next;

	(void)arg;
	if (!text)
		return;
	for (; p < end && !ps->fatal; p = next + 1, line++) {
		struct warder_signed_content c;
		uint32_t size;
		int err;

		next = memchr(p, '\n', (size_t)(end - p));
		if (!next)
			next = end;
		if (p == next || *p == '#')
			continue;
		err = signed_read_line(p, (size_t)(next - p), &c, data, &size);
		if (err) {
			parser_error(ps, n,
				     "signatures: %.200s:%zu: expected a line of `warder sign`: "
				     "sha256:DIGEST SIGNATURE NAME%s",
				     n->text, line,
				     err == -E2BIG ? ", with a signature of at most 4095 bytes"
						   : "");
			return;
		}
		if (ps->p->signed_.signatures == WARDER_SIGNATURES_MAX) {
			parser_error(ps, n, "signatures: more than %u", WARDER_SIGNATURES_MAX);
			return;
		}
		if (signature_add(ps, &c, data, size))
			ps->fatal = -ENOMEM;
	}
}

static int signature_order(const void *a, const void *b)
{
	const struct policy_signature *x = a, *y = b;

	return memcmp(x->content.digest, y->content.digest, WARDER_DIGEST_SIZE);
}

/* By digest; of several of one digest the last one that was read counts, as `warder sign` appends.
 */
static void signatures_sort(struct policy_signed *s)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->signatures; i++) /* a stable order */
		s->signature[i].content.zero = i;
	for (size_t i = 1; i < s->signatures; i++)
		if (signature_order(&s->signature[i - 1], &s->signature[i]) > 0) {
			qsort(s->signature, s->signatures, sizeof(*s->signature), signature_order);
			break;
		}
	for (size_t i = 0; i < s->signatures; i++) {
		struct policy_signature *last = kept ? &s->signature[kept - 1] : NULL;

		if (!last || signature_order(last, &s->signature[i]))
			s->signature[kept++] = s->signature[i];
		else if (last->content.zero < s->signature[i].content.zero)
			*last = s->signature[i];
	}
	s->signatures = kept;
	for (size_t i = 0; i < kept; i++)
		s->signature[i].content.zero = 0;
}

void parse_signed_exec(struct parser *ps, struct node *n, bool optional)
{
	struct policy_rule rule = { .file = ps->file,
				    .line = n->line,
				    .column = n->column,
				    .class_ = WARDER_CLASS_KEYRING,
				    .deny = 1,
				    .err = ENODATA };
	struct policy_signed *s = &ps->p->signed_;
	struct node *v;

	if (!check_keys(ps, n, "keyring.signed_exec", signed_keys))
		return;
	s->optional = optional | node_optional(ps, n);
	v = map_get(n, "require");
	if (!v || !expect_bool(ps, v, "require", &s->require))
		return;
	v = map_get(n, "id");
	if (v)
		rule.id = parse_id(ps, v, "id");
	v = map_get(n, "signers");
	if (v)
		each_scalar(ps, v, "signers", read_signer, NULL);
	else if (s->require)
		parser_error(ps, n,
			     "keyring.signed_exec: whose signatures? `signers:` names files "
			     "with X.509 certificates");
	v = map_get(n, "signatures");
	if (v)
		each_scalar(ps, v, "signatures", read_signatures, NULL);
	signatures_sort(s);
	v = map_get(n, "verity");
	if (v)
		expect_bool(ps, v, "verity", &s->verity);
	if (!s->require) {
		s->signers = s->signatures = 0;
		s->verity = false;
		return;
	}
	parser_add_rule(ps, &rule, &s->rule);
}

/* -------------------------------------------------------------------- image */

/* FNV-1a over lengths and bytes: which certificates a ring holds. */
static uint64_t signers_hash(const struct warder_image *img, const struct warder_layer *l)
{
	const struct warder_signer *g =
		(const struct warder_signer *)(img->b + img->h.signer.offset) + l->signer;
	uint64_t h = 0xcbf29ce484222325ull;

	for (uint32_t i = 0; i < l->signers; i++) {
		h = (h ^ g[i].length) * 0x100000001b3ull;
		for (uint32_t k = 0; k < g[i].length; k++)
			h = (h ^ img->b[g[i].at + k]) * 0x100000001b3ull;
	}
	return h ? h : 1;
}

static uint32_t blob_put(struct warder_image *img, uint32_t *at, const struct policy_blob *b)
{
	uint32_t where = *at;

	memcpy(img->b + where, b->data, b->length);
	*at += b->length;
	return where;
}

int signed_write(struct writer *w, struct warder_image_header *h, const struct policy_signed *p)
{
	struct warder_image *img = w->img;
	struct warder_signer *signer = writer_section(w, &h->signer, p->signers, sizeof(*signer));
	struct warder_signature *sig =
		signer ? writer_section(w, &h->signature, p->signatures, sizeof(*sig)) : NULL;
	size_t bytes = 0;
	uint32_t at;

	for (size_t i = 0; i < p->signers; i++)
		bytes += p->signer[i].length;
	for (size_t i = 0; i < p->signatures; i++)
		bytes += p->signature[i].blob.length;
	if (!sig || !writer_section(w, &h->blob, bytes, 1))
		return -E2BIG;
	at = h->blob.offset;
	for (size_t i = 0; i < p->signers; i++) {
		signer[i].length = p->signer[i].length;
		signer[i].at = blob_put(img, &at, &p->signer[i]);
	}
	for (size_t i = 0; i < p->signatures; i++) {
		sig[i].content = p->signature[i].content;
		sig[i].length = p->signature[i].blob.length;
		sig[i].at = blob_put(img, &at, &p->signature[i].blob);
	}
	if (!p->require)
		return 0;
	h->signed_layers = 1;
	h->layer[0].signed_rule = p->rule + 1;
	h->layer[0].signed_flags = (p->optional ? WARDER_SIGNED_OPTIONAL : 0) |
				   (p->verity ? WARDER_SIGNED_VERITY : 0);
	h->layer[0].signers = (uint32_t)p->signers;
	h->layer[0].signatures = (uint32_t)p->signatures;
	h->layer[0].signers_id = signers_hash(img, &h->layer[0]);
	return 0;
}

static bool blob_is_fine(const struct warder_image *img, uint32_t at, uint32_t length, uint32_t max)
{
	const struct warder_section *s = &img->h.blob;

	return length && length <= max && length <= s->count && at >= s->offset &&
	       at - s->offset <= s->count - length && der_is_whole(img->b + at, length);
}

const char *signed_verify(const struct warder_image *img)
{
	static const struct warder_layer none;
	const struct warder_image_header *h = &img->h;
	const struct warder_layer *l = &h->layer[0];
	const struct warder_rule *rule = image_rule(img, l->signed_rule);
	const struct warder_signer *g = (const void *)(img->b + h->signer.offset);
	const struct warder_signature *s = (const void *)(img->b + h->signature.offset);
	struct warder_signed_content c;

	if (h->signed_layers != (l->signed_rule != 0) || l->signer || l->signature ||
	    l->signers != h->signer.count || l->signatures != h->signature.count ||
	    l->signers > WARDER_SIGNERS_MAX || l->signatures > WARDER_SIGNATURES_MAX)
		return "signers or signatures of its layer";
	if (!l->signed_rule)
		return memcmp(&l->signers_id, &none.signers_id,
			      offsetof(struct warder_layer, shared) -
				      offsetof(struct warder_layer, signers_id)) ||
				       h->blob.count
			       ? "signers without a rule"
			       : NULL;
	if (!rule || rule->class_ != WARDER_CLASS_KEYRING || !rule->deny || rule->in ||
	    (l->signed_flags & ~(WARDER_SIGNED_OPTIONAL | WARDER_SIGNED_VERITY)) || !l->signers)
		return "rule of signed exec";
	for (uint32_t i = 0; i < l->signers; i++)
		if (!blob_is_fine(img, g[i].at, g[i].length, WARDER_SIGNER_SIZE_MAX))
			return "a signer";
	if (l->signers_id != signers_hash(img, l))
		return "hash of the signers";
	for (uint32_t i = 0; i < l->signatures; i++) {
		signed_content_init(&c);
		memcpy(c.digest, s[i].content.digest, sizeof(c.digest));
		if (memcmp(&c, &s[i].content, sizeof(c)) ||
		    !blob_is_fine(img, s[i].at, s[i].length, WARDER_SIGNATURE_SIZE_MAX))
			return "a signature";
		if (i &&
		    memcmp(s[i - 1].content.digest, s[i].content.digest, WARDER_DIGEST_SIZE) >= 0)
			return "order of the signatures";
	}
	return NULL;
}

void signed_copy(struct warder_image *to, const struct warder_image *from, __u32 layer, __u32 blob)
{
	const struct warder_image_header *h = &from->h;
	const struct warder_layer *l = &to->h.layer[layer];
	const struct warder_signer *g = (const void *)(from->b + h->signer.offset);
	const struct warder_signature *s = (const void *)(from->b + h->signature.offset);
	struct warder_signer *to_g =
		(struct warder_signer *)(to->b + to->h.signer.offset) + l->signer;
	struct warder_signature *to_s =
		(struct warder_signature *)(to->b + to->h.signature.offset) + l->signature;
	__u32 move = to->h.blob.offset + blob - h->blob.offset;

	for (__u32 i = 0; i < h->signer.count; i++) {
		to_g[i] = g[i];
		to_g[i].at += move;
	}
	for (__u32 i = 0; i < h->signature.count; i++) {
		to_s[i] = s[i];
		to_s[i].at += move;
	}
	memcpy(to->b + to->h.blob.offset + blob, from->b + h->blob.offset, h->blob.count);
}

const unsigned char *image_signer(const struct warder_image *img, uint32_t layer, uint32_t n,
				  uint32_t *ret_len)
{
	const struct warder_layer *l = &img->h.layer[layer % WARDER_LAYERS_MAX];
	const struct warder_signer *g = (const void *)(img->b + img->h.signer.offset);

	if (n >= l->signers)
		return NULL;
	*ret_len = g[l->signer + n].length;
	return img->b + g[l->signer + n].at;
}
