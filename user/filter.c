// SPDX-License-Identifier: LGPL-2.1-or-later
/* Seccomp filters that others have put on a process, read as a tracer can and run as the kernel
 * does (kernel/seccomp.c: a subset of classic BPF). */
#include "filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

#include "calls.h"
#include "cleanup.h"

#define FILTERS_MAX 256	      /* of one process */
#define FILTER_STOP_TRIES 200 /* of 10 ms */

#ifndef PTRACE_SECCOMP_GET_FILTER
#define PTRACE_SECCOMP_GET_FILTER 0x420c
#endif

struct machine {
	uint32_t a, x;
	uint32_t m[BPF_MEMWORDS];
};

static int machine_load(struct machine *v, const struct sock_filter *f,
			const struct seccomp_data *data)
{
	switch (f->code) {
	case BPF_LD | BPF_W | BPF_ABS:
		if (f->k > sizeof(*data) - sizeof(v->a) || f->k % sizeof(v->a))
			return -EINVAL;
		memcpy(&v->a, (const char *)data + f->k, sizeof(v->a));
		return 0;
	case BPF_LD | BPF_W | BPF_LEN:
		v->a = sizeof(*data);
		return 0;
	case BPF_LDX | BPF_W | BPF_LEN:
		v->x = sizeof(*data);
		return 0;
	case BPF_LD | BPF_IMM:
		v->a = f->k;
		return 0;
	case BPF_LDX | BPF_IMM:
		v->x = f->k;
		return 0;
	case BPF_LD | BPF_MEM:
	case BPF_LDX | BPF_MEM:
	case BPF_ST:
	case BPF_STX:
		if (f->k >= BPF_MEMWORDS)
			return -EINVAL;
		if (BPF_CLASS(f->code) == BPF_LD)
			v->a = v->m[f->k];
		else if (BPF_CLASS(f->code) == BPF_LDX)
			v->x = v->m[f->k];
		else
			v->m[f->k] = f->code == BPF_ST ? v->a : v->x;
		return 0;
	case BPF_MISC | BPF_TAX:
		v->x = v->a;
		return 0;
	case BPF_MISC | BPF_TXA:
		v->a = v->x;
		return 0;
	default:
		return -EINVAL;
	}
}

static int machine_alu(struct machine *v, const struct sock_filter *f)
{
	uint32_t by = BPF_SRC(f->code) == BPF_X ? v->x : f->k;

	switch (BPF_OP(f->code)) {
	case BPF_ADD:
		v->a += by;
		return 0;
	case BPF_SUB:
		v->a -= by;
		return 0;
	case BPF_MUL:
		v->a *= by;
		return 0;
	case BPF_DIV:
		v->a = by ? v->a / by : 0;
		return 0;
	case BPF_AND:
		v->a &= by;
		return 0;
	case BPF_OR:
		v->a |= by;
		return 0;
	case BPF_XOR:
		v->a ^= by;
		return 0;
	case BPF_LSH:
		v->a = by < 32 ? v->a << by : 0;
		return 0;
	case BPF_RSH:
		v->a = by < 32 ? v->a >> by : 0;
		return 0;
	case BPF_NEG:
		v->a = -v->a;
		return 0;
	default:
		return -EINVAL;
	}
}

/* How many instructions to skip. */
static int machine_jump(const struct machine *v, const struct sock_filter *f, size_t *ret_skip)
{
	uint32_t with = BPF_SRC(f->code) == BPF_X ? v->x : f->k;
	int yes;

	switch (BPF_OP(f->code)) {
	case BPF_JA:
		*ret_skip = f->k;
		return 0;
	case BPF_JEQ:
		yes = v->a == with;
		break;
	case BPF_JGT:
		yes = v->a > with;
		break;
	case BPF_JGE:
		yes = v->a >= with;
		break;
	case BPF_JSET:
		yes = (v->a & with) != 0;
		break;
	default:
		return -EINVAL;
	}
	*ret_skip = yes ? f->jt : f->jf;
	return 0;
}

int filter_run(const struct sock_filter *program, size_t length, const struct seccomp_data *data,
	       uint32_t *ret_action)
{
	struct machine v = { 0 };

	/* Jumps go forward only, so it ends. */
	for (size_t at = 0; at < length; at++) {
		const struct sock_filter *f = &program[at];
		size_t skip = 0;
		int err = 0;

		switch (BPF_CLASS(f->code)) {
		case BPF_RET:
			*ret_action = BPF_RVAL(f->code) == BPF_A ? v.a : f->k;
			return 0;
		case BPF_ALU:
			err = machine_alu(&v, f);
			break;
		case BPF_JMP:
			err = machine_jump(&v, f, &skip);
			break;
		default:
			err = machine_load(&v, f, data);
		}
		if (err || skip >= length)
			return -EINVAL;
		at += skip;
	}
	return -EINVAL;
}

int filter_lets_pass(uint32_t action)
{
	action &= SECCOMP_RET_ACTION_FULL;
	return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG;
}

/* ---------------------------------------------------------------- of a process */

struct filters {
	struct sock_filter *program[FILTERS_MAX];
	size_t length[FILTERS_MAX];
	size_t count;
};

static void filters_done(struct filters *f)
{
	for (size_t i = 0; i < f->count; i++)
		free(f->program[i]);
	f->count = 0;
}

static int filters_read(pid_t pid, struct filters *ret)
{
	for (;;) {
		long n = ptrace(PTRACE_SECCOMP_GET_FILTER, pid, ret->count, NULL);
		struct sock_filter *program;

		if (n < 0)
			return errno == ENOENT ? 0 : -errno;
		if (ret->count == FILTERS_MAX)
			return -E2BIG;
		program = calloc((size_t)n, sizeof(*program));
		if (!program)
			return -ENOMEM;
		if (ptrace(PTRACE_SECCOMP_GET_FILTER, pid, ret->count, program) != n) {
			free(program);
			return -EAGAIN;
		}
		ret->length[ret->count] = (size_t)n;
		ret->program[ret->count++] = program;
	}
}

static int filters_stop(pid_t pid)
{
	const struct timespec pause_time = { .tv_nsec = 10000000 };

	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) || ptrace(PTRACE_INTERRUPT, pid, NULL, NULL))
		return -errno;
	for (int i = 0; i < FILTER_STOP_TRIES; i++) {
		int status;
		pid_t got = waitpid(pid, &status, __WALL | WNOHANG);

		if (got == pid)
			return WIFSTOPPED(status) ? 0 : -ESRCH;
		if (got < 0)
			return -errno;
		nanosleep(&pause_time, NULL);
	}
	return -ETIMEDOUT; /* when we end, the kernel lets go of it */
}

static int filters_refuse(const struct filters *f, int nr)
{
	const struct seccomp_data data = { .nr = nr, .arch = AUDIT_ARCH_X86_64 };
	uint32_t action;

	for (size_t i = 0; i < f->count; i++) {
		if (filter_run(f->program[i], f->length[i], &data, &action) ||
		    !filter_lets_pass(action))
			return 1;
	}
	return 0;
}

int filter_read_refused(pid_t pid, char *buf, size_t size)
{
	cleanup(filters_done) struct filters f = { .count = 0 };
	size_t used = 0;
	int err;

	buf[0] = '\0';
	err = filters_stop(pid);
	if (err)
		return err;
	err = filters_read(pid, &f);
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
	for (__u32 call = 0; !err && call < WARDER_CALL__MAX; call++) {
		int nr = (int)call_number(call), n;

		/* Those that are asked about by a filter of our own only are another matter. */
		if (!nr || call_needs_notify(call) || !filters_refuse(&f, nr))
			continue;
		n = snprintf(buf + used, size - used, "%s%s", used ? " " : "", call_name(call));
		if (n < 0 || (size_t)n >= size - used)
			return -E2BIG;
		used += (size_t)n;
	}
	return err;
}
