// SPDX-License-Identifier: LGPL-2.1-or-later
/* What a kernel needs to have for files to be run by their signatures. */
#include <bpf/btf.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "loader_internal.h"

struct need {
	const char *function; /* in its BTF */
	const char *what;
};

static const struct need needed[] = {
	{ "bpf_lookup_user_key", "bpf_lookup_user_key (Linux 6.1, CONFIG_KEYS)" },
	{ "bpf_key_put", "bpf_key_put (Linux 6.1, CONFIG_KEYS)" },
	{ "bpf_verify_pkcs7_signature",
	  "bpf_verify_pkcs7_signature (Linux 6.1, CONFIG_SYSTEM_DATA_VERIFICATION)" },
	{ "x509_key_preparse", "X.509 certificates as keys (CONFIG_X509_CERTIFICATE_PARSER)" },
	{ "ima_calc_file_hash", "digests of files (CONFIG_IMA)" },
	{ "bpf_lsm_mmap_file", "hook mmap_file" },
	{ "bpf_lsm_file_mprotect", "hook file_mprotect" },
	{ "bpf_lsm_path_truncate", "hook path_truncate (CONFIG_SECURITY_PATH)" },
};

static const struct need verity_needed[] = {
	{ "fsverity_ioctl_enable", "fs-verity (CONFIG_FS_VERITY)" },
	{ "bpf_get_fsverity_digest", "bpf_get_fsverity_digest (Linux 6.8)" },
	{ "bpf_get_file_xattr", "bpf_get_file_xattr (Linux 6.8)" },
};

/* IMA's digest is what signatures are of. */
static int digest_is_another(void)
{
	cleanup_fclose FILE *f = fopen("/proc/cmdline", "re");
	char line[4096] = "", *word, *save = NULL;
	int other = 0;

	if (!f || !fgets(line, sizeof(line), f))
		return 0;
	for (word = strtok_r(line, " \n", &save); word; word = strtok_r(NULL, " \n", &save))
		if (!strncmp(word, "ima_hash=", strlen("ima_hash=")))
			other = strcmp(word, "ima_hash=sha256") != 0;
	return other;
}

static const char *missing_in(const struct btf *btf, const struct need *need, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (btf__find_by_name_kind(btf, need[i].function, BTF_KIND_FUNC) <= 0)
			return need[i].what;
	return NULL;
}

const char *loader_signed_missing_in(const struct btf *btf)
{
	return missing_in(btf, needed, ARRAY_SIZE(needed));
}

const char *loader_verity_missing_in(const struct btf *btf)
{
	return missing_in(btf, verity_needed, ARRAY_SIZE(verity_needed));
}

static const char *missing_of(const char *path, const char *(*in)(const struct btf *btf))
{
	struct btf *btf;
	const char *missing = loader_btf_open(path, &btf) ? "BTF that can be read" : in(btf);

	btf__free(btf);
	return missing;
}

const char *loader_signed_missing(const char *path)
{
	const char *missing = missing_of(path, loader_signed_missing_in);

	if (!missing && !path && digest_is_another())
		missing = "SHA-256 digests (ima_hash= on its command line names others)";
	return missing;
}

const char *loader_verity_missing(const char *path)
{
	return missing_of(path, loader_verity_missing_in);
}

int loader_program_checks_signatures(const char *name)
{
	return !strcmp(name, "warder_signed_exec") || !strcmp(name, "warder_signed_map");
}
