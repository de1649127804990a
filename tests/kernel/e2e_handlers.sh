#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Handlers and people decide about refused calls: the examples of docs/examples, and programs that
# crash, hang, and talk nonsense. Run inside tests/vm/run.
# shellcheck source=tests/kernel/lib.sh
. "$(dirname "$0")/lib.sh"
examples=$(cd "$(dirname "$0")" && pwd)
cd "$work" || exit 1
END_LIMIT=240
daemon_start

cat >handled.yaml <<'POLICY'
policy: handled
override:
  - {on: sethostname, do: "handler:names", fallback: EAGAIN, deadline: 8s, id: names}
  - {on: [swapon, swapoff], do: "handler:names", deadline: 8s}
  - {on: mknod, node: "c 1:3", target: "/tmp/left/**", do: "handler:names", deadline: 60s}
  - {on: mknod, node: "c 1:3", do: ask, deadline: 60s, id: people}
  - {on: mount, type: tmpfs, target: "/tmp/**", options: {size: "<=32M"}, do: "handler:names", deadline: 8s, way: handoff}
POLICY
is 0 "the policy is valid" warder policy check handled.yaml

# handler ARG...: one in the background, its pid in $handler, once it is there
handler() {
	warder supervise "$@" 2>handler.err &
	handler=$!
	await grep -q 'is there' handler.err
}
handler_end() {
	kill "$handler" 2>/dev/null
	wait "$handler" 2>/dev/null
}
# named WORD NAME TITLE: names a container; what it is told of it is WORD. An answer that comes too
# late on a slow machine leaves EPERM ("not permitted"): then once more.
named() {
	want=$1 title=$3
	for _ in 1 2 3 4 5 6 7 8; do
		out=$(timeout -s KILL $END_LIMIT warder run --name "c$$" --policy handled.yaml -- \
			/bin/sh -c "hostname $2 2>&1; hostname" 2>&1)
		case $out in *'not permitted'*) ;; *) break ;; esac
	done
	has "$want" "$title"
}
# told WORD TITLE: the last event of it says so
told() {
	out=$(warder events --json | grep '"operation":"sethostname"' | tail -n 1)
	has "$1" "$2"
}

named 'temporarily unavailable' blue "nobody is there: the rule's fallback"
told 'no such handler is there' "the event says so"

handler names --exec "$examples/handler.sh"
named '^blue$' blue "the example in shell has it performed"
told 'handler names says so' "the event names the handler"
told '"performed":true' "and what was done"
named 'temporarily unavailable' Blue "it passes on what it does not like: the fallback"
told 'passed it on' "the event says so"

# The example in C comes after it in the chain.
first=$handler
handler names --order 200 --exec "$examples/handler_c"
second=$handler
named 'ermission denied' Blue "the one in C is next and refuses"
named '^blue$' blue "the first one goes first"
for _ in 1 2 3 4 5; do
	out=$(timeout -s KILL $END_LIMIT warder run --name "s$$" --policy handled.yaml -- /bin/sh -c 'swapoff /nothing && echo faked' 2>&1)
	case $out in *'not permitted'*) ;; *) break ;; esac
done
has '^faked$' "the one in C pretends that swap was turned off"
handler=$first
handler_end
handler=$second
handler_end

# One that uses the library: it sees fields, changes mounts, and leaves nodes to people.
"$examples/handler_lib" names 2>lib.err &
handler=$!
await grep -q 'is there, with version 1' lib.err
named '^blue$' blue "the one with the library has it performed"
named 'ermission denied' Blue "and refuses"
out=$(cat lib.err)
has 'sethostname of c[0-9]* by hostname (uid 0)' "it saw who called"
for _ in 1 2 3 4 5 6 7 8; do
	out=$(timeout -s KILL $END_LIMIT warder run --name "m$$" --policy handled.yaml -- /bin/sh -c \
		'mkdir -p /tmp/m && mount -t tmpfs -o size=1M none /tmp/m && grep /tmp/m /proc/self/mountinfo' 2>&1)
	case $out in *'not permitted'*) ;; *) break ;; esac
done
has 'noexec.*size=16384k' "a mount is made with the handler's changes"
out=$(warder events --json | grep '"operation":"mount"' | tail -n 1)
has 'handler names says so, with changes' "the event says so"
warder run --name nodes --policy handled.yaml -- /bin/sh -c \
	'mkdir /tmp/left; for i in 1 2 3 4 5 6 7 8; do mknod /tmp/left/n c 1 3 && break; sleep 1; done; ls -l /tmp/left/n' >nodes.out 2>&1 &
nodes=$!
left() {
	seq=$(warder ask --list | sed -n 's/^\([0-9]*\) nodes: mknod.*/\1/p' | head -n 1)
	[ -n "$seq" ]
}
await left
is 0 "what it leaves to a person can be allowed" warder ask --allow "$seq"
wait $nodes
out=$(cat nodes.out)
has 'crw.* 1, *3 ' "and is performed"
handler_end

# An observer is shown the call, and what it says counts nothing.
printf '#!/bin/sh\nread -r hello; echo "{\\"version\\": 1, \\"mode\\": \\"observe\\"}"\nwhile read -r x; do echo "$x" >>%s; echo nonsense; done\n' \
	"$work/seen" >observer.sh
chmod 755 observer.sh
handler names --exec ./observer.sh
observer=$handler
handler names --exec "$examples/handler.sh"
named '^blue$' blue "with an observer beside it"
out=$(cat seen)
has '"operation":"sethostname".*"decisions":' "the observer was shown the call"
handler_end
handler=$observer
handler_end

# bad TITLE REASON PROGRAM: a handler that is none; what it is asked falls back
bad() {
	printf '#!/bin/sh\nread -r hello; echo "{\\"version\\": 1}"\n%s\n' "$3" >bad.sh
	chmod 755 bad.sh
	handler names --exec ./bad.sh
	named 'temporarily unavailable' blue "$1"
	told "$2" "$1: the event"
	handler_end
}
bad "one that ends" "ended before it answered" 'read -r x; exit 3'
bad "one that hangs" "nobody answered within the deadline" 'sleep 1000'
bad "one that talks nonsense" "none of those offered" 'while read -r x; do echo nonsense; done'
bad "one that says continue" "none of those offered" \
	'while read -r x; do echo "$x" | sed "s/.*\(.seq.:[0-9]*\).*/{\1, \"decision\": \"continue\"}/"; done'
# Twice: the first word counts.
printf '#!/bin/sh\nread -r hello; echo "{\\"version\\": 1}"\n%s\n' \
	'while read -r x; do a=$(echo "$x" | sed "s/.*\(.seq.:[0-9]*\).*/\1/"); echo "{$a, \"decision\": \"deny\", \"errno\": \"EACCES\"}"; echo "{$a, \"decision\": \"perform\"}"; done' >twice.sh
chmod 755 twice.sh
handler names --exec ./twice.sh
named 'ermission denied' blue "one that answers twice: the first counts"
handler_end
is 125 "a program that does not choose a version is no handler" warder supervise names --exec /bin/echo '{}'
is 125 "nor one that speaks another" warder supervise names --exec /bin/echo '{"version": 2}'
is 127 "nor one that is not there" sh -c 'warder supervise names --exec /no/such; s=$?; [ $s = 125 ] && exit 127; exit $s'

# --- a person
warder run --name asks --policy handled.yaml -- /bin/sh -c \
	'for i in 1 2 3 4 5 6 7 8; do mknod /tmp/null c 1 3 && break; sleep 1; done; ls -l /tmp/null' >person.out 2>&1 &
person=$!
waits() {
	seq=$(warder ask --list | sed -n 's/^\([0-9]*\) asks: mknod.*/\1/p' | head -n 1)
	[ -n "$seq" ]
}
await waits
out=$(warder ask --list)
has 'asks: mknod.*/tmp/null.*uid 0' "what waits for a person is listed"
is 125 "a number that nobody waits for" warder ask --allow 1
is 0 "it is allowed" warder ask --allow "$seq"
wait $person
out=$(cat person.out)
has 'crw.* 1, *3 ' "and performed"
out=$(warder events --json | grep '"operation":"mknod"' | tail -n 1)
has 'a person has answered' "the event says by whom"

# --- counted
is 0 "refusals are counted" warder top-denies
has ' c[0-9]*: sethostname' "with the container and the call"
out=$(warder top-denies --json --limit 1)
has '"count":[0-9]*,"container":' "as JSON"
# What the policy's default refuses first, as it does here, is one refusal, and none if it is performed.
cat >shops.yaml <<EOF
policy: shops
override:
  - {on: mount, type: tmpfs, target: /tmp, options: {size: "<=1M"}, do: perform}
EOF
is 0 "one mount is performed, and one is not" warder run --name counted --policy shops.yaml -- sh -c \
	'mount -t tmpfs none /tmp && ! mount -t tmpfs none /run'
out=$(warder events --json --container counted | grep '"type":"override"')
has '"cause":"default".*"performed":true' "by the policy's default"
out=$(warder top-denies --container counted | grep -c 'mount.*/run')
has '^1$' "the other one is counted once"
out=$(warder top-denies --container counted)
hasnot 'mount.*/tmp' "the performed one is no refusal"

daemon_end
finish
