#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# In the VM: measure, make one configuration, measure again in it.
# usage: guest.sh CONFIGURATION [OP...]
set -eu
cd "$(dirname "$0")"
config=$1
shift

./bench prepare
# Kernels are several times slower in the first seconds after boot; in a VM that counts
# instructions, sleep is free.
sleep 30

# The same files in the same boot: what an operation costs depends a little on where things lie in
# memory, and that way it does not get into the difference.
echo phase before
./bench expect allow "$@"
echo phase after
case $config in
nothing) exec ./bench expect allow "$@" ;;
empty) exec ./drive empty tagged-64.image -- ./bench expect allow "$@" ;;
untagged) exec ./drive untagged tagged-64.image -- ./bench expect allow "$@" ;;
audit-* | learn-*) exec ./drive tagged "$config.image" -- ./bench expect allow "$@" ;;
tagged-*) exec ./drive tagged "$config.image" -- ./bench expect deny "$@" ;;
apparmor-*)
	cat "$config.profile" >/sys/kernel/security/apparmor/.replace
	sleep 5
	exec ./bench apparmor warder-bench expect deny "$@"
	;;
landlock) exec ./bench landlock expect deny "$@" ;;
*)
	echo "guest.sh: unknown configuration $config" >&2
	exit 98
	;;
esac
