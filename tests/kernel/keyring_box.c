// SPDX-License-Identifier: LGPL-2.1-or-later
#include "keyring_box.h"

#include <bpf/bpf.h>
#include <keyutils.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policy.h"

struct loader *box_loader;
struct keyring *box_keyring;
struct warder_error box_error;
struct box box_a = { .slot = 900 }, box_b = { .slot = 901 };
struct shared *shared = MAP_FAILED;

int payload_is(int32_t serial, const char *expected)
{
	char buf[64] = "";
	long n = keyctl_read(serial, buf, sizeof(buf));

	return n == (long)strlen(expected) && !memcmp(buf, expected, (size_t)n);
}

int listed(int32_t serial)
{
	char line[512], hex[16];
	FILE *f = fopen("/proc/keys", "re");
	int found = 0;

	if (!f)
		return -1;
	snprintf(hex, sizeof(hex), "%08x ", (unsigned)serial);
	while (fgets(line, sizeof(line), f))
		found |= !strncmp(line, hex, strlen(hex));
	fclose(f);
	return found;
}

int box_record(struct box *x, uint32_t keys_max)
{
	struct warder_ctr ctr;

	memset(&ctr, 0, sizeof(ctr));
	ctr.cid = x->cid;
	ctr.state = WARDER_CTR_RUNNING;
	ctr.policy = x->policy ? x->policy : BOX_POLICY_SLOT;
	ctr.keys_max = keys_max;
	ctr.keys_bytes = x->keys_bytes;
	ctr.keys_pending = x->keys_pending;
	ctr.session_ring = x->rings.session;
	ctr.container_ring = x->rings.container;
	return loader_set_container(box_loader, x->slot, &ctr);
}

int box_make(struct box *x)
{
	__u64 cid;

	if (loader_next_cid(box_loader, &cid) || loader_reset_stats(box_loader, x->slot))
		return -1;
	x->cid = cid;
	if (keyring_create(box_keyring, x->cid, &x->rings, &box_error)) {
		fprintf(stderr, "%s\n", box_error.text);
		return -1;
	}
	return box_record(x, 0);
}

int box_end(struct box *x)
{
	struct warder_ctr ctr;

	if (keyring_destroy(box_keyring, x->cid, &x->rings))
		return -1;
	memset(&ctr, 0, sizeof(ctr));
	return loader_set_container(box_loader, x->slot, &ctr);
}

/* A child that has S and the tag before it runs fn. */
pid_t box_start(struct box *x, unsigned long flags, int (*fn)(void))
{
	int go[2], pidfd;
	char c = 0;
	pid_t pid;

	if (keyring_enter(box_keyring, &x->rings, &box_error)) {
		fprintf(stderr, "%s\n", box_error.text);
		return -1;
	}
	fflush(NULL);
	if (pipe(go))
		return -1;
	pid = (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
	if (!pid) {
		close(go[1]);
		if (read(go[0], &c, 1) != 1)
			_exit(99);
		_exit(fn());
	}
	close(go[0]);
	if (keyring_leave(box_keyring, &box_error) || pid < 0)
		return -1;
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0 || loader_tag_task(box_loader, pidfd, x->cid, x->slot)) {
		kill(pid, SIGKILL);
		return -1;
	}
	close(pidfd);
	if (write(go[1], &c, 1) != 1)
		return -1;
	close(go[1]);
	return pid;
}

int box_wait(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int box_run(struct box *x, int (*fn)(void))
{
	return box_wait(box_start(x, 0, fn));
}

int box_give(struct box *x, const char *description, const char *payload, int32_t *ret)
{
	return keyring_add_key(box_keyring, x->cid, &x->rings, "user", description, payload,
			       strlen(payload), ret, &box_error);
}

int box_publish(uint32_t slot, const char *text)
{
	struct policy_diags diags = { 0 };
	struct warder_image *img = NULL;
	struct policy *p = NULL;
	int err;

	err = policy_parse("keys", text, strlen(text), NULL, &p, &diags);
	if (!err)
		err = policy_compile(p, &img, &diags);
	policy_diags_print(&diags, stderr);
	if (!err)
		err = loader_publish(box_loader, slot, img, &box_error);
	free(img);
	policy_free(p);
	policy_diags_done(&diags);
	return err;
}

/* Both values begin with the container's id. */
_Static_assert(!offsetof(struct warder_key_tag, cid), "cid of a tag");
_Static_assert(!offsetof(struct warder_upcall_record, cid), "cid of a record");

unsigned box_count(enum loader_map map, uint64_t cid)
{
	union {
		uint64_t cid;
		struct warder_key_tag tag;
		struct warder_upcall_record upcall;
	} value;
	uint64_t key, last, *previous = NULL; /* room for the longer of the keys */
	int fd = loader_map_fd(box_loader, map);
	unsigned n = 0;

	while (!bpf_map_get_next_key(fd, previous, &key)) {
		if (!bpf_map_lookup_elem(fd, &key, &value) && value.cid == cid)
			n++;
		last = key;
		previous = &last;
	}
	return n;
}

static int mark_supervisor(void)
{
	__atomic_store_n(&loader_host(box_loader)->supervisor, (__u32)getpid(), __ATOMIC_RELEASE);
	return 0;
}

int box_group_setup(void **state)
{
	struct loader_options options = { .pin_dir = BOX_PIN_DIR };
	FILE *f;

	(void)state;
	f = fopen("/proc/sys/kernel/keys/gc_delay", "we");
	if (!f)
		return -1;
	fputs("1", f);
	fclose(f);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		return -1;
	if (loader_open(&box_loader, &options, &box_error) ||
	    box_publish(BOX_POLICY_SLOT, "policy: keys\nmode: enforce\n"
					 "keyring: {upcalls: [{type: user, to: host}]}\n") ||
	    keyring_new(&box_keyring, box_loader, &box_error) || mark_supervisor() ||
	    box_make(&box_a) || box_make(&box_b)) {
		fprintf(stderr, "%s\n", box_error.text);
		return -1;
	}
	/* Of the host, and as open as the kernel's own permissions can be. */
	shared->host_key = add_key("user", "hostsecret", "host", 4, KEY_SPEC_PROCESS_KEYRING);
	shared->host_ring = add_key("keyring", "hostring", NULL, 0, KEY_SPEC_PROCESS_KEYRING);
	if (keyctl_setperm(shared->host_key, OPEN_PERM) ||
	    keyctl_setperm(shared->host_ring, OPEN_PERM) ||
	    keyctl_link(shared->host_key, KEY_SPEC_USER_KEYRING))
		return -1;
	return 0;
}

/* Leaves the programs to the next test program, as harness.c does, and the policy, so that they
 * stay attached. */
static void leave_programs(void)
{
	static const struct warder_ctr none;

	for (__u32 slot = 0; slot < WARDER_CONTAINERS_MAX; slot++)
		loader_set_container(box_loader, slot, &none);
	__atomic_store_n(&loader_host(box_loader)->supervisor, 0, __ATOMIC_RELEASE);
}

int box_group_teardown(void **state)
{
	(void)state;
	if (shared != MAP_FAILED && shared->host_key > 0)
		keyctl_unlink(shared->host_key, KEY_SPEC_USER_KEYRING);
	if (box_keyring)
		keyring_remove_registry(box_keyring);
	keyring_free(box_keyring);
	if (box_loader && getenv("WARDER_TEST_KEEP"))
		leave_programs();
	else if (box_loader)
		loader_unpin(box_loader);
	loader_free(box_loader);
	return 0;
}

int box_run_outside(int (*fn)(void))
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(fn());
	return box_wait(pid);
}
