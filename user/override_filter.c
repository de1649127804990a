// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The seccomp filter that asks about calls of the new mount API, and about those that give a task
 * another session keyring. It refuses nothing: what nobody answers for is answered by the kernel. Everything else runs as if it were not there.
 */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "calls.h"
#include "cleanup.h"
#include "override_internal.h"
#include "warder_decide.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

int override_needs_filter(const struct warder_image *img)
{
	int keys = warder_join_of(img) == WARDER_JOIN_STICKY ? OVERRIDE_FILTER_KEYS : 0;

	for (unsigned i = 0; i < WARDER_OVERRIDES_MAX && i < img->h.override_.count; i++) {
		const struct warder_override *r = override_rule_at(img, i);

		if (r->op == WARDER_OP_MOUNT && r->do_ != WARDER_DO_REPORT &&
		    r->way != WARDER_WAY_HANDOFF &&
		    (r->ops & (WARDER_MNT_NEW | WARDER_MNT_BIND | WARDER_MNT_MOVE)))
			return keys | OVERRIDE_FILTER_MOUNT;
	}
	return keys;
}

static int add_rule(scmp_filter_ctx ctx, __u32 call)
{
	int nr = (int)call_number(call);

	/* Opening a tree without cloning it needs no right. */
	if (call == WARDER_CALL_open_tree)
		return seccomp_rule_add(ctx, SCMP_ACT_NOTIFY, nr, 1,
					SCMP_A2(SCMP_CMP_MASKED_EQ, OPEN_TREE_CLONE,
						OPEN_TREE_CLONE));
	return seccomp_rule_add(ctx, SCMP_ACT_NOTIFY, nr, 0);
}

/* The operation is an int, in a register, so that it stays what it was: of x86-64 the lower half. */
static int add_key_rules(scmp_filter_ctx ctx)
{
	static const scmp_datum_t ops[] = { KEYCTL_JOIN_SESSION_KEYRING, KEYCTL_SESSION_TO_PARENT };
	int err = 0;

	for (size_t i = 0; !err && i < ARRAY_SIZE(ops); i++)
		err = seccomp_rule_add(ctx, SCMP_ACT_NOTIFY, SCMP_SYS(keyctl), 1,
				       SCMP_A0(SCMP_CMP_MASKED_EQ, UINT32_MAX, ops[i]));
	return err;
}

static int read_program(scmp_filter_ctx ctx, struct sock_filter *program, size_t max,
			size_t *ret_len)
{
	cleanup_close int fd = memfd_create("filter", MFD_CLOEXEC);
	ssize_t got;
	int err;

	if (fd < 0)
		return -errno;
	err = seccomp_export_bpf(ctx, fd);
	if (err)
		return err;
	got = pread(fd, program, max * sizeof(*program), 0);
	if (got <= 0 || got % (ssize_t)sizeof(*program))
		return got < 0 ? -errno : -EINVAL;
	if ((size_t)got == max * sizeof(*program))
		return -E2BIG;
	*ret_len = (size_t)got / sizeof(*program);
	return 0;
}

int override_filter_build(int what, struct sock_filter *program, size_t max, size_t *ret_len)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int err = ctx ? 0 : -ENOMEM;

	/* Not ours to refuse: x32, where a kernel has it, is met by the capability. */
	if (!err)
		err = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW);
	if (!err)
		err = seccomp_arch_add(ctx, SCMP_ARCH_X86);
	for (__u32 call = WARDER_CALL_NONE + 1; !err && call < WARDER_CALL__MAX; call++)
		if (what & OVERRIDE_FILTER_MOUNT && call_needs_notify(call))
			err = add_rule(ctx, call);
	if (!err && what & OVERRIDE_FILTER_KEYS)
		err = add_key_rules(ctx);
	if (!err)
		err = read_program(ctx, program, max, ret_len);
	seccomp_release(ctx);
	return err;
}

int override_filter_install(int what, struct warder_error *reterr)
{
	struct sock_filter program[OVERRIDE_FILTER_MAX];
	struct sock_fprog prog = { .filter = program };
	size_t len = 0;
	int err, fd;

	err = override_filter_build(what, program, OVERRIDE_FILTER_MAX, &len);
	if (err)
		return error_errno(reterr, err, "cannot build the filter of system calls");
	prog.len = (unsigned short)len;
	/* Once a call has been taken up only a fatal signal ends its wait: it is carried out once. */
	fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			  SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
			  &prog);
	if (fd < 0)
		return error_errno(reterr, -errno, "cannot put the filter of system calls on");
	return fd;
}
