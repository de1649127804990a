/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The truth table of the decision engine: put natively and in BPF by test_decide.c. */
#ifndef WARDER_DECIDE_CASES_H
#define WARDER_DECIDE_CASES_H

#include <errno.h>
#include <sys/mount.h>

#include "decide_probe.h"

enum { P_STRICT, P_AUDIT, P_OPEN, P_MOUNTS, P_MOUNT_OPEN, P_MOUNT_SOURCE, P_OVERRIDE, P_EMPTY, P_SWITCH, P_SWITCH_AUDIT, P_NET, P_NET_SHUT, P_NET_AUDIT, P_PROFILE, P_BORDER, P_UNSAFE, P__MAX };

static const char *const decide_policies[P__MAX] = {
	[P_STRICT] = /* lines are counted from the one after `policy:` as 2 */
	"policy: strict\n"
	"defaults: {file: deny, exec: deny, capability: deny}\n"
	"file:\n"
	"  - allow: [read]\n" /* 4 */
	"    path: [/etc/**, '/srv/?', '/uni/[ä-ü]x', '/quote/\\*']\n"
	"  - allow: [read, write, create, rename, delete, link]\n" /* 6 */
	"    path: /data/**\n"
	"  - deny: [write]\n" /* 8 */
	"    path: /data/ro/**\n"
	"    errno: EROFS\n"
	"  - allow: [read]\n" /* 11 */
	"    path: /data/audited\n"
	"    audit: true\n"
	"  - deny: ['*']\n" /* 14 */
	"    path: /etc/shadow\n"
	"  - allow: [append]\n" /* 16 */
	"    path: '/log/*.log'\n"
	"exec:\n"
	"  - allow: ['/bin/*', '/opt/{a,b}/run']\n" /* 19 */
	"  - deny: /bin/su\n" /* 20 */
	"capability:\n"
	"  - allow: [chown, net_admin]\n" /* 22 */
	"  - deny: net_admin\n" /* 23 */
	"    errno: EACCES\n"
	"  - allow: kill\n" /* 25 */
	"    audit: true\n",
	[P_AUDIT] =
	"policy: audited\n"
	"mode: audit\n"
	"defaults: {file: deny, capability: deny}\n"
	"file:\n"
	"  - deny: [read]\n" /* 5 */
	"    path: /secret\n",
	[P_OPEN] =
	"policy: open\n"
	"file:\n"
	"  - deny: [write, delete]\n" /* 3 */
	"    path: /etc/**\n"
	"exec:\n"
	"  - deny: /tmp/**\n" /* 6 */
	"    errno: ENOENT\n"
	"capability:\n"
	"  - deny: sys_admin\n", /* 9 */
	[P_MOUNTS] =
	"policy: mounts\n"
	"mount:\n"
	"  - allow: mount\n" /* 3 */
	"    type: [tmpfs, proc]\n"
	"    target: [/tmp/**, /mnt]\n"
	"    flags: {require: [nosuid], forbid: [ro]}\n"
	"  - deny: mount\n" /* 7 */
	"    target: /tmp/no/**\n"
	"    errno: EBUSY\n"
	"  - allow: [umount, bind]\n" /* 10 */
	"    target: /tmp/**\n"
	"    audit: true\n"
	"  - allow: remount\n", /* 13 */
	[P_MOUNT_OPEN] =
	"policy: mount-open\n"
	"defaults: {mount: allow}\n"
	"mount:\n"
	"  - deny: umount\n" /* 4 */
	"    target: /proc/**\n",
	[P_MOUNT_SOURCE] =
	"policy: mount-source\n"
	"mount:\n"
	"  - {allow: [mount, bind, attach], source: /srv/**, target: /mnt/**}\n" /* 3 */
	"  - {deny: [attach, bind], source: /srv/no/**, errno: EBUSY}\n", /* 4 */
	[P_OVERRIDE] =
	"policy: override\n"
	"override:\n"
	"  - {on: mount, type: tmpfs, target: /a/**, do: perform}\n"
	"  - {on: mount, type: tmpfs, target: /a/b, do: fake, by: {uid: any, userns: [container, nested]}}\n"
	"  - {on: mount, bind: /srv/x, target: /b, do: perform, cause: any, flags: {forbid: [rec]}}\n"
	"  - {on: mount, type: [proc, tmpfs], do: deny, errno: EBUSY, by: {uid: 1000}, flags: {require: [ro]}}\n",
	[P_SWITCH] =
	"policy: switch\n"
	"unsafe: [modules]\n"
	"memory: {write_exec: deny, anonymous_exec: allow, errno: EPERM}\n" /* 3 */
	"namespace:\n"
	"  - allow: [net]\n" /* 5 */
	"    audit: true\n"
	"  - deny: [user]\n" /* 7 */
	"    errno: EACCES\n"
	"kernel:\n"
	"  - allow: [io_uring, modules]\n" /* 10 */
	"device:\n"
	"  - allow: [open]\n" /* 12 */
	"    node: ['c 1:*', 'b 7:0']\n"
	"  - deny: [open, mknod]\n" /* 14 */
	"    node: ['c 1:9']\n"
	"    errno: EACCES\n"
	"  - allow: [mknod]\n" /* 17 */
	"    node: ['c 10:229']\n"
	"    audit: true\n",
	[P_SWITCH_AUDIT] =
	"policy: switch-audit\n"
	"mode: audit\n"
	"defaults: {memory: deny, device: deny}\n",
	[P_EMPTY] = "policy: empty\n",
	[P_NET] =
	"policy: net\n"
	"network:\n"
	"  - deny: connect\n" /* 3 */
	"    to: [10.0.0.0/9, '192.0.2.1:53', 'fc00::/7', '0.0.0.0/0:25']\n"
	"  - deny: [bind, listen]\n" /* 5 */
	"    to: '10.9.9.9:80'\n"
	"    errno: EADDRINUSE\n"
	"  - deny: '*'\n" /* 8 */
	"    family: netlink\n"
	"  - allow: connect\n" /* 10 */
	"    protocol: tcp\n"
	"    port: 443\n"
	"    audit: true\n"
	"  - deny: send\n" /* 14 */
	"    protocol: [raw, icmp]\n"
	"  - allow: [connect]\n" /* 16 */
	"    unix: [/run/db/**, '@db-*']\n"
	"  - deny: [connect, send]\n" /* 18 */
	"    unix: /run/db/admin\n",
	[P_NET_SHUT] =
	"policy: shut\n"
	"defaults: {network: deny}\n"
	"network:\n"
	"  - allow: connect\n" /* 4 */
	"    to: ['10.1.2.3/32:5432', '[2001:db8::/33]:1-1024']\n"
	"    protocol: tcp\n"
	"  - allow: [connect, send]\n" /* 7 */
	"    unix: '@name'\n",
	[P_NET_AUDIT] =
	"policy: watched\n"
	"mode: audit\n"
	"network:\n"
	"  - deny: connect\n" /* 4 */
	"    unix: /x\n",
	[P_BORDER] =
	"policy: border\n"
	"ipc:\n"
	"  - {deny: [unix], peer: host, errno: EBUSY}\n" /* 3 */
	"  - {allow: [unix], peer: \"container:db\"}\n" /* 4 */
	"network:\n"
	"  - {allow: [connect], unix: /run/open}\n" /* 6 */
	"  - {deny: [connect], unix: /run/shut}\n", /* 7 */
	[P_UNSAFE] =
	"policy: unsafe\n"
	"unsafe: [memory_devices, kernel_files]\n"
	"device: [{allow: [open], node: 'c 1:1'}]\n" /* 3 */
	"network: [{allow: [connect], unix: /run/open}]\n", /* 4 */
	[P_PROFILE] =
	"policy: profile\n"
	"defaults: {file: deny, exec: deny, capability: deny}\n"
	"file:\n"
	"  - allow: [read]\n" /* 4 */
	"    path: [/etc/**, /var/**]\n"
	"  - deny: [read]\n" /* 6 */
	"    path: /etc/shadow\n"
	"exec:\n"
	"  - allow: /bin/a\n" /* 9 */
	"    profile: a\n"
	"  - allow: '/bin/*'\n" /* 11 */
	"capability:\n"
	"  - allow: [chown, kill]\n" /* 13 */
	"mount:\n"
	"  - allow: umount\n" /* 15 */
	"    target: /mnt/**\n"
	"memory: {write_exec: deny}\n" /* 17 */
	"override:\n"
	"  - {on: mount, type: tmpfs, do: perform}\n" /* 19 */
	"  - {on: mount, type: tmpfs, do: fake, by: {profile: a}}\n"
	"  - {on: mount, type: tmpfs, do: fake, by: {profile: any}}\n"
	"profiles:\n"
	"  a:\n"
	"    defaults: {capability: deny, namespace: deny}\n"
	"    file:\n"
	"      - allow: [read]\n" /* 26 */
	"        path: [/etc/**, /srv/**]\n"
	"    exec:\n"
	"      - allow: /bin/b\n" /* 29 */
	"        profile: b\n"
	"    mount:\n"
	"      - deny: umount\n" /* 32 */
	"  b:\n"
	"    exec: []\n",
};

struct decide_case {
	int policy;
	enum probe_kind kind;
	const char *path, *second, *type;
	__u32 access, flags, magic, euid, userns, cause, unnamed;
	__u32 profile; /* number of the task's */
	/* what must come out */
	__u32 action, err, why, line; /* line of the rule, 0: none */
	__u32 refused;
	__u32 report;
	__u32 leads_to; /* profile of a transition */
	__u64 set;
};

#define R WARDER_ACC_READ
#define W WARDER_ACC_WRITE
#define FILE_ALLOW(p, path_, access_, line_)                                               \
	{.policy = p, .path = path_, .access = access_, .why = WARDER_WHY_RULE, .line = line_}
#define FILE_DEFAULT_ALLOW(p, path_, access_) {.policy = p, .path = path_, .access = access_}
#define FILE_DENY(p, path_, access_, refused_, err_, line_)                                \
	{.policy = p, .path = path_, .access = access_, .action = WARDER_DENY,             \
	 .err = err_, .why = (line_) ? WARDER_WHY_RULE : WARDER_WHY_DEFAULT, .line = line_,\
	 .refused = refused_, .report = 1}
#define CAP(p, cap_, action_, err_, why_, line_, report_)                                  \
	{.policy = p, .kind = PROBE_CAPABILITY, .access = cap_, .action = action_,         \
	 .err = err_, .why = why_, .line = line_, .report = report_}
#define MNT(p, op_, type_, path_, flags_, action_, err_, line_, report_)                   \
	{.policy = p, .kind = PROBE_MOUNT, .access = op_, .type = type_, .path = path_,    \
	 .flags = flags_, .action = action_, .err = err_, .line = line_,                   \
	 .why = (line_) ? WARDER_WHY_RULE : WARDER_WHY_DEFAULT,                            \
	 .refused = (action_) ? (op_) : 0, .report = report_}
#define SRC(op_, source_, path_, action_, err_, line_)                                     \
	{.policy = P_MOUNT_SOURCE, .kind = PROBE_MOUNT, .access = op_, .path = path_,      \
	 .second = source_, .action = action_, .err = err_, .line = line_,                 \
	 .why = (line_) ? WARDER_WHY_RULE : WARDER_WHY_DEFAULT,                            \
	 .refused = (action_) ? (op_) : 0, .report = (action_) != WARDER_ALLOW}
#define BASE(magic_, path_, access_, refused_)                                             \
	{.policy = P_EMPTY, .kind = PROBE_BASELINE, .magic = magic_, .path = path_,        \
	 .access = access_, .set = refused_}
#define DEV(type_, major_, minor_, refused_)                                               \
	{.policy = P_EMPTY, .kind = PROBE_DEVICE, .access = type_, .magic = major_,        \
	 .flags = minor_, .set = refused_}
#define OVR(op_, type_, flags_, euid_, userns_, cause_, set_)                              \
	{.policy = P_OVERRIDE, .kind = PROBE_OVERRIDE, .access = op_, .type = type_,       \
	 .flags = flags_, .euid = euid_, .userns = userns_, .cause = cause_, .set = set_}
#define TGT(path_, set_)                                                                   \
	{.policy = P_OVERRIDE, .kind = PROBE_TARGET, .path = path_, .set = set_}

#define SWITCH(p, which_, bit_, action_, err_, why_, line_, report_)                        \
	{.policy = p, .kind = PROBE_SWITCH, .magic = which_, .access = bit_,               \
	 .action = action_, .err = err_, .why = why_, .line = line_, .report = report_}
#define NODE(p, op_, type_, major_, minor_, made_, action_, err_, line_, report_)           \
	{.policy = p, .kind = PROBE_NODE, .access = op_, .cause = type_, .magic = major_,  \
	 .flags = minor_, .userns = made_, .action = action_, .err = err_, .line = line_,  \
	 .why = (line_) ? WARDER_WHY_RULE : WARDER_WHY_DEFAULT, .report = report_}

#define NET(p, op_, fam_, proto_, addr_, port_, action_, err_, line_, report_)              \
	{.policy = p, .kind = PROBE_NETWORK, .access = WARDER_NET_##op_,                   \
	 .magic = WARDER_FAM_##fam_, .cause = proto_, .path = addr_, .flags = port_,       \
	 .action = action_, .err = err_, .line = line_,                                    \
	 .why = (line_) ? WARDER_WHY_RULE : WARDER_WHY_DEFAULT,                            \
	 .refused = (action_) ? WARDER_NET_##op_ : 0, .report = report_}
#define NET_IS(p, op_, fam_, proto_, addr_, port_, line_)                                  \
	NET(p, op_, fam_, proto_, addr_, port_, WARDER_ALLOW, 0, line_, 0)
#define NET_NO(p, op_, fam_, proto_, addr_, port_, err_, line_)                            \
	NET(p, op_, fam_, proto_, addr_, port_, WARDER_DENY, err_, line_, 1)
#define UNX(p, op_, start_, path_, action_, err_, line_, named_)                           \
	{.policy = p, .kind = PROBE_UNIX, .access = WARDER_NET_##op_,                      \
	 .flags = WARDER_START_##start_, .path = path_, .action = action_, .err = err_,    \
	 .line = line_, .why = (line_) ? WARDER_WHY_RULE : WARDER_WHY_DEFAULT,             \
	 .refused = (action_) ? WARDER_NET_##op_ : 0, .report = (action_) != 0,            \
	 .set = named_}

/* Baseline of nodes and files of the kernel, under a policy; sockets by who made them. */
#define NODE_BASE(p, op_, type_, major_, minor_, made_)                                     \
	{.policy = p, .kind = PROBE_NODE, .access = op_, .cause = type_, .magic = major_,  \
	 .flags = minor_, .userns = made_, .action = WARDER_DENY, .err = EPERM,            \
	 .why = WARDER_WHY_BASELINE, .report = 1}
#define KFILE(p, magic_, path_, access_, refused_)                                          \
	{.policy = p, .kind = PROBE_KERNEL_FILE, .magic = magic_, .path = path_,           \
	 .access = access_, .set = refused_}
#define UPEER(p, op_, start_, path_, relation_, action_, err_, why_, line_, refused_)       \
	{.policy = p, .kind = PROBE_UNIX_PEER, .access = WARDER_NET_##op_,                 \
	 .flags = WARDER_START_##start_, .path = path_, .cause = WARDER_RELATION_##relation_, \
	 .action = action_, .err = err_, .why = WARDER_WHY_##why_, .line = line_,          \
	 .refused = refused_, .report = (action_) != WARDER_ALLOW}
#define UPEER_BASE(p, op_, start_, path_)                                                   \
	UPEER(p, op_, start_, path_, HOST, WARDER_DENY, EPERM, BASELINE, 0, 0)

#define TCP_ WARDER_PROTO_TCP
#define UDP_ WARDER_PROTO_UDP
#define OWN WARDER_BY_USERNS_CONTAINER
#define NESTED WARDER_BY_USERNS_NESTED
#define BYCAP WARDER_CAUSE_CAPABILITY
#define BYLSM WARDER_CAUSE_LSM

static const struct decide_case decide_cases[] = {
	/* file: allow, default, deny, the errno of each */
	FILE_ALLOW(P_STRICT, "/etc/passwd", R, 4),
	FILE_ALLOW(P_STRICT, "/etc/a/b/c/d", R, 4),
	FILE_DENY(P_STRICT, "/etc", R, R, EACCES, 0),
	FILE_DENY(P_STRICT, "/etcetera/x", R, R, EACCES, 0),
	FILE_DENY(P_STRICT, "/etc/passwd", W, W, EACCES, 0),
	FILE_DENY(P_STRICT, "/etc/passwd", R | W, W, EACCES, 0),
	FILE_DENY(P_STRICT, "/etc/shadow", R, R, EACCES, 14),
	FILE_DENY(P_STRICT, "/etc/shadow", R | W, R | W, EACCES, 14),
	FILE_ALLOW(P_STRICT, "/etc/shadow-", R, 4),
	FILE_ALLOW(P_STRICT, "/data/x", R | W, 6),
	FILE_ALLOW(P_STRICT, "/data/x", WARDER_ACC_APPEND, 6),
	FILE_ALLOW(P_STRICT, "/data/x", WARDER_ACC_TRUNCATE, 6),
	FILE_DENY(P_STRICT, "/data/x", WARDER_ACC_CHMOD, WARDER_ACC_CHMOD, EACCES, 0),
	FILE_DENY(P_STRICT, "/data/ro/x", W, W, EROFS, 8),
	FILE_DENY(P_STRICT, "/data/ro/x", WARDER_ACC_APPEND, WARDER_ACC_APPEND, EROFS, 8),
	FILE_DENY(P_STRICT, "/data/ro/x", WARDER_ACC_TRUNCATE | R, WARDER_ACC_TRUNCATE, EROFS, 8),
	FILE_ALLOW(P_STRICT, "/data/ro/x", R, 6),
	FILE_ALLOW(P_STRICT, "/data/ro", W, 6),
	{.policy = P_STRICT, .path = "/data/audited", .access = R, .why = WARDER_WHY_RULE,
	 .line = 11, .report = 1},
	FILE_ALLOW(P_STRICT, "/data/audited", W, 6),
	FILE_ALLOW(P_STRICT, "/log/a.log", WARDER_ACC_APPEND, 16),
	FILE_DENY(P_STRICT, "/log/a.log", W, W, EACCES, 0),
	FILE_DENY(P_STRICT, "/log/a/b.log", WARDER_ACC_APPEND, WARDER_ACC_APPEND, EACCES, 0),
	FILE_DENY(P_STRICT, "/log/a.logx", WARDER_ACC_APPEND, WARDER_ACC_APPEND, EACCES, 0),
	FILE_ALLOW(P_STRICT, "/log/.log", WARDER_ACC_APPEND, 16),
	/* one character, whatever its bytes */
	FILE_ALLOW(P_STRICT, "/srv/a", R, 4),
	FILE_ALLOW(P_STRICT, "/srv/\xc3\xa9", R, 4),
	FILE_ALLOW(P_STRICT, "/srv/\xf0\x9f\x98\x80", R, 4),
	FILE_DENY(P_STRICT, "/srv/ab", R, R, EACCES, 0),
	FILE_DENY(P_STRICT, "/srv/", R, R, EACCES, 0),
	FILE_DENY(P_STRICT, "/srv/\xc3", R, R, EACCES, 0),
	FILE_ALLOW(P_STRICT, "/uni/\xc3\xb6x", R, 4),
	FILE_DENY(P_STRICT, "/uni/ax", R, R, EACCES, 0),
	FILE_ALLOW(P_STRICT, "/quote/*", R, 4),
	FILE_DENY(P_STRICT, "/quote/x", R, R, EACCES, 0),
	/* names that no rule speaks of */
	FILE_DENY(P_STRICT, "", R, R, EACCES, 0),
	FILE_DENY(P_STRICT, "/", R, R, EACCES, 0),
	FILE_DENY(P_STRICT, "etc/passwd", R, R, EACCES, 0),
	/* exec, and what it brings along */
	FILE_ALLOW(P_STRICT, "/bin/sh", WARDER_ACC_EXEC, 19),
	FILE_ALLOW(P_STRICT, "/bin/sh", WARDER_ACC_MAP_EXEC, 19),
	FILE_ALLOW(P_STRICT, "/opt/b/run", WARDER_ACC_EXEC, 19),
	FILE_DENY(P_STRICT, "/opt/c/run", WARDER_ACC_EXEC, WARDER_ACC_EXEC, EACCES, 0),
	FILE_DENY(P_STRICT, "/bin/su", WARDER_ACC_EXEC, WARDER_ACC_EXEC, EACCES, 20),
	FILE_DENY(P_STRICT, "/bin/su", WARDER_ACC_MAP_EXEC, WARDER_ACC_MAP_EXEC, EACCES, 20),
	FILE_DENY(P_STRICT, "/bin/sub/x", WARDER_ACC_EXEC, WARDER_ACC_EXEC, EACCES, 0),
	FILE_DENY(P_STRICT, "/etc/passwd", WARDER_ACC_EXEC, WARDER_ACC_EXEC, EACCES, 0),
	/* no name */
	{.policy = P_STRICT, .kind = PROBE_UNREACHABLE, .access = R, .action = WARDER_DENY,
	 .err = EACCES, .why = WARDER_WHY_UNREACHABLE, .refused = R, .report = 1},
	{.policy = P_AUDIT, .kind = PROBE_UNREACHABLE, .access = R, .action = WARDER_AUDIT,
	 .err = EACCES, .why = WARDER_WHY_UNREACHABLE, .refused = R, .report = 1},
	{.policy = P_OPEN, .kind = PROBE_UNREACHABLE, .access = W, .action = WARDER_DENY,
	 .err = EACCES, .why = WARDER_WHY_UNREACHABLE, .refused = W, .report = 1},
	{.policy = P_EMPTY, .kind = PROBE_UNREACHABLE, .access = W},
	/* an allowing default */
	FILE_DEFAULT_ALLOW(P_OPEN, "/etc/passwd", R),
	FILE_DENY(P_OPEN, "/etc/passwd", W, W, EACCES, 3),
	FILE_DENY(P_OPEN, "/etc/passwd", R | WARDER_ACC_DELETE, WARDER_ACC_DELETE, EACCES, 3),
	FILE_DEFAULT_ALLOW(P_OPEN, "/usr/bin/x", WARDER_ACC_EXEC),
	FILE_DEFAULT_ALLOW(P_OPEN, "/usr/bin/x", WARDER_ACC_MAP_EXEC),
	FILE_DEFAULT_ALLOW(P_AUDIT, "/usr/bin/x", WARDER_ACC_EXEC | WARDER_ACC_MAP_EXEC),
	FILE_DENY(P_OPEN, "/tmp/x", WARDER_ACC_EXEC, WARDER_ACC_EXEC, ENOENT, 6),
	FILE_DENY(P_OPEN, "/tmp/x", WARDER_ACC_MAP_EXEC, WARDER_ACC_MAP_EXEC, ENOENT, 6),
	FILE_DEFAULT_ALLOW(P_EMPTY, "/tmp/x", R | W | WARDER_ACC_EXEC),
	/* audit mode refuses nothing and says so, implicit refusals included */
	{.policy = P_AUDIT, .path = "/secret", .access = R, .action = WARDER_AUDIT, .err = EACCES,
	 .why = WARDER_WHY_RULE, .line = 5, .refused = R, .report = 1},
	{.policy = P_AUDIT, .path = "/other", .access = W, .action = WARDER_AUDIT, .err = EACCES,
	 .why = WARDER_WHY_DEFAULT, .refused = W, .report = 1},
	CAP(P_AUDIT, 21, WARDER_AUDIT, EPERM, WARDER_WHY_DEFAULT, 0, 1),
	/* capabilities */
	CAP(P_STRICT, 0, WARDER_ALLOW, 0, WARDER_WHY_RULE, 22, 0),
	CAP(P_STRICT, 12, WARDER_DENY, EACCES, WARDER_WHY_RULE, 23, 1),
	CAP(P_STRICT, 5, WARDER_ALLOW, 0, WARDER_WHY_RULE, 25, 1),
	CAP(P_STRICT, 21, WARDER_DENY, EPERM, WARDER_WHY_DEFAULT, 0, 1),
	CAP(P_OPEN, 21, WARDER_DENY, EPERM, WARDER_WHY_RULE, 9, 1),
	CAP(P_OPEN, 12, WARDER_ALLOW, 0, WARDER_WHY_DEFAULT, 0, 0),
	CAP(P_OPEN, 40, WARDER_ALLOW, 0, WARDER_WHY_DEFAULT, 0, 0),
	/* mounts */
	MNT(P_MOUNTS, WARDER_MNT_NEW, "tmpfs", "/tmp/a", MS_NOSUID, WARDER_ALLOW, 0, 3, 0),
	MNT(P_MOUNTS, WARDER_MNT_NEW, "proc", "/mnt", MS_NOSUID | MS_NODEV, WARDER_ALLOW, 0, 3, 0),
	MNT(P_MOUNTS, WARDER_MNT_NEW, "tmpfs", "/tmp/a", 0, WARDER_DENY, EPERM, 0, 1),
	MNT(P_MOUNTS, WARDER_MNT_NEW, "tmpfs", "/tmp/a", MS_NOSUID | MS_RDONLY, WARDER_DENY, EPERM,
	    0, 1),
	MNT(P_MOUNTS, WARDER_MNT_NEW, "tmpfsx", "/tmp/a", MS_NOSUID, WARDER_DENY, EPERM, 0, 1),
	MNT(P_MOUNTS, WARDER_MNT_NEW, "ext4", "/tmp/a", MS_NOSUID, WARDER_DENY, EPERM, 0, 1),
	MNT(P_MOUNTS, WARDER_MNT_NEW, "tmpfs", "/tmp", MS_NOSUID, WARDER_DENY, EPERM, 0, 1),
	MNT(P_MOUNTS, WARDER_MNT_NEW, "tmpfs", "/tmp/no/x", MS_NOSUID, WARDER_DENY, EBUSY, 7, 1),
	MNT(P_MOUNTS, WARDER_MNT_ATTACH, "tmpfs", "/tmp/a", MS_NOSUID, WARDER_DENY, EPERM, 0, 1),
	MNT(P_MOUNTS, WARDER_MNT_UMOUNT, NULL, "/tmp/a", 0, WARDER_ALLOW, 0, 10, 1),
	MNT(P_MOUNTS, WARDER_MNT_BIND, NULL, "/etc", 0, WARDER_DENY, EPERM, 0, 1),
	MNT(P_MOUNTS, WARDER_MNT_REMOUNT, NULL, "/anything", MS_RDONLY, WARDER_ALLOW, 0, 13, 0),
	MNT(P_MOUNTS, WARDER_MNT_PIVOT, NULL, "/tmp/a", 0, WARDER_DENY, EPERM, 0, 1),
	MNT(P_MOUNT_OPEN, WARDER_MNT_UMOUNT, NULL, "/proc/kcore", 0, WARDER_DENY, EPERM, 4, 1),
	MNT(P_MOUNT_OPEN, WARDER_MNT_UMOUNT, NULL, "/tmp", 0, WARDER_ALLOW, 0, 0, 0),
	MNT(P_EMPTY, WARDER_MNT_NEW, "tmpfs", "/tmp", 0, WARDER_DENY, EPERM, 0, 1),
	/* a target without a name: refused by what could speak of it, allowed by nothing */
	{.policy = P_MOUNT_OPEN, .kind = PROBE_MOUNT, .access = WARDER_MNT_UMOUNT, .unnamed = 1,
	 .action = WARDER_DENY, .err = EPERM, .why = WARDER_WHY_RULE, .line = 4,
	 .refused = WARDER_MNT_UMOUNT, .report = 1},
	{.policy = P_MOUNTS, .kind = PROBE_MOUNT, .access = WARDER_MNT_UMOUNT, .unnamed = 1,
	 .action = WARDER_DENY, .err = EPERM, .why = WARDER_WHY_DEFAULT,
	 .refused = WARDER_MNT_UMOUNT, .report = 1},
	/* a source: known of new mounts and of what is attached, of a bind it is not; the same then */
	SRC(WARDER_MNT_NEW, "/srv/a", "/mnt/a", WARDER_ALLOW, 0, 3),
	SRC(WARDER_MNT_NEW, "/etc/a", "/mnt/a", WARDER_DENY, EPERM, 0),
	SRC(WARDER_MNT_NEW, "/srv/a", "/tmp/a", WARDER_DENY, EPERM, 0),
	SRC(WARDER_MNT_NEW, NULL, "/mnt/a", WARDER_DENY, EPERM, 0),
	SRC(WARDER_MNT_ATTACH, "/srv/a", "/mnt/a", WARDER_ALLOW, 0, 3),
	SRC(WARDER_MNT_ATTACH, "/srv/no/a", "/mnt/a", WARDER_DENY, EBUSY, 4),
	SRC(WARDER_MNT_ATTACH, NULL, "/mnt/a", WARDER_DENY, EBUSY, 4),
	SRC(WARDER_MNT_BIND, NULL, "/mnt/a", WARDER_DENY, EBUSY, 4),
	/* overrides: entries are a tmpfs, a fake, a bind, proc and tmpfs of the last rule */
	OVR(WARDER_MNT_NEW, "tmpfs", 0, 0, OWN, BYCAP, 0x3),
	OVR(WARDER_MNT_NEW, "tmpfs", 0, 7, OWN, BYCAP, 0x2),
	OVR(WARDER_MNT_NEW, "tmpfs", 0, 0, NESTED, BYCAP, 0x2),
	OVR(WARDER_MNT_NEW, "tmpfs", 0, 0, OWN, BYLSM, 0x0),
	OVR(WARDER_MNT_NEW, "tmpfs", MS_RDONLY, 1000, OWN, BYCAP, 0x12),
	OVR(WARDER_MNT_NEW, "proc", MS_RDONLY, 1000, OWN, BYCAP, 0x8),
	OVR(WARDER_MNT_NEW, "proc", 0, 1000, OWN, BYCAP, 0x0),
	OVR(WARDER_MNT_BIND, NULL, 0, 0, OWN, BYLSM, 0x4),
	OVR(WARDER_MNT_BIND, NULL, MS_REC, 0, OWN, BYLSM, 0x0),
	OVR(WARDER_MNT_UMOUNT, NULL, 0, 0, OWN, BYCAP, 0x0),
	TGT("/a/b", 0x3),
	TGT("/a/c", 0x1),
	TGT("/a", 0x0),
	TGT("/b", 0x4),
	/* rename and link carry an explicit deny along */
	{.policy = P_STRICT, .kind = PROBE_MOVE, .path = "/data/x", .second = "/data/y"},
	{.policy = P_STRICT, .kind = PROBE_MOVE, .path = "/data/ro/x", .second = "/data/y",
	 .action = WARDER_DENY, .err = EROFS, .why = WARDER_WHY_RULE, .line = 8, .report = 1,
	 .refused = W | WARDER_ACC_APPEND | WARDER_ACC_TRUNCATE},
	{.policy = P_STRICT, .kind = PROBE_MOVE, .path = "/data/x", .second = "/data/ro/y",
	 .action = WARDER_DENY, .err = EROFS, .why = WARDER_WHY_RULE, .line = 8, .report = 1,
	 .refused = W},
	{.policy = P_STRICT, .kind = PROBE_MOVE, .path = "/data/d", .second = "/data/e",
	 .flags = WARDER_MOVE_FOLDER},
	{.policy = P_STRICT, .kind = PROBE_MOVE, .path = "/data/ro", .second = "/data/e",
	 .flags = WARDER_MOVE_FOLDER, .action = WARDER_DENY, .err = EXDEV, .report = 1,
	 .refused = WARDER_ACC_RENAME},
	/* network: prefixes to the bit, both ends */
	NET_NO(P_NET, CONNECT, INET, UDP_, "10.0.0.0", 9, EACCES, 3),
	NET_NO(P_NET, CONNECT, INET, UDP_, "10.127.255.255", 9, EACCES, 3),
	NET_IS(P_NET, CONNECT, INET, UDP_, "10.128.0.0", 9, 0),
	NET_IS(P_NET, CONNECT, INET, UDP_, "9.255.255.255", 9, 0),
	NET_NO(P_NET, CONNECT, INET6, UDP_, "fc00::", 9, EACCES, 3),
	NET_NO(P_NET, CONNECT, INET6, UDP_, "fdff::1", 9, EACCES, 3),
	NET_IS(P_NET, CONNECT, INET6, UDP_, "fbff::1", 9, 0),
	NET_IS(P_NET, CONNECT, INET6, UDP_, "::10.0.0.1", 9, 0),
	/* an address and a port; any IPv4 address is none of IPv6 */
	NET_NO(P_NET, CONNECT, INET, UDP_, "192.0.2.1", 53, EACCES, 3),
	NET_IS(P_NET, CONNECT, INET, UDP_, "192.0.2.0", 53, 0),
	NET_IS(P_NET, CONNECT, INET, UDP_, "192.0.2.1", 54, 0),
	NET_NO(P_NET, CONNECT, INET, TCP_, "8.8.8.8", 25, EACCES, 3),
	NET_IS(P_NET, CONNECT, INET6, TCP_, "2001:db8::1", 25, 0),
	NET_IS(P_NET, SEND, INET, UDP_, "10.0.0.0", 9, 0),
	/* deny before allow, and an allow that reports */
	NET_NO(P_NET, CONNECT, INET, TCP_, "10.0.0.1", 443, EACCES, 3),
	NET(P_NET, CONNECT, INET, TCP_, "8.8.8.8", 443, WARDER_ALLOW, 0, 10, 1),
	NET_IS(P_NET, CONNECT, INET, UDP_, "8.8.8.8", 443, 0),
	/* a wildcard holds the address */
	NET_NO(P_NET, BIND, INET, TCP_, "10.9.9.9", 80, EADDRINUSE, 5),
	NET_NO(P_NET, LISTEN, INET, TCP_, "0.0.0.0", 80, EADDRINUSE, 5),
	NET_IS(P_NET, BIND, INET, TCP_, "0.0.0.0", 81, 0),
	NET_IS(P_NET, BIND, INET, TCP_, "10.9.9.8", 80, 0),
	NET_IS(P_NET, ACCEPT, INET, TCP_, "0.0.0.0", 80, 0),
	/* families and protocols as a whole; a deny of some address keeps nobody from a socket */
	NET_NO(P_NET, CREATE, NETLINK, 0, NULL, 0, EACCES, 8),
	NET_NO(P_NET, SEND, NETLINK, 0, NULL, 0, EACCES, 8),
	NET(P_NET, CREATE, INET, TCP_, NULL, 0, WARDER_ALLOW, 0, 10, 1),
	NET_IS(P_NET, CREATE, INET, UDP_, NULL, 0, 0),
	NET_NO(P_NET, CREATE, PACKET, 0, NULL, 0, EPERM, 0),
	NET_NO(P_NET, CREATE, VSOCK, 0, NULL, 0, EPERM, 0),
	NET_NO(P_NET, CREATE, OTHER, 0, NULL, 0, EPERM, 0),
	NET_NO(P_NET, SEND, INET, WARDER_PROTO_RAW, "8.8.8.8", 0, EACCES, 14),
	NET_NO(P_NET, SEND, INET6, WARDER_PROTO_ICMP, "::1", 0, EACCES, 14),
	NET_IS(P_EMPTY, CREATE, NETLINK, 0, NULL, 0, 0),
	NET_NO(P_EMPTY, CREATE, PACKET, 0, NULL, 0, EPERM, 0),
	/* shut by default */
	NET_IS(P_NET_SHUT, CONNECT, INET, TCP_, "10.1.2.3", 5432, 4),
	NET_NO(P_NET_SHUT, CONNECT, INET, TCP_, "10.1.2.2", 5432, EACCES, 0),
	NET_NO(P_NET_SHUT, CONNECT, INET, TCP_, "10.1.2.3", 5433, EACCES, 0),
	NET_NO(P_NET_SHUT, CONNECT, INET, UDP_, "10.1.2.3", 5432, EACCES, 0),
	NET_NO(P_NET_SHUT, BIND, INET, TCP_, "10.1.2.3", 5432, EACCES, 0),
	NET_IS(P_NET_SHUT, CONNECT, INET6, TCP_, "2001:db8:7fff::1", 1024, 4),
	NET_NO(P_NET_SHUT, CONNECT, INET6, TCP_, "2001:db8:8000::1", 1024, EACCES, 0),
	NET_NO(P_NET_SHUT, CONNECT, INET6, TCP_, "2001:db8::1", 1025, EACCES, 0),
	NET_NO(P_NET_SHUT, CONNECT, INET6, TCP_, "2001:db8::1", 0, EACCES, 0),
	NET_IS(P_NET_SHUT, CREATE, INET6, TCP_, NULL, 0, 4),
	NET_NO(P_NET_SHUT, CREATE, INET, UDP_, NULL, 0, EACCES, 0),
	NET_IS(P_NET_SHUT, CREATE, UNIX, 0, NULL, 0, 7),
	NET_NO(P_NET_SHUT, CREATE, NETLINK, 0, NULL, 0, EACCES, 0),
	/* unix paths and names: who is named is open, whose family is allowed is not named */
	UNX(P_NET, CONNECT, UNIX, "/run/db/s", WARDER_ALLOW, 0, 16, 1),
	UNX(P_NET, SEND, UNIX, "/run/db/s", WARDER_ALLOW, 0, 0, 0),
	UNX(P_NET, CONNECT, UNIX, "/run/db", WARDER_ALLOW, 0, 0, 0),
	UNX(P_NET, CONNECT, UNIX, "/run/db/admin", WARDER_DENY, EACCES, 18, 0),
	UNX(P_NET, SEND, UNIX, "/run/db/admin", WARDER_DENY, EACCES, 18, 0),
	UNX(P_NET, CONNECT, ABSTRACT, "db-1", WARDER_ALLOW, 0, 16, 1),
	UNX(P_NET, CONNECT, ABSTRACT, "/run/db/s", WARDER_ALLOW, 0, 0, 0),
	UNX(P_NET, CONNECT, UNIX, "db-1", WARDER_ALLOW, 0, 0, 0),
	UNX(P_NET_SHUT, CONNECT, ABSTRACT, "name", WARDER_ALLOW, 0, 7, 1),
	UNX(P_NET_SHUT, CONNECT, ABSTRACT, "names", WARDER_DENY, EACCES, 0, 0),
	UNX(P_NET_SHUT, BIND, ABSTRACT, "name", WARDER_DENY, EACCES, 0, 0),
	UNX(P_NET_SHUT, CONNECT, ABSTRACT, "", WARDER_DENY, EACCES, 0, 0),
	UNX(P_NET_AUDIT, CONNECT, UNIX, "/x", WARDER_AUDIT, EACCES, 4, 0),
	UNX(P_NET_AUDIT, CONNECT, UNIX, "/y", WARDER_ALLOW, 0, 0, 0),
	/* baseline: proc */
	BASE(WARDER_MAGIC_PROC, "/sys/kernel/core_pattern", W, 1),
	BASE(WARDER_MAGIC_PROC, "/sys/kernel/core_pattern", R, 0),
	BASE(WARDER_MAGIC_PROC, "/sys/kernel/modprobe", W, 1),
	BASE(WARDER_MAGIC_PROC, "/sys/kernel/usermodehelper/bset", WARDER_ACC_TRUNCATE, 1),
	BASE(WARDER_MAGIC_PROC, "/sys/kernel/hostname", W, 0),
	BASE(WARDER_MAGIC_PROC, "/sys/kernel/hostnamex", W, 1),
	BASE(WARDER_MAGIC_PROC, "/sys/kernel/hostnam", W, 1),
	BASE(WARDER_MAGIC_PROC, "/sys/kernel/shmmax", W, 0),
	BASE(WARDER_MAGIC_PROC, "/sys/kernel/sem", W, 0),
	BASE(WARDER_MAGIC_PROC, "/sys/net/ipv4/ip_forward", W, 0),
	BASE(WARDER_MAGIC_PROC, "/sys/network", W, 1),
	BASE(WARDER_MAGIC_PROC, "/sys/vm/drop_caches", W, 1),
	BASE(WARDER_MAGIC_PROC, "/sys/vm/overcommit_memory", R, 0),
	BASE(WARDER_MAGIC_PROC, "/sysrq-trigger", W, 1),
	BASE(WARDER_MAGIC_PROC, "/kcore", R, 1),
	BASE(WARDER_MAGIC_PROC, "/kcore2", R, 0),
	BASE(WARDER_MAGIC_PROC, "/1/oom_score_adj", W, 0),
	BASE(WARDER_MAGIC_PROC, "/4711/task/4712/comm", W, 0),
	BASE(WARDER_MAGIC_PROC, "/irq/1/smp_affinity", W, 1),
	BASE(WARDER_MAGIC_PROC, "/pressure/memory", R | W, 0),
	BASE(WARDER_MAGIC_PROC, "/", WARDER_ACC_CHMOD, 1),
	BASE(WARDER_MAGIC_PROC, "", W, 1),
	/* baseline: sysfs and others */
	BASE(WARDER_MAGIC_SYSFS, "/kernel/uevent_helper", W, 1),
	BASE(WARDER_MAGIC_SYSFS, "/kernel/uevent_helper", R, 0),
	BASE(WARDER_MAGIC_SYSFS, "/power/state", W, 1),
	BASE(WARDER_MAGIC_SYSFS, "/powerful", W, 0),
	BASE(WARDER_MAGIC_SYSFS, "/module/kvm/parameters/x", W, 1),
	BASE(WARDER_MAGIC_SYSFS, "/devices/virtual/net/eth0/mtu", W, 0),
	BASE(WARDER_MAGIC_SYSFS, "/devices/virtual/net/eth0/uevent", W, 1),
	BASE(WARDER_MAGIC_SYSFS, "/devices/virtual/net/eth0/xuevent", W, 0),
	BASE(WARDER_MAGIC_CGROUP, "/release_agent", W, 1),
	BASE(WARDER_MAGIC_CGROUP, "/a/release_agent", W, 0),
	BASE(WARDER_MAGIC_CGROUP, "/a/cgroup.procs", W, 0),
	BASE(WARDER_MAGIC_BINFMT, "/register", W, 1),
	BASE(WARDER_MAGIC_BINFMT, "/status", R, 0),
	BASE(WARDER_MAGIC_BPF, "/x", R, 1),
	BASE(WARDER_MAGIC_DEBUGFS, "/x", W, 1),
	BASE(WARDER_MAGIC_TRACEFS, "/trace", R, 0),
	BASE(WARDER_MAGIC_CONFIGFS, "/target", WARDER_ACC_CREATE, 1),
	BASE(0xef53, "/etc/passwd", W, 0),
	/* switches: rules, defaults, what needs `unsafe` */
	SWITCH(P_SWITCH, WARDER_BITS_MEMORY, WARDER_MEM_WRITE_EXEC, WARDER_DENY, EPERM,
	       WARDER_WHY_RULE, 3, 1),
	SWITCH(P_SWITCH, WARDER_BITS_MEMORY, WARDER_MEM_ANONYMOUS_EXEC, WARDER_ALLOW, 0,
	       WARDER_WHY_RULE, 3, 0),
	SWITCH(P_SWITCH, WARDER_BITS_MEMORY, WARDER_MEM_SHM_EXEC, WARDER_ALLOW, 0,
	       WARDER_WHY_DEFAULT, 0, 0),
	SWITCH(P_SWITCH_AUDIT, WARDER_BITS_MEMORY, WARDER_MEM_FILELESS_EXEC, WARDER_AUDIT, EACCES,
	       WARDER_WHY_DEFAULT, 0, 1),
	SWITCH(P_SWITCH, WARDER_BITS_NAMESPACE, WARDER_NS_NET, WARDER_ALLOW, 0, WARDER_WHY_RULE, 5,
	       1),
	SWITCH(P_SWITCH, WARDER_BITS_NAMESPACE, WARDER_NS_USER, WARDER_DENY, EACCES,
	       WARDER_WHY_RULE, 7, 1),
	SWITCH(P_SWITCH, WARDER_BITS_NAMESPACE, WARDER_NS_UTS, WARDER_DENY, EPERM,
	       WARDER_WHY_DEFAULT, 0, 1),
	SWITCH(P_EMPTY, WARDER_BITS_NAMESPACE, WARDER_NS_USER, WARDER_ALLOW, 0, WARDER_WHY_DEFAULT,
	       0, 0),
	SWITCH(P_EMPTY, WARDER_BITS_NAMESPACE, WARDER_NS_MNT, WARDER_DENY, EPERM,
	       WARDER_WHY_DEFAULT, 0, 1),
	SWITCH(P_SWITCH, WARDER_BITS_KERNEL, WARDER_SURFACE_IO_URING, WARDER_ALLOW, 0,
	       WARDER_WHY_RULE, 10, 0),
	SWITCH(P_SWITCH, WARDER_BITS_KERNEL, WARDER_SURFACE_MODULES, WARDER_ALLOW, 0,
	       WARDER_WHY_RULE, 10, 0),
	SWITCH(P_SWITCH, WARDER_BITS_KERNEL, WARDER_SURFACE_BPF, WARDER_DENY, EPERM,
	       WARDER_WHY_BASELINE, 0, 1),
	SWITCH(P_SWITCH_AUDIT, WARDER_BITS_KERNEL, WARDER_SURFACE_KEXEC, WARDER_DENY, EPERM,
	       WARDER_WHY_BASELINE, 0, 1),
	SWITCH(P_SWITCH_AUDIT, WARDER_BITS_KERNEL, WARDER_SURFACE_SWAP, WARDER_AUDIT, EPERM,
	       WARDER_WHY_DEFAULT, 0, 1),
	SWITCH(P_EMPTY, WARDER_BITS_KERNEL, WARDER_SURFACE_PERF, WARDER_DENY, EPERM,
	       WARDER_WHY_DEFAULT, 0, 1),
	/* devices: deny, allow, and the runtime's own */
	NODE(P_EMPTY, WARDER_DEV_OPEN, 0020000, 1, 3, 1, WARDER_ALLOW, 0, 0, 0),
	NODE(P_EMPTY, WARDER_DEV_OPEN, 0020000, 1, 3, 0, WARDER_DENY, EPERM, 0, 1),
	NODE(P_EMPTY, WARDER_DEV_MKNOD, 0020000, 1, 3, 0, WARDER_DENY, EPERM, 0, 1),
	NODE(P_EMPTY, WARDER_DEV_MKNOD, 0020000, 1, 3, 1, WARDER_DENY, EPERM, 0, 1),
	NODE(P_SWITCH, WARDER_DEV_OPEN, 0020000, 1, 3, 0, WARDER_ALLOW, 0, 12, 0),
	NODE(P_SWITCH, WARDER_DEV_OPEN, 0060000, 1, 3, 0, WARDER_DENY, EPERM, 0, 1),
	NODE(P_SWITCH, WARDER_DEV_OPEN, 0060000, 7, 0, 0, WARDER_ALLOW, 0, 12, 0),
	NODE(P_SWITCH, WARDER_DEV_OPEN, 0060000, 7, 1, 0, WARDER_DENY, EPERM, 0, 1),
	NODE(P_SWITCH, WARDER_DEV_OPEN, 0020000, 1, 9, 1, WARDER_DENY, EACCES, 14, 1),
	NODE(P_SWITCH, WARDER_DEV_MKNOD, 0020000, 1, 9, 0, WARDER_DENY, EACCES, 14, 1),
	NODE(P_SWITCH, WARDER_DEV_MKNOD, 0020000, 1, 3, 0, WARDER_DENY, EPERM, 0, 1),
	NODE(P_SWITCH, WARDER_DEV_MKNOD, 0020000, 10, 229, 0, WARDER_ALLOW, 0, 17, 1),
	NODE(P_SWITCH_AUDIT, WARDER_DEV_OPEN, 0020000, 1, 3, 1, WARDER_AUDIT, EPERM, 0, 1),
	/* all of memory and every port: in every mode, whoever made the node, whatever allows it */
	NODE_BASE(P_EMPTY, WARDER_DEV_OPEN, 0020000, 1, 1, 1),
	NODE_BASE(P_EMPTY, WARDER_DEV_OPEN, 0020000, 1, 2, 1),
	NODE_BASE(P_EMPTY, WARDER_DEV_MKNOD, 0020000, 1, 4, 0),
	NODE_BASE(P_SWITCH, WARDER_DEV_OPEN, 0020000, 1, 1, 0),
	NODE_BASE(P_SWITCH_AUDIT, WARDER_DEV_OPEN, 0020000, 202, 3, 1),
	NODE(P_EMPTY, WARDER_DEV_OPEN, 0060000, 1, 1, 1, WARDER_ALLOW, 0, 0, 0),
	NODE(P_UNSAFE, WARDER_DEV_OPEN, 0020000, 1, 1, 0, WARDER_ALLOW, 0, 3, 0),
	NODE(P_UNSAFE, WARDER_DEV_OPEN, 0020000, 1, 4, 0, WARDER_DENY, EPERM, 0, 1),
	/* files of the kernel, and who says `unsafe: [kernel_files]` */
	KFILE(P_EMPTY, WARDER_MAGIC_PROC, "/sysrq-trigger", W, 1),
	KFILE(P_EMPTY, WARDER_MAGIC_PROC, "/sysrq-trigger", R, 0),
	KFILE(P_SWITCH_AUDIT, WARDER_MAGIC_PROC, "/sys/kernel/core_pattern", W, 1),
	KFILE(P_UNSAFE, WARDER_MAGIC_PROC, "/sysrq-trigger", W, 0),
	KFILE(P_EMPTY, WARDER_MAGIC_PROC, "/17/mem", W, 0),
	KFILE(P_EMPTY, 0xef53, "/sysrq-trigger", W, 0),
	/* sockets of the host: what a network rule names, unless an ipc rule refuses */
	UPEER_BASE(P_EMPTY, CONNECT, UNIX, "/run/docker.sock"),
	UPEER_BASE(P_EMPTY, SEND, ABSTRACT, "bus"),
	UPEER_BASE(P_EMPTY, CONNECT, _MAX, NULL),
	UPEER(P_EMPTY, CONNECT, UNIX, "/run/docker.sock", SAME, WARDER_ALLOW, 0, DEFAULT, 0, 0),
	UPEER(P_EMPTY, CONNECT, _MAX, NULL, CONTAINER, WARDER_ALLOW, 0, DEFAULT, 0, 0),
	UPEER(P_EMPTY, CONNECT, UNIX, "/run/x", OTHER, WARDER_DENY, EACCES, BASELINE, 0, 0),
	UPEER(P_NET, CONNECT, UNIX, "/run/db/s", HOST, WARDER_ALLOW, 0, RULE, 16, 0),
	UPEER(P_NET, CONNECT, ABSTRACT, "db-1", HOST, WARDER_ALLOW, 0, RULE, 16, 0),
	UPEER_BASE(P_NET, SEND, UNIX, "/run/db/s"),
	UPEER_BASE(P_NET, CONNECT, UNIX, "/run/db/admin"),
	UPEER(P_NET, CONNECT, UNIX, "/run/db/admin", SAME, WARDER_DENY, EACCES, RULE, 18,
	      WARDER_NET_CONNECT),
	UPEER_BASE(P_NET_AUDIT, CONNECT, UNIX, "/x"),
	UPEER(P_NET_AUDIT, CONNECT, UNIX, "/x", SAME, WARDER_AUDIT, EACCES, RULE, 4,
	      WARDER_NET_CONNECT),
	UPEER_BASE(P_NET_SHUT, CONNECT, UNIX, "/x"),
	UPEER(P_NET_SHUT, CONNECT, UNIX, "/x", SAME, WARDER_DENY, EACCES, DEFAULT, 0,
	      WARDER_NET_CONNECT),
	UPEER(P_UNSAFE, CONNECT, UNIX, "/run/open", HOST, WARDER_ALLOW, 0, RULE, 4, 0),
	UPEER(P_BORDER, CONNECT, UNIX, "/run/open", HOST, WARDER_DENY, EBUSY, RULE, 3, 0),
	UPEER(P_BORDER, CONNECT, UNIX, "/run/shut", SAME, WARDER_DENY, EACCES, RULE, 7,
	      WARDER_NET_CONNECT),
	UPEER(P_BORDER, CONNECT, UNIX, "/run/shut", OTHER, WARDER_DENY, EACCES, RULE, 7,
	      WARDER_NET_CONNECT),
	UPEER(P_BORDER, CONNECT, UNIX, "/run/open", OTHER, WARDER_ALLOW, 0, RULE, 6, 0),
	/* baseline: devices */
	DEV(0020000, 1, 1, 1),
	DEV(0020000, 1, 2, 1),
	DEV(0020000, 1, 3, 0),
	DEV(0020000, 1, 4, 1),
	DEV(0060000, 1, 1, 0),
	DEV(0020000, 202, 3, 1),
	DEV(0020000, 5, 0, 0),
	/* profiles: what they replace, inherit, and what always holds */
	{.policy = P_PROFILE, .path = "/var/x", .access = R, .why = WARDER_WHY_RULE, .line = 4},
	{.policy = P_PROFILE, .profile = 1, .path = "/var/x", .access = R, .action = WARDER_DENY,
	 .err = EACCES, .refused = R, .report = 1},
	{.policy = P_PROFILE, .profile = 1, .path = "/srv/x", .access = R, .why = WARDER_WHY_RULE,
	 .line = 26},
	{.policy = P_PROFILE, .profile = 1, .path = "/etc/shadow", .access = R,
	 .action = WARDER_DENY, .err = EACCES, .why = WARDER_WHY_RULE, .line = 6, .refused = R,
	 .report = 1},
	{.policy = P_PROFILE, .profile = 2, .path = "/var/x", .access = R, .why = WARDER_WHY_RULE,
	 .line = 4},
	{.policy = P_PROFILE, .path = "/srv/x", .access = R, .action = WARDER_DENY, .err = EACCES,
	 .refused = R, .report = 1},
	{.policy = P_PROFILE, .path = "/bin/a", .access = WARDER_ACC_EXEC, .why = WARDER_WHY_RULE,
	 .line = 9, .leads_to = 1},
	{.policy = P_PROFILE, .path = "/bin/b", .access = WARDER_ACC_EXEC, .why = WARDER_WHY_RULE,
	 .line = 11},
	{.policy = P_PROFILE, .path = "/bin/a", .access = WARDER_ACC_MAP_EXEC,
	 .why = WARDER_WHY_RULE, .line = 9},
	{.policy = P_PROFILE, .profile = 1, .path = "/bin/b", .access = WARDER_ACC_EXEC,
	 .why = WARDER_WHY_RULE, .line = 29, .leads_to = 2},
	{.policy = P_PROFILE, .profile = 1, .path = "/bin/a", .access = WARDER_ACC_EXEC,
	 .action = WARDER_DENY, .err = EACCES, .refused = WARDER_ACC_EXEC, .report = 1},
	{.policy = P_PROFILE, .profile = 2, .path = "/bin/a", .access = WARDER_ACC_EXEC,
	 .action = WARDER_DENY, .err = EACCES, .refused = WARDER_ACC_EXEC, .report = 1},
	{.policy = P_PROFILE, .kind = PROBE_CAPABILITY, .access = 0, .why = WARDER_WHY_RULE,
	 .line = 13},
	{.policy = P_PROFILE, .profile = 1, .kind = PROBE_CAPABILITY, .access = 0,
	 .action = WARDER_DENY, .err = EPERM, .report = 1},
	{.policy = P_PROFILE, .profile = 2, .kind = PROBE_CAPABILITY, .access = 5,
	 .why = WARDER_WHY_RULE, .line = 13},
	{.policy = P_PROFILE, .kind = PROBE_MOUNT, .access = WARDER_MNT_UMOUNT, .path = "/mnt/x",
	 .why = WARDER_WHY_RULE, .line = 15},
	{.policy = P_PROFILE, .profile = 1, .kind = PROBE_MOUNT, .access = WARDER_MNT_UMOUNT,
	 .path = "/mnt/x", .action = WARDER_DENY, .err = EPERM, .why = WARDER_WHY_RULE, .line = 32,
	 .refused = WARDER_MNT_UMOUNT, .report = 1},
	{.policy = P_PROFILE, .profile = 2, .kind = PROBE_MOUNT, .access = WARDER_MNT_UMOUNT,
	 .path = "/mnt/x", .why = WARDER_WHY_RULE, .line = 15},
	{.policy = P_PROFILE, .profile = 1, .kind = PROBE_SWITCH, .magic = WARDER_BITS_MEMORY,
	 .access = WARDER_MEM_WRITE_EXEC, .action = WARDER_DENY, .err = EACCES,
	 .why = WARDER_WHY_RULE, .line = 17, .report = 1},
	{.policy = P_PROFILE, .kind = PROBE_SWITCH, .magic = WARDER_BITS_NAMESPACE,
	 .access = WARDER_NS_USER},
	{.policy = P_PROFILE, .profile = 1, .kind = PROBE_SWITCH, .magic = WARDER_BITS_NAMESPACE,
	 .access = WARDER_NS_USER, .action = WARDER_DENY, .err = EPERM, .report = 1},
	{.policy = P_PROFILE, .kind = PROBE_OVERRIDE, .access = WARDER_MNT_NEW, .type = "tmpfs",
	 .userns = OWN, .cause = BYCAP, .set = 5},
	{.policy = P_PROFILE, .profile = 1, .kind = PROBE_OVERRIDE, .access = WARDER_MNT_NEW,
	 .type = "tmpfs", .userns = OWN, .cause = BYCAP, .set = 6},
	{.policy = P_PROFILE, .profile = 2, .kind = PROBE_OVERRIDE, .access = WARDER_MNT_NEW,
	 .type = "tmpfs", .userns = OWN, .cause = BYCAP, .set = 4},
};

#undef R
#undef W

#endif
