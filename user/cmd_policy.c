// SPDX-License-Identifier: LGPL-2.1-or-later
/* warder policy check|compile|show|explain: what needs neither kernel nor supervisor. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "commands.h"
#include "policy.h"

#define DIRS_MAX 32

static const char usage[] =
	"usage: warder policy check [--json] FILE...\n"
	"       warder policy compile [-o OUT] [--stats] FILE\n"
	"       warder policy show [--json] FILE|NAME\n"
	"       warder policy explain [--json] FILE file ACCESS[,ACCESS...] PATH\n"
	"       warder policy explain [--json] FILE exec PATH\n"
	"       warder policy explain [--json] FILE capability NAME\n"
	"       warder policy explain [--json] FILE mount TYPE TARGET [FLAG,...]\n"
	"       warder policy explain [--json] FILE bind|remount|move|umount|... TARGET "
	"[FLAG,...]\n"
	"       warder policy load|list ...            through the supervisor\n"
	"FILE is a policy, the name of a shipped one, or an image made by compile. Shipped\n"
	"policies are looked for in $WARDER_POLICY_PATH (a:b), ./policies,\n"
	"/usr/local/share/warder/policies and /usr/share/warder/policies.\n";

static int usage_error(const char *what)
{
	fprintf(stderr, "warder policy: %s (warder policy --help shows how)\n", what);
	return EXIT_WARDER;
}

/* ------------------------------------------------------- where policies are */

struct dirs {
	char *path; /* copy of the environment's */
	const char *dir[DIRS_MAX + 1];
};

static void dirs_done(struct dirs *d)
{
	free(d->path);
}

static void dirs_init(struct dirs *d)
{
	static const char *const fixed[] = { "policies", "/usr/local/share/warder/policies",
					     "/usr/share/warder/policies" };
	const char *env = getenv("WARDER_POLICY_PATH");
	size_t n = 0;
	char *save, *p;

	memset(d, 0, sizeof(*d));
	d->path = env ? strdup(env) : NULL;
	for (p = d->path ? strtok_r(d->path, ":", &save) : NULL; p && n < DIRS_MAX - 3;
	     p = strtok_r(NULL, ":", &save))
		d->dir[n++] = p;
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		d->dir[n++] = fixed[i];
}

/* A file, or the name of a shipped policy. */
static const char *dirs_find(const struct dirs *d, const char *name, char *buf, size_t size)
{
	if (strchr(name, '/') || !access(name, F_OK))
		return name;
	for (size_t i = 0; d->dir[i]; i++)
		if (snprintf(buf, size, "%s/%s.yaml", d->dir[i], name) < (int)size &&
		    !access(buf, F_OK))
			return buf;
	return name;
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
	len = fread(img, 1, sizeof(*img), f);
	if (len < sizeof(img->h) || img->h.magic != WARDER_IMAGE_MAGIC) {
		free(img);
		return 0;
	}
	err = fgetc(f) == EOF ? image_verify(img, len, e)
			      : error_set(e, -EINVAL, "longer than an image can be");
	if (err) {
		free(img);
		return err;
	}
	*ret_image = img;
	return 0;
}

static int compile_file(const char *path, struct warder_image **ret_image,
			struct policy_diags *diags)
{
	struct dirs dirs cleanup(dirs_done);
	char found[WARDER_PATH_MAX];
	struct policy *p;
	int err;

	dirs_init(&dirs);
	path = dirs_find(&dirs, path, found, sizeof(found));
	err = policy_parse_file(path, dirs.dir, &p, diags);
	if (!err)
		err = policy_compile(p, ret_image, diags);
	policy_free(p);
	return err;
}

/* Text or image; says on stderr what is wrong. 0 or an exit status. */
static int load_file(const char *path, struct warder_image **ret_image)
{
	struct policy_diags diags = { 0 };
	struct warder_error e = { { 0 } };
	int err = read_image(path, ret_image, &e);

	if (err) {
		fprintf(stderr, "%s: error: %s\n", path, e.text[0] ? e.text : strerror(-err));
		return 1;
	}
	if (*ret_image)
		return 0;
	err = compile_file(path, ret_image, &diags);
	policy_diags_print(&diags, stderr);
	policy_diags_done(&diags);
	if (err == -ENOMEM)
		fprintf(stderr, "%s: error: out of memory\n", path);
	return err ? 1 : 0;
}

static int print_json(struct json_object *o)
{
	int bad;

	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
						       JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	bad = fflush(stdout) || ferror(stdout);
	return bad ? EXIT_WARDER : 0;
}

static void add_string(struct json_object *o, const char *key, const char *value)
{
	json_object_object_add(o, key, value ? json_object_new_string(value) : NULL);
}

static void add_number(struct json_object *o, const char *key, int64_t value)
{
	json_object_object_add(o, key, json_object_new_int64(value));
}

/* ------------------------------------------------------------------- check */

static struct json_object *diag_json(const struct policy_diag *d)
{
	struct json_object *o = json_object_new_object();

	add_string(o, "file", d->file);
	add_number(o, "line", d->line);
	add_number(o, "column", d->column);
	add_string(o, "severity", d->warning ? "warning" : "error");
	add_string(o, "text", d->text);
	return o;
}

static int policy_check(int argc, char **argv, bool json)
{
	struct json_object *all = json ? json_object_new_array() : NULL;
	int bad = 0;

	if (argc < 1)
		return usage_error("check: which file?");
	for (int i = 0; i < argc; i++) {
		cleanup_free struct warder_image *img = NULL;
		struct policy_diags diags = { 0 };
		int err = compile_file(argv[i], &img, &diags);

		bad |= err != 0;
		if (json)
			for (size_t k = 0; k < diags.count; k++)
				json_object_array_add(all, diag_json(&diags.item[k]));
		else
			policy_diags_print(&diags, stderr);
		if (err == -ENOMEM)
			fprintf(stderr, "%s: error: out of memory\n", argv[i]);
		else if (!err && !json)
			printf("%s: ok, policy %s, %u rules\n", argv[i],
			       image_string(img, img->h.name), img->h.rule.count);
		policy_diags_done(&diags);
	}
	if (json && print_json(all))
		return EXIT_WARDER;
	return bad;
}

/* ----------------------------------------------------------------- compile */

/* The file appears whole or not at all. */
static int write_image(const char *path, const struct warder_image *img)
{
	cleanup_free char *tmp = NULL;
	cleanup_close int fd = -1;
	size_t done = 0;

	if (asprintf(&tmp, "%s.%d.tmp", path, (int)getpid()) < 0) {
		tmp = NULL;
		return -ENOMEM;
	}
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	while (done < img->h.length) {
		ssize_t n = write(fd, img->b + done, img->h.length - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			goto fail;
		done += (size_t)n;
	}
	if (fsync(fd) || rename(tmp, path))
		goto fail;
	return 0;
fail:
	done = (size_t)errno;
	unlink(tmp);
	return -(int)done;
}

static void print_stats(const struct warder_image *img, FILE *out)
{
	const struct warder_image_header *h = &img->h;
	const struct warder_profile *pr = image_profile(img, 0);
	const struct warder_bits *caps = &pr->bits[WARDER_BITS_CAPABILITY];
	char digest[65];

	image_digest(img, digest);
	fprintf(out, "policy:   %s\n", image_string(img, h->name));
	fprintf(out, "digest:   %s\n", digest);
	fprintf(out, "mode:     %s\n", mode_name(h->mode));
	fprintf(out, "size:     %u of %u bytes\n", h->length, WARDER_IMAGE_SIZE);
	fprintf(out, "states:   %u, byte classes %u, accept records %u\n", h->states, h->classes,
		h->accept.count);
	fprintf(out, "rules:    %u (mount %u, override %u)\n", h->rule.count, h->mount.count,
		h->override_.count);
	fprintf(out, "defaults: file %s, exec %s, capability %s, mount %s\n",
		pr->file_default & WARDER_ACC_READ ? "allow" : "deny",
		pr->file_default & WARDER_ACC_EXEC ? "allow" : "deny",
		/* Number 63 is no capability, so only the default speaks of it. */
		caps->allow >> 63 && !caps->rule[63] ? "allow" : "deny",
		pr->mount_default ? "allow" : "deny");
}

static int policy_compile_file(int argc, char **argv, const char *out, bool stats)
{
	cleanup_free struct warder_image *img = NULL;
	int status;

	if (argc != 1)
		return usage_error("compile: one file, please");
	status = load_file(argv[0], &img);
	if (status)
		return status;
	if (out) {
		int err = write_image(out, img);

		if (err) {
			fprintf(stderr, "warder policy: cannot write %s: %s\n", out,
				strerror(-err));
			return EXIT_WARDER;
		}
	}
	if (stats || !out)
		print_stats(img, stdout);
	return 0;
}

/* -------------------------------------------------------------------- show */

static struct json_object *rule_json(const struct warder_image *img, __u32 number)
{
	const struct warder_rule *r = image_rule(img, number);
	struct json_object *o;

	if (!r)
		return NULL;
	o = json_object_new_object();
	add_number(o, "number", number);
	add_string(o, "file", image_string(img, r->file));
	add_number(o, "line", r->line);
	add_number(o, "column", r->column);
	add_string(o, "id", r->id ? image_string(img, r->id) : NULL);
	add_string(o, "class", class_name(r->class_));
	add_string(o, "action",
		   r->class_ == WARDER_CLASS_OVERRIDE ? "override"
		   : r->deny			      ? "deny"
						      : "allow");
	add_string(o, "errno", r->err ? errno_name(r->err) : NULL);
	json_object_object_add(o, "audit", json_object_new_boolean(r->audit));
	return o;
}

static int show_json(const struct warder_image *img)
{
	const struct warder_image_header *h = &img->h;
	struct json_object *o = json_object_new_object(), *rules = json_object_new_array();
	char digest[65];

	image_digest(img, digest);
	add_string(o, "policy", image_string(img, h->name));
	add_string(o, "digest", digest);
	add_string(o, "mode", mode_name(h->mode));
	add_number(o, "bytes", h->length);
	add_number(o, "states", h->states);
	add_number(o, "classes", h->classes);
	add_number(o, "accept_records", h->accept.count);
	for (__u32 i = 1; i <= h->rule.count; i++)
		json_object_array_add(rules, rule_json(img, i));
	json_object_object_add(o, "rules", rules);
	return print_json(o);
}

static int policy_show(const char *path, bool json)
{
	cleanup_free struct warder_image *img = NULL;
	int status = load_file(path, &img);
	char where[WARDER_PATH_MAX];

	if (status)
		return status;
	if (json)
		return show_json(img);
	print_stats(img, stdout);
	for (__u32 i = 1; i <= img->h.rule.count; i++) {
		const struct warder_rule *r = image_rule(img, i);

		printf("%5u  %-10s %-8s %s%s%s\n", i, class_name(r->class_),
		       r->class_ == WARDER_CLASS_OVERRIDE ? "override"
		       : r->deny			  ? "deny"
							  : "allow",
		       image_rule_where(img, i, where, sizeof(where)), r->id ? "  id " : "",
		       r->id ? image_string(img, r->id) : "");
	}
	return 0;
}

/* ----------------------------------------------------------------- explain */

static int explain_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int explain_error(const char *format, ...)
{
	va_list ap;

	fprintf(stderr, "warder policy explain: ");
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	return EXIT_WARDER;
}

/* Comma-separated names. 0, or the status after a message. */
static int read_names(const char *list, int (*from_name)(const char *, __u32 *), const char *what,
		      __u32 *ret)
{
	cleanup_free char *copy = strdup(list);
	char *save, *word;
	__u32 bit;

	*ret = 0;
	if (!copy)
		return EXIT_WARDER;
	for (word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		if (from_name(word, &bit))
			return explain_error("no %s is called \"%s\"", what, word);
		*ret |= bit;
	}
	return *ret ? 0 : explain_error("%s: none is named", what);
}

static int read_mount(int argc, char **argv, struct policy_request *r)
{
	bool new = !strcmp(argv[0], "mount");

	r->class_ = WARDER_CLASS_MOUNT;
	mount_op_from_name(argv[0], &r->access);
	argc--;
	argv++;
	if (new &&argc) {
		r->fstype = argv[0];
		if (strlen(argv[0]) >= WARDER_FSTYPE_SIZE)
			return explain_error("the type \"%s\" is too long", argv[0]);
		argc--;
		argv++;
	}
	if (argc < 1 || argc > 2)
		return usage_error(new ? "explain: mount TYPE TARGET [FLAGS]"
				       : "explain: the operation needs TARGET [FLAGS]");
	r->path = argv[0];
	return argc == 2 ? read_names(argv[1], mount_flag_from_name, "mount flag", &r->flags) : 0;
}

/* Class and arguments into a request. 0 or an exit status after a message. */
static int read_request(int argc, char **argv, struct policy_request *r)
{
	__u32 op;
	int cap;

	if (argc < 2)
		return usage_error("explain: FILE CLASS ARGUMENTS");
	if (!strcmp(argv[0], "file") && argc == 3) {
		r->class_ = WARDER_CLASS_FILE;
		r->path = argv[2];
		return read_names(argv[1], access_from_name, "file access", &r->access);
	}
	if (!strcmp(argv[0], "exec") && argc == 2) {
		r->class_ = WARDER_CLASS_EXEC;
		r->access = WARDER_ACC_EXEC;
		r->path = argv[1];
		return 0;
	}
	if (!strcmp(argv[0], "capability") && argc == 2) {
		r->class_ = WARDER_CLASS_CAPABILITY;
		cap = capability_from_name(argv[1]);
		if (cap < 0)
			return explain_error("no capability is called \"%s\"", argv[1]);
		r->access = (__u32)cap;
		return 0;
	}
	if (!mount_op_from_name(argv[0], &op))
		return read_mount(argc, argv, r);
	return usage_error(
		"explain: the class is file, exec, capability or a mount operation, with "
		"its arguments");
}

/* Names are compared as the kernel knows them. */
static int check_name(const struct policy_request *r)
{
	size_t len = r->path ? strlen(r->path) : 0;

	if (!r->path)
		return 0;
	if (r->path[0] != '/' || strstr(r->path, "//") || strstr(r->path, "/./") ||
	    strstr(r->path, "/../") || (len > 1 && r->path[len - 1] == '/') ||
	    len >= WARDER_PATH_MAX)
		return explain_error("\"%s\" is no name that the kernel gives: absolute, without "
				     "'//', '.', '..' or a '/' at its end",
				     r->path);
	return 0;
}

static void join_bits(char *buf, size_t size, __u32 bits, const char *(*name)(__u32))
{
	size_t used = 0;

	buf[0] = 0;
	for (__u32 bit = 1; bit && used < size; bit <<= 1)
		if (bits & bit)
			used += (size_t)snprintf(buf + used, size - used, "%s%s", used ? ", " : "",
						 name(bit) ? name(bit) : "?");
}

/* What the author would have to write. */
static void remedy(const struct warder_image *img, const struct policy_request *r,
		   const struct warder_verdict *v, char *buf, size_t size)
{
	char list[256], where[WARDER_PATH_MAX], cap[32];

	buf[0] = 0;
	if (v->action == WARDER_ALLOW)
		return;
	if (v->why == WARDER_WHY_RULE) {
		snprintf(buf, size,
			 "narrow or remove the deny rule at %s: no allow rule outweighs it",
			 image_rule_where(img, v->rule, where, sizeof(where)));
		return;
	}
	switch (r->class_) {
	case WARDER_CLASS_FILE:
		join_bits(list, sizeof(list), v->access & ~WARDER_ACC_EXEC, access_name);
		snprintf(buf, size, "under file: add  - {allow: [%s], path: \"%s\"}", list,
			 r->path);
		break;
	case WARDER_CLASS_EXEC:
		snprintf(buf, size, "under exec: add  - {allow: \"%s\"}", r->path);
		break;
	case WARDER_CLASS_CAPABILITY:
		capability_name((int)r->access, cap, sizeof(cap));
		for (char *p = cap; *p; p++)
			*p = (char)tolower((unsigned char)*p);
		snprintf(buf, size, "under capability: add  - {allow: [%s]}", cap + 4);
		break;
	default:
		if (r->fstype)
			snprintf(buf, size,
				 "under mount: add  - {allow: [%s], type: %s, target: \"%s\"}",
				 mount_op_name(r->access), r->fstype, r->path);
		else
			snprintf(buf, size, "under mount: add  - {allow: [%s], target: \"%s\"}",
				 mount_op_name(r->access), r->path);
	}
}

static const char *why_text(const struct warder_verdict *v)
{
	return v->why == WARDER_WHY_RULE ? "rule" : v->why == WARDER_WHY_DEFAULT ? "default" : "?";
}

static int explain_json(const struct warder_image *img, const struct policy_request *r,
			const struct warder_verdict *v, const char *fix)
{
	static const char *const actions[] = { "allow", "deny", "audit" };
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();

	add_string(o, "verdict", actions[v->action]);
	add_string(o, "class", class_name(r->class_));
	add_string(o, "path", r->path);
	add_string(o, "errno", v->action == WARDER_ALLOW ? NULL : errno_name((int)v->err));
	add_string(o, "why", why_text(v));
	json_object_object_add(o, "rule", rule_json(img, v->rule));
	for (__u32 bit = 1; bit && r->class_ != WARDER_CLASS_MOUNT; bit <<= 1)
		if (v->access & bit)
			json_object_array_add(list, json_object_new_string(access_name(bit)));
	json_object_object_add(o, "refused", list);
	json_object_object_add(o, "reported", json_object_new_boolean(v->report != 0));
	add_string(o, "remedy", fix[0] ? fix : NULL);
	return print_json(o);
}

static void explain_text(const struct warder_image *img, const struct policy_request *r,
			 const struct warder_verdict *v, const char *fix)
{
	const struct warder_rule *rule = image_rule(img, v->rule);
	char where[WARDER_PATH_MAX], list[256];

	if (v->action == WARDER_ALLOW)
		printf("allow%s\n", v->report ? ", reported" : "");
	else if (v->action == WARDER_AUDIT)
		printf("audit: allowed and reported; enforce mode would refuse with %s\n",
		       errno_name((int)v->err));
	else
		printf("deny: %s\n", errno_name((int)v->err));
	if (rule)
		printf("decided by the %s rule at %s%s%s\n", class_name(rule->class_),
		       image_rule_where(img, v->rule, where, sizeof(where)),
		       rule->id ? ", id " : "", rule->id ? image_string(img, rule->id) : "");
	else
		printf("decided by the class default of %s\n", class_name(r->class_));
	if (v->access && r->class_ != WARDER_CLASS_MOUNT) {
		join_bits(list, sizeof(list), v->access, access_name);
		printf("refused: %s\n", list);
	}
	if (fix[0])
		printf("to allow it: %s\n", fix);
}

static int policy_explain(int argc, char **argv, bool json)
{
	cleanup_free struct warder_image *img = NULL;
	cleanup_free char *fix = malloc(2 * WARDER_PATH_MAX);
	struct policy_request r = { .class_ = WARDER_CLASS_NONE };
	struct warder_verdict v;
	int status, err;

	if (argc < 2)
		return usage_error("explain: FILE CLASS ARGUMENTS");
	status = read_request(argc - 1, argv + 1, &r);
	if (!status)
		status = check_name(&r);
	if (!status)
		status = load_file(argv[0], &img);
	if (status)
		return status;
	err = fix ? policy_decide(img, &r, &v) : -ENOMEM;
	if (err)
		return explain_error("%s", strerror(-err));
	remedy(img, &r, &v, fix, 2 * WARDER_PATH_MAX);
	if (json)
		return explain_json(img, &r, &v, fix);
	explain_text(img, &r, &v, fix);
	return fflush(stdout) ? EXIT_WARDER : 0;
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
	static const struct option options[] = { { "json", no_argument, NULL, 'j' },
						 { "stats", no_argument, NULL, 's' },
						 { "output", required_argument, NULL, 'o' },
						 { "help", no_argument, NULL, 'h' },
						 { NULL, 0, NULL, 0 } };
	const char *verb = argc > 1 ? argv[1] : "", *out = NULL;
	bool json = false, stats = false, compile = !strcmp(verb, "compile");
	int c;

	if (!strcmp(verb, "load") || !strcmp(verb, "list") || !strcmp(verb, "unload") ||
	    (!strcmp(verb, "show") && !names_a_file(argc - 1, argv + 1)))
		return cmd_policy_live(argc - 1, argv + 1);
	if (!strcmp(verb, "--help") || !strcmp(verb, "-h")) {
		fputs(usage, stdout);
		return 0;
	}
	argc -= argc ? 1 : 0;
	argv++;
	optind = 0;
	while (argc > 0 && (c = getopt_long(argc, argv, "o:h", options, NULL)) != -1) {
		if (c == 'h') {
			fputs(usage, stdout);
			return 0;
		}
		if (c == 'j' && !compile)
			json = true;
		else if (c == 's' && compile)
			stats = true;
		else if (c == 'o' && compile)
			out = optarg;
		else
			return usage_error("unknown option");
	}
	if (argc > 0) {
		argc -= optind;
		argv += optind;
	}
	if (!strcmp(verb, "check"))
		return policy_check(argc, argv, json);
	if (compile)
		return policy_compile_file(argc, argv, out, stats);
	if (!strcmp(verb, "show"))
		return argc == 1 ? policy_show(argv[0], json)
				 : usage_error("show: one file, please");
	if (!strcmp(verb, "explain"))
		return policy_explain(argc, argv, json);
	return usage_error("which command?");
}
