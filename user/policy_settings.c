// SPDX-License-Identifier: LGPL-2.1-or-later
/* What a policy says of the whole: name, mode, unsafe, defaults. */
#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "policy_internal.h"

/* Each with the class's word; the order in which messages list them. */
static const uint8_t default_classes[] = {
	WARDER_CLASS_FILE,    WARDER_CLASS_EXEC,      WARDER_CLASS_MEMORY, WARDER_CLASS_NETWORK,
	WARDER_CLASS_CAPABILITY, WARDER_CLASS_MOUNT,  WARDER_CLASS_DEVICE, WARDER_CLASS_PTRACE,
	WARDER_CLASS_SIGNAL,  WARDER_CLASS_IPC,	      WARDER_CLASS_NAMESPACE,
	WARDER_CLASS_KERNEL,
};

static uint8_t default_class(const struct node *k)
{
	for (size_t i = 0; i < ARRAY_SIZE(default_classes); i++)
		if (node_is(k, class_name(default_classes[i])))
			return default_classes[i];
	return WARDER_CLASS_NONE;
}

void parse_defaults(struct parser *ps, struct node *n)
{
	static const char *const words[] = { "allow", "deny", NULL };
	struct policy_profile *pr = &ps->p->profile[ps->profile];
	char buf[SHOWN_SIZE], list[256];

	if (!expect_map(ps, n, "defaults"))
		return;
	node_optional(ps, n);
	for (size_t i = 0; i + 1 < n->count; i += 2) {
		const struct node *k = n->item[i];
		uint8_t class_ = default_class(k);
		size_t used = 0;
		int word;

		if (node_is(k, "optional"))
			continue;
		for (size_t j = 0; !class_ && j < ARRAY_SIZE(default_classes); j++)
			used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s",
						 j ? ", " : "", class_name(default_classes[j]));
		if (!class_) {
			parser_error(ps, k, "defaults: unknown class %s; known: %s",
				     node_shown(k, buf), list);
			continue;
		}
		word = expect_word(ps, n->item[i + 1], "defaults", words);
		if (word < 0)
			continue;
		pr->def[class_] = word ? DEFAULT_DENY : DEFAULT_ALLOW;
		pr->named |= 1u << class_;
	}
}

/* ------------------------------------------------------------------- unsafe */

static const struct {
	const char *word;
	uint64_t bit;
	const char *means;
} unsafe_words[] = {
	{ "bpf", WARDER_UNSAFE_BPF,
	  "with CAP_BPF the container can load BPF programs, read the kernel's memory and take "
	  "warder's own enforcement away" },
	{ "modules", WARDER_UNSAFE_MODULES,
	  "with CAP_SYS_MODULE the container can load code into the kernel" },
	{ "kexec", WARDER_UNSAFE_KEXEC,
	  "with CAP_SYS_BOOT the container can replace the running kernel" },
	{ "host_ptrace", WARDER_UNSAFE_HOST_PTRACE,
	  "rules with peer: host let the container read and control processes of the host" },
	{ "host_signal", WARDER_UNSAFE_HOST_SIGNAL,
	  "rules with peer: host let the container signal processes of the host" },
	{ "kernel_files", WARDER_UNSAFE_KERNEL_FILES,
	  "the container can write to files in /proc and /sys that make the kernel act for it "
	  "outside (core_pattern, modprobe, uevent_helper, sysrq-trigger)" },
	{ "memory_devices", WARDER_UNSAFE_MEMORY_DEVICES,
	  "the container can open /dev/mem, /dev/port and the CPU's registers: all of the host's "
	  "memory" },
	{ "perfmon", WARDER_UNSAFE_PERFMON,
	  "with CAP_PERFMON the container can observe processes of the host and the kernel" },
};
_Static_assert(ARRAY_SIZE(unsafe_words) == WARDER_UNSAFE_BITS, "every bit has a word");

static void read_unsafe(struct parser *ps, struct node *n, void *arg)
{
	char buf[SHOWN_SIZE], list[160];
	size_t used = 0;

	(void)arg;
	for (size_t i = 0; i < ARRAY_SIZE(unsafe_words); i++) {
		if (node_is(n, unsafe_words[i].word)) {
			ps->p->unsafe |= unsafe_words[i].bit;
			parser_warning(ps, n, "unsafe: %s: %s", n->text, unsafe_words[i].means);
			return;
		}
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "",
					 unsafe_words[i].word);
	}
	parser_error(ps, n, "unsafe: expected one of %s, found %s", list, node_shown(n, buf));
}

const char *unsafe_name(__u64 bit)
{
	for (size_t i = 0; i < ARRAY_SIZE(unsafe_words); i++)
		if (unsafe_words[i].bit == bit)
			return unsafe_words[i].word;
	return NULL;
}

uint64_t kernel_closed(uint64_t unsafe)
{
	return (unsafe & WARDER_UNSAFE_BPF ? 0 : 1ull << WARDER_SURFACE_BPF) |
	       (unsafe & WARDER_UNSAFE_MODULES ? 0 : 1ull << WARDER_SURFACE_MODULES) |
	       (unsafe & WARDER_UNSAFE_KEXEC ? 0 : 1ull << WARDER_SURFACE_KEXEC);
}

/* ----------------------------------------------------------------- together */

void parse_settings(struct parser *ps, struct node *root)
{
	static const char *const modes[] = { "enforce", "audit", "learn", NULL };
	struct node *v = map_get(root, "policy");
	struct policy *p = ps->p;

	if (v)
		p->name = parse_id(ps, v, "policy");
	v = map_get(root, "mode");
	if (v) {
		int mode = expect_word(ps, v, "mode", modes);

		if (mode >= 0)
			p->mode = (uint32_t)mode; /* words are in the order of enum warder_mode */
	}
	v = map_get(root, "selectable");
	if (v)
		expect_bool(ps, v, "selectable", &p->selectable);
	v = map_get(root, "unsafe");
	if (v)
		each_scalar(ps, v, "unsafe", read_unsafe, NULL);
	v = map_get(root, "defaults");
	if (v)
		parse_defaults(ps, v);
}
