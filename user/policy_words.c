// SPDX-License-Identifier: LGPL-2.1-or-later
/* The words of every class and their bits, in both directions. */
#include <ctype.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cleanup.h"
#include "policy_tools.h"

struct word {
	const char *name;
	__u64 bit;
};

static const struct word network[] = {
	{ "create", WARDER_NET_CREATE }, { "connect", WARDER_NET_CONNECT },
	{ "bind", WARDER_NET_BIND },	 { "listen", WARDER_NET_LISTEN },
	{ "accept", WARDER_NET_ACCEPT }, { "send", WARDER_NET_SEND },
};
_Static_assert(ARRAY_SIZE(network) == WARDER_NET_BITS, "every operation has a word");

static const struct word memory[] = {
	{ "fileless_exec", 1u << WARDER_MEM_FILELESS_EXEC },
	{ "write_exec", 1u << WARDER_MEM_WRITE_EXEC },
	{ "anonymous_exec", 1u << WARDER_MEM_ANONYMOUS_EXEC },
	{ "shm_exec", 1u << WARDER_MEM_SHM_EXEC },
};
_Static_assert(ARRAY_SIZE(memory) == WARDER_MEM__MAX, "every switch has a word");

static const struct word namespaces[] = {
	{ "user", 1u << WARDER_NS_USER }, { "mnt", 1u << WARDER_NS_MNT },
	{ "pid", 1u << WARDER_NS_PID },	  { "net", 1u << WARDER_NS_NET },
	{ "ipc", 1u << WARDER_NS_IPC },	  { "uts", 1u << WARDER_NS_UTS },
	{ "cgroup", 1u << WARDER_NS_CGROUP }, { "time", 1u << WARDER_NS_TIME },
};
_Static_assert(ARRAY_SIZE(namespaces) == WARDER_NS__MAX, "every namespace has a word");

static const struct word surfaces[] = {
	{ "bpf", 1u << WARDER_SURFACE_BPF },
	{ "modules", 1u << WARDER_SURFACE_MODULES },
	{ "kexec", 1u << WARDER_SURFACE_KEXEC },
	{ "perf", 1u << WARDER_SURFACE_PERF },
	{ "settime", 1u << WARDER_SURFACE_SETTIME },
	{ "syslog", 1u << WARDER_SURFACE_SYSLOG },
	{ "swap", 1u << WARDER_SURFACE_SWAP },
	{ "reboot", 1u << WARDER_SURFACE_REBOOT },
	{ "io_uring", 1u << WARDER_SURFACE_IO_URING },
	{ "userfaultfd", 1u << WARDER_SURFACE_USERFAULTFD },
	{ "quota", 1u << WARDER_SURFACE_QUOTA },
	{ "acct", 1u << WARDER_SURFACE_ACCT },
	{ "rawio", 1u << WARDER_SURFACE_RAWIO },
	{ "handle", 1u << WARDER_SURFACE_HANDLE },
	{ "fanotify", 1u << WARDER_SURFACE_FANOTIFY },
	{ "hostname", 1u << WARDER_SURFACE_HOSTNAME },
};
_Static_assert(ARRAY_SIZE(surfaces) == WARDER_SURFACE__MAX, "every surface has a word");

static const struct word devices[] = { { "open", WARDER_DEV_OPEN }, { "mknod", WARDER_DEV_MKNOD } };
_Static_assert(ARRAY_SIZE(devices) == WARDER_DEV_BITS, "every operation has a word");

static const struct word ptraces[] = { { "trace", WARDER_PTRACE_TRACE },
				       { "read", WARDER_PTRACE_READ } };

static const struct word ipcs[] = { { "unix", WARDER_IPC_UNIX },
				    { "sysv", WARDER_IPC_SYSV },
				    { "mq", WARDER_IPC_MQ },
				    { "fd", WARDER_IPC_FD } };

static const struct word *words_of(enum warder_class class_, size_t *ret_count)
{
	switch (class_) {
#define TABLE(class_word, table)                  \
	case class_word:                          \
		*ret_count = ARRAY_SIZE(table);   \
		return table
		TABLE(WARDER_CLASS_NETWORK, network);
		TABLE(WARDER_CLASS_MEMORY, memory);
		TABLE(WARDER_CLASS_NAMESPACE, namespaces);
		TABLE(WARDER_CLASS_KERNEL, surfaces);
		TABLE(WARDER_CLASS_DEVICE, devices);
		TABLE(WARDER_CLASS_PTRACE, ptraces);
		TABLE(WARDER_CLASS_IPC, ipcs);
#undef TABLE
	default:
		*ret_count = 0;
		return NULL;
	}
}

bool policy_class_is_number(enum warder_class class_)
{
	return class_ == WARDER_CLASS_CAPABILITY || class_ == WARDER_CLASS_SIGNAL ||
	       class_ == WARDER_CLASS_MEMORY || class_ == WARDER_CLASS_NAMESPACE ||
	       class_ == WARDER_CLASS_KERNEL;
}

/* The bit of a signal is its number minus one. */
static int signal_bits(const char *word, __u64 *ret)
{
	char *end;
	long n;

	if (isdigit((unsigned char)*word)) {
		n = strtol(word, &end, 10);
		if (*end || n < 1 || n > 64)
			return -1;
		*ret = 1ull << (n - 1);
		return 0;
	}
	if (!strncasecmp(word, "sig", 3))
		word += 3;
	for (int i = 1; i < SIGRTMIN; i++) {
		const char *name = sigabbrev_np(i);

		if (name && !strcasecmp(name, word)) {
			*ret = 1ull << (i - 1);
			return 0;
		}
	}
	return -1;
}

int policy_word_bits(enum warder_class class_, const char *word, __u64 *ret_bits)
{
	const struct word *table;
	size_t count;
	__u32 bits;
	int cap;

	switch (class_) {
	case WARDER_CLASS_FILE:
		if (access_from_name(word, &bits) || bits == WARDER_ACC_EXEC)
			return -1;
		*ret_bits = bits;
		return 0;
	case WARDER_CLASS_EXEC:
		*ret_bits = WARDER_ACC_EXEC;
		return strcmp(word, "exec") ? -1 : 0;
	case WARDER_CLASS_MOUNT:
		if (mount_op_from_name(word, &bits))
			return -1;
		*ret_bits = bits;
		return 0;
	case WARDER_CLASS_CAPABILITY:
		cap = capability_from_name(word);
		if (cap < 0)
			return -1;
		*ret_bits = 1ull << cap;
		return 0;
	case WARDER_CLASS_SIGNAL:
		return signal_bits(word, ret_bits);
	default:
		table = words_of(class_, &count);
		for (size_t i = 0; i < count; i++)
			if (!strcmp(table[i].name, word)) {
				*ret_bits = table[i].bit;
				return 0;
			}
		return -1;
	}
}

/* Capabilities and signals as the language writes them: small, without a prefix. */
static const char *lower_word(const char *name, size_t skip)
{
	static _Thread_local char buf[32];
	size_t i;

	for (i = 0; name[skip + i] && i < sizeof(buf) - 1; i++)
		buf[i] = (char)tolower((unsigned char)name[skip + i]);
	buf[i] = 0;
	return buf;
}

const char *policy_word(enum warder_class class_, __u64 bit)
{
	const struct word *table;
	const char *name;
	char cap[32];
	size_t count;

	if (!bit)
		return NULL;
	switch (class_) {
	case WARDER_CLASS_FILE:
	case WARDER_CLASS_EXEC:
		return bit >> 32 ? NULL : access_name((__u32)bit);
	case WARDER_CLASS_MOUNT:
		return bit >> 32 ? NULL : mount_op_name((__u32)bit);
	case WARDER_CLASS_CAPABILITY:
		return lower_word(capability_name(__builtin_ctzll(bit), cap, sizeof(cap)), 4);
	case WARDER_CLASS_SIGNAL:
		name = sigabbrev_np(__builtin_ctzll(bit) + 1);
		if (name)
			return lower_word(name, 0);
		snprintf(cap, sizeof(cap), "%d", __builtin_ctzll(bit) + 1);
		return lower_word(cap, 0);
	default:
		table = words_of(class_, &count);
		for (size_t i = 0; i < count; i++)
			if (table[i].bit == bit)
				return table[i].name;
		return NULL;
	}
}

const char *policy_words(enum warder_class class_, __u64 bits, const char *separator, char *buf,
			 size_t size)
{
	size_t used = 0;

	buf[0] = 0;
	for (unsigned i = 0; i < 64 && used < size; i++) {
		const char *word = bits >> i & 1 ? policy_word(class_, 1ull << i) : NULL;

		if (bits >> i & 1)
			used += (size_t)snprintf(buf + used, size - used, "%s%s",
						 used ? separator : "", word ? word : "?");
	}
	return buf;
}
