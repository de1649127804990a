// SPDX-License-Identifier: LGPL-2.1-or-later
/* Texts that come and go: events from anywhere, what was learned, formatted and imported. */
#include <sys/mount.h>

#include "policy_fixture.h"

#include "policy_tools.h"

#define EVENT(more) "{\"type\":\"verdict\",\"cid\":3,\"program\":\"p\"," more "}"

static void test_events(void **state)
{
	static const struct {
		const char *line;
		int result;
		const char *text; /* the request, or the reason or error */
	} lines[] = {
		{ EVENT("\"class\":\"file\",\"access\":[\"read\"],\"path\":\"/x\\\\x0ay\""), 1,
		  "file read /x\\x0ay" },
		{ EVENT("\"class\":\"exec\",\"access\":[\"exec\"],\"path\":\"/x\""), 1, "exec /x" },
		{ EVENT("\"class\":\"capability\",\"capability\":\"CAP_KILL\""), 1, "capability kill" },
		{ EVENT("\"class\":\"signal\",\"signal\":15,\"peer_cid\":3"), 1, "signal term same" },
		{ EVENT("\"class\":\"signal\",\"signal\":15,\"peer_cid\":3,\"profile\":\"a\",\"peer_profile\":\"a\""), 1,
		  "signal term same" },
		{ EVENT("\"class\":\"signal\",\"signal\":15,\"peer_cid\":3,\"profile\":\"a\""), 1,
		  "signal term container" },
		{ EVENT("\"class\":\"ptrace\",\"access\":[\"read\"],\"peer_cid\":3,\"peer_profile\":\"a\""), 1,
		  "ptrace read container" },
		{ EVENT("\"class\":\"ipc\",\"access\":[\"sysv\"],\"peer_cid\":3,\"profile\":\"a\""), 1,
		  "ipc sysv same" },
		{ EVENT("\"class\":\"signal\",\"signal\":15,\"peer_cid\":0"), 1, "signal term host" },
		{ EVENT("\"class\":\"signal\",\"signal\":15,\"peer_cid\":9"), 0, "peer's name" },
		{ EVENT("\"class\":\"mount\",\"access\":[\"mount\"],\"path\":\"/m\",\"detail\":\"tmpfs\","
			"\"flags\":[\"nosuid\",7,\"zzz\"]"), 1, "mount tmpfs /m nosuid" },
		{ EVENT("\"class\":\"network\",\"access\":[\"connect\"],\"address\":\"1.2.3.4\","
			"\"port\":5,\"protocol\":\"tcp\""), 1, "network connect tcp 1.2.3.4:5" },
		{ EVENT("\"class\":\"network\",\"access\":[\"bind\"],\"address\":\"fd00::1\",\"port\":80,"
			"\"protocol\":\"udp\",\"family\":\"inet6\""), 1,
		  "network bind udp [fd00::1]:80" },
		{ EVENT("\"class\":\"network\",\"access\":[\"create\"],\"family\":\"inet\","
			"\"protocol\":\"tcp\""), 1, "network create tcp" },
		{ EVENT("\"class\":\"network\",\"access\":[\"connect\"],\"path\":\"@x\","
			"\"family\":\"unix\""), 1, "network connect abstract @x" },
		{ EVENT("\"class\":\"network\",\"access\":[\"connect\"],\"path\":\"/x\","
			"\"family\":\"unix\""), 1, "network connect unix /x" },
		{ EVENT("\"class\":\"network\",\"access\":[\"connect\"]"), 0, "address" },
		{ EVENT("\"class\":\"memory\",\"access\":[\"write_exec\"]"), 1, "memory write_exec" },
		{ EVENT("\"class\":\"device\",\"access\":[\"open\"],\"node\":\"c 1:3\""), 1,
		  "device open c 1:3" },
		{ EVENT("\"class\":\"file\",\"access\":[\"read\"],\"path\":\"/x\",\"why\":\"fault\""), 0,
		  "a fault" },
		{ EVENT("\"class\":\"file\",\"access\":[\"read\"],\"path\":\"/x\",\"why\":\"baseline\""),
		  0, "the baseline" },
		{ EVENT("\"class\":\"file\",\"access\":[\"read\"],\"path\":\"/x\\\\x00y\""), 0, "none" },
		{ EVENT("\"class\":\"file\",\"access\":[\"reed\"],\"path\":\"/x\""), 0, "access" },
		{ EVENT("\"class\":\"file\",\"access\":\"read\",\"path\":7"), 0, "access" },
		{ EVENT("\"class\":\"keyring\""), 0, "no rule" },
		{ EVENT("\"class\":9"), 0, "no rule" },
		{ "{\"type\":\"lifecycle\"}", 0, "no request" },
		{ EVENT("\"class\":\"file\",\"access\":[\"read\"],\"path\":\"/a/../b\""), 0, "none" },
		{ EVENT("\"class\":\"capability\",\"capability\":\"CAP_KILL\",\"version\":3"), 0,
		  "another version" },
		{ EVENT("\"class\":\"capability\",\"capability\":\"CAP_KILL\",\"version\":4"), 1,
		  "capability kill" },
		/* Whose socket it was: an event of the container's own. */
		{ EVENT("\"class\":\"network\",\"access\":[\"connect\"],\"path\":\"/x\","
			"\"family\":\"unix\",\"cid\":7,\"peer_cid\":7"), 1, "network connect unix /x same" },
		{ "", 0, "empty" },
		{ "  \n", 0, "empty" },
		{ "[]", -EINVAL, "an object" },
		{ "{\"type\":7}", -EINVAL, "an object" },
		{ "{} {}", -EINVAL, "no event" },
		{ "x", -EINVAL, "no event" },
		{ "{\"type\":\"verdict\"", -EINVAL, "no event" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct warder_error e = { "" };
		const char *reason = "";
		struct policy_event ev;
		char text[512] = "";
		int n = policy_event_parse(lines[i].line, strlen(lines[i].line), &ev, &reason, &e);

		if (n == 1) {
			request_text(&ev.request, text, sizeof(text));
			policy_event_done(&ev);
		}
		if (n != lines[i].result ||
		    !strstr(n == 1 ? text : n == 0 ? reason : e.text, lines[i].text))
			fail_msg("%s: %d, \"%s\"", lines[i].line, n,
				 n == 1 ? text : n == 0 ? reason : e.text);
	}
}

/* -------------------------------------------------------------------- learn */

static char *learn(const char *lines, unsigned threshold)
{
	struct learn_options options = { .name = "learned", .threshold = threshold };
	cleanup_fclose FILE *f = fmemopen((void *)(uintptr_t)lines, strlen(lines), "r");
	struct observations o = { 0 };
	struct policy_diags diags = { 0 };
	struct warder_error e = { "" };
	char *text = NULL;

	assert_non_null(f);
	assert_int_equal(observations_read(&o, f, "t", &diags), 0);
	policy_diags_done(&diags);
	if (policy_learn(&o, &options, &text, &e))
		fail_msg("%s", e.text);
	observations_done(&o);
	return text;
}

static size_t put_read(char *buf, size_t size, const char *path, const char *access)
{
	return (size_t)snprintf(buf, size,
				"{\"type\":\"learn\",\"class\":\"file\",\"program\":\"p\","
				"\"access\":[%s],\"path\":\"%s\"}\n", access, path);
}

static void test_learn(void **state)
{
	static const char *const secrets[] = { "/etc/shadow",	  "/home/u/.ssh/id_rsa",
					       "/run/secrets/db", "/proc/sys/kernel/pid_max",
					       "/srv/tls/a.key",  "/run/app.sock", "/root/x" };
	char lines[16384];
	cleanup_free char *text = NULL, *apart = NULL;
	size_t used = 0;

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		char path[64];

		snprintf(path, sizeof(path), "/srv/www/page%c.html", 'a' + (int)i);
		used += put_read(lines + used, sizeof(lines) - used, path, "\"read\"");
		snprintf(path, sizeof(path), "/proc/%u/stat", 100 + i);
		used += put_read(lines + used, sizeof(lines) - used, path, "\"read\"");
		snprintf(path, sizeof(path), "/var/spool/%u/job", i);
		used += put_read(lines + used, sizeof(lines) - used, path, "\"write\"");
		snprintf(path, sizeof(path), "/etc/file%u", i);
		used += put_read(lines + used, sizeof(lines) - used, path, "\"read\"");
		snprintf(path, sizeof(path), "/srv/tls/%u.key", i);
		used += put_read(lines + used, sizeof(lines) - used, path, "\"read\"");
		snprintf(path, sizeof(path), "/home/u/.ssh/key%u", i);
		used += put_read(lines + used, sizeof(lines) - used, path, "\"read\"");
		snprintf(path, sizeof(path), "/proc/sys/vm/x%u", i);
		used += put_read(lines + used, sizeof(lines) - used, path, "\"read\"");
	}
	for (size_t i = 0; i < ARRAY_SIZE(secrets); i++) {
		assert_true(learn_is_never(secrets[i]));
		used += put_read(lines + used, sizeof(lines) - used, secrets[i], "\"read\"");
	}
	used += put_read(lines + used, sizeof(lines) - used, "/srv/www/pagea.html", "\"write\"");
	text = learn(lines, 5);
	assert_non_null(strstr(text, "\"/srv/www/*.html\"  # 5 times, 5 names\n"));
	assert_non_null(strstr(text, "\"/proc/[0-9]*/stat\"  # 6 times, 6 names\n"));
	assert_non_null(strstr(text, "\"/var/spool/[0-9]*/job\"  # 6 times, 6 names\n"));
	assert_non_null(strstr(text, "- allow: [read, write]\n    path:\n      - /srv/www/pagea.html"));
	/* A pattern over /etc would hold shadow, one over .ssh or sysctls is none. */
	assert_null(strstr(text, "/etc/*"));
	assert_null(strstr(text, "/etc/file[0-9]*"));
	assert_null(strstr(text, ".ssh/*"));
	assert_null(strstr(text, "/srv/tls/*"));
	assert_null(strstr(text, "/proc/sys/vm/*"));
	assert_non_null(strstr(text, "- /etc/shadow  # seen once, never generalised\n"));
	assert_non_null(strstr(text, "- /etc/file3  # seen once\n"));
	apart = learn(lines, 7);
	assert_null(strstr(apart, "*.html"));
	assert_non_null(strstr(apart, "- /srv/www/pageb.html  # seen once\n"));
}

/* --------------------------------------------------------------------- fmt */

static char *format(const char *text)
{
	struct policy_diags d = { 0 };
	char *out = NULL;

	if (policy_format("t", text, strlen(text), &out, &d)) {
		policy_diags_print(&d, stderr);
		fail_msg("not formatted: %s", text);
	}
	policy_diags_done(&d);
	return out;
}

static void test_format(void **state)
{
	static const char *const texts[][2] = {
		{ "policy:   x   # c\nfile:\n- path: /a\n  allow: [ read ]\n",
		  "policy: x  # c\nfile:\n  - allow: [read]\n    path: /a\n" },
		{ "# one\n\n\n# two\npolicy: x\n\n\n\nmode: audit\n# end",
		  "# one\n\n# two\npolicy: x\n\nmode: audit\n# end\n" },
		{ "{policy: x, mode: audit}\n", "policy: x\nmode: audit\n" },
		{ "policy: 'a#b'\nvars: {A: [ '/x # y' , \"/z\"]}\n",
		  "policy: 'a#b'\nvars: {A: ['/x # y', \"/z\"]}\n" },
		{ "policy: x\nfile:\n  - # first\n    allow: read\n    path: [/a, # why\n     /b]\n",
		  "policy: x\nfile:\n  # first\n  - allow: read\n    path:\n      - /a  # why\n      - "
		  "/b\n" },
		{ "policy: x\nexec: &e\n - allow: /a\nmemory: {}\n",
		  "policy: x\nexec: &e\n  - allow: /a\nmemory: {}\n" },
		{ "policy: >\n  folded\n  text\n", "policy: \"folded text\\x0a\"\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		cleanup_free char *out = format(texts[i][0]), *again = NULL;

		assert_string_equal(out, texts[i][1]);
		again = format(out);
		assert_string_equal(again, out);
		assert_int_equal(policy_same_tree("t", texts[i][0], out), 0);
	}
	assert_int_equal(policy_same_tree("t", "a: [1, 2]", "a: [2, 1]"), -EINVAL);
	assert_int_equal(policy_same_tree("t", "{a: 1, b: 2}", "{b: 2, a: 1}"), 0);
}

/* ------------------------------------------------------------------- imports */

static char *import(int (*run)(const char *, const char *, size_t, char **, struct policy_diags *),
		    const char *text, const char *lost)
{
	struct policy_diags d = { 0 };
	char *out = NULL;
	bool told = !*lost;

	if (run("t", text, strlen(text), &out, &d)) {
		policy_diags_print(&d, stderr);
		fail_msg("not imported");
	}
	for (size_t i = 0; i < d.count; i++)
		told |= d.item[i].line && strstr(d.item[i].text, lost) != NULL;
	assert_true(told);
	policy_diags_done(&d);
	free(good(out));
	return out;
}

static void test_imports(void **state)
{
	/* "/x/" is a folder's name there, and so "/x{,/}" the folder or a file. */
	static const char *const folders[] = { "/a{,/**}", "/b",    "/c{,/**}",      "/d{,/*}", "/e/*",
					       "/f{/**,}", "/g/{x,y}", "/h{/x,/y,}" };
	cleanup_free char *a = NULL, *f = NULL, *k = NULL, *o = NULL;
	struct policy_diags d = { 0 };
	char *out;

	(void)state;
	a = import(policy_import_apparmor,
		   "@{D}=/srv /opt\nprofile p flags=(complain) {\n  /etc/{a,b} r, # c\n  @{D}/** rw,\n"
		   "  deny /srv/x w,\n  /bin/* ix,\n  capability kill,\n  dbus send,\n}\n",
		   "dbus");
	assert_non_null(strstr(a, "mode: audit\n"));
	assert_non_null(strstr(a, "{allow: [read], path: \"/etc/{a,b}\"}"));
	assert_non_null(strstr(a, "path: \"{/srv,/opt}/**\"}"));
	assert_non_null(strstr(a, "{deny: [write"));
	assert_non_null(strstr(a, "exec:\n  - {allow: \"/bin/*\"}"));
	f = import(policy_import_apparmor,
		   "profile p {\n  /a/{,**} r,\n  /b{,/} r,\n  /c{,/,/**} r,\n  /d/{,*} r,\n  /e/*/ r,\n"
		   "  /f{/**,} r,\n  /g/{x,y} r,\n  /h/{x,y,} r,\n  /{,**} r,\n  deny userns,\n  dbus,\n}\n",
		   "dbus");
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		char path[64];

		snprintf(path, sizeof(path), "path: \"%s\"}", folders[i]);
		if (!strstr(f, path))
			fail_msg("%s is not in\n%s", path, f);
	}
	assert_non_null(strstr(f, "namespace:\n  - {deny: [user]}"));
	k = import(policy_import_kubearmor,
		   "kind: KubeArmorPolicy\nmetadata: {name: k}\nspec:\n  file:\n    matchPaths: [{path: "
		   "/a, readOnly: true}]\n  syscalls: {}\n  action: Allow\n",
		   "syscalls");
	assert_non_null(strstr(k, "defaults: {file: deny}"));
	assert_non_null(strstr(k, "{allow: [read], path: \"/a\"}"));
	o = import(policy_import_oci,
		   "{\"ociVersion\":\"1\",\"process\":{\"capabilities\":{\"bounding\":[\"CAP_KILL\"]}},"
		   "\"linux\":{\"maskedPaths\":[\"/proc/kcore\"],\"seccomp\":{}}}",
		   "seccomp");
	assert_non_null(strstr(o, "{deny: [\"*\"], path: \"/proc/kcore{,/**}\"}"));
	assert_non_null(strstr(o, "{allow: [kill]}"));
	assert_int_equal(policy_import_apparmor("t", "nothing", 7, &out, &d), -EINVAL);
	assert_int_equal(policy_import_kubearmor("t", "a: b", 4, &out, &d), -EINVAL);
	assert_int_equal(policy_import_oci("t", "[]", 2, &out, &d), -EINVAL);
	assert_int_equal(d.errors, 3);
	policy_diags_done(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_learn),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_imports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
