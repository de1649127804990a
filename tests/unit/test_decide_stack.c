// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Stacks in the decision engine, natively and in BPF: every row of the truth table put to every pair
 * of its policies and to stacks of more, in each order, and compared with what the policies say one by
 * one; and rows of their own for what only a stack has.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "policy_fixture.h"
#include "policy_tools.h"
#include "policy_shared.h"

#include "decide_probe.skel.h"
#include "decide_question.h"

static struct warder_image *stack_of(const struct warder_image *const *member, size_t count)
{
	struct warder_image *img;
	struct warder_error e = { "" };

	if (image_stack(member, count, &img, &e))
		fail_msg("%s", e.text);
	return img;
}

/* Does the row ask the policy at all, and is its answer a verdict? */
static int asks_verdict(const struct decide_case *c)
{
	return c->kind != PROBE_BASELINE && c->kind != PROBE_DEVICE && c->kind != PROBE_OVERRIDE &&
	       c->kind != PROBE_TARGET && c->kind != PROBE_KERNEL_FILE;
}

/* Is its answer a set of rules? */
static int asks_rules(const struct decide_case *c)
{
	return c->kind == PROBE_OVERRIDE || c->kind == PROBE_TARGET;
}

/* Which of the members' verdicts must stand, by the words of the language and not by the engine's
 * numbers: a refusal, then what would be one, then what is reported, then a rule, then the first;
 * of refusals the baseline, then an explicit one. */
static size_t winner(const struct probe_reply *r, size_t count)
{
	static const __u8 actions[] = { WARDER_DENY, WARDER_AUDIT };
	static const __u8 whys[] = { WARDER_WHY_BASELINE, WARDER_WHY_RULE };

	for (size_t a = 0; a < ARRAY_SIZE(actions); a++) {
		for (size_t w = 0; w < ARRAY_SIZE(whys); w++)
			for (size_t i = 0; i < count; i++)
				if (r[i].v.action == actions[a] && r[i].v.why == whys[w])
					return i;
		for (size_t i = 0; i < count; i++)
			if (r[i].v.action == actions[a])
				return i;
	}
	for (size_t i = 0; i < count; i++)
		if (r[i].v.report)
			return i;
	for (size_t i = 0; i < count; i++)
		if (r[i].v.rule)
			return i;
	return 0;
}

/* One question to a stack whose members are numbered in `member`; the profile of the row is the
 * first member's, the others are at their top. */
static int stack_wrong(const struct warder_image *stack, const int *member, size_t count, size_t row,
		       struct warder_text text[2])
{
	struct probe_reply one[WARDER_LAYERS_MAX], all;
	struct probe_request q;
	__u32 base = 0, stride = 1, to = 0;
	size_t w;

	case_question(&decide_cases[row], &q, text);
	if (q.profile >= image[member[0]]->h.profile.count)
		return 0;
	probe_run(stack, &text[0], &text[1], &q, &all);
	for (size_t i = 0; i < count; i++) {
		const struct warder_image *m = image[member[i]];

		probe_run(m, &text[0], &text[1], &q, &one[i]);
		q.profile = 0; /* of the others */
		to += stride * (one[i].v.profile ? one[i].v.profile :
						   i ? 0 : decide_cases[row].profile);
		stride *= m->h.profile.count;
	}
	if (!asks_verdict(&decide_cases[row])) {
		__u64 set = 0;

		for (size_t i = 0; i < count; i++) {
			const struct warder_image_header *h = &image[member[i]]->h;

			/* The baseline is the same for all. */
			set |= one[i].set << (asks_rules(&decide_cases[row]) ? base : 0);
			base += h->mount.count > h->override_.count ? h->mount.count :
								      h->override_.count;
		}
		return set != all.set;
	}
	w = winner(one, count);
	for (size_t i = 0, first = 0; i < count; i++) {
		const struct warder_image_header *h = &image[member[i]]->h;
		__u32 rule = one[i].v.rule ? (__u32)first + one[i].v.rule : 0;
		/* The baseline comes before the policies, and is nobody's. */
		if (all.v.why == WARDER_WHY_BASELINE)
			break;
		if (i == w && (all.v.rule != rule || all.v.layer != (all.v.rule ||
			       all.v.action != WARDER_ALLOW ? i : all.v.layer)))
			return 2;
		if (all.v.by[i] != rule)
			return 3;
		if ((all.v.against >> i & 1) != (one[i].v.action != WARDER_ALLOW))
			return 4;
		first += h->rule.count;
	}
	/* By whom it was asked is not the same: ipc rules of all before the names. All must allow. */
	if (decide_cases[row].kind == PROBE_UNIX_PEER &&
	    all.v.action == WARDER_DENY && one[w].v.action == WARDER_DENY)
		return 0;
	for (size_t i = 0; i < count; i++)
		if (one[i].v.profile)
			return all.v.profile == to ? 0 : 5;
	if (all.v.action != one[w].v.action || all.v.err != one[w].v.err ||
	    all.v.why != one[w].v.why || all.v.access != one[w].v.access ||
	    !all.v.report != !one[w].v.report || all.v.profile)
		return 6;
	if (decide_cases[row].kind == PROBE_UNIX) {
		__u64 named = 1;

		for (size_t i = 0; i < count; i++)
			named &= one[i].set;
		return all.set == named ? 0 : 7;
	}
	return 0;
}

static int all_rows(const int *member, size_t count)
{
	cleanup_free struct warder_text *text = calloc(2, sizeof(*text));
	const struct warder_image *m[WARDER_LAYERS_MAX];
	cleanup_free struct warder_image *stack = NULL;
	int wrong = 0;

	assert_non_null(text);
	for (size_t i = 0; i < count; i++)
		m[i] = image[member[i]];
	stack = stack_of(m, count);
	for (size_t row = 0; row < CASES; row++) {
		int bad = stack_wrong(stack, member, count, row, text);

		if (!bad)
			continue;
		print_error("row %zu (%s) put to %s: mistake %d\n", row,
			    decide_cases[row].path ? decide_cases[row].path : "-",
			    image_string(stack, stack->h.name), bad);
		wrong++;
	}
	return wrong;
}

static void test_pairs(void **state)
{
	int wrong = 0;

	(void)state;
	for (int a = 0; a < P__MAX; a++)
		for (int b = 0; b < P__MAX; b++)
			if (a != b)
				wrong += all_rows((const int[]) { a, b }, 2);
	assert_int_equal(wrong, 0);
}

/* Three and four: each policy once in each place. */
static void test_more(void **state)
{
	int wrong = 0;

	(void)state;
	for (int a = 0; a < P__MAX; a++) {
		int member[] = { a, (a + 1) % P__MAX, (a + 4) % P__MAX, (a + 9) % P__MAX };

		wrong += all_rows(member, 3);
		wrong += all_rows(member, 4);
	}
	assert_int_equal(wrong, 0);
}

/* The same bytes in BPF: what the kernel would say of a stack. */
static void test_bpf(void **state)
{
	cleanup_free struct warder_text *text = calloc(2, sizeof(*text));
	int wrong = 0, zero = 0, one = 1, fd;
	struct decide_probe *skel;

	(void)state;
	assert_non_null(text);
	skel = geteuid() ? NULL : decide_probe__open();
	if (!skel || decide_probe__load(skel)) {
		int no_bpf = !skel || errno == EPERM || errno == ENOSYS;

		decide_probe__destroy(skel);
		if (!no_bpf)
			fail_msg("the verifier refuses the engine");
		print_message("skipped: this kernel refuses BPF programs\n");
		skip();
	}
	fd = bpf_program__fd(skel->progs.decide_probe);
	for (int a = 0; a < P__MAX; a++) {
		const struct warder_image *m[] = { image[a], image[(a + 1) % P__MAX],
						   image[(a + 3) % P__MAX] };
		cleanup_free struct warder_image *stack = stack_of(m, ARRAY_SIZE(m));

		assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.probe_image), &zero,
						     stack, 0), 0);
		for (size_t row = 0; row < CASES; row++) {
			struct probe_reply native, bpf;
			LIBBPF_OPTS(bpf_test_run_opts, run);
			struct probe_request q;

			case_question(&decide_cases[row], &q, text);
			if (q.profile >= stack->h.profile.count)
				continue;
			probe_run(stack, &text[0], &text[1], &q, &native);
			assert_int_equal(bpf_map_update_elem(
						 bpf_map__fd(skel->maps.probe_question), &zero, &q,
						 0), 0);
			assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.probe_text),
							     &zero, &text[0], 0), 0);
			assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.probe_text),
							     &one, &text[1], 0), 0);
			assert_int_equal(bpf_prog_test_run_opts(fd, &run), 0);
			assert_int_equal(run.retval, 0);
			assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(skel->maps.probe_answer),
							     &zero, &bpf), 0);
			if (memcmp(&native, &bpf, sizeof(bpf))) {
				print_error("row %zu put to %s: BPF says action %u rule %u, "
					    "natively %u and %u\n", row,
					    image_string(stack, stack->h.name), bpf.v.action,
					    bpf.v.rule, native.v.action, native.v.rule);
				wrong++;
			}
		}
	}
	decide_probe__destroy(skel);
	assert_int_equal(wrong, 0);
}

/* ------------------------------------------------------------- what only a stack has */

#define A "policy: a\ndefaults: {file: deny}\nfile:\n - {allow: [read, rename, delete, create], path: '/d/**'}\n"
#define B "policy: b\nfile: [{deny: write, path: /d/x, errno: EROFS}]\n"

struct row {
	const char *member[WARDER_LAYERS_MAX];
	const char *request; /* as `policy explain` takes it */
	__u32 profile;
	__u32 action;
	int err;
	const char *policy; /* whose verdict it is */
	__u32 line;         /* of the rule, 0: none */
	__u32 against;
	__u32 leads_to;
};

#define ENF(name) "policy: " name "\n"
#define AUD(name) "policy: " name "\nmode: audit\n"
#define DENY_X "file: [{deny: read, path: /x, errno: ENOENT}]\n"
#define ALLOW_X "file: [{allow: read, path: /x}]\n"
#define SHUT_NET(name) ENF(name) "defaults: {network: deny}\n"
#define SHUT "defaults: {file: deny}\n"

static const struct row rows[] = {
	/* allow, deny and default in each of two, both orders */
	{ { ENF("a") ALLOW_X, ENF("b") ALLOW_X }, "file read /x", 0, WARDER_ALLOW, 0, "a", 2, 0, 0 },
	{ { ENF("a") ALLOW_X, ENF("b") DENY_X }, "file read /x", 0, WARDER_DENY, ENOENT, "b", 2, 2, 0 },
	{ { ENF("a") DENY_X, ENF("b") ALLOW_X }, "file read /x", 0, WARDER_DENY, ENOENT, "a", 2, 1, 0 },
	{ { ENF("a") DENY_X, ENF("b") DENY_X }, "file read /x", 0, WARDER_DENY, ENOENT, "a", 2, 3, 0 },
	{ { ENF("a") SHUT, ENF("b") ALLOW_X }, "file read /x", 0, WARDER_DENY, EACCES, "a", 0, 1, 0 },
	{ { ENF("a") ALLOW_X, ENF("b") SHUT }, "file read /x", 0, WARDER_DENY, EACCES, "b", 0, 2, 0 },
	{ { ENF("a") SHUT, ENF("b") DENY_X }, "file read /x", 0, WARDER_DENY, ENOENT, "b", 2, 3, 0 },
	{ { ENF("a") DENY_X, ENF("b") SHUT }, "file read /x", 0, WARDER_DENY, ENOENT, "a", 2, 3, 0 },
	{ { ENF("a"), ENF("b") ALLOW_X }, "file read /x", 0, WARDER_ALLOW, 0, "b", 2, 0, 0 },
	{ { ENF("a") ALLOW_X, ENF("b") }, "file read /x", 0, WARDER_ALLOW, 0, "a", 2, 0, 0 },
	{ { ENF("a"), ENF("b") DENY_X }, "file read /x", 0, WARDER_DENY, ENOENT, "b", 2, 2, 0 },
	{ { ENF("a"), ENF("b") }, "file read /x", 0, WARDER_ALLOW, 0, "a+b", 0, 0, 0 },
	/* modes */
	{ { AUD("a") DENY_X, ENF("b") ALLOW_X }, "file read /x", 0, WARDER_AUDIT, ENOENT, "a", 3, 1, 0 },
	{ { ENF("a") ALLOW_X, AUD("b") DENY_X }, "file read /x", 0, WARDER_AUDIT, ENOENT, "b", 3, 2, 0 },
	{ { AUD("a") DENY_X, ENF("b") SHUT }, "file read /x", 0, WARDER_DENY, EACCES, "b", 0, 3, 0 },
	{ { ENF("a") SHUT, AUD("b") DENY_X }, "file read /x", 0, WARDER_DENY, EACCES, "a", 0, 3, 0 },
	{ { AUD("a") DENY_X, AUD("b") DENY_X }, "file read /x", 0, WARDER_AUDIT, ENOENT, "a", 3, 3, 0 },
	{ { AUD("a") SHUT, AUD("b") DENY_X }, "file read /x", 0, WARDER_AUDIT, ENOENT, "b", 3, 3, 0 },
	/* three, and the last */
	{ { ENF("a"), ENF("b"), ENF("c") DENY_X }, "file read /x", 0, WARDER_DENY, ENOENT, "c", 2, 4, 0 },
	{ { ENF("a"), AUD("b") DENY_X, ENF("c"), ENF("d") SHUT }, "file read /x", 0, WARDER_DENY,
	  EACCES, "d", 0, 10, 0 },
	/* the other classes */
	{ { ENF("a") "capability: [{deny: chown}]\n", ENF("b") "capability: [{allow: chown}]\n" },
	  "capability chown", 0, WARDER_DENY, EPERM, "a", 2, 1, 0 },
	{ { ENF("a"), ENF("b") "defaults: {capability: deny}\n" }, "capability chown", 0, WARDER_DENY,
	  EPERM, "b", 0, 2, 0 },
	{ { ENF("a") "memory: {write_exec: deny}\n", ENF("b") }, "memory write_exec", 0, WARDER_DENY,
	  EACCES, "a", 2, 1, 0 },
	{ { ENF("a") "namespace: [{allow: uts}]\n", ENF("b") }, "namespace uts", 0, WARDER_DENY, EPERM,
	  "b", 0, 2, 0 },
	{ { ENF("a") "namespace: [{allow: uts}]\n", ENF("b") "namespace: [{allow: uts}]\n" },
	  "namespace uts", 0, WARDER_ALLOW, 0, "a", 2, 0, 0 },
	{ { ENF("a") "kernel: [{allow: io_uring}]\n", ENF("b") }, "kernel io_uring", 0, WARDER_DENY,
	  EPERM, "b", 0, 2, 0 },
	{ { ENF("a") "unsafe: [bpf]\nkernel: [{allow: bpf}]\n", ENF("b") },
	  "kernel bpf", 0, WARDER_DENY, EPERM, NULL, 0, 0, 0 },
	{ { ENF("a") "mount: [{allow: umount, target: /m}]\n", ENF("b") "mount: [{allow: umount}]\n" },
	  "mount umount /m", 0, WARDER_ALLOW, 0, "a", 2, 0, 0 },
	{ { ENF("a") "mount: [{allow: umount, target: /m}]\n", ENF("b") "mount: [{deny: umount, target: /m}]\n" },
	  "mount umount /m", 0, WARDER_DENY, EPERM, "b", 2, 2, 0 },
	{ { ENF("b") "mount: [{allow: umount}, {allow: mount}]\n", ENF("a") "mount: [{allow: umount, target: /m}]\n" },
	  "mount umount /n", 0, WARDER_DENY, EPERM, "a", 0, 2, 0 },
	{ { SHUT_NET("a") "network: [{allow: connect, to: '10.0.0.0/8:80'}]\n",
	    SHUT_NET("b") "network: [{allow: connect, to: '10.1.0.0/16'}]\n" },
	  "network connect tcp 10.1.0.1:80", 0, WARDER_ALLOW, 0, "a", 3, 0, 0 },
	{ { SHUT_NET("a") "network: [{allow: connect, to: '10.0.0.0/8:80'}]\n",
	    SHUT_NET("b") "network: [{allow: connect, to: '10.1.0.0/16'}]\n" },
	  "network connect tcp 10.2.0.1:80", 0, WARDER_DENY, EACCES, "b", 0, 2, 0 },
	{ { SHUT_NET("a") "network: [{allow: connect, to: '10.0.0.0/8:80'}]\n",
	    SHUT_NET("b") "network: [{allow: connect, to: '10.1.0.0/16'}]\n" },
	  "network connect tcp 10.1.0.1:81", 0, WARDER_DENY, EACCES, "a", 0, 1, 0 },
	{ { ENF("a") "device: [{allow: open, node: 'c 10:229'}]\n", ENF("b") },
	  "{device: open, node: 'c 10:229'}", 0, WARDER_DENY, EPERM, "b", 0, 2, 0 },
	{ { ENF("a") "ptrace: [{deny: trace, peer: same}]\n", ENF("b") }, "ptrace trace same", 0,
	  WARDER_DENY, EPERM, "a", 2, 1, 0 },
	{ { ENF("a") "signal: [{allow: term, peer: 'container:x'}]\n", ENF("b") },
	  "signal term container:x", 0, WARDER_DENY, EPERM, "a+b", 0, 2, 0 },
	{ { ENF("a") "signal: [{allow: term, peer: 'container:x'}]\n",
	    ENF("b") "signal: [{allow: term, peer: 'container:x'}]\n" },
	  "signal term container:x", 0, WARDER_ALLOW, 0, "a", 2, 0, 0 },
};

static void test_rows(void **state)
{
	int wrong = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *c = &rows[i];
		struct warder_image *m[WARDER_LAYERS_MAX] = { 0 };
		cleanup_free struct warder_image *stack = NULL;
		cleanup_free char *memory = NULL, *words = strdup(c->request);
		char *argv[8], *save;
		struct policy_request r;
		const struct warder_rule *rule;
		struct warder_verdict v;
		struct warder_error e;
		size_t count = 0;
		int argc = 0;

		for (; count < WARDER_LAYERS_MAX && c->member[count]; count++)
			m[count] = good(c->member[count]);
		stack = stack_of((const struct warder_image *const *)m, count);
		for (char *w = strtok_r(words, *words == '{' ? "" : " ", &save); w && argc < 8;
		     w = strtok_r(NULL, " ", &save))
			argv[argc++] = w;
		if (request_from_arguments(argc, argv, &r, &memory, &e))
			fail_msg("row %zu: %s", i, e.text);
		r.profile = c->profile;
		assert_int_equal(policy_decide(stack, &r, &v), 0);
		rule = image_rule(stack, v.rule);
		if (v.action != c->action || v.err != c->err || (rule ? rule->line : 0) != c->line ||
		    v.against != c->against || v.profile != c->leads_to ||
		    (c->policy && strcmp(image_verdict_policy(stack, &v), c->policy)) ||
		    (rule && image_rule_layer(stack, v.rule) != v.layer)) {
			print_error("row %zu, %s: action %u errno %u policy %s line %u against %#x\n",
				    i, c->request, v.action, v.err, image_verdict_policy(stack, &v),
				    rule ? rule->line : 0, v.against);
			wrong++;
		}
		for (size_t k = 0; k < count; k++)
			free(m[k]);
	}
	assert_int_equal(wrong, 0);
}

/* ------------------------------------------------------------------------ profiles */

/* Programs that lead to a profile may not be changed in another. */
#define KEEP "file: [{deny: [write, append, create, rename, link], path: '/bin/**'}]\n"
#define WEB                                                                                        \
	"policy: web\n" KEEP "exec: [{allow: /bin/a, profile: p}, {allow: /bin/both, profile: q}, {allow: '/**'}]\n" \
	"profiles: {p: {file: [{deny: read, path: /secret}]}, q: {}}\n"
#define DB                                                                                         \
	"policy: db\n" KEEP "exec: [{allow: /bin/b, profile: r}, {allow: /bin/both, profile: r}, {allow: '/**'}]\n"  \
	"profiles: {r: {file: [{deny: read, path: /other}]}}\n"

static __u32 after(const struct warder_image *img, __u32 profile, const char *program)
{
	struct policy_request r = { .class_ = WARDER_CLASS_EXEC, .access = WARDER_ACC_EXEC,
				    .path = program, .profile = profile };
	struct warder_verdict v;

	assert_int_equal(policy_decide(img, &r, &v), 0);
	assert_int_equal(v.action, WARDER_ALLOW);
	return v.profile ? v.profile : profile;
}

static int reads(const struct warder_image *img, __u32 profile, const char *path)
{
	struct policy_request r = { .class_ = WARDER_CLASS_FILE, .access = WARDER_ACC_READ,
				    .path = path, .profile = profile };
	struct warder_verdict v;

	assert_int_equal(policy_decide(img, &r, &v), 0);
	return v.action == WARDER_ALLOW;
}

static void profile_is(const struct warder_image *img, __u32 number, const char *name)
{
	const struct warder_profile *p = image_profile(img, number);

	assert_non_null(p);
	assert_string_equal(image_string(img, p->name), name);
	assert_int_equal(image_find_profile(img, name), number);
}

/* Each policy goes its own way. */
static void test_profiles(void **state)
{
	struct warder_image *m[] = { good(WEB), good(DB) };
	struct warder_image *img = stack_of((const struct warder_image *const *)m, 2);
	__u32 p, r, pr, qr;

	(void)state;
	assert_int_equal(img->h.profile.count, 6);
	p = after(img, 0, "/bin/a");
	r = after(img, 0, "/bin/b");
	pr = after(img, p, "/bin/b");
	qr = after(img, 0, "/bin/both");
	profile_is(img, p, "p+-");
	profile_is(img, r, "-+r");
	profile_is(img, pr, "p+r");
	profile_is(img, qr, "q+r");
	assert_int_equal(after(img, r, "/bin/a"), pr);
	/* What was earned stays where no rule speaks. */
	assert_int_equal(after(img, pr, "/bin/else"), pr);
	assert_true(reads(img, 0, "/secret") && reads(img, 0, "/other"));
	assert_true(!reads(img, p, "/secret") && reads(img, p, "/other"));
	assert_true(reads(img, r, "/secret") && !reads(img, r, "/other"));
	assert_true(!reads(img, pr, "/secret") && !reads(img, pr, "/other"));
	/* A script's step, then its interpreter's: the first counts, for each policy. */
	assert_int_equal(warder_profile_merge(img, warder_profile_at(img, 0),
					      warder_profile_at(img, p),
					      warder_profile_at(img, qr)), pr);
	assert_int_equal(warder_profile_common(img, warder_profile_at(img, p),
					       warder_profile_at(img, pr)), 1);
	assert_int_equal(warder_profile_common(img, warder_profile_at(img, qr),
					       warder_profile_at(img, pr)), 2);
	assert_int_equal(warder_profile_common(img, warder_profile_at(img, p),
					       warder_profile_at(img, r)), 0);
	for (size_t i = 0; i < 2; i++)
		free(m[i]);
	free(img);
}

/* Peers: `same` is each policy's own question. */
static void test_peers(void **state)
{
	struct warder_image *m[] = { good(WEB "ptrace: [{deny: trace, peer: same}]\n"), good(DB) };
	struct warder_image *img = stack_of((const struct warder_image *const *)m, 2);
	__u32 top = warder_profile_at(img, 0);
	struct warder_peer_request q = { .class_ = WARDER_CLASS_PTRACE, .op = WARDER_PTRACE_TRACE,
					 .relation = WARDER_RELATION_CONTAINER };
	struct warder_verdict v;

	(void)state;
	/* The peer is in another profile of db's, but in the same one of web's. */
	q.common = (__u32)warder_profile_common(
		img, top, warder_profile_at(img, (__u32)image_find_profile(img, "-+r")));
	warder_decide_peer(img, top, &q, &v);
	assert_int_equal(v.action, WARDER_DENY);
	assert_string_equal(image_verdict_policy(img, &v), "web");
	q.common = (__u32)warder_profile_common(
		img, top, warder_profile_at(img, (__u32)image_find_profile(img, "p+-")));
	warder_decide_peer(img, top, &q, &v);
	assert_int_equal(v.action, WARDER_ALLOW);
	for (size_t i = 0; i < 2; i++)
		free(m[i]);
	free(img);
	/* A peer under several policies is one under each of them. */
	img = good("policy: x\nsignal: [{allow: term, peer: 'policy:second'}]\n");
	q = (struct warder_peer_request) { .class_ = WARDER_CLASS_SIGNAL, .op = 1ull << 14,
					   .relation = WARDER_RELATION_OTHER };
	strcpy((char *)q.policy[0], "first");
	warder_decide_peer(img, warder_profile_at(img, 0), &q, &v);
	assert_int_equal(v.action, WARDER_DENY);
	strcpy((char *)q.policy[1], "second");
	warder_decide_peer(img, warder_profile_at(img, 0), &q, &v);
	assert_int_equal(v.action, WARDER_ALLOW);
	free(img);
}

/* ------------------------------------------------------------------------ keyring */

static void upcall_is(const struct warder_image *img, const char *type, __u32 by, __u32 action,
		      const char *policy)
{
	struct warder_upcall_type t = { .word = { 0, 0 } };
	struct warder_verdict v = { .rule = 0 };

	strncpy(t.name, type, sizeof(t.name) - 1);
	warder_decide_upcall(img, &t, by, &v);
	assert_int_equal(v.action, action);
	if (action != WARDER_ALLOW)
		assert_string_equal(image_verdict_policy(img, &v), policy);
}

/* A ring is shared where all policies say so. */
static void test_shared(void **state)
{
	struct warder_image *m[] = {
		good("policy: a\nkeyring: {shared: [x, y, zz]}\n"),
		good("policy: b\nmode: audit\nkeyring: {shared: [zz, y]}\n"),
		good("policy: c\n"),
	};
	struct warder_image *img = stack_of((const struct warder_image *const *)m, 2);

	(void)state;
	assert_string_equal(image_shared(m[0], 0), "x");
	assert_string_equal(image_shared(m[0], 2), "zz");
	assert_null(image_shared(m[0], 3));
	assert_null(image_shared(m[2], 0));
	assert_string_equal(image_shared(img, 0), "y");
	assert_string_equal(image_shared(img, 1), "zz");
	assert_null(image_shared(img, 2));
	assert_true(image_shares(img, "zz"));
	assert_false(image_shares(img, "z"));
	assert_false(image_shares(img, "x"));
	assert_false(image_shares(img, ""));
	free(img);
	img = stack_of((const struct warder_image *const *)m, 3);
	assert_null(image_shared(img, 0));
	free(img);
	for (size_t i = 0; i < ARRAY_SIZE(m); i++)
		free(m[i]);
	assert_true(shared_is_name("a-b_9"));
	assert_false(shared_is_name("9a"));
	assert_false(shared_is_name(""));
	assert_false(shared_is_name("a.b"));
	assert_false(shared_is_name("abcdefghijklmnopqrstuvwx"));
}

static void test_keyring(void **state)
{
	struct warder_image *m[] = {
		good("policy: a\nkeyring: {quota: {keys: 500, pending: 3}, join: lazy,\n"
		     " upcalls: [{type: user, to: host}, {type: '*', to: deny}]}\n"),
		good("policy: b\nkeyring: {quota: {bytes: 100}, join: deny,\n"
		     " upcalls: [{type: user, to: host}, {type: logon, to: host}]}\n"),
		good("policy: c\nmode: audit\nkeyring: {upcalls: [{type: '*', to: deny}]}\n"),
		good("policy: d\nkeyring: {join: sticky}\n"),
		good("policy: e\nmode: audit\nkeyring: {join: sticky}\n"),
	};
	struct warder_image *img = stack_of((const struct warder_image *const *)m, 2);
	struct warder_verdict v;

	(void)state;
	/* The strictest: what is not given has a number, too. */
	assert_int_equal(img->h.keys_max, 0);
	assert_int_equal(img->h.keys_bytes, 100);
	assert_int_equal(img->h.keys_pending, 3);
	warder_decide_join(img, &v);
	assert_int_equal(v.action, WARDER_DENY);
	assert_string_equal(image_verdict_policy(img, &v), "b");
	upcall_is(img, "user", WARDER_UPCALL_BY_PROGRAM, WARDER_ALLOW, NULL);
	upcall_is(img, "logon", WARDER_UPCALL_BY_PROGRAM, WARDER_DENY, "a");
	free(img);
	img = stack_of((const struct warder_image *const[]) { m[1], m[2] }, 2);
	upcall_is(img, "user", WARDER_UPCALL_BY_PROGRAM, WARDER_AUDIT, "c");
	upcall_is(img, "keyring", WARDER_UPCALL_BY_PROGRAM, WARDER_DENY, "b");
	free(img);
	img = stack_of((const struct warder_image *const[]) { m[0], m[2] }, 2);
	warder_decide_join(img, &v);
	assert_int_equal(v.action, WARDER_ALLOW);
	assert_int_equal(warder_join_of(img), WARDER_JOIN_LAZY);
	free(img);
	/* Sticky where it is enforced, and not refused; what gets past the filter is. */
	img = stack_of((const struct warder_image *const[]) { m[0], m[3] }, 2);
	warder_decide_join(img, &v);
	assert_int_equal(v.action, WARDER_DENY);
	assert_int_equal(v.err, EPERM);
	assert_int_equal(warder_join_of(img), WARDER_JOIN_STICKY);
	free(img);
	img = stack_of((const struct warder_image *const[]) { m[3], m[1] }, 2);
	assert_int_equal(warder_join_of(img), WARDER_JOIN_DENY);
	free(img);
	img = stack_of((const struct warder_image *const[]) { m[0], m[4] }, 2);
	warder_decide_join(img, &v);
	assert_int_equal(v.action, WARDER_AUDIT);
	assert_int_equal(warder_join_of(img), WARDER_JOIN_LAZY);
	free(img);
	for (size_t i = 0; i < 5; i++)
		free(m[i]);
}

/* Where an upcall goes: a queue if one says so, to the host only what all of them let go there. */
static void test_routes(void **state)
{
	static const struct {
		const char *a, *b;
		__u32 to, otherwise, deadline;
	} routes[] = {
		{ "to: host", "to: host", WARDER_UPCALL_HOST, 0, 0 },
		{ "to: host", "to: queue, deadline: 2s", WARDER_UPCALL_QUEUE, WARDER_UPCALL_DENY, 2000 },
		{ "to: queue, else: host", "to: host", WARDER_UPCALL_QUEUE, WARDER_UPCALL_HOST, 0 },
		{ "to: queue, else: host", "to: queue", WARDER_UPCALL_QUEUE, WARDER_UPCALL_DENY, 0 },
		{ "to: queue, else: host, deadline: 3s", "to: queue, else: host, deadline: 2s",
		  WARDER_UPCALL_QUEUE, WARDER_UPCALL_HOST, 2000 },
		{ "to: queue", "to: deny", WARDER_UPCALL_DENY, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(routes); i++) {
		const char *a = i % 2 ? routes[i / 2].b : routes[i / 2].a;
		const char *b = i % 2 ? routes[i / 2].a : routes[i / 2].b;
		struct warder_upcall_type t = { .name = "user" };
		struct warder_image *m[2], *img;
		struct warder_verdict v;
		char text[160];

		snprintf(text, sizeof(text), "policy: a\nkeyring: {upcalls: [{type: user, %s}]}\n", a);
		m[0] = good(text);
		snprintf(text, sizeof(text), "policy: b\nkeyring: {upcalls: [{type: '*', %s}]}\n", b);
		m[1] = good(text);
		img = stack_of((const struct warder_image *const *)m, 2);
		warder_decide_upcall(img, &t, WARDER_UPCALL_BY_PROGRAM, &v);
		if (t.route != WARDER_UPCALL_ROUTE(routes[i / 2].to, routes[i / 2].otherwise,
						   routes[i / 2].deadline))
			fail_msg("row %zu: %x", i, t.route);
		assert_int_equal(v.action,
				 routes[i / 2].to == WARDER_UPCALL_DENY ? WARDER_DENY : WARDER_ALLOW);
		free(img);
		free(m[0]);
		free(m[1]);
	}
}

/* ------------------------------------------------------------------------- limits */

static void refused(const struct warder_image *const *m, size_t count, int err, const char *words)
{
	struct warder_image *img;
	struct warder_error e = { "" };

	assert_int_equal(image_stack(m, count, &img, &e), err);
	assert_null(img);
	if (!strstr(e.text, words))
		fail_msg("\"%s\" does not say %s", e.text, words);
}

/* A policy of `n` items, each made of what comes before and behind its number. */
static struct warder_image *many(const char *name, const char *head, const char *before,
				 const char *behind, unsigned n)
{
	char text[20000];
	int used = snprintf(text, sizeof(text), "policy: %s\n%s\n", name, head);

	for (unsigned i = 0; i < n; i++)
		used += snprintf(text + used, sizeof(text) - (size_t)used, " %s%u%s\n", before, i,
				 behind);
	return good(text);
}

static void test_limits(void **state)
{
	struct warder_image *m[] = { good(A), good(B),
				     many("c", "mount:", "- {allow: umount, target: /m/", "}", 40),
				     many("d", "mount:", "- {allow: umount, target: /n/", "}", 40),
				     many("e", "profiles:", "p", ": {}", 20),
				     many("f", "profiles:", "p", ": {}", 20), };
	const struct warder_image *five[] = { m[0], m[1], m[2], m[3], m[4] };
	struct warder_image *img;
	struct warder_error e;

	(void)state;
	refused(five, 5, -E2BIG, "at most 4");
	refused(five, 0, -E2BIG, "at most 4");
	refused((const struct warder_image *const[]) { m[0], m[1], m[0] }, 3, -EINVAL,
		"policy \"a\" is named twice");
	refused(five + 2, 2, -E2BIG, "80 mount or override rules, at most 64");
	refused((const struct warder_image *const[]) { m[4], m[5] }, 2, -E2BIG,
		"441 combinations of profiles, at most 64");
	/* One alone is the image itself; a stack is no image that anybody may hand in. */
	assert_int_equal(image_stack(five, 1, &img, &e), 0);
	assert_memory_equal(img, m[0], sizeof(*img));
	free(img);
	img = stack_of(five, 2);
	assert_int_equal(image_verify(img, sizeof(*img), &e), -EINVAL);
	free(img);
	for (size_t i = 0; i < ARRAY_SIZE(m); i++)
		free(m[i]);
}

/* Same images, same bytes; another order is another stack. */
static void test_digest(void **state)
{
	struct warder_image *m[] = { good(A), good(B) }, *img[3];
	char digest[3][65];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		img[i] = stack_of((const struct warder_image *const[]) { m[i == 2], m[i != 2] }, 2);
		image_digest(img[i], digest[i]);
	}
	assert_string_equal(digest[0], digest[1]);
	assert_string_not_equal(digest[0], digest[2]);
	for (size_t i = 0; i < 3; i++)
		free(img[i]);
	free(m[0]);
	free(m[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_more),
		cmocka_unit_test(test_bpf),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_profiles),
		cmocka_unit_test(test_peers),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_keyring),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_digest),
	};

	return cmocka_run_group_tests(tests, compile_all, free_all);
}
