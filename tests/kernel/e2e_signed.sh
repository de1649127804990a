#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# keyring.signed_exec as it is used: files are signed, a container runs them and nothing else, more is
# signed while it runs, and the supervisor dies. Run inside tests/vm/run.
# shellcheck source=tests/kernel/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1
box=/usr/bin/busybox
"$(command -v test_signed_exec || echo "$(dirname "$0")/test_signed_exec")" --keys "$work"
libs() { # what the program needs besides itself
	LD_TRACE_LOADED_OBJECTS=1 "$1" 2>/dev/null | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p'
}
sign='warder sign --key own.key --cert own.pem --output sigs'
cat >signed.yaml <<POLICY
policy: signed
keyring:
  signed_exec: {require: true, signers: own.pem, signatures: sigs, id: only-ours}
POLICY

# shellcheck disable=SC2086 # words
is 0 "signing" $sign $box
is 0 "what is signed verifies" warder sign --verify --cert own.pem --signatures sigs $box
is 1 "what is not does not" warder sign --verify --cert own.pem --signatures sigs $box /usr/bin/bash
has 'bash: not signed' "it says so"
is 1 "nor by somebody else's certificate" warder sign --verify --cert other.pem --signatures sigs --json $box
has '"errno":"ENOKEY"' "it says so in JSON"
is 0 "the policy is fine on this kernel" warder policy check signed.yaml
sed 's/ id: only/ verity: true, id: only/' signed.yaml >verity.yaml
if grep -q ' bpf_get_fsverity_digest$' /proc/kallsyms; then
	is 0 "so is one with verity" warder policy check verity.yaml
	out=$(warder doctor)
	has 'signed-exec .*and those of fs-verity' "doctor says that it can be had"
	cp $box plain
	is 0 "signing by fs-verity, without a file system that has it" warder sign --verity --key own.key --cert own.pem --json plain
	has '"verity_sha256":"' "its digest"
	has 'no fs-verity: switch that on where it is to run' "it says so"
	is 1 "it is not verified then" warder sign --verify --verity --cert own.pem plain
	has 'plain: not signed, or without fs-verity (ENODATA)' "it says so, too"
else
	is 1 "verity is refused where the kernel does not tell the digest" warder policy check verity.yaml
	has 'verity cannot be had: this kernel has no bpf_get_fsverity_digest (Linux 6.8)' "it says why"
	out=$(warder doctor)
	has 'signed-exec .*not those of fs-verity.*bpf_get_fsverity_digest' "doctor says so, too"
	sed -i 's/ verity: true/ verity: true, optional: true/' verity.yaml
	is 0 "unless it is optional" warder policy check verity.yaml
	has 'judged by their content on this kernel' "which it says"
fi
daemon_start
is 0 "a container" warder run --detach --name signed --policy signed.yaml -- $box sleep 100000
is 0 "a signed program" warder enter signed -- $box true
is 126 "an unsigned one" warder enter signed -- /usr/bin/bash -c true
has 'No data available' "ENODATA"
out=$(warder events --container signed 2>/dev/null | tail -n 3)
has 'signed.yaml:3' "the event names the rule"

# shellcheck disable=SC2046,SC2086 # lists
is 0 "more is signed, libraries too" $sign /usr/bin/bash $(libs /usr/bin/bash)
is 0 "and loaded, while the container runs" warder policy load signed.yaml
is 0 "now it runs" warder enter signed -- /usr/bin/bash -c true
sed -i 's/own.pem/other.pem/' signed.yaml
is 0 "other signers" warder policy load signed.yaml
is 126 "it does not any more" warder enter signed -- /usr/bin/bash -c true
has 'Required key not available' "ENOKEY"
sed -i 's/other.pem/own.pem/' signed.yaml
is 0 "the old ones again" warder policy load signed.yaml

daemon_find
daemon_kill
daemon_start
is 0 "after the supervisor was killed: a signed program" warder enter signed -- $box true
is 126 "... an unsigned one" warder enter signed -- /usr/bin/strace -V
has 'No data available' "... ENODATA"
is 0 "the end" warder kill --all signed
await sh -c '! warder list | grep -q signed'
daemon_end
finish
