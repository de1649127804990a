// SPDX-License-Identifier: LGPL-2.1-or-later
/* Tests of policies: reading a file of them, and judging one by the engine. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "cleanup.h"
#include "policy_internal.h"
#include "policy_tools.h"

struct policy_arena {
	struct arena arena;
};

/* ------------------------------------------------------------------- reading */

/* The words of a list joined with commas, as one value. NULL after a diagnostic. */
static const char *join_list(struct parser *ps, struct node *n, const char *what)
{
	const char *joined = "";

	for (size_t i = 0; i < n->count; i++) {
		if (n->item[i]->type != NODE_SCALAR || !n->item[i]->len)
			return expect_string(ps, n->item[i], what);
		joined = arena_printf(&ps->p->arena, "%s%s%s", joined, i ? "," : "",
				      n->item[i]->text);
		if (!joined) {
			ps->fatal = -ENOMEM;
			return NULL;
		}
	}
	return joined;
}

/* Does a list of this key belong to one request? Accesses are asked for together, as by an open for
 * reading and writing, and a mount has all of its flags. Any other list means several requests. */
static bool is_one_value(const char *key)
{
	static const char *const keys[] = { "file",   "network", "device", "ptrace",
					    "ipc",    "flags",	 "options" };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (!strcmp(keys[i], key))
			return true;
	return false;
}

static const struct key call_keys[] = {
	{ "call", true },  { "path", false },	 { "node", false }, { "name", false },
	{ "value", false }, { "realtime", false }, { "nice", false }, { NULL, false }
};

static int read_integer(struct parser *ps, struct node *n, const char *what, long min, long max)
{
	char buf[SHOWN_SIZE], *end = NULL;
	long value = n->type == NODE_SCALAR && n->len ? strtol(n->text, &end, 10) : 0;

	if (!end || *end || value < min || value > max)
		parser_error(ps, n, "%s: expected a number from %ld to %ld, found %s", what, min, max,
			     node_shown(n, buf));
	return (int)value;
}

/* What rules on such a call compare. */
static void read_call_values(struct parser *ps, struct node *n, struct policy_test *t)
{
	struct node *path = map_get(n, "path"), *node = map_get(n, "node"), *v;
	struct warder_device_rule d = { 0 };

	if (path)
		t->path = expect_string(ps, path, "do.path");
	v = map_get(n, "name");
	if (v)
		t->attribute = expect_string(ps, v, "do.name");
	v = map_get(n, "value");
	if (v && v->type == NODE_SCALAR)
		t->value = v->text;
	else if (v)
		parser_error(ps, v, "do.value: expected a word: write one test for each");
	v = map_get(n, "realtime");
	if (v)
		t->realtime = read_integer(ps, v, "do.realtime", 1, 99);
	v = map_get(n, "nice");
	if (v)
		t->nice = read_integer(ps, v, "do.nice", -20, 19);
	t->sets_nice = v != NULL;
	if (node && (node->type != NODE_SCALAR || !parse_device(node->text, &d) || !d.type ||
		     d.major == WARDER_DEVICE_ANY || d.minor == WARDER_DEVICE_ANY))
		parser_error(ps, node, "do.node: expected one device like \"c 1:3\"");
	t->device_type = d.type;
	t->device_major = d.major;
	t->device_minor = d.minor;
	if (t->path && strlen(t->path) >= WARDER_PATH_MAX)
		parser_error(ps, path, "do.path: longer than any name");
}

/* A system call of the table, about which only override rules have something to say. */
static void read_call(struct parser *ps, struct node *n, struct policy_test *t)
{
	struct node *call = map_get(n, "call");
	const char *word = expect_string(ps, call, "do.call");

	t->op = word ? call_op_from_word(word) : WARDER_OP_NONE;
	t->request.class_ = WARDER_CLASS_OVERRIDE;
	if (word && (!t->op || t->op == WARDER_OP_MOUNT))
		parser_error(ps, call, "do.call: expected a word that `on:` of override rules knows, "
				    "other than mount; found %s", word);
	if (check_keys(ps, n, "do", call_keys))
		read_call_values(ps, n, t);
}

/* The requests of one `do`: a list of values stands for one request each. */
struct requests {
	struct request_pair pair[REQUEST_PAIRS_MAX];
	struct node *list[REQUEST_PAIRS_MAX]; /* where there is one */
	size_t at[REQUEST_PAIRS_MAX];	      /* in it */
	size_t pairs;
	struct policy_request *item;
	size_t count, cap;
};

/* The next combination; false after the last one. */
static bool requests_next(struct requests *r)
{
	for (size_t i = r->pairs; i-- > 0;) {
		if (!r->list[i])
			continue;
		if (++r->at[i] < r->list[i]->count)
			return true;
		r->at[i] = 0;
	}
	return false;
}

static bool requests_read_pairs(struct parser *ps, struct node *n, struct requests *r)
{
	size_t product = 1;

	for (size_t i = 0; i + 1 < n->count; i += 2) {
		struct node *v = n->item[i + 1];
		const char *key = n->item[i]->text, *value = NULL;

		if (v->type == NODE_SEQ && !v->count) {
			parser_error(ps, v, "do.%s: an empty list asks for nothing", key);
			return false;
		}
		if (v->type == NODE_SEQ && !is_one_value(key)) {
			r->list[r->pairs] = v;
			product *= v->count;
			for (size_t k = 0; k < v->count; k++)
				if (v->item[k]->type != NODE_SCALAR || !v->item[k]->len)
					return expect_string(ps, v->item[k], key) != NULL;
		} else {
			/* A number is meant as it is written. */
			value = v->type == NODE_SCALAR && v->len ? v->text :
				v->type == NODE_SEQ ? join_list(ps, v, key) : expect_string(ps, v, key);
			if (!value)
				return false;
		}
		if (product > TEST_REQUESTS_MAX) {
			parser_error(ps, v, "do.%s: more than %u requests in one test", key,
				     TEST_REQUESTS_MAX);
			return false;
		}
		r->pair[r->pairs++] = (struct request_pair) { key, value };
	}
	return true;
}

static void read_requests(struct parser *ps, struct node *n, struct requests *r)
{
	do {
		struct warder_error e = { "" };
		int bad, err = vector_grow(&r->item, r->count, &r->cap, sizeof(*r->item));

		for (size_t i = 0; i < r->pairs; i++)
			if (r->list[i])
				r->pair[i].value = r->list[i]->item[r->at[i]]->text;
		if (!err)
			err = request_from_pairs(r->pair, r->pairs, &r->item[r->count], &bad, &e);
		if (err == -ENOMEM) {
			ps->fatal = err;
			return;
		}
		if (err) {
			parser_error(ps, bad < 0 ? n : r->list[bad] ? r->list[bad]->item[r->at[bad]] :
					 n->item[2 * bad + 1], "do: %s", e.text);
			return;
		}
		r->count++;
	} while (requests_next(r));
}

static void read_do(struct parser *ps, struct node *n, struct policy_test *t, struct requests *r)
{
	if (!expect_map(ps, n, "do"))
		return;
	if (map_get(n, "call")) {
		read_call(ps, n, t);
		return;
	}
	if (n->count > 2 * REQUEST_PAIRS_MAX) {
		parser_error(ps, n, "do: more than %d keys", REQUEST_PAIRS_MAX);
		return;
	}
	if (requests_read_pairs(ps, n, r))
		read_requests(ps, n, r);
	if (r->count)
		t->request = r->item[0];
}

static const struct key as_keys[] = {
	{ "profile", false }, { "uid", false }, { "userns", false }, { NULL, false }
};

static const char *const userns_words[] = { "host", "container", "nested", NULL };
static const __u32 userns_bits[] = { 0, WARDER_BY_USERNS_CONTAINER, WARDER_BY_USERNS_NESTED };

int test_userns_from_name(const char *name, __u32 *ret)
{
	for (size_t i = 0; userns_words[i]; i++)
		if (!strcmp(name, userns_words[i])) {
			*ret = userns_bits[i];
			return 0;
		}
	return -EINVAL;
}

static void read_as(struct parser *ps, struct node *n, struct policy_test *t)
{
	struct node *v;
	uint64_t uid;
	int word;

	if (!check_keys(ps, n, "as", as_keys))
		return;
	v = map_get(n, "profile");
	if (v)
		t->profile = expect_string(ps, v, "as.profile");
	v = map_get(n, "uid");
	if (v && expect_number(ps, v, "as.uid", 0, 0xfffffffe, &uid))
		t->uid = (__u32)uid;
	v = map_get(n, "userns");
	word = v ? expect_word(ps, v, "as.userns", userns_words) : -1;
	if (word >= 0)
		t->userns = userns_bits[word];
}

static const struct key expect_keys[] = { { "allow", false }, { "deny", false },
					  { "audit", false }, { "override", false },
					  { "rule", false },  { NULL, false } };

static void read_expect_map(struct parser *ps, struct node *n, struct policy_test *t)
{
	static const char *const overrides[] = { "none", "perform", "fake", "deny", "report", "ask",
						  NULL };
	static const char *const keys[] = { "allow", "deny", "audit" };
	char buf[SHOWN_SIZE];
	struct node *v;
	int word;

	if (!check_keys(ps, n, "expect", expect_keys))
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
		v = map_get(n, keys[i]);
		if (!v)
			continue;
		if (t->verdict)
			parser_error(ps, v, "expect: either allow, deny or audit");
		t->verdict = TEST_ALLOW + i;
		if (node_is(v, "any") || (v->type == NODE_SCALAR && !v->len))
			continue;
		t->err = v->type == NODE_SCALAR ? errno_from_name(v->text) : -1;
		if (t->err < 0 || i == 0)
			parser_error(ps, v,
				     i ? "expect.%s: no error is called %s (EACCES, EPERM, any)"
				       : "expect.%s: expected any, found %s",
				     keys[i], node_shown(v, buf));
	}
	v = map_get(n, "rule");
	if (v && v->type == NODE_SCALAR && v->len)
		t->rule = v->text;
	else if (v)
		expect_string(ps, v, "expect.rule");
	v = map_get(n, "override");
	word = v ? expect_word(ps, v, "expect.override", overrides) : -1;
	if (word >= 0)
		t->override = TEST_OVERRIDE_NONE + (unsigned)word;
	if (t->override && t->request.class_ != WARDER_CLASS_MOUNT && !t->op)
		parser_error(ps, v, "expect.override: only mounts and calls (do: {call: ...}) are "
				    "overridden");
	if (!t->verdict && !t->override)
		parser_error(ps, n, "expect: allow, deny, audit or override, please");
}

static void read_expect(struct parser *ps, struct node *n, struct policy_test *t)
{
	static const char *const words[] = { "allow", "deny", "audit", NULL };
	int word;

	if (n->type == NODE_MAP) {
		read_expect_map(ps, n, t);
		return;
	}
	word = expect_word(ps, n, "expect", words);
	if (word >= 0)
		t->verdict = TEST_ALLOW + (unsigned)word;
}

static const struct key test_keys[] = { { "do", true },	   { "expect", true },
					{ "as", false },   { "name", false },
					{ NULL, false } };

static struct policy_test *add_test(struct parser *ps, struct policy_tests *all, size_t *cap)
{
	struct policy_test *grown;

	if (all->count < *cap)
		return &all->test[all->count++];
	grown = arena_alloc(&ps->p->arena, 2 * *cap * sizeof(*grown));
	if (!grown) {
		ps->fatal = -ENOMEM;
		return NULL;
	}
	memcpy(grown, all->test, all->count * sizeof(*grown));
	all->test = grown;
	*cap *= 2;
	return &all->test[all->count++];
}

/* Its own name, if it has one; the request in words if not, and where a list made several of it. */
static void name_test(struct parser *ps, struct policy_test *t, bool several)
{
	cleanup_free char *text = malloc(3 * WARDER_PATH_MAX);
	const char *own = t->name;

	if (!text) {
		ps->fatal = -ENOMEM;
		return;
	}
	if (t->op)
		snprintf(text, 3 * WARDER_PATH_MAX, "call %s", call_op_word(t->op));
	else
		request_text(&t->request, text, 3 * WARDER_PATH_MAX);
	if (!own)
		t->name = arena_strndup(&ps->p->arena, text, strlen(text));
	else if (several)
		t->name = arena_printf(&ps->p->arena, "%s: %s", own, text);
	if (!t->name)
		ps->fatal = -ENOMEM;
}

static void read_test(struct parser *ps, struct node *n, struct policy_tests *all, size_t *cap,
		      struct requests *requests)
{
	struct policy_test t = { .line = n->line, .column = n->column,
				 .userns = WARDER_BY_USERNS_CONTAINER };
	size_t errors = ps->diags->errors;
	struct node *v;

	if (!check_keys(ps, n, "test", test_keys))
		return;
	v = map_get(n, "do");
	if (v)
		read_do(ps, v, &t, requests);
	v = map_get(n, "as");
	if (v)
		read_as(ps, v, &t);
	v = map_get(n, "expect");
	if (v)
		read_expect(ps, v, &t);
	if (t.op && t.verdict)
		parser_error(ps, v ? v : n, "expect: of a call, only override can be expected");
	v = map_get(n, "name");
	if (v)
		t.name = expect_string(ps, v, "name");
	if (ps->diags->errors > errors)
		return;
	for (size_t i = 0; i < (t.op ? 1 : requests->count) && !ps->fatal; i++) {
		struct policy_test *test = add_test(ps, all, cap);

		if (!test)
			return;
		*test = t;
		if (!t.op)
			test->request = requests->item[i];
		name_test(ps, test, requests->count > 1);
	}
	if (all->count > POLICY_TESTS_MAX)
		parser_error(ps, n, "tests: more than %u, each item of a list counted",
			     POLICY_TESTS_MAX);
}

static const struct key file_keys[] = {
	{ "policy", true }, { "tests", true }, { "covers", false }, { NULL, false }
};

static void read_covers(struct parser *ps, struct node *n, void *arg)
{
	struct policy_tests *t = arg;

	(void)ps;
	t->covers[t->covers_count++] = n->text;
}

static void read_file(struct parser *ps, struct node *root, struct policy_tests *t)
{
	struct node *v;
	size_t cap;

	if (!check_keys(ps, root, "file of tests", file_keys))
		return;
	v = map_get(root, "policy");
	if (v) {
		t->policy = expect_string(ps, v, "policy");
		t->policy_line = v->line;
		t->policy_column = v->column;
	}
	v = map_get(root, "covers");
	if (v) {
		size_t room = v->type == NODE_SEQ ? v->count : 1;

		t->covers = arena_alloc(&ps->p->arena, (room + 1) * sizeof(*t->covers));
		if (!t->covers) {
			ps->fatal = -ENOMEM;
			return;
		}
		each_scalar(ps, v, "covers", read_covers, t);
	}
	v = map_get(root, "tests");
	if (!v || !expect_seq(ps, v, "tests"))
		return;
	if (!v->count || v->count > POLICY_TESTS_MAX) {
		parser_error(ps, v, "tests: from 1 to %u, please", POLICY_TESTS_MAX);
		return;
	}
	t->test = arena_alloc(&ps->p->arena, v->count * sizeof(*t->test));
	if (!t->test) {
		ps->fatal = -ENOMEM;
		return;
	}
	cap = v->count;
	for (size_t i = 0; i < v->count && !ps->fatal && t->count <= POLICY_TESTS_MAX; i++) {
		struct requests *requests = calloc(1, sizeof(*requests));

		if (!requests) {
			ps->fatal = -ENOMEM;
			return;
		}
		read_test(ps, v->item[i], t, &cap, requests);
		free(requests->item);
		free(requests);
	}
}

int policy_test_call(const char *text, struct policy_test *ret, struct policy_arena **ret_memory,
		     struct warder_error *e)
{
	struct policy_diags diags = { 0 };
	struct policy *p = calloc(1, sizeof(*p));
	struct parser *ps = calloc(1, sizeof(*ps));
	struct policy_arena *memory = calloc(1, sizeof(*memory));
	struct node *root;
	int err = -ENOMEM;

	memset(ret, 0, sizeof(*ret));
	*ret_memory = NULL;
	if (!p || !ps || !memory)
		goto out;
	ps->p = p;
	ps->diags = &diags;
	ps->file = "request";
	err = yaml_read(&p->arena, ps->file, text, strlen(text), &root, &diags);
	if (!err && root->type == NODE_MAP && map_get(root, "call"))
		read_call(ps, root, ret);
	else if (!err)
		err = -ENOENT;
	if (!err)
		err = ps->fatal ? ps->fatal : diags.errors ? -EINVAL : 0;
	if (err == -EINVAL)
		error_set(e, err, "%s", diags.count ? diags.item[0].text : "no mapping");
	memory->arena = p->arena;
	memset(&p->arena, 0, sizeof(p->arena));
	ret->userns = WARDER_BY_USERNS_CONTAINER;
out:
	policy_diags_done(&diags);
	free(ps);
	free(p);
	if (!err) {
		*ret_memory = memory;
		return 0;
	}
	policy_test_call_done(memory);
	return err;
}

void policy_test_call_done(struct policy_arena *memory)
{
	if (!memory)
		return;
	arena_done(&memory->arena);
	free(memory);
}

void policy_tests_done(struct policy_tests *t)
{
	if (t->memory) {
		arena_done(&t->memory->arena);
		free(t->memory);
	}
	memset(t, 0, sizeof(*t));
}

int policy_tests_read(const char *path, struct policy_tests *ret, struct policy_diags *diags)
{
	cleanup_free char *text = NULL;
	cleanup_free struct policy *p = calloc(1, sizeof(*p));
	struct parser *ps = calloc(1, sizeof(*ps));
	struct warder_error e = { "" };
	size_t len, errors = diags->errors;
	struct node *root;
	int err = -ENOMEM;

	memset(ret, 0, sizeof(*ret));
	ret->memory = calloc(1, sizeof(*ret->memory));
	if (!p || !ps || !ret->memory)
		goto out;
	err = policy_read_file(path, &text, &len, &e);
	if (err) {
		diag_add(diags, path, 0, 0, 0, "%s", e.text[0] ? e.text : strerror(-err));
		goto out;
	}
	ps->p = p;
	ps->diags = diags;
	ret->file = ps->file = arena_strndup(&p->arena, path, strlen(path));
	err = ps->file ? yaml_read(&p->arena, ps->file, text, len, &root, diags) : -ENOMEM;
	if (!err)
		read_file(ps, root, ret);
	if (!err)
		err = ps->fatal ? ps->fatal : diags->errors > errors ? -EINVAL : 0;
out:
	/* The strings of the tests are in the parser's arena: it outlives the parser. */
	if (p && ret->memory) {
		ret->memory->arena = p->arena;
		memset(&p->arena, 0, sizeof(p->arena));
	}
	free(ps);
	if (err)
		policy_tests_done(ret);
	return err;
}

/* ------------------------------------------------------------------- judging */

bool policy_rule_is(const struct warder_image *img, __u32 rule, const char *where)
{
	const struct warder_rule *r = image_rule(img, rule);
	const char *colon = strrchr(where, ':'), *file, *slash;
	char line[16];

	if (!r)
		return false;
	if (r->id && !strcmp(image_string(img, r->id), where))
		return true;
	snprintf(line, sizeof(line), "%u", r->line);
	if (strcmp(colon ? colon + 1 : where, line))
		return false;
	if (!colon)
		return true;
	/* The file as compiled, or its last component. */
	file = image_string(img, r->file);
	slash = strrchr(file, '/');
	return (strlen(file) == (size_t)(colon - where) &&
		!strncmp(file, where, (size_t)(colon - where))) ||
	       (slash && strlen(slash + 1) == (size_t)(colon - where) &&
		!strncmp(slash + 1, where, (size_t)(colon - where)));
}

static void mark_reached(const struct warder_image *img, const struct policy_request *r,
			 unsigned char *reached)
{
	struct policy_request one = *r;
	struct warder_verdict v;

	/* Each access by itself: several rules may have granted them. */
	for (unsigned i = 0; i < 32; i++) {
		if (!policy_class_is_number(r->class_)) {
			if (!(r->access >> i & 1))
				continue;
			one.access = 1u << i;
		}
		if (!policy_decide(img, &one, &v) && v.rule <= img->h.rule.count)
			reached[v.rule] = 1;
		for (unsigned k = 0; img->h.layers > 1 && k < WARDER_LAYERS_MAX; k++)
			reached[v.by[k]] = 1;
		if (policy_class_is_number(r->class_))
			break;
	}
}

const char *test_override_name(enum test_override o)
{
	static const char *const words[] = { "any", "none", "perform", "fake", "deny",
					    "report", "ask" };

	return words[o];
}

static void tell_verdict(const struct warder_image *img, const struct policy_test *t,
			 const struct warder_verdict *v, char *buf, size_t size)
{
	const struct warder_rule *rule = image_rule(img, v->rule);
	char where[256], by[400];

	if (rule)
		snprintf(by, sizeof(by), "the %s rule at %s%s%s", class_name(rule->class_),
			 image_rule_where(img, v->rule, where, sizeof(where)),
			 rule->id ? ", id " : "", rule->id ? image_string(img, rule->id) : "");
	else if (v->why == WARDER_WHY_BASELINE)
		snprintf(by, sizeof(by), "the baseline, which no policy turns off");
	else
		snprintf(by, sizeof(by), "the class default of %s",
			 class_name(t->request.class_));
	snprintf(buf, size, "%s%s%s by %s%s%s", action_name(v->action),
		 v->action == WARDER_ALLOW ? "" : " with ",
		 v->action == WARDER_ALLOW ? "" : errno_name((int)v->err), by,
		 img->h.layers > 1 ? " of policy " : "",
		 img->h.layers > 1 ? image_verdict_policy(img, v) : "");
}

static void judge(const struct warder_image *img, const struct policy_test *t,
		  struct policy_test_result *ret)
{
	static const char *const words[] = { "", "allow", "deny", "audit" };
	const struct warder_verdict *v = &ret->verdict;
	__u32 rule = t->verdict ? v->rule : ret->override_rule;
	char text[400];

	ret->ok = true;
	if (t->verdict && v->action != t->verdict - TEST_ALLOW)
		snprintf(ret->why, sizeof(ret->why), "expected %s", words[t->verdict]);
	else if (t->verdict && t->err && (int)v->err != t->err)
		snprintf(ret->why, sizeof(ret->why), "expected %s with %s", words[t->verdict],
			 errno_name(t->err));
	else if (t->rule && !policy_rule_is(img, rule, t->rule))
		snprintf(ret->why, sizeof(ret->why), "expected it of the rule %.128s", t->rule);
	else if (t->override && t->override != ret->override)
		snprintf(ret->why, sizeof(ret->why), "expected override: %s, the policy says %s",
			 test_override_name(t->override), test_override_name(ret->override));
	else
		return;
	ret->ok = false;
	if (!t->verdict)
		return;
	tell_verdict(img, t, v, text, sizeof(text));
	snprintf(ret->got, sizeof(ret->got), "%s", text);
}

int policy_test_run(const struct warder_image *img, const struct policy_test *t,
		    struct policy_test_result *ret, unsigned char *reached)
{
	struct policy_request r = t->request;
	int profile = image_find_profile(img, t->profile), err;

	memset(ret, 0, offsetof(struct policy_test_result, fix));
	ret->fix[0] = 0;
	if (profile < 0) {
		snprintf(ret->why, sizeof(ret->why), "the policy has no profile %.64s",
			 t->profile);
		return 0;
	}
	r.profile = (__u32)profile;
	if (t->op) {
		err = policy_test_override(img, t, ret);
		if (err)
			return err;
		judge(img, t, ret);
		if (reached && ret->override != TEST_OVERRIDE_NONE &&
		    ret->override_rule <= img->h.rule.count)
			reached[ret->override_rule] = 1;
		return 0;
	}
	err = policy_decide(img, &r, &ret->verdict);
	if (err)
		return err;
	tell_verdict(img, t, &ret->verdict, ret->got, sizeof(ret->got));
	if (r.class_ == WARDER_CLASS_MOUNT) {
		char got[512];

		memcpy(got, ret->got, sizeof(got));
		err = policy_test_override(img, t, ret);
		if (err)
			return err;
		if (!t->override || t->verdict)
			memcpy(ret->got, got, sizeof(got));
	}
	judge(img, t, ret);
	if (ret->verdict.action != WARDER_ALLOW)
		request_remedy(img, &r, &ret->verdict, ret->fix, sizeof(ret->fix));
	if (!reached)
		return 0;
	mark_reached(img, &r, reached);
	if (t->override && ret->override != TEST_OVERRIDE_NONE &&
	    ret->override_rule <= img->h.rule.count)
		reached[ret->override_rule] = 1;
	return 0;
}
