#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What the options of `warder run` promise, each by its effect. Run inside tests/vm/run.
# shellcheck source=tests/kernel/lib.sh
. "$(dirname "$0")/lib.sh"

make_root() {
	mkdir -p "$1/bin" "$1/etc" "$1/tmp"
	cp /bin/busybox "$1/bin/busybox"
	for a in sh cat id ls sleep echo touch stat chown; do ln -s busybox "$1/bin/$a"; done
	printf 'root:x:0:0::/root:/bin/sh\nalice:x:5:6::/home/alice:/bin/sh\n' > "$1/etc/passwd"
	printf 'root:x:0:\nusers:x:6:\nstaff:x:9:\n' > "$1/etc/group"
	echo from-root > "$1/etc/secret"
	chmod 600 "$1/etc/secret"
}

daemon_start

# --- a root of its own
make_root "$work/root"
is 0 "rootfs: its programs" warder run --rootfs "$work/root" --policy none -- /bin/sh -c 'cat /etc/secret; id -u; ls /'
has '^from-root$' "rootfs: its files"
hasnot '^usr$' "rootfs: not the host's"
is 0 "rootfs: can be written" warder run --rootfs "$work/root" --policy none -- /bin/touch /etc/made
[ -e "$work/root/etc/made" ]
ok $? "rootfs: and it was"
is 1 "rootfs: --read-only" warder run --rootfs "$work/root" --read-only --policy none -- /bin/touch /etc/made2
has 'Read-only' "rootfs: says so"
ln -s /../../../etc "$work/root/up"
is 1 "rootfs: links lead to its own" warder run --rootfs "$work/root" --policy none -- /bin/cat /up/init.d
is 0 "rootfs: names of users are its own" warder run --rootfs "$work/root" --policy none --user alice -- /bin/sh -c 'id -u; id -g; echo $HOME'
out=$(echo $out)
[ "$out" = '5 6 /home/alice' ]
ok $? "rootfs: uid, gid and home of its passwd"
is 0 "rootfs: names of groups, too" warder run --rootfs "$work/root" --policy none --user alice:staff -- /bin/id -g
has '^9$' "rootfs: the gid of its group file"
is 125 "rootfs: the host's users are none of its" warder run --rootfs "$work/root" --policy none --user nobody -- /bin/id

# --- user namespaces: idmapped where the file system can
idmapped() {
	is 0 "userns on $1: runs" warder run --rootfs "$2" --userns --policy none -- /bin/sh -c 'id -u; cat /etc/secret; touch /etc/by-root; stat -c "%u" /etc/by-root'
	has '^from-root$' "userns on $1: its root owns its files"
	hasnot '65534' "userns on $1: nobody owns none"
	[ "$(stat -c %u "$2/etc/by-root")" = 0 ]
	ok $? "userns on $1: what it makes belongs to root on the disk"
	is 0 "userns on $1: is not the host's root" warder run --rootfs "$2" --userns --policy none -- /bin/cat /proc/self/uid_map
	hasnot '^ *0 *0 ' "userns on $1: its ids are others"
}
refused() {
	has 'idmapped' "userns on $1: refused with a sentence"
	[ "$(printf '%s\n' "$out" | wc -l)" = 2 ]
	ok $? "userns on $1: with one"
}
if out=$(warder run --rootfs "$work/root" --userns --policy none -- /bin/id 2>&1); then
	idmapped tmpfs "$work/root"
else
	out="$out
(status $?)"
	case $(uname -r) in
	6.1.*) refused tmpfs ;;
	*) ok 1 "userns on tmpfs: this kernel has idmapped mounts there" ;;
	esac
fi
modprobe ext4 2>/dev/null
modprobe loop 2>/dev/null
if [ -e /root/ext4.img ] && mkdir "$work/ext4" && /usr/bin/mount -o loop /root/ext4.img "$work/ext4"; then
	make_root "$work/ext4/root"
	idmapped ext4 "$work/ext4/root"
	umount "$work/ext4"
else
	echo "# no ext4 image was added: idmapped mounts of it are not tested"
fi

# --- limits
is 0 "pids-limit: a fork bomb" warder run -d --name bomb --pids-limit 20 --policy none -- /bin/sh -c '
	/bin/sh -c "while :; do sleep 100 & done"; exec sleep 100'
sleep 3
n=$(cat /sys/fs/cgroup/warder/*/pids.current)
out="$n processes"
[ "$n" -ge 15 ] && [ "$n" -le 20 ]
ok $? "pids-limit: stays within"
is 0 "pids-limit: and ends" warder kill --all bomb
is 0 "pids-limit: fork is refused" warder run --pids-limit 20 --policy none -- /bin/sh -c '
	(i=0; while [ $i -lt 60 ]; do sleep 3 & i=$((i+1)); done) 2>/tmp/err; cat /tmp/err'
has 'Resource temporarily unavailable' "pids-limit: with EAGAIN"
is 0 "pids-limit: the host goes on" /bin/true
is 0 "pids-limit: -1 is none" warder run --pids-limit -1 --policy none -- /bin/true
is 0 "memory: enough" warder run --memory 64m --policy none -- /bin/sh -c 'head -c 10000000 /dev/zero | tail -c 5000000 | wc -c'
has '^5000000$' "memory: is used"
is 137 "memory: too much is killed" warder run --memory 16m --policy none -- /bin/sh -c 'exec tail -c 100000000 /dev/zero'

# --- users and volumes
is 0 "user: 33:44" warder run --user 33:44 --policy none -- /bin/sh -c 'id -u; id -g; cat /proc/self/status'
has 'Groups:[[:space:]]*$' "user: no groups of the host"
has 'CapPrm:.*0000000000000000' "user: no capabilities"
mkdir "$work/vol" && echo hello > "$work/vol/f"
is 0 "volume: rw" warder run -v "$work/vol:/tmp/v" --policy none -- /bin/sh -c 'echo more >> /tmp/v/f'
[ "$(tail -n 1 "$work/vol/f")" = more ]
ok $? "volume: was written"
is 1 "volume: ro" warder run -v "$work/vol:/tmp/v:ro" --policy none -- /bin/sh -c 'echo no >> /tmp/v/f'
has 'Read-only' "volume: EROFS"
is 0 "volume: one file" warder run -v "$work/vol/f:/tmp/one:ro" --policy none -- /bin/cat /tmp/one
has '^hello$' "volume: is that file"

# --- audit
cat > "$work/audit.yaml" <<'POLICY'
policy: looks
mode: audit
defaults: {file: deny, exec: deny, capability: deny}
file:
  - deny: [read]
    path: /etc/group
    id: no-group
POLICY
is 0 "audit: nothing is refused" warder run --name looks --policy "$work/audit.yaml" -- /bin/sh -c 'cat /etc/group /etc/passwd >/dev/null && chown 5 /tmp && touch /tmp/x'
is 0 "audit: events" warder events --container looks
has 'no-group' "audit: name the rule"
has 'would be denied, EACCES (audit mode)' "audit: say what would have been"
has '/etc/passwd: would be denied.*by the default' "audit: of defaults, too"
hasnot ': denied' "audit: and nothing was"

# --- terminals
if [ -x /usr/bin/script ]; then
	is 0 "tty: a terminal of its own" /usr/bin/script -qec 'warder run -t --policy none -- /bin/sh -c "tty; test -t 0 && echo is-a-terminal; stty size"' /dev/null
	has '/dev/pts/0' "tty: its name"
	has 'is-a-terminal' "tty: standard input is one"
	is 5 "tty: the exit status" /usr/bin/script -qec 'warder run -t --policy none -- /bin/sh -c "exit 5"' /dev/null
else
	echo "# no script(1) was added: terminals are not tested"
fi
is 0 "tty: when the caller has none, too" warder run -t --policy none -- /bin/sh -c 'test -t 0 && echo is-a-terminal'
has 'is-a-terminal' "tty: it is one"

# --- signals of an attached run
signalled() {
	: > "$work/out"
	warder run --name "s$1" --policy none -- /bin/sh -c "$3" > "$work/out" 2>&1 &
	p=$!
	await grep -q ready "$work/out"
	kill -"$1" $p
	wait $p
	got=$?
	out="$(cat "$work/out")
(status $got, not $2)"
	[ $got = "$2" ]
	ok $? "signal: $1 to an attached run gives $2"
}
signalled TERM 143 'trap "exit 143" TERM; echo ready; while :; do sleep 0.1; done'
signalled INT 7 'trap "exit 7" INT; echo ready; while :; do sleep 0.1; done'
signalled HUP 8 'trap "exit 8" HUP; echo ready; while :; do sleep 0.1; done'

# --- detached
is 0 "detach: standard streams are /dev/null" warder run -d --name quiet --policy none -v "$work/vol:/tmp/v" -- /bin/sh -c 'ls -l /proc/self/fd > /tmp/v/fds; echo said; read x; echo $? > /tmp/v/read; exec sleep 1000'
await [ -s "$work/vol/read" ]
out=$(cat "$work/vol/fds" "$work/vol/read")
[ "$(grep -c '/dev/null' "$work/vol/fds")" = 2 ]
ok $? "detach: input and errors"
has '^1$' "detach: input ends at once"
is 0 "detach: inspect" warder inspect quiet
is 0 "detach: ends" warder kill --signal KILL quiet
is 137 "detach: wait" warder wait quiet

daemon_end
rm -rf "$work"
finish
