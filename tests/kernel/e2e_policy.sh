#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Policy commands against a running kernel: tests as real system calls, coverage by the kernel's
# counters, learning and replaying what was recorded. Run inside tests/vm/run.
# shellcheck source=tests/kernel/lib.sh
END_LIMIT=120
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1

daemon_start

cat > live.yaml <<'POLICY'
policy: live
defaults: {file: deny, exec: deny, capability: deny}
file:
  - allow: [read]
    path: [/etc/**, /usr/**]
  - allow: [read, write, create, delete, rename, symlink, chmod]
    path: /srv/data/**
  - deny: [write, create]
    path: /srv/data/readonly/**
    id: ro-data
    errno: ENOENT
exec:
  - allow: [/bin/sh, /usr/bin/*]
capability:
  - allow: [sys_chroot, sys_admin]
mount:
  - allow: [mount]
    type: tmpfs
    target: /mnt/free/**
  - deny: [mount]
    type: tmpfs
    target: /mnt/never/**
override:
  - on: mount
    type: tmpfs
    target: /mnt/scratch/**
    options: {size: "<=64M"}
    do: perform
    force: [nosuid, nodev]
POLICY
cat > live-tests.yaml <<'TESTS'
policy: live.yaml
tests:
  - do: {file: read, path: /etc/shop/conf}
    expect: allow
  - do: {file: read, path: /var/secret}
    expect: {deny: EACCES}
  - do: {file: [read, write], path: /srv/data/a}
    as: {uid: 33}
    expect: allow
  - do: {file: write, path: /etc/shop/conf}
    expect: deny
  - do: {file: write, path: /srv/data/readonly/x}
    expect: {deny: ENOENT, rule: ro-data}
  - do: {file: create, path: /srv/data/new}
    expect: allow
  - do: {file: create, path: /srv/other/new}
    expect: {deny: EACCES}
  - do: {file: delete, path: /srv/data/old}
    expect: allow
  - do: {file: delete, path: /etc/passwd}
    expect: {deny: EACCES}
  - do: {file: symlink, path: /srv/data/link}
    expect: allow
  - do: {file: chmod, path: /srv/data/mode}
    expect: allow
  - do: {file: chmod, path: /etc/mode}
    expect: {deny: EACCES}
  - do: {file: link, path: /srv/data/x}
    expect: deny
  - do: {exec: /usr/bin/id}
    expect: allow
  - do: {exec: /tmp/id}
    expect: {deny: EACCES}
  - do: {capability: sys_chroot}
    expect: allow
  - do: {capability: setuid}
    expect: {deny: EPERM}
  - do: {mount: tmpfs, target: /mnt/free/a}
    expect: allow
  - do: {mount: tmpfs, target: /mnt/never/a}
    expect: {deny: EPERM}
  - do: {mount: tmpfs, target: /mnt/scratch/a, options: "size=32M"}
    expect: {override: perform}
  - do: {mount: tmpfs, target: /mnt/scratch/b, options: "size=320M"}
    expect: {override: none}
TESTS
is 0 "the engine says so" warder policy test live-tests.yaml
is 0 "and the kernel does" warder policy test --live live-tests.yaml
has '^ok 13 .*SKIP live' "what takes a second name is skipped, and said so"
has '20 passed, 0 failed, 1 skipped' "everything else ran"
is 0 "nothing stays loaded" warder policy list
hasnot 'live-test' "of the test's policy"
[ "$(ls -d /tmp/warder-live-* 2>/dev/null)" = "" ]
ok $? "and no folder"
# A live run that cannot fail would be worth nothing: the other way round.
sed 's/expect: allow/expect: DENY/; s/expect: deny/expect: allow/; s/expect: DENY/expect: deny/
     s/{deny: E[A-Z]*\(, rule: ro-data\)*}/allow/; s/perform/none/' live-tests.yaml > wrong.yaml
is 1 "wrong expectations fail" warder policy test --live wrong.yaml
has '^not ok 1 ' "an allow that was expected to be refused"
has '^not ok 2 ' "a refusal that was expected to be allowed"
has '^not ok 20 ' "an override that was expected not to be"

# --- with another policy besides
cat > more.yaml <<'POLICY'
policy: more
defaults: {mount: allow}
file:
  - deny: [read]
    path: /etc/shop/**
    errno: EPERM
mount:
  - deny: [mount]
    type: tmpfs
    target: /mnt/free/closed
POLICY
cat > both-tests.yaml <<'TESTS'
policy: live.yaml
tests:
  - do: {file: read, path: /etc/shop/conf}
    expect: {deny: EPERM}
  - do: {file: read, path: /etc/other/conf}
    expect: allow
  - do: {file: read, path: /var/secret}
    expect: {deny: EACCES}
  - do: {mount: tmpfs, target: /mnt/free/closed}
    expect: {deny: EPERM}
  - do: {mount: tmpfs, target: /mnt/free/open}
    expect: allow
TESTS
is 0 "two policies: the engine says so" warder policy test --policy more.yaml both-tests.yaml
is 0 "two policies: and the kernel does" warder policy test --live --policy more.yaml both-tests.yaml
has '5 passed, 0 failed' "two policies: each has its say"
is 1 "two policies: one alone allows more" warder policy test --live both-tests.yaml
has '^not ok 1 ' "two policies: what only the other refuses"
is 0 "two policies: nothing stays loaded" warder policy list
hasnot 'live-test' "two policies: of either"

# --- the other classes
cat > classes.yaml <<'POLICY'
policy: classes
defaults: {network: deny}
network:
  - {allow: [connect], protocol: tcp, to: "127.0.0.0/8:5432"}
  - {allow: [bind, listen], protocol: tcp, port: 8000-8100}
  - {allow: ["*"], unix: /run/db/**}
memory: {write_exec: deny}
namespace: [{allow: [uts]}]
kernel: [{allow: [io_uring]}]
device: [{allow: [open], node: ["c 1:5"]}, {deny: [open], node: ["c 1:8"]}]
signal: [{deny: [usr1], peer: same}]
POLICY
cat > classes-tests.yaml <<'TESTS'
policy: classes.yaml
tests:
  - do: {network: connect, to: "127.0.0.1:5432", protocol: tcp}
    expect: allow
  - do: {network: connect, to: "127.0.0.1:5433", protocol: tcp}
    expect: {deny: EACCES}
  - do: {network: [bind, listen], port: 8050, protocol: tcp}
    expect: allow
  - do: {network: bind, port: 8200, protocol: tcp}
    expect: {deny: EACCES}
  - do: {network: connect, unix: /run/db/sock, peer: same}
    expect: allow
  - do: {network: connect, unix: /run/other, peer: same}
    expect: {deny: EACCES}
  - do: {network: connect, unix: /run/hosts}
    expect: {deny: EPERM}
  - do: {network: connect, unix: /run/db/hosts}
    expect: allow
  - do: {file: write, path: /proc/version}
    expect: {deny: EPERM}
  - do: {file: write, path: /proc/cpuinfo}
    expect: {deny: EPERM}
  - do: {device: open, node: "c 1:1", path: /dev/mem}
    expect: {deny: EPERM}
  - do: {memory: write_exec}
    expect: deny
  - do: {memory: anonymous_exec}
    expect: allow
  - do: {namespace: uts}
    expect: allow
  - do: {namespace: net}
    expect: {deny: EPERM}
  - do: {kernel: perf}
    expect: {deny: EPERM}
  - do: {kernel: bpf}
    expect: {deny: EPERM}
  - do: {device: open, node: "c 1:5", path: /dev/zero}
    expect: allow
  - do: {device: open, node: "c 1:8", path: /dev/random}
    expect: {deny: EPERM}
  - do: {signal: usr1, peer: same}
    expect: {deny: EPERM}
  - do: {signal: term, peer: same}
    expect: allow
  - do: {ptrace: trace, peer: same}
    expect: allow
TESTS
is 0 "other classes: the engine says so" warder policy test classes-tests.yaml
is 0 "other classes: and the kernel does" warder policy test --live classes-tests.yaml
has '22 passed, 0 failed' "other classes: all of them"

# --- coverage
is 0 "load" warder policy load live.yaml
is 0 "run" warder run --name cov --policy live --rootfs / --read-only -- /bin/sh -c 'true' 
is 0 "coverage" warder policy coverage live
has 'never:' "names what never decided"
has 'ro-data' "by id"
is 1 "coverage --full" warder policy coverage --full live
is 0 "coverage as JSON" warder policy coverage --json live
has '"default_hits"' "counts defaults"
is 125 "coverage of what is not loaded" warder policy coverage nothing

# --- learn, replay
cat > audit.yaml <<'POLICY'
policy: looks
mode: audit
defaults: {file: deny, exec: deny, capability: deny}
POLICY
is 0 "run in audit mode" warder run --name looks --policy audit.yaml -- /bin/sh -c 'cat /etc/hostname /etc/passwd >/dev/null; touch /tmp/x'
warder events --json --container looks > events.jsonl
out=$(wc -l < events.jsonl)
[ "$out" -gt 3 ]
ok $? "events were recorded"
is 0 "learn" warder policy learn --from events.jsonl --name looks --container looks
printf '%s\n' "$out" > learned.yaml
has '/etc/passwd' "what was read"
is 0 "what was learned is a policy" warder policy check learned.yaml
is 1 "replay: nothing would be refused any more" warder policy replay --policy learned.yaml events.jsonl
hasnot ' -> deny' "not one request"
is 0 "run under what was learned" warder run --name learned --policy learned.yaml -- /bin/sh -c 'cat /etc/hostname /etc/passwd >/dev/null; touch /tmp/x'
is 0 "explain recorded events" warder policy explain learned.yaml --event events.jsonl
has 'recorded: audit' "says what was recorded"

# --- learn: acts upon tasks of the same container, of the own profile and of another
cat > peers.yaml <<'POLICY'
policy: peers
mode: learn
exec: [{allow: /usr/bin/python3.11, profile: worker}]
profiles: {worker: {}}
POLICY
# Those that are ignored end nobody before the next one is sent.
cat > signals <<'SH'
trap '' HUP USR2 TERM
sleep 100 & own=$!
python3.11 -S -c 'while True: pass' & other=$!
n=0
until grep -q python /proc/$other/comm || [ $((n += 1)) -gt 300 ]; do sleep 0.1; done
kill -HUP $own && kill -USR2 $own && kill -USR2 $other && kill -TERM $other
SH
is 0 "run in learn mode" warder run --name peers --policy peers.yaml -- /bin/sh -c "$(cat signals)"
warder events --json --container peers > peers.jsonl
is 0 "learn" warder policy learn --from peers.jsonl --name peers --container peers
has '{allow: \[hup\], peer: same}' "of the own profile"
has '{allow: \[term\], peer: container}' "of another one"
has '{allow: \[usr2\], peer: container}' "of both"
hasnot 'allow: \[usr2\], peer: same' "which is one rule"
printf '%s\n' "$out" > peers.yaml
is 0 "run under what was learned" warder run --name peers2 --policy peers.yaml -- /bin/sh -c "$(cat signals); echo fine"
has '^fine$' "nothing of it is refused"
hasnot 'not permitted' "not one signal"

daemon_end
cd /
rm -rf "$work"
finish
