// SPDX-License-Identifier: LGPL-2.1-or-later
/* Can the running kernel enforce? Asked of the kernel itself, not of its version, except where
 * a version is known to be broken. */
#include "loader_internal.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cleanup.h"

#define PROBE_INSTEAD \
	"warder cannot enforce here; `warder policy check` and `warder policy test` work " \
	"without the kernel, and tests/vm/run runs commands in a VM whose kernel can"

/* Reads /sys/kernel/security/lsm, or the same file of a securityfs mounted nowhere. */
static int probe_read_lsm_list(char *buf, size_t size)
{
	cleanup_close int fd = open("/sys/kernel/security/lsm", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0) {
		cleanup_close int fs = fsopen("securityfs", FSOPEN_CLOEXEC);
		cleanup_close int mnt = -1;

		if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
			return -errno;
		mnt = fsmount(fs, FSMOUNT_CLOEXEC, 0);
		if (mnt < 0)
			return -errno;
		fd = openat(mnt, "lsm", O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return -errno;
	}
	n = read(fd, buf, size - 1);
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return 0;
}

static int probe_list_has(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',')
		if (strcspn(p, ",") == len && !strncmp(p, name, len))
			return 1;
	return 0;
}

/* 6.1 kernels before 6.1.54 skip LSM programs while another runs on the same CPU: a task could
 * choose to be unseen. Distributions keep their own numbers in the release and tell the
 * upstream one in the version ("#1 SMP ... Debian 6.1.192-2"). */
static int probe_version_is_broken(const struct utsname *u)
{
	unsigned major = 0, minor = 0, patch = 0;
	const char *debian = strstr(u->version, "Debian ");

	if (sscanf(debian ? debian + strlen("Debian ") : u->release, "%u.%u.%u", &major, &minor,
		   &patch) < 2)
		return 0;
	return major == 6 && minor == 1 && patch < 54;
}

int loader_refused(struct warder_error *reterr, int err, const char *what)
{
	return error_set(reterr, -EOPNOTSUPP,
			 "this kernel refuses BPF LSM programs (%s: %s): " PROBE_INSTEAD, what,
			 strerror(-err));
}

int loader_check_kernel(struct warder_error *reterr)
{
	struct utsname u;
	char list[512];
	int err;

	if (geteuid() != 0)
		return error_set(reterr, -EPERM, "warder needs root to reach the kernel");
	if (uname(&u) < 0)
		return error_errno(reterr, -errno, "uname");
	if (probe_version_is_broken(&u))
		return error_set(reterr, -EOPNOTSUPP,
				 "kernel %s (%s) is older than 6.1.54 and skips LSM programs under "
				 "load: update it; " PROBE_INSTEAD, u.release, u.version);
	err = probe_read_lsm_list(list, sizeof(list));
	if (err)
		return error_errno(reterr, -EOPNOTSUPP,
				   "cannot read the list of active security modules (securityfs: "
				   "%s): " PROBE_INSTEAD, strerror(-err));
	if (!probe_list_has(list, "bpf"))
		return error_set(reterr, -EOPNOTSUPP,
				 "\"bpf\" is not among this kernel's active security modules (%s): "
				 "boot with lsm=%s,bpf; until then " PROBE_INSTEAD, list, list);
	if (access("/sys/kernel/btf/vmlinux", R_OK) < 0)
		return error_set(reterr, -EOPNOTSUPP,
				 "this kernel has no BTF (/sys/kernel/btf/vmlinux, "
				 "CONFIG_DEBUG_INFO_BTF): " PROBE_INSTEAD);
	return 0;
}

/* Loads and attaches the smallest LSM program there is: `return 0` on a hook that few calls
 * reach. */
static int probe_attach(struct warder_error *reterr)
{
	struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_LSM_MAC);
	cleanup_close int prog = -1, link = -1;
	int id;

	id = libbpf_find_vmlinux_btf_id("quotactl", BPF_LSM_MAC);
	if (id < 0)
		return error_set(reterr, -EOPNOTSUPP,
				 "this kernel's BTF has no LSM hooks (CONFIG_BPF_LSM): "
				 PROBE_INSTEAD);
	opts.attach_btf_id = id;
	prog = bpf_prog_load(BPF_PROG_TYPE_LSM, "warder_probe", "GPL", insns, ARRAY_SIZE(insns),
			     &opts);
	if (prog < 0)
		return loader_refused(reterr, prog, "at load");
	link = bpf_raw_tracepoint_open(NULL, prog);
	if (link < 0)
		return loader_refused(reterr, link, "at attach");
	return 0;
}

int loader_probe(struct warder_error *reterr)
{
	int err = loader_check_kernel(reterr);

	return err ? err : probe_attach(reterr);
}
