#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Containers end to end, on a kernel that enforces: run inside tests/vm/run.
# Prints "ok"/"not ok" lines and "N passed, N failed"; exit status 1 if one failed.
# shellcheck source=tests/kernel/lib.sh
. "$(dirname "$0")/lib.sh"

cat > "$work/red.yaml" <<'POLICY'
policy: red
file:
  - deny: [read]
    path: /etc/passwd
    id: no-passwd
POLICY
cat > "$work/blue.yaml" <<'POLICY'
policy: blue
POLICY

daemon_absent
daemon_start
unset SHARED_DAEMON # it is killed, and relieved

# --- what a container is
is 0 "inside: pid 1, root's capabilities as podman's" warder run --policy none -- /bin/sh -c \
	'echo "pid $$"; grep CapEff /proc/self/status; hostname; ls /dev; cat /proc/self/cgroup'
has 'pid 1$' "inside: the command is pid 1"
has '00000000800405fb' "inside: podman's default capabilities"
has '^0::/$' "inside: the cgroup is the root of its namespace"
is 1 "inside: the host's root is read-only" warder run --policy none -- /bin/sh -c 'echo x > /etc/x'
has 'Read-only' "inside: and says so"
is 0 "inside: /tmp is its own" warder run --policy none -- /bin/sh -c 'echo x > /tmp/x && ls /tmp'
is 0 "inside: no network but lo" warder run --policy none -- /bin/sh -c 'grep -c : /proc/net/dev'
[ "$out" = 1 ]
ok $? "inside: exactly one interface"
is 0 "inside: --user" warder run --policy none --user 33:44 -- /bin/sh -c 'id -u; id -g; grep CapEff /proc/self/status'
has '^33$' "inside: the uid asked for"
has 'CapEff:.*0000000000000000' "inside: no capabilities for another user"
is 0 "inside: --cap-drop ALL --cap-add chown" warder run --policy none --cap-drop ALL --cap-add chown -- grep CapEff /proc/self/status
has '0000000000000001' "inside: exactly that capability"
is 0 "inside: --env, --workdir, --hostname" warder run --policy none --env A=b --workdir /usr --hostname hoo -- /bin/sh -c 'echo $A; pwd; hostname'
has '^b$' "inside: the variable"
has '^/usr$' "inside: the folder"
has '^hoo$' "inside: the hostname"
mkdir -p "$work/vol" && echo hello > "$work/vol/f"
is 0 "inside: --volume" warder run --policy none -v "$work/vol:/tmp/v:ro" -- cat /tmp/v/f
has '^hello$' "inside: the volume's file"
is 0 "inside: a volume with the folder that its root is built in: devices are its own" \
	warder run --policy none -v /run/warder:/tmp/v:ro -- /bin/sh -c ': </dev/null && [ ! -e /tmp/v/stage/dev ]'
is 1 "inside: a read-only volume" warder run --policy none -v "$work/vol:/tmp/v:ro" -- /bin/sh -c 'echo x > /tmp/v/g'
is 0 "inside: standard input with -i" sh -c 'echo from-outside | warder run --policy none -i -- cat'
has '^from-outside$' "inside: it was read"
is 0 "inside: container.sock is there" warder run --policy none -- /bin/sh -c '[ -S /run/warder/container.sock ] && [ "$WARDER_FD" = 3 ]'
is 0 "inside: --userns" warder run --policy none --userns -- /bin/sh -c 'cat /proc/self/uid_map; id -u'
hasnot '^ *0 *0 ' "inside: its root is not the host's"

# --- policies
is 1 "policy: a deny rule refuses" warder run --policy "$work/red.yaml" -- cat /etc/passwd
has 'Permission denied' "policy: with EACCES"
is 0 "policy: what no rule names is allowed" warder run --policy "$work/red.yaml" -- cat /etc/group
is 0 "policy: the same path under another policy" warder run --policy "$work/blue.yaml" -- cat /etc/passwd
is 0 "events: the past" warder events
has 'red.yaml:3' "events: file and line of the rule"
has 'no-passwd' "events: the rule's id"
has 'denied, EACCES' "events: the errno"
is 0 "events: as JSON" warder events --json
has '"type":"verdict"' "events: verdicts"

# --- living containers
is 0 "detach" warder run -d --name bob --policy "$work/blue.yaml" -- /bin/sleep 1000
has '^bob$' "detach: prints the name"
is 125 "names are unique" warder run --name bob --policy none -- /bin/true
has 'in use' "names: says why"
is 0 "list" warder list --json
has '"name":"bob"' "list: has it"
is 0 "inspect" warder inspect bob
has '"policy": "blue"' "inspect: its policy"
is 3 "enter" warder enter bob -- /bin/sh -c 'cat /proc/1/comm; grep CapEff /proc/self/status; exit 3'
has '^sleep$' "enter: the same pid namespace"
has '00000000800405fb' "enter: the same capabilities"
is 127 "enter: 127 when not found" warder enter bob -- /no/such
is 0 "keyring add" warder keyring add bob user color blue
is 0 "keyring show" warder keyring show bob
has 'color' "keyring show: the key"
hasnot 'payload' "keyring show: no payload"
is 0 "keyring unlink" warder keyring unlink bob user color
is 0 "policy load replaces in place" sh -c "printf 'policy: blue\nfile:\n  - deny: [read]\n    path: /etc/group\n' > $work/blue.yaml; warder policy load $work/blue.yaml"
is 1 "policy load: judged by the new one" warder enter bob -- cat /etc/group
is 0 "policy show: the kernel holds what was loaded" warder policy show blue
has 'the same' "policy show: says so"

# --- the quota of keys
add='i=0; while [ $i -lt 4 ]; do keyctl add user k$i x @s || exit 9; i=$((i+1)); done'
printf 'policy: few\nkeyring: {quota: {keys: 3}}\n' > "$work/few.yaml"
is 0 "quota: a container with 3 keys" warder run -d --name few --policy "$work/few.yaml" -- /bin/sh -c "sleep 1000"
is 9 "quota: the fourth key is refused" warder enter few -- /bin/sh -c "$add"
has 'Disk quota exceeded' "quota: with EDQUOT"
[ "$(printf '%s\n' "$out" | grep -c '^[0-9]*$')" = 3 ]
ok $? "quota: after exactly three"
is 0 "quota: a policy with more replaces it" sh -c "printf 'policy: few\nkeyring: {quota: {keys: 5}}\n' > $work/few.yaml; warder policy load $work/few.yaml"
is 9 "quota: two more" warder enter few -- /bin/sh -c 'for k in a b c; do keyctl add user $k x @s || exit 9; done'
[ "$(printf '%s\n' "$out" | grep -c '^[0-9]*$')" = 2 ]
ok $? "quota: and exactly two"

# --- containers whose socket cannot be made again: what was mounted there is gone
ask='test_control_socket ask /run/warder/container.sock'
status='{"request":"status"}'
hostile() {
	root=$work/root.$1
	mkdir -p "$root/bin" "$root/run/warder" && cp /bin/busybox "$root/bin/busybox" && ln -s busybox "$root/bin/sh"
	warder run -d --name "$1" --policy none --rootfs "$root" -- /bin/busybox sleep 1000 >/dev/null &&
		rmdir "$root/run/warder"
	ok $? "hostile: $1"
}
mkdir "$work/victim" && echo untouched > "$work/victim/container.sock"
hostile link && ln -s /victim "$root/run/warder" && cp -r "$work/victim" "$root/victim"
link=$root
hostile file && echo x > "$root/run/warder"
hostile fifo && mkfifo "$root/run/warder"
hostile gone
hostile folder && mkdir "$root/run/warder" && cp "$work/victim/container.sock" "$root/run/warder/"
folder=$root
is 0 "hostile: inside, the name is a file" warder run -d --name inside --policy none -- /bin/sh -c 'rm /run/warder/container.sock; echo untouched > /run/warder/container.sock; exec sleep 1000'
is 0 "container.sock answers its container" warder enter bob -- $ask "$status"
has '"name":"bob"' "container.sock: about itself"
is 0 "container.sock: and nothing else" warder enter bob -- $ask '{"request":"list"}'
has '"ok":false' "container.sock: refused"
is 0 "container.sock: of a user namespace" warder run -d --name usr --userns --policy none -- /bin/sleep 1000

# --- the supervisor dies, and another adopts
daemon_kill
daemon_start
is 0 "adopt: still listed after kill -9" warder list --json
has '"name":"bob"' "adopt: by its name"
answers() { warder enter bob -- $ask "$status" >/dev/null; }
await answers
is 0 "adopt: container.sock answers again" warder enter bob -- $ask "$status"
has '"name":"bob"' "adopt: about its container"
is 0 "adopt: container.sock of a user namespace" warder enter usr -- $ask "$status"
has '"name":"usr"' "adopt: about that one"
is 0 "adopt: its mode" warder enter bob -- stat -c '%a %U' /run/warder/container.sock
has '^666 root$' "adopt: every user of the container may ask"
for name in link file fifo gone folder inside; do
	out=$(cat $daemon_log)
	[ "$(grep -c "container $name has no container.sock any more" $daemon_log)" = 1 ]
	ok $? "adopt: one warning about $name"
done
out=$(cat "$link/victim/container.sock" "$folder/run/warder/container.sock" && warder enter inside -- cat /run/warder/container.sock)
[ "$(printf '%s\n' "$out" | grep -c '^untouched$')" = 3 ]
ok $? "adopt: no file of theirs was touched"
for name in link file fifo gone folder inside usr few; do warder kill --all $name || ok 1 "kill $name"; done
is 1 "adopt: still enforced" warder enter bob -- cat /etc/group
# --- a second daemon takes over in order
first=$daemon
daemon_start
wait $first
ok $? "hand-over: the first one leaves with status 0"
# Doctor may know of faults in earlier tests.
second_serves() { out=$(warder doctor 2>&1); printf '%s\n' "$out" | grep -q "process $daemon,"; }
await second_serves
ok $? "hand-over: the second one serves"
is 0 "hand-over: the container is still there" warder inspect bob
is 0 "kill" warder kill --signal KILL bob
is 137 "wait: the status of an adopted container" warder wait bob
has '^137$' "wait: prints it"
is 125 "list: it is gone" warder inspect bob

# --- refusals of the protocol
is 125 "run: no command" warder run
is 125 "run: an unknown option" warder run --no-such-option -- /bin/true
is 125 "run: a bad name" warder run --name ../x -- /bin/true

SHARED_DAEMON=1 # whoever comes next finds it
daemon_end
rm -rf "$work"
finish
