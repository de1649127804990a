#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Containers of unmodified runc and crun that get their policies by the hook of their configuration:
# `match` by OCI annotations, judged from the first program on, and nothing started where that fails.
# Run inside tests/vm/run.
# shellcheck source=tests/kernel/lib.sh
END_LIMIT=120
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1
chmod 755 "$work"
warder=$(command -v warder)
log=$work/hook.log
: >"$log"
daemon_start

# --- a bundle
root=$work/b/rootfs
mkdir -p "$root/bin" "$root/proc" "$root/dev" "$root/sys" "$root/tmp" "$root/shared"
cp /usr/bin/busybox "$root/bin/busybox"
for applet in sh cat sleep touch stat id; do ln -s busybox "$root/bin/$applet"; done
cp "$root/bin/busybox" "$root/bin/tool"
echo treasure >"$root/secret"
echo bread >"$root/plain"
# In the container's root, and called there before its program.
cat >"$root/bin/inside" <<'SH'
#!/bin/sh
cat /secret >/shared/inside 2>&1
exit 0
SH
# The host's, called in the container's namespaces before its root is entered.
cat >"$work/outside" <<SH
#!/bin/sh
cat $root/secret >$root/shared/outside 2>&1
exit 0
SH
chmod 755 "$root/bin/inside" "$work/outside"

quoted() { # WORD...: as the elements of a JSON array
	printf '"%s"' "$1"
	shift
	[ $# = 0 ] || printf ', "%s"' "$@"
}
# bundle ANNOTATIONS HOOK-OPTIONS COMMAND...: writes the configuration; $more is put into it
more=
userns=
bundles=0
bundle() {
	bundles=$((bundles + 1))
	annotations=$1 options=$2
	shift 2
	cat >b/config.json <<JSON
{"ociVersion": "1.0.2", "hostname": "inner", "root": {"path": "rootfs"},
 "process": {"terminal": false, "user": {"uid": 0, "gid": 0}, "cwd": "/", "env": ["PATH=/bin"],
  "args": [$(quoted "$@")], "noNewPrivileges": true,
  "capabilities": {"bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"], "effective": ["CAP_KILL"]}},
 "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
  {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]}],
 "hooks": {$more "createRuntime": [{"path": "$warder",
   "args": ["warder", "oci", "hook", "--log", "$log"$options]}]},
 "annotations": {$annotations},
 "linux": {"cgroupsPath": "/oci-$bundles", $userns
  "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "uts"}, {"type": "ipc"},
   {"type": "network"}${userns:+, {\"type\": \"user\"\}}],
  "maskedPaths": ["/proc/kcore", "/proc/acpi"], "readonlyPaths": ["/proc/sys"],
  "seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
   "syscalls": [{"names": ["swapon"], "action": "SCMP_ACT_ERRNO"}]}}}
JSON
}
gone() { # NAME
	! warder list --json | grep -q "\"name\":\"$1\""
}
front='"org.example.tier": "front", "org.example.other": "x"'
# shellcheck disable=SC2089,SC2090 # for the container's shell
look='cat /plain; cat /secret; cat /proc/kcore; echo done'

cat >front.yaml <<'POLICY'
policy: m-front
match: {name: "*", annotations: {org.example.tier: "front{,-*}"}}
file: [{deny: [read], path: /secret, errno: EROFS}]
POLICY
cat >start.yaml <<'POLICY'
policy: m-start
match: {annotations: {org.example.start: "no"}}
exec: [{deny: /bin/tool, errno: EACCES}]
POLICY
cat >named.yaml <<'POLICY'
policy: named
file: [{deny: [read], path: /plain, errno: ENXIO}]
POLICY
is 0 "load m-front" warder policy load front.yaml
is 0 "load m-start" warder policy load start.yaml

# --- what is no state
# What a function does as a program, for `is`: STATE ARGUMENT...
cat >hook <<'SH'
#!/bin/sh
printf '%s' "$1" >state.json
shift
warder oci hook "$@" <state.json
SH
chmod 755 hook
is 125 "hook: nothing on stdin" ./hook ''
is 125 "hook: no id" ./hook '{"status": "created", "pid": 1}'
has 'no state of a container: it has no id' "in words"
is 125 "hook: a name that cannot be" ./hook '{"id": "a+b", "status": "created", "pid": 1}'
is 125 "hook: no process" ./hook '{"id": "gone", "status": "created", "pid": 4000000}'
has 'process 4000000 is gone' "in words"
is 125 "hook: process 1" ./hook '{"id": "x", "status": "created", "pid": 1}'
has 'process 1 is no container' "in words"
is 125 "hook: a policy that is not there" ./hook '{"id": "x", "status": "created", "pid": 1}' --policy missing
is 125 "hook: a log that cannot be" ./hook '{"id": "x", "status": "created", "pid": 4000000}' --log /none/log
has '/none/log cannot be opened' "in words"
is 125 "hook: not as another user" /usr/bin/setpriv --reuid 1000 --clear-groups "$warder" oci hook <state.json
has 'must be run as root' "in words"

for runtime in runc crun; do
	cat >rt <<SH
#!/bin/sh
exec $runtime --root $work/$runtime "\$@"
SH
	chmod 755 rt
	# runs TITLE ANNOTATIONS HOOK-OPTIONS SCRIPT: the output of a container of the runtime's
	id=0
	runs() {
		id=$((id + 1)) title=$1
		bundle "$2" "$3" sh -c "$4"
		is 0 "$runtime: $title" ./rt run -b b "$runtime-$id"
		await gone "$runtime-$id"
		! grep 'error' "$log"
	}
	# --- by annotation
	runs "a container with the annotation" "$front" '' "$look"
	has 'secret.*Read-only file system' "$runtime: has m-front"
	has '^bread$' "$runtime: which refuses nothing else"
	hasnot treasure "$runtime: nothing came past it"
	hasnot kcore "$runtime: masked files are as they were"
	has '^done$' "$runtime: and it runs to its end"
	runs "of another tier" '"org.example.tier": "frontier"' '' "$look"
	has '^treasure$' "$runtime: it has not"
	runs "without annotations" '' '' "$look"
	has '^treasure$' "$runtime: nor has it"
	is 0 "load named" warder policy load named.yaml
	runs "--policy goes before" "$front" ', "--policy", "named"' "$look"
	has 'plain.*No such device' "$runtime: and holds"
	has '^treasure$' "$runtime: alone"
	# shellcheck disable=SC2090
	userns='"uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
  "gidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],'
	runs "in a user namespace" "$front" '' "$look; cat /proc/self/uid_map"
	has 'secret.*Read-only file system' "$runtime: it has m-front, too"
	has '0 *100000 *65536' "$runtime: and is there"
	userns=

	# --- created, looked at, started
	bundle "$front" ', "--name", "front-1"' sh -c 'cat /secret; while [ ! -e /shared/end ]; do sleep 0.1; done'
	rm -f "$root/shared/end"
	is 0 "$runtime: create" sh -c "./rt create -b b long >out 2>&1"
	is 125 "$runtime: nothing is tagged before its start" warder inspect front-1
	is 0 "$runtime: start" ./rt start long
	running() { warder inspect front-1 >/dev/null 2>&1; }
	await running
	is 0 "$runtime: inspect" warder inspect front-1
	has '"policy": "m-front"' "$runtime: its policy"
	has '"policy_by": "match"' "$runtime: by match"
	has '"org.example.tier=front"' "$runtime: its annotations"
	touch "$root/shared/end"
	await gone front-1
	out=$(cat out)
	has 'secret.*Read-only file system' "$runtime: it was judged from its first program on"
	is 0 "$runtime: delete" ./rt delete --force long

	# --- what the policy says of the first program
	bundle '"org.example.start": "no"' '' /bin/tool cat /plain
	is 1 "$runtime: the first program is judged" ./rt run -b b first
	has '[Pp]ermission denied' "$runtime: refused as a program of any container"
	hasnot '^bread' "$runtime: and has not run"
	await gone first
	./rt delete --force first >/dev/null 2>&1

	# --- other hooks: those of the host's are the host's, those of the container's are judged
	rm -f "$root/shared/inside" "$root/shared/outside"
	more="\"createContainer\": [{\"path\": \"$work/outside\"}], \"startContainer\": [{\"path\": \"/bin/inside\"}],"
	runs "with other hooks" "$front" '' 'cat /plain'
	more=
	has '^bread$' "$runtime: it runs"
	out=$(cat "$root/shared/outside")
	has '^treasure$' "$runtime: the host's hook is not judged"
	out=$(cat "$root/shared/inside")
	has 'Read-only file system' "$runtime: the container's is"

	# --- nothing runs where it fails
	rm -f "$root/shared/ran"
	bundle "$front" ', "--policy", "missing"' touch /shared/ran
	out=$(./rt run -b b wrong 2>&1)
	[ $? != 0 ] && [ ! -e "$root/shared/ran" ]
	ok $? "$runtime: no such policy: it does not start"
	[ "$runtime" = runc ] || out=$(cat "$log") # crun keeps to itself what hooks say
	has 'there is no policy .*missing' "$runtime: and says why"
	./rt delete --force wrong >/dev/null 2>&1
	is 0 "taken: a container of that name" warder run --name taken --detach -- sleep 600
	bundle "$front" ', "--name", "taken"' touch /shared/ran
	out=$(./rt run -b b second 2>&1)
	[ $? != 0 ] && [ ! -e "$root/shared/ran" ]
	ok $? "$runtime: the name is taken: it is killed"
	./rt delete --force second >/dev/null 2>&1
	out=$(cat "$log")
	has 'container taken is not supervised: .*taken' "$runtime: the log says why"
	: >"$log"
	is 0 "taken: kill" warder kill --all taken
	await gone taken
	bundle "$front" ', "--name", "orphan"' touch /shared/ran
	is 0 "$runtime: create" sh -c "./rt create -b b orphan >out 2>&1"
	holder=$(pidof warder)
	kill -9 $holder
	out=$(./rt start orphan 2>&1; sleep 1; ./rt state orphan 2>&1; ls "$root/shared")
	[ ! -e "$root/shared/ran" ]
	ok $? "$runtime: who held it was killed: nothing runs"
	./rt delete --force orphan >/dev/null 2>&1

	# --- one that runs already
	bundle "$front" '' sh -c 'while [ ! -e /shared/end ]; do sleep 0.1; done; cat /secret; exit 0'
	rm -f "$root/shared/end"
	sed -i 's/"hooks": {/"x-hooks": {/' b/config.json
	is 0 "$runtime: create without a hook" sh -c "./rt create -b b late >out 2>&1"
	is 0 "$runtime: start" ./rt start late
	./rt state late >state.json
	is 0 "$runtime: one that runs" sh -c "warder oci hook <state.json"
	is 0 "$runtime: inspect" warder inspect late
	has '"policy": "m-front"' "$runtime: has its policy, too"
	touch "$root/shared/end"
	await gone late
	out=$(cat out)
	has 'Read-only file system' "$runtime: and is judged"
	./rt delete --force late >/dev/null 2>&1
	is 0 "unload named" warder policy unload named
done

for p in m-front m-start; do
	is 0 "unload $p" warder policy unload $p
done
out=$(pidof warder)
[ -z "$out" ]
ok $? "nobody holds anything any more"
cd /
rm -rf "$work"
daemon_end
finish
