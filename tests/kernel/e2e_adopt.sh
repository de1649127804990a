#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Adoption: trees that were started by others, and what they try. Run inside tests/vm/run.
# shellcheck source=tests/kernel/lib.sh
. "$(dirname "$0")/lib.sh"
daemon_absent
unset SHARED_DAEMON # it is killed, and relieved
cd "$work" || exit 1
chmod 755 "$work"
echo treasure > "$work/secret"
echo bread > "$work/plain"
chmod 644 "$work/secret" "$work/plain"
mkdir -m 777 "$work/t"
cat > tree.yaml <<POLICY
policy: tree
file:
  - deny: [read]
    path: $work/secret
POLICY
cat > mounts.yaml <<POLICY
policy: mounts
override:
  - on: mount
    type: tmpfs
    target: $work/mnt
    do: perform
POLICY

# A process that opens what it is asked to, and says with which errno. `threads`: four that do, each
# asked by itself. `storm`: children that fork, leave their session and their parents, and fork again,
# all of it for a fifth of a second; what runs once the container exists tries the secret.
cat > asker.py <<'PY'
import os, sys, time, _thread
where, mode = sys.argv[1], sys.argv[2]
secret = os.path.dirname(sys.argv[0]) + "/secret"
def attempt(path):
    try:
        os.close(os.open(path, os.O_RDONLY))
        return 0
    except OSError as e:
        return e.errno
def serve(name):
    ask, answer = where + "/ask" + name, where + "/answer" + name
    while True:
        if os.path.exists(ask):
            with open(ask) as f:
                path = f.read().strip()
            os.remove(ask)
            pid = os.getpid()
            if path.startswith("fork "):
                if os.fork():
                    os.wait()
                    continue
                path = path[5:]
            elif path.startswith("exec "):
                os.execv(sys.executable, [sys.executable, sys.argv[0], where, "once", name, path[5:]])
            elif path.startswith("exit "):
                os._exit(int(path[5:]))
            said = attempt(path)
            with open(answer + ".new", "w") as f:
                f.write("%d\n" % said)
            os.rename(answer + ".new", answer)
            if os.getpid() != pid:
                os._exit(0)
        time.sleep(0.05)
def tried():
    if os.path.exists(where + "/adopted"):
        with open(where + ("/denied" if attempt(secret) == 13 else "/leak"), "a") as f:
            f.write("x")
def storm():
    while not os.path.exists(where + "/stop"):
        if os.fork() == 0:
            if os.fork() == 0:
                os.setsid()
                end = time.time() + 0.2
                while time.time() < end:
                    if os.fork() == 0:
                        tried()
                        os._exit(0)
                    tried()
                    time.sleep(0.05)
            os._exit(0)
        while True:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    break
            except OSError:
                break
        tried()
        time.sleep(0.01)
    os._exit(0)
if mode == "once":
    with open(where + "/answer" + sys.argv[3], "w") as f:
        f.write("%d\n" % attempt(sys.argv[4]))
elif mode == "threads":
    for i in range(4):
        _thread.start_new_thread(serve, (str(i),))
    time.sleep(100000)
elif mode == "storm":
    for i in range(2):
        if os.fork() == 0:
            storm()
    while True:
        time.sleep(1)
else:
    held = os.open(secret, os.O_RDONLY)
    serve("")
PY

# asked DIR NAME QUESTION WANTED TITLE
asked() {
	rm -f "$1/answer$2"
	echo "$3" > "$1/.ask$2" && mv "$1/.ask$2" "$1/ask$2"
	await test -e "$1/answer$2"
	out=$(cat "$1/answer$2" 2>&1 || cat "$1/log")
	[ "$out" = "$4" ]
	ok $? "$5"
}
# start DIR MODE [WRAPPER...]: its first process in $tree
start() {
	dir=$1 mode=$2
	shift 2
	rm -rf "$dir"
	mkdir -m 777 "$dir"
	"$@" /usr/bin/python3.11 "$work/asker.py" "$dir" "$mode" >"$dir/log" 2>&1 </dev/null &
	tree=$!
}
nobody() {
	! warder list --json | grep -q "\"name\":\"$1\""
}
listed() {
	warder list --json | grep -q "\"name\":\"$1\""
}
end() {
	kill -9 "$1" 2>/dev/null
	wait "$1" 2>/dev/null
}

daemon_start

# --- refusals
start "$work/t/a" one
a=$tree
refused() { # refused PATTERN TITLE ARGUMENT...
	pattern=$1 title=$2
	shift 2
	is 125 "$title" warder adopt --name no --policy "$work/tree.yaml" "$@"
	has "$pattern" "$title, in words"
}
refused 'process 1 of the host cannot' "refused: process 1" --pid 1
refused "warder's supervisor" "refused: the supervisor" --pid "$daemon"
refused 'is the one that asks' "refused: who asks is in it" --pid $$
refused 'is a thread of the kernel' "refused: threads of the kernel" --pid 2
refused 'there is no process' "refused: no process" --pid 4000000
refused 'host itself' "refused: the root of the cgroups" --cgroup /
refused 'there is no cgroup' "refused: no cgroup" --cgroup /none
mkdir /sys/fs/cgroup/empty
refused 'has no process' "refused: an empty cgroup" --cgroup /empty
rmdir /sys/fs/cgroup/empty
refused "warder's own" "refused: an executor" --pid "$(cut -d ' ' -f 1 "/proc/$daemon/task/$daemon/children")"
is 0 "refused: a container of warder's" warder run -d --name own --policy none -- /bin/sleep 1000
own=$(warder inspect own | sed -n 's/.*"pid": \([0-9]*\),.*/\1/p' | head -n 1)
refused 'is in container own' "refused: in a container already" --pid "$own"
is 125 "refused: a release of what warder started" warder release own
has 'started by warder' "refused: in words"
is 125 "refused: a name in use" warder adopt --name own --policy none --pid "$a"
is 125 "refused: no such policy" warder adopt --name x --policy missing --pid "$a"
is 125 "refused: from inside" warder enter own -- /usr/bin/env PATH="$PATH" warder adopt --name x --policy none --pid "$a"
is 0 "refused: it ends" warder kill --all own
asked "$work/t/a" "" "$work/secret" 0 "refused: nothing was tagged"
nobody no
ok $? "refused: and nothing is left"

# --- one process, and what it starts
is 0 "plain: adopt" warder adopt --name plain --policy "$work/tree.yaml" --pid "$a"
has 'plain: 1 tasks in 1 processes are tagged' "plain: what was tagged"
has "descriptor .*: read $work/secret" "plain: an open file that the policy refuses is told"
hasnot "$work/plain" "plain: and no other"
asked "$work/t/a" "" "$work/secret" 13 "plain: denied"
asked "$work/t/a" "" "$work/plain" 0 "plain: the rest is allowed"
asked "$work/t/a" "" "fork $work/secret" 13 "plain: a child is denied"
is 0 "plain: it is listed" warder list
has "plain .* $a .*running.*tree" "plain: with its first process and policy"
is 0 "plain: inspect" warder inspect plain
has '"foreign": true' "plain: says that others started it"
has '"keyring": "lazy"' "plain: and what its keyring is worth"
has "which is the host's: all" "plain: and which lookups do not reach it"
is 0 "plain: events" warder events --container plain
has "$work/secret" "plain: tell of the refusal"
has 'container adopted' "plain: and of the adoption"
is 1 "plain: enter" warder enter plain -- /bin/cat "$work/secret"
has 'Permission denied' "plain: what is entered is denied"
is 0 "plain: enter, something else" warder enter plain -- /bin/cat "$work/plain"
has bread "plain: is allowed"
is 125 "plain: twice" warder adopt --name again --policy none --pid "$a"
has 'is in container plain' "plain: twice, in words"
is 0 "plain: a key" warder keyring add plain user color blue
# shellcheck disable=SC2016 # expanded in the container
is 0 "plain: what is entered finds it" warder enter plain -- /bin/sh -c 'keyctl pipe $(keyctl request user color)'
has '^blue$' "plain: the key"

# --- killed and started again
daemon_kill
asked "$work/t/a" "" "$work/secret" 13 "restart: denied while no supervisor runs"
daemon_start
listed plain
ok $? "restart: the next one knows it"
is 0 "restart: inspect" warder inspect plain
has '"foreign": true' "restart: as adopted"
asked "$work/t/a" "" "$work/secret" 13 "restart: denied"
is 1 "restart: enter" warder enter plain -- /bin/cat "$work/secret"
warderd 2>>$daemon_log &
next=$!
wait "$daemon" 2>/dev/null
daemon=$next
await daemon_serves
listed plain
ok $? "hand-over: the next one knows it"
asked "$work/t/a" "" "$work/secret" 13 "hand-over: denied"

# --- release
is 0 "release" warder release plain
asked "$work/t/a" "" "$work/secret" 0 "release: nothing is refused any more"
asked "$work/t/a" "" "fork $work/secret" 0 "release: nor to a child"
nobody plain
ok $? "release: it is not listed"
is 125 "release: what is not there" warder release plain
is 0 "release: and adopted again" warder adopt --name plain --policy "$work/tree.yaml" --pid "$a"
asked "$work/t/a" "" "$work/secret" 13 "release: denied again"

# --- keys: what it came with is the host's; a session of its own is its own
mkdir "$work/t/s"
# shellcheck disable=SC2016 # for the shell that is adopted
keyctl session - /bin/sh -c 'keyctl add user hostkey x @s; while :; do
	[ -e "$1/do" ] && { /bin/sh "$1/do" > "$1/out" 2>&1; echo $? > "$1/status"; mv "$1/do" "$1/done"; }
	sleep 0.1
done' - "$work/t/s" >/dev/null 2>&1 &
s=$!
does() { # does WANTED-STATUS TITLE COMMAND
	rm -f "$work/t/s/done"
	echo "$3" > "$work/t/s/.do" && mv "$work/t/s/.do" "$work/t/s/do"
	await test -e "$work/t/s/done"
	out=$(cat "$work/t/s/out")
	[ "$(cat "$work/t/s/status")" = "$1" ]
	ok $? "$2"
}
does 0 "keys: found before" "keyctl request user hostkey"
is 0 "keys: adopt" warder adopt --name shell --policy none --pid "$s"
does 1 "keys: refused afterwards" "keyctl request user hostkey"
has 'Permission denied' "keys: as the kernel says of a key that is there"
does 1 "keys: another name" "keyctl request user nothing"
has 'Required key not available' "keys: is not there"
does 1 "keys: and nothing can be put there" "keyctl add user more x @s"
does 0 "keys: a session of its own" "keyctl session - /bin/sh -c 'keyctl add user a b @s && keyctl request user a'"
is 0 "keys: kill" warder kill --all shell
await nobody shell
wait "$s" 2>/dev/null

# --- exit status of a process that is not the supervisor's child
warder wait plain > waited 2>&1 &
waiter=$!
echo 'exit 7' > "$work/t/a/.ask" && mv "$work/t/a/.ask" "$work/t/a/ask"
await nobody plain
ok $? "end: with its last task"
wait $waiter
[ $? = 7 ]
ok $? "end: its status"
is 7 "end: asked afterwards" warder wait plain
wait "$a" 2>/dev/null

# --- threads
start "$work/t/b" threads
b=$tree
five() { [ "$(ls /proc/$b/task | wc -l)" = 5 ]; }
await five
is 0 "threads: adopt" warder adopt --name many --policy "$work/tree.yaml" --pid "$b"
has 'many: 5 tasks in 1 processes' "threads: all are tagged"
for i in 0 1 2 3; do
	asked "$work/t/b" $i "$work/secret" 13 "threads: number $i is denied"
done
asked "$work/t/b" 0 "$work/plain" 0 "threads: the rest is allowed"
asked "$work/t/b" 2 "exec $work/secret" 13 "threads: denied after an exec by a thread"
await nobody many
ok $? "threads: the container ends"
wait "$b" 2>/dev/null

storm_adopted() {
	out=$(warder adopt --name storm --policy "$work/tree.yaml" --pid "$tree" 2>&1)
	storm_status=$?
	! printf '%s' "$out" | grep -q 'try again'
}
# --- a tree that forks, leaves its session and its parents all the time
for how in pid ns cgroup; do
	dir=$work/t/$how
	case $how in
	pid) start "$dir" storm ;;
	ns) start "$dir" storm /usr/bin/unshare --pid --fork --mount-proc ;;
	cgroup)
		mkdir /sys/fs/cgroup/storm
		# shellcheck disable=SC2016
		start "$dir" storm /bin/sh -c 'echo $$ > /sys/fs/cgroup/storm/cgroup.procs; exec "$@"' -
		;;
	esac
	sleep 1
	case $how in
	cgroup) is 0 "storm $how: adopt" warder adopt --name storm --policy "$work/tree.yaml" --cgroup /storm ;;
	ns)
		first=$(cat "/proc/$tree/task/$tree/children")
		is 0 "storm $how: adopt" warder adopt --name storm --policy "$work/tree.yaml" --pid "${first% }"
		;;
	*)
		# Where the kernel can leave out programs, it may take more than one try.
		await storm_adopted
		[ "$storm_status" = 0 ]
		ok $? "storm $how: adopt"
		;;
	esac
	# What ran away before does not live so long.
	sleep 1
	: > "$dir/adopted"
	await test -s "$dir/denied"
	ok $? "storm $how: it tries"
	sleep 1
	out=$(ls -l "$dir"; warder list)
	[ ! -e "$dir/leak" ]
	ok $? "storm $how: and nothing of it can"
	if [ $how = ns ]; then
		# Everything goes at once.
		is 0 "storm $how: kill" warder kill --signal KILL storm
	else
		is 0 "storm $how: kill --all" warder kill --all storm
	fi
	await nobody storm
	ok $? "storm $how: it ends"
	end "$tree"
done
rmdir /sys/fs/cgroup/storm
ok $? "storm cgroup: nothing is left in it"

# --- released while it forks
start "$work/t/r" storm /usr/bin/unshare --pid --fork --mount-proc
sleep 0.5
first=$(cat "/proc/$tree/task/$tree/children")
is 0 "storm released: adopt" warder adopt --name storm --policy "$work/tree.yaml" --pid "${first% }"
is 0 "storm released: release" warder release storm
: > "$work/t/r/adopted"
await test -s "$work/t/r/leak"
ok $? "storm released: it can"
sleep 1
[ ! -e "$work/t/r/denied" ]
ok $? "storm released: all of it"
kill -9 "${first% }"
end "$tree"

# --- the supervisor killed while it adopts: adopted, or not at all
start "$work/t/k" one
k=$tree
for pause in 0.05 0.3; do
	warder adopt --name half --policy "$work/tree.yaml" --pid "$k" >/dev/null 2>&1 &
	run=$!
	sleep $pause
	daemon_kill
	# Who asks starts another, which does not give way while it adopts.
	wait $run
	daemon_start
	if listed half; then
		asked "$work/t/k" "" "$work/secret" 13 "killed after $pause s: adopted"
		is 0 "killed after $pause s: release" warder release half
	fi
	await nobody half
	asked "$work/t/k" "" "$work/secret" 0 "killed after $pause s: not half"
done
end "$k"

# --- a root, a mount namespace and a user namespace of its own, and no capability: mounts are
# performed for it
mkdir -p "$work/mnt"
cat > mounter.sh <<'SH'
while [ ! -e "$1/go" ]; do sleep 0.1; done
/usr/bin/mount -t tmpfs none "$2" > "$1/said" 2>&1
echo $? > "$1/status"
grep " $2 " /proc/self/mountinfo >> "$1/said"
: > "$1/done"
exec sleep 1000
SH
mkdir -m 777 "$work/t/m"
/usr/bin/unshare --user --map-root-user --mount /usr/bin/setpriv --bounding-set -all --inh-caps -all \
	/bin/sh "$work/mounter.sh" "$work/t/m" "$work/mnt" &
m=$!
bare() { [ "$(sed -n 's/^CapEff:\t*//p' /proc/$m/status)" = 0000000000000000 ]; }
await bare
ok $? "userns: it has no capability"
is 0 "userns: adopt" warder adopt --name mounter --policy "$work/mounts.yaml" --pid "$m"
is 0 "userns: inspect" warder inspect mounter
has '"user_owned": true' "userns: its user namespace is known"
: > "$work/t/m/go"
await test -e "$work/t/m/done"
out=$(cat "$work/t/m/status" "$work/t/m/said" 2>&1; warder events --container mounter)
[ "$(cat "$work/t/m/status")" = 0 ]
ok $? "userns: the mount is performed"
has " $work/mnt .*nosuid,nodev.* tmpfs" "userns: in its own mount namespace"
! grep -q " $work/mnt " /proc/self/mountinfo
ok $? "userns: and not on the host"
is 0 "userns: kill" warder kill --signal KILL mounter
await nobody mounter
is 137 "userns: its status" warder wait mounter
wait "$m" 2>/dev/null

# --- a seccomp filter that somebody else has put on it: what it refuses is not overridden
rm -rf "$work/t/m"
mkdir -m 777 "$work/t/m"
"$(command -v test_adopt)" --filtered /bin/sh "$work/mounter.sh" "$work/t/m" "$work/mnt" &
m=$!
filtered() { grep -q '^Seccomp:.*2' /proc/$m/status; }
await filtered
ok $? "filter: it has one"
is 0 "filter: adopt" warder adopt --name filtered --policy "$work/mounts.yaml" --pid "$m"
has 'of its processes have seccomp filters.* of what the policy overrides: mount' "filter: what never arrives is told"
is 0 "filter: inspect" warder inspect filtered
has '"never_arrive": \[' "filter: knows it, too"
out=$(warder doctor)
has 'container filtered: .*seccomp' "filter: and doctor"
: > "$work/t/m/go"
await test -e "$work/t/m/done"
out=$(cat "$work/t/m/status")
hasnot '^0$' "filter: and so it is"
is 0 "filter: kill" warder kill --all filtered
await nobody filtered
wait "$m" 2>/dev/null

# --- a changed root: names are those from there
mkdir -p "$work/root/data" "$work/root/proc"
cp /usr/bin/busybox "$work/root/busybox"
echo in > "$work/root/data/secret"
echo in > "$work/root/data/open"
cat > inner.yaml <<'POLICY'
policy: inner
file:
  - deny: [read]
    path: /data/secret
POLICY
/usr/bin/busybox chroot "$work/root" /busybox sh -c '
	while [ ! -e /go ]; do /busybox sleep 0.1; done
	for f in secret open; do
		if read -r x < /data/$f; then echo $f ok >> /said; else echo $f refused >> /said; fi
	done
	echo end >> /said; /busybox sleep 1000' &
c=$!
inside() { [ "$(readlink /proc/$c/root)" = "$work/root" ]; }
await inside
is 0 "chroot: adopt" warder adopt --name inner --policy "$work/inner.yaml" --pid "$c"
: > "$work/root/go"
told() { grep -q end "$work/root/said" 2>/dev/null; }
await told
out=$(cat "$work/root/said" 2>&1)
has 'secret refused' "chroot: denied by the name from its root"
has 'open ok' "chroot: the rest is allowed"
is 1 "chroot: enter" warder enter inner -- /busybox cat /data/secret
is 0 "chroot: enter, something else" warder enter inner -- /busybox cat /data/open
is 0 "chroot: kill" warder kill --all inner
await nobody inner
wait "$c" 2>/dev/null

rm -rf "$work"
SHARED_DAEMON=1 # whoever comes next finds it
daemon_end
finish
