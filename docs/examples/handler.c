// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A handler in C: pretends that swap was turned on and off, refuses other attempts to name the
 * container with EACCES, and passes on everything else. Run it with:
 * warder supervise names --exec ./handler
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
	static char line[1 << 20];
	const char *at;

	/* Each answer must leave at once. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!fgets(line, sizeof(line), stdin) || !strstr(line, "\"versions\":[1"))
		return 1;
	puts("{\"version\": 1, \"mode\": \"decide\"}");
	while (fgets(line, sizeof(line), stdin)) {
		at = strstr(line, "\"seq\":");
		if (!at)
			continue;
		printf("{\"seq\": %llu, ", strtoull(at + strlen("\"seq\":"), NULL, 10));
		if (strstr(line, "\"operation\":\"swapon\"") || strstr(line, "\"operation\":\"swapoff\""))
			puts("\"decision\": \"fake\", \"value\": 0}");
		else if (strstr(line, "\"operation\":\"sethostname\""))
			puts("\"decision\": \"deny\", \"errno\": \"EACCES\"}");
		else
			puts("\"decision\": \"pass\"}");
	}
	return 0;
}
