// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * warder-sign: what `warder sign` starts. A program of its own, because it alone needs libcrypto
 * and runs where files are made, not where they are run.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <json.h>
#include <linux/fs.h>
#include <linux/fsverity.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
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
	int verify, verity, json;
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
	      "       warder sign --verity --key KEY.pem --cert CERT.pem [--json] FILE...\n"
	      "       warder sign --verify --cert CERT.pem... --signatures FILE [--json] FILE...\n"
	      "       warder sign --verify --verity --cert CERT.pem... [--json] FILE...\n"
	      "Signs the content of files, for policies with keyring.signed_exec: prints one line "
	      "for\n"
	      "each, or adds it to FILE, which `signatures:` of a policy names.\n"
	      "--verity puts the signature into the file's attribute " WARDER_SIGNATURE_XATTR ", and switches\n"
	      "fs-verity on where its file system has that: the file cannot be changed any more.\n"
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

static int open_file(const char *path, int *ret)
{
	struct stat st;

	*ret = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (*ret < 0 || fstat(*ret, &st))
		return say("cannot open %s: %s", path, strerror(errno));
	return S_ISREG(st.st_mode) ? 0 : say("%s is not a regular file", path);
}

/* The digest of a regular file. */
static int measure(const char *path, struct warder_signed_content *c)
{
	cleanup_close int fd = -1;
	EVP_MD_CTX *ctx;
	ssize_t n = -1;
	int fine;

	if (open_file(path, &fd))
		return EXIT_FAILED;
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

/* ---------------------------------------------------------------- fs-verity */

#define VERITY_BLOCK 4096
#define VERITY_LEVELS 8 /* of 128 digests in a block: more than any file has */

/* A block of one level, whose digest goes into the next. */
struct verity_level {
	unsigned char block[VERITY_BLOCK];
	size_t used;
};

static int verity_hash(const void *data, size_t len, unsigned char *ret)
{
	return EVP_Digest(data, len, ret, NULL, EVP_sha256(), NULL) == 1;
}

/* Puts a digest into level n; whatever is full goes up. */
static int verity_add(struct verity_level *level, unsigned n, const unsigned char *digest)
{
	unsigned char up[WARDER_DIGEST_SIZE];
	struct verity_level *l = &level[n];

	if (n == VERITY_LEVELS)
		return 0;
	if (l->used == VERITY_BLOCK) {
		if (!verity_hash(l->block, VERITY_BLOCK, up) || !verity_add(level, n + 1, up))
			return 0;
		l->used = 0;
	}
	memcpy(l->block + l->used, digest, WARDER_DIGEST_SIZE);
	l->used += WARDER_DIGEST_SIZE;
	return 1;
}

/* The digest of the highest block, which is the only one of its level. */
static int verity_root(struct verity_level *level, unsigned char *root)
{
	for (unsigned n = 0; n < VERITY_LEVELS && level[n].used; n++) {
		struct verity_level *l = &level[n];
		int is_last = n + 1 == VERITY_LEVELS || !level[n + 1].used;

		/* One digest alone is that of the whole level below. */
		if (is_last && l->used == WARDER_DIGEST_SIZE) {
			memcpy(root, l->block, WARDER_DIGEST_SIZE);
			return 1;
		}
		memset(l->block + l->used, 0, VERITY_BLOCK - l->used);
		if (!verity_hash(l->block, VERITY_BLOCK, root) || !verity_add(level, n + 1, root))
			return 0;
	}
	return 0;
}

/* What the kernel will measure where fs-verity is switched on with SHA-256, blocks of 4096 bytes and no
 * salt (Documentation/filesystems/fsverity.rst). 0 or an errno. */
static int verity_compute(int fd, unsigned char *ret)
{
	struct fsverity_descriptor {
		__u8 version, hash_algorithm, log_blocksize, salt_size;
		__u32 reserved;
		__u64 data_size;
		__u8 root_hash[64], salt[32], more[144];
	} d = { .version = 1, .hash_algorithm = FS_VERITY_HASH_ALG_SHA256, .log_blocksize = 12 };
	static struct verity_level level[VERITY_LEVELS];
	unsigned char block[VERITY_BLOCK], digest[WARDER_DIGEST_SIZE];
	ssize_t n;

	_Static_assert(sizeof(d) == 256, "layout of the kernel's descriptor");
	memset(level, 0, sizeof(level));
	for (;; d.data_size += (__u64)n) {
		n = pread(fd, block, sizeof(block), (off_t)d.data_size);
		if (n < 0)
			return errno;
		if (!n)
			break;
		/* Short is the last one only: of a regular file. */
		memset(block + n, 0, sizeof(block) - (size_t)n);
		if (!verity_hash(block, sizeof(block), digest) || !verity_add(level, 0, digest))
			return EIO;
	}
	/* An empty file has no tree. */
	if (d.data_size && !verity_root(level, d.root_hash))
		return EIO;
	return verity_hash(&d, sizeof(d), ret) ? 0 : EIO;
}

/* The digest that the kernel has. 0 or an errno: ENODATA: fs-verity is not switched on. */
static int verity_measure(int fd, struct warder_signed_content *c)
{
	struct {
		struct fsverity_digest d;
		unsigned char digest[64];
	} m = { .d = { .digest_size = sizeof(m.digest) } };

	if (ioctl(fd, FS_IOC_MEASURE_VERITY, &m))
		return errno == ENOTTY ? EOPNOTSUPP : errno;
	if (m.d.digest_algorithm != FS_VERITY_HASH_ALG_SHA256 || m.d.digest_size != WARDER_DIGEST_SIZE)
		return EPROTONOSUPPORT;
	signed_content_init(c);
	c->algorithm = WARDER_SIGNED_VERITY_SHA256;
	memcpy(c->digest, m.d.digest, WARDER_DIGEST_SIZE);
	return 0;
}

static int verity_enable(int fd)
{
	struct fsverity_enable_arg arg = { .version = 1,
					   .hash_algorithm = FS_VERITY_HASH_ALG_SHA256,
					   .block_size = VERITY_BLOCK };

	return ioctl(fd, FS_IOC_ENABLE_VERITY, &arg) ? errno : 0;
}

/* What fs-verity says of it, now or once it is on. */
static int verity_digest(const char *path, int fd, struct warder_signed_content *c, int *ret_is_on)
{
	int err = verity_measure(fd, c);

	*ret_is_on = !err;
	if (err == EPROTONOSUPPORT)
		return say("%s: its fs-verity has another digest than SHA-256", path);
	if (!err)
		return 0;
	signed_content_init(c);
	c->algorithm = WARDER_SIGNED_VERITY_SHA256;
	err = verity_compute(fd, c->digest);
	return err ? say("cannot read %s: %s", path, strerror(err)) : 0;
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

static void add_result(struct sign *s, const char *path, const char *digest_name, const char *digest,
		       const char *signature)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "file", json_object_new_string(path));
	json_object_object_add(o, digest_name, json_object_new_string(digest));
	json_object_object_add(o, "signature", json_object_new_string(signature));
	json_object_array_add(s->results, o);
}

static char *base64_of(const unsigned char *data, int len)
{
	unsigned char *ret = malloc((size_t)len / 3 * 4 + 8);

	if (ret)
		EVP_EncodeBlock(ret, data, len);
	return (char *)ret;
}

/* The attribute first: the file cannot be executed by a policy that asks for it before both are there. */
static int sign_verity(struct sign *s, const char *path)
{
	char digest[2 * WARDER_DIGEST_SIZE + 1];
	unsigned char *signature = NULL;
	struct warder_signed_content c, now;
	cleanup_free char *base64 = NULL;
	cleanup_close int fd = -1;
	int len, err, is_on;

	if (open_file(path, &fd) || verity_digest(path, fd, &c, &is_on) ||
	    make_signature(s, &c, &signature, &len))
		return EXIT_FAILED;
	err = fsetxattr(fd, WARDER_SIGNATURE_XATTR, signature, (size_t)len, 0) ? errno : 0;
	base64 = base64_of(signature, len);
	OPENSSL_free(signature);
	if (err)
		return say("%s: cannot set " WARDER_SIGNATURE_XATTR ": %s", path, strerror(err));
	if (!base64)
		return say("out of memory");
	err = is_on ? 0 : verity_enable(fd);
	if (err == EOPNOTSUPP || err == ENOTTY)
		fprintf(stderr, "warder sign: %s is signed, but its file system has no fs-verity: switch that "
				"on where it is to run\n", path);
	else if (err)
		return say("%s: cannot switch on fs-verity: %s", path, strerror(err));
	else if (verity_measure(fd, &now) || memcmp(&c, &now, sizeof(c)))
		return say("%s has changed while it was signed", path);
	digest_text(&c, digest);
	if (s->json)
		add_result(s, path, "verity_sha256", digest, base64);
	return 0;
}

static int sign_file(struct sign *s, const char *path)
{
	cleanup_free char *base64 = NULL;
	char digest[2 * WARDER_DIGEST_SIZE + 1];
	struct warder_signed_content c;
	unsigned char *signature = NULL;
	int len, err;

	if (!name_is_plain(path))
		return say("%.200s: a name with control characters", path);
	if (s->verity)
		return sign_verity(s, path);
	err = measure(path, &c);
	if (!err)
		err = make_signature(s, &c, &signature, &len);
	if (err)
		return err;
	digest_text(&c, digest);
	base64 = base64_of(signature, len);
	OPENSSL_free(signature);
	if (!base64)
		return say("out of memory");
	if (s->out)
		fprintf(s->out, "sha256:%s %s %s\n", digest, base64, path);
	if (s->json)
		add_result(s, path, "sha256", digest, base64);
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

/* As bpf/verity.bpf.h does. ENODATA: no fs-verity, or no signature. */
static int check_verity(const struct sign *s, int fd)
{
	unsigned char data[WARDER_SIGNATURE_SIZE_MAX + 1];
	struct warder_signed_content c;
	ssize_t n = fgetxattr(fd, WARDER_SIGNATURE_XATTR, data, sizeof(data));

	if (verity_measure(fd, &c) || (n < 0 && errno != ERANGE) || !n)
		return ENODATA;
	return n < 0 || n > (ssize_t)WARDER_SIGNATURE_SIZE_MAX ? EBADMSG :
								  check_signature(s, &c, data, (uint32_t)n);
}

static int verify_file(struct sign *s, const char *path, int *bad)
{
	cleanup_close int fd = -1;
	struct warder_signed_content c;
	int err = s->verity ? open_file(path, &fd) : measure(path, &c);
	const char *said;

	if (err)
		return err;
	err = s->verity ? check_verity(s, fd) : find_signature(s, &c);
	said = err == 0		? "signed"
	       : err == ENODATA ? (s->verity ? "not signed, or without fs-verity" : "not signed, or changed")
	       : err == EBADMSG ? "a signature that cannot be read"
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
	    (s->verity && (s->signatures || s->output)) ||
	    (s->verify ? (!s->signatures && !s->verity) || key || s->output
		       : !key || s->signatures || s->certs != 1))
		return usage(stderr);
	if (s->json)
		s->results = json_object_new_array();
	if (s->verify && s->verity)
		return 0;
	if (s->verify)
		return policy_read_file(s->signatures, &s->known, &s->known_len, &e)
			       ? say("%s", e.text)
			       : 0;
	if (read_key(s, key))
		return EXIT_FAILED;
	if (X509_check_private_key(s->cert[0], s->key) != 1)
		return say("the certificate is not the key's");
	if (!s->output) {
		s->out = s->json || s->verity ? NULL : stdout;
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
						 { "verity", no_argument, NULL, 'y' },
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
		else if (c == 'y')
			s.verity = 1;
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
