#!/bin/bash
# Four threads.
# needs: memcached python3
D=$1; rm -rf "$D"; mkdir -p "$D"; cd "$D"
memcached -u nobody -l 127.0.0.1 -p 18090 -m 128 -t 4 &
sleep 0.5
python3 -c "
import socket
ss=[socket.create_connection(('127.0.0.1',18090)) for _ in range(8)]
for i in range(30000):
    s=ss[i%8]; v=b'x'*(i%3000); s.sendall(b'set k%d 0 0 %d\r\n%s\r\n'%(i,len(v),v)); s.recv(100)
"
