#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The container keyring after a task joined another session keyring: linked there again by the first
# lookup with callout information that misses, whatever the policy says of upcalls; never in a ring of
# the host's. Run inside tests/vm/run. As to start a container takes seconds in emulation, the same
# ones are asked again and again: what is to run there comes as a file.
# shellcheck source=tests/kernel/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1
END_LIMIT=150
warder request-key undo
daemon_start
mkdir v && chmod 777 v
nokey='Required key not available'
program=$(command -v test_keyring_upcall)

# A handler of the host's leaves a mark if it is run.
cat >handler <<HANDLER
#!/bin/sh
echo "\$*" >>$work/handled
exec /usr/bin/keyctl instantiate \$1 "from the host" @u
HANDLER
chmod 755 handler
mkdir -p /etc/request-key.d
echo "create user seen:* * $work/handler %k %d" >/etc/request-key.d/warder-join.conf

# The default: what programs ask for is refused. A queue, and the host.
echo 'policy: refusing' >refusing.yaml
echo 'policy: hosted
keyring: {join: lazy, shared: [team], upcalls: [{type: user, to: host}]}' >hosted.yaml
echo 'policy: queued
keyring: {join: lazy, upcalls: [{type: user, to: queue, deadline: 20s}]}' >queued.yaml

cat >v/serve.sh <<'SERVE'
# serve.sh DIR: runs DIR/do whenever it comes, as a file; DIR/out, DIR/done
while :; do
	if [ -e "$1/do" ]; then
		/bin/sh "$1/do" >"$1/out" 2>&1
		mv "$1/do" "$1/done"
	fi
	sleep 0.05
done
SERVE
# What those files may use. first TYPE DESC [CALLOUT]: the payload, or why there is none
cat >v/lib.sh <<'SHELL'
V=$(dirname "$0")
first() {
	got=$(keyctl request2 $1 $2 "${3-x}" 2>&1) && { [ $1 = user ] && got=$(keyctl pipe $got) || got=found; }
	echo "$got"
}
later() {
	got=$(keyctl request $1 $2 2>&1) && { [ $1 = user ] && got=$(keyctl pipe $got) || got=found; }
	echo "$got"
}
linked() { keyctl show @s 2>&1 | grep -q _warder.c. && echo linked || echo none; }
SHELL
begin() { # begin NAME POLICY [OPTION]...
	mkdir -p "v/$1" && chmod 777 "v/$1"
	cp v/lib.sh "v/$1"
	name=$1 policy=$2
	shift 2
	is 0 "$name: a container" warder run --detach --name "$name" --policy "$policy.yaml" --volume "$work/v:/tmp/v" "$@" -- \
		/bin/sh /tmp/v/serve.sh "/tmp/v/$name"
}
# gives NAME: its standard input as a file there
gives() {
	rm -f "v/$1/done"
	{ echo '. "$(dirname "$0")/lib.sh"'; cat; } >"v/$1/.do"
	mv "v/$1/.do" "v/$1/do"
}
# gets NAME: the output in $out, when it has ended
gets() {
	await test -e "v/$1/done"
	out=$(cat "v/$1/out")
}
does() {
	gives "$1"
	gets "$1"
}

begin plain refusing --volume /run/warder:/tmp/run
begin other hosted
is 0 "keys" sh -c 'warder keyring add plain user color blue && warder keyring add plain user shape round &&
	warder keyring add --may search plain user opaque secret && warder keyring add --may search plain user opaque2 secret &&
	warder keyring add plain logon svc:pass secret && warder keyring add other user color red &&
	warder keyring add shared:team user crew all'

# --- the ordinary program: C stays lost, and everybody says so
does plain <<'DO'
keyctl session - sh -c '. /tmp/v/lib.sh; echo "$(first user color) $(linked)"'
DO
has "$nokey none" "with the ordinary request-key a session that was joined has no container keyring"
out=$(warder doctor)
has 'request-key .*join: lazy' "doctor says so"
is 0 "inspect" warder inspect plain
has '"keyring": "lazy"' "inspect says what a join does"
has 'in a session that was joined: all, as /sbin/request-key is not' "and that it loses the container keyring here"
is 0 "check" warder policy check hosted.yaml
has 'hosted.yaml:2:17: warning: keyring.join: lazy: .*request-key divert' "policy check says so, too"
does plain <<'DO'
keyctl session - warder keyring attach
DO
has 'is not linked in this session' "keyring attach says that it did nothing"
is 0 "lines" warder request-key lines user
is 0 "inspect: lines" warder inspect plain
has 'request-key.d/warder.conf names' "with lines it depends on the type and the policy"
does plain <<'DO'
keyctl session - sh -c '. /tmp/v/lib.sh; echo "$(first user color) $(linked)"'
DO
has "$nokey none" "what the policy refuses does not come to the lines"
does other <<'DO'
keyctl session - sh -c '. /tmp/v/lib.sh; echo "$(first user color) $(linked)"'
DO
has '^red linked' "what it leaves to the host does"
is 0 "divert" warder request-key divert
out=$(warder doctor)
has 'ok .*request-key .*joins another session' "diverted: doctor says that it works"
is 0 "inspect: diverted" warder inspect plain
has 'those without callout information, until one with it' "inspect says which lookups are left"
out=$(warder policy check hosted.yaml 2>&1)
hasnot warning "and policy check has nothing to say"

# --- a policy that refuses upcalls
rm -f handled
does plain <<'DO'
keyctl session - sh -c '. /tmp/v/lib.sh
	echo "before: $(later user color) $(linked)"
	echo "first: $(first user color) $(linked)"
	echo "later: $(later user shape)"
	echo "none: $(first user seen:none)"
	keyctl clear @s
	echo "cleared: $(linked) $(first user shape) $(linked)"'
keyctl session - sh -c '. /tmp/v/lib.sh
	first user shape >/dev/null
	sleep 6
	a=$(keyctl request user shape); b=$(keyctl request user shape)
	[ $a = $b ] && keyctl describe $a' >/tmp/v/plain/expired &
keyctl session fresh sh -c '. /tmp/v/lib.sh
	echo "opaque: $(keyctl request2 user opaque x 2>&1)"
	a=$(keyctl request2 user opaque x) && echo "again opaque: $(keyctl pipe $a 2>&1)"'
keyctl session - sh -c '. /tmp/v/lib.sh
	echo "logon: $(first logon svc:pass)"
	echo "again: $(first logon svc:pass)"'
keyctl session - sh -c '. /tmp/v/lib.sh; warder keyring attach -- /bin/sh -c ". /tmp/v/lib.sh; later user color"' | sed 's/^/attach: /'
keyctl session - sh -c '. /tmp/v/lib.sh; keyctl request2 user attach:self x; later user color' | sed 's/^/bare: /'
keyctl session - unshare -U -r sh -c '. /tmp/v/lib.sh; echo "userns: $(first user color)"'
unshare -U -r keyctl session - sh -c '. /tmp/v/lib.sh; echo "in userns: $(first user color)"'
/usr/bin/setpriv --reuid 1000 --clear-groups keyctl session - sh -c '. /tmp/v/lib.sh; echo "uid: $(first user color) $(later user color)"'
keyctl session - keyctl session - sh -c '. /tmp/v/lib.sh; echo "twice: $(first user color)"'
echo "S: $(later user color) $(first user seen:s)"
wait
cat /tmp/v/plain/expired
DO
has "^before: .*$nokey none" "without callout information nothing changes"
has '^first: blue linked' "the first lookup with it is answered from the container keyring, which is linked"
has '^later: round' "later ones find it themselves"
has "^none: .*$nokey" "what is not there either is as the policy says"
has '^cleared: none round linked' "a session that was emptied gets it again"
has ': alswrv-------*  *0  *0 user: shape' "what the first one got was a copy, which has ended"
has '^opaque: .*temporarily unavailable' "a key that must not be read is not copied: EAGAIN"
has "^again opaque: .*$nokey" "and found the next time, as opaque as ever"
has '^logon: .*temporarily unavailable' "the same of one that cannot be read"
has '^again: found' "and it is found"
has '^attach: blue' "keyring attach, and then a lookup without callout information"
has '^bare: blue' "the same with what any container has"
has '^userns: blue' "in a user namespace made afterwards"
has '^in userns: blue' "and in one made before"
has '^uid: blue blue' "of another uid"
has '^twice: blue' "in a session of a session"
has "^S: blue .*$nokey" "who stayed in S is where it was"
[ ! -e handled ]
ok $? "no handler of the host's was run for what the policy refuses"
is 0 "events" warder events --container plain
has 'seen:none' "what was refused in the end is reported"
hasnot 'user;shape' "what was found is not"

# --- the host and a queue come after it
does other <<'DO'
keyctl session - sh -c '. /tmp/v/lib.sh; echo "host: $(first user color) $(first user crew) $(first user seen:host)"'
keyctl session - sh -c '. /tmp/v/lib.sh; echo "shared: $(first user crew) $(linked)"'
keyctl session - sh -c '. /tmp/v/lib.sh; echo "host first: $(first user seen:first) $(linked) $(later user color)"'
DO
has '^host: red all from the host' "to: host: the container keyring, then the host"
has '^shared: all linked' "a key in a shared ring answers the first lookup, too"
has '^host first: from the host linked red' "also when the first lookup is the host's to answer"
out=$(cat handled)
has 'seen:host' "whose handler ran"
hasnot color "but not for what the container has"
does other <<'DO'
keyctl session meeting sh -c '. /tmp/v/lib.sh; keyctl setperm @s 0x3f3f3f3f; echo "$(first user color)"; echo $$ >/tmp/v/other/meeting; exec sleep 1000' &
i=0; until [ -e /tmp/v/other/meeting ] || [ $i = 600 ]; do sleep 0.1; i=$((i + 1)); done
DO
does plain <<'DO'
keyctl session meeting sh -c '. /tmp/v/lib.sh; echo "$(later user color) $(first user color)"'
DO
has "^.*$nokey blue" "a session of the same name in another container is another: the own keyring"
out=$(keyctl session meeting sh -c 'keyctl request user color' 2>&1)
has "$nokey" "and the host's, too: it does not join what a container made"
out=$(/usr/bin/setpriv --reuid 1000 --clear-groups keyctl session meeting sh -c 'keyctl request user color' 2>&1)
has "$nokey" "whoever joins"

# --- hostile: a ring that nobody can link into, forged requests, a flood
does plain <<'DO'
keyctl session - sh -c '. /tmp/v/lib.sh
	keyctl setperm @s 0x0b000000
	echo "closed: $(first user color) $(first user shape)"'
keyctl session - sh -c '. /tmp/v/lib.sh
	keyctl restrict_keyring @s
	echo "restricted: $(keyctl request2 user color x @p 2>&1) $(keyctl request2 user shape x @p 2>&1)"'
DO
has "^closed: .*denied\|^closed: .*$nokey" "a ring that its tasks cannot change gets nothing"
has "^restricted: .*$nokey" "nor one that takes no links"
is 0 "inspect: counters" warder inspect plain
has '"upcalls": 0' "no upcall is left"
does plain <<DO
$program forge /tmp/run/upcall.sock
DO
has '^forged: closed' "who makes up a request gets nothing"
begin flood refusing
does flood <<DO &
$program rejoin 25 4 && echo "flood: ended"
DO
flood=$!
sleep 0.5
does plain <<'DO'
keyctl session - sh -c '. /tmp/v/lib.sh; echo "beside: $(first user color)"'
DO
has '^beside: blue' "a flood of joins does not keep others from theirs"
wait $flood
out=$(cat v/flood/out)
has '^flood: ended' "and ends"
is 0 "inspect: flood" warder inspect flood
has '"upcalls": 0' "with no upcall left"
warder kill --all flood

# --- tasks that others started: their session keyring is the host's, and stays without
mkdir v/adopted && chmod 777 v/adopted && cp v/lib.sh v/adopted
keyctl session - sh v/serve.sh "$work/v/adopted" >/dev/null 2>&1 &
adopted=$!
does adopted <<'DO'
keyctl show @s | sed -n 2p
DO
serial=$(echo "$out" | awk '{ print $1 }')
is 0 "adopt" warder adopt --name adopted --policy refusing.yaml --pid "$adopted"
is 0 "a key for it" warder keyring add adopted user color green
is 0 "inspect: adopted" warder inspect adopted
has 'came with, which is the host.s: all' "inspect says what cannot reach it"
does adopted <<DO
echo "theirs: \$(first user color) \$(first user shape) \$(keyctl rlist @s)"
echo "theirs: \$(warder keyring attach 2>&1)"
keyctl session - sh -c '. $work/v/lib.sh; echo "own: \$(first user color) \$(later user color)"'
DO
has "^theirs: .*$nokey" "in the host's session keyring nothing is found"
has '^theirs: .*is not linked in this session' "nor linked by keyring attach"
has '^own: green green' "in a session of its own it is"
c=$(warder inspect adopted | sed -n 's/.*"container": \([0-9]*\).*/\1/p')
out="C is $c; the host's $serial holds $(keyctl rlist "$serial" 2>&1 || echo unknown)"
has "^C is [0-9][0-9]*; the host's [0-9]* holds" "and in the host's, which root can read,"
hasnot "holds.*$c\|unknown" "it was not linked"
is 0 "end" warder kill --all adopted
wait $adopted 2>/dev/null

# --- join: sticky
echo 'policy: sticky
keyring: {join: sticky}' >sticky.yaml
is 0 "policy show" warder policy show ./sticky.yaml
has '^keyring:  join sticky' "policy show says what a join does"
begin sticky sticky
is 0 "a key for it" warder keyring add sticky user color black
is 0 "inspect: sticky" warder inspect sticky
has '"keyring": "sticky"' "inspect says so"
hasnot 'new_mount_api": "asked' "and that nothing is asked about mounts"
does sticky <<DO
cd /tmp
$program sticky
echo "64: \$?"
keyctl session - sh -c '. /tmp/v/lib.sh; echo "joined: \$(later user color)"'
keyctl session name sh -c '. /tmp/v/lib.sh; keyctl add user mine x @s >/dev/null; echo "named: \$(later user color)"'
echo "shared: \$(later user mine)"
unshare -U -r keyctl session - sh -c '. /tmp/v/lib.sh; echo "userns: \$(later user color)"'
DO
has '^64: 0' "sticky: joins and session_to_parent say that they worked, and change nothing"
has '^joined: black' "sticky: lookups without callout information find the container keyring"
has '^named: black' "sticky: after a join by name, too"
has '^shared: x' "sticky: sessions are not kept apart"
has '^userns: black' "sticky: in a user namespace"
out=$(warder enter sticky -- keyctl session - sh -c 'keyctl pipe $(keyctl request user color)' 2>&1)
has '^black' "sticky: a command that is entered"

# --- no supervisor: no attachment, and none is lost by that
daemon_kill
gives sticky <<'DO'
keyctl session - true; . "$(dirname "$0")/lib.sh"; linked
DO
does plain <<'DO'
keyctl session lost sh -c '. /tmp/v/lib.sh; echo "dead: $(first user color) $(linked)"; echo >/tmp/v/plain/dead
	i=0; until [ -e /tmp/v/plain/again ] || [ $i = 600 ]; do sleep 0.1; i=$((i + 1)); done
	i=0; while i=$((i + 1)); [ $i -lt 100 ]; do
		got="$(first user shape) $(linked)"
		[ "$got" = "round linked" ] && break
		sleep 0.5 # it takes its containers over, and a refusal stays for two seconds
	done
	echo "again: $got" >/tmp/v/plain/result' &
i=0; until [ -e /tmp/v/plain/dead ] || [ $i = 600 ]; do sleep 0.1; i=$((i + 1)); done
DO
has "^dead: .*$nokey none" "no supervisor: ENOKEY"
gets sticky # the keeper waits for another supervisor for five seconds
has 'not permitted' "sticky: no supervisor: EPERM"
has '^linked' "sticky: and nothing changes"
daemon_start
touch v/plain/again
await test -s v/plain/result
out=$(cat v/plain/result)
has '^again: round linked' "the next one links it"
serial() { warder inspect "$1" | sed -n 's/.*"session": \([0-9]*\).*/\1/p'; }
does sticky <<'DO'
i=0; while i=$((i + 1)); [ $i -lt 60 ]; do
	keyctl session - keyctl id @s && break
	sleep 0.3
done
DO
has "^$(serial sticky)$" "sticky: the next one answers, by the serial of the ring that stays"

# --- and a queue
begin queue queued
is 0 "a key for it" warder keyring add queue user color white
does queue <<'DO'
cat >/tmp/program <<'P'
#!/bin/sh
read -r q; echo "$q" >>/tmp/v/queue/asked; echo '{"verb": "instantiate", "payload": "from the queue"}'
P
chmod 755 /tmp/program
warder keyring watch --exec /tmp/program 2>/tmp/err &
i=0; until grep -q . /tmp/err || [ $i = 600 ]; do sleep 0.1; i=$((i + 1)); done
keyctl session - sh -c '. /tmp/v/lib.sh; echo "queue: $(first user color) $(first user other)"'
keyctl session - sh -c '. /tmp/v/lib.sh; echo "queue first: $(first user another) $(later user color)"'
cat /tmp/v/queue/asked
DO
has '^queue: white from the queue' "to: queue: the container keyring, then the queue"
has '^queue first: from the queue white' "also when the first lookup is the queue's to answer"
hasnot '"description":"color"' "which is not asked for what the container has"
for name in queue other; do warder kill --all $name; done

# --- a policy that becomes sticky, and one that was
does plain <<'DO'
keyctl session - true && echo yes
DO
has '^yes' "another policy's joins are as ever"
sed 's/^policy: .*/policy: refusing\nkeyring: {join: sticky}/' refusing.yaml >reloaded.yaml
is 0 "a running container's policy becomes sticky" warder policy load reloaded.yaml
does plain <<'DO'
keyctl session - true; echo $?; . "$(dirname "$0")/lib.sh"; linked
DO
has 'not permitted' "which it has no filter for: EPERM"
has '^linked' "and nothing changes"
is 0 "inspect: no filter" warder inspect plain
has 'sticky: deny here' "inspect says so"
sed 's/sticky}/lazy}/' sticky.yaml >unstuck.yaml
is 0 "and sticky lazy" warder policy load unstuck.yaml
does sticky <<'DO'
keyctl session - sh -c '. /tmp/v/lib.sh; echo "$(linked)"'
DO
has '^none' "what was sticky joins"
is 0 "and sticky again" warder policy load sticky.yaml
does sticky <<'DO'
keyctl session - true
DO
has 'not permitted' "after which no answer would be true: EPERM"
for name in plain sticky; do warder kill --all $name; done
rm -f /etc/request-key.d/warder-join.conf
is 0 "undo" warder request-key undo
daemon_end
finish
