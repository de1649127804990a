// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * File systems of a server that the administrator names, mounted for callers that lack the capability:
 * by that address only, from the caller's network namespace. The server is this kernel's own.
 */
#include "override_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

static const char policy[] =
	"policy: t\n"
	"defaults: {namespace: allow}\n"
	"file: [{deny: [read], path: /mnt/scratch/a/denied}]\n"
	"override:\n"
	"  - {on: mount, type: nfs4, server: 'files:/', trusted_server: true, target: /mnt/scratch/*, "
	"options: {addr: 127.0.0.1, clientaddr: '*', vers: '4.2', sec: sys, soft: '*', timeo: '*', "
	"retrans: '*'}, do: perform}\n"
	"  - {on: umount, target: /mnt/scratch/**, do: perform}\n";

#define OPTIONS "addr=127.0.0.1,clientaddr=127.0.0.1,vers=4.2,sec=sys"
#define MOUNT_OF(expected, why, fstype, from, to, options, ...)                                    \
	RESULT(expected, why, rig_mount,                                                          \
	       (&(struct rig_call){ .source = (from), .type = (fstype), .data = (options),        \
				    .target = (to), __VA_ARGS__ }))
#define MOUNT(expected, why, ...) \
	MOUNT_OF(expected, why, "nfs4", "files:/", "/mnt/scratch/a", __VA_ARGS__)

static int do_readlink(void *arg)
{
	char text[64];

	return readlink(arg, text, sizeof(text)) == 5 && !memcmp(text, "hello", 5) ? 0 : errno ? errno : 200;
}

static int do_open(void *arg)
{
	int fd = open(arg, O_RDONLY | O_PATH | O_NOFOLLOW);

	if (fd >= 0)
		close(fd);
	fd = open(arg, O_RDONLY);
	return fd < 0 ? errno : 0;
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fail_msg("%s: %s: %s", path, text, strerror(errno));
	close(fd);
}

/* What rpc.nfsd and rpc.mountd tell the kernel. Who asks is known by its address, here this host. */
static void serve(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(2049),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char text[16];

	h_shell("modprobe -a nfsd nfsv4; ip link set lo up; mkdir -p /srv/nfs && "
		"mount -t tmpfs -o mode=755 none /srv/nfs && ln -s hello /srv/nfs/link && "
		"echo x >/srv/nfs/denied && mount -t nfsd nfsd /proc/fs/nfsd");
	put("/proc/fs/nfsd/versions", "-3 +4 +4.1 +4.2\n");
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (void *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 16), 0);
	snprintf(text, sizeof(text), "%d\n", fd);
	put("/proc/fs/nfsd/portlist", text);
	close(fd);
	put("/proc/fs/nfsd/threads", "2\n");
	put("/proc/net/rpc/auth.unix.ip/channel", "nfsd 127.0.0.1 2147483647 all\n");
	/* NFSEXP_FSID, NOSUBTREECHECK, INSECURE_PORT */
	put("/proc/net/rpc/nfsd.export/channel", "all /srv/nfs 2147483647 9218 65534 65534 0\n");
	put("/proc/net/rpc/nfsd.fh/channel", "all 1 \\x00000000 2147483647 /srv/nfs\n");
}

/* ------------------------------------------------------------------------------ tests */

static void test_server(void **state)
{
	__u32 slot = rig_container(policy);

	(void)state;
	MOUNT(0, "allows it", OPTIONS);
	assert_non_null(strstr(rig_line("/mnt/scratch/a"), "nosuid,nodev"));
	assert_non_null(strstr(rig_line("/mnt/scratch/a"), " - nfs4 files:/ "));
	assert_int_equal(rig_run((int)slot, do_readlink, "/mnt/scratch/a/link"), 0);
	assert_int_equal(rig_run((int)slot, do_open, "/mnt/scratch/a/denied"), EACCES);
	RESULT(0, "", rig_umount, "/mnt/scratch/a");
	/* What the caller leaves out is what the rule says. */
	MOUNT(0, "", "soft", .flags = MS_RDONLY | MS_NOEXEC);
	assert_non_null(strstr(rig_line("/mnt/scratch/a"), "ro,nosuid,nodev,noexec"));
	assert_non_null(strstr(rig_line("/mnt/scratch/a"), "addr=127.0.0.1"));
	RESULT(0, "", rig_umount, "/mnt/scratch/a");
}

static void test_refused(void **state)
{
	struct rig_call c = { .source = "files:/", .type = "nfs4", .target = "/mnt/scratch/a",
			      .data = OPTIONS ",soft,timeo=5,retrans=1", .unshare = CLONE_NEWNET };
	__u32 slot = rig_container(policy);

	(void)state;
	MOUNT_OF(EPERM, "offers files:/, not evil:/", "nfs4", "evil:/", "/mnt/scratch/a", OPTIONS);
	MOUNT(EPERM, "only with the value 127.0.0.1", "addr=192.0.2.1");
	MOUNT(EPERM, "does not list option port", OPTIONS ",port=1");
	MOUNT(EPERM, "only with the value sys", "addr=127.0.0.1,sec=krb5");
	MOUNT_OF(EPERM, "does not allow the target /mnt/other", "nfs4", "files:/", "/mnt/other", OPTIONS);
	MOUNT_OF(EPERM, "allows only type", "nfs", "files:/", "/mnt/scratch/a", OPTIONS);
	MOUNT_OF(EPERM, "allows only type", "cifs", "files:/", "/mnt/scratch/a", OPTIONS);
	MOUNT(EPERM, "of its own", OPTIONS, .unshare = CLONE_NEWNS);
	/* There is no such server where the caller is: its loopback is down. */
	assert_int_equal(rig_run((int)slot, rig_mount, &c) != 0, 1);
	assert_int_equal(rig.last.performed, 0);
	assert_int_equal(rig_mounted("/mnt/scratch/a", NULL, 0), 0);
	MOUNT(0, "", OPTIONS);
}

/* The server cannot tell who is who in the container's user namespace. */
static int owner(void)
{
	struct rig_call c = { .source = "files:/", .type = "nfs4", .target = "/mnt/scratch/a", .data = OPTIONS };

	if (rig_owner_enter())
		return 240;
	if (rig_mount(&c) != EPERM || rig_mounted("/mnt/scratch/a", NULL, 0))
		return 241;
	return rig_owner_step();
}

static void test_owned(void **state)
{
	__u32 slot = rig_container(policy);
	int before = rig.outcomes;

	(void)state;
	rig_in_userns(slot, owner, NULL);
	if (!strstr(rig_outcome_wait(before, 1)->reason, "cannot be mapped"))
		fail_msg("%s", rig.last.reason);
}

static int teardown_mount(void **state)
{
	(void)state;
	umount2("/mnt/scratch/a", MNT_DETACH);
	return 0;
}

static int setup(void **state)
{
	serve();
	return rig_setup(state);
}

static int teardown(void **state)
{
	int err = rig_teardown(state);

	put("/proc/fs/nfsd/threads", "0\n");
	return err;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_server, teardown_mount),
		cmocka_unit_test_teardown(test_refused, teardown_mount),
		cmocka_unit_test_teardown(test_owned, teardown_mount),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
