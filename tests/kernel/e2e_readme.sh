#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Runs every command of the README that is marked `<!-- test: vm -->`, in order, in one folder.
# A command may fail only where the README shows a refusal (it then ends in `; true`).
# What was there before is only the demo's: no count of what other tests did.
readme=${README:-/root/README.md}
# shellcheck source=tests/kernel/lib.sh
. "$(dirname "$0")/lib.sh"
rm -rf "$work"
cd "$(mktemp -d)" || exit 1

# Files and command lists, in the order of the text.
awk '
	/^<!-- test: vm file: / { file = $5; next }
	/^<!-- test: vm events -->/ { file = "shown"; next }
	/^<!-- test: vm -->/ { list = 1; next }
	/^```/ {
		if (inside) { inside = 0; file = ""; list = 0; next }
		if (file != "" || list) { inside = 1; next }
	}
	inside && file != "" { print > file; next }
	inside && list && NF { print > "commands" }
' "$readme"

n=0
while IFS= read -r line <&3; do
	n=$((n + 1))
	for _ in 1 2 3 4 5 6 7 8 9; do
		sh -c "$line" >out 2>&1
		status=$?
		# In emulation a mount is answered too late now and then.
		[ $status != 0 ] && echo "$line" | grep -q 'mount -t tmpfs -o ' || break
	done
	if [ $status = 0 ]; then
		echo "ok $n - $line"
	else
		echo "not ok $n - $line: exit status $status"
		sed 's/^/# /' out
	fi
done 3<commands
# What it shows of the events is what they say, but for times and numbers.
plain() { sed -e 's/^[0-9T:.-]*Z //' -e 's/([0-9]*):/(PID):/' -e 's/namespace [0-9]*/namespace N/'; }
warder events | plain >events
plain <shown >wanted
while IFS= read -r line <&3; do
	n=$((n + 1))
	grep -qxF -e "$line" events && echo "ok $n - $line" || echo "not ok $n - $line: is no event"
done 3<wanted
[ -s wanted ] || echo "not ok - the README shows no events"
# Some of them are meant to run on.
warder list --json | sed 's/"name":"/\n&/g' | sed -n 's/^"name":"\([^"]*\)".*/\1/p' >names
while read -r name; do
	warder kill --all "$name"
done <names
no_container() { ! warder list --json | grep -q '"name"'; }
await no_container
[ "$n" -gt 10 ] || echo "not ok - only $n commands were found in the README"
exit 0
