#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Bad input of policies and of the control socket, from root, from another user and from inside a
# container: refused with a sentence, and nothing is left. Run inside tests/vm/run.
# shellcheck source=tests/kernel/lib.sh
. "$(dirname "$0")/lib.sh"
tool=$(command -v test_control_socket)

# Those of attached programs go by what policies need, and come off a while later.
descriptors() {
	ls -l "/proc/$daemon/fd" | grep -vc bpf_link
}
# Those that served earlier scripts may still be closing.
as_before() {
	[ "$(descriptors)" -le "$before" ]
}

# --- policies
printf 'policy: p\nfile:\n  - deny: [raed]\n    path: /x\n' > "$work/word.yaml"
{ echo 'policy: p'; head -c 4200000 /dev/zero | tr '\0' '#'; } > "$work/long.yaml"
is 1 "policy check: an unknown word" warder policy check "$work/word.yaml"
has "word.yaml:3:12: error: " "policy check: file, line and column"
printf 'policy: p\nfile: [' > "$work/cut.yaml"
is 1 "policy check: a text that is cut off" warder policy check "$work/cut.yaml"
has 'cut.yaml:[0-9]*:[0-9]*: error: ' "policy check: where"
is 1 "policy check: a file that is not there" warder policy check "$work/none.yaml"
: > "$work/empty.yaml"
is 1 "policy check: an empty file" warder policy check "$work/empty.yaml"
printf 'policy: "p\001"\n' > "$work/byte.yaml"
is 1 "policy check: a control byte" warder policy check "$work/byte.yaml"
is 1 "policy check: more than 4 MiB" warder policy check "$work/long.yaml"
{ printf 'policy: p\nfile: '; head -c 4000000 /dev/zero | tr '\0' '['; } > "$work/deep.yaml"
is 1 "policy check: four million brackets" warder policy check "$work/deep.yaml"
has 'deep' "policy check: names the depth"
{ printf 'policy: p\nfile: '; head -c 10000000 /dev/zero | tr '\0' '['; } > "$work/deep.yaml"
is 1 "policy check: ten million brackets" warder policy check "$work/deep.yaml"
is 1 "policy check: a folder" warder policy check "$work"
is 1 "policy check: a device that never ends" warder policy check /dev/zero
mkfifo "$work/fifo"
is 1 "policy check: a FIFO that nobody writes" warder policy check "$work/fifo"
rm "$work/deep.yaml"

# --- other users
daemon_start
is 125 "another user: run, with a daemon" /usr/bin/setpriv --reuid 1000 --regid 1000 --clear-groups warder run --policy none -- /bin/true
is 125 "another user: list" /usr/bin/setpriv --reuid 1000 --regid 1000 --clear-groups warder list
is 1 "another user: the socket" /usr/bin/setpriv --reuid 1000 --regid 1000 --clear-groups "$tool" ask /run/warder/control.sock '{"request":"list"}'
has '^EACCES$' "another user: EACCES"
is 125 "another user: a daemon" /usr/bin/setpriv --reuid 1000 --regid 1000 --clear-groups warderd

# --- from inside a container, with the host's run folder shown to it
before=$(descriptors)
is 0 "attacker: starts" warder run -d --name evil --policy none -v /run/warder:/tmp/hostrun --cap-add ALL -- /bin/sleep 1000
is 1 "attacker: the control socket" warder enter evil -- "$tool" ask /tmp/hostrun/control.sock '{"request":"list"}'
has '^EPERM$\|^EACCES$' "attacker: is refused"
is 0 "attacker: its own socket answers" warder enter evil -- "$tool" ask /run/warder/container.sock '{"request":"status"}'
for text in '{"request":"list"}' '{"request":"run","spec":{}}' '{"request":"status","name":"x"' '[' '{"request":7}' ''; do
	is 0 "attacker: asks $text" warder enter evil -- "$tool" ask /run/warder/container.sock "$text"
	has '"ok":false\|^closed$' "attacker: is refused"
done
is 0 "attacker: descriptors" warder enter evil -- "$tool" fds /run/warder/container.sock
has 'may not send descriptors' "attacker: are refused"
warder enter evil -- "$tool" idle /run/warder/container.sock 60 3 > "$work/idle" 2>&1 &
await grep -q connected "$work/idle"
is 0 "attacker: 60 idle connections, and the host is served" warder list
wait $!
is 0 "attacker: its socket serves it again" warder enter evil -- "$tool" ask /run/warder/container.sock '{"request":"status"}'
has '"ok":true' "attacker: with an answer"
: > "$work/linger"
warder enter evil -- "$tool" linger /run/warder/container.sock 20 > "$work/linger" 2>&1 &
await grep -q sent "$work/linger"
is 0 "attacker: sent a socket whose close waits" cat "$work/linger"
has '^sent$' "attacker: it was sent"
is 0 "attacker: and the host is served at once" timeout -s KILL 15 warder list
is 0 "attacker: again" timeout -s KILL 15 warder inspect evil
is 1 "attacker: signals" warder enter evil -- /bin/sh -c 'kill -9 -1; kill -9 '"$daemon"
# With the host's proc it knows the number, but not the process.
is 0 "attacker: with the host's proc" warder run -d --name evil2 --policy none -v /proc:/tmp/hostproc --cap-add ALL -- /bin/sleep 1000
is 1 "attacker: the supervisor's memory" warder enter evil2 -- /bin/sh -c "head -c 1 /tmp/hostproc/$daemon/mem"
is 1 "attacker: the supervisor's descriptors" warder enter evil2 -- /bin/sh -c "cat /tmp/hostproc/$daemon/fd/0"
is 1 "attacker: the supervisor's root" warder enter evil2 -- /bin/sh -c "ls /tmp/hostproc/$daemon/root/"
out=$(warder doctor) # which also knows of the faults in earlier tests
has "supervisor *process $daemon," "attacker: the daemon lives, and is the same"
is 0 "attacker: ends" warder kill --all evil
is 0 "attacker: the other ends" warder kill --all evil2
is 0 "after the attacks: another container" warder run --policy none -- /bin/true
await as_before
out="$(descriptors) descriptors, not $before"
as_before
ok $? "after the attacks: no more descriptors than before"

# --- names, and 200 starts that fail under a daemon
is 0 "name: taken" warder run -d --name twin --policy none -- /bin/sleep 1000
is 125 "name: in use" warder run --name twin --policy none -- /bin/true
has 'in use' "name: says so"
is 0 "name: given back" sh -c 'warder kill --all twin; warder wait twin >/dev/null; warder run --name twin --policy none -- /bin/true'
for i in 1 2 3 4 5 6 7 8 9 10; do warder run --policy none -v /no/such:/tmp/v -- /bin/true; warder run --policy none -- /no/such; done >/dev/null 2>&1
no_container_left "after 20 failed starts: no cgroup and no state file"
await as_before
out="$(descriptors) descriptors, not $before"
as_before
ok $? "after 20 failed starts: no descriptor"

daemon_end
rm -rf "$work"
finish
