// SPDX-License-Identifier: LGPL-2.1-or-later
/* warder policy: which command, finding and reading policies, what the commands share. */
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "cmd_policy.h"
#include "control.h"
#include "installed.h"
#include "policy_internal.h"

#define HEAP_TEXT_MIN (256 << 10)
#define HEAP_ROOM (48 << 20)
#define HEAP_PAGE (2 << 20)
#define HEAP_MMAP (32 << 20) /* the most that mallopt(3) takes */

static const char usage[] =
	"usage: warder policy COMMAND ...      (COMMAND --help tells more)\n"
	"\n"
	"without kernel and root:\n"
	"  check FILE...              errors and warnings, each with file:line:column\n"
	"  fmt FILE...                canonical text\n"
	"  compile [-o OUT] FILE      an image for later; --stats: what it costs\n"
	"  show FILE                  what a policy or image holds\n"
	"  explain FILE REQUEST       what it says about a request, or about a recorded event\n"
	"  test FILE...               run tests of policies\n"
	"  diff OLD NEW               what becomes allowed and denied\n"
	"  replay EVENTS              recorded events under another policy\n"
	"  learn                      a policy from recorded events\n"
	"  import FORMAT FILE         from AppArmor, KubeArmor or an OCI config.json\n"
	"through the supervisor:\n"
	"  load FILE                  load or replace\n"
	"  list, show NAME            what is loaded\n"
	"  match NAME [FILE...]       which of them a container gets that asks for none\n"
	"  coverage NAME              which rules have decided anything\n"
	"\n"
	"FILE is a policy, the name of a shipped one, or (compile, show, explain, diff) an image.\n"
	"Shipped policies are looked for in $WARDER_POLICY_PATH (a:b), ./policies, where this\n"
	"warder was installed, /usr/local/share/warder/policies and /usr/share/warder/policies.\n"
	"Exit status: 0 fine, 1 findings, 2 usage, 125 errors of warder.\n";

int policy_usage_error(int status, const char *what)
{
	fprintf(stderr, "warder policy: %s (warder policy --help shows how)\n", what);
	return status;
}

/* ------------------------------------------------------- where policies are */

static void dirs_done(char ***dirs)
{
	control_strv_free(*dirs);
}

/* ----------------------------------------------------------------- loading */

/* Is this a compiled image? Then *ret_image, checked. */
static int read_image(const char *path, struct warder_image **ret_image, struct warder_error *e)
{
	cleanup_fclose FILE *f = fopen(path, "re");
	struct warder_image *img;
	size_t len;
	int err;

	*ret_image = NULL;
	if (!f)
		return 0; /* the parser says what is wrong */
	img = calloc(1, sizeof(*img));
	if (!img)
		return -ENOMEM;
	/* A policy's text is not read a second time. */
	len = fread(img, 1, sizeof(img->h), f);
	if (len < sizeof(img->h) || img->h.magic != WARDER_IMAGE_MAGIC) {
		free(img);
		return 0;
	}
	len += fread(img->b + len, 1, sizeof(*img) - len, f);
	err = fgetc(f) == EOF ? image_verify(img, len, e)
			      : error_set(e, -EINVAL, "longer than an image can be");
	if (err) {
		free(img);
		return err;
	}
	*ret_image = img;
	return 0;
}

const char *policy_find(const char *name, char *buf, size_t size)
{
	if (strchr(name, '/') || !access(name, F_OK))
		return name;
	return installed_policy(name, buf, size) ? name : buf;
}

/*
 * A big policy takes tens of megabytes, each page of them once: with pages of the usual size, a
 * quarter of the time goes into getting them. Only advice: nothing depends on it.
 */
static void heap_prepare(const char *path)
{
	uintptr_t top, end;
	struct stat st;
	void *p;

	if (stat(path, &st) || st.st_size < HEAP_TEXT_MIN)
		return;
	mallopt(M_MMAP_THRESHOLD, HEAP_MMAP);
	mallopt(M_TOP_PAD, HEAP_ROOM);
	top = ((uintptr_t)sbrk(0) + HEAP_PAGE - 1) & ~(uintptr_t)(HEAP_PAGE - 1);
	p = malloc(HEAP_PAGE); /* moves the end of the heap by that much, and ROOM */
	end = (uintptr_t)sbrk(0);
	if (p && top < end)
		madvise((void *)top, end - top, MADV_HUGEPAGE);
	free(p);
}

static int compile_path(const char *path, const char *rename, struct warder_image **ret_image,
			struct policy_diags *diags, __u64 **ret_costs,
			void (*also)(const struct policy *p, struct policy_diags *diags))
{
	char **dirs cleanup(dirs_done) = installed_policy_dirs();
	char found[WARDER_PATH_MAX];
	struct policy *p;
	int err;

	path = policy_find(path, found, sizeof(found));
	heap_prepare(path);
	err = policy_parse_file(path, (const char *const *)dirs, &p, diags);
	/* What is loaded under another name for a while is for nobody else. */
	if (!err && rename) {
		p->name = rename;
		policy_forget_match(p);
	}
	if (!err)
		err = policy_compile_costs(p, ret_image, diags, ret_costs);
	if (!err && also)
		also(p, diags);
	policy_free(p);
	return err;
}

int policy_compile_path(const char *path, const char *rename, struct warder_image **ret_image,
			struct policy_diags *diags)
{
	return compile_path(path, rename, ret_image, diags, NULL, NULL);
}

int policy_compile_path_costs(const char *path, struct warder_image **ret_image,
			      struct policy_diags *diags, __u64 **ret_costs)
{
	return compile_path(path, NULL, ret_image, diags, ret_costs, NULL);
}

int policy_compile_path_and(const char *path, struct warder_image **ret_image,
			    struct policy_diags *diags,
			    void (*also)(const struct policy *p, struct policy_diags *diags))
{
	return compile_path(path, NULL, ret_image, diags, NULL, also);
}

int policy_compile_buffer(const char *name, const char *text, struct warder_image **ret_image,
			  struct policy_diags *diags)
{
	char **dirs cleanup(dirs_done) = installed_policy_dirs();
	struct policy_diags ignored = { 0 };
	struct policy *p;
	int err;

	diags = diags ? diags : &ignored;
	err = policy_parse(name, text, strlen(text), (const char *const *)dirs, &p, diags);
	if (!err)
		err = policy_compile(p, ret_image, diags);
	policy_free(p);
	policy_diags_done(&ignored);
	return err;
}

int policy_load_path(const char *path, struct warder_image **ret_image)
{
	struct policy_diags diags = { 0 };
	struct warder_error e = { { 0 } };
	int err = read_image(path, ret_image, &e);

	if (err) {
		fprintf(stderr, "%s: error: %s\n", path, e.text[0] ? e.text : strerror(-err));
		return EXIT_FINDINGS;
	}
	if (*ret_image)
		return 0;
	err = policy_compile_path(path, NULL, ret_image, &diags);
	policy_diags_print(&diags, stderr);
	policy_diags_done(&diags);
	if (err == -ENOMEM)
		fprintf(stderr, "%s: error: out of memory\n", path);
	return err ? EXIT_FINDINGS : 0;
}

int policy_more_add(struct policy_more *m, const char *path)
{
	if (m->count + 1 == WARDER_LAYERS_MAX)
		return -E2BIG;
	m->path[m->count++] = path;
	return 0;
}

int policy_more_stack(const struct policy_more *m, struct warder_image **img)
{
	struct warder_image *member[WARDER_LAYERS_MAX] = { *img }, *stack = NULL;
	struct warder_error e = { "" };
	int status = 0;

	if (!m->count)
		return 0;
	for (size_t i = 0; !status && i < m->count; i++)
		status = policy_load_path(m->path[i], &member[i + 1]);
	if (!status && image_stack((const struct warder_image *const *)member, m->count + 1,
				   &stack, &e)) {
		fprintf(stderr, "warder policy: %s\n", e.text);
		status = EXIT_FINDINGS;
	}
	for (size_t i = 0; i < m->count; i++)
		free(member[i + 1]);
	if (status)
		return status;
	free(*img);
	*img = stack;
	return 0;
}

int policy_slurp(const char *path, char **ret_text, size_t *ret_len)
{
	cleanup_free char *text = NULL;
	struct warder_error e = { "" };
	size_t cap = 0, len = 0;
	int err;

	if (strcmp(path, "-")) {
		err = policy_read_file(path, ret_text, ret_len, &e);
		if (err)
			fprintf(stderr, "warder policy: %s\n", e.text[0] ? e.text : strerror(-err));
		return err ? EXIT_WARDER : 0;
	}
	for (;;) {
		size_t n;

		if (vector_grow(&text, len + 1, &cap, 1))
			return EXIT_WARDER;
		n = fread(text + len, 1, cap - len - 1, stdin);
		if (!n)
			break;
		len += n;
		if (len > POLICY_TEXT_MAX) {
			fprintf(stderr, "warder policy: standard input is longer than %u bytes\n",
				POLICY_TEXT_MAX);
			return EXIT_WARDER;
		}
	}
	text[len] = 0;
	*ret_text = take_ptr(text);
	*ret_len = len;
	return 0;
}

/* -------------------------------------------------------------------- JSON */

int policy_print_json(struct json_object *o)
{
	int bad;

	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
						       JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	bad = fflush(stdout) || ferror(stdout);
	return bad ? EXIT_WARDER : 0;
}

void json_add_string(struct json_object *o, const char *key, const char *value)
{
	json_object_object_add(o, key, value ? json_object_new_string(value) : NULL);
}

void json_add_number(struct json_object *o, const char *key, int64_t value)
{
	json_object_object_add(o, key, json_object_new_int64(value));
}

void json_add_bool(struct json_object *o, const char *key, bool value)
{
	json_object_object_add(o, key, json_object_new_boolean(value));
}

struct json_object *policy_diag_json(const struct policy_diag *d)
{
	struct json_object *o = json_object_new_object();

	json_add_string(o, "file", d->file);
	json_add_number(o, "line", d->line);
	json_add_number(o, "column", d->column);
	json_add_string(o, "severity", d->warning ? "warning" : "error");
	json_add_string(o, "text", d->text);
	return o;
}

struct json_object *policy_rule_json(const struct warder_image *img, __u32 number)
{
	const struct warder_rule *r = image_rule(img, number);
	struct json_object *o;

	if (!r)
		return NULL;
	o = json_object_new_object();
	json_add_number(o, "number", number);
	json_add_string(o, "file", image_string(img, r->file));
	json_add_number(o, "line", r->line);
	json_add_number(o, "column", r->column);
	json_add_string(o, "id", r->id ? image_string(img, r->id) : NULL);
	json_add_string(o, "class", class_name(r->class_));
	json_add_string(o, "action",
			r->class_ == WARDER_CLASS_OVERRIDE ? "override" : r->deny ? "deny" : "allow");
	json_add_string(o, "errno", r->err ? errno_name(r->err) : NULL);
	json_add_bool(o, "audit", r->audit);
	return o;
}

/* -------------------------------------------------------------------- entry */

/* `show` is of a file if there is one, else of what the supervisor has loaded. */
static bool names_a_file(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (argv[i][0] != '-')
			return strchr(argv[i], '/') || !access(argv[i], F_OK);
	return false;
}

int cmd_policy(int argc, char **argv)
{
	static const struct {
		const char *verb;
		int (*run)(int argc, char **argv);
	} commands[] = {
		{ "check", cmd_policy_check },	   { "compile", cmd_policy_compile },
		{ "show", cmd_policy_show },	   { "explain", cmd_policy_explain },
		{ "test", cmd_policy_test },	   { "live-worker", cmd_policy_live_worker },
		{ "coverage", cmd_policy_coverage }, { "replay", cmd_policy_replay },
		{ "fmt", cmd_policy_fmt },	   { "import", cmd_policy_import },
		{ "learn", cmd_policy_learn },     { "diff", cmd_policy_diff },
		{ "match", cmd_policy_match },
	};
	const char *verb = argc > 1 ? argv[1] : "";

	if (!strcmp(verb, "load") || !strcmp(verb, "list") || !strcmp(verb, "unload") ||
	    (!strcmp(verb, "show") && !names_a_file(argc - 1, argv + 1)))
		return cmd_policy_live(argc - 1, argv + 1);
	if (!strcmp(verb, "--help") || !strcmp(verb, "-h"))
		return fputs(usage, stdout) < 0 ? EXIT_WARDER : 0;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(verb, commands[i].verb))
			return commands[i].run(argc - 1, argv + 1);
	return policy_usage_error(EXIT_USAGE, "which command?");
}
