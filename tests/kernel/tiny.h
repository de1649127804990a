/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A program made of two instructions behind an ELF header, which exits with the byte at TINY_CODE. */
#ifndef WARDER_TINY_H
#define WARDER_TINY_H

#define TINY_SIZE 0x84
#define TINY_CODE 0x79
#define TINY_EXIT 7

extern const unsigned char tiny[TINY_SIZE];

/* A new file at this path that exits with `code`. */
void tiny_make(const char *path, unsigned char code);

#endif
