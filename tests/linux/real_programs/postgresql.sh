#!/bin/bash
# initdb, pgbench with four clients, and three sessions that stay.
# needs: /usr/lib/postgresql/15/bin/postgres /usr/lib/postgresql/15/bin/pgbench setpriv
D=$1; B=/usr/lib/postgresql/15/bin
rm -rf "$D"; mkdir -p "$D"; chmod 777 "$D"; cd "$D"
U="setpriv --reuid=postgres --regid=postgres --clear-groups"
$U $B/initdb -D $D/data -A trust >/dev/null || exit 1
$U $B/postgres -D $D/data -c listen_addresses= -c unix_socket_directories=$D -c shared_buffers=64MB &
for ((i=0;i<100;i++)); do $B/pg_isready -q -h $D && break; sleep 0.1; done
$U $B/pgbench -q -h $D -i -s 5 postgres
$U $B/pgbench -h $D -c 4 -j 2 -T 4 postgres
for i in 1 2 3; do (echo "select sum(abalance), count(*) from pgbench_accounts; create temp table t as select generate_series(1,50000) g; select count(distinct g%1000) from t;"; sleep 60) | $U $B/psql -q -h $D postgres & done
sleep 2
