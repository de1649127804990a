#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Rings of keys that chosen containers share: found, seen and changed by nobody else, nor changed by
# them. Run inside tests/vm/run.
# shellcheck source=tests/kernel/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1
daemon_start
nokey='Required key not available'
denied='Permission denied'

policy() { # policy NAME [RING]...
	name=$1
	shift
	echo "policy: $name" >"$name.yaml"
	[ $# = 0 ] || echo "keyring: {shared: [$(echo "$@" | sed 's/ /, /g')]}" >>"$name.yaml"
}
policy one db
policy two db other
echo 'policy: apart' >apart.yaml
start() { # start NAME POLICY...
	name=$1
	shift
	is 0 "$name: a container" warder run --detach --name "$name" "$@" -- sleep 10000
}
# in_ NAME COMMAND: what a shell there prints
in_() { out=$(warder enter "$1" -- /bin/sh -c "$2" 2>&1); }
# shellcheck disable=SC2016 # the container's shell
color='keyctl pipe $(keyctl request user color)'

is 0 "policy show" warder policy show ./two.yaml
has '^keyring:  join lazy; shared db, other' "it says which rings are shared"
is 125 "nobody has the ring" warder keyring add shared:db user color red
has 'no running container shares a ring "db"' "so there is none"
start a --policy one.yaml
start b --policy two.yaml
start c --policy apart.yaml
start d --policy one.yaml --policy apart.yaml
is 0 "a key for those who have it" warder keyring add shared:db user color red
is 0 "show" warder keyring show shared:db
has '^shared ring [0-9]* of \[.*"a".*\]' "who has it"
has '"b"' "both"
hasnot '"c"\|"d"' "and nobody else"
has 'user .*color$' "and what is in it"
ring=$(echo "$out" | sed -n 's/^shared ring \([0-9]*\) .*/\1/p')
key=$(echo "$out" | sed -n 's/^\([0-9]*\) .*color$/\1/p')

# --- found by those
in_ a "$color"
has '^red$' "a finds it"
in_ b "$color"
has '^red$' "b finds it"
in_ c "$color"
has "$nokey" "c does not"
in_ d "$color"
has "$nokey" "nor does d, of whose policies one names no ring"
in_ b "keyctl rlist $ring; keyctl describe $key"
has "^$key\$" "b may list it"
has 'user: color' "and view the key"
in_ c "keyctl rlist $ring; keyctl describe $key; keyctl pipe $key; keyctl link $key @s; keyctl link $ring @s"
[ "$(echo "$out" | grep -c "^keyctl_.*\($nokey\|$denied\)")" = 5 ] && [ "$(echo "$out" | grep -c .)" = 5 ]
ok $? "nor has c any use of their serials" # which the kernel refuses first, or the hooks
out=$(keyctl pipe "$key" 2>&1)
has "$denied" "nor may root of the host read the key"
out=$(keyctl describe "$ring" 2>&1)
has "$denied" "or look at the ring"
is 0 "a key of a's own" warder keyring add a user color blue
in_ a "$color"
has '^blue$' "a container's own keyring comes first"
is 0 "it goes" warder keyring unlink a user color
in_ a "$color"
has '^red$' "and the shared key is found again"

# --- changed by none of them
in_ a "keyctl unlink $key $ring; keyctl clear $ring; k=\$(keyctl add user mine x @s); keyctl link \$k $ring; keyctl update $key y
	keyctl setperm $key 0x3f3f3f3f; keyctl timeout $key 1; keyctl revoke $ring; keyctl restrict_keyring $ring; keyctl add user color z $ring"
[ "$(echo "$out" | grep -c "$denied")" = 9 ]
ok $? "who has the ring can change neither it nor what is in it"
in_ a "keyctl revoke $key; keyctl invalidate $key"
[ "$(echo "$out" | grep -c "$denied")" = 2 ]
ok $? "nor end the key"
in_ b "$color"
has '^red$' "it is as it was"
is 125 "a key of a container's ring is no other's" warder keyring add --may search shared:db user x y
has 'the same for all' "what may be done is the same for all"
is 125 "the ring is not taken out as a key" warder keyring revoke a keyring _warder.g.db

# --- a new payload, more keys, an end
is 0 "rotate" warder keyring rotate shared:db user color green
in_ b "$color"
has '^green$' "a new payload is there at once"
is 125 "rotate: not there" warder keyring rotate shared:db user none x
is 0 "two rings" warder keyring add shared:other user shape round
in_ b 'keyctl pipe $(keyctl request user shape)'
has '^round$' "b has both"
inspect() { out=$(warder inspect "$1" | tr -d ' \n'); }
inspect b
has '"keyring_shared":\["\(db","other\|other","db\)"\]' "inspect says which it shares"
inspect a
has '"keyring_shared":\["db"\]' "and so for a"
inspect c
has '"keyring_shared":\[\],"keyring_queues":\[\]' "c shares none, and no daemon answers for it"
in_ a 'keyctl request user shape'
has "$nokey" "a has one"
is 0 "a link of a's own" warder enter a -- keyctl link "$key" @s

# --- policies change
policy one
is 0 "one shares nothing any more" warder policy load one.yaml
in_ a "keyctl request user color; keyctl pipe $key; keyctl rlist $ring"
[ "$(echo "$out" | grep -c "^[a-z_]*: \($nokey\|$denied\)")" = 3 ] && [ "$(echo "$out" | grep -c .)" = 3 ]
ok $? "a has lost ring and key, also what it had linked itself" # where by name it is EACCES
inspect a
has '"keyring_shared":\[\]' "inspect says so"
in_ b "$color"
has '^green$' "b has not"
policy one db
is 0 "and again" warder policy load one.yaml
in_ a "$color"
has '^green$' "a has them back"

# --- the next supervisor
daemon_kill
daemon_start
is 0 "show" warder keyring show shared:db
has "^shared ring $ring of" "the next supervisor has the same ring"
is 0 "and puts keys into it" warder keyring add shared:db user late 1
in_ a 'keyctl pipe $(keyctl request user late)'
has '^1$' "for a"
in_ c 'keyctl request user late'
has "$nokey" "and not for c"
is 0 "revoke" warder keyring revoke shared:db user late
in_ a 'keyctl request user late'
has "$nokey" "a key that was revoked is gone"

# --- the last one
is 0 "a ends" warder kill --all a
await sh -c '! warder keyring show shared:db | grep -q \"a\"'
in_ b "$color"
has '^green$' "b still has it"
is 0 "b ends" warder kill --all b
await sh -c '! warder keyring show shared:db'
is 125 "the ring ends with the last one" warder keyring show shared:db
await sh -c "! keyctl describe $ring 2>&1 | grep -q '$denied'"
out=$(keyctl describe "$ring" 2>&1)
has "$nokey\|revoked" "and is not there"
for name in c d; do warder kill --all $name; done
daemon_end
finish
