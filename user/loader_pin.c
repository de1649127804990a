// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Loading into pins. Everything is pinned in a directory of another name first, which takes its
 * real name when all of it is there: a pin directory is complete or does not exist.
 */
#include "loader_internal.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "cleanup.h"

#include "warder.skel.h"

#define PIN_BPFFS "/sys/fs/bpf"
#define PIN_BPFFS_MAGIC 0xcafe4a11
/* Directories below the pin directory; a deeper one is not ours. */
#define PIN_DEPTH 3

/* A kernel without one of these cannot enforce. Others may be absent. */
static const char *const pin_required[] = {
	"task_alloc",	 "file_open",	"bprm_check_security", "path_mknod",  "path_mkdir",
	"path_symlink",	 "path_link",	"path_rename",	       "path_unlink", "path_rmdir",
	"path_truncate", "path_chmod",	"path_chown",	       "mmap_file",   "file_mprotect",
	"capable",	 "sb_mount",	"sb_umount",	       "move_mount",  "ptrace_access_check",
	"task_kill",	 "bpf",
};

/* ---------------------------------------------------------------- directories */

static int pin_remove_at(int dir_fd, const char *name, int depth)
{
	cleanup_closedir DIR *dir = NULL;
	struct dirent *d;
	int fd;

	if (depth > PIN_DEPTH)
		return -ELOOP;
	fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while ((d = readdir(dir))) {
		int err = 0;

		if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
			continue;
		if (d->d_type == DT_DIR)
			err = pin_remove_at(fd, d->d_name, depth + 1);
		else if (unlinkat(fd, d->d_name, 0) < 0)
			err = -errno;
		if (err)
			return err;
		/* Removing moves the position in some file systems. */
		rewinddir(dir);
	}
	return unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

int loader_pin_remove(const char *dir)
{
	int err = pin_remove_at(AT_FDCWD, dir, 0);

	return err == -ENOENT ? 0 : err;
}

int loader_pin_prepare(const char *dir, struct warder_error *reterr)
{
	cleanup_free char *parent = strdup(dir);
	struct statfs fs;
	char *slash;

	if (!parent)
		return -ENOMEM;
	slash = strrchr(parent, '/');
	if (dir[0] != '/' || !slash || slash == parent || !slash[1])
		return error_set(reterr, -EINVAL, "%s is no pin directory: give an absolute path "
				 "below a bpf file system", dir);
	*slash = '\0';
	if (statfs(parent, &fs) < 0 || fs.f_type != PIN_BPFFS_MAGIC) {
		if (strcmp(parent, PIN_BPFFS))
			return error_set(reterr, -EINVAL, "%s is not on a bpf file system", parent);
		if (mount("bpf", PIN_BPFFS, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RELATIME,
			  "mode=0700") < 0)
			return error_errno(reterr, -errno, "cannot mount a bpf file system on %s",
					   PIN_BPFFS);
	}
	return 0;
}

/* --------------------------------------------------------------------- digest */

/* Names the embedded object: pins of another build are not taken for ours. */
static void pin_digest(char *ret, size_t size)
{
	__u64 hash = 0xcbf29ce484222325ull; /* FNV-1a */
	size_t len;
	const unsigned char *p = warder_bpf__elf_bytes(&len);

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ p[i]) * 0x100000001b3ull;
	snprintf(ret, size, "build-%u-%016llx", WARDER_ABI_VERSION, hash);
}

int loader_pin_check(const char *dir, struct warder_error *reterr)
{
	cleanup_free char *path = NULL;
	char digest[64];
	struct stat st;

	if (stat(dir, &st) < 0) {
		if (errno == ENOENT)
			return -ENOENT;
		return error_errno(reterr, -errno, "cannot look at %s", dir);
	}
	if (!S_ISDIR(st.st_mode) || st.st_uid != 0 || (st.st_mode & 077))
		return error_set(reterr, -EPERM,
				 "%s is not a directory that root alone can reach: remove it", dir);
	pin_digest(digest, sizeof(digest));
	if (asprintf(&path, "%s/%s", dir, digest) < 0)
		return -ENOMEM;
	if (stat(path, &st) < 0)
		return error_set(reterr, -EBUSY,
				 "%s holds the programs of another build of warder (%s is not "
				 "there): stop its containers and its supervisor, then remove that "
				 "directory", dir, digest);
	return 0;
}

/* --------------------------------------------------------------- what to load */

/* The kernel function or tracepoint type that a program attaches to; NULL: none is needed. */
static int pin_target_exists(const struct btf *btf, const char *section, char *name, size_t size)
{
	const char *slash = strchr(section, '/');
	const char *target = slash ? slash + 1 : NULL;
	int kind = BTF_KIND_FUNC;

	if (!target)
		return 1;
	if (!strncmp(section, "lsm", 3))
		snprintf(name, size, "bpf_lsm_%s", target);
	else if (!strncmp(section, "fentry", 6) || !strncmp(section, "fexit", 5) ||
		 !strncmp(section, "fmod_ret", 8))
		snprintf(name, size, "%s", target);
	else if (!strncmp(section, "tp_btf", 6)) {
		snprintf(name, size, "btf_trace_%s", target);
		kind = BTF_KIND_TYPEDEF;
	} else
		return 1;
	return btf__find_by_name_kind(btf, name, kind) > 0;
}

static int pin_is_required(const char *section)
{
	const char *slash = strchr(section, '/');

	if (strncmp(section, "lsm", 3) || !slash)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(pin_required); i++)
		if (!strcmp(slash + 1, pin_required[i]))
			return 1;
	return 0;
}

/* Leaves out programs whose hook this kernel does not have; refuses without the hooks that
 * enforcement rests on. */
static int pin_choose_programs(struct bpf_object *obj, const struct btf *btf,
			       struct warder_error *reterr)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, obj) {
		const char *section = bpf_program__section_name(prog);
		char name[128];

		if (pin_target_exists(btf, section, name, sizeof(name)) &&
		    (!loader_program_checks_signatures(bpf_program__name(prog)) ||
		     !loader_signed_missing_in(btf)))
			continue;
		if (pin_is_required(section))
			return error_set(reterr, -EOPNOTSUPP,
					 "this kernel has no LSM hook %s, which warder cannot do "
					 "without (CONFIG_SECURITY_PATH?)", strchr(section, '/') + 1);
		log_debug("%s is left out: this kernel has no %s", bpf_program__name(prog), name);
		bpf_program__set_autoload(prog, false);
	}
	return 0;
}

int loader_pin_each_absent(const struct btf *btf,
			   void (*fn)(const char *program, int required, void *arg), void *arg)
{
	struct warder_bpf *skel = warder_bpf__open();
	struct bpf_program *prog;
	char name[128];

	if (!skel)
		return -errno;
	bpf_object__for_each_program(prog, skel->obj) {
		const char *section = bpf_program__section_name(prog);

		if (!pin_target_exists(btf, section, name, sizeof(name)))
			fn(bpf_program__name(prog), pin_is_required(section), arg);
	}
	warder_bpf__destroy(skel);
	return 0;
}

/* Does a lookup fail while the CPU's busy counter is held? Programs of 6.2 and later get a form
 * that does not, and later ones have no such counter. */
static int pin_lookup_locks(const struct btf *btf)
{
	return btf__find_by_name_kind(btf, "bpf_task_storage_busy", BTF_KIND_VAR) > 0 &&
	       btf__find_by_name_kind(btf, "bpf_task_storage_get_recur", BTF_KIND_FUNC) <= 0;
}

/* How many arguments has an LSM hook here? Some have got one more over the years. */
static int pin_hook_arguments(const struct btf *btf, const char *hook)
{
	char name[64];
	const struct btf_type *t;
	int id;

	snprintf(name, sizeof(name), "bpf_lsm_%s", hook);
	id = btf__find_by_name_kind(btf, name, BTF_KIND_FUNC);
	t = id > 0 ? btf__type_by_id(btf, (__u32)id) : NULL;
	t = t ? btf__type_by_id(btf, t->type) : NULL;
	return t ? (int)btf_vlen(t) : 0;
}

/* -------------------------------------------------------------------- pinning */

static int pin_path(char *buf, size_t size, const char *dir, const char *name)
{
	return snprintf(buf, size, "%s/%s", dir, name) < (int)size ? 0 : -ENAMETOOLONG;
}

static int pin_maps(struct bpf_object *obj, const char *dir, struct warder_error *reterr)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj) {
		const char *name = bpf_map__name(map);
		char path[4096];
		int err;

		/* Globals and strings: programs hold them. */
		if (bpf_map__is_internal(map))
			continue;
		err = pin_path(path, sizeof(path), dir, name);
		if (!err)
			err = bpf_obj_pin(bpf_map__fd(map), path);
		if (err)
			return error_errno(reterr, err, "cannot pin the map %s", name);
	}
	return 0;
}

static int pin_attach(struct bpf_object *obj, const char *dir, struct warder_error *reterr)
{
	struct bpf_program *prog;
	char path[4096];
	int err;

	bpf_object__for_each_program(prog, obj) {
		const char *section = bpf_program__section_name(prog);
		struct bpf_link *link;

		if (!bpf_program__autoload(prog) || !strcmp(section, "syscall") ||
		    loader_call_is_worker(bpf_program__name(prog)))
			continue;
		if (!strncmp(section, "iter/", 5)) {
			/* Its links are made for each use. */
			err = pin_path(path, sizeof(path), dir, bpf_program__name(prog));
			if (!err)
				err = bpf_obj_pin(bpf_program__fd(prog), path);
			if (err)
				return error_errno(reterr, err, "cannot pin the program %s",
						   bpf_program__name(prog));
			continue;
		}
		err = snprintf(path, sizeof(path), "%s/" LOADER_PIN_PROGS "/%s", dir,
			       bpf_program__name(prog)) < (int)sizeof(path) ?
			      bpf_obj_pin(bpf_program__fd(prog), path) : -ENAMETOOLONG;
		if (err)
			return error_errno(reterr, err, "cannot pin the program %s",
					   bpf_program__name(prog));
		/* The others when a policy needs them. */
		if (!loader_program_is_for_all(bpf_program__name(prog)))
			continue;
		link = bpf_program__attach(prog);
		if (!link)
			return loader_refused(reterr, -errno, bpf_program__name(prog));
		err = snprintf(path, sizeof(path), "%s/" LOADER_PIN_LINKS "/%s", dir,
			       bpf_program__name(prog)) < (int)sizeof(path) ?
			      bpf_obj_pin(bpf_link__fd(link), path) : -ENAMETOOLONG;
		bpf_link__destroy(link);
		if (err)
			return error_errno(reterr, err, "cannot pin the link of %s",
					   bpf_program__name(prog));
	}
	return 0;
}

static int pin_fill(struct warder_bpf *skel, const char *dir, struct warder_error *reterr)
{
	struct warder_host host = { .abi = WARDER_ABI_VERSION };
	char path[4096], digest[64];
	struct bpf_map_info info = {};
	__u32 zero = 0, len = sizeof(info);
	int err;

	err = bpf_obj_get_info_by_fd(bpf_map__fd(skel->maps.warder_tasks), &info, &len);
	if (err)
		return error_errno(reterr, err, "cannot ask for the id of the task map");
	skel->bss->cfg_tasks_map_id = info.id;
	err = bpf_map_update_elem(bpf_map__fd(skel->maps.warder_host), &zero, &host, BPF_ANY);
	if (err)
		return error_errno(reterr, err, "cannot write the host record");

	if (mkdir(dir, 0700) < 0)
		return error_errno(reterr, -errno, "cannot make %s", dir);
	err = pin_path(path, sizeof(path), dir, LOADER_PIN_LINKS);
	if (err || mkdir(path, 0700) < 0)
		return error_errno(reterr, err ? err : -errno, "cannot make %s", path);
	err = pin_path(path, sizeof(path), dir, LOADER_PIN_PROGS);
	if (err || mkdir(path, 0700) < 0)
		return error_errno(reterr, err ? err : -errno, "cannot make %s", path);
	err = pin_maps(skel->obj, dir, reterr);
	if (!err)
		err = pin_attach(skel->obj, dir, reterr);
	if (err)
		return err;
	pin_digest(digest, sizeof(digest));
	err = pin_path(path, sizeof(path), dir, digest);
	if (!err)
		err = bpf_obj_pin(bpf_map__fd(skel->maps.warder_host), path);
	return err ? error_errno(reterr, err, "cannot pin %s", path) : 0;
}

/* libbpf's own words, the verifier's log among them, go to the debug log: they help whoever
 * works on the programs. */
static int pin_log(enum libbpf_print_level level, const char *format, va_list args)
{
	cleanup_free char *text = NULL;
	char *save = NULL;

	if (level == LIBBPF_DEBUG)
		return 0;
	if (vasprintf(&text, format, args) < 0) {
		text = NULL;
		return 0;
	}
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		log_debug("%s", line);
	return 0;
}

int loader_pin_new(const char *dir, const struct loader_options *options,
		   struct warder_error *reterr)
{
	cleanup_free char *making = NULL;
	struct warder_bpf *skel;
	struct btf *btf;
	int err;

	(void)options;
	err = loader_check_kernel(reterr);
	if (!err)
		err = loader_pin_prepare(dir, reterr);
	if (err)
		return err;
	if (asprintf(&making, "%s-making", dir) < 0)
		return -ENOMEM;
	/* Left by one that died; the supervisor's lock keeps two from being here at once. */
	err = loader_pin_remove(making);
	if (err)
		return error_errno(reterr, err, "cannot remove %s", making);

	libbpf_set_print(pin_log);
	btf = btf__load_vmlinux_btf();
	if (!btf)
		return error_errno(reterr, -errno, "cannot read the kernel's BTF");
	skel = warder_bpf__open();
	if (!skel) {
		err = error_errno(reterr, -errno, "cannot open the embedded BPF object");
		goto out;
	}
	skel->rodata->cfg_storage_lookup_locks = pin_lookup_locks(btf);
	skel->rodata->cfg_verity = !loader_verity_missing_in(btf);
	skel->rodata->cfg_setattr_idmap = pin_hook_arguments(btf, "inode_setattr") > 2;
	err = pin_choose_programs(skel->obj, btf, reterr);
	if (!err)
		err = loader_calls_choose(skel->obj, btf, reterr);
	if (err)
		goto out;
	err = warder_bpf__load(skel);
	if (err) {
		err = err == -EPERM ? loader_refused(reterr, err, "at load") :
				      error_errno(reterr, err, "the kernel's verifier refuses a BPF "
						  "program (set WARDER_DEBUG=1 for its words)");
		goto out;
	}
	err = loader_calls_connect(skel->obj, reterr);
	if (!err)
		err = pin_fill(skel, making, reterr);
	if (!err && rename(making, dir) < 0)
		err = error_errno(reterr, -errno, "cannot rename %s to %s", making, dir);
	if (err)
		loader_pin_remove(making);
out:
	warder_bpf__destroy(skel);
	btf__free(btf);
	return err;
}
