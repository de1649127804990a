// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * policy test --live: the container, what its tests need, and what their results mean.
 *
 * The container's root is a folder of its own that holds nothing but this program and its
 * libraries. It starts under a policy that allows everything; when its processes wait (see
 * cmd_policy_worker.c), the policy under test is loaded in its place, and each test gets its turn.
 * What a test needs is made just before it from outside, where no policy holds.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "cleanup.h"
#include "client.h"
#include "cmd_policy.h"
#include "log.h"

#define WORKER_DIR "/.warder-live"
/* Under emulation a container takes a while. */
#define READY_MS 60000
#define RESULT_MS 20000

struct live {
	const struct policy_tests *tests;
	char root[64];
	char name[WARDER_NAME_SIZE];
	struct warder *w;	/* the container's: its exit is told there */
	struct warder *control; /* for everything else */
	struct warder_started started;
	int in, out; /* our ends of the worker's standard input and output */
	char line[512];
	size_t line_len;
	char at[64]; /* the container's root as we reach it */
	/* The policies under test have names of their own, of which all must allow. */
	char policy[WARDER_LAYERS_MAX][WARDER_NAME_SIZE];
	size_t policies, loaded;
};

/* ------------------------------------------------------------------ the folder */

static int copy_file(const char *from, const char *to, mode_t mode)
{
	cleanup_close int in = open(from, O_RDONLY | O_CLOEXEC);
	cleanup_close int out = in < 0 ? -1 :
					 open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	char buf[65536];
	ssize_t n;

	if (in < 0 || out < 0)
		return -errno;
	while ((n = read(in, buf, sizeof(buf))) > 0)
		for (ssize_t done = 0, w; done < n; done += w) {
			w = write(out, buf + done, (size_t)(n - done));
			if (w <= 0)
				return w ? -errno : -EIO;
		}
	return n < 0 ? -errno : 0;
}

/* Every library of this program, by the name that its loader asks for. */
static int copy_library(struct dl_phdr_info *info, size_t size, void *arg)
{
	const struct live *l = arg;
	const char *base = strrchr(info->dlpi_name, '/');
	char to[256];

	(void)size;
	if (!base) /* the program itself, and the kernel's page */
		return 0;
	snprintf(to, sizeof(to), "%s" WORKER_DIR "%s", l->root, base);
	return copy_file(info->dlpi_name, to, 0755);
}

static const char *loader_name(void)
{
	return "ld-linux-x86-64.so.2";
}

static int fill_root(struct live *l)
{
	char path[128], other[128];
	int err;

	snprintf(path, sizeof(path), "%s" WORKER_DIR, l->root);
	if (chmod(l->root, 0755) || mkdir(path, 0755))
		return -errno;
	err = dl_iterate_phdr(copy_library, l);
	if (err)
		return err;
	snprintf(path, sizeof(path), "%s" WORKER_DIR "/warder", l->root);
	err = copy_file("/proc/self/exe", path, 0755);
	if (err)
		return err;
	snprintf(path, sizeof(path), "%s" WORKER_DIR "/tests", l->root);
	err = copy_file(l->tests->file, path, 0644);
	snprintf(path, sizeof(path), "%s" WORKER_DIR "/mine", l->root);
	snprintf(other, sizeof(other), "%s" WORKER_DIR "/other", l->root);
	if (!err && (mknod(path, S_IFREG | 0644, 0) || mknod(other, S_IFREG | 0644, 0) ||
		     chown(other, 12345, 12345)))
		err = -errno;
	return err;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	remove(path);
	return 0;
}

/* --------------------------------------------------------------- the container */

static int bootstrap_image(const char *name, struct warder_image **ret)
{
	struct policy_diags diags = { 0 };
	struct policy *p = NULL;
	char text[256];
	int err;

	snprintf(text, sizeof(text), "policy: %s\ndefaults: {mount: allow}\n", name);
	err = policy_parse("(live test)", text, strlen(text), NULL, &p, &diags);
	if (!err)
		err = policy_compile(p, ret, &diags);
	policy_diags_print(&diags, stderr);
	policy_diags_done(&diags);
	policy_free(p);
	return err;
}

static int start(struct live *l, struct warder_error *e)
{
	static const char worker[] = WORKER_DIR "/warder", tests[] = WORKER_DIR "/tests";
	static const char *const caps[] = { "ALL", NULL };
	char ld[64];
	const char *const argv[] = { ld,     "--library-path", WORKER_DIR, worker, "policy",
				     "live-worker", tests, NULL };
	struct warder_image *img[WARDER_LAYERS_MAX] = { NULL };
	struct warder_policy_ref refs[WARDER_LAYERS_MAX] = { { NULL } };
	struct warder_run_options o = { .struct_size = sizeof(o), .name = l->name,
					.argv = argv, .cap_add = caps, .rootfs = l->root,
					.workdir = "/" };
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, err = 0;

	snprintf(ld, sizeof(ld), WORKER_DIR "/%s", loader_name());
	for (size_t i = 0; !err && i < l->policies; i++) {
		err = bootstrap_image(l->policy[i], &img[i]);
		if (err)
			error_set(e, err, "no policy to begin with");
		else
			refs[i] = (struct warder_policy_ref){ .image = img[i],
							      .image_size = img[i]->h.length };
	}
	if (!err && (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC)))
		err = error_errno(e, -errno, "no pipe");
	l->in = in[1];
	l->out = out[0];
	o.policies = refs;
	o.policy_count = l->policies;
	o.stdio[0] = in[0];
	o.stdio[1] = out[1];
	o.stdio[2] = STDERR_FILENO;
	if (!err)
		err = client_connect(&l->w, WARDER_CONNECT_START, e);
	if (!err)
		err = client_connect(&l->control, 0, e);
	if (!err)
		err = warder_run(l->w, &o, &l->started, e->text, sizeof(e->text));
	close(in[0]);
	close(out[1]);
	for (size_t i = 0; i < l->policies; i++)
		free(img[i]);
	return err;
}

/* A line of the worker's, without its newline. 0, -ETIMEDOUT, -EPIPE. */
static int read_line(struct live *l, int timeout_ms, char *ret, size_t size)
{
	for (;;) {
		struct pollfd p = { .fd = l->out, .events = POLLIN };
		char *end = memchr(l->line, '\n', l->line_len);
		ssize_t n;

		if (end) {
			size_t len = (size_t)(end - l->line);

			snprintf(ret, size, "%.*s", (int)len, l->line);
			l->line_len -= len + 1;
			memmove(l->line, end + 1, l->line_len);
			return 0;
		}
		if (l->line_len == sizeof(l->line))
			return -EPIPE;
		n = poll(&p, 1, timeout_ms);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ETIMEDOUT;
		n = read(l->out, l->line + l->line_len, sizeof(l->line) - l->line_len);
		if (n <= 0)
			return -EPIPE;
		l->line_len += (size_t)n;
	}
}

/* ------------------------------------------------------------ what tests need */

static void make_folders(const char *path, size_t from)
{
	char part[2 * WARDER_PATH_MAX];

	for (size_t i = from + 1; path[i] && i < sizeof(part); i++)
		if (path[i] == '/') {
			snprintf(part, sizeof(part), "%.*s", (int)i, path);
			if (!mkdir(part, 0777))
				chmod(part, 0777);
		}
}

/* NULL, or why the test cannot be run. */
static const char *prepare(const struct live *l, const struct policy_test *t)
{
	const struct policy_request *r = &t->request;
	__u32 absent = WARDER_ACC_CREATE | WARDER_ACC_SYMLINK | WARDER_ACC_MKNOD;
	char path[2 * WARDER_PATH_MAX];
	struct stat st;
	size_t root = strlen(l->at);

	if (!r->path || r->abstract)
		return NULL;
	snprintf(path, sizeof(path), "%s%s", l->at, r->path);
	if (r->class_ == WARDER_CLASS_NETWORK)
		return NULL; /* sockets are made by the worker, before */
	make_folders(path, root);
	if (r->class_ == WARDER_CLASS_MOUNT) {
		if (mkdir(path, 0755) && errno != EEXIST)
			return "its target cannot be made";
		return NULL;
	}
	if (r->class_ == WARDER_CLASS_DEVICE) {
		if (r->access & WARDER_DEV_MKNOD) {
			unlink(path);
			return NULL;
		}
		/* The kernel refuses any other before a policy is asked. */
		if (strncmp(r->path, "/dev/", 5))
			return "the container's root is mounted nodev: only nodes below /dev open";
		if (lstat(path, &st) && (mknod(path, (r->device_type == 0020000u ? S_IFCHR : S_IFBLK) |
							     0666,
					       makedev(r->device_major, r->device_minor)) ||
					 chmod(path, 0666)))
			return "its node cannot be made";
		return NULL;
	}
	if (r->class_ == WARDER_CLASS_FILE && (r->access & absent)) {
		if (r->access & ~absent)
			return "it asks to make the object and for an object that exists";
		if (unlink(path))
			rmdir(path);
		return lstat(path, &st) ? NULL : "the object is there and cannot be removed";
	}
	if (!lstat(path, &st))
		return S_ISREG(st.st_mode) || !strcmp(r->path, "/") ||
				       r->access == WARDER_ACC_READ ?
			       NULL :
			       "the object is there and is no regular file";
	if (mknod(path, S_IFREG | 0755, 0) ||
	    chmod(path, r->class_ == WARDER_CLASS_EXEC ? 0755 : 0666) ||
	    chown(path, t->uid, t->uid))
		return "its object cannot be made";
	return NULL;
}

/* A socket of the host: made by this process, which is in no container, and open until it ends. */
static void host_socket(const char *path, __u32 access)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int type = access & WARDER_NET_SEND ? SOCK_DGRAM : SOCK_STREAM, fd;

	if (!(access & (WARDER_NET_CONNECT | WARDER_NET_SEND)) ||
	    strlen(path) >= sizeof(a.sun_path))
		return;
	strcpy(a.sun_path, path);
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	/* Tests may share one. */
	if ((fd < 0 || bind(fd, (void *)&a, sizeof(a)) || chmod(path, 0666) ||
	     (type == SOCK_STREAM && listen(fd, 8))) && errno != EADDRINUSE)
		log_error("%s: no socket can be made there: %s", path, strerror(errno));
}

/* Sockets' folders: before the worker makes the sockets. */
static void prepare_sockets(const struct live *l)
{
	for (size_t i = 0; i < l->tests->count; i++) {
		const struct policy_request *r = &l->tests->test[i].request;
		char path[2 * WARDER_PATH_MAX];

		if (r->class_ != WARDER_CLASS_NETWORK || !r->path || r->abstract)
			continue;
		snprintf(path, sizeof(path), "%s%s", l->root, r->path);
		make_folders(path, strlen(l->root));
		if (!r->peer || r->peer == WARDER_PEER_HOST)
			host_socket(path, r->access);
	}
}

/* -------------------------------------------------------------------- judging */

/* Right when the outcome is what the test expects. An operation that was let through may still
 * fail for another reason: a port that nobody serves, an object of another kind. */
static bool judge(const struct policy_test *t, const struct policy_test_result *said, int err,
		  char *text, size_t size)
{
	bool refused = err == EPERM || err == EACCES ||
		       (err && said->verdict.action == WARDER_DENY && err == (int)said->verdict.err);
	const char *got = err ? errno_name(err) : "success";

	if (t->override == TEST_OVERRIDE_PERFORM || t->override == TEST_OVERRIDE_FAKE) {
		snprintf(text, size, "expected override: %s, the kernel says %s",
			 t->override == TEST_OVERRIDE_FAKE ? "fake" : "perform", got);
		return !err;
	}
	if (t->override) {
		snprintf(text, size, "expected a refusal, the kernel says %s", got);
		return err != 0;
	}
	if (t->verdict == TEST_DENY) {
		int want = t->err ? t->err : (int)said->verdict.err;

		snprintf(text, size, "expected deny with %s, the kernel says %s",
			 want ? errno_name(want) : "an error", got);
		return want ? err == want : refused;
	}
	snprintf(text, size, "expected %s, the kernel refused with %s",
		 t->verdict == TEST_AUDIT ? "audit" : "allow", got);
	return !refused;
}

static int run_one(struct live *l, const struct warder_image *img, size_t i,
		   int (*result)(void *, const struct policy_test *, int, bool, const char *),
		   void *arg)
{
	const struct policy_test *t = &l->tests->test[i];
	cleanup_free struct policy_test_result *said = malloc(sizeof(*said));
	const char *why = i < LIVE_TESTS_MAX ? prepare(l, t) : "a live run has at most 400 tests";
	char line[256], text[512];
	size_t index;
	int kind, err, len, at = 0;

	if (!said)
		return -ENOMEM;
	if (why)
		return result(arg, t, 1, true, why);
	err = policy_test_run(img, t, said, NULL);
	if (err)
		return err;
	len = snprintf(line, sizeof(line), "%zu\n", i);
	if (write(l->in, line, (size_t)len) != len)
		return -EPIPE;
	err = read_line(l, RESULT_MS, line, sizeof(line));
	if (err)
		return err;
	if (sscanf(line, "%zu %d %d %n", &index, &kind, &err, &at) < 3 || index != i)
		return -EPROTO;
	if (kind == 1)
		return result(arg, t, 1, true, at ? line + at : "");
	if (kind == 2)
		return result(arg, t, 0, false, "the process of the test did not end by itself");
	return result(arg, t, 0, judge(t, said, err, text, sizeof(text)), text);
}

/* ----------------------------------------------------------------------- entry */

static void finish(struct live *l)
{
	struct warder_error e = { "" };
	struct json_object *request;
	int status;

	if (l->in >= 0)
		close(l->in);
	if (l->out >= 0)
		close(l->out);
	if (l->control && l->started.pid) {
		warder_kill(l->control, l->name, SIGKILL, 1, e.text, sizeof(e.text));
		warder_wait_exit(l->w, &status, e.text, sizeof(e.text));
	}
	/* The container's last task may take a moment to leave. */
	for (int i = 0; l->loaded && i < 50; i++) {
		request = client_request("policy-unload");
		control_put_string(request, "name", l->policy[l->loaded - 1]);
		if (!client_call(l->control, request, NULL, 0, NULL, NULL, NULL, &e))
			l->loaded--;
		else
			usleep(100000);
	}
	warder_close(l->control);
	warder_close(l->w);
	if (l->root[0])
		nftw(l->root, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* Every policy under test, under its name here. */
static int compile(struct live *l, const char *path, const struct policy_more *more,
		   struct warder_image **ret_img)
{
	struct policy_diags diags = { 0 };
	int err = 0;

	l->policies = 1 + more->count;
	for (size_t i = 0; !err && i < l->policies; i++) {
		snprintf(l->policy[i], sizeof(l->policy[i]), "%.40s-%u", l->name, (unsigned)i);
		err = policy_compile_path(i ? more->path[i - 1] : path, l->policy[i], &ret_img[i],
					  &diags);
	}
	policy_diags_print(&diags, stderr);
	policy_diags_done(&diags);
	return err;
}

int policy_live_tests(const struct policy_tests *t, const struct warder_image *all,
		      const char *policy_path, const struct policy_more *more,
		      int (*result)(void *arg, const struct policy_test *t, int skipped, bool ok,
				    const char *text),
		      void *arg)
{
	struct warder_image *img[WARDER_LAYERS_MAX] = { NULL };
	struct warder_error e = { "" };
	struct live l = { .tests = t, .in = -1, .out = -1 };
	char line[64];
	int err;

	if (geteuid()) {
		fputs("warder policy test: --live needs root\n", stderr);
		return -EPERM;
	}
	signal(SIGPIPE, SIG_IGN);
	snprintf(l.name, sizeof(l.name), "live-test-%d", (int)getpid());
	strcpy(l.root, "/tmp/warder-live-XXXXXX");
	err = compile(&l, policy_path, more, img);
	if (err) {
		l.root[0] = 0;
		goto out;
	}
	if (!mkdtemp(l.root)) {
		err = -errno;
		l.root[0] = 0;
		error_errno(&e, err, "cannot make a folder in /tmp");
		goto out;
	}
	err = fill_root(&l);
	if (err) {
		error_errno(&e, err, "cannot fill %s", l.root);
		goto out;
	}
	prepare_sockets(&l);
	err = start(&l, &e);
	if (err)
		goto out;
	err = read_line(&l, READY_MS, line, sizeof(line));
	if (err || strcmp(line, "ready")) {
		err = error_set(&e, err ? err : -EPROTO, "the container did not get ready: %s",
				err ? strerror(-err) : line);
		goto out;
	}
	snprintf(l.at, sizeof(l.at), "/proc/%d/root", (int)l.started.pid);
	for (size_t i = 0; !err && i < l.policies; i++) {
		err = warder_policy_load(l.control, img[i], img[i]->h.length, e.text, sizeof(e.text));
		l.loaded += !err;
	}
	for (size_t i = 0; !err && i < t->count; i++) {
		err = run_one(&l, all, i, result, arg);
		if (err)
			error_errno(&e, err, "the container does not answer");
	}
out:
	finish(&l);
	for (size_t i = 0; i < l.policies; i++)
		free(img[i]);
	if (err)
		fprintf(stderr, "warder policy test: %s\n", e.text[0] ? e.text : strerror(-err));
	return err;
}
