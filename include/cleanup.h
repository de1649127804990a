/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owning locals: they carry a cleanup attribute and an initial value (NULL, -1); what leaves
 * the scope is handed over with take_fd() or take_ptr(). */
#ifndef WARDER_CLEANUP_H
#define WARDER_CLEANUP_H

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free_p(void *p)
{
	free(*(void **)p);
}

/* errno survives, so that a failure can be reported after the scope is left. */
static inline void cleanup_close_p(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

static inline void cleanup_fclose_p(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void cleanup_closedir_p(DIR **d)
{
	if (*d)
		closedir(*d);
}

#define cleanup(f) __attribute__((cleanup(f)))
#define cleanup_free cleanup(cleanup_free_p)
#define cleanup_close cleanup(cleanup_close_p)
#define cleanup_fclose cleanup(cleanup_fclose_p)
#define cleanup_closedir cleanup(cleanup_closedir_p)

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#define take_ptr(p)                             \
	({                                      \
		__typeof__(p) taken_ptr_ = (p); \
		(p) = NULL;                     \
		taken_ptr_;                     \
	})

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
