#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Shipped policies as they are meant to be used, on a kernel that enforces: a program of each kind
# does its job, and what an attacker would do in its place fails with the errno that the policy
# says. Run inside tests/vm/run, with /usr/bin/python3.11 there.
# shellcheck source=tests/kernel/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1

strict='defaults: {file: deny, exec: deny, network: deny, capability: deny, memory: deny, device: deny,
           ptrace: deny, namespace: deny}'
mkdir -p in data /srv/in /srv/data /sandbox
printf 'b\na\nc\n' >in/list
echo untouched >data/f
libc=$(find /usr/lib /lib -name libc.so.6 2>/dev/null | head -n 1)
[ -e /etc/shadow ] || echo 'root:*:1::::::' >/etc/shadow
daemon_start

# --- a shell script: base/shell
cat >script.yaml <<POLICY
policy: script
include: [base/libc, base/shell]
$strict
file:
  - allow: [read]
    path: "/srv/in{,/**}"
  - allow: [read, write, create, delete, rename]
    path: "/tmp{,/**}"
POLICY
script() {
	want=$1 title=$2
	shift 2
	is "$want" "shell: $title" warder run --policy script.yaml -v "$work/in:/srv/in:ro" -v "$work/data:/srv/data" -- /bin/sh -c "$*"
}
script 0 "sorts, writes, reads back" 'sort /srv/in/list | head -n 1 >/tmp/x && mv /tmp/x /tmp/y && cat /tmp/y && rm /tmp/y'
has '^a$' "shell: the result"
script 1 "reading /etc/shadow" 'cat /etc/shadow'
has 'Permission denied' "shell: EACCES"
script 1 "writing what is not its own" 'echo x 2>/dev/null >/srv/data/f || exit 1'
out=$(cat data/f)
has '^untouched$' "shell: the file is untouched"
script 126 "a program that is not on the list" /usr/bin/strace -V
has 'Permission denied' "shell: EACCES"
script 126 "a program that it wrote" "cp $libc /tmp/sh && exec /tmp/sh"
has 'Permission denied' "shell: EACCES"
script 1 "the network" 'nc 127.0.0.1 22'
has 'Permission denied' "shell: EACCES"
script 1 "mounting" 'mount -t tmpfs none /tmp'
has 'not permitted\|ermission denied' "shell: refused"

# --- a Python program: base/python. What it tries is answered with the name of an errno.
cat >in/app.py <<'PYTHON'
import posix, _socket, errno, sys

def tried(name, what):
    pid = posix.fork()
    if pid == 0:
        try:
            what()
            text = "done"
        except OSError as e:
            text = errno.errorcode[e.errno]
        posix.write(1, ("%s=%s\n" % (name, text)).encode())
        posix._exit(0)
    posix.waitpid(pid, 0)

def memfd():
    fd = posix.memfd_create("x", 0)
    with open("/usr/bin/busybox", "rb") as f:
        posix.write(fd, f.read())
    posix.execve(fd, ["busybox", "true"], {})

def flags(path, how):
    return lambda: posix.open(path, how, 0o600)

with open("/srv/in/list") as f:
    lines = sorted(f)
with open("/tmp/out", "w") as f:
    f.writelines(lines)
print("job=" + "".join(line.strip() for line in open("/tmp/out")))
sys.stdout.flush()
tried("shadow", flags("/etc/shadow", posix.O_RDONLY))
tried("data", flags("/srv/data/f", posix.O_WRONLY))
tried("create", flags("/srv/data/new", posix.O_WRONLY | posix.O_CREAT))
tried("delete", lambda: posix.unlink("/srv/data/f"))
tried("exec", lambda: posix.execv("/usr/bin/strace", ["strace", "-V"]))
tried("tcp", lambda: _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM))
tried("netlink", lambda: _socket.socket(_socket.AF_NETLINK, _socket.SOCK_RAW))
tried("unix", lambda: _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM))
tried("memfd", memfd)
tried("setuid", lambda: posix.setuid(33))
tried("mknod", lambda: posix.mknod("/tmp/null", 0o020600, posix.makedev(1, 3)))
tried("chown", lambda: posix.chown("/tmp/out", 33, 33))
tried("mem", flags("/proc/self/mem", posix.O_RDWR))
tried("environ", flags("/proc/self/environ", posix.O_RDONLY))
tried("kill", lambda: posix.kill(posix.getpid(), 0))
PYTHON
cat >python.yaml <<POLICY
policy: python-app
include: [base/libc, base/python]
$strict
file:
  - allow: [read]
    path: ["/srv/in{,/**}", /usr/bin/busybox]
  - allow: [read, write, create]
    path: "/tmp/**"
POLICY
# answers KIND NAME=ERRNO...: all of them in the last output
answers() {
	kind=$1
	shift
	for answer; do has "^$answer\$" "$kind: $answer"; done
}
python='/usr/bin/python3.11 -I -S'
# shellcheck disable=SC2086 # an interpreter and its options
is 0 "python: runs" warder run --policy python.yaml -v "$work/in:/srv/in:ro" -v "$work/data:/srv/data" -- $python /srv/in/app.py
answers python job=abc shadow=EACCES data=EACCES create=EACCES delete=EACCES exec=EACCES tcp=EACCES \
	netlink=EACCES unix=done memfd=EACCES setuid=EPERM mknod=EPERM chown=EACCES mem=EACCES \
	environ=EACCES kill=done

# --- code that nobody has read: the shipped policy sandbox-untrusted, by its name
mkdir -p box/.ssh && cp in/* box/ && echo key >box/.ssh/id_rsa
sed 's#/srv/in/list#/sandbox/list#' in/app.py >box/app.py
cp "$libc" box/evil.so
sandbox() {
	want=$1 title=$2
	shift 2
	is "$want" "sandbox: $title" warder run --policy sandbox-untrusted -v "$work/box:/sandbox:ro" -v "$work/data:/srv/data" -- "$@"
}
sandbox 0 "a pipeline of programs" /bin/sh -c 'sort /sandbox/list | tee /tmp/x | wc -l; sleep 100 & kill $!; cat /tmp/x'
has '^3$' "sandbox: the result"
# shellcheck disable=SC2086
sandbox 0 "a Python program" $python /sandbox/app.py
answers sandbox job=abc shadow=EACCES data=EACCES create=EACCES delete=EACCES tcp=EACCES netlink=EACCES \
	unix=EACCES memfd=EACCES setuid=EPERM mknod=EPERM chown=EACCES mem=EACCES environ=EACCES \
	kill=done
sandbox 126 "a program that it brought" /bin/sh -c 'exec /sandbox/evil.so'
has 'Permission denied' "sandbox: EACCES"
sandbox 126 "a program that it wrote" /bin/sh -c 'cp /usr/bin/busybox /tmp/sh && exec /tmp/sh -c true'
has 'Permission denied' "sandbox: EACCES"
sandbox 0 "a library that it wrote" /bin/sh -c 'cp /sandbox/evil.so /tmp/e.so && LD_PRELOAD=/tmp/e.so /usr/bin/keyctl --version; true'
has 'cannot be preloaded\|failed to map' "sandbox: is not mapped"
sandbox 1 "credentials" cat /sandbox/.ssh/id_rsa
has 'Permission denied' "sandbox: EACCES"
sandbox 1 "namespaces" /usr/bin/unshare -U true
has 'not permitted' "sandbox: EPERM"
sandbox 1 "mounting" /bin/sh -c 'mount -t tmpfs none /tmp || exit 1'
has 'not permitted\|ermission denied' "sandbox: refused"
sandbox 1 "tracing" /usr/bin/strace -o /tmp/o true
has 'not permitted' "sandbox: EPERM"
is 0 "sandbox: events" warder events
has 'sandbox-network' "sandbox: the rule on sockets is named"
has 'sandbox-written-code' "sandbox: the rule on code is named"
has 'sandbox-credentials' "sandbox: the rule on credentials is named"
out=$(cat data/f)
has '^untouched$' "nothing of the host's was changed"

daemon_end
finish
