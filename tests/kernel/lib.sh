# SPDX-License-Identifier: LGPL-2.1-or-later
# What the end-to-end scripts share; sourced. Each check is a line of TAP; `out` holds the output of
# the last command and is shown when a check fails. END_LIMIT: seconds for one command.
passed=0
failed=0
out=
work=$(mktemp -d)

# What takes long says so: seconds since the last check.
seconds() {
	read -r now _ </proc/uptime
	now=${now%.*}
	[ $((now - ${checked:-$now})) -lt 5 ] || echo "# took $((now - checked)) s: $1"
	checked=$now
}
# ok STATUS TITLE
ok() {
	seconds "$2"
	if [ "$1" = 0 ]; then
		passed=$((passed + 1))
		echo "ok $((passed + failed)) - $2"
	else
		failed=$((failed + 1))
		echo "not ok $((passed + failed)) - $2"
		[ -z "$out" ] || echo "$out" | sed 's/^/# /'
	fi
}
# is WANTED-STATUS TITLE COMMAND...: output in $out
is() {
	want=$1 title=$2
	shift 2
	out=$(timeout -s KILL "${END_LIMIT:-60}" "$@" 2>&1)
	got=$?
	[ "$got" = "$want" ] || out="$out
(status $got, not $want)"
	[ "$got" = "$want" ]
	ok $? "$title"
}
# has PATTERN TITLE: in the last output
has() {
	printf '%s\n' "$out" | grep -q -e "$1"
	ok $? "$2"
}
hasnot() {
	! printf '%s\n' "$out" | grep -q -e "$1"
	ok $? "$2"
}
# await COMMAND...: until it succeeds. The limit is for what never comes, not for what is late: an
# emulated machine that shares its processors is ten times as slow as a real one.
await() {
	awaited=0
	until "$@"; do
		[ $awaited -lt 1200 ] || return 1
		sleep 0.1
		awaited=$((awaited + 1))
	done
}
# absent PATH: for await
absent() {
	[ ! -e "$1" ]
}
# daemon_find: the supervisor that is there, in $daemon; its executors have the same name
daemon_find() {
	daemon=$(cat /run/warder/lock 2>/dev/null)
	[ -n "$daemon" ] && [ -e "/proc/$daemon" ]
}
# daemon_start: a warderd, its pid in $daemon. With SHARED_DAEMON one that is there already will do,
# and it stays for the next script.
daemon_log=/tmp/warderd.log
daemon_start() {
	[ -n "${SHARED_DAEMON-}" ] && daemon_find && return
	[ -n "${daemon_logged-}" ] || : >$daemon_log # that of this script's first one
	daemon_logged=yes
	warderd 2>>$daemon_log &
	daemon=$!
	await daemon_serves
}
# Its own socket, not that of the one that it relieves.
daemon_serves() {
	[ "$(cat /run/warder/lock 2>/dev/null)" = "$daemon" ] && [ -S /run/warder/control.sock ]
}
# daemon_end: leaves it to the next one, or ends it. It has nothing to complain of.
daemon_end() {
	out=$(cat $daemon_log)
	hasnot 'error' "the daemon reported no error"
	[ -z "${SHARED_DAEMON-}" ] || return
	daemon_stop
}
daemon_stop() {
	kill "$daemon"
	wait "$daemon" 2>/dev/null # if this script started it
	await absent "/proc/$daemon"
	[ ! -e /sys/fs/bpf/warder ]
	ok $? "the daemon leaves, and its programs with it"
}
# nothing_left TITLE: the supervisor is gone, or goes now, and took everything with it
nothing_left() {
	await absent /run/warder/lock
	out=$(ls -d /run/warder /sys/fs/bpf/warder /sys/fs/cgroup/warder 2>/dev/null
		grep -e ' /run/warder' -e ' /tmp/.*stage' /proc/self/mountinfo
		ps -o pid,comm,args | grep -e '[w]arderd' -e '[w]arder-init')
	[ -z "$out" ]
	ok $? "$1"
}
# no_container_left TITLE: neither a cgroup of one, nor what a next supervisor must know of one
none_left() {
	out=$(ls -d /sys/fs/cgroup/warder/*/ 2>/dev/null
		ls /run/warder/containers | grep -v -e '^exited.json$' -e '^policies.json$')
	[ -z "$out" ]
}
no_container_left() {
	await none_left # the cgroup goes first
	ok $? "$1"
}
# daemon_kill: with -9. Its programs stay, for the next one to find.
daemon_kill() {
	kill -9 "$daemon"
	wait "$daemon" 2>/dev/null # if this script started it
	await absent "/proc/$daemon"
}
# daemon_absent: for what is about a supervisor on demand
daemon_absent() {
	! daemon_find || daemon_kill
}
# finish: totals; the script's exit status
finish() {
	echo "$passed passed, $failed failed"
	[ $failed = 0 ]
}
