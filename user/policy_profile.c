// SPDX-License-Identifier: LGPL-2.1-or-later
/* What holds in a profile, complete: what the language lets a profile inherit is copied here. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy_internal.h"

#define ACC_ALL (WARDER_ACC_FILE_ALL | WARDER_ACC_EXEC)

/* A profile replaces the allow rules of each class that it names, and inherits the others'; denies
 * of the top profile always hold. */
bool rule_holds(const struct policy *p, const struct policy_rule *r, size_t k)
{
	if (r->in == k)
		return true;
	return !r->in && (r->deny || !(p->profile[k].named >> r->class_ & 1));
}

/* Is the class's default to deny? `unsaid` is the answer where the policy does not say. */
static bool class_denied(const struct policy *p, size_t k, unsigned class_, bool unsaid)
{
	unsigned def = p->profile[k].def[class_];

	if (def == DEFAULT_UNSAID)
		def = p->profile[0].def[class_];
	return def == DEFAULT_UNSAID ? unsaid : def == DEFAULT_DENY;
}

static bool class_said(const struct policy *p, size_t k, unsigned class_)
{
	return p->profile[k].def[class_] || p->profile[0].def[class_];
}

/* ---------------------------------------------------------------- switches */

static void profile_bits(struct compiler *c, size_t k, unsigned class_, uint64_t def, __u32 err,
			 struct warder_bits *bits)
{
	const struct policy *p = c->p;
	uint64_t denied = 0, allowed = 0;

	for (int deny = 1; deny >= 0; deny--)
		for (size_t i = 0; i < p->rules; i++) {
			const struct policy_rule *r = &p->rule[i];
			uint64_t fresh = r->bits & ~denied & ~allowed;

			if (r->class_ != class_ || r->deny != deny || !rule_holds(p, r, k))
				continue;
			if (!deny && r->audit) {
				c->decides[i] |= (r->bits & ~denied & ~bits->audit) != 0;
				bits->audit |= r->bits & ~denied;
			}
			for (uint64_t left = fresh ? 0 : r->bits; left; left &= left - 1)
				shadows_add(&c->shadow[i], bits->rule[__builtin_ctzll(left)]);
			for (int b = 0; b < 64; b++)
				if (fresh >> b & 1)
					bits->rule[b] = (uint16_t)(i + 1);
			c->decides[i] |= fresh != 0;
			*(deny ? &denied : &allowed) |= fresh;
		}
	bits->allow = (def | allowed) & ~denied;
	bits->err = err;
}

static void profile_switches(struct compiler *c, size_t k, struct warder_profile *pr)
{
	const struct policy *p = c->p;
	uint64_t def;

	def = class_denied(p, k, WARDER_CLASS_CAPABILITY, false) ? 0 : ~0ull;
	profile_bits(c, k, WARDER_CLASS_CAPABILITY, def, EPERM, &pr->bits[WARDER_BITS_CAPABILITY]);
	def = class_denied(p, k, WARDER_CLASS_MEMORY, false) ? 0 : (1u << WARDER_MEM__MAX) - 1;
	profile_bits(c, k, WARDER_CLASS_MEMORY, def, EACCES, &pr->bits[WARDER_BITS_MEMORY]);
	def = 1u << WARDER_NS_USER;
	if (class_said(p, k, WARDER_CLASS_NAMESPACE))
		def = class_denied(p, k, WARDER_CLASS_NAMESPACE, false) ?
			      0 :
			      (1u << WARDER_NS__MAX) - 1;
	profile_bits(c, k, WARDER_CLASS_NAMESPACE, def, EPERM, &pr->bits[WARDER_BITS_NAMESPACE]);
	/* A host name is guarded by a capability in the container's own user namespace. */
	def = 1u << WARDER_SURFACE_HOSTNAME;
	if (class_said(p, k, WARDER_CLASS_KERNEL))
		def = class_denied(p, k, WARDER_CLASS_KERNEL, false) ?
			      0 :
			      ((1u << WARDER_SURFACE__MAX) - 1) & ~kernel_closed(p->unsafe);
	profile_bits(c, k, WARDER_CLASS_KERNEL, def, EPERM, &pr->bits[WARDER_BITS_KERNEL]);
}

/* ------------------------------------------------------------------- tables */

static void profile_tables(const struct policy *p, size_t k, struct warder_profile *pr)
{
	for (size_t i = 0; i < p->mounts; i++)
		if (rule_holds(p, &p->rule[p->mount[i].m.rule - 1], k))
			pr->mount_rules |= 1ull << i;
	for (size_t i = 0; i < p->devices; i++)
		if (rule_holds(p, &p->rule[p->device[i].rule - 1], k))
			pr->device_rules |= 1ull << i;
	for (size_t i = 0; i < p->peers; i++)
		if (rule_holds(p, &p->rule[p->peer[i].rule - 1], k))
			pr->peer_rules |= 1ull << i;
	for (size_t i = 0; i < p->nets; i++)
		if (rule_holds(p, &p->rule[p->net[i].rule - 1], k))
			pr->net_rules[i / 64] |= 1ull << (i % 64);
}

static __u64 profile_overrides(const struct policy *p, size_t k)
{
	__u64 set = 0;

	for (size_t i = 0; i < p->overrides; i++) {
		__u32 by = p->override[i].o.by_profile;

		if (by == WARDER_BY_ANY_PROFILE || by == k)
			set |= 1ull << i;
	}
	return set;
}

static void profile_peers(const struct policy *p, size_t k, struct warder_profile *pr)
{
	static const uint8_t classes[] = { WARDER_CLASS_PTRACE, WARDER_CLASS_SIGNAL,
					   WARDER_CLASS_IPC };
	static const __u32 errs[] = { EPERM, EPERM, EACCES };

	for (size_t i = 0; i < ARRAY_SIZE(classes); i++) {
		if (!class_denied(p, k, classes[i], false))
			pr->peer_default |= 1u << classes[i];
		pr->peer_err[i] = errs[i];
	}
}

static void profile_network(const struct policy *p, size_t k, struct warder_profile *pr)
{
	/* Netlink is how programs ask for their own addresses, getaddrinfo() among them. */
	pr->net_default = WARDER_FAM_IP | WARDER_FAM_UNIX | WARDER_FAM_NETLINK;
	pr->net_err = EPERM;
	if (!class_said(p, k, WARDER_CLASS_NETWORK))
		return;
	pr->net_default = (1u << WARDER_FAM_BITS) - 1;
	if (class_denied(p, k, WARDER_CLASS_NETWORK, false)) {
		pr->net_default = 0;
		pr->net_err = EACCES;
	}
}

/* Whatever stands in the profile or at the top, inherited or not: image_verify() must come to the
 * same answer from the rules alone. */
static bool profile_trivial(const struct policy *p, size_t k)
{
	for (size_t i = 0; i < p->rules; i++) {
		const struct policy_rule *r = &p->rule[i];

		if ((r->class_ == WARDER_CLASS_FILE || r->class_ == WARDER_CLASS_EXEC) &&
		    (!r->in || r->in == k) && (r->deny || r->audit || r->profile))
			return false;
	}
	return true;
}

void compiler_profile(struct compiler *c, size_t k, struct warder_profile *pr)
{
	const struct policy *p = c->p;

	pr->id = p->profile[k].id;
	pr->mode = p->mode;
	pr->override_rules = profile_overrides(p, k);
	pr->number = pr->part = (__u32)k;
	/* Mapping a file for execution has the default of executing it: where execution must be
	 * allowed the dynamic loader must not run what execve() may not, and where it need not
	 * be, a program that may be executed must not die while it is mapped. */
	if (!class_denied(p, k, WARDER_CLASS_FILE, false))
		pr->file_default |= WARDER_ACC_FILE_ALL & ~WARDER_ACC_MAP_EXEC;
	if (!class_denied(p, k, WARDER_CLASS_EXEC, false))
		pr->file_default |= WARDER_ACC_EXEC | WARDER_ACC_MAP_EXEC;
	pr->file_err = EACCES;
	pr->exec_err = EACCES;
	pr->file_trivial = pr->file_default == ACC_ALL && profile_trivial(p, k);
	pr->names = !pr->file_trivial;
	if (!class_denied(p, k, WARDER_CLASS_MOUNT, true))
		pr->mount_default = (1u << WARDER_MNT_BITS) - 1;
	pr->mount_err = EPERM;
	/* What the runtime made is there to be opened. */
	if (!class_denied(p, k, WARDER_CLASS_DEVICE, false))
		pr->device_default = WARDER_DEV_OPEN;
	pr->device_err = EPERM;
	profile_network(p, k, pr);
	profile_peers(p, k, pr);
	profile_tables(p, k, pr);
	profile_switches(c, k, pr);
	memcpy(pr->start, c->start + k * WARDER_START__MAX, sizeof(pr->start));
}
