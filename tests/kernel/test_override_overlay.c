// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Overlays made for callers that lack the capability: with the callers' rights on the layers, and only
 * of what the policy treats as it treats the target; and what a hostile container tries with them.
 */
#include "keyring.h"
#include "keyring_signers.h"
#include "override_rig.h"
#include "policy_signed.h"
#include "signed_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define TREE "/mnt/tree"
#define MERGED "/mnt/scratch/a"
#define RULES                                                                                    \
	"override:\n"                                                                            \
	"  - {on: mount, type: overlay, source: [" TREE ", " TREE "/**, /proc, /sys], target: /mnt/scratch/*, " \
	"options: {volatile: '*', xino: '*'}, do: perform}\n"                                    \
	"  - {on: umount, target: /mnt/scratch/**, do: perform}\n"

static const char policy[] = "policy: t\ndefaults: {namespace: allow}\n" RULES;
/* What is denied below one layer alone would have another name; below both it stays denied. */
static const char policy_files[] =
	"policy: t\ndefaults: {namespace: allow}\n"
	"file:\n"
	"  - {deny: [read], path: " TREE "/secret/key}\n"
	"  - {deny: [write], path: " TREE "/kept/**}\n"
	"  - {deny: [read], path: [" TREE "/both/x, " TREE "/both2/x, /mnt/scratch/b/x]}\n" RULES;
static const char policy_caps[] =
	"policy: t\ndefaults: {namespace: allow}\ncapability: [{deny: [dac_override, dac_read_search]}]\n" RULES;

#define OVERLAY_AT(expected, why, to, options, ...)                                               \
	RESULT(expected, why, rig_mount,                                                          \
	       (&(struct rig_call){ .source = "overlay", .type = "overlay", .data = (options),    \
				    .target = (to), __VA_ARGS__ }))
#define OVERLAY(expected, why, ...) OVERLAY_AT(expected, why, MERGED, __VA_ARGS__)
#define LOWER "lowerdir=" TREE "/low1:" TREE "/low2"
#define WRITABLE LOWER ",upperdir=" TREE "/up,workdir=" TREE "/work"

static int do_append(void *arg)
{
	int fd = open(arg, O_WRONLY | O_APPEND | O_CREAT, 0644);

	if (fd < 0)
		return errno;
	return write(fd, "y", 1) == 1 ? 0 : 201;
}

static int do_unlink(void *arg)
{
	return h_errno(unlink(arg));
}

static int do_rename_folder(void *arg)
{
	(void)arg;
	return h_errno(rename(MERGED "/folder", MERGED "/moved"));
}

static __u32 tree_container(const char *text)
{
	__u32 slot = rig_container(text);

	h_record_mount(slot, TREE, TREE);
	return slot;
}

static int setup_tree(void **state)
{
	(void)state;
	assert_int_equal(mount("none", TREE, "tmpfs", 0, "size=4M,mode=755"), 0);
	h_shell("cd " TREE " && mkdir -p low1/folder low2 up work secret kept both both2 open "
		"&& echo one >low1/one && echo two >low2/two && echo x >secret/key && echo x >both/x && "
		"echo x >kept/x && echo x >low1/folder/x && chmod 777 open");
	return 0;
}

static int teardown_tree(void **state)
{
	(void)state;
	umount2(MERGED, MNT_DETACH);
	umount2("/mnt/scratch/b", MNT_DETACH);
	umount2(TREE, MNT_DETACH);
	return 0;
}

/* ------------------------------------------------------------------------ what it is */

static void test_writable(void **state)
{
	__u32 slot = tree_container(policy);

	(void)state;
	OVERLAY(0, "allows it", WRITABLE);
	assert_non_null(strstr(rig_line(MERGED), "nosuid,nodev"));
	assert_non_null(strstr(rig_line(MERGED), " - overlay overlay "));
	assert_int_equal(rig_run((int)slot, rig_read, MERGED "/one"), 0);
	assert_int_equal(rig_run((int)slot, rig_read, MERGED "/two"), 0);
	/* Copied up, with the rights of the container. */
	assert_int_equal(rig_run((int)slot, do_append, MERGED "/one"), 0);
	assert_int_equal(rig_run((int)slot, do_append, MERGED "/new"), 0);
	assert_int_equal(rig_run((int)slot, do_unlink, MERGED "/two"), 0);
	h_shell("cd " TREE " && test $(cat up/one | wc -c) = 5 && test $(cat low1/one) = one && test -s up/new && "
		"test -c up/two && test -s low2/two && ! test -e " MERGED "/two");
	/* A folder is not led elsewhere by what a layer says of it. */
	assert_int_equal(rig_run((int)slot, do_rename_folder, NULL), EXDEV);
	RESULT(0, "", rig_umount, MERGED);
	assert_int_equal(rig_mounted(MERGED, NULL, 0), 0);
}

static void test_read_only(void **state)
{
	__u32 slot = tree_container(policy);

	(void)state;
	OVERLAY(0, "", LOWER ",xino=off", .flags = MS_RDONLY | MS_NOEXEC);
	assert_non_null(strstr(rig_line(MERGED), "ro,nosuid,nodev,noexec"));
	assert_int_equal(rig_run((int)slot, rig_read, MERGED "/one"), 0);
	assert_int_equal(rig_run((int)slot, do_append, MERGED "/one"), EROFS);
	RESULT(0, "", rig_umount, MERGED);
	/* Relative to where the caller is, as with mount(2). */
	OVERLAY(0, "", "lowerdir=low1:low2", .dir = TREE);
	assert_int_equal(rig_run((int)slot, rig_read, MERGED "/two"), 0);
}

/* ------------------------------------------------------------------ what files say of it */

static void test_files(void **state)
{
	__u32 slot = tree_container(policy_files);

	(void)state;
	assert_int_equal(rig_run((int)slot, rig_read, TREE "/secret/key"), EACCES);
	OVERLAY(EPERM, "something else of what is below a layer", "lowerdir=" TREE "/secret:" TREE "/low1");
	OVERLAY(EPERM, "something else of what is below a layer", "lowerdir=" TREE);
	OVERLAY(EPERM, "something else of what is below a layer",
		"lowerdir=" TREE "/low1,upperdir=" TREE "/kept,workdir=" TREE "/work");
	OVERLAY(EPERM, "something else of what is below a layer", "lowerdir=" TREE "/both:" TREE "/low2");
	assert_int_equal(rig_mounted(MERGED, NULL, 0), 0);
	OVERLAY_AT(0, "", "/mnt/scratch/b", "lowerdir=" TREE "/both:" TREE "/both2");
	assert_int_equal(rig_run((int)slot, rig_read, "/mnt/scratch/b/x"), EACCES);
	OVERLAY(0, "", "lowerdir=" TREE "/low1:" TREE "/low2");
	assert_int_equal(rig_run((int)slot, rig_read, MERGED "/one"), 0);
}

static int do_map(void *arg)
{
	int fd = open(arg, O_RDONLY);

	return fd < 0 ? 200 : mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED ? errno : 0;
}

/* A layer can be written after what is seen above was measured: nothing is run from there. */
static void test_signed(void **state)
{
	static const char text[] =
		"policy: t\ndefaults: {namespace: allow}\nkeyring:\n"
		"  signed_exec: {require: true, signers: /signed/own.pem, signatures: /signed/sigs}\n" RULES;
	struct keyring_signer signer = { 0 };
	const struct warder_image *img;
	struct warder_error e = { "" };
	struct keyring *keyring;
	uint32_t len;
	__u32 slot;

	(void)state;
	h_shell("mkdir -p /signed");
	h_write("/signed/own.key", own_key);
	h_write("/signed/own.pem", own_cert);
	h_shell("cd /signed && rm -f sigs && warder sign --key own.key --cert own.pem -o sigs " TREE "/low1/one");
	slot = tree_container(text);
	img = rig_image(slot);
	signer.der = image_signer(img, 0, 0, &len);
	signer.length = len;
	if (keyring_new(&keyring, h_load(), &e) ||
	    keyring_set_signers(keyring, h_cid(slot), img->h.layer[0].signers_id, &signer, 1, &e))
		fail_msg("%s", e.text);
	assert_int_equal(rig_run((int)slot, do_map, TREE "/low1/one"), 0);
	assert_int_equal(rig_run((int)slot, do_map, TREE "/low2/two"), ENODATA);
	OVERLAY(0, "", LOWER);
	assert_int_equal(rig_run((int)slot, rig_read, MERGED "/one"), 0);
	assert_int_equal(rig_run((int)slot, do_map, MERGED "/one"), EOPNOTSUPP);
	keyring_keep_signers(keyring, h_cid(slot), NULL, 0);
	keyring_remove_registry(keyring);
	keyring_free(keyring);
}

/* ----------------------------------------------------------------------- with whose rights */

static void test_rights(void **state)
{
	__u32 slot = tree_container(policy_caps);

	(void)state;
	/* The kernel makes a folder without rights to work in: not without that capability. */
	OVERLAY(EACCES, "cannot be made of these layers", WRITABLE);
	OVERLAY(0, "", LOWER);
	assert_int_equal(rig_run((int)slot, rig_read, MERGED "/one"), 0);
	RESULT(0, "", rig_umount, MERGED);
	/* Nor may a layer be one that the caller cannot walk to. */
	h_shell("cd " TREE " && mkdir -p locked/in && chown 1000:1000 locked && chmod 700 locked");
	OVERLAY(EPERM, "a layer cannot be opened", "lowerdir=" TREE "/locked/in:" TREE "/low1");
}

/* ---------------------------------------------------------------------------- hostile */

static void test_refused(void **state)
{
	__u32 slot = tree_container(policy);

	(void)state;
	OVERLAY(EPERM, "does not allow every layer", "lowerdir=/srv/assets:" TREE "/low1");
	OVERLAY(EPERM, "does not allow every layer", LOWER ",upperdir=/mnt/other,workdir=" TREE "/work");
	assert_int_equal(symlink("/srv/assets", TREE "/evil"), 0);
	OVERLAY(EPERM, "does not allow every layer", "lowerdir=" TREE "/evil:" TREE "/low1");
	OVERLAY(EPERM, "kernel's own state", "lowerdir=/proc:" TREE "/low1");
	OVERLAY(EPERM, "kernel's own state", "lowerdir=/sys:" TREE "/low1");
	OVERLAY(EPERM, "does not list option metacopy", LOWER ",metacopy=on");
	OVERLAY(EPERM, "does not list option redirect_dir", LOWER ",redirect_dir=on");
	OVERLAY_AT(EPERM, "does not allow the target /mnt/other", "/mnt/other", LOWER);
	OVERLAY(EPERM, "not said as they must be", "lowerdir=" TREE "/low1\\:" TREE "/low2");
	OVERLAY(EPERM, "not said as they must be", LOWER ",upperdir=" TREE "/up");
	OVERLAY(EPERM, "not said as they must be", LOWER "::" TREE "/up");
	OVERLAY(EPERM, "not said as they must be", LOWER ",lowerdir=" TREE "/up");
	OVERLAY(EPERM, "not said as they must be", "xino=off");
	OVERLAY(EPERM, "a layer cannot be opened", "lowerdir=" TREE "/missing:" TREE "/low1");
	OVERLAY(EPERM, "link of /proc", "lowerdir=/proc/self/root:" TREE "/low1");
	OVERLAY(EPERM, "of its own", LOWER, .unshare = CLONE_NEWNS);
	/* What a mount covers in a layer. */
	assert_int_equal(mount("none", TREE "/low1/folder", "tmpfs", 0, "size=4k"), 0);
	OVERLAY(EPERM, "come to light", LOWER);
	assert_int_equal(umount2(TREE "/low1/folder", 0), 0);
	assert_int_equal(rig_mounted(MERGED, NULL, 0), 0);
	/* What the kernel says of the layers is what the caller is told. */
	h_shell("mkdir -p " TREE "/up/work");
	OVERLAY(EINVAL, "cannot be made of these layers",
		"lowerdir=" TREE "/low1,upperdir=" TREE "/up,workdir=" TREE "/up/work");
	OVERLAY(0, "", LOWER);
}

/* A mount whose path is too long to be compared could be below the layer. */
static void test_long(void **state)
{
	__u32 slot = tree_container(policy);
	char name[201];

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(chdir(TREE "/low1/folder"), 0);
	for (int i = 0; i < 21; i++) {
		assert_int_equal(mkdir(name, 0755), 0);
		assert_int_equal(chdir(name), 0);
	}
	assert_int_equal(mount("none", ".", "tmpfs", 0, "size=4k"), 0);
	OVERLAY(EPERM, "come to light", LOWER);
	assert_int_equal(chdir("/"), 0);
}

/* Nobody answers for that layer. */
static void test_hanging(void **state)
{
	__u32 slot = tree_container(policy);
	char options[80];
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fd);
	assert_int_equal(mount("none", TREE "/open", "fuse", 0, options), 0);
	OVERLAY(EPERM, "is of FUSE", "lowerdir=" TREE "/low1:" TREE "/open");
	close(fd);
}

static void test_killed(void **state)
{
	struct rig_call c = { .source = "overlay", .type = "overlay", .target = MERGED, .data = LOWER };
	__u32 slot = tree_container(policy);

	(void)state;
	rig_mount_killed(slot, &c);
}

/* --------------------------------------------------------- a user namespace of its own */

static int owner(void)
{
	struct rig_call c = { .source = "overlay", .type = "overlay", .target = MERGED,
			      .data = "lowerdir=" TREE "/low1,upperdir=" TREE "/open/up,workdir=" TREE
				      "/open/work" };
	char line[1024];
	struct stat st;
	int err = rig_owner_enter();

	if (!err && (mkdir(TREE "/open/up", 0755) || mkdir(TREE "/open/work", 0755)))
		err = 238;
	if (!err)
		err = rig_mount_in_time(&c);
	if (err)
		return err;
	if (rig_mounted(MERGED, line, sizeof(line)) != 1 || !strstr(line, "nosuid,nodev"))
		return 241;
	if (do_append(MERGED "/new") || stat(TREE "/open/up/new", &st) || st.st_uid)
		return 242;
	/* Of a file of nobody's this root cannot make a copy of its own. */
	if (do_append(MERGED "/one") != EACCES && do_append(MERGED "/one") != EOVERFLOW)
		return 243;
	if (rig_owner_step())
		return 244;
	/* The policy does not stand in the way now: the kernel does. */
	if (mount(NULL, MERGED, NULL, MS_REMOUNT | MS_BIND, NULL) != -1 || errno != EPERM)
		return 245;
	return umount2(MERGED, MNT_DETACH) ? 246 : 0;
}

static void test_owned(void **state)
{
	__u32 slot = tree_container(policy);

	(void)state;
	rig_in_userns(slot, owner, NULL);
}

/* Of whose ids the user namespace does not have one. */
static int half_mapped(void)
{
	struct rig_call c = { .source = "overlay", .type = "overlay", .target = MERGED, .data = WRITABLE };

	if (setresgid(2000, 2000, 2000) || unshare(CLONE_NEWUSER | CLONE_NEWNS) || rig_owner_step() ||
	    setresuid(0, 0, 0))
		return 240;
	if (rig_mount(&c) != EPERM)
		return 241;
	return rig_owner_step();
}

static void test_unmapped(void **state)
{
	int i = 0;

	(void)state;
	/* On a slow machine the answer may come too late, and the errno stands. */
	do {
		__u32 slot = tree_container(policy);

		rig_in_userns(slot, half_mapped, NULL);
	} while (rig.last.icept.unasked && ++i < 9);
	if (!strstr(rig.last.reason, "ids and capabilities cannot be taken"))
		fail_msg("%s", rig.last.reason);
}

static int setup(void **state)
{
	h_shell("modprobe overlay; modprobe fuse; mkdir -p " TREE);
	return rig_setup(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup_tree, teardown_tree)
		T(test_writable), T(test_read_only), T(test_files), T(test_rights),
		T(test_refused),  T(test_killed),    T(test_owned),
		T(test_long),	  T(test_unmapped),  T(test_hanging), T(test_signed),
#undef T
	};

	return cmocka_run_group_tests(tests, setup, rig_teardown);
}
