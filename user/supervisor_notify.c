// SPDX-License-Identifier: LGPL-2.1-or-later
/* The listeners of containers' seccomp filters: to the override thread, and a copy to the keeper, from
 * which the next supervisor takes them. */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cleanup.h"
#include "keeper.h"
#include "supervisor_private.h"

int sup_notify_open(struct supervisor *s, struct warder_error *reterr)
{
	void *map;

	s->inflight_fd = memfd_create("warder-inflight", MFD_CLOEXEC);
	if (s->inflight_fd < 0 || ftruncate(s->inflight_fd, OVERRIDE_INFLIGHT_SIZE))
		return error_errno(reterr, -errno, "cannot make room for what is being answered");
	map = mmap(NULL, OVERRIDE_INFLIGHT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, s->inflight_fd, 0);
	if (map == MAP_FAILED)
		return error_errno(reterr, -errno, "cannot make room for what is being answered");
	s->inflight = map;
	return 0;
}

/* Without a keeper everything works; only a supervisor that dies takes the new mount API along. */
static void keep(struct supervisor *s, struct ctr *c, int listener)
{
	struct warder_error e = { "" };
	int err = 0;

	if (!s->keeper)
		err = keeper_open(&s->keeper, s->run_dir, s->exe_fd, s->inflight_fd, &e);
	if (!err)
		err = keeper_add(s->keeper, c->cid, c->slot, listener, &e);
	if (!err)
		return;
	log_warning("container %s: should this supervisor die, its new mount API is lost: %s", c->name,
		    e.text);
	keeper_close(s->keeper);
	s->keeper = NULL;
}

int sup_notify_add(struct supervisor *s, struct ctr *c, int listener, struct warder_error *reterr)
{
	int err;

	keep(s, c, listener);
	err = override_listen(s->override, c->cid, c->slot, listener);
	return err ? error_errno(reterr, err, "cannot watch the filter for the new mount API") : 0;
}

static void adopt_one(void *arg, __u64 cid, __u32 slot, int listener)
{
	struct supervisor *s = arg;
	struct ctr *c = ctr_find_cid(s, cid);

	if (!c || c->slot != slot) {
		close(listener);
		return;
	}
	if (!override_listen(s->override, cid, slot, listener))
		c->notify = 1;
}

void sup_notify_adopt(struct supervisor *s)
{
	struct warder_error e = { "" };

	if (keeper_open(&s->keeper, s->run_dir, -1, s->inflight_fd, &e))
		return; /* there is none */
	if (keeper_each(s->keeper, adopt_one, s, &e) < 0)
		log_warning("%s", e.text);
}

void sup_notify_close(struct supervisor *s)
{
	keeper_close(s->keeper);
	s->keeper = NULL;
	if (s->inflight)
		munmap(s->inflight, OVERRIDE_INFLIGHT_SIZE);
	s->inflight = NULL;
	if (s->inflight_fd > 0)
		close(s->inflight_fd);
	s->inflight_fd = -1;
}
