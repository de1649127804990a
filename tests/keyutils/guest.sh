#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# In the VM: the suite on the host, then in a container, and what differs, as TAP. Names as arguments
# run only those tests.
# What the suite asks for the byte order of programs and the name of the distribution.
# shellcheck disable=SC2016 # for later
printf '#!/bin/sh\necho "$2: ELF 64-bit LSB executable"\n' >/usr/bin/file
printf '#!/bin/sh\necho Debian\n' >/usr/bin/lsb_release
chmod 755 /usr/bin/file /usr/bin/lsb_release
mkdir /tmp/host /tmp/v
cp -a /root/keyutils/. /tmp/host
cp -a /root/keyutils /root/t/suite.sh /tmp/v

# Its quota as the kernel's for root, and the capability to give a key to somebody else: those of the host's
# root, as far as keys go.
cat >/tmp/suite.yaml <<'POLICY'
policy: suite
capability:
  - {allow: [sys_admin]}
keyring:
  join: lazy
  quota: {keys: 20000, bytes: 2000000}
  upcalls: [{type: user, to: queue, deadline: 30s}]
POLICY
# Upcalls go to the container's own, unmodified request-key with its own configuration.
cat >/tmp/v/in.sh <<'INSIDE'
warder keyring watch --exec /sbin/request-key.ordinary --request-key 2>/tmp/v/queue.err &
until grep -q 'is there' /tmp/v/queue.err; do sleep 0.1; done
exec /usr/bin/bash /tmp/v/suite.sh /tmp/v/keyutils /tmp/v/inside "$@"
INSIDE

/usr/bin/bash /root/t/suite.sh /tmp/host /tmp/host.list "$@"
warderd 2>/tmp/warderd.log &
until [ -S /run/warder/control.sock ]; do sleep 0.2; done
warder request-key divert >/dev/null
warder run --name suite --cap-add sys_admin --policy /tmp/suite.yaml --volume /tmp/v:/tmp/v -- /bin/sh /tmp/v/in.sh "$@"
echo "# in the container: exit status $?"

# What is meant to be otherwise inside (docs/KEYRINGS.md).
differs() {
	case $1 in
	features/builtin_trusted) echo "the kernel's own rings are not the container's to look at" ;;
	keyctl/move/bad-args) echo "the user ring is the host's, and may be searched only" ;;
	*) return 1 ;;
	esac
}

n=0
while read -r test result; do
	n=$((n + 1))
	inside=$(sed -n "s,^$test ,,p" /tmp/v/inside)
	if [ "$result" = "$inside" ]; then
		echo "ok $n - $test: $result"
	elif why=$(differs "$test") && [ "$result$inside" = PASSFAIL ]; then
		echo "ok $n - $test: differs, as $why"
	else
		echo "not ok $n - $test: $result on the host, ${inside:-nothing} in the container"
		tail -n 30 "/tmp/v/keyutils/$test/test.out" | sed 's/^/# /'
		sed 's/^/# /' "/tmp/v/keyutils/$test/run.out"
	fi
done </tmp/host.list
echo "1..$n"
