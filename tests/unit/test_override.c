// SPDX-License-Identifier: LGPL-2.1-or-later
/* Overrides without BPF: rules on copied arguments, sources of binds, the journal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../user/override_internal.h"
#include "calls.h"
#include "cleanup.h"
#include "executor_step.h"
#include "warder_decide.h"

static const char policy_text[] =
	"policy: t\n"
	"mount:\n"
	"  - deny: [mount]\n"
	"    type: tmpfs\n"
	"    target: /mnt/denied/**\n"
	"override:\n"
	"  - on: mount\n" /* rule 2 */
	"    type: tmpfs\n"
	"    target: [/mnt/scratch/**, /mnt/denied/**]\n"
	"    options: {size: \"<=64M\"}\n"
	"    do: perform\n"
	"    force: [nosuid, nodev]\n"
	"  - on: mount\n"
	"    bind: /srv/shared/assets\n"
	"    target: /assets\n"
	"    do: perform\n"
	"    force: [ro, nosuid, nodev, noexec]\n"
	"  - on: mount\n"
	"    type: ramfs\n"
	"    target: /mnt/ram\n"
	"    do: perform\n";

static struct warder_image *img;

static int setup_image(void **state)
{
	struct policy_diags diags = { 0 };
	struct policy *p = NULL;

	(void)state;
	if (policy_parse("t.yaml", policy_text, strlen(policy_text), NULL, &p, &diags) ||
	    policy_compile(p, &img, &diags)) {
		policy_diags_print(&diags, stderr);
		return -1;
	}
	policy_diags_done(&diags);
	policy_free(p);
	return 0;
}

static int teardown_image(void **state)
{
	(void)state;
	free(img);
	return 0;
}

static struct override_facts facts_good(void)
{
	return (struct override_facts){
		.op = WARDER_OP_MOUNT,
		.relation = WARDER_BY_USERNS_CONTAINER,
		.cause = WARDER_CAUSE_CAPABILITY,
		.same_mntns = 1,
		.fstype = "tmpfs",
		.source = "none",
		.data = "",
		.target = "/mnt/scratch/a",
	};
}

static struct override_decision decision;

static int decide(const struct override_facts *f)
{
	override_decide(img, f, &decision);
	return decision.action;
}

static void test_allows(void **state)
{
	struct override_facts f = facts_good();

	(void)state;
	assert_int_equal(decide(&f), OVERRIDE_PERFORM);
	assert_int_not_equal(decision.rule, 0);
	/* An option that is left out becomes its bound. */
	assert_string_equal(decision.options, "size=67108864");
	assert_int_equal(decision.attr, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
}

/* Rules on calls other than mount(2): who, why, and that a baseline refusal is never granted. */
static void test_calls(void **state)
{
	static const char text[] = "policy: c\n"
				   "override:\n"
				   "  - {on: [setns, chroot], do: fake, value: 3, by: {uid: 7}}\n"
				   "  - {on: bpf, do: deny, errno: ENOSYS}\n"
				   "  - {on: reboot, do: report}\n";
	struct override_facts f = { .op = WARDER_OP_SETNS, .euid = 7, .fsuid = 7,
				    .relation = WARDER_BY_USERNS_CONTAINER,
				    .cause = WARDER_CAUSE_CAPABILITY, .fstype = "", .source = "",
				    .data = "" };
	struct warder_override_request r = { .op = WARDER_OP_BPF, .ops = WARDER_OVERRIDE_CALL,
					     .type_open = 1, .uid_open = 1,
					     .userns = WARDER_BY_USERNS_CONTAINER,
					     .cause = WARDER_CAUSE_BASELINE };
	struct policy_diags diags = { 0 };
	struct warder_image *calls = NULL;
	struct policy *p = NULL;

	(void)state;
	assert_int_equal(policy_parse("c.yaml", text, strlen(text), NULL, &p, &diags), 0);
	assert_int_equal(policy_compile(p, &calls, &diags), 0);
	policy_free(p);
	override_decide(calls, &f, &decision);
	assert_int_equal(decision.action, OVERRIDE_FAKE);
	assert_int_equal(decision.value, 3);
	f.op = WARDER_OP_CHROOT;
	f.cause = WARDER_CAUSE_LSM;
	override_decide(calls, &f, &decision);
	assert_int_equal(decision.action, OVERRIDE_KEEP);
	assert_non_null(strstr(decision.reason, "security module"));
	f.cause = WARDER_CAUSE_CAPABILITY;
	f.euid = 8;
	override_decide(calls, &f, &decision);
	assert_int_equal(decision.action, OVERRIDE_KEEP);
	assert_non_null(strstr(decision.reason, "only uid 7"));
	f.op = WARDER_OP_BPF;
	f.euid = f.fsuid = 0;
	f.cause = WARDER_CAUSE_BASELINE;
	override_decide(calls, &f, &decision);
	assert_int_equal(decision.action, OVERRIDE_DENY);
	assert_int_equal(decision.value, ENOSYS);
	f.op = WARDER_OP_REBOOT;
	override_decide(calls, &f, &decision);
	assert_int_equal(decision.action, OVERRIDE_KEEP);
	assert_int_equal(decision.reported, 1);
	f.op = WARDER_OP_UNSHARE;
	override_decide(calls, &f, &decision);
	assert_int_equal(decision.action, OVERRIDE_KEEP);
	assert_int_equal(decision.reported, 0);
	/* In the kernel: a report never waits. */
	assert_int_equal(warder_override_candidates(calls, warder_profile_at(calls, 0), &r), 1 << 2);
	r.op = WARDER_OP_REBOOT;
	assert_int_equal(warder_override_candidates(calls, warder_profile_at(calls, 0), &r), 0);
	r.op = WARDER_OP_SETNS;
	r.cause = WARDER_CAUSE_LSM;
	assert_int_equal(warder_override_candidates(calls, warder_profile_at(calls, 0), &r), 0);
	free(calls);
	policy_diags_done(&diags);
}

/* The matrix in the documents is the table's. */
static void test_matrix(void **state)
{
	char *table = NULL, *page;
	size_t size = 0;
	FILE *f = open_memstream(&table, &size), *doc = fopen("docs/OVERRIDES.md", "r");

	(void)state;
	assert_non_null(doc);
	call_print_matrix(f);
	fclose(f);
	page = calloc(1, 1 << 20);
	assert_true(fread(page, 1, (1 << 20) - 1, doc) > 0);
	fclose(doc);
	if (!strstr(page, table))
		fail_msg("docs/OVERRIDES.md does not have this table:\n%s", table);
	free(page);
	free(table);
}

static void test_call_text(void **state)
{
	struct warder_icept ic = { .call = WARDER_CALL_mknodat, .arg = { (__u32)-100, 4096, 020666, 0x103 } };
	char buf[300];

	(void)state;
	assert_string_equal(call_render(&ic, "/a", NULL, buf, sizeof(buf)),
			    "mknodat(AT_FDCWD, \"/a\", 020666, 1:3)");
	assert_string_equal(call_render(&ic, NULL, NULL, buf, sizeof(buf)),
			    "mknodat(AT_FDCWD, \"...\", 020666, 1:3)");
	ic = (struct warder_icept){ .call = WARDER_CALL_setns, .arg = { 5, 0x20000 } };
	assert_string_equal(call_render(&ic, NULL, NULL, buf, sizeof(buf)), "setns(5, 0x20000)");
	ic = (struct warder_icept){ .call = WARDER_CALL__MAX };
	assert_string_equal(call_render(&ic, NULL, NULL, buf, sizeof(buf)), "unknown()");
	assert_string_equal(call_render(&ic, NULL, NULL, buf, 4), "unk");
}

static void test_options(void **state)
{
	static const struct {
		const char *data, *options; /* NULL: refused */
	} cases[] = {
		{ "size=32M", "size=33554432" },
		{ "size=64M", "size=67108864" },
		{ "size=65M", NULL },
		{ "size=67108865", NULL },
		{ "size=0", NULL },
		{ "size=", NULL },
		{ "size", NULL },
		{ "size=50%", NULL },
		{ "size=0x10", NULL },
		{ "size=010", NULL },
		{ "size=-1", NULL },
		{ "size=1M,size=1G", NULL },
		{ "size=18446744073709551617", NULL },
		{ "size=16777216T", NULL },
		{ "nr_blocks=1000000", NULL },
		{ "size=1M,nr_blocks=0", NULL },
		{ "mode=755", NULL },
		{ "Size=1", NULL },
	};
	struct override_facts f = facts_good();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		f.data = cases[i].data;
		if (decide(&f) != (cases[i].options ? OVERRIDE_PERFORM : OVERRIDE_KEEP))
			fail_msg("%s: %s", f.data, decision.reason);
		if (cases[i].options)
			assert_string_equal(decision.options, cases[i].options);
		else
			assert_int_not_equal(decision.near_rule, 0);
	}
}

/* Each with one thing changed: kept, and the reason says which. */
static void test_refusals(void **state)
{
	struct override_facts f;

	(void)state;
#define KEEPS(change, text)                                             \
	do {                                                            \
		f = facts_good();                                       \
		change;                                                 \
		assert_int_equal(decide(&f), OVERRIDE_KEEP);            \
		if (!strstr(decision.reason, text))                     \
			fail_msg("%s: %s", #change, decision.reason);   \
	} while (0)
	KEEPS(f.target = "/mnt/other", "does not allow the target /mnt/other");
	KEEPS(f.target = "/mnt/scratch", "does not allow the target");
	KEEPS(f.target = NULL, "never overridden"); /* it could be the denied one */
	KEEPS(f.target = "/mnt/denied/x", "explicit deny");
	KEEPS((f.unresolved = 1, f.target = NULL, f.fstype = "ext4"), "type");
	KEEPS(f.euid = 1000, "uid 0");
	KEEPS(f.fsuid = 1000, "uid 0");
	KEEPS(f.relation = WARDER_BY_USERNS_NESTED, "user namespace below");
	KEEPS(f.relation = 0, "foreign");
	KEEPS(f.cause = WARDER_CAUSE_LSM, "cause: lsm");
	KEEPS(f.same_mntns = 0, "mount namespace");
	KEEPS(f.host_mntns = 1, "host");
	KEEPS(f.shared = 1, "shared");
	KEEPS(f.flags = MS_REMOUNT, "");
	KEEPS(f.flags = MS_MOVE, "");
	KEEPS(f.flags = MS_BIND, "");
	KEEPS(f.fstype = "tmpfs_and_a_name_beyond_what_any_rule_holds", "");
	KEEPS((f.fstype = "ramfs", f.target = "/mnt/ram"), "cannot be bounded");
	KEEPS((f.flags = MS_BIND, f.source = "/srv/shared", f.target = "/assets"), "offers");
#undef KEEPS
	f = facts_good();
	f.flags = MS_BIND;
	f.source = "/srv/shared/assets";
	f.target = "/assets";
	assert_int_equal(decide(&f), OVERRIDE_PERFORM);
	assert_string_equal(decision.bind, "/srv/shared/assets");
	assert_int_equal(decision.attr, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
						MOUNT_ATTR_NOEXEC);
}

/* ------------------------------------------------------------------- what it stands on */

static void test_bind_source(void **state)
{
	char base[] = "/root/warder-bind-XXXXXX", path[128], why[128];
	int fd;

	(void)state;
	if (geteuid())
		skip();
	assert_non_null(mkdtemp(base));
	snprintf(path, sizeof(path), "%s/d", base);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(bind_source_open(path, &fd, why, sizeof(why)), 0);
	close(fd);
	assert_int_equal(chmod(path, 0777), 0);
	assert_int_equal(bind_source_open(path, &fd, why, sizeof(why)), -EACCES);
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(chown(path, 1000, 0), 0);
	assert_int_equal(bind_source_open(path, &fd, why, sizeof(why)), -EACCES);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(symlink("/etc", path), 0);
	assert_int_equal(bind_source_open(path, &fd, why, sizeof(why)), -ELOOP);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(bind_source_open(path, &fd, why, sizeof(why)), -ENOENT);
	assert_int_equal(bind_source_open("etc", &fd, why, sizeof(why)), -EINVAL);
	assert_int_equal(bind_source_open("/etc/../etc", &fd, why, sizeof(why)), -EINVAL);
	assert_int_equal(bind_source_open("/tmp/x", &fd, why, sizeof(why)), -EACCES);
	rmdir(base);
}

static void test_journal(void **state)
{
	char base[] = "/tmp/warder-journal-XXXXXX", path[128];
	struct journal_entry e = { .cid = 7, .tid = 9, .target = "/mnt/x" }, got;
	struct warder_error error = { 0 };
	struct journal_boost boost;
	struct journal *j;

	(void)state;
	assert_non_null(mkdtemp(base));
	snprintf(path, sizeof(path), "%s/sub/journal", base);
	assert_int_equal(journal_open(&j, path, &error), 0);
	assert_int_equal(journal_read(j, 3, &got), 0);
	assert_int_equal(journal_write(j, 3, &e), 0);
	journal_close(j);
	assert_int_equal(journal_open(&j, path, &error), 0);
	assert_int_equal(journal_read(j, 2, &got), 0);
	assert_int_equal(journal_read(j, 3, &got), 1);
	assert_int_equal(got.cid, 7);
	assert_string_equal(got.target, "/mnt/x");
	assert_int_equal(journal_clear(j, 3), 0);
	assert_int_equal(journal_read(j, 3, &got), 0);
	/* Raised priorities have places of their own. */
	assert_int_equal(journal_boost_read(j, JOURNAL_PLACES - 1, &boost), 0);
	assert_int_equal(journal_boost_write(j, JOURNAL_PLACES - 1,
					     &(struct journal_boost){ .tid = 5, .policy = 3 }),
			 0);
	for (unsigned i = 0; i < JOURNAL_PLACES; i++)
		assert_int_equal(journal_read(j, i, &got), 0);
	journal_close(j);
	assert_int_equal(journal_open(&j, path, &error), 0);
	assert_int_equal(journal_boost_read(j, 0, &boost), 0);
	assert_int_equal(journal_boost_read(j, JOURNAL_PLACES - 1, &boost), 1);
	assert_int_equal(boost.tid, 5);
	assert_int_equal(boost.policy, 3);
	assert_int_equal(journal_boost_clear(j, JOURNAL_PLACES - 1), 0);
	assert_int_equal(journal_boost_read(j, JOURNAL_PLACES - 1, &boost), 0);
	journal_close(j);
	unlink(path);
	snprintf(path, sizeof(path), "%s/sub", base);
	rmdir(path);
	rmdir(base);
}

int main(void)
{
	const struct CMUnitTest rules[] = {
		cmocka_unit_test(test_allows),
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_matrix),
		cmocka_unit_test(test_call_text),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_journal),
		cmocka_unit_test(test_bind_source),
	};

	return cmocka_run_group_tests(rules, setup_image, teardown_image);
}
