#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# In the VM: what it takes to answer a key upcall, by the host's /sbin/request-key and by a
# container's queue. Prints "upcall WHO INSTRUCTIONS UNTIL-THE-ANSWER".
set -eu
cd "$(dirname "$0")"
bench=$PWD/bench
COUNT=40

# meter WHO: how one that asks is answered, with a pipe to it and one back in v/
meter() {
	echo "upcall $1 $("$bench" meter 7 $COUNT v/go v/done)"
}
# await COMMAND...: and not for ever
await() {
	tries=0
	until "$@"; do
		tries=$((tries + 1))
		[ $tries -lt 600 ] || return 1
		sleep 0.1
	done
}
# plain WHO DESCRIPTION: on the host, by the line for it in request-key.conf
plain() {
	keyctl session - "$bench" upcalls "bench:$2" $COUNT <v/go >v/done &
	meter "$1"
	wait $!
}
# queue WHO PLACE COMMAND...: answered by that daemon, on the host (env) or in the container. It is ended
# by its own process id: `warder enter` keeps signals to itself.
queue() {
	who=$1 place=$2
	shift 2
	rm -f v/log v/pid
	$place sh -c "echo \$\$ >$v/pid && exec $*" >v/log 2>&1 &
	daemon=$!
	await grep -q -e serving -e 'is there' v/log || { cat v/log >&2 && exit 1; }
	$inside sh -c "exec /tmp/v/bench upcalls bench:program $COUNT </tmp/v/go >/tmp/v/done" &
	asks=$!
	meter "$who"
	wait $asks
	$place sh -c "kill \$(cat $v/pid)"
	wait $daemon || true
}
inside() {
	v=/tmp/v queue "$1" "$inside" "$2"
}
outside() {
	v=$PWD/v queue "$1" env "$2"
}
inside='warder enter asks --'

mkdir -p v
chmod 777 v
mkfifo -m 666 v/go v/done
cp bench queue v
cp bench v/answer
sleep 30 # see guest.sh
mv /etc/request-key.conf conf
{
	echo 'create user bench:keyctl * /usr/bin/keyctl instantiate %k answer %S'
	echo "create user bench:program * |$PWD/v/answer"
	cat conf
} >/etc/request-key.conf
plain keyctl keyctl
plain plain program

cat >policy.yaml <<'POLICY'
policy: upcalls
keyring:
  quota: {keys: 100000, bytes: 10000000}
  upcalls: [{type: user, to: queue, deadline: 60s}]
POLICY
warderd 2>warderd.log &
await test -S /run/warder/control.sock
warder request-key divert
warder run --detach --name asks --policy policy.yaml --volume "$PWD/v:/tmp/v" -- /bin/sleep 100000 >/dev/null
sleep 5
plain behind program
inside watch 'warder keyring watch --exec /tmp/v/answer'
outside watch-host "warder keyring watch asks --exec $PWD/v/answer"
inside request-key 'warder keyring watch --exec /sbin/request-key.ordinary --request-key'
inside library /tmp/v/queue
outside library-host "$PWD/queue asks"
warder kill --all asks
