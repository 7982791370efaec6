#!/bin/bash
# mpm_event.
# needs: apache2 ab
D=$1; rm -rf "$D"; mkdir -p $D/www; chmod -R 777 $D; cd "$D"; M=/usr/lib/apache2/modules; seq 1 5000 > www/index.html
cat > c <<X
ServerRoot $D
PidFile $D/pid
ErrorLog $D/err
Listen 127.0.0.1:18092
User nobody
Group nogroup
ServerName x
LoadModule mpm_event_module $M/mod_mpm_event.so
LoadModule authz_core_module $M/mod_authz_core.so
LoadModule deflate_module $M/mod_deflate.so
LoadModule filter_module $M/mod_filter.so
DocumentRoot $D/www
StartServers 2
ThreadsPerChild 20
X
apache2 -f $D/c -DFOREGROUND &
sleep 1; ab -q -n 3000 -c 30 http://127.0.0.1:18092/index.html >/dev/null
