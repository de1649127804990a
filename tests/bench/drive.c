// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Puts a VM into one of the configurations that `make bench` compares, and runs the benchmark in
 * a child there.
 *
 *   drive empty IMAGE -- COMMAND...      an empty program wherever warder attaches one for that
 *                                        policy image
 *   drive untagged IMAGE -- COMMAND...   warder loaded with it, the child is in no container
 *   drive tagged IMAGE -- COMMAND...     the child is in a container with it
 *
 * Prints "hooks N", and after a tagged run "stats ..." of the container.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "harness.h"
#include "loader_internal.h"
#include "warder.skel.h"

/* ------------------------------------------------------------ empty programs */

static const struct attach_kind {
	const char *prefix; /* of the section's name, up to the slash */
	const char *function; /* what precedes the kernel's own name of the target */
	__u32 btf_kind;
	enum bpf_prog_type type;
	enum bpf_attach_type attach;
	__u32 flags;
} attach_kinds[] = {
	{ "lsm/", "bpf_lsm_", BTF_KIND_FUNC, BPF_PROG_TYPE_LSM, BPF_LSM_MAC, 0 },
	{ "lsm.s/", "bpf_lsm_", BTF_KIND_FUNC, BPF_PROG_TYPE_LSM, BPF_LSM_MAC, BPF_F_SLEEPABLE },
	{ "fentry/", "", BTF_KIND_FUNC, BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, 0 },
	{ "fentry.s/", "", BTF_KIND_FUNC, BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, BPF_F_SLEEPABLE },
	{ "fexit/", "", BTF_KIND_FUNC, BPF_PROG_TYPE_TRACING, BPF_TRACE_FEXIT, 0 },
	{ "fexit.s/", "", BTF_KIND_FUNC, BPF_PROG_TYPE_TRACING, BPF_TRACE_FEXIT, BPF_F_SLEEPABLE },
	{ "tp_btf/", "btf_trace_", BTF_KIND_TYPEDEF, BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, 0 },
};

/* Where an LSM program finds the verdict of the programs before it; -1 if the hook has none. */
static int empty_ret_arg(const struct btf *btf, int id)
{
	const struct btf_type *func = btf__type_by_id(btf, id);
	const struct btf_type *proto = btf__type_by_id(btf, func->type);

	return proto->type ? btf_vlen(proto) : -1;
}

static int empty_load(const struct btf *btf, const struct attach_kind *kind, int id)
{
	int arg = kind->type == BPF_PROG_TYPE_LSM ? empty_ret_arg(btf, id) : -1;
	struct bpf_insn pass[] = {
		{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_0, .src_reg = BPF_REG_1,
		  .off = arg * 8 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	struct bpf_insn zero[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = kind->attach,
		    .attach_btf_id = id, .prog_flags = kind->flags);

	return bpf_prog_load(kind->type, "bench_empty", "GPL", arg >= 0 ? pass : zero, 2, &opts);
}

/* 1: attached, 0: this kernel has no such target, and warder goes without too. */
static int empty_attach(const struct btf *btf, const char *section)
{
	for (size_t i = 0; i < ARRAY_SIZE(attach_kinds); i++) {
		const struct attach_kind *kind = &attach_kinds[i];
		char name[256];
		int id, prog;

		if (strncmp(section, kind->prefix, strlen(kind->prefix)))
			continue;
		snprintf(name, sizeof(name), "%s%s", kind->function, section + strlen(kind->prefix));
		id = btf__find_by_name_kind(btf, name, kind->btf_kind);
		if (id < 0)
			return 0;
		prog = empty_load(btf, kind, id);
		if (prog < 0)
			errx(99, "cannot load an empty program for %s: %s", section, strerror(-prog));
		/* The link lives as long as this process. */
		if (bpf_raw_tracepoint_open(NULL, prog) < 0)
			err(99, "cannot attach an empty program to %s", section);
		return 1;
	}
	if (!strncmp(section, "iter/", 5) || !strcmp(section, "syscall"))
		return 0;
	errx(99, "cannot imitate a program in section %s: attach_kinds[] must know it", section);
}

static int load_empty(const struct warder_image *image)
{
	struct btf *btf = btf__load_vmlinux_btf();
	struct warder_bpf *skel = warder_bpf__open();
	struct warder_error e = { "" };
	struct bpf_program *prog;
	int n = 0;

	if (!btf || !skel)
		err(99, "cannot open the kernel's types or warder's object");
	/* Of the programs on one system call this kernel takes one. */
	if (loader_calls_choose(skel->obj, btf, &e))
		errx(99, "%s", e.text);
	bpf_object__for_each_program(prog, skel->obj)
		if (bpf_program__autoload(prog) &&
		    loader_program_is_needed(bpf_program__name(prog), image))
			n += empty_attach(btf, bpf_program__section_name(prog));
	warder_bpf__destroy(skel);
	btf__free(btf);
	return n;
}

/* ---------------------------------------------------------------------- warder */

static int count_links(void)
{
	cleanup_closedir DIR *dir = opendir(WARDER_PIN_DIR "/links");
	struct dirent *d;
	int n = 0;

	if (!dir)
		err(99, WARDER_PIN_DIR "/links");
	while ((d = readdir(dir)))
		n += d->d_name[0] != '.';
	return n;
}

static struct warder_image *read_image(const char *path)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct warder_image *image;
	struct stat st;
	size_t size;

	if (fd < 0 || fstat(fd, &st))
		err(99, "%s", path);
	size = (size_t)st.st_size > sizeof(*image) ? (size_t)st.st_size : sizeof(*image);
	image = calloc(1, size);
	if (!image || read(fd, image, st.st_size) != st.st_size)
		err(99, "%s", path);
	return image;
}

static int run_command(void *arg)
{
	char **argv = arg;

	execv(argv[0], argv);
	warn("%s", argv[0]);
	return 99;
}

static void print_stats(int slot)
{
	struct warder_stats s = h_stats(slot);

	printf("stats denied=%llu audited=%llu faults=%llu events=%llu\n",
	       (unsigned long long)s.denied, (unsigned long long)s.audited,
	       (unsigned long long)s.faults, (unsigned long long)s.events);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int slot = -1, at = 3, hooks, status;
	struct warder_image *image;

	if (argc < 5 || strcmp(argv[at], "--"))
		errx(98, "usage: drive empty|untagged|tagged IMAGE -- COMMAND...");
	image = read_image(argv[2]);
	if (!strcmp(what, "empty")) {
		hooks = load_empty(image);
	} else if (!strcmp(what, "untagged")) {
		h_container_image(image);
		hooks = count_links();
	} else if (!strcmp(what, "tagged")) {
		slot = h_container_image(image);
		hooks = count_links();
	} else {
		errx(98, "%s is no configuration", what);
	}
	printf("hooks %d\n", hooks);
	fflush(stdout);
	/* What attaching left behind (text to patch, grace periods) is over by then. */
	sleep(5);
	status = h_run(slot, run_command, argv + at + 1);
	if (slot >= 0)
		print_stats(slot);
	return status;
}
