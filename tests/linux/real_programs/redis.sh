#!/bin/bash
# Two snapshots and a rewrite under load, the last one still going on.
# needs: redis-server redis-benchmark redis-cli
D=$1
rm -rf "$D"; mkdir -p "$D"; cd "$D"
redis-server --port 18084 --bind 127.0.0.1 --save '' --dir $D &
sleep 0.5
redis-benchmark -p 18084 -q -n 40000 -r 20000 -d 200 -t set,get,lpush,hset,zadd >/dev/null
redis-cli -p 18084 bgsave; redis-cli -p 18084 bgrewriteaof
redis-benchmark -p 18084 -q -n 20000 -r 20000 -d 300 -t set >/dev/null
redis-cli -p 18084 debug sleep 0.1 >/dev/null
redis-cli -p 18084 config set rdb-key-save-delay 200; redis-cli -p 18084 bgsave
redis-benchmark -p 18084 -q -n 10000 -r 20000 -d 300 -t set >/dev/null
