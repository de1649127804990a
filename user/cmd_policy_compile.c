// SPDX-License-Identifier: LGPL-2.1-or-later
/* warder policy compile, show: images, what they hold and what they cost. */
#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "cleanup.h"
#include "cmd_policy.h"

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


int cmd_policy_compile(int argc, char **argv)
{
	static const struct option options[] = { { "stats", no_argument, NULL, 's' },
						 { "output", required_argument, NULL, 'o' },
						 { "help", no_argument, NULL, 'h' },
						 { NULL, 0, NULL, 0 } };
	cleanup_free struct warder_image *img = NULL;
	const char *out = NULL;
	bool stats = false;
	int c, status;

	optind = 0;
	while ((c = getopt_long(argc, argv, "o:h", options, NULL)) != -1) {
		if (c == 'h')
			return puts("usage: warder policy compile [-o OUT] [--stats] FILE\n"
				    "--stats: states, bytes by section, the rules that cost most.") < 0;
		if (c == 's')
			stats = true;
		else if (c == 'o')
			out = optarg;
		else
			return policy_usage_error(EXIT_WARDER, "unknown option");
	}
	if (optind != argc - 1)
		return policy_usage_error(EXIT_WARDER, "compile: one file, please");
	status = policy_load_path(argv[optind], &img);
	if (status)
		return status;
	if (out) {
		int err = policy_write_file(out, img->b, img->h.length);

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

static int show_json(const struct warder_image *img)
{
	const struct warder_image_header *h = &img->h;
	struct json_object *o = json_object_new_object(), *rules = json_object_new_array();
	char digest[65];

	image_digest(img, digest);
	json_add_string(o, "policy", image_string(img, h->name));
	json_add_string(o, "digest", digest);
	json_add_string(o, "mode", mode_name(h->mode));
	json_add_number(o, "bytes", h->length);
	json_add_number(o, "states", h->states);
	json_add_number(o, "classes", h->classes);
	json_add_number(o, "accept_records", h->accept.count);
	for (__u32 i = 1; i <= h->rule.count; i++)
		json_object_array_add(rules, policy_rule_json(img, i));
	json_object_object_add(o, "rules", rules);
	return policy_print_json(o);
}

int cmd_policy_show(int argc, char **argv)
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' },
						 { "help", no_argument, NULL, 'h' },
						 { NULL, 0, NULL, 0 } };
	cleanup_free struct warder_image *img = NULL;
	char where[WARDER_PATH_MAX];
	bool json = false;
	int c, status;

	optind = 0;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'h')
			return puts("usage: warder policy show [--json] FILE|NAME") < 0;
		if (c != 'j')
			return policy_usage_error(EXIT_WARDER, "unknown option");
		json = true;
	}
	if (optind != argc - 1)
		return policy_usage_error(EXIT_WARDER, "show: one file, please");
	status = policy_load_path(argv[optind], &img);
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
