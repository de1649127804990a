// SPDX-License-Identifier: LGPL-2.1-or-later
/* The decision engine's truth table, natively and in BPF by test-run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include "decide_probe.skel.h"
#include "decide_question.h"

static int case_wrong(size_t i, const struct probe_reply *r, const char *where)
{
	const struct decide_case *c = &decide_cases[i];
	const struct warder_rule *rule = image_rule(image[c->policy], r->v.rule);
	__u32 line = rule ? rule->line : 0;

	if (r->v.action == c->action && r->v.err == c->err && r->v.why == c->why &&
	    line == c->line && r->v.access == c->refused && !r->v.report == !c->report &&
	    r->set == c->set && r->v.profile == c->leads_to)
		return 0;
	print_error("%s: case %zu (policy %d, %s): action %u errno %u why %u line %u refused %#x "
		    "report %u set %#llx; expected %u %u %u %u %#x %u %#llx\n",
		    where, i, c->policy, c->path ? c->path : "-", r->v.action, r->v.err, r->v.why,
		    line, r->v.access, r->v.report, (unsigned long long)r->set, c->action, c->err,
		    c->why, c->line, c->refused, c->report, (unsigned long long)c->set);
	return 1;
}

static void test_native(void **state)
{
	cleanup_free struct warder_text *text = calloc(2, sizeof(*text));
	int wrong = 0;

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < CASES; i++) {
		struct probe_request q;
		struct probe_reply r;

		case_question(&decide_cases[i], &q, text);
		probe_run(image[decide_cases[i].policy], &text[0], &text[1], &q, &r);
		wrong += case_wrong(i, &r, "native");
	}
	assert_int_equal(wrong, 0);
}

static int quiet(enum libbpf_print_level level, const char *format, va_list ap)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, format, ap) : 0;
}

/* One question put to the loaded program. */
static int probe_ask(struct decide_probe *skel, const struct probe_request *q,
		     const struct warder_text text[2], struct probe_reply *ret)
{
	LIBBPF_OPTS(bpf_test_run_opts, run);
	__u32 zero = 0, one = 1;
	int fd = bpf_program__fd(skel->progs.decide_probe);

	if (bpf_map_update_elem(bpf_map__fd(skel->maps.probe_question), &zero, q, 0) ||
	    bpf_map_update_elem(bpf_map__fd(skel->maps.probe_text), &zero, &text[0], 0) ||
	    bpf_map_update_elem(bpf_map__fd(skel->maps.probe_text), &one, &text[1], 0) ||
	    bpf_prog_test_run_opts(fd, &run))
		return -errno;
	if (run.retval)
		return -EIO;
	return bpf_map_lookup_elem(bpf_map__fd(skel->maps.probe_answer), &zero, ret) ? -errno : 0;
}

static void test_bpf(void **state)
{
	cleanup_free struct warder_text *text = calloc(2, sizeof(*text));
	struct decide_probe *skel;
	int wrong = 0, loaded = -1;
	__u32 zero = 0;

	(void)state;
	assert_non_null(text);
	if (geteuid()) {
		print_message("skipped: only root may load BPF programs\n");
		skip();
	}
	libbpf_set_print(quiet);
	skel = decide_probe__open();
	assert_non_null(skel);
	if (bpf_program__set_log_level(skel->progs.decide_probe, 0) || decide_probe__load(skel)) {
		/* Without BPF at all there is nothing to test; a program that the verifier
		 * refuses is a failure. */
		int no_bpf = errno == EPERM || errno == ENOSYS;

		decide_probe__destroy(skel);
		if (no_bpf) {
			print_message("skipped: this kernel refuses BPF programs\n");
			skip();
		}
		fail_msg("the verifier refuses the engine");
	}
	for (size_t i = 0; i < CASES; i++) {
		const struct decide_case *c = &decide_cases[i];
		struct probe_request q;
		struct probe_reply r;

		if (loaded != c->policy)
			assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.probe_image),
							     &zero, image[c->policy], 0),
					 0);
		loaded = c->policy;
		case_question(c, &q, text);
		assert_int_equal(probe_ask(skel, &q, text, &r), 0);
		wrong += case_wrong(i, &r, "BPF");
	}
	decide_probe__destroy(skel);
	assert_int_equal(wrong, 0);
}

/* The longest name there is, and one byte more. */
static void test_length(void **state)
{
	cleanup_free char *path = malloc(WARDER_PATH_MAX + 1);
	struct policy_request r = { .class_ = WARDER_CLASS_FILE,
				    .access = WARDER_ACC_READ,
				    .path = path };
	struct warder_verdict v;

	(void)state;
	assert_non_null(path);
	memset(path, 'a', WARDER_PATH_MAX);
	memcpy(path, "/etc/", 5);
	path[WARDER_PATH_MAX - 1] = 0;
	assert_int_equal(policy_decide(image[P_STRICT], &r, &v), 0);
	assert_int_equal(v.action, WARDER_ALLOW);
	path[WARDER_PATH_MAX - 1] = 'a';
	path[WARDER_PATH_MAX] = 0;
	assert_int_equal(policy_decide(image[P_STRICT], &r, &v), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_native),
		cmocka_unit_test(test_bpf),
		cmocka_unit_test(test_length),
	};

	return cmocka_run_group_tests(tests, compile_all, free_all);
}
