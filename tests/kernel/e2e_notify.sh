#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The new mount API in containers of `warder run`, and what is left of it when a supervisor dies.
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1
prog=$(dirname "$0")/test_override_notify # with arguments a mount(8) of that API
mkdir -p /mnt/scratch/a /mnt/other /mnt/tree

cat >mounts.yaml <<EOF
policy: new-mounts
override:
  - on: mount
    type: tmpfs
    target: /mnt/scratch/**
    options: {size: "<=64M"}
    do: perform
  - on: mount
    type: [xfs, testfuse]
    source: /mnt/scratch/*.img
    fuse: {xfs: testfuse, testfuse: testfuse}
    target: /mnt/scratch/**
    deadline: 60s
    do: perform
EOF
echo ok hello >/mnt/scratch/some.img
printf 'policy: plain\n' >plain.yaml
printf 'policy: mounts-allowed\ndefaults: {namespace: allow, mount: allow}\n' >mounts-allowed.yaml

daemon_start
both='"$1" tmpfs /mnt/scratch/a size=4M && grep " /mnt/scratch/a " /proc/self/mountinfo'
is 0 "fsopen, fsconfig, fsmount, move_mount" warder run --policy mounts.yaml -- sh -c "$both" sh "$prog"
has 'nosuid,nodev.* - tmpfs none .*size=4096k' "with the rule's flags and the caller's size"
is 0 "the same in a user namespace" warder run --userns --policy mounts.yaml -- sh -c "$both" sh "$prog"
has 'nosuid,nodev.* - tmpfs none .*size=4096k' "with the same flags"
image='"$1" xfs /mnt/scratch/a source=/mnt/scratch/some.img && cat /mnt/scratch/a/file /mnt/scratch/a/report'
is 0 "an image that a FUSE program reads" warder run --policy mounts.yaml -- sh -c "$image" sh "$prog"
has '^hello' "with what it makes of it"
has '^uid 65534 65534 65534 .*bounding 0 privs 1 seccomp 1' "and without rights"
is 0 "the same in a user namespace" warder run --userns --policy mounts.yaml -- sh -c "$image" sh "$prog"
has '^uid [1-9][0-9]* .*bounding 0 privs 1 seccomp 1' "as the container's root, which is nobody on the host"
# Of a type that it knows mount(8) would make a loop device first.
is 0 "mount(8), by a type of another name" warder run --policy mounts.yaml -- sh -c \
	'/usr/bin/mount -t testfuse /mnt/scratch/some.img /mnt/scratch/a && cat /mnt/scratch/a/file'
has '^hello' "makes no loop device for it"
cat >views.yaml <<EOF
policy: views
override:
  - {on: mount, type: [proc, sysfs], target: /mnt/scratch/*, do: perform}
  - {on: umount, target: /mnt/scratch/*, do: perform}
EOF
# As many mounts as at /proc, and so with every mask.
view='$1 && cat /mnt/scratch/a/self/comm && awk "\$5 ~ \"^/proc\" { n++ } \$5 ~ \"^/mnt/scratch/a\" { m++ }
	END { print n + 0, m + 0; exit n != m }" /proc/self/mountinfo && umount /mnt/scratch/a &&
	! grep /mnt/scratch/a /proc/self/mountinfo'
for how in "/usr/bin/mount -t proc proc /mnt/scratch/a" "busybox mount -t proc proc /mnt/scratch/a" \
	"$prog proc /mnt/scratch/a"; do
	is 0 "the container's proc once more: $how" warder run --policy views.yaml -- sh -c "$view" sh "$how"
	has '^cat' "shows the container's processes"
	is 0 "in a user namespace: $how" warder run --userns --policy views.yaml -- sh -c "$view" sh "$how"
done
is 0 "its sysfs" warder run --policy views.yaml -- sh -c \
	'mount -t sysfs sysfs /mnt/scratch/a && ls /mnt/scratch/a/class && umount /mnt/scratch/a'
cat >sandboxes.yaml <<EOF
policy: sandboxes
defaults: {namespace: allow, mount: allow}
override:
  - {on: mount, type: proc, target: /proc, by: {userns: nested}, cause: any, do: perform}
EOF
# What the kernel refuses: parts of the container's proc are masked.
is 1 "a sandbox without a rule" warder run --policy mounts-allowed.yaml -- \
	/usr/bin/unshare -Urpf --mount-proc true
for user in "" --userns; do
	is 0 "a sandbox in a container ${user:-of the host's user namespace}" warder run $user \
		--policy sandboxes.yaml -- /usr/bin/unshare -Urpf --mount-proc sh -c \
		'cd /proc && echo pids [0-9]* && test ! -s kcore && ! umount kcore'
	has '^pids 1$' "sees its own processes"
	has 'kcore: Invalid argument' "and no more of the kernel than the container"
done
cat >layers.yaml <<EOF
policy: layers
override:
  - {on: mount, type: overlay, source: [/mnt/tree/*, /etc, /usr], target: /mnt/scratch/*, do: perform}
EOF
mkdir -p tree/low tree/up tree/work tree/other
echo below >tree/low/file
layers='$1 && echo above >>/mnt/scratch/a/file && cat /mnt/scratch/a/file && rm -r /mnt/tree/up/*'
opts=lowerdir=/mnt/tree/low,upperdir=/mnt/tree/up,workdir=/mnt/tree/work
for how in "/usr/bin/mount -t overlay -o $opts overlay /mnt/scratch/a" \
	"busybox mount -t overlay -o $opts overlay /mnt/scratch/a" \
	"$prog overlay /mnt/scratch/a $(echo $opts | tr , ' ')"; do
	is 0 "an overlay: $how" warder run --policy layers.yaml --volume "$work/tree:/mnt/tree" -- sh -c "$layers" sh "$how"
	has '^above' "is written above what is below"
	[ "$(cat tree/low/file)" = below ]
	ok $? "which stays as it is"
done
is 0 "one that is only read, in a user namespace" warder run --userns --policy layers.yaml -- sh -c \
	'busybox mount -t overlay -o lowerdir=/etc:/usr overlay /mnt/scratch/a && ls -d /mnt/scratch/a/bin'
is 1 "another folder" warder run --policy layers.yaml --volume "$work/tree:/mnt/tree" -- sh -c \
	'busybox mount -t overlay -o lowerdir=/mnt/tree/low:/usr/bin overlay /mnt/scratch/a'
is 0 "the reason" warder events
has 'does not allow every layer' "is told"
sed 's/: testfuse/: no-such-program/g' mounts.yaml >missing.yaml
is 1 "a policy with a program that is not there" warder policy check missing.yaml
has 'FUSE program no-such-program cannot be used' "is refused"
is 1 "another target" warder run --policy mounts.yaml -- "$prog" tmpfs /mnt/other size=4M
has 'step 5: Operation not permitted' "is refused where it is attached"
is 1 "another type" warder run --policy mounts.yaml -- "$prog" proc /mnt/scratch/a
has 'step 1: Operation not permitted' "is refused where it is opened"
is 1 "more than the rule's size" warder run --policy mounts.yaml -- "$prog" tmpfs /mnt/scratch/a size=4G
has 'step 3: Operation not permitted' "is refused where it is made"
is 0 "the old API beside it: util-linux" warder run --policy mounts.yaml -- /usr/bin/mount -t tmpfs -o size=1M none /mnt/scratch/a
is 0 "the old API beside it: busybox" warder run --policy mounts.yaml -- busybox mount -t tmpfs -o size=1M none /mnt/scratch/a
is 1 "a policy without such rules puts no filter on" warder run --policy plain.yaml -- sh -c \
	'"$1" tmpfs /mnt/scratch/a || grep -q "^Seccomp:.0" /proc/self/status && exit 1' sh "$prog"
has 'step 1: Operation not permitted' "and the kernel refuses as ever"

warder events >events 2>/dev/null
out=$(cat events)
has 'move_mount.*/mnt/scratch/a.*CAP_SYS_ADMIN is missing.*performed' "events: what was performed"
has 'move_mount.*/mnt/other.*does not allow the target' "events: what was not, and why"
has 'fsopen.*proc.*allows only type tmpfs' "events: the type"

warder run --name long --policy mounts.yaml --detach -- sleep 1000
is 0 "inspect" warder inspect long
has 'new_mount_api.*asked' "says that it is asked"
is 0 "a command that is entered" warder enter long -- "$prog" tmpfs /mnt/scratch/a size=4M

# ------------------------------------------------------------------------ kill -9
keeper() {
	pidof warder-keeper || ps -o pid,comm,args | awk '/[w]arder-keeper/ { print $1; exit }'
}
[ -n "$(keeper)" ]
ok $? "a keeper holds the listeners"
mkfifo go
warder run --name alone --policy mounts.yaml --detach --volume "$work:/mnt/other" -- sh -c \
	'read -r x </mnt/other/go; "$1" tmpfs /mnt/scratch/a size=4M 2>/mnt/other/alone
	 echo $? >>/mnt/other/alone; read -r x </mnt/other/go; "$1" tmpfs /mnt/scratch/a size=4M
	 echo $? >/mnt/other/again; sleep 1000' sh "$prog"
daemon_kill
echo >go
await test -s alone
await grep -q '^[01]$' alone
out=$(cat alone)
has 'step 1: Operation not permitted' "without a supervisor the kernel answers, after a while"

daemon_start
is 0 "the next supervisor" warder inspect alone
has 'new_mount_api.*asked' "has taken the listeners"
echo >go
await test -s again
out=$(cat again)
has '^0$' "and answers"
is 0 "a command that is entered now" warder enter long -- "$prog" tmpfs /mnt/scratch/a size=4M

# The keeper and the supervisor: nobody answers any more, and nobody will.
warder kill --all alone
kill -9 "$(keeper)"
daemon_kill

daemon_start
is 0 "without a keeper" warder inspect long
has 'new_mount_api.*lost' "it is said to be lost"
is 0 "other things of the container go on" warder enter long -- true
warder kill --all long
# Both are gone before the next script: it may have policies with the same names.
nobody() { [ -z "$(warder list --json | grep '"name"')" ]; }
await nobody
daemon_end
finish
