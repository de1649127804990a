#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# usage: suite.sh DIR OUT [TEST...]   runs the suite in DIR; OUT gets a line TEST PASS|FAIL for each
cd "$1" || exit 1
out=$2
shift 2
tests=("$@")
# Left out is what adds a key of each size up to a megabyte: hours in emulation.
[[ $# -gt 0 ]] || mapfile -t tests < <(find . -mindepth 2 -name runtest.sh |
	sed 's,^\./,,; s,/runtest.sh$,,; /^features.limits$/d' | sort)
: >"$out"
for t in "${tests[@]}"; do
	if (cd "$t" && TEST=$t timeout 300 bash ./runtest.sh >run.out 2>&1); then
		echo "$t PASS" >>"$out"
	else
		echo "$t FAIL" >>"$out"
	fi
done
