// SPDX-License-Identifier: LGPL-2.1-or-later
/* Who answers the kernel's requests for keys on this host: what lies at /sbin/request-key, and which
 * line of its configuration fits best (request-key.conf(5)). */
#include "request_key.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

#define PROGRAM_MAX (16u << 20)
#define LINE_SIZE 4096 /* the ordinary program refuses longer ones */

/* ------------------------------------------------------------------------- program */

static int file_has_mark(const char *path)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *data;
	int has;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size < 1 ||
	    st.st_size > PROGRAM_MAX)
		return 0;
	data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return 0;
	has = memmem(data, (size_t)st.st_size, REQUEST_KEY_MARK, sizeof(REQUEST_KEY_MARK) - 1) != NULL;
	munmap(data, (size_t)st.st_size);
	return has;
}

enum request_key_state request_key_state(void)
{
	if (file_has_mark(REQUEST_KEY))
		return REQUEST_KEY_DIVERTED;
	return access(REQUEST_KEY_LINES, F_OK) ? REQUEST_KEY_NONE : REQUEST_KEY_LINE;
}

/* --------------------------------------------------------------------------- lines */

/* A pattern with at most one "*". *ret: how many characters that took. */
static int word_fits(const char *pattern, size_t len, const char *word, size_t *ret)
{
	const char *star = memchr(pattern, '*', len);
	size_t head = star ? (size_t)(star - pattern) : len, tail = star ? len - head - 1 : 0;
	size_t size = strlen(word);

	*ret = 0;
	if (!star)
		return size == len && !memcmp(word, pattern, len);
	if (size < head + tail || memcmp(word, pattern, head) ||
	    memcmp(word + size - tail, star + 1, tail))
		return 0;
	*ret = size - head - tail;
	return 1;
}

int request_key_line_fits(const char *line, const char *const words[4], size_t ret[4])
{
	line += strspn(line, " \t");
	if (!*line || *line == '#' || *line == '\n')
		return 0;
	for (int i = 0; i < 4; i++) {
		size_t len = strcspn(line, " \t\n");

		if (!len || !word_fits(line, len, words[i], &ret[i]))
			return 0;
		line += len;
		line += strspn(line, " \t");
	}
	return *line && *line != '\n';
}

struct winner {
	int found;
	size_t score[4];
	char *line, *where;
	size_t line_size, where_size;
};

static int is_better(const size_t a[4], const size_t b[4])
{
	for (int i = 0; i < 4; i++)
		if (a[i] != b[i])
			return a[i] < b[i];
	return 0;
}

static void read_conf(const char *path, const char *const words[4], struct winner *w)
{
	cleanup_fclose FILE *f = fopen(path, "re");
	char line[LINE_SIZE];
	unsigned number = 0;

	while (f && fgets(line, sizeof(line), f)) {
		size_t score[4];

		number++;
		if (!request_key_line_fits(line, words, score) || (w->found && !is_better(score, w->score)))
			continue;
		w->found = 1;
		memcpy(w->score, score, sizeof(score));
		line[strcspn(line, "\n")] = '\0';
		snprintf(w->line, w->line_size, "%s", line);
		snprintf(w->where, w->where_size, "%s:%u", path, number);
	}
}

int request_key_winner(const char *type, const char *description, char *ret_line, size_t line_size,
		       char *ret_where, size_t where_size)
{
	const char *const words[4] = { "create", type, description, "callout" };
	struct winner w = { .line = ret_line, .where = ret_where, .line_size = line_size,
			    .where_size = where_size };
	cleanup_closedir DIR *dir = opendir(REQUEST_KEY_CONF_DIR);
	struct dirent *d;

	/* In the folder's order, as the program reads it, and the one file last. */
	while (dir && (d = readdir(dir))) {
		size_t len = strlen(d->d_name);
		char path[512];

		if (d->d_name[0] == '.' || len < 6 || strcmp(d->d_name + len - 5, ".conf"))
			continue;
		snprintf(path, sizeof(path), REQUEST_KEY_CONF_DIR "/%s", d->d_name);
		read_conf(path, words, &w);
	}
	read_conf(REQUEST_KEY_CONF, words, &w);
	return w.found ? 0 : -ENOENT;
}
