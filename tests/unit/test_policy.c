// SPDX-License-Identifier: LGPL-2.1-or-later
/* The policy language: what is accepted, what is refused and where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "policy_fixture.h"

/* ------------------------------------------------------------------ errors */

static const struct policy_error errors[] = {
	{"", 1, 1, "no document"},
	{"# nothing\n", 1, 1, "no document"},
	{"a: [", 2, 1, "not YAML"},
	{"[]", 1, 1, "expected a mapping"},
	{"{}", 1, 1, "\"policy\" is missing"},
	{"policy: 12\n", 1, 9, "quote it"},
	{"policy: a/b\n", 1, 9, "letters, digits"},
	{"policy: [a]\n", 1, 9, "found a list"},
	{P "policy: q\n", 2, 1, "twice"},
	{P "---\n" P, 2, 1, "second document"},
	{P "mode: strict\n", 2, 7, "enforce, audit"},
	{P "modes: audit\n", 2, 1, "unknown key \"modes\""},
	{P "selectable: yes\n", 2, 13, "true or false"},
	{P "selectable: 'true'\n", 2, 13, "true or false without quotes"},
	{P "x: &a [1]\n", 2, 1, "unknown key"},
	{P "file: !!seq []\n", 2, 7, "tags"},
	{P "<<: {a: b}\n", 2, 1, "merge keys"},
	{P "? [a]\n: b\n", 2, 3, "must be a word"},
	{P "file: &a [*a]\n", 2, 11, "refers to itself"},
	{P "file: *x\n", 2, 7, "names no anchor"},
	{P "mode: \"a\\0b\"\n", 2, 7, "NUL"},
	{P "# \xff\n", 2, 3, "not UTF-8"},
	{P "# \xc3\xa9 \xc0\x80\n", 2, 5, "not UTF-8"},
	{P "file: {}\n", 2, 7, "expected a list"},
	{P "file:\n  - allow: [read]\n", 3, 5, "\"path\" is missing"},
	{P "file:\n  - {path: /a}\n", 3, 5, "allow or deny"},
	{P "file:\n  - {allow: read, deny: write, path: /a}\n", 3, 5, "not both"},
	{P "file:\n  - {allow: reed, path: /a}\n", 3, 13, "\"reed\""},
	{P "file:\n  - {allow: exec, path: /a}\n", 3, 13, "class of its own"},
	{P "file:\n  - {allow: [], path: /a}\n", 3, 13, "list is empty"},
	{P "file:\n  - {allow: read, path: a}\n", 3, 25, "begins with '/'"},
	{P "file:\n  - {allow: read, path: /a//b}\n", 3, 28, "'//'"},
	{P "file:\n  - {allow: read, path: [/a, /\xc3\xa9/../b]}\n", 3, 35, "'..'"},
	{P "file:\n  - {allow: read, path: '/{X}'}\n", 3, 25, "no variable is called X"},
	{P "file:\n  - {allow: read, path: {X}/a}\n", 3, 0, ""},
	{P "file:\n  - {allow: read, path: /a, errno: EPERM}\n", 3, 36, "only a deny rule"},
	{P "file:\n  - {deny: read, path: /a, errno: EWHAT}\n", 3, 35, "\"EWHAT\""},
	{P "file:\n  - {deny: read, path: /a, errno: 13}\n", 3, 35, "quote it"},
	{P "file:\n  - {deny: read, path: /a, audit: 1}\n", 3, 35, "true or false"},
	{P "file:\n  - {deny: read, path: /a, id: a b}\n", 3, 32, "letters"},
	{P "file:\n  - {deny: read, path: /a, id: x}\n  - {deny: read, path: /b, id: x}\n", 4, 5,
	 "is taken by the rule at t:3"},
	{P "exec:\n  - {allow: /a, path: /b}\n", 3, 17, "unknown key \"path\""},
	{P "exec:\n  - {allow: /a, profile: x}\n", 3, 26, "none is called \"x\""},
	{P "capability:\n  - {allow: net_admn}\n", 3, 13, "\"net_admn\""},
	{P "vars: {x: /a}\n", 2, 8, "in capitals"},
	{P "vars: {X: []}\n", 2, 11, "empty"},
	{P "vars: {X: '{X}'}\nfile: [{allow: read, path: '/{X}'}]\n", 3, 28, "holds itself"},
	{P "defaults: {file: maybe}\n", 2, 18, "allow, deny"},
	{P "defaults: {fil: deny}\n", 2, 12, "unknown class"},
	{P "mount:\n  - {allow: mont}\n", 3, 13, "\"mont\""},
	{P "mount:\n  - {allow: umount, type: tmpfs}\n", 3, 27, "only mount and attach"},
	{P "mount:\n  - {allow: umount, flags: {require: ro}}\n", 3, 28, "have them"},
	{P "mount:\n  - {allow: mount, flags: {require: ro, forbid: ro}}\n", 3, 27, "never match"},
	{P "mount:\n  - {allow: mount, flags: {require: rw}}\n", 3, 37, "\"rw\""},
	{P "mount:\n  - {allow: mount, type: fuse.sshfs}\n", 3, 26, "write fuse"},
	{P "mount:\n  - {allow: umount, source: /dev/sda}\n", 3, 29, "bind, move and attach"},
	{P "override:\n  - {do: perform, type: tmpfs}\n", 3, 5, "\"on\" is missing"},
	{P "override:\n  - {on: mont, do: perform}\n", 3, 10, "expected one of mount, umount"},
	{P "override:\n  - {on: chroot, do: perform}\n", 3, 10, "not enforced"},
	{P "override:\n  - {on: mknod, do: perform}\n", 3, 5, "needs node"},
	{P "override:\n  - {on: mknod, node: 'c 1:*', do: perform}\n", 3, 23, "one device"},
	{P "override:\n  - {on: mknod, node: 'c 1:1', do: perform}\n", 3, 23, "all of memory"},
	{P "override:\n  - {on: setns, node: 'c 1:3', do: deny}\n", 3, 23, "only rules on mknod"},
	{P "override:\n  - {on: umount, do: perform}\n", 3, 5, "needs target"},
	{P "override:\n  - {on: reboot, target: /a, do: deny}\n", 3, 26, "umount, mknod"},
	{P "override:\n  - {on: setxattr, name: trusted.x, do: perform}\n", 3, 26, "both"},
	{P "override:\n  - {on: setxattr, name: user.x, value: 'y', do: perform}\n", 3, 26, "trusted"},
	{P "override:\n  - {on: setpriority, do: perform}\n", 3, 5, "its bounds"},
	{P "override:\n  - {on: setpriority, priority: {nice: -5}, do: perform}\n", 3, 40, ">=N"},
	{P "override:\n  - {on: setpriority, priority: {realtime: '<=100'}, do: perform}\n", 3, 44,
	 "from 1 to 99"},
	{P "override:\n  - {on: [remount, move], target: /a, do: perform}\n", 3, 5, "a rule each"},
	{P "override:\n  - {on: remount, do: perform}\n", 3, 5, "needs target"},
	{P "override:\n  - {on: move, target: /a, do: perform}\n", 3, 5, "source and target"},
	{P "override:\n  - {on: mount, type: tmpfs, source: /a, do: perform}\n", 3, 38, "with type or bind has none"},
	{P "override:\n  - {on: mount, type: ext4, image: /a, target: /b, do: perform}\n", 3, 36,
	 "say trusted_image: true"},
	{P "override:\n  - {on: mount, type: ext4, trusted_image: true, target: /b, do: perform}\n", 3, 44,
	 "which is said by image"},
	{P "override:\n  - {on: mount, type: btrfs, image: /a, trusted_image: true, target: /b, "
	   "do: perform}\n", 3, 23, "ext4, erofs, squashfs or xfs"},
	{P "override:\n  - {on: mount, type: nfs4, server: 's:/x', target: /b, options: {addr: 10.0.0.1}, "
	   "do: perform}\n", 3, 37, "say trusted_server: true"},
	{P "override:\n  - {on: mount, type: nfs4, server: s, trusted_server: true, target: /b, "
	   "options: {addr: 10.0.0.1}, do: perform}\n", 3, 37, "HOST:/PATH"},
	{P "override:\n  - {on: mount, type: nfs4, server: 's:/x', trusted_server: true, target: /b, "
	   "do: perform}\n", 3, 5, "needs addr"},
	{P "override:\n  - {on: mount, type: nfs4, server: 's:/x', trusted_server: true, target: /b, "
	   "options: {addr: '*'}, do: perform}\n", 3, 95, "one exact value"},
	{P "override:\n  - {on: mount, type: nfs4, server: 's:/x', trusted_server: true, target: /b, "
	   "options: {addr: 10.0.0.1, fsc: '*'}, do: perform}\n", 3, 105, "not passed on"},
	{P "override:\n  - {on: mount, type: cifs, server: 's:/x', trusted_server: true, target: /b, "
	   "options: {addr: 10.0.0.1}, do: perform}\n", 3, 23, "nfs or nfs4"},
	{P "override:\n  - {on: mount, type: nfs4, server: 's:/x', trusted_server: true, "
	   "options: {addr: 10.0.0.1}, do: perform}\n", 3, 5, "needs target"},
	{P "override:\n  - {on: mount, type: nfs4, trusted_server: true, target: /b, do: perform}\n", 3, 45,
	 "which is said by server"},
	{P "override:\n  - {on: umount, server: 's:/x', target: /b, do: perform}\n", 3, 26, "only rules on mount"},
	{P "override:\n  - {on: mount, type: [tmpfs, overlay], source: /a, target: /b, do: perform}\n", 3, 23,
	 "a rule of its own"},
	{P "override:\n  - {on: mount, type: overlay, target: /b, do: perform}\n", 3, 5, "needs source"},
	{P "override:\n  - {on: mount, type: overlay, source: /a, do: perform}\n", 3, 5, "needs source"},
	{P "override:\n  - {on: mount, type: overlay, source: /a, do: deny}\n", 3, 40, "with type or bind has none"},
	{P "override:\n  - {on: mount, type: overlay, source: /a, target: /b, options: {metacopy: 'on'}, "
	   "do: perform}\n", 3, 66, "is not passed on"},
	{P "override:\n  - {on: mount, type: [tmpfs, proc], options: {size: '<=1M'}, target: /b, "
	   "do: perform}\n", 3, 47, "proc is the container's own"},
	{P "override:\n  - {on: mount, type: [ext4, erofs], image: /a, trusted_image: true, target: /b, "
	   "do: perform}\n", 3, 23, "needs one type"},
	{P "override:\n  - {on: mount, type: ext4, image: /a, trusted_image: true, do: perform}\n", 3, 5,
	 "needs target"},
	{P "override:\n  - {on: mount, type: ext4, image: a, trusted_image: true, target: /b, "
	   "do: perform}\n", 3, 36, "absolute host path"},
	{P "override:\n  - {on: mount, type: ext4, image: /a, trusted_image: true, target: /b, "
	   "options: {errors: '*'}, do: perform}\n", 3, 83, "is not passed on"},
	{P "override:\n  - {on: mount, bind: /a, image: /a, trusted_image: true, target: /b, "
	   "do: perform}\n", 3, 34, "needs one type"},
	{P "override:\n  - {on: mount, type: ext4, source: /a, target: /b, fuse: {xfs: x, ext4: y}, do: perform}\n", 3, 60,
	 "does not name"},
	{P "override:\n  - {on: mount, type: ext4, source: /a, target: /b, fuse: {}, do: perform}\n", 3, 59,
	 "says no program for type ext4"},
	{P "override:\n  - {on: mount, type: ext4, source: /a, target: /b, fuse: {ext4: a/b}, do: perform}\n", 3, 66,
	 "expected the name or the absolute path"},
	{P "override:\n  - {on: mount, type: ext4, source: /a, target: /b, fuse: {ext4: /a/../b}, do: perform}\n", 3, 66,
	 "expected the name or the absolute path"},
	{P "override:\n  - {on: mount, type: ext4, source: /a, target: /b, fuse: {ext4: -x}, do: perform}\n", 3, 66,
	 "expected the name or the absolute path"},
	{P "override:\n  - {on: mount, type: overlay, source: /a, target: /b, fuse: {overlay: x}, do: perform}\n", 3, 62,
	 "is in no image that a program could read"},
	{P "override:\n  - {on: mount, type: proc, source: /a, target: /b, fuse: {proc: x}, do: perform}\n", 3, 59,
	 "is in no image that a program could read"},
	{P "override:\n  - {on: mount, type: ext4, source: /a, fuse: {ext4: x}, do: perform}\n", 3, 5,
	 "a rule with fuse needs target"},
	{P "override:\n  - {on: mount, type: ext4, target: /b, fuse: {ext4: x}, do: perform}\n", 3, 47,
	 "needs source (the images"},
	{P "override:\n  - {on: mount, type: ext4, target: /b, source: /a, image: /c, fuse: {ext4: x}, do: perform}\n", 3, 70,
	 "needs source (the images"},
	{P "override:\n  - {on: mount, type: ext4, target: /b, image: c, fuse: {ext4: x}, do: perform}\n", 3, 48,
	 "absolute host path"},
	{P "override:\n  - {on: mount, type: ext4, target: /b, source: /a, trusted_image: true, fuse: {ext4: x}, do: perform}\n", 3, 68,
	 "does not read what a FUSE program does"},
	{P "override:\n  - {on: mount, type: ext4, target: /b, source: /a, options: {a: '*'}, fuse: {ext4: x}, do: perform}\n", 3, 62,
	 "none are passed on to a FUSE program"},
	{P "override:\n  - {on: mount, type: ext4, source: /a, target: /b, fuse: {ext4: x}, do: ask}\n", 3, 74,
	 "has do: perform"},
	{P "override:\n  - {on: mount, source: /a, target: /b, fuse: {ext4: x}, do: perform}\n", 3, 47,
	 "only a rule with type has it"},
	{P "override:\n  - {on: umount, target: /b, image: /a, do: perform}\n", 3, 37,
	 "only rules on mount"},
	{P "override:\n  - {on: mount, source: /a, do: perform}\n", 3, 5, "source and target"},
	{P "override:\n  - {on: mount, source: /a, target: /b, options: {size: '*'}, do: perform}\n", 3, 50,
	 "a bind has none"},
	{P "override:\n  - {on: remount, source: /a, target: /b, do: perform}\n", 3, 27,
	 "mount and move have it"},
	{P "override:\n  - {on: remount, type: tmpfs, target: /a, do: perform}\n", 3, 25, "on mount have it"},
	{P "override:\n  - {on: [setns, setns], do: report}\n", 3, 18, "twice"},
	{P "override:\n  - {on: [setns, mount], type: tmpfs, do: deny}\n", 3, 5, "a rule each"},
	{P "override:\n  - {on: mount, do: report}\n", 3, 5, "without a rule"},
	{P "override:\n  - {on: setns, do: fake, type: tmpfs}\n", 3, 33, "only rules on mount"},
	{P "override:\n  - {on: setns, do: report, rate: 1/s}\n", 3, 35, "leaves the errno"},
	{P "override:\n  - {on: bpf, do: fake}\n  - {on: bpf, do: deny}\n", 4, 5, "can never decide"},
	{P "override:\n  - {on: mount, do: perform}\n", 3, 5, "needs type"},
	{P "override:\n  - {on: mount, type: tmpfs, bind: /a, do: perform}\n", 3, 5, "not of both"},
	{P "override:\n  - {on: mount, type: ext4, do: perform}\n", 3, 23, "untrusted image"},
	{P "override:\n  - {on: mount, type: tmpfs, do: continue}\n", 3, 34, "not enforced"},
	{P "override:\n  - {on: mount, type: tmpfs, do: 'handler:'}\n", 3, 34, "handler:NAME"},
	{P "override:\n  - {on: mount, type: tmpfs, do: 'handler:a b'}\n", 3, 34, "handler:NAME"},
	{P "override:\n  - {on: mount, type: tmpfs, do: 'handler:ask'}\n", 3, 34, "not ask"},
	{P "override:\n  - {on: bpf, do: fake, fallback: errno}\n", 3, 35, "without an answer"},
	{P "override:\n  - {on: bpf, do: 'handler:x', fallback: EWHAT}\n", 3, 42, "EWHAT"},
	{P "override:\n  - {on: mount, type: tmpfs, do: perform, value: 1}\n", 3, 50, "only do: fake"},
	{P "override:\n  - {on: mount, type: tmpfs, do: fake, value: -1}\n", 3, 47, "number"},
	{P "override:\n  - {on: mount, bind: a, do: perform}\n", 3, 23, "absolute host path"},
	{P "override:\n  - {on: mount, bind: /a/../b, do: perform}\n", 3, 23, "absolute host path"},
	{P "override:\n  - {on: mount, type: tmpfs, do: perform, deadline: 2}\n", 3, 53, "unit"},
	{P "override:\n  - {on: mount, type: tmpfs, do: perform, deadline: 999999999999999999999s}\n", 3,
	 53, "unit"},
	{P "override:\n  - {on: mount, type: tmpfs, do: perform, deadline: 18446744073709551m}\n", 3, 53,
	 "unit"},
	{P "override:\n  - {on: mount, type: tmpfs, do: perform, rate: 0/s}\n", 3, 49, "N/s"},
	{P "override:\n  - {on: mount, type: tmpfs, do: perform, rate: 10/m}\n", 3, 49, "N/s"},
	{P "override:\n  - {on: mount, type: tmpfs, do: perform, options: {size: '<=64X'}}\n", 3, 59,
	 "size after <="},
	{P "override:\n  - {on: mount, type: tmpfs, do: perform, options: {size: '<=99999999999T'}}\n",
	 3, 59, "size after <="},
	{P "override:\n  - {on: mount, type: tmpfs, do: perform, force: [exec]}\n", 3, 51, "noexec"},
	{P "override:\n  - {on: mount, type: tmpfs, do: perform, by: {uid: 4294967295}}\n", 3, 53,
	 "number"},
	{P "override:\n  - {on: mount, type: tmpfs, do: perform, by: {profile: x}}\n", 3, 57,
	 "out of `profiles:`"},
	{P "override:\n  - {on: sethostname, do: perform, way: notify}\n", 3, 41, "only rules on mount and move"},
	{P "keyring: {shared: [1a]}\n", 2, 20, "a letter"},
	{P "keyring: {shared: [a, b, a]}\n", 2, 26, "named twice"},
	{P "keyring: {shared: [a, b, c, d, e]}\n", 2, 32, "more than 4"},
	{P "keyring: {shared: [abcdefghijklmnopqrstuvwx]}\n", 2, 20, "22 letters"},
	{P "keyring: {join: x}\n", 2, 17, "lazy, sticky, deny"},
	{P "keyring: {quota: {keys: 0}}\n", 2, 25, "number"},
	{P "keyring: {quota: {bytes: 0}}\n", 2, 26, "number"},
	{P "keyring: {quota: {bytes: 67108865}}\n", 2, 26, "number"},
	{P "keyring: {quota: {pending: 65}}\n", 2, 28, "number"},
	{P "keyring: {upcalls: {type: user}}\n", 2, 20, "list"},
	{P "keyring: {upcalls: [{type: user}]}\n", 2, 21, "\"to\" is missing"},
	{P "keyring: {upcalls: [{type: user, to: me}]}\n", 2, 38, "deny, host, queue"},
	{P "keyring: {upcalls: [{type: user, to: queue, else: queue}]}\n", 2, 51, "deny, host"},
	{P "keyring: {upcalls: [{type: user, to: host, else: deny}]}\n", 2, 50, "only a queue"},
	{P "keyring: {upcalls: [{type: user, to: host, deadline: 1s}]}\n", 2, 54, "only a queue"},
	{P "keyring: {upcalls: [{type: user, to: queue, deadline: 61s}]}\n", 2, 55, "deadline"},
	{P "keyring: {upcalls: [{type: user, to: queue, deadline: 99ms}]}\n", 2, 55, "at least 100"},
	{P "keyring: {upcalls: [{type: rxrpc, to: queue, else: host, by: program}]}\n", 2, 62,
	 "never gets"},
	{P "keyring: {upcalls: [{type: .user, to: host}]}\n", 2, 28, "a key type"},
	{P "keyring: {upcalls: [{type: abcdefghijklmnop, to: host}]}\n", 2, 28, "a key type"},
	{P "keyring: {upcalls: [{type: user, to: host, by: kernels}]}\n", 2, 48,
	 "any, program, kernel"},
	{P "keyring: {upcalls: [{type: cifs.spnego, to: host, by: program}]}\n", 2, 55,
	 "made up"},
	{P "keyring:\n  upcalls:\n  - {type: user, to: host}\n  - {type: user, to: deny, by: kernel}\n",
	 5, 5, "line 4 decides"},
	{P "keyring: {signed_exec: {require: true}}\n", 2, 24, "whose signatures"},
	{P "keyring: {signed_exec: {signers: a}}\n", 2, 24, "\"require\" is missing"},
	{P "keyring: {signed_exec: {require: true, signers: /nowhere/a.pem}}\n", 2, 49, "cannot open"},
	{P "keyring: {signed_exec: {require: true, signers: /dev/null}}\n", 2, 49, "regular file"},
	{P "keyring: {signed_exec: {require: true, signers: /proc/version}}\n", 2, 49,
	 "no X.509 certificate"},
	{P "include: nowhere\n", 2, 10, "no file nowhere.yaml"},
	{P "include: ../x\n", 2, 10, "expected a name"},
	{P "include: a@\n", 2, 10, "expected a name"},
	{P "include: a@0\n", 2, 10, "expected a name"},
	{P "include: a@1x\n", 2, 10, "expected a name"},
	{P "version: 0\n", 2, 10, "version: expected"},
	/* rules that decide nothing */
	{P "file:\n  - {deny: read, path: /a}\n  - {deny: read, path: /a}\n", 4, 5, "t:3"},
	{P "file:\n  - {deny: [read, write], path: /a/**}\n  - {allow: read, path: /a/b}\n", 4, 5,
	 "deny wins"},
	{P "file:\n  - {allow: write, path: /**}\n  - {allow: append, path: /a}\n", 4, 5, "t:3"},
	{P "exec:\n  - {allow: '/a*'}\n  - {allow: '/ab'}\n", 4, 5, "t:3"},
	{P "capability:\n  - {deny: kill}\n  - {allow: kill}\n", 4, 5, "deny wins"},
	{P "mount:\n  - {allow: mount, target: /a}\n  - {allow: mount, target: /a, type: tmpfs}\n", 4,
	 5, "t:3"},
	{P "override:\n  - {on: mount, type: tmpfs, do: perform}\n"
	   "  - {on: mount, type: tmpfs, do: fake, target: /a}\n", 4, 5, "can never decide"},
};

static void test_errors(void **state)
{
	(void)state;
	check_errors(errors, ARRAY_SIZE(errors));
}

/* All errors of a file, at once. */
static void test_all_errors(void **state)
{
	static const char text[] = "policy: p\nmode: x\nfoo: 1\nfile:\n  - {allow: a, path: b}\n"
				   "exec:\n  - {allow: c}\ncapability:\n  - {deny: d, errno: e}\n"
				   "foo: 2\n";
	static const unsigned lines[] = {2, 3, 5, 5, 7, 9, 9, 10, 10};
	struct policy_diags d = {0};
	struct warder_image *img;
	unsigned seen = 0;

	(void)state;
	assert_int_equal(try_text(text, strlen(text), &img, &d), -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		for (size_t k = 0; k < d.count; k++)
			if (d.item[k].line == lines[i]) {
				seen++;
				break;
			}
	assert_int_equal(seen, ARRAY_SIZE(lines));
	assert_int_equal(d.errors, ARRAY_SIZE(lines));
	policy_diags_done(&d);
}

/* Rules that never decide are told with the rest, and in the order of lines; broken rules are not
 * said to be shadowed, and nothing is guessed where a variable is not known. */
static void test_all_errors_whole(void **state)
{
	static const char text[] = P "capability: [{deny: kill}, {allow: kill}]\n"
				     "file:\n"
				     "  - {allow: read, path: /a/**}\n"
				     "  - {allow: read, path: /a/b}\n"
				     "  - {allow: [read, fly], path: /a/c}\n"
				     "  - {deny: read, path: [/d/**, x]}\n"
				     "  - {allow: read, path: /d/e}\n"
				     "mode: never\n";
	static const char unknown[] = P "vars: {V: [3, [x]]}\nfile:\n"
					"  - {allow: read, path: '/{V,a}'}\n"
					"  - {allow: read, path: /a}\n";
	static const unsigned lines[] = { 2, 5, 6, 7, 8, 9 };
	struct policy_diags d = { 0 };
	struct warder_image *img;

	(void)state;
	assert_int_equal(try_text(text, strlen(text), &img, &d), -EINVAL);
	policy_diags_print(&d, stderr);
	assert_int_equal(d.count, ARRAY_SIZE(lines));
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		assert_int_equal(d.item[i].line, lines[i]);
	assert_non_null(strstr(d.item[1].text, "never decide"));
	assert_non_null(strstr(d.item[2].text, "fly"));
	assert_non_null(strstr(d.item[4].text, "deny wins"));
	policy_diags_done(&d);
	assert_int_equal(try_text(unknown, strlen(unknown), &img, &d), -EINVAL);
	for (size_t i = 0; i < d.count; i++)
		assert_null(strstr(d.item[i].text, "never decide"));
	policy_diags_done(&d);
}

/* What this version does not enforce is skipped only when told so, and never silently. */
static void test_optional(void **state)
{
	static const char text[] =
		P "defaults: {optional: true, network: deny}\n"
		"override: [{on: chroot, do: perform, optional: true}]\n"
		"keyring: {join: deny, upcalls: [{type: '*', to: queue, optional: true}], "
		"signed_exec: {require: false}, optional: true}\n";
	struct policy_diags d = {0};
	struct warder_image *img;

	(void)state;
	assert_int_equal(try_text(text, strlen(text), &img, &d), 0);
	assert_int_equal(d.errors, 0);
	assert_int_equal(d.count, 1);
	assert_int_equal(img->h.upcall[0].to, WARDER_UPCALL_QUEUE);
	assert_int_equal(img->h.rule.count, 1);
	policy_diags_done(&d);
	free(img);
}

/* A policy under which no dynamic program starts says so. */
static void test_libraries(void **state)
{
	static const struct {
		const char *text;
		size_t warnings;
	} table[] = {
		{P "defaults: {exec: deny}\nexec: [{allow: /bin/x}]\n", 1},
		{P "defaults: {file: deny}\n", 1},
		{P "defaults: {exec: deny}\nfile: [{allow: map_exec, path: /lib/**}]\n", 0},
		{P "defaults: {capability: deny}\n", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct policy_diags d = {0};
		struct warder_image *img;

		assert_int_equal(try_text(table[i].text, strlen(table[i].text), &img, &d), 0);
		assert_int_equal(d.count, table[i].warnings);
		assert_int_equal(d.errors, 0);
		policy_diags_done(&d);
		free(img);
	}
}

/* A variable that nothing uses is a name that was misspelt: the wide default stays. */
static void test_unused_variable(void **state)
{
	struct policy_diags d = { 0 };
	struct warder_image *img = NULL;

	(void)state;
	assert_int_equal(try_text(P "vars: {USED: [/srv], ROTO: [/x]}\n"
				    "file: [{allow: read, path: '{USED}/a'}]\n",
				  strlen(P "vars: {USED: [/srv], ROTO: [/x]}\n"
					   "file: [{allow: read, path: '{USED}/a'}]\n"),
				  &img, &d), 0);
	free(img);
	assert_int_equal(d.errors, 0);
	for (size_t i = 0; i < d.count; i++) {
		assert_null(strstr(d.item[i].text, "{USED}"));
		if (!strstr(d.item[i].text, "uses {ROTO}"))
			continue;
		assert_int_equal(d.item[i].line, 2);
		assert_int_equal(d.item[i].column, 22);
		policy_diags_done(&d);
		return;
	}
	fail_msg("the variable that nothing uses is not told");
}

/* Rules that cannot act, found by what their patterns match; each pair of texts: one that is told, with
 * the words, and one beside it that is not. */
static void test_cannot_act(void **state)
{
	static char name[400];
	static const struct {
		const char *text, *says; /* NULL: fine */
	} cases[] = {
		{ "mount:\n  - {allow: [mount], target: '/a/**'}\n  - {allow: [mount], target: /a/b}\n",
		  "t:4:5: can never decide anything: the mount rule at t:3" },
		{ "mount:\n  - {allow: [mount], target: '/a/*'}\n  - {allow: [mount], target: /a/b/c}\n",
		  NULL },
		{ "mount:\n  - {deny: [mount], target: '/a/**'}\n  - {allow: [mount], target: /a/b}\n",
		  "t:4:5: can never decide anything: the mount rule at t:3" },
		{ "mount:\n  - {allow: [mount], target: /a/b}\n  - {deny: [mount], target: '/a/**'}\n",
		  "t:3:5: can never decide anything: the mount rule at t:4" },
		{ "mount:\n  - {allow: [mount], target: /a/b}\n  - {allow: [mount], target: '/a/**'}\n",
		  NULL },
		{ "mount:\n  - {deny: [mount], type: tmpfs, target: '/a/**'}\n"
		  "  - {allow: [mount], target: /a/b}\n", NULL },
		{ "mount: [{deny: [mount], target: '/a/**'}]\n"
		  "override:\n  - {on: mount, type: tmpfs, target: '/a/b/*', do: perform}\n",
		  "t:4:5: can never act: the mount rule at t:2" },
		{ "mount: [{deny: [mount], target: '/a/*'}]\n"
		  "override:\n  - {on: mount, type: tmpfs, target: '/a/**', do: perform}\n", NULL },
		{ "mount: [{deny: [umount], target: '/a/**'}]\n"
		  "override:\n  - {on: mount, type: tmpfs, target: '/a/b', do: perform}\n", NULL },
		{ "exec:\n  - {allow: '/a*', profile: p}\n  - {allow: '/*b', profile: q}\n"
		  "profiles: {p: {}, q: {}}\n", "t:4:29: some names lead to profile \"q\"" },
		{ "exec:\n  - {allow: '/a*', profile: p}\n  - {allow: '/b*', profile: q}\n"
		  "profiles: {p: {}, q: {}}\n", NULL },
		{ "exec:\n  - {allow: '/a*', profile: p}\n  - {allow: '/*b'}\nprofiles: {p: {}}\n",
		  NULL },
		{ name, "t:2:29: has more than 255 bytes" },
		{ name + 1, NULL }, /* filled in below: as long as a name may be */
	};
	char text[1024], fit[400];

	(void)state;
	snprintf(name, sizeof(name), "file: [{deny: [read], path: '/%0256d'}]\n", 0);
	snprintf(fit, sizeof(fit), "file: [{deny: [read], path: '/%0255d'}]\n", 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *rest = cases[i].text == name + 1 ? fit : cases[i].text;
		const char *says = cases[i].says, *words = says ? strchr(says, ' ') + 1 : NULL;
		struct policy_diags d = { 0 };
		struct warder_image *img = NULL;
		bool told = false;
		char at[32];

		snprintf(text, sizeof(text), P "%s", rest);
		try_text(text, strlen(text), &img, &d);
		free(img);
		for (size_t k = 0; k < d.count; k++) {
			snprintf(at, sizeof(at), "t:%u:%u: ", d.item[k].line, d.item[k].column);
			told |= says && !strncmp(says, at, strlen(at)) &&
				strstr(d.item[k].text, words);
			if (!says && (strstr(d.item[k].text, "can never") ||
				      strstr(d.item[k].text, "lead to") ||
				      strstr(d.item[k].text, "255 bytes")))
				fail_msg("case %zu: %s", i, d.item[k].text);
		}
		if (says && !told) {
			policy_diags_print(&d, stderr);
			fail_msg("case %zu: not told: %s", i, says);
		}
		policy_diags_done(&d);
	}
}

/* ----------------------------------------------------------------- settings */

static void test_settings(void **state)
{
	static const char text[] = "policy: web-1\nselectable: true\nkeyring: {join: deny, quota: {keys: 17, bytes: 1800, pending: 3}}\n";
	struct warder_image *img;
	struct policy_diags d = {0};
	struct policy *p;

	(void)state;
	assert_int_equal(policy_parse("t", text, strlen(text), NULL, &p, &d), 0);
	assert_string_equal(policy_name(p), "web-1");
	assert_true(policy_is_selectable(p));
	assert_int_equal(policy_keys_max(p), 17);
	assert_int_equal(policy_compile(p, &img, &d), 0);
	assert_int_equal(img->h.keys_max, 17);
	assert_int_equal(img->h.keys_bytes, 1800);
	assert_int_equal(img->h.keys_pending, 3);
	assert_int_equal(img->h.layer[0].keys_join, WARDER_JOIN_DENY);
	assert_int_equal(img->h.settings, WARDER_SETTING_SELECTABLE);
	free(img);
	policy_free(p);
	policy_diags_done(&d);
}

static void test_override_fields(void **state)
{
	struct warder_image *img =
		good(P "override:\n"
		       "  - on: mount\n    type: tmpfs\n    target: /a\n    do: perform\n"
		       "    options: {size: '<=64M', mode: '0755', uid: '*'}\n"
		       "    late: stop\n    deadline: 1500ms\n    rate: 7/s\n    cause: any\n"
		       "  - {on: mount, bind: /srv/x, target: /b, do: fake, value: 5, force: [ro, noexec]}\n"
		       "  - {on: mount, type: proc, do: deny}\n");
	const struct warder_override *o = (const void *)(img->b + img->h.override_.offset);

	(void)state;
	assert_int_equal(img->h.override_.count, 3);
	assert_int_equal(img->h.override_ops, 1u << WARDER_OP_MOUNT);
	assert_int_equal(o[0].ops, WARDER_MNT_NEW);
	assert_int_equal(o[0].force, MS_NOSUID | MS_NODEV);
	assert_int_equal(o[0].by_uid, 0);
	assert_int_equal(o[0].by_userns, WARDER_BY_USERNS_CONTAINER);
	assert_int_equal(o[0].late, WARDER_LATE_STOP);
	assert_int_equal(o[0].deadline_ms, 1500);
	assert_int_equal(o[0].rate, 7);
	assert_int_equal(o[0].cause, WARDER_CAUSE_CAPABILITY | WARDER_CAUSE_LSM);
	assert_int_equal(o[0].options, 3);
	assert_string_equal(o[0].option[0].name, "size");
	assert_int_equal(o[0].option[0].compare, WARDER_CMP_LE);
	assert_int_equal(o[0].option[0].bound, 64 << 20);
	assert_int_equal(o[0].option[1].compare, WARDER_CMP_EQ);
	assert_string_equal(image_string(img, o[0].option[1].text), "0755");
	assert_int_equal(o[0].option[2].compare, WARDER_CMP_ANY);
	assert_int_equal(o[1].ops, WARDER_MNT_BIND);
	assert_string_equal(image_string(img, o[1].bind), "/srv/x");
	assert_int_equal(o[1].do_, WARDER_DO_FAKE);
	assert_int_equal(o[1].value, 5);
	assert_int_equal(o[1].force, MS_RDONLY | MS_NOEXEC);
	assert_int_equal(o[1].deadline_ms, 2000);
	assert_int_equal(o[2].do_, WARDER_DO_DENY);
	assert_int_equal(o[2].value, EPERM);
	assert_true(o[2].any_target);
	free(img);
}

/* Every shipped policy compiles without a warning. */
static void test_shipped(void **state)
{
	static const char *const files[] = {"default", "base/libc", "base/tls", "example-web",
					    "example-batch", "example-observe", "example-images"};
	const char *const dirs[] = {"policies", NULL};

	(void)state;
	if (access("policies/default.yaml", R_OK)) {
		print_message("skipped: not run from the source folder\n");
		skip();
	}
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		struct policy_diags d = {0};
		struct warder_image *img = NULL;
		struct warder_error e;
		struct policy *p;
		char path[128];

		snprintf(path, sizeof(path), "policies/%s.yaml", files[i]);
		if (policy_parse_file(path, dirs, &p, &d) || policy_compile(p, &img, &d) || d.count) {
			policy_diags_print(&d, stderr);
			fail_msg("%s", path);
		}
		assert_int_equal(image_verify(img, img->h.length, &e), 0);
		policy_free(p);
		free(img);
		policy_diags_done(&d);
	}
}

static void test_names(void **state)
{
	char buf[32];
	__u32 bit;

	(void)state;
	for (int i = 0; i < WARDER_ACC_BITS; i++) {
		assert_int_equal(access_from_name(access_name(1u << i), &bit), 0);
		assert_int_equal(bit, 1u << i);
	}
	assert_null(access_name(1u << WARDER_ACC_BITS));
	assert_int_equal(access_from_name("", &bit), -1);
	assert_int_equal(capability_from_name("CAP_SYS_ADMIN"), 21);
	assert_int_equal(capability_from_name("checkpoint_restore"), 40);
	assert_int_equal(capability_from_name("cap_"), -1);
	assert_string_equal(capability_name(40, buf, sizeof(buf)), "CAP_CHECKPOINT_RESTORE");
	assert_string_equal(capability_name(63, buf, sizeof(buf)), "CAP_63");
	assert_int_equal(errno_from_name("EPERM"), 1);
	assert_int_equal(errno_from_name("EAGAIN"), errno_from_name("EWOULDBLOCK"));
	assert_int_equal(errno_from_name("0"), -1);
	assert_string_equal(errno_name(13), "EACCES");
	assert_int_equal(mount_flag_from_name("nosuid", &bit), 0);
	assert_int_equal(bit, MS_NOSUID);
	assert_int_equal(mount_op_from_name("pivot_root", &bit), 0);
	assert_int_equal(bit, WARDER_MNT_PIVOT);
	assert_string_equal(class_name(WARDER_CLASS_OVERRIDE), "override");
	assert_null(class_name(999));
}

static void test_files(void **state)
{
	struct policy_diags d = {0};
	struct policy *p;
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/missing.yaml", folder);
	assert_int_equal(policy_parse_file(path, NULL, &p, &d), -ENOENT);
	assert_int_equal(d.count, 1);
	assert_int_equal(d.item[0].line, 0);
	policy_diags_done(&d);
	assert_int_equal(policy_parse_file(folder, NULL, &p, &d), -EINVAL);
	policy_diags_done(&d);
	/* A FIFO must not make it wait. */
	snprintf(path, sizeof(path), "%s/fifo", folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(policy_parse_file(path, NULL, &p, &d), -EINVAL);
	policy_diags_done(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_all_errors),
		cmocka_unit_test(test_all_errors_whole),
		cmocka_unit_test(test_optional),
		cmocka_unit_test(test_libraries),
		cmocka_unit_test(test_unused_variable),
		cmocka_unit_test(test_cannot_act),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_override_fields),
		cmocka_unit_test(test_shipped),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
