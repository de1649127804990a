#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What warder does, shown on real containers in a few minutes. Run as root where the kernel
# lets BPF LSM programs load; `make demo` chooses between this machine and a VM.
# Every step checks what it shows: a wrong result ends the demo with status 1.
set -u

here=$(dirname "$0")
work=$(mktemp -d)
failed=0
# A second CPU is needed for handing a refusal over; see docs/OVERRIDES.md.

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
run() { printf '\033[2m$ %s\033[0m\n' "$*"; "$@"; }

# expect WHAT PATTERN FILE: the file must hold the pattern.
expect() {
	if grep -Eq -- "$2" "$3"; then
		printf '   \033[32mas it should be\033[0m: %s\n' "$1"
	else
		printf '   \033[31mNOT as it should be\033[0m: %s (wanted: %s)\n' "$1" "$2"
		sed 's/^/   | /' "$3"
		failed=1
	fi
}

# shellcheck disable=SC2317 # called by the trap
finish() {
	for name in guard red blue; do
		warder kill "$name" --signal KILL >/dev/null 2>&1
	done
	rm -rf "$work" /srv/demo
}
trap finish EXIT

mkdir -p /srv/demo /mnt/scratch /mnt/other
echo 'the quarterly report' >/srv/demo/report

say '1. One path, two policies'
run warder run --name red --policy "$here/red.yaml" -- cat /srv/demo/report >"$work/out" 2>&1
sed 's/^/   /' "$work/out"
expect 'red may read the report' 'quarterly report' "$work/out"
run warder run --name blue --policy "$here/blue.yaml" -- cat /srv/demo/report >"$work/out" 2>&1
sed 's/^/   /' "$work/out"
expect 'blue may not' 'Permission denied' "$work/out"

say '2. Two long-lived containers, one key description, two keys'
run warder run --detach --name red --policy "$here/red.yaml" -- sleep 3600 >"$work/out" 2>&1 || cat "$work/out"
run warder run --detach --name blue --policy "$here/blue.yaml" -- sleep 3600 >"$work/out" 2>&1 || cat "$work/out"
run warder list
run warder keyring add red user demo:token secret-of-red >"$work/out" 2>&1 || cat "$work/out"
run warder keyring add blue user demo:token secret-of-blue >"$work/out" 2>&1 || cat "$work/out"
for name in red blue; do
	# shellcheck disable=SC2016 # expanded in the container
	run warder enter "$name" -- sh -c 'keyctl pipe $(keyctl request user demo:token)' >"$work/out" 2>&1
	sed 's/^/   /' "$work/out"
	expect "in $name, demo:token is its own" "secret-of-$name" "$work/out"
done

say '3. A mount that the kernel refuses, carried out by the supervisor'
# shellcheck disable=SC2016
run warder run --policy "$here/red.yaml" -- sh -c \
	'grep CapEff /proc/self/status; mount -t tmpfs -o size=16m scratch /mnt/scratch; echo "mount says $?"; grep " /mnt/scratch " /proc/self/mountinfo' \
	>"$work/out" 2>&1
sed 's/^/   /' "$work/out"
expect 'mount(2) succeeded' 'mount says 0' "$work/out"
expect 'with nosuid and nodev' '/mnt/scratch [^-]*nosuid,nodev' "$work/out"
run warder run --policy "$here/red.yaml" -- sh -c 'mount -t tmpfs scratch /mnt/other; echo "mount says $?"' >"$work/out" 2>&1
sed 's/^/   /' "$work/out"
expect 'another target stays refused' 'not permitted|denied' "$work/out"
say '   ... and both explained'
warder events >"$work/events" 2>&1
grep -E '/mnt/(scratch|other)' "$work/events" | tail -n 4 | sed 's/^/   /'
expect 'the missing capability is named' 'CAP_SYS_ADMIN' "$work/events"
expect 'the deciding rule is named' 'red.yaml:[0-9]+' "$work/events"
expect 'the refused read names its rule' 'blue.yaml:[0-9]+' "$work/events"

say '4. kill -9 of the supervisor: policy stays enforced'
warder run --name guard --policy "$here/blue.yaml" -- sh -c \
	'while sleep 1; do cat /srv/demo/report; done' >"$work/guard" 2>&1 &
sleep 3
supervisor=$(cat /run/warder/lock)
run kill -9 "$supervisor"
sleep 1
: >"$work/guard"
sleep 3
tail -n 1 "$work/guard" | sed 's/^/   /'
expect 'still refused, with no supervisor at all' 'Permission denied' "$work/guard"
if grep -q 'quarterly report' "$work/guard"; then
	echo '   the report leaked'
	failed=1
fi
say '   ... and the next supervisor takes over what it finds'
run warder list >"$work/out" 2>&1
sed 's/^/   /' "$work/out"
expect 'the containers are known again' 'guard' "$work/out"
# One that has only just started may come too late on a slow machine: the program gets the kernel's own
# answer then (`late: errno`), and may ask again.
run warder enter red -- sh -c 'm() { mount -t tmpfs scratch /mnt/scratch; }; m || m || m; echo "mount says $?"' >"$work/out" 2>&1
sed 's/^/   /' "$work/out"
expect 'and refused mounts are carried out again' 'mount says 0' "$work/out"

if [ "$failed" = 0 ]; then
	say 'All as it should be.'
else
	say 'What warder says of it'
	warder events 2>&1 | tail -n 8
	warder doctor 2>&1
fi
exit "$failed"
