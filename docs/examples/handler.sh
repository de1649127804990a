#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A handler in shell: lets containers name themselves, if the name is in lower case, and passes on
# everything else. Run it with: warder supervise names --exec docs/examples/handler.sh
read -r hello || exit 1
case $hello in
*'"versions":[1'[],]*) echo '{"version": 1, "mode": "decide"}' ;;
*) exit 1 ;;
esac
while read -r request; do
	seq=$(printf '%s\n' "$request" | sed -n 's/.*"seq":\([0-9]*\).*/\1/p')
	# The call as it was made: sethostname("blue", 4), with its quotes escaped by JSON.
	if printf '%s\n' "$request" | grep -q '"call":"sethostname(\\"[a-z]*\\", [0-9]*)"'; then
		echo "{\"seq\": $seq, \"decision\": \"perform\"}"
	else
		echo "{\"seq\": $seq, \"decision\": \"pass\"}"
	fi
done
