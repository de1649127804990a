// SPDX-License-Identifier: LGPL-2.1-or-later
/* The table of supervised system calls: words, names, arguments, and the matrix for people. */
#include "calls.h"

#include <stdarg.h>
#include <string.h>

#include "cleanup.h"

#define ERRNOS_P "EPERM"
#define ERRNOS_A "EPERM, EACCES"

static const struct {
	const char *word;
	const char *performed;
} ops[WARDER_OP__MAX] = {
#define OP_ROW(op, word, performed) [WARDER_OP_##op] = { word, performed },
	WARDER_OPS(OP_ROW)
#undef OP_ROW
};

static const struct {
	const char *name;
	__u32 op;
	const char *errnos;
	const char *capability;
	const char *arguments;
	unsigned nr64; /* 0: there is no such entry */
	unsigned nr32;
	int notify; /* 1: seen by seccomp notification only */
} calls[WARDER_CALL__MAX] = {
#define CALL_ROW(name, op, errnos, cap, arguments, nr64, nr32, function)                      \
	[WARDER_CALL_##name] = { #name, WARDER_OP_##op, ERRNOS_##errnos, cap, arguments,      \
				 nr64, nr32, 0 },
#define CALL_ROW32(name, op, errnos, cap, arguments, nr32, function)                          \
	[WARDER_CALL_##name] = { #name, WARDER_OP_##op, ERRNOS_##errnos, cap, arguments, 0, nr32, 0 },
#define CALL_ROW_NOTIFY(name, op, arguments, nr)                                              \
	[WARDER_CALL_##name] = { #name, WARDER_OP_##op, ERRNOS_P, "SYS_ADMIN", arguments, nr, nr, 1 },
	WARDER_CALLS(CALL_ROW, CALL_ROW32, CALL_ROW_NOTIFY)
#undef CALL_ROW
#undef CALL_ROW32
#undef CALL_ROW_NOTIFY
};

const char *call_op_word(__u32 op)
{
	return op < WARDER_OP__MAX && ops[op].word ? ops[op].word : "unknown";
}

__u32 call_op_from_word(const char *word)
{
	for (__u32 op = WARDER_OP_NONE + 1; op < WARDER_OP__MAX; op++)
		if (!strcmp(ops[op].word, word))
			return op;
	return WARDER_OP_NONE;
}

const char *call_op_performed(__u32 op)
{
	return op < WARDER_OP__MAX && ops[op].performed ? ops[op].performed : "";
}

const char *call_name(__u32 call)
{
	return call < WARDER_CALL__MAX && calls[call].name ? calls[call].name : "unknown";
}

__u32 call_op_of(const char *name, size_t len)
{
	for (__u32 call = 0; call < WARDER_CALL__MAX; call++)
		if (calls[call].name && strlen(calls[call].name) == len &&
		    !memcmp(calls[call].name, name, len))
			return calls[call].op;
	return WARDER_OP_NONE;
}

unsigned call_number(__u32 call)
{
	return call < WARDER_CALL__MAX ? calls[call].nr64 : 0;
}

int call_needs_notify(__u32 call)
{
	return call < WARDER_CALL__MAX && calls[call].notify;
}

__u32 call_from_number(unsigned nr, int compat)
{
	for (__u32 call = WARDER_CALL_NONE + 1; call < WARDER_CALL__MAX; call++)
		if (nr && (compat ? calls[call].nr32 : calls[call].nr64) == nr)
			return call;
	return WARDER_CALL_NONE;
}

const char *call_arguments(__u32 call)
{
	return call < WARDER_CALL__MAX && calls[call].arguments ? calls[call].arguments : "";
}

int call_argument_of(__u32 call, char kind, int n)
{
	const char *a = call_arguments(call);

	for (int i = 0; a[i]; i++)
		if (a[i] == kind && n-- == 0)
			return i;
	return -1;
}

struct text {
	char *buf;
	size_t size, used;
};

static void text_add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void text_add(struct text *t, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(t->buf + t->used, t->size - t->used, format, args);
	va_end(args);
	if (n > 0)
		t->used += (size_t)n < t->size - t->used ? (size_t)n : t->size - t->used - 1;
}

static void add_argument(struct text *t, char kind, __u64 value, const char *copy)
{
	switch (kind) {
	case 'p':
	case 's':
		if (!value)
			text_add(t, "NULL");
		else if (copy)
			text_add(t, "\"%.200s\"", copy);
		else
			text_add(t, "\"...\"");
		return;
	case 'd':
	case 'f':
		if (kind == 'f' && (__s32)value == -100)
			text_add(t, "AT_FDCWD");
		else
			text_add(t, "%d", (__s32)value);
		return;
	case 'm':
		text_add(t, "%#o", (__u32)value);
		return;
	case 'n': /* as the kernel packs it for user space */
		text_add(t, "%u:%u", (__u32)value >> 8 & 0xfff,
			 ((__u32)value & 0xff) | ((__u32)value >> 12 & 0xfff00));
		return;
	case 'x':
		text_add(t, value ? "%#llx" : "%llu", value);
		return;
	default:
		text_add(t, "*");
	}
}

const char *call_render(const struct warder_icept *ic, const char *path, const char *text,
			char *buf, size_t size)
{
	struct text t = { .buf = buf, .size = size };
	const char *a = call_arguments(ic->call);

	if (!size)
		return buf;
	buf[0] = '\0';
	text_add(&t, "%s(", call_name(ic->call));
	for (int i = 0; a[i] && i < 6; i++) {
		const char **copy = a[i] == 'p' ? &path : &text;
		int is_text = a[i] == 'p' || a[i] == 's';

		text_add(&t, "%s", i ? ", " : "");
		add_argument(&t, a[i], ic->arg[i], is_text ? *copy : NULL);
		/* Only the first of each kind was copied. */
		if (is_text)
			*copy = NULL;
	}
	text_add(&t, ")");
	return buf;
}

void call_print_matrix(FILE *f)
{
	fprintf(f, "| `on:` | System call | 64-bit, 32-bit number | Refused with | Capability | Performed |\n"
		   "|---|---|---|---|---|---|\n");
	for (__u32 op = WARDER_OP_NONE + 1; op < WARDER_OP__MAX; op++) {
		for (__u32 call = WARDER_CALL_NONE + 1; call < WARDER_CALL__MAX; call++) {
			char nr64[16] = "-";

			if (calls[call].op != op)
				continue;
			if (calls[call].nr64)
				snprintf(nr64, sizeof(nr64), "%u", calls[call].nr64);
			fprintf(f, "| `%s` | `%s` | %s, %u | %s | %s | %s |\n", ops[op].word,
				calls[call].name, nr64, calls[call].nr32, calls[call].errnos,
				calls[call].capability,
				calls[call].notify	? "by notification, see below" :
				*ops[op].performed ? ops[op].performed :
						     "no");
		}
	}
}
