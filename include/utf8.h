/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names are bytes, what people and JSON read is text. Pure; any thread. */
#ifndef WARDER_UTF8_H
#define WARDER_UTF8_H

#include <stddef.h>

/* Bytes of the well-formed UTF-8 sequence at `s`, of which `len` bytes may be read; 0: there is none. */
static inline size_t utf8_sequence(const char *s, size_t len)
{
	const unsigned char *b = (const unsigned char *)s;
	unsigned char c = len ? b[0] : 0xff, low = 0x80, high = 0xbf;
	size_t n = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : (c & 0xf0) == 0xe0 ? 3 :
		   c >= 0xf0 && c < 0xf5 ? 4 : 0;

	if (n > len)
		return 0;
	/* No longer form than needed, no surrogates, nothing above U+10FFFF. */
	low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : low;
	high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : high;
	for (size_t i = 1; i < n; i++) {
		if (b[i] < low || b[i] > high)
			return 0;
		low = 0x80;
		high = 0xbf;
	}
	return n;
}

/* Is the byte at `s` written as \xNN: no part of a character, a control character, or the backslash
 * before an x, so that nothing can be taken for something else? */
static inline int utf8_is_escaped(const char *s, size_t len)
{
	unsigned char c = (unsigned char)s[0];

	return !utf8_sequence(s, len) || c < 0x20 || c == 0x7f ||
	       (c == '\\' && len > 1 && s[1] == 'x');
}

#endif
