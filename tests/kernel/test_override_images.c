// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * File systems in image files that the host offers, mounted for callers that lack the capability:
 * read-only, by loop devices that go with the mount; and images that somebody else could have written.
 */
#include "override_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* The same folder as in RIG_SQUASHFS_IMAGE, made by mkfs.erofs 1.5; gzip. */
#define EROFS_IMAGE                                                                               \
	"H4sIAAAAAAACA2NgGAWjYBSMVPDo4dcHAotLHzMD2TwMKgxMWNQwIrHP7ajuLNripjcz8gDzUiWDo5TazwLEbx2Z" \
	"GLSh/P9AgCyvAqeZ4GxVIFsdylYHuk5PTy8tMycVp/lLGhkZ2JDMR/ZPRmpOTj7XaDoYBaNgFIyCUTAKRsEoGAUj" \
	"AwAA4/MdigAQAAA="

/* The same folder, made by mkfs.xfs 6.1 (300 MB, two allocation groups, no reflink): sectors 0 to 191 and
 * 307200 to 307241, all others are zero; gzip. */
#define XFS_SECTORS                                                                               \
	"H4sIAAAAAAACA+3dDUyUdRzA8efhTrgTTcJKfMcXNN8iQ7TyjYN2SvmSomZZajItU7OyZUpMfEkJRc2UUlMzX0it" \
	"REUNTWXmevFlMm2r1VwuMzVGtNpisxU9z70weDwu/JeLn3w/27PnjuN3wPO957y/zmO0OyVR0yI0D72rZjUs9czs" \
	"y+kDL2SnpE/ILotP8n6eVs93c4ZvP9e3n+e5VcsxL4d4P5Sg5W8JMa84Kt9vA6fTZnzVppr/k7z6eHfFJVpwDst1" \
	"42vqWd7Nw2ls4eaFmJhlw4ydXUNAo10D3N7jZ8rxHUt/O89lvdJlu3db9bOxXa728VELRJxdX0DdGvVPtvQ3z0Wb" \
	"72Pm+ZhRjnLr4/yZ44cmWQ6lvdL5osvp7x4U7DzOfLDNZPPnNy6az/mhxhZmPv/yiLg58AwIAEDd40qMSzTXe5bX" \
	"A45g6//hT+Tebuzq+14PRvnXggAAAAAAoNau/5MCrP8jgq3/DzSLPM/6HwAAAAAAOZJdiXHGTres/6OCrf87HBts" \
	"fl6GpiX08Y39wpEEAAAAAKD2cicHXP9HB1v/t1hTuJL1PwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAANff0" \
	"xKlTp9fnOAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEEzyEFeJTa/yoZDKV1qemujZ" \
	"9yw4d/Hk1lbj/XvfzZEB7rLKfLkhqt+Xsb6rNsvnOqzDlvvPGJZ6Zvbl9IEXslPSJ2SXxSd5vtUMuzZ+0uSpE80r" \
	"82n47/pnaLYqxTS9+v7xRf59kLv035vd3z8v6vSVQI+N6vtX3P9ca3+K/Z/9XZn+fQ36V5z/J7MW9Li+/hX3P4/+" \
	"N7r/3M017/9KtH/vuznUMqMH6r91bHj76+tfcf/zg/XXo6t+r1Dpf+0fyv8lz/N//KKOiuMLOP/l9591v/KLtFfp" \
	"L79/287LJiuOL6S//P7FMYuHKI4vor/8/t1CxixUHM+kv/z+PzQct1Fx/DX6y+9/pGXK54rjWfSX3/+lyEdKFccX" \
	"019+f2ffh5opji+hv/z+hfcM7as4nk1/+f3Xtk0aoTi+lP7y+w/vNmCG4vgy+svv/2PzRoWK48vpL79/7G3hlxTH" \
	"X6e//P4v2sOWKo6voL/8/ofCbdsUx9+gv/z+R9u3flxxfCX95fcP79I8TXF8Ff3l93+4d5NIxfEc+svvv7pH43jF" \
	"8TfpL7//uMaf/Kk4/hb95ffPafHZN4rjq+kvv/+pBif2KI6vob/8/nbb6ZWK42vpL79/WtezTyqOv01/+f13t/vK" \
	"rTi+jv7y+1+J+zZWcXw9/eX3j+7znUNxfAP95fd/7s7cQYrj79Bffv+CjpumKI5vpL/8/t/32hmiOP4u/eX373Lv" \
	"jhjF8U30l99/RJP9RYrjm+kvv/+6qD1liuNb6C+//6eOI+sVx7fSX37/RmEHCxTHc+kvv/8X0VOeVxx/j/7y+2ux" \
	"00cpjm+jv/z+Y/qn9lcc305/+f1X3P1UlOL4DvrL71/SOq1Ecfx9+svv3z5iznHF8Q/oL7//HG3GJsXxD+kvv/++" \
	"RjMXKI7vpL/8/iH39e+lOJ5Hf/n9T/TsHaE4vov+8vsv79BrluL4bvrL7/9op7ixiuN76C+/f4fQ2B2K4/n0l9+/" \
	"1NllieL4XvrL75/ftONFxfF99JffP/2OdkcVx/fTX37/g91/q684/hH95fd/oV9ZN8XxAvrL79/prj8eUBw/QH/5" \
	"/c+3KU9VHD9If/n9N9xyIUdx/GP6y+8/Sr+0S3H8EP3l9294a/HXiuOH6S+//7FWpeWK40fof2ONdqckaprvn2f1" \
	"rtfcHvD461o9380Z5RaeWzXPH/e+//OboOVvCTGvVHkPiAZOpy1C05sG/q6Kf/+Hb9v6fhLG19SzvJuH09jCzQtz" \
	"5v1k/u5JO6Wr6e8a4PYev4pulX+Ht+/jFZft3m1kmXer5vFRC3S/Om0GdWvUP9nS32Tzdy+Hh/Vxfi5zkvXftO2V" \
	"zhddTn+3+d4senXncZNpLw/1Pq8nGM/5CaHGFmZsDh4RNweeAQEAqHtciXGJ5uu/Kq8H7HmOIOt/feivpenGa0Cn" \
	"fw0IAAAAAABq/fo/KcD6PyLY+j9372OZrP8BAAAAAJAj2ZUYZ+4t6/+oYOv/wWkzXRw5AAAAAADkcCcHXP9HB1v/" \
	"z4y52pkjBwAAAACAHH+VHDisVbznm+dt3yq/35vm/7sB83peYVFRHT9cAd4nK0P8z2Rsju3RmvbsSM6HuuZvsBPC" \
	"kgDUAQA="

#define IMAGES "/srv/images"

static const char policy[] =
	"policy: t\n"
	"defaults: {namespace: allow}\n"
	"file: [{deny: [read], path: /mnt/scratch/a/file}]\n"
	"override:\n"
	"  - {on: mount, type: ext4, image: " IMAGES "/ext4.img, trusted_image: true, "
	"target: /mnt/scratch/*, options: {noload: '*'}, do: perform}\n"
	"  - {on: mount, type: squashfs, image: " IMAGES "/squashfs.img, trusted_image: true, "
	"target: /mnt/scratch/*, do: perform}\n"
	"  - {on: mount, type: erofs, image: " IMAGES "/erofs.img, trusted_image: true, "
	"target: /mnt/scratch/*, force: [noexec], do: perform}\n"
	"  - {on: mount, type: xfs, image: " IMAGES "/xfs.img, trusted_image: true, "
	"target: /mnt/scratch/*, options: {norecovery: '*'}, do: perform}\n"
	"  - {on: mount, type: ext4, image: " IMAGES "/open.img, trusted_image: true, "
	"target: /mnt/scratch/*, do: perform}\n"
	"  - {on: mount, type: ext4, image: " IMAGES "/junk.img, trusted_image: true, "
	"target: /mnt/scratch/*, do: perform}\n"
	"  - {on: mount, type: ext4, image: " IMAGES "/link.img, trusted_image: true, "
	"target: /mnt/scratch/*, do: perform}\n"
	"  - {on: umount, target: /mnt/scratch/**, do: perform}\n"
	"  - {on: remount, target: /mnt/scratch/**, do: perform}\n";

#define MOUNT(expected, why, fs, file, to, ...) \
	rig_result(__LINE__, slot, rig_mount, &(struct rig_call){ .source = IMAGES "/" file, \
	       .target = (to), .type = (fs), __VA_ARGS__ }, expected, why)

static int do_read(void *arg)
{
	char text[8] = "";
	int fd = open(arg, O_RDONLY);

	if (fd < 0)
		return errno;
	return read(fd, text, 6) == 6 && !strcmp(text, "hello\n") ? 0 : 240;
}

/* Loop devices that have a file; waits until there are that many: the kernel takes its time. */
static size_t loops(size_t wanted)
{
	glob_t g;
	size_t n = 0;

	for (int i = 0; i < 400; i++) {
		n = glob("/sys/block/loop*/loop", 0, NULL, &g) ? 0 : g.gl_pathc;
		globfree(&g);
		if (n == wanted)
			break;
		usleep(10000);
	}
	return n;
}

static void test_types(void **state)
{
	__u32 slot = rig_container(policy);

	(void)state;
	MOUNT(0, "allows it", "ext4", "ext4.img", "/mnt/scratch/a", .data = "noload");
	assert_int_equal(loops(1), 1);
	assert_non_null(strstr(rig_line("/mnt/scratch/a"), "ro,nosuid,nodev"));
	assert_non_null(strstr(rig_line("/mnt/scratch/a"), " - ext4 /dev/loop"));
	assert_int_equal(access("/mnt/scratch/a/lost+found", F_OK), 0);
	assert_int_equal(open("/mnt/scratch/a/new", O_CREAT | O_WRONLY, 0600), -1);
	assert_int_equal(errno, EROFS);
	/* Neither the mount nor the file system is made writable. */
	RESULT(EPERM, "stays read-only", rig_remount, "/mnt/scratch/a");
	RESULT(0, "", rig_umount, "/mnt/scratch/a");
	assert_int_equal(loops(0), 0);
	MOUNT(0, "", "squashfs", "squashfs.img", "/mnt/scratch/a");
	/* What it holds has names at once, of which file rules speak. */
	assert_int_equal(rig_run((int)slot, do_read, "/mnt/scratch/a/file"), EACCES);
	RESULT(0, "", rig_umount, "/mnt/scratch/a");
	MOUNT(0, "", "squashfs", "squashfs.img", "/mnt/scratch/b");
	assert_int_equal(rig_run((int)slot, do_read, "/mnt/scratch/b/file"), 0);
	MOUNT(0, "", "erofs", "erofs.img", "/mnt/scratch/a");
	assert_non_null(strstr(rig_line("/mnt/scratch/a"), "ro,nosuid,nodev,noexec"));
	assert_int_equal(rig_run((int)slot, do_read, "/mnt/scratch/a/file"), EACCES);
	assert_int_equal(loops(2), 2);
	assert_int_equal(umount2("/mnt/scratch/a", 0), 0);
	assert_int_equal(umount2("/mnt/scratch/b", 0), 0);
	assert_int_equal(loops(0), 0);
	/* The same one twice at a time, which xfs refuses by itself. */
	MOUNT(0, "", "xfs", "xfs.img", "/mnt/scratch/a", .data = "norecovery");
	assert_non_null(strstr(rig_line("/mnt/scratch/a"), "ro,nosuid,nodev"));
	assert_non_null(strstr(rig_line("/mnt/scratch/a"), " - xfs /dev/loop"));
	MOUNT(0, "", "xfs", "xfs.img", "/mnt/scratch/b");
	assert_int_equal(rig_run((int)slot, do_read, "/mnt/scratch/a/file"), EACCES);
	assert_int_equal(rig_run((int)slot, do_read, "/mnt/scratch/b/file"), 0);
	RESULT(0, "", rig_umount, "/mnt/scratch/a");
	RESULT(0, "", rig_umount, "/mnt/scratch/b");
	assert_int_equal(loops(0), 0);
}

static void test_refused(void **state)
{
	__u32 slot = rig_container(policy);
	int writer;

	(void)state;
	MOUNT(EPERM, "offers", "ext4", "other.img", "/mnt/scratch/a");
	MOUNT(EPERM, "allows only type", "btrfs", "ext4.img", "/mnt/scratch/a");
	MOUNT(EPERM, "does not list option errors", "ext4", "ext4.img", "/mnt/scratch/a",
	      .data = "errors=panic");
	MOUNT(EPERM, "does not allow the target /mnt/other", "ext4", "ext4.img", "/mnt/other");
	/* Others than root could have written it. */
	MOUNT(EPERM, "written by others than root", "ext4", "open.img", "/mnt/scratch/a");
	MOUNT(EPERM, "symbolic link", "ext4", "link.img", "/mnt/scratch/a");
	assert_int_equal(loops(0), 0);
	/* Somebody writes it. */
	writer = open("/mnt/images/ext4.img", O_RDWR);
	assert_true(writer >= 0);
	MOUNT(EPERM, "writable mount", "ext4", "ext4.img", "/mnt/scratch/a");
	assert_int_equal(umount2("/mnt/images", MNT_DETACH), 0);
	MOUNT(EPERM, "open for writing", "ext4", "ext4.img", "/mnt/scratch/a");
	close(writer);
	MOUNT(EPERM, "holds no such file system", "ext4", "junk.img", "/mnt/scratch/a");
	assert_int_equal(loops(0), 0);
	MOUNT(0, "", "ext4", "ext4.img", "/mnt/scratch/a");
	assert_int_equal(umount2("/mnt/scratch/a", 0), 0);
	assert_int_equal(loops(0), 0);
}

/* ---------------------------------------------- a user namespace and mounts of its own */

static int owner(void)
{
	struct rig_call c = { .source = IMAGES "/ext4.img", .target = "/mnt/scratch/a", .type = "ext4" };
	int err = rig_owner_mount(&c);
	struct stat st;

	if (err)
		return err;
	/* What root has on it, this root has. */
	if (stat("/mnt/scratch/a/lost+found", &st) || st.st_uid)
		return 241;
	if (rig_owner_step())
		return 243;
	/* The policy does not stand in the way now: the kernel does. */
	if (mount(NULL, "/mnt/scratch/a", NULL, MS_REMOUNT | MS_BIND, NULL) != -1 || errno != EPERM)
		return 244;
	/* It ends with the mount in place. */
	return 0;
}

static void one_loop(void)
{
	assert_int_equal(loops(1), 1);
}

static void test_owned(void **state)
{
	__u32 slot = rig_container(policy);

	(void)state;
	rig_in_userns(slot, owner, one_loop);
	/* Nothing is left of it. */
	assert_int_equal(loops(0), 0);
}

/* The caller is killed while it is decided: nothing is made, or it is taken off again. */
static void test_killed(void **state)
{
	__u32 slot = rig_container(policy);
	struct rig_call c = { .source = IMAGES "/ext4.img", .target = "/mnt/scratch/a", .type = "ext4" };

	(void)state;
	rig_mount_killed(slot, &c);
	assert_int_equal(loops(0), 0);
}

static int setup(void **state)
{
	int err;

	/* On a file system that the container sees read-only, elsewhere; to begin with also writable. */
	h_shell("modprobe -a loop xfs; mkdir -p " IMAGES " /mnt/images && mount -t tmpfs -o mode=755 none " IMAGES
		" && cd " IMAGES " && truncate -s 1M ext4.img && busybox mke2fs -F ext4.img >/dev/null && "
		"cp ext4.img open.img && chmod 666 open.img && truncate -s 1M junk.img && "
		"ln -s ext4.img link.img && "
		"echo " RIG_SQUASHFS_IMAGE " | base64 -d | gunzip >squashfs.img && "
		"echo " EROFS_IMAGE " | base64 -d | gunzip >erofs.img && "
		"echo " XFS_SECTORS " | base64 -d | gunzip >sectors && truncate -s 300M xfs.img && "
		"dd if=sectors of=xfs.img conv=notrunc count=192 2>/dev/null && "
		"dd if=sectors of=xfs.img conv=notrunc skip=192 seek=307200 2>/dev/null && "
		"chmod 644 ext4.img squashfs.img erofs.img xfs.img junk.img");
	err = rig_setup(state);
	if (mount(IMAGES, "/mnt/images", NULL, MS_BIND, NULL) ||
	    mount(NULL, IMAGES, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL))
		return -1;
	return err;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),	cmocka_unit_test(test_types),
		cmocka_unit_test(test_owned),	cmocka_unit_test(test_killed),
	};

	return cmocka_run_group_tests(tests, setup, rig_teardown);
}
