// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The programs of supervised system calls (bpf/override.bpf.h): each entry has one in two forms, of
 * which the one is loaded that shares its function's BTF type with the program that does the work.
 */
#include "loader_internal.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "cleanup.h"

#define CALL_PREFIX "warder_call"
#define WORKER "warder_call_refused"
#define WORKER_UNUSED "warder_callu_refused"

int loader_call_is_worker(const char *program)
{
	return !strcmp(program, WORKER) || !strcmp(program, WORKER_UNUSED);
}

__u32 loader_call_op(const char *program)
{
	const char *name = program + strlen(CALL_PREFIX);

	if (strncmp(program, CALL_PREFIX, strlen(CALL_PREFIX)) || loader_call_is_worker(program))
		return WARDER_OP_NONE;
	name += *name == 'u';
	if (strncmp(name, "64_", 3) && strncmp(name, "32_", 3))
		return WARDER_OP_NONE;
	return call_op_of(name + 3, strlen(name + 3));
}

/* What the function's only argument is called: "regs", or "__unused" where the entry's weak
 * stand-in came first in the kernel's type information. NULL: there is no such function. */
static const char *call_argument(const struct btf *btf, const char *function)
{
	int id = btf__find_by_name_kind(btf, function, BTF_KIND_FUNC);
	const struct btf_type *t = id > 0 ? btf__type_by_id(btf, (__u32)id) : NULL;

	t = t ? btf__type_by_id(btf, t->type) : NULL;
	return t && btf_vlen(t) == 1 ? btf__name_by_offset(btf, btf_params(t)->name_off) : NULL;
}

int loader_calls_choose(struct bpf_object *obj, const struct btf *btf,
			struct warder_error *reterr)
{
	const char *model = call_argument(btf, "__x64_sys_mount");
	struct bpf_program *prog, *other = NULL;
	const char *other_target = NULL;
	int err;

	bpf_object__for_each_program(prog, obj) {
		const char *name = bpf_program__name(prog);
		const char *target = strchr(bpf_program__section_name(prog), '/');
		const char *argument;
		int unused;

		if (!strcmp(name, WORKER_UNUSED))
			other = prog;
		if (!loader_call_op(name) || !target)
			continue;
		argument = call_argument(btf, target + 1);
		unused = name[strlen(CALL_PREFIX)] == 'u';
		if (!model || !argument || unused != !!strcmp(argument, model))
			bpf_program__set_autoload(prog, false);
		else if (unused)
			other_target = target + 1;
	}
	if (!other)
		return 0;
	if (!other_target) {
		bpf_program__set_autoload(other, false);
		return 0;
	}
	bpf_program__set_autoload(other, true);
	err = bpf_program__set_attach_target(other, 0, other_target);
	return err ? error_errno(reterr, err, "cannot aim %s at %s", WORKER_UNUSED, other_target) : 0;
}

static int calls_pass_on(struct bpf_object *obj, const char *map_name, const char *prog_name,
			 struct warder_error *reterr)
{
	struct bpf_map *map = bpf_object__find_map_by_name(obj, map_name);
	struct bpf_program *prog = bpf_object__find_program_by_name(obj, prog_name);
	__u32 zero = 0;
	int fd, err;

	if (!map || !prog || !bpf_program__autoload(prog))
		return 0;
	fd = bpf_program__fd(prog);
	err = bpf_map_update_elem(bpf_map__fd(map), &zero, &fd, BPF_ANY);
	return err ? error_errno(reterr, err, "cannot put %s into %s", prog_name, map_name) : 0;
}

int loader_calls_connect(struct bpf_object *obj, struct warder_error *reterr)
{
	int err = calls_pass_on(obj, "warder_refused", WORKER, reterr);

	return err ? err : calls_pass_on(obj, "warder_refusedu", WORKER_UNUSED, reterr);
}
