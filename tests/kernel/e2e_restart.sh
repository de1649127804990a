#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The supervisor killed at awkward moments, and what a container can do to its own keyrings.
# Whatever was under way: who runs is confined, who does not has left nothing, and the next
# supervisor knows all of them. Run inside tests/vm/run.
# shellcheck source=tests/kernel/lib.sh
. "$(dirname "$0")/lib.sh"
mkdir "$work/vol"
cat > "$work/red.yaml" <<'POLICY'
policy: red
file:
  - deny: [read]
    path: /etc/passwd
POLICY

# kill_daemon: and the next one
kill_daemon() {
	daemon_kill
	daemon_start
}
# finds TITLE: the container finds the key that it was given, now or soon
finds() {
	await found
	[ "$out" = blue ]
	ok $? "$1"
}
found() {
	# shellcheck disable=SC2016 # expanded in the container
	out=$(warder enter keys -- /bin/sh -c 'keyctl pipe $(keyctl request user color)' 2>&1)
}

runs() {
	warder inspect "$1" 2>/dev/null | grep -q '"state": "running"'
}
ended() {
	! kill -0 "$1" 2>/dev/null
}
# settled NAME: its `warder run` has ended, or it runs
settled() {
	ended $run || runs "$1"
}

daemon_start
unset SHARED_DAEMON # it is killed

# --- a container that empties its session keyring
# shellcheck disable=SC2016
is 0 "rings: a container" warder run -d --name keys --policy none -v "$work/vol:/tmp/v" -- /bin/sh -c '
	while sleep 0.1; do [ -e /tmp/v/clear ] && keyctl clear @s && rm /tmp/v/clear; done'
is 0 "rings: a key" warder keyring add keys user color blue
finds "rings: it is found"
is 0 "rings: the container empties its session keyring" warder enter keys -- keyctl clear @s
finds "rings: and finds the key again"
# shellcheck disable=SC2016
is 0 "rings: thirty times" warder enter keys -- /bin/sh -c 'i=0; while [ $i -lt 30 ]; do keyctl clear @s || exit 1; i=$((i+1)); done'
finds "rings: and finds it again"
is 0 "rings: the supervisor serves others meanwhile" warder list
daemon_kill
touch "$work/vol/clear"
await absent "$work/vol/clear"
[ ! -e "$work/vol/clear" ]
ok $? "rings: emptied while no supervisor runs"
daemon_start
finds "rings: the next supervisor makes it good"
is 0 "rings: and gives more" warder keyring add keys user shape round
warder kill --all keys >/dev/null

# --- killed while containers start
# The command could read the file if it ran a moment without its policy.
: > "$work/vol/leak"
for pause in 0.1 0.6; do
	warder run --name "at$pause" --policy "$work/red.yaml" -v "$work/vol:/tmp/v" -- /bin/sh -c \
		'cat /etc/passwd >>/tmp/v/leak 2>/dev/null; echo ran >>/tmp/v/ran; exec sleep 1000' >/dev/null 2>&1 &
	run=$!
	sleep $pause
	kill_daemon
	# Its supervisor is gone, so it ends, whether its container lives or not; unless the request
	# was not looked at yet, and the next supervisor has it now.
	await settled "at$pause"
	ok $? "start, killed after $pause s: run ends, or the next supervisor runs it"
	out=$(warder list 2>&1; ls -d /sys/fs/cgroup/warder/*/ 2>/dev/null)
	[ "$(warder list --json | grep -o '"name"' | wc -l)" = "$(ls -d /sys/fs/cgroup/warder/*/ 2>/dev/null | wc -l)" ]
	ok $? "start, killed after $pause s: as many containers as cgroups"
	warder kill --all "at$pause" >/dev/null 2>&1
	wait $run
done
out=$(cat "$work/vol/leak")
[ -z "$out" ]
ok $? "start: no command ran without its policy"

# What a supervisor had made for a container before it wrote down that there is one.
mkdir /sys/fs/cgroup/warder/4000000000
sleep 1000 &
stray=$!
echo $stray >/sys/fs/cgroup/warder/4000000000/cgroup.procs
kill_daemon
await absent /sys/fs/cgroup/warder/4000000000
ok $? "start, killed: a cgroup of nobody is removed"
wait $stray
[ $? = 137 ]
ok $? "start, killed: with what ran in it"

# --- killed while a command is entered, and while one ends
is 0 "enter: a container" warder run -d --name bob --policy "$work/red.yaml" -- /bin/sleep 1000
for pause in 0.2; do
	warder enter bob -- /bin/sh -c 'cat /etc/passwd; exec sleep 5' > "$work/entered" 2>&1 &
	run=$!
	sleep $pause
	kill_daemon
	await ended $run
	ok $? "enter, killed after $pause s: enter ends"
	wait $run
	out=$(cat "$work/entered")
	! grep -q root: "$work/entered"
	ok $? "enter, killed after $pause s: nothing was read"
done
is 1 "enter: afterwards" warder enter bob -- cat /etc/passwd
has 'Permission denied' "enter: still confined"
is 4 "enter: its exit status" warder enter bob -- /bin/sh -c 'exit 4'
is 137 "enter: 128 + signal" warder enter bob -- /bin/sh -c 'kill -9 $$'
is 0 "enter: a terminal" warder enter -t bob -- /bin/sh -c 'test -t 0 && test -t 1 && test -t 2'
is 0 "enter: standard input" sh -c 'echo from-outside | warder enter bob -- cat'
has '^from-outside$' "enter: was read"
# Another one stays: who asks is served by a supervisor on demand, which leaves after the last
# container and takes all programs with it.
is 0 "end: another container" warder run -d --name stays --policy none -- /bin/sleep 100000
warder kill --signal KILL bob >/dev/null &
kill_daemon
killed() {
	warder kill --signal KILL bob >/dev/null 2>&1
	! warder inspect bob >/dev/null 2>&1
}
await killed
is 125 "end, killed meanwhile: it is gone" warder inspect bob
is 0 "end, killed meanwhile: the other one is not" warder kill --all stays
is 125 "kill: a name whose container is gone" warder kill bob
is 0 "the name is free again" warder run --name bob --policy none -- /bin/true

# --- killed while refused mounts are carried out
cat > "$work/mounts.yaml" <<'POLICY'
policy: mounts
override:
  - on: mount
    type: tmpfs
    target: /tmp/m
    do: perform
POLICY
is 0 "override: a container" warder run -d --name mounts --policy "$work/mounts.yaml" -- /bin/sh -c '
	mkdir -p /tmp/m; while [ ! -e /tmp/stop ]; do mount -t tmpfs none /tmp/m 2>/dev/null; done; sleep 1000'
sleep 0.3
kill_daemon
is 0 "override: the container lives" warder inspect mounts
has '"state": "running"' "override: and runs"
# Field 41 of stat is the policy; 2 is SCHED_RR, which the supervisor lends for a moment.
i=0
while out=$(for t in $(cat /sys/fs/cgroup/warder/*/cgroup.procs); do sed 's/.*) //' "/proc/$t/stat" | cut -d' ' -f39; done) &&
	printf '%s\n' "$out" | grep -q '^2$' && [ $i -lt 5 ]; do i=$((i + 1)); done
hasnot '^2$' "override: no thread of it keeps a real-time priority"
# What it asks without a break uses up how often it may ask.
is 0 "override: it stops" warder enter mounts -- touch /tmp/stop
mounts_again() { out=$(mounted 2>&1); }
mounted() { warder enter mounts -- /bin/sh -c 'mkdir -p /tmp/m; mount -t tmpfs none /tmp/m && grep " /tmp/m " /proc/self/mountinfo'; }
await mounts_again
has ' /tmp/m .*nosuid,nodev' "override: mounts are carried out as before"
warder kill --all mounts >/dev/null

no_cgroup() { [ -z "$(ls -d /sys/fs/cgroup/warder/*/ 2>/dev/null)" ]; }
await no_cgroup
no_container_left "afterwards: no cgroup, no state"
# The next one relieves it.
rm -rf "$work"
finish
