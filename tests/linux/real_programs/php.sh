#!/bin/bash
# The server with workers, and opcode caches.
# needs: php curl
D=$1; rm -rf "$D"; mkdir -p "$D"; cd "$D"
echo '<?php $a=[]; for($i=0;$i<100000;$i++)$a["k$i"]=[$i,str_repeat("x",$i%50)]; echo count($a), md5(serialize($a));' > i.php
PHP_CLI_SERVER_WORKERS=3 php -S 127.0.0.1:18091 -t $D &
sleep 1; for i in 1 2 3 4 5 6 7 8; do curl -s http://127.0.0.1:18091/i.php >/dev/null; done
