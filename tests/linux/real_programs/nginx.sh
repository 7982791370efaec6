#!/bin/bash
# Three workers, a reload, and a cache.
# needs: nginx ab
D=$1
rm -rf "$D"; mkdir -p $D/www $D/tmp; chmod -R 777 "$D"; cd "$D"
seq 1 20000 > $D/www/big; echo hello > $D/www/index.html
cat > $D/c <<X
worker_processes 3; pid $D/pid; error_log $D/err; user nobody nogroup;
events { worker_connections 256; }
http { access_log $D/access; client_body_temp_path $D/tmp/b; proxy_temp_path $D/tmp/p; fastcgi_temp_path $D/tmp/f; uwsgi_temp_path $D/tmp/u; scgi_temp_path $D/tmp/s;
 gzip on; gzip_types *; gzip_min_length 10;
 proxy_cache_path $D/tmp/cache keys_zone=z:4m; open_file_cache max=100;
 server { listen 127.0.0.1:18080; root $D/www; location /p/ { proxy_pass http://127.0.0.1:18080/; proxy_cache z; proxy_cache_valid 200 1m; } } }
X
nginx -c $D/c -g 'daemon off;' &
sleep 0.5
ab -q -n 2000 -c 20 -H 'Accept-Encoding: gzip' http://127.0.0.1:18080/big >/dev/null
ab -q -n 2000 -c 20 http://127.0.0.1:18080/p/index.html >/dev/null
nginx -c $D/c -s reload; sleep 1
ab -q -n 1000 -c 20 -k http://127.0.0.1:18080/ >/dev/null
