// SPDX-License-Identifier: LGPL-2.1-or-later
/* Names against the kernel: whatever a task does to its view of the file system, the object
 * keeps its name or has none. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SETUP_FAILED 120

static int try_open(int dir, const char *path, int flags)
{
	int fd = openat(dir, path, flags | O_CLOEXEC, 0644);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int try_read(const char *path)
{
	return try_open(AT_FDCWD, path, O_RDONLY);
}

/* ------------------------------------------- ways to the folder /n/NAME and its file f */

static int by_path(void *dir)
{
	char path[256];

	snprintf(path, sizeof(path), "/n/%s/f", (char *)dir);
	return try_read(path);
}

static int by_dots(void *dir)
{
	char path[256];

	snprintf(path, sizeof(path), "/n/other/.././/%s/./f", (char *)dir);
	return try_read(path);
}

static int by_symlink(void *dir)
{
	char path[256];

	snprintf(path, sizeof(path), "/n/to-%s", (char *)dir);
	return try_read(path);
}

static int by_cwd(void *dir)
{
	return chdir("/n") || chdir(dir) ? SETUP_FAILED : try_read("f");
}

static int by_proc(void *dir)
{
	char path[256];

	snprintf(path, sizeof(path), "/proc/self/root/n/%s/f", (char *)dir);
	return try_read(path);
}

static int by_chroot(void *dir)
{
	char path[256];

	snprintf(path, sizeof(path), "/%s/f", (char *)dir);
	return chroot("/n") || chdir("/") ? SETUP_FAILED : try_read(path);
}

static int bind_it(void *dir)
{
	char path[256];

	snprintf(path, sizeof(path), "/n/%s", (char *)dir);
	return mount(path, "/n/mnt", NULL, MS_BIND, NULL);
}

static int by_bind(void *dir)
{
	return h_own_mounts(0) || bind_it(dir) ? SETUP_FAILED : try_read("/n/mnt/f");
}

static int by_user_namespace(void *dir)
{
	return h_own_mounts(CLONE_NEWUSER) || bind_it(dir) ? SETUP_FAILED : try_read("/n/mnt/f");
}

static int by_unmounted_cwd(void *dir)
{
	if (h_own_mounts(0) || bind_it(dir) || chdir("/n/mnt") || umount2("/n/mnt", MNT_DETACH))
		return SETUP_FAILED;
	return try_read("f");
}

static int by_pivot(void *dir)
{
	char path[256];

	if (h_own_mounts(0) || mount("/n", "/n", NULL, MS_BIND | MS_REC, NULL) || chdir("/n") ||
	    syscall(SYS_pivot_root, ".", "mnt"))
		return SETUP_FAILED;
	snprintf(path, sizeof(path), "/%s/f", (char *)dir);
	return try_read(path);
}

static int by_open_tree(void *dir)
{
	char path[256];
	int tree;

	snprintf(path, sizeof(path), "/n/%s", (char *)dir);
	tree = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return tree < 0 ? SETUP_FAILED : try_open(tree, "f", O_RDONLY);
}

static int by_path_fd(void *dir)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "/n/%s/f", (char *)dir);
	fd = open(path, O_PATH);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return fd < 0 ? SETUP_FAILED : try_read(path);
}

static int by_handle(void *dir)
{
	union {
		struct file_handle h;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} handle = { .h.handle_bytes = MAX_HANDLE_SZ };
	int mount_id, at = open("/n", O_PATH | O_DIRECTORY), fd;
	char path[256];

	/* A real descriptor of the file system: opened where everybody may. */
	at = open("/n/open", O_RDONLY | O_DIRECTORY);
	snprintf(path, sizeof(path), "/n/%s/f", (char *)dir);
	if (at < 0 || name_to_handle_at(AT_FDCWD, path, &handle.h, &mount_id, 0))
		return SETUP_FAILED;
	fd = open_by_handle_at(at, &handle.h, O_RDONLY);
	return fd < 0 ? errno : 0;
}

static int by_two_mounts(void *dir)
{
	char path[256];

	if (h_own_mounts(0) || mount("/n", "/n/mnt", NULL, MS_BIND, NULL))
		return SETUP_FAILED;
	snprintf(path, sizeof(path), "/n/mnt/%s/f", (char *)dir);
	return try_read(path);
}

static const struct {
	const char *name;
	int (*fn)(void *dir);
} ways[] = {
	{ "its path", by_path },
	{ "dots", by_dots },
	{ "a symlink", by_symlink },
	{ "the working directory", by_cwd },
	{ "/proc/self/root", by_proc },
	{ "chroot", by_chroot },
	{ "a bind mount", by_bind },
	{ "a bind mount of the folder above", by_two_mounts },
	{ "a bind mount in a user namespace", by_user_namespace },
	{ "a detached working directory", by_unmounted_cwd },
	{ "pivot_root", by_pivot },
	{ "open_tree", by_open_tree },
	{ "an O_PATH descriptor", by_path_fd },
	{ "a file handle", by_handle },
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

#define OPEN_MOUNTS                                                     \
	"defaults: {mount: allow, file: allow, namespace: allow}\n"    \
	"kernel: [{allow: [handle]}]\n"

static void every_way_leads_to_the_same_name(void **state)
{
	__u32 slot = h_container("policy: ways\n" OPEN_MOUNTS
				 "file:\n  - deny: [read]\n    path: /n/secret/f\n");

	(void)state;
	for (size_t i = 0; i < WAYS; i++) {
		char name[WARDER_PATH_MAX], detail[WARDER_PATH_MAX];
		struct warder_event e;
		int status = h_run(slot, ways[i].fn, "open");

		if (status)
			fail_msg("by %s: %s (%d)", ways[i].name, strerror(status), status);
		h_events_drop();
		status = h_run(slot, ways[i].fn, "secret");
		if (status != EACCES)
			fail_msg("to the secret by %s: %s (%d)", ways[i].name, strerror(status),
				 status);
		assert_int_equal(h_event_last(slot, &e, name, detail), 1);
		assert_string_equal(name, "/n/secret/f");
		assert_int_equal(e.v.why, WARDER_WHY_RULE);
	}
}

/* A volume that lies on the same superblock as the root has one name, however it is reached. */
static void the_deepest_recorded_root_names(void **state)
{
	__u32 slot;

	(void)state;
	h_shell("mount --bind /n/vol /n/volmnt");
	slot = h_container("policy: volume\n" OPEN_MOUNTS
			   "file:\n  - deny: [read]\n    path: /n/volmnt/f\n");
	assert_int_equal(h_run(slot, by_path, "volmnt"), EACCES);
	assert_int_equal(h_run(slot, by_path, "vol"), EACCES);
	assert_int_equal(h_run(slot, by_two_mounts, "vol"), EACCES);
	assert_int_equal(h_run(slot, by_open_tree, "vol"), EACCES);
	assert_int_equal(h_run(slot, by_path, "open"), 0);
	h_shell("umount /n/volmnt");
}

/* ------------------------------------------------------------------- no name at all */

/* Mounted by the host after the container's start. */
static int read_unrecorded(void *arg)
{
	(void)arg;
	return try_read("/n/late");
}

static int read_deleted_file(void *arg)
{
	int fd;
	char path[64];

	(void)arg;
	fd = open("/n/open/gone", O_RDWR | O_CREAT, 0600);
	if (fd < 0 || unlink("/n/open/gone"))
		return SETUP_FAILED;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return try_read(path);
}

static int list_deleted_folder(void *arg)
{
	(void)arg;
	if (mkdir("/n/open/goned", 0700) || chdir("/n/open/goned") || rmdir("/n/open/goned"))
		return SETUP_FAILED;
	return try_read(".");
}

/* truncate(2) needs no descriptor that was opened for writing. */
static int truncate_deleted_file(void *arg)
{
	char path[64];
	int fd = open("/n/open/gone", O_WRONLY | O_CREAT, 0600);

	(void)arg;
	if (fd < 0 || unlink("/n/open/gone"))
		return SETUP_FAILED;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return truncate(path, 0) ? errno : 0;
}

static int (*const nameless[])(void *) = { read_unrecorded, read_deleted_file,
					   list_deleted_folder, truncate_deleted_file };

/* What programs do with scratch files: no name is asked of what was opened under one. */
static int use_scratch_file(void *arg)
{
	int fd = open("/n/open/gone", O_RDWR | O_CREAT, 0600);

	(void)arg;
	if (fd < 0 || unlink("/n/open/gone"))
		return SETUP_FAILED;
	return ftruncate(fd, 4096) ? errno : 0;
}

static int make_nameless_file(void *dir)
{
	return try_open(AT_FDCWD, dir, O_RDWR | O_TMPFILE);
}

static void scratch_files_can_be_used(void **state)
{
	__u32 slot = h_container("policy: scratch\n" OPEN_MOUNTS
				 "file:\n  - deny: [read]\n    path: /n/secret/**\n"
				 "  - deny: [create]\n    path: /n/closed/**\n");

	(void)state;
	h_shell("mkdir -p /n/closed");
	assert_int_equal(h_run(slot, use_scratch_file, NULL), 0);
	/* O_TMPFILE is judged as an entry of its folder: reading, writing and making it. */
	assert_int_equal(h_run(slot, make_nameless_file, "/n/open"), 0);
	assert_int_equal(h_run(slot, make_nameless_file, "/n/closed"), EACCES);
	assert_int_equal(h_run(slot, make_nameless_file, "/n/secret"), EACCES);
}

static void objects_without_a_name_are_refused(void **state)
{
	__u32 slot = h_container("policy: nameless\n" OPEN_MOUNTS
				 "file:\n  - deny: [read]\n    path: /n/secret/f\n");
	__u32 audit = h_container("policy: audit\nmode: audit\n" OPEN_MOUNTS
				  "file:\n  - deny: [read]\n    path: /n/secret/f\n");
	__u32 open_ = h_container("policy: open\ndefaults: {mount: allow, namespace: allow}\n");

	(void)state;
	h_shell("mount -t tmpfs none /n/late");
	for (size_t i = 0; i < sizeof(nameless) / sizeof(nameless[0]); i++) {
		char name[WARDER_PATH_MAX], detail[WARDER_PATH_MAX];
		struct warder_event e;

		h_events_drop();
		assert_int_equal(h_run(slot, nameless[i], NULL), EACCES);
		assert_int_equal(h_event_last(slot, &e, name, detail), 1);
		assert_int_equal(e.v.why, WARDER_WHY_UNREACHABLE);
		assert_int_equal(h_run(audit, nameless[i], NULL), 0);
		assert_int_equal(h_event_last(audit, &e, name, detail), 1);
		assert_int_equal(e.v.why, WARDER_WHY_UNREACHABLE);
		assert_int_equal(e.v.action, WARDER_AUDIT);
		assert_int_equal(h_run(open_, nameless[i], NULL), 0);
	}
	h_shell("umount /n/late");
}

/* ---------------------------------------------------------------- depth and length */

/* Names of five letters, one after the other: rm cannot remove what lies beyond PATH_MAX. */
static char deep[] = "/n/dee`";

/* Goes to a new folder and makes `depth` folders of that name below, each in the other,
 * and a file f in the last. The working directory is the last. */
static void make_deep(const char *component, int depth)
{
	deep[sizeof(deep) - 2]++;
	assert_int_equal(mkdir(deep, 0755), 0);
	assert_int_equal(chdir(deep), 0);
	for (int i = 0; i < depth; i++) {
		assert_int_equal(mkdir(component, 0755), 0);
		assert_int_equal(chdir(component), 0);
	}
	h_write("f", "x");
	h_write("g", "x");
}

static int read_here(void *name)
{
	return try_read(name);
}

/* The event carries the whole name, and a rule on its last component decides. */
static void check_deep(__u32 slot, const char *component, int depth)
{
	char name[WARDER_PATH_MAX], detail[WARDER_PATH_MAX], expect[2 * WARDER_PATH_MAX];
	struct warder_event e;
	size_t len = strlen(component);
	char *p = expect;

	make_deep(component, depth);
	p += sprintf(expect, "%s", deep);
	for (int i = 0; i < depth; i++) {
		*p++ = '/';
		memcpy(p, component, len);
		p += len;
	}
	strcpy(p, "/f");
	assert_int_equal(h_run(slot, read_here, "g"), 0);
	h_events_drop();
	assert_int_equal(h_run(slot, read_here, "f"), EACCES);
	assert_int_equal(h_event_last(slot, &e, name, detail), 1);
	assert_string_equal(name, expect);
	assert_int_equal(e.v.why, WARDER_WHY_RULE);
	assert_int_equal(chdir("/"), 0);
}

static void depth_and_length_are_exact_up_to_path_max(void **state)
{
	__u32 slot = h_container("policy: deep\n" OPEN_MOUNTS
				 "file:\n  - deny: [read]\n    path: /n/dee?/**/f\n");
	char component[256];

	(void)state;
	check_deep(slot, "a", 1);
	check_deep(slot, "a", 31);
	check_deep(slot, "a", 32);
	check_deep(slot, "a", 33);
	check_deep(slot, "a", 200);
	/* "/n/deeX" + 2043 * "/a" + "/f" is 4095 bytes. */
	check_deep(slot, "a", 2043);
	memset(component, 'x', 255);
	component[255] = '\0';
	check_deep(slot, component, 15);
	component[100] = '\n';
	component[101] = '\xff';
	check_deep(slot, component, 2);
}

static void longer_names_are_a_fault(void **state)
{
	__u32 slot = h_container("policy: long\nmode: audit\n" OPEN_MOUNTS
				 "file:\n  - deny: [read]\n    path: /n/dee?/**/f\n");
	__u64 before = h_fault_count(WARDER_FAULT_NAME_LONG);

	(void)state;
	make_deep("a", 2044);
	assert_int_equal(h_run(slot, read_here, "g"), EACCES);
	assert_int_equal(h_fault_count(WARDER_FAULT_NAME_LONG), before + 1);
	make_deep("a", 2300);
	assert_int_equal(h_run(slot, read_here, "g"), EACCES);
	assert_int_equal(h_fault_count(WARDER_FAULT_NAME_LONG), before + 2);
	assert_int_equal(chdir("/"), 0);
}

/* The end of an allowed name below another folder is not that name. */
static void the_end_of_a_name_is_not_a_name(void **state)
{
	__u32 slot = h_container("policy: spoof\ndefaults: {file: deny, namespace: allow}\nfile:\n"
				 "  - allow: [read]\n    path: /n/open/**\n");
	char path[2048] = "/n/other";

	(void)state;
	for (int i = 0; i < 40; i++) {
		char full[4096];

		snprintf(full, sizeof(full), "%s/n/open", path);
		h_shell("mkdir -p %s && touch %s/f", full, full);
		strcat(full, "/f");
		assert_int_equal(h_run(slot, read_here, full), EACCES);
		strcat(path, "/u");
	}
	assert_int_equal(h_run(slot, by_path, "open"), 0);
}

/* ------------------------------------------------------------------------- overlay */

static int use_overlay(void *arg)
{
	int fd;

	(void)arg;
	if (try_read("/n/ovl/lower-file") || try_read("/n/ovl/upper-file"))
		return 1;
	/* Copied up, then opened again. */
	fd = open("/n/ovl/lower-file", O_RDWR);
	if (fd < 0 || write(fd, "y", 1) != 1 || ftruncate(fd, 0))
		return 2;
	close(fd);
	if (try_read("/n/ovl/lower-file"))
		return 3;
	if (try_open(AT_FDCWD, "/n/ovl/new", O_WRONLY | O_CREAT | O_EXCL))
		return 4;
	if (chmod("/n/ovl/lower-2", 0600) || rename("/n/ovl/lower-2", "/n/ovl/lower-3"))
		return 5;
	if (unlink("/n/ovl/upper-file") || mkdir("/n/ovl/d", 0700) || rmdir("/n/ovl/d"))
		return 6;
	return 0;
}

static int read_layers(void *arg)
{
	(void)arg;
	return try_read("/n/layers/lower/lower-file") == EACCES &&
	       try_read("/n/layers/upper/lower-file") == EACCES &&
	       try_read("/n/ovl/hidden") == EACCES;
}

/* Mapped to be read, then made executable: what the kernel maps is the layer's file. */
static int map_exec_later(void *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);

	if (p == MAP_FAILED)
		return SETUP_FAILED;
	return mprotect(p, 4096, PROT_READ | PROT_EXEC) ? errno : 0;
}

static int map_exec(void *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return SETUP_FAILED;
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED ? errno : 0;
}

/* A root of overlayfs: judged by its own names, its layers by theirs. */
static void overlay_is_judged_once_by_its_own_name(void **state)
{
	char name[WARDER_PATH_MAX], detail[WARDER_PATH_MAX];
	struct warder_event e;
	__u32 slot;

	(void)state;
	h_shell("mkdir -p /n/layers/lower /n/layers/upper /n/layers/work /n/ovl");
	h_shell("cd /n/layers; echo x >lower/lower-file; echo x >lower/lower-2;"
		"echo x >lower/hidden; echo x >upper/upper-file;"
		"echo x >lower/data; echo x >lower/lib-lower; echo x >upper/lib-upper");
	h_shell("mount -t overlay overlay -o "
		"lowerdir=/n/layers/lower,upperdir=/n/layers/upper,workdir=/n/layers/work /n/ovl");
	slot = h_container("policy: overlay\ndefaults: {file: deny, namespace: allow}\nfile:\n"
			   "  - allow: [read, write, create, delete, rename, chmod]\n"
			   "    path: /n/ovl/**\n"
			   "  - allow: [map_exec]\n    path: /n/ovl/lib*\n"
			   "  - deny: [map_exec]\n    path: /n/ovl/data\n    errno: EXDEV\n"
			   "  - deny: [read]\n    path: /n/ovl/hidden\n");
	assert_int_equal(h_run(slot, map_exec, "/n/ovl/lib-lower"), 0);
	assert_int_equal(h_run(slot, map_exec_later, "/n/ovl/lib-lower"), 0);
	assert_int_equal(h_run(slot, map_exec_later, "/n/ovl/lib-upper"), 0);
	assert_int_equal(h_run(slot, map_exec, "/n/ovl/data"), EXDEV);
	h_events_drop();
	assert_int_equal(h_run(slot, map_exec_later, "/n/ovl/data"), EXDEV);
	assert_int_equal(h_event_last(slot, &e, name, detail), 1);
	assert_int_equal(e.hook, WARDER_HOOK_FILE_MPROTECT);
	assert_string_equal(name, "/n/ovl/data");
	assert_int_equal(h_run(slot, use_overlay, NULL), 0);
	assert_int_equal(h_run(slot, read_layers, NULL), 1);
	h_shell("umount /n/ovl");
}

/* --------------------------------------------------------------------------- races */

__attribute__((noreturn)) static int rename_for_ever(void *arg)
{
	(void)arg;
	for (;;) {
		rename("/n/race/short", "/n/race/a-much-longer-name");
		rename("/n/race/a-much-longer-name", "/n/race/short");
	}
}

/* Through a folder's descriptor, which follows it. */
static int read_often(void *arg)
{
	int dir = *(int *)arg;

	for (int i = 0; i < 3000; i++) {
		int err = try_open(dir, "f", O_RDONLY);

		if (err)
			return err;
	}
	return 0;
}

/* Only the two real names are allowed: one torn between them would be refused. */
static void names_are_not_torn_by_renames(void **state)
{
	__u32 slot = h_container("policy: race\ndefaults: {file: deny, namespace: allow}\nfile:\n"
				 "  - allow: [read]\n    path: [/n/race/short/d/e/f,"
				 " /n/race/a-much-longer-name/d/e/f]\n");
	__u64 before = h_fault_count(WARDER_FAULT_NAME_RACE);
	pid_t renamer;
	int dir;

	(void)state;
	h_shell("mkdir -p /n/race/short/d/e && echo x >/n/race/short/d/e/f");
	dir = open("/n/race/short/d/e", O_PATH | O_DIRECTORY);
	assert_true(dir >= 0);
	renamer = h_start(-1, rename_for_ever, NULL);
	assert_int_equal(h_run(slot, read_often, &dir), 0);
	kill(renamer, SIGKILL);
	h_wait(renamer);
	close(dir);
	assert_int_equal(h_fault_count(WARDER_FAULT_NAME_RACE), before);
}

static int make_tree(void **state)
{
	(void)state;
	return system("mkdir -p /n/secret /n/open /n/other /n/mnt /n/vol /n/volmnt /n/late;"
		      "for d in secret open vol; do echo x >/n/$d/f;"
		      " ln -sf /n/$d/f /n/to-$d; done");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_way_leads_to_the_same_name),
		cmocka_unit_test(the_deepest_recorded_root_names),
		cmocka_unit_test(objects_without_a_name_are_refused),
		cmocka_unit_test(scratch_files_can_be_used),
		cmocka_unit_test(depth_and_length_are_exact_up_to_path_max),
		cmocka_unit_test(longer_names_are_a_fault),
		cmocka_unit_test(the_end_of_a_name_is_not_a_name),
		cmocka_unit_test(overlay_is_judged_once_by_its_own_name),
		cmocka_unit_test(names_are_not_torn_by_renames),
	};

	return cmocka_run_group_tests(tests, make_tree, NULL);
}
