// SPDX-License-Identifier: LGPL-2.1-or-later
/* Events: the ring, checking records, and what they mean as JSON. The text form is in
 * events_render.c. */
#include "events.h"

#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "calls.h"
#include "cleanup.h"
#include "control.h"
#include "policy.h"
#include "policy_tools.h"
#include "warder_decide.h"
#include "utf8.h"

/* Names and details in a record together; a path and a second one. */
#define EVENT_TEXT_MAX (2u * WARDER_PATH_MAX)

struct events {
	struct ring_buffer *ring;
	events_fn fn;
	void *arg;
};

static const char *const hook_names[WARDER_HOOK__MAX] = {
	[WARDER_HOOK_NONE] = "none",
	[WARDER_HOOK_TASK_ALLOC] = "task_alloc",
	[WARDER_HOOK_FILE_OPEN] = "file_open",
	[WARDER_HOOK_FILE_TRUNCATE] = "file_truncate",
	[WARDER_HOOK_PATH_TRUNCATE] = "path_truncate",
	[WARDER_HOOK_PATH_MKNOD] = "path_mknod",
	[WARDER_HOOK_PATH_MKDIR] = "path_mkdir",
	[WARDER_HOOK_PATH_SYMLINK] = "path_symlink",
	[WARDER_HOOK_PATH_LINK] = "path_link",
	[WARDER_HOOK_PATH_RENAME] = "path_rename",
	[WARDER_HOOK_PATH_UNLINK] = "path_unlink",
	[WARDER_HOOK_PATH_RMDIR] = "path_rmdir",
	[WARDER_HOOK_PATH_CHMOD] = "path_chmod",
	[WARDER_HOOK_PATH_CHOWN] = "path_chown",
	[WARDER_HOOK_BPRM_CHECK] = "bprm_check_security",
	[WARDER_HOOK_MMAP_FILE] = "mmap_file",
	[WARDER_HOOK_FILE_MPROTECT] = "file_mprotect",
	[WARDER_HOOK_CAPABLE] = "capable",
	[WARDER_HOOK_SB_MOUNT] = "sb_mount",
	[WARDER_HOOK_SB_UMOUNT] = "sb_umount",
	[WARDER_HOOK_SB_REMOUNT] = "sb_remount",
	[WARDER_HOOK_SB_PIVOTROOT] = "sb_pivotroot",
	[WARDER_HOOK_MOVE_MOUNT] = "move_mount",
	[WARDER_HOOK_PTRACE_ACCESS] = "ptrace_access_check",
	[WARDER_HOOK_PTRACE_TRACEME] = "ptrace_traceme",
	[WARDER_HOOK_TASK_KILL] = "task_kill",
	[WARDER_HOOK_BPF] = "bpf",
	[WARDER_HOOK_KERNEL_LOAD] = "kernel_load_data",
	[WARDER_HOOK_KERNEL_READ] = "kernel_read_file",
	[WARDER_HOOK_UNIX_CONNECT] = "unix_stream_connect",
	[WARDER_HOOK_UNIX_SEND] = "unix_may_send",
	[WARDER_HOOK_KEY_ALLOC] = "key_alloc",
	[WARDER_HOOK_KEY_PERMISSION] = "key_permission",
	[WARDER_HOOK_SYS_MOUNT] = "sys_mount",
	[WARDER_HOOK_SB_KERN_MOUNT] = "sb_kern_mount",
	[WARDER_HOOK_TASK_CONTROL] = "task_control",
	[WARDER_HOOK_SIGIO] = "file_send_sigiotask",
	[WARDER_HOOK_URING_CREDS] = "uring_override_creds",
	[WARDER_HOOK_SYSLOG] = "syslog",
	[WARDER_HOOK_SETTIME] = "settime",
	[WARDER_HOOK_PERF_EVENT] = "perf_event_open",
	[WARDER_HOOK_QUOTA_ON] = "quota_on",
	[WARDER_HOOK_SOCKET_CREATE] = "socket_create",
	[WARDER_HOOK_SOCKET_CONNECT] = "socket_connect",
	[WARDER_HOOK_SOCKET_BIND] = "socket_bind",
	[WARDER_HOOK_SOCKET_LISTEN] = "socket_listen",
	[WARDER_HOOK_SOCKET_ACCEPT] = "socket_accept",
	[WARDER_HOOK_SOCKET_SENDMSG] = "socket_sendmsg",
	[WARDER_HOOK_USERNS_CREATE] = "userns_create",
	[WARDER_HOOK_NAMESPACE] = "namespace",
	[WARDER_HOOK_ANON_INODE] = "inode_init_security_anon",
	[WARDER_HOOK_FILE_RECEIVE] = "file_receive",
	[WARDER_HOOK_FILE_IOCTL] = "file_ioctl",
	[WARDER_HOOK_FILE_LOCK] = "file_lock",
	[WARDER_HOOK_INODE_SETATTR] = "inode_setattr",
	[WARDER_HOOK_INODE_XATTR] = "inode_setxattr",
	[WARDER_HOOK_PATH_NOTIFY] = "path_notify",
	[WARDER_HOOK_IPC_PERMISSION] = "ipc_permission",
	[WARDER_HOOK_MMAP_ADDR] = "mmap_addr",
	[WARDER_HOOK_BPRM_COMMIT] = "bprm_committing_creds",
};

const char *hook_name(__u32 hook)
{
	return hook < WARDER_HOOK__MAX && hook_names[hook] ? hook_names[hook] : "unknown";
}

const char *fault_name(__u32 fault)
{
	static const char *const names[WARDER_FAULT__MAX] = {
		[WARDER_FAULT_NONE] = "none",
		[WARDER_FAULT_TAG_LOOKUP] = "tag_lookup",
		[WARDER_FAULT_TAG_COPY] = "tag_copy",
		[WARDER_FAULT_CONTAINER] = "container",
		[WARDER_FAULT_IMAGE] = "image",
		[WARDER_FAULT_SCRATCH] = "scratch",
		[WARDER_FAULT_NAME_READ] = "name_read",
		[WARDER_FAULT_NAME_LONG] = "name_long",
		[WARDER_FAULT_NAME_RACE] = "name_race",
		[WARDER_FAULT_MAP_FULL] = "map_full",
		[WARDER_FAULT_ARGUMENT] = "argument",
		[WARDER_FAULT_PROFILE] = "profile",
		[WARDER_FAULT_LEARN_FULL] = "learn_full",
		[WARDER_FAULT_SIGNERS] = "signers",
		[WARDER_FAULT_DIGEST] = "digest",
	};

	return fault < WARDER_FAULT__MAX && names[fault] ? names[fault] : "unknown";
}

const char *unasked_text(__u32 unasked)
{
	static const char *const texts[WARDER_UNASKED__MAX] = {
		[WARDER_ASKED] = "the supervisor was asked",
		[WARDER_UNASKED_NO_RULE] = "no override rule can match this call",
		[WARDER_UNASKED_EXPLICIT] =
			"an explicit deny or the baseline refused it, which is never overridden",
		[WARDER_UNASKED_CAUSE] =
			"neither a missing capability nor the policy's default refused it",
		[WARDER_UNASKED_DOWN] = "no supervisor answered",
		[WARDER_UNASKED_ONE_CPU] = "only one CPU is online, so nobody could answer",
		[WARDER_UNASKED_RATE] = "the container has used up its rate of intercepts",
		[WARDER_UNASKED_BUSY] = "too many other threads wait for an answer",
		[WARDER_UNASKED_BOUND] = "the supervisor did not take it in time",
		[WARDER_UNASKED_RING] = "the ring of intercepts is full",
		[WARDER_UNASKED_TRACED] = "the thread has another tracer",
	};

	return unasked < WARDER_UNASKED__MAX ? texts[unasked] : "for an unknown reason";
}

static const char *refusal_name(__u32 cause)
{
	static const char *const names[] = { "none", "capability", "default", "rule", "baseline" };

	return cause < sizeof(names) / sizeof(names[0]) ? names[cause] : "unknown";
}

/* --------------------------------------------------------------------- checking */

int event_verify(const void *data, size_t size)
{
	const struct warder_event_header *h = data;

	if (size < sizeof(*h) || h->version != WARDER_EVENT_VERSION || h->size < sizeof(*h) ||
	    h->size > size)
		return -EINVAL;
	if (!memchr(h->comm, '\0', sizeof(h->comm)))
		return -EINVAL;
	switch (h->type) {
	case WARDER_EVENT_VERDICT:
	case WARDER_EVENT_LEARN: {
		const struct warder_event *ev = data;

		if (h->size < sizeof(*ev) || ev->text_len > EVENT_TEXT_MAX ||
		    ev->detail_len > EVENT_TEXT_MAX ||
		    sizeof(*ev) + (size_t)ev->text_len + ev->detail_len > h->size)
			return -EINVAL;
		return ev->v.action <= WARDER_AUDIT && ev->v.why <= WARDER_WHY_FAULT &&
				       ev->hook < WARDER_HOOK__MAX &&
				       ev->class_ < WARDER_CLASS__MAX && ev->v.err < 4096 ?
			       0 :
			       -EINVAL;
	}
	case WARDER_EVENT_REFUSAL: {
		const struct warder_icept *ic = data;

		if (h->size < sizeof(*ic) || !memchr(ic->type, '\0', sizeof(ic->type)) ||
		    ic->op >= WARDER_OP__MAX || ic->call >= WARDER_CALL__MAX || ic->unasked >= WARDER_UNASKED__MAX ||
		    ic->result > 0 || ic->result < -4095)
			return -EINVAL;
		return 0;
	}
	case WARDER_EVENT_CLEARED:
		return h->size == sizeof(*h) ? 0 : -EINVAL;
	default:
		/* The others never come through a ring. */
		return -EINVAL;
	}
}

static int events_ring_fn(void *ctx, void *data, size_t size)
{
	struct events *e = ctx;

	if (event_verify(data, size))
		log_error("an event record of %zu bytes is malformed and was left out", size);
	else
		e->fn(data, size, e->arg);
	return 0;
}

int events_new(struct events **ret, struct loader *loader, events_fn fn, void *arg,
	       struct warder_error *reterr)
{
	struct events *e = calloc(1, sizeof(*e));
	int err;

	if (!e)
		return error_set(reterr, -ENOMEM, "out of memory");
	e->fn = fn;
	e->arg = arg;
	e->ring = ring_buffer__new(loader_map_fd(loader, LOADER_MAP_EVENTS), events_ring_fn, e,
				   NULL);
	if (!e->ring) {
		err = errno ? -errno : -ENOMEM;
		free(e);
		return error_errno(reterr, err, "cannot read the ring of events");
	}
	*ret = e;
	return 0;
}

void events_free(struct events *e)
{
	if (!e)
		return;
	ring_buffer__free(e->ring);
	free(e);
}

int events_fd(const struct events *e)
{
	return ring_buffer__epoll_fd(e->ring);
}

int events_consume(struct events *e)
{
	return ring_buffer__consume(e->ring);
}

/* ------------------------------------------------------------------------- JSON */

/* File names are bytes, JSON is text: what is not UTF-8 becomes \xNN, and so does the
 * backslash before an x, so that nothing can be taken for something else. */
void json_add_bytes(struct json_object *o, const char *key, const char *s, size_t len)
{
	char *out = malloc(4 * len + 1), *p = out;
	size_t i = 0;

	if (!out)
		return;
	while (i < len) {
		size_t n = utf8_sequence(s + i, len - i);

		if (utf8_is_escaped(s + i, len - i)) {
			p += sprintf(p, "\\x%02x", (unsigned char)s[i]);
			i++;
		} else {
			memcpy(p, s + i, n);
			p += n;
			i += n;
		}
	}
	*p = '\0';
	json_object_object_add(o, key, json_object_new_string_len(out, (int)(p - out)));
	free(out);
}

/* Monotonic to wall clock by today's difference: exact unless the clock was set since. */
static void put_time(struct json_object *o, __u64 mono)
{
	struct timespec wall, now;
	char text[64], stamp[40];
	long long ns;
	time_t sec;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &wall);
	clock_gettime(CLOCK_MONOTONIC, &now);
	ns = (wall.tv_sec - now.tv_sec) * 1000000000ll + (wall.tv_nsec - now.tv_nsec) +
	     (long long)(mono & (INT64_MAX >> 1)); /* a century and more, and no overflow */
	sec = (time_t)(ns / 1000000000ll);
	ns %= 1000000000ll;
	if (ns < 0) {
		ns += 1000000000ll;
		sec--;
	}
	if (!gmtime_r(&sec, &tm))
		return;
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, sizeof(text), "%s.%06lldZ", stamp, ns / 1000);
	control_put_string(o, "time", text);
}

static struct json_object *event_object(const struct warder_event_header *h, const char *type,
					const char *container)
{
	struct json_object *o = json_object_new_object();

	control_put_int(o, "version", WARDER_EVENT_VERSION);
	control_put_string(o, "type", type);
	put_time(o, h->time);
	control_put_string(o, "container", container);
	control_put_u64(o, "cid", h->cid);
	if (h->tgid) {
		control_put_int(o, "pid", h->tgid);
		control_put_int(o, "tid", h->tid);
		control_put_u64(o, "uid", h->uid);
		json_add_bytes(o, "program", h->comm, strnlen(h->comm, sizeof(h->comm)));
	}
	return o;
}

static void put_rule(struct json_object *o, const char *key, const struct warder_image *img,
		     __u32 rule)
{
	const struct warder_rule *r = img ? image_rule(img, rule) : NULL;
	struct json_object *sub;
	char where[512];

	if (!rule)
		return;
	sub = json_object_new_object();
	control_put_int(sub, "number", rule);
	if (r) {
		control_put_string(sub, "where", image_rule_where(img, rule, where, sizeof(where)));
		if (r->id)
			control_put_string(sub, "id", image_string(img, r->id));
	}
	json_object_object_add(o, key, sub);
}

/* What other policies of a stack said against it: the verdict names the one that stands. */
static void put_also(struct json_object *o, const struct warder_image *img,
		     const struct warder_verdict *v)
{
	struct json_object *list = NULL;

	for (__u32 i = 0; img && img->h.layers > 1 && i < img->h.layers; i++) {
		struct json_object *one;

		if (i == v->layer || !(v->against >> i & 1))
			continue;
		one = json_object_new_object();
		control_put_string(one, "policy", img->h.layer[i].policy);
		control_put_string(one, "action",
				   img->h.layer[i].mode == WARDER_MODE_ENFORCE ? "deny" : "audit");
		put_rule(one, "rule", img, v->by[i]);
		list = list ? list : json_object_new_array();
		json_object_array_add(list, one);
	}
	if (list)
		json_object_object_add(o, "also", list);
}

const char *image_profile_name(const struct warder_image *img, __u32 id)
{
	const struct warder_profile *pr = NULL;

	for (__u32 n = 0; img && (pr = image_profile(img, n)) && pr->id != id; n++)
		;
	return pr ? image_string(img, pr->name) : "unknown";
}

static void put_profiles(struct json_object *o, const struct warder_event *ev,
			 const struct warder_image *img)
{
	const struct warder_profile *to = img ? image_profile(img, ev->transition) : NULL;

	if (ev->profile_id)
		control_put_string(o, "profile", image_profile_name(img, ev->profile_id));
	if (ev->transition)
		control_put_string(o, "transition", to ? image_string(img, to->name) : "unknown");
	if (ev->hook == WARDER_HOOK_BPRM_COMMIT)
		control_put_bool(o, "traced", ev->arg[0] == 1);
}

static struct json_object *access_list(__u32 class_, __u32 access)
{
	struct json_object *a = json_object_new_array();

	for (__u32 i = 0; i < 32; i++) {
		__u32 bit = 1u << i;
		const char *name;

		if (!(access & bit))
			continue;
		name = class_ == WARDER_CLASS_FILE || class_ == WARDER_CLASS_EXEC ?
			       access_name(bit) :
			       policy_word(class_, bit);
		if (name)
			json_object_array_add(a, json_object_new_string(name));
	}
	return a;
}

/* What rules compare: an IPv4 address is one on whatever socket. */
static void put_network(struct json_object *o, const struct warder_event *ev)
{
	static const char *const families[] = { "inet",   "inet6", "unix", "netlink",
						"packet", "vsock", "other" };
	static const char *const protocols[] = { "tcp", "udp", "icmp", "sctp", "raw", "other" };
	const struct warder_address *a = &ev->address;
	char text[INET6_ADDRSTRLEN];

	_Static_assert(ARRAY_SIZE(families) == WARDER_FAM_BITS, "every family has a word");
	_Static_assert(ARRAY_SIZE(protocols) == WARDER_PROTO_BITS, "every protocol has a word");
	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		if (a->families == 1u << i)
			control_put_string(o, "family", families[i]);
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
		if (a->protocols == 1u << i)
			control_put_string(o, "protocol", protocols[i]);
	if (!(a->families & WARDER_FAM_IP) || ev->access == WARDER_NET_CREATE)
		return;
	control_put_string(o, "address",
			   a->families == WARDER_FAM_INET ?
				   inet_ntop(AF_INET, a->addr + 12, text, sizeof(text)) :
				   inet_ntop(AF_INET6, a->addr, text, sizeof(text)));
	if (a->protocols != WARDER_PROTO_RAW && a->protocols != WARDER_PROTO_ICMP)
		control_put_int(o, "port", a->port);
}

/* Which device, as rules write it; typing into a terminal has no rule and no number. */
static void put_device(struct json_object *o, const struct warder_event *ev)
{
	char node[32];

	if (ev->hook == WARDER_HOOK_FILE_IOCTL) {
		json_object_object_add(o, "access",
				       access_list(WARDER_CLASS_FILE, WARDER_ACC_IOCTL));
		return;
	}
	json_object_object_add(o, "access", access_list(ev->class_, ev->access));
	snprintf(node, sizeof(node), "%c %u:%u", ev->arg[0] == WARDER_DEVICE_BLOCK ? 'b' : 'c',
		 (__u32)(ev->arg[1] >> 32), (__u32)ev->arg[1]);
	control_put_string(o, "node", node);
}

static void put_peer(struct json_object *o, const struct warder_event *ev, const struct warder_image *img)
{
	/* Of an object that is no task it is the object's number. */
	__u32 profile_id = ev->class_ == WARDER_CLASS_IPC ? 0 : (__u32)(ev->arg[0] >> 32);

	control_put_u64(o, "peer_pid", ev->class_ == WARDER_CLASS_IPC ? ev->arg[0] : (__u32)ev->arg[0]);
	control_put_u64(o, "peer_cid", ev->arg[1]);
	if (profile_id)
		control_put_string(o, "peer_profile", image_profile_name(img, profile_id));
}

/* The key, what was asked of it, and the system call that asked. */
static void put_key(struct json_object *o, const struct warder_event *ev)
{
	/* enum key_need_perm; the last one is a possessor's without VIEW or READ. */
	static const char *const rights[] = { NULL,   "view", "read",	 "write", "search",
					      "link", "setattr", "unlink", NULL,	  NULL, "read" };
	static const char *const keyctls[] = {
		"get_keyring_id", "join", "update", "revoke", "chown", "setperm", "describe",
		"clear", "link", "unlink", "search", "read", "instantiate", "negate",
		"set_reqkey_keyring", "set_timeout", "assume_authority", "get_security",
		"session_to_parent", "reject", "instantiate_iov", "invalidate", "get_persistent",
		"dh_compute", "pkey_query", "pkey_encrypt", "pkey_decrypt", "pkey_sign",
		"pkey_verify", "restrict_keyring", "move", "capabilities", "watch_key",
	};
	__u32 op = ev->access;

	if (ev->arg[0])
		control_put_int(o, "key", (int32_t)ev->arg[0]);
	if (ev->hook == WARDER_HOOK_KEY_ALLOC) {
		if (ev->arg[1])
			control_put_u64(o, "limit", ev->arg[1]);
	} else {
		control_put_u64(o, "need", ev->arg[1]);
		if (ev->arg[1] < ARRAY_SIZE(rights))
			control_put_string(o, "right", rights[ev->arg[1]]);
	}
	if (op == WARDER_KEY_OP_ADD)
		control_put_string(o, "operation", "add_key");
	else if (op == WARDER_KEY_OP_REQUEST)
		control_put_string(o, "operation", "request_key");
	else if (op & WARDER_KEY_OP_KEYCTL && (op & 0xff) < ARRAY_SIZE(keyctls))
		control_put_string(o, "operation", keyctls[op & 0xff]);
}

static void put_access(struct json_object *o, const struct warder_event *ev,
		       const struct warder_image *img)
{
	char name[32];

	if (ev->class_ == WARDER_CLASS_EXEC && ev->arg[1] == 1)
		control_put_bool(o, "signature", 0);
	switch (ev->class_) {
	case WARDER_CLASS_FILE:
	case WARDER_CLASS_EXEC:
	case WARDER_CLASS_MOUNT:
		json_object_object_add(o, "access", access_list(ev->class_, ev->access));
		break;
	case WARDER_CLASS_DEVICE:
		put_device(o, ev);
		break;
	case WARDER_CLASS_MEMORY:
	case WARDER_CLASS_NAMESPACE:
	case WARDER_CLASS_KERNEL:
		json_object_object_add(o, "access",
				       access_list(ev->class_, 1u << (ev->access & 31)));
		break;
	case WARDER_CLASS_NETWORK:
		json_object_object_add(o, "access", access_list(ev->class_, ev->access));
		put_network(o, ev);
		if (ev->hook == WARDER_HOOK_UNIX_CONNECT || ev->hook == WARDER_HOOK_UNIX_SEND)
			control_put_u64(o, "peer_cid", ev->arg[1]);
		break;
	case WARDER_CLASS_CAPABILITY:
		control_put_string(o, "capability",
				   capability_name((int)ev->access, name, sizeof(name)));
		control_put_u64(o, "userns", ev->arg[0]);
		break;
	case WARDER_CLASS_SIGNAL:
		control_put_u64(o, "signal", ev->access);
		put_peer(o, ev, img);
		break;
	case WARDER_CLASS_PTRACE:
		/* The kernel's PTRACE_MODE_*; 1 is PTRACE_MODE_READ. */
		json_object_object_add(o, "access",
				       access_list(ev->class_, ev->access & 1 ? WARDER_PTRACE_READ :
										WARDER_PTRACE_TRACE));
		put_peer(o, ev, img);
		break;
	case WARDER_CLASS_IPC:
		json_object_object_add(o, "access", access_list(ev->class_, ev->access));
		put_peer(o, ev, img);
		break;
	case WARDER_CLASS_KEYRING:
		put_key(o, ev);
		break;
	default:
		break;
	}
	if (ev->class_ == WARDER_CLASS_MOUNT) {
		struct json_object *flags = json_object_new_array();

		for (__u32 i = 0; i < 32; i++) {
			const char *flag = ev->arg[0] & (1u << i) ? mount_flag_name(1u << i) : NULL;

			if (flag)
				json_object_array_add(flags, json_object_new_string(flag));
		}
		json_object_object_add(o, "flags", flags);
	}
}

struct json_object *event_to_json(const struct warder_event *ev, const char *container,
				  const struct warder_image *img)
{
	static const char *const actions[] = { "allow", "deny", "audit" };
	static const char *const whys[] = { "default", "rule", "baseline", "unreachable", "fault" };
	struct json_object *o = event_object(
		&ev->h, ev->h.type == WARDER_EVENT_LEARN ? "learn" : "verdict", container);
	const char *text = (const char *)(ev + 1);

	control_put_string(o, "class", class_name(ev->class_));
	control_put_string(o, "hook", hook_name(ev->hook));
	put_access(o, ev, img);
	/* Only an abstract name of a unix socket can hold a NUL. */
	if (ev->text_len)
		json_add_bytes(o, "path", text,
			  text[0] == '@' ? ev->text_len : strnlen(text, ev->text_len));
	if (ev->detail_len)
		json_add_bytes(o, "detail", text + ev->text_len,
			  strnlen(text + ev->text_len, ev->detail_len));
	control_put_string(o, "action", actions[ev->v.action]);
	if (ev->v.action != WARDER_ALLOW)
		control_put_string(o, "errno", errno_name((int)ev->v.err));
	if (ev->v.access)
		json_object_object_add(o, "refused", access_list(ev->class_, ev->v.access));
	control_put_string(o, "why", whys[ev->v.why]);
	if (ev->v.why == WARDER_WHY_FAULT)
		control_put_string(o, "fault", fault_name(ev->v.fault));
	put_rule(o, "rule", img, ev->v.rule);
	if (img)
		control_put_string(o, "policy", image_verdict_policy(img, &ev->v));
	put_also(o, img, &ev->v);
	put_profiles(o, ev, img);
	return o;
}

static void put_icept(struct json_object *o, const struct warder_icept *ic,
		      const struct warder_image *img)
{
	char name[32];

	control_put_string(o, "operation", call_op_word(ic->op));
	if (ic->type[0])
		json_add_bytes(o, "fstype", ic->type, strnlen(ic->type, sizeof(ic->type)));
	control_put_string(o, "cause", refusal_name(ic->cause));
	/* Beside another cause it is the one that the kernel would have missed next. */
	if (ic->cap_userns) {
		control_put_string(o, "capability",
				   capability_name((int)ic->cap, name, sizeof(name)));
		control_put_u64(o, "userns", ic->cap_userns);
	}
	control_put_string(o, "errno", errno_name(-ic->result));
	put_rule(o, "refused_by", img, ic->rule);
	if (ic->unasked)
		control_put_string(o, "unasked", unasked_text(ic->unasked));
	if (img)
		control_put_string(o, "policy",
				   ic->rule && img->h.layers > 1 ?
					   img->h.layer[image_rule_layer(img, ic->rule)].policy :
					   image_string(img, img->h.name));
}

/* The call as it was made. Not of mount(2), of which everything has a key of its own. */
static void put_call(struct json_object *o, const struct warder_icept *ic, const char *path,
		     const char *text)
{
	char buf[512];

	if (ic->op == WARDER_OP_MOUNT && !call_needs_notify(ic->call))
		return;
	call_render(ic, path, text, buf, sizeof(buf));
	json_add_bytes(o, "call", buf, strlen(buf));
}

struct json_object *icept_to_json(const struct warder_icept *ic, const char *container,
				  const struct warder_image *img)
{
	struct json_object *o = event_object(&ic->h, "refusal", container);

	put_icept(o, ic, img);
	put_call(o, ic, NULL, NULL);
	return o;
}

struct json_object *outcome_to_json(const struct override_outcome *out, const char *container,
				    const struct warder_image *img)
{
	struct json_object *o = event_object(&out->icept.h, "override", container);

	put_icept(o, &out->icept, img);
	put_call(o, &out->icept, out->target[0] ? out->target : NULL,
		 out->source[0] ? out->source : NULL);
	control_put_string(o, "result", out->result ? errno_name(-out->result) : "0");
	control_put_bool(o, "performed", out->performed);
	control_put_bool(o, "undone", out->undone);
	put_rule(o, "rule", img, out->rule);
	put_rule(o, "near_rule", img, out->near_rule);
	if (out->target[0])
		json_add_bytes(o, "path", out->target, strnlen(out->target, sizeof(out->target)));
	if (out->source[0])
		json_add_bytes(o, "source", out->source, strnlen(out->source, sizeof(out->source)));
	if (out->reason[0])
		json_add_bytes(o, "reason", out->reason, strnlen(out->reason, sizeof(out->reason)));
	if (out->latency_ns)
		control_put_u64(o, "latency_us", out->latency_ns / 1000);
	return o;
}
