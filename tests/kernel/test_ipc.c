// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Class "ipc" but for unix sockets, and signals by F_SETOWN: containers that share the host's
 * ipc and pid namespaces, as the harness's do.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BROKEN 90

static __u32 a, b, friend_, barred, audited;

/* ---------------------------------------------------------------------- SysV */

static int op_shmget(void *key)
{
	int id = shmget((key_t)(long)key, 4096, 0);

	return h_errno(id);
}

static int op_shmat(void *id)
{
	return shmat((int)(long)id, NULL, SHM_RDONLY) == (void *)-1 ? errno : 0;
}

static int op_shmctl(void *id)
{
	struct shmid_ds ds;

	return h_errno(shmctl((int)(long)id, IPC_STAT, &ds));
}

static int op_make_shm(void *key)
{
	return shmget((key_t)(long)key, 4096, IPC_CREAT | 0666) < 0 ? errno : 0;
}

static int op_make_use_remove(void *arg)
{
	int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0666);

	(void)arg;
	if (id < 0 || shmat(id, NULL, 0) == (void *)-1)
		return errno;
	return h_errno(shmctl(id, IPC_RMID, NULL));
}

static int op_msg(void *id)
{
	struct {
		long type;
		char text[4];
	} m = { 1, "abc" };

	return h_errno(msgsnd((int)(long)id, &m, 4, IPC_NOWAIT));
}

static int op_sem(void *id)
{
	struct sembuf s = { .sem_op = 1 };

	return h_errno(semop((int)(long)id, &s, 1));
}

/* What only asks whose it is: removing, changing. */
static int op_shm_remove(void *id)
{
	return h_errno(shmctl((int)(long)id, IPC_RMID, NULL));
}

static int op_shm_lock(void *id)
{
	return h_errno(shmctl((int)(long)id, SHM_LOCK, NULL));
}

static int op_shm_set(void *id)
{
	struct shmid_ds ds = { .shm_perm = { .mode = 0600 } };

	return h_errno(shmctl((int)(long)id, IPC_SET, &ds));
}

static int op_msg_remove(void *id)
{
	return h_errno(msgctl((int)(long)id, IPC_RMID, NULL));
}

static int op_sem_remove(void *id)
{
	return h_errno(semctl((int)(long)id, 0, IPC_RMID));
}

/* Of no object: the limits of the namespace. */
static int op_shm_info(void *arg)
{
	struct shminfo info;

	(void)arg;
	return h_errno(shmctl(0, IPC_INFO, (struct shmid_ds *)&info));
}

static void test_sysv_of_the_host(void **state)
{
	int shm = shmget(0x5701, 4096, IPC_CREAT | 0666);
	int msg = msgget(0x5702, IPC_CREAT | 0666), sem = semget(0x5703, 1, IPC_CREAT | 0666);

	(void)state;
	assert_true(shm >= 0 && msg >= 0 && sem >= 0);
	assert_int_equal(h_run((int)a, op_shmget, (void *)0x5701L), EACCES);
	assert_int_equal(h_run((int)a, op_shmat, (void *)(long)shm), EACCES);
	assert_int_equal(h_run((int)a, op_shmctl, (void *)(long)shm), EACCES);
	assert_int_equal(h_run((int)a, op_msg, (void *)(long)msg), EACCES);
	assert_int_equal(h_run((int)a, op_sem, (void *)(long)sem), EACCES);
	assert_int_equal(h_run((int)a, op_shm_remove, (void *)(long)shm), EACCES);
	assert_int_equal(h_run((int)a, op_shm_lock, (void *)(long)shm), EACCES);
	assert_int_equal(h_run((int)a, op_shm_set, (void *)(long)shm), EACCES);
	assert_int_equal(h_run((int)a, op_msg_remove, (void *)(long)msg), EACCES);
	assert_int_equal(h_run((int)a, op_sem_remove, (void *)(long)sem), EACCES);
	assert_int_equal(h_run((int)a, op_shm_info, NULL), 0);
	/* Audit mode does not open the border; a rule that names the host does. */
	assert_int_equal(h_run((int)audited, op_shm_remove, (void *)(long)shm), EACCES);
	assert_int_equal(h_run((int)audited, op_shmat, (void *)(long)shm), EACCES);
	assert_int_equal(h_run((int)friend_, op_shmat, (void *)(long)shm), 0);
	assert_int_equal(h_run(-1, op_shmat, (void *)(long)shm), 0);
	shmctl(shm, IPC_RMID, NULL);
	msgctl(msg, IPC_RMID, NULL);
	semctl(sem, 0, IPC_RMID);
}

static void test_sysv_of_another(void **state)
{
	int id;

	(void)state;
	assert_int_equal(h_run((int)a, op_make_shm, (void *)0x5711L), 0);
	id = shmget(0x5711, 4096, 0);
	assert_true(id >= 0);
	assert_int_equal(h_run((int)a, op_shmat, (void *)(long)id), 0);
	assert_int_equal(h_run((int)b, op_shmat, (void *)(long)id), EACCES);
	assert_int_equal(h_run((int)b, op_shmget, (void *)0x5711L), EACCES);
	assert_int_equal(h_run((int)b, op_shm_remove, (void *)(long)id), EACCES);
	assert_int_equal(h_run((int)a, op_shm_set, (void *)(long)id), 0);
	/* By a rule that names the container. */
	assert_int_equal(h_run((int)friend_, op_shmat, (void *)(long)id), 0);
	assert_int_equal(h_run((int)a, op_shm_remove, (void *)(long)id), 0);
}

static void test_sysv_of_its_own(void **state)
{
	(void)state;
	assert_int_equal(h_run((int)a, op_make_use_remove, NULL), 0);
	/* A rule refuses it within the container too; the kernel chooses the errno. */
	assert_int_equal(h_run((int)barred, op_make_use_remove, NULL), EACCES);
}

/* The host's object has the address of one that a container had: not taken for its. */
static void test_sysv_address_used_again(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		int id;

		assert_int_equal(h_run((int)a, op_make_use_remove, NULL), 0);
		id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0666);
		assert_true(id >= 0);
		assert_int_equal(h_run((int)a, op_shmat, (void *)(long)id), EACCES);
		shmctl(id, IPC_RMID, NULL);
	}
}

/* ------------------------------------------------------- POSIX message queues */

static int op_mq_open(void *name)
{
	mqd_t q = mq_open(name, O_RDWR);

	return h_errno((int)q);
}

static int op_mq_make(void *name)
{
	struct mq_attr attr = { .mq_maxmsg = 2, .mq_msgsize = 16 };

	return h_errno((int)mq_open(name, O_RDWR | O_CREAT, 0666, &attr));
}

/* By its number: the C library makes EACCES of EPERM. */
static int op_mq_unlink(void *name)
{
	return h_errno(syscall(SYS_mq_unlink, (char *)name + 1));
}

static void test_mq(void **state)
{
	(void)state;
	assert_int_equal(op_mq_make("/warder-test"), 0);
	assert_int_equal(h_run((int)a, op_mq_open, "/warder-test"), EPERM);
	assert_int_equal(h_run((int)a, op_mq_unlink, "/warder-test"), EPERM);
	assert_int_equal(h_run((int)audited, op_mq_open, "/warder-test"), EPERM);
	assert_int_equal(h_run((int)friend_, op_mq_open, "/warder-test"), 0);
	assert_int_equal(h_run(-1, op_mq_open, "/warder-test"), 0);
	assert_int_equal(mq_unlink("/warder-test"), 0);
}

static void test_mq_of_another(void **state)
{
	(void)state;
	assert_int_equal(h_run((int)a, op_mq_make, "/warder-a"), 0);
	assert_int_equal(h_run((int)a, op_mq_open, "/warder-a"), 0);
	assert_int_equal(h_run((int)b, op_mq_open, "/warder-a"), EACCES);
	assert_int_equal(h_run((int)b, op_mq_make, "/warder-a"), EACCES);
	assert_int_equal(h_run((int)b, op_mq_unlink, "/warder-a"), EACCES);
	assert_int_equal(h_run((int)friend_, op_mq_open, "/warder-a"), 0);
	assert_int_equal(h_run(-1, op_mq_open, "/warder-a"), 0);
	/* A rule refuses it within the container too. */
	assert_int_equal(h_run((int)barred, op_mq_make, "/warder-barred"), EXDEV);
	assert_int_equal(h_run((int)a, op_mq_unlink, "/warder-a"), 0);
	mq_unlink("/warder-barred");
	/* The host's queue has the memory of one that a container had: not taken for its. */
	for (int i = 0; i < 20; i++) {
		assert_int_equal(h_run((int)a, op_mq_make, "/warder-a"), 0);
		assert_int_equal(h_run((int)a, op_mq_unlink, "/warder-a"), 0);
		assert_int_equal(op_mq_make("/warder-host"), 0);
		assert_int_equal(h_run((int)a, op_mq_open, "/warder-host"), EPERM);
		assert_int_equal(mq_unlink("/warder-host"), 0);
	}
}

/* ------------------------------------------------------ descriptors received */

static int pair[2];

static int send_fd(int sock, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 0;
	struct iovec v = { &byte, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return (int)sendmsg(sock, &m, 0);
}

/* The kernel delivers the message without the descriptors that it may not install. 0: got it. */
static int op_receive(void *arg)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte;
	struct iovec v = { &byte, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };

	(void)arg;
	if (recvmsg(pair[1], &m, 0) != 1)
		return errno ? errno : BROKEN;
	return CMSG_FIRSTHDR(&m) && !(m.msg_flags & MSG_CTRUNC) ? 0 : EACCES;
}

static int received(int slot, const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC), result;

	assert_true(fd >= 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
	assert_int_equal(send_fd(pair[0], fd), 1);
	result = h_run(slot, op_receive, NULL);
	close(pair[0]);
	close(pair[1]);
	close(fd);
	return result;
}

static void test_received_files(void **state)
{
	__u32 slot = h_container("policy: receive\n"
				 "defaults: {file: deny}\n"
				 "file:\n"
				 "  - allow: [read]\n"
				 "    path: /root/ipc/open\n");
	int memfd = memfd_create("x", 0);
	char path[64];

	(void)state;
	h_shell("mkdir -p /root/ipc; echo x > /root/ipc/open; echo x > /root/ipc/shut");
	assert_int_equal(received((int)slot, "/root/ipc/open", O_RDONLY), 0);
	assert_int_equal(received((int)slot, "/root/ipc/open", O_RDWR), EACCES);
	assert_int_equal(received((int)slot, "/root/ipc/shut", O_RDONLY), EACCES);
	/* Access mode 3 can ioctl(2) only, and is judged as both. */
	assert_int_equal(received((int)slot, "/root/ipc/open", 3), EACCES);
	/* A name without access: it is judged when it is opened. */
	assert_int_equal(received((int)slot, "/root/ipc/shut", O_PATH), 0);
	assert_int_equal(received(-1, "/root/ipc/shut", O_RDONLY), 0);
	/* Memory has no name that a rule could speak of. */
	assert_true(memfd >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", memfd);
	assert_int_equal(received((int)slot, path, O_RDWR), 0);
	close(memfd);
}

/* By the file system that a file is on, whatever the file rules say. */
struct steal {
	int fd;
};

/* pidfd_getfd(2) from a process of the same container: says why it was refused. */
static int op_steal(void *arg)
{
	struct steal *s = arg;
	pid_t child = fork();
	int pidfd, result;

	if (!child)
		for (;;)
			pause();
	pidfd = (int)syscall(SYS_pidfd_open, child, 0);
	result = h_errno(syscall(SYS_pidfd_getfd, pidfd, s->fd, 0));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return pidfd < 0 ? BROKEN : result;
}

static int stolen(__u32 slot, const char *path, int flags)
{
	struct steal s = { .fd = open(path, flags | O_CLOEXEC) };
	int result;

	assert_true(s.fd >= 0);
	result = h_run((int)slot, op_steal, &s);
	close(s.fd);
	return result;
}

static void test_files_of_others(void **state)
{
	__u32 taker = h_container("policy: taker\nipc:\n  - allow: [fd]\n    peer: policy:b\n"), at;
	__u32 guest = h_container("policy: guest\nipc:\n  - allow: [fd]\n    peer: host\n");
	char name[WARDER_PATH_MAX], detail[WARDER_PATH_MAX];
	struct warder_event e;

	(void)state;
	h_shell("mkdir -p /root/ipc/host /root/ipc/b; mount -t tmpfs x /root/ipc/host; "
		"mount -t tmpfs x /root/ipc/b; echo x > /root/ipc/host/f; echo x > /root/ipc/b/f; "
		"echo x > /root/ipc/gone");
	h_record_mount(b, "/root/ipc/b", "/data");
	h_events_drop();
	assert_int_equal(stolen(a, "/root/ipc/host/f", O_RDONLY), EPERM);
	assert_int_equal(h_event_last(a, &e, name, detail), 1);
	assert_int_equal(e.class_, WARDER_CLASS_IPC);
	assert_int_equal(e.hook, WARDER_HOOK_FILE_RECEIVE);
	assert_int_equal(e.access, WARDER_IPC_FD);
	assert_int_equal(e.v.why, WARDER_WHY_BASELINE);
	assert_int_equal(e.arg[1], 0);
	assert_int_equal(stolen(a, "/root/ipc/host/f", O_PATH), EPERM);
	assert_int_equal(stolen(audited, "/root/ipc/host/f", O_RDONLY), EPERM);
	assert_int_equal(stolen(taker, "/root/ipc/host/f", O_RDONLY), EPERM);
	assert_int_equal(stolen(guest, "/root/ipc/host/f", O_RDONLY), 0);
	assert_int_equal(stolen(a, "/root/ipc/b/f", O_RDONLY), EACCES);
	assert_int_equal(h_event_last(a, &e, name, detail), 1);
	assert_int_equal(e.arg[1], h_cid(b));
	assert_int_equal(stolen(guest, "/root/ipc/b/f", O_RDONLY), EACCES);
	assert_int_equal(stolen(taker, "/root/ipc/b/f", O_RDONLY), 0);
	assert_int_equal(stolen(b, "/root/ipc/b/f", O_RDONLY), 0);
	assert_int_equal(received((int)a, "/root/ipc/b/f", O_RDONLY), EACCES);
	assert_int_equal(received((int)taker, "/root/ipc/b/f", O_RDONLY), 0);
	/* Its own, and one that has lost its name. */
	assert_int_equal(stolen(a, "/root/ipc/gone", O_RDONLY), 0);
	at = (__u32)open("/root/ipc/gone", O_RDONLY);
	h_shell("rm /root/ipc/gone");
	snprintf(name, sizeof(name), "/proc/self/fd/%u", at);
	assert_int_equal(stolen(a, name, O_RDONLY), 0);
	close((int)at);
	h_shell("umount /root/ipc/host; umount /root/ipc/b");
}

static int pipe_received(__u32 slot)
{
	struct steal s;
	int ends[2], result;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	s.fd = ends[0];
	result = h_run((int)slot, op_steal, &s);
	close(ends[0]);
	close(ends[1]);
	return result;
}

static void test_received_by_rule(void **state)
{
	__u32 shut = h_container("policy: shut\nipc:\n  - deny: [fd]\n    peer: same\n"
				 "    errno: EXDEV\n");

	(void)state;
	h_shell("mkdir -p /root/ipc; echo x > /root/ipc/open; "
		"test -c /root/ipc/zero || mknod /root/ipc/zero c 1 5");
	assert_int_equal(stolen(a, "/root/ipc/open", O_RDONLY), 0);
	assert_int_equal(stolen(shut, "/root/ipc/open", O_RDONLY), EXDEV);
	assert_int_equal(pipe_received(a), 0);
	assert_int_equal(pipe_received(shut), EXDEV);
	/* A device that the container could not open itself. */
	assert_int_equal(stolen(a, "/dev/zero", O_RDONLY), 0);
	assert_int_equal(stolen(a, "/root/ipc/zero", O_RDONLY), EPERM);
	assert_int_equal(stolen(a, "/root/ipc/zero", 3), EPERM);
	assert_int_equal(stolen(a, "/root/ipc/zero", O_PATH), 0);
}

/* ------------------------------------------------------------ signals of files */

static pid_t victim_pid;

static int victim(void *arg)
{
	(void)arg;
	while (pause() < 0)
		;
	return BROKEN;
}

static int op_setown_other(void *arg)
{
	(void)arg;
	return h_errno(fcntl(STDIN_FILENO, F_SETOWN, victim_pid));
}

static int op_setown_group(void *arg)
{
	(void)arg;
	return h_errno(fcntl(STDIN_FILENO, F_SETOWN, -getppid()));
}

static int op_setown_ex(void *arg)
{
	struct f_owner_ex o = { .type = F_OWNER_PID, .pid = victim_pid };

	(void)arg;
	return h_errno(fcntl(STDIN_FILENO, F_SETOWN_EX, &o));
}

static int op_setown_self(void *arg)
{
	int p[2];

	(void)arg;
	if (pipe(p))
		return BROKEN;
	return h_errno(fcntl(p[0], F_SETOWN, getpid()));
}

static int op_socket_owner(void *arg)
{
	int s = socket(AF_UNIX, SOCK_STREAM, 0), pid = victim_pid;

	(void)arg;
	return s < 0 ? BROKEN : h_errno(ioctl(s, 0x8901 /* FIOSETOWN */, &pid));
}

static void test_setown(void **state)
{
	(void)state;
	victim_pid = h_start(-1, victim, NULL);
	assert_int_equal(h_run((int)a, op_setown_other, NULL), EPERM);
	assert_int_equal(h_run((int)audited, op_setown_other, NULL), EPERM);
	assert_int_equal(h_run((int)a, op_setown_group, NULL), EPERM);
	assert_int_equal(h_run((int)a, op_setown_ex, NULL), EPERM);
	assert_int_equal(h_run((int)a, op_socket_owner, NULL), EPERM);
	assert_int_equal(h_run((int)a, op_setown_self, NULL), 0);
	assert_int_equal(h_run(-1, op_setown_other, NULL), 0);
	fcntl(STDIN_FILENO, F_SETOWN, 0);
	kill(victim_pid, SIGKILL);
	h_wait(victim_pid);
}

static int setup(void **state)
{
	char policy[512];

	(void)state;
	h_load();
	a = h_container("policy: a\n");
	b = h_container("policy: b\n");
	audited = h_container("policy: audited\nmode: audit\n");
	barred = h_container("policy: barred\nipc:\n"
			     "  - deny: [sysv]\n"
			     "    peer: same\n"
			     "  - deny: [mq]\n"
			     "    peer: same\n"
			     "    errno: EXDEV\n");
	snprintf(policy, sizeof(policy),
		 "policy: friend\nipc:\n"
		 "  - allow: [sysv, mq]\n"
		 "    peer: host\n"
		 "  - allow: [sysv, mq]\n"
		 "    peer: policy:a\n");
	friend_ = h_container(policy);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sysv_of_the_host),
		cmocka_unit_test(test_sysv_of_another),
		cmocka_unit_test(test_sysv_of_its_own),
		cmocka_unit_test(test_sysv_address_used_again),
		cmocka_unit_test(test_mq),
		cmocka_unit_test(test_mq_of_another),
		cmocka_unit_test(test_received_files),
		cmocka_unit_test(test_files_of_others),
		cmocka_unit_test(test_received_by_rule),
		cmocka_unit_test(test_setown),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
