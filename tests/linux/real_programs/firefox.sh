#!/bin/bash
# Content processes from a fork server.
# needs: firefox-esr setpriv
D=$1; rm -rf "$D"; mkdir -p $D/p; chmod -R 777 "$D"; cd "$D"
echo '<script>let k=[];for(let i=0;i<300000;i++)k.push({i,s:"x"+i});document.title=k.length;</script><body><h1>hello</h1>' > p.html; chmod 644 p.html
HOME=$D XDG_RUNTIME_DIR=$D MOZ_CRASHREPORTER_DISABLE=1 setpriv --reuid=nobody --regid=nogroup --clear-groups firefox-esr --headless --no-remote --profile $D/p file://$D/p.html &
sleep 12
