#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Policies that containers get because `match` holds for them: by name and annotations, several
# together, more than there can be, asked for another one, adopted, and under the next supervisor.
# Run inside tests/vm/run.
# shellcheck source=tests/kernel/lib.sh
END_LIMIT=120
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1
mkdir vol
for f in web tier all plain; do echo text >vol/$f; done
daemon_start

# policy NAME ERRNO MATCH: one that refuses to read /tmp/v/NAME with an errno of its own
policy() {
	{
		printf 'policy: m-%s\nfile: [{deny: [read], path: /tmp/v/%s, errno: %s}]\n' "$1" "$1" "$2"
		[ -z "$3" ] || printf 'match: %s\n' "$3"
	} >"$1.yaml"
}
policy web EROFS '{name: "web-*"}'
policy tier ENXIO '{name: "*", annotations: {org.example.tier: "front{,/**}"}}'
policy plain EPERM ''
# reads NAME ERROR-OR-text OPTION...: what cat says of /tmp/v/NAME in a container with these options
reads() {
	file=$1 says=$2 title=$3
	shift 3
	out=$(timeout -s KILL "$END_LIMIT" warder run "$@" -v "$work/vol:/tmp/v:ro" -- cat "/tmp/v/$file" 2>&1)
	has "$says" "$title"
}

# --- nothing is loaded: the default; what others bring along matches nobody
reads web '^text$' "nothing is loaded: web-1 has the default" --name web-1
is 0 "web-0 brings its policy" warder run --name web-0 --policy web.yaml --detach -- sleep 600
reads web '^text$' "which is no other container's" --name web-1
is 0 "list tells what it would match" warder policy list
has 'm-web .*name web-\*' "list: its match"
is 0 "show" warder policy show m-web
has '^match: name web-\* (not in force: nobody has loaded it)$' "show: it is not in force"
is 0 "kill" warder kill --all web-0
gone() { # NAME
	! warder inspect "$1" >/dev/null 2>&1
}
await gone web-0

# --- loaded
is 0 "load web" warder policy load web.yaml
is 0 "load tier" warder policy load tier.yaml
is 0 "load plain, which has no match" warder policy load plain.yaml
is 0 "show" warder policy show m-web
has '^match: name web-\*$' "show: it is in force"
reads web 'Read-only file system' "web-1 has m-web, unasked" --name web-1
reads tier '^text$' "and no other" --name web-1
reads plain '^text$' "nor one without match" --name web-1
reads web '^text$' "db-1 has the default" --name db-1
reads tier 'No such device' "db-1 of the tier has m-tier" --name db-1 --annotation org.example.tier=front/eu
reads tier '^text$' "of another tier it has not" --name db-1 --annotation org.example.tier=frontier
reads web 'Read-only file system' "both: m-web refuses" --name web-2 --annotation org.example.tier=front
reads tier 'No such device' "both: m-tier refuses" --name web-2 --annotation org.example.tier=front
reads web '^text$' "a policy that is asked for goes before" --name web-3 --policy m-plain
reads plain 'not permitted' "and holds" --name web-3 --policy m-plain
reads web '^text$' "--policy none goes before, too" --name web-4 --policy none
is 0 "policy match" warder policy match web-9 --annotation org.example.tier=front
[ "$out" = 'm-tier
m-web' ]
ok $? "policy match: both, in the order of their names"
is 0 "policy match, of nobody" warder policy match db-9
has '^default (no policy matches)$' "policy match: the default"
is 125 "a container with an annotation that is none" warder run --annotation x -- true
has 'must be KEY=VALUE' "the reason"

# --- what runs keeps what it has
is 0 "web-5 starts" warder run --name web-5 -v "$work/vol:/tmp/v:ro" --detach -- sleep 600
is 0 "inspect" warder inspect web-5
has '"policy": "m-web"' "inspect: m-web"
has '"policy_by": "match"' "inspect: by match"
policy all ENOSPC '{name: "*"}'
is 0 "load all" warder policy load all.yaml
is 1 "web-5: m-all is not its policy" warder enter web-5 -- cat /tmp/v/web
has 'Read-only' "it has m-web"
is 0 "and reads what m-all refuses" warder enter web-5 -- cat /tmp/v/all
reads all 'No space left' "db-2 has it" --name db-2

# --- adopted
sh -c 'echo $$ >old.pid; exec sleep 600' </dev/null >/dev/null 2>&1 &
await test -s old.pid
is 0 "adopt" warder adopt --name web-old --annotation org.example.tier=front --pid "$(cat old.pid)"
is 0 "inspect" warder inspect web-old
has '"policy": "m-all+m-tier+m-web"' "adopted: all that match"
has '"org.example.tier=front"' "adopted: its annotations"
is 0 "release" warder release web-old
kill "$(cat old.pid)"

# --- the next supervisor knows: who has what, what is loaded, and what was only brought along
is 0 "a container that brings its policy" warder run --name guest --policy plain.yaml --detach -- sleep 600
daemon_kill
daemon_start
is 0 "restart: inspect" warder inspect web-5
has '"policy_by": "match"' "restart: web-5 has its policy by match"
is 1 "restart: web-5 is confined" warder enter web-5 -- cat /tmp/v/web
is 0 "restart: policy match" warder policy match web-9 --annotation org.example.tier=front
[ "$out" = 'm-all
m-tier
m-web' ]
ok $? "restart: the same policies match"
reads all 'No space left' "restart: db-3 has m-all" --name db-3

# --- more than a container can have
for i in 1 2 3; do
	sed "s/m-all/m-more$i/" all.yaml >more.yaml
	is 0 "load m-more$i" warder policy load more.yaml
done
is 125 "five match: no container" warder run --name web-6 -- true
has '5 loaded policies match container web-6' "the sentence"
has 'm-all, m-more1, m-more2, m-more3, m-web' "which names them"
is 125 "policy match says so, too" warder policy match web-6
has '5 loaded policies match' "the same sentence"
is 0 "four match" warder run --name db-4 -- true
is 0 "one is asked for" warder run --name web-6 --policy m-web -- true

is 0 "kill" warder kill --all web-5
is 0 "kill" warder kill --all guest
await gone web-5
await gone guest
for p in web tier plain all more1 more2 more3; do
	is 0 "unload m-$p" warder policy unload "m-$p"
done
reads web '^text$' "nothing is loaded any more: the default" --name web-7

daemon_end
finish
