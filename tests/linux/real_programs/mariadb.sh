#!/bin/bash
# A server that mariadb-slap has used; its files are read by direct I/O, into pages that come without a fault.
# needs: mariadbd mariadb-install-db mariadb-slap setpriv
D=$1
rm -rf "$D"; mkdir -p "$D"; chmod 777 "$D"; cd "$D"
U="setpriv --reuid=mysql --regid=mysql --clear-groups"
$U mariadb-install-db --no-defaults --datadir=$D/data --auth-root-authentication-method=normal --skip-test-db >/dev/null || exit 1
$U mariadbd --no-defaults --datadir=$D/data --socket=$D/s --skip-networking --pid-file=$D/pid --innodb-buffer-pool-size=64M &
for ((i=0;i<200;i++)); do mariadb --no-defaults -uroot -S $D/s -e 'select 1' >/dev/null 2>&1 && break; sleep 0.1; done
mariadb-slap --no-defaults -uroot -S $D/s --concurrency=8 --iterations=1 --auto-generate-sql --number-of-queries=4000 --auto-generate-sql-load-type=mixed
(echo 'select 1;'; sleep 60) | mariadb --no-defaults -uroot -S $D/s &
sleep 1
