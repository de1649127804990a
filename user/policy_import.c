// SPDX-License-Identifier: LGPL-2.1-or-later
/* What importers share: a list of rules that becomes a policy which is accepted. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy_import.h"

#define IMPORT_RULES_MAX 20000u

void import_name(struct import *im, const char *name)
{
	size_t n = 0;

	for (const char *p = name; *p && n < sizeof(im->policy) - 1; p++) {
		char c = *p;
		bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			    (c >= '0' && c <= '9');

		if (good)
			im->policy[n++] = c;
		else if (n && im->policy[n - 1] != '-')
			im->policy[n++] = '-';
	}
	while (n && im->policy[n - 1] == '-')
		n--;
	im->policy[n] = 0;
	if (!n)
		strcpy(im->policy, "imported");
	/* Digits alone would be a number. */
	if (strspn(im->policy, "0123456789") == n && n && n < sizeof(im->policy) - 2) {
		memmove(im->policy + 1, im->policy, n + 1);
		im->policy[0] = 'p';
	}
}

void import_lost(struct import *im, unsigned line, unsigned column, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	diag_addv(im->diags, im->name, line, column, 1, format, ap);
	va_end(ap);
}

void import_fail(struct import *im, unsigned line, unsigned column, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	diag_addv(im->diags, im->name, line, column, 0, format, ap);
	va_end(ap);
	im->err = im->err ? im->err : -EINVAL;
}

bool import_wider(const char *glob, char *buf, size_t size)
{
	char folder[WARDER_PATH_MAX];
	size_t n = strcspn(glob, "*?[]{}@\\\"^");

	while (n && glob[n - 1] != '/')
		n--;
	if (glob[0] != '/' || n < 2 || n + 4 > sizeof(folder))
		return false;
	snprintf(folder, sizeof(folder), "%.*s**", (int)n, glob);
	return import_pattern(folder, buf, size);
}

void import_rule(struct import *im, unsigned line, unsigned column, enum warder_class class_,
		 const char *format, ...)
{
	struct import_rule *r;
	va_list ap;

	if (im->err)
		return;
	if (im->rules == IMPORT_RULES_MAX) {
		import_fail(im, line, column, "more than %u rules", IMPORT_RULES_MAX);
		return;
	}
	if (vector_grow(&im->rule, im->rules, &im->cap, sizeof(*im->rule))) {
		im->err = -ENOMEM;
		return;
	}
	r = &im->rule[im->rules];
	*r = (struct import_rule) { .class_ = class_, .line = line, .column = column };
	va_start(ap, format);
	if (vasprintf(&r->text, format, ap) < 0) {
		r->text = NULL;
		im->err = -ENOMEM;
	}
	va_end(ap);
	if (!r->text)
		return;
	/* The same twice says nothing more. */
	for (size_t i = 0; i < im->rules; i++)
		if (im->rule[i].class_ == class_ && !strcmp(im->rule[i].text, r->text)) {
			free(r->text);
			return;
		}
	im->rules++;
}

// Where folders are written with a slash at the end, alternatives come with and without one: "{,/}",
// "{,/,/**}", or a slash and "{,**}". Without those slashes some of them are the same.
static void fold_folders(const char *glob, char *buf, size_t size)
{
	const char *open = strrchr(glob, '{'), *at, *end = glob + strlen(glob) - 1;
	size_t head = open ? (size_t)(open - glob) : 0, n, first, alternatives = 0;
	bool slash = head > 1 && open[-1] == '/', empty = false;

	snprintf(buf, size, "%s", glob);
	if (head < 2 || open[-1] == '\\' || *end != '}' || memchr(open, '}', (size_t)(end - open)) ||
	    strlen(glob) + 64 > size)
		return;
	/* "/x/{a,b}" needs nothing. */
	if (slash && open[1] != ',' && !strstr(open, ",,") && end[-1] != ',')
		slash = false;
	n = first = head - slash;
	buf[n++] = '{';
	for (at = open + 1; at <= end; at++) {
		size_t len = strcspn(at, ",}"), start = n;

		if (alternatives)
			buf[n++] = ',';
		if (n + len + 8 > size) {
			snprintf(buf, size, "%s", glob);
			return;
		}
		start = n;
		if (slash)
			buf[n++] = '/';
		memcpy(buf + n, at, len);
		n += len;
		if (n > start && buf[n - 1] == '/')
			n--;
		at += len;
		/* The empty one is there once. */
		if (n == start && empty && alternatives)
			n--;
		else
			alternatives++;
		empty |= n == start;
	}
	buf[n++] = '}';
	buf[n] = 0;
	if (alternatives == 1) {
		memmove(buf + first, buf + first + 1, n - first - 2);
		buf[n - 2] = 0;
	}
}

bool import_pattern(const char *pattern, char *buf, size_t size)
{
	char glob[2 * WARDER_PATH_MAX];
	size_t len, n = 0;

	if (strlen(pattern) + 64 > sizeof(glob))
		return false;
	fold_folders(pattern, glob, sizeof(glob));
	len = strlen(glob);
	/* A folder's own name has no slash at its end. */
	if (len > 1 && glob[len - 1] == '/')
		len--;
	if (glob[0] != '/' && glob[0] != '{' && glob[0] != '*')
		return false;
	if (2 * len + 4 > size)
		return false;
	buf[n++] = '"';
	/* "**" from the root on: names begin with a slash. */
	if (glob[0] == '*')
		buf[n++] = '/';
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)glob[i] < 0x20)
			return false;
		if (glob[i] == '"' || glob[i] == '\\')
			buf[n++] = '\\';
		buf[n++] = glob[i];
	}
	buf[n++] = '"';
	buf[n] = 0;
	return true;
}

/* The text, and the rule that stands on each of its lines (1 + index, 0: none). */
static int write_text(const struct import *im, char **ret_text, size_t **ret_rule_of)
{
	size_t size, line = 0, sep = 0, *rule_of;
	FILE *f = open_memstream(ret_text, &size);

	rule_of = calloc(im->rules + 2 * WARDER_CLASS__MAX + 16, sizeof(*rule_of));
	if (!f || !rule_of) {
		if (f)
			fclose(f);
		free(rule_of);
		return -ENOMEM;
	}
	fprintf(f, "# From %s. Review it, and what could not be carried over.\n", im->from);
	fprintf(f, "policy: %s\nmode: %s\n", im->policy, im->audit ? "audit" : "enforce");
	line = 3;
	for (__u32 c = 0; c < WARDER_CLASS__MAX; c++)
		if (im->deny[c])
			fprintf(f, "%s%s: deny", sep++ ? ", " : "defaults: {", class_name(c));
	if (sep) {
		fputs("}\n", f);
		line++;
	}
	for (__u32 c = 0; c < WARDER_CLASS__MAX; c++) {
		bool head = false;

		for (size_t i = 0; i < im->rules; i++) {
			if (im->rule[i].class_ != c || im->rule[i].dropped)
				continue;
			if (!head) {
				fprintf(f, "%s:\n", class_name(c));
				line++;
			}
			head = true;
			fprintf(f, "  - %s\n", im->rule[i].text);
			rule_of[++line] = i + 1;
		}
	}
	*ret_rule_of = rule_of;
	if (fclose(f)) {
		free(rule_of);
		return -ENOMEM;
	}
	return 0;
}

/* One try. 1: rules were left out, try again. */
static int try_text(struct import *im, const char *text, const size_t *rule_of)
{
	struct policy_diags diags = { 0 };
	struct warder_image *img = NULL;
	struct policy *p = NULL;
	int err = policy_parse("imported", text, strlen(text), NULL, &p, &diags), dropped = 0;

	if (!err)
		err = policy_compile(p, &img, &diags);
	free(img);
	policy_free(p);
	for (size_t i = 0; err && i < diags.count; i++) {
		const struct policy_diag *d = &diags.item[i];
		struct import_rule *r;
		size_t index;

		if (d->warning || !d->line)
			continue;
		index = rule_of[d->line];
		if (!index || im->rule[index - 1].dropped)
			continue;
		r = &im->rule[index - 1];
		r->dropped = true;
		dropped = 1;
		if (!strncmp(r->text, "{deny", 5) && !strstr(d->text, "never decide"))
			import_fail(im, r->line, r->column,
				    "denied there, and cannot be here: %s: %s", r->text, d->text);
		else
			import_lost(im, r->line, r->column, "left out: %s: %s", r->text, d->text);
	}
	if (im->err)
		dropped = 0;
	if (err && !dropped && !im->err && diags.count)
		diag_add(im->diags, im->name, 0, 0, 0, "cannot be carried over: %s",
			 diags.item[0].text);
	policy_diags_done(&diags);
	return err && dropped ? 1 : err;
}

int import_finish(struct import *im, char **ret_text)
{
	int err = im->err;

	*ret_text = NULL;
	while (!err) {
		size_t *rule_of = NULL;

		err = write_text(im, ret_text, &rule_of);
		if (err)
			break;
		err = try_text(im, *ret_text, rule_of);
		free(rule_of);
		if (!err)
			break;
		free(*ret_text);
		*ret_text = NULL;
		err = err == 1 ? 0 : err;
	}
	for (size_t i = 0; i < im->rules; i++)
		free(im->rule[i].text);
	free(im->rule);
	return err;
}
