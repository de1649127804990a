// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A FUSE program for tests, started as any other: testfuse -f -s [-o ro] IMAGE /dev/fd/N. What it does is
 * the image's first word:
 *   ok       serves `file` (what follows the word), a device `null`, a set-user-ID `suid`, and `report`: what
 *            it is allowed where it runs
 *   deaf     the same, and does not end when it is unmounted
 *   silent   never reads a request      mute     answers INIT and nothing else
 *   dies     says something and ends    garbage  answers INIT with nonsense
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int device;
static char image[4096], report[1024];

static const struct entry {
	const char *name;
	uint32_t mode, rdev;
	const char *text;
} entry[] = {
	{ "", S_IFDIR | 0755, 0, "" },
	{ "file", S_IFREG | 0644, 0, image },
	{ "secret", S_IFREG | 0600, 0, image },
	{ "null", S_IFCHR | 0666, 1 << 8 | 3, "" },
	{ "suid", S_IFREG | 04755, 0, "#!/bin/sh\n" },
	{ "report", S_IFREG | 0644, 0, report },
};
#define ENTRIES (sizeof(entry) / sizeof(entry[0]))

static void answer(const struct fuse_in_header *in, int error, const void *data, size_t size)
{
	struct fuse_out_header out = { .len = (uint32_t)(sizeof(out) + size), .error = error,
				       .unique = in->unique };
	struct iovec iov[2] = { { &out, sizeof(out) }, { (void *)data, size } };

	if (writev(device, iov, 2) < 0)
		return; /* nobody waits any more */
}

static struct fuse_attr attr_of(uint64_t node)
{
	const struct entry *e = &entry[node - 1];

	return (struct fuse_attr){ .ino = node, .mode = e->mode, .nlink = 1, .rdev = e->rdev,
				   .size = strlen(e->text), .blksize = 4096 };
}

static void on_init(const struct fuse_in_header *in, const char *word)
{
	struct fuse_init_out out = { .major = FUSE_KERNEL_VERSION, .minor = 31, .max_readahead = 4096,
				     .max_background = 4, .congestion_threshold = 3, .max_write = 4096 };

	if (!strcmp(word, "garbage"))
		memset(&out, 0x5a, sizeof(out));
	answer(in, 0, &out, !strcmp(word, "garbage") ? 3 : sizeof(out));
}

static void on_lookup(const struct fuse_in_header *in, const char *name)
{
	struct fuse_entry_out out = { .generation = 1, .attr_valid = 1, .entry_valid = 1 };

	for (uint64_t i = 1; in->nodeid == FUSE_ROOT_ID && i < ENTRIES; i++)
		if (!strcmp(name, entry[i].name)) {
			out.nodeid = i + 1;
			out.attr = attr_of(i + 1);
			answer(in, 0, &out, sizeof(out));
			return;
		}
	answer(in, -ENOENT, NULL, 0);
}

static void on_read(const struct fuse_in_header *in, const struct fuse_read_in *r)
{
	const char *text = entry[in->nodeid - 1].text;
	size_t len = strlen(text), from = r->offset < len ? (size_t)r->offset : len;

	answer(in, 0, text + from, len - from < r->size ? len - from : r->size);
}

static void serve(const struct fuse_in_header *in, const char *body)
{
	struct fuse_attr_out attr = { .attr_valid = 1 };
	struct fuse_open_out open_ = { 0 };
	struct fuse_statfs_out statfs_ = { 0 };

	if (in->nodeid > ENTRIES) {
		answer(in, -ESTALE, NULL, 0);
		return;
	}
	switch (in->opcode) {
	case FUSE_GETATTR:
		attr.attr = attr_of(in->nodeid);
		answer(in, 0, &attr, sizeof(attr));
		return;
	case FUSE_LOOKUP:
		on_lookup(in, body);
		return;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		answer(in, 0, &open_, sizeof(open_));
		return;
	case FUSE_READ:
		on_read(in, (const void *)body);
		return;
	case FUSE_STATFS:
		answer(in, 0, &statfs_, sizeof(statfs_));
		return;
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
		answer(in, 0, NULL, 0);
		return;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		return;
	default:
		answer(in, -ENOSYS, NULL, 0);
	}
}

/* ------------------------------------------------------------ what it is allowed here */

static int error_of(int result)
{
	return result < 0 ? errno : 0;
}

static void report_fill(const char *path)
{
	uid_t uid[3];
	gid_t gid[3];
	int caps = 0, rw;

	getresuid(&uid[0], &uid[1], &uid[2]);
	getresgid(&gid[0], &gid[1], &gid[2]);
	for (int i = 0; i < 41; i++)
		caps += prctl(PR_CAPBSET_READ, i) > 0;
	rw = error_of(open(path, O_RDWR | O_CLOEXEC));
	snprintf(report, sizeof(report),
		 "uid %u %u %u gid %u %u %u pid %d groups %d bounding %d privs %d seccomp %d rw %d\n"
		 "passwd %d proc %d root %d var %d new %d socket %d mount %d unshare %d setuid %d\n",
		 uid[0], uid[1], uid[2], gid[0], gid[1], gid[2], getpid(), getgroups(0, NULL), caps,
		 prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), prctl(PR_GET_SECCOMP) == 2, rw,
		 error_of(access("/etc/passwd", F_OK)), error_of(access("/proc", F_OK)),
		 error_of(access("/root", F_OK)), error_of(access("/var", F_OK)),
		 error_of(open("/tmp/new", O_CREAT | O_WRONLY, 0600)),
		 error_of(socket(AF_UNIX, SOCK_STREAM, 0)), error_of(mount("a", "/tmp", "tmpfs", 0, "")),
		 error_of(unshare(0x10000000)), error_of(setuid(0)));
}

int main(int argc, char **argv)
{
	static char request[256 << 10];
	const char *path = argc > 2 ? argv[argc - 2] : "", *point = argc > 2 ? argv[argc - 1] : "";
	char word[16] = "";
	int fd = open(path, O_RDONLY), at = 0, deaf;

	if (fd < 0 || read(fd, image, sizeof(image) - 1) < 0 || sscanf(image, "%15s%n", word, &at) != 1 ||
	    sscanf(point, "/dev/fd/%d", &device) != 1) {
		fprintf(stderr, "testfuse: no image at %s, or no device at %s\n", path, point);
		return 1;
	}
	close(fd);
	memmove(image, image + at + 1, strlen(image + at));
	if (!strcmp(word, "dies")) {
		fprintf(stderr, "testfuse: \033[1mbad image\nsecond line\n");
		return 3;
	}
	report_fill(path);
	deaf = !strcmp(word, "deaf");
	for (;;) {
		const struct fuse_in_header *in = (const void *)request;
		ssize_t got;

		if (!strcmp(word, "silent"))
			pause();
		got = read(device, request, sizeof(request));
		if (got < 0 && errno == ENODEV && !deaf)
			return 0;
		if (got < (ssize_t)sizeof(*in)) {
			usleep(1000);
			continue;
		}
		if (in->opcode == FUSE_INIT)
			on_init(in, word);
		else if (strcmp(word, "mute"))
			serve(in, request + sizeof(*in));
	}
}
