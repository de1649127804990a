// SPDX-License-Identifier: GPL-2.0-only
/* The LSM and tracing programs, one header for each rule class. Keys are in keyring.bpf.c. */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "core.bpf.h"

const volatile __u32 cfg_storage_lookup_locks = 0;
__u32 cfg_tasks_map_id = 0;
const volatile __u32 cfg_setattr_idmap = 0;
const volatile __u32 cfg_verity = 0;

#include "identity.bpf.h"
#include "adopt.bpf.h"
#include "file.bpf.h"
#include "exec.bpf.h"
#include "signed.bpf.h"
#include "capability.bpf.h"
#include "mount.bpf.h"
#include "peer.bpf.h"
#include "surface.bpf.h"
#include "unix.bpf.h"
#include "network.bpf.h"
#include "attr.bpf.h"
#include "ipc.bpf.h"
#include "override.bpf.h"
#include "names.bpf.h"

char LICENSE[] SEC("license") = "GPL";
