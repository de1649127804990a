// SPDX-License-Identifier: LGPL-2.1-or-later
/* warder doctor: can this host enforce, does it, and has anything been lost? */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "adopt.h"
#include "cgroup.h"
#include "cleanup.h"
#include "client.h"
#include "commands.h"
#include "calls.h"
#include "loader.h"
#include "policy.h"
#include "request_key.h"

static const char usage[] =
	"usage: warder doctor [--json | --calls]\n"
	"\n"
	"What this kernel offers, whether enforcement can and does work, and what was lost.\n"
	"--calls prints the system calls that override rules can speak of, and nothing else.\n"
	"Exit status: 0 all is well, 1 there are problems.\n";

struct report {
	struct json_object *checks;
	int problems;
};

/* `bad`: counts as a problem. */
static void report_add(struct report *r, const char *what, int bad, const char *text)
{
	struct json_object *o = json_object_new_object();

	control_put_string(o, "check", what);
	control_put_bool(o, "ok", !bad);
	control_put_string(o, "text", text);
	json_object_array_add(r->checks, o);
	r->problems += bad;
}

static void read_line(const char *path, char *buf, size_t size)
{
	cleanup_fclose FILE *f = fopen(path, "re");

	buf[0] = '\0';
	if (f && fgets(buf, (int)size, f))
		buf[strcspn(buf, "\n")] = '\0';
}

static void doctor_kernel(struct report *r)
{
	struct warder_error e = { "" };
	char line[512], text[WARDER_ERROR_SIZE];
	const char *mount;
	struct utsname u;

	if (!uname(&u))
		report_add(r, "kernel", 0, u.release);
	read_line("/sys/kernel/security/lsm", line, sizeof(line));
	report_add(r, "lsm", 0, line[0] ? line : "unknown (securityfs is not mounted)");
	if (loader_probe(&e))
		report_add(r, "enforcement", 1, e.text);
	else
		report_add(r, "enforcement", 0, "this kernel can enforce");
	e.text[0] = '\0';
	if (cgroup_root(&mount, &e))
		report_add(r, "cgroup", 1, e.text);
	else
		report_add(r, "cgroup", 0, mount);
	read_line("/proc/sys/kernel/yama/ptrace_scope", line, sizeof(line));
	snprintf(text, sizeof(text), "%s",
		 !line[0]	     ? "yama is absent" :
		 !strcmp(line, "3") ? "yama ptrace_scope is 3: refusals cannot be overridden" :
				       "yama lets the supervisor answer intercepts");
	report_add(r, "ptrace", !strcmp(line, "3"), text);
	report_add(r, "keyrings", access("/proc/keys", F_OK) != 0,
		   access("/proc/keys", F_OK) ? "this kernel has no key retention service" :
						"the kernel has key retention");
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		report_add(r, "cpus", 1,
			   "only one CPU is online: refusals cannot be overridden by handoff");
}

/* What policies can say and this kernel gives no place for. */
static void doctor_gaps(struct report *r)
{
	struct loader_gap gap[LOADER_GAPS_MAX];
	int count = loader_gaps(NULL, gap, ARRAY_SIZE(gap));
	char text[512];

	for (int i = 0; i < count; i++) {
		snprintf(text, sizeof(text), "class %s: not enforced by this kernel: %s",
			 class_name(gap[i].class_), gap[i].text);
		report_add(r, "coverage", gap[i].serious, text);
	}
	if (count < 0)
		report_add(r, "coverage", 1, "the kernel's BTF cannot be read: what it lacks is not known");
	else if (!count)
		report_add(r, "coverage", 0, "every class of rules has its hooks");
}

/* Programs that the kernel left out: bad where nothing makes it good. */
static void doctor_skipped(struct report *r, struct json_object *status)
{
	struct json_object *all;
	int bad = 0;

	if (!json_object_object_get_ex(status, "skipped", &all))
		return;
	for (size_t i = 0; i < json_object_array_length(all); i++) {
		struct json_object *o = json_object_array_get_idx(all, i);
		int override = json_object_get_boolean(json_object_object_get(o, "override"));
		const char *program, *made_good = NULL;
		uint64_t count;
		char text[256];

		if (control_get_string(o, "program", &program, NULL) != 1 ||
		    control_get_u64(o, "count", UINT64_MAX, &count, NULL) != 1)
			continue;
		control_get_string(o, "made_good", &made_good, NULL);
		snprintf(text, sizeof(text), "the kernel skipped %s %llu times, busy with it on that "
			 "CPU: %s", program, (unsigned long long)count,
			 override  ? "as many refused calls kept their errno" :
			 made_good ? made_good :
				     "what it does was not done then");
		report_add(r, override ? "overrides" : "recursion", !override && !made_good, text);
		bad |= !override && !made_good;
	}
	if (!bad)
		report_add(r, "recursion", 0, "the kernel skipped no program that nothing replaces");
}

static void doctor_faults(struct report *r, struct json_object *status)
{
	struct json_object *faults;
	uint64_t lost = 0;
	char text[256];
	int any = 0;

	if (json_object_object_get_ex(status, "faults", &faults)) {
		json_object_object_foreach(faults, name, count) {
			if (!json_object_get_uint64(count))
				continue;
			snprintf(text, sizeof(text), "fault %s happened %llu times; %s", name,
				 (unsigned long long)json_object_get_uint64(count),
				 strcmp(name, "learn_full") ?
					 "each was a denial" :
					 "each was a request that learn mode did not record");
			report_add(r, "faults", 1, text);
			any = 1;
		}
		if (!any)
			report_add(r, "faults", 0, "none in any hook");
	}
	doctor_skipped(r, status);
	if (control_get_u64(status, "events_lost", UINT64_MAX, &lost, NULL) == 1) {
		snprintf(text, sizeof(text), "%llu events of running containers were lost",
			 (unsigned long long)lost);
		report_add(r, "events", 0, text);
	}
}

/* What others' filters keep from adopted containers' overrides. */
static void doctor_adopted(struct report *r, struct warder *w)
{
	cleanup_json struct json_object *list = NULL;
	cleanup_free char *text = NULL;

	if (warder_list(w, &text, NULL, 0))
		return;
	list = json_tokener_parse(text);
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		cleanup_json struct json_object *o = NULL;
		cleanup_free char *all = NULL;
		struct json_object *before;
		const char *name = NULL;
		char said[1024], line[1200];

		control_get_string(json_object_array_get_idx(list, i), "name", &name, NULL);
		if (!name || warder_inspect(w, name, &all, NULL, 0))
			continue;
		o = json_tokener_parse(all);
		if (!o || !json_object_object_get_ex(o, "before", &before) ||
		    !adopt_before_text(before, said, sizeof(said)))
			continue;
		snprintf(line, sizeof(line), "container %s: %s", name, said);
		report_add(r, "adopted", 0, line);
	}
}

/* For keyring.signed_exec, whether a policy asks for it or not. */
static void doctor_signed(struct report *r)
{
	const char *missing = loader_signed_missing(NULL), *verity = loader_verity_missing(NULL);
	char text[256];

	if (missing)
		snprintf(text, sizeof(text), "signatures of files cannot be checked (signed_exec): no %s", missing);
	else if (verity)
		snprintf(text, sizeof(text), "signatures of files can be checked; not those of fs-verity "
			 "(verity: true): no %s", verity);
	else
		snprintf(text, sizeof(text), "signatures of files can be checked, and those of fs-verity");
	report_add(r, "signed-exec", 0, text);
}

/* Only a problem where a policy leaves upcalls to a queue. */
static void doctor_request_key(struct report *r, int queues)
{
	enum request_key_state state = request_key_state();
	char line[512] = "", where[300] = "", text[1024];

	if (state == REQUEST_KEY_DIVERTED) {
		report_add(r, "request-key", access(REQUEST_KEY_ORDINARY, X_OK) != 0,
			   access(REQUEST_KEY_ORDINARY, X_OK) ?
				   REQUEST_KEY " is warder's, and the ordinary program is not there: "
				   "the host's own requests for keys are refused" :
				   REQUEST_KEY " is warder's: queues get what policies leave to them, and "
				   "who joins another session keyring gets its container's again");
		return;
	}
	if (state == REQUEST_KEY_NONE) {
		report_add(r, "request-key", queues,
			   queues ? REQUEST_KEY " is the ordinary program: what policies leave to queues is "
					       "refused, and what joins another session keyring in a container "
					       "(join: lazy) loses its container's; see `warder request-key "
					       "--help`" :
				    REQUEST_KEY " is the ordinary program; no policy needs another, but what "
					       "joins another session keyring in a container (join: lazy) "
					       "loses its container's; see `warder request-key --help`");
		return;
	}
	if (request_key_winner("user", "something", line, sizeof(line), where, sizeof(where)))
		snprintf(where, sizeof(where), "no line");
	snprintf(text, sizeof(text), "lines of " REQUEST_KEY_LINES " lead to warder; a better one of the "
		 "host's answers itself, and sessions that were joined get their container's keyring for such types "
		 "only. For user keys wins %.280s", where);
	report_add(r, "request-key", 0, text);
}

static void doctor_supervisor(struct report *r)
{
	cleanup_json struct json_object *status = NULL;
	struct warder_error e = { "" };
	struct warder *w = NULL;
	int64_t pid = 0, containers = 0;
	int err, enforcing = 0, on_demand = 0, rings = 0, queues = 0;
	char text[256];

	err = client_connect(&w, 0, &e);
	if (!err)
		err = client_call(w, client_request("status"), NULL, 0, &status, NULL, NULL, &e);
	if (!err)
		doctor_adopted(r, w);
	warder_close(w);
	if (!err)
		control_get_bool(status, "queues", &queues, NULL);
	doctor_request_key(r, queues);
	if (err && client_is_pinned()) {
		report_add(r, "supervisor", 1,
			   "programs are attached but no supervisor runs: policies are enforced, "
			   "refusals are not overridden; start warderd");
		return;
	}
	if (err) {
		report_add(r, "supervisor", err != -ENOENT, e.text);
		return;
	}
	control_get_i64(status, "pid", 0, INT32_MAX, &pid, NULL);
	control_get_i64(status, "containers", 0, INT32_MAX, &containers, NULL);
	control_get_bool(status, "enforcing", &enforcing, NULL);
	control_get_bool(status, "on_demand", &on_demand, NULL);
	control_get_bool(status, "keyrings", &rings, NULL);
	snprintf(text, sizeof(text), "process %lld, %s, %lld containers, %s", (long long)pid,
		 on_demand ? "on demand" : "daemon", (long long)containers,
		 enforcing ? "programs attached" : "NOTHING IS ENFORCED");
	report_add(r, "supervisor", !enforcing, text);
	if (!rings)
		report_add(r, "supervisor-keyrings", 1, "containers get no keyrings");
	doctor_faults(r, status);
}

int cmd_doctor(int argc, char **argv)
{
	struct report r = { .checks = json_object_new_array() };
	int json = 0;

	if (argc == 2 && !strcmp(argv[1], "--json")) {
		json = 1;
	} else if (argc == 2 && !strcmp(argv[1], "--calls")) {
		json_object_put(r.checks);
		call_print_matrix(stdout);
		return 0;
	} else if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		json_object_put(r.checks);
		return fputs(usage, stdout) < 0;
	} else if (argc != 1) {
		json_object_put(r.checks);
		fputs(usage, stderr);
		return EXIT_WARDER;
	}
	if (geteuid() != 0)
		report_add(&r, "user", 1, "warder must be run as root");
	doctor_kernel(&r);
	doctor_gaps(&r);
	doctor_signed(&r);
	doctor_supervisor(&r);
	if (json) {
		struct json_object *o = json_object_new_object();

		control_put_bool(o, "ok", !r.problems);
		json_object_object_add(o, "checks", r.checks);
		puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
		json_object_put(o);
		return r.problems != 0;
	}
	for (size_t i = 0; i < json_object_array_length(r.checks); i++) {
		struct json_object *o = json_object_array_get_idx(r.checks, i), *v;
		const char *what = NULL, *text = NULL;
		int ok = 0;

		if (json_object_object_get_ex(o, "ok", &v))
			ok = json_object_get_boolean(v);
		control_get_string(o, "check", &what, NULL);
		control_get_string(o, "text", &text, NULL);
		printf("%-8s %-12s %s\n", ok ? "ok" : "PROBLEM", what, text);
	}
	json_object_put(r.checks);
	return r.problems != 0;
}
