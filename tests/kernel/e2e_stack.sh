#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Several policies on one container, from the command line: all must allow, each has its mode, an
# event says whose rule it was, one of them can be replaced, and the next supervisor knows them all.
# Run inside tests/vm/run.
# shellcheck source=tests/kernel/lib.sh
END_LIMIT=120
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1
mkdir vol
echo text >vol/f
daemon_start

cat > web.yaml <<'POLICY'
policy: web
defaults: {mount: deny}
file:
  - deny: [write]
    path: /tmp/v/web
    errno: EROFS
capability:
  - allow: [sys_admin]
override:
  - on: mount
    type: tmpfs
    target: /tmp/scratch/**
    options: {size: "<=16M"}
    do: perform
POLICY
cat > strict.yaml <<'POLICY'
policy: strict
file:
  - deny: [write]
    path: /tmp/v/strict
    id: no-strict
POLICY
cat > strict2.yaml <<'POLICY'
policy: strict
file:
  - deny: [write]
    path: /tmp/v/other
keyring: {quota: {keys: 7}}
POLICY
cat > watch.yaml <<'POLICY'
policy: watch
mode: audit
file:
  - deny: [read]
    path: /tmp/v/f
POLICY
cat > never.yaml <<'POLICY'
policy: never
mount:
  - deny: [mount]
    type: tmpfs
POLICY

# --- the same engine answers beforehand
is 0 "explain: a refusal of the second" warder policy explain --policy strict.yaml web.yaml file write /tmp/v/strict
has '^deny: EACCES$' "explain: the errno"
has 'strict.yaml:3' "explain: the rule"
has '^policy web: allow' "explain: what the first says"
has 'to allow it in policy strict' "explain: what would change it, and where"
is 0 "explain: as JSON" warder policy explain --json --policy strict.yaml --policy watch.yaml web.yaml file read /tmp/v/f
has '"verdict":.*"audit"' "explain: the verdict of all"
has '"policy":.*"watch"' "explain: whose it is"
is 126 "explain: five" sh -c 'warder policy explain --policy a --policy b --policy c --policy d web.yaml file read /x || exit 126'
printf 'policy: web.yaml\ntests:\n  - do: {file: write, path: /tmp/v/strict}\n    expect: {deny: EACCES, rule: no-strict}\n  - do: {file: write, path: /tmp/v/web}\n    expect: {deny: EROFS}\n  - do: {file: write, path: /tmp/v/x}\n    expect: allow\n' >tests.yaml
is 0 "policy test: of a stack" warder policy test --policy strict.yaml tests.yaml
is 1 "policy test: of the first alone" warder policy test tests.yaml

# --- what is no stack
is 125 "run: five policies" warder run --policy web.yaml --policy strict.yaml --policy watch.yaml --policy never.yaml --policy none -- /bin/true
has 'at most 4' "run: says how many"
is 125 "run: the same policy twice" warder run --policy strict.yaml --policy strict.yaml -- /bin/true
has '"strict" is named twice' "run: says which"
is 125 "run: two texts of one name" warder run --policy strict.yaml --policy strict2.yaml -- /bin/true
has '"strict" is named twice' "run: says which"
is 125 "run: one of them does not exist" warder run --policy web.yaml --policy nosuch -- /bin/true
{ printf 'policy: m1\nmount:\n'; for i in $(seq 40); do echo "  - {allow: umount, target: /m/$i}"; done; } >m1.yaml
sed 's/m1/m2/; s,/m/,/n/,' m1.yaml >m2.yaml
is 125 "run: more mount rules than a container can have" warder run --policy m1.yaml --policy m2.yaml -- /bin/true
has '80 mount or override rules, at most 64' "run: says which limit"
for list in '[]' '["a","b","c","d","e"]' '[7]' '"web"' '[""]' '["web"],"policy":"web"'; do
	is 0 "control: policies $list" test_control_socket ask /run/warder/control.sock "{\"request\":\"run\",\"spec\":{},\"policies\":$list}"
	has '"ok":false' "control: is refused"
done
is 0 "run: nothing of all this stays" warder policy list --json
hasnot '"strict"\|"m1"\|"web"' "run: no policy"

# --- all must allow
stack() {
	warder run "$@"
}
in_vol() {
	want=$1 title=$2 policies=$3
	shift 3
	# shellcheck disable=SC2086 # words
	is "$want" "$title" warder run $policies -v "$work/vol:/tmp/v" -- /bin/sh -c "$*"
}
two='--policy web.yaml --policy strict.yaml'
in_vol 0 "two: what both allow" "$two" 'echo x >/tmp/v/both'
in_vol 1 "two: what the first refuses" "$two" 'echo x >/tmp/v/web'
has 'Read-only file system' "two: with its errno"
in_vol 1 "two: what the second refuses" "$two" 'echo x >/tmp/v/strict'
has 'Permission denied' "two: with its errno"
in_vol 1 "two: in the other order" "--policy strict.yaml --policy web.yaml" 'echo x >/tmp/v/web'
in_vol 0 "two: the first alone" "--policy web.yaml" 'echo x >/tmp/v/strict'
in_vol 0 "audit: refuses nothing" "--policy web.yaml --policy watch.yaml" 'cat /tmp/v/f'
has '^text$' "audit: the file is read"
in_vol 1 "audit: the other one enforces" "--policy watch.yaml --policy strict.yaml" 'cat /tmp/v/f; echo x >/tmp/v/strict'

# --- a long one
is 0 "run" warder run -d --name both $two --policy watch.yaml -v "$work/vol:/tmp/v" -- /bin/sh -c '
	while sleep 0.2; do
		if (echo x >/tmp/v/strict) 2>/dev/null; then a=new; else a=old; fi
		if (echo x >/tmp/v/other) 2>/dev/null; then b=old; else b=new; fi
		if (echo x >/tmp/v/web) 2>/dev/null; then b=$b-lost; fi
		echo $a $b >>/tmp/v/log
	done'
is 0 "list" warder list
has 'both .*web+strict+watch' "list: all three"
is 0 "inspect" warder inspect both
has '"policy": *"web+strict+watch"' "inspect: all three"
has '"mode": *"enforce+enforce+audit"' "inspect: their modes"
has '"name": *"strict"' "inspect: each by itself"
is 0 "policy list" warder policy list --json
has '"strict"' "policy list: each by itself"
hasnot 'web+strict' "policy list: and no more"
is 125 "policy unload: in use" warder policy unload strict
has 'used by 1 container' "policy unload: by how many"
is 0 "enter: what the second refuses" sh -c '! warder enter both -- /bin/sh -c "echo x >/tmp/v/strict"'
is 0 "enter: what the third would refuse" warder enter both -- /bin/cat /tmp/v/f
is 0 "events" warder events --container both
has 'strict.yaml:3.*\[policy strict\]' "events: whose rule, and where"
has 'watch.yaml:4.*\[policy watch\]' "events: the one in audit mode"
is 0 "policy show: counts what was decided in the stack" warder policy coverage strict
hasnot 'never:.*no-strict' "policy show: its rule did"

# --- one of them is replaced, in every container that has it
is 0 "another container with one of them" warder run -d --name alone --policy strict -- /bin/sleep 1000
await grep -q '^old old$' vol/log
ok $? "load: before"
is 0 "load: the second one" warder policy load strict2.yaml
await grep -q '^new new$' vol/log
ok $? "load: after"
out=$(grep -v '^old old$\|^new new$\|^old new$\|^new old$' vol/log)
[ -z "$out" ]
ok $? "load: the first one holds all the time"
digest=$(warder policy list --json | tr -d ' \n' | grep -o '"name":"strict"[^}]*' | grep -o '[0-9a-f]\{64\}')
is 0 "load: the other container, too" warder inspect alone
has "\"digest\": *\"${digest:-none}\"" "load: has its digest"
is 0 "load: and the stack" warder inspect both
has "\"digest\": *\"${digest:-none}\"" "load: has its digest, among others"
is 125 "load: a text that makes the stack too big" sh -c 'sed "s/m1/strict/" m1.yaml >big.yaml; for i in $(seq 24); do echo "  - {allow: umount, target: /o/$i}"; done >>big.yaml; warder policy load big.yaml'
is 1 "load: the old text holds" warder enter both -- /bin/sh -c 'echo x >/tmp/v/other'

# --- a supervisor that dies
daemon_kill
rm -f vol/log
is 1 "killed: all of them hold" sh -c 'n=0; until [ -s vol/log ] || [ $n = 600 ]; do sleep 0.1; n=$((n+1)); done; grep -q lost vol/log'
daemon_start
is 0 "next supervisor: list" warder list
has 'both .*web+strict+watch' "next supervisor: knows all three"
is 1 "next supervisor: they hold" warder enter both -- /bin/sh -c 'echo x >/tmp/v/other'
is 0 "next supervisor: load" warder policy load strict.yaml
is 0 "next supervisor: the new text holds" warder enter both -- /bin/sh -c 'echo x >/tmp/v/other'
is 1 "next supervisor: the new text refuses" warder enter both -- /bin/sh -c 'echo x >/tmp/v/strict'
is 0 "end" warder kill --all both
warder wait both >/dev/null
is 0 "end: the other" warder kill --all alone
warder wait alone >/dev/null
is 0 "end: the policy can be unloaded" warder policy unload strict

# --- overrides: a rule in one, and no explicit deny in any
in_vol 0 "override: a rule in one" "--policy web.yaml --policy strict.yaml" 'mkdir /tmp/scratch; mkdir /tmp/scratch/a; mount -t tmpfs -o size=8M none /tmp/scratch/a && grep " /tmp/scratch/a " /proc/self/mountinfo'
in_vol 1 "override: an explicit deny in another" "--policy web.yaml --policy never.yaml" 'mkdir /tmp/scratch; mkdir /tmp/scratch/a; mount -t tmpfs -o size=8M none /tmp/scratch/a'
in_vol 1 "override: in the other order" "--policy never.yaml --policy web.yaml" 'mkdir /tmp/scratch; mkdir /tmp/scratch/a; mount -t tmpfs -o size=8M none /tmp/scratch/a'

# --- keyrings take the strictest
# shellcheck disable=SC2016
is 1 "keyring: the quota of the second" warder run --policy web.yaml --policy strict2.yaml -- /bin/sh -c 'for i in $(seq 20); do keyctl add user k$i x @s >/dev/null || exit 1; done'
# shellcheck disable=SC2016
is 0 "keyring: without it" warder run --policy web.yaml -- /bin/sh -c 'for i in $(seq 20); do keyctl add user k$i x @s >/dev/null || exit 1; done'

daemon_end
cd /
rm -rf "$work"
finish
