#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A daemon that leaves, the supervisor that `warder run` starts in its place, exit statuses, and starts
# that fail; in the end nothing is left. Run inside tests/vm/run.
# shellcheck source=tests/kernel/lib.sh
. "$(dirname "$0")/lib.sh"

one_line() {
	[ "$(printf '%s\n' "$out" | wc -l)" = 1 ]
	ok $? "$1"
}

# --- a daemon that is told to leave, while a container runs
daemon_absent
daemon_start
printf 'policy: p\nfile:\n  - deny: [raed]\n    path: /x\n' > "$work/word.yaml"
{ echo 'policy: p'; head -c 4200000 /dev/zero | tr '\0' '#'; } > "$work/long.yaml"
printf 'policy: stays\nfile: [{deny: [read], path: /etc/passwd}]\n' > "$work/stays.yaml"
mkdir "$work/v"
is 0 "leaving: a container" warder run -d --name stays --policy "$work/stays.yaml" -v "$work/v:/tmp/v" -- \
	/bin/sh -c 'while :; do cat /etc/passwd >/tmp/v/out 2>&1; echo $? >/tmp/v/status; sleep 0.2; done'
kill "$daemon"
wait "$daemon"
ok $? "leaving: the daemon ends with status 0"
await absent "/proc/$daemon"
[ -d /sys/fs/bpf/warder ]
ok $? "leaving: the programs stay"
rm -f "$work/v/status"
await test -s "$work/v/status"
out=$(cat "$work/v/out" "$work/v/status")
has 'Permission denied' "leaving: the container is still confined"
has '^1$' "leaving: its program was told"
is 125 "another user: run" /usr/bin/setpriv --reuid 1000 --regid 1000 --clear-groups warder run --policy none -- /bin/true
one_line "another user: one sentence"

# --- on demand, exit statuses. It takes over the programs that it finds.
is 7 "run: the command's exit status" warder run --policy none -- /bin/sh -c 'exit 7'
is 143 "run: 128 + signal" sh -c 'warder run --policy none --name sig -- /bin/sh -c "trap exit\ 1 USR1; sleep 30 & wait" & p=$!; until warder list | grep -q "sig.*running"; do sleep 0.1; done; warder kill --all sig; wait $p; [ $? = 137 ] && exit 143'
is 127 "run: 127 when not found" warder run --policy none -- /no/such/program
has 'no such program' "run: says that it was not found"
is 126 "run: 126 when it cannot be executed" warder run --policy none -- /etc/passwd
is 125 "run: 125 for a policy that is not there" warder run --policy no-such-policy -- /bin/true
has 'no-such-policy' "run: names the policy that is not there"
is 125 "run: 125 for a root that is not there" warder run --rootfs /no/such -- /bin/true

# --- starts that fail
is 125 "run: five policies" warder run --policy none --policy default --policy a --policy b --policy c -- /bin/true
has "at most 4" "run: says how many"
is 125 "run: a policy with an error" warder run --policy "$work/word.yaml" -- /bin/true
has "word.yaml:3:12: error: " "run: file, line and column"
is 125 "run: more than 4 MiB" warder run --policy "$work/long.yaml" -- /bin/true
echo x > "$work/file"
is 125 "run: a root that is a file" warder run --rootfs "$work/file" --policy none -- /bin/true
has "$work/file: Not a directory" "run: says that it is none"
one_line "run: one sentence"
is 125 "run: a root that is not there" warder run --rootfs "$work/none" --policy none -- /bin/true
one_line "run: one sentence"
mkdir "$work/bare"
is 127 "run: an empty root" warder run --rootfs "$work/bare" --policy none -- /bin/true
is 125 "run: a relative root that is not there" warder run --rootfs no/such --policy none -- /bin/true
is 125 "run: a volume that is not there" warder run --policy none -v "$work/none:/tmp/v" -- /bin/true
is 125 "run: a volume on the read-only root" warder run --policy none -v "$work:/no/such" -- /bin/true
has 'read-only' "run: says so"
is 125 "run: a user that is not there" warder run --policy none --user nosuch -- /bin/true
is 125 "run: a workdir that is not there" warder run --policy none --workdir /no/such -- /bin/true
is 125 "run: an unknown capability" warder run --policy none --cap-add fly -- /bin/true
is 125 "run: a memory size that is none" warder run --policy none --memory 5x -- /bin/true
is 125 "run: a process limit that is none" warder run --policy none --pids-limit many -- /bin/true
is 125 "run: an unknown network" warder run --policy none --net bridge -- /bin/true
is 125 "run: an environment without =" warder run --policy none --env =x -- /bin/true
for name in ../x .x -x '' 'a b' 'a/b' "$(head -c 64 /dev/zero | tr '\0' a)" "$(printf 'a\033b')"; do
	is 125 "run: the name \"$(printf %.12s "$name" | tr '\033' '?')\"" warder run --name="$name" --policy none -- /bin/true
done
is 125 "run: more arguments than a message holds" sh -c 'warder run --policy none -- /bin/echo $(seq 1 20000)'
is 126 "run: a folder as the command" warder run --policy none -- /tmp
is 127 "run: a command that is not there" warder run --policy none -- no-such-command
is 125 "kill: no such container" warder kill nobody
is 125 "wait: no such container" warder wait nobody
is 125 "enter: no such container" warder enter nobody -- /bin/true
is 125 "events: no such container" warder events --container nobody
is 125 "warder: an unknown command" warder fly
is 0 "the last container ends" warder kill --all stays
nothing_left "after the last container and every failed start: no process, cgroup, pin, mount or folder"
rm -rf "$work"
finish
