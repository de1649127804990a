#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# In the VM: a realm, a user each for the host and two containers, and whose tickets are where; as TAP.
n=0
ok() {
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		echo "$out" | sed 's/^/# /'
	fi
}
has() {
	echo "$out" | grep -q "$1"
	ok $? "$2"
}
hasnt() {
	! echo "$out" | grep -q "$1"
	ok $? "$2"
}

krb=/opt/krb5/usr
export LD_LIBRARY_PATH=$krb/lib/x86_64-linux-gnu:/opt/krb5/lib/x86_64-linux-gnu
export PATH=$PATH:$krb/bin:$krb/sbin KRB5_CONFIG=/opt/krb5/krb5.conf KRB5_KDC_PROFILE=/opt/krb5/kdc.conf
ip link set lo up 2>/dev/null || ifconfig lo 127.0.0.1 up
mkdir -p /opt/krb5/kdc
cat >$KRB5_CONFIG <<CONF
[libdefaults]
	default_realm = TEST
	dns_lookup_kdc = false
	dns_lookup_realm = false
	dns_canonicalize_hostname = false
	rdns = false
[realms]
	TEST = {
		kdc = 127.0.0.1:88
	}
CONF
cat >$KRB5_KDC_PROFILE <<CONF
[kdcdefaults]
	kdc_ports = 88
	kdc_tcp_ports = 88
[realms]
	TEST = {
		database_module = db2
		database_name = /opt/krb5/kdc/principal
		key_stash_file = /opt/krb5/kdc/stash
		acl_file = /opt/krb5/kdc/acl
	}
[dbmodules]
	db_module_dir = $krb/lib/x86_64-linux-gnu/krb5/plugins/kdb
	db2 = {
		db_library = db2
	}
CONF
kdb5_util create -r TEST -s -P master >/tmp/kdb.log 2>&1 || { cat /tmp/kdb.log; exit 1; }
for user in host red blue; do
	kadmin.local -r TEST -q "addprinc -pw secret $user" >>/tmp/kdb.log 2>&1 || { cat /tmp/kdb.log; exit 1; }
done
krb5kdc -r TEST >/tmp/kdc.log 2>&1 || { cat /tmp/kdc.log; exit 1; }

out=$(echo secret | KRB5CCNAME=KEYRING:persistent:0 kinit host 2>&1; KRB5CCNAME=KEYRING:persistent:0 klist 2>&1)
has 'principal: host@TEST' "the host has a cache in its persistent keyring"

warderd 2>/tmp/warderd.log &
until [ -S /run/warder/control.sock ]; do sleep 0.2; done

# in NAME COMMAND: as root of that container
in_() { out=$(warder enter "$1" -- /bin/sh -c "export LD_LIBRARY_PATH=$LD_LIBRARY_PATH PATH=$PATH KRB5_CONFIG=$KRB5_CONFIG; $2" 2>&1); }
start() { warder run --detach --name "$1" --userns --net host -- /bin/sleep 1000; }
for name in red blue; do
	out=$(start $name 2>&1)
	ok $? "container $name"
done

for cache in KEYRING:persistent:0 KEYRING:session:tickets; do
	for name in red blue; do
		in_ $name "echo secret | KRB5CCNAME=$cache kinit $name && KRB5CCNAME=$cache klist"
		has "principal: $name@TEST" "$cache: $name has its own ticket"
		hasnt 'host@' "$cache: and nobody else's"
	done
done
for name in red blue; do
	in_ $name "KRB5CCNAME=KEYRING:persistent:0 klist"
	has "principal: $name@TEST" "KEYRING:persistent:0: $name has it still, in another process"
done
in_ red "KRB5CCNAME=KEYRING:persistent:0 kdestroy && KRB5CCNAME=KEYRING:persistent:0 klist"
has 'not found\|No credentials' "red gives its tickets back"
in_ blue "KRB5CCNAME=KEYRING:persistent:0 klist"
has 'principal: blue@TEST' "blue's are there"
out=$(KRB5CCNAME=KEYRING:persistent:0 klist 2>&1)
has 'principal: host@TEST' "and the host's"
hasnt 'red@\|blue@' "which sees no others"

# Without a user namespace the persistent keyring of a uid is the host's.
out=$(warder run --detach --name plain --net host -- /bin/sleep 1000 2>&1)
ok $? "container without a user namespace"
in_ plain "echo secret | KRB5CCNAME=KEYRING:session:tickets kinit red && KRB5CCNAME=KEYRING:session:tickets klist"
has 'principal: red@TEST' "it has a cache in its session keyring"
in_ plain "KRB5CCNAME=KEYRING:persistent:0 klist"
hasnt 'host@TEST' "and does not see the host's in the persistent one"
in_ plain "echo secret | KRB5CCNAME=KEYRING:persistent:0 kinit red && echo done"
hasnt 'done' "nor can it put one there"
out=$(KRB5CCNAME=KEYRING:persistent:0 klist 2>&1)
has 'principal: host@TEST' "where the host's still is"
for name in red blue plain; do warder kill --all $name; done
echo "1..$n"
