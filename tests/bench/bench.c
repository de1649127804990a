// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What `make bench` measures: system calls as a program in a container makes them, each in a loop
 * between two readings of the clock. In a VM whose clock counts instructions, nanoseconds are
 * instructions. Linked statically: one binary for all configurations, and no library of the
 * machine has a say.
 *
 *   bench prepare                        makes the files below /srv
 *   bench [WRAPPER] [expect E] [OP...]   prints "bench OP INSTRUCTIONS" for each OP (default: all)
 *   bench exit                           what fork+exec executes
 *   bench upcalls NAME COUNT             asks for a key that is not there, so many times whenever it
 *                                        reads a line, and writes the median time of one
 *   bench meter ROUNDS COUNT GO DONE     has that done through two pipes, and prints what the
 *                                        machine executes for each, and that time
 *   answer                               under this name: the answer to an upcall, as request-key
 *                                        or `warder keyring watch` takes it from a program
 *
 * WRAPPER: `apparmor PROFILE` or `landlock` confine this process first. E says whether the file
 * that every policy forbids can be opened: `allow` or `deny`. It ends with status 3 if that is
 * not so, as then something else would be measured than what the table says.
 */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/landlock.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TOP "/srv/bench"
#define FILE2 "/srv/file"
#define DIR6 TOP "/a/b/c"
#define FILE6 DIR6 "/file"
#define DIR20 TOP "/d03/d04/d05/d06/d07/d08/d09/d10/d11/d12/d13/d14/d15/d16/d17/d18/d19"
#define FILE20 DIR20 "/file"
#define TREE TOP "/tree"
#define TREE_DIRS 20
#define TREE_FILES 15
#define SELF TOP "/exec"
#define SOCK TOP "/sock"
#define MOUNT TOP "/mnt"
#define DENIED "/srv/denied/file"

#define ROUNDS 7
#define ANSWER "answer"

static int landlocked;   /* no mounts then, whatever the rules say */
static int file_fd = -1; /* FILE6, open for reading and writing */
static int unix_fd = -1; /* listens on SOCK */
static int tcp_fd = -1;  /* listens on tcp_at */
static struct sockaddr_in tcp_at = { .sin_family = AF_INET };
static const struct sockaddr_un unix_at = { .sun_family = AF_UNIX, .sun_path = SOCK };

/* A failed operation would be a cheap one. */
static long must(long result, const char *what)
{
	if (result < 0)
		err(2, "%s", what);
	return result;
}

/* --------------------------------------------------------------- operations */

static void op_getppid(void)
{
	syscall(SYS_getppid);
}

static void open_close(const char *path)
{
	close(must(open(path, O_RDONLY | O_CLOEXEC), path));
}

static void op_open2(void)
{
	open_close(FILE2);
}

static void op_open6(void)
{
	open_close(FILE6);
}

static void op_open20(void)
{
	open_close(FILE20);
}

static void op_open_none(void)
{
	if (open(DIR6 "/none", O_RDONLY | O_CLOEXEC) >= 0 || errno != ENOENT)
		err(2, "a missing file was not missing");
}

static void op_stat(void)
{
	struct stat st;

	must(stat(FILE6, &st), "stat");
}

static void op_create_unlink(void)
{
	close(must(open(DIR6 "/new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), "create"));
	must(unlink(DIR6 "/new"), "unlink");
}

/* There and back: two renames. */
static void op_rename2(void)
{
	must(rename(DIR6 "/one", DIR6 "/two"), "rename");
	must(rename(DIR6 "/two", DIR6 "/one"), "rename");
}

static void op_pread(void)
{
	char c;

	must(pread(file_fd, &c, 1, 0), "pread");
}

static void op_read(void)
{
	char c;

	must(read(file_fd, &c, 1), "read");
}

static void op_pwrite(void)
{
	must(pwrite(file_fd, "x", 1, 0), "pwrite");
}

static void reap(pid_t pid)
{
	int status;

	must(waitpid(pid, &status, 0), "waitpid");
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		errx(2, "a child failed: status %#x", (unsigned)status);
}

static void op_fork(void)
{
	pid_t pid = must(fork(), "fork");

	if (!pid)
		_exit(0);
	reap(pid);
}

static void op_exec(void)
{
	static char *const argv[] = { (char *)"bench", (char *)"exit", NULL };
	static char *const envp[] = { NULL };
	pid_t pid = must(fork(), "fork");

	if (!pid) {
		execve(SELF, argv, envp);
		_exit(127);
	}
	reap(pid);
}

static void op_mount(void)
{
	must(mount("none", MOUNT, "tmpfs", 0, NULL), "mount");
	must(umount(MOUNT), "umount");
}

static void connect_to(int family, int listener, const struct sockaddr *at, socklen_t len)
{
	/* Reset at close: no port is left in TIME_WAIT. */
	static const struct linger reset = { .l_onoff = 1 };
	int fd = must(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");

	must(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), "linger");
	must(connect(fd, at, len), "connect");
	close(must(accept4(listener, NULL, NULL, SOCK_CLOEXEC), "accept"));
	close(fd);
}

static void op_tcp(void)
{
	connect_to(AF_INET, tcp_fd, (const struct sockaddr *)&tcp_at, sizeof(tcp_at));
}

static void op_unix(void)
{
	connect_to(AF_UNIX, unix_fd, (const struct sockaddr *)&unix_at, sizeof(unix_at));
}

static void op_request_key(void)
{
	must(syscall(SYS_request_key, "user", "bench", NULL, 0), "request_key");
}

/* A new payload for a key that is there. */
static void op_add_key(void)
{
	must(syscall(SYS_add_key, "user", "bench", "x", 1, KEY_SPEC_PROCESS_KEYRING), "add_key");
}

/* A new key; the kernel collects it later. */
static void op_add_key_new(void)
{
	long key = must(syscall(SYS_add_key, "user", "bench new", "x", 1, KEY_SPEC_PROCESS_KEYRING),
			"add_key");

	must(syscall(SYS_keyctl, KEYCTL_UNLINK, key, KEY_SPEC_PROCESS_KEYRING, 0, 0), "keyctl");
}

static void walk(int at, const char *name)
{
	int fd = must(openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), name);
	DIR *dir = fdopendir(fd);
	struct dirent *d;

	if (!dir)
		err(2, "fdopendir");
	while ((d = readdir(dir))) {
		struct stat st;

		if (d->d_name[0] == '.')
			continue;
		must(fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW), d->d_name);
		if (S_ISDIR(st.st_mode)) {
			walk(fd, d->d_name);
		} else {
			int file = must(openat(fd, d->d_name, O_RDONLY | O_CLOEXEC), d->d_name);

			close(file);
		}
	}
	closedir(dir);
}

static void op_tree(void)
{
	walk(AT_FDCWD, TREE);
}

/* -------------------------------------------------------------- preparation */

static void make_dirs(const char *path)
{
	char part[4096];

	snprintf(part, sizeof(part), "%s/", path);
	for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(part, 0755) && errno != EEXIST)
			err(2, "%s", part);
		*slash = '/';
	}
}

static void make_file(const char *path, mode_t mode, const void *data, size_t len)
{
	int fd = must(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode), path);

	if (write(fd, data, len) != (ssize_t)len)
		err(2, "%s", path);
	close(fd);
}

static void prepare(void)
{
	static char self[4 << 20];
	int fd = must(open("/proc/self/exe", O_RDONLY | O_CLOEXEC), "/proc/self/exe");
	ssize_t n = must(read(fd, self, sizeof(self)), "/proc/self/exe");
	char path[256];

	umask(022);
	make_dirs(DIR6);
	make_dirs(DIR20);
	make_dirs(MOUNT);
	make_dirs("/srv/denied");
	make_file(FILE2, 0644, "x", 1);
	make_file(FILE6, 0644, "x", 1);
	make_file(DIR6 "/one", 0644, "x", 1);
	make_file(FILE20, 0644, "x", 1);
	make_file(DENIED, 0644, "x", 1);
	make_file(SELF, 0755, self, n);
	close(fd);
	for (int i = 0; i < TREE_DIRS; i++) {
		snprintf(path, sizeof(path), TREE "/dir%02d", i);
		make_dirs(path);
		for (int j = 0; j < TREE_FILES; j++) {
			snprintf(path, sizeof(path), TREE "/dir%02d/file%02d", i, j);
			make_file(path, 0644, "x", 1);
		}
	}
}

/* What operations need to have open, made under the policy that is measured. */
static void ready_file(void)
{
	file_fd = must(open(FILE6, O_RDWR | O_CLOEXEC), FILE6);
}

static void ready_unix(void)
{
	unlink(SOCK);
	unix_fd = must(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
	must(bind(unix_fd, (const struct sockaddr *)&unix_at, sizeof(unix_at)), SOCK);
	must(listen(unix_fd, 8), "listen");
}

static void ready_tcp(void)
{
	socklen_t len = sizeof(tcp_at);

	tcp_at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	tcp_fd = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
	must(bind(tcp_fd, (const struct sockaddr *)&tcp_at, sizeof(tcp_at)), "bind");
	must(listen(tcp_fd, 8), "listen");
	must(getsockname(tcp_fd, (struct sockaddr *)&tcp_at, &len), "getsockname");
}

static void ready_key(void)
{
	must(syscall(SYS_add_key, "user", "bench", "x", 1, KEY_SPEC_PROCESS_KEYRING), "add_key");
}

/* ----------------------------------------------------------------- measuring */

static const struct op {
	const char *name;
	void (*run)(void);
	void (*ready)(void);
	int count;  /* a round takes about one period of the timer (4 ms), or a few */
	int per;    /* operations in one call of run() */
	int waits;  /* 1: for grace periods, and leaves work to others; see measure_waiting() */
} ops[] = {
	{ "getppid", op_getppid, NULL, 10000, 1, 0 },
	{ "open2", op_open2, NULL, 800, 1, 0 },
	{ "open6", op_open6, NULL, 600, 1, 0 },
	{ "open20", op_open20, NULL, 400, 1, 0 },
	{ "open-enoent", op_open_none, NULL, 1000, 1, 0 },
	{ "stat", op_stat, NULL, 1000, 1, 0 },
	{ "create+unlink", op_create_unlink, NULL, 200, 1, 0 },
	{ "rename", op_rename2, NULL, 200, 2, 0 },
	{ "pread", op_pread, ready_file, 4000, 1, 0 },
	{ "read", op_read, ready_file, 4000, 1, 0 },
	{ "pwrite", op_pwrite, ready_file, 2000, 1, 0 },
	{ "fork+wait", op_fork, NULL, 200, 1, 1 },
	{ "fork+exec", op_exec, NULL, 150, 1, 1 },
	{ "mount+umount", op_mount, NULL, 200, 1, 1 },
	{ "tcp-connect", op_tcp, ready_tcp, 120, 1, 1 },
	{ "unix-connect", op_unix, ready_unix, 250, 1, 1 },
	{ "request_key", op_request_key, ready_key, 1500, 1, 0 },
	{ "add_key", op_add_key, ready_key, 1000, 1, 0 },
	{ "add_key+unlink", op_add_key_new, ready_key, 20, 1, 1 },
	{ "tree-walk", op_tree, NULL, 2, 1, 0 },
};
#define OPS (sizeof(ops) / sizeof(ops[0]))

static unsigned long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	const unsigned long long *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Opened before anything is confined: Landlock's rules would not let it be. */
static FILE *timers;

/* How long the only CPU has been idle, to the nanosecond; 0: this kernel does not say. */
static unsigned long long idle_time(void)
{
	unsigned long long idle = 0;
	char line[256];

	if (!timers)
		return 0;
	rewind(timers);
	while (fgets(line, sizeof(line), timers))
		if (sscanf(line, " .idle_sleeptime : %llu", &idle) == 1)
			break;
	return idle;
}

/* The median of some rounds, after one that fills caches. */
static double measure_busy(const struct op *op)
{
	unsigned long long took[ROUNDS];

	for (int i = 0; i < op->count; i++)
		op->run();
	for (int round = 0; round < ROUNDS; round++) {
		unsigned long long start = now();

		for (int i = 0; i < op->count; i++)
			op->run();
		took[round] = now() - start;
	}
	qsort(took, ROUNDS, sizeof(took[0]), compare);
	return (double)took[ROUNDS / 2] / op->count / op->per;
}

/* All that the machine does because of the operations, now or a little later and in whatever
 * thread; but not the time in which it waits, which the clock counts as well. */
static double measure_waiting(const struct op *op)
{
	unsigned long long start, idle;

	for (int i = 0; i < op->count; i++)
		op->run();
	sleep(1);
	idle = idle_time();
	start = now();
	for (int i = 0; i < op->count * ROUNDS; i++)
		op->run();
	sleep(1);
	start = now() - start;
	return (double)(start - (idle_time() - idle)) / (op->count * ROUNDS) / op->per;
}

/* -------------------------------------------------------------------- upcalls */

/* The same key each time: the one before is gone. */
static void ask(const char *name, unsigned long long *ret_took)
{
	unsigned long long start = now();
	long key = must(syscall(SYS_request_key, "user", name, "callout", KEY_SPEC_SESSION_KEYRING),
			"request_key");
	char got[16];

	*ret_took = now() - start;
	if (syscall(SYS_keyctl, KEYCTL_READ, key, got, sizeof(got), 0) != sizeof(ANSWER) - 1 ||
	    memcmp(got, ANSWER, sizeof(ANSWER) - 1))
		errx(2, "%s: not the answer that it should be", name);
	must(syscall(SYS_keyctl, KEYCTL_UNLINK, key, KEY_SPEC_SESSION_KEYRING, 0, 0), "keyctl");
}

/* Steered from outside: a container does not see how long the machine was idle. */
static int upcalls(const char *name, int count)
{
	unsigned long long *took = calloc(count, sizeof(*took));
	char line[8];

	if (!took)
		err(2, "calloc");
	while (fgets(line, sizeof(line), stdin)) {
		for (int i = 0; i < count; i++)
			ask(name, &took[i]);
		qsort(took, count, sizeof(took[0]), compare);
		printf("%llu\n", took[count / 2]);
		fflush(stdout);
	}
	free(took);
	return 0;
}

static unsigned long long upcalls_round(FILE *go, FILE *done)
{
	unsigned long long took;

	fputs("go\n", go);
	fflush(go);
	if (fscanf(done, "%llu", &took) != 1)
		errx(2, "an upcall was not answered");
	return took;
}

/* As measure_waiting(); and the time until the answer, in which nothing can be hidden by waiting. */
static int meter(int rounds, int count, const char *go_path, const char *done_path)
{
	FILE *go = fopen(go_path, "we"), *done = fopen(done_path, "re");
	unsigned long long took[ROUNDS], start, idle;

	if (!go || !done || rounds < 1 || rounds > ROUNDS || count < 1)
		err(2, "meter");
	timers = fopen("/proc/timer_list", "re");
	if (!idle_time())
		errx(2, "this kernel does not say how long it was idle");
	upcalls_round(go, done);
	sleep(2);
	idle = idle_time();
	start = now();
	for (int i = 0; i < rounds; i++)
		took[i] = upcalls_round(go, done);
	sleep(1);
	start = now() - start;
	qsort(took, rounds, sizeof(took[0]), compare);
	printf("%.0f %llu\n", (double)(start - (idle_time() - idle)) / (rounds * count),
	       took[rounds / 2]);
	fclose(go);
	fclose(done);
	return 0;
}

static int answer(void)
{
	char request[65536];
	ssize_t n = must(read(STDIN_FILENO, request, sizeof(request)), "the request");
	const char *text = n && request[0] == '{' ?
				   "{\"verb\": \"instantiate\", \"payload\": \"" ANSWER "\"}" :
				   ANSWER;

	return write(STDOUT_FILENO, text, strlen(text)) != (ssize_t)strlen(text);
}

static void measure(const struct op *op)
{
	/* What the operation before left to be done later is over by then. */
	sleep(2);
	if ((op->waits && !idle_time()) || (landlocked && op->run == op_mount)) {
		printf("bench %s -\n", op->name);
		return;
	}
	if (op->ready)
		op->ready();
	printf("bench %s %.1f\n", op->name, op->waits ? measure_waiting(op) : measure_busy(op));
	fflush(stdout);
}

/* ---------------------------------------------------------------- confinement */

static void confine_apparmor(const char *profile)
{
	char text[256];
	int n = snprintf(text, sizeof(text), "changeprofile %s", profile);
	int fd = must(open("/proc/self/attr/apparmor/current", O_WRONLY | O_CLOEXEC), "apparmor");

	if (write(fd, text, n) != n)
		err(2, "cannot change to the AppArmor profile %s", profile);
	close(fd);
}

static void landlock_allow(int ruleset, const char *path, __u64 access)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = access };

	rule.parent_fd = must(open(path, O_PATH | O_CLOEXEC), path);
	must(syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0),
	     "landlock_add_rule");
	close(rule.parent_fd);
}

/* One layer with the same rules, as far as they can be said. */
static void confine_landlock(void)
{
	/* Those of the first version, and renaming and linking across folders. */
	struct landlock_ruleset_attr attr = { .handled_access_fs = LANDLOCK_ACCESS_FS_REFER * 2 - 1 };
	__u64 file = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
		     LANDLOCK_ACCESS_FS_EXECUTE;
	int ruleset = must(syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0),
			   "landlock_create_ruleset");

	landlock_allow(ruleset, TOP, attr.handled_access_fs);
	landlock_allow(ruleset, FILE2, file);
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
	must(syscall(SYS_landlock_restrict_self, ruleset, 0), "landlock_restrict_self");
	close(ruleset);
	landlocked = 1;
}

static void check_denied(const char *expect)
{
	int fd = open(DENIED, O_RDONLY | O_CLOEXEC);
	int denied = fd < 0 && errno == EACCES;

	if (fd < 0 && !denied)
		err(3, "%s", DENIED);
	if (denied != !strcmp(expect, "deny"))
		errx(3, "%s is %s: this is not the configuration that it should be", DENIED,
		     denied ? "refused" : "granted");
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	int at = 1, chosen;

	if (argc == 2 && !strcmp(argv[1], "exit"))
		return 0;
	if (argc == 1 && !strcmp(basename(argv[0]), "answer"))
		return answer();
	if (argc == 4 && !strcmp(argv[1], "upcalls"))
		return upcalls(argv[2], atoi(argv[3]));
	if (argc == 6 && !strcmp(argv[1], "meter"))
		return meter(atoi(argv[2]), atoi(argv[3]), argv[4], argv[5]);
	if (argc == 2 && !strcmp(argv[1], "prepare")) {
		prepare();
		return 0;
	}
	timers = fopen("/proc/timer_list", "re");
	if (at + 1 < argc && !strcmp(argv[at], "apparmor")) {
		confine_apparmor(argv[at + 1]);
		at += 2;
	} else if (at < argc && !strcmp(argv[at], "landlock")) {
		confine_landlock();
		at++;
	}
	if (at + 1 < argc && !strcmp(argv[at], "expect")) {
		check_denied(argv[at + 1]);
		at += 2;
	}
	chosen = argc - at;
	for (size_t i = 0; i < OPS; i++) {
		int wanted = !chosen;

		for (int j = at; j < argc; j++)
			wanted |= !strcmp(argv[j], ops[i].name);
		if (wanted)
			measure(&ops[i]);
	}
	return 0;
}
