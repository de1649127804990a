#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The demo checks each of its steps itself: run it as a test, too. Nothing is there before, no
# program, and no count of what other tests did.
# shellcheck source=tests/kernel/lib.sh
. "$(dirname "$0")/lib.sh"
! daemon_find || daemon_stop
rm -rf "$work" /sys/fs/bpf/warder
if sh /root/demo/demo.sh >/tmp/demo.out 2>&1; then
	grep -c 'as it should be' /tmp/demo.out | sed 's/^/# steps: /'
	echo "ok 1 - the demo shows what it says"
else
	sed 's/^/# /' /tmp/demo.out
	echo "not ok 1 - the demo shows what it says"
fi
