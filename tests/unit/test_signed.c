// SPDX-License-Identifier: LGPL-2.1-or-later
/* keyring.signed_exec without a kernel: text, image, what is found in it, decisions, warder sign.
 */
#include "policy_fixture.h"

#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loader_internal.h"
#include "policy_signed.h"
#include "policy_tools.h"
#include "signed_keys.h"
#include "warder_decide.h"

/* A DER sequence is all that a signature has to be for the compiler. */
#define SIG1 "MAMCAQE="
#define SIG2 "MAMCAQI="
#define DIGEST(x) x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x
#define TEXT                                                                                       \
	P "keyring:\n  signed_exec: {require: true, signers: [@/own.pem, @/other.pem], "           \
	  "signatures: @/sigs, id: signed}\n"

static void write_file(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int setup(void **state)
{
	if (make_folder(state))
		return -1;
	write_file("own.pem", own_cert);
	write_file("other.pem", other_cert);
	write_file("own.key", own_key);
	write_file("both.pem", "text before\n");
	write_file("sigs",
		   "# a comment\n"
		   "sha256:" DIGEST(
			   "c3") " " SIG1 " c\n\n"
				 "sha256:" DIGEST(
					 "01") " " SIG1 " a name with spaces\n"
					       "sha256:" DIGEST(
						       "b2") " " SIG1 "\n"
							     "sha256:" DIGEST(
								     "01") " " SIG2
									   " signed again: the "
									   "last one counts\n");
	return 0;
}

/* The policy `text` with the folder's name in the places of '@'. */
static int compile(const char *text, struct warder_image **ret, struct policy_diags *d)
{
	char whole[1024] = "";

	for (; *text; text++) {
		size_t used = strlen(whole);

		snprintf(whole + used, sizeof(whole) - used, "%.*s", *text == '@' ? 64 : 1,
			 *text == '@' ? folder : text);
	}
	return try_text(whole, strlen(whole), ret, d);
}

static struct warder_image *compiled(const char *text)
{
	struct policy_diags d = { 0 };
	struct warder_image *img;
	struct warder_error e = { "" };

	if (compile(text, &img, &d)) {
		policy_diags_print(&d, stderr);
		fail();
	}
	policy_diags_done(&d);
	assert_int_equal(image_verify(img, sizeof(*img), &e), 0);
	return img;
}

static int find(const struct warder_image *img, __u32 layer, int byte, unsigned char *ret_last)
{
	struct warder_signed_content c;
	const struct warder_signature *s;
	int at;

	signed_content_init(&c);
	memset(c.digest, byte, sizeof(c.digest));
	at = warder_signature_find(img, layer, &c);
	if (!at)
		return 0;
	s = (const void *)(img->b + at);
	assert_memory_equal(&s->content, &c, sizeof(c));
	*ret_last = img->b[s->at + s->length - 1];
	return at;
}

static void signatures_are_found(void **state)
{
	struct warder_image *img = compiled(TEXT);
	unsigned char last = 0;
	uint32_t len = 0;
	char where[256];

	(void)state;
	assert_int_equal(img->h.signed_layers, 1);
	assert_int_equal(img->h.layer[0].signers, 2);
	assert_int_equal(img->h.layer[0].signatures, 3);
	assert_true(find(img, 0, 0x01, &last));
	assert_int_equal(last, 2);
	assert_true(find(img, 0, 0xb2, &last));
	assert_int_equal(last, 1);
	assert_true(find(img, 0, 0xc3, &last));
	assert_int_equal(find(img, 0, 0x00, &last), 0);
	assert_int_equal(find(img, 0, 0x55, &last), 0);
	assert_int_equal(find(img, 0, 0xff, &last), 0);
	assert_int_equal(find(img, 1, 0x01, &last), 0);
	assert_non_null(image_signer(img, 0, 1, &len));
	assert_true(len > 500);
	assert_null(image_signer(img, 0, 2, &len));
	assert_string_equal(
		image_rule_where(img, img->h.layer[0].signed_rule, where, sizeof(where)), "t:3");
	free(img);
}

/* Every number of signatures up to some, every one of them found. */
static void many_signatures(void **state)
{
	enum { MOST = 40 };

	(void)state;
	for (unsigned n = 0; n <= MOST; n++) {
		char path[128];
		struct warder_image *img;
		unsigned char last;
		FILE *f;

		snprintf(path, sizeof(path), "%s/sigs", folder);
		f = fopen(path, "we");
		for (unsigned i = n; i-- > 0;) {
			fputs("sha256:", f);
			for (unsigned k = 0; k < 32; k++)
				fprintf(f, "%02x", i * 2 + 1);
			fputs(" " SIG1 " x\n", f);
		}
		fclose(f);
		img = compiled(TEXT);
		assert_int_equal(img->h.signature.count, n);
		for (unsigned i = 0; i < MOST; i++) {
			assert_int_equal(find(img, 0, (int)(i * 2 + 1), &last) != 0, i < n);
			assert_int_equal(find(img, 0, (int)(i * 2), &last), 0);
		}
		free(img);
	}
}

static void decisions(void **state)
{
	struct warder_image *img = compiled(TEXT), *audit = compiled("mode: audit\n" TEXT);
	struct warder_image *plain = compiled("policy: other\n"), *two = NULL;
	const struct warder_image *member[] = { plain, img };
	struct warder_error e = { "" };
	struct warder_verdict v;
	unsigned char last;
	__u32 rule;

	(void)state;
	warder_decide_signed(img, 0, &v);
	assert_int_equal(v.action, WARDER_ALLOW);
	warder_decide_signed(img, WARDER_SIGNED_ERRS_ALL(ENOKEY), &v);
	assert_int_equal(v.action, WARDER_DENY);
	assert_int_equal(v.err, ENOKEY);
	assert_int_equal(v.rule, img->h.layer[0].signed_rule);
	assert_int_equal(v.why, WARDER_WHY_RULE);
	assert_int_equal(v.report, 1);
	warder_decide_signed(audit, WARDER_SIGNED_ERRS_ALL(ENODATA), &v);
	assert_int_equal(v.action, WARDER_AUDIT);
	assert_int_equal(v.err, ENODATA);
	warder_decide_signed(plain, WARDER_SIGNED_ERRS_ALL(ENODATA), &v);
	assert_int_equal(v.action, WARDER_ALLOW);
	/* Of a stack the second one asks. */
	assert_int_equal(image_stack(member, 2, &two, &e), 0);
	rule = two->h.layer[1].signed_rule;
	assert_int_equal(two->h.signed_layers, 2);
	assert_true(rule > 0);
	assert_true(find(two, 1, 0xb2, &last));
	assert_int_equal(find(two, 0, 0xb2, &last), 0);
	warder_decide_signed(two, (__u64)EKEYREJECTED << 16, &v);
	assert_int_equal(v.action, WARDER_DENY);
	assert_int_equal(v.err, EKEYREJECTED);
	assert_int_equal(v.layer, 1);
	assert_int_equal(v.against, 2);
	assert_int_equal(v.by[1], rule);
	warder_decide_signed(two, ENOKEY, &v);
	assert_int_equal(v.action, WARDER_ALLOW);
	free(two);
	free(plain);
	free(audit);
	free(img);
}

static void damaged_images_are_refused(void **state)
{
	struct warder_image *img = compiled(TEXT), *bad = malloc(sizeof(*bad));
	struct warder_error e = { "" };

	(void)state;
	assert_non_null(bad);
#define DAMAGE(what)                                                                               \
	do {                                                                                       \
		struct warder_signer *g;                                                           \
		struct warder_signature *s;                                                        \
                                                                                                   \
		memcpy(bad, img, sizeof(*bad));                                                    \
		g = (void *)(bad->b + bad->h.signer.offset);                                       \
		s = (void *)(bad->b + bad->h.signature.offset);                                    \
		what;                                                                              \
		(void)g, (void)s;                                                                  \
		bad->h.checksum = image_checksum(bad);                                             \
		assert_int_not_equal(image_verify(bad, sizeof(*bad), &e), 0);                      \
	} while (0)
	DAMAGE(bad->h.signed_layers = 0);
	DAMAGE(bad->h.layer[0].signed_rule = 0);
	DAMAGE(bad->h.layer[0].signed_rule = 9);
	DAMAGE(bad->h.layer[0].signers = 1);
	DAMAGE(bad->h.layer[0].signature = 1);
	DAMAGE(bad->h.layer[0].signed_flags = 4);
	DAMAGE(bad->h.layer[0].signers_id++);
	DAMAGE(g[0].at = 0);
	DAMAGE(g[1].length++);
	DAMAGE(g[0].length = 0xffffffff);
	DAMAGE(s[0].at = bad->h.length);
	DAMAGE(s[2].length = 0);
	DAMAGE(s[1].content.magic[0] = 'x');
	DAMAGE(s[1].content.algorithm = 2);
	DAMAGE(s[1].content.digest[0] = 0);
#undef DAMAGE
	free(bad);
	free(img);
}

static void lines_are_checked(void **state)
{
	static const struct {
		const char *line;
		int err;
	} lines[] = {
		{ "sha256:" DIGEST("0a") " " SIG1, 0 },
		{ "sha256:" DIGEST("0a") " " SIG1 " some name", 0 },
		{ "sha256:" DIGEST("0A") " " SIG1, -EBADMSG },
		{ "sha1:" DIGEST("0a") " " SIG1, -EBADMSG },
		{ "sha256:" DIGEST("0a") "0 " SIG1, -EBADMSG },
		{ "sha256:" DIGEST("0a"), -EBADMSG },
		{ "sha256:" DIGEST("0a") " ", -EBADMSG },
		{ "sha256:" DIGEST("0a") " MAMCAQ==", -EBADMSG }, /* shorter than it says */
		{ "sha256:" DIGEST("0a") " MAMCAQEB", -EBADMSG }, /* longer */
		{ "sha256:" DIGEST("0a") " MAM*AQE=", -EBADMSG },
		{ "sha256:" DIGEST("0a") " MAMCAQE", -EBADMSG }, /* no padding */
		{ "", -EBADMSG },
	};
	unsigned char data[WARDER_SIGNATURE_SIZE_MAX + 8];
	cleanup_free char *longest = malloc(70000);
	struct warder_signed_content c;
	uint32_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		assert_int_equal(
			signed_read_line(lines[i].line, strlen(lines[i].line), &c, data, &len),
			lines[i].err);
	assert_non_null(longest);
	memset(longest, 'A', 70000);
	memcpy(longest, lines[0].line, strlen("sha256:") + 65);
	assert_int_equal(signed_read_line(longest, 70000, &c, data, &len), -E2BIG);
	for (size_t n = 0; n < 70; n++)
		signed_read_line(longest, n, &c, data, &len);
}

static void errors_name_the_place(void **state)
{
	static const struct {
		const char *text;
		unsigned column;
		const char *words;
	} cases[] = {
		{ P "keyring: {signed_exec: {require: true, signers: @/both.pem}}\n", 49,
		  "no X.509 certificate" },
		{ P "keyring: {signed_exec: {require: true, signers: [@/own.pem, @/own.pem]}}\n", 0,
		  "there already" },
		{ P "keyring: {signed_exec: {require: true, signers: @/own.pem, "
		    "signatures: @/own.pem}}\n",
		  0, "own.pem:1: expected a line" },
		{ P "keyring: {signed_exec: {require: maybe, signers: @/own.pem}}\n", 34, "true" },
		{ P "keyring: {signed_exec: {require: true, signers: ''}}\n", 49, "expected text" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct policy_diags d = { 0 };
		struct warder_image *img;

		assert_int_not_equal(compile(cases[i].text, &img, &d), 0);
		assert_true(d.count > 0);
		assert_int_equal(d.item[0].line, 2);
		if (cases[i].column)
			assert_int_equal(d.item[0].column, cases[i].column);
		assert_non_null(strstr(d.item[0].text, cases[i].words));
		policy_diags_done(&d);
	}
}

/* What is switched off, or may be missing, is said in the image. */
static void not_required_and_optional(void **state)
{
	struct warder_image *img = compiled(P "keyring: {signed_exec: {require: false, signers: "
					      "@/own.pem, signatures: @/sigs}}\n");

	(void)state;
	assert_int_equal(img->h.signed_layers, 0);
	assert_int_equal(img->h.signer.count + img->h.signature.count + img->h.blob.count, 0);
	free(img);
	img = compiled(
		P "keyring: {signed_exec: {require: true, signers: @/own.pem, optional: true}}\n");
	assert_int_equal(img->h.layer[0].signed_flags, WARDER_SIGNED_OPTIONAL);
	assert_true(loader_program_is_needed("warder_signed_exec", img));
	free(img);
	img = compiled(P "keyring: {signed_exec: {require: true, signers: @/own.pem, verity: true}}\n");
	assert_int_equal(img->h.layer[0].signed_flags, WARDER_SIGNED_VERITY);
	free(img);
	img = compiled(P "keyring: {signed_exec: {require: false, verity: true}}\n");
	assert_int_equal(img->h.layer[0].signed_flags, 0);
	free(img);
	img = compiled(P);
	assert_false(loader_program_is_needed("warder_signed_exec", img));
	assert_false(loader_program_is_needed("warder_signed_open", img));
	free(img);
}

/* A kernel that lacks a function is told which. */
static void kernels_that_lack_something(void **state)
{
	static const char *const functions[] = {
		"bpf_lookup_user_key",	 "bpf_key_put",	       "bpf_verify_pkcs7_signature",
		"x509_key_preparse",	 "bpf_lsm_mmap_file",  "bpf_lsm_file_mprotect",
		"bpf_lsm_path_truncate", "ima_calc_file_hash",
	};
	struct btf *btf = btf__new_empty();
	int proto = btf__add_func_proto(btf, 0);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		assert_non_null(loader_signed_missing_in(btf));
		assert_true(btf__add_func(btf, functions[i], BTF_FUNC_STATIC, proto) > 0);
		if (i == ARRAY_SIZE(functions) - 2)
			assert_string_equal(loader_signed_missing_in(btf),
					    "digests of files (CONFIG_IMA)");
	}
	assert_null(loader_signed_missing_in(btf));
	assert_string_equal(loader_verity_missing_in(btf), "fs-verity (CONFIG_FS_VERITY)");
	btf__add_func(btf, "fsverity_ioctl_enable", BTF_FUNC_STATIC, proto);
	assert_string_equal(loader_verity_missing_in(btf), "bpf_get_fsverity_digest (Linux 6.8)");
	btf__add_func(btf, "bpf_get_fsverity_digest", BTF_FUNC_GLOBAL, proto);
	assert_string_equal(loader_verity_missing_in(btf), "bpf_get_file_xattr (Linux 6.8)");
	btf__add_func(btf, "bpf_get_file_xattr", BTF_FUNC_GLOBAL, proto);
	assert_null(loader_verity_missing_in(btf));
	btf__free(btf);
}

/* A refusal is explained by what the kernel said; nothing else could decide it anew. */
static void events_are_explained(void **state)
{
	static const struct {
		const char *err, *words;
	} rows[] = {
		{ "ENODATA", "never signed, or has changed" },
		{ "ENOKEY", "none of the policy's signers" },
		{ "EKEYREJECTED", "not of this file's content" },
		{ "EBADMSG", "cannot be read" },
		{ "ETXTBSY", "open for writing" },
		{ "EPERM", "a mapping of the file" },
		{ "EOPNOTSUPP", "no digest" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct warder_error e = { "" };
		struct policy_event ev;
		const char *reason;
		char line[256];

		snprintf(line, sizeof(line),
			 "{\"type\": \"verdict\", \"class\": \"exec\", \"access\": [\"exec\"], "
			 "\"signature\": false, \"action\": \"deny\", \"why\": \"rule\", "
			 "\"path\": \"/x\", \"errno\": \"%s\"}",
			 rows[i].err);
		assert_int_equal(policy_event_parse(line, strlen(line), &ev, &reason, &e), 0);
		assert_ptr_equal(strstr(reason, POLICY_EVENT_SIGNED), reason);
		assert_non_null(strstr(reason, rows[i].words));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signatures_are_found),
		cmocka_unit_test(decisions),
		cmocka_unit_test(damaged_images_are_refused),
		cmocka_unit_test(lines_are_checked),
		cmocka_unit_test(errors_name_the_place),
		cmocka_unit_test(not_required_and_optional),
		cmocka_unit_test(kernels_that_lack_something),
		cmocka_unit_test(events_are_explained),
		cmocka_unit_test(many_signatures),
	};

	return cmocka_run_group_tests(tests, setup, remove_folder);
}
