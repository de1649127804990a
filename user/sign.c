// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * warder-sign: what `warder sign` starts. A program of its own, because it alone needs libcrypto
 * and runs where files are made, not where they are run.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ui.h>
#include <openssl/x509.h>

#include "cleanup.h"
#include "policy_internal.h"
#include "policy_signed.h"

#define EXIT_FAILED 125
#define CERTS_MAX WARDER_SIGNERS_MAX
/* As module signatures are made: no certificate inside, nothing signed but the content. */
#define SIGN_FLAGS (CMS_NOCERTS | CMS_BINARY | CMS_NOSMIMECAP | CMS_NOATTR)

struct sign {
	EVP_PKEY *key;
	X509 *cert[CERTS_MAX];
	size_t certs;
	const char *output, *signatures;
	char *known; /* text of `signatures` */
	size_t known_len;
	int verify, json;
	FILE *out;
	struct json_object *results;
};

static int say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int say(const char *format, ...)
{
	unsigned long e = ERR_get_error();
	va_list ap;

	fputs("warder sign: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	if (e && ERR_reason_error_string(e))
		fprintf(stderr, ": %s", ERR_reason_error_string(e));
	fputc('\n', stderr);
	return EXIT_FAILED;
}

static int usage(FILE *to)
{
	fputs("usage: warder sign --key KEY.pem --cert CERT.pem [--output FILE] [--json] FILE...\n"
	      "       warder sign --verify --cert CERT.pem... --signatures FILE [--json] FILE...\n"
	      "Signs the content of files, for policies with keyring.signed_exec: prints one line "
	      "for\n"
	      "each, or adds it to FILE, which `signatures:` of a policy names.\n"
	      "--verify says of each file what the kernel would: status 1 unless all are signed.\n",
	      to);
	return to == stdout ? 0 : EXIT_FAILED;
}

/* ------------------------------------------------------------------ reading */

static int read_cert(struct sign *s, const char *path)
{
	cleanup_fclose FILE *f = fopen(path, "re");

	if (s->certs == CERTS_MAX)
		return say("more than %d certificates", CERTS_MAX);
	if (!f)
		return say("cannot open %s: %s", path, strerror(errno));
	s->cert[s->certs] = PEM_read_X509(f, NULL, NULL, NULL);
	if (!s->cert[s->certs]) {
		rewind(f);
		s->cert[s->certs] = d2i_X509_fp(f, NULL);
	}
	if (!s->cert[s->certs])
		return say("%s holds no X.509 certificate", path);
	ERR_clear_error();
	s->certs++;
	return 0;
}

static int read_key(struct sign *s, const char *path)
{
	cleanup_fclose FILE *f = fopen(path, "re");

	if (!f)
		return say("cannot open %s: %s", path, strerror(errno));
	s->key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	return s->key ? 0 : say("%s holds no private key that can be read", path);
}

/* The digest of a regular file. */
static int measure(const char *path, struct warder_signed_content *c)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	EVP_MD_CTX *ctx;
	struct stat st;
	ssize_t n = -1;
	int fine;

	if (fd < 0 || fstat(fd, &st))
		return say("cannot open %s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return say("%s is not a regular file", path);
	ctx = EVP_MD_CTX_new();
	fine = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
	while (fine) {
		static unsigned char buf[1 << 16];

		n = read(fd, buf, sizeof(buf));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		fine = EVP_DigestUpdate(ctx, buf, (size_t)n);
	}
	signed_content_init(c);
	fine = fine && !n && EVP_DigestFinal_ex(ctx, c->digest, NULL);
	EVP_MD_CTX_free(ctx);
	return fine ? 0 : say("cannot read %s: %s", path, n < 0 ? strerror(errno) : "no digest");
}

static void digest_text(const struct warder_signed_content *c, char ret[2 * WARDER_DIGEST_SIZE + 1])
{
	for (size_t i = 0; i < WARDER_DIGEST_SIZE; i++)
		snprintf(ret + 2 * i, 3, "%02x", c->digest[i]);
}

/* ------------------------------------------------------------------ signing */

static int make_signature(const struct sign *s, const struct warder_signed_content *c,
			  unsigned char **ret, int *ret_len)
{
	BIO *data = BIO_new_mem_buf(c, sizeof(*c));
	CMS_ContentInfo *cms = CMS_sign(NULL, NULL, NULL, NULL,
					SIGN_FLAGS | CMS_PARTIAL | CMS_DETACHED | CMS_STREAM);

	*ret = NULL;
	*ret_len = 0;
	if (data && cms && CMS_add1_signer(cms, s->cert[0], s->key, EVP_sha256(), SIGN_FLAGS) &&
	    CMS_final(cms, data, NULL, SIGN_FLAGS | CMS_DETACHED))
		*ret_len = i2d_CMS_ContentInfo(cms, ret);
	CMS_ContentInfo_free(cms);
	BIO_free(data);
	if (*ret_len <= 0)
		return say("cannot sign");
	return *ret_len > (int)WARDER_SIGNATURE_SIZE_MAX
		       ? say("the signature has %d bytes, more than %u: use a shorter key",
			     *ret_len, WARDER_SIGNATURE_SIZE_MAX)
		       : 0;
}

/* Names go into a text of lines. */
static int name_is_plain(const char *path)
{
	for (const char *p = path; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			return 0;
	return 1;
}

static int sign_file(struct sign *s, const char *path)
{
	cleanup_free unsigned char *base64 = NULL;
	char digest[2 * WARDER_DIGEST_SIZE + 1];
	struct warder_signed_content c;
	unsigned char *signature = NULL;
	int len, err;

	if (!name_is_plain(path))
		return say("%.200s: a name with control characters", path);
	err = measure(path, &c);
	if (!err)
		err = make_signature(s, &c, &signature, &len);
	if (err)
		return err;
	digest_text(&c, digest);
	base64 = malloc((size_t)len / 3 * 4 + 8);
	if (!base64)
		return say("out of memory");
	EVP_EncodeBlock(base64, signature, len);
	if (s->out)
		fprintf(s->out, "sha256:%s %s %s\n", digest, base64, path);
	if (s->json) {
		struct json_object *o = json_object_new_object();

		json_object_object_add(o, "file", json_object_new_string(path));
		json_object_object_add(o, "sha256", json_object_new_string(digest));
		json_object_object_add(o, "signature", json_object_new_string((char *)base64));
		json_object_array_add(s->results, o);
	}
	OPENSSL_free(signature);
	return 0;
}

/* ---------------------------------------------------------------- verifying */

/* What the kernel would say: 0 or an errno. */
static int check_signature(const struct sign *s, const struct warder_signed_content *c,
			   const unsigned char *data, uint32_t len)
{
	const unsigned char *p = data;
	CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &p, (long)len);
	STACK_OF(CMS_SignerInfo) *infos = cms ? CMS_get0_SignerInfos(cms) : NULL;
	STACK_OF(X509) *certs = sk_X509_new_null();
	BIO *bio = BIO_new_mem_buf(c, sizeof(*c));
	int err = EBADMSG, known = 0;

	for (size_t i = 0; i < s->certs; i++)
		sk_X509_push(certs, s->cert[i]);
	for (int k = 0; infos && k < sk_CMS_SignerInfo_num(infos); k++)
		for (size_t i = 0; i < s->certs; i++)
			known |= !CMS_SignerInfo_cert_cmp(sk_CMS_SignerInfo_value(infos, k),
							  s->cert[i]);
	if (infos)
		err = !known ? ENOKEY
		      : CMS_verify(cms, certs, NULL, bio, NULL,
				   CMS_BINARY | CMS_NO_SIGNER_CERT_VERIFY | CMS_NOINTERN) == 1
			      ? 0
			      : EKEYREJECTED;
	ERR_clear_error();
	CMS_ContentInfo_free(cms);
	sk_X509_free(certs);
	BIO_free(bio);
	return err;
}

/* Of several lines for one content the last one counts, as in policies. */
static int find_signature(const struct sign *s, const struct warder_signed_content *c)
{
	unsigned char data[WARDER_SIGNATURE_SIZE_MAX + 8];
	int err = ENODATA;

	for (const char *p = s->known, *end = p + s->known_len, *next; p < end; p = next + 1) {
		struct warder_signed_content line;
		uint32_t len;

		next = memchr(p, '\n', (size_t)(end - p));
		if (!next)
			next = end;
		if (p != next && *p != '#' &&
		    !signed_read_line(p, (size_t)(next - p), &line, data, &len) &&
		    !memcmp(&line, c, sizeof(line)))
			err = check_signature(s, c, data, len);
	}
	return err;
}

static int verify_file(struct sign *s, const char *path, int *bad)
{
	struct warder_signed_content c;
	int err = measure(path, &c);
	const char *said;

	if (err)
		return err;
	err = find_signature(s, &c);
	said = err == 0		? "signed"
	       : err == ENODATA ? "not signed, or changed"
	       : err == ENOKEY	? "signed by somebody else"
				: "a signature that is not of this content";
	*bad |= err != 0;
	if (s->json) {
		struct json_object *o = json_object_new_object();

		json_object_object_add(o, "file", json_object_new_string(path));
		json_object_object_add(o, "signed", json_object_new_boolean(!err));
		if (err)
			json_object_object_add(o, "errno",
					       json_object_new_string(strerrorname_np(err)));
		json_object_array_add(s->results, o);
	} else if (err) {
		printf("%s: %s (%s)\n", path, said, strerrorname_np(err));
	} else {
		printf("%s: %s\n", path, said);
	}
	return 0;
}

/* --------------------------------------------------------------------- main */

static int prepare(struct sign *s, const char *key, int files)
{
	struct warder_error e = { "" };

	if (!files || !s->certs ||
	    (s->verify ? !s->signatures || key || s->output
		       : !key || s->signatures || s->certs != 1))
		return usage(stderr);
	if (s->json)
		s->results = json_object_new_array();
	if (s->verify)
		return policy_read_file(s->signatures, &s->known, &s->known_len, &e)
			       ? say("%s", e.text)
			       : 0;
	if (read_key(s, key))
		return EXIT_FAILED;
	if (X509_check_private_key(s->cert[0], s->key) != 1)
		return say("the certificate is not the key's");
	if (!s->output) {
		s->out = s->json ? NULL : stdout;
		return 0;
	}
	s->out = fopen(s->output, "ae");
	return s->out ? 0 : say("cannot open %s: %s", s->output, strerror(errno));
}

static int run(struct sign *s, const char *key, char **file, int files)
{
	int err = prepare(s, key, files), bad = 0;

	for (int i = 0; !err && i < files; i++)
		err = s->verify ? verify_file(s, file[i], &bad) : sign_file(s, file[i]);
	if (!err && s->results)
		puts(json_object_to_json_string_ext(
			s->results, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	if (s->out && s->out != stdout && fclose(s->out) && !err)
		err = say("cannot write %s: %s", s->output, strerror(errno));
	if (fflush(stdout) && !err)
		err = say("cannot write: %s", strerror(errno));
	return err ? err : bad;
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "key", required_argument, NULL, 'k' },
						 { "cert", required_argument, NULL, 'c' },
						 { "output", required_argument, NULL, 'o' },
						 { "json", no_argument, NULL, 'j' },
						 { "verify", no_argument, NULL, 'v' },
						 { "help", no_argument, NULL, 'h' },
						 { "signatures", required_argument, NULL, 's' },
						 { NULL, 0, NULL, 0 } };
	struct sign s = { 0 };
	const char *key = NULL;
	int c, status;

	while ((c = getopt_long(argc, argv, "o:h", options, NULL)) != -1) {
		if (c == 'k')
			key = optarg;
		else if (c == 'c' && read_cert(&s, optarg))
			return EXIT_FAILED;
		else if (c == 'o')
			s.output = optarg;
		else if (c == 's')
			s.signatures = optarg;
		else if (c == 'j')
			s.json = 1;
		else if (c == 'v')
			s.verify = 1;
		else if (c == 'h' || c == '?')
			return usage(c == 'h' ? stdout : stderr);
	}
	status = run(&s, key, argv + optind, argc - optind);
	for (size_t i = 0; i < s.certs; i++)
		X509_free(s.cert[i]);
	EVP_PKEY_free(s.key);
	json_object_put(s.results);
	free(s.known);
	return status;
}
