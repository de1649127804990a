// SPDX-License-Identifier: LGPL-2.1-or-later
/* warder policy compile, show: images, what they hold and what they cost. */
#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "cleanup.h"
#include "cmd_policy.h"
#include "control.h"
#include "policy_shared.h"

static const struct {
	const char *name;
	size_t offset; /* in the header */
	size_t element;
} sections[] = {
#define SECTION(member, type) { #member, offsetof(struct warder_image_header, member), sizeof(type) }
	SECTION(class_of, __u8),
	SECTION(node, struct warder_node),
	SECTION(edge, struct warder_edge),
	SECTION(accept, struct warder_accept),
	SECTION(accept_rule, struct warder_accept_rule),
	SECTION(rule, struct warder_rule),
	SECTION(profile, struct warder_profile),
	SECTION(mount, struct warder_mount_rule),
	SECTION(net, struct warder_net_rule),
	SECTION(device, struct warder_device_rule),
	SECTION(peer, struct warder_peer_rule),
	SECTION(override_, struct warder_override),
	SECTION(match, struct warder_match),
	SECTION(signer, struct warder_signer),
	SECTION(signature, struct warder_signature),
	SECTION(blob, __u8),
	SECTION(strings, char),
#undef SECTION
};

static const char *allow_deny(bool allow)
{
	return allow ? "allow" : "deny";
}

/* Of a policy, which is one layer. */
static const char *keys_join_name(const struct warder_image *img)
{
	static const char *const joins[WARDER_JOIN__MAX] = { "lazy", "sticky", "deny" };

	return joins[img->h.layer[0].keys_join % WARDER_JOIN__MAX];
}

static void print_stats(const struct warder_image *img, FILE *out)
{
	const struct warder_image_header *h = &img->h;
	const struct warder_profile *pr = image_profile(img, 0);
	const struct warder_bits *caps = &pr->bits[WARDER_BITS_CAPABILITY];
	__u32 by_class[WARDER_CLASS__MAX] = { 0 };
	cleanup_json struct json_object *match = image_match_json(img);
	char digest[65], list[1024] = "";
	size_t used = 0;

	for (__u32 i = 1; i <= h->rule.count; i++)
		by_class[image_rule(img, i)->class_ % WARDER_CLASS__MAX]++;
	for (__u32 c = 1; c < WARDER_CLASS__MAX; c++)
		if (by_class[c])
			used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s %u",
						 used ? ", " : "", class_name(c), by_class[c]);
	image_digest(img, digest);
	fprintf(out, "policy:   %s\n", image_string(img, h->name));
	fprintf(out, "digest:   %s\n", digest);
	fprintf(out, "mode:     %s\n", mode_name(h->mode));
	fprintf(out, "size:     %u of %u bytes\n", h->length, WARDER_IMAGE_SIZE);
	fprintf(out, "states:   %u, byte classes %u, accept records %u\n", h->states, h->classes,
		h->accept.count);
	fprintf(out, "rules:    %u (%s)\n", h->rule.count, list);
	fprintf(out, "keyring:  join %s", keys_join_name(img));
	for (unsigned i = 0; image_shared(img, i); i++)
		fprintf(out, "%s%s", i ? ", " : "; shared ", image_shared(img, i));
	fputc('\n', out);
	fprintf(out, "defaults: file %s, exec %s, capability %s, mount %s, network %s\n",
		allow_deny(pr->file_default & WARDER_ACC_READ),
		allow_deny(pr->file_default & WARDER_ACC_EXEC),
		/* Number 63 is no capability, so only the default speaks of it. */
		allow_deny(caps->allow >> 63 && !caps->rule[63]), allow_deny(pr->mount_default),
		allow_deny(pr->net_default & WARDER_FAM_IP));
	for (__u32 i = 1; i < h->profile.count; i++)
		fprintf(out, "profile:  %s\n", image_string(img, image_profile(img, i)->name));
	if (match)
		fprintf(out, "match:    %s\n", match_text(match, list, sizeof(list)));
	if (h->settings & WARDER_SETTING_SELECTABLE)
		fprintf(out, "selectable: a container's own configuration may choose it\n");
	if (h->unsafe)
		fprintf(out, "UNSAFE:   parts of the baseline are off (0x%llx)\n", h->unsafe);
}

#define COSTS_SHOWN 10

/* Where the bytes are, and which rules the automaton is due to. */
static void print_costs(const struct warder_image *img, const __u64 *cost, FILE *out)
{
	cleanup_free __u64 *left = NULL;
	char where[512];
	__u64 sum = 0;

	fprintf(out, "sections:\n");
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
		const struct warder_section *s =
			(const struct warder_section *)(const void *)(img->b + sections[i].offset);

		if (s->count)
			fprintf(out, "  %-12s %8zu bytes  %u entries\n", sections[i].name,
				s->count * sections[i].element, s->count);
	}
	left = cost ? malloc((img->h.rule.count + 1) * sizeof(*left)) : NULL;
	if (!left)
		return;
	memcpy(left, cost, (img->h.rule.count + 1) * sizeof(*left));
	for (__u32 i = 1; i <= img->h.rule.count; i++)
		sum += cost[i];
	for (unsigned n = 0; n < COSTS_SHOWN; n++) {
		__u32 most = 0;

		for (__u32 i = 1; i <= img->h.rule.count; i++)
			if (left[i] > (most ? left[most] : 0))
				most = i;
		if (!most)
			break;
		if (!n)
			fprintf(out, "rules that cost most:\n");
		fprintf(out, "  %5.1f%%  %s\n", 100.0 * (double)left[most] / (double)sum,
			image_rule_where(img, most, where, sizeof(where)));
		left[most] = 0;
	}
}

/* The policy once more, for what it cost. An image does not know. */
static void print_all_stats(const char *path, const struct warder_image *img)
{
	cleanup_free struct warder_image *again = NULL;
	cleanup_free __u64 *cost = NULL;
	struct policy_diags diags = { 0 };

	print_stats(img, stdout);
	policy_compile_path_costs(path, &again, &diags, &cost);
	policy_diags_done(&diags);
	print_costs(img, again ? cost : NULL, stdout);
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
			return policy_usage_error(EXIT_USAGE, "unknown option");
	}
	if (optind != argc - 1)
		return policy_usage_error(EXIT_USAGE, "compile: one file, please");
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
	if (stats)
		print_all_stats(argv[optind], img);
	else if (!out)
		print_stats(img, stdout);
	return fflush(stdout) ? EXIT_WARDER : 0;
}

/* -------------------------------------------------------------------- show */

static struct json_object *sections_json(const struct warder_image *img)
{
	struct json_object *o = json_object_new_object();

	for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
		const struct warder_section *s =
			(const struct warder_section *)(const void *)(img->b + sections[i].offset);

		json_add_number(o, sections[i].name, (int64_t)(s->count * sections[i].element));
	}
	return o;
}

static struct json_object *profiles_json(const struct warder_image *img)
{
	struct json_object *a = json_object_new_array();

	for (__u32 i = 1; i < img->h.profile.count; i++)
		json_object_array_add(a, json_object_new_string(image_string(
						 img, image_profile(img, i)->name)));
	return a;
}

static int show_json(const struct warder_image *img)
{
	const struct warder_image_header *h = &img->h;
	struct json_object *o = json_object_new_object(), *rules = json_object_new_array();
	struct json_object *shared = json_object_new_array();
	char digest[65];

	image_digest(img, digest);
	json_add_string(o, "policy", image_string(img, h->name));
	json_add_string(o, "digest", digest);
	json_add_string(o, "mode", mode_name(h->mode));
	json_object_object_add(o, "match", image_match_json(img));
	json_add_string(o, "keyring_join", keys_join_name(img));
	for (unsigned i = 0; image_shared(img, i); i++)
		json_object_array_add(shared, json_object_new_string(image_shared(img, i)));
	json_object_object_add(o, "keyring_shared", shared);
	json_add_number(o, "bytes", h->length);
	json_add_number(o, "states", h->states);
	json_add_number(o, "classes", h->classes);
	json_add_number(o, "accept_records", h->accept.count);
	json_object_object_add(o, "sections", sections_json(img));
	json_object_object_add(o, "profiles", profiles_json(img));
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
			return policy_usage_error(EXIT_USAGE, "unknown option");
		json = true;
	}
	if (optind != argc - 1)
		return policy_usage_error(EXIT_USAGE, "show: one file, please");
	status = policy_load_path(argv[optind], &img);
	if (status)
		return status;
	if (json)
		return show_json(img);
	print_stats(img, stdout);
	for (__u32 i = 1; i <= img->h.rule.count; i++) {
		const struct warder_rule *r = image_rule(img, i);

		printf("%5u  %-10s %-8s %s%s%s", i, class_name(r->class_),
		       r->class_ == WARDER_CLASS_OVERRIDE ? "override"
		       : r->deny			  ? "deny"
							  : "allow",
		       image_rule_where(img, i, where, sizeof(where)), r->id ? "  id " : "",
		       r->id ? image_string(img, r->id) : "");
		if (r->in && image_profile(img, r->in))
			printf("  in profile %s", image_string(img, image_profile(img, r->in)->name));
		putchar('\n');
	}
	return 0;
}
