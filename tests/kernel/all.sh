#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Runs every kernel test in this VM, one after the other, as TAP. A program that ends with a
# failure of its own making (crash, time-out) is a `not ok` line even if it printed none.
# usage: all.sh [NAME...]   (default: every test_* and e2e_*.sh beside the programs)
export CMOCKA_MESSAGE_OUTPUT=TAP
export WARDER_EMULATED=1
dir=${TESTS_DIR:-/root/tests}
limit=${TEST_LIMIT:-900}

# What a test program leaves for the next one is the loaded programs: to load and attach them takes
# most of a minute in emulation. Nothing stays after a failure. A supervisor that leaves takes its
# pins with it, one that is killed does not: scripts that need one share one (lib.sh). First comes
# what wants to find nothing, last what ends with nothing.
pins=/sys/fs/bpf/warder
export SHARED_DAEMON=1

# Not under a supervisor, which would find its own gone.
unpin() {
	pidof warder warderd >/dev/null || rm -rf "$pins"
}

# A test program is its own supervisor.
supervisor_ends() {
	while pid=$(cat /run/warder/lock 2>/dev/null) && [ -e "/proc/$pid" ]; do
		kill -9 "$pid" 2>/dev/null
		sleep 0.2
	done
}

one() {
	name=$(basename "$1")
	out=/tmp/out.$name
	before=$(cut -d' ' -f1 /proc/uptime)
	case $name in
	test_control_socket) ;; # its daemon takes over
	test_*) supervisor_ends ;;
	esac
	case $1 in
	*.sh) timeout "$limit" sh "$1" >"$out" 2>&1 ;;
	*) WARDER_TEST_KEEP=1 timeout "$limit" "$1" >"$out" 2>&1 ;;
	esac
	rc=$?
	[ "$rc" = 0 ] || unpin
	after=$(cut -d' ' -f1 /proc/uptime)
	echo "# $name"
	sed -e "s/^\(not \)\{0,1\}ok \([0-9]*\)[ -]*/\1ok \2 - $name: /" "$out"
	echo "# $name took $(awk "BEGIN { print $after - $before }") s"
	if ! grep -Eq '^(not )?ok ' "$out"; then
		echo "not ok - $name: printed no result (exit status $rc)"
	elif [ "$rc" != 0 ] && ! grep -q '^not ok ' "$out"; then
		echo "not ok - $name: exit status $rc although every test passed"
	fi
	rm -f "$out"
}

first='e2e_demo.sh e2e_readme.sh'
last='e2e_notify.sh e2e_restart.sh e2e_adopt.sh e2e_stack.sh e2e_containers.sh e2e_errors.sh test_control_socket e2e_ondemand.sh'
if [ $# = 0 ]; then
	# shellcheck disable=SC2086 # words
	set -- $first
	for program in "$dir"/test_* "$dir"/e2e_*.sh; do
		name=$(basename "$program")
		case " $first $last " in
		*" $name "*) ;;
		*) set -- "$@" "$name" ;;
		esac
	done
	# shellcheck disable=SC2086
	set -- "$@" $last
fi
for name; do
	shift
	set -- "$@" "$dir/$name"
done
for program; do
	case $program in
	*.o | *.d | *.c | *.h) continue ;;
	esac
	if [ -f "$program" ]; then
		one "$program"
	else
		echo "not ok - $(basename "$program"): there is no such test"
	fi
done
echo '# all kernel tests ran'
