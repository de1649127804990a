// SPDX-License-Identifier: LGPL-2.1-or-later
/* Policies of other tools: what they say there is the case here, or it is told, and then nothing is
 * allowed that was not, and nothing denied is lost. Every result is judged by the engine. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cleanup.h"
#include "policy_tools.h"

#include <cmocka.h>

typedef int (*import_fn)(const char *name, const char *text, size_t len, char **ret_text,
			 struct policy_diags *diags);

struct imported {
	char *text;
	struct warder_image *img;
	char told[8192];
};

static void imported_done(struct imported *i)
{
	free(i->text);
	free(i->img);
}

static int run(import_fn fn, const char *text, struct imported *ret)
{
	struct policy_diags d = { 0 };
	int err = fn("t", text, strlen(text), &ret->text, &d);
	size_t used = 0;

	for (size_t i = 0; i < d.count && used < sizeof(ret->told) - 1; i++)
		used += (size_t)snprintf(ret->told + used, sizeof(ret->told) - used, "%u:%u: %s\n",
					 d.item[i].line, d.item[i].column, d.item[i].text);
	if (err)
		assert_true(d.errors > 0);
	policy_diags_done(&d);
	return err;
}

static void import(import_fn fn, const char *text, struct imported *ret)
{
	struct policy_diags d = { 0 };
	struct policy *p = NULL;

	*ret = (struct imported) { .text = NULL };
	if (run(fn, text, ret))
		fail_msg("%s\n%s", text, ret->told);
	if (policy_parse("t", ret->text, strlen(ret->text), NULL, &p, &d) ||
	    policy_compile(p, &ret->img, &d)) {
		policy_diags_print(&d, stderr);
		fail_msg("%s", ret->text);
	}
	policy_free(p);
	policy_diags_done(&d);
}

static void fails(import_fn fn, const char *text, const char *told)
{
	struct imported i cleanup(imported_done) = { .text = NULL };

	if (run(fn, text, &i) != -EINVAL || i.text || !strstr(i.told, told))
		fail_msg("%s: expected an error with \"%s\"\n%s", text, told, i.told);
}

/* `err`: 0 where it is allowed. */
static void expect(const struct imported *i, const char *flow, int err)
{
	char *argv[] = { (char *)(uintptr_t)flow, NULL };
	cleanup_free char *memory = NULL;
	struct warder_error e = { "" };
	struct warder_verdict v;
	struct policy_request r;

	if (request_from_arguments(1, argv, &r, &memory, &e))
		fail_msg("%s: %s", flow, e.text);
	assert_int_equal(policy_decide(i->img, &r, &v), 0);
	if ((v.action == WARDER_ALLOW ? 0 : (int)v.err) != err)
		fail_msg("%s: %s %s, expected errno %d by\n%s\ntold:\n%s", flow, action_name(v.action),
			 v.action == WARDER_ALLOW ? "" : errno_name((int)v.err), err, i->text, i->told);
}

static void told(const struct imported *i, const char *what)
{
	if (!strstr(i->told, what))
		fail_msg("not told: %s\n%s\n%s", what, i->told, i->text);
}

#define APPARMOR(i, rules) import(policy_import_apparmor, "profile p {\n" rules "\n}\n", i)

static void test_mount_operations(void **state)
{
	static const char *const all[] = {
		"{mount: tmpfs, target: /b}", "{mount: bind, source: /a, target: /b}",
		"{mount: remount, target: /b}", "{mount: move, source: /a, target: /b}",
		"{mount: propagation, target: /b, flags: private}", "{mount: attach, target: /b}" };
	struct imported i cleanup(imported_done) = { .text = NULL };
	struct imported d cleanup(imported_done) = { .text = NULL };
	struct imported n cleanup(imported_done) = { .text = NULL };

	(void)state;
	APPARMOR(&i, "  mount,");
	APPARMOR(&d, "  mount,\n  umount,\n  deny mount,");
	APPARMOR(&n, "  capability kill,");
	for (size_t k = 0; k < ARRAY_SIZE(all); k++) {
		expect(&i, all[k], 0);
		expect(&d, all[k], EPERM);
		expect(&n, all[k], EPERM);
	}
	expect(&i, "{mount: umount, target: /b}", EPERM);
	expect(&d, "{mount: umount, target: /b}", 0);
	assert_string_equal(i.told, "");
}

static void test_mount_conditions(void **state)
{
	struct imported p cleanup(imported_done) = { .text = NULL };
	struct imported b cleanup(imported_done) = { .text = NULL };
	struct imported d cleanup(imported_done) = { .text = NULL };
	struct imported t cleanup(imported_done) = { .text = NULL };
	struct imported u cleanup(imported_done) = { .text = NULL };

	(void)state;
	/* "unbindable" is no bind. */
	APPARMOR(&p, "  mount options=(unbindable) -> /x,\n  mount options=(make-rprivate) /y,");
	expect(&p, "{mount: bind, source: /a, target: /x}", EPERM);
	expect(&p, "{mount: propagation, target: /x, flags: unbindable}", 0);
	expect(&p, "{mount: propagation, target: /x, flags: shared}", EPERM);
	expect(&p, "{mount: propagation, target: /y, flags: 'private,rec'}", 0);
	expect(&p, "{mount: propagation, target: /y, flags: private}", EPERM);
	/* A bind of one source cannot be allowed; denied it is from everywhere. */
	APPARMOR(&b, "  mount options=(ro, bind) /a -> /b,\n  mount options=(rw, rbind) -> /c,");
	expect(&b, "{mount: bind, source: /a, target: /b, flags: ro}", EPERM);
	expect(&b, "{mount: bind, source: /secret, target: /b}", EPERM);
	expect(&b, "{mount: bind, source: /a, target: /c, flags: rec}", 0);
	expect(&b, "{mount: bind, source: /a, target: /c}", EPERM);
	told(&b, "2:3: bind: the source or type");
	APPARMOR(&d, "  mount,\n  deny mount options=(ro,bind) /a -> /b,\n  deny mount fstype=fuse.* -> /f,");
	expect(&d, "{mount: bind, source: /a, target: /b, flags: ro}", EPERM);
	told(&d, "3:3: bind: denied whatever its source");
	told(&d, "4:3: mount: the type cannot be said: every mount");
	expect(&d, "{mount: fuse, target: /f}", EPERM);
	APPARMOR(&t, "  mount fstype=(tmpfs,proc) options=(rw, nosuid) -> /x/**,\n"
		     "  mount fstype=proc proc -> /proc,\n  mount fstype=ext4 /dev/sda1 -> /m,\n"
		     "  mount options in (ro,nosuid) fstype=sysfs -> /t,\n  mount fstype=fuse.* -> /f,\n"
		     "  mount /src -> /n,\n");
	expect(&t, "{mount: tmpfs, target: /x/a, flags: nosuid}", 0);
	expect(&t, "{mount: tmpfs, target: /x/a}", EPERM);
	expect(&t, "{mount: tmpfs, target: /x/a, flags: 'nosuid,ro'}", EPERM);
	expect(&t, "{mount: proc, target: /proc, source: proc}", 0);
	expect(&t, "{mount: ext4, target: /m, source: /dev/sda1}", 0);
	expect(&t, "{mount: ext4, target: /m, source: /dev/sda2}", EPERM);
	expect(&t, "{mount: sysfs, target: /t}", 0);
	expect(&t, "{mount: sysfs, target: /t, flags: ro}", 0);
	expect(&t, "{mount: sysfs, target: /t, flags: noexec}", EPERM);
	expect(&t, "{mount: fuse, target: /f}", EPERM);
	expect(&t, "{mount: ext4, source: /src, target: /n}", 0);
	expect(&t, "{mount: ext4, source: /other, target: /n}", EPERM);
	expect(&t, "{mount: bind, source: /src, target: /n}", EPERM);
	told(&t, "6:3: mount: the type cannot be said: the rule is left out");
	told(&t, "7:3: mount: binds and moves are left out");
	APPARMOR(&u, "  umount /u,\n  umount fstype=tmpfs /v,\n  umount /w,\n  deny umount fstype=x /w,\n"
		     "  remount options=(ro) /r,\n  pivot_root oldroot=/o /n,");
	expect(&u, "{mount: umount, target: /u}", EPERM); /* by the deny rule, which had a condition */
	expect(&u, "{mount: umount, target: /v}", EPERM);
	expect(&u, "{mount: umount, target: /w}", EPERM);
	expect(&u, "{mount: remount, target: /r, flags: ro}", 0);
	expect(&u, "{mount: remount, target: /r}", EPERM);
	expect(&u, "{mount: pivot_root, target: /n}", EPERM);
	told(&u, "5:3: umount: a condition cannot be said: it is denied without it");
}

static void test_network(void **state)
{
	struct imported a cleanup(imported_done) = { .text = NULL };
	struct imported p cleanup(imported_done) = { .text = NULL };
	struct imported d cleanup(imported_done) = { .text = NULL };

	(void)state;
	APPARMOR(&a, "  network,");
	expect(&a, "{network: create, family: packet}", 0);
	expect(&a, "{network: create, family: netlink}", 0);
	expect(&a, "{network: create, family: other}", 0);
	expect(&a, "{network: create, family: unix}", 0);
	expect(&a, "{network: connect, to: '10.0.0.1:1', protocol: udp}", 0);
	assert_string_equal(a.told, "");
	APPARMOR(&p, "  network packet dgram,\n  network netlink raw,\n  network inet stream,\n"
		     "  network unix stream,\n  network bluetooth,\n  network inet6 peer=(x),");
	expect(&p, "{network: create, family: packet}", EACCES);
	expect(&p, "{network: create, family: netlink}", 0);
	expect(&p, "{network: create, family: unix}", EACCES);
	expect(&p, "{network: create, family: other}", EACCES);
	expect(&p, "{network: connect, to: '10.0.0.1:1', protocol: tcp}", 0);
	expect(&p, "{network: connect, to: '10.0.0.1:1', protocol: udp}", EACCES);
	expect(&p, "{network: connect, to: '[fd00::1]:1', protocol: tcp}", EACCES);
	told(&p, "2:3: network: sockets of packet");
	told(&p, "5:3: network: sockets of unix");
	told(&p, "6:3: network: the family bluetooth");
	APPARMOR(&d, "  network,\n  deny network packet dgram,\n  deny network bluetooth,\n"
		     "  deny network inet dgram,");
	expect(&d, "{network: create, family: packet}", EACCES);
	expect(&d, "{network: create, family: other}", EACCES);
	expect(&d, "{network: connect, to: '10.0.0.1:1', protocol: udp}", EACCES);
	expect(&d, "{network: connect, to: '10.0.0.1:1', protocol: tcp}", 0);
	expect(&d, "{network: connect, to: '[fd00::1]:1', protocol: udp}", 0);
	told(&d, "3:3: network: the condition on packet");
}

/* A profile as docker has one. */
static void test_docker_default(void **state)
{
	struct imported i cleanup(imported_done) = { .text = NULL };

	(void)state;
	import(policy_import_apparmor,
	       "#include <tunables/global>\n"
	       "profile docker-default flags=(attach_disconnected,mediate_deleted) {\n"
	       "  #include <abstractions/base>\n  network,\n  capability,\n  file,\n  umount,\n"
	       "  deny @{PROC}/* w,\n  deny @{PROC}/sysrq-trigger rwklx,\n  deny mount,\n"
	       "  deny /sys/[^f]*/** wklx,\n  ptrace (trace,read) peer=docker-default,\n}\n", &i);
	expect(&i, "{exec: /bin/sh}", 0);
	expect(&i, "{file: write, path: /srv/x}", 0);
	expect(&i, "{file: read, path: /}", 0);
	expect(&i, "{file: read, path: /proc/sysrq-trigger}", EACCES);
	expect(&i, "{file: write, path: /sys/kernel/x}", EPERM); /* by the baseline */
	expect(&i, "{file: read, path: /sys/kernel/x}", 0);
	expect(&i, "{mount: bind, source: /a, target: /b}", EPERM);
	expect(&i, "{mount: umount, target: /b}", 0);
	told(&i, "#include <abstractions/base> is not carried over, nor what it denies");
}

static void test_deny_is_kept(void **state)
{
	struct imported i cleanup(imported_done) = { .text = NULL };
	struct imported v cleanup(imported_done) = { .text = NULL };

	(void)state;
	APPARMOR(&i, "  file,\n  network,\n  deny /etc/@{NONE}/x r,\n  deny signal peer=x,\n  deny unix,\n"
		     "  deny mqueue,\n  deny link /a -> /b,\n  priority=5 deny /p w,\n  deny ptrace,\n"
		     "  deny io_uring,\n  signal,\n");
	expect(&i, "{file: read, path: /etc/anything}", EACCES);
	expect(&i, "{file: read, path: /usr/anything}", 0);
	expect(&i, "{signal: term, peer: same}", EPERM);
	expect(&i, "{ptrace: trace, peer: same}", EPERM);
	expect(&i, "{network: create, family: unix}", EACCES);
	expect(&i, "{network: create, family: netlink}", 0);
	expect(&i, "{ipc: mq, peer: same}", EACCES);
	expect(&i, "{file: link, path: /c}", EACCES);
	expect(&i, "{file: write, path: /p}", EACCES);
	expect(&i, "{file: write, path: /q}", 0);
	expect(&i, "{kernel: io_uring}", EPERM);
	told(&i, "4:3: the pattern /etc/@{NONE}/x");
	told(&i, "5:3: signal rules are not carried over with their conditions: every signal is denied");
	told(&i, "12:3: signal rules are not carried over\n");
	/* Variables that grow. */
	import(policy_import_apparmor, "@{D}=/a\n@{D}+=/b /c\nprofile p {\n  /** r,\n  deny @{D}/x r,\n}\n", &v);
	expect(&v, "{file: read, path: /a/x}", EACCES);
	expect(&v, "{file: read, path: /b/x}", EACCES);
	expect(&v, "{file: read, path: /c/x}", EACCES);
	expect(&v, "{file: read, path: /d/x}", 0);
#define FAILS(rules, what) fails(policy_import_apparmor, "profile p {\n" rules "\n}\n", what)
	FAILS("  deny @{NONE}/x r,", "2:3: the pattern @{NONE}/x of a deny rule");
	FAILS("  deny /x zz,", "this deny rule is not understood");
	FAILS("  deny /x,", "this deny rule is not understood");
	FAILS("  deny { /x r, }", "a block with a prefix");
	FAILS("  deny all,", "deny all");
#undef FAILS
}

static void test_truncated(void **state)
{
	static const char whole[] = "profile x {\n  /a r,\n  deny /etc/shadow r,\n}\n";
	char text[sizeof(whole)];

	(void)state;
	for (size_t len = sizeof("profile x {") - 1; len < sizeof(whole) - 3; len++) {
		memcpy(text, whole, len);
		text[len] = 0;
		fails(policy_import_apparmor, text, "the text ends within ");
	}
	{
		struct imported i cleanup(imported_done) = { .text = NULL };

		import(policy_import_apparmor, whole, &i);
		expect(&i, "{file: read, path: /a}", 0);
		expect(&i, "{file: read, path: /etc/shadow}", EACCES);
	}
	fails(policy_import_apparmor, "profile x {\n  /a r\n}\n", "the text ends within a rule");
	fails(policy_import_apparmor, "profile x {\n  \"/a r,\n}\n", "the text ends within a rule");
}

#define KUBE(spec) "kind: KubeArmorPolicy\nmetadata: {name: k}\nspec:\n" spec

static void test_kubearmor(void **state)
{
	struct imported i cleanup(imported_done) = { .text = NULL };

	(void)state;
	import(policy_import_kubearmor,
	       KUBE("  process:\n    bogus: 1\n    matchPaths:\n      - {path: /bin/nc, odd: 2, action: Blok}\n"
		    "      - {path: /bin/sh, action: Allow}\n"
		    "  network:\n    matchProtocols: [{protocol: sctp}]\n  action: Block\n"), &i);
	told(&i, "5:5: bogus is not carried over");
	told(&i, "7:25: odd is not carried over");
	told(&i, "no action is called Blok: it is taken for Block");
	told(&i, "the protocol sctp cannot be named: all of inet and inet6 is denied");
	expect(&i, "{exec: /bin/nc}", EACCES);
	expect(&i, "{exec: /bin/sh}", 0);
	expect(&i, "{network: connect, to: '10.0.0.1:1', protocol: sctp}", EACCES);
	fails(policy_import_kubearmor, KUBE("  process: {matchPaths: [{path: nc}]}\n  action: Block\n"),
	      "nc is blocked there");
	fails(policy_import_kubearmor, KUBE("  process: {matchPaths: [{pth: /x}]}\n  action: Block\n"),
	      "a blocked item without path");
	fails(policy_import_kubearmor, KUBE("  file: {matchPaths: {path: /x}}\n  action: Block\n"),
	      "matchPaths: expected a list");
	fails(policy_import_kubearmor, KUBE("  capabilities: {matchCapabilities: [{capability: xx}]}\n"
					    "  action: Block\n"), "no capability is called xx");
}

static void test_oci(void **state)
{
	struct imported i cleanup(imported_done) = { .text = NULL };
	struct imported r cleanup(imported_done) = { .text = NULL };

	(void)state;
	import(policy_import_oci,
	       "{\"ociVersion\":\"1\",\"mounts\":[{\"destination\":\"/t\",\"options\":[\"noexec\",\"ro\"]}],"
	       "\"linux\":{\"rootfsPropagation\":\"slave\",\"maskedPaths\":[\"/proc/kcore\",\"/odd{a,*\"],"
	       "\"readonlyPaths\":[\"/ro/\"]}}", &i);
	told(&i, "noexec of /t is not carried over");
	told(&i, "linux.rootfsPropagation is not carried over");
	expect(&i, "{file: read, path: /proc/kcore}", EPERM); /* by the baseline */
	expect(&i, "{file: read, path: '/odd{a,*'}", EACCES);
	expect(&i, "{file: read, path: '/odd{a,*/x'}", EACCES);
	expect(&i, "{file: read, path: /odda}", 0);
	expect(&i, "{file: write, path: /ro/x}", EACCES);
	expect(&i, "{file: read, path: /ro/x}", 0);
	expect(&i, "{file: write, path: /t/x}", EACCES);
	import(policy_import_oci, "{\"ociVersion\":\"1\",\"linux\":{\"readonlyPaths\":[\"/\"]}}", &r);
	expect(&r, "{file: write, path: /x/y}", EACCES);
	expect(&r, "{file: chmod, path: /}", EACCES);
	expect(&r, "{file: read, path: /x/y}", 0);
	fails(policy_import_oci, "{\"ociVersion\":\"1\",\"linux\":{\"maskedPaths\":[\"x\"]}}",
	      "x is no absolute path");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mount_operations), cmocka_unit_test(test_mount_conditions),
		cmocka_unit_test(test_network),		 cmocka_unit_test(test_docker_default),
		cmocka_unit_test(test_deny_is_kept),	 cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_kubearmor),	 cmocka_unit_test(test_oci),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
