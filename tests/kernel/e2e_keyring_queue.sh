#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Key upcalls answered by daemons: in the container, on the host, by the container's own request-key,
# and by daemons that hang, die, lie and flood. Run inside tests/vm/run. What is asked inside runs in
# one shell there, as to start a container takes seconds in emulation.
# shellcheck source=tests/kernel/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1
END_LIMIT=150
warder request-key undo
daemon_start
mkdir v && chmod 777 v
nokey='Required key not available'

cat >queued.yaml <<'POLICY'
policy: queued
keyring:
  quota: {pending: 3}
  upcalls:
    - {type: user, to: queue, deadline: 8s}
    - {type: logon, to: queue, deadline: 2s}
POLICY
cat >fallback.yaml <<'POLICY'
policy: fallback
keyring: {upcalls: [{type: user, to: queue, else: host, deadline: 8s}]}
POLICY

# What the shell inside knows: ask NAME TYPE DESCRIPTION [CALLOUT]: "NAME: what it got"
cat >v/inside.sh <<'SHELL'
cd /tmp/v || exit 1
ask() {
	got=$(keyctl request2 $2 $3 "${4:-callout $1}" @s 2>&1) && [ $2 = user ] && got=$(keyctl pipe $got)
	echo "$1: $got" >>out
}
# queue ARG...: a daemon in the background
queue() {
	rm -f queue.err
	warder keyring watch "$@" 2>queue.err &
	queue=$!
	until grep -q 'is there' queue.err; do sleep 0.1; kill -0 $queue || break; done
	cat queue.err >>queues
}
queue_end() {
	kill $queue
	wait $queue 2>/dev/null
}
# words VERB: a daemon that answers every request with these members
words() {
	rm -f pipe && mkfifo pipe
	cat >answer <<-ANSWER
		#!/bin/sh
		while read -r q; do echo "\$q" >>/tmp/v/words.asked; seq=\$(echo "\$q" | sed 's/.*"seq":\([0-9]*\).*/\1/'); $1; done
	ANSWER
	chmod 755 answer
	rm -f queue.err
	warder keyring watch <pipe 2>queue.err | ./answer >pipe &
	until grep -q . queue.err; do sleep 0.1; done
}
# Not by `wait`: busybox's also waits for orphans, which are children of this shell, as it is pid 1.
words_end() {
	kill $(pidof warder) 2>/dev/null
	while pidof warder answer; do sleep 0.1; done >/dev/null
}
SHELL
cat >v/program <<'PROGRAM'
#!/bin/sh
read -r q
echo "$q" >>/tmp/v/asked
case $q in
*'"description":"good:'*) echo '{"verb": "instantiate", "payload": "from the queue"}' ;;
*'"description":"hex:'*) echo '{"verb": "instantiate", "payload_hex": "c3a4"}' ;;
*'"description":"short:'*) echo '{"verb": "instantiate", "payload": "short", "seconds": 2}' ;;
*'"description":"bad:'*) echo '{"verb": "reject", "errno": "EKEYREJECTED", "seconds": 1}' ;;
*'"description":"none:'*) echo '{"verb": "negate"}' ;;
*'"description":"link:'*) echo "{\"verb\": \"link\", \"key\": $(cat /tmp/v/link)}" ;;
*'"description":"pass:'*) echo '{"verb": "pass"}' ;;
*'"description":"fail:'*) exit 3 ;;
*'"description":"hang:'*) exec sleep 1000 ;;
*'"description":"loop:'*) echo "{\"verb\": \"instantiate\", \"payload\": \"$(keyctl request2 user good:own x @s 2>&1)\"}" ;;
*) echo nonsense ;;
esac
PROGRAM
chmod 755 v/program
policy=queued
# What hangs, for a look at it afterwards: all processes and where in the kernel they are.
hung() {
	sleep $((END_LIMIT - 20))
	ps -o pid,ppid,stat,args
	for task in /proc/[0-9]*; do
		grep -H -e '^SigQ' -e '^ShdPnd' -e '^SigBlk' "$task/status"
		echo "$task: $(cat "$task/syscall") $(cat "$task/stack")"
	done
} 2>/dev/null
run_inside() { # run_inside NAME [OPTION]... : inside.sh and then v/NAME.sh
	name=$1
	shift
	hung >"$name.hung" &
	watchdog=$!
	{ cat v/inside.sh "$name.part" && echo exit 0; } >"v/$name.sh"
	rm -f v/out v/queues
	timeout -s KILL $END_LIMIT warder run --name "$name" --policy "$policy.yaml" --volume "$work/v:/tmp/v" "$@" -- \
		/bin/sh -x "/tmp/v/$name.sh" >"$name.log" 2>&1
	got=$?
	kill $watchdog
	out=$(tail -n 20 "$name.log"; cat "$name.hung")
	[ $got = 0 ]
	ok $? "$name: inside"
	[ $got = 0 ] || warder kill --all "$name"
	[ ! -s v/out ] || out=$(cat v/out)
}

# --- /sbin/request-key is the ordinary one
is 0 "a policy with queues" warder policy load queued.yaml
cat >none.part <<'PART'
queue --type user --exec /tmp/v/program
ask ordinary user good:0
queue_end
PART
run_inside none
has "^ordinary: .*$nokey" "with the ordinary request-key nothing reaches a queue, and nobody else answers"
out=$(warder doctor)
has 'PROBLEM.*request-key.*warder request-key' "doctor says so"
is 0 "request-key lines" warder request-key lines user
is 0 "request-key show" warder request-key show
has '^user .*request-key.d/warder.conf:2: create user ' "it says which line wins"
run_inside none
has '^ordinary: from the queue' "lines of the ordinary one's configuration lead to the queue"
is 0 "request-key divert" warder request-key divert
is 0 "request-key divert, again" warder request-key divert
is 0 "request-key show: diverted" warder request-key show
has "is warder's" "it says so"
out=$(warder doctor)
has "ok  *request-key .*warder's" "doctor says so"
out=$(keyctl session - sh -c 'keyctl pipe $(keyctl request2 user debug:host callout @s)' 2>&1)
has '^Debug callout' "the host's own upcalls go to the ordinary program"

# --- every answer, and the daemons that give none
cat >answers.part <<'PART'
ask nobody user good:1
queue --exec /tmp/v/program
ask after user good:2
sleep 3
ask again user good:1
ask hex user hex:1
ask bad user bad:1
ask none user none:1
ask pass user pass:1
ask fail user fail:1
ask nonsense user what:1
ask loop user loop:1
keyctl add user have it @s >link
ask link user link:1
ask short user short:1
sleep 4
echo "expired: $(keyctl request user short:1 2>&1)" >>out
warder keyring watch --type '*' 2>&1 </dev/null | head -n 1 | sed 's/^/second: /' >>out
warder keyring watch --type .user 2>&1 </dev/null | sed 's/^/type: /' >>out
/usr/bin/setpriv --reuid 1000 --clear-groups /usr/local/bin/warder keyring watch --type user 2>&1 </dev/null | sed 's/^/uid: /' >>out
sh -c 'echo $$ >/tmp/v/pid; exec keyctl request2 user good:pid x @s' >/dev/null
echo "pid: $(grep good:pid asked | sed 's/.*"pid":\([0-9]*\),"uid":\([0-9]*\),.*/\1 \2/') $(cat pid)" >>out
queue_end
# One that dies with a request in its hands.
queue --exec /bin/cat --type user
ask cat user cat:1
queue_end
cat >slow <<'SLOW'
#!/bin/sh
echo $$ >/tmp/v/slow.pid
exec sleep 1000
SLOW
chmod 755 slow
queue --exec /tmp/v/slow
ask hangs user hang:1 &
asking=$!
until [ -s slow.pid ]; do sleep 0.1; done
kill -9 $queue
wait $asking
while kill -0 $(cat slow.pid); do sleep 0.1; done 2>/dev/null # its program goes with it
ask dead user good:dead
# Lies, each about another thing.
words 'echo "{\"seq\": $((seq + 1)), \"verb\": \"instantiate\", \"payload\": \"x\"}"'
ask seq logon hang:2
words_end
words 'echo "{\"seq\": $seq, \"verb\": \"instantiate\"}"'
ask members user lie:1
words_end
words 'echo "{\"seq\": $seq, \"verb\": \"reject\", \"errno\": \"EWHAT\"}"'
ask errno user lie:2
words_end
words 'echo "{\"seq\": $seq, \"verb\": \"take\", \"ring\": 1}"'
ask ring user lie:3
words_end
words 'for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18; do echo "{\"verb\": \"x\"}"; done'
ask garbage user lie:4
words_end
# Too late: nobody hears it, and the next answer is not mixed up with it.
words 'case $q in *late*) sleep 3 ;; esac; echo "{\"seq\": $seq, \"verb\": \"reject\", \"errno\": \"EPERM\", \"seconds\": 0}"'
ask late logon late:1
ask next logon next:1
words_end
# More at once than `pending`.
queue --exec /tmp/v/slow --type logon
slow=
for i in 1 2 3; do
	keyctl request2 logon slow:$i x @s 2>/dev/null &
	slow="$slow $!"
done
sleep 1
ask full logon slow:4
wait $slow
queue_end
# The container's own request-key, which takes the authority.
queue --exec /sbin/request-key.ordinary --request-key
ask own user debug:own
ask ownrefused user debug:refused rejected
ask ownnone user nothing:1
queue_end
queue --type logon --exec /tmp/v/slow --request-key
ask held logon take:1
queue_end
PART
rm -f v/asked
run_inside answers
has "^nobody: .*$nokey" "nobody serves: ENOKEY"
has '^after: from the queue' "instantiate"
has '^again: from the queue' "the refusal was not a long one"
has '^hex: ä' "a payload in hex"
has '^bad: .*rejected by service' "reject: its errno"
has "^none: .*$nokey" "negate"
has "^pass: .*$nokey" "pass, and nobody is left: ENOKEY"
has "^fail: .*$nokey" "a program that fails passes"
has "^nonsense: .*$nokey" "a program that talks nonsense, too"
has "^loop: .*$nokey" "what the daemon's own program asks for does not go to its queue"
has '^link: it' "link: the payload of another key"
has '^short: short' "instantiate, for so many seconds"
has "^expired: .*expired\|^expired: .*$nokey" "after which it has ended" # or is collected already
has '^second: .*served by another daemon' "a second daemon for the same is refused"
has '^type: .*a key type' "a type that is none is refused"
has '^uid: .*root of the container' "so is a daemon that has no say in the user namespace"
has '^pid: \([0-9]*\) 0 \1$' "the requester's pid and uid are those of the container"
has "^cat: .*$nokey" "a program that repeats the question gives no answer"
has "^hangs: .*$nokey" "a daemon that dies: ENOKEY"
has "^dead: .*$nokey" "and it is not asked any more"
has '^seq: .*timed out' "an answer to something else: the deadline"
has "^members: .*$nokey" "an answer without a payload is none"
has "^errno: .*$nokey" "nor one with an unknown errno"
has "^ring: .*$nokey" "nor one that takes the key into a ring that is not the daemon's"
has "^garbage: .*$nokey" "a daemon that floods with garbage is cut off: ENOKEY"
has '^late: .*timed out' "an answer after the deadline comes too late"
has '^next: .*not permitted' "and is not taken for the next one's"
has '^full: .*quota' "more than the policy lets wait: EDQUOT"
has '^own: Debug callout own' "the container's own request-key sets the key up"
has '^ownrefused: .*rejected by service' "and refuses"
has '^held: .*timed out' "a daemon that takes a key and does nothing with it: the deadline"
has "^ownnone: .*$nokey" "and knows nothing of others"

# --- the host, another container, a user namespace, the end
cat >hosts.part <<'PART'
until [ -e go ]; do sleep 0.1; done
ask host user good:host
ask opaque user link:opaque
queue --exec /tmp/v/program --type user
ask inside user good:inside
unshare -U -r sh -c 'keyctl request2 user good:below x @s >/dev/null' && echo "below: $(grep good:below asked | sed 's/.*"uid":\([0-9]*\),.*/\1/')" >>out
ask passed user pass:host
begun=$(cut -d. -f1 /proc/uptime)
keyctl request2 user hang:killed x @s 2>/dev/null &
sleep 1
kill -9 $!
wait $!
echo "killed: $? $(($(cut -d. -f1 /proc/uptime) - begun))" >>out
keyctl request2 user hang:end x @s &
sleep 1
echo done >>out
exec sleep 1000
PART
rm -f v/asked v/go v/out v/queues
cat v/inside.sh hosts.part >v/hosts.sh
out=$(warder run --detach --name hosts --policy queued.yaml --volume "$work/v:/tmp/v" -- /bin/sh /tmp/v/hosts.sh 2>&1)
cat >hostprogram <<'PROGRAM'
#!/bin/sh
read -r q
echo "$q" >>"$0.asked"
case $q in
*'"description":"hang:'*) exec sleep 1000 ;;
*link:opaque*) echo "{\"verb\": \"link\", \"key\": $(cat "$0.key")}" ;;
*) echo '{"verb": "instantiate", "payload": "from the host"}' ;;
esac
PROGRAM
chmod 755 hostprogram
is 0 "a key that it may not read" sh -c "warder keyring add --may search hosts user opaque secret >hostprogram.key"
warder keyring watch hosts --exec "$work/hostprogram" 2>watch.err &
watch=$!
await grep -q 'is there' watch.err
is 125 "a second one for it is refused" warder keyring watch hosts
has 'served by another daemon' "it says why"
out=$(warder inspect hosts | tr -d ' \n')
has '"keyring_queues":\[.*{"type":"\*","daemon":"host"}' "inspect says that a daemon of the host is asked"
touch v/go
await grep -q done v/out
out=$(cat v/out)
has '^host: from the host' "a daemon of the host answers"
has "^opaque: .*$nokey" "it cannot give away a key that the container may not read"
has '^inside: from the queue' "one inside goes first"
has '^below: 0' "and is asked for a user namespace below its own"
has '^passed: from the host' "what it passes goes on to the host's"
has '^killed: 137 [1-5]$' "a requester that is killed does not wait for the deadline"
out=$(cat hostprogram.asked)
has '"container":"hosts"' "which is told the container's name"
kill $watch
wait $watch 2>/dev/null
end=$(cut -d. -f1 /proc/uptime)
is 0 "the container ends with upcalls under way" warder kill --all hosts
gone() { ! warder inspect hosts >/dev/null 2>&1; }
await gone
[ $(($(cut -d. -f1 /proc/uptime) - end)) -lt 8 ]
ok $? "without waiting for their deadlines"

# --- in a user namespace of its own: other ids, and rings that are its own
cat >userns.part <<'PART'
cd /tmp
printf '#!/bin/sh\nread -r q; echo "{\\"verb\\": \\"instantiate\\", \\"payload\\": \\"$(echo "$q" | sed "s/.*.uid.:\([0-9]*\),.gid.:\([0-9]*\),.*/uid \\1 gid \\2/")\\"}"\n' >p
chmod 755 p
for how in "/tmp/p" "/sbin/request-key.ordinary --request-key"; do
	rm -f err # the one before has said that it is there
	warder keyring watch --exec $how 2>err &
	queue=$!
	until grep -q . err; do sleep 0.1; done
	keyctl pipe $(keyctl request2 user debug:userns.$queue own @s)
	echo
	kill $queue
	wait $queue
done
exit 0
PART
is 0 "userns: inside" warder run --name userns --userns --policy queued.yaml -- /bin/sh -c "$(cat userns.part)"
has '^uid 0 gid 0$' "userns: the requester's ids are those inside"
has '^Debug own$' "userns: its own request-key takes the authority"

# --- one floods, another's upcalls go on: compared with as many processes that only compute
cat >flood.yaml <<'POLICY'
policy: flood
keyring:
  quota: {keys: 100000, bytes: 10000000}
  upcalls: [{type: user, to: queue, deadline: 60s}]
POLICY
program=$(command -v test_keyring_upcall)
cat >v/flood.sh <<PART
until [ -e /tmp/v/spin ]; do sleep 0.1; done
$program spin 4 & spinner=\$!
until [ -e /tmp/v/flood ]; do sleep 0.1; done
kill \$(pidof test_keyring_upcall)
$program flood 10000 4
PART
rm -f v/spin v/flood
is 0 "one that floods" warder run --detach --name flood --policy flood.yaml --volume "$work/v:/tmp/v" -- /bin/sh /tmp/v/flood.sh
is 0 "one that asks" warder run --detach --name asks --policy flood.yaml -- /bin/sleep 1000
: >watch.err # the other one said it, too
warder keyring watch --all --exec "$work/hostprogram" 2>watch.err &
watch=$!
await grep -q 'is there' watch.err
out=$(warder inspect asks | tr -d ' \n')
has '"keyring_queues":\[{"type":"\*","daemon":"host,forallcontainers"}\]' "inspect: one for all containers"
touch v/spin
sleep 2
spun=$(warder enter asks -- "$program" times 7 spun)
touch v/flood
sleep 2
# A machine that is busy otherwise may be so for a while; who starves does each time.
for try in 1 2 3; do
	flooded=$(warder enter asks -- "$program" times 7 "flooded$try")
	[ "${flooded%% *}" -gt $((2 * ${spun%% *})) ] || break
done
is 0 "the flood lasts as long" warder enter flood -- pidof test_keyring_upcall
out="an upcall takes $spun us beside 4 processes that compute, $flooded us beside 4 that flood"
echo "# $out"
[ "${spun%% *}" -gt 0 ] && [ "${flooded%% *}" -gt 0 ] && [ "${flooded%% *}" -le $((2 * ${spun%% *})) ]
ok $? "a flood of upcalls costs others' no more than twice the time"
warder kill --all flood
kill $watch
wait $watch 2>/dev/null

# --- by the library, and what it costs beside the ordinary program
"$program" serve asks >served 2>&1 &
serve=$!
await grep -q serving served
is 0 "libwarder: answered" warder enter asks -- /bin/sh -c 'keyctl pipe $(keyctl request2 user lib:yes who @s)'
has '^answer$' "libwarder: the payload"
is 1 "libwarder: refused" warder enter asks -- keyctl request2 user lib:no who @s
has 'ermission denied' "libwarder: with its errno"
await grep -q lib:no served
out=$(cat served)
has '^user lib:yes who 0 asks 0$' "libwarder: it was told who asked for what"
queued=$(warder enter asks -- "$program" times 9 queued)
kill $serve
wait $serve 2>/dev/null
warder kill --all asks
mv /etc/request-key.conf request-key.conf
echo 'create user plain.* * /usr/bin/keyctl instantiate %k answer %S' >/etc/request-key.conf
plain=$(PATH=/sbin:$PATH "$program" times 9 plain)
warder request-key undo
ordinary=$("$program" times 9 plain.again)
warder request-key divert
mv request-key.conf /etc/request-key.conf
out="an upcall takes $ordinary us by the ordinary program, $plain us by it behind warder's, $queued us by a queue"
echo "# $out"
[ "${queued%% *}" -gt 0 ] && [ "${ordinary%% *}" -gt 0 ] && [ "${queued%% *}" -le $((2 * ${ordinary%% *})) ]
ok $? "an upcall by a queue costs little more than one by the ordinary program"

# --- else: host, and a supervisor that is killed
cat >fallback.part <<'PART'
ask fallback user debug:fallback
queue --exec /tmp/v/program
ask passed user debug:passed
queue_end
PART
policy=fallback
run_inside fallback
has '^fallback: Debug callout fallback' "else: host, when nobody serves the queue"
has '^passed: Debug callout passed' "and when everybody passes it on"
cat >restart.part <<'PART'
queue --exec /tmp/v/program
ask pending user hang:restart
until [ -e again ]; do sleep 0.1; done
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	keyctl request2 user good:$i x @s && break
	sleep 1
done
ask again user good:again
echo done >>out
PART
rm -f v/out
: >v/asked
cat v/inside.sh restart.part >v/restart.sh
is 0 "a container with a queue" warder run --detach --name restart --policy queued.yaml --volume "$work/v:/tmp/v" -- /bin/sh /tmp/v/restart.sh
await grep -q hang:restart v/asked
daemon_kill
await grep -q pending v/out
out=$(cat v/out)
has "^pending: .*$nokey" "the supervisor is killed: ENOKEY"
daemon_start
touch v/again
await grep -q done v/out
out=$(cat v/out)
has '^again: from the queue' "its queue is there again under the next one"

is 0 "request-key undo" warder request-key undo
is 0 "request-key show: as it was" warder request-key show
has 'is the ordinary program' "it says so"
daemon_end
finish
