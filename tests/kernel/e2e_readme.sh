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
mkdir -p /srv/shop/secret /mnt/scratch /mnt/other
echo key >/srv/shop/secret/key

# Files and command lists, in the order of the text.
awk '
	/^<!-- test: vm file: / { file = $5; next }
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
	if sh -c "$line" >out 2>&1; then
		echo "ok $n - $line"
	else
		echo "not ok $n - $line: exit status $?"
		sed 's/^/# /' out
	fi
done 3<commands
# Some of them are meant to run on.
warder list --json | sed 's/"name":"/\n&/g' | sed -n 's/^"name":"\([^"]*\)".*/\1/p' >names
while read -r name; do
	warder kill --all "$name"
done <names
no_container() { ! warder list --json | grep -q '"name"'; }
await no_container
[ "$n" -gt 10 ] || echo "not ok - only $n commands were found in the README"
exit 0
