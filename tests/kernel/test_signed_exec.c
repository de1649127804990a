// SPDX-License-Identifier: LGPL-2.1-or-later
/* keyring.signed_exec against the kernel: execve, executable mappings, writers, the ring. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <keyutils.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "keyring.h"
#include "keyring_signers.h"
#include "policy_signed.h"
#include "signed_keys.h"
#include "tiny.h"

#define DIR "/signed/"
#define SIGNED(signers, signatures)                                                                \
	"keyring:\n  signed_exec: {require: true, signers: " signers ", signatures: " signatures   \
	"}\n"

#define GOOD 7

static struct keyring *keyring;
static __u32 slot, other_slot, plain_slot, verity_slot;

/* ------------------------------------------------------------------ children */

static int map_with(const char *path, int open_flags, int prot, int flags)
{
	int fd = open(path, open_flags | O_CLOEXEC);

	if (fd < 0)
		return 200;
	return mmap(NULL, 4096, prot, flags, fd, 0) == MAP_FAILED ? errno : 0;
}

static int map(void *path)
{
	return map_with(path, O_RDONLY, PROT_READ | PROT_EXEC, MAP_PRIVATE);
}

static int map_shared(void *path)
{
	return map_with(path, O_RDONLY, PROT_READ | PROT_EXEC, MAP_SHARED);
}

static int map_writable(void *path)
{
	return map_with(path, O_RDONLY, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE);
}

/* The task's own descriptor can write. */
static int map_open_for_writing(void *path)
{
	return map_with(path, O_RDWR, PROT_READ | PROT_EXEC, MAP_PRIVATE);
}

/* Somebody else's, which is closed already, but a shared mapping of it is not. */
static int map_beside_shared(void *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0 || mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED)
		return 200;
	close(fd);
	return map(path);
}

static int protect_later(void *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);

	return p == MAP_FAILED ? 200 : h_errno(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

/* Executable all the time, but changed in between: its page is the task's own then. */
static int protect_changed(void *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);

	if (p == MAP_FAILED)
		return 200;
	if (mprotect(p, 4096, PROT_READ | PROT_EXEC))
		return 201; /* nothing new */
	if (mprotect(p, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) != -1 || errno != EPERM)
		return 202;
	if (mprotect(p, 4096, PROT_READ | PROT_WRITE))
		return 203;
	p[0] = 0;
	return h_errno(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static int fill_memfd(void)
{
	int fd = memfd_create("good", 0);

	return fd >= 0 && write(fd, tiny, sizeof(tiny)) == sizeof(tiny) ? fd : -1;
}

/* The content is signed; but who made it may change it. */
static int run_memfd(void *arg)
{
	char *const argv[] = { "x", NULL };

	(void)arg;
	syscall(SYS_execveat, fill_memfd(), "", argv, argv + 1, AT_EMPTY_PATH);
	return errno;
}

static int map_memfd(void *arg)
{
	(void)arg;
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fill_memfd(), 0) == MAP_FAILED
		       ? errno
		       : 0;
}

static int cut(void *path)
{
	return h_errno(truncate(path, 16));
}

/* ------------------------------------------------------------------- helpers */

/* The rings that the image needs. */
static void set_signers(__u32 to, const struct warder_image *img)
{
	struct keyring_signer signer[WARDER_SIGNERS_MAX];
	struct warder_error e = { "" };

	for (uint32_t i = 0; i < WARDER_LAYERS_MAX; i++) {
		uint32_t n = 0, len;

		for (const unsigned char *der; (der = image_signer(img, i, n, &len)); n++)
			signer[n] = (struct keyring_signer) { .der = der, .length = len };
		if (n && keyring_set_signers(keyring, h_cid(to), img->h.layer[i].signers_id, signer, n, &e))
			fail_msg("%s", e.text);
	}
}

/* Gives the container the rings that the policy needs, and then the policy. */
static void set_policy(__u32 to, const char *text)
{
	struct warder_image *img = h_compile(text);

	set_signers(to, img);
	free(img);
	h_policy(to, text);
}

/* How the last event of the container reads. */
static void expect_event(__u32 of, unsigned action, int err, const char *path)
{
	char name[WARDER_PATH_MAX], detail[WARDER_PATH_MAX];
	struct warder_event e;

	assert_int_equal(h_event_last(of, &e, name, detail), 1);
	assert_int_equal(e.v.action, action);
	assert_int_equal(e.v.err, err);
	assert_int_equal(e.v.why, WARDER_WHY_RULE);
	assert_int_equal(e.v.rule, 1);
	assert_int_equal(e.class_, WARDER_CLASS_EXEC);
	assert_string_equal(name, path);
}

static const struct {
	const char *path;
	int err; /* 0: runs */
} files[] = {
	{ DIR "good", 0 },
	{ DIR "linked", 0 }, /* a hard link: the content counts */
	{ DIR "unsigned", ENODATA },
	{ DIR "tampered", ENODATA }, /* its digest is another one */
	{ DIR "theirs", ENOKEY },
	{ DIR "swapped", EKEYREJECTED }, /* with the signature of another content */
	{ DIR "malformed", EBADMSG },
};

/* "--keys DIR": for scripts that need some. */
static int write_keys(const char *dir)
{
	if (chdir(dir))
		return 1;
	h_write("own.key", own_key);
	h_write("own.pem", own_cert);
	h_write("other.key", other_key);
	h_write("other.pem", other_cert);
	return 0;
}

static void make_files(void)
{
	mkdir(DIR, 0755);
	assert_int_equal(write_keys(DIR), 0);
	tiny_make(DIR "good", GOOD);
	tiny_make(DIR "unsigned", 8);
	tiny_make(DIR "tampered", GOOD);
	tiny_make(DIR "theirs", 9);
	tiny_make(DIR "swapped", 10);
	tiny_make(DIR "malformed", 11);
	tiny_make(DIR "written", 12);
	tiny_make(DIR "kept", 13);
	assert_int_equal(link(DIR "good", DIR "linked"), 0);
	h_write(DIR "script", "#!" DIR "good\n");
	h_write(DIR "unsigned_script", "#!" DIR "good\n\n");
	h_write(DIR "script_of_unsigned", "#!" DIR "unsigned\n");
	h_shell("chmod 755 " DIR "*script*; cd " DIR " && "
		"warder sign --key own.key --cert own.pem -o sigs good written kept script "
		"script_of_unsigned && "
		"warder sign --key other.key --cert other.pem -o sigs theirs && "
		"good=$(sed -n '1s/[^ ]* //p' sigs) && swapped=$(sha256sum swapped) && "
		"echo sha256:${swapped%%%% *} $good >> sigs && malformed=$(sha256sum malformed) && "
		"echo sha256:${malformed%%%% *} MAQCAgME junk >> sigs && "
		"printf x | dd of=tampered bs=1 seek=200 conv=notrunc 2>/dev/null");
}

#define VERITY "/verity/"
#define VERITY_IMAGE "/verity.img"
#define XATTR WARDER_SIGNATURE_XATTR
#define WITH_VERITY(signers)                                                                       \
	"keyring:\n  signed_exec: {require: true, signers: " signers ", signatures: " DIR          \
	"content, verity: true}\n"
#define TAMPERED 0x5a /* its exit code, found in the image by what stands beside it */

static const struct {
	const char *path;
	int err;
	int code; /* that it ends with where nothing is asked */
} verity_files[] = {
	{ VERITY "good", 0, GOOD },
	{ VERITY "content", 0, 20 },	/* no such signature, but one of its content in the policy */
	{ VERITY "unsigned", ENODATA, 21 },
	{ VERITY "theirs", ENOKEY, 22 },
	{ VERITY "swapped", EKEYREJECTED, 23 }, /* the attribute of another file */
	{ VERITY "by_content", EKEYREJECTED, 24 }, /* the signature is of its content, not of its tree */
	{ VERITY "malformed", EBADMSG, 25 },
	{ VERITY "changeable", ENODATA, GOOD }, /* the good file's bytes and attribute, without fs-verity */
};

static void copy_xattr(const char *from, const char *to)
{
	char value[WARDER_SIGNATURE_SIZE_MAX + 1];
	ssize_t n = getxattr(from, XATTR, value, sizeof(value));

	assert_true(n > 0);
	assert_int_equal(setxattr(to, XATTR, value, (size_t)n, 0), 0);
}

static void verity_mount(void)
{
	h_shell("/usr/bin/mount -o loop " VERITY_IMAGE " /verity");
}

static void make_verity_files(void)
{
	mkdir("/verity", 0755);
	h_shell("cp /root/ext4.img " VERITY_IMAGE);
	verity_mount();
	for (size_t i = 0; i < sizeof(verity_files) / sizeof(verity_files[0]); i++)
		tiny_make(verity_files[i].path, verity_files[i].code);
	tiny_make(VERITY "tampered", TAMPERED);
	tiny_make(VERITY "both", 26);
	/* What `warder sign` computes is what the kernel measures, or it says so: of all kinds of trees. */
	h_shell("cd " VERITY " && own='--key " DIR "own.key --cert " DIR "own.pem' && "
		"for size in 0 1 4096 4097 524288 524289 1300000; do "
		"head -c $size /root/ext4.img >size.$size || exit 1; done && "
		"warder sign $own -o " DIR "content content by_content both && "
		"warder sign --verity $own good content unsigned swapped by_content malformed tampered both size.* && "
		"warder sign --verity --key " DIR "other.key --cert " DIR "other.pem theirs && "
		"sed -n '2s/[^ ]* \\([^ ]*\\) .*/\\1/p' " DIR "content | base64 -d >by_content.der");
	assert_int_equal(removexattr(VERITY "content", XATTR), 0);
	assert_int_equal(removexattr(VERITY "unsigned", XATTR), 0);
	copy_xattr(VERITY "good", VERITY "swapped");
	copy_xattr(VERITY "good", VERITY "changeable");
	assert_int_equal(setxattr(VERITY "malformed", XATTR, "junk", 4, 0), 0);
	{
		char der[WARDER_SIGNATURE_SIZE_MAX];
		int fd = open(VERITY "by_content.der", O_RDONLY | O_CLOEXEC);
		ssize_t n = read(fd, der, sizeof(der));

		assert_true(n > 100);
		close(fd);
		assert_int_equal(setxattr(VERITY "by_content", XATTR, der, (size_t)n, 0), 0);
	}
}

static int setup(void **state)
{
	struct warder_error e = { "" };

	(void)state;
	make_files();
	make_verity_files();
	h_load();
	if (keyring_new(&keyring, h_load(), &e))
		fail_msg("%s", e.text);
	slot = h_container("policy: signed\n");
	other_slot = h_container("policy: signed-by-others\n");
	plain_slot = h_container("policy: plain\n");
	verity_slot = h_container("policy: v\n");
	set_policy(slot, "policy: signed\n" SIGNED(DIR "own.pem", DIR "sigs"));
	set_policy(other_slot, "policy: signed-by-others\n" SIGNED(DIR "other.pem", DIR "sigs"));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	keyring_keep_signers(keyring, h_cid(slot), NULL, 0);
	keyring_keep_signers(keyring, h_cid(other_slot), NULL, 0);
	keyring_keep_signers(keyring, h_cid(verity_slot), NULL, 0);
	umount("/verity");
	keyring_remove_registry(keyring);
	keyring_free(keyring);
	return 0;
}

/* --------------------------------------------------------------------- tests */

static void only_signed_files_run(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char *path = (char *)(uintptr_t)files[i].path;

		print_message("%s\n", path);
		h_events_drop();
		assert_int_equal(h_run((int)slot, h_exec, path), files[i].err ? files[i].err : GOOD);
		if (files[i].err)
			expect_event(slot, WARDER_DENY, files[i].err, path);
		assert_int_equal(h_run((int)slot, map, path), files[i].err);
		assert_int_equal(h_run((int)slot, map_shared, path), files[i].err);
		if (files[i].err)
			expect_event(slot, WARDER_DENY, files[i].err, path);
	}
}

static void others_are_not_concerned(void **state)
{
	(void)state;
	assert_int_equal(h_run((int)plain_slot, h_exec, DIR "unsigned"), 8);
	assert_int_equal(h_run((int)plain_slot, map, DIR "unsigned"), 0);
	assert_int_equal(h_run((int)plain_slot, map_writable, DIR "unsigned"), 0);
	assert_int_equal(h_run(-1, h_exec, DIR "unsigned"), 8);
	/* Another container's signers are its own. */
	assert_int_equal(h_run((int)other_slot, h_exec, DIR "theirs"), 9);
	assert_int_equal(h_run((int)other_slot, h_exec, DIR "good"), ENOKEY);
	assert_int_equal(h_run((int)other_slot, map, DIR "good"), ENOKEY);
}

static void scripts_and_interpreters(void **state)
{
	(void)state;
	assert_int_equal(h_run((int)slot, h_exec, DIR "script"), GOOD);
	assert_int_equal(h_run((int)slot, h_exec, DIR "unsigned_script"), ENODATA);
	assert_int_equal(h_run((int)slot, h_exec, DIR "script_of_unsigned"), ENODATA);
	assert_int_equal(h_run((int)plain_slot, h_exec, DIR "script_of_unsigned"), 8);
}

static void memory_is_no_file(void **state)
{
	(void)state;
	assert_int_equal(h_run((int)slot, run_memfd, NULL), ENODATA);
	assert_int_equal(h_run((int)slot, map_memfd, NULL), ENODATA);
	assert_int_equal(h_run((int)plain_slot, run_memfd, NULL), GOOD);
	assert_int_equal(h_run((int)plain_slot, map_memfd, NULL), 0);
}

static void what_is_mapped_stays(void **state)
{
	(void)state;
	assert_int_equal(h_run((int)slot, map_writable, DIR "good"), EPERM);
	assert_int_equal(h_run((int)slot, protect_later, DIR "good"), EPERM);
	assert_int_equal(h_run((int)slot, protect_changed, DIR "good"), EPERM);
	assert_int_equal(h_run((int)plain_slot, protect_later, DIR "good"), 0);
	/* Whoever could write it now: no mark is left by a refusal. */
	assert_int_equal(h_run((int)slot, map_open_for_writing, DIR "written"), ETXTBSY);
	assert_int_equal(h_run((int)slot, map_beside_shared, DIR "written"), ETXTBSY);
	assert_int_equal(h_run((int)slot, h_open_write, DIR "written"), 0);
	assert_int_equal(h_run((int)slot, map, DIR "written"), 0);
	assert_int_equal(h_run((int)slot, h_open_write, DIR "written"), ETXTBSY);
	assert_int_equal(h_run((int)slot, cut, DIR "written"), ETXTBSY);
	assert_int_equal(h_run((int)plain_slot, h_open_write, DIR "written"), ETXTBSY);
	assert_int_equal(h_run((int)plain_slot, cut, DIR "written"), ETXTBSY);
	/* The host is not kept from it; then it is another content. */
	assert_int_equal(h_run(-1, cut, DIR "written"), 0);
	assert_int_equal(h_run((int)slot, map, DIR "written"), ENODATA);
	/* What is not signed is nobody's to block. */
	assert_int_equal(h_run((int)slot, map, DIR "unsigned"), ENODATA);
	assert_int_equal(h_run((int)plain_slot, h_open_write, DIR "unsigned"), 0);
}

/* A new file in the place of one that is mapped is as it ever was. */
static void files_are_replaced(void **state)
{
	(void)state;
	assert_int_equal(h_run((int)slot, map, DIR "kept"), 0);
	tiny_make(DIR "new", 14);
	assert_int_equal(rename(DIR "new", DIR "kept"), 0);
	assert_int_equal(h_run((int)slot, h_exec, DIR "kept"), ENODATA);
	assert_int_equal(h_run((int)plain_slot, h_open_write, DIR "kept"), 0);
}

/* By its own permissions nobody but a possessor has any, and for containers it is not there. */
static int refused(long result)
{
	return result == -1 && (errno == EACCES || errno == ENOKEY);
}

static int look_at_ring(void *arg)
{
	int32_t ring = *(int32_t *)arg;
	char buf[64];

	return !refused(keyctl_describe(ring, buf, sizeof(buf)))	    ? 1
	       : !refused(keyctl_read(ring, buf, sizeof(buf)))		    ? 2
	       : !refused(keyctl_clear(ring))				    ? 3
	       : !refused(keyctl_invalidate(ring))			    ? 4
	       : !refused(keyctl_revoke(ring))				    ? 5
	       : !refused(keyctl_search(ring, "asymmetric", "signer:1", 0)) ? 6
	       : !refused(keyctl_setperm(ring, KEY_POS_ALL | KEY_USR_ALL))  ? 7
	       : !refused(keyctl_link(ring, KEY_SPEC_PROCESS_KEYRING))	    ? 8
	       : !refused(add_key("user", "mine", "x", 1, ring))	    ? 9
									    : 0;
}

static void the_ring_is_sealed(void **state)
{
	int map_fd = loader_map_fd(h_load(), LOADER_MAP_SIGNERS);
	struct warder_signers_key key = { .cid = h_cid(slot) };
	struct warder_image *img = h_compile("policy: x\n" SIGNED(DIR "own.pem", DIR "sigs"));
	char describe[128];
	union bpf_attr attr = { .map_fd = (__u32)map_fd };
	int32_t ring, mine;

	(void)state;
	key.signers_id = img->h.layer[0].signers_id;
	free(img);
	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)&ring;
	assert_int_equal(syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)), 0);
	assert_int_equal(h_run((int)slot, look_at_ring, &ring), 0);
	/* Nor by whom it was made. */
	assert_true(keyctl_describe(ring, describe, sizeof(describe)) > 0);
	mine = add_key("user", "mine", "x", 1, KEY_SPEC_PROCESS_KEYRING);
	assert_true(mine > 0);
	assert_int_equal(keyctl_link(mine, ring), -1);
	assert_int_equal(errno, EACCES);
	assert_int_equal(keyctl_clear(ring), -1);
	assert_int_equal(errno, EACCES);
	assert_int_equal(keyctl_setperm(ring, KEY_POS_ALL), -1);
	assert_int_equal(errno, EACCES);
	assert_int_equal(h_run((int)slot, h_exec, DIR "good"), GOOD);
}

static void reload_and_missing_ring(void **state)
{
	__u64 faults = h_fault_count(WARDER_FAULT_SIGNERS);

	(void)state;
	set_policy(slot,
		   "policy: signed\n" SIGNED("[" DIR "own.pem, " DIR "other.pem]", DIR "sigs"));
	assert_int_equal(h_run((int)slot, h_exec, DIR "theirs"), 9);
	assert_int_equal(h_run((int)slot, h_exec, DIR "good"), GOOD);
	set_policy(slot, "policy: signed\n" SIGNED(DIR "other.pem", DIR "sigs"));
	assert_int_equal(h_run((int)slot, h_exec, DIR "theirs"), 9);
	assert_int_equal(h_run((int)slot, h_exec, DIR "good"), ENOKEY);
	/* Without its ring nothing runs, and it is a fault. */
	keyring_keep_signers(keyring, h_cid(slot), NULL, 0);
	assert_int_equal(h_run((int)slot, h_exec, DIR "theirs"), EACCES);
	assert_int_equal(h_fault_count(WARDER_FAULT_SIGNERS), faults + 1);
	set_policy(slot, "policy: signed\n" SIGNED(DIR "own.pem", DIR "sigs"));
	assert_int_equal(h_run((int)slot, h_exec, DIR "good"), GOOD);
}

static void audit_refuses_nothing(void **state)
{
	(void)state;
	set_policy(slot, "policy: signed\nmode: audit\n" SIGNED(DIR "own.pem", DIR "sigs"));
	h_events_drop();
	assert_int_equal(h_run((int)slot, h_exec, DIR "unsigned"), 8);
	expect_event(slot, WARDER_AUDIT, ENODATA, DIR "unsigned");
	assert_int_equal(h_run((int)slot, map_writable, DIR "good"), 0);
	expect_event(slot, WARDER_AUDIT, EPERM, DIR "good");
	set_policy(slot, "policy: signed\n" SIGNED(DIR "own.pem", DIR "sigs"));
}

/* ------------------------------------------------------------------ fs-verity */

static int kernel_has_verity(void)
{
	return !loader_verity_missing(NULL);
}

/* Where the kernel does not tell the digest: refused, and by which words; else it would be judged by
 * content, which `optional` allows. */
static void verity_needs_the_kernel(void **state)
{
	struct warder_image *img = h_compile("policy: v\n" WITH_VERITY(DIR "own.pem"));
	struct warder_error e = { "" };
	int err = loader_check_image(h_load(), img, &e);

	(void)state;
	free(img);
	if (kernel_has_verity()) {
		assert_int_equal(err, 0);
		return;
	}
	assert_int_equal(err, -EOPNOTSUPP);
	assert_non_null(strstr(e.text, "bpf_get_fsverity_digest (Linux 6.8)"));
	set_policy(verity_slot, "policy: v\nkeyring:\n  signed_exec: {require: true, signers: " DIR
				"own.pem, signatures: " DIR "content, verity: true, optional: true}\n");
	assert_int_equal(h_run((int)verity_slot, h_exec, VERITY "content"), 20);
	assert_int_equal(h_run((int)verity_slot, h_exec, VERITY "good"), ENODATA);
}

static void verity_signatures(void **state)
{
	(void)state;
	if (!kernel_has_verity())
		return;
	set_policy(verity_slot, "policy: v\n" WITH_VERITY(DIR "own.pem"));
	for (size_t i = 0; i < sizeof(verity_files) / sizeof(verity_files[0]); i++) {
		char *path = (char *)(uintptr_t)verity_files[i].path;
		int err = verity_files[i].err;

		print_message("%s\n", path);
		h_events_drop();
		assert_int_equal(h_run((int)verity_slot, h_exec, path), err ? err : verity_files[i].code);
		if (err)
			expect_event(verity_slot, WARDER_DENY, err, path);
		assert_int_equal(h_run((int)verity_slot, map, path), err);
		assert_int_equal(h_run((int)verity_slot, map_shared, path), err);
		assert_int_equal(h_run((int)plain_slot, h_exec, path), verity_files[i].code);
	}
	/* Nobody changes it, and there is nothing to wait for. */
	assert_int_equal(h_run(-1, h_open_write, VERITY "good"), EPERM);
	/* Another signer's; and where the policy does not ask for it the content counts, as ever. */
	set_policy(verity_slot, "policy: v\n" WITH_VERITY(DIR "other.pem"));
	assert_int_equal(h_run((int)verity_slot, h_exec, VERITY "theirs"), 22);
	assert_int_equal(h_run((int)verity_slot, h_exec, VERITY "good"), ENOKEY);
	assert_int_equal(h_run((int)verity_slot, map, VERITY "good"), ENOKEY);
	set_policy(verity_slot, "policy: v\n" SIGNED(DIR "own.pem", DIR "content"));
	assert_int_equal(h_run((int)verity_slot, h_exec, VERITY "content"), 20);
	assert_int_equal(h_run((int)verity_slot, h_exec, VERITY "good"), ENODATA);
	/* A ring that is missing is a fault here, too. */
	set_policy(verity_slot, "policy: v\n" WITH_VERITY(DIR "own.pem"));
	keyring_keep_signers(keyring, h_cid(verity_slot), NULL, 0);
	assert_int_equal(h_run((int)verity_slot, h_exec, VERITY "good"), EACCES);
	set_policy(verity_slot, "policy: v\n" WITH_VERITY(DIR "own.pem"));
	assert_int_equal(h_run((int)verity_slot, h_exec, VERITY "good"), GOOD);
	h_events_drop();
}

/* Of two policies one knows nothing of fs-verity: each has its own say. */
static void verity_in_one_of_two(void **state)
{
	static const char *const texts[] = {
		"policy: a\n" SIGNED(DIR "own.pem", DIR "content"),
		"policy: b\n" WITH_VERITY(DIR "own.pem"),
	};
	struct warder_image *m[2], *stack = NULL;
	struct warder_error e = { "" };
	int both;

	(void)state;
	if (!kernel_has_verity())
		return;
	for (size_t i = 0; i < 2; i++)
		m[i] = h_compile(texts[i]);
	if (image_stack((const struct warder_image *const *)m, 2, &stack, &e))
		fail_msg("%s", e.text);
	both = (int)h_container_image(stack);
	set_signers((__u32)both, stack);
	assert_int_equal(h_run(both, h_exec, VERITY "both"), 26);
	assert_int_equal(h_run(both, map, VERITY "both"), 0);
	assert_int_equal(h_run(both, h_exec, VERITY "content"), 20);
	assert_int_equal(h_run(both, h_exec, VERITY "good"), ENODATA); /* the first one's */
	/* Its content is signed, which is enough for the first; for the other its attribute counts. */
	assert_int_equal(h_run(both, h_exec, VERITY "by_content"), EKEYREJECTED);
	keyring_keep_signers(keyring, h_cid((__u32)both), NULL, 0);
	for (size_t i = 0; i < 2; i++)
		free(m[i]);
	free(stack);
}

/* Whoever writes below the file system: its pages are not what the tree says, and are not there. */
static void verity_keeps_the_content(void **state)
{
	unsigned char page[4096];
	int fd, found = 0;

	(void)state;
	if (!kernel_has_verity())
		return;
	assert_int_equal(h_run((int)verity_slot, h_exec, VERITY "tampered"), TAMPERED);
	assert_int_equal(umount("/verity"), 0);
	fd = open(VERITY_IMAGE, O_RDWR | O_CLOEXEC);
	for (off_t at = 0; pread(fd, page, sizeof(page), at) == sizeof(page); at += sizeof(page)) {
		if (memcmp(page, tiny, TINY_CODE) || page[TINY_CODE] != TAMPERED)
			continue;
		page[TINY_CODE] = 1;
		assert_int_equal(pwrite(fd, page, sizeof(page), at), sizeof(page));
		found++;
	}
	close(fd);
	assert_int_equal(found, 1);
	verity_mount();
	assert_int_equal(h_run((int)verity_slot, h_exec, VERITY "tampered"), EIO);
	assert_int_equal(h_run(-1, h_exec, VERITY "tampered"), EIO);
	assert_int_equal(h_run((int)verity_slot, h_exec, VERITY "good"), GOOD);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_signed_files_run),
		cmocka_unit_test(others_are_not_concerned),
		cmocka_unit_test(scripts_and_interpreters),
		cmocka_unit_test(memory_is_no_file),
		cmocka_unit_test(what_is_mapped_stays),
		cmocka_unit_test(files_are_replaced),
		cmocka_unit_test(the_ring_is_sealed),
		cmocka_unit_test(reload_and_missing_ring),
		cmocka_unit_test(audit_refuses_nothing),
		cmocka_unit_test(verity_needs_the_kernel),
		cmocka_unit_test(verity_signatures),
		cmocka_unit_test(verity_in_one_of_two),
		cmocka_unit_test(verity_keeps_the_content),
	};

	if (argc == 3 && !strcmp(argv[1], "--keys"))
		return write_keys(argv[2]);
	return cmocka_run_group_tests(tests, setup, teardown);
}
