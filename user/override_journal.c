// SPDX-License-Identifier: LGPL-2.1-or-later
/* The journal of what is performed and not yet answered: one fixed place for each job. */
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "override_internal.h"

#define JOURNAL_MAGIC 0x334a5257u /* "WRJ3" */

struct place {
	__u32 magic;
	__u32 used;
	struct journal_entry entry;
};

/* They lie behind the places. One write of 16 bytes, within a page: whole or not there. */
struct boost_place {
	__u32 magic;
	__u32 used;
	struct journal_boost boost;
};

#define BOOST_AT(i) ((off_t)(JOURNAL_PLACES * sizeof(struct place) + (i) * sizeof(struct boost_place)))

/* And behind those what is written without a system call. */
struct shared {
	struct executor_note note[JOURNAL_PLACES];
	__u32 told[JOURNAL_PLACES];
};

#define SHARED_AT ((BOOST_AT(JOURNAL_PLACES) + 4095) & ~(off_t)4095)

struct journal {
	int fd;
	struct shared *shared;
};

int journal_open(struct journal **ret, const char *path, struct warder_error *reterr)
{
	cleanup_close int fd = -1;
	char dir[PATH_MAX];
	struct journal *j;
	struct stat st;

	if (snprintf(dir, sizeof(dir), "%s", path) >= (int)sizeof(dir))
		return error_set(reterr, -ENAMETOOLONG, "the journal's name is too long");
	if (mkdir(dirname(dir), 0700) && errno != EEXIST)
		return error_errno(reterr, -errno, "cannot make the folder of the journal %s", path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_errno(reterr, -errno, "cannot open the journal %s", path);
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
		return error_set(reterr, -EPERM,
				 "the journal %s is not a file that only root can write: remove it",
				 path);
	/* All of its room now: a full disk must not show between performing and answering. */
	if (posix_fallocate(fd, 0, SHARED_AT + (off_t)sizeof(struct shared)))
		return error_set(reterr, -ENOSPC, "no room for the journal %s", path);
	j = calloc(1, sizeof(*j));
	if (!j)
		return -ENOMEM;
	j->shared = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, SHARED_AT);
	if (j->shared == MAP_FAILED) {
		free(j);
		return error_errno(reterr, -errno, "cannot map the journal %s", path);
	}
	j->fd = take_fd(&fd);
	*ret = j;
	return 0;
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	munmap(j->shared, sizeof(struct shared));
	close(j->fd);
	free(j);
}

struct executor_note *journal_notes(struct journal *j)
{
	return j->shared->note;
}

__u32 *journal_told(struct journal *j, unsigned i)
{
	return &j->shared->told[i];
}

static int place_write(struct journal *j, unsigned i, const void *data, size_t size, size_t offset)
{
	ssize_t n = pwrite(j->fd, data, size, (off_t)(i * sizeof(struct place) + offset));

	return n == (ssize_t)size ? 0 : n < 0 ? -errno : -EIO;
}

int journal_write(struct journal *j, unsigned i, const struct journal_entry *e)
{
	const __u32 head[2] = { JOURNAL_MAGIC, 1 };
	int err;

	__atomic_store_n(&j->shared->note[i].kind, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&j->shared->told[i], JOURNAL_TOLD_NONE, __ATOMIC_RELEASE);
	/* The head last: a half-written entry is no entry. */
	err = place_write(j, i, e, sizeof(*e), offsetof(struct place, entry));
	return err ? err : place_write(j, i, head, sizeof(head), 0);
}

int journal_clear(struct journal *j, unsigned i)
{
	const __u32 head[2] = { 0, 0 };

	return place_write(j, i, head, sizeof(head), 0);
}

int journal_read(struct journal *j, unsigned i, struct journal_entry *ret)
{
	struct place p;

	if (pread(j->fd, &p, sizeof(p), (off_t)(i * sizeof(p))) != sizeof(p) ||
	    p.magic != JOURNAL_MAGIC || p.used != 1)
		return 0;
	p.entry.target[sizeof(p.entry.target) - 1] = '\0';
	p.entry.from[sizeof(p.entry.from) - 1] = '\0';
	*ret = p.entry;
	return 1;
}

static int boost_write(struct journal *j, unsigned i, const struct boost_place *p)
{
	ssize_t n = pwrite(j->fd, p, sizeof(*p), BOOST_AT(i));

	return n == sizeof(*p) ? 0 : n < 0 ? -errno : -EIO;
}

int journal_boost_write(struct journal *j, unsigned i, const struct journal_boost *b)
{
	const struct boost_place p = { .magic = JOURNAL_MAGIC, .used = 1, .boost = *b };

	return boost_write(j, i, &p);
}

int journal_boost_clear(struct journal *j, unsigned i)
{
	const struct boost_place p = { 0 };

	return boost_write(j, i, &p);
}

int journal_boost_read(struct journal *j, unsigned i, struct journal_boost *ret)
{
	struct boost_place p;

	if (pread(j->fd, &p, sizeof(p), BOOST_AT(i)) != sizeof(p) || p.magic != JOURNAL_MAGIC ||
	    p.used != 1)
		return 0;
	*ret = p.boost;
	return 1;
}
