/* SPDX-License-Identifier: GPL-2.0-only */
/* What the hooks on keys know: the key, and the system call that asks for it. Included by
 * keyring.bpf.c. */
#ifndef WARDER_KEYLOOK_BPF_H
#define WARDER_KEYLOOK_BPF_H

/* What the hooks need to know of a key's name. */
struct key_look {
	__u64 hash;
	__u32 ring;        /* a keyring */
	__u32 kernel_ring; /* ... whose name begins with a dot: user space cannot make such */
	__u32 trust;       /* what rings of trusted keys hold: certificates and refused hashes */
	__u32 auth;        /* the authorisation of an upcall; user space cannot make such either */
};

/* By words, which are constants: of a comparison by bytes the verifier follows every combination of
 * outcomes, and a constant array would lie on the stack. */
#define TEXT_BYTE(text, i) ((__u64)((i) < sizeof(text) ? (__u8)(text)[(i) % sizeof(text)] : 0))
#define TEXT_WORD(text, i)                                                                         \
	(TEXT_BYTE(text, (i)) | TEXT_BYTE(text, (i) + 1) << 8 | TEXT_BYTE(text, (i) + 2) << 16 |    \
	 TEXT_BYTE(text, (i) + 3) << 24 | TEXT_BYTE(text, (i) + 4) << 32 |                          \
	 TEXT_BYTE(text, (i) + 5) << 40 | TEXT_BYTE(text, (i) + 6) << 48 |                          \
	 TEXT_BYTE(text, (i) + 7) << 56)
#define KEY_TYPE_IS(n, text) ((n)->w[0] == TEXT_WORD(text, 0) && (n)->w[1] == TEXT_WORD(text, 8))

/* 0, or -1 when the kernel's memory could not be read. Not inlined: the name lies on the stack,
 * which the reporting of a refusal needs again. */
static __noinline int key_look_at(struct key *key, struct key_look *ret)
{
	struct warder_key_name n;
	const char *type, *description;

	__builtin_memset(&n, 0, sizeof(n));
	type = BPF_CORE_READ(key, index_key.type, name);
	description = BPF_CORE_READ(key, index_key.description);
	if (bpf_probe_read_kernel_str(n.type, sizeof(n.type), type) < 0)
		return -1;
	if (bpf_probe_read_kernel_str(n.description, sizeof(n.description), description) < 0)
		return -1;
	ret->ring = KEY_TYPE_IS(&n, "keyring");
	ret->kernel_ring = ret->ring && n.description[0] == '.';
	ret->trust = KEY_TYPE_IS(&n, "asymmetric") || KEY_TYPE_IS(&n, "blacklist");
	ret->auth = KEY_TYPE_IS(&n, ".request_key_au"); /* as far as it fits */
	/* Mixed with the above, its steps would take a hundred bytes of stack. */
	asm volatile("" ::: "memory");
	ret->hash = warder_key_hash(&n);
	return 0;
}

static __noinline int key_look_is_ring(struct key *key)
{
	struct key_look look = {};

	return !key_look_at(key, &look) && look.ring;
}

/* The key system call under way. Arguments are registers, copied by the kernel at entry. */
struct key_call {
	__u32 op;     /* WARDER_KEY_OP_*, 0: none */
	__u32 keyctl; /* 1: keyctl(2), so arg[0] is the operation */
	__s32 arg[5];
};

#define SYS_ADD_KEY 248
#define SYS_REQUEST_KEY 249
#define SYS_KEYCTL 250
#define SYS_X32 0x40000000u
#define SYS_IA32_ADD_KEY 286
#define SYS_IA32_REQUEST_KEY 287
#define SYS_IA32_KEYCTL 288

/* 1 when the current task is in add_key, request_key or keyctl, by any of the three ABIs. */
static __noinline int key_call_read(struct key_call *c)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	__u32 nr;

	__builtin_memset(c, 0, sizeof(*c));
	if (!regs)
		return 0;
	nr = regs->orig_ax;
	if (task->thread_info.status & WARDER_TS_COMPAT) {
		if (nr != SYS_IA32_ADD_KEY && nr != SYS_IA32_REQUEST_KEY && nr != SYS_IA32_KEYCTL)
			return 0;
		c->keyctl = nr == SYS_IA32_KEYCTL;
		c->arg[0] = regs->bx;
		c->arg[1] = regs->cx;
		c->arg[2] = regs->dx;
		c->arg[3] = regs->si;
		c->arg[4] = regs->di;
		c->op = nr == SYS_IA32_ADD_KEY ? WARDER_KEY_OP_ADD : WARDER_KEY_OP_REQUEST;
		if (c->keyctl)
			c->op = WARDER_KEY_OP_KEYCTL | (c->arg[0] & 0xff);
		return 1;
	}
	nr &= ~SYS_X32;
	if (nr != SYS_ADD_KEY && nr != SYS_REQUEST_KEY && nr != SYS_KEYCTL)
		return 0;
	c->keyctl = nr == SYS_KEYCTL;
	c->arg[0] = regs->di;
	c->arg[1] = regs->si;
	c->arg[2] = regs->dx;
	c->arg[3] = regs->r10;
	c->arg[4] = regs->r8;
	c->op = nr == SYS_ADD_KEY ? WARDER_KEY_OP_ADD : WARDER_KEY_OP_REQUEST;
	if (c->keyctl)
		c->op = WARDER_KEY_OP_KEYCTL | (c->arg[0] & 0xff);
	return 1;
}

static __always_inline int key_call_is(const struct key_call *c, __s32 op)
{
	return c->keyctl && c->arg[0] == op;
}

static __always_inline int key_call_names(const struct key_call *c, __s32 serial)
{
	/* A pointer's low half can equal a serial by chance: one event too many, no harm. */
	return c->arg[0] == serial || c->arg[1] == serial || c->arg[2] == serial ||
	       c->arg[3] == serial || c->arg[4] == serial;
}

#endif
