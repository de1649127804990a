#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The demo checks each of its steps itself: run it as a test, too.
if sh /root/demo/demo.sh >/tmp/demo.out 2>&1; then
	grep -c 'as it should be' /tmp/demo.out | sed 's/^/# steps: /'
	echo "ok 1 - the demo shows what it says"
else
	sed 's/^/# /' /tmp/demo.out
	echo "not ok 1 - the demo shows what it says"
fi
